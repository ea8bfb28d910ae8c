//! `stocktide demo`: a live demonstration in one process and one new folder. It runs a service on SQLite, a simulated
//! platform, three sellers with different settings, and a steady flow of stock events over HTTP.
//!
//! It talks to the service only through the HTTP interface, as an outside client does.
mod status;

use crate::clock::Clock;
use crate::config::Config;
use crate::simulator::{Faults, Misbehavior, Simulator, serve};
use crate::{app, telemetry};
use anyhow::{Context, bail};
use base64::Engine;
use chrono::TimeDelta;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use status::{Rates, StatusLine};
use std::net::TcpListener;
use std::path::PathBuf;
use std::time::Duration;

/// SKUs per seller.
const SKUS: usize = 12;
/// Units of each SKU at the start.
const INITIAL_QUANTITY: i64 = 100;
/// A store that shows less than this of a SKU sells none of it; it is restocked instead.
const LOW: i64 = 15;
/// Units of such a purchase.
const RESTOCKED: i64 = 40;
/// Time zone of the seller with timed full coverage.
const ZONE: chrono_tz::Tz = chrono_tz::Asia::Taipei;
/// How long to wait at the end for pushes that are still under way.
const SETTLE_WITHIN: Duration = Duration::from_secs(20);

/// Options of `stocktide demo`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Address and port of the service; if the port is taken, a free one is used.
    #[arg(long, default_value = "127.0.0.1:8080", value_name = "ADDRESS:PORT")]
    listen: String,
    /// Stop after this many seconds; 0 runs until Ctrl-C.
    #[arg(long, default_value_t = 0)]
    seconds: u64,
    /// Stock events per second.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rate: u32,
    /// Folder for the database and the key file [default: a new temporary folder].
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
}

struct Api {
    client: reqwest::Client,
    base: String,
}

impl Api {
    async fn call(&self, method: reqwest::Method, path: &str, key: &str, body: Option<Value>) -> anyhow::Result<Value> {
        let mut request = self.client.request(method, format!("{}{path}", self.base)).bearer_auth(key);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await?;
        let (status, text) = (response.status(), response.text().await?);
        if !status.is_success() {
            bail!("{path} answered {status}: {text}");
        }
        Ok(if text.is_empty() { Value::Null } else { serde_json::from_str(&text)? })
    }

    async fn post(&self, path: &str, key: &str, body: Value) -> anyhow::Result<Value> {
        self.call(reqwest::Method::POST, path, key, Some(body)).await
    }

    async fn put(&self, path: &str, key: &str, body: Value) -> anyhow::Result<Value> {
        self.call(reqwest::Method::PUT, path, key, Some(body)).await
    }

    async fn get(&self, path: &str, key: &str) -> anyhow::Result<Value> {
        self.call(reqwest::Method::GET, path, key, None).await
    }
}

fn text(value: &Value, field: &str) -> anyhow::Result<String> {
    value.get(field).and_then(Value::as_str).map(str::to_owned).with_context(|| format!("the response has no {field}"))
}

struct DemoSeller {
    name: &'static str,
    key: String,
    /// The names of the seller's stores at the platform.
    stores: Vec<String>,
}

impl DemoSeller {
    /// What the seller's stores show of the first SKU: "Ada 100/60/35".
    fn shows(&self, platform: &Simulator) -> String {
        let shown: Vec<String> = self.stores.iter().map(|store| platform.quantity(store, &listing(1)).to_string()).collect();
        format!("{} {}", self.name.split(',').next().unwrap_or_default(), shown.join("/"))
    }
}

/// Runs the demo until Ctrl-C, or for as long as `args` say.
pub async fn run(args: Args) -> anyhow::Result<()> {
    telemetry::start_logging("warn,actix_http=off", false);
    let temporary = std::env::temp_dir().join(format!("stocktide-demo-{}", uuid::Uuid::now_v7().simple()));
    let folder = args.folder.clone().unwrap_or(temporary);
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    // Absolute, so that the printed path of the database works from any directory.
    let folder = folder.canonicalize()?;

    let platform = Simulator::new(1);
    platform.set_faults(Faults {
        latency_ms: 15,
        throttle: 0.02,
        retry_after_s: 0.2,
        lose_answer: 0.02,
        error_after: 0.01,
        cut: 0.01,
        misbehave: [(Misbehavior::UnavailableAfter, 0.005), (Misbehavior::ProxyPageAfter, 0.005), (Misbehavior::ByteOrderMark, 0.01)]
            .into(),
        ..Faults::default()
    });
    let platform_listener = TcpListener::bind("127.0.0.1:0")?;
    let platform_url = format!("http://{}", platform_listener.local_addr()?);
    let end = tokio_util::sync::CancellationToken::new();
    tokio::spawn(serve::serve(platform_listener, platform.clone(), end.clone().cancelled_owned()));

    let operator_key = random_key()?;
    let listen = match TcpListener::bind(&args.listen) {
        Ok(_) => args.listen.clone(),
        Err(_) => "127.0.0.1:0".to_owned(),
    };
    let settings = [
        ("listen", listen),
        ("database_url", format!("sqlite://{}", folder.join("stocktide.db").display())),
        ("operator_key", operator_key.clone()),
        ("allow_private_targets", "true".to_owned()),
        ("log", "warn,actix_http=off".to_owned()),
    ];
    let config = Config::load(None, [], settings.map(|(name, value)| (name.to_owned(), value)))?;
    app::migrate(&config).await?;
    let service = app::start(&config).await?;
    let (stop, base) = (service.stop_token(), format!("http://{}", service.address));
    let running = tokio::spawn(service.run());

    let client = reqwest::Client::builder().no_proxy().tls_certs_only([]).timeout(Duration::from_secs(10)).build()?;
    let api = Api { client, base };
    let sellers = set_up(&api, &operator_key, &platform_url).await?;
    introduce(&api, &operator_key, &platform_url, &folder, &sellers);

    let flowing = flow(&api, &operator_key, &platform, &sellers, args.rate);
    let stopped = async {
        match args.seconds {
            0 => app::shutdown_signal().await,
            seconds => tokio::select! {
                () = app::shutdown_signal() => {}
                () = tokio::time::sleep(Duration::from_secs(seconds)) => {}
            },
        }
    };
    tokio::select! {
        result = flowing => result?,
        () = stopped => {}
    }
    verdict(&api, &platform, &sellers).await?;
    stop.cancel();
    running.await??;
    end.cancel();
    Ok(())
}

fn random_key() -> anyhow::Result<String> {
    let mut bytes = [0u8; 32];
    getrandom::fill(&mut bytes).map_err(|e| anyhow::anyhow!("cannot generate random numbers: {e}"))?;
    Ok(base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes))
}

fn sku(number: usize) -> String {
    format!("SKU-{number:02}")
}

/// The platform's name for a SKU's listing.
fn listing(number: usize) -> String {
    format!("item-{number:02}")
}

async fn set_up(api: &Api, operator: &str, platform: &str) -> anyhow::Result<Vec<DemoSeller>> {
    // One to two minutes from now, so that the audience soon sees a daily run.
    let soon = Clock::system().now().in_zone(ZONE) + TimeDelta::seconds(90);
    let kinds = [
        (
            "Ada, shared, incremental",
            "UTC",
            json!({"auto_sync": true, "initial_overwrite": false}),
            [("full", 100), ("most", 60), ("some", 35)],
        ),
        (
            "Bo, exclusive, incremental",
            "Europe/Berlin",
            json!({"auto_sync": true, "allocation_mode": "exclusive", "initial_overwrite": false}),
            [("half", 50), ("third", 30), ("rest", 20)],
        ),
        (
            "Cy, timed full coverage",
            ZONE.name(),
            json!({"auto_sync": true, "frequency": "timed_full", "daily_at": soon.format("%H:%M").to_string(), "initial_overwrite": false}),
            [("north", 100), ("south", 100), ("outlet", 20)],
        ),
    ];
    let mut sellers = Vec::new();
    for (name, zone, settings, shares) in kinds {
        let created = api.post("/admin/sellers", operator, json!({"name": name, "timezone": zone})).await?;
        let (id, key) = (text(&created, "id")?, text(&created, "api_key")?);
        let mut stores = Vec::new();
        for (store, share) in shares {
            let external = format!("{}-{store}", &id.get(24..).unwrap_or_default());
            let body =
                json!({"name": store, "platform": "simulated", "base_url": platform, "external_store": external, "share_percent": share});
            let store_id = text(&api.post("/v1/stores", &key, body).await?, "id")?;
            let rows: Vec<Value> = (1..=SKUS).map(|n| json!({"sku": sku(n), "external_id": listing(n)})).collect();
            api.put(&format!("/v1/stores/{store_id}/listings"), &key, json!(rows)).await?;
            stores.push(external);
        }
        api.put("/v1/sync-settings", &key, settings).await?;
        let counts: Vec<Value> = (1..=SKUS)
            .map(|n| json!({"event_id": format!("count-{n}"), "sku": sku(n), "kind": "count", "quantity": INITIAL_QUANTITY}))
            .collect();
        api.post("/v1/stock-events", &key, json!(counts)).await?;
        sellers.push(DemoSeller { name, key, stores });
    }
    Ok(sellers)
}

fn introduce(api: &Api, operator: &str, platform: &str, folder: &std::path::Path, sellers: &[DemoSeller]) {
    println!("Stocktide demo");
    println!("  console             {}/console   (sign in with a seller's key or the operator key)", api.base);
    println!("  API                 {}   (documentation: {}/docs)", api.base, api.base);
    println!(
        "  simulated platform  {platform}   (faults: 2 % throttled, 2 % answers lost, 1 % errors after applying, 1 % connections cut)"
    );
    println!("  database            {}", folder.join("stocktide.db").display());
    println!("  operator key        {operator}");
    for seller in sellers {
        println!("  {:<27} {}", seller.name, seller.key);
    }
    let key = sellers.first().map(|s| s.key.as_str()).unwrap_or_default();
    println!("\nTry, in another terminal:");
    println!("  curl -s -H 'Authorization: Bearer {key}' '{}/v1/stock?sku=SKU-01'", api.base);
    println!(
        "  curl -s -H 'Authorization: Bearer {key}' {}/v1/stock-events -d '{{\"event_id\":\"mine-1\",\"sku\":\"SKU-01\",\"kind\":\"purchase\",\"quantity\":7}}'",
        api.base
    );
    println!("  curl -s -H 'Authorization: Bearer {key}' '{}/v1/pushes?sku=SKU-01&limit=3'", api.base);
    println!("  curl -s -H 'Authorization: Bearer {key}' -X POST {}/v1/syncs -d '{{\"skus\":[\"SKU-01\"]}}'", api.base);
    println!("  curl -s -H 'Authorization: Bearer {operator}' {}/admin/overview\n", api.base);
}

/// Sends stock events until cancelled, and prints a line of live figures every second.
async fn flow(api: &Api, operator: &str, platform: &Simulator, sellers: &[DemoSeller], rate: u32) -> anyhow::Result<()> {
    let mut rng = ChaCha8Rng::seed_from_u64(rand::random());
    let status = StatusLine::new();
    let kinds = ["purchase", "purchase", "return", "sale", "sale", "sale", "adjustment"];
    let mut tick = tokio::time::interval(Duration::from_secs(1) / rate);
    let (mut accepted, mut number) = (0u64, 0u64);
    let mut rates = Rates::new(platform.stats().items);
    loop {
        tick.tick().await;
        number += 1;
        let Some(seller) = sellers.choose(&mut rng) else { return Ok(()) };
        let mut kind = kinds.choose(&mut rng).copied().unwrap_or("purchase");
        let size: i64 = rng.random_range(1..=9);
        let mut quantity = if kind == "adjustment" && rng.random() { -size } else { size };
        let item = rng.random_range(1..=SKUS);
        if kind == "sale" {
            // A store sells what it shows, and shows less afterwards; then the seller's system reports the sale.
            let Some(store) = seller.stores.choose(&mut rng) else { continue };
            let listing = listing(item);
            let left = platform.quantity(store, &listing);
            if left < 1 {
                // It was never overwritten yet.
                continue;
            }
            if left < LOW {
                // It would be sold out: at high rates, sales would outrun the increases. It is restocked instead.
                (kind, quantity) = ("purchase", RESTOCKED);
            } else {
                quantity = quantity.min(left);
                platform.sell(store, &listing, quantity);
            }
        }
        let event = json!({"event_id": format!("demo-{number}"), "sku": sku(item), "kind": kind, "quantity": quantity});
        match api.post("/v1/stock-events", &seller.key, event).await {
            Ok(_) => accepted += 1,
            Err(error) => tracing::warn!(%error, "a stock event could not be sent"),
        }
        if let Some((events_per_second, updates_per_second)) = rates.after_a_second(accepted, platform.stats().items) {
            let overview = api.get("/admin/overview", operator).await?;
            let waiting = overview.pointer("/queue_depth/simulated").and_then(Value::as_i64).unwrap_or(0);
            let stats = platform.stats();
            let shown: Vec<String> = sellers.iter().map(|seller| seller.shows(platform)).collect();
            status.show(format!(
                "{accepted} events, {events_per_second:.0}/s · {updates_per_second:.0} updates/s · {waiting} waiting · {} calls, {} repeated · SKU-01 shows {}",
                stats.calls,
                stats.repeats,
                shown.join(", ")
            ));
        }
    }
}

/// Compares the increases that the service recorded as confirmed with those that the platform received.
async fn verdict(api: &Api, platform: &Simulator, sellers: &[DemoSeller]) -> anyhow::Result<()> {
    println!("\nNo more events; waiting for pushes under way …");
    let deadline = tokio::time::Instant::now() + SETTLE_WITHIN;
    for seller in sellers {
        loop {
            let mut unfinished = 0;
            // Forth and back, since a push may move from a state that is still to be asked about to one that was asked about.
            for state in ["queued", "sending", "retrying", "uncertain", "retrying", "sending", "queued"] {
                let page = api.get(&format!("/v1/pushes?state={state}&limit=1000"), &seller.key).await?;
                unfinished += page.get("items").and_then(Value::as_array).map_or(0, Vec::len);
            }
            if unfinished == 0 || tokio::time::Instant::now() > deadline {
                break;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        let (mut increases, mut overwrites, mut units, mut cursor) = (0u64, 0u64, 0i64, String::new());
        loop {
            let page = api.get(&format!("/v1/pushes?state=confirmed&limit=1000{cursor}"), &seller.key).await?;
            for push in page.get("items").and_then(Value::as_array).into_iter().flatten() {
                if push["kind"] == "increase" {
                    increases += 1;
                    units += push["quantity"].as_i64().unwrap_or(0);
                } else {
                    overwrites += 1;
                }
            }
            match page.get("next_cursor").and_then(Value::as_str) {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        let received: i64 = platform
            .receipts(0, usize::MAX)
            .iter()
            .filter(|r| r.action == "adjust" && seller.stores.contains(&r.store))
            .map(|r| r.change)
            .sum();
        if increases == 0 && received == 0 {
            println!("  {:<27} sends no increases; {overwrites} overwrites confirmed so far", seller.name);
            continue;
        }
        println!(
            "  {:<27} {increases} increases of {units} units confirmed; the platform received {received} units: {}",
            seller.name,
            match received.cmp(&units) {
                std::cmp::Ordering::Equal => "none lost, none twice".to_owned(),
                std::cmp::Ordering::Less => format!("{} LOST", units - received),
                std::cmp::Ordering::Greater => format!("{} APPLIED TWICE", received - units),
            }
        );
    }
    Ok(())
}
