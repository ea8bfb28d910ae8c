//! What sellers may: the operator sets a seller's own limits, and a seller sees those that hold for it.
use super::auth::{Caller, Operator};
use super::body::Body;
use super::error::Problem;
use super::numbers::nullable_whole;
use super::state::{Answer, AppState, State};
use crate::db::sellers::seller;
use crate::domain::SellerId;
use crate::domain::seller_limits::{Allowed, CommonLimits, LimitsChange, SellerLimits};
use crate::service::sellers::change_limits;
use actix_web::web::Path;
use actix_web::{HttpResponse, get, patch};
use serde::{Deserialize, Serialize};

/// A seller's own limits, and what it may therefore.
#[derive(Serialize, utoipa::ToSchema)]
struct SellerLimitsAnswer {
    /// Its own limits; null is the same as for all sellers.
    own: SellerLimits,
    /// What it may.
    allowed: Allowed,
}

/// A change of a seller's limits. Omitted fields stay as they are; null takes a limit of its own away.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct LimitsFields {
    /// Stock events and rows of other bulk requests per second, on each node; bursts may be twice as large.
    #[serde(default, deserialize_with = "nullable_whole")]
    #[schema(value_type = Option<i64>, minimum = 1, maximum = 1_000_000)]
    events_per_second: Option<Option<i64>>,
    /// The most SKUs. Those that exist stay, even if they are more.
    #[serde(default, deserialize_with = "nullable_whole")]
    #[schema(value_type = Option<i64>, minimum = 1, maximum = 10_000_000)]
    skus: Option<Option<i64>>,
    /// The most stores. Those that exist stay, even if they are more.
    #[serde(default, deserialize_with = "nullable_whole")]
    #[schema(value_type = Option<i64>, minimum = 1, maximum = 1_000)]
    stores: Option<Option<i64>>,
    /// Days for which finished updates, runs and the audit log are kept; at most as long as those of all sellers.
    #[serde(default, deserialize_with = "nullable_whole")]
    #[schema(value_type = Option<i64>, minimum = 1, maximum = 3_650)]
    records_kept_days: Option<Option<i64>>,
}

impl AppState {
    /// What all sellers may who have no limits of their own.
    pub(super) fn common_limits(&self) -> CommonLimits {
        self.service.common_limits(i64::from(self.settings.rows_per_second))
    }
}

fn answer(state: &AppState, own: SellerLimits) -> HttpResponse {
    HttpResponse::Ok().json(SellerLimitsAnswer { own, allowed: own.over(&state.common_limits()) })
}

/// Returns a seller's own limits, and what it may.
#[utoipa::path(tag = "operator", security(("operator_key" = [])),
    responses((status = 200, body = SellerLimitsAnswer), (status = 401, body = Problem), (status = 404, body = Problem)))]
#[get("/admin/sellers/{id}/limits")]
pub async fn get_seller_limits(_operator: Operator, state: State, id: Path<SellerId>) -> Answer {
    let id = id.into_inner();
    let own = state.db.read(move |conn| seller(conn, id)).await?.limits;
    Ok(answer(&state, own))
}

/// Changes a seller's own limits. They hold at once, on other nodes within a second.
#[utoipa::path(tag = "operator", security(("operator_key" = [])), request_body = LimitsFields,
    responses((status = 200, body = SellerLimitsAnswer), (status = 401, body = Problem), (status = 404, body = Problem), (status = 422, body = Problem)))]
#[patch("/admin/sellers/{id}/limits")]
pub async fn patch_seller_limits(operator: Operator, state: State, id: Path<SellerId>, body: Body) -> Answer {
    let LimitsFields { events_per_second, skus, stores, records_kept_days } = body.object().await?;
    let change = LimitsChange { events_per_second, skus, stores, records_kept_days };
    let own = change_limits(&state.service, operator, id.into_inner(), &state.common_limits(), change).await?;
    Ok(answer(&state, own))
}

/// Returns what the seller may: the limits of the service, or its own where the operator has set some.
#[utoipa::path(tag = "account", security(("seller_key" = [])),
    responses((status = 200, body = Allowed), (status = 401, body = Problem)))]
#[get("/v1/limits")]
pub async fn get_limits(caller: Caller, state: State) -> Answer {
    let own = caller.db.read(|t| t.limits()).await?;
    Ok(HttpResponse::Ok().json(own.over(&state.common_limits())))
}
