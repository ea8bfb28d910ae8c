//! The list of flows by which sellers connect their shops by consent.
use super::authorize::Consent;
use super::shopify;

/// Every flow, in the order in which the console shows them.
pub fn consents() -> &'static [&'static dyn Consent] {
    &[&shopify::authorize::ShopifyConsent]
}

/// The flow of the platform with this name.
pub fn consent_of(platform: &str) -> Option<&'static dyn Consent> {
    consents().iter().copied().find(|consent| consent.platform() == platform)
}
