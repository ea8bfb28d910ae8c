//! Tests of the Shopify face, through the whole simulated platform.
use super::exchange::{Decision, Incoming};
use super::faults::{Faults, Rate};
use super::platform::Simulator;
use super::shopify::{KEY_LIFE_US, LOCATION};
use serde_json::{Value, json};

const ADJUST: &str = "mutation A($input: InventoryAdjustQuantitiesInput!, $key: String!) { \
    inventoryAdjustQuantities(input: $input) @idempotent(key: $key) { userErrors { code } } }";

fn shop() -> Simulator {
    let simulator = Simulator::new(1);
    simulator.set_quantity("acme", "101", 5);
    simulator
}

fn ask(simulator: &Simulator, at_us: i64, query: &str, variables: &Value) -> Value {
    let incoming = Incoming {
        target: "/shopify/acme/admin/api/2026-10/graphql.json".into(),
        post: true,
        authorization: None,
        key: None,
        body: json!({"query": query, "variables": variables}).to_string(),
    };
    match simulator.decide(at_us, &incoming) {
        Decision::Answer(answer) => answer.body,
        other => panic!("{other:?}"),
    }
}

fn plus(delta: i64, key: &str) -> Value {
    let row =
        json!({"inventoryItemId": "gid://shopify/InventoryItem/101", "locationId": LOCATION, "delta": delta, "changeFromQuantity": null});
    json!({"key": key, "input": {"name": "available", "reason": "correction", "changes": [row]}})
}

fn codes(answer: &Value) -> Vec<&str> {
    let payload = answer.pointer("/data/inventoryAdjustQuantities/userErrors");
    let all = payload.or_else(|| answer.get("errors")).and_then(Value::as_array).into_iter().flatten();
    all.filter_map(|error| error.get("code").or_else(|| error.pointer("/extensions/code"))?.as_str()).collect()
}

#[test]
fn a_key_applies_once_in_24_hours_and_only_with_the_same_variables() {
    let simulator = shop();
    ask(&simulator, 0, ADJUST, &plus(3, "k"));
    ask(&simulator, 1, ADJUST, &plus(3, "k"));
    assert_eq!((simulator.quantity("acme", "101"), simulator.stats().repeats), (8, 1));
    assert_eq!(codes(&ask(&simulator, 2, ADJUST, &plus(4, "k"))), ["IDEMPOTENCY_KEY_PARAMETER_MISMATCH"]);
    ask(&simulator, KEY_LIFE_US + 10, ADJUST, &plus(3, "k"));
    assert_eq!(simulator.quantity("acme", "101"), 11, "after that, the key counts as new");
}

#[test]
fn the_key_and_the_expected_quantity_are_mandatory() {
    let simulator = shop();
    let without = ADJUST.replace("@idempotent(key: $key)", "");
    assert_eq!(codes(&ask(&simulator, 0, &without, &plus(3, "k"))), ["BAD_REQUEST"]);
    let mut bare = plus(3, "k");
    bare["input"]["changes"][0].as_object_mut().unwrap().remove("changeFromQuantity");
    assert_eq!(codes(&ask(&simulator, 0, ADJUST, &bare)), ["INVALID_FIELD_ARGUMENTS"]);
    let mut stale = plus(3, "k");
    stale["input"]["changes"][0]["changeFromQuantity"] = json!(4);
    assert_eq!(codes(&ask(&simulator, 0, ADJUST, &stale)), ["CHANGE_FROM_QUANTITY_STALE"]);
    assert_eq!(simulator.quantity("acme", "101"), 5);
}

#[test]
fn one_bad_row_stops_the_whole_call() {
    let simulator = shop();
    let mut two = plus(3, "k");
    let unknown =
        json!({"inventoryItemId": "gid://shopify/InventoryItem/9", "locationId": LOCATION, "delta": 1, "changeFromQuantity": null});
    two["input"]["changes"].as_array_mut().unwrap().push(unknown);
    assert_eq!(codes(&ask(&simulator, 0, ADJUST, &two)), ["INVALID_INVENTORY_ITEM"]);
    assert_eq!(simulator.quantity("acme", "101"), 5);
}

#[test]
fn points_are_counted_and_calls_beyond_them_are_throttled() {
    let simulator = shop();
    simulator.set_faults(Faults { shopify_points: Rate { per_second: 50.0, burst: 20.0 }, ..Faults::default() });
    let left = ask(&simulator, 0, ADJUST, &plus(1, "a"));
    assert_eq!(left.pointer("/extensions/cost/throttleStatus/currentlyAvailable"), Some(&json!(7.0)));
    assert_eq!(codes(&ask(&simulator, 0, ADJUST, &plus(1, "b"))), ["THROTTLED"]);
    assert_eq!((simulator.stats().over_limit, simulator.quantity("acme", "101")), (1, 6));
    assert!(codes(&ask(&simulator, 120_000, ADJUST, &plus(1, "b"))).is_empty(), "six points were refilled");
}
