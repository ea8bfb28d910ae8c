//! Delivery: the order in which pushes are sent, and what becomes of them while their outcomes are known.
use crate::support::*;
use stocktide::db::runs::RunFilter;
use stocktide::domain::push::PushState::{Confirmed, Queued, Rejected, Retrying, Superseded};

#[test]
fn a_push_is_in_the_database_before_it_is_sent() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let shop = seller.shop("corner", &["A"]).await;
        world.faults(|f| f.latency_ms = 1_000);
        seller.purchase("A", 5).await;
        world.sleep(ms(500)).await;
        let push = seller.pushes().await.remove(0);
        assert_eq!((push.state.as_str(), push.attempts, push.call_id.is_some()), ("sending", 1, true));
        world.a_moment().await;
        assert_eq!(world.received(&shop), [add("A", 5)]);
    });
}

#[test]
fn at_most_one_push_per_listing_is_in_flight_and_pushes_keep_their_order() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let shop = seller.shop("corner", &["A"]).await;
        world.faults(|f| f.latency_ms = 900);
        for n in 1..=12 {
            seller.purchase("A", n).await;
            if n % 4 == 0 {
                seller.sync(RunFilter::default()).await;
            }
            world.sleep(ms(350)).await;
            let in_flight = seller.pushes().await.iter().filter(|push| push.state.is_in_flight()).count();
            assert!(in_flight <= 1, "{:?}", seller.lines().await);
        }
        world.sleep(minutes(1)).await;
        assert_eq!(world.shown(&shop, "A"), 78, "in {:?}", world.received(&shop));
    });
}

#[test]
fn an_overwrite_supersedes_the_increases_queued_for_its_listing() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let shop = seller.shop("corner", &["A"]).await;
        world.faults(|f| (f.throttle, f.retry_after_s) = (1.0, 60.0));
        seller.purchase("A", 5).await;
        world.a_moment().await;
        // A new process does not know that the store has asked for a pause, so only the increase waits.
        world.stops().await;
        world.all_is_well();
        world.starts();
        seller.sync(RunFilter::default()).await;
        world.a_moment().await;
        assert_eq!(world.received(&shop), [set("A", 5)]);
        assert_eq!(seller.lines().await, [increase(5, Superseded), overwrite(5, Confirmed)]);
    });
}

#[test]
fn increases_contained_in_a_throttled_overwrite_are_in_its_next_target() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let shop = seller.shop("corner", &["A"]).await;
        world.faults(|f| f.down = true);
        seller.purchase("A", 5).await;
        seller.sync(RunFilter::default()).await;
        world.faults(|f| (f.down, f.throttle) = (false, 1.0));
        world.sleep(minutes(2)).await;
        seller.purchase("A", 2).await;
        seller.sale("A", 1).await;
        world.all_is_well();
        world.sleep(minutes(10)).await;
        assert_eq!(world.received(&shop).last(), Some(&set("A", 6)), "{:?}", world.received(&shop));
    });
}

#[test]
fn an_overwrite_waits_while_an_increase_for_its_listing_is_in_flight_or_uncertain() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let shop = seller.shop_on(platform_that::only_adds(), "corner", &["A", "B"]).await;
        world.loses_answers();
        seller.purchase("A", 5).await;
        world.sleep(ms(100)).await;
        world.all_is_well();
        seller.sync(RunFilter::default()).await;
        world.sleep(seconds(5)).await;
        assert_eq!(world.received(&shop), [add("A", 5), set("B", 0)], "A's overwrite waits for the settle time");
        world.sleep(seconds(10)).await;
        assert_eq!(world.received(&shop), [add("A", 5), set("B", 0), set("A", 5)]);
    });
}

#[test]
fn an_event_recorded_while_an_overwrite_is_claimed_is_counted_exactly_once() {
    story(async |world| {
        for delay in 0..12 {
            let seller = world.seller(incremental).await;
            let shop = seller.shop("corner", &["A"]).await;
            seller.purchase("A", 100).await;
            world.a_moment().await;
            world.faults(|f| f.latency_ms = 3);
            tokio::join!(seller.sync(RunFilter::default()), async {
                for _ in 0..delay {
                    tokio::task::yield_now().await;
                }
                world.sleep(ms(delay / 2)).await;
                seller.purchase("A", 7).await;
            });
            world.a_moment().await;
            assert_eq!(world.shown(&shop, "A"), 107, "{:?}", world.received(&shop));
        }
    });
}

#[test]
fn a_throttled_push_waits_as_long_as_the_platform_asks() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let shop = seller.shop("corner", &["A"]).await;
        world.faults(|f| (f.throttle, f.retry_after_s) = (1.0, 120.0));
        seller.purchase("A", 5).await;
        world.a_moment().await;
        assert_eq!(seller.lines().await, [increase(5, Retrying)]);
        world.all_is_well();
        world.sleep(seconds(110)).await;
        assert_eq!(world.platform.stats().calls, 1);
        world.sleep(seconds(15)).await;
        assert_eq!(world.received(&shop), [add("A", 5)]);
    });
}

#[test]
fn a_batch_that_fails_because_of_one_item_is_split_until_that_item_is_on_its_own() {
    story(async |world| {
        let seller = world.seller(off).await;
        let skus: Vec<String> = (0..50).map(|n| format!("S{n:02}")).collect();
        let skus: Vec<&str> = skus.iter().map(String::as_str).collect();
        let shop = seller.shop("corner", &skus).await;
        world.faults(|f| f.poison_items = vec!["S17".into()]);
        let run = seller.sync(RunFilter::default()).await;
        world.sleep(minutes(1)).await;
        let run = seller.run(&run).await;
        assert_eq!((run.done, run.failed), (49, 1));
        let rejected: Vec<_> = seller.pushes().await.into_iter().filter(|p| p.state == Rejected).map(|p| p.external_id).collect();
        assert_eq!(rejected, ["S17"]);
        assert_eq!(world.received(&shop).len(), 49, "nothing is sent twice");
        assert!(world.platform.stats().calls < 20, "{} calls", world.platform.stats().calls);
    });
}

#[test]
fn a_batch_of_reads_that_fails_because_of_one_item_is_also_split() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let shop = seller.shop_on(platform_that::compares_and_sets(), "corner", &["A", "B", "C", "D"]).await;
        world.faults(|f| f.poison_items = vec!["C".into()]);
        seller.pauses(&shop).await;
        for sku in ["A", "B", "C", "D"] {
            seller.purchase(sku, 2).await;
        }
        seller.resumes(&shop).await;
        world.sleep(minutes(1)).await;
        let states: Vec<_> = seller.lines().await.into_iter().map(|(_, _, state)| state).collect();
        assert_eq!(states, [Confirmed, Confirmed, Rejected, Confirmed]);
        assert_eq!(["A", "B", "C", "D"].map(|sku| world.shown(&shop, sku)), [2, 2, 0, 2]);
    });
}

#[test]
fn a_store_that_can_only_be_overwritten_gets_its_target_instead_of_increases() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let platform = serde_json::json!({"abilities": {"adjust": false, "idempotency": false, "read": false}});
        let shop = seller.shop_on(platform, "corner", &["A"]).await;
        seller.purchase("A", 5).await;
        world.a_moment().await;
        seller.purchase("A", 2).await;
        world.a_moment().await;
        assert_eq!(world.received(&shop), [set("A", 5), set("A", 7)]);
    });
}

#[test]
fn on_a_platform_that_can_only_set_an_increase_is_added_to_the_quantity_read() {
    story(async |world| {
        for platform in [platform_that::compares_and_sets, platform_that::only_sets, platform_that::only_sets_but_knows_keys] {
            let seller = world.seller(incremental).await;
            let shop = seller.shop_on(platform(), "corner", &["A"]).await;
            seller.purchase("A", 10).await;
            world.a_moment().await;
            world.sells(&shop, "A", 4);
            seller.purchase("A", 3).await;
            world.a_moment().await;
            assert_eq!(world.received(&shop), [set("A", 10), set("A", 9)], "what the store sold stays sold");
        }
    });
}

#[test]
fn a_sale_between_the_read_and_the_set_is_detected_by_compare_and_set() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let mut platform = platform_that::compares_and_sets();
        platform["rate_limit"] = serde_json::json!({"per_second": 0.2, "burst": 1});
        let shop = seller.shop_on(platform, "corner", &["A"]).await;
        world.platform.set_quantity(&shop.external, "A", 10);
        seller.purchase("A", 5).await;
        world.sleep(seconds(1)).await;
        world.sells(&shop, "A", 2);
        world.sleep(minutes(1)).await;
        assert_eq!(world.shown(&shop, "A"), 13);
        assert_eq!(world.received(&shop), [set("A", 13)]);
    });
}

#[test]
fn each_listing_records_what_its_store_last_showed_and_when() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let shop = seller.shop("corner", &["A"]).await;
        world.platform.set_quantity(&shop.external, "A", 3);
        assert_eq!(seller.listing(&shop, "A").await.shown, None);
        seller.purchase("A", 5).await;
        world.a_moment().await;
        let listing = seller.listing(&shop, "A").await;
        assert_eq!(listing.shown, Some(8), "taken from the answer");
        assert!(world.now() - listing.shown_at.unwrap() <= seconds(2));
    });
}

#[test]
fn a_steady_stream_of_increases_does_not_starve_a_run() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let mut platform = platform_that::takes(1);
        platform["rate_limit"] = serde_json::json!({"per_second": 2, "burst": 1});
        let shop = seller.shop_on(platform, "corner", &["A", "B", "C", "D", "E", "F", "G", "H"]).await;
        let run = seller.sync(RunFilter::default()).await;
        for round in 0..60 {
            for sku in ["A", "B", "C", "D"] {
                seller.purchase(sku, 1).await;
            }
            world.sleep(seconds(1)).await;
            if round == 40 {
                assert!(seller.run(&run).await.finished_at.is_some(), "{:?}", seller.run(&run).await);
            }
        }
        world.sleep(minutes(2)).await;
        assert_eq!(world.shown(&shop, "A"), 60);
    });
}

#[test]
fn a_push_that_waits_for_its_turn_is_queued() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        seller.shop_on(platform_that::allows(0.01, 1), "corner", &["A", "B"]).await;
        seller.purchase("A", 1).await;
        world.sleep(minutes(2)).await;
        world.faults(|f| f.throttle = 1.0);
        seller.purchase("B", 1).await;
        world.stops().await;
        assert_eq!(seller.lines().await, [increase(1, Confirmed), increase(1, Queued)]);
        world.faults(|f| f.throttle = 0.0);
        world.starts();
        world.sleep(minutes(5)).await;
    });
}

#[test]
fn the_last_success_of_a_store_is_that_of_its_newest_confirmed_push() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let shop = seller.shop("corner", &["A"]).await;
        for _ in 0..3 {
            seller.purchase("A", 1).await;
            world.sleep(seconds(5)).await;
            let confirmed = seller.pushes().await.last().unwrap().confirmed_at.unwrap();
            let told = seller.store(&shop).await.last_success_at.unwrap();
            assert!(told <= confirmed + seconds(1) && told >= confirmed - seconds(1), "{told} instead of {confirmed}");
        }
    });
}
