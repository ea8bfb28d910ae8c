//! What must hold where several nodes share the database, however they are disturbed.
use super::Checker;
use crate::journal::{Entry, State};
use crate::network::Shop;
use crate::nodes::{LeaseChange, LeaseLog, SHARDS, Sent};
use crate::world::nodes::LEASE;
use crate::world::{Verdict, World, fail};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::time::Instant;

/// Nodes look at the leases once a second: one sees the last renewal of a dead node that much later, and finds out that much later.
const FOUND_WITHIN: Duration = Duration::from_secs(4);
/// Nodes have settled so long after the last disturbance.
const SETTLED_AFTER: Duration = Duration::from_secs(15);

/// The shard of a seller, whose id is in hexadecimal digits.
fn shard_of(seller: &str) -> usize {
    usize::from_str_radix(&seller[26..28], 16).unwrap()
}

impl Checker<'_> {
    /// Everything that the history of the leases shows. Returns how many kills were followed by a takeover that could be checked.
    pub fn check_nodes(&self) -> Verdict<u64> {
        let Some(log) = self.world.lease_log() else { return Ok(0) };
        taken_in_time(&log)?;
        sent_by_holders(self.world, &log)?;
        claimed_by_holders(self.world, &log)?;
        found_out_by_the_next(self.world, &log)?;
        within_the_limit_of_the_app(self.world, &log)?;
        taken_over_after_a_kill(&log)
    }

    /// When requests were sent to a store within its limit. What a node sends for a store of another one, because somebody has it
    /// checked, is within a limit of its own.
    pub(super) fn sent_within_limit(&self, name: &str, shop: &Shop) -> Vec<Instant> {
        let Some(log) = self.world.lease_log() else { return shop.sent_at.clone() };
        let mut times = Vec::new();
        let note = |sent: &Sent, _, holder, _| {
            if sent.store == name && (sent.changes_something || holder == Some(sent.by)) {
                times.push(sent.at);
            }
            Ok(())
        };
        each_sent(self.world, &log, note).map(|()| times).unwrap_or_default()
    }

    /// All is quiet: the shards are spread evenly over the nodes that run.
    pub fn check_spread(&self) -> Verdict {
        let Some(log) = self.world.lease_log() else { return Ok(()) };
        let running = self.world.running();
        let mut counts: BTreeMap<u64, usize> = running.iter().map(|process| (*process, 0)).collect();
        for (shard, holder) in log.holders().into_iter().enumerate() {
            let Some(count) = holder.and_then(|holder| counts.get_mut(&holder)) else {
                return fail("shard without a node", format!("{shard} is held by {holder:?}, and {running:?} run"));
            };
            *count += 1;
        }
        let (least, most) = (counts.values().min().unwrap(), counts.values().max().unwrap());
        if most - least > 1 { fail("shards are not spread evenly", format!("{counts:?}")) } else { Ok(()) }
    }
}

/// A shard is taken from nobody who has renewed its leases within their time. What is renewed in the moment in which it is taken may
/// not have been seen; the epoch keeps the former holder from doing anything.
fn taken_in_time(log: &LeaseLog) -> Verdict {
    let (mut renewed, mut holders) = (BTreeMap::<u64, Vec<Instant>>::new(), [None; SHARDS]);
    for (at, change) in &log.changes {
        match change {
            LeaseChange::Renewed { by } => renewed.entry(*by).or_default().push(*at),
            LeaseChange::Deleted { of } => drop(renewed.remove(of)),
            LeaseChange::Holds { shard, by, .. } => {
                let before: Option<u64> = std::mem::replace(&mut holders[*shard], *by);
                let (Some(before), Some(by)) = (before, *by) else { continue };
                let seen = renewed.get(&before).and_then(|all| all.iter().rev().find(|renewed| *renewed < at));
                if let Some(seen) = seen.filter(|seen| before != by && *at - **seen < LEASE) {
                    let detail = format!("process {by} took shard {shard} from {before} {:?} after it was renewed", *at - *seen);
                    return fail("lease taken too early", detail);
                }
            }
        }
    }
    Ok(())
}

/// Calls `look` for each request with the store's shard, who holds that, and when the sender lost it, if it does not.
fn each_sent<'l>(
    world: &World,
    log: &'l LeaseLog,
    mut look: impl FnMut(&'l Sent, usize, Option<u64>, Option<Instant>) -> Verdict,
) -> Verdict {
    let mut holders = [None; SHARDS];
    let mut lost: BTreeMap<(usize, u64), Instant> = BTreeMap::new();
    let mut changes = log.changes.iter().enumerate().peekable();
    for sent in &log.sent {
        while let Some((_, (at, change))) = changes.next_if(|(n, _)| *n < sent.after) {
            let LeaseChange::Holds { shard, by, .. } = change else { continue };
            if let Some(before) = std::mem::replace(&mut holders[*shard], *by) {
                lost.insert((*shard, before), *at);
            }
        }
        let seller: usize = sent.store[1..].split('x').next().unwrap().parse().unwrap();
        let shard = shard_of(&world.sellers[seller].id);
        look(sent, shard, holders[shard], lost.get(&(shard, sent.by)).copied())?;
    }
    Ok(())
}

/// A request that changes something is sent by the node that holds the seller's shard, or by one that held it less than the lease time ago.
fn sent_by_holders(world: &World, log: &LeaseLog) -> Verdict {
    each_sent(world, log, |sent, shard, holder, lost_at| {
        let ago = lost_at.map(|at| sent.at - at);
        if !sent.changes_something || holder == Some(sent.by) || ago.is_some_and(|ago| ago < LEASE) {
            return Ok(());
        }
        let detail = format!("process {} called {} although {holder:?} holds shard {shard}; it lost it {ago:?} ago", sent.by, sent.store);
        fail("request of a node that does not hold the lease", detail)
    })
}

/// Pushes are claimed and finished by the node that holds the seller's shard, and by nobody else, not even for a moment.
fn claimed_by_holders(world: &World, log: &LeaseLog) -> Verdict {
    let mut holders = [None; SHARDS];
    let mut changes = log.changes.iter().enumerate().peekable();
    let mut sending: BTreeSet<&str> = BTreeSet::new();
    for (seq, entry) in &world.journal {
        let Entry::Push { seller, push } = entry else { continue };
        let is_sending = push.state == State::Sending;
        let was_sending = if is_sending { !sending.insert(&push.id) } else { sending.remove(push.id.as_str()) };
        let Some((_, author)) = log.authors.range(*seq..).next().filter(|_| is_sending != was_sending) else { continue };
        while let Some((_, (_, change))) = changes.next_if(|(n, _)| *n < author.after) {
            if let LeaseChange::Holds { shard, by, .. } = change {
                holders[*shard] = *by;
            }
        }
        let holder = holders[shard_of(seller)];
        if holder != Some(author.process) {
            let detail = format!("process {} changed it although {holder:?} holds its shard: {push:?}", author.process);
            return fail("push claimed or finished by a node that does not hold the lease", detail);
        }
    }
    Ok(())
}

/// What one process was sending is uncertain for the next.
fn found_out_by_the_next(world: &World, log: &LeaseLog) -> Verdict {
    let mut sending: BTreeMap<&str, u64> = BTreeMap::new();
    for (seq, entry) in &world.journal {
        let Entry::Push { push, .. } = entry else { continue };
        let Some((_, author)) = log.authors.range(*seq..).next() else { continue };
        let author = author.process;
        if push.state == State::Sending {
            sending.entry(push.id.as_str()).or_insert(author);
        } else if let Some(before) = sending.remove(push.id.as_str())
            && before != author
            && push.state != State::Uncertain
        {
            return fail("what another node was sending is not uncertain", format!("of process {before}, changed by {author}: {push:?}"));
        }
    }
    Ok(())
}

/// Where all stores share an app's limit, all nodes together keep to it, except for a while after their number has changed. Even then
/// they keep to twice as much.
fn within_the_limit_of_the_app(world: &World, log: &LeaseLog) -> Verdict {
    let Some((per_second, burst)) = world.setup().nodes.as_ref().and_then(|nodes| nodes.app) else { return Ok(()) };
    within(world, log, (per_second, burst), SETTLED_AFTER)?;
    within(world, log, (2.0 * per_second, 2 * burst), Duration::ZERO)
}

/// A bucket of this size and rate never runs dry, except for so long after a disturbance.
fn within(world: &World, log: &LeaseLog, (per_second, burst): (f64, u32), settled_after: Duration) -> Verdict {
    let mut sent: Vec<Instant> = world.network.state().shops.values().flat_map(|shop| shop.sent_at.clone()).collect();
    sent.sort_unstable();
    let (mut tokens, mut last) = (f64::from(burst), None::<Instant>);
    for at in sent {
        let passed = last.map_or(0.0, |last| (at - last).as_secs_f64());
        tokens = (tokens + passed * per_second).min(f64::from(burst)) - 1.0;
        last = Some(at);
        let since = log.disturbed.iter().rev().find(|disturbed| **disturbed <= at).map(|disturbed| at - *disturbed);
        if since.is_some_and(|since| since < settled_after) {
            tokens = f64::from(burst);
        } else if tokens < -1e-3 {
            return fail(
                "limit of the app exceeded",
                format!("{per_second}/s, burst {burst}, at {at:?}: {tokens}, {since:?} after a disturbance"),
            );
        }
    }
    Ok(())
}

/// The shards of a process that was killed have another holder soon after the lease time, if all other nodes are well and stay so.
fn taken_over_after_a_kill(log: &LeaseLog) -> Verdict<u64> {
    let mut checked = 0;
    for killed in &log.killed {
        let until = killed.at + LEASE + FOUND_WITHIN;
        let is_disturbed = |at: &Instant| *at != killed.at && *at + SETTLED_AFTER > killed.at && *at <= until;
        if !killed.others_are_well || log.disturbed.iter().any(is_disturbed) || until > Instant::now() {
            continue;
        }
        let held = |until: Instant| {
            let changes = log.changes.iter().take_while(|(at, _)| *at <= until);
            changes.fold([None; SHARDS], |mut holders, (_, change)| {
                if let LeaseChange::Holds { shard, by, .. } = change {
                    holders[*shard] = *by;
                }
                holders
            })
        };
        let (before, after) = (held(killed.at), held(until));
        let left: BTreeSet<usize> = (0..SHARDS).filter(|shard| before[*shard] == Some(killed.process)).collect();
        if let Some(shard) = left.iter().find(|shard| after[**shard].is_none_or(|by| by == killed.process)) {
            let detail =
                format!("process {} died at {:?}, and shard {shard} is still held by {:?}", killed.process, killed.at, after[*shard]);
            return fail("nobody has taken over in time", detail);
        }
        checked += u64::from(!left.is_empty());
    }
    Ok(checked)
}
