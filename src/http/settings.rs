//! *Auto-sync inventory*: the switch, the frequency, the daily time, the allocation mode.
use super::auth::Caller;
use super::error::{ApiError, Problem};
use super::request::{Body, Checks};
use super::state::{Answer, State, audited};
use super::stores::{share_of, without_secrets};
use crate::db::pushes::CancelScope;
use crate::db::runs::{RunFilter, RunKind};
use crate::db::stores::Store;
use crate::db::{Error, Tenant};
use crate::domain::allocation::AllocationMode;
use crate::domain::limits::MAX_STORES;
use crate::domain::schedule::next_run;
use crate::domain::settings::{
    Frequency, MAX_CATCH_UP_HOURS, MAX_RULE_UNITS, SyncSettings, check_exclusive_shares, parse_daily_at, parse_timezone,
};
use crate::domain::{RunId, StoreId, Timestamp};
use actix_web::{HttpResponse, get, put};
use chrono::NaiveTime;
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// The sync settings.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct SettingsAnswer {
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
    /// When the next daily run is due, where there is one.
    next_run_at: Option<Timestamp>,
    /// The initial overwrite that this change began.
    #[serde(skip_serializing_if = "Option::is_none")]
    initial_sync_id: Option<RunId>,
}

fn answer(settings: &SyncSettings, now: Timestamp) -> SettingsAnswer {
    SettingsAnswer {
        auto_sync: settings.auto_sync,
        frequency: settings.frequency,
        daily_at: settings.daily_at.format("%H:%M").to_string(),
        timezone: settings.timezone.name().to_owned(),
        catch_up_hours: settings.catch_up_hours,
        allocation_mode: settings.allocation_mode,
        buffer: settings.buffer,
        trigger_on_cancellation: settings.trigger_on_cancellation,
        next_run_at: settings.is_timed().then(|| next_run(settings, now)),
        initial_sync_id: None,
    }
}

/// The sync settings.
#[utoipa::path(tag = "auto-sync inventory", security(("seller_key" = [])),
    responses((status = 200, body = SettingsAnswer), (status = 401, body = Problem)))]
#[get("/v1/sync-settings")]
pub async fn get_sync_settings(caller: Caller, state: State) -> Answer {
    let settings = caller.db.read(|t| t.sync_settings()).await?;
    Ok(HttpResponse::Ok().json(answer(&settings, state.clock.now())))
}

/// A change of the sync settings; what is left out stays as it is.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SettingsChange {
    /// Switching it on selects incremental unless `frequency` says otherwise.
    pub auto_sync: Option<bool>,
    pub frequency: Option<Frequency>,
    /// Local time of the daily run, 00:00 to 23:59.
    #[schema(example = "03:30")]
    pub daily_at: Option<String>,
    /// IANA zone.
    #[schema(example = "Asia/Taipei")]
    pub timezone: Option<String>,
    /// How late a missed daily run is still caught up, 0 to 23 hours.
    pub catch_up_hours: Option<i64>,
    pub allocation_mode: Option<AllocationMode>,
    /// Units kept back of every SKU.
    pub buffer: Option<i64>,
    /// Whether a cancellation triggers increases like a return.
    pub trigger_on_cancellation: Option<bool>,
    /// Whether switching auto-sync on begins with one overwrite of every listing; true when left out. Acts only when
    /// `auto_sync` goes from off to on.
    pub initial_overwrite: Option<bool>,
}

/// Changes the sync settings. They take effect for stock events recorded afterwards.
#[utoipa::path(tag = "auto-sync inventory", security(("seller_key" = [])), request_body = SettingsChange,
    responses((status = 200, body = SettingsAnswer), (status = 401, body = Problem), (status = 422, body = Problem)))]
#[put("/v1/sync-settings")]
pub async fn put_sync_settings(caller: Caller, state: State, body: Body) -> Answer {
    let (settings, initial) = change(&caller, &state, body.object()?).await?;
    Ok(HttpResponse::Ok().json(SettingsAnswer { initial_sync_id: initial, ..answer(&settings, state.clock.now()) }))
}

/// Daily time and zone of a change, where it has them.
type Schedule = (Option<NaiveTime>, Option<Tz>);

impl SettingsChange {
    /// Checks the fields, each by itself.
    pub(super) fn check(&self) -> Result<Schedule, ApiError> {
        let mut checks = Checks::default();
        let daily_at = self.daily_at.as_deref().and_then(|text| checks.take("/daily_at", parse_daily_at(text)));
        let timezone = self.timezone.as_deref().and_then(|text| checks.take("/timezone", parse_timezone(text)));
        checks.within("/catch_up_hours", self.catch_up_hours, 0, MAX_CATCH_UP_HOURS);
        checks.within("/buffer", self.buffer, 0, MAX_RULE_UNITS);
        checks.finish().map(|()| (daily_at, timezone))
    }
}

/// Checks and saves a change of the sync settings, enters it in the audit log, and begins or calls off what follows
/// from it. Returns the settings from now on and the initial overwrite that was begun.
pub(super) async fn change(caller: &Caller, state: &State, change: SettingsChange) -> Result<(SyncSettings, Option<RunId>), ApiError> {
    let (daily_at, timezone) = change.check()?;
    let (now, actor) = (state.now(), caller.actor());
    let saved = caller
        .db
        .write(move |t| {
            let old = t.sync_settings()?;
            let auto_sync = change.auto_sync.unwrap_or(old.auto_sync);
            let switched_on = auto_sync && !old.auto_sync;
            let kept = if switched_on { Frequency::Incremental } else { old.frequency };
            let mut new = SyncSettings {
                auto_sync,
                frequency: change.frequency.unwrap_or(kept),
                daily_at: daily_at.unwrap_or(old.daily_at),
                timezone: timezone.unwrap_or(old.timezone),
                catch_up_hours: change.catch_up_hours.unwrap_or(old.catch_up_hours),
                allocation_mode: change.allocation_mode.unwrap_or(old.allocation_mode),
                buffer: change.buffer.unwrap_or(old.buffer),
                trigger_on_cancellation: change.trigger_on_cancellation.unwrap_or(old.trigger_on_cancellation),
                timed_since: old.timed_since,
            };
            if new == old {
                return Ok((new, None));
            }
            let schedule = |s: &SyncSettings| (s.is_timed(), s.daily_at, s.timezone);
            if schedule(&new) != schedule(&old) {
                new.timed_since = now;
            }
            check_shares(t, &new, "/allocation_mode")?;
            t.save_sync_settings(&new, now)?;
            if old.auto_sync && !new.auto_sync {
                t.cancel_pushes(CancelScope::AutoSync, "Auto-sync was switched off.", now)?;
            }
            let begins = switched_on && change.initial_overwrite.unwrap_or(true);
            let initial = begins.then(|| t.start_run(RunKind::Initial, &RunFilter::default(), now)).transpose()?;
            let mut entry = audited(&actor, "sync_settings.changed", "sync-settings");
            entry.before = Some(json!(answer(&old, now)));
            entry.after = Some(json!(answer(&new, now)));
            t.append_audit(&entry, now)?;
            Ok((new, initial.map(|run| run.id)))
        })
        .await?;
    state.handle.reconfigure(caller.db.id());
    Ok(saved)
}

/// How the pool is shared among the stores.
#[derive(Debug, Clone)]
pub(super) struct Allocation {
    pub mode: AllocationMode,
    pub buffer: i64,
    /// The stores' own shares, in percent; `None` for a store that is not pushed to.
    pub shares: Vec<(StoreId, Option<f64>)>,
}

/// Changes allocation mode, buffer and the stores' shares together: on the way from one split to another the shares may
/// not sum to 100 %, at its ends they must. Pointers are `/buffer` and `/shares/{store id}`.
pub(super) async fn allocate(caller: &Caller, state: &State, wanted: Allocation) -> Result<(), ApiError> {
    let mut checks = Checks::default();
    checks.within("/buffer", Some(wanted.buffer), 0, MAX_RULE_UNITS);
    let mut shares = Vec::with_capacity(wanted.shares.len());
    for (store, percent) in wanted.shares {
        let share = percent.and_then(|percent| checks.take(&format!("/shares/{store}"), share_of(percent)));
        shares.push((store, share));
    }
    checks.finish()?;
    let (now, actor) = (state.now(), caller.actor());
    caller
        .db
        .write(move |t| {
            let old = t.sync_settings()?;
            let new = SyncSettings { allocation_mode: wanted.mode, buffer: wanted.buffer, ..old.clone() };
            if new != old {
                t.save_sync_settings(&new, now)?;
                let mut entry = audited(&actor, "sync_settings.changed", "sync-settings");
                (entry.before, entry.after) = (Some(json!(answer(&old, now))), Some(json!(answer(&new, now))));
                t.append_audit(&entry, now)?;
            }
            for (id, share) in &shares {
                let before = t.store(*id)?;
                if before.share == *share {
                    continue;
                }
                let after = Store { share: *share, updated_at: now, ..before.clone() };
                t.save_store(&after)?;
                let mut entry = audited(&actor, "store.changed", &after.name);
                (entry.before, entry.after) = (Some(without_secrets(&before)), Some(without_secrets(&after)));
                t.append_audit(&entry, now)?;
            }
            check_shares(t, &new, "/shares")
        })
        .await?;
    state.handle.reconfigure(caller.db.id());
    Ok(())
}

/// Shares above 100 % are refused wherever they would arise; `pointer` is the field that would make them so.
pub(super) fn check_shares(t: &mut Tenant<'_>, settings: &SyncSettings, pointer: &str) -> Result<(), Error> {
    if settings.allocation_mode != AllocationMode::Exclusive {
        return Ok(());
    }
    let stores: Vec<_> = t.stores(None, MAX_STORES)?.iter().map(crate::db::stores::Store::rules).collect();
    let rules = t.rules(None, i64::MAX)?;
    check_exclusive_shares(settings, &stores, &rules, pointer).map_err(|error| Error::Invalid(vec![error]))
}
