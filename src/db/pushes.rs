//! Pushes: listed, retried, cancelled, claimed and finished. Being written.
use super::{Result, Tenant};
use crate::domain::push::{Push, PushState};
use crate::domain::{ListingId, PushId, Sku, StoreId};

/// Which pushes to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PushFilter {
    /// In this state.
    pub state: Option<PushState>,
    /// Of this store.
    pub store_id: Option<StoreId>,
    /// Of this SKU.
    pub sku: Option<Sku>,
}

/// Which pushes to call off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CancelScope {
    /// All that auto-sync queued: increases, daily and initial runs; not manual runs.
    AutoSync,
    /// All of one store.
    Store(StoreId),
    /// All of one listing.
    Listing(ListingId),
}

impl Tenant<'_> {
    /// Newest first, from below `after`.
    ///
    /// # Errors
    /// Those of the database.
    pub fn list_pushes(&mut self, _filter: &PushFilter, _after: Option<PushId>, _limit: i64) -> Result<Vec<Push>> {
        Ok(Vec::new())
    }
    /// The newest push of each of these listings.
    ///
    /// # Errors
    /// Those of the database.
    pub fn last_pushes(&mut self, _listings: &[ListingId]) -> Result<Vec<Push>> {
        Ok(Vec::new())
    }
    /// Queues rejected or held pushes again: those with these ids, or all in this state. Returns how many.
    ///
    /// # Errors
    /// Those of the database.
    pub fn retry_pushes(&mut self, _ids: Option<&[PushId]>, _state: Option<PushState>, _now: i64) -> Result<usize> {
        Ok(0)
    }
    /// Calls off what waits; what is on its way is called off as soon as it is known not to have been applied.
    ///
    /// # Errors
    /// Those of the database.
    pub fn cancel_pushes(&mut self, _scope: CancelScope, _reason: &str, _now: i64) -> Result<usize> {
        Ok(0)
    }
    /// Holds what waits for this store (it was paused).
    ///
    /// # Errors
    /// Those of the database.
    pub fn hold_store(&mut self, _store: StoreId, _now: i64) -> Result<usize> {
        Ok(0)
    }
    /// Lets what is held for this store flow again, and takes the mark of refused credentials from it.
    ///
    /// # Errors
    /// Those of the database.
    pub fn release_store(&mut self, _store: StoreId, _now: i64) -> Result<usize> {
        Ok(0)
    }
}
