//! How many calls one app may make in a day, and when the next one may be made.
//!
//! * What was spent is counted in slots of [`SLOT`], so that it can be kept in a few rows and survives a restart.
//! * Half of a day's quota is free at any time; the other half becomes free evenly as the day passes. So a few calls never
//!   wait for one another, and a run in the morning leaves something for the evening.
//! * Overwrites may use only four fifths of that, so that increases still find room when a run has used its part.
//! * Where the platform says when it refills, that is when it refills here, a little later, since clocks differ. Where it
//!   does not, no 24 hours hold more calls than the quota, wherever the platform's day begins.
use super::Timestamp;
use super::schedule::instant_of;
use chrono::{NaiveDate, NaiveTime, TimeDelta};
use chrono_tz::Tz;
use std::collections::BTreeMap;

/// The unit in which calls are counted, and how far the platform's clock may be from ours.
pub const SLOT: TimeDelta = TimeDelta::minutes(10);
/// Slots older than this, or this far ahead because the clock was set back, no longer count.
pub const KEPT_FOR: TimeDelta = TimeDelta::hours(26);
const DAY: TimeDelta = TimeDelta::hours(24);

/// What a platform allows one app in a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DailyQuota {
    /// Calls in a day.
    pub calls: u32,
    /// When there are as many again.
    pub refill: Refill,
}

/// When a day's quota is refilled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refill {
    /// At midnight in this zone, as the platform documents.
    Midnight(Tz),
    /// The platform does not say.
    Unstated,
}

/// Calls by the number of their slot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Spent(BTreeMap<i64, u32>);

/// The number of the slot of an instant.
pub fn slot_of(at: Timestamp) -> i64 {
    at.as_millis().div_euclid(SLOT.num_milliseconds())
}

fn start_of(slot: i64) -> Timestamp {
    Timestamp::from_millis(slot.saturating_mul(SLOT.num_milliseconds()))
}

impl Spent {
    /// What was counted before.
    pub fn new(slots: impl IntoIterator<Item = (i64, u32)>) -> Self {
        Self(slots.into_iter().collect())
    }

    /// Counts one call made now, and forgets what no longer counts.
    pub fn add(&mut self, now: Timestamp) {
        let kept = slot_of(now - KEPT_FOR)..=slot_of(now + KEPT_FOR);
        self.0.retain(|slot, _| kept.contains(slot));
        let calls = self.0.entry(slot_of(now)).or_default();
        *calls = calls.saturating_add(1);
    }

    /// A call that was counted is not made.
    pub fn take_back(&mut self, slot: i64) {
        if let Some(calls) = self.0.get_mut(&slot) {
            *calls = calls.saturating_sub(1);
        }
    }

    /// These calls and those.
    #[must_use]
    pub fn with(&self, others: &Self) -> Self {
        let mut all = self.clone();
        for (slot, calls) in &others.0 {
            let sum = all.0.entry(*slot).or_default();
            *sum = sum.saturating_add(*calls);
        }
        all
    }

    /// The same with so many calls in one slot.
    #[must_use]
    pub fn with_slot(&self, slot: i64, calls: u32) -> Self {
        let mut all = self.clone();
        all.0.insert(slot, calls);
        all
    }

    /// The calls of one slot.
    pub fn in_slot(&self, slot: i64) -> u32 {
        self.0.get(&slot).copied().unwrap_or(0)
    }

    /// The slots that still count, each with the calls made since it began.
    fn since_each(&self, now: Timestamp) -> impl Iterator<Item = (i64, u64)> {
        let (first, last) = (slot_of(now - KEPT_FOR), slot_of(now + KEPT_FOR));
        self.0.range(first..=last).rev().scan(0_u64, |sum, (slot, calls)| {
            *sum = sum.saturating_add(u64::from(*calls));
            Some((*slot, *sum))
        })
    }
}

/// The two halves of a quota: free at any time, and free evenly over a day.
#[derive(Clone, Copy)]
struct Halves {
    at_once: u64,
    evenly: u64,
}

impl Halves {
    /// How long after the beginning of a `day` the `nth` call may be made; `None` if not within that day.
    fn nth_after(self, nth: u64, day: TimeDelta) -> Option<TimeDelta> {
        let beyond = match nth.checked_sub(self.at_once) {
            None | Some(0) => return Some(TimeDelta::zero()),
            Some(beyond) if beyond <= self.evenly => beyond,
            Some(_) => return None,
        };
        let day_ms = u128::try_from(day.num_milliseconds()).unwrap_or(0);
        let ms = (day_ms * u128::from(beyond)).div_ceil(u128::from(self.evenly).max(1));
        i64::try_from(ms).ok().map(TimeDelta::milliseconds)
    }
}

impl DailyQuota {
    /// When the next call may be made, `now` or earlier if it may be made at once.
    pub fn next_call(&self, spent: &Spent, now: Timestamp) -> Timestamp {
        self.next(u64::from(self.calls), spent, now)
    }

    /// The same for an overwrite, which leaves a part of the quota to increases.
    pub fn next_overwrite(&self, spent: &Spent, now: Timestamp) -> Timestamp {
        self.next(u64::from(self.calls - self.calls / 5), spent, now)
    }

    fn next(&self, calls: u64, spent: &Spent, now: Timestamp) -> Timestamp {
        let halves = Halves { at_once: calls - calls / 2, evenly: calls / 2 };
        match self.refill {
            Refill::Midnight(zone) => {
                // Calls of the slot before midnight may count for either day, so they count for both.
                let today = (now - SLOT).in_zone(zone).date_naive();
                let (begins, ends) = (midnight(today, zone), midnight(today.succ_opt().unwrap_or(today), zone));
                let first = slot_of(begins - SLOT);
                let spent = spent.since_each(now).filter(|(slot, _)| *slot >= first).map(|(_, sum)| sum).max().unwrap_or(0);
                halves.nth_after(spent.saturating_add(1), ends - begins).map_or(ends + SLOT, |after| begins + after)
            }
            Refill::Unstated => {
                let after_slot = |(slot, since): (i64, u64)| {
                    // The earliest of these calls may have been made at any instant of its slot.
                    let latest = start_of(slot.saturating_add(1));
                    let over = latest + DAY;
                    halves.nth_after(since.saturating_add(1), DAY).map_or(over, |after| (latest.min(now) + after).min(over))
                };
                spent.since_each(now).map(after_slot).max().unwrap_or(now)
            }
        }
    }
}

fn midnight(date: NaiveDate, zone: Tz) -> Timestamp {
    instant_of(date, NaiveTime::MIN, zone)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PACIFIC: Refill = Refill::Midnight(Tz::America__Los_Angeles);

    fn utc(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn quota(calls: u32, refill: Refill) -> DailyQuota {
        DailyQuota { calls, refill }
    }

    /// Makes every call as early as it may be made, from `start` on; returns when.
    fn spend(quota: DailyQuota, spent: &mut Spent, start: Timestamp, calls: usize) -> Vec<Timestamp> {
        let mut now = start;
        let call = |_| {
            loop {
                let at = quota.next_call(spent, now);
                if at <= now {
                    break;
                }
                now = at;
            }
            spent.add(now);
            now
        };
        (0..calls).map(call).collect()
    }

    #[test]
    fn half_of_a_quota_is_free_at_once_and_the_rest_over_the_day() {
        for refill in [PACIFIC, Refill::Unstated] {
            let start = utc("2026-03-02T08:10:00Z");
            let made = spend(quota(100, refill), &mut Spent::default(), start, 60);
            assert!(made[..50].iter().all(|at| *at == start), "{refill:?}");
            assert!(made[50] > start && made[59] - made[50] >= TimeDelta::hours(4), "{refill:?}: {:?}", &made[50..]);
        }
    }

    #[test]
    fn a_quota_that_is_refilled_at_midnight_is_whole_again_a_little_later() {
        // Midnight in Los Angeles is 08:00 UTC in winter.
        let (evening, midnight) = (utc("2026-03-02T07:59:00Z"), utc("2026-03-02T08:00:00Z"));
        let mut spent = Spent::default();
        let made = spend(quota(100, PACIFIC), &mut spent, evening, 99);
        assert!(made.iter().all(|at| *at == evening), "the day is nearly over, so nearly everything is free");
        assert_eq!(quota(100, PACIFIC).next_call(&spent, midnight), midnight, "the last one");
        spent.add(midnight);
        assert_eq!(quota(100, PACIFIC).next_call(&spent, midnight), midnight + SLOT);
        // They were made in the slot before midnight, so they may count for the new day, too.
        assert!(quota(100, PACIFIC).next_call(&spent, midnight + SLOT) > midnight + SLOT + TimeDelta::hours(20));
        let mut earlier = Spent::default();
        spend(quota(100, PACIFIC), &mut earlier, utc("2026-03-02T07:40:00Z"), 90);
        assert_eq!(quota(100, PACIFIC).next_call(&earlier, midnight + SLOT), midnight, "at once");
    }

    #[test]
    fn increases_find_room_when_overwrites_have_used_their_part() {
        let (quota, now) = (quota(100, PACIFIC), utc("2026-03-02T20:00:00Z"));
        let mut spent = Spent::default();
        while quota.next_overwrite(&spent, now) <= now {
            spent.add(now);
        }
        assert_eq!(spent.in_slot(slot_of(now)), 60, "at noon, three quarters of four fifths");
        assert!(quota.next_call(&spent, now) <= now);
    }

    #[test]
    fn a_clock_that_was_set_back_stops_nothing_for_more_than_about_a_day() {
        let now = utc("2026-03-02T20:00:00Z");
        for ahead in [TimeDelta::hours(1), TimeDelta::hours(25), TimeDelta::days(400)] {
            for refill in [PACIFIC, Refill::Unstated] {
                let spent = Spent::new([(slot_of(now + ahead), 1_000)]);
                assert!(quota(100, refill).next_call(&spent, now) - now <= TimeDelta::hours(51), "{refill:?} {ahead}");
            }
        }
    }

    #[test]
    fn counts_are_added_by_slot_and_forgotten_after_a_day() {
        let now = utc("2026-03-02T20:00:00Z");
        let mut spent = Spent::new([(slot_of(now), 3), (slot_of(now - TimeDelta::hours(27)), 9)]);
        spent.add(now + TimeDelta::seconds(599));
        spent.add(now + TimeDelta::seconds(600));
        assert_eq!(spent, Spent::new([(slot_of(now), 4), (slot_of(now) + 1, 1)]));
    }

    proptest! {
        /// The platform's day may begin whenever it likes.
        #[test]
        fn no_day_holds_more_calls_than_the_quota_where_no_refill_is_stated(
            calls in 2_u32..60, pauses in proptest::collection::vec(0_i64..400, 1..200)
        ) {
            let quota = quota(calls, Refill::Unstated);
            let (mut spent, mut now, mut made) = (Spent::default(), utc("2026-03-02T20:00:00Z"), Vec::new());
            for pause in pauses {
                now = spend(quota, &mut spent, now + TimeDelta::minutes(pause), 1)[0];
                made.push(now);
            }
            for (i, from) in made.iter().enumerate() {
                let within = made[i..].iter().take_while(|at| **at - *from < DAY).count();
                prop_assert!(within <= calls as usize, "{within} calls in a day from {from}");
            }
        }

        #[test]
        fn no_day_of_the_platform_holds_more_calls_than_the_quota(
            calls in 2_u32..60, pauses in proptest::collection::vec(0_i64..400, 1..200), minutes_apart in -9_i64..10
        ) {
            let quota = quota(calls, PACIFIC);
            let (mut spent, mut now) = (Spent::default(), utc("2026-03-02T20:00:00Z"));
            let mut by_day: BTreeMap<NaiveDate, u32> = BTreeMap::new();
            for pause in pauses {
                now = spend(quota, &mut spent, now + TimeDelta::minutes(pause), 1)[0];
                // As the platform's clock has it.
                let day = (now + TimeDelta::minutes(minutes_apart)).in_zone(Tz::America__Los_Angeles).date_naive();
                *by_day.entry(day).or_default() += 1;
            }
            prop_assert!(by_day.values().all(|made| *made <= calls), "{by_day:?}");
        }
    }
}
