//! Bundles over HTTP: what they look like, where their numbers appear, and what is refused.
use crate::database::Backend;
use crate::on_both_backends;
use crate::shapes::has;
use crate::support::{Api, Caller, Expect, Platform, until};
use serde_json::{Value, json};

/// The bundle of these components, for a SKU that exists.
fn made_of(components: &[(&str, i64)]) -> Value {
    let components: Vec<Value> = components.iter().map(|(sku, quantity)| json!({ "sku": sku, "quantity": quantity })).collect();
    json!({ "components": components })
}

/// Ada has 5 lamps and 3 bulbs, and the SKUs KIT and BOX.
fn lamps(ada: &Caller<'_>) {
    ada.put("/v1/skus", &json!([{ "sku": "KIT", "name": "Lamp with bulbs" }, { "sku": "BOX" }])).is(200);
    ada.event("lamps", "lamp", "purchase", 5);
    ada.event("bulbs", "bulb", "purchase", 3);
}

fn a_bundle_says_what_it_is_made_of_and_what_is_available_of_it(backend: Backend) {
    let (api, platform) = (Api::start(backend), Platform::start());
    let ada = api.seller("Ada");
    lamps(&ada);
    let kit = ada.put("/v1/bundles/KIT", &made_of(&[("lamp", 1), ("bulb", 2)])).is(200);
    let components = json!([{ "sku": "bulb", "quantity": 2, "shared_with": [] }, { "sku": "lamp", "quantity": 1, "shared_with": [] }]);
    assert_eq!(kit, json!({ "sku": "KIT", "name": "Lamp with bulbs", "available": 1, "components": components }));
    assert_eq!(ada.get("/v1/bundles/KIT").is(200), kit);
    ada.put("/v1/bundles/BOX", &made_of(&[("bulb", 3)])).is(200);
    has(&ada.get("/v1/bundles/KIT").is(200)["components"][0], json!({ "sku": "bulb", "shared_with": ["BOX"] }));
    let listed = |query: &str| {
        let page = ada.get(&format!("/v1/bundles{query}")).is(200);
        page["items"].as_array().unwrap().iter().map(|bundle| bundle["sku"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(
        (listed(""), listed("?component=lamp"), listed("?component=KIT")),
        (vec!["BOX".into(), "KIT".into()], vec!["KIT".into()], vec![])
    );
    let first = ada.get("/v1/bundles?limit=1").is(200);
    assert_eq!(listed(&format!("?cursor={}", first["next_cursor"].as_str().unwrap())), ["KIT"]);

    let store = ada.store("corner", platform.address, json!({ "external_store": "corner" }));
    ada.pair(&store, &["KIT", "lamp"]);
    let stock = ada.get("/v1/stock?sku=KIT").is(200);
    has(&stock, json!({ "available": { "main": 1 }, "total_available": 1, "part_of": [] }));
    has(&stock["components"][0], json!({ "sku": "bulb", "quantity": 2, "total_available": 3, "enough_for": 1, "shared_with": ["BOX"] }));
    has(&stock["listings"][0], json!({ "pool": 1, "target": 1 }));
    let of_bulb = ada.get("/v1/stock?sku=bulb").is(200);
    has(&of_bulb, json!({ "total_available": 3, "part_of": ["BOX", "KIT"] }));
    assert!(of_bulb.get("components").is_none());
    let explained = ada.get("/v1/stock/KIT/explain").is(200);
    has(&explained["listings"][0]["formula"], json!({ "together": 1, "pool": 1, "target": 1 }));
    let listings = ada.get(&format!("/v1/stores/{store}/listings")).is(200);
    assert!(listings["items"].as_array().unwrap().iter().any(|listing| listing["sku"] == "KIT" && listing["target"] == 1), "{listings}");

    ada.put("/v1/sync-settings", &json!({ "auto_sync": true, "initial_overwrite": false })).is(200);
    ada.event("more bulbs", "bulb", "purchase", 5);
    until("the increase", || (platform.simulator.quantity("corner", "KIT") == 3).then_some(()));
    let saved = ada.put("/v1/bundles/KIT", &made_of(&[("lamp", 2)])).is(200);
    let run = saved["sync_id"].as_str().unwrap().to_owned();
    until("its overwrite", || (ada.get(&format!("/v1/syncs/{run}")).is(200)["state"] == "finished").then_some(()));
    assert_eq!(platform.simulator.quantity("corner", "KIT"), 2);
    assert_eq!(ada.put("/v1/bundles/KIT", &made_of(&[("lamp", 2)])).is(200).get("sync_id"), None, "nothing has changed");
    let deleted = ada.delete("/v1/bundles/KIT").is(200);
    assert!(deleted["sync_id"].is_string(), "{deleted}");
    until("its overwrite", || (platform.simulator.quantity("corner", "KIT") == 0).then_some(()));
    ada.get("/v1/bundles/KIT").is_problem(404);
    let audit = ada.get("/v1/audit").is(200)["items"].clone();
    let of = |action: &str| audit.as_array().unwrap().iter().filter(|entry| entry["action"] == action && entry["subject"] == "KIT").count();
    assert_eq!((of("bundle.saved"), of("bundle.deleted")), (2, 1));
}

fn events_of_a_bundle_move_its_components_or_are_refused_by_row(backend: Backend) {
    let api = Api::start(backend);
    let ada = api.seller("Ada");
    lamps(&ada);
    ada.put("/v1/bundles/KIT", &made_of(&[("lamp", 1), ("bulb", 2)])).is(200);
    let event = |id: &str, kind: &str, quantity: i64| json!({ "event_id": id, "sku": "KIT", "kind": kind, "quantity": quantity });
    let answer = ada.post("/v1/stock-events", &json!([event("e1", "sale", 1), event("e2", "purchase", 1), event("e1", "sale", 1)])).is(200);
    has(&answer, json!({ "accepted": 1, "duplicates": 1, "rejected": 1 }));
    assert_eq!(answer["results"][1]["errors"][0]["pointer"], "/1/kind");
    assert!(answer["results"][1]["reason"].as_str().unwrap().contains("is a bundle and has no stock of its own"), "{answer}");
    assert_eq!((ada.available("lamp"), ada.available("bulb")), (4, 1));
    let single = ada.post("/v1/stock-events", &event("e3", "count", 7));
    assert!(single.names(422, "/kind").contains("send what happened to its components"), "{}", single.text());
    let history = ada.get("/v1/stock/bulb/explain").is(200);
    has(
        &history["items"][0]["event"],
        json!({ "event_id": "e1", "quantity": 2, "note": "1 × KIT", "of_bundle": true, "effect": { "main": -2 } }),
    );
    let own = ada.get("/v1/stock/KIT/explain").is(200);
    has(&own["items"][0]["event"], json!({ "event_id": "e1", "quantity": 1, "of_bundle": false, "effect": {} }));
}

fn what_cannot_be_a_bundle_is_refused_by_the_name_of_its_field(backend: Backend) {
    let api = Api::start(backend);
    let ada = api.seller("Ada");
    lamps(&ada);
    ada.put("/v1/bundles/KIT", &made_of(&[("lamp", 1), ("bulb", 2)])).is(200);
    let many: Vec<Value> = (0..21).map(|n| json!({ "sku": format!("S{n}"), "quantity": 1 })).collect();
    ada.changes_nothing(|| {
        for (body, pointer) in [
            (json!({}), "/components"),
            (json!({ "components": [] }), "/components"),
            (json!({ "components": many }), "/components"),
            (json!({ "components": "lamp" }), "/components"),
            (json!({ "components": [{ "quantity": 1 }] }), "/components/0/sku"),
            (json!({ "components": [{ "sku": "lamp" }] }), "/components/0/quantity"),
            (json!({ "components": [{ "sku": "lamp", "quantity": "2" }] }), "/components/0/quantity"),
            (json!({ "components": [{ "sku": "lamp", "quantity": 1.5 }] }), "/components/0/quantity"),
            (json!({ "components": [{ "sku": "lamp", "quantity": 1, "unit": "kg" }] }), "/components/0/unit"),
            (made_of(&[("lamp", 0)]), "/components/0/quantity"),
            (made_of(&[("lamp", 10_001)]), "/components/0/quantity"),
            (made_of(&[("lamp", 1), ("", 1)]), "/components/1/sku"),
            (made_of(&[("lamp", 1), ("lamp", 1)]), "/components/1/sku"),
            (made_of(&[("lamp", 1), ("BOX", 1)]), "/components/1/sku"),
            (made_of(&[("lamp", 1), ("nothing", 1)]), "/components/1/sku"),
            (made_of(&[("lamp", 1), ("KIT", 1)]), "/components/1/sku"),
        ] {
            ada.put("/v1/bundles/BOX", &body).names(422, pointer);
        }
        ada.put("/v1/bundles/lamp", &made_of(&[("bulb", 1)])).names(422, "/sku");
        ada.put("/v1/bundles/nothing", &made_of(&[("bulb", 1)])).is_problem(404);
        ada.delete("/v1/bundles/BOX").is_problem(404);
        ada.get("/v1/bundles?component=").names(422, "/component");
        ada.put("/v1/skus", &json!([{ "sku": "BOX", "components": [] }])).names(422, "/0/components");
    });
    ada.event("vases", "vase", "purchase", 2);
    let full = ada.put("/v1/bundles/vase", &made_of(&[("bulb", 1)])).is_problem(409);
    assert!(full["detail"].as_str().unwrap().contains("stock of its own"), "{full}");
    ada.event("no vases", "vase", "count", 0);
    ada.put("/v1/bundles/vase", &made_of(&[("bulb", 1)])).is(200);
}

fn a_sku_is_a_component_of_at_most_a_hundred_bundles(backend: Backend) {
    let api = Api::start(backend);
    let ada = api.seller("Ada");
    lamps(&ada);
    let skus: Vec<Value> = (0..101).map(|n| json!({ "sku": format!("K{n}") })).collect();
    ada.put("/v1/skus", &json!(skus)).is(200);
    for n in 0..100 {
        ada.put(&format!("/v1/bundles/K{n}"), &made_of(&[("bulb", 1)])).is(200);
    }
    let full = ada.put("/v1/bundles/K100", &made_of(&[("bulb", 1)])).names(422, "/components/0/sku");
    assert!(full.contains("100 bundles already"), "{full}");
    ada.put("/v1/bundles/K7", &made_of(&[("bulb", 2)])).is(200);
    assert_eq!(ada.event("e1", "bulb", "purchase", 1)["accepted"], 1);
}

on_both_backends![
    a_bundle_says_what_it_is_made_of_and_what_is_available_of_it,
    events_of_a_bundle_move_its_components_or_are_refused_by_row,
    what_cannot_be_a_bundle_is_refused_by_the_name_of_its_field,
    a_sku_is_a_component_of_at_most_a_hundred_bundles,
];
