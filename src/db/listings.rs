//! Listings of one seller: sellable variants in stores, each paired with one SKU.
mod conflicts;
mod pairing;
mod row;

use super::connection::{containing, lower, on};
use super::schema::{listings, rules};
use super::{Changed, ROWS_PER_STATEMENT, Result, Tenant};
use crate::domain::{ListingId, StoreId, Timestamp};
use diesel::prelude::*;
use std::collections::HashMap;

pub use pairing::{ListingChange, ListingPreview, NewListing};
pub use row::Listing;
pub(super) use row::ListingRow;

impl Tenant<'_> {
    /// A store's listings added after `after`, oldest first.
    pub fn listings(&mut self, store: StoreId, after: Option<ListingId>, limit: i64) -> Result<Vec<Listing>> {
        let scope = self.scope();
        let after = after.map(|id| id.bytes()).unwrap_or_default();
        let rows: Vec<ListingRow> = on!(self.conn, c => scope.listings()
            .filter(listings::store_id.eq(store.bytes())).filter(listings::id.gt(&after)).order(listings::id).limit(limit).load(c))?;
        rows.into_iter().map(ListingRow::listing).collect()
    }

    /// A store's listings with a SKU after `after` whose SKU or external id contains `text`, in the order of their SKUs; with
    /// `own_rules` only those whose SKU has rules of its own.
    pub fn search_listings(
        &mut self,
        store: StoreId,
        text: &str,
        own_rules: bool,
        after: Option<&str>,
        limit: i64,
    ) -> Result<Vec<Listing>> {
        let (scope, pattern, after) = (self.scope(), containing(text), after.unwrap_or_default().to_owned());
        let found =
            lower(listings::sku).like(lower(&pattern)).escape('\\').or(lower(listings::external_id).like(lower(&pattern)).escape('\\'));
        // The unique index of seller, store and SKU has this order.
        let rows: Vec<ListingRow> = on!(self.conn, c => {
            let mut query = scope.listings().filter(listings::store_id.eq(store.bytes()))
                .filter(listings::sku.gt(&after)).order(listings::sku).limit(limit).into_boxed();
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

    /// This store's listings of these SKUs, by SKU.
    pub fn paired(&mut self, store: StoreId, skus: &[&str]) -> Result<HashMap<String, Listing>> {
        let scope = self.scope();
        let mut found = HashMap::new();
        for chunk in skus.chunks(ROWS_PER_STATEMENT) {
            let rows: Vec<ListingRow> = on!(self.conn, c => scope.listings()
                .filter(listings::store_id.eq(store.bytes())).filter(listings::sku.eq_any(chunk)).load(c))?;
            for row in rows {
                found.insert(row.sku.clone(), row.listing()?);
            }
        }
        Ok(found)
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
        self.cancel_pushes_of(&[id], "The listing was unpaired.", now)?;
        self.scatter_packs(&[(store, id)])?;
        on!(self.conn, c => diesel::delete(scope.listings().filter(listings::id.eq(id.bytes()))).execute(c))?;
        row.listing()
    }
}
