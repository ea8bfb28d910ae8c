//! Listings that are several units of their SKU. Drawn on their own, so that everything else of a story stays as it was.
use super::{Rng, SKUS, Setup, pick};
use rand::{RngExt, SeedableRng};

/// The part of the stories with such listings.
const WITH_PACKS: f64 = 0.5;

/// Says how many units of each SKU a listing is, in some stores more than one.
pub(super) fn draw(seed: u64, setup: &mut Setup) {
    let mut rng = Rng::seed_from_u64(seed.wrapping_mul(1_000_003).wrapping_add(6));
    if !rng.random_bool(WITH_PACKS) {
        return;
    }
    for store in setup.sellers.iter_mut().flat_map(|seller| &mut seller.stores) {
        store.units = [(); SKUS.len()].map(|()| pick(&mut rng, &[1, 1, 2, 3, 6]));
    }
}
