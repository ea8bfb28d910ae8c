//! What a push's times are worth after the clock was set back.
//!
//! A push that was written at a time that is still to come was written before the clock was set back, and nobody knows how
//! much time has passed since. What waits is then due at once, what is uncertain settles anew, and the key of its call
//! counts as forgotten.
use super::record::Push;
use crate::domain::Timestamp;
use crate::domain::delivery::Resolution;
use crate::domain::retry::RetryPolicy;

impl Push {
    /// Whether the clock was set back after it was written.
    pub fn is_ahead_of(&self, now: Timestamp) -> bool {
        self.updated_at > now
    }

    /// Starts its times anew from `now` if the clock was set back after it was written.
    pub fn start_times_anew(&mut self, now: Timestamp, policy: &RetryPolicy) {
        if !self.is_ahead_of(now) {
            return;
        }
        if self.state.is_claimable() {
            self.failing_since = self.failing_since.map(|since| since.min(now));
            self.touch(now, Some(now));
        } else {
            self.settle_anew(now, policy);
        }
    }

    /// Settles anew from `now` if it is uncertain: how much time has passed since its request left is not known.
    pub fn settle_anew(&mut self, now: Timestamp, policy: &RetryPolicy) {
        if self.state.is_uncertain() {
            self.distrust_key_if_ahead(now);
            self.failing_since = self.failing_since.map(|since| since.min(now));
            self.touch(now, Some(now + policy.settle_for));
        }
    }

    /// The age of its call's key is unknown if the clock was set back after it was written.
    pub(super) fn distrust_key_if_ahead(&mut self, now: Timestamp) {
        if self.is_ahead_of(now) && self.base.is_none() && self.resolution == Some(Resolution::SameCallAgain) {
            self.resolution = Some(Resolution::Overwrite);
        }
    }

    /// It changes while it waits; its due time stays as it is unless the clock was set back after it was written.
    pub(super) fn change_while_waiting(&mut self, now: Timestamp) {
        if self.is_ahead_of(now) && self.state.is_claimable() {
            self.due_at = Some(now);
        }
        self.updated_at = now;
    }
}
