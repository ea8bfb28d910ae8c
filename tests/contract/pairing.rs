//! Listings that are unpaired, paired with another SKU or excluded from sync while pushes for them are pending.
use crate::support::*;
use crate::unknown_outcomes::on_every_platform;
use stocktide::db::runs::RunFilter;
use stocktide::domain::push::PushState::{Cancelled, Confirmed, Superseded};
use stocktide::domain::settings::Rule;

#[test]
fn unpairing_a_listing_cancels_its_waiting_pushes_and_the_one_in_flight_is_not_sent_again() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let shop = seller.shop("corner", &["A", "B"]).await;
        world.faults(|f| (f.throttle, f.latency_ms, f.retry_after_s) = (1.0, 1_000, 1.0));
        seller.purchase("A", 5).await;
        world.sleep(ms(500)).await;
        seller.purchase("A", 1).await;
        seller.purchase("B", 2).await;
        seller.unpairs(&shop, "A").await;
        world.a_moment().await;
        world.all_is_well();
        world.sleep(minutes(5)).await;
        assert_eq!(world.received(&shop), [add("B", 2)]);
    });
}

#[test]
fn pairing_a_listing_with_another_sku_cancels_the_pushes_waiting_for_the_first() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let shop = seller.shop("corner", &[]).await;
        seller.pair_as(&shop, &[("item-1", "A")]).await;
        world.faults(|f| f.down = true);
        seller.purchase("A", 5).await;
        world.a_moment().await;
        seller.pair_as(&shop, &[("item-1", "B")]).await;
        seller.purchase("A", 1).await;
        seller.purchase("B", 2).await;
        world.all_is_well();
        world.sleep(minutes(5)).await;
        assert_eq!(world.received(&shop), [add("item-1", 2)]);
    });
}

#[test]
fn a_listing_excluded_from_sync_during_a_run_counts_as_failed_and_the_run_finishes() {
    story(async |world| {
        let seller = world.seller(off).await;
        let shop = seller.shop("corner", &["A", "B"]).await;
        seller.pauses(&shop).await;
        seller.purchase("A", 5).await;
        let run = seller.sync(RunFilter::default()).await;
        world.a_moment().await;
        let sku = stocktide::domain::Sku::parse("B").ok();
        seller.rule(Rule { sku, sync_enabled: Some(false), ..Rule::default() }).await;
        seller.resumes(&shop).await;
        world.a_moment().await;
        let run = seller.run(&run).await;
        assert_eq!((run.done, run.failed, run.finished_at.is_some()), (1, 1, true));
        assert_eq!(world.received(&shop), [set("A", 5)]);
    });
}

#[test]
fn an_unknown_outcome_for_an_unpaired_listing_is_closed_without_sending_again() {
    on_every_platform(async |world, seller, shop, _| {
        world.loses_answers();
        seller.purchase("A", 5).await;
        world.sleep(ms(100)).await;
        world.all_is_well();
        seller.unpairs(shop, "A").await;
        world.sleep(minutes(2)).await;
        assert!(
            seller.pushes().await.iter().all(|push| matches!(push.state, Confirmed | Cancelled | Superseded)),
            "{:?}",
            seller.lines().await
        );
        assert!(world.received(shop).len() <= 2, "{:?}", world.received(shop));
    });
}
