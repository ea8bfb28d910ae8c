//! Stores whose sales are reported in their name, but late or never. Drawn on its own and woven into a story, so that every
//! other story stays as it was.
use super::{Event, EventId, HOUR, NetFault, Rng, Setup, Step, StoreChange, WAREHOUSES, pick};
use rand::{RngExt, SeedableRng};
use std::collections::BTreeSet;

/// Whether overwrites of a store leave out what it has sold without a report, and for how many hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Protection {
    pub on: bool,
    pub hours: i64,
}

/// Whether a store's sale is reported to the ledger, under which id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Report {
    Never,
    AtOnce(u32),
    /// When the story says so, or once it is over.
    Later(u32),
}

/// The part of the stories with such stores, where there is one that can be read.
const WITH_REPORTS: f64 = 0.5;
/// One sequence for so many steps.
const STEPS_PER_SEQUENCE: usize = 20;
/// No other event has such an id.
const FIRST_ID: u32 = 4_000_000;

struct Weaver<'s> {
    rng: Rng,
    setup: &'s Setup,
    /// The stores whose sales are reported in their name.
    named: Vec<(usize, usize)>,
    /// Those that have been told so.
    told: BTreeSet<(usize, usize)>,
    next_id: u32,
}

/// Gives some stores such sales, and adds steps with them.
pub(super) fn weave_in(seed: u64, setup: &mut Setup, steps: &mut Vec<Step>) {
    let mut rng = Rng::seed_from_u64(seed.wrapping_mul(1_000_003).wrapping_add(4));
    if !rng.random_bool(WITH_REPORTS) {
        return;
    }
    let mut named = Vec::new();
    for (s, seller) in setup.sellers.iter_mut().enumerate() {
        for (p, store) in seller.stores.iter_mut().enumerate() {
            if rng.random_bool(0.8) {
                let protection = Protection { on: rng.random_bool(0.8), hours: pick(&mut rng, &[72, 72, 1, 2]) };
                store.named = Some(protection);
                // What cannot be read cannot be protected either.
                named.extend(store.ability.read().then_some((s, p)));
            }
        }
    }
    let mut weaver = Weaver { rng, setup, named, told: BTreeSet::new(), next_id: FIRST_ID };
    for step in steps.iter_mut() {
        if let Step::Sell { reported: reported @ Report::AtOnce(_), .. } = step
            && weaver.rng.random_bool(0.5)
            && let Report::AtOnce(id) = *reported
        {
            *reported = Report::Later(id);
        }
    }
    if weaver.named.is_empty() {
        return;
    }
    // From the front, so that a store's first report comes before the steps that depend on it.
    let mut places: Vec<usize> = (0..steps.len().div_ceil(STEPS_PER_SEQUENCE)).map(|_| weaver.rng.random_range(0..=steps.len())).collect();
    places.sort_unstable();
    let mut added = 0;
    for place in places {
        let sequence = weaver.sequence();
        let at = place + added;
        added += sequence.len();
        steps.splice(at..at, sequence);
    }
}

impl Weaver<'_> {
    fn fresh(&mut self) -> u32 {
        self.next_id += 1;
        self.next_id
    }

    fn report(&mut self) -> Report {
        if self.rng.random_bool(0.75) { Report::Later(self.fresh()) } else { Report::Never }
    }

    fn purchase(&mut self, seller: usize, sku: usize) -> Step {
        let (warehouse, quantity) = (self.rng.random_range(0..WAREHOUSES.len()), self.rng.random_range(3..20));
        let event = Event { kind: "purchase", sku, warehouse, quantity, id: EventId::Fresh(self.fresh()) };
        Step::Events { seller, events: vec![event], ndjson: false }
    }

    /// Sales of one store that nobody reports before the next overwrites, with whatever may come in between.
    fn sequence(&mut self) -> Vec<Step> {
        let (seller, store) = pick(&mut self.rng, &self.named);
        let sku = pick(&mut self.rng, &self.setup.sellers[seller].stores[store].skus);
        let sync = Step::Sync { seller, store: Some(store), sku: None };
        let mut steps = Vec::new();
        if self.told.insert((seller, store)) {
            let id = self.fresh();
            steps.extend([
                self.purchase(seller, sku),
                Step::Sleep { ms: 2_000 },
                Step::Sell { seller, store, sku, quantity: 1, reported: Report::AtOnce(id) },
                sync.clone(),
                Step::Sleep { ms: self.rng.random_range(100..20_000) },
            ]);
        }
        let reported = self.report();
        steps.push(Step::Sell { seller, store, sku, quantity: self.rng.random_range(1..=3), reported });
        match self.rng.random_range(0..10) {
            0 | 1 => steps.extend([self.purchase(seller, sku), Step::Sleep { ms: self.rng.random_range(0..3_000) }]),
            2 | 3 => {
                let fault = pick(
                    &mut self.rng,
                    &[NetFault::LostAnswer, NetFault::CutBefore, NetFault::ErrorAfter, NetFault::LateWithin { ms: 3_000 }],
                );
                steps.push(Step::Net { seller, store, fault, calls: self.rng.random_range(1..3) });
            }
            4 => steps.push(Step::CrashAt { points: self.rng.random_range(1..30), down_ms: self.rng.random_range(1..2_000) }),
            _ => {}
        }
        steps.push(sync.clone());
        match self.rng.random_range(0..10) {
            // Sold, or reported, while it is read and overwritten.
            0..=2 => {
                let reported = self.report();
                steps.push(Step::Sleep { ms: self.rng.random_range(0..150) });
                steps.push(Step::Sell { seller, store, sku, quantity: 1, reported });
            }
            3 | 4 => steps.extend([Step::Sleep { ms: self.rng.random_range(0..150) }, Step::ReportSales { seller, store }]),
            5 => {
                // What is missing for too long is drift.
                let hours = self.rng.random_range(1..=3);
                let wait = u64::try_from(hours).unwrap() * HOUR + self.rng.random_range(0..HOUR);
                steps.push(Step::Store { seller, store, change: StoreChange::ReportsAwaited(hours) });
                steps.extend([Step::Sleep { ms: 20_000 }, Step::Sleep { ms: wait }, sync.clone()]);
            }
            6 => {
                let off = Step::Store { seller, store, change: StoreChange::Protection(false) };
                let on = Step::Store { seller, store, change: StoreChange::Protection(true) };
                let some_time = Step::Sleep { ms: self.rng.random_range(0..20_000) };
                steps.extend([some_time.clone(), off]);
                if self.rng.random_bool(0.5) {
                    steps.push(Step::Net { seller, store, fault: NetFault::LostAnswer, calls: 1 });
                }
                steps.extend([sync.clone(), some_time, on]);
            }
            _ => {}
        }
        steps.push(Step::Sleep { ms: self.rng.random_range(100..30_000) });
        if self.rng.random_bool(0.7) {
            steps.push(Step::ReportSales { seller, store });
        }
        if self.rng.random_bool(0.5) {
            steps.extend([sync, Step::Sleep { ms: self.rng.random_range(0..20_000) }]);
        }
        steps
    }
}
