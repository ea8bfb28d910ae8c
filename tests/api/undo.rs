//! A sync is undone over HTTP.
use crate::database::Backend;
use crate::on_both_backends;
use crate::shapes::has;
use crate::support::{Api, Expect, Platform, until};
use serde_json::{Value, json};

fn a_sync_is_undone_once_and_both_name_each_other(backend: Backend) {
    let (api, platform) = (Api::start(backend), Platform::start());
    let ada = api.seller("Ada");
    let store = ada.store("corner", platform.address, json!({}));
    ada.pair(&store, &["A", "B"]);
    let count = |id: &str, quantity: i64| {
        let event = |sku: &&str| json!({ "event_id": format!("{id}-{sku}"), "sku": sku, "kind": "count", "quantity": quantity });
        ada.post("/v1/stock-events", &["A", "B"].iter().map(event).collect()).is(200);
    };
    let one = |id: &str| ada.get(&format!("/v1/syncs/{id}")).is(200);
    let finished = |id: &str| until("the end of a sync", || Some(one(id)).filter(|sync| sync["state"] == "finished"));
    let id_of = |sync: &Value| sync["id"].as_str().unwrap().to_owned();
    let sync = || id_of(&ada.post("/v1/syncs", &json!({})).is(202));
    count("first", 9);
    finished(&sync());
    count("wrong", 2);
    ada.patch(&format!("/v1/stores/{store}"), &json!({ "paused": true })).is(200);
    let wrong = sync();
    let undo = format!("/v1/syncs/{wrong}/undo");
    let refused = ada.post(&undo, &Value::Null).is_problem(409);
    assert!(refused["detail"].as_str().unwrap().contains("still under way"), "{refused}");
    ada.patch(&format!("/v1/stores/{store}"), &json!({ "paused": false })).is(200);
    assert!(finished(&wrong).get("undone_by").is_none());
    let started = ada.post(&undo, &Value::Null).is(202);
    has(&started, json!({ "kind": "undo", "undoes": wrong }));
    assert!(started.get("overwritten_again_at").is_none(), "there are no daily runs: {started}");
    let ended = finished(&id_of(&started));
    has(&ended, json!({ "kind": "undo", "undoes": wrong, "total": 2, "done": 2, "failed": 0 }));
    has(&one(&wrong), json!({ "kind": "manual", "undone_by": started["id"] }));
    let pushes = ada.get("/v1/pushes?limit=2").is(200);
    has(&pushes["items"][0], json!({ "quantity": 9, "sync_id": started["id"], "arithmetic": "9 shown before the run" }));
    let again = ada.post(&undo, &Value::Null).is_problem(409);
    assert!(again["detail"].as_str().unwrap().contains("undone before"), "{again}");
    ada.post(&format!("/v1/syncs/{}/undo", id_of(&started)), &Value::Null).is_problem(409);
    ada.post("/v1/syncs/0198a0b2-0000-7000-8000-000000000000/undo", &Value::Null).is_problem(404);
    has(&ada.get("/v1/syncs?limit=1").is(200)["items"][0], json!({ "id": started["id"], "undoes": wrong }));
}

fn a_sync_under_way_is_canceled_once_and_can_be_undone_then(backend: Backend) {
    let (api, platform) = (Api::start(backend), Platform::start());
    let (ada, ben) = (api.seller("Ada"), api.seller("Ben"));
    let store = ada.store("corner", platform.address, json!({}));
    ada.pair(&store, &["A"]);
    ada.event("first", "A", "count", 3);
    ada.patch(&format!("/v1/stores/{store}"), &json!({ "paused": true })).is(200);
    let sync = ada.post("/v1/syncs", &json!({})).is(202)["id"].as_str().unwrap().to_owned();
    let cancel = format!("/v1/syncs/{sync}/cancel");
    ben.post(&cancel, &Value::Null).is_problem(404);
    until("its listing", || Some(ada.get(&format!("/v1/syncs/{sync}")).is(200)).filter(|sync| sync["total"] == 1));
    let canceled = ada.post(&cancel, &Value::Null).is(200);
    has(&canceled, json!({ "state": "cancelled", "total": 1, "done": 0, "failed": 1 }));
    assert_eq!(ada.post(&cancel, &Value::Null).is(200), canceled);
    ada.post(&format!("/v1/syncs/{sync}/undo"), &Value::Null).is_problem(409);
    ada.patch(&format!("/v1/stores/{store}"), &json!({ "paused": false })).is(200);
    let other = ada.post("/v1/syncs", &json!({})).is(202)["id"].as_str().unwrap().to_owned();
    until("the next sync", || Some(ada.get(&format!("/v1/syncs/{other}")).is(200)).filter(|sync| sync["state"] == "finished"));
    let refused = ada.post(&format!("/v1/syncs/{other}/cancel"), &Value::Null).is_problem(409);
    assert!(refused["detail"].as_str().unwrap().contains("has ended"), "{refused}");
    let audit = ada.get("/v1/audit").is(200);
    assert_eq!(audit["items"].as_array().unwrap().iter().filter(|entry| entry["action"] == "sync.canceled").count(), 1, "{audit}");
}

fn the_answer_to_an_undo_says_when_the_next_daily_run_overwrites_again(backend: Backend) {
    let (api, platform) = (Api::start(backend), Platform::start());
    let ada = api.seller("Ada");
    let store = ada.store("corner", platform.address, json!({}));
    ada.pair(&store, &["A"]);
    ada.event("first", "A", "count", 3);
    let timed = json!({ "auto_sync": true, "frequency": "timed_full", "daily_at": "03:30", "initial_overwrite": false });
    let next = ada.put("/v1/sync-settings", &timed).is(200)["next_run_at"].clone();
    let sync = ada.post("/v1/syncs", &json!({})).is(202)["id"].as_str().unwrap().to_owned();
    until("the sync", || Some(ada.get(&format!("/v1/syncs/{sync}")).is(200)).filter(|sync| sync["state"] == "finished"));
    has(&ada.post(&format!("/v1/syncs/{sync}/undo"), &Value::Null).is(202), json!({ "overwritten_again_at": next }));
}

on_both_backends![
    a_sync_is_undone_once_and_both_name_each_other,
    a_sync_under_way_is_canceled_once_and_can_be_undone_then,
    the_answer_to_an_undo_says_when_the_next_daily_run_overwrites_again
];
