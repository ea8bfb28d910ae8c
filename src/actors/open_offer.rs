//! The call that a store's actor offers to the increases that are recorded next; see [`Offer`].
use super::store_config::StoreConfig;
use crate::db::delivery::{Offered, Offers};
use crate::domain::offer::Offer;
use crate::domain::{CallId, Timestamp};
use actix::SpawnHandle;
use std::sync::Arc;

enum Place {
    /// Where the ledger finds it.
    Open,
    /// With the actor, which may offer it again.
    Aside(Offered),
    /// A transaction has taken it. Whether the call is made is not known yet.
    Taken,
}

/// An offer of one store's actor.
pub(super) struct OpenOffer {
    offer: Offer,
    config: Arc<StoreConfig>,
    place: Place,
    /// What waits for the call.
    waits: SpawnHandle,
}

impl OpenOffer {
    /// Offers `offered`, which was made with this configuration.
    pub(super) fn new(offers: &Offers, config: Arc<StoreConfig>, offered: Offered, waits: SpawnHandle) -> Self {
        let offer = offered.offer;
        offers.put(config.store.id, offered);
        Self { offer, config, place: Place::Open, waits }
    }

    pub(super) fn call(&self) -> CallId {
        self.offer.call
    }

    pub(super) fn offer(&self) -> &Offer {
        &self.offer
    }

    pub(super) fn config(&self) -> &Arc<StoreConfig> {
        &self.config
    }

    pub(super) fn is_taken(&self) -> bool {
        matches!(self.place, Place::Taken)
    }

    /// No transaction takes it from now on. True if one has done so since this was asked last.
    pub(super) fn withdraw(&mut self, offers: &Offers) -> bool {
        if !matches!(self.place, Place::Open) {
            return false;
        }
        self.place = offers.withdraw(self.config.store.id, self.offer.call).map_or(Place::Taken, Place::Aside);
        self.is_taken()
    }

    /// Offers it again, after [`Self::withdraw`], if it still holds at `now` and with this configuration. False if not.
    pub(super) fn renew(&mut self, offers: &Offers, config: &Arc<StoreConfig>, now: Timestamp) -> bool {
        if !Arc::ptr_eq(config, &self.config) || !self.offer.is_valid(now) {
            return false;
        }
        match std::mem::replace(&mut self.place, Place::Open) {
            Place::Aside(offered) => offers.put(self.config.store.id, offered),
            other => self.place = other,
        }
        true
    }

    /// Ends it, after [`Self::withdraw`]: what waits for the call has to be cancelled.
    pub(super) fn end(self) -> SpawnHandle {
        self.waits
    }
}
