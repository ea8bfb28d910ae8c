//! Bundles in the book: an event of a bundle moves its components, and an event of a component moves the listings of its bundles.
use super::{Applied, Book, EventResult, InCount};
use crate::domain::bundle::{Bundle, Stock, allows};
use crate::domain::stock::StockEvent;
use crate::domain::{EventId, Sku, Timestamp};
use std::borrow::Cow;
use std::collections::BTreeMap;
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
    pub(super) fn new(applied: &Applied<'_>, of_bundle: &StockEvent, accepted_at: Timestamp) -> Self {
        let note = format!("{} × {}", of_bundle.quantity, of_bundle.sku);
        let event = StockEvent { note: Some(note), ..applied.event.clone().into_owned() };
        Self { event, accepted_at, in_count: applied.in_count }
    }

    /// The id of its row.
    pub fn row_id(id: &EventId, component: &Sku) -> String {
        format!("{id}{SEPARATOR}{component}")
    }

    /// The id of the event of a bundle that this is the id of a row of; `None` for the id of an event itself.
    pub fn event_of(row_id: &str) -> Option<&str> {
        row_id.split_once(SEPARATOR).map(|(event, _)| event)
    }
}

/// What an event did not do that has moved this.
pub(super) fn in_count(moved: &[Applied<'_>], is_bundle: bool) -> InCount {
    match moved {
        [applied] if !is_bundle => applied.in_count,
        _ => InCount { here: moved.iter().all(|applied| applied.in_count.here), there: false, in_components: true },
    }
}

/// What an event of a bundle means for each of its components, or why it is refused.
fn of_components(event: &StockEvent, bundle: &Bundle) -> Result<Vec<StockEvent>, EventResult> {
    if !allows(event.kind) {
        let detail = format!(
            "cannot happen to {}, which is a bundle and has no stock of its own; send what happened to its components, or sales, \
             cancellations and returns of the bundle",
            event.sku
        );
        return Err(EventResult::rejected(event, "/kind", &detail));
    }
    let of = |sku: &Sku, quantity: i64| StockEvent { sku: sku.clone(), quantity, ..event.clone() };
    Ok(bundle.components.iter().map(|component| of(&component.sku, component.quantity.of_sku(event.quantity))).collect())
}

impl Book {
    /// The bundle that this SKU is.
    pub(super) fn bundle(&self, sku: &str) -> Option<&Arc<Bundle>> {
        self.ties.get(sku).and_then(|ties| ties.is.as_ref())
    }

    /// What the event does to the levels of its SKU or, if that is a bundle, of its components.
    pub(super) fn moved<'e>(&self, event: &'e StockEvent, at: Option<Timestamp>) -> Result<Vec<Applied<'e>>, EventResult> {
        let Some(bundle) = self.bundle(event.sku.as_str()) else {
            let beyond = || EventResult::rejected(event, "/quantity", "would take the available quantity out of bounds");
            return Ok(vec![self.applied(Cow::Borrowed(event), at).ok_or_else(beyond)?]);
        };
        let applied = |part: StockEvent| {
            let sku = part.sku.clone();
            let beyond = || {
                let detail = format!("would take the available quantity of the component {sku} out of bounds");
                EventResult::rejected(event, "/quantity", &detail)
            };
            self.applied(Cow::Owned(part), at).ok_or_else(beyond)
        };
        of_components(event, bundle)?.into_iter().map(applied).collect()
    }

    /// The bundles of which a component has moved, each once.
    pub(super) fn bundles_of(&self, moved: &[Applied<'_>]) -> Vec<Arc<Bundle>> {
        let ties = moved.iter().filter_map(|applied| self.ties.get(applied.event.sku.as_str()));
        let bundles: BTreeMap<&str, &Arc<Bundle>> =
            ties.flat_map(|ties| &ties.part_of).map(|bundle| (bundle.sku.as_str(), bundle)).collect();
        bundles.into_values().map(Arc::clone).collect()
    }

    /// What there was of a bundle before this moved, and what there is after it.
    pub(super) fn before_and_after<'b>(&'b self, bundle: &Bundle, moved: &'b [Applied<'_>]) -> [Stock<'b>; 2] {
        let stock = |is_after: bool| {
            bundle.stock(|component| match moved.iter().find(|applied| applied.event.sku.as_str() == component) {
                Some(applied) => Some(if is_after { &applied.after } else { &applied.before }),
                None => self.levels.get(component),
            })
        };
        [stock(false), stock(true)]
    }
}
