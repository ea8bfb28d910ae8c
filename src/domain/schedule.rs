//! When the daily run is due.
//!
//! * If daylight saving time skips the chosen time, the run starts at the first instant after the gap: 02:30 becomes 03:00.
//! * If the chosen time occurs twice, the run starts at the first.
//! * There is at most one run per local date. A run that was missed starts late within the catch-up window; after it, the
//!   run is only recorded as missed.
use super::Timestamp;
use super::settings::SyncSettings;
use chrono::{Days, NaiveDate, NaiveTime, TimeDelta, TimeZone, Timelike};
use chrono_tz::Tz;

/// How many days back missed runs are recorded, so that a long outage adds a bounded number of records.
pub const LOOK_BACK_DAYS: u64 = 31;
/// A run that starts this late still counts as on time, even with a shorter catch-up window: timers and polling are never
/// exact, and a window of 0 means that runs missed in an outage are skipped, not that no run ever happens.
const ON_TIME: TimeDelta = TimeDelta::minutes(15);

/// No run is scheduled further ahead, except where a zone skips a whole date: an hour is repeated in autumn.
pub const LONGEST_DAY: TimeDelta = TimeDelta::hours(25);

/// The instant of `time` on `date` in `zone`: the first if it occurs twice, the end of the gap if it is skipped.
pub fn instant_of(date: NaiveDate, time: NaiveTime, zone: Tz) -> Timestamp {
    let mut local = date.and_time(time);
    // No gap in the time zone database is longer than a day (Samoa skipped one), and today's offsets are whole minutes.
    for _ in 0..=24 * 60 {
        if let Some(found) = zone.from_local_datetime(&local).earliest() {
            return found.to_utc().into();
        }
        local = local.with_second(0).unwrap_or(local) + TimeDelta::minutes(1);
    }
    date.and_time(time).and_utc().into()
}

/// When the first daily run after `now` is scheduled.
pub fn next_run(settings: &SyncSettings, now: Timestamp) -> Timestamp {
    next_run_after(settings, now, None)
}

/// When the first daily run after `now` is scheduled, if `last` is the latest date that has had its run: there is no
/// second one on that date, even if its time has been moved to one that is still to come.
pub fn next_run_after(settings: &SyncSettings, now: Timestamp, last: Option<NaiveDate>) -> Timestamp {
    let today = now.in_zone(settings.timezone).date_naive();
    let yesterday = today.checked_sub_days(Days::new(1)).unwrap_or(today);
    let first = last.and_then(|date| date.succ_opt()).map_or(yesterday, |next| next.max(yesterday));
    first
        .iter_days()
        .take(4)
        .map(|date| instant_of(date, settings.daily_at, settings.timezone))
        .find(|at| *at > now)
        .unwrap_or(now + TimeDelta::days(1))
}

/// A daily run whose time has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DueRun {
    /// The local date it belongs to.
    pub date: NaiveDate,
    /// When it should have started.
    pub scheduled_for: Timestamp,
    /// Too late to catch up: the run is only recorded as missed.
    pub missed: bool,
}

/// The runs of one store that are due at `now` and not yet recorded, oldest first. At most one is not `missed`. `since` is
/// when the store or the schedule was created, whichever is later; `last` is the latest date with a recorded run.
pub fn due_runs(settings: &SyncSettings, now: Timestamp, since: Timestamp, last: Option<NaiveDate>) -> Vec<DueRun> {
    if !settings.is_timed() {
        return Vec::new();
    }
    let zone = settings.timezone;
    let today = now.in_zone(zone).date_naive();
    let earliest = today.checked_sub_days(Days::new(LOOK_BACK_DAYS)).unwrap_or(today);
    let first = since.in_zone(zone).date_naive().max(earliest);
    let first = last.and_then(|date| date.succ_opt()).map_or(first, |next| next.max(first));
    let window = TimeDelta::hours(settings.catch_up_hours).max(ON_TIME);
    let mut due: Vec<DueRun> = first
        .iter_days()
        .take_while(|date| *date <= today)
        .map(|date| (date, instant_of(date, settings.daily_at, zone)))
        .filter(|(_, at)| *at <= now && *at >= since)
        .map(|(date, at)| DueRun { date, scheduled_for: at, missed: now - at > window })
        .collect();
    let newest = due.len().saturating_sub(1);
    for (index, run) in due.iter_mut().enumerate() {
        run.missed |= index < newest;
    }
    due
}

#[cfg(test)]
mod tests {
    use super::super::frequency::Frequency;
    use super::super::settings::parse_daily_at;
    use super::*;

    fn timed(at: &str, zone: Tz) -> SyncSettings {
        SyncSettings {
            auto_sync: true,
            frequency: Frequency::TimedFull,
            daily_at: parse_daily_at(at).unwrap(),
            ..SyncSettings::new(zone, Timestamp::default())
        }
    }
    fn utc(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_run_at_a_skipped_local_time_starts_at_the_first_instant_after_the_gap() {
        let settings = timed("02:30", chrono_tz::Europe::Berlin);
        assert_eq!(next_run(&settings, utc("2026-03-28T12:00:00Z")), utc("2026-03-29T01:00:00Z"));
    }

    #[test]
    fn a_run_at_a_repeated_local_time_starts_once_at_the_first() {
        let settings = timed("02:30", chrono_tz::Europe::Berlin);
        let first = utc("2026-10-25T00:30:00Z");
        assert_eq!(next_run(&settings, utc("2026-10-24T12:00:00Z")), first);
        assert_eq!(next_run(&settings, first), utc("2026-10-26T01:30:00Z"));
        let again = utc("2026-10-25T01:30:00Z");
        assert!(due_runs(&settings, again, utc("2026-10-01T00:00:00Z"), NaiveDate::from_ymd_opt(2026, 10, 25)).is_empty());
    }

    #[test]
    fn a_time_moved_to_later_today_after_todays_run_is_next_due_tomorrow() {
        let (settings, now) = (timed("15:51", chrono_tz::UTC), utc("2026-05-10T15:50:00Z"));
        assert_eq!(next_run_after(&settings, now, None), utc("2026-05-10T15:51:00Z"));
        assert_eq!(next_run_after(&settings, now, NaiveDate::from_ymd_opt(2026, 5, 9)), utc("2026-05-10T15:51:00Z"));
        assert_eq!(next_run_after(&settings, now, NaiveDate::from_ymd_opt(2026, 5, 10)), utc("2026-05-11T15:51:00Z"));
        assert!(due_runs(&settings, utc("2026-05-10T15:52:00Z"), now, NaiveDate::from_ymd_opt(2026, 5, 10)).is_empty());
    }

    #[test]
    fn a_late_run_starts_within_the_catch_up_window_and_is_missed_after_it() {
        let settings = timed("03:00", chrono_tz::UTC);
        let last = NaiveDate::from_ymd_opt(2026, 5, 9);
        let due = |now: &str| {
            due_runs(&settings, utc(now), utc("2026-05-01T00:00:00Z"), last)
                .iter()
                .map(|d| (d.date.to_string(), d.missed))
                .collect::<Vec<_>>()
        };
        assert_eq!(due("2026-05-10T02:59:59Z"), []);
        assert_eq!(due("2026-05-10T07:00:00Z"), [("2026-05-10".to_owned(), false)]);
        assert_eq!(due("2026-05-10T07:00:01Z"), [("2026-05-10".to_owned(), true)]);
        assert_eq!(due("2026-05-11T04:00:00Z"), [("2026-05-10".to_owned(), true), ("2026-05-11".to_owned(), false)]);
    }

    #[test]
    fn only_the_newest_of_several_dates_within_the_window_is_caught_up() {
        let settings = SyncSettings { catch_up_hours: 72, ..timed("03:00", chrono_tz::UTC) };
        let due = due_runs(&settings, utc("2026-05-12T04:00:00Z"), utc("2026-05-10T00:00:00Z"), None);
        assert_eq!(due.iter().map(|run| run.missed).collect::<Vec<_>>(), [true, true, false]);
    }

    #[test]
    fn the_run_of_a_date_that_the_zone_skipped_starts_with_the_next_date() {
        let date = NaiveDate::from_ymd_opt(2011, 12, 30).unwrap();
        let at = NaiveTime::from_hms_opt(3, 30, 0).unwrap();
        assert_eq!(instant_of(date, at, chrono_tz::Pacific::Apia), utc("2011-12-30T10:00:00Z"));
    }

    #[test]
    fn without_a_catch_up_window_a_run_still_starts_on_time() {
        let settings = SyncSettings { catch_up_hours: 0, ..timed("03:00", chrono_tz::UTC) };
        let missed = |now: &str| due_runs(&settings, utc(now), utc("2026-05-01T00:00:00Z"), NaiveDate::from_ymd_opt(2026, 5, 9))[0].missed;
        assert!(!missed("2026-05-10T03:00:09Z"));
        assert!(missed("2026-05-10T03:15:01Z"));
    }

    #[test]
    fn a_time_before_the_schedule_was_saved_is_not_due() {
        let settings = timed("01:00", chrono_tz::UTC);
        assert!(due_runs(&settings, utc("2026-05-10T12:00:00Z"), utc("2026-05-10T11:00:00Z"), None).is_empty());
    }
}
