//! Usage: what a seller is metered by, counted by the day in UTC from rows that exist anyway.
//!
//! An *event* is a stock event that was accepted, on the day of its `accepted_at`. Repeats and rejections do not count, and a bundle's
//! event counts once, whatever it moves. A *push* counts when it is confirmed, whether it has a row of its own or is one of a pack. A
//! *call* counts each time that an answer of a platform confirms pushes of it: a call with a hundred overwrites counts once. Calls
//! that confirm nothing (reads, checks, refusals, lost answers) do not count.
use super::problem::FieldError;
use super::{CallId, SellerId, Timestamp};
use chrono::{Datelike, Days, Months, NaiveDate, NaiveTime};
use serde::Serialize;
use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

/// How long the counts of a day are kept.
pub const KEPT_FOR: Duration = DAY.saturating_mul(400);
/// Rows are counted once they are this old: until then, a transaction with an earlier time may still be committed.
pub const SETTLED_AFTER: Duration = Duration::from_secs(300);
/// The longest range of one seller.
pub const MAX_DAYS: u64 = 400;
/// The longest range of all sellers.
pub const MAX_DAYS_OF_ALL: u64 = 31;

const DAY: Duration = Duration::from_secs(86_400);

/// What was used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Usage {
    /// Stock events that were accepted; repeats do not count.
    pub events: i64,
    /// Updates of listings that were confirmed.
    pub pushes: i64,
    /// Calls to platforms that have confirmed updates, however many each.
    pub calls: i64,
}

impl std::ops::AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        self.events += other.events;
        self.pushes += other.pushes;
        self.calls += other.calls;
    }
}

impl std::iter::Sum for Usage {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |mut sum, one| {
            sum += one;
            sum
        })
    }
}

/// What was used on a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UsageOfDay {
    /// The day, in UTC.
    pub day: NaiveDate,
    /// What was used on it.
    pub usage: Usage,
}

/// The day of an instant, in UTC.
pub fn day_of(at: Timestamp) -> NaiveDate {
    at.to_utc().date_naive()
}

/// When a day begins.
pub fn start_of(day: NaiveDate) -> Timestamp {
    day.and_time(NaiveTime::MIN).and_utc().into()
}

/// Days, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// The first.
    pub from: NaiveDate,
    /// The last.
    pub to: NaiveDate,
}

impl Range {
    /// Reads a range of at most `most` days. Without `to` it ends today; without `from` it begins with the month of its end.
    ///
    /// # Errors
    /// The field that is no date, or with which the range is empty or too long.
    pub fn parse(from: Option<&str>, to: Option<&str>, today: NaiveDate, most: u64) -> Result<Self, FieldError> {
        let read = |name: &str, text: Option<&str>| match text {
            None => Ok(None),
            Some(text) if text.len() == 10 => NaiveDate::parse_from_str(text, "%Y-%m-%d").map(Some).map_err(|_| no_date(name)),
            Some(_) => Err(no_date(name)),
        };
        let (from, to) = (read("/from", from)?, read("/to", to)?.unwrap_or(today));
        let from = from.or(to.with_day(1)).unwrap_or(to);
        if from > to {
            return Err(FieldError::new("/from", format!("must not be after the last day, {to}")));
        }
        if from.checked_add_days(Days::new(most)).is_some_and(|first_beyond| first_beyond <= to) {
            return Err(FieldError::new("/from", format!("must be at most {} days before the last day, {to}", most - 1)));
        }
        Ok(Self { from, to })
    }
}

fn no_date(name: &str) -> FieldError {
    FieldError::new(name, "must be a date such as 2026-11-30")
}

/// What an overview shows, given the days of the present month and of the one before: today, yesterday, and both months.
pub fn overview(days: &[UsageOfDay], today: NaiveDate) -> [Usage; 4] {
    let sum = |is_in: &dyn Fn(NaiveDate) -> bool| days.iter().filter(|of| is_in(of.day)).map(|of| of.usage).sum::<Usage>();
    let month_of = |day: NaiveDate| (day.year(), day.month());
    let is_present = |day: NaiveDate| month_of(day) == month_of(today);
    [sum(&|day| day == today), sum(&|day| Some(day) == today.pred_opt()), sum(&is_present), sum(&|day| !is_present(day))]
}

impl Range {
    /// The present month up to `today`, and the one before.
    pub fn of_two_months(today: NaiveDate) -> Self {
        let first = today.with_day(1).unwrap_or(today);
        Self { from: first.checked_sub_months(Months::new(1)).unwrap_or(first), to: today }
    }
}

/// What is counted in one step: the rows from an instant on, and before another of the same day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The first instant.
    pub from: Timestamp,
    /// The instant after the last.
    pub to: Timestamp,
}

impl Span {
    /// What to count next: up to `until`, and not more than one step's rows, which are those before the earliest of `full`. `None` if
    /// everything is counted.
    pub fn next(from: Timestamp, full: impl IntoIterator<Item = Timestamp>, until: Timestamp) -> Option<Self> {
        if from >= until {
            return None;
        }
        let midnight = start_of(day_of(from)) + DAY;
        let to = full.into_iter().chain([midnight, until]).min().unwrap_or(until);
        // All rows of one millisecond are counted together, however many.
        Some(Self { from, to: to.max(from + Duration::from_millis(1)) })
    }

    /// The day of all its instants.
    pub fn day(&self) -> NaiveDate {
        day_of(self.from)
    }
}

/// From where to count on, given up to where everything is counted, or the oldest row.
pub fn continues_at(counted_to: Option<Timestamp>, oldest: impl FnOnce() -> Option<Timestamp>, until: Timestamp) -> Timestamp {
    match counted_to {
        // The clock was far ahead, and was set back. What was counted meanwhile is not counted again.
        Some(at) if at > until + DAY => until,
        Some(at) => at,
        None => oldest().unwrap_or(until).clamp(until - KEPT_FOR, until),
    }
}

/// Counts by seller.
#[derive(Debug, Default)]
pub struct Tally {
    of: BTreeMap<SellerId, Usage>,
    calls: HashSet<(CallId, Timestamp)>,
}

impl Tally {
    /// Counts an event.
    pub fn event(&mut self, seller: SellerId) {
        self.of.entry(seller).or_default().events += 1;
    }

    /// Counts pushes that an answer has confirmed, and the call that it answered.
    pub fn confirmed(&mut self, seller: SellerId, pushes: i64, call: Option<CallId>, at: Timestamp) {
        let usage = self.of.entry(seller).or_default();
        usage.pushes += pushes;
        if call.is_some_and(|call| self.calls.insert((call, at))) {
            usage.calls += 1;
        }
    }

    /// What each seller has used.
    pub fn usage(self) -> BTreeMap<SellerId, Usage> {
        self.of
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    #[test]
    fn a_step_ends_with_the_day_where_rows_are_too_many_or_where_rows_may_still_come() {
        let (from, late) = (at("2026-03-02T12:00:00Z"), at("2026-03-05T00:00:00Z"));
        let to = |full: &[&str], until| Span::next(from, full.iter().map(|text| at(text)), until).map(|span| span.to);
        assert_eq!(to(&[], late), Some(at("2026-03-03T00:00:00Z")));
        assert_eq!(to(&["2026-03-02T15:00:00Z", "2026-03-02T14:00:00Z"], late), Some(at("2026-03-02T14:00:00Z")));
        assert_eq!(to(&["2026-03-02T15:00:00Z"], at("2026-03-02T12:30:00Z")), Some(at("2026-03-02T12:30:00Z")));
        assert_eq!(to(&["2026-03-02T12:00:00Z"], late), Some(at("2026-03-02T12:00:00.001Z")), "one millisecond is never divided");
        assert_eq!((to(&[], from), to(&[], from - DAY)), (None, None));
        let last = Span::next(at("2026-03-02T23:59:59.999Z"), [], late).unwrap();
        assert_eq!((last.to, last.day()), (at("2026-03-03T00:00:00Z"), day("2026-03-02")));
    }

    #[test]
    fn counting_goes_on_where_it_ended_and_begins_with_the_oldest_row() {
        let (until, early) = (at("2026-03-02T12:00:00Z"), at("2026-03-01T00:00:00Z"));
        assert_eq!(continues_at(Some(early), || None, until), early);
        assert_eq!(continues_at(None, || Some(early), until), early);
        assert_eq!(continues_at(None, || Some(Timestamp::from_millis(1)), until), until - KEPT_FOR);
        assert_eq!([None, Some(until + DAY)].map(|oldest| continues_at(None, || oldest, until)), [until, until]);
        assert_eq!(continues_at(Some(until + DAY), || None, until), until + DAY, "the clock was set back a little: it catches up");
        assert_eq!(continues_at(Some(until + DAY * 2), || None, until), until);
    }

    #[test]
    fn an_answer_counts_as_one_call_however_many_pushes_it_confirms() {
        let [ada, bob] = [1, 2].map(|n| SellerId(Uuid::from_u128(n)));
        let [one, two] = [1, 2].map(|n| Some(CallId(Uuid::from_u128(n))));
        let (noon, later) = (at("2026-03-02T12:00:00Z"), at("2026-03-02T12:00:01Z"));
        let mut tally = Tally::default();
        tally.event(ada);
        for (seller, pushes, call, at) in
            [(ada, 100, one, noon), (ada, 1, one, noon), (ada, 1, two, noon), (ada, 1, one, later), (bob, 7, None, noon)]
        {
            tally.confirmed(seller, pushes, call, at);
        }
        let of = tally.usage();
        assert_eq!(of[&ada], Usage { events: 1, pushes: 103, calls: 3 });
        assert_eq!(of[&bob], Usage { events: 0, pushes: 7, calls: 0 });
        assert_eq!(of.into_values().sum::<Usage>(), Usage { events: 1, pushes: 110, calls: 3 });
    }

    #[test]
    fn an_overview_has_two_days_and_two_months() {
        let of = |text: &str, events| UsageOfDay { day: day(text), usage: Usage { events, ..Usage::default() } };
        let days = [of("2026-02-01", 1), of("2026-02-28", 10), of("2026-03-01", 100)];
        assert_eq!(Range::of_two_months(day("2026-03-31")), Range { from: day("2026-02-01"), to: day("2026-03-31") });
        assert_eq!(overview(&days, day("2026-03-01")).map(|usage| usage.events), [100, 10, 100, 11]);
        assert_eq!(overview(&days, day("2026-03-02")).map(|usage| usage.events), [0, 100, 100, 11]);
    }

    #[test]
    fn a_range_is_the_present_month_unless_it_says_otherwise_and_is_bounded() {
        let read = |from, to| Range::parse(from, to, day("2026-03-15"), 31).map(|range| (range.from.to_string(), range.to.to_string()));
        let is = |from: &str, to: &str| Ok::<_, FieldError>((from.to_owned(), to.to_owned()));
        assert_eq!(read(None, None), is("2026-03-01", "2026-03-15"));
        assert_eq!(read(None, Some("2026-02-28")), is("2026-02-01", "2026-02-28"));
        assert_eq!(read(Some("2026-03-15"), None), is("2026-03-15", "2026-03-15"));
        assert_eq!(read(Some("2026-01-01"), Some("2026-01-31")), is("2026-01-01", "2026-01-31"));
        for (from, to, pointer) in [
            (Some("2026-01-01"), Some("2026-02-01"), "/from"),
            (Some("2026-03-16"), None, "/from"),
            (Some("2026-1-1"), None, "/from"),
            (Some("2026-02-30"), None, "/from"),
            (None, Some("yesterday"), "/to"),
            (Some(""), None, "/from"),
            (None, Some("+262143-01-01"), "/to"),
        ] {
            assert_eq!(read(from, to).unwrap_err().pointer, pointer, "{from:?} {to:?}");
        }
        assert_eq!(Range::parse(Some("9999-12-31"), Some("9999-12-31"), day("2026-03-15"), 31).unwrap().from, day("9999-12-31"));
    }
}
