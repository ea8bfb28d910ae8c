//! The happy path of every endpoint, with the agreed names and shapes.
use crate::database::Backend;
use crate::on_both_backends;
use crate::support::{Api, Caller, Expect, Platform, until};
use serde_json::{Value, json};

/// Asserts that these members are present with these values.
#[track_caller]
pub fn has(value: &Value, members: Value) {
    for (name, expected) in members.as_object().unwrap() {
        assert_eq!(&value[name], expected, "{name} of {value}");
    }
}

/// Asserts that these members are present, with any value.
#[track_caller]
fn has_names(value: &Value, names: &[&str]) {
    for name in names {
        assert!(value.get(name).is_some(), "{name} is missing in {value}");
    }
}

fn is_id(value: &Value) -> bool {
    value.as_str().and_then(|text| uuid::Uuid::parse_str(text).ok()).is_some_and(|id| id.get_version_num() == 7)
}

pub fn is_instant(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.ends_with('Z') && text.parse::<chrono::DateTime<chrono::Utc>>().is_ok())
}

fn the_operator_manages_sellers_and_their_keys(backend: Backend) {
    let api = Api::start(backend);
    let operator = api.operator();
    let created = operator.post("/admin/sellers", &json!({ "name": "Ada", "timezone": "Asia/Taipei" })).is(201);
    has(&created, json!({ "name": "Ada", "timezone": "Asia/Taipei", "suspended": false }));
    assert!(is_id(&created["id"]) && is_instant(&created["created_at"]), "{created}");
    let key = created["api_key"].as_str().unwrap();
    assert!(key.len() >= 40);
    let path = format!("/admin/sellers/{}", created["id"].as_str().unwrap());
    let read = operator.get(&path).is(200);
    has(&read, json!({ "id": created["id"], "name": "Ada", "timezone": "Asia/Taipei" }));
    assert!(read.get("api_key").is_none(), "the key is shown once: {read}");
    has(&operator.patch(&path, &json!({ "name": "Ada & Sons" })).is(200), json!({ "name": "Ada & Sons", "suspended": false }));
    let listed = operator.get("/admin/sellers").is(200);
    has(&listed["items"][0], json!({ "id": created["id"], "name": "Ada & Sons" }));
    assert_eq!(listed["next_cursor"], Value::Null);

    let second = operator.post(&format!("{path}/keys"), &json!({ "name": "warehouse" })).is(201);
    assert_eq!(second["name"], "warehouse");
    operator.post(&format!("{path}/keys"), &json!({ "name": " " })).names(422, "/name");
    assert!(is_id(&second["id"]) && second["api_key"] != created["api_key"]);
    for key in [key, second["api_key"].as_str().unwrap()] {
        assert_eq!(api.call("GET", "/v1/stores", key, None).status, 200);
    }
    operator.delete(&format!("{path}/keys/{}", created["key_id"].as_str().unwrap())).is(204);
    assert_eq!(api.call("GET", "/v1/stores", key, None).status, 401);
    let keys = operator.get(&format!("{path}/keys")).is(200);
    assert!(is_instant(&keys["items"][0]["revoked_at"]) && keys["items"][1]["revoked_at"].is_null(), "{keys}");
    assert!(keys["items"][0].get("api_key").is_none());
    assert_eq!((&keys["items"][0]["name"], &keys["items"][1]["name"]), (&Value::Null, &json!("warehouse")));
    let first_page = operator.get(&format!("{path}/keys?limit=1")).is(200);
    assert_eq!(first_page["items"].as_array().unwrap().len(), 1);
    let rest = operator.get(&format!("{path}/keys?cursor={}", first_page["next_cursor"].as_str().unwrap())).is(200);
    assert_eq!(rest["items"][0]["id"], second["id"]);

    let overview = operator.get("/admin/overview").is(200);
    has(&overview, json!({ "sellers": 1, "stores": 0, "queue_depth": {} }));
    has_names(&overview, &["active_actors", "events_per_second", "pushes_per_second", "nodes"]);
    operator.delete(&path).is(204);
    operator.get(&path).is_problem(404);
}

fn sync_settings_can_be_read_and_changed(backend: Backend) {
    let api = Api::start(backend);
    let ada = api.seller("Ada");
    let first = json!({ "auto_sync": false, "frequency": "incremental", "daily_at": "03:30", "timezone": "Asia/Taipei", "catch_up_hours": 4,
        "allocation_mode": "shared", "buffer": 0, "trigger_on_cancellation": false, "create_skus": true, "guard": { "zero_percent": 30, "units": null },
        "drift": "off" });
    has(&ada.get("/v1/sync-settings").is(200), first);
    let all = json!({ "auto_sync": true, "frequency": "timed_full", "daily_at": "23:59", "timezone": "America/St_Johns", "catch_up_hours": 0,
        "allocation_mode": "exclusive", "buffer": 7, "trigger_on_cancellation": true, "create_skus": false, "guard": { "zero_percent": null, "units": 500 },
        "drift": "correct_down" });
    let mut change = all.clone();
    change["initial_overwrite"] = json!(false);
    let changed = ada.put("/v1/sync-settings", &change).is(200);
    has(&changed, all.clone());
    assert!(is_instant(&changed["next_run_at"]), "{changed}");
    assert!(changed.get("initial_sync_id").is_none());
    let got = ada.get("/v1/sync-settings").is(200);
    has(&got, all);
    assert_eq!(ada.put("/v1/sync-settings", &got).is(200), got, "what a GET answered can be sent back");
    has(&ada.put("/v1/sync-settings", &json!({})).is(200), json!({ "buffer": 7, "auto_sync": true }));
    let one = ada.put("/v1/sync-settings", &json!({ "guard": { "zero_percent": 0 } })).is(200);
    has(&one, json!({ "guard": { "zero_percent": 0, "units": 500 } }));

    ada.put("/v1/sync-settings", &json!({ "auto_sync": false })).is(200);
    let on_again = ada.put("/v1/sync-settings", &json!({ "auto_sync": true })).is(200);
    has(&on_again, json!({ "frequency": "timed_full" }));
    let both = ada.put("/v1/sync-settings", &json!({ "frequency": "incremental_and_daily" })).is(200);
    assert!(both["frequency"] == "incremental_and_daily" && is_instant(&both["next_run_at"]), "{both}");
    let runs = ada.get("/v1/syncs").is(200);
    has(&runs["items"][0], json!({ "id": on_again["initial_sync_id"], "kind": "initial" }));
    ada.put("/v1/sync-settings", &json!({ "auto_sync": true })).is(200);
    assert_eq!(ada.get("/v1/syncs").is(200)["items"].as_array().unwrap().len(), 1, "only a change from off to on starts a sync");
}

fn warehouses_come_and_go_but_main_stays(backend: Backend) {
    let api = Api::start(backend);
    let ada = api.seller("Ada");
    has(&ada.get("/v1/warehouses").is(200)["items"][0], json!({ "code": "main" }));
    has(&ada.post("/v1/warehouses", &json!({ "code": "ost/1", "name": "Ost" })).is(201), json!({ "code": "ost/1", "name": "Ost" }));
    has(&ada.post("/v1/warehouses", &json!({ "code": "倉庫" })).is(201), json!({ "code": "倉庫", "name": "倉庫" }));
    has(&ada.patch("/v1/warehouses/ost%2F1", &json!({ "name": "East" })).is(200), json!({ "code": "ost/1", "name": "East" }));
    has(&ada.patch("/v1/warehouses/%E5%80%89%E5%BA%AB", &json!({ "name": "Depot" })).is(200), json!({ "code": "倉庫", "name": "Depot" }));
    let again = ada.post("/v1/warehouses", &json!({ "code": "main", "name": "x" })).is_problem(409);
    assert!(again["detail"].as_str().unwrap().contains("main"), "{again}");
    ada.delete("/v1/warehouses/ost%2F1").is(204);
    ada.delete("/v1/warehouses/ost%2F1").is_problem(404);
    ada.delete("/v1/warehouses/main").is_problem(409);
    let stocked = json!({ "event_id": "e", "sku": "S", "kind": "purchase", "quantity": 2, "warehouse": "倉庫" });
    ada.post("/v1/stock-events", &stocked).is(200);
    let refused = ada.delete("/v1/warehouses/%E5%80%89%E5%BA%AB").is_problem(409);
    assert!(refused["detail"].as_str().unwrap().contains("SKU S"), "{refused}");
}

fn stores_keep_their_settings_and_hide_their_credentials(backend: Backend) {
    let (api, platform) = (Api::start(backend), Platform::start());
    let ada = api.seller("Ada");
    ada.post("/v1/warehouses", &json!({ "code": "north" })).is(201);
    let url = format!("http://{}", platform.address);
    let body = json!({ "name": "Corner", "platform": "simulated", "base_url": url, "credentials": { "token": "tok-secret" }, "warehouses": ["north", "main"],
        "share_percent": 33.33, "external_store": "corner", "abilities": { "adjust": true, "max_items": 7 }, "rate_limit": { "per_second": 5, "burst": 9 } });
    let created = ada.post("/v1/stores", &body).is(201);
    has(
        &created,
        json!({ "name": "Corner", "platform": "simulated", "base_url": url, "warehouses": ["main", "north"], "share_percent": 33.33,
        "sync_enabled": true, "external_store": "corner", "abilities": { "adjust": true, "max_items": 7 }, "rate_limit": { "per_second": 5, "burst": 9 } }),
    );
    assert!(is_id(&created["id"]) && created.get("credentials").is_none(), "{created}");
    let path = format!("/v1/stores/{}", created["id"].as_str().unwrap());
    let mut read = ada.get(&path).is(200);
    let figures = read.as_object_mut().unwrap().remove("listings").unwrap();
    has(&figures, json!({ "total": 0, "differ_from_target": 0, "never_checked": 0, "partly": false, "with_own_rules": 0 }));
    assert_eq!(read, created);
    assert_eq!(ada.get("/v1/stores").is(200)["items"], json!([created]));

    platform.simulator.set_faults(stocktide::simulator::Faults { token: Some("tok-other".into()), ..Default::default() });
    let check = ada.post(&format!("{path}/check"), &Value::Null).is(200);
    assert!(check["ok"] == false && check["reason"].is_string(), "{check}");
    let changed = ada
        .patch(&path, &json!({ "credentials": { "token": "tok-other" }, "warehouses": null, "share_percent": null, "rate_limit": null }))
        .is(200);
    has(&changed, json!({ "name": "Corner", "warehouses": null, "share_percent": null, "external_store": "corner" }));
    assert!(changed.get("rate_limit").is_none());
    let check = ada.post(&format!("{path}/check"), &Value::Null).is(200);
    assert!(check["ok"] == true && check["note"].as_str().is_some_and(|note| note.contains("written to")), "{check}");

    let plain = ada.post("/v1/stores", &json!({ "name": "Plain", "platform": "simulated", "base_url": url })).is(201);
    has(&plain, json!({ "share_percent": 100, "sync_enabled": true, "warehouses": null }));
    has(&plain, json!({ "protect_unseen_sales": true, "unseen_sales_hours": 72, "sales_named_at": null }));
    has(&plain, json!({ "pushed_falls": [], "restocks_returns": false, "restocks_cancellations": false }));
    let unprotected = ada.patch(&path, &json!({ "protect_unseen_sales": false, "unseen_sales_hours": 24 })).is(200);
    has(&unprotected, json!({ "protect_unseen_sales": false, "unseen_sales_hours": 24 }));
    has(&ada.patch(&path, &json!({ "paused": true })).is(200), json!({ "paused": true, "state": "paused" }));
    ada.delete(&path).is(204);
    ada.get(&path).is_problem(404);
}

fn listings_are_paired_in_bulk_as_json_and_as_csv(backend: Backend) {
    let (api, platform) = (Api::start(backend), Platform::start());
    let ada = api.seller("Ada");
    let path = format!("/v1/stores/{}/listings", ada.store("corner", platform.address, json!({})));
    let rows = json!([{ "sku": "A", "external_id": "a" }, { "sku": "赤い靴", "external_id": "b" }]);
    let created = ada.put(&path, &rows).is(200);
    has(&created, json!({ "created": 2, "updated": 0, "unchanged": 0, "rejected": 0 }));
    has(&created["results"][1], json!({ "row": 1, "external_id": "b", "status": "created" }));
    let csv = "\u{feff}External_ID,sku\r\na,A\r\nb,\"B, large\"\r\nc,C\r\n";
    let again = ada.send_as("PUT", &path, "text/csv; charset=utf-8", csv.as_bytes()).is(200);
    has(&again, json!({ "created": 1, "updated": 1, "unchanged": 1, "rejected": 0 }));
    let listed = ada.get(&path).is(200);
    let pairs: Vec<(&str, &str)> =
        listed["items"].as_array().unwrap().iter().map(|l| (l["external_id"].as_str().unwrap(), l["sku"].as_str().unwrap())).collect();
    assert_eq!(pairs, [("a", "A"), ("b", "B, large"), ("c", "C")]);
    has_names(&listed["items"][0], &["id", "store_id", "shown", "created_at"]);
    let one = format!("{path}/{}", listed["items"][0]["id"].as_str().unwrap());
    ada.delete(&one).is(204);
    ada.delete(&one).is_problem(404);
    assert_eq!(ada.get(&path).is(200)["items"].as_array().unwrap().len(), 2);
}

fn skus_can_be_named_and_rules_can_be_set(backend: Backend) {
    let (api, platform) = (Api::start(backend), Platform::start());
    let ada = api.seller("Ada");
    let store = ada.store("corner", platform.address, json!({}));
    let saved = ada.put("/v1/skus", &json!([{ "sku": "A", "name": "Red shoe" }, { "sku": "B" }])).is(200);
    assert_eq!(saved["results"], json!([{ "sku": "A", "status": "created" }, { "sku": "B", "status": "created" }]));
    let again = ada.put("/v1/skus", &json!([{ "sku": "A" }, { "sku": "B", "name": "Blue" }, { "sku": "A ½" }])).is(200);
    let states: Vec<&str> = again["results"].as_array().unwrap().iter().map(|r| r["status"].as_str().unwrap()).collect();
    assert_eq!(states, ["unchanged", "updated", "created"]);
    ada.put("/v1/skus", &json!([{ "sku": "B", "name": null }])).is(200);
    let listed = ada.get("/v1/skus").is(200);
    has(&listed["items"][0], json!({ "sku": "A", "name": "Red shoe", "paired": false }));
    has(&listed["items"][2], json!({ "sku": "B", "name": null }));

    let rules = json!([{ "buffer": 1 }, { "sku": "A", "share_percent": 12.5 }, { "store_id": store, "max_shown": 9 },
        { "sku": "A", "store_id": store, "threshold": 3, "sync_enabled": false }]);
    assert_eq!(ada.put("/v1/rules", &rules).is(200), json!({ "saved": 4, "removed": 0 }));
    let kept = ada.get("/v1/rules").is(200);
    assert_eq!(kept["items"].as_array().unwrap().len(), 4);
    assert!(
        kept["items"]
            .as_array()
            .unwrap()
            .iter()
            .any(|r| r["sku"] == "A" && r["store_id"] == store.as_str() && r["threshold"] == 3 && r["sync_enabled"] == false)
    );
    assert_eq!(ada.put("/v1/rules", &json!([{ "sku": "A" }])).is(200), json!({ "saved": 0, "removed": 1 }));
    assert_eq!(ada.get("/v1/rules").is(200)["items"].as_array().unwrap().len(), 3);
}

fn stock_events_are_answered_one_by_one(backend: Backend) {
    let api = Api::start(backend);
    let ada = api.seller("Ada");
    let one = ada.post("/v1/stock-events", &json!({ "event_id": "e1", "sku": "A", "kind": "purchase", "quantity": 5 })).is(200);
    has(&one, json!({ "accepted": 1, "duplicates": 0, "rejected": 0 }));
    has(&one["results"][0], json!({ "event_id": "e1", "status": "accepted" }));
    assert_eq!(one["results"].as_array().unwrap().len(), 1);
    ada.post("/v1/warehouses", &json!({ "code": "north" })).is(201);
    let batch = json!([
        { "event_id": "e1", "sku": "A", "kind": "purchase", "quantity": 5 },
        { "event_id": "e2", "sku": "A", "kind": "return", "quantity": 1.0, "occurred_at": "2026-03-02T12:00:00+08:00", "note": "box\topen" },
        { "event_id": "e3", "sku": "A", "kind": "sale", "quantity": 9 },
        { "event_id": "e4", "sku": "A", "kind": "cancellation", "quantity": 2 },
        { "event_id": "e5", "sku": "A", "kind": "adjustment", "quantity": -4 },
        { "event_id": "e6", "sku": "B", "kind": "count", "quantity": 0 },
        { "event_id": "e7", "sku": "B", "kind": "count", "quantity": 8, "warehouse": "main" },
        { "event_id": "e8", "sku": "B", "kind": "transfer", "quantity": 3, "warehouse": "main", "to_warehouse": "north" },
    ]);
    has(&ada.post("/v1/stock-events", &batch).is(200), json!({ "accepted": 7, "duplicates": 1, "rejected": 0 }));
    let lines = "{\"event_id\":\"n1\",\"sku\":\"C\",\"kind\":\"purchase\",\"quantity\":1}\r\n\n{\"event_id\":\"n2\",\"sku\":\"C\",\"kind\":\"purchase\",\"quantity\":2}";
    has(
        &ada.send_as("POST", "/v1/stock-events", "application/x-ndjson", lines.as_bytes()).is(200),
        json!({ "accepted": 2, "rejected": 0 }),
    );
    assert_eq!((ada.available("A"), ada.available("B"), ada.available("C")), (-5, 8, 3));
    has(&ada.get("/v1/stock?sku=B").is(200), json!({ "sku": "B", "available": { "main": 5, "north": 3 }, "listings": [] }));
}

fn an_increase_travels_from_the_event_to_the_store_and_the_records(backend: Backend) {
    let (api, platform) = (Api::start(backend), Platform::start());
    let ada = api.seller("Ada");
    let store = ada.store("corner", platform.address, json!({ "external_store": "corner" }));
    ada.pair(&store, &["A"]);
    platform.simulator.set_quantity("corner", "A", 10);
    ada.put("/v1/sync-settings", &json!({ "auto_sync": true, "initial_overwrite": false })).is(200);
    ada.event("e1", "A", "purchase", 5);
    let pushes = until("the increase is confirmed", || first_push(&ada, "?state=confirmed"));
    has(&pushes, json!({ "store_id": store, "sku": "A", "kind": "increase", "quantity": 5, "state": "confirmed", "attempts": 1 }));
    assert!(
        is_id(&pushes["id"]) && is_id(&pushes["listing"]) && is_instant(&pushes["created_at"]) && is_instant(&pushes["confirmed_at"]),
        "{pushes}"
    );
    assert_eq!(platform.simulator.quantity("corner", "A"), 15, "added to what the store shows");
    assert_eq!(ada.get(&format!("/v1/pushes/{}", pushes["id"].as_str().unwrap())).is(200), pushes);
    for query in ["?state=rejected".to_owned(), "?sku=B".to_owned()] {
        assert!(first_push(&ada, &query).is_none(), "{query}");
    }
    assert!(first_push(&ada, &format!("?store_id={store}&sku=A&state=confirmed")).is_some());
    let stock = ada.get("/v1/stock?sku=A").is(200);
    has(&stock["listings"][0], json!({ "store_id": store, "external_id": "A", "target": 5, "shown": 15 }));
    assert_eq!((&stock["listings"][0]["last_push"]["id"], &stock["listings"][0]["last_confirmed"]["id"]), (&pushes["id"], &pushes["id"]));

    let sync = ada.post("/v1/syncs", &json!({ "skus": ["A"] })).is(202);
    has(&sync, json!({ "kind": "manual", "done": 0, "failed": 0 }));
    has_names(&sync, &["id", "state", "total", "eta", "started_at"]);
    let path = format!("/v1/syncs/{}", sync["id"].as_str().unwrap());
    let done = until("the sync has finished", || Some(ada.get(&path).is(200)).filter(|run| run["state"] == "finished"));
    has(&done, json!({ "total": 1, "done": 1, "failed": 0 }));
    assert!(is_instant(&done["finished_at"]));
    assert_eq!(platform.simulator.quantity("corner", "A"), 5, "overwritten with the target");
    has(&ada.get("/v1/syncs").is(200)["items"][0], json!({ "id": sync["id"] }));
}

fn a_sync_without_a_body_covers_everything(backend: Backend) {
    let (api, platform) = (Api::start(backend), Platform::start());
    let ada = api.seller("Ada");
    let store = ada.store("corner", platform.address, json!({}));
    ada.pair(&store, &["A", "B"]);
    for body in [b"".as_slice(), b"\r\n", b"{}"] {
        let sync = ada.send_as("POST", "/v1/syncs", "", body).is(202);
        let path = format!("/v1/syncs/{}", sync["id"].as_str().unwrap());
        until("the sync has finished", || Some(ada.get(&path).is(200)).filter(|run| run["state"] == "finished" && run["total"] == 2));
    }
}

fn a_rejected_push_says_why_and_is_queued_again_on_request(backend: Backend) {
    let (api, platform) = (Api::start(backend), Platform::start());
    let ada = api.seller("Ada");
    let store = ada.store("corner", platform.address, json!({ "external_store": "corner" }));
    ada.pair(&store, &["A"]);
    platform.simulator.set_faults(stocktide::simulator::Faults { reject_items: vec!["A".into()], ..Default::default() });
    ada.put("/v1/sync-settings", &json!({ "auto_sync": true, "initial_overwrite": false })).is(200);
    ada.event("e1", "A", "purchase", 5);
    let push = until("the push is rejected", || first_push(&ada, "?state=rejected"));
    assert!(push["reason"].as_str().is_some_and(|text| !text.is_empty()) && push["next_step"].is_string(), "{push}");
    platform.simulator.set_faults(stocktide::simulator::Faults::default());
    assert_eq!(ada.post("/v1/pushes/retry", &json!({ "ids": [push["id"]] })).is(200), json!({ "queued": 1 }));
    until("the store shows the increase", || (platform.simulator.quantity("corner", "A") == 5).then_some(()));
    assert_eq!(ada.post("/v1/pushes/retry", &json!({ "state": "rejected" })).is(200), json!({ "queued": 0 }));
}

fn first_push(seller: &Caller<'_>, query: &str) -> Option<Value> {
    seller.get(&format!("/v1/pushes{query}")).is(200)["items"].get(0).cloned()
}

on_both_backends![
    the_operator_manages_sellers_and_their_keys,
    sync_settings_can_be_read_and_changed,
    warehouses_come_and_go_but_main_stays,
    stores_keep_their_settings_and_hide_their_credentials,
    listings_are_paired_in_bulk_as_json_and_as_csv,
    skus_can_be_named_and_rules_can_be_set,
    stock_events_are_answered_one_by_one,
    an_increase_travels_from_the_event_to_the_store_and_the_records,
    a_rejected_push_says_why_and_is_queued_again_on_request,
    a_sync_without_a_body_covers_everything,
];
