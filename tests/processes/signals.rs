//! SIGTERM and SIGINT: whoever was being answered is, what was on its way comes back, the exit status is 0.
use crate::database::{Backend, TestDatabase};
use crate::driver::{Driver, Verdict};
use crate::on_both_backends;
use crate::program::{Program, pause};
use serde_json::{Value, json};
use std::time::Duration;

/// So patient that only a stop could leave a push uncertain, however slow the machine is.
const PATIENT: [&str; 2] = ["request_timeout_ms=60000", "settle_ms=61000"];

fn a_service_told_to_stop_under_load_ends_well_and_loses_nothing(on: Backend) {
    let (database, platform) = (TestDatabase::fresh(on), Program::simulate_platform());
    platform.call("PUT", "/control/faults", "", &json!({ "latency_ms": 200 }));
    let mut service = Program::serve(&database, &PATIENT);
    let driver = Driver::start(1, &service, &platform);
    for signal in ["TERM", "INT", "TERM", "INT"] {
        pause(Duration::from_millis(700));
        service.signal(signal);
        let (status, log) = service.ends();
        assert_eq!(status, Some(0), "{signal}:\n{log}");
        assert!(log.contains("stopped") && !log.contains(" ERROR ") && !log.contains("panicked"), "{log}");
        service = Program::serve(&database, &PATIENT);
        driver.goes_on_with(&service);
    }
    assert_eq!(driver.verdict(&service, &platform), Verdict::default());
    let stats = platform.call("GET", "/control/stats", "", &Value::Null);
    assert_eq!(stats["repeats"], 0, "after a graceful stop nothing is uncertain, so nothing is sent again: {stats}");
}

#[test]
fn the_simulated_platform_ends_well_too() {
    for signal in ["TERM", "INT"] {
        let platform = Program::simulate_platform();
        platform.call("GET", "/control/stats", "", &Value::Null);
        platform.signal(signal);
        let (status, log) = platform.ends();
        assert_eq!(status, Some(0), "{log}");
    }
}

on_both_backends![a_service_told_to_stop_under_load_ends_well_and_loses_nothing];
