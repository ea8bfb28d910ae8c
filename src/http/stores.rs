//! Stores: where stock is shown. Credentials go in and never come out.
use super::auth::Caller;
use super::body::Body;
use super::error::Problem;
use super::request::{Page, PageQuery, id_cursor, limit, present, query};
use super::state::{Answer, State};
use crate::domain::{RunId, StoreId};
use crate::service::connection::Credentials;
use crate::service::rehearsal;
use crate::service::store_figures::figures;
use crate::service::stores::{self, StoreChange, StoreView, view};
use actix_web::web::Path;
use actix_web::{HttpRequest, HttpResponse, delete, get, patch, post};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

fn secrets<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Option<Credentials>>, D::Error> {
    let given: Option<Option<BTreeMap<String, String>>> = present(from)?;
    Ok(given.map(|given| given.map(|map| map.into_iter().map(|(name, secret)| (name, secret.into())).collect())))
}

/// A new or changed store. May also contain the connector's own settings, such as `external_store`, `abilities` and
/// `rate_limit` of a simulated store.
#[derive(Default, Deserialize, utoipa::ToSchema)]
struct StoreFields {
    name: Option<String>,
    /// The connector; cannot be changed.
    #[schema(example = "simulated")]
    platform: Option<String>,
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    base_url: Option<Option<String>>,
    /// The connector's own secrets; write-only.
    #[serde(default, deserialize_with = "secrets")]
    #[schema(value_type = Option<BTreeMap<String, String>>, write_only)]
    credentials: Option<Option<Credentials>>,
    /// The warehouses it ships from; null for all.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<Vec<String>>)]
    warehouses: Option<Option<Vec<String>>>,
    /// Its share of the pool, in percent with at most two decimals; 100 by default, null for none.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<f64>, minimum = 0, maximum = 100)]
    share_percent: Option<Option<f64>>,
    sync_enabled: Option<bool>,
    /// While paused its pushes are held.
    paused: Option<bool>,
    /// Whether a new store starts in rehearsal: it can be read, paired and previewed, but is paused until it goes live. False by default.
    rehearsal: Option<bool>,
    /// Why it is paused; only together with `paused: true`.
    pause_reason: Option<String>,
    /// Whether overwrites leave out what the store has sold and nobody has reported yet; true by default. In effect where the
    /// platform can be read, once a stock event has named the store in `store_id`.
    protect_unseen_sales: Option<bool>,
    /// For how many hours they do so; after that, what is missing in the store counts as drift. 72 by default.
    #[schema(minimum = 1, maximum = 720)]
    unseen_sales_hours: Option<i64>,
    /// For which reasons falls are pushed to the store, as decreases: `adjustment` (below 0), `count` (that found less), `transfer` (to a
    /// warehouse that does not feed it), `offline_sale` (a sale that names no store) and `sale_elsewhere` (a sale of another store). None by default.
    #[schema(example = json!(["adjustment", "offline_sale"]))]
    pushed_falls: Option<Vec<String>>,
    /// Whether the store puts returned goods back on sale by itself: then a `return` raises it only if it names another store. False by
    /// default.
    restocks_returns: Option<bool>,
    /// The same for a `cancellation`, where cancellations trigger increases at all.
    restocks_cancellations: Option<bool>,
    #[serde(flatten)]
    #[schema(value_type = Object)]
    config: Map<String, Value>,
}

impl From<StoreFields> for StoreChange {
    fn from(fields: StoreFields) -> Self {
        Self {
            name: fields.name,
            platform: fields.platform,
            base_url: fields.base_url,
            credentials: fields.credentials,
            warehouses: fields.warehouses,
            share_percent: fields.share_percent,
            sync_enabled: fields.sync_enabled,
            paused: fields.paused,
            rehearsal: fields.rehearsal,
            pause_reason: fields.pause_reason,
            protect_unseen_sales: fields.protect_unseen_sales,
            unseen_sales_hours: fields.unseen_sales_hours,
            pushed_falls: fields.pushed_falls,
            restocks_returns: fields.restocks_returns,
            restocks_cancellations: fields.restocks_cancellations,
            config: fields.config,
            client_id: None,
        }
    }
}

/// Lists stores, oldest first.
#[utoipa::path(tag = "stores", security(("seller_key" = [])),
    params(("limit" = Option<i64>, Query), ("cursor" = Option<String>, Query)),
    responses((status = 200, body = Page<StoreView>), (status = 401, body = Problem)))]
#[get("/v1/stores")]
pub async fn list_stores(caller: Caller, state: State, request: HttpRequest) -> Answer {
    let params: PageQuery = query(&request)?;
    let (limit, after) = (limit(params.limit.as_deref())?, id_cursor(params.cursor.as_deref())?);
    let now = state.service.now();
    let found = caller.db.read(move |t| t.stores(after, limit + 1)).await?;
    Ok(HttpResponse::Ok().json(Page::of(found, limit, |s| s.id.to_string(), |s| view(&s, now))))
}

/// Adds a store.
#[utoipa::path(tag = "stores", security(("seller_key" = [])), request_body = StoreFields,
    responses((status = 201, body = StoreView), (status = 401, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
#[post("/v1/stores")]
pub async fn create_store(caller: Caller, state: State, body: Body) -> Answer {
    let fields: StoreFields = body.object().await?;
    let store = stores::create(&state.service, &caller, fields.into()).await?;
    Ok(HttpResponse::Created().json(view(&store, state.service.now())))
}

/// Returns a store, with what its listings show: how many differ from their target, and the overwrite that is offered for them.
#[utoipa::path(tag = "stores", security(("seller_key" = [])),
    responses((status = 200, body = StoreView), (status = 401, body = Problem), (status = 404, body = Problem)))]
#[get("/v1/stores/{id}")]
pub async fn get_store(caller: Caller, state: State, id: Path<StoreId>) -> Answer {
    let id = id.into_inner();
    let (store, grant, figures) = caller.db.read(move |t| Ok((t.store(id)?, t.grant(id)?, figures(t, id)?))).await?;
    Ok(HttpResponse::Ok().json(view(&store, state.service.now()).with_grant(&grant).with_figures(figures)))
}

/// Changes a store; omitted fields stay as they are. New credentials, settings or a new address release held pushes; `paused` holds waiting pushes;
/// `sync_enabled: false` cancels them.
#[utoipa::path(tag = "stores", security(("seller_key" = [])), request_body = StoreFields,
    responses((status = 200, body = StoreView), (status = 401, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
#[patch("/v1/stores/{id}")]
pub async fn patch_store(caller: Caller, state: State, id: Path<StoreId>, body: Body) -> Answer {
    let id = id.into_inner();
    // Another seller's store does not exist for this one, even if the body is invalid.
    caller.db.read(move |t| t.store(id).map(drop)).await?;
    let fields: StoreFields = body.object().await?;
    let store = stores::change(&state.service, &caller, id, fields.into()).await?;
    Ok(HttpResponse::Ok().json(view(&store, state.service.now())))
}

/// How a store goes live.
#[derive(Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct GoLive {
    /// Whether a sync overwrites all its listings; otherwise they are sent what increased during the rehearsal, and what increases from now on.
    overwrite: Option<bool>,
}

/// A store that has gone live.
#[derive(Serialize, utoipa::ToSchema)]
struct LiveAnswer {
    store: StoreView,
    /// The sync that overwrites its listings, if that was wanted.
    sync_id: Option<RunId>,
}

/// Ends the rehearsal of a store.
#[utoipa::path(tag = "stores", security(("seller_key" = [])), request_body = GoLive,
    responses((status = 200, body = LiveAnswer), (status = 401, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
#[post("/v1/stores/{id}/go-live")]
pub async fn go_live(caller: Caller, state: State, id: Path<StoreId>, body: Body) -> Answer {
    let id = id.into_inner();
    caller.db.read(move |t| t.store(id).map(drop)).await?;
    let GoLive { overwrite } = body.optional_object().await?;
    let (store, run) = rehearsal::go_live(&state.service, &caller, id, overwrite == Some(true)).await?;
    Ok(HttpResponse::Ok().json(LiveAnswer { store: view(&store, state.service.now()), sync_id: run.map(|run| run.id) }))
}

/// Removes a store with its listings and rules, and cancels its waiting pushes.
#[utoipa::path(tag = "stores", security(("seller_key" = [])),
    responses((status = 204, description = "The store was removed."), (status = 401, body = Problem), (status = 404, body = Problem)))]
#[delete("/v1/stores/{id}")]
pub async fn delete_store(caller: Caller, state: State, id: Path<StoreId>) -> Answer {
    stores::delete(&state.service, &caller, id.into_inner()).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Whether a store can be reached with its credentials.
#[derive(Serialize, utoipa::ToSchema)]
struct CheckAnswer {
    ok: bool,
    /// Why not, in plain words.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// What the check could not find out, or what you should know, in plain words.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

/// Calls the platform and reports whether the store answers. If a store that needed reauthorization answers again, its
/// held pushes are released; if it was a change that it refused, one of them is sent first, to find out. A shop that is
/// connected as another store already is refused.
#[utoipa::path(tag = "stores", security(("seller_key" = [])),
    responses((status = 200, body = CheckAnswer), (status = 401, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem)))]
#[post("/v1/stores/{id}/check")]
pub async fn check_store(caller: Caller, state: State, id: Path<StoreId>) -> Answer {
    let stores::Checked { reason, note } = stores::check(&state.service, &caller, id.into_inner()).await?;
    Ok(HttpResponse::Ok().json(CheckAnswer { ok: reason.is_none(), reason, note }))
}
