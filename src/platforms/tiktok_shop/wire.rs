//! TikTok Shop's wire types: `Out…` is sent and `In…` is received. Fields that are not used are omitted.
use super::super::lenient::{self, Units};
use serde::{Deserialize, Serialize};
use serde_json::Value;

#[derive(Serialize)]
pub(super) struct OutUpdate<'a> {
    pub(super) skus: Vec<OutSku<'a>>,
}

#[derive(Serialize)]
pub(super) struct OutSku<'a> {
    pub(super) id: &'a str,
    pub(super) inventory: [OutInventory<'a>; 1],
}

#[derive(Serialize)]
pub(super) struct OutInventory<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) warehouse_id: Option<&'a str>,
    pub(super) quantity: i64,
}

#[derive(Deserialize)]
pub(super) struct Envelope {
    #[serde(default)]
    pub(super) code: Value,
    #[serde(default)]
    pub(super) message: String,
    #[serde(default)]
    pub(super) data: Value,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct InErrors {
    pub(super) errors: Vec<InFailed>,
}

#[derive(Deserialize)]
pub(super) struct InFailed {
    #[serde(default)]
    pub(super) code: Value,
    #[serde(default)]
    pub(super) message: String,
    #[serde(default)]
    pub(super) detail: InDetail,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct InDetail {
    pub(super) sku_id: Value,
    pub(super) extra_errors: Vec<InInner>,
}

#[derive(Deserialize)]
pub(super) struct InInner {
    #[serde(default)]
    pub(super) code: Value,
    #[serde(default)]
    pub(super) message: String,
}

#[derive(Deserialize)]
pub(super) struct InInventory {
    #[serde(default)]
    pub(super) inventory: Vec<InStock>,
}

#[derive(Deserialize)]
pub(super) struct InStock {
    #[serde(default, deserialize_with = "lenient::rows")]
    pub(super) skus: Vec<InSku>,
}

#[derive(Deserialize)]
pub(super) struct InSku {
    #[serde(default)]
    pub(super) id: Value,
    pub(super) seller_sku: Option<String>,
    #[serde(default)]
    pub(super) total_available_quantity: Units,
    #[serde(default)]
    pub(super) warehouse_inventory: Vec<InWarehouse>,
    /// The same in the list of products, where the quantities have another name.
    #[serde(default)]
    pub(super) inventory: Vec<InWarehouse>,
}

#[derive(Deserialize)]
pub(super) struct InWarehouse {
    #[serde(default)]
    pub(super) warehouse_id: Value,
    #[serde(default)]
    pub(super) available_quantity: Units,
}

#[derive(Deserialize)]
pub(super) struct InShops {
    #[serde(default)]
    pub(super) shops: Vec<InShop>,
}

#[derive(Deserialize)]
pub(super) struct InShop {
    #[serde(default)]
    pub(super) cipher: String,
    #[serde(default)]
    pub(super) name: String,
}

#[derive(Deserialize)]
pub(super) struct InProducts {
    #[serde(default)]
    pub(super) products: Vec<InProduct>,
    pub(super) next_page_token: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct InProduct {
    #[serde(default)]
    pub(super) id: Value,
    #[serde(default)]
    pub(super) title: String,
    #[serde(default)]
    pub(super) skus: Vec<InSku>,
}

#[derive(Deserialize)]
pub(super) struct InTokens {
    pub(super) access_token: String,
    pub(super) access_token_expire_in: i64,
    pub(super) refresh_token: String,
    /// The Unix time of its end.
    pub(super) refresh_token_expire_in: Option<i64>,
}
