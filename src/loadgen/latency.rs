//! How long it takes from the acceptance of an event until the platform receives its increase.
//!
//! Increases of one listing merge, so they cannot be followed individually. The increase of an event has arrived once
//! the platform has received at least as many units for the listing as were due up to and including this event.
use super::model::Step;
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// Longer durations are counted as this: an hour, in microseconds.
const MAX_US: u64 = 3_600_000_000;

/// A histogram of durations.
#[derive(Debug, Clone)]
pub(super) struct Durations(Histogram<u64>);

impl Durations {
    pub(super) fn new() -> Result<Self, String> {
        Histogram::new_with_bounds(1, MAX_US, 3).map(Self).map_err(|e| e.to_string())
    }

    pub(super) fn add_us(&mut self, us: i64) {
        self.0.saturating_record(u64::try_from(us).unwrap_or(0).clamp(1, MAX_US));
    }

    pub(super) fn merge(&mut self, other: &Self) {
        // Cannot fail, because both have the same bounds.
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

/// Quantiles of a latency, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it all")]
pub struct Latencies {
    pub count: u64,
    pub p50_ms: f64,
    pub p90_ms: f64,
    pub p99_ms: f64,
    pub max_ms: f64,
}

/// A change of one listing, as the platform received it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Arrival {
    pub(super) at_us: i64,
    pub(super) change: i64,
}

/// For each event that caused an increase of this listing, its acceptance, and the microseconds from there to arrival;
/// `None` if it never arrived. The delay is 0 if the increase arrived before this program knew that the event was accepted.
pub(super) fn delays(trace: &[Step], arrivals: &[Arrival]) -> Vec<(i64, Option<i64>)> {
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
        let accepted_us = step.times.accepted_us;
        delays.push((accepted_us, at_us.filter(|_| received >= step.due).map(|at_us| (at_us - accepted_us).max(0))));
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
        assert_eq!(delays(&trace, &[arrival(400, 9)]), [(100, Some(300)), (200, Some(200)), (300, Some(100))]);
    }

    #[test]
    fn an_event_waits_until_everything_due_up_to_it_has_arrived() {
        let trace = [step(100, 3), step(200, 8)];
        let of = |arrivals: &[Arrival]| delays(&trace, arrivals).into_iter().map(|(_, delay)| delay).collect::<Vec<_>>();
        assert_eq!(of(&[arrival(140, 3), arrival(260, 4), arrival(290, 1)]), [Some(40), Some(90)]);
        assert_eq!(of(&[arrival(140, 3), arrival(260, 4)]), [Some(40), None]);
        assert_eq!(of(&[arrival(90, 3)]), [Some(0), None], "an increase may arrive before its acceptance is known here");
    }

    #[test]
    fn quantiles_are_reported_in_milliseconds() {
        let mut durations = Durations::new().unwrap();
        (1..=100).for_each(|n| durations.add_us(n * 1000));
        let summary = durations.summary();
        assert_eq!(summary.count, 100);
        assert!(
            (summary.p50_ms - 50.0).abs() < 0.1 && (summary.p99_ms - 99.0).abs() < 0.1 && (summary.max_ms - 100.0).abs() < 0.1,
            "{summary:?}"
        );
    }
}
