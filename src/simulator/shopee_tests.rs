//! Tests of the Shopee face, through the whole simulated platform.
use super::exchange::{Decision, Incoming};
use super::platform::Simulator;
use super::shopee::sign;
use super::shops::{NewShop, Tokens};
use serde_json::{Value, json};

const NOW_S: i64 = 1_800_000_000;
const KEY: &str = "key";

fn opened() -> (Simulator, Tokens) {
    let platform = Simulator::new(1);
    let shop = NewShop { partner_id: 1, partner_key: KEY.into(), access_lives_s: 600, refresh_lives_s: 86_400, locations: vec![] };
    let tokens = platform.open_shopee_shop(NOW_S * 1_000_000, 7, shop);
    platform.set_quantity("7", "1000/71", 4);
    (platform, tokens)
}

/// The error in the answer to a call, and the whole answer.
fn ask(platform: &Simulator, at_s: i64, target: String, body: Option<Value>) -> (String, Value) {
    let incoming = Incoming { target, post: body.is_some(), authorization: None, key: None, body: body.unwrap_or_default().to_string() };
    match platform.decide(at_s * 1_000_000, &incoming) {
        Decision::Answer(answer) => (answer.body["error"].as_str().unwrap().to_owned(), answer.body),
        other => panic!("{other:?}"),
    }
}

fn read(platform: &Simulator, at_s: i64, signed_s: i64, key: &str, token: &str) -> String {
    let path = "/api/v2/product/get_model_list";
    let sign = sign(key, &format!("1{path}{signed_s}{token}7"));
    let target = format!("{path}?partner_id=1&timestamp={signed_s}&access_token={token}&shop_id=7&sign={sign}&item_id=1000");
    ask(platform, at_s, target, None).0
}

fn renew(platform: &Simulator, refresh: &str) -> (String, Value) {
    let path = "/api/v2/auth/access_token/get";
    let target = format!("{path}?partner_id=1&timestamp={NOW_S}&sign={}", sign(KEY, &format!("1{path}{NOW_S}")));
    ask(platform, NOW_S, target, Some(json!({"refresh_token": refresh, "partner_id": 1, "shop_id": 7})))
}

#[test]
fn a_call_needs_a_recent_signature_and_a_valid_access_token() {
    let (platform, tokens) = opened();
    let token = tokens.access_token.as_str();
    assert_eq!(read(&platform, NOW_S, NOW_S, KEY, token), "");
    assert_eq!(read(&platform, NOW_S, NOW_S, "other", token), "error_sign");
    assert_eq!(read(&platform, NOW_S, NOW_S - 301, KEY, token), "error_param");
    assert_eq!(read(&platform, NOW_S, NOW_S, KEY, "other"), "invalid_acceess_token");
    assert_eq!(read(&platform, NOW_S + 600, NOW_S + 600, KEY, token), "invalid_acceess_token");
}

#[test]
fn a_refresh_token_works_once_and_invalidates_earlier_tokens() {
    let (platform, first) = opened();
    let (error, answer) = renew(&platform, &first.refresh_token);
    assert_eq!(error, "");
    assert_eq!(renew(&platform, &first.refresh_token).0, "error_shop_refresh_token");
    assert_eq!(read(&platform, NOW_S, NOW_S, KEY, &first.access_token), "invalid_acceess_token");
    assert_eq!(read(&platform, NOW_S, NOW_S, KEY, answer["access_token"].as_str().unwrap()), "");
    platform.close_shopee_shop(7);
    assert_eq!(renew(&platform, answer["refresh_token"].as_str().unwrap()).0, "error_shop_refresh_token");
}
