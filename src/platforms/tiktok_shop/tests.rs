//! TikTok Shop's exact requests, and its replies, at least one for each outcome.
use super::*;
use crate::domain::StoreId;
use crate::platforms::sign::EXPIRES_AT;
use chrono::DateTime;
use std::collections::BTreeMap;

const PRODUCT: &str = "1729592969712207008";
const SKU: &str = "1729592969712207123";
const WAREHOUSE: &str = "7068517275539719942";

fn store(app_key: &str, app_secret: &str) -> StoreConnection {
    let config = json!({"app_key": app_key, "shop_cipher": "ROW_demoCipher01", "warehouse_id": WAREHOUSE});
    let secrets = [("app_secret", app_secret), ("access_token", "t0ken"), ("refresh_token", "r1")];
    StoreConnection {
        store_id: StoreId(uuid::Uuid::nil()),
        platform: "tiktok_shop".into(),
        base_url: None,
        config: config.as_object().unwrap().clone(),
        credentials: secrets.map(|(name, secret)| (name.to_owned(), secret.into())).into(),
    }
}
fn default_store() -> StoreConnection {
    store("68xu9ks5p4i8", "tts_secret_9f8e7d6c5b4a")
}
fn listing(sku: &str) -> CallItem {
    let extra = [("product_id".to_owned(), PRODUCT.to_owned())].into();
    CallItem { external_id: sku.into(), extra, quantity: 7, expected: None }
}
fn call(action: Action) -> Call {
    Call { action, items: vec![listing(SKU), listing("2")], idempotency_key: None }
}
fn stamp(seconds: i64) -> Stamp {
    Stamp { now: DateTime::from_timestamp(seconds, 0).unwrap(), nonce: "0".repeat(32) }
}
const NOW: i64 = 1_764_547_200;
fn reply(body: Value) -> Reply {
    Reply { status: 200, headers: vec![], body: body.to_string() }
}
fn outcome_of(action: Action, body: Value) -> Outcome {
    TikTokShop.outcome(&default_store(), &call(action), &reply(body))
}
fn results_of(outcome: Outcome) -> Vec<ItemResult> {
    match outcome {
        Outcome::Answered(results) => results,
        other => panic!("{other:?}"),
    }
}

#[test]
fn calls_are_signed_the_way_tiktok_requires() {
    let check = Call { action: Action::Check, items: vec![], idempotency_key: None };
    let official = TikTokShop.request(&store("29a39d", "e59af819cc"), &check, &stamp(1_623_812_664)).unwrap();
    assert_eq!(
        official.url,
        "https://open-api.tiktokglobalshop.com/authorization/202309/shops?app_key=29a39d\
         &sign=b596b73e0cc6de07ac26f036364178ab16b0a907af13d43f0a0cd2345f582dc8&timestamp=1623812664"
    );
    let one = Call { items: vec![listing(SKU)], ..call(Action::Set) };
    let set = TikTokShop.request(&default_store(), &one, &stamp(NOW)).unwrap();
    assert_eq!(
        set.body.as_deref(),
        Some(r#"{"skus":[{"id":"1729592969712207123","inventory":[{"warehouse_id":"7068517275539719942","quantity":7}]}]}"#)
    );
    assert!(set.url.contains("/product/202309/products/1729592969712207008/inventory/update?"), "{}", set.url);
    assert!(set.url.contains("sign=2211f0762d4e1c8f80a498ad5b216ad33175149abe379af0f95b8e7fb7fe4595"), "{}", set.url);
    assert!(!format!("{official:?}{set:?}").contains("t0ken"));
}

#[test]
fn skus_of_one_product_are_set_in_one_call_within_bounds() {
    let mut two = call(Action::Set);
    two.items[1].extra.insert("product_id".into(), "3".into());
    assert!(TikTokShop.request(&default_store(), &two, &stamp(NOW)).unwrap_err().contains("one product"));
    let mut too_many = call(Action::Set);
    too_many.items[0].quantity = 100_000;
    assert!(TikTokShop.request(&default_store(), &too_many, &stamp(NOW)).unwrap_err().contains("99999"));
    let read = TikTokShop.request(&default_store(), &call(Action::Read), &stamp(NOW)).unwrap();
    assert_eq!(read.body.as_deref(), Some(r#"{"sku_ids":["1729592969712207123","2"]}"#));
}

#[test]
fn code_0_without_errors_is_a_success_for_all() {
    for data in [json!(null), json!({}), json!({"errors": []})] {
        let results = results_of(outcome_of(Action::Set, json!({"code": 0, "message": "Success", "data": data})));
        assert_eq!(results, [ItemResult::Applied { shown: Some(7) }, ItemResult::Applied { shown: Some(7) }]);
    }
}

#[test]
fn code_0_with_errors_is_a_failure_for_those_skus_only() {
    let errors = json!([{"code": 12_052_557, "message": "sku not found", "detail": {"sku_id": "2"}}]);
    let results = results_of(outcome_of(Action::Set, json!({"code": 0, "data": {"errors": errors}})));
    assert_eq!(results[0], ItemResult::Applied { shown: Some(7) });
    assert!(
        matches!(&results[1], ItemResult::Rejected { reason, next_step } if reason.contains("sku not found") && next_step.contains("pair"))
    );
    let inner = json!([{"code": 1, "message": "failed", "detail": {"sku_id": SKU, "extra_errors":
        [{"warehouse_id": "1", "code": 12_052_097, "message": "warehouse missing"}]}}]);
    let results = results_of(outcome_of(Action::Set, json!({"code": 0, "data": {"errors": inner}})));
    assert!(
        matches!(&results[0], ItemResult::Rejected { reason, next_step } if reason.contains("warehouse missing") && next_step.contains("warehouse_id"))
    );
    let unattributed = json!([{"code": 1, "message": "failed"}]);
    let results = results_of(outcome_of(Action::Set, json!({"code": 0, "data": {"errors": unattributed}})));
    assert!(results.iter().all(|result| matches!(result, ItemResult::Unknown { .. })), "the failure could be that of any SKU");
}

#[test]
fn quantities_are_read_by_warehouse() {
    let body = |inventory: Value| {
        json!({"code": 0, "data": {"inventory": [{"product_id": PRODUCT, "skus": [
        {"id": SKU, "total_available_quantity": 20, "warehouse_inventory": inventory}]}]}})
    };
    let here = json!([{"warehouse_id": "1", "available_quantity": 11}, {"warehouse_id": WAREHOUSE, "available_quantity": 9}]);
    let results = results_of(outcome_of(Action::Read, body(here.clone())));
    assert_eq!(results[0], ItemResult::Applied { shown: Some(9) });
    assert!(matches!(&results[1], ItemResult::Rejected { .. }), "an unknown SKU");
    assert!(matches!(&results_of(outcome_of(Action::Read, body(json!([]))))[0], ItemResult::Rejected { .. }), "not in that warehouse");
    let mut without_warehouse = default_store();
    without_warehouse.config.remove("warehouse_id");
    let several = TikTokShop.outcome(&without_warehouse, &call(Action::Read), &reply(body(here)));
    assert!(matches!(&results_of(several)[0], ItemResult::Rejected { reason, .. } if reason.contains("several warehouses")));
    let read = call(Action::Read);
    let unnamed = |inventory: Value| {
        let reply = reply(body(inventory));
        (results_of(TikTokShop.outcome(&without_warehouse, &read, &reply)), TikTokShop.reserved(&without_warehouse, &read, &reply))
    };
    let (results, to_add) = unnamed(json!([]));
    assert!(matches!(&results[0], ItemResult::Rejected { .. }) && to_add == [None, None], "20 somewhere is no quantity of a warehouse");
    let (results, to_add) = unnamed(json!([{"warehouse_id": "1", "available_quantity": 11}]));
    assert_eq!((&results[0], &to_add[..]), (&ItemResult::Applied { shown: Some(11) }, &[Some(0), None][..]));
    assert!(TikTokShop.facts(&without_warehouse).reads_before_set && !TikTokShop.facts(&default_store()).reads_before_set);
}

#[test]
fn throttling_is_obeyed() {
    let headers = vec![("retry-after".to_owned(), "4".to_owned())];
    for (status, body) in [(429, json!({"code": 36_009_002, "message": "m"})), (200, json!({"code": 12_052_109}))] {
        let reply = Reply { status, headers: headers.clone(), body: body.to_string() };
        let outcome = TikTokShop.outcome(&default_store(), &call(Action::Set), &reply);
        assert!(matches!(outcome, Outcome::TryAgain { throttled: true, after: Some(after), .. } if after.as_secs() == 4), "{outcome:?}");
    }
    // Without a code of TikTok's own, a 503 does not say that nothing was applied.
    let full = Reply { status: 503, headers, body: "full".to_owned() };
    assert!(matches!(TikTokShop.outcome(&default_store(), &call(Action::Set), &full), Outcome::Unknown { .. }));
    assert_eq!((TikTokShop.cost(&call(Action::Set)), TikTokShop.cost(&call(Action::Read))), (3, 1));
}

#[test]
fn expired_tokens_lost_permissions_and_closed_shops_are_distinguished() {
    let code = |code: i64, message: &str| outcome_of(Action::Set, json!({"code": code, "message": message}));
    for expired in [105_001, 105_002, 105_003, 105_004, 101_000] {
        assert!(matches!(code(expired, ""), Outcome::TokenExpired { .. }), "{expired}");
    }
    assert!(matches!(code(36_009_004, "invalid access_token"), Outcome::TokenExpired { .. }));
    let forbidden = Reply { status: 401, ..reply(json!({"code": 105_005, "message": "scope"})) };
    assert!(matches!(TikTokShop.outcome(&default_store(), &call(Action::Set), &forbidden), Outcome::Unauthorized { .. }));
    assert!(matches!(code(106_001, "sign"), Outcome::Unauthorized { reason } if reason.contains("app_secret")));
    for closed in [36_009_043, 36_009_044, 12_052_094, 106_013, 12_000_000] {
        assert!(matches!(code(closed, ""), Outcome::Closed { .. }), "{closed}");
    }
    for warehouse in [12_052_097, 12_052_115, 12_019_022, 12_052_144] {
        assert!(matches!(code(warehouse, ""), Outcome::Closed { next_step, .. } if next_step.contains("warehouse_id")), "{warehouse}");
    }
    for refused in [12_052_557, 12_052_260, 12_052_141, 12_052_055, 12_052_553, 12_052_555, 36_009_004] {
        assert!(matches!(code(refused, ""), Outcome::Refused { .. }), "{refused}");
    }
    for again in [12_001_000, 12_052_881, 33_001_002] {
        assert!(matches!(code(again, ""), Outcome::TryAgain { throttled: false, .. }), "{again}");
    }
}

#[test]
fn replies_that_do_not_say_what_happened_are_unknown() {
    assert!(matches!(outcome_of(Action::Set, json!({"code": 36_009_003, "message": "internal"})), Outcome::Unknown { .. }));
    assert!(matches!(outcome_of(Action::Set, json!({"code": 1_234_567})), Outcome::Unknown { .. }));
    for (status, body) in [(500, "{}"), (502, "<html>"), (200, "rubbish"), (200, "{}")] {
        let reply = Reply { status, headers: vec![], body: body.into() };
        assert!(matches!(TikTokShop.outcome(&default_store(), &call(Action::Set), &reply), Outcome::Unknown { .. }), "{status} {body}");
    }
}

#[test]
fn a_check_looks_for_the_stores_shop() {
    let check = Call { action: Action::Check, items: vec![], idempotency_key: None };
    let shops = |cipher: &str| reply(json!({"code": 0, "data": {"shops": [{"cipher": cipher, "name": "Demo"}]}}));
    assert_eq!(TikTokShop.outcome(&default_store(), &check, &shops("ROW_demoCipher01")), Outcome::Answered(vec![]));
    assert!(
        matches!(TikTokShop.outcome(&default_store(), &check, &shops("other")), Outcome::Closed { reason, .. } if reason.contains("other (Demo)"))
    );
}

#[test]
fn variants_are_listed_page_by_page() {
    let products = json!([{"id": PRODUCT, "title": "Cup", "skus": [{"id": SKU, "seller_sku": "CUP"}, {"id": "2", "seller_sku": ""}]}]);
    let body = json!({"code": 0, "data": {"products": products, "next_page_token": "b+="}});
    let page = TikTokShop.variants(&default_store(), None, &reply(body)).unwrap();
    assert_eq!((page.variants[0].sku.as_deref(), page.variants[0].external_id.as_str()), (Some("CUP"), SKU));
    assert_eq!((page.variants[0].extra["product_id"].as_str(), page.variants[1].sku.as_deref()), (PRODUCT, None));
    let next = TikTokShop.variants_request(&default_store(), page.next.as_deref(), &stamp(NOW)).unwrap();
    assert!(next.url.contains("page_size=50&page_token=b%2B%3D&"), "{}", next.url);
    let last =
        TikTokShop.variants(&default_store(), None, &reply(json!({"code": 0, "data": {"products": [], "next_page_token": ""}}))).unwrap();
    assert_eq!(last.next, None);
}

#[test]
fn tokens_are_renewed_before_they_expire_and_stored_as_a_pair() {
    let mut store = default_store();
    assert!(TikTokShop.renewal_request(&store, &stamp(NOW), false).is_none());
    store.credentials.insert(EXPIRES_AT.into(), "2025-12-01T00:04:00Z".into());
    let request = TikTokShop.renewal_request(&store, &stamp(NOW), false).unwrap();
    assert_eq!(
        request.url,
        "https://auth.tiktok-shops.com/api/v2/token/refresh?app_key=68xu9ks5p4i8&app_secret=tts_secret_9f8e7d6c5b4a\
         &refresh_token=r1&grant_type=refresh_token"
    );
    let data = json!({"access_token": "t2", "access_token_expire_in": NOW + 604_800, "refresh_token": "r2", "refresh_token_expire_in": 1});
    let Renewal::Renewed(credentials) = TikTokShop.renewal(&store, &reply(json!({"code": 0, "data": data})), &stamp(NOW)) else { panic!() };
    assert_eq!(["access_token", "refresh_token"].map(|name| credentials[name].expose_secret()), ["t2", "r2"]);
    assert_eq!(credentials[EXPIRES_AT].expose_secret(), "2025-12-08T00:00:00+00:00");
    let renewal = |body: Value| TikTokShop.renewal(&store, &reply(body), &stamp(NOW));
    assert!(matches!(renewal(json!({"code": 36_004_004, "message": "refresh token expired"})), Renewal::Refused { .. }));
    assert!(matches!(renewal(json!({"code": 36_009_002, "message": "slow"})), Renewal::TryAgain { .. }));
}

#[test]
fn every_bad_setting_is_named_by_its_pointer() {
    let bad = StoreConnection {
        config: json!({"region": "moon", "colour": 1, "warehouse_id": 7}).as_object().unwrap().clone(),
        credentials: BTreeMap::new(),
        ..default_store()
    };
    let mut named: Vec<String> = TikTokShop.check_config(&bad).unwrap_err().into_iter().map(|e| e.pointer).collect();
    named.sort();
    let expected =
        ["/app_key", "/colour", "/credentials/app_secret", "/credentials/refresh_token", "/region", "/shop_cipher", "/warehouse_id"];
    assert_eq!(named, expected);
    assert!(TikTokShop.check_config(&default_store()).is_ok());
}
