//! The SHOPLINE Open API's exact requests, and its replies, at least one for each outcome.
use super::*;
use crate::domain::StoreId;
use crate::platforms::sign::EXPIRES_AT;
use chrono::DateTime;
use serde_json::json;

fn store() -> StoreConnection {
    let config = json!({"handle": "demo", "client_id": "app", "redirect_uri": "https://app.example.com/back"});
    let secrets = [("access_token", "t0ken"), ("client_secret", "s&cret"), ("refresh_token", "r1")];
    StoreConnection {
        store_id: StoreId(uuid::Uuid::nil()),
        platform: "shopline_open".into(),
        base_url: None,
        config: config.as_object().unwrap().clone(),
        credentials: secrets.map(|(name, secret)| (name.to_owned(), secret.into())).into(),
    }
}
fn call(action: Action, external_id: &str) -> Call {
    let extra = [("product_id".to_owned(), "p1".to_owned())].into();
    let item = CallItem { external_id: external_id.into(), extra, quantity: -3, expected: None };
    Call { action, items: vec![item], idempotency_key: None }
}
fn stamp() -> Stamp {
    Stamp { now: DateTime::from_timestamp(1_764_547_200, 0).unwrap(), nonce: "0".repeat(32) }
}
fn reply(status: u16, body: Value) -> Reply {
    Reply { status, headers: vec![], body: body.to_string() }
}
fn outcome_of(action: Action, status: u16, body: Value) -> Outcome {
    ShoplineOpen.outcome(&store(), &call(action, "v1"), &reply(status, body))
}

#[test]
fn a_variation_or_a_product_is_adjusted_set_or_read() {
    let adjust = ShoplineOpen.request(&store(), &call(Action::Adjust, "v1"), &stamp()).unwrap();
    assert_eq!(
        (adjust.method, adjust.url.as_str()),
        (Method::Put, "https://open.shopline.io/v1/products/p1/variations/v1/update_quantity")
    );
    assert_eq!(adjust.body.as_deref(), Some(r#"{"quantity":-3,"replace":false}"#));
    assert!(adjust.headers.contains(&("user-agent", "demo".into())), "the API requires it");
    let set = ShoplineOpen.request(&store(), &call(Action::Set, "p1"), &stamp()).unwrap();
    assert_eq!(set.url, "https://open.shopline.io/v1/products/p1/update_quantity");
    assert_eq!(set.body.as_deref(), Some(r#"{"quantity":-3,"replace":true}"#));
    let read = ShoplineOpen.request(&store(), &call(Action::Read, "v1"), &stamp()).unwrap();
    assert_eq!(read.url, "https://open.shopline.io/v1/products/p1");
    assert!(!format!("{adjust:?}").contains("t0ken"));
}

#[test]
fn a_success_reports_what_is_shown() {
    let shown = Outcome::Answered(vec![ItemResult::Applied { shown: Some(7) }]);
    assert_eq!(outcome_of(Action::Adjust, 200, json!({"id": "v1", "sku": "A", "quantity": 7, "product_id": "p1"})), shown);
    assert_eq!(outcome_of(Action::Read, 200, json!({"id": "p1", "quantity": 0, "variations": [{"id": "v1", "quantity": 7}]})), shown);
    let Outcome::Answered(other) = outcome_of(Action::Adjust, 200, json!({"id": "v2", "quantity": 7})) else { panic!() };
    assert!(matches!(other[0], ItemResult::Unknown { .. }), "a reply about another variation does not count");
}

#[test]
fn throttled_expired_and_forbidden_are_distinguished() {
    let throttled = json!({"error": "Rate limit exceeded", "code": "RateLimitExceeded"});
    assert!(matches!(outcome_of(Action::Set, 429, throttled), Outcome::TryAgain { throttled: true, .. }));
    assert!(matches!(outcome_of(Action::Set, 401, json!({})), Outcome::TokenExpired { .. }));
    assert!(matches!(outcome_of(Action::Set, 403, json!({})), Outcome::Unauthorized { .. }));
}

#[test]
fn an_unknown_listing_and_unlimited_stock_are_refused_with_a_next_step() {
    assert!(matches!(outcome_of(Action::Set, 404, json!({})), Outcome::Refused { next_step, .. } if next_step.contains("pair")));
    let Outcome::Answered(read) = outcome_of(Action::Read, 200, json!({"id": "p1", "unlimited_quantity": true, "quantity": 0})) else {
        panic!()
    };
    assert!(matches!(&read[0], ItemResult::Rejected { next_step, .. } if next_step.contains("unlimited quantity")));
    let Outcome::Answered(read) = outcome_of(Action::Read, 200, json!({"id": "p1", "variations": []})) else { panic!() };
    assert!(matches!(&read[0], ItemResult::Rejected { reason, .. } if reason.contains("variation")));
}

#[test]
fn replies_that_do_not_say_what_happened_are_unknown() {
    assert!(matches!(outcome_of(Action::Adjust, 502, json!({})), Outcome::Unknown { .. }));
    assert!(matches!(outcome_of(Action::Adjust, 200, json!([1])), Outcome::Unknown { .. }));
}

#[test]
fn variants_are_listed_page_by_page() {
    let body = json!({"items": [
        {"id": "p1", "sku": "P", "title_translations": {"en": "Cup"}, "variations": []},
        {"id": "p2", "title_translations": {"en": null, "zh-hant": "衫"}, "variations": [{"id": "v2", "sku": "V2"}]}],
        "pagination": {"current_page": 1, "total_pages": 2}});
    let page = ShoplineOpen.variants(&store(), None, &reply(200, body)).unwrap();
    let ids: Vec<(&str, &str)> = page.variants.iter().map(|v| (v.external_id.as_str(), v.extra["product_id"].as_str())).collect();
    assert_eq!(ids, [("p1", "p1"), ("v2", "p2")]);
    assert_eq!((page.variants[1].title.as_str(), page.next.as_deref()), ("衫", Some("16")));
    let url = ShoplineOpen.variants_request(&store(), Some("16"), &stamp()).unwrap().url;
    assert!(url.ends_with("/v1/products?per_page=16&page=2"), "{url}");
    let last = ShoplineOpen.variants(&store(), Some("16"), &reply(200, json!({"items": [], "pagination": {"total_pages": 2}}))).unwrap();
    assert_eq!(last.next, None);
}

#[test]
fn tokens_are_renewed_before_they_expire_and_stored_as_a_pair() {
    let mut store = store();
    assert!(ShoplineOpen.renewal_request(&store, &stamp(), false).is_none());
    store.credentials.insert(EXPIRES_AT.into(), "2025-12-01T00:04:00Z".into());
    let request = ShoplineOpen.renewal_request(&store, &stamp(), false).unwrap();
    assert_eq!(request.url, "https://developers.shoplineapp.com/oauth/token");
    assert_eq!(
        request.body.as_deref(),
        Some(
            "grant_type=refresh_token&refresh_token=r1&client_id=app&client_secret=s%26cret&redirect_uri=https%3A%2F%2Fapp.example.com%2Fback"
        )
    );
    let body = json!({"access_token": "t2", "token_type": "Bearer", "expires_in": 15_778_476, "refresh_token": "r2"});
    let Renewal::Renewed(credentials) = ShoplineOpen.renewal(&store, &reply(200, body), &stamp()) else { panic!() };
    assert_eq!(["access_token", "refresh_token"].map(|name| credentials[name].expose_secret()), ["t2", "r2"]);
    assert!(matches!(ShoplineOpen.renewal(&store, &reply(401, json!({"error": "invalid_grant"})), &stamp()), Renewal::Refused { .. }));
    assert!(matches!(ShoplineOpen.renewal(&store, &reply(503, json!({})), &stamp()), Renewal::TryAgain { .. }));
}

#[test]
fn every_bad_setting_is_named_by_its_pointer() {
    let bad = StoreConnection { config: Default::default(), credentials: [("refresh_token".to_owned(), "r".into())].into(), ..store() };
    let mut named: Vec<String> = ShoplineOpen.check_config(&bad).unwrap_err().into_iter().map(|e| e.pointer).collect();
    named.sort();
    assert_eq!(named, ["/client_id", "/credentials/client_secret", "/handle", "/redirect_uri"]);
    assert!(ShoplineOpen.check_config(&store()).is_ok());
    let staff_token = StoreConnection { credentials: [("access_token".to_owned(), "t".into())].into(), ..store() };
    assert!(ShoplineOpen.check_config(&staff_token).is_ok(), "a token created by staff needs no app");
}
