//! The ledger's input and output: stock events to record, and their results.
use crate::domain::ledger::{EventResult, NewEvent};
use crate::domain::{PushId, SellerId, Timestamp};
use crate::traces::Context;

/// Stock events of one request, each valid on its own, in the order in which they are to be applied.
#[derive(Debug, Clone)]
pub struct RecordRequest {
    /// The seller whose stock changed.
    pub seller: SellerId,
    /// When they were received.
    pub now: Timestamp,
    /// The events.
    pub events: Vec<NewEvent>,
    /// The span of the request, if it is traced.
    pub trace: Option<Context>,
}

/// The result of a request.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// The seller whose stock changed.
    pub seller: SellerId,
    /// One for each event, in their order.
    pub results: Vec<EventResult>,
    /// Whether pushes wait for an actor to claim them.
    pub has_pushes: bool,
    /// How many listings its events concern, which is what they cost beside themselves.
    pub listings: usize,
    /// The pushes that are new or were merged into; noted only if the request is traced.
    pub pushes: Vec<PushId>,
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
