//! The life of a push, and what an answer, a crash, a read or a cancellation does to it.
//!
//! `queued → sending → confirmed`, or `→ retrying` (surely not applied), `→ uncertain` (perhaps applied),
//! `→ rejected` (for this listing, permanently), `→ held` (store paused or not authorised), `→ superseded`,
//! `→ cancelled`. An uncertain push is never sent again blindly: [`Resolution`] says how its outcome is found out.
mod verdict;
mod waiting;

use super::Timestamp;
use super::delivery::{Abilities, ItemResult, KEYS_TRUSTED_FOR, Resolution};
use super::retry::RetryPolicy;
use super::{CallId, ListingId, PushId, RunId, StoreId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;
pub use verdict::{Verdict, verdicts};
pub use waiting::Addressee;

/// How long after a request may have been overtaken by its own repetition every answer about its listing is compared
/// with the account.
pub const DOUBT_FOR: Duration = Duration::from_secs(24 * 3600);

/// How long a change that was accepted may take to show. Amazon speaks of minutes.
pub const SHOWN_WITHIN: Duration = Duration::from_secs(30 * 60);

/// Relative or absolute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PushKind {
    /// +N.
    Increase,
    /// =N.
    Overwrite,
}

/// Where a push stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PushState {
    /// Waits for its turn.
    Queued,
    /// On its way.
    Sending,
    /// Surely applied.
    Confirmed,
    /// Surely not applied; will be tried again.
    Retrying,
    /// Perhaps applied; being found out.
    Uncertain,
    /// Will not be tried again by itself.
    Rejected,
    /// Waits for the store: paused, or not authorised.
    Held,
    /// Another push took its place.
    Superseded,
    /// Called off.
    Cancelled,
}

impl PushState {
    /// All of them; the position is the number in the database.
    pub const ALL: [Self; 9] = [
        Self::Queued,
        Self::Sending,
        Self::Confirmed,
        Self::Retrying,
        Self::Uncertain,
        Self::Rejected,
        Self::Held,
        Self::Superseded,
        Self::Cancelled,
    ];

    /// The number in the database.
    pub fn code(self) -> i16 {
        Self::ALL.iter().position(|s| *s == self).and_then(|i| i16::try_from(i).ok()).unwrap_or(0)
    }

    /// The state with this number.
    pub fn from_code(code: i16) -> Option<Self> {
        usize::try_from(code).ok().and_then(|i| Self::ALL.get(i).copied())
    }

    /// The word in the interface.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Sending => "sending",
            Self::Confirmed => "confirmed",
            Self::Retrying => "retrying",
            Self::Uncertain => "uncertain",
            Self::Rejected => "rejected",
            Self::Held => "held",
            Self::Superseded => "superseded",
            Self::Cancelled => "cancelled",
        }
    }

    /// Surely not applied and not on its way: may be merged into, superseded or cancelled.
    pub fn is_waiting(self) -> bool {
        matches!(self, Self::Queued | Self::Retrying | Self::Held)
    }

    /// On its way or perhaps applied: nothing else may be sent to its listing.
    pub fn is_in_flight(self) -> bool {
        matches!(self, Self::Sending | Self::Uncertain)
    }
}

/// One quantity change for one listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Push {
    /// Its id; also its order of birth.
    pub id: PushId,
    /// Where it goes.
    pub store_id: StoreId,
    /// To which listing.
    pub listing_id: ListingId,
    /// Of which SKU.
    pub sku: String,
    /// The platform's name of the listing, as it was when the push was made: a repeated call must be the same.
    pub external_id: String,
    /// The connector's particulars of the listing, as JSON, likewise.
    pub extra: Option<String>,
    /// Relative or absolute.
    pub kind: PushKind,
    /// Units; an overwrite has none until its target is read, as its batch is sent.
    pub quantity: Option<i64>,
    /// Where it stands.
    pub state: PushState,
    /// How often it was sent.
    pub attempts: i32,
    /// Why it stands there, in plain words.
    pub reason: Option<String>,
    /// What the seller can do about it.
    pub next_step: Option<String>,
    /// The platform's last answer, shortened.
    pub raw_answer: Option<String>,
    /// When it was made. Instants are milliseconds since 1970.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// When it wants attention; `None` when it does not.
    pub due_at: Option<Timestamp>,
    /// When its success was known.
    pub confirmed_at: Option<Timestamp>,
    /// The call that carried it last.
    pub call_id: Option<CallId>,
    /// What the listing showed before it was sent, where that was read.
    pub base: Option<i64>,
    /// How an unknown outcome of its last call is found out.
    pub resolution: Option<Resolution>,
    /// Since when it has been failing without a break.
    pub failing_since: Option<Timestamp>,
    /// The most items in its next call, after a call was refused as a whole.
    pub batch_limit: Option<i32>,
    /// Cancelled while on its way: must not be sent again if it was not applied.
    pub cancel_requested: bool,
    /// The run it belongs to.
    pub run_id: Option<RunId>,
    /// Whether an earlier sending of this very call is unresolved.
    pub in_doubt: bool,
    /// Rejected, and part of what an overwrite of its listing has shown since: a retry does not send it again.
    pub contained: bool,
}

/// What the service believes that a listing shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Account {
    /// Units shown last, from a confirmed answer or a read.
    pub shown: Option<i64>,
    /// Until when an answer that differs from the account means that a late request was applied.
    pub doubt_until: Option<Timestamp>,
}

/// What an answer changes about the listing of a push.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListingChange {
    /// It shows this.
    pub shown: Option<i64>,
    /// Watch its answers until then.
    pub doubt_until: Option<Timestamp>,
    /// Send nothing to it before then: a request without an answer may still arrive, and the push is at its end.
    pub settles_at: Option<Timestamp>,
    /// Overwrite it with its target, for this reason.
    pub heal: Option<String>,
    /// Overwrite it once its store works again.
    pub mark: bool,
}

/// What the rules of settling need to know.
#[derive(Debug, Clone, Copy)]
pub struct Settling<'a> {
    /// Now, in milliseconds since 1970.
    pub now: Timestamp,
    /// The draw for backoff, from 0 to 1.
    pub jitter: f64,
    /// The retry policy.
    pub policy: &'a RetryPolicy,
    /// How many items were in the call.
    pub items: usize,
}

const CHECK_STORE: &str = "Check in the store that the listing shows the right number.";

impl Push {
    /// One that waits, due now. An increase is given its quantity, and the run of an overwrite its id, by who makes it.
    pub fn new(
        kind: PushKind,
        listing: ListingId,
        store: StoreId,
        sku: &str,
        external_id: &str,
        extra: Option<&str>,
        now: Timestamp,
    ) -> Self {
        Self {
            id: PushId::new(now),
            store_id: store,
            listing_id: listing,
            sku: sku.to_owned(),
            external_id: external_id.to_owned(),
            extra: extra.map(str::to_owned),
            kind,
            quantity: None,
            state: PushState::Queued,
            attempts: 0,
            reason: None,
            next_step: None,
            raw_answer: None,
            created_at: now,
            updated_at: now,
            due_at: Some(now),
            confirmed_at: None,
            call_id: None,
            base: None,
            resolution: None,
            failing_since: None,
            batch_limit: None,
            cancel_requested: false,
            run_id: None,
            in_doubt: false,
            contained: false,
        }
    }

    /// The connector's own field of the listing; empty when it has none of that name.
    pub fn extra_field(&self, name: &str) -> String {
        let fields: BTreeMap<String, String> = self.extra.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        fields.get(name).cloned().unwrap_or_default()
    }

    /// An increase that waits.
    pub fn is_mergeable(&self) -> bool {
        self.kind == PushKind::Increase && self.state.is_waiting() && !self.cancel_requested
    }

    /// The process died while this was on its way: perhaps applied.
    pub fn crashed(&mut self, now: Timestamp, policy: &RetryPolicy) {
        if self.state == PushState::Sending {
            self.become_uncertain("The service stopped while this was being sent.", now, policy, 0.0);
        }
    }

    /// It was claimed, and surely not one byte of it was sent.
    pub fn unclaimed(&mut self, now: Timestamp) {
        if self.in_doubt {
            self.state = PushState::Uncertain;
            self.due_at = Some(now);
        } else if self.cancel_requested {
            self.end(PushState::Cancelled, now);
            self.reason = Some("Called off before it was sent.".to_owned());
        } else {
            self.wait(PushState::Queued, None, now, now);
        }
    }

    /// Called off: at once while it waits, otherwise as soon as it is known not to have been applied.
    pub fn cancel(&mut self, reason: &str, now: Timestamp) {
        if self.state.is_waiting() {
            self.end(PushState::Cancelled, now);
            self.reason = Some(reason.to_owned());
        } else if self.state.is_in_flight() {
            self.cancel_requested = true;
        }
    }

    /// An overwrite's target was read, and this increase is part of it already.
    pub fn superseded(&mut self, reason: &str, now: Timestamp) {
        self.end(PushState::Superseded, now);
        self.reason = Some(reason.to_owned());
    }

    /// Another increase of the same listing that waits becomes part of this one.
    pub fn merge(&mut self, other: &Self, now: Timestamp) {
        self.quantity = self.quantity.zip(other.quantity).map(|(a, b)| a.saturating_add(b));
        self.updated_at = now;
    }

    /// Takes in what is known after a call.
    pub fn settle(&mut self, account: &Account, verdict: &Verdict, ctx: Settling<'_>) -> ListingChange {
        let was_in_doubt = self.in_doubt;
        let change = self.take_verdict(account, verdict, ctx);
        // An earlier sending may arrive behind this answer. Where a key was honoured it changes nothing any more; one that
        // compares does, as soon as something else brings the quantity of before back.
        let by_key = self.state == PushState::Confirmed && self.base.is_none();
        let settles = was_in_doubt && !by_key && !self.state.is_waiting() && !self.state.is_in_flight();
        ListingChange { settles_at: settles.then(|| ctx.now + ctx.policy.settle_for), ..change }
    }

    fn take_verdict(&mut self, account: &Account, verdict: &Verdict, ctx: Settling<'_>) -> ListingChange {
        let (now, was_in_doubt) = (ctx.now, self.in_doubt);
        match verdict {
            Verdict::Item(ItemResult::Applied { shown }) => self.confirm(account, *shown, now),
            Verdict::Item(ItemResult::Accepted) => self.accept(account, ctx),
            Verdict::Item(ItemResult::Stale { shown }) => {
                let change = ListingChange { shown: Some(*shown), ..ListingChange::default() };
                if !was_in_doubt {
                    self.try_again(
                        "The store's quantity changed in between.",
                        ctx.policy.base.min(Duration::from_millis(200)).mul_f64(ctx.jitter),
                        ctx,
                    );
                    return change;
                }
                if self.expected_after() == Some(*shown) {
                    return self.confirm(account, Some(*shown), now);
                }
                ListingChange { heal: self.give_way_to_overwrite(now), ..change }
            }
            // The earlier sending is perhaps applied, and a seller who retries this would have it twice.
            Verdict::Item(ItemResult::Rejected { .. }) if was_in_doubt && self.kind == PushKind::Increase => self.leave_undecided(now),
            Verdict::Item(ItemResult::Rejected { reason, next_step }) => {
                self.reject(reason, next_step, now);
                ListingChange { mark: was_in_doubt, ..ListingChange::default() }
            }
            Verdict::Item(ItemResult::TryAgain { reason }) => self.not_applied(reason, None, ctx),
            Verdict::Item(ItemResult::NeverApplied { reason }) => {
                self.in_doubt = false;
                self.not_applied(reason, None, ctx)
            }
            Verdict::TryAgain { reason, after } => self.not_applied(reason, *after, ctx),
            Verdict::Item(ItemResult::Unknown { reason }) => {
                if self.is_too_old(ctx) && was_in_doubt {
                    return self.leave_undecided(now);
                }
                self.become_uncertain(reason, now, ctx.policy, ctx.jitter);
                ListingChange::default()
            }
            Verdict::Held { reason, next_step } => {
                if was_in_doubt {
                    self.state = PushState::Uncertain;
                    self.touch(now, Some(now + pause(self.attempts, None, ctx)));
                } else if self.cancel_requested {
                    self.end(PushState::Cancelled, now);
                } else {
                    self.hold(now);
                }
                self.reason = Some(reason.clone());
                self.next_step = Some(next_step.clone());
                ListingChange::default()
            }
            Verdict::Refused { reason, next_step } => {
                if was_in_doubt {
                    return self.leave_undecided(now);
                }
                if self.cancel_requested {
                    self.end(PushState::Cancelled, now);
                } else if ctx.items > 1 {
                    self.halve_batch(ctx.items);
                    self.wait(PushState::Retrying, Some(reason), now, now);
                } else {
                    self.reject(reason, next_step, now);
                }
                ListingChange::default()
            }
        }
    }

    /// Decides an uncertain increase by what its listing shows, after the settle time.
    pub fn read_back(&mut self, account: &Account, shown: i64, ctx: Settling<'_>) -> ListingChange {
        match (self.base, self.quantity) {
            (Some(base), Some(added)) if base.saturating_add(added) == shown => self.confirm(account, Some(shown), ctx.now),
            (Some(base), Some(_)) if base == shown && self.resolution == Some(Resolution::AwaitShown) => {
                if self.failing_since.is_some_and(|since| ctx.now >= since + SHOWN_WITHIN) {
                    return self.leave_undecided(ctx.now);
                }
                self.attempts = self.attempts.saturating_add(1);
                self.touch(ctx.now, Some(ctx.now + ctx.policy.settle_for.max(pause(self.attempts, None, ctx))));
                ListingChange::default()
            }
            (Some(base), Some(_)) if base == shown => {
                self.in_doubt = false;
                let change =
                    self.surely_not_applied("The answer was lost, and the store shows that the increase did not arrive.", ctx.now, ctx);
                ListingChange { shown: Some(shown), doubt_until: Some(ctx.now + DOUBT_FOR), ..change }
            }
            _ => ListingChange { shown: Some(shown), ..self.leave_undecided(ctx.now) },
        }
    }

    /// The read that was to decide an uncertain increase was refused as a whole: a smaller page is read next.
    pub fn read_back_refused(&mut self, reason: &str, ctx: Settling<'_>) -> ListingChange {
        if ctx.items < 2 {
            return self.leave_undecided(ctx.now);
        }
        self.halve_batch(ctx.items);
        self.reason = Some(reason.to_owned());
        self.touch(ctx.now, Some(ctx.now));
        ListingChange::default()
    }

    /// The settle time of an uncertain push that nothing can be asked about is over: an overwrite is repeated with a
    /// fresh target, an increase gives way to one.
    pub fn repeat_or_overwrite(&mut self, ctx: Settling<'_>) -> ListingChange {
        if self.kind == PushKind::Overwrite {
            self.in_doubt = false;
            let change = self.surely_not_applied("The answer was lost; the overwrite is repeated with the current target.", ctx.now, ctx);
            return ListingChange { doubt_until: Some(ctx.now + DOUBT_FOR), ..change };
        }
        self.leave_undecided(ctx.now)
    }

    /// How its unknown outcome is to be found out at a store that can do this now: what was possible when it was sent may
    /// not be any more, and a key that is not honoured, or that may be forgotten by now, must not be relied upon.
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
            _ => Resolution::Overwrite,
        }
    }

    fn key_may_be_forgotten(&self, now: Timestamp) -> bool {
        let created_at = self.call_id.and_then(|call| call.created_at());
        created_at.is_some_and(|created_at| now > created_at + KEYS_TRUSTED_FOR)
    }

    /// What the listing shows if this was applied and nothing else happened.
    pub fn expected_after(&self) -> Option<i64> {
        match self.kind {
            PushKind::Overwrite => self.quantity,
            PushKind::Increase => self.base?.checked_add(self.quantity?),
        }
    }

    fn confirm(&mut self, account: &Account, shown: Option<i64>, now: Timestamp) -> ListingChange {
        let expected = self.expected_after().or_else(|| account.shown?.checked_add(self.quantity?));
        let contradicted = !self.cancel_requested
            && account.doubt_until.is_some_and(|until| until > now)
            && matches!((shown, expected), (Some(s), Some(e)) if s != e);
        self.end(PushState::Confirmed, now);
        self.confirmed_at = Some(now);
        (self.reason, self.next_step, self.failing_since) = (None, None, None);
        ListingChange {
            shown: shown.or(expected),
            heal: contradicted
                .then(|| "A request that was given up was applied late; the listing is overwritten with its target.".to_owned()),
            ..ListingChange::default()
        }
    }

    /// The platform applies it later. An increase is not confirmed, and nothing is sent behind it, before a read shows it:
    /// the next one would be added to the number of before. An overwrite needs no base; but whoever reads meanwhile and
    /// finds another number than this overwrites again.
    fn accept(&mut self, account: &Account, ctx: Settling<'_>) -> ListingChange {
        if self.kind == PushKind::Overwrite || self.base.is_none() {
            let change = self.confirm(account, None, ctx.now);
            return ListingChange { doubt_until: Some(ctx.now + SHOWN_WITHIN).max(account.doubt_until), ..change };
        }
        self.resolution = Some(Resolution::AwaitShown);
        self.failing_since = None;
        self.become_uncertain("The store has accepted this and does not show it yet.", ctx.now, ctx.policy, ctx.jitter);
        ListingChange::default()
    }

    fn not_applied(&mut self, reason: &str, after: Option<Duration>, ctx: Settling<'_>) -> ListingChange {
        let due = ctx.now + pause(self.attempts, after, ctx);
        if !self.in_doubt {
            return self.surely_not_applied(reason, due, ctx);
        }
        // This sending was not applied; the earlier one is as unknown as before.
        if self.is_too_old(ctx) {
            return self.leave_undecided(ctx.now);
        }
        self.failing_since.get_or_insert(ctx.now);
        self.state = PushState::Uncertain;
        self.reason = Some(reason.to_owned());
        self.touch(ctx.now, Some(due));
        ListingChange::default()
    }

    /// Not applied by any sending so far: tried again when `due`, unless it was called off or is too old.
    fn surely_not_applied(&mut self, reason: &str, due: Timestamp, ctx: Settling<'_>) -> ListingChange {
        if self.cancel_requested {
            self.end(PushState::Cancelled, ctx.now);
        } else if self.is_too_old(ctx) {
            self.reject(
                &format!("Given up after {} h of trying: {reason}", ctx.policy.max_age.as_secs() / 3600),
                "Nothing to do once the store works again: the listing is then overwritten with its target.",
                ctx.now,
            );
            return ListingChange { mark: true, ..ListingChange::default() };
        } else {
            self.failing_since.get_or_insert(ctx.now);
            self.wait(PushState::Retrying, Some(reason), ctx.now, due);
        }
        ListingChange::default()
    }

    fn try_again(&mut self, reason: &str, pause: Duration, ctx: Settling<'_>) {
        if self.cancel_requested {
            self.end(PushState::Cancelled, ctx.now);
        } else {
            self.wait(PushState::Retrying, Some(reason), ctx.now, ctx.now + pause);
        }
    }

    fn is_too_old(&self, ctx: Settling<'_>) -> bool {
        self.failing_since.is_some_and(|since| ctx.now >= since + ctx.policy.max_age)
    }

    fn become_uncertain(&mut self, reason: &str, now: Timestamp, policy: &RetryPolicy, jitter: f64) {
        let pause = match self.resolution {
            Some(Resolution::SameCallAgain) => policy.pause(u32::try_from(self.attempts).unwrap_or(1), jitter, None),
            _ => policy.settle_for,
        };
        self.state = PushState::Uncertain;
        self.in_doubt = true;
        self.failing_since.get_or_insert(now);
        self.reason = Some(reason.to_owned());
        self.next_step = None;
        self.touch(now, Some(now + pause));
    }

    /// Gives way with nothing known of an earlier sending, which may arrive yet: its listing is watched for that.
    fn leave_undecided(&mut self, now: Timestamp) -> ListingChange {
        ListingChange { doubt_until: Some(now + DOUBT_FOR), heal: self.give_way_to_overwrite(now), ..ListingChange::default() }
    }

    /// The reason for the overwrite that takes the place of this; none if this was called off, as then nothing more may
    /// be sent for it.
    fn give_way_to_overwrite(&mut self, now: Timestamp) -> Option<String> {
        self.next_step = Some(CHECK_STORE.to_owned());
        if self.cancel_requested {
            self.end(PushState::Cancelled, now);
            self.reason = Some("Called off; whether it had been applied before that could not be decided.".to_owned());
            return None;
        }
        self.superseded("Whether this was applied could not be decided; the listing is overwritten with its target instead.", now);
        Some("The outcome of an earlier push could not be decided; overwritten with the target rather than guessed.".to_owned())
    }

    fn halve_batch(&mut self, items: usize) {
        self.batch_limit = i32::try_from(items.div_ceil(2)).ok();
    }

    fn reject(&mut self, reason: &str, next_step: &str, now: Timestamp) {
        self.end(PushState::Rejected, now);
        self.reason = Some(reason.to_owned());
        self.next_step = Some(next_step.to_owned());
    }

    /// Waits for its store.
    pub fn hold(&mut self, now: Timestamp) {
        self.state = PushState::Held;
        (self.call_id, self.base, self.in_doubt, self.failing_since) = (None, None, false, None);
        self.touch(now, None);
    }

    fn wait(&mut self, state: PushState, reason: Option<&str>, now: Timestamp, due: Timestamp) {
        self.state = state;
        (self.call_id, self.base, self.in_doubt) = (None, None, false);
        if let Some(reason) = reason {
            self.reason = Some(reason.to_owned());
        }
        self.touch(now, Some(due));
    }

    fn end(&mut self, state: PushState, now: Timestamp) {
        self.state = state;
        self.in_doubt = false;
        self.touch(now, None);
    }

    fn touch(&mut self, now: Timestamp, due: Option<Timestamp>) {
        self.updated_at = now;
        self.due_at = due;
    }
}

fn pause(attempts: i32, after: Option<Duration>, ctx: Settling<'_>) -> Duration {
    ctx.policy.pause(u32::try_from(attempts).unwrap_or(1), ctx.jitter, after)
}

#[cfg(test)]
mod tests;
