//! SKUs that stock events create, and repeats: of the same substance, or too old to be recognized.
use super::*;

#[test]
fn an_event_may_refuse_to_create_its_sku_and_a_seller_may_forbid_it() {
    let unwanted = NewEvent { may_create_sku: false, ..of_sku("B", event("1", Purchase, 1)) };
    let mut book = Book::new(one_store());
    assert_eq!(refusal(&book.apply(&unwanted, at(1), LIMITS)), ("/sku", false));
    let known = NewEvent { may_create_sku: false, ..event("2", Purchase, 1) };
    assert_eq!(book.apply(&known, at(1), LIMITS), accepted(1));
    assert_eq!(book.apply(&of_sku("B", event("1", Purchase, 1)), at(2), LIMITS), accepted(2), "the id is still free");
    let settings = SyncSettings { create_skus: false, ..incremental(AllocationMode::Shared) };
    let mut book = Book::new(facts_under(settings, &[(store(100.0), false)]));
    assert_eq!(refusal(&book.apply(&of_sku("B", event("1", Purchase, 1)), at(1), LIMITS)), ("/sku", false));
    assert_eq!(book.apply(&event("2", Purchase, 1), at(1), LIMITS), accepted(1));
    assert!(book.changes().new_skus.is_empty());
}

#[test]
fn a_new_sku_that_looks_like_a_known_one_is_pointed_out() {
    let mut book = Book::new(Facts { look_alikes: HashMap::from([(fold("Mug-1"), "Mug-1".to_owned())]), ..one_store() });
    let mut similar = |id: &str, sku: &str| match book.apply(&of_sku(sku, event(id, Purchase, 1)), at(1), LIMITS) {
        EventResult::Accepted { remark, .. } => remark.and_then(|remark| remark.similar_sku),
        other => panic!("{other:?}"),
    };
    assert_eq!(similar("1", "mug-1"), Some("Mug-1".to_owned()));
    assert_eq!(similar("2", "mug-1"), None, "it is no longer new");
    assert_eq!(similar("3", "B"), None);
}

#[test]
fn a_repeat_with_another_note_or_time_is_a_duplicate_and_another_substance_is_a_conflict() {
    let mut book = Book::new(one_store());
    let first = event("1", Purchase, 5);
    book.apply(&first, at(1), LIMITS);
    let with = |change: fn(&mut StockEvent)| {
        let mut again = first.clone();
        change(&mut again.event);
        again.hash = [9; 32];
        again
    };
    for same in [with(|event| event.note = Some("again".to_owned())), with(|event| event.occurred_at = Some(at(1)))] {
        assert_eq!(book.apply(&same, at(2), LIMITS), duplicate(1));
    }
    for other in [
        with(|event| event.quantity = 6),
        with(|event| event.kind = Return),
        with(|event| event.sku = Sku::parse("B").unwrap()),
        with(|event| event.warehouse = WarehouseCode::parse("east").unwrap()),
    ] {
        assert_eq!(refusal(&book.apply(&other, at(2), LIMITS)), ("/event_id", true));
    }
}

#[test]
fn an_event_whose_id_is_older_than_what_is_kept_is_refused_because_it_may_be_a_repeat() {
    // A UUIDv7 of the first millisecond of 2026.
    let (id, made) = ("019b76da-a800-7000-8000-000000000001", 1_767_225_600_000);
    assert_eq!(EventId::parse(id).unwrap().created_at(), Some(at(made)));
    let kept_for = i64::try_from(90 * DAY * 1000).unwrap();
    let mut book = Book::new(one_store());
    assert_eq!(refusal(&book.apply(&event(id, Purchase, 1), at(made + kept_for + 1), LIMITS)), ("/event_id", false));
    let last = made + kept_for;
    assert_eq!(book.apply(&event(id, Purchase, 1), at(last), LIMITS), accepted(last));
    assert_eq!(book.apply(&event(id, Purchase, 1), at(last + 1), LIMITS), duplicate(last), "as long as it is kept, it is recognized");
    for other in ["e1", "550e8400-e29b-41d4-a716-446655440000"] {
        assert_eq!(book.apply(&event(other, Purchase, 1), at(last), LIMITS), accepted(last), "{other} does not tell its age");
    }
}
