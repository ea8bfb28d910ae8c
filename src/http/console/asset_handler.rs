//! `/console/assets`: serves the embedded files. Any version gets the current content.
use super::assets;
use super::page::PageAnswer;
use crate::http::error::ApiError;
use actix_web::HttpResponse;
use actix_web::http::header::CACHE_CONTROL;
use actix_web::web::Path;

pub(super) async fn asset(path: Path<(String, String)>) -> PageAnswer {
    let (_version, name) = path.into_inner();
    let (media_type, content) = assets::content(&name).ok_or_else(|| ApiError::not_found("file"))?;
    Ok(HttpResponse::Ok().content_type(media_type).insert_header((CACHE_CONTROL, "public, max-age=31536000, immutable")).body(content))
}
