//! How long from the acceptance of an event to the platform's receipt of its increase.
//!
//! Increases of one listing merge, so none can be followed by itself. An event's increase has arrived when all that
//! the platform has received for the listing reaches all that is due up to and including this event.
use super::model::Step;
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// The longest that is told apart, in microseconds: an hour.
const LONGEST_US: u64 = 3_600_000_000;

/// Durations, collected.
#[derive(Debug, Clone)]
pub(super) struct Durations(Histogram<u64>);

impl Durations {
    pub(super) fn new() -> Result<Self, String> {
        Histogram::new_with_bounds(1, LONGEST_US, 3).map(Self).map_err(|e| e.to_string())
    }

    pub(super) fn add_us(&mut self, us: i64) {
        self.0.saturating_record(u64::try_from(us).unwrap_or(0).clamp(1, LONGEST_US));
    }

    pub(super) fn join(&mut self, other: &Self) {
        // Both have the same bounds, so nothing can be refused.
        self.0.add(&other.0).ok();
    }

    pub(super) fn summary(&self) -> Latencies {
        #[expect(clippy::cast_precision_loss, reason = "microseconds of an hour at most")]
        let ms = |us: u64| us as f64 / 1000.0;
        Latencies {
            count: self.0.len(),
            p50_ms: ms(self.0.value_at_quantile(0.5)),
            p90_ms: ms(self.0.value_at_quantile(0.9)),
            p99_ms: ms(self.0.value_at_quantile(0.99)),
            max_ms: ms(self.0.max()),
        }
    }
}

/// Latencies in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[expect(missing_docs, reason = "they are what they are")]
pub struct Latencies {
    pub count: u64,
    pub p50_ms: f64,
    pub p90_ms: f64,
    pub p99_ms: f64,
    pub max_ms: f64,
}

/// A change of one listing at the platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Arrival {
    pub(super) at_us: i64,
    pub(super) change: i64,
}

/// For each event that made an increase for this listing, from its acceptance to its arrival in microseconds; `None`
/// for one that never arrived. What arrived before its acceptance was known took no time.
pub(super) fn delays(trace: &[Step], arrivals: &[Arrival]) -> Vec<Option<i64>> {
    let mut arrivals = arrivals.iter();
    let (mut received, mut at_us) = (0, None);
    let mut due_before = 0;
    let mut delays = Vec::new();
    for step in trace {
        if step.due == due_before {
            continue;
        }
        due_before = step.due;
        while received < step.due {
            let Some(arrival) = arrivals.next() else { break };
            received += arrival.change;
            at_us = Some(arrival.at_us);
        }
        delays.push(at_us.filter(|_| received >= step.due).map(|at_us| (at_us - step.times.accepted_us).max(0)));
    }
    delays
}

#[cfg(test)]
mod tests {
    use super::super::model::Times;
    use super::*;

    fn step(accepted_us: i64, due: i64) -> Step {
        Step { times: Times { sent_us: accepted_us - 5, accepted_us }, target: 0, due }
    }
    fn arrival(at_us: i64, change: i64) -> Arrival {
        Arrival { at_us, change }
    }

    #[test]
    fn a_merged_increase_ends_the_wait_of_every_event_in_it() {
        let trace = [step(100, 3), step(150, 3), step(200, 8), step(300, 9)];
        assert_eq!(delays(&trace, &[arrival(400, 9)]), [Some(300), Some(200), Some(100)]);
    }

    #[test]
    fn an_event_waits_until_all_that_is_due_with_it_has_arrived() {
        let trace = [step(100, 3), step(200, 8)];
        assert_eq!(delays(&trace, &[arrival(140, 3), arrival(260, 4), arrival(290, 1)]), [Some(40), Some(90)]);
        assert_eq!(delays(&trace, &[arrival(140, 3), arrival(260, 4)]), [Some(40), None]);
        assert_eq!(delays(&trace, &[arrival(90, 3)]), [Some(0), None], "it may arrive before its acceptance is known here");
    }

    #[test]
    fn quantiles_are_told_in_milliseconds() {
        let mut durations = Durations::new().unwrap();
        (1..=100).for_each(|n| durations.add_us(n * 1000));
        let told = durations.summary();
        assert_eq!(told.count, 100);
        assert!((told.p50_ms - 50.0).abs() < 0.1 && (told.p99_ms - 99.0).abs() < 0.1 && (told.max_ms - 100.0).abs() < 0.1, "{told:?}");
    }
}
