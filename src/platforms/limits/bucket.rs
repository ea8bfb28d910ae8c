//! One token bucket: governor's, on tokio's clock, which tests can pause.
use crate::platforms::connector::RateLimit;
use governor::clock::{Clock as GovernorClock, Reference};
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use std::num::NonZeroU32;
use std::ops::Add;
use std::time::Duration;
use tokio::time::Instant;

/// tokio's `Instant` with the traits that governor needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TokioInstant(Instant);

impl Add<Nanos> for TokioInstant {
    type Output = Self;
    fn add(self, other: Nanos) -> Self {
        Self(self.0 + Duration::from(other))
    }
}

impl Reference for TokioInstant {
    fn duration_since(&self, earlier: Self) -> Nanos {
        self.0.saturating_duration_since(earlier.0).into()
    }
    fn saturating_sub(&self, duration: Nanos) -> Self {
        Self(self.0.checked_sub(duration.into()).unwrap_or(self.0))
    }
}

/// tokio's clock in the form that governor needs.
#[derive(Debug, Clone, Default)]
pub struct TokioClock;

impl GovernorClock for TokioClock {
    type Instant = TokioInstant;
    fn now(&self) -> TokioInstant {
        TokioInstant(Instant::now())
    }
}

type Governor = RateLimiter<NotKeyed, InMemoryState, TokioClock, NoOpMiddleware<TokioInstant>>;

/// Bounds on rates and bursts, whatever a platform reports: a slower rate would stop a store forever, and the time to fill
/// a larger bucket would not fit in governor's 64 bits of nanoseconds.
const SLOWEST: f64 = 0.001;
const FASTEST: f64 = 1e6;
const LARGEST: u32 = 10_000_000;

pub(super) fn within_bounds(limit: RateLimit) -> RateLimit {
    let per_second = if limit.per_second.is_nan() { SLOWEST } else { limit.per_second.clamp(SLOWEST, FASTEST) };
    RateLimit { per_second, burst: limit.burst.clamp(1, LARGEST) }
}

/// A limit within bounds, and fast enough to fill an empty bucket within `longest`: no store waits longer for a call.
pub(super) fn full_within(longest: Duration, limit: RateLimit) -> RateLimit {
    let limit = within_bounds(limit);
    RateLimit { per_second: limit.per_second.max(f64::from(limit.burst) / longest.as_secs_f64()), ..limit }
}

/// The time that a bucket within bounds takes to gain one point.
fn period(limit: RateLimit) -> Duration {
    Duration::from_secs_f64(1.0 / limit.per_second)
}

/// A bucket that also knows when it will be full again; governor reveals that only to those who take points.
pub(super) struct Bucket {
    pub(super) limit: RateLimit,
    governor: Governor,
    full_at: Instant,
}

impl Bucket {
    /// A bucket that holds `available` points.
    pub(super) fn new(limit: RateLimit, available: u32) -> Self {
        let limit = within_bounds(limit);
        let period = period(limit);
        let burst = NonZeroU32::new(limit.burst).unwrap_or(NonZeroU32::MIN);
        // The period is never zero, because the rate is clamped.
        let quota = Quota::with_period(period).unwrap_or(Quota::per_second(NonZeroU32::MIN)).allow_burst(burst);
        let mut bucket = Self { limit, governor: RateLimiter::direct_with_clock(quota, TokioClock), full_at: Instant::now() };
        let spent = burst.get().saturating_sub(available);
        if spent > 0 {
            bucket.take(spent);
        }
        bucket
    }

    /// A bucket that was empty `filled_for` ago and has been filling since.
    pub(super) fn filling(limit: RateLimit, filled_for: Duration) -> Self {
        let limit = within_bounds(limit);
        Self::new(limit, u32::try_from(filled_for.as_nanos() / period(limit).as_nanos().max(1)).unwrap_or(u32::MAX))
    }

    /// A call that costs more than a full bucket waits for a full one.
    fn bounded(&self, cost: u32) -> NonZeroU32 {
        NonZeroU32::new(cost.min(self.limit.burst)).unwrap_or(NonZeroU32::MIN)
    }

    /// Takes `cost` points if they are all there.
    pub(super) fn take(&mut self, cost: u32) -> bool {
        let cost = self.bounded(cost);
        let taken = matches!(self.governor.check_n(cost), Ok(Ok(())));
        if taken {
            self.full_at = self.full_at.max(Instant::now()) + period(self.limit).saturating_mul(cost.get());
        }
        taken
    }

    /// When it was empty, had it filled ever since without losing any point.
    pub(super) fn empty_at(&self) -> Option<Instant> {
        let whole = period(self.limit).saturating_mul(self.limit.burst);
        Instant::now().checked_sub(whole.saturating_sub(self.wait(self.limit.burst)))
    }

    /// The time until the bucket holds `cost` points.
    pub(super) fn wait(&self, cost: u32) -> Duration {
        let rest = self.limit.burst.saturating_sub(self.bounded(cost).get());
        self.full_at.saturating_duration_since(Instant::now()).saturating_sub(period(self.limit).saturating_mul(rest))
    }
}
