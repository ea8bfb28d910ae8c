//! A whole service in virtual time that talks to the simulated platform in the wire formats of real ones, which it
//! emulates strictly.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on should say so at once")]

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
    _folder: tempfile::TempDir,
}

/// Runs a scenario with a store on this platform in virtual time, and asserts that no work is left at the end.
pub fn story(platform: &str, base_url: &str, config: Value, credentials: Value, scenario: impl AsyncFn(&World)) {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    actix::System::with_tokio_rt(runtime).block_on(async {
        let world = World::new(platform, base_url, &config, &credentials).await;
        scenario(&world).await;
        world.handle.shut_down().await;
        let now = world.now();
        let left = world.all.read(move |conn| db::fleet::sellers_with_work(conn, now)).await.unwrap();
        assert!(left.is_empty(), "no work may be left");
    });
}

impl World {
    async fn new(platform: &str, base_url: &str, config: &Value, credentials: &Value) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = DatabaseUrl::parse(&format!("sqlite://{}", folder.path().join("test.db").display())).unwrap();
        db::migrate(&url).unwrap();
        // Ids never go back in time within a process, so this is later than the dates of all other tests here: the age of a
        // key is taken from its id.
        let clock = Clock::starting_at("2027-03-01T12:00:00Z".parse::<Timestamp>().unwrap());
        let (all, simulator, sent) = (Db::open(&db::Settings::new(url)), Simulator::new(7), Sent::default());
        let transport = Recording { inner: InProcess::new(simulator.clone(), clock.clone()), sent: Arc::clone(&sent) };
        let client = Client::new(Arc::new(transport), Arc::new(Limits::default()), Duration::from_secs(10), clock.clone());
        let sealer = Arc::new(Sealer::from_base64("MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=").unwrap());

        let (seller, store, now) = (SellerId::new(clock.now()), StoreId::new(clock.now()), clock.now());
        let row = Seller { id: seller, name: "Ada".into(), timezone: chrono_tz::UTC, suspended: false, sku_count: 0, created_at: now };
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

        // Hints and the stores' own timers find the work, so days pass without polling the rows every ten seconds.
        let settings = actors::Settings { poll_every: Duration::from_secs(600), ..actors::Settings::default() };
        let deps = Deps::new(all.clone(), client, clock.clone(), Arc::clone(&sealer), settings);
        let handle = Handle::start(Arc::new(deps), 0);
        let world = Self { platform: simulator, clock, handle, db, sent, all, counter: Cell::default(), _folder: folder };
        world.handle.reconfigure(seller);
        world
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
        let row = |sku: &String| NewListing { sku: Sku::parse(sku).unwrap(), external_id: sku.clone(), extra: None };
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
            NewEvent { hash: rand::random(), event, may_create_sku: true }
        };
        let events = skus.iter().map(event).collect();
        self.all.record(RecordRequest { seller: self.db.id(), now: self.now(), events }).await.unwrap();
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
