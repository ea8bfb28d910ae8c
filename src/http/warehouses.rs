//! Warehouses: listed, created, renamed, deleted.
use super::auth::Caller;
use super::body::Body;
use super::error::{ApiError, Problem};
use super::request::{Page, PageQuery, limit, query, read_text_cursor, text_cursor};
use super::state::{Answer, State};
use crate::db::warehouses::Warehouse;
use crate::domain::ids::check_text;
use crate::domain::limits::MAX_NAME_CHARS;
use crate::domain::problem::Checks;
use crate::domain::{Timestamp, WarehouseCode};
use crate::service::warehouses;
use actix_web::web::Path;
use actix_web::{HttpRequest, HttpResponse, delete, get, patch, post};
use serde::{Deserialize, Serialize};

/// A warehouse.
#[derive(Serialize, utoipa::ToSchema)]
struct WarehouseAnswer {
    code: String,
    name: String,
    created_at: Timestamp,
}

impl From<Warehouse> for WarehouseAnswer {
    fn from(warehouse: Warehouse) -> Self {
        Self { code: warehouse.code.to_string(), name: warehouse.name, created_at: warehouse.created_at }
    }
}

/// Lists warehouses by code; `main` is always among them.
#[utoipa::path(tag = "warehouses", security(("seller_key" = [])),
    params(("limit" = Option<i64>, Query), ("cursor" = Option<String>, Query)),
    responses((status = 200, body = Page<WarehouseAnswer>), (status = 401, body = Problem)))]
#[get("/v1/warehouses")]
pub async fn list_warehouses(caller: Caller, request: HttpRequest) -> Answer {
    let params: PageQuery = query(&request)?;
    let (limit, after) = (limit(params.limit.as_deref())?, read_text_cursor(params.cursor.as_deref())?);
    let found = caller.db.read(move |t| t.warehouses(after.as_deref(), limit + 1)).await?;
    Ok(HttpResponse::Ok().json(Page::of(found, limit, |w| text_cursor(w.code.as_str()), WarehouseAnswer::from)))
}

/// A new warehouse.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct NewWarehouse {
    /// Its code in stock events.
    code: String,
    /// A display name; the code by default.
    name: Option<String>,
}

/// Adds a warehouse.
#[utoipa::path(tag = "warehouses", security(("seller_key" = [])), request_body = NewWarehouse,
    responses((status = 201, body = WarehouseAnswer), (status = 401, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
#[post("/v1/warehouses")]
pub async fn create_warehouse(caller: Caller, state: State, body: Body) -> Answer {
    let new: NewWarehouse = body.object().await?;
    let mut checks = Checks::default();
    let code = checks.take("/code", WarehouseCode::parse(&new.code));
    let name = new.name.unwrap_or(new.code);
    checks.take("/name", check_text(&name, "a name", MAX_NAME_CHARS));
    checks.done()?;
    let Some(code) = code else { return Err(ApiError::field("/code", "is required")) };
    let warehouse = warehouses::create(&state.service, &caller, code, name).await?;
    Ok(HttpResponse::Created().json(WarehouseAnswer::from(warehouse)))
}

/// A change to a warehouse.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct WarehouseChange {
    name: String,
}

fn code_of(path: &str) -> Result<WarehouseCode, ApiError> {
    WarehouseCode::parse(path).map_err(|_| ApiError::not_found("warehouse"))
}

/// Renames a warehouse.
#[utoipa::path(tag = "warehouses", security(("seller_key" = [])), request_body = WarehouseChange,
    responses((status = 200, body = WarehouseAnswer), (status = 401, body = Problem), (status = 404, body = Problem), (status = 422, body = Problem)))]
#[patch("/v1/warehouses/{code}")]
pub async fn patch_warehouse(caller: Caller, state: State, code: Path<String>, body: Body) -> Answer {
    let code = code_of(&code)?;
    let change: WarehouseChange = body.object().await?;
    check_text(&change.name, "a name", MAX_NAME_CHARS).map_err(|e| ApiError::field("/name", e))?;
    let warehouse = warehouses::rename(&state.service, &caller, code, change.name).await?;
    Ok(HttpResponse::Ok().json(WarehouseAnswer::from(warehouse)))
}

/// Deletes an empty warehouse that no store ships from. `main` cannot be deleted.
#[utoipa::path(tag = "warehouses", security(("seller_key" = [])),
    responses((status = 204, description = "The warehouse was deleted."), (status = 401, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem)))]
#[delete("/v1/warehouses/{code}")]
pub async fn delete_warehouse(caller: Caller, state: State, code: Path<String>) -> Answer {
    warehouses::delete(&state.service, &caller, code_of(&code)?).await?;
    Ok(HttpResponse::NoContent().finish())
}
