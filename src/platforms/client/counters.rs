//! How many calls were made.
use crate::domain::delivery::Outcome;
use std::sync::atomic::{AtomicU64, Ordering};

#[derive(Debug, Default)]
pub(super) struct Counters {
    calls: AtomicU64,
    throttled: AtomicU64,
}

/// Calls since the process started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CallCounts {
    /// Calls of any outcome.
    pub calls: u64,
    /// Calls that the platform throttled.
    pub throttled: u64,
}

impl Counters {
    pub(super) fn add(&self, outcome: &Outcome) {
        let throttled = matches!(outcome, Outcome::TryAgain { throttled: true, .. });
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.throttled.fetch_add(u64::from(throttled), Ordering::Relaxed);
    }

    pub(super) fn read(&self) -> CallCounts {
        CallCounts { calls: self.calls.load(Ordering::Relaxed), throttled: self.throttled.load(Ordering::Relaxed) }
    }
}

/// What an outcome is called in metrics and logs.
pub fn outcome_label(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Answered(_) => "answered",
        Outcome::Refused { .. } => "refused",
        Outcome::TryAgain { throttled: true, .. } => "throttled",
        Outcome::TryAgain { .. } => "not_connected",
        Outcome::Unauthorized { .. } => "unauthorized",
        Outcome::TokenExpired { .. } => "token_expired",
        Outcome::Closed { .. } => "closed",
        Outcome::Obscured { .. } => "obscured",
        Outcome::Unknown { .. } => "unknown",
    }
}
