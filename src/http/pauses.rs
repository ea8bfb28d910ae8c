//! Pauses of everything and of SKUs, and a list of whatever is paused.
use super::auth::Caller;
use super::body::Body;
use super::error::Problem;
use super::request::{Page, PageQuery, limit, query, read_text_cursor, text_cursor};
use super::state::{Answer, State};
use crate::service::pauses::{self, PauseView};
use actix_web::web::Path;
use actix_web::{HttpRequest, HttpResponse, delete, get, post, put};
use serde::Deserialize;

/// A new pause.
#[derive(Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewPause {
    /// Why, for people to read.
    #[schema(max_length = 200)]
    pub(super) reason: Option<String>,
}

/// Pauses all stores. What becomes due meanwhile waits; increases of a listing merge, and are sent once after the stores are resumed.
/// If they are paused already, that pause stays as it is.
#[utoipa::path(tag = "pauses", security(("seller_key" = [])), request_body = NewPause,
    responses((status = 200, body = PauseView), (status = 401, body = Problem), (status = 422, body = Problem)))]
#[post("/v1/pause")]
pub async fn pause_everything(caller: Caller, state: State, body: Body) -> Answer {
    let NewPause { reason } = body.optional_object().await?;
    Ok(HttpResponse::Ok().json(pauses::pause_all(&state.service, &caller, reason).await?))
}

/// Ends the pause of all stores. A store that is paused for another reason stays paused.
#[utoipa::path(tag = "pauses", security(("seller_key" = [])),
    responses((status = 204, description = "The stores are not paused any more."), (status = 401, body = Problem)))]
#[post("/v1/resume")]
pub async fn resume_everything(caller: Caller, state: State) -> Answer {
    pauses::resume_all(&state.service, &caller).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Pauses a SKU in all stores. Its other settings stay as they are, and what becomes due waits until it is resumed.
#[utoipa::path(tag = "pauses", security(("seller_key" = [])), request_body = NewPause,
    responses((status = 200, body = PauseView), (status = 401, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
#[put("/v1/skus/{sku}/pause")]
pub async fn pause_sku(caller: Caller, state: State, sku: Path<String>, body: Body) -> Answer {
    let NewPause { reason } = body.optional_object().await?;
    Ok(HttpResponse::Ok().json(pauses::pause_sku(&state.service, &caller, &sku.into_inner(), reason).await?))
}

/// Ends the pause of a SKU.
#[utoipa::path(tag = "pauses", security(("seller_key" = [])),
    responses((status = 204, description = "The SKU is not paused any more."), (status = 401, body = Problem), (status = 404, body = Problem)))]
#[delete("/v1/skus/{sku}/pause")]
pub async fn resume_sku(caller: Caller, state: State, sku: Path<String>) -> Answer {
    pauses::resume_sku(&state.service, &caller, &sku.into_inner()).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Lists what keeps your stores from being sent to, the widest first: a platform that the operator has paused, your own pauses, and
/// frozen windows that are on.
#[utoipa::path(tag = "pauses", security(("seller_key" = [])),
    params(("limit" = Option<i64>, Query), ("cursor" = Option<String>, Query)),
    responses((status = 200, body = Page<PauseView>), (status = 401, body = Problem)))]
#[get("/v1/pauses")]
pub async fn list_pauses(caller: Caller, state: State, request: HttpRequest) -> Answer {
    let params: PageQuery = query(&request)?;
    let (limit, after) = (limit(params.limit.as_deref())?, read_text_cursor(params.cursor.as_deref())?);
    let now = state.service.now();
    let mut found = caller.db.read(move |t| pauses::in_force(t, now)).await?;
    found.retain(|pause| after.as_ref().is_none_or(|after| pause.position() > *after));
    Ok(HttpResponse::Ok().json(Page::of(found, limit, |pause| text_cursor(&pause.position()), |pause| pause)))
}
