//! What is wrong in each store, counted for people to see: rejected updates, and listings that do not show their target.
use super::connection::on;
use super::pushes::{is_confirmed, is_overwrite, is_rejected};
use super::schema::{listings, pushes};
use super::sets::among_ids;
use super::{ROWS_PER_STATEMENT, Result, Tenant, id_of};
use crate::domain::{ListingId, StoreId, Timestamp};
use diesel::prelude::*;
use std::collections::{HashMap, HashSet};

/// The most rejected updates looked at; more than these are not counted.
const MAX_REJECTED: i64 = 1_000;
/// The most listings compared with their targets, over all stores, so that a page costs the same for a seller of any size.
const MAX_COMPARED: usize = 1_000;
/// The most stores whose listings are compared.
const MAX_STORES_COMPARED: usize = 50;

/// What is wrong in a store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Troubles {
    /// Listings with a rejected update that nothing later made up for.
    pub rejected: i64,
    /// Listings that last showed something other than their target.
    pub differ: i64,
    /// Listings that have a target, and whose quantity in the store is unknown.
    pub unknown: i64,
    /// The store has more listings than were compared.
    pub partly: bool,
}

impl Tenant<'_> {
    /// The troubles of these stores. Of a store with very many listings, only some are compared with their targets.
    pub fn troubles(&mut self, stores: &[StoreId]) -> Result<HashMap<StoreId, Troubles>> {
        let mut found: HashMap<StoreId, Troubles> = HashMap::new();
        for store in self.rejected_listings()? {
            found.entry(store).or_default().rejected += 1;
        }
        let stores = stores.get(..MAX_STORES_COMPARED).unwrap_or(stores);
        let each = i64::try_from(MAX_COMPARED / stores.len().max(1)).unwrap_or(i64::MAX);
        let mut compared = Vec::new();
        for store in stores {
            let listings = self.search_listings(*store, "", false, None, each)?;
            found.entry(*store).or_default().partly = i64::try_from(listings.len()).is_ok_and(|number| number == each);
            compared.extend(listings);
        }
        let targets = self.targets_of(&compared.iter().map(|listing| listing.id).collect::<Vec<_>>())?;
        for listing in compared {
            let Some(target) = targets.get(&listing.id).copied().flatten() else { continue };
            match listing.shown {
                Some(shown) if shown == target => {}
                Some(_) => found.entry(listing.store_id).or_default().differ += 1,
                None => found.entry(listing.store_id).or_default().unknown += 1,
            }
        }
        Ok(found)
    }

    /// How many of these listings show something other than their target, or are unknown.
    pub fn compared(&mut self, ids: &[ListingId]) -> Result<Troubles> {
        let mut found = Troubles::default();
        for chunk in ids.chunks(ROWS_PER_STATEMENT) {
            let (scope, keys) = (self.scope(), chunk.iter().map(ListingId::bytes).collect::<Vec<_>>());
            let shown: Vec<(Vec<u8>, Option<i64>)> = on!(self.conn, c => scope.listings().filter(among_ids(listings::id, keys))
                .select((listings::id, listings::shown)).load(c))?;
            let targets = self.targets_of(chunk)?;
            for (id, shown) in shown {
                let target = targets.get(&id_of(&id, ListingId::from_bytes, "listings.id")?).copied().flatten();
                match target.map(|target| shown.map(|shown| shown == target)) {
                    None | Some(Some(true)) => {}
                    Some(Some(false)) => found.differ += 1,
                    Some(None) => found.unknown += 1,
                }
            }
        }
        Ok(found)
    }

    /// The store of each listing with a rejected update that still matters: an increase that no overwrite contains, or an
    /// overwrite after which no other one succeeded.
    fn rejected_listings(&mut self) -> Result<Vec<StoreId>> {
        let scope = self.scope();
        let mut open: Vec<(Vec<u8>, Vec<u8>, String, Timestamp)> = on!(self.conn, c => scope.pushes()
            .filter(is_rejected()).filter(is_overwrite().or(pushes::contained.eq(false)))
            .order(pushes::id.desc()).limit(MAX_REJECTED)
            .select((pushes::id, pushes::listing_id, pushes::sku, pushes::updated_at)).load(c))?;
        let Some(since) = open.iter().map(|(id, ..)| id.clone()).min() else { return Ok(Vec::new()) };
        let skus: HashSet<&str> = open.iter().map(|(_, _, sku, _)| sku.as_str()).collect();
        let skus: Vec<&str> = skus.into_iter().collect();
        let later: Vec<(Vec<u8>, Option<Timestamp>)> = on!(self.conn, c => scope.pushes()
            .filter(pushes::sku.eq_any(&skus)).filter(pushes::id.gt(&since))
            .filter(is_confirmed()).filter(is_overwrite())
            .group_by(pushes::listing_id).select((pushes::listing_id, diesel::dsl::max(pushes::confirmed_at))).load(c))?;
        let later: HashMap<Vec<u8>, Option<Timestamp>> = later.into_iter().collect();
        open.retain(|(_, listing, _, rejected_at)| later.get(listing).copied().flatten().is_none_or(|last| last < *rejected_at));
        let ids: Vec<&Vec<u8>> = open.iter().map(|(_, listing, ..)| listing).collect();
        let there: Vec<(Vec<u8>, Vec<u8>)> = on!(self.conn, c => scope.listings().filter(listings::id.eq_any(&ids))
            .select((listings::id, listings::store_id)).load(c))?;
        let there: HashMap<&Vec<u8>, &Vec<u8>> = there.iter().map(|(listing, store)| (listing, store)).collect();
        let mut wanted: HashMap<ListingId, (StoreId, String, Timestamp)> = HashMap::new();
        for (_, listing, sku, rejected_at) in &open {
            let Some(store) = there.get(listing) else { continue };
            let store = id_of(store, StoreId::from_bytes, "listings.store_id")?;
            let listing = id_of(listing, ListingId::from_bytes, "pushes.listing_id")?;
            let (_, _, latest) = wanted.entry(listing).or_insert_with(|| (store, sku.clone(), *rejected_at));
            *latest = (*latest).max(*rejected_at);
        }
        let made_up = self.packed_since(&since, &wanted)?;
        Ok(wanted.into_iter().filter(|(listing, _)| !made_up.contains(listing)).map(|(_, (store, ..))| store).collect())
    }
}
