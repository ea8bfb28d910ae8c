//! The only source of "now". In tests, wall time is a start date plus the tokio time elapsed since, so that under
//! `tokio::time::pause` the wall clock, timers and rate limits advance together and whole days pass in milliseconds.
use crate::domain::Timestamp;
use chrono::TimeDelta;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// A wall clock, real or virtual. Cheap to clone; clones share one clock.
#[derive(Debug, Clone)]
pub struct Clock(Source);

#[derive(Debug, Clone)]
enum Source {
    System,
    /// For tests: follows tokio's clock and can be stepped.
    Virtual {
        start: Timestamp,
        origin: tokio::time::Instant,
        step_ms: Arc<AtomicI64>,
    },
}

impl Clock {
    /// The system clock.
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A virtual clock that starts at `start` and follows tokio's time, paused or not.
    pub fn starting_at(start: Timestamp) -> Self {
        Self(Source::Virtual { start, origin: tokio::time::Instant::now(), step_ms: Arc::default() })
    }

    /// The current time.
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            #[expect(clippy::disallowed_methods, reason = "this is the Clock that all other code must use")]
            Source::System => chrono::Utc::now().into(),
            Source::Virtual { start, origin, step_ms } => {
                *start + origin.elapsed() + TimeDelta::milliseconds(step_ms.load(Ordering::Relaxed))
            }
        }
    }

    /// Now in microseconds since 1970, for what measures latencies.
    pub fn now_us(&self) -> i64 {
        match &self.0 {
            #[expect(clippy::disallowed_methods, reason = "this is the Clock that all other code must use")]
            Source::System => chrono::Utc::now().timestamp_micros(),
            Source::Virtual { start, origin, step_ms } => {
                let ms = start.as_millis().saturating_add(step_ms.load(Ordering::Relaxed));
                let elapsed_us = i64::try_from(origin.elapsed().as_micros()).unwrap_or(i64::MAX);
                ms.saturating_mul(1000).saturating_add(elapsed_us)
            }
        }
    }

    /// Steps a virtual clock, as an operator or NTP may step a real one. Has no effect on the system clock.
    pub fn step(&self, by: TimeDelta) {
        if let Source::Virtual { step_ms, .. } = &self.0 {
            step_ms.fetch_add(by.num_milliseconds(), Ordering::Relaxed);
        }
    }
}
