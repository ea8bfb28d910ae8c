//! Pauses of every level, and frozen windows. Drawn on its own and woven into a story, so that every other story stays as it was.
use super::{Rng, Setup, Step, pick};
use rand::{RngExt, SeedableRng};

/// The part of the stories with such pauses.
const WITH_PAUSES: f64 = 0.4;
/// One pause or window for so many steps.
const STEPS_PER_PAUSE: usize = 15;

/// What is paused, beside a single store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paused {
    Platform,
    Everything,
    Sku(usize),
}

pub(super) fn weave_in(seed: u64, setup: &Setup, steps: &mut Vec<Step>) {
    let mut rng = Rng::seed_from_u64(seed.wrapping_mul(1_000_003).wrapping_add(33));
    if !rng.random_bool(WITH_PAUSES) {
        return;
    }
    for _ in 0..steps.len().div_ceil(STEPS_PER_PAUSE) {
        let seller = rng.random_range(0..setup.sellers.len());
        let stores = setup.sellers[seller].stores.len();
        let (first, last) = match rng.random_range(0..10) {
            0..=4 => {
                let store = rng.random_bool(0.5).then(|| rng.random_range(0..stores));
                let (from_min, for_min) = (rng.random_range(-5..30), pick(&mut rng, &[1, 2, 10, 60, 300, 1500]));
                (Step::Freeze { seller, store, from_min, for_min }, Some(Step::Thaw { seller }).filter(|_| rng.random_bool(0.3)))
            }
            n => {
                let what = match n {
                    5 => Paused::Platform,
                    6 | 7 => Paused::Everything,
                    _ => Paused::Sku(rng.random_range(0..super::SKUS.len())),
                };
                (Step::Pause { seller, what, on: true }, Some(Step::Pause { seller, what, on: false }))
            }
        };
        let at = rng.random_range(0..=steps.len());
        steps.insert(at, first);
        let until = (at + rng.random_range(1..12)).min(steps.len());
        steps.splice(until..until, last);
    }
}
