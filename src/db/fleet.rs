//! Queries across sellers, for the node and the command line alone: who has work, which rows are past their retention,
//! which credentials are sealed under an old key.
use super::apps::{self, AppRow};
use super::connection::{Conn, on};
use super::drift::due::sellers_with_checks;
use super::pushes::{has_ended, is_in_flight, pack_has_ended, pack_is_active};
use super::schema::{app_calls, grants, listings, operator_audit, push_packs, pushes, sellers, skus, stores, sync_runs, sync_settings};
use super::scope::Scope;
use super::sealing::{Owner, Sealer};
use super::settings::SettingsRow;
use super::stores::{Store, StoreRow};
use super::webhooks::due::{replace_secret, sealed_secrets};
use super::{Error, Result, Tenant, id_of};
use crate::domain::circuit::PROBE_AFTER;
use crate::domain::look_alikes::fold;
use crate::domain::mail::{DECLINED_FOR, NEWS_KEPT_FOR};
use crate::domain::quota::{KEPT_FOR, slot_of};
use crate::domain::schedule::LONGEST_DAY;
use crate::domain::usage;
use crate::domain::{SellerId, StoreId, Timestamp};
use diesel::prelude::*;
use diesel::sql_types::BigInt;
use std::time::Duration;

/// How long rows are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Stock events. A repeat of an event that was deleted is applied again, unless its id tells how old it is.
    pub events: Duration,
    /// Finished pushes, runs and the audit log.
    pub pushes: Duration,
}

/// The most sellers' stores that are looked at for one shop.
const MAX_OF_SHOP: i64 = 100;

/// The most rows deleted in one step.
pub const PRUNE_STEP: usize = 500;

/// The sellers that are not suspended and have work at `now`: pushes that wait for their time or were interrupted, open
/// runs that do not wait for an answer, a daily run that is due, stores to check again or to look at after a pause, listings to look at or to compare.
pub fn sellers_with_work(conn: &mut Conn, now: Timestamp) -> Result<Vec<SellerId>> {
    let mut found: Vec<Vec<u8>> =
        on!(conn, c => pushes::table.select(pushes::seller_id).distinct().filter(pushes::due_at.is_not_null()).load(c))?;
    found.extend(on!(conn, c => pushes::table.select(pushes::seller_id).distinct().filter(is_in_flight()).load::<Vec<u8>>(c))?);
    found.extend(on!(conn, c => push_packs::table.select(push_packs::seller_id).distinct().filter(pack_is_active()).load::<Vec<u8>>(c))?);
    found.extend(on!(conn, c => sync_runs::table.select(sync_runs::seller_id).distinct().filter(sync_runs::finished_at.is_null())
        .filter(sync_runs::answer_by.is_null()).load::<Vec<u8>>(c))?);
    found.extend(on!(conn, c => sync_settings::table.select(sync_settings::seller_id).filter(sync_settings::next_run_at.le(now)).load::<Vec<u8>>(c))?);
    found.extend(on!(conn, c => stores::table.select(stores::seller_id).filter(stores::probe_at.le(now).or(stores::probe_at.gt(now + PROBE_AFTER)).or(stores::resumes_at.le(now))).load::<Vec<u8>>(c))?);
    found.extend(
        on!(conn, c => listings::table.select(listings::seller_id).distinct().filter(listings::look_at.le(now)).load::<Vec<u8>>(c))?,
    );
    found.extend(sellers_with_checks(conn, now)?);
    found.sort_unstable();
    found.dedup();
    let suspended: Vec<Vec<u8>> = on!(conn, c => sellers::table.select(sellers::id).filter(sellers::suspended).load(c))?;
    found.retain(|id| !suspended.contains(id));
    found.iter().map(|id| id_of(id, SellerId::from_bytes, "seller_id")).collect()
}

/// The sellers of runs that have waited too long for an answer.
pub fn sellers_that_did_not_answer(conn: &mut Conn, now: Timestamp) -> Result<Vec<SellerId>> {
    let found: Vec<Vec<u8>> = on!(conn, c => sync_runs::table.select(sync_runs::seller_id).distinct()
        .filter(sync_runs::answer_by.le(now)).filter(sync_runs::finished_at.is_null()).load(c))?;
    found.iter().map(|id| id_of(id, SellerId::from_bytes, "sync_runs.seller_id")).collect()
}

/// Whether sellers' next runs are further ahead than any run can be, because the clock was set back since.
pub fn has_runs_too_far_ahead(conn: &mut Conn, now: Timestamp) -> Result<bool> {
    let found: Option<Vec<u8>> = on!(conn, c => sync_settings::table.select(sync_settings::seller_id)
        .filter(sync_settings::next_run_at.gt(now + LONGEST_DAY)).first(c).optional())?;
    Ok(found.is_some())
}

/// Computes such next runs again.
pub fn reschedule_runs(conn: &mut Conn, now: Timestamp) -> Result<()> {
    let rows: Vec<SettingsRow> = on!(conn, c => sync_settings::table.filter(sync_settings::next_run_at.gt(now + LONGEST_DAY)).load(c))?;
    for row in rows {
        let seller = id_of(&row.seller_id, SellerId::from_bytes, "sync_settings.seller_id")?;
        let settings = row.settings()?;
        Tenant::of(conn, seller).schedule_next_run(&settings, now)?;
    }
    Ok(())
}

/// Whether this seller exists and is not suspended.
pub fn is_active(conn: &mut Conn, seller: SellerId) -> Result<bool> {
    let suspended: Option<bool> = on!(conn, c => sellers::table.find(seller.bytes()).select(sellers::suspended).get_result(c).optional())?;
    Ok(suspended == Some(false))
}

/// Deletes one step of the rows that are past their retention, of those by which usage is counted only what was counted. Returns how
/// many; fewer than [`PRUNE_STEP`] means done.
pub fn prune(conn: &mut Conn, retention: Retention, counted_to: Timestamp, now: Timestamp) -> Result<usize> {
    let (events_before, before) = ((now - retention.events).min(counted_to), now - retention.pushes);
    let pushes_before = before.min(counted_to);
    let (news_before, mails_before) = (before.min(now - NEWS_KEPT_FOR), before.min(now - DECLINED_FOR));
    let ended = format!("{} AND updated_at < $1", has_ended().sql());
    let ended_packs = format!("{} AND updated_at < $1", pack_has_ended().sql());
    let tables = [
        ("stock_events", "event_id", "accepted_at", "accepted_at < $1", events_before),
        ("pushes", "id", "updated_at", ended.as_str(), pushes_before),
        ("push_packs", "id", "updated_at", ended_packs.as_str(), pushes_before),
        ("sync_runs", "id", "finished_at", "finished_at < $1", before),
        ("audit", "id", "at", "at < $1", before),
        ("webhook_messages", "id", "ended_at", "ended_at < $1", before),
        ("drift_checks", "id", "finished_at", "finished_at < $1", before),
        ("email_news", "id", "last_at", "last_at < $1", news_before),
        ("email_mails", "id", "ended_at", "ended_at < $1", mails_before),
        ("email_links", "token_hash", "expires_at", "expires_at < $1", now),
        ("usage_days", "day", "day", "day < $1", now - usage::KEPT_FOR),
    ];
    let mut pruned = 0;
    for (table, id, age, old, before) in tables {
        pruned += prune_table(conn, (table, id, age, old), before, PRUNE_STEP.saturating_sub(pruned))?;
    }
    on!(conn, c => diesel::delete(operator_audit::table.filter(operator_audit::at.lt(before))).execute(c))?;
    on!(conn, c => diesel::delete(app_calls::table.filter(app_calls::slot.lt(slot_of(now - KEPT_FOR)))).execute(c))?;
    Ok(pruned)
}

/// Computes the folded form of SKUs that a former version created, one step of them. Returns how many; fewer than
/// [`PRUNE_STEP`] means done.
pub fn fold_skus(conn: &mut Conn) -> Result<usize> {
    let most = i64::try_from(PRUNE_STEP).unwrap_or(i64::MAX);
    let rows: Vec<(Vec<u8>, String)> = on!(conn, c => skus::table.select((skus::seller_id, skus::sku))
        .filter(skus::folded.is_null()).order((skus::seller_id, skus::sku)).limit(most).load(c))?;
    for (seller, sku) in &rows {
        let seller = id_of(seller, SellerId::from_bytes, "skus.seller_id")?;
        on!(conn, c => diesel::update(Scope::of(seller).skus().filter(skus::sku.eq(sku)))
            .set(skus::folded.eq(fold(sku))).execute(c))?;
    }
    Ok(rows.len())
}

/// Deletes the oldest rows that are `old`. The condition is repeated for each row, because a seller may have retried a
/// push in the meantime.
fn prune_table(conn: &mut Conn, of: (&str, &str, &str, &str), before: Timestamp, limit: usize) -> Result<usize> {
    let (table, id, age, old) = of;
    let sql = format!(
        "DELETE FROM {table} WHERE (seller_id, {id}) IN \
         (SELECT seller_id, {id} FROM {table} WHERE {old} ORDER BY {age} LIMIT {limit}) AND {old}"
    );
    Ok(on!(conn, c => diesel::sql_query(sql.as_str()).bind::<BigInt, _>(before).execute(c))?)
}

/// Whether any store has credentials, or the operator has an app. False where there are no tables yet.
///
/// # Errors
/// If the database cannot be read.
pub fn has_credentials(conn: &mut Conn) -> Result<bool> {
    let sealed = stores::table.filter(stores::credentials.is_not_null()).select(stores::id);
    match on!(conn, c => sealed.first::<Vec<u8>>(c).optional()).map_err(Error::from) {
        // What a statement about a missing table is sorted into.
        Err(Error::Corrupt(_)) => Ok(false),
        found => Ok(found?.is_some() || !sealed_apps(conn)?.is_empty()),
    }
}

/// A store and its credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedStore {
    /// Its seller.
    pub seller: SellerId,
    /// The store.
    pub id: StoreId,
    /// The sealed credentials, if it has any.
    pub sealed: Option<Vec<u8>>,
    /// What is wrong with it, according to its row.
    pub problem: Option<String>,
}

/// The next stores after this one, in the order of sellers and stores.
///
/// # Errors
/// If the database cannot be read.
pub fn sealed_stores(conn: &mut Conn, after: Option<(SellerId, StoreId)>) -> Result<Vec<SealedStore>> {
    type Row = (Vec<u8>, Vec<u8>, Option<Vec<u8>>, Option<String>);
    let (seller, id) = after.map(|(seller, id)| (seller.bytes(), id.bytes())).unwrap_or_default();
    let rows: Vec<Row> = on!(conn, c => stores::table
        .select((stores::seller_id, stores::id, stores::credentials, stores::problem))
        .filter(stores::seller_id.gt(&seller).or(stores::seller_id.eq(&seller).and(stores::id.gt(&id))))
        .order((stores::seller_id, stores::id)).limit(RESEAL_STEP).load(c))?;
    let read = |(seller, id, sealed, problem): Row| {
        let seller = id_of(&seller, SellerId::from_bytes, "stores.seller_id")?;
        Ok(SealedStore { seller, id: id_of(&id, StoreId::from_bytes, "stores.id")?, sealed, problem })
    };
    rows.into_iter().map(read).collect()
}

/// The operator's apps; none where the tables are those of a former version.
///
/// # Errors
/// If the database cannot be read.
pub fn sealed_apps(conn: &mut Conn) -> Result<Vec<AppRow>> {
    match apps::apps(conn) {
        // What a statement about a missing table is sorted into.
        Err(Error::Corrupt(_)) => Ok(Vec::new()),
        found => found,
    }
}

/// The number of stores and apps whose credentials were sealed under a key that `sealer` does not have.
///
/// # Errors
/// If the database cannot be read.
pub fn sealed_under_another_key(conn: &mut Conn, sealer: &Sealer) -> Result<usize> {
    let mut count = sealed_apps(conn)?.iter().filter(|app| !sealer.has_key_of(&app.secret)).count();
    let mut after = None;
    loop {
        let page = sealed_stores(conn, after)?;
        let Some(last) = page.last() else { return Ok(count) };
        after = Some((last.seller, last.id));
        count += page.iter().filter_map(|store| store.sealed.as_ref()).filter(|sealed| !sealer.has_key_of(sealed)).count();
    }
}

/// What a change of the credential key did to the credentials of stores and apps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Resealed {
    /// Sealed again under the present key.
    pub resealed: usize,
    /// Already sealed under the present key.
    pub present: usize,
    /// Sealed under an unknown key, or damaged; not changed.
    pub unopened: usize,
}

/// Stores read in one step.
const RESEAL_STEP: i64 = 200;

/// Seals the credentials of all stores, apps and webhooks under the sealer's present key. The service may keep running: a row is replaced
/// only if it is still as it was read, and read again otherwise, so that renewed tokens are kept.
///
/// # Errors
/// If the database fails; stores processed before that keep their new seal.
pub fn reseal_credentials(conn: &mut Conn, sealer: &Sealer) -> Result<Resealed> {
    let mut done = reseal_apps(conn, sealer)?;
    reseal_webhooks(conn, sealer, &mut done)?;
    let mut after = None;
    loop {
        let page = sealed_stores(conn, after)?;
        let Some(last) = page.last() else { return Ok(done) };
        after = Some((last.seller, last.id));
        for SealedStore { seller, id: store, mut sealed, .. } in page {
            let row = || Scope::of(seller).stores().filter(stores::id.eq(store.bytes()));
            while let Some(before) = sealed {
                let resealed = match sealer.reseal_for(Owner::Store(seller, store), &before) {
                    Ok(Some(resealed)) => resealed,
                    Ok(None) => {
                        done.present += 1;
                        break;
                    }
                    Err(error) => {
                        tracing::warn!(%error, seller.id = %seller, store.id = %store, "a store's credentials could not be sealed again");
                        done.unopened += 1;
                        break;
                    }
                };
                let changed = on!(conn, c => diesel::update(row()).filter(stores::credentials.eq(&before))
                    .set(stores::credentials.eq(&resealed)).execute(c))?;
                if changed > 0 {
                    done.resealed += 1;
                    break;
                }
                sealed = on!(conn, c => row().select(stores::credentials).get_result::<Option<Vec<u8>>>(c).optional())?.flatten();
            }
        }
    }
}

/// The same for the operator's apps. One that is changed meanwhile is sealed under the service's own key, and found again by
/// the next change.
fn reseal_apps(conn: &mut Conn, sealer: &Sealer) -> Result<Resealed> {
    let mut done = Resealed::default();
    for app in sealed_apps(conn)? {
        match sealer.reseal_for(Owner::App(&app.platform), &app.secret) {
            Ok(Some(resealed)) if apps::replace_secret(conn, &app.platform, &app.secret, &resealed)? => done.resealed += 1,
            Ok(_) => done.present += 1,
            Err(error) => {
                tracing::warn!(%error, platform = app.platform, "an app's secret could not be sealed again");
                done.unopened += 1;
            }
        }
    }
    Ok(done)
}

/// The same for the secrets of webhooks, which never change otherwise.
fn reseal_webhooks(conn: &mut Conn, sealer: &Sealer, done: &mut Resealed) -> Result<()> {
    for (seller, webhook, secret) in sealed_secrets(conn)? {
        match sealer.reseal_for(Owner::Webhook(seller, webhook), &secret) {
            Ok(Some(resealed)) => {
                replace_secret(conn, (seller, webhook), &resealed)?;
                done.resealed += 1;
            }
            Ok(None) => done.present += 1,
            Err(error) => {
                tracing::warn!(%error, seller.id = %seller, webhook.id = %webhook, "a webhook's secret could not be sealed again");
                done.unopened += 1;
            }
        }
    }
    Ok(())
}

/// A store and its seller.
#[derive(Debug, Clone, PartialEq)]
pub struct AppStore {
    /// Its seller.
    pub seller: SellerId,
    /// The store.
    pub store: Store,
}

impl AppStore {
    fn read(row: StoreRow) -> Result<Self> {
        let seller = id_of(&row.seller_id, SellerId::from_bytes, "stores.seller_id")?;
        Ok(Self { seller, store: row.store()? })
    }
}

/// The next stores after this one that were connected through this app, in the order of sellers and stores.
///
/// # Errors
/// If the database cannot be read.
pub fn stores_of_app(conn: &mut Conn, platform: &str, client_id: &str, after: Option<(SellerId, StoreId)>) -> Result<Vec<AppStore>> {
    let (seller, id) = after.map(|(seller, id)| (seller.bytes(), id.bytes())).unwrap_or_default();
    let rows: Vec<StoreRow> = on!(conn, c => stores::table
        .inner_join(grants::table.on(grants::seller_id.eq(stores::seller_id).and(grants::store_id.eq(stores::id))))
        .filter(stores::platform.eq(platform)).filter(grants::client_id.eq(client_id))
        .filter(stores::seller_id.gt(&seller).or(stores::seller_id.eq(&seller).and(stores::id.gt(&id))))
        .order((stores::seller_id, stores::id)).limit(RESEAL_STEP).select(stores::all_columns).load(c))?;
    rows.into_iter().map(AppStore::read).collect()
}

/// Replaces the sealed credentials of a store. If they are no longer as they were read, nothing is replaced, and the store is
/// returned as it is now.
///
/// # Errors
/// If the database fails.
pub fn replace_sealed(conn: &mut Conn, seller: SellerId, store: &Store, sealed: Option<&[u8]>) -> Result<Option<Store>> {
    let mut tenant = Tenant::of(conn, seller);
    match tenant.store(store.id) {
        Ok(now) if now.credentials == store.credentials => {
            let credentials = sealed.map(<[u8]>::to_vec);
            tenant.save_store(&Store { credentials, ..now }).map(|()| None)
        }
        Ok(now) => Ok(Some(now)),
        Err(Error::NotFound) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The stores whose tokens are due for renewal, the most overdue first. Those of suspended sellers wait.
///
/// # Errors
/// If the database cannot be read.
pub fn due_grants(conn: &mut Conn, now: Timestamp, limit: i64) -> Result<Vec<(SellerId, StoreId)>> {
    let rows: Vec<(Vec<u8>, Vec<u8>)> = on!(conn, c => grants::table.inner_join(sellers::table.on(sellers::id.eq(grants::seller_id)))
        .filter(sellers::suspended.eq(false)).filter(grants::renew_at.le(now)).order(grants::renew_at).limit(limit)
        .select((grants::seller_id, grants::store_id)).load(c))?;
    let read = |(seller, store): (Vec<u8>, Vec<u8>)| {
        let seller = id_of(&seller, SellerId::from_bytes, "grants.seller_id")?;
        Ok((seller, id_of(&store, StoreId::from_bytes, "grants.store_id")?))
    };
    rows.into_iter().map(read).collect()
}

/// The stores of all sellers that are this shop and were connected through this app of the operator's.
///
/// # Errors
/// If the database cannot be read.
pub fn stores_of_shop(conn: &mut Conn, shop: &str, client_id: &str) -> Result<Vec<(SellerId, StoreId)>> {
    let of_store = grants::seller_id.eq(stores::seller_id).and(grants::store_id.eq(stores::id));
    let rows: Vec<(Vec<u8>, Vec<u8>)> = on!(conn, c => stores::table.inner_join(grants::table.on(of_store))
        .filter(stores::shop.eq(shop)).filter(grants::client_id.eq(client_id)).order((stores::seller_id, stores::id)).limit(MAX_OF_SHOP)
        .select((stores::seller_id, stores::id)).load(c))?;
    let read = |(seller, store): (Vec<u8>, Vec<u8>)| {
        let seller = id_of(&seller, SellerId::from_bytes, "stores.seller_id")?;
        Ok((seller, id_of(&store, StoreId::from_bytes, "stores.id")?))
    };
    rows.into_iter().map(read).collect()
}

/// Some stores that have credentials and no grant, because a former version added them.
///
/// # Errors
/// If the database cannot be read.
pub fn stores_without_grant(conn: &mut Conn, limit: i64) -> Result<Vec<AppStore>> {
    let rows: Vec<StoreRow> = on!(conn, c => stores::table
        .left_join(grants::table.on(grants::seller_id.eq(stores::seller_id).and(grants::store_id.eq(stores::id))))
        .filter(stores::credentials.is_not_null()).filter(grants::store_id.nullable().is_null()).limit(limit)
        .select(stores::all_columns).load(c))?;
    rows.into_iter().map(AppStore::read).collect()
}
