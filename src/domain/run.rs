//! Sync runs: one overwrite of many listings. A run is started, expanded into pushes page by page, counted and ended.
//!
//! Every listing of a run has a push of its own, at first in a [`Pack`] with others. So a run continues where it was after a
//! restart, and its progress is counted as its pushes end.
use super::guard::{Answered, Question};
use super::pack::{Pack, packs_of};
use super::push::{Addressee, Push};
use super::schedule::DueRun;
use super::targets::SellerRules;
use super::{ListingId, PushId, RunId, Sku, StoreId, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

/// Listings that become pushes in one transaction.
pub const EXPAND_PAGE: i64 = 500;

/// The reason of a run that its seller canceled, and of those of its pushes that were not sent any more.
pub const CANCELED: &str = "Canceled on request. What was overwritten before that can be undone.";

/// Why a run was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunKind {
    /// The seller asked for it.
    Manual,
    /// Timed full coverage.
    Daily,
    /// Auto-sync was switched on.
    Initial,
    /// The seller takes back another run.
    Undo,
}

impl RunKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Manual, Self::Daily, Self::Initial, Self::Undo];

    /// The word in the interface.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Manual => "manual",
            Self::Daily => "daily",
            Self::Initial => "initial",
            Self::Undo => "undo",
        }
    }

    /// Started by auto-sync: switching that off cancels it.
    pub fn is_automatic(self) -> bool {
        matches!(self, Self::Daily | Self::Initial)
    }
}

/// Where a run is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// Under way.
    Running,
    /// It would change more than its seller's limits allow: nothing is sent before the seller has answered.
    WaitingForAnswer,
    /// Every listing was overwritten or failed.
    Finished,
    /// Cancelled.
    Cancelled,
    /// The service was not running when it was due, nor within the catch-up window; or it fell into a frozen window.
    Missed,
}

impl RunState {
    /// Every state.
    pub const ALL: [Self; 5] = [Self::Running, Self::WaitingForAnswer, Self::Finished, Self::Cancelled, Self::Missed];

    /// The word in the interface.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::WaitingForAnswer => "waiting_for_answer",
            Self::Finished => "finished",
            Self::Cancelled => "cancelled",
            Self::Missed => "missed",
        }
    }
}

/// What a run covers; everything where a field is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunFilter {
    /// These stores.
    pub store_ids: Option<Vec<StoreId>>,
    /// These SKUs.
    pub skus: Option<Vec<Sku>>,
}

/// One sync run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Its id.
    pub id: RunId,
    /// Why it was started.
    pub kind: RunKind,
    /// Where it is in its life.
    pub state: RunState,
    /// Its only store (daily).
    pub store_id: Option<StoreId>,
    /// The local date it belongs to (daily).
    pub local_date: Option<String>,
    /// Listings it covers, as far as they have been counted.
    pub total: i64,
    /// Listings that were overwritten.
    pub done: i64,
    /// Listings whose overwrite was rejected, cancelled or superseded.
    pub failed: i64,
    /// Whether `total` is final. Also true while it waits for an answer: nothing of it is to be turned into pushes then.
    pub expanded: bool,
    /// Whether it is known that it may begin: it was weighed, and its question, if there was one, answered.
    pub weighed: bool,
    /// What it has asked before its first push.
    pub question: Option<Question>,
    /// Why it is in this state, in plain words.
    pub reason: Option<String>,
    /// When it was due (daily).
    pub scheduled_for: Option<Timestamp>,
    /// When it started; if it has asked, when it was let go ahead.
    pub started_at: Timestamp,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// The run that it undoes.
    pub undoes: Option<RunId>,
    /// The newest run that undoes it.
    pub undone_by: Option<RunId>,
}

/// What a request to cancel a run does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Canceled {
    /// It ends the run.
    Taken,
    /// Nothing: the run was canceled before.
    Before,
    /// Nothing: the run has ended in another way.
    HasEnded,
}

/// How many pushes of a run ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Confirmed.
    pub done: i64,
    /// Rejected, cancelled or superseded.
    pub failed: i64,
}

impl Run {
    /// A manual or initial run; its listings are counted soon after.
    pub fn start(kind: RunKind, now: Timestamp) -> Self {
        Self {
            id: RunId::new(now),
            kind,
            state: RunState::Running,
            store_id: None,
            local_date: None,
            total: 0,
            done: 0,
            failed: 0,
            expanded: false,
            weighed: false,
            question: None,
            reason: None,
            scheduled_for: None,
            started_at: now,
            finished_at: None,
            undoes: None,
            undone_by: None,
        }
    }

    /// A run that undoes this one.
    pub fn undo(of: RunId, now: Timestamp) -> Self {
        Self { undoes: Some(of), ..Self::start(RunKind::Undo, now) }
    }

    /// The daily run of one store for one local date; it may be recorded as missed only.
    pub fn daily(store: StoreId, due: &DueRun, now: Timestamp) -> Self {
        let mut run = Self {
            store_id: Some(store),
            local_date: Some(due.date.to_string()),
            scheduled_for: Some(due.scheduled_for),
            ..Self::start(RunKind::Daily, now)
        };
        if due.missed {
            run.expanded = true;
            run.end(RunState::Missed, now);
            run.reason = Some("The service was not running at the scheduled time or within the catch-up window after it.".to_owned());
        }
        run
    }

    /// It falls into the frozen window of this name: nothing is overwritten, not even after the window.
    pub fn skip(&mut self, window: &str, now: Timestamp) {
        self.expanded = true;
        self.end(RunState::Missed, now);
        self.reason =
            Some(format!("Skipped because of the frozen window \u{201c}{window}\u{201d}. Sync by hand if you want it after the window."));
    }

    /// Whether nothing more will happen to it.
    pub fn has_ended(&self) -> bool {
        self.finished_at.is_some()
    }

    /// Counts pushes that ended. Those that end after the run was cancelled count too.
    pub fn count(&mut self, progress: Progress, now: Timestamp) {
        self.done += progress.done;
        self.failed += progress.failed;
        self.finish_if_complete(now);
    }

    /// So many more of its listings have become pushes, of which some have ended already; perhaps those were the last.
    pub fn expand(&mut self, pushes: usize, failed: usize, is_last: bool, now: Timestamp) {
        self.expanded = is_last;
        self.total = self.total.saturating_add_unsigned(pushes as u64);
        self.failed = self.failed.saturating_add_unsigned(failed as u64);
        self.finish_if_complete(now);
    }

    /// Cancels a run that has not ended: none of its listings will be turned into pushes any more. Its pushes are
    /// cancelled separately.
    pub fn cancel(&mut self, reason: &str, now: Timestamp) {
        if !self.has_ended() {
            self.expanded = true;
            self.end(RunState::Cancelled, now);
            self.reason = Some(reason.to_owned());
        }
    }

    /// The seller cancels it, also instead of answering its question.
    pub fn cancel_on_request(&mut self, now: Timestamp) -> Canceled {
        if self.state == RunState::Cancelled {
            return Canceled::Before;
        }
        if self.has_ended() {
            return Canceled::HasEnded;
        }
        if self.answer(false, now) != Answered::Taken {
            self.cancel(CANCELED, now);
        }
        Canceled::Taken
    }

    /// It was weighed: it begins, or waits for the answer to this question.
    pub fn weigh(&mut self, question: Option<Question>) {
        if self.has_ended() || self.weighed || self.state == RunState::WaitingForAnswer {
            return;
        }
        match question {
            None => self.weighed = true,
            Some(question) => {
                (self.state, self.expanded, self.reason) = (RunState::WaitingForAnswer, true, Some(question.text()));
                self.question = Some(question);
            }
        }
    }

    /// The seller's answer to its question: it goes ahead, or ends without a push.
    pub fn answer(&mut self, go: bool, now: Timestamp) -> Answered {
        let Some(question) = &mut self.question else { return Answered::NotAsked };
        if self.state != RunState::WaitingForAnswer {
            return if question.go == Some(go) { Answered::Repeated } else { Answered::NotAsked };
        }
        (question.go, question.answered_at) = (Some(go), Some(now));
        if go {
            (self.state, self.expanded, self.weighed, self.reason) = (RunState::Running, false, true, None);
            self.started_at = now;
        } else {
            self.cancel("Cancelled by your answer. Nothing was sent.", now);
        }
        Answered::Taken
    }

    /// Ends a run whose question nobody has answered in time. Returns whether it did.
    pub fn lapse(&mut self, now: Timestamp) -> bool {
        let is_late = self.question.as_ref().is_some_and(|question| question.answer_by <= now);
        if self.state != RunState::WaitingForAnswer || !is_late {
            return false;
        }
        self.cancel("Nobody answered in time, so nothing was sent. Start another sync if the numbers are right.", now);
        true
    }

    /// When it will be finished at its pace so far; `None` while that is unknown, and once it has ended.
    pub fn eta(&self, now: Timestamp) -> Option<Timestamp> {
        let ended = self.done + self.failed;
        if self.state != RunState::Running || !self.expanded || ended == 0 {
            return None;
        }
        let elapsed = i128::from((now - self.started_at).num_milliseconds().max(0));
        let left = elapsed * i128::from((self.total - ended).max(0)) / i128::from(ended);
        Some(now + Duration::from_millis(u64::try_from(left).unwrap_or(u64::MAX)))
    }

    fn finish_if_complete(&mut self, now: Timestamp) {
        if !self.has_ended() && self.expanded && self.done + self.failed >= self.total {
            self.end(RunState::Finished, now);
        }
    }

    fn end(&mut self, state: RunState, now: Timestamp) {
        self.state = state;
        self.finished_at = Some(now);
    }
}

/// A run whose listings are being turned into pushes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expansion {
    /// The run.
    pub run: Run,
    /// What it covers.
    pub filter: RunFilter,
    /// The last listing that was looked at; listings are looked at in the order of their ids.
    pub expanded_to: Option<ListingId>,
}

impl Expansion {
    /// `filter` is what was asked for; a daily run covers its store.
    pub fn new(run: Run, filter: RunFilter, expanded_to: Option<ListingId>) -> Self {
        let store_ids = run.store_id.map(|store| vec![store]).or(filter.store_ids);
        Self { run, filter: RunFilter { store_ids, ..filter }, expanded_to }
    }

    /// The overwrites of the next page of listings that it covers, out of [`EXPAND_PAGE`] or, in the end, fewer. A
    /// listing that the rules do not push gets none; in a store that is held they wait for it.
    pub fn next_page(&mut self, page: Vec<Addressee>, rules: &SellerRules, now: Timestamp) -> Overwrites {
        let is_last = i64::try_from(page.len()).is_ok_and(|listings| listings < EXPAND_PAGE);
        self.expanded_to = page.last().map(|to| to.listing_id).or(self.expanded_to);
        let pushed = page.into_iter().filter(|to| rules.is_pushed(to.store_id, &to.sku));
        let (held, due): (Vec<Addressee>, Vec<Addressee>) = pushed.partition(|to| rules.is_held(to.store_id, now));
        self.run.expand(held.len() + due.len(), 0, is_last, now);
        let held = held.into_iter().map(|to| Push::overwrite(to, now, Some(self.run.id), None, true)).collect();
        Overwrites { held, packs: packs_of(due, self.run.id, now) }
    }
}

/// The overwrites of a page of listings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overwrites {
    /// Those of stores that are held. A later one may take the place of each, so they are not packed.
    pub held: Vec<Push>,
    /// The others.
    pub packs: Vec<Pack>,
}

/// Supersedes those of the active pushes of a listing that a new held overwrite makes unnecessary: a store may be held for
/// days, and the overwrites of its earlier runs need not be sent one after another then. Returns them before and after.
pub fn supersede_held(active: Vec<Push>, now: Timestamp) -> (Vec<Push>, Vec<Push>) {
    // Those of no run heal their listings, and have to be sent even if the new run is canceled.
    let before: Vec<Push> = active.into_iter().filter(|push| push.is_overwrite() && push.is_held() && push.run_id().is_some()).collect();
    let mut after = before.clone();
    after.iter_mut().for_each(|push| push.supersede("A later overwrite of the listing is waiting too.", now));
    (before, after)
}

/// Supersedes the held overwrites of a store that is released, because sending them would change more than its seller's limits
/// allow: a new run of the same listings asks first. Returns them before and after.
pub fn supersede_to_ask(held: Vec<Push>, now: Timestamp) -> (Vec<Push>, Vec<Push>) {
    let mut after = held.clone();
    after.iter_mut().for_each(|push| {
        push.supersede("Sending this now would exceed the guard rails. A new run of these listings waits for your answer first.", now)
    });
    (held, after)
}

/// How many pushes of each run ended between `before` and `after`.
pub fn progress(before: &[Push], after: &[Push]) -> BTreeMap<RunId, Progress> {
    let open: HashSet<PushId> = before.iter().filter(|push| !push.state().has_ended()).map(Push::id).collect();
    let mut counts: BTreeMap<RunId, Progress> = BTreeMap::new();
    for push in after.iter().filter(|push| push.state().has_ended() && open.contains(&push.id())) {
        let Some(run) = push.run_id() else { continue };
        let count = counts.entry(run).or_default();
        *(if push.is_confirmed() { &mut count.done } else { &mut count.failed }) += 1;
    }
    counts
}

#[cfg(test)]
mod tests;
