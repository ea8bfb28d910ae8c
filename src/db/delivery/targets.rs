//! What listings should show.
use crate::db::connection::on;
use crate::db::listings::Listing;
use crate::db::schema::{listings, stock_levels};
use crate::db::sets::{among, among_ids};
use crate::db::{Error, Result, Tenant, id_of};
use crate::domain::allocation::DecidedBy;
use crate::domain::stock::Levels;
use crate::domain::{ListingId, StoreId, WarehouseCode};
use diesel::prelude::*;
use std::collections::{BTreeMap, HashMap};

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
        let mut by_sku: BTreeMap<String, Vec<(StoreId, ListingId)>> = BTreeMap::new();
        let mut siblings: Vec<(Vec<u8>, Vec<u8>, String)> = on!(self.conn, c => scope.listings().select((listings::store_id, listings::id, listings::sku))
            .filter(among(listings::sku, skus.clone())).load(c))?;
        // Sorted here: to return them in order, SQLite would scan all the seller's listings.
        siblings.sort_unstable();
        for (store, id, sku) in siblings {
            let entry = (id_of(&store, StoreId::from_bytes, "listings.store_id")?, id_of(&id, ListingId::from_bytes, "listings.id")?);
            by_sku.entry(sku).or_default().push(entry);
        }
        let mut levels: HashMap<String, Levels> = HashMap::new();
        let rows: Vec<(String, String, i64)> = on!(self.conn, c => scope.stock_levels()
            .select((stock_levels::sku, stock_levels::warehouse, stock_levels::available))
            .filter(among(stock_levels::sku, skus.clone())).load(c))?;
        for (sku, code, available) in rows {
            levels.entry(sku).or_default().insert(WarehouseCode::parse(&code).map_err(Error::Corrupt)?, available);
        }
        let mut found = HashMap::new();
        let none = Levels::new();
        for (sku, listed) in by_sku {
            let listings = rules.listings_of(&sku, listed);
            found.extend(listings.targets(levels.get(&sku).unwrap_or(&none)).map(|(id, target)| (*id, target)));
        }
        Ok(found)
    }
}
