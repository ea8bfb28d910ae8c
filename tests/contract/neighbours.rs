//! However much one seller asks for, others are served: writes take turns, readers keep nobody waiting who writes, and what
//! is deleted goes in small steps. In real time, because threads wait for each other here.
use crate::support::database::{Backend, TestDatabase};
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;
use stocktide::db::ledger::{EventResult, NewEvent, RecordRequest};
use stocktide::db::sellers::{Seller, create_seller, seller};
use stocktide::db::{self, Db, Error, removal};
use stocktide::domain::stock::{EventKind, StockEvent};
use stocktide::domain::{EventId, KeyId, SellerId, Sku, Timestamp, WarehouseCode};

fn now() -> Timestamp {
    Timestamp::from_millis(1_772_000_000_000)
}

/// Runs a test in real time on an SQLite database with these settings.
fn on_sqlite(settings: impl Fn(&mut db::Settings), test: impl AsyncFn(Db)) {
    let database = TestDatabase::fresh(Backend::Sqlite);
    let mut own = db::Settings::new(database.url.clone());
    settings(&mut own);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { test(Db::open(&own)).await });
}

async fn new_seller(db: &Db) -> SellerId {
    let id = SellerId::new(now());
    let row = Seller::new(id, "Ada", chrono_tz::UTC, now());
    db.write(move |conn| create_seller(conn, &row, KeyId::new(now()), &rand::random())).await.unwrap();
    id
}

fn purchases(seller: SellerId, of: &str, count: usize) -> RecordRequest {
    let event = |n: usize| StockEvent {
        event_id: EventId::parse(&format!("{of}-{n}")).unwrap(),
        sku: Sku::parse(&format!("S{n}")).unwrap(),
        kind: EventKind::Purchase,
        quantity: 1,
        warehouse: WarehouseCode::main(),
        to_warehouse: None,
        occurred_at: None,
        note: None,
    };
    RecordRequest {
        seller,
        now: now(),
        events: (0..count).map(|n| NewEvent { event: event(n), hash: [1; 32], may_create_sku: true, store: None }).collect(),
        trace: None,
    }
}

/// Occupies a connection with a read of this seller, or of nobody, until the sender is dropped.
async fn occupy(db: &Db, of: Option<SellerId>) -> Sender<()> {
    let (release, released) = channel::<()>();
    let (started, mut has_started) = tokio::sync::mpsc::channel(1);
    let db = db.clone();
    tokio::spawn(async move {
        let wait = move || {
            started.blocking_send(()).unwrap();
            released.recv().ok();
            Ok(())
        };
        match of {
            Some(seller) => db.seller(seller).read(move |_| wait()).await,
            None => db.read(move |_| wait()).await,
        }
    });
    has_started.recv().await.unwrap();
    release
}

#[test]
fn a_single_event_is_recorded_before_a_large_batch_that_came_earlier_is_finished() {
    on_sqlite(
        |_| (),
        async |db| {
            let [busy, other] = [new_seller(&db).await, new_seller(&db).await];
            let batches: Vec<_> = (0..4)
                .map(|n| {
                    let (db, request) = (db.clone(), purchases(busy, &format!("batch {n}"), 5_000));
                    tokio::spawn(async move { db.record(request).await })
                })
                .collect();
            tokio::task::yield_now().await;
            let single = db.record(purchases(other, "single", 1)).await.unwrap();
            assert!(matches!(single.results[..], [EventResult::Accepted { .. }]));
            assert!(batches.iter().all(|batch| !batch.is_finished()), "the single event waited for a whole batch");
            for batch in batches {
                let recorded = batch.await.unwrap().unwrap();
                assert_eq!(recorded.results.len(), 5_000);
                assert!(recorded.results.iter().all(|result| matches!(result, EventResult::Accepted { .. })));
            }
            // In parts or not, each event counts once.
            let repeated = db.record(purchases(busy, "batch 0", 5_000)).await.unwrap();
            assert!(repeated.results.iter().all(|result| matches!(result, EventResult::Duplicate { .. })));
            let level = db.seller(busy).read(|t| t.levels(&Sku::parse("S4999").unwrap())).await.unwrap();
            assert_eq!(level[&WarehouseCode::main()], 4);
        },
    );
}

#[test]
fn writes_do_not_wait_for_readers_even_if_those_occupy_all_connections() {
    on_sqlite(
        |settings| settings.connections = 2,
        async |db| {
            let ada = new_seller(&db).await;
            let _readers = [occupy(&db, None).await, occupy(&db, None).await];
            let written = async {
                db.record(purchases(ada, "e", 1)).await?;
                db.seller(ada).write(|t| t.sync_settings().map(drop)).await?;
                db.write(move |conn| seller(conn, ada).map(drop)).await
            };
            assert_eq!(tokio::time::timeout(Duration::from_secs(20), written).await.expect("no write waits"), Ok(()));
            let _third = new_seller(&db).await;
        },
    );
}

#[test]
fn a_seller_that_reads_a_lot_is_refused_and_keeps_nobody_else_from_reading() {
    on_sqlite(
        |settings| (settings.connections, settings.reads_per_seller) = (4, 2),
        async |db| {
            let [busy, other] = [new_seller(&db).await, new_seller(&db).await];
            let readers = [occupy(&db, Some(busy)).await, occupy(&db, Some(busy)).await];
            let read = async |of: SellerId| db.seller(of).read(|t| t.sync_settings().map(drop)).await;
            assert_eq!(read(busy).await, Err(Error::TooMuchAtOnce));
            assert_eq!(db.read_of(busy, |_| Ok(())).await, Err(Error::TooMuchAtOnce), "a stream waits like any other read");
            db.read(move |conn| seller(conn, busy)).await.unwrap();
            drop(readers);
            assert_eq!((read(busy).await, read(other).await), (Ok(()), Ok(())));
        },
    );
}

#[test]
fn sellers_that_read_a_lot_leave_connections_for_keys_and_readiness() {
    on_sqlite(
        |settings| (settings.connections, settings.reads_per_seller) = (4, 4),
        async |db| {
            let [one, other] = [new_seller(&db).await, new_seller(&db).await];
            let _readers = [occupy(&db, Some(one)).await, occupy(&db, Some(other)).await];
            let ready = tokio::time::timeout(Duration::from_secs(4), db.read(db::migrations)).await;
            assert!(ready.expect("it does not wait").is_ok());
            let third = tokio::time::timeout(Duration::from_secs(1), db.seller(one).read(|t| t.sync_settings().map(drop))).await;
            assert!(third.is_err(), "a third read of sellers waits");
        },
    );
}

#[test]
fn a_deleted_seller_is_gone_at_once_and_its_rows_in_steps_that_continue_after_a_restart() {
    for backend in Backend::wanted() {
        let database = TestDatabase::fresh(backend);
        let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let open = || Db::open(&db::Settings::new(database.url.clone()));
        let (ada, ben) = runtime().block_on(async {
            let db = open();
            let [ada, ben] = [new_seller(&db).await, new_seller(&db).await];
            for seller in [ada, ben] {
                db.record(purchases(seller, "e", 1_200)).await.unwrap();
            }
            db.write(move |conn| removal::mark_seller_deleted(conn, ada, now())).await.unwrap();
            assert_eq!(db.write(move |conn| removal::delete_seller_step(conn, ada)).await, Ok(false), "one step is not enough");
            // Gone for the operator, for its own requests and for its stock events, though rows are left.
            assert_eq!(db.read(move |conn| seller(conn, ada).map(drop)).await, Err(Error::NotFound));
            assert_eq!(db.seller(ada).write(|_| Ok(())).await, Err(Error::NotFound));
            let late = db.record(purchases(ada, "late", 1)).await.unwrap();
            assert!(matches!(late.results[..], [EventResult::Rejected { .. }]));
            (ada, ben)
        });
        runtime().block_on(async {
            let db = open();
            assert_eq!(db.read(removal::removals).await.unwrap().sellers, [ada]);
            stocktide::service::removal::finish(&db, now()).await.unwrap();
            assert_eq!(db.read(removal::removals).await.unwrap(), removal::Removals::default());
            for (id, skus) in [(ada, 0), (ben, 1_200)] {
                assert_eq!(db.seller(id).read(|t| t.skus(None, false, 10_000)).await.unwrap().len(), skus);
            }
        });
    }
}
