//! A sync that would empty a store waits for an answer.
use crate::database::Backend;
use crate::on_both_backends;
use crate::shapes::{has, is_instant};
use crate::support::{Api, Expect, Platform, until};
use serde_json::json;

fn a_sync_that_waits_for_an_answer_says_why_and_takes_it_once(backend: Backend) {
    let (api, platform) = (Api::start(backend), Platform::start());
    let ada = api.seller("Ada");
    let store = ada.store("corner", platform.address, json!({}));
    let skus: Vec<String> = (0..12).map(|n| format!("S{n:02}")).collect();
    ada.pair(&store, &skus.iter().map(String::as_str).collect::<Vec<_>>());
    let count = |quantity: i64| {
        let event = |sku: &String| json!({ "event_id": format!("{sku}-{quantity}"), "sku": sku, "kind": "count", "quantity": quantity });
        ada.post("/v1/stock-events", &skus.iter().map(event).collect()).is(200);
    };
    let sync = || ada.post("/v1/syncs", &json!({})).is(202)["id"].as_str().unwrap().to_owned();
    let until_it_is =
        |id: &str, state: &str| until(state, || Some(ada.get(&format!("/v1/syncs/{id}")).is(200)).filter(|sync| sync["state"] == state));
    count(5);
    let first = sync();
    assert!(until_it_is(&first, "finished").get("question").is_none());
    ada.post(&format!("/v1/syncs/{first}/answer"), &json!({ "go": true })).is_problem(409);
    count(0);
    let second = sync();
    let waiting = until_it_is(&second, "waiting_for_answer");
    has(&waiting, json!({ "total": 0, "done": 0, "finished_at": null, "eta": null }));
    has(
        &waiting["question"],
        json!({ "go": null, "answered_at": null, "guard": { "zero_percent": 30, "units": null }, "stores_omitted": 0 }),
    );
    has(&waiting["question"]["stores"][0], json!({ "store_id": store, "showing": 12, "to_zero": 12, "units": 60 }));
    assert!(is_instant(&waiting["question"]["asked_at"]) && is_instant(&waiting["question"]["answer_by"]), "{waiting}");
    assert!(waiting["reason"].as_str().unwrap().contains("12 of 12 listings"), "{waiting}");
    let answer = format!("/v1/syncs/{second}/answer");
    ada.post(&answer, &json!({})).names(422, "/go");
    ada.post(&answer, &json!({ "go": "yes" })).names(422, "/go");
    ada.post(&answer, &json!({ "go": true, "sure": true })).names(422, "/sure");
    has(&ada.post(&answer, &json!({ "go": true })).is(200), json!({ "id": second, "state": "running" }));
    ada.post(&answer, &json!({ "go": true })).is(200);
    ada.post(&answer, &json!({ "go": false })).is_problem(409);
    has(&until_it_is(&second, "finished")["question"], json!({ "go": true }));
}

on_both_backends![a_sync_that_waits_for_an_answer_says_why_and_takes_it_once];
