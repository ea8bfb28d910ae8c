//! *Auto-sync inventory*: the switch, the frequency, the daily time, the allocation mode.
use super::auth::Caller;
use super::body::Body;
use super::error::Problem;
use super::json::Object;
use super::numbers::{nullable_whole, optional_whole};
use super::state::{Answer, State};
use crate::domain::allocation::AllocationMode;
use crate::domain::drift::Policy;
use crate::domain::frequency::Frequency;
use crate::domain::guard;
use crate::service::daily::next_run_of;
use crate::service::settings::{self, EnteredChange, SettingsView, view};
use actix_web::{HttpResponse, get, put};
use serde::Deserialize;
use serde::de::IgnoredAny;

/// The sync settings.
#[utoipa::path(tag = "auto-sync inventory", security(("seller_key" = [])),
    responses((status = 200, body = SettingsView), (status = 401, body = Problem)))]
#[get("/v1/sync-settings")]
pub async fn get_sync_settings(caller: Caller, state: State) -> Answer {
    let now = state.now();
    let shown = caller.db.read(move |t| {
        let settings = t.sync_settings()?;
        Ok(view(&settings, next_run_of(t, &settings, now)?))
    });
    Ok(HttpResponse::Ok().json(shown.await?))
}

/// How much a sync may change without asking. Omitted fields stay as they are; null means no limit.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct GuardChange {
    /// The largest part of a store's listings that show something which may be set to 0, in percent.
    #[serde(default, deserialize_with = "nullable_whole")]
    #[schema(value_type = Option<i64>, minimum = 0, maximum = 100)]
    zero_percent: Option<Option<i64>>,
    /// The most units by which the listings of a store may change, up and down together.
    #[serde(default, deserialize_with = "nullable_whole")]
    #[schema(value_type = Option<i64>, minimum = 0)]
    units: Option<Option<i64>>,
}

/// A change of the sync settings; omitted fields stay as they are.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SettingsChange {
    /// Switching it on starts the frequency that was last chosen: incremental if none ever was.
    auto_sync: Option<bool>,
    frequency: Option<Frequency>,
    /// Local time of the daily run, 00:00 to 23:59.
    #[schema(example = "03:30")]
    daily_at: Option<String>,
    /// An IANA time zone.
    #[schema(example = "Asia/Taipei")]
    timezone: Option<String>,
    /// How late a missed daily run is still caught up, 0 to 23 hours.
    #[serde(default, deserialize_with = "optional_whole")]
    #[schema(minimum = 0, maximum = 23)]
    catch_up_hours: Option<i64>,
    allocation_mode: Option<AllocationMode>,
    /// Units of every SKU to keep back.
    #[serde(default, deserialize_with = "optional_whole")]
    #[schema(minimum = 0)]
    buffer: Option<i64>,
    /// Whether a cancellation triggers increases like a return.
    trigger_on_cancellation: Option<bool>,
    /// Whether stock events create SKUs that do not exist; otherwise such events are rejected.
    create_skus: Option<bool>,
    #[schema(value_type = Option<GuardChange>)]
    guard: Option<Object<GuardChange>>,
    /// What the daily check of the listings does about those that show something other than expected. It takes place half an hour
    /// after the daily time, while auto-sync is on; `off` by default.
    drift: Option<Policy>,
    /// Whether switching auto-sync on starts with one overwrite of every listing; true by default. Has an effect only
    /// when `auto_sync` changes from off to on.
    initial_overwrite: Option<bool>,
    /// Ignored, so that what a GET answered can be sent back.
    #[serde(rename = "next_run_at")]
    #[schema(value_type = Option<String>, format = DateTime)]
    _next_run_at: Option<IgnoredAny>,
    /// Ignored.
    #[serde(rename = "initial_sync_id")]
    #[schema(value_type = Option<String>)]
    _initial_sync_id: Option<IgnoredAny>,
}

/// Changes the sync settings. They take effect for stock events recorded afterwards.
#[utoipa::path(tag = "auto-sync inventory", security(("seller_key" = [])), request_body = SettingsChange,
    responses((status = 200, body = SettingsView), (status = 401, body = Problem), (status = 422, body = Problem)))]
#[put("/v1/sync-settings")]
pub async fn put_sync_settings(caller: Caller, state: State, body: Body) -> Answer {
    let change: SettingsChange = body.object().await?;
    let (settings, initial_sync_id) = settings::change(&state.service, &caller, change.into()).await?;
    let (of_settings, now) = (settings.clone(), state.now());
    let next_run_at = caller.db.read(move |t| next_run_of(t, &of_settings, now)).await?;
    let mut shown = view(&settings, next_run_at);
    shown.initial_sync_id = initial_sync_id;
    Ok(HttpResponse::Ok().json(shown))
}

impl From<SettingsChange> for EnteredChange {
    fn from(change: SettingsChange) -> Self {
        let SettingsChange { auto_sync, frequency, daily_at, timezone, catch_up_hours, allocation_mode, buffer, .. } = change;
        let SettingsChange { trigger_on_cancellation, create_skus, guard, drift, initial_overwrite, .. } = change;
        let Object(GuardChange { zero_percent, units }) = guard.unwrap_or_default();
        Self {
            auto_sync,
            frequency,
            daily_at,
            timezone,
            catch_up_hours,
            allocation_mode,
            buffer,
            trigger_on_cancellation,
            create_skus,
            guard: guard::GuardChange { zero_percent, units },
            drift,
            initial_overwrite,
        }
    }
}
