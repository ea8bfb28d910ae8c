//! What happens to a push while nothing of it is on its way: merged, held, released, cancelled, superseded, retried.
use super::record::{Push, WAITS_FOR_SKU, WAITS_FOR_STORE};
use super::state::{PushKind, PushState};
use crate::domain::Timestamp;

/// What is known of an overwrite of the listing of a rejected increase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OverwriteBehind {
    /// It is waiting or being cancelled: it may still end without having been sent.
    Open,
    /// It is in flight: its target was read after the increase was rejected, and contains it.
    Contains,
}

/// What a seller's retry does to a push.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// It waits again.
    Queued,
    /// An overwrite contains it, so it is superseded.
    Superseded,
    /// Whether an overwrite will contain it is not known yet: it stays as it is.
    Unchanged,
}

impl Push {
    /// A waiting increase that is not being cancelled.
    pub fn is_mergeable(&self) -> bool {
        self.kind == PushKind::Increase && self.state.is_waiting() && !self.cancel_requested
    }

    /// A waiting overwrite with its listing's target that is not being cancelled: another one for its listing would be the same.
    pub fn is_waiting_overwrite(&self) -> bool {
        self.kind == PushKind::Overwrite && self.state.is_waiting() && !self.cancel_requested && self.undo.is_none()
    }

    /// More units of the same listing become part of this waiting increase; a fall takes them off, and may leave nothing to send.
    pub fn add(&mut self, units: i64, now: Timestamp) {
        self.quantity = self.quantity.map(|own| own.saturating_add(units));
        self.change_while_waiting(now);
        if self.quantity == Some(0) {
            self.supersede("What came later evens it out, so nothing is left to send.", now);
        }
    }

    /// Another waiting increase of the same listing becomes part of this one, and is superseded.
    pub fn merge(&mut self, other: &mut Self, now: Timestamp) {
        other.quantity.into_iter().for_each(|units| self.add(units, now));
        other.supersede("Merged into an earlier update of the same listing.", now);
    }

    /// Another push takes its place.
    pub fn supersede(&mut self, reason: &str, now: Timestamp) {
        self.end(PushState::Superseded, now);
        self.reason = Some(reason.to_owned());
    }

    /// Cancelled: at once while it waits, otherwise as soon as it is known not to have been applied.
    pub fn cancel(&mut self, reason: &str, now: Timestamp) {
        if self.state.is_waiting() {
            self.end(PushState::Cancelled, now);
            self.reason = Some(reason.to_owned());
        } else if self.state.is_in_flight() {
            self.cancel_requested = true;
        }
    }

    /// Its run was canceled. It goes on if it is on its way, and if it has taken the place of increases, which would be lost with it.
    pub fn cancel_with_run(&mut self, reason: &str, now: Timestamp) {
        if self.state.is_waiting() && !self.contains_increases() {
            self.cancel(reason, now);
        }
    }

    /// Whether this overwrite has taken the place of increases: it has to be sent, whatever becomes of its run.
    pub fn contains_increases(&self) -> bool {
        self.replaced.contained != 0
    }

    /// Its store was removed while it was in flight: nobody can find out any more whether it was applied.
    pub fn abandon(&mut self, now: Timestamp) {
        if self.state.is_in_flight() {
            self.end(PushState::Cancelled, now);
            self.reason = Some("The store was removed while this was being sent; whether it was applied is not known.".to_owned());
            self.next_step = None;
        }
    }

    /// Its listing may still receive an earlier request until then, so nothing is sent to it before.
    pub fn postpone(&mut self, until: Timestamp, now: Timestamp) {
        self.touch(now, Some(until));
    }

    /// Its store is held. What is in flight keeps its state, its due time and so its settle time.
    pub fn hold_with_store(&mut self, now: Timestamp) {
        if self.state.is_claimable() {
            self.hold(now);
        }
    }

    /// Its SKU is paused.
    pub fn hold_with_sku(&mut self, now: Timestamp) {
        if self.state.is_claimable() {
            self.reason.get_or_insert_with(|| WAITS_FOR_SKU.to_owned());
            self.hold(now);
        }
    }

    /// Its store is reached in another way now, so it is tried without waiting out its pause.
    pub fn hurry(&mut self, now: Timestamp) {
        if self.state == PushState::Retrying && self.due_at.is_some_and(|due| due > now) {
            self.touch(now, Some(now));
        }
    }

    /// Its store is released.
    pub fn release_with_store(&mut self, now: Timestamp) {
        if self.state == PushState::Held {
            self.state = PushState::Queued;
            (self.reason, self.next_step) = (None, None);
            self.touch(now, Some(now));
        }
    }

    /// An overwrite of its listing was confirmed. Nothing of a listing is sent beside an overwrite, so what is rejected
    /// now was rejected before the overwrite's target was read, and is part of it. No clock is compared, as it may have
    /// been set back.
    pub fn note_contained(&mut self) {
        if self.kind == PushKind::Increase && self.state == PushState::Rejected {
            self.contained = true;
        }
    }

    /// The seller asks for a rejected or held push again, or for one that is tried again later to be tried now.
    pub fn retry(&mut self, overwrite: Option<OverwriteBehind>, held: bool, now: Timestamp) -> Retry {
        if self.state == PushState::Rejected {
            let overwrite = overwrite.filter(|_| self.kind == PushKind::Increase);
            if overwrite == Some(OverwriteBehind::Open) && !self.contained {
                return Retry::Unchanged;
            }
            // Its run has counted it as failed and does not wait for it any more.
            self.run_id = None;
            if overwrite.is_some() || self.contained {
                self.supersede("An overwrite of the listing came after this and contains it.", now);
                return Retry::Superseded;
            }
        }
        (self.failing_since, self.batch_limit, self.cancel_requested) = (None, None, false);
        if held {
            self.hold(now);
        } else {
            self.wait(PushState::Queued, None, now, now);
        }
        Retry::Queued
    }

    pub(super) fn hold(&mut self, now: Timestamp) {
        self.state = PushState::Held;
        self.reason.get_or_insert_with(|| WAITS_FOR_STORE.to_owned());
        (self.call_id, self.base, self.in_doubt, self.failing_since) = (None, None, false, None);
        self.touch(now, None);
    }
}

#[cfg(test)]
impl Push {
    /// The same push in another state, for tests of what others do with it.
    pub(in crate::domain) fn in_state(mut self, state: PushState) -> Self {
        self.state = state;
        self
    }
}
