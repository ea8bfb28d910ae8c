//! SKUs: created and named in bulk, and listed.
use super::auth::Caller;
use super::body::Body;
use super::error::Problem;
use super::request::{Page, limit, parameter, present, query, read_text_cursor, text_cursor};
use super::state::{Answer, State};
use crate::db::skus::SkuChange;
use crate::domain::ids::check_text;
use crate::domain::limits::MAX_NAME_CHARS;
use crate::domain::problem::Checks;
use crate::domain::{Sku, Timestamp};
use crate::service::skus;
use actix_web::{HttpRequest, HttpResponse, get, put};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;

/// A SKU to create or name.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct NewSku {
    sku: String,
    /// A display name; null removes it.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    name: Option<Option<String>>,
    /// Must be omitted: `PUT /v1/bundles/{sku}` says what a bundle is made of.
    #[schema(value_type = Option<Vec<Object>>)]
    components: Option<IgnoredAny>,
}

/// The result of a SKU.
#[derive(Serialize, utoipa::ToSchema)]
struct SkuResult {
    sku: String,
    /// `created`, `updated` or `unchanged`.
    status: &'static str,
    /// An existing SKU that this new one may be mistaken for.
    #[serde(skip_serializing_if = "Option::is_none")]
    similar_sku: Option<String>,
}

/// The results of all SKUs.
#[derive(Serialize, utoipa::ToSchema)]
struct SkusAnswer {
    results: Vec<SkuResult>,
}

/// Creates and names up to 10,000 SKUs at once. If any field is invalid, nothing is saved.
#[utoipa::path(tag = "stock", security(("seller_key" = [])), request_body = Vec<NewSku>,
    responses((status = 200, body = SkusAnswer), (status = 401, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
#[put("/v1/skus")]
pub async fn put_skus(caller: Caller, state: State, body: Body) -> Answer {
    let rows: Vec<NewSku> = body.objects("SKUs").await?;
    state.quota.check_rows(caller.db.id(), rows.len())?;
    let mut checks = Checks::default();
    let mut seen = HashSet::new();
    let mut changes = Vec::with_capacity(rows.len());
    for (index, row) in rows.into_iter().enumerate() {
        let sku = checks.take(&format!("/{index}/sku"), Sku::parse(&row.sku));
        if let Some(Some(name)) = &row.name {
            checks.take(&format!("/{index}/name"), check_text(name, "a name", MAX_NAME_CHARS));
        }
        if row.components.is_some() {
            checks.note(format!("/{index}/components"), "must be omitted: PUT /v1/bundles/{sku} saves what a bundle is made of");
        }
        if !seen.insert(row.sku) {
            checks.note(format!("/{index}/sku"), "appears more than once in this request");
        }
        changes.extend(sku.map(|sku| (sku, row.name)));
    }
    checks.done()?;
    let results = skus::save(&state.service, &caller, changes).await?;
    let word = |change| match change {
        SkuChange::Created => "created",
        SkuChange::Updated => "updated",
        SkuChange::Unchanged => "unchanged",
    };
    let result = |saved: skus::Saved| SkuResult { sku: saved.sku, status: word(saved.change), similar_sku: saved.similar };
    let results = results.into_iter().map(result).collect();
    Ok(HttpResponse::Ok().json(SkusAnswer { results }))
}

/// A SKU.
#[derive(Serialize, utoipa::ToSchema)]
struct SkuAnswer {
    sku: String,
    name: Option<String>,
    /// Whether any listing shows it.
    paired: bool,
    created_at: Timestamp,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SkusQuery {
    limit: Option<String>,
    cursor: Option<String>,
    unpaired: Option<String>,
}

/// Lists SKUs in order; with `unpaired=true` only those that no listing shows.
#[utoipa::path(tag = "stock", security(("seller_key" = [])),
    params(("limit" = Option<i64>, Query), ("cursor" = Option<String>, Query), ("unpaired" = Option<bool>, Query)),
    responses((status = 200, body = Page<SkuAnswer>), (status = 401, body = Problem)))]
#[get("/v1/skus")]
pub async fn list_skus(caller: Caller, request: HttpRequest) -> Answer {
    let params: SkusQuery = query(&request)?;
    let (limit, after) = (limit(params.limit.as_deref())?, read_text_cursor(params.cursor.as_deref())?);
    let unpaired = parameter("unpaired", params.unpaired.as_deref(), "true or false")?.unwrap_or(false);
    let found = caller.db.read(move |t| t.skus(after.as_deref(), unpaired, limit + 1)).await?;
    let item = |s: crate::db::skus::SkuItem| SkuAnswer { sku: s.sku.to_string(), name: s.name, paired: s.paired, created_at: s.created_at };
    Ok(HttpResponse::Ok().json(Page::of(found, limit, |s| text_cursor(s.sku.as_str()), item)))
}
