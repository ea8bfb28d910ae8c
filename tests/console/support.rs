//! Support for the console tests: a whole service over HTTP, the simulated platform, and a browser.
use crate::database::{Backend, TestDatabase};
use fantoccini::elements::Element;
use fantoccini::wd::{Capabilities, WebDriverCompatibleCommand};
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use reqwest::{Method, Url};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::str::FromStr;
use std::thread::JoinHandle;
use std::time::Duration;
use stocktide::config::Config;
use stocktide::simulator::{Simulator, serve};
use stocktide::{app, telemetry};
use tokio_util::sync::CancellationToken;

pub const OPERATOR_KEY: &str = "operator-0123456789-0123456789-0123456789";
/// How long tests wait for a page or an effect; long, for busy machines.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A service on a fresh database, and a platform; both run on their own thread until this is dropped.
pub struct World {
    pub base: String,
    pub platform: Simulator,
    pub platform_url: String,
    http: reqwest::Client,
    stop: CancellationToken,
    running: Option<JoinHandle<anyhow::Result<()>>>,
    pub database: TestDatabase,
}

async fn serve_all(
    config: Config,
    platform: (TcpListener, Simulator),
    stop: CancellationToken,
    started: tokio::sync::oneshot::Sender<String>,
) -> anyhow::Result<()> {
    tokio::spawn(serve::serve(platform.0, platform.1, stop.clone().cancelled_owned()));
    app::migrate(&config).await?;
    let service = app::start(&config).await?;
    started.send(format!("http://{}", service.address)).ok();
    let token = service.stop_token();
    tokio::spawn(async move {
        stop.cancelled().await;
        token.cancel();
    });
    service.run().await
}

impl World {
    pub async fn start() -> Self {
        Self::start_on(Backend::Sqlite).await
    }

    pub async fn start_on(backend: Backend) -> Self {
        Self::start_at(backend, "127.0.0.1:0", None).await
    }

    /// A service that knows where browsers reach it.
    pub async fn start_reachable() -> Self {
        // Nobody else is likely to take the port in the meantime.
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        Self::start_at(Backend::Sqlite, &free, Some(format!("http://{free}"))).await
    }

    async fn start_at(backend: Backend, listen: &str, public_url: Option<String>) -> Self {
        telemetry::start_logging("error,actix_http=off", false);
        let database = TestDatabase::fresh(backend);
        let platform = Simulator::new(3);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let platform_url = format!("http://{}", listener.local_addr().unwrap());
        let settings = [
            ("listen", listen.to_owned()),
            ("public_url", public_url.unwrap_or_default()),
            ("credential_key", "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=".to_owned()),
            ("operator_key", OPERATOR_KEY.to_owned()),
            ("allow_private_targets", "true".to_owned()),
            ("stop_within_s", "5".to_owned()),
        ];
        let settings = settings.into_iter().chain(database.settings()).map(|(name, value)| (name.to_owned(), value));
        let config = Config::load(None, [], settings).unwrap();
        let stop = CancellationToken::new();
        let (started, base) = tokio::sync::oneshot::channel();
        let on_thread = (config, (listener, platform.clone()), stop.clone());
        let running = std::thread::spawn(move || {
            let (config, platform, stop) = on_thread;
            actix_web::rt::System::new().block_on(serve_all(config, platform, stop, started))
        });
        let base = base.await.expect("the service starts");
        let http = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        Self { base, platform, platform_url, http, stop, running: Some(running), database }
    }

    /// Stops the service and waits for it to finish.
    pub fn stop(mut self) -> anyhow::Result<()> {
        self.end()
    }

    fn end(&mut self) -> anyhow::Result<()> {
        self.stop.cancel();
        self.running.take().map_or(Ok(()), |running| running.join().expect("the service does not panic"))
    }

    pub async fn call(&self, method: &str, path: &str, key: &str, body: Value) -> Value {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let request = self.http.request(method.clone(), format!("{}{path}", self.base)).bearer_auth(key);
        let request = if method == Method::GET { request } else { request.json(&body) };
        let answer = request.send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert!(status.is_success(), "{path} answered {status}: {text}");
        serde_json::from_str(&text).unwrap_or(Value::Null)
    }

    /// A raw request, without following redirects.
    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base))
    }

    /// The request that a browser sends for a form.
    pub fn form(&self, path: &str, fields: &[(&str, &str)]) -> reqwest::RequestBuilder {
        let mut encoded = Url::parse("http://form").unwrap();
        encoded.query_pairs_mut().extend_pairs(fields);
        let body = encoded.query().unwrap_or_default().to_owned();
        self.request(Method::POST, path).header("content-type", "application/x-www-form-urlencoded").body(body)
    }

    /// Adds a seller; returns its API key.
    pub async fn seller(&self, name: &str, zone: &str) -> String {
        let seller = self.call("POST", "/admin/sellers", OPERATOR_KEY, json!({"name": name, "timezone": zone})).await;
        seller["api_key"].as_str().unwrap().to_owned()
    }

    /// Adds a store, pairs these SKUs and sets their stock; returns the store's id.
    pub async fn store(&self, key: &str, name: &str, share: i64, skus: &[&str], available: i64) -> String {
        let body =
            json!({"name": name, "platform": "simulated", "base_url": self.platform_url, "external_store": name, "share_percent": share});
        let id = self.call("POST", "/v1/stores", key, body).await["id"].as_str().unwrap().to_owned();
        let rows: Vec<Value> = skus.iter().map(|sku| json!({"sku": sku, "external_id": format!("item-{sku}")})).collect();
        self.call("PUT", &format!("/v1/stores/{id}/listings"), key, json!(rows)).await;
        for sku in skus {
            let event = json!({"event_id": format!("count-{sku}"), "sku": sku, "kind": "count", "quantity": available});
            self.call("POST", "/v1/stock-events", key, event).await;
        }
        id
    }

    /// Waits until the condition holds.
    pub async fn until(&self, what: &str, mut holds: impl FnMut() -> bool) {
        let deadline = tokio::time::Instant::now() + TIMEOUT;
        while !holds() {
            assert!(tokio::time::Instant::now() < deadline, "timed out: {what}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The session cookie and the CSRF token of a fresh session.
    pub async fn session(&self, key: &str) -> (String, String) {
        let answer = self.form("/console/sign-in", &[("key", key)]).send().await.unwrap();
        assert_eq!(answer.status(), 303);
        let cookie = answer.headers()["set-cookie"].to_str().unwrap();
        assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"), "{cookie}");
        let cookie = cookie.split(';').next().unwrap().to_owned();
        let page = self.page(&cookie, "/console/sales-channel").await.1;
        let csrf = page.split("name=\"csrf\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
        (cookie, csrf)
    }

    pub async fn page(&self, cookie: &str, path: &str) -> (u16, String) {
        let answer = self.request(Method::GET, path).header("cookie", cookie).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // The service must stop before its database is dropped.
        if let Err(error) = self.end() {
            eprintln!("the service failed: {error:#}");
        }
    }
}

/// Reports a skipped check; with `STOCKTIDE_TEST_REQUIRE=all`, fails instead.
pub fn report_skipped(why: &str) {
    assert_ne!(std::env::var("STOCKTIDE_TEST_REQUIRE").as_deref(), Ok("all"), "{why}");
    // println is captured while a test passes.
    std::io::stderr().write_all(format!("SKIPPED in the console tests: {why}\n").as_bytes()).unwrap();
}

/// A browser with a fresh profile.
pub struct Browser {
    pub client: Client,
    driver: Child,
    _profile: tempfile::TempDir,
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Also after a failed test.
        self.driver.kill().ok();
        self.driver.wait().ok();
    }
}

fn find_program(names: &[&str]) -> Option<String> {
    let path = std::env::var("PATH").unwrap_or_default();
    let in_path = |name: &&str| path.split(':').map(|folder| format!("{folder}/{name}")).find(|file| std::path::Path::new(file).exists());
    names.iter().find_map(in_path)
}

impl Browser {
    /// Starts a browser. Without one installed, reports a skipped check and returns `None`.
    pub async fn open(javascript: bool) -> Option<Self> {
        let (Some(chromium), Some(chromedriver)) = (find_program(&["chromium", "chromium-browser"]), find_program(&["chromedriver"]))
        else {
            report_skipped("a browser is missing; install Debian's packages chromium and chromium-driver");
            return None;
        };
        let profile = tempfile::tempdir().unwrap();
        let mut driver = Command::new(chromedriver).arg("--port=0").stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let output = BufReader::new(driver.stdout.take().unwrap());
        let port = output.lines().map_while(Result::ok).find_map(|line| {
            line.contains("started successfully on port").then(|| line.trim_end_matches('.').rsplit(' ').next().unwrap().to_owned())
        });
        let data = format!("--user-data-dir={}", profile.path().display());
        let mut options = json!({ "binary": chromium, "args": ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic",
            "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
            "--lang=en-GB", "--window-size=1440,900", data] });
        if !javascript {
            options["prefs"] = json!({ "profile.managed_default_content_settings.javascript": 2 });
        }
        let mut capabilities = Capabilities::new();
        capabilities.insert("goog:chromeOptions".to_owned(), options);
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities)
            .connect(&format!("http://127.0.0.1:{}", port.expect("chromedriver prints its port")))
            .await
            .expect("the browser starts");
        Some(Self { client, driver, _profile: profile })
    }

    /// Closes the browser, then its driver.
    pub async fn close(self) {
        self.client.clone().close().await.ok();
    }

    pub async fn go(&self, url: &str) {
        self.client.goto(url).await.unwrap();
    }

    pub async fn find(&self, css: &str) -> Element {
        let wait = self.client.wait().at_most(TIMEOUT);
        wait.for_element(Locator::Css(css)).await.unwrap_or_else(|error| panic!("{css}: {error}"))
    }

    /// Clicks the button or the link with this text or accessible name.
    pub async fn press(&self, name: &str) {
        let path = format!(
            "//main//*[self::button or self::a][not(@aria-hidden)][normalize-space(.)='{name}' or @aria-label='{name}'] \
             | //form[@class='account']//button[normalize-space(.)='{name}']"
        );
        for left in (0..5).rev() {
            let wait = self.client.wait().at_most(TIMEOUT);
            let element = wait.for_element(Locator::XPath(&path)).await.unwrap_or_else(|error| panic!("{name}: {error}"));
            match element.click().await {
                // The page has just been replaced, or a part of it has.
                Err(error) if error.is_stale_element_reference() && left > 0 => {}
                clicked => return clicked.unwrap(),
            }
        }
    }

    pub async fn follow(&self, name: &str) {
        self.client.find(Locator::XPath(&format!("//nav//a[normalize-space(.)='{name}']"))).await.unwrap().click().await.unwrap();
    }

    /// Replaces the content of a field.
    pub async fn fill(&self, css: &str, text: &str) {
        let field = self.find(css).await;
        field.clear().await.unwrap();
        field.send_keys(text).await.unwrap();
    }

    /// Submits the form of this page without the browser's own validation.
    pub async fn submit_unchecked(&self) {
        let send = "const form = document.querySelector('main form[method=post].panel'); form.noValidate = true; form.requestSubmit()";
        self.client.execute(send, vec![]).await.unwrap();
    }

    pub async fn text(&self) -> String {
        // The browser may navigate between the two calls, so try again.
        for _ in 0..20 {
            if let Ok(text) = self.find("main").await.text().await {
                return text;
            }
        }
        panic!("the page keeps changing");
    }

    /// Refreshes the page until it contains this text.
    pub async fn says_when_refreshed(&self, words: &str) {
        let deadline = tokio::time::Instant::now() + TIMEOUT;
        self.client.refresh().await.unwrap();
        while !self.text().await.contains(words) && tokio::time::Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(100)).await;
            self.client.refresh().await.unwrap();
        }
        self.says(words).await;
    }

    /// Waits until the page contains this text.
    pub async fn says(&self, words: &str) {
        let deadline = tokio::time::Instant::now() + TIMEOUT;
        loop {
            let text = match self.client.find(Locator::Css("body")).await {
                Ok(body) => body.text().await.unwrap_or_default(),
                Err(_) => String::new(),
            };
            if text.contains(words) {
                return;
            }
            assert!(tokio::time::Instant::now() < deadline, "the page does not say “{words}”, but:\n{text}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    pub async fn sign_in(&self, world: &World, key: &str) {
        self.go(&format!("{}/console", world.base)).await;
        self.fill("#key", key).await;
        self.press("Sign in").await;
        self.find(".shell").await;
    }

    /// Sends a command of the Chrome DevTools Protocol.
    pub async fn devtools(&self, command: &'static str, parameters: Value) -> Value {
        self.client.issue_cmd(DevTools { command, parameters }).await.unwrap()
    }
}

#[derive(Debug)]
struct DevTools {
    command: &'static str,
    parameters: Value,
}

impl WebDriverCompatibleCommand for DevTools {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, <Url as FromStr>::Err> {
        base.join(&format!("session/{}/goog/cdp/execute", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &Url) -> (Method, Option<String>) {
        (Method::POST, Some(json!({ "cmd": self.command, "params": self.parameters }).to_string()))
    }
}

/// The text of a page without its tags.
pub fn text_of(html: &str) -> String {
    let mut text = String::new();
    let mut inside = true;
    for c in html.chars() {
        match c {
            '<' => inside = false,
            '>' => {
                inside = true;
                text.push(' ');
            }
            _ if inside => text.push(c),
            _ => {}
        }
    }
    text.replace("&#39;", "'").split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Waits until the page says this; returns its HTML.
pub async fn until_page_says(world: &World, cookie: &str, path: &str, words: &str) -> String {
    for _ in 0..200 {
        let (_, html) = world.page(cookie, path).await;
        if text_of(&html).contains(words) {
            return html;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{path} does not say {words:?}: {}", text_of(&world.page(cookie, path).await.1));
}

/// Records one stock event.
pub async fn event(world: &World, key: &str, id: &str, kind: &str, sku: &str, quantity: i64) {
    let event = json!({"event_id": id, "sku": sku, "kind": kind, "quantity": quantity});
    world.call("POST", "/v1/stock-events", key, event).await;
}
