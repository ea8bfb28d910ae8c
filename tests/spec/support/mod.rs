//! The vocabulary of the spec tests: a whole service on one arbiter, in virtual time, over the simulated platform.
//!
//! The database is an SQLite file, or with `STOCKTIDE_TEST_BACKEND=postgres` a fresh database on the server that
//! `STOCKTIDE_TEST_POSTGRES` names. The same tests run on both.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on should say so at once")]

use chrono::{DateTime, TimeDelta, Utc};
use diesel::Connection;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use stocktide::actors::{self, Deps, Handle, Running};
use stocktide::clock::Clock;
use stocktide::db::ledger::{EventResult, NewEvent, RecordRequest};
use stocktide::db::listings::NewListing;
use stocktide::db::pushes::{CancelScope, PushFilter};
use stocktide::db::runs::{Run, RunFilter, RunKind};
use stocktide::db::sealing::Sealer;
use stocktide::db::sellers::{Seller as SellerRow, create_seller};
use stocktide::db::stores::Store;
use stocktide::db::{self, DatabaseUrl, Db, SellerDb};
use stocktide::domain::allocation::{AllocationMode, Share};
use stocktide::domain::push::{Push, PushKind, PushState};
use stocktide::domain::settings::{Frequency, Rule, SyncSettings, parse_daily_at};
use stocktide::domain::stock::{EventKind, StockEvent};
use stocktide::domain::{EventId, KeyId, SellerId, Sku, StoreId, WarehouseCode};
use stocktide::platforms::client::Client;
use stocktide::platforms::limits::Limits;
use stocktide::simulator::in_process::InProcess;
use stocktide::simulator::{Faults, Simulator};

pub const START: &str = "2026-03-02T12:00:00Z";

/// A database that goes away with it.
pub struct TestDatabase {
    pub url: DatabaseUrl,
    _dir: tempfile::TempDir,
    drop_postgres: Option<(String, String)>,
}

impl TestDatabase {
    pub fn fresh() -> Self {
        let dir = tempfile::tempdir().unwrap();
        if std::env::var("STOCKTIDE_TEST_BACKEND").as_deref() == Ok("postgres") {
            let server = std::env::var("STOCKTIDE_TEST_POSTGRES").expect("STOCKTIDE_TEST_BACKEND=postgres needs STOCKTIDE_TEST_POSTGRES, the URL of a server");
            let name = format!("stocktide_{}", uuid::Uuid::now_v7().simple());
            let mut admin = diesel::PgConnection::establish(&server).expect("the PostgreSQL server answers");
            diesel::connection::SimpleConnection::batch_execute(&mut admin, &format!("CREATE DATABASE {name}")).unwrap();
            let (front, _) = server.rsplit_once('/').unwrap();
            let url = DatabaseUrl::parse(&format!("{front}/{name}")).unwrap();
            return Self { url, _dir: dir, drop_postgres: Some((server, name)) };
        }
        let url = DatabaseUrl::parse(&format!("sqlite://{}", dir.path().join("test.db").display())).unwrap();
        Self { url, _dir: dir, drop_postgres: None }
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        if let Some((server, name)) = &self.drop_postgres
            && let Ok(mut admin) = diesel::PgConnection::establish(server)
        {
            diesel::connection::SimpleConnection::batch_execute(&mut admin, &format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).ok();
        }
    }
}

/// Runs a story in virtual time, from `start` on; fails if work is left at its end.
pub fn story<F: Future<Output = World>>(start: &str, tell: impl FnOnce(World) -> F) {
    let start: DateTime<Utc> = start.parse().unwrap();
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    actix::System::with_tokio_rt(runtime).block_on(async move {
        let world = World::new(start);
        tell(world).await.finish().await;
    });
}

pub struct World {
    pub clock: Clock,
    pub db: Db,
    pub platform: Simulator,
    pub handle: Handle,
    settings: actors::Settings,
    database: TestDatabase,
    counter: std::cell::Cell<u64>,
    leftovers_allowed: std::cell::Cell<bool>,
}

fn start_actors(db: &Db, clock: &Clock, platform: &Simulator, settings: &actors::Settings) -> Handle {
    let transport = Arc::new(InProcess::new(platform.clone(), clock.clone()));
    let client = Client::new(transport, Arc::new(Limits::default()), Duration::from_secs(10));
    let deps = Deps { db: db.clone(), client, clock: clock.clone(), sealer: Arc::new(sealer()), settings: settings.clone(), running: Running::default() };
    Handle::start(Arc::new(deps), 0)
}

fn sealer() -> Sealer {
    Sealer::from_base64("MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=").unwrap()
}

impl World {
    fn new(start: DateTime<Utc>) -> Self {
        let database = TestDatabase::fresh();
        db::migrate(&database.url).unwrap();
        let clock = Clock::starting_at(start);
        let db = Db::open(&db::Settings::new(database.url.clone()));
        let platform = Simulator::new(7);
        let settings = actors::Settings::default();
        let handle = start_actors(&db, &clock, &platform, &settings);
        Self { clock, db, platform, handle, settings, database, counter: Default::default(), leftovers_allowed: Default::default() }
    }

    pub fn now(&self) -> i64 {
        self.clock.now().timestamp_millis()
    }

    pub async fn sleep(&self, span: TimeDelta) {
        tokio::time::sleep(span.to_std().unwrap()).await;
    }

    /// Time for whatever happens at once.
    pub async fn a_moment(&self) {
        self.sleep(TimeDelta::seconds(2)).await;
    }

    pub fn faults(&self, change: impl FnOnce(&mut Faults)) {
        let mut faults = self.platform.faults();
        change(&mut faults);
        self.platform.set_faults(faults);
    }

    pub fn all_is_well(&self) {
        let old = self.platform.faults();
        self.platform.set_faults(Faults { idempotency: old.idempotency, compare_and_set: old.compare_and_set, adjust: old.adjust, ..Faults::default() });
    }

    /// The service stops gracefully; nothing runs until `starts`.
    pub async fn stops(&self) {
        self.handle.shut_down().await;
    }

    /// A new process on the same rows.
    pub fn starts(&mut self) {
        self.db = Db::open(&db::Settings::new(self.database.url.clone()));
        self.handle = start_actors(&self.db, &self.clock, &self.platform, &self.settings);
    }

    pub async fn seller(&self, change: impl FnOnce(&mut SyncSettings)) -> Seller<'_> {
        let id = SellerId::new(self.clock.now());
        let now = self.now();
        let row = SellerRow { id, name: "Ada".into(), timezone: chrono_tz::UTC, suspended: false, sku_count: 0, created_at: now };
        self.db.write(move |conn| create_seller(conn, &row, KeyId::new(stocktide::clock::instant(now)), &rand::random())).await.unwrap();
        let seller = Seller { world: self, db: self.db.seller(id) };
        seller.settings(change).await;
        seller
    }

    /// The same seller, after a restart.
    pub fn seller_again(&self, id: SellerId) -> Seller<'_> {
        Seller { world: self, db: self.db.seller(id) }
    }

    /// Work may be left at the end of this story.
    pub fn leaves_work(&self) {
        self.leftovers_allowed.set(true);
    }

    pub async fn finish(self) {
        self.handle.shut_down().await;
        assert_eq!(self.handle.status().await.stores, 0, "a store's actor still runs");
        let now = self.now();
        let left = self.db.read(move |conn| db::fleet::sellers_with_work(conn, now)).await.unwrap();
        assert!(self.leftovers_allowed.get() || left.is_empty(), "work is left");
    }
}

pub fn incremental(settings: &mut SyncSettings) {
    settings.auto_sync = true;
}

pub fn exclusive(settings: &mut SyncSettings) {
    settings.auto_sync = true;
    settings.allocation_mode = AllocationMode::Exclusive;
}

pub fn daily_at(time: &'static str, zone: chrono_tz::Tz) -> impl FnOnce(&mut SyncSettings) {
    move |settings| {
        settings.auto_sync = true;
        settings.frequency = Frequency::TimedFull;
        settings.daily_at = parse_daily_at(time).unwrap();
        settings.timezone = zone;
    }
}

pub struct Seller<'w> {
    world: &'w World,
    pub db: SellerDb,
}

#[derive(Clone)]
pub struct Shop {
    pub id: StoreId,
    pub name: String,
}

impl Seller<'_> {
    /// Saves settings like `PUT /v1/sync-settings` with `initial_overwrite: false`.
    pub async fn settings(&self, change: impl FnOnce(&mut SyncSettings)) {
        let old = self.db.read(|t| t.sync_settings()).await.unwrap();
        let (mut new, now) = (old.clone(), self.world.now());
        change(&mut new);
        new.timed_since = now;
        let switched_off = old.auto_sync && !new.auto_sync;
        self.db
            .write(move |t| {
                t.save_sync_settings(&new, now)?;
                if switched_off {
                    t.cancel_pushes(CancelScope::AutoSync, "Auto-sync was switched off.", now)?;
                }
                Ok(())
            })
            .await
            .unwrap();
        self.world.handle.reconfigure(self.db.id());
    }

    pub async fn warehouse(&self, code: &str) {
        let row = db::warehouses::Warehouse { code: WarehouseCode::parse(code).unwrap(), name: code.to_owned(), created_at: self.world.now() };
        self.db.write(move |t| t.create_warehouse(&row)).await.unwrap();
    }

    pub async fn shop(&self, name: &str) -> Shop {
        self.shop_with(name, json!({}), |_| ()).await
    }

    /// A store on the simulated platform with these connector settings, and these SKUs-to-be.
    pub async fn shop_with(&self, name: &str, config: Value, change: impl FnOnce(&mut Store)) -> Shop {
        let id = StoreId::new(self.world.clock.now());
        let external = format!("{name}-{id}");
        let mut config = config;
        config["external_store"] = json!(external);
        let now = self.world.now();
        let mut store = Store {
            id,
            name: name.to_owned(),
            platform: "simulated".to_owned(),
            base_url: Some("http://platform".to_owned()),
            config: config.to_string(),
            credentials: None,
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
        };
        change(&mut store);
        self.db.write(move |t| t.save_store(&store)).await.unwrap();
        self.world.handle.reconfigure(self.db.id());
        Shop { id, name: external }
    }

    pub async fn change_shop(&self, shop: &Shop, change: impl Fn(&mut Store) + Send + 'static) {
        let id = shop.id;
        self.db
            .write(move |t| {
                let mut store = t.store(id)?;
                change(&mut store);
                t.save_store(&store)
            })
            .await
            .unwrap();
        self.world.handle.reconfigure(self.db.id());
    }

    pub async fn pair(&self, shop: &Shop, skus: &[&str]) {
        let rows: Vec<NewListing> = skus.iter().map(|sku| NewListing { sku: Sku::parse(sku).unwrap(), external_id: (*sku).to_owned(), extra: None }).collect();
        let (id, now) = (shop.id, self.world.clock.now());
        self.db.write(move |t| t.save_listings(id, &rows, Default::default(), now)).await.unwrap();
    }

    pub async fn rules(&self, rules: Vec<Rule>) {
        self.db.write(move |t| t.save_rules(&rules)).await.unwrap();
    }

    pub fn event_of(&self, sku: &str, kind: EventKind, quantity: i64) -> StockEvent {
        let n = self.world.counter.get() + 1;
        self.world.counter.set(n);
        StockEvent {
            event_id: EventId::parse(&format!("e{n}")).unwrap(),
            sku: Sku::parse(sku).unwrap(),
            kind,
            quantity,
            warehouse: WarehouseCode::main(),
            to_warehouse: None,
            occurred_at: None,
            note: None,
        }
    }

    pub async fn record(&self, events: Vec<StockEvent>) -> Vec<EventResult> {
        let hash = |event: &StockEvent| {
            let mut hash = [0u8; 32];
            for (i, byte) in format!("{}{:?}{}", event.sku, event.kind, event.quantity).bytes().enumerate() {
                hash[i % 32] = hash[i % 32].wrapping_mul(31).wrapping_add(byte);
            }
            hash
        };
        let events = events.into_iter().map(|event| NewEvent { hash: hash(&event), event }).collect();
        self.world.db.record(RecordRequest { seller: self.db.id(), now: self.world.now(), events }).await.unwrap().results
    }

    pub async fn event(&self, sku: &str, kind: EventKind, quantity: i64) {
        let results = self.record(vec![self.event_of(sku, kind, quantity)]).await;
        assert!(matches!(results[..], [EventResult::Accepted { .. }]), "{results:?}");
    }

    pub async fn purchase(&self, sku: &str, quantity: i64) {
        self.event(sku, EventKind::Purchase, quantity).await;
    }

    pub async fn sale(&self, sku: &str, quantity: i64) {
        self.event(sku, EventKind::Sale, quantity).await;
    }

    pub async fn sync(&self, filter: RunFilter) -> Run {
        let now = self.world.now();
        let run = self.db.write(move |t| t.start_run(RunKind::Manual, &filter, now)).await.unwrap();
        self.world.handle.reconfigure(self.db.id());
        run
    }

    pub async fn run(&self, run: &Run) -> Run {
        let id = run.id;
        self.db.read(move |t| t.run(id)).await.unwrap()
    }

    /// Oldest first.
    pub async fn runs(&self) -> Vec<Run> {
        let mut runs = self.db.read(|t| t.runs(None, 1000)).await.unwrap();
        runs.reverse();
        runs
    }

    /// Oldest first.
    pub async fn pushes(&self) -> Vec<Push> {
        let mut pushes = self.db.read(|t| t.list_pushes(&PushFilter::default(), None, 10_000)).await.unwrap();
        pushes.reverse();
        pushes
    }

    pub async fn states(&self) -> Vec<(PushKind, Option<i64>, PushState)> {
        self.pushes().await.into_iter().map(|p| (p.kind, p.quantity, p.state)).collect()
    }
}

impl World {
    pub fn shown(&self, shop: &Shop, sku: &str) -> i64 {
        self.platform.quantity(&shop.name, sku)
    }

    /// What the platform received for a store: action, item, change or quantity.
    pub fn received(&self, shop: &Shop) -> Vec<(String, String, i64)> {
        let mine = self.platform.receipts(0, usize::MAX).into_iter().filter(|r| r.store == shop.name);
        mine.map(|r| { let n = if r.action == "set" { r.quantity } else { r.change }; (r.action, r.external_id, n) }).collect()
    }
}

pub fn adjust(sku: &str, n: i64) -> (String, String, i64) {
    ("adjust".into(), sku.into(), n)
}

pub fn set(sku: &str, n: i64) -> (String, String, i64) {
    ("set".into(), sku.into(), n)
}
