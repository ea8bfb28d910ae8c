//! Shopify's wire types: the variables of requests, and the data of replies.
use super::super::call::StoreConnection;
use super::super::connector::Variant;
use super::super::lenient::Units;
use super::id::gid;
use crate::domain::retry::LONGEST_ASKED;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::time::Duration;

#[derive(Serialize)]
pub(super) struct Document<'a, V> {
    pub(super) query: &'a str,
    pub(super) variables: V,
}

#[derive(Serialize)]
pub(super) struct Variables<'a> {
    pub(super) input: Input,
    pub(super) key: &'a str,
}

#[derive(Serialize)]
pub(super) struct Input {
    pub(super) name: &'static str,
    pub(super) reason: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) changes: Option<Vec<Row>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) quantities: Option<Vec<Row>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Row {
    pub(super) inventory_item_id: String,
    pub(super) location_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) delta: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) quantity: Option<i64>,
    /// Serialized even if it is null.
    pub(super) change_from_quantity: Option<i64>,
}

#[derive(Deserialize)]
pub(super) struct ReplyBody {
    pub(super) data: Option<Value>,
    /// A list, or a string in some refusals.
    pub(super) errors: Option<Value>,
    pub(super) extensions: Option<Extensions>,
}

impl ReplyBody {
    /// A field of the data, unless it is missing or null.
    pub(super) fn field(&self, name: &str) -> Option<&Value> {
        self.data.as_ref()?.get(name).filter(|value| !value.is_null())
    }

    /// Whether every field of the data is missing or null.
    pub(super) fn is_empty(&self) -> bool {
        self.data.as_ref().and_then(Value::as_object).is_none_or(|data| data.values().all(Value::is_null))
    }

    /// The code and the message of each top-level error.
    pub(super) fn errors(&self) -> impl Iterator<Item = (&str, &str)> {
        let errors = self.errors.as_ref().and_then(Value::as_array).into_iter().flatten();
        errors.map(|error| {
            let text = |at: &str| error.pointer(at).and_then(Value::as_str).unwrap_or_default();
            (text("/extensions/code"), text("/message"))
        })
    }

    pub(super) fn has_code(&self, code: &str) -> bool {
        self.errors().any(|(found, _)| found == code)
    }
}

#[derive(Deserialize)]
pub(super) struct Extensions {
    pub(super) cost: Option<Cost>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Cost {
    pub(super) requested_query_cost: Option<f64>,
    pub(super) throttle_status: Option<ThrottleStatus>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ThrottleStatus {
    pub(super) maximum_available: f64,
    pub(super) currently_available: f64,
    pub(super) restore_rate: f64,
}

impl Cost {
    /// The time until the bucket has the points that this call needs.
    pub(super) fn wait(&self) -> Option<Duration> {
        let (requested, status) = (self.requested_query_cost?, self.throttle_status.as_ref()?);
        let seconds = (requested - status.currently_available) / status.restore_rate;
        // One millisecond more than computed, because the numbers in the reply are rounded.
        (status.restore_rate > 0.0 && seconds.is_finite())
            .then(|| Duration::from_secs_f64((seconds + 0.001).clamp(0.0, LONGEST_ASKED.as_secs_f64())))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Payload {
    #[serde(rename = "inventoryAdjustmentGroup")]
    pub(super) group: Option<Group>,
    pub(super) user_errors: Vec<UserError>,
}

#[derive(Deserialize)]
pub(super) struct Group {
    #[serde(default)]
    pub(super) changes: Vec<Change>,
}

#[derive(Deserialize)]
pub(super) struct Change {
    pub(super) name: String,
    pub(super) item: Option<ChangedItem>,
    pub(super) location: Option<Named>,
}

impl Change {
    /// The item of this change, if what was written has no effect because Shopify does not track the item.
    pub(super) fn untracked_item(self) -> Option<String> {
        self.item.filter(|item| item.tracked == Some(false)).map(|item| item.id)
    }

    /// The item and location of a change to `available`, the quantity we write; changes to `on_hand` are also reported.
    pub(super) fn key(self) -> Option<(String, String)> {
        (self.name == "available").then_some((self.item?.id, self.location?.id))
    }
}

#[derive(Deserialize)]
pub(super) struct ChangedItem {
    pub(super) id: String,
    /// Whether what was written has any effect; missing if it was not asked for.
    pub(super) tracked: Option<bool>,
}

#[derive(Deserialize)]
pub(super) struct Named {
    pub(super) id: String,
}

#[derive(Deserialize)]
pub(super) struct UserError {
    pub(super) code: Option<String>,
    /// A path such as `["input", "quantities", "0", "locationId"]`.
    pub(super) field: Option<Vec<Value>>,
    #[serde(default)]
    pub(super) message: String,
}

impl UserError {
    /// The index of the row at fault, if the error is about a row.
    pub(super) fn row(&self) -> Option<usize> {
        let number = |part: &Value| part.as_u64().and_then(|n| usize::try_from(n).ok()).or_else(|| part.as_str()?.parse().ok());
        self.field.iter().flatten().find_map(number)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ReadNode {
    /// Missing if the requested ID is not that of an inventory item.
    pub(super) id: Option<String>,
    #[serde(default)]
    pub(super) tracked: bool,
    pub(super) inventory_level: Option<Level>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Level {
    /// Whether the variant is stocked at the location; missing if it was not asked for.
    pub(super) is_active: Option<bool>,
    pub(super) quantities: Vec<NamedQuantity>,
}

#[derive(Deserialize)]
pub(super) struct NamedQuantity {
    pub(super) name: String,
    #[serde(default)]
    pub(super) quantity: Units,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct FoundVariants {
    pub(super) nodes: Vec<FoundVariant>,
    pub(super) page_info: PageInfo,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PageInfo {
    pub(super) has_next_page: bool,
    pub(super) end_cursor: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct FoundVariant {
    pub(super) sku: Option<String>,
    pub(super) display_name: String,
    pub(super) inventory_item: FoundItem,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct FoundItem {
    pub(super) id: String,
    pub(super) tracked: bool,
    pub(super) inventory_levels: Nodes<FoundLevel>,
}

#[derive(Deserialize)]
pub(super) struct Nodes<T> {
    pub(super) nodes: Vec<T>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct FoundLevel {
    pub(super) is_active: bool,
    pub(super) location: Named,
}

impl FoundVariant {
    /// The variant with one location of its stock: the store's if it is stocked there, otherwise its first.
    pub(super) fn variant(self, store: &StoreConnection) -> Variant {
        let preferred = store.setting("location_id").and_then(|id| gid("Location", id).ok());
        let mut active: Vec<String> =
            self.inventory_item.inventory_levels.nodes.into_iter().filter(|level| level.is_active).map(|level| level.location.id).collect();
        active.sort_by_key(|id| Some(id) != preferred.as_ref());
        let location = active.into_iter().next().map(|id| ("location_id".to_owned(), id));
        let untracked = if self.inventory_item.tracked { "" } else { " (inventory not tracked)" };
        Variant {
            sku: self.sku.filter(|sku| !sku.is_empty()),
            external_id: self.inventory_item.id,
            extra: location.into_iter().collect(),
            title: format!("{}{untracked}", self.display_name),
        }
    }
}

/// What the app may do, in the reply to a check.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Installation {
    pub(super) access_scopes: Vec<Scope>,
}

#[derive(Deserialize)]
pub(super) struct Scope {
    pub(super) handle: String,
}
