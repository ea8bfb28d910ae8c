//! Shops that misbehave: each step makes one kind of misbehavior meet something that is being sent.
use super::{Ability, Event, Generator, NetFault, Refusal, Step, WayIn, pick};
use rand::RngExt;
use stocktide::simulator::Misbehavior;

/// Kinds of faults that befall one step.
const KINDS_AT_ONCE: usize = 3;

impl Generator {
    /// Purchases of some or all of the SKUs that a store sells, large enough for every target to rise.
    fn purchases(&mut self, seller: usize, store: usize, all: bool) -> Vec<Event> {
        let skus = self.setup.sellers[seller].stores[store].skus.clone();
        if all {
            return skus.iter().map(|sku| self.purchase(*sku, 40)).collect();
        }
        let sku = pick(&mut self.rng, &skus);
        vec![self.purchase(sku, 40)]
    }

    fn odd_fault(&mut self) -> NetFault {
        match self.rng.random_range(0..Misbehavior::ALL.len() + 6) {
            // What befalls few calls is drawn more often.
            0..=2 => NetFault::SlowRows { ms: self.rng.random_range(5_001..8_000) },
            3 | 4 => NetFault::LargeRows,
            5 => NetFault::Odd(Misbehavior::ProxyPageAfter),
            n => NetFault::Odd(Misbehavior::ALL[n - 6].0),
        }
    }

    pub(super) fn misbehaves(&mut self) -> Step {
        let (seller, store) = self.store();
        let faults = (0..KINDS_AT_ONCE).map(|_| self.odd_fault()).collect();
        let all = self.rng.random_bool(0.6);
        let events = self.purchases(seller, store, all);
        let checks_ms = (0..2).map(|_| self.rng.random_range(500..15_000)).collect();
        Step::Misbehaves { seller, store, faults, sync: self.rng.random_bool(0.3), events, checks_ms }
    }

    /// Only shops that are read before anything is sent to them get a cache.
    pub(super) fn caches(&mut self) -> Step {
        let all = self.setup.sellers.iter().enumerate().flat_map(|(s, seller)| (0..seller.stores.len()).map(move |p| (s, p)));
        let behind = |(s, p): &(usize, usize)| {
            let ability = self.setup.sellers[*s].stores[*p].ability;
            ability.read() && ability != Ability::Keys && ability != Ability::AddsOrCompares
        };
        let behind: Vec<(usize, usize)> = all.filter(behind).collect();
        if behind.is_empty() {
            return self.misbehaves();
        }
        let (seller, store) = pick(&mut self.rng, &behind);
        let first = self.purchases(seller, store, false);
        let again = self.purchase(first[0].sku, 20);
        let second = if self.rng.random_bool(0.7) { vec![again] } else { self.purchases(seller, store, true) };
        // The service allows for five minutes, and the answer may be slow.
        let for_ms = self.rng.random_range(30_000..280_000);
        Step::Caches { seller, store, for_ms, first, between_ms: self.rng.random_range(1_000..for_ms / 2), second }
    }

    pub(super) fn refusal(&mut self) -> Refusal {
        pick(
            &mut self.rng,
            &[Refusal::Item, Refusal::WholeCall, Refusal::WholeCall, Refusal::Untracked, Refusal::Untracked, Refusal::Untracked],
        )
    }

    pub(super) fn live_again(&mut self) -> Step {
        let (seller, store) = self.store();
        let (sku, how, id) = (self.sku(), self.refusal(), self.fresh());
        Step::LiveAgain { seller, store, sku, how, for_ms: self.rng.random_range(1_000..18 * 60_000), id }
    }

    pub(super) fn sale_in_doubt(&mut self) -> Step {
        let (seller, store) = self.store();
        Step::SaleInDoubt { seller, store, sku: self.sku(), id: self.fresh() }
    }

    pub(super) fn check_drift(&mut self) -> Step {
        let (seller, store) = self.store();
        Step::CheckDrift { seller, store, policy: pick(&mut self.rng, &["report", "correct_down", "correct"]) }
    }

    pub(super) fn mends(&mut self) -> Step {
        let (seller, store) = self.store();
        let what = pick(&mut self.rng, &[WayIn::Token, WayIn::Scopes, WayIn::Address]);
        Step::Mends { seller, store, what, after_ms: self.rng.random_range(1_000..120_000), id: self.fresh() }
    }
}
