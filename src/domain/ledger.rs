//! The ledger's book: stock events applied to levels, and the increases that follow from them.
//!
//! A [`Book`] holds everything that one seller's events touch, as it is stored. Events are applied to it in order; then
//! [`Book::changes`] says what to write. Nothing else changes what is available.
use super::push::{Addressee, Push};
use super::settings::{Rule, StoreRules, SyncSettings};
use super::stock::{Levels, StockEvent};
use super::targets::{SellerRules, SkuListings};
use super::{EventId, FieldError, ListingId, Timestamp, WarehouseCode};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// Bounds of the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// SKUs that a seller may have.
    pub skus_per_seller: i64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { skus_per_seller: 100_000 }
    }
}

/// One stock event and the digest of its body.
#[derive(Debug, Clone)]
pub struct NewEvent {
    /// The event.
    pub event: StockEvent,
    /// SHA-256 of its canonical form: distinguishes a repeat from another event with the same id.
    pub hash: [u8; 32],
}

/// The result of one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventResult {
    /// Recorded.
    Accepted {
        /// When.
        at: Timestamp,
    },
    /// Recorded before.
    Duplicate {
        /// When it was first accepted.
        at: Timestamp,
    },
    /// Not recorded; nothing changed. Pointers are relative to the event.
    Rejected {
        /// The event's id.
        event_id: EventId,
        /// Why.
        errors: Vec<FieldError>,
        /// The id already belongs to another event.
        conflict: bool,
    },
}

impl EventResult {
    /// A rejection because of the field at `pointer`.
    pub fn rejected(event: &StockEvent, pointer: &str, detail: &str) -> Self {
        Self::Rejected { event_id: event.event_id.clone(), errors: vec![FieldError::new(pointer, detail)], conflict: false }
    }

    fn conflicting(event: &StockEvent) -> Self {
        let error = FieldError::new("/event_id", "is already the id of another event; nothing was changed");
        Self::Rejected { event_id: event.event_id.clone(), errors: vec![error], conflict: true }
    }
}

/// What is stored about a seller, as far as a group of events touches it.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The seller's settings.
    pub settings: SyncSettings,
    /// How many SKUs the seller has.
    pub sku_count: i64,
    /// All stores, each with whether its pushes are held.
    pub stores: Vec<(StoreRules, bool)>,
    /// The general rules, and those of the events' SKUs.
    pub rules: Vec<Rule>,
    /// All warehouses.
    pub warehouses: HashSet<WarehouseCode>,
    /// Which of the events' SKUs exist.
    pub skus: HashSet<String>,
    /// What is available of them.
    pub levels: HashMap<String, Levels>,
    /// Their listings, by store and then by id. Needed only while increases are computed.
    pub listings: HashMap<String, Vec<Addressee>>,
    /// Pushes of these listings. Increases that can be merged into are used; others are ignored.
    pub pushes: Vec<Push>,
    /// Which of the events' ids were recorded before, with the digest of the body and the time.
    pub seen: HashMap<String, (Vec<u8>, Timestamp)>,
}

impl Facts {
    /// A seller with nothing yet.
    pub fn new(settings: SyncSettings, sku_count: i64) -> Self {
        Self {
            settings,
            sku_count,
            stores: Vec::new(),
            rules: Vec::new(),
            warehouses: HashSet::new(),
            skus: HashSet::new(),
            levels: HashMap::new(),
            listings: HashMap::new(),
            pushes: Vec::new(),
            seen: HashMap::new(),
        }
    }
}

/// What to write after a group of events, beside the accepted events themselves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// SKUs that were seen for the first time, and when.
    pub new_skus: Vec<(String, Timestamp)>,
    /// How many SKUs the seller has now.
    pub sku_count: i64,
    /// Levels that changed, by SKU and warehouse.
    pub levels: BTreeMap<(String, WarehouseCode), i64>,
    /// Pushes that are new or were merged into.
    pub pushes: Vec<Push>,
}

/// One seller's ledger while events are applied.
#[derive(Debug, Clone)]
pub struct Book {
    rules: SellerRules,
    warehouses: HashSet<WarehouseCode>,
    skus: HashSet<String>,
    sku_count: i64,
    levels: HashMap<String, Levels>,
    /// Listings of SKUs of which no increase has been computed yet.
    unresolved: HashMap<String, Vec<Addressee>>,
    listings: HashMap<String, SkuListings<Addressee>>,
    /// At most one for each listing.
    waiting: HashMap<ListingId, Push>,
    seen: HashMap<String, (Vec<u8>, Timestamp)>,
    new_skus: Vec<(String, Timestamp)>,
    changed_levels: BTreeMap<(String, WarehouseCode), i64>,
    changed_pushes: BTreeSet<ListingId>,
}

impl Book {
    /// The book of a seller as it is stored.
    pub fn new(facts: Facts) -> Self {
        let waiting = facts.pushes.into_iter().filter(Push::is_mergeable).map(|push| (push.listing_id(), push)).collect();
        Self {
            rules: SellerRules::new(facts.settings, facts.stores, facts.rules),
            warehouses: facts.warehouses,
            skus: facts.skus,
            sku_count: facts.sku_count,
            levels: facts.levels,
            unresolved: facts.listings,
            listings: HashMap::new(),
            waiting,
            seen: facts.seen,
            new_skus: Vec::new(),
            changed_levels: BTreeMap::new(),
            changed_pushes: BTreeSet::new(),
        }
    }

    /// Applies one event, received at `now`: once for each id, completely or not at all.
    pub fn apply(&mut self, new: &NewEvent, now: Timestamp, limits: Limits) -> EventResult {
        let event = &new.event;
        if let Some((hash, at)) = self.seen.get(event.event_id.as_str()) {
            return if hash.as_slice() == new.hash { EventResult::Duplicate { at: *at } } else { EventResult::conflicting(event) };
        }
        let (before, after) = match self.check(event, limits) {
            Ok(levels) => levels,
            Err(rejected) => return rejected,
        };
        let sku = event.sku.as_str();
        if self.skus.insert(sku.to_owned()) {
            self.new_skus.push((sku.to_owned(), now));
            self.sku_count += 1;
        }
        let settings = self.rules.settings();
        if settings.is_incremental() && event.kind.triggers(settings.trigger_on_cancellation) {
            self.push_increases(sku, &before, &after, now);
        }
        let changed = after.iter().filter(|(warehouse, level)| before.get(*warehouse) != Some(*level));
        self.changed_levels.extend(changed.map(|(warehouse, level)| ((sku.to_owned(), warehouse.clone()), *level)));
        self.levels.insert(sku.to_owned(), after);
        self.seen.insert(event.event_id.to_string(), (new.hash.to_vec(), now));
        EventResult::Accepted { at: now }
    }

    /// How many listings the events concern, before the first is applied.
    pub fn listing_count(&self) -> usize {
        self.unresolved.values().map(Vec::len).sum()
    }

    /// How many pushes are new or were merged into.
    pub fn changed_pushes(&self) -> usize {
        self.changed_pushes.len()
    }

    /// What the applied events changed.
    pub fn changes(mut self) -> Changes {
        Changes {
            new_skus: self.new_skus,
            sku_count: self.sku_count,
            levels: self.changed_levels,
            pushes: self.changed_pushes.iter().filter_map(|listing| self.waiting.remove(listing)).collect(),
        }
    }

    /// The levels of the event's SKU before and after it.
    fn check(&self, event: &StockEvent, limits: Limits) -> Result<(Levels, Levels), EventResult> {
        for (code, pointer) in [(Some(&event.warehouse), "/warehouse"), (event.to_warehouse.as_ref(), "/to_warehouse")] {
            if code.is_some_and(|code| !self.warehouses.contains(code)) {
                return Err(EventResult::rejected(event, pointer, "there is no such warehouse; create it first"));
            }
        }
        let sku = event.sku.as_str();
        if self.sku_count >= limits.skus_per_seller && !self.skus.contains(sku) {
            let detail = format!("would exceed the limit of {} SKUs per seller", limits.skus_per_seller);
            return Err(EventResult::rejected(event, "/sku", &detail));
        }
        let before = self.levels.get(sku).cloned().unwrap_or_default();
        match event.apply(&before) {
            Ok(after) => Ok((before, after)),
            Err(_) => Err(EventResult::rejected(event, "/quantity", "would take the available quantity out of bounds")),
        }
    }

    /// Each listing's increase joins the one that waits for it, or becomes a push of its own.
    fn push_increases(&mut self, sku: &str, before: &Levels, after: &Levels, now: Timestamp) {
        if let Some(listings) = self.unresolved.remove(sku) {
            let resolved = self.rules.listings_of(sku, listings.into_iter().map(|to| (to.store_id, to)));
            self.listings.insert(sku.to_owned(), resolved);
        }
        let Some(listings) = self.listings.get(sku) else { return };
        for (to, units) in listings.increases(before, after) {
            match self.waiting.get_mut(&to.listing_id) {
                Some(waiting) => waiting.add(units, now),
                None => {
                    let push = Push::increase(to.clone(), units, now, self.rules.is_held(to.store_id));
                    self.waiting.insert(to.listing_id, push);
                }
            }
            self.changed_pushes.insert(to.listing_id);
        }
    }
}

#[cfg(test)]
mod tests;
