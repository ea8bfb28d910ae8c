//! Checks of listings for drift: begun once a day, or when the seller asks for one.
use super::context::{Caller, Error, Result, Service, audited};
use crate::db::drift::due;
use crate::db::{self, Db};
use crate::domain::drift::{DriftCheck, Policy};
use crate::domain::{StoreId, Timestamp};
use serde_json::json;

/// Begins a check of a store. It does about listings that differ what the seller's daily checks do; without those, it only reports.
///
/// # Errors
/// No such store; a conflict if the store is on hold, or if a check of it goes on already.
pub async fn check(service: &Service, caller: &Caller, store: StoreId) -> Result<DriftCheck> {
    let (now, actor) = (service.now(), caller.actor());
    let begun = caller.db.write(move |t| {
        if t.store(store)?.is_held(now) {
            return Ok(Err("This store is on hold, so it is not read."));
        }
        let policy = match t.sync_settings()?.drift {
            Policy::Off => Policy::Report,
            policy => policy,
        };
        let Some(check) = t.begin_drift_check(store, policy, now)? else { return Ok(Err("A check of this store goes on already.")) };
        let subject = store.to_string();
        let mut entry = audited(&actor, "drift_check.started", &subject);
        entry.after = Some(json!({ "id": check.id, "policy": policy }));
        t.append_audit(&entry, now)?;
        Ok(Ok(check))
    });
    begun.await?.map_err(Error::conflict)
}

/// Begins the daily checks that are due, of all sellers, and gives up those that make no progress. What fails is found again.
pub async fn begin_due(all: &Db, now: Timestamp) {
    let found = async {
        if all.read(move |conn| due::has_old_checks(conn, now)).await? {
            all.write(move |conn| due::give_up(conn, now)).await?;
        }
        all.read(move |conn| due::sellers_to_check(conn, now)).await
    };
    let sellers = match found.await {
        Ok(sellers) => sellers,
        Err(error) => return tracing::warn!(%error, "could not find the checks that are due; trying again"),
    };
    for seller in sellers {
        match all.seller(seller).write(move |t| t.begin_daily_drift_checks(now)).await {
            // Deleted in between.
            Ok(()) | Err(db::Error::NotFound) => {}
            Err(error) => tracing::warn!(%error, seller.id = %seller, "could not begin a daily check; trying again"),
        }
    }
}
