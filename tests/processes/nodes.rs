//! Three processes on one PostgreSQL database, behind clients that send each event to the next one in turn, while one of the three is
//! killed, frozen and continued, or stopped, every few seconds: nothing is lost, nothing is duplicated, and each daily run takes
//! place once.
//!
//! The long version, with 300 sellers and for five minutes, runs if `STOCKTIDE_TEST_NODES=long`.
use crate::database::{Backend, TestDatabase};
use crate::fleet::{Clients, Fleet, LEASE, STORES, Seller, assert_right, create_sellers};
use crate::program::{OPERATOR_KEY, Program, pause};
use diesel::{Connection, PgConnection, RunQueryDsl};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use stocktide::domain::leases::shard_of;
use tokio::time::Instant;

/// Generous, because a debug build on a busy machine is slow; what it takes is printed.
const SERVED_WITHIN: Duration = Duration::from_secs(40);

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

/// The shards that a node holds.
fn shards_of(database: &TestDatabase, name: &str) -> BTreeSet<i16> {
    #[derive(diesel::QueryableByName)]
    struct Row {
        #[diesel(sql_type = diesel::sql_types::SmallInt)]
        shard: i16,
    }
    let mut conn = PgConnection::establish(&database.url).unwrap();
    let query = diesel::sql_query("SELECT shard FROM shards JOIN nodes ON nodes.id = shards.node WHERE nodes.name = $1");
    let rows: Vec<Row> = query.bind::<diesel::sql_types::Text, _>(name).load(&mut conn).unwrap();
    rows.into_iter().map(|row| row.shard).collect()
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
    let mut fleet = Fleet::on(&database);
    (0..3).for_each(|_| fleet.start());
    let sellers = Arc::new(create_sellers(fleet.any(), &platform, size.sellers));
    platform.call("PUT", "/control/faults", "", &json!({ "lose_answer": 0.02, "latency_ms": 20, "error_before": 0.01 }));
    let clients = Clients::start(&sellers, &fleet.addresses, size.between);
    let began = Instant::now();
    let mut random = ChaCha8Rng::seed_from_u64(7);
    let mut takeovers = Vec::new();
    let mut frozen: Option<(Program, Instant)> = None;
    let mut round = 0;
    while began.elapsed() < size.length {
        pause(size.every);
        if let Some((program, _)) = frozen.take_if(|(_, since)| since.elapsed() >= size.frozen) {
            program.signal("CONT");
            fleet.running.push((format!("thawed-{round}"), program));
            fleet.tell();
        }
        let at = random.random_range(0..fleet.running.len());
        match round % 3 {
            0 => {
                let shards = shards_of(&database, &fleet.running[at].0);
                let (name, program) = fleet.take(at);
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
                fleet.start();
            }
            1 if frozen.is_none() => {
                let (name, program) = fleet.take(at);
                program.signal("STOP");
                println!("froze {name}");
                // Clients still come to it.
                fleet.addresses.lock().unwrap().push(program.address);
                frozen = Some((program, Instant::now()));
            }
            _ => {
                fleet.stop(at);
                fleet.start();
            }
        }
        round += 1;
    }
    if let Some((program, _)) = frozen.take() {
        program.signal("CONT");
        fleet.running.push(("thawed".to_owned(), program));
    }
    let (sent, repeats, took) = (Arc::clone(&clients.events), Arc::clone(&clients.repeats), began.elapsed());
    let model = clients.stop();
    let (sent, repeats) = (sent.load(Ordering::Relaxed), repeats.load(Ordering::Relaxed));
    println!("{sent} events in {took:?}, {repeats} requests repeated, takeovers {takeovers:?}");
    assert_right(&platform, &sellers, &model);
    println!("{} daily runs", check_runs(fleet.any(), &sellers));
    let overview = fleet.any().call("GET", "/admin/overview", OPERATOR_KEY, &Value::Null);
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
