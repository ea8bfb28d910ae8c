//! Pushes of one seller: listed, held, released, cancelled, tried again. How they are claimed and finished is in
//! [`delivery`](super::delivery).
mod row;

use super::connection::{Backend, on};
use super::schema::{listings, pushes, stores};
use super::{Error, ROWS_PER_STATEMENT, Result, Tenant, id_of};
use crate::domain::push::{Push, PushKind, PushState};
use crate::domain::{ListingId, PushId, RunId, Sku, StoreId, Timestamp};
use diesel::prelude::*;
use diesel::sql_types::Bool;
use row::is_rejected_increase;
pub(super) use row::{
    PushRow, has_ended, is_active, is_confirmed, is_held, is_in_flight, is_increase, is_not_held, is_of_kind, is_sending, is_uncertain,
    put_pushes, read_pushes,
};
use std::collections::{BTreeSet, HashMap};

/// Which pushes to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PushFilter {
    /// In this state.
    pub state: Option<PushState>,
    /// Of this store.
    pub store_id: Option<StoreId>,
    /// Of this SKU.
    pub sku: Option<Sku>,
}

/// Which pushes to call off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CancelScope {
    /// All that auto-sync queued: increases, daily and initial runs; not manual runs.
    AutoSync,
    /// All of one store.
    Store(StoreId),
    /// All of one listing.
    Listing(ListingId),
}

impl Tenant<'_> {
    /// Newest first, from below `after`.
    ///
    /// # Errors
    /// Those of the database.
    pub fn list_pushes(&mut self, filter: &PushFilter, after: Option<PushId>, limit: i64) -> Result<Vec<Push>> {
        let key = self.key();
        let rows: Vec<PushRow> = on!(self.conn, c => {
            let mut query = pushes::table.filter(pushes::seller_id.eq(&key)).order(pushes::id.desc()).limit(limit).into_boxed();
            if let Some(after) = after { query = query.filter(pushes::id.lt(after.bytes())); }
            if let Some(state) = filter.state { query = query.filter(pushes::state.eq(state.code())); }
            if let Some(store) = filter.store_id { query = query.filter(pushes::store_id.eq(store.bytes())); }
            if let Some(sku) = &filter.sku { query = query.filter(pushes::sku.eq(sku.to_string())); }
            query.load(c)?
        });
        read_pushes(rows)
    }

    /// The newest push, or the newest in this state, of each of these listings of one SKU.
    ///
    /// # Errors
    /// Those of the database.
    pub fn last_pushes(&mut self, sku: &Sku, of: &[ListingId], state: Option<PushState>) -> Result<HashMap<ListingId, Push>> {
        let key = self.key();
        let mut found = HashMap::with_capacity(of.len());
        for listing in of {
            let row: Option<PushRow> = on!(self.conn, c => {
                let mut query = pushes::table.filter(pushes::seller_id.eq(&key)).filter(pushes::sku.eq(sku.as_str()))
                    .filter(pushes::listing_id.eq(listing.bytes())).order(pushes::id.desc()).into_boxed();
                // The plus keeps SQLite from the index by state, in which it would walk all that the seller has in it.
                if let Some(state) = state { query = query.filter(diesel::dsl::sql::<Bool>(&format!("+state = {}", state.code()))); }
                query.first(c).optional()?
            });
            if let Some(row) = row {
                found.insert(*listing, row.push()?);
            }
        }
        Ok(found)
    }

    /// One push.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none, or it is another seller's.
    pub fn push(&mut self, id: PushId) -> Result<Push> {
        let key = self.key();
        let row: PushRow = on!(self.conn, c => pushes::table.find((&key, id.bytes())).get_result(c))?;
        row.push()
    }

    /// The place of the first of these ids that names no push of this seller's.
    ///
    /// # Errors
    /// Those of the database.
    pub fn missing_push(&mut self, ids: &[PushId]) -> Result<Option<usize>> {
        for (place, id) in ids.iter().enumerate() {
            match self.push(*id) {
                Ok(_) => {}
                Err(Error::NotFound) => return Ok(Some(place)),
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    pub(super) fn put(&mut self, changed: &[Push]) -> Result<()> {
        let key = self.key();
        let rows: Vec<PushRow> = changed.iter().map(|push| PushRow::new(&key, push)).collect();
        put_pushes(self.conn, &rows)
    }

    /// Saves a call that gets on its way. What all its pushes share is one statement; only quantity and base, which no
    /// index has, are written row by row.
    pub(super) fn put_sending(&mut self, page: &[Push]) -> Result<()> {
        let Some(first) = page.first() else { return Ok(()) };
        let shared = PushRow::new(&self.key(), first);
        let alike = |push: &Push| {
            (push.state, push.call_id, push.resolution, push.due_at, push.updated_at)
                == (first.state, first.call_id, first.resolution, first.due_at, first.updated_at)
        };
        if !page.iter().all(alike) {
            return self.put(page);
        }
        // First, so that no row is ever `sending` without its quantity, not even within the transaction.
        self.put_amounts(page)?;
        let ids: Vec<Vec<u8>> = page.iter().map(|push| push.id.bytes()).collect();
        on!(self.conn, c => diesel::update(pushes::table)
            .filter(pushes::seller_id.eq(&shared.seller_id)).filter(pushes::id.eq_any(&ids))
            .set((pushes::state.eq(shared.state), pushes::attempts.eq(pushes::attempts + 1), pushes::call_id.eq(&shared.call_id),
                pushes::resolution.eq(shared.resolution), pushes::due_at.eq(shared.due_at), pushes::updated_at.eq(shared.updated_at))).execute(c))?;
        Ok(())
    }

    fn put_amounts(&mut self, page: &[Push]) -> Result<()> {
        use diesel::sql_types::{Array, BigInt, Binary, Nullable};
        let key = self.key();
        match &mut self.conn.backend {
            Backend::Sqlite(c) => {
                for push in page {
                    diesel::update(pushes::table.find((&key, push.id.bytes())))
                        .set((pushes::quantity.eq(push.quantity), pushes::base.eq(push.base)))
                        .execute(c)?;
                }
            }
            // One statement where each costs a round trip.
            Backend::Postgres(c) => {
                diesel::sql_query(
                    "UPDATE pushes SET quantity = v.quantity, base = v.base FROM unnest($1, $2, $3) AS v (id, quantity, base) \
                     WHERE pushes.seller_id = $4 AND pushes.id = v.id",
                )
                .bind::<Array<Binary>, _>(page.iter().map(|push| push.id.bytes()).collect::<Vec<_>>())
                .bind::<Array<Nullable<BigInt>>, _>(page.iter().map(|push| push.quantity).collect::<Vec<_>>())
                .bind::<Array<Nullable<BigInt>>, _>(page.iter().map(|push| push.base).collect::<Vec<_>>())
                .bind::<Binary, _>(&key)
                .execute(c)?;
            }
        }
        Ok(())
    }

    /// Saves what an answer made of a call's pushes: those that are confirmed, which end all alike, in one statement.
    pub(super) fn put_settled(&mut self, page: &[Push], now: Timestamp) -> Result<()> {
        let key = self.key();
        let (confirmed, others): (Vec<&Push>, Vec<&Push>) = page.iter().partition(|push| push.state == PushState::Confirmed);
        let ids: Vec<Vec<u8>> = confirmed.iter().map(|push| push.id.bytes()).collect();
        if !ids.is_empty() {
            on!(self.conn, c => diesel::update(pushes::table).filter(pushes::seller_id.eq(&key)).filter(pushes::id.eq_any(&ids))
                .set((pushes::state.eq(PushState::Confirmed.code()), pushes::updated_at.eq(now), pushes::confirmed_at.eq(now),
                    pushes::due_at.eq(None::<Timestamp>), pushes::failing_since.eq(None::<Timestamp>), pushes::in_doubt.eq(false),
                    pushes::reason.eq(None::<String>), pushes::next_step.eq(None::<String>), pushes::raw_answer.eq(None::<String>))).execute(c))?;
        }
        let rows: Vec<PushRow> = others.into_iter().map(|push| PushRow::new(&key, push)).collect();
        put_pushes(self.conn, &rows)
    }

    /// Pushes of these listings that are neither finished nor rejected.
    pub(super) fn active_pushes(&mut self, of: &[ListingId]) -> Result<Vec<Push>> {
        let key = self.key();
        let mut found = Vec::new();
        for chunk in of.chunks(ROWS_PER_STATEMENT) {
            let ids: Vec<Vec<u8>> = chunk.iter().map(|id| id.bytes()).collect();
            let rows: Vec<PushRow> = on!(self.conn, c => pushes::table
                .filter(pushes::seller_id.eq(&key)).filter(pushes::listing_id.eq_any(ids)).filter(is_active()).load(c))?;
            found.extend(read_pushes(rows)?);
        }
        // In the order of their birth. Asked to sort, SQLite walks all the seller's pushes in that order instead.
        found.sort_unstable_by_key(|push| push.id);
        Ok(found)
    }

    /// Queues rejected or held pushes again: those with these ids, or all in this state. Returns how many.
    ///
    /// An increase that an overwrite of its listing has overtaken is not sent again: it is part of what is shown.
    /// One that would stand beside a waiting increase of the same listing merges into it.
    ///
    /// # Errors
    /// Those of the database.
    pub fn retry_pushes(&mut self, ids: Option<&[PushId]>, state: Option<PushState>, now: Timestamp) -> Result<usize> {
        self.retry_all(ids, &PushFilter { state, ..PushFilter::default() }, now)
    }

    /// Queues all that this filter finds again, as far as they are rejected or held; see [`Self::retry_pushes`].
    ///
    /// # Errors
    /// Those of the database.
    pub fn retry_filtered(&mut self, filter: &PushFilter, now: Timestamp) -> Result<usize> {
        self.retry_all(None, filter, now)
    }

    fn retry_all(&mut self, ids: Option<&[PushId]>, filter: &PushFilter, now: Timestamp) -> Result<usize> {
        let key = self.key();
        let again = [PushState::Rejected.code(), PushState::Held.code()];
        let states: Vec<i16> = filter.state.map_or(again.to_vec(), |s| again.into_iter().filter(|code| *code == s.code()).collect());
        let mut queued = 0;
        let mut after = Vec::new();
        loop {
            let rows: Vec<PushRow> = on!(self.conn, c => {
                let mut query = pushes::table.filter(pushes::seller_id.eq(&key)).filter(pushes::state.eq_any(&states))
                    .filter(pushes::id.gt(&after)).order(pushes::id).limit(1000).into_boxed();
                if let Some(ids) = ids { query = query.filter(pushes::id.eq_any(ids.iter().map(|id| id.bytes()).collect::<Vec<_>>())); }
                if let Some(store) = filter.store_id { query = query.filter(pushes::store_id.eq(store.bytes())); }
                if let Some(sku) = &filter.sku { query = query.filter(pushes::sku.eq(sku.to_string())); }
                query.load(c)?
            });
            let page = read_pushes(rows)?;
            let Some(last) = page.last() else { break };
            after = last.id.bytes();
            queued += self.retry_page(page, now)?;
        }
        Ok(queued)
    }

    fn retry_page(&mut self, page: Vec<Push>, now: Timestamp) -> Result<usize> {
        let of: Vec<ListingId> = page.iter().map(|p| p.listing_id).collect();
        let paired = self.still_paired(&of)?;
        let held = self.held_stores(page.iter().map(|p| p.store_id))?;
        // While one is on its way nothing else of its listing is sent, so what is rejected was so before its target was read.
        // One that waits brings it too, unless it is called off; and it, or another whose place it took, is perhaps applied.
        let active = self.active_pushes(&of)?;
        let overwrites = active.iter().chain(&page).filter(|p| p.kind == PushKind::Overwrite);
        let open: HashMap<ListingId, bool> = overwrites.map(|p| (p.listing_id, p.cancel_requested || !p.state.is_in_flight())).collect();
        let (mut changed, mut again) = (Vec::new(), Vec::new());
        let mut queued = 0;
        for mut push in page {
            if !paired.contains(&push.listing_id) {
                continue;
            }
            if push.state == PushState::Rejected {
                // Its run has counted it as failed, and is over as far as it is concerned.
                push.run_id = None;
                let overwrite = open.get(&push.listing_id).filter(|_| push.kind == PushKind::Increase);
                if overwrite == Some(&true) && !push.contained {
                    // It may end either way, and only then can be said whether this was part of what it brought.
                    continue;
                }
                if overwrite.is_some() || push.contained {
                    push.superseded("An overwrite of the listing came after this and contains it.", now);
                    changed.push(push);
                    continue;
                }
            }
            (push.failing_since, push.batch_limit, push.cancel_requested) = (None, None, false);
            if held.contains(&push.store_id) {
                push.hold(now);
            } else {
                (push.state, push.due_at, push.updated_at) = (PushState::Queued, Some(now), now);
            }
            queued += 1;
            again.push(push.listing_id);
            changed.push(push);
        }
        self.put(&changed)?;
        self.merge_waiting(&again, now)?;
        Ok(queued)
    }

    /// Those of these stores that are paused or need re-authorisation.
    pub(super) fn held_stores(&mut self, of: impl Iterator<Item = StoreId>) -> Result<BTreeSet<StoreId>> {
        let of: BTreeSet<StoreId> = of.collect();
        let mut held = BTreeSet::new();
        for store in of {
            if self.store(store)?.is_held() {
                held.insert(store);
            }
        }
        Ok(held)
    }

    /// Merges increases of one listing that wait side by side, as they do when one comes back, into the oldest.
    pub(super) fn merge_waiting(&mut self, of: &[ListingId], now: Timestamp) -> Result<()> {
        let mut oldest: HashMap<ListingId, Push> = HashMap::new();
        let mut changed = Vec::new();
        for mut push in self.active_pushes(of)?.into_iter().filter(Push::is_mergeable) {
            match oldest.get_mut(&push.listing_id) {
                Some(first) => {
                    first.merge(&push, now);
                    push.superseded("Merged into an earlier increase of the same listing.", now);
                    changed.push(push);
                }
                None => {
                    oldest.insert(push.listing_id, push);
                }
            }
        }
        if changed.is_empty() {
            return Ok(());
        }
        changed.extend(oldest.into_values());
        self.put(&changed)
    }

    fn still_paired(&mut self, of: &[ListingId]) -> Result<BTreeSet<ListingId>> {
        let key = self.key();
        let ids: Vec<Vec<u8>> = of.iter().map(|id| id.bytes()).collect();
        let rows: Vec<Vec<u8>> = on!(self.conn, c => listings::table
            .filter(listings::seller_id.eq(&key)).filter(listings::id.eq_any(ids)).select(listings::id).load(c))?;
        rows.iter().map(|id| id_of(id, ListingId::from_bytes, "listings.id")).collect()
    }

    /// Notes what overwrites that have just been confirmed contain of what was rejected: while they were on their way
    /// nothing else of their listings was sent, so all that is rejected now was so before their targets were read. No
    /// clock is asked, as it may have stepped back.
    pub(super) fn note_contained(&mut self, page: &[Push]) -> Result<()> {
        let key = self.key();
        let confirmed = page.iter().filter(|push| push.kind == PushKind::Overwrite && push.state == PushState::Confirmed);
        let of: Vec<Vec<u8>> = confirmed.map(|push| push.listing_id.bytes()).collect();
        if !of.is_empty() {
            on!(self.conn, c => diesel::update(pushes::table)
                .filter(pushes::seller_id.eq(&key)).filter(pushes::listing_id.eq_any(&of)).filter(is_rejected_increase())
                .set(pushes::contained.eq(true)).execute(c))?;
        }
        Ok(())
    }

    /// Calls off what waits; what is on its way is called off as soon as it is known not to have been applied.
    /// Returns how many that concerns.
    ///
    /// # Errors
    /// Those of the database.
    pub fn cancel_pushes(&mut self, scope: CancelScope, reason: &str, now: Timestamp) -> Result<usize> {
        let key = self.key();
        let manual: Vec<RunId> = match scope {
            CancelScope::AutoSync => {
                // First, so that they end as called off, not as finished by their last push.
                self.cancel_auto_runs(reason, now)?;
                self.open_manual_runs()?
            }
            _ => Vec::new(),
        };
        let mut count = 0;
        let mut after = Vec::new();
        loop {
            let rows: Vec<PushRow> = on!(self.conn, c => {
                let mut query = pushes::table.filter(pushes::seller_id.eq(&key)).filter(pushes::state.eq_any([0i16, 1, 3, 4, 6]))
                    .filter(pushes::id.gt(&after)).order(pushes::id).limit(1000).into_boxed();
                match scope {
                    CancelScope::AutoSync => {}
                    CancelScope::Store(store) => query = query.filter(pushes::store_id.eq(store.bytes())),
                    CancelScope::Listing(listing) => query = query.filter(pushes::listing_id.eq(listing.bytes())),
                }
                query.load(c)?
            });
            let mut page = read_pushes(rows)?;
            let Some(last) = page.last() else { break };
            after = last.id.bytes();
            page.retain(|push| push.run_id.is_none_or(|run| !manual.contains(&run)));
            count += page.len();
            let before = page.clone();
            page.iter_mut().for_each(|push| push.cancel(reason, now));
            self.put(&page)?;
            self.count_run_progress(&before, &page, now)?;
        }
        if scope == CancelScope::AutoSync {
            on!(self.conn, c => diesel::update(listings::table).filter(listings::seller_id.eq(&key)).filter(listings::marked)
                .set(listings::marked.eq(false)).execute(c))?;
        }
        Ok(count)
    }

    /// Holds what waits for this store. What is perhaps applied keeps its state, its due time and so its settle time:
    /// nothing is asked about it either before the store is released.
    ///
    /// # Errors
    /// Those of the database.
    pub fn hold_store(&mut self, store: StoreId, now: Timestamp) -> Result<usize> {
        let key = self.key();
        Ok(on!(self.conn, c => diesel::update(pushes::table)
            .filter(pushes::seller_id.eq(&key)).filter(pushes::store_id.eq(store.bytes())).filter(pushes::due_at.is_not_null())
            .filter(pushes::state.eq_any([PushState::Queued.code(), PushState::Retrying.code()]))
            .set((pushes::state.eq(PushState::Held.code()), pushes::due_at.eq(None::<Timestamp>), pushes::updated_at.eq(now),
                pushes::failing_since.eq(None::<Timestamp>))).execute(c))?)
    }

    /// Lets what is held for this store flow again, and takes the mark of refused credentials from it. A store that is
    /// paused stays held until it is resumed: the caller saves `paused` first.
    ///
    /// # Errors
    /// Those of the database.
    pub fn release_store(&mut self, store: StoreId, now: Timestamp) -> Result<usize> {
        let key = self.key();
        on!(self.conn, c => diesel::update(stores::table.find((&key, store.bytes())))
            .set((stores::needs_reauthorisation.eq(false), stores::problem.eq(None::<String>), stores::probe_at.eq(None::<Timestamp>))).execute(c))?;
        if self.store(store)?.paused {
            return Ok(0);
        }
        Ok(on!(self.conn, c => diesel::update(pushes::table)
            .filter(pushes::seller_id.eq(&key)).filter(pushes::store_id.eq(store.bytes()))
            .filter(pushes::state.eq(PushState::Held.code()))
            .set((pushes::state.eq(PushState::Queued.code()), pushes::due_at.eq(now), pushes::updated_at.eq(now),
                pushes::reason.eq(None::<String>), pushes::next_step.eq(None::<String>))).execute(c))?)
    }
}
