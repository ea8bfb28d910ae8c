//! Checks for drift over HTTP.
use crate::database::Backend;
use crate::on_both_backends;
use crate::shapes::{has, is_instant};
use crate::support::{Api, Expect, Platform, until};
use serde_json::json;

fn a_check_reports_the_listings_that_differ_by_cause(backend: Backend) {
    let (api, platform) = (Api::start(backend), Platform::start());
    let ada = api.seller("Ada");
    let store = ada.store("corner", platform.address, json!({ "external_store": "corner" }));
    ada.pair(&store, &["A", "B", "C"]);
    for sku in ["A", "B", "C"] {
        ada.event(&format!("count-{sku}"), sku, "count", 10);
    }
    let sync = ada.post("/v1/syncs", &json!({})).is(202)["id"].as_str().unwrap().to_owned();
    until("the sync has finished", || (ada.get(&format!("/v1/syncs/{sync}")).is(200)["state"] == "finished").then_some(()));
    platform.simulator.set_quantity("corner", "A", 13);
    platform.simulator.sell("corner", "B", 2);
    let begun = ada.post(&format!("/v1/stores/{store}/drift-checks"), &json!(null)).is(202);
    has(&begun, json!({ "store_id": store, "policy": "report", "compared": 0, "differ": 0, "by_cause": {}, "finished_at": null }));
    let checks = || ada.get(&format!("/v1/drift-checks?store_id={store}")).is(200)["items"].clone();
    let check = until("the check has ended", || Some(checks()[0].clone()).filter(|check| !check["finished_at"].is_null()));
    has(
        &check,
        json!({ "id": begun["id"], "compared": 3, "skipped": 0, "differ": 2, "corrected": 0,
            "by_cause": { "edited_in_store": 1, "sale_not_reported": 1 } }),
    );
    let rows = ada.get("/v1/drifts").is(200)["items"].clone();
    has(&rows[0], json!({ "store_id": store, "sku": "A", "external_id": "A", "cause": "edited_in_store", "difference": 3, "shown": 13 }));
    assert!(is_instant(&rows[0]["since"]) && rows.as_array().unwrap().len() == 2, "{rows}");
    let page = ada.get("/v1/drifts?limit=1").is(200);
    let rest = ada.get(&format!("/v1/drifts?cursor={}", page["next_cursor"].as_str().unwrap())).is(200);
    assert_eq!((&page["items"][0], &rest["items"][0], rest["items"].as_array().unwrap().len()), (&rows[0], &rows[1], 1));
    let sold = ada.get("/v1/drifts?cause=sale_not_reported").is(200);
    assert_eq!(sold["items"], json!([rows[1]]));
    ada.get("/v1/drifts?cause=weather").names(422, "/cause");
    ada.get("/v1/drifts?store_id=7").names(422, "/store_id");
    ada.get("/v1/drift-checks?colour=red").names(422, "/colour");
    ada.patch(&format!("/v1/stores/{store}"), &json!({ "paused": true })).is(200);
    ada.post(&format!("/v1/stores/{store}/drift-checks"), &json!(null)).is_problem(409);
}

on_both_backends![a_check_reports_the_listings_that_differ_by_cause];
