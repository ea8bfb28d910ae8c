//! Listings of one seller: sellable variants in stores, each paired with one SKU.
mod pairing;
mod row;
mod zeros;

use super::connection::{containing, lower, on};
use super::schema::{listings, rules};
use super::sets::among;
use super::{Changed, ROWS_PER_STATEMENT, Result, Tenant};
use crate::domain::{ListingId, StoreId, Timestamp};
use diesel::dsl::count_star;
use diesel::prelude::*;
use std::collections::HashMap;

pub use pairing::{ListingChange, ListingPreview, NewListing, Pass};
pub use row::Listing;
pub(super) use row::ListingRow;
pub use zeros::alike_but_for_zeros;

/// A place in a list of listings by SKU: after this listing of the SKU, or after all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AfterListing {
    /// The SKU.
    pub sku: String,
    /// The listing.
    pub id: Option<ListingId>,
}

impl Tenant<'_> {
    /// A store's listings added after `after`, oldest first.
    pub fn listings(&mut self, store: StoreId, after: Option<ListingId>, limit: i64) -> Result<Vec<Listing>> {
        let scope = self.scope();
        let after = after.map(|id| id.bytes()).unwrap_or_default();
        let rows: Vec<ListingRow> = on!(self.conn, c => scope.listings()
            .filter(listings::store_id.eq(store.bytes())).filter(listings::id.gt(&after)).order(listings::id).limit(limit).load(c))?;
        rows.into_iter().map(ListingRow::listing).collect()
    }

    /// A store's listings after `after` whose SKU or external id contains `text`, in the order of their SKUs and then of their ids; with
    /// `own_rules` only those whose SKU has rules of its own.
    pub fn search_listings(
        &mut self,
        store: StoreId,
        text: &str,
        own_rules: bool,
        after: Option<&AfterListing>,
        limit: i64,
    ) -> Result<Vec<Listing>> {
        let (scope, pattern) = (self.scope(), containing(text));
        let AfterListing { sku, id } = after.cloned().unwrap_or_default();
        // After every id, if there is none.
        let id = id.map_or_else(|| vec![u8::MAX; 17], |id| id.bytes());
        let found =
            lower(listings::sku).like(lower(&pattern)).escape('\\').or(lower(listings::external_id).like(lower(&pattern)).escape('\\'));
        // An index has this order. The first condition is for it alone.
        let is_after = listings::sku.gt(&sku).or(listings::id.gt(&id));
        let rows: Vec<ListingRow> = on!(self.conn, c => {
            let mut query = scope.listings().filter(listings::store_id.eq(store.bytes()))
                .filter(listings::sku.ge(&sku)).filter(is_after).order((listings::sku, listings::id)).limit(limit).into_boxed();
            if !text.is_empty() { query = query.filter(found.clone()); }
            if own_rules {
                let of_store = rules::store_id.is_null().or(rules::store_id.eq(store.bytes()));
                query = query.filter(listings::sku.nullable().eq_any(scope.rules().filter(of_store).select(rules::sku)));
            }
            query.load(c)?
        });
        rows.into_iter().map(ListingRow::listing).collect()
    }

    /// One listing.
    ///
    /// # Errors
    /// [`NotFound`](super::Error::NotFound) when that store has no such listing.
    pub fn listing(&mut self, store: StoreId, id: ListingId) -> Result<Listing> {
        let scope = self.scope();
        let row: ListingRow = on!(self.conn, c => scope.listings().filter(listings::id.eq(id.bytes()))
            .filter(listings::store_id.eq(store.bytes())).get_result(c))?;
        row.listing()
    }

    /// This store's listings of these SKUs, by SKU, oldest first.
    pub fn paired(&mut self, store: StoreId, skus: &[&str]) -> Result<HashMap<String, Vec<Listing>>> {
        let scope = self.scope();
        let mut found: HashMap<String, Vec<Listing>> = HashMap::new();
        for chunk in skus.chunks(ROWS_PER_STATEMENT) {
            let rows: Vec<ListingRow> = on!(self.conn, c => scope.listings()
                .filter(listings::store_id.eq(store.bytes())).filter(listings::sku.eq_any(chunk)).load(c))?;
            for row in rows {
                found.entry(row.sku.clone()).or_default().push(row.listing()?);
            }
        }
        found.values_mut().for_each(|of_sku| of_sku.sort_unstable_by_key(|listing| listing.id));
        Ok(found)
    }

    /// How many of this store's listings show each of these SKUs.
    pub fn listing_counts(&mut self, store: StoreId, skus: &[String]) -> Result<HashMap<String, i64>> {
        let scope = self.scope();
        let rows: Vec<(String, i64)> = on!(self.conn, c => scope.listings().filter(listings::store_id.eq(store.bytes()))
            .filter(among(listings::sku, skus.to_vec())).group_by(listings::sku).select((listings::sku, count_star())).load(c))?;
        Ok(rows.into_iter().collect())
    }

    /// Unpairs a listing and cancels its pushes.
    ///
    /// # Errors
    /// [`NotFound`](super::Error::NotFound) when that store has no such listing.
    pub fn delete_listing(&mut self, store: StoreId, id: ListingId, now: Timestamp) -> Result<Listing> {
        let scope = self.scope();
        let row: ListingRow = on!(self.conn, c => scope.listings().filter(listings::id.eq(id.bytes()))
            .filter(listings::store_id.eq(store.bytes())).get_result(c))?;
        self.note(Changed::Work);
        if row.unattributed != 0 {
            self.forget_unattributed(store, [row.sku.clone()])?;
        }
        self.cancel_pushes_of(&[id], "The listing was unpaired.", now)?;
        self.scatter_packs(&[(store, id)])?;
        on!(self.conn, c => diesel::delete(scope.listings().filter(listings::id.eq(id.bytes()))).execute(c))?;
        row.listing()
    }
}
