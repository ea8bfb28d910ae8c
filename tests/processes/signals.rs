//! SIGTERM and SIGINT: requests in progress are answered, calls in flight are awaited, and the exit status is 0.
use crate::database::{Backend, TestDatabase};
use crate::driver::{Driver, Verdict};
use crate::on_both_backends;
use crate::program::{Program, pause};
use serde_json::{Value, json};
use std::time::Duration;

/// Timeouts so long that only a stop could leave a push uncertain, however slow the machine is.
const PATIENT: [&str; 2] = ["request_timeout_ms=60000", "settle_ms=61000"];

fn a_service_stopped_under_load_exits_cleanly_and_loses_nothing(backend: Backend) {
    let (database, platform) = (TestDatabase::fresh(backend), Program::simulate_platform());
    platform.call("PUT", "/control/faults", "", &json!({ "latency_ms": 200 }));
    let mut service = Program::serve(&database, &PATIENT);
    let driver = Driver::start(1, &service, &platform);
    for signal in ["TERM", "INT", "TERM", "INT"] {
        pause(Duration::from_millis(700));
        service.signal(signal);
        let (status, log) = service.wait_for_exit();
        assert_eq!(status, Some(0), "{signal}:\n{log}");
        // The server says that if its worker has ended before it has stopped to accept connections.
        let own = log.replace("ERROR actix_server::accept: No workers", "");
        assert!(log.contains("stopped") && !own.contains(" ERROR ") && !log.contains("panicked"), "{log}");
        service = Program::serve(&database, &PATIENT);
        driver.switch_to(&service);
    }
    assert_eq!(driver.verdict(&service, &platform), Verdict::default());
    let stats = platform.call("GET", "/control/stats", "", &Value::Null);
    assert_eq!(stats["repeats"], 0, "a graceful stop leaves nothing uncertain, so nothing is sent again: {stats}");
}

#[test]
fn a_hangup_is_ignored_and_the_log_says_so_once() {
    let database = TestDatabase::fresh(Backend::Sqlite);
    let service = Program::serve(&database, &[]);
    for _ in 0..3 {
        service.signal("HUP");
        pause(Duration::from_millis(300));
        assert_eq!(service.ask("GET", "/healthz").status, 200);
    }
    service.signal("TERM");
    let (status, log) = service.wait_for_exit();
    assert!(status == Some(0) && log.matches("SIGHUP is ignored").count() == 1, "{status:?}\n{log}");
}

#[test]
fn the_simulated_platform_exits_cleanly_too() {
    for signal in ["TERM", "INT"] {
        let platform = Program::simulate_platform();
        platform.call("GET", "/control/stats", "", &Value::Null);
        platform.signal(signal);
        let (status, log) = platform.wait_for_exit();
        assert_eq!(status, Some(0), "{log}");
    }
}

on_both_backends![a_service_stopped_under_load_exits_cleanly_and_loses_nothing];
