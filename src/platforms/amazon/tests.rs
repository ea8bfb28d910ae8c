//! Amazon's requests, and replies as the platform gives them. Ids and keys are invented.
use super::super::fixtures::{test_pointers, test_reply, test_stamp, test_store};
use super::super::sign::EXPIRES_AT;
use super::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

fn store() -> StoreConnection {
    let config = json!({"region": "na", "seller_id": "A1SELLER", "marketplace_id": "ATVPDKIKX0DER"});
    let credentials = [
        ("access_token", "Atza|1"),
        (EXPIRES_AT, "2026-11-24T13:00:00Z"),
        ("refresh_token", "Atzr|r"),
        ("client_id", "id"),
        ("client_secret", "s"),
    ];
    test_store("amazon", config, &credentials)
}

fn call(action: Action, quantity: i64) -> Call {
    let item = CallItem { external_id: "MY SKU/1".into(), extra: BTreeMap::new(), quantity, expected: None };
    Call { action, items: vec![item], idempotency_key: None }
}

fn result(action: Action, body: &Value) -> ItemResult {
    match Amazon.outcome(&store(), &call(action, 7), &test_reply(200, &[], &body.to_string())) {
        Outcome::Answered(results) => results[0].clone(),
        other => panic!("{other:?}"),
    }
}

fn outcome(status: u16, body: &str) -> Outcome {
    Amazon.outcome(&store(), &call(Action::Set, 7), &test_reply(status, &[], body))
}

#[test]
fn a_request_merges_one_sku_whose_name_is_encoded() {
    let request = Amazon.request(&store(), &call(Action::Set, 7), &test_stamp("2026-11-24T12:00:00Z")).unwrap();
    assert_eq!(
        (request.method, request.url.as_str()),
        (
            Method::Patch,
            "https://sellingpartnerapi-na.amazon.com/listings/2021-08-01/items/A1SELLER/MY%20SKU%2F1?marketplaceIds=ATVPDKIKX0DER"
        )
    );
    let value = json!([{"fulfillment_channel_code": "DEFAULT", "quantity": 7}]);
    let patches = json!([{"op": "merge", "path": "/attributes/fulfillment_availability", "value": value}]);
    let body: Value = serde_json::from_str(request.body.as_deref().unwrap()).unwrap();
    assert_eq!(body, json!({"productType": "PRODUCT", "patches": patches}));
    assert!(request.headers.contains(&("x-amz-date", "20261124T120000Z".into())));
    assert!(request.headers.iter().any(|(name, value)| *name == "user-agent" && value.contains("Language=Rust")));
    assert!(!format!("{request:?}").contains("Atza"));
}

#[test]
fn a_listings_own_type_and_channel_take_precedence_and_stock_held_by_amazon_is_never_set() {
    let mut call = call(Action::Set, 7);
    call.items[0].extra = [("product_type".to_owned(), "SHIRT".to_owned()), ("fulfillment_channel".to_owned(), "EAST".to_owned())].into();
    let request = Amazon.request(&store(), &call, &test_stamp("2026-11-24T12:00:00Z")).unwrap();
    assert!(request.body.as_deref().unwrap().contains("SHIRT") && request.body.as_deref().unwrap().contains("EAST"));
    call.items[0].extra.insert("fulfillment_channel".into(), "AMAZON_NA".into());
    assert!(Amazon.request(&store(), &call, &test_stamp("2026-11-24T12:00:00Z")).unwrap_err().contains("warehouses"));
}

#[test]
fn accepted_is_applied_later_and_invalid_is_a_refusal_with_amazons_message() {
    assert_eq!(
        result(Action::Set, &json!({"sku": "MY SKU/1", "status": "ACCEPTED", "submissionId": "f1", "issues": []})),
        ItemResult::Accepted
    );
    let issues = json!([{"code": "1", "message": "Look.", "severity": "WARNING"}, {"code": "90220", "message": "Brand is missing.", "severity": "ERROR"}]);
    let refused = result(Action::Set, &json!({"sku": "MY SKU/1", "status": "INVALID", "submissionId": "f1", "issues": issues}));
    assert!(matches!(refused, ItemResult::Rejected { reason, .. } if reason.contains("Brand is missing. (90220)")));
}

#[test]
fn a_read_reports_the_channels_quantity_and_stock_held_by_amazon() {
    let found = |availability: Value| result(Action::Read, &json!({"sku": "MY SKU/1", "fulfillmentAvailability": availability}));
    let own = json!([{"fulfillmentChannelCode": "AMAZON_NA", "quantity": 50}, {"fulfillmentChannelCode": "DEFAULT", "quantity": 4}]);
    assert_eq!(found(own), ItemResult::Applied { shown: Some(4) });
    assert_eq!(found(json!([])), ItemResult::Applied { shown: Some(0) });
    assert!(
        matches!(found(json!([{"fulfillmentChannelCode": "AMAZON_NA"}])), ItemResult::Rejected { reason, .. } if reason.contains("FBA"))
    );
}

#[test]
fn a_throttled_call_waits_and_a_header_reports_the_rate() {
    let body = r#"{"errors":[{"code":"QuotaExceeded","message":"You exceeded your quota.","details":""}]}"#;
    assert!(matches!(outcome(429, body), Outcome::TryAgain { after: None, throttled: true, .. }));
    let throttled = Amazon.outcome(&store(), &call(Action::Set, 7), &test_reply(429, &[("retry-after", "3")], body));
    assert!(matches!(throttled, Outcome::TryAgain { after: Some(after), .. } if after == Duration::from_secs(3)));
    let quota = Amazon.quota(&test_reply(200, &[("x-amzn-ratelimit-limit", "2.0")], ""));
    assert_eq!(quota, Some(ReportedQuota { per_second: 2.0, burst: 5, available: None, cost: None }));
}

#[test]
fn a_refused_token_is_renewed_and_a_call_that_met_a_server_error_may_have_been_applied() {
    for status in [401, 403] {
        assert!(matches!(outcome(status, r#"{"errors":[{"code":"Unauthorized","message":"x"}]}"#), Outcome::TokenExpired { .. }));
    }
    for (status, body) in [(500, ""), (503, "<html>"), (200, "rubbish"), (200, r#"{"status":"VALID"}"#)] {
        assert!(matches!(outcome(status, body), Outcome::Unknown { .. }), "{status} {body}");
    }
    for status in [400, 413, 415] {
        assert!(matches!(outcome(status, "{}"), Outcome::Refused { .. }), "{status}");
    }
}

#[test]
fn an_unknown_sku_is_rejected_with_a_next_step() {
    let Outcome::Answered(results) = outcome(404, r#"{"errors":[{"code":"NOT_FOUND","message":"x"}]}"#) else { panic!() };
    assert!(matches!(&results[0], ItemResult::Rejected { next_step, .. } if next_step.contains("marketplace_id")));
}

#[test]
fn a_token_is_requested_if_there_is_none_and_before_one_expires() {
    let at = |store: &StoreConnection, now: &str| Amazon.renewal_request(store, &test_stamp(now), false);
    assert!(at(&store(), "2026-11-24T12:00:00Z").is_none());
    let mut fresh = store();
    fresh.credentials.remove("access_token");
    for request in [at(&fresh, "2026-11-24T12:00:00Z"), at(&store(), "2026-11-24T12:58:00Z")].map(Option::unwrap) {
        assert_eq!(request.url, "https://api.amazon.com/auth/o2/token");
        assert_eq!(request.body.as_deref(), Some("grant_type=refresh_token&refresh_token=Atzr%7Cr&client_id=id&client_secret=s"));
    }
}

#[test]
fn variants_are_listed_page_by_page_with_their_product_types() {
    let items = json!([
        {"sku": "A", "summaries": [{"productType": "SHIRT", "itemName": "A shirt"}], "fulfillmentAvailability": [{"fulfillmentChannelCode": "DEFAULT", "quantity": 1}]},
        {"sku": "B", "summaries": [], "fulfillmentAvailability": [{"fulfillmentChannelCode": "AMAZON_EU", "quantity": 1}]}
    ]);
    let body = json!({"numberOfResults": 2, "items": items, "pagination": {"nextToken": "n/1"}});
    let page = Amazon.variants(&store(), None, &test_reply(200, &[], &body.to_string())).unwrap();
    assert_eq!(page.variants[0].extra["product_type"], "SHIRT");
    assert!(page.variants[1].title.contains("held by Amazon"));
    let next = Amazon.variants_request(&store(), page.next.as_deref(), &test_stamp("2026-11-24T12:00:00Z")).unwrap();
    assert!(next.url.ends_with("&pageSize=20&pageToken=n%2F1"), "{}", next.url);
}

#[test]
fn bad_settings_are_named_by_their_pointers() {
    let bad = test_store("amazon", json!({"region": "us", "fulfillment_channel": "AMAZON_NA"}), &[("client_id", "id")]);
    let named = test_pointers(Amazon.check_config(&bad));
    assert_eq!(
        named,
        ["/credentials/client_secret", "/credentials/refresh_token", "/fulfillment_channel", "/marketplace_id", "/region", "/seller_id"]
    );
    assert!(Amazon.check_config(&store()).is_ok());
}
