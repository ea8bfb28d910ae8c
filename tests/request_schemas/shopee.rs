//! The Shopee connector against Shopee's own API descriptors: everything it sends is described there, and it classifies
//! every error described there. The descriptors are not part of this repository; if they are missing the tests report
//! that and pass. They are looked for in the folder named by `STOCKTIDE_TEST_SPECS`, by default `../shared/specs` beside
//! the package.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test that cannot go on should say so at once")]

use chrono::DateTime;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;
use stocktide::domain::StoreId;
use stocktide::domain::delivery::{ItemResult, Outcome};
use stocktide::platforms::call::{Action, Call, CallItem, Method, Reply, Request, StoreConnection};
use stocktide::platforms::codes::UNKNOWN_CODE;
use stocktide::platforms::shopee::Shopee;
use stocktide::platforms::{Platform, Renewal, Stamp};

/// The descriptors by the path of their call; `None`, with a note, if they are missing.
fn descriptors() -> Option<BTreeMap<String, Value>> {
    let named = std::env::var_os("STOCKTIDE_TEST_SPECS").map(PathBuf::from);
    let folder = named.unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/specs")).join("shopee");
    let Ok(files) = std::fs::read_dir(&folder) else {
        crate::report_skipped(&format!("Shopee's descriptors are not in {}", folder.display()));
        return None;
    };
    let read = |path: PathBuf| serde_json::from_str::<Value>(&std::fs::read_to_string(path).unwrap()).unwrap();
    let all = files.map(|file| read(file.unwrap().path())).map(|it| (it["path"].as_str().unwrap().to_owned(), it));
    Some(all.collect())
}

fn store(more: Value) -> StoreConnection {
    let mut config = json!({"partner_id": 1_000_001, "shop_id": 220_000_045});
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let credentials = [("partner_key", "key"), ("access_token", "token"), ("refresh_token", "refresh")];
    StoreConnection {
        store_id: StoreId(uuid::Uuid::nil()),
        platform: "shopee".into(),
        base_url: None,
        config: config.as_object().unwrap().clone(),
        credentials: credentials.map(|(name, secret)| (name.to_owned(), secret.into())).into(),
    }
}

fn stamp() -> Stamp {
    Stamp { now: DateTime::from_timestamp(1_764_547_200, 0).unwrap(), nonce: "0".repeat(32) }
}

fn call(action: Action, models: &[&str]) -> Call {
    let item = |model: &&str| CallItem {
        external_id: (*model).to_owned(),
        extra: [("item_id".to_owned(), "1000".to_owned())].into(),
        quantity: 3,
        expected: None,
    };
    Call { action, items: models.iter().map(item).collect(), idempotency_key: None }
}

/// Every request that the connector makes.
fn requests() -> Vec<Request> {
    let (plain, located) = (store(json!({})), store(json!({"location_id": "IDZ"})));
    let mut by_code = store(json!({}));
    by_code.credentials.insert("auth_code".into(), "code".into());
    let of = |store: &StoreConnection, call: Call| Shopee.request(store, &call, &stamp()).unwrap();
    let page = |cursor| Shopee.variants_request(&plain, cursor, &stamp()).unwrap();
    vec![
        of(&plain, call(Action::Set, &["71", "72"])),
        of(&plain, call(Action::Set, &["1000"])),
        of(&located, call(Action::Set, &["71"])),
        of(&plain, call(Action::Read, &["71", "72"])),
        of(&plain, call(Action::Read, &["1000"])),
        of(&plain, call(Action::Check, &[])),
        of(&located, call(Action::Check, &[])),
        page(None),
        page(Some("items:end:1,2,3")),
        page(Some("models:40:1,2")),
        Shopee.renewal_request(&plain, &stamp(), true).unwrap(),
        Shopee.renewal_request(&by_code, &stamp(), false).unwrap(),
    ]
}

/// How `value`, which is a string if it comes from a query, differs from the described type.
fn mismatch(described: &Value, value: &Value) -> Option<String> {
    let kind = described["type"].as_str().unwrap();
    let name = described["name"].as_str().unwrap();
    let complain = || Some(format!("{name} is not of type {kind}: {value}"));
    if let Some(one) = kind.strip_suffix("[]") {
        let mut of_one = described.clone();
        of_one["type"] = json!(one);
        let many = match value {
            Value::Array(many) => many.clone(),
            Value::String(text) => text.split(',').map(|part| json!(part)).collect(),
            _ => return complain(),
        };
        return many.iter().find_map(|one| mismatch(&of_one, one));
    }
    let text = value.as_str();
    let fits = match kind {
        "int" | "int32" | "int64" | "timestamp" => value.is_i64() || value.is_u64() || text.is_some_and(|text| text.parse::<i64>().is_ok()),
        "string" => value.is_string(),
        "boolean" => value.is_boolean() || matches!(text, Some("true" | "false")),
        "object" => return mismatches(&described["children"], value.as_object().unwrap()).into_iter().next(),
        _ => panic!("a type that this test does not know: {kind}"),
    };
    if fits { None } else { complain() }
}

/// Fields that are sent but not described, sent with another type than described, or required but not sent.
fn mismatches(described: &Value, sent: &serde_json::Map<String, Value>) -> Vec<String> {
    let described = described.as_array().cloned().unwrap_or_default();
    let known = |name: &str| described.iter().find(|it| it["name"] == name);
    let of_sent = sent.iter().filter_map(|(name, value)| match known(name) {
        None => Some(format!("{name} is not described")),
        Some(described) => mismatch(described, value),
    });
    let needed = described.iter().filter(|it| it["required"].as_str().is_some_and(|word| word.eq_ignore_ascii_case("true")));
    let missing = needed.map(|it| it["name"].as_str().unwrap()).filter(|name| !sent.contains_key(*name));
    of_sent.chain(missing.map(|name| format!("{name} is missing"))).collect()
}

#[test]
fn every_request_is_as_shopee_describes_it() {
    let Some(descriptors) = descriptors() else { return };
    for request in requests() {
        let url = reqwest::Url::parse(&request.url).unwrap();
        let described = descriptors.get(url.path()).unwrap_or_else(|| panic!("{} is not described", url.path()));
        assert!(described["url"].as_str().unwrap().starts_with(&format!("https://{}/", url.host_str().unwrap())));
        let is_post = described["method"] == 1;
        assert_eq!(request.method == Method::Post, is_post, "{}", url.path());
        let mut query: serde_json::Map<String, Value> = url.query_pairs().map(|(name, value)| (name.into(), json!(value))).collect();
        for common in described["common_params"].as_array().unwrap() {
            let name = common["name"].as_str().unwrap();
            let value = query.remove(name).unwrap_or_else(|| panic!("{} lacks {name}", url.path()));
            assert_eq!(mismatch(common, &value), None, "{}", url.path());
        }
        let sent = match &request.body {
            Some(body) => {
                assert!(query.is_empty(), "{}: {query:?}", url.path());
                serde_json::from_str::<Value>(body).unwrap().as_object().unwrap().clone()
            }
            None => query,
        };
        let wrong = mismatches(&described["params"]["request_params"], &sent);
        assert!(wrong.is_empty(), "{}: {wrong:?}", url.path());
    }
}

#[test]
fn a_request_that_differs_from_the_description_is_detected() {
    let Some(descriptors) = descriptors() else { return };
    let described = &descriptors["/api/v2/product/update_stock"]["params"]["request_params"];
    let wrong = |body: Value| mismatches(described, body.as_object().unwrap());
    assert_eq!(wrong(json!({"item_id": 1, "stock_list": [{"model_id": 1, "seller_stock": [{"stock": 1}]}]})), Vec::<String>::new());
    assert_eq!(wrong(json!({"item_id": 1})), ["stock_list is missing"]);
    assert_eq!(wrong(json!({"item_id": 1, "stock_list": [{"seller_stock": [{"stock": 1.5}]}]})), ["stock is not of type int64: 1.5"]);
    assert_eq!(
        wrong(json!({"item_id": 1, "stock_list": [{"seller_stock": [{"stock": 1, "normal_stock": 1}]}]})),
        ["normal_stock is not described"]
    );
}

/// The reasons that the connector gives for an error: of a renewal, or else of a write and of a read.
fn reasons(error: &str, message: &str, about_tokens: bool) -> Vec<String> {
    let reply = Reply { status: 200, headers: vec![], body: json!({"error": error, "message": message, "request_id": "1"}).to_string() };
    if about_tokens {
        return match Shopee.renewal(&store(json!({})), &reply, &stamp()) {
            Renewal::Refused { reason } | Renewal::TryAgain { reason } => vec![reason],
            Renewal::Renewed(_) => panic!("{error} is not a success"),
        };
    }
    let said = |call: Call| match Shopee.outcome(&store(json!({})), &call, &reply) {
        Outcome::Answered(results) => {
            panic!("{error} is not an answer: {:?}", results.first().map(|it| matches!(it, ItemResult::Applied { .. })))
        }
        Outcome::Refused { reason, next_step } | Outcome::Closed { reason, next_step } | Outcome::Obscured { reason, next_step } => {
            assert!(!next_step.is_empty(), "{error} leaves the seller without a next step");
            reason
        }
        Outcome::TryAgain { reason, .. } | Outcome::Unknown { reason } => reason,
        Outcome::Unauthorized { reason } | Outcome::TokenExpired { reason } => reason,
    };
    vec![said(call(Action::Set, &["71", "72"])), said(call(Action::Read, &["1000"]))]
}

#[test]
fn every_described_error_is_classified() {
    let Some(descriptors) = descriptors() else { return };
    let mut seen = 0;
    let paths: Vec<String> = requests().iter().map(|request| reqwest::Url::parse(&request.url).unwrap().path().to_owned()).collect();
    for (path, described) in descriptors.iter().filter(|(path, _)| paths.contains(path)) {
        for list in ["error_list", "common_error_list"] {
            for error in described[list].as_array().unwrap() {
                let (name, message) = (error["name"].as_str().unwrap(), error["description"].as_str().unwrap());
                for reason in reasons(name, message, path.contains("/auth/")) {
                    assert!(!reason.contains(UNKNOWN_CODE), "{path}: {name} ({message}) is not classified");
                }
                seen += 1;
            }
        }
    }
    assert!(seen > 300, "only {seen} errors were found");
    for about_tokens in [false, true] {
        assert!(reasons("error_of_tomorrow", "", about_tokens).iter().all(|reason| reason.contains(UNKNOWN_CODE)));
    }
}

#[test]
fn shopees_own_samples_are_read() {
    let Some(descriptors) = descriptors() else { return };
    let sample = |path: &str| {
        let body = descriptors[path]["response_sample"][0]["value"].to_string();
        Reply { status: 200, headers: vec![], body }
    };
    let renewed = Shopee.renewal(&store(json!({})), &sample("/api/v2/auth/access_token/get"), &stamp());
    assert!(matches!(renewed, Renewal::Renewed(_)), "{renewed:?}");
    let page = Shopee.variants(&store(json!({})), None, &sample("/api/v2/product/get_item_list")).unwrap();
    assert_eq!(page.next.as_deref(), Some("items:10:2500139861"));
}
