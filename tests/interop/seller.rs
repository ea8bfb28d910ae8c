//! A seller with one store, and the service itself, which may be killed.
use crate::database::{Backend, TestDatabase};
use crate::program::{OPERATOR_KEY, Program, pause};
use crate::shop::Shop;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// Generous, because on a slow machine the shop itself takes long.
const QUIET_WITHIN: Duration = Duration::from_secs(300);
/// On a busy machine the shop takes seconds to set a page of quantities, and nothing else may be sent meanwhile.
const PATIENT: [&str; 2] = ["request_timeout_ms=10000", "settle_ms=11000"];

pub struct Seller {
    database: TestDatabase,
    service: Option<Program>,
    key: String,
    store: String,
    events: usize,
}

/// Totals over all pages of discovery.
#[derive(Debug, Default)]
pub struct Found {
    pub matched: usize,
    pub ambiguous: usize,
    pub paired: usize,
}

impl Seller {
    /// With this much of each SKU in the warehouse, and one SKU that two of the shop's variants share.
    pub fn new(shop: &Shop, available: &BTreeMap<String, i64>) -> Self {
        let database = TestDatabase::fresh(Backend::Sqlite);
        let service = Program::serve(&database, &PATIENT);
        let created = service.call("POST", "/admin/sellers", OPERATOR_KEY, &json!({ "name": "Ada", "timezone": "UTC" }));
        let key = created["api_key"].as_str().unwrap().to_owned();
        let mut seller = Self { database, service: Some(service), key, store: String::new(), events: 0 };
        seller.record("count", available);
        seller.record("count", &[("SKU-DUP".to_owned(), 1)].into());
        seller.call("PUT", "/v1/sync-settings", &json!({ "auto_sync": true, "initial_overwrite": false }));
        let store = seller.call("POST", "/v1/stores", &shop.as_store());
        seller.store = store["id"].as_str().unwrap().to_owned();
        seller
    }

    fn call(&self, method: &str, path: &str, body: &Value) -> Value {
        self.service.as_ref().unwrap().call(method, path, &self.key, body)
    }

    /// Discovers all of the shop's variants.
    pub fn discover(&self, apply: bool) -> Found {
        let (mut found, mut body) = (Found::default(), json!({ "apply": apply }));
        loop {
            let page = self.call("POST", &format!("/v1/stores/{}/discover", self.store), &body);
            let count = |name: &str| page[name].as_array().unwrap().len();
            found.matched += count("matched");
            found.ambiguous += count("ambiguous");
            found.paired += usize::try_from(page["paired"].as_u64().unwrap()).unwrap();
            if page["next_cursor"].is_null() {
                return found;
            }
            body["cursor"] = page["next_cursor"].clone();
        }
    }

    /// Sends one stock event for each SKU.
    pub fn record(&mut self, kind: &str, units: &BTreeMap<String, i64>) {
        self.send(kind, units, None);
    }

    /// Reports what the shop has sold, as its sales.
    pub fn report_sales(&mut self, units: &BTreeMap<String, i64>) {
        self.send("sale", units, Some(self.store.clone()));
    }

    fn send(&mut self, kind: &str, units: &BTreeMap<String, i64>, of_store: Option<String>) {
        let event = |(sku, quantity): (&String, &i64)| {
            self.events += 1;
            let mut event = json!({ "event_id": format!("e{}", self.events), "sku": sku, "kind": kind, "quantity": quantity });
            if let Some(store) = &of_store {
                event["store_id"] = json!(store);
            }
            event
        };
        let events: Vec<Value> = units.iter().map(event).collect();
        let answer = self.call("POST", "/v1/stock-events", &json!(events));
        assert_eq!(answer["rejected"], 0, "{answer}");
    }

    /// Starts a manual sync of everything.
    pub fn overwrite_everything(&self) {
        self.call("POST", "/v1/syncs", &json!({}));
    }

    /// `kill -9`, then another process on the same database.
    pub fn kill_and_restart(&mut self) {
        self.service.take().unwrap().kill();
        self.service = Some(Program::serve(&self.database, &PATIENT));
    }

    fn any(&self, state: &str) -> bool {
        self.call("GET", &format!("/v1/pushes?limit=1&state={state}"), &Value::Null)["items"][0].is_object()
    }

    /// Waits until no push is open and no run is in progress.
    pub fn wait_until_quiet(&self) {
        let started = Instant::now();
        loop {
            let runs = self.call("GET", "/v1/syncs", &Value::Null);
            let is_running = runs["items"].as_array().unwrap().iter().any(|run| run["finished_at"].is_null());
            let waiting: Vec<&str> =
                ["queued", "sending", "retrying", "uncertain", "held"].into_iter().filter(|state| self.any(state)).collect();
            if !is_running && waiting.is_empty() {
                println!("quiet after {:.1} s", started.elapsed().as_secs_f64());
                return;
            }
            let last = || self.call("GET", "/v1/pushes?limit=3", &Value::Null);
            assert!(started.elapsed() < QUIET_WITHIN, "still {waiting:?}: {}", last());
            pause(Duration::from_millis(100));
        }
    }

    /// The number of rejected pushes.
    pub fn rejected(&self) -> usize {
        self.call("GET", "/v1/pushes?state=rejected", &Value::Null)["items"].as_array().unwrap().len()
    }
}
