//! Three processes on one PostgreSQL database, behind clients that send each event to the next one in turn, while one of the three is
//! killed, frozen and continued, or stopped, every few seconds: nothing is lost, nothing is duplicated, and each daily run takes
//! place once.
//!
//! The long version, with 300 sellers and for five minutes, runs if `STOCKTIDE_TEST_NODES=long`.
use crate::client::{exchange_within, request};
use crate::database::{Backend, TestDatabase};
use crate::program::{OPERATOR_KEY, Program, pause};
use chrono::Timelike;
use diesel::{Connection, PgConnection, RunQueryDsl};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;
use stocktide::domain::SellerId;
use stocktide::domain::leases::shard_of;
use tokio::time::Instant;

const STORES: usize = 3;
const SKUS: usize = 4;
const CLIENTS: usize = 4;
/// A client that gets no answer for so long asks the next node.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
const LEASE: Duration = Duration::from_millis(2_000);
/// Generous, because a debug build on a busy machine is slow; what it takes is printed.
const SERVED_WITHIN: Duration = Duration::from_secs(40);
/// Of so many sellers, one is synchronized once a day.
const TIMED_EVERY: usize = 10;

/// How much is done.
struct Size {
    sellers: usize,
    length: Duration,
    /// Between two faults.
    every: Duration,
    /// How long a node is frozen.
    frozen: Duration,
    /// Between two requests of a client.
    between: Duration,
}

fn size() -> Size {
    let seconds = Duration::from_secs;
    match std::env::var("STOCKTIDE_TEST_NODES").as_deref() {
        Ok("long") => {
            Size { sellers: 300, length: seconds(300), every: seconds(10), frozen: seconds(20), between: Duration::from_millis(20) }
        }
        _ => Size { sellers: 12, length: seconds(24), every: seconds(4), frozen: seconds(6), between: Duration::from_millis(40) },
    }
}

struct Seller {
    id: SellerId,
    key: String,
    is_timed: bool,
}

/// A listing's place: seller and SKU. Every store of the seller shows the same.
type Model = BTreeMap<(usize, usize), i64>;

struct Cluster<'a> {
    database: &'a TestDatabase,
    running: Vec<(String, Program)>,
    /// Where clients send to, frozen nodes included.
    addresses: Arc<Mutex<Vec<SocketAddr>>>,
    started: usize,
}

impl Cluster<'_> {
    fn start(&mut self) {
        self.started += 1;
        let name = format!("node-{}", self.started);
        let own = format!("node={name}");
        let lease = format!("lease_ms={}", LEASE.as_millis());
        let settings = [own.as_str(), &lease, "database_connections=6", "database_lanes=2", "poll_every_s=10", "stop_within_s=20"];
        self.running.push((name, Program::serve(self.database, &settings)));
        self.tell();
    }

    fn tell(&self) {
        *self.addresses.lock().unwrap() = self.running.iter().map(|(_, program)| program.address).collect();
    }

    fn take(&mut self, at: usize) -> (String, Program) {
        let taken = self.running.remove(at);
        self.tell();
        taken
    }

    fn any(&self) -> &Program {
        &self.running[0].1
    }

    /// The shards that a node holds.
    fn shards_of(&self, name: &str) -> BTreeSet<i16> {
        #[derive(diesel::QueryableByName)]
        struct Row {
            #[diesel(sql_type = diesel::sql_types::SmallInt)]
            shard: i16,
        }
        let mut conn = PgConnection::establish(&self.database.url).unwrap();
        let query = diesel::sql_query("SELECT shard FROM shards JOIN nodes ON nodes.id = shards.node WHERE nodes.name = $1");
        let rows: Vec<Row> = query.bind::<diesel::sql_types::Text, _>(name).load(&mut conn).unwrap();
        rows.into_iter().map(|row| row.shard).collect()
    }
}

fn create_sellers(service: &Program, platform: &Program, count: usize) -> Vec<Seller> {
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
        loop {
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

/// The number of the newest change that the platform has applied.
fn newest(platform: &Program) -> u64 {
    platform.call("GET", "/control/stats", "", &Value::Null)["items"].as_u64().unwrap()
}

/// How long it takes until a store of these sellers is changed again.
fn until_served(platform: &Program, stores: &BTreeSet<String>, from: Instant) -> Option<Duration> {
    // What was on its way at the moment arrives.
    pause(Duration::from_millis(300));
    let mut after = newest(platform);
    while from.elapsed() < LEASE + SERVED_WITHIN {
        let receipts = platform.call("GET", &format!("/control/receipts?after={after}&limit=1000"), "", &Value::Null);
        let items = receipts["items"].as_array().unwrap();
        if items.iter().any(|item| stores.contains(item["store"].as_str().unwrap())) {
            return Some(from.elapsed());
        }
        after = items.last().map_or(after, |item| item["seq"].as_u64().unwrap());
        pause(Duration::from_millis(20));
    }
    None
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

/// Every store of a timed seller has had one run for the date, or none if its time has not come.
fn check_runs(service: &Program, sellers: &[Seller]) -> usize {
    let mut runs = 0;
    for seller in sellers.iter().filter(|seller| seller.is_timed) {
        let all = service.call("GET", "/v1/syncs?limit=100", &seller.key, &Value::Null);
        let mut dates = BTreeSet::new();
        for run in all["items"].as_array().unwrap().iter().filter(|run| run["local_date"].is_string()) {
            let date = (run["store_id"].to_string(), run["local_date"].to_string());
            assert!(dates.insert(date), "two runs of a store on one date: {all}");
            runs += 1;
        }
    }
    runs
}

fn three_nodes_of_which_one_after_another_fails_lose_and_duplicate_nothing(backend: Backend) {
    let size = size();
    let (database, platform) = (TestDatabase::fresh(backend), Program::simulate_platform());
    let mut cluster = Cluster { database: &database, running: Vec::new(), addresses: Arc::default(), started: 0 };
    (0..3).for_each(|_| cluster.start());
    let sellers = Arc::new(create_sellers(cluster.any(), &platform, size.sellers));
    platform.call("PUT", "/control/faults", "", &json!({ "lose_answer": 0.02, "latency_ms": 20, "error_before": 0.01 }));
    let (stop, events, repeats) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let clients: Vec<JoinHandle<Model>> = (0..CLIENTS)
        .map(|number| {
            let (sellers, addresses) = (Arc::clone(&sellers), Arc::clone(&cluster.addresses));
            let (stop, events, repeats) = (Arc::clone(&stop), Arc::clone(&events), Arc::clone(&repeats));
            std::thread::spawn(move || client(number, &sellers, &addresses, (&stop, &events, &repeats), size.between))
        })
        .collect();
    let began = Instant::now();
    let mut random = ChaCha8Rng::seed_from_u64(7);
    let mut takeovers = Vec::new();
    let mut frozen: Option<(Program, Instant)> = None;
    let mut round = 0;
    while began.elapsed() < size.length {
        pause(size.every);
        if let Some((program, _)) = frozen.take_if(|(_, since)| since.elapsed() >= size.frozen) {
            program.signal("CONT");
            cluster.running.push((format!("thawed-{round}"), program));
            cluster.tell();
        }
        let at = random.random_range(0..cluster.running.len());
        match round % 3 {
            0 => {
                let shards = cluster.shards_of(&cluster.running[at].0);
                let (name, program) = cluster.take(at);
                let killed_at = Instant::now();
                program.kill();
                let of_shards = |(n, seller): (usize, &Seller)| {
                    let served = !seller.is_timed && shards.contains(&shard_of(seller.id));
                    served.then_some(n).into_iter().flat_map(|n| (0..STORES).map(move |store| format!("{n}-{store}")))
                };
                let stores: BTreeSet<String> = sellers.iter().enumerate().flat_map(of_shards).collect();
                if !stores.is_empty() {
                    let took = until_served(&platform, &stores, killed_at);
                    println!("killed {name}; {} of its stores, the first of which was called again after {took:?}", stores.len());
                    takeovers.push(took.expect("another node takes over"));
                }
                cluster.start();
            }
            1 if frozen.is_none() => {
                let (name, program) = cluster.take(at);
                program.signal("STOP");
                println!("froze {name}");
                // Clients still come to it.
                cluster.addresses.lock().unwrap().push(program.address);
                frozen = Some((program, Instant::now()));
            }
            _ => {
                let (name, program) = cluster.take(at);
                let asked_at = Instant::now();
                program.signal("TERM");
                let (status, log) = program.wait_for_exit();
                println!("stopped {name} in {:?}", asked_at.elapsed());
                log.lines().filter(|line| line.contains(" WARN ")).for_each(|line| println!("  {line}"));
                assert_eq!(status, Some(0), "{log}");
                assert!(!log.contains("panicked"), "{log}");
                cluster.start();
            }
        }
        round += 1;
    }
    if let Some((program, _)) = frozen.take() {
        program.signal("CONT");
        cluster.running.push(("thawed".to_owned(), program));
    }
    stop.store(true, Ordering::Relaxed);
    let mut model = Model::new();
    for client in clients {
        client.join().expect("a client does not panic").into_iter().for_each(|(at, sum)| *model.entry(at).or_default() += sum);
    }
    let (sent, took) = (events.load(Ordering::Relaxed), began.elapsed());
    println!("{sent} events in {took:?}, {} requests repeated, takeovers {takeovers:?}", repeats.load(Ordering::Relaxed));
    let quiet_by = Instant::now() + Duration::from_secs(60);
    let mut left = wrong(&platform, &sellers, &model);
    while !left.is_empty() && Instant::now() < quiet_by {
        pause(Duration::from_millis(500));
        left = wrong(&platform, &sellers, &model);
    }
    assert_eq!(left, Vec::<String>::new());
    // Nothing arrives late, either.
    pause(Duration::from_secs(2));
    assert_eq!(wrong(&platform, &sellers, &model), Vec::<String>::new());
    println!("{} daily runs", check_runs(cluster.any(), &sellers));
    let overview = cluster.any().call("GET", "/admin/overview", OPERATOR_KEY, &Value::Null);
    let shards: u64 = overview["nodes"].as_array().unwrap().iter().map(|node| node["shards"].as_u64().unwrap()).sum();
    assert!(shards > 200, "{overview}");
}

#[test]
fn three_nodes_on_postgresql_of_which_one_after_another_fails_lose_and_duplicate_nothing() {
    Backend::on_postgres(three_nodes_of_which_one_after_another_fails_lose_and_duplicate_nothing);
}

#[test]
fn a_second_service_on_an_sqlite_database_is_refused_and_may_start_after_the_first_has_ended() {
    let database = TestDatabase::fresh(Backend::Sqlite);
    let first = Program::serve(&database, &[]);
    let refused = crate::program::output(&["serve", "--listen", "127.0.0.1:0", "--database", &database.url], &[]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.status.code() == Some(1) && said.contains("another service is running on"), "{said}");
    assert_eq!(first.ask("GET", "/readyz").status, 200);
    first.kill();
    let second = Program::serve(&database, &[]);
    assert_eq!(second.ask("GET", "/readyz").status, 200);
}
