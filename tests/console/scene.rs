//! Data for the pages: a seller with stores on several platforms and in every state, sellers whose stock keeps changing,
//! and a seller without any data.
//!
//! The working stores are on the simulated platform (one of them as a Shopify shop). The other stores are on a platform
//! that refuses every call or fails.
use crate::support::{OPERATOR_KEY, World};
use actix_web::{App, HttpResponse, HttpServer, web};
use serde_json::{Value, json};
use std::net::TcpListener;
use std::time::Duration;
use stocktide::db::email::Address;
use stocktide::db::{DatabaseUrl, Db, Settings};
use stocktide::domain::mail::{AddressState, Wishes};
use stocktide::domain::webhook::Topic;
use stocktide::domain::{EmailId, SellerId, Timestamp};

/// How long the stores may take to reach their intended states.
const SETTLED_WITHIN: Duration = Duration::from_secs(90);
/// The pause between two waves of stock events.
const BEAT: Duration = Duration::from_millis(700);
/// How many stock events each beat sends; repeats.
const WAVE: [usize; 12] = [1, 2, 4, 7, 9, 8, 5, 3, 2, 1, 1, 2];

const GOODS: [(&str, &str, i64); 14] = [
    ("BAG-CANVAS", "Canvas tote, natural", 64),
    ("BAG-WAXED", "Waxed weekender, olive", 12),
    ("BLANKET-WOOL", "Wool blanket, 140 × 200 cm", 37),
    ("CANDLE-FIG", "Candle, fig and cedar", 210),
    ("CHAIR-ASH", "Folding chair, ash", 18),
    ("JUG-STONE", "Stoneware jug, 1.2 l", 45),
    ("LAMP-ASH", "Desk lamp, ash", 26),
    ("LAMP-OAK", "Desk lamp, oak", 31),
    ("MUG-BLUE", "Mug, harbour blue", 164),
    ("MUG-SAND", "Mug, sand", 148),
    ("PLATE-27", "Dinner plate, 27 cm", 96),
    ("ROPE-8MM", "Mooring rope, 8 mm, 10 m", 0),
    ("SOAP-SEA", "Soap bar, sea salt", 320),
    ("TOWEL-LINEN", "Linen towel, striped", 58),
];

/// A page to visit, and the name of its screenshot.
pub struct Visit {
    pub name: &'static str,
    pub path: String,
}

pub fn page(name: &'static str, path: impl Into<String>) -> Visit {
    Visit { name, path: path.into() }
}

/// A platform that refuses every call to paths starting with `refusing` and fails on all others.
pub struct Unhelpful {
    pub url: String,
    server: actix_web::dev::ServerHandle,
}

impl Unhelpful {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let answer = |path: web::Path<String>| async move {
            if path.starts_with("refusing") {
                HttpResponse::Unauthorized().json(json!({"error": "invalid_grant", "error_description": "the refresh token is revoked"}))
            } else {
                HttpResponse::ServiceUnavailable().json(json!({"code": "maintenance", "message": "The shop is being updated."}))
            }
        };
        let server = HttpServer::new(move || App::new().route("/{path:.*}", web::to(answer)));
        let server = server.workers(1).listen(listener).unwrap().disable_signals().run();
        let handle = server.handle();
        tokio::spawn(server);
        Self { url, server: handle }
    }

    pub async fn stop(self) {
        self.server.stop(false).await;
    }
}

async fn add_store(world: &World, key: &str, body: Value, listings: &[Value]) -> String {
    let id = world.call("POST", "/v1/stores", key, body).await["id"].as_str().unwrap().to_owned();
    world.call("PUT", &format!("/v1/stores/{id}/listings"), key, json!(listings)).await;
    id
}

/// One listing for each of the goods, from its index and its SKU.
fn listings(listing: impl Fn(usize, &str) -> Value) -> Vec<Value> {
    GOODS.iter().enumerate().map(|(index, (sku, _, _))| listing(index, sku)).collect()
}

/// The stores of the busy seller.
struct Stores {
    shopify: String,
    failing: String,
    refused: String,
    paused: String,
    stall: String,
    rehearsing: String,
}

async fn add_stores(world: &World, key: &str, unhelpful: &str) -> Stores {
    for number in 0..GOODS.len() {
        world.platform.set_quantity("harbour-goods", &(44_018_820 + number).to_string(), 3);
    }
    let shop = json!({"name": "harbourgoods.com", "platform": "shopify", "base_url": format!("{}/shopify/harbour-goods", world.platform_url),
        "shop": "harbour-goods", "location_id": "1", "credentials": {"access_token": "token"}, "share_percent": 40});
    let woo = json!({"name": "Harbour Goods Trade", "platform": "woocommerce", "base_url": format!("{unhelpful}/failing"),
        "credentials": {"consumer_key": "ck", "consumer_secret": "cs"}, "share_percent": 15});
    let ebay = json!({"name": "Harbour Outlet", "platform": "ebay", "base_url": format!("{unhelpful}/refusing"),
        "credentials": {"refresh_token": "r", "client_id": "c", "client_secret": "s"}, "share_percent": 20});
    let shopee = json!({"name": "Harbour Goods SG", "platform": "shopee", "base_url": format!("{unhelpful}/failing"),
        "partner_id": "1000001", "shop_id": "220000045", "credentials": {"partner_key": "k", "refresh_token": "r"}, "share_percent": 10});
    let stall = json!({"name": "Market stall", "platform": "simulated", "base_url": world.platform_url, "external_store": "stall",
        "share_percent": 10});
    let fair = json!({"name": "Christmas fair", "platform": "simulated", "base_url": world.platform_url, "external_store": "fair",
        "share_percent": 5, "rehearsal": true});
    let stores = Stores {
        shopify: add_store(world, key, shop, &listings(|n, sku| json!({"sku": sku, "external_id": (44_018_820 + n).to_string()}))).await,
        refused: add_store(world, key, ebay, &listings(|_, sku| json!({"sku": sku, "external_id": sku}))).await,
        failing: add_store(
            world,
            key,
            woo,
            &listings(|n, sku| json!({"sku": sku, "external_id": (2_100 + n).to_string(), "parent_id": (700 + n).to_string()})),
        )
        .await,
        paused: add_store(
            world,
            key,
            shopee,
            &listings(|n, sku| json!({"sku": sku, "external_id": (91_500 + n).to_string(), "item_id": (6_600 + n).to_string()})),
        )
        .await,
        stall: add_store(world, key, stall, &listings(|_, sku| json!({"sku": sku, "external_id": sku}))).await,
        rehearsing: add_store(world, key, fair, &[]).await,
    };
    world.call("PATCH", &format!("/v1/stores/{}", stores.paused), key, json!({"paused": true})).await;
    stores
}

/// A seller with data on every page: its API key, and the pages.
pub async fn busy_seller(world: &World, unhelpful: &str) -> (String, Vec<Visit>) {
    let key = world.seller("Harbour Goods", "Europe/Berlin").await;
    world.call("POST", "/v1/warehouses", &key, json!({"code": "hamburg", "name": "Hamburg, Speicherstadt"})).await;
    let stores = add_stores(world, &key, unhelpful).await;
    let names: Vec<Value> = GOODS.iter().map(|(sku, name, _)| json!({"sku": sku, "name": name})).collect();
    world.call("PUT", "/v1/skus", &key, json!(names)).await;
    world.call("PUT", "/v1/rules", &key, json!([{"sku": "CHAIR-ASH", "threshold": 3, "max_shown": 5}])).await;
    for (sku, _, available) in GOODS {
        let main = json!({"event_id": format!("main-{sku}"), "sku": sku, "kind": "count", "quantity": available});
        world.call("POST", "/v1/stock-events", &key, main).await;
    }
    for (sku, quantity) in [("MUG-BLUE", 36), ("CHAIR-ASH", 24), ("SOAP-SEA", 80)] {
        let there = json!({"event_id": format!("hh-{sku}"), "sku": sku, "kind": "count", "quantity": quantity, "warehouse": "hamburg"});
        world.call("POST", "/v1/stock-events", &key, there).await;
    }
    let mut faults = world.platform.faults();
    faults.reject_items = vec!["LAMP-ASH".to_owned(), "BAG-WAXED".to_owned()];
    world.platform.set_faults(faults);
    let settings = json!({"auto_sync": true, "allocation_mode": "exclusive", "buffer": 2});
    world.call("PUT", "/v1/sync-settings", &key, settings).await;
    let (cookie, _) = world.session(&key).await;
    let rejected = settled(world, &key, &cookie, &stores).await;
    for (number, (sku, _, _)) in GOODS.iter().enumerate().filter(|(number, _)| number % 3 != 2) {
        let event = json!({"event_id": format!("po-1187-{sku}"), "sku": sku, "kind": "purchase", "quantity": 6 + 5 * (number % 4)});
        world.call("POST", "/v1/stock-events", &key, event).await;
    }
    let wanted = json!({"store_ids": [stores.shopify, stores.stall], "skus": ["MUG-BLUE", "MUG-SAND", "SOAP-SEA", "LAMP-ASH"]});
    world.call("POST", "/v1/syncs", &key, wanted).await;
    let finished = async || {
        let runs = world.call("GET", "/v1/syncs", &key, json!(null)).await;
        runs["items"].as_array().unwrap().iter().any(|run| run["kind"] == "manual" && run["state"] == "finished")
    };
    eventually("the manual sync finishes", finished).await;
    // Sales on the platform make shown quantities differ from targets.
    world.platform.sell("stall", "SOAP-SEA", 3);
    world.platform.sell("harbour-goods", "44018828", 2);
    let runs = world.call("GET", "/v1/syncs", &key, json!(null)).await;
    let run_of = |kind: &str| {
        let of_kind = runs["items"].as_array().unwrap().iter().find(|run| run["kind"] == kind);
        of_kind.unwrap()["id"].as_str().unwrap().to_owned()
    };
    let listings = world.call("GET", &format!("/v1/stores/{}/listings", stores.shopify), &key, json!(null)).await;
    let listing = listings["items"][8]["id"].as_str().unwrap().to_owned();
    world.call("POST", &format!("/v1/stores/{}/drift-checks", stores.stall), &key, json!(null)).await;
    let differ = async || world.call("GET", "/v1/drifts", &key, json!(null)).await["items"].as_array().is_some_and(|rows| !rows.is_empty());
    eventually("the check has found what differs", differ).await;
    world.call("PUT", "/v1/skus/LAMP-ASH/pause", &key, json!({"reason": "Recall"})).await;
    world.call("PUT", "/v1/skus", &key, json!([{"sku": "SET-BREAKFAST", "name": "Breakfast for two"}])).await;
    let breakfast = json!({"components": [{"sku": "MUG-BLUE", "quantity": 2}, {"sku": "PLATE-27", "quantity": 2}, {"sku": "JUG-STONE", "quantity": 1}]});
    world.call("PUT", "/v1/bundles/SET-BREAKFAST", &key, breakfast).await;
    let window = json!({"name": "Winter sale", "from": "2027-12-24T18:00", "to": "2027-12-27T06:00", "store_ids": [stores.stall]});
    world.call("POST", "/v1/frozen-windows", &key, window).await;
    let webhook =
        world.call("POST", "/v1/webhooks", &key, json!({"url": "http://127.0.0.1:9/stock"})).await["id"].as_str().unwrap().to_owned();
    world.call("POST", &format!("/v1/webhooks/{webhook}/test"), &key, json!(null)).await;
    let email = add_email(world).await;
    (key, visits(&stores, &listing, &rejected, &[run_of("initial"), run_of("manual")], [&webhook, &email]))
}

/// An address that was confirmed, though no mail server is set.
async fn add_email(world: &World) -> String {
    let sellers = world.call("GET", "/admin/sellers", OPERATOR_KEY, json!(null)).await;
    let seller = sellers["items"].as_array().unwrap().iter().find(|seller| seller["name"] == "Harbour Goods").unwrap();
    let seller: SellerId = seller["id"].as_str().unwrap().parse().unwrap();
    let created_at = Timestamp::from_millis(1_772_452_800_000);
    let address = Address {
        id: EmailId::new(created_at),
        address: "ada@harbourgoods.com".to_owned(),
        wishes: Wishes { topics: Topic::ALL.to_vec(), at_once: false, digest_hour: 8 },
        state: AddressState::Confirmed,
        created_at,
        confirmed_at: None,
        problem: None,
    };
    let (id, db) = (address.id, Db::open(&Settings::new(DatabaseUrl::parse(&world.database.url).unwrap())));
    db.seller(seller).write(move |t| t.add_email_address(&address)).await.unwrap();
    id.to_string()
}

/// Waits until the stores are in their intended states; returns the id of a rejected push.
async fn settled(world: &World, key: &str, cookie: &str, stores: &Stores) -> String {
    let in_every_state = async || {
        let page = world.page(cookie, "/console/stores").await.1;
        ["Needs reauthorization", "Not responding", "Paused", "Working"].iter().all(|state| page.contains(state))
    };
    eventually("the stores are in every state", in_every_state).await;
    let confirmed = async || {
        let pushes = world.call("GET", &format!("/v1/pushes?state=confirmed&store_id={}", stores.shopify), key, json!(null)).await;
        pushes["items"].as_array().unwrap().len() == GOODS.len()
    };
    eventually("the Shopify store shows every listing", confirmed).await;
    let rejected = world.call("GET", "/v1/pushes?state=rejected", key, json!(null)).await;
    rejected["items"][0]["id"].as_str().expect("the market stall rejects two listings").to_owned()
}

async fn eventually(what: &str, holds: impl AsyncFn() -> bool) {
    let waiting = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    tokio::time::timeout(SETTLED_WITHIN, waiting).await.unwrap_or_else(|_| panic!("timed out: {what}"));
}

fn visits(stores: &Stores, listing: &str, rejected: &str, [initial, manual]: &[String; 2], [webhook, email]: [&str; 2]) -> Vec<Visit> {
    let Stores { shopify, failing, refused, paused, stall, rehearsing } = stores;
    vec![
        page("sales-channel", "/console/sales-channel"),
        page("frequency", "/console/sales-channel/frequency"),
        page("guard", "/console/sales-channel/guard"),
        page("allocation", "/console/sales-channel/allocation"),
        page("switch-off", "/console/sales-channel/off"),
        page("stores", "/console/stores"),
        page("store", format!("/console/stores/{shopify}")),
        page("store-failing", format!("/console/stores/{failing}")),
        page("store-refused", format!("/console/stores/{refused}")),
        page("store-paused", format!("/console/stores/{paused}")),
        page("store-rehearsing", format!("/console/stores/{rehearsing}")),
        page("platforms", "/console/stores/new"),
        page("store-new", "/console/stores/new?platform=shopify"),
        page("store-edit", format!("/console/stores/{refused}/edit")),
        page("store-remove", format!("/console/stores/{paused}/delete")),
        page("import", format!("/console/stores/{stall}/import")),
        page("discover", format!("/console/stores/{stall}/discover")),
        page("listing", format!("/console/stores/{shopify}/listings/{listing}/edit")),
        page("unpair", format!("/console/stores/{shopify}/listings/{listing}/unpair")),
        page("stock", "/console/stock"),
        page("stock-none", "/console/stock?search=kettle"),
        page("sku", "/console/stock/sku?sku=CHAIR-ASH"),
        page("sku-bundle", "/console/stock/sku?sku=SET-BREAKFAST"),
        page("bundle", "/console/stock/sku/bundle?sku=SET-BREAKFAST"),
        page("explain", "/console/stock/explain?sku=CHAIR-ASH"),
        page("explain-store", format!("/console/stock/explain?sku=MUG-BLUE&store={shopify}")),
        page("sku-mug", "/console/stock/sku?sku=MUG-BLUE"),
        page("records", "/console/records"),
        page("records-rejected", "/console/records?state=rejected"),
        page("records-held", format!("/console/records?state=held&store={refused}")),
        page("push", format!("/console/records/pushes/{rejected}")),
        page("runs", "/console/records?show=runs"),
        page("run", format!("/console/records/runs/{initial}")),
        page("run-done", format!("/console/records/runs/{manual}")),
        page("undo", format!("/console/records/runs/{manual}/undo")),
        page("changes", "/console/records?show=changes"),
        page("manual-sync", "/console/manual-sync"),
        page("drift", "/console/drift"),
        page("drift-store", format!("/console/drift?store={stall}")),
        page("emails", "/console/emails"),
        page("email", format!("/console/emails/{email}")),
        page("email-delete", format!("/console/emails/{email}/delete")),
        page("pauses", "/console/pauses"),
        page("webhooks", "/console/webhooks"),
        page("webhook", format!("/console/webhooks/{webhook}")),
        page("webhook-delete", format!("/console/webhooks/{webhook}/delete")),
    ]
}

/// The pages of a seller without any data.
pub fn empty_visits() -> Vec<Visit> {
    vec![
        page("empty-sales-channel", "/console/sales-channel"),
        page("empty-allocation", "/console/sales-channel/allocation"),
        page("empty-stores", "/console/stores"),
        page("empty-stock", "/console/stock"),
        page("empty-records", "/console/records"),
        page("empty-runs", "/console/records?show=runs"),
        page("empty-manual-sync", "/console/manual-sync"),
        page("empty-drift", "/console/drift"),
        page("empty-emails", "/console/emails"),
        page("empty-pauses", "/console/pauses"),
        page("empty-webhooks", "/console/webhooks"),
    ]
}

/// Adds two sellers whose stock keeps changing until the task is aborted.
pub async fn traffic(world: &World) -> tokio::task::JoinHandle<()> {
    let mut keys = Vec::new();
    for (name, zone) in [("Nordlicht Outdoor", "Europe/Oslo"), ("Taipei Tea House", "Asia/Taipei")] {
        let key = world.seller(name, zone).await;
        let shop = if zone == "Europe/Oslo" { "nordlicht" } else { "tea-house" };
        let items: Vec<String> = (0..6).map(|number| (70_100 + number).to_string()).collect();
        let rows: Vec<Value> = items.iter().map(|item| json!({"sku": format!("SKU-{item}"), "external_id": item})).collect();
        for item in &items {
            world.platform.set_quantity(shop, item, 10);
        }
        let body = json!({"name": format!("{shop}.example"), "platform": "shopify", "location_id": "1", "shop": shop,
            "base_url": format!("{}/shopify/{shop}", world.platform_url), "credentials": {"access_token": "token"}});
        add_store(world, &key, body, &rows).await;
        let body =
            json!({"name": "Till", "platform": "simulated", "base_url": world.platform_url, "external_store": format!("till-{shop}")});
        add_store(world, &key, body, &rows).await;
        world.call("PUT", "/v1/sync-settings", &key, json!({"auto_sync": true})).await;
        keys.push(key);
    }
    world.call("POST", "/admin/sellers", OPERATOR_KEY, json!({"name": "Fjord & Fern", "timezone": "Europe/Oslo"})).await;
    let post = world.request(reqwest::Method::POST, "/v1/stock-events");
    tokio::spawn(async move {
        for (beat, events) in (0u64..).zip(WAVE.iter().cycle()) {
            for key in &keys {
                let event = |number: usize| {
                    let sku = format!("SKU-{}", 70_100 + number % 6);
                    json!({"event_id": format!("{beat}-{number}"), "sku": sku, "kind": "purchase", "quantity": 1 + number % 4})
                };
                let body: Vec<Value> = (0..*events).map(event).collect();
                // Fails once the world has stopped.
                if let Some(request) = post.try_clone() {
                    request.bearer_auth(key).json(&body).send().await.ok();
                }
            }
            tokio::time::sleep(BEAT).await;
        }
    })
}
