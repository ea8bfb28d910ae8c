//! A run over time, as the page of a report draws it.
//!
//! The unit is the increase of one listing by one event, because an event may raise many listings or none. In a run that
//! overwrites, it is the overwrite of one listing; all of them are accepted when the run is requested.
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Instants are first counted in ticks of this many microseconds, then in intervals of many ticks.
const TICK_US: i64 = 10_000;
/// The most intervals that a run is divided into.
const MOST_INTERVALS: u64 = 60;
/// The upper bounds of the latencies' buckets in each decade: ten steps of nearly the same ratio (Renard's preferred numbers).
const IN_A_DECADE: [u64; 10] = [125, 160, 200, 250, 315, 400, 500, 630, 800, 1000];
/// Latencies up to this many microseconds share the first bucket.
const FIRST_BOUND_US: u64 = 100;
/// Enough for an hour, the longest latency that is distinguished.
const DECADES: u32 = 8;

/// A run over time, and how its latencies are distributed.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Course {
    /// How long each interval lasts.
    pub interval_seconds: f64,
    /// The intervals without gaps, from the first request to the last receipt.
    pub intervals: Vec<Interval>,
    /// Increases that arrived before this program knew that their event was accepted: their latency is unknown, and they are in
    /// no bucket.
    #[serde(default)]
    pub at_once: u64,
    /// The buckets without gaps, from the shortest latency to the longest.
    pub latencies: Vec<Bucket>,
}

/// What happened in one interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Interval {
    /// Events accepted.
    pub events: u64,
    /// Increases whose event was accepted.
    pub accepted: u64,
    /// Increases that arrived at the platform.
    pub arrived: u64,
    /// The most increases at once that were accepted and had not arrived.
    pub waiting: u64,
}

/// Increases by how long they took.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Bucket {
    /// They took longer than this.
    pub above_ms: f64,
    /// They took no longer than this.
    pub up_to_ms: f64,
    /// How many.
    pub count: u64,
}

/// Records what happens in a run, in any order.
#[derive(Debug)]
pub(super) struct Recording {
    start_us: i64,
    ticks: BTreeMap<u64, Interval>,
    at_once: u64,
    latencies: Vec<u64>,
    bounds: Vec<u64>,
}

impl Recording {
    /// `start_us` is the instant of the first request, in microseconds since 1970.
    pub(super) fn new(start_us: i64) -> Self {
        let above = (0..DECADES).flat_map(|decade| IN_A_DECADE.map(|step| FIRST_BOUND_US * step * 10_u64.pow(decade) / 100));
        let bounds: Vec<u64> = std::iter::once(FIRST_BOUND_US).chain(above).collect();
        Self { start_us, ticks: BTreeMap::new(), at_once: 0, latencies: vec![0; bounds.len()], bounds }
    }

    fn tick(&mut self, at_us: i64) -> &mut Interval {
        let tick = u64::try_from(at_us.saturating_sub(self.start_us) / TICK_US).unwrap_or(0);
        self.ticks.entry(tick).or_default()
    }

    pub(super) fn event(&mut self, accepted_us: i64) {
        self.tick(accepted_us).events += 1;
    }

    /// `took_us` is `None` if the increase never arrived.
    pub(super) fn increase(&mut self, accepted_us: i64, took_us: Option<i64>) {
        self.tick(accepted_us).accepted += 1;
        let Some(took_us) = took_us else { return };
        self.tick(accepted_us.saturating_add(took_us)).arrived += 1;
        let took_us = u64::try_from(took_us).unwrap_or(0);
        if took_us == 0 {
            self.at_once += 1;
            return;
        }
        let bucket = self.bounds.partition_point(|bound| *bound < took_us).min(self.latencies.len().saturating_sub(1));
        if let Some(count) = self.latencies.get_mut(bucket) {
            *count += 1;
        }
    }

    pub(super) fn finish(self) -> Course {
        let Some(last) = self.ticks.keys().next_back().copied() else { return Course::default() };
        let step = ticks_per_interval(last);
        let (mut intervals, mut waiting) = (Vec::new(), 0_u64);
        for number in 0..=last / step {
            let mut interval = Interval { waiting, ..Interval::default() };
            for (_, tick) in self.ticks.range(number * step..(number + 1) * step) {
                interval.events += tick.events;
                interval.accepted += tick.accepted;
                interval.arrived += tick.arrived;
                waiting += tick.accepted;
                interval.waiting = interval.waiting.max(waiting);
                waiting = waiting.saturating_sub(tick.arrived);
            }
            intervals.push(interval);
        }
        #[expect(clippy::cast_precision_loss, reason = "a step is a small number of ticks of a whole number of milliseconds")]
        let interval_seconds = step as f64 * TICK_US as f64 / 1e6;
        Course { interval_seconds, intervals, at_once: self.at_once, latencies: self.buckets() }
    }

    fn buckets(&self) -> Vec<Bucket> {
        #[expect(clippy::cast_precision_loss, reason = "a few hours in microseconds")]
        let ms = |us: u64| us as f64 / 1000.0;
        let lower = std::iter::once(0).chain(self.bounds.iter().copied());
        let all = lower.zip(&self.bounds).zip(&self.latencies);
        let all = all.map(|((above, up_to), count)| Bucket { above_ms: ms(above), up_to_ms: ms(*up_to), count: *count });
        let mut buckets: Vec<Bucket> = all.skip_while(|bucket| bucket.count == 0).collect();
        while buckets.pop_if(|bucket| bucket.count == 0).is_some() {}
        buckets
    }
}

/// The shortest of 1, 2, 5, 10, 20, … ticks that divides the ticks up to `last` into few enough intervals.
fn ticks_per_interval(last: u64) -> u64 {
    let mut decade = 1_u64;
    loop {
        for step in [1, 2, 5].map(|step| decade.saturating_mul(step)) {
            if last / step < MOST_INTERVALS {
                return step;
            }
        }
        decade = decade.saturating_mul(10);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recording(increases: &[(i64, Option<i64>)]) -> Course {
        let mut recording = Recording::new(1_000_000);
        for (accepted_ms, took_ms) in increases {
            let accepted_us = 1_000_000 + accepted_ms * 1000;
            recording.event(accepted_us);
            recording.increase(accepted_us, took_ms.map(|ms| ms * 1000));
        }
        recording.finish()
    }

    #[test]
    fn a_run_without_events_has_no_course() {
        assert_eq!(recording(&[]), Course::default());
    }

    #[test]
    fn increases_wait_from_their_acceptance_to_their_arrival() {
        let course = recording(&[(0, Some(25)), (3, Some(7)), (11, None)]);
        assert_eq!(course.interval_seconds, 0.01);
        let numbers: Vec<_> = course.intervals.iter().map(|it| (it.events, it.accepted, it.arrived, it.waiting)).collect();
        assert_eq!(numbers, [(2, 2, 0, 2), (1, 1, 1, 3), (0, 0, 1, 2)], "one never arrives, so it still waits at the end");
    }

    #[test]
    fn an_interval_in_which_nothing_happens_shows_what_still_waits() {
        let waiting: Vec<u64> = recording(&[(0, Some(49)), (0, Some(5))]).intervals.iter().map(|it| it.waiting).collect();
        assert_eq!(waiting, [2, 1, 1, 1, 1]);
    }

    #[test]
    fn a_long_run_is_divided_into_a_few_intervals_of_a_round_length() {
        for (last, step) in [(0, 1), (59, 1), (60, 2), (119, 2), (120, 5), (5_999, 100), (6_000, 200), (u64::MAX, 500_000_000_000_000_000)]
        {
            assert_eq!(ticks_per_interval(last), step, "{last}");
        }
        let hours = recording(&[(0, Some(1)), (5 * 3_600_000, Some(1))]);
        assert_eq!((hours.interval_seconds, hours.intervals.len()), (500.0, 37));
    }

    #[test]
    fn latencies_are_counted_in_buckets_that_are_even_on_a_logarithmic_scale() {
        let mut recording = Recording::new(0);
        for us in [-5, 0, 100, 101, 18_000, 20_000, 20_001, 3_600_000_000, i64::MAX / 2] {
            recording.increase(0, Some(us));
        }
        let course = recording.finish();
        let of = |up_to_ms: f64| course.latencies.iter().find(|bucket| bucket.up_to_ms == up_to_ms).copied().unwrap();
        assert_eq!(of(0.1), Bucket { above_ms: 0.0, up_to_ms: 0.1, count: 1 });
        assert_eq!(course.at_once, 2, "before their event was known to be accepted");
        assert_eq!(of(20.0), Bucket { above_ms: 16.0, up_to_ms: 20.0, count: 2 });
        assert_eq!((of(0.125).count, of(25.0).count, of(4_000_000.0).count), (1, 1, 1));
        assert_eq!(course.latencies.last().unwrap().count, 1, "what took longer than any bound");
        for pair in course.latencies.windows(2).skip(1) {
            let ratio = pair[0].up_to_ms / pair[0].above_ms;
            assert!(pair[0].up_to_ms == pair[1].above_ms && (1.24..1.29).contains(&ratio), "{pair:?}");
        }
    }
}
