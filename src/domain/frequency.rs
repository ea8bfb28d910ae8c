//! When automatic synchronization sends what.
use serde::{Deserialize, Serialize};

/// How often stock is synchronized to the stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Frequency {
    /// *Incremental inventory synchronization*: each increase is sent at once.
    Incremental,
    /// *Timed full coverage*: every listing is overwritten once a day.
    TimedFull,
    /// Both: each increase is sent at once, and every listing is overwritten once a day.
    IncrementalAndDaily,
}

impl Frequency {
    /// Whether increases are sent as stock increases.
    pub fn sends_increases(self) -> bool {
        matches!(self, Self::Incremental | Self::IncrementalAndDaily)
    }

    /// Whether every listing is overwritten once a day.
    pub fn overwrites_daily(self) -> bool {
        matches!(self, Self::TimedFull | Self::IncrementalAndDaily)
    }
}
