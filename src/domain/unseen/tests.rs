//! The rule in tables, and what holds for a shop that sells, reports and is overwritten in any order.
use super::*;
use proptest::prelude::*;

const LIMIT: Duration = Duration::from_secs(72 * 3600);

fn hour(n: i64) -> Timestamp {
    Timestamp::from_millis(n * 3_600_000)
}

fn expecting(units: i64) -> Expectation {
    Expectation { units: Some(units), ..Expectation::default() }
}

fn unseen(of: Expectation, shown: i64) -> i64 {
    of.read(shown, false, LIMIT, hour(1)).unseen
}

#[test]
fn what_is_missing_was_sold_and_what_is_there_beyond_that_was_put_there() {
    for (expected, shown, missing) in [(10, 8, 2), (10, 10, 0), (10, 13, 0), (0, -2, 2), (10, -2, 12)] {
        let found = expecting(expected).read(shown, false, LIMIT, hour(1));
        assert_eq!((found.unseen, found.expectation.units), (missing, Some(expected.max(shown))));
    }
    assert_eq!(unseen(Expectation::default(), 3), 0, "nothing was expected");
}

#[test]
fn a_push_of_unknown_outcome_is_taken_for_applied_only_if_nothing_else_explains_what_is_shown() {
    let perhaps = Expectation { otherwise: Some(15), ..expecting(10) };
    for (shown, missing) in [(15, 0), (13, 2), (11, 4), (10, 0), (8, 2), (16, 0)] {
        assert_eq!(unseen(perhaps, shown), missing, "{shown}");
    }
    let lowered = Expectation { otherwise: Some(4), ..expecting(10) };
    for (shown, missing) in [(10, 0), (7, 3), (4, 0), (3, 1)] {
        assert_eq!(unseen(lowered, shown), missing, "{shown}");
    }
    assert_eq!(perhaps.read(13, false, LIMIT, hour(1)).expectation.otherwise, None, "it is decided then");
}

#[test]
fn a_number_that_a_late_request_has_left_says_nothing_about_sales() {
    let known = Expectation { unseen: 2, unseen_since: Some(hour(0)), ..expecting(20) };
    let found = known.read(5, true, LIMIT, hour(1));
    assert_eq!((found.unseen, found.expectation), (2, Expectation { units: Some(7), ..known }));
    assert_eq!(expecting(20).read(20, true, LIMIT, hour(1)).unseen, 0, "it shows what it should");
    let drift = known.read(5, true, LIMIT, hour(72));
    assert_eq!((drift.unseen, drift.expectation.unseen_since), (0, None), "however often it is read");
}

#[test]
fn a_pack_that_was_sold_is_left_out_until_all_its_units_are_reported() {
    let each = UnitsEach::check(6).unwrap();
    let of_packs = Expectation { each, ..expecting(60) };
    let found = of_packs.read(9, false, LIMIT, hour(0));
    assert_eq!((found.unseen, found.expectation.unseen, found.expectation.units), (1, 6, Some(60)));
    for (reported, unseen) in [(1, 1), (4, 1), (5, 1), (6, 0)] {
        let rest = Expectation { units: Some(60 - reported), unseen: 6 - reported, ..found.expectation };
        assert_eq!(rest.read(9, false, LIMIT, hour(1)).unseen, unseen, "{reported} of 6 units are reported");
    }
    assert_eq!(of_packs.read(7, false, LIMIT, hour(0)).unseen, 3);
}

#[test]
fn nothing_is_expected_of_a_listing_that_shows_more_than_any_shop_has() {
    let each = UnitsEach::check(UnitsEach::MAX).unwrap();
    for shown in [i64::MAX, i64::MIN, MOST + 1] {
        let found = Expectation { each, ..expecting(60) }.read(shown, false, LIMIT, hour(0));
        assert_eq!(found.expectation.units, None, "{shown}");
    }
}

#[test]
fn units_that_are_missing_for_too_long_are_drift_but_those_sold_since_are_not() {
    let first = expecting(10).read(8, false, LIMIT, hour(0));
    assert_eq!((first.unseen, first.expectation.unseen_since), (2, Some(hour(0))));
    let sold_one_more = first.expectation.read(7, false, LIMIT, hour(71));
    assert_eq!((sold_one_more.unseen, sold_one_more.expectation.unseen), (3, 2));
    let too_old = sold_one_more.expectation.read(7, false, LIMIT, hour(72));
    assert_eq!((too_old.unseen, too_old.expectation.units), (1, Some(8)));
    assert_eq!(too_old.expectation.unseen_since, Some(hour(72)), "its own time begins");
    assert_eq!(too_old.expectation.read(7, false, LIMIT, hour(143)).unseen, 1);
    assert_eq!(too_old.expectation.read(7, false, LIMIT, hour(144)).unseen, 0);
}

#[test]
fn reported_units_are_the_ones_that_were_missing_first() {
    let first = expecting(10).read(8, false, LIMIT, hour(0)).expectation;
    // Two are reported, then one is sold.
    let reported = Expectation { units: Some(8), unseen: 0, ..first };
    let found = reported.read(7, false, LIMIT, hour(100));
    assert_eq!((found.unseen, found.expectation.unseen_since), (1, Some(hour(100))));
    assert_eq!(reported.read(8, false, LIMIT, hour(100)).expectation.unseen_since, None);
}

#[test]
fn a_clock_that_was_set_back_makes_nothing_old() {
    let ahead = Expectation { unseen: 2, unseen_since: Some(hour(1000)), ..expecting(10) };
    let found = ahead.read(8, false, LIMIT, hour(0));
    assert_eq!((found.unseen, found.expectation.unseen_since), (2, Some(hour(0))));
}

#[test]
fn nothing_below_zero_is_sent() {
    assert_eq!([quantity(12, 2), quantity(3, 5), quantity(0, 5), quantity(7, 0)], [10, 0, 0, 7]);
}

#[test]
fn the_arithmetic_is_said_in_words() {
    assert_eq!(text(10, 2).unwrap(), "12 by the rules, less 2 units sold in the store and not reported yet");
    assert!(text(0, 1).unwrap().starts_with("1 unit sold in the store"));
    assert_eq!(text(10, 0), None);
}

/// A shop, and what the service knows of it.
#[derive(Debug)]
struct Shop {
    available: i64,
    shown: i64,
    unreported: i64,
    expectation: Expectation,
}

impl Shop {
    fn overwrite(&mut self) {
        let found = self.expectation.read(self.shown, false, LIMIT, hour(0));
        let to = quantity(self.available, found.unseen);
        let units = found.expectation.units.map(|units| units + to - self.shown);
        self.expectation = Expectation { units, ..found.expectation };
        self.shown = to;
    }
}

#[derive(Debug, Clone)]
enum Step {
    Sells(i64),
    Reports(i64),
    Receives(i64),
    IsOverwritten,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (1i64..5).prop_map(Step::Sells),
        (1i64..5).prop_map(Step::Reports),
        (1i64..9).prop_map(Step::Receives),
        Just(Step::IsOverwritten)
    ]
}

proptest! {
    #[test]
    fn an_overwrite_shows_the_target_less_what_was_sold_without_a_report(steps in proptest::collection::vec(step(), 0..40)) {
        let mut shop = Shop { available: 300, shown: 300, unreported: 0, expectation: expecting(300) };
        for step in steps {
            match step {
                Step::Sells(units) => (shop.shown, shop.unreported) = (shop.shown - units, shop.unreported + units),
                Step::Reports(units) => {
                    let units = units.min(shop.unreported);
                    (shop.available, shop.unreported) = (shop.available - units, shop.unreported - units);
                    shop.expectation.units = shop.expectation.units.map(|expected| expected - units);
                    shop.expectation.unseen = (shop.expectation.unseen - units).max(0);
                }
                Step::Receives(units) => {
                    (shop.available, shop.shown) = (shop.available + units, shop.shown + units);
                    shop.expectation.units = shop.expectation.units.map(|expected| expected + units);
                }
                Step::IsOverwritten => shop.overwrite(),
            }
            prop_assert_eq!(shop.shown, shop.available - shop.unreported, "{:?}", shop);
        }
        shop.overwrite();
        prop_assert_eq!(shop.shown, shop.available - shop.unreported);
    }

    #[test]
    fn parts_that_are_left_after_unseen_sales_never_exceed_the_pool(parts in proptest::collection::vec((0i64..50, 0i64..80), 1..6)) {
        let pool: i64 = parts.iter().map(|(part, _)| part).sum();
        let shown: i64 = parts.iter().map(|(part, unseen)| quantity(*part, *unseen)).sum();
        prop_assert!((0..=pool).contains(&shown));
    }
}
