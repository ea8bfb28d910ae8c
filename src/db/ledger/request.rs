//! The ledger's input and output: stock events to record, and their results.
use crate::domain::ledger::{EventResult, NewEvent};
use crate::domain::{SellerId, Timestamp};

/// Stock events of one request, each valid on its own, in the order in which they are to be applied.
#[derive(Debug, Clone)]
pub struct RecordRequest {
    /// The seller whose stock changed.
    pub seller: SellerId,
    /// When they were received.
    pub now: Timestamp,
    /// The events.
    pub events: Vec<NewEvent>,
}

/// The result of a request.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// The seller whose stock changed.
    pub seller: SellerId,
    /// One for each event, in their order.
    pub results: Vec<EventResult>,
    /// Whether stores have new work.
    pub has_pushes: bool,
    /// How many listings its events concern, which is what they cost beside themselves.
    pub listings: usize,
}

/// Whether events may have been recorded before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::db) enum Repeats {
    /// Those that were are looked for.
    LookedFor,
    /// Nobody looks. If one was recorded before, recording fails with [`Error::Conflict`](crate::db::Error), and nothing may be
    /// committed.
    NotExpected,
}
