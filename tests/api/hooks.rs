//! Calls from platforms: what a shop's owner does there, and what others make up.
use crate::client::{Answer, exchange, request};
use crate::consent::{LISTING, Shopify, StandIn, faces};
use crate::database::Backend;
use crate::on_both_backends;
use crate::support::{Api, Caller, Expect, pause, until};
use crate::visitor::{Browser, PUBLIC, live_store, sells, start, store_in_state};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::time::Duration;
use stocktide::platforms::sign::hmac_sha256;

fn connected<'a>(api: &'a Api, ada: &Caller<'_>) -> (StandIn<Shopify>, Browser<'a>, Value) {
    let platform = StandIn::start(&faces::shopify(), Shopify::new(&format!("{PUBLIC}/connect/shopify/callback")));
    let (client_id, secret) = platform.with(|shopify| (shopify.client_id.clone(), shopify.secret.clone()));
    let base_url = format!("http://{}/{{shop}}", platform.address);
    let app = json!({ "client_id": client_id, "client_secret": secret, "base_url": base_url });
    api.operator().put("/admin/apps/shopify", &app).is(200);
    let browser = Browser::signed_in(api, &ada.key);
    assert_eq!(browser.get(&platform.consent(&browser.leaves_for("shopify", &[("shop", "acme")])).agree).status, 303);
    let store = live_store(ada);
    sells(ada, &store, &platform, json!({ "external_id": LISTING.to_string(), "location_id": "1" }));
    (platform, browser, store)
}

fn post(api: &Api, platform: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    exchange(api.address, &request("POST", &format!("/hooks/{platform}"), headers, Some(body))).unwrap()
}

/// What Shopify sends, signed with this secret.
fn shopify_says(api: &Api, topic: &str, body: &Value, secret: &str) -> Answer {
    let body = body.to_string();
    let signature = STANDARD.encode(hmac_sha256(secret.as_bytes(), body.as_bytes()));
    let headers = [("content-type", "application/json"), ("x-shopify-topic", topic), ("x-shopify-hmac-sha256", &signature)];
    post(api, "shopify", &headers, body.as_bytes())
}

/// The stores' states and the sellers' audit logs, once nothing is being looked into any more.
fn all(api: &Api, ada: &Caller<'_>) -> (Value, Value, Value) {
    pause(Duration::from_millis(300));
    (ada.get("/v1/stores").is(200), ada.get("/v1/audit").is(200), api.operator().get("/admin/audit").is(200))
}

fn an_app_removed_at_the_shop_holds_the_store_and_the_same_button_brings_it_back_with_nothing_lost(backend: Backend) {
    let api = start(backend);
    let ada = api.seller("Ada");
    let (platform, browser, store) = connected(&api, &ada);
    let secret = platform.with(|shopify| shopify.secret.clone());
    let removed = json!({ "myshopify_domain": "acme.myshopify.com" });
    platform.with(|shopify| shopify.tokens.revoke());
    for _ in 0..2 {
        assert_eq!(shopify_says(&api, "app/uninstalled", &removed, &secret).status, 200, "also when it is repeated");
    }
    let held = store_in_state(&ada, "needs_reauthorisation");
    until("the reason is shown", || {
        let store = ada.get(&format!("/v1/stores/{}", held["id"].as_str().unwrap())).is(200);
        store.to_string().contains("The app was removed from the shop.").then_some(())
    });
    until("it is in the audit log", || ada.get("/v1/audit").text().contains("store.app_removed").then_some(()));
    ada.event("e7", "MUG", "purchase", 4);
    let id = store["id"].as_str().unwrap();
    assert_eq!(browser.get(&platform.consent(&browser.leaves_for("shopify", &[("store", id)])).agree).status, 303);
    until("what was held has arrived", || (platform.shown() == 19).then_some(()));
    assert_eq!(store_in_state(&ada, "working")["id"], store["id"]);
    // Shopify repeats a call for hours, and it may come after the app is installed again.
    let before = all(&api, &ada);
    assert_eq!(shopify_says(&api, "app/uninstalled", &removed, &secret).status, 200);
    assert_eq!(all(&api, &ada), before, "the shop lets the service in, so the call was late");
    ada.event("e8", "MUG", "purchase", 1);
    until("the store goes on", || (platform.shown() == 20).then_some(()));
}

fn what_the_platform_has_not_signed_or_no_store_is_concerned_by_changes_nothing(backend: Backend) {
    let api = start(backend);
    let ada = api.seller("Ada");
    let (platform, _browser, _) = connected(&api, &ada);
    let secret = platform.with(|shopify| shopify.secret.clone());
    platform.with(|shopify| shopify.tokens.revoke());
    let acme = json!({ "myshopify_domain": "acme.myshopify.com" });
    let before = all(&api, &ada);
    for (topic, body, secret, status) in [
        ("app/uninstalled", &acme, "another", 401),
        ("app/uninstalled", &json!({ "myshopify_domain": "other.myshopify.com" }), &*secret, 200),
        ("app/uninstalled", &json!({ "myshopify_domain": "acme.example.com" }), &secret, 400),
        ("app/uninstalled", &json!({}), &secret, 400),
        ("app/uninstalled", &json!([1]), &secret, 400),
        ("orders/create", &acme, &secret, 200),
    ] {
        assert_eq!(shopify_says(&api, topic, body, secret).status, status, "{topic} {body}");
    }
    assert_eq!(post(&api, "shopify", &[], b"").status, 401);
    assert_eq!(post(&api, "shopify", &[], &vec![b' '; 300_000]).status, 413);
    for without in ["shopline", "shopee", "medusa", "nowhere", "%00"] {
        assert_eq!(post(&api, without, &[], b"{}").status, 404, "{without}");
    }
    assert_eq!(all(&api, &ada), before);
    let forged = || shopify_says(&api, "app/uninstalled", &acme, "another").status;
    assert!((0..40).any(|_| forged() == 429) || forged() == 401, "an answer each time");
}

fn privacy_requests_are_answered_and_noted_for_the_operator(backend: Backend) {
    let api = start(backend);
    let ada = api.seller("Ada");
    let (platform, ..) = connected(&api, &ada);
    let secret = platform.with(|shopify| shopify.secret.clone());
    let request = json!({ "shop_domain": "acme.myshopify.com", "customer": { "email": "eve@example.com" } });
    for topic in ["customers/data_request", "customers/redact", "shop/redact"] {
        for _ in 0..3 {
            assert_eq!(shopify_says(&api, topic, &request, &secret).status, 200);
        }
    }
    let noted = api.operator().get("/admin/audit").is(200);
    let noted: Vec<&Value> = noted["items"].as_array().unwrap().iter().filter(|entry| entry["action"] == "privacy.requested").collect();
    assert_eq!(noted.len(), 3, "once each, however often they are sent");
    assert_eq!(noted[0]["after"], json!({ "request": "shop/redact", "shop": { "shop": "acme" } }));
    assert!(!format!("{noted:?}").contains("eve@example.com"), "nothing about a customer is kept");
}

on_both_backends![
    an_app_removed_at_the_shop_holds_the_store_and_the_same_button_brings_it_back_with_nothing_lost,
    what_the_platform_has_not_signed_or_no_store_is_concerned_by_changes_nothing,
    privacy_requests_are_answered_and_noted_for_the_operator,
];
