//! Stores that begin in rehearsal, and go live at some time, or only once the story is over. Drawn on their own, so that everything else of
//! a story stays as it was.
use super::{Rng, Setup, Step};
use rand::{RngExt, SeedableRng};

/// The part of the stories with such stores.
const WITH_REHEARSALS: f64 = 0.25;

pub(super) fn weave_in(seed: u64, setup: &mut Setup, steps: &mut Vec<Step>) {
    let mut rng = Rng::seed_from_u64(seed.wrapping_mul(1_000_003).wrapping_add(14));
    if !rng.random_bool(WITH_REHEARSALS) {
        return;
    }
    for (seller, of) in setup.sellers.iter_mut().enumerate() {
        for (store, of) in of.stores.iter_mut().enumerate() {
            of.rehearsal = rng.random_bool(0.5);
            let (at, overwrite) = (rng.random_range(0..=steps.len() * 2 / 3), rng.random_bool(0.5));
            if of.rehearsal && rng.random_bool(0.9) {
                steps.insert(at, Step::GoLive { seller, store, overwrite });
            }
        }
    }
}
