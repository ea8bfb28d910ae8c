//! Tests of what misbehaves at each face, through the whole simulated platform.
use super::exchange::{Answer, Decision, Incoming};
use super::faults::Faults;
use super::misbehavior::Misbehavior;
use super::platform::Simulator;
use serde_json::{Value, json};

fn shop(change: impl FnOnce(&mut Faults)) -> Simulator {
    let simulator = Simulator::new(1);
    let mut faults = Faults::default();
    change(&mut faults);
    simulator.set_faults(faults);
    simulator.set_quantity("acme", "101", 5);
    simulator
}

fn ask(simulator: &Simulator, at_us: i64, target: &str, body: Option<Value>) -> Answer {
    let (post, body) = (body.is_some(), body.unwrap_or_default().to_string());
    match simulator.decide(at_us, &Incoming { target: target.into(), post, authorization: None, key: None, body }) {
        Decision::Answer(answer) => answer,
        other => panic!("{other:?}"),
    }
}

fn read(simulator: &Simulator, at_us: i64) -> Answer {
    ask(simulator, at_us, &format!("/stores/acme/items?fresh={at_us}&external_id=101"), None)
}

fn add(simulator: &Simulator, at_us: i64) -> Answer {
    ask(simulator, at_us, "/stores/acme/adjust", Some(json!({"items": [{"external_id": "101", "delta": 3}]})))
}

#[test]
fn what_misbehaves_on_the_way_applies_nothing_and_what_misbehaves_on_the_way_back_applies_everything() {
    for (kind, shown) in [(Misbehavior::Firewall, 5), (Misbehavior::MaintenanceBefore, 5), (Misbehavior::UnavailableAfter, 8)] {
        let simulator = shop(|faults| faults.misbehave = [(kind, 1.0)].into());
        assert_eq!(add(&simulator, 0).status, if kind == Misbehavior::Firewall { 403 } else { 503 });
        assert_eq!((simulator.quantity("acme", "101"), simulator.stats().faults[kind.name()]), (shown, 1));
    }
    let simulator = shop(|faults| faults.misbehave = [(Misbehavior::UnavailableAfter, 1.0)].into());
    assert_eq!(read(&simulator, 0).status, 200, "a read is not applied");
}

#[test]
fn a_cache_answers_for_a_while_whatever_is_asked_of_it() {
    let simulator = shop(|faults| (faults.cache_s, faults.says_cached) = (60.0, true));
    let shown = |at_s: i64| {
        let answer = read(&simulator, at_s * 1_000_000);
        (answer.body["items"][0]["quantity"].clone(), answer.is_kept, answer.headers)
    };
    assert_eq!(shown(0), (json!(5), false, vec![]));
    add(&simulator, 1);
    assert_eq!(shown(59), (json!(5), true, vec![("age", "59".to_owned())]));
    assert_eq!(shown(60).0, json!(8));
    simulator.sell("acme", "101", 1);
    simulator.forget_cached();
    assert_eq!(shown(61).0, json!(7));
}

#[test]
fn rows_delay_and_lengthen_answers() {
    let simulator = shop(|faults| (faults.row_ms, faults.row_bytes) = (300, 1000));
    let added = add(&simulator, 0);
    assert_eq!((added.after_ms, added.padding), (300, 1000));
    assert_eq!((read(&simulator, 0).after_ms, read(&simulator, 0).padding), (0, 1000));
}

#[test]
fn a_token_that_may_only_read_is_refused_a_change() {
    let simulator = shop(|faults| faults.read_only = true);
    assert_eq!((read(&simulator, 0).status, add(&simulator, 0).status), (200, 403));
    let graphql = |document: &str| {
        let target = "/shopify/acme/admin/api/2026-10/graphql.json";
        ask(&simulator, 0, target, Some(json!({"query": document, "variables": {}}))).body
    };
    assert_eq!(graphql("mutation { inventoryAdjustQuantities(input: $input) }")["errors"][0]["extensions"]["code"], "ACCESS_DENIED");
    assert!(graphql("{ inventoryItems(first: 1) { nodes { id } } }")["errors"].is_null());
    assert_eq!(simulator.quantity("acme", "101"), 5);
}

#[test]
fn stock_that_is_not_tracked_is_refused() {
    let simulator = shop(|faults| faults.untracked_items.push("101".into()));
    let error = json!("its inventory is not tracked");
    assert_eq!((&add(&simulator, 0).body["items"][0]["error"], &read(&simulator, 0).body["items"][0]["error"]), (&error, &error));
}
