//! Keeps the leases of this process, where several nodes share a database: renews them, takes and gives up shards as
//! [`domain::leases`](crate::domain::leases) decides, and has the sellers' actors started and ended accordingly.
//!
//! A shard is given up in this order: nothing new is started for its sellers, their actors end after their calls in flight, and only
//! then may another node take it. A shard that was taken by another node is lost at once: the actors end, too, but what they
//! still want to write is refused.
use super::deps::{Deps, Sharing};
use super::node::{GiveUp, LookForWork, Node};
use super::signals::{Outbox, Signal};
use super::standing::{Kept, Standing};
use crate::db::Session;
use crate::db::leases::{self, Node as NodeRow};
use crate::domain::leases::{Holding, Lease, Plan, Renewed, SHARDS, Watch, plan};
use crate::domain::{NodeId, Timestamp};
use crate::metrics;
use actix::Addr;
use futures_util::future::join_all;
use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// A lease is renewed this often in the time for which it lasts.
const RENEWALS: u32 = 5;
/// The longest time between two renewals.
const RENEW_EVERY: Duration = Duration::from_secs(1);
/// How long to wait for more of the same before the rows are looked at out of turn.
const GATHER: Duration = Duration::from_millis(20);
/// The row of a node that is gone is deleted after so many times the lease time.
const FORGOTTEN_AFTER: u32 = 12;

/// See the module.
pub(super) struct Keeper {
    deps: Arc<Deps>,
    sharing: Sharing,
    nodes: Arc<[Addr<Node>]>,
    outbox: Arc<Outbox>,
    kept: Arc<Kept>,
    id: NodeId,
    started_at: Timestamp,
    origin: Instant,
    session: Session,
    watch: Watch,
    renewal: i64,
    /// Being given up: their actors are ending.
    ending: BTreeSet<Lease>,
    /// Those of them whose actors have ended.
    ended: (mpsc::UnboundedSender<Lease>, mpsc::UnboundedReceiver<Lease>),
    /// Whether the latest look at the rows failed.
    is_blind: bool,
    /// Whether the others can see that it is leaving.
    is_leaving: bool,
}

impl Keeper {
    pub(super) fn new(deps: Arc<Deps>, sharing: Sharing, nodes: Arc<[Addr<Node>]>, outbox: Arc<Outbox>, kept: Arc<Kept>) -> Self {
        let (started_at, watch) = (deps.now(), Watch::new(sharing.lease));
        // What is not answered within half the lease time is as good as lost.
        let session = deps.db.session(watch.longest_pause());
        let id = NodeId::new(started_at);
        let (ending, ended, is_blind, is_leaving) = (BTreeSet::new(), mpsc::unbounded_channel(), false, false);
        let origin = Instant::now();
        Self { deps, sharing, nodes, outbox, kept, id, started_at, origin, session, watch, renewal: 0, ending, ended, is_blind, is_leaving }
    }

    /// Until it has left.
    pub(super) async fn run(mut self) {
        let _ended = self.kept.ended.clone().drop_guard();
        let renew_every = (self.sharing.lease / RENEWALS).min(RENEW_EVERY);
        loop {
            match self.look().await {
                Ok(true) => return,
                Ok(false) => self.is_blind = false,
                Err(error) => {
                    if !std::mem::replace(&mut self.is_blind, true) {
                        tracing::warn!(%error, "this node cannot renew its leases; trying again");
                    }
                }
            }
            let next = tokio::time::sleep(renew_every);
            tokio::select! {
                biased;
                () = next => continue,
                () = self.deps.running.poke.poked() => {}
                () = self.kept.leave.cancelled(), if !self.is_leaving => {}
                Some(lease) = self.ended.1.recv() => {
                    // Others end at the same time.
                    self.ended.0.send(lease).ok();
                }
            }
            tokio::time::sleep(GATHER).await;
        }
    }

    fn row(&mut self) -> NodeRow {
        self.renewal += 1;
        let count = |of: &std::sync::atomic::AtomicUsize| i64::try_from(of.load(Ordering::Relaxed)).unwrap_or(i64::MAX);
        NodeRow {
            id: self.id,
            name: self.sharing.name.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            renewal: self.renewal,
            is_leaving: self.kept.leave.is_cancelled(),
            started_at: self.started_at,
            active_sellers: count(&self.deps.running.sellers),
            active_stores: count(&self.deps.running.stores),
        }
    }

    /// Renews, looks at the rows and acts accordingly. True if this node has left.
    async fn look(&mut self) -> crate::db::Result<bool> {
        self.let_go().await?;
        let (row, began) = (self.row(), self.origin.elapsed());
        let (is_leaving, is_first) = (row.is_leaving, row.renewal == 1);
        let renewed = move |conn: &mut crate::db::Conn| {
            conn.transaction(|conn| {
                if is_first {
                    leases::replace(conn, &row)?;
                }
                leases::renew(conn, &row)?;
                leases::rows(conn)
            })
        };
        let (nodes, shards) = self.session.run(renewed).await?;
        self.is_leaving = is_leaving;
        let renewals: Vec<Renewed> = nodes.iter().map(NodeRow::renewed).collect();
        let living = self.watch.look(&renewals, (began, self.origin.elapsed()));
        self.deps.client.share_among(living.len());
        let gained = self.compare(&shards);
        let Plan { take, give_up } = plan(self.id, &renewals, &living, &shards);
        self.give_up(give_up);
        let taken = match take.is_empty() {
            true => Vec::new(),
            false => {
                let to = Some(self.id);
                self.session.run(move |conn| leases::change_hands(conn, &take, to)).await?
            }
        };
        if !taken.is_empty() {
            tracing::info!(shards = taken.len(), "this node has taken shards");
            metrics::note(|metrics| metrics.shards_taken.inc_by(u64::try_from(taken.len()).unwrap_or(0)));
            self.deps.db.held().add(&taken);
        }
        if !taken.is_empty() || gained {
            self.nodes.iter().for_each(|node| drop(node.try_send(LookForWork)));
        }
        metrics::note(|metrics| metrics.shards.set(i64::try_from(self.deps.db.held().leases().len()).unwrap_or(0)));
        self.note(&nodes, &shards, &living);
        self.forget(&renewals, &living).await?;
        if is_leaving && shards.iter().all(|shard| shard.holder != Some(self.id)) && taken.is_empty() {
            let own = [self.id];
            self.session.run(move |conn| leases::remove_nodes(conn, &own)).await?;
            return Ok(true);
        }
        Ok(false)
    }

    /// Compares what is held with the rows. What another node has taken is lost. What the rows say is held, without this process
    /// knowing of it, was taken in a transaction whose answer was lost; returns whether there is any.
    fn compare(&mut self, shards: &[Holding]) -> bool {
        let rows: BTreeSet<Lease> = shards.iter().filter(|shard| shard.holder == Some(self.id)).map(|shard| shard.lease).collect();
        let held: BTreeSet<Lease> = self.deps.db.held().leases().into_iter().collect();
        let lost: Vec<Lease> = held.difference(&rows).copied().collect();
        if !lost.is_empty() {
            tracing::warn!(shards = lost.len(), "other nodes have taken shards of this node, which did not renew its leases in time");
            self.deps.db.held().remove(&lost);
            self.end_actors(lost, false);
            self.outbox.put(Signal::Look);
        }
        self.ending.retain(|lease| rows.contains(lease));
        let unknown: Vec<Lease> = rows.into_iter().filter(|lease| !held.contains(lease) && !self.ending.contains(lease)).collect();
        self.deps.db.held().add(&unknown);
        !unknown.is_empty()
    }

    fn give_up(&mut self, mut leases: Vec<Lease>) {
        leases.retain(|lease| self.ending.insert(*lease));
        if !leases.is_empty() {
            tracing::info!(shards = leases.len(), "this node gives up shards");
            self.deps.db.held().remove(&leases);
            self.end_actors(leases, true);
        }
    }

    /// Ends the actors of the shards' sellers. With `to_let_go`, others may take a shard as soon as they have.
    fn end_actors(&self, leases: Vec<Lease>, to_let_go: bool) {
        for lease in leases {
            let all: Vec<_> = self.nodes.iter().map(|node| node.send(GiveUp { lease })).collect();
            let ended = self.ended.0.clone();
            actix::spawn(async move {
                join_all(all).await;
                if to_let_go {
                    ended.send(lease).ok();
                }
            });
        }
    }

    /// Lets others take the shards whose actors have ended.
    async fn let_go(&mut self) -> crate::db::Result<()> {
        let mut ended = Vec::new();
        while let Ok(lease) = self.ended.1.try_recv() {
            ended.push(lease);
        }
        ended.retain(|lease| self.ending.contains(lease));
        if ended.is_empty() {
            return Ok(());
        }
        let wanted = ended.clone();
        let done = self.session.run(move |conn| leases::change_hands(conn, &wanted, None)).await;
        // A transaction may still hold some, or the answer was lost: then this is tried again.
        let gone: BTreeSet<i16> = done.iter().flatten().map(|lease| lease.shard).collect();
        for lease in ended {
            if gone.contains(&lease.shard) {
                self.ending.remove(&lease);
            } else {
                self.ended.0.send(lease).ok();
            }
        }
        if !gone.is_empty() {
            self.outbox.put(Signal::Shards);
        }
        done.map(drop)
    }

    /// Notes what people may want to see.
    fn note(&self, nodes: &[NodeRow], shards: &[Holding], living: &BTreeSet<NodeId>) {
        let now = self.origin.elapsed();
        let standing = |row: &NodeRow| Standing {
            name: row.name.clone(),
            version: row.version.clone(),
            started_at: row.started_at,
            active_sellers: row.active_sellers,
            active_stores: row.active_stores,
            shards: shards.iter().filter(|shard| shard.holder == Some(row.id)).count(),
            renewed_for: self.watch.unchanged_for(row.id, now).unwrap_or_default(),
            is_leaving: row.is_leaving,
            is_gone: !living.contains(&row.id),
            is_here: row.id == self.id,
        };
        *self.kept.nodes.lock().unwrap_or_else(PoisonError::into_inner) = nodes.iter().map(standing).collect();
        debug_assert!(shards.is_empty() || shards.len() == SHARDS, "{} shards", shards.len());
    }

    /// Deletes the rows of nodes that have been gone for long.
    async fn forget(&mut self, rows: &[Renewed], living: &BTreeSet<NodeId>) -> crate::db::Result<()> {
        let now = self.origin.elapsed();
        let is_old = |node: &NodeId| self.watch.unchanged_for(*node, now).is_some_and(|of| of > self.sharing.lease * FORGOTTEN_AFTER);
        let gone: Vec<NodeId> = rows.iter().map(|row| row.node).filter(|node| !living.contains(node) && is_old(node)).collect();
        match gone.is_empty() {
            true => Ok(()),
            false => self.session.run(move |conn| leases::remove_nodes(conn, &gone)).await,
        }
    }
}
