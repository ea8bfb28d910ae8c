//! Carries notices between nodes, in the place of PostgreSQL, and loses some.
use super::ties::{Ties, until};
use crate::story::Rng;
use rand::RngExt;
use std::sync::{Arc, Mutex, Weak};
use tokio::sync::Notify;
use tokio::time::Instant;

pub struct Bus {
    nodes: Mutex<Vec<Weak<Ties>>>,
    /// Until when notices are lost, and which.
    losses: Mutex<(Option<Instant>, Rng)>,
    pub lost: Mutex<u64>,
    /// Nobody looks after the leases, because nothing would come of it for a long time.
    idle: Mutex<bool>,
    busy: Notify,
}

impl Bus {
    pub fn new(rng: Rng) -> Arc<Self> {
        let (nodes, lost, idle, losses) = (Mutex::default(), Mutex::default(), Mutex::default(), Mutex::new((None, rng)));
        Arc::new(Self { nodes, losses, lost, idle, busy: Notify::new() })
    }

    pub(super) fn join(&self, node: &Arc<Ties>) {
        let mut nodes = self.nodes.lock().unwrap();
        nodes.retain(|node| node.upgrade().is_some_and(|node| !node.is_dead()));
        nodes.push(Arc::downgrade(node));
    }

    /// Most notices are lost until then.
    pub fn lose_until(&self, until: Option<Instant>) {
        self.losses.lock().unwrap().0 = until;
    }

    pub fn loses(&self) -> bool {
        self.losses.lock().unwrap().0.is_some_and(|until| until > Instant::now())
    }

    fn is_lost(&self) -> bool {
        let lost = self.loses() && self.losses.lock().unwrap().1.random_bool(0.8);
        *self.lost.lock().unwrap() += u64::from(lost);
        lost
    }

    pub fn set_idle(&self, idle: bool) {
        *self.idle.lock().unwrap() = idle;
        self.busy.notify_waiters();
    }

    pub fn is_idle(&self) -> bool {
        *self.idle.lock().unwrap()
    }

    pub async fn until_busy(&self) {
        until(&self.busy, || !self.is_idle()).await;
    }

    /// Tells all nodes, and returns what this one has been told.
    pub fn exchange(&self, node: &Ties, said: &[String]) -> Vec<String> {
        for other in self.nodes.lock().unwrap().iter().filter_map(Weak::upgrade).filter(|other| other.hears()) {
            for notice in said {
                if !self.is_lost() {
                    other.inbox.lock().unwrap().push(notice.clone());
                    other.bell.notify_one();
                }
            }
        }
        std::mem::take(&mut node.inbox.lock().unwrap())
    }
}
