//! Sync runs: started manually, listed and returned.
use super::auth::Caller;
use super::body::Body;
use super::error::Problem;
use super::request::{Page, PageQuery, id_cursor, limit, query};
use super::state::{Answer, State};
use crate::db::runs::{Run, RunKind, RunState};
use crate::domain::guard::Question;
use crate::domain::{RunId, StoreId, Timestamp};
use crate::service::guard;
use crate::service::preview::{Preview, preview};
use crate::service::syncs::{self, Wanted};
use crate::service::undo;
use actix_web::web::Path;
use actix_web::{HttpRequest, HttpResponse, get, post};
use serde::{Deserialize, Serialize};

/// A sync run.
#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct SyncAnswer {
    id: RunId,
    kind: RunKind,
    state: RunState,
    /// Listings it covers, as far as they have been counted.
    total: i64,
    /// Listings that were overwritten.
    done: i64,
    /// Listings whose push was rejected or cancelled.
    failed: i64,
    /// When it is expected to finish at the pace so far; null while that is unknown.
    eta: Option<Timestamp>,
    /// The store of a daily run.
    #[serde(skip_serializing_if = "Option::is_none")]
    store_id: Option<StoreId>,
    /// The local date of a daily run.
    #[serde(skip_serializing_if = "Option::is_none")]
    local_date: Option<String>,
    /// When a daily run was due.
    #[serde(skip_serializing_if = "Option::is_none")]
    scheduled_for: Option<Timestamp>,
    /// Why it is in this state, in plain words.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// What it has asked before its first push, in the state `waiting_for_answer` or before.
    #[serde(skip_serializing_if = "Option::is_none")]
    question: Option<Question>,
    started_at: Timestamp,
    finished_at: Option<Timestamp>,
    /// The sync that this one undoes.
    #[serde(skip_serializing_if = "Option::is_none")]
    undoes: Option<RunId>,
    /// The newest sync that undoes this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    undone_by: Option<RunId>,
    /// In the answer to the request for an undo: when the next daily run overwrites these listings again.
    #[serde(skip_serializing_if = "Option::is_none")]
    overwritten_again_at: Option<Timestamp>,
}

impl SyncAnswer {
    /// Describes a run as of `now`.
    pub(super) fn new(run: Run, now: Timestamp) -> Self {
        Self {
            eta: run.eta(now),
            id: run.id,
            kind: run.kind,
            state: run.state,
            total: run.total,
            done: run.done,
            failed: run.failed,
            store_id: run.store_id,
            local_date: run.local_date,
            scheduled_for: run.scheduled_for,
            reason: run.reason,
            question: run.question,
            started_at: run.started_at,
            finished_at: run.finished_at,
            undoes: run.undoes,
            undone_by: run.undone_by,
            overwritten_again_at: None,
        }
    }
}

/// What to overwrite; omitted fields do not restrict it.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct NewSync {
    store_ids: Option<Vec<StoreId>>,
    skus: Option<Vec<String>>,
    /// Returns what would be sent, without sending it.
    dry_run: Option<bool>,
}

/// Starts a manual sync: overwrites listings with their targets, even if auto-sync is off. `{}` or no body at all means
/// everything. With `dry_run` nothing is sent; the answer says what would be.
#[utoipa::path(tag = "syncs", security(("seller_key" = [])), request_body = NewSync,
    responses((status = 200, body = Preview, description = "With dry_run."), (status = 202, body = SyncAnswer), (status = 409, body = Problem), (status = 401, body = Problem), (status = 404, body = Problem), (status = 422, body = Problem)))]
#[post("/v1/syncs")]
pub async fn create_sync(caller: Caller, state: State, body: Body) -> Answer {
    let new: NewSync = body.optional_object().await?;
    let dry_run = new.dry_run == Some(true);
    let filter = syncs::checked(&caller, Wanted { store_ids: new.store_ids, skus: new.skus }).await?;
    if dry_run {
        return Ok(HttpResponse::Ok().json(preview(&state.service, &caller, filter).await?));
    }
    let run = syncs::start(&state.service, &caller, filter).await?;
    Ok(HttpResponse::Accepted().json(SyncAnswer::new(run, state.now())))
}

/// Lists runs, newest first.
#[utoipa::path(tag = "syncs", security(("seller_key" = [])),
    params(("limit" = Option<i64>, Query), ("cursor" = Option<String>, Query)),
    responses((status = 200, body = Page<SyncAnswer>), (status = 401, body = Problem), (status = 422, body = Problem)))]
#[get("/v1/syncs")]
pub async fn list_syncs(caller: Caller, state: State, request: HttpRequest) -> Answer {
    let params: PageQuery = query(&request)?;
    let (limit, after) = (limit(params.limit.as_deref())?, id_cursor(params.cursor.as_deref())?);
    let found = caller.db.read(move |t| t.runs(after, limit + 1)).await?;
    let now = state.now();
    Ok(HttpResponse::Ok().json(Page::of(found, limit, |r| r.id.to_string(), |r| SyncAnswer::new(r, now))))
}

/// Returns a run.
#[utoipa::path(tag = "syncs", security(("seller_key" = [])),
    responses((status = 200, body = SyncAnswer), (status = 401, body = Problem), (status = 404, body = Problem)))]
#[get("/v1/syncs/{id}")]
pub async fn get_sync(caller: Caller, state: State, id: Path<RunId>) -> Answer {
    let id = id.into_inner();
    let run = caller.db.read(move |t| t.run(id)).await?;
    Ok(HttpResponse::Ok().json(SyncAnswer::new(run, state.now())))
}

/// The answer to what a sync has asked before its first push.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct SyncGo {
    /// Whether to go ahead; otherwise the sync ends without having sent anything.
    go: bool,
}

/// Answers a sync in the state `waiting_for_answer`, which would set more listings to 0, or change more units, than the seller's
/// `guard` allows. The same answer again changes nothing; any other later one is a conflict.
#[utoipa::path(tag = "syncs", security(("seller_key" = [])), request_body = SyncGo,
    responses((status = 200, body = SyncAnswer), (status = 401, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 422, body = Problem)))]
#[post("/v1/syncs/{id}/answer")]
pub async fn answer_sync(caller: Caller, state: State, id: Path<RunId>, body: Body) -> Answer {
    let SyncGo { go } = body.object().await?;
    let run = guard::answer(&state.service, &caller, id.into_inner(), go).await?;
    Ok(HttpResponse::Ok().json(SyncAnswer::new(run, state.now())))
}

/// Cancels a sync under way: what waits of it is not sent any more, and what it has overwritten can be undone. What is on its way ends
/// by its answer, and a listing for which it has taken the place of increases is still overwritten, because the increases would be lost
/// otherwise. Another request cancels what was on its way and waits again.
#[utoipa::path(tag = "syncs", security(("seller_key" = [])),
    responses((status = 200, body = SyncAnswer), (status = 401, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem)))]
#[post("/v1/syncs/{id}/cancel")]
pub async fn cancel_sync(caller: Caller, state: State, id: Path<RunId>) -> Answer {
    let run = syncs::cancel(&state.service, &caller, id.into_inner()).await?;
    Ok(HttpResponse::Ok().json(SyncAnswer::new(run, state.now())))
}

/// Undoes a sync that has ended: every listing that it has overwritten is set back to what it showed before, less what its store has
/// sold since, and with the increases since. A listing that was overwritten later, or of which it is not known what it showed, is left
/// alone; its push says so. The undo is a sync of its own, with the same guard rails. While it is under way, another request returns it.
#[utoipa::path(tag = "syncs", security(("seller_key" = [])),
    responses((status = 202, body = SyncAnswer), (status = 401, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem)))]
#[post("/v1/syncs/{id}/undo")]
pub async fn undo_sync(caller: Caller, state: State, id: Path<RunId>) -> Answer {
    let started = undo::start(&state.service, &caller, id.into_inner()).await?;
    let answer = SyncAnswer { overwritten_again_at: started.overwritten_again_at, ..SyncAnswer::new(started.run, state.now()) };
    Ok(HttpResponse::Accepted().json(answer))
}
