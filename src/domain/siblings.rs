//! Listings of a store that show the same SKU, such as a product that is listed twice: what is expected of each of them, and what
//! they have sold together. [`unseen`](super::unseen) has the rule for a listing that is alone.
//!
//! All of them show the same units, so a unit that one of them has sold is gone for each. A report names the store and the SKU, and not
//! the listing. So it is taken off the expectation of these listings together:
//!
//! * At first it is *unattributed*: it is noted once for all of them, and lowers the expectation of none.
//! * When all of them are read, it is known how many units are missing at each. The reports are attributed to those, first to the listing
//!   where units have been missing for longest, and lower its expectation as the report of a listing that is alone does. Reports
//!   of more units than are missing are forgotten, as they are there: the number read becomes the expectation.
//!   What a store has put back by itself is reported, too; that is attributed to listings that show more than expected.
//! * What is missing then at any of them has not been reported, and comes off what each of them is set to.
//!
//! It does not matter to what is sent which listing a report is attributed to, because only the sum counts.
//!
//! One that cannot be read may have sold, since it was last read, whatever was reported since. Then nothing is attributed, so that no
//! report of its sales hides an unseen sale of another: what is missing is left out, although some of it may have been reported.
use super::Timestamp;
use super::unseen::{Expectation, Found};
use std::time::Duration;

/// The most listings of a SKU in one store: before one of them is overwritten, all are read.
pub const MAX_LISTINGS: usize = 50;

/// For how long an overwrite waits for a listing of the same SKU that cannot be read at the moment.
pub const WAITS_FOR: Duration = Duration::from_secs(600);
/// After which time it is tried again meanwhile.
pub const TRIED_AFTER: Duration = Duration::from_secs(5);

/// What is known of what a listing shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// It was read just now.
    Now {
        /// It shows this.
        shown: i64,
        /// An earlier request that was given up explains that number exactly.
        left_late: bool,
    },
    /// The store does not have it any more, so it sells nothing. It showed this before, as far as known.
    Gone(Option<i64>),
    /// Something is on its way to it. It showed this before, as far as known.
    Before(Option<i64>),
    /// It could not be read. It showed this before, as far as known.
    Unread(Option<i64>),
}

impl Seen {
    /// Of so many units that were reported, those that may be of the listing.
    fn explains(self, expected: &Expectation, reported: i64) -> i64 {
        match self {
            Self::Now { shown, left_late } => expected.explained_by(reported, shown, left_late),
            Self::Gone(shown) | Self::Before(shown) | Self::Unread(shown) => {
                shown.map_or(0, |shown| expected.explained_by(reported, shown, false))
            }
        }
    }

    fn read(self, expected: Expectation, limit: Duration, now: Timestamp) -> Found {
        match self {
            Self::Now { shown, left_late } => expected.read(shown, left_late, limit, now),
            // It was not read, so nothing else is expected of it.
            Self::Gone(shown) | Self::Before(shown) | Self::Unread(shown) => {
                let missing = shown.map_or(0, |shown| expected.read(shown, false, limit, now).missing);
                Found { unseen: expected.each.needed_for(missing), missing, expectation: expected }
            }
        }
    }
}

/// What all listings of a SKU in a store have sold together, as far as known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Together {
    /// Whether one of the listings could not be read, or units are left out that may have been reported because something is on its way to
    /// one.
    pub is_uncertain: bool,
    /// Units of the SKU that were sold and not reported yet.
    pub unseen: i64,
    /// What is expected of each listing from now on, in the order given.
    pub expectations: Vec<Expectation>,
}

/// What these listings have sold together. Units that have been missing for `limit` are drift.
pub fn together(listings: &[(Expectation, Seen)], limit: Duration, now: Timestamp) -> Together {
    // Those that were paired later know of fewer.
    let reported = listings.iter().map(|(expected, _)| expected.unattributed).max_by_key(|units| units.unsigned_abs()).unwrap_or(0);
    let all_seen = listings.iter().all(|(_, seen)| matches!(seen, Seen::Now { .. } | Seen::Gone(_)));
    let one_is_unread = listings.iter().any(|(_, seen)| matches!(seen, Seen::Unread(_)));
    let mut left = if all_seen { reported } else { 0 };
    let mut oldest_first: Vec<usize> = (0..listings.len()).collect();
    let since = |place: &usize| listings.get(*place).and_then(|(expected, _)| expected.unseen_since).map_or(i64::MAX, Timestamp::as_millis);
    oldest_first.sort_by_key(since);
    let mut attributed = vec![0; listings.len()];
    for place in oldest_first {
        if let (Some((expected, seen)), Some(attributed)) = (listings.get(place), attributed.get_mut(place)) {
            *attributed = seen.explains(expected, left);
            left -= *attributed;
        }
    }
    // What was put back and does not show yet is expected of some listing.
    if let (Some(first), true) = (attributed.first_mut(), left < 0) {
        *first += left;
    }
    let found = listings.iter().zip(attributed).map(|((expected, seen), units)| {
        let unattributed = if all_seen { 0 } else { expected.unattributed };
        seen.read(Expectation { unattributed, ..expected.reported(units) }, limit, now)
    });
    let found: Vec<Found> = found.collect();
    let unseen = found.iter().map(|found| found.missing).fold(0, i64::saturating_add);
    let expectations = found.into_iter().map(|found| found.expectation).collect();
    Together { is_uncertain: one_is_unread || (!all_seen && reported != 0), unseen, expectations }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::units::UnitsEach;
    use proptest::prelude::*;

    const LIMIT: Duration = Duration::from_secs(72 * 3600);

    fn hour(n: i64) -> Timestamp {
        Timestamp::from_millis(n * 3_600_000)
    }

    fn expecting(units: i64, unattributed: i64) -> Expectation {
        Expectation { units: Some(units), unattributed, ..Expectation::default() }
    }

    fn shows(shown: i64) -> Seen {
        Seen::Now { shown, left_late: false }
    }

    fn expected(of: &Together) -> Vec<(Option<i64>, i64)> {
        of.expectations.iter().map(|found| (found.units, found.unattributed)).collect()
    }

    #[test]
    fn a_report_is_of_whichever_listing_misses_units_and_of_no_more_than_one() {
        for (shown, reported, unseen, left) in [
            ([10, 7], 3, 0, [10, 7]),
            ([7, 10], 3, 0, [7, 10]),
            ([8, 9], 3, 0, [8, 9]),
            ([7, 7], 3, 3, [7, 10]),
            ([7, 7], 0, 6, [10, 10]),
            ([10, 10], 3, 0, [10, 10]),
            ([12, 7], 0, 3, [12, 10]),
            ([12, 7], 5, 0, [12, 7]),
            ([12, 10], -2, 0, [12, 10]),
            ([12, 8], -2, 2, [12, 10]),
            ([10, 10], -2, 2, [12, 10]),
        ] {
            let listings = shown.map(|shown| (expecting(10, reported), shows(shown)));
            let found = together(&listings, LIMIT, hour(1));
            assert_eq!((found.unseen, found.is_uncertain), (unseen, false), "{shown:?}, {reported} reported");
            assert_eq!(expected(&found), left.map(|units| (Some(units), 0)), "{shown:?}, {reported} reported");
        }
    }

    #[test]
    fn what_has_been_missing_for_longest_is_reported_first_and_what_is_missing_for_too_long_is_drift() {
        let older = Expectation { unseen: 2, unseen_since: Some(hour(0)), ..expecting(10, 2) };
        let newer = Expectation { unseen: 2, unseen_since: Some(hour(5)), ..expecting(10, 2) };
        let found = together(&[(newer, shows(8)), (older, shows(8))], LIMIT, hour(10));
        assert_eq!(expected(&found), [(Some(10), 0), (Some(8), 0)]);
        assert_eq!(together(&[(newer, shows(8)), (older, shows(8))], LIMIT, hour(73)).unseen, 2, "the older ones are reported");
        let unreported = |of: Expectation| Expectation { unattributed: 0, ..of };
        let found = together(&[(unreported(newer), shows(8)), (unreported(older), shows(8))], LIMIT, hour(73));
        assert_eq!((found.unseen, expected(&found)), (2, vec![(Some(10), 0), (Some(8), 0)]));
    }

    #[test]
    fn while_a_listing_cannot_be_read_no_report_is_attributed() {
        let found = together(&[(expecting(10, 3), shows(7)), (expecting(10, 3), Seen::Before(Some(9)))], LIMIT, hour(1));
        assert_eq!((found.unseen, found.is_uncertain), (4, true), "the three may be sales of the other");
        assert_eq!(expected(&found), [(Some(10), 3), (Some(10), 3)]);
        let found = together(&[(expecting(10, 0), shows(7)), (expecting(10, 0), Seen::Before(None))], LIMIT, hour(1));
        assert_eq!((found.unseen, found.is_uncertain), (3, false), "nothing was reported");
        let found = together(&[(expecting(10, 3), shows(7)), (expecting(10, 3), Seen::Gone(Some(9)))], LIMIT, hour(1));
        assert_eq!((found.unseen, found.is_uncertain), (1, false), "what the store does not have sells nothing any more");
        assert_eq!(expected(&found), [(Some(7), 0), (Some(10), 0)]);
    }

    #[test]
    fn packs_and_pieces_of_a_sku_count_the_same_units() {
        let six = Expectation { each: UnitsEach::new(6).unwrap(), ..expecting(60, 7) };
        let found = together(&[(six, shows(9)), (expecting(60, 7), shows(58))], LIMIT, hour(1));
        assert_eq!((found.unseen, expected(&found)), (1, vec![(Some(54), 0), (Some(59), 0)]), "a pack and a piece were reported");
    }

    #[test]
    fn a_listing_that_is_alone_is_read_as_ever() {
        let old = Expectation { unseen: 2, unseen_since: Some(hour(0)), otherwise: Some(15), ..expecting(10, 0) };
        for (shown, late, now) in [(8, false, 1), (7, false, 73), (12, false, 1), (15, true, 1), (5, true, 1), (20, false, 1)] {
            let (alone, seen) = (old.read(shown, late, LIMIT, hour(now)), Seen::Now { shown, left_late: late });
            let found = together(&[(old, seen)], LIMIT, hour(now));
            assert_eq!((found.unseen, found.expectations), (alone.missing, vec![alone.expectation]), "{shown}");
        }
    }

    #[derive(Debug, Clone)]
    enum Step {
        Sells(usize, i64),
        Reports(i64),
        Receives(i64),
        Overwrites(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0usize..3, 1i64..5).prop_map(|(place, units)| Step::Sells(place, units)),
            (1i64..5).prop_map(Step::Reports),
            (1i64..9).prop_map(Step::Receives),
            (0usize..3).prop_map(Step::Overwrites)
        ]
    }

    proptest! {
        /// Three listings of one SKU that sell, are reported together, are increased together and overwritten one by one: each overwrite
        /// shows what is available less what was sold at any of them without a report.
        #[test]
        fn an_overwrite_leaves_out_what_any_of_them_has_sold_without_a_report(steps in proptest::collection::vec(step(), 0..60)) {
            let (mut available, mut unreported) = (500, 0);
            let (mut shown, mut expectations) = ([500; 3], [expecting(500, 0); 3]);
            for step in steps {
                match step {
                    Step::Sells(place, units) => (shown[place], unreported) = (shown[place] - units, unreported + units),
                    Step::Reports(units) => {
                        let units = units.min(unreported);
                        (available, unreported) = (available - units, unreported - units);
                        expectations.iter_mut().for_each(|expected| expected.unattributed += units);
                    }
                    Step::Receives(units) => {
                        available += units;
                        for (shown, expected) in shown.iter_mut().zip(&mut expectations) {
                            (*shown, expected.units) = (*shown + units, expected.units.map(|expected| expected + units));
                        }
                    }
                    Step::Overwrites(place) => {
                        let listings: Vec<_> = expectations.iter().copied().zip(shown.map(shows)).collect();
                        let found = together(&listings, LIMIT, hour(0));
                        prop_assert_eq!(found.unseen, unreported);
                        expectations.copy_from_slice(&found.expectations);
                        let to = available - unreported;
                        let units = expectations[place].units.map(|expected| expected + to - shown[place]);
                        (expectations[place].units, shown[place]) = (units, to);
                    }
                }
            }
        }
    }
}
