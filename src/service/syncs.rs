//! Manual sync runs.
use super::context::{Caller, Error, OPERATOR, Operator, Result, Service, audited};
use super::frozen_windows::window_over;
use crate::db::runs::{Run, RunFilter, RunKind};
use crate::db::sellers::sellers;
use crate::db::{self, Tenant};
use crate::domain::limits::{MAX_BULK, MAX_STORES};
use crate::domain::problem::Checks;
use crate::domain::run::Canceled;
use crate::domain::{FieldError, RunId, Sku, StoreId, Timestamp};
use serde_json::json;

/// What to overwrite; a field that is `None` does not restrict it.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Only these stores.
    pub store_ids: Option<Vec<StoreId>>,
    /// Only these SKUs.
    pub skus: Option<Vec<String>>,
}

/// Checks that the stores and SKUs exist.
///
/// # Errors
/// Every SKU that is invalid or does not exist, or a store that does not exist.
pub async fn checked(caller: &Caller, new: Wanted) -> Result<RunFilter> {
    let mut checks = Checks::default();
    for (pointer, count) in [("/store_ids", new.store_ids.as_ref().map(Vec::len)), ("/skus", new.skus.as_ref().map(Vec::len))] {
        if count == Some(0) {
            checks.note(pointer, "is empty; omit it for all");
        } else if count.is_some_and(|count| count > MAX_BULK) {
            checks.note(pointer, format!("may have at most {MAX_BULK} entries"));
        }
    }
    let mut skus = new.skus.as_ref().map(|_| Vec::new());
    for (index, sku) in new.skus.iter().flatten().enumerate() {
        let sku = checks.take(&format!("/skus/{index}"), Sku::parse(sku));
        if let Some(skus) = &mut skus {
            skus.extend(sku);
        }
    }
    checks.done()?;
    let filter = RunFilter { store_ids: new.store_ids, skus };
    let wanted = filter.clone();
    caller.db.read(move |t| missing(t, &wanted)).await?.map_or(Ok(filter), Err)
}

/// What the filter names that does not exist.
fn missing(t: &mut Tenant<'_>, filter: &RunFilter) -> db::Result<Option<Error>> {
    if let Some(index) = t.missing_store(filter.store_ids.as_deref().unwrap_or_default())? {
        return Ok(Some(Error::NoSuch { pointer: format!("/store_ids/{index}"), what: "store" }));
    }
    let skus: Vec<&str> = filter.skus.iter().flatten().map(Sku::as_str).collect();
    let known = t.sku_names(&skus)?;
    let unknown = |(index, sku): (usize, &&str)| {
        (!known.contains_key(*sku)).then(|| FieldError::new(format!("/skus/{index}"), "there is no such SKU"))
    };
    let unknown: Vec<FieldError> = skus.iter().enumerate().filter_map(unknown).collect();
    Ok((!unknown.is_empty()).then(|| unknown.into()))
}

/// Starts a run whatever windows its stores are in: its overwrites wait there.
///
/// # Errors
/// If the database fails.
pub(super) async fn start_waiting(service: &Service, caller: &Caller, filter: RunFilter) -> Result<Run> {
    let (now, actor) = (service.now(), caller.actor());
    caller.db.write(move |t| begun(t, &actor, &filter, now)).await.map_err(Error::from)
}

/// Starts a run and enters it in the audit log.
///
/// # Errors
/// If the database fails.
pub(super) fn begun(t: &mut Tenant<'_>, actor: &str, filter: &RunFilter, now: Timestamp) -> db::Result<Run> {
    let run = t.start_run(RunKind::Manual, filter, now)?;
    let mut entry = audited(actor, "sync.started", "manual");
    entry.after = Some(json!({ "id": run.id, "store_ids": filter.store_ids, "skus": filter.skus.as_ref().map(Vec::len) }));
    t.append_audit(&entry, now)?;
    Ok(run)
}

/// Why a run of these stores may not begin: one of them is in a frozen window; `then` says what to do. A pause may be ended by whoever
/// asks for the run, so that its overwrites wait for it; a window was decided on before, and lasts.
pub(super) fn frozen(t: &mut Tenant<'_>, covers: impl Fn(StoreId) -> bool, then: &str, now: Timestamp) -> db::Result<Option<Error>> {
    for store in t.stores(None, MAX_STORES)?.iter().filter(|store| covers(store.id)) {
        if let Some(window) = window_over(t, store, now)? {
            let detail =
                format!("{} is in the frozen window \u{201c}{}\u{201d}, which ends at {}. {then}", store.name, window.name, window.ends_at);
            return Ok(Some(Error::conflict(detail)));
        }
    }
    Ok(None)
}

/// Starts a manual run.
///
/// # Errors
/// A store or SKU that does not exist any more, or a conflict if one of the stores is in a frozen window.
pub async fn start(service: &Service, caller: &Caller, filter: RunFilter) -> Result<Run> {
    let (now, actor) = (service.now(), caller.actor());
    caller
        .db
        .write(move |t| {
            if let Some(error) = missing(t, &filter)? {
                return Ok(Err(error));
            }
            let covers = |store| filter.store_ids.as_ref().is_none_or(|ids| ids.contains(&store));
            if let Some(error) = frozen(t, covers, "Choose other stores, wait for its end, or delete the window.", now)? {
                return Ok(Err(error));
            }
            begun(t, &actor, &filter, now).map(Ok)
        })
        .await?
}

/// Cancels a run under way: what waits of it is not sent, and it can be undone once what is on its way has ended. Overwrites that have
/// taken the place of increases go on, because the increases would be lost with them.
///
/// # Errors
/// No such run, or one that has ended in another way.
pub async fn cancel(service: &Service, caller: &Caller, id: RunId) -> Result<Run> {
    let (now, actor) = (service.now(), caller.actor());
    let canceled = caller.db.write(move |t| {
        let (canceled, run) = t.cancel_run(id, now)?;
        if canceled == Canceled::Taken {
            let subject = id.to_string();
            let mut entry = audited(&actor, "sync.canceled", &subject);
            entry.after = Some(json!({ "total": run.total, "done": run.done }));
            t.append_audit(&entry, now)?;
        }
        Ok((canceled, run))
    });
    match canceled.await? {
        (Canceled::Taken | Canceled::Before, run) => Ok(run),
        (Canceled::HasEnded, _) => Err(Error::conflict("This sync has ended, so there is nothing to cancel.")),
    }
}

/// Sellers read in one step.
const SELLERS_PAGE: i64 = 500;

/// The runs that an operator started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Fleet {
    /// Sellers whose listings are overwritten.
    pub started: usize,
    /// Suspended sellers, who are left out.
    pub suspended: usize,
    /// Sellers without a store.
    pub without_stores: usize,
}

/// Starts a manual run of everything for each seller, as is necessary after a backup was restored: the service does not
/// know what it has sent since.
///
/// # Errors
/// If the database fails; the runs started before that go on, and starting them again does no harm.
pub async fn start_for_all(service: &Service, _: Operator) -> Result<Fleet> {
    let (mut fleet, mut after) = (Fleet::default(), None);
    loop {
        let page = service.db.read(move |conn| sellers(conn, after, SELLERS_PAGE)).await?;
        let Some(last) = page.last() else { return Ok(fleet) };
        after = Some(last.id);
        for seller in &page {
            if seller.suspended {
                fleet.suspended += 1;
                continue;
            }
            let (now, tenant) = (service.now(), service.db.seller(seller.id));
            let started = tenant.write(move |t| {
                if t.stores(None, 1)?.is_empty() {
                    return Ok(false);
                }
                let run = t.start_run(RunKind::Manual, &RunFilter::default(), now)?;
                let mut entry = audited(OPERATOR, "sync.started", "manual");
                entry.after = Some(json!({ "id": run.id }));
                t.append_audit(&entry, now)?;
                Ok(true)
            });
            match started.await {
                Ok(true) => fleet.started += 1,
                // The seller may have been deleted in between.
                Ok(false) | Err(db::Error::NotFound) => fleet.without_stores += 1,
                Err(error) => return Err(error.into()),
            }
        }
    }
}
