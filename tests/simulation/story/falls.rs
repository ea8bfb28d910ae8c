//! Stores to which falls are sent, and stores that restock by themselves. Drawn on their own, so that everything else of a story stays as
//! it was.
use super::{Ability, Rng, Setup, pick};
use rand::{RngExt, SeedableRng};

/// The part of the stories with such stores.
const WITH_FALLS: f64 = 0.5;
/// Sets of reasons.
const REASONS: [&[&str]; 6] = [
    &["adjustment", "count", "transfer", "offline_sale", "sale_elsewhere"],
    &["adjustment", "count", "transfer"],
    &["offline_sale", "sale_elsewhere"],
    &["count"],
    &["adjustment"],
    &[],
];

pub(super) fn draw(seed: u64, setup: &mut Setup) {
    let mut rng = Rng::seed_from_u64(seed.wrapping_mul(1_000_003).wrapping_add(13));
    if !rng.random_bool(WITH_FALLS) {
        return;
    }
    for store in setup.sellers.iter_mut().flat_map(|seller| &mut seller.stores) {
        let (reasons, restocks) = (pick(&mut rng, &REASONS), rng.random_bool(0.3));
        // Where a read decides, sales may be taken for a decrease that was lost. What that does to unseen sales is not modeled.
        let is_decided_by_read = store.ability.read() && store.ability != Ability::Keys;
        if store.named.is_none() || !is_decided_by_read {
            store.falls = reasons.to_vec();
        }
        store.restocks = restocks;
    }
}
