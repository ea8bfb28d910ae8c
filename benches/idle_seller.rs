//! How much memory does an idle seller with three stores use?
//!
//! Measured as the growth of the process's resident memory (`/proc/self/statm`, so only on Linux) from one wave of
//! sellers to the next, once their actors are running and have found no work. The first wave also pays for one-time costs
//! (pools, caches, the allocator's reserve), so the second wave is the result. Only on SQLite: the actors are the same on
//! PostgreSQL, and a second run in the same process would reuse memory that the first one freed. Baseline: the same
//! number of bare actix actors, four per seller. A seller without work for `idle_stop` has no actors at all.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a failing bench should stop at once")]

mod support;

use actix::{Actor, Addr, Context};
use std::sync::Arc;
use std::time::Duration;
use stocktide::actors::{Deps, Handle, Settings};
use stocktide::clock::Clock;
use stocktide::db::Db;
use stocktide::db::sealing::Sealer;
use stocktide::domain::SellerId;
use stocktide::platforms::client::Client;
use stocktide::platforms::limits::Limits;
use stocktide::simulator::Simulator;
use stocktide::simulator::in_process::InProcess;
use support::{Database, is_measuring, purchases};

const SELLERS: usize = 2_000;
const STORES: usize = 3;
/// Listings per store; they are rows in the database and should cost an idle seller no memory.
const SKUS: usize = 5;
const SETTLED_AFTER: Duration = Duration::from_secs(3);

/// An actor without state that does nothing.
struct Bare;

impl Actor for Bare {
    type Context = Context<Self>;
}

fn main() {
    if !is_measuring() {
        return;
    }
    if resident_bytes().is_none() {
        println!("skipped: this system has no /proc/self/statm");
        return;
    }
    println!("idle_seller: resident memory of an idle seller with {STORES} stores, in bytes");
    println!("waves of {SELLERS} sellers, {SKUS} listings per store, one arbiter");
    actix::System::new().block_on(measure());
}

/// Assumes pages of 4 KiB, as on every machine where this is likely to run.
fn resident_bytes() -> Option<usize> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    text.split_whitespace().nth(1)?.parse::<usize>().ok().map(|pages| pages * 4096)
}

async fn measure() {
    // Comes first: later, the bare actors would reuse freed memory.
    let (bare, _bare_actors) = bare_actors().await;
    let database = Database::fresh(None);
    let (db, clock) = (database.open(None), Clock::system());
    let handle = start(&db, &clock);
    let mut waves = vec![Vec::new(), Vec::new()];
    for wave in &mut waves {
        for _ in 0..SELLERS {
            let id = support::seller(&db, STORES, SKUS, clock.now()).await.0;
            wave.push(id);
        }
    }
    let mut before = resident_bytes().unwrap();
    let mut growth = Vec::new();
    for (number, wave) in waves.iter().enumerate() {
        wake(&handle, &db, wave, (number + 1) * SELLERS).await;
        let after = resident_bytes().unwrap();
        growth.push(after.saturating_sub(before) / SELLERS);
        before = after;
    }
    let (first, second) = (growth.first().copied().unwrap(), growth.get(1).copied().unwrap());
    #[expect(clippy::cast_precision_loss, reason = "some kilobytes")]
    let ratio = second as f64 / bare.max(1) as f64;
    println!("{second} B per seller (first wave {first} B), bare actors {bare} B, ratio {ratio:.1} : 1");
    // The actors are still running: an event for one seller reaches its stores.
    let seller = waves.first().and_then(|wave| wave.first()).copied().unwrap();
    db.record(purchases(seller, 0..1, "e", &clock)).await.unwrap();
    while handle.status().await.confirmed < STORES {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    handle.shut_down().await;
}

fn start(db: &Db, clock: &Clock) -> Handle {
    let transport = Arc::new(InProcess::new(Simulator::new(7), clock.clone()));
    let client = Client::new(transport, Arc::new(Limits::default()), Duration::from_secs(10), clock.clone());
    let sealer = Sealer::from_base64("MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=").unwrap();
    Handle::start(Arc::new(Deps::new(db.clone(), client, clock.clone(), Arc::new(sealer), Settings::default())), 0)
}

/// Starts the actors of these sellers and waits until `all` are running and have checked the database for work. Starts
/// them in small groups, each after the writes of the previous one, so that none finds the write lane full and retries.
async fn wake(handle: &Handle, db: &Db, sellers: &[SellerId], all: usize) {
    let already = all - sellers.len();
    for (number, some) in sellers.chunks(100).enumerate() {
        some.iter().for_each(|seller| handle.hint(*seller));
        while handle.status().await.stores < STORES * (already + number * 100 + some.len()) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        flush_writes(db, some).await;
    }
    tokio::time::sleep(SETTLED_AFTER).await;
    flush_writes(db, sellers).await;
}

/// Waits for all queued writes of a seller's lane: a lane processes them in order.
async fn flush_writes(db: &Db, sellers: &[SellerId]) {
    let seller = sellers.last().copied().unwrap();
    db.seller(seller).write(|_| Ok(())).await.unwrap();
}

/// Bytes per seller of as many bare actors as a seller has: one supervisor and its stores.
async fn bare_actors() -> (usize, Vec<Addr<Bare>>) {
    let before = resident_bytes().unwrap();
    let actors: Vec<Addr<Bare>> = (0..SELLERS * (1 + STORES)).map(|_| Bare.start()).collect();
    tokio::time::sleep(SETTLED_AFTER).await;
    let growth = resident_bytes().unwrap().saturating_sub(before);
    assert!(actors.iter().all(Addr::connected));
    (growth / SELLERS, actors)
}
