//! Health checks and metrics, for load balancers and monitoring. They need no key and reveal nothing about sellers.
use super::error::ApiError;
use super::state::{Answer, State};
use actix_web::{HttpResponse, get};
use serde_json::json;

/// Answers while the process is alive.
#[utoipa::path(tag = "operations", responses((status = 200, description = "The process is alive.")))]
#[get("/healthz")]
pub async fn healthz() -> HttpResponse {
    HttpResponse::Ok().json(json!({ "status": "ok" }))
}

/// Reports whether requests can be served: the database answers and its tables are up to date.
#[utoipa::path(tag = "operations", responses((status = 200, description = "Ready."), (status = 503, description = "Not ready.", body = super::error::Problem)))]
#[get("/readyz")]
pub async fn readyz(state: State) -> Answer {
    let (applied, all) = state.db.read(crate::db::migrations).await?;
    if applied < all {
        return Err(ApiError::unavailable("The database is not up to date. Run stocktide migrate."));
    }
    Ok(HttpResponse::Ok().json(json!({ "status": "ready", "backend": state.db.backend() })))
}

/// Returns metrics in the Prometheus text format.
#[utoipa::path(tag = "operations", responses((status = 200, description = "Metrics in the Prometheus text format.", content_type = "text/plain")))]
#[get("/metrics")]
pub async fn metrics(state: State) -> HttpResponse {
    let status = state.handle.status().await;
    #[expect(clippy::cast_precision_loss, reason = "the number of actors stays far below 2^52")]
    let gauge = |name: &'static str, value: usize| ::metrics::gauge!(name).set(value as f64);
    gauge("stocktide_active_sellers", status.sellers);
    gauge("stocktide_active_stores", status.stores);
    HttpResponse::Ok().content_type("text/plain; version=0.0.4").body((state.metrics)())
}
