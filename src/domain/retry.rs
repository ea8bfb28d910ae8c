//! When to retry: exponential backoff with full jitter, never sooner than the platform asked for, limited by age.
//! Source of the formula: M. Brooker, "Exponential Backoff And Jitter" (full jitter).
use std::time::Duration;

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
        longest.mul_f64(jitter.clamp(0.0, 1.0)).max(retry_after.unwrap_or(Duration::ZERO)).max(Duration::from_millis(50))
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
    }
}
