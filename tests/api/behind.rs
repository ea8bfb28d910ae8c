//! `GET /admin/stores`: which stores are behind, of all sellers, why, and who must act.
use crate::database::Backend;
use crate::on_both_backends;
use crate::support::{Api, Caller, Expect, Platform, until};
use serde_json::{Value, json};
use std::time::Duration;
use stocktide::clock::Clock;
use stocktide::db::behind::busy_stores;
use stocktide::db::{Conn, DatabaseUrl};
use stocktide::domain::behind::{BEHIND_BY, Behind, Cause};
use stocktide::simulator::Faults;

/// A store of this seller with one listing, and an update of it that is recorded now.
fn store_with_work(seller: &Caller<'_>, name: &str, fields: Value) -> String {
    let mut body = json!({ "name": name, "platform": "simulated", "external_store": name });
    body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    let store = seller.post("/v1/stores", &body).is(201)["id"].as_str().unwrap().to_owned();
    seller.pair(&store, &["A"]);
    seller.post("/v1/syncs", &json!({ "store_ids": [store] })).is(202);
    store
}

fn state_of(seller: &Caller<'_>, store: &str) -> Value {
    seller.get(&format!("/v1/stores/{store}")).is(200)["state"].clone()
}

fn names(list: &Value) -> Vec<&str> {
    list["items"].as_array().unwrap().iter().map(|item| item["store_name"].as_str().unwrap()).collect()
}

fn the_worst_stores_of_all_sellers_come_first_with_the_cause_and_who_must_act(backend: Backend) {
    let (api, platform) = (Api::start(backend), Platform::start());
    let (operator, url) = (api.operator(), format!("http://{}", platform.address));
    platform.simulator.set_faults(Faults { token: Some("right".to_owned()), ..Faults::default() });
    let [ada, bob, cyd, dan] = ["Ada", "Bob", "Cyd", "Dan"].map(|name| api.seller(name));
    store_with_work(&cyd, "resting", json!({ "base_url": url, "credentials": { "token": "right" }, "paused": true }));
    let locked = store_with_work(&ada, "locked", json!({ "base_url": url, "credentials": { "token": "wrong" } }));
    until("the store refuses its token", || (state_of(&ada, &locked) == "needs_reauthorisation").then_some(()));
    store_with_work(&bob, "calm", json!({ "base_url": url, "credentials": { "token": "right" } }));
    store_with_work(&bob, "gone", json!({ "base_url": "http://127.0.0.1:9" }));
    store_with_work(&dan, "forgotten", json!({ "base_url": "http://127.0.0.1:9" }));
    operator.patch(&format!("/admin/sellers/{}", dan.id), &json!({ "suspended": true })).is(200);

    let list = until("only the three are behind, and one keeps failing", || {
        let list = operator.get("/admin/stores?behind=0s").is(200);
        let fails = |item: &Value| item["store_name"] == "gone" && item["cause"] == "not_responding" && item["must_act"] == "shop";
        let has_failed = list["items"].as_array().unwrap().iter().any(fails);
        (has_failed && names(&list).len() == 3).then_some(list)
    });
    assert_eq!(names(&list), ["locked", "gone", "resting"], "what is broken comes first, longest first, and what its seller wants last");
    let [locked, gone, resting] = [0, 1, 2].map(|at| &list["items"][at]);
    for (item, seller, cause, must_act) in [(locked, &ada, "needs_reauthorisation", "seller"), (resting, &cyd, "paused", "seller")] {
        assert_eq!((&item["cause"], &item["must_act"], &item["seller_id"]), (&json!(cause), &json!(must_act), &json!(seller.id)), "{item}");
    }
    assert_eq!((&gone["seller_name"], &gone["state"], &gone["pending"]), (&json!("Bob"), &json!("working"), &json!(1)));
    assert!(gone["reason"].as_str().unwrap().len() > 10 && gone["since"].is_string(), "{gone}");
    assert!(locked["reason"].as_str().unwrap().contains("credentials"), "{locked}");
    assert!(locked["next_step"].as_str().unwrap().contains("connect it again"), "{locked}");

    let mut walked = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = operator.get(&format!("/admin/stores?behind=0s&limit=1{cursor}")).is(200);
        walked.extend(names(&page).into_iter().map(str::to_owned));
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(walked, names(&list));
    assert_eq!(names(&operator.get("/admin/stores?behind=31d").is(200)), ["locked"], "who lets nobody in is listed at once");
    assert_eq!(names(&operator.get("/admin/stores?behind=0s&platform=simulated").is(200)).len(), 3);
    assert!(names(&operator.get("/admin/stores?behind=0s&platform=shopify").is(200)).is_empty());
}

fn a_daily_run_that_has_not_begun_is_the_operators_to_look_at(backend: Backend) {
    let (api, platform) = (Api::start(backend), Platform::start());
    let ada = api.seller("Ada");
    for (name, enabled) in [("on", true), ("off", false)] {
        ada.store(name, platform.address, json!({ "external_store": name, "sync_enabled": enabled }));
    }
    let settings = json!({ "auto_sync": true, "frequency": "timed_full", "daily_at": "03:00", "initial_overwrite": false });
    ada.put("/v1/sync-settings", &settings).is(200);
    // As a service would find it that has been down for two days.
    let later = Clock::system().now() + Duration::from_secs(2 * 86_400);
    let mut conn = Conn::establish(&DatabaseUrl::parse(&api.database.url).unwrap()).unwrap();
    let found = busy_stores(&mut conn, later, later).unwrap();
    let behind: Vec<_> =
        found.iter().filter_map(|store| Some((store.store_name.as_str(), Behind::of(&store.facts, BEHIND_BY, later)?.cause))).collect();
    assert_eq!(behind, [("on", Cause::RunOverdue)]);
}

fn wrong_questions_about_stores_are_refused_by_name(backend: Backend) {
    let api = Api::start(backend);
    let operator = api.operator();
    for behind in ["", "60", "-1s", "1w", "32d", "1e9s", "99999999999999999999999d", "5%20m", "%00s", "%F0%9F%9A%80"] {
        operator.get(&format!("/admin/stores?behind={behind}")).names(422, "/behind");
    }
    for (query, pointer) in [
        ("platform=nowhere", "/platform"),
        ("platform=", "/platform"),
        ("platform=%00", "/platform"),
        ("limit=0", "/limit"),
        ("limit=1001", "/limit"),
        ("cursor=zz", "/cursor"),
        ("cursor=", "/cursor"),
        ("cursor=3120", "/cursor"),
        ("worst=1", "/worst"),
        ("behind=1s&behind=2s", "/behind"),
    ] {
        operator.get(&format!("/admin/stores?{query}")).names(422, pointer);
    }
    assert_eq!(operator.get("/admin/stores").is(200), json!({ "items": [], "next_cursor": null }));
}

on_both_backends![
    the_worst_stores_of_all_sellers_come_first_with_the_cause_and_who_must_act,
    a_daily_run_that_has_not_begun_is_the_operators_to_look_at,
    wrong_questions_about_stores_are_refused_by_name,
];
