//! A circuit breaker per store: a store that keeps failing is probed, not hammered.
//! Closed until [`Circuit::TRIP_AFTER`] calls in a row have failed; then open for a growing pause; then one probe.
use super::Timestamp;
use chrono::TimeDelta;

/// The breaker of one store. Lives in memory: a restart begins closed and finds out again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Circuit {
    failures: u32,
    open_until: Option<Timestamp>,
}

impl Circuit {
    /// Failures in a row that open it.
    pub const TRIP_AFTER: u32 = 8;
    const FIRST_PAUSE_MS: i64 = 2_000;
    const LONGEST_PAUSE_MS: i64 = 300_000;

    /// A call was answered, whatever it said.
    pub fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// A call was not answered, or with a server error.
    pub fn failed(&mut self, now: Timestamp) {
        self.failures = self.failures.saturating_add(1);
        if let Some(beyond) = self.failures.checked_sub(Self::TRIP_AFTER) {
            let pause = Self::FIRST_PAUSE_MS.saturating_mul(1 << beyond.min(16)).min(Self::LONGEST_PAUSE_MS);
            self.open_until = Some(now + TimeDelta::milliseconds(pause));
        }
    }

    /// Until when nothing may be sent.
    pub fn open_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.open_until.filter(|until| *until > now)
    }

    /// Whether the next call is a probe, which goes alone.
    pub fn is_probing(&self, now: Timestamp) -> bool {
        self.open_until.is_some_and(|until| until <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_opens_after_failures_in_a_row_then_probes_then_closes() {
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
        circuit.succeeded();
        assert!(!circuit.is_probing(now) && circuit.open_until(now).is_none());
    }
}
