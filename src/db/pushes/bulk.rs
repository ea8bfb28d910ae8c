//! Transitions of many pushes in one statement, where saving them row by row would be too slow. Each statement does
//! exactly what the domain transition named next to it does; the tests compare the two for every state.
use super::codes::{CONFIRMED, HELD, QUEUED, RETRYING, claimable_codes};
use super::conditions::{is_claimable, is_held, is_increase, is_overwrite, is_rejected_increase};
use super::row::{PushRow, put_pushes};
use crate::db::connection::{Backend, on};
use crate::db::kept::kept;
use crate::db::pauses::is_of_running_sku;
use crate::db::schema::{pushes, stores};
use crate::db::sets::among_ids;
use crate::db::{Changed, Result, Tenant};
use crate::domain::push::{Push, WAITS_FOR_STORE};
use crate::domain::{ListingId, StoreId, Timestamp};
use diesel::prelude::*;
use diesel::sql_types::{Nullable, Text};

#[diesel::declare_sql_function]
extern "SQL" {
    fn coalesce(known: Nullable<Text>, otherwise: Text) -> Nullable<Text>;
}

impl Tenant<'_> {
    pub(in crate::db) fn put(&mut self, changed: &[Push]) -> Result<()> {
        let key = self.key();
        let rows: Vec<PushRow> = changed.iter().map(|push| PushRow::new(&key, push)).collect();
        put_pushes(self.conn, &rows)
    }

    /// Saves a page after [`Push::begin`]; all its pushes have the same call.
    pub(in crate::db) fn put_sending(&mut self, page: &[Push]) -> Result<()> {
        use diesel::sql_types::{Array, BigInt, Binary, SmallInt};
        let key = self.key();
        let rows: Vec<PushRow> = page.iter().map(|push| PushRow::new(&key, push)).collect();
        let Some(first) = rows.first() else { return Ok(()) };
        let shared = |row: &PushRow| (row.state, row.call_id.clone(), row.resolution, row.due_at, row.updated_at);
        let of_first = shared(first);
        if !rows.iter().all(|row| shared(row) == of_first) {
            return put_pushes(self.conn, &rows);
        }
        match &mut self.conn.backend {
            Backend::Sqlite(c) => {
                for row in &rows {
                    let update = diesel::sql_query(
                        "UPDATE pushes SET quantity = ?, base = ?, state = ?, attempts = attempts + 1, call_id = ?, resolution = ?, \
                         due_at = ?, updated_at = ?, shown_before = ?, unseen = ?, replaced = ?, undo = ? WHERE seller_id = ? AND id = ?",
                    );
                    let update = update
                        .bind::<Nullable<BigInt>, _>(row.quantity)
                        .bind::<Nullable<BigInt>, _>(row.base)
                        .bind::<SmallInt, _>(row.state)
                        .bind::<Nullable<Binary>, _>(&row.call_id)
                        .bind::<Nullable<SmallInt>, _>(row.resolution)
                        .bind::<Nullable<BigInt>, _>(row.due_at)
                        .bind::<BigInt, _>(row.updated_at)
                        .bind::<Nullable<BigInt>, _>(row.shown_before)
                        .bind::<Nullable<BigInt>, _>(row.unseen)
                        .bind::<Nullable<Text>, _>(&row.replaced)
                        .bind::<Nullable<Text>, _>(&row.undo)
                        .bind::<Binary, _>(&key)
                        .bind::<Binary, _>(&row.id);
                    kept(update).run(c)?;
                }
            }
            Backend::Postgres(c) => {
                let update = diesel::sql_query(
                    "UPDATE pushes SET quantity = v.quantity, base = v.base, state = $1, attempts = pushes.attempts + 1, call_id = $2, \
                     resolution = $3, due_at = $4, updated_at = $5, shown_before = v.shown_before, unseen = v.unseen, \
                     replaced = v.replaced, undo = v.undo \
                     FROM unnest($6, $7, $8, $10, $11, $12, $13) AS v (id, quantity, base, shown_before, unseen, replaced, undo) \
                     WHERE pushes.seller_id = $9 AND pushes.id = v.id",
                );
                let update = update
                    .bind::<SmallInt, _>(first.state)
                    .bind::<Nullable<Binary>, _>(&first.call_id)
                    .bind::<Nullable<SmallInt>, _>(first.resolution)
                    .bind::<Nullable<BigInt>, _>(first.due_at)
                    .bind::<BigInt, _>(first.updated_at)
                    .bind::<Array<Binary>, _>(rows.iter().map(|row| &row.id).collect::<Vec<_>>())
                    .bind::<Array<Nullable<BigInt>>, _>(rows.iter().map(|row| row.quantity).collect::<Vec<_>>())
                    .bind::<Array<Nullable<BigInt>>, _>(rows.iter().map(|row| row.base).collect::<Vec<_>>())
                    .bind::<Binary, _>(&key)
                    .bind::<Array<Nullable<BigInt>>, _>(rows.iter().map(|row| row.shown_before).collect::<Vec<_>>())
                    .bind::<Array<Nullable<BigInt>>, _>(rows.iter().map(|row| row.unseen).collect::<Vec<_>>())
                    .bind::<Array<Nullable<Text>>, _>(rows.iter().map(|row| row.replaced.as_deref()).collect::<Vec<_>>())
                    .bind::<Array<Nullable<Text>>, _>(rows.iter().map(|row| row.undo.as_deref()).collect::<Vec<_>>());
                kept(update).run(c)?;
            }
        }
        Ok(())
    }

    /// Saves a call's pushes, which were like `before`, after [`Push::apply_verdict`]: the confirmed ones, which all end the same
    /// way unless they are known to have replaced something, in one statement.
    pub(in crate::db) fn put_finished(&mut self, before: &[Push], page: &[Push], now: Timestamp) -> Result<()> {
        let (key, scope) = (self.key(), self.scope());
        let ends_alike = |(before, push): &(&Push, &Push)| push.is_confirmed() && push.replaced() == before.replaced();
        let (alike, others): (Vec<_>, Vec<_>) = before.iter().zip(page).partition(ends_alike);
        let ids = ids(alike.into_iter().map(|(_, push)| push));
        if !ids.is_empty() {
            on!(self.conn, c => kept(diesel::update(scope.pushes().filter(among_ids(pushes::id, ids.clone())))
                .set((pushes::state.eq(CONFIRMED), pushes::updated_at.eq(now), pushes::confirmed_at.eq(now),
                    pushes::due_at.eq(None::<Timestamp>), pushes::failing_since.eq(None::<Timestamp>), pushes::in_doubt.eq(false),
                    pushes::reason.eq(None::<String>), pushes::next_step.eq(None::<String>), pushes::raw_answer.eq(None::<String>)))).run(c))?;
        }
        let rows: Vec<PushRow> = others.into_iter().map(|(_, push)| PushRow::new(&key, push)).collect();
        put_pushes(self.conn, &rows)
    }

    /// [`Push::note_contained`] for every push of listings whose overwrite has just been confirmed.
    pub(in crate::db) fn note_contained(&mut self, overwritten: &[ListingId]) -> Result<()> {
        if !overwritten.is_empty() {
            let (scope, of) = (self.scope(), overwritten.iter().map(ListingId::bytes).collect::<Vec<_>>());
            let rejected = || scope.pushes().filter(among_ids(pushes::listing_id, of.clone())).filter(is_rejected_increase());
            on!(self.conn, c => kept(diesel::update(rejected()).set(pushes::contained.eq(true))).run(c))?;
        }
        Ok(())
    }

    /// [`Push::start_times_anew`] for every queued or retrying push of this store.
    pub(in crate::db) fn claimable_due_now(&mut self, store: StoreId, now: Timestamp) -> Result<()> {
        let scope = self.scope();
        for is_of_kind in [is_increase(), is_overwrite()] {
            let ahead = || {
                scope
                    .pushes()
                    .filter(pushes::store_id.eq(store.bytes()))
                    .filter(is_of_kind)
                    .filter(pushes::due_at.gt(now))
                    .filter(pushes::updated_at.gt(now))
                    .filter(is_claimable())
            };
            on!(self.conn, c => kept(diesel::update(ahead().filter(pushes::failing_since.gt(now))).set(pushes::failing_since.eq(now))).run(c))?;
            on!(self.conn, c => kept(diesel::update(ahead()).set((pushes::due_at.eq(now), pushes::updated_at.eq(now)))).run(c))?;
        }
        Ok(())
    }

    /// [`Push::hold_with_store`] for every push of this store. Returns how many are held.
    pub fn hold_store(&mut self, store: StoreId, now: Timestamp) -> Result<usize> {
        let (scope, states) = (self.scope(), claimable_codes());
        let packed = self.hold_packs(store, now)?;
        Ok(packed
            + on!(self.conn, c => diesel::update(scope.pushes()
            .filter(pushes::store_id.eq(store.bytes())).filter(pushes::due_at.is_not_null()).filter(pushes::state.eq_any(&states)))
            .set((pushes::state.eq(HELD), pushes::due_at.eq(None::<Timestamp>), pushes::updated_at.eq(now),
                pushes::failing_since.eq(None::<Timestamp>), pushes::reason.eq(coalesce(pushes::reason, WAITS_FOR_STORE)))).execute(c))?)
    }

    /// [`Push::hurry`] for every push of this store.
    pub fn hurry_store(&mut self, store: StoreId, now: Timestamp) -> Result<usize> {
        let scope = self.scope();
        Ok(on!(self.conn, c => diesel::update(scope.pushes()
            .filter(pushes::store_id.eq(store.bytes())).filter(pushes::due_at.gt(now)).filter(pushes::state.eq(RETRYING)))
            .set((pushes::due_at.eq(now), pushes::updated_at.eq(now))).execute(c))?)
    }

    /// [`Push::release_with_store`] for every push of this store, and clears the note of refused credentials. A paused
    /// store stays held until it is resumed: the caller saves `paused` first. So do pushes of a paused SKU. Overwrites of runs that would change more than the
    /// seller's limits allow give way to a run that asks.
    pub fn release_store(&mut self, store: StoreId, now: Timestamp) -> Result<usize> {
        self.note(Changed::Configuration);
        let scope = self.scope();
        on!(self.conn, c => kept(diesel::update(scope.stores().filter(stores::id.eq(store.bytes())))
            .set((stores::needs_reauthorisation.eq(false), stores::write_refused.eq(false), stores::problem.eq(None::<String>),
                stores::probe_at.eq(None::<Timestamp>)))).run(c))?;
        if self.store(store)?.pause(now).is_some() {
            return Ok(0);
        }
        self.ask_before_release(store, now)?;
        let packed = self.release_packs(store, now)?;
        Ok(packed
            + on!(self.conn, c => diesel::update(scope.pushes()
            .filter(pushes::store_id.eq(store.bytes())).filter(pushes::state.eq(HELD)).filter(is_of_running_sku()))
            .set((pushes::state.eq(QUEUED), pushes::due_at.eq(now), pushes::updated_at.eq(now),
                pushes::reason.eq(None::<String>), pushes::next_step.eq(None::<String>))).execute(c))?)
    }

    /// [`Push::release_with_store`] for the oldest held push of this store, unless another one waits already. Returns how
    /// many wait now: one or none.
    pub(in crate::db) fn release_one(&mut self, store: StoreId, now: Timestamp) -> Result<usize> {
        let scope = self.scope();
        let waiting: Option<Vec<u8>> = on!(self.conn, c => scope.pushes().select(pushes::id).filter(pushes::store_id.eq(store.bytes()))
            .filter(is_claimable()).filter(pushes::due_at.le(now)).first(c).optional())?;
        if waiting.is_some() {
            return Ok(1);
        }
        self.unpack_first_held(Some(store), 1)?;
        let oldest: Option<Vec<u8>> = on!(self.conn, c => scope.pushes().select(pushes::id).filter(pushes::store_id.eq(store.bytes()))
            .filter(is_held()).filter(is_of_running_sku()).order(pushes::id).first(c).optional())?;
        let Some(id) = oldest else { return Ok(0) };
        Ok(on!(self.conn, c => diesel::update(scope.pushes().filter(pushes::id.eq(&id)))
            .set((pushes::state.eq(QUEUED), pushes::due_at.eq(now), pushes::updated_at.eq(now),
                pushes::reason.eq(None::<String>), pushes::next_step.eq(None::<String>))).execute(c))?)
    }

    /// [`Push::release_with_store`] for the held overwrites of these listings.
    pub(in crate::db) fn release_overwrites(&mut self, of: &[ListingId], now: Timestamp) -> Result<()> {
        if !of.is_empty() {
            let (scope, of) = (self.scope(), of.iter().map(ListingId::bytes).collect::<Vec<_>>());
            let held = || scope.pushes().filter(among_ids(pushes::listing_id, of.clone())).filter(is_held()).filter(is_overwrite());
            on!(self.conn, c => kept(diesel::update(held()).set((pushes::state.eq(QUEUED), pushes::due_at.eq(now), pushes::updated_at.eq(now),
                pushes::next_step.eq(None::<String>)))).run(c))?;
        }
        Ok(())
    }
}

fn ids<'a>(of: impl Iterator<Item = &'a Push>) -> Vec<Vec<u8>> {
    of.map(|push| push.id().bytes()).collect()
}

#[cfg(test)]
mod tests;
