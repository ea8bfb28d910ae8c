//! Listings that are several units of their SKU, such as six-packs: what they show, and what is sent to them.
use crate::support::*;
use serde_json::Value;
use stocktide::db::explain::Place;
use stocktide::db::runs::{RunFilter, RunKind, RunState};
use stocktide::domain::guard::Guard;
use stocktide::domain::push::PushKind::Overwrite;
use stocktide::domain::settings::Rule;
use stocktide::domain::stock::EventKind::{Count, Sale};
use stocktide::domain::{Sku, StoreId};
use stocktide::service::explain::explain;
use stocktide::service::preview::preview;

/// A shop that sells A by the six-pack only.
async fn six_packs(seller: &Seller<'_>) -> Shop {
    six_packs_on(seller, platform_that::knows_keys()).await
}

async fn six_packs_on(seller: &Seller<'_>, platform: Value) -> Shop {
    let shop = seller.shop_on(platform, "packs", &[]).await;
    seller.pair_units(&shop, &[("six", "A", 6)]).await;
    shop
}

async fn overwritten(world: &World, seller: &Seller<'_>) {
    seller.sync(RunFilter::default()).await;
    world.a_moment().await;
}

#[test]
fn six_packs_telescope_so_that_one_unit_at_a_time_raises_them_by_one_at_each_sixth_unit() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let shop = six_packs(&seller).await;
        let singles = seller.shop("corner", &["A"]).await;
        let mut shown = Vec::new();
        for _ in 0..20 {
            seller.purchase("A", 1).await;
            world.a_moment().await;
            shown.push(world.shown(&shop, "six"));
        }
        assert_eq!(shown, [0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 3, 3, 3]);
        assert_eq!(world.received(&shop), [add("six", 1), add("six", 1), add("six", 1)]);
        assert_eq!(world.shown(&singles, "A"), 20);
        seller.sale("A", 4).await;
        seller.purchase("A", 1).await;
        world.a_moment().await;
        assert_eq!(world.shown(&shop, "six"), 3, "17 units are two packs, less than what it shows");
        seller.purchase("A", 13).await;
        world.a_moment().await;
        assert_eq!(world.received(&shop).last(), Some(&add("six", 3)), "from 17 units to 30");
    });
}

#[test]
fn increases_that_wait_are_merged_and_sent_as_packs() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let shop = six_packs(&seller).await;
        world.faults(|f| f.down = true);
        for _ in 0..9 {
            seller.purchase("A", 5).await;
        }
        world.a_moment().await;
        world.all_is_well();
        world.sleep(minutes(5)).await;
        assert!(world.received(&shop).len() < 7, "{:?}", world.received(&shop));
        assert_eq!(world.shown(&shop, "six"), 7, "45 units");
    });
}

#[test]
fn an_overwrite_of_one_listing_or_of_many_sets_each_to_the_whole_packs_that_are_there() {
    story(async |world| {
        for mode in [off, exclusive] {
            let seller = world.seller(mode).await;
            let shop = seller.shop_on(platform_that::takes(100), "packs", &[]).await;
            let names: Vec<String> = (0..250).map(|n| format!("S{n:03}")).collect();
            let rows: Vec<(&str, &str, i64)> = names.iter().zip(1..).map(|(name, n)| (name.as_str(), name.as_str(), n % 7 + 1)).collect();
            seller.pair_units(&shop, &rows).await;
            for name in &names {
                seller.event(name, Count, 40).await;
            }
            overwritten(world, &seller).await;
            world.a_moment().await;
            for (name, _, units) in &rows {
                assert_eq!(world.shown(&shop, name), 40 / units, "{name} of {units} units");
            }
            seller.pauses(&shop).await;
            seller.event(&names[5], Count, 20).await;
            let skus = Some(vec![Sku::parse(&names[5]).unwrap()]);
            seller.sync(RunFilter { store_ids: None, skus }).await;
            world.a_moment().await;
            seller.resumes(&shop).await;
            world.a_moment().await;
            assert_eq!((rows[5].2, world.shown(&shop, &names[5])), (7, 2), "held with its store, and then sent alone");
        }
    });
}

#[test]
fn in_exclusive_mode_the_pool_is_split_by_the_unit_and_each_store_shows_the_packs_in_its_part() {
    story(async |world| {
        let seller = world.seller(exclusive).await;
        let corner = seller.shop("corner", &["A"]).await;
        seller.share(&corner, 50.0).await;
        let packs = six_packs(&seller).await;
        let mut shown = Vec::new();
        for _ in 0..4 {
            seller.purchase("A", 9).await;
            world.a_moment().await;
            shown.push((world.shown(&corner, "A"), world.shown(&packs, "six")));
        }
        assert_eq!(shown, [(5, 0), (9, 1), (14, 2), (18, 3)], "of 9, 18, 27 and 36 units");
        overwritten(world, &seller).await;
        assert_eq!((world.shown(&corner, "A"), world.shown(&packs, "six")), (18, 3));
    });
}

#[test]
fn threshold_and_maximum_count_units_of_the_sku_and_what_they_leave_is_packed() {
    story(async |world| {
        let seller = world.seller(off).await;
        let shop = six_packs(&seller).await;
        seller.rule(Rule { threshold: Some(10), max_shown: Some(20), ..Rule::default() }).await;
        let mut shown = Vec::new();
        for available in [9, 10, 19, 50] {
            seller.event("A", Count, available).await;
            overwritten(world, &seller).await;
            shown.push(world.shown(&shop, "six"));
        }
        assert_eq!(shown, [0, 1, 3, 3]);
    });
}

#[test]
fn changed_units_are_overwritten_at_once_while_auto_sync_is_on() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let shop = seller.shop("corner", &["A", "B"]).await;
        for sku in ["A", "B"] {
            seller.purchase(sku, 20).await;
        }
        world.a_moment().await;
        let before = seller.runs().await.len();
        seller.pair_units(&shop, &[("A", "A", 6), ("B", "B", 1)]).await;
        world.a_moment().await;
        assert_eq!((world.shown(&shop, "A"), world.received(&shop).last()), (3, Some(&set("A", 3))));
        let runs = seller.runs().await;
        let run = runs.last().unwrap();
        assert_eq!((runs.len() - before, run.kind, run.state, run.total), (1, RunKind::Manual, RunState::Finished, 1), "B is as it was");
        seller.purchase("A", 4).await;
        world.a_moment().await;
        assert_eq!(world.shown(&shop, "A"), 4);
        seller.pair(&shop, &["A"]).await;
        world.a_moment().await;
        assert_eq!((seller.listing(&shop, "A").await.units.get(), world.shown(&shop, "A")), (6, 4), "a row without units keeps them");
        seller.pair_units(&shop, &[("A", "A", 1)]).await;
        world.a_moment().await;
        assert_eq!(world.shown(&shop, "A"), 24);
    });
}

#[test]
fn changed_units_are_overwritten_on_demand_while_auto_sync_is_off() {
    story(async |world| {
        let seller = world.seller(off).await;
        let shop = seller.shop("corner", &["A"]).await;
        seller.purchase("A", 20).await;
        overwritten(world, &seller).await;
        seller.pair_units(&shop, &[("A", "A", 6)]).await;
        world.a_moment().await;
        let (id, store) = (seller.listing(&shop, "A").await.id, shop.id);
        let (compared, troubles) = seller.db().read(move |t| Ok((t.compared(&[id])?, t.troubles(&[store])?.remove(&store)))).await.unwrap();
        assert_eq!((compared.differ, troubles.unwrap().differ, world.shown(&shop, "A")), (1, 1, 20));
        let preview = preview(&world.service(), &seller.caller(), RunFilter::default()).await.unwrap();
        let item = &preview.items[0];
        assert_eq!((item.units, item.target, item.shown, item.change), (6, 3, Some(20), Some(-17)));
        overwritten(world, &seller).await;
        assert_eq!(world.shown(&shop, "A"), 3);
    });
}

#[test]
fn a_run_that_would_empty_a_shop_of_packs_for_which_too_little_is_left_asks_first() {
    story(async |world| {
        let seller = world.seller(|settings| settings.guard = Guard { zero_percent: Some(30), units: None }).await;
        let shop = seller.shop("packs", &[]).await;
        let names: Vec<String> = (0..12).map(|n| format!("S{n:02}")).collect();
        let rows: Vec<(&str, &str, i64)> = names.iter().map(|name| (name.as_str(), name.as_str(), 6)).collect();
        seller.pair_units(&shop, &rows).await;
        for name in &names {
            seller.event(name, Count, 60).await;
        }
        overwritten(world, &seller).await;
        for name in &names {
            seller.event(name, Count, 5).await;
        }
        let run = seller.sync(RunFilter::default()).await;
        world.a_moment().await;
        let run = seller.run(&run).await;
        let weight = &run.question.as_ref().unwrap().stores[0].weight;
        assert_eq!((run.state, weight.to_zero, weight.units), (RunState::WaitingForAnswer, 12, 120), "10 packs of each");
        world.leaves_work();
    });
}

#[test]
fn a_pack_that_was_sold_and_not_reported_yet_is_left_out_and_its_report_in_units_makes_good_for_it() {
    story(async |world| {
        for platform in [platform_that::knows_keys(), platform_that::only_sets()] {
            let seller = world.seller(incremental).await;
            let shop = six_packs_on(&seller, platform).await;
            seller.event("A", Count, 72).await;
            seller.sale_of(&shop, "A", 6).await;
            overwritten(world, &seller).await;
            assert_eq!(world.shown(&shop, "six"), 11);
            world.sells(&shop, "six", 2);
            overwritten(world, &seller).await;
            let pushes = seller.pushes().await;
            let push = pushes.iter().rfind(|push| push.kind == Overwrite).unwrap();
            assert_eq!((world.shown(&shop, "six"), push.unseen), (9, Some(2)));
            assert_eq!(push.arithmetic().unwrap(), "11 by the rules, less 2 units sold in the store and not reported yet");
            seller.purchase("A", 12).await;
            world.a_moment().await;
            overwritten(world, &seller).await;
            assert_eq!(world.shown(&shop, "six"), 11, "two packs arrived");
            seller.sale_of(&shop, "A", 6).await;
            overwritten(world, &seller).await;
            assert_eq!(world.shown(&shop, "six"), 11, "one of the two is reported");
            seller.sale_of(&shop, "A", 4).await;
            overwritten(world, &seller).await;
            assert_eq!((seller.target(&shop, "A").await, world.shown(&shop, "six")), (Some(11), 10), "of the other one, 2 units are not");
            seller.sale_of(&shop, "A", 2).await;
            for _ in 0..2 {
                overwritten(world, &seller).await;
                assert_eq!((seller.target(&shop, "A").await, world.shown(&shop, "six")), (Some(11), 11), "both are");
            }
            world.sells(&shop, "six", 1);
            seller.sale_of(&shop, "A", 6).await;
            overwritten(world, &seller).await;
            assert_eq!(world.shown(&shop, "six"), 10);
            // It has shown 10 before, so for a while this may come from a cache.
            world.sleep(minutes(10)).await;
            assert_eq!(world.shown(&shop, "six"), 10);
        }
    });
}

#[test]
fn what_a_shop_has_sold_by_other_units_is_not_held_against_it() {
    story(async |world| {
        let seller = world.seller(off).await;
        let shop = six_packs(&seller).await;
        seller.event("A", Count, 36).await;
        seller.sale_of(&shop, "A", 6).await;
        overwritten(world, &seller).await;
        for (units, shown) in [(1, 30), (6, 5), (1, 30)] {
            seller.pair_units(&shop, &[("six", "A", units)]).await;
            overwritten(world, &seller).await;
            assert_eq!(world.shown(&shop, "six"), shown, "5 and 30 of different units are no sales");
        }
        world.sells(&shop, "six", 1);
        overwritten(world, &seller).await;
        assert_eq!(world.shown(&shop, "six"), 29);
    });
}

#[test]
fn a_six_pack_is_explained_with_the_units_in_each() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let shop = six_packs(&seller).await;
        seller.event("A", Count, 27).await;
        world.a_moment().await;
        seller.sync(RunFilter::default()).await;
        world.a_moment().await;
        world.sells(&shop, "six", 1);
        seller.sale_of(&shop, "A", 6).await;
        seller.purchase("A", 9).await;
        world.a_moment().await;
        let (sku, store): (Sku, Option<StoreId>) = (Sku::parse("A").unwrap(), None);
        let found = explain(&seller.caller(), sku, store, Place::default(), 10).await.unwrap();
        let listing = &found.listings[0];
        let formula = &listing.formula;
        assert_eq!((formula.pool, formula.target.part, formula.units.get(), formula.target.shown), (30, 30, 6, 5));
        assert_eq!(
            listing.sent.text(),
            "It was set to 4, then increased by 2 once. The store itself has lowered that by 1 unit since, as sales do; its reported \
             sales since are 6 units of the SKU, of which each is 6. It showed 5 when last known."
        );
        let targets: Vec<i64> = found
            .history
            .iter()
            .filter_map(|happened| match happened {
                stocktide::service::explain::Happened::Event { past, targets, .. } if past.event.kind != Sale => Some(targets[0].1),
                _ => None,
            })
            .collect();
        assert_eq!(targets, [5, 4], "after the purchase and after the count");
    });
}

#[test]
fn a_listing_keeps_its_units_when_another_sku_is_paired_with_it_and_says_so_in_advance() {
    story(async |world| {
        let seller = world.seller(off).await;
        let shop = six_packs(&seller).await;
        for sku in ["A", "B"] {
            seller.event(sku, Count, 13).await;
        }
        seller.pair_as(&shop, &[("six", "B")]).await;
        overwritten(world, &seller).await;
        assert_eq!((seller.listing(&shop, "B").await.units.get(), world.shown(&shop, "six")), (6, 2));
    });
}
