//! The list of flows by which sellers connect their shops by consent.
use super::authorize::Consent;
use super::{amazon, ebay, lazada, shopee, shopify, shopline, shopline_open, tiktok_shop, woocommerce};

/// Every flow, in the order in which the console shows them.
pub fn consents() -> &'static [&'static dyn Consent] {
    &[
        &shopify::authorize::ShopifyConsent,
        &shopline::authorize::ShoplineConsent,
        &shopline_open::authorize::ShoplineOpenConsent,
        &shopee::authorize::ShopeeConsent,
        &lazada::authorize::LazadaConsent,
        &tiktok_shop::authorize::TikTokShopConsent,
        &amazon::authorize::AmazonConsent,
        &ebay::authorize::EbayConsent,
        &woocommerce::authorize::WooCommerceConsent,
    ]
}

/// The flow of the platform with this name.
pub fn consent_of(platform: &str) -> Option<&'static dyn Consent> {
    consents().iter().copied().find(|consent| consent.platform() == platform)
}
