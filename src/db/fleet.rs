//! The few queries that cross sellers: who has work, what is old enough to go, what is sealed under which key. For the
//! node and the command line alone.
use super::connection::{Conn, on};
use super::schema::{pushes, sellers, stores, sync_runs, sync_settings};
use super::sealing::Sealer;
use super::{Result, id_of};
use crate::domain::{SellerId, StoreId, Timestamp};
use diesel::prelude::*;
use diesel::sql_types::BigInt;
use std::time::Duration;

/// How long finished things are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Stock events; a repeat of an older one would be applied again.
    pub events: Duration,
    /// Finished pushes, runs and the audit log.
    pub pushes: Duration,
}

/// Rows removed of one kind in one step.
pub const PRUNE_STEP: i64 = 500;

/// Sellers that are not suspended and have something to do at `now`: pushes that are due or were cut off, runs that
/// are open, daily times that have come, stores to look at again.
///
/// # Errors
/// Those of the database.
pub fn sellers_with_work(conn: &mut Conn, now: Timestamp) -> Result<Vec<SellerId>> {
    let mut found: Vec<Vec<u8>> =
        on!(conn, c => pushes::table.select(pushes::seller_id).distinct().filter(pushes::due_at.is_not_null()).load(c))?;
    found.extend(
        on!(conn, c => pushes::table.select(pushes::seller_id).distinct().filter(super::pushes::is_in_flight()).load::<Vec<u8>>(c))?,
    );
    found.extend(on!(conn, c => sync_runs::table.select(sync_runs::seller_id).distinct().filter(sync_runs::finished_at.is_null()).load::<Vec<u8>>(c))?);
    found.extend(on!(conn, c => sync_settings::table.select(sync_settings::seller_id).filter(sync_settings::next_run_at.le(now)).load::<Vec<u8>>(c))?);
    found.extend(on!(conn, c => stores::table.select(stores::seller_id).filter(stores::probe_at.le(now)).load::<Vec<u8>>(c))?);
    found.sort_unstable();
    found.dedup();
    let suspended: Vec<Vec<u8>> = on!(conn, c => sellers::table.select(sellers::id).filter(sellers::suspended).load(c))?;
    found.retain(|id| !suspended.contains(id));
    found.iter().map(|id| id_of(id, SellerId::from_bytes, "seller_id")).collect()
}

/// Whether this seller exists and is not suspended.
///
/// # Errors
/// Those of the database.
pub fn is_active(conn: &mut Conn, seller: SellerId) -> Result<bool> {
    let suspended: Option<bool> = on!(conn, c => sellers::table.find(seller.bytes()).select(sellers::suspended).get_result(c).optional())?;
    Ok(suspended == Some(false))
}

/// Removes one step of what is older than its retention. Returns how many rows; fewer than [`PRUNE_STEP`] means done.
///
/// # Errors
/// Those of the database.
pub fn prune(conn: &mut Conn, retention: Retention, now: Timestamp) -> Result<usize> {
    let (events_before, before) = (now - retention.events, now - retention.pushes);
    let events = prune_table(conn, "stock_events", "event_id", "accepted_at", "accepted_at < $1", events_before)?;
    // The states are those of the index, which is of use only where they stand in the statement itself.
    let pushes = prune_table(conn, "pushes", "id", "updated_at", "state IN (2, 5, 7, 8) AND updated_at < $1", before)?;
    let runs = prune_table(conn, "sync_runs", "id", "finished_at", "finished_at < $1", before)?;
    let audit = prune_table(conn, "audit", "id", "at", "at < $1", before)?;
    Ok(events + pushes + runs + audit)
}

/// Removes the oldest rows that are `old`. That is asked once more of each row that is removed: meanwhile a seller may
/// have had it tried again.
fn prune_table(conn: &mut Conn, table: &str, id: &str, age: &str, old: &str, before: Timestamp) -> Result<usize> {
    let sql = format!(
        "DELETE FROM {table} WHERE (seller_id, {id}) IN \
         (SELECT seller_id, {id} FROM {table} WHERE {old} ORDER BY {age} LIMIT {PRUNE_STEP}) AND {old}"
    );
    Ok(on!(conn, c => diesel::sql_query(sql.as_str()).bind::<BigInt, _>(before).execute(c))?)
}

/// What became of the stores' credentials when keys were changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Resealed {
    /// Brought under the present key.
    pub resealed: usize,
    /// Under the present key before.
    pub present: usize,
    /// Under neither the present nor the previous key, or damaged; left as they are.
    pub unopened: usize,
}

/// A seller, a store, its credentials.
type Sealed = (Vec<u8>, Vec<u8>, Option<Vec<u8>>);

/// Stores looked at in one step.
const RESEAL_STEP: i64 = 200;

/// Brings the credentials of all stores under the sealer's present key, while the service goes on. A row is replaced only
/// as it was read: tokens that were renewed in between stay, and are looked at once more.
///
/// # Errors
/// Those of the database; what was done until then stays done.
pub fn reseal_credentials(conn: &mut Conn, sealer: &Sealer) -> Result<Resealed> {
    let mut done = Resealed::default();
    let mut after: (Vec<u8>, Vec<u8>) = Default::default();
    loop {
        let page: Vec<Sealed> = on!(conn, c => stores::table
            .select((stores::seller_id, stores::id, stores::credentials))
            .filter(stores::seller_id.gt(&after.0).or(stores::seller_id.eq(&after.0).and(stores::id.gt(&after.1))))
            .order((stores::seller_id, stores::id)).limit(RESEAL_STEP).load(c))?;
        let Some((seller, id, _)) = page.last() else { return Ok(done) };
        after = (seller.clone(), id.clone());
        for (seller, id, sealed) in page {
            let mut sealed = sealed;
            while let Some(before) = sealed {
                let of = (id_of(&seller, SellerId::from_bytes, "stores.seller_id")?, id_of(&id, StoreId::from_bytes, "stores.id")?);
                let resealed = match sealer.reseal(of.0, of.1, &before) {
                    Ok(Some(resealed)) => resealed,
                    Ok(None) => {
                        done.present += 1;
                        break;
                    }
                    Err(error) => {
                        tracing::warn!(%error, seller.id = %of.0, store.id = %of.1, "a store's credentials were left as they are");
                        done.unopened += 1;
                        break;
                    }
                };
                let row = stores::table.find((&seller, &id));
                let changed = on!(conn, c => diesel::update(row).filter(stores::credentials.eq(&before))
                    .set(stores::credentials.eq(&resealed)).execute(c))?;
                if changed > 0 {
                    done.resealed += 1;
                    break;
                }
                sealed = on!(conn, c => row.select(stores::credentials).get_result::<Option<Vec<u8>>>(c).optional())?.flatten();
            }
        }
    }
}
