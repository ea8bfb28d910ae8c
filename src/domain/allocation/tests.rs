//! Targets in tables, and what holds for every split.
use super::*;
use crate::domain::stock::Levels;
use proptest::prelude::*;

/// Of a store of its own.
fn rules(share: i64) -> ListingRules {
    ListingRules {
        store_id: StoreId::new(crate::domain::Timestamp::default()),
        share: Share::from_hundredths(share),
        buffer: 0,
        threshold: None,
        max_shown: None,
        sync_enabled: true,
        warehouses: None,
        units: UnitsEach::ONE,
    }
}
/// What the listings should show.
fn targets(mode: AllocationMode, levels: &Levels, listings: &[ListingRules]) -> Vec<i64> {
    super::targets(mode, levels, listings).into_iter().map(|target| target.shown).collect()
}
fn levels(main: i64) -> Levels {
    Levels::from([(WarehouseCode::main(), main)])
}
fn shares(values: &[i64]) -> Vec<Share> {
    values.iter().map(|v| Share::from_hundredths(*v).unwrap()).collect()
}

#[test]
fn the_worked_example_of_the_console() {
    let listing = ListingRules { buffer: 2, ..rules(3000) };
    assert_eq!(targets(AllocationMode::Shared, &levels(42), &[listing]), [12]);
}

#[test]
fn a_threshold_hides_the_last_units_and_a_maximum_caps_the_rest() {
    let careful = ListingRules { threshold: Some(5), max_shown: Some(9), ..rules(10_000) };
    let shown: Vec<i64> =
        [4, 5, 9, 10].iter().map(|n| targets(AllocationMode::Shared, &levels(*n), std::slice::from_ref(&careful))[0]).collect();
    assert_eq!(shown, [0, 5, 9, 9]);
}

#[test]
fn a_six_pack_shows_whole_packs_of_what_the_threshold_and_the_maximum_leave() {
    let six = ListingRules { units: UnitsEach::check(6).unwrap(), threshold: Some(10), max_shown: Some(40), ..rules(5000) };
    let shown = |available| super::targets(AllocationMode::Shared, &levels(available), std::slice::from_ref(&six))[0];
    assert_eq!(shown(19), Target { part: 9, limited: 0, shown: 0 }, "9 units are below the threshold, though more than a pack");
    assert_eq!(shown(35), Target { part: 17, limited: 17, shown: 2 });
    assert_eq!(shown(100), Target { part: 50, limited: 40, shown: 6 });
    assert_eq!(shown(-5), Target::default());
}

#[test]
fn a_share_is_a_percentage_up_to_100_with_at_most_two_decimals() {
    for (percent, hundredths) in [(0.0, 0), (0.01, 1), (0.29, 29), (1.1, 110), (33.33, 3333), (99.99, 9999), (100.0, 10_000)] {
        let share = Share::from_percent(percent);
        assert_eq!(share.map(Share::hundredths), Some(hundredths), "{percent}");
        assert_eq!(share.map(Share::percent), Some(percent));
    }
    for percent in [-0.01, 0.001, 33.333, 99.995, 100.01, 1e300, f64::INFINITY, f64::NAN] {
        assert_eq!(Share::from_percent(percent), None, "{percent}");
    }
}

#[test]
fn a_listing_is_pushed_if_it_has_a_share_and_is_not_switched_off() {
    let pushed = |share, sync_enabled| ListingRules { share, sync_enabled, ..rules(1) }.is_pushed();
    let share = Share::from_hundredths(0);
    assert_eq!([pushed(share, true), pushed(share, false), pushed(None, true), pushed(None, false)], [true, false, false, false]);
}

#[test]
fn each_listing_gets_its_part_of_its_own_pool() {
    let careful = ListingRules { buffer: 4, ..rules(5000) };
    let listings = [rules(5000), careful.clone(), ListingRules { store_id: rules(0).store_id, ..careful }, rules(0)];
    assert_eq!(targets(AllocationMode::Exclusive, &levels(20), &listings), [7, 5, 5, 0]);
}

#[test]
fn a_store_is_one_party_and_each_of_its_listings_shows_its_part() {
    let twice = rules(5000);
    let by_six = ListingRules { units: UnitsEach::check(6).unwrap(), ..twice.clone() };
    let few = ListingRules { max_shown: Some(3), ..twice.clone() };
    let listings = [twice.clone(), by_six, few, rules(3000)];
    assert_eq!(targets(AllocationMode::Exclusive, &levels(20), &listings), [10, 1, 3, 6], "and 4 are unallocated");
    assert_eq!(targets(AllocationMode::Shared, &levels(20), &listings), [10, 1, 3, 6]);
    let all = [ListingRules { share: Some(Share::ALL), ..twice.clone() }, ListingRules { share: Some(Share::ALL), ..twice }];
    assert_eq!(targets(AllocationMode::Exclusive, &levels(7), &all), [7, 7]);
}

#[test]
fn many_small_parties_are_served_before_a_large_one_gets_its_next_unit() {
    let small = [[1].repeat(35), [0].repeat(15)].concat();
    assert_eq!(apportion(60, &shares(&[&[5000][..], &[100].repeat(50)].concat())), [vec![25], small].concat());
}

#[test]
fn the_last_unit_is_never_stranded() {
    assert_eq!(apportion(1, &shares(&[3333, 3333, 3334])), [0, 0, 1]);
    assert_eq!(apportion(10, &shares(&[3333, 3333, 3334])).iter().sum::<i64>(), 10);
    assert_eq!(apportion(1, &shares(&[5000, 5000])), [1, 0]);
}

/// Sainte-Laguë by definition, one unit at a time.
fn one_by_one(pool: i64, shares: &[Share]) -> Vec<i64> {
    let sum: i64 = shares.iter().map(|s| s.hundredths()).sum();
    let mut weights: Vec<i64> = shares.iter().map(|s| s.hundredths()).collect();
    weights.push((10_000 - sum).max(0));
    let mut parts = vec![0i64; weights.len()];
    for _ in 0..pool {
        let mut best = None::<usize>;
        for i in 0..weights.len() {
            if weights[i] > 0 && best.is_none_or(|b| weights[i] * (2 * parts[b] + 1) > weights[b] * (2 * parts[i] + 1)) {
                best = Some(i);
            }
        }
        parts[best.unwrap()] += 1;
    }
    parts.pop();
    parts
}

fn any_shares() -> impl Strategy<Value = Vec<Share>> {
    proptest::collection::vec(0i64..=10_000, 1..8).prop_map(|raw| {
        let sum: i64 = raw.iter().sum::<i64>().max(10_000);
        raw.iter().map(|v| Share::from_hundredths(v * 10_000 / sum).unwrap()).collect()
    })
}

proptest! {
    #[test]
    fn the_split_matches_the_definition_of_sainte_lague(pool in 0i64..400, shares in any_shares()) {
        prop_assert_eq!(apportion(pool, &shares), one_by_one(pool, &shares));
    }
    #[test]
    fn the_parts_and_the_unallocated_rest_add_up_to_the_pool(pool in 0i64..=1_000_000_000_000_000, shares in any_shares()) {
        let parts = apportion(pool, &shares);
        let sum: i64 = parts.iter().sum();
        prop_assert!(sum <= pool);
        if shares.iter().map(|s| s.hundredths()).sum::<i64>() == 10_000 { prop_assert_eq!(sum, pool); }
    }
    #[test]
    fn no_part_shrinks_when_the_pool_grows(pool in 0i64..1_000_000_000_000, more in 1i64..1000, shares in any_shares()) {
        let (before, after) = (apportion(pool, &shares), apportion(pool + more, &shares));
        prop_assert!(before.iter().zip(&after).all(|(b, a)| b <= a));
    }
    #[test]
    fn stores_fed_by_different_warehouses_never_offer_more_than_is_available(a in 0i64..1000, b in 0i64..1000, shares in any_shares(), picks in proptest::collection::vec(0u8..3, 8)) {
        let other = WarehouseCode::parse("b").unwrap();
        let levels = Levels::from([(WarehouseCode::main(), a), (other.clone(), b)]);
        let listings: Vec<ListingRules> = shares.iter().zip(picks).map(|(share, pick)| ListingRules {
            warehouses: match pick { 0 => None, 1 => Some(vec![WarehouseCode::main()]), _ => Some(vec![other.clone()]) },
            ..rules(share.hundredths())
        }).collect();
        prop_assert!(targets(AllocationMode::Exclusive, &levels, &listings).iter().sum::<i64>() <= a + b);
    }
    #[test]
    fn increases_telescope(steps in proptest::collection::vec(-50i64..50, 1..40), share in 1i64..=10_000, units in 1i64..=12) {
        let listing = ListingRules { units: UnitsEach::check(units).unwrap(), ..rules(share) };
        let target = |available| targets(AllocationMode::Shared, &levels(available), std::slice::from_ref(&listing))[0];
        let (mut available, mut shown_by_increases, mut decreases) = (0i64, 0i64, 0i64);
        for step in steps {
            let before = target(available);
            available += step;
            let after = target(available);
            if after > before { shown_by_increases += after - before } else { decreases += before - after }
        }
        prop_assert_eq!(shown_by_increases - decreases, target(available));
    }
}
