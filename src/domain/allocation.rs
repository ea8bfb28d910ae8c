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
//! However many listings of a store show the SKU, the store is one party, and each of them shows its part.
use super::bundle::Stock;
use super::units::UnitsEach;
use super::{StoreId, WarehouseCode};
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::collections::{BTreeMap, BinaryHeap, HashMap};

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
    /// The store that sells it.
    pub store_id: StoreId,
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
    let parties = if mode == AllocationMode::Exclusive { Parties::of(listings) } else { Parties::default() };
    // One split for each pool: a thousand stores usually share a few.
    let mut splits: HashMap<i64, Vec<i64>> = HashMap::new();
    listings
        .iter()
        .map(|listing| {
            let pool = listing.pool(&stock);
            let Some(share) = listing.share else { return Target::default() };
            let part = match mode {
                AllocationMode::Shared => scaled(pool, share),
                AllocationMode::Exclusive => {
                    let split = splits.entry(pool).or_insert_with(|| apportion(pool, &parties.shares));
                    parties.place_of(listing).and_then(|place| split.get(place)).copied().unwrap_or(0)
                }
            };
            listing.target(part)
        })
        .collect()
}

/// The stores that share a pool, each once, in the order of their first listings.
#[derive(Default)]
struct Parties {
    shares: Vec<Share>,
    places: BTreeMap<StoreId, usize>,
}

impl Parties {
    fn of(listings: &[ListingRules]) -> Self {
        let mut parties = Self::default();
        for listing in listings {
            parties.places.entry(listing.store_id).or_insert_with(|| {
                parties.shares.push(listing.share.unwrap_or(Share(0)));
                parties.shares.len() - 1
            });
        }
        parties
    }

    fn place_of(&self, listing: &ListingRules) -> Option<usize> {
        self.places.get(&listing.store_id).copied()
    }
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
mod tests;
