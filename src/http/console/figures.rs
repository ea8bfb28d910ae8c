//! What happened lately, for the operator's plots: every node looks every few seconds and remembers half an hour.
//! Rows tell of all nodes together; calls to platforms are counted by each node for itself.
use crate::db::overview::{Sample, sample};
use crate::domain::Timestamp;
use crate::http::state::{AppState, State};
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How often it looks.
pub(super) const EVERY: Duration = Duration::from_secs(10);
/// Looks that are remembered.
const KEPT: usize = 180;

/// One look.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Point {
    pub at: Timestamp,
    /// Seconds since the look before.
    pub seconds: f64,
    /// What the rows tell, but for the times, of which there are thousands.
    pub sample: Sample,
    /// Of the times from acceptance to confirmation: half took no longer, in milliseconds.
    pub p50_ms: Option<i64>,
    /// 99 in a hundred took no longer, in milliseconds.
    pub p99_ms: Option<i64>,
    /// Calls of this node since then.
    pub calls: u64,
    /// Of these, throttled by the platform.
    pub throttled: u64,
}

/// The looks remembered, oldest first.
#[derive(Debug, Default)]
pub(super) struct Figures(Mutex<VecDeque<Point>>);

impl Figures {
    fn points(&self) -> MutexGuard<'_, VecDeque<Point>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All of them.
    pub fn all(&self) -> Vec<Point> {
        self.points().iter().cloned().collect()
    }

    fn remember(&self, point: Point) {
        let mut points = self.points();
        points.push_back(point);
        while points.len() > KEPT {
            points.pop_front();
        }
    }
}

/// The part in a hundred of values, the smallest first; `None` without any.
fn percentile(values: &[i64], hundredths: usize) -> Option<i64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let rank = (sorted.len() * hundredths).div_ceil(100).max(1);
    sorted.get(rank - 1).copied()
}

/// Looks every few seconds until the service stops.
pub async fn keep(state: State) {
    let mut before = Before::new(&state);
    loop {
        tokio::select! {
            () = state.console.stopping.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
        match look(&state, &mut before).await {
            Ok(point) => state.console.figures.remember(point),
            Err(error) => tracing::debug!(%error, "could not look at what happened lately"),
        }
    }
}

struct Before {
    at: Timestamp,
    calls: u64,
    throttled: u64,
}

impl Before {
    fn new(state: &AppState) -> Self {
        let counted = state.service.client.counted();
        Self { at: state.now(), calls: counted.calls, throttled: counted.throttled }
    }
}

async fn look(state: &State, before: &mut Before) -> Result<Point, crate::db::Error> {
    let since = before.at;
    let now = Before::new(state);
    let mut sample = state.db.read(move |conn| sample(conn, since)).await?;
    let times_ms = std::mem::take(&mut sample.times_ms);
    let (p50_ms, p99_ms) = (percentile(&times_ms, 50), percentile(&times_ms, 99));
    #[expect(clippy::cast_precision_loss, reason = "a pause in milliseconds is far below 2^52")]
    let seconds = (now.at - before.at).num_milliseconds().max(1) as f64 / 1000.0;
    let (calls, throttled) = (now.calls.saturating_sub(before.calls), now.throttled.saturating_sub(before.throttled));
    let point = Point { at: now.at, seconds, sample, p50_ms, p99_ms, calls, throttled };
    *before = now;
    Ok(point)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_there() {
        let values: Vec<i64> = (1..=200).rev().collect();
        assert_eq!([50, 99, 100].map(|p| percentile(&values, p)), [Some(100), Some(198), Some(200)]);
        assert_eq!((percentile(&[7], 99), percentile(&[], 50)), (Some(7), None));
    }
}
