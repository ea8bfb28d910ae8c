//! Stores: where stock is shown. Credentials go in and never come out.
use super::auth::Caller;
use super::error::{ApiError, Problem};
use super::request::{Body, Checks, Page, PageQuery, id_cursor, limit, present, query};
use super::settings::check_shares;
use super::state::{Answer, AppState, State, audited};
use crate::db::pushes::CancelScope;
use crate::db::stores::Store;
use crate::db::{Error, Tenant};
use crate::domain::allocation::Share;
use crate::domain::delivery::{ItemResult, Outcome};
use crate::domain::ids::check_text;
use crate::domain::limits::{MAX_NAME_CHARS, MAX_STORES};
use crate::domain::problem::pointer_to;
use crate::domain::{FieldError, StoreId, Timestamp, WarehouseCode};
use crate::platforms::call::{Action, Call, StoreConnection};
use crate::platforms::{by_name, registry, transport};
use crate::service::connection::{self, Credentials, Stale, connection};
use actix_web::web::Path;
use actix_web::{HttpRequest, HttpResponse, delete, get, patch, post};
use secrecy::ExposeSecret;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Characters of a base URL at most.
const MAX_URL: usize = 2000;
/// Bytes of one credential at most.
const MAX_SECRET: usize = 8192;

/// How a store stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum StoreState {
    /// It is pushed to.
    Working,
    /// Its pushes are held until it is resumed.
    Paused,
    /// It refused its credentials; its pushes are held until new ones work.
    NeedsReauthorisation,
    /// It is not pushed to: switched off.
    Off,
}

/// A store.
#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct StoreAnswer {
    id: StoreId,
    name: String,
    platform: String,
    base_url: Option<String>,
    /// The warehouses that feed it; null for all.
    warehouses: Option<Vec<String>>,
    /// Its part of the pool, in percent; null for none.
    #[serde(serialize_with = "percent")]
    share_percent: Option<f64>,
    sync_enabled: bool,
    paused: bool,
    state: StoreState,
    /// What is wrong with it, in plain words.
    problem: Option<String>,
    /// Whether credentials are kept for it; they are never shown.
    has_credentials: bool,
    last_success_at: Option<Timestamp>,
    created_at: Timestamp,
    updated_at: Timestamp,
    /// The connector's own settings.
    #[serde(flatten)]
    #[schema(value_type = Object)]
    config: Map<String, Value>,
}

/// Whole percentages without a fraction: 30, not 30.0.
pub(super) fn percent<S: Serializer>(share: &Option<f64>, to: S) -> Result<S::Ok, S::Error> {
    match share {
        None => to.serialize_none(),
        #[expect(clippy::cast_possible_truncation, reason = "a share is from 0 to 100")]
        Some(share) if share.fract() == 0.0 => to.serialize_i64(*share as i64),
        Some(share) => to.serialize_f64(*share),
    }
}

/// How a store stands, as far as its row says.
pub(super) fn state_of(store: &Store) -> StoreState {
    if store.needs_reauthorisation {
        StoreState::NeedsReauthorisation
    } else if store.paused {
        StoreState::Paused
    } else if !store.sync_enabled {
        StoreState::Off
    } else {
        StoreState::Working
    }
}

fn answer(store: &Store) -> StoreAnswer {
    StoreAnswer {
        id: store.id,
        name: store.name.clone(),
        platform: store.platform.clone(),
        base_url: store.base_url.clone(),
        warehouses: store.warehouses.as_ref().map(|codes| codes.iter().map(ToString::to_string).collect()),
        share_percent: store.share.map(Share::percent),
        sync_enabled: store.sync_enabled,
        paused: store.paused,
        state: state_of(store),
        problem: store.problem.clone(),
        has_credentials: store.credentials.is_some(),
        last_success_at: store.last_success_at,
        created_at: store.created_at,
        updated_at: store.updated_at,
        config: serde_json::from_str(&store.config).unwrap_or_default(),
    }
}

fn secrets<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Option<Credentials>>, D::Error> {
    let given: Option<Option<BTreeMap<String, String>>> = present(from)?;
    Ok(given.map(|given| given.map(|map| map.into_iter().map(|(name, secret)| (name, secret.into())).collect())))
}

/// A store, new or changed. Beside these fields stand the connector's own settings, such as `external_store`,
/// `abilities` and `rate_limit` of a simulated store.
#[derive(Default, Deserialize, utoipa::ToSchema)]
pub(super) struct StoreFields {
    pub name: Option<String>,
    /// Which connector; cannot be changed.
    #[schema(example = "simulated")]
    pub platform: Option<String>,
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    pub base_url: Option<Option<String>>,
    /// The connector's own secrets; write-only.
    #[serde(default, deserialize_with = "secrets")]
    #[schema(value_type = Option<BTreeMap<String, String>>, write_only)]
    pub credentials: Option<Option<Credentials>>,
    /// The warehouses that feed it; null for all.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<Vec<String>>)]
    pub warehouses: Option<Option<Vec<String>>>,
    /// Its part of the pool, in percent with at most two decimals; 100 when left out, null for none.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<f64>, minimum = 0, maximum = 100)]
    pub share_percent: Option<Option<f64>>,
    pub sync_enabled: Option<bool>,
    /// While paused its pushes are held.
    pub paused: Option<bool>,
    #[serde(flatten)]
    #[schema(value_type = Object)]
    pub config: Map<String, Value>,
}

impl StoreFields {
    /// Applies the fields to `store`; says whether credentials are new.
    fn apply(&self, store: &mut Store, credentials: &mut Credentials) -> Result<(), Vec<FieldError>> {
        let mut checks = Checks::default();
        if let Some(name) = &self.name {
            checks.take("/name", check_text(name, "a name", MAX_NAME_CHARS));
            store.name = name.clone();
        }
        if let Some(platform) = &self.platform
            && *platform != store.platform
        {
            checks.note("/platform", "cannot be changed; add another store");
        }
        if let Some(url) = &self.base_url {
            if url.as_ref().is_some_and(|url| url.len() > MAX_URL || url.contains('\0')) {
                checks.note("/base_url", format!("must be an address of at most {MAX_URL} characters"));
            }
            store.base_url = url.clone();
        }
        if let Some(given) = &self.credentials {
            *credentials = given.clone().unwrap_or_default();
            for (name, secret) in credentials.iter() {
                if secret.expose_secret().len() > MAX_SECRET {
                    checks.note(format!("/credentials{}", pointer_to(name)), format!("has at most {MAX_SECRET} bytes"));
                }
            }
        }
        if let Some(codes) = &self.warehouses {
            let parsed = codes.as_ref().map(|codes| {
                let parse = |(index, code): (usize, &String)| checks.take(&format!("/warehouses/{index}"), WarehouseCode::parse(code));
                codes.iter().enumerate().filter_map(parse).collect::<Vec<_>>()
            });
            if parsed.as_ref().is_some_and(Vec::is_empty) {
                checks.note("/warehouses", "must name at least one; leave it out for all");
            }
            store.warehouses = parsed.map(|mut codes| {
                codes.sort();
                codes.dedup();
                codes
            });
        }
        if let Some(share) = self.share_percent {
            store.share = share.and_then(|percent| checks.take("/share_percent", share_of(percent)));
        }
        store.sync_enabled = self.sync_enabled.unwrap_or(store.sync_enabled);
        store.paused = self.paused.unwrap_or(store.paused);
        let mut config: Map<String, Value> = serde_json::from_str(&store.config).unwrap_or_default();
        for (name, value) in &self.config {
            // Null takes a setting back to its default.
            if value.is_null() {
                config.remove(name)
            } else {
                config.insert(name.clone(), value.clone())
            };
        }
        store.config = Value::Object(config).to_string();
        checks.done()
    }
}

pub(super) fn share_of(percent: f64) -> Result<Share, &'static str> {
    Share::from_percent(percent).ok_or("must be from 0 to 100, with at most two decimals")
}

/// Asks the connector whether it could work with this store.
fn check_with_platform(state: &AppState, store: &Store, credentials: &Credentials) -> Result<(), Vec<FieldError>> {
    let Some(platform) = by_name(&store.platform) else {
        let known: Vec<&str> = registry().iter().map(|p| p.name()).collect();
        return Err(vec![FieldError::new("/platform", format!("must be one of: {}", known.join(", ")))]);
    };
    let connection = StoreConnection {
        store_id: store.id,
        platform: store.platform.clone(),
        base_url: store.base_url.clone(),
        config: serde_json::from_str(&store.config).unwrap_or_default(),
        credentials: credentials.clone(),
    };
    platform.check_config(&connection)?;
    let literal = store.base_url.as_deref().and_then(transport::literal_address);
    if !state.settings.allow_private_targets && literal.is_some_and(|ip| !transport::is_public(ip)) {
        return Err(vec![FieldError::new("/base_url", "must not be a loopback or private address")]);
    }
    Ok(())
}

fn seal(state: &AppState, t: &Tenant<'_>, store: StoreId, credentials: &Credentials) -> Result<Option<Vec<u8>>, Error> {
    connection::seal(t.seller(), store, credentials, &state.sealer).map_err(|e| Error::Unavailable(e.to_string()))
}

fn check_warehouses(t: &mut Tenant<'_>, store: &Store) -> Result<(), Error> {
    let codes = store.warehouses.clone().unwrap_or_default();
    let unknown = t.unknown_warehouses(&codes)?;
    let error = |code: &WarehouseCode| FieldError::new("/warehouses", format!("there is no warehouse {code}; create it first"));
    if unknown.is_empty() { Ok(()) } else { Err(Error::Invalid(unknown.iter().map(error).collect())) }
}

pub(super) fn without_secrets(store: &Store) -> Value {
    json!(answer(store))
}

/// Stores by age.
#[utoipa::path(tag = "stores", security(("seller_key" = [])),
    params(("limit" = Option<i64>, Query), ("cursor" = Option<String>, Query)),
    responses((status = 200, body = Page<StoreAnswer>), (status = 401, body = Problem)))]
#[get("/v1/stores")]
pub async fn list_stores(caller: Caller, request: HttpRequest) -> Answer {
    let asked: PageQuery = query(&request)?;
    let (limit, after) = (limit(asked.limit.as_deref())?, id_cursor(asked.cursor.as_deref())?);
    let found = caller.db.read(move |t| t.stores(after, limit + 1)).await?;
    Ok(HttpResponse::Ok().json(Page::of(found, limit, |s| s.id.to_string(), |s| answer(&s))))
}

/// Adds a store.
#[utoipa::path(tag = "stores", security(("seller_key" = [])), request_body = StoreFields,
    responses((status = 201, body = StoreAnswer), (status = 401, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
#[post("/v1/stores")]
pub async fn create_store(caller: Caller, state: State, body: Body) -> Answer {
    let store = create(&caller, &state, body.object()?).await?;
    Ok(HttpResponse::Created().json(answer(&store)))
}

/// Checks and saves a new store, and enters it in the audit log.
pub(super) async fn create(caller: &Caller, state: &State, fields: StoreFields) -> Result<Store, ApiError> {
    let mut checks = Checks::default();
    if fields.name.is_none() {
        checks.note("/name", "is needed");
    }
    if fields.platform.is_none() {
        checks.note("/platform", "is needed");
    }
    checks.finish()?;
    let now = state.clock.now();
    let mut store = Store {
        id: StoreId::new(now),
        name: String::new(),
        platform: fields.platform.clone().unwrap_or_default(),
        base_url: None,
        config: "{}".to_owned(),
        credentials: None,
        warehouses: None,
        share: Some(Share::ALL),
        sync_enabled: true,
        paused: false,
        needs_reauthorisation: false,
        problem: None,
        probe_at: None,
        last_success_at: None,
        created_at: now,
        updated_at: now,
    };
    let mut credentials = Credentials::new();
    fields.apply(&mut store, &mut credentials).map_err(ApiError::invalid)?;
    check_with_platform(state, &store, &credentials).map_err(ApiError::invalid)?;
    let (inner, actor, now) = (state.clone(), caller.actor(), now);
    let store = caller
        .db
        .write(move |t| {
            if i64::try_from(t.stores(None, MAX_STORES)?.len()).unwrap_or(i64::MAX) >= MAX_STORES {
                return Err(Error::Conflict(format!("a seller may have at most {MAX_STORES} stores")));
            }
            let mut store = store.clone();
            check_warehouses(t, &store)?;
            store.credentials = seal(&inner, t, store.id, &credentials)?;
            t.save_store(&store)?;
            let settings = t.sync_settings()?;
            check_shares(t, &settings, "/share_percent")?;
            let mut entry = audited(&actor, "store.created", &store.name);
            entry.after = Some(without_secrets(&store));
            t.append_audit(&entry, now)?;
            Ok(store)
        })
        .await?;
    state.handle.reconfigure(caller.db.id());
    Ok(store)
}

/// One store.
#[utoipa::path(tag = "stores", security(("seller_key" = [])),
    responses((status = 200, body = StoreAnswer), (status = 401, body = Problem), (status = 404, body = Problem)))]
#[get("/v1/stores/{id}")]
pub async fn get_store(caller: Caller, id: Path<StoreId>) -> Answer {
    let id = id.into_inner();
    let store = caller.db.read(move |t| t.store(id)).await?;
    Ok(HttpResponse::Ok().json(answer(&store)))
}

/// Changes a store; what is left out stays as it is. New credentials let what was held flow again; `paused` holds
/// what waits; `sync_enabled: false` calls off what waits.
#[utoipa::path(tag = "stores", security(("seller_key" = [])), request_body = StoreFields,
    responses((status = 200, body = StoreAnswer), (status = 401, body = Problem), (status = 404, body = Problem), (status = 422, body = Problem)))]
#[patch("/v1/stores/{id}")]
pub async fn patch_store(caller: Caller, state: State, id: Path<StoreId>, body: Body) -> Answer {
    let id = id.into_inner();
    // Another seller's store is not there, whatever is sent to it.
    caller.db.read(move |t| t.store(id).map(drop)).await?;
    let store = change(&caller, &state, id, body.object()?).await?;
    Ok(HttpResponse::Ok().json(answer(&store)))
}

/// Checks and saves a change of a store, holds, releases or calls off what waits for it accordingly, and enters it in
/// the audit log.
pub(super) async fn change(caller: &Caller, state: &State, id: StoreId, fields: StoreFields) -> Result<Store, ApiError> {
    let (now, actor, inner) = (state.now(), caller.actor(), state.clone());
    let store = caller
        .db
        .write(move |t| {
            let old = t.store(id)?;
            let mut store = Store { updated_at: now, ..old.clone() };
            let opened = connection(t.seller(), &old, &inner.sealer);
            let mut credentials = opened.map(|connection| connection.credentials).unwrap_or_default();
            let new_credentials = fields.credentials.is_some();
            fields.apply(&mut store, &mut credentials).map_err(Error::Invalid)?;
            check_with_platform(&inner, &store, &credentials).map_err(Error::Invalid)?;
            check_warehouses(t, &store)?;
            if new_credentials {
                store.credentials = seal(&inner, t, id, &credentials)?;
            }
            t.save_store(&store)?;
            let settings = t.sync_settings()?;
            check_shares(t, &settings, "/share_percent")?;
            if old.sync_enabled && !store.sync_enabled {
                t.cancel_pushes(CancelScope::Store(id), "The store was switched off.", now)?;
            }
            if store.paused && !old.paused {
                t.hold_store(id, now)?;
            }
            let released = (old.paused && !store.paused && !store.needs_reauthorisation) || new_credentials;
            if released {
                t.release_store(id, now)?;
            }
            let store = t.store(id)?;
            let mut entry = audited(&actor, if new_credentials { "store.credentials_changed" } else { "store.changed" }, &store.name);
            (entry.before, entry.after) = (Some(without_secrets(&old)), Some(without_secrets(&store)));
            t.append_audit(&entry, now)?;
            Ok(store)
        })
        .await?;
    state.handle.reconfigure(caller.db.id());
    Ok(store)
}

/// Removes a store with its listings and rules, and calls off what waits for it.
#[utoipa::path(tag = "stores", security(("seller_key" = [])),
    responses((status = 204, description = "Gone."), (status = 401, body = Problem), (status = 404, body = Problem)))]
#[delete("/v1/stores/{id}")]
pub async fn delete_store(caller: Caller, state: State, id: Path<StoreId>) -> Answer {
    delete(&caller, &state, id.into_inner()).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Removes a store, and enters that in the audit log.
pub(super) async fn delete(caller: &Caller, state: &State, id: StoreId) -> Result<(), ApiError> {
    let (now, actor) = (state.now(), caller.actor());
    caller
        .db
        .write(move |t| {
            let store = t.delete_store(id, now)?;
            let mut entry = audited(&actor, "store.deleted", &store.name);
            entry.before = Some(without_secrets(&store));
            t.append_audit(&entry, now)
        })
        .await?;
    state.handle.reconfigure(caller.db.id());
    Ok(())
}

/// Whether a store can be reached with its credentials.
#[derive(Serialize, utoipa::ToSchema)]
struct CheckAnswer {
    ok: bool,
    /// Why not, in plain words.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// Calls the platform and says whether the store answers. A store that needed re-authorisation and answers again has
/// its held pushes released.
#[utoipa::path(tag = "stores", security(("seller_key" = [])),
    responses((status = 200, body = CheckAnswer), (status = 401, body = Problem), (status = 404, body = Problem)))]
#[post("/v1/stores/{id}/check")]
pub async fn check_store(caller: Caller, state: State, id: Path<StoreId>) -> Answer {
    let reason = check(&caller, &state, id.into_inner()).await?;
    Ok(HttpResponse::Ok().json(CheckAnswer { ok: reason.is_none(), reason }))
}

/// What is needed to call a store's platform, or why it cannot be had.
pub(super) fn connect(caller: &Caller, state: &AppState, store: &Store) -> Result<StoreConnection, String> {
    connection(caller.db.id(), store, &state.sealer).map_err(|error| format!("Its credentials cannot be used: {error}."))
}

/// Calls the platform; returns why the store does not answer, if it does not.
pub(super) async fn check(caller: &Caller, state: &State, id: StoreId) -> Result<Option<String>, ApiError> {
    let now = state.now();
    let store = caller.db.read(move |t| t.store(id)).await?;
    let reason = match connect(caller, state, &store) {
        Err(reason) => Some(reason),
        Ok(mut connection) => {
            let check = Call { action: Action::Check, items: Vec::new(), idempotency_key: None };
            ask(caller, state, &mut connection, &check).await.err()
        }
    };
    if reason.is_none() && store.needs_reauthorisation {
        caller.db.write(move |t| t.release_store(id, now).map(drop)).await?;
        state.handle.reconfigure(caller.db.id());
    }
    Ok(reason)
}

/// Asks a store something that changes nothing, with renewed tokens where that is needed; or why it does not answer as
/// it should, in plain words.
pub(super) async fn ask(caller: &Caller, state: &State, connection: &mut StoreConnection, call: &Call) -> Result<Vec<ItemResult>, String> {
    const NO_ROOM: &str = "The store's rate limit left no room to ask it just now; try again.";
    let mut refused = false;
    loop {
        match state.renewals.renew(&caller.db, connection, refused).await {
            Ok(Some(renewed)) => *connection = renewed,
            Ok(None) if refused => return Err("The store says that the access token has ended, and it cannot be renewed.".to_owned()),
            Ok(None) => {}
            Err(Stale::Refused(reason) | Stale::TryAgain(reason)) => return Err(reason),
            Err(Stale::Database(_)) => return Err("Its renewed tokens could not be kept; try again.".to_owned()),
        }
        // A store with a long queue may not have a permit for long; the one who asks should not wait for it.
        let permit = tokio::time::timeout(state.client.timeout(), state.client.permit(connection, call)).await;
        let Ok(permit) = permit else { return Err(NO_ROOM.to_owned()) };
        match state.client.send(connection, call, permit).await.outcome {
            Outcome::Answered(results) => return Ok(results),
            Outcome::TokenExpired { .. } if !refused => refused = true,
            Outcome::Refused { reason, .. } | Outcome::TryAgain { reason, .. } | Outcome::TokenExpired { reason } => return Err(reason),
            Outcome::Unauthorized { reason } | Outcome::Closed { reason, .. } | Outcome::Unknown { reason } => return Err(reason),
        }
    }
}
