//! What the nodes that share a database tell one another: that there may be work for sellers of another node.
//!
//! A signal is only a hint, like a message between actors: one that is lost is made up for when the other node next looks at the
//! rows. Signals of the same few milliseconds go into one notice of PostgreSQL.
use super::node::{Hint, LookForWork, Node};
use super::send::{send_asked, send_hint};
use super::standing::Poke;
use crate::db::{Changed, Db, Place};
use crate::domain::{SellerId, StoreId};
use actix::Addr;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// The pause after a failure of the connection.
const PAUSE: Duration = Duration::from_secs(1);
/// The most bytes in a notice; PostgreSQL allows 8,000.
const MAX_BYTES: usize = 7_900;
/// The most signals that wait to be sent. Others find the work of the rest when they next look.
const MAX_WAITING: usize = 10_000;

/// Something that other nodes should know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Signal {
    /// There may be work for this seller.
    Work(SellerId),
    /// Settings, stores, rules or runs of this seller may have changed.
    Configuration(SellerId),
    /// The seller has asked for a retry at this store.
    Asked(SellerId, StoreId),
    /// Shards can be taken.
    Shards,
    /// A node has not known for a while that others had taken over from it, and kept hints to itself.
    Look,
}

impl Signal {
    fn write(self, to: &mut String) {
        let id = |id: uuid::Uuid| id.simple();
        match self {
            Self::Work(seller) => write!(to, "w{}", id(seller.0)),
            Self::Configuration(seller) => write!(to, "c{}", id(seller.0)),
            Self::Asked(seller, store) => write!(to, "a{}{}", id(seller.0), id(store.0)),
            Self::Shards => write!(to, "s"),
            Self::Look => write!(to, "l"),
        }
        .ok();
        to.push(',');
    }

    /// `None` for what a later version may say.
    fn parse(text: &str) -> Option<Self> {
        let rest = text.get(1..)?;
        let id = |range: std::ops::Range<usize>| uuid::Uuid::try_parse(rest.get(range)?).ok();
        match (text.get(..1)?, rest.len()) {
            ("w", 32) => Some(Self::Work(SellerId(id(0..32)?))),
            ("c", 32) => Some(Self::Configuration(SellerId(id(0..32)?))),
            ("a", 64) => Some(Self::Asked(SellerId(id(0..32)?), StoreId(id(32..64)?))),
            ("s", 0) => Some(Self::Shards),
            ("l", 0) => Some(Self::Look),
            _ => None,
        }
    }
}

/// As few notices as possible.
fn notices(signals: &BTreeSet<Signal>) -> Vec<String> {
    let mut notices = vec![String::new()];
    for signal in signals {
        let mut text = String::new();
        signal.write(&mut text);
        match notices.last_mut() {
            Some(last) if last.len() + text.len() <= MAX_BYTES => last.push_str(&text),
            _ => notices.push(text),
        }
    }
    notices.retain(|notice| !notice.is_empty());
    notices
}

fn signals_in(notice: &str) -> impl Iterator<Item = Signal> {
    notice.split(',').filter_map(Signal::parse)
}

/// Signals that are about to be sent.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    waiting: Mutex<BTreeSet<Signal>>,
    bell: Notify,
}

impl Outbox {
    fn open(&self) -> MutexGuard<'_, BTreeSet<Signal>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn put(&self, signal: Signal) {
        let mut waiting = self.open();
        if waiting.len() < MAX_WAITING {
            waiting.insert(signal);
        }
        drop(waiting);
        self.bell.notify_one();
    }

    /// Something has changed for a seller of another node.
    pub(super) fn changed(&self, seller: SellerId, changed: Changed) {
        self.put(match changed {
            Changed::Work => Signal::Work(seller),
            Changed::Configuration => Signal::Configuration(seller),
        });
    }
}

/// Sends what is in the outbox, and passes on what concerns sellers of this process.
pub(super) async fn exchange(db: Db, nodes: Arc<[Addr<Node>]>, outbox: Arc<Outbox>, keeper: Arc<Poke>) {
    let mut line = db.notices();
    let mut was_lost = false;
    loop {
        tokio::select! {
            biased;
            () = outbox.bell.notified() => {}
            () = line.rung() => {}
        }
        let notices = notices(&std::mem::take(&mut *outbox.open()));
        match line.exchange(notices).await {
            Ok(heard) => {
                if std::mem::take(&mut was_lost) {
                    // Notices may have been missed.
                    look(&nodes);
                }
                let mut hints: BTreeMap<SellerId, bool> = BTreeMap::new();
                for signal in heard.iter().flat_map(|notice| signals_in(notice)) {
                    match signal {
                        Signal::Work(seller) => drop(hints.entry(seller).or_default()),
                        Signal::Configuration(seller) => drop(hints.insert(seller, true)),
                        Signal::Asked(seller, store) if is_here(&db, seller) => send_asked(&nodes, seller, vec![store]),
                        Signal::Asked(..) => {}
                        Signal::Shards => keeper.poke(),
                        Signal::Look => look(&nodes),
                    }
                }
                for (seller, reconfigure) in hints.into_iter().filter(|(seller, _)| is_here(&db, *seller)) {
                    send_hint(&nodes, Hint { seller, reconfigure });
                }
            }
            Err(error) => {
                if !was_lost {
                    tracing::warn!(%error, "notices from other nodes cannot be received; work for sellers of this node is found a little later");
                }
                was_lost = true;
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

fn look(nodes: &[Addr<Node>]) {
    nodes.iter().for_each(|node| drop(node.try_send(LookForWork)));
}

fn is_here(db: &Db, seller: SellerId) -> bool {
    matches!(db.held().place_of(seller), Place::Here(_))
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn signals_of_any_number_go_into_as_few_notices_as_possible_and_come_out_again() {
        let seller = |n: u128| SellerId(Uuid::from_u128(n));
        let mut signals: BTreeSet<Signal> = (0..500).map(|n| Signal::Work(seller(n))).collect();
        signals.extend([
            Signal::Configuration(seller(3)),
            Signal::Asked(seller(4), StoreId(Uuid::from_u128(9))),
            Signal::Shards,
            Signal::Look,
        ]);
        let notices = notices(&signals);
        assert_eq!(notices.len(), 3);
        assert!(notices.iter().all(|notice| notice.len() < 8000));
        assert_eq!(notices.iter().flat_map(|notice| signals_in(notice)).collect::<BTreeSet<_>>(), signals);
        assert_eq!(super::notices(&BTreeSet::new()), Vec::<String>::new());
    }

    #[test]
    fn what_a_later_version_says_is_ignored() {
        let known = signals_in("x,w12,s,,wé,what is this,a00000000000000000000000000000001,");
        assert_eq!(known.collect::<Vec<_>>(), [Signal::Shards]);
    }
}
