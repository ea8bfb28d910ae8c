//! The only source of "now". In tests, wall time is a start date plus the tokio time elapsed since, so that under
//! `tokio::time::pause` the wall clock, timers and rate limits advance together and whole days pass in milliseconds.
use chrono::{DateTime, TimeDelta, Utc};
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
        start: DateTime<Utc>,
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
    pub fn starting_at(start: DateTime<Utc>) -> Self {
        Self(Source::Virtual { start, origin: tokio::time::Instant::now(), step_ms: Arc::default() })
    }

    /// The current time.
    pub fn now(&self) -> DateTime<Utc> {
        match &self.0 {
            #[expect(clippy::disallowed_methods, reason = "this is the Clock that all other code must use")]
            Source::System => Utc::now(),
            Source::Virtual { start, origin, step_ms } => {
                let elapsed = TimeDelta::from_std(origin.elapsed()).unwrap_or(TimeDelta::MAX);
                *start + elapsed + TimeDelta::milliseconds(step_ms.load(Ordering::Relaxed))
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

/// Milliseconds since 1970, as the database stores instants.
pub fn millis(at: DateTime<Utc>) -> i64 {
    at.timestamp_millis()
}

/// The instant that the database stores as `ms`; 1970 if out of range.
pub fn instant(ms: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(ms).unwrap_or(DateTime::UNIX_EPOCH)
}
