//! For the operator: sellers, their keys, and an overview of the whole service.
use super::auth::Operator;
use super::body::{Body, Content};
use super::error::Problem;
use super::request::{Page, PageQuery, id_cursor, limit, query};
use super::state::{Answer, State};
use crate::actors::Standing;
use crate::db::sellers::{self, ApiKey, Seller};
use crate::domain::{KeyId, SellerId, Timestamp};
use crate::service::sellers::{self as service, EnteredSeller, NewKey};
use crate::service::syncs::{self, Fleet};
use actix_web::web::Path;
use actix_web::{HttpRequest, HttpResponse, delete, get, patch, post};
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;

/// A new seller.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct NewSeller {
    /// A display name.
    name: String,
    /// An IANA time zone; UTC by default.
    #[schema(example = "Asia/Taipei")]
    timezone: Option<String>,
}

/// A seller.
#[derive(Serialize, utoipa::ToSchema)]
struct SellerAnswer {
    id: SellerId,
    name: String,
    timezone: String,
    suspended: bool,
    /// The number of SKUs.
    sku_count: i64,
    created_at: Timestamp,
    /// Only in the answer that creates it; it is never shown again.
    #[serde(skip_serializing_if = "Option::is_none")]
    api_key: Option<String>,
    /// The id of that key; only in the answer that creates it.
    #[serde(skip_serializing_if = "Option::is_none")]
    key_id: Option<KeyId>,
}

impl From<Seller> for SellerAnswer {
    fn from(seller: Seller) -> Self {
        Self {
            id: seller.id,
            name: seller.name,
            timezone: seller.timezone.name().to_owned(),
            suspended: seller.suspended,
            sku_count: seller.sku_count,
            created_at: seller.created_at,
            api_key: None,
            key_id: None,
        }
    }
}

/// A body without members.
#[derive(Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct NoChoice {}

/// The overwrites that were started.
#[derive(Serialize, utoipa::ToSchema)]
struct FleetAnswer {
    /// Sellers whose listings are overwritten.
    started: usize,
    /// Suspended sellers, who are left out.
    suspended: usize,
    /// Sellers without a store.
    without_stores: usize,
}

/// Overwrites the stores of all sellers with their targets, even where auto-sync is off. For after a restore: the service
/// does not know what it has sent since the backup. Each seller gets a manual run of its own, and suspended sellers none.
#[utoipa::path(tag = "operator", security(("operator_key" = [])), request_body = NoChoice,
    responses((status = 202, body = FleetAnswer), (status = 401, body = Problem), (status = 422, body = Problem)))]
#[post("/admin/syncs")]
pub async fn sync_all(operator: Operator, state: State, body: Body) -> Answer {
    // There is nothing to choose, so whoever sends something expects what this does not do.
    let NoChoice {} = body.optional_object().await?;
    let Fleet { started, suspended, without_stores } = syncs::start_for_all(&state.service, operator).await?;
    Ok(HttpResponse::Accepted().json(FleetAnswer { started, suspended, without_stores }))
}

/// Creates a seller with a first API key, which only this answer shows.
#[utoipa::path(tag = "operator", security(("operator_key" = [])), request_body = NewSeller,
    responses((status = 201, body = SellerAnswer), (status = 401, body = Problem), (status = 422, body = Problem)))]
#[post("/admin/sellers")]
pub async fn create_seller(operator: Operator, state: State, body: Body) -> Answer {
    let new: NewSeller = body.object().await?;
    let new = EnteredSeller { name: Some(new.name), timezone: new.timezone, suspended: None };
    let (seller, NewKey { id: key_id, secret: key, .. }) = service::create(&state.service, operator, new).await?;
    let answer = SellerAnswer { api_key: Some(key.expose_secret().to_owned()), key_id: Some(key_id), ..seller.into() };
    Ok(HttpResponse::Created().json(answer))
}

/// Lists sellers, oldest first.
#[utoipa::path(tag = "operator", security(("operator_key" = [])),
    params(("limit" = Option<i64>, Query), ("cursor" = Option<String>, Query)),
    responses((status = 200, body = Page<SellerAnswer>), (status = 401, body = Problem)))]
#[get("/admin/sellers")]
pub async fn list_sellers(_operator: Operator, state: State, request: HttpRequest) -> Answer {
    let params: PageQuery = query(&request)?;
    let (limit, after) = (limit(params.limit.as_deref())?, id_cursor(params.cursor.as_deref())?);
    let found = state.db.read(move |conn| sellers::sellers(conn, after, limit + 1)).await?;
    Ok(HttpResponse::Ok().json(Page::of(found, limit, |s| s.id.to_string(), SellerAnswer::from)))
}

/// Returns a seller.
#[utoipa::path(tag = "operator", security(("operator_key" = [])),
    responses((status = 200, body = SellerAnswer), (status = 401, body = Problem), (status = 404, body = Problem)))]
#[get("/admin/sellers/{id}")]
pub async fn get_seller(_operator: Operator, state: State, id: Path<SellerId>) -> Answer {
    let id = id.into_inner();
    let seller = state.db.read(move |conn| sellers::seller(conn, id)).await?;
    Ok(HttpResponse::Ok().json(SellerAnswer::from(seller)))
}

/// A change to a seller; omitted fields stay as they are.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct SellerChange {
    name: Option<String>,
    /// An IANA time zone: that of its daily runs and of its console. The next run moves with it.
    #[schema(example = "Asia/Taipei")]
    timezone: Option<String>,
    /// While a seller is suspended, its requests are refused with 403 and nothing is pushed. Nothing is lost.
    suspended: Option<bool>,
}

/// Renames a seller, changes its time zone, suspends it, or lifts its suspension.
#[utoipa::path(tag = "operator", security(("operator_key" = [])), request_body = SellerChange,
    responses((status = 200, body = SellerAnswer), (status = 401, body = Problem), (status = 404, body = Problem), (status = 422, body = Problem)))]
#[patch("/admin/sellers/{id}")]
pub async fn patch_seller(operator: Operator, state: State, id: Path<SellerId>, body: Body) -> Answer {
    let id = id.into_inner();
    let SellerChange { name, timezone, suspended } = body.object().await?;
    let seller = service::change(&state.service, operator, id, EnteredSeller { name, timezone, suspended }).await?;
    Ok(HttpResponse::Ok().json(SellerAnswer::from(seller)))
}

/// Deletes a seller and all its data.
#[utoipa::path(tag = "operator", security(("operator_key" = [])),
    responses((status = 204, description = "The seller was deleted."), (status = 401, body = Problem), (status = 404, body = Problem)))]
#[delete("/admin/sellers/{id}")]
pub async fn delete_seller(operator: Operator, state: State, id: Path<SellerId>) -> Answer {
    service::delete(&state.service, operator, id.into_inner()).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// An API key. Its secret appears only in the answer that creates it.
#[derive(Serialize, utoipa::ToSchema)]
struct KeyAnswer {
    id: KeyId,
    /// What the operator calls it.
    name: Option<String>,
    created_at: Timestamp,
    revoked_at: Option<Timestamp>,
    /// Only in the answer that creates it; it is never shown again.
    #[serde(skip_serializing_if = "Option::is_none")]
    api_key: Option<String>,
}

impl From<ApiKey> for KeyAnswer {
    fn from(key: ApiKey) -> Self {
        Self { id: key.id, name: key.name, created_at: key.created_at, revoked_at: key.revoked_at, api_key: None }
    }
}

/// A new key.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct NamedKey {
    /// What uses it, such as `warehouse system`; the audit log names the key by it.
    name: Option<String>,
}

/// Creates an API key for a seller; only this answer shows its secret. The body may be left out.
#[utoipa::path(tag = "operator", security(("operator_key" = [])), request_body = NamedKey,
    responses((status = 201, body = KeyAnswer), (status = 401, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem)))]
#[post("/admin/sellers/{id}/keys")]
pub async fn create_key(operator: Operator, state: State, id: Path<SellerId>, body: Body) -> Answer {
    let read = |content: &Content| match content.bytes.trim_ascii() {
        b"" | b"null" => Ok(NamedKey::default()),
        _ => content.object(),
    };
    let named = body.parse(read).await?;
    let name = named.name.clone();
    let NewKey { id, secret, created_at } = service::create_key(&state.service, operator, id.into_inner(), name).await?;
    let api_key = Some(secret.expose_secret().to_owned());
    Ok(HttpResponse::Created().json(KeyAnswer { id, name: named.name, created_at, revoked_at: None, api_key }))
}

/// Lists a seller's keys, including revoked ones, oldest first.
#[utoipa::path(tag = "operator", security(("operator_key" = [])),
    params(("limit" = Option<i64>, Query), ("cursor" = Option<String>, Query)),
    responses((status = 200, body = Page<KeyAnswer>), (status = 401, body = Problem), (status = 404, body = Problem)))]
#[get("/admin/sellers/{id}/keys")]
pub async fn list_keys(_operator: Operator, state: State, id: Path<SellerId>, request: HttpRequest) -> Answer {
    let id = id.into_inner();
    let params: PageQuery = query(&request)?;
    let (limit, after) = (limit(params.limit.as_deref())?, id_cursor::<KeyId>(params.cursor.as_deref())?);
    let found = state
        .db
        .read(move |conn| {
            sellers::seller(conn, id)?;
            sellers::keys(conn, id)
        })
        .await?;
    let found: Vec<ApiKey> = found.into_iter().filter(|key| after.is_none_or(|after| key.id > after)).collect();
    Ok(HttpResponse::Ok().json(Page::of(found, limit, |k| k.id.to_string(), KeyAnswer::from)))
}

/// Revokes a key at once. Revoking it again is not an error.
#[utoipa::path(tag = "operator", security(("operator_key" = [])),
    responses((status = 204, description = "The key is revoked."), (status = 401, body = Problem), (status = 404, body = Problem)))]
#[delete("/admin/sellers/{id}/keys/{key_id}")]
pub async fn revoke_key(operator: Operator, state: State, path: Path<(SellerId, KeyId)>) -> Answer {
    let (id, key) = path.into_inner();
    service::revoke_key(&state.service, operator, id, key).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// A node of the service.
#[derive(Serialize, utoipa::ToSchema)]
struct NodeAnswer {
    name: String,
    started_at: Timestamp,
    /// Sellers with a running supervisor.
    active_sellers: i64,
    /// Stores with a running actor.
    active_stores: i64,
    version: String,
    /// How many of the 256 shards of sellers it works for.
    shards: usize,
    /// `working`; `leaving`: it hands over its sellers, to stop; `gone`: it has been silent for longer than the lease time.
    state: &'static str,
    /// How long ago the answering node last saw it renew its leases; 0 for a node alone.
    renewed_seconds_ago: f64,
}

impl From<Standing> for NodeAnswer {
    fn from(node: Standing) -> Self {
        let state = state_of(&node);
        let Standing { name, version, started_at, active_sellers, active_stores, shards, renewed_for, .. } = node;
        let renewed_seconds_ago = (renewed_for.as_secs_f64() * 1000.0).round() / 1000.0;
        Self { name, started_at, active_sellers, active_stores, version, shards, state, renewed_seconds_ago }
    }
}

/// What a node does, in a word.
pub(super) fn state_of(node: &Standing) -> &'static str {
    match node {
        Standing { is_gone: true, .. } => "gone",
        Standing { is_leaving: true, .. } => "leaving",
        Standing { .. } => "working",
    }
}

/// An overview of all sellers.
#[derive(Serialize, utoipa::ToSchema)]
struct OverviewAnswer {
    sellers: i64,
    suspended: i64,
    stores: i64,
    /// Supervisors and store actors running on this node.
    active_actors: usize,
    /// Unfinished pushes, by platform.
    queue_depth: BTreeMap<String, i64>,
    /// Stock events accepted per second, over the last minute.
    events_per_second: f64,
    /// Pushes confirmed per second, over the last minute.
    pushes_per_second: f64,
    /// Stores whose credentials cannot be opened with the key that the service was started with: nothing is sent to them. Give the
    /// earlier key as `credential_key_previous`.
    unreadable_credentials: i64,
    /// How long the oldest unfinished push has been waiting; pushes of held stores do not count.
    oldest_waiting_push_seconds: f64,
    nodes: Vec<NodeAnswer>,
}

/// Returns the numbers of sellers, stores and actors, the queue depths, and current rates.
#[utoipa::path(tag = "operator", security(("operator_key" = [])),
    responses((status = 200, body = OverviewAnswer), (status = 401, body = Problem)))]
#[get("/admin/overview")]
pub async fn overview(_operator: Operator, state: State) -> Answer {
    const WINDOW: Duration = Duration::from_secs(60);
    let since = state.now() - WINDOW;
    let found = state.db.read(move |conn| crate::db::overview::overview(conn, since)).await?;
    let status = state.handle.status().await;
    #[expect(clippy::cast_precision_loss, reason = "the count of one minute stays far below 2^52")]
    let per_second = |count: i64| (count as f64 / WINDOW.as_secs_f64() * 100.0).round() / 100.0;
    let nodes = state.handle.standings(&state.settings.node, state.started_at);
    Ok(HttpResponse::Ok().json(json!(OverviewAnswer {
        sellers: found.sellers,
        suspended: found.suspended,
        stores: found.stores,
        active_actors: status.sellers + status.stores,
        queue_depth: found.queue.into_iter().collect(),
        events_per_second: per_second(found.events),
        pushes_per_second: per_second(found.pushes),
        unreadable_credentials: found.unreadable_credentials,
        oldest_waiting_push_seconds: waiting_seconds(found.oldest_waiting, state.now()),
        nodes: nodes.into_iter().map(NodeAnswer::from).collect(),
    })))
}

/// How long something has been waiting since `from`; 0 if there is nothing, or the clock was set back since.
pub(super) fn waiting_seconds(from: Option<Timestamp>, now: Timestamp) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "an age in milliseconds is far below 2^52")]
    let seconds = |ms: i64| ms.max(0) as f64 / 1000.0;
    from.map_or(0.0, |from| seconds((now - from).num_milliseconds()))
}
