//! Pagination: in every list, the pages together hold each item exactly once.
use crate::database::Backend;
use crate::on_both_backends;
use crate::support::{Api, Caller, Expect, Platform};
use serde_json::{Value, json};
use std::collections::HashSet;

/// All items of a list, fetched page by page.
fn walk(caller: &Caller<'_>, path: &str, limit: usize) -> Vec<Value> {
    let mut items = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = caller.get(&format!("{path}?limit={limit}{cursor}")).is(200);
        let on_page = page["items"].as_array().unwrap();
        assert!(on_page.len() <= limit, "{path}");
        items.extend(on_page.iter().cloned());
        match page["next_cursor"].as_str() {
            Some(next) => {
                assert_eq!(on_page.len(), limit, "{path}: every page but the last is full");
                cursor = format!("&cursor={next}");
            }
            None => return items,
        }
    }
}

fn every_list_is_complete_at_any_page_size(backend: Backend) {
    let (api, platform) = (Api::start(backend), Platform::start());
    let ada = api.seller("Ada");
    for name in ["Bob", "Cyd", "Dan", "Eve"] {
        api.seller(name);
    }
    let stores: Vec<String> =
        (0..5).map(|i| ada.store(&format!("store {i}"), platform.address, json!({ "sync_enabled": i != 0 }))).collect();
    ada.pair(&stores[0], &["A", "B", "C", "D", "E"]);
    for i in 0..4 {
        ada.post("/v1/warehouses", &json!({ "code": format!("w{i}") })).is(201);
        ada.post("/v1/syncs", &json!({ "store_ids": [stores[1]] })).is(202);
        api.operator().post(&format!("/admin/sellers/{}/keys", ada.id), &Value::Null).is(201);
    }
    let rules: Vec<Value> = ["A", "B", "C", "D", "E"].iter().map(|sku| json!({ "sku": sku, "buffer": 1 })).collect();
    ada.put("/v1/rules", &json!(rules)).is(200);
    let (listings, keys) = (format!("/v1/stores/{}/listings", stores[0]), format!("/admin/sellers/{}/keys", ada.id));
    let operator = api.operator();
    for (caller, path, count) in [
        (&operator, "/admin/sellers", 5),
        (&operator, keys.as_str(), 5),
        (&ada, "/v1/stores", 5),
        (&ada, listings.as_str(), 5),
        (&ada, "/v1/warehouses", 5),
        (&ada, "/v1/skus", 5),
        (&ada, "/v1/rules", 5),
        (&ada, "/v1/syncs", 4),
        (&ada, "/v1/audit", 20),
    ] {
        let whole = caller.get(&format!("{path}?limit=1000")).is(200)["items"].as_array().unwrap().clone();
        assert!(whole.len() >= count, "{path} has {}", whole.len());
        for limit in [1, 2, 4, 5, 1000] {
            let names = |items: &[Value]| {
                items
                    .iter()
                    .map(|item| ["id", "code", "sku"].iter().find_map(|name| item[name].as_str()).unwrap().to_owned())
                    .collect::<Vec<_>>()
            };
            let walked = names(&walk(caller, path, limit));
            assert_eq!(walked, names(&whole), "{path} in pages of {limit}");
            assert_eq!(walked.iter().collect::<HashSet<_>>().len(), walked.len(), "{path}: an item appeared twice");
        }
    }
    assert_eq!(ada.get("/v1/skus?unpaired=true").is(200)["items"], json!([]));
    let newest_first: Vec<Value> = walk(&ada, "/v1/syncs", 3).into_iter().map(|run| run["id"].clone()).collect();
    assert!(newest_first.windows(2).all(|pair| pair[0].as_str() > pair[1].as_str()));
}

on_both_backends![every_list_is_complete_at_any_page_size];
