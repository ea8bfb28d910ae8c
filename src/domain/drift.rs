//! Drift: listings that show something other than what is expected of them, and why.
//!
//! A *check* reads all listings of a store, nothing else being due to it, and compares. What is *expected* is what was last seen or
//! sent; of a store whose own sales are reported, what it would show if every sale had been ([`unseen`](super::unseen)). Whether
//! anything is done about a difference is the seller's *policy*.
use super::push::Account;
use super::unseen::Expectation;
use super::{StoreId, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// After the daily time, checks wait for so long, so that daily runs come first.
pub const AFTER_DAILY_TIME: Duration = Duration::from_secs(30 * 60);
/// A check that cannot go on because of its store, or of a run, looks again after this time.
pub const WAITS: Duration = Duration::from_secs(5 * 60);
/// A listing whose updates the platform has put off for so long is locked.
pub const LOCKED_AFTER: Duration = Duration::from_secs(3600);
/// A check that has made no progress for so long is given up.
pub const GIVEN_UP_AFTER: Duration = Duration::from_secs(20 * 3600);

/// What every connector says about a listing whose stock is not tracked, or of which the platform does not track it.
const TRACK: &str = "track";

/// What the daily check does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = DriftPolicy)]
pub enum Policy {
    /// There is no daily check.
    #[default]
    Off,
    /// It reports.
    Report,
    /// It overwrites listings that show more than expected and more than their target.
    CorrectDown,
    /// It also overwrites listings that show less than expected, once they have done so for as long as the store waits for reports.
    Correct,
}

impl Policy {
    /// Every policy.
    pub const ALL: [Self; 4] = [Self::Off, Self::Report, Self::CorrectDown, Self::Correct];

    /// The word in the interface.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Report => "report",
            Self::CorrectDown => "correct_down",
            Self::Correct => "correct",
        }
    }

    /// The policy that this word stands for.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|policy| policy.as_str() == word)
    }
}

/// Why a listing differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = DriftCause)]
pub enum Cause {
    /// It shows more than expected: somebody has changed it in the store.
    EditedInStore,
    /// It shows less than expected: the store has sold units that were not reported, or somebody has changed it.
    SaleNotReported,
    /// The platform has refused an update of it for good.
    PushRejected,
    /// The platform refuses updates of it for now, as during a campaign.
    Locked,
    /// The platform does not track its stock.
    NotTracked,
    /// The platform does not say what it shows, for another reason: perhaps it was deleted there.
    Unreadable,
}

impl Cause {
    /// Every cause.
    pub const ALL: [Self; 6] =
        [Self::EditedInStore, Self::SaleNotReported, Self::PushRejected, Self::Locked, Self::NotTracked, Self::Unreadable];

    /// The word in the interface.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::EditedInStore => "edited_in_store",
            Self::SaleNotReported => "sale_not_reported",
            Self::PushRejected => "push_rejected",
            Self::Locked => "locked",
            Self::NotTracked => "not_tracked",
            Self::Unreadable => "unreadable",
        }
    }

    /// The cause that this word stands for.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|cause| cause.as_str() == word)
    }
}

/// A listing that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drift {
    /// Why.
    pub cause: Cause,
    /// Units that it shows in excess of what is expected; negative if it shows less, `None` if that is not known.
    pub difference: Option<i64>,
    /// What it shows, if that is known.
    pub shown: Option<i64>,
    /// Since when it is known.
    pub since: Timestamp,
    /// What the platform said about it.
    pub note: Option<String>,
}

/// What is known of a listing that was read.
#[derive(Debug, Clone, Copy, Default)]
pub struct Known<'a> {
    /// What it should show by the seller's rules; `None` if nothing is pushed to it.
    pub target: Option<i64>,
    /// What is believed of it.
    pub account: Account,
    /// What is expected of it, in a store whose own sales are reported.
    pub expected: Option<Expectation>,
    /// How it differed when it was last checked.
    pub before: Option<&'a Drift>,
    /// For how long units may be missing because their sale is still to be reported.
    pub unseen_for: Duration,
}

impl Known<'_> {
    /// How a listing differs that shows this.
    pub fn compare(&self, shown: i64, now: Timestamp) -> Option<Drift> {
        let target = self.target?;
        let (cause, difference) = self.difference(shown, target)?;
        // Unless it was brought to a number since, or the clock was set back.
        let same = self.before.filter(|before| before.cause == cause && before.since <= now && !self.was_set_after(before.since));
        let since = same.map_or(now, |before| before.since);
        Some(Drift { cause, difference: Some(difference), shown: Some(shown), since, note: None })
    }

    fn was_set_after(&self, since: Timestamp) -> bool {
        self.account.changed_at.is_some_and(|at| at > since)
    }

    fn difference(&self, shown: i64, target: i64) -> Option<(Cause, i64)> {
        if self.account.owed_since.is_some() {
            return (shown != target).then(|| (Cause::PushRejected, shown.saturating_sub(target)));
        }
        if shown == target {
            return None;
        }
        let of_excess = |difference: i64| {
            let cause = if difference > 0 { Cause::EditedInStore } else { Cause::SaleNotReported };
            (difference != 0).then_some((cause, difference))
        };
        if let Some(excess) = self.expected.as_ref().and_then(|expected| excess(expected, shown)) {
            return of_excess(excess);
        }
        // What differed before still does, unless the listing was brought to a number since.
        let is_open = |before: &&Drift| matches!(before.cause, Cause::EditedInStore | Cause::SaleNotReported);
        let open = self.before.filter(|before| is_open(before) && !self.was_set_after(before.since));
        let expected = self.account.shown?.saturating_sub(open.and_then(|before| before.difference).unwrap_or(0));
        // What was sold and reported without naming the store lowers the target as it lowers what is shown.
        of_excess(if shown < expected { shown.saturating_sub(expected.min(target)).min(0) } else { shown.saturating_sub(expected) })
    }

    /// Whether the listing is overwritten with its target, by this policy. Of a store that leaves out unseen sales, an overwrite
    /// would leave out what is missing here; elsewhere, it would put back on sale what was sold a while ago and will be reported.
    pub fn is_corrected(&self, drift: &Drift, policy: Policy, now: Timestamp) -> bool {
        let (Some(target), Some(shown)) = (self.target, drift.shown) else { return false };
        let leaves_out = self.expected.is_some();
        match (policy, drift.cause) {
            (Policy::CorrectDown | Policy::Correct, Cause::EditedInStore) if shown > target => true,
            (Policy::Correct, Cause::EditedInStore) => shown != target,
            (Policy::Correct, Cause::SaleNotReported) => shown != target && !leaves_out && now >= drift.since + self.unseen_for,
            _ => false,
        }
    }
}

/// Units of the listing that it shows in excess of what is expected; `None` if nothing is.
fn excess(expected: &Expectation, shown: i64) -> Option<i64> {
    // Where several listings show the SKU, what is missing here may be what was reported.
    let expected = expected.reported(expected.explained_by(expected.unattributed, shown, false));
    let (of_sku, units) = (expected.each.of_sku(shown), expected.units?);
    let either = || [units].into_iter().chain(expected.otherwise);
    // The explanation that is nearest, as an overwrite would take it: what is missing first.
    let missing = either().filter(|units| *units >= of_sku).min().map(|units| expected.each.needed_for(units.saturating_sub(of_sku)));
    let surplus = || either().max().map(|units| expected.each.whole_in(of_sku.saturating_sub(units)));
    missing.map(|missing| -missing).or_else(surplus)
}

/// Why a listing cannot be read, by the platform's words.
pub fn unreadable(reason: &str, before: Option<&Drift>, now: Timestamp) -> Drift {
    let cause = if reason.contains(TRACK) { Cause::NotTracked } else { Cause::Unreadable };
    with_note(cause, reason, before, now)
}

/// A listing whose updates the platform refuses for now.
pub fn locked(reason: &str, before: Option<&Drift>, now: Timestamp) -> Drift {
    with_note(Cause::Locked, reason, before, now)
}

fn with_note(cause: Cause, reason: &str, before: Option<&Drift>, now: Timestamp) -> Drift {
    let since = before.filter(|before| before.cause == cause && before.since <= now).map_or(now, |before| before.since);
    Drift { cause, difference: None, shown: None, since, note: Some(reason.to_owned()) }
}

/// Why a listing is overwritten after a check.
pub fn correction(drift: &Drift) -> String {
    let units = drift.difference.unwrap_or(0);
    let (number, more) = (units.unsigned_abs(), if units > 0 { "more" } else { "less" });
    format!("A check found that the store shows {number} {more} than expected, so the listing is overwritten with its target.")
}

/// How many listings differ, by cause.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts(pub BTreeMap<Cause, i64>);

impl Counts {
    /// Counts one more.
    pub fn add(&mut self, cause: Cause) {
        *self.0.entry(cause).or_default() += 1;
    }

    /// All of them.
    pub fn total(&self) -> i64 {
        self.0.values().sum()
    }
}

/// A check of one store's listings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DriftCheck {
    /// Its id.
    pub id: super::DriftCheckId,
    /// Whose listings are compared.
    pub store_id: StoreId,
    /// What it does about those that differ.
    pub policy: Policy,
    /// Listings compared.
    pub compared: i64,
    /// Listings that were left out, because something was on its way to them or their quantity could not be trusted.
    pub skipped: i64,
    /// Listings that were overwritten.
    pub corrected: i64,
    /// How many differ.
    pub counts: Counts,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended; `None` while it goes on.
    pub finished_at: Option<Timestamp>,
}

#[cfg(test)]
mod tests;
