//! A real Vendure server on 127.0.0.1, read and changed through its own API.
use crate::client::{exchange, request};
use crate::program::pause;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Polls, 50 ms apart, before a change is considered lost.
const POLLS: usize = 600;

/// A variant at one location.
pub struct Variant {
    pub id: String,
    pub on_hand: i64,
    /// Ordered, and still on hand.
    pub allocated: i64,
}

/// Stopped when dropped.
pub struct Shop {
    /// Two shops would share the installation.
    _only: MutexGuard<'static, ()>,
    scripts: PathBuf,
    folder: PathBuf,
    pub address: SocketAddr,
    /// Address and credentials, as the scripts report them.
    details: Value,
}

impl Shop {
    /// Installs the shop if necessary, starts it and seeds it with this many SKUs; `None`, with a note, if that is not
    /// possible.
    pub fn start(skus: usize) -> Option<Self> {
        let named = std::env::var_os("STOCKTIDE_TEST_VENDURE");
        let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/real/vendure");
        let scripts = named.clone().map_or(beside, PathBuf::from);
        if !scripts.join("setup.sh").is_file() {
            // Having no scripts beside the package is fine; naming a wrong folder is a mistake.
            assert!(named.is_none(), "STOCKTIDE_TEST_VENDURE: there is no setup.sh in {}", scripts.display());
            return skipped(&format!("{} is not there, so there is no Vendure to test against", scripts.display()));
        }
        static ONLY: Mutex<()> = Mutex::new(());
        // A test that has failed has stopped its shop.
        let only = ONLY.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("vendure");
        std::fs::create_dir_all(folder.join("run")).unwrap();
        let (started, port) = (Instant::now(), free_port());
        let mut shop = Self { _only: only, scripts, folder, address: SocketAddr::from(([127, 0, 0, 1], port)), details: Value::Null };
        if let Err(why) = shop.install_and_start(port) {
            let all = std::env::var("STOCKTIDE_TEST_REQUIRE").is_ok_and(|required| required == "all");
            assert!(!all, "Vendure cannot be installed or started: {why}");
            return skipped(&format!("Vendure cannot be installed or started: {why}"));
        }
        let file = shop.folder.join("run/store.json");
        shop.run(Command::new("node").arg(shop.scripts.join("seed.mjs")).arg(&file).arg(skus.to_string())).unwrap();
        shop.details = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        println!("Vendure is ready after {:.0} s", started.elapsed().as_secs_f64());
        Some(shop)
    }

    fn install_and_start(&self, port: u16) -> Result<(), String> {
        if !self.folder.join("pg/data/PG_VERSION").is_file() {
            self.run(Command::new(self.scripts.join("setup.sh")).arg(&self.folder))?;
        }
        self.run(Command::new(self.scripts.join("start.sh")).arg(&self.folder).arg(port.to_string()))
    }

    /// Runs a script; its output goes to `run/script.log`.
    fn run(&self, command: &mut Command) -> Result<(), String> {
        let log = self.folder.join("run/script.log");
        let file = File::create(&log).map_err(|e| e.to_string())?;
        let errors = file.try_clone().map_err(|e| e.to_string())?;
        let status = command.stdin(Stdio::null()).stdout(file).stderr(errors).status().map_err(|e| format!("{command:?}: {e}"))?;
        let failure = || format!("{command:?} ended with {status}: {}", std::fs::read_to_string(&log).unwrap_or_default());
        if status.success() { Ok(()) } else { Err(failure()) }
    }

    /// What a seller enters to connect the shop.
    pub fn as_store(&self) -> Value {
        // Small calls, so that a kill finds some finished, some in flight and some waiting.
        json!({ "name": "shop", "platform": "vendure", "base_url": self.details["base_url"], "max_items": 20,
            "credentials": { "username": self.details["username"], "password": self.details["password"] } })
    }

    pub fn query(&self, query: &str, variables: &Value) -> Value {
        let bearer = format!("Bearer {}", self.details["token"].as_str().unwrap());
        let body = json!({ "query": query, "variables": variables }).to_string();
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        let answer = exchange(self.address, &request("POST", "/admin-api", &headers, Some(body.as_bytes()))).unwrap().json();
        assert!(answer["errors"].is_null(), "{answer}");
        answer["data"].clone()
    }

    fn location(&self) -> &str {
        self.details["locations"][0]["id"].as_str().unwrap()
    }

    /// Each of the test's SKUs at the first location.
    pub fn variants(&self) -> BTreeMap<String, Variant> {
        let query = "{ productVariants(options: { take: 1000, filter: { sku: { regex: \"^SKU-[0-9]{4}$\" } } }) \
                     { items { id sku stockLevels { stockLocationId stockOnHand stockAllocated } } } }";
        let data = self.query(query, &json!({}));
        let variant = |variant: &Value| {
            let levels = variant["stockLevels"].as_array().unwrap();
            let level = levels.iter().find(|level| level["stockLocationId"] == self.location());
            let units = |name: &str| level.map_or(0, |level| level[name].as_i64().unwrap());
            let id = variant["id"].as_str().unwrap().to_owned();
            Variant { id, on_hand: units("stockOnHand"), allocated: units("stockAllocated") }
        };
        let items = data["productVariants"]["items"].as_array().unwrap();
        items.iter().map(|item| (item["sku"].as_str().unwrap().to_owned(), variant(item))).collect()
    }

    /// How many of each SKU customers can order.
    pub fn shown(&self) -> BTreeMap<String, i64> {
        self.variants().into_iter().map(|(sku, variant)| (sku, variant.on_hand - variant.allocated)).collect()
    }

    /// Asserts that every SKU shows exactly this quantity.
    pub fn assert_shows(&self, expected: &BTreeMap<String, i64>, when: &str) {
        let shown = self.shown();
        let off: Vec<String> = expected
            .iter()
            .filter(|(sku, units)| shown.get(*sku) != Some(units))
            .map(|(sku, units)| format!("{sku} shows {:?} instead of {units}", shown.get(sku)))
            .collect();
        assert!(off.is_empty(), "{when}, {} of {} are wrong: {off:?}", off.len(), expected.len());
        println!("{when}: all {} listings exactly right", expected.len());
    }

    /// Waits until at least `count` SKUs show another quantity than before; returns how many do.
    pub fn wait_until_changed(&self, before: &BTreeMap<String, i64>, count: usize) -> usize {
        for _ in 0..POLLS {
            let shown = self.shown();
            let changed = before.iter().filter(|(sku, units)| shown.get(*sku) != Some(units)).count();
            if changed >= count {
                return changed;
            }
            pause(Duration::from_millis(50));
        }
        panic!("no change arrived at the shop");
    }

    /// Changes stock in the shop itself, as shipped sales do.
    pub fn change_stock(&self, by: &BTreeMap<String, i64>) {
        let variants = self.variants();
        let row = |(sku, change): (&String, &i64)| {
            let Variant { id, on_hand, .. } = &variants[sku];
            json!({ "id": id, "stockLevels": [{ "stockLocationId": self.location(), "stockOnHand": on_hand + change }] })
        };
        let rows: Vec<Value> = by.iter().map(row).collect();
        self.query("mutation ($i: [UpdateProductVariantInput!]!) { updateProductVariants(input: $i) { id } }", &json!({ "i": rows }));
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        self.run(Command::new(self.scripts.join("stop.sh")).arg(&self.folder)).ok();
    }
}

/// Not println, which is captured while a test passes.
fn skipped(why: &str) -> Option<Shop> {
    std::io::stderr().write_all(format!("SKIPPED: {why}\n").as_bytes()).unwrap();
    None
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
