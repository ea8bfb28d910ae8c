//! `kill -9` at random instants, under load, while the platform loses answers: nothing is lost, nothing is duplicated.
use crate::database::{Backend, TestDatabase};
use crate::driver::{Driver, Verdict};
use crate::on_both_backends;
use crate::program::{Program, pause};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use std::time::Duration;

const KILLS: usize = 20;
/// Each kill waits for up to this many calls to the platform, and then for up to `DELAY_MS`.
const CALLS: u64 = 12;
const DELAY_MS: u64 = 40;
/// Polls, 10 ms apart, before the service is killed even though fewer calls were made.
const POLLS: usize = 150;

fn seed() -> u64 {
    std::env::var("STOCKTIDE_TEST_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(7304)
}

fn a_service_killed_twenty_times_under_load_loses_and_duplicates_nothing(backend: Backend) {
    let seed = seed();
    println!("STOCKTIDE_TEST_SEED={seed}");
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let (database, platform) = (TestDatabase::fresh(backend), Program::simulate_platform());
    let faults = json!({ "lose_answer": 0.2, "error_after": 0.05, "cut": 0.05, "error_before": 0.05, "latency_ms": 20 });
    platform.call("PUT", "/control/faults", "", &faults);
    // The next process takes the place of the one before.
    let settings = ["node=the-only-one"];
    let mut service = Program::serve(&database, &settings);
    let driver = Driver::start(seed, &service, &platform);
    for kill in 1..=KILLS {
        let (calls, delay) = (random.random_range(0..=CALLS), Duration::from_millis(random.random_range(0..DELAY_MS)));
        let made = wait_for_calls(&platform, calls);
        pause(delay);
        service.kill();
        println!("kill {kill}: after {made} of {calls} calls and {delay:?}");
        service = Program::serve(&database, &settings);
        driver.switch_to(&service);
    }
    wait_for_calls(&platform, CALLS);
    let repeats = driver.repeats();
    assert_eq!(driver.verdict(&service, &platform), Verdict::default());
    let stats = stats(&platform);
    println!("{repeats} requests repeated; platform statistics: {stats}");
    assert!(repeats >= KILLS, "the kills hit hardly any request: {repeats}");
    assert!(
        stats["faults"]["lose_answer"].as_u64() > Some(0) && stats["repeats"].as_u64() > Some(0),
        "the platform lost no answer: {stats}"
    );
}

fn stats(platform: &Program) -> Value {
    platform.call("GET", "/control/stats", "", &Value::Null)
}

/// Waits until the platform has been called this often, within limits; returns how often it was.
fn wait_for_calls(platform: &Program, calls: u64) -> u64 {
    let count = || stats(platform)["calls"].as_u64().unwrap();
    let before = count();
    for _ in 0..POLLS {
        if count() - before >= calls {
            break;
        }
        pause(Duration::from_millis(10));
    }
    count() - before
}

on_both_backends![a_service_killed_twenty_times_under_load_loses_and_duplicates_nothing];
