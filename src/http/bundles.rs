//! Bundles: SKUs that are made of other SKUs.
use super::auth::Caller;
use super::body::Body;
use super::error::{ApiError, Problem};
use super::request::{Page, limit, query, read_text_cursor, text_cursor};
use super::state::{Answer, State};
use crate::domain::bundling::EnteredComponent;
use crate::domain::{RunId, Sku};
use crate::service::bundles::{self, BundleView};
use actix_web::web::Path;
use actix_web::{HttpRequest, HttpResponse, delete, get, put};
use serde::{Deserialize, Serialize};

/// The most bundles in one page.
const MAX_PAGE: i64 = 100;

/// A component of a bundle.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct NewComponent {
    /// A SKU that exists and is not a bundle.
    #[schema(max_length = 128)]
    sku: String,
    /// How many units of it one bundle takes.
    #[schema(minimum = 1, maximum = 10_000)]
    quantity: i64,
}

/// What a bundle is made of.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct NewBundle {
    /// From 1 to 20 different components.
    #[schema(min_items = 1, max_items = 20)]
    components: Vec<NewComponent>,
}

fn sku_of(path: &str) -> Result<Sku, ApiError> {
    Sku::parse(path).map_err(|_| ApiError::not_found("bundle"))
}

/// Makes a SKU a bundle, or changes what it is made of.
///
/// A bundle has no stock of its own. What is available of it is what its scarcest component allows. An event of a component that allows
/// more of it increases its listings by just that; sales, cancellations and returns of the bundle move the components. While
/// auto-sync is on, its listings are overwritten because of this change.
#[utoipa::path(tag = "bundles", security(("seller_key" = [])), request_body = NewBundle,
    responses((status = 200, body = BundleView), (status = 401, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
#[put("/v1/bundles/{sku}")]
pub async fn put_bundle(caller: Caller, state: State, sku: Path<String>, body: Body) -> Answer {
    let sku = Sku::parse(&sku).map_err(|_| ApiError::not_found("SKU"))?;
    let NewBundle { components } = body.object().await?;
    let entered: Vec<EnteredComponent> =
        components.into_iter().map(|component| EnteredComponent { sku: component.sku, quantity: component.quantity }).collect();
    Ok(HttpResponse::Ok().json(bundles::save(&state.service, &caller, sku, &entered).await?))
}

/// Returns a bundle.
#[utoipa::path(tag = "bundles", security(("seller_key" = [])),
    responses((status = 200, body = BundleView), (status = 401, body = Problem), (status = 404, body = Problem)))]
#[get("/v1/bundles/{sku}")]
pub async fn get_bundle(caller: Caller, sku: Path<String>) -> Answer {
    Ok(HttpResponse::Ok().json(bundles::one(&caller, &sku_of(&sku)?).await?))
}

/// What follows from deleting a bundle.
#[derive(Serialize, utoipa::ToSchema)]
struct DeletedBundle {
    /// The sync that overwrites its listings; null while auto-sync is off, and without listings.
    sync_id: Option<RunId>,
}

/// Makes a bundle a SKU with stock of its own again, of which there is none yet: while auto-sync is on, its listings are overwritten
/// with 0. Its components keep their stock.
#[utoipa::path(tag = "bundles", security(("seller_key" = [])),
    responses((status = 200, body = DeletedBundle), (status = 401, body = Problem), (status = 404, body = Problem)))]
#[delete("/v1/bundles/{sku}")]
pub async fn delete_bundle(caller: Caller, state: State, sku: Path<String>) -> Answer {
    let sync_id = bundles::delete(&state.service, &caller, sku_of(&sku)?).await?;
    Ok(HttpResponse::Ok().json(DeletedBundle { sync_id }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BundlesQuery {
    component: Option<String>,
    limit: Option<String>,
    cursor: Option<String>,
}

/// Lists bundles by SKU; with `component`, only those that it is a component of.
#[utoipa::path(tag = "bundles", security(("seller_key" = [])),
    params(("component" = Option<String>, Query), ("limit" = Option<i64>, Query), ("cursor" = Option<String>, Query)),
    responses((status = 200, body = Page<BundleView>), (status = 401, body = Problem), (status = 422, body = Problem)))]
#[get("/v1/bundles")]
pub async fn list_bundles(caller: Caller, request: HttpRequest) -> Answer {
    let params: BundlesQuery = query(&request)?;
    // A page names the components of each.
    let (limit, after) = (limit(params.limit.as_deref())?.min(MAX_PAGE), read_text_cursor(params.cursor.as_deref())?);
    let component = params.component.as_deref().map(Sku::parse).transpose().map_err(|detail| ApiError::field("/component", detail))?;
    let found = bundles::list(&caller, component, after, limit + 1).await?;
    Ok(HttpResponse::Ok().json(Page::of(found, limit, |bundle| text_cursor(&bundle.sku), |bundle| bundle)))
}
