//! What a store shows beside its targets: where the two differ, the overwrite is offered, and a rule that overrides a store's share
//! is shown.
use crate::database::Backend;
use crate::on_both_backends;
use crate::support::{Api, Expect, Platform, until};
use serde_json::{Value, json};

fn listings_paired_after_switching_on_are_offered_the_overwrite_until_it_is_done(backend: Backend) {
    let (api, platform) = (Api::start(backend), Platform::start());
    let ada = api.seller("Ada");
    let store = ada.store("corner", platform.address, json!({ "external_store": "corner" }));
    ada.put("/v1/sync-settings", &json!({ "auto_sync": true })).is(200);
    // What is paired before the run of that has begun is part of it.
    let has_finished = |runs: &Value| runs["items"].as_array().unwrap().iter().all(|run| run["state"] == "finished");
    until("the initial run", || has_finished(&ada.get("/v1/syncs").is(200)).then_some(()));
    ada.event("e1", "A", "purchase", 40);
    let (path, listings) = (format!("/v1/stores/{store}"), format!("/v1/stores/{store}/listings"));
    let rows = json!([{ "sku": "A", "external_id": "A" }, { "sku": "B", "external_id": "B" }]);
    let paired = ada.put(&listings, &rows).is(200);
    let offer = &paired["overwrite"];
    assert_eq!((&offer["listings"], &offer["method"], &offer["path"]), (&json!(2), &json!("POST"), &json!("/v1/syncs")), "{paired}");
    assert_eq!(offer["body"], json!({ "store_ids": [store] }));
    let shown = ada.get(&path).is(200);
    let figures = json!({ "total": 2, "differ_from_target": 0, "never_checked": 2, "partly": false, "with_own_rules": 0 });
    assert_eq!((&shown["listings"], &shown["overwrite"]), (&figures, offer), "{shown}");
    let listed = ada.get(&listings).is(200);
    assert_eq!((&listed["items"][0]["target"], &listed["items"][0]["shown"]), (&json!(40), &Value::Null), "{listed}");

    // An increase is added to what the store showed before, so it does not make good for that.
    ada.event("e2", "A", "purchase", 5);
    until("the increase", || (platform.simulator.quantity("corner", "A") == 5).then_some(()));
    until("the service knows", || (ada.get(&path).is(200)["listings"]["differ_from_target"] == 1).then_some(()));
    let again = ada.send_as("PUT", &listings, "text/csv", b"sku,external_id\nA,A\n").is(200);
    assert_eq!((&again["unchanged"], &again["overwrite"]["listings"]), (&json!(1), &json!(1)), "of the row that was sent: {again}");

    ada.post(offer["path"].as_str().unwrap(), &offer["body"]).is(202);
    until("the overwrite", || (platform.simulator.quantity("corner", "A") == 45).then_some(()));
    until("nothing differs", || ada.get(&path).is(200).get("overwrite").is_none().then_some(()));
    assert!(ada.put(&listings, &rows).is(200).get("overwrite").is_none(), "nothing is left to offer");
}

fn discovery_offers_the_overwrite_of_what_it_has_paired(backend: Backend) {
    let (api, platform) = (Api::start(backend), Platform::start());
    let ada = api.seller("Ada");
    let store = ada.store("corner", platform.address, json!({ "external_store": "corner" }));
    platform.simulator.set_quantity("corner", "A", 7);
    ada.event("e1", "A", "purchase", 40);
    let path = format!("/v1/stores/{store}/discover");
    assert!(ada.post(&path, &json!({})).is(200).get("overwrite").is_none(), "nothing is paired yet");
    let found = ada.post(&path, &json!({ "apply": true })).is(200);
    assert_eq!((&found["paired"], &found["overwrite"]["body"]["store_ids"]), (&json!(1), &json!([store])), "{found}");
}

fn rules_that_override_a_stores_share_are_counted_there_and_named_in_the_preview(backend: Backend) {
    let (api, platform) = (Api::start(backend), Platform::start());
    let ada = api.seller("Ada");
    let one = ada.store("one", platform.address, json!({ "share_percent": 50 }));
    let two = ada.store("two", platform.address, json!({ "share_percent": null }));
    let skus = ["A", "B", "C"];
    for store in [&one, &two] {
        ada.pair(store, &skus);
    }
    for sku in skus {
        ada.event(sku, sku, "purchase", 100);
    }
    let rules = json!([{ "sku": "A", "share_percent": 10 }, { "sku": "B", "store_id": one, "share_percent": 20 }, { "share_percent": 30 }]);
    ada.put("/v1/rules", &rules).is(200);
    let own = |store: &str| ada.get(&format!("/v1/stores/{store}")).is(200)["listings"]["with_own_rules"].clone();
    assert_eq!((own(&one), own(&two)), (json!(2), json!(1)));
    let preview = ada.post("/v1/syncs", &json!({ "dry_run": true })).is(200);
    let mut decided: Vec<(String, String, i64, String)> = preview["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| {
            let text = |name: &str| item[name].as_str().unwrap().to_owned();
            (text("store"), text("sku"), item["target"].as_i64().unwrap(), text("decided_by"))
        })
        .collect();
    decided.sort();
    let expected = [
        ("one", "A", 10, "sku"),
        ("one", "B", 20, "listing"),
        ("one", "C", 50, "store"),
        ("two", "A", 10, "sku"),
        ("two", "B", 30, "seller"),
        ("two", "C", 30, "seller"),
    ];
    let expected = expected.map(|(store, sku, target, by)| (store.to_owned(), sku.to_owned(), target, by.to_owned()));
    assert_eq!(decided, expected);
}

on_both_backends![
    listings_paired_after_switching_on_are_offered_the_overwrite_until_it_is_done,
    discovery_offers_the_overwrite_of_what_it_has_paired,
    rules_that_override_a_stores_share_are_counted_there_and_named_in_the_preview,
];
