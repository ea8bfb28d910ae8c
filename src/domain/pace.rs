//! A pace: so many rows per second, and twice as many at once.
//!
//! A request of more rows than fit at once is taken when nothing is owed, and the next ones wait until it is paid off. So a low pace
//! makes large requests rare, and never impossible.
use std::time::Duration;

/// How much of its pace someone has used.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pace {
    per_second: u32,
    /// What is left; below 0 if rows are owed.
    left: f64,
    at: Duration,
}

impl Pace {
    /// Unused at `now`.
    pub fn new(per_second: u32, now: Duration) -> Self {
        let per_second = per_second.max(1);
        Self { per_second, left: 2.0 * f64::from(per_second), at: now }
    }

    /// Rows per second.
    pub fn per_second(&self) -> u32 {
        self.per_second
    }

    fn burst(&self) -> f64 {
        2.0 * f64::from(self.per_second)
    }

    fn left_at(&self, now: Duration) -> f64 {
        let passed = now.saturating_sub(self.at).as_secs_f64();
        (self.left + passed * f64::from(self.per_second)).min(self.burst())
    }

    /// Whether nothing of it is used at `now`.
    pub fn is_unused(&self, now: Duration) -> bool {
        self.left_at(now) >= self.burst()
    }

    /// Takes so many rows at `now`.
    ///
    /// # Errors
    /// How long to wait, if there are not enough; then none are taken.
    pub fn take(&mut self, rows: u32, now: Duration) -> Result<(), Duration> {
        let (left, rows) = (self.left_at(now), f64::from(rows));
        let missing = rows.min(self.burst()) - left;
        // Sums of fractions are off by less than this.
        if missing > 1e-6 {
            return Err(Duration::from_secs_f64(missing / f64::from(self.per_second)));
        }
        (self.left, self.at) = (left - rows, now);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn as_many_rows_as_the_pace_allows_are_taken_over_any_long_time() {
        let mut pace = Pace::new(10, s(0));
        assert_eq!((0..25).filter(|_| pace.take(1, s(0)).is_ok()).count(), 20, "twice as many at once");
        assert_eq!(pace.take(5, s(0)), Err(Duration::from_millis(500)));
        assert_eq!((1..=100).map(|at| (0..25).filter(|_| pace.take(1, s(at)).is_ok()).count()).sum::<usize>(), 1000);
        assert!(!pace.is_unused(s(100)) && pace.is_unused(s(102)));
    }

    #[test]
    fn a_request_that_is_larger_than_a_burst_is_taken_and_paid_off() {
        let mut pace = Pace::new(10, s(0));
        assert_eq!(pace.take(1000, s(0)), Ok(()));
        assert_eq!(pace.take(1, s(0)), Err(Duration::from_millis(98_100)));
        assert_eq!(pace.take(1000, s(99)), Err(s(1)), "until nothing is owed and a burst is there");
        assert_eq!(pace.take(1000, s(100)), Ok(()));
        assert_eq!(pace.take(0, s(100)), Err(s(98)));
    }
}
