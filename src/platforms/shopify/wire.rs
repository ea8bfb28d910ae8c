//! Shopify's wire types: the variables of requests, and the data of replies.
use super::super::connector::Variant;
use super::super::lenient::Units;
use crate::domain::retry::LONGEST_ASKED;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
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
    #[serde(flatten)]
    pub(super) locations: BTreeMap<String, String>,
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

/// Why what was written has no effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum InVain {
    /// Shopify does not track the item.
    Untracked,
    /// The item is not stocked at the location.
    Inactive,
}

impl Change {
    /// The item and location of this change, if it has no effect. `locations` are those of the call, in order.
    pub(super) fn in_vain(&self, locations: &[String]) -> Option<((String, String), InVain)> {
        let (item, location) = (self.item.as_ref()?, self.location.as_ref()?);
        let n = locations.iter().position(|known| *known == location.id);
        let is_active = n.and_then(|n| item.levels.get(&format!("at{n}"))?.get("isActive")?.as_bool());
        let why = match (item.tracked, is_active) {
            (Some(false), _) => InVain::Untracked,
            (_, Some(false)) => InVain::Inactive,
            _ => return None,
        };
        Some(((item.id.clone(), location.id.clone()), why))
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
    /// Its levels at the call's locations, by their aliases.
    #[serde(flatten)]
    levels: BTreeMap<String, Value>,
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
    /// Asked for where the store names no location.
    inventory_levels: Option<Nodes<FoundLevel>>,
    /// The level at the store's location.
    inventory_level: Option<ActiveLevel>,
}

#[derive(Deserialize)]
pub(super) struct Nodes<T> {
    pub(super) nodes: Vec<T>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FoundLevel {
    is_active: bool,
    location: Place,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ActiveLevel {
    is_active: bool,
}

/// A location of the shop.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Place {
    id: String,
    #[serde(default)]
    name: String,
    is_active: Option<bool>,
    fulfills_online_orders: Option<bool>,
    is_fulfillment_service: Option<bool>,
}

impl Place {
    /// Whether the shop sells online what is stocked here, by the seller's own hands.
    pub(super) fn sells(&self) -> bool {
        self.is_active != Some(false) && self.fulfills_online_orders != Some(false) && self.is_fulfillment_service != Some(true)
    }

    /// Its name and the number to enter.
    pub(super) fn label(&self) -> String {
        format!("{} ({})", self.name, self.id.rsplit('/').next().unwrap_or_default())
    }
}

impl FoundVariant {
    /// The variant with the location of its stock. A store that names a location needs none of the listing's own.
    ///
    /// # Errors
    /// The locations among which the seller has to choose.
    pub(super) fn variant(self, has_location: bool) -> Result<Variant, Vec<Place>> {
        let FoundItem { id, tracked, inventory_levels, inventory_level } = self.inventory_item;
        let mut places: Vec<Place> = inventory_levels
            .map_or(Vec::new(), |levels| levels.nodes)
            .into_iter()
            .filter(|level| level.is_active)
            .map(|level| level.location)
            .filter(Place::sells)
            .collect();
        if places.len() > 1 {
            return Err(places);
        }
        let is_elsewhere = has_location && inventory_level.is_none_or(|level| !level.is_active);
        let notes = [(!tracked, " (inventory not tracked)"), (is_elsewhere, " (not stocked at the store's location)")];
        let notes: String = notes.iter().filter(|(applies, _)| *applies).map(|(_, note)| *note).collect();
        Ok(Variant {
            sku: self.sku.filter(|sku| !sku.is_empty()),
            external_id: id,
            extra: places.pop().map(|place| ("location_id".to_owned(), place.id)).into_iter().collect(),
            title: format!("{}{notes}", self.display_name),
        })
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
