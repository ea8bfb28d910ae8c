//! `kill -9` at instants that nobody chose, under load, while the platform loses answers: nothing is lost, nothing
//! comes twice.
use crate::database::{Backend, TestDatabase};
use crate::driver::{Driver, Verdict};
use crate::on_both_backends;
use crate::program::{Program, pause};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::json;
use std::time::Duration;

const KILLS: usize = 20;
/// The service lives at most this long between two kills.
const LIVES_MS: u64 = 1500;

fn seed() -> u64 {
    std::env::var("STOCKTIDE_TEST_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(7304)
}

fn a_service_killed_twenty_times_under_load_loses_nothing_and_doubles_nothing(on: Backend) {
    let seed = seed();
    println!("STOCKTIDE_TEST_SEED={seed}");
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let (database, platform) = (TestDatabase::fresh(on), Program::simulate_platform());
    let faults = json!({ "lose_answer": 0.2, "error_after": 0.05, "cut": 0.05, "error_before": 0.05, "latency_ms": 20 });
    platform.call("PUT", "/control/faults", "", &faults);
    let mut service = Program::serve(&database, &[]);
    let driver = Driver::start(seed, &service, &platform);
    for kill in 1..=KILLS {
        let after = Duration::from_millis(random.random_range(0..LIVES_MS));
        println!("kill {kill} after {after:?}");
        pause(after);
        service.kill();
        service = Program::serve(&database, &[]);
        driver.goes_on_with(&service);
    }
    pause(Duration::from_millis(LIVES_MS));
    let repeats = driver.repeats();
    assert_eq!(driver.verdict(&service, &platform), Verdict::default());
    let stats = platform.call("GET", "/control/stats", "", &serde_json::Value::Null);
    println!("{repeats} requests repeated; the platform: {stats}");
    assert!(repeats >= KILLS, "the kills hit nobody: {repeats}");
    assert!(stats["faults"]["lose_answer"].as_u64().is_some_and(|count| count > 10), "the platform lost too few answers: {stats}");
}

on_both_backends![a_service_killed_twenty_times_under_load_loses_nothing_and_doubles_nothing];
