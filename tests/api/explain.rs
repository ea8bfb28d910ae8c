//! Why the listings of a SKU show what they show.
use crate::database::Backend;
use crate::on_both_backends;
use crate::shapes::{has, is_instant};
use crate::support::{Api, Expect, Platform, until};
use serde_json::json;

fn a_sku_is_explained_with_its_formula_and_its_history_in_pages(backend: Backend) {
    let (api, platform) = (Api::start(backend), Platform::start());
    let ada = api.seller("Ada");
    let store = ada.store("corner", platform.address, json!({ "share_percent": 50 }));
    ada.pair(&store, &["A/1"]);
    ada.put("/v1/sync-settings", &json!({ "auto_sync": true, "initial_overwrite": false, "buffer": 2 })).is(200);
    ada.event("e1", "A/1", "count", 12);
    ada.event("e2", "A/1", "purchase", 8);
    let confirmed = || {
        ada.get("/v1/pushes?state=confirmed").is(200)["items"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|p| p["quantity"].as_i64())
            .sum::<i64>()
    };
    until("the increases are confirmed", || (confirmed() == 9).then_some(()));
    let found = ada.get("/v1/stock/A%2F1/explain").is(200);
    has(&found, json!({ "sku": "A/1", "name": null, "mode": "shared", "listings_omitted": 0, "next_cursor": null }));
    let listing = &found["listings"][0];
    has(listing, json!({ "store_id": store, "store": "corner", "external_id": "A/1", "pushed": true, "shown": 9 }));
    has(
        &listing["formula"],
        json!({ "available": { "main": 20 }, "buffer": 2, "pool": 18, "share_percent": 50, "part": 9, "threshold": null, "max_shown": null, "target": 9, "decided_by": "store" }),
    );
    has(&listing["sent"], json!({ "set_to": null, "increased_by": 9, "sum": null, "changed_in_store": null }));
    assert!(listing["text"].as_str().unwrap().contains("It showed 9 when last known."), "{listing}");
    let items = found["items"].as_array().unwrap();
    let purchase = items.iter().find(|item| item["event"]["event_id"] == "e2").unwrap();
    assert!(is_instant(&purchase["at"]), "{purchase}");
    has(
        &purchase["event"],
        json!({ "kind": "purchase", "quantity": 8, "warehouse": "main", "effect": { "main": 8 }, "available_after": { "main": 20 } }),
    );
    assert_eq!(purchase["event"]["targets"][listing["listing"].as_str().unwrap()], 9);
    assert!(items.iter().any(|item| item["push"]["kind"] == "increase"), "{found}");
    let sale = |kind: &str, id: &str, store: &serde_json::Value| json!({ "event_id": id, "sku": "A/1", "kind": kind, "quantity": 1, "store_id": store });
    ada.post("/v1/stock-events", &sale("sale", "e3", &json!(store))).is(200);
    let newest = ada.get("/v1/stock/A%2F1/explain?limit=1").is(200);
    has(&newest["items"][0]["event"], json!({ "event_id": "e3", "store_id": store, "available_after": { "main": 19 } }));
    let found = ada.get("/v1/stock/A%2F1/explain").is(200);
    let items = found["items"].as_array().unwrap();
    let nobody = json!("0198a0b2-0000-7000-8000-000000000000");
    for (kind, store) in
        [("sale", &nobody), ("sale", &json!("x")), ("sale", &json!(7)), ("purchase", &json!(store)), ("adjustment", &json!(store))]
    {
        ada.post("/v1/stock-events", &sale(kind, "e4", store)).names(422, "/store_id");
    }
    let (mut walked, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = ada.get(&format!("/v1/stock/A%2F1/explain?limit=1&store_id={store}{cursor}")).is(200);
        walked.extend(page["items"].as_array().unwrap().iter().cloned());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(&walked, items);
    ada.get("/v1/stock/B/explain").is_problem(404);
    for (query, pointer) in
        [("store_id=x", "/store_id"), ("limit=0", "/limit"), ("cursor=zz", "/cursor"), ("cursor=6162", "/cursor"), ("since=1", "/since")]
    {
        ada.get(&format!("/v1/stock/A%2F1/explain?{query}")).names(422, pointer);
    }
    ada.get("/v1/stock/A%2F1/explain?store_id=0198a0b2-0000-7000-8000-000000000000").is_problem(404);
}

on_both_backends![a_sku_is_explained_with_its_formula_and_its_history_in_pages];
