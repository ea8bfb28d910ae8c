//! For the operator: platforms, and their pauses.
use super::auth::Operator;
use super::body::Body;
use super::error::Problem;
use super::pauses::NewPause;
use super::request::{Page, PageQuery, limit, query, read_text_cursor, text_cursor};
use super::state::{Answer, State};
use crate::service::platforms::{self, PlatformView};
use actix_web::web::Path;
use actix_web::{HttpRequest, HttpResponse, delete, get, put};

/// Lists the platforms, how many stores there are on each, and which of them are paused.
#[utoipa::path(tag = "operator", security(("operator_key" = [])),
    params(("limit" = Option<i64>, Query), ("cursor" = Option<String>, Query)),
    responses((status = 200, body = Page<PlatformView>), (status = 401, body = Problem)))]
#[get("/admin/platforms")]
pub async fn list_platforms(operator: Operator, state: State, request: HttpRequest) -> Answer {
    let params: PageQuery = query(&request)?;
    let (limit, after) = (limit(params.limit.as_deref())?, read_text_cursor(params.cursor.as_deref())?);
    let mut found = platforms::list(&state.service, operator).await?;
    found.sort_by(|a, b| a.platform.cmp(&b.platform));
    found.retain(|platform| after.as_ref().is_none_or(|after| platform.platform > *after));
    Ok(HttpResponse::Ok().json(Page::of(found, limit, |platform| text_cursor(&platform.platform), |platform| platform)))
}

/// Pauses a platform for all sellers, for instance during an outage. What becomes due for its stores waits, and is sent once, merged,
/// after it is resumed. If it is paused already, that pause stays as it is.
#[utoipa::path(tag = "operator", security(("operator_key" = [])), request_body = NewPause,
    responses((status = 200, body = PlatformView), (status = 401, body = Problem), (status = 404, body = Problem), (status = 422, body = Problem)))]
#[put("/admin/platforms/{platform}/pause")]
pub async fn pause_platform(operator: Operator, state: State, platform: Path<String>, body: Body) -> Answer {
    let NewPause { reason } = body.optional_object().await?;
    Ok(HttpResponse::Ok().json(platforms::set_paused(&state.service, operator, &platform.into_inner(), true, reason).await?))
}

/// Ends the pause of a platform.
#[utoipa::path(tag = "operator", security(("operator_key" = [])),
    responses((status = 204, description = "The platform is not paused any more."), (status = 401, body = Problem), (status = 404, body = Problem)))]
#[delete("/admin/platforms/{platform}/pause")]
pub async fn resume_platform(operator: Operator, state: State, platform: Path<String>) -> Answer {
    platforms::set_paused(&state.service, operator, &platform.into_inner(), false, None).await?;
    Ok(HttpResponse::NoContent().finish())
}
