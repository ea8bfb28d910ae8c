//! A cache in front of a shop, which answers reads for a while as it answered them first.
use super::{Network, Shop};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use stocktide::simulator::Faults;
use tokio::time::Instant;

/// The cache in front of a shop. What it keeps is what the service has seen: an answer that was lost on its way, or with the
/// process, is not kept.
#[derive(Default)]
pub(super) struct Cache {
    pub(super) until: Option<Instant>,
    /// The read that was answered for each list of items.
    pub(super) kept_since: BTreeMap<Vec<String>, usize>,
    /// Reads whose answers have not been seen yet.
    pub(super) unseen: BTreeSet<usize>,
    /// How often the service had been disturbed when it was last asked.
    pub(super) disturbances: u64,
}

impl Network {
    /// A cache answers reads for this long.
    pub fn cache(&self, name: &str, for_ms: u64) {
        let mut state = self.state();
        let shop = state.shops.get_mut(name).unwrap();
        shop.end_cache();
        shop.cache.until = Some(Instant::now() + Duration::from_millis(for_ms));
        #[expect(clippy::cast_precision_loss, reason = "milliseconds within minutes")]
        let cache_s = for_ms as f64 / 1000.0;
        let faults = Faults { cache_s, ..shop.simulator.faults() };
        shop.simulator.set_faults(faults);
    }

    /// Whether any cache answers reads now.
    pub fn has_cache(&self) -> bool {
        self.state().shops.values().any(|shop| shop.cache.until.is_some_and(|until| until > Instant::now()))
    }

    /// What caches have kept is gone: the clock by which the service knows how old it may be was set.
    pub fn forget_cached(&self) {
        self.state().shops.values_mut().for_each(Shop::forget_cached);
    }
}

impl Shop {
    pub(super) fn forget_cached(&mut self) {
        self.simulator.forget_cached();
        self.cache.kept_since.clear();
        self.cache.unseen.clear();
    }

    pub(super) fn end_cache(&mut self) {
        self.forget_cached();
        if self.cache.until.take().is_some() {
            self.simulator.set_faults(Faults { cache_s: 0.0, ..self.simulator.faults() });
        }
    }

    /// Forgets what the service may not have seen.
    pub(super) fn check_cache(&mut self, disturbances: u64) {
        if self.cache.until.is_some_and(|until| until <= Instant::now()) {
            self.end_cache();
        }
        let seen = self.cache.unseen.is_empty() && self.cache.disturbances == disturbances;
        if self.cache.until.is_some() && !seen {
            self.forget_cached();
        }
        self.cache.disturbances = disturbances;
    }
}
