//! Stores that go live after their rehearsal.
use super::context::{Caller, Error, Result, Service};
use super::stores::{StoreChange, change_in};
use super::syncs::{begun, frozen};
use crate::db::runs::{Run, RunFilter};
use crate::db::stores::Store;
use crate::domain::StoreId;

/// Ends the rehearsal of a store: it is sent what increased meanwhile, and nothing of the runs that came by. With `overwrite`, a run of
/// its own overwrites all its listings.
///
/// # Errors
/// No such store, or a conflict if it is not in rehearsal, or if it is to be overwritten in a frozen window.
pub async fn go_live(service: &Service, caller: &Caller, id: StoreId, overwrite: bool) -> Result<(Store, Option<Run>)> {
    let (now, actor, service) = (service.now(), caller.actor(), service.clone());
    let live = caller.db.write(move |t| {
        if !t.store(id)?.rehearsal {
            return Ok(Err(Error::conflict("This store is not in rehearsal. To end a pause, resume it.")));
        }
        let then = "Go live without overwriting its listings, wait for its end, or delete the window.";
        if overwrite && let Some(error) = frozen(t, |store| store == id, then, now)? {
            return Ok(Err(error));
        }
        let store = change_in(t, &service, &actor, id, &StoreChange { paused: Some(false), ..StoreChange::default() })?;
        let filter = RunFilter { store_ids: Some(vec![id]), skus: None };
        let run = if overwrite { Some(begun(t, &actor, &filter, now)?) } else { None };
        Ok(Ok((store, run)))
    });
    live.await?
}
