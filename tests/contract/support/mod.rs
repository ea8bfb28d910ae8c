//! The vocabulary of the contract tests: a [`World`] with a platform and a service, its [`Seller`]s and their [`Shop`]s.
//!
//! Everything runs on one arbiter in virtual time, which [`World::sleep`] advances; every timer fires at its time. A story
//! ends with a graceful stop, after which no work may be left.
mod bundles;
mod changes;
pub mod database;
mod intake;
mod pauses;
pub mod platform_that;
pub mod postbox;
pub mod receiver;
mod spans;
pub mod statements;

use database::{Backend, TestDatabase};
use postbox::Postbox;
use receiver::{Network, Receiver};
use serde_json::{Value, json};
use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::Duration;
use stocktide::actors::{self, Deps, Handle};
use stocktide::clock::Clock;
use stocktide::db::ledger::EventResult;
use stocktide::db::listings::{Listing, NewListing};
use stocktide::db::pushes::PushFilter;
use stocktide::db::runs::{Run, RunFilter, RunState};
use stocktide::db::sealing::Sealer;
use stocktide::db::stores::Store;
use stocktide::db::{self, Db, SellerDb};
use stocktide::domain::allocation::{AllocationMode, Share};
use stocktide::domain::frequency::Frequency;
use stocktide::domain::guard::GuardChange;
use stocktide::domain::push::{Push, PushKind, PushState, Record};
use stocktide::domain::settings::{Rule, SyncSettings, parse_daily_at};
use stocktide::domain::stock::{EventKind, StockEvent};
use stocktide::domain::units::UnitsEach;
use stocktide::domain::{EventId, PushId, RunId, SellerId, Sku, StoreId, Timestamp, WarehouseCode};
use stocktide::platforms::client::Client;
use stocktide::platforms::limits::Limits;
use stocktide::service::pushes::Retry;
use stocktide::service::sellers::EnteredSeller;
use stocktide::service::settings::EnteredChange;
pub use stocktide::service::stores::StoreChange;
use stocktide::service::{self, Caller, Operator, Service};
use stocktide::simulator::in_process::InProcess;
use stocktide::simulator::{Faults, Simulator};

/// When most stories start: noon on an ordinary Monday.
pub const START: &str = "2026-03-02T12:00:00Z";

pub use changes::*;
pub use spans::*;

/// Runs a story on every selected backend.
pub fn story(tell: impl AsyncFn(&World)) {
    story_from(START, tell);
}

/// Runs a story that starts at `start`.
pub fn story_from(start: &str, tell: impl AsyncFn(&World)) {
    story_with(start, |_| (), tell);
}

/// Runs a story in which several processes share a PostgreSQL database; they take over after five seconds. Nothing on SQLite.
pub fn story_of_nodes(settings: impl Fn(&mut actors::Settings), tell: impl AsyncFn(&World)) {
    let sharing = |of_actors: &mut actors::Settings| {
        of_actors.sharing = Some(actors::Sharing { lease: Duration::from_secs(5), name: uuid::Uuid::now_v7().to_string() });
        settings(of_actors);
    };
    if Backend::wanted().contains(&Backend::Postgres) {
        story_on(Backend::Postgres, START, sharing, tell);
    }
}

/// Runs a story of many days, in which the service polls for work and for old rows less often.
pub fn story_of_days(start: &str, tell: impl AsyncFn(&World)) {
    let quiet = |settings: &mut actors::Settings| {
        (settings.poll_every, settings.prune_every) = (Duration::from_secs(600), Duration::from_secs(24 * 3600));
    };
    story_with(start, quiet, tell);
}

/// Runs a story of a service with these settings.
pub fn story_with(start: &str, settings: impl Fn(&mut actors::Settings), tell: impl AsyncFn(&World)) {
    for backend in Backend::wanted() {
        story_on(backend, start, &settings, &tell);
    }
}

fn story_on(backend: Backend, start: &str, settings: impl Fn(&mut actors::Settings), tell: impl AsyncFn(&World)) {
    println!("on {backend:?}");
    // Few stories wait for old rows to go, and set this themselves.
    let mut of_actors = actors::Settings { prune_every: Duration::from_secs(600), ..actors::Settings::default() };
    settings(&mut of_actors);
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    actix::System::with_tokio_rt(runtime).block_on(async {
        let world = World::new(backend, start.parse().unwrap(), of_actors);
        tell(&world).await;
        world.finish().await;
    });
}

/// One run of the service; the next one continues with what it left in the database.
pub struct Process {
    pub service: Service,
    pub handle: Handle,
    /// Drives the process's actors; aborting it is what `kill -9` does to them.
    actors: tokio::task::JoinHandle<()>,
}

pub struct World {
    pub clock: Clock,
    pub platform: Simulator,
    pub receiver: Receiver,
    pub postbox: Postbox,
    process: RefCell<Process>,
    settings: actors::Settings,
    database: TestDatabase,
    counter: Cell<u64>,
    leftovers_allowed: Cell<bool>,
}

impl Process {
    /// It ends between two instructions, or is frozen for good.
    pub async fn crashes(&self) {
        self.actors.abort();
        tokio::time::sleep(Duration::from_millis(1)).await;
    }

    /// How many shards it holds.
    pub fn shards(&self) -> usize {
        self.service.db.held().leases().len()
    }
}

fn start_process(
    database: &TestDatabase,
    clock: &Clock,
    (platform, receiver, postbox): (&Simulator, &Receiver, &Postbox),
    settings: &actors::Settings,
) -> Process {
    let db = Db::open(&db::Settings::new(database.url.clone()));
    let network = Network { receiver: receiver.clone(), platform: InProcess::new(platform.clone(), clock.clone()) };
    let client = Client::new(Arc::new(network), Arc::new(Limits::default()), Duration::from_secs(10), clock.clone());
    let sealer = Sealer::from_base64("MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=").unwrap();
    let deps = Deps::new(db, client, clock.clone(), Arc::new(sealer), settings.clone()).with_post(Some(postbox.post()));
    let set = tokio::task::LocalSet::new();
    let handle = {
        let _inside = set.enter();
        Handle::start(Arc::new(deps), 0)
    };
    let service = handle.service(Default::default(), true);
    Process { service, handle, actors: actix::spawn(set) }
}

impl World {
    fn new(backend: Backend, start: Timestamp, settings: actors::Settings) -> Self {
        let database = TestDatabase::fresh(backend);
        let (clock, platform) = (Clock::starting_at(start), Simulator::new(7));
        let (receiver, postbox) = (Receiver::default(), Postbox::default());
        let process = RefCell::new(start_process(&database, &clock, (&platform, &receiver, &postbox), &settings));
        Self {
            clock,
            platform,
            receiver,
            postbox,
            process,
            settings,
            database,
            counter: Cell::default(),
            leftovers_allowed: Cell::default(),
        }
    }

    pub fn db(&self) -> Db {
        self.service().db
    }

    /// The use cases of the current process.
    pub fn service(&self) -> Service {
        self.process.borrow().service.clone()
    }

    /// A name that no other store on the platform has.
    pub fn next_name(&self, name: &str) -> String {
        self.counter.set(self.counter.get() + 1);
        format!("{name}-{}", self.counter.get())
    }

    /// Changes rows behind the service's back.
    pub fn execute(&self, sql: &str) {
        self.database.execute(sql);
    }

    pub fn database_url(&self) -> db::DatabaseUrl {
        self.database.url.clone()
    }

    pub fn handle(&self) -> Handle {
        self.process.borrow().handle.clone()
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub async fn sleep(&self, span: Span) {
        tokio::time::sleep(span.to_std().unwrap()).await;
    }

    pub async fn sleep_until(&self, instant: &str) {
        let instant: Timestamp = instant.parse().unwrap();
        self.sleep(instant - self.clock.now()).await;
    }

    pub async fn a_moment(&self) {
        self.sleep(seconds(2)).await;
    }

    pub fn faults(&self, change: impl FnOnce(&mut Faults)) {
        let mut faults = self.platform.faults();
        change(&mut faults);
        self.platform.set_faults(faults);
    }

    /// Requests that change something never arrive, and the service cannot know that.
    pub fn loses_requests(&self) {
        self.faults(|f| (f.late, f.late_ms) = (1.0, u64::from(u32::MAX) * 1000));
    }

    /// Requests that change something are applied, but their answers never arrive.
    pub fn loses_answers(&self) {
        self.faults(|f| f.lose_answer = 1.0);
    }

    /// The platform works again; its abilities and rate limit stay the same.
    pub fn all_is_well(&self) {
        let Faults { idempotency, compare_and_set, adjust, rate_limit, .. } = self.platform.faults();
        self.platform.set_faults(Faults { idempotency, compare_and_set, adjust, rate_limit, ..Faults::default() });
    }

    /// The service stops gracefully; nothing runs until [`Self::starts`].
    pub async fn stops(&self) {
        self.shuts_down().await;
        self.crashes().await;
    }

    async fn shuts_down(&self) {
        self.handle().shut_down().await;
        assert_eq!(self.handle().status().await.stores, 0, "a store's actor still runs");
    }

    /// The service ends between two instructions; nothing runs until [`Self::starts`].
    pub async fn crashes(&self) {
        self.process.borrow().actors.abort();
        // The database finishes the statements that it has received, as a real one would.
        self.sleep(ms(1)).await;
    }

    /// A new process on the same rows.
    pub fn starts(&self) {
        *self.process.borrow_mut() = self.another(&self.settings);
    }

    /// A further process on the same rows, which shares them with the others.
    pub fn starts_another_named(&self, name: &str) -> Process {
        let mut settings = self.settings.clone();
        settings.sharing.as_mut().expect("the processes share").name = name.to_owned();
        self.another(&settings)
    }

    /// The same with a clock that is behind the others by so much.
    pub fn starts_another_behind(&self, name: &str, by: Span) -> Process {
        let mut settings = self.settings.clone();
        settings.sharing.as_mut().expect("the processes share").name = name.to_owned();
        let clock = Clock::starting_at(self.clock.now() - by);
        start_process(&self.database, &clock, (&self.platform, &self.receiver, &self.postbox), &settings)
    }

    fn another(&self, settings: &actors::Settings) -> Process {
        start_process(&self.database, &self.clock, (&self.platform, &self.receiver, &self.postbox), settings)
    }

    /// How many shards the process holds.
    pub fn process_shards(&self) -> usize {
        self.db().held().leases().len()
    }

    pub async fn seller(&self, change: impl FnOnce(&mut SyncSettings)) -> Seller<'_> {
        let (row, _) = service::sellers::create(&self.service(), Operator, EnteredSeller::named("Ada")).await.unwrap();
        let id = row.id;
        let seller = Seller { world: self, id };
        seller.settings(change).await;
        seller
    }

    pub fn shown(&self, shop: &Shop, sku: &str) -> i64 {
        self.platform.quantity(&shop.external, sku)
    }

    /// The store sells units, which no stock event reports.
    pub fn sells(&self, shop: &Shop, sku: &str, quantity: i64) {
        self.platform.sell(&shop.external, sku, quantity);
    }

    /// The changes that the platform applied for a store, oldest first.
    pub fn received(&self, shop: &Shop) -> Vec<Change> {
        let mine = self.platform.receipts(0, usize::MAX).into_iter().filter(|r| r.store == shop.external);
        mine.map(|r| if r.action == "set" { set(&r.external_id, r.quantity) } else { add(&r.external_id, r.change) }).collect()
    }

    /// Work may be left at the end of this story.
    pub fn leaves_work(&self) {
        self.leftovers_allowed.set(true);
    }

    async fn finish(self) {
        for _ in 0..5 {
            if self.leftovers_allowed.get() || self.left().await.is_empty() {
                break;
            }
            // A look at a listing may be due just now.
            self.sleep(minutes(1)).await;
        }
        self.shuts_down().await;
        assert!(self.leftovers_allowed.get() || self.left().await.is_empty(), "work is left");
        self.crashes().await;
    }

    /// The sellers with work that is due.
    async fn left(&self) -> Vec<SellerId> {
        let now = self.now();
        self.db().read(move |conn| db::fleet::sellers_with_work(conn, now)).await.unwrap()
    }
}

pub fn off(_: &mut SyncSettings) {}

pub fn incremental(settings: &mut SyncSettings) {
    (settings.auto_sync, settings.frequency) = (true, Frequency::Incremental);
}

pub fn exclusive(settings: &mut SyncSettings) {
    incremental(settings);
    settings.allocation_mode = AllocationMode::Exclusive;
}

pub fn daily_at(time: &'static str, zone: chrono_tz::Tz) -> impl Fn(&mut SyncSettings) {
    move |settings| {
        (settings.auto_sync, settings.frequency, settings.timezone) = (true, Frequency::TimedFull, zone);
        settings.daily_at = parse_daily_at(time).unwrap();
    }
}

pub fn percent(percent: f64) -> Option<Share> {
    Some(Share::from_percent(percent).unwrap())
}

#[derive(Clone, Copy)]
pub struct Seller<'w> {
    pub world: &'w World,
    pub id: SellerId,
}

#[derive(Clone)]
pub struct Shop {
    pub id: StoreId,
    /// Its name on the platform.
    pub external: String,
}

/// Kind, quantity and state of a push.
pub type PushLine = (PushKind, Option<i64>, PushState);

pub fn increase(quantity: i64, state: PushState) -> PushLine {
    (PushKind::Increase, Some(quantity), state)
}

pub fn overwrite(quantity: i64, state: PushState) -> PushLine {
    (PushKind::Overwrite, Some(quantity), state)
}

impl Seller<'_> {
    pub fn db(&self) -> SellerDb {
        self.world.db().seller(self.id)
    }

    /// The seller as an authenticated caller.
    pub fn caller(&self) -> Caller {
        Caller { db: self.db(), name: "contract".to_owned() }
    }

    /// Changes the settings without an initial overwrite.
    pub async fn settings(&self, change: impl FnOnce(&mut SyncSettings)) {
        self.changes_settings(&self.world.service(), change, Some(false)).await;
    }

    /// The same in another process: the actors here notice it when they next look at the rows.
    pub async fn settings_saved_elsewhere(&self, change: impl FnOnce(&mut SyncSettings)) {
        let db = Db::open(&db::Settings::new(self.world.database_url()));
        self.changes_settings(&Service { db, ..self.world.service() }, change, Some(false)).await;
    }

    async fn changes_settings(&self, service: &Service, change: impl FnOnce(&mut SyncSettings), initial: Option<bool>) -> Option<RunId> {
        let mut new = self.db().read(|t| t.sync_settings()).await.unwrap();
        change(&mut new);
        let entered = EnteredChange {
            auto_sync: Some(new.auto_sync),
            frequency: Some(new.frequency),
            daily_at: Some(new.daily_at.format("%H:%M").to_string()),
            timezone: Some(new.timezone.name().to_owned()),
            catch_up_hours: Some(new.catch_up_hours),
            allocation_mode: Some(new.allocation_mode),
            buffer: Some(new.buffer),
            trigger_on_cancellation: Some(new.trigger_on_cancellation),
            create_skus: Some(new.create_skus),
            guard: GuardChange { zero_percent: Some(new.guard.zero_percent), units: Some(new.guard.units) },
            drift: Some(new.drift),
            initial_overwrite: initial,
        };
        let caller = Caller { db: service.db.seller(self.id), name: "contract".to_owned() };
        service::settings::change(service, &caller, entered).await.unwrap().1
    }

    pub async fn switches_off(&self) {
        self.settings(|settings| settings.auto_sync = false).await;
    }

    /// Switches auto-sync on with an initial overwrite, as happens unless the seller declines it.
    pub async fn switches_on(&self, change: impl FnOnce(&mut SyncSettings)) -> Run {
        let id = self.changes_settings(&self.world.service(), change, None).await.expect("switching on starts a run");
        self.db().read(move |t| t.run(id)).await.unwrap()
    }

    /// Switches auto-sync on without an initial overwrite and says nothing else.
    pub async fn switches_on_only(&self) {
        let entered = EnteredChange { auto_sync: Some(true), initial_overwrite: Some(false), ..EnteredChange::default() };
        service::settings::change(&self.world.service(), &self.caller(), entered).await.unwrap();
    }

    pub async fn warehouse(&self, code: &str) {
        let parsed = WarehouseCode::parse(code).unwrap();
        service::warehouses::create(&self.world.service(), &self.caller(), parsed, code.to_owned()).await.unwrap();
    }

    /// A store that sells these SKUs, on the platform with all abilities.
    pub async fn shop(&self, name: &str, skus: &[&str]) -> Shop {
        self.shop_on(platform_that::knows_keys(), name, skus).await
    }

    pub async fn shop_on(&self, platform: Value, name: &str, skus: &[&str]) -> Shop {
        let external = self.world.next_name(name);
        let mut config = platform;
        config["external_store"] = json!(external);
        let new = StoreChange {
            name: Some(name.to_owned()),
            platform: Some("simulated".to_owned()),
            base_url: Some(Some("http://platform".to_owned())),
            share_percent: Some(Some(self.free_share().await)),
            config: config.as_object().cloned().unwrap(),
            ..StoreChange::default()
        };
        let store = service::stores::create(&self.world.service(), &self.caller(), new).await.unwrap();
        let shop = Shop { id: store.id, external };
        self.pair(&shop, skus).await;
        shop
    }

    /// The whole pool, or the rest of an exclusive split.
    async fn free_share(&self) -> f64 {
        let (settings, stores) = self.db().read(|t| Ok((t.sync_settings()?, t.stores(None, 100)?))).await.unwrap();
        match settings.allocation_mode {
            AllocationMode::Shared => 100.0,
            AllocationMode::Exclusive => 100.0 - stores.iter().filter_map(|store| store.share).map(Share::percent).sum::<f64>(),
        }
    }

    pub async fn change_shop(&self, shop: &Shop, change: StoreChange) {
        service::stores::change(&self.world.service(), &self.caller(), shop.id, change).await.unwrap();
    }

    pub async fn share(&self, shop: &Shop, share: f64) {
        self.change_shop(shop, StoreChange { share_percent: Some(Some(share)), ..StoreChange::default() }).await;
    }

    pub async fn fed_by(&self, shop: &Shop, warehouse: &str) {
        self.change_shop(shop, StoreChange { warehouses: Some(Some(vec![warehouse.to_owned()])), ..StoreChange::default() }).await;
    }

    pub async fn pauses(&self, shop: &Shop) {
        self.change_shop(shop, StoreChange { paused: Some(true), ..StoreChange::default() }).await;
    }

    pub async fn resumes(&self, shop: &Shop) {
        self.change_shop(shop, StoreChange { paused: Some(false), ..StoreChange::default() }).await;
    }

    pub async fn removes(&self, shop: &Shop) {
        service::stores::delete(&self.world.service(), &self.caller(), shop.id).await.unwrap();
    }

    /// Tests the connection.
    pub async fn checks(&self, shop: &Shop) -> service::stores::Checked {
        service::stores::check(&self.world.service(), &self.caller(), shop.id).await.unwrap()
    }

    /// Enters new credentials; a simulated store needs none.
    pub async fn releases(&self, shop: &Shop) {
        self.change_shop(shop, StoreChange { credentials: Some(None), ..StoreChange::default() }).await;
    }

    pub async fn store(&self, shop: &Shop) -> Store {
        let id = shop.id;
        self.db().read(move |t| t.store(id)).await.unwrap()
    }

    /// Pairs listings that have the same names as their SKUs.
    pub async fn pair(&self, shop: &Shop, skus: &[&str]) {
        let listings: Vec<(&str, &str)> = skus.iter().map(|sku| (*sku, *sku)).collect();
        self.pair_as(shop, &listings).await;
    }

    /// Pairs listings with these names with these SKUs.
    pub async fn pair_as(&self, shop: &Shop, listings: &[(&str, &str)]) {
        self.pair_rows(shop, listings.iter().map(|(external, sku)| (*external, *sku, None))).await;
    }

    /// The same, each with how many units of the SKU it is.
    pub async fn pair_units(&self, shop: &Shop, listings: &[(&str, &str, i64)]) {
        self.pair_rows(shop, listings.iter().map(|(external, sku, units)| (*external, *sku, UnitsEach::new(*units)))).await;
    }

    async fn pair_rows(&self, shop: &Shop, rows: impl Iterator<Item = (&str, &str, Option<UnitsEach>)>) {
        let row = |(external, sku, units): (&str, &str, Option<UnitsEach>)| NewListing {
            sku: Sku::parse(sku).unwrap(),
            external_id: external.to_owned(),
            units,
            extra: None,
            pass: None,
        };
        let rows = rows.map(row).map(Ok).collect();
        service::listings::pair(&self.world.service(), &self.caller(), shop.id, rows).await.unwrap();
    }

    pub async fn listing(&self, shop: &Shop, sku: &str) -> Listing {
        let (id, sku) = (shop.id, sku.to_owned());
        let listings = self.db().read(move |t| t.listings(id, None, 10_000)).await.unwrap();
        listings.into_iter().find(|l| l.sku == sku).expect("the SKU is paired")
    }

    pub async fn unpairs(&self, shop: &Shop, sku: &str) {
        let listing = self.listing(shop, sku).await.id;
        service::listings::unpair(&self.world.service(), &self.caller(), shop.id, listing).await.unwrap();
    }

    pub async fn rule(&self, rule: Rule) {
        service::rules::save(&self.world.service(), &self.caller(), vec![rule]).await.unwrap();
    }

    pub fn an_event(&self, sku: &str, kind: EventKind, quantity: i64) -> StockEvent {
        self.world.counter.set(self.world.counter.get() + 1);
        StockEvent {
            event_id: EventId::parse(&format!("e{}", self.world.counter.get())).unwrap(),
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
        service::stock_events::record(&self.world.service(), &self.caller(), events).await.unwrap()
    }

    /// Records one event, which must be accepted.
    pub async fn event(&self, sku: &str, kind: EventKind, quantity: i64) {
        let results = self.record(vec![self.an_event(sku, kind, quantity)]).await;
        assert!(matches!(results[..], [EventResult::Accepted { .. }]), "{results:?}");
    }

    pub async fn purchase(&self, sku: &str, quantity: i64) {
        self.event(sku, EventKind::Purchase, quantity).await;
    }

    pub async fn sale(&self, sku: &str, quantity: i64) {
        self.event(sku, EventKind::Sale, quantity).await;
    }

    pub async fn target(&self, shop: &Shop, sku: &str) -> Option<i64> {
        let id = self.listing(shop, sku).await.id;
        self.db().read(move |t| t.targets_of(&[id])).await.unwrap()[&id]
    }

    /// Starts a manual sync.
    pub async fn sync(&self, filter: RunFilter) -> Run {
        service::syncs::start(&self.world.service(), &self.caller(), filter).await.unwrap()
    }

    pub async fn run(&self, run: &Run) -> Run {
        let id = run.id;
        self.db().read(move |t| t.run(id)).await.unwrap()
    }

    /// Oldest first.
    pub async fn runs(&self) -> Vec<Run> {
        let mut runs = self.db().read(|t| t.runs(None, 10_000)).await.unwrap();
        runs.reverse();
        runs
    }

    /// Local date and state of the daily runs of a store, oldest date first.
    pub async fn dates(&self, shop: &Shop) -> Vec<(String, RunState)> {
        let of_shop = self.runs().await.into_iter().filter(|run| run.store_id == Some(shop.id));
        let mut dates: Vec<_> = of_shop.filter_map(|run| Some((run.local_date?, run.state))).collect();
        dates.sort_by(|a, b| a.0.cmp(&b.0));
        dates
    }

    /// Oldest first.
    pub async fn pushes(&self) -> Vec<Record> {
        let mut pushes = self.db().read(|t| t.list_pushes(&PushFilter::default(), None, 100_000)).await.unwrap();
        pushes.reverse();
        pushes.into_iter().map(Push::into_record).collect()
    }

    /// Oldest first.
    pub async fn lines(&self) -> Vec<PushLine> {
        self.pushes().await.into_iter().map(|p| (p.kind, p.quantity, p.state)).collect()
    }

    pub async fn retries(&self, ids: &[PushId]) -> usize {
        let wanted = Retry { ids: Some(ids.to_vec()), ..Retry::default() };
        service::pushes::retry(&self.world.service(), &self.caller(), wanted).await.unwrap()
    }
}
