//! The connector against replies recorded from a running Vendure 3.7.3; keys are invented.
use super::super::fixtures::{test_pointers, test_reply, test_stamp, test_store};
use super::*;
use crate::domain::delivery::ItemResult;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

fn shop(config: Value, credentials: &[(&str, &str)]) -> StoreConnection {
    StoreConnection { base_url: Some("https://shop.example/".into()), ..test_store("vendure", config, credentials) }
}

/// A store that signs in with username and password.
fn store() -> StoreConnection {
    shop(json!({"location_id": "1"}), &[("username", "superadmin"), ("password", "pass word"), ("access_token", "s1")])
}

fn keyed() -> StoreConnection {
    shop(json!({"location_id": "1"}), &[("api_key", "lookup:secret")])
}

fn item(external_id: &str, quantity: i64) -> CallItem {
    CallItem { external_id: external_id.into(), extra: BTreeMap::new(), quantity, expected: None }
}

fn at(location: &str, item: CallItem) -> CallItem {
    CallItem { extra: [("location_id".to_owned(), location.to_owned())].into(), ..item }
}

fn call(action: Action, items: Vec<CallItem>) -> Call {
    Call { action, items, idempotency_key: None }
}

fn set() -> Call {
    call(Action::Set, vec![item("7", 12), item("8", 0)])
}

fn requested(store: &StoreConnection, call: &Call) -> Request {
    Vendure.request(store, call, &test_stamp("2026-11-25T12:00:00Z")).unwrap()
}

fn body(request: &Request) -> Value {
    serde_json::from_str(request.body.as_deref().unwrap()).unwrap()
}

fn outcome(call: &Call, status: u16, body: &Value) -> Outcome {
    Vendure.outcome(&store(), call, &test_reply(status, &[], &body.to_string()))
}

fn results_of(call: &Call, body: &Value) -> Vec<ItemResult> {
    match outcome(call, 200, body) {
        Outcome::Answered(results) => results,
        other => panic!("{other:?}"),
    }
}

fn variant(id: &str, tracked: &str, levels: &[(&str, i64)]) -> Value {
    let levels: Vec<Value> = levels.iter().map(|(at, on_hand)| json!({"stockLocationId": at, "stockOnHand": on_hand})).collect();
    json!({"id": id, "trackInventory": tracked, "stockLevels": levels})
}

fn error(code: Option<&str>, message: &str) -> Value {
    let extensions = code.map_or(json!({}), |code| json!({"code": code}));
    json!({"errors": [{"message": message, "path": ["updateProductVariants"], "extensions": extensions}], "data": null})
}

fn next_step(result: &ItemResult) -> &str {
    match result {
        ItemResult::Rejected { next_step, .. } => next_step,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_set_writes_each_variants_level_and_carries_the_session() {
    let request = requested(&store(), &call(Action::Set, vec![item("7", 12), at("2", item("8", 0))]));
    assert_eq!((request.method, request.url.as_str()), (Method::Post, "https://shop.example/admin-api"));
    let row = |id: &str, at: &str, on_hand: i64| json!({"id": id, "stockLevels": [{"stockLocationId": at, "stockOnHand": on_hand}]});
    assert_eq!(body(&request)["variables"], json!({"input": [row("7", "1", 12), row("8", "2", 0)]}));
    let secrets: Vec<_> = request.secret_headers.iter().map(|(name, value)| (*name, value.expose_secret())).collect();
    assert_eq!(secrets, [("authorization", "Bearer s1")]);
    assert!(request.headers.iter().all(|(name, _)| *name != "vendure-token"));
}

#[test]
fn the_api_key_and_the_channel_token_each_have_a_header() {
    let store = shop(json!({"channel_token": "eu"}), &[("api_key", "lookup:secret")]);
    let request = requested(&store, &set());
    assert_eq!((request.secret_headers[0].0, request.secret_headers[0].1.expose_secret()), ("vendure-api-key", "lookup:secret"));
    assert!(request.headers.contains(&("vendure-token", "eu".to_owned())));
}

#[test]
fn without_a_location_vendures_default_location_is_used() {
    let store = shop(json!({}), &[("api_key", "k")]);
    assert_eq!(body(&requested(&store, &set()))["variables"]["input"][0], json!({"id": "7", "stockOnHand": 12}));
    let read = call(Action::Read, vec![item("7", 0)]);
    assert!(body(&requested(&store, &read))["query"].as_str().unwrap().contains("stockLocations"));
    assert!(!body(&requested(&keyed(), &read))["query"].as_str().unwrap().contains("stockLocations"));
    let found = variant("7", "TRUE", &[("2", 40), ("1", 100)]);
    let data = json!({"data": {"productVariants": {"items": [found]}, "globalSettings": {"trackInventory": true},
                               "stockLocations": {"items": [{"id": "1"}]}}});
    let outcome = Vendure.outcome(&store, &read, &test_reply(200, &[], &data.to_string()));
    assert_eq!(outcome, Outcome::Answered(vec![ItemResult::Applied { shown: Some(100) }]));
    let data = json!({"data": {"updateProductVariants": [variant("7", "TRUE", &[("2", 40), ("1", 12)])]}});
    let outcome = Vendure.outcome(&store, &call(Action::Set, vec![item("7", 12)]), &test_reply(200, &[], &data.to_string()));
    assert_eq!(outcome, Outcome::Answered(vec![ItemResult::Applied { shown: Some(12) }]));
}

#[test]
fn the_largest_call_stays_far_below_the_servers_limit_of_100_kb() {
    let uuid = "0198c0de-0000-7000-8000-000000000000";
    let items = vec![at(uuid, item(uuid, MAX_UNITS)); usize::try_from(MAX_ROWS).unwrap()];
    assert!(requested(&store(), &call(Action::Set, items)).body.unwrap().len() < 102_400 / 6);
}

#[test]
fn results_are_matched_by_id_in_any_order() {
    let rows = [variant("8", "TRUE", &[("1", 0)]), variant("7", "INHERIT", &[("2", 40), ("1", 12)])];
    let results = results_of(&set(), &json!({"data": {"updateProductVariants": rows}}));
    assert_eq!(results, [ItemResult::Applied { shown: Some(12) }, ItemResult::Applied { shown: Some(0) }]);
}

#[test]
fn one_unknown_variant_is_rejected_and_the_rest_are_sent_again() {
    let body = error(Some("ENTITY_NOT_FOUND"), "No ProductVariant with the id \"8\" could be found");
    let results = results_of(&set(), &body);
    assert!(matches!(results[0], ItemResult::RefusedWithOthers { .. }), "the call was rolled back: {results:?}");
    assert!(next_step(&results[1]).contains("Pair"));
    let elsewhere = error(Some("ENTITY_NOT_FOUND"), "No ProductVariant with the id \"88\" could be found");
    assert!(matches!(outcome(&set(), 200, &elsewhere), Outcome::Refused { .. }), "none of our rows, so the call is split");
    let read = call(Action::Read, vec![item("8", 0)]);
    let results = results_of(&read, &json!({"data": {"productVariants": {"items": []}, "globalSettings": {"trackInventory": true}}}));
    assert!(next_step(&results[0]).contains("Pair"));
}

#[test]
fn what_is_allocated_to_orders_is_not_shown_and_is_added_to_what_is_set() {
    let levels = json!([{"stockLocationId": "1", "stockOnHand": 15, "stockAllocated": 3}]);
    let found = json!({"id": "7", "trackInventory": "TRUE", "stockLevels": levels});
    let body = json!({"data": {"productVariants": {"items": [found]}, "globalSettings": {"trackInventory": true}}});
    let at = |id: &str, quantity| CallItem { extra: [("location_id".to_owned(), "1".to_owned())].into(), ..item(id, quantity) };
    let read = call(Action::Read, vec![at("7", 0), at("9", 0)]);
    assert_eq!(results_of(&read, &body)[0], ItemResult::Applied { shown: Some(12) });
    assert_eq!(Vendure.reserved(&store(), &read, &test_reply(200, &[], &body.to_string())), [Some(3), None]);
    let mut one = at("7", 12);
    one.extra.insert("reserved".to_owned(), "3".to_owned());
    let set = Vendure.request(&store(), &call(Action::Set, vec![one]), &test_stamp("2026-11-24T12:00:00Z")).unwrap();
    assert!(set.body.as_deref().is_some_and(|body| body.contains(r#""stockOnHand":15"#)), "{:?}", set.body);
}

#[test]
fn a_check_says_whether_the_user_may_write_and_whether_the_channel_is_right() {
    let check = |config: Value, permissions: &[&str]| {
        let store = test_store("vendure", config, &[("api_key", "k")]);
        let me = json!({"channels": [{"token": "t1", "permissions": permissions}]});
        let body = json!({"data": {"productVariants": {"totalItems": 1}, "me": me}}).to_string();
        Vendure.outcome(&store, &call(Action::Check, Vec::new()), &test_reply(200, &[], &body))
    };
    assert_eq!(check(json!({}), &["ReadCatalog", "UpdateCatalog"]), Outcome::Answered(Vec::new()));
    assert!(matches!(check(json!({}), &["ReadCatalog"]), Outcome::Closed { next_step, .. } if next_step.contains("UpdateCatalog")));
    let other = check(json!({"channel_token": "t2"}), &["SuperAdmin"]);
    assert!(matches!(other, Outcome::Closed { next_step, .. } if next_step.contains("channel_token")));
}

#[test]
fn untracked_stock_is_rejected_with_a_next_step() {
    let results = results_of(
        &set(),
        &json!({"data": {"updateProductVariants": [variant("7", "FALSE", &[("1", 12)]), variant("8", "INHERIT", &[("1", 0)])]}}),
    );
    assert!(next_step(&results[0]).contains("Track inventory"));
    assert_eq!(results[1], ItemResult::Applied { shown: Some(0) });
    let read = call(Action::Read, vec![item("7", 0), item("8", 0), item("9", 0)]);
    let items = [variant("7", "FALSE", &[("1", 3)]), variant("8", "INHERIT", &[("1", 4)]), variant("9", "TRUE", &[("2", 5)])];
    let results = results_of(&read, &json!({"data": {"productVariants": {"items": items}, "globalSettings": {"trackInventory": false}}}));
    assert!(next_step(&results[0]).contains("Track inventory") && next_step(&results[1]).contains("global settings"));
    assert_eq!(results[2], ItemResult::Applied { shown: Some(0) }, "it has no level at location 1");
}

#[test]
fn a_number_that_nobody_sent_or_a_missing_row_leaves_the_outcome_unknown() {
    let results = results_of(&set(), &json!({"data": {"updateProductVariants": [variant("7", "TRUE", &[("1", 24)]), null]}}));
    assert!(matches!(&results[0], ItemResult::Unknown { reason } if reason.contains("different number")), "{results:?}");
    assert!(matches!(&results[1], ItemResult::Unknown { .. }));
}

#[test]
fn an_expired_session_is_renewed_but_a_wrong_key_needs_the_seller() {
    let body = error(Some("FORBIDDEN"), "You are not currently authorized to perform this action");
    assert!(matches!(outcome(&set(), 200, &body), Outcome::TokenExpired { .. }));
    let outcome = Vendure.outcome(&keyed(), &set(), &test_reply(200, &[], &body.to_string()));
    assert!(matches!(outcome, Outcome::Unauthorized { reason } if reason.contains("API key")));
}

#[test]
fn a_session_is_fetched_if_there_is_none_or_it_was_refused() {
    let stamp = test_stamp("2026-11-25T12:00:00Z");
    let renewal_request = |store: &StoreConnection, refused| Vendure.renewal_request(store, &stamp, refused);
    assert!(renewal_request(&store(), false).is_none() && renewal_request(&keyed(), true).is_none());
    let request = renewal_request(&shop(json!({}), &[("username", "u"), ("password", "p")]), false).unwrap();
    assert_eq!(body(&request)["variables"], json!({"username": "u", "password": "p"}));
    assert!(request.secret_headers.is_empty() && renewal_request(&store(), true).is_some());

    let renewal = |headers: &[(&str, &str)], login: Value| {
        Vendure.renewal(&store(), &test_reply(200, headers, &json!({"data": {"login": login}}).to_string()), &stamp)
    };
    let user = json!({"__typename": "CurrentUser", "id": "1"});
    let Renewal::Renewed(kept) = renewal(&[(SESSION_HEADER, "s2")], user.clone()) else { panic!() };
    assert_eq!((kept["access_token"].expose_secret(), kept["password"].expose_secret()), ("s2", "pass word"));
    for headers in [&[][..], &[(SESSION_HEADER, "")]] {
        assert!(matches!(renewal(headers, user.clone()), Renewal::Refused { reason } if reason.contains("tokenMethod")));
    }
    let wrong = json!({"__typename": "InvalidCredentialsError", "errorCode": "INVALID_CREDENTIALS_ERROR", "message": "The provided credentials are invalid"});
    assert!(matches!(renewal(&[], wrong), Renewal::Refused { reason } if reason.contains("INVALID_CREDENTIALS_ERROR")));
    for (status, later) in [(503, true), (429, true), (200, true), (404, false), (403, false)] {
        let renewal = Vendure.renewal(&store(), &test_reply(status, &[], "<html>"), &stamp);
        assert_eq!(matches!(renewal, Renewal::TryAgain { .. }), later, "{status}: {renewal:?}");
    }
}

#[test]
fn throttling_waits_as_long_as_the_host_asks() {
    let reply = test_reply(429, &[("retry-after", "3")], "");
    let outcome = Vendure.outcome(&store(), &set(), &reply);
    assert!(matches!(outcome, Outcome::TryAgain { after: Some(after), throttled: true, .. } if after == Duration::from_secs(3)));
    assert_eq!(Vendure.quota(&reply), None);
}

#[test]
fn every_code_is_classified_with_a_next_step() {
    for (code, word) in [("CHANNEL_NOT_FOUND", "channel_token"), ("ILLEGAL_OPERATION", "Vendure")] {
        let found = outcome(&set(), 200, &error(Some(code), "A message."));
        assert!(matches!(&found, Outcome::Closed { next_step, .. } if next_step.contains(word)), "{code}: {found:?}");
    }
    for code in ["USER_INPUT_ERROR", "BAD_USER_INPUT", "GRAPHQL_PARSE_FAILED", "GRAPHQL_VALIDATION_FAILED", "SOME_NEW_ERROR"] {
        for status in [200, 400] {
            assert!(matches!(outcome(&set(), status, &error(Some(code), "A message.")), Outcome::Refused { .. }), "{code}");
        }
    }
    let one = call(Action::Set, vec![item("7", 12)]);
    for code in [None, Some("INTERNAL_SERVER_ERROR")] {
        let error = error(code, "deadlock detected");
        assert!(matches!(outcome(&one, 200, &error), Outcome::TryAgain { throttled: false, .. }));
        assert!(matches!(outcome(&set(), 200, &error), Outcome::Refused { .. }), "a single row may be the cause");
    }
}

#[test]
fn a_wrong_location_closes_the_store_only_if_it_is_the_stores_own() {
    let body = error(None, "insert or update on table \"stock_level\" violates foreign key constraint \"FK_984c48572468c69661a0b7b0494\"");
    assert!(matches!(outcome(&set(), 200, &body), Outcome::Closed { next_step, .. } if next_step.contains("location_id")));
    let own = call(Action::Set, vec![at("99", item("7", 12)), item("8", 1)]);
    assert!(matches!(outcome(&own, 200, &body), Outcome::Refused { .. }));
}

#[test]
fn an_unreachable_api_and_a_lost_reply_are_distinguished() {
    for status in [301, 404] {
        assert!(matches!(outcome(&set(), status, &json!({})), Outcome::Closed { next_step, .. } if next_step.contains("base_url")));
    }
    for status in [401, 403] {
        assert!(matches!(outcome(&set(), status, &json!({})), Outcome::Unauthorized { .. }), "{status}");
    }
    let empty = r#"{"statusCode":500,"message":""}"#;
    for (status, body) in [(500, empty), (502, ""), (504, ""), (408, ""), (200, "<html>"), (200, "{}"), (200, r#"{"data":{}}"#)] {
        let outcome = Vendure.outcome(&store(), &set(), &test_reply(status, &[], body));
        assert!(matches!(outcome, Outcome::Unknown { .. }), "{status} {body}: {outcome:?}");
    }
    let invalid_json = r#"{"statusCode":400,"message":"Unexpected end of JSON input"}"#;
    for (status, body) in [(413, "<html>"), (400, invalid_json)] {
        assert!(matches!(Vendure.outcome(&store(), &set(), &test_reply(status, &[], body)), Outcome::Refused { .. }), "{status}");
    }
}

#[test]
fn a_check_needs_permission_to_read_the_catalog() {
    let check = call(Action::Check, vec![]);
    assert_eq!(outcome(&check, 200, &json!({"data": {"productVariants": {"totalItems": 0}}})), Outcome::Answered(vec![]));
    assert!(matches!(outcome(&check, 200, &error(Some("FORBIDDEN"), "No.")), Outcome::TokenExpired { .. }));
}

#[test]
fn quantities_that_vendure_would_corrupt_are_not_sent() {
    let refused = Vendure.request(&store(), &call(Action::Set, vec![item("7", MAX_UNITS + 1)]), &test_stamp(""));
    assert!(refused.unwrap_err().contains("1000000000"));
    assert!(Vendure.request(&store(), &call(Action::Adjust, vec![item("7", 1)]), &test_stamp("")).is_err());
}

#[test]
fn variants_are_listed_page_by_page_with_the_location_of_their_stock() {
    let level = |id: &str, made: &str| json!({"stockLocationId": id, "stockOnHand": 1, "stockLocation": {"createdAt": made}});
    let variant = |id: &str, sku: &str, tracked: &str, levels: Value| json!({"id": id, "sku": sku, "name": "Shirt", "trackInventory": tracked, "stockLevels": levels});
    let levels = json!([level("2", "2026-02-01T00:00:00.000Z"), level("10", "2026-01-01T00:00:00.000Z")]);
    let items = [
        variant("1", "A", "INHERIT", levels.clone()),
        variant("2", "", "FALSE", json!([])),
        variant("3", "C", "TRUE", json!([level("5", "2026-03-01T00:00:00.000Z")])),
    ];
    let body = json!({"data": {"productVariants": {"totalItems": 250, "items": items}}}).to_string();
    let page = |config: Value, cursor| Vendure.variants(&shop(config, &[("api_key", "k")]), cursor, &test_reply(200, &[], &body)).unwrap();
    let first = page(json!({}), None);
    let found: Vec<_> = first.variants.iter().map(|v| (v.sku.as_deref(), v.extra.get("location_id").map(String::as_str))).collect();
    assert_eq!(found, [(Some("A"), Some("10")), (None, None), (Some("C"), Some("5"))], "the oldest");
    assert!(first.variants[1].title.contains("not tracked"));
    assert!(page(json!({"location_id": "2"}), None).variants[0].extra.is_empty(), "the store's own");
    assert_eq!((first.next.as_deref(), page(json!({}), Some("247")).next), (Some("3"), None));
    let request = Vendure.variants_request(&keyed(), Some("3"), &test_stamp("")).unwrap();
    assert_eq!(self::body(&request)["variables"], json!({"skip": 3, "take": 100}));
    assert!(Vendure.variants_request(&keyed(), Some("x"), &test_stamp("")).is_err());
}

#[test]
fn every_bad_setting_is_named_by_its_pointer() {
    let bad = test_store("vendure", json!({"channel_token": "a b", "location_id": 1, "max_items": 101, "x": 1}), &[("password", "p")]);
    assert_eq!(
        test_pointers(Vendure.check_config(&bad)),
        ["/base_url", "/channel_token", "/credentials/username", "/location_id", "/max_items", "/x"]
    );
    assert!(Vendure.check_config(&store()).is_ok() && Vendure.check_config(&keyed()).is_ok());
}
