//! What tests of several nodes share: the nodes on one database, sellers with stores, clients that send each event to the next node in
//! turn until one has answered, and a model of what listings should then show.
use crate::client::{exchange_within, request};
use crate::database::TestDatabase;
use crate::program::{OPERATOR_KEY, Program, pause};
use chrono::Timelike;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;
use stocktide::domain::SellerId;
use tokio::time::Instant;

pub const STORES: usize = 3;
const SKUS: usize = 4;
const CLIENTS: usize = 4;
/// A client that gets no answer for so long asks the next node.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// A client to which no node answers for so long gives up, and the test fails.
const PATIENCE: Duration = Duration::from_secs(60);
pub const LEASE: Duration = Duration::from_millis(2_000);
/// Of so many sellers, one is synchronized once a day.
const TIMED_EVERY: usize = 10;

pub struct Seller {
    pub id: SellerId,
    pub key: String,
    pub is_timed: bool,
}

/// A listing's place: seller and SKU. Every store of the seller shows the same.
pub type Model = BTreeMap<(usize, usize), i64>;

/// Nodes on one database.
pub struct Fleet<'a> {
    pub database: &'a TestDatabase,
    pub running: Vec<(String, Program)>,
    /// Where clients send to, frozen nodes included.
    pub addresses: Arc<Mutex<Vec<SocketAddr>>>,
    started: usize,
}

impl<'a> Fleet<'a> {
    /// None yet.
    pub fn on(database: &'a TestDatabase) -> Self {
        Self { database, running: Vec::new(), addresses: Arc::default(), started: 0 }
    }

    pub fn start(&mut self) {
        self.start_of(env!("CARGO_BIN_EXE_stocktide"));
    }

    /// Starts a node of another build.
    pub fn start_of(&mut self, build: &str) {
        self.started += 1;
        let name = format!("node-{}", self.started);
        let own = format!("node={name}");
        let lease = format!("lease_ms={}", LEASE.as_millis());
        let settings = [own.as_str(), &lease, "database_connections=6", "database_lanes=2", "poll_every_s=10", "stop_within_s=20"];
        self.running.push((name, Program::serve_of(build, self.database, &settings)));
        self.tell();
    }

    /// Tells the clients which nodes there are.
    pub fn tell(&self) {
        *self.addresses.lock().unwrap() = self.running.iter().map(|(_, program)| program.address).collect();
    }

    /// A node to which nothing is sent any more.
    pub fn take(&mut self, at: usize) -> (String, Program) {
        let taken = self.running.remove(at);
        self.tell();
        taken
    }

    /// Stops a node as an operator does.
    pub fn stop(&mut self, at: usize) {
        let (name, program) = self.take(at);
        let asked_at = Instant::now();
        program.signal("TERM");
        let (status, log) = program.wait_for_exit();
        println!("stopped {name} in {:?}", asked_at.elapsed());
        log.lines().filter(|line| line.contains(" WARN ")).for_each(|line| println!("  {line}"));
        assert_eq!(status, Some(0), "{log}");
        assert!(!log.contains("panicked"), "{log}");
    }

    pub fn any(&self) -> &Program {
        &self.running[0].1
    }
}

pub fn create_sellers(service: &Program, platform: &Program, count: usize) -> Vec<Seller> {
    // The next minute that is at least a few seconds ahead.
    let due = stocktide::clock::Clock::system().now().to_utc() + chrono::TimeDelta::seconds(70);
    let daily_at = format!("{:02}:{:02}", due.hour(), due.minute());
    let create = |n: usize| {
        let created = service.call("POST", "/admin/sellers", OPERATOR_KEY, &json!({ "name": format!("Seller {n}"), "timezone": "UTC" }));
        let (id, key) = (created["id"].as_str().unwrap().parse().unwrap(), created["api_key"].as_str().unwrap().to_owned());
        let is_timed = n % TIMED_EVERY == TIMED_EVERY - 1;
        for store in 0..STORES {
            let name = format!("{n}-{store}");
            // One kind of platform each: with keys, read back, set only.
            let abilities =
                [json!({}), json!({ "idempotency": false }), json!({ "adjust": false, "compare_and_set": true })][store].clone();
            let new = json!({ "name": name, "platform": "simulated", "base_url": format!("http://{}", platform.address), "external_store": name,
                "abilities": abilities, "rate_limit": { "per_second": 500, "burst": 500 } });
            let created = service.call("POST", "/v1/stores", &key, &new);
            let rows: Vec<Value> = (0..SKUS).map(|sku| json!({ "sku": format!("S{sku}"), "external_id": format!("S{sku}") })).collect();
            service.call("PUT", &format!("/v1/stores/{}/listings", created["id"].as_str().unwrap()), &key, &json!(rows));
        }
        let settings = match is_timed {
            true => json!({ "auto_sync": true, "frequency": "timed_full", "daily_at": daily_at, "initial_overwrite": false }),
            false => json!({ "auto_sync": true, "initial_overwrite": false }),
        };
        service.call("PUT", "/v1/sync-settings", &key, &settings);
        Seller { id, key, is_timed }
    };
    (0..count).map(create).collect()
}

/// Sends events until it is stopped, each request to the next node until one has answered; returns what listings should show.
fn client(
    number: usize,
    sellers: &[Seller],
    addresses: &Mutex<Vec<SocketAddr>>,
    (stop, events, repeats): (&AtomicBool, &AtomicUsize, &AtomicUsize),
    between: Duration,
) -> Model {
    let mut random = ChaCha8Rng::seed_from_u64(number as u64);
    let (mut model, mut turn, mut made) = (Model::new(), number, 0);
    while !stop.load(Ordering::Relaxed) {
        // Each client has SKUs of its own, so that the order of a SKU's events is that of their requests.
        let (seller, sku) = (random.random_range(0..sellers.len()), number % SKUS);
        let quantity = random.random_range(1..=9);
        made += 1;
        *model.entry((seller, sku)).or_default() += quantity;
        let event = json!({ "event_id": format!("c{number}-{made}"), "sku": format!("S{sku}"), "kind": "purchase", "quantity": quantity });
        let bearer = format!("Bearer {}", sellers[seller].key);
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        let bytes = request("POST", "/v1/stock-events", &headers, Some(event.to_string().as_bytes()));
        let began = Instant::now();
        loop {
            assert!(began.elapsed() < PATIENCE, "no node accepts an event");
            turn += 1;
            let address = {
                let all = addresses.lock().unwrap();
                all[turn % all.len()]
            };
            match exchange_within(address, &bytes, ANSWER_WITHIN) {
                Ok(answer) if answer.status == 200 || answer.status == 201 => break,
                Ok(answer) => assert!(matches!(answer.status, 429 | 503), "{}: {}", answer.status, answer.text()),
                Err(_) => {}
            }
            repeats.fetch_add(1, Ordering::Relaxed);
            pause(Duration::from_millis(10));
        }
        events.fetch_add(1, Ordering::Relaxed);
        pause(between);
    }
    model
}

/// Clients that send.
pub struct Clients {
    stop: Arc<AtomicBool>,
    /// Events that were answered.
    pub events: Arc<AtomicUsize>,
    /// Requests that had to be repeated.
    pub repeats: Arc<AtomicUsize>,
    running: Vec<JoinHandle<Model>>,
}

impl Clients {
    /// Each pauses for so long between two requests.
    pub fn start(sellers: &Arc<Vec<Seller>>, addresses: &Arc<Mutex<Vec<SocketAddr>>>, between: Duration) -> Self {
        let mut clients = Self { stop: Arc::default(), events: Arc::default(), repeats: Arc::default(), running: Vec::new() };
        for number in 0..CLIENTS {
            let (sellers, addresses) = (Arc::clone(sellers), Arc::clone(addresses));
            let (stop, events, repeats) = (Arc::clone(&clients.stop), Arc::clone(&clients.events), Arc::clone(&clients.repeats));
            let run = move || client(number, &sellers, &addresses, (&stop, &events, &repeats), between);
            clients.running.push(std::thread::spawn(run));
        }
        clients
    }

    /// Stops them; returns what listings should show.
    pub fn stop(self) -> Model {
        self.stop.store(true, Ordering::Relaxed);
        let mut model = Model::new();
        for client in self.running {
            client.join().expect("a client does not panic").into_iter().for_each(|(at, sum)| *model.entry(at).or_default() += sum);
        }
        model
    }
}

/// Listings show the sums of their events within a minute, and still do afterwards.
pub fn assert_right(platform: &Program, sellers: &[Seller], model: &Model) {
    let quiet_by = Instant::now() + Duration::from_secs(60);
    let mut left = wrong(platform, sellers, model);
    while !left.is_empty() && Instant::now() < quiet_by {
        pause(Duration::from_millis(500));
        left = wrong(platform, sellers, model);
    }
    assert_eq!(left, Vec::<String>::new());
    // Nothing arrives late, either.
    pause(Duration::from_secs(2));
    assert_eq!(wrong(platform, sellers, model), Vec::<String>::new());
}

/// Listings that show something else than the sum of their events.
fn wrong(platform: &Program, sellers: &[Seller], model: &Model) -> Vec<String> {
    let mut wrong = Vec::new();
    for (n, _) in sellers.iter().enumerate().filter(|(_, seller)| !seller.is_timed) {
        for store in 0..STORES {
            let items = platform.call("GET", &format!("/control/stores/{n}-{store}/items"), "", &Value::Null);
            let shown: BTreeMap<&str, i64> = items["items"]
                .as_array()
                .unwrap()
                .iter()
                .map(|item| (item["external_id"].as_str().unwrap(), item["quantity"].as_i64().unwrap()))
                .collect();
            for sku in 0..SKUS {
                let (expected, is) =
                    (model.get(&(n, sku)).copied().unwrap_or(0), shown.get(format!("S{sku}").as_str()).copied().unwrap_or(0));
                if is != expected {
                    wrong.push(format!("{n}-{store}/S{sku}: {is} instead of {expected}"));
                }
            }
        }
    }
    wrong
}
