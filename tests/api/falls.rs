//! Falls that are pushed, and stores that restock by themselves.
use crate::database::Backend;
use crate::on_both_backends;
use crate::shapes::has;
use crate::support::{Api, Expect, Platform, until};
use serde_json::json;

fn a_decrease_is_a_record_of_its_own_kind(backend: Backend) {
    let (api, platform) = (Api::start(backend), Platform::start());
    let ada = api.seller("Ada");
    let store = ada.store("corner", platform.address, json!({ "external_store": "corner", "pushed_falls": ["count", "adjustment"] }));
    let path = format!("/v1/stores/{store}");
    has(&ada.get(&path).is(200), json!({ "pushed_falls": ["adjustment", "count"] }));
    ada.pair(&store, &["A"]);
    ada.put("/v1/sync-settings", &json!({ "auto_sync": true, "initial_overwrite": false })).is(200);
    ada.event("e1", "A", "purchase", 20);
    ada.event("e2", "A", "adjustment", -3);
    let confirmed = || {
        let pushes = ada.get("/v1/pushes?state=confirmed").is(200)["items"].as_array().unwrap().clone();
        let lines: Vec<(String, i64)> =
            pushes.iter().map(|push| (push["kind"].as_str().unwrap().to_owned(), push["quantity"].as_i64().unwrap())).collect();
        let sum: i64 = lines.iter().map(|(kind, units)| if kind == "decrease" { -units } else { *units }).sum();
        (sum == 17).then_some(lines)
    };
    let lines = until("the decrease", confirmed);
    assert!(lines == [("decrease".to_owned(), 3), ("increase".to_owned(), 20)] || lines == [("increase".to_owned(), 17)], "{lines:?}");
    assert_eq!(platform.simulator.quantity("corner", "A"), 17);
    ada.changes_nothing(|| {
        let refused = ada.patch(&path, &json!({ "pushed_falls": ["count", "theft"] })).is(422);
        let detail = "must be one of adjustment, count, transfer, offline_sale, sale_elsewhere";
        assert_eq!(refused["errors"], json!([{ "pointer": "/pushed_falls/1", "detail": detail }]));
        assert_eq!(ada.patch(&path, &json!({ "pushed_falls": [1] })).is(422)["errors"][0]["pointer"], "/pushed_falls/0");
    });
    has(
        &ada.patch(&path, &json!({ "pushed_falls": [], "restocks_returns": true })).is(200),
        json!({ "pushed_falls": [], "restocks_returns": true }),
    );
}

fn a_return_and_a_cancellation_may_name_a_store_and_nothing_else_but_a_sale(backend: Backend) {
    let (api, platform) = (Api::start(backend), Platform::start());
    let ada = api.seller("Ada");
    let store = ada.store("corner", platform.address, json!({}));
    for (n, (kind, status)) in
        [("sale", 200), ("return", 200), ("cancellation", 200), ("purchase", 422), ("adjustment", 422), ("count", 422)]
            .into_iter()
            .enumerate()
    {
        let event = json!({ "event_id": format!("e{n}"), "sku": "A", "kind": kind, "quantity": 1, "store_id": store });
        let answer = ada.post("/v1/stock-events", &event).is(status);
        if status == 422 {
            assert_eq!(answer["results"][0]["errors"][0]["pointer"], "/store_id", "{kind}: {answer}");
        }
    }
}

on_both_backends! {
    a_decrease_is_a_record_of_its_own_kind,
    a_return_and_a_cancellation_may_name_a_store_and_nothing_else_but_a_sale,
}
