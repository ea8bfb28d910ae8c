//! The connector against replies in the platform's format; IDs and keys are invented.
use super::super::fixtures::{test_pointers, test_reply, test_stamp, test_store};
use super::auth::{base_string, oauth_1};
use super::*;
use secrecy::ExposeSecret;
use serde_json::json;
use std::time::Duration;

/// Unix time 1764547200.
const NOW: &str = "2025-12-01T00:00:00Z";

fn store(base_url: &str, config: Value) -> StoreConnection {
    let keys = [("consumer_key", "ck_0123456789abcdef"), ("consumer_secret", "cs_fedcba9876543210")];
    StoreConnection { base_url: Some(base_url.into()), ..test_store("woocommerce", config, &keys) }
}

fn https() -> StoreConnection {
    store("https://shop.example/", json!({}))
}

fn call(action: Action, parent: Option<&str>) -> Call {
    let item = |id: &str, quantity| CallItem {
        external_id: id.into(),
        extra: parent.map(|id| ("parent_id".to_owned(), id.to_owned())).into_iter().collect(),
        quantity,
        expected: None,
    };
    Call { action, items: vec![item("799", 5), item("800", 0)], idempotency_key: None }
}

fn requested(store: &StoreConnection, call: &Call) -> Request {
    WooCommerce.request(store, call, &test_stamp(NOW)).unwrap()
}

fn outcome(action: Action, status: u16, body: &str) -> Outcome {
    WooCommerce.outcome(&https(), &call(action, None), &test_reply(status, &[], body))
}

fn results_of(action: Action, body: &Value) -> Vec<ItemResult> {
    match outcome(action, 200, &body.to_string()) {
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
fn over_https_the_authorization_header_matches_the_one_computed_by_hand() {
    let request = requested(&https(), &call(Action::Set, None));
    assert_eq!((request.method, request.url.as_str()), (Method::Post, "https://shop.example/wp-json/wc/v3/products/batch?_fields=update"));
    assert_eq!(
        request.body.as_deref(),
        Some(
            r#"{"update":[{"id":799,"stock_quantity":5,"_fields":"id,manage_stock,stock_quantity"},{"id":800,"stock_quantity":0,"_fields":"id,manage_stock,stock_quantity"}]}"#
        )
    );
    assert_eq!(request.secret_headers[0].1.expose_secret(), "Basic Y2tfMDEyMzQ1Njc4OWFiY2RlZjpjc19mZWRjYmE5ODc2NTQzMjEw");
}

#[test]
fn over_http_the_signature_matches_the_one_computed_by_hand() {
    let url = "http://shop.example/wp-json/wc/v3/products/batch";
    let query = oauth_1(Method::Post, url, Vec::new(), "ck_0123456789abcdef", "cs_fedcba9876543210", &test_stamp(NOW));
    assert_eq!(
        base_string(Method::Post, url, &query[..4].to_vec()),
        "POST&http%3A%2F%2Fshop.example%2Fwp-json%2Fwc%2Fv3%2Fproducts%2Fbatch&oauth_consumer_key%3Dck_0123456789abcdef%26\
         oauth_nonce%3Db7f2a1c4d5e60718293a4b5c6d7e8f90%26oauth_signature_method%3DHMAC-SHA256%26oauth_timestamp%3D1764547200"
    );
    assert_eq!(query[4], ("oauth_signature", "MFYPPJ/fKiKn5pV6cw/EzFGuMkd+aTa/YQv0ZWDrZE4=".to_owned()));
    let request = requested(&store("http://shop.example", json!({})), &call(Action::Set, None));
    assert!(request.secret_headers.is_empty() && request.url.contains("_fields=update&oauth_consumer_key=ck_"), "{}", request.url);
}

#[test]
fn variations_of_one_parent_share_a_call_and_shop_settings_shape_it() {
    let request = requested(&store("https://shop.example/de", json!({"manage_stock": true})), &call(Action::Set, Some("12")));
    assert!(request.url.starts_with("https://shop.example/de/wp-json/wc/v3/products/12/variations/batch"));
    assert!(request.body.as_deref().unwrap().contains(r#""stock_quantity":5,"manage_stock":true"#));
    let plain = store("https://shop.example", json!({"permalinks": "plain", "auth": "query"}));
    let request = requested(&plain, &call(Action::Read, None));
    let url = "https://shop.example/?include=799%2C800&per_page=100&_fields=id%2Csku%2Cname%2Ctype%2Cmanage_stock%2Cstock_quantity%2Cvariations\
               &fresh=b7f2a1c4d5e60718293a4b5c6d7e8f90&rest_route=/wc/v3/products&via=wp-json/wc/&consumer_key=ck_0123456789abcdef&consumer_secret=cs_fedcba9876543210";
    assert_eq!((request.url.as_str(), request.secret_headers.len()), (url, 0));
    let mut mixed = call(Action::Set, None);
    mixed.items[1].extra.insert("parent_id".into(), "12".into());
    assert!(WooCommerce.request(&https(), &mixed, &test_stamp(NOW)).is_err());
}

#[test]
fn success_and_partial_success_are_reported_row_by_row() {
    let error = json!({"code": "woocommerce_rest_product_invalid_id", "message": "Invalid ID.", "data": {"status": 400}});
    let results =
        results_of(Action::Set, &json!({"update": [{"id": 800, "error": error}, {"id": 799, "manage_stock": true, "stock_quantity": 5}]}));
    assert_eq!(results[0], ItemResult::Applied { shown: Some(5) });
    assert!(next_step(&results[1]).contains("parent_id"));
    let results = results_of(Action::Set, &json!({"update": [{"id": 799, "manage_stock": true, "stock_quantity": 5}]}));
    assert!(matches!(results[1], ItemResult::Unknown { .. }), "not mentioned, so it may have been applied");
    let error = json!({"code": "product_invalid_sku", "message": "Bad SKU."});
    let results = results_of(Action::Set, &json!({"update": [{"id": 799, "error": error}]}));
    assert!(matches!(&results[0], ItemResult::Rejected { reason, .. } if reason.contains("Bad SKU. (product_invalid_sku)")));
}

#[test]
fn untracked_stock_and_the_parents_stock_are_rejected_with_a_next_step() {
    let rows =
        json!([{"id": 799, "manage_stock": false, "stock_quantity": null}, {"id": 800, "manage_stock": "parent", "stock_quantity": 4}]);
    for (action, body) in [(Action::Read, rows.clone()), (Action::Set, json!({"update": rows.clone()}))] {
        let results = results_of(action, &body);
        assert!(next_step(&results[0]).contains("Track stock quantity"));
        assert!(next_step(&results[1]).contains("parent product"));
    }
    let tracking = store("https://shop.example", json!({"manage_stock": true}));
    let read = WooCommerce.outcome(&tracking, &call(Action::Read, None), &test_reply(200, &[], &rows.to_string()));
    let Outcome::Answered(results) = read else { panic!() };
    assert_eq!(results[0], ItemResult::Applied { shown: Some(0) });
    assert!(next_step(&results[1]).contains("parent product"), "the parent's quantity is no base for a quantity of its own");
}

#[test]
fn an_unknown_product_is_rejected_with_a_next_step() {
    let results = results_of(Action::Read, &json!([{"id": 799, "manage_stock": true, "stock_quantity": 3}]));
    assert_eq!(results[0], ItemResult::Applied { shown: Some(3) });
    assert!(next_step(&results[1]).contains("Pair"));
    let Outcome::Answered(results) = outcome(Action::Set, 404, r#"{"code":"woocommerce_rest_product_invalid_id","message":"x"}"#) else {
        panic!()
    };
    assert!(results.iter().all(|result| next_step(result).contains("Pair")));
}

#[test]
fn throttled_refused_closed_and_lost_calls_are_distinguished() {
    let reply = test_reply(429, &[("retry-after", "3")], "<html>");
    let throttled = WooCommerce.outcome(&https(), &call(Action::Set, None), &reply);
    assert!(matches!(throttled, Outcome::TryAgain { after: Some(after), throttled: true, .. } if after == Duration::from_secs(3)));
    let read_only = r#"{"code":"woocommerce_rest_authentication_error","message":"The API key provided does not have write permissions."}"#;
    assert!(matches!(outcome(Action::Check, 401, read_only), Outcome::Unauthorized { reason } if reason.contains("only read")));
    assert_eq!(outcome(Action::Check, 200, "[]"), Outcome::Answered(Vec::new()));
    for (status, body) in [
        (401, r#"{"code":"woocommerce_rest_authentication_error"}"#),
        (401, r#"{"code":"woocommerce_rest_cannot_edit"}"#),
        (403, r#"{"code":"woocommerce_rest_cannot_edit"}"#),
    ] {
        assert!(matches!(outcome(Action::Set, status, body), Outcome::Unauthorized { .. }), "{status}");
    }
    for (status, body) in [(403, "<html>"), (404, r#"{"code":"rest_no_route"}"#), (404, "<html>"), (301, "")] {
        assert!(matches!(outcome(Action::Set, status, body), Outcome::Closed { .. }), "{status}");
    }
    for (status, body) in [(400, r#"{"code":"rest_invalid_param"}"#), (413, r#"{"code":"woocommerce_rest_request_entity_too_large"}"#)] {
        assert!(matches!(outcome(Action::Set, status, body), Outcome::Refused { .. }), "{status}");
    }
    for (status, body) in [(500, ""), (501, ""), (502, ""), (503, "<html>"), (504, ""), (522, ""), (200, "<html>"), (200, "{}")] {
        assert!(matches!(outcome(Action::Set, status, body), Outcome::Unknown { .. }), "{status} {body}");
    }
}

#[test]
fn products_are_listed_with_their_variations() {
    let read =
        |cursor: Option<&str>, body: &Value| WooCommerce.variants(&https(), cursor, &test_reply(200, &[], &body.to_string())).unwrap();
    let page = read(
        None,
        &json!([
            {"id": 1, "sku": "A", "name": "Mug", "type": "simple", "manage_stock": true, "variations": []},
            {"id": 2, "sku": "", "name": "Shirt", "type": "variable", "manage_stock": false, "variations": [21, 22]},
            {"id": 3, "sku": "G", "name": "Set", "type": "grouped", "manage_stock": false, "variations": []}
        ]),
    );
    assert_eq!(page.variants.iter().map(|variant| variant.external_id.as_str()).collect::<Vec<_>>(), ["1"]);
    assert_eq!(page.next.as_deref(), Some("end:0:2"));
    let request = WooCommerce.variants_request(&https(), page.next.as_deref(), &test_stamp(NOW)).unwrap();
    assert!(request.url.contains("/products/2/variations?per_page=100&offset=0&"), "{}", request.url);
    let page = read(
        page.next.as_deref(),
        &json!([{"id": 21, "sku": "S-1", "manage_stock": true}, {"id": 22, "sku": "S-2", "manage_stock": "parent"}]),
    );
    assert_eq!(page.variants[0].extra["parent_id"], "2");
    assert!(page.variants[1].title.contains("stock of the parent"));
    assert_eq!(page.next, None);
    assert!(WooCommerce.variants_request(&https(), Some("x"), &test_stamp(NOW)).is_err());
}

#[test]
fn every_bad_setting_is_named_by_its_pointer() {
    let bad =
        test_store("woocommerce", json!({"permalinks": 1, "auth": "oauth", "manage_stock": "yes", "max_items": 0}), &[("token", "t")]);
    assert_eq!(
        test_pointers(WooCommerce.check_config(&bad)),
        [
            "/auth",
            "/base_url",
            "/credentials/consumer_key",
            "/credentials/consumer_secret",
            "/credentials/token",
            "/manage_stock",
            "/max_items",
            "/permalinks"
        ]
    );
    assert!(WooCommerce.check_config(&https()).is_ok());
}
