//! Starts a `SellerSupervisor` for each seller that has something to do, and replaces one that died.
//!
//! in:  `Hint` (http, the ledger) · `Forget` (http) · `Retired` (a supervisor) · `ShutDown` · own timers
//! out: `seller::Hint`, `seller::Stop`
//! Survives a restart: nothing. The rows do, and the first look at them starts whoever has work.
use super::seller::{self, SellerSupervisor};
use super::{Deps, NODE_MAILBOX};
use crate::db::fleet;
use crate::domain::SellerId;
use actix::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Which of `of` nodes in this process has this seller.
pub(super) fn place(seller: SellerId, of: usize) -> usize {
    // The first bytes of a UUIDv7 are time; the last are random.
    let [.., a, b] = *seller.0.as_bytes();
    usize::from(u16::from_be_bytes([a, b])) % of.max(1)
}

struct Child {
    address: Addr<SellerSupervisor>,
    /// Hints passed on; a supervisor that retires says how many it saw.
    hints: u64,
}

/// See the module.
pub struct Node {
    deps: Arc<Deps>,
    index: usize,
    of: usize,
    sellers: BTreeMap<SellerId, Child>,
    shutting_down: bool,
}

impl Node {
    fn new(deps: Arc<Deps>, index: usize, of: usize) -> Self {
        Self { deps, index, of, sellers: BTreeMap::new(), shutting_down: false }
    }

    pub(super) fn start_here(deps: Arc<Deps>, index: usize, of: usize) -> Addr<Self> {
        Self::create(move |ctx| {
            ctx.set_mailbox_capacity(NODE_MAILBOX);
            Self::new(deps, index, of)
        })
    }

    pub(super) fn start_on(arbiter: &ArbiterHandle, deps: Arc<Deps>, index: usize, of: usize) -> Addr<Self> {
        Self::start_in_arbiter(arbiter, move |ctx| {
            ctx.set_mailbox_capacity(NODE_MAILBOX);
            Self::new(deps, index, of)
        })
    }

    fn pass_on(&mut self, seller: SellerId, reconfigure: bool, ctx: &mut Context<Self>) {
        if self.shutting_down {
            return;
        }
        let child = self.sellers.entry(seller).or_insert_with(|| {
            let address = SellerSupervisor::launch(Arc::clone(&self.deps), seller, ctx.address());
            Child { address, hints: 0 }
        });
        if !child.address.connected() {
            tracing::warn!(seller.id = %seller, "a supervisor died; starting another");
            child.address = SellerSupervisor::launch(Arc::clone(&self.deps), seller, ctx.address());
            child.hints = 0;
        }
        if child.address.try_send(seller::Hint { reconfigure }).is_ok() {
            child.hints += 1;
        }
    }

    /// Looks at the rows for work that no hint told of: after a start, a crash, a dropped hint, at a daily time.
    fn look(&mut self, ctx: &mut Context<Self>) {
        let (db, now) = (self.deps.db.clone(), self.deps.now());
        let found = async move { db.read(move |conn| fleet::sellers_with_work(conn, now)).await };
        ctx.spawn(found.into_actor(self).map(|found, node, ctx| {
            match found {
                Ok(sellers) => {
                    for seller in sellers {
                        if place(seller, node.of) == node.index {
                            node.pass_on(seller, false, ctx);
                        }
                    }
                }
                Err(error) => tracing::warn!(%error, "could not look for work; trying again"),
            }
            ctx.run_later(node.deps.settings.poll_every, Self::look);
        }));
    }

    fn prune(&mut self, ctx: &mut Context<Self>) {
        let (db, now, retention) = (self.deps.db.clone(), self.deps.now(), self.deps.settings.retention);
        let pruned = async move {
            // Small steps, each a transaction of its own, so that nobody waits long for the writer.
            let mut total = 0;
            loop {
                let removed = db.write(move |conn| fleet::prune(conn, retention, now)).await?;
                total += removed;
                if i64::try_from(removed).unwrap_or(0) < fleet::PRUNE_STEP {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Ok::<_, crate::db::Error>(total)
        };
        ctx.spawn(pruned.into_actor(self).map(|pruned, node, ctx| {
            match pruned {
                Ok(0) => {}
                Ok(rows) => tracing::info!(rows, "old rows were pruned"),
                Err(error) => tracing::warn!(%error, "old rows could not be pruned; trying again"),
            }
            ctx.run_later(node.deps.settings.prune_every, Self::prune);
        }));
    }
}

impl Actor for Node {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.look(ctx);
        if self.index == 0 {
            ctx.run_later(self.deps.settings.prune_every, Self::prune);
        }
    }
}

/// There may be work for this seller.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Hint {
    /// Whose.
    pub seller: SellerId,
    /// Its settings, rules or stores may have changed.
    pub reconfigure: bool,
}

impl Handler<Hint> for Node {
    type Result = ();
    fn handle(&mut self, hint: Hint, ctx: &mut Self::Context) {
        self.pass_on(hint.seller, hint.reconfigure, ctx);
    }
}

/// End this seller's actors.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Forget {
    /// Whose.
    pub seller: SellerId,
}

impl Handler<Forget> for Node {
    type Result = ResponseFuture<()>;
    fn handle(&mut self, message: Forget, _: &mut Self::Context) -> Self::Result {
        let child = self.sellers.remove(&message.seller);
        Box::pin(async move {
            if let Some(child) = child {
                child.address.send(seller::Stop).await.ok();
            }
        })
    }
}

/// A supervisor has nothing to do and has ended its stores.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Retired {
    /// Whose.
    pub seller: SellerId,
    /// Which one.
    pub address: Addr<SellerSupervisor>,
    /// The hints that it saw.
    pub hints: u64,
}

impl Handler<Retired> for Node {
    type Result = ();
    fn handle(&mut self, retired: Retired, ctx: &mut Self::Context) {
        let Some(child) = self.sellers.get(&retired.seller) else { return };
        if child.address != retired.address {
            return;
        }
        let missed_hints = child.hints != retired.hints;
        self.sellers.remove(&retired.seller);
        if missed_hints {
            self.pass_on(retired.seller, false, ctx);
        }
    }
}

/// End everything.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct ShutDown;

impl Handler<ShutDown> for Node {
    type Result = ResponseActFuture<Self, ()>;
    fn handle(&mut self, _: ShutDown, _: &mut Self::Context) -> Self::Result {
        self.shutting_down = true;
        let children: Vec<_> = std::mem::take(&mut self.sellers).into_values().map(|child| child.address).collect();
        let ended = async move { futures_util::future::join_all(children.iter().map(|child| child.send(seller::Stop))).await };
        // Its timers would keep it looking at the rows for ever.
        Box::pin(ended.into_actor(self).map(|_, _, ctx| ctx.stop()))
    }
}
