//! Being written.
use super::{Conn, Result};
use crate::domain::stock::StockEvent;
use crate::domain::{EventId, FieldError, SellerId};

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

/// Stock events of one request, each checked by itself, in the order in which they are to be applied.
#[derive(Debug, Clone)]
pub struct RecordRequest {
    /// Whose.
    pub seller: SellerId,
    /// When they were received.
    pub now: i64,
    /// The events; `hash` tells a repeat from another event with the same id.
    pub events: Vec<NewEvent>,
}

/// One stock event and the digest of its body.
#[derive(Debug, Clone)]
pub struct NewEvent {
    /// The event.
    pub event: StockEvent,
    /// SHA-256 of its canonical form.
    pub hash: [u8; 32],
}

/// What became of a request.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// Whose.
    pub seller: SellerId,
    /// One for each event, in its order.
    pub results: Vec<EventResult>,
    /// Whether stores have new work.
    pub has_pushes: bool,
}

/// What became of one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventResult {
    /// Recorded.
    Accepted {
        /// Milliseconds since 1970.
        at: i64,
    },
    /// Recorded before.
    Duplicate {
        /// When it was accepted first.
        at: i64,
    },
    /// Not recorded; nothing changed. The pointer is within the event.
    Rejected {
        /// The event's id.
        event_id: EventId,
        /// Why.
        errors: Vec<FieldError>,
        /// The id stands for another event already.
        conflict: bool,
    },
}

/// Records the events of many requests: to come.
///
/// # Errors
/// Those of the database.
pub fn record(_conn: &mut Conn, _requests: &[RecordRequest], _limits: Limits) -> Result<Vec<Recorded>> {
    Ok(Vec::new())
}
