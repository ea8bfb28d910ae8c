//! Shopee's wire types: `Out…` is sent and `In…` is received. Fields that are not used are omitted.
use super::super::lenient::{self, Units};
use serde::{Deserialize, Serialize};
use serde_json::Value;

#[derive(Serialize)]
pub(super) struct OutUpdate<'a> {
    pub(super) item_id: u64,
    pub(super) stock_list: Vec<OutModel<'a>>,
}

#[derive(Serialize)]
pub(super) struct OutModel<'a> {
    pub(super) model_id: u64,
    pub(super) seller_stock: [OutStock<'a>; 1],
}

#[derive(Serialize)]
pub(super) struct OutStock<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) location_id: Option<&'a str>,
    pub(super) stock: i64,
}

#[derive(Serialize)]
pub(super) struct OutCode<'a> {
    pub(super) code: &'a str,
    pub(super) partner_id: u64,
    pub(super) shop_id: u64,
}

#[derive(Serialize)]
pub(super) struct OutRefresh<'a> {
    pub(super) refresh_token: &'a str,
    pub(super) partner_id: u64,
    pub(super) shop_id: u64,
}

/// The wrapper of every reply.
#[derive(Deserialize)]
pub(super) struct Envelope {
    /// Empty if the call succeeded.
    #[serde(default)]
    pub(super) error: String,
    #[serde(default)]
    pub(super) message: String,
    #[serde(default)]
    pub(super) response: Value,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct InLists {
    pub(super) success_list: Vec<InDone>,
    pub(super) failure_list: Vec<InFailed>,
}

#[derive(Deserialize)]
pub(super) struct InDone {
    #[serde(default, deserialize_with = "lenient::number")]
    pub(super) model_id: u64,
    pub(super) location_id: Option<String>,
    #[serde(default)]
    pub(super) stock: Units,
}

#[derive(Deserialize)]
pub(super) struct InFailed {
    #[serde(default, deserialize_with = "lenient::number")]
    pub(super) model_id: u64,
    #[serde(default)]
    pub(super) failed_reason: String,
}

/// The replies to both detail calls: one fills `item_list`, the other `model` and `tier_variation`.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct InItems {
    #[serde(deserialize_with = "lenient::rows")]
    pub(super) item_list: Vec<InItem>,
    #[serde(deserialize_with = "lenient::rows")]
    pub(super) model: Vec<InModel>,
    pub(super) tier_variation: Vec<InTier>,
}

#[derive(Deserialize)]
pub(super) struct InItem {
    #[serde(deserialize_with = "lenient::number")]
    pub(super) item_id: u64,
    #[serde(default)]
    pub(super) item_name: String,
    pub(super) item_sku: Option<String>,
    #[serde(default)]
    pub(super) has_model: bool,
    pub(super) stock_info_v2: Option<InStockInfo>,
}

#[derive(Deserialize)]
pub(super) struct InModel {
    #[serde(deserialize_with = "lenient::number")]
    pub(super) model_id: u64,
    pub(super) model_sku: Option<String>,
    #[serde(default)]
    pub(super) tier_index: Vec<usize>,
    pub(super) stock_info_v2: Option<InStockInfo>,
}

#[derive(Deserialize)]
pub(super) struct InStockInfo {
    #[serde(default)]
    pub(super) seller_stock: Vec<InStock>,
}

#[derive(Deserialize)]
pub(super) struct InStock {
    pub(super) location_id: Option<String>,
    #[serde(default)]
    pub(super) stock: Units,
}

#[derive(Deserialize)]
pub(super) struct InTier {
    #[serde(default)]
    pub(super) option_list: Vec<InOption>,
}

#[derive(Deserialize)]
pub(super) struct InOption {
    #[serde(default)]
    pub(super) option: String,
}

#[derive(Deserialize)]
pub(super) struct InWarehouse {
    #[serde(default)]
    pub(super) location_id: String,
}

#[derive(Deserialize)]
pub(super) struct InList {
    #[serde(default)]
    pub(super) item: Vec<InListed>,
    #[serde(default)]
    pub(super) has_next_page: bool,
    pub(super) next_offset: Option<u64>,
}

#[derive(Deserialize)]
pub(super) struct InListed {
    #[serde(deserialize_with = "lenient::number")]
    pub(super) item_id: u64,
}

#[derive(Deserialize)]
pub(super) struct InTokens {
    #[serde(default)]
    pub(super) error: String,
    #[serde(default)]
    pub(super) message: String,
    pub(super) access_token: Option<String>,
    pub(super) refresh_token: Option<String>,
    pub(super) expire_in: Option<i64>,
}
