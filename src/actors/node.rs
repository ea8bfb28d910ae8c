//! Starts a `SellerSupervisor` for each seller that has work, and replaces those that died.
//!
//! in:  `Hint`, `Asked` and `Forget` (`Handle`) · `LookForWork`, `GiveUp` (keeper) · `seller::Retired` (a supervisor) · `ShutDown` (`Handle`) · own timers
//! out: `seller::Hint`, `seller::Asked`, `seller::Stop`
//! Survives a restart: nothing. The rows do, and the first look at them starts every seller that has work.
use super::deps::{Deps, NODE_MAILBOX};
use super::seller::{self, Retired, SellerSupervisor};
use super::{messenger, postman, token_keeper};
use crate::db::email;
use crate::db::own_retention::prune_shorter;
use crate::db::webhooks::due::any_due;
use crate::db::{Conn, Place, fleet, pages};
use crate::domain::leases::{Lease, shard_of};
use crate::domain::{SellerId, StoreId};
use crate::service::{drift, guard, removal, usage};
use actix::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// The index of the node, of `of` in this process, that runs this seller.
pub(super) fn place(seller: SellerId, of: usize) -> usize {
    // The first bytes of a UUIDv7 are time; the last are random.
    let [.., a, b] = *seller.0.as_bytes();
    usize::from(u16::from_be_bytes([a, b])) % of.max(1)
}

struct Child {
    address: Addr<SellerSupervisor>,
    /// What its transactions are made by.
    lease: Option<Lease>,
    /// Hints passed on; compared with the number that the supervisor received when it retires.
    hints: u64,
}

/// Runs the sellers of one arbiter; see the module.
pub struct Node {
    deps: Arc<Deps>,
    index: usize,
    of: usize,
    sellers: BTreeMap<SellerId, Child>,
    /// Messages of webhooks are being sent.
    sending: bool,
    /// Mails are being sent.
    mailing: bool,
    shutting_down: bool,
}

impl Node {
    fn new(deps: Arc<Deps>, index: usize, of: usize) -> Self {
        Self { deps, index, of, sellers: BTreeMap::new(), sending: false, mailing: false, shutting_down: false }
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
        let Place::Here(lease) = self.deps.db.held().place_of(seller) else { return };
        let launch = |ctx: &mut Context<Self>| {
            let address = SellerSupervisor::launch(Arc::clone(&self.deps), seller, lease, ctx.address().recipient());
            Child { address, lease, hints: 0 }
        };
        let child = self.sellers.entry(seller).or_insert_with(|| launch(ctx));
        if !child.address.connected() {
            tracing::warn!(seller.id = %seller, "a supervisor died; starting another");
            *child = launch(ctx);
        } else if child.lease != lease {
            // The shard was lost and taken again meanwhile.
            let former = std::mem::replace(child, launch(ctx));
            ctx.spawn(async move { former.address.send(seller::Stop).await.ok() }.into_actor(self).map(|_, _, _| ()));
        }
        let Some(child) = self.sellers.get_mut(&seller) else { return };
        if child.address.try_send(seller::Hint { reconfigure }).is_ok() {
            child.hints += 1;
        }
    }

    /// Finds sellers with work that no hint announced: after a start, a crash, a dropped hint, or at a daily time.
    fn look_for_work(&mut self, ctx: &mut Context<Self>) {
        self.look(
            |node, ctx| {
                ctx.run_later(node.deps.settings.poll_every, Self::look_for_work);
            },
            ctx,
        );
    }

    fn look(&mut self, then: fn(&mut Self, &mut Context<Self>), ctx: &mut Context<Self>) {
        let (db, now, is_first) = (self.deps.db.clone(), self.deps.now(), self.index == 0);
        let may_send = is_first && !self.sending;
        let may_mail = is_first && !self.mailing && self.deps.post.is_some();
        let found = async move {
            if db.read(move |conn| fleet::has_runs_too_far_ahead(conn, now)).await? {
                db.write(move |conn| fleet::reschedule_runs(conn, now)).await?;
            }
            guard::lapse(&db, now).await?;
            let look = move |conn: &mut Conn| -> crate::db::Result<_> {
                let sellers = fleet::sellers_with_work(conn, now)?;
                Ok((sellers, may_send && any_due(conn, now)?, may_mail && email::due::any_due(conn, now)?))
            };
            let found = db.read(look).await;
            if is_first {
                drift::begin_due(&db, now).await;
            }
            found
        };
        ctx.spawn(found.into_actor(self).map(move |found, node, ctx| {
            match found {
                Ok((sellers, has_messages, has_mails)) => {
                    for seller in sellers {
                        if place(seller, node.of) == node.index {
                            node.pass_on(seller, false, ctx);
                        }
                    }
                    if has_messages {
                        node.send_messages(ctx);
                    }
                    if has_mails {
                        node.send_mails(ctx);
                    }
                }
                Err(error) => tracing::warn!(%error, "could not look for work; trying again"),
            }
            then(node, ctx);
        }));
    }

    fn send_messages(&mut self, ctx: &mut Context<Self>) {
        if !std::mem::replace(&mut self.sending, true) {
            ctx.spawn(messenger::send(Arc::clone(&self.deps)).into_actor(self).map(|(), node, _| node.sending = false));
        }
    }

    fn send_mails(&mut self, ctx: &mut Context<Self>) {
        if !std::mem::replace(&mut self.mailing, true) {
            ctx.spawn(postman::send(Arc::clone(&self.deps)).into_actor(self).map(|(), node, _| node.mailing = false));
        }
    }

    fn prune(&mut self, ctx: &mut Context<Self>) {
        if !self.deps.db.held().has_first() {
            // The node does it that holds the first shard.
            ctx.run_later(self.deps.settings.prune_every, Self::prune);
            return;
        }
        let (db, now, retention) = (self.deps.db.clone(), self.deps.now(), self.deps.settings.retention);
        let pruned = async move {
            removal::finish(&db, now).await?;
            // Small steps, each in a transaction of its own, so that no other write waits long.
            while db.write(fleet::fold_skus).await? == fleet::PRUNE_STEP {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            // Before the rows go by which it is counted.
            let counted_to = usage::count(&db, now).await?;
            let mut total = 0;
            loop {
                let removed = db.write(move |conn| fleet::prune(conn, retention, counted_to, now)).await?;
                total += removed;
                if removed < fleet::PRUNE_STEP {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            let mut after = Some(None);
            while let Some(from) = after {
                let step = db.write(move |conn| prune_shorter(conn, from, counted_to, now)).await?;
                total += step.pruned;
                after = step.next;
                if after.is_some() {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
            while db.write(pages::give_back).await? {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Ok::<_, crate::db::Error>(total)
        };
        ctx.spawn(pruned.into_actor(self).map(|pruned, node, ctx| {
            match pruned {
                Ok(0) => {}
                Ok(rows) => tracing::info!(rows, "deleted rows past their retention"),
                Err(error) => tracing::warn!(%error, "could not delete rows past their retention; trying again"),
            }
            ctx.run_later(node.deps.settings.prune_every, Self::prune);
        }));
    }
}

impl Actor for Node {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.look_for_work(ctx);
        if self.index == 0 {
            ctx.run_later(self.deps.settings.prune_every, Self::prune);
            ctx.spawn(token_keeper::keep(Arc::clone(&self.deps)).into_actor(self));
        }
    }
}

/// There may be work for this seller.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Hint {
    /// The seller.
    pub seller: SellerId,
    /// Whether its settings, rules or stores may have changed.
    pub reconfigure: bool,
}

impl Handler<Hint> for Node {
    type Result = ();
    fn handle(&mut self, hint: Hint, ctx: &mut Self::Context) {
        self.pass_on(hint.seller, hint.reconfigure, ctx);
    }
}

/// The seller has asked for a retry at these stores.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Asked {
    /// The seller.
    pub seller: SellerId,
    /// The stores.
    pub stores: Vec<StoreId>,
}

impl Handler<Asked> for Node {
    type Result = ();
    fn handle(&mut self, Asked { seller, stores }: Asked, ctx: &mut Self::Context) {
        self.pass_on(seller, false, ctx);
        if let Some(child) = self.sellers.get(&seller) {
            child.address.try_send(seller::Asked { stores }).ok();
        }
    }
}

/// Shards were taken, or notices may have been missed: look at the rows now.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct LookForWork;

impl Handler<LookForWork> for Node {
    type Result = ();
    fn handle(&mut self, _: LookForWork, ctx: &mut Self::Context) {
        self.look(|_, _| (), ctx);
    }
}

/// End the actors of the shard's sellers that work by this lease, after their calls in flight.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct GiveUp {
    /// What is given up, or was lost.
    pub lease: Lease,
}

impl Handler<GiveUp> for Node {
    type Result = ResponseFuture<()>;
    fn handle(&mut self, GiveUp { lease }: GiveUp, _: &mut Self::Context) -> Self::Result {
        let of_shard = self.sellers.extract_if(.., |seller, child| shard_of(*seller) == lease.shard && child.lease == Some(lease));
        let children: Vec<_> = of_shard.map(|(_, child)| child.address).collect();
        Box::pin(async move {
            futures_util::future::join_all(children.iter().map(|child| child.send(seller::Stop))).await;
        })
    }
}

/// End this seller's actors, after their calls in flight.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Forget {
    /// The seller.
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

/// End all actors and then this node.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct ShutDown;

impl Handler<ShutDown> for Node {
    type Result = ResponseActFuture<Self, ()>;
    fn handle(&mut self, _: ShutDown, _: &mut Self::Context) -> Self::Result {
        self.shutting_down = true;
        let children: Vec<_> = std::mem::take(&mut self.sellers).into_values().map(|child| child.address).collect();
        let ended = async move { futures_util::future::join_all(children.iter().map(|child| child.send(seller::Stop))).await };
        // Its timers would otherwise keep it looking for work forever.
        Box::pin(ended.into_actor(self).map(|_, _, ctx| ctx.stop()))
    }
}
