//! Bounds how much runs at once for each seller.
use crate::domain::SellerId;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Sellers are forgotten in steps of this many.
const SWEEP_AT: usize = 1000;

/// At most so many things at once for each seller.
#[derive(Debug)]
pub struct Places {
    at_once: usize,
    /// The sellers with something under way or waiting.
    sellers: Mutex<HashMap<SellerId, Weak<Semaphore>>>,
}

/// A place that is taken until this is dropped.
#[derive(Debug)]
pub struct Place(#[expect(dead_code, reason = "held until it is dropped")] OwnedSemaphorePermit);

impl Places {
    /// `at_once` places for each seller.
    pub fn new(at_once: usize) -> Self {
        Self { at_once, sellers: Mutex::default() }
    }

    fn of(&self, seller: SellerId) -> Arc<Semaphore> {
        let mut sellers = self.sellers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(places) = sellers.get(&seller).and_then(Weak::upgrade) {
            return places;
        }
        if sellers.len() >= SWEEP_AT {
            sellers.retain(|_, places| places.strong_count() > 0);
        }
        let places = Arc::new(Semaphore::new(self.at_once));
        sellers.insert(seller, Arc::downgrade(&places));
        places
    }

    /// A place, if one is free now.
    pub fn try_take(&self, seller: SellerId) -> Option<Place> {
        self.of(seller).try_acquire_owned().ok().map(Place)
    }

    /// A place, as soon as one is free and everyone who came earlier has had one; `None` after this long.
    pub async fn take(&self, seller: SellerId, within: Duration) -> Option<Place> {
        tokio::time::timeout(within, self.of(seller).acquire_owned()).await.ok()?.ok().map(Place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[tokio::test(start_paused = true)]
    async fn a_seller_that_takes_all_its_places_waits_for_one_and_others_do_not() {
        let (places, within) = (Places::new(2), Duration::from_secs(2));
        let [busy, other] = [1, 2].map(|n| SellerId(Uuid::from_u128(n)));
        let (first, _second) = (places.try_take(busy).unwrap(), places.take(busy, within).await.unwrap());
        assert!(places.try_take(busy).is_none() && places.take(busy, within).await.is_none());
        assert!(places.try_take(other).is_some());
        drop(first);
        assert!(places.take(busy, within).await.is_some());
    }

    #[test]
    fn sellers_without_anything_under_way_are_forgotten() {
        let places = Places::new(1);
        let seller = |n: usize| SellerId(Uuid::from_u128(n as u128));
        let kept = places.try_take(seller(0));
        for n in 1..3 * SWEEP_AT {
            places.try_take(seller(n)).unwrap();
        }
        assert!(places.sellers.lock().unwrap().len() <= SWEEP_AT + 1);
        assert!(places.try_take(seller(0)).is_none());
        drop(kept);
    }
}
