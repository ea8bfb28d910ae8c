//! Listings that are several units of their SKU.
use crate::database::Backend;
use crate::on_both_backends;
use crate::shapes::has;
use crate::support::{Api, Expect, Platform, until};
use serde_json::{Value, json};

fn a_six_pack_says_so_wherever_its_numbers_are_shown(backend: Backend) {
    let (api, platform) = (Api::start(backend), Platform::start());
    let ada = api.seller("Ada");
    let store = ada.store("corner", platform.address, json!({ "external_store": "corner" }));
    let listings = format!("/v1/stores/{store}/listings");
    let rows = json!([{ "sku": "A", "external_id": "six", "units": 6 }, { "sku": "B", "external_id": "one" }]);
    assert_eq!(ada.put(&listings, &rows).is(200)["created"], 2);
    ada.event("e1", "A", "purchase", 20);
    let listed = ada.get(&listings).is(200);
    has(&listed["items"][0], json!({ "external_id": "six", "units": 6, "target": 3 }));
    has(&listed["items"][1], json!({ "external_id": "one", "units": 1, "target": 0 }));
    let stock = ada.get("/v1/stock?sku=A").is(200);
    has(&stock["listings"][0], json!({ "units": 6, "pool": 20, "target": 3 }));
    let explained = ada.get("/v1/stock/A/explain").is(200);
    has(&explained["listings"][0]["formula"], json!({ "pool": 20, "part": 20, "units": 6, "target": 3 }));
    let preview = ada.post("/v1/syncs", &json!({ "skus": ["A"], "dry_run": true })).is(200);
    has(&preview["items"][0], json!({ "external_id": "six", "units": 6, "target": 3 }));
    ada.post("/v1/syncs", &json!({})).is(202);
    until("the overwrite", || (platform.simulator.quantity("corner", "six") == 3).then_some(()));
}

fn units_that_are_not_a_whole_number_of_the_right_size_are_refused_by_row(backend: Backend) {
    let (api, platform) = (Api::start(backend), Platform::start());
    let ada = api.seller("Ada");
    let listings = format!("/v1/stores/{}/listings", ada.store("corner", platform.address, json!({})));
    ada.put(&listings, &json!([{ "sku": "A", "external_id": "a", "units": 6 }])).is(200);
    ada.changes_nothing(|| {
        for units in [json!(0), json!(-6), json!(6.5), json!("6"), json!(10_001), json!(i64::MAX), json!([6]), json!(true), json!({})] {
            let answer = ada.put(&listings, &json!([{ "sku": "A", "external_id": "a", "units": units }])).is(200);
            let error = json!({ "pointer": "/0/units", "detail": "must be a whole number from 1 to 10000" });
            assert_eq!((&answer["rejected"], &answer["results"][0]["errors"][0]), (&json!(1), &error), "{units}: {answer}");
        }
        for units in ["0", "-6", "six", "6.5", "10001", "99999999999999999999", "1e400"] {
            let file = format!("sku,external_id,units\nA,a,{units}\n");
            let answer = ada.send_as("PUT", &listings, "text/csv", file.as_bytes()).is(200);
            assert_eq!(answer["results"][0]["errors"][0]["pointer"], "/0/units", "{units}: {answer}");
        }
    });
    for (units, same) in [("6", "unchanged"), ("6.0", "unchanged"), ("", "unchanged"), ("10000", "updated")] {
        let file = format!("sku,external_id,units\nA,a,{units}\n");
        let answer = ada.send_as("PUT", &listings, "text/csv", file.as_bytes()).is(200);
        assert_eq!(answer["results"][0]["status"], same, "{units}");
    }
}

fn changed_units_are_announced_by_a_dry_run_and_overwritten_at_once_while_auto_sync_is_on(backend: Backend) {
    let (api, platform) = (Api::start(backend), Platform::start());
    let ada = api.seller("Ada");
    let store = ada.store("corner", platform.address, json!({ "external_store": "corner" }));
    let listings = format!("/v1/stores/{store}/listings");
    ada.pair(&store, &["A"]);
    ada.event("e1", "A", "purchase", 20);
    ada.post("/v1/syncs", &json!({})).is(202);
    let shows = |units: i64| until("the overwrite", || (platform.simulator.quantity("corner", "A") == units).then_some(()));
    shows(20);
    until("the service knows", || (ada.get(&listings).is(200)["items"][0]["shown"] == 20).then_some(()));
    let row = |units: i64| json!([{ "sku": "A", "external_id": "A", "units": units }]);
    let dry = ada.changes_nothing(|| ada.put(&format!("{listings}?dry_run=true"), &row(6)).is(200));
    has(&dry["results"][0], json!({ "status": "updated", "units_before": 1 }));
    let offered = ada.put(&listings, &row(5)).is(200);
    assert_eq!((offered.get("sync_id"), &offered["overwrite"]["listings"]), (None, &json!(1)), "{offered}");
    ada.put("/v1/sync-settings", &json!({ "auto_sync": true, "initial_overwrite": false })).is(200);
    let done = ada.put(&listings, &row(6)).is(200);
    assert_eq!((done.get("overwrite"), &done["results"][0]["status"]), (None, &json!("updated")), "{done}");
    let run = ada.get(&format!("/v1/syncs/{}", done["sync_id"].as_str().unwrap())).is(200);
    assert_eq!((&run["kind"], &run["id"]), (&json!("manual"), &done["sync_id"]), "{run}");
    shows(3);
    let of_units = |entry: &&Value| entry["action"] == "listings.changed" && entry["after"]["other_units"] == 1;
    assert_eq!(ada.get("/v1/audit").is(200)["items"].as_array().unwrap().iter().filter(of_units).count(), 2);
    ada.event("e2", "A", "purchase", 4);
    shows(4);
}

fn discovery_leaves_units_as_they_are(backend: Backend) {
    let (api, platform) = (Api::start(backend), Platform::start());
    let ada = api.seller("Ada");
    let store = ada.store("corner", platform.address, json!({ "external_store": "corner" }));
    platform.simulator.set_quantity("corner", "A", 7);
    platform.simulator.set_quantity("corner", "B", 7);
    for (id, sku) in [("e1", "A"), ("e2", "B")] {
        ada.event(id, sku, "purchase", 40);
    }
    ada.put(&format!("/v1/stores/{store}/listings"), &json!([{ "sku": "A", "external_id": "A", "units": 6 }])).is(200);
    assert_eq!(ada.post(&format!("/v1/stores/{store}/discover"), &json!({ "apply": true })).is(200)["paired"], 1);
    let listed = ada.get(&format!("/v1/stores/{store}/listings")).is(200);
    let units: Vec<&Value> = listed["items"].as_array().unwrap().iter().map(|listing| &listing["units"]).collect();
    assert_eq!(units, [6, 1]);
}

on_both_backends!(
    a_six_pack_says_so_wherever_its_numbers_are_shown,
    units_that_are_not_a_whole_number_of_the_right_size_are_refused_by_row,
    changed_units_are_announced_by_a_dry_run_and_overwritten_at_once_while_auto_sync_is_on,
    discovery_leaves_units_as_they_are,
);
