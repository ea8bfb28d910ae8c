//! Delivery: what happens to pushes between their birth and their end, as long as their outcomes are known.
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
fn at_most_one_push_per_listing_is_in_flight_and_their_order_is_kept() {
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
fn an_overwrite_takes_the_place_of_the_increases_queued_for_its_listing() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let shop = seller.shop("corner", &["A"]).await;
        seller.pauses(&shop).await;
        seller.purchase("A", 5).await;
        seller.sync(RunFilter::default()).await;
        world.a_moment().await;
        // The overwrite is claimed first, as its turn may come.
        let id = shop.id;
        seller
            .db()
            .write(move |t| {
                for push in t.list_pushes(&Default::default(), None, 10)? {
                    assert_eq!(push.state(), Held);
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
fn an_overwrite_waits_while_an_increase_of_its_listing_is_in_flight_or_uncertain() {
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
fn an_event_that_comes_as_an_overwrite_is_claimed_is_in_its_target_or_behind_it_never_both_or_neither() {
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
fn a_throttled_push_waits_as_long_as_the_platform_says() {
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
fn retries_back_off_and_have_no_end_by_count() {
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
        let an_hour = (world.platform.stats().calls - early) / 20;
        assert!((12..60).contains(&an_hour), "every five minutes at most, on average half of that: {an_hour} an hour");
        world.all_is_well();
        world.sleep(minutes(10)).await;
        assert_eq!(world.received(&shop), [add("A", 5)]);
    });
}

#[test]
fn an_increase_during_an_outage_is_delivered_once_after_it() {
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
fn after_a_day_of_failing_it_is_rejected_and_its_listing_gets_one_overwrite_when_the_store_works_again() {
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
        assert!(push.reason.clone().unwrap().contains("could not be reached"), "with the last reason: {push:?}");
        world.all_is_well();
        world.sleep(hours(1)).await;
        assert_eq!(world.received(&shop), [set("A", 5)]);
        assert!(!seller.listing(&shop, "A").await.marked);
        seller.retries(&[push.id]).await;
        world.sleep(minutes(1)).await;
        assert_eq!(world.received(&shop), [set("A", 5)], "the overwrite contains it");
    });
}

#[test]
fn listings_given_up_during_an_outage_of_days_are_all_healed_after_it() {
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
fn a_batch_that_fails_because_of_one_item_is_split_until_the_bad_item_stands_alone() {
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
        assert_eq!(world.received(&shop).len(), 49, "and nothing twice");
        assert!(world.platform.stats().calls < 20, "{} calls", world.platform.stats().calls);
    });
}

#[test]
fn a_batch_of_reads_that_fails_because_of_one_item_is_split_too() {
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
fn refused_credentials_hold_a_stores_pushes_and_they_flow_again_merged_when_the_credentials_work() {
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
        assert_eq!(world.received(&other), [add("A", 5), add("A", 2), add("A", 1)], "another store is not concerned");
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
fn refused_credentials_are_tried_again_now_and_then_without_anybody_asking() {
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
fn nothing_of_a_store_with_refused_credentials_is_dropped_however_long_it_takes() {
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
fn what_was_on_its_way_when_the_credentials_were_refused_merges_with_what_came_behind_it() {
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
fn a_paused_store_holds_what_waits_and_resumes_it_merged() {
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
fn held_pushes_of_a_paused_store_stay_held_when_they_are_retried() {
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
fn what_comes_back_not_applied_to_a_store_paused_meanwhile_is_held() {
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
        let an_hour = (world.platform.stats().calls - first) / 2;
        assert!((8..=13).contains(&an_hour), "one probe every five minutes, not {an_hour} calls an hour");
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
fn a_platform_that_can_only_set_is_read_then_added_to_then_set() {
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
fn a_sale_between_the_read_and_the_set_is_noticed_by_compare_and_set() {
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
fn for_each_listing_the_service_keeps_what_the_store_showed_last_and_when() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let shop = seller.shop("corner", &["A"]).await;
        world.platform.set_quantity(&shop.external, "A", 3);
        assert_eq!(seller.listing(&shop, "A").await.shown, None);
        seller.purchase("A", 5).await;
        world.a_moment().await;
        let listing = seller.listing(&shop, "A").await;
        assert_eq!(listing.shown, Some(8), "from the answer");
        assert!(world.now() - listing.shown_at.unwrap() <= seconds(2));
    });
}

#[test]
fn unpairing_a_listing_calls_off_what_waits_for_it_and_what_is_on_its_way_is_not_sent_again() {
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
fn pairing_a_listing_with_another_sku_calls_off_what_waits_for_the_first() {
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
fn a_run_whose_listing_lost_its_share_meanwhile_counts_it_as_failed_and_ends() {
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
fn increases_without_end_do_not_starve_a_run() {
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
fn queued_is_the_state_of_a_push_that_waits_for_its_turn() {
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
