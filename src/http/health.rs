//! For load balancers and monitoring. Open to whoever reaches the port; says nothing of any seller.
use super::error::ApiError;
use super::state::{Answer, State};
use actix_web::{HttpResponse, get};
use serde_json::json;

/// The process lives.
#[utoipa::path(tag = "operations", responses((status = 200, description = "It lives.")))]
#[get("/healthz")]
pub async fn healthz() -> HttpResponse {
    HttpResponse::Ok().json(json!({ "status": "ok" }))
}

/// The database answers and has its tables, so requests can be served.
#[utoipa::path(tag = "operations", responses((status = 200, description = "Ready."), (status = 503, description = "Not ready.", body = super::error::Problem)))]
#[get("/readyz")]
pub async fn readyz(state: State) -> Answer {
    let (applied, all) = state.db.read(crate::db::migrations).await?;
    if applied < all {
        return Err(ApiError::unavailable("The database's tables are not up to date; run stocktide migrate."));
    }
    Ok(HttpResponse::Ok().json(json!({ "status": "ready", "backend": state.db.backend() })))
}

/// Metrics in the Prometheus text format.
#[utoipa::path(tag = "operations", responses((status = 200, description = "Prometheus text.", content_type = "text/plain")))]
#[get("/metrics")]
pub async fn metrics(state: State) -> HttpResponse {
    let status = state.handle.status().await;
    #[expect(clippy::cast_precision_loss, reason = "counts of actors stay far below 2^52")]
    let gauge = |name: &'static str, value: usize| ::metrics::gauge!(name).set(value as f64);
    gauge("stocktide_active_sellers", status.sellers);
    gauge("stocktide_active_stores", status.stores);
    HttpResponse::Ok().content_type("text/plain; version=0.0.4").body((state.metrics)())
}
