//! The request quota: one token bucket per seller, so that no seller slows down another.
use super::error::ApiError;
use crate::domain::SellerId;
use crate::platforms::limits::TokioClock;
use governor::clock::Clock as _;
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota as Rate, RateLimiter};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};

type Buckets =
    RateLimiter<SellerId, DashMapStateStore<SellerId>, TokioClock, NoOpMiddleware<<TokioClock as governor::clock::Clock>::Instant>>;

/// After this many requests, buckets that are full again are removed from memory.
const CLEAN_UP_EVERY: u32 = 100_000;

/// The buckets of all sellers.
pub struct Quota {
    buckets: Buckets,
    checked: AtomicU32,
}

impl Quota {
    /// Allows each seller `per_second` requests per second, and bursts of twice as many.
    pub fn new(per_second: u32) -> Self {
        let rate = NonZeroU32::new(per_second).unwrap_or(NonZeroU32::MIN);
        let burst = NonZeroU32::new(per_second.saturating_mul(2)).unwrap_or(NonZeroU32::MIN);
        Self { buckets: RateLimiter::dashmap_with_clock(Rate::per_second(rate).allow_burst(burst), TokioClock), checked: AtomicU32::new(0) }
    }

    /// Takes one request from the seller's bucket; if it is empty, returns 429 with the time to wait.
    pub fn check(&self, seller: SellerId) -> Result<(), ApiError> {
        if self.checked.fetch_add(1, Ordering::Relaxed) % CLEAN_UP_EVERY == CLEAN_UP_EVERY - 1 {
            self.buckets.retain_recent();
        }
        self.buckets.check_key(&seller).map_err(|not_until| ApiError::quota(not_until.wait_time_from(TokioClock.now())))
    }
}
