//! What the simulated platform remembers of the calls it received; tests and the load generator compare it with what
//! the service believes.
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One change applied to one item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// Consecutive number, from 1.
    pub seq: u64,
    /// When it was applied, in microseconds since 1970.
    pub at_us: i64,
    /// The store's name at the platform.
    pub store: String,
    /// The item's name at the platform.
    pub external_id: String,
    /// `adjust` or `set`.
    pub action: String,
    /// New quantity minus old quantity.
    pub change: i64,
    /// The new quantity.
    pub quantity: i64,
}

/// Counters since the start.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// Requests to any face, whatever their outcome.
    pub calls: u64,
    /// Changes applied to items; equals the number of the newest receipt.
    pub items: u64,
    /// Requests that exceeded a store's bucket.
    pub over_limit: u64,
    /// Repeated idempotency keys that were answered from memory.
    pub repeats: u64,
    /// Injected faults by name.
    pub faults: BTreeMap<String, u64>,
}
