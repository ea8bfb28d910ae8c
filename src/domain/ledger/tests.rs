//! The book, event by event, and its properties over many events.
mod bundles;
mod counts;
mod falls;
mod new_skus;
mod written;

use super::*;
use crate::domain::allocation::{AllocationMode, Share};
use crate::domain::falls::{Falls, Reason, Restocks};
use crate::domain::frequency::Frequency;
use crate::domain::frozen::Frozen;
use crate::domain::pause::{Above, Hold};
use crate::domain::push::PushState;
use crate::domain::settings::{StoreRules, SyncSettings};
use crate::domain::stock::EventKind::{self, *};
use crate::domain::units::UnitsEach;
use crate::domain::{EventId, Sku, StoreId};
use proptest::prelude::*;

const LIMITS: Limits = Limits { skus_per_seller: 3, events_kept_for: Duration::from_secs(90 * DAY) };
const DAY: u64 = 24 * 3600;

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(ms)
}

fn event(id: &str, kind: EventKind, quantity: i64) -> NewEvent {
    let event = StockEvent {
        event_id: EventId::parse(id).unwrap(),
        sku: Sku::parse("A").unwrap(),
        kind,
        quantity,
        warehouse: WarehouseCode::main(),
        to_warehouse: None,
        occurred_at: None,
        note: None,
    };
    NewEvent { event, hash: [0; 32], may_create_sku: true, store: None }
}

fn accepted(ms: i64) -> EventResult {
    EventResult::Accepted { at: at(ms), remark: None, in_count: InCount::default() }
}

fn duplicate(ms: i64) -> EventResult {
    EventResult::Duplicate { at: at(ms), remark: None }
}

fn of_sku(sku: &str, new: NewEvent) -> NewEvent {
    NewEvent { event: StockEvent { sku: Sku::parse(sku).unwrap(), ..new.event }, ..new }
}

fn store(percent: f64) -> StoreRules {
    StoreRules {
        store_id: StoreId::new(at(0)),
        share: Share::from_percent(percent),
        sync_enabled: true,
        warehouses: None,
        has_multiples: false,
        falls: Falls::default(),
        restocks: Restocks::default(),
        repeats_skus: false,
    }
}

fn incremental(mode: AllocationMode) -> SyncSettings {
    SyncSettings { auto_sync: true, frequency: Frequency::Incremental, allocation_mode: mode, ..SyncSettings::new(chrono_tz::UTC, at(0)) }
}

/// An incremental seller with the SKU A, listed once in each of these stores.
fn facts(mode: AllocationMode, stores: &[(StoreRules, bool)]) -> Facts {
    facts_under(incremental(mode), stores)
}

/// As [`facts`], with these settings.
fn facts_under(settings: SyncSettings, stores: &[(StoreRules, bool)]) -> Facts {
    let listed = |(n, (store, _)): (usize, &(StoreRules, bool))| Addressee {
        store_id: store.store_id,
        listing_id: ListingId::new(at(0)),
        sku: "A".to_owned(),
        external_id: n.to_string(),
        extra: None,
    };
    let rules = SellerRules::new(settings, stores.to_vec(), []);
    let listings = rules.listings_of("A", stores.iter().enumerate().map(listed).map(|to| (to.store_id, UnitsEach::ONE, to)));
    let warehouses = HashSet::from([WarehouseCode::main(), WarehouseCode::parse("east").unwrap()]);
    Facts {
        skus: HashSet::from(["A".to_owned()]),
        listings: HashMap::from([("A".to_owned(), Arc::new(listings))]),
        ..Facts::new(Arc::new(Setup { rules, warehouses }), 1)
    }
}

fn only_listing(facts: &Facts) -> Addressee {
    facts.listings["A"].listings()[0].clone()
}

fn one_store() -> Facts {
    facts(AllocationMode::Shared, &[(store(100.0), false)])
}

fn with_level(facts: Facts, available: i64) -> Facts {
    Facts { levels: HashMap::from([("A".to_owned(), Levels::from([(WarehouseCode::main(), available)]))]), ..facts }
}

/// The units of each listing's increase, in the order of the listings, after these events were accepted.
fn increases(facts: Facts, events: &[(EventKind, i64)]) -> Vec<Option<i64>> {
    let listings: Vec<ListingId> = facts.listings.values().flat_map(|of_sku| of_sku.listings()).map(|to| to.listing_id).collect();
    let mut book = Book::new(facts);
    for (n, (kind, quantity)) in events.iter().enumerate() {
        let result = book.apply(&event(&n.to_string(), *kind, *quantity), at(1), LIMITS);
        assert_eq!(result, accepted(1));
    }
    let pushes = book.changes().pushes;
    listings.iter().map(|id| pushes.iter().find(|push| push.listing_id() == *id).and_then(Push::quantity)).collect()
}

fn refusal(result: &EventResult) -> (&str, bool) {
    match result {
        EventResult::Rejected { errors, conflict, .. } => (errors[0].pointer.as_str(), *conflict),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_book_counts_the_pushes_that_its_events_make_or_raise() {
    let stores = [(store(100.0), false), (store(50.0), false)];
    let mut book = Book::new(facts(AllocationMode::Shared, &stores));
    assert_eq!(book.changed_pushes(), 0);
    book.apply(&event("e1", Purchase, 4), at(1), LIMITS);
    assert_eq!(book.changed_pushes(), 2, "one for each store");
    book.apply(&event("e2", Purchase, 4), at(2), LIMITS);
    assert_eq!(book.changed_pushes(), 2, "merged into the same two");
}

#[test]
fn an_event_is_applied_once_and_its_repeat_gets_the_first_answer() {
    let mut book = Book::new(one_store());
    assert_eq!(book.apply(&event("1", Purchase, 5), at(1), LIMITS), accepted(1));
    assert_eq!(book.apply(&event("1", Purchase, 5), at(2), LIMITS), duplicate(1));
    let changes = book.changes();
    assert_eq!(changes.levels.into_values().collect::<Vec<_>>(), [5]);
    assert_eq!(changes.pushes.iter().map(Push::quantity).collect::<Vec<_>>(), [Some(5)]);
}

#[test]
fn an_event_that_is_stored_is_a_duplicate_and_another_one_with_its_id_is_a_conflict() {
    let seen = HashMap::from([("1".to_owned(), Seen::new(&event("1", Purchase, 5).event, at(7), InCount::default()))]);
    let mut book = Book::new(Facts { seen, ..one_store() });
    assert_eq!(book.apply(&event("1", Purchase, 5), at(9), LIMITS), duplicate(7));
    assert_eq!(refusal(&book.apply(&event("1", Purchase, 6), at(9), LIMITS)), ("/event_id", true));
    assert_eq!(book.changes(), Changes { sku_count: 1, ..Changes::default() });
}

#[test]
fn an_event_in_an_unknown_warehouse_changes_nothing_and_may_come_again() {
    let mut book = Book::new(one_store());
    let nowhere = || Some(WarehouseCode::parse("nowhere").unwrap());
    let with = |event| NewEvent { event, hash: [0; 32], may_create_sku: true, store: None };
    let from = with(StockEvent { warehouse: nowhere().unwrap(), ..event("1", Purchase, 1).event });
    let to = with(StockEvent { to_warehouse: nowhere(), ..event("1", Transfer, 1).event });
    assert_eq!(refusal(&book.apply(&from, at(1), LIMITS)), ("/warehouse", false));
    assert_eq!(refusal(&book.apply(&to, at(1), LIMITS)), ("/to_warehouse", false));
    assert_eq!(book.apply(&event("1", Purchase, 1), at(2), LIMITS), accepted(2));
}

#[test]
fn a_sku_is_created_on_first_sight_up_to_the_limit() {
    let mut book = Book::new(one_store());
    for (n, sku) in ["B", "C", "B"].into_iter().enumerate() {
        let result = book.apply(&of_sku(sku, event(&n.to_string(), Purchase, 1)), at(1), LIMITS);
        assert_eq!(result, accepted(1));
    }
    assert_eq!(refusal(&book.apply(&of_sku("D", event("3", Purchase, 1)), at(2), LIMITS)), ("/sku", false));
    assert_eq!(book.apply(&event("4", Purchase, 1), at(2), LIMITS), accepted(2), "A is there already");
    let changes = book.changes();
    assert_eq!((changes.sku_count, changes.new_skus), (3, vec![("B".to_owned(), at(1)), ("C".to_owned(), at(1))]));
}

#[test]
fn a_quantity_out_of_bounds_is_refused_and_creates_no_sku() {
    let mut book = Book::new(one_store());
    let too_many = of_sku("B", event("1", Adjustment, crate::domain::stock::MAX_AVAILABLE + 1));
    assert_eq!(refusal(&book.apply(&too_many, at(1), LIMITS)), ("/quantity", false));
    assert_eq!(book.changes(), Changes { sku_count: 1, ..Changes::default() });
}

#[test]
fn increases_of_one_listing_telescope_to_the_change_of_its_target() {
    let third = || facts(AllocationMode::Shared, &[(store(33.33), false)]);
    assert_eq!(increases(third(), &[(Purchase, 1), (Purchase, 1), (Purchase, 1), (Purchase, 7)]), [Some(3)]);
}

#[test]
fn an_increase_of_an_oversold_sku_is_only_what_is_above_zero() {
    assert_eq!(increases(with_level(one_store(), -3), &[(Purchase, 2)]), [None]);
    assert_eq!(increases(with_level(one_store(), -3), &[(Purchase, 5)]), [Some(2)]);
}

#[test]
fn a_sale_pushes_nothing_and_a_cancellation_only_where_it_is_a_trigger() {
    let start = || with_level(one_store(), 5);
    assert_eq!(increases(start(), &[(Sale, 2)]), [None]);
    assert_eq!(increases(start(), &[(Sale, 2), (Cancellation, 2)]), [None]);
    assert_eq!(increases(start(), &[(Count, 3)]), [None], "a count that lowers the level");
    let settings = SyncSettings { trigger_on_cancellation: true, ..incremental(AllocationMode::Shared) };
    let trigger = with_level(facts_under(settings, &[(store(100.0), false)]), 5);
    assert_eq!(increases(trigger, &[(Cancellation, 2)]), [Some(2)]);
}

#[test]
fn without_incremental_synchronization_levels_change_and_nothing_is_pushed() {
    for change in [|s: &mut SyncSettings| s.auto_sync = false, |s: &mut SyncSettings| s.frequency = Frequency::TimedFull] {
        let mut settings = incremental(AllocationMode::Shared);
        change(&mut settings);
        let mut book = Book::new(facts_under(settings, &[(store(100.0), false)]));
        book.apply(&event("1", Purchase, 5), at(1), LIMITS);
        let changes = book.changes();
        assert_eq!((changes.levels.len(), changes.pushes), (1, Vec::new()));
    }
}

#[test]
fn in_exclusive_mode_one_purchase_is_split_over_the_stores() {
    let stores = [(store(50.0), false), (store(30.0), false), (store(20.0), false)];
    assert_eq!(increases(facts(AllocationMode::Exclusive, &stores), &[(Purchase, 10)]), [Some(5), Some(3), Some(2)]);
    assert_eq!(increases(facts(AllocationMode::Exclusive, &stores), &[(Purchase, 1)]), [Some(1), None, None]);
}

#[test]
fn an_increase_is_held_where_its_store_is_and_missing_where_its_store_is_switched_off() {
    let off = StoreRules { sync_enabled: false, ..store(100.0) };
    let mut book = Book::new(facts(AllocationMode::Shared, &[(store(100.0), true), (off, false), (store(100.0), false)]));
    book.apply(&event("1", Purchase, 4), at(1), LIMITS);
    let mut pushes = book.changes().pushes;
    pushes.sort_by_key(Push::store_id);
    let found: Vec<_> = pushes.iter().map(|push| (push.is_held(), push.due_at(), push.quantity())).collect();
    assert_eq!(found, [(true, None, Some(4)), (false, Some(at(1)), Some(4))]);
}

#[test]
fn an_increase_that_has_been_waiting_is_held_with_what_is_added_to_it_during_a_pause() {
    let frozen = Frozen::of([(at(10), at(20))]);
    let hold = |frozen: Frozen| Hold { above: Above { frozen, ..Above::default() }, ..Hold::default() };
    for (hold, sku_paused, held) in [
        (Hold::default(), false, false),
        (hold(frozen.clone()), false, true),
        (hold(Frozen::of([(at(0), at(11))])), false, false),
        (Hold::from(true), false, true),
        (Hold::default(), true, true),
        // It may have been released to find out whether the store accepts a write.
        (Hold { refused: true, ..Hold::default() }, false, false),
    ] {
        let mut facts = facts(AllocationMode::Shared, &[(store(100.0), false)]);
        let to = only_listing(&facts);
        let rules = StoreRules { store_id: to.store_id, ..store(100.0) };
        let skus = HashSet::from_iter(sku_paused.then(|| "A".to_owned()));
        let rules = SellerRules::new(incremental(AllocationMode::Shared), [(rules, hold)], []).pausing(skus);
        facts.setup = Arc::new(Setup { rules, warehouses: facts.setup.warehouses.clone() });
        facts.pushes = vec![Push::increase(to, 3, at(5), false)];
        let mut book = Book::new(facts);
        book.apply(&event("1", Purchase, 4), at(11), LIMITS);
        let pushes = book.changes().pushes;
        assert_eq!((pushes[0].quantity(), pushes[0].is_held(), pushes.len()), (Some(7), held, 1));
    }
}

#[test]
fn an_increase_is_merged_into_one_that_waits_and_never_into_one_that_is_being_sent() {
    use PushState::{Cancelled, Confirmed, Held, Queued, Rejected, Retrying, Sending, Superseded, Uncertain};
    for (state, merges) in [
        (Queued, true),
        (Retrying, true),
        (Held, true),
        (Sending, false),
        (Uncertain, false),
        (Confirmed, false),
        (Rejected, false),
        (Superseded, false),
        (Cancelled, false),
    ] {
        let mut facts = one_store();
        let there = Push::increase(only_listing(&facts), 3, at(1), false).in_state(state);
        facts.pushes = vec![there.clone()];
        let mut book = Book::new(facts);
        book.apply(&event("1", Purchase, 4), at(2), LIMITS);
        assert_eq!(book.changed_pushes(), 1);
        let changed = book.changes().pushes;
        let found = (changed[0].id() == there.id(), changed[0].quantity(), changed[0].updated_at());
        assert_eq!(found, if merges { (true, Some(7), at(2)) } else { (false, Some(4), at(2)) }, "{state:?}");
    }
}

#[test]
fn an_increase_is_never_merged_into_an_overwrite() {
    let mut facts = one_store();
    let there = Push::overwrite(only_listing(&facts), at(1), None, None, false);
    facts.pushes = vec![there.clone()];
    let mut book = Book::new(facts);
    book.apply(&event("1", Purchase, 4), at(2), LIMITS);
    let changed = book.changes().pushes;
    assert_eq!(changed.iter().map(|push| (push.id() == there.id(), push.quantity())).collect::<Vec<_>>(), [(false, Some(4))]);
}

fn any_event() -> impl Strategy<Value = (EventKind, i64, bool)> {
    (0u8..5, 0i64..60, any::<bool>()).prop_map(|(kind, quantity, east)| match kind {
        0 => (Purchase, quantity, east),
        1 => (Sale, quantity, east),
        2 => (Adjustment, quantity - 30, east),
        3 => (Count, quantity, east),
        _ => (Transfer, quantity, east),
    })
}

fn placed(n: usize, (kind, quantity, east): (EventKind, i64, bool)) -> NewEvent {
    let [main, other] = [WarehouseCode::main(), WarehouseCode::parse("east").unwrap()];
    let (from, to) = if east { (other, main) } else { (main, other) };
    let new = event(&n.to_string(), kind, quantity);
    NewEvent { event: StockEvent { warehouse: from, to_warehouse: (kind == Transfer).then_some(to), ..new.event }, ..new }
}

proptest! {
    #[test]
    fn available_is_the_sum_of_the_deltas_of_the_accepted_events_each_counted_once(
        events in proptest::collection::vec((any_event(), 0usize..12), 1..40),
    ) {
        let mut book = Book::new(one_store());
        let mut levels = Levels::new();
        let mut seen = HashMap::new();
        for (event, id) in events {
            let event = *seen.entry(id).or_insert(event);
            let new = placed(id, event);
            let deltas = new.event.deltas(&levels);
            match book.apply(&new, at(1), LIMITS) {
                EventResult::Accepted { .. } => deltas.into_iter().for_each(|(code, delta)| *levels.entry(code).or_default() += delta),
                result => prop_assert_eq!(result, duplicate(1)),
            }
        }
        let changed: Levels = book.changes().levels.into_iter().map(|((_, code), available)| (code, available)).collect();
        prop_assert_eq!(changed, levels);
    }

    #[test]
    fn where_levels_only_rise_increases_telescope_to_the_target_at_the_end_less_that_at_the_beginning(
        start in -50i64..200,
        rises in proptest::collection::vec((0i64..30, any::<bool>()), 1..30),
        shares in proptest::collection::vec(0i64..=3_333, 1..4),
        exclusive in any::<bool>(),
        buffer in 0i64..20,
    ) {
        let mode = if exclusive { AllocationMode::Exclusive } else { AllocationMode::Shared };
        let stores: Vec<_> =
            shares.iter().map(|share| (StoreRules { share: Share::from_hundredths(*share), ..store(0.0) }, false)).collect();
        let facts = with_level(facts_under(SyncSettings { buffer, ..incremental(mode) }, &stores), start);
        let of_sku = facts.listings["A"].listings().iter().map(|to| (to.store_id, UnitsEach::ONE, to.listing_id));
        let listings = facts.setup.rules.listings_of("A", of_sku);
        let mut levels = facts.levels["A"].clone();
        let target = |levels: &Levels| listings.targets(levels).map(|(id, target)| (*id, target.unwrap())).collect::<BTreeMap<_, _>>();
        let first = target(&levels);
        let mut book = Book::new(facts);
        for (n, (quantity, east)) in rises.into_iter().enumerate() {
            let new = placed(n, (Purchase, quantity, east));
            levels = new.event.apply(&levels).unwrap();
            book.apply(&new, at(1), LIMITS);
        }
        let pushed: BTreeMap<ListingId, i64> =
            book.changes().pushes.iter().map(|push| (push.listing_id(), push.quantity().unwrap())).collect();
        for (listing, last) in target(&levels) {
            prop_assert_eq!(pushed.get(&listing).copied().unwrap_or(0), last - first[&listing]);
        }
    }
}
