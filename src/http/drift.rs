//! Drift: checks of stores, and the listings that show something other than expected.
use super::auth::Caller;
use super::error::{ApiError, Problem};
use super::request::{Page, id_cursor, limit, parameter, query};
use super::state::{Answer, State};
use crate::db::Tenant;
use crate::db::drift::Drifted;
use crate::domain::drift::{Cause, Counts, DriftCheck, Policy};
use crate::domain::{DriftCheckId, ListingId, StoreId, Timestamp};
use crate::service::drift;
use actix_web::web::Path;
use actix_web::{HttpRequest, HttpResponse, get, post};
use serde::{Deserialize, Serialize};

/// A check of a store's listings.
#[derive(Serialize, utoipa::ToSchema)]
struct DriftCheckAnswer {
    id: DriftCheckId,
    store_id: StoreId,
    /// What it does about listings that differ.
    policy: Policy,
    /// Listings compared so far.
    compared: i64,
    /// Listings that were left out: something was on its way to them, or they did not say what they show.
    skipped: i64,
    /// Listings that differ.
    differ: i64,
    /// The same by cause.
    #[schema(value_type = std::collections::BTreeMap<String, i64>)]
    by_cause: Counts,
    /// Listings that are overwritten.
    corrected: i64,
    started_at: Timestamp,
    /// When it ended; null while it goes on.
    finished_at: Option<Timestamp>,
}

impl From<DriftCheck> for DriftCheckAnswer {
    fn from(check: DriftCheck) -> Self {
        let DriftCheck { id, store_id, policy, compared, skipped, corrected, counts, started_at, finished_at } = check;
        Self { id, store_id, policy, compared, skipped, differ: counts.total(), by_cause: counts, corrected, started_at, finished_at }
    }
}

/// A listing that differed when it was last checked.
#[derive(Serialize, utoipa::ToSchema)]
struct DriftAnswer {
    listing_id: ListingId,
    store_id: StoreId,
    sku: String,
    external_id: String,
    cause: Cause,
    /// Units that it shows in excess of what is expected, negative if it shows less; null where that is not known.
    difference: Option<i64>,
    /// What it showed.
    shown: Option<i64>,
    /// Since when it is known.
    since: Timestamp,
    /// What the platform said about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

impl From<Drifted> for DriftAnswer {
    fn from(Drifted { listing_id, store_id, sku, external_id, drift }: Drifted) -> Self {
        let crate::domain::drift::Drift { cause, difference, shown, since, note } = drift;
        Self { listing_id, store_id, sku, external_id, cause, difference, shown, since, note }
    }
}

/// Begins a check: every listing of the store is read and compared with what is expected of it, once nothing else is due there.
/// The check does about those that differ what the seller's daily checks do; without daily checks, it only reports.
#[utoipa::path(tag = "drift", security(("seller_key" = [])),
    responses((status = 202, body = DriftCheckAnswer), (status = 401, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem)))]
#[post("/v1/stores/{id}/drift-checks")]
pub async fn create_drift_check(caller: Caller, state: State, id: Path<StoreId>) -> Answer {
    let check = drift::check(&state.service, &caller, id.into_inner()).await?;
    Ok(HttpResponse::Accepted().json(DriftCheckAnswer::from(check)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChecksQuery {
    limit: Option<String>,
    cursor: Option<String>,
    store_id: Option<String>,
}

/// Lists checks, newest first.
#[utoipa::path(tag = "drift", security(("seller_key" = [])),
    params(("limit" = Option<i64>, Query), ("cursor" = Option<String>, Query), ("store_id" = Option<StoreId>, Query)),
    responses((status = 200, body = Page<DriftCheckAnswer>), (status = 401, body = Problem), (status = 404, body = Problem), (status = 422, body = Problem)))]
#[get("/v1/drift-checks")]
pub async fn list_drift_checks(caller: Caller, request: HttpRequest) -> Answer {
    let params: ChecksQuery = query(&request)?;
    let (limit, after) = (limit(params.limit.as_deref())?, id_cursor(params.cursor.as_deref())?);
    let store = parameter("store_id", params.store_id.as_deref(), "the id of a store")?;
    let read = move |t: &mut Tenant<'_>| {
        store.map_or(Ok(()), |id| t.store(id).map(drop))?;
        t.drift_checks(store, after, limit + 1)
    };
    let found = caller.db.read(read).await?;
    Ok(HttpResponse::Ok().json(Page::of(found, limit, |check| check.id.to_string(), DriftCheckAnswer::from)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DriftsQuery {
    limit: Option<String>,
    cursor: Option<String>,
    store_id: Option<String>,
    cause: Option<String>,
}

fn cause_named(word: &str) -> Result<Cause, ApiError> {
    let words = || Cause::ALL.map(Cause::as_str).join(", ");
    Cause::parse(word).ok_or_else(|| ApiError::field("/cause", format!("must be one of {}", words())))
}

/// Lists the listings that showed something other than expected when they were last checked.
#[utoipa::path(tag = "drift", security(("seller_key" = [])),
    params(("limit" = Option<i64>, Query), ("cursor" = Option<String>, Query), ("store_id" = Option<StoreId>, Query), ("cause" = Option<Cause>, Query)),
    responses((status = 200, body = Page<DriftAnswer>), (status = 401, body = Problem), (status = 404, body = Problem), (status = 422, body = Problem)))]
#[get("/v1/drifts")]
pub async fn list_drifts(caller: Caller, request: HttpRequest) -> Answer {
    let params: DriftsQuery = query(&request)?;
    let (limit, after) = (limit(params.limit.as_deref())?, id_cursor(params.cursor.as_deref())?);
    let store = parameter("store_id", params.store_id.as_deref(), "the id of a store")?;
    let cause = params.cause.as_deref().map(cause_named).transpose()?;
    let read = move |t: &mut Tenant<'_>| {
        store.map_or(Ok(()), |id| t.store(id).map(drop))?;
        t.drifted((store, cause), after, limit + 1)
    };
    let found = caller.db.read(read).await?;
    Ok(HttpResponse::Ok().json(Page::of(found, limit, |row| row.listing_id.to_string(), DriftAnswer::from)))
}
