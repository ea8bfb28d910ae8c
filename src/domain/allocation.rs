//! Targets: how many units a listing should show, given available stock.
//!
//! * pool = sum of available over the warehouses that feed the store (of a bundle, what its scarcest component there allows:
//!   [`bundle`](super::bundle)), minus the buffer, never below 0
//! * shared mode: target = floor(pool × share), independently for each store
//! * exclusive mode: the pool is split by [`apportion`]; shares add up to at most 100%, the rest is unallocated
//! * then the threshold (below it the target is 0) and the maximum are applied, still in units of the SKU
//! * finally the target of a listing that is several units of the SKU is how many whole ones these are ([`UnitsEach`])
//!
//! In exclusive mode, stores may be fed by different warehouses or have different buffers, so each has its own pool.
//! Each store's pool is split among all stores and the unallocated rest, and the store gets its part of that split. The
//! split is house-monotone, so all parts together never exceed the largest pool, and equal it if all pools are equal.
use super::WarehouseCode;
use super::bundle::Stock;
use super::units::UnitsEach;
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::collections::{BinaryHeap, HashMap};

/// A share of a pool, in hundredths of a percent from 0 to 10,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Share(u16);

impl Share {
    /// The whole pool.
    pub const ALL: Self = Self(10_000);

    /// From hundredths of a percent; `None` unless from 0% to 100%.
    pub fn from_hundredths(value: i64) -> Option<Self> {
        u16::try_from(value).ok().filter(|v| *v <= 10_000).map(Self)
    }

    /// From a percentage with at most two decimal places; `None` for any other number or outside 0% to 100%.
    pub fn from_percent(percent: f64) -> Option<Self> {
        let hundredths = (percent * 100.0).round();
        if !(0.0..=10_000.0).contains(&hundredths) || (hundredths / 100.0 - percent).abs() > 1e-9 {
            return None;
        }
        #[expect(clippy::cast_possible_truncation, reason = "checked to be 0 to 10,000 above")]
        Self::from_hundredths(hundredths as i64)
    }

    /// In hundredths of a percent.
    pub fn hundredths(self) -> i64 {
        i64::from(self.0)
    }

    /// As a percentage.
    pub fn percent(self) -> f64 {
        f64::from(self.0) / 100.0
    }
}

/// How a seller's stores share the pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AllocationMode {
    /// Each store shows its share of the whole pool; shares may add up to more than 100%.
    Shared,
    /// The pool is split among the stores.
    Exclusive,
}

/// The most specific rule that has a say in a listing's target. Each field comes from the most specific rule that sets it, so
/// more general ones may have a say, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DecidedBy {
    /// A rule of this SKU in this store.
    Listing,
    /// A rule of its SKU in all stores.
    Sku,
    /// The store's share or a rule of the store.
    Store,
    /// The seller's rule and settings.
    Seller,
}

/// The resolved rules of one listing: they turn available stock into the quantity to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListingRules {
    /// Its part of the pool; a listing without a share is never pushed.
    pub share: Option<Share>,
    /// Units withheld from the pool.
    pub buffer: i64,
    /// Below this many units of the SKU the target is 0.
    pub threshold: Option<i64>,
    /// The most units of the SKU that the target may be. Increases are added to what is shown, so it does not limit that.
    pub max_shown: Option<i64>,
    /// Whether it may be pushed.
    pub sync_enabled: bool,
    /// The warehouses that feed its store; all when `None`.
    pub warehouses: Option<Vec<WarehouseCode>>,
    /// How many units of the SKU one of the listing is.
    pub units: UnitsEach,
}

impl ListingRules {
    /// Units available to this listing's store after the buffer, never below 0.
    pub fn pool(&self, stock: &Stock<'_>) -> i64 {
        stock.within(self.warehouses.as_deref()).saturating_sub(self.buffer).max(0)
    }

    /// Whether this listing is pushed: it has a share and is not switched off.
    pub fn is_pushed(&self) -> bool {
        self.sync_enabled && self.share.is_some()
    }

    /// What follows from the store's part of the pool. Nothing else applies the threshold, the maximum and the units.
    fn target(&self, part: i64) -> Target {
        let is_hidden = self.threshold.is_some_and(|threshold| part < threshold);
        let limited = if is_hidden { 0 } else { self.max_shown.map_or(part, |max| part.min(max)) };
        Target { part, limited, shown: self.units.whole_in(limited) }
    }
}

/// What a listing should show, and how that comes about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Target {
    /// The part of the pool that the allocation gives to the listing's store, in units of the SKU.
    pub part: i64,
    /// The same after the threshold and the maximum.
    pub limited: i64,
    /// What the listing should show: how many whole units of it these are.
    pub shown: i64,
}

/// The targets of all listings of one SKU, in the order given. Ties depend on that order, so it must be the same every
/// time: by store.
pub fn targets<'a>(mode: AllocationMode, stock: impl Into<Stock<'a>>, listings: &[ListingRules]) -> Vec<Target> {
    let stock = stock.into();
    let shares: Vec<Share> = listings.iter().map(|l| l.share.unwrap_or(Share(0))).collect();
    // One split for each pool: a thousand stores usually share a few.
    let mut splits: HashMap<i64, Vec<i64>> = HashMap::new();
    listings
        .iter()
        .enumerate()
        .map(|(index, listing)| {
            let pool = listing.pool(&stock);
            let Some(share) = listing.share else { return Target::default() };
            let part = match mode {
                AllocationMode::Shared => scaled(pool, share),
                AllocationMode::Exclusive => {
                    splits.entry(pool).or_insert_with(|| apportion(pool, &shares)).get(index).copied().unwrap_or(0)
                }
            };
            listing.target(part)
        })
        .collect()
}

fn scaled(pool: i64, share: Share) -> i64 {
    let product = i128::from(pool) * i128::from(share.0) / 10_000;
    i64::try_from(product).unwrap_or(i64::MAX)
}

/// Splits `pool` units among parties by their shares, using the Sainte-Laguë (Webster) method. The unallocated rest of
/// the shares is one more party, whose part is not returned. If the shares add up to 100%, the parts add up to the pool.
///
/// No part shrinks when the pool grows. Ties go to the earlier party, and to the unallocated rest last. Shares that add
/// up to more than 100% leave nothing unallocated and split the pool proportionally.
pub fn apportion(pool: i64, shares: &[Share]) -> Vec<i64> {
    let sum: i64 = shares.iter().map(|s| s.hundredths()).sum();
    let mut weights: Vec<i128> = shares.iter().map(|s| i128::from(s.hundredths())).collect();
    weights.push(i128::from((10_000 - sum).max(0)));
    let total: i128 = weights.iter().sum();
    let parties = i128::try_from(weights.iter().filter(|w| **w > 0).count()).unwrap_or(i128::MAX);
    let pool = i128::from(pool.max(0));

    // With the final divisor, every party has its exact part rounded, and the rounding errors of k parties add up to at
    // most k / 2, so no party ends below weight × (pool − k/2) / total − 1/2. Start there and hand out the few units left.
    let mut parts: Vec<i128> =
        weights.iter().map(|weight| ((weight * (2 * pool - parties) - total).div_euclid(2 * total)).max(0)).collect();
    let mut left = pool - parts.iter().sum::<i128>();
    let parties = weights.iter().zip(&parts).enumerate().filter(|(_, (weight, _))| **weight > 0);
    let mut next: BinaryHeap<Claim> = parties.map(|(party, (weight, part))| Claim { weight: *weight, part: *part, party }).collect();
    while left > 0 {
        let Some(mut first) = next.peek_mut() else { break };
        first.part += 1;
        if let Some(part) = parts.get_mut(first.party) {
            *part = first.part;
        }
        left -= 1;
    }
    parts.truncate(shares.len());
    parts.into_iter().map(|part| i64::try_from(part).unwrap_or(i64::MAX)).collect()
}

/// A party's claim to the next unit, ordered by weight / (2 × part + 1); the earlier party comes first among equals.
#[derive(PartialEq, Eq)]
struct Claim {
    weight: i128,
    part: i128,
    party: usize,
}

impl Ord for Claim {
    fn cmp(&self, other: &Self) -> Ordering {
        // Compared by cross-multiplication.
        let (own, others) = (self.weight * (2 * other.part + 1), other.weight * (2 * self.part + 1));
        own.cmp(&others).then_with(|| other.party.cmp(&self.party))
    }
}

impl PartialOrd for Claim {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::stock::Levels;
    use proptest::prelude::*;

    fn rules(share: i64) -> ListingRules {
        ListingRules {
            share: Share::from_hundredths(share),
            buffer: 0,
            threshold: None,
            max_shown: None,
            sync_enabled: true,
            warehouses: None,
            units: UnitsEach::ONE,
        }
    }
    /// What the listings should show.
    fn targets(mode: AllocationMode, levels: &Levels, listings: &[ListingRules]) -> Vec<i64> {
        super::targets(mode, levels, listings).into_iter().map(|target| target.shown).collect()
    }
    fn levels(main: i64) -> Levels {
        Levels::from([(WarehouseCode::main(), main)])
    }
    fn shares(values: &[i64]) -> Vec<Share> {
        values.iter().map(|v| Share::from_hundredths(*v).unwrap()).collect()
    }

    #[test]
    fn the_worked_example_of_the_console() {
        let listing = ListingRules { buffer: 2, ..rules(3000) };
        assert_eq!(targets(AllocationMode::Shared, &levels(42), &[listing]), [12]);
    }

    #[test]
    fn a_threshold_hides_the_last_units_and_a_maximum_caps_the_rest() {
        let careful = ListingRules { threshold: Some(5), max_shown: Some(9), ..rules(10_000) };
        let shown: Vec<i64> =
            [4, 5, 9, 10].iter().map(|n| targets(AllocationMode::Shared, &levels(*n), std::slice::from_ref(&careful))[0]).collect();
        assert_eq!(shown, [0, 5, 9, 9]);
    }

    #[test]
    fn a_six_pack_shows_whole_packs_of_what_the_threshold_and_the_maximum_leave() {
        let six = ListingRules { units: UnitsEach::check(6).unwrap(), threshold: Some(10), max_shown: Some(40), ..rules(5000) };
        let shown = |available| super::targets(AllocationMode::Shared, &levels(available), std::slice::from_ref(&six))[0];
        assert_eq!(shown(19), Target { part: 9, limited: 0, shown: 0 }, "9 units are below the threshold, though more than a pack");
        assert_eq!(shown(35), Target { part: 17, limited: 17, shown: 2 });
        assert_eq!(shown(100), Target { part: 50, limited: 40, shown: 6 });
        assert_eq!(shown(-5), Target::default());
    }

    #[test]
    fn a_share_is_a_percentage_up_to_100_with_at_most_two_decimals() {
        for (percent, hundredths) in [(0.0, 0), (0.01, 1), (0.29, 29), (1.1, 110), (33.33, 3333), (99.99, 9999), (100.0, 10_000)] {
            let share = Share::from_percent(percent);
            assert_eq!(share.map(Share::hundredths), Some(hundredths), "{percent}");
            assert_eq!(share.map(Share::percent), Some(percent));
        }
        for percent in [-0.01, 0.001, 33.333, 99.995, 100.01, 1e300, f64::INFINITY, f64::NAN] {
            assert_eq!(Share::from_percent(percent), None, "{percent}");
        }
    }

    #[test]
    fn a_listing_is_pushed_if_it_has_a_share_and_is_not_switched_off() {
        let pushed = |share, sync_enabled| ListingRules { share, sync_enabled, ..rules(1) }.is_pushed();
        let share = Share::from_hundredths(0);
        assert_eq!([pushed(share, true), pushed(share, false), pushed(None, true), pushed(None, false)], [true, false, false, false]);
    }

    #[test]
    fn each_listing_gets_its_part_of_its_own_pool() {
        let careful = ListingRules { buffer: 4, ..rules(5000) };
        let listings = [rules(5000), careful.clone(), careful, rules(0)];
        assert_eq!(targets(AllocationMode::Exclusive, &levels(20), &listings), [7, 5, 5, 0]);
    }

    #[test]
    fn many_small_parties_are_served_before_a_large_one_gets_its_next_unit() {
        let small = [[1].repeat(35), [0].repeat(15)].concat();
        assert_eq!(apportion(60, &shares(&[&[5000][..], &[100].repeat(50)].concat())), [vec![25], small].concat());
    }

    #[test]
    fn the_last_unit_is_never_stranded() {
        assert_eq!(apportion(1, &shares(&[3333, 3333, 3334])), [0, 0, 1]);
        assert_eq!(apportion(10, &shares(&[3333, 3333, 3334])).iter().sum::<i64>(), 10);
        assert_eq!(apportion(1, &shares(&[5000, 5000])), [1, 0]);
    }

    /// Sainte-Laguë by definition, one unit at a time.
    fn one_by_one(pool: i64, shares: &[Share]) -> Vec<i64> {
        let sum: i64 = shares.iter().map(|s| s.hundredths()).sum();
        let mut weights: Vec<i64> = shares.iter().map(|s| s.hundredths()).collect();
        weights.push((10_000 - sum).max(0));
        let mut parts = vec![0i64; weights.len()];
        for _ in 0..pool {
            let mut best = None::<usize>;
            for i in 0..weights.len() {
                if weights[i] > 0 && best.is_none_or(|b| weights[i] * (2 * parts[b] + 1) > weights[b] * (2 * parts[i] + 1)) {
                    best = Some(i);
                }
            }
            parts[best.unwrap()] += 1;
        }
        parts.pop();
        parts
    }

    fn any_shares() -> impl Strategy<Value = Vec<Share>> {
        proptest::collection::vec(0i64..=10_000, 1..8).prop_map(|raw| {
            let sum: i64 = raw.iter().sum::<i64>().max(10_000);
            raw.iter().map(|v| Share::from_hundredths(v * 10_000 / sum).unwrap()).collect()
        })
    }

    proptest! {
        #[test]
        fn the_split_matches_the_definition_of_sainte_lague(pool in 0i64..400, shares in any_shares()) {
            prop_assert_eq!(apportion(pool, &shares), one_by_one(pool, &shares));
        }
        #[test]
        fn the_parts_and_the_unallocated_rest_add_up_to_the_pool(pool in 0i64..=1_000_000_000_000_000, shares in any_shares()) {
            let parts = apportion(pool, &shares);
            let sum: i64 = parts.iter().sum();
            prop_assert!(sum <= pool);
            if shares.iter().map(|s| s.hundredths()).sum::<i64>() == 10_000 { prop_assert_eq!(sum, pool); }
        }
        #[test]
        fn no_part_shrinks_when_the_pool_grows(pool in 0i64..1_000_000_000_000, more in 1i64..1000, shares in any_shares()) {
            let (before, after) = (apportion(pool, &shares), apportion(pool + more, &shares));
            prop_assert!(before.iter().zip(&after).all(|(b, a)| b <= a));
        }
        #[test]
        fn stores_fed_by_different_warehouses_never_offer_more_than_is_available(a in 0i64..1000, b in 0i64..1000, shares in any_shares(), picks in proptest::collection::vec(0u8..3, 8)) {
            let other = WarehouseCode::parse("b").unwrap();
            let levels = Levels::from([(WarehouseCode::main(), a), (other.clone(), b)]);
            let listings: Vec<ListingRules> = shares.iter().zip(picks).map(|(share, pick)| ListingRules {
                warehouses: match pick { 0 => None, 1 => Some(vec![WarehouseCode::main()]), _ => Some(vec![other.clone()]) },
                ..rules(share.hundredths())
            }).collect();
            prop_assert!(targets(AllocationMode::Exclusive, &levels, &listings).iter().sum::<i64>() <= a + b);
        }
        #[test]
        fn increases_telescope(steps in proptest::collection::vec(-50i64..50, 1..40), share in 1i64..=10_000, units in 1i64..=12) {
            let listing = ListingRules { units: UnitsEach::check(units).unwrap(), ..rules(share) };
            let target = |available| targets(AllocationMode::Shared, &levels(available), std::slice::from_ref(&listing))[0];
            let (mut available, mut shown_by_increases, mut decreases) = (0i64, 0i64, 0i64);
            for step in steps {
                let before = target(available);
                available += step;
                let after = target(available);
                if after > before { shown_by_increases += after - before } else { decreases += before - after }
            }
            prop_assert_eq!(shown_by_increases - decreases, target(available));
        }
    }
}
