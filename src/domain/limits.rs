//! Limits that several layers share, each with its reason. Limits of a single layer are in that layer's `Settings`.

/// Stores per seller. Rules, targets and shares are computed over all of them at once.
pub const MAX_STORES: i64 = 1000;
/// Warehouses per seller. Every target is computed from a sum over them.
pub const MAX_WAREHOUSES: i64 = 1000;
/// API keys per seller, including revoked ones, because they are listed on one page.
pub const MAX_KEYS: i64 = 100;
/// Rows per bulk request, so that one request occupies the ledger for a bounded time.
pub const MAX_BULK: usize = 10_000;
/// Characters in a name, such as that of a seller, a store or a warehouse.
pub const MAX_NAME_CHARS: usize = 200;
