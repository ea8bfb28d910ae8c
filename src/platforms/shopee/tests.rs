//! Shopee's exact requests, and its replies, at least one for each outcome.
use super::super::call::CallItem;
use super::outcomes::DAILY_LIMIT_PAUSE;
use super::*;
use crate::domain::StoreId;
use crate::domain::delivery::ItemResult;
use crate::platforms::sign::EXPIRES_AT;
use chrono::DateTime;
use secrecy::SecretString;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const KEY: &str = "4a6b7c8d9e0f11223344556677889900aabbccddeeff00112233445566778899";
const TOKEN: &str = "6f1c0de5a1b2c3d4e5f60718293a4b5c";

fn store(more: Value) -> StoreConnection {
    let mut config = json!({"partner_id": 1_000_001, "shop_id": "220000045"});
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let secret = |name: &str, text: &str| (name.to_owned(), SecretString::from(text));
    StoreConnection {
        store_id: StoreId(uuid::Uuid::nil()),
        platform: "shopee".into(),
        base_url: None,
        config: config.as_object().unwrap().clone(),
        credentials: [secret("partner_key", KEY), secret("access_token", TOKEN), secret("refresh_token", "r1")].into(),
    }
}

fn stamp() -> Stamp {
    Stamp { now: DateTime::from_timestamp(1_764_547_200, 0).unwrap(), nonce: "0".repeat(32) }
}

fn listing(item: &str, model: &str, quantity: i64) -> CallItem {
    let extra = [("item_id".to_owned(), item.to_owned())].into();
    CallItem { external_id: model.into(), extra, quantity, expected: None }
}

fn call(action: Action) -> Call {
    Call { action, items: vec![listing("1000", "71", 7), listing("1000", "77", 3)], idempotency_key: None }
}

fn reply(body: Value) -> Reply {
    Reply { status: 200, headers: vec![], body: body.to_string() }
}

fn outcome_for(error: &str, message: &str) -> Outcome {
    Shopee.outcome(&store(json!({})), &call(Action::Set), &reply(json!({"error": error, "message": message, "request_id": "1"})))
}

fn results_of(outcome: Outcome) -> Vec<ItemResult> {
    match outcome {
        Outcome::Answered(results) => results,
        other => panic!("{other:?}"),
    }
}

#[test]
fn calls_are_signed_the_way_shopee_requires() {
    let set = Shopee.request(&store(json!({})), &call(Action::Set), &stamp()).unwrap();
    assert_eq!(
        set.url,
        "https://partner.shopeemobile.com/api/v2/product/update_stock?partner_id=1000001&timestamp=1764547200\
         &access_token=6f1c0de5a1b2c3d4e5f60718293a4b5c&shop_id=220000045\
         &sign=5d525f87f284cd858b98a5403564d39cb41ddb5b6bfa923804274fa12963d1c3"
    );
    let renewal = Shopee.renewal_request(&store(json!({})), &stamp(), true).unwrap();
    assert_eq!(
        renewal.url,
        "https://partner.shopeemobile.com/api/v2/auth/access_token/get?partner_id=1000001&timestamp=1764547200\
         &sign=33f88ca0fb7a9b7a1c911a1dc7adb70df67813a920f7d6fed896b00cc72a5c5b"
    );
    assert!(!format!("{set:?}{renewal:?}").contains("sign"), "secrets are not printed");
}

#[test]
fn only_models_of_one_item_are_set_in_one_call() {
    let set = |store: &StoreConnection, call: &Call| Shopee.request(store, call, &stamp()).map(|request| request.body.unwrap());
    let with_location = store(json!({"location_id": "IDZ"}));
    assert_eq!(
        set(&with_location, &call(Action::Set)).unwrap(),
        r#"{"item_id":1000,"stock_list":[{"model_id":71,"seller_stock":[{"location_id":"IDZ","stock":7}]},{"model_id":77,"seller_stock":[{"location_id":"IDZ","stock":3}]}]}"#
    );
    let simple = Call { items: vec![listing("1000", "1000", 5)], ..call(Action::Set) };
    assert_eq!(set(&store(json!({})), &simple).unwrap(), r#"{"item_id":1000,"stock_list":[{"model_id":0,"seller_stock":[{"stock":5}]}]}"#);
    let two_items = Call { items: vec![listing("1000", "71", 7), listing("1001", "72", 7)], ..call(Action::Set) };
    assert!(set(&store(json!({})), &two_items).unwrap_err().contains("one item"));
    let unpaired = Call { items: vec![CallItem { extra: BTreeMap::new(), ..listing("", "71", 7) }], ..call(Action::Set) };
    assert!(set(&store(json!({})), &unpaired).unwrap_err().contains("item_id"));
}

#[test]
fn reads_request_the_item_or_its_models_from_the_stores_base_url() {
    let mut store = store(json!({}));
    store.base_url = Some("http://127.0.0.1:9/mock/".into());
    let read = Shopee.request(&store, &call(Action::Read), &stamp()).unwrap();
    assert!(read.url.starts_with("http://127.0.0.1:9/mock/api/v2/product/get_model_list?partner_id=1000001&"), "{}", read.url);
    assert!(read.url.ends_with("&item_id=1000"), "{}", read.url);
    let simple = Call { items: vec![listing("1000", "1000", 0)], ..call(Action::Read) };
    let read = Shopee.request(&store, &simple, &stamp()).unwrap();
    assert!(read.url.contains("/get_item_base_info?") && read.url.ends_with("&item_id_list=1000"), "{}", read.url);
}

#[test]
fn a_success_reports_what_each_model_shows() {
    let body = json!({"error": "", "message": "", "warning": "", "response":
        {"success_list": [{"model_id": 77, "stock": 3}, {"model_id": 71, "location_id": "IDZ", "stock": 7}], "failure_list": []}});
    let results = results_of(Shopee.outcome(&store(json!({"location_id": "IDZ"})), &call(Action::Set), &reply(body)));
    assert_eq!(results, [ItemResult::Applied { shown: Some(7) }, ItemResult::Applied { shown: Some(3) }]);
}

#[test]
fn one_failing_model_does_not_fail_the_other_models() {
    for error in ["", "product.error_busi_update_stock_failed"] {
        let body = json!({"error": error, "message": "", "response":
            {"success_list": [{"model_id": 71, "stock": 7}], "failure_list": [{"model_id": 77, "failed_reason": "Wrong model_id."}]}});
        let results = results_of(Shopee.outcome(&store(json!({})), &call(Action::Set), &reply(body)));
        assert_eq!(results[0], ItemResult::Applied { shown: Some(7) });
        let ItemResult::Rejected { reason, next_step } = &results[1] else { panic!("{results:?}") };
        assert!(reason.contains("Wrong model_id") && next_step.contains("pair the listing again"), "{reason} {next_step}");
    }
    let partly = json!({"error": "product.error_busi_update_stock_failed", "response":
        {"success_list": [{"model_id": 71, "stock": 7}], "failure_list": [{"model_id": 77, "failed_reason": "Wrong model_id."}]}});
    let results = results_of(Shopee.outcome(&store(json!({})), &call(Action::Set), &Reply { status: 403, ..reply(partly) }));
    assert!(
        matches!(&results[..], [ItemResult::Unknown { .. }, ItemResult::Rejected { .. }]),
        "the status contradicts the success: {results:?}"
    );
    let reserved = json!({"error": "", "response": {"failure_list": [{"model_id": 71, "failed_reason": "Stock should be larger than reserved stock."}]}});
    let results = results_of(Shopee.outcome(&store(json!({})), &call(Action::Set), &reply(reserved)));
    assert!(matches!(results[0], ItemResult::TryAgain { .. }), "it is temporary: {results:?}");
    assert!(matches!(results[1], ItemResult::Unknown { .. }), "not mentioned, so it may have been applied: {results:?}");
}

#[test]
fn throttling_makes_the_store_wait() {
    assert!(matches!(outcome_for("error_rate_limit", "Too many requests."), Outcome::TryAgain { throttled: true, .. }));
    let status = Reply { status: 429, headers: vec![("retry-after".into(), "3".into())], body: String::new() };
    let outcome = Shopee.outcome(&store(json!({})), &call(Action::Set), &status);
    assert!(matches!(outcome, Outcome::TryAgain { throttled: true, after: Some(after), .. } if after.as_secs() == 3), "{outcome:?}");
}

#[test]
fn the_daily_limit_ends_at_midnight_in_utc_plus_8() {
    let limit = json!({"error": "error_limit", "message": "The total API call number has reached the daily limit"});
    let dated = Reply { headers: vec![("date".into(), "Wed, 25 Nov 2026 15:30:00 GMT".into())], ..reply(limit.clone()) };
    let outcome = |reply: &Reply| Shopee.outcome(&store(json!({})), &call(Action::Set), reply);
    assert!(matches!(outcome(&dated), Outcome::TryAgain { throttled: true, after: Some(after), .. } if after.as_secs() == 1800));
    assert!(matches!(outcome(&reply(limit)), Outcome::TryAgain { after: Some(after), .. } if after == DAILY_LIMIT_PAUSE));
}

#[test]
fn expired_tokens_are_renewed_but_lost_permissions_need_the_seller() {
    for (error, message) in
        [("error_auth", "Invalid access_token."), ("invalid_acceess_token", "Invalid access_token, please have a check.")]
    {
        assert!(matches!(outcome_for(error, message), Outcome::TokenExpired { .. }), "{error}");
    }
    let forbidden = Reply { status: 403, ..reply(json!({"error": "invalid_acceess_token", "message": ""})) };
    assert!(matches!(Shopee.outcome(&store(json!({})), &call(Action::Set), &forbidden), Outcome::TokenExpired { .. }));
    for error in ["error_sign", "shop_no_linked", "partner_shop_no_link", "shop_access_expired"] {
        assert!(matches!(outcome_for(error, ""), Outcome::Unauthorized { .. }), "{error}");
    }
    for error in ["shop_banned", "error_kyc_auth", "source_ip_undeclared", "invalid_partner_id", "error_wms_shop_block_upate_stock"] {
        assert!(matches!(outcome_for(error, ""), Outcome::Closed { next_step, .. } if !next_step.is_empty()), "{error}");
    }
}

#[test]
fn an_unknown_listing_is_refused_with_a_next_step() {
    for (error, message) in [("product.error_item_not_found", "Product not found"), ("error_param", "Wrong model_id.")] {
        let outcome = outcome_for(error, message);
        assert!(matches!(&outcome, Outcome::Refused { next_step, .. } if next_step.contains("pair")), "{outcome:?}");
    }
    let models = json!({"error": "", "response": {"model": [{"model_id": 71, "stock_info_v2": {"seller_stock": [{"stock": 4}]}}]}});
    let results = results_of(Shopee.outcome(&store(json!({})), &call(Action::Read), &reply(models)));
    assert_eq!(results[0], ItemResult::Applied { shown: Some(4) });
    assert!(matches!(&results[1], ItemResult::Rejected { reason, .. } if reason.contains("variation")));
}

#[test]
fn stock_that_shopee_keeps_itself_cannot_be_set() {
    assert!(matches!(
        outcome_for("error_server", "The current item belong to the full FBS shop, so normal stock must be equal to 0"),
        Outcome::Refused { .. }
    ));
    let item = json!({"error": "", "response": {"item_list": [{"item_id": 1000, "has_model": false, "stock_info_v2": {"shopee_stock": [{"stock": 9}]}}]}});
    let simple = Call { items: vec![listing("1000", "1000", 0)], ..call(Action::Read) };
    let results = results_of(Shopee.outcome(&store(json!({})), &simple, &reply(item)));
    assert!(matches!(&results[0], ItemResult::Rejected { reason, .. } if reason.contains("keeps the stock itself")), "{results:?}");
}

#[test]
fn stock_is_read_at_the_listings_location() {
    let body = json!({"error": "", "response": {"model": [{"model_id": 71, "stock_info_v2": {"seller_stock":
        [{"location_id": "IDZ", "stock": 4}, {"location_id": "IDY", "stock": 9}]}}]}});
    let read = |store: &StoreConnection| {
        let one = Call { items: vec![listing("1000", "71", 0)], ..call(Action::Read) };
        results_of(Shopee.outcome(store, &one, &reply(body.clone()))).remove(0)
    };
    assert_eq!(read(&store(json!({"location_id": "IDY"}))), ItemResult::Applied { shown: Some(9) });
    assert!(matches!(read(&store(json!({}))), ItemResult::Rejected { reason, .. } if reason.contains("several warehouses")));
    assert!(matches!(read(&store(json!({"location_id": "IDX"}))), ItemResult::Rejected { .. }));
}

#[test]
fn a_missing_location_closes_the_store_unless_the_listing_has_its_own() {
    let body = reply(json!({"error": "error_auth", "message": "Lack of location_id, please double check."}));
    assert!(matches!(Shopee.outcome(&store(json!({})), &call(Action::Set), &body), Outcome::Closed { .. }));
    let mut own = call(Action::Set);
    own.items[0].extra.insert("location_id".into(), "IDX".into());
    assert!(matches!(Shopee.outcome(&store(json!({})), &own, &body), Outcome::Refused { .. }));
}

#[test]
fn a_temporary_refusal_is_split_until_one_listing_remains() {
    let body = reply(json!({"error": "error_param", "message": "Can not update item with stock less than reserved stock"}));
    assert!(matches!(Shopee.outcome(&store(json!({})), &call(Action::Set), &body), Outcome::Refused { .. }));
    let alone = Call { items: vec![listing("1000", "71", 0)], ..call(Action::Set) };
    assert!(matches!(Shopee.outcome(&store(json!({})), &alone, &body), Outcome::TryAgain { throttled: false, .. }));
}

#[test]
fn replies_that_do_not_say_what_happened_are_unknown() {
    for error in ["error_system_busy", "error_server", "error_inner", "error_network", "error_never_heard_of"] {
        assert!(matches!(outcome_for(error, "Our system is taking some time to respond."), Outcome::Unknown { .. }), "{error}");
    }
    let outcome = |status, body: &str| {
        let reply = Reply { status, headers: vec![], body: body.into() };
        Shopee.outcome(&store(json!({})), &call(Action::Set), &reply)
    };
    assert!(matches!(outcome(502, "<html>"), Outcome::Unknown { .. }));
    assert!(matches!(outcome(200, "rubbish"), Outcome::Unknown { .. }));
    assert!(matches!(outcome(200, r#"{"error":"","response":null}"#), Outcome::Unknown { .. }));
}

#[test]
fn a_wrong_clock_does_not_make_a_push_fail() {
    let outcome = outcome_for("error_param", "Timestamp is expired.");
    assert!(matches!(&outcome, Outcome::TryAgain { reason, .. } if reason.contains("clock")), "{outcome:?}");
}

#[test]
fn variants_are_listed_by_page_then_item_then_model() {
    let store = store(json!({}));
    let page = |cursor: Option<&str>, body: Value| Shopee.variants(&store, cursor, &reply(body)).unwrap();
    let url_of = |cursor: Option<&str>| Shopee.variants_request(&store, cursor, &stamp()).unwrap().url;
    assert!(url_of(None).contains("/get_item_list?") && url_of(None).contains("&offset=0&page_size=40"));
    let first =
        page(None, json!({"error": "", "response": {"item": [{"item_id": 1}, {"item_id": 2}], "has_next_page": true, "next_offset": 40}}));
    assert_eq!(first, VariantPage { variants: vec![], next: Some("items:40:1,2".into()) });
    assert!(url_of(first.next.as_deref()).ends_with("&item_id_list=1,2"));
    let second = page(
        first.next.as_deref(),
        json!({"error": "", "response": {"item_list": [
        {"item_id": 1, "item_name": "Cup", "item_sku": "CUP", "has_model": false}, {"item_id": 2, "item_name": "Shirt", "has_model": true}]}}),
    );
    assert_eq!((second.variants[0].sku.as_deref(), second.variants[0].external_id.as_str()), (Some("CUP"), "1"));
    assert_eq!(second.variants[0].extra["item_id"], "1");
    assert_eq!(second.next.as_deref(), Some("models:40:2"));
    assert!(url_of(second.next.as_deref()).ends_with("&item_id=2"));
    let third = page(
        second.next.as_deref(),
        json!({"error": "", "response": {
        "tier_variation": [{"name": "Colour", "option_list": [{"option": "red"}, {"option": "blue"}]}],
        "model": [{"model_id": 22, "tier_index": [1], "model_sku": "SHIRT-BLUE"}, {"model_id": 21, "tier_index": [0], "model_sku": ""}]}}),
    );
    assert_eq!(
        third.variants[0],
        Variant {
            sku: Some("SHIRT-BLUE".into()),
            external_id: "22".into(),
            extra: [("item_id".into(), "2".into())].into(),
            title: "blue".into()
        }
    );
    assert_eq!(third.variants[1].sku, None);
    assert_eq!(third.next.as_deref(), Some("list:40"));
    let last = page(third.next.as_deref(), json!({"error": "", "response": {"item": [], "has_next_page": false}}));
    assert_eq!(last.next, None);
}

#[test]
fn tokens_are_renewed_before_they_expire_and_stored_as_a_pair() {
    let mut store = store(json!({}));
    assert!(Shopee.renewal_request(&store, &stamp(), false).is_none(), "its expiry is unknown, so it is used until it is refused");
    store.credentials.insert(EXPIRES_AT.into(), "2025-12-01T00:04:00Z".into());
    let request = Shopee.renewal_request(&store, &stamp(), false).unwrap();
    assert_eq!(request.body.as_deref(), Some(r#"{"refresh_token":"r1","partner_id":1000001,"shop_id":220000045}"#));
    let new = reply(json!({"error": "", "message": "", "access_token": "a2", "refresh_token": "r2", "expire_in": 14400}));
    let Renewal::Renewed(credentials) = Shopee.renewal(&store, &new, &stamp()) else { panic!() };
    let secret = |name: &str| credentials[name].expose_secret();
    assert_eq!([secret("access_token"), secret("refresh_token"), secret("partner_key")], ["a2", "r2", KEY]);
    assert_eq!(secret(EXPIRES_AT), "2025-12-01T04:00:00+00:00");
}

#[test]
fn a_code_is_exchanged_for_the_first_tokens_and_discarded() {
    let mut store = store(json!({}));
    store.credentials = [("partner_key".to_owned(), KEY.into()), ("auth_code".to_owned(), "c0de".into())].into();
    assert!(Shopee.check_config(&store).is_ok());
    let request = Shopee.renewal_request(&store, &stamp(), false).unwrap();
    assert!(request.url.contains("/api/v2/auth/token/get?"));
    assert_eq!(request.body.as_deref(), Some(r#"{"code":"c0de","partner_id":1000001,"shop_id":220000045}"#));
    let new = reply(json!({"error": "", "access_token": "a1", "refresh_token": "r1", "expire_in": 14400}));
    let Renewal::Renewed(credentials) = Shopee.renewal(&store, &new, &stamp()) else { panic!() };
    assert!(!credentials.contains_key("auth_code"));
}

#[test]
fn a_refused_renewal_needs_the_seller_but_a_failed_one_is_retried() {
    let renewal = |body: Value| Shopee.renewal(&store(json!({})), &reply(body), &stamp());
    for error in ["error_shop_refresh_token", "refresh_token_expired", "shop_no_linked", "shop_banned"] {
        assert!(matches!(renewal(json!({"error": error, "message": ""})), Renewal::Refused { .. }), "{error}");
    }
    assert!(matches!(renewal(json!({"error": "error_auth", "message": "Invalid refresh_token."})), Renewal::Refused { .. }));
    for error in ["error_server", "error_rate_limit", "error_network"] {
        assert!(matches!(renewal(json!({"error": error, "message": ""})), Renewal::TryAgain { .. }), "{error}");
    }
    assert!(matches!(renewal(json!({"error": ""})), Renewal::TryAgain { .. }));
}

#[test]
fn every_bad_setting_is_named_by_its_pointer() {
    let mut bad = store(json!({"partner_id": "x", "region": "moon", "location_id": 3, "colour": 1}));
    bad.config.remove("shop_id");
    bad.base_url = Some("ftp://x".into());
    bad.credentials = [("token".to_owned(), SecretString::from("t")), (EXPIRES_AT.to_owned(), "soon".into())].into();
    let mut named: Vec<String> = Shopee.check_config(&bad).unwrap_err().into_iter().map(|e| e.pointer).collect();
    named.sort();
    assert_eq!(
        named,
        [
            "/base_url",
            "/colour",
            "/credentials/access_token_expires_at",
            "/credentials/partner_key",
            "/credentials/refresh_token",
            "/credentials/token",
            "/location_id",
            "/partner_id",
            "/region",
            "/shop_id",
        ]
    );
    assert!(Shopee.check_config(&store(json!({"region": "brazil", "rate_limit": {"per_second": 10, "burst": 10}}))).is_ok());
}

#[test]
fn a_check_looks_for_the_stores_location() {
    let store = store(json!({"location_id": "IDZ"}));
    let check = Call { action: Action::Check, items: vec![], idempotency_key: None };
    assert!(Shopee.request(&store, &check, &stamp()).unwrap().url.contains("/api/v2/shop/get_warehouse_detail?"));
    let at = |location: &str| Shopee.outcome(&store, &check, &reply(json!({"error": "", "response": [{"location_id": location}]})));
    assert_eq!(at("IDZ"), Outcome::Answered(vec![]));
    assert!(matches!(at("IDY"), Outcome::Closed { reason, .. } if reason.contains("IDY")));
    let one = reply(
        json!({"error": "warehouse.error_not_in_whitelist", "message": "Your shop is not in multi-warehouse whitelist.", "response": null}),
    );
    assert!(matches!(Shopee.outcome(&store, &check, &one), Outcome::Closed { next_step, .. } if next_step.contains("location_id")));
}
