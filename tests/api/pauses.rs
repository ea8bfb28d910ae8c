//! Pauses and frozen windows over HTTP: what they look like, who has made them, and what is refused.
use crate::database::Backend;
use crate::on_both_backends;
use crate::shapes::{has, is_instant};
use crate::support::{Api, Expect, Platform, until};
use chrono::TimeDelta;
use serde_json::{Value, json};
use stocktide::clock::Clock;

fn kinds(pauses: &Value) -> Vec<&str> {
    pauses["items"].as_array().unwrap().iter().map(|pause| pause["level"].as_str().unwrap()).collect()
}

/// A local time in Taipei, so many hours from now.
fn in_hours(hours: i64) -> String {
    let at = Clock::system().now() + TimeDelta::hours(hours);
    at.in_zone("Asia/Taipei".parse().unwrap()).format("%Y-%m-%dT%H:%M").to_string()
}

fn every_pause_says_who_has_paused_what_since_when_and_why(backend: Backend) {
    let (api, platform) = (Api::start(backend), Platform::start());
    let (ada, operator) = (api.seller("Ada"), api.operator());
    let store = ada.store("corner", platform.address, json!({ "external_store": "corner" }));
    ada.pair(&store, &["A", "B"]);
    ada.put("/v1/sync-settings", &json!({ "auto_sync": true, "initial_overwrite": false })).is(200);
    assert_eq!(ada.get("/v1/pauses").is(200)["items"], json!([]));
    let by = format!("key:{}", ada.key_id);
    let everything = ada.post("/v1/pause", &json!({ "reason": "Stocktaking" })).is(200);
    has(&everything, json!({ "level": "seller", "reason": "Stocktaking", "by": by, "until": null }));
    assert!(is_instant(&everything["since"]), "{everything}");
    assert_eq!(ada.post("/v1/pause", &json!({ "reason": "Again" })).is(200), everything, "the first one stays");
    let sku = ada.put("/v1/skus/A/pause", &json!({})).is(200);
    has(&sku, json!({ "level": "sku", "sku": "A", "by": by, "reason": null }));
    ada.patch(&format!("/v1/stores/{store}"), &json!({ "paused": true, "pause_reason": "Moving" })).is(200);
    let of_platform = operator.put("/admin/platforms/simulated/pause", &json!({ "reason": "Outage" })).is(200);
    has(&of_platform, json!({ "platform": "simulated", "stores": 1, "paused": true, "reason": "Outage" }));
    let window = ada.post("/v1/frozen-windows", &json!({ "name": "Sale", "from": in_hours(-1), "to": in_hours(1) })).is(201);
    let all = ada.get("/v1/pauses").is(200);
    assert_eq!(kinds(&all), ["platform", "seller", "store", "sku", "window"]);
    has(&all["items"][0], json!({ "platform": "simulated", "by": "operator", "reason": "Outage" }));
    has(&all["items"][2], json!({ "store_id": store, "by": by, "reason": "Moving" }));
    has(&all["items"][4], json!({ "window_id": window["id"], "name": "Sale", "until": window["ends_at"] }));
    let page = ada.get("/v1/pauses?limit=2").is(200);
    let rest = ada.get(&format!("/v1/pauses?cursor={}", page["next_cursor"].as_str().unwrap())).is(200);
    assert_eq!((kinds(&page).len(), kinds(&rest)), (2, vec!["store", "sku", "window"]));
    has(&ada.get(&format!("/v1/stores/{store}")).is(200), json!({ "state": "paused", "pause": { "level": "platform", "until": null } }));
    ada.event("e1", "A", "purchase", 5);
    ada.event("e2", "B", "purchase", 3);
    until("both are held", || (ada.get("/v1/pushes?state=held").is(200)["items"].as_array().unwrap().len() == 2).then_some(()));

    operator.delete("/admin/platforms/simulated/pause").is(204);
    ada.post("/v1/resume", &Value::Null).is(204);
    ada.patch(&format!("/v1/stores/{store}"), &json!({ "paused": false })).is(200);
    has(
        &ada.get(&format!("/v1/stores/{store}")).is(200),
        json!({ "state": "paused", "paused": false, "pause": { "level": "window", "until": window["ends_at"] } }),
    );
    ada.delete(&format!("/v1/frozen-windows/{}", window["id"].as_str().unwrap())).is(204);
    has(&ada.get(&format!("/v1/stores/{store}")).is(200), json!({ "state": "working", "pause": null }));
    until("B is sent", || (platform.simulator.quantity("corner", "B") == 3).then_some(()));
    assert_eq!((kinds(&ada.get("/v1/pauses").is(200)), platform.simulator.quantity("corner", "A")), (vec!["sku"], 0));
    ada.delete("/v1/skus/A/pause").is(204);
    ada.delete("/v1/skus/A/pause").is(204);
    until("A is sent", || (platform.simulator.quantity("corner", "A") == 5).then_some(()));
    let log = ada.get("/v1/audit").is(200);
    let actions: Vec<&str> = log["items"].as_array().unwrap().iter().map(|entry| entry["action"].as_str().unwrap()).collect();
    for action in ["paused", "resumed", "frozen_window.added", "frozen_window.removed"] {
        assert!(actions.contains(&action), "{actions:?}");
    }
    let log = operator.get("/admin/audit").is(200);
    has(&log["items"][0], json!({ "action": "platform.resumed", "subject": "simulated" }));
    assert_eq!(log["items"][0]["before"]["reason"], "Outage");
}

fn frozen_windows_are_listed_in_their_order_and_a_sync_in_one_is_refused_by_its_name(backend: Backend) {
    let (api, platform) = (Api::start(backend), Platform::start());
    let ada = api.seller("Ada");
    let stores = ["corner", "market"].map(|name| ada.store(name, platform.address, json!({})));
    let add = |name: &str, from: i64, to: i64, store_ids: Value| {
        ada.post("/v1/frozen-windows", &json!({ "name": name, "from": in_hours(from), "to": in_hours(to), "store_ids": store_ids })).is(201)
    };
    let later = add("Later", 48, 50, Value::Null);
    let sale = add("Sale", -2, 2, json!([stores[0]]));
    has(&sale, json!({ "name": "Sale", "from": in_hours(-2), "to": in_hours(2), "store_ids": [stores[0]], "active": true }));
    has(&later, json!({ "store_ids": null, "active": false }));
    assert!(is_instant(&sale["begins_at"]) && is_instant(&sale["ends_at"]), "{sale}");
    assert_eq!(ada.get("/v1/frozen-windows").is(200)["items"], json!([sale, later]));
    let page = ada.get("/v1/frozen-windows?limit=1").is(200);
    let rest = ada.get(&format!("/v1/frozen-windows?limit=1&cursor={}", page["next_cursor"].as_str().unwrap())).is(200);
    assert_eq!((&page["items"], &rest["items"]), (&json!([sale]), &json!([later])));
    let refused = ada.post("/v1/syncs", &json!({})).is_problem(409);
    assert!(refused["detail"].as_str().unwrap().contains("“Sale”"), "{refused}");
    ada.post("/v1/syncs", &json!({ "dry_run": true })).is(200);
    ada.post("/v1/syncs", &json!({ "store_ids": [stores[1]] })).is(202);
    for n in 0..48 {
        add(&format!("More {n}"), 100, 101, Value::Null);
    }
    ada.post("/v1/frozen-windows", &json!({ "name": "x", "from": in_hours(1), "to": in_hours(2) })).is_problem(409);
}

fn what_cannot_be_a_pause_or_a_window_is_refused_by_the_name_of_its_field(backend: Backend) {
    let api = Api::start(backend);
    let (ada, ben, operator) = (api.seller("Ada"), api.seller("Ben"), api.operator());
    let of_ben = ben.post("/v1/stores", &json!({ "name": "x", "platform": "simulated", "base_url": "http://127.0.0.1:9" })).is(201);
    ada.put("/v1/skus", &json!([{ "sku": "A" }])).is(200);
    ada.changes_nothing(|| {
        for reason in [json!(""), json!(7), json!("x".repeat(201)), json!("a\u{0}")] {
            for (caller, method, path) in
                [(&ada, "POST", "/v1/pause"), (&ada, "PUT", "/v1/skus/A/pause"), (&operator, "PUT", "/admin/platforms/simulated/pause")]
            {
                let body = json!({ "reason": reason }).to_string();
                caller.send_as(method, path, "application/json", body.as_bytes()).names(422, "/reason");
            }
        }
        ada.post("/v1/pause", &json!({ "until": "noon" })).names(422, "/until");
        ada.put("/v1/skus/B/pause", &json!({})).is_problem(404);
        ada.delete("/v1/skus/B/pause").is_problem(404);
        operator.put("/admin/platforms/bazaar/pause", &json!({})).is_problem(404);
        operator.delete("/admin/platforms/bazaar/pause").is_problem(404);
        let good = json!({ "name": "Sale", "from": in_hours(1), "to": in_hours(2) });
        for (field, values) in [
            ("name", vec![json!(""), json!(7), json!("x".repeat(201)), Value::Null]),
            (
                "from",
                vec![
                    json!(""),
                    json!("tomorrow"),
                    json!("2026-12-24"),
                    json!("2026-12-24T18:00Z"),
                    json!("2026-02-30T18:00"),
                    json!(7),
                    json!("2999-01-01T00:00"),
                ],
            ),
            ("to", vec![json!(""), json!("24:00"), json!(in_hours(1)), json!(in_hours(-5)), json!(in_hours(24 * 100)), Value::Null]),
            ("store_ids", vec![json!([]), json!("all"), json!([7]), json!(["x"])]),
            ("colour", vec![json!("red")]),
        ] {
            for value in values {
                let mut body = good.clone();
                body[field] = value.clone();
                let answer = ada.post("/v1/frozen-windows", &body);
                let problem = answer.is_problem(422);
                let named = |error: &Value| error["pointer"].as_str().is_some_and(|pointer| pointer.starts_with(&format!("/{field}")));
                let far = field == "from" && value == "2999-01-01T00:00";
                assert!(far || problem["errors"].as_array().unwrap().iter().any(named), "{body}: {problem}");
            }
        }
        let mut foreign = good.clone();
        foreign["store_ids"] = json!([of_ben["id"]]);
        ada.post("/v1/frozen-windows", &foreign).names(404, "/store_ids/0");
        ada.delete("/v1/frozen-windows/7").is_problem(404);
    });
    assert_eq!(operator.get("/admin/platforms").is(200)["items"].as_array().unwrap().iter().filter(|p| p["paused"] == true).count(), 0);
}

fn a_store_in_rehearsal_is_paused_until_it_goes_live(backend: Backend) {
    let (api, platform) = (Api::start(backend), Platform::start());
    let (ada, ben) = (api.seller("Ada"), api.seller("Ben"));
    let store = ada.store("corner", platform.address, json!({ "rehearsal": true }));
    let (here, go_live) = (format!("/v1/stores/{store}"), format!("/v1/stores/{store}/go-live"));
    has(&ada.get(&here).is(200), json!({ "rehearsal": true, "paused": true, "state": "paused" }));
    has(&ada.get("/v1/pauses").is(200)["items"][0], json!({ "level": "store", "reason": "In rehearsal until it goes live" }));
    ada.pair(&store, &["A"]);
    ben.post(&go_live, &json!({})).is_problem(404);
    ada.post(&go_live, &json!({ "overwrite": "yes" })).is_problem(422);
    ada.post(&go_live, &json!({ "now": true })).is_problem(422);
    has(&ada.get(&here).is(200), json!({ "rehearsal": true }));
    let live = ada.post(&go_live, &json!({ "overwrite": true })).is(200);
    has(&live["store"], json!({ "rehearsal": false, "paused": false, "state": "working" }));
    let sync = format!("/v1/syncs/{}", live["sync_id"].as_str().unwrap());
    until("the overwrite", || Some(ada.get(&sync).is(200)).filter(|sync| sync["state"] == "finished" && sync["done"] == 1));
    ada.post(&go_live, &json!({})).is_problem(409);
    let refused = ada.patch(&here, &json!({ "rehearsal": true })).is_problem(422);
    assert_eq!(refused["errors"][0]["pointer"], "/rehearsal");
    let other = ada.store("other", platform.address, json!({ "rehearsal": true }));
    has(&ada.patch(&format!("/v1/stores/{other}"), &json!({ "paused": false })).is(200), json!({ "rehearsal": false, "paused": false }));
}

on_both_backends![
    a_store_in_rehearsal_is_paused_until_it_goes_live,
    every_pause_says_who_has_paused_what_since_when_and_why,
    frozen_windows_are_listed_in_their_order_and_a_sync_in_one_is_refused_by_its_name,
    what_cannot_be_a_pause_or_a_window_is_refused_by_the_name_of_its_field,
];
