//! How many stock events per second does the ledger record when every event also writes three pushes, and how does that
//! compare with inserting the same rows without the ledger?
//!
//! Baseline: the rows that the ledger has written (event, level, pushes) are read back, the tables are emptied, and the
//! same rows are inserted over a bare connection, up to 1,000 rows per statement and 10,000 rows per commit, without
//! reading anything.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a failing bench should stop at once")]

#[path = "support/backends.rs"]
mod backends;
mod support;

use backends::backends;
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::{PgConnection, SqliteConnection};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use stocktide::clock::Clock;
use stocktide::db::ledger::{EventResult, RecordRequest};
use stocktide::db::schema::{pushes, stock_events, stock_levels};
use stocktide::db::{DatabaseUrl, Db};
use stocktide::domain::SellerId;
use support::{Database, is_measuring, purchases};

const SELLERS: usize = 10;
const SKUS: usize = 1_000;
const STORES: usize = 3;
const EVENTS: usize = SELLERS * SKUS;
const ROUNDS: usize = 3;
/// Concurrent clients, and events per request.
const SHAPES: [(usize, usize); 3] = [(256, 1), (32, 50), (8, 1_000)];

#[derive(Queryable, Insertable)]
#[diesel(table_name = stock_events, treat_none_as_default_value = false)]
struct EventRow {
    seller_id: Vec<u8>,
    event_id: String,
    body_hash: Vec<u8>,
    sku: String,
    kind: String,
    quantity: i64,
    warehouse: String,
    to_warehouse: Option<String>,
    occurred_at: Option<i64>,
    note: Option<String>,
    accepted_at: i64,
    in_count: Option<i16>,
    store_id: Option<Vec<u8>>,
}

#[derive(Queryable, Insertable)]
#[diesel(table_name = stock_levels, treat_none_as_default_value = false)]
struct LevelRow {
    seller_id: Vec<u8>,
    sku: String,
    warehouse: String,
    available: i64,
    counted_at: Option<i64>,
}

#[derive(Queryable, Insertable)]
#[diesel(table_name = pushes, treat_none_as_default_value = false)]
struct PushRow {
    seller_id: Vec<u8>,
    id: Vec<u8>,
    store_id: Vec<u8>,
    listing_id: Vec<u8>,
    sku: String,
    external_id: String,
    extra: Option<String>,
    kind: i16,
    quantity: Option<i64>,
    state: i16,
    attempts: i32,
    reason: Option<String>,
    next_step: Option<String>,
    raw_answer: Option<String>,
    created_at: i64,
    updated_at: i64,
    due_at: Option<i64>,
    confirmed_at: Option<i64>,
    call_id: Option<Vec<u8>>,
    base: Option<i64>,
    resolution: Option<i16>,
    failing_since: Option<i64>,
    batch_limit: Option<i32>,
    cancel_requested: bool,
    run_id: Option<Vec<u8>>,
    in_doubt: bool,
    contained: bool,
    cause: Option<String>,
    shown_before: Option<i64>,
    unseen: Option<i64>,
    replaced: Option<String>,
    undo: Option<String>,
}

fn main() {
    if !is_measuring() {
        return;
    }
    println!("ledger: stock events per second, each with {STORES} pushes, compared with bare inserts of the same rows");
    println!("{EVENTS} events of {SELLERS} sellers, each for a different SKU; median of {ROUNDS} rounds on new databases");
    for server in backends() {
        let name = server.as_ref().map_or("SQLite", |_| "PostgreSQL");
        for (clients, batch) in SHAPES {
            let mut rounds: Vec<(f64, f64)> = (0..ROUNDS).map(|_| round(server.as_deref(), clients, batch)).collect();
            rounds.sort_by(|a, b| (a.0 / a.1).total_cmp(&(b.0 / b.1)));
            let (ledger, bare) = rounds.get(ROUNDS / 2).copied().unwrap();
            println!(
                "{name:>10}, {clients:>3} clients with {batch:>4} events per request: ledger {ledger:>7.0}/s, bare {bare:>7.0}/s, ratio 1 : {:.1}",
                bare / ledger
            );
        }
    }
}

/// Events per second through the ledger, and by bare inserts.
fn round(server: Option<&str>, clients: usize, batch: usize) -> (f64, f64) {
    let database = Database::fresh(server);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let ledger = runtime.block_on(async {
        let (db, clock) = (database.open(None), Clock::system());
        let mut sellers = Vec::new();
        for _ in 0..SELLERS {
            sellers.push(support::seller(&db, STORES, SKUS, clock.now()).await.0);
        }
        through_the_ledger(&db, requests(&sellers, batch, &clock), clients).await
    });
    drop(runtime);
    (ledger, bare(&database.url))
}

/// Every SKU of every seller once, alternating between sellers.
fn requests(sellers: &[SellerId], batch: usize, clock: &Clock) -> VecDeque<RecordRequest> {
    let starts = (0..SKUS).step_by(batch);
    starts.flat_map(|at| sellers.iter().map(move |seller| purchases(*seller, at..(at + batch).min(SKUS), "e", clock))).collect()
}

async fn through_the_ledger(db: &Db, requests: VecDeque<RecordRequest>, clients: usize) -> f64 {
    let waiting = Arc::new(Mutex::new(requests));
    let began = tokio::time::Instant::now();
    let clients: Vec<_> = (0..clients)
        .map(|_| {
            let (db, waiting) = (db.clone(), Arc::clone(&waiting));
            tokio::spawn(async move {
                let mut accepted = 0;
                loop {
                    let Some(request) = waiting.lock().unwrap().pop_front() else { return accepted };
                    let recorded = db.record(request).await.unwrap();
                    accepted += recorded.results.iter().filter(|result| matches!(result, EventResult::Accepted { .. })).count();
                }
            })
        })
        .collect();
    let mut accepted = 0;
    for client in clients {
        accepted += client.await.unwrap();
    }
    assert_eq!(accepted, EVENTS);
    per_second(began)
}

#[expect(clippy::cast_precision_loss, reason = "ten thousand is exact")]
fn per_second(began: tokio::time::Instant) -> f64 {
    EVENTS as f64 / began.elapsed().as_secs_f64()
}

/// One diesel body for both backends, as in the library.
macro_rules! insert_again {
    ($conn:expr, $empty:expr) => {{
        let conn = $conn;
        let events: Vec<EventRow> = stock_events::table.load(conn).unwrap();
        let levels: Vec<LevelRow> = stock_levels::table.load(conn).unwrap();
        let pushed: Vec<PushRow> = pushes::table.load(conn).unwrap();
        assert_eq!((events.len(), levels.len(), pushed.len()), (EVENTS, EVENTS, STORES * EVENTS));
        conn.batch_execute($empty).unwrap();
        let began = tokio::time::Instant::now();
        let groups = events.chunks(2_000).zip(levels.chunks(2_000)).zip(pushed.chunks(2_000 * STORES));
        for ((events, levels), pushed) in groups {
            conn.transaction(|conn| {
                for rows in events.chunks(1_000) {
                    diesel::insert_into(stock_events::table).values(rows).execute(conn)?;
                }
                for rows in levels.chunks(1_000) {
                    diesel::insert_into(stock_levels::table).values(rows).execute(conn)?;
                }
                for rows in pushed.chunks(1_000) {
                    diesel::insert_into(pushes::table).values(rows).execute(conn)?;
                }
                diesel::QueryResult::Ok(())
            })
            .unwrap();
        }
        per_second(began)
    }};
}

fn bare(url: &DatabaseUrl) -> f64 {
    match url {
        DatabaseUrl::Sqlite(path) => {
            let conn = &mut SqliteConnection::establish(path).unwrap();
            // The same settings as the service's connections.
            conn.batch_execute(
                "PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; \
                 PRAGMA temp_store = MEMORY; PRAGMA cache_size = -65536; PRAGMA wal_autocheckpoint = 4000;",
            )
            .unwrap();
            insert_again!(conn, "DELETE FROM stock_events; DELETE FROM stock_levels; DELETE FROM pushes;")
        }
        DatabaseUrl::Postgres(server) => {
            let conn = &mut PgConnection::establish(&server.url).unwrap();
            insert_again!(conn, "TRUNCATE stock_events, stock_levels, pushes")
        }
    }
}
