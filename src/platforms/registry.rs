//! The list of connectors: the only file besides their own tests that names them all.
use super::connector::Platform;
use super::{amazon, ebay, lazada, medusa, shopee, shopify, shopline, shopline_open, simulated, tiktok_shop, vendure, woocommerce};

/// Every connector. New ones go at the end: the fuzzer addresses connectors by position.
pub fn registry() -> &'static [&'static dyn Platform] {
    &[
        &simulated::Simulated,
        &shopify::Shopify,
        &shopline::Shopline,
        &shopline_open::ShoplineOpen,
        &shopee::Shopee,
        &woocommerce::WooCommerce,
        &lazada::Lazada,
        &tiktok_shop::TikTokShop,
        &amazon::Amazon,
        &ebay::Ebay,
        &vendure::Vendure,
        &medusa::Medusa,
    ]
}

/// The connector whose [`Platform::name`] is `name`.
pub fn by_name(name: &str) -> Option<&'static dyn Platform> {
    registry().iter().copied().find(|platform| platform.name() == name)
}
