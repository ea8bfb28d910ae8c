//! The world of a story: the service, as one process after another on one database, and the sellers' client software,
//! which repeats each request until it is answered.
mod bundles;
mod clock;
mod events;
pub mod nodes;
mod pauses;
mod process;
mod sales;
mod shops;
mod trespass;
mod undo;

use crate::journal::{Database, Entry, JournalReader};
use crate::life::{FaultPlan, Life};
use crate::model;
use crate::network::Network;
use crate::story::{Event, EventId, ITEMS, Rng, RuleChange, SKUS, Setting, Step, StoreChange, Story, WAREHOUSES, ZONES, daily_at, sku_of};
use actix_web::test::TestRequest;
use chrono::{DateTime, Utc};
use events::as_json;
use futures_util::future::join_all;
use process::{Answer, DRAWS, Launch, Process, stop};
use rand::SeedableRng;
use serde_json::{Value, json};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use stocktide::clock::Clock;
use stocktide::platforms::limits::Limits;

const OPERATOR_KEY: &str = "an operator key of a simulated service";

/// Something that must never happen. The name identifies the kind of failure when a story is shortened.
#[derive(Debug, Clone)]
pub struct Failure {
    pub name: &'static str,
    pub detail: String,
}

pub type Verdict<T = ()> = Result<T, Failure>;

pub fn fail<T>(name: &'static str, detail: impl Into<String>) -> Verdict<T> {
    Err(Failure { name, detail: detail.into() })
}

pub struct Shop {
    pub id: String,
    pub name: String,
    token: u32,
    /// How often it has moved to another address.
    moves: u32,
}

pub struct SellerClient {
    pub id: String,
    key: String,
    pub shops: Vec<Shop>,
    /// Every event sent, in order.
    sent: Vec<(String, model::Event)>,
    /// The body that was first sent with each id.
    pub events: BTreeMap<String, model::Event>,
    /// Ids that were answered as accepted or, after a lost answer, as duplicates.
    pub acknowledged: BTreeSet<String>,
    /// The stores that sales name, by the ids of their events.
    sold_by: BTreeMap<String, String>,
    /// One of its SKUs is a bundle.
    has_bundle: bool,
    /// Sales that are to be reported later.
    unreported: Vec<sales::Unreported>,
}

pub struct World {
    pub clock: Clock,
    pub network: Network,
    pub database: Database,
    pub fault_plan: Arc<Mutex<FaultPlan>>,
    pub journal_reader: JournalReader,
    /// The journal, as far as it has been read.
    pub journal: Vec<(i64, Entry)>,
    pub sellers: Vec<SellerClient>,
    /// When the process was down, in wall time.
    pub down: Vec<(DateTime<Utc>, DateTime<Utc>)>,
    /// Every step of the clock, in milliseconds.
    pub clock_steps: Vec<(tokio::time::Instant, i64)>,
    /// How many processes have started.
    processes: u64,
    pub counts: BTreeMap<String, u64>,
    /// When all faults ended.
    pub calm_since: Option<tokio::time::Instant>,
    story: Story,
    process: Option<Process>,
    /// Instead of the process, if there are several.
    fleet: Option<nodes::Fleet>,
    /// How long the process stays down when its fuse ends it.
    down_ms: u64,
}

impl World {
    pub async fn new(story: &Story) -> Self {
        let draws = |n: u64| Rng::seed_from_u64(story.seed.wrapping_mul(1_000_003).wrapping_add(n));
        DRAWS.set(draws(1));
        stocktide::domain::ids::start_id_order_of_this_thread();
        let clock = Clock::starting_at(story.setup.start.parse().unwrap());
        let database = Database::fresh();
        let network = Network::new(clock.clone(), JournalReader::on(&database), draws(2));
        let journal_reader = JournalReader::on(&database);
        let fault_plan = FaultPlan::new(draws(3));
        let mut world = Self {
            clock,
            network,
            database,
            fault_plan,
            journal_reader,
            journal: Vec::new(),
            sellers: Vec::new(),
            down: Vec::new(),
            clock_steps: Vec::new(),
            processes: 0,
            counts: BTreeMap::new(),
            calm_since: None,
            story: story.clone(),
            process: None,
            fleet: None,
            down_ms: 1,
        };
        match story.setup.nodes {
            None => world.start().await,
            Some(_) => world.start_nodes().await,
        }
        world
    }

    pub fn count(&mut self, what: impl Into<String>) {
        *self.counts.entry(what.into()).or_default() += 1;
    }

    /// Reads new entries of the journal.
    pub fn read_journal(&mut self) {
        let read_to = self.journal.last().map_or(0, |(seq, _)| *seq);
        let more = self.journal_reader.read(read_to);
        self.journal.extend(more);
    }

    async fn start(&mut self) {
        self.processes += 1;
        let life = Life::new(&self.fault_plan, None);
        let launch = Launch { life, clock: self.clock.clone(), limits: Limits::default(), sharing: None };
        self.process = Some(self.launch(launch).await);
    }

    fn process(&self) -> &Process {
        self.process.as_ref().unwrap()
    }

    pub fn setup(&self) -> &crate::story::Setup {
        &self.story.setup
    }

    pub fn now(&self) -> DateTime<Utc> {
        self.clock.now().to_utc()
    }

    /// Ends the process between two instructions.
    async fn crash(&mut self, down_ms: u64) {
        let process = self.process.take().unwrap();
        process.life.die();
        process.actors.abort();
        drop(process);
        self.stay_down(down_ms).await;
    }

    /// The fuse has ended the process at a point in its work.
    async fn crash_at_point(&mut self) {
        self.crash(self.down_ms).await;
        self.count("crash at a point in its work");
    }

    async fn stay_down(&mut self, down_ms: u64) {
        let from = self.now();
        tokio::time::sleep(Duration::from_millis(down_ms)).await;
        self.down.push((from, self.now()));
        self.start().await;
    }

    async fn restart(&mut self, down_ms: u64) -> Verdict {
        // It may die while it stops.
        let (handle, life) = (self.process().handle.clone(), Arc::clone(&self.process().life));
        tokio::select! {
            biased;
            () = life.died.notified() => {}
            stopped = stop(&handle) => stopped?,
        }
        drop(handle);
        let process = self.process.take().unwrap();
        process.life.die();
        process.actors.abort();
        drop(process);
        self.stay_down(down_ms).await;
        self.count("graceful restart");
        Ok(())
    }

    /// Lets time pass; if the process dies meanwhile, it is restarted.
    pub async fn advance(&mut self, ms: u64) {
        if self.fleet.is_some() {
            return self.advance_nodes(ms).await;
        }
        let until = tokio::time::Instant::now() + Duration::from_millis(ms);
        loop {
            let life = Arc::clone(&self.process().life);
            let died = tokio::select! {
                biased;
                () = life.died.notified() => true,
                () = tokio::time::sleep_until(until) => false,
            };
            if !died {
                return;
            }
            self.crash_at_point().await;
        }
    }

    /// Sends requests concurrently and repeats each until it gets a final answer. The flag says whether an answer may have
    /// been lost on the way.
    async fn send_all(&mut self, requests: Vec<Box<dyn Fn() -> TestRequest>>) -> Vec<(u16, Value, bool)> {
        let answers: Rc<RefCell<Vec<Option<Answer>>>> = Rc::new(RefCell::new(vec![None; requests.len()]));
        let mut lost = vec![false; requests.len()];
        loop {
            let open: Vec<usize> = answers.borrow().iter().enumerate().filter(|(_, a)| a.is_none()).map(|(i, _)| i).collect();
            if open.is_empty() {
                break;
            }
            if self.fleet.is_some() {
                self.ask_nodes(&requests, &open, &answers).await;
                open.iter().for_each(|i| lost[*i] |= answers.borrow()[*i].is_none());
                if open.iter().any(|i| answers.borrow()[*i].is_none()) {
                    self.advance(250).await;
                }
                continue;
            }
            let (life, call) = (Arc::clone(&self.process().life), Rc::clone(&self.process().call));
            let asked = open.iter().map(|i| {
                let (answers, sent, i) = (Rc::clone(&answers), call(requests[*i]()), *i);
                async move {
                    let (status, body) = sent.await;
                    if !matches!(status, 429 | 503) {
                        answers.borrow_mut()[i] = Some((status, body));
                    }
                }
            });
            let died = tokio::select! {
                biased;
                () = life.died.notified() => true,
                _ = join_all(asked) => false,
            };
            for i in open {
                lost[i] |= answers.borrow()[i].is_none();
            }
            if died {
                self.crash_at_point().await;
            } else if lost.iter().any(|l| *l) {
                self.advance(250).await;
            }
        }
        let answers = Rc::try_unwrap(answers).unwrap().into_inner();
        answers.into_iter().flatten().zip(lost).map(|((status, body), lost)| (status, body, lost)).collect()
    }

    pub async fn ask(&mut self, request: impl Fn() -> TestRequest + 'static) -> (u16, Value) {
        let (status, body, _) = self.send_all(vec![Box::new(request)]).await.remove(0);
        (status, body)
    }

    fn request(&self, seller: usize, method: &str, path: &str, body: Option<Value>) -> impl Fn() -> TestRequest + use<> {
        let (key, path) = (self.sellers[seller].key.clone(), path.to_owned());
        let method = actix_web::http::Method::from_bytes(method.as_bytes()).unwrap();
        move || {
            let request = TestRequest::with_uri(&path).method(method.clone()).insert_header(("authorization", format!("Bearer {key}")));
            match &body {
                Some(body) => request.insert_header(("content-type", "application/json")).set_payload(body.to_string()),
                None => request,
            }
        }
    }

    pub async fn as_seller(&mut self, seller: usize, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let request = self.request(seller, method, path, body);
        self.ask(request).await
    }

    async fn expect(&mut self, seller: usize, method: &str, path: &str, body: Option<Value>) -> Verdict<Value> {
        let (status, answer) = self.as_seller(seller, method, path, body.clone()).await;
        if (200..300).contains(&status) {
            Ok(answer)
        } else {
            fail("request refused", format!("{method} {path} {body:?}: {status} {answer}"))
        }
    }

    pub async fn set_up(&mut self) -> Verdict {
        for (number, setup) in self.story.setup.sellers.clone().into_iter().enumerate() {
            let body = json!({ "name": format!("seller {number}"), "timezone": ZONES[setup.zone] }).to_string();
            let create = move || {
                TestRequest::post()
                    .uri("/admin/sellers")
                    .insert_header(("authorization", format!("Bearer {OPERATOR_KEY}")))
                    .insert_header(("content-type", "application/json"))
                    .set_payload(body.clone())
            };
            let (status, answer) = self.ask(create).await;
            if status != 201 {
                return fail("request refused", answer.to_string());
            }
            let text = |field: &str| answer[field].as_str().unwrap().to_owned();
            self.sellers.push(SellerClient {
                id: hex_of(&text("id")),
                key: text("api_key"),
                shops: Vec::new(),
                sent: Vec::new(),
                events: BTreeMap::new(),
                acknowledged: BTreeSet::new(),
                sold_by: BTreeMap::new(),
                has_bundle: setup.bundle.is_some(),
                unreported: Vec::new(),
            });
            self.expect(number, "POST", "/v1/warehouses", Some(json!({ "code": "north", "name": "North" }))).await?;
            let mode = if setup.exclusive { "exclusive" } else { "shared" };
            self.expect(
                number,
                "PUT",
                "/v1/sync-settings",
                Some(json!({ "allocation_mode": mode, "catch_up_hours": setup.catch_up_hours })),
            )
            .await?;
            for (place, store) in setup.stores.iter().enumerate() {
                let name = format!("s{number}x{place}");
                self.network.open(&name, store.ability, "t0");
                let body = json!({
                    "name": name, "platform": "simulated", "base_url": "http://platform", "external_store": name,
                    "credentials": { "token": "t0" }, "share_percent": store.share,
                    "warehouses": store.warehouses.as_ref().map(|all| all.iter().map(|w| WAREHOUSES[*w]).collect::<Vec<_>>()),
                    "abilities": {
                        "adjust": store.ability.adjust(), "idempotency": store.ability.keys(),
                        "compare_and_set": store.ability.compare(), "read": store.ability.read(), "max_items": store.max_items,
                    },
                    "rate_limit": { "per_second": store.per_second, "burst": store.burst },
                });
                let mut body = body;
                if let Some(protection) = store.named {
                    body["protect_unseen_sales"] = json!(protection.on);
                    body["unseen_sales_hours"] = json!(protection.hours);
                }
                (body["pushed_falls"], body["restocks_returns"]) = (json!(store.falls), json!(store.restocks));
                body["rehearsal"] = json!(store.rehearsal);
                let answer = self.expect(number, "POST", "/v1/stores", Some(body)).await?;
                let id = answer["id"].as_str().unwrap().to_owned();
                self.sellers[number].shops.push(Shop { id, name, token: 0, moves: 0 });
            }
            self.set_up_bundle(number, setup.bundle).await?;
            let stock: Vec<Event> = (0..SKUS.len())
                .flat_map(|sku| (0..WAREHOUSES.len()).map(move |warehouse| (sku, warehouse)))
                .enumerate()
                .map(|(n, (sku, warehouse))| Event {
                    kind: "count",
                    sku,
                    warehouse,
                    quantity: i64::try_from(7 * (n + 1) % 12).unwrap(),
                    id: EventId::Fresh(1_000_000 + u32::try_from(n).unwrap()),
                })
                .collect();
            self.record(number, vec![stock], false).await?;
            for (place, store) in setup.stores.iter().enumerate() {
                for item in store.skus.iter().chain(&store.siblings) {
                    self.pair(number, place, *item).await?;
                }
            }
            let setting = if setup.timed {
                json!({ "auto_sync": true, "frequency": "timed_full", "daily_at": daily_at(setup.daily_at), "initial_overwrite": setup.initial_overwrite })
            } else {
                json!({ "auto_sync": true, "initial_overwrite": setup.initial_overwrite })
            };
            self.expect(number, "PUT", "/v1/sync-settings", Some(setting)).await?;
        }
        Ok(())
    }

    fn shop(&self, seller: usize, store: usize) -> (String, String) {
        let shop = &self.sellers[seller].shops[store];
        (shop.id.clone(), shop.name.clone())
    }

    async fn pair(&mut self, seller: usize, store: usize, item: usize) -> Verdict {
        let (id, _) = self.shop(seller, store);
        let units = self.story.setup.sellers[seller].stores[store].units_of(item);
        if item >= SKUS.len() {
            self.count("several listings of a SKU");
        }
        if units > 1 {
            self.count("listing of several units");
        }
        let row = json!([{ "sku": SKUS[sku_of(item)], "external_id": ITEMS[item], "units": units }]);
        let answer = self.expect(seller, "PUT", &format!("/v1/stores/{id}/listings"), Some(row)).await?;
        if answer["rejected"] == 0 { Ok(()) } else { fail("request refused", answer.to_string()) }
    }

    /// Sends stock events, in one request or in several concurrent ones, and checks each answer.
    async fn record(&mut self, seller: usize, requests: Vec<Vec<Event>>, ndjson: bool) -> Verdict {
        let mut sent: Vec<Vec<(String, model::Event)>> = Vec::new();
        for events in requests {
            let mut bodies = Vec::new();
            for event in &events {
                bodies.push(self.sellers[seller].body(event));
            }
            sent.push(bodies);
        }
        let key = self.sellers[seller].key.clone();
        let asked = sent.iter().map(|bodies| {
            let rows: Vec<Value> = bodies.iter().map(|(id, event)| as_json(id, event)).collect();
            let (kind, text) = match rows.as_slice() {
                rows if ndjson => ("application/x-ndjson", rows.iter().map(|row| format!("{row}\n")).collect()),
                [row] => ("application/json", row.to_string()),
                rows => ("application/json", json!(rows).to_string()),
            };
            let key = key.clone();
            let request = move || {
                TestRequest::post()
                    .uri("/v1/stock-events")
                    .insert_header(("authorization", format!("Bearer {key}")))
                    .insert_header(("content-type", kind))
                    .set_payload(text.clone())
            };
            Box::new(request) as Box<dyn Fn() -> TestRequest>
        });
        let answers = self.send_all(asked.collect()).await;
        let in_parallel = sent.len() > 1;
        if in_parallel {
            self.count("concurrent requests");
        }
        let known_before = self.sellers[seller].acknowledged.clone();
        for (bodies, (status, answer, lost)) in sent.iter().zip(answers) {
            if !matches!(status, 200 | 409) {
                return fail("request refused", format!("{bodies:?}: {status} {answer}"));
            }
            if bodies.len() > 1 {
                self.count(if ndjson { "batch of events as NDJSON" } else { "batch of events" });
            }
            for (place, (id, event)) in bodies.iter().enumerate() {
                let result = &answer["results"][place];
                self.count(match result["status"].as_str() {
                    Some("duplicate") => "event: duplicate".to_owned(),
                    Some("rejected") => "event: id already taken".to_owned(),
                    _ => format!("event: {}", event.kind),
                });
                let client = &mut self.sellers[seller];
                let first = client.events.get(id).is_none_or(|known| event.repeats(known));
                let known = client.acknowledged.contains(id);
                let known_before = known_before.contains(id);
                let word = result["status"].as_str().unwrap_or_default();
                let right = match word {
                    "accepted" => !known_before && (!known || in_parallel),
                    "duplicate" => first && (known || lost || in_parallel),
                    "rejected" => !first || in_parallel,
                    _ => false,
                };
                if !right || (word == "rejected" && result["errors"][0]["pointer"].as_str().is_none_or(|p| !p.ends_with("/event_id"))) {
                    return fail("wrong answer to an event", format!("{id} {event:?}: {status} {result}, known {known}, lost {lost}"));
                }
                if word != "rejected" {
                    // If two were sent concurrently with the same id, either may have been first.
                    if client.events.get(id).is_none_or(|known| !event.repeats(known)) {
                        client.events.insert(id.clone(), event.clone());
                    }
                    client.acknowledged.insert(id.clone());
                }
            }
        }
        Ok(())
    }

    /// The process will die at this point, counted from now, and restart soon after.
    pub fn die_at(&mut self, points: u64) {
        self.down_ms = 50;
        self.process().life.light_fuse(points);
    }

    pub async fn step(&mut self, step: &Step) -> Verdict {
        match step {
            Step::Events { seller, events, ndjson } => self.record(*seller, vec![events.clone()], *ndjson).await?,
            Step::Burst { seller, requests } => self.record(*seller, requests.clone(), false).await?,
            Step::Sell { seller, store, sku, quantity, reported } => {
                self.sells(*seller, *store, *sku, *quantity, *reported).await?;
            }
            Step::ReportSales { seller, store } => self.report_sales(*seller, *store).await?,
            Step::Sleep { ms } => self.advance(*ms).await,
            Step::ToDailyTime { seller, before_ms } => {
                let settings = self.expect(*seller, "GET", "/v1/sync-settings", None).await?;
                if let Some(at) = settings["next_run_at"].as_str() {
                    let at: DateTime<Utc> = at.parse().unwrap();
                    let wait = (at - self.now()).num_milliseconds() - before_ms;
                    self.advance(u64::try_from(wait).unwrap_or(0)).await;
                }
            }
            Step::Set { seller, setting } => {
                let body = match setting {
                    Setting::Off => json!({ "auto_sync": false }),
                    Setting::Incremental { initial } => {
                        json!({ "auto_sync": true, "frequency": "incremental", "initial_overwrite": initial })
                    }
                    Setting::Both { daily_at: at } => {
                        json!({ "auto_sync": true, "frequency": "incremental_and_daily", "daily_at": daily_at(*at) })
                    }
                    Setting::Timed { daily_at: at } => json!({ "auto_sync": true, "frequency": "timed_full", "daily_at": daily_at(*at) }),
                    Setting::Buffer(buffer) => json!({ "buffer": buffer }),
                    Setting::Zone(zone) => json!({ "timezone": ZONES[*zone] }),
                    Setting::Cancellations(on) => json!({ "trigger_on_cancellation": on }),
                    Setting::Exclusive(on) => json!({ "allocation_mode": if *on { "exclusive" } else { "shared" } }),
                };
                // Shares that sum to more than 100% are rightly refused.
                let (status, answer) = self.as_seller(*seller, "PUT", "/v1/sync-settings", Some(body)).await;
                if !matches!(status, 200 | 422) {
                    return fail("request refused", format!("{setting:?}: {status} {answer}"));
                }
                self.count(format!("setting: {}", variant_name(setting)));
            }
            Step::Rule { seller, rule } => {
                self.rule(*seller, rule).await?;
                self.count("setting: Rule");
            }
            Step::Store { seller, store, change } => {
                let body = match change {
                    StoreChange::Share(share) => json!({ "share_percent": share }),
                    StoreChange::Enabled(on) => json!({ "sync_enabled": on }),
                    StoreChange::Paused(on) => json!({ "paused": on }),
                    StoreChange::Protection(on) => json!({ "protect_unseen_sales": on }),
                    StoreChange::ReportsAwaited(hours) => json!({ "unseen_sales_hours": hours }),
                    StoreChange::Warehouses(all) => {
                        json!({ "warehouses": all.as_ref().map(|all| all.iter().map(|w| WAREHOUSES[*w]).collect::<Vec<_>>()) })
                    }
                };
                let (id, _) = self.shop(*seller, *store);
                let (status, answer) = self.as_seller(*seller, "PATCH", &format!("/v1/stores/{id}"), Some(body)).await;
                if !matches!(status, 200 | 422) {
                    return fail("request refused", format!("{change:?}: {status} {answer}"));
                }
                self.count(format!("store: {}", variant_name(change)));
            }
            Step::Sync { seller, store, sku } => {
                let store_ids = store.map(|store| vec![self.shop(*seller, store).0]);
                let body = json!({ "store_ids": store_ids, "skus": sku.map(|sku| vec![SKUS[sku]]) });
                let (status, answer) = self.as_seller(*seller, "POST", "/v1/syncs", Some(body)).await;
                match status {
                    202 => self.count("manual sync"),
                    409 => self.count("manual sync refused in a frozen window"),
                    _ => return fail("request refused", format!("{status} {answer}")),
                }
            }
            Step::Bundle { seller, takes } => self.bundle(*seller, *takes).await?,
            Step::Undo { seller, back } => self.undo(*seller, *back).await?,
            Step::Cancel { seller } => self.cancel_run(*seller).await?,
            Step::Pause { seller, what, on } => self.pause(*seller, *what, *on).await?,
            Step::Freeze { seller, store, from_min, for_min } => self.freeze(*seller, *store, *from_min, *for_min).await?,
            Step::Thaw { seller } => self.thaw(*seller).await?,
            Step::GoLive { seller, store, overwrite } => self.go_live(*seller, *store, *overwrite).await?,
            Step::RetryByHand { seller, state } => {
                self.expect(*seller, "POST", "/v1/pushes/retry", Some(json!({ "state": state }))).await?;
            }
            Step::Unpair { seller, store, sku } => {
                let (id, _) = self.shop(*seller, *store);
                let listings = self.expect(*seller, "GET", &format!("/v1/stores/{id}/listings"), None).await?;
                let listing = listings["items"].as_array().unwrap().iter().find(|l| l["external_id"] == ITEMS[*sku]);
                if let Some(listing) = listing {
                    let path = format!("/v1/stores/{id}/listings/{}", listing["id"].as_str().unwrap());
                    // 404 if it was already deleted by a request whose answer was lost.
                    let (status, answer) = self.as_seller(*seller, "DELETE", &path, None).await;
                    if !matches!(status, 204 | 404) {
                        return fail("request refused", format!("{status} {answer}"));
                    }
                    self.count("listing unpaired");
                }
            }
            Step::Pair { seller, store, sku } => self.pair(*seller, *store, *sku).await?,
            Step::TokenExpires { seller, store } => {
                self.expire_token(*seller, *store);
                self.count("token expired");
            }
            Step::NewToken { seller, store } => self.new_token(*seller, *store).await?,
            Step::CheckDrift { seller, store, policy } => {
                let (id, _) = self.shop(*seller, *store);
                self.expect(*seller, "PUT", "/v1/sync-settings", Some(json!({ "drift": policy }))).await?;
                let (status, answer) = self.as_seller(*seller, "POST", &format!("/v1/stores/{id}/drift-checks"), None).await;
                match status {
                    202 => self.count("drift check"),
                    // It is on hold, or is being checked.
                    409 => {}
                    _ => return fail("request refused", format!("{status} {answer}")),
                }
            }
            Step::CheckStore { seller, store } => {
                let (id, _) = self.shop(*seller, *store);
                self.expect(*seller, "POST", &format!("/v1/stores/{id}/check"), None).await?;
            }
            Step::Net { seller, store, fault, calls } => {
                let (_, name) = self.shop(*seller, *store);
                self.network.plan(&name, *fault, *calls);
            }
            Step::Down { seller, store, how, for_ms } => {
                let (_, name) = self.shop(*seller, *store);
                self.network.take_down(&name, *how, *for_ms);
            }
            Step::Refuse { seller, store, sku, how } => self.refuse(*seller, *store, *sku, *how),
            Step::AcceptAgain { seller, store, sku } => self.accept_again(*seller, *store, *sku),
            Step::Misbehaves { seller, store, faults, sync, events, checks_ms } => {
                self.misbehaves(*seller, *store, faults, (!sync).then_some(events), checks_ms).await?;
            }
            Step::Caches { seller, store, for_ms, first, between_ms, second } => {
                self.caches(*seller, *store, *for_ms, [first, second], *between_ms).await?;
            }
            Step::LiveAgain { seller, store, sku, how, for_ms, id } => {
                self.live_again(*seller, *store, *sku, *how, *for_ms, *id).await?;
            }
            Step::SaleInDoubt { seller, store, sku, id } => self.sale_in_doubt(*seller, *store, *sku, *id).await?,
            Step::Mends { seller, store, what, after_ms, id } => self.mends(*seller, *store, *what, *after_ms, *id).await?,
            Step::Db { fault, after, times } => self.fault_plan.lock().unwrap().plan(*fault, (*after).into(), (*times).into()),
            Step::CrashAt { points, down_ms } if self.fleet.is_some() => self.light_fuse_of_a_node((*points).into(), *down_ms),
            Step::Crash { down_ms } if self.fleet.is_some() => self.befall_a_node(*down_ms, false).await?,
            Step::Restart { down_ms } if self.fleet.is_some() => self.befall_a_node(*down_ms, true).await?,
            Step::Node(step) => self.node_step(*step).await?,
            Step::CrashAt { points, down_ms } => {
                self.down_ms = *down_ms;
                self.process().life.light_fuse((*points).into());
            }
            Step::Crash { down_ms } => {
                self.crash(*down_ms).await;
                self.count("crash while idle");
            }
            Step::Restart { down_ms } => self.restart(*down_ms).await?,
            Step::SetClock { ms } => self.set_clock(*ms),
            Step::ClockTrial { seller, store, before_ms, after_ms, id } => {
                self.clock_trial(*seller, *store, *before_ms, *after_ms, *id).await?;
            }
            Step::Trespass { seller, victim } => self.trespass(*seller, *victim).await?,
        }
        Ok(())
    }

    pub async fn new_token(&mut self, seller: usize, store: usize) -> Verdict {
        let shop = &self.sellers[seller].shops[store];
        let (id, name, token) = (shop.id.clone(), shop.name.clone(), format!("t{}", shop.token));
        self.network.change(&name, |faults| faults.read_only = false);
        self.expect(seller, "PATCH", &format!("/v1/stores/{id}"), Some(json!({ "credentials": { "token": token } }))).await.map(drop)
    }

    async fn rule(&mut self, seller: usize, rule: &RuleChange) -> Verdict {
        let body = json!([{
            "sku": rule.sku.map(|sku| SKUS[sku]), "store_id": rule.store.map(|store| self.shop(seller, store).0),
            "share_percent": rule.share, "buffer": rule.buffer, "threshold": rule.threshold, "max_shown": rule.max_shown,
            "sync_enabled": rule.enabled,
        }]);
        let (status, answer) = self.as_seller(seller, "PUT", "/v1/rules", Some(body)).await;
        if matches!(status, 200 | 422) { Ok(()) } else { fail("request refused", format!("{rule:?}: {status} {answer}")) }
    }

    /// The story is over: everything works again, and the seller fixes whatever a seller can fix, except that nothing is
    /// retried by hand.
    pub async fn end_all_faults(&mut self) -> Verdict {
        self.fault_plan.lock().unwrap().clear();
        self.network.end_faults();
        match self.fleet {
            None => self.process().life.put_out_fuse(),
            Some(_) => self.end_faults_of_nodes().await,
        }
        self.calm_since = Some(tokio::time::Instant::now());
        for seller in 0..self.sellers.len() {
            self.end_pauses(seller).await?;
            for store in 0..self.sellers[seller].shops.len() {
                let (id, name) = self.shop(seller, store);
                self.network.change(&name, |f| {
                    (f.poison_items, f.reject_items, f.untracked_items) = (Vec::new(), Vec::new(), Vec::new());
                });
                self.new_address(seller, store).await?;
                self.new_token(seller, store).await?;
                self.expect(seller, "PATCH", &format!("/v1/stores/{id}"), Some(json!({ "paused": false }))).await?;
            }
        }
        Ok(())
    }

    pub async fn retry_rejected(&mut self) -> Verdict {
        for seller in 0..self.sellers.len() {
            self.expect(seller, "POST", "/v1/pushes/retry", Some(json!({ "state": "rejected" }))).await?;
        }
        Ok(())
    }

    /// Waits until nothing is pending, or it is clear that something is stuck. Marked listings are left to the checker: one
    /// that must not be pushed stays marked until it may be.
    pub async fn wait_until_quiet(&mut self) -> Verdict {
        let left = |world: &mut Self, of: &str| world.journal_reader.count(&format!("SELECT count(*) AS seq FROM {of}"));
        let work = ["pushes WHERE state IN (0, 1, 3, 4, 6)", "push_packs WHERE state IN (0, 1, 6)", "sync_runs WHERE finished_at IS NULL"];
        for n in 0..240 {
            self.advance(if n < 20 { 3_000 } else { 60_000 }).await;
            if n % 20 == 19 {
                self.answer_runs().await?;
            }
            if work.iter().chain(&["listings WHERE marked"]).all(|of| left(self, of) == 0) {
                return Ok(());
            }
        }
        let still: Vec<String> = work.iter().map(|of| format!("{} of {of}", left(self, of))).filter(|of| !of.starts_with("0 ")).collect();
        if still.is_empty() {
            return Ok(());
        }
        fail("work is stuck", format!("hours after all faults ended, still open: {}", still.join(", ")))
    }

    pub async fn sync_everything(&mut self, seller: usize) -> Verdict {
        self.expect(seller, "POST", "/v1/syncs", Some(json!({}))).await.map(drop)
    }

    /// An event for each SKU, so that every incremental listing gets one more answer.
    pub async fn touch(&mut self, seller: usize, round: u32) -> Verdict {
        let event = |(n, sku): (u32, usize)| Event {
            kind: "purchase",
            sku,
            warehouse: usize::try_from(round % 2).unwrap(),
            quantity: 50,
            id: EventId::Fresh(2_000_000 + 100 * round + n),
        };
        let events = (0..).zip(0..SKUS.len()).map(event).collect();
        self.record(seller, vec![events], false).await
    }

    pub async fn shut_down(&mut self) -> Verdict {
        if self.fleet.is_some() {
            return self.shut_down_nodes().await;
        }
        let process = self.process.take().unwrap();
        let stopped = stop(&process.handle).await;
        process.life.die();
        process.actors.abort();
        drop(process);
        stopped
    }
}

/// The name of an enum's variant.
fn variant_name(of: &impl std::fmt::Debug) -> String {
    format!("{of:?}").split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default().to_owned()
}

/// A UUID in the form used in the journal.
pub fn hex_of(uuid: &str) -> String {
    uuid.replace('-', "").to_uppercase()
}
