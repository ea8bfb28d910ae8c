//! What a call's outcome or a read does to a push, and what it means for the push's listing.
use super::account::{APPLIED_LATE, ASK_AGAIN_AFTER, Account, CACHED, CAN_BE_WRITTEN_AGAIN, DOUBT_FOR, LOOK_AFTER, SHOWN_WITHIN};
use super::record::Push;
use super::state::{PushKind, PushState};
use super::update::{Expected, ListingUpdate, VerdictContext};
use super::verdict::Verdict;
use crate::domain::Timestamp;
use crate::domain::delivery::{ItemResult, Resolution};
use crate::domain::retry::RetryPolicy;
use std::time::Duration;

/// How many attempts follow each other without a pause where the next one may well succeed.
const AT_ONCE: i32 = 3;
const CHANGED_MEANWHILE: &str = "The store's quantity changed in the meantime.";
const CHECK_STORE: &str = "Check in the store that the listing shows the right number.";

impl Push {
    /// Applies what is known after a call.
    pub fn apply_verdict(&mut self, account: &Account, verdict: &Verdict, ctx: VerdictContext<'_>) -> ListingUpdate {
        let was_in_doubt = self.in_doubt;
        self.distrust_key_if_ahead(ctx.now);
        let change = self.verdict_applied(account, verdict, ctx);
        // An earlier sending may arrive after this answer. Where a key was honored it changes nothing any more; a
        // compare-and-set does, as soon as something else restores the earlier quantity.
        let by_key = self.state == PushState::Confirmed && self.base.is_none();
        let settles = was_in_doubt && !by_key && !self.state.is_waiting() && !self.state.is_in_flight();
        ListingUpdate { settles_at: settles.then(|| ctx.now + ctx.policy.settle_for), ..change }
    }

    fn verdict_applied(&mut self, account: &Account, verdict: &Verdict, ctx: VerdictContext<'_>) -> ListingUpdate {
        let (now, was_in_doubt) = (ctx.now, self.in_doubt);
        match verdict {
            Verdict::Item(ItemResult::Applied { shown }) => self.confirm(account, *shown, ctx),
            Verdict::Item(ItemResult::Accepted) => self.accept(account, ctx),
            Verdict::Item(ItemResult::Stale { shown }) => {
                let mut change = ListingUpdate { shown: Some(*shown), ..ListingUpdate::default() };
                if !was_in_doubt {
                    // A cache may go on answering the number from before.
                    change.before = self.base.map(|base| account.before_and(base, now));
                    // A sale in between is soon over. A cache that answers the read before it is not.
                    let soon = ctx.policy.base.min(Duration::from_millis(200)).mul_f64(ctx.jitter);
                    let wait = if self.attempts > AT_ONCE { pause(self.attempts - AT_ONCE, None, ctx) } else { soon };
                    self.try_again(CHANGED_MEANWHILE, wait, ctx);
                    return change;
                }
                let fall_was_applied = self.fall_by_read(account, *shown, now);
                if self.has_arrived_at(*shown, account) || fall_was_applied == Some(true) {
                    return self.confirm(account, Some(*shown), ctx);
                }
                if fall_was_applied == Some(false) {
                    let doubt = self.doubt(ctx);
                    self.try_again(CHANGED_MEANWHILE, Duration::ZERO, ctx);
                    return ListingUpdate { shown: change.shown, ..doubt };
                }
                change.expected = Some(self.perhaps_expected());
                if self.kind == PushKind::Overwrite {
                    return ListingUpdate { shown: change.shown, ..self.repeat_or_overwrite(ctx) };
                }
                ListingUpdate { heal: self.give_way_to_overwrite(now), ..change }
            }
            // The earlier sending may have been applied, and a seller's retry would apply it twice.
            Verdict::Item(ItemResult::Rejected { .. }) if was_in_doubt && self.kind == PushKind::Increase => self.leave_undecided(ctx),
            Verdict::Item(ItemResult::Rejected { reason, next_step }) => {
                self.reject(reason, next_step, now);
                let expected = was_in_doubt.then(|| self.perhaps_expected());
                ListingUpdate { mark: was_in_doubt, expected, ..owed(account, now) }
            }
            Verdict::Item(ItemResult::RefusedWithOthers { reason }) => {
                self.in_doubt = false;
                self.split(reason, ctx);
                ListingUpdate::default()
            }
            Verdict::Item(ItemResult::TryAgain { reason }) => self.not_applied(reason, None, ctx),
            Verdict::Item(ItemResult::NeverApplied { reason }) => {
                self.in_doubt = false;
                self.not_applied(reason, None, ctx)
            }
            Verdict::TryAgain { reason, after } => self.not_applied(reason, *after, ctx),
            Verdict::Item(ItemResult::Unknown { reason }) => {
                if self.is_too_old(ctx) && was_in_doubt {
                    return self.leave_undecided(ctx);
                }
                // The very same call is repeated under its key; everything else goes out in smaller calls.
                if ctx.items > 1 && self.resolution != Some(Resolution::SameCallAgain) {
                    self.halve_batch(ctx.items);
                }
                self.note_account_replaced(account);
                self.become_uncertain(reason, now, ctx.policy, ctx.jitter);
                ListingUpdate::default()
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
                ListingUpdate::default()
            }
            Verdict::Refused { reason, next_step } => {
                if was_in_doubt {
                    return self.leave_undecided(ctx);
                }
                if ctx.items > 1 || self.cancel_requested {
                    self.split(reason, ctx);
                    return ListingUpdate::default();
                }
                self.reject(reason, next_step, now);
                owed(account, now)
            }
        }
    }

    /// Goes out at once in a call of half the size, unless it was cancelled. That is no attempt: an item that is refused
    /// only because of another one does not wait longer for it.
    fn split(&mut self, reason: &str, ctx: VerdictContext<'_>) {
        if self.cancel_requested {
            return self.end(PushState::Cancelled, ctx.now);
        }
        self.halve_batch(ctx.items);
        self.attempts = self.attempts.saturating_sub(1).max(0);
        self.wait(PushState::Retrying, Some(reason), ctx.now, ctx.now);
    }

    /// Decides an uncertain push by what its listing shows after the settle time.
    pub fn read_back(&mut self, account: &Account, shown: i64, ctx: VerdictContext<'_>) -> ListingUpdate {
        // After a crash nothing was noted yet, and what is read now may be its own number.
        self.note_account_replaced(account);
        if account.may_be_cached(shown, ctx.now) && !self.cancel_requested {
            // It says nothing about what was sent since. An overwrite may simply be sent again.
            return match self.kind {
                PushKind::Overwrite => self.repeat_or_overwrite(ctx),
                PushKind::Increase => self.not_applied(CACHED, Some(ASK_AGAIN_AFTER), ctx),
            };
        }
        // A number between what was shown before and what this should leave: it was applied, and something was sold since. It says
        // nothing while an earlier request may have arrived late, since something may have been sold after that, too; nor ever if it is
        // just what such a request has left, perhaps long ago.
        let is_late = account.is_in_doubt(ctx.now) || account.late.contains(shown);
        let lies_between = |before: i64, after: i64| before < shown && shown < after && !is_late;
        if self.kind == PushKind::Overwrite {
            let sold_since = account.shown.zip(self.quantity).is_some_and(|(before, sent)| lies_between(before, sent));
            if self.quantity == Some(shown) || sold_since {
                return self.confirm(account, Some(shown), ctx);
            }
            return ListingUpdate { shown: Some(shown), ..self.repeat_or_overwrite(ctx) };
        }
        let fall_was_applied = self.fall_by_read(account, shown, ctx.now);
        match (self.base, self.quantity) {
            (Some(_), Some(_)) if self.has_arrived_at(shown, account) => self.confirm(account, Some(shown), ctx),
            (Some(base), Some(added))
                if self.resolution == Some(Resolution::AwaitShown) && lies_between(base, base.saturating_add(added)) =>
            {
                self.confirm(account, Some(shown), ctx)
            }
            (Some(base), Some(_))
                if self.resolution == Some(Resolution::AwaitShown) && (base == shown || fall_was_applied == Some(false)) =>
            {
                if self.failing_since.is_some_and(|since| ctx.now >= since + SHOWN_WITHIN) {
                    return self.leave_undecided(ctx);
                }
                self.attempts = self.attempts.saturating_add(1);
                self.touch(ctx.now, Some(ctx.now + ctx.policy.settle_for.max(pause(self.attempts, None, ctx))));
                ListingUpdate::default()
            }
            (Some(_), Some(_)) if fall_was_applied == Some(true) => self.confirm(account, Some(shown), ctx),
            (Some(base), Some(_)) if base == shown || fall_was_applied == Some(false) => {
                self.in_doubt = false;
                let doubt = self.doubt(ctx);
                let late = doubt.late.or_else(|| self.left_by_both(shown));
                let change = self.known_not_applied("The answer was lost, but the store shows that this did not arrive.", ctx.now, ctx);
                ListingUpdate { shown: Some(shown), mark: change.mark, late, ..doubt }
            }
            _ => ListingUpdate { shown: Some(shown), ..self.leave_undecided(ctx) },
        }
    }

    /// The read that was to decide an uncertain push was refused or not answered as a whole: a smaller batch is read next.
    pub fn read_back_refused(&mut self, reason: &str, ctx: VerdictContext<'_>) -> ListingUpdate {
        if ctx.items < 2 {
            return self.repeat_or_overwrite(ctx);
        }
        self.halve_batch(ctx.items);
        self.reason = Some(reason.to_owned());
        self.touch(ctx.now, Some(ctx.now));
        ListingUpdate::default()
    }

    /// The settle time of an uncertain push whose outcome cannot be determined is over: an overwrite is repeated with a
    /// fresh target, an increase gives way to an overwrite.
    pub fn repeat_or_overwrite(&mut self, ctx: VerdictContext<'_>) -> ListingUpdate {
        if self.kind == PushKind::Overwrite {
            self.in_doubt = false;
            self.replaced.in_doubt |= self.replaced.shown.is_some();
            let doubt = ListingUpdate { expected: Some(self.perhaps_expected()), ..self.doubt(ctx) };
            let wait = if self.attempts > AT_ONCE { pause(self.attempts - AT_ONCE, None, ctx) } else { Duration::ZERO };
            let due = ctx.now + wait;
            let change = self.known_not_applied("The answer was lost; the overwrite is repeated with the current target.", due, ctx);
            return ListingUpdate { mark: change.mark, ..doubt };
        }
        self.leave_undecided(ctx)
    }

    pub(super) fn confirm(&mut self, account: &Account, shown: Option<i64>, ctx: VerdictContext<'_>) -> ListingUpdate {
        let expected = self.expected_after().or_else(|| account.shown?.checked_add(self.quantity?));
        // What it showed just before, by this answer.
        let earlier = |shown: i64| match self.kind {
            PushKind::Overwrite => Some(shown),
            PushKind::Increase => self.change_of_shown().map(|added| shown.saturating_sub(added)),
        };
        let left_late = |shown: i64| earlier(shown).is_some_and(|number| account.late.contains(number));
        let contradicts = |(shown, expected): (i64, i64)| shown > expected || (shown < expected && left_late(shown));
        let contradicted = !self.cancel_requested && account.is_in_doubt(ctx.now) && shown.zip(expected).is_some_and(contradicts);
        let before = if self.kind == PushKind::Overwrite { account.shown.filter(|_| ctx.reads_first) } else { self.base };
        // The listing can be written again, but what was refused before is not part of this, unless this is what was refused.
        let is_back = self.undo.is_some();
        let settles = (self.kind == PushKind::Overwrite && !is_back) || account.owes_nothing_but(self.created_at, ctx.now);
        let owed = account.owed_since.filter(|_| !settles && !is_back && !self.cancel_requested).map(|_| CAN_BE_WRITTEN_AGAIN);
        self.note_account_replaced(account);
        self.end(PushState::Confirmed, ctx.now);
        self.confirmed_at = Some(ctx.now);
        (self.reason, self.next_step, self.failing_since) = (None, None, None);
        ListingUpdate {
            shown: shown.or(expected),
            heal: contradicted.then_some(APPLIED_LATE).or(owed).map(str::to_owned),
            before: before.map(|number| account.before_and(number, ctx.now)),
            settled: settles && account.owed_since.is_some(),
            expected: Some(self.change_of_shown().map_or(Expected::Unknown, Expected::Changed)),
            increased: self.change_of_shown().filter(|_| self.kind == PushKind::Increase),
            set_by: (self.kind == PushKind::Overwrite).then_some(self.id),
            ..ListingUpdate::default()
        }
    }

    /// Whether a listing that shows this says that the increase was applied. It says nothing where the listing is believed to
    /// have shown the same before: then the base was the old number that a cache had kept.
    fn has_arrived_at(&self, shown: i64, account: &Account) -> bool {
        self.expected_after() == Some(shown) && account.shown != Some(shown)
    }

    /// An earlier request of this push was given up and may still arrive.
    fn doubt(&self, ctx: VerdictContext<'_>) -> ListingUpdate {
        let late = self.expected_after().filter(|_| self.kind == PushKind::Overwrite || !ctx.adds);
        ListingUpdate { doubt_until: Some(ctx.now + DOUBT_FOR), late, look_at: Some(ctx.now + LOOK_AFTER), ..ListingUpdate::default() }
    }

    /// The platform applies it later. An increase is not confirmed, and nothing more is sent to its listing, before a read
    /// shows it: the next one would be added to the old number. An overwrite needs no base, but a read that finds another
    /// number in the meantime leads to another overwrite.
    fn accept(&mut self, account: &Account, ctx: VerdictContext<'_>) -> ListingUpdate {
        if self.kind == PushKind::Overwrite || self.base.is_none() {
            let change = self.confirm(account, None, ctx);
            // Until it is applied, reads show what was there before.
            let late = account.shown.filter(|_| self.kind == PushKind::Overwrite);
            let expected = Some(Expected::Unknown);
            return ListingUpdate { doubt_until: Some(ctx.now + SHOWN_WITHIN).max(account.doubt_until), late, expected, ..change };
        }
        self.resolution = Some(Resolution::AwaitShown);
        self.failing_since = None;
        self.become_uncertain("The store has accepted this but does not show it yet.", ctx.now, ctx.policy, ctx.jitter);
        ListingUpdate::default()
    }

    fn not_applied(&mut self, reason: &str, after: Option<Duration>, ctx: VerdictContext<'_>) -> ListingUpdate {
        let due = ctx.now + pause(self.attempts, after, ctx);
        if !self.in_doubt {
            return self.known_not_applied(reason, due, ctx);
        }
        // This sending was not applied; the outcome of the earlier one is still unknown.
        if self.is_too_old(ctx) {
            return self.leave_undecided(ctx);
        }
        self.failing_since.get_or_insert(ctx.now);
        self.state = PushState::Uncertain;
        self.reason = Some(reason.to_owned());
        self.touch(ctx.now, Some(due));
        ListingUpdate::default()
    }

    /// No sending so far was applied: tried again when `due`, unless it was cancelled or is too old.
    fn known_not_applied(&mut self, reason: &str, due: Timestamp, ctx: VerdictContext<'_>) -> ListingUpdate {
        if self.cancel_requested {
            self.end(PushState::Cancelled, ctx.now);
        } else if self.is_too_old(ctx) {
            self.reject(
                &format!("Given up after {} h of trying: {reason}", ctx.policy.max_age.as_secs() / 3600),
                "Nothing to do: once the store works again, the listing is overwritten with its target.",
                ctx.now,
            );
            return ListingUpdate { mark: true, ..ListingUpdate::default() };
        } else {
            self.failing_since.get_or_insert(ctx.now);
            self.wait(PushState::Retrying, Some(reason), ctx.now, due);
        }
        ListingUpdate::default()
    }

    fn try_again(&mut self, reason: &str, pause: Duration, ctx: VerdictContext<'_>) {
        if self.cancel_requested {
            self.end(PushState::Cancelled, ctx.now);
        } else {
            self.wait(PushState::Retrying, Some(reason), ctx.now, ctx.now + pause);
        }
    }

    fn is_too_old(&self, ctx: VerdictContext<'_>) -> bool {
        self.failing_since.is_some_and(|since| ctx.now >= since + ctx.policy.max_age)
    }

    pub(super) fn become_uncertain(&mut self, reason: &str, now: Timestamp, policy: &RetryPolicy, jitter: f64) {
        let pause = match self.resolution {
            Some(Resolution::SameCallAgain) => policy.pause(u32::try_from(self.attempts).unwrap_or(1), jitter, None),
            _ => policy.settle_for,
        };
        // Its call is at least as old as the last change of a push that is being sent.
        let since = if self.state == PushState::Sending { self.updated_at.min(now) } else { now };
        self.state = PushState::Uncertain;
        self.in_doubt = true;
        self.failing_since.get_or_insert(since);
        self.reason = Some(reason.to_owned());
        self.next_step = None;
        self.touch(now, Some(now + pause));
    }

    /// Gives way to an overwrite with the outcome of an earlier sending unknown, which may still arrive: the account is
    /// kept in doubt for that.
    fn leave_undecided(&mut self, ctx: VerdictContext<'_>) -> ListingUpdate {
        let doubt = ListingUpdate { expected: Some(self.perhaps_expected()), ..self.doubt(ctx) };
        ListingUpdate { heal: self.give_way_to_overwrite(ctx.now), ..doubt }
    }

    /// The reason for the overwrite that takes its place; none if it was cancelled, as nothing more may be sent then.
    fn give_way_to_overwrite(&mut self, now: Timestamp) -> Option<String> {
        self.next_step = Some(CHECK_STORE.to_owned());
        if self.cancel_requested {
            self.end(PushState::Cancelled, now);
            self.reason = Some("Cancelled; whether it had been applied before could not be decided.".to_owned());
            return None;
        }
        self.supersede("Whether this was applied could not be decided; the listing is overwritten with its target instead.", now);
        Some("The outcome of an earlier push could not be decided, so the listing is overwritten with its target.".to_owned())
    }

    fn halve_batch(&mut self, items: usize) {
        self.batch_limit = i32::try_from(items.div_ceil(2)).ok();
    }

    fn reject(&mut self, reason: &str, next_step: &str, now: Timestamp) {
        self.end(PushState::Rejected, now);
        self.reason = Some(reason.to_owned());
        self.next_step = Some(next_step.to_owned());
    }

    /// Keeps the platform's answer beside it.
    pub fn note_answer(&mut self, raw: Option<&str>) {
        self.raw_answer = raw.map(str::to_owned);
    }

    /// The read before it was not answered: its listing is read again at once, among half as many.
    pub fn read_in_smaller_batch(&mut self, reason: &str, ctx: VerdictContext<'_>) {
        self.split(reason, ctx);
        self.failing_since.get_or_insert(ctx.now);
    }

    /// The read that was needed for it failed.
    pub fn apply_failed_read(&mut self, account: &Account, verdict: &Verdict, ctx: VerdictContext<'_>) -> ListingUpdate {
        self.attempts = self.attempts.saturating_add(1);
        self.apply_verdict(account, verdict, ctx)
    }
}

/// Its listing was refused for its own sake: it is looked at until it can be written again.
fn owed(account: &Account, now: Timestamp) -> ListingUpdate {
    let since = Account { owed_since: account.owed_since.or(Some(now)), ..*account };
    ListingUpdate { owed: true, look_at: since.next_look(now), ..ListingUpdate::default() }
}

fn pause(attempts: i32, after: Option<Duration>, ctx: VerdictContext<'_>) -> Duration {
    ctx.policy.pause(u32::try_from(attempts).unwrap_or(1), ctx.jitter, after)
}
