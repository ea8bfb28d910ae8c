//! Exclusive mode: store shares that sum to more than 100% are refused wherever they would arise, and nothing changes.
use crate::database::Backend;
use crate::on_both_backends;
use crate::support::{Api, Caller, Expect, Platform};
use serde_json::json;

fn exclusive(seller: &Caller<'_>) {
    seller.put("/v1/sync-settings", &json!({ "allocation_mode": "exclusive" })).is(200);
}

fn shares_over_100_percent_are_refused_wherever_they_would_arise(backend: Backend) {
    let (api, platform) = (Api::start(backend), Platform::start());
    let ada = api.seller("Ada");
    let url = format!("http://{}", platform.address);
    let one = ada.store("one", platform.address, json!({ "share_percent": 60 }));
    let two = ada.store("two", platform.address, json!({ "share_percent": 60 }));
    ada.pair(&one, &["A"]);

    let sum = ada.changes_nothing(|| {
        ada.put("/v1/sync-settings", &json!({ "allocation_mode": "exclusive", "buffer": 5 })).names(422, "/allocation_mode")
    });
    assert!(sum.contains("120%"), "{sum}");
    ada.patch(&format!("/v1/stores/{two}"), &json!({ "share_percent": 40 })).is(200);
    exclusive(&ada);

    ada.changes_nothing(|| {
        for share in [json!(40.01), json!(100)] {
            ada.patch(&format!("/v1/stores/{two}"), &json!({ "share_percent": share })).names(422, "/share_percent");
        }
        ada.post("/v1/stores", &json!({ "name": "three", "platform": "simulated", "base_url": url, "share_percent": 0.01 }))
            .names(422, "/share_percent");
        ada.post("/v1/stores", &json!({ "name": "three", "platform": "simulated", "base_url": url })).names(422, "/share_percent");
        ada.put("/v1/rules", &json!([{ "buffer": 1 }, { "store_id": two, "share_percent": 40.01 }])).names(422, "/1/share_percent");
        let of_sku = ada.put("/v1/rules", &json!([{ "sku": "A", "share_percent": 50.01 }])).names(422, "/0/share_percent");
        assert!(of_sku.contains('A') && of_sku.contains("100.02%"), "{of_sku}");
        ada.put("/v1/rules", &json!([{ "sku": "A", "store_id": two, "share_percent": 41 }])).names(422, "/0/share_percent");
    });
}

fn shares_of_exactly_100_percent_are_accepted_and_later_changes_are_checked_against_them(backend: Backend) {
    let (api, platform) = (Api::start(backend), Platform::start());
    let ada = api.seller("Ada");
    let one = ada.store("one", platform.address, json!({ "share_percent": 33.33 }));
    let two = ada.store("two", platform.address, json!({ "share_percent": 66.67 }));
    ada.pair(&one, &["A"]);
    exclusive(&ada);
    ada.put("/v1/rules", &json!([{ "sku": "A", "share_percent": 50 }])).is(200);
    ada.put("/v1/rules", &json!([{ "store_id": one, "share_percent": 10 }])).is(200);
    ada.patch(&format!("/v1/stores/{two}"), &json!({ "share_percent": 90 })).is(200);
    // Without the rule the store's own share would apply again.
    ada.changes_nothing(|| ada.put("/v1/rules", &json!([{ "store_id": one }])).names(422, "/0/share_percent"));
    // A store without a share of its own uses the seller's.
    ada.put("/v1/rules", &json!([{ "share_percent": 20 }])).is(200);
    ada.patch(&format!("/v1/stores/{one}"), &json!({ "share_percent": null })).is(200);
    ada.changes_nothing(|| ada.put("/v1/rules", &json!([{ "store_id": one }])).names(422, "/0/share_percent"));
    ada.put("/v1/rules", &json!([{}])).is(200);
    ada.delete(&format!("/v1/stores/{one}")).is(204);
    ada.patch(&format!("/v1/stores/{two}"), &json!({ "share_percent": 100 })).is(200);
}

on_both_backends![
    shares_over_100_percent_are_refused_wherever_they_would_arise,
    shares_of_exactly_100_percent_are_accepted_and_later_changes_are_checked_against_them,
];
