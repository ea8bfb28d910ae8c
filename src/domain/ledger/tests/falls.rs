//! Falls that are pushed, and returns that are not.
use super::*;

fn choosing(reasons: &[Reason]) -> StoreRules {
    StoreRules { falls: reasons.iter().copied().collect(), ..store(100.0) }
}

fn by(store: StoreId, new: NewEvent) -> NewEvent {
    NewEvent { store: Some(store), ..new }
}

/// The units of each listing's push after these events, 20 being there before them.
fn pushed(stores: &[StoreRules], events: &[NewEvent]) -> Vec<Option<i64>> {
    let all: Vec<(StoreRules, bool)> = stores.iter().map(|store| (store.clone(), false)).collect();
    let facts = with_level(facts(AllocationMode::Shared, &all), 20);
    let listings: Vec<ListingId> = facts.listings["A"].listings().iter().map(|to| to.listing_id).collect();
    let mut book = Book::new(facts);
    for new in events {
        assert_eq!(book.apply(new, at(1), LIMITS), accepted(1));
    }
    let pushes = book.changes().pushes;
    listings.iter().map(|id| pushes.iter().find(|push| push.listing_id() == *id).and_then(Push::quantity)).collect()
}

#[test]
fn a_fall_is_pushed_for_the_chosen_reasons_only() {
    let transfer = || {
        let new = event("t", Transfer, 4);
        NewEvent { event: StockEvent { to_warehouse: Some(WarehouseCode::parse("east").unwrap()), ..new.event }, ..new }
    };
    let elsewhere = StoreId::new(at(0));
    let rows = [
        (Reason::Adjustment, event("1", Adjustment, -4)),
        (Reason::Count, event("1", Count, 16)),
        (Reason::Transfer, transfer()),
        (Reason::OfflineSale, event("1", Sale, 4)),
    ];
    for (reason, new) in rows {
        let main_only = |store: StoreRules| StoreRules { warehouses: Some(vec![WarehouseCode::main()]), ..store };
        for chosen in Reason::ALL {
            let expected = (chosen == reason).then_some(-4);
            assert_eq!(pushed(&[main_only(choosing(&[chosen]))], std::slice::from_ref(&new)), [expected], "{reason:?} {chosen:?}");
        }
    }
    let (here, there) = (choosing(&[Reason::SaleElsewhere]), choosing(&[Reason::SaleElsewhere]));
    let sale = by(here.store_id, event("1", Sale, 4));
    assert_eq!(pushed(&[here.clone(), there], &[sale]), [None, Some(-4)], "the store that sells counts down by itself");
    let unknown = Book::new(with_level(facts(AllocationMode::Shared, &[(here, false)]), 20)).apply(
        &by(elsewhere, event("1", Sale, 4)),
        at(1),
        LIMITS,
    );
    assert_eq!(refusal(&unknown), ("/store_id", false));
}

#[test]
fn increases_and_falls_of_one_listing_are_evened_out_before_they_are_sent() {
    let shop = [choosing(&[Reason::Adjustment])];
    assert_eq!(pushed(&shop, &[event("1", Purchase, 5), event("2", Adjustment, -7)]), [Some(-2)]);
    let (up, down) = (event("1", Purchase, 5), event("2", Adjustment, -5));
    let mut book = Book::new(with_level(facts(AllocationMode::Shared, &[(shop[0].clone(), false)]), 20));
    book.apply(&up, at(1), LIMITS);
    book.apply(&down, at(2), LIMITS);
    book.apply(&event("3", Purchase, 2), at(3), LIMITS);
    assert_eq!(book.changed_pushes(), 2);
    let mut pushes: Vec<(PushState, Option<i64>)> = book.changes().pushes.iter().map(|push| (push.state(), push.quantity())).collect();
    pushes.sort_unstable_by_key(|(_, quantity)| *quantity);
    assert_eq!(pushes, [(PushState::Superseded, Some(0)), (PushState::Queued, Some(2))], "what came after is a push of its own");
}

#[test]
fn a_return_is_not_there_twice_where_the_store_restocks_by_itself() {
    let plain = store(100.0);
    let restocks = StoreRules { restocks: Restocks { returns: true, cancellations: false }, ..store(100.0) };
    let stores = [plain.clone(), restocks.clone()];
    let back = || event("1", Return, 3);
    assert_eq!(pushed(&stores, &[back()]), [Some(3), None], "it may have been that store's order");
    assert_eq!(pushed(&stores, &[by(restocks.store_id, back())]), [Some(3), None]);
    assert_eq!(pushed(&stores, &[by(plain.store_id, back())]), [Some(3), Some(3)], "another store's order");
    assert_eq!(pushed(&stores, &[event("1", Purchase, 3)]), [Some(3), Some(3)]);
}
