//! Calls as they leave. Between a permit and its call's first byte lies a claim in the database, which takes longer the more there
//! is to do. Of two calls, the first may wait there and the second not, so that they come closer together at the platform than
//! they were permitted; the platform would refuse the second.
use super::{Buckets, Entry, Limits, Permit};
use std::time::Duration;

impl Permit {
    /// Waits until a call with this permit may leave, counted from when earlier ones left.
    pub async fn depart(permit: Option<&Self>) {
        while let Some(wait) = permit.and_then(|permit| permit.limits.try_depart(permit)) {
            tokio::time::sleep(wait).await;
        }
    }
}

impl Limits {
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
}
