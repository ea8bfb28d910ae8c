//! What connectors send, checked against the platforms' own published descriptions: documents and variables against
//! GraphQL schemas; paths, parameters and bodies against Swagger and OpenAPI.
//!
//! The descriptions are not part of this repository. They are looked for in `../shared/specs` beside the package, or in
//! the folder named by `STOCKTIDE_TEST_SPECS`; if they are missing, these tests report that and check nothing.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that cannot go on should say so at once")]

mod amazon;
mod ebay;
mod graphql;
mod medusa;
mod rest;
mod shopee;
mod shopify;
mod vendure;
mod woocommerce;

use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::PathBuf;
use stocktide::domain::StoreId;
use stocktide::platforms::call::{Action, Call, CallItem, Request, StoreConnection};
use stocktide::platforms::{Platform, Stamp, by_name};

/// Not println, which is captured while a test passes.
fn report_skipped(why: &str) {
    let note = format!("SKIPPED: {why}; set STOCKTIDE_TEST_SPECS to the folder of the descriptions\n");
    std::io::stderr().write_all(note.as_bytes()).unwrap();
}

/// A description as JSON; `None`, with a note, if it is missing.
fn description(path: &str) -> Option<Value> {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/specs");
    let file = std::env::var_os("STOCKTIDE_TEST_SPECS").map_or(beside, PathBuf::from).join(path);
    let Ok(bytes) = std::fs::read(&file) else {
        report_skipped(&format!("{} is missing", file.display()));
        return None;
    };
    let mut text = String::new();
    match path.ends_with(".gz") {
        true => flate2::read::GzDecoder::new(bytes.as_slice()).read_to_string(&mut text).map(drop).unwrap(),
        false => text = String::from_utf8(bytes).unwrap(),
    }
    Some(if path.ends_with(".yaml") || path.ends_with(".yml") {
        serde_yaml_ng::from_str(&text).unwrap()
    } else {
        serde_json::from_str(&text).unwrap()
    })
}

/// A store of a platform, as its connector sees it.
struct Shop {
    platform: &'static dyn Platform,
    store: StoreConnection,
}

impl Shop {
    fn new(platform: &str, config: Value, credentials: &[&str]) -> Self {
        let store = StoreConnection {
            store_id: StoreId(uuid::Uuid::nil()),
            platform: platform.to_owned(),
            base_url: None,
            config: config.as_object().cloned().unwrap_or_else(Map::new),
            credentials: credentials.iter().map(|name| ((*name).to_owned(), "secret".into())).collect(),
        };
        Self { platform: by_name(platform).unwrap(), store }
    }

    fn request(&self, action: Action, items: Vec<CallItem>) -> Request {
        let call = Call { action, items, idempotency_key: Some("0198c0de-0000-7000-8000-000000000000".to_owned()) };
        self.platform.request(&self.store, &call, &stamp()).unwrap()
    }

    fn variants_request(&self, cursor: Option<&str>) -> Request {
        self.platform.variants_request(&self.store, cursor, &stamp()).unwrap()
    }
}

fn stamp() -> Stamp {
    Stamp { now: "2026-11-24T12:00:00Z".parse().unwrap(), nonce: "0".repeat(32) }
}

fn item(external_id: &str, extra: &[(&str, &str)], quantity: i64, expected: Option<i64>) -> CallItem {
    let extra: BTreeMap<String, String> = extra.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    CallItem { external_id: external_id.to_owned(), extra, quantity, expected }
}

fn body(request: &Request) -> Value {
    serde_json::from_str(request.body.as_deref().unwrap()).unwrap()
}
