//! The ledger's book: stock events applied to levels, and the increases that follow from them.
//!
//! A [`Book`] holds everything that one seller's events touch, as it is stored. Events are applied to it in order; then
//! [`Book::changes`] says what to write. Nothing else changes what is available.
mod counts;
mod repeats;

use super::look_alikes::fold;
use super::pause::Level;
use super::push::{Addressee, Push};
use super::stock::{EventKind, Levels, StockEvent, add};
use super::targets::{SellerRules, SkuListings};
use super::{EventId, FieldError, ListingId, StoreId, Timestamp, WarehouseCode};
use counts::Counts;
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

pub use counts::{InCount, MAX_AHEAD, Moved, occurred};
pub use repeats::Seen;

/// Bounds of the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// SKUs that a seller may have.
    pub skus_per_seller: i64,
    /// How long events are kept. A repeat of an older one could not be recognized.
    pub events_kept_for: Duration,
}

impl Limits {
    /// How long events are kept, in words.
    fn kept(&self) -> String {
        match self.events_kept_for.as_secs() {
            seconds @ 172_800.. => format!("{} days", seconds / 86_400),
            seconds @ 7_200.. => format!("{} hours", seconds / 3_600),
            seconds => format!("{seconds} seconds"),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { skus_per_seller: 100_000, events_kept_for: Duration::from_secs(90 * 24 * 3600) }
    }
}

/// One stock event to record.
#[derive(Debug, Clone)]
pub struct NewEvent {
    /// The event.
    pub event: StockEvent,
    /// SHA-256 of its canonical form. Stored for former versions, which recognize a repeat by it.
    pub hash: [u8; 32],
    /// Whether its SKU is created if there is none.
    pub may_create_sku: bool,
    /// The store that has made a sale, which has lowered what that store shows.
    pub sold_by: Option<StoreId>,
}

/// What a client should know about an event that was recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// In plain words.
    pub reason: String,
    /// It changed nothing that is available.
    pub without_effect: bool,
    /// An older SKU that the event's new one looks like.
    pub similar_sku: Option<String>,
}

impl Remark {
    fn in_count(event: &StockEvent, in_count: InCount) -> Option<Self> {
        Some(Self { reason: in_count.reason(event)?, without_effect: in_count.is_whole(event), similar_sku: None })
    }

    fn similar(known: &str) -> Self {
        let reason = format!("This SKU is new and looks like {known}, which exists already. If it is a typo, correct it at its source.");
        Self { reason, without_effect: false, similar_sku: Some(known.to_owned()) }
    }
}

/// The result of one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventResult {
    /// Recorded.
    Accepted {
        /// When.
        at: Timestamp,
        /// What is unusual about it.
        remark: Option<Remark>,
        /// The parts of it that a newer count contains already.
        in_count: InCount,
    },
    /// Recorded before.
    Duplicate {
        /// When it was first accepted.
        at: Timestamp,
        /// What was unusual about it.
        remark: Option<Remark>,
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

/// What a seller has set up. It changes seldom, and every event is applied by it.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The settings, all stores, and the general rules.
    pub rules: SellerRules,
    /// All warehouses.
    pub warehouses: HashSet<WarehouseCode>,
}

/// What is stored about a seller, as far as a group of events touches it.
#[derive(Debug, Clone)]
pub struct Facts {
    /// What the seller has set up.
    pub setup: Arc<Setup>,
    /// How many SKUs the seller has.
    pub sku_count: i64,
    /// How many it may have, if the operator has set a limit for it.
    pub max_skus: Option<i64>,
    /// Which of the events' SKUs exist.
    pub skus: HashSet<String>,
    /// By [`fold`]ed form: SKUs that the events' new SKUs may be mistaken for.
    pub look_alikes: HashMap<String, String>,
    /// What is available of them.
    pub levels: HashMap<String, Levels>,
    /// As of when they were last counted, by warehouse.
    pub counted: HashMap<String, BTreeMap<WarehouseCode, Timestamp>>,
    /// For each count that says when it was made: what happened to its SKU after that time.
    pub since: HashMap<(String, Timestamp), Vec<Moved>>,
    /// Their listings with their rules, by store and then by id. Needed only while increases are computed.
    pub listings: HashMap<String, Arc<SkuListings<Addressee>>>,
    /// Pushes of these listings. Increases that can be merged into are used; others are ignored.
    pub pushes: Vec<Push>,
    /// The events that were recorded before, by id.
    pub seen: HashMap<String, Seen>,
}

impl Facts {
    /// A seller that has this setup, so many SKUs, and nothing that events touch.
    pub fn new(setup: Arc<Setup>, sku_count: i64) -> Self {
        Self {
            setup,
            sku_count,
            max_skus: None,
            skus: HashSet::new(),
            look_alikes: HashMap::new(),
            levels: HashMap::new(),
            counted: HashMap::new(),
            since: HashMap::new(),
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
    /// Levels that changed or were counted, by SKU and warehouse.
    pub levels: BTreeMap<(String, WarehouseCode), i64>,
    /// As of when they were counted; some of [`Self::levels`].
    pub counted: BTreeMap<(String, WarehouseCode), Timestamp>,
    /// Pushes that are new or were merged into.
    pub pushes: Vec<Push>,
}

/// What an event does to the levels of its SKU.
struct Applied {
    before: Levels,
    after: Levels,
    deltas: Vec<(WarehouseCode, i64)>,
    in_count: InCount,
}

/// One seller's ledger while events are applied.
#[derive(Debug, Clone)]
pub struct Book {
    setup: Arc<Setup>,
    skus: HashSet<String>,
    sku_count: i64,
    max_skus: Option<i64>,
    look_alikes: HashMap<String, String>,
    levels: HashMap<String, Levels>,
    counts: Counts,
    listings: HashMap<String, Arc<SkuListings<Addressee>>>,
    /// At most one for each listing.
    waiting: HashMap<ListingId, Push>,
    seen: HashMap<String, Seen>,
    new_skus: Vec<(String, Timestamp)>,
    changed_levels: BTreeMap<(String, WarehouseCode), i64>,
    changed_pushes: BTreeSet<ListingId>,
}

impl Book {
    /// The book of a seller as it is stored.
    pub fn new(facts: Facts) -> Self {
        let waiting = facts.pushes.into_iter().filter(Push::is_mergeable).map(|push| (push.listing_id(), push)).collect();
        Self {
            setup: facts.setup,
            skus: facts.skus,
            sku_count: facts.sku_count,
            max_skus: facts.max_skus,
            look_alikes: facts.look_alikes,
            levels: facts.levels,
            counts: Counts::new(facts.counted, facts.since),
            listings: facts.listings,
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
        if let Some(seen) = self.seen.get(event.event_id.as_str()) {
            if !seen.is_repeated_by(event) {
                return EventResult::conflicting(event);
            }
            return EventResult::Duplicate { at: seen.at, remark: Remark::in_count(event, seen.in_count) };
        }
        let at = occurred(event, now);
        let Applied { before, after, deltas, in_count } = match self.check(new, at, now, limits) {
            Ok(applied) => applied,
            Err(rejected) => return rejected,
        };
        let sku = event.sku.as_str();
        let mut remark = Remark::in_count(event, in_count);
        if self.skus.insert(sku.to_owned()) {
            self.new_skus.push((sku.to_owned(), now));
            self.sku_count += 1;
            let known = self.look_alikes.entry(fold(sku)).or_insert_with(|| sku.to_owned());
            remark = remark.or_else(|| (known != sku).then(|| Remark::similar(known)));
        }
        let settings = self.setup.rules.settings();
        if settings.is_incremental() && event.kind.triggers(settings.trigger_on_cancellation) {
            self.push_increases(sku, &before, &after, now);
        }
        let counted = event.kind == EventKind::Count && !in_count.here;
        let changed =
            after.iter().filter(|(warehouse, level)| before.get(*warehouse) != Some(*level) || (counted && **warehouse == event.warehouse));
        self.changed_levels.extend(changed.map(|(warehouse, level)| ((sku.to_owned(), warehouse.clone()), *level)));
        self.levels.insert(sku.to_owned(), after);
        self.counts.note(event, at, now, deltas);
        self.seen.insert(event.event_id.to_string(), Seen::new(event, now, in_count));
        EventResult::Accepted { at: now, remark, in_count }
    }

    /// How many listings the events concern.
    pub fn listing_count(&self) -> usize {
        self.listings.values().map(|listings| listings.listings().len()).sum()
    }

    /// How many pushes are new or were merged into.
    pub fn changed_pushes(&self) -> usize {
        self.changed_pushes.len()
    }

    /// What the applied events changed.
    pub fn changes(mut self) -> Changes {
        Changes {
            counted: self.counts.changed(),
            new_skus: self.new_skus,
            sku_count: self.sku_count,
            levels: self.changed_levels,
            pushes: self.changed_pushes.iter().filter_map(|listing| self.waiting.remove(listing)).collect(),
        }
    }

    /// What the event would change, or why it is refused.
    fn check(&self, new: &NewEvent, at: Option<Timestamp>, now: Timestamp, limits: Limits) -> Result<Applied, EventResult> {
        let event = &new.event;
        let oldest = now - limits.events_kept_for;
        if event.event_id.created_at().is_some_and(|created| created < oldest) {
            let detail =
                format!("was made more than {} ago, so a repeat could no longer be recognized; nothing was changed", limits.kept());
            return Err(EventResult::rejected(event, "/event_id", &detail));
        }
        if event.kind == EventKind::Count && at.is_some_and(|at| at < oldest) {
            let detail = format!("is more than {} ago; what happened since then is no longer known", limits.kept());
            return Err(EventResult::rejected(event, "/occurred_at", &detail));
        }
        for (code, pointer) in [(Some(&event.warehouse), "/warehouse"), (event.to_warehouse.as_ref(), "/to_warehouse")] {
            if code.is_some_and(|code| !self.setup.warehouses.contains(code)) {
                return Err(EventResult::rejected(event, pointer, "there is no such warehouse; create it first"));
            }
        }
        if new.sold_by.is_some_and(|store| !self.setup.rules.has_store(store)) {
            return Err(EventResult::rejected(event, "/store_id", "there is no such store"));
        }
        let sku = event.sku.as_str();
        if !self.skus.contains(sku) {
            if !new.may_create_sku {
                return Err(EventResult::rejected(event, "/sku", "does not exist, and the event says not to create it"));
            }
            if !self.setup.rules.settings().create_skus {
                let detail = "does not exist, and stock events do not create SKUs, because create_skus is off in the settings";
                return Err(EventResult::rejected(event, "/sku", detail));
            }
            let most = self.max_skus.unwrap_or(limits.skus_per_seller);
            if self.sku_count >= most {
                let detail = format!("would exceed the limit of {most} SKUs per seller");
                return Err(EventResult::rejected(event, "/sku", &detail));
            }
        }
        let before = self.levels.get(sku).cloned().unwrap_or_default();
        let (deltas, in_count) = self.counts.deltas(event, at, &before);
        match add(&before, deltas.clone()) {
            Ok(after) => Ok(Applied { before, after, deltas, in_count }),
            Err(_) => Err(EventResult::rejected(event, "/quantity", "would take the available quantity out of bounds")),
        }
    }

    /// Each listing's increase joins the one that waits for it, or becomes a push of its own.
    fn push_increases(&mut self, sku: &str, before: &Levels, after: &Levels, now: Timestamp) {
        let Some(listings) = self.listings.get(sku) else { return };
        for (to, units) in listings.increases(before, after) {
            let (held, pause) = (self.setup.rules.is_held(to.store_id, now), self.setup.rules.pause(to.store_id, sku, now));
            let push = match self.waiting.entry(to.listing_id) {
                Entry::Occupied(entry) => {
                    let waiting = entry.into_mut();
                    waiting.add(units, now);
                    waiting
                }
                Entry::Vacant(entry) => entry.insert(Push::increase(to.clone(), units, now, held)),
            };
            // One that has been waiting may be from before the pause, and nothing may go during one, not even by an offer.
            match pause {
                Some(pause) if pause.level == Level::Sku => push.hold_with_sku(now),
                Some(_) => push.hold_with_store(now),
                None => {}
            }
            self.changed_pushes.insert(to.listing_id);
        }
    }
}

#[cfg(test)]
mod tests;
