//! Counts the open streams of this node and limits them, in total and by seller.
use super::error::ApiError;
use crate::domain::SellerId;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A stream closes at this age; its reader must then authenticate again.
pub(super) const MAX_AGE: Duration = Duration::from_secs(15 * 60);
const MAX_PER_SELLER: usize = 20;
const MAX_PER_NODE: usize = 1000;

/// The number of open streams of each seller.
#[derive(Debug, Default, Clone)]
pub struct Streams(Arc<Mutex<HashMap<SellerId, usize>>>);

/// Counts one open stream until it is dropped.
#[derive(Debug)]
pub(super) struct Ticket {
    streams: Streams,
    seller: SellerId,
}

impl Streams {
    fn map(&self) -> MutexGuard<'_, HashMap<SellerId, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn take(&self, seller: SellerId) -> Result<Ticket, ApiError> {
        let mut map = self.map();
        if map.values().sum::<usize>() >= MAX_PER_NODE {
            return Err(ApiError::unavailable("Too many streams are open."));
        }
        let own = map.entry(seller).or_default();
        if *own >= MAX_PER_SELLER {
            return Err(ApiError::quota(MAX_AGE));
        }
        *own += 1;
        Ok(Ticket { streams: self.clone(), seller })
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut map = self.streams.map();
        if let Some(own) = map.get_mut(&self.seller) {
            *own -= 1;
            if *own == 0 {
                map.remove(&self.seller);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_streams_of_a_seller_are_limited_until_one_closes() {
        let streams = Streams::default();
        let (one, other) = (SellerId(uuid::Uuid::from_u128(1)), SellerId(uuid::Uuid::from_u128(2)));
        let tickets: Vec<Ticket> = (0..MAX_PER_SELLER).map(|_| streams.take(one).unwrap()).collect();
        assert!(streams.take(one).is_err());
        assert!(streams.take(other).is_ok());
        drop(tickets);
        assert!(streams.take(one).is_ok());
        assert!(streams.map().is_empty());
    }
}
