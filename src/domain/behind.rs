//! Which stores are *behind*, why, and who must act: what an operator looks at first.
//!
//! A store is behind if its oldest work is older than the operator allows, or if it lets nobody in. Of everything that holds a store up
//! only the first cause is named, because the others cannot matter before it is gone. Worst first means: what is broken, longest first;
//! then what is catching up; then what a seller wants to wait.
use super::Timestamp;
use super::access::CREDENTIALS_UNREADABLE;
use super::acting::{MustAct, Trouble};
use serde::Serialize;
use std::time::Duration;

/// How old work may be unless the operator says otherwise.
pub const BEHIND_BY: Duration = Duration::from_secs(60);
/// No longer time can be asked for.
pub const MAX_BEHIND_BY: Duration = Duration::from_secs(31 * 86_400);
/// A store with a success as recent as this is working off what waits.
const RECENTLY: Duration = Duration::from_secs(60);

/// What is known of a store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// The seller has paused it, or a frozen window is on.
    pub paused: bool,
    /// The operator has paused its platform.
    pub platform_paused: bool,
    /// It lets nobody in.
    pub needs_reauthorisation: bool,
    /// What is wrong with it, according to its row.
    pub problem: Option<String>,
    /// It keeps failing, so that it is probed instead of hammered.
    pub circuit_is_open: bool,
    /// When its oldest push that has not ended was recorded.
    pub waiting_since: Option<Timestamp>,
    /// Why that push failed before.
    pub failure: Option<String>,
    /// When its daily run should have begun, if it has not.
    pub run_due_since: Option<Timestamp>,
    /// When its oldest open run began.
    pub run_open_since: Option<Timestamp>,
    /// That run waits for the seller's answer.
    pub run_asks: bool,
    /// When a push was last confirmed.
    pub last_success_at: Option<Timestamp>,
}

/// Why a store is behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = BehindCause)]
pub enum Cause {
    /// Its credentials cannot be opened with the key that the service was started with.
    CredentialsUnreadable,
    /// It refused its credentials.
    NeedsReauthorisation,
    /// It keeps failing.
    NotResponding,
    /// It has refused or failed the oldest update, which is tried again.
    Retrying,
    /// Its daily run has not begun.
    RunOverdue,
    /// Nothing was confirmed lately, and nothing failed either.
    NotAttempted,
    /// Its updates are being sent one after another.
    CatchingUp,
    /// The seller has paused it, or a frozen window is on.
    Paused,
    /// The operator has paused its platform.
    PlatformPaused,
    /// An overwrite of it waits for the seller's answer.
    WaitingForAnswer,
}

impl Cause {
    /// What is wrong; `None` where time ends it.
    pub fn trouble(self) -> Option<Trouble> {
        match self {
            Self::CredentialsUnreadable => Some(Trouble::CredentialsUnreadable),
            Self::NeedsReauthorisation => Some(Trouble::NeedsReauthorization),
            Self::NotResponding => Some(Trouble::NotResponding),
            Self::Retrying => Some(Trouble::Retrying),
            Self::RunOverdue => Some(Trouble::RunOverdue),
            Self::NotAttempted => Some(Trouble::NotAttempted),
            Self::Paused => Some(Trouble::Paused),
            Self::PlatformPaused => Some(Trouble::PlatformPaused),
            Self::WaitingForAnswer => Some(Trouble::WaitingForAnswer),
            Self::CatchingUp => None,
        }
    }

    /// Who can end it; `None` where time does.
    pub fn must_act(self) -> Option<MustAct> {
        self.trouble().map(Trouble::must_act)
    }

    /// What the operator reads where nothing more exact is known.
    fn in_words(self) -> &'static str {
        match self {
            Self::CredentialsUnreadable => CREDENTIALS_UNREADABLE,
            Self::NeedsReauthorisation => "The store refused its credentials.",
            Self::NotResponding => "The store keeps failing.",
            Self::Retrying => "The store did not take the oldest update, which is retried.",
            Self::RunOverdue => "Its daily run has not begun. Check that a node works for its seller.",
            Self::NotAttempted => {
                "Updates wait, and none was confirmed in the last minute. Check that a node works for its seller, and whether \
                 its platform's quota is used up."
            }
            Self::CatchingUp => "More updates were recorded than its rate limit lets through at once. They are being sent.",
            Self::Paused => "The seller has paused it, or a frozen window is on.",
            Self::PlatformPaused => "You have paused its platform.",
            Self::WaitingForAnswer => "An overwrite would change so much that it waits for the seller's answer.",
        }
    }

    /// The order of what is worst.
    fn rank(self) -> u8 {
        match self {
            Self::Paused | Self::PlatformPaused | Self::WaitingForAnswer => 2,
            Self::CatchingUp => 1,
            _ => 0,
        }
    }
}

/// A store that is behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Behind {
    /// Why.
    pub cause: Cause,
    /// When its oldest work was recorded or should have begun; `None` if nothing waits.
    pub since: Option<Timestamp>,
    /// The cause in plain words, and what to do.
    pub reason: String,
}

/// Where a store is in the list of what is worst; smaller is worse.
pub type Place = (u8, bool, Timestamp);

impl Behind {
    /// Judges a store at `now`, whose work may be as old as `by`; `None` if it is not behind.
    pub fn of(facts: &Facts, by: Duration, now: Timestamp) -> Option<Self> {
        let since = [facts.waiting_since, facts.run_due_since, facts.run_open_since].into_iter().flatten().min();
        let is_old = |since: Option<Timestamp>| since.is_some_and(|since| since <= now - by);
        if !facts.needs_reauthorisation && !is_old(since) {
            return None;
        }
        let succeeded_recently = facts.last_success_at.is_some_and(|at| at > now - RECENTLY);
        let (cause, detail) = if facts.needs_reauthorisation {
            let unreadable = facts.problem.as_deref() == Some(CREDENTIALS_UNREADABLE);
            (if unreadable { Cause::CredentialsUnreadable } else { Cause::NeedsReauthorisation }, facts.problem.as_ref())
        } else if facts.platform_paused {
            (Cause::PlatformPaused, None)
        } else if facts.paused {
            (Cause::Paused, None)
        } else if facts.circuit_is_open {
            (Cause::NotResponding, facts.failure.as_ref())
        } else if is_old(facts.run_due_since) {
            (Cause::RunOverdue, None)
        } else if is_old(facts.waiting_since) && facts.failure.is_some() {
            (Cause::Retrying, facts.failure.as_ref())
        } else if facts.run_asks && !is_old(facts.waiting_since) {
            (Cause::WaitingForAnswer, None)
        } else if succeeded_recently {
            (Cause::CatchingUp, None)
        } else {
            (Cause::NotAttempted, None)
        };
        Some(Self { cause, since, reason: detail.map_or_else(|| cause.in_words().to_owned(), Clone::clone) })
    }

    /// Its place in the list.
    pub fn place(&self) -> Place {
        (self.cause.rank(), self.since.is_none(), self.since.unwrap_or_default())
    }
}

/// Reads a time such as `90s`, `5m`, `2h` or `1d`.
///
/// # Errors
/// What it must be.
pub fn parse_by(text: &str) -> Result<Duration, &'static str> {
    const ERROR: &str = "must be a time from 0s to 31d, such as 60s, 5m or 2h";
    let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or(ERROR)?;
    let seconds: u64 = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(ERROR),
    };
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    let number: u64 = number.parse().ok().filter(|_| is_number).ok_or(ERROR)?;
    let by = Duration::from_secs(number.checked_mul(seconds).ok_or(ERROR)?);
    if by <= MAX_BEHIND_BY { Ok(by) } else { Err(ERROR) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Option<Timestamp> {
        Some(Timestamp::from_millis(1_800_000_000_000 + seconds * 1000))
    }

    fn judge(facts: &Facts) -> Option<(Cause, Option<MustAct>)> {
        let behind = Behind::of(facts, BEHIND_BY, at(0).unwrap())?;
        Some((behind.cause, behind.cause.must_act()))
    }

    #[test]
    fn each_store_has_the_first_cause_that_holds_it_up_and_who_must_act() {
        let old = Facts { waiting_since: at(-61), ..Facts::default() };
        let failing = Facts { failure: Some("503".to_owned()), ..old.clone() };
        let refused = Facts { needs_reauthorisation: true, ..Facts::default() };
        let unreadable = Facts { problem: Some(CREDENTIALS_UNREADABLE.to_owned()), ..refused.clone() };
        let due = Facts { run_due_since: at(-61), ..Facts::default() };
        let asking = Facts { run_open_since: at(-61), run_asks: true, ..Facts::default() };
        for (facts, expected) in [
            (Facts::default(), None),
            (Facts { waiting_since: at(-59), ..failing.clone() }, None),
            (Facts { paused: true, ..Facts::default() }, None),
            (refused.clone(), Some((Cause::NeedsReauthorisation, Some(MustAct::Seller)))),
            (Facts { paused: true, ..refused }, Some((Cause::NeedsReauthorisation, Some(MustAct::Seller)))),
            (unreadable, Some((Cause::CredentialsUnreadable, Some(MustAct::Operator)))),
            (Facts { paused: true, ..failing.clone() }, Some((Cause::Paused, Some(MustAct::Seller)))),
            (Facts { paused: true, platform_paused: true, ..failing.clone() }, Some((Cause::PlatformPaused, Some(MustAct::Operator)))),
            (Facts { circuit_is_open: true, ..failing.clone() }, Some((Cause::NotResponding, Some(MustAct::Shop)))),
            (failing, Some((Cause::Retrying, Some(MustAct::Shop)))),
            (due, Some((Cause::RunOverdue, Some(MustAct::Operator)))),
            (old.clone(), Some((Cause::NotAttempted, Some(MustAct::Operator)))),
            (Facts { last_success_at: at(-5), ..old.clone() }, Some((Cause::CatchingUp, None))),
            (Facts { last_success_at: at(-61), ..old.clone() }, Some((Cause::NotAttempted, Some(MustAct::Operator)))),
            (asking.clone(), Some((Cause::WaitingForAnswer, Some(MustAct::Seller)))),
            (Facts { waiting_since: at(-61), ..asking }, Some((Cause::NotAttempted, Some(MustAct::Operator)))),
        ] {
            assert_eq!(judge(&facts), expected, "{facts:?}");
        }
        let judged = Behind::of(&Facts { failure: Some("429".to_owned()), ..old }, BEHIND_BY, at(0).unwrap()).unwrap();
        assert_eq!((judged.reason.as_str(), judged.since), ("429", at(-61)), "the store's own words come first");
    }

    #[test]
    fn what_is_broken_longest_comes_first_and_what_sellers_want_last() {
        let with = |cause, since| Behind { cause, since, reason: String::new() }.place();
        let mut places = [
            with(Cause::Paused, at(-9_000)),
            with(Cause::NeedsReauthorisation, None),
            with(Cause::NotResponding, at(-100)),
            with(Cause::CatchingUp, at(-500)),
            with(Cause::Retrying, at(-300)),
        ];
        let worst_first = [places[4], places[2], places[1], places[3], places[0]];
        places.sort();
        assert_eq!(places, worst_first);
    }

    #[test]
    fn times_are_read_within_bounds() {
        for (text, seconds) in [("0s", 0), ("60s", 60), ("5m", 300), ("2h", 7_200), ("31d", 2_678_400)] {
            assert_eq!(parse_by(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "s", "60", "-1s", "+1s", "1.5h", "32d", "99999999999999999999s", "5 m", "5M", "1w", "五m", "m5"] {
            assert!(parse_by(text).is_err(), "{text}");
        }
    }
}
