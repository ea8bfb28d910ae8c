//! Rate limits: a token bucket for each store, one for each platform app that has such a limit, and the daily [`Quotas`] of apps.
//!
//! governor would wait on a real timer, so it is never asked to wait: the wait is computed and slept on tokio's clock,
//! which tests can pause. When a platform throttles a store, the store pauses for as long as the platform says. When a
//! platform reports the state of its own bucket, ours is adjusted to match.
mod bucket;
mod daily;

pub use bucket::TokioClock;
pub use daily::{Book, Quotas};

use super::connector::{AppLimit, Facts, RateLimit, ReportedQuota};
use crate::domain::StoreId;
use crate::domain::retry::LONGEST_ASKED;
use bucket::{Bucket, full_within};
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Above this number of buckets, for stores and for apps separately, idle ones are dropped.
const MAX_BUCKETS: usize = 100_000;
/// The largest number of different call costs that are learned for one store.
const MAX_COSTS: usize = 32;
/// A bucket unused for this long is idle.
const IDLE_AFTER: Duration = Duration::from_secs(3600);

struct Entry {
    bucket: Bucket,
    /// What calls have left, which may be some time after they were permitted.
    departures: Bucket,
    /// The limit as the connector states it. If it changes, a new bucket replaces the old one and what it has learned.
    stated: RateLimit,
    paused_until: Option<Instant>,
    /// Points of permits still awaiting an answer; the platform's reports do not include them.
    in_flight: u32,
    used_at: Instant,
    /// The costs that the platform reports, keyed by the costs that the connector states.
    reported_costs: BTreeMap<u32, u32>,
}

impl Entry {
    fn new(limit: RateLimit, filled_for: Duration, now: Instant) -> Self {
        let bucket = || Bucket::filling(limit, filled_for);
        Self {
            bucket: bucket(),
            departures: bucket(),
            stated: limit,
            paused_until: None,
            in_flight: 0,
            used_at: now,
            reported_costs: BTreeMap::new(),
        }
    }

    /// The actual cost of a call whose connector states the cost `stated`.
    fn cost(&self, stated: u32) -> u32 {
        self.reported_costs.get(&stated).copied().unwrap_or(stated)
    }

    /// Learns that the platform charged `reported` points for a call stated to cost `stated`. Calls with the same stated
    /// cost may differ, so a higher cost is adopted at once, while a lower one only halves the difference.
    fn learn_cost(&mut self, stated: u32, reported: u32) {
        let known = self.cost(stated);
        if known != reported && (self.reported_costs.len() < MAX_COSTS || self.reported_costs.contains_key(&stated)) {
            self.reported_costs.insert(stated, if reported > known { reported } else { reported.midpoint(known) });
        }
    }

    fn wait(&self, stated: u32) -> Duration {
        let pause = self.paused_until.map_or(Duration::ZERO, |at| at.saturating_duration_since(Instant::now()));
        self.bucket.wait(self.cost(stated)).max(pause)
    }
}

/// An app's bucket and the queue of stores waiting for it.
struct App {
    entry: Entry,
    turn: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Default)]
struct Buckets {
    stores: HashMap<StoreId, Entry>,
    apps: HashMap<String, App>,
    /// Under which epoch a store is called, and since when.
    under: HashMap<StoreId, (i64, Instant)>,
}

/// All the rate limits of this process.
///
/// What an earlier process sent is unknown, so buckets are empty when the process starts and fill from then on. Even
/// repeated restarts therefore never exceed a limit.
pub struct Limits {
    started_at: Instant,
    buckets: Mutex<Buckets>,
    /// Somebody has ended the pause of a store.
    pause_ended: Notify,
    /// Nodes that share the apps' limits.
    nodes: AtomicU32,
    /// What stores without an app share, in simulations.
    of_all: Option<AppLimit>,
}

/// Whether a sleep took its whole time, or a pause was ended meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slept {
    /// All of it.
    Whole,
    /// A pause was ended, perhaps that of another store: what to wait for must be computed again.
    Woken,
}

impl Default for Limits {
    fn default() -> Self {
        let (started_at, nodes) = (Instant::now(), AtomicU32::new(1));
        Self { started_at, buckets: Mutex::default(), pause_ended: Notify::new(), nodes, of_all: None }
    }
}

impl std::fmt::Debug for Limits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Limits").finish_non_exhaustive()
    }
}

/// Permission to send one call. Until it is dropped, its points count as in flight.
#[must_use]
#[derive(Debug)]
pub struct Permit {
    limits: Arc<Limits>,
    store: StoreId,
    /// The app whose limit counts, too.
    app: Option<String>,
    /// The cost that the connector states.
    stated: u32,
    /// The points actually taken.
    cost: u32,
}

impl Permit {
    /// Adjusts the store's bucket to what the platform reported in its answer to this call.
    pub(super) fn learn(&self, reported: ReportedQuota) {
        if let Some(entry) = self.limits.lock().stores.get_mut(&self.store) {
            let limit = full_within(LONGEST_ASKED, RateLimit { per_second: reported.per_second, burst: reported.burst });
            let others = entry.in_flight.saturating_sub(self.cost);
            if entry.departures.limit != limit {
                entry.departures = Bucket::new(limit, limit.burst);
            }
            match reported.available {
                Some(available) => entry.bucket = Bucket::new(limit, available.saturating_sub(others)),
                // With a different limit the points left are unknown, so assume that there are none.
                None if entry.bucket.limit != limit => entry.bucket = Bucket::new(limit, 0),
                None => {}
            }
            if let Some(cost) = reported.cost {
                entry.learn_cost(self.stated, cost);
            }
        }
    }
}

impl Permit {
    /// Notes that a call with this permit leaves now, or returns how long it has to wait, counted from when earlier ones left. Between
    /// a permit and its call's first byte lies a claim in the database, which takes longer the more there is to do: if the first of
    /// two calls waits there and the second does not, they come closer together at the platform than they were permitted, and it
    /// refuses the second.
    pub fn try_depart(&self) -> Option<Duration> {
        self.limits.try_depart(self)
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
    /// For simulations, whose platform has no apps: all stores share this limit, as if they used one app.
    pub fn of_one_app(limit: RateLimit) -> Self {
        Self { of_all: Some(AppLimit { name: "all".to_owned(), limit: Some(limit), per_day: None }), ..Self::default() }
    }

    fn app<'a>(&'a self, facts: &'a Facts) -> Option<&'a AppLimit> {
        facts.per_app.as_ref().or(self.of_all.as_ref())
    }

    /// Waits until the store's and the app's buckets both have enough points and the store is not paused. All three are
    /// checked at the same instant: points taken from one bucket before waiting for the other would be spent on top of
    /// those that it gained in the meantime. Stores waiting for their app's bucket are served in the order in which they
    /// asked, so they share it fairly. Points already taken are not returned when the permit is dropped.
    pub async fn acquire(self: &Arc<Self>, store: StoreId, facts: &Facts, stated: u32) -> Permit {
        loop {
            let store_wait = self.with_entries(store, facts, |entry, _| entry.wait(stated));
            if !store_wait.is_zero() {
                self.sleep(store_wait).await;
                continue;
            }
            let turn = self.with_entries(store, facts, |_, app| app.map(|app| Arc::clone(&app.turn)));
            let _turn = match &turn {
                Some(turn) => Some(turn.lock().await),
                None => None,
            };
            // If the store's own bucket or pause makes it wait again, it gives up its turn to the app's other stores.
            while self.with_entries(store, facts, |entry, _| entry.wait(stated)).is_zero() {
                match self.try_acquire(store, facts, stated) {
                    Ok(cost) => {
                        let app = self.app(facts).filter(|app| app.limit.is_some()).map(|app| app.name.clone());
                        return Permit { limits: Arc::clone(self), store, app, stated, cost };
                    }
                    Err(wait) => tokio::time::sleep(wait).await,
                }
            }
        }
    }

    /// Takes the points and returns their number, or the time to wait before trying again.
    fn try_acquire(&self, store: StoreId, facts: &Facts, stated: u32) -> Result<u32, Duration> {
        self.with_entries(store, facts, |entry, app| {
            let (wait, cost) = (combined_wait(entry, app.as_deref(), stated), entry.cost(stated));
            if wait.is_zero() && entry.bucket.take(cost) && app.is_none_or(|app| app.entry.bucket.take(stated)) {
                entry.in_flight = entry.in_flight.saturating_add(cost);
                return Ok(cost);
            }
            // Never zero: governor may differ from our own arithmetic by a nanosecond, and its answer counts.
            Err(wait.max(Duration::from_micros(100)))
        })
    }

    /// Notes that the call leaves now, or says how long it has to wait.
    fn try_depart(&self, permit: &Permit) -> Option<Duration> {
        let mut buckets = self.lock();
        let Buckets { stores, apps, .. } = &mut *buckets;
        let store = stores.get_mut(&permit.store).map(|entry| (entry, permit.cost));
        let app = permit.app.as_ref().and_then(|name| apps.get_mut(name)).map(|app| (&mut app.entry, permit.stated));
        let mut both: Vec<(&mut Entry, u32)> = store.into_iter().chain(app).collect();
        let wait = both.iter().map(|(entry, cost)| entry.departures.wait(*cost)).max().unwrap_or_default();
        if wait.is_zero() && both.iter_mut().all(|(entry, cost)| entry.departures.take(*cost)) {
            return None;
        }
        // Never zero: governor may differ from our own arithmetic by a nanosecond, and its answer counts.
        Some(wait.max(Duration::from_micros(100)))
    }

    /// A lower bound on the wait for this store's next permit.
    pub fn expected_wait(&self, store: StoreId, facts: &Facts, stated: u32) -> Duration {
        self.with_entries(store, facts, |entry, app| combined_wait(entry, app.as_deref(), stated))
    }

    /// Whether a call of the least cost is permitted now. An app that may make only so many calls in a day always has to be
    /// asked.
    pub fn have_room(&self, store: StoreId, facts: &Facts) -> bool {
        let has_day = facts.per_app.as_ref().is_some_and(|app| app.per_day.is_some());
        !has_day && self.expected_wait(store, facts, 1).is_zero()
    }

    /// Sleeps, but not beyond the moment at which somebody ends a pause.
    pub async fn sleep(&self, wait: Duration) -> Slept {
        tokio::select! {
            biased;
            () = tokio::time::sleep(wait) => Slept::Whole,
            () = self.pause_ended.notified() => Slept::Woken,
        }
    }

    /// Ends this store's pause, if it has one.
    pub fn end_pause(&self, store: StoreId) {
        if let Some(entry) = self.lock().stores.get_mut(&store) {
            entry.paused_until = None;
        }
        self.pause_ended.notify_waiters();
    }

    /// Grants this store no permits for the length of `pause`, but at most [`LONGEST_ASKED`], counted from now.
    pub fn pause(&self, store: StoreId, pause: Duration) {
        let until = Instant::now() + pause.min(LONGEST_ASKED);
        if let Some(entry) = self.lock().stores.get_mut(&store) {
            entry.paused_until = Some(entry.paused_until.map_or(until, |at| at.max(until)));
        }
    }

    /// So many nodes make calls; each gets its part of the limits of apps.
    pub fn share_among(&self, nodes: usize) {
        self.nodes.store(u32::try_from(nodes).unwrap_or(u32::MAX).max(1), Ordering::Relaxed);
    }

    /// How often others called a store before this epoch is unknown, so its bucket is empty when that began, and fills from then on. What
    /// this process has called it meanwhile counts, too, as when somebody has a store checked that another node works for.
    pub fn begin_under(&self, store: StoreId, epoch: i64, began_at: Instant) {
        let now = Instant::now();
        let mut buckets = self.lock();
        if buckets.under.len() >= MAX_BUCKETS {
            buckets.under.retain(|_, (_, since)| now.saturating_duration_since(*since) < IDLE_AFTER);
        }
        if buckets.under.get(&store).is_none_or(|(known, _)| *known != epoch) {
            let own = buckets.stores.remove(&store).and_then(|entry| entry.bucket.empty_at());
            buckets.under.insert(store, (epoch, own.map_or(began_at, |at| at.max(began_at))));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Buckets> {
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with_entries<T>(&self, store: StoreId, facts: &Facts, work: impl FnOnce(&mut Entry, Option<&mut App>) -> T) -> T {
        let (now, filled_for) = (Instant::now(), self.started_at.elapsed());
        let mut buckets = self.lock();
        let Buckets { stores, apps, under } = &mut *buckets;
        let filled_for = under.get(&store).map_or(filled_for, |(_, since)| now.saturating_duration_since(*since).min(filled_for));
        let idle = |entry: &Entry| entry.in_flight == 0 && now.saturating_duration_since(entry.used_at) > IDLE_AFTER;
        if stores.len() >= MAX_BUCKETS && !stores.contains_key(&store) {
            stores.retain(|_, entry| !idle(entry));
        }
        if apps.len() >= MAX_BUCKETS {
            apps.retain(|_, app| !idle(&app.entry));
        }
        let new = |limit, filled_for| Entry::new(limit, filled_for, now);
        let refresh = |entry: &mut Entry, limit: RateLimit| {
            entry.used_at = now;
            if entry.stated != limit {
                // The new bucket starts empty, because it does not know of the calls made under the old limit.
                entry.stated = limit;
                (entry.bucket, entry.departures) = (Bucket::new(limit, 0), Bucket::new(limit, 0));
            }
        };
        let entry = stores.entry(store).or_insert_with(|| new(facts.per_store, filled_for));
        refresh(entry, facts.per_store);
        let app = self.app(facts).and_then(|shared| {
            let limit = shared.limit?.among(self.nodes.load(Ordering::Relaxed));
            let app = apps
                .entry(shared.name.clone())
                .or_insert_with(|| App { entry: new(limit, self.started_at.elapsed()), turn: Arc::default() });
            refresh(&mut app.entry, limit);
            Some(app)
        });
        work(entry, app)
    }
}

fn combined_wait(entry: &Entry, app: Option<&App>, stated: u32) -> Duration {
    entry.wait(stated).max(app.map_or(Duration::ZERO, |app| app.entry.wait(stated)))
}

#[cfg(test)]
mod tests;
