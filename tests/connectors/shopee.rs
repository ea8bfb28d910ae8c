//! A whole service (rows, actors, client) in virtual time against the simulated platform's emulation of Shopee:
//! signatures, expiring tokens, calls that succeed in part, lost answers.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say so at once")]

use chrono::TimeDelta;
use serde_json::json;
use sha2::{Digest, Sha256};
use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;
use stocktide::actors::{self, Deps, Handle};
use stocktide::clock::Clock;
use stocktide::db::ledger::{EventResult, NewEvent, RecordRequest};
use stocktide::db::listings::NewListing;
use stocktide::db::pushes::PushFilter;
use stocktide::db::runs::{RunFilter, RunKind};
use stocktide::db::sealing::Sealer;
use stocktide::db::sellers::{Seller, create_seller};
use stocktide::db::stores::Store;
use stocktide::db::{self, DatabaseUrl, Db, SellerDb};
use stocktide::domain::allocation::Share;
use stocktide::domain::push::{Push, PushState, Record};
use stocktide::domain::stock::{EventKind, StockEvent};
use stocktide::domain::{EventId, KeyId, SellerId, Sku, StoreId, Timestamp, WarehouseCode};
use stocktide::platforms::client::Client;
use stocktide::platforms::limits::Limits;
use stocktide::service::connection::{Credentials, seal};
use stocktide::simulator::in_process::InProcess;
use stocktide::simulator::shopee::{NewShop, Tokens};
use stocktide::simulator::{Faults, Rate, Simulator};

const START: &str = "2026-11-25T12:00:00Z";
const SHOP: u64 = 220_000_045;
const KEY: &str = "4a6b7c8d9e0f1122";
/// What every model shows initially.
const SHOWN: i64 = 10;

struct World {
    clock: Clock,
    platform: Simulator,
    db: Db,
    seller: SellerDb,
    store: StoreId,
    handle: Handle,
    sealer: Arc<Sealer>,
    events: Cell<u32>,
    _dir: tempfile::TempDir,
}

/// Runs a scenario with one Shopee store whose item 1000 has models 1 to 5, paired with the SKUs M-1 to M-5.
fn story(access_lives_s: i64, scenario: impl AsyncFn(&World)) {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    actix::System::with_tokio_rt(runtime).block_on(async {
        let world = World::new(access_lives_s).await;
        scenario(&world).await;
        world.handle.shut_down().await;
        assert_eq!(world.handle.status().await.stores, 0, "a store's actor still runs");
    });
}

impl World {
    async fn new(access_lives_s: i64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let url = DatabaseUrl::parse(&format!("sqlite://{}", dir.path().join("test.db").display())).unwrap();
        db::migrate(&url).unwrap();
        let clock = Clock::starting_at(START.parse::<Timestamp>().unwrap());
        let (db, platform) = (Db::open(&db::Settings::new(url)), Simulator::new(7));
        let sealer = Arc::new(Sealer::from_base64("MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=").unwrap());
        let transport = Arc::new(InProcess::new(platform.clone(), clock.clone()));
        let client = Client::new(transport, Arc::new(Limits::default()), Duration::from_secs(10), clock.clone());
        let deps = Deps::new(db.clone(), client, clock.clone(), Arc::clone(&sealer), actors::Settings::default());
        let handle = Handle::start(Arc::new(deps), 0);
        let now = clock.now();
        let (id, store) = (SellerId::new(now), StoreId::new(now));
        let row = Seller::new(id, "Ada", chrono_tz::UTC, now);
        db.write(move |conn| create_seller(conn, &row, KeyId::new(now), &rand::random())).await.unwrap();
        let world = Self { clock, platform, seller: db.seller(id), db, store, handle, sealer, events: Cell::new(0), _dir: dir };
        let tokens = world.open_shop(access_lives_s);
        world.add_store(&tokens).await;
        world
    }

    /// The seller authorizes the app, as if for the first time.
    fn open_shop(&self, access_lives_s: i64) -> Tokens {
        let shop =
            NewShop { partner_id: 1_000_001, partner_key: KEY.into(), access_lives_s, refresh_lives_s: 30 * 86_400, locations: vec![] };
        self.platform.open_shopee_shop(self.clock.now_us(), SHOP, shop)
    }

    async fn add_store(&self, tokens: &Tokens) {
        let (id, now) = (self.store, self.now());
        let store = Store {
            id,
            name: "shopee".into(),
            platform: "shopee".into(),
            base_url: None,
            config: json!({"partner_id": 1_000_001, "shop_id": SHOP}).to_string(),
            credentials: self.sealed(KEY, tokens),
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
        let extra = || Some([("item_id".to_owned(), "1000".to_owned())].into());
        let row = |n: u64| NewListing {
            sku: Sku::parse(&format!("M-{n}")).unwrap(),
            external_id: n.to_string(),
            extra: extra(),
            units: None,
            pass: None,
        };
        let rows: Vec<NewListing> = (1..=5).map(row).collect();
        for n in 1..=5 {
            self.platform.set_quantity(&SHOP.to_string(), &format!("1000/{n}"), SHOWN);
        }
        self.seller
            .write(move |t| {
                t.save_store(&store)?;
                t.save_listings(id, &rows, Default::default(), now)?;
                let mut settings = t.sync_settings()?;
                settings.auto_sync = true;
                t.save_sync_settings(&settings, now)
            })
            .await
            .unwrap();
        self.handle.reconfigure(self.seller.id());
    }

    fn sealed(&self, key: &str, tokens: &Tokens) -> Option<Vec<u8>> {
        let secret = |name: &str, text: &str| (name.to_owned(), text.into());
        let credentials: Credentials =
            [secret("partner_key", key), secret("access_token", &tokens.access_token), secret("refresh_token", &tokens.refresh_token)]
                .into();
        seal(self.seller.id(), self.store, &credentials, &self.sealer).unwrap()
    }

    /// Enters credentials, as `PATCH /v1/stores/{id}` does.
    async fn enter_credentials(&self, key: &str, tokens: &Tokens) {
        let (id, now, sealed) = (self.store, self.now(), self.sealed(key, tokens));
        self.seller
            .write(move |t| {
                let mut store = t.store(id)?;
                store.credentials = sealed.clone();
                t.save_store(&store)?;
                t.release_store(id, now).map(drop)
            })
            .await
            .unwrap();
        self.handle.reconfigure(self.seller.id());
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    async fn sleep(&self, span: TimeDelta) {
        tokio::time::sleep(span.to_std().unwrap()).await;
    }

    fn faults(&self, change: impl FnOnce(&mut Faults)) {
        let mut faults = self.platform.faults();
        change(&mut faults);
        self.platform.set_faults(faults);
    }

    /// Records purchases of these units per model, all in one request.
    async fn purchase(&self, units: &[(u64, i64)]) {
        let event = |(n, quantity): &(u64, i64)| {
            self.events.set(self.events.get() + 1);
            let id = format!("e{}", self.events.get());
            let event = StockEvent {
                event_id: EventId::parse(&id).unwrap(),
                sku: Sku::parse(&format!("M-{n}")).unwrap(),
                kind: EventKind::Purchase,
                quantity: *quantity,
                warehouse: WarehouseCode::main(),
                to_warehouse: None,
                occurred_at: None,
                note: None,
            };
            NewEvent { hash: Sha256::digest(id).into(), event, may_create_sku: true, store: None }
        };
        let events = units.iter().map(event).collect();
        let recorded = self.db.record(RecordRequest { seller: self.seller.id(), now: self.now(), events, trace: None }).await.unwrap();
        assert!(recorded.results.iter().all(|result| matches!(result, EventResult::Accepted { .. })));
    }

    fn shown(&self, model: u64) -> i64 {
        self.platform.quantity(&SHOP.to_string(), &format!("1000/{model}"))
    }

    async fn pushes(&self) -> Vec<Record> {
        self.seller
            .read(|t| t.list_pushes(&PushFilter::default(), None, 10_000))
            .await
            .unwrap()
            .into_iter()
            .map(Push::into_record)
            .collect()
    }

    async fn states(&self) -> Vec<PushState> {
        self.pushes().await.into_iter().map(|push| push.state).collect()
    }

    async fn row(&self) -> Store {
        let id = self.store;
        self.seller.read(move |t| t.store(id)).await.unwrap()
    }
}

const FOUR_HOURS: i64 = 4 * 3600;

#[test]
fn an_increase_is_applied_by_reading_and_setting() {
    story(FOUR_HOURS, async |world| {
        world.purchase(&[(1, 5)]).await;
        world.sleep(TimeDelta::seconds(5)).await;
        assert_eq!(world.shown(1), SHOWN + 5);
        assert_eq!(world.states().await, [PushState::Confirmed]);
    });
}

#[test]
fn a_wrong_signature_holds_the_store_until_the_right_key_is_entered() {
    story(FOUR_HOURS, async |world| {
        let tokens = world.open_shop(FOUR_HOURS);
        world.enter_credentials("not the key", &tokens).await;
        world.purchase(&[(1, 5)]).await;
        world.sleep(TimeDelta::seconds(5)).await;
        let row = world.row().await;
        assert!(row.needs_reauthorisation);
        assert!(row.problem.as_ref().is_some_and(|why| why.contains("Wrong sign") && why.contains("partner_key")), "{:?}", row.problem);
        assert_eq!((world.states().await, world.shown(1)), (vec![PushState::Held], SHOWN));
        world.enter_credentials(KEY, &tokens).await;
        world.sleep(TimeDelta::seconds(5)).await;
        assert_eq!((world.states().await, world.shown(1)), (vec![PushState::Confirmed], SHOWN + 5));
        assert!(!world.row().await.needs_reauthorisation);
    });
}

#[test]
fn tokens_expire_in_the_middle_of_work_and_every_unit_still_arrives_once() {
    // The seller's own tokens have no known expiry: the first is found expired by a refusal; later ones expire within the
    // renewal's five-minute margin and are renewed in advance.
    story(600, async |world| {
        let (mut expected, first) = ([0; 6], world.row().await.credentials);
        for round in 0..40 {
            let units: Vec<(u64, i64)> = (1..=5).map(|n| (n, round % 4 + i64::try_from(n).unwrap())).collect();
            units.iter().for_each(|(n, quantity)| expected[usize::try_from(*n).unwrap()] += quantity);
            world.purchase(&units).await;
            world.sleep(TimeDelta::seconds(170)).await;
        }
        world.sleep(TimeDelta::minutes(1)).await;
        for n in 1..=5 {
            assert_eq!(world.shown(n), SHOWN + expected[usize::try_from(n).unwrap()], "model {n}");
        }
        assert!(world.states().await.iter().all(|state| *state == PushState::Confirmed));
        let row = world.row().await;
        assert!(!row.needs_reauthorisation && row.credentials != first, "the new tokens are stored");
    });
}

#[test]
fn one_failing_model_is_rejected_in_plain_words_and_the_rest_of_its_call_succeeds() {
    story(FOUR_HOURS, async |world| {
        world.faults(|faults| faults.reject_items = vec!["1000/3".into()]);
        world.purchase(&[(1, 1), (2, 2), (3, 3), (4, 4), (5, 5)]).await;
        world.sleep(TimeDelta::seconds(5)).await;
        assert_eq!([1, 2, 3, 4, 5].map(|n| world.shown(n) - SHOWN), [1, 2, 0, 4, 5]);
        let receipts = world.platform.receipts(0, 100);
        assert!(receipts.iter().all(|receipt| receipt.at_us == receipts[0].at_us), "they were sent in one call: {receipts:?}");
        let rejected: Vec<Record> = world.pushes().await.into_iter().filter(|push| push.state == PushState::Rejected).collect();
        let [rejected] = rejected.as_slice() else { panic!("{rejected:?}") };
        assert_eq!(rejected.sku, "M-3");
        assert_eq!(rejected.reason.as_deref(), Some("Shopee says: Can't edit this model."));
        assert!(rejected.next_step.as_ref().is_some_and(|step| step.contains("Seller Centre")), "{:?}", rejected.next_step);
    });
}

#[test]
fn a_refused_renewal_holds_pending_pushes_until_new_credentials_are_entered() {
    story(FOUR_HOURS, async |world| {
        world.purchase(&[(1, 1)]).await;
        world.sleep(TimeDelta::seconds(5)).await;
        world.platform.close_shopee_shop(SHOP);
        world.purchase(&[(1, 2), (2, 4)]).await;
        world.sleep(TimeDelta::minutes(1)).await;
        world.purchase(&[(1, 8)]).await;
        world.sleep(TimeDelta::minutes(1)).await;
        let row = world.row().await;
        assert!(row.needs_reauthorisation);
        assert!(row.problem.as_ref().is_some_and(|why| why.contains("refresh token") && why.contains("Sign in")), "{:?}", row.problem);
        assert_eq!([world.shown(1), world.shown(2)], [SHOWN + 1, SHOWN]);
        world.enter_credentials(KEY, &world.open_shop(FOUR_HOURS)).await;
        world.sleep(TimeDelta::seconds(10)).await;
        assert_eq!([world.shown(1), world.shown(2)], [SHOWN + 11, SHOWN + 4]);
        assert!(!world.states().await.contains(&PushState::Held));
    });
}

#[test]
fn lost_answers_throttling_and_errors_neither_lose_nor_duplicate_a_unit() {
    story(1800, async |world| {
        world.faults(|faults| {
            (faults.lose_answer, faults.error_after, faults.error_before) = (0.15, 0.1, 0.1);
            (faults.cut, faults.throttle) = (0.1, 0.1);
        });
        let mut expected = [0; 6];
        for round in 0..60_u64 {
            let (n, quantity) = (round % 5 + 1, i64::try_from(round % 7 + 1).unwrap());
            expected[usize::try_from(n).unwrap()] += quantity;
            world.purchase(&[(n, quantity)]).await;
            world.sleep(TimeDelta::seconds(37)).await;
        }
        world.platform.set_faults(Faults::default());
        world.sleep(TimeDelta::hours(1)).await;
        for n in 1..=5 {
            assert_eq!(world.shown(n), SHOWN + expected[usize::try_from(n).unwrap()], "model {n}");
        }
        assert!(world.platform.stats().faults.len() >= 5, "every kind of fault occurred: {:?}", world.platform.stats().faults);
    });
}

#[test]
fn a_sync_overwrites_an_item_in_one_call_and_never_exceeds_the_shops_rate_limit() {
    story(FOUR_HOURS, async |world| {
        world.faults(|faults| faults.rate_limit = Some(Rate { per_second: 3.0, burst: 3.0 }));
        world.purchase(&[(1, 7), (2, 7), (3, 7), (4, 7), (5, 7)]).await;
        world.sleep(TimeDelta::seconds(5)).await;
        let now = world.now();
        for _ in 0..20 {
            world.seller.write(move |t| t.start_run(RunKind::Manual, &RunFilter::default(), now)).await.unwrap();
            world.handle.reconfigure(world.seller.id());
            world.sleep(TimeDelta::milliseconds(100)).await;
        }
        world.sleep(TimeDelta::minutes(2)).await;
        assert_eq!([1, 2, 3, 4, 5].map(|n| world.shown(n)), [7; 5], "the targets, regardless of what was shown");
        assert_eq!(world.platform.stats().over_limit, 0);
    });
}
