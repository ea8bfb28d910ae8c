//! A whole service in virtual time that talks to the simulated platform in the wire formats of real ones, which it
//! emulates strictly.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on should say so at once")]

mod matrix;
mod shopee;
mod shopify;

use serde_json::{Value, json};
use std::cell::Cell;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use stocktide::actors::{self, Deps, Handle};
use stocktide::clock::Clock;
use stocktide::db::ledger::{NewEvent, RecordRequest};
use stocktide::db::listings::NewListing;
use stocktide::db::pushes::PushFilter;
use stocktide::db::sealing::Sealer;
use stocktide::db::sellers::{Seller, create_seller};
use stocktide::db::stores::Store;
use stocktide::db::{self, DatabaseUrl, Db, SellerDb};
use stocktide::domain::allocation::Share;
use stocktide::domain::push::{Push, Record};
use stocktide::domain::stock::{EventKind, StockEvent};
use stocktide::domain::{EventId, KeyId, SellerId, Sku, StoreId, Timestamp, WarehouseCode};
use stocktide::platforms::call::{Reply, Request};
use stocktide::platforms::client::Client;
use stocktide::platforms::limits::Limits;
use stocktide::platforms::transport::{SendError, Transport};
use stocktide::simulator::in_process::InProcess;
use stocktide::simulator::{Faults, Simulator};

/// The requests sent, with the time of each.
type Sent = Arc<Mutex<Vec<(tokio::time::Instant, Request)>>>;

/// Forwards requests to the simulated platform and records them.
struct Recording {
    inner: InProcess,
    sent: Sent,
}

impl Transport for Recording {
    fn send(&self, request: Request, timeout: Duration) -> futures_util::future::BoxFuture<'static, Result<Reply, SendError>> {
        self.sent.lock().unwrap().push((tokio::time::Instant::now(), request.clone()));
        self.inner.send(request, timeout)
    }
}

/// One seller with one store, and the service behind them.
pub struct World {
    /// The simulated platform.
    pub platform: Simulator,
    clock: Clock,
    handle: Handle,
    db: SellerDb,
    sent: Sent,
    all: Db,
    counter: Cell<u64>,
    folder: Arc<tempfile::TempDir>,
}

/// Runs a scenario with a store on this platform in virtual time, and asserts that no work is left at the end.
pub fn story(platform: &str, base_url: &str, config: Value, credentials: Value, scenario: impl AsyncFn(&World)) {
    run(None, platform, base_url, &config, &credentials, scenario);
}

/// The same with a shop that is not the simulated platform.
pub fn story_over(
    transport: Arc<dyn Transport>,
    platform: &str,
    base_url: &str,
    config: Value,
    credentials: Value,
    scenario: impl AsyncFn(&World),
) {
    run(Some(transport), platform, base_url, &config, &credentials, scenario);
}

fn run(
    transport: Option<Arc<dyn Transport>>,
    platform: &str,
    base_url: &str,
    config: &Value,
    credentials: &Value,
    scenario: impl AsyncFn(&World),
) {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    actix::System::with_tokio_rt(runtime).block_on(async {
        let world = World::new(transport, platform, base_url, config, credentials).await;
        scenario(&world).await;
        // The service looks for work of its own accord only every ten minutes here.
        for _ in 0..11 {
            if world.is_done().await {
                break;
            }
            world.sleep(61).await;
        }
        world.handle.shut_down().await;
        assert!(world.is_done().await, "no work may be left");
    });
}

fn url_in(folder: &tempfile::TempDir) -> DatabaseUrl {
    DatabaseUrl::parse(&format!("sqlite://{}", folder.path().join("test.db").display())).unwrap()
}

fn sealer() -> Arc<Sealer> {
    Arc::new(Sealer::from_base64("MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=").unwrap())
}

/// What one process of the service has in memory.
fn process(all: &Db, clock: &Clock, transport: Arc<dyn Transport>) -> Handle {
    let client = Client::new(transport, Arc::new(Limits::default()), Duration::from_secs(10), clock.clone());
    // Hints and the stores' own timers find the work, so days pass without polling the rows every ten seconds.
    let settings = actors::Settings { poll_every: Duration::from_secs(600), ..actors::Settings::default() };
    Handle::start(Arc::new(Deps::new(all.clone(), client, clock.clone(), sealer(), settings)), 0)
}

impl World {
    async fn new(transport: Option<Arc<dyn Transport>>, platform: &str, base_url: &str, config: &Value, credentials: &Value) -> Self {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        let url = url_in(&folder);
        db::migrate(&url).unwrap();
        // Ids never go back in time within a process, so this is later than the dates of all other tests here: the age of a
        // key is taken from its id.
        let start = if transport.is_some() { "2027-01-04T12:00:00Z" } else { "2027-03-01T12:00:00Z" };
        let clock = Clock::starting_at(start.parse::<Timestamp>().unwrap());
        let (all, simulator, sent) = (Db::open(&db::Settings::new(url)), Simulator::new(7), Sent::default());
        let simulated = Recording { inner: InProcess::new(simulator.clone(), clock.clone()), sent: Arc::clone(&sent) };
        let sealer = sealer();

        let (seller, store, now) = (SellerId::new(clock.now()), StoreId::new(clock.now()), clock.now());
        let row = Seller::new(seller, "Ada", chrono_tz::UTC, now);
        all.write(move |conn| create_seller(conn, &row, KeyId::new(now), &rand::random())).await.unwrap();
        let row = Store {
            id: store,
            name: "shop".to_owned(),
            platform: platform.to_owned(),
            base_url: Some(base_url.to_owned()),
            config: config.to_string(),
            credentials: Some(sealer.seal(seller, store, credentials.to_string().as_bytes()).unwrap()),
            warehouses: None,
            share: Some(Share::ALL),
            sync_enabled: true,
            paused: false,
            needs_reauthorisation: false,
            problem: None,
            probe_at: None,
            last_success_at: None,
            created_at: now,
            updated_at: now,
            shop: None,
            write_refused: false,
            protect_unseen_sales: true,
            unseen_sales_hours: 72,
            sales_named_at: None,
            has_multiples: false,
            repeats_skus: false,
            above: Default::default(),
            resumes_at: None,
            rehearsal: false,
            falls: Default::default(),
            restocks: Default::default(),
        };
        let db = all.seller(seller);
        db.write(move |t| {
            let mut settings = t.sync_settings()?;
            settings.auto_sync = true;
            t.save_sync_settings(&settings, now)?;
            t.save_store(&row)
        })
        .await
        .unwrap();

        let handle = process(&all, &clock, transport.unwrap_or_else(|| Arc::new(simulated)));
        let world = Self { platform: simulator, clock, handle, db, sent, all, counter: Cell::default(), folder };
        world.handle.reconfigure(seller);
        world
    }

    /// The service ends, and starts again on the same rows.
    pub async fn restart(&self, transport: Arc<dyn Transport>) -> Self {
        self.handle.shut_down().await;
        let all = Db::open(&db::Settings::new(url_in(&self.folder)));
        let (handle, seller) = (process(&all, &self.clock, transport), self.db.id());
        let counter = Cell::new(self.counter.get() + 1_000_000);
        let (platform, clock, sent, folder) = (self.platform.clone(), self.clock.clone(), Arc::clone(&self.sent), Arc::clone(&self.folder));
        let world = Self { platform, clock, handle, db: all.seller(seller), sent, all, counter, folder };
        world.handle.reconfigure(seller);
        world
    }

    async fn is_done(&self) -> bool {
        let now = self.now();
        self.all.read(move |conn| db::fleet::sellers_with_work(conn, now)).await.unwrap().is_empty()
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Lets virtual time pass.
    pub async fn sleep(&self, seconds: u64) {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
    }

    /// Changes the platform's faults from now on.
    pub fn faults(&self, change: impl FnOnce(&mut Faults)) {
        let mut faults = self.platform.faults();
        change(&mut faults);
        self.platform.set_faults(faults);
    }

    /// Pairs each SKU with the platform's item of the same name, which initially shows `shown`.
    pub async fn pair(&self, shop: &str, skus: &[String], shown: i64) {
        for sku in skus {
            self.platform.set_quantity(shop, sku, shown);
        }
        let row =
            |sku: &String| NewListing { sku: Sku::parse(sku).unwrap(), external_id: sku.clone(), extra: None, units: None, pass: None };
        let (rows, now): (Vec<NewListing>, _) = (skus.iter().map(row).collect(), self.clock.now());
        self.db
            .write(move |t| {
                let store = t.stores(None, 1)?.first().map(|store| store.id).unwrap();
                t.save_listings(store, &rows, Default::default(), now).map(drop)
            })
            .await
            .unwrap();
    }

    /// Records a purchase of `quantity` units of each SKU.
    pub async fn purchase(&self, skus: &[String], quantity: i64) {
        let event = |sku: &String| {
            let n = self.counter.get() + 1;
            self.counter.set(n);
            let event = StockEvent {
                event_id: EventId::parse(&format!("e{n}")).unwrap(),
                sku: Sku::parse(sku).unwrap(),
                kind: EventKind::Purchase,
                quantity,
                warehouse: WarehouseCode::main(),
                to_warehouse: None,
                occurred_at: None,
                note: None,
            };
            NewEvent { hash: rand::random(), event, may_create_sku: true, store: None }
        };
        let events = skus.iter().map(event).collect();
        self.all.record(RecordRequest { seller: self.db.id(), now: self.now(), events, trace: None }).await.unwrap();
        self.handle.hint(self.db.id());
    }

    /// All pushes, oldest first.
    pub async fn pushes(&self) -> Vec<Record> {
        let mut pushes = self.db.read(|t| t.list_pushes(&PushFilter::default(), None, 10_000)).await.unwrap();
        pushes.reverse();
        pushes.into_iter().map(Push::into_record).collect()
    }

    /// All requests so far, with the time of each.
    pub fn sent(&self) -> Vec<(tokio::time::Instant, Request)> {
        self.sent.lock().unwrap().clone()
    }

    /// Every change that the platform applied, as (item, change).
    pub fn applied(&self) -> Vec<(String, i64)> {
        self.platform.receipts(0, usize::MAX).into_iter().map(|receipt| (receipt.external_id, receipt.change)).collect()
    }
}

/// The body of a request as JSON.
pub fn body(request: &Request) -> Value {
    request.body.as_deref().map_or(json!(null), |text| serde_json::from_str(text).unwrap_or_default())
}
