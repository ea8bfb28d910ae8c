//! Health checks and metrics, for load balancers and monitoring. They need no key and reveal nothing about sellers.
use super::error::ApiError;
use super::state::{Answer, State};
use crate::db::NotReady;
use crate::metrics::{note, render};
use actix_web::{HttpResponse, get};
use serde_json::json;

/// Answers while the process is alive.
#[utoipa::path(tag = "operations", responses((status = 200, description = "The process is alive.")))]
#[get("/healthz")]
pub async fn healthz() -> HttpResponse {
    HttpResponse::Ok().json(json!({ "status": "ok" }))
}

/// Reports whether requests can be served: the database answers, its tables are up to date, and the latest write succeeded.
/// After a failed write, each request here tries a small one, at most one a second.
#[utoipa::path(tag = "operations", responses((status = 200, description = "Ready."), (status = 503, description = "Not ready.", body = super::error::Problem)))]
#[get("/readyz")]
pub async fn readyz(state: State) -> Answer {
    if let Some(reason) = state.db.not_ready().await? {
        return Err(ApiError::unavailable(match reason {
            NotReady::OldTables => "The database is not up to date. Run stocktide migrate.",
            NotReady::Replaced => {
                "The database file was removed or replaced while the service was running, so nothing is accepted. Put it back, or restart the service."
            }
            NotReady::Full => "The disk of the database is full. Once there is room, the service recovers by itself.",
            NotReady::ReadOnly => "The database is read-only. Once it is writable, the service recovers by itself.",
            NotReady::Unwritable => "The database cannot be written to. The log says why.",
        }));
    }
    Ok(HttpResponse::Ok().json(json!({ "status": "ready", "backend": state.db.backend() })))
}

/// Returns metrics in the Prometheus text format.
#[utoipa::path(tag = "operations", responses((status = 200, description = "Metrics in the Prometheus text format.", content_type = "text/plain")))]
#[get("/metrics")]
pub async fn metrics(state: State) -> HttpResponse {
    let status = state.handle.status().await;
    note(|metrics| {
        metrics.active_sellers.set(i64::try_from(status.sellers).unwrap_or(i64::MAX));
        metrics.active_stores.set(i64::try_from(status.stores).unwrap_or(i64::MAX));
    });
    HttpResponse::Ok().content_type("text/plain; version=0.0.4").body(render())
}
