//! Sync runs: one overwrite of many listings. Being written.
use super::{Error, Result, Tenant};
use crate::domain::{RunId, Sku, StoreId};
use serde::{Deserialize, Serialize};

/// Why it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunKind {
    /// The seller asked for it.
    Manual,
    /// Timed full coverage.
    Daily,
    /// Auto-sync was switched on.
    Initial,
}

/// Where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// Under way.
    Running,
    /// All its listings were overwritten, or failed.
    Finished,
    /// Called off.
    Cancelled,
    /// Its time passed while nothing was running.
    Missed,
}

/// What it covers; everything where a field is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunFilter {
    /// These stores.
    pub store_ids: Option<Vec<StoreId>>,
    /// These SKUs.
    pub skus: Option<Vec<Sku>>,
}

/// One sync run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Its id.
    pub id: RunId,
    /// Why it runs.
    pub kind: RunKind,
    /// Where it stands.
    pub state: RunState,
    /// Its store, where it has just one (daily).
    pub store_id: Option<StoreId>,
    /// The local date it belongs to (daily).
    pub local_date: Option<String>,
    /// Listings it covers, as far as counted.
    pub total: i64,
    /// Overwritten.
    pub done: i64,
    /// Rejected, cancelled or otherwise not overwritten.
    pub failed: i64,
    /// Whether `total` is final.
    pub expanded: bool,
    /// In plain words.
    pub reason: Option<String>,
    /// When it should have begun (daily). Milliseconds since 1970.
    pub scheduled_for: Option<i64>,
    /// When it began.
    pub started_at: i64,
    /// When it ended.
    pub finished_at: Option<i64>,
}

impl Tenant<'_> {
    /// Starts a manual or initial run; its listings are counted soon after.
    ///
    /// # Errors
    /// Those of the database.
    pub fn start_run(&mut self, _kind: RunKind, _filter: &RunFilter, _now: i64) -> Result<Run> {
        Err(Error::NotFound)
    }
    /// One run.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none, or it is another seller's.
    pub fn run(&mut self, _id: RunId) -> Result<Run> {
        Err(Error::NotFound)
    }
    /// Newest first, from below `after`.
    ///
    /// # Errors
    /// Those of the database.
    pub fn runs(&mut self, _after: Option<RunId>, _limit: i64) -> Result<Vec<Run>> {
        Ok(Vec::new())
    }
}
