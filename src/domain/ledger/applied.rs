//! What an event does to the levels of one SKU, before it is settled.
use super::counts::InCount;
use crate::domain::WarehouseCode;
use crate::domain::stock::{Levels, StockEvent};
use std::borrow::Cow;

/// What an event does to the levels of one SKU.
pub(super) struct Applied<'e> {
    /// The event; where its SKU is a bundle, what it means for this component.
    pub event: Cow<'e, StockEvent>,
    pub before: Levels,
    pub after: Levels,
    pub deltas: Vec<(WarehouseCode, i64)>,
    pub in_count: InCount,
}
