//! Sync runs as rows. [`run`](crate::domain::run) decides what happens to a run; here are the statements before and after.
mod row;
mod undoing;
mod weighing;

use super::connection::{Backend, on};
use super::kept::kept;
use super::listings::{Listing, ListingRow};
use super::schema::{listings, sync_runs};
use super::sets::among_ids;
use super::settings::OwnRules;
use super::{Changed, Error, Result, Tenant, id_of};
use crate::domain::guard::Guard;
use crate::domain::limits::MAX_STORES;
use crate::domain::push::{Addressee, Push};
use crate::domain::run::{Expansion, Overwrites, Progress, progress, supersede_held};
use crate::domain::schedule::DueRun;
use crate::domain::targets::{Listed, SellerRules};
use crate::domain::webhook::Message;
use crate::domain::{ListingId, RunId, StoreId, Timestamp};
use chrono::NaiveDate;
use diesel::prelude::*;
use row::{RunRow, filter_from_json, filter_to_json, word_of};
use std::collections::BTreeMap;

pub use crate::domain::run::{EXPAND_PAGE, Run, RunFilter, RunKind, RunState};
pub use crate::domain::targets::Extent;
pub use undoing::UndonePage;

/// The next listings that this filter covers, in the order of their ids.
macro_rules! covered {
    ($scope:expr, $select:expr, $filter:expr, $after:expr, $limit:expr) => {{
        let after = $after.map(|id: ListingId| id.bytes()).unwrap_or_default();
        let mut query = $scope.listings().select($select).filter(listings::id.gt(after)).order(listings::id).limit($limit).into_boxed();
        if let Some(ids) = &$filter.store_ids {
            query = query.filter(listings::store_id.eq_any(ids.iter().map(StoreId::bytes).collect::<Vec<_>>()));
        }
        if let Some(skus) = &$filter.skus {
            query = query.filter(listings::sku.eq_any(skus.iter().map(ToString::to_string).collect::<Vec<_>>()));
        }
        query
    }};
}

/// What became of the next page of listings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expanded {
    /// No run has listings left.
    Nothing,
    /// They became pushes.
    Page,
    /// Their run is to be weighed against these limits first.
    Unweighed(Box<Expansion>, Guard),
}

impl Tenant<'_> {
    /// Starts a manual or initial run; its listings are counted soon after.
    pub fn start_run(&mut self, kind: RunKind, filter: &RunFilter, now: Timestamp) -> Result<Run> {
        let run = Run::start(kind, now);
        self.insert_run(&run, filter)?;
        Ok(run)
    }

    fn insert_run(&mut self, run: &Run, filter: &RunFilter) -> Result<()> {
        let (row, filter) = (RunRow::new(self.key(), run)?, filter_to_json(filter)?);
        self.note(Changed::Configuration);
        on!(self.conn, c => diesel::insert_into(sync_runs::table).values((&row, sync_runs::filter.eq(&filter))).execute(c))?;
        Ok(())
    }

    /// Starts a daily run of one store, or records it as missed, also because it falls into the frozen window of this name. `None` if its date already has a run: the unique key of
    /// seller, store and local date decides, even if other writers were faster.
    pub fn start_daily_run(&mut self, store: StoreId, due: &DueRun, frozen: Option<&str>, now: Timestamp) -> Result<Option<Run>> {
        let mut run = Run::daily(store, due, now);
        if let Some(window) = frozen {
            run.skip(window, now);
        }
        let row = RunRow::new(self.key(), &run)?;
        let inserted = on!(self.conn, c => diesel::insert_into(sync_runs::table).values(&row)
            .on_conflict((sync_runs::seller_id, sync_runs::store_id, sync_runs::local_date)).do_nothing().execute(c))?;
        if inserted == 0 {
            return Ok(None);
        }
        self.notify_of_run(RunState::Running, &run, now)?;
        Ok(Some(run))
    }

    /// The latest local date for which this store has a daily run, missed ones included. Those that were recorded before the clock was
    /// set back do not count: dates before theirs come again, and have had no run. No date has two, whatever this says.
    pub fn last_run_date(&mut self, store: StoreId, now: Timestamp) -> Result<Option<NaiveDate>> {
        let scope = self.scope();
        let latest: Option<String> = on!(self.conn, c => scope.sync_runs().select(diesel::dsl::max(sync_runs::local_date))
            .filter(sync_runs::store_id.eq(store.bytes())).filter(sync_runs::started_at.le(now)).get_result(c))?;
        latest.map(|text| text.parse().map_err(|_| Error::Corrupt("sync_runs.local_date".to_owned()))).transpose()
    }

    /// Deletes the records of runs that counted as missed before the clock was set back: their time is still to come.
    pub fn forget_runs_missed_ahead(&mut self, store: StoreId, now: Timestamp) -> Result<()> {
        let scope = self.scope();
        on!(self.conn, c => diesel::delete(scope.sync_runs().filter(sync_runs::store_id.eq(store.bytes()))
            .filter(sync_runs::state.eq(RunState::Missed.as_str())).filter(sync_runs::started_at.gt(now))).execute(c))?;
        Ok(())
    }

    /// As [`Self::last_run_date`], for each store that has had a daily run.
    pub fn last_run_dates(&mut self, now: Timestamp) -> Result<BTreeMap<StoreId, NaiveDate>> {
        let scope = self.scope();
        let rows: Vec<(Option<Vec<u8>>, Option<String>)> = on!(self.conn, c => scope.sync_runs().filter(sync_runs::local_date.is_not_null())
            .filter(sync_runs::started_at.le(now))
            .group_by(sync_runs::store_id).select((sync_runs::store_id, diesel::dsl::max(sync_runs::local_date))).load(c))?;
        let read = |(store, date): (Vec<u8>, String)| {
            let store = id_of(&store, StoreId::from_bytes, "sync_runs.store_id")?;
            Ok((store, date.parse().map_err(|_| Error::Corrupt("sync_runs.local_date".to_owned()))?))
        };
        rows.into_iter().filter_map(|(store, date)| store.zip(date)).map(read).collect()
    }

    /// The stores that each of these runs is limited to; a run that is not limited is missing. Reads only the beginning of
    /// what a run covers, which may name thousands of SKUs, so of very many stores some are left out.
    pub fn stores_of_runs(&mut self, ids: &[RunId]) -> Result<BTreeMap<RunId, Vec<StoreId>>> {
        type Row = (Vec<u8>, Option<Vec<u8>>, Option<String>);
        let scope = self.scope();
        let ids: Vec<Vec<u8>> = ids.iter().map(RunId::bytes).collect();
        let beginning = diesel::dsl::sql::<diesel::sql_types::Nullable<diesel::sql_types::Text>>("SUBSTR(filter, 1, 400)");
        let rows: Vec<Row> = on!(self.conn, c => scope.sync_runs()
            .filter(sync_runs::id.eq_any(&ids)).select((sync_runs::id, sync_runs::store_id, beginning.clone())).load(c))?;
        let mut found = BTreeMap::new();
        for (id, store, filter) in rows {
            let listed = filter.as_deref().and_then(|text| text.strip_prefix("{\"store_ids\":[")).unwrap_or_default();
            let listed = listed.split(']').next().unwrap_or_default().split(',').filter_map(|id| id.trim_matches('"').parse().ok());
            let own = store.as_deref().map(|id| id_of(id, StoreId::from_bytes, "sync_runs.store_id")).transpose()?;
            let stores: Vec<StoreId> = own.into_iter().chain(listed).collect();
            if !stores.is_empty() {
                found.insert(id_of(&id, RunId::from_bytes, "sync_runs.id")?, stores);
            }
        }
        Ok(found)
    }

    /// One run.
    ///
    /// # Errors
    /// [`Error::NotFound`] if it does not exist or belongs to another seller.
    pub fn run(&mut self, id: RunId) -> Result<Run> {
        let scope = self.scope();
        let row = on!(self.conn, c => scope.sync_runs().filter(sync_runs::id.eq(id.bytes())).select(RunRow::as_select()).get_result(c))?;
        row.run()
    }

    /// Newest first, starting below `after`.
    pub fn runs(&mut self, after: Option<RunId>, limit: i64) -> Result<Vec<Run>> {
        let scope = self.scope();
        let rows: Vec<RunRow> = on!(self.conn, c => {
            let mut query = scope.sync_runs().select(RunRow::as_select()).order(sync_runs::id.desc()).limit(limit).into_boxed();
            if let Some(after) = after { query = query.filter(sync_runs::id.lt(after.bytes())); }
            query.load(c)?
        });
        rows.into_iter().map(RunRow::run).collect()
    }

    /// Runs that are open or ended after `since`, newest first.
    pub fn live_runs(&mut self, since: Timestamp, limit: i64) -> Result<Vec<Run>> {
        let scope = self.scope();
        // Two statements, so that each has its index: by seller for open runs, by age for those that have ended.
        let mut rows: Vec<RunRow> = on!(self.conn, c => scope.sync_runs().select(RunRow::as_select())
            .filter(sync_runs::finished_at.is_null()).order((sync_runs::started_at.desc(), sync_runs::id.desc())).limit(limit).load(c))?;
        macro_rules! ended {
            ($runs:expr) => {
                $runs.select(RunRow::as_select()).filter(sync_runs::finished_at.gt(since)).order(sync_runs::finished_at.desc()).limit(limit)
            };
        }
        rows.extend(match &mut self.conn.backend {
            Backend::Sqlite(c) => ended!(scope.sync_runs_by_age()).load::<RunRow>(c)?,
            Backend::Postgres(c) => ended!(scope.sync_runs()).load::<RunRow>(c)?,
        });
        rows.sort_by(|a, b| b.id.cmp(&a.id));
        rows.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        rows.into_iter().map(RunRow::run).collect()
    }

    /// The number of listings that an overwrite of everything would cover, and the number of their stores.
    pub fn overwrite_extent(&mut self) -> Result<Extent> {
        let settings = self.sync_settings()?;
        let stores = self.stores(None, MAX_STORES)?;
        let loads = self.store_loads()?;
        let total = |store: StoreId| loads.get(&store).map(|load| load.listings).unwrap_or_default();
        let mut listed: BTreeMap<StoreId, Listed> =
            stores.iter().map(|store| (store.id, Listed { total: total(store.id), ..Listed::default() })).collect();
        let rules_with = |rules| SellerRules::new(settings.clone(), stores.iter().map(|store| (store.rules(), store.hold())), rules);
        let mut after = String::new();
        loop {
            let skus = self.skus_with_rules(OwnRules::Switching, &after)?;
            let Some(last) = skus.last() else { break };
            last.clone_into(&mut after);
            let rules = rules_with(self.rules_of(&skus)?);
            for (store, sku) in self.listings_of_skus(&skus)? {
                let Some(listed) = listed.get_mut(&store) else { continue };
                listed.with_own_rules += 1;
                listed.pushed_by_own_rules += i64::from(rules.is_pushed(store, &sku));
            }
        }
        Ok(rules_with(self.rules_of(&[])?).extent(&listed))
    }

    /// Listings that a run with this filter would cover, in the order of their ids, starting after `after`.
    pub fn covered_listings(&mut self, filter: &RunFilter, after: Option<ListingId>, limit: i64) -> Result<Vec<Listing>> {
        let scope = self.scope();
        let rows: Vec<ListingRow> = on!(self.conn, c => covered!(scope, listings::all_columns, filter, after, limit).load(c))?;
        rows.into_iter().map(ListingRow::listing).collect()
    }

    /// Turns the next page of listings of some open run into pushes, unless that run has to be weighed first.
    pub fn expand_runs(&mut self, now: Timestamp) -> Result<Expanded> {
        let scope = self.scope();
        let Some(mut expansion) = self.next_expansion()? else { return Ok(Expanded::Nothing) };
        // A former version has begun without weighing.
        if !expansion.run.weighed && expansion.expanded_to.is_none() {
            let guard = self.sync_settings()?.guard;
            if !guard.is_off() {
                return Ok(Expanded::Unweighed(Box::new(expansion), guard));
            }
        }
        if let Some(undone) = expansion.run.undoes {
            self.expand_undo(expansion, undone, now)?;
            return Ok(Expanded::Page);
        }
        let state_before = expansion.run.state;
        let page = self.next_addressees(&expansion)?;
        let rules = self.seller_rules(&page.iter().map(|to| to.sku.clone()).collect::<Vec<_>>())?;
        let Overwrites { held, packs } = expansion.next_page(page, &rules, now);
        let of: Vec<ListingId> = held.iter().map(Push::listing_id).collect();
        let (before, superseded) = supersede_held(self.active_pushes(&of)?, now);
        self.put(&superseded)?;
        self.count_run_progress(&before, &superseded, now)?;
        self.put(&held)?;
        self.put_packs(&packs)?;
        let (run, expanded_to) = (&expansion.run, expansion.expanded_to.map(|id| id.bytes()));
        on!(self.conn, c => kept(diesel::update(scope.sync_runs().filter(sync_runs::id.eq(run.id.bytes())))
            .set((sync_runs::total.eq(run.total), sync_runs::expanded.eq(run.expanded), sync_runs::expanded_to.eq(expanded_to),
                sync_runs::state.eq(word_of(run.state)), sync_runs::finished_at.eq(run.finished_at)))).run(c))?;
        self.notify_of_run(state_before, &expansion.run, now)?;
        Ok(Expanded::Page)
    }

    fn next_expansion(&mut self) -> Result<Option<Expansion>> {
        let scope = self.scope();
        let found: Option<(RunRow, Option<String>, Option<Vec<u8>>)> = on!(self.conn, c => scope.sync_runs()
            .select((RunRow::as_select(), sync_runs::filter, sync_runs::expanded_to))
            .filter(sync_runs::finished_at.is_null()).filter(sync_runs::expanded.eq(false))
            // Not by the id alone, in whose order SQLite would scan all the runs that the seller ever had.
            .order((sync_runs::started_at, sync_runs::id)).first(c).optional())?;
        let Some((row, filter, expanded_to)) = found else { return Ok(None) };
        let filter = filter.as_deref().map(filter_from_json).transpose()?.unwrap_or_default();
        // Before the first page, an earlier version stored an empty value.
        let expanded_to = expanded_to.filter(|id| !id.is_empty());
        let expanded_to = expanded_to.map(|id| id_of(&id, ListingId::from_bytes, "sync_runs.expanded_to")).transpose()?;
        Ok(Some(Expansion::new(row.run()?, filter, expanded_to)))
    }

    fn next_addressees(&mut self, expansion: &Expansion) -> Result<Vec<Addressee>> {
        type Row = (Vec<u8>, Vec<u8>, String, String, Option<String>);
        let scope = self.scope();
        let columns = (listings::id, listings::store_id, listings::sku, listings::external_id, listings::extra);
        let rows: Vec<Row> = on!(self.conn, c => covered!(scope, columns, expansion.filter, expansion.expanded_to, EXPAND_PAGE).load(c))?;
        let read = |(id, store, sku, external_id, extra): Row| {
            let listing_id = id_of(&id, ListingId::from_bytes, "listings.id")?;
            let store_id = id_of(&store, StoreId::from_bytes, "listings.store_id")?;
            Ok(Addressee { store_id, listing_id, sku, external_id, extra })
        };
        rows.into_iter().map(read).collect()
    }

    /// Counts pushes of runs that ended between `before` and `after`.
    pub(super) fn count_run_progress(&mut self, before: &[Push], after: &[Push], now: Timestamp) -> Result<()> {
        for (id, progress) in progress(before, after) {
            self.add_progress(id, progress, now)?;
        }
        Ok(())
    }

    /// Counts pushes of a run that ended.
    pub(super) fn add_progress(&mut self, id: RunId, progress: Progress, now: Timestamp) -> Result<()> {
        let scope = self.scope();
        let one = || scope.sync_runs().filter(sync_runs::id.eq(id.bytes()));
        // A push may outlive its run.
        let Some(row) = on!(self.conn, c => one().select(RunRow::as_select()).get_result(c).optional())? else { return Ok(()) };
        let mut run = row.run()?;
        let before = run.state;
        run.count(progress, now);
        on!(self.conn, c => kept(diesel::update(one()).set((sync_runs::done.eq(run.done), sync_runs::failed.eq(run.failed),
            sync_runs::state.eq(word_of(run.state)), sync_runs::finished_at.eq(run.finished_at)))).run(c))?;
        self.notify_of_run(before, &run, now)
    }

    /// Notifies webhooks of what has become of a run whose state was `before`.
    pub(super) fn notify_of_run(&mut self, before: RunState, run: &Run, now: Timestamp) -> Result<()> {
        Message::of_run(before, run).map_or(Ok(()), |message| self.notify(&message, now))
    }

    fn open_runs(&mut self) -> Result<Vec<Run>> {
        let scope = self.scope();
        let rows: Vec<RunRow> =
            on!(self.conn, c => scope.sync_runs().filter(sync_runs::finished_at.is_null()).select(RunRow::as_select()).load(c))?;
        rows.into_iter().map(RunRow::run).collect()
    }

    pub(super) fn open_manual_runs(&mut self) -> Result<Vec<RunId>> {
        Ok(self.open_runs()?.into_iter().filter(|run| !run.kind.is_automatic()).map(|run| run.id).collect())
    }

    pub(super) fn cancel_auto_runs(&mut self, reason: &str, now: Timestamp) -> Result<()> {
        let scope = self.scope();
        let mut runs = self.open_runs()?;
        runs.retain(|run| run.kind.is_automatic());
        let before: Vec<RunState> = runs.iter().map(|run| run.state).collect();
        runs.iter_mut().for_each(|run| run.cancel(reason, now));
        let Some(any) = runs.first() else { return Ok(()) };
        // All of them end in the same way.
        let ids: Vec<Vec<u8>> = runs.iter().map(|run| run.id.bytes()).collect();
        on!(self.conn, c => kept(diesel::update(scope.sync_runs().filter(among_ids(sync_runs::id, ids)))
            .set((sync_runs::state.eq(any.state.as_str()), sync_runs::finished_at.eq(any.finished_at), sync_runs::reason.eq(&any.reason),
                sync_runs::expanded.eq(any.expanded)))).run(c))?;
        for (before, run) in before.into_iter().zip(&runs) {
            self.notify_of_run(before, run, now)?;
        }
        Ok(())
    }
}
