//! The records: every push, why it is in its state, and what to do about it.
use super::auth::Caller;
use super::body::Body;
use super::error::{ApiError, Problem};
use super::request::{Page, id_cursor, limit, parameter, query};
use super::state::{Answer, State};
use crate::db::pushes::PushFilter;
use crate::domain::push::{Effect, Push, PushState};
use crate::domain::{ListingId, PushId, RunId, Sku, StoreId, Timestamp};
use crate::service::pushes;
use actix_web::web::Path;
use actix_web::{HttpRequest, HttpResponse, get, post};
use serde::{Deserialize, Serialize};

/// A push.
#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct PushAnswer {
    id: PushId,
    /// The id of the listing it goes to.
    listing: ListingId,
    /// The platform's id of the listing.
    external_id: String,
    store_id: StoreId,
    sku: String,
    kind: Effect,
    /// Units, above 0 also for a decrease; null for an overwrite that is not sent yet, because its target is read only then.
    quantity: Option<i64>,
    /// Of an overwrite: units that were taken off the target, because the store had sold them and nobody had reported that yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    unseen: Option<i64>,
    /// How its quantity came about, in plain words, where it is not just the target: `unseen` units were taken off, or it undoes
    /// another push.
    #[serde(skip_serializing_if = "Option::is_none")]
    arithmetic: Option<String>,
    state: PushState,
    attempts: i32,
    /// Why it is in this state, in plain words.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_step: Option<String>,
    /// The platform's last answer, shortened.
    #[serde(skip_serializing_if = "Option::is_none")]
    raw_answer: Option<String>,
    /// The run it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    sync_id: Option<RunId>,
    created_at: Timestamp,
    updated_at: Timestamp,
    /// When it will be tried next.
    due_at: Option<Timestamp>,
    confirmed_at: Option<Timestamp>,
}

impl From<Push> for PushAnswer {
    fn from(push: Push) -> Self {
        let push = push.into_record();
        let (arithmetic, (kind, quantity)) = (push.arithmetic(), push.effect());
        Self {
            arithmetic,
            id: push.id,
            listing: push.listing_id,
            external_id: push.external_id,
            store_id: push.store_id,
            sku: push.sku,
            kind,
            quantity,
            unseen: push.unseen.filter(|unseen| *unseen > 0),
            state: push.state,
            attempts: push.attempts,
            reason: push.reason.or(push.cause),
            next_step: push.next_step,
            raw_answer: push.raw_answer,
            sync_id: push.run_id,
            created_at: push.created_at,
            updated_at: push.updated_at,
            due_at: push.due_at,
            confirmed_at: push.confirmed_at,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PushesQuery {
    limit: Option<String>,
    cursor: Option<String>,
    state: Option<String>,
    store_id: Option<String>,
    sku: Option<String>,
}

fn state_named(word: &str) -> Result<PushState, ApiError> {
    let words = || PushState::ALL.map(PushState::as_str).join(", ");
    let named = PushState::ALL.into_iter().find(|state| state.as_str() == word);
    named.ok_or_else(|| ApiError::field("/state", format!("must be one of {}", words())))
}

/// Lists pushes, newest first.
#[utoipa::path(tag = "records", security(("seller_key" = [])),
    params(("limit" = Option<i64>, Query), ("cursor" = Option<String>, Query), ("state" = Option<PushState>, Query),
        ("store_id" = Option<StoreId>, Query), ("sku" = Option<String>, Query)),
    responses((status = 200, body = Page<PushAnswer>), (status = 401, body = Problem), (status = 404, body = Problem), (status = 422, body = Problem)))]
#[get("/v1/pushes")]
pub async fn list_pushes(caller: Caller, request: HttpRequest) -> Answer {
    let params: PushesQuery = query(&request)?;
    let (limit, after) = (limit(params.limit.as_deref())?, id_cursor(params.cursor.as_deref())?);
    let filter = PushFilter {
        state: params.state.as_deref().map(state_named).transpose()?,
        store_id: parameter("store_id", params.store_id.as_deref(), "the id of a store")?,
        sku: params.sku.as_deref().map(Sku::parse).transpose().map_err(|e| ApiError::field("/sku", e))?,
    };
    let found = caller
        .db
        .read(move |t| {
            // Another seller's store is reported as missing, not as a store without pushes.
            filter.store_id.map_or(Ok(()), |id| t.store(id).map(drop))?;
            t.list_pushes(&filter, after, limit + 1)
        })
        .await?;
    Ok(HttpResponse::Ok().json(Page::of(found, limit, |p| p.id().to_string(), PushAnswer::from)))
}

/// Returns a push.
#[utoipa::path(tag = "records", security(("seller_key" = [])),
    responses((status = 200, body = PushAnswer), (status = 401, body = Problem), (status = 404, body = Problem)))]
#[get("/v1/pushes/{id}")]
pub async fn get_push(caller: Caller, id: Path<PushId>) -> Answer {
    let id = id.into_inner();
    let push = caller.db.read(move |t| t.push(id)).await?;
    Ok(HttpResponse::Ok().json(PushAnswer::from(push)))
}

/// Which pushes to queue again: those with these `ids`, or all in this `state`.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct Retry {
    ids: Option<Vec<PushId>>,
    /// `rejected`, `held` or `retrying`.
    state: Option<PushState>,
    /// With `state`: only of this store.
    store_id: Option<StoreId>,
    /// With `state`: only of this SKU.
    sku: Option<String>,
}

/// The result of a retry.
#[derive(Serialize, utoipa::ToSchema)]
struct RetryAnswer {
    /// Pushes that are queued again. Those that are neither rejected, held nor retrying are not changed and not counted.
    queued: usize,
}

/// Queues rejected or held pushes again, and tries those now that would be retried later. A store that is not responding,
/// or has asked for a pause, is called once at once. Pushes that a later overwrite already contains are not sent again;
/// those of a paused store stay held until it is resumed.
#[utoipa::path(tag = "records", security(("seller_key" = [])), request_body = Retry,
    responses((status = 200, body = RetryAnswer), (status = 401, body = Problem), (status = 404, body = Problem), (status = 422, body = Problem)))]
#[post("/v1/pushes/retry")]
pub async fn retry_pushes(caller: Caller, state: State, body: Body) -> Answer {
    let Retry { ids, state: push_state, store_id, sku } = body.object().await?;
    let queued = pushes::retry(&state.service, &caller, pushes::Retry { ids, state: push_state, store_id, sku }).await?;
    Ok(HttpResponse::Ok().json(RetryAnswer { queued }))
}
