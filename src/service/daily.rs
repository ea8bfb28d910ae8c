//! Daily runs: started when they are due, recorded when they were missed.
use super::frozen_windows::window_over;
use crate::db::{Error, Result, SellerDb, Tenant};
use crate::domain::limits::MAX_STORES;
use crate::domain::schedule::{due_runs, next_run_after};
use crate::domain::settings::SyncSettings;
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

/// When the next daily run of any of the seller's stores is due; `None` without daily runs. A store that has had its run
/// of today has its next one tomorrow, even if the update time has been changed in between.
///
/// # Errors
/// If the database fails.
pub fn next_run_of(t: &mut Tenant<'_>, settings: &SyncSettings, now: Timestamp) -> Result<Option<Timestamp>> {
    if !settings.is_timed() {
        return Ok(None);
    }
    Ok(Some(next_run_after(settings, now, last_date_of_all(t, now)?)))
}

/// The latest date for which every store of the seller has had its daily run.
///
/// # Errors
/// If the database fails.
pub fn last_date_of_all(t: &mut Tenant<'_>, now: Timestamp) -> Result<Option<NaiveDate>> {
    let dates = t.last_run_dates(now)?;
    let of_stores: Option<Vec<NaiveDate>> = t.stores(None, MAX_STORES)?.iter().map(|store| dates.get(&store.id).copied()).collect();
    Ok(of_stores.and_then(|dates| dates.into_iter().min()))
}

/// Starts a store's daily run if it is due, and records those that a frozen window forbids and those missed since `last`, the latest date with a run. Returns
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
        let row = match t.store(store) {
            Ok(row) if row.sync_enabled => row,
            Ok(_) | Err(Error::NotFound) => return Ok(last),
            Err(error) => return Err(error),
        };
        let due = due_runs(&settings, now, settings.timed_since.max(created_at), last);
        t.forget_runs_missed_ahead(store, now)?;
        for run in &due {
            let window = match window_over(t, &row, run.scheduled_for)? {
                None if !run.missed => window_over(t, &row, now)?,
                window => window,
            };
            t.start_daily_run(store, run, window.map(|window| window.name).as_deref(), now)?;
        }
        t.schedule_next_run(&settings, now)?;
        Ok(due.last().map(|run| run.date).or(last))
    });
    started.await
}
