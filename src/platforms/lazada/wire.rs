//! Lazada's answers, reduced to the fields that the connector reads.
use super::super::lenient::{self, Units};
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
pub(super) struct Envelope {
    /// Text, or a number.
    #[serde(default)]
    pub(super) code: Value,
    #[serde(default)]
    pub(super) message: String,
    #[serde(default)]
    pub(super) data: Value,
    #[serde(default)]
    pub(super) detail: Vec<InFailed>,
}

impl Envelope {
    /// The failures, which Lazada puts either next to the data or inside it.
    pub(super) fn detail(&self) -> Vec<InFailed> {
        let within = self.data.get("detail").and_then(|detail| serde_json::from_value::<Vec<InFailed>>(detail.clone()).ok());
        self.detail.iter().cloned().chain(within.unwrap_or_default()).collect()
    }
}

#[derive(Deserialize, Clone)]
pub(super) struct InFailed {
    #[serde(default)]
    pub(super) field: Value,
    #[serde(default)]
    pub(super) message: Value,
    #[serde(default)]
    pub(super) code: Value,
}

#[derive(Deserialize)]
pub(super) struct InPage {
    #[serde(default)]
    pub(super) products: Vec<InItem>,
}

#[derive(Deserialize)]
pub(super) struct InItem {
    #[serde(default)]
    pub(super) item_id: Value,
    #[serde(default)]
    pub(super) attributes: InAttributes,
    #[serde(deserialize_with = "lenient::rows")]
    pub(super) skus: Vec<InSku>,
}

#[derive(Deserialize, Default)]
pub(super) struct InAttributes {
    #[serde(default)]
    pub(super) name: String,
}

#[derive(Deserialize)]
pub(super) struct InSku {
    #[serde(default, rename = "SkuId")]
    pub(super) sku_id: Value,
    #[serde(rename = "SellerSku")]
    pub(super) seller_sku: Option<String>,
    #[serde(default)]
    pub(super) quantity: Units,
    #[serde(default, rename = "multiWarehouseInventories")]
    pub(super) warehouses: Vec<InWarehouse>,
}

#[derive(Deserialize)]
pub(super) struct InWarehouse {
    #[serde(default, rename = "warehouseCode")]
    pub(super) code: String,
    #[serde(default, rename = "sellableQuantity")]
    pub(super) sellable: Units,
}

#[derive(Deserialize)]
pub(super) struct InTokens {
    #[serde(default)]
    pub(super) code: Value,
    #[serde(default)]
    pub(super) message: String,
    pub(super) access_token: Option<String>,
    pub(super) refresh_token: Option<String>,
    pub(super) expires_in: Option<i64>,
    pub(super) refresh_expires_in: Option<i64>,
}
