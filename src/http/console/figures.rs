//! Recent figures for the operator's plots: half an hour of samples, kept in memory by each node.
//! Database figures cover all nodes; each node counts only its own platform calls.
use crate::db::overview::Sample;
use crate::domain::Timestamp;
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub(super) const SAMPLE_EVERY: Duration = Duration::from_secs(10);
const MAX_POINTS: usize = 180;

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Point {
    pub at: Timestamp,
    /// Seconds since the previous sample.
    pub seconds: f64,
    /// The database figures, without `times_ms`, which can hold thousands of values.
    pub sample: Sample,
    /// Median time from acceptance to confirmation, in milliseconds.
    pub p50_ms: Option<i64>,
    /// 99th percentile of the same times.
    pub p99_ms: Option<i64>,
    /// Platform calls of this node since the previous sample.
    pub calls: u64,
    /// How many of those calls the platform throttled.
    pub throttled: u64,
}

/// The latest points, oldest first.
#[derive(Debug, Default)]
pub(super) struct Figures(Mutex<VecDeque<Point>>);

impl Figures {
    fn points(&self) -> MutexGuard<'_, VecDeque<Point>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn all(&self) -> Vec<Point> {
        self.points().iter().cloned().collect()
    }

    pub fn add(&self, point: Point) {
        let mut points = self.points();
        points.push_back(point);
        while points.len() > MAX_POINTS {
            points.pop_front();
        }
    }
}

/// The nearest-rank percentile; `None` without values.
pub(super) fn percentile(values: &[i64], percent: usize) -> Option<i64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_one_of_the_values() {
        let values: Vec<i64> = (1..=200).rev().collect();
        assert_eq!([50, 99, 100].map(|p| percentile(&values, p)), [Some(100), Some(198), Some(200)]);
        assert_eq!((percentile(&[7], 99), percentile(&[], 50)), (Some(7), None));
    }
}
