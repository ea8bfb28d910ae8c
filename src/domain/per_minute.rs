//! A limit that holds over any minute, wherever it begins.
use std::collections::VecDeque;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

/// At most so many in any minute.
#[derive(Debug)]
pub struct PerMinute {
    most: usize,
    /// When, oldest first; none is older than a minute.
    latest: VecDeque<Duration>,
}

impl PerMinute {
    /// At least one is allowed.
    pub fn new(most: usize) -> Self {
        Self { most: most.max(1), latest: VecDeque::new() }
    }

    /// Whether another one is allowed at `now`, which never goes back.
    pub fn is_free(&mut self, now: Duration) -> bool {
        while self.latest.front().is_some_and(|at| *at + MINUTE <= now) {
            self.latest.pop_front();
        }
        self.latest.len() < self.most
    }

    /// Counts one at `now`.
    pub fn note(&mut self, now: Duration) {
        self.latest.push_back(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_minute_has_more_than_are_allowed() {
        let mut limit = PerMinute::new(3);
        let mut taken = Vec::new();
        for now in (0..300).map(Duration::from_secs) {
            // Somebody always wants two.
            for _ in 0..2 {
                if limit.is_free(now) {
                    limit.note(now);
                    taken.push(now);
                }
            }
        }
        assert_eq!(taken.len(), 5 * 3);
        assert!(taken.windows(4).all(|four| four[3] - four[0] >= MINUTE), "{taken:?}");
    }
}
