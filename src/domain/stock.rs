//! Stock events and how they change available stock.
//!
//! Each event is applied once, in the order in which the ledger records it. Available is never clamped: it falls below
//! zero when more is sold than was in stock.
use super::Timestamp;
use super::{EventId, Sku, WarehouseCode};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The largest change by one event, in units: far more than any warehouse holds, far below overflow.
pub const MAX_QUANTITY: i64 = 1_000_000_000_000;
/// The largest available quantity of one SKU in one warehouse, in units; its negative is the smallest.
pub const MAX_AVAILABLE: i64 = 1_000_000_000_000_000;

/// Why available changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// Goods received from a supplier.
    Purchase,
    /// Goods returned by a customer.
    Return,
    /// A signed correction.
    Adjustment,
    /// A stock count: sets available.
    Count,
    /// Goods moved from one warehouse to another.
    Transfer,
    /// Goods sold.
    Sale,
    /// A cancelled sale.
    Cancellation,
}

impl EventKind {
    /// The word used for it in the API.
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

    /// The kind with this word.
    pub fn from_word(word: &str) -> Option<Self> {
        use EventKind::{Adjustment, Cancellation, Count, Purchase, Return, Sale, Transfer};
        [Purchase, Return, Adjustment, Count, Transfer, Sale, Cancellation].into_iter().find(|kind| kind.as_str() == word)
    }

    /// Whether an event of this kind may trigger increases. Its sign does not matter here, because a decrease never raises
    /// a target.
    pub fn triggers(self, trigger_on_cancellation: bool) -> bool {
        match self {
            Self::Purchase | Self::Return | Self::Adjustment | Self::Count | Self::Transfer => true,
            Self::Sale => false,
            Self::Cancellation => trigger_on_cancellation,
        }
    }
}

/// A change of available that has passed validation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StockEvent {
    /// The client's own id for the event, which is applied only once.
    pub event_id: EventId,
    /// The SKU whose stock changed.
    pub sku: Sku,
    /// Why it changed.
    pub kind: EventKind,
    /// Units; may be negative for an adjustment, and is the new available for a count, which may be negative, too.
    pub quantity: i64,
    /// The warehouse; for a transfer, the source.
    pub warehouse: WarehouseCode,
    /// The destination of a transfer.
    pub to_warehouse: Option<WarehouseCode>,
    /// When it happened, by the client's clock.
    pub occurred_at: Option<Timestamp>,
    /// Free text from the client.
    pub note: Option<String>,
}

/// Available units of one SKU by warehouse.
pub type Levels = BTreeMap<WarehouseCode, i64>;

impl StockEvent {
    /// How this event changes available by warehouse, given the levels before it.
    pub fn deltas(&self, before: &Levels) -> Vec<(WarehouseCode, i64)> {
        let here = before.get(&self.warehouse).copied().unwrap_or(0);
        match self.kind {
            EventKind::Purchase | EventKind::Return | EventKind::Cancellation | EventKind::Adjustment => {
                vec![(self.warehouse.clone(), self.quantity)]
            }
            EventKind::Sale => vec![(self.warehouse.clone(), -self.quantity)],
            EventKind::Count => vec![(self.warehouse.clone(), self.quantity.saturating_sub(here))],
            EventKind::Transfer => match &self.to_warehouse {
                Some(to) => vec![(self.warehouse.clone(), -self.quantity), (to.clone(), self.quantity)],
                None => Vec::new(),
            },
        }
    }

    /// The levels after this event, or the warehouse in which available would exceed [`MAX_AVAILABLE`] in either direction.
    pub fn apply(&self, before: &Levels) -> Result<Levels, WarehouseCode> {
        add(before, self.deltas(before))
    }
}

/// The levels after these changes, or the warehouse in which available would exceed [`MAX_AVAILABLE`] in either direction.
pub fn add(before: &Levels, deltas: Vec<(WarehouseCode, i64)>) -> Result<Levels, WarehouseCode> {
    let mut after = before.clone();
    for (warehouse, delta) in deltas {
        let level = after.entry(warehouse.clone()).or_insert(0);
        *level = level.checked_add(delta).filter(|sum| (-MAX_AVAILABLE..=MAX_AVAILABLE).contains(sum)).ok_or(warehouse)?;
    }
    Ok(after)
}

#[cfg(test)]
mod tests {
    use super::EventKind::*;
    use super::*;

    fn event(kind: EventKind, quantity: i64) -> StockEvent {
        StockEvent {
            event_id: EventId::parse("e1").unwrap(),
            sku: Sku::parse("A").unwrap(),
            kind,
            quantity,
            warehouse: WarehouseCode::main(),
            to_warehouse: (kind == Transfer).then(east),
            occurred_at: None,
            note: None,
        }
    }
    fn east() -> WarehouseCode {
        WarehouseCode::parse("east").unwrap()
    }

    #[test]
    fn each_kind_has_its_own_word_effect_and_trigger() {
        let before = Levels::from([(WarehouseCode::main(), 10)]);
        for (kind, quantity, word, main, elsewhere, triggers) in [
            (Purchase, 3, "purchase", 13, None, true),
            (Return, 3, "return", 13, None, true),
            (Adjustment, -3, "adjustment", 7, None, true),
            (Count, 3, "count", 3, None, true),
            (Transfer, 3, "transfer", 7, Some(3), true),
            (Sale, 13, "sale", -3, None, false),
            (Cancellation, 3, "cancellation", 13, None, false),
        ] {
            let after = event(kind, quantity).apply(&before).unwrap();
            assert_eq!((kind.as_str(), kind.triggers(false)), (word, triggers));
            assert_eq!(EventKind::from_word(word), Some(kind));
            assert_eq!((after[&WarehouseCode::main()], after.get(&east()).copied()), (main, elsewhere), "{word}");
        }
        assert!(Cancellation.triggers(true) && !Sale.triggers(true));
        assert_eq!(event(Count, 3).apply(&Levels::new()).unwrap()[&WarehouseCode::main()], 3);
    }

    #[test]
    fn available_stays_within_its_bounds_in_both_directions() {
        let near = Levels::from([(WarehouseCode::main(), MAX_AVAILABLE - 1)]);
        assert_eq!(event(Purchase, 1).apply(&near).unwrap()[&WarehouseCode::main()], MAX_AVAILABLE);
        assert_eq!(event(Purchase, 2).apply(&near), Err(WarehouseCode::main()));
        let far = Levels::from([(WarehouseCode::main(), i64::MAX - 1)]);
        assert_eq!(event(Purchase, 2).apply(&far), Err(WarehouseCode::main()), "and does not overflow");
        let below = Levels::from([(WarehouseCode::main(), 1 - MAX_AVAILABLE)]);
        assert_eq!(event(Sale, 1).apply(&below).unwrap()[&WarehouseCode::main()], -MAX_AVAILABLE);
        assert_eq!(event(Sale, 2).apply(&below), Err(WarehouseCode::main()));
    }
}
