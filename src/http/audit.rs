//! The audit log: who changed what.
use super::auth::Caller;
use super::error::Problem;
use super::request::{Page, PageQuery, id_cursor, limit, query};
use super::state::{Answer, State};
use crate::db::audit::AuditEntry;
use crate::domain::Timestamp;
use actix_web::{HttpRequest, HttpResponse, get};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

/// An entry of the audit log. It never contains secrets.
#[derive(Serialize, utoipa::ToSchema)]
struct AuditAnswer {
    id: Uuid,
    at: Timestamp,
    /// Who made the change: `operator`, or `key:` and the key's id.
    actor: String,
    /// What was done, such as `store.changed`.
    action: String,
    /// What was changed, such as the name of a store.
    subject: String,
    /// The values before the change.
    #[schema(value_type = Option<Object>)]
    before: Option<Value>,
    /// The values after the change.
    #[schema(value_type = Option<Object>)]
    after: Option<Value>,
}

impl From<AuditEntry> for AuditAnswer {
    fn from(entry: AuditEntry) -> Self {
        let AuditEntry { id, at, actor, action, subject, before, after } = entry;
        Self { id, at, actor, action, subject, before, after }
    }
}

/// Lists changes to settings, rules, stores, listings and keys, newest first.
#[utoipa::path(tag = "records", security(("seller_key" = [])),
    params(("limit" = Option<i64>, Query), ("cursor" = Option<String>, Query)),
    responses((status = 200, body = Page<AuditAnswer>), (status = 401, body = Problem), (status = 422, body = Problem)))]
#[get("/v1/audit")]
pub async fn list_audit(caller: Caller, _state: State, request: HttpRequest) -> Answer {
    let params: PageQuery = query(&request)?;
    let (limit, after) = (limit(params.limit.as_deref())?, id_cursor(params.cursor.as_deref())?);
    let found = caller.db.read(move |t| t.audit(after, limit + 1)).await?;
    Ok(HttpResponse::Ok().json(Page::of(found, limit, |e| e.id.to_string(), AuditAnswer::from)))
}
