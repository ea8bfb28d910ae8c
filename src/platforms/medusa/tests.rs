//! The connector against replies recorded from a running Medusa 2.21.2; IDs and keys are invented.
use super::super::fixtures::{test_pointers, test_reply, test_stamp, test_store};
use super::*;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

const NOW: &str = "2026-11-25T12:00:00Z";

fn shop(config: Value, credentials: &[(&str, &str)]) -> StoreConnection {
    StoreConnection { base_url: Some("https://shop.example/".into()), ..test_store("medusa", config, credentials) }
}

fn store() -> StoreConnection {
    shop(json!({"location_id": "sloc_1"}), &[("api_key", "sk_0123456789abcdef")])
}

/// A store that signs in with email and password.
fn user(more: &[(&str, &str)]) -> StoreConnection {
    shop(json!({"location_id": "sloc_1"}), &[&[("email", "a@b.example"), ("password", "p")], more].concat())
}

fn item(external_id: &str, quantity: i64) -> CallItem {
    CallItem { external_id: external_id.into(), extra: BTreeMap::new(), quantity, expected: None }
}

fn call(action: Action, items: Vec<CallItem>) -> Call {
    Call { action, items, idempotency_key: None }
}

/// Two items; the second has a location of its own.
fn two(action: Action) -> Call {
    let mut items = vec![item("iitem_1", 11), item("iitem_2", 0)];
    items[1].extra.insert("location_id".into(), "sloc_2".into());
    call(action, items)
}

fn requested(store: &StoreConnection, call: &Call) -> Request {
    Medusa.request(store, call, &test_stamp(NOW)).unwrap()
}

fn outcome(action: Action, status: u16, body: &str) -> Outcome {
    Medusa.outcome(&store(), &two(action), &test_reply(status, &[], body))
}

fn results_of(action: Action, status: u16, body: &Value) -> Vec<ItemResult> {
    match outcome(action, status, &body.to_string()) {
        Outcome::Answered(results) => results,
        other => panic!("{other:?}"),
    }
}

fn next_step(result: &ItemResult) -> &str {
    match result {
        ItemResult::Rejected { next_step, .. } => next_step,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_set_is_one_batch_and_its_key_matches_the_value_computed_by_hand() {
    let request = requested(&store(), &two(Action::Set));
    assert_eq!(request.url, "https://shop.example/admin/inventory-items/location-levels/batch");
    assert_eq!(
        request.body.as_deref(),
        Some(
            r#"{"update":[{"inventory_item_id":"iitem_1","location_id":"sloc_1","stocked_quantity":11},{"inventory_item_id":"iitem_2","location_id":"sloc_2","stocked_quantity":0}]}"#
        )
    );
    assert_eq!(request.secret_headers[0].1.expose_secret(), "Basic c2tfMDEyMzQ1Njc4OWFiY2RlZjo=");
    assert_eq!(requested(&user(&[("access_token", "jwt")]), &two(Action::Set)).secret_headers[0].1.expose_secret(), "Bearer jwt");
}

#[test]
fn a_read_lists_its_items_in_the_url() {
    let request = requested(&store(), &two(Action::Read));
    let url = "https://shop.example/admin/inventory-items?limit=2\
               &fields=id%2Clocation_levels.location_id%2Clocation_levels.stocked_quantity%2C\
               location_levels.reserved_quantity&id[]=iitem_1&id[]=iitem_2";
    assert_eq!(request.url, url);
    let longest = "i".repeat(64);
    let whole = call(Action::Read, vec![item(&longest, 0); usize::try_from(MAX_ROWS).unwrap()]);
    assert!(requested(&store(), &whole).url.len() < 8000, "short enough for the request line that servers accept");
}

#[test]
fn requests_that_cannot_be_made_are_explained() {
    let refused =
        |store: &StoreConnection, item: CallItem| Medusa.request(store, &call(Action::Set, vec![item]), &test_stamp(NOW)).unwrap_err();
    assert!(refused(&shop(json!({}), &[("api_key", "k")]), item("iitem_1", 1)).contains("location_id"));
    assert!(refused(&store(), item("iitem_1&x=", 1)).contains("inventory item"));
    assert!(refused(&store(), item("iitem_1", -1)).contains("from 0"));
    assert!(refused(&store(), item("iitem_1", MAX_UNITS + 1)).contains("1000000000"));
    assert!(Medusa.request(&store(), &two(Action::Adjust), &test_stamp(NOW)).is_err());
}

#[test]
fn results_are_matched_by_item_and_location_in_any_order() {
    let level = |item: &str, at: &str| json!({"id": "ilev_1", "inventory_item_id": item, "location_id": at, "stocked_quantity": 11, "available_quantity": 3});
    let body = json!({"created": [], "updated": [level("iitem_2", "sloc_2"), level("iitem_1", "sloc_1")], "deleted": []});
    assert_eq!(results_of(Action::Set, 200, &body), [ItemResult::Applied { shown: Some(11) }, ItemResult::Applied { shown: Some(0) }]);
    let body = json!({"created": [], "updated": [level("iitem_1", "sloc_1"), level("iitem_2", "sloc_1")], "deleted": []});
    assert!(matches!(results_of(Action::Set, 200, &body)[1], ItemResult::Unknown { .. }), "not mentioned, so it may have been applied");
}

#[test]
fn one_unstocked_item_is_rejected_and_the_rest_are_sent_again() {
    let body = json!({"type": "not_found", "message": "Item iitem_2 is not stocked at location sloc_2"});
    let results = results_of(Action::Set, 404, &body);
    assert!(matches!(results[0], ItemResult::RefusedWithOthers { .. }), "the call was refused: {results:?}");
    assert!(next_step(&results[1]).contains("stock location"));
    let other = json!({"type": "not_found", "message": "Item iitem_2 is not stocked at location sloc_9"});
    assert!(matches!(outcome(Action::Set, 404, &other.to_string()), Outcome::Refused { .. }), "none of our rows, so the call is split");
}

#[test]
fn what_is_reserved_is_not_shown_and_is_added_to_what_is_set() {
    let level = json!({"location_id": "sloc_1", "stocked_quantity": 15, "reserved_quantity": "3"});
    let body = json!({"inventory_items": [{"id": "iitem_1", "location_levels": [level]}]}).to_string();
    let read = call(Action::Read, vec![item("iitem_1", 0), item("iitem_9", 0)]);
    assert_eq!(Medusa.reserved(&store(), &read, &test_reply(200, &[], &body)), [Some(3), None]);
    let Outcome::Answered(results) = Medusa.outcome(&store(), &read, &test_reply(200, &[], &body)) else { panic!() };
    assert_eq!(results[0], ItemResult::Applied { shown: Some(12) });
    let mut one = item("iitem_1", 12);
    one.extra.insert("reserved".to_owned(), "3".to_owned());
    let set = requested(&store(), &call(Action::Set, vec![one]));
    assert!(set.body.as_deref().is_some_and(|body| body.contains(r#""stocked_quantity":15"#)), "{:?}", set.body);
}

#[test]
fn the_address_is_that_of_the_server_and_not_of_its_pages() {
    for url in ["https://shop.example/admin", "https://shop.example/app/"] {
        let bad = StoreConnection { base_url: Some(url.to_owned()), ..store() };
        assert_eq!(test_pointers(Medusa.check_config(&bad)), ["/base_url"], "{url}");
    }
}

#[test]
fn a_read_distinguishes_unknown_items_from_unstocked_ones() {
    let found = json!({"id": "iitem_2", "location_levels": [{"location_id": "sloc_1", "stocked_quantity": 4}]});
    let results = results_of(Action::Read, 200, &json!({"inventory_items": [found], "count": 1, "offset": 0, "limit": 2}));
    assert!(next_step(&results[0]).contains("Pair"));
    assert!(next_step(&results[1]).contains("Add the stock location"));
    let found = |id: &str, at: &str, stocked: f64| json!({"id": id, "location_levels": [{"location_id": at, "stocked_quantity": stocked}]});
    let items = [found("iitem_2", "sloc_2", 1.5), found("iitem_1", "sloc_1", 9.0)];
    assert_eq!(
        results_of(Action::Read, 200, &json!({"inventory_items": items, "count": 2})),
        [ItemResult::Applied { shown: Some(9) }, ItemResult::Applied { shown: Some(1) }]
    );
}

#[test]
fn an_expired_user_token_is_renewed_but_a_revoked_key_needs_the_seller() {
    let reply = test_reply(401, &[], r#"{"message":"Unauthorized"}"#);
    let outcome = Medusa.outcome(&user(&[("access_token", "old")]), &two(Action::Set), &reply);
    assert!(matches!(outcome, Outcome::TokenExpired { .. }));
    let outcome = Medusa.outcome(&store(), &two(Action::Set), &reply);
    assert!(matches!(outcome, Outcome::Unauthorized { reason } if reason.contains("Unauthorized") && reason.contains("secret key")));
}

#[test]
fn a_token_is_fetched_before_the_old_one_expires_and_stored_with_its_expiry() {
    let renewal_request = |more: &[(&str, &str)], refused| Medusa.renewal_request(&user(more), &test_stamp(NOW), refused);
    let fresh = [("access_token", "t"), ("access_token_expires_at", "2026-11-25T13:00:00Z")];
    assert!(renewal_request(&fresh, false).is_none() && Medusa.renewal_request(&store(), &test_stamp(NOW), true).is_none());
    assert!(
        renewal_request(&fresh, true).is_some()
            && renewal_request(&[("access_token", "t"), ("access_token_expires_at", "2026-11-25T12:03:00Z")], false).is_some()
    );
    let request = renewal_request(&[], false).unwrap();
    assert_eq!(request.url, "https://shop.example/auth/user/emailpass");
    assert_eq!(request.body.as_deref(), Some(r#"{"email":"a@b.example","password":"p"}"#));

    let renewal = |status, body: &str| Medusa.renewal(&user(&[]), &test_reply(status, &[], body), &test_stamp(NOW));
    let Renewal::Renewed(kept) = renewal(200, r#"{"token":"jwt"}"#) else { panic!() };
    assert_eq!(kept["access_token"].expose_secret(), "jwt");
    assert_eq!(kept["access_token_expires_at"].expose_secret(), "2026-11-26T12:00:00+00:00");
    let wrong = r#"{"type":"unauthorized","message":"Invalid email or password"}"#;
    assert!(matches!(renewal(401, wrong), Renewal::Refused { reason } if reason.contains("Invalid email or password")));
    assert!(matches!(renewal(404, ""), Renewal::Refused { .. }));
    for status in [429, 500, 503, 200] {
        assert!(matches!(renewal(status, "<html>"), Renewal::TryAgain { .. }), "{status}");
    }
}

#[test]
fn throttling_waits_as_long_as_the_host_asks() {
    let reply = test_reply(429, &[("retry-after", "3")], "");
    let outcome = Medusa.outcome(&store(), &two(Action::Set), &reply);
    assert!(matches!(outcome, Outcome::TryAgain { after: Some(after), throttled: true, .. } if after == Duration::from_secs(3)));
    assert_eq!(Medusa.quota(&reply), None);
}

#[test]
fn every_refusal_is_classified_with_a_next_step() {
    let body = |kind: &str| json!({"type": kind, "message": "A message."}).to_string();
    for (status, kind) in [(400, "invalid_data"), (422, "duplicate_error"), (422, "invalid_request_error"), (413, ""), (404, "not_found")] {
        assert!(matches!(outcome(Action::Set, status, &body(kind)), Outcome::Refused { .. }), "{status} {kind}");
    }
    assert!(matches!(outcome(Action::Set, 409, &body("invalid_state_error")), Outcome::TryAgain { throttled: false, .. }));
    assert!(matches!(outcome(Action::Set, 403, &body("forbidden")), Outcome::Unauthorized { reason } if reason.contains("permission")));
    for (status, body) in [(404, "<pre>Cannot POST</pre>"), (301, "")] {
        assert!(matches!(outcome(Action::Set, status, body), Outcome::Closed { next_step, .. } if next_step.contains("base_url")));
    }
}

#[test]
fn a_server_error_or_an_unreadable_reply_leaves_the_outcome_unknown() {
    let unknown = r#"{"code":"unknown_error","type":"unknown_error","message":"An unknown error occurred."}"#;
    for (status, body) in [(500, unknown), (502, ""), (503, ""), (504, ""), (408, ""), (200, "<html>"), (200, "{}")] {
        assert!(matches!(outcome(Action::Set, status, body), Outcome::Unknown { .. }), "{status} {body}");
    }
}

#[test]
fn a_check_reads_one_item() {
    let check = call(Action::Check, vec![]);
    assert!(requested(&store(), &check).url.ends_with("/admin/inventory-items?limit=1&fields=id"));
    let outcome = Medusa.outcome(&store(), &check, &test_reply(200, &[], r#"{"inventory_items":[],"count":0}"#));
    assert_eq!(outcome, Outcome::Answered(vec![]));
}

#[test]
fn items_are_listed_page_by_page_with_the_location_of_their_stock() {
    let item = |id: &str, sku: Option<&str>, at: &[&str]| {
        let levels: Vec<Value> = at.iter().map(|id| json!({"location_id": id})).collect();
        json!({"id": id, "sku": sku, "title": "Shirt", "location_levels": levels})
    };
    let body = |first: &[&str]| {
        let items = [item("iitem_1", Some("A"), first), item("iitem_2", Some("B"), &["sloc_2"]), item("iitem_3", None, &[])];
        json!({"inventory_items": items, "count": 250, "offset": 0, "limit": 100}).to_string()
    };
    let page = |store: StoreConnection, cursor| Medusa.variants(&store, cursor, &test_reply(200, &[], &body(&["sloc_1"]))).unwrap();
    let without_location = || shop(json!({}), &[("api_key", "k")]);
    let first = page(without_location(), None);
    let found: Vec<_> = first.variants.iter().map(|v| (v.sku.as_deref(), v.extra.get("location_id").map(String::as_str))).collect();
    assert_eq!(found, [(Some("A"), Some("sloc_1")), (Some("B"), Some("sloc_2")), (None, None)]);
    assert!(first.variants[2].title.contains("not stocked anywhere"));
    let here = page(shop(json!({"location_id": "sloc_2"}), &[("api_key", "k")]), None);
    assert!(here.variants.iter().all(|variant| variant.extra.is_empty()), "the store's own");
    assert!(here.variants[0].title.contains("not stocked at the store's location") && !here.variants[1].title.contains("not stocked"));
    let several = Medusa.variants(&without_location(), None, &test_reply(200, &[], &body(&["sloc_2", "sloc_1"]))).unwrap_err();
    assert!(matches!(&several, Outcome::Refused { reason, .. } if reason.contains("sloc_2, sloc_1")), "{several:?}");
    assert_eq!((first.next.as_deref(), page(without_location(), Some("247")).next), (Some("3"), None));
    let request = Medusa.variants_request(&store(), Some("3"), &test_stamp(NOW)).unwrap();
    assert!(request.url.contains("?limit=100&offset=3&order=id&fields=id%2Csku%2Ctitle%2C"), "{}", request.url);
    assert!(Medusa.variants_request(&store(), Some("x"), &test_stamp(NOW)).is_err());
}

#[test]
fn every_bad_setting_is_named_by_its_pointer() {
    let bad = test_store("medusa", json!({"location_id": "main store", "max_items": 0, "x": 1}), &[("email", "e")]);
    assert_eq!(test_pointers(Medusa.check_config(&bad)), ["/base_url", "/credentials/password", "/location_id", "/max_items", "/x"]);
    assert!(Medusa.check_config(&store()).is_ok() && Medusa.check_config(&user(&[])).is_ok());
}
