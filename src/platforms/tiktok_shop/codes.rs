//! TikTok's error codes and what the seller can do about them.
use crate::platforms::codes::Class::{Again, Listing, Location, SignIn, Store, Throttled, TokenExpired, Uncertain};
use crate::platforms::codes::Row;

pub(super) const PAIR_AGAIN: &str = "Check that the product is live and the SKU exists in TikTok Shop, pair the listing again, then retry.";
pub(super) const GLOBAL: &str = "This product is edited through its global product. Unlink it in TikTok Shop, or unpair the listing.";
pub(super) const SELLER: &str = "Fix this in TikTok Shop Seller Center or ask TikTok, then check the store.";
pub(super) const RECONNECT: &str = "Authorize the app in TikTok Shop again with all its permissions, then enter the new tokens.";
pub(super) const KEYS: &str = "Check the store's app_key and app_secret.";
pub(super) const CIPHER: &str = "Compare the store's shop_cipher with the authorized shops, then check the store.";
pub(super) const WAREHOUSE: &str = "Set the store's warehouse_id to the warehouse that this store sells from, then check the store.";
pub(super) const VALUE: &str = "TikTok Shop accepts 0 to 99,999 units. Set a maximum for this listing in its rules, then retry.";
pub(super) const BUG: &str = "TikTok Shop rejected the request as invalid. Report this with TikTok's response, and retry once it is fixed.";

/// What TikTok's codes mean, both for calls and in `data.errors`.
pub(super) const CODES: &[Row] = &[
    ("36009002", "", Throttled),
    ("12052109", "", Throttled),
    ("429", "", Throttled),
    ("12001000", "", Again),
    ("12052881", "", Again),
    ("33001002", "", Again),
    ("36009003", "", Uncertain),
    ("105001", "", TokenExpired),
    ("105002", "", TokenExpired),
    ("105003", "", TokenExpired),
    ("105004", "", TokenExpired),
    ("101000", "", TokenExpired),
    ("36009004", "access_token", TokenExpired),
    ("36009004", "access token", TokenExpired),
    ("105005", "", SignIn(RECONNECT)),
    ("106001", "", SignIn(KEYS)),
    ("106013", "", Store(CIPHER)),
    ("12000000", "", Store(CIPHER)),
    ("36009004", "cipher", Store(CIPHER)),
    ("36009004", "", Listing(BUG)),
    ("36009043", "", Store(SELLER)),
    ("36009044", "", Store(SELLER)),
    ("12052094", "", Store("The seller may not use several warehouses. Remove warehouse_id, then check the store.")),
    ("12052097", "", Location(WAREHOUSE)),
    ("12052115", "", Location(WAREHOUSE)),
    ("12019022", "", Location(WAREHOUSE)),
    ("12052144", "", Location(WAREHOUSE)),
    ("12052557", "", Listing(PAIR_AGAIN)),
    ("12052260", "", Listing(PAIR_AGAIN)),
    ("12052141", "", Listing(GLOBAL)),
    ("12052055", "", Listing(VALUE)),
    ("12052553", "", Listing(BUG)),
    ("12052555", "", Listing(BUG)),
];
