//! Secrets stay where they belong, even when a platform repeats everything it is sent: they are in no file of the service, no
//! line of its log, and no answer.
use crate::client::{exchange, request};
use crate::database::{Backend, TestDatabase};
use crate::program::{CREDENTIAL_KEY, OPERATOR_KEY, Program, call, pause};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

/// It is changed by every encoding.
const TOKEN: &str = "tok/c0ffee+planted&secret=1";
const SECOND_TOKEN: &str = "the/second+planted&token=2";

/// A secret as it is, percent-encoded, in JSON and in base64.
fn forms(secret: &str) -> Vec<Vec<u8>> {
    let encoded: String =
        secret
            .bytes()
            .map(|byte| {
                if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }
            })
            .collect();
    let base64 = STANDARD.encode(secret).trim_end_matches('=').to_owned();
    [secret.to_owned(), encoded, secret.replace('/', "\\/"), base64].map(String::into_bytes).to_vec()
}

fn finds(text: &[u8], secret: &[u8]) -> bool {
    text.windows(secret.len()).any(|part| part == secret)
}

/// Everything that a seller and the operator can read about these stores and pushes.
fn answers(service: &Program, key: &str, cookie: &str) -> Vec<(String, Vec<u8>)> {
    let get = |path: &str, headers: &[(&str, &str)]| {
        let answer = exchange(service.address, &request("GET", path, headers, None)).unwrap();
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        (path.to_owned(), answer.body)
    };
    let (bearer, operator) = (format!("Bearer {key}"), format!("Bearer {OPERATOR_KEY}"));
    let own = [("authorization", bearer.as_str())];
    let mut all: Vec<(String, Vec<u8>)> = Vec::new();
    for path in ["/v1/stores", "/v1/pushes?limit=1000", "/v1/audit?limit=1000", "/v1/syncs", "/v1/skus", "/v1/sync-settings"] {
        all.push(get(path, &own));
    }
    let ids = |path: &str| -> Vec<String> {
        let list = service.call("GET", path, key, &Value::Null);
        list["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
    };
    for id in ids("/v1/pushes?limit=1000") {
        all.push(get(&format!("/v1/pushes/{id}"), &own));
        all.push(get(&format!("/console/records/pushes/{id}"), &[("cookie", cookie)]));
    }
    for id in ids("/v1/stores") {
        all.push(get(&format!("/v1/stores/{id}"), &own));
        all.push(get(&format!("/v1/stores/{id}/listings"), &own));
        all.push(get(&format!("/console/stores/{id}"), &[("cookie", cookie)]));
    }
    for path in ["/console/sales-channel", "/console/records", "/console/stock"] {
        all.push(get(path, &[("cookie", cookie)]));
    }
    for path in ["/admin/sellers", "/admin/overview"] {
        all.push(get(path, &[("authorization", operator.as_str())]));
    }
    all.push(get("/metrics", &[]));
    all
}

fn session(service: &Program, key: &str) -> String {
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let answer = exchange(service.address, &request("POST", "/console/sign-in", &form, Some(format!("key={key}").as_bytes()))).unwrap();
    assert_eq!(answer.status, 303, "{}", answer.text());
    answer.header("set-cookie").unwrap().split(';').next().unwrap().to_owned()
}

/// Asks for something that may be refused.
fn ask(service: &Program, method: &str, path: &str, key: &str, body: &Value) -> (String, Vec<u8>) {
    (format!("{method} {path}"), call(service.address, method, path, key, body).unwrap().body)
}

#[test]
fn a_secret_that_a_platform_repeats_is_kept_logged_and_answered_nowhere() {
    let (database, platform) = (TestDatabase::fresh(Backend::Sqlite), Program::simulate_platform());
    let service = Program::serve(&database, &["log=trace"]);
    let created = service.call("POST", "/admin/sellers", OPERATOR_KEY, &json!({ "name": "Ada", "timezone": "UTC" }));
    let key = created["api_key"].as_str().unwrap();
    let cookie = session(&service, key);
    let faults = |faults: Value| drop(platform.call("PUT", "/control/faults", "", &faults));
    let store = json!({ "name": "corner", "platform": "simulated", "base_url": format!("http://{}", platform.address),
        "external_store": "corner", "credentials": { "token": TOKEN } });
    let store = service.call("POST", "/v1/stores", key, &store)["id"].as_str().unwrap().to_owned();
    let rows = ["A", "B", "C"].map(|sku| json!({ "sku": sku, "external_id": sku }));
    service.call("PUT", &format!("/v1/stores/{store}/listings"), key, &json!(rows));
    service.call("PUT", "/v1/sync-settings", key, &json!({ "auto_sync": true, "initial_overwrite": false }));
    let mut told: Vec<(String, Vec<u8>)> = Vec::new();
    let mut number = 0;
    // Every kind of answer that leaves a reason behind: an item refused, a call refused, an error, throttling, no key.
    for fault in [
        json!({ "repeat": true }),
        json!({ "repeat": true, "reject_items": ["A"] }),
        json!({ "repeat": true, "poison_items": ["B"] }),
        json!({ "repeat": true, "error_after": 0.5, "error_before": 0.5 }),
        json!({ "repeat": true, "throttle": 1.0, "retry_after_s": 0.1 }),
        json!({ "repeat": true, "unauthorized": true }),
    ] {
        faults(fault);
        for sku in ["A", "B", "C"] {
            number += 1;
            let event = json!({ "event_id": format!("e{number}"), "sku": sku, "kind": "purchase", "quantity": 1 });
            service.call("POST", "/v1/stock-events", key, &event);
        }
        pause(Duration::from_millis(700));
        told.push(ask(&service, "POST", &format!("/v1/stores/{store}/check"), key, &Value::Null));
        told.push(ask(&service, "POST", &format!("/v1/stores/{store}/discover"), key, &json!({})));
        told.push(ask(&service, "POST", "/v1/syncs", key, &json!({ "dry_run": true })));
    }
    told.extend(answers(&service, key, &cookie));
    // A new token takes the place of the refused one, and a token is sent where a name belongs.
    let entered = json!({ "credentials": { "token": SECOND_TOKEN } });
    told.push(ask(&service, "PATCH", &format!("/v1/stores/{store}"), key, &entered));
    told.push(ask(&service, "PATCH", &format!("/v1/stores/{store}"), key, &json!({ "credentials": { SECOND_TOKEN: "x", "token": "y" } })));
    told.push(ask(&service, "PATCH", &format!("/v1/stores/{store}"), key, &json!({ SECOND_TOKEN: "x" })));
    told.push(ask(&service, "POST", "/v1/stock-events", key, &json!({ SECOND_TOKEN: "x" })));
    faults(json!({ "repeat": true, "reject_items": ["A", "B", "C"] }));
    pause(Duration::from_millis(700));
    told.extend(answers(&service, key, &cookie));
    let pushes = service.call("GET", "/v1/pushes?limit=1000", key, &Value::Null);
    assert!(pushes.to_string().contains("***"), "nothing was repeated, so nothing was tested: {pushes}");
    // The write-ahead log still holds every version of every page.
    let file = database.url.trim_start_matches("sqlite://").to_owned();
    for entry in std::fs::read_dir(Path::new(&file).parent().unwrap()).unwrap() {
        let path = entry.unwrap().path();
        told.push((path.display().to_string(), std::fs::read(&path).unwrap()));
    }
    service.signal("TERM");
    let (status, log) = service.wait_for_exit();
    assert_eq!(status, Some(0), "{log}");
    told.push(("the log".to_owned(), log.into_bytes()));
    told.push((file.clone(), std::fs::read(&file).unwrap()));
    let token_of_session = cookie.split('=').nth(1).unwrap();
    for secret in [TOKEN, SECOND_TOKEN, OPERATOR_KEY, CREDENTIAL_KEY, key, token_of_session] {
        for (form, (place, text)) in forms(secret).iter().flat_map(|form| told.iter().map(move |told| (form, told))) {
            let line = || String::from_utf8_lossy(text).lines().find(|line| finds(line.as_bytes(), form)).map(str::to_owned);
            assert!(!finds(text, form), "{secret} is in {place}: {:?}", line());
        }
    }
}
