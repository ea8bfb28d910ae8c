//! SHOPLINE's wire types.
use super::super::lenient::{self, Units};
use serde::{Deserialize, Serialize};
use serde_json::Value;

#[derive(Serialize)]
pub(super) struct OutLevel<'a> {
    pub(super) inventory_item_id: &'a str,
    pub(super) location_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) available: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) available_adjustment: Option<i64>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct InErrors {
    pub(super) errors: Value,
    pub(super) message: Value,
}

/// A write returns one level, a read returns many.
#[derive(Deserialize)]
pub(super) struct InLevels {
    pub(super) inventory_level: Option<InLevel>,
    #[serde(default, deserialize_with = "lenient::rows")]
    pub(super) inventory_levels: Vec<InLevel>,
}

#[derive(Deserialize)]
pub(super) struct InLevel {
    #[serde(default)]
    pub(super) inventory_item_id: Value,
    #[serde(default)]
    pub(super) location_id: Value,
    #[serde(default)]
    pub(super) available: Units,
}

#[derive(Deserialize)]
pub(super) struct InProducts {
    pub(super) products: Vec<InProduct>,
}

#[derive(Deserialize)]
pub(super) struct InProduct {
    #[serde(default)]
    pub(super) title: String,
    #[serde(default)]
    pub(super) variants: Vec<InVariant>,
}

#[derive(Deserialize)]
pub(super) struct InVariant {
    pub(super) sku: Option<String>,
    #[serde(default)]
    pub(super) inventory_item_id: Value,
    pub(super) option1: Option<String>,
    pub(super) option2: Option<String>,
    pub(super) option3: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct InToken {
    #[serde(default, rename = "i18nCode")]
    pub(super) i18n_code: String,
    #[serde(default)]
    pub(super) message: String,
    pub(super) data: Option<InTokenData>,
}

#[derive(Deserialize)]
pub(super) struct InTokenData {
    #[serde(rename = "accessToken")]
    pub(super) access_token: String,
    #[serde(default, rename = "expireTime")]
    pub(super) expire_time: Value,
}
