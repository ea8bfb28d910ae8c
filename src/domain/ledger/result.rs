//! What became of a stock event, for the client that has sent it.
use super::counts::InCount;
use crate::domain::stock::StockEvent;
use crate::domain::{EventId, FieldError, Timestamp};

/// What a client should know about an event that was recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// In plain words.
    pub reason: String,
    /// It changed nothing that is available.
    pub without_effect: bool,
    /// An older SKU that the event's new one looks like.
    pub similar_sku: Option<String>,
}

impl Remark {
    pub(super) fn in_count(event: &StockEvent, in_count: InCount) -> Option<Self> {
        Some(Self { reason: in_count.reason(event)?, without_effect: in_count.is_whole(event), similar_sku: None })
    }

    pub(super) fn similar(known: &str) -> Self {
        let reason = format!("This SKU is new and looks like {known}, which exists already. If it is a typo, correct it at its source.");
        Self { reason, without_effect: false, similar_sku: Some(known.to_owned()) }
    }
}

/// The result of one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventResult {
    /// Recorded.
    Accepted {
        /// When.
        at: Timestamp,
        /// What is unusual about it.
        remark: Option<Remark>,
        /// What it did not do to the levels of its own SKU.
        in_count: InCount,
    },
    /// Recorded before.
    Duplicate {
        /// When it was first accepted.
        at: Timestamp,
        /// What was unusual about it.
        remark: Option<Remark>,
    },
    /// Not recorded; nothing changed. Pointers are relative to the event.
    Rejected {
        /// The event's id.
        event_id: EventId,
        /// Why.
        errors: Vec<FieldError>,
        /// The id already belongs to another event.
        conflict: bool,
    },
}

impl EventResult {
    /// A rejection because of the field at `pointer`.
    pub fn rejected(event: &StockEvent, pointer: &str, detail: &str) -> Self {
        Self::Rejected { event_id: event.event_id.clone(), errors: vec![FieldError::new(pointer, detail)], conflict: false }
    }

    pub(super) fn conflicting(event: &StockEvent) -> Self {
        let error = FieldError::new("/event_id", "is already the id of another event; nothing was changed");
        Self::Rejected { event_id: event.event_id.clone(), errors: vec![error], conflict: true }
    }
}
