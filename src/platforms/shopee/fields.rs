//! The facts and field names that Shopee's connector shares among its files.
use super::super::connector::RateLimit;

/// What could not be confirmed in any accessible source.
pub(super) struct Unconfirmed {
    /// Calls to one shop.
    pub(super) rate: RateLimit,
    /// The host for apps registered in mainland China.
    pub(super) china: &'static str,
}
pub(super) const UNCONFIRMED: Unconfirmed =
    Unconfirmed { rate: RateLimit { per_second: 3.0, burst: 3 }, china: "https://openplatform.shopee.cn" };

/// Hosts by the setting `region`; the first is the default. Those of the sandbox are the ones that public clients of 2026
/// call; the former `partner.test-stable.shopeemobile.com` is found only in older ones. No readable page of Shopee's says it.
pub(super) const HOSTS: [(&str, &str); 5] = [
    ("global", "https://partner.shopeemobile.com"),
    ("brazil", "https://openplatform.shopee.com.br"),
    ("sandbox", "https://openplatform.sandbox.test-stable.shopee.sg"),
    ("sandbox_china", "https://openplatform.sandbox.test-stable.shopee.cn"),
    ("china", UNCONFIRMED.china),
];

pub(super) const ITEM_ID: &str = "item_id";
pub(super) const LOCATION_ID: &str = "location_id";
