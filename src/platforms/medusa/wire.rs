//! Medusa's wire types: the rows of a batch, and the inventory items in replies.
use super::super::codes::said;
use super::super::connector::Variant;
use super::super::lenient::{self, Units};
use serde::{Deserialize, Serialize};

#[derive(Serialize)]
pub(super) struct Batch<'a> {
    pub(super) update: Vec<Row<'a>>,
}

#[derive(Serialize)]
pub(super) struct Row<'a> {
    pub(super) inventory_item_id: &'a str,
    pub(super) location_id: &'a str,
    pub(super) stocked_quantity: i64,
}

#[derive(Deserialize)]
pub(super) struct Updated {
    #[serde(deserialize_with = "lenient::rows")]
    pub(super) updated: Vec<UpdatedLevel>,
}

#[derive(Deserialize)]
pub(super) struct UpdatedLevel {
    #[serde(deserialize_with = "lenient::id")]
    pub(super) inventory_item_id: String,
    #[serde(deserialize_with = "lenient::id")]
    pub(super) location_id: String,
}

#[derive(Deserialize)]
pub(super) struct Refusal {
    #[serde(rename = "type", default)]
    pub(super) kind: String,
    pub(super) message: String,
}

impl Refusal {
    pub(super) fn said(&self) -> String {
        said("Medusa", &self.kind, &self.message)
    }
}

#[derive(Deserialize)]
pub(super) struct LoggedIn {
    pub(super) token: String,
}

#[derive(Deserialize)]
pub(super) struct Items {
    #[serde(deserialize_with = "lenient::rows")]
    pub(super) inventory_items: Vec<Item>,
    #[serde(default)]
    pub(super) count: usize,
}

#[derive(Deserialize)]
pub(super) struct Item {
    #[serde(deserialize_with = "lenient::id")]
    pub(super) id: String,
    pub(super) sku: Option<String>,
    pub(super) title: Option<String>,
    pub(super) location_levels: Option<Vec<Level>>,
}

#[derive(Deserialize)]
pub(super) struct Level {
    #[serde(deserialize_with = "lenient::id")]
    pub(super) location_id: String,
    /// Normally integers, but Medusa accepts fractions.
    #[serde(default)]
    pub(super) stocked_quantity: Units,
    /// For orders.
    #[serde(default)]
    pub(super) reserved_quantity: Units,
}

impl Level {
    pub(super) fn reserved(&self) -> Option<i64> {
        self.reserved_quantity.or_absent(0)
    }

    /// What the shop sells: what is stocked and not reserved.
    pub(super) fn sellable(&self) -> Option<i64> {
        Some(self.stocked_quantity.known()?.saturating_sub(self.reserved()?))
    }
}

impl Item {
    /// The variant with the location of its stock. A store that names a location needs none of the listing's own.
    ///
    /// # Errors
    /// The locations among which the seller has to choose.
    pub(super) fn variant(self, here: Option<&str>) -> Result<Variant, Vec<String>> {
        let locations: Vec<String> = self.location_levels.into_iter().flatten().map(|level| level.location_id).collect();
        if here.is_none() && locations.len() > 1 {
            return Err(locations);
        }
        let note = match here {
            _ if locations.is_empty() => " (not stocked anywhere)",
            Some(here) if !locations.iter().any(|id| id == here) => " (not stocked at the store's location)",
            _ => "",
        };
        let name = self.title.or_else(|| self.sku.clone()).unwrap_or_else(|| self.id.clone());
        let own = locations.into_iter().next().filter(|_| here.is_none());
        Ok(Variant {
            sku: self.sku.filter(|sku| !sku.is_empty()),
            external_id: self.id,
            extra: own.map(|id| ("location_id".to_owned(), id)).into_iter().collect(),
            title: format!("{name}{note}"),
        })
    }
}
