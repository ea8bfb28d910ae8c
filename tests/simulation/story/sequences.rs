//! Steps that belong together: each sequence makes something visible that steps drawn one by one hardly ever do.
use super::{
    Ability, Event, EventId, Generator, HOUR, NetFault, Outage, Refusal, SellerSetup, Setting, Step, StoreChange, WAREHOUSES, pick,
};
use rand::RngExt;

impl Generator {
    /// Auto-sync or the store is switched off while an increase that will not arrive is in flight.
    pub(super) fn cancelled_in_flight(&mut self) -> Step {
        let (seller, store) = self.store();
        let skus = self.setup.sellers[seller].stores[store].skus.clone();
        let sku = pick(&mut self.rng, &skus);
        let event = Event {
            kind: "purchase",
            sku,
            warehouse: self.rng.random_range(0..WAREHOUSES.len()),
            quantity: 5,
            id: EventId::Fresh(self.fresh()),
        };
        let off = if self.rng.random_bool(0.7) {
            Step::Set { seller, setting: Setting::Off }
        } else {
            Step::Store { seller, store, change: StoreChange::Enabled(false) }
        };
        self.upcoming.push_back(Step::Events { seller, events: vec![event], ndjson: false });
        self.upcoming.push_back(Step::Sleep { ms: self.rng.random_range(0..60) });
        self.upcoming.push_back(off);
        self.upcoming.push_back(Step::Sleep { ms: self.rng.random_range(0..90_000) });
        self.upcoming.push_back(Step::Store { seller, store, change: StoreChange::Enabled(true) });
        self.upcoming.push_back(Step::Set { seller, setting: Setting::Incremental { initial: self.rng.random_bool(0.7) } });
        let fault =
            pick(&mut self.rng, &[NetFault::CutBefore, NetFault::Silence, NetFault::ErrorBefore, NetFault::Throttled { retry_after_s: 1 }]);
        Step::Net { seller, store, fault, calls: 1 }
    }

    pub(super) fn purchase(&mut self, sku: usize, quantity: i64) -> Event {
        Event { kind: "purchase", sku, warehouse: self.rng.random_range(0..WAREHOUSES.len()), quantity, id: EventId::Fresh(self.fresh()) }
    }

    /// One call with several items, of which the first or the last is refused.
    pub(super) fn mixed_call(&mut self) -> Step {
        let (seller, store) = self.store();
        let mut skus = self.setup.sellers[seller].stores[store].skus.clone();
        let from = self.rng.random_range(0..skus.len());
        skus.rotate_left(from);
        let refused = if self.rng.random_bool(0.5) { skus[0] } else { skus[skus.len() - 1] };
        let events: Vec<Event> = skus.iter().map(|sku| self.purchase(*sku, 40)).collect();
        self.upcoming.push_back(Step::Events { seller, events, ndjson: false });
        self.upcoming.push_back(Step::Sleep { ms: self.rng.random_range(5_000..60_000) });
        self.upcoming.push_back(Step::AcceptAgain { seller, store, sku: refused });
        if self.rng.random_bool(0.5) {
            self.upcoming.push_back(Step::RetryByHand { seller, state: "rejected" });
        }
        Step::Refuse { seller, store, sku: refused, how: Refusal::Item }
    }

    /// An outage that lasts until what waits for the store is given up.
    pub(super) fn outage_of_days(&mut self) -> Step {
        let (seller, store) = self.store();
        let skus = self.setup.sellers[seller].stores[store].skus.clone();
        let sku = pick(&mut self.rng, &skus);
        let event = self.purchase(sku, 40);
        let for_ms = self.rng.random_range(25 * HOUR..40 * HOUR);
        self.upcoming.push_back(Step::Events { seller, events: vec![event], ndjson: false });
        self.upcoming.push_back(Step::Sleep { ms: for_ms + HOUR });
        Step::Down { seller, store, how: pick(&mut self.rng, &[Outage::Refused, Outage::Throttled]), for_ms }
    }

    /// The same at the end of a story, where nothing that follows makes up for what was given up.
    pub(super) fn last_outage(&mut self) -> Vec<Step> {
        self.upcoming.clear();
        let down = self.outage_of_days();
        let Step::Down { seller, store, .. } = down else { return Vec::new() };
        let mut steps = vec![
            Step::Store { seller, store, change: StoreChange::Enabled(true) },
            Step::Store { seller, store, change: StoreChange::Paused(false) },
            Step::NewToken { seller, store },
            Step::Set { seller, setting: Setting::Incremental { initial: false } },
            down,
        ];
        steps.extend(self.upcoming.drain(..));
        steps
    }

    /// The answer to a call is lost, and its platform has forgotten the key when it can be called again.
    pub(super) fn forgotten_key(&mut self) -> Step {
        let keyed = |(seller, stores): (usize, &SellerSetup)| {
            let keyed = stores.stores.iter().position(|store| store.ability == Ability::Keys);
            keyed.map(|store| (seller, store))
        };
        let Some((seller, store)) = self.setup.sellers.iter().enumerate().find_map(keyed) else { return self.outage_of_days() };
        let skus = self.setup.sellers[seller].stores[store].skus.clone();
        let sku = pick(&mut self.rng, &skus);
        let event = self.purchase(sku, 40);
        self.upcoming.push_back(Step::Events { seller, events: vec![event], ndjson: false });
        self.upcoming.push_back(Step::Sleep { ms: self.rng.random_range(100..400) });
        let down = |for_ms| Step::Down { seller, store, how: Outage::Refused, for_ms };
        match self.rng.random_range(0..3) {
            0 => self.upcoming.push_back(Step::Crash { down_ms: self.rng.random_range(24 * HOUR..30 * HOUR) }),
            1 => {
                let for_ms = self.rng.random_range(23 * HOUR + HOUR / 2..24 * HOUR - HOUR / 6);
                self.upcoming.push_back(down(for_ms));
                self.upcoming.push_back(Step::Sleep { ms: for_ms + HOUR / 2 });
            }
            _ => {
                // By the clock, less than a day goes by.
                let (before, after) = (self.rng.random_range(HOUR..10 * HOUR), self.rng.random_range(20 * HOUR..23 * HOUR));
                self.upcoming.push_back(down(before + after));
                self.upcoming.push_back(Step::Sleep { ms: before });
                self.upcoming.push_back(Step::SetClock { ms: -self.rng.random_range(12..24) * 3_600_000 });
                self.upcoming.push_back(Step::Sleep { ms: after + HOUR / 2 });
            }
        }
        Step::Net { seller, store, fault: NetFault::LostAnswer, calls: 1 }
    }

    /// From a second to a day.
    fn clock_ms(&mut self) -> i64 {
        match self.rng.random_range(0..4) {
            0 => self.rng.random_range(1_000..60_000),
            1 => self.rng.random_range(60_000..3_600_000),
            2 => self.rng.random_range(3_600_000..12 * 3_600_000),
            _ => self.rng.random_range(12 * 3_600_000..=24 * 3_600_000),
        }
    }

    pub(super) fn clock_trial(&mut self) -> Step {
        let (seller, store) = self.store();
        let (by, id) = (self.clock_ms(), self.fresh());
        match self.rng.random_range(0..4) {
            0 | 1 => Step::ClockTrial { seller, store, before_ms: 0, after_ms: -by, id },
            2 => Step::ClockTrial { seller, store, before_ms: by, after_ms: -by, id },
            _ => Step::ClockTrial { seller, store, before_ms: 0, after_ms: by, id },
        }
    }

    /// The clock is set; it may have been set back before anything else happens, or some steps later.
    pub(super) fn set_clock(&mut self) -> Step {
        let by = if self.rng.random_bool(0.5) { self.clock_ms() } else { self.rng.random_range(1..2_000) };
        match self.rng.random_range(0..3) {
            0 => Step::SetClock { ms: -by },
            1 => Step::SetClock { ms: by },
            _ => {
                let event = Step::Events { seller: self.seller(), events: self.events(3), ndjson: false };
                self.upcoming.extend([event, Step::Sleep { ms: self.rng.random_range(0..30_000) }, Step::SetClock { ms: -by }]);
                Step::SetClock { ms: by }
            }
        }
    }
}
