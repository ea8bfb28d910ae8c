//! Frozen windows: times during which nothing is sent to a seller's stores, such as the days of a sale.
//!
//! A window is entered in local time and holds for whatever instants the seller's clock shows a time in it: it begins with the first
//! instant of its beginning, and ends with the last of its end, where daylight saving time repeats an hour. A time that is skipped
//! stands for the first instant after it. Windows may overlap. Of each store only the instants are kept, as [`Frozen`], so that what
//! holds at an instant follows from the row and the clock alone, whatever restarts and wherever the clock is set.
use super::problem::Checks;
use super::schedule::instant_of;
use super::{FieldError, FrozenWindowId, StoreId, Timestamp};
use chrono::{NaiveDateTime, TimeDelta, TimeZone};
use chrono_tz::Tz;
use std::fmt;

/// Windows that a seller may have.
pub const MAX_WINDOWS: usize = 50;
/// The longest window.
const LONGEST: TimeDelta = TimeDelta::days(92);
/// How far ahead a window may begin.
const FARTHEST: TimeDelta = TimeDelta::days(2 * 366);
/// How long a window is kept after its end.
pub const KEPT_FOR: TimeDelta = TimeDelta::days(31);

/// A frozen window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrozenWindow {
    /// Its id.
    pub id: FrozenWindowId,
    /// What the seller calls it.
    pub name: String,
    /// When it begins, in local time.
    pub from: NaiveDateTime,
    /// When it ends, in local time.
    pub to: NaiveDateTime,
    /// The stores to which nothing is sent; all if `None`.
    pub store_ids: Option<Vec<StoreId>>,
    /// When it was entered.
    pub created_at: Timestamp,
    /// By whom.
    pub created_by: String,
}

impl FrozenWindow {
    /// From when until when it lasts where this is the time zone.
    pub fn interval(&self, zone: Tz) -> (Timestamp, Timestamp) {
        let from = instant_of(self.from.date(), self.from.time(), zone);
        let last = zone.from_local_datetime(&self.to).latest().map(|at| at.to_utc().into());
        (from, last.unwrap_or_else(|| instant_of(self.to.date(), self.to.time(), zone)))
    }

    /// Whether it is about this store.
    pub fn concerns(&self, store: StoreId) -> bool {
        self.store_ids.as_ref().is_none_or(|ids| ids.contains(&store))
    }

    /// Whether `at` lies in it.
    pub fn contains(&self, at: Timestamp, zone: Tz) -> bool {
        let (from, until) = self.interval(zone);
        from <= at && at < until
    }

    /// Whether its times make sense for one that is entered at `now`.
    ///
    /// # Errors
    /// The fields that do not.
    pub fn check(&self, zone: Tz, now: Timestamp) -> Result<(), Vec<FieldError>> {
        let (from, until) = self.interval(zone);
        let mut checks = Checks::default();
        if from > now + FARTHEST {
            checks.note("/from", "is more than two years ahead");
        }
        if until <= from {
            checks.note("/to", "must be later than `from`");
        } else if until <= now {
            checks.note("/to", "is over already");
        } else if until - from > LONGEST {
            checks.note("/to", format!("must be at most {} days after `from`", LONGEST.num_days()));
        }
        checks.done()
    }
}

/// When nothing is sent to a store, by all windows of its seller.
pub fn of_store(windows: &[FrozenWindow], store: StoreId, zone: Tz) -> Frozen {
    Frozen::of(windows.iter().filter(|window| window.concerns(store)).map(|window| window.interval(zone)))
}

/// Reads a local time such as `2026-12-24T18:00`.
///
/// # Errors
/// What is wrong with it.
pub fn parse_local(text: &str) -> Result<NaiveDateTime, String> {
    let shape = b"0000-00-00T00:00";
    let fits = text.len() == shape.len() && text.bytes().zip(shape).all(|(c, s)| if *s == b'0' { c.is_ascii_digit() } else { c == *s });
    NaiveDateTime::parse_from_str(text, LOCAL)
        .ok()
        .filter(|_| fits)
        .ok_or_else(|| "must be a date and a local time, such as 2026-12-24T18:00".to_owned())
}

/// The form of a local time.
pub const LOCAL: &str = "%Y-%m-%dT%H:%M";

/// The instants at which nothing is sent to a store: intervals with their beginning and without their end, in order, none of which
/// touches another.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Frozen(Vec<(Timestamp, Timestamp)>);

impl Frozen {
    /// Those of any of these intervals.
    pub fn of(intervals: impl IntoIterator<Item = (Timestamp, Timestamp)>) -> Self {
        let mut all: Vec<(Timestamp, Timestamp)> = intervals.into_iter().filter(|(from, until)| from < until).collect();
        all.sort_unstable();
        let mut merged: Vec<(Timestamp, Timestamp)> = Vec::new();
        for (from, until) in all {
            match merged.last_mut() {
                Some((_, last)) if from <= *last => *last = until.max(*last),
                _ => merged.push((from, until)),
            }
        }
        Self(merged)
    }

    /// When the time ends that `now` lies in.
    pub fn until(&self, now: Timestamp) -> Option<Timestamp> {
        self.0.iter().find(|(from, until)| *from <= now && now < *until).map(|(_, until)| *until)
    }

    /// When such a time begins or ends next.
    pub fn next_change(&self, now: Timestamp) -> Option<Timestamp> {
        self.0.iter().flat_map(|(from, until)| [*from, *until]).find(|at| *at > now)
    }

    /// When such a time ends next.
    pub fn next_end(&self, now: Timestamp) -> Option<Timestamp> {
        self.0.iter().map(|(_, until)| *until).find(|at| *at > now)
    }

    /// As a row keeps it; `None` without any.
    pub fn text(&self) -> Option<String> {
        (!self.0.is_empty()).then(|| self.to_string())
    }

    /// Reads [`Self::text`]; `None` if it is something else.
    pub fn parse(text: &str) -> Option<Self> {
        let instant = |ms: &str| Some(Timestamp::from_millis(ms.parse().ok()?));
        let interval = |part: &str| part.split_once('-').and_then(|(from, until)| Some((instant(from)?, instant(until)?)));
        text.split(',').map(interval).collect::<Option<Vec<_>>>().map(Self)
    }
}

impl fmt::Display for Frozen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, (from, until)) in self.0.iter().enumerate() {
            let comma = if n == 0 { "" } else { "," };
            write!(f, "{comma}{}-{}", from.as_millis(), until.as_millis())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BERLIN: Tz = chrono_tz::Europe::Berlin;

    fn utc(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn window(from: &str, to: &str) -> FrozenWindow {
        let (from, to, created_at) = (parse_local(from).unwrap(), parse_local(to).unwrap(), Timestamp::default());
        let id = FrozenWindowId::new(created_at);
        FrozenWindow { id, name: "Sale".to_owned(), from, to, store_ids: None, created_at, created_by: "ada".to_owned() }
    }

    #[test]
    fn a_window_covers_both_of_a_repeated_hour_and_nothing_of_a_skipped_one() {
        let autumn = window("2026-10-25T02:00", "2026-10-25T02:30").interval(BERLIN);
        assert_eq!(autumn, (utc("2026-10-25T00:00:00Z"), utc("2026-10-25T01:30:00Z")));
        let spring = window("2026-03-29T01:30", "2026-03-29T02:30").interval(BERLIN);
        assert_eq!(spring, (utc("2026-03-29T00:30:00Z"), utc("2026-03-29T01:00:00Z")));
        let (from, until) = window("2026-03-29T02:10", "2026-03-29T02:40").interval(BERLIN);
        assert_eq!(from, until);
    }

    #[test]
    fn a_window_ends_after_it_begins_and_after_now_and_is_not_too_long_or_too_far_ahead() {
        let now = utc("2026-11-30T12:00:00Z");
        let wrong = |from: &str, to: &str| {
            let errors = window(from, to).check(chrono_tz::UTC, now).err().unwrap_or_default();
            errors.into_iter().map(|error| error.pointer).collect::<Vec<_>>()
        };
        assert_eq!(wrong("2026-11-30T10:00", "2026-11-30T12:01"), Vec::<String>::new(), "it has begun already");
        assert_eq!(wrong("2026-11-30T10:00", "2026-11-30T12:00"), ["/to"]);
        assert_eq!(wrong("2026-12-24T00:00", "2026-12-24T00:00"), ["/to"]);
        assert_eq!(wrong("2026-12-01T00:00", "2027-03-03T00:00"), Vec::<String>::new());
        assert_eq!(wrong("2026-12-01T00:00", "2027-03-03T00:01"), ["/to"]);
        assert_eq!(wrong("2029-01-01T00:00", "2029-01-02T00:00"), ["/from"]);
    }

    #[test]
    fn only_a_date_with_a_time_is_a_local_time() {
        for text in [
            "",
            "2026-12-24",
            "2026-12-24 18:00",
            "2026-12-24T18:00:00",
            "2026-12-24T18:00Z",
            "2026-02-30T18:00",
            "2026-12-24T24:00",
            "+026-12-24T18:00",
        ] {
            assert!(parse_local(text).is_err(), "{text}");
        }
        assert_eq!(parse_local("2026-12-24T18:00").unwrap().format(LOCAL).to_string(), "2026-12-24T18:00");
    }

    #[test]
    fn windows_that_overlap_or_touch_are_one_time() {
        let at = Timestamp::from_millis;
        let frozen = Frozen::of([(at(50), at(60)), (at(10), at(20)), (at(15), at(30)), (at(30), at(40)), (at(70), at(70))]);
        assert_eq!(frozen.to_string(), "10-40,50-60");
        assert_eq!(Frozen::parse("10-40,50-60"), Some(frozen.clone()));
        assert_eq!([5, 10, 39, 40, 55, 60].map(|ms| frozen.until(at(ms))), [None, Some(at(40)), Some(at(40)), None, Some(at(60)), None]);
        assert_eq!([5, 10, 40, 60].map(|ms| frozen.next_change(at(ms))), [Some(at(10)), Some(at(40)), Some(at(50)), None]);
        assert_eq!([5, 40, 60].map(|ms| frozen.next_end(at(ms))), [Some(at(40)), Some(at(60)), None]);
        assert_eq!((Frozen::default().text(), Frozen::parse(""), Frozen::parse("1-x")), (None, None, None));
    }
}
