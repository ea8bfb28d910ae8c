//! eBay's wire types, apart from the entries that say what became of a listing.
use super::super::connector::Variant;
use super::super::lenient::Units;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What this service asks for: to change inventory, and to see whose account it is.
pub(super) const SCOPES: [&str; 2] =
    ["https://api.ebay.com/oauth/api_scope/sell.inventory", "https://api.ebay.com/oauth/api_scope/commerce.identity.readonly"];
/// The setting of app and store with the RuName, eBay's name for a redirect address.
pub(super) const REDIRECT_NAME: &str = "redirect_name";

#[derive(Serialize)]
pub(super) struct Requests<T> {
    pub(super) requests: Vec<T>,
}

#[derive(Serialize)]
pub(super) struct Sku<'a> {
    pub(super) sku: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PriceQuantity {
    pub(super) sku: String,
    pub(super) ship_to_location_availability: ShipToLocation,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) offers: Option<[OfferQuantity; 1]>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ShipToLocation {
    pub(super) quantity: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) availability_distributions: Option<[Distribution; 1]>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Distribution {
    pub(super) merchant_location_key: String,
    pub(super) quantity: i32,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct OfferQuantity {
    pub(super) offer_id: String,
    pub(super) available_quantity: i32,
}

#[derive(Deserialize)]
pub(super) struct FoundAvailability {
    pub(super) availability: Option<FoundPlaces>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct FoundPlaces {
    pub(super) ship_to_location_availability: Option<FoundQuantity>,
}

#[derive(Deserialize)]
pub(super) struct FoundQuantity {
    #[serde(default)]
    pub(super) quantity: Units,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct InventoryItems {
    #[serde(default)]
    pub(super) inventory_items: Vec<FoundItem>,
    pub(super) next: Option<String>,
    pub(super) total: Option<usize>,
}

#[derive(Deserialize)]
pub(super) struct FoundItem {
    pub(super) sku: String,
    pub(super) product: Option<FoundProduct>,
}

#[derive(Deserialize)]
pub(super) struct FoundProduct {
    pub(super) title: Option<String>,
}

impl FoundItem {
    pub(super) fn variant(self) -> Variant {
        let title = self.product.and_then(|product| product.title).unwrap_or_else(|| self.sku.clone());
        Variant { sku: Some(self.sku.clone()), external_id: self.sku, extra: BTreeMap::new(), title }
    }
}

/// Whose account it is.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct User {
    /// Stays the same when the account is renamed.
    pub(super) user_id: String,
}
