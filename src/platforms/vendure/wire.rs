//! Vendure's wire types: the variables of requests, and the data of replies.
use super::super::connector::Variant;
use super::super::lenient::{self, Units};
use serde::{Deserialize, Serialize};
use serde_json::Value;

#[derive(Serialize)]
pub(super) struct Document<'a, V> {
    pub(super) query: &'a str,
    pub(super) variables: &'a V,
}

/// A row of a set: `stock_levels` for a given location, or `stock_on_hand` for the default location.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Input<'a> {
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    stock_levels: Option<[LevelInput<'a>; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stock_on_hand: Option<i64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LevelInput<'a> {
    stock_location_id: &'a str,
    stock_on_hand: i64,
}

impl<'a> Input<'a> {
    pub(super) fn new(id: &'a str, location: Option<&'a str>, quantity: i64) -> Self {
        let level = |stock_location_id| [LevelInput { stock_location_id, stock_on_hand: quantity }];
        Self { id, stock_levels: location.map(level), stock_on_hand: location.is_none().then_some(quantity) }
    }
}

#[derive(Deserialize)]
pub(super) struct ReplyBody {
    pub(super) data: Option<Value>,
    #[serde(default)]
    pub(super) errors: Vec<Value>,
}

impl ReplyBody {
    /// A field of the data, unless it is missing or null.
    pub(super) fn field(&self, name: &str) -> Option<&Value> {
        self.data.as_ref()?.get(name).filter(|value| !value.is_null())
    }

    /// The code, which is often empty, and the message.
    pub(super) fn first_error(&self) -> Option<(&str, &str)> {
        let error = self.errors.first()?;
        let text = |at: &str| error.pointer(at).and_then(Value::as_str).unwrap_or_default();
        Some((text("/extensions/code"), text("/message")))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Page {
    /// Missing in a read, which does not ask for it.
    #[serde(default)]
    pub(super) total_items: usize,
    #[serde(deserialize_with = "lenient::rows")]
    pub(super) items: Vec<Found>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct GlobalSettings {
    pub(super) track_inventory: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Found {
    #[serde(deserialize_with = "lenient::id")]
    pub(super) id: String,
    sku: Option<String>,
    name: Option<String>,
    /// `TRUE`, `FALSE`, or `INHERIT` from the global settings.
    track_inventory: Option<String>,
    pub(super) stock_levels: Vec<Level>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Level {
    #[serde(deserialize_with = "lenient::id")]
    stock_location_id: String,
    #[serde(default)]
    pub(super) stock_on_hand: Units,
    /// Reserved for orders; missing where it was not asked for.
    #[serde(default)]
    stock_allocated: Units,
    stock_location: Option<FoundLocation>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FoundLocation {
    created_at: String,
}

impl Level {
    /// Units reserved for orders.
    pub(super) fn reserved(&self) -> Option<i64> {
        self.stock_allocated.or_absent(0)
    }

    /// Units that can be sold: what is on hand and not reserved.
    pub(super) fn sellable(&self) -> Option<i64> {
        Some(self.stock_on_hand.known()?.saturating_sub(self.reserved()?))
    }
}

impl Found {
    pub(super) fn at(&self, location: &str) -> Option<&Level> {
        self.stock_levels.iter().find(|level| level.stock_location_id == location)
    }

    pub(super) fn is_untracked(&self) -> bool {
        self.track_inventory.as_deref() == Some("FALSE")
    }

    pub(super) fn inherits_tracking(&self) -> bool {
        self.track_inventory.as_deref() == Some("INHERIT")
    }

    /// The variant with the location of its stock. A store that names a location needs none of the listing's own; otherwise
    /// it is the oldest one, which is also Vendure's default.
    pub(super) fn variant(mut self, here: Option<&str>) -> Variant {
        let age = |level: &Level| level.stock_location.as_ref().map(|location| location.created_at.clone());
        self.stock_levels.sort_by_cached_key(|level| (age(level), level.stock_location_id.len(), level.stock_location_id.clone()));
        let untracked = if self.is_untracked() { " (inventory not tracked)" } else { "" };
        let oldest = self.stock_levels.into_iter().next().filter(|_| here.is_none());
        let location = oldest.map(|level| ("location_id".to_owned(), level.stock_location_id));
        let name = self.name.unwrap_or_else(|| format!("#{}", self.id));
        Variant {
            sku: self.sku.filter(|sku| !sku.is_empty()),
            external_id: self.id,
            extra: location.into_iter().collect(),
            title: format!("{name}{untracked}"),
        }
    }
}

/// `CurrentUser`, or an error that is returned as data.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LoggedIn {
    #[serde(rename = "__typename")]
    pub(super) typename: String,
    pub(super) error_code: Option<String>,
    pub(super) message: Option<String>,
}

/// The user, in the reply to a check.
#[derive(Deserialize)]
pub(super) struct Me {
    pub(super) channels: Vec<MyChannel>,
}

#[derive(Deserialize)]
pub(super) struct MyChannel {
    pub(super) token: String,
    pub(super) permissions: Vec<String>,
}
