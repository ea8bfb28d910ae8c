//! Rate limits: governor's buckets on our clock, one for each store and one for each platform app.
//!
//! governor waits on a real timer, so nobody asks it to wait: a bucket is checked, and the pause that it names is
//! slept on tokio's clock, which tests may pause. A platform that throttles us makes the store wait as long as it says.
use super::{Facts, RateLimit};
use crate::domain::StoreId;
use governor::clock::{Clock as GovernorClock, Reference};
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use std::collections::HashMap;
use std::num::NonZeroU32;
use std::ops::Add;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Buckets kept at most; those of stores that have been quiet for long are forgotten first.
const MOST_STORES: usize = 100_000;

/// tokio's instant, for governor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(Instant);

impl Add<Nanos> for Moment {
    type Output = Self;
    fn add(self, other: Nanos) -> Self {
        Self(self.0 + Duration::from(other))
    }
}

impl Reference for Moment {
    fn duration_since(&self, earlier: Self) -> Nanos {
        self.0.saturating_duration_since(earlier.0).into()
    }
    fn saturating_sub(&self, duration: Nanos) -> Self {
        Self(self.0.checked_sub(duration.into()).unwrap_or(self.0))
    }
}

/// tokio's clock, for governor.
#[derive(Debug, Clone, Default)]
pub struct TokioClock;

impl GovernorClock for TokioClock {
    type Instant = Moment;
    fn now(&self) -> Moment {
        Moment(Instant::now())
    }
}

type Bucket = RateLimiter<NotKeyed, InMemoryState, TokioClock, NoOpMiddleware<Moment>>;

fn period(limit: RateLimit) -> Duration {
    Duration::from_secs_f64(1.0 / limit.per_second.clamp(1e-6, 1e6))
}

fn bucket(limit: RateLimit) -> Arc<Bucket> {
    let period = period(limit);
    let burst = NonZeroU32::new(limit.burst).unwrap_or(NonZeroU32::MIN);
    // A period is never zero: the rate is clamped.
    let quota = Quota::with_period(period).unwrap_or(Quota::per_second(NonZeroU32::MIN)).allow_burst(burst);
    Arc::new(RateLimiter::direct_with_clock(quota, TokioClock))
}

struct StoreLimit {
    limit: RateLimit,
    bucket: Arc<Bucket>,
    not_before: Option<Instant>,
    /// When the bucket will be full again: what governor keeps too, but tells nobody who does not take a permit.
    full_at: Instant,
    used_at: Instant,
}

/// All the limits of a process.
#[derive(Default)]
pub struct Limits {
    stores: Mutex<HashMap<StoreId, StoreLimit>>,
    apps: Mutex<HashMap<String, (RateLimit, Arc<Bucket>)>>,
}

impl Limits {
    /// Waits until the store's and the app's bucket both give a permit and no pause is in force. Dropping the future
    /// gives nothing back: a permit that was taken is spent.
    pub async fn acquire(&self, store: StoreId, platform: &str, facts: &Facts) {
        let of_store = self.store_bucket(store, facts.per_store);
        let of_app = facts.per_app.map(|limit| self.app_bucket(platform, limit));
        // The app's permit first: it is the one that others want as well, and the store's comes right before sending.
        if let Some(app) = &of_app {
            wait_for(app).await;
        }
        wait_for(&of_store).await;
        self.note_permit(store);
        loop {
            let pause = self.pause_of(store);
            if pause.is_zero() {
                return;
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// The platform asked us to let this store be for a while.
    pub fn pause(&self, store: StoreId, pause: Duration) {
        let until = Instant::now() + pause;
        let mut stores = self.stores.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = stores.get_mut(&store) {
            entry.not_before = Some(entry.not_before.map_or(until, |at| at.max(until)));
        }
    }

    /// How long the next permit of this store will take at least, as far as is known without taking it.
    pub fn expected_wait(&self, store: StoreId) -> Duration {
        let now = Instant::now();
        let stores = self.stores.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(entry) = stores.get(&store) else { return Duration::ZERO };
        let burst = period(entry.limit).saturating_mul(entry.limit.burst.saturating_sub(1));
        let of_bucket = entry.full_at.saturating_duration_since(now).saturating_sub(burst);
        let of_pause = entry.not_before.map_or(Duration::ZERO, |at| at.saturating_duration_since(now));
        of_bucket.max(of_pause)
    }

    fn note_permit(&self, store: StoreId) {
        let now = Instant::now();
        let mut stores = self.stores.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = stores.get_mut(&store) {
            entry.full_at = entry.full_at.max(now) + period(entry.limit);
        }
    }

    fn pause_of(&self, store: StoreId) -> Duration {
        let stores = self.stores.lock().unwrap_or_else(PoisonError::into_inner);
        let until = stores.get(&store).and_then(|entry| entry.not_before);
        until.map_or(Duration::ZERO, |at| at.saturating_duration_since(Instant::now()))
    }

    fn store_bucket(&self, store: StoreId, limit: RateLimit) -> Arc<Bucket> {
        let now = Instant::now();
        let mut stores = self.stores.lock().unwrap_or_else(PoisonError::into_inner);
        if stores.len() >= MOST_STORES && !stores.contains_key(&store) {
            let quiet = now.checked_sub(Duration::from_secs(3600)).unwrap_or(now);
            stores.retain(|_, entry| entry.used_at > quiet);
        }
        let entry = stores.entry(store).or_insert_with(|| StoreLimit {
            limit,
            bucket: bucket(limit),
            not_before: None,
            full_at: now,
            used_at: now,
        });
        entry.used_at = now;
        if entry.limit != limit {
            // The calls made under the old limit are not known to the new bucket: it begins empty.
            entry.limit = limit;
            entry.bucket = bucket(limit);
            while entry.bucket.check().is_ok() {}
            entry.full_at = now + period(limit).saturating_mul(limit.burst);
        }
        Arc::clone(&entry.bucket)
    }

    fn app_bucket(&self, platform: &str, limit: RateLimit) -> Arc<Bucket> {
        let mut apps = self.apps.lock().unwrap_or_else(PoisonError::into_inner);
        let (known, of_app) = apps.entry(platform.to_owned()).or_insert_with(|| (limit, bucket(limit)));
        if *known != limit {
            *known = limit;
            *of_app = bucket(limit);
        }
        Arc::clone(of_app)
    }
}

async fn wait_for(bucket: &Bucket) {
    while let Err(not_until) = bucket.check() {
        let wait = not_until.wait_time_from(TokioClock.now());
        // tokio's timers have a resolution of a millisecond; never wake up too early.
        tokio::time::sleep(wait.max(Duration::from_micros(100))).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::delivery::Abilities;
    use uuid::Uuid;

    fn facts(per_second: f64, burst: u32, per_app: Option<RateLimit>) -> Facts {
        let abilities = Abilities { adjust: true, idempotency: true, compare_and_set: false, read: true, max_items: 1 };
        Facts { abilities, per_store: RateLimit { per_second, burst }, per_app }
    }

    /// Over every window from one permit to another: at most burst + rate × time.
    fn assert_within(instants: &[Instant], per_second: f64, burst: f64) {
        for (i, from) in instants.iter().enumerate() {
            for (j, to) in instants.iter().enumerate().skip(i) {
                let calls = (j - i + 1) as f64;
                assert!(calls <= burst + per_second * (*to - *from).as_secs_f64() + 1e-6, "{calls} calls from {i} to {j}");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn no_window_holds_more_calls_than_the_bucket_allows() {
        let limits = Limits::default();
        let store = StoreId(Uuid::from_u128(1));
        let began = Instant::now();
        let mut instants = Vec::new();
        for _ in 0..40 {
            let expected = Instant::now() + limits.expected_wait(store);
            limits.acquire(store, "x", &facts(2.5, 3, None)).await;
            let late = Instant::now().saturating_duration_since(expected);
            assert!(Instant::now() >= expected && late < Duration::from_millis(3), "it was foretold, {late:?}");
            instants.push(Instant::now());
        }
        assert_within(&instants, 2.5, 3.0);
        assert!(began.elapsed() < Duration::from_secs_f64(37.0 / 2.5 + 0.1), "and no more waiting than that");
    }

    #[tokio::test(start_paused = true)]
    async fn stores_of_one_app_share_its_bucket() {
        let limits = Limits::default();
        let app = Some(RateLimit { per_second: 10.0, burst: 1 });
        let mut instants = Vec::new();
        for n in 0..30u128 {
            limits.acquire(StoreId(Uuid::from_u128(n % 5)), "x", &facts(100.0, 10, app)).await;
            instants.push(Instant::now());
        }
        assert_within(&instants, 10.0, 1.0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_throttled_store_waits_as_long_as_the_platform_says() {
        let limits = Limits::default();
        let (store, other) = (StoreId(Uuid::from_u128(1)), StoreId(Uuid::from_u128(2)));
        limits.acquire(store, "x", &facts(100.0, 10, None)).await;
        limits.pause(store, Duration::from_secs(7));
        let began = Instant::now();
        limits.acquire(other, "x", &facts(100.0, 10, None)).await;
        assert_eq!(began.elapsed(), Duration::ZERO);
        limits.acquire(store, "x", &facts(100.0, 10, None)).await;
        assert!(began.elapsed() >= Duration::from_secs(7));
    }
}
