//! Frozen windows: added, listed and deleted.
use super::auth::Caller;
use super::body::Body;
use super::error::Problem;
use super::request::{Page, PageQuery, limit, query, read_text_cursor, text_cursor};
use super::state::{Answer, State};
use crate::domain::{FrozenWindowId, StoreId};
use crate::service::frozen_windows::{self, EnteredWindow, WindowView};
use actix_web::web::Path;
use actix_web::{HttpRequest, HttpResponse, delete, get, post};
use serde::Deserialize;

/// A new frozen window.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct NewFrozenWindow {
    #[schema(max_length = 200, example = "Holiday sale")]
    name: String,
    /// When it begins, in your time zone.
    #[schema(example = "2026-12-24T18:00")]
    from: String,
    /// When it ends, in your time zone; at most 92 days later.
    #[schema(example = "2026-12-27T06:00")]
    to: String,
    /// The stores to which nothing is sent; all if it is omitted or null.
    store_ids: Option<Vec<StoreId>>,
}

/// Adds a frozen window, during which nothing is sent. Increases merge meanwhile and are sent once after it; daily runs that fall into it
/// are skipped; manual syncs of its stores are refused. Up to 50 windows may be kept, and they may overlap.
#[utoipa::path(tag = "pauses", security(("seller_key" = [])), request_body = NewFrozenWindow,
    responses((status = 201, body = WindowView), (status = 401, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
#[post("/v1/frozen-windows")]
pub async fn create_frozen_window(caller: Caller, state: State, body: Body) -> Answer {
    let NewFrozenWindow { name, from, to, store_ids } = body.object().await?;
    let added = frozen_windows::add(&state.service, &caller, EnteredWindow { name, from, to, store_ids }).await?;
    Ok(HttpResponse::Created().json(added))
}

/// Lists frozen windows in the order in which they begin. Those that have been over for a month may be missing.
#[utoipa::path(tag = "pauses", security(("seller_key" = [])),
    params(("limit" = Option<i64>, Query), ("cursor" = Option<String>, Query)),
    responses((status = 200, body = Page<WindowView>), (status = 401, body = Problem)))]
#[get("/v1/frozen-windows")]
pub async fn list_frozen_windows(caller: Caller, state: State, request: HttpRequest) -> Answer {
    let params: PageQuery = query(&request)?;
    let (limit, after) = (limit(params.limit.as_deref())?, read_text_cursor(params.cursor.as_deref())?);
    let now = state.service.now();
    let mut found = caller.db.read(move |t| frozen_windows::list(t, now)).await?;
    let position = |window: &WindowView| format!("{} {}", window.from, window.id);
    found.retain(|window| after.as_ref().is_none_or(|after| position(window) > *after));
    Ok(HttpResponse::Ok().json(Page::of(found, limit, |window| text_cursor(&position(window)), |window| window)))
}

/// Deletes a frozen window. If it is on, it ends, and what has waited is sent.
#[utoipa::path(tag = "pauses", security(("seller_key" = [])),
    responses((status = 204, description = "The window was deleted."), (status = 401, body = Problem), (status = 404, body = Problem)))]
#[delete("/v1/frozen-windows/{id}")]
pub async fn delete_frozen_window(caller: Caller, state: State, id: Path<FrozenWindowId>) -> Answer {
    frozen_windows::remove(&state.service, &caller, id.into_inner()).await?;
    Ok(HttpResponse::NoContent().finish())
}
