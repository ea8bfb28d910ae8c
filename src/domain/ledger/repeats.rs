//! Recognizes a repeat of an event that was recorded before, by its substance: SKU, kind, quantity and warehouses.
//! A message that is delivered again may have another note or time. The substance is compared with the row itself and not
//! with a digest, so that rows of every version are understood.
use super::counts::InCount;
use crate::domain::Timestamp;
use crate::domain::stock::StockEvent;

/// An event that was recorded before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Its SKU.
    pub sku: String,
    /// The word for its kind.
    pub kind: String,
    /// Its units.
    pub quantity: i64,
    /// Its warehouse.
    pub warehouse: String,
    /// The destination of a transfer.
    pub to_warehouse: Option<String>,
    /// When it was accepted.
    pub at: Timestamp,
    /// The parts of it that a count contained already.
    pub in_count: InCount,
}

impl Seen {
    /// An event that was accepted at `at`.
    pub fn new(event: &StockEvent, at: Timestamp, in_count: InCount) -> Self {
        Self {
            sku: event.sku.to_string(),
            kind: event.kind.as_str().to_owned(),
            quantity: event.quantity,
            warehouse: event.warehouse.to_string(),
            to_warehouse: event.to_warehouse.as_ref().map(ToString::to_string),
            at,
            in_count,
        }
    }

    /// Whether `event`, which has the same id, is the same event.
    pub fn is_repeated_by(&self, event: &StockEvent) -> bool {
        Self::new(event, self.at, self.in_count) == *self
    }
}
