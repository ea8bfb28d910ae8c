//! The pushes in packs as people view them: listed, counted, found by their listing.
use super::row::PackRow;
use crate::db::connection::{Backend, on};
use crate::db::pushes::{pack_has_ended, pack_is_active, pack_is_confirmed, state_code, state_of};
use crate::db::schema::{listings, push_packs};
use crate::db::{Error, Result, Tenant, id_of};
use crate::domain::pack::{PACK_SIZE, Pack};
use crate::domain::push::{Addressee, Push, PushState};
use crate::domain::{ListingId, PushId, RunId, Sku, StoreId, Timestamp};
use diesel::prelude::*;
use std::collections::{BTreeSet, HashMap};

/// Packs that are loaded at a time where few of their pushes are wanted.
const FEW: usize = 8;

/// Which pushes in packs to find.
#[derive(Debug, Clone, Default)]
pub(in crate::db) struct PackFilter {
    /// In one of these states; in any if there are none.
    pub(in crate::db) states: Vec<PushState>,
    /// Of this store.
    pub(in crate::db) store: Option<StoreId>,
    /// Of this SKU.
    pub(in crate::db) sku: Option<Sku>,
    /// Of this run.
    pub(in crate::db) run: Option<RunId>,
}

impl PackFilter {
    fn takes(&self, pack: &Pack) -> bool {
        (self.states.is_empty() || self.states.contains(&pack.state))
            && self.store.is_none_or(|store| store == pack.store_id)
            && self.run.is_none_or(|run| run == pack.run_id)
    }
}

impl Tenant<'_> {
    /// The pack that holds this push, if one does.
    pub(in crate::db) fn pack_of(&mut self, id: PushId) -> Result<Option<Pack>> {
        let scope = self.scope();
        let row: Option<PackRow> = on!(self.conn, c => scope.push_packs().filter(push_packs::id.le(id.bytes()))
            .order(push_packs::id.desc()).first(c).optional())?;
        let pack = row.map(PackRow::pack).transpose()?;
        Ok(pack.filter(|pack| pack.push_of(id).is_some()))
    }

    /// The push of this id, if it is in a pack.
    pub(in crate::db) fn packed_push(&mut self, id: PushId) -> Result<Option<Push>> {
        Ok(self.pack_of(id)?.and_then(|pack| pack.push_of(id)).transpose()?)
    }

    /// Pushes in packs, newest first, starting below `after`.
    pub(in crate::db) fn packed_pushes(&mut self, filter: &PackFilter, after: Option<PushId>, limit: i64) -> Result<Vec<Push>> {
        let most = usize::try_from(limit).unwrap_or_default();
        let mut candidates = match &filter.sku {
            Some(sku) => self.packs_of_sku(sku.as_str(), filter.store)?,
            None => self.next_packs(filter, after, limit)?,
        };
        candidates.retain(|id| after.is_none_or(|after| *id < after.bytes()));
        let step = if filter.sku.is_some() { FEW } else { candidates.len().max(1) };
        let mut found = Vec::new();
        for chunk in candidates.chunks(step) {
            for pack in self.packs_of_ids(chunk)?.iter().rev().filter(|pack| filter.takes(pack)) {
                for place in (0..pack.len()).rev() {
                    let is_wanted = filter.sku.as_ref().is_none_or(|sku| pack.items.get(place).is_some_and(|to| to.sku == sku.as_str()));
                    if is_wanted && after.is_none_or(|after| pack.id.nth(place) < after) {
                        found.extend(pack.push(place).transpose()?);
                    }
                }
            }
            if found.len() >= most {
                break;
            }
        }
        found.truncate(most);
        Ok(found)
    }

    /// The newest packs below `after` that together hold at least `limit` pushes, newest first.
    fn next_packs(&mut self, filter: &PackFilter, after: Option<PushId>, limit: i64) -> Result<Vec<Vec<u8>>> {
        let scope = self.scope();
        let states: Vec<i16> = filter.states.iter().copied().map(state_code).collect();
        let rows: Vec<(Vec<u8>, i32)> = on!(self.conn, c => {
            let mut query = scope.push_packs().select((push_packs::id, push_packs::size)).order(push_packs::id.desc()).limit(limit).into_boxed();
            if let Some(after) = after { query = query.filter(push_packs::id.lt(after.bytes())); }
            if !states.is_empty() { query = query.filter(push_packs::state.eq_any(states.clone())); }
            if let Some(store) = filter.store { query = query.filter(push_packs::store_id.eq(store.bytes())); }
            if let Some(run) = filter.run { query = query.filter(push_packs::run_id.eq(run.bytes())); }
            query.load(c)?
        });
        // Of the first one, most may come after where the page starts.
        let most = usize::try_from(limit).unwrap_or_default().saturating_add(PACK_SIZE);
        Ok(enough(rows.into_iter(), most))
    }

    /// The packs that may hold pushes of a SKU, newest first: those that reach over one of its listings, and those of which
    /// a listing has another SKU by now.
    fn packs_of_sku(&mut self, sku: &str, store: Option<StoreId>) -> Result<Vec<Vec<u8>>> {
        let scope = self.scope();
        let listed: Vec<(Vec<u8>, Vec<u8>)> = on!(self.conn, c => scope.listings().select((listings::store_id, listings::id))
            .filter(listings::sku.eq(sku)).load(c))?;
        let mut found: BTreeSet<Vec<u8>> = BTreeSet::new();
        for (of_store, listing) in listed {
            if store.is_none_or(|store| store.bytes() == of_store) {
                found.extend(self.packs_over(&of_store, &listing)?);
            }
        }
        let scattered: Vec<Vec<u8>> = on!(self.conn, c => scope.push_packs().select(push_packs::id).filter(push_packs::scattered).load(c))?;
        found.extend(scattered);
        Ok(found.into_iter().rev().collect())
    }

    /// The packs of a store among whose listings this one comes, newest first.
    fn packs_over(&mut self, store: &[u8], listing: &[u8]) -> Result<Vec<Vec<u8>>> {
        let scope = self.scope();
        let mut ids: Vec<Vec<u8>> = on!(self.conn, c => scope.push_packs().select(push_packs::id).filter(push_packs::store_id.eq(store))
            .filter(push_packs::first_listing.le(listing)).filter(push_packs::last_listing.ge(listing)).load(c))?;
        ids.sort_unstable_by(|a, b| b.cmp(a));
        Ok(ids)
    }

    /// The newest push of this listing of this SKU in a pack, in this state if one is given.
    pub(in crate::db) fn last_packed(&mut self, listing: ListingId, sku: &str, state: Option<i16>) -> Result<Option<Push>> {
        let scope = self.scope();
        let store: Option<Vec<u8>> = on!(self.conn, c => scope.listings().select(listings::store_id)
            .filter(listings::id.eq(listing.bytes())).get_result(c).optional())?;
        let Some(store) = store else { return Ok(None) };
        for chunk in self.packs_over(&store, &listing.bytes())?.chunks(FEW) {
            for pack in self.packs_of_ids(chunk)?.iter().rev().filter(|pack| state.is_none_or(|code| code == state_code(pack.state))) {
                let place = pack.items.iter().position(|to| to.listing_id == listing && to.sku == sku);
                if let Some(push) = place.and_then(|place| pack.push(place)) {
                    return Ok(Some(push?));
                }
            }
        }
        Ok(None)
    }

    /// Which of these listings, each with its store, SKU and a time, have had a push in a pack confirmed at that time or later.
    /// Only packs after `since` are looked at.
    pub(in crate::db) fn packed_since(
        &mut self,
        since: &[u8],
        wanted: &HashMap<ListingId, (StoreId, String, Timestamp)>,
    ) -> Result<BTreeSet<ListingId>> {
        type Row = (Vec<u8>, Vec<u8>, Vec<u8>, Vec<u8>, Option<Timestamp>);
        if wanted.is_empty() {
            return Ok(BTreeSet::new());
        }
        let scope = self.scope();
        let columns = (push_packs::store_id, push_packs::id, push_packs::first_listing, push_packs::last_listing, push_packs::confirmed_at);
        let mut rows: Vec<Row> = on!(self.conn, c => scope.push_packs().select(columns).filter(pack_is_confirmed())
            .filter(push_packs::id.gt(since)).load(c))?;
        rows.sort_unstable();
        let mut by_store: HashMap<&[u8], Vec<&Row>> = HashMap::new();
        rows.iter().for_each(|row| by_store.entry(row.0.as_slice()).or_default().push(row));
        // For each listing the packs that reach over it, the newest last.
        let mut over: HashMap<ListingId, Vec<&[u8]>> = HashMap::new();
        for (listing, (store, _, at)) in wanted {
            let (store, id) = (store.bytes(), listing.bytes());
            let reaches = |row: &&&Row| row.2 <= id && id <= row.3 && row.4.is_some_and(|confirmed_at| confirmed_at >= *at);
            let of_store = by_store.get(store.as_slice()).map(Vec::as_slice).unwrap_or_default();
            over.insert(*listing, of_store.iter().filter(reaches).map(|row| row.1.as_slice()).collect());
        }
        let mut found = BTreeSet::new();
        loop {
            over.retain(|listing, ids| !ids.is_empty() && !found.contains(listing));
            let newest: BTreeSet<Vec<u8>> = over.values_mut().filter_map(Vec::pop).map(<[u8]>::to_vec).collect();
            if newest.is_empty() {
                return Ok(found);
            }
            for pack in self.packs_of_ids(&newest.into_iter().collect::<Vec<_>>())? {
                let is_wanted = |to: &&Addressee| wanted.get(&to.listing_id).is_some_and(|(_, sku, _)| *sku == to.sku);
                found.extend(pack.items.iter().filter(is_wanted).map(|to| to.listing_id));
            }
        }
    }

    /// How many pushes in packs this filter finds; counting stops at `at_most`.
    pub(in crate::db) fn count_packed(&mut self, filter: &PackFilter, at_most: i64) -> Result<i64> {
        if filter.sku.is_some() {
            return Ok(i64::try_from(self.packed_pushes(filter, None, at_most)?.len()).unwrap_or(i64::MAX));
        }
        let scope = self.scope();
        let states: Vec<i16> = filter.states.iter().copied().map(state_code).collect();
        let sizes: Vec<i32> = on!(self.conn, c => {
            let mut query = scope.push_packs().select(push_packs::size).limit(at_most).into_boxed();
            if !states.is_empty() { query = query.filter(push_packs::state.eq_any(states.clone())); }
            if let Some(store) = filter.store { query = query.filter(push_packs::store_id.eq(store.bytes())); }
            query.load(c)?
        });
        Ok(sizes.into_iter().map(i64::from).sum::<i64>().min(at_most))
    }

    /// How many pushes in packs have not ended, by state, store and run.
    pub(in crate::db) fn packed_loads(&mut self) -> Result<Vec<PackedLoad>> {
        type Row = (i16, Vec<u8>, Vec<u8>, i32);
        let scope = self.scope();
        let rows: Vec<Row> = on!(self.conn, c => scope.push_packs()
            .select((push_packs::state, push_packs::store_id, push_packs::run_id, push_packs::size)).filter(pack_is_active()).load(c))?;
        let mut loads: HashMap<(PushState, StoreId, RunId), i64> = HashMap::new();
        for (state, store, run, size) in rows {
            let state = state_of(state).ok_or_else(|| Error::Corrupt(format!("push_packs.state {state} is unknown")))?;
            let store = id_of(&store, StoreId::from_bytes, "push_packs.store_id")?;
            let run = id_of(&run, RunId::from_bytes, "push_packs.run_id")?;
            *loads.entry((state, store, run)).or_default() += i64::from(size);
        }
        Ok(loads.into_iter().map(|((state, store, run), pushes)| PackedLoad { state, store, run, pushes }).collect())
    }

    /// Pushes in packs that changed after `since` and not after `until`, latest change first, about `limit` of them.
    pub(in crate::db) fn packed_changed_between(&mut self, since: Timestamp, until: Timestamp, limit: i64) -> Result<Vec<Push>> {
        let scope = self.scope();
        // As with single pushes, two statements, so that each has its index.
        macro_rules! changed {
            ($packs:expr) => {
                $packs
                    .select((push_packs::id, push_packs::size, push_packs::updated_at))
                    .filter(push_packs::updated_at.gt(since))
                    .filter(push_packs::updated_at.le(until))
                    .order(push_packs::updated_at.desc())
                    .limit(limit)
            };
        }
        let mut rows: Vec<(Vec<u8>, i32, Timestamp)> = on!(self.conn, c => changed!(scope.push_packs().filter(pack_is_active())).load(c))?;
        rows.extend(match &mut self.conn.backend {
            Backend::Sqlite(c) => changed!(scope.push_packs_by_age().filter(pack_has_ended())).load::<(Vec<u8>, i32, Timestamp)>(c)?,
            Backend::Postgres(c) => changed!(scope.push_packs().filter(pack_has_ended())).load::<(Vec<u8>, i32, Timestamp)>(c)?,
        });
        rows.sort_by_key(|(_, _, updated_at)| std::cmp::Reverse(*updated_at));
        let most = usize::try_from(limit).unwrap_or_default();
        let ids = enough(rows.into_iter().map(|(id, size, _)| (id, size)), most);
        let mut packs = self.packs_of_ids(&ids)?;
        packs.sort_by_key(|pack| std::cmp::Reverse(pack.updated_at));
        let mut found = Vec::new();
        for pack in packs {
            found.extend(pack.pushes()?);
        }
        Ok(found)
    }
}

/// Single pushes together with those in packs, which were read before: what was unpacked in between is there twice.
pub(in crate::db) fn with_packed(alone: Vec<Push>, packed: Vec<Push>) -> Vec<Push> {
    let ids: BTreeSet<PushId> = alone.iter().map(Push::id).collect();
    let mut all = alone;
    all.extend(packed.into_iter().filter(|push| !ids.contains(&push.id())));
    all
}

/// How many pushes in packs there are of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::db) struct PackedLoad {
    pub(in crate::db) state: PushState,
    pub(in crate::db) store: StoreId,
    pub(in crate::db) run: RunId,
    pub(in crate::db) pushes: i64,
}

/// The first of these packs that together hold at least `most` pushes.
fn enough(packs: impl Iterator<Item = (Vec<u8>, i32)>, most: usize) -> Vec<Vec<u8>> {
    let mut sum = 0;
    let take = |(id, size): (Vec<u8>, i32)| {
        let is_enough = sum >= most;
        sum += usize::try_from(size).unwrap_or_default();
        (!is_enough).then_some(id)
    };
    packs.map_while(take).collect()
}
