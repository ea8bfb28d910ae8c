//! Lazada's error codes and what the seller can do about them.
use crate::platforms::codes::Class::{Listing, Location, SignIn, Store, Throttled, TokenExpired, Uncertain};
use crate::platforms::codes::Row;

pub(super) const PAIR: &str = "Check that the item and its SKU exist in Lazada, pair the listing again, then retry.";
pub(super) const EDIT: &str = "Open the item in Lazada Seller Center, fix what Lazada reports, then retry.";
pub(super) const SELLER: &str = "Fix this in Lazada Seller Center, or ask Lazada for help, then check the store.";
pub(super) const RECONNECT: &str = "Have the seller authorize the app in Lazada again, then enter the new tokens.";
pub(super) const KEYS: &str = "Check the store's app_key and app_secret.";
pub(super) const WAREHOUSE: &str =
    "Set the warehouse_code of the store or listing to one of the seller's warehouses, then check the store.";
pub(super) const BUG: &str = "Lazada found an error in our request. Report this together with Lazada's answer, and retry once it is fixed.";

/// What Lazada's codes mean, both for whole calls and in `detail`.
pub(super) const CODES: &[Row] = &[
    ("ApiCallLimit", "", Throttled),
    ("AppCallLimit", "", Throttled),
    ("AppApiCallLimit", "", Throttled),
    ("SellerCallLimit", "", Throttled),
    ("901", "", Throttled),
    ("4154", "", Throttled),
    ("E1002", "", Throttled),
    ("E901", "", Throttled),
    ("HOT_KEY_BLOCK_EXCEPTION", "", Throttled),
    ("IllegalAccessToken", "", TokenExpired),
    ("InvalidAccessToken", "", TokenExpired),
    ("IllegalRefreshToken", "", SignIn(RECONNECT)),
    ("InvalidCode", "", SignIn(RECONNECT)),
    ("IncompleteSignature", "", SignIn(KEYS)),
    ("UnsupportedHTTPMethod", "", Listing(BUG)),
    ("E006", "", Listing(BUG)),
    ("SellerNotActive", "", Store(SELLER)),
    ("SellerNotVerified", "", Store(SELLER)),
    ("InsufficientPermission", "", Store(SELLER)),
    ("ONLY_CB_SELLER_SUPPORTED", "", Store(SELLER)),
    ("SELLER_NOT_PERMITTED", "", Store(SELLER)),
    ("ITEM_NOT_FOUND", "", Listing(PAIR)),
    ("EDIT_ITEM_NOT_BELONG_SELLER", "", Listing(PAIR)),
    ("", "warehouse", Location(WAREHOUSE)),
    ("E0501", "", Listing(EDIT)),
    ("ServiceTimeout", "", Uncertain),
    ("SYS_ERROR", "", Uncertain),
    ("THIRD_SERVICE_ERROR", "", Uncertain),
    ("6", "", Uncertain),
    ("300", "", Uncertain),
    ("500", "", Uncertain),
    ("501", "", Uncertain),
    ("502", "", Uncertain),
    ("503", "", Uncertain),
    ("506", "", Uncertain),
    ("513", "", Uncertain),
    ("1000", "", Uncertain),
    ("E500", "", Uncertain),
    ("E501", "", Uncertain),
    ("E503", "", Uncertain),
];
