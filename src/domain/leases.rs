//! Which node works for which sellers, where several nodes share a database.
//!
//! * A seller belongs to one of [`SHARDS`] shards for good. A node works for the sellers of the shards that it holds.
//! * Each node renews a number in its own row about once a second. A node is *gone* once another one has watched its number stay
//!   the same for the lease time, on the watching node's own monotonic clock. Nobody compares wall clocks.
//! * Time that a node did not watch, because it was frozen or the database did not answer it, does not count: otherwise all nodes
//!   would take one another's shards after an outage of the database.
//! * The shards of nodes that are gone, and those that nobody holds, are shared out so that the numbers of any two nodes differ by
//!   at most one. Nodes with more than that give some up; no shard moves that need not.
//! * A node that is leaving gives up all its shards and takes none.
//!
//! All nodes compute this from the same rows. Where they differ for a moment, the rows decide: a shard is taken only from the
//! epoch that was read, and the taking begins another.
use super::{NodeId, SellerId};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How many shards there are.
pub const SHARDS: usize = 256;

/// The shard of a seller, for good.
pub fn shard_of(seller: SellerId) -> i16 {
    // The first bytes of a UUIDv7 are time, the last four are random. The last two choose the thread within a process, so that
    // the sellers of one node's shards are spread over all its threads.
    let [.., shard, _, _] = *seller.0.as_bytes();
    i16::from(shard)
}

/// A shard, held by a node from a certain moment on. Whoever holds it next has a greater epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lease {
    /// The shard.
    pub shard: i16,
    /// Which holding of the shard this is.
    pub epoch: i64,
}

/// A node, as its row says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Renewed {
    /// The node.
    pub node: NodeId,
    /// What it renews.
    pub renewal: i64,
    /// Whether it gives up its shards and takes no others.
    pub is_leaving: bool,
}

/// A shard, as its row says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holding {
    /// The shard and its epoch.
    pub lease: Lease,
    /// Who holds it, if anybody.
    pub holder: Option<NodeId>,
}

/// A renewal, and for how long it has been watched without a change.
#[derive(Debug, Clone, Copy)]
struct Watched {
    renewal: i64,
    /// On the watching node's monotonic clock; later than it really was if there was time that does not count.
    since: Duration,
}

/// What a node has seen of the others' renewals. Instants are times since the node started, on its monotonic clock.
#[derive(Debug)]
pub struct Watch {
    /// A node whose renewal stays the same for so long is gone.
    lease: Duration,
    looked_at: Option<Duration>,
    seen: BTreeMap<NodeId, Watched>,
}

impl Watch {
    /// Has seen nothing yet.
    pub fn new(lease: Duration) -> Self {
        Self { lease, looked_at: None, seen: BTreeMap::new() }
    }

    /// The longest pause between two looks during which the nodes count as watched.
    pub fn longest_pause(&self) -> Duration {
        self.lease / 2
    }

    /// Notes these rows, which were read between `began` and `ended`, and returns the nodes that are not gone.
    pub fn look(&mut self, rows: &[Renewed], (began, ended): (Duration, Duration)) -> BTreeSet<NodeId> {
        let pause = self.looked_at.map_or(Duration::ZERO, |at| began.saturating_sub(at));
        if pause > self.longest_pause() {
            self.seen.values_mut().for_each(|watched| watched.since += pause);
        }
        self.looked_at = Some(ended);
        let before = std::mem::take(&mut self.seen);
        let watched = |row: &Renewed| match before.get(&row.node) {
            Some(watched) if watched.renewal == row.renewal => (row.node, *watched),
            // It may have been renewed at any time until the rows were read.
            _ => (row.node, Watched { renewal: row.renewal, since: ended }),
        };
        self.seen = rows.iter().map(watched).collect();
        let is_here = |(_, watched): &(&NodeId, &Watched)| began.saturating_sub(watched.since) < self.lease;
        self.seen.iter().filter(is_here).map(|(node, _)| *node).collect()
    }

    /// For how long this node's renewal has been watched without a change.
    pub fn unchanged_for(&self, node: NodeId, now: Duration) -> Option<Duration> {
        self.seen.get(&node).map(|watched| now.saturating_sub(watched.since))
    }
}

/// What a node does about the shards next.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Shards of nobody, or of nodes that are gone: to be taken from these epochs.
    pub take: Vec<Lease>,
    /// Its own shards that others are to hold.
    pub give_up: Vec<Lease>,
}

/// What node `me` does, given these rows and the nodes that are `living`. It counts itself among them.
pub fn plan(me: NodeId, nodes: &[Renewed], living: &BTreeSet<NodeId>, shards: &[Holding]) -> Plan {
    let is_leaving = |node: NodeId| nodes.iter().any(|row| row.node == node && row.is_leaving);
    let of = |node: NodeId| shards.iter().filter(move |shard| shard.holder == Some(node)).map(|shard| shard.lease);
    if is_leaving(me) {
        return Plan { take: Vec::new(), give_up: of(me).collect() };
    }
    let is_living = |node: NodeId| node == me || living.contains(&node);
    let mut held: BTreeMap<NodeId, usize> = nodes
        .iter()
        .map(|row| row.node)
        .filter(|node| is_living(*node) && !is_leaving(*node))
        .map(|node| (node, of(node).count()))
        .collect();
    held.entry(me).or_insert_with(|| of(me).count());
    let mut free = shards.iter().filter(|shard| shard.holder.is_none_or(|holder| !is_living(holder))).map(|shard| shard.lease);
    let least = shards.len() / held.len();
    // So many nodes hold one shard more.
    let larger = shards.len() % held.len();
    let most = least + usize::from(larger > 0);
    let mut plan = Plan::default();
    for most in [least, most] {
        // The second time, as many as may hold one more.
        let mut places = larger.saturating_sub(held.values().filter(|count| **count > least).count());
        for (node, count) in &mut held {
            while *count < most && (most == least || places > 0) {
                let Some(lease) = free.next() else { break };
                *count += 1;
                places = places.saturating_sub(1);
                if *node == me {
                    plan.take.push(lease);
                }
            }
        }
    }
    let mine = held.get(&me).copied().unwrap_or(0);
    let is_one_too_many = || {
        let full: Vec<&NodeId> = held.iter().filter(|(_, count)| **count == most).map(|(node, _)| node).collect();
        let all_fit = held.values().all(|count| *count <= most);
        all_fit && held.values().any(|count| *count < least) && full.iter().skip(larger).any(|node| **node == me)
    };
    let surplus = match mine.checked_sub(most) {
        Some(0) | None => usize::from(is_one_too_many() && most > least),
        Some(surplus) => surplus,
    };
    plan.give_up = of(me).collect::<Vec<_>>().into_iter().rev().take(surplus).collect();
    plan
}

#[cfg(test)]
mod tests;
