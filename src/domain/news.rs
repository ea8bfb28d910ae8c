//! News: what has happened, as a line of a mail. The same about the same is one line until it is mailed, with a number.
use super::access::CREDENTIALS_UNREADABLE;
use super::acting::Trouble;
use super::drift::DriftCheck;
use super::run::{Run, RunKind, RunState};
use super::topic::Topic;
use super::{StoreId, Timestamp};
use serde_json::{Value, json};

/// What has happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// A store's credentials cannot be opened.
    Unreadable,
    /// A store refuses its credentials.
    Refused,
    /// A run waits for an answer.
    Waits,
    /// A store has refused updates for good.
    Rejected,
    /// A check has found listings that differ.
    Differs,
    /// A run has overwritten all of its listings.
    Finished,
    /// A run has ended, and not all of its listings were overwritten.
    Incomplete,
    /// A run was canceled.
    Canceled,
    /// A run was missed.
    Missed,
    /// A run fell into a frozen window.
    Skipped,
}

impl What {
    /// Everything that can happen.
    pub const ALL: [Self; 10] = [
        Self::Unreadable,
        Self::Refused,
        Self::Waits,
        Self::Rejected,
        Self::Differs,
        Self::Finished,
        Self::Incomplete,
        Self::Canceled,
        Self::Missed,
        Self::Skipped,
    ];

    /// The word in rows.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::Refused => "refused",
            Self::Waits => "waits",
            Self::Rejected => "rejected",
            Self::Differs => "differs",
            Self::Finished => "finished",
            Self::Incomplete => "incomplete",
            Self::Canceled => "canceled",
            Self::Missed => "missed",
            Self::Skipped => "skipped",
        }
    }

    /// What this word stands for.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|what| what.as_str() == word)
    }

    /// What is wrong, if anything is.
    pub fn trouble(self) -> Option<Trouble> {
        match self {
            Self::Unreadable => Some(Trouble::CredentialsUnreadable),
            Self::Refused => Some(Trouble::NeedsReauthorization),
            Self::Waits => Some(Trouble::WaitingForAnswer),
            Self::Rejected => Some(Trouble::PushesRejected),
            Self::Differs => Some(Trouble::Drift),
            Self::Incomplete => Some(Trouble::RunIncomplete),
            Self::Missed => Some(Trouble::RunMissed),
            Self::Finished | Self::Canceled | Self::Skipped => None,
        }
    }

    /// Whether it is mailed before the next digest: nothing goes on until somebody has acted.
    pub fn is_urgent(self) -> bool {
        matches!(self, Self::Unreadable | Self::Refused | Self::Waits)
    }

    /// The topic that it belongs to.
    pub fn topic(self) -> Topic {
        match self {
            Self::Unreadable | Self::Refused => Topic::StoreNeedsReauthorization,
            Self::Waits => Topic::RunWaitingForAnswer,
            Self::Rejected => Topic::PushesRejected,
            Self::Differs => Topic::DriftFound,
            Self::Finished | Self::Incomplete | Self::Canceled | Self::Missed | Self::Skipped => Topic::RunFinished,
        }
    }

    /// Adds who must act, and what to do next, to a message.
    pub fn add_to(self, data: &mut Value) {
        let Some(fields) = data.as_object_mut() else { return };
        fields.insert("must_act".to_owned(), json!(self.trouble().map(Trouble::must_act)));
        fields.insert("next_step".to_owned(), json!(self.trouble().map(Trouble::next_step)));
    }
}

/// One line of a mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct News {
    /// What has happened.
    pub what: What,
    /// To what; the same to the same is one line.
    pub subject: String,
    /// What people call it: the store's name, or the kind of run, such as "daily sync".
    pub name: String,
    /// More about the last time.
    pub detail: Option<String>,
    /// The page of the console about it.
    pub path: String,
    /// How often it has happened; of what differs and what is rejected, how many.
    pub count: i64,
    /// When it happened first.
    pub since: Timestamp,
}

impl News {
    /// A store refuses its credentials, or they cannot be opened.
    pub fn needs_reauthorization(store: StoreId, name: &str, problem: &str) -> Self {
        let what = if problem == CREDENTIALS_UNREADABLE { What::Unreadable } else { What::Refused };
        Self::of_store(what, store, name, Some(problem.to_owned()), format!("/console/stores/{store}"), 1)
    }

    /// A store has rejected so many updates.
    pub fn rejected(store: StoreId, name: &str, pushes: usize, example: Option<String>) -> Self {
        let count = i64::try_from(pushes).unwrap_or(i64::MAX);
        Self::of_store(What::Rejected, store, name, example, format!("/console/records?state=rejected&store={store}"), count)
    }

    /// A check of a store has found listings that differ.
    pub fn drift(check: &DriftCheck, name: &str) -> Self {
        let path = format!("/console/drift?store={}", check.store_id);
        let corrected = (check.corrected > 0).then(|| format!("{} of them were overwritten.", check.corrected));
        Self::of_store(What::Differs, check.store_id, name, corrected, path, check.counts.total())
    }

    fn of_store(what: What, store: StoreId, name: &str, detail: Option<String>, path: String, count: i64) -> Self {
        Self { what, subject: format!("store {store}"), name: name.to_owned(), detail, path, count, since: Timestamp::default() }
    }

    /// What has become of a run; `None` while it goes on.
    pub fn of_run(run: &Run) -> Option<Self> {
        let what = match run.state {
            RunState::Running => return None,
            RunState::WaitingForAnswer => What::Waits,
            RunState::Finished if run.failed > 0 => What::Incomplete,
            RunState::Finished => What::Finished,
            RunState::Cancelled => What::Canceled,
            RunState::Missed if run.was_skipped() => What::Skipped,
            RunState::Missed => What::Missed,
        };
        let kind = match run.kind {
            RunKind::Manual => "manual sync",
            RunKind::Daily => "daily sync",
            RunKind::Initial => "initial sync",
            RunKind::Undo => "undo",
        };
        // Each question wants an answer of its own; other runs of a kind are counted.
        let subject = if what == What::Waits { format!("run {}", run.id) } else { format!("runs {kind}") };
        let detail = match what {
            What::Waits => run.question.as_ref().map(|question| format!("{} Without an answer it is canceled.", question.text())),
            What::Incomplete => Some(format!("The last one overwrote {} of {} listings.", run.done, run.total)),
            _ => run.reason.clone(),
        };
        let path = format!("/console/records/runs/{}", run.id);
        Some(Self { what, subject, name: kind.to_owned(), detail, path, count: 1, since: Timestamp::default() })
    }

    /// The same line after it has happened again.
    #[must_use]
    pub fn followed_by(self, later: Self) -> Self {
        let count = match self.what {
            // A check counts everything that differs anew.
            What::Differs => later.count,
            _ => self.count.saturating_add(later.count),
        };
        Self { count, since: self.since, ..later }
    }

    /// The line, as a sentence.
    pub fn sentence(&self) -> String {
        let (name, count) = (&self.name, self.count);
        let number = |one: &str, many: &str| if count == 1 { format!("1 {one}") } else { format!("{count} {many}") };
        let article = if name.starts_with(['i', 'u']) { "An" } else { "A" };
        let syncs = || if count == 1 { format!("{article} {name}") } else { format!("{count} {name}s") };
        let (has, was) = if count == 1 { ("has", "was") } else { ("have", "were") };
        match self.what {
            What::Unreadable => format!("The credentials of {name} cannot be opened, so nothing reaches it."),
            What::Refused => format!("{name} refuses its credentials, so nothing reaches it."),
            What::Waits => format!("{article} {name} waits for an answer."),
            What::Rejected => format!("{name} has rejected {}.", number("update", "updates")),
            What::Differs => format!("A check of {name} has found {}.", number("listing that differs", "listings that differ")),
            What::Finished => format!("{} {has} finished.", syncs()),
            What::Incomplete => format!("{} {has} ended without updating every listing.", syncs()),
            What::Canceled => format!("{} {was} canceled.", syncs()),
            What::Missed => format!("{} {was} missed.", syncs()),
            What::Skipped => format!("{} {was} skipped because of a frozen window.", syncs()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::acting::MustAct;
    use super::*;
    use uuid::Uuid;

    fn store() -> StoreId {
        StoreId(Uuid::from_u128(7))
    }

    #[test]
    fn the_same_about_the_same_becomes_one_line_with_the_number_and_the_first_time() {
        let at = |seconds: i64| Timestamp::from_millis(seconds * 1000);
        let first = News { since: at(10), ..News::rejected(store(), "Corner", 2, Some("A: locked".to_owned())) };
        let second = News { since: at(20), ..News::rejected(store(), "Corner shop", 3, Some("B: gone".to_owned())) };
        let both = first.followed_by(second);
        assert_eq!((both.count, both.since, both.detail.as_deref()), (5, at(10), Some("B: gone")));
        assert_eq!(both.sentence(), "Corner shop has rejected 5 updates.");
    }

    #[test]
    fn a_store_whose_credentials_cannot_be_opened_is_the_operators_business_and_one_that_refuses_them_the_sellers() {
        let refused = News::needs_reauthorization(store(), "Corner", "401");
        let unreadable = News::needs_reauthorization(store(), "Corner", CREDENTIALS_UNREADABLE);
        let who = |news: &News| serde_json::to_value(news.what.trouble().unwrap().must_act()).unwrap();
        assert_eq!((who(&refused), who(&unreadable)), (json!("seller"), json!("operator")));
        assert!(refused.what.is_urgent() && unreadable.what.is_urgent());
    }

    #[test]
    fn a_daily_sync_that_a_frozen_window_forbade_needs_nobody_and_one_that_was_missed_needs_the_operator() {
        let now = Timestamp::from_millis(1_772_452_800_000);
        let run = Run::start(RunKind::Daily, now);
        let (mut skipped, mut missed) = (run.clone(), run.clone());
        skipped.skip("Holiday sale", now);
        (missed.state, missed.reason) = (RunState::Missed, Some("The service was not running.".to_owned()));
        let words = |run: &Run| News::of_run(run).map(|news| (news.sentence(), news.what.trouble().map(Trouble::must_act)));
        assert_eq!(words(&skipped), Some(("A daily sync was skipped because of a frozen window.".to_owned(), None)));
        assert_eq!(words(&missed), Some(("A daily sync was missed.".to_owned(), Some(MustAct::Operator))));
        assert!(News::of_run(&skipped).is_some_and(|news| news.detail.is_some_and(|detail| detail.contains("Holiday sale"))));
        let undone = News::of_run(&Run { state: RunState::Finished, kind: RunKind::Undo, ..run });
        assert_eq!(undone.map(|news| news.sentence()), Some("An undo has finished.".to_owned()));
    }

    #[test]
    fn every_word_stands_for_what_has_it() {
        for what in What::ALL {
            assert_eq!(What::parse(what.as_str()), Some(what));
            let mut data = json!({ "a": 1 });
            what.add_to(&mut data);
            assert_eq!((data["must_act"].is_null(), data["next_step"].is_null()), (what.trouble().is_none(), what.trouble().is_none()));
        }
        assert_eq!(What::parse("nonsense"), None);
    }
}
