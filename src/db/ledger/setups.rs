//! What sellers have set up, remembered from one group of stock events to the next.
//!
//! What was read under one `setup_version` of a seller holds for as long as the seller has it: triggers draw another number
//! with every change. The version is read with the seller's row, which stays locked until the events are committed.
use crate::db::bundles::{ComponentRow, assembled};
use crate::db::connection::{Conn, on};
use crate::db::pauses::SKU_LEVEL;
use crate::db::schema::{bundle_components, listings, pauses, rules, warehouses};
use crate::db::scope::of_sellers;
use crate::db::settings::{RuleRow, SettingsRow};
use crate::db::stores::StoreRow;
use crate::db::{Error, Result, id_of, units_of};
use crate::domain::bundle::Ties;
use crate::domain::ledger::Setup;
use crate::domain::pause::Hold;
use crate::domain::push::Addressee;
use crate::domain::settings::{Rule, StoreRules, SyncSettings};
use crate::domain::targets::{SellerRules, SkuListings};
use crate::domain::units::UnitsEach;
use crate::domain::{ListingId, SellerId, StoreId, WarehouseCode};
use diesel::prelude::*;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

/// The most listings that are remembered, some 250 bytes each.
const MAX_LISTINGS: usize = 30_000;
/// The most sellers that are remembered, some 500 bytes each.
const MAX_SELLERS: usize = 10_000;

/// The listings of a SKU with their rules.
type Listings = Arc<SkuListings<Addressee>>;

/// What is remembered of sellers.
#[derive(Default)]
pub(in crate::db) struct Setups {
    sellers: HashMap<SellerId, Known>,
    listings: usize,
}

/// What is known of a seller.
struct Known {
    version: i64,
    setup: Arc<Setup>,
    /// The listings of some SKUs.
    listings: HashMap<String, Listings>,
    /// How some SKUs are tied to bundles.
    ties: HashMap<String, Arc<Ties>>,
}

impl Known {
    /// What it takes, counted in listings.
    fn listing_count(&self) -> usize {
        let listings: usize = self.listings.values().map(|of_sku| of_sku.listings().len().max(1)).sum();
        listings + self.ties.values().map(|ties| weight(ties)).sum::<usize>()
    }
}

/// What is read of a seller whose setup is not known.
#[derive(Default)]
struct Read {
    settings: Option<SyncSettings>,
    warehouses: HashSet<WarehouseCode>,
    stores: Vec<(StoreRules, Hold)>,
    rules: Vec<Rule>,
    paused_skus: HashSet<String>,
}

/// What ties take, counted in listings.
fn weight(ties: &Ties) -> usize {
    1 + ties.is.iter().chain(&ties.part_of).map(|bundle| bundle.components.len()).sum::<usize>()
}

impl Setups {
    /// The setups of these sellers, each given with its version. One whose settings are missing is being deleted.
    pub(super) fn of(&mut self, conn: &mut Conn, versions: &BTreeMap<SellerId, i64>) -> Result<BTreeMap<SellerId, Arc<Setup>>> {
        let is_current = |known: Option<&Known>, version: &i64| known.is_some_and(|known| known.version == *version);
        let mut read: BTreeMap<SellerId, Read> = BTreeMap::new();
        for (seller, version) in versions {
            if !is_current(self.sellers.get(seller), version) {
                self.forget(*seller);
                read.insert(*seller, Read::default());
            }
        }
        if !read.is_empty() {
            if self.sellers.len() + read.len() > MAX_SELLERS {
                *self = Self::default();
                // Those that were known are read as well.
                read = versions.keys().map(|seller| (*seller, Read::default())).collect();
            }
            self.learn(conn, read, versions)?;
        }
        Ok(versions.keys().filter_map(|seller| Some((*seller, Arc::clone(&self.sellers.get(seller)?.setup)))).collect())
    }

    fn forget(&mut self, seller: SellerId) {
        if let Some(known) = self.sellers.remove(&seller) {
            self.listings -= known.listing_count();
        }
    }

    fn learn(&mut self, conn: &mut Conn, mut read: BTreeMap<SellerId, Read>, versions: &BTreeMap<SellerId, i64>) -> Result<()> {
        let keys: Vec<Vec<u8>> = read.keys().map(SellerId::bytes).collect();
        let mut of = |key: &[u8], note: &mut dyn FnMut(&mut Read)| -> Result<()> {
            if let Some(read) = read.get_mut(&id_of(key, SellerId::from_bytes, "seller_id")?) {
                note(read);
            }
            Ok(())
        };
        let rows: Vec<SettingsRow> = on!(conn, c => of_sellers!(sync_settings, keys.clone()).load(c)?);
        for row in rows {
            let settings = row.settings()?;
            of(&row.seller_id, &mut |read| read.settings = Some(settings.clone()))?;
        }
        let rows: Vec<(Vec<u8>, String)> =
            on!(conn, c => of_sellers!(warehouses, keys.clone()).select((warehouses::seller_id, warehouses::code)).load(c)?);
        for (key, code) in rows {
            let code = WarehouseCode::parse(&code).map_err(Error::Corrupt)?;
            of(&key, &mut |read| read.warehouses.extend([code.clone()]))?;
        }
        let rows: Vec<StoreRow> = on!(conn, c => of_sellers!(stores, keys.clone()).load(c)?);
        for row in rows {
            let key = row.seller_id.clone();
            let store = row.store()?;
            of(&key, &mut |read| read.stores.push((store.rules(), store.hold())))?;
        }
        let rows: Vec<RuleRow> = on!(conn, c => of_sellers!(rules, keys.clone()).filter(rules::sku.is_null()).load(c)?);
        for row in rows {
            let rule = row.rule()?;
            of(&row.seller_id, &mut |read| read.rules.push(rule.clone()))?;
        }
        let rows: Vec<(Vec<u8>, String)> = on!(conn, c => of_sellers!(pauses, keys).filter(pauses::level.eq(SKU_LEVEL))
            .select((pauses::seller_id, pauses::subject)).load(c)?);
        for (key, sku) in rows {
            of(&key, &mut |read| read.paused_skus.extend([sku.clone()]))?;
        }
        for (seller, Read { settings, warehouses, stores, rules, paused_skus }) in read {
            let (Some(settings), Some(version)) = (settings, versions.get(&seller).copied()) else { continue };
            let setup = Arc::new(Setup { rules: SellerRules::new(settings, stores, rules).pausing(paused_skus), warehouses });
            self.sellers.insert(seller, Known { version, setup, listings: HashMap::new(), ties: HashMap::new() });
        }
        Ok(())
    }

    /// The listings of these SKUs of sellers whose setups were just asked for. A SKU without listings is missing.
    pub(super) fn listings(
        &mut self,
        conn: &mut Conn,
        wanted: &BTreeMap<SellerId, BTreeSet<String>>,
    ) -> Result<Vec<(SellerId, String, Listings)>> {
        let is_known =
            |seller: &SellerId, sku: &String| self.sellers.get(seller).is_some_and(|known: &Known| known.listings.contains_key(sku));
        let unknown = |(seller, skus): (&SellerId, &BTreeSet<String>)| {
            let unknown: BTreeSet<String> = skus.iter().filter(|sku| !is_known(seller, sku)).cloned().collect();
            (!unknown.is_empty()).then_some((*seller, unknown))
        };
        let unknown: BTreeMap<SellerId, BTreeSet<String>> = wanted.iter().filter_map(unknown).collect();
        let mut found = Vec::new();
        if !unknown.is_empty() {
            if self.listings > MAX_LISTINGS {
                self.make_room();
                return self.listings(conn, wanted);
            }
            self.learn_listings(conn, unknown)?;
        }
        for (seller, skus) in wanted {
            let Some(known) = self.sellers.get(seller) else { continue };
            found.extend(skus.iter().filter_map(|sku| Some((*seller, sku.clone(), Arc::clone(known.listings.get(sku)?)))));
        }
        found.retain(|(_, _, of_sku)| !of_sku.listings().is_empty());
        Ok(found)
    }

    /// Forgets the listings and ties of the sellers with the most, so that one with many does not cost the others what is known of them.
    fn make_room(&mut self) {
        let mut sizes: Vec<(usize, SellerId)> = self.sellers.iter().map(|(seller, known)| (known.listing_count(), *seller)).collect();
        sizes.sort_unstable_by_key(|(size, _)| std::cmp::Reverse(*size));
        for (size, seller) in sizes {
            if self.listings <= MAX_LISTINGS / 2 {
                return;
            }
            if let Some(known) = self.sellers.get_mut(&seller) {
                known.listings.clear();
                known.ties.clear();
                self.listings = self.listings.saturating_sub(size);
            }
        }
    }

    /// How these SKUs of sellers whose setups were just asked for are tied to bundles.
    pub(super) fn ties(
        &mut self,
        conn: &mut Conn,
        wanted: &BTreeMap<SellerId, BTreeSet<String>>,
    ) -> Result<Vec<(SellerId, String, Arc<Ties>)>> {
        let all = || wanted.iter().flat_map(|(seller, skus)| skus.iter().map(|sku| (*seller, sku)));
        if !all().all(|place| self.knows_ties(place)) {
            if self.listings > MAX_LISTINGS {
                self.make_room();
            }
            let unknown = all().filter(|place| !self.knows_ties(*place)).map(|(seller, sku)| (seller, sku.clone())).collect();
            self.learn_ties(conn, unknown)?;
        }
        let found = |(seller, sku): (SellerId, &String)| Some((seller, sku.clone(), Arc::clone(self.sellers.get(&seller)?.ties.get(sku)?)));
        Ok(all().filter_map(found).collect())
    }

    fn knows_ties(&self, (seller, sku): (SellerId, &String)) -> bool {
        self.sellers.get(&seller).is_some_and(|known| known.ties.contains_key(sku))
    }

    fn learn_ties(&mut self, conn: &mut Conn, unknown: BTreeSet<(SellerId, String)>) -> Result<()> {
        let pairs = || unknown.iter().map(|(seller, sku)| (seller.bytes(), sku.clone()));
        let columns = (bundle_components::seller_id, bundle_components::bundle, bundle_components::component, bundle_components::quantity);
        let of_components: Vec<(Vec<u8>, String)> = on!(conn, c => of_sellers!(bundle_components.component, pairs())
            .select((bundle_components::seller_id, bundle_components::bundle)).load(c)?);
        let bundles: BTreeSet<(Vec<u8>, String)> = of_components.into_iter().chain(pairs()).collect();
        type Row = (Vec<u8>, String, String, i64);
        let rows: Vec<Row> = on!(conn, c => of_sellers!(bundle_components.bundle, bundles.iter().cloned()).select(columns).load(c)?);
        let mut by_seller: BTreeMap<SellerId, Vec<ComponentRow>> = BTreeMap::new();
        for (key, bundle, component, quantity) in rows {
            let seller = id_of(&key, SellerId::from_bytes, "bundle_components.seller_id")?;
            by_seller.entry(seller).or_default().push((bundle, component, quantity));
        }
        let mut ties: BTreeMap<(SellerId, String), Ties> = unknown.into_iter().map(|place| (place, Ties::default())).collect();
        for (seller, rows) in by_seller {
            for (sku, bundle) in assembled(rows)? {
                for component in &bundle.components {
                    if let Some(ties) = ties.get_mut(&(seller, component.sku.to_string())) {
                        ties.part_of.push(Arc::clone(&bundle));
                    }
                }
                if let Some(ties) = ties.get_mut(&(seller, sku)) {
                    ties.is = Some(bundle);
                }
            }
        }
        for ((seller, sku), ties) in ties {
            let Some(known) = self.sellers.get_mut(&seller) else { continue };
            self.listings += weight(&ties);
            known.ties.insert(sku, Arc::new(ties));
        }
        Ok(())
    }

    fn learn_listings(&mut self, conn: &mut Conn, unknown: BTreeMap<SellerId, BTreeSet<String>>) -> Result<()> {
        type Listed = (Vec<u8>, Vec<u8>, Vec<u8>, String, String, Option<String>, i64);
        type OfSku = (StoreId, UnitsEach, Addressee);
        let pairs = || unknown.iter().flat_map(|(seller, skus)| skus.iter().map(|sku| (seller.bytes(), sku.clone())));
        let mut own: HashMap<(SellerId, String), Vec<Rule>> = HashMap::new();
        let rows: Vec<RuleRow> = on!(conn, c => of_sellers!(rules.sku, pairs()).load(c)?);
        for row in rows {
            let (seller, rule) = (id_of(&row.seller_id, SellerId::from_bytes, "rules.seller_id")?, row.rule()?);
            if let Some(sku) = &rule.sku {
                own.entry((seller, sku.to_string())).or_default().push(rule);
            }
        }
        let columns =
            (listings::seller_id, listings::store_id, listings::id, listings::sku, listings::external_id, listings::extra, listings::units);
        let mut rows: Vec<Listed> = on!(conn, c => of_sellers!(listings.sku, pairs()).select(columns).load(c)?);
        // Sorted by store here: to return them in order, SQLite would scan all the sellers' listings.
        rows.sort_unstable();
        let mut listed: HashMap<(SellerId, String), Vec<OfSku>> = HashMap::new();
        for (key, store, id, sku, external_id, extra, units) in rows {
            let seller = id_of(&key, SellerId::from_bytes, "listings.seller_id")?;
            let store_id = id_of(&store, StoreId::from_bytes, "listings.store_id")?;
            let listing_id = id_of(&id, ListingId::from_bytes, "listings.id")?;
            let to = Addressee { store_id, listing_id, sku: sku.clone(), external_id, extra };
            listed.entry((seller, sku)).or_default().push((store_id, units_of(units)?, to));
        }
        for (seller, skus) in unknown {
            let Some(known) = self.sellers.get_mut(&seller) else { continue };
            for sku in skus {
                let place = (seller, sku);
                let listed = listed.remove(&place).unwrap_or_default();
                let of_sku = match own.remove(&place) {
                    Some(own) => known.setup.rules.with(own).listings_of(&place.1, listed),
                    None => known.setup.rules.listings_of(&place.1, listed),
                };
                self.listings += of_sku.listings().len().max(1);
                known.listings.insert(place.1, Arc::new(of_sku));
            }
        }
        Ok(())
    }
}
