//! Who runs, when, and what is done with the answer.
//!
//! [`node::Node`] runs on an arbiter of its own and keeps one [`seller::SellerSupervisor`] for each seller that has
//! something to do; that one holds the sync settings and keeps one [`store::StoreActor`] for each store. Sellers are
//! spread over the nodes of this process by their ids, so a seller's actors share one arbiter.
//!
//! Messages are hints: "there may be work", "settings have changed". Whoever gets one looks at the rows. So a message
//! that is lost, doubled or late costs a moment, never a push, and a restart takes the same path as every day. What
//! survives a restart is in the rows alone.
//!
//! Supervision: a panic ends an actor for good. Parents look after their children's addresses and start a new one;
//! its `started` finds what the old one had on its way. A node has no parent: the process ends with it, and whoever runs
//! the process starts it anew.
pub mod node;
pub mod seller;
pub mod store;
mod store_config;

use crate::clock::Clock;
use crate::db::ledger::Limits;
use crate::db::sealing::Sealer;
use crate::db::{Changed, Db, fleet::Retention};
use crate::domain::retry::RetryPolicy;
use crate::domain::{SellerId, Timestamp};
use crate::platforms::client::Client;
use crate::service::Service;
use crate::service::connection::Renewals;
use actix::{Addr, Arbiter};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Messages that a node's mailbox holds; beyond them hints are dropped and found by the next look at the rows.
pub const NODE_MAILBOX: usize = 8192;
/// Messages that a supervisor's or a store's mailbox holds.
pub const CHILD_MAILBOX: usize = 256;

/// How often it is looked whether all nodes run.
const LOOK_AT_NODES_EVERY: Duration = Duration::from_secs(1);

/// How actors behave.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How failed sends are repeated.
    pub retry: RetryPolicy,
    /// Calls to one store on their way at once.
    pub calls_under_way: usize,
    /// A seller without work is let go after this long.
    pub idle_stop: Duration,
    /// How often the rows are searched for work that no hint told of, and actors looked after.
    pub poll_every: Duration,
    /// How often what is older than its retention is removed, by the first node of a process.
    pub prune_every: Duration,
    /// How long finished things are kept.
    pub retention: Retention,
    /// How long a graceful stop waits for what is on its way.
    pub stop_within: Duration,
    /// The draws for backoff, from 0 to 1: chance, but for simulations, which want the same chances again.
    pub draw: fn() -> f64,
}

impl Default for Settings {
    fn default() -> Self {
        const DAY: Duration = Duration::from_secs(24 * 3600);
        Self {
            retry: RetryPolicy::default(),
            calls_under_way: 4,
            idle_stop: Duration::from_secs(300),
            poll_every: Duration::from_secs(10),
            prune_every: Duration::from_secs(60),
            retention: Retention { events: 90 * DAY, pushes: 30 * DAY },
            stop_within: Duration::from_secs(30),
            draw: rand::random,
        }
    }
}

/// What all actors of a process share.
pub struct Deps {
    /// Rows.
    pub db: Db,
    /// Outbound calls.
    pub client: Client,
    /// Now.
    pub clock: Clock,
    /// Opens stores' credentials.
    pub sealer: Arc<Sealer>,
    /// Renews stores' tokens.
    pub renewals: Arc<Renewals>,
    /// How actors behave.
    pub settings: Settings,
    /// What runs.
    pub running: Running,
}

impl Deps {
    /// All of it, with nothing running yet.
    pub fn new(db: Db, client: Client, clock: Clock, sealer: Arc<Sealer>, settings: Settings) -> Self {
        let renewals = Arc::new(Renewals::new(client.clone(), Arc::clone(&sealer), clock.clone()));
        Self { db, client, clock, sealer, renewals, settings, running: Running::default() }
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

/// Counts of running actors and of confirmed pushes.
#[derive(Debug, Default)]
pub struct Running {
    sellers: AtomicUsize,
    stores: AtomicUsize,
    confirmed: AtomicUsize,
}

/// What runs on this node.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct NodeStatus {
    /// Sellers with a running supervisor.
    pub sellers: usize,
    /// Stores with a running actor.
    pub stores: usize,
    /// Pushes confirmed since the start.
    pub confirmed: usize,
}

fn node_of(nodes: &[Addr<node::Node>], seller: SellerId) -> Option<&Addr<node::Node>> {
    nodes.get(node::place(seller, nodes.len()))
}

fn hint(nodes: &[Addr<node::Node>], hint: node::Hint) {
    if let Some(node) = node_of(nodes, hint.seller) {
        // Full or gone: the next look at the rows finds it.
        node.try_send(hint).ok();
    }
}

/// The way to the actors. Cheap to clone; messages are hints, the rows are the truth.
#[derive(Clone)]
pub struct Handle {
    nodes: Arc<[Addr<node::Node>]>,
    deps: Arc<Deps>,
}

impl Handle {
    /// Starts `arbiters` nodes, each on a thread of its own; with 0, one on the current arbiter (for tests).
    pub fn start(deps: Arc<Deps>, arbiters: usize) -> Self {
        let nodes: Arc<[Addr<node::Node>]> = if arbiters == 0 {
            vec![node::Node::start_here(Arc::clone(&deps), 0, 1)].into()
        } else {
            (0..arbiters).map(|index| node::Node::start_on(&Arbiter::new().handle(), Arc::clone(&deps), index, arbiters)).collect()
        };
        // The hook has the addresses alone: with the rest of the handle it would keep the database that keeps it.
        let to = Arc::clone(&nodes);
        deps.db.on_change(Arc::new(move |seller, changed| {
            hint(&to, node::Hint { seller, reconfigure: changed == Changed::Configuration });
        }));
        Self { nodes, deps }
    }

    fn node(&self, seller: SellerId) -> Option<&Addr<node::Node>> {
        node_of(&self.nodes, seller)
    }

    /// There may be new work for this seller.
    pub fn hint(&self, seller: SellerId) {
        hint(&self.nodes, node::Hint { seller, reconfigure: false });
    }

    /// Its settings, rules, stores or credentials have changed. The actors go by the rows; this only makes them look.
    pub fn reconfigure(&self, seller: SellerId) {
        hint(&self.nodes, node::Hint { seller, reconfigure: true });
    }

    /// It was suspended or deleted: ends its actors, after what they have on its way.
    pub async fn forget(&self, seller: SellerId) {
        if let Some(node) = self.node(seller) {
            node.send(node::Forget { seller }).await.ok();
        }
    }

    /// The use cases on the same rows, platforms and tokens as these actors, which they ask to forget a seller.
    pub fn service(&self, limits: Limits, allow_private_targets: bool) -> Service {
        let Deps { db, client, clock, sealer, renewals, .. } = &*self.deps;
        let to_forget = self.clone();
        Service {
            db: db.clone(),
            clock: clock.clone(),
            sealer: Arc::clone(sealer),
            client: client.clone(),
            renewals: Arc::clone(renewals),
            limits,
            allow_private_targets,
            forget: Arc::new(move |seller| {
                let handle = to_forget.clone();
                Box::pin(async move { handle.forget(seller).await })
            }),
        }
    }

    /// What runs here.
    #[expect(clippy::unused_async, reason = "more nodes than this process's will be asked one day")]
    pub async fn status(&self) -> NodeStatus {
        let running = &self.deps.running;
        NodeStatus {
            sellers: running.sellers.load(Ordering::Relaxed),
            stores: running.stores.load(Ordering::Relaxed),
            confirmed: running.confirmed.load(Ordering::Relaxed),
        }
    }

    /// Returns once a node has ended, which only a panic or [`Self::shut_down`] does: its sellers' pushes stand still then.
    pub async fn node_ended(&self) {
        while self.nodes.iter().all(Addr::connected) {
            tokio::time::sleep(LOOK_AT_NODES_EVERY).await;
        }
    }

    /// Ends all actors: nothing new is sent, what is on its way is waited for.
    pub async fn shut_down(&self) {
        let all = futures_util::future::join_all(self.nodes.iter().map(|node| node.send(node::ShutDown)));
        if tokio::time::timeout(self.deps.settings.stop_within, all).await.is_err() {
            tracing::warn!("not everything on its way came back in time; the next start finds out what became of it");
        }
    }
}
