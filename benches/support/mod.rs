//! Shared by the benches: new databases, and sellers with stores on the simulated platform.
use diesel::Connection;
use diesel::connection::SimpleConnection;
use std::sync::Arc;
use stocktide::db::fault_injection::FaultInjection;
use stocktide::db::ledger::{Limits, NewEvent, RecordRequest};
use stocktide::db::listings::NewListing;
use stocktide::db::sellers::{Seller, create_seller};
use stocktide::db::stores::Store;
use stocktide::db::{self, DatabaseUrl, Db, Settings};
use stocktide::domain::allocation::Share;
use stocktide::domain::stock::{EventKind, StockEvent};
use stocktide::domain::{EventId, KeyId, SellerId, Sku, StoreId, Timestamp, WarehouseCode};

/// Whether this is `cargo bench` rather than a test run, which only checks that benches compile and start.
pub fn is_measuring() -> bool {
    std::env::args().any(|argument| argument == "--bench")
}

/// A database that is deleted on drop.
pub struct Database {
    pub url: DatabaseUrl,
    _dir: tempfile::TempDir,
    on_server: Option<(String, String)>,
}

impl Database {
    /// Migrated and empty: a file under the target folder, which is on a real disk, or a database on `server`.
    pub fn fresh(server: Option<&str>) -> Self {
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let (url, on_server) = match server {
            None => (format!("sqlite://{}", dir.path().join("bench.db").display()), None),
            Some(server) => {
                let name = format!("stocktide_bench_{}", uuid::Uuid::now_v7().simple());
                let mut admin = diesel::PgConnection::establish(server).expect("the PostgreSQL server is reachable");
                admin.batch_execute(&format!("CREATE DATABASE {name}")).unwrap();
                let (front, _) = server.rsplit_once('/').unwrap();
                (format!("{front}/{name}"), Some((server.to_owned(), name)))
            }
        };
        let url = DatabaseUrl::parse(&url).unwrap();
        db::migrate(&url).unwrap();
        Self { url, _dir: dir, on_server }
    }

    pub fn open(&self, fault_injection: Option<Arc<dyn FaultInjection>>) -> Db {
        Db::open(&Settings { fault_injection, ..Settings::new(self.url.clone()) })
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if let Some((server, name)) = &self.on_server
            && let Ok(mut admin) = diesel::PgConnection::establish(server)
        {
            admin.batch_execute(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).ok();
        }
    }
}

pub fn sku(n: usize) -> Sku {
    Sku::parse(&format!("SKU-{n:06}")).unwrap()
}

/// Creates a seller with incremental sync turned on, whose stores each list all SKUs.
pub async fn seller(db: &Db, stores: usize, skus: usize, now: Timestamp) -> (SellerId, Vec<StoreId>) {
    let id = SellerId::new(now);
    let row = Seller::new(id, "Ada", chrono_tz::UTC, now);
    db.write(move |conn| create_seller(conn, &row, KeyId::new(now), &rand::random())).await.unwrap();
    let listings: Vec<NewListing> =
        (0..skus).map(|n| NewListing { sku: sku(n), external_id: format!("variant-{n}"), extra: None, units: None, pass: None }).collect();
    let ids: Vec<StoreId> = (0..stores).map(|_| StoreId::new(now)).collect();
    let new_stores = ids.clone();
    db.seller(id)
        .write(move |t| {
            let mut settings = t.sync_settings()?;
            settings.auto_sync = true;
            t.save_sync_settings(&settings, now)?;
            for store in &new_stores {
                t.save_store(&store_row(*store, now))?;
                t.save_listings(*store, &listings, Limits::default(), now)?;
            }
            Ok(())
        })
        .await
        .unwrap();
    (id, ids)
}

fn store_row(id: StoreId, now: Timestamp) -> Store {
    Store {
        id,
        name: format!("shop {id}"),
        platform: "simulated".to_owned(),
        base_url: Some("http://platform".to_owned()),
        // High enough that the limit never matters.
        config: serde_json::json!({"external_store": id.to_string(), "rate_limit": {"per_second": 10_000.0, "burst": 100_000}}).to_string(),
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
        shop: None,
        write_refused: false,
        protect_unseen_sales: false,
        sales_named_at: None,
        has_multiples: false,
        repeats_skus: false,
        above: Default::default(),
        resumes_at: None,
        rehearsal: false,
        falls: Default::default(),
        restocks: Default::default(),
        unseen_sales_hours: stocktide::domain::unseen::DEFAULT_HOURS,
    }
}

/// One request with a purchase of each of these SKUs; `round` makes the event ids unique.
pub fn purchases(seller: SellerId, skus: impl Iterator<Item = usize>, round: &str, clock: &stocktide::clock::Clock) -> RecordRequest {
    let event = |n: usize| StockEvent {
        event_id: EventId::parse(&format!("{round}-{n}")).unwrap(),
        sku: sku(n),
        kind: EventKind::Purchase,
        quantity: 3,
        warehouse: WarehouseCode::main(),
        to_warehouse: None,
        occurred_at: None,
        note: None,
    };
    RecordRequest {
        seller,
        now: clock.now(),
        events: skus.map(|n| NewEvent { event: event(n), hash: rand::random(), may_create_sku: true, store: None }).collect(),
        trace: None,
    }
}
