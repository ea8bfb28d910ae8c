//! Pairing by discovery, as JSON.
use super::auth::Caller;
use super::body::Body;
use super::error::Problem;
use super::state::{Answer, State};
use crate::domain::StoreId;
use crate::service::discover::{Apply, Proposal, discover};
use actix_web::web::Path;
use actix_web::{HttpResponse, post};
use serde::Deserialize;

/// What to do with what was found.
#[derive(Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct Discover {
    /// Pairs the matches; without it nothing is changed.
    apply: Option<bool>,
    /// Also counts variants as matches whose SKU does not exist here, unless several have it; with `apply` the SKUs are
    /// created.
    create_skus: Option<bool>,
    /// With `apply`: also pairs the variants in `replacing`, in place of listings that the store does not have any more.
    replace: Option<bool>,
    /// Also counts variants as matches of which several have the same SKU, all of them: each becomes a listing of it, and each shows the
    /// same units.
    all_with_same_sku: Option<bool>,
    /// The `next_cursor` of the previous answer, to continue from there.
    cursor: Option<String>,
}

/// Reads the store's variants and proposes listings by equal SKU. Nothing is paired without `apply: true`.
#[utoipa::path(tag = "stores", security(("seller_key" = [])), request_body = Discover,
    responses((status = 200, body = Proposal), (status = 401, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
#[post("/v1/stores/{id}/discover")]
pub async fn discover_store(caller: Caller, state: State, id: Path<StoreId>, body: Body) -> Answer {
    let input: Discover = body.optional_object().await?;
    let apply = Apply {
        pair: input.apply.unwrap_or(false),
        create_skus: input.create_skus.unwrap_or(false),
        replace: input.replace.unwrap_or(false),
        all_with_same_sku: input.all_with_same_sku.unwrap_or(false),
    };
    let proposal = discover(&state.service, &caller, id.into_inner(), input.cursor, apply).await?;
    Ok(HttpResponse::Ok().json(proposal))
}
