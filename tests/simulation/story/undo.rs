//! Runs that are undone or canceled. Drawn on their own and woven into a story, so that everything else of it stays as it was.
use super::{Event, EventId, NetFault, Report, Rng, Setup, Step, WAREHOUSES, pick};
use rand::{RngExt, SeedableRng};

/// The part of the stories in which runs are undone.
const WITH_UNDO: f64 = 0.5;
/// One sequence for so many steps.
const STEPS_PER_SEQUENCE: usize = 30;
/// The part of the manual runs that are canceled.
const CANCELED: f64 = 0.2;
/// No other event has such an id.
const FIRST_ID: u32 = 5_000_000;

/// Adds undone runs to the steps.
pub(super) fn weave_in(seed: u64, setup: &Setup, steps: &mut Vec<Step>) {
    let mut rng = Rng::seed_from_u64(seed.wrapping_mul(1_000_003).wrapping_add(9));
    if !rng.random_bool(WITH_UNDO) {
        return;
    }
    let mut next_id = FIRST_ID;
    for _ in 0..steps.len().div_ceil(STEPS_PER_SEQUENCE) {
        let sequence = sequence(&mut rng, setup, &mut next_id);
        let at = rng.random_range(0..=steps.len());
        steps.splice(at..at, sequence);
    }
}

/// Cancels some runs soon after they were started.
pub(super) fn cancel_some(seed: u64, steps: &mut Vec<Step>) {
    let mut rng = Rng::seed_from_u64(seed.wrapping_mul(1_000_003).wrapping_add(11));
    let mut at = 0;
    while at < steps.len() {
        if let Step::Sync { seller, .. } = steps[at]
            && rng.random_bool(CANCELED)
        {
            let sleep = Step::Sleep { ms: pick(&mut rng, &[0, 5, 50, 500, 3_000]) };
            steps.splice(at + 1..at + 1, [sleep, Step::Cancel { seller }]);
        }
        at += 1;
    }
}

/// An overwrite, whatever may happen to its listings next, and its undo.
fn sequence(rng: &mut Rng, setup: &Setup, next_id: &mut u32) -> Vec<Step> {
    let seller = rng.random_range(0..setup.sellers.len());
    let store = rng.random_range(0..setup.sellers[seller].stores.len());
    let sku = pick(rng, &setup.sellers[seller].stores[store].skus);
    let mut fresh = || {
        *next_id += 1;
        *next_id
    };
    let event = |rng: &mut Rng, kind: &'static str, quantity: i64, id: u32| {
        let event = Event { kind, sku, warehouse: rng.random_range(0..WAREHOUSES.len()), quantity, id: EventId::Fresh(id) };
        Step::Events { seller, events: vec![event], ndjson: false }
    };
    let sync = Step::Sync { seller, store: rng.random_bool(0.5).then_some(store), sku: None };
    let fault = |rng: &mut Rng| {
        let fault = pick(rng, &[NetFault::LostAnswer, NetFault::CutBefore, NetFault::ErrorAfter, NetFault::Refused]);
        Step::Net { seller, store, fault, calls: rng.random_range(1..3) }
    };
    let mut steps = vec![event(rng, "purchase", 12, fresh()), sync.clone(), Step::Sleep { ms: rng.random_range(2_000..20_000) }];
    let quantity = rng.random_range(0..8);
    steps.push(event(rng, "count", quantity, fresh()));
    if rng.random_bool(0.2) {
        steps.push(fault(rng));
    }
    steps.extend([sync.clone(), Step::Sleep { ms: rng.random_range(3_000..60_000) }]);
    for _ in 0..rng.random_range(0..3) {
        match rng.random_range(0..6) {
            0..=2 => {
                let id = fresh();
                let reported = pick(rng, &[Report::AtOnce(id), Report::AtOnce(id), Report::Later(id), Report::Never]);
                steps.push(Step::Sell { seller, store, sku, quantity: rng.random_range(1..=3), reported });
            }
            3 => {
                let quantity = rng.random_range(1..6);
                steps.push(event(rng, "purchase", quantity, fresh()));
            }
            4 => steps.push(Step::ReportSales { seller, store }),
            _ => steps.push(Step::Sync { seller, store: Some(store), sku: Some(sku) }),
        }
        steps.push(Step::Sleep { ms: rng.random_range(0..5_000) });
    }
    if rng.random_bool(0.2) {
        steps.push(if rng.random_bool(0.5) {
            fault(rng)
        } else {
            Step::CrashAt { points: rng.random_range(1..40), down_ms: rng.random_range(1..2_000) }
        });
    }
    steps.push(Step::Undo { seller, back: pick(rng, &[0, 0, 0, 1, 2]) });
    steps.push(Step::Sleep { ms: rng.random_range(0..20_000) });
    steps
}
