//! Counts that arrive late, and movements from before a count.
use super::*;

/// An event with an id of its own that happened `ms` after the beginning.
fn happened(kind: EventKind, quantity: i64, ms: i64) -> NewEvent {
    let id = format!("{} {quantity} {ms}", kind.as_str());
    let new = event(&id, kind, quantity);
    NewEvent { event: StockEvent { occurred_at: Some(at(ms)), ..new.event }, ..new }
}

fn in_warehouse(code: &str, new: NewEvent) -> NewEvent {
    NewEvent { event: StockEvent { warehouse: WarehouseCode::parse(code).unwrap(), ..new.event }, ..new }
}

/// Available after these events, which are received one by one from 100 on, and which of them had no effect.
fn after(events: &[NewEvent]) -> (i64, Vec<bool>) {
    let mut book = Book::new(one_store());
    let without_effect = events.iter().zip(100..).map(|(new, received)| match book.apply(new, at(received), LIMITS) {
        EventResult::Accepted { remark, .. } => remark.is_some_and(|remark| remark.without_effect && !remark.reason.is_empty()),
        other => panic!("{other:?}"),
    });
    let without_effect = without_effect.collect();
    (book.changes().levels.get(&("A".to_owned(), WarehouseCode::main())).copied().unwrap_or(0), without_effect)
}

#[test]
fn a_late_count_is_what_was_counted_plus_what_happened_since() {
    let events = [happened(Purchase, 10, 5), happened(Sale, 2, 20), event("now", Return, 1), happened(Count, 7, 10)];
    assert_eq!(after(&events), (6, vec![false; 4]), "7 counted, 2 sold since, 1 returned since");
}

#[test]
fn a_movement_from_before_the_newest_count_is_in_it_already() {
    let events = [happened(Count, 7, 10), happened(Sale, 2, 9), happened(Sale, 1, 10), event("untimed", Sale, 1)];
    assert_eq!(after(&events), (5, vec![false, true, false, false]));
}

#[test]
fn a_count_older_than_a_later_one_changes_nothing_and_one_of_the_same_time_replaces_it() {
    assert_eq!(after(&[happened(Count, 7, 10), happened(Count, 3, 9)]), (7, vec![false, true]));
    assert_eq!(after(&[event("untimed", Count, 7), happened(Count, 3, 9)]), (7, vec![false, true]));
    assert_eq!(after(&[happened(Count, 7, 10), happened(Count, 3, 10)]), (3, vec![false, false]));
    assert_eq!(after(&[happened(Count, 7, 10), event("untimed", Count, 3)]), (3, vec![false, false]));
}

#[test]
fn a_time_more_than_five_minutes_ahead_is_not_believed() {
    let ahead = 100 + 300_000;
    assert_eq!(after(&[happened(Count, 7, ahead + 1), happened(Sale, 2, 101)]), (5, vec![false, false]), "as of its arrival");
    assert_eq!(after(&[happened(Count, 7, ahead), happened(Sale, 2, 101)]), (7, vec![false, true]));
}

#[test]
fn an_event_without_a_time_counts_after_what_was_recorded_before_it_even_if_the_clock_was_set_back() {
    let mut book = Book::new(one_store());
    book.apply(&event("count", Count, 7), at(1_000), LIMITS);
    assert_eq!(book.apply(&event("sale", Sale, 2), at(500), LIMITS), accepted(500));
    assert_eq!(book.apply(&event("recount", Count, 9), at(600), LIMITS), accepted(600));
    let changes = book.changes();
    assert_eq!(changes.levels.into_values().collect::<Vec<_>>(), [9]);
    assert_eq!(changes.counted.into_values().collect::<Vec<_>>(), [at(1_000)], "never earlier than a former count");
}

#[test]
fn each_warehouse_has_its_own_counts_and_a_transfer_may_be_half_in_one() {
    let mut transfer = happened(Transfer, 4, 9);
    transfer.event.to_warehouse = Some(WarehouseCode::parse("east").unwrap());
    let mut book = Book::new(one_store());
    book.apply(&happened(Count, 10, 10), at(100), LIMITS);
    let EventResult::Accepted { remark: Some(remark), in_count, .. } = book.apply(&transfer, at(101), LIMITS) else { panic!() };
    assert!(
        !remark.without_effect && remark.reason.contains("main") && in_count == InCount { here: true, there: false, ..InCount::default() },
        "{remark:?}"
    );
    let again = book.apply(&transfer, at(102), LIMITS);
    assert_eq!(again, EventResult::Duplicate { at: at(101), remark: Some(remark) }, "a repeat gets the first answer");
    let counted_there = in_warehouse("east", happened(Count, 1, 20));
    assert_eq!(book.apply(&counted_there, at(103), LIMITS), accepted(103));
    assert_eq!(book.changes().levels.into_values().collect::<Vec<_>>(), [1, 10], "east, main");
}

#[test]
fn what_is_stored_since_a_late_count_is_added_for_its_own_warehouse_and_a_stored_count_wins() {
    let moved = |kind, code: &str, to: Option<&str>, quantity| Moved {
        kind,
        warehouse: WarehouseCode::parse(code).unwrap(),
        to_warehouse: to.map(|to| WarehouseCode::parse(to).unwrap()),
        quantity,
    };
    let late = |stored: Vec<Moved>| {
        let since = HashMap::from([(("A".to_owned(), at(10)), stored)]);
        let mut book = Book::new(Facts { since, ..with_level(one_store(), 50) });
        book.apply(&happened(Count, 7, 10), at(100), LIMITS);
        book.changes().levels.into_values().next()
    };
    let stored = [
        moved(Sale, "main", None, 2),
        moved(Adjustment, "main", None, -1),
        moved(Transfer, "main", Some("east"), 3),
        moved(Transfer, "east", Some("main"), 10),
        moved(Purchase, "east", None, 100),
    ];
    assert_eq!(late(stored.to_vec()), Some(7 - 2 - 1 - 3 + 10));
    assert_eq!(late(vec![moved(Count, "main", None, 50)]), None, "recorded by a version that kept no time of counts");
    assert_eq!(late(vec![moved(Count, "east", None, 50)]), Some(7));
}

#[test]
fn a_late_count_pushes_only_what_it_changes() {
    let mut book = Book::new(with_level(one_store(), 10));
    book.apply(&happened(Count, 10, 10), at(100), LIMITS);
    book.apply(&happened(Count, 99, 9), at(101), LIMITS);
    assert_eq!(book.changed_pushes(), 0);
    book.apply(&happened(Count, 12, 11), at(102), LIMITS);
    assert_eq!(book.changes().pushes.iter().map(Push::quantity).collect::<Vec<_>>(), [Some(2)]);
}

#[test]
fn a_count_may_be_negative_and_one_from_before_what_is_kept_is_refused() {
    assert_eq!(after(&[event("below", Count, -4)]), (-4, vec![false]));
    let mut book = Book::new(one_store());
    let kept_for = i64::try_from(90 * DAY * 1000).unwrap();
    let result = book.apply(&happened(Count, 7, 0), at(kept_for + 1), LIMITS);
    assert_eq!(refusal(&result), ("/occurred_at", false));
    assert_eq!(book.apply(&happened(Count, 7, 1), at(kept_for + 1), LIMITS), accepted(kept_for + 1));
}

proptest! {
    /// However late they arrive, available is the newest count plus what happened after it.
    #[test]
    fn the_order_of_arrival_does_not_matter(
        events in proptest::collection::vec((0u8..4, 0i64..30, 0i64..50), 1..25),
        order in proptest::collection::vec(any::<u32>(), 25),
    ) {
        // Distinct times: of two events of one time, the order of arrival decides.
        let mut events: Vec<NewEvent> = events.into_iter().enumerate().map(|(n, (kind, quantity, ms))| {
            let kind = [Purchase, Sale, Adjustment, Count][usize::from(kind)];
            happened(kind, quantity, 100 * ms + i64::try_from(n).unwrap())
        }).collect();
        let mut by_time = events.clone();
        by_time.sort_by_key(|new| new.event.occurred_at);
        let expected = by_time.iter().fold(0, |level, new| match new.event.kind {
            Count => new.event.quantity,
            Sale => level - new.event.quantity,
            _ => level + new.event.quantity,
        });
        let mut order = order.into_iter();
        events.sort_by_key(|_| order.next());
        let mut book = Book::new(one_store());
        for new in &events {
            book.apply(new, at(10_000), LIMITS);
        }
        prop_assert_eq!(book.changes().levels.into_values().next().unwrap_or(0), expected);
    }
}
