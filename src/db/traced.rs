//! The spans of a request's stock events in the ledger.
use super::ledger::{NewEvent, Recorded};
use crate::domain::SellerId;
use crate::traces::{self, Context, MAX_IDS, Value};
use tokio::time::Instant;

/// A request that is traced.
pub(super) struct Traced {
    pub context: Context,
    seller: SellerId,
    /// Since when the next of its events have been waiting.
    since: Instant,
    events: Vec<String>,
}

impl Traced {
    pub fn new(context: Context, seller: SellerId, events: &[NewEvent]) -> Self {
        let events = events.iter().take(MAX_IDS).map(|new| new.event.event_id.to_string()).collect();
        Self { context, seller, since: Instant::now(), events }
    }

    /// A part of its events was committed by a transaction that began then. What delivers its pushes goes on from here.
    pub fn committed(&mut self, part: &Recorded, began: Instant) {
        self.context.child_since("wait for the ledger", self.since).end_at(began);
        let mut commit = self.context.child_since("commit", began);
        commit.note("seller.id", Value::Text(self.seller.to_string()));
        commit.note("event.count", part.results.len());
        commit.note("event.ids", Value::Ids(self.events.clone()));
        commit.note("push.ids", Value::ids(&part.pushes));
        traces::remember(commit.context(), &part.pushes);
        self.since = Instant::now();
    }
}
