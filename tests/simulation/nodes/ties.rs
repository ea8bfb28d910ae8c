//! What ties a node to the rest of the world: it can be frozen as by SIGSTOP, and be cut off from the database or from the platforms.
use super::leases::LeaseLog;
use super::notices::Bus;
use futures_util::future::BoxFuture;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use stocktide::db::{Error, Result};
use stocktide::domain::ids::IdOrder;
use tokio::sync::Notify;

/// How long work waits for a database that is silent before its connection counts as lost.
const SILENT_FOR: Duration = Duration::from_secs(5);

/// How a connection is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// At once.
    Refused,
    /// Nothing is answered any more.
    Silent,
}

#[derive(Debug, Clone, Copy, Default)]
struct Status {
    frozen: bool,
    dead: bool,
    database: Option<Cut>,
    platforms: Option<Cut>,
}

pub struct Ties {
    /// Counts the processes of a story.
    pub number: u64,
    pub log: Arc<Mutex<LeaseLog>>,
    pub bus: Arc<Bus>,
    status: Mutex<Status>,
    /// Rung in the order in which tasks began to wait. (A `watch` channel would wake them in a random order.)
    changed: Notify,
    /// What has to be polled once it is not frozen any more.
    frozen: Mutex<Vec<Waker>>,
    order: IdOrder,
    pub(super) inbox: Mutex<Vec<String>>,
    pub(super) bell: Notify,
}

/// The error of a node that is cut off from its database.
fn cut_off() -> Error {
    Error::Unavailable("the node is cut off from the database".to_owned())
}

impl Ties {
    pub fn new(number: u64, seed: u64, log: &Arc<Mutex<LeaseLog>>, bus: &Arc<Bus>) -> Arc<Self> {
        let ties = Arc::new(Self {
            number,
            log: Arc::clone(log),
            bus: Arc::clone(bus),
            status: Mutex::default(),
            changed: Notify::new(),
            frozen: Mutex::default(),
            order: IdOrder::drawn_from(seed.wrapping_mul(1_000_033).wrapping_add(number << 40)),
            inbox: Mutex::default(),
            bell: Notify::new(),
        });
        bus.join(&ties);
        ties
    }

    pub fn log(&self) -> MutexGuard<'_, LeaseLog> {
        self.log.lock().unwrap()
    }

    fn status(&self) -> Status {
        *self.status.lock().unwrap()
    }

    /// Changes something, and changes it back after a while.
    fn change_for(self: &Arc<Self>, ms: u64, change: fn(&mut Status, Option<Cut>), to: Option<Cut>) {
        self.change(change, to);
        let ties = Arc::clone(self);
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(ms)).await;
            ties.change(change, None);
        });
    }

    fn change(&self, change: fn(&mut Status, Option<Cut>), to: Option<Cut>) {
        self.log().note_disturbance();
        change(&mut self.status.lock().unwrap(), to);
        self.changed.notify_waiters();
        if !self.status().frozen {
            std::mem::take(&mut *self.frozen.lock().unwrap()).into_iter().for_each(Waker::wake);
        }
        // A connection that was lost is noticed.
        self.bell.notify_one();
    }

    /// Nothing of it goes on for so long.
    pub fn freeze(self: &Arc<Self>, for_ms: u64) {
        self.change_for(for_ms, |status, to| status.frozen = to.is_some(), Some(Cut::Silent));
    }

    pub fn cut_from_database(self: &Arc<Self>, how: Cut, for_ms: u64) {
        self.change_for(for_ms, |status, to| status.database = to, Some(how));
    }

    pub fn cut_from_platforms(self: &Arc<Self>, how: Cut, for_ms: u64) {
        self.change_for(for_ms, |status, to| status.platforms = to, Some(how));
    }

    /// Whatever was done to it ends.
    pub fn mend(&self) {
        self.change(|status, _| *status = Status { dead: status.dead, ..Status::default() }, None);
    }

    /// Its process has died.
    pub fn die(&self) {
        self.change(|status, _| *status = Status { dead: true, ..Status::default() }, None);
    }

    pub fn is_frozen(&self) -> bool {
        self.status().frozen
    }

    pub fn is_dead(&self) -> bool {
        self.status().dead
    }

    pub fn is_well(&self) -> bool {
        let Status { frozen, dead, database, platforms } = self.status();
        !frozen && !dead && database.is_none() && platforms.is_none()
    }

    pub fn hears(&self) -> bool {
        !self.is_dead() && self.status().database.is_none()
    }

    pub fn platforms(&self) -> Option<Cut> {
        self.status().platforms
    }

    /// The node does what comes next on this thread.
    pub fn goes_on(&self) {
        self.order.take_over_this_thread();
    }

    async fn until(&self, is_met: impl Fn(&Status) -> bool) {
        until(&self.changed, || is_met(&self.status())).await;
    }

    /// Before work on the database.
    pub async fn reach_database(&self) -> Result<()> {
        self.until(|status| !status.frozen).await;
        let cut = self.status().database;
        if cut == Some(Cut::Silent) {
            tokio::time::timeout(SILENT_FOR, self.until(|status| status.database.is_none())).await.ok();
            self.until(|status| !status.frozen).await;
        }
        if cut.is_some() || self.is_dead() {
            self.inbox.lock().unwrap().clear();
            return Err(cut_off());
        }
        self.goes_on();
        Ok(())
    }

    /// After it.
    pub async fn hear_from_database(&self) -> Result<()> {
        self.until(|status| !status.frozen).await;
        let cut = self.status().database;
        self.goes_on();
        if cut.is_some() || self.is_dead() { Err(cut_off()) } else { Ok(()) }
    }
}

/// Returns once this holds; `changed` is rung when it may.
pub(super) async fn until(changed: &Notify, holds: impl Fn() -> bool) {
    while !holds() {
        changed.notified().await;
    }
}

/// Stands still while its node is frozen.
pub struct OfNode<F> {
    work: Pin<Box<F>>,
    ties: Arc<Ties>,
}

impl<F: Future> OfNode<F> {
    pub fn new(work: F, ties: &Arc<Ties>) -> Self {
        Self { work: Box::pin(work), ties: Arc::clone(ties) }
    }
}

impl<F: Future> Future for OfNode<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        if self.ties.is_frozen() {
            self.ties.frozen.lock().unwrap().push(cx.waker().clone());
            return Poll::Pending;
        }
        self.ties.goes_on();
        self.work.as_mut().poll(cx)
    }
}

/// Returns when other nodes may have said something.
pub fn rung(ties: &Arc<Ties>) -> BoxFuture<'static, ()> {
    let ties = Arc::clone(ties);
    Box::pin(async move { ties.bell.notified().await })
}
