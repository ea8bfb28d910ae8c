//! Outages: retries, probes, and listings given up after a day, which one overwrite corrects afterwards.
use crate::support::*;
use stocktide::db::runs::RunFilter;
use stocktide::domain::push::PushState::{Confirmed, Rejected, Retrying, Superseded};

#[test]
fn retries_back_off_and_are_not_limited_in_number() {
    story_of_days(START, async |world| {
        let seller = world.seller(incremental).await;
        let shop = seller.shop("corner", &["A"]).await;
        world.faults(|f| (f.throttle, f.retry_after_s) = (1.0, 0.0));
        seller.purchase("A", 5).await;
        world.sleep(minutes(10)).await;
        let early = world.platform.stats().calls;
        world.sleep(hours(20)).await;
        let push = seller.pushes().await.remove(0);
        assert_eq!(push.state, Retrying);
        assert!(push.attempts > 100, "{}", push.attempts);
        let per_hour = (world.platform.stats().calls - early) / 20;
        assert!((12..60).contains(&per_hour), "delays average half of their five-minute limit, not {per_hour} calls an hour");
        world.all_is_well();
        world.sleep(minutes(10)).await;
        assert_eq!(world.received(&shop), [add("A", 5)]);
    });
}

#[test]
fn an_increase_recorded_during_an_outage_is_delivered_once_afterwards() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let shop = seller.shop("corner", &["A"]).await;
        world.faults(|f| f.down = true);
        seller.purchase("A", 5).await;
        world.sleep(hours(2)).await;
        world.all_is_well();
        world.sleep(minutes(10)).await;
        assert_eq!(world.received(&shop), [add("A", 5)]);
        assert_eq!(seller.lines().await, [increase(5, Confirmed)]);
    });
}

#[test]
fn a_store_that_keeps_failing_is_probed_not_hammered() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let skus: Vec<String> = (0..30).map(|n| format!("S{n:02}")).collect();
        let skus: Vec<&str> = skus.iter().map(String::as_str).collect();
        let shop = seller.shop_on(platform_that::takes(1), "corner", &skus).await;
        world.platform.keep_call_instants();
        world.faults(|f| f.error_before = 1.0);
        for sku in &skus {
            seller.purchase(sku, 1).await;
        }
        world.sleep(minutes(30)).await;
        let first = world.platform.stats().calls;
        world.sleep(hours(2)).await;
        let per_hour = (world.platform.stats().calls - first) / 2;
        assert!((8..=13).contains(&per_hour), "one probe every five minutes, not {per_hour} calls an hour");
        world.all_is_well();
        world.sleep(minutes(15)).await;
        assert!(skus.iter().all(|sku| world.shown(&shop, sku) == 1));
    });
}

#[test]
fn an_increase_is_rejected_after_a_day_of_failures_and_one_overwrite_follows_when_the_store_recovers() {
    story_of_days(START, async |world| {
        let seller = world.seller(incremental).await;
        let shop = seller.shop("corner", &["A"]).await;
        world.faults(|f| f.down = true);
        seller.purchase("A", 5).await;
        world.sleep(hours(23)).await;
        assert_eq!(seller.lines().await, [increase(5, Retrying)]);
        world.sleep(hours(2)).await;
        let push = seller.pushes().await.remove(0);
        assert_eq!(push.state, Rejected);
        assert!(push.reason.clone().unwrap().contains("could not be reached"), "the last reason is kept: {push:?}");
        world.all_is_well();
        world.sleep(hours(1)).await;
        assert_eq!(world.received(&shop), [set("A", 5)]);
        assert!(!seller.listing(&shop, "A").await.marked);
        seller.retries(&[push.id]).await;
        world.sleep(minutes(1)).await;
        assert_eq!(world.received(&shop), [set("A", 5)], "the overwrite already contained it");
    });
}

#[test]
fn listings_given_up_during_an_outage_of_days_are_all_healed_afterwards() {
    story_of_days(START, async |world| {
        let seller = world.seller(incremental).await;
        let shop = seller.shop("corner", &["A", "B", "C"]).await;
        world.faults(|f| f.down = true);
        for sku in ["A", "B", "C"] {
            seller.purchase(sku, 5).await;
        }
        world.sleep(hours(60)).await;
        world.all_is_well();
        world.sleep(hours(1)).await;
        for sku in ["A", "B", "C"] {
            assert_eq!(world.shown(&shop, sku), 5, "{sku}");
        }
    });
}

#[test]
fn increases_contained_in_an_overwrite_that_is_given_up_are_not_lost() {
    story_of_days(START, async |world| {
        let seller = world.seller(incremental).await;
        let shop = seller.shop("corner", &["A"]).await;
        world.faults(|f| f.down = true);
        seller.purchase("A", 5).await;
        seller.sync(RunFilter::default()).await;
        world.sleep(hours(30)).await;
        let lines = seller.lines().await;
        assert!(matches!(lines[..], [(_, _, Superseded), (_, _, Rejected), ..]), "{lines:?}");
        world.all_is_well();
        world.sleep(hours(1)).await;
        assert_eq!(world.shown(&shop, "A"), 5);
    });
}
