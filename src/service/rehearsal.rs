//! Stores that go live after their rehearsal.
use super::context::{Caller, Error, Result, Service};
use super::stores::{StoreChange, change};
use super::syncs::{frozen, start};
use crate::db::runs::{Run, RunFilter};
use crate::db::stores::Store;
use crate::domain::StoreId;

/// Ends the rehearsal of a store: what it was not sent so far is sent. With `overwrite`, a run overwrites all its listings.
///
/// # Errors
/// No such store, or a conflict if it is not in rehearsal, or if it is to be overwritten in a frozen window.
pub async fn go_live(service: &Service, caller: &Caller, id: StoreId, overwrite: bool) -> Result<(Store, Option<Run>)> {
    let now = service.now();
    let refused = caller.db.read(move |t| {
        if !t.store(id)?.rehearsal {
            return Ok(Some(Error::conflict("This store is not in rehearsal. To end a pause, resume it.")));
        }
        let then = "Go live without overwriting its listings, wait for its end, or delete the window.";
        if overwrite { frozen(t, |store| store == id, then, now) } else { Ok(None) }
    });
    if let Some(error) = refused.await? {
        return Err(error);
    }
    let store = change(service, caller, id, StoreChange { paused: Some(false), ..StoreChange::default() }).await?;
    let filter = RunFilter { store_ids: Some(vec![id]), skus: None };
    let run = if overwrite { Some(start(service, caller, filter).await?) } else { None };
    Ok((store, run))
}
