//! Units of a listing: how many units of its SKU one unit of the listing is. A six-pack is 6.
use std::num::NonZeroU16;

/// From 1, at most 10,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnitsEach(NonZeroU16);

impl UnitsEach {
    /// What a listing is if nothing else is said.
    pub const ONE: Self = Self(NonZeroU16::MIN);
    /// The most units, enough for screws by the carton.
    pub const MAX: i64 = 10_000;

    /// Checks a number that somebody has entered.
    ///
    /// # Errors
    /// The bounds, in words.
    pub fn check(units: i64) -> Result<Self, String> {
        Self::new(units).ok_or_else(|| format!("must be a whole number from 1 to {}", Self::MAX))
    }

    /// `None` if out of bounds.
    pub fn new(units: i64) -> Option<Self> {
        u16::try_from(units).ok().filter(|_| units <= Self::MAX).and_then(NonZeroU16::new).map(Self)
    }

    /// The number.
    pub fn get(self) -> i64 {
        i64::from(self.0.get())
    }

    /// Whether it is one unit of the SKU.
    pub fn is_one(self) -> bool {
        self == Self::ONE
    }

    /// How many whole units of the listing these units of the SKU are.
    pub fn whole_in(self, of_sku: i64) -> i64 {
        of_sku.div_euclid(self.get())
    }

    /// How many units of the listing it takes for these units of the SKU.
    pub fn needed_for(self, of_sku: i64) -> i64 {
        let whole = self.whole_in(of_sku);
        if whole.saturating_mul(self.get()) < of_sku { whole + 1 } else { whole }
    }

    /// How many units of the SKU these units of the listing are.
    pub fn of_sku(self, of_listing: i64) -> i64 {
        of_listing.saturating_mul(self.get())
    }
}

impl Default for UnitsEach {
    fn default() -> Self {
        Self::ONE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_is_from_1_to_10_000_units_of_its_sku() {
        assert_eq!([1, 6, 10_000].map(|units| UnitsEach::check(units).map(UnitsEach::get)), [Ok(1), Ok(6), Ok(10_000)]);
        for units in [0, -6, 10_001, i64::MIN, i64::MAX] {
            assert_eq!(UnitsEach::check(units).unwrap_err(), "must be a whole number from 1 to 10000");
        }
        assert!(UnitsEach::default().is_one());
    }

    #[test]
    fn only_whole_packs_are_there_and_a_part_of_a_pack_takes_a_whole_one() {
        let six = UnitsEach::check(6).unwrap();
        assert_eq!([0, 5, 6, 17, 18].map(|units| six.whole_in(units)), [0, 0, 1, 2, 3]);
        assert_eq!([0, 1, 6, 7, 18].map(|units| six.needed_for(units)), [0, 1, 1, 2, 3]);
        assert_eq!((six.of_sku(3), six.of_sku(i64::MAX)), (18, i64::MAX));
    }
}
