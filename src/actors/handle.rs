//! How the rest of the process reaches the actors.
use super::deps::Deps;
use super::keeper::Keeper;
use super::node::{Forget, Hint, Node, ShutDown};
use super::send::{node_of, send_asked, send_hint};
use super::signals::{Outbox, Signal, exchange};
use super::standing::{Kept, Standing};
use crate::db::ledger::Limits;
use crate::db::places::Places;
use crate::db::{Changed, Place};
use crate::domain::leases::SHARDS;
use crate::domain::{SellerId, StoreId, Timestamp};
use crate::service::{OUTBOUND_AT_ONCE, Service};
use actix::{Addr, Arbiter};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
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

/// How a process that shares its database reaches the other nodes.
#[derive(Clone, Default)]
struct Others {
    kept: Arc<Kept>,
    outbox: Arc<Outbox>,
}

/// Sends messages to the actors, those of other nodes included. Cheap to clone.
#[derive(Clone)]
pub struct Handle {
    nodes: Arc<[Addr<Node>]>,
    deps: Arc<Deps>,
    /// `None` if there are none.
    others: Option<Others>,
}

impl Handle {
    /// Starts `arbiters` nodes, each on a thread of its own; 0 starts one on the current arbiter, for tests.
    pub fn start(deps: Arc<Deps>, arbiters: usize) -> Self {
        let others = deps.settings.sharing.is_some().then(Others::default);
        if others.is_some() {
            deps.db.held().share();
        }
        let nodes: Arc<[Addr<Node>]> = if arbiters == 0 {
            vec![Node::start_here(Arc::clone(&deps), 0, 1)].into()
        } else {
            (0..arbiters).map(|index| Node::start_on(&Arbiter::new().handle(), Arc::clone(&deps), index, arbiters)).collect()
        };
        // The hook gets only the addresses: the whole handle would keep alive the database that keeps the hook.
        let to = Arc::clone(&nodes);
        let (outbox, held) = (others.clone().map(|others| others.outbox), Arc::clone(deps.db.held()));
        deps.db.on_change(Arc::new(move |seller, changed| match &outbox {
            Some(outbox) if held.place_of(seller) == Place::Elsewhere => outbox.changed(seller, changed),
            _ => send_hint(&to, Hint { seller, reconfigure: changed == Changed::Configuration }),
        }));
        if let (Some(Others { kept, outbox }), Some(sharing)) = (&others, &deps.settings.sharing) {
            let (nodes, outbox) = (|| Arc::clone(&nodes), || Arc::clone(outbox));
            actix::spawn(exchange(deps.db.clone(), nodes(), outbox(), Arc::clone(&deps.running.poke)));
            actix::spawn(Keeper::new(Arc::clone(&deps), sharing.clone(), nodes(), outbox(), Arc::clone(kept)).run());
        }
        Self { nodes, deps, others }
    }

    /// How the other nodes learn of this seller's work, if one of them works for it.
    fn elsewhere(&self, seller: SellerId) -> Option<&Outbox> {
        let others = self.others.as_ref()?;
        (self.deps.db.held().place_of(seller) == Place::Elsewhere).then_some(&*others.outbox)
    }

    /// Announces that there may be new work for this seller.
    pub fn hint(&self, seller: SellerId) {
        match self.elsewhere(seller) {
            Some(outbox) => outbox.changed(seller, Changed::Work),
            None => send_hint(&self.nodes, Hint { seller, reconfigure: false }),
        }
    }

    /// Announces that this seller's settings, rules, stores or credentials may have changed; the actors read them again.
    pub fn reconfigure(&self, seller: SellerId) {
        match self.elsewhere(seller) {
            Some(outbox) => outbox.changed(seller, Changed::Configuration),
            None => send_hint(&self.nodes, Hint { seller, reconfigure: true }),
        }
    }

    /// Has these stores called at once, whatever pauses they are in: their seller wants to try again now.
    pub fn try_now(&self, seller: SellerId, stores: Vec<StoreId>) {
        match self.elsewhere(seller) {
            Some(outbox) => stores.into_iter().for_each(|store| outbox.put(Signal::Asked(seller, store))),
            None if stores.is_empty() => {}
            None => send_asked(&self.nodes, seller, stores),
        }
    }

    /// Ends the actors of a seller that was suspended or deleted, after their calls in flight. If another node works for the
    /// seller, this does not wait for it: that node finds the seller suspended or gone.
    pub async fn forget(&self, seller: SellerId) {
        if let Some(outbox) = self.elsewhere(seller) {
            outbox.changed(seller, Changed::Configuration);
        }
        if let Some(node) = node_of(&self.nodes, seller) {
            node.send(Forget { seller }).await.ok();
        }
    }

    /// The use cases on the same database, platforms and tokens as these actors, which they ask to forget a seller.
    pub fn service(&self, limits: Limits, allow_private_targets: bool) -> Service {
        let Deps { db, client, post, clock, sealer, renewals, .. } = &*self.deps;
        let (to_forget, to_try) = (self.clone(), self.clone());
        Service {
            db: db.clone(),
            clock: clock.clone(),
            sealer: Arc::clone(sealer),
            client: client.clone(),
            post: post.clone(),
            renewals: Arc::clone(renewals),
            outbound: Arc::new(Places::new(OUTBOUND_AT_ONCE)),
            limits,
            records_kept_for: self.deps.settings.retention.pushes,
            allow_private_targets,
            forget: Arc::new(move |seller| {
                let handle = to_forget.clone();
                Box::pin(async move { handle.forget(seller).await })
            }),
            try_now: Arc::new(move |seller, stores| to_try.try_now(seller, stores)),
        }
    }

    /// Counts what is running in this process.
    #[expect(clippy::unused_async, reason = "so that its callers need not change if it has to ask the actors one day")]
    pub async fn status(&self) -> NodeStatus {
        self.running()
    }

    fn running(&self) -> NodeStatus {
        let running = &self.deps.running;
        NodeStatus {
            sellers: running.sellers.load(Ordering::Relaxed),
            stores: running.stores.load(Ordering::Relaxed),
            confirmed: running.confirmed.load(Ordering::Relaxed),
        }
    }

    /// All nodes that share the database. This one, which has this name and started then, is always among them.
    pub fn standings(&self, name: &str, started_at: Timestamp) -> Vec<Standing> {
        let seen = |others: &Others| others.kept.nodes.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut nodes = self.others.as_ref().map(seen).unwrap_or_default();
        let status = self.running();
        let count = |of: usize| i64::try_from(of).unwrap_or(i64::MAX);
        let here = Standing {
            name: name.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at,
            active_sellers: count(status.sellers),
            active_stores: count(status.stores),
            shards: if self.others.is_some() { self.deps.db.held().leases().len() } else { SHARDS },
            renewed_for: nodes.iter().find(|node| node.is_here).map_or(Duration::ZERO, |node| node.renewed_for),
            is_leaving: self.others.as_ref().is_some_and(|others| others.kept.leave.is_cancelled()),
            is_gone: false,
            is_here: true,
        };
        nodes.retain(|node| !node.is_here);
        nodes.push(here);
        nodes.sort_by(|a, b| (a.started_at, &a.name).cmp(&(b.started_at, &b.name)));
        nodes
    }

    /// Has other nodes take over all sellers of this one: starts nothing new, and waits for calls in flight, for at most
    /// [`stop_within`](super::Settings::stop_within). Work that is recorded here afterwards is announced to them. Does nothing if
    /// there are no others.
    pub async fn hand_over(&self) {
        let Some(Others { kept, .. }) = &self.others else { return };
        kept.leave.cancel();
        if tokio::time::timeout(self.deps.settings.stop_within, kept.ended.cancelled()).await.is_err() {
            tracing::warn!("not all sellers could be handed over in time; other nodes take over a little later");
        }
    }

    /// Returns once a node has ended, by a panic or by [`Self::shut_down`]: from then on its sellers' pushes are no longer processed.
    pub async fn node_ended(&self) {
        let has_keeper = || self.others.as_ref().is_none_or(|others| others.kept.leave.is_cancelled() || !others.kept.ended.is_cancelled());
        while has_keeper() && self.nodes.iter().all(Addr::connected) {
            tokio::time::sleep(CHECK_NODES_EVERY).await;
        }
    }

    /// Ends all actors: sends nothing new and waits for calls in flight, for at most [`stop_within`](super::Settings::stop_within).
    pub async fn shut_down(&self) {
        if self.others.as_ref().is_some_and(|others| !others.kept.leave.is_cancelled()) {
            self.hand_over().await;
        }
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
