//! Stores that list a SKU twice or three times. Drawn on their own and woven into a story, so that everything else of it stays as it was.
use super::{Rng, SKUS, Setup, Step, StoreSetup, pick};
use rand::{RngExt, SeedableRng};

/// What the stores call the SKUs: text that shops may also write as a number.
/// Three for each SKU, of which most stores sell the first ones only: see [`sku_of`].
pub const ITEMS: [&str; 15] = ["101", "102", "103", "104", "105", "201", "202", "203", "204", "205", "301", "302", "303", "304", "305"];

/// The part of the stories with such stores.
const WITH_SIBLINGS: f64 = 0.6;

/// The SKU of an item. The first items are one of each SKU; after them come second and third ones.
pub fn sku_of(item: usize) -> usize {
    item % SKUS.len()
}

impl StoreSetup {
    /// How many units of its SKU an item is.
    pub fn units_of(&self, item: usize) -> i64 {
        if item < SKUS.len() { self.units[item] } else { self.sibling_units[sku_of(item)] }
    }
}

/// Says which SKUs the stores list how often, and which steps concern a second or third listing. Must come after what says whose sales
/// are reported in the store's name.
pub(super) fn weave_in(seed: u64, setup: &mut Setup, steps: &mut [Step]) {
    let mut rng = Rng::seed_from_u64(seed.wrapping_mul(1_000_003).wrapping_add(13));
    if !rng.random_bool(WITH_SIBLINGS) {
        return;
    }
    for store in setup.sellers.iter_mut().flat_map(|seller| &mut seller.stores) {
        let drawn = |item: &usize| store.skus.contains(&sku_of(*item)) && rng.random_bool(if *item < 2 * SKUS.len() { 0.5 } else { 0.2 });
        store.siblings = (SKUS.len()..ITEMS.len()).filter(drawn).collect();
        // What stores sell whose sales are counted is reported as whole listings of any of them.
        store.sibling_units = if store.named.is_some() { store.units } else { [(); SKUS.len()].map(|()| pick(&mut rng, &[1, 1, 2, 3])) };
    }
    for step in steps {
        if let Step::Sell { seller, store, sku, .. }
        | Step::Unpair { seller, store, sku }
        | Step::Pair { seller, store, sku }
        | Step::Refuse { seller, store, sku, .. }
        | Step::AcceptAgain { seller, store, sku } = step
        {
            let others = &setup.sellers[*seller].stores[*store].siblings;
            let others: Vec<usize> = others.iter().copied().filter(|item| sku_of(*item) == *sku).collect();
            if !others.is_empty() && rng.random_bool(0.5) {
                *sku = pick(&mut rng, &others);
            }
        }
    }
}
