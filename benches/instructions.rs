//! The work whose instructions `benches/instructions.sh` counts: intake and delivery on SQLite, in one thread and in virtual time,
//! so that every run does the same. A count holds on a busy machine, too, where times do not.
//!
//! Arguments: the path and how many events or listings. An in-process platform answers; there is no HTTP on either side.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failing bench should stop at once")]

mod support;

use futures_util::future::BoxFuture;
use std::sync::Arc;
use std::time::Duration;
use stocktide::actors::{Deps, Handle, Settings};
use stocktide::clock::Clock;
use stocktide::db::fault_injection::FaultInjection;
use stocktide::db::runs::{RunFilter, RunKind};
use stocktide::db::sealing::Sealer;
use stocktide::db::{self, Db};
use stocktide::domain::SellerId;
use stocktide::platforms::client::Client;
use stocktide::platforms::limits::Limits;
use stocktide::simulator::Simulator;
use stocktide::simulator::in_process::InProcess;
use support::{Database, is_measuring, purchases};

const SKUS: usize = 500;
const STORES: usize = 3;
const BATCH: usize = 100;

/// Work on the database runs on the caller's thread, and nothing fails.
struct OnThisThread;

impl FaultInjection for OnThisThread {
    fn before(&self) -> BoxFuture<'static, db::Result<()>> {
        Box::pin(std::future::ready(Ok(())))
    }
    fn after(&self) -> BoxFuture<'static, db::Result<()>> {
        self.before()
    }
}

/// A seller, and the actors that deliver.
struct Stage {
    _database: Database,
    db: Db,
    clock: Clock,
    seller: SellerId,
    handle: Handle,
}

impl Stage {
    async fn new(stores: usize) -> Self {
        let database = Database::fresh(None);
        let (db, clock) = (database.open(Some(Arc::new(OnThisThread))), Clock::starting_at("2026-03-02T12:00:00Z".parse().unwrap()));
        let transport = Arc::new(InProcess::new(Simulator::new(7), clock.clone()));
        let client = Client::new(transport, Arc::new(Limits::default()), Duration::from_secs(10), clock.clone());
        let sealer = Arc::new(Sealer::from_base64("MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=").unwrap());
        let (seller, _) = support::seller(&db, stores, SKUS, clock.now()).await;
        let deps = Deps::new(db.clone(), client, clock.clone(), sealer, Settings::default());
        let handle = Handle::start(Arc::new(deps), 0);
        Self { _database: database, db, clock, seller, handle }
    }

    /// Waits until so many pushes are confirmed.
    async fn confirmed(&self, pushes: usize) {
        while self.handle.status().await.confirmed < pushes {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Increases one after the other, each delivered to all stores before the next is recorded.
    async fn lone(&self, events: usize) {
        for n in 0..events {
            self.db.record(purchases(self.seller, n % SKUS..n % SKUS + 1, &format!("e{n}"), &self.clock)).await.unwrap();
            self.confirmed((n + 1) * STORES).await;
        }
    }

    /// Increases in requests of [`BATCH`], and their delivery.
    async fn batches(&self, events: usize) {
        for from in (0..events).step_by(BATCH) {
            let skus = (from..from + BATCH).map(|n| n % SKUS);
            self.db.record(purchases(self.seller, skus, &format!("e{from}"), &self.clock)).await.unwrap();
            self.confirmed((from + BATCH) * STORES).await;
        }
    }

    /// Overwrites of all [`SKUS`] listings, one after the other.
    async fn overwrites(&self, listings: usize) {
        for done in (0..listings).step_by(SKUS) {
            let now = self.clock.now();
            self.db.seller(self.seller).write(move |t| t.start_run(RunKind::Manual, &RunFilter::default(), now)).await.unwrap();
            self.confirmed(done + SKUS).await;
        }
    }
}

async fn run(path: &str, count: usize) {
    let stage = Stage::new(if path == "overwrites" { 1 } else { STORES }).await;
    match path {
        "lone" => stage.lone(count).await,
        "batches" => stage.batches(count).await,
        "overwrites" => stage.overwrites(count).await,
        other => panic!("there is no path {other}"),
    }
    stage.handle.shut_down().await;
}

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with("--"));
    let path = arguments.next().unwrap_or_else(|| "lone".to_owned());
    let count = arguments.next().map_or(if is_measuring() { 100 } else { 2 }, |count| count.parse().expect("a number"));
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    actix::System::with_tokio_rt(runtime).block_on(run(&path, count));
}
