//! What a seller's settings, stores and rules say about each listing: whether it is pushed, its target, and whether its
//! pushes are held. The ledger, overwrites, runs and previews resolve rules and compute targets here and nowhere else.
use super::allocation::{AllocationMode, DecidedBy, ListingRules, targets};
use super::bundle::Stock;
use super::falls::{Cause, Falls};
use super::pause::{self, Hold, Pause};
use super::settings::{Rule, Rules, StoreRules, SyncSettings};
use super::stock::EventKind;
use super::units::UnitsEach;
use super::{StoreId, Timestamp};
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

/// Everything that a seller's targets depend on, except what is available.
#[derive(Debug, Clone)]
pub struct SellerRules {
    settings: SyncSettings,
    stores: BTreeMap<StoreId, StoreTerms>,
    rules: Rules,
    paused_skus: Arc<HashSet<String>>,
    /// Those of all stores together.
    falls: Falls,
}

#[derive(Debug, Clone)]
struct StoreTerms {
    rules: StoreRules,
    hold: Hold,
}

impl SellerRules {
    /// `stores` are all of the seller's stores, each with what holds its pushes. `rules` may leave out the rules of
    /// SKUs that are not asked about.
    pub fn new<H: Into<Hold>>(
        settings: SyncSettings,
        stores: impl IntoIterator<Item = (StoreRules, H)>,
        rules: impl IntoIterator<Item = Rule>,
    ) -> Self {
        let terms = |(rules, hold): (StoreRules, H)| (rules.store_id, StoreTerms { rules, hold: hold.into() });
        let stores: BTreeMap<StoreId, StoreTerms> = stores.into_iter().map(terms).collect();
        let falls = stores.values().fold(Falls::default(), |all, terms| all.or(terms.rules.falls));
        Self { settings, stores, rules: rules.into_iter().collect(), paused_skus: Arc::default(), falls }
    }

    /// The same with these SKUs paused; without this, it is for claims to find out.
    #[must_use]
    pub fn pausing(self, skus: HashSet<String>) -> Self {
        Self { paused_skus: Arc::new(skus), ..self }
    }

    /// The same with further rules, such as those of a SKU.
    #[must_use]
    pub fn with(&self, rules: impl IntoIterator<Item = Rule>) -> Self {
        let mut all = self.clone();
        all.rules.extend(rules);
        all
    }

    /// The seller's settings.
    pub fn settings(&self) -> &SyncSettings {
        &self.settings
    }

    /// Whether an event for this cause may be pushed at once to any listing.
    pub fn may_push(&self, cause: &Cause<'_>) -> bool {
        self.settings.is_incremental() && (self.raises(cause) || cause.may_be_any_of(self.falls))
    }

    /// Whether what an event for this cause does to the target of a listing is pushed at once: `units` more, or fewer below 0.
    pub fn pushes(&self, cause: &Cause<'_>, store: StoreId, sku: &str, units: i64) -> bool {
        let Some(terms) = self.stores.get(&store).filter(|_| self.settings.is_incremental()) else { return false };
        match units {
            1.. => self.raises(cause) && !(self.restocks(store, cause.kind) && cause.is_done_by(store, sku)),
            0 => false,
            _ => cause.of_fall(store, sku).is_some_and(|reason| terms.rules.falls.contains(reason)),
        }
    }

    /// Whether this store puts back on sale by itself what comes by an event of this kind.
    pub fn restocks(&self, store: StoreId, kind: EventKind) -> bool {
        self.stores.get(&store).is_some_and(|terms| terms.rules.restocks.puts_back(kind))
    }

    fn raises(&self, cause: &Cause<'_>) -> bool {
        cause.kind.triggers(self.settings.trigger_on_cancellation)
    }

    /// Whether the seller has this store.
    pub fn has_store(&self, store: StoreId) -> bool {
        self.stores.contains_key(&store)
    }

    /// Whether listings of this store may be more than one unit of their SKU.
    pub fn has_multiples(&self, store: StoreId) -> bool {
        self.stores.get(&store).is_some_and(|terms| terms.rules.has_multiples)
    }

    /// Whether several listings of this store may show the same SKU.
    pub fn repeats_skus(&self, store: StoreId) -> bool {
        self.stores.get(&store).is_some_and(|terms| terms.rules.repeats_skus)
    }

    /// Whether pushes to this store wait at `now`: it is paused, in a frozen window, or needs reauthorization.
    pub fn is_held(&self, store: StoreId, now: Timestamp) -> bool {
        self.stores.get(&store).is_some_and(|terms| terms.hold.holds(now))
    }

    /// The pause of a listing of this SKU in this store, if one is on at `now`.
    pub fn pause(&self, store: StoreId, sku: &str, now: Timestamp) -> Option<Pause> {
        let of_store = self.stores.get(&store).and_then(|terms| terms.hold.pause(now));
        pause::of_listing(of_store, self.paused_skus.contains(sku))
    }

    /// Whether a listing of this SKU in this store is pushed.
    pub fn is_pushed(&self, store: StoreId, sku: &str) -> bool {
        // However many units it is.
        let resolve = |terms: &StoreTerms| self.rules.resolve(&self.settings, &terms.rules, sku, UnitsEach::ONE);
        self.stores.get(&store).is_some_and(|terms| resolve(terms).is_pushed())
    }

    /// The most specific rule that has a say in the target of a listing of this SKU in this store.
    pub fn decided_by(&self, store: StoreId, sku: &str) -> DecidedBy {
        self.stores.get(&store).map_or(DecidedBy::Seller, |terms| self.rules.decided_by(&terms.rules, sku))
    }

    /// The listings of one SKU with their rules. In exclusive mode they share its pool, so all of them are needed, always
    /// in the same order. A listing in a store that does not exist takes no part. Each is given with its store and its units.
    pub fn listings_of<L>(&self, sku: &str, listings: impl IntoIterator<Item = (StoreId, UnitsEach, L)>) -> SkuListings<L> {
        let resolved = |(store, units, listing)| {
            let terms = self.stores.get(&store)?;
            Some((listing, self.rules.resolve(&self.settings, &terms.rules, sku, units)))
        };
        let (listings, rules) = listings.into_iter().filter_map(resolved).unzip();
        SkuListings { mode: self.settings.allocation_mode, listings, rules }
    }

    /// How many listings are pushed, and in how many stores, given what each store lists.
    pub fn extent(&self, listed: &BTreeMap<StoreId, Listed>) -> Extent {
        let mut extent = Extent::default();
        for (store, listed) in listed {
            // A rule of a SKU concerns that SKU's listings alone; every other listing is decided by the general rules.
            let general = if self.is_pushed(*store, "") { listed.total - listed.with_own_rules } else { 0 };
            let pushed = listed.pushed_by_own_rules + general;
            extent.listings += pushed;
            extent.stores += i64::from(pushed > 0);
        }
        extent
    }
}

/// How many listings a store has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Listed {
    /// All of them.
    pub total: i64,
    /// Those whose SKUs have rules of their own.
    pub with_own_rules: i64,
    /// Those of them that are pushed.
    pub pushed_by_own_rules: i64,
}

/// What an overwrite of everything would concern.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Extent {
    /// Listings that are pushed.
    pub listings: i64,
    /// Stores with such listings.
    pub stores: i64,
}

/// The listings of one SKU with their rules.
#[derive(Debug, Clone)]
pub struct SkuListings<L> {
    mode: AllocationMode,
    listings: Vec<L>,
    rules: Vec<ListingRules>,
}

impl<L> SkuListings<L> {
    /// The listings, in their order.
    pub fn listings(&self) -> &[L] {
        &self.listings
    }

    /// The target of each listing; `None` where it is not pushed.
    pub fn targets<'s>(&self, stock: impl Into<Stock<'s>>) -> impl Iterator<Item = (&L, Option<i64>)> {
        let targets = targets(self.mode, stock, &self.rules);
        let of_each = self.listings.iter().zip(&self.rules).zip(targets);
        of_each.map(|((listing, rules), target)| (listing, rules.is_pushed().then_some(target.shown)))
    }

    /// The listings whose target moves, each with target(after) − target(before).
    pub fn moves<'s>(&self, before: impl Into<Stock<'s>>, after: impl Into<Stock<'s>>) -> impl Iterator<Item = (&L, i64)> {
        let moved = |((listing, before), (_, after)): ((_, Option<i64>), (_, Option<i64>))| Some((listing, after? - before?));
        self.targets(before).zip(self.targets(after)).filter_map(moved).filter(|(_, units)| *units != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::allocation::Share;
    use crate::domain::falls::Restocks;
    use crate::domain::stock::Levels;
    use crate::domain::{Sku, Timestamp, WarehouseCode};

    fn store() -> StoreRules {
        StoreRules {
            store_id: StoreId::new(Timestamp::default()),
            share: Some(Share::ALL),
            sync_enabled: true,
            warehouses: None,
            has_multiples: false,
            falls: Falls::default(),
            restocks: Restocks::default(),
            repeats_skus: false,
        }
    }
    fn off(sku: &str) -> Rule {
        Rule { sku: Some(Sku::parse(sku).unwrap()), sync_enabled: Some(false), ..Rule::default() }
    }
    fn rules(stores: &[&StoreRules], rules: Vec<Rule>) -> SellerRules {
        let settings = SyncSettings::new(chrono_tz::UTC, Timestamp::default());
        SellerRules::new(settings, stores.iter().map(|store| ((*store).clone(), false)), rules)
    }

    #[test]
    fn a_rule_of_a_sku_is_combined_with_the_general_rules() {
        let shop = store();
        let keep =
            |sku: Option<&str>, buffer, threshold| Rule { sku: sku.map(|s| Sku::parse(s).unwrap()), buffer, threshold, ..Rule::default() };
        let rules = rules(&[&shop], vec![keep(None, Some(2), Some(5)), keep(Some("A"), Some(4), None)]);
        let target = |sku: &str, available| {
            let levels = Levels::from([(WarehouseCode::main(), available)]);
            rules.listings_of(sku, [(shop.store_id, UnitsEach::ONE, ())]).targets(&levels).map(|(_, target)| target).collect::<Vec<_>>()
        };
        assert_eq!((target("A", 10), target("B", 10)), (vec![Some(6)], vec![Some(8)]));
        assert_eq!((target("A", 8), target("B", 8)), (vec![Some(0)], vec![Some(6)]), "the threshold is for both");
    }

    #[test]
    fn a_listing_that_is_not_pushed_has_no_target_and_one_without_a_store_takes_no_part() {
        let (shop, gone) = (store(), store());
        let rules = rules(&[&shop], vec![off("A")]);
        assert!(!rules.is_pushed(shop.store_id, "A") && rules.is_pushed(shop.store_id, "B") && !rules.is_pushed(gone.store_id, "B"));
        let listings = rules.listings_of("A", [(shop.store_id, UnitsEach::ONE, 1), (gone.store_id, UnitsEach::ONE, 2)]);
        assert_eq!(listings.targets(&Levels::new()).collect::<Vec<_>>(), [(&1, None)]);
    }

    #[test]
    fn the_increases_of_a_six_pack_add_up_to_the_packs_that_are_there() {
        let shop = store();
        let listings = rules(&[&shop], Vec::new()).listings_of("A", [(shop.store_id, UnitsEach::check(6).unwrap(), ())]);
        let levels = |available| Levels::from([(WarehouseCode::main(), available)]);
        let rises: Vec<i64> =
            (-2..14).map(|available| listings.moves(&levels(available), &levels(available + 1)).map(|(_, units)| units).sum()).collect();
        assert_eq!(rises, [0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0, 0], "one with each sixth unit");
        let moves = |before, after| listings.moves(&levels(before), &levels(after)).map(|(_, units)| units).collect::<Vec<_>>();
        assert_eq!((moves(5, 30), moves(30, 5), moves(-7, 5)), (vec![5], vec![-5], Vec::new()));
    }

    #[test]
    fn an_extent_counts_the_listings_of_skus_with_rules_of_their_own_apart() {
        let (shop, closed) = (store(), StoreRules { sync_enabled: false, ..store() });
        let rules = rules(&[&shop, &closed], vec![off("A")]);
        let listed = |total, with_own_rules, pushed_by_own_rules| Listed { total, with_own_rules, pushed_by_own_rules };
        let of = |shop_lists| rules.extent(&BTreeMap::from([(shop.store_id, shop_lists), (closed.store_id, listed(7, 1, 0))]));
        assert_eq!(of(listed(5, 2, 1)), Extent { listings: 4, stores: 1 });
        assert_eq!(of(listed(5, 1, 0)), Extent { listings: 4, stores: 1 }, "by the general rules alone");
        assert_eq!(of(listed(1, 1, 0)), Extent { listings: 0, stores: 0 });
    }
}
