//! Daily runs: started when they are due, recorded when they were missed.
use crate::db::{Error, Result, SellerDb};
use crate::domain::schedule::due_runs;
use crate::domain::{StoreId, Timestamp};
use chrono::NaiveDate;

/// The latest date with a daily run, as far as a store's actor knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LastRun {
    /// Not read yet.
    Unread,
    /// Being read, or being advanced by [`start_due_runs`].
    Reading,
    /// This date; `None` if there has been no run.
    Known(Option<NaiveDate>),
}

/// Starts a store's daily run if it is due, and records those missed since `last`, the latest date with a run. Returns
/// the new latest date.
///
/// # Errors
/// If the database fails; nothing was started then.
pub async fn start_due_runs(
    db: &SellerDb,
    store: StoreId,
    created_at: Timestamp,
    last: Option<NaiveDate>,
    now: Timestamp,
) -> Result<Option<NaiveDate>> {
    let started = db.write(move |t| {
        // The rows may have changed since the actor was configured: a setting takes effect once it is saved, and a store
        // may have been deleted.
        let settings = t.sync_settings()?;
        match t.store(store) {
            Ok(row) if row.sync_enabled => {}
            Ok(_) | Err(Error::NotFound) => return Ok(last),
            Err(error) => return Err(error),
        }
        let due = due_runs(&settings, now, settings.timed_since.max(created_at), last);
        t.forget_runs_missed_ahead(store, now)?;
        for run in &due {
            t.start_daily_run(store, run, now)?;
        }
        t.schedule_next_run(&settings, now)?;
        Ok(due.last().map(|run| run.date).or(last))
    });
    started.await
}
