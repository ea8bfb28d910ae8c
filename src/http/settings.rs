//! *Auto-sync inventory*: the switch, the frequency, the daily time, the allocation mode.
use super::auth::Caller;
use super::body::Body;
use super::error::Problem;
use super::state::{Answer, State};
use crate::domain::allocation::AllocationMode;
use crate::domain::settings::Frequency;
use crate::service::settings::{self, EnteredChange, SettingsView, view};
use actix_web::{HttpResponse, get, put};
use serde::Deserialize;

/// The sync settings.
#[utoipa::path(tag = "auto-sync inventory", security(("seller_key" = [])),
    responses((status = 200, body = SettingsView), (status = 401, body = Problem)))]
#[get("/v1/sync-settings")]
pub async fn get_sync_settings(caller: Caller, state: State) -> Answer {
    let settings = caller.db.read(|t| t.sync_settings()).await?;
    Ok(HttpResponse::Ok().json(view(&settings, state.now())))
}

/// A change of the sync settings; omitted fields stay as they are.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SettingsChange {
    /// Switching it on selects incremental unless `frequency` says otherwise.
    auto_sync: Option<bool>,
    frequency: Option<Frequency>,
    /// Local time of the daily run, 00:00 to 23:59.
    #[schema(example = "03:30")]
    daily_at: Option<String>,
    /// An IANA time zone.
    #[schema(example = "Asia/Taipei")]
    timezone: Option<String>,
    /// How late a missed daily run is still caught up, 0 to 23 hours.
    catch_up_hours: Option<i64>,
    allocation_mode: Option<AllocationMode>,
    /// Units of every SKU to keep back.
    buffer: Option<i64>,
    /// Whether a cancellation triggers increases like a return.
    trigger_on_cancellation: Option<bool>,
    /// Whether switching auto-sync on starts with one overwrite of every listing; true by default. Has an effect only
    /// when `auto_sync` changes from off to on.
    initial_overwrite: Option<bool>,
}

/// Changes the sync settings. They take effect for stock events recorded afterwards.
#[utoipa::path(tag = "auto-sync inventory", security(("seller_key" = [])), request_body = SettingsChange,
    responses((status = 200, body = SettingsView), (status = 401, body = Problem), (status = 422, body = Problem)))]
#[put("/v1/sync-settings")]
pub async fn put_sync_settings(caller: Caller, state: State, body: Body) -> Answer {
    let change: SettingsChange = body.object().await?;
    let (settings, initial_sync_id) = settings::change(&state.service, &caller, change.into()).await?;
    let mut shown = view(&settings, state.now());
    shown.initial_sync_id = initial_sync_id;
    Ok(HttpResponse::Ok().json(shown))
}

impl From<SettingsChange> for EnteredChange {
    fn from(change: SettingsChange) -> Self {
        let SettingsChange { auto_sync, frequency, daily_at, timezone, catch_up_hours, allocation_mode, buffer, .. } = change;
        let SettingsChange { trigger_on_cancellation, initial_overwrite, .. } = change;
        Self {
            auto_sync,
            frequency,
            daily_at,
            timezone,
            catch_up_hours,
            allocation_mode,
            buffer,
            trigger_on_cancellation,
            initial_overwrite,
        }
    }
}
