//! Undoing a run.
use super::context::{Caller, Error, Result, Service, audited};
use super::daily::next_run_of;
use super::syncs::frozen;
use crate::db::runs::Run;
use crate::db::{self, Tenant};
use crate::domain::limits::MAX_STORES;
use crate::domain::undo_run::{MayUndo, UndoExtent, may_undo};
use crate::domain::{RunId, Timestamp};
use serde_json::json;
use std::collections::BTreeSet;

/// Overwrites that are looked at in one read.
const PAGE: i64 = 1000;

/// A run that undoes another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Started {
    /// The run.
    pub run: Run,
    /// When the next daily run overwrites the listings again.
    pub overwritten_again_at: Option<Timestamp>,
}

/// What an undo would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    /// To how many listings.
    pub extent: UndoExtent,
    /// The names of stores that would change although no stock event has ever named them: what they sold goes back on sale.
    pub without_sales: Vec<String>,
    /// When the next daily run overwrites the listings again.
    pub overwritten_again_at: Option<Timestamp>,
}

/// Whether this run may be undone, and what a request for it does.
fn checked(t: &mut Tenant<'_>, run: &Run, now: Timestamp) -> db::Result<Result<MayUndo>> {
    let former = match run.undone_by.map(|id| t.run(id)).transpose() {
        Ok(former) => former,
        // Its record is not kept any more.
        Err(db::Error::NotFound) => None,
        Err(error) => return Err(error),
    };
    let may = match may_undo(run, former.as_ref()) {
        Ok(may) => may,
        Err(refused) => return Ok(Err(Error::conflict(refused))),
    };
    let overwritten = t.stores_overwritten_by(run.id)?;
    if may == MayUndo::Start
        && let Some(error) = frozen(t, |store| overwritten.contains(&store), "Undo it after that, or delete the window.", now)?
    {
        return Ok(Err(error));
    }
    if may == MayUndo::Start && t.undone_page(run.id, None, 1)?.is_empty() {
        return Ok(Err(Error::conflict("Of this run, no records are kept any more, so what its listings showed is not known.")));
    }
    Ok(Ok(may))
}

/// Starts a run that undoes this one; if one is under way, returns that.
///
/// # Errors
/// No such run, or one that may not be undone.
pub async fn start(service: &Service, caller: &Caller, id: RunId) -> Result<Started> {
    let (now, actor) = (service.now(), caller.actor());
    caller
        .db
        .write(move |t| {
            let undone = t.run(id)?;
            let run = match checked(t, &undone, now)? {
                Err(error) => return Ok(Err(error)),
                Ok(MayUndo::IsUndoneBy(undo)) => t.run(undo)?,
                Ok(MayUndo::Start) => {
                    let run = t.start_undo(&undone, now)?;
                    let subject = id.to_string();
                    let mut entry = audited(&actor, "sync.undone", &subject);
                    entry.after = Some(json!({ "id": run.id }));
                    t.append_audit(&entry, now)?;
                    run
                }
            };
            let settings = t.sync_settings()?;
            Ok(Ok(Started { run, overwritten_again_at: next_run_of(t, &settings, now)? }))
        })
        .await?
}

/// What undoing this run would do. Reads page by page.
///
/// # Errors
/// No such run, or one that may not be undone.
pub async fn preview(service: &Service, caller: &Caller, id: RunId) -> Result<Preview> {
    let now = service.now();
    let read = caller.db.read(move |t| {
        let run = t.run(id)?;
        let settings = t.sync_settings()?;
        Ok((checked(t, &run, now)?, next_run_of(t, &settings, now)?, t.stores(None, MAX_STORES)?))
    });
    let (may, overwritten_again_at, mut stores) = read.await?;
    may?;
    let (mut extent, mut changed, mut after) = (UndoExtent::default(), BTreeSet::new(), None);
    loop {
        let page = caller.db.read(move |t| t.undone_page(id, after, PAGE)).await?;
        for undone in &page.undone {
            extent.add(undone);
            changed.extend(undone.changes().then_some(undone.listed.to.store_id));
        }
        after = page.next;
        if after.is_none() {
            stores.retain(|store| store.sales_named_at.is_none() && changed.contains(&store.id));
            let without_sales = stores.into_iter().map(|store| store.name).collect();
            return Ok(Preview { extent, without_sales, overwritten_again_at });
        }
    }
}
