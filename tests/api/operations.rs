//! What an operator does after a restore, and where a browser lands.
use crate::client::{exchange, request};
use crate::database::Backend;
use crate::on_both_backends;
use crate::support::{Api, Expect, Platform, until};
use serde_json::json;

fn after_a_restore_one_call_overwrites_the_stores_of_all_sellers(backend: Backend) {
    let (api, platform) = (Api::start(backend), Platform::start());
    let sellers = ["Ada", "Ben", "Cleo"].map(|name| api.seller(name));
    for (n, seller) in sellers.iter().enumerate().take(2) {
        let store = seller.store("corner", platform.address, json!({ "external_store": format!("corner-{n}") }));
        seller.event("e1", "A", "purchase", 5);
        seller.pair(&store, &["A"]);
        platform.simulator.set_quantity(&format!("corner-{n}"), "A", 77);
    }
    let suspended = api.seller("Dan");
    api.operator().patch(&format!("/admin/sellers/{}", suspended.id), &json!({ "suspended": true })).is(200);
    let started = api.operator().post("/admin/syncs", &json!({})).is(202);
    assert_eq!(started, json!({ "started": 2, "suspended": 1, "without_stores": 1 }));
    for n in 0..2 {
        until("the store is overwritten", || (platform.simulator.quantity(&format!("corner-{n}"), "A") == 5).then_some(()));
    }
    assert_eq!(sellers[0].get("/v1/audit").is(200)["items"][0]["actor"], "operator");
    sellers[0].post("/admin/syncs", &json!({})).is_problem(401);
}

#[test]
fn a_browser_at_the_root_is_taken_to_the_console_and_a_program_is_told_that_nothing_is_there() {
    let api = Api::start(Backend::Sqlite);
    let get = |accept: &str| exchange(api.address, &request("GET", "/", &[("accept", accept)], None)).unwrap();
    let page = get("text/html,application/xhtml+xml,*/*;q=0.8");
    assert_eq!((page.status, page.header("location")), (302, Some("/console")));
    for accept in ["*/*", "application/json"] {
        assert_eq!(get(accept).status, 404, "{accept}");
    }
}

on_both_backends![after_a_restore_one_call_overwrites_the_stores_of_all_sellers];
