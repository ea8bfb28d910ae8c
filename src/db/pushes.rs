//! Pushes of one seller: listed, saved, cancelled, retried. How they are claimed and finished is in
//! [`delivery`](super::delivery).
mod bulk;
mod cancel;
mod codes;
mod conditions;
mod row;

use super::connection::on;
use super::packs::{PackFilter, Which, with_packed};
use super::schema::{listings, pushes};
use super::sets::among_ids;
use super::{Changed, Error, ROWS_PER_STATEMENT, Result, Tenant, id_of};
use crate::domain::claim::waiting::{self, RetryFacts};
use crate::domain::push::{Push, PushState};
use crate::domain::{ListingId, PushId, Sku, StoreId, Timestamp};
pub use cancel::CancelScope;
use codes::retryable_codes;
pub(super) use codes::{
    CANCELLED, CONFIRMED, HELD, QUEUED, codes_of_interest, failure_codes, resolution_code, resolution_of, state_code, state_of,
};
pub(super) use conditions::{
    has_ended, is_active, is_claimable, is_confirmed, is_held, is_in_flight, is_increase, is_of_kind, is_overwrite, is_rejected,
    is_rejected_increase, is_sending, is_uncertain, is_waiting, nothing_is_in_flight, pack_has_ended, pack_is_active, pack_is_confirmed,
    pack_is_held, pack_is_queued, pack_is_sending,
};
use diesel::prelude::*;
use diesel::sql_types::Bool;
pub(super) use row::{PushRow, read_pushes};
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

impl PushFilter {
    pub(super) fn in_packs(&self) -> PackFilter {
        PackFilter { states: self.state.into_iter().collect(), store: self.store_id, sku: self.sku.clone(), run: None }
    }
}

/// The most pushes examined by one step of a retry.
pub const RETRY_STEP: i64 = 500;
/// The most packs whose pushes one step of a retry makes rows.
const RETRY_PACKS: usize = 5;

/// What one step of a retry did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Retried {
    /// How many pushes were queued again.
    pub queued: usize,
    /// Their stores.
    pub stores: BTreeSet<StoreId>,
    /// Where the next step starts; `None` after the last.
    pub last: Option<PushId>,
}

impl Tenant<'_> {
    /// Newest first, starting below `after`.
    pub fn list_pushes(&mut self, filter: &PushFilter, after: Option<PushId>, limit: i64) -> Result<Vec<Push>> {
        let packed = self.packed_pushes(&filter.in_packs(), after, limit)?;
        let scope = self.scope();
        let rows: Vec<PushRow> = on!(self.conn, c => {
            let mut query = scope.pushes().order(pushes::id.desc()).limit(limit).into_boxed();
            if let Some(after) = after { query = query.filter(pushes::id.lt(after.bytes())); }
            if let Some(state) = filter.state { query = query.filter(pushes::state.eq(state_code(state))); }
            if let Some(store) = filter.store_id { query = query.filter(pushes::store_id.eq(store.bytes())); }
            if let Some(sku) = &filter.sku { query = query.filter(pushes::sku.eq(sku.to_string())); }
            query.load(c)?
        });
        let mut found = with_packed(read_pushes(rows)?, packed);
        found.sort_unstable_by_key(|push| std::cmp::Reverse(push.id()));
        found.truncate(usize::try_from(limit).unwrap_or_default());
        Ok(found)
    }

    /// The newest push of each of these listings of one SKU.
    pub fn last_pushes(&mut self, sku: &Sku, of: &[ListingId]) -> Result<HashMap<ListingId, Push>> {
        self.last_in(sku, of, None)
    }

    /// The newest confirmed push of each of these listings of one SKU.
    pub fn last_confirmed_pushes(&mut self, sku: &Sku, of: &[ListingId]) -> Result<HashMap<ListingId, Push>> {
        self.last_in(sku, of, Some(CONFIRMED))
    }

    fn last_in(&mut self, sku: &Sku, of: &[ListingId], state: Option<i16>) -> Result<HashMap<ListingId, Push>> {
        let scope = self.scope();
        let mut found = HashMap::with_capacity(of.len());
        for listing in of {
            let packed = self.last_packed(*listing, sku.as_str(), state)?;
            let row: Option<PushRow> = on!(self.conn, c => {
                let mut query = scope.pushes().filter(pushes::sku.eq(sku.as_str()))
                    .filter(pushes::listing_id.eq(listing.bytes())).order(pushes::id.desc()).into_boxed();
                // The plus keeps SQLite from using the index by state, in which it would scan all the seller's pushes in that state.
                if let Some(state) = state { query = query.filter(diesel::dsl::sql::<Bool>(&format!("+state = {state}"))); }
                query.first(c).optional()?
            });
            let alone = row.map(PushRow::push).transpose()?;
            if let Some(push) = packed.into_iter().chain(alone).max_by_key(Push::id) {
                found.insert(*listing, push);
            }
        }
        Ok(found)
    }

    /// One push.
    ///
    /// # Errors
    /// [`Error::NotFound`] if it does not exist or belongs to another seller.
    pub fn push(&mut self, id: PushId) -> Result<Push> {
        if let Some(push) = self.push_alone(id)? {
            return Ok(push);
        }
        match self.packed_push(id)? {
            Some(push) => Ok(push),
            // It may have been unpacked just now.
            None => self.push_alone(id)?.ok_or(Error::NotFound),
        }
    }

    fn push_alone(&mut self, id: PushId) -> Result<Option<Push>> {
        let scope = self.scope();
        let row: Option<PushRow> = on!(self.conn, c => scope.pushes().filter(pushes::id.eq(id.bytes())).get_result(c).optional())?;
        row.map(PushRow::push).transpose()
    }

    /// The index of the first of these ids that does not belong to a push of this seller.
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

    /// Active pushes of these listings, in the order of their ids. Those that are in packs are unpacked.
    pub(super) fn active_pushes(&mut self, of: &[ListingId]) -> Result<Vec<Push>> {
        self.unpack_of(of, Which::Active)?;
        self.active_alone(of)
    }

    /// [`Self::active_pushes`], but for those in packs.
    pub(super) fn active_alone(&mut self, of: &[ListingId]) -> Result<Vec<Push>> {
        let scope = self.scope();
        let mut found = Vec::new();
        for chunk in of.chunks(ROWS_PER_STATEMENT) {
            let ids: Vec<Vec<u8>> = chunk.iter().map(|id| id.bytes()).collect();
            let rows: Vec<PushRow> =
                on!(self.conn, c => scope.pushes().filter(among_ids(pushes::listing_id, ids)).filter(is_active()).load(c))?;
            found.extend(read_pushes(rows)?);
        }
        // Sorted by age here: to return them in order, SQLite would scan all the seller's pushes.
        found.sort_unstable_by_key(Push::id);
        Ok(found)
    }

    /// Increases that wait for these listings.
    pub(super) fn waiting_increases(&mut self, of: &[ListingId]) -> Result<Vec<Push>> {
        let scope = self.scope();
        let mut found = Vec::new();
        for chunk in of.chunks(ROWS_PER_STATEMENT) {
            let ids: Vec<Vec<u8>> = chunk.iter().map(|id| id.bytes()).collect();
            let waiting = scope.pushes().filter(among_ids(pushes::listing_id, ids)).filter(is_active());
            let rows: Vec<PushRow> = on!(self.conn, c => waiting.filter(is_waiting()).filter(is_increase()).load(c))?;
            found.extend(read_pushes(rows)?);
        }
        found.sort_unstable_by_key(Push::id);
        Ok(found)
    }

    /// Makes rows of held pushes that are in packs, which [`retry_step`](Self::retry_step) needs: of those with these ids, or
    /// of all that match the filter. Returns whether there may be more, for another step.
    pub fn prepare_retry(&mut self, ids: Option<&[PushId]>, filter: &PushFilter) -> Result<bool> {
        if !retryable_codes(filter.state).contains(&HELD) {
            return Ok(false);
        }
        let unpacked = match ids {
            Some(ids) => self.unpack_held_of_ids(ids, RETRY_PACKS)?,
            None => self.unpack_first_held(filter.store_id, RETRY_PACKS)?,
        };
        Ok(unpacked == RETRY_PACKS)
    }

    /// Queues pushes again that are rejected, held or tried again later: the next [`RETRY_STEP`] of them after `after`, in the
    /// order of their ids, that match the filter and, if they are given, have one of these ids.
    ///
    /// An increase that a later overwrite of its listing contains is not sent again. One that would wait together with
    /// another increase of the same listing is merged into it. Those in packs are left out.
    pub fn retry_step(&mut self, ids: Option<&[PushId]>, filter: &PushFilter, after: Option<PushId>, now: Timestamp) -> Result<Retried> {
        self.note(Changed::Work);
        let scope = self.scope();
        let (states, after) = (retryable_codes(filter.state), after.map(|id| id.bytes()).unwrap_or_default());
        let rows: Vec<PushRow> = on!(self.conn, c => {
            let mut query = scope.pushes().filter(pushes::state.eq_any(&states))
                .filter(pushes::id.gt(&after)).order(pushes::id).limit(RETRY_STEP).into_boxed();
            if let Some(ids) = ids { query = query.filter(pushes::id.eq_any(ids.iter().map(|id| id.bytes()).collect::<Vec<_>>())); }
            if let Some(store) = filter.store_id { query = query.filter(pushes::store_id.eq(store.bytes())); }
            if let Some(sku) = &filter.sku { query = query.filter(pushes::sku.eq(sku.to_string())); }
            query.load(c)?
        });
        let page = read_pushes(rows)?;
        let is_full = i64::try_from(page.len()).is_ok_and(|count| count >= RETRY_STEP);
        let last = page.last().map(Push::id).filter(|_| is_full);
        Ok(Retried { last, ..self.retry_page(page, now)? })
    }

    fn retry_page(&mut self, page: Vec<Push>, now: Timestamp) -> Result<Retried> {
        let of: Vec<ListingId> = page.iter().map(Push::listing_id).collect();
        let paired = self.still_paired(&of)?;
        let held = self.held_stores(page.iter().map(Push::store_id), now)?;
        let active = self.active_pushes(&of)?;
        let retried = waiting::retry(page, &RetryFacts { paired, held: held.clone(), active }, now);
        self.put(&retried.changed)?;
        self.merge_waiting(&retried.queued, now)?;
        let mut stores: BTreeSet<StoreId> = retried.changed.iter().filter(|push| push.state().is_claimable()).map(Push::store_id).collect();
        for store in held {
            self.probe_soon(store, now)?;
            stores.insert(store);
        }
        Ok(Retried { queued: retried.queued.len(), stores, last: None })
    }

    /// Which of these stores are paused at `now` or need reauthorization. Those that were removed are not among them.
    pub(super) fn held_stores(&mut self, of: impl Iterator<Item = StoreId>, now: Timestamp) -> Result<BTreeSet<StoreId>> {
        let of: BTreeSet<StoreId> = of.collect();
        let mut held = BTreeSet::new();
        for store in of {
            match self.store(store) {
                Ok(row) if row.is_held(now) => drop(held.insert(store)),
                Ok(_) | Err(Error::NotFound) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(held)
    }

    /// Merges waiting increases of the same listing; see [`waiting::merge`].
    pub(super) fn merge_waiting(&mut self, of: &[ListingId], now: Timestamp) -> Result<()> {
        let changed = waiting::merge(self.active_pushes(of)?, now);
        self.put(&changed)
    }

    /// Ends what is still in flight at a store that is being removed: nothing would ever look at it again.
    pub(super) fn abandon_pushes(&mut self, store: StoreId, now: Timestamp) -> Result<()> {
        self.unpack_all(Some(store), Which::Sending)?;
        let scope = self.scope();
        let rows: Vec<PushRow> =
            on!(self.conn, c => scope.pushes().filter(pushes::store_id.eq(store.bytes())).filter(is_in_flight()).load(c))?;
        let mut page = read_pushes(rows)?;
        let before = page.clone();
        page.iter_mut().for_each(|push| push.abandon(now));
        self.put(&page)?;
        self.count_run_progress(&before, &page, now)
    }

    fn still_paired(&mut self, of: &[ListingId]) -> Result<BTreeSet<ListingId>> {
        let scope = self.scope();
        let ids: Vec<Vec<u8>> = of.iter().map(|id| id.bytes()).collect();
        let rows: Vec<Vec<u8>> = on!(self.conn, c => scope.listings().filter(among_ids(listings::id, ids)).select(listings::id).load(c))?;
        rows.iter().map(|id| id_of(id, ListingId::from_bytes, "listings.id")).collect()
    }
}
