//! One supervisor per seller: holds the sync settings and keeps a `StoreActor` for each store.
//! Started by `Node`; ends on `Stop`, or on its own when it has been idle for long enough.
//!
//! in:  `Hint` and `Asked` (node) · `store::RunStarted` (its stores) · `Stop` (node) · own timer
//! out: `store::Hint`, `store::Asked`, `store::Configure`, `store::IsIdle`, `store::Stop` to its stores; `Retired` to the node
//! Survives a restart: nothing. Settings, stores and open runs are read from their rows when it starts.
use super::deps::{CHILD_MAILBOX, Deps};
use super::store::{self, RunStarted, StoreActor};
use super::store_config::StoreConfig;
use crate::db::{Error, SellerDb, fleet};
use crate::domain::leases::Lease;
use crate::domain::limits::MAX_STORES;
use crate::domain::{SellerId, StoreId};
use crate::service::guard;
use actix::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::oneshot;

struct Child {
    address: Addr<StoreActor>,
    config: Arc<StoreConfig>,
    /// How often in a row it was found dead; a store that keeps dying is restarted less and less often.
    restarts: u32,
}

/// Runs one seller's stores; see the module.
pub struct SellerSupervisor {
    deps: Arc<Deps>,
    db: SellerDb,
    node: Recipient<Retired>,
    stores: BTreeMap<StoreId, Child>,
    /// The actors of stores that were removed; they end after their calls in flight.
    ending: Vec<Addr<StoreActor>>,
    hints: u64,
    /// Stores at which the seller has asked for a retry, until they are loaded.
    asked: Vec<StoreId>,
    loading: bool,
    load_again: bool,
    loaded: bool,
    expanding: bool,
    expand_again: bool,
    idle_for: Duration,
    stopping: bool,
}

impl SellerSupervisor {
    pub(super) fn launch(deps: Arc<Deps>, seller: SellerId, lease: Option<Lease>, node: Recipient<Retired>) -> Addr<Self> {
        Self::create(move |ctx| {
            ctx.set_mailbox_capacity(CHILD_MAILBOX);
            let db = deps.db.seller(seller).under(lease);
            Self {
                deps,
                db,
                node,
                stores: BTreeMap::new(),
                ending: Vec::new(),
                hints: 0,
                asked: Vec::new(),
                loading: false,
                load_again: false,
                loaded: false,
                expanding: false,
                expand_again: false,
                idle_for: Duration::ZERO,
                stopping: false,
            }
        })
    }

    /// Reads settings and stores, and starts, configures and ends store actors accordingly.
    fn load(&mut self, ctx: &mut Context<Self>) {
        if self.loading || self.stopping {
            self.load_again = true;
            return;
        }
        (self.loading, self.load_again) = (true, false);
        let (db, all, deps) = (self.db.clone(), self.deps.db.clone(), Arc::clone(&self.deps));
        let read = async move {
            let seller = db.id();
            if !all.read(move |conn| fleet::is_active(conn, seller)).await? {
                return Err(Error::NotFound);
            }
            let (settings, stores) = db.read(|t| Ok((t.sync_settings()?, t.stores(None, MAX_STORES)?))).await?;
            Ok(stores
                .into_iter()
                .map(|store| Arc::new(StoreConfig::new(seller, store, settings.clone(), &deps.sealer)))
                .collect::<Vec<_>>())
        };
        ctx.spawn(read.into_actor(self).map(|read, act, ctx| {
            act.loading = false;
            if act.stopping {
                // Nothing would end the actors that it started now.
                return;
            }
            match read {
                Ok(configs) => act.adopt(configs, ctx),
                Err(Error::NotFound) => act.retire(ctx),
                Err(error) => {
                    tracing::warn!(%error, seller.id = %act.db.id(), "could not read a seller's stores; trying again");
                    ctx.run_later(Duration::from_secs(1), Self::load);
                }
            }
            if act.load_again {
                act.load(ctx);
            }
        }));
    }

    fn adopt(&mut self, configs: Vec<Arc<StoreConfig>>, ctx: &mut Context<Self>) {
        let wanted: BTreeMap<StoreId, Arc<StoreConfig>> = configs.into_iter().map(|config| (config.store.id, config)).collect();
        let removed: Vec<StoreId> = self.stores.keys().filter(|id| !wanted.contains_key(id)).copied().collect();
        let removed: Vec<Child> = removed.iter().filter_map(|id| self.stores.remove(id)).collect();
        self.ending.retain(Addr::connected);
        for child in removed {
            self.ending.push(child.address.clone());
            ctx.spawn(async move { child.address.send(store::Stop).await.ok() }.into_actor(self).map(|_, _, _| ()));
        }
        for (id, config) in wanted {
            match self.stores.get_mut(&id) {
                Some(child) if child.address.connected() => {
                    if *child.config != *config {
                        child.config = Arc::clone(&config);
                        child.address.try_send(store::Configure(config)).ok();
                    } else {
                        child.address.try_send(store::Hint).ok();
                    }
                }
                _ => {
                    let address =
                        StoreActor::launch(Arc::clone(&self.deps), self.db.clone(), Arc::clone(&config), ctx.address().recipient());
                    self.stores.insert(id, Child { address, config, restarts: 0 });
                }
            }
        }
        self.loaded = true;
        self.ask_stores();
        self.expand(ctx);
    }

    /// Weighs open runs and turns their listings into pushes, page by page.
    fn expand(&mut self, ctx: &mut Context<Self>) {
        if self.expanding || self.stopping {
            self.expand_again = true;
            return;
        }
        (self.expanding, self.expand_again) = (true, false);
        let (db, now) = (self.db.clone(), self.deps.now());
        let page = async move { guard::expand(&db, now).await };
        ctx.spawn(page.into_actor(self).map(|page, act, ctx| {
            act.expanding = false;
            match page {
                Ok(true) => {
                    act.hint_stores();
                    act.expand(ctx);
                }
                Ok(false) if act.expand_again => act.expand(ctx),
                Ok(false) => {}
                Err(Error::NotFound) => act.retire(ctx),
                Err(Error::Fenced) => act.deps.fenced(),
                Err(error) => {
                    tracing::warn!(%error, seller.id = %act.db.id(), "could not expand a run; trying again");
                    ctx.run_later(Duration::from_secs(1), Self::expand);
                }
            }
        }));
    }

    fn hint_stores(&self) {
        for child in self.stores.values() {
            // A full mailbox already contains hints.
            child.address.try_send(store::Hint).ok();
        }
    }

    fn ask_stores(&mut self) {
        for id in std::mem::take(&mut self.asked) {
            if let Some(child) = self.stores.get(&id) {
                child.address.try_send(store::Asked).ok();
            }
        }
    }

    /// Replaces stores that died, and retires when all have been idle for long enough.
    fn look_after(&mut self, ctx: &mut Context<Self>) {
        if self.stopping {
            return;
        }
        for (id, child) in &mut self.stores {
            if child.address.connected() {
                child.restarts = 0;
            } else if child.restarts.is_power_of_two() || child.restarts.is_multiple_of(32) {
                tracing::error!(seller.id = %self.db.id(), store.id = %id, "a store's actor died; starting another");
                child.address =
                    StoreActor::launch(Arc::clone(&self.deps), self.db.clone(), Arc::clone(&child.config), ctx.address().recipient());
                child.restarts += 1;
            } else {
                child.restarts += 1;
            }
        }
        let (horizon, every) = (self.deps.settings.idle_stop, self.deps.settings.poll_every);
        let answers: Vec<_> = self.stores.values().map(|child| child.address.send(store::IsIdle(horizon))).collect();
        let all_idle = async move { futures_util::future::join_all(answers).await.into_iter().all(|idle| idle.unwrap_or(false)) };
        ctx.spawn(all_idle.into_actor(self).map(move |all_idle, act, ctx| {
            let idle = all_idle && act.loaded && !act.loading && !act.expanding;
            act.idle_for = if idle { act.idle_for + every } else { Duration::ZERO };
            if act.idle_for >= horizon {
                act.retire(ctx);
            } else {
                if act.db.lease().is_some() {
                    // What another node has changed, if the notice of it was lost.
                    act.load(ctx);
                }
                ctx.run_later(every, Self::look_after);
            }
        }));
    }

    /// Starts nothing more; completes when all stores have ended, including those that were already ending.
    fn stop_stores(&mut self) -> impl Future<Output = ()> + use<> {
        self.stopping = true;
        let stores: Vec<_> = self.stores.values().map(|child| &child.address).chain(&self.ending).cloned().collect();
        async move {
            futures_util::future::join_all(stores.iter().map(|store| store.send(store::Stop))).await;
        }
    }

    /// Ends its stores, reports to the node, and ends.
    fn retire(&mut self, ctx: &mut Context<Self>) {
        if self.stopping {
            return;
        }
        ctx.spawn(self.stop_stores().into_actor(self).map(|(), act, ctx| {
            let retired = Retired { seller: act.db.id(), address: ctx.address(), hints: act.hints };
            ctx.spawn(act.node.send(retired).into_actor(act).map(|_, _, ctx| ctx.stop()));
        }));
    }
}

impl Actor for SellerSupervisor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.deps.running.sellers.fetch_add(1, Ordering::Relaxed);
        self.load(ctx);
        ctx.run_later(self.deps.settings.poll_every, Self::look_after);
    }
}

impl Drop for SellerSupervisor {
    fn drop(&mut self) {
        // Not in `stopped`, which is not called after a panic.
        self.deps.running.sellers.fetch_sub(1, Ordering::Relaxed);
    }
}

/// There may be work.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Hint {
    /// Whether settings, rules or stores may have changed.
    pub reconfigure: bool,
}

impl Handler<Hint> for SellerSupervisor {
    type Result = ();
    fn handle(&mut self, hint: Hint, ctx: &mut Self::Context) {
        self.hints += 1;
        self.idle_for = Duration::ZERO;
        if self.stopping {
            return;
        }
        if hint.reconfigure {
            self.load(ctx);
        } else if self.loaded {
            self.hint_stores();
        }
    }
}

/// The seller has asked for a retry at these stores.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Asked {
    /// The stores.
    pub stores: Vec<StoreId>,
}

impl Handler<Asked> for SellerSupervisor {
    type Result = ();
    fn handle(&mut self, message: Asked, _: &mut Self::Context) {
        self.asked = message.stores;
        if self.loaded && !self.stopping {
            self.ask_stores();
        }
    }
}

/// A supervisor had nothing to do and has ended its stores.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Retired {
    /// Its seller.
    pub seller: SellerId,
    /// The supervisor itself: the node may already have replaced it.
    pub address: Addr<SellerSupervisor>,
    /// How many hints it received.
    pub hints: u64,
}

impl Handler<RunStarted> for SellerSupervisor {
    type Result = ();
    fn handle(&mut self, _: RunStarted, ctx: &mut Self::Context) {
        self.expand(ctx);
    }
}

/// End, after the calls in flight.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Stop;

impl Handler<Stop> for SellerSupervisor {
    type Result = ResponseFuture<()>;
    fn handle(&mut self, _: Stop, ctx: &mut Self::Context) -> Self::Result {
        let (ended, has_ended) = oneshot::channel();
        ctx.spawn(self.stop_stores().into_actor(self).map(|(), _, ctx| {
            ended.send(()).ok();
            ctx.stop();
        }));
        Box::pin(async move { has_ended.await.unwrap_or(()) })
    }
}
