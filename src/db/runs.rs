//! Sync runs: one overwrite of many listings. Started, expanded into pushes page by page, counted, ended.
//!
//! Every listing of a run is a push of its own, so a run goes on after a restart where it was, and its progress is
//! counted as its pushes end.
use super::connection::on;
use super::listings::{Listing, ListingRow};
use super::schema::{listings, sync_runs};
use super::{Error, Result, Tenant, id_of};
use crate::domain::limits::MAX_STORES;
use crate::domain::push::{Addressee, Push};
use crate::domain::schedule::DueRun;
use crate::domain::settings::{StoreRules, resolve};
use crate::domain::{ListingId, RunId, Sku, StoreId, Timestamp};
use chrono::NaiveDate;
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// Listings that become pushes in one transaction.
pub const EXPAND_PAGE: i64 = 500;

/// Why it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunKind {
    /// The seller asked for it.
    Manual,
    /// Timed full coverage.
    Daily,
    /// Auto-sync was switched on.
    Initial,
}

/// Where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// Under way.
    Running,
    /// All its listings were overwritten, or failed.
    Finished,
    /// Called off.
    Cancelled,
    /// Its time passed while nothing was running.
    Missed,
}

macro_rules! words {
    ($type:ident: $($variant:ident = $word:literal),+) => {
        impl $type {
            fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
            fn from_word(word: &str) -> Result<Self> {
                match word { $($word => Ok(Self::$variant),)+ _ => Err(Error::Corrupt(format!("sync_runs: {word}"))) }
            }
        }
    };
}
words!(RunKind: Manual = "manual", Daily = "daily", Initial = "initial");
words!(RunState: Running = "running", Finished = "finished", Cancelled = "cancelled", Missed = "missed");

/// What it covers; everything where a field is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunFilter {
    /// These stores.
    pub store_ids: Option<Vec<StoreId>>,
    /// These SKUs.
    pub skus: Option<Vec<Sku>>,
}

#[derive(Serialize, Deserialize)]
struct FilterJson {
    store_ids: Option<Vec<StoreId>>,
    skus: Option<Vec<String>>,
}

/// One sync run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Its id.
    pub id: RunId,
    /// Why it runs.
    pub kind: RunKind,
    /// Where it stands.
    pub state: RunState,
    /// Its store, where it has just one (daily).
    pub store_id: Option<StoreId>,
    /// The local date it belongs to (daily).
    pub local_date: Option<String>,
    /// Listings it covers, as far as counted.
    pub total: i64,
    /// Overwritten.
    pub done: i64,
    /// Rejected, cancelled or otherwise not overwritten.
    pub failed: i64,
    /// Whether `total` is final.
    pub expanded: bool,
    /// In plain words.
    pub reason: Option<String>,
    /// When it should have begun (daily). Milliseconds since 1970.
    pub scheduled_for: Option<Timestamp>,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
}

impl Run {
    /// When it will be at its end, at its pace so far; `None` while that is not known, and when it has ended.
    pub fn eta(&self, now: Timestamp) -> Option<Timestamp> {
        let ended = self.done + self.failed;
        if self.state != RunState::Running || !self.expanded || ended == 0 {
            return None;
        }
        let per_listing =
            i128::from((now - self.started_at).num_milliseconds().max(0)) * i128::from((self.total - ended).max(0)) / i128::from(ended);
        Some(now + Duration::from_millis(u64::try_from(per_listing).unwrap_or(u64::MAX)))
    }
}

#[derive(Queryable, Insertable, Debug)]
#[diesel(table_name = sync_runs, treat_none_as_default_value = false)]
struct RunRow {
    seller_id: Vec<u8>,
    id: Vec<u8>,
    kind: String,
    state: String,
    store_id: Option<Vec<u8>>,
    local_date: Option<String>,
    filter: Option<String>,
    total: i64,
    done: i64,
    failed: i64,
    expanded_to: Option<Vec<u8>>,
    expanded: bool,
    reason: Option<String>,
    scheduled_for: Option<Timestamp>,
    started_at: Timestamp,
    finished_at: Option<Timestamp>,
}

impl RunRow {
    fn new(seller_id: Vec<u8>, kind: RunKind, now: Timestamp) -> Self {
        Self {
            seller_id,
            id: RunId::new(now).bytes(),
            kind: kind.word().to_owned(),
            state: RunState::Running.word().to_owned(),
            store_id: None,
            local_date: None,
            filter: None,
            total: 0,
            done: 0,
            failed: 0,
            expanded_to: None,
            expanded: false,
            reason: None,
            scheduled_for: None,
            started_at: now,
            finished_at: None,
        }
    }

    fn run(self) -> Result<Run> {
        Ok(Run {
            id: id_of(&self.id, RunId::from_bytes, "sync_runs.id")?,
            kind: RunKind::from_word(&self.kind)?,
            state: RunState::from_word(&self.state)?,
            store_id: self.store_id.map(|b| id_of(&b, StoreId::from_bytes, "sync_runs.store_id")).transpose()?,
            local_date: self.local_date,
            total: self.total,
            done: self.done,
            failed: self.failed,
            expanded: self.expanded,
            reason: self.reason,
            scheduled_for: self.scheduled_for,
            started_at: self.started_at,
            finished_at: self.finished_at,
        })
    }
}

/// What an overwrite would concern.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Extent {
    /// Listings that may be pushed.
    pub listings: i64,
    /// Stores they are in.
    pub stores: i64,
}

/// A listing's id, store, SKU, external id and particulars.
type ListingPick = (Vec<u8>, Vec<u8>, String, String, Option<String>);

impl Tenant<'_> {
    /// Starts a manual or initial run; its listings are counted soon after.
    ///
    /// # Errors
    /// Those of the database.
    pub fn start_run(&mut self, kind: RunKind, filter: &RunFilter, now: Timestamp) -> Result<Run> {
        let json = FilterJson {
            store_ids: filter.store_ids.clone(),
            skus: filter.skus.as_ref().map(|skus| skus.iter().map(ToString::to_string).collect()),
        };
        let filter = serde_json::to_string(&json).map_err(|e| Error::Corrupt(e.to_string()))?;
        let row = RunRow { filter: Some(filter), ..RunRow::new(self.key(), kind, now) };
        on!(self.conn, c => diesel::insert_into(sync_runs::table).values(&row).execute(c))?;
        row.run()
    }

    /// Starts, or records as missed, a daily run of one store. `None` when its date has one already, whatever
    /// happened in between: the unique key of seller, store and local date says so.
    ///
    /// # Errors
    /// Those of the database.
    pub fn start_daily_run(&mut self, store: StoreId, due: &DueRun, now: Timestamp) -> Result<Option<Run>> {
        let mut row = RunRow {
            store_id: Some(store.bytes()),
            local_date: Some(due.date.to_string()),
            scheduled_for: Some(due.scheduled_for),
            ..RunRow::new(self.key(), RunKind::Daily, now)
        };
        if due.missed {
            row.state = RunState::Missed.word().to_owned();
            row.expanded = true;
            row.finished_at = Some(now);
            row.reason = Some("Nothing was running at its time, nor within the catch-up window after it.".to_owned());
        }
        let inserted = on!(self.conn, c => diesel::insert_into(sync_runs::table).values(&row)
            .on_conflict((sync_runs::seller_id, sync_runs::store_id, sync_runs::local_date)).do_nothing().execute(c))?;
        (inserted > 0).then(|| row.run()).transpose()
    }

    /// The latest local date for which this store has a daily run, missed ones included.
    ///
    /// # Errors
    /// Those of the database.
    pub fn last_run_date(&mut self, store: StoreId) -> Result<Option<NaiveDate>> {
        let key = self.key();
        let latest: Option<String> = on!(self.conn, c => sync_runs::table.select(diesel::dsl::max(sync_runs::local_date))
            .filter(sync_runs::seller_id.eq(&key)).filter(sync_runs::store_id.eq(store.bytes())).get_result(c))?;
        latest.map(|text| text.parse().map_err(|_| Error::Corrupt("sync_runs.local_date".to_owned()))).transpose()
    }

    /// One run.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none, or it is another seller's.
    pub fn run(&mut self, id: RunId) -> Result<Run> {
        let key = self.key();
        let row: RunRow = on!(self.conn, c => sync_runs::table.find((&key, id.bytes())).get_result(c))?;
        row.run()
    }

    /// Newest first, from below `after`.
    ///
    /// # Errors
    /// Those of the database.
    pub fn runs(&mut self, after: Option<RunId>, limit: i64) -> Result<Vec<Run>> {
        let key = self.key();
        let rows: Vec<RunRow> = on!(self.conn, c => {
            let mut query = sync_runs::table.filter(sync_runs::seller_id.eq(&key)).order(sync_runs::id.desc()).limit(limit).into_boxed();
            if let Some(after) = after { query = query.filter(sync_runs::id.lt(after.bytes())); }
            query.load(c)?
        });
        rows.into_iter().map(RunRow::run).collect()
    }

    /// How many listings an overwrite of everything would concern, in how many stores.
    ///
    /// # Errors
    /// Those of the database.
    pub fn overwrite_extent(&mut self) -> Result<Extent> {
        let key = self.key();
        let settings = self.sync_settings()?;
        let all_rules = self.rules(None, i64::MAX)?;
        let stores = self.stores(None, MAX_STORES)?;
        let counts = self.store_loads()?;
        // A SKU's own rules decide only over its own listings: those few are looked at one by one.
        let particular: Vec<String> = all_rules.iter().filter_map(|rule| rule.sku.as_ref().map(ToString::to_string)).collect();
        let mut exceptions: BTreeMap<StoreId, Vec<String>> = BTreeMap::new();
        for chunk in particular.chunks(super::ROWS_PER_STATEMENT) {
            let rows: Vec<(Vec<u8>, String)> = on!(self.conn, c => listings::table.filter(listings::seller_id.eq(&key))
                .filter(listings::sku.eq_any(chunk)).select((listings::store_id, listings::sku)).distinct().load(c))?;
            for (store, sku) in rows {
                exceptions.entry(id_of(&store, StoreId::from_bytes, "listings.store_id")?).or_default().push(sku);
            }
        }
        let general: Vec<_> = all_rules.iter().filter(|rule| rule.sku.is_none()).cloned().collect();
        let mut extent = Extent::default();
        for store in stores {
            let mut own = exceptions.remove(&store.id).unwrap_or_default();
            own.sort_unstable();
            own.dedup();
            let listed = counts.get(&store.id).map_or(0, |load| load.listings);
            let plain = listed - i64::try_from(own.len()).unwrap_or(0);
            let mut pushed = if resolve(&settings, &store.rules(), "", &general).is_pushed() { plain } else { 0 };
            for sku in own {
                pushed += i64::from(resolve(&settings, &store.rules(), &sku, &all_rules).is_pushed());
            }
            extent.listings += pushed;
            extent.stores += i64::from(pushed > 0);
        }
        Ok(extent)
    }

    /// Listings that a run with this filter would cover, by age, from behind `after`.
    ///
    /// # Errors
    /// Those of the database.
    pub fn covered_listings(&mut self, filter: &RunFilter, after: Option<ListingId>, limit: i64) -> Result<Vec<Listing>> {
        let (key, after) = (self.key(), after.map(|id| id.bytes()).unwrap_or_default());
        let stores: Option<Vec<Vec<u8>>> = filter.store_ids.as_ref().map(|ids| ids.iter().map(StoreId::bytes).collect());
        let skus: Option<Vec<String>> = filter.skus.as_ref().map(|skus| skus.iter().map(ToString::to_string).collect());
        let rows: Vec<ListingRow> = on!(self.conn, c => {
            let mut query = listings::table.filter(listings::seller_id.eq(&key)).filter(listings::id.gt(&after))
                .order(listings::id).limit(limit).into_boxed();
            if let Some(ids) = &stores { query = query.filter(listings::store_id.eq_any(ids.clone())); }
            if let Some(skus) = &skus { query = query.filter(listings::sku.eq_any(skus.clone())); }
            query.load(c)?
        });
        rows.into_iter().map(ListingRow::listing).collect()
    }

    /// Runs that are open or ended after `since`, newest first.
    ///
    /// # Errors
    /// Those of the database.
    pub fn live_runs(&mut self, since: Timestamp, limit: i64) -> Result<Vec<Run>> {
        let key = self.key();
        let rows: Vec<RunRow> = on!(self.conn, c => sync_runs::table.filter(sync_runs::seller_id.eq(&key))
            .filter(sync_runs::finished_at.is_null().or(sync_runs::finished_at.gt(since)).assume_not_null())
            .order(sync_runs::id.desc()).limit(limit).load(c))?;
        rows.into_iter().map(RunRow::run).collect()
    }

    /// Makes pushes of the next page of listings of some open run. Returns whether there is more to expand.
    ///
    /// # Errors
    /// Those of the database.
    pub fn expand_runs(&mut self, now: Timestamp) -> Result<bool> {
        let key = self.key();
        let row: Option<RunRow> = on!(self.conn, c => sync_runs::table.filter(sync_runs::seller_id.eq(&key))
            .filter(sync_runs::finished_at.is_null()).filter(sync_runs::expanded.eq(false)).order(sync_runs::id).first(c).optional())?;
        let Some(row) = row else { return Ok(false) };
        let run_id = id_of(&row.id, RunId::from_bytes, "sync_runs.id")?;
        let filter: FilterJson = match &row.filter {
            Some(text) => serde_json::from_str(text).map_err(|_| Error::Corrupt("sync_runs.filter".to_owned()))?,
            None => FilterJson { store_ids: None, skus: None },
        };
        let store_ids: Option<Vec<Vec<u8>>> = match &row.store_id {
            Some(id) => Some(vec![id.clone()]),
            None => filter.store_ids.map(|ids| ids.iter().map(StoreId::bytes).collect()),
        };
        let after = row.expanded_to.clone().unwrap_or_default();
        let page: Vec<ListingPick> = on!(self.conn, c => {
            let mut query = listings::table.select((listings::id, listings::store_id, listings::sku, listings::external_id, listings::extra))
                .filter(listings::seller_id.eq(&key)).filter(listings::id.gt(&after)).order(listings::id).limit(EXPAND_PAGE).into_boxed();
            if let Some(ids) = &store_ids { query = query.filter(listings::store_id.eq_any(ids.clone())); }
            if let Some(skus) = &filter.skus { query = query.filter(listings::sku.eq_any(skus.clone())); }
            query.load(c)?
        });
        let more = page.len() >= usize::try_from(EXPAND_PAGE).unwrap_or(usize::MAX);
        let expanded_to = page.last().map_or(after, |row| row.0.clone());
        let queued = self.overwrites_of(page, run_id, now)?;
        self.supersede_held_overwrites(&queued, now)?;
        self.put(&queued)?;
        let added = i64::try_from(queued.len()).unwrap_or(0);
        on!(self.conn, c => diesel::update(sync_runs::table.find((&key, &row.id)))
            .set((sync_runs::total.eq(sync_runs::total + added), sync_runs::expanded_to.eq(&expanded_to), sync_runs::expanded.eq(!more))).execute(c))?;
        self.end_run_if_complete(run_id, now)?;
        Ok(true)
    }

    /// Overwrites of those of the page's listings that the rules allow to be pushed.
    fn overwrites_of(&mut self, page: Vec<ListingPick>, run: RunId, now: Timestamp) -> Result<Vec<Push>> {
        let settings = self.sync_settings()?;
        let stores: BTreeMap<StoreId, (StoreRules, bool)> =
            self.stores(None, MAX_STORES)?.iter().map(|s| (s.id, (s.rules(), s.is_held()))).collect();
        let skus: Vec<String> = page.iter().map(|row| row.2.clone()).collect();
        let mut all_rules = self.rules_of(&skus)?;
        let general: Vec<_> = all_rules.extract_if(.., |rule| rule.sku.is_none()).collect();
        let mut queued = Vec::with_capacity(page.len());
        for (id, store, sku, external_id, extra) in page {
            let store_id = id_of(&store, StoreId::from_bytes, "listings.store_id")?;
            let Some((store_rules, held)) = stores.get(&store_id) else { continue };
            let pushed = if all_rules.is_empty() {
                resolve(&settings, store_rules, &sku, &general).is_pushed()
            } else {
                let of_sku: Vec<_> =
                    all_rules.iter().filter(|r| r.sku.as_ref().is_some_and(|s| s.as_str() == sku)).chain(&general).cloned().collect();
                resolve(&settings, store_rules, &sku, &of_sku).is_pushed()
            };
            if !pushed {
                continue;
            }
            let listing_id = id_of(&id, ListingId::from_bytes, "listings.id")?;
            let to = Addressee { store_id, listing_id, sku, external_id, extra };
            queued.push(Push::overwrite(to, now, Some(run), None, *held));
        }
        Ok(queued)
    }

    /// A store may be held for days: the overwrites of its earlier runs need not be sent one after another then.
    fn supersede_held_overwrites(&mut self, by: &[Push], now: Timestamp) -> Result<()> {
        let of: Vec<ListingId> = by.iter().filter(|push| push.is_held()).map(Push::listing_id).collect();
        let mut earlier = self.active_pushes(&of)?;
        earlier.retain(|push| push.is_overwrite() && push.is_held());
        let before = earlier.clone();
        earlier.iter_mut().for_each(|push| push.supersede("A later overwrite of the listing waits as well.", now));
        self.put(&earlier)?;
        self.count_run_progress(&before, &earlier, now)
    }

    /// Counts pushes of runs that ended between `before` and `after`.
    pub(super) fn count_run_progress(&mut self, before: &[Push], after: &[Push], now: Timestamp) -> Result<()> {
        let key = self.key();
        let mut counts: BTreeMap<RunId, (i64, i64)> = BTreeMap::new();
        for push in after.iter().filter(|p| p.state().has_ended()) {
            let Some(run) = push.run_id() else { continue };
            if before.iter().any(|b| b.id() == push.id() && !b.state().has_ended()) {
                let (done, failed) = counts.entry(run).or_default();
                *(if push.is_confirmed() { done } else { failed }) += 1;
            }
        }
        for (run, (done, failed)) in counts {
            on!(self.conn, c => diesel::update(sync_runs::table.find((&key, run.bytes())))
                .set((sync_runs::done.eq(sync_runs::done + done), sync_runs::failed.eq(sync_runs::failed + failed))).execute(c))?;
            self.end_run_if_complete(run, now)?;
        }
        Ok(())
    }

    fn end_run_if_complete(&mut self, run: RunId, now: Timestamp) -> Result<()> {
        let key = self.key();
        on!(self.conn, c => diesel::update(sync_runs::table.find((&key, run.bytes())))
            .filter(sync_runs::finished_at.is_null()).filter(sync_runs::expanded)
            .filter((sync_runs::done + sync_runs::failed).ge(sync_runs::total))
            .set((sync_runs::state.eq(RunState::Finished.word()), sync_runs::finished_at.eq(now))).execute(c))?;
        Ok(())
    }

    pub(super) fn open_manual_runs(&mut self) -> Result<Vec<RunId>> {
        let key = self.key();
        let ids: Vec<Vec<u8>> = on!(self.conn, c => sync_runs::table.select(sync_runs::id).filter(sync_runs::seller_id.eq(&key))
            .filter(sync_runs::finished_at.is_null()).filter(sync_runs::kind.eq(RunKind::Manual.word())).load(c))?;
        ids.iter().map(|id| id_of(id, RunId::from_bytes, "sync_runs.id")).collect()
    }

    pub(super) fn cancel_auto_runs(&mut self, reason: &str, now: Timestamp) -> Result<()> {
        let key = self.key();
        on!(self.conn, c => diesel::update(sync_runs::table).filter(sync_runs::seller_id.eq(&key))
            .filter(sync_runs::finished_at.is_null()).filter(sync_runs::kind.ne(RunKind::Manual.word()))
            .set((sync_runs::state.eq(RunState::Cancelled.word()), sync_runs::finished_at.eq(now), sync_runs::reason.eq(reason),
                sync_runs::expanded.eq(true))).execute(c))?;
        Ok(())
    }
}
