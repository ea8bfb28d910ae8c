//! What differs, why, and what is done about it.
use super::super::units::UnitsEach;
use super::*;
use proptest::prelude::*;

fn at(hours: i64) -> Timestamp {
    Timestamp::from_millis(hours * 3_600_000)
}

fn known(shown: i64, target: i64) -> Known<'static> {
    Known { target: Some(target), account: Account { shown: Some(shown), ..Account::default() }, ..Known::default() }
}

fn reported(expected: i64, target: i64) -> Known<'static> {
    let expected = Expectation { units: Some(expected), ..Expectation::default() };
    Known { expected: Some(expected), ..known(expected.units.unwrap(), target) }
}

fn found(known: Known<'_>, shown: i64) -> Option<(Cause, i64)> {
    known.compare(shown, at(100)).map(|drift| (drift.cause, drift.difference.unwrap()))
}

#[test]
fn a_listing_that_shows_what_it_last_showed_or_its_target_does_not_differ() {
    assert_eq!(found(known(10, 7), 10), None, "stock has fallen, and decreases are not sent");
    assert_eq!(found(known(10, 7), 7), None, "the sales in the store were reported");
    assert_eq!(found(known(10, 7), 8), None, "so were some of them");
    assert_eq!(found(Known { account: Account::default(), ..known(10, 7) }, 3), None, "nothing is known of it");
    assert_eq!(found(Known { target: None, ..known(10, 7) }, 3), None, "it is not pushed");
}

#[test]
fn more_than_before_was_edited_and_less_than_ought_to_be_left_was_sold() {
    assert_eq!(found(known(10, 10), 13), Some((Cause::EditedInStore, 3)));
    assert_eq!(found(known(10, 10), 8), Some((Cause::SaleNotReported, -2)));
    assert_eq!(found(known(10, 7), 5), Some((Cause::SaleNotReported, -2)), "of the five that it sold, three were reported");
    assert_eq!(found(known(10, 12), 9), Some((Cause::SaleNotReported, -1)), "an increase of two was refused or is not sent by day");
}

#[test]
fn in_a_store_whose_sales_are_reported_what_is_expected_counts() {
    assert_eq!(found(reported(10, 4), 10), None);
    assert_eq!(found(reported(10, 4), 9), Some((Cause::SaleNotReported, -1)), "though it is more than the target");
    assert_eq!(found(reported(10, 12), 13), Some((Cause::EditedInStore, 3)));
    assert_eq!(found(reported(10, 12), 12), None, "the platform has put a canceled order back, and so has the seller's system");
    let in_doubt = Expectation { units: Some(10), otherwise: Some(15), ..Expectation::default() };
    let doubted = Known { expected: Some(in_doubt), ..known(10, 10) };
    let doubted = Known { target: Some(0), ..doubted };
    assert_eq!([10, 15, 14, 9, 17].map(|shown| found(doubted, shown).map(|(_, units)| units)), [None, None, Some(-1), Some(-1), Some(2)]);
}

#[test]
fn units_that_may_have_been_reported_for_another_listing_of_the_sku_are_not_missing() {
    let expected = Expectation { units: Some(10), unattributed: 3, ..Expectation::default() };
    let shows = |shown| found(Known { expected: Some(expected), ..known(10, 0) }, shown);
    assert_eq!([10, 7, 6].map(shows), [None, None, Some((Cause::SaleNotReported, -1))]);
    assert_eq!(shows(12), Some((Cause::EditedInStore, 2)), "no report explains more");
}

#[test]
fn of_a_pack_that_was_reported_in_part_the_pack_is_missing_until_the_rest_is_reported() {
    let expected = |units| Expectation { units: Some(units), each: UnitsEach::new(6).unwrap(), ..Expectation::default() };
    let shows = |units, shown| found(Known { expected: Some(expected(units)), ..known(5, 9) }, shown);
    assert_eq!(shows(30, 4), Some((Cause::SaleNotReported, -1)));
    assert_eq!(shows(26, 4), Some((Cause::SaleNotReported, -1)), "four of six were reported");
    assert_eq!(shows(24, 4), None);
    assert_eq!(shows(26, 5), None, "four more than expected are no pack");
}

#[test]
fn what_a_platform_has_refused_is_the_cause_as_long_as_it_is_owed() {
    let owed = Account { shown: Some(10), owed_since: Some(at(1)), ..Account::default() };
    assert_eq!(found(Known { account: owed, ..known(10, 15) }, 10), Some((Cause::PushRejected, -5)));
    assert_eq!(found(Known { account: owed, ..known(10, 15) }, 15), None);
}

#[test]
fn what_was_seen_before_differs_until_something_is_done_about_it() {
    let before = Drift { cause: Cause::EditedInStore, difference: Some(3), shown: Some(13), since: at(1), note: None };
    let seen = Known { before: Some(&before), ..known(13, 10) };
    let again = seen.compare(13, at(100)).unwrap();
    assert_eq!((again.cause, again.difference, again.since), (Cause::EditedInStore, Some(3), at(1)));
    assert_eq!(seen.compare(10, at(100)), None);
    let account = Account { shown: Some(13), changed_at: Some(at(2)), ..Account::default() };
    assert_eq!(Known { account, ..seen }.compare(13, at(100)), None, "it was overwritten since");
    assert_eq!(seen.compare(13, at(0)).unwrap().since, at(0), "the clock was set back");
    assert_eq!(found(seen, 14), Some((Cause::EditedInStore, 4)), "and again since");
    assert_eq!(found(seen, 12), Some((Cause::EditedInStore, 2)), "one was sold since");
    let increased = Known { account: Account { shown: Some(18), ..Account::default() }, target: Some(15), ..seen };
    assert_eq!(found(increased, 18), Some((Cause::EditedInStore, 3)), "an increase came on top");
    let sold = Drift { cause: Cause::SaleNotReported, difference: Some(-2), shown: Some(8), since: at(1), note: None };
    let seen = Known { before: Some(&sold), ..known(8, 10) };
    assert_eq!(found(seen, 7), Some((Cause::SaleNotReported, -3)), "and another one");
    assert_eq!(found(Known { target: Some(8), ..seen }, 7), Some((Cause::SaleNotReported, -1)), "of which two were reported");
    assert_eq!(found(Known { target: Some(8), ..seen }, 8), None);
}

#[test]
fn the_policy_says_which_are_overwritten() {
    let corrected = |known: Known<'_>, shown: i64| {
        let drift = known.compare(shown, at(100)).unwrap();
        [Policy::Off, Policy::Report, Policy::CorrectDown, Policy::Correct].map(|policy| known.is_corrected(&drift, policy, at(100)))
    };
    let waiting = |known: Known<'static>| Known { unseen_for: Duration::from_secs(72 * 3600), ..known };
    let before = |since| Drift { cause: Cause::SaleNotReported, difference: Some(-2), shown: Some(8), since: at(since), note: None };
    assert_eq!(corrected(waiting(known(10, 10)), 8), [false; 4], "its report may be on its way");
    let (recent, old) = (before(29), before(28));
    assert_eq!(corrected(Known { before: Some(&recent), ..waiting(known(8, 10)) }, 8), [false; 4]);
    assert_eq!(corrected(Known { before: Some(&old), ..waiting(known(8, 10)) }, 8), [false, false, false, true]);
    assert_eq!(corrected(known(10, 10), 13), [false, false, true, true]);
    assert_eq!(corrected(known(10, 10), 8), [false, false, false, true]);
    assert_eq!(corrected(known(10, 20), 13), [false, false, false, true], "an overwrite would raise it");
    assert_eq!(corrected(reported(10, 10), 8), [false; 4], "an overwrite would leave out what is missing");
    let owed = Account { shown: Some(10), owed_since: Some(at(1)), ..Account::default() };
    assert_eq!(corrected(Known { account: owed, ..known(10, 15) }, 10), [false; 4], "it would be refused again");
}

#[test]
fn why_a_listing_cannot_be_read_is_told_apart() {
    let cause = |reason| unreadable(reason, None, at(5)).cause;
    assert_eq!(cause("The store refused this listing: its inventory is not tracked."), Cause::NotTracked);
    for reason in ["This variant does not track inventory in Shopify.", "This product does not track its stock.", "It is not tracked."] {
        assert_eq!(cause(reason), Cause::NotTracked, "{reason}");
    }
    assert_eq!(cause("There is no such item."), Cause::Unreadable);
    let before = locked("A campaign.", None, at(1));
    assert_eq!(locked("A campaign.", Some(&before), at(5)).since, at(1));
    assert_eq!(unreadable("There is no such item.", Some(&before), at(5)).since, at(5));
}

#[test]
fn every_word_is_found_again() {
    assert!(Policy::ALL.into_iter().all(|policy| Policy::parse(policy.as_str()) == Some(policy)));
    assert!(Cause::ALL.into_iter().all(|cause| Cause::parse(cause.as_str()) == Some(cause)));
    assert_eq!((Policy::parse(""), Cause::parse("")), (None, None));
}

proptest! {
    #[test]
    fn a_correction_downwards_never_raises_anything(expected in -5i64..50, target in 0i64..50, shown in -5i64..50, is_reported in any::<bool>()) {
        let known = if is_reported { reported(expected, target) } else { known(expected, target) };
        if let Some(drift) = known.compare(shown, at(1)) {
            prop_assert!(!known.is_corrected(&drift, Policy::CorrectDown, at(1)) || shown > target);
            prop_assert!(!known.is_corrected(&drift, Policy::CorrectDown, at(1)) || known.is_corrected(&drift, Policy::Correct, at(1)));
        }
    }
}
