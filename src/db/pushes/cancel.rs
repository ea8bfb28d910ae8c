//! Canceling pushes.
use super::codes::{CANCELLED, active_codes, state_of};
use super::conditions::is_rejected_increase;
use super::row::{PushRow, read_pushes};
use crate::db::connection::on;
use crate::db::kept::kept;
use crate::db::literal::literal;
use crate::db::packs::PackFilter;
use crate::db::schema::{listings, pushes, stores};
use crate::db::sets::among_ids;
use crate::db::{ROWS_PER_STATEMENT, Result, Tenant, id_of};
use crate::domain::circuit::PROBE_AFTER;
use crate::domain::push::Push;
use crate::domain::{ListingId, RunId, StoreId, Timestamp};
use diesel::prelude::*;
use diesel::sql_types::SmallInt;
use std::collections::{BTreeMap, BTreeSet};

/// Which pushes to cancel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CancelScope {
    /// Everything that auto-sync queued: increases, daily and initial runs; not manual runs.
    AutoSync,
    /// Everything for one store.
    Store(StoreId),
    /// What runs have queued for a store.
    RunsOf(StoreId),
    /// What a run has queued; not what is on its way, nor what has taken the place of increases.
    Run(RunId),
}

impl Tenant<'_> {
    /// [`Self::cancel_pushes`] for everything that concerns these listings.
    pub(in crate::db) fn cancel_pushes_of(&mut self, of: &[ListingId], reason: &str, now: Timestamp) -> Result<()> {
        let active = self.active_pushes(of)?;
        self.cancel_page(active, reason, now)
    }

    pub(in crate::db) fn cancel_page(&mut self, page: Vec<Push>, reason: &str, now: Timestamp) -> Result<()> {
        self.change_page(page, |push| push.cancel(reason, now), now)
    }

    fn change_page(&mut self, mut page: Vec<Push>, change: impl Fn(&mut Push), now: Timestamp) -> Result<()> {
        let before = page.clone();
        page.iter_mut().for_each(change);
        self.put(&page)?;
        self.count_run_progress(&before, &page, now)
    }

    /// Marks the listings of a canceled run whose increases were given up or refused: its overwrites, which would have brought them there,
    /// may have taken away the mark as they were begun.
    pub(in crate::db) fn mark_again(&mut self, run: RunId, now: Timestamp) -> Result<()> {
        let scope = self.scope();
        if !self.sync_settings()?.auto_sync {
            return Ok(());
        }
        let owed: Vec<Vec<u8>> = on!(self.conn, c => scope.pushes().select(pushes::listing_id).distinct()
            .filter(is_rejected_increase()).filter(pushes::contained.eq(false)).load(c))?;
        if owed.is_empty() {
            return Ok(());
        }
        let owed: BTreeSet<ListingId> =
            owed.iter().map(|id| id_of(id, ListingId::from_bytes, "pushes.listing_id")).collect::<Result<_>>()?;
        let filter = PackFilter { states: state_of(CANCELLED).into_iter().collect(), run: Some(run), ..PackFilter::default() };
        let mut canceled = self.packed_pushes(&filter, None, i64::MAX)?;
        let ids: Vec<Vec<u8>> = owed.iter().map(|id| id.bytes()).collect();
        for chunk in ids.chunks(ROWS_PER_STATEMENT) {
            let rows: Vec<PushRow> = on!(self.conn, c => scope.pushes().filter(among_ids(pushes::listing_id, chunk.to_vec()))
                .filter(pushes::run_id.eq(run.bytes())).filter(pushes::state.eq(CANCELLED)).load(c))?;
            canceled.extend(read_pushes(rows)?);
        }
        let places: BTreeMap<ListingId, StoreId> =
            canceled.iter().filter(|push| owed.contains(&push.listing_id())).map(|push| (push.listing_id(), push.store_id())).collect();
        let (listings, stores): (Vec<Vec<u8>>, BTreeSet<StoreId>) = places.iter().map(|(id, store)| (id.bytes(), *store)).unzip();
        for chunk in listings.chunks(ROWS_PER_STATEMENT) {
            on!(self.conn, c => kept(diesel::update(scope.listings().filter(among_ids(listings::id, chunk.to_vec())))
                .set(listings::marked.eq(true))).run(c))?;
        }
        for store in stores {
            on!(self.conn, c => kept(diesel::update(scope.stores().filter(stores::id.eq(store.bytes()))).filter(stores::probe_at.is_null())
                .set(stores::probe_at.eq(now + PROBE_AFTER))).run(c))?;
        }
        Ok(())
    }

    /// Cancels waiting pushes; those in flight are cancelled as soon as they are known not to have been applied. Returns
    /// the number of both.
    pub fn cancel_pushes(&mut self, scope: CancelScope, reason: &str, now: Timestamp) -> Result<usize> {
        let own = self.scope();
        let manual: Vec<RunId> = match scope {
            CancelScope::AutoSync => {
                // Runs first, so that they end as cancelled instead of being finished by their last push.
                self.cancel_auto_runs(reason, now)?;
                self.open_manual_runs()?
            }
            _ => Vec::new(),
        };
        let states = active_codes();
        let mut count = self.cancel_packs(scope, &manual, reason, now)?;
        let mut after = Vec::new();
        loop {
            let rows: Vec<PushRow> = on!(self.conn, c => {
                let query = own.pushes().filter(pushes::id.gt(&after)).limit(1000).into_boxed();
                let query = match scope {
                    CancelScope::AutoSync => query.filter(pushes::state.eq_any(&states)).order(pushes::id),
                    CancelScope::Store(store) => query.filter(pushes::state.eq_any(&states)).filter(pushes::store_id.eq(store.bytes()))
                        .order(pushes::id),
                    CancelScope::RunsOf(store) => query.filter(pushes::state.eq_any(&states)).filter(pushes::store_id.eq(store.bytes()))
                        .filter(pushes::run_id.is_not_null()).order(pushes::id),
                    // As in `undone_page`.
                    CancelScope::Run(run) => query.filter(pushes::run_id.eq(run.bytes()))
                        .filter(literal::<SmallInt>("+pushes.state").eq_any(&states)).order((pushes::kind, pushes::id)),
                };
                query.load(c)?
            });
            let mut page = read_pushes(rows)?;
            let Some(last) = page.last() else { break };
            after = last.id().bytes();
            page.retain(|push| push.run_id().is_none_or(|run| !manual.contains(&run)));
            count += page.len();
            match scope {
                CancelScope::Run(_) | CancelScope::RunsOf(_) => self.change_page(page, |push| push.cancel_with_run(reason, now), now)?,
                _ => self.cancel_page(page, reason, now)?,
            }
        }
        if scope == CancelScope::AutoSync {
            on!(self.conn, c => kept(diesel::update(own.listings()).filter(listings::marked)
                .set(listings::marked.eq(false))).run(c))?;
        }
        Ok(count)
    }
}
