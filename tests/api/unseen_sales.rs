//! What a dry run says about stores whose sales are not reported yet.
use crate::database::Backend;
use crate::on_both_backends;
use crate::support::{Api, Expect, Platform, until};
use serde_json::{Value, json};

fn a_dry_run_says_what_would_really_be_sent_to_a_store_that_has_sold_without_a_report(backend: Backend) {
    let (api, platform) = (Api::start(backend), Platform::start());
    let ada = api.seller("Ada");
    let store = ada.store("corner", platform.address, json!({ "external_store": "corner" }));
    ada.pair(&store, &["A"]);
    ada.event("e1", "A", "count", 13);
    let report = |id: &str, units: i64| {
        let sale = json!({ "event_id": id, "sku": "A", "kind": "sale", "quantity": units, "store_id": store });
        ada.post("/v1/stock-events", &sale).is(200)
    };
    report("e2", 1);
    ada.post("/v1/syncs", &json!({})).is(202);
    let has_finished = |runs: &Value| runs["items"].as_array().unwrap().iter().all(|run| run["state"] == "finished");
    until("the overwrite", || has_finished(&ada.get("/v1/syncs").is(200)).then_some(()));
    let item = || {
        let preview = ada.post("/v1/syncs", &json!({ "dry_run": true })).is(200);
        ["shown", "target", "unseen", "quantity", "change"].map(|field| preview["items"][0][field].as_i64())
    };
    assert_eq!(item(), [12, 12, 0, 12, 0].map(Some));
    platform.simulator.sell("corner", "A", 2);
    assert_eq!(item(), [10, 12, 2, 10, 0].map(Some));
    report("e3", 2);
    assert_eq!(item(), [10, 10, 0, 10, 0].map(Some));
    platform.simulator.sell("corner", "A", 10);
    let preview = ada.post("/v1/syncs", &json!({ "dry_run": true })).is(200);
    assert_eq!((&preview["items"][0]["quantity"], &preview["unchanged"], &preview["to_zero"]), (&json!(0), &json!(1), &json!(0)));
    ada.patch(&format!("/v1/stores/{store}"), &json!({ "protect_unseen_sales": false })).is(200);
    assert_eq!(item(), [Some(0), Some(10), None, Some(10), Some(10)]);
}

on_both_backends![a_dry_run_says_what_would_really_be_sent_to_a_store_that_has_sold_without_a_report];
