//! Runs that are weighed before they begin, and their questions. [`guard`](crate::domain::guard) decides.
use super::row::{RunRow, word_of};
use crate::db::connection::on;
use crate::db::kept::kept;
use crate::db::packs::Which;
use crate::db::pushes::{CancelScope, PushRow, is_held, is_overwrite, read_pushes};
use crate::db::schema::{listings, pushes, sync_runs};
use crate::db::sets::among_ids;
use crate::db::{Changed, Error, ROWS_PER_STATEMENT, Result, Tenant, id_of};
use crate::domain::guard::{Answered, Guard, Question, Weighing};
use crate::domain::limits::MAX_BULK;
use crate::domain::push::Addressee;
use crate::domain::run::{CANCELED, Canceled, Expansion, Run, RunFilter, RunKind, RunState, supersede_to_ask};
use crate::domain::{ListingId, RunId, Sku, StoreId, Timestamp};
use diesel::dsl::count_star;
use diesel::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// Listings that are weighed in one read.
const WEIGH_PAGE: i64 = 2000;

/// Listings of a run, as far as they weigh anything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WeighPage {
    /// The store of each, what it shows, and what it would show; `None` for one that is not pushed.
    pub listings: Vec<(StoreId, i64, Option<i64>)>,
    /// Where the next page begins, by the listing or, of an undo, by the push; `None` after the last.
    pub next: Option<Uuid>,
}

/// A listing: its id, store, SKU, and what it shows.
type Row = (Vec<u8>, Vec<u8>, String, Option<i64>);

impl Tenant<'_> {
    /// The next listings that this run would cover, starting after `after`, as far as they matter to this guard.
    pub fn weigh_page(&mut self, of: &Expansion, guard: Guard, after: Option<Uuid>) -> Result<WeighPage> {
        if let Some(undone) = of.run.undoes {
            return self.weigh_undo(undone, guard, after);
        }
        let (scope, filter, after) = (self.scope(), &of.filter, after.map(ListingId));
        let rows: Vec<Row> = on!(self.conn, c => {
            let mut query = scope.listings().select((listings::id, listings::store_id, listings::sku, listings::shown))
                .filter(listings::id.gt(after.map(|id| id.bytes()).unwrap_or_default())).order(listings::id).limit(WEIGH_PAGE).into_boxed();
            if let Some(ids) = &filter.store_ids {
                query = query.filter(listings::store_id.eq_any(ids.iter().map(StoreId::bytes).collect::<Vec<_>>()));
            }
            if let Some(skus) = &filter.skus {
                query = query.filter(listings::sku.eq_any(skus.iter().map(ToString::to_string).collect::<Vec<_>>()));
            }
            query.load(c)?
        });
        let is_last = i64::try_from(rows.len()).is_ok_and(|listings| listings < WEIGH_PAGE);
        let next = rows.last().filter(|_| !is_last).map(|(id, ..)| id_of(id, ListingId::from_bytes, "listings.id")).transpose()?;
        Ok(WeighPage { listings: self.weights(rows, guard)?, next: next.map(|id| id.0) })
    }

    fn weights(&mut self, rows: Vec<Row>, guard: Guard) -> Result<Vec<(StoreId, i64, Option<i64>)>> {
        let mut weighed = Vec::new();
        for (id, store, sku, shown) in rows {
            let Some(shown) = shown.filter(|shown| guard.concerns(*shown)) else { continue };
            let listing_id = id_of(&id, ListingId::from_bytes, "listings.id")?;
            let store_id = id_of(&store, StoreId::from_bytes, "listings.store_id")?;
            weighed.push((Addressee { store_id, listing_id, sku, external_id: String::new(), extra: None }, shown));
        }
        let targets = self.targets_of_paired(&weighed.iter().map(|(to, _)| to).collect::<Vec<_>>())?;
        let weight = |(to, shown): (Addressee, i64)| (to.store_id, shown, targets.get(&to.listing_id).copied().flatten());
        Ok(weighed.into_iter().map(weight).collect())
    }

    /// A store is released. If the held overwrites of its runs would change more than the seller's limits allow, they give way to
    /// a run of the same listings that asks first.
    pub(in crate::db) fn ask_before_release(&mut self, store: StoreId, now: Timestamp) -> Result<()> {
        let listings = self.held_by_runs(store)?;
        if listings.is_empty() {
            return Ok(());
        }
        let (scope, guard) = (self.scope(), self.sync_settings()?.guard);
        if guard.is_off() {
            return Ok(());
        }
        let (mut weighing, mut skus) = (Weighing::default(), BTreeSet::new());
        for chunk in listings.chunks(ROWS_PER_STATEMENT) {
            let rows: Vec<Row> = on!(self.conn, c => scope.listings().filter(among_ids(listings::id, chunk.to_vec()))
                .select((listings::id, listings::store_id, listings::sku, listings::shown)).load(c))?;
            skus.extend(rows.iter().map(|(_, _, sku, _)| sku.clone()));
            self.weights(rows, guard)?.into_iter().for_each(|(store, shown, target)| weighing.add(store, shown, target));
        }
        for (store, showing) in self.showing_listings(&weighing.emptied())? {
            weighing.showing(store, showing);
        }
        let Some(question) = weighing.question(guard, now) else { return Ok(()) };
        self.unpack_all(Some(store), Which::Held)?;
        let rows: Vec<PushRow> = on!(self.conn, c => scope.pushes().filter(pushes::store_id.eq(store.bytes()))
            .filter(is_held()).filter(is_overwrite()).filter(pushes::run_id.is_not_null()).filter(pushes::undo.is_null()).load(c))?;
        let (before, after) = supersede_to_ask(read_pushes(rows)?, now);
        self.put(&after)?;
        self.count_run_progress(&before, &after, now)?;
        let skus = skus.iter().filter_map(|sku| Sku::parse(sku).ok()).collect::<Vec<_>>();
        // So many SKUs are all that the store has, or nearly.
        let filter = RunFilter { store_ids: Some(vec![store]), skus: Some(skus).filter(|skus| skus.len() <= MAX_BULK) };
        let run = self.start_run(RunKind::Manual, &filter, now)?;
        self.save_weighing(run.id, Some(question))
    }

    /// The listings to which overwrites of runs are held at this store; what an undo brings back was asked about with its run.
    fn held_by_runs(&mut self, store: StoreId) -> Result<Vec<Vec<u8>>> {
        let scope = self.scope();
        let mut found: Vec<Vec<u8>> = on!(self.conn, c => scope.pushes().select(pushes::listing_id).filter(pushes::store_id.eq(store.bytes()))
            .filter(is_held()).filter(is_overwrite()).filter(pushes::run_id.is_not_null()).filter(pushes::undo.is_null()).load(c))?;
        found.extend(self.held_packs(store)?.iter().flat_map(|pack| &pack.items).map(|to| to.listing_id.bytes()));
        Ok(found)
    }

    /// How many listings of each of these stores show something.
    pub fn showing_listings(&mut self, of: &[StoreId]) -> Result<BTreeMap<StoreId, i64>> {
        let scope = self.scope();
        let ids: Vec<Vec<u8>> = of.iter().map(StoreId::bytes).collect();
        let rows: Vec<(Vec<u8>, i64)> = on!(self.conn, c => scope.listings().filter(among_ids(listings::store_id, ids))
            .filter(listings::shown.gt(0)).group_by(listings::store_id).select((listings::store_id, count_star())).load(c))?;
        rows.into_iter().map(|(id, count)| Ok((id_of(&id, StoreId::from_bytes, "listings.store_id")?, count))).collect()
    }

    /// A run was weighed: it may begin, or waits for an answer.
    pub fn save_weighing(&mut self, id: RunId, question: Option<Question>) -> Result<()> {
        match self.run(id) {
            Ok(mut run) => {
                let before = run.state;
                run.weigh(question);
                self.save_answerable(&run)?;
                let asked_at = run.question.as_ref().map_or(run.started_at, |question| question.asked_at);
                self.notify_of_run(before, &run, asked_at)
            }
            // Deleted in between.
            Err(Error::NotFound) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Takes the answer to a run's question.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such run.
    pub fn answer_run(&mut self, id: RunId, go: bool, now: Timestamp) -> Result<(Answered, Run)> {
        let mut run = self.run(id)?;
        let before = run.state;
        run.lapse(now);
        let answered = run.answer(go, now);
        self.save_answerable(&run)?;
        self.notify_of_run(before, &run, now)?;
        self.note(Changed::Configuration);
        Ok((answered, run))
    }

    /// The newest runs that wait for an answer.
    pub fn waiting_runs(&mut self, limit: i64) -> Result<Vec<RunId>> {
        let scope = self.scope();
        let ids: Vec<Vec<u8>> = on!(self.conn, c => scope.sync_runs().select(sync_runs::id).filter(sync_runs::finished_at.is_null())
            .filter(sync_runs::answer_by.is_not_null()).order((sync_runs::started_at.desc(), sync_runs::id.desc())).limit(limit).load(c))?;
        ids.iter().map(|id| id_of(id, RunId::from_bytes, "sync_runs.id")).collect()
    }

    /// Ends the runs that have waited too long for an answer. Returns how many.
    pub fn lapse_questions(&mut self, now: Timestamp) -> Result<usize> {
        let scope = self.scope();
        let rows: Vec<RunRow> = on!(self.conn, c => scope.sync_runs().filter(sync_runs::answer_by.le(now)).filter(sync_runs::finished_at.is_null())
            .select(RunRow::as_select()).load(c))?;
        let mut runs: Vec<Run> = rows.into_iter().map(RunRow::run).collect::<Result<_>>()?;
        runs.retain_mut(|run| run.lapse(now));
        for run in &runs {
            self.save_answerable(run)?;
            self.notify_of_run(RunState::WaitingForAnswer, run, now)?;
        }
        Ok(runs.len())
    }

    /// Cancels a run that has not ended, with everything of it that waits: [`CancelScope::Run`].
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such run.
    pub fn cancel_run(&mut self, id: RunId, now: Timestamp) -> Result<(Canceled, Run)> {
        let mut run = self.run(id)?;
        let before = run.state;
        run.lapse(now);
        let canceled = run.cancel_on_request(now);
        if run.state != before {
            // Before its pushes, so that the last of them does not finish it.
            self.save_answerable(&run)?;
            self.notify_of_run(before, &run, now)?;
            self.note(Changed::Configuration);
        }
        if canceled != Canceled::HasEnded {
            // What was on its way as it was canceled before may wait again.
            self.cancel_pushes(CancelScope::Run(id), CANCELED, now)?;
        }
        Ok((canceled, self.run(id)?))
    }

    /// Saves what weighing, an answer, the lack of one, or a cancellation changes.
    fn save_answerable(&mut self, run: &Run) -> Result<()> {
        let scope = self.scope();
        let row = RunRow::new(self.key(), run)?;
        on!(self.conn, c => kept(diesel::update(scope.sync_runs().filter(sync_runs::id.eq(run.id.bytes())))
            .set((sync_runs::state.eq(word_of(run.state)), sync_runs::expanded.eq(run.expanded), sync_runs::weighed.eq(run.weighed),
                sync_runs::started_at.eq(run.started_at), sync_runs::question.eq(&row.question), sync_runs::answer_by.eq(row.answer_by), sync_runs::reason.eq(&run.reason),
                sync_runs::finished_at.eq(run.finished_at)))).run(c))?;
        Ok(())
    }
}
