//! Sync settings and rules of one seller.
use super::connection::on;
use super::drift::next_check;
use super::schema::{listings, rules, stores, sync_settings};
use super::sets::among;
use super::{Changed, Error, ROWS_PER_STATEMENT, Result, Tenant, id_of};
use crate::domain::allocation::{AllocationMode, Share};
use crate::domain::drift::Policy;
use crate::domain::frequency::Frequency;
use crate::domain::guard::Guard;
use crate::domain::schedule::next_run;
use crate::domain::settings::{Rule, SyncSettings, parse_daily_at, parse_timezone};
use crate::domain::{Sku, StoreId, Timestamp};
use diesel::prelude::*;
use diesel::upsert::excluded;
use std::collections::HashMap;

#[derive(Queryable, Insertable, AsChangeset, Selectable, Debug)]
#[diesel(table_name = sync_settings, treat_none_as_null = true, treat_none_as_default_value = false)]
pub(super) struct SettingsRow {
    pub(super) seller_id: Vec<u8>,
    auto_sync: bool,
    frequency: String,
    daily_at: String,
    timezone: String,
    catch_up_hours: i64,
    allocation_mode: String,
    buffer: i64,
    trigger_on_cancellation: bool,
    timed_since: Timestamp,
    next_run_at: Option<Timestamp>,
    create_skus: bool,
    guard_zero_percent: Option<i64>,
    guard_units: Option<i64>,
    drift: String,
    next_check_at: Option<Timestamp>,
    /// Only saving and deleting bundles changes it.
    #[diesel(skip_update)]
    has_bundles: bool,
}

impl SettingsRow {
    pub(super) fn new(seller_id: Vec<u8>, settings: &SyncSettings, now: Timestamp) -> Self {
        Self {
            seller_id,
            auto_sync: settings.auto_sync,
            frequency: match settings.frequency {
                Frequency::Incremental => "incremental",
                Frequency::TimedFull => "timed_full",
                Frequency::IncrementalAndDaily => "incremental_and_daily",
            }
            .to_owned(),
            daily_at: settings.daily_at.format("%H:%M").to_string(),
            timezone: settings.timezone.name().to_owned(),
            catch_up_hours: settings.catch_up_hours,
            allocation_mode: match settings.allocation_mode {
                AllocationMode::Shared => "shared",
                AllocationMode::Exclusive => "exclusive",
            }
            .to_owned(),
            buffer: settings.buffer,
            trigger_on_cancellation: settings.trigger_on_cancellation,
            timed_since: settings.timed_since,
            next_run_at: settings.is_timed().then(|| next_run(settings, now)),
            create_skus: settings.create_skus,
            guard_zero_percent: settings.guard.zero_percent,
            guard_units: settings.guard.units,
            drift: settings.drift.as_str().to_owned(),
            next_check_at: next_check(settings, now),
            has_bundles: settings.has_bundles,
        }
    }

    pub(super) fn settings(&self) -> Result<SyncSettings> {
        let corrupt = |column: &str| Error::Corrupt(format!("sync_settings.{column}"));
        Ok(SyncSettings {
            auto_sync: self.auto_sync,
            frequency: match self.frequency.as_str() {
                "incremental" => Frequency::Incremental,
                "timed_full" => Frequency::TimedFull,
                "incremental_and_daily" => Frequency::IncrementalAndDaily,
                _ => return Err(corrupt("frequency")),
            },
            daily_at: parse_daily_at(&self.daily_at).map_err(|_| corrupt("daily_at"))?,
            timezone: parse_timezone(&self.timezone).map_err(|_| corrupt("timezone"))?,
            catch_up_hours: self.catch_up_hours,
            allocation_mode: match self.allocation_mode.as_str() {
                "shared" => AllocationMode::Shared,
                "exclusive" => AllocationMode::Exclusive,
                _ => return Err(corrupt("allocation_mode")),
            },
            buffer: self.buffer,
            trigger_on_cancellation: self.trigger_on_cancellation,
            create_skus: self.create_skus,
            guard: Guard { zero_percent: self.guard_zero_percent, units: self.guard_units },
            drift: Policy::parse(&self.drift).ok_or_else(|| corrupt("drift"))?,
            timed_since: self.timed_since,
            has_bundles: self.has_bundles,
        })
    }
}

#[derive(Queryable, Insertable, AsChangeset, Debug)]
#[diesel(table_name = rules, treat_none_as_null = true, treat_none_as_default_value = false)]
pub(super) struct RuleRow {
    pub(super) seller_id: Vec<u8>,
    scope: String,
    sku: Option<String>,
    store_id: Option<Vec<u8>>,
    share: Option<i64>,
    buffer: Option<i64>,
    threshold: Option<i64>,
    max_shown: Option<i64>,
    sync_enabled: Option<bool>,
}

impl RuleRow {
    pub(super) fn rule(&self) -> Result<Rule> {
        let corrupt = |column: &str| Error::Corrupt(format!("rules.{column}"));
        Ok(Rule {
            sku: self.sku.as_deref().map(Sku::parse).transpose().map_err(|_| corrupt("sku"))?,
            store_id: self.store_id.as_deref().map(|b| id_of(b, StoreId::from_bytes, "rules.store_id")).transpose()?,
            share: self.share.map(|s| Share::from_hundredths(s).ok_or_else(|| corrupt("share"))).transpose()?,
            buffer: self.buffer,
            threshold: self.threshold,
            max_shown: self.max_shown,
            sync_enabled: self.sync_enabled,
        })
    }
}

/// Identifies what a rule applies to: unique within a seller, even where the rule names no SKU or no store.
pub fn rule_scope(rule: &Rule) -> String {
    let store = rule.store_id.map(|id| id.to_string()).unwrap_or_default();
    format!("{store}/{}", rule.sku.as_ref().map(Sku::as_str).unwrap_or_default())
}

/// Which rules of single SKUs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OwnRules {
    /// All.
    Any,
    /// Those that decide whether listings are pushed at all: that set a share or switch something on or off.
    Switching,
}

impl Tenant<'_> {
    /// The seller's sync settings.
    ///
    /// # Errors
    /// [`Error::NotFound`] when the seller was deleted.
    pub fn sync_settings(&mut self) -> Result<SyncSettings> {
        let scope = self.scope();
        let row: SettingsRow = on!(self.conn, c => scope.sync_settings().get_result(c))?;
        row.settings()
    }

    /// Saves the sync settings and the time at which the seller is next woken for a daily run.
    pub fn save_sync_settings(&mut self, settings: &SyncSettings, now: Timestamp) -> Result<()> {
        let scope = self.scope();
        let planned: Option<Option<Timestamp>> =
            on!(self.conn, c => scope.sync_settings().select(sync_settings::next_check_at).get_result(c).optional())?;
        let mut row = SettingsRow::new(self.key(), settings, now);
        // A check that is due and has not begun yet is not put off to the next day.
        let due = planned.flatten().filter(|at| *at <= now);
        row.next_check_at = row.next_check_at.map(|next| due.unwrap_or(next));
        self.note(Changed::Configuration);
        on!(self.conn, c => diesel::insert_into(sync_settings::table).values(&row)
            .on_conflict(sync_settings::seller_id).do_update().set(&row).execute(c))?;
        Ok(())
    }

    /// Sets the time at which the seller is next woken for a daily run, once the runs up to `now` are recorded.
    pub fn schedule_next_run(&mut self, settings: &SyncSettings, now: Timestamp) -> Result<()> {
        let scope = self.scope();
        let at = settings.is_timed().then(|| next_run(settings, now));
        on!(self.conn, c => diesel::update(scope.sync_settings()).set(sync_settings::next_run_at.eq(at)).execute(c))?;
        Ok(())
    }

    /// The clock was set back after the schedule was saved or a store was added: both count from now on.
    pub fn start_schedule_anew(&mut self, now: Timestamp) -> Result<()> {
        let scope = self.scope();
        let changed = on!(self.conn, c => diesel::update(scope.sync_settings().filter(sync_settings::timed_since.gt(now)))
            .set(sync_settings::timed_since.eq(now)).execute(c))?
            + on!(self.conn, c => diesel::update(scope.stores().filter(stores::created_at.gt(now))).set(stores::created_at.eq(now)).execute(c))?;
        if changed > 0 {
            self.note(Changed::Configuration);
            let settings = self.sync_settings()?;
            self.schedule_next_run(&settings, now)?;
        }
        Ok(())
    }

    /// The rules after `after` (a [`rule_scope`]), in a fixed order. What a store's own row says is not among them.
    pub fn rules(&mut self, after: Option<&str>, limit: i64) -> Result<Vec<Rule>> {
        let scope = self.scope();
        let after = after.unwrap_or_default().to_owned();
        let rows: Vec<RuleRow> = on!(self.conn, c => scope.rules().filter(rules::scope.gt(&after))
            .order(rules::scope).limit(limit).load(c))?;
        rows.iter().map(RuleRow::rule).collect()
    }

    /// The rules with these [`rule_scope`]s, in their order.
    pub fn rules_at(&mut self, scopes: &[String]) -> Result<Vec<Rule>> {
        let scope = self.scope();
        let rows: Vec<RuleRow> = on!(self.conn, c => scope.rules().filter(rules::scope.eq_any(scopes)).order(rules::scope).load(c))?;
        rows.iter().map(RuleRow::rule).collect()
    }

    /// Deletes the rules of stores that are gone: an earlier version could save a rule while its store was being deleted.
    /// With `skus`, only among the rules that [`Self::rules_of`] reads, so that one rule costs the same for any seller.
    pub fn delete_rules_of_missing_stores(&mut self, skus: Option<&[String]>) -> Result<()> {
        let scope = self.scope();
        let known = scope.stores().select(stores::id.nullable());
        let missing = rules::store_id.is_not_null().and(rules::store_id.ne_all(known).assume_not_null());
        let Some(skus) = skus else {
            on!(self.conn, c => diesel::delete(scope.rules().filter(missing)).execute(c))?;
            return Ok(());
        };
        on!(self.conn, c => diesel::delete(scope.rules().filter(rules::sku.is_null()).filter(missing.clone())).execute(c))?;
        for chunk in skus.chunks(ROWS_PER_STATEMENT) {
            on!(self.conn, c => diesel::delete(scope.rules().filter(rules::sku.eq_any(chunk)).filter(missing.clone())).execute(c))?;
        }
        Ok(())
    }

    /// The rules for these SKUs and those for no SKU. Two queries: for a single one, both backends scan all rules.
    pub fn rules_of(&mut self, skus: &[String]) -> Result<Vec<Rule>> {
        let scope = self.scope();
        let mut rows: Vec<RuleRow> = on!(self.conn, c => scope.rules().filter(rules::sku.is_null()).load(c))?;
        for chunk in skus.chunks(ROWS_PER_STATEMENT) {
            rows.extend(on!(self.conn, c => scope.rules().filter(among(rules::sku, chunk.to_vec())).load::<RuleRow>(c))?);
        }
        rows.iter().map(RuleRow::rule).collect()
    }

    /// All rules that set a share.
    pub fn rules_with_shares(&mut self) -> Result<Vec<Rule>> {
        let scope = self.scope();
        let rows: Vec<RuleRow> = on!(self.conn, c => scope.rules().filter(rules::share.is_not_null()).load(c))?;
        rows.iter().map(RuleRow::rule).collect()
    }

    /// How many listings of each store have a SKU with rules of its own, be they for every store or for that one.
    pub fn own_rules(&mut self) -> Result<HashMap<StoreId, i64>> {
        let scope = self.scope();
        let mut found: HashMap<StoreId, i64> = HashMap::new();
        let mut after = String::new();
        loop {
            let skus = self.skus_with_rules(OwnRules::Any, &after)?;
            let Some(last) = skus.last() else { return Ok(found) };
            last.clone_into(&mut after);
            let rows: Vec<(Option<String>, Option<Vec<u8>>)> =
                on!(self.conn, c => scope.rules().filter(among(rules::sku, skus.clone())).select((rules::sku, rules::store_id)).load(c))?;
            let mut of_sku: HashMap<String, Vec<Option<Vec<u8>>>> = HashMap::new();
            for (sku, store) in rows {
                of_sku.entry(sku.unwrap_or_default()).or_default().push(store);
            }
            for (store, sku) in self.listings_of_skus(&skus)? {
                let concerns = |of: &Option<Vec<u8>>| of.as_ref().is_none_or(|of| *of == store.bytes());
                if of_sku.get(&sku).is_some_and(|stores| stores.iter().any(concerns)) {
                    *found.entry(store).or_default() += 1;
                }
            }
        }
    }

    /// The next SKUs after this one that have such rules of their own, in their order: only so many, because a seller may have very
    /// many rules.
    pub(super) fn skus_with_rules(&mut self, which: OwnRules, after: &str) -> Result<Vec<String>> {
        let scope = self.scope();
        let skus: Vec<Option<String>> = on!(self.conn, c => {
            let mut query = scope.rules().select(rules::sku).distinct().filter(rules::sku.gt(after))
                .order(rules::sku).limit(i64::try_from(ROWS_PER_STATEMENT).unwrap_or(i64::MAX)).into_boxed();
            if which == OwnRules::Switching { query = query.filter(rules::share.is_not_null().or(rules::sync_enabled.is_not_null())); }
            query.load(c)?
        });
        Ok(skus.into_iter().flatten().collect())
    }

    /// The store and SKU of each listing of these SKUs.
    pub fn listings_of_skus(&mut self, skus: &[String]) -> Result<Vec<(StoreId, String)>> {
        let scope = self.scope();
        // With the id, because SQLite would scan all the seller's listings in an index that holds the other two.
        let rows: Vec<(Vec<u8>, Vec<u8>, String)> = on!(self.conn, c => scope.listings().filter(among(listings::sku, skus.to_vec()))
            .select((listings::id, listings::store_id, listings::sku)).load(c))?;
        rows.into_iter().map(|(_, store, sku)| Ok((id_of(&store, StoreId::from_bytes, "listings.store_id")?, sku))).collect()
    }

    /// Saves rules, replacing earlier ones with the same [`rule_scope`], which no two of them share; an empty rule is deleted.
    pub fn save_rules(&mut self, changed: &[Rule]) -> Result<()> {
        self.note(Changed::Configuration);
        let (key, scope) = (self.key(), self.scope());
        let is_empty = |rule: &&Rule| **rule == Rule { sku: rule.sku.clone(), store_id: rule.store_id, ..Rule::default() };
        let (empty, set): (Vec<&Rule>, Vec<&Rule>) = changed.iter().partition(is_empty);
        for chunk in empty.chunks(ROWS_PER_STATEMENT) {
            let scopes: Vec<String> = chunk.iter().map(|rule| rule_scope(rule)).collect();
            on!(self.conn, c => diesel::delete(scope.rules().filter(rules::scope.eq_any(&scopes))).execute(c))?;
        }
        let row = |rule: &&Rule| RuleRow {
            seller_id: key.clone(),
            scope: rule_scope(rule),
            sku: rule.sku.as_ref().map(ToString::to_string),
            store_id: rule.store_id.map(|id| id.bytes()),
            share: rule.share.map(Share::hundredths),
            buffer: rule.buffer,
            threshold: rule.threshold,
            max_shown: rule.max_shown,
            sync_enabled: rule.sync_enabled,
        };
        for chunk in set.chunks(ROWS_PER_STATEMENT) {
            let rows: Vec<RuleRow> = chunk.iter().map(row).collect();
            on!(self.conn, c => diesel::insert_into(rules::table).values(&rows)
                .on_conflict((rules::seller_id, rules::scope)).do_update().set((
                    rules::share.eq(excluded(rules::share)), rules::buffer.eq(excluded(rules::buffer)),
                    rules::threshold.eq(excluded(rules::threshold)), rules::max_shown.eq(excluded(rules::max_shown)),
                    rules::sync_enabled.eq(excluded(rules::sync_enabled)),
                )).execute(c))?;
        }
        Ok(())
    }
}
