//! The connector against replies in Shopify's format; IDs are invented. Those about locations are in a file of their own.
mod locations;

use super::super::call::CallItem;
use super::super::fixtures::{test_pointers, test_reply, test_stamp, test_store};
use super::super::sign::EXPIRES_AT;
use super::*;
use crate::domain::delivery::ItemResult;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

fn store() -> StoreConnection {
    test_store("shopify", json!({"shop": "acme", "location_id": "7"}), &[("access_token", "shpat_1")])
}

fn expiring() -> StoreConnection {
    let credentials = [
        ("access_token", "old"),
        (EXPIRES_AT, "2026-11-24T13:00:00Z"),
        ("refresh_token", "r1"),
        ("client_id", "id"),
        ("client_secret", "secret"),
    ];
    test_store("shopify", json!({"shop": "acme.myshopify.com"}), &credentials)
}

fn item(external_id: &str, quantity: i64) -> CallItem {
    CallItem { external_id: external_id.into(), extra: BTreeMap::new(), quantity, expected: None }
}

fn call(action: Action, items: Vec<CallItem>) -> Call {
    Call { action, items, idempotency_key: Some("key-1".into()) }
}

fn adjust() -> Call {
    call(Action::Adjust, vec![item("101", 5), item("gid://shopify/InventoryItem/102", 2)])
}

fn requested(call: &Call) -> Request {
    Shopify.request(&store(), call, &test_stamp("2026-11-24T12:00:00Z")).unwrap()
}

fn body(request: &Request) -> Value {
    serde_json::from_str(request.body.as_deref().unwrap()).unwrap()
}

fn outcome(call: &Call, status: u16, body: &Value) -> Outcome {
    Shopify.outcome(&store(), call, &test_reply(status, &[], &body.to_string()))
}

fn results_of(call: &Call, body: &Value) -> Vec<ItemResult> {
    match outcome(call, 200, body) {
        Outcome::Answered(results) => results,
        other => panic!("{other:?}"),
    }
}

fn refused(errors: &Value) -> Value {
    json!({"data": {"inventoryAdjustQuantities": {"inventoryAdjustmentGroup": null, "userErrors": errors}}})
}

fn refused_row(row: usize, code: &str) -> Value {
    refused(&json!([{"code": code, "field": ["input", "changes", row.to_string(), "inventoryItemId"], "message": "A message."}]))
}

fn refused_call(code: &str) -> Value {
    refused(&json!([{"code": code, "field": null, "message": "A message."}]))
}

#[test]
fn an_increase_carries_its_key_and_a_null_comparison_in_every_row() {
    let request = requested(&adjust());
    assert_eq!(request.url, "https://acme.myshopify.com/admin/api/2026-10/graphql.json");
    assert!(!format!("{request:?}").contains("shpat_1"));
    let body = body(&request);
    assert!(body["query"].as_str().unwrap().contains("inventoryAdjustQuantities(input: $input) @idempotent(key: $key)"));
    let row = |id: u32, delta: i64| {
        json!({"inventoryItemId": format!("gid://shopify/InventoryItem/{id}"), "locationId": "gid://shopify/Location/7",
               "delta": delta, "changeFromQuantity": null})
    };
    let input = json!({"name": "available", "reason": "correction", "changes": [row(101, 5), row(102, 2)]});
    assert_eq!(body["variables"], json!({"key": "key-1", "input": input, "location0": "gid://shopify/Location/7"}));
}

#[test]
fn an_overwrite_compares_with_the_expected_quantity_at_the_listings_own_location() {
    let mut own = item("101", 5);
    (own.expected, own.extra) = (Some(3), [("location_id".to_owned(), "gid://shopify/Location/8".to_owned())].into());
    let row = &body(&requested(&call(Action::Set, vec![own])))["variables"]["input"]["quantities"][0];
    assert_eq!((&row["quantity"], &row["changeFromQuantity"]), (&json!(5), &json!(3)));
    assert_eq!((&row["locationId"], row.get("delta")), (&json!("gid://shopify/Location/8"), None));
}

#[test]
fn a_repeated_call_makes_an_identical_request() {
    let again = Shopify.request(&store(), &adjust(), &test_stamp("2026-11-25T12:00:00Z")).unwrap();
    assert_eq!(requested(&adjust()).body, again.body);
}

#[test]
fn requests_that_cannot_be_made_are_explained() {
    let refused = |store: &StoreConnection, call: &Call| Shopify.request(store, call, &test_stamp("2026-11-24T12:00:00Z")).unwrap_err();
    assert!(refused(&expiring(), &adjust()).contains("location_id"));
    assert!(refused(&store(), &call(Action::Adjust, vec![item("gid://shopify/ProductVariant/1", 1)])).contains("InventoryItem"));
    assert!(refused(&store(), &call(Action::Set, vec![item("1", 1_000_000_001)])).contains("1000000000"));
    assert!(refused(&store(), &Call { idempotency_key: None, ..adjust() }).contains("key"));
}

#[test]
fn rows_that_change_nothing_are_missing_from_the_reply_and_succeed() {
    let change = |name: &str| json!({"name": name, "delta": 5, "item": {"id": "gid://shopify/InventoryItem/101"}, "location": {"id": "gid://shopify/Location/7"}});
    let group = json!({"id": "gid://shopify/InventoryAdjustmentGroup/1", "changes": [change("available"), change("on_hand")]});
    let body = json!({"data": {"inventoryAdjustQuantities": {"inventoryAdjustmentGroup": group, "userErrors": []}}});
    assert_eq!(results_of(&adjust(), &body), vec![ItemResult::Applied { shown: None }; 2]);
    let body = json!({"data": {"inventorySetQuantities": {"inventoryAdjustmentGroup": null, "userErrors": []}}});
    assert_eq!(results_of(&call(Action::Set, vec![item("101", 4)]), &body), [ItemResult::Applied { shown: Some(4) }]);
}

#[test]
fn a_denied_field_next_to_an_applied_change_is_a_success() {
    let body = json!({
        "errors": [{"message": "Access denied for staffMember field.", "extensions": {"code": "ACCESS_DENIED"}}],
        "data": {"inventoryAdjustQuantities": {"inventoryAdjustmentGroup": {"id": "x", "changes": []}, "userErrors": []}}
    });
    assert!(results_of(&adjust(), &body).iter().all(|result| matches!(result, ItemResult::Applied { .. })));
}

#[test]
fn one_bad_row_is_rejected_and_the_rest_are_sent_again() {
    let results = results_of(&adjust(), &refused_row(1, "INVALID_INVENTORY_ITEM"));
    assert!(matches!(&results[0], ItemResult::RefusedWithOthers { .. }), "{results:?}");
    assert!(matches!(&results[1], ItemResult::Rejected { next_step, .. } if next_step.contains("Pair the listing again")), "{results:?}");
}

#[test]
fn a_group_of_changes_next_to_failures_shows_what_was_applied() {
    let changes = json!([{"name": "available", "delta": 5, "item": {"id": "gid://shopify/InventoryItem/101"}, "location": {"id": "gid://shopify/Location/7"}}]);
    let mut body = refused_row(1, "INVALID_INVENTORY_ITEM");
    body["data"]["inventoryAdjustQuantities"]["inventoryAdjustmentGroup"] = json!({"id": "x", "changes": changes});
    let three = call(Action::Adjust, vec![item("101", 5), item("102", 2), item("103", 1)]);
    let results = results_of(&three, &body);
    assert!(matches!(results[0], ItemResult::Applied { .. }));
    assert!(matches!(results[1], ItemResult::Rejected { .. }));
    assert!(matches!(results[2], ItemResult::Unknown { .. }), "neither in the changes nor in the failures");
}

#[test]
fn every_code_for_a_listing_has_a_next_step() {
    for (code, word) in [
        ("INVALID_INVENTORY_ITEM", "Pair"),
        ("NON_MUTABLE_INVENTORY_ITEM", "bundle"),
        ("ITEM_NOT_STOCKED_AT_LOCATION", "Stock the variant"),
        ("INVALID_QUANTITY_NEGATIVE", "bounds"),
        ("INVALID_QUANTITY_TOO_HIGH", "bounds"),
        ("INVALID_QUANTITY_TOO_LOW", "bounds"),
        ("NO_DUPLICATE_INVENTORY_ITEM_ID_GROUP_ID_PAIR", "Remove one"),
        ("INVALID_REASON", "operator"),
        ("INVALID_NAME", "operator"),
        ("INVALID_QUANTITY_NAME", "operator"),
        ("INVALID_AVAILABLE_DOCUMENT", "operator"),
        ("MAX_ONE_LEDGER_DOCUMENT", "operator"),
    ] {
        let results = results_of(&adjust(), &refused_row(0, code));
        assert!(matches!(&results[0], ItemResult::Rejected { next_step, .. } if next_step.contains(word)), "{code}: {results:?}");
    }
}

#[test]
fn untracked_stock_is_rejected_with_a_next_step() {
    let body = refused(&json!([{"code": "X", "field": ["input", "changes", "0"], "message": "The item is not tracked."}]));
    assert!(matches!(&results_of(&adjust(), &body)[0], ItemResult::Rejected { next_step, .. } if next_step.contains("Track quantity")));
    let node = json!({"id": "gid://shopify/InventoryItem/101", "tracked": false, "inventoryLevel": null});
    let read = call(Action::Read, vec![item("101", 0)]);
    let results = results_of(&read, &json!({"data": {"at0": [node]}}));
    assert!(matches!(&results[0], ItemResult::Rejected { next_step, .. } if next_step.contains("Track quantity")));
}

#[test]
fn a_wrong_location_closes_the_store_only_if_it_is_the_stores_own() {
    let body = refused_row(0, "INVALID_LOCATION");
    assert!(matches!(outcome(&adjust(), 200, &body), Outcome::Closed { next_step, .. } if next_step.contains("location_id")));
    let mut own = adjust();
    own.items[0].extra.insert("location_id".into(), "9".into());
    let results = results_of(&own, &body);
    assert!(matches!((&results[0], &results[1]), (ItemResult::Rejected { .. }, ItemResult::RefusedWithOthers { .. })));
    let both = refused(&json!([
        {"code": "INVALID_INVENTORY_ITEM", "field": ["input", "changes", "0", "inventoryItemId"], "message": ""},
        {"code": "INVALID_LOCATION", "field": ["input", "changes", "0", "locationId"], "message": ""}
    ]));
    assert!(matches!(&results_of(&adjust(), &both)[0], ItemResult::Rejected { next_step, .. } if next_step.contains("Pair")));
}

#[test]
fn a_check_names_the_permissions_that_the_app_lacks() {
    let check = |scopes: &[&str]| {
        let scopes: Vec<Value> = scopes.iter().map(|scope| json!({"handle": scope})).collect();
        let body = json!({"data": {"inventoryItems": {"nodes": []}, "currentAppInstallation": {"accessScopes": scopes}}});
        outcome(&call(Action::Check, Vec::new()), 200, &body)
    };
    assert_eq!(check(&["read_inventory", "write_inventory", "read_products"]), Outcome::Answered(Vec::new()));
    assert!(
        matches!(check(&["read_inventory", "read_products"]), Outcome::Closed { reason, .. } if reason.ends_with(": write_inventory."))
    );
}

#[test]
fn stock_of_an_untracked_variant_or_an_inactive_level_is_not_confirmed() {
    let change = json!({"name": "available", "delta": 5, "item": {"id": "gid://shopify/InventoryItem/101", "tracked": false},
        "location": {"id": "gid://shopify/Location/7"}});
    let body =
        json!({"data": {"inventoryAdjustQuantities": {"inventoryAdjustmentGroup": {"id": "x", "changes": [change]}, "userErrors": []}}});
    assert!(matches!(&results_of(&adjust(), &body)[0], ItemResult::Rejected { next_step, .. } if next_step.contains("Track quantity")));
    let level = json!({"isActive": false, "quantities": [{"name": "available", "quantity": 4}]});
    let body = json!({"data": {"at0": [{"id": "gid://shopify/InventoryItem/101", "tracked": true, "inventoryLevel": level}]}});
    let read = call(Action::Read, vec![item("101", 0)]);
    assert!(matches!(&results_of(&read, &body)[0], ItemResult::Rejected { next_step, .. } if next_step.contains("Stock the variant")));
}

#[test]
fn temporary_failures_are_sent_again_under_another_key() {
    for code in ["ADJUST_QUANTITIES_FAILED", "SERVICE_UNAVAILABLE", "IDEMPOTENCY_PREVIOUS_ATTEMPT_FAILED", "CHANGE_FROM_QUANTITY_STALE"] {
        let results = results_of(&adjust(), &refused_call(code));
        assert!(results.iter().all(|result| matches!(result, ItemResult::NeverApplied { .. })), "{code}: {results:?}");
    }
}

#[test]
fn a_key_in_progress_is_repeated_but_a_key_of_another_call_is_not() {
    assert!(matches!(outcome(&adjust(), 200, &refused_call("IDEMPOTENCY_CONCURRENT_REQUEST")), Outcome::Unknown { .. }));
    assert!(matches!(outcome(&adjust(), 200, &refused_call("IDEMPOTENCY_KEY_PARAMETER_MISMATCH")), Outcome::Refused { .. }));
}

fn throttled() -> Value {
    let status = json!({"maximumAvailable": 1000.0, "currentlyAvailable": 3, "restoreRate": 50.0});
    json!({"errors": [{"message": "Throttled", "extensions": {"code": "THROTTLED"}}],
           "extensions": {"cost": {"requestedQueryCost": 13, "actualQueryCost": null, "throttleStatus": status}}})
}

#[test]
fn throttling_waits_until_the_bucket_has_enough_points_for_the_call() {
    for status in [200, 429] {
        let Outcome::TryAgain { after: Some(after), throttled: true, .. } = outcome(&adjust(), status, &throttled()) else {
            panic!("{status}")
        };
        assert_eq!(after, Duration::from_millis(201), "ten points at 50/s");
    }
    let bare = Shopify.outcome(&store(), &adjust(), &test_reply(429, &[("retry-after", "2.0")], ""));
    assert!(matches!(bare, Outcome::TryAgain { after: Some(after), throttled: true, .. } if after == Duration::from_secs(2)));
}

#[test]
fn every_reply_reports_the_bucket_and_the_cost() {
    let reported = Shopify.quota(&test_reply(200, &[], &throttled().to_string()));
    assert_eq!(reported, Some(ReportedQuota { per_second: 50.0, burst: 1000, available: Some(3), cost: Some(13) }));
    assert_eq!(Shopify.quota(&test_reply(200, &[], "rubbish")), None);
}

#[test]
fn an_expired_token_is_renewed_if_it_can_be() {
    let reply = test_reply(401, &[], r#"{"errors":"[API] Invalid API key or access token"}"#);
    assert!(matches!(Shopify.outcome(&expiring(), &adjust(), &reply), Outcome::TokenExpired { .. }));
    assert!(matches!(Shopify.outcome(&store(), &adjust(), &reply), Outcome::Unauthorized { .. }));
}

#[test]
fn tokens_are_renewed_before_they_expire_and_when_they_are_refused() {
    let at = |now: &str, refused| Shopify.renewal_request(&expiring(), &test_stamp(now), refused);
    assert!(at("2026-11-24T12:50:00Z", false).is_none());
    assert!(at("2026-11-24T12:50:00Z", true).is_some());
    let request = at("2026-11-24T12:56:00Z", false).unwrap();
    assert_eq!(request.url, "https://acme.myshopify.com/admin/oauth/access_token");
    assert_eq!(request.body.as_deref(), Some("client_id=id&client_secret=secret&grant_type=refresh_token&refresh_token=r1"));
    assert!(Shopify.renewal_request(&store(), &test_stamp("2030-01-01T00:00:00Z"), true).is_none(), "this one does not expire");
}

#[test]
fn a_missing_permission_and_a_closed_shop_need_the_seller() {
    let denied = json!({"errors": [{"message": "Required access: write_inventory.", "extensions": {"code": "ACCESS_DENIED"}}],
                        "data": {"inventoryAdjustQuantities": null}});
    assert!(matches!(outcome(&adjust(), 200, &denied), Outcome::Unauthorized { reason } if reason.contains("write_inventory")));
    for status in [402, 403, 404, 423, 430, 301] {
        assert!(matches!(outcome(&adjust(), status, &json!({})), Outcome::Closed { .. }), "{status}");
    }
}

#[test]
fn an_invalid_request_is_refused_as_a_whole() {
    for code in ["BAD_REQUEST", "INVALID_FIELD_ARGUMENTS", "INVALID_VARIABLE", "MAX_INPUT_SIZE_EXCEEDED", "MAX_COST_EXCEEDED"] {
        let body = json!({"errors": [{"message": "No.", "extensions": {"code": code}}], "data": {"inventoryAdjustQuantities": null}});
        assert!(matches!(outcome(&adjust(), 200, &body), Outcome::Refused { .. }), "{code}");
    }
}

#[test]
fn a_server_error_or_an_unreadable_reply_leaves_the_outcome_unknown() {
    for (status, body) in [(500, ""), (503, "<html>"), (200, "rubbish"), (200, "{}"), (200, r#"{"data":{"inventoryAdjustQuantities":{}}}"#)]
    {
        let outcome = Shopify.outcome(&store(), &adjust(), &test_reply(status, &[], body));
        assert!(matches!(outcome, Outcome::Unknown { .. }), "{status} {body}: {outcome:?}");
    }
    let broken = json!({"errors": [{"message": "Internal error.", "extensions": {"code": "INTERNAL_SERVER_ERROR"}}], "data": null});
    assert!(matches!(outcome(&adjust(), 200, &broken), Outcome::Unknown { .. }));
}

#[test]
fn a_read_queries_each_location_once_and_rejects_an_unknown_item() {
    let mut elsewhere = item("102", 0);
    elsewhere.extra.insert("location_id".into(), "8".into());
    let read = call(Action::Read, vec![item("101", 0), elsewhere, item("103", 0)]);
    let variables = &body(&requested(&read))["variables"];
    assert_eq!(variables["ids0"], json!(["gid://shopify/InventoryItem/101", "gid://shopify/InventoryItem/103"]));
    assert_eq!(variables["location1"], json!("gid://shopify/Location/8"));
    let node = |id: u32, available: i64| {
        json!({"id": format!("gid://shopify/InventoryItem/{id}"), "tracked": true,
               "inventoryLevel": {"quantities": [{"name": "available", "quantity": available}]}})
    };
    let results = results_of(&read, &json!({"data": {"at0": [node(101, -2), null], "at1": [node(102, 9)]}}));
    assert_eq!(results[..2], [ItemResult::Applied { shown: Some(-2) }, ItemResult::Applied { shown: Some(9) }]);
    assert!(matches!(results[2], ItemResult::Rejected { .. }));
}

#[test]
fn a_check_needs_permission_to_read_inventory() {
    let check = Call { action: Action::Check, items: vec![], idempotency_key: None };
    let unproved = outcome(&check, 200, &json!({"data": {"inventoryItems": {"nodes": []}}}));
    assert!(matches!(&unproved, Outcome::Answered(notes) if matches!(&notes[..], [ItemResult::Unknown { .. }])), "{unproved:?}");
    let denied = json!({"errors": [{"message": "Access denied.", "extensions": {"code": "ACCESS_DENIED"}}], "data": null});
    assert!(matches!(outcome(&check, 200, &denied), Outcome::Unauthorized { .. }));
}

#[test]
fn every_bad_setting_is_named_by_its_pointer() {
    let bad = test_store(
        "shopify",
        json!({"shop": "https://acme.example", "location_id": "main", "max_items": 251, "colour": 1}),
        &[("refresh_token", "r"), ("token", "t")],
    );
    assert_eq!(
        test_pointers(Shopify.check_config(&bad)),
        [
            "/colour",
            "/credentials/access_token",
            "/credentials/client_id",
            "/credentials/client_secret",
            "/credentials/token",
            "/location_id",
            "/max_items",
            "/shop"
        ]
    );
    assert_eq!(test_pointers(Shopify.check_config(&test_store("shopify", json!({}), &[("access_token", "t")]))), ["/shop"]);
    let mock = StoreConnection { base_url: Some("http://127.0.0.1:9/shopify/acme/".into()), ..store() };
    assert!(Shopify.check_config(&mock).is_ok());
    assert_eq!(base(&mock).unwrap(), "http://127.0.0.1:9/shopify/acme");
}
