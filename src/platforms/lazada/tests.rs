//! Lazada's requests, compared literally, and a reply for each outcome.
use super::requests::sign;
use super::*;
use crate::domain::StoreId;
use crate::domain::quota::{DailyQuota, Refill};
use crate::platforms::sign::EXPIRES_AT;
use chrono::DateTime;
use serde_json::{Value, json};

fn store(more: Value) -> StoreConnection {
    let mut config = json!({"region": "sg", "app_key": "123456"});
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let token = "50000601c30atpedfgu3LVvik87Ixlsvle3mSoB7701ceb156fPunYZ43GBg";
    let secrets = [("app_secret", "helloworld"), ("access_token", token), ("refresh_token", "r1")];
    StoreConnection {
        store_id: StoreId(uuid::Uuid::nil()),
        platform: "lazada".into(),
        base_url: None,
        config: config.as_object().unwrap().clone(),
        credentials: secrets.map(|(name, secret)| (name.to_owned(), secret.into())).into(),
    }
}
fn listing(sku: &str, seller_sku: Option<&str>) -> CallItem {
    let own = seller_sku.map(|name| ("seller_sku".to_owned(), name.to_owned()));
    let extra = std::iter::once(("item_id".to_owned(), "234234234".to_owned())).chain(own).collect();
    CallItem { external_id: sku.into(), extra, quantity: 7, expected: None }
}
fn call(action: Action) -> Call {
    Call { action, items: vec![listing("234567890", None), listing("234567891", Some("A&B <1>"))], idempotency_key: None }
}
fn stamp() -> Stamp {
    Stamp { now: DateTime::from_timestamp(1_764_547_200, 0).unwrap(), nonce: "0".repeat(32) }
}
fn reply(body: Value) -> Reply {
    Reply { status: 200, headers: vec![], body: body.to_string() }
}
fn outcome_of(action: Action, body: Value) -> Outcome {
    Lazada.outcome(&store(json!({})), &call(action), &reply(body))
}
fn answered(outcome: Outcome) -> Vec<ItemResult> {
    match outcome {
        Outcome::Answered(results) => results,
        other => panic!("{other:?}"),
    }
}
fn query(request: &Request) -> BTreeMap<String, String> {
    reqwest::Url::parse(&request.url).unwrap().query_pairs().into_owned().collect()
}
fn sent(request: &Request) -> String {
    let form = reqwest::Url::parse(&format!("x:?{}", request.body.as_ref().unwrap())).unwrap();
    form.query_pairs().find(|(name, _)| name == "payload").unwrap().1.into_owned()
}

#[test]
fn signatures_match_lazadas_own_example() {
    let pairs =
        [("app_key", "123456"), ("access_token", "test"), ("timestamp", "1517820392000"), ("sign_method", "sha256"), ("order_id", "1234")];
    let official = pairs.map(|(name, value)| (name, value.to_owned())).into();
    assert_eq!(sign(&"helloworld".into(), "/order/get", &official), "4190D32361CFB9581350222F345CB77F3B19F0E31D162316848A2C1FFD5FAB4A");
    let one = Call { items: vec![listing("234567890", None)], ..call(Action::Adjust) };
    let adjust = Lazada.request(&store(json!({})), &one, &stamp()).unwrap();
    assert!(adjust.url.starts_with("https://api.lazada.sg/rest/product/stock/sellable/adjust?"), "{}", adjust.url);
    assert_eq!(query(&adjust)["sign"], "9B0B1533DDBA15B4BA69EDE51B9B9C64AC7495D8C81743D61B817A1FAEAC5689");
    assert_eq!(
        sent(&adjust),
        "<Request><Product><Skus><Sku><ItemId>234234234</ItemId><SkuId>234567890</SkuId><SellableQuantity>7</SellableQuantity></Sku></Skus></Product></Request>"
    );
    assert!(!format!("{adjust:?}").contains("sign"), "no secret is printed");
}

#[test]
fn quantities_are_sent_as_escaped_xml_per_warehouse_if_there_is_one() {
    let set = Lazada.request(&store(json!({"warehouse_code": "a<b"})), &call(Action::Set), &stamp()).unwrap();
    assert!(set.url.contains("/product/stock/sellable/update?"));
    let text = sent(&set);
    assert!(text.contains("<SellerSku>A&amp;B &lt;1&gt;</SellerSku>"), "{text}");
    assert!(text.contains("<WarehouseCode>a&lt;b</WarehouseCode><Quantity>7</Quantity>"), "{text}");
    assert!(!text.contains("SellableQuantity"), "{text}");
    let read = Lazada.request(&store(json!({})), &call(Action::Read), &stamp()).unwrap();
    assert_eq!(query(&read)["item_id"], "234234234");
    let mut two_items = call(Action::Read);
    two_items.items[1].extra.insert("item_id".into(), "5".into());
    assert!(Lazada.request(&store(json!({})), &two_items, &stamp()).unwrap_err().contains("one item"));
    let malformed = Call { items: vec![CallItem { external_id: "1</SkuId>".into(), ..listing("", None) }], ..call(Action::Set) };
    assert!(Lazada.request(&store(json!({})), &malformed, &stamp()).is_err());
}

#[test]
fn code_0_without_details_means_success_for_all() {
    let results = answered(outcome_of(Action::Adjust, json!({"code": "0", "request_id": "1", "data": {}})));
    assert_eq!(results, [ItemResult::Applied { shown: None }, ItemResult::Applied { shown: None }]);
}

#[test]
fn code_0_with_details_means_failure_only_for_those_named() {
    for (code, field) in [("0", "A&B <1>"), ("501", "SkuId:234567891"), ("E501", "234567891")] {
        let body = json!({"code": code, "detail": [{"field": field, "message": "no such item", "code": "ITEM_NOT_FOUND"}]});
        let results = answered(outcome_of(Action::Set, body));
        assert_eq!(results[0], ItemResult::Applied { shown: None }, "{field}");
        assert!(
            matches!(&results[1], ItemResult::Rejected { reason, next_step } if reason.contains("no such item") && next_step.contains("pair"))
        );
    }
    let results =
        answered(outcome_of(Action::Set, json!({"code": "0", "data": {"detail": [{"field": "?", "message": "x", "code": "E0501"}]}})));
    assert!(results.iter().all(|result| matches!(result, ItemResult::Unknown { .. })), "the answer does not say which listing failed");
    let one = Call { items: vec![listing("1", None)], ..call(Action::Set) };
    let body = reply(json!({"code": "0", "detail": [{"field": "?", "message": "locked", "code": "E0501"}]}));
    assert!(
        matches!(answered(Lazada.outcome(&store(json!({})), &one, &body))[0], ItemResult::Rejected { .. }),
        "the only listing must be the failed one"
    );
}

#[test]
fn a_read_reports_the_quantity_in_the_warehouse() {
    let body = json!({"code": "0", "data": {"item_id": 234_234_234, "skus": [
        {"SkuId": 234_567_890, "quantity": 12, "multiWarehouseInventories": [{"warehouseCode": "dropshipping", "sellableQuantity": 9}]}]}});
    let results = answered(outcome_of(Action::Read, body.clone()));
    assert_eq!(results[0], ItemResult::Applied { shown: Some(9) });
    assert!(matches!(&results[1], ItemResult::Rejected { reason, .. } if reason.contains("does not exist")));
    let elsewhere = Lazada.outcome(&store(json!({"warehouse_code": "w2"})), &call(Action::Read), &reply(body));
    assert!(matches!(&answered(elsewhere)[0], ItemResult::Rejected { next_step, .. } if next_step.contains("warehouse_code")));
}

#[test]
fn error_codes_are_classified() {
    let code = |code: &str| outcome_of(Action::Adjust, json!({"type": "ISV", "code": code, "message": "m", "request_id": "1"}));
    for limit in ["ApiCallLimit", "AppCallLimit", "AppApiCallLimit", "SellerCallLimit", "901", "4154", "E1002", "HOT_KEY_BLOCK_EXCEPTION"] {
        assert!(matches!(code(limit), Outcome::TryAgain { throttled: true, .. }), "{limit}");
    }
    for expired in ["IllegalAccessToken", "InvalidAccessToken"] {
        assert!(matches!(code(expired), Outcome::TokenExpired { .. }), "{expired}");
    }
    assert!(matches!(code("IncompleteSignature"), Outcome::Unauthorized { reason } if reason.contains("app_secret")));
    for closed in ["SellerNotActive", "SellerNotVerified", "InsufficientPermission", "ONLY_CB_SELLER_SUPPORTED", "SELLER_NOT_PERMITTED"] {
        assert!(matches!(code(closed), Outcome::Closed { .. }), "{closed}");
    }
    for refused in ["ITEM_NOT_FOUND", "EDIT_ITEM_NOT_BELONG_SELLER", "E0501", "E006", "UnsupportedHTTPMethod"] {
        assert!(matches!(code(refused), Outcome::Refused { .. }), "{refused}");
    }
}

#[test]
fn inconclusive_answers_are_unknown() {
    for code in ["ServiceTimeout", "SYS_ERROR", "THIRD_SERVICE_ERROR", "6", "300", "500", "502", "506", "513", "1000", "Tomorrow"] {
        assert!(matches!(outcome_of(Action::Adjust, json!({"code": code})), Outcome::Unknown { .. }), "{code}");
    }
    for (status, body) in [(502, "<html>"), (200, "rubbish")] {
        let reply = Reply { status, headers: vec![], body: body.into() };
        assert!(matches!(Lazada.outcome(&store(json!({})), &call(Action::Adjust), &reply), Outcome::Unknown { .. }));
    }
}

#[test]
fn all_stores_of_an_app_share_its_daily_limit() {
    let facts = Lazada.facts(&store(json!({"app_calls_per_day": 10_000})));
    let app = facts.per_app.unwrap();
    assert_eq!((app.name.as_str(), app.limit), ("lazada 123456", None));
    assert_eq!(app.per_day, Some(DailyQuota { calls: 10_000, refill: Refill::Unstated }));
    assert!(facts.per_store.per_second + f64::from(facts.per_store.burst) <= 50.0, "a second never exceeds 50 calls");
}

#[test]
fn variants_are_listed_page_by_page() {
    let sku = json!({"SkuId": 5, "SellerSku": "CUP"});
    let products: Vec<Value> = (0..20).map(|n| json!({"item_id": n, "attributes": {"name": "Cup"}, "skus": [sku]})).collect();
    let page = Lazada.variants(&store(json!({})), None, &reply(json!({"code": "0", "data": {"products": products}}))).unwrap();
    let first = &page.variants[0];
    assert_eq!((first.sku.as_deref(), first.external_id.as_str(), first.extra["item_id"].as_str()), (Some("CUP"), "5", "0"));
    assert_eq!((first.title.as_str(), page.next.as_deref()), ("Cup", Some("20")));
    assert_eq!(query(&Lazada.variants_request(&store(json!({})), Some("20"), &stamp()).unwrap())["offset"], "20");
    let last = Lazada.variants(&store(json!({})), Some("20"), &reply(json!({"code": "0", "data": {"total_products": 20}}))).unwrap();
    assert_eq!(last, VariantPage::default());
}

#[test]
fn tokens_are_renewed_before_they_expire_and_stored_as_a_pair() {
    let mut store = store(json!({}));
    assert!(Lazada.renewal_request(&store, &stamp(), false).is_none());
    store.credentials.insert(EXPIRES_AT.into(), "2025-12-01T00:04:00Z".into());
    let request = Lazada.renewal_request(&store, &stamp(), false).unwrap();
    assert!(request.url.starts_with("https://auth.lazada.com/rest/auth/token/refresh?app_key=123456&sign="), "{}", request.url);
    assert_eq!(request.body.as_deref(), Some("refresh_token=r1"));
    let body = json!({"code": "0", "access_token": "t2", "refresh_token": "r2", "expires_in": 604_800, "refresh_expires_in": 1});
    let Renewal::Renewed(credentials) = Lazada.renewal(&store, &reply(body), &stamp()) else { panic!() };
    assert_eq!(["access_token", "refresh_token"].map(|name| credentials[name].expose_secret()), ["t2", "r2"]);
    let refused = |code: &str| Lazada.renewal(&store, &reply(json!({"code": code, "message": "m"})), &stamp());
    assert!(matches!(refused("IllegalRefreshToken"), Renewal::Refused { .. }));
    assert!(matches!(refused("InvalidCode"), Renewal::Refused { .. }));
    assert!(matches!(refused("ServiceTimeout"), Renewal::TryAgain { .. }));
}

#[test]
fn bad_settings_are_named_by_their_pointers() {
    let bad =
        StoreConnection { credentials: BTreeMap::new(), ..store(json!({"region": "moon", "colour": 1, "app_calls_per_day": "many"})) };
    let mut named: Vec<String> = Lazada.check_config(&bad).unwrap_err().into_iter().map(|e| e.pointer).collect();
    named.sort();
    assert_eq!(named, ["/app_calls_per_day", "/colour", "/credentials/app_secret", "/credentials/refresh_token", "/region"]);
    assert!(Lazada.check_config(&store(json!({}))).is_ok());
}
