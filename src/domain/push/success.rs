//! The plain success of an increase: its platform has applied it, and nothing has to be noted but that, and what its listing
//! shows now. [`Push::apply_verdict`](super::Push::apply_verdict) decides everything; for this, the commonest of all answers,
//! a few of its inputs are enough.
use super::account::{Account, LatestNumbers};
use super::fall::change;
use super::state::PushKind;
use crate::domain::Timestamp;
use crate::domain::delivery::{ItemResult, Outcome};

/// What the listings of a call show by an answer that says that every one of its `items` increases was applied. `None` for
/// any other answer, and for overwrites.
pub fn all_applied(kind: PushKind, items: usize, outcome: &Outcome) -> Option<Vec<Option<i64>>> {
    let Outcome::Answered(results) = outcome else { return None };
    if kind != PushKind::Increase || results.len() != items {
        return None;
    }
    let shown = |result: &ItemResult| if let ItemResult::Applied { shown } = result { Some(*shown) } else { None };
    results.iter().map(shown).collect()
}

/// An increase on its way, as far as its plain success depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SentIncrease {
    /// Units, below 0 for a fall.
    pub quantity: i64,
    /// What its listing showed before it was sent, where that was read.
    pub base: Option<i64>,
    /// Whether an earlier sending of it is unresolved.
    pub in_doubt: bool,
    /// What is believed of its listing.
    pub account: Account,
}

/// What the plain success of an increase changes about its listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlainSuccess {
    /// It shows this.
    pub shown: Option<i64>,
    /// See [`ListingUpdate::before`](super::ListingUpdate::before).
    pub before: Option<LatestNumbers>,
    /// By how much it has changed.
    pub units: i64,
}

impl SentIncrease {
    /// What follows from the answer that it was applied and that its listing shows `shown`. `None` if more than that follows.
    pub fn success(&self, shown: Option<i64>, now: Timestamp) -> Option<PlainSuccess> {
        if self.in_doubt || self.account.is_in_doubt(now) || self.account.owed_since.is_some() {
            return None;
        }
        let units = change(self.base, self.quantity);
        let with = |number: Option<i64>| number?.checked_add(units);
        let expected = with(self.base).or_else(|| with(self.account.shown));
        let before = self.base.map(|number| self.account.before_and(number, now));
        Some(PlainSuccess { shown: shown.or(expected), before, units })
    }
}
