//! Bundles in the book: what events of components and of bundles do.
use super::*;
use crate::domain::bundle::{Bundle, Component};

/// A kit of 2 × A and 1 × B, and a pair of 3 × A, all four with a listing, and so many of A and B.
fn kits(settings: SyncSettings, [a, b]: [i64; 2]) -> Facts {
    let shop = store(100.0);
    let mut facts = facts_under(settings, &[(shop.clone(), false)]);
    let sku = |text: &str| Sku::parse(text).unwrap();
    let bundle = |name: &str, parts: &[(&str, i64)]| {
        let components = parts.iter().map(|(part, n)| Component { sku: sku(part), quantity: UnitsEach::check(*n).unwrap() }).collect();
        Arc::new(Bundle { sku: sku(name), components })
    };
    let (kit, pair) = (bundle("KIT", &[("A", 2), ("B", 1)]), bundle("PAIR", &[("A", 3)]));
    let ties = |is: Option<&Arc<Bundle>>, part_of: &[&Arc<Bundle>]| {
        Arc::new(Ties { is: is.cloned(), part_of: part_of.iter().map(|bundle| Arc::clone(bundle)).collect() })
    };
    facts.ties = HashMap::from([
        ("A".to_owned(), ties(None, &[&kit, &pair])),
        ("B".to_owned(), ties(None, &[&kit])),
        ("KIT".to_owned(), ties(Some(&kit), &[])),
        ("PAIR".to_owned(), ties(Some(&pair), &[])),
    ]);
    for name in ["B", "KIT", "PAIR"] {
        let to = Addressee {
            store_id: shop.store_id,
            listing_id: ListingId::new(at(0)),
            sku: name.to_owned(),
            external_id: name.to_owned(),
            extra: None,
        };
        let listed = facts.setup.rules.listings_of(name, [(shop.store_id, UnitsEach::ONE, to)]);
        facts.listings.insert(name.to_owned(), Arc::new(listed));
        facts.skus.insert(name.to_owned());
    }
    let main = |level| Levels::from([(WarehouseCode::main(), level)]);
    facts.levels = HashMap::from([("A".to_owned(), main(a)), ("B".to_owned(), main(b))]);
    facts
}

fn shared() -> SyncSettings {
    incremental(AllocationMode::Shared)
}

/// The increase of each SKU's listing, and what is available of A and B, after these events were accepted in one book.
fn after(facts: Facts, events: &[(&str, EventKind, i64)]) -> ([i64; 4], [i64; 2]) {
    let levels = facts.levels.clone();
    let mut book = Book::new(facts);
    for (n, (sku, kind, quantity)) in events.iter().enumerate() {
        let result = book.apply(&of_sku(sku, event(&n.to_string(), *kind, *quantity)), at(1), LIMITS);
        assert!(matches!(result, EventResult::Accepted { remark: None, .. }), "{result:?}");
    }
    let changes = book.changes();
    let sent = |sku: &str| changes.pushes.iter().filter(|push| push.record().sku == sku).filter_map(Push::quantity).sum();
    let level = |sku: &str| {
        let place = (sku.to_owned(), WarehouseCode::main());
        changes.levels.get(&place).copied().unwrap_or(levels[sku][&WarehouseCode::main()])
    };
    (["A", "B", "KIT", "PAIR"].map(sent), ["A", "B"].map(level))
}

#[test]
fn more_of_a_component_raises_its_bundles_by_what_can_be_made_more() {
    assert_eq!(after(kits(shared(), [5, 3]), &[("A", Purchase, 1)]), ([1, 0, 1, 1], [6, 3]));
    assert_eq!(after(kits(shared(), [6, 3]), &[("A", Purchase, 100)]), ([100, 0, 0, 33], [106, 3]), "B is the scarcest of the kit");
    assert_eq!(after(kits(shared(), [-5, 3]), &[("A", Purchase, 10)]).0, [5, 0, 2, 1]);
}

#[test]
fn less_of_a_component_triggers_nothing_and_what_comes_back_counts_from_there() {
    assert_eq!(after(kits(shared(), [6, 3]), &[("A", Sale, 4)]), ([0, 0, 0, 0], [2, 3]));
    assert_eq!(after(kits(shared(), [6, 3]), &[("A", Sale, 4), ("A", Return, 2)]).0, [2, 0, 1, 1]);
    assert_eq!(after(kits(shared(), [10, 3]), &[("B", Sale, 3), ("B", Purchase, 2)]).0, [0, 2, 2, 0]);
}

#[test]
fn a_sale_of_a_bundle_takes_its_components_and_a_return_brings_them_back() {
    assert_eq!(after(kits(shared(), [10, 5]), &[("KIT", Sale, 2)]), ([0; 4], [6, 3]));
    let back = after(kits(shared(), [6, 3]), &[("KIT", Return, 2)]);
    assert_eq!(back, ([4, 2, 2, 1], [10, 5]), "the components, the bundle itself, and the pair of which A is a part");
    assert_eq!(after(kits(shared(), [6, 3]), &[("KIT", Cancellation, 1)]), ([0; 4], [8, 4]));
    let triggering = SyncSettings { trigger_on_cancellation: true, ..shared() };
    assert_eq!(after(kits(triggering, [6, 3]), &[("KIT", Cancellation, 1)]).0, [2, 1, 1, 0]);
}

#[test]
fn what_an_event_of_a_bundle_did_to_each_component_is_recorded_under_its_id() {
    let mut book = Book::new(kits(shared(), [10, 5]));
    let sale = of_sku("KIT", event("e", Sale, 2));
    let result = book.apply(&sale, at(1), LIMITS);
    let EventResult::Accepted { in_count, .. } = result else { panic!("{result:?}") };
    assert_eq!(in_count.bits(), Some(InCount::OF_BUNDLE), "nothing of its own");
    assert!(matches!(book.apply(&sale, at(2), LIMITS), EventResult::Duplicate { .. }));
    let recorded = book.changes().of_components;
    let parts: Vec<_> = recorded.iter().map(|part| (part.event.sku.as_str(), part.event.quantity, part.event.note.as_deref())).collect();
    assert_eq!(parts, [("A", 4, Some("2 × KIT")), ("B", 2, Some("2 × KIT"))]);
    let row = ComponentEvent::row_id(&recorded[0].event.event_id, &recorded[0].event.sku);
    assert_eq!((ComponentEvent::event_of(&row), ComponentEvent::event_of("e")), (Some("e"), None));
}

#[test]
fn a_bundle_has_no_stock_to_be_bought_counted_corrected_or_transferred() {
    let mut book = Book::new(kits(shared(), [10, 5]));
    for kind in [Purchase, Adjustment, Count, Transfer] {
        let new = of_sku("KIT", event(kind.as_str(), kind, 1));
        let to_warehouse = (kind == Transfer).then(|| WarehouseCode::parse("east").unwrap());
        let result = book.apply(&NewEvent { event: StockEvent { to_warehouse, ..new.event }, ..new }, at(1), LIMITS);
        assert_eq!(refusal(&result), ("/kind", false), "{kind:?}");
    }
    let result = book.apply(&of_sku("KIT", event("much", Sale, crate::domain::stock::MAX_QUANTITY)), at(1), LIMITS);
    assert!(matches!(result, EventResult::Accepted { .. }));
    let far = kits(shared(), [1 - crate::domain::stock::MAX_AVAILABLE, 5]);
    let mut book = Book::new(far);
    assert_eq!(refusal(&book.apply(&of_sku("KIT", event("far", Sale, 2)), at(1), LIMITS)), ("/quantity", false));
    let changes = book.changes();
    assert!(changes.levels.is_empty() && changes.of_components.is_empty(), "all components or none");
}

#[test]
fn what_the_newest_counts_of_all_components_include_already_changes_nothing() {
    let mut facts = kits(shared(), [10, 5]);
    let counted = |ms| BTreeMap::from([(WarehouseCode::main(), at(ms))]);
    facts.counted = HashMap::from([("A".to_owned(), counted(100)), ("B".to_owned(), counted(50))]);
    let mut book = Book::new(facts);
    let sold = |id: &str, ms| {
        let new = of_sku("KIT", event(id, Sale, 1));
        NewEvent { event: StockEvent { occurred_at: Some(at(ms)), ..new.event }, ..new }
    };
    let result = book.apply(&sold("before both", 40), at(200), LIMITS);
    let EventResult::Accepted { remark: Some(remark), .. } = result else { panic!("{result:?}") };
    assert!(remark.without_effect && remark.reason.contains("counts of its components"), "{remark:?}");
    assert!(matches!(book.apply(&sold("between", 70), at(200), LIMITS), EventResult::Accepted { remark: None, .. }));
    assert_eq!(book.changes().levels, BTreeMap::from([(("B".to_owned(), WarehouseCode::main()), 4)]), "A was counted after it");
}

proptest! {
    /// Whatever happens to the components, the increases are those of each event alone.
    #[test]
    fn the_increases_of_a_group_are_those_of_its_events_one_by_one(
        events in proptest::collection::vec((0usize..4, 0usize..3, 1i64..12), 1..25), start in (-5i64..20, -5i64..20),
    ) {
        let named: Vec<(&str, EventKind, i64)> = events
            .iter()
            .map(|(sku, kind, quantity)| (["A", "B", "KIT", "PAIR"][*sku], [Sale, Return, Cancellation][*kind], *quantity))
            .collect();
        let (mut level, mut expected) = ([start.0, start.1], [0i64; 4]);
        let shown = |[a, b]: [i64; 2]| {
            [a.max(0), b.max(0), a.div_euclid(2).min(b).max(0), a.div_euclid(3).max(0)]
        };
        for (sku, kind, quantity) in &named {
            let before = shown(level);
            let sign = if *kind == Sale { -quantity } else { *quantity };
            let takes = match *sku { "A" => [1, 0], "B" => [0, 1], "KIT" => [2, 1], _ => [3, 0] };
            level = [level[0] + sign * takes[0], level[1] + sign * takes[1]];
            if *kind == Return {
                for (n, now) in shown(level).into_iter().enumerate() { expected[n] += (now - before[n]).max(0); }
            }
        }
        prop_assert_eq!(after(kits(shared(), [start.0, start.1]), &named), (expected, level));
    }
}
