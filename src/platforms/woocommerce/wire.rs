//! WooCommerce's wire types: the rows of a batch, and the products in replies.
use super::super::connector::Variant;
use super::super::lenient::{self, Units};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Serialize)]
pub(super) struct Batch {
    pub(super) update: Vec<Row>,
}

#[derive(Serialize)]
pub(super) struct Row {
    pub(super) id: u64,
    pub(super) stock_quantity: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) manage_stock: Option<bool>,
    /// Narrows this row's answer, which otherwise has the whole product with its descriptions.
    #[serde(rename = "_fields")]
    pub(super) fields: &'static str,
}

#[derive(Deserialize)]
pub(super) struct Updated {
    #[serde(deserialize_with = "lenient::rows")]
    pub(super) update: Vec<FoundRow>,
}

/// The rows of a read.
#[derive(Deserialize)]
#[serde(transparent)]
pub(super) struct Rows<T: DeserializeOwned>(#[serde(deserialize_with = "lenient::rows")] pub(super) Vec<T>);

#[derive(Deserialize)]
pub(super) struct Failure {
    pub(super) code: String,
    #[serde(default)]
    pub(super) message: String,
}

/// `true`, `false`, or `"parent"`.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum ManageStock {
    Own(bool),
    Elsewhere(String),
}

#[derive(Deserialize)]
pub(super) struct FoundRow {
    #[serde(deserialize_with = "lenient::number")]
    pub(super) id: u64,
    pub(super) manage_stock: Option<ManageStock>,
    /// Normally an integer, but some plugins keep fractions.
    #[serde(default)]
    pub(super) stock_quantity: Units,
    pub(super) error: Option<Failure>,
}

#[derive(Deserialize)]
pub(super) struct FoundProduct {
    #[serde(deserialize_with = "lenient::number")]
    pub(super) id: u64,
    sku: Option<String>,
    name: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    pub(super) manage_stock: Option<ManageStock>,
    #[serde(default)]
    pub(super) variations: Vec<u64>,
}

impl FoundProduct {
    /// False for a group of products, a link to another shop, and a parent that leaves stock to its variations.
    pub(super) fn has_own_stock(&self) -> bool {
        let keeps_stock = matches!(self.manage_stock, Some(ManageStock::Own(true)));
        match self.kind.as_deref() {
            Some("grouped" | "external") => false,
            _ => self.variations.is_empty() || keeps_stock,
        }
    }

    pub(super) fn variant(self, parent: Option<u64>) -> Variant {
        let note = match self.manage_stock {
            Some(ManageStock::Own(false)) => " (stock not tracked)",
            Some(ManageStock::Elsewhere(_)) => " (uses the stock of the parent product)",
            _ => "",
        };
        Variant {
            sku: self.sku.filter(|sku| !sku.is_empty()),
            external_id: self.id.to_string(),
            extra: BTreeMap::from_iter(parent.map(|id| ("parent_id".to_owned(), id.to_string()))),
            title: format!("{}{note}", self.name.unwrap_or_else(|| format!("#{}", self.id))),
        }
    }
}
