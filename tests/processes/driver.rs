//! Sends stock events to a service that may disappear at any moment, as a careful client does: each SKU's events in
//! order, and every request, or message to NATS, repeated with the same event ids until it is answered. Keeps a simple
//! model: a listing should show the sum of its increases.
use crate::program::{OPERATOR_KEY, Program, call, pause};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// Clients that send concurrently, each with SKUs of its own.
const CLIENTS: usize = 4;
const SKUS_PER_CLIENT: usize = 25;
const STORES: [&str; 2] = ["corner", "square"];

/// If pushes are still open after this long, something is lost.
const QUIET_WITHIN: Duration = Duration::from_secs(40);

/// Tries to hand over a batch of events; returns whether that was answered.
pub type Sender = Box<dyn FnMut(&Value) -> bool + Send>;

/// A seller with stores and listings, and the clients that send its events.
pub struct Driver {
    key: String,
    /// The service's current address, which changes with every start.
    service: Arc<Mutex<SocketAddr>>,
    stop: Arc<AtomicBool>,
    repeats: Arc<AtomicUsize>,
    clients: Vec<JoinHandle<BTreeMap<String, i64>>>,
}

/// Listings that do not show the sum of their increases.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Listing and missing units.
    pub lost: Vec<(String, i64)>,
    /// Listing and surplus units.
    pub duplicated: Vec<(String, i64)>,
}

impl Driver {
    /// Creates the seller and starts its clients.
    pub fn start(seed: u64, service: &Program, platform: &Program) -> Self {
        Self::start_with_platform_at(seed, service, platform.address)
    }

    /// Like [`Driver::start`], with a platform that the service reaches at this address.
    pub fn start_with_platform_at(seed: u64, service: &Program, platform: SocketAddr) -> Self {
        Self::start_sending(seed, service, platform, |driver, _| {
            let (service, key) = (Arc::clone(&driver.service), driver.key.clone());
            Box::new(move |batch| {
                let address = *service.lock().unwrap();
                let Ok(answer) = call(address, "POST", "/v1/stock-events", &key, batch) else { return false };
                match answer.status {
                    200 => assert_eq!(answer.json()["rejected"], 0, "{}", answer.text()),
                    status => assert!(matches!(status, 429 | 503), "{status}: {}", answer.text()),
                }
                answer.status == 200
            })
        })
    }

    /// The same with clients that send in another way, made for a seller with this id.
    pub fn start_sending(seed: u64, service: &Program, platform: SocketAddr, sender: impl Fn(&Self, &str) -> Sender) -> Self {
        let created = service.call("POST", "/admin/sellers", OPERATOR_KEY, &json!({ "name": "Ada", "timezone": "UTC" }));
        let key = created["api_key"].as_str().unwrap().to_owned();
        let skus: Vec<Vec<String>> = (0..CLIENTS).map(|c| (0..SKUS_PER_CLIENT).map(|s| format!("SKU-{c}-{s}")).collect()).collect();
        for name in STORES {
            let url = format!("http://{platform}");
            // Small calls, so that there are many for the kills and faults to hit.
            let store = json!({ "name": name, "platform": "simulated", "base_url": url, "external_store": name,
                "abilities": { "max_items": 5 }, "rate_limit": { "per_second": 2000, "burst": 2000 } });
            let store = service.call("POST", "/v1/stores", &key, &store);
            let rows: Vec<Value> = skus.iter().flatten().map(|sku| json!({ "sku": sku, "external_id": sku })).collect();
            service.call("PUT", &format!("/v1/stores/{}/listings", store["id"].as_str().unwrap()), &key, &json!(rows));
        }
        service.call("PUT", "/v1/sync-settings", &key, &json!({ "auto_sync": true, "initial_overwrite": false }));
        let mut driver = Self {
            key,
            service: Arc::new(Mutex::new(service.address)),
            stop: Arc::default(),
            repeats: Arc::default(),
            clients: Vec::new(),
        };
        for (number, skus) in skus.into_iter().enumerate() {
            let client = Client {
                send: sender(&driver, created["id"].as_str().unwrap()),
                stop: Arc::clone(&driver.stop),
                repeats: Arc::clone(&driver.repeats),
                random: ChaCha8Rng::seed_from_u64(seed ^ (number as u64 + 1)),
            };
            driver.clients.push(std::thread::spawn(move || client.run(number, &skus)));
        }
        driver
    }

    /// Sends to this process from now on.
    pub fn switch_to(&self, service: &Program) {
        *self.service.lock().unwrap() = service.address;
    }

    /// Requests that were not answered and had to be repeated.
    pub fn repeats(&self) -> usize {
        self.repeats.load(Ordering::Relaxed)
    }

    /// Lets the clients finish.
    pub fn finish(self) -> Sent {
        self.stop.store(true, Ordering::Relaxed);
        let mut model: BTreeMap<String, i64> = BTreeMap::new();
        for client in self.clients {
            model.extend(client.join().expect("a client does not panic"));
        }
        assert!(model.values().sum::<i64>() > 0);
        Sent { key: self.key, model }
    }

    /// The verdict on what was sent, after the clients have finished.
    pub fn verdict(self, service: &Program, platform: &Program) -> Verdict {
        self.finish().verdict(service, platform)
    }
}

/// What a driver's clients have sent.
pub struct Sent {
    key: String,
    /// What each SKU should show.
    model: BTreeMap<String, i64>,
}

impl Sent {
    /// SKUs whose ledger differs from what was sent: what it has, and what was sent.
    pub fn missing(&self, service: &Program) -> Vec<(String, i64, i64)> {
        let available = |sku: &str| {
            let stock = service.call("GET", &format!("/v1/stock?sku={sku}"), &self.key, &Value::Null);
            stock["total_available"].as_i64().unwrap_or(0)
        };
        let all = self.model.iter().map(|(sku, sent)| (sku.clone(), available(sku), *sent));
        all.filter(|(_, recorded, sent)| recorded != sent).collect()
    }

    /// Waits until no push is open, and compares what the platform shows with the model.
    pub fn verdict(self, service: &Program, platform: &Program) -> Verdict {
        assert_eq!(self.missing(service), [], "SKUs whose ledger differs from what was sent: recorded, sent");
        let model = self.model;
        let mut verdict = compare(&model, platform);
        let tries = QUIET_WITHIN.as_millis() / 200;
        for _ in 0..tries {
            let waiting = ["queued", "sending", "retrying", "uncertain"].iter().any(|state| {
                service.call("GET", &format!("/v1/pushes?limit=1&state={state}"), &self.key, &Value::Null)["items"][0].is_object()
            });
            verdict = compare(&model, platform);
            if !waiting {
                break;
            }
            pause(Duration::from_millis(200));
        }
        verdict
    }
}

fn compare(model: &BTreeMap<String, i64>, platform: &Program) -> Verdict {
    let mut verdict = Verdict::default();
    for store in STORES {
        let items = platform.call("GET", &format!("/control/stores/{store}/items"), "", &Value::Null);
        let shown: BTreeMap<&str, i64> = items["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| (item["external_id"].as_str().unwrap(), item["quantity"].as_i64().unwrap()))
            .collect();
        for (sku, expected) in model {
            let off = shown.get(sku.as_str()).copied().unwrap_or(0) - expected;
            match off {
                0 => {}
                1.. => verdict.duplicated.push((format!("{store}/{sku}"), off)),
                _ => verdict.lost.push((format!("{store}/{sku}"), -off)),
            }
        }
    }
    verdict
}

struct Client {
    send: Sender,
    stop: Arc<AtomicBool>,
    repeats: Arc<AtomicUsize>,
    random: ChaCha8Rng,
}

impl Client {
    /// Sends until the stop flag is set; returns what each of its SKUs should show.
    fn run(mut self, number: usize, skus: &[String]) -> BTreeMap<String, i64> {
        let mut model: BTreeMap<String, i64> = skus.iter().map(|sku| (sku.clone(), 0)).collect();
        let mut events = 0;
        while !self.stop.load(Ordering::Relaxed) {
            let size = self.random.random_range(1..=20);
            let batch: Vec<Value> = (0..size)
                .map(|_| {
                    events += 1;
                    let sku = &skus[self.random.random_range(0..skus.len())];
                    let quantity = self.random.random_range(1..=9);
                    *model.get_mut(sku).unwrap() += quantity;
                    json!({ "event_id": format!("c{number}-{events}"), "sku": sku, "kind": "purchase", "quantity": quantity })
                })
                .collect();
            self.send_until_answered(&json!(batch));
            pause(Duration::from_millis(self.random.random_range(0..10)));
        }
        model
    }

    fn send_until_answered(&mut self, batch: &Value) {
        while !(self.send)(batch) {
            self.repeats.fetch_add(1, Ordering::Relaxed);
            pause(Duration::from_millis(20));
        }
    }
}
