//! Rate limits: governor's buckets on our clock, one for each store and one for each platform app.
//!
//! governor waits on a real timer, so nobody asks it to wait: the pause is slept on tokio's clock, which tests may pause. A platform that throttles us makes the store wait as long as it says.
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
use std::sync::{Mutex, PoisonError};
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

/// A bucket, and when it will be full again: governor keeps that too, but tells nobody who does not take a permit.
struct Gate {
    limit: RateLimit,
    bucket: Bucket,
    full_at: Instant,
}

impl Gate {
    /// A bucket that has been filling for `filled_for` since it was empty.
    fn new(limit: RateLimit, filled_for: Duration) -> Self {
        let period = period(limit);
        let burst = NonZeroU32::new(limit.burst).unwrap_or(NonZeroU32::MIN);
        // A period is never zero: the rate is clamped.
        let quota = Quota::with_period(period).unwrap_or(Quota::per_second(NonZeroU32::MIN)).allow_burst(burst);
        let mut gate = Self { limit, bucket: RateLimiter::direct_with_clock(quota, TokioClock), full_at: Instant::now() };
        let filled = u32::try_from(filled_for.as_nanos() / period.as_nanos().max(1)).unwrap_or(u32::MAX);
        for _ in filled..burst.get() {
            gate.take();
        }
        gate
    }

    /// Follows a changed limit. The calls made under the old one are not known to the new bucket: it begins empty.
    fn follow(&mut self, limit: RateLimit) {
        if self.limit != limit {
            *self = Self::new(limit, Duration::ZERO);
        }
    }

    fn take(&mut self) -> bool {
        let taken = self.bucket.check().is_ok();
        if taken {
            self.full_at = self.full_at.max(Instant::now()) + period(self.limit);
        }
        taken
    }

    /// How long until there is a permit.
    fn wait(&self) -> Duration {
        let all_but_one = period(self.limit).saturating_mul(self.limit.burst.saturating_sub(1));
        self.full_at.saturating_duration_since(Instant::now()).saturating_sub(all_but_one)
    }
}

struct StoreLimit {
    gate: Gate,
    not_before: Option<Instant>,
    used_at: Instant,
}

impl StoreLimit {
    fn wait(&self) -> Duration {
        let pause = self.not_before.map_or(Duration::ZERO, |at| at.saturating_duration_since(Instant::now()));
        self.gate.wait().max(pause)
    }
}

/// All the limits of a process.
///
/// What a process before this one has sent is not known here: buckets begin empty, and fill from the start of the
/// process on. So a restart, or one after another, never lets more through than the bucket allows.
pub struct Limits {
    began_at: Instant,
    stores: Mutex<HashMap<StoreId, StoreLimit>>,
    apps: Mutex<HashMap<String, Gate>>,
}

impl Default for Limits {
    fn default() -> Self {
        Self { began_at: Instant::now(), stores: Mutex::default(), apps: Mutex::default() }
    }
}

impl Limits {
    /// Waits until the store's and the app's bucket both give a permit and no pause is in force. All three are looked at
    /// in one instant: a permit taken before a wait for another would be used beside those that came in meanwhile.
    /// Dropping the future after it is ready gives nothing back.
    pub async fn acquire(&self, store: StoreId, platform: &str, facts: &Facts) {
        loop {
            let wait = self.try_acquire(store, platform, facts);
            if wait.is_zero() {
                return;
            }
            tokio::time::sleep(wait).await;
        }
    }

    /// Takes a permit, or says when to try again.
    fn try_acquire(&self, store: StoreId, platform: &str, facts: &Facts) -> Duration {
        self.with_gates(store, platform, facts, |of_store, of_app| {
            let wait = wait_of(of_store, of_app.as_deref());
            if wait.is_zero() && of_store.gate.take() && of_app.is_none_or(Gate::take) {
                return Duration::ZERO;
            }
            // Never at once: where governor counts a nanosecond otherwise than we do it has the last word.
            wait.max(Duration::from_micros(100))
        })
    }

    /// How long the next permit of this store will take at least, as far as is known without taking it.
    pub fn expected_wait(&self, store: StoreId, platform: &str, facts: &Facts) -> Duration {
        self.with_gates(store, platform, facts, |of_store, of_app| wait_of(of_store, of_app.as_deref()))
    }

    fn with_gates<T>(
        &self,
        store: StoreId,
        platform: &str,
        facts: &Facts,
        work: impl FnOnce(&mut StoreLimit, Option<&mut Gate>) -> T,
    ) -> T {
        let (now, filled_for) = (Instant::now(), self.began_at.elapsed());
        let mut stores = self.stores.lock().unwrap_or_else(PoisonError::into_inner);
        let mut apps = self.apps.lock().unwrap_or_else(PoisonError::into_inner);
        if stores.len() >= MOST_STORES && !stores.contains_key(&store) {
            let quiet = now.checked_sub(Duration::from_secs(3600)).unwrap_or(now);
            stores.retain(|_, entry| entry.used_at > quiet);
        }
        let of_store = stores.entry(store).or_insert_with(|| StoreLimit {
            gate: Gate::new(facts.per_store, filled_for),
            not_before: None,
            used_at: now,
        });
        of_store.used_at = now;
        of_store.gate.follow(facts.per_store);
        let of_app = facts.per_app.map(|limit| {
            let gate = apps.entry(platform.to_owned()).or_insert_with(|| Gate::new(limit, filled_for));
            gate.follow(limit);
            gate
        });
        work(of_store, of_app)
    }

    /// The platform asked us to let this store be for a while.
    pub fn pause(&self, store: StoreId, pause: Duration) {
        let until = Instant::now() + pause;
        let mut stores = self.stores.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = stores.get_mut(&store) {
            entry.not_before = Some(entry.not_before.map_or(until, |at| at.max(until)));
        }
    }
}

fn wait_of(of_store: &StoreLimit, of_app: Option<&Gate>) -> Duration {
    of_store.wait().max(of_app.map_or(Duration::ZERO, Gate::wait))
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
        tokio::time::sleep(Duration::from_secs(60)).await;
        let began = Instant::now();
        let mut instants = Vec::new();
        for _ in 0..40 {
            let expected = Instant::now() + limits.expected_wait(store, "x", &facts(2.5, 3, None));
            limits.acquire(store, "x", &facts(2.5, 3, None)).await;
            let late = Instant::now().saturating_duration_since(expected);
            assert!(Instant::now() >= expected && late < Duration::from_millis(3), "it was foretold, {late:?}");
            instants.push(Instant::now());
        }
        assert_within(&instants, 2.5, 3.0);
        assert!(began.elapsed() < Duration::from_secs_f64(37.0 / 2.5 + 0.1), "and no more waiting than that");
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_does_not_save_up_a_permit() {
        let limits = Limits::default();
        let store = StoreId(Uuid::from_u128(1));
        let mut instants = Vec::new();
        for n in 0..20 {
            limits.acquire(store, "x", &facts(2.0, 3, None)).await;
            instants.push(Instant::now());
            if n % 5 == 0 {
                limits.pause(store, Duration::from_secs(3));
            }
        }
        assert_within(&instants, 2.0, 3.0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_process_begins_with_empty_buckets() {
        let store = StoreId(Uuid::from_u128(1));
        let mut instants = Vec::new();
        for _ in 0..5 {
            let limits = Limits::default();
            for _ in 0..4 {
                limits.acquire(store, "x", &facts(2.0, 3, None)).await;
                instants.push(Instant::now());
            }
        }
        assert_within(&instants, 2.0, 3.0);
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
        tokio::time::sleep(Duration::from_secs(60)).await;
        limits.acquire(store, "x", &facts(100.0, 10, None)).await;
        limits.pause(store, Duration::from_secs(7));
        let began = Instant::now();
        limits.acquire(other, "x", &facts(100.0, 10, None)).await;
        assert_eq!(began.elapsed(), Duration::ZERO);
        limits.acquire(store, "x", &facts(100.0, 10, None)).await;
        assert!(began.elapsed() >= Duration::from_secs(7));
    }
}
