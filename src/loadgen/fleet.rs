//! Creates what a run needs at the service: sellers, each with warehouses, stores, listings and settings.
//!
//! Creating a store twice would deliver everything twice. So if an answer is lost, the half-created seller is abandoned
//! (its auto-sync was never turned on) and another one is created.
use super::api::{Api, Error, OnLost};
use super::model::Feeds;
use super::plan::{Plan, Task};
use super::platform::Platform;
use super::progress::Progress;
use super::store::open_store;
use futures_util::{StreamExt, TryStreamExt};
use reqwest::Method;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// Listings in one bulk request.
const BULK_ROWS: usize = 5_000;
/// Attempts to create one seller.
const MAX_ATTEMPTS: usize = 20;
/// The code of the second warehouse.
pub(super) const SECOND_WAREHOUSE: &str = "second";

#[derive(Debug, Clone)]
pub(super) struct Seller {
    pub(super) key: SecretString,
    pub(super) stores: Vec<Store>,
}

#[derive(Debug, Clone)]
pub(super) struct Store {
    /// The id at the service.
    pub(super) id: String,
    /// The name at the platform.
    pub(super) external: String,
}

pub(super) fn sku(number: usize) -> String {
    format!("SKU-{number:05}")
}

#[derive(Deserialize)]
struct Created {
    id: String,
    #[serde(default)]
    api_key: Option<String>,
}

#[derive(Deserialize)]
struct Paired {
    created: usize,
}

pub(super) async fn create(plan: &Plan, api: &Api, platform: &Platform, run: &str, progress: &Progress) -> Result<Vec<Seller>, Error> {
    let one = |number| async move {
        let seller = create_seller(plan, api, platform, run, number).await?;
        progress.advance(1);
        Ok(seller)
    };
    futures_util::stream::iter(0..plan.sellers).map(one).buffered(plan.connections).try_collect().await
}

async fn create_seller(plan: &Plan, api: &Api, platform: &Platform, run: &str, number: usize) -> Result<Seller, Error> {
    for attempt in 0..MAX_ATTEMPTS {
        match try_create_seller(plan, api, platform, &format!("{run}-{number}-{attempt}"), number).await {
            Err(Error::Lost { .. }) => {}
            other => return other,
        }
    }
    Err(Error::Internal(format!("a seller could not be created in {MAX_ATTEMPTS} attempts: each lost an answer")))
}

async fn try_create_seller(plan: &Plan, api: &Api, platform: &Platform, name: &str, number: usize) -> Result<Seller, Error> {
    let body = json!({"name": format!("load {name}"), "timezone": "UTC"});
    let created: Created = api.json(Method::POST, "/admin/sellers", Some(&plan.operator_key), Some(&body), OnLost::Fail).await?;
    let key = created
        .api_key
        .map(SecretString::from)
        .ok_or_else(|| Error::Internal("a new seller was returned without its API key".to_owned()))?;
    if plan.warehouses > 1 {
        let body = json!({"code": SECOND_WAREHOUSE, "name": "Second"});
        api.json::<Value>(Method::POST, "/v1/warehouses", Some(&key), Some(&body), OnLost::Fail).await?;
    }
    let (shares, exclusive) = plan.shares_of(number);
    let mut stores = Vec::with_capacity(plan.stores);
    for (index, share) in shares.into_iter().enumerate() {
        let external = plan.face.store_name(name, index);
        let connection = open_store(plan, platform, &external).await?;
        let body = store_body(plan, connection, &external, index, share);
        let created: Created = api.json(Method::POST, "/v1/stores", Some(&key), Some(&body), OnLost::Fail).await?;
        pair(plan, api, &key, &created.id).await?;
        stores.push(Store { id: created.id, external });
    }
    let increases = matches!(plan.task, Task::Events { .. });
    let mode = if exclusive { "exclusive" } else { "shared" };
    let settings = json!({"auto_sync": increases, "frequency": "incremental", "allocation_mode": mode, "initial_overwrite": false});
    api.json::<Value>(Method::PUT, "/v1/sync-settings", Some(&key), Some(&settings), OnLost::Repeat).await?;
    Ok(Seller { key, stores })
}

fn store_body(plan: &Plan, mut body: Map<String, Value>, external: &str, index: usize, share: i64) -> Value {
    #[expect(clippy::cast_precision_loss, reason = "at most ten thousand hundredths")]
    let share = share as f64 / 100.0;
    let mut put = |name: &str, value: Value| body.insert(name.to_owned(), value);
    put("name", json!(external));
    put("share_percent", json!(share));
    match Feeds::of(plan, index) {
        Feeds::All => {}
        Feeds::Only(0) => drop(put("warehouses", json!(["main"]))),
        Feeds::Only(_) => drop(put("warehouses", json!([SECOND_WAREHOUSE]))),
    }
    Value::Object(body)
}

async fn pair(plan: &Plan, api: &Api, key: &SecretString, store: &str) -> Result<(), Error> {
    let numbers: Vec<usize> = (0..plan.skus).collect();
    for chunk in numbers.chunks(BULK_ROWS) {
        let rows: Vec<Value> = chunk.iter().map(|n| plan.face.listing(&sku(*n), *n)).collect();
        let path = format!("/v1/stores/{store}/listings");
        let paired: Paired = api.json(Method::PUT, &path, Some(key), Some(&rows), OnLost::Fail).await?;
        if paired.created != chunk.len() {
            return Err(Error::Internal(format!("only {} of {} listings were paired", paired.created, chunk.len())));
        }
    }
    Ok(())
}
