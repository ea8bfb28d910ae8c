//! Deleting sellers and removing stores: each is marked first, which makes it gone for everybody, and then its rows are
//! deleted in small steps, so that no other write waits long. The marks survive a restart; whoever finds them continues.
use super::connection::on;
use super::pauses::Subject;
use super::pushes::{CancelScope, PushRow, is_active, read_pushes};
use super::schema::{api_keys, drift_checks, listings, pushes, removed_stores, rules, sellers, sessions, store_circuits, stores};
use super::scope::Scope;
use super::stores::Store;
use super::{Changed, Conn, Error, Result, Tenant, id_of};
use crate::domain::{SellerId, StoreId, Timestamp};
use diesel::prelude::*;
use diesel::sql_types::Binary;

/// The most rows deleted in one step.
pub const REMOVAL_STEP: i64 = 500;

/// The tables in which a seller may have many rows, each with what identifies a row beside the seller.
const TABLES: [(&str, &str); 20] = [
    ("pushes", "id"),
    ("push_packs", "id"),
    ("stock_events", "event_id"),
    ("drifts", "listing_id"),
    ("drift_checks", "id"),
    ("listings", "id"),
    ("rules", "scope"),
    ("bundle_components", "bundle, component"),
    ("stock_levels", "sku, warehouse"),
    ("skus", "sku"),
    ("sync_runs", "id"),
    ("audit", "id"),
    ("webhook_messages", "id"),
    ("email_news", "id"),
    ("email_mails", "id"),
    ("email_links", "token_hash"),
    ("pauses", "level, subject"),
    ("frozen_windows", "id"),
    ("usage_days", "day"),
    ("stores", "id"),
];

/// Whose rows are still to be deleted.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Removals {
    /// Deleted sellers.
    pub sellers: Vec<SellerId>,
    /// Removed stores, each with its seller.
    pub stores: Vec<(SellerId, StoreId)>,
}

/// Finds whose rows are still to be deleted.
pub fn removals(conn: &mut Conn) -> Result<Removals> {
    let gone: Vec<Vec<u8>> = on!(conn, c => sellers::table.select(sellers::id).filter(sellers::deleted_at.is_not_null()).load(c))?;
    let removed: Vec<(Vec<u8>, Vec<u8>)> = on!(conn, c => removed_stores::table
        .inner_join(sellers::table.on(sellers::id.eq(removed_stores::seller_id))).filter(sellers::deleted_at.is_null())
        .select((removed_stores::seller_id, removed_stores::store_id)).load(c))?;
    let store = |(seller, store): (Vec<u8>, Vec<u8>)| {
        let seller = id_of(&seller, SellerId::from_bytes, "removed_stores.seller_id")?;
        Ok((seller, id_of(&store, StoreId::from_bytes, "removed_stores.store_id")?))
    };
    Ok(Removals {
        sellers: gone.iter().map(|id| id_of(id, SellerId::from_bytes, "sellers.id")).collect::<Result<_>>()?,
        stores: removed.into_iter().map(store).collect::<Result<_>>()?,
    })
}

/// Marks a seller as deleted, and ends its keys and sessions. From then on it does not exist for anybody.
///
/// # Errors
/// [`Error::NotFound`] when there is none.
pub fn mark_seller_deleted(conn: &mut Conn, id: SellerId, now: Timestamp) -> Result<()> {
    let scope = Scope::of(id);
    let marked = on!(conn, c => diesel::update(sellers::table.find(id.bytes())).filter(sellers::deleted_at.is_null())
        .set((sellers::deleted_at.eq(now), sellers::suspended.eq(true))).execute(c))?;
    if marked == 0 {
        return Err(Error::NotFound);
    }
    on!(conn, c => diesel::delete(sessions::table.filter(sessions::seller_id.eq(id.bytes()))).execute(c))?;
    on!(conn, c => diesel::delete(scope.api_keys().filter(api_keys::seller_id.eq(id.bytes()))).execute(c))?;
    Ok(())
}

/// Deletes the next rows of a deleted seller, and finally the seller. Returns whether it is gone.
pub fn delete_seller_step(conn: &mut Conn, id: SellerId) -> Result<bool> {
    let mut left = REMOVAL_STEP;
    for (table, key) in TABLES {
        let sql = format!(
            "DELETE FROM {table} WHERE (seller_id, {key}) IN (SELECT seller_id, {key} FROM {table} WHERE seller_id = $1 LIMIT {left})"
        );
        let deleted = on!(conn, c => diesel::sql_query(sql.as_str()).bind::<Binary, _>(id.bytes()).execute(c))?;
        left -= i64::try_from(deleted).unwrap_or(i64::MAX);
        if left <= 0 {
            return Ok(false);
        }
    }
    on!(conn, c => diesel::delete(sellers::table.find(id.bytes())).filter(sellers::deleted_at.is_not_null()).execute(c))?;
    Ok(true)
}

impl Tenant<'_> {
    /// Removes a store. Its listings and rules no longer count; [`Self::remove_store_step`] deletes them and cancels its
    /// pushes.
    ///
    /// # Errors
    /// [`Error::NotFound`] when this seller has no such store.
    pub fn delete_store(&mut self, id: StoreId, now: Timestamp) -> Result<Store> {
        let (scope, store_id) = (self.scope(), id.bytes());
        let store = self.store(id)?;
        self.note(Changed::Configuration);
        self.abandon_pushes(id, now)?;
        self.scatter_packs_of_store(id)?;
        on!(self.conn, c => diesel::delete(scope.store_circuits().filter(store_circuits::store_id.eq(&store_id))).execute(c))?;
        on!(self.conn, c => diesel::delete(scope.drift_checks().filter(drift_checks::store_id.eq(&store_id))
            .filter(drift_checks::continues_at.is_not_null())).execute(c))?;
        self.delete_grant(id)?;
        self.end_pause(&Subject::Store(id), now)?;
        on!(self.conn, c => diesel::delete(scope.stores().filter(stores::id.eq(&store_id))).execute(c))?;
        let mark = (removed_stores::seller_id.eq(self.key()), removed_stores::store_id.eq(&store_id), removed_stores::removed_at.eq(now));
        on!(self.conn, c => diesel::insert_into(removed_stores::table).values(mark.clone()).execute(c))?;
        Ok(store)
    }

    /// Deletes the next listings and rules of a removed store, then cancels its pushes. Returns whether none are left.
    ///
    /// Pushes come last, because nothing can be queued for a store without listings.
    pub fn remove_store_step(&mut self, id: StoreId, now: Timestamp) -> Result<bool> {
        let (scope, store_id) = (self.scope(), id.bytes());
        let mut left = REMOVAL_STEP;
        let ids: Vec<Vec<u8>> = on!(self.conn, c => scope.listings().select(listings::id).filter(listings::store_id.eq(&store_id))
            .order(listings::id).limit(left).load(c))?;
        left -= i64::try_from(on!(self.conn, c => diesel::delete(scope.listings().filter(listings::id.eq_any(&ids))).execute(c))?)
            .unwrap_or(i64::MAX);
        // A rule's scope begins with its store: see `rule_scope`. `0` is the next character after `/`.
        let (from, to) = (format!("{id}/"), format!("{id}0"));
        let scopes: Vec<String> = on!(self.conn, c => scope.rules().select(rules::scope).filter(rules::scope.ge(&from)).filter(rules::scope.lt(&to))
            .order(rules::scope).limit(left.max(0)).load(c))?;
        left -= i64::try_from(on!(self.conn, c => diesel::delete(scope.rules().filter(rules::scope.eq_any(&scopes))).execute(c))?)
            .unwrap_or(i64::MAX);
        if left > 0 {
            let packed = self.cancel_packs(CancelScope::Store(id), &[], "The store was removed.", now)?;
            left -= i64::try_from(packed).unwrap_or(i64::MAX);
        }
        let rows: Vec<PushRow> = on!(self.conn, c => scope.pushes().filter(pushes::store_id.eq(&store_id)).filter(is_active())
            .filter(pushes::cancel_requested.eq(false)).limit(left.max(0)).load(c))?;
        let page = read_pushes(rows)?;
        left -= i64::try_from(page.len()).unwrap_or(i64::MAX);
        self.cancel_page(page, "The store was removed.", now)?;
        if left <= 0 {
            return Ok(false);
        }
        on!(self.conn, c => diesel::delete(scope.removed_stores().filter(removed_stores::store_id.eq(&store_id))).execute(c))?;
        Ok(true)
    }
}
