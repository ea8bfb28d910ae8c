//! The bounds that several layers share, each with its reason. Bounds of one layer are in that layer's `Settings`.

/// Stores of one seller. Rules, targets and shares are computed over all of them at once.
pub const MAX_STORES: i64 = 1000;
/// Warehouses of one seller. Every target sums over them.
pub const MAX_WAREHOUSES: i64 = 1000;
/// API keys of one seller, revoked ones included: they are listed on one page.
pub const MAX_KEYS: i64 = 100;
/// Rows in one bulk request, so that one request holds the ledger for a bounded time.
pub const MAX_BULK: usize = 10_000;
/// Characters in a name that people give to something.
pub const MAX_NAME_CHARS: usize = 200;
