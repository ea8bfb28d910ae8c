//! The ledger's book: stock events applied to levels, and the increases that follow from them.
//!
//! A [`Book`] holds everything that one seller's events touch, as it is stored. Events are applied to it in order; then
//! [`Book::changes`] says what to write. Nothing else changes what is available.
mod applied;
mod bundles;
mod counts;
mod repeats;
mod result;

use super::bundle::Ties;
use super::falls::Cause;
use super::look_alikes::fold;
use super::pause::Level;
use super::push::{Addressee, Push};
use super::stock::{EventKind, Levels, StockEvent, add};
use super::targets::{SellerRules, SkuListings};
use super::{ListingId, PushId, StoreId, Timestamp, WarehouseCode};
use applied::Applied;
use bundles::Bundles;
use counts::Counts;
use std::borrow::Cow;
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

pub use bundles::ComponentEvent;
pub use counts::{InCount, MAX_AHEAD, Moved, occurred};
pub use repeats::Seen;
pub use result::{EventResult, Remark};

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
    /// The store whose order it was about. A sale has lowered what that store shows.
    pub store: Option<StoreId>,
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
    /// By SKU, how the events' SKUs, and the components of those that are bundles, are tied to bundles. Free ones are missing.
    pub ties: HashMap<String, Arc<Ties>>,
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
            ties: HashMap::new(),
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
    /// Pushes that are new or were merged into, those with nothing left to send among them.
    pub pushes: Vec<Push>,
    /// What events of bundles did to their components.
    pub of_components: Vec<ComponentEvent>,
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
    /// Of which nothing is left to send.
    evened_out: Vec<Push>,
    /// Those of the events since [`Self::watch`].
    watched: Option<BTreeSet<ListingId>>,
    bundles: Bundles,
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
            evened_out: Vec::new(),
            watched: None,
            bundles: Bundles::new(facts.ties),
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
        let moved = match self.check(new, at, now, limits).and_then(|()| self.moved(event, at)) {
            Ok(moved) => moved,
            Err(rejected) => return rejected,
        };
        let sku = event.sku.as_str();
        let in_count = self.bundles.in_count(sku, &moved);
        let mut remark = Remark::in_count(event, in_count);
        if self.skus.insert(sku.to_owned()) {
            self.new_skus.push((sku.to_owned(), now));
            self.sku_count += 1;
            let known = self.look_alikes.entry(fold(sku)).or_insert_with(|| sku.to_owned());
            remark = remark.or_else(|| (known != sku).then(|| Remark::similar(known)));
        }
        let cause = Cause::new(event, new.store);
        if self.setup.rules.may_push(&cause) {
            self.push_moves(&cause, &moved, now);
        }
        self.bundles.note(event, &moved, now);
        moved.into_iter().for_each(|applied| self.settle(applied, at, now));
        self.seen.insert(event.event_id.to_string(), Seen::new(event, now, in_count));
        EventResult::Accepted { at: now, remark, in_count }
    }

    /// What the seller has set up.
    pub fn setup(&self) -> &Setup {
        &self.setup
    }

    /// How many listings the events concern.
    pub fn listing_count(&self) -> usize {
        self.listings.values().map(|listings| listings.listings().len()).sum()
    }

    /// How many pushes are new or were merged into.
    pub fn changed_pushes(&self) -> usize {
        self.changed_pushes.len() + self.evened_out.len()
    }

    /// Notes which pushes are new or merged into from now on.
    pub fn watch(&mut self) {
        self.watched = Some(BTreeSet::new());
    }

    /// Those pushes; none unless they were to be noted.
    pub fn watched(&mut self) -> Vec<PushId> {
        self.watched.take().into_iter().flatten().filter_map(|listing| self.waiting.get(&listing).map(Push::id)).collect()
    }

    /// What the applied events changed.
    pub fn changes(mut self) -> Changes {
        Changes {
            counted: self.counts.changed(),
            new_skus: self.new_skus,
            sku_count: self.sku_count,
            levels: self.changed_levels,
            pushes: self.changed_pushes.iter().filter_map(|listing| self.waiting.remove(listing)).chain(self.evened_out).collect(),
            of_components: self.bundles.into_events(),
        }
    }

    /// Notes what an event does to one SKU.
    fn settle(&mut self, applied: Applied<'_>, at: Option<Timestamp>, now: Timestamp) {
        let Applied { event, before, after, deltas, in_count } = applied;
        let sku = event.sku.as_str();
        let counted = event.kind == EventKind::Count && !in_count.here;
        let changed =
            after.iter().filter(|(warehouse, level)| before.get(*warehouse) != Some(*level) || (counted && **warehouse == event.warehouse));
        self.changed_levels.extend(changed.map(|(warehouse, level)| ((sku.to_owned(), warehouse.clone()), *level)));
        self.levels.insert(sku.to_owned(), after);
        self.counts.note(&event, at, now, deltas);
    }

    /// Why the event is refused whatever is in stock.
    fn check(&self, new: &NewEvent, at: Option<Timestamp>, now: Timestamp, limits: Limits) -> Result<(), EventResult> {
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
        if new.store.is_some_and(|store| !self.setup.rules.has_store(store)) {
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
        Ok(())
    }

    /// What the event does to the levels of its SKU or, if that is a bundle, of its components.
    fn moved<'e>(&self, event: &'e StockEvent, at: Option<Timestamp>) -> Result<Vec<Applied<'e>>, EventResult> {
        let applied = |part: Cow<'e, StockEvent>| {
            let beyond = || EventResult::rejected(event, "/quantity", "would take the available quantity out of bounds");
            self.applied(part, at).ok_or_else(beyond)
        };
        match self.bundles.parts(event)? {
            None => Ok(vec![applied(Cow::Borrowed(event))?]),
            // Before it was a bundle, it was counted as of a later time: that count contains the event.
            Some(_) if at.is_some_and(|at| self.counts.is_counted_after(event.sku.as_str(), &event.warehouse, at)) => Ok(Vec::new()),
            Some(parts) => parts.into_iter().map(|part| applied(Cow::Owned(part))).collect(),
        }
    }

    /// What the event does to the levels of its SKU; `None` if these would be out of bounds.
    fn applied<'e>(&self, event: Cow<'e, StockEvent>, at: Option<Timestamp>) -> Option<Applied<'e>> {
        let before = self.levels.get(event.sku.as_str()).cloned().unwrap_or_default();
        let (deltas, in_count) = self.counts.deltas(&event, at, &before);
        let after = add(&before, deltas.clone()).ok()?;
        Some(Applied { event, before, after, deltas, in_count })
    }

    /// Pushes what an event has moved, as far as its cause is pushed: of the SKUs themselves, and of the bundles that they are
    /// components of.
    fn push_moves(&mut self, cause: &Cause<'_>, moved: &[Applied<'_>], now: Timestamp) {
        for applied in moved {
            let sku = applied.event.sku.as_str();
            let Some(listings) = self.listings.get(sku).map(Arc::clone) else { continue };
            self.push_each(cause, sku, listings.moves(&applied.before, &applied.after), now);
        }
        for bundle in self.bundles.with_any_of(moved) {
            let sku = bundle.sku.as_str();
            let Some(listings) = self.listings.get(sku).map(Arc::clone) else { continue };
            let [before, after] = bundles::before_and_after(&bundle, moved, &self.levels);
            let moves: Vec<(&Addressee, i64)> = listings.moves(before, after).collect();
            self.push_each(cause, sku, moves.into_iter(), now);
        }
    }

    /// Each listing's increase, or fall, joins the one that waits for it, or becomes a push of its own.
    fn push_each<'l>(&mut self, cause: &Cause<'_>, sku: &str, moves: impl Iterator<Item = (&'l Addressee, i64)>, now: Timestamp) {
        for (to, units) in moves {
            if !self.setup.rules.pushes(cause, to.store_id, sku, units) {
                continue;
            }
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
            if push.is_mergeable() {
                self.changed_pushes.insert(to.listing_id);
                if let Some(watched) = &mut self.watched {
                    watched.insert(to.listing_id);
                }
            } else if let Some(evened_out) = self.waiting.remove(&to.listing_id) {
                self.changed_pushes.remove(&to.listing_id);
                self.evened_out.push(evened_out);
            }
        }
    }
}

#[cfg(test)]
mod tests;
