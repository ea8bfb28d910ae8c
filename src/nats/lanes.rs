//! Lanes: a seller's messages are recorded one after another, in the order in which they arrive, and those of different sellers at
//! once, so that they share commits.
use super::message::{Desk, Pause, answer};
use super::subject::seller;
use crate::domain::SellerId;
use async_nats::jetstream::{AckKind, Message};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

/// Where messages wait for their turn.
pub struct Lanes {
    desk: Arc<Desk>,
    lanes: HashMap<SellerId, Lane>,
    /// Bounds the messages that are held at a time.
    places: Arc<Semaphore>,
    tasks: TaskTracker,
}

/// The messages of one seller.
#[derive(Default)]
struct Lane {
    /// Handles the last message so far.
    last: Option<JoinHandle<()>>,
    pause: Arc<Mutex<Pause>>,
}

impl Lane {
    fn is_idle(&self, now: Instant) -> bool {
        self.last.as_ref().is_none_or(JoinHandle::is_finished)
            && self.pause.lock().unwrap_or_else(PoisonError::into_inner).is_forgotten(now)
    }
}

impl Lanes {
    /// Lanes that lead to this desk.
    pub fn to(desk: Arc<Desk>) -> Self {
        let places = Arc::new(Semaphore::new(desk.settings.at_once));
        Self { desk, lanes: HashMap::new(), places, tasks: TaskTracker::new() }
    }

    /// All places that are free, at least one.
    pub async fn free_places(&mut self) -> Option<OwnedSemaphorePermit> {
        let now = Instant::now();
        self.lanes.retain(|_, lane| !lane.is_idle(now));
        let mut free = Arc::clone(&self.places).acquire_owned().await.ok()?;
        let more = u32::try_from(self.places.available_permits()).unwrap_or(0);
        if let Ok(more) = Arc::clone(&self.places).try_acquire_many_owned(more) {
            free.merge(more);
        }
        Some(free)
    }

    /// Adds a message to its lane; it keeps its place until it is done.
    pub fn add(&mut self, message: Message, place: Option<OwnedSemaphorePermit>) {
        let desk = Arc::clone(&self.desk);
        let addressee = desk.settings.subjects.addressee(&message.subject).map(str::to_owned);
        let Some(seller) = addressee.as_deref().and_then(seller) else {
            self.tasks.spawn(async move {
                desk.refuse(addressee.as_deref(), &message).await;
                drop(place);
            });
            return;
        };
        let lane = self.lanes.entry(seller).or_default();
        let (before, pause) = (lane.last.take(), Arc::clone(&lane.pause));
        lane.last = Some(self.tasks.spawn(async move {
            let work = async {
                if let Some(before) = before {
                    // However it ended.
                    before.await.ok();
                }
                desk.handle(seller, &message, &pause).await;
            };
            keep(&message, desk.settings.ack_wait / 3, work).await;
            drop(place);
        }));
    }

    /// Waits until all messages are done.
    pub async fn finish(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// Says now and then that a message is being worked on. Otherwise those that wait here for longer than NATS does would be delivered
/// again and again, and the repeats would take the places of others.
async fn keep(message: &Message, every: Duration, work: impl Future<Output = ()>) {
    tokio::pin!(work);
    while tokio::time::timeout(every, &mut work).await.is_err() {
        answer(message, AckKind::Progress).await;
    }
}
