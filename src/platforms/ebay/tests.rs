//! eBay's requests, and replies as the platform gives them. Ids and keys are invented.
use super::super::fields::with_smaller_pages;
use super::super::fixtures::{test_pointers, test_reply, test_stamp, test_store};
use super::super::sign::EXPIRES_AT;
use super::*;
use serde_json::{Value, json};

fn store() -> StoreConnection {
    let credentials = [
        ("access_token", "v^1.1"),
        (EXPIRES_AT, "2026-11-24T14:00:00Z"),
        ("refresh_token", "r/1"),
        ("client_id", "Acme-Sync-PRD-0a1b2c3d4"),
        ("client_secret", "PRD-0a1b2c3d4e5f"),
    ];
    test_store("ebay", json!({}), &credentials)
}

/// Two items; the second has an offer.
fn call(action: Action) -> Call {
    let item = |sku: &str, offer: Option<&str>, quantity| CallItem {
        external_id: sku.into(),
        extra: offer.map(|id| ("offer_id".to_owned(), id.to_owned())).into_iter().collect(),
        quantity,
        expected: None,
    };
    Call { action, items: vec![item("ABC", None, 7), item("DEF", Some("364"), 0)], idempotency_key: None }
}

fn outcome(action: Action, status: u16, body: &str) -> Outcome {
    Ebay.outcome(&store(), &call(action), &test_reply(status, &[], body))
}

fn answered(action: Action, status: u16, entries: &Value) -> Vec<ItemResult> {
    match outcome(action, status, &json!({"responses": entries}).to_string()) {
        Outcome::Answered(results) => results,
        other => panic!("{other:?}"),
    }
}

fn failed(id: i64, status: u16, message: &str) -> ItemResult {
    let error = json!({"errorId": id, "domain": "API_INVENTORY", "category": "REQUEST", "message": message});
    answered(Action::Set, 207, &json!([{"statusCode": status, "sku": "ABC", "errors": [error]}, {"statusCode": 200, "sku": "DEF"}]))[0]
        .clone()
}

#[test]
fn items_and_their_offers_are_set_together() {
    let request = Ebay.request(&store(), &call(Action::Set), &test_stamp("2026-11-24T12:00:00Z")).unwrap();
    assert_eq!(request.url, "https://api.ebay.com/sell/inventory/v1/bulk_update_price_quantity");
    let body: Value = serde_json::from_str(request.body.as_deref().unwrap()).unwrap();
    let second =
        json!({"sku": "DEF", "shipToLocationAvailability": {"quantity": 0}, "offers": [{"offerId": "364", "availableQuantity": 0}]});
    assert_eq!(body, json!({"requests": [{"sku": "ABC", "shipToLocationAvailability": {"quantity": 7}}, second]}));
    assert_eq!(request.secret_headers[0].1.expose_secret(), "Bearer v^1.1");
}

#[test]
fn success_is_reported_entry_by_entry() {
    let entries = json!([{"statusCode": 200, "sku": "ABC", "errors": []}, {"statusCode": 200, "sku": "DEF"}, {"statusCode": 200, "sku": "DEF", "offerId": "364"}]);
    assert_eq!(answered(Action::Set, 200, &entries), [ItemResult::Applied { shown: Some(7) }, ItemResult::Applied { shown: Some(0) }]);
}

#[test]
fn a_failed_offer_fails_only_its_own_listing() {
    let error = json!({"errorId": 25759, "message": "Auction."});
    let entries = json!([{"statusCode": 200, "sku": "ABC"}, {"statusCode": 200, "sku": "DEF"}, {"statusCode": 400, "offerId": "364", "errors": [error]}]);
    let results = answered(Action::Set, 207, &entries);
    assert_eq!(results[0], ItemResult::Applied { shown: Some(7) });
    assert!(matches!(&results[1], ItemResult::Rejected { next_step, .. } if next_step.contains("auction")), "{results:?}");
}

#[test]
fn the_errors_of_entries_are_classified() {
    assert!(
        matches!(failed(25002, 400, "Any user error."), ItemResult::Rejected { reason, .. } if reason.contains("Any user error. (25002)"))
    );
    assert!(matches!(failed(25709, 400, "Invalid value."), ItemResult::Rejected { next_step, .. } if next_step.contains("offer_id")));
    assert!(matches!(failed(25702, 404, "SKU not found."), ItemResult::Rejected { next_step, .. } if next_step.contains("pair")));
    assert!(matches!(failed(25001, 500, "System error."), ItemResult::Unknown { .. }));
    assert!(matches!(failed(25002, 400, "The revision limit of the day is reached."), ItemResult::TryAgain { .. }));
    let results = answered(Action::Set, 207, &json!([{"statusCode": 200, "sku": "DEF"}]));
    assert!(matches!(results[0], ItemResult::Unknown { .. }), "an item that is not mentioned may have been applied");
}

#[test]
fn a_read_reports_quantities_and_unknown_items() {
    let item = |n: i64| json!({"availability": {"shipToLocationAvailability": {"quantity": n}}});
    let entries = json!([{"statusCode": 404, "sku": "DEF", "errors": [{"errorId": 25702, "message": "Not found."}]}, {"statusCode": 200, "sku": "ABC", "inventoryItem": item(9)}]);
    let results = answered(Action::Read, 207, &entries);
    assert_eq!(results[0], ItemResult::Applied { shown: Some(9) });
    assert!(matches!(results[1], ItemResult::Rejected { .. }));
    let none = json!([{"statusCode": 200, "sku": "ABC", "inventoryItem": {}}, {"statusCode": 200, "sku": "DEF", "inventoryItem": item(1)}]);
    assert_eq!(answered(Action::Read, 200, &none)[0], ItemResult::Applied { shown: Some(0) });
}

#[test]
fn statuses_are_classified() {
    assert!(matches!(outcome(Action::Set, 429, ""), Outcome::TryAgain { throttled: true, .. }));
    assert!(matches!(outcome(Action::Set, 401, ""), Outcome::TokenExpired { .. }));
    assert!(matches!(outcome(Action::Set, 403, ""), Outcome::Unauthorized { .. }));
    let body = r#"{"errors":[{"errorId":25709,"message":"Invalid value."}]}"#;
    assert!(matches!(outcome(Action::Set, 400, body), Outcome::Refused { reason, .. } if reason.contains("25709")));
    for (status, body) in [(500, ""), (503, "<html>"), (200, "rubbish"), (207, "{}")] {
        assert!(matches!(outcome(Action::Set, status, body), Outcome::Unknown { .. }), "{status} {body}");
    }
}

#[test]
fn basic_authentication_matches_a_value_computed_by_hand() {
    assert_eq!(basic("Acme-Sync-PRD-0a1b2c3d4", "PRD-0a1b2c3d4e5f"), "Basic QWNtZS1TeW5jLVBSRC0wYTFiMmMzZDQ6UFJELTBhMWIyYzNkNGU1Zg==");
}

#[test]
fn a_token_is_renewed_before_it_expires_for_all_that_the_seller_has_agreed_to() {
    assert!(Ebay.renewal_request(&store(), &test_stamp("2026-11-24T13:00:00Z"), false).is_none());
    let request = Ebay.renewal_request(&store(), &test_stamp("2026-11-24T13:58:00Z"), false).unwrap();
    assert_eq!(request.url, "https://api.ebay.com/identity/v1/oauth2/token");
    assert_eq!(request.body.as_deref(), Some("grant_type=refresh_token&refresh_token=r%2F1"));
    let mock = StoreConnection { base_url: Some("http://127.0.0.1:9/".into()), ..store() };
    let request = Ebay.renewal_request(&mock, &test_stamp("2026-11-24T12:00:00Z"), true).unwrap();
    assert_eq!(request.url, "http://127.0.0.1:9/identity/v1/oauth2/token");
}

#[test]
fn variants_are_listed_page_by_page() {
    let body = json!({"inventoryItems": [{"sku": "ABC", "product": {"title": "A shirt"}}, {"sku": "DEF"}], "total": 3}).to_string();
    let page = Ebay.variants(&store(), None, &test_reply(200, &[], &body)).unwrap();
    assert_eq!((page.variants[0].title.as_str(), page.next.as_deref()), ("A shirt", Some("2")));
    let url = |halvings, cursor| {
        let store = with_smaller_pages(&store(), halvings);
        Ebay.variants_request(&store, Some(cursor), &test_stamp("2026-11-24T12:00:00Z")).unwrap().url
    };
    assert!(url(0, "128").ends_with("/inventory_item?limit=64&offset=2"), "eBay counts pages");
    assert!(url(2, "128").ends_with("/inventory_item?limit=16&offset=8"), "{}", url(2, "128"));
    assert_eq!(
        Ebay.variants(&store(), Some("2"), &test_reply(200, &[], r#"{"inventoryItems":[{"sku":"G"}],"total":3}"#)).unwrap().next,
        None
    );
}

#[test]
fn bad_settings_are_named_by_their_pointers() {
    let bad = test_store("ebay", json!({"environment": "test", "colour": 1}), &[("access_token", "a")]);
    let named = test_pointers(Ebay.check_config(&bad));
    assert_eq!(named, ["/colour", "/credentials/client_id", "/credentials/client_secret", "/credentials/refresh_token", "/environment"]);
    assert!(Ebay.check_config(&store()).is_ok());
}
