//! The calls that apps may make in a day. The count outlives the process, because calls are written down before they are made.
use crate::clock::Clock;
use crate::domain::Timestamp;
use crate::domain::quota::{DailyQuota, Spent, slot_of};
use crate::platforms::connector::AppLimit;
use futures_util::future::BoxFuture;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// The longest sleep before the clock is looked at again, which may have been set meanwhile.
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(60);
/// The pause after the book could not be read or written.
const BOOK_PAUSE: Duration = Duration::from_secs(1);
/// The most apps that are remembered without a call under way.
const MOST_APPS: usize = 1000;
/// A write that follows the one before within this time reserves twice as many calls.
const WRITE_EVERY: Duration = Duration::from_secs(3);

/// Where spent calls are written down, perhaps by several nodes.
pub trait Book: Send + Sync {
    /// What is known to be spent by this app: by this node, also before it was started again, and by others.
    fn load(&self, app: &str) -> BoxFuture<'static, Result<[Spent; 2], String>>;
    /// Sets the calls of these slots of an app by this node, and returns what others have spent: of two nodes that save at the same
    /// time, one learns of the other.
    fn save(&self, app: &str, slots: Vec<(i64, u32)>) -> BoxFuture<'static, Result<Spent, String>>;
}

/// The daily quotas of all apps.
pub struct Quotas {
    clock: Clock,
    /// Without one, everything is forgotten with the process.
    book: OnceLock<Arc<dyn Book>>,
    apps: Mutex<HashMap<String, Arc<App>>>,
}

impl std::fmt::Debug for Quotas {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Quotas").finish_non_exhaustive()
    }
}

#[derive(Default)]
struct App {
    known: Mutex<Known>,
    /// Held while the book is read or written.
    writing: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Known {
    is_loaded: bool,
    /// By this node.
    spent: Spent,
    /// By other nodes, as was written when this was written last.
    others: Spent,
    /// The slot that was written last, and how many calls the book has for it: at least those that were made.
    written: Option<(i64, u32)>,
    written_at: Option<Instant>,
    /// How many calls were reserved by the last write.
    reserved: u32,
    /// The next write reserves nothing, because other nodes have left too little.
    is_short: bool,
}

impl Known {
    fn is_covered(&self, slot: i64) -> bool {
        self.written.is_some_and(|(written, calls)| written == slot && self.spent.in_slot(slot) <= calls)
    }

    /// By all nodes.
    fn total(&self) -> Spent {
        self.spent.with(&self.others)
    }

    /// Whether all calls are permitted for which the book has room, those that are still to come included.
    fn may_make_all(&self, quota: DailyQuota, now: Timestamp) -> bool {
        let before = self.written.map_or(self.spent.clone(), |(slot, calls)| self.spent.with_slot(slot, calls.saturating_sub(1)));
        quota.next_call(&before.with(&self.others), now) <= now
    }

    /// What the next write says: the calls of this slot and some that are still to come, and of the slot before only those
    /// that were made.
    fn next_write(&mut self, quota: DailyQuota, slot: i64) -> Vec<(i64, u32)> {
        let is_soon = self.written_at.is_some_and(|at| at.elapsed() < WRITE_EVERY);
        let few = (quota.calls / 100).max(1);
        self.reserved = match std::mem::take(&mut self.is_short) {
            true => 1,
            false if is_soon => self.reserved.saturating_mul(2).min(quota.calls / 10).max(few),
            false => few,
        };
        let former = self.written.filter(|(former, _)| *former != slot).map(|(former, _)| (former, self.spent.in_slot(former)));
        let now = (slot, self.spent.in_slot(slot).saturating_add(self.reserved - 1));
        former.into_iter().chain([now]).collect()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Quotas {
    /// As far as is known, nothing has been spent yet.
    pub fn new(clock: Clock) -> Self {
        Self { clock, book: OnceLock::new(), apps: Mutex::default() }
    }

    /// Reads and writes spent calls there from now on. Only the first book counts.
    pub fn keep_in(&self, book: Arc<dyn Book>) {
        self.book.set(book).ok();
    }

    fn app(&self, name: &str) -> Arc<App> {
        let mut apps = lock(&self.apps);
        if apps.len() >= MOST_APPS && !apps.contains_key(name) {
            // The book knows what they have spent.
            apps.retain(|_, app| Arc::strong_count(app) > 1);
        }
        Arc::clone(apps.entry(name.to_owned()).or_default())
    }

    /// Waits until the app may make a call.
    pub async fn until_free(&self, limit: &AppLimit) {
        let Some(quota) = limit.per_day else { return };
        let app = self.app(&limit.name);
        self.load(&app, &limit.name).await;
        loop {
            let now = self.clock.now();
            let wait = quota.next_call(&lock(&app.known).total(), now) - now;
            match wait.to_std() {
                Ok(wait) if !wait.is_zero() => tokio::time::sleep(wait.min(LOOK_AGAIN_AFTER)).await,
                _ => return,
            }
        }
    }

    /// Takes a call from the app's quota; false if there is none at present.
    pub async fn take(&self, limit: &AppLimit) -> bool {
        let Some(quota) = limit.per_day else { return true };
        let (app, now) = (self.app(&limit.name), self.clock.now());
        self.load(&app, &limit.name).await;
        let slot = slot_of(now);
        {
            let mut known = lock(&app.known);
            if quota.next_call(&known.total(), now) > now {
                return false;
            }
            known.spent.add(now);
            if known.is_covered(slot) {
                return true;
            }
        }
        let Some(book) = self.book.get() else { return true };
        let _writing = app.writing.lock().await;
        // Another call may have reserved enough for this one meanwhile.
        while !lock(&app.known).is_covered(slot) {
            let rows = lock(&app.known).next_write(quota, slot);
            match book.save(&limit.name, rows.clone()).await {
                Ok(others) => {
                    let mut known = lock(&app.known);
                    (known.others, known.written, known.written_at) = (others, rows.last().copied(), Some(Instant::now()));
                    if known.may_make_all(quota, now) {
                        continue;
                    }
                    // Other nodes have spent some meanwhile.
                    known.written = known.written.map(|(slot, _)| (slot, 0));
                    if known.reserved <= 1 {
                        known.spent.take_back(slot);
                        return false;
                    }
                    (known.reserved, known.is_short) = (1, true);
                }
                Err(error) => {
                    tracing::warn!(error, "could not write down the calls that an app has made today; nothing is sent for it until then");
                    tokio::time::sleep(BOOK_PAUSE).await;
                }
            }
        }
        true
    }

    /// When an overwrite may be sent, if that is later than now. Nothing is known before the first call.
    pub fn next_overwrite(&self, limit: &AppLimit) -> Option<Timestamp> {
        let (quota, now) = (limit.per_day?, self.clock.now());
        Some(quota.next_overwrite(&lock(&self.app(&limit.name).known).total(), now)).filter(|at| *at > now)
    }

    /// Writes down what was really made, when no more calls follow.
    pub async fn settle(&self) {
        let Some(book) = self.book.get() else { return };
        let apps: Vec<(String, Arc<App>)> = lock(&self.apps).iter().map(|(name, app)| (name.clone(), Arc::clone(app))).collect();
        for (name, app) in apps {
            let _writing = app.writing.lock().await;
            let row = {
                let mut known = lock(&app.known);
                let row = known.written.map(|(slot, _)| (slot, known.spent.in_slot(slot)));
                known.written = row;
                row
            };
            if let Some(row) = row
                && let Err(error) = book.save(&name, vec![row]).await
            {
                tracing::warn!(error, "could not write down the calls that an app has made today; a few more are assumed");
            }
        }
    }

    async fn load(&self, app: &App, name: &str) {
        let Some(book) = self.book.get() else { return };
        if lock(&app.known).is_loaded {
            return;
        }
        let _writing = app.writing.lock().await;
        while !lock(&app.known).is_loaded {
            match book.load(name).await {
                Ok([spent, others]) => {
                    let mut known = lock(&app.known);
                    (known.is_loaded, known.spent, known.others) = (true, spent, others);
                }
                Err(error) => {
                    tracing::warn!(error, "could not read the calls that an app has made today; trying again");
                    tokio::time::sleep(BOOK_PAUSE).await;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
