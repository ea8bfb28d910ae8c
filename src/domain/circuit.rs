//! A circuit breaker per store: a store that keeps failing is probed, not hammered.
//!
//! It stays closed until [`Circuit::TRIP_AFTER`] calls in a row have failed, then opens for a while, then lets one probe
//! through. Each further failure doubles the pause, up to five minutes; a success closes it.
use super::Timestamp;
use super::retry::Pause;
use std::time::Duration;

/// How long after refused credentials, or after listings were given up, a store is tried again automatically.
pub const PROBE_AFTER: Duration = Duration::from_secs(15 * 60);

/// Whether a store that is to be tried again at `at` is tried at `now`: also if that is later than any such time can be,
/// because the clock was set back.
pub fn probe_is_due(at: Timestamp, now: Timestamp) -> bool {
    at <= now || at > now + PROBE_AFTER
}

/// The shortest time between two attempts to find out whether a store accepts a write that it has refused.
const PROBE_NOT_BEFORE: Duration = Duration::from_secs(5);

/// When a store that has refused a write is tried again, if the first push that may find out is due at `due`.
pub fn next_probe(due: Option<Timestamp>, now: Timestamp) -> Timestamp {
    let latest = now + PROBE_AFTER;
    due.map_or(latest, |at| at.max(now + PROBE_NOT_BEFORE).min(latest))
}

/// The breaker of one store. Kept in memory only: after a restart it is closed and has to trip again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Circuit {
    failures: u32,
    pause: Option<Pause>,
}

impl Circuit {
    /// Consecutive failures that open the circuit.
    pub const TRIP_AFTER: u32 = 8;
    const FIRST_PAUSE: Duration = Duration::from_secs(2);
    /// How long a circuit still counts as open after its pause, for people to see: the trial call that follows takes a while.
    pub const TRIAL: Duration = Duration::from_secs(15);
    /// No circuit is open for longer before it is probed.
    pub const LONGEST_PAUSE: Duration = Duration::from_secs(300);

    /// Records that a call was answered, even with a refusal.
    pub fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// Records that a call was not answered, or only with a server error.
    pub fn failed(&mut self, now: Timestamp) {
        self.failures = self.failures.saturating_add(1);
        if let Some(doublings) = self.failures.checked_sub(Self::TRIP_AFTER) {
            let pause = Self::FIRST_PAUSE.saturating_mul(1 << doublings.min(16)).min(Self::LONGEST_PAUSE);
            self.pause = Some(Pause::new(now, pause));
        }
    }

    /// While the circuit is open, the instant until which nothing may be sent.
    pub fn open_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.pause.and_then(|pause| pause.ends_at(now))
    }

    /// Whether the next call is a probe, which must be the only call in flight.
    pub fn is_probing(&self, now: Timestamp) -> bool {
        self.pause.is_some_and(|pause| pause.ends_at(now).is_none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeDelta;

    #[test]
    fn a_store_is_tried_again_at_its_time_and_no_later_than_that_even_if_the_clock_is_set_back() {
        let now = Timestamp::default();
        for (in_s, due) in [(-1, true), (0, true), (1, false), (900, false), (901, true), (86_400, true)] {
            assert_eq!(probe_is_due(now + TimeDelta::seconds(in_s), now), due, "in {in_s} s");
        }
    }

    #[test]
    fn a_refused_write_is_tried_again_once_a_push_is_due_within_five_seconds_and_a_quarter_of_an_hour() {
        let now = Timestamp::default();
        for (due_in_s, again_in_s) in [(None, 900), (Some(-7), 5), (Some(0), 5), (Some(8), 8), (Some(3600), 900)] {
            let due = due_in_s.map(|s| now + TimeDelta::seconds(s));
            assert_eq!(next_probe(due, now), now + TimeDelta::seconds(again_in_s), "{due_in_s:?}");
        }
    }

    #[test]
    fn it_opens_after_consecutive_failures_then_probes_then_closes() {
        let mut now = Timestamp::default();
        let mut circuit = Circuit::default();
        for _ in 1..Circuit::TRIP_AFTER {
            circuit.failed(now);
        }
        assert_eq!(circuit.open_until(now), None);
        circuit.failed(now);
        assert_eq!(circuit.open_until(now), Some(now + TimeDelta::seconds(2)));
        now = now + TimeDelta::seconds(2);
        assert!(circuit.is_probing(now));
        circuit.failed(now);
        assert_eq!(circuit.open_until(now), Some(now + TimeDelta::seconds(4)));
        (0..100).for_each(|_| circuit.failed(now));
        assert_eq!(circuit.open_until(now), Some(now + TimeDelta::minutes(5)), "the longest pause");
        assert!(!circuit.is_probing(now + TimeDelta::seconds(299)) && circuit.is_probing(now + TimeDelta::minutes(5)));
        let before = now - TimeDelta::milliseconds(1);
        assert!(circuit.is_probing(before) && circuit.open_until(before).is_none(), "the clock was set back");
        circuit.succeeded();
        assert!(!circuit.is_probing(now) && circuit.open_until(now).is_none());
    }
}
