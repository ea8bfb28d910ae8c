//! For the operator: the apps through which sellers connect their shops, and what the operator has changed. Secrets go in and
//! never come out.
use super::auth::Operator;
use super::body::Body;
use super::error::Problem;
use super::request::{Page, PageQuery, id_cursor, limit, query, read_text_cursor, text_cursor};
use super::state::{Answer, State};
use crate::db::apps::OperatorEntry;
use crate::domain::Timestamp;
use crate::service::apps::{self, AppView, EnteredApp};
use actix_web::web::Path;
use actix_web::{HttpRequest, HttpResponse, delete, get, put};
use secrecy::SecretString;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use uuid::Uuid;

fn secret<'de, D: Deserializer<'de>>(from: D) -> Result<Option<SecretString>, D::Error> {
    Ok(Option::<String>::deserialize(from)?.map(SecretString::from))
}

/// The operator's app on a platform.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct AppFields {
    /// How the platform names the app: its client ID, app key or partner ID.
    client_id: String,
    /// The app's secret; write-only. May be left out to keep the one that is stored.
    #[serde(default, deserialize_with = "secret")]
    #[schema(value_type = Option<String>, write_only)]
    client_secret: Option<SecretString>,
    /// The permissions to ask for; by default those that the service needs.
    #[serde(default)]
    scopes: Vec<String>,
    /// Whether the app belongs to the platform's sandbox.
    #[serde(default)]
    sandbox: bool,
    /// The address of a test server in the place of the platform's own; `{shop}` in it stands for the shop.
    base_url: Option<String>,
    /// What else the platform asks of an app, such as eBay's `redirect_name`.
    #[serde(default)]
    settings: BTreeMap<String, String>,
}

impl From<AppFields> for EnteredApp {
    fn from(fields: AppFields) -> Self {
        let AppFields { client_id, client_secret, scopes, sandbox, base_url, settings } = fields;
        Self { client_id, client_secret, scopes, sandbox, base_url, settings }
    }
}

/// Lists the apps through which sellers connect their shops, by platform. Their secrets are never shown.
#[utoipa::path(tag = "operator", security(("operator_key" = [])),
    params(("limit" = Option<i64>, Query), ("cursor" = Option<String>, Query)),
    responses((status = 200, body = Page<AppView>), (status = 401, body = Problem)))]
#[get("/admin/apps")]
pub async fn list_apps(operator: Operator, state: State, request: HttpRequest) -> Answer {
    let params: PageQuery = query(&request)?;
    let (limit, after) = (limit(params.limit.as_deref())?, read_text_cursor(params.cursor.as_deref())?);
    let mut found = apps::list(&state.service, operator).await?;
    found.retain(|app| after.as_ref().is_none_or(|after| app.platform > *after));
    Ok(HttpResponse::Ok().json(Page::of(found, limit, |app| text_cursor(&app.platform), |app| app)))
}

/// Enters the app of a platform, or replaces it. Register `public_url` followed by `/connect/{platform}/callback` as its redirect
/// address. Stores that were connected through an app with the same `client_id` get the new secret; those of another app keep theirs.
#[utoipa::path(tag = "operator", security(("operator_key" = [])), request_body = AppFields,
    responses((status = 200, body = AppView), (status = 401, body = Problem), (status = 422, body = Problem)))]
#[put("/admin/apps/{platform}")]
pub async fn put_app(operator: Operator, state: State, platform: Path<String>, body: Body) -> Answer {
    let fields: AppFields = body.object().await?;
    Ok(HttpResponse::Ok().json(apps::put(&state.service, operator, platform.into_inner(), fields.into()).await?))
}

/// Removes the app of a platform. Stores that were connected through it go on; no further ones can be.
#[utoipa::path(tag = "operator", security(("operator_key" = [])),
    responses((status = 204, description = "The app was removed."), (status = 401, body = Problem), (status = 404, body = Problem)))]
#[delete("/admin/apps/{platform}")]
pub async fn delete_app(operator: Operator, state: State, platform: Path<String>) -> Answer {
    apps::remove(&state.service, operator, platform.into_inner()).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// An entry of the operator's audit log. It never contains secrets.
#[derive(Serialize, utoipa::ToSchema)]
struct OperatorAuditAnswer {
    id: Uuid,
    at: Timestamp,
    /// What was done, such as `app.changed` or `seller.changed`.
    action: String,
    /// What was changed: the platform of an app, or the ID of a seller.
    subject: String,
    /// The values before the change.
    #[schema(value_type = Option<Object>)]
    before: Option<Value>,
    /// The values after the change.
    #[schema(value_type = Option<Object>)]
    after: Option<Value>,
}

impl From<OperatorEntry> for OperatorAuditAnswer {
    fn from(entry: OperatorEntry) -> Self {
        let OperatorEntry { id, at, action, subject, before, after } = entry;
        Self { id, at, action, subject, before, after }
    }
}

/// Lists what the operator has changed, newest first: apps, sellers and their keys. What concerns a seller is also in that seller's log.
#[utoipa::path(tag = "operator", security(("operator_key" = [])),
    params(("limit" = Option<i64>, Query), ("cursor" = Option<String>, Query)),
    responses((status = 200, body = Page<OperatorAuditAnswer>), (status = 401, body = Problem)))]
#[get("/admin/audit")]
pub async fn list_operator_audit(operator: Operator, state: State, request: HttpRequest) -> Answer {
    let params: PageQuery = query(&request)?;
    let (limit, after) = (limit(params.limit.as_deref())?, id_cursor(params.cursor.as_deref())?);
    let found = apps::history(&state.service, operator, after, limit + 1).await?;
    Ok(HttpResponse::Ok().json(Page::of(found, limit, |entry| entry.id.to_string(), OperatorAuditAnswer::from)))
}
