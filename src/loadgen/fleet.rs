//! Creates what a run needs at the service: sellers, each with its warehouses, stores, listings and settings.
//!
//! Creating a store twice would deliver everything twice, so where an answer is lost the half-made seller is left alone
//! (its auto-sync was never switched on) and another one is made.
use super::api::{Api, Error, Lost};
use super::model::Feeds;
use super::plan::{Plan, Task};
use super::platform::Platform;
use super::progress::Progress;
use futures_util::{StreamExt, TryStreamExt};
use reqwest::Method;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// Rows in one bulk request.
const BULK: usize = 5_000;
/// How often a seller is begun anew.
const MOST_TRIES: usize = 20;
/// The second warehouse.
pub(super) const SECOND_WAREHOUSE: &str = "second";

/// A seller at the service.
#[derive(Debug, Clone)]
pub(super) struct Seller {
    pub(super) key: SecretString,
    pub(super) stores: Vec<Store>,
}

/// One of its stores.
#[derive(Debug, Clone)]
pub(super) struct Store {
    /// Its id at the service.
    pub(super) id: String,
    /// Its name at the platform.
    pub(super) external: String,
}

/// The SKU of this number.
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

/// Creates all sellers of the plan.
pub(super) async fn create(plan: &Plan, api: &Api, platform: &Platform, run: &str, progress: &Progress) -> Result<Vec<Seller>, Error> {
    let one = |number| async move {
        let seller = create_seller(plan, api, platform, run, number).await?;
        progress.advance(1);
        Ok(seller)
    };
    futures_util::stream::iter(0..plan.sellers).map(one).buffered(plan.connections).try_collect().await
}

async fn create_seller(plan: &Plan, api: &Api, platform: &Platform, run: &str, number: usize) -> Result<Seller, Error> {
    for attempt in 0..MOST_TRIES {
        match try_seller(plan, api, platform, &format!("{run}-{number}-{attempt}"), number).await {
            Err(Error::Lost { .. }) => {}
            other => return other,
        }
    }
    Err(Error::Internal(format!("a seller could not be created in {MOST_TRIES} tries without losing an answer")))
}

async fn try_seller(plan: &Plan, api: &Api, platform: &Platform, name: &str, number: usize) -> Result<Seller, Error> {
    let body = json!({"name": format!("load {name}"), "timezone": "UTC"});
    let created: Created = api.json(Method::POST, "/admin/sellers", Some(&plan.operator_key), Some(&body), Lost::Tell).await?;
    let key = created.api_key.map(SecretString::from).ok_or_else(|| Error::Internal("a new seller came without its key".to_owned()))?;
    if plan.warehouses > 1 {
        let body = json!({"code": SECOND_WAREHOUSE, "name": "Second"});
        api.json::<Value>(Method::POST, "/v1/warehouses", Some(&key), Some(&body), Lost::Tell).await?;
    }
    let (shares, exclusive) = plan.shares_of(number);
    let mut stores = Vec::with_capacity(plan.stores);
    for (index, share) in shares.into_iter().enumerate() {
        let external = plan.face.store_name(name, index);
        let at_platform = plan.face.open(plan, platform, &external).await?;
        let body = store_body(plan, at_platform, &external, index, share);
        let created: Created = api.json(Method::POST, "/v1/stores", Some(&key), Some(&body), Lost::Tell).await?;
        pair(plan, api, &key, &created.id).await?;
        stores.push(Store { id: created.id, external });
    }
    let increases = matches!(plan.task, Task::Events { .. });
    let mode = if exclusive { "exclusive" } else { "shared" };
    let settings = json!({"auto_sync": increases, "frequency": "incremental", "allocation_mode": mode, "initial_overwrite": false});
    api.json::<Value>(Method::PUT, "/v1/sync-settings", Some(&key), Some(&settings), Lost::Repeat).await?;
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
    for chunk in numbers.chunks(BULK) {
        let rows: Vec<Value> = chunk.iter().map(|n| plan.face.listing(&sku(*n), *n)).collect();
        let path = format!("/v1/stores/{store}/listings");
        let paired: Paired = api.json(Method::PUT, &path, Some(key), Some(&rows), Lost::Tell).await?;
        if paired.created != chunk.len() {
            return Err(Error::Internal(format!("{} of {} listings were paired", paired.created, chunk.len())));
        }
    }
    Ok(())
}
