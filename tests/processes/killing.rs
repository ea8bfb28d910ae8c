//! `kill -9` at instants that nobody chose, under load, while the platform loses answers: nothing is lost, nothing
//! comes twice.
use crate::database::{Backend, TestDatabase};
use crate::driver::{Driver, Verdict};
use crate::on_both_backends;
use crate::program::{Program, pause};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use std::time::Duration;

const KILLS: usize = 20;
/// The service lives until the platform was called so often, at most, and a moment more.
const CALLS: u64 = 12;
const MOMENT_MS: u64 = 40;
/// How often it is looked whether it was, at most: a life may also end before.
const LOOKS: usize = 150;

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
        let (calls, moment) = (random.random_range(0..=CALLS), Duration::from_millis(random.random_range(0..MOMENT_MS)));
        let made = lives_until(&platform, calls);
        pause(moment);
        service.kill();
        println!("kill {kill}: after {made} of {calls} calls and {moment:?}");
        service = Program::serve(&database, &[]);
        driver.goes_on_with(&service);
    }
    lives_until(&platform, CALLS);
    let repeats = driver.repeats();
    assert_eq!(driver.verdict(&service, &platform), Verdict::default());
    let stats = stats(&platform);
    println!("{repeats} requests repeated; the platform: {stats}");
    assert!(repeats >= KILLS, "the kills hit nobody: {repeats}");
    assert!(
        stats["faults"]["lose_answer"].as_u64() > Some(0) && stats["repeats"].as_u64() > Some(0),
        "the platform lost no answer: {stats}"
    );
}

fn stats(platform: &Program) -> Value {
    platform.call("GET", "/control/stats", "", &Value::Null)
}

/// How often the platform was called in this life.
fn lives_until(platform: &Program, calls: u64) -> u64 {
    let count = || stats(platform)["calls"].as_u64().unwrap();
    let before = count();
    for _ in 0..LOOKS {
        if count() - before >= calls {
            break;
        }
        pause(Duration::from_millis(10));
    }
    count() - before
}

on_both_backends![a_service_killed_twenty_times_under_load_loses_nothing_and_doubles_nothing];
