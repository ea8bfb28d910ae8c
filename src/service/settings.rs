//! *Auto-sync inventory*: the switch, the frequency, the daily time, the allocation mode.
use super::context::{Caller, Result, Service, audited};
use super::daily::next_run_of;
use super::shares::{check_shares, share_of};
use super::stores::view as store_view;
use crate::db::Tenant;
use crate::db::pushes::CancelScope;
use crate::db::runs::{RunFilter, RunKind};
use crate::db::stores::Store;
use crate::domain::allocation::AllocationMode;
use crate::domain::drift::Policy;
use crate::domain::frequency::Frequency;
use crate::domain::guard::{Guard, GuardChange};
use crate::domain::problem::Checks;
use crate::domain::settings::{MAX_CATCH_UP_HOURS, MAX_RULE_UNITS, SyncSettings, parse_daily_at, parse_timezone};
use crate::domain::switching::SettingsChange;
use crate::domain::{FieldError, RunId, StoreId, Timestamp};
use serde::Serialize;
use serde_json::json;

/// The sync settings as they appear in answers and in the audit log.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = SettingsAnswer)]
pub struct SettingsView {
    auto_sync: bool,
    frequency: Frequency,
    #[schema(example = "03:30")]
    daily_at: String,
    #[schema(example = "Asia/Taipei")]
    timezone: String,
    catch_up_hours: i64,
    allocation_mode: AllocationMode,
    buffer: i64,
    trigger_on_cancellation: bool,
    /// Whether stock events create SKUs that do not exist.
    create_skus: bool,
    /// How much a sync may change without asking.
    guard: Guard,
    /// What the daily check of the listings does about those that show something other than expected.
    drift: Policy,
    /// When the next daily run is due, if there will be one.
    next_run_at: Option<Timestamp>,
    /// The initial overwrite that this change started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub initial_sync_id: Option<RunId>,
}

/// The settings, and when the next daily run is due.
pub fn view(settings: &SyncSettings, next_run_at: Option<Timestamp>) -> SettingsView {
    SettingsView {
        auto_sync: settings.auto_sync,
        frequency: settings.frequency,
        daily_at: settings.daily_at.format("%H:%M").to_string(),
        timezone: settings.timezone.name().to_owned(),
        catch_up_hours: settings.catch_up_hours,
        allocation_mode: settings.allocation_mode,
        buffer: settings.buffer,
        trigger_on_cancellation: settings.trigger_on_cancellation,
        create_skus: settings.create_skus,
        guard: settings.guard,
        drift: settings.drift,
        next_run_at,
        initial_sync_id: None,
    }
}

/// A change of the sync settings as it was entered; omitted fields keep their values.
#[derive(Debug, Clone, Default)]
pub struct EnteredChange {
    /// See [`SettingsChange::auto_sync`].
    pub auto_sync: Option<bool>,
    /// Incremental or timed full coverage.
    pub frequency: Option<Frequency>,
    /// Local time of the daily run, `HH:MM`.
    pub daily_at: Option<String>,
    /// An IANA time zone.
    pub timezone: Option<String>,
    /// How late a missed daily run is still caught up, 0 to 23 hours.
    pub catch_up_hours: Option<i64>,
    /// How stores share the pool.
    pub allocation_mode: Option<AllocationMode>,
    /// Units of every SKU to keep back.
    pub buffer: Option<i64>,
    /// Whether a cancellation triggers increases like a return.
    pub trigger_on_cancellation: Option<bool>,
    /// Whether stock events create SKUs that do not exist.
    pub create_skus: Option<bool>,
    /// How much a sync may change without asking.
    pub guard: GuardChange,
    /// What the daily check does about listings that differ.
    pub drift: Option<Policy>,
    /// See [`SettingsChange::initial_overwrite`].
    pub initial_overwrite: Option<bool>,
}

impl EnteredChange {
    /// Checks each field separately.
    ///
    /// # Errors
    /// Every invalid field.
    pub fn check(&self) -> Result<SettingsChange, Vec<FieldError>> {
        let mut checks = Checks::default();
        let daily_at = self.daily_at.as_deref().and_then(|text| checks.take("/daily_at", parse_daily_at(text)));
        let timezone = self.timezone.as_deref().and_then(|text| checks.take("/timezone", parse_timezone(text)));
        checks.within("/catch_up_hours", self.catch_up_hours, 0, MAX_CATCH_UP_HOURS);
        checks.within("/buffer", self.buffer, 0, MAX_RULE_UNITS);
        checks.within("/guard/zero_percent", self.guard.zero_percent.flatten(), 0, 100);
        checks.within("/guard/units", self.guard.units.flatten(), 0, MAX_RULE_UNITS);
        checks.done()?;
        Ok(SettingsChange {
            auto_sync: self.auto_sync,
            frequency: self.frequency,
            daily_at,
            timezone,
            catch_up_hours: self.catch_up_hours,
            allocation_mode: self.allocation_mode,
            buffer: self.buffer,
            trigger_on_cancellation: self.trigger_on_cancellation,
            create_skus: self.create_skus,
            guard: self.guard,
            drift: self.drift,
            initial_overwrite: self.initial_overwrite,
        })
    }
}

/// Changes the sync settings, and starts or cancels runs and pushes accordingly. Returns the new settings and the initial
/// overwrite that was started.
///
/// # Errors
/// Every invalid field, or shares that would sum to more than 100%.
pub async fn change(service: &Service, caller: &Caller, entered: EnteredChange) -> Result<(SyncSettings, Option<RunId>)> {
    let change = entered.check()?;
    let (now, actor) = (service.now(), caller.actor());
    let saved = caller.db.write(move |t| {
        let old = t.sync_settings()?;
        let Some(switched) = change.apply(&old, now) else { return Ok((old, None)) };
        let new = switched.settings;
        check_shares(t, &new, "/allocation_mode")?;
        t.save_sync_settings(&new, now)?;
        if new.timezone != old.timezone {
            t.freeze(now)?;
        }
        if switched.cancels {
            t.cancel_pushes(CancelScope::AutoSync, "Auto-sync was switched off.", now)?;
        }
        let begins = switched.begins_initial_run;
        let initial = begins.then(|| t.start_run(RunKind::Initial, &RunFilter::default(), now)).transpose()?;
        audit_change(t, &actor, &old, &new, now)?;
        Ok((new, initial.map(|run| run.id)))
    });
    Ok(saved.await?)
}

/// Moves a seller to another time zone, and its next daily run with it.
///
/// # Errors
/// If the database fails.
pub(super) fn move_to_zone(t: &mut Tenant<'_>, actor: &str, timezone: chrono_tz::Tz, now: Timestamp) -> Result<(), crate::db::Error> {
    let old = t.sync_settings()?;
    let change = SettingsChange { timezone: Some(timezone), ..SettingsChange::default() };
    let Some(switched) = change.apply(&old, now) else { return Ok(()) };
    t.save_sync_settings(&switched.settings, now)?;
    t.freeze(now)?;
    audit_change(t, actor, &old, &switched.settings, now)
}

fn audit_change(t: &mut Tenant<'_>, actor: &str, old: &SyncSettings, new: &SyncSettings, now: Timestamp) -> Result<(), crate::db::Error> {
    let mut entry = audited(actor, "sync_settings.changed", "sync-settings");
    let (before, after) = (next_run_of(t, old, now)?, next_run_of(t, new, now)?);
    (entry.before, entry.after) = (Some(json!(view(old, before))), Some(json!(view(new, after))));
    t.append_audit(&entry, now)
}

/// How to share the pool among the stores.
#[derive(Debug, Clone)]
pub struct Allocation {
    /// Shared or exclusive.
    pub mode: AllocationMode,
    /// Units of every SKU to keep back.
    pub buffer: i64,
    /// The stores' own shares, in percent; `None` for a store that is not pushed to.
    pub shares: Vec<(StoreId, Option<f64>)>,
}

/// Changes allocation mode, buffer and the stores' shares together: while a split is being changed share by share, the
/// sum might exceed 100%.
///
/// # Errors
/// Every invalid field; pointers are `/buffer` and `/shares/{store id}`.
pub async fn allocate(service: &Service, caller: &Caller, wanted: Allocation) -> Result<()> {
    let mut checks = Checks::default();
    checks.within("/buffer", Some(wanted.buffer), 0, MAX_RULE_UNITS);
    let mut shares = Vec::with_capacity(wanted.shares.len());
    for (store, percent) in wanted.shares {
        let share = percent.and_then(|percent| checks.take(&format!("/shares/{store}"), share_of(percent)));
        shares.push((store, share));
    }
    checks.done()?;
    let (now, actor) = (service.now(), caller.actor());
    let saved = caller.db.write(move |t| {
        let old = t.sync_settings()?;
        let new = SyncSettings { allocation_mode: wanted.mode, buffer: wanted.buffer, ..old.clone() };
        if new != old {
            t.save_sync_settings(&new, now)?;
            audit_change(t, &actor, &old, &new, now)?;
        }
        for (id, share) in &shares {
            let before = t.store(*id)?;
            if before.share == *share {
                continue;
            }
            let after = Store { share: *share, updated_at: now, ..before.clone() };
            t.save_store(&after)?;
            let mut entry = audited(&actor, "store.changed", &after.name);
            (entry.before, entry.after) = (Some(json!(store_view(&before, now))), Some(json!(store_view(&after, now))));
            t.append_audit(&entry, now)?;
        }
        check_shares(t, &new, "/shares")
    });
    Ok(saved.await?)
}
