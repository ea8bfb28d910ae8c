//! Queues pushes again that are rejected, held or tried again later.
use super::context::{Caller, Error, Result, Service, audited};
use crate::db::pushes::PushFilter;
use crate::domain::push::PushState;
use crate::domain::{PushId, Sku, StoreId};
use serde_json::json;
use std::collections::BTreeSet;

/// The most pushes that one request may name.
const MAX_IDS: usize = 1000;

/// Which pushes to queue again: those with these ids, or all in this state.
#[derive(Debug, Clone, Default)]
pub struct Retry {
    /// Their ids.
    pub ids: Option<Vec<PushId>>,
    /// Rejected, held or retrying.
    pub state: Option<PushState>,
    /// With `state`: only of this store.
    pub store_id: Option<StoreId>,
    /// With `state`: only of this SKU.
    pub sku: Option<String>,
}

/// Queues pushes again, and returns how many. Their stores are tried at once, with a single call, even if they are not
/// responding at present or have asked for a pause.
///
/// # Errors
/// An invalid field, or a push or store that does not exist.
pub async fn retry(service: &Service, caller: &Caller, wanted: Retry) -> Result<usize> {
    match (&wanted.ids, wanted.state) {
        (Some(ids), None) if ids.len() > MAX_IDS => {
            return Err(Error::field("/ids", format!("may have at most {MAX_IDS} ids; send them in parts, or give the state instead")));
        }
        (Some(_), None) if wanted.store_id.is_some() || wanted.sku.is_some() => {
            return Err(Error::field("/ids", "cannot be combined with store_id or sku, which require state"));
        }
        (Some(_), None) => {}
        (None, Some(state)) if state.is_retryable() => {}
        (None, Some(_)) => return Err(Error::field("/state", "must be rejected, held or retrying: only these can be queued again")),
        _ => return Err(Error::field("/ids", "give either ids or state")),
    }
    let sku = wanted.sku.as_deref().map(Sku::parse).transpose().map_err(|e| Error::field("/sku", e))?;
    let filter = PushFilter { state: wanted.state, store_id: wanted.store_id, sku };
    let (now, actor, ids) = (service.now(), caller.actor(), wanted.ids.clone().unwrap_or_default());
    if let Some(missing) = caller.db.read(move |t| t.missing_push(&ids)).await? {
        return Err(Error::NoSuch { pointer: format!("/ids/{missing}"), what: "push" });
    }
    // Each step has a transaction of its own, so that no other write waits for all of them.
    loop {
        let (filter, ids) = (filter.clone(), wanted.ids.clone());
        if !caller.db.write(move |t| t.prepare_retry(ids.as_deref(), &filter)).await? {
            break;
        }
    }
    let (mut queued, mut stores, mut after) = (0, BTreeSet::new(), None);
    loop {
        let (filter, ids, actor) = (filter.clone(), wanted.ids.clone(), actor.clone());
        let step = caller.db.write(move |t| {
            if let Some(id) = filter.store_id {
                t.store(id)?;
            }
            let step = t.retry_step(ids.as_deref(), &filter, after, now)?;
            if step.last.is_none() {
                let mut entry = audited(&actor, "pushes.retried", "pushes");
                entry.after = Some(json!({ "queued": queued + step.queued }));
                t.append_audit(&entry, now)?;
            }
            Ok(step)
        });
        let step = step.await?;
        queued += step.queued;
        stores.extend(step.stores);
        after = step.last;
        if after.is_none() {
            break;
        }
    }
    (service.try_now)(caller.db.id(), stores.into_iter().collect());
    Ok(queued)
}
