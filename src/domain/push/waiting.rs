//! How a waiting push is made, merged into and superseded.
use super::{Push, PushKind, PushState};
use crate::domain::{ListingId, PushId, RunId, StoreId, Timestamp};

/// The listing that a push goes to, as it is paired when the push is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addressee {
    /// Its store.
    pub store_id: StoreId,
    /// The listing.
    pub listing_id: ListingId,
    /// Its SKU.
    pub sku: String,
    /// The platform's name of it.
    pub external_id: String,
    /// The connector's own fields of it, as JSON.
    pub extra: Option<String>,
}

impl PushState {
    /// Over, unless the seller retries a rejected one.
    pub fn has_ended(self) -> bool {
        !self.is_waiting() && !self.is_in_flight()
    }
}

impl Push {
    /// An increase, due now unless its store is held.
    pub fn increase(to: Addressee, units: i64, now: Timestamp, held: bool) -> Self {
        Self { quantity: Some(units), ..Self::waiting(PushKind::Increase, to, now, held) }
    }

    /// An overwrite, due now unless its store is held. Its target is read as it is sent.
    pub fn overwrite(to: Addressee, now: Timestamp, run: Option<RunId>, reason: Option<&str>, held: bool) -> Self {
        Self { run_id: run, reason: reason.map(str::to_owned), ..Self::waiting(PushKind::Overwrite, to, now, held) }
    }

    fn waiting(kind: PushKind, to: Addressee, now: Timestamp, held: bool) -> Self {
        let mut push = Self::new(kind, to.listing_id, to.store_id, &to.sku, &to.external_id, to.extra.as_deref(), now);
        if held {
            push.hold(now);
        }
        push
    }

    /// Its id; ids sort by creation.
    pub fn id(&self) -> PushId {
        self.id
    }

    /// The store it goes to.
    pub fn store_id(&self) -> StoreId {
        self.store_id
    }

    /// The listing it goes to.
    pub fn listing_id(&self) -> ListingId {
        self.listing_id
    }

    /// Units.
    pub fn quantity(&self) -> Option<i64> {
        self.quantity
    }

    /// Where it is in its life.
    pub fn state(&self) -> PushState {
        self.state
    }

    /// When it needs attention.
    pub fn due_at(&self) -> Option<Timestamp> {
        self.due_at
    }

    /// When it last changed.
    pub fn updated_at(&self) -> Timestamp {
        self.updated_at
    }

    /// The run it belongs to.
    pub fn run_id(&self) -> Option<RunId> {
        self.run_id
    }

    /// Whether its success is known.
    pub fn is_confirmed(&self) -> bool {
        self.state == PushState::Confirmed
    }

    /// Whether it waits for its store.
    pub fn is_held(&self) -> bool {
        self.state == PushState::Held
    }

    /// Whether it is absolute.
    pub fn is_overwrite(&self) -> bool {
        self.kind == PushKind::Overwrite
    }

    /// More units of the same listing become part of this waiting increase.
    pub fn add(&mut self, units: i64, now: Timestamp) {
        self.quantity = self.quantity.map(|own| own.saturating_add(units));
        self.updated_at = now;
    }

    /// Another push takes its place.
    pub fn supersede(&mut self, reason: &str, now: Timestamp) {
        self.superseded(reason, now);
    }
}

#[cfg(test)]
impl Push {
    /// The same push in another state, for tests of what others do with it.
    pub(in crate::domain) fn in_state(mut self, state: PushState) -> Self {
        self.state = state;
        self
    }
}
