//! How many messages per second does one store's actor handle, and how many pushes per second does it deliver to a
//! platform that answers immediately?
//!
//! Baselines: for messages, the round trip of an actix actor that does nothing; for pushes, the same calls sent by the
//! same client without actor and database, so that the ratio is the price of "in the database before it is sent".
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a failing bench should stop at once")]

#[path = "support/backends.rs"]
mod backends;
mod support;

use actix::prelude::*;
use backends::backends;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use stocktide::actors::store::{Hint, IsIdle, RunStarted, Stop, StoreActor};
use stocktide::actors::store_config::StoreConfig;
use stocktide::actors::{Deps, Settings};
use stocktide::clock::Clock;
use stocktide::db::Db;
use stocktide::db::sealing::Sealer;
use stocktide::domain::{SellerId, StoreId};
use stocktide::platforms::call::{Action, Call, CallItem, StoreConnection};
use stocktide::platforms::client::Client;
use stocktide::platforms::limits::Limits;
use stocktide::simulator::Simulator;
use stocktide::simulator::in_process::InProcess;
use support::{Database, is_measuring, purchases};
use tokio::time::Instant;

const MESSAGES: u32 = 200_000;
/// Concurrent senders, each of which waits for every answer.
const SENDERS: u32 = 64;
const LISTINGS: usize = 20_000;
/// Items in one call: the simulated platform's default.
const ITEMS: usize = 100;
const ROUNDS: usize = 3;

/// Receives messages and does nothing: the baseline, and a stand-in for the supervisor.
struct Bare;

impl Actor for Bare {
    type Context = Context<Self>;
}

#[derive(Message)]
#[rtype(result = "()")]
struct Ping;

impl Handler<Ping> for Bare {
    type Result = ();
    fn handle(&mut self, _: Ping, _: &mut Self::Context) {}
}

impl Handler<RunStarted> for Bare {
    type Result = ();
    fn handle(&mut self, _: RunStarted, _: &mut Self::Context) {}
}

/// One seller with one store, and a simulated platform in this process.
struct Stage {
    deps: Arc<Deps>,
    simulator: Simulator,
    seller: SellerId,
    store: StoreId,
}

fn main() {
    if !is_measuring() {
        return;
    }
    println!("store_actor: messages per second to one store's actor, and pushes per second through it");
    println!(
        "{MESSAGES} messages from {SENDERS} senders that wait for each answer; {LISTINGS} pushes, {ITEMS} per call; median of {ROUNDS} rounds"
    );
    for server in backends() {
        actix::System::new().block_on(measure(server.as_deref()));
    }
}

async fn measure(server: Option<&str>) {
    let database = Database::fresh(server);
    let name = server.map_or("SQLite", |_| "PostgreSQL");
    let stage = stage(database.open(None)).await;
    let (store, bare) = (stage.launch().await, Bare.start());
    // Wait until the pushes caused by the setup are done and nothing is due.
    while !store.send(IsIdle(Duration::from_secs(1))).await.unwrap() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let pings = median(ROUNDS, || round_trips(&bare, || Ping)).await;
    let questions = median(ROUNDS, || round_trips(&store, || IsIdle(Duration::from_secs(1)))).await;
    let hints = median(ROUNDS, || round_trips(&store, || Hint)).await;
    println!("{name:>10}: bare actor {pings:.0}/s");
    println!("{name:>10}: store's actor, a question (IsIdle) {questions:.0}/s, ratio 1 : {:.1}", pings / questions);
    println!("{name:>10}: store's actor, Hint without work (several hints share one query) {hints:.0}/s, ratio 1 : {:.1}", pings / hints);
    store.send(Stop).await.unwrap();

    let (mut pushed, mut called) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        pushed.push(stage.pushes(round).await);
        called.push(stage.bare_calls().await);
    }
    let (pushed, called) = (middle(pushed), middle(called));
    println!("{name:>10}: pushes confirmed {pushed:.0}/s, bare calls {called:.0} items/s, ratio 1 : {:.1}", called / pushed);
}

async fn stage(db: Db) -> Stage {
    let clock = Clock::system();
    let simulator = Simulator::new(7);
    let transport = Arc::new(InProcess::new(simulator.clone(), clock.clone()));
    let client = Client::new(transport, Arc::new(Limits::default()), Duration::from_secs(10), clock.clone());
    let sealer = Arc::new(Sealer::from_base64("MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=").unwrap());
    let (seller, stores) = support::seller(&db, 1, LISTINGS, clock.now()).await;
    let deps = Deps::new(db, client, clock, sealer, Settings::default());
    Stage { deps: Arc::new(deps), simulator, seller, store: stores.first().copied().unwrap() }
}

impl Stage {
    async fn launch(&self) -> Addr<StoreActor> {
        let (id, db) = (self.store, self.deps.db.seller(self.seller));
        let (store, settings) = db.read(move |t| Ok((t.store(id)?, t.sync_settings()?))).await.unwrap();
        let config = Arc::new(StoreConfig::new(self.seller, store, settings, &self.deps.sealer));
        StoreActor::launch(Arc::clone(&self.deps), db, config, Bare.start().recipient())
    }

    /// Pushes per second, from the actor's start with an increase queued for every listing to the last confirmation.
    async fn pushes(&self, round: usize) -> f64 {
        for at in (0..LISTINGS).step_by(5_000) {
            let request = purchases(self.seller, at..at + 5_000, &format!("round-{round}"), &self.deps.clock);
            self.deps.db.record(request).await.unwrap();
        }
        let before = self.simulator.stats().items;
        let began = Instant::now();
        let store = self.launch().await;
        while !store.send(IsIdle(Duration::from_secs(1))).await.unwrap() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let rate = per_second(LISTINGS, began);
        assert_eq!(self.simulator.stats().items - before, u64::try_from(LISTINGS).unwrap());
        store.send(Stop).await.unwrap();
        rate
    }

    /// Items per second of the same calls by the same client, with the actor's concurrency.
    async fn bare_calls(&self) -> f64 {
        let connection = StoreConnection {
            store_id: self.store,
            platform: "simulated".to_owned(),
            base_url: Some("http://platform".to_owned()),
            config: serde_json::json!({"external_store": "bare", "rate_limit": {"per_second": 10_000.0, "burst": 100_000}})
                .as_object()
                .unwrap()
                .clone(),
            credentials: BTreeMap::new(),
        };
        let item = |n: usize| CallItem { external_id: format!("variant-{n}"), extra: BTreeMap::new(), quantity: 3, expected: None };
        let lanes = self.deps.settings.calls_under_way;
        let began = Instant::now();
        let lane = |lane: usize| {
            let connection = &connection;
            async move {
                for at in (0..LISTINGS).step_by(ITEMS).skip(lane).step_by(lanes) {
                    let key = Some(uuid::Uuid::now_v7().to_string());
                    let call = Call { action: Action::Adjust, items: (at..at + ITEMS).map(item).collect(), idempotency_key: key };
                    let permit = self.deps.client.permit(connection, &call).await;
                    assert!(self.deps.client.send(connection, &call, permit).await.answered);
                }
            }
        };
        futures_util::future::join_all((0..lanes).map(lane)).await;
        per_second(LISTINGS, began)
    }
}

async fn round_trips<A, M>(to: &Addr<A>, message: impl Fn() -> M) -> f64
where
    A: Actor + Handler<M>,
    A::Context: actix::dev::ToEnvelope<A, M>,
    M: Message + Send + 'static,
    M::Result: Send,
{
    let began = Instant::now();
    let sender = || async {
        for _ in 0..MESSAGES / SENDERS {
            to.send(message()).await.unwrap();
        }
    };
    futures_util::future::join_all((0..SENDERS).map(|_| sender())).await;
    f64::from(MESSAGES / SENDERS * SENDERS) / began.elapsed().as_secs_f64()
}

#[expect(clippy::cast_precision_loss, reason = "thousands")]
fn per_second(count: usize, began: Instant) -> f64 {
    count as f64 / began.elapsed().as_secs_f64()
}

async fn median<F: Future<Output = f64>>(rounds: usize, measure: impl Fn() -> F) -> f64 {
    let mut rates = Vec::new();
    for _ in 0..rounds {
        rates.push(measure().await);
    }
    middle(rates)
}

fn middle(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates.get(rates.len() / 2).copied().unwrap()
}
