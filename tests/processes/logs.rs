//! The log: even at trace level, for every linked crate, it contains no secret; and if it breaks, nothing else does.
use crate::database::{Backend, TestDatabase};
use crate::driver::{Driver, Verdict};
use crate::program::{CREDENTIAL_KEY, OPERATOR_KEY, Program, pause};
use serde_json::{Value, json};
use std::time::Duration;

const TOKEN: &str = "tok-c0ffee-planted-secret";

#[test]
fn the_trace_log_reveals_no_secret() {
    let (database, platform) = (TestDatabase::fresh(Backend::Sqlite), Program::simulate_platform());
    let service = Program::serve(&database, &["log=trace"]);
    let created = service.call("POST", "/admin/sellers", OPERATOR_KEY, &json!({ "name": "Ada", "timezone": "UTC" }));
    let (key, id) = (created["api_key"].as_str().unwrap(), created["id"].as_str().unwrap());
    let second = service.call("POST", &format!("/admin/sellers/{id}/keys"), OPERATOR_KEY, &Value::Null);
    let store = json!({ "name": "corner", "platform": "simulated", "base_url": format!("http://{}", platform.address), "external_store": "corner",
        "credentials": { "token": TOKEN } });
    let store = service.call("POST", "/v1/stores", key, &store)["id"].as_str().unwrap().to_owned();
    service.call("PUT", &format!("/v1/stores/{store}/listings"), key, &json!([{ "sku": "A", "external_id": "a" }]));
    service.call("PUT", "/v1/sync-settings", key, &json!({ "auto_sync": true, "initial_overwrite": false }));
    service.call("POST", "/v1/stock-events", key, &json!({ "event_id": "e1", "sku": "A", "kind": "purchase", "quantity": 1 }));
    // Refused credentials take the path that logs the most.
    platform.call("PUT", "/control/faults", "", &json!({ "token": "another" }));
    service.call("POST", &format!("/v1/stores/{store}/check"), key, &Value::Null);
    service.call("POST", "/v1/stock-events", key, &json!({ "event_id": "e2", "sku": "A", "kind": "purchase", "quantity": 1 }));
    for _ in 0..100 {
        if service.call("GET", &format!("/v1/stores/{store}"), key, &Value::Null)["state"] == "needs_reauthorisation" {
            break;
        }
        pause(Duration::from_millis(50));
    }
    assert_eq!(service.call("GET", &format!("/v1/stores/{store}"), key, &Value::Null)["state"], "needs_reauthorisation");
    crate::program::call(
        service.address,
        "PATCH",
        &format!("/v1/stores/{store}"),
        key,
        &json!({ "credentials": { "token": TOKEN, "colour": TOKEN } }),
    )
    .unwrap();
    // In the wrong place, as a name.
    for (method, path, body) in [
        ("PATCH", format!("/v1/stores/{store}"), json!({ "credentials": { TOKEN: 1 } })),
        ("PUT", "/v1/sync-settings".to_owned(), json!({ TOKEN: 1 })),
        ("POST", "/v1/stock-events".to_owned(), json!([{ TOKEN: 1 }])),
    ] {
        let answer = crate::program::call(service.address, method, &path, key, &body).unwrap();
        assert!(!answer.text().contains(TOKEN), "{}", answer.text());
    }
    service.signal("TERM");
    let (status, log) = service.wait_for_exit();
    assert_eq!(status, Some(0), "{log}");
    assert!(log.contains("TRACE") && log.len() > 10_000, "the log is not at trace level");
    for secret in [TOKEN, OPERATOR_KEY, CREDENTIAL_KEY, key, second["api_key"].as_str().unwrap()] {
        let line = log.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "{secret} is in the log");
    }
}

#[test]
fn an_unwritable_log_stops_nothing() {
    let (database, platform) = (TestDatabase::fresh(Backend::Sqlite), Program::simulate_platform());
    let service = Program::serve_with_a_log_that_breaks(&database);
    let driver = Driver::start(17, &service, &platform);
    pause(Duration::from_secs(1));
    assert_eq!(driver.repeats(), 0, "requests went unanswered");
    assert_eq!(driver.verdict(&service, &platform), Verdict::default());
    service.signal("TERM");
    assert_eq!(service.wait_for_exit().0, Some(0));
}
