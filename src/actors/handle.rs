//! How the rest of the process reaches the actors.
use super::deps::Deps;
use super::node::{Asked, Forget, Hint, Node, ShutDown, place};
use crate::db::Changed;
use crate::db::ledger::Limits;
use crate::db::places::Places;
use crate::domain::{SellerId, StoreId};
use crate::service::{OUTBOUND_AT_ONCE, Service};
use actix::{Addr, Arbiter};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How often to check that all nodes are alive.
const CHECK_NODES_EVERY: Duration = Duration::from_secs(1);

/// How long a process that ends waits for its apps' calls to be written down.
const SETTLE_WITHIN: Duration = Duration::from_secs(5);

/// What is running in this process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct NodeStatus {
    /// Sellers with a running supervisor.
    pub sellers: usize,
    /// Stores with a running actor.
    pub stores: usize,
    /// Pushes confirmed since the start.
    pub confirmed: usize,
}

fn node_of(nodes: &[Addr<Node>], seller: SellerId) -> Option<&Addr<Node>> {
    nodes.get(place(seller, nodes.len()))
}

fn send_hint(nodes: &[Addr<Node>], hint: Hint) {
    if let Some(node) = node_of(nodes, hint.seller) {
        // If the mailbox is full or the node is gone, the next look at the rows finds the work.
        node.try_send(hint).ok();
    }
}

/// Sends messages to the actors of this process. Cheap to clone.
#[derive(Clone)]
pub struct Handle {
    nodes: Arc<[Addr<Node>]>,
    deps: Arc<Deps>,
}

impl Handle {
    /// Starts `arbiters` nodes, each on a thread of its own; 0 starts one on the current arbiter, for tests.
    pub fn start(deps: Arc<Deps>, arbiters: usize) -> Self {
        let nodes: Arc<[Addr<Node>]> = if arbiters == 0 {
            vec![Node::start_here(Arc::clone(&deps), 0, 1)].into()
        } else {
            (0..arbiters).map(|index| Node::start_on(&Arbiter::new().handle(), Arc::clone(&deps), index, arbiters)).collect()
        };
        // The hook gets only the addresses: the whole handle would keep alive the database that keeps the hook.
        let to = Arc::clone(&nodes);
        deps.db.on_change(Arc::new(move |seller, changed| {
            send_hint(&to, Hint { seller, reconfigure: changed == Changed::Configuration });
        }));
        Self { nodes, deps }
    }

    /// Announces that there may be new work for this seller.
    pub fn hint(&self, seller: SellerId) {
        send_hint(&self.nodes, Hint { seller, reconfigure: false });
    }

    /// Announces that this seller's settings, rules, stores or credentials may have changed; the actors read them again.
    pub fn reconfigure(&self, seller: SellerId) {
        send_hint(&self.nodes, Hint { seller, reconfigure: true });
    }

    /// Has these stores called at once, whatever pauses they are in: their seller wants to try again now.
    pub fn try_now(&self, seller: SellerId, stores: Vec<StoreId>) {
        if let Some(node) = node_of(&self.nodes, seller).filter(|_| !stores.is_empty()) {
            node.try_send(Asked { seller, stores }).ok();
        }
    }

    /// Ends the actors of a seller that was suspended or deleted, after their calls in flight.
    pub async fn forget(&self, seller: SellerId) {
        if let Some(node) = node_of(&self.nodes, seller) {
            node.send(Forget { seller }).await.ok();
        }
    }

    /// The use cases on the same database, platforms and tokens as these actors, which they ask to forget a seller.
    pub fn service(&self, limits: Limits, allow_private_targets: bool) -> Service {
        let Deps { db, client, clock, sealer, renewals, .. } = &*self.deps;
        let (to_forget, to_try) = (self.clone(), self.clone());
        Service {
            db: db.clone(),
            clock: clock.clone(),
            sealer: Arc::clone(sealer),
            client: client.clone(),
            renewals: Arc::clone(renewals),
            outbound: Arc::new(Places::new(OUTBOUND_AT_ONCE)),
            limits,
            allow_private_targets,
            forget: Arc::new(move |seller| {
                let handle = to_forget.clone();
                Box::pin(async move { handle.forget(seller).await })
            }),
            try_now: Arc::new(move |seller, stores| to_try.try_now(seller, stores)),
        }
    }

    /// Counts what is running in this process.
    #[expect(clippy::unused_async, reason = "will also query the nodes of other processes one day")]
    pub async fn status(&self) -> NodeStatus {
        let running = &self.deps.running;
        NodeStatus {
            sellers: running.sellers.load(Ordering::Relaxed),
            stores: running.stores.load(Ordering::Relaxed),
            confirmed: running.confirmed.load(Ordering::Relaxed),
        }
    }

    /// Returns once a node has ended, by a panic or by [`Self::shut_down`]: from then on its sellers' pushes are no longer processed.
    pub async fn node_ended(&self) {
        while self.nodes.iter().all(Addr::connected) {
            tokio::time::sleep(CHECK_NODES_EVERY).await;
        }
    }

    /// Ends all actors: sends nothing new and waits for calls in flight, for at most [`stop_within`](super::Settings::stop_within).
    pub async fn shut_down(&self) {
        let all = futures_util::future::join_all(self.nodes.iter().map(|node| node.send(ShutDown)));
        if tokio::time::timeout(self.deps.settings.stop_within, all).await.is_err() {
            tracing::warn!("some calls in flight were not answered in time; the next start determines their outcome");
        }
        if tokio::time::timeout(SETTLE_WITHIN, self.deps.upkeep.lock()).await.is_err() {
            tracing::warn!("a store's tokens were being renewed; if they could not be saved, its seller has to authorize again");
        }
        if tokio::time::timeout(SETTLE_WITHIN, self.deps.client.settle_quotas()).await.is_err() {
            tracing::warn!("could not write down in time what apps have called today; a few calls more are assumed");
        }
    }
}
