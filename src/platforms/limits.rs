//! Rate limits: governor's buckets on our clock, one for each store and one for each platform app.
//!
//! governor waits on a real timer, so nobody asks it to wait: a bucket is checked, and the pause that it names is
//! slept on tokio's clock, which tests may pause. A platform that throttles us makes the store wait as long as it says;
//! one that tells of its own bucket has ours made like it.
use super::{Facts, QuotaTold, RateLimit};
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
const MOST_BUCKETS: usize = 100_000;

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

fn bucket(limit: RateLimit) -> Bucket {
    let period = Duration::from_secs_f64(1.0 / limit.per_second.clamp(1e-6, 1e6));
    let burst = NonZeroU32::new(limit.burst).unwrap_or(NonZeroU32::MIN);
    // A period is never zero: the rate is clamped.
    let quota = Quota::with_period(period).unwrap_or(Quota::per_second(NonZeroU32::MIN)).allow_burst(burst);
    RateLimiter::direct_with_clock(quota, TokioClock)
}

/// Whose bucket.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    Store(StoreId),
    App(String),
}

struct Entry {
    /// As the connector states it; another statement begins a new bucket.
    stated: RateLimit,
    /// As the platform told it, or as stated.
    limit: RateLimit,
    bucket: Bucket,
    not_before: Option<Instant>,
    /// Points of permits whose answers are not there yet: what the platform told does not count them.
    in_flight: u32,
    used_at: Instant,
    /// Those who wait come in the order of their asking, so that an app's limit is shared fairly.
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl Entry {
    fn new(limit: RateLimit, now: Instant) -> Self {
        Self { stated: limit, limit, bucket: bucket(limit), not_before: None, in_flight: 0, used_at: now, turn: Arc::default() }
    }

    /// Takes `cost` points, or says how long to wait at least.
    fn take(&self, cost: u32) -> Result<(), Duration> {
        // A call that costs more than the whole bucket can only wait for a full one.
        let cost = NonZeroU32::new(cost.clamp(1, self.limit.burst.max(1))).unwrap_or(NonZeroU32::MIN);
        match self.bucket.check_n(cost) {
            Ok(Ok(())) => Ok(()),
            // tokio's timers have a resolution of a millisecond; never wake up too early.
            Ok(Err(not_until)) => Err(not_until.wait_time_from(TokioClock.now()).max(Duration::from_micros(100))),
            Err(_) => Err(Duration::from_secs(1)),
        }
    }

    /// A bucket of this limit with `available` points in it.
    fn refill(&mut self, limit: RateLimit, available: u32) {
        self.limit = limit;
        self.bucket = bucket(limit);
        if let Some(gone) = NonZeroU32::new(limit.burst.max(1).saturating_sub(available)) {
            self.bucket.check_n(gone).ok();
        }
    }
}

/// All the limits of a process.
#[derive(Default)]
pub struct Limits {
    entries: Mutex<HashMap<Key, Entry>>,
}

/// Leave to send one call. Until it is dropped its points count as on their way.
#[must_use]
#[derive(Debug)]
pub struct Permit {
    limits: Arc<Limits>,
    store: StoreId,
    cost: u32,
}

impl Permit {
    /// The platform told of its bucket in its answer to this permit's call.
    pub(super) fn learn(&self, told: QuotaTold) {
        self.limits.with(&Key::Store(self.store), |entry| {
            let limit = RateLimit { per_second: told.per_second, burst: told.burst.max(1) };
            let others = entry.in_flight.saturating_sub(self.cost);
            entry.refill(limit, told.available.saturating_sub(others));
        });
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let cost = self.cost;
        self.limits.with(&Key::Store(self.store), |entry| entry.in_flight = entry.in_flight.saturating_sub(cost));
    }
}

impl std::fmt::Debug for Limits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Limits").finish_non_exhaustive()
    }
}

impl Limits {
    /// Waits until the app's and the store's bucket give `cost` points and no pause is in force. Dropping the future
    /// gives nothing back: points that were taken are spent.
    pub async fn acquire(self: &Arc<Self>, store: StoreId, facts: &Facts, cost: u32) -> Permit {
        // The app's permit first: the store's comes right before sending, so that no window of the store's holds more.
        if let Some(app) = &facts.per_app {
            let key = Key::App(app.name.clone());
            let turn = self.entry(&key, app.limit, |entry| Arc::clone(&entry.turn));
            let _turn = turn.lock().await;
            while let Err(wait) = self.entry(&key, app.limit, |entry| entry.take(cost)) {
                tokio::time::sleep(wait).await;
            }
        }
        let key = Key::Store(store);
        let take = |entry: &mut Entry| entry.take(cost).inspect(|()| entry.in_flight = entry.in_flight.saturating_add(cost));
        // The bucket may be another one after each wait: the platform may have told of its own.
        while let Err(wait) = self.entry(&key, facts.per_store, take) {
            tokio::time::sleep(wait).await;
        }
        let permit = Permit { limits: Arc::clone(self), store, cost };
        loop {
            let pause = self.pause_of(store);
            if pause.is_zero() {
                return permit;
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// The platform asked us to let this store be for a while.
    pub fn pause(&self, store: StoreId, pause: Duration) {
        let until = Instant::now() + pause;
        self.with(&Key::Store(store), |entry| entry.not_before = Some(entry.not_before.map_or(until, |at| at.max(until))));
    }

    /// How long the next permit of this store will take at least, as far as is known without taking it.
    pub fn expected_wait(&self, store: StoreId) -> Duration {
        self.pause_of(store)
    }

    fn pause_of(&self, store: StoreId) -> Duration {
        let until = self.with(&Key::Store(store), |entry| entry.not_before).flatten();
        until.map_or(Duration::ZERO, |at| at.saturating_duration_since(Instant::now()))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Key, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(&self, key: &Key, then: impl FnOnce(&mut Entry) -> T) -> Option<T> {
        self.lock().get_mut(key).map(then)
    }

    /// The entry of `key`, made when it is not there, and made anew when its connector states another limit.
    fn entry<T>(&self, key: &Key, stated: RateLimit, then: impl FnOnce(&mut Entry) -> T) -> T {
        let now = Instant::now();
        let mut entries = self.lock();
        if entries.len() >= MOST_BUCKETS && !entries.contains_key(key) {
            let quiet = now.checked_sub(Duration::from_secs(3600)).unwrap_or(now);
            entries.retain(|_, entry| entry.used_at > quiet || entry.in_flight > 0);
        }
        let entry = entries.entry(key.clone()).or_insert_with(|| Entry::new(stated, now));
        entry.used_at = now;
        if entry.stated != stated {
            // The calls made under the old limit are not known to the new bucket: it begins empty.
            entry.stated = stated;
            entry.refill(stated, 0);
        }
        then(entry)
    }
}

#[cfg(test)]
mod tests {
    use super::super::AppLimit;
    use super::*;
    use crate::domain::delivery::Abilities;
    use uuid::Uuid;

    fn facts(per_second: f64, burst: u32, per_app: Option<AppLimit>) -> Facts {
        let abilities = Abilities { adjust: true, idempotency: true, compare_and_set: false, read: true, max_items: 1 };
        Facts { abilities, group_by: None, per_store: RateLimit { per_second, burst }, per_app }
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
        let limits = Arc::new(Limits::default());
        let store = StoreId(Uuid::from_u128(1));
        let began = Instant::now();
        let mut instants = Vec::new();
        for _ in 0..40 {
            drop(limits.acquire(store, &facts(2.5, 3, None), 1).await);
            instants.push(Instant::now());
        }
        assert_within(&instants, 2.5, 3.0);
        assert!(began.elapsed() < Duration::from_secs_f64(37.0 / 2.5 + 0.1), "and no more waiting than that");
    }

    #[tokio::test(start_paused = true)]
    async fn stores_of_one_app_share_its_bucket() {
        let limits = Arc::new(Limits::default());
        let app = Some(AppLimit { name: "x".into(), limit: RateLimit { per_second: 10.0, burst: 1 } });
        let mut instants = Vec::new();
        for n in 0..30u128 {
            drop(limits.acquire(StoreId(Uuid::from_u128(n % 5)), &facts(100.0, 10, app.clone()), 1).await);
            instants.push(Instant::now());
        }
        assert_within(&instants, 10.0, 1.0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_throttled_store_waits_as_long_as_the_platform_says() {
        let limits = Arc::new(Limits::default());
        let (store, other) = (StoreId(Uuid::from_u128(1)), StoreId(Uuid::from_u128(2)));
        drop(limits.acquire(store, &facts(100.0, 10, None), 1).await);
        limits.pause(store, Duration::from_secs(7));
        let began = Instant::now();
        drop(limits.acquire(other, &facts(100.0, 10, None), 1).await);
        assert_eq!(began.elapsed(), Duration::ZERO);
        drop(limits.acquire(store, &facts(100.0, 10, None), 1).await);
        assert!(began.elapsed() >= Duration::from_secs(7));
    }

    #[tokio::test(start_paused = true)]
    async fn the_bucket_is_what_the_platform_says_it_is() {
        let limits = Arc::new(Limits::default());
        let (store, stated) = (StoreId(Uuid::from_u128(1)), facts(100.0, 2000, None));
        let first = limits.acquire(store, &stated, 13).await;
        let second = limits.acquire(store, &stated, 13).await;
        // Someone else of the same app has used most of it; the second call is not in that number yet.
        first.learn(QuotaTold { per_second: 50.0, burst: 1000, available: 20 });
        drop((first, second));
        let began = Instant::now();
        drop(limits.acquire(store, &stated, 13).await);
        assert!(began.elapsed() >= Duration::from_millis(120), "7 are left, 13 are wanted, at 50/s: {:?}", began.elapsed());
        assert!(began.elapsed() < Duration::from_millis(130), "and no more waiting than that");
    }
}
