//! Rate limits: no window has more calls than the bucket allows, a backlog uses all of it, and stores do not slow each
//! other down.
use crate::support::*;
use serde_json::json;
use stocktide::db::quotas::{app_calls, save_app_calls};
use stocktide::db::runs::RunFilter;

/// Checks that no window between two calls has more than burst + rate × time calls.
fn assert_within(world: &World, shop: &Shop, per_second: f64, burst: f64) {
    let instants = world.platform.call_instants(&shop.external);
    assert!(instants.len() > 20, "{} calls are too few to prove anything", instants.len());
    for (i, from) in instants.iter().enumerate() {
        for (j, to) in instants.iter().enumerate().skip(i) {
            let allowed = burst + per_second * (to - from) as f64 / 1e6;
            assert!((j - i + 1) as f64 <= allowed + 1e-6, "{} calls within {} µs", j - i + 1, to - from);
        }
    }
}

fn skus() -> Vec<String> {
    (0..40).map(|n| format!("S{n:02}")).collect()
}

#[test]
fn no_window_has_more_calls_than_the_bucket_allows_even_with_faults() {
    for abilities in [json!({}), json!({"idempotency": false}), json!({"adjust": false, "idempotency": false, "compare_and_set": true})] {
        story(async |world| {
            let seller = world.seller(incremental).await;
            let mut platform = json!({"rate_limit": {"per_second": 2.5, "burst": 3}});
            platform["abilities"] = abilities.clone();
            platform["abilities"]["max_items"] = json!(1);
            let (skus, n) = (skus(), 12);
            let skus: Vec<&str> = skus.iter().map(String::as_str).take(n).collect();
            let shop = seller.shop_on(platform, "corner", &skus).await;
            world.platform.keep_call_instants();
            world.faults(|f| (f.lose_answer, f.error_before, f.throttle) = (0.2, 0.1, 0.1));
            for _ in 0..4 {
                for sku in &skus {
                    seller.purchase(sku, 1).await;
                }
                world.sleep(seconds(7)).await;
            }
            world.all_is_well();
            world.sleep(minutes(10)).await;
            assert_within(world, &shop, 2.5, 3.0);
            assert!(skus.iter().all(|sku| world.shown(&shop, sku) == 4));
        });
    }
}

#[test]
fn no_window_has_more_calls_than_the_bucket_allows_across_restarts_and_crashes() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let platform = json!({"rate_limit": {"per_second": 1, "burst": 5}, "abilities": {"max_items": 1}});
        let skus = skus();
        let skus: Vec<&str> = skus.iter().map(String::as_str).collect();
        let shop = seller.shop_on(platform, "corner", &skus).await;
        world.sleep(minutes(1)).await;
        world.platform.keep_call_instants();
        for sku in &skus {
            seller.purchase(sku, 1).await;
        }
        for round in 0..6 {
            world.sleep(ms(1_300)).await;
            if round % 2 == 0 {
                world.crashes().await
            } else {
                world.stops().await
            }
            world.starts();
        }
        world.sleep(minutes(5)).await;
        assert_within(world, &shop, 1.0, 5.0);
        assert!(skus.iter().all(|sku| world.shown(&shop, sku) == 1));
    });
}

#[test]
fn a_backlog_is_sent_as_fast_as_the_bucket_allows() {
    story(async |world| {
        let seller = world.seller(off).await;
        let platform = json!({"rate_limit": {"per_second": 2, "burst": 1}, "abilities": {"max_items": 1}});
        let skus = skus();
        let skus: Vec<&str> = skus.iter().map(String::as_str).collect();
        let shop = seller.shop_on(platform, "corner", &skus).await;
        let run = seller.sync(RunFilter::default()).await;
        world.sleep(seconds(22)).await;
        assert!(seller.run(&run).await.finished_at.is_some(), "40 calls at 2 a second: {:?}", seller.run(&run).await);
        assert_eq!(world.received(&shop).len(), 40);
    });
}

#[test]
fn a_platform_that_allows_less_than_configured_is_obeyed() {
    story(async |world| {
        let seller = world.seller(off).await;
        let platform = json!({"rate_limit": {"per_second": 50, "burst": 50}, "abilities": {"max_items": 1}});
        let skus = skus();
        let skus: Vec<&str> = skus.iter().map(String::as_str).collect();
        let shop = seller.shop_on(platform, "corner", &skus).await;
        world.faults(|f| f.rate_limit = Some(stocktide::simulator::Rate { per_second: 1.0, burst: 2.0 }));
        seller.sync(RunFilter::default()).await;
        world.sleep(minutes(5)).await;
        let stats = world.platform.stats();
        assert_eq!(world.received(&shop).len(), 40);
        assert!(
            stats.over_limit < stats.calls / 2,
            "it should adapt, but {} of {} calls were over the limit",
            stats.over_limit,
            stats.calls
        );
    });
}

#[test]
fn a_throttled_store_pauses_completely_and_no_other_store_does() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let (corner, market) = (seller.shop("corner", &["A", "B"]).await, seller.shop("market", &["C"]).await);
        world.faults(|f| (f.throttle, f.retry_after_s) = (1.0, 60.0));
        seller.purchase("A", 1).await;
        world.sleep(ms(500)).await;
        world.all_is_well();
        seller.purchase("B", 1).await;
        seller.purchase("C", 1).await;
        world.sleep(seconds(30)).await;
        assert_eq!((world.received(&corner), world.received(&market)), (vec![], vec![add("C", 1)]));
        world.sleep(seconds(40)).await;
        assert_eq!(world.received(&corner).len(), 2);
    });
}

#[test]
fn one_stores_backlog_never_delays_another_store() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let (skus, other) = (skus(), world.seller(incremental).await);
        let skus: Vec<&str> = skus.iter().map(String::as_str).collect();
        let platform = json!({"rate_limit": {"per_second": 0.1, "burst": 1}, "abilities": {"max_items": 1}});
        let slow = seller.shop_on(platform, "slow", &skus).await;
        let (quick, others_shop) = (seller.shop("quick", &["Q"]).await, other.shop("corner", &["Q"]).await);
        for sku in &skus {
            seller.purchase(sku, 1).await;
        }
        world.sleep(seconds(30)).await;
        seller.purchase("Q", 1).await;
        other.purchase("Q", 1).await;
        world.sleep(ms(200)).await;
        assert_eq!((world.received(&quick), world.received(&others_shop)), (vec![add("Q", 1)], vec![add("Q", 1)]));
        assert!(world.received(&slow).len() < 6);
        world.leaves_work();
    });
}

#[test]
fn a_store_that_does_not_answer_never_delays_another() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let (dead, quick) = (seller.shop("dead", &["A"]).await, seller.shop("quick", &["B"]).await);
        world.faults(|f| f.never_answer = 1.0);
        seller.purchase("A", 1).await;
        world.sleep(ms(200)).await;
        world.all_is_well();
        seller.purchase("B", 1).await;
        world.sleep(ms(200)).await;
        assert_eq!((world.received(&dead), world.received(&quick)), (vec![], vec![add("B", 1)]));
        world.sleep(minutes(1)).await;
        assert_eq!(world.received(&dead), [add("A", 1)]);
    });
}

#[test]
fn what_an_app_has_called_today_is_kept_slot_by_slot_and_the_past_is_forgotten() {
    story(async |world| {
        let save = async |slots: Vec<(i64, u32)>, since| {
            world.db().write(move |conn| save_app_calls(conn, "app", &slots, since)).await.unwrap();
        };
        save(vec![(7, 3), (8, 5)], 0).await;
        save(vec![(8, 6), (9, 1)], 0).await;
        let kept = async |since| world.db().read(move |conn| app_calls(conn, "app", since)).await.unwrap();
        assert_eq!((kept(0).await, kept(9).await), (vec![(7, 3), (8, 6), (9, 1)], vec![(9, 1)]));
        save(vec![(9, 2)], 8).await;
        assert_eq!(kept(0).await, [(8, 6), (9, 2)]);
        assert_eq!(world.db().read(|conn| app_calls(conn, "other", 0)).await.unwrap(), []);
    });
}

#[test]
fn calls_of_an_app_are_forgotten_once_no_day_can_contain_them() {
    story_of_days(START, async |world| {
        let slots = async || {
            let all = world.db().read(|conn| stocktide::db::quotas::app_calls(conn, "shop-app", i64::MIN)).await.unwrap();
            all.into_iter().map(|(slot, _)| slot).collect::<Vec<i64>>()
        };
        let now = stocktide::domain::quota::slot_of(world.now());
        for slot in [now - 6 * 24 * 30, now - 6 * 27, now] {
            world.execute(&format!("INSERT INTO app_calls (app, slot, calls) VALUES ('shop-app', {slot}, 3)"));
        }
        assert_eq!(slots().await.len(), 3);
        world.sleep(hours(1)).await;
        // The housekeeping of this story is done once a day.
        world.sleep(days(1)).await;
        assert_eq!(slots().await, [now], "a day ago counts, more than 26 hours ago does not");
        world.sleep(days(1)).await;
        assert_eq!(slots().await, [0; 0]);
    });
}
