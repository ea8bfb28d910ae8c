//! What listings should show.
use crate::db::connection::on;
use crate::db::listings::Listing;
use crate::db::schema::listings;
use crate::db::sets::{among, among_ids};
use crate::db::{Result, Tenant, id_of, units_of};
use crate::domain::allocation::{AllocationMode, DecidedBy};
use crate::domain::push::Addressee;
use crate::domain::targets::SellerRules;
use crate::domain::units::UnitsEach;
use crate::domain::{ListingId, StoreId};
use diesel::prelude::*;
use std::collections::{BTreeMap, HashMap};

/// Listings of each SKU with their stores and units.
type Listed = BTreeMap<String, Vec<(StoreId, UnitsEach, ListingId)>>;

impl Tenant<'_> {
    /// Which rule has the first say in the target of each of these listings.
    pub fn deciding_rules(&mut self, of: &[Listing]) -> Result<HashMap<ListingId, DecidedBy>> {
        let mut skus: Vec<String> = of.iter().map(|listing| listing.sku.clone()).collect();
        skus.sort_unstable();
        skus.dedup();
        let rules = self.seller_rules(&skus)?;
        Ok(of.iter().map(|listing| (listing.id, rules.decided_by(listing.store_id, &listing.sku))).collect())
    }

    /// The targets of listings by the current rules and levels; `None` for one that is not to be pushed.
    pub fn targets_of(&mut self, of: &[ListingId]) -> Result<HashMap<ListingId, Option<i64>>> {
        let scope = self.scope();
        let ids: Vec<Vec<u8>> = of.iter().map(|id| id.bytes()).collect();
        let mut skus: Vec<String> =
            on!(self.conn, c => scope.listings().select(listings::sku).filter(among_ids(listings::id, ids)).load(c))?;
        skus.sort_unstable();
        skus.dedup();
        let rules = self.seller_rules(&skus)?;
        let listed = self.listed(&skus)?;
        self.targets_by(&rules, listed, &skus)
    }

    /// As [`Self::targets_of`], for listings that are known to be paired like this.
    pub(in crate::db) fn targets_of_paired(&mut self, paired: &[&Addressee]) -> Result<HashMap<ListingId, Option<i64>>> {
        let mut skus: Vec<String> = paired.iter().map(|to| to.sku.clone()).collect();
        skus.sort_unstable();
        skus.dedup();
        let rules = self.seller_rules(&skus)?;
        let has_multiples = paired.iter().any(|to| rules.has_multiples(to.store_id));
        if has_multiples || rules.settings().allocation_mode == AllocationMode::Exclusive {
            let listed = self.listed(&skus)?;
            return self.targets_by(&rules, listed, &skus);
        }
        // Each of them is one unit, and no listing's target depends on another listing.
        let mut listed = Listed::new();
        for to in paired {
            listed.entry(to.sku.clone()).or_default().push((to.store_id, UnitsEach::ONE, to.listing_id));
        }
        self.targets_by(&rules, listed, &skus)
    }

    /// All listings of these SKUs, always in the same order.
    fn listed(&mut self, skus: &[String]) -> Result<Listed> {
        let scope = self.scope();
        let mut listed = Listed::new();
        let mut siblings: Vec<(Vec<u8>, Vec<u8>, String, i64)> = on!(self.conn, c => scope.listings()
            .select((listings::store_id, listings::id, listings::sku, listings::units))
            .filter(among(listings::sku, skus.to_vec())).load(c))?;
        // Sorted here: to return them in order, SQLite would scan all the seller's listings.
        siblings.sort_unstable();
        for (store, id, sku, units) in siblings {
            let store = id_of(&store, StoreId::from_bytes, "listings.store_id")?;
            let id = id_of(&id, ListingId::from_bytes, "listings.id")?;
            listed.entry(sku).or_default().push((store, units_of(units)?, id));
        }
        Ok(listed)
    }

    fn targets_by(&mut self, rules: &SellerRules, listed: Listed, skus: &[String]) -> Result<HashMap<ListingId, Option<i64>>> {
        let stocks = self.stocks(skus, rules.settings().has_bundles)?;
        let mut found = HashMap::new();
        for (sku, listed) in listed {
            let listings = rules.listings_of(&sku, listed);
            found.extend(listings.targets(stocks.of(&sku)).map(|(id, target)| (*id, target)));
        }
        Ok(found)
    }
}
