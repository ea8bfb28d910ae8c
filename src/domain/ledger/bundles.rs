//! Bundles in the book: an event of a bundle moves its components, and an event of a component moves the listings of its bundles.
use super::applied::Applied;
use super::counts::InCount;
use super::result::EventResult;
use crate::domain::bundle::{Bundle, Stock, Ties, allows};
use crate::domain::stock::{Levels, StockEvent};
use crate::domain::{EventId, Sku, Timestamp};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// What an event of a bundle did to one component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComponentEvent {
    /// The component, and the units of it. The id is that of the event of the bundle.
    pub event: StockEvent,
    /// When that was accepted.
    pub accepted_at: Timestamp,
    /// What a newer count of the component contained already.
    pub in_count: InCount,
}

/// Stands between the id of an event of a bundle and the component in the id of the component's own row. No id that a client makes
/// up contains it.
const SEPARATOR: char = '\u{1f}';

impl ComponentEvent {
    /// The id of its row.
    pub fn row_id(id: &EventId, component: &Sku) -> String {
        format!("{id}{SEPARATOR}{component}")
    }

    /// The id of the event of a bundle that this is the id of a row of; `None` for the id of an event itself.
    pub fn event_of(row_id: &str) -> Option<&str> {
        row_id.split_once(SEPARATOR).map(|(event, _)| event)
    }
}

/// The bundles that events have to do with.
#[derive(Debug, Clone)]
pub(super) struct Bundles {
    ties: HashMap<String, Arc<Ties>>,
    of_components: Vec<ComponentEvent>,
}

impl Bundles {
    pub fn new(ties: HashMap<String, Arc<Ties>>) -> Self {
        Self { ties, of_components: Vec::new() }
    }

    fn bundle(&self, sku: &str) -> Option<&Bundle> {
        self.ties.get(sku).and_then(|ties| ties.is.as_deref())
    }

    /// What an event of a bundle means for each of its components, or why it is refused; `None` for other SKUs.
    pub fn parts(&self, event: &StockEvent) -> Result<Option<Vec<StockEvent>>, EventResult> {
        let Some(bundle) = self.bundle(event.sku.as_str()) else { return Ok(None) };
        if !allows(event.kind) {
            let detail = format!(
                "cannot happen to {}, which is a bundle and has no stock of its own; send what happened to its components, or sales, \
                 cancellations and returns of the bundle",
                event.sku
            );
            return Err(EventResult::rejected(event, "/kind", &detail));
        }
        let of = |sku: &Sku, quantity: i64| StockEvent { sku: sku.clone(), quantity, ..event.clone() };
        Ok(Some(bundle.components.iter().map(|component| of(&component.sku, component.quantity.of_sku(event.quantity))).collect()))
    }

    /// What an event of this SKU did not do that has moved this.
    pub fn in_count(&self, sku: &str, moved: &[Applied<'_>]) -> InCount {
        match moved {
            [applied] if self.bundle(sku).is_none() => applied.in_count,
            [] => InCount { here: true, ..InCount::default() },
            _ => InCount { here: moved.iter().all(|applied| applied.in_count.here), there: false, in_components: true },
        }
    }

    /// Notes what an event that was accepted did to components, if it is one of a bundle.
    pub fn note(&mut self, event: &StockEvent, moved: &[Applied<'_>], accepted_at: Timestamp) {
        if self.bundle(event.sku.as_str()).is_none() {
            return;
        }
        let note = format!("{} × {}", event.quantity, event.sku);
        self.of_components.extend(moved.iter().map(|applied| ComponentEvent {
            event: StockEvent { note: Some(note.clone()), ..applied.event.clone().into_owned() },
            accepted_at,
            in_count: applied.in_count,
        }));
    }

    /// What was noted.
    pub fn into_events(self) -> Vec<ComponentEvent> {
        self.of_components
    }

    /// The bundles with a component that has moved, each once.
    pub fn with_any_of(&self, moved: &[Applied<'_>]) -> Vec<Arc<Bundle>> {
        let ties = moved.iter().filter_map(|applied| self.ties.get(applied.event.sku.as_str()));
        let bundles: BTreeMap<&str, &Arc<Bundle>> =
            ties.flat_map(|ties| &ties.part_of).map(|bundle| (bundle.sku.as_str(), bundle)).collect();
        bundles.into_values().map(Arc::clone).collect()
    }
}

/// What there was of a bundle before this moved, and what there is after it. `levels` are still those before.
pub(super) fn before_and_after<'b>(bundle: &Bundle, moved: &'b [Applied<'_>], levels: &'b HashMap<String, Levels>) -> [Stock<'b>; 2] {
    let stock = |is_after: bool| {
        bundle.stock(|component| match moved.iter().find(|applied| applied.event.sku.as_str() == component) {
            Some(applied) => Some(if is_after { &applied.after } else { &applied.before }),
            None => levels.get(component),
        })
    };
    [stock(false), stock(true)]
}
