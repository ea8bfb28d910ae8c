//! Timed full coverage: once per store and local date every listing is overwritten with its target.
use crate::support::*;
use chrono_tz::Asia::Taipei;
use chrono_tz::Europe::Berlin;
use chrono_tz::UTC;
use stocktide::db::runs::RunState::{Finished, Missed};

#[test]
fn every_listing_is_overwritten_with_its_target_at_the_chosen_local_time() {
    story(async |world| {
        let seller = world.seller(daily_at("03:30", Taipei)).await;
        let shop = seller.shop("corner", &["A", "B"]).await;
        seller.purchase("A", 5).await;
        seller.purchase("B", 7).await;
        world.sleep_until("2026-03-02T19:29:59Z").await;
        assert_eq!(world.received(&shop), [], "increases are not pushed, and it is not yet 03:30 in Taipei");
        world.a_moment().await;
        assert_eq!(world.received(&shop), [set("A", 5), set("B", 7)]);
        assert_eq!(seller.dates(&shop).await, [("2026-03-03".to_owned(), Finished)]);
    });
}

#[test]
fn there_is_one_run_per_store_and_local_date() {
    story_of_days(START, async |world| {
        let seller = world.seller(daily_at("03:30", UTC)).await;
        let shops = [seller.shop("corner", &["A"]).await, seller.shop("market", &["A"]).await];
        world.sleep(days(3)).await;
        for shop in &shops {
            let dates: Vec<_> = seller.dates(shop).await.into_iter().map(|(date, _)| date).collect();
            assert_eq!(dates, ["2026-03-03", "2026-03-04", "2026-03-05"]);
            assert_eq!(world.received(shop).len(), 3);
        }
    });
}

#[test]
fn a_run_at_a_local_time_that_daylight_saving_skips_starts_at_the_first_instant_after_it() {
    story_of_days("2026-03-28T12:00:00Z", async |world| {
        let seller = world.seller(daily_at("02:30", Berlin)).await;
        let shop = seller.shop("corner", &["A"]).await;
        world.sleep_until("2026-03-29T00:59:59Z").await;
        assert_eq!(seller.dates(&shop).await, []);
        world.sleep_until("2026-03-29T01:00:02Z").await;
        assert_eq!(seller.dates(&shop).await, [("2026-03-29".to_owned(), Finished)], "02:30 did not exist, 03:00 did");
        world.sleep_until("2026-03-30T00:29:00Z").await;
        assert_eq!(seller.dates(&shop).await.len(), 1);
        world.sleep_until("2026-03-30T00:31:00Z").await;
        assert_eq!(seller.dates(&shop).await.len(), 2, "the next day it is at 02:30 again");
    });
}

#[test]
fn a_run_at_a_local_time_that_occurs_twice_starts_only_at_the_first() {
    story_of_days("2026-10-24T12:00:00Z", async |world| {
        let seller = world.seller(daily_at("02:30", Berlin)).await;
        let shop = seller.shop("corner", &["A"]).await;
        world.sleep_until("2026-10-25T00:30:02Z").await;
        assert_eq!(seller.dates(&shop).await, [("2026-10-25".to_owned(), Finished)], "the first 02:30");
        world.sleep_until("2026-10-25T23:00:00Z").await;
        assert_eq!(world.received(&shop), [set("A", 0)], "nothing is sent at the second");
    });
}

/// Starts a story one second before 13:00, the daily time that the store's actor has read and will not read again until
/// afterwards.
fn one_second_before_the_daily_time(test: impl AsyncFn(&World, &Seller<'_>, &Shop)) {
    story_with(
        START,
        |settings| settings.poll_every = std::time::Duration::from_secs(7),
        async |world| {
            let seller = world.seller(daily_at("13:00", UTC)).await;
            let shop = seller.shop("corner", &["A"]).await;
            world.sleep_until("2026-03-02T12:59:55Z").await;
            seller.settings(|_| ()).await;
            world.sleep_until("2026-03-02T12:59:59Z").await;
            test(world, &seller, &shop).await;
        },
    );
}

#[test]
fn a_daily_time_changed_elsewhere_at_the_last_moment_is_respected() {
    one_second_before_the_daily_time(async |world, seller, shop| {
        seller.settings_saved_elsewhere(daily_at("14:10", UTC)).await;
        world.sleep_until("2026-03-02T14:09:59Z").await;
        assert_eq!(seller.dates(shop).await, []);
        world.sleep_until("2026-03-02T14:10:10Z").await;
        assert_eq!(seller.dates(shop).await, [("2026-03-02".to_owned(), Finished)]);
    });
}

#[test]
fn a_date_whose_run_was_prevented_at_the_last_moment_can_have_one_later() {
    one_second_before_the_daily_time(async |world, seller, shop| {
        seller.settings_saved_elsewhere(incremental).await;
        world.sleep_until("2026-03-02T13:00:02Z").await;
        assert_eq!(seller.dates(shop).await, []);
        seller.settings(daily_at("13:01", UTC)).await;
        world.sleep_until("2026-03-02T13:01:10Z").await;
        assert_eq!(seller.dates(shop).await, [("2026-03-02".to_owned(), Finished)]);
    });
}

#[test]
fn no_date_has_two_runs_despite_crashes_around_the_daily_time() {
    story(async |world| {
        let seller = world.seller(daily_at("13:00", UTC)).await;
        let shop = seller.shop("corner", &["A"]).await;
        for minute in 59..64 {
            world.sleep_until(&format!("2026-03-02T{}:{:02}:00Z", 12 + minute / 60, minute % 60)).await;
            world.crashes().await;
            world.starts();
        }
        world.sleep(hours(3)).await;
        assert_eq!(seller.dates(&shop).await, [("2026-03-02".to_owned(), Finished)]);
        assert_eq!(world.received(&shop), [set("A", 0)]);
    });
}

#[test]
fn no_date_has_two_runs_when_the_clock_steps_back_over_the_daily_time() {
    story_of_days(START, async |world| {
        let seller = world.seller(daily_at("13:00", UTC)).await;
        let shop = seller.shop("corner", &["A"]).await;
        world.sleep(hours(2)).await;
        world.clock.step(-hours(3));
        world.sleep(hours(6)).await;
        assert_eq!(seller.dates(&shop).await, [("2026-03-02".to_owned(), Finished)]);
        assert_eq!(world.received(&shop), [set("A", 0)]);
        world.sleep(hours(24)).await;
        assert_eq!(seller.dates(&shop).await.len(), 2, "the next date has its own run");
    });
}

#[test]
fn no_date_is_skipped_when_the_clock_steps_forward_over_the_daily_time() {
    story(async |world| {
        let seller = world.seller(daily_at("13:00", UTC)).await;
        let shop = seller.shop("corner", &["A"]).await;
        world.a_moment().await;
        world.clock.step(hours(2));
        world.sleep(minutes(16)).await;
        assert_eq!(seller.dates(&shop).await, [("2026-03-02".to_owned(), Finished)], "no timer is longer than a quarter of an hour");
    });
}

#[test]
fn targets_are_read_when_their_batch_is_sent_not_when_the_run_starts() {
    story(async |world| {
        let seller = world.seller(daily_at("13:00", UTC)).await;
        let mut platform = platform_that::takes(1);
        platform["rate_limit"] = serde_json::json!({"per_second": 0.1, "burst": 1});
        let shop = seller.shop_on(platform, "corner", &["A", "B", "C"]).await;
        world.sleep_until("2026-03-02T13:00:05Z").await;
        assert_eq!(world.received(&shop), [set("A", 0)], "the run is under way");
        seller.purchase("C", 9).await;
        world.sleep(minutes(1)).await;
        assert_eq!(world.received(&shop), [set("A", 0), set("B", 0), set("C", 9)]);
    });
}

#[test]
fn a_run_missed_while_the_service_was_down_is_caught_up_within_the_window() {
    story(async |world| {
        let seller = world.seller(daily_at("13:00", UTC)).await;
        let shop = seller.shop("corner", &["A"]).await;
        world.a_moment().await;
        world.stops().await;
        world.sleep_until("2026-03-02T16:59:00Z").await;
        world.starts();
        world.a_moment().await;
        assert_eq!(seller.dates(&shop).await, [("2026-03-02".to_owned(), Finished)]);
        assert_eq!(world.received(&shop), [set("A", 0)]);
    });
}

#[test]
fn a_run_missed_for_longer_than_the_window_is_recorded_as_missed() {
    story(async |world| {
        let seller = world.seller(daily_at("13:00", UTC)).await;
        let shop = seller.shop("corner", &["A"]).await;
        world.a_moment().await;
        world.stops().await;
        world.sleep_until("2026-03-02T17:01:00Z").await;
        world.starts();
        world.sleep(hours(1)).await;
        assert_eq!(seller.dates(&shop).await, [("2026-03-02".to_owned(), Missed)]);
        assert_eq!(world.received(&shop), []);
        let reason = seller.runs().await[0].reason.clone().unwrap();
        assert!(reason.contains("catch-up window"), "{reason}");
    });
}

#[test]
fn after_days_of_downtime_the_latest_run_is_caught_up_and_earlier_ones_are_recorded_as_missed() {
    story_of_days(START, async |world| {
        let seller = world.seller(daily_at("13:00", UTC)).await;
        let shop = seller.shop("corner", &["A"]).await;
        world.a_moment().await;
        world.stops().await;
        world.sleep_until("2026-03-05T14:00:00Z").await;
        world.starts();
        world.a_moment().await;
        let states: Vec<_> = seller.dates(&shop).await.into_iter().map(|(_, state)| state).collect();
        assert_eq!(states, [Missed, Missed, Missed, Finished]);
        assert_eq!(world.received(&shop), [set("A", 0)]);
    });
}

#[test]
fn the_seller_chooses_the_catch_up_window() {
    story(async |world| {
        let seller = world.seller(daily_at("13:00", UTC)).await;
        seller.settings(|settings| settings.catch_up_hours = 1).await;
        let shop = seller.shop("corner", &["A"]).await;
        world.a_moment().await;
        world.stops().await;
        world.sleep_until("2026-03-02T14:30:00Z").await;
        world.starts();
        world.a_moment().await;
        assert_eq!(seller.dates(&shop).await, [("2026-03-02".to_owned(), Missed)]);
    });
}

#[test]
fn after_a_restart_a_run_continues_where_it_stopped() {
    story(async |world| {
        let seller = world.seller(daily_at("13:00", UTC)).await;
        let skus: Vec<String> = (0..40).map(|n| format!("S{n:02}")).collect();
        let skus: Vec<&str> = skus.iter().map(String::as_str).collect();
        let mut platform = platform_that::takes(2);
        platform["rate_limit"] = serde_json::json!({"per_second": 1, "burst": 1});
        let shop = seller.shop_on(platform, "corner", &skus).await;
        world.sleep_until("2026-03-02T13:00:08Z").await;
        world.stops().await;
        let run = seller.runs().await.remove(0);
        assert!((10..30).contains(&run.done) && run.finished_at.is_none(), "stopped in the middle: {run:?}");
        world.sleep(minutes(10)).await;
        world.starts();
        world.sleep(minutes(1)).await;
        let run = seller.run(&run).await;
        assert_eq!((run.state, run.total, run.done, run.failed), (Finished, 40, 40, 0));
        assert_eq!(world.received(&shop).len(), 40, "each listing is overwritten once");
    });
}

#[test]
fn a_run_survives_a_crash_halfway_through() {
    story(async |world| {
        let seller = world.seller(daily_at("13:00", UTC)).await;
        let skus: Vec<String> = (0..40).map(|n| format!("S{n:02}")).collect();
        let skus: Vec<&str> = skus.iter().map(String::as_str).collect();
        let mut platform = platform_that::takes(2);
        platform["rate_limit"] = serde_json::json!({"per_second": 1, "burst": 1});
        let shop = seller.shop_on(platform, "corner", &skus).await;
        for sku in &skus {
            seller.purchase(sku, 3).await;
        }
        world.faults(|f| f.latency_ms = 700);
        world.sleep_until("2026-03-02T13:00:08Z").await;
        world.crashes().await;
        world.starts();
        world.sleep(minutes(1)).await;
        let run = seller.runs().await.remove(0);
        assert_eq!((run.state, run.total, run.done, run.failed), (Finished, 40, 40, 0));
        assert!(skus.iter().all(|sku| world.shown(&shop, sku) == 3));
    });
}

#[test]
fn a_run_reports_its_progress_including_failures() {
    story(async |world| {
        let seller = world.seller(daily_at("13:00", UTC)).await;
        let mut platform = platform_that::takes(1);
        platform["rate_limit"] = serde_json::json!({"per_second": 0.1, "burst": 1});
        seller.shop_on(platform, "corner", &["A", "B", "C"]).await;
        world.faults(|f| f.reject_items = vec!["B".into()]);
        world.sleep_until("2026-03-02T13:00:01Z").await;
        let mut seen = Vec::new();
        for _ in 0..3 {
            let run = seller.runs().await.remove(0);
            seen.push((run.done, run.failed, run.total));
            world.sleep(seconds(10)).await;
        }
        assert_eq!(seen, [(1, 0, 3), (1, 1, 3), (2, 1, 3)]);
        assert_eq!(seller.runs().await[0].state, Finished);
    });
}

#[test]
fn three_stores_with_their_own_sales_each_have_one_run_a_day_for_thirty_days() {
    const SKUS: [&str; 3] = ["A", "B", "C"];
    story_of_days("2026-03-10T12:00:00Z", async |world| {
        let seller = world.seller(daily_at("02:30", Berlin)).await;
        let mut shops = Vec::new();
        for name in ["corner", "market", "harbour"] {
            shops.push(seller.shop(name, &SKUS).await);
        }
        for day in 0..30i64 {
            for sku in SKUS {
                seller.purchase(sku, 10 + day % 7).await;
            }
            world.sleep(hours(9)).await;
            for (shop, sku) in shops.iter().zip(SKUS) {
                world.sells(shop, sku, 2);
                seller.sale(sku, 2).await;
            }
            world.sleep(hours(15)).await;
        }
        world.sleep_until("2026-04-09T12:00:00Z").await;
        for shop in &shops {
            let dates = seller.dates(shop).await;
            let expected: Vec<String> =
                (11..=31).map(|d| format!("2026-03-{d}")).chain((1..=9).map(|d| format!("2026-04-{d:02}"))).collect();
            assert_eq!(dates.iter().map(|(date, _)| date).collect::<Vec<_>>(), expected.iter().collect::<Vec<_>>());
            assert!(dates.iter().all(|(_, state)| *state == Finished));
            assert_eq!(world.received(shop).len(), 30 * SKUS.len(), "one overwrite per day and listing");
        }
    });
}
