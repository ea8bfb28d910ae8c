//! What a seller may ask for in a time: one bucket of requests and one of rows per seller, so that no seller slows down
//! another, whether by many requests or by large ones.
use super::error::ApiError;
use crate::domain::SellerId;
use crate::domain::limits::MAX_BULK;
use crate::domain::pace::Pace;
use crate::platforms::limits::TokioClock;
use governor::clock::Clock as _;
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota as Rate, RateLimiter};
use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

type Buckets =
    RateLimiter<SellerId, DashMapStateStore<SellerId>, TokioClock, NoOpMiddleware<<TokioClock as governor::clock::Clock>::Instant>>;

/// After this many requests, buckets that are full again are removed from memory.
const CLEAN_UP_EVERY: u32 = 100_000;

/// The buckets of all sellers.
pub struct Quota {
    requests: Buckets,
    rows: Buckets,
    checked: AtomicU32,
    /// Of the sellers for whom the operator has set a pace of rows of their own.
    own: Mutex<HashMap<SellerId, Pace>>,
    /// How many those are, so that nobody else waits for the lock.
    own_count: AtomicUsize,
    began: Instant,
}

fn buckets(per_second: u32, at_least: u32) -> Buckets {
    let rate = NonZeroU32::new(per_second).unwrap_or(NonZeroU32::MIN);
    let burst = NonZeroU32::new(per_second.saturating_mul(2).max(at_least)).unwrap_or(NonZeroU32::MIN);
    RateLimiter::dashmap_with_clock(Rate::per_second(rate).allow_burst(burst), TokioClock)
}

impl Quota {
    /// Allows each seller so many requests and rows per second, and bursts of twice as many; two of the largest bulk
    /// requests are a burst that is always allowed.
    pub fn new(requests_per_second: u32, rows_per_second: u32) -> Self {
        let largest = u32::try_from(MAX_BULK).unwrap_or(u32::MAX);
        Self {
            requests: buckets(requests_per_second, 1),
            rows: buckets(rows_per_second, largest.saturating_mul(2)),
            checked: AtomicU32::new(0),
            own: Mutex::default(),
            own_count: AtomicUsize::new(0),
            began: Instant::now(),
        }
    }

    fn own(&self) -> MutexGuard<'_, HashMap<SellerId, Pace>> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes the rows per second that the operator allows this seller, if it is not the same as for all.
    fn note_own(&self, seller: SellerId, per_second: Option<i64>) {
        if per_second.is_none() && self.own_count.load(Ordering::Relaxed) == 0 {
            return;
        }
        let (mut own, now) = (self.own(), self.began.elapsed());
        let per_second = per_second.map(|rows| u32::try_from(rows).unwrap_or(u32::MAX));
        match (per_second, own.get(&seller)) {
            (Some(rows), Some(pace)) if pace.per_second() == rows => {}
            (Some(rows), _) => drop(own.insert(seller, Pace::new(rows, now))),
            (None, _) => drop(own.remove(&seller)),
        }
        self.own_count.store(own.len(), Ordering::Relaxed);
    }

    /// Takes one request from the seller's bucket; if it is empty, returns 429 with the time to wait. `rows_per_second` is what the
    /// operator allows the seller in the place of what all sellers may.
    pub fn check(&self, seller: SellerId, rows_per_second: Option<i64>) -> Result<(), ApiError> {
        self.note_own(seller, rows_per_second);
        if self.checked.fetch_add(1, Ordering::Relaxed) % CLEAN_UP_EVERY == CLEAN_UP_EVERY - 1 {
            self.requests.retain_recent();
            self.rows.retain_recent();
            // Whoever sends the next request is noted again.
            let (mut own, now) = (self.own(), self.began.elapsed());
            own.retain(|_, pace| !pace.is_unused(now));
            self.own_count.store(own.len(), Ordering::Relaxed);
        }
        self.requests.check_key(&seller).map_err(|not_until| ApiError::quota(not_until.wait_time_from(TokioClock.now())))
    }

    /// Takes the rows of a bulk request, such as its stock events, from the seller's bucket; if it does not hold as many,
    /// takes none and returns 429 with the time to wait.
    pub fn check_rows(&self, seller: SellerId, rows: usize) -> Result<(), ApiError> {
        let Some(rows) = u32::try_from(rows).ok().and_then(NonZeroU32::new) else { return Ok(()) };
        if self.own_count.load(Ordering::Relaxed) > 0
            && let Some(pace) = self.own().get_mut(&seller)
        {
            return pace.take(rows.get(), self.began.elapsed()).map_err(ApiError::quota);
        }
        match self.rows.check_key_n(&seller, rows) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(not_until)) => Err(ApiError::quota(not_until.wait_time_from(TokioClock.now()))),
            // More than a burst; the limit of rows in a request is lower.
            Err(_) => Err(ApiError::quota(Duration::from_secs(1))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[actix_web::test]
    async fn rows_count_against_a_quota_of_their_own_and_a_refused_request_takes_none() {
        tokio::time::pause();
        let (quota, seller) = (Quota::new(1000, 100), SellerId(uuid::Uuid::from_u128(1)));
        assert!(quota.check_rows(seller, MAX_BULK).is_ok() && quota.check_rows(seller, MAX_BULK).is_ok());
        let refused = quota.check_rows(seller, 1000).unwrap_err();
        assert_eq!(refused.retry_after_s(), Some(10));
        assert!(quota.check_rows(seller, 0).is_ok() && quota.check(seller, None).is_ok());
        assert!(quota.check_rows(SellerId(uuid::Uuid::from_u128(2)), 1).is_ok());
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert!(quota.check_rows(seller, 1000).is_ok());
    }

    #[actix_web::test]
    async fn a_seller_with_a_pace_of_its_own_is_held_to_it_and_nobody_else_is() {
        tokio::time::pause();
        let quota = Quota::new(1000, 100);
        let (slow, other) = (SellerId(uuid::Uuid::from_u128(1)), SellerId(uuid::Uuid::from_u128(2)));
        assert!(quota.check(slow, Some(5)).is_ok() && quota.check(other, None).is_ok());
        assert!(quota.check_rows(slow, 10).is_ok() && quota.check_rows(other, 1000).is_ok());
        assert_eq!(quota.check_rows(slow, 5).unwrap_err().retry_after_s(), Some(1));
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(quota.check(slow, Some(5)).is_ok() && quota.check_rows(slow, 5).is_ok());
        assert!(quota.check(slow, None).is_ok() && quota.check_rows(slow, 1000).is_ok(), "the limit was taken away");
    }
}
