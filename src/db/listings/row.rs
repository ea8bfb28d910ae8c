//! A listing, and its row.
use crate::db::schema::listings;
use crate::db::{Error, Result, id_of, units_of};
use crate::domain::units::UnitsEach;
use crate::domain::{ListingId, StoreId, Timestamp};
use diesel::prelude::*;
use std::collections::BTreeMap;

/// A sellable variant in a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// Its id.
    pub id: ListingId,
    /// The store that sells it.
    pub store_id: StoreId,
    /// The SKU it is paired with.
    pub sku: String,
    /// The platform's id for it.
    pub external_id: String,
    /// How many units of the SKU one of it is.
    pub units: UnitsEach,
    /// What else the connector needs to address it.
    pub extra: BTreeMap<String, String>,
    /// The quantity that the store last showed, as far as known.
    pub shown: Option<i64>,
    /// When `shown` was learned.
    pub shown_at: Option<Timestamp>,
    /// It needs an overwrite once its store works again.
    pub marked: bool,
    /// When it was paired.
    pub created_at: Timestamp,
    /// The pass of a discovery that has paired it, by when that began; `None` if somebody has paired it by hand.
    pub paired_by_pass: Option<Timestamp>,
}

#[derive(Queryable, Insertable, Debug, Clone)]
#[diesel(table_name = listings, treat_none_as_default_value = false)]
pub(in crate::db) struct ListingRow {
    pub(super) seller_id: Vec<u8>,
    pub(super) id: Vec<u8>,
    pub(super) store_id: Vec<u8>,
    pub(super) sku: String,
    pub(super) external_id: String,
    pub(super) extra: Option<String>,
    pub(super) shown: Option<i64>,
    pub(super) shown_at: Option<Timestamp>,
    pub(super) doubt_until: Option<Timestamp>,
    pub(super) marked: bool,
    pub(super) created_at: Timestamp,
    pub(super) settles_at: Option<Timestamp>,
    pub(super) late_numbers: Option<String>,
    pub(super) changed_at: Option<Timestamp>,
    pub(super) owed_since: Option<Timestamp>,
    pub(super) look_at: Option<Timestamp>,
    pub(super) shown_earlier: Option<String>,
    pub(super) paired_by_pass: Option<Timestamp>,
    pub(super) expected: Option<i64>,
    pub(super) expected_otherwise: Option<i64>,
    pub(super) unseen: i64,
    pub(super) unseen_since: Option<Timestamp>,
    pub(super) units: i64,
    pub(super) reports: i64,
    pub(super) sold: i64,
    pub(super) sold_when_shown: i64,
    pub(super) increased: i64,
    pub(super) set_by: Option<Vec<u8>>,
    pub(super) unattributed: i64,
}

impl ListingRow {
    pub(in crate::db) fn listing(self) -> Result<Listing> {
        let extra = self.extra.as_deref().map(serde_json::from_str).transpose();
        Ok(Listing {
            id: id_of(&self.id, ListingId::from_bytes, "listings.id")?,
            store_id: id_of(&self.store_id, StoreId::from_bytes, "listings.store_id")?,
            sku: self.sku,
            external_id: self.external_id,
            units: units_of(self.units)?,
            extra: extra.map_err(|_| Error::Corrupt("listings.extra".to_owned()))?.unwrap_or_default(),
            shown: self.shown,
            shown_at: self.shown_at,
            marked: self.marked,
            created_at: self.created_at,
            paired_by_pass: self.paired_by_pass,
        })
    }
}
