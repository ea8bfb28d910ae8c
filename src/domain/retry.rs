//! When to retry: exponential backoff with full jitter, never sooner than the platform asked for, limited by age.
//! Source of the formula: M. Brooker, "Exponential Backoff And Jitter" (full jitter).
use super::Timestamp;
use std::time::Duration;

/// The longest pause that a platform may ask for. A longer one is cut to this, so that a wrong header cannot silence a
/// store for days.
pub const LONGEST_ASKED: Duration = Duration::from_secs(3600);

/// A pause that begins with something that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pause {
    from: Timestamp,
    until: Timestamp,
}

impl Pause {
    /// A pause of this length from `from` on.
    pub fn new(from: Timestamp, length: Duration) -> Self {
        Self { from, until: from + length }
    }

    /// When it ends; `None` once it is over. If the clock was set back since it began, it is over, because nobody knows
    /// how much of it has passed.
    pub fn ends_at(&self, now: Timestamp) -> Option<Timestamp> {
        (self.from <= now && now < self.until).then_some(self.until)
    }
}

/// How failed sends are retried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// The longest first pause.
    pub base: Duration,
    /// The longest pause overall.
    pub cap: Duration,
    /// A push that has kept failing for this long is rejected.
    pub max_age: Duration,
    /// How long a request whose answer was lost may still reach the platform: at least the request's timeout.
    pub settle_for: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            base: Duration::from_secs(1),
            cap: Duration::from_secs(300),
            max_age: Duration::from_secs(24 * 3600),
            settle_for: Duration::from_secs(10),
        }
    }
}

impl RetryPolicy {
    /// The pause before the next attempt, after `attempts` attempts; `jitter` is a random number from 0 to 1.
    pub fn pause(&self, attempts: u32, jitter: f64, retry_after: Option<Duration>) -> Duration {
        let longest = self.base.saturating_mul(2u32.saturating_pow(attempts.saturating_sub(1).min(20))).min(self.cap);
        let asked = retry_after.unwrap_or(Duration::ZERO).min(LONGEST_ASKED);
        longest.mul_f64(jitter.clamp(0.0, 1.0)).max(asked).max(Duration::from_millis(50))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_the_cap_and_honor_retry_after() {
        let policy = RetryPolicy::default();
        let longest: Vec<u64> = (1..=11).map(|n| policy.pause(n, 1.0, None).as_secs()).collect();
        assert_eq!(longest, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        assert_eq!(policy.pause(1, 0.5, Some(Duration::from_secs(7))), Duration::from_secs(7));
        assert_eq!(policy.pause(3, 0.5, None), Duration::from_secs(2));
        assert_eq!(policy.pause(3, 0.5, Some(Duration::from_secs(99_999_999_999))), LONGEST_ASKED);
    }

    #[test]
    fn a_pause_is_over_when_its_time_has_passed_or_the_clock_was_set_back() {
        let at = Timestamp::from_millis;
        let pause = Pause::new(at(1_000), Duration::from_millis(500));
        for (now, ends_at) in [(999, None), (1_000, Some(at(1_500))), (1_499, Some(at(1_500))), (1_500, None)] {
            assert_eq!(pause.ends_at(at(now)), ends_at, "{now}");
        }
    }
}
