//! What the service believes a listing shows, and which answers contradict that.
use crate::domain::Timestamp;
use std::time::Duration;

/// How long after a request may have been overtaken by its own repetition every answer about its listing is compared
/// with the account.
pub const DOUBT_FOR: Duration = Duration::from_secs(24 * 3600);

/// How long an accepted change may take to show. Amazon speaks of minutes.
pub const SHOWN_WITHIN: Duration = Duration::from_secs(30 * 60);

/// How soon a listing is looked at, without anything to send to it, after a request to it was given up or refused.
pub const LOOK_AFTER: Duration = Duration::from_secs(10 * 60);

/// The longest pause between two looks.
const LONGEST_LOOK_PAUSE: Duration = Duration::from_secs(24 * 3600);

/// How long after a confirmed change a read that shows the earlier number is taken for the answer of a cache.
const CACHED_FOR: Duration = Duration::from_secs(5 * 60);

/// By how much the time of an answer may lie before that of a change that was saved first.
const ANSWERS_CROSS: Duration = Duration::from_secs(60);

/// The reason of an overwrite of a listing that was refused for its own sake, and is not any more.
pub const CAN_BE_WRITTEN_AGAIN: &str =
    "An earlier push was refused because of the listing itself; it can be written again, so it is overwritten with its target.";

/// The reason of a push that waits because a read may have come from a cache.
pub const CACHED: &str = "The store still shows the number from before its last change; a cache may have answered. It is asked again.";

/// How soon after such a read the store is asked again.
pub const ASK_AGAIN_AFTER: Duration = Duration::from_secs(20);

/// How many numbers of each kind are remembered for one listing.
const NUMBERS: usize = 4;

pub(super) const APPLIED_LATE: &str = "A request that had been given up was applied late; the listing is overwritten with its target.";

/// Numbers that a listing may show for a reason of their own: the latest few, once each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LatestNumbers([Option<i64>; NUMBERS]);

impl LatestNumbers {
    /// Reads what [`Self::text`] has written; whatever is not a number is ignored.
    pub fn parse(text: &str) -> Self {
        text.split(',').filter_map(|number| number.parse().ok()).fold(Self::default(), Self::with)
    }

    /// As text; `None` if there are none.
    pub fn text(self) -> Option<String> {
        let numbers: Vec<String> = self.0.iter().rev().flatten().map(i64::to_string).collect();
        (!numbers.is_empty()).then(|| numbers.join(","))
    }

    /// Adds a number; the oldest is forgotten when there are too many.
    #[must_use]
    pub fn with(mut self, number: i64) -> Self {
        if !self.contains(number) {
            self.0.rotate_right(1);
            if let Some(first) = self.0.first_mut() {
                *first = Some(number);
            }
        }
        self
    }

    /// Whether this number is among them.
    pub fn contains(self, number: i64) -> bool {
        self.0.contains(&Some(number))
    }
}

/// What the service believes a listing shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Account {
    /// Units shown last, from a confirmed answer or a read.
    pub shown: Option<i64>,
    /// Until when an answer that contradicts the account means that a late request was applied.
    pub doubt_until: Option<Timestamp>,
    /// What requests that were given up would make it show if they arrived after all.
    pub late: LatestNumbers,
    /// What it showed before each of the last confirmed changes that set a number, if they followed each other closely: a cache
    /// may have kept any of these numbers.
    pub before: LatestNumbers,
    /// When the last of these changes was confirmed.
    pub changed_at: Option<Timestamp>,
    /// Since when it is owed what the platform refused.
    pub owed_since: Option<Timestamp>,
    /// Whether an increase of it was refused that has neither been contained in an overwrite nor retried.
    pub has_refused: bool,
    /// Units of its SKU that were reported as sold by its store when `shown` was learned.
    pub sold_when_shown: i64,
    /// Units by which confirmed increases have raised it.
    pub increased: i64,
}

impl Account {
    pub(super) fn is_in_doubt(&self, now: Timestamp) -> bool {
        self.doubt_until.is_some_and(|until| until > now)
    }

    /// Why the listing is overwritten after a read that contradicts the account while a late request may arrive. Shops
    /// sell, so a fall is a sale, unless it leaves exactly the number of such a request.
    pub fn contradiction(&self, shown: i64, now: Timestamp) -> Option<&'static str> {
        let contradicts = |known: i64| shown > known || (shown < known && self.late.contains(shown));
        (self.is_in_doubt(now) && self.shown.is_some_and(contradicts)).then_some(APPLIED_LATE)
    }

    /// Whether a request that was given up explains exactly what is shown.
    pub fn was_left_late(&self, shown: i64, now: Timestamp) -> bool {
        self.is_in_doubt(now) && self.late.contains(shown)
    }

    /// Whether a read shows what was there before the last confirmed changes, so soon after them that a cache may have
    /// answered. Nothing is added to such a number.
    pub fn may_be_cached(&self, shown: i64, now: Timestamp) -> bool {
        self.has_changed_lately(now) && self.before.contains(shown) && self.shown != Some(shown)
    }

    /// If the clock was set back since the last change, nobody knows how long ago that was. A little before it is an answer that came
    /// as the change was saved.
    fn has_changed_lately(&self, now: Timestamp) -> bool {
        self.changed_at.is_some_and(|at| at <= now + ANSWERS_CROSS && now < at + CACHED_FOR)
    }

    /// What a cache may still answer once a change from `number` is confirmed.
    pub(super) fn before_and(&self, number: i64, now: Timestamp) -> LatestNumbers {
        let earlier = if self.has_changed_lately(now) { self.before } else { LatestNumbers::default() };
        earlier.with(number)
    }

    /// Whether an increase that was made at `created_at` and is confirmed now was all that it was owed: the seller has retried
    /// it. An overwrite that was refused leaves nothing behind to be retried.
    pub(super) fn owes_nothing_but(&self, created_at: Timestamp, now: Timestamp) -> bool {
        !self.has_refused && self.owed_since.is_some_and(|since| created_at <= since && since <= now)
    }

    /// When to look again at a listing that was looked at without a result; `None` if there is nothing left to look for.
    /// Late requests come soon, and a seller mends a listing soon or much later, so the pauses grow.
    pub fn next_look(&self, now: Timestamp) -> Option<Timestamp> {
        let since = match (self.owed_since, self.doubt_until.filter(|until| *until > now)) {
            (Some(since), _) => since,
            (None, Some(until)) => until - DOUBT_FOR,
            (None, None) => return None,
        };
        let passed = (now - since).to_std().unwrap_or_default();
        Some(now + (passed / 2).clamp(LOOK_AFTER, LONGEST_LOOK_PAUSE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    #[test]
    fn a_fall_is_a_sale_unless_a_late_request_explains_it_exactly_and_a_rise_is_none() {
        let account =
            Account { shown: Some(20), doubt_until: Some(at(100)), late: LatestNumbers::default().with(15), ..Account::default() };
        let contradicts = |shown, now| account.contradiction(shown, at(now)).is_some();
        for (shown, expected) in [(20, false), (18, false), (14, false), (0, false), (15, true), (21, true)] {
            assert_eq!(contradicts(shown, 99), expected, "{shown}");
            assert!(!contradicts(shown, 100), "too long ago");
        }
        let account = Account { late: LatestNumbers::default().with(20), ..account };
        assert_eq!(account.contradiction(20, at(99)), None, "it shows what it should, whoever left it");
    }

    #[test]
    fn the_latest_numbers_are_remembered_once_each() {
        let numbers = [1, 2, 2, 3, 4, 5].into_iter().fold(LatestNumbers::default(), LatestNumbers::with);
        assert_eq!(
            LatestNumbers::parse(&numbers.text().unwrap()),
            [2, 3, 4, 5].into_iter().fold(LatestNumbers::default(), LatestNumbers::with)
        );
        assert!(!numbers.contains(1) && (2..=5).all(|number| numbers.contains(number)));
        assert_eq!(LatestNumbers::default().text(), None);
    }

    #[test]
    fn a_read_of_the_earlier_number_is_taken_for_a_cached_one_for_a_while() {
        let before = LatestNumbers::default().with(10);
        let account = Account { shown: Some(15), before, changed_at: Some(at(0)), ..Account::default() };
        let cached = |shown, seconds| account.may_be_cached(shown, at(seconds));
        assert!(cached(10, 0) && cached(10, 299));
        assert!(!cached(10, 300) && !cached(15, 0) && !cached(9, 0));
        assert!(!Account { before: before.with(15), ..account }.may_be_cached(15, at(0)), "nothing has changed");
        assert!(cached(10, -1), "the answer came as the change was saved");
        assert!(!cached(10, -61), "the clock was set back, and nobody knows how long ago the change was");
    }

    #[test]
    fn a_cache_may_have_kept_what_was_there_before_any_of_several_changes() {
        let account = Account { shown: Some(20), before: LatestNumbers::default().with(10), changed_at: Some(at(0)), ..Account::default() };
        let both = LatestNumbers::default().with(10).with(20);
        assert_eq!(account.before_and(20, at(299)), both);
        assert_eq!(account.before_and(20, at(300)), LatestNumbers::default().with(20), "nothing keeps the older number any more");
        let now = Account { shown: Some(30), before: both, changed_at: Some(at(299)), ..account };
        assert!(now.may_be_cached(10, at(500)) && now.may_be_cached(20, at(500)) && !now.may_be_cached(25, at(500)));
    }

    #[test]
    fn looks_become_rarer() {
        let owed = Account { owed_since: Some(at(0)), ..Account::default() };
        let pause = |account: Account, now: i64| account.next_look(at(now)).map(|next| (next - at(now)).num_seconds());
        assert_eq!([600, 1200, 7200, 604_800].map(|now| pause(owed, now)), [600, 600, 3600, 86_400].map(Some));
        let doubted = Account { doubt_until: Some(at(86_400)), ..Account::default() };
        assert_eq!((pause(doubted, 3600), pause(doubted, 86_400)), (Some(1800), None));
    }
}
