//! Amazon's wire types: the patch of a listing, and the listings in replies.
use super::super::connector::Variant;
use super::super::lenient::Units;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// Whether Amazon stores and ships the stock of a channel.
pub(super) fn is_amazon_fulfilled(channel: &str) -> bool {
    channel.starts_with("AMAZON")
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PatchBody<'a> {
    pub(super) product_type: &'a str,
    pub(super) patches: [PatchOperation<'a>; 1],
}

#[derive(Serialize)]
pub(super) struct PatchOperation<'a> {
    /// `merge` leaves the channel's other attributes unchanged.
    pub(super) op: &'static str,
    pub(super) path: &'static str,
    pub(super) value: [Availability<'a>; 1],
}

#[derive(Serialize)]
pub(super) struct Availability<'a> {
    pub(super) fulfillment_channel_code: &'a str,
    pub(super) quantity: i64,
}

#[derive(Deserialize)]
pub(super) struct Submission {
    pub(super) status: String,
    #[serde(default)]
    pub(super) issues: Vec<Issue>,
}

#[derive(Deserialize)]
pub(super) struct Issue {
    #[serde(default)]
    pub(super) code: String,
    #[serde(default)]
    pub(super) message: String,
    #[serde(default)]
    pub(super) severity: String,
}

#[derive(Deserialize)]
pub(super) struct Errors {
    pub(super) errors: Vec<Issue>,
}

#[derive(Deserialize)]
pub(super) struct SearchResults {
    pub(super) items: Vec<Item>,
    pub(super) pagination: Option<Pagination>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Pagination {
    pub(super) next_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Item {
    pub(super) sku: String,
    #[serde(default)]
    pub(super) summaries: Vec<Summary>,
    #[serde(default)]
    pub(super) fulfillment_availability: Vec<FoundAvailability>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Summary {
    pub(super) product_type: Option<String>,
    pub(super) item_name: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct FoundAvailability {
    pub(super) fulfillment_channel_code: String,
    #[serde(default)]
    pub(super) quantity: Units,
}

impl Item {
    /// Whether Amazon's warehouses hold all of its stock.
    pub(super) fn is_amazon_fulfilled(&self) -> bool {
        let mut channels =
            self.fulfillment_availability.iter().map(|availability| availability.fulfillment_channel_code.as_str()).peekable();
        channels.peek().is_some() && channels.all(is_amazon_fulfilled)
    }

    pub(super) fn variant(self) -> Variant {
        let note = if self.is_amazon_fulfilled() { " (stock held by Amazon)" } else { "" };
        let summary = self.summaries.into_iter().next();
        let name = summary.as_ref().and_then(|summary| summary.item_name.as_ref()?.as_str()).unwrap_or(&self.sku);
        let title = format!("{name}{note}");
        let product_type = summary.and_then(|summary| summary.product_type).map(|own| ("product_type".to_owned(), own));
        Variant { sku: Some(self.sku.clone()), external_id: self.sku, extra: BTreeMap::from_iter(product_type), title }
    }
}
