//! Sellers of whose SKUs the last one is a bundle. Drawn on their own and woven into a story, so that everything else of it stays as it
//! was.
use super::{Rng, SKUS, Setup, Step, pick};
use rand::{RngExt, SeedableRng};

/// The SKU that is a bundle.
pub const BUNDLE: usize = SKUS.len() - 1;
/// The SKUs that it is made of.
pub const OF: [usize; 2] = [0, 1];
/// The part of the sellers with a bundle.
const WITH_BUNDLES: f64 = 0.4;
/// It is made of something else once in so many steps.
const STEPS_PER_CHANGE: usize = 40;

/// How many it takes of each component: none of one that it is not made of.
fn takes(rng: &mut Rng) -> [i64; OF.len()] {
    pick(rng, &[[1, 1], [2, 1], [1, 3], [2, 3], [3, 0], [0, 1]])
}

/// Says which sellers have a bundle.
pub(super) fn draw(seed: u64, setup: &mut Setup) {
    let mut rng = Rng::seed_from_u64(seed.wrapping_mul(1_000_003).wrapping_add(11));
    for seller in &mut setup.sellers {
        let takes = takes(&mut rng);
        seller.bundle = rng.random_bool(WITH_BUNDLES).then_some(takes);
    }
}

/// Adds changes of what bundles are made of to the steps.
pub(super) fn weave_in(seed: u64, setup: &Setup, steps: &mut Vec<Step>) {
    let mut rng = Rng::seed_from_u64(seed.wrapping_mul(1_000_003).wrapping_add(12));
    for (seller, _) in setup.sellers.iter().enumerate().filter(|(_, seller)| seller.bundle.is_some()) {
        for _ in 0..steps.len() / STEPS_PER_CHANGE {
            let at = rng.random_range(0..=steps.len());
            let step = Step::Bundle { seller, takes: takes(&mut rng) };
            steps.insert(at, step);
        }
    }
}
