//! Delivery: the order in which pushes are sent, and what becomes of them while their outcomes are known.
use crate::support::*;
use stocktide::db::runs::RunFilter;
use stocktide::domain::push::PushKind;
use stocktide::domain::push::PushState::{Confirmed, Held, Queued, Rejected, Retrying, Superseded};
use stocktide::domain::settings::Rule;

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
        seller.pauses(&shop).await;
        seller.purchase("A", 5).await;
        seller.sync(RunFilter::default()).await;
        world.a_moment().await;
        // Only the overwrite is retried, so that it is claimed before the increase.
        let id = shop.id;
        seller
            .db()
            .write(move |t| {
                for push in t.list_pushes(&Default::default(), None, 10)? {
                    assert_eq!(push.state, Held);
                }
                let mut store = t.store(id)?;
                store.paused = false;
                t.save_store(&store)
            })
            .await
            .unwrap();
        let overwrite_id = seller.pushes().await.into_iter().find(|p| p.kind == PushKind::Overwrite).unwrap().id;
        seller.retries(&[overwrite_id]).await;
        world.a_moment().await;
        assert_eq!(world.received(&shop), [set("A", 5)]);
        assert_eq!(seller.lines().await, [increase(5, Superseded), overwrite(5, Confirmed)]);
        seller.releases(&shop).await;
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
fn refused_credentials_hold_a_stores_pushes_which_are_sent_merged_once_the_credentials_work() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let (shop, other) = (seller.shop("corner", &["A"]).await, seller.shop("market", &["A"]).await);
        world.faults(|f| f.unauthorized_stores = vec![shop.external.clone()]);
        for quantity in [5, 2, 1] {
            seller.purchase("A", quantity).await;
            world.a_moment().await;
        }
        let store = seller.store(&shop).await;
        assert!(store.needs_reauthorisation && store.problem.is_some());
        assert_eq!(world.received(&other), [add("A", 5), add("A", 2), add("A", 1)], "another store is not affected");
        let held: Vec<_> = seller.pushes().await.into_iter().filter(|push| push.store_id == shop.id).collect();
        assert!(held.iter().all(|push| push.state == Held && push.next_step.is_some()), "{held:?}");
        world.all_is_well();
        seller.releases(&shop).await;
        world.a_moment().await;
        assert_eq!(world.received(&shop), [add("A", 8)]);
        assert!(!seller.store(&shop).await.needs_reauthorisation);
    });
}

#[test]
fn refused_credentials_are_retried_automatically_from_time_to_time() {
    story_of_days(START, async |world| {
        let seller = world.seller(incremental).await;
        let shop = seller.shop("corner", &["A"]).await;
        world.faults(|f| f.unauthorized = true);
        seller.purchase("A", 5).await;
        world.sleep(hours(10)).await;
        let calls = world.platform.stats().calls;
        assert!((30..60).contains(&calls), "{calls} calls in ten hours");
        world.all_is_well();
        world.sleep(minutes(16)).await;
        assert_eq!(world.received(&shop), [add("A", 5)]);
    });
}

#[test]
fn no_push_is_dropped_however_long_credentials_are_refused() {
    story_of_days(START, async |world| {
        let seller = world.seller(incremental).await;
        let shop = seller.shop("corner", &["A"]).await;
        world.faults(|f| f.unauthorized = true);
        seller.purchase("A", 5).await;
        world.sleep(days(3)).await;
        seller.purchase("A", 2).await;
        world.sleep(hours(1)).await;
        world.all_is_well();
        world.sleep(minutes(16)).await;
        assert_eq!(world.received(&shop), [add("A", 7)]);
    });
}

#[test]
fn an_increase_in_flight_when_credentials_are_refused_merges_with_the_next_one() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let shop = seller.shop("corner", &["A"]).await;
        world.faults(|f| (f.unauthorized, f.latency_ms) = (true, 1_000));
        seller.purchase("A", 5).await;
        world.sleep(ms(500)).await;
        seller.purchase("A", 2).await;
        world.sleep(seconds(3)).await;
        assert_eq!(seller.pushes().await.iter().filter(|push| push.state == Held).count(), 1, "{:?}", seller.lines().await);
        world.all_is_well();
        seller.releases(&shop).await;
        world.a_moment().await;
        assert_eq!(world.received(&shop), [add("A", 7)]);
    });
}

#[test]
fn a_paused_store_holds_pushes_and_sends_them_merged_when_resumed() {
    story_of_days(START, async |world| {
        let seller = world.seller(incremental).await;
        let shop = seller.shop("corner", &["A"]).await;
        seller.pauses(&shop).await;
        seller.purchase("A", 5).await;
        world.sleep(hours(30)).await;
        seller.purchase("A", 2).await;
        world.a_moment().await;
        assert_eq!(seller.lines().await, [increase(7, Held)]);
        assert_eq!(world.platform.stats().calls, 0);
        seller.resumes(&shop).await;
        world.a_moment().await;
        assert_eq!(world.received(&shop), [add("A", 7)]);
    });
}

#[test]
fn held_pushes_of_a_paused_store_stay_held_when_retried() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let shop = seller.shop("corner", &["A"]).await;
        seller.pauses(&shop).await;
        seller.purchase("A", 5).await;
        let id = seller.pushes().await[0].id;
        seller.retries(&[id]).await;
        world.a_moment().await;
        assert_eq!((seller.lines().await, world.received(&shop)), (vec![increase(5, Held)], vec![]));
        seller.resumes(&shop).await;
        world.a_moment().await;
        assert_eq!(world.received(&shop), [add("A", 5)]);
    });
}

#[test]
fn a_throttled_push_is_held_if_its_store_was_paused_meanwhile() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let shop = seller.shop("corner", &["A"]).await;
        world.faults(|f| (f.throttle, f.latency_ms) = (1.0, 1_000));
        seller.purchase("A", 5).await;
        world.sleep(ms(500)).await;
        seller.pauses(&shop).await;
        world.sleep(seconds(3)).await;
        assert_eq!(seller.lines().await, [increase(5, Held)]);
        world.all_is_well();
        seller.resumes(&shop).await;
        world.sleep(seconds(5)).await;
        assert_eq!(world.received(&shop), [add("A", 5)]);
    });
}

#[test]
fn daily_runs_of_a_paused_store_do_not_pile_up() {
    story_of_days(START, async |world| {
        let seller = world.seller(daily_at("13:00", chrono_tz::UTC)).await;
        let shop = seller.shop("corner", &["A"]).await;
        seller.pauses(&shop).await;
        world.sleep(days(5)).await;
        seller.resumes(&shop).await;
        world.a_moment().await;
        assert_eq!(world.received(&shop), [set("A", 0)]);
        assert!(seller.runs().await.iter().all(|run| run.finished_at.is_some()));
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
