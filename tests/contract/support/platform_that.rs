//! Abilities of platforms, as settings of a simulated store.
use serde_json::{Value, json};

pub fn knows_keys() -> Value {
    json!({})
}
pub fn compares_and_sets() -> Value {
    json!({"abilities": {"adjust": false, "idempotency": false, "compare_and_set": true}})
}
pub fn only_adds() -> Value {
    json!({"abilities": {"idempotency": false}})
}
pub fn only_sets() -> Value {
    json!({"abilities": {"adjust": false, "idempotency": false}})
}
pub fn only_sets_but_knows_keys() -> Value {
    json!({"abilities": {"adjust": false}})
}
pub fn adds_but_cannot_be_read() -> Value {
    json!({"abilities": {"idempotency": false, "read": false}})
}
pub fn takes(max_items: usize) -> Value {
    json!({"abilities": {"max_items": max_items}})
}
pub fn allows(per_second: f64, burst: u32) -> Value {
    json!({"rate_limit": {"per_second": per_second, "burst": burst}})
}
