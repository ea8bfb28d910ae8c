//! Rate limits: governor's buckets on our clock, one for each store and one for each platform app.
//!
//! governor waits on a real timer, so nobody asks it to wait: the pause is slept on tokio's clock, which tests may pause.
//! A platform that throttles us makes the store wait as long as it says; one that tells of its own bucket has ours made
//! like it.
use super::{Facts, RateLimit, ReportedQuota};
use crate::domain::StoreId;
use governor::clock::{Clock as GovernorClock, Reference};
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroU32;
use std::ops::Add;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Buckets kept at most, of stores and of apps; those that have been quiet for long are forgotten first.
const MOST_BUCKETS: usize = 100_000;
/// Different costs that one store's calls are known to have at most.
const MOST_COSTS: usize = 32;
/// How long a bucket must have been quiet to be forgotten.
const QUIET: Duration = Duration::from_secs(3600);

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

/// Rates and buckets that are reckoned with, whatever a platform tells: slower ones would stop a store for good, and a
/// larger bucket's time to fill would not fit governor's 64 bits of nanoseconds.
const SLOWEST: f64 = 0.001;
const FASTEST: f64 = 1e6;
const LARGEST: u32 = 10_000_000;

fn within_bounds(limit: RateLimit) -> RateLimit {
    let per_second = if limit.per_second.is_nan() { SLOWEST } else { limit.per_second.clamp(SLOWEST, FASTEST) };
    RateLimit { per_second, burst: limit.burst.clamp(1, LARGEST) }
}

/// The time in which a bucket within bounds gets one point.
fn period(limit: RateLimit) -> Duration {
    Duration::from_secs_f64(1.0 / limit.per_second)
}

/// A bucket, and when it will be full again: governor keeps that too, but tells nobody who does not take a permit.
struct Gate {
    limit: RateLimit,
    bucket: Bucket,
    full_at: Instant,
}

impl Gate {
    /// A bucket with so many points in it.
    fn new(limit: RateLimit, available: u32) -> Self {
        let limit = within_bounds(limit);
        let period = period(limit);
        let burst = NonZeroU32::new(limit.burst).unwrap_or(NonZeroU32::MIN);
        // A period is never zero: the rate is clamped.
        let quota = Quota::with_period(period).unwrap_or(Quota::per_second(NonZeroU32::MIN)).allow_burst(burst);
        let mut gate = Self { limit, bucket: RateLimiter::direct_with_clock(quota, TokioClock), full_at: Instant::now() };
        let gone = burst.get().saturating_sub(available);
        if gone > 0 {
            gate.take(gone);
        }
        gate
    }

    /// A bucket that has been filling for `filled_for` since it was empty.
    fn filling(limit: RateLimit, filled_for: Duration) -> Self {
        let limit = within_bounds(limit);
        Self::new(limit, u32::try_from(filled_for.as_nanos() / period(limit).as_nanos().max(1)).unwrap_or(u32::MAX))
    }

    /// What a call that costs more than the whole bucket can wait for is a full one.
    fn bounded(&self, cost: u32) -> NonZeroU32 {
        NonZeroU32::new(cost.min(self.limit.burst)).unwrap_or(NonZeroU32::MIN)
    }

    fn take(&mut self, cost: u32) -> bool {
        let cost = self.bounded(cost);
        let taken = matches!(self.bucket.check_n(cost), Ok(Ok(())));
        if taken {
            self.full_at = self.full_at.max(Instant::now()) + period(self.limit).saturating_mul(cost.get());
        }
        taken
    }

    /// How long until there are `cost` points in it.
    fn wait(&self, cost: u32) -> Duration {
        let others = self.limit.burst.saturating_sub(self.bounded(cost).get());
        self.full_at.saturating_duration_since(Instant::now()).saturating_sub(period(self.limit).saturating_mul(others))
    }
}

struct Entry {
    gate: Gate,
    /// As the connector states it; another statement begins a new bucket, whatever the platform told since.
    stated: RateLimit,
    not_before: Option<Instant>,
    /// Points of permits whose answers are not there yet: what the platform told does not count them.
    in_flight: u32,
    used_at: Instant,
    /// What calls cost by the platform's own account, by what the connector states.
    told_costs: BTreeMap<u32, u32>,
}

impl Entry {
    fn new(limit: RateLimit, filled_for: Duration, now: Instant) -> Self {
        let gate = Gate::filling(limit, filled_for);
        Self { gate, stated: limit, not_before: None, in_flight: 0, used_at: now, told_costs: BTreeMap::new() }
    }

    /// What a call costs that is stated to cost `stated`.
    fn cost(&self, stated: u32) -> u32 {
        self.told_costs.get(&stated).copied().unwrap_or(stated)
    }

    /// The platform asked `told` points for a call stated to cost `stated`. Calls of one statement may differ, so the
    /// dearer one is believed at once, and a cheaper one by halves.
    fn learn_cost(&mut self, stated: u32, told: u32) {
        let known = self.cost(stated);
        if known != told && (self.told_costs.len() < MOST_COSTS || self.told_costs.contains_key(&stated)) {
            self.told_costs.insert(stated, if told > known { told } else { told.midpoint(known) });
        }
    }

    fn wait(&self, stated: u32) -> Duration {
        let pause = self.not_before.map_or(Duration::ZERO, |at| at.saturating_duration_since(Instant::now()));
        self.gate.wait(self.cost(stated)).max(pause)
    }
}

/// The bucket of an app, and the queue of its stores.
struct App {
    entry: Entry,
    turn: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Default)]
struct Buckets {
    stores: HashMap<StoreId, Entry>,
    apps: HashMap<String, App>,
}

/// All the limits of a process.
///
/// What a process before this one has sent is not known here: buckets begin empty, and fill from the start of the
/// process on. So a restart, or one after another, never lets more through than the bucket allows.
pub struct Limits {
    began_at: Instant,
    buckets: Mutex<Buckets>,
}

impl Default for Limits {
    fn default() -> Self {
        Self { began_at: Instant::now(), buckets: Mutex::default() }
    }
}

impl std::fmt::Debug for Limits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Limits").finish_non_exhaustive()
    }
}

/// Leave to send one call. Until it is dropped its points count as on their way.
#[must_use]
#[derive(Debug)]
pub struct Permit {
    limits: Arc<Limits>,
    store: StoreId,
    /// As the connector states it.
    stated: u32,
    /// As it was taken.
    cost: u32,
}

impl Permit {
    /// The platform told of its bucket in its answer to this permit's call.
    pub(super) fn learn(&self, told: ReportedQuota) {
        if let Some(entry) = self.limits.lock().stores.get_mut(&self.store) {
            let limit = within_bounds(RateLimit { per_second: told.per_second, burst: told.burst });
            let others = entry.in_flight.saturating_sub(self.cost);
            match told.available {
                Some(available) => entry.gate = Gate::new(limit, available.saturating_sub(others)),
                // What is left in a bucket of another rate is not known, so it begins empty.
                None if entry.gate.limit != limit => entry.gate = Gate::new(limit, 0),
                None => {}
            }
            if let Some(cost) = told.cost {
                entry.learn_cost(self.stated, cost);
            }
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(entry) = self.limits.lock().stores.get_mut(&self.store) {
            entry.in_flight = entry.in_flight.saturating_sub(self.cost);
        }
    }
}

impl Limits {
    /// Waits until the store's and the app's bucket both give `cost` points and no pause is in force. All three are
    /// looked at in one instant: points taken before a wait for others would be used beside those that came in
    /// meanwhile. Stores of one app that wait for its bucket come in the order of their asking, so that they share it
    /// fairly. Dropping the future after it is ready gives nothing back.
    pub async fn acquire(self: &Arc<Self>, store: StoreId, facts: &Facts, stated: u32) -> Permit {
        loop {
            let of_store = self.with_entries(store, facts, |entry, _| entry.wait(stated));
            if !of_store.is_zero() {
                tokio::time::sleep(of_store).await;
                continue;
            }
            let turn = self.with_entries(store, facts, |_, app| app.map(|app| Arc::clone(&app.turn)));
            let _turn = match &turn {
                Some(turn) => Some(turn.lock().await),
                None => None,
            };
            // A store that has to wait for itself again lets the others of its app go first.
            while self.with_entries(store, facts, |entry, _| entry.wait(stated)).is_zero() {
                match self.try_acquire(store, facts, stated) {
                    Ok(cost) => return Permit { limits: Arc::clone(self), store, stated, cost },
                    Err(wait) => tokio::time::sleep(wait).await,
                }
            }
        }
    }

    /// Takes the points and says how many, or when to try again.
    fn try_acquire(&self, store: StoreId, facts: &Facts, stated: u32) -> Result<u32, Duration> {
        self.with_entries(store, facts, |of_store, of_app| {
            let (wait, cost) = (wait_of(of_store, of_app.as_deref(), stated), of_store.cost(stated));
            if wait.is_zero() && of_store.gate.take(cost) && of_app.is_none_or(|app| app.entry.gate.take(stated)) {
                of_store.in_flight = of_store.in_flight.saturating_add(cost);
                return Ok(cost);
            }
            // Never at once: where governor counts a nanosecond otherwise than we do it has the last word.
            Err(wait.max(Duration::from_micros(100)))
        })
    }

    /// How long the next permit of this store will take at least, as far as is known without taking it.
    pub fn expected_wait(&self, store: StoreId, facts: &Facts, stated: u32) -> Duration {
        self.with_entries(store, facts, |of_store, of_app| wait_of(of_store, of_app.as_deref(), stated))
    }

    /// The platform asked us to let this store be for a while.
    pub fn pause(&self, store: StoreId, pause: Duration) {
        let until = Instant::now() + pause;
        if let Some(entry) = self.lock().stores.get_mut(&store) {
            entry.not_before = Some(entry.not_before.map_or(until, |at| at.max(until)));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Buckets> {
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with_entries<T>(&self, store: StoreId, facts: &Facts, work: impl FnOnce(&mut Entry, Option<&mut App>) -> T) -> T {
        let (now, filled_for) = (Instant::now(), self.began_at.elapsed());
        let mut buckets = self.lock();
        let Buckets { stores, apps } = &mut *buckets;
        let quiet = |entry: &Entry| entry.in_flight == 0 && now.saturating_duration_since(entry.used_at) > QUIET;
        if stores.len() >= MOST_BUCKETS && !stores.contains_key(&store) {
            stores.retain(|_, entry| !quiet(entry));
        }
        if apps.len() >= MOST_BUCKETS {
            apps.retain(|_, app| !quiet(&app.entry));
        }
        let new = |limit| Entry::new(limit, filled_for, now);
        let follow = |entry: &mut Entry, limit: RateLimit| {
            entry.used_at = now;
            if entry.stated != limit {
                // The calls made under the old limit are not known to the new bucket: it begins empty.
                entry.stated = limit;
                entry.gate = Gate::new(limit, 0);
            }
        };
        let of_store = stores.entry(store).or_insert_with(|| new(facts.per_store));
        follow(of_store, facts.per_store);
        let of_app = facts.per_app.as_ref().map(|app| {
            let found = apps.entry(app.name.clone()).or_insert_with(|| App { entry: new(app.limit), turn: Arc::default() });
            follow(&mut found.entry, app.limit);
            found
        });
        work(of_store, of_app)
    }
}

fn wait_of(of_store: &Entry, of_app: Option<&App>, stated: u32) -> Duration {
    of_store.wait(stated).max(of_app.map_or(Duration::ZERO, |app| app.entry.wait(stated)))
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
        tokio::time::sleep(Duration::from_secs(60)).await;
        let began = Instant::now();
        let mut instants = Vec::new();
        for _ in 0..40 {
            let expected = Instant::now() + limits.expected_wait(store, &facts(2.5, 3, None), 1);
            drop(limits.acquire(store, &facts(2.5, 3, None), 1).await);
            let late = Instant::now().saturating_duration_since(expected);
            assert!(Instant::now() >= expected && late < Duration::from_millis(3), "it was foretold, {late:?}");
            instants.push(Instant::now());
        }
        assert_within(&instants, 2.5, 3.0);
        assert!(began.elapsed() < Duration::from_secs_f64(37.0 / 2.5 + 0.1), "and no more waiting than that");
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_does_not_save_up_a_permit() {
        let limits = Arc::new(Limits::default());
        let store = StoreId(Uuid::from_u128(1));
        let mut instants = Vec::new();
        for n in 0..20 {
            drop(limits.acquire(store, &facts(2.0, 3, None), 1).await);
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
            let limits = Arc::new(Limits::default());
            for _ in 0..4 {
                drop(limits.acquire(store, &facts(2.0, 3, None), 1).await);
                instants.push(Instant::now());
            }
        }
        assert_within(&instants, 2.0, 3.0);
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
        tokio::time::sleep(Duration::from_secs(60)).await;
        drop(limits.acquire(store, &facts(100.0, 10, None), 1).await);
        limits.pause(store, Duration::from_secs(7));
        let began = Instant::now();
        drop(limits.acquire(other, &facts(100.0, 10, None), 1).await);
        assert_eq!(began.elapsed(), Duration::ZERO);
        drop(limits.acquire(store, &facts(100.0, 10, None), 1).await);
        assert!(began.elapsed() >= Duration::from_secs(7));
    }

    #[tokio::test(start_paused = true)]
    async fn stores_that_wait_for_their_app_come_in_turn() {
        let limits = Arc::new(Limits::default());
        let app = Some(AppLimit { name: "x".into(), limit: RateLimit { per_second: 10.0, burst: 1 } });
        let served = Arc::new(Mutex::new(Vec::new()));
        let store = |n: u128| {
            let (limits, served, facts) = (Arc::clone(&limits), Arc::clone(&served), facts(100.0, 10, app.clone()));
            tokio::spawn(async move {
                for _ in 0..10 {
                    drop(limits.acquire(StoreId(Uuid::from_u128(n)), &facts, 1).await);
                    served.lock().unwrap().push(n);
                }
            })
        };
        for asking in [store(1), store(2), store(3)] {
            asking.await.unwrap();
        }
        let served = served.lock().unwrap();
        assert!(served.chunks(3).all(|round| round.iter().sum::<u128>() == 6), "{served:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_bucket_is_what_the_platform_says_it_is() {
        let limits = Arc::new(Limits::default());
        let (store, stated) = (StoreId(Uuid::from_u128(1)), facts(100.0, 2000, None));
        tokio::time::sleep(Duration::from_secs(60)).await;
        let first = limits.acquire(store, &stated, 13).await;
        let second = limits.acquire(store, &stated, 13).await;
        // Someone else of the same app has used most of it; the second call is not in that number yet.
        first.learn(ReportedQuota { per_second: 50.0, burst: 1000, available: Some(20), cost: None });
        drop((first, second));
        let began = Instant::now();
        drop(limits.acquire(store, &stated, 13).await);
        assert!(began.elapsed() >= Duration::from_millis(120), "7 are left, 13 are wanted, at 50/s: {:?}", began.elapsed());
        assert!(began.elapsed() < Duration::from_millis(130), "and no more waiting than that");
    }
    #[tokio::test(start_paused = true)]
    async fn whatever_a_platform_tells_of_its_bucket_the_store_goes_on_within_a_day() {
        for per_second in [f64::MIN_POSITIVE, 1e-6, f64::MAX, f64::INFINITY, f64::NAN] {
            for burst in [0, 1, u32::MAX] {
                let limits = Arc::new(Limits::default());
                let (store, stated) = (StoreId(Uuid::from_u128(1)), facts(50.0, 1000, None));
                let told = ReportedQuota { per_second, burst, available: Some(0), cost: Some(40) };
                limits.acquire(store, &stated, 13).await.learn(told);
                let began = Instant::now();
                drop(limits.acquire(store, &stated, 13).await);
                assert!(began.elapsed() <= Duration::from_secs(24 * 3600), "{told:?}: {:?}", began.elapsed());
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_costs_what_the_platform_says_it_costs() {
        let limits = Arc::new(Limits::default());
        let (store, stated) = (StoreId(Uuid::from_u128(1)), facts(50.0, 1000, None));
        let first = limits.acquire(store, &stated, 13).await;
        first.learn(ReportedQuota { per_second: 50.0, burst: 1000, available: Some(0), cost: Some(100) });
        drop(first);
        let began = Instant::now();
        drop(limits.acquire(store, &stated, 13).await);
        assert!(began.elapsed() >= Duration::from_secs(2), "100 points at 50/s: {:?}", began.elapsed());
        drop(limits.acquire(store, &stated, 5).await);
        assert!(began.elapsed() < Duration::from_millis(2200), "other calls cost what they did: {:?}", began.elapsed());
    }
}
