//! Overwrites do not put units back on sale that the store has sold, although nobody has reported that yet.
use crate::support::*;
use serde_json::Value;
use stocktide::db::runs::{RunFilter, RunState};
use stocktide::domain::push::{PushKind, PushState, Record};
use stocktide::domain::stock::EventKind;

/// A shop that shows 12 of A by an overwrite, and whose sales are reported in its name.
async fn reporting_shop(seller: &Seller<'_>, world: &World, platform: Value) -> Shop {
    let shop = seller.shop_on(platform, "corner", &["A"]).await;
    seller.event("A", EventKind::Count, 13).await;
    seller.sale_of(&shop, "A", 1).await;
    overwritten(seller, world).await;
    assert_eq!(world.shown(&shop, "A"), 12);
    shop
}

async fn overwritten(seller: &Seller<'_>, world: &World) -> Record {
    seller.sync(RunFilter::default()).await;
    world.a_moment().await;
    let pushes = seller.pushes().await;
    pushes.into_iter().rfind(|push| push.kind == PushKind::Overwrite).unwrap()
}

fn every_platform() -> [Value; 4] {
    [platform_that::knows_keys(), platform_that::compares_and_sets(), platform_that::only_adds(), platform_that::only_sets()]
}

#[test]
fn units_sold_and_not_reported_yet_are_left_out_and_once_they_are_reported_the_next_overwrite_is_exact() {
    story(async |world| {
        for platform in every_platform() {
            let seller = world.seller(off).await;
            let shop = reporting_shop(&seller, world, platform).await;
            world.sells(&shop, "A", 2);
            let push = overwritten(&seller, world).await;
            assert_eq!((world.shown(&shop, "A"), push.quantity, push.unseen), (10, Some(10), Some(2)));
            assert_eq!(push.arithmetic().unwrap(), "12 by the rules, less 2 units sold in the store and not reported yet");
            overwritten(&seller, world).await;
            assert_eq!(world.shown(&shop, "A"), 10, "they are still not reported");
            seller.sale_of(&shop, "A", 2).await;
            assert_eq!(seller.target(&shop, "A").await, Some(10));
            for _ in 0..2 {
                let push = overwritten(&seller, world).await;
                assert_eq!((world.shown(&shop, "A"), push.unseen), (10, Some(0)), "not taken off twice");
            }
            world.sells(&shop, "A", 1);
            seller.sale_of(&shop, "A", 1).await;
            overwritten(&seller, world).await;
            assert_eq!(world.shown(&shop, "A"), 9);
        }
    });
}

#[test]
fn a_report_that_comes_while_a_listing_is_read_for_the_first_time_is_not_left_out_again() {
    story(async |world| {
        for platform in every_platform() {
            let seller = world.seller(off).await;
            let shop = seller.shop_on(platform, "corner", &["A", "B"]).await;
            seller.event("A", EventKind::Count, 13).await;
            seller.event("B", EventKind::Count, 5).await;
            // Now it is known that the store's sales are reported, and nothing is expected of A yet.
            seller.sale_of(&shop, "B", 1).await;
            world.platform.set_quantity(&shop.external, "A", 13);
            world.faults(|f| f.latency_ms = 2_000);
            seller.sync(RunFilter::default()).await;
            world.sleep(seconds(1)).await;
            world.sells(&shop, "A", 2);
            seller.sale_of(&shop, "A", 2).await;
            world.sleep(minutes(1)).await;
            world.all_is_well();
            let push = overwritten(&seller, world).await;
            assert_eq!((world.shown(&shop, "A"), push.unseen), (11, Some(0)));
        }
    });
}

#[test]
fn the_nightly_overwrite_leaves_out_what_was_sold_since_the_last_report() {
    story_from("2026-03-02T12:00:00Z", async |world| {
        let seller = world.seller(daily_at("03:30", chrono_tz::UTC)).await;
        let shop = reporting_shop(&seller, world, platform_that::only_sets()).await;
        world.sells(&shop, "A", 3);
        seller.sale_of(&shop, "A", 1).await;
        world.sleep_until("2026-03-03T03:31:00Z").await;
        assert_eq!(seller.dates(&shop).await.last().unwrap().1, RunState::Finished);
        assert_eq!((seller.target(&shop, "A").await, world.shown(&shop, "A")), (Some(11), 9));
    });
}

#[test]
fn increases_and_further_sales_do_not_hide_what_was_not_reported() {
    story(async |world| {
        for platform in every_platform() {
            let seller = world.seller(incremental).await;
            let shop = reporting_shop(&seller, world, platform).await;
            world.sells(&shop, "A", 2);
            seller.purchase("A", 5).await;
            world.a_moment().await;
            assert_eq!(world.shown(&shop, "A"), 15);
            let push = overwritten(&seller, world).await;
            assert_eq!((world.shown(&shop, "A"), push.unseen), (15, Some(2)));
            world.sells(&shop, "A", 4);
            seller.sale_of(&shop, "A", 3).await;
            let push = overwritten(&seller, world).await;
            assert_eq!((seller.target(&shop, "A").await, push.unseen, world.shown(&shop, "A")), (Some(14), Some(3), 11));
        }
    });
}

#[test]
fn a_lost_answer_a_lost_request_and_a_crash_bring_nothing_back_on_sale() {
    story(async |world| {
        for platform in every_platform() {
            for lose in [World::loses_answers, World::loses_requests] {
                let seller = world.seller(incremental).await;
                let shop = reporting_shop(&seller, world, platform.clone()).await;
                world.sells(&shop, "A", 2);
                seller.purchase("A", 1).await;
                world.a_moment().await;
                world.sells(&shop, "A", 1);
                lose(world);
                seller.sync(RunFilter::default()).await;
                world.sleep(seconds(30)).await;
                world.crashes().await;
                world.starts();
                world.all_is_well();
                world.sleep(minutes(30)).await;
                assert_eq!((seller.target(&shop, "A").await, world.shown(&shop, "A")), (Some(13), 10));
                seller.sale_of(&shop, "A", 3).await;
                overwritten(&seller, world).await;
                assert_eq!(world.shown(&shop, "A"), 10);
            }
        }
    });
}

#[test]
fn units_that_are_missing_for_longer_than_the_store_waits_for_reports_are_shown_again() {
    story_of_days(START, async |world| {
        let seller = world.seller(off).await;
        let shop = reporting_shop(&seller, world, platform_that::knows_keys()).await;
        seller.change_shop(&shop, StoreChange { unseen_sales_hours: Some(48), ..StoreChange::default() }).await;
        world.sells(&shop, "A", 2);
        overwritten(&seller, world).await;
        world.sleep(hours(40)).await;
        world.sells(&shop, "A", 1);
        overwritten(&seller, world).await;
        assert_eq!(world.shown(&shop, "A"), 9);
        world.sleep(hours(9)).await;
        overwritten(&seller, world).await;
        assert_eq!(world.shown(&shop, "A"), 11, "the unit that was sold later is still left out");
        world.sleep(hours(49)).await;
        overwritten(&seller, world).await;
        assert_eq!(world.shown(&shop, "A"), 12);
    });
}

#[test]
fn nothing_is_left_out_where_it_is_switched_off_where_no_sale_has_named_the_store_and_where_the_platform_cannot_be_read() {
    story(async |world| {
        let seller = world.seller(off).await;
        let switched_off = seller.shop("market", &["A"]).await;
        let change = StoreChange { protect_unseen_sales: Some(false), ..StoreChange::default() };
        seller.change_shop(&switched_off, change).await;
        let unreadable = seller.shop_on(platform_that::adds_but_cannot_be_read(), "blind", &["A"]).await;
        let never_named = seller.shop("corner", &["A"]).await;
        seller.event("A", EventKind::Count, 14).await;
        for shop in [&switched_off, &unreadable] {
            seller.sale_of(shop, "A", 1).await;
        }
        overwritten(&seller, world).await;
        let shops = [&switched_off, &unreadable, &never_named];
        shops.iter().for_each(|shop| world.sells(shop, "A", 2));
        overwritten(&seller, world).await;
        assert_eq!(shops.map(|shop| world.shown(shop, "A")), [12, 12, 12]);
        assert!(seller.pushes().await.iter().all(|push| push.unseen.is_none()));
        // What happens once it begins to be protected counts from then on.
        seller.sale_of(&never_named, "A", 1).await;
        overwritten(&seller, world).await;
        assert_eq!(world.shown(&never_named, "A"), 11);
        world.sells(&never_named, "A", 3);
        overwritten(&seller, world).await;
        assert_eq!(shops.map(|shop| world.shown(shop, "A")), [11, 11, 8]);
    });
}

#[test]
fn a_run_of_many_listings_reads_them_in_bulk_and_leaves_out_what_each_has_sold() {
    story(async |world| {
        let seller = world.seller(off).await;
        let skus: Vec<String> = (0..250).map(|n| format!("S{n:03}")).collect();
        let skus: Vec<&str> = skus.iter().map(String::as_str).collect();
        let shop = seller.shop_on(platform_that::takes(100), "corner", &skus).await;
        for sku in &skus {
            seller.event(sku, EventKind::Count, 9).await;
        }
        seller.sale_of(&shop, skus[0], 1).await;
        overwritten(&seller, world).await;
        for (sku, units) in [(skus[7], 2), (skus[120], 1), (skus[249], 9)] {
            world.sells(&shop, sku, units);
        }
        world.platform.keep_call_instants();
        let calls = world.platform.call_instants(&shop.external).len();
        let run = seller.sync(RunFilter::default()).await;
        world.a_moment().await;
        assert_eq!(seller.run(&run).await.done, 250);
        assert_eq!([0, 7, 119, 120, 249].map(|n| world.shown(&shop, skus[n])), [8, 7, 9, 8, 0]);
        assert_eq!(world.platform.call_instants(&shop.external).len() - calls, 6, "three reads and three overwrites");
    });
}

#[test]
fn a_listing_that_shows_another_sku_from_now_on_owes_nothing_of_the_old_one() {
    story(async |world| {
        let seller = world.seller(off).await;
        let shop = reporting_shop(&seller, world, platform_that::knows_keys()).await;
        world.sells(&shop, "A", 2);
        seller.event("B", EventKind::Count, 30).await;
        seller.pair_as(&shop, &[("A", "B")]).await;
        let push = overwritten(&seller, world).await;
        assert_eq!((world.shown(&shop, "A"), push.unseen), (30, Some(0)));
        assert_eq!(push.state, PushState::Confirmed);
    });
}

#[test]
fn what_an_overwrite_may_have_changed_while_this_was_switched_off_is_not_taken_for_sales() {
    story(async |world| {
        let seller = world.seller(off).await;
        let shop = reporting_shop(&seller, world, platform_that::only_sets()).await;
        let switch = async |on| seller.change_shop(&shop, StoreChange { protect_unseen_sales: Some(on), ..StoreChange::default() }).await;
        switch(false).await;
        seller.event("A", EventKind::Count, 5).await;
        world.loses_answers();
        seller.sync(RunFilter::default()).await;
        world.sleep(seconds(2)).await;
        assert_eq!(world.shown(&shop, "A"), 5);
        switch(true).await;
        world.sells(&shop, "A", 1);
        world.all_is_well();
        world.sleep(minutes(1)).await;
        assert_eq!(world.shown(&shop, "A"), 5, "{:?}", seller.pushes().await);
    });
}

#[test]
fn a_run_ends_although_what_it_was_to_overwrite_could_not_even_be_read_for_a_day() {
    story_of_days(START, async |world| {
        let seller = world.seller(off).await;
        reporting_shop(&seller, world, platform_that::knows_keys()).await;
        world.faults(|f| f.down = true);
        let run = seller.sync(RunFilter::default()).await;
        world.sleep(hours(25)).await;
        let of_run = seller.pushes().await.into_iter().find(|push| push.run_id == Some(run.id)).unwrap();
        assert_eq!(of_run.state, PushState::Rejected);
        let run = seller.run(&run).await;
        assert_eq!((run.done, run.failed, run.finished_at.is_some()), (0, 1, true));
        world.all_is_well();
        world.sleep(hours(1)).await;
    });
}
