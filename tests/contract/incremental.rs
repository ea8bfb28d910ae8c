//! Incremental inventory synchronization: each increase of a target is sent at once and added to what the store shows.
use crate::support::*;
use stocktide::db::ledger::EventResult;
use stocktide::domain::WarehouseCode;
use stocktide::domain::push::PushState::Confirmed;
use stocktide::domain::settings::Rule;
use stocktide::domain::stock::EventKind::{Adjustment, Cancellation, Count, Purchase, Return, Sale, Transfer};

#[test]
fn incremental_is_the_default_when_auto_sync_is_switched_on() {
    story(async |world| {
        let seller = world.seller(|settings| settings.auto_sync = true).await;
        let shop = seller.shop("corner", &["A"]).await;
        seller.purchase("A", 3).await;
        world.a_moment().await;
        assert_eq!(world.received(&shop), [add("A", 3)]);
    });
}

#[test]
fn an_increase_is_added_to_what_the_store_shows_and_units_it_sold_stay_sold() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let shop = seller.shop("corner", &["A"]).await;
        seller.purchase("A", 10).await;
        world.a_moment().await;
        world.sells(&shop, "A", 4);
        seller.purchase("A", 3).await;
        world.a_moment().await;
        assert_eq!(world.received(&shop), [add("A", 10), add("A", 3)]);
        assert_eq!(world.shown(&shop, "A"), 9);
        assert_eq!(seller.lines().await, [increase(10, Confirmed), increase(3, Confirmed)]);
    });
}

#[test]
fn purchases_returns_and_upward_adjustments_and_counts_trigger_an_increase() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let shop = seller.shop("corner", &["A"]).await;
        for (kind, quantity) in [(Purchase, 10), (Return, 2), (Adjustment, 3), (Count, 20)] {
            seller.event("A", kind, quantity).await;
            world.a_moment().await;
        }
        assert_eq!(world.received(&shop), [add("A", 10), add("A", 2), add("A", 3), add("A", 5)]);
    });
}

#[test]
fn sales_cancellations_and_every_decrease_trigger_nothing() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let shop = seller.shop("corner", &["A"]).await;
        seller.purchase("A", 20).await;
        world.a_moment().await;
        for (kind, quantity) in [(Sale, 3), (Cancellation, 1), (Adjustment, -2), (Count, 10)] {
            seller.event("A", kind, quantity).await;
            world.a_moment().await;
        }
        assert_eq!(world.received(&shop), [add("A", 20)]);
        assert_eq!(seller.pushes().await.len(), 1);
    });
}

#[test]
fn a_cancellation_triggers_an_increase_if_the_seller_has_enabled_that() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        seller.settings(|settings| settings.trigger_on_cancellation = true).await;
        let shop = seller.shop("corner", &["A"]).await;
        seller.event("A", Cancellation, 2).await;
        world.a_moment().await;
        assert_eq!(world.received(&shop), [add("A", 2)]);
    });
}

#[test]
fn a_transfer_triggers_an_increase_where_it_raises_the_stores_pool() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        seller.warehouse("south").await;
        let (south, all) = (seller.shop("south", &["A"]).await, seller.shop("all", &["A"]).await);
        seller.fed_by(&south, "south").await;
        seller.purchase("A", 10).await;
        let mut transfer = seller.an_event("A", Transfer, 4);
        transfer.to_warehouse = Some(WarehouseCode::parse("south").unwrap());
        seller.record(vec![transfer]).await;
        world.a_moment().await;
        assert_eq!(world.received(&south), [add("A", 4)]);
        assert_eq!(world.received(&all), [add("A", 10)], "its pool is unchanged");
    });
}

#[test]
fn an_increase_is_the_difference_of_two_targets_so_rounding_errors_never_accumulate() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let shop = seller.shop("corner", &["A"]).await;
        seller.share(&shop, 30.0).await;
        for _ in 0..25 {
            seller.purchase("A", 1).await;
            world.a_moment().await;
        }
        assert_eq!(world.shown(&shop, "A"), 7, "25 × 30 %, rounded down: {:?}", world.received(&shop));
    });
}

#[test]
fn a_purchase_of_10_when_oversold_by_5_pushes_5() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let shop = seller.shop("corner", &["A"]).await;
        seller.sale("A", 5).await;
        seller.purchase("A", 10).await;
        world.a_moment().await;
        assert_eq!(world.received(&shop), [add("A", 5)]);
    });
}

#[test]
fn an_increase_above_the_maximum_or_below_the_threshold_is_not_pushed() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let shop = seller.shop("corner", &["A"]).await;
        seller.rule(Rule { threshold: Some(5), max_shown: Some(8), ..Rule::default() }).await;
        for _ in 0..5 {
            seller.purchase("A", 2).await;
            world.a_moment().await;
        }
        assert_eq!(world.received(&shop), [add("A", 6), add("A", 2)]);
    });
}

#[test]
fn an_increase_is_sent_at_once() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let shop = seller.shop("corner", &["A"]).await;
        world.a_moment().await;
        seller.purchase("A", 3).await;
        world.sleep(ms(100)).await;
        assert_eq!(world.received(&shop), [add("A", 3)]);
    });
}

#[test]
fn increases_waiting_for_the_rate_limit_are_merged() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let shop = seller.shop_on(platform_that::allows(0.1, 1), "corner", &["A", "B"]).await;
        world.sleep(minutes(1)).await;
        seller.purchase("A", 1).await;
        world.a_moment().await;
        seller.purchase("B", 1).await;
        world.a_moment().await;
        for quantity in [2, 3, 4] {
            seller.purchase("A", quantity).await;
            world.a_moment().await;
        }
        world.sleep(minutes(1)).await;
        assert_eq!(world.shown(&shop, "A"), 10);
        assert_eq!(world.received(&shop), [add("A", 1), add("B", 1), add("A", 9)]);
    });
}

#[test]
fn increases_waiting_for_a_retry_or_for_a_store_that_is_down_are_merged() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let shop = seller.shop("corner", &["A"]).await;
        world.faults(|f| f.down = true);
        for quantity in [1, 2, 3, 4] {
            seller.purchase("A", quantity).await;
            world.sleep(minutes(5)).await;
        }
        world.all_is_well();
        world.sleep(minutes(10)).await;
        assert_eq!(world.received(&shop), [add("A", 10)]);
    });
}

#[test]
fn increases_recorded_while_one_is_in_flight_are_merged_with_each_other() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let shop = seller.shop("corner", &["A"]).await;
        world.faults(|f| f.latency_ms = 3_000);
        for quantity in [1, 2, 3] {
            seller.purchase("A", quantity).await;
            world.sleep(ms(500)).await;
        }
        world.sleep(minutes(1)).await;
        assert_eq!(world.received(&shop), [add("A", 1), add("A", 5)]);
    });
}

#[test]
fn events_in_one_batch_are_merged_into_one_push_per_listing() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let shop = seller.shop("corner", &["A", "B"]).await;
        let events = [("A", 1), ("B", 2), ("A", 3)].map(|(sku, n)| seller.an_event(sku, Purchase, n));
        let results = seller.record(events.to_vec()).await;
        assert!(results.iter().all(|r| matches!(r, EventResult::Accepted { .. })));
        world.a_moment().await;
        assert_eq!(seller.lines().await, [increase(4, Confirmed), increase(2, Confirmed)]);
        assert_eq!(world.received(&shop), [add("A", 4), add("B", 2)]);
    });
}
