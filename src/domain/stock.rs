//! Stock events and what they do to available.
//!
//! An event is applied once, in the order in which the ledger takes it. Available is never clamped: it may be below
//! zero when more was sold than was there.
use super::{EventId, Sku, WarehouseCode};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The largest change that one event may carry, in units. Far above any warehouse, far below overflow.
pub const MAX_QUANTITY: i64 = 1_000_000_000_000;
/// The largest available, either way, that the ledger keeps for one SKU in one warehouse, in units.
pub const MAX_AVAILABLE: i64 = 1_000_000_000_000_000;

/// Why available changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// Goods bought in.
    Purchase,
    /// A customer sent goods back.
    Return,
    /// A signed correction.
    Adjustment,
    /// A count of what is there: sets available.
    Count,
    /// From one warehouse to another.
    Transfer,
    /// Goods sold.
    Sale,
    /// A sale called off.
    Cancellation,
}

impl EventKind {
    /// The word in the interface.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Purchase => "purchase",
            Self::Return => "return",
            Self::Adjustment => "adjustment",
            Self::Count => "count",
            Self::Transfer => "transfer",
            Self::Sale => "sale",
            Self::Cancellation => "cancellation",
        }
    }

    /// Whether a change of available by an event of this kind may trigger increases. Decreases never raise a target,
    /// so the sign needs no look here.
    pub fn triggers(self, trigger_on_cancellation: bool) -> bool {
        match self {
            Self::Purchase | Self::Return | Self::Adjustment | Self::Count | Self::Transfer => true,
            Self::Sale => false,
            Self::Cancellation => trigger_on_cancellation,
        }
    }
}

/// One recorded change of available, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StockEvent {
    /// The client's own id; the event is applied once for each.
    pub event_id: EventId,
    /// What changed.
    pub sku: Sku,
    /// Why.
    pub kind: EventKind,
    /// Size of the change; signed for an adjustment, the new available for a count.
    pub quantity: i64,
    /// Where; for a transfer, from where.
    pub warehouse: WarehouseCode,
    /// For a transfer, to where.
    pub to_warehouse: Option<WarehouseCode>,
    /// When it happened, by the client's clock; milliseconds since 1970.
    pub occurred_at: Option<i64>,
    /// The client's own words.
    pub note: Option<String>,
}

/// Available of one SKU by warehouse.
pub type Levels = BTreeMap<WarehouseCode, i64>;

impl StockEvent {
    /// What this event changes, by warehouse, given what is available before.
    pub fn deltas(&self, before: &Levels) -> Vec<(WarehouseCode, i64)> {
        let here = before.get(&self.warehouse).copied().unwrap_or(0);
        match self.kind {
            EventKind::Purchase | EventKind::Return | EventKind::Cancellation | EventKind::Adjustment => {
                vec![(self.warehouse.clone(), self.quantity)]
            }
            EventKind::Sale => vec![(self.warehouse.clone(), -self.quantity)],
            EventKind::Count => vec![(self.warehouse.clone(), self.quantity - here)],
            EventKind::Transfer => match &self.to_warehouse {
                Some(to) => vec![(self.warehouse.clone(), -self.quantity), (to.clone(), self.quantity)],
                None => Vec::new(),
            },
        }
    }

    /// Levels after this event.
    ///
    /// # Errors
    /// The warehouse whose available would leave the bounds of [`MAX_AVAILABLE`].
    pub fn apply(&self, before: &Levels) -> Result<Levels, WarehouseCode> {
        let mut after = before.clone();
        for (warehouse, delta) in self.deltas(before) {
            let level = after.entry(warehouse.clone()).or_insert(0);
            *level = level.checked_add(delta).filter(|sum| sum.abs() <= MAX_AVAILABLE).ok_or(warehouse)?;
        }
        Ok(after)
    }
}
