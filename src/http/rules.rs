//! Allocation rules: for a listing, a SKU, a store or the whole seller.
use super::auth::Caller;
use super::body::{Body, Content};
use super::error::{ApiError, Problem};
use super::numbers::optional_whole;
use super::request::{Page, PageQuery, limit, query, read_text_cursor, text_cursor};
use super::state::{Answer, State};
use crate::db::settings::rule_scope;
use crate::domain::allocation::Share;
use crate::domain::problem::Checks;
use crate::domain::settings::{MAX_RULE_UNITS, Rule};
use crate::domain::{Sku, StoreId};
use crate::service::rules::{self, Saved};
use crate::service::shares::{percent, share_of};
use actix_web::{HttpRequest, HttpResponse, get, put};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;

/// A rule. With both `sku` and `store_id` it applies to that listing, with one of them to that SKU or store, with neither
/// to the whole seller. Omitted fields are decided by the next more general rule.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RuleFields {
    sku: Option<String>,
    store_id: Option<StoreId>,
    /// Share of the pool, in percent with at most two decimals.
    #[serde(serialize_with = "percent")]
    share_percent: Option<f64>,
    /// Units to keep back.
    #[serde(default, deserialize_with = "optional_whole")]
    #[schema(minimum = 0)]
    buffer: Option<i64>,
    /// Below this many units of the SKU the target is 0.
    #[serde(default, deserialize_with = "optional_whole")]
    #[schema(minimum = 0)]
    threshold: Option<i64>,
    /// The most units of the SKU that the target may be, and that an overwrite sets. It does not limit what is shown between overwrites:
    /// increases are added to what the store shows, so after sales it may show less than this, or more.
    #[serde(default, deserialize_with = "optional_whole")]
    #[schema(minimum = 0)]
    max_shown: Option<i64>,
    /// Whether to push.
    sync_enabled: Option<bool>,
}

pub(super) fn answer(rule: Rule) -> RuleFields {
    RuleFields {
        sku: rule.sku.map(|sku| sku.to_string()),
        store_id: rule.store_id,
        share_percent: rule.share.map(Share::percent),
        buffer: rule.buffer,
        threshold: rule.threshold,
        max_shown: rule.max_shown,
        sync_enabled: rule.sync_enabled,
    }
}

/// How many rules were saved and removed.
#[derive(Serialize, utoipa::ToSchema)]
struct RulesAnswer {
    /// Rules that were saved.
    saved: usize,
    /// Rules that were removed because they set nothing.
    removed: usize,
}

/// Saves rules, each replacing an earlier one for the same SKU and store; a rule that sets nothing is removed. If any
/// field is invalid, nothing is saved.
#[utoipa::path(tag = "stock", security(("seller_key" = [])), request_body = Vec<RuleFields>,
    responses((status = 200, body = RulesAnswer), (status = 401, body = Problem), (status = 404, body = Problem), (status = 422, body = Problem)))]
#[put("/v1/rules")]
pub async fn put_rules(caller: Caller, state: State, body: Body) -> Answer {
    let changed = body.parse(read_rules).await?;
    state.quota.check_rows(caller.db.id(), changed.len())?;
    let Saved { saved, removed } = rules::save(&state.service, &caller, changed).await?;
    Ok(HttpResponse::Ok().json(RulesAnswer { saved, removed }))
}

/// Parses and checks the rules of a body; no two of them may be for the same SKU and store.
pub(super) fn read_rules(body: &Content) -> Result<Vec<Rule>, ApiError> {
    let rows: Vec<RuleFields> = body.objects("rules")?;
    let mut checks = Checks::default();
    let mut seen = HashSet::new();
    let mut changed = Vec::with_capacity(rows.len());
    for (index, row) in rows.into_iter().enumerate() {
        let at = |field: &str| format!("/{index}/{field}");
        let sku = row.sku.as_deref().and_then(|sku| checks.take(&at("sku"), Sku::parse(sku)));
        let share = row.share_percent.and_then(|share| checks.take(&at("share_percent"), share_of(share)));
        for (field, value) in [("buffer", row.buffer), ("threshold", row.threshold), ("max_shown", row.max_shown)] {
            checks.within(&at(field), value, 0, MAX_RULE_UNITS);
        }
        let rule = Rule {
            sku,
            store_id: row.store_id,
            share,
            buffer: row.buffer,
            threshold: row.threshold,
            max_shown: row.max_shown,
            sync_enabled: row.sync_enabled,
        };
        if !seen.insert(rule_scope(&rule)) {
            checks.note(format!("/{index}"), "has the same SKU and store as an earlier rule in this request");
        }
        changed.push(rule);
    }
    checks.done()?;
    Ok(changed)
}

/// Lists the rules, except the stores' own shares and switches, which are fields of the stores.
#[utoipa::path(tag = "stock", security(("seller_key" = [])),
    params(("limit" = Option<i64>, Query), ("cursor" = Option<String>, Query)),
    responses((status = 200, body = Page<RuleFields>), (status = 401, body = Problem)))]
#[get("/v1/rules")]
pub async fn list_rules(caller: Caller, request: HttpRequest) -> Answer {
    let params: PageQuery = query(&request)?;
    let (limit, after) = (limit(params.limit.as_deref())?, read_text_cursor(params.cursor.as_deref())?);
    let found = caller.db.read(move |t| t.rules(after.as_deref(), limit + 1)).await?;
    Ok(HttpResponse::Ok().json(Page::of(found, limit, |rule| text_cursor(&rule_scope(rule)), answer)))
}
