//! What became of a call.
use crate::domain::delivery::Outcome;

/// The result of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// What is now known about the items.
    pub outcome: Outcome,
    /// The status and the start of the answer, for the records; the store's credentials are masked in it, as in the outcome.
    pub raw: Option<String>,
    /// Whether the store's circuit may count this as an answer: a status below 500, too large a one, or a call never sent.
    pub answered: bool,
    /// After a read where [`Facts::reads_before_set`](crate::platforms::Facts): what is reserved of each item.
    pub reserved: Vec<Option<i64>>,
    /// After a check: the shop's own name, if the platform says it.
    pub shop: Option<String>,
}

impl Sent {
    pub(super) fn without_answer(outcome: Outcome) -> Self {
        Self { outcome, raw: None, answered: false, reserved: Vec::new(), shop: None }
    }
}
