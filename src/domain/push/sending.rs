//! A push on its way: claimed, given back, cut off by a crash.
use super::fall::{after, change};
use super::record::{Invalid, Push};
use super::state::{PushKind, PushState};
use super::update::Expected;
use crate::domain::delivery::{Abilities, Change, KEYS_TRUSTED_FOR, Method, Resolution};
use crate::domain::retry::RetryPolicy;
use crate::domain::unseen;
use crate::domain::{CallId, Timestamp};

/// In which way a push goes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SendBy {
    /// An increase, by this method.
    Increase(Method),
    /// An overwrite; an unknown outcome is determined this way.
    Overwrite(Resolution),
    /// The same, applied only if the listing still shows what was read before.
    OverwriteUnchanged(Resolution),
    /// The very same call again, whose outcome is unknown.
    Repeat,
    /// The same at a store that compares.
    RepeatUnchanged,
}

impl SendBy {
    /// Whether the very same call is sent again.
    pub fn is_repeat(self) -> bool {
        matches!(self, Self::Repeat | Self::RepeatUnchanged)
    }
}

impl Push {
    /// What its listing shows was read just before it is sent.
    pub fn note_base(&mut self, shown: i64) {
        self.base = Some(shown);
    }

    /// What its listing showed before an earlier call does not count any more.
    pub fn forget_base(&mut self) {
        self.base = None;
    }

    /// Its listing's target was read just before it is sent.
    pub fn aim(&mut self, target: i64) {
        self.replaced.forget();
        self.quantity = Some(target);
    }

    /// The same after a read of what the listing shows, which has found `unseen` sales: they are taken off the target.
    pub fn aim_after_read(&mut self, target: i64, shown: i64, unseen: i64) {
        self.quantity = Some(unseen::quantity(target, unseen));
        (self.shown_before, self.unseen) = (Some(shown), Some(unseen));
    }

    /// By how much this changes what its listing shows; `None` where that is not known.
    pub fn change_of_shown(&self) -> Option<i64> {
        match self.kind {
            PushKind::Increase => Some(change(self.base, self.quantity?)),
            PushKind::Overwrite => self.quantity?.checked_sub(self.shown_before?),
        }
    }

    /// How it changes what is expected of its listing, if it was applied, which is not known.
    pub(super) fn perhaps_expected(&self) -> Expected {
        self.change_of_shown().map_or(Expected::Unknown, Expected::PerhapsChanged)
    }

    /// The target that it had when it was sent, as far as unseen sales do not exceed it.
    pub fn target(&self) -> Option<i64> {
        self.quantity?.checked_add(self.unseen.unwrap_or(0))
    }

    /// It gets on its way. What leaves for the platform is made here and nowhere else.
    ///
    /// # Errors
    /// It lacks what this way of sending needs, or it may not be sent now.
    pub fn begin(&mut self, call: CallId, by: SendBy, now: Timestamp) -> Result<Change, Invalid> {
        let quantity = self.quantity.ok_or_else(|| self.invalid("sent without a quantity"))?;
        let base = self.base.ok_or_else(|| self.invalid("sent without a base"));
        let change = match (by, self.kind) {
            (SendBy::Increase(method), PushKind::Increase) => {
                if !method.reads_first() {
                    self.base = None;
                }
                self.resolution = Some(method.resolution());
                match method {
                    Method::KeyedAdjust | Method::BlindAdjust => Change::Add(quantity),
                    Method::ReadAndAdjust => base.map(|base| Change::Add(after(base, quantity).saturating_sub(base)))?,
                    Method::CompareAndSet => base.map(|base| Change::SetIf { expected: base, to: after(base, quantity) })?,
                    Method::ReadAndSet => base.map(|base| Change::Set(after(base, quantity)))?,
                }
            }
            (SendBy::Overwrite(resolution), PushKind::Overwrite) => {
                self.resolution = Some(resolution);
                Change::Set(quantity)
            }
            (SendBy::OverwriteUnchanged(resolution), PushKind::Overwrite) => {
                self.resolution = Some(resolution);
                self.set_if_unchanged(quantity)
            }
            (SendBy::Repeat, PushKind::Overwrite) => Change::Set(quantity),
            (SendBy::RepeatUnchanged, PushKind::Overwrite) => self.set_if_unchanged(quantity),
            (SendBy::Repeat | SendBy::RepeatUnchanged, PushKind::Increase) => match base {
                Ok(base) => Change::SetIf { expected: base, to: after(base, quantity) },
                Err(_) => Change::Add(quantity),
            },
            _ => return Err(self.invalid("sent as a push of the other kind")),
        };
        let may_be_sent = if by.is_repeat() { self.state == PushState::Uncertain } else { self.state.is_waiting() };
        if !may_be_sent {
            return Err(self.invalid("sent while it is not waiting"));
        }
        self.state = PushState::Sending;
        self.attempts = self.attempts.saturating_add(1);
        self.call_id = Some(call);
        self.touch(now, None);
        Ok(change)
    }

    fn set_if_unchanged(&self, to: i64) -> Change {
        self.shown_before.map_or(Change::Set(to), |expected| Change::SetIf { expected, to })
    }

    /// It was claimed, and not one byte of it was sent.
    pub fn give_back(&mut self, now: Timestamp) {
        if self.in_doubt {
            self.distrust_key_if_ahead(now);
            self.state = PushState::Uncertain;
            self.touch(now, Some(now));
        } else if self.cancel_requested {
            self.end(PushState::Cancelled, now);
            self.reason = Some("Cancelled before it was sent.".to_owned());
        } else {
            self.wait(PushState::Queued, None, now, now);
        }
    }

    /// The process died while this was on its way: it may have been applied.
    pub fn crashed(&mut self, now: Timestamp, policy: &RetryPolicy) {
        if self.state == PushState::Sending {
            self.distrust_key_if_ahead(now);
            self.become_uncertain("The service stopped while this was being sent.", now, policy, 0.0);
        }
    }

    /// How its unknown outcome can be determined with what its store can do now. What was possible when it was sent may
    /// not be any more, and a key that is no longer honored, or may have been forgotten, must not be relied upon.
    pub fn resolution_at(&self, abilities: &Abilities, now: Timestamp) -> Resolution {
        let keyed = abilities.idempotency && !self.key_may_be_forgotten(now);
        match (self.kind, self.resolution, self.base) {
            (PushKind::Overwrite, Some(Resolution::SameCallAgain), _) if keyed => Resolution::SameCallAgain,
            (PushKind::Increase, Some(Resolution::SameCallAgain), None) if keyed => Resolution::SameCallAgain,
            (PushKind::Increase, Some(Resolution::SameCallAgain), Some(_)) if abilities.compare_and_set => Resolution::SameCallAgain,
            (PushKind::Increase, Some(Resolution::SameCallAgain | Resolution::ReadBack | Resolution::AwaitShown), Some(_))
                if abilities.read =>
            {
                Resolution::ReadBack
            }
            // What the listing shows tells whether an overwrite was applied; without reads, it is sent again.
            (PushKind::Overwrite, Some(_), _) if abilities.read => Resolution::ReadBack,
            _ => Resolution::Overwrite,
        }
    }

    fn key_may_be_forgotten(&self, now: Timestamp) -> bool {
        // Ids never go back in time, so after the clock was set back, the time in an id may be later than that of its call.
        let made_at = self.call_id.and_then(|call| call.created_at()).into_iter().chain(self.failing_since).min();
        made_at.is_some_and(|made_at| now < made_at || now > made_at + KEYS_TRUSTED_FOR)
    }

    /// What the listing shows if this was applied and nothing else happened.
    pub fn expected_after(&self) -> Option<i64> {
        match self.kind {
            PushKind::Overwrite => self.quantity,
            PushKind::Increase => self.base?.checked_add(self.change_of_shown()?),
        }
    }
}
