//! What a seller may ask for in a time: one bucket of requests and one of rows per seller, so that no seller slows down
//! another, whether by many requests or by large ones.
use super::error::ApiError;
use crate::domain::SellerId;
use crate::domain::limits::MAX_BULK;
use crate::platforms::limits::TokioClock;
use governor::clock::Clock as _;
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota as Rate, RateLimiter};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

type Buckets =
    RateLimiter<SellerId, DashMapStateStore<SellerId>, TokioClock, NoOpMiddleware<<TokioClock as governor::clock::Clock>::Instant>>;

/// After this many requests, buckets that are full again are removed from memory.
const CLEAN_UP_EVERY: u32 = 100_000;

/// The buckets of all sellers.
pub struct Quota {
    requests: Buckets,
    rows: Buckets,
    checked: AtomicU32,
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
        }
    }

    /// Takes one request from the seller's bucket; if it is empty, returns 429 with the time to wait.
    pub fn check(&self, seller: SellerId) -> Result<(), ApiError> {
        if self.checked.fetch_add(1, Ordering::Relaxed) % CLEAN_UP_EVERY == CLEAN_UP_EVERY - 1 {
            self.requests.retain_recent();
            self.rows.retain_recent();
        }
        self.requests.check_key(&seller).map_err(|not_until| ApiError::quota(not_until.wait_time_from(TokioClock.now())))
    }

    /// Takes the rows of a bulk request, such as its stock events, from the seller's bucket; if it does not hold as many,
    /// takes none and returns 429 with the time to wait.
    pub fn check_rows(&self, seller: SellerId, rows: usize) -> Result<(), ApiError> {
        let Some(rows) = u32::try_from(rows).ok().and_then(NonZeroU32::new) else { return Ok(()) };
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
        assert!(quota.check_rows(seller, 0).is_ok() && quota.check(seller).is_ok());
        assert!(quota.check_rows(SellerId(uuid::Uuid::from_u128(2)), 1).is_ok());
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert!(quota.check_rows(seller, 1000).is_ok());
    }
}
