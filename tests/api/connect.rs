//! A seller connects a shop by clicking: from *Connect* over the platform's consent page to the first increase at the right
//! number, and everything that may go wrong on the way.
use crate::consent::{LISTING, Shopify, StandIn, faces};
use crate::database::Backend;
use crate::on_both_backends;
use crate::support::{Api, Expect, OPERATOR_KEY, until};
use crate::visitor::{Browser, PUBLIC, live_store, no_store, refused, sells, start, store_in_state};
use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection, SqliteConnection};
use serde_json::{Value, json};
use std::time::Duration;

fn redirect(platform: &str) -> String {
    format!("{PUBLIC}/connect/{platform}/callback")
}

fn shopify() -> StandIn<Shopify> {
    StandIn::start(&faces::shopify(), Shopify::new(&redirect("shopify")))
}

/// Enters the operator's app for the stand-in's shops.
fn enter_shopify_app(api: &Api, platform: &StandIn<Shopify>) {
    let (client_id, secret) = platform.with(|shopify| (shopify.client_id.clone(), shopify.secret.clone()));
    let base_url = format!("http://{}/{{shop}}", platform.address);
    let app = json!({ "client_id": client_id, "client_secret": secret, "base_url": base_url });
    api.operator().put("/admin/apps/shopify", &app).is(200);
}

fn a_click_in_the_console_leads_to_the_first_increase(backend: Backend) {
    let (api, platform) = (start(backend), shopify());
    let ada = api.seller("Ada");
    enter_shopify_app(&api, &platform);
    let browser = Browser::signed_in(&api, &ada.key);
    assert!(browser.get("/console/stores/new").text().contains("Connect Shopify"));
    assert!(browser.get("/console/connect/shopify").text().contains("Continue to Shopify"));
    let refused = browser.post("/console/connect/shopify", &[("shop", "acme.example.com")]);
    assert!(refused.status == 422 && refused.text().contains("Must be the shop&#39;s address in Shopify"), "{}", refused.text());
    let url = browser.leaves_for("shopify", &[("shop", "https://acme.myshopify.com/admin")]);
    let landed = browser.get(&platform.consent(&url).agree);
    assert_eq!(landed.status, 303, "{}", landed.text());
    let store = live_store(&ada);
    assert_eq!(landed.header("location"), Some(&*format!("/console/stores/{}", store["id"].as_str().unwrap())));
    assert_eq!((&store["name"], &store["shop"], &store["has_credentials"]), (&json!("Acme Outdoor"), &json!("acme"), &json!(true)));
    assert_eq!(platform.with(|shopify| shopify.scope.clone()), "read_products,read_inventory,write_inventory");
    sells(&ada, &store, &platform, json!({ "external_id": LISTING.to_string(), "location_id": "1" }));
}

fn an_address_from_the_api_asks_whose_account_it_is_before_it_connects(backend: Backend) {
    let (api, platform) = (start(backend), shopify());
    let ada = api.seller("Ada");
    enter_shopify_app(&api, &platform);
    let listed = ada.get("/v1/connections").is(200);
    assert_eq!(listed["items"].as_array().unwrap().iter().find(|p| p["platform"] == "shopify").unwrap()["available"], true);
    let begun = ada.post("/v1/connections", &json!({ "platform": "shopify", "shop": "acme" })).is(201);
    let back = platform.consent(begun["url"].as_str().unwrap()).agree;
    let stranger = Browser::stranger(&api);
    let page = stranger.get(&back);
    assert!(page.status == 200 && page.text().contains("Connect to Ada"), "{}", page.text());
    no_store(&ada);
    let fields: Vec<(String, String)> = reqwest::Url::parse(&back).unwrap().query_pairs().into_owned().collect();
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let done = stranger.post("/connect/shopify/callback", &fields);
    assert!(done.status == 200 && done.text().contains("Acme Outdoor is connected."), "{}", done.text());
    let store = live_store(&ada);
    sells(&ada, &store, &platform, json!({ "external_id": LISTING.to_string(), "location_id": "1" }));
    let audit = ada.get("/v1/audit").is(200);
    let entry = audit["items"].as_array().unwrap().iter().find(|entry| entry["action"] == "store.created").unwrap();
    assert_eq!(entry["actor"], format!("key:{}", ada.key_id), "who began it");
}

/// As another process would.
fn run_sql(api: &Api, sql: &str) {
    match api.database.url.strip_prefix("sqlite://") {
        Some(file) => SqliteConnection::establish(file).unwrap().batch_execute(sql).unwrap(),
        None => PgConnection::establish(&api.database.url).unwrap().batch_execute(sql).unwrap(),
    }
}

fn whoever_did_not_begin_it_or_comes_twice_late_or_with_something_else_connects_nothing(backend: Backend) {
    let (api, platform) = (start(backend), shopify());
    let (ada, bob) = (api.seller("Ada"), api.seller("Bob"));
    enter_shopify_app(&api, &platform);
    let browser = Browser::signed_in(&api, &ada.key);
    let back = || platform.consent(&browser.leaves_for("shopify", &[("shop", "acme")])).agree;
    let unknown = "belongs to no authorization";
    let first = back();
    for other in [Browser::signed_in(&api, &bob.key), Browser::signed_in(&api, &ada.key), Browser::stranger(&api)] {
        refused(&other.get(&first), 404, unknown);
        let agreed = other.post(&format!("/connect/shopify/callback?{}", first.split_once('?').unwrap().1), &[]);
        assert_eq!(agreed.status, 404, "{}", agreed.text());
    }
    for wrong in ["/connect/shopify/callback", "/connect/shopify/callback?state=x&code=y", "/connect/ebay/callback?state=x"] {
        refused(&browser.get(wrong), 404, unknown);
    }
    assert_eq!(browser.get("/connect/nowhere").status, 404);
    let many: String = (0..50).map(|n| format!("&p{n}=1")).collect();
    assert_eq!(browser.get(&format!("/connect/shopify/callback?state=x{many}")).status, 400);
    refused(&browser.get(&first.replace("code=", "code=x")), 422, "signed by Shopify");
    let declined = platform.consent(&browser.leaves_for("shopify", &[("shop", "acme")])).decline;
    refused(&browser.get(&declined), 200, "give permission");
    refused(&browser.get(&declined), 409, "used already");
    platform.with(|shopify| shopify.shop = "other".to_owned());
    refused(&browser.get(&back()), 422, "You entered the shop acme, but authorized other.myshopify.com.");
    platform.with(|shopify| shopify.shop = "acme".to_owned());
    let expired = back();
    platform.with(|shopify| shopify.tokens.expire_codes());
    refused(&browser.get(&expired), 422, "invalid_grant");
    let late = back();
    run_sql(&api, "UPDATE authorizations SET expires_at = 1, created_at = 0 WHERE used_at IS NULL");
    refused(&browser.get(&late), 409, "longer than 15 minutes");
    no_store(&ada);
    no_store(&bob);
    let good = back();
    assert_eq!(browser.get(&good).status, 303);
    refused(&browser.get(&good), 409, "used already");
    live_store(&ada);
    let again = back();
    refused(&browser.get(&again), 409, "already connected as the store Acme Outdoor");
    store_in_state(&ada, "working");
}

fn a_token_endpoint_that_is_down_slow_or_answers_rubbish_connects_nothing_and_the_next_click_does(backend: Backend) {
    let (api, platform) = (start(backend), shopify());
    let ada = api.seller("Ada");
    enter_shopify_app(&api, &platform);
    let browser = Browser::signed_in(&api, &ada.key);
    let come_back = || browser.get(&platform.consent(&browser.leaves_for("shopify", &[("shop", "acme")])).agree);
    for trouble in [
        (503, "", Duration::ZERO),
        (200, "<html>", Duration::ZERO),
        (200, "{\"access_token\":\"\"}", Duration::ZERO),
        (200, "{\"access_token\":7}", Duration::ZERO),
        (302, "", Duration::ZERO),
        (200, "{}", Duration::from_secs(3)),
    ] {
        platform.token_trouble(Some(trouble));
        refused(&come_back(), 422, "Connect the shop again.");
        no_store(&ada);
    }
    platform.token_trouble(None);
    assert_eq!(come_back().status, 303);
    live_store(&ada);
}

fn a_revoked_store_is_authorized_again_by_the_same_button_and_what_was_held_flows(backend: Backend) {
    let (api, platform) = (start(backend), shopify());
    let ada = api.seller("Ada");
    enter_shopify_app(&api, &platform);
    let browser = Browser::signed_in(&api, &ada.key);
    assert_eq!(browser.get(&platform.consent(&browser.leaves_for("shopify", &[("shop", "acme")])).agree).status, 303);
    let store = live_store(&ada);
    sells(&ada, &store, &platform, json!({ "external_id": LISTING.to_string(), "location_id": "1" }));
    platform.with(|shopify| shopify.tokens.revoke());
    ada.event("e3", "MUG", "purchase", 2);
    store_in_state(&ada, "needs_reauthorisation");
    ada.event("e4", "MUG", "purchase", 3);
    let id = store["id"].as_str().unwrap().to_owned();
    let page = browser.get(&format!("/console/stores/{id}")).text();
    assert!(page.contains("Authorize again"), "{page}");
    platform.with(|shopify| shopify.shop = "other".to_owned());
    let elsewhere = browser.get(&platform.consent(&browser.leaves_for("shopify", &[("store", &id)])).agree);
    refused(&elsewhere, 422, "but authorized other");
    platform.with(|shopify| shopify.shop = "acme".to_owned());
    assert_eq!(browser.get(&platform.consent(&browser.leaves_for("shopify", &[("store", &id)])).agree).status, 303);
    until("what was held has arrived", || (platform.shown() == 20).then_some(()));
    assert_eq!(store_in_state(&ada, "working")["id"], store["id"], "it is the same store");
}

fn an_apps_secret_is_never_shown_and_goes_nowhere_that_a_seller_chooses(backend: Backend) {
    let (api, platform) = (start(backend), shopify());
    let ada = api.seller("Ada");
    let operator = api.operator();
    for (body, pointer) in [
        (json!({}), "/client_id"),
        (json!({ "client_id": "a b", "client_secret": "s" }), "/client_id"),
        (json!({ "client_id": "a" }), "/client_secret"),
        (json!({ "client_id": "a", "client_secret": "" }), "/client_secret"),
        (json!({ "client_id": "a", "client_secret": "s", "base_url": "nowhere" }), "/base_url"),
        (json!({ "client_id": "a", "client_secret": "s", "scopes": ["a b"] }), "/scopes/0"),
        (json!({ "client_id": "a", "client_secret": "s", "settings": { "colour": "red" } }), "/settings/colour"),
    ] {
        operator.put("/admin/apps/shopify", &body).names(422, pointer);
    }
    operator.put("/admin/apps/nowhere", &json!({ "client_id": "a", "client_secret": "s" })).names(422, "/platform");
    assert_eq!(operator.get("/admin/apps").is(200)["items"], json!([]));
    enter_shopify_app(&api, &platform);
    let secret = platform.with(|shopify| shopify.secret.clone());
    let browser = Browser::signed_in(&api, &ada.key);
    assert_eq!(browser.get(&platform.consent(&browser.leaves_for("shopify", &[("shop", "acme")])).agree).status, 303);
    let store = live_store(&ada);
    let path = format!("/v1/stores/{}", store["id"].as_str().unwrap());
    ada.changes_nothing(|| {
        assert!(ada.patch(&path, &json!({ "base_url": "http://127.0.0.1:9" })).names(422, "/base_url").contains("operator's app"));
        ada.patch(&path, &json!({ "base_url": null })).names(422, "/base_url");
    });
    ada.patch(&path, &json!({ "name": "Mine" })).is(200);
    // The app's secret is replaced at the platform and here; the store is renewed with the new one, and the app's ID stays.
    platform.with(|shopify| shopify.secret = "shpss_another_fedcba9876543210".to_owned());
    enter_shopify_app(&api, &platform);
    platform.with(|shopify| shopify.tokens.access = "another".to_owned());
    assert_eq!(ada.post(&format!("{path}/check"), &Value::Null).is(200)["ok"], true);
    assert_eq!(platform.with(|shopify| shopify.tokens.refreshed), 1);
    for (caller, path) in [(&operator, "/admin/apps"), (&operator, "/admin/audit"), (&ada, "/v1/audit"), (&ada, path.as_str())] {
        let text = caller.get(path).text();
        assert!(!text.contains(&secret) && !text.contains("shpss_"), "{path}: {text}");
    }
    let changes = operator.get("/admin/audit").is(200);
    let of_apps = changes["items"].as_array().unwrap().iter().filter(|change| change["action"] == "app.changed").count();
    assert_eq!(of_apps, 2);
    assert_eq!((&changes["items"][0]["action"], &changes["items"][0]["subject"]), (&json!("app.changed"), &json!("shopify")));
    operator.delete("/admin/apps/shopify").is(204);
    operator.delete("/admin/apps/shopify").is_problem(404);
    let gone = ada.post("/v1/connections", &json!({ "platform": "shopify", "shop": "acme" }));
    assert!(gone.is_problem(409)["detail"].as_str().unwrap().contains("ask the operator"));
    assert_eq!(ada.post(&format!("{path}/check"), &Value::Null).is(200)["ok"], true, "the store goes on");
    // With credentials of the seller's own, the address is the seller's, too.
    let own = json!({ "base_url": "http://127.0.0.1:9", "credentials": { "access_token": "shpat_own" } });
    ada.patch(&path, &own).is(200);
    ada.patch(&path, &json!({ "base_url": "http://127.0.0.1:10" })).is(200);
}

fn what_is_missing_is_said_together_with_whom_to_ask(backend: Backend) {
    let api = Api::start_with(backend, &[("public_url", ""), ("smtp_host", ""), ("smtp_sender", "")]);
    let ada = api.seller("Ada");
    let wanted = json!({ "platform": "shopify", "shop": "acme" });
    assert!(ada.post("/v1/connections", &wanted).is_problem(409)["detail"].as_str().unwrap().contains("public_url"));
    assert_eq!(ada.get("/v1/connections").is(200)["items"][0]["available"], false);
    let browser = Browser::signed_in(&api, &ada.key);
    assert!(browser.get("/console/connect/shopify").text().contains("public_url"));
    assert!(!browser.get("/console/stores/new").text().contains("Connect Shopify"));
    let api = start(backend);
    let ada = api.seller("Ada");
    assert!(ada.post("/v1/connections", &wanted).is_problem(409)["detail"].as_str().unwrap().contains("has not set up an app for Shopify"));
    assert!(Browser::signed_in(&api, &ada.key).get("/console/connect/shopify").text().contains("Ask the operator."));
    for (body, pointer) in [
        (json!({ "platform": "nowhere" }), "/platform"),
        (json!({ "platform": "shopify" }), "/shop"),
        (json!({ "platform": "shopify", "shop": "" }), "/shop"),
        (json!({ "platform": "shopify", "shop": 7 }), "/shop"),
        (json!({ "platform": "shopify", "shop": "acme.example.com" }), "/shop"),
        (json!({ "platform": "shopify", "shop": "acme", "colour": "red" }), "/colour"),
        (json!({ "platform": "shopify", "shop": "x".repeat(400) }), "/shop"),
    ] {
        ada.post("/v1/connections", &body).names(422, pointer);
    }
    assert_eq!(api.call("GET", "/admin/apps", OPERATOR_KEY, None).status, 200);
}

on_both_backends![
    a_click_in_the_console_leads_to_the_first_increase,
    an_address_from_the_api_asks_whose_account_it_is_before_it_connects,
    whoever_did_not_begin_it_or_comes_twice_late_or_with_something_else_connects_nothing,
    a_token_endpoint_that_is_down_slow_or_answers_rubbish_connects_nothing_and_the_next_click_does,
    a_revoked_store_is_authorized_again_by_the_same_button_and_what_was_held_flows,
    an_apps_secret_is_never_shown_and_goes_nowhere_that_a_seller_chooses,
    what_is_missing_is_said_together_with_whom_to_ask,
];
