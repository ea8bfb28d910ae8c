//! The vocabulary of the API tests: a whole service on a free port, its operator, its sellers, and the simulated
//! platform. Every answer that passes through here is checked against the OpenAPI description, and every problem
//! document against what all of them have in common.
use crate::client::{Answer, exchange, request};
use crate::database::{Backend, TestDatabase};
use crate::schema;
use serde_json::{Value, json};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::sync::LazyLock;
use std::sync::mpsc::channel;
use std::thread::JoinHandle;
use std::time::Duration;
use stocktide::config::Config;
use stocktide::simulator::{Simulator, serve::serve};
use stocktide::{app, http};
use tokio_util::sync::CancellationToken;

pub const OPERATOR_KEY: &str = "an-operator-key-for-tests-0123456789";
pub const CREDENTIAL_KEY: &str = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";

/// Where mails' links lead.
pub const PUBLIC_URL: &str = "https://stock.example.com";

/// The OpenAPI description.
pub static DOCUMENT: LazyLock<Value> = LazyLock::new(|| serde_json::to_value(http::openapi()).unwrap());

/// A service on its own database; stopped gracefully when dropped.
pub struct Api {
    pub address: SocketAddr,
    pub database: TestDatabase,
    stop: CancellationToken,
    running: Option<JoinHandle<anyhow::Result<()>>>,
}

impl Api {
    pub fn start(backend: Backend) -> Self {
        Self::start_with(backend, &[])
    }

    pub fn start_with(backend: Backend, settings: &[(&str, &str)]) -> Self {
        let database = TestDatabase::fresh(backend);
        let own = [
            ("listen", "127.0.0.1:0"),
            ("operator_key", OPERATOR_KEY),
            ("credential_key", CREDENTIAL_KEY),
            ("allow_private_targets", "true"),
            ("request_timeout_ms", "2000"),
            ("retry_base_ms", "50"),
            ("database_connections", "4"),
            ("http_workers", "1"),
            ("arbiters", "1"),
            ("public_url", PUBLIC_URL),
            // Nobody listens there.
            ("smtp_host", "127.0.0.1"),
            ("smtp_port", "9"),
            ("smtp_encryption", "none"),
            ("smtp_sender", "Stocktide <stock@example.com>"),
        ];
        let flags = own.iter().chain(settings).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let flags = database.settings().into_iter().map(|(name, value)| (name.to_owned(), value)).chain(flags);
        let config = Config::load(None, [], flags).unwrap();
        let (sender, receiver) = channel();
        let running = std::thread::spawn(move || {
            actix::System::new().block_on(async move {
                app::migrate(&config).await?;
                let service = app::start(&config).await?;
                sender.send((service.address, service.stop_token())).unwrap();
                service.run().await
            })
        });
        let Ok((address, stop)) = receiver.recv() else { panic!("the service did not start: {:?}", running.join()) };
        Self { address, database, stop, running: Some(running) }
    }

    /// Sends a request with this key (none if empty) and a body of this media type.
    pub fn call(&self, method: &str, path: &str, key: &str, body: Option<(&str, &[u8])>) -> Answer {
        let bearer = format!("Bearer {key}");
        let mut headers = Vec::new();
        if !key.is_empty() {
            headers.push(("authorization", bearer.as_str()));
        }
        if let Some((media_type, _)) = body.filter(|(media_type, _)| !media_type.is_empty()) {
            headers.push(("content-type", media_type));
        }
        let answer = exchange(self.address, &request(method, path, &headers, body.map(|(_, bytes)| bytes))).unwrap();
        self.check_against_description(method, path, &answer);
        answer
    }

    fn check_against_description(&self, method: &str, path: &str, answer: &Answer) {
        let media_type = answer.header("content-type").unwrap_or_default();
        if path.starts_with("/docs") || path == "/openapi.json" || method == "HEAD" {
            return;
        }
        let body = match media_type {
            json if json.contains("json") => answer.json(),
            csv if csv.starts_with("text/csv") => answer.text().into(),
            _ => Value::Null,
        };
        let mismatches = schema::mismatches(&DOCUMENT, method, path, answer.status, media_type, &body);
        assert!(mismatches.is_empty(), "{method} {path} answered {}: {}\n{mismatches:#?}", answer.status, answer.text());
    }

    /// Stops the service gracefully and keeps its database.
    pub fn stop(&mut self) {
        self.stop.cancel();
        let Some(running) = self.running.take() else { return };
        let ended = running.join();
        assert!(std::thread::panicking() || matches!(ended, Ok(Ok(()))), "the service did not stop cleanly: {ended:?}");
    }

    /// The path of the SQLite file.
    pub fn database_file(&self) -> &Path {
        Path::new(self.database.url.strip_prefix("sqlite://").expect("on SQLite"))
    }

    pub fn operator(&self) -> Caller<'_> {
        Caller { api: self, key: OPERATOR_KEY.to_owned(), id: String::new(), key_id: String::new() }
    }

    /// A caller with this key.
    pub fn caller(&self, key: &str) -> Caller<'_> {
        Caller { api: self, key: key.to_owned(), id: String::new(), key_id: String::new() }
    }

    /// A new seller with its first key.
    pub fn seller(&self, name: &str) -> Caller<'_> {
        let created = self.operator().post("/admin/sellers", &json!({ "name": name, "timezone": "Asia/Taipei" })).is(201);
        let text = |member: &str| created[member].as_str().unwrap().to_owned();
        Caller { api: self, key: text("api_key"), id: text("id"), key_id: text("key_id") }
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The operator or a seller.
pub struct Caller<'a> {
    api: &'a Api,
    pub key: String,
    /// The seller's id; empty for others.
    pub id: String,
    /// The id of the seller's first key.
    pub key_id: String,
}

impl Caller<'_> {
    pub fn get(&self, path: &str) -> Answer {
        self.api.call("GET", path, &self.key, None)
    }

    pub fn post(&self, path: &str, body: &Value) -> Answer {
        self.send("POST", path, body)
    }

    pub fn put(&self, path: &str, body: &Value) -> Answer {
        self.send("PUT", path, body)
    }

    pub fn patch(&self, path: &str, body: &Value) -> Answer {
        self.send("PATCH", path, body)
    }

    pub fn delete(&self, path: &str) -> Answer {
        self.api.call("DELETE", path, &self.key, None)
    }

    pub fn send(&self, method: &str, path: &str, body: &Value) -> Answer {
        self.send_as(method, path, "application/json", body.to_string().as_bytes())
    }

    /// Sends an arbitrary body.
    pub fn send_as(&self, method: &str, path: &str, media_type: &str, body: &[u8]) -> Answer {
        self.api.call(method, path, &self.key, Some((media_type, body)))
    }

    /// Creates a store on the simulated platform, with these fields beside the required ones; returns its id.
    pub fn store(&self, name: &str, platform: SocketAddr, fields: Value) -> String {
        let mut body = json!({ "name": name, "platform": "simulated", "base_url": format!("http://{platform}") });
        body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        self.post("/v1/stores", &body).is(201)["id"].as_str().unwrap().to_owned()
    }

    /// Pairs each SKU with a listing of the same name.
    pub fn pair(&self, store: &str, skus: &[&str]) {
        let rows: Vec<Value> = skus.iter().map(|sku| json!({ "sku": sku, "external_id": sku })).collect();
        self.put(&format!("/v1/stores/{store}/listings"), &json!(rows)).is(200);
    }

    pub fn event(&self, event_id: &str, sku: &str, kind: &str, quantity: i64) -> Value {
        let event = json!({ "event_id": event_id, "sku": sku, "kind": kind, "quantity": quantity });
        self.post("/v1/stock-events", &event).is(200)
    }

    /// Units of a SKU in all warehouses; 0 if there is no such SKU.
    pub fn available(&self, sku: &str) -> i64 {
        let answer = self.get(&format!("/v1/stock?sku={sku}"));
        if answer.status == 404 { 0 } else { answer.is(200)["total_available"].as_i64().unwrap() }
    }

    /// Everything that can be read about this seller, to check that nothing was changed.
    pub fn everything(&self) -> Vec<Value> {
        let stores = self.get("/v1/stores?limit=1000").is(200);
        let ids = stores["items"].as_array().unwrap().iter().map(|store| format!("/v1/stores/{}/listings", store["id"].as_str().unwrap()));
        let lists =
            ["sync-settings", "warehouses", "stores", "skus", "rules", "syncs", "pushes", "audit"].map(|name| format!("/v1/{name}"));
        lists.into_iter().chain(ids).map(|path| self.get(&path).is(200)).collect()
    }

    /// Asserts that these requests change nothing.
    pub fn changes_nothing<T>(&self, requests: impl FnOnce() -> T) -> T {
        let before = self.everything();
        let answer = requests();
        assert_eq!(before, self.everything(), "something was changed");
        answer
    }
}

/// Assertions about answers.
pub trait Expect {
    /// Asserts the status and returns the body.
    fn is(&self, status: u16) -> Value;
    /// Asserts that this is a well-formed problem document with this status and returns it.
    fn is_problem(&self, status: u16) -> Value;
    /// Asserts that the problem document names this field and returns the detail for it.
    fn names(&self, status: u16, pointer: &str) -> String;
}

impl Expect for Answer {
    #[track_caller]
    fn is(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        if self.body.is_empty() { Value::Null } else { self.json() }
    }

    #[track_caller]
    fn is_problem(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{}", self.text());
        let problem = self.json();
        assert_eq!(problem["status"], status);
        for member in ["type", "title", "detail"] {
            assert!(problem[member].as_str().is_some_and(|text| !text.is_empty()), "{member} is missing: {problem}");
        }
        reveals_no_internals(&self.text());
        problem
    }

    #[track_caller]
    fn names(&self, status: u16, pointer: &str) -> String {
        let problem = self.is_problem(status);
        let errors = problem["errors"].as_array().unwrap_or_else(|| panic!("no field is named: {problem}"));
        let found = errors.iter().find(|error| error["pointer"] == pointer).unwrap_or_else(|| panic!("{pointer} is not named: {problem}"));
        let detail = found["detail"].as_str().unwrap().to_owned();
        assert!(!detail.is_empty());
        detail
    }
}

/// Fails on words that should not leave the service: SQL, Rust's types, serde's grammar.
#[track_caller]
fn reveals_no_internals(text: &str) {
    for word in
        ["SELECT ", "INSERT ", "constraint", "sqlite", "diesel", "panicked", "struct ", "i64", "expected a ", "invalid type", "src/"]
    {
        assert!(!text.contains(word), "{word:?} reveals internals: {text}");
    }
}

/// The simulated platform on a free port; stopped when dropped.
pub struct Platform {
    pub address: SocketAddr,
    pub simulator: Simulator,
    stop: CancellationToken,
    running: Option<JoinHandle<std::io::Result<()>>>,
}

impl Platform {
    pub fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let (address, simulator, stop) = (listener.local_addr().unwrap(), Simulator::new(1), CancellationToken::new());
        let (inside, stopped) = (simulator.clone(), stop.clone());
        let running = std::thread::spawn(move || {
            actix::System::new().block_on(async move { serve(listener, inside, async move { stopped.cancelled().await }).await })
        });
        Self { address, simulator, stop, running: Some(running) }
    }
}

impl Drop for Platform {
    fn drop(&mut self) {
        self.stop.cancel();
        self.running.take().map(JoinHandle::join);
    }
}

/// Polls until `look` finds what the service does in the background; fails after some 10 s.
#[track_caller]
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    for _ in 0..500 {
        if let Some(found) = look() {
            return found;
        }
        pause(Duration::from_millis(20));
    }
    panic!("did not happen: {what}")
}

#[expect(clippy::disallowed_methods, reason = "tests run on their own threads, not on arbiters")]
pub fn pause(span: Duration) {
    std::thread::sleep(span);
}
