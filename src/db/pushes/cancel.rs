//! Canceling pushes.
use super::codes::active_codes;
use super::row::{PushRow, read_pushes};
use crate::db::connection::on;
use crate::db::kept::kept;
use crate::db::literal::literal;
use crate::db::schema::{listings, pushes};
use crate::db::{Result, Tenant};
use crate::domain::push::Push;
use crate::domain::{ListingId, RunId, StoreId, Timestamp};
use diesel::prelude::*;
use diesel::sql_types::SmallInt;

/// Which pushes to cancel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CancelScope {
    /// Everything that auto-sync queued: increases, daily and initial runs; not manual runs.
    AutoSync,
    /// Everything for one store.
    Store(StoreId),
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
                CancelScope::Run(_) => self.change_page(page, |push| push.cancel_with_run(reason, now), now)?,
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
