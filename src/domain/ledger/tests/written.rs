//! What is written after an event, and how it is answered.
use super::*;

fn code(text: &str) -> WarehouseCode {
    WarehouseCode::parse(text).unwrap()
}

/// 10 in `main`, counted at 50, and 4 in `east`.
fn counted() -> Facts {
    let levels = Levels::from([(code("main"), 10), (code("east"), 4)]);
    let counted = BTreeMap::from([(code("main"), at(50))]);
    Facts { levels: HashMap::from([("A".to_owned(), levels)]), counted: HashMap::from([("A".to_owned(), counted)]), ..one_store() }
}

fn happened(ms: i64, new: NewEvent) -> NewEvent {
    NewEvent { event: StockEvent { occurred_at: Some(at(ms)), ..new.event }, ..new }
}

fn transfer(from: &str, to: &str, quantity: i64) -> NewEvent {
    let new = event("t", Transfer, quantity);
    NewEvent { event: StockEvent { warehouse: code(from), to_warehouse: Some(code(to)), ..new.event }, ..new }
}

/// The levels that are written after this event, and the remark in its answer.
fn written(new: &NewEvent) -> (Vec<(String, i64)>, Option<Remark>) {
    let mut book = Book::new(counted());
    let EventResult::Accepted { remark, .. } = book.apply(new, at(100), LIMITS) else { panic!("it is refused") };
    (book.changes().levels.into_iter().map(|((_, code), level)| (code.to_string(), level)).collect(), remark)
}

#[test]
fn a_level_is_written_if_it_changed_or_was_counted_and_no_other_is() {
    let main = |level| vec![("main".to_owned(), level)];
    assert_eq!(written(&event("1", Purchase, 1)).0, main(11));
    assert_eq!(written(&event("1", Count, 10)).0, main(10), "a count says something even if it confirms what was known");
    assert_eq!(written(&event("1", Adjustment, 0)).0, []);
    assert_eq!(written(&happened(49, event("1", Sale, 2))).0, [], "it is in the count already");
    assert_eq!(written(&happened(49, event("1", Count, 3))).0, [], "a later count is known");
}

#[test]
fn a_transfer_of_before_a_count_still_changes_the_warehouse_that_was_not_counted_since() {
    let (levels, remark) = written(&happened(49, transfer("main", "east", 3)));
    assert_eq!(levels, [("east".to_owned(), 7)]);
    let remark = remark.unwrap();
    assert!(!remark.without_effect && remark.reason.contains("warehouse main") && remark.reason.contains("destination"), "{remark:?}");
    let (levels, remark) = written(&happened(49, transfer("east", "main", 3)));
    assert_eq!(levels, [("east".to_owned(), 1)]);
    let remark = remark.unwrap();
    assert!(!remark.without_effect && remark.reason.contains("warehouse main") && remark.reason.contains("source"), "{remark:?}");
    assert_eq!(written(&happened(51, transfer("east", "main", 3))), (vec![("east".to_owned(), 1), ("main".to_owned(), 13)], None));
}

#[test]
fn the_answer_says_why_an_event_changed_nothing() {
    let says = |new: &NewEvent| written(new).1.map(|remark| (remark.reason, remark.without_effect));
    let (late, included) = ("A count as of a later time is known, so this one changes nothing.", "The newest count includes this already");
    assert_eq!(says(&happened(49, event("1", Count, 3))), Some((late.to_owned(), true)));
    let (reason, without_effect) = says(&happened(49, event("1", Sale, 2))).unwrap();
    assert!(reason.starts_with(included) && without_effect, "{reason}");
    assert_eq!(says(&happened(50, event("1", Sale, 2))), None);
}

#[test]
fn a_movement_of_the_very_time_of_a_late_count_is_in_it() {
    let mut book = Book::new(with_level(one_store(), 10));
    for new in [happened(20, event("sale", Sale, 2)), happened(21, event("next", Sale, 1)), happened(20, event("count", Count, 7))] {
        book.apply(&new, at(100), LIMITS);
    }
    assert_eq!(book.changes().levels.into_values().collect::<Vec<_>>(), [6], "7 counted, 1 sold afterwards");
}

#[test]
fn what_a_count_contains_of_an_event_is_stored_in_two_bits() {
    for (here, there, bits) in [(false, false, None), (true, false, Some(1)), (false, true, Some(2)), (true, true, Some(3))] {
        let in_count = InCount { here, there, ..InCount::default() };
        assert_eq!((in_count.bits(), InCount::from_bits(bits)), (bits, in_count));
    }
    assert_eq!(InCount::from_bits(Some(0)), InCount::default());
}

#[test]
fn a_book_says_how_many_listings_its_events_concern() {
    let stores = [(store(100.0), false), (store(50.0), false), (store(20.0), false)];
    assert_eq!(Book::new(facts(AllocationMode::Shared, &stores)).listing_count(), 3);
    assert_eq!(Book::new(facts(AllocationMode::Shared, &[])).listing_count(), 0);
}

#[test]
fn a_refusal_says_how_long_events_are_kept() {
    for (seconds, words) in
        [(90 * DAY, "90 days"), (2 * DAY, "2 days"), (2 * DAY - 1, "47 hours"), (7_200, "2 hours"), (7_199, "7199 seconds")]
    {
        let limits = Limits { events_kept_for: Duration::from_secs(seconds), ..LIMITS };
        let result = Book::new(one_store()).apply(&happened(0, event("1", Count, 7)), at(i64::MAX / 2), limits);
        let EventResult::Rejected { errors, .. } = result else { panic!("it is accepted") };
        assert!(errors[0].detail.starts_with(&format!("is more than {words} ago")), "{}", errors[0].detail);
    }
}
