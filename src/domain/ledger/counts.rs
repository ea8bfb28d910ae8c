//! A count is as of a time. It sets available to what was counted plus what is known to have happened since, and what
//! happened before the newest count of a SKU in a warehouse is part of that count already.
//!
//! Only an event that says when it happened is measured against counts. One that does not is as of its arrival, so it
//! comes after everything recorded before it, even if the clock has been set back in between.
use crate::domain::stock::{EventKind, Levels, StockEvent};
use crate::domain::{Timestamp, WarehouseCode};
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

/// How far ahead of the service's clock a client's may be. An event that claims to be further ahead is as of its arrival.
pub const MAX_AHEAD: Duration = Duration::from_secs(300);

/// When an event that was received at `now` happened, if it says so and that can be believed.
pub fn occurred(event: &StockEvent, now: Timestamp) -> Option<Timestamp> {
    event.occurred_at.filter(|at| *at <= now + MAX_AHEAD)
}

/// The changes of a SKU after a certain time, summed over all events of the same kind and warehouses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// Their kind.
    pub kind: EventKind,
    /// Their warehouse; for transfers, the source.
    pub warehouse: WarehouseCode,
    /// The destination of transfers.
    pub to_warehouse: Option<WarehouseCode>,
    /// The sum of their quantities.
    pub quantity: i64,
}

/// What an event did not do to the levels of its own SKU.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct InCount {
    /// A newer count contains already what it does to its warehouse; of a bundle, newer counts of all its components.
    pub here: bool,
    /// A newer count contains already what a transfer does to its destination.
    pub there: bool,
    /// It is an event of a bundle, which has moved the components and nothing of its own.
    pub in_components: bool,
}

impl InCount {
    /// The bit of an event of a bundle. The [`bits`](Self::bits) of all others are less.
    pub const OF_BUNDLE: i16 = 4;

    /// The form in which it is stored; `None` if the event did everything itself.
    pub fn bits(self) -> Option<i16> {
        let bits = i16::from(self.here) + 2 * i16::from(self.there) + Self::OF_BUNDLE * i16::from(self.in_components);
        Some(bits).filter(|bits| *bits > 0)
    }

    /// Reads [`Self::bits`].
    pub fn from_bits(bits: Option<i16>) -> Self {
        let bits = bits.unwrap_or(0);
        Self { here: bits & 1 > 0, there: bits & 2 > 0, in_components: bits & Self::OF_BUNDLE > 0 }
    }

    /// Whether the event changes nothing.
    pub fn is_whole(self, event: &StockEvent) -> bool {
        self.here && (self.there || event.to_warehouse.is_none())
    }

    /// What to tell the client; `None` if no count contains any of the event.
    pub fn reason(self, event: &StockEvent) -> Option<String> {
        let to = event.to_warehouse.as_ref();
        match (event.kind, self.here, self.there) {
            (_, false, false) => None,
            _ if self.in_components => Some("The newest counts of its components include this already, so it changes nothing.".to_owned()),
            (EventKind::Count, ..) => Some("A count as of a later time is known, so this one changes nothing.".to_owned()),
            (_, true, false) if to.is_some() => {
                Some(format!("The newest count of warehouse {} includes this already; only the destination changed.", event.warehouse))
            }
            (_, false, true) => {
                let to = to.map(ToString::to_string).unwrap_or_default();
                Some(format!("The newest count of warehouse {to} includes this already; only the source changed."))
            }
            _ => Some("The newest count includes this already, so it changes nothing.".to_owned()),
        }
    }
}

/// When available of a SKU changed, and how.
type Change = (Timestamp, Vec<(WarehouseCode, i64)>);

/// The newest counts of each SKU by warehouse, and what happened after the times of counts that arrive late.
#[derive(Debug, Clone, Default)]
pub(super) struct Counts {
    counted: HashMap<String, BTreeMap<WarehouseCode, Timestamp>>,
    since: HashMap<(String, Timestamp), Vec<Moved>>,
    /// Changes by events of the group itself: SKU to the time and the changes.
    of_group: HashMap<String, Vec<Change>>,
    changed: BTreeMap<(String, WarehouseCode), Timestamp>,
}

impl Counts {
    pub(super) fn new(
        counted: HashMap<String, BTreeMap<WarehouseCode, Timestamp>>,
        since: HashMap<(String, Timestamp), Vec<Moved>>,
    ) -> Self {
        Self { counted, since, of_group: HashMap::new(), changed: BTreeMap::new() }
    }

    pub(super) fn is_counted_after(&self, sku: &str, warehouse: &WarehouseCode, at: Timestamp) -> bool {
        self.counted.get(sku).and_then(|by_warehouse| by_warehouse.get(warehouse)).is_some_and(|counted| *counted > at)
    }

    /// How an event that happened at `at` changes available, and which parts of it a count contains already.
    pub(super) fn deltas(&self, event: &StockEvent, at: Option<Timestamp>, before: &Levels) -> (Vec<(WarehouseCode, i64)>, InCount) {
        let Some(at) = at else { return (event.deltas(before), InCount::default()) };
        let sku = event.sku.as_str();
        let (mut in_count, mut deltas) = (InCount::default(), event.deltas(before));
        in_count.here = self.is_counted_after(sku, &event.warehouse, at);
        in_count.there = event.to_warehouse.as_ref().is_some_and(|to| self.is_counted_after(sku, to, at));
        if event.kind == EventKind::Count {
            let stored = self.since.get(&(sku.to_owned(), at)).map(Vec::as_slice).unwrap_or_default();
            let here = |moved: &&Moved| moved.warehouse == event.warehouse;
            // A count that a version without `counted_at` recorded is found among the events.
            in_count.here |= stored.iter().filter(here).any(|moved| moved.kind == EventKind::Count);
            let since = self.since_then(sku, &event.warehouse, at, stored);
            deltas.iter_mut().for_each(|(_, delta)| *delta = delta.saturating_add(since));
        }
        deltas.retain(|(warehouse, _)| if *warehouse == event.warehouse { !in_count.here } else { !in_count.there });
        (deltas, in_count)
    }

    /// The sum of what changed a SKU in a warehouse after `at`.
    fn since_then(&self, sku: &str, warehouse: &WarehouseCode, at: Timestamp, stored: &[Moved]) -> i64 {
        let effect = |moved: &Moved| match moved.kind {
            EventKind::Count => 0,
            EventKind::Sale | EventKind::Transfer if moved.warehouse == *warehouse => moved.quantity.saturating_neg(),
            _ if moved.warehouse == *warehouse || moved.to_warehouse.as_ref() == Some(warehouse) => moved.quantity,
            _ => 0,
        };
        let of_group = self.of_group.get(sku).map(Vec::as_slice).unwrap_or_default();
        let of_group = of_group.iter().filter(|(moved_at, _)| *moved_at > at).flat_map(|(_, deltas)| deltas);
        let of_group = of_group.filter(|(code, _)| code == warehouse).map(|(_, delta)| *delta);
        stored.iter().map(effect).chain(of_group).fold(0, i64::saturating_add)
    }

    /// Notes an event that was applied; `at` is when it happened, if it said so.
    pub(super) fn note(&mut self, event: &StockEvent, at: Option<Timestamp>, now: Timestamp, deltas: Vec<(WarehouseCode, i64)>) {
        let sku = event.sku.to_string();
        if event.kind == EventKind::Count {
            if deltas.is_empty() {
                return;
            }
            let by_warehouse = self.counted.entry(sku.clone()).or_default();
            let newest = by_warehouse.entry(event.warehouse.clone()).or_insert(Timestamp::MIN);
            *newest = at.unwrap_or(now).max(*newest);
            self.changed.insert((sku, event.warehouse.clone()), *newest);
        } else {
            self.of_group.entry(sku).or_default().push((at.unwrap_or(now), deltas));
        }
    }

    /// The times of the newest counts, where they changed.
    pub(super) fn changed(self) -> BTreeMap<(String, WarehouseCode), Timestamp> {
        self.changed
    }
}
