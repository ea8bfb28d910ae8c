//! What Shopee's error codes mean: every code in the descriptors of the calls made here, as of August 2026.
//!
//! Codes arrive with or without a module before the last dot. `error_auth`, `error_param`, `error_server` and
//! `error_inner` have many meanings, so their messages are examined first.
use super::super::codes::Class::{Listing, ListingLater, Location, SignIn, Soon, Store, Throttled, TokenExpired, Uncertain};
use super::super::codes::Row;

const RECONNECT: &str = "Authorize the app in Shopee again, then enter the new tokens.";
const IDS: &str = "Check the store's partner_id, shop_id and partner_key.";
const APP: &str = "The app's owner must fix this in the Shopee Open Platform Console. Then check the store.";
const SELLER: &str = "Fix this in Shopee Seller Centre, then check the store.";
pub const PAIR_AGAIN: &str = "Check that the item and its variation exist in Shopee, pair the listing again, then retry.";
const LOCATION: &str = "Set location_id, in the store or in the listing, to one of the shop's locations (omit it for a shop with one warehouse), then check the store.";
const FBS: &str = "Shopee keeps this item's stock in its own warehouse. Unpair the listing, or move the item to seller stock.";
const EDIT: &str = "Fix the item in Shopee Seller Centre as Shopee says, then retry.";
const CLOCK: &str = "If this persists, the clock of this service is wrong and its operator must correct it.";
const BUG: &str = "Shopee rejected the request as invalid. Report this with Shopee's response, and retry once it is fixed.";

/// Matches any code, and also reasons without a code.
const ANY: &str = "";

/// The rows in order of precedence. [`ANY`] rows also match the free-text reasons in `failure_list`.
pub const CODES: &[Row] = &[
    // Retried later.
    ("error_rate_limit", "", Throttled),
    ("error_limit", "", Throttled),
    ("error_cannt_edit_stock_in_promotion", "", ListingLater),
    ("error_promotion_cantnot_update_stock", "", ListingLater),
    ("error_model_update_stock_model_in_promotion", "", ListingLater),
    ("error_holiday_mode_change_stock", "", ListingLater),
    // The listing needs action.
    ("error_item_not_found", "", Listing(PAIR_AGAIN)),
    ("error_item_not_belong_shop", "", Listing(PAIR_AGAIN)),
    ("error_nil_shopid_or_itemid", "", Listing(PAIR_AGAIN)),
    ("error_item_uneditable", "", Listing(EDIT)),
    ("error_desc_image_no_pass", "", Listing(EDIT)),
    ("error_busi_cannot_edit_vsku", "", Listing("This is a virtual SKU, which only Shopee's own tools can edit. Unpair the listing.")),
    ("error_in_item_promotion_nomodel_to_models", "", Listing(PAIR_AGAIN)),
    ("error_edit_item_stock_for_item_has_model", "", Listing("The item now has variations. Pair those instead, then retry.")),
    ("error_invalid_language", "", Listing(BUG)),
    ("error_update_time_range", "", Listing(BUG)),
    ("error_param_item_status", "", Listing(BUG)),
    ("error_query_over_itemid_size", "", Listing(BUG)),
    ("error_query_condition_list_limit", "", Listing(BUG)),
    ("error_query_query_limit_too_large", "", Listing(BUG)),
    ("error_busi_update_stock_failed", "", Listing(EDIT)),
    // The seller must sign in again.
    ("invalid_acceess_token", "", TokenExpired),
    ("shop_no_linked", "", SignIn(RECONNECT)),
    ("partner_shop_no_link", "", SignIn(RECONNECT)),
    ("shop_access_expired", "", SignIn(RECONNECT)),
    ("refresh_token_expired", "", SignIn(RECONNECT)),
    ("error_shop_refresh_token", "", SignIn(RECONNECT)),
    ("merchant_access_expired", "", SignIn(RECONNECT)),
    ("merchant_no_linked", "", SignIn(RECONNECT)),
    ("error_merchant_refresh_token", "", SignIn(RECONNECT)),
    ("supplier_access_expired", "", SignIn(RECONNECT)),
    ("supplier_no_linked", "", SignIn(RECONNECT)),
    ("invalid_code", "", SignIn(RECONNECT)),
    ("invalid_main_acount_id", "", SignIn(IDS)),
    ("invalid_shop_id", "", SignIn(IDS)),
    ("error_shop", "", SignIn(IDS)),
    ("error_shop_not_found", "", SignIn(IDS)),
    ("error_param_shop_id_not_found", "", SignIn(IDS)),
    ("error_sign", "", SignIn(IDS)),
    // The store, or the whole app, needs action.
    ("shop_banned", "", Store(SELLER)),
    ("error_kyc_auth", "", Store(SELLER)),
    ("error_seller_under_penalty", "", Store(SELLER)),
    ("error_ashop_api_permission", "", Store("This is an affiliate shop, which Shopee manages. Remove the store.")),
    ("error_wms_shop_block_upate_stock", "", Store("Shopee's warehouse keeps this shop's stock. Remove the store.")),
    (
        "error_perm_non_admin",
        "",
        Store("The account that authorized the app is not the shop's administrator. Sign in as the administrator."),
    ),
    ("invalid_partner_id", "", Store(APP)),
    ("error_partner_key_expired", "", Store(APP)),
    ("error_api_permission", "", Store(APP)),
    ("error_api_call_restricted", "", Store(APP)),
    ("source_ip_undeclared", "", Store(APP)),
    ("api_suspended", "", Store(APP)),
    ("error_can_not_find_warehouse", "", Location(LOCATION)),
    ("error_not_in_whitelist", "", Location(LOCATION)),
    ("error_region_can_not_blank", "", Location(LOCATION)),
    ("error_region_not_valid", "", Location(LOCATION)),
    ("error_shop_id_can_not_blank", "", SignIn(IDS)),
    // Possibly applied.
    ("error_system_busy", "", Uncertain),
    ("error_network", "", Uncertain),
    ("error_get_shop_fail", "", Uncertain),
    ("error_slash_price_load", "", Uncertain),
    // Codes with many meanings, by their messages.
    (ANY, "access_token", TokenExpired),
    (ANY, "refresh_token", SignIn(RECONNECT)),
    (ANY, "refresh token", SignIn(RECONNECT)),
    (ANY, "timestamp", Soon(CLOCK)),
    (ANY, "reserved stock", ListingLater),
    (ANY, "reserve stock", ListingLater),
    (ANY, "promotion", ListingLater),
    (ANY, "holiday", ListingLater),
    (ANY, "wrong model_id", Listing(PAIR_AGAIN)),
    (ANY, "repeat model_id", Listing(BUG)),
    (
        ANY,
        "stock structure",
        Listing("Set the listing's location_id if Shopee keeps the item's stock by location; otherwise remove it. Then retry."),
    ),
    (ANY, "location_id", Location(LOCATION)),
    (ANY, "location id", Location(LOCATION)),
    (ANY, "fbs", Listing(FBS)),
    (ANY, "cnsc shop", Store("Upgrade the shop in the China Seller Centre, then check the store.")),
    (ANY, "model level dts", Listing(EDIT)),
    (ANY, "partner_id", SignIn(IDS)),
    (ANY, "shop_id", SignIn(IDS)),
    (ANY, "shopid", SignIn(IDS)),
    (ANY, "sign in query", SignIn(IDS)),
    (ANY, "app is deleted", Store(APP)),
    (ANY, "have been restricted", Store(APP)),
    (ANY, "permission", Store(APP)),
    (ANY, "not found", Listing(PAIR_AGAIN)),
    (ANY, "not exist", Listing(PAIR_AGAIN)),
    ("error_auth", "system error", Uncertain),
    ("error_param", "not from gateway", Uncertain),
    // The same codes with any other message.
    ("error_auth", "", SignIn(RECONNECT)),
    ("error_param", "", Listing(BUG)),
    ("param", "", Listing(BUG)),
    ("error_busi", "", Listing(EDIT)),
    ("error_data", "", Uncertain),
    ("error_server", "", Uncertain),
    ("error_inner", "", Uncertain),
];
