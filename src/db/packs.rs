//! Packs as rows: saved, loaded, held, cancelled, and turned into rows of `pushes`. [`pack`](crate::domain::pack) says what a
//! pack is.
//!
//! Whoever decides about single pushes does not see those in a pack; it has them unpacked first, as
//! [`active_pushes`](Tenant::active_pushes) does.
mod found;
mod row;

use super::connection::{Backend, on};
use super::kept::kept;
use super::literal::Literal;
use super::pushes::{
    CANCELLED, CONFIRMED, CancelScope, HELD, QUEUED, pack_is_active, pack_is_held, pack_is_queued, pack_is_sending, resolution_code,
    state_code, state_of,
};
use super::schema::push_packs;
use super::sets::among_ids;
use super::{Error, ROWS_PER_STATEMENT, Result, Tenant, id_of};
use crate::domain::pack::{PACK_SIZE, Pack};
use crate::domain::push::{Push, PushState, WAITS_FOR_STORE};
use crate::domain::run::Progress;
use crate::domain::undo::Replaced;
use crate::domain::{CallId, ListingId, PushId, RunId, StoreId, Timestamp};
use diesel::prelude::*;
use diesel::sql_types::Bool;
pub(super) use found::{PackFilter, PackedLoad, with_packed};
use row::{PackRow, put_packs, read_packs, replaced_text};
use std::collections::{BTreeMap, BTreeSet};

/// Which packs are unpacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    /// Those that have not ended.
    Active,
    /// Those that are being sent.
    Sending,
    /// Those that are held.
    Held,
}

impl Which {
    fn condition(self) -> Literal<Bool> {
        match self {
            Self::Active => pack_is_active(),
            Self::Sending => pack_is_sending(),
            Self::Held => pack_is_held(),
        }
    }
}

impl Tenant<'_> {
    /// Adds packs, or saves changed ones.
    pub(super) fn put_packs(&mut self, changed: &[Pack]) -> Result<()> {
        let key = self.key();
        let rows: Vec<PackRow> = changed.iter().map(|pack| PackRow::new(&key, pack)).collect::<Result<_>>()?;
        put_packs(self.conn, &rows)
    }

    /// Saves packs after [`Pack::begin`].
    pub(super) fn put_begun_packs(&mut self, begun: &[Pack]) -> Result<()> {
        let scope = self.scope();
        for pack in begun {
            let quantities = serde_json::to_string(&pack.quantities).map_err(|error| Error::Corrupt(error.to_string()))?;
            on!(self.conn, c => kept(diesel::update(scope.push_packs().filter(push_packs::id.eq(pack.id.bytes())))
                .set((push_packs::state.eq(state_code(pack.state)), push_packs::call_id.eq(pack.call_id.map(|id| id.bytes())),
                    push_packs::resolution.eq(pack.resolution.map(resolution_code)), push_packs::quantities.eq(quantities.clone()),
                    push_packs::due_at.eq(pack.due_at), push_packs::updated_at.eq(pack.updated_at)))).run(c))?;
        }
        Ok(())
    }

    /// [`Pack::confirm`] for these packs; `replaced` is what their pushes have replaced, in order.
    pub(super) fn confirm_packs(&mut self, of: &[Pack], mut replaced: &[Replaced], now: Timestamp) -> Result<()> {
        let scope = self.scope();
        for pack in of {
            let (own, rest) = replaced.split_at_checked(pack.len()).unwrap_or((replaced, &[]));
            replaced = rest;
            let own = replaced_text(own)?;
            on!(self.conn, c => kept(diesel::update(scope.push_packs().filter(push_packs::id.eq(pack.id.bytes())))
                .set((push_packs::state.eq(CONFIRMED), push_packs::confirmed_at.eq(now), push_packs::replaced.eq(&own),
                    push_packs::updated_at.eq(now), push_packs::due_at.eq(None::<Timestamp>), push_packs::reason.eq(None::<String>)))).run(c))?;
        }
        Ok(())
    }

    /// The next queued packs of a store, in the order of their ids: enough for a call with so many items, if there are as many.
    pub(super) fn queued_packs(&mut self, store: StoreId, items: usize) -> Result<Vec<Pack>> {
        let scope = self.scope();
        let queued = || scope.push_packs().filter(push_packs::store_id.eq(store.bytes())).filter(pack_is_queued()).order(push_packs::id);
        let rows: Vec<PackRow> = match &mut self.conn.backend {
            Backend::Sqlite(c) => {
                // Without a bound limit, for which the statement would be planned again each time.
                let (mut rows, mut sum) = (Vec::new(), 0);
                for row in queued().load_iter::<PackRow, _>(c)? {
                    let row = row?;
                    sum += usize::try_from(row.size).unwrap_or_default();
                    rows.push(row);
                    if sum >= items {
                        break;
                    }
                }
                rows
            }
            Backend::Postgres(c) => {
                queued().limit(i64::try_from((items / (PACK_SIZE / 2)).saturating_add(2)).unwrap_or(i64::MAX)).load(c)?
            }
        };
        read_packs(rows)
    }

    /// The packs of a store that are being sent, in the order of their ids.
    pub(super) fn sending_packs(&mut self, store: StoreId) -> Result<Vec<Pack>> {
        let scope = self.scope();
        let rows: Vec<PackRow> = on!(self.conn, c => scope.push_packs().filter(push_packs::store_id.eq(store.bytes())).filter(pack_is_sending())
            .order(push_packs::id).load(c))?;
        read_packs(rows)
    }

    /// Those of them that this call carries.
    pub(super) fn packs_sent_by(&mut self, store: StoreId, call: CallId) -> Result<Vec<Pack>> {
        let scope = self.scope();
        let rows: Vec<PackRow> = on!(self.conn, c => scope.push_packs().filter(push_packs::store_id.eq(store.bytes())).filter(pack_is_sending())
            .filter(push_packs::call_id.eq(call.bytes())).order(push_packs::id).load(c))?;
        read_packs(rows)
    }

    /// The calls that carry them.
    pub(super) fn calls_of_packs(&mut self, store: StoreId) -> Result<Vec<Option<Vec<u8>>>> {
        let scope = self.scope();
        Ok(on!(self.conn, c => scope.push_packs().select(push_packs::call_id)
            .filter(push_packs::store_id.eq(store.bytes())).filter(pack_is_sending()).load(c))?)
    }

    /// The runs of the packs of a store that are being sent.
    pub(super) fn runs_being_sent(&mut self, store: StoreId) -> Result<Vec<RunId>> {
        let scope = self.scope();
        let runs: Vec<Vec<u8>> = on!(self.conn, c => scope.push_packs().select(push_packs::run_id)
            .filter(push_packs::store_id.eq(store.bytes())).filter(pack_is_sending()).load(c))?;
        runs.iter().map(|id| id_of(id, RunId::from_bytes, "push_packs.run_id")).collect()
    }

    /// The packs of a store that are held.
    pub(super) fn held_packs(&mut self, store: StoreId) -> Result<Vec<Pack>> {
        let scope = self.scope();
        let rows: Vec<PackRow> =
            on!(self.conn, c => scope.push_packs().filter(push_packs::store_id.eq(store.bytes())).filter(pack_is_held()).load(c))?;
        read_packs(rows)
    }

    fn packs_of_ids(&mut self, ids: &[Vec<u8>]) -> Result<Vec<Pack>> {
        let scope = self.scope();
        let mut found = Vec::new();
        for chunk in ids.chunks(ROWS_PER_STATEMENT) {
            let rows: Vec<PackRow> = on!(self.conn, c => scope.push_packs().filter(among_ids(push_packs::id, chunk.to_vec())).load(c))?;
            found.extend(read_packs(rows)?);
        }
        found.sort_unstable_by_key(|pack| pack.id);
        Ok(found)
    }

    /// Makes each push of these packs a row of its own, in the state that it has.
    pub(super) fn unpack(&mut self, packs: &[Pack]) -> Result<()> {
        let scope = self.scope();
        for pack in packs {
            let pushes: Vec<Push> = pack.pushes()?;
            self.put(&pushes)?;
            on!(self.conn, c => kept(diesel::delete(scope.push_packs().filter(push_packs::id.eq(pack.id.bytes())))).run(c))?;
        }
        Ok(())
    }

    /// Unpacks what concerns these listings. Returns whether there was anything.
    pub(super) fn unpack_of(&mut self, of: &[ListingId], which: Which) -> Result<bool> {
        if of.is_empty() {
            return Ok(false);
        }
        let (scope, is_one) = (self.scope(), which.condition());
        let spans: Vec<(Vec<u8>, Vec<u8>, Vec<u8>)> = on!(self.conn, c => scope.push_packs()
            .select((push_packs::id, push_packs::first_listing, push_packs::last_listing)).filter(is_one).load(c))?;
        if spans.is_empty() {
            return Ok(false);
        }
        let wanted: BTreeSet<ListingId> = of.iter().copied().collect();
        let bytes: BTreeSet<Vec<u8>> = of.iter().map(ListingId::bytes).collect();
        let near = spans.into_iter().filter(|(_, first, last)| bytes.range::<Vec<u8>, _>(first..=last).next().is_some());
        let mut packs = self.packs_of_ids(&near.map(|(id, ..)| id).collect::<Vec<_>>())?;
        packs.retain(|pack| pack.concerns(&wanted));
        self.unpack(&packs)?;
        Ok(!packs.is_empty())
    }

    /// Unpacks what is in this state, of one store or of all.
    pub(super) fn unpack_all(&mut self, store: Option<StoreId>, which: Which) -> Result<()> {
        let (scope, is_one) = (self.scope(), which.condition());
        let rows: Vec<PackRow> = on!(self.conn, c => {
            let mut query = scope.push_packs().filter(is_one).into_boxed();
            if let Some(store) = store { query = query.filter(push_packs::store_id.eq(store.bytes())); }
            query.load(c)?
        });
        let packs = read_packs(rows)?;
        self.unpack(&packs)
    }

    /// Unpacks the oldest held packs, of one store or of all: at most so many. Returns how many.
    pub(super) fn unpack_first_held(&mut self, store: Option<StoreId>, packs: usize) -> Result<usize> {
        let (scope, limit) = (self.scope(), i64::try_from(packs).unwrap_or(i64::MAX));
        let rows: Vec<PackRow> = on!(self.conn, c => {
            let mut query = scope.push_packs().filter(pack_is_held()).order(push_packs::id).limit(limit).into_boxed();
            if let Some(store) = store { query = query.filter(push_packs::store_id.eq(store.bytes())); }
            query.load(c)?
        });
        let packs = read_packs(rows)?;
        self.unpack(&packs)?;
        Ok(packs.len())
    }

    /// Unpacks held packs that hold pushes of these ids: at most so many. Returns how many.
    pub(super) fn unpack_held_of_ids(&mut self, ids: &[PushId], packs: usize) -> Result<usize> {
        let mut found = BTreeMap::new();
        for id in ids {
            if found.len() == packs {
                break;
            }
            if let Some(pack) = self.pack_of(*id)?.filter(|pack| pack.state.is_held()) {
                found.insert(pack.id, pack);
            }
        }
        self.unpack(&found.values().cloned().collect::<Vec<_>>())?;
        Ok(found.len())
    }

    /// [`Pack::hold_with_store`] for every pack of this store. Returns how many pushes that are.
    pub(super) fn hold_packs(&mut self, store: StoreId, now: Timestamp) -> Result<usize> {
        let count = self.count_of_store(store, pack_is_queued())?;
        let scope = self.scope();
        if count > 0 {
            on!(self.conn, c => kept(diesel::update(scope.push_packs().filter(push_packs::store_id.eq(store.bytes())).filter(pack_is_queued()))
                .set((push_packs::state.eq(HELD), push_packs::due_at.eq(None::<Timestamp>),
                    push_packs::updated_at.eq(now), push_packs::reason.eq(WAITS_FOR_STORE)))).run(c))?;
        }
        Ok(count)
    }

    /// [`Pack::release_with_store`] for every pack of this store. Returns how many pushes that are.
    pub(super) fn release_packs(&mut self, store: StoreId, now: Timestamp) -> Result<usize> {
        let count = self.count_of_store(store, pack_is_held())?;
        let scope = self.scope();
        if count > 0 {
            on!(self.conn, c => kept(diesel::update(scope.push_packs().filter(push_packs::store_id.eq(store.bytes())).filter(pack_is_held()))
                .set((push_packs::state.eq(QUEUED), push_packs::due_at.eq(now),
                    push_packs::updated_at.eq(now), push_packs::reason.eq(None::<String>)))).run(c))?;
        }
        Ok(count)
    }

    fn count_of_store(&mut self, store: StoreId, condition: Literal<Bool>) -> Result<usize> {
        let scope = self.scope();
        let sizes: Vec<i32> = on!(self.conn, c => scope.push_packs().select(push_packs::size)
            .filter(push_packs::store_id.eq(store.bytes())).filter(condition).load(c))?;
        Ok(sizes.into_iter().filter_map(|size| usize::try_from(size).ok()).sum())
    }

    /// Cancels the packs that wait, except those of some runs: [`Pack::cancel`]. Those that are being sent are unpacked, to be cancelled
    /// one by one, unless it is their run alone that is canceled: that lets them end. Returns how many pushes were cancelled.
    pub(super) fn cancel_packs(&mut self, scope: CancelScope, except: &[RunId], reason: &str, now: Timestamp) -> Result<usize> {
        type Row = (Vec<u8>, Vec<u8>, i32, i16);
        let own = self.scope();
        let rows: Vec<Row> = on!(self.conn, c => {
            let columns = (push_packs::id, push_packs::run_id, push_packs::size, push_packs::state);
            let query = own.push_packs().select(columns).filter(pack_is_active()).into_boxed();
            let query = match scope {
                CancelScope::AutoSync => query,
                CancelScope::Store(store) | CancelScope::RunsOf(store) => query.filter(push_packs::store_id.eq(store.bytes())),
                CancelScope::Run(run) => query.filter(push_packs::run_id.eq(run.bytes())),
            };
            query.load(c)?
        });
        let (mut waiting, mut sending, mut count) = (Vec::new(), Vec::new(), 0);
        let mut ended: BTreeMap<RunId, Progress> = BTreeMap::new();
        for (id, run, size, state) in rows {
            let run = id_of(&run, RunId::from_bytes, "push_packs.run_id")?;
            if except.contains(&run) {
                continue;
            }
            if state_of(state).is_some_and(PushState::is_in_flight) {
                if !matches!(scope, CancelScope::Run(_)) {
                    sending.push(id);
                }
                continue;
            }
            ended.entry(run).or_default().failed += i64::from(size);
            count += usize::try_from(size).unwrap_or_default();
            waiting.push(id);
        }
        for chunk in waiting.chunks(ROWS_PER_STATEMENT) {
            on!(self.conn, c => kept(diesel::update(own.push_packs().filter(among_ids(push_packs::id, chunk.to_vec())))
                .set((push_packs::state.eq(CANCELLED), push_packs::due_at.eq(None::<Timestamp>),
                    push_packs::updated_at.eq(now), push_packs::reason.eq(reason)))).run(c))?;
        }
        for (run, progress) in ended {
            self.add_progress(run, progress, now)?;
        }
        let sending = self.packs_of_ids(&sending)?;
        self.unpack(&sending)?;
        Ok(count)
    }

    /// Notes that listings of a store get another SKU or go away: their SKUs do not lead to their packs any more.
    pub(super) fn scatter_packs(&mut self, of: &[(StoreId, ListingId)]) -> Result<()> {
        let scope = self.scope();
        for (store, listing) in of {
            on!(self.conn, c => kept(diesel::update(scope.push_packs().filter(push_packs::store_id.eq(store.bytes()))
                .filter(push_packs::first_listing.le(listing.bytes())).filter(push_packs::last_listing.ge(listing.bytes())))
                .set(push_packs::scattered.eq(true))).run(c))?;
        }
        Ok(())
    }

    /// [`Self::scatter_packs`] for all listings of a store.
    pub(super) fn scatter_packs_of_store(&mut self, store: StoreId) -> Result<()> {
        let scope = self.scope();
        on!(self.conn, c => kept(diesel::update(scope.push_packs().filter(push_packs::store_id.eq(store.bytes())))
            .set(push_packs::scattered.eq(true))).run(c))?;
        Ok(())
    }
}
