//! Frozen windows: pauses of stores that begin and end by the clock, whatever restarts and wherever the clock is set.
use crate::support::*;
use chrono_tz::{Europe, UTC};
use stocktide::db::runs::RunFilter;
use stocktide::db::runs::RunState::{Finished, Missed};
use stocktide::domain::push::PushState::{Confirmed, Held};
use stocktide::service;

#[test]
fn increases_recorded_in_a_window_are_sent_once_merged_after_it() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let shop = seller.shop("corner", &["A"]).await;
        seller.freezes("Sale", "2026-03-02T13:00", "2026-03-02T15:00", &[]).await;
        seller.purchase("A", 1).await;
        world.sleep_until("2026-03-02T13:00:00Z").await;
        assert_eq!(world.received(&shop), [add("A", 1)], "before the window");
        seller.purchase("A", 2).await;
        world.sleep_until("2026-03-02T14:59:58Z").await;
        seller.purchase("A", 3).await;
        assert_eq!(seller.lines().await, [increase(1, Confirmed), increase(5, Held)]);
        world.sleep(ms(1_900)).await;
        assert_eq!(world.received(&shop), [add("A", 1)], "in the window");
        world.a_moment().await;
        assert_eq!(world.received(&shop), [add("A", 1), add("A", 5)]);
        seller.purchase("A", 4).await;
        world.a_moment().await;
        assert_eq!(world.received(&shop), [add("A", 1), add("A", 5), add("A", 4)]);
    });
}

#[test]
fn what_waits_as_a_window_begins_is_not_sent_in_it() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let shop = seller.shop("corner", &["A"]).await;
        seller.freezes("Sale", "2026-03-02T13:00", "2026-03-02T15:00", &[]).await;
        world.sleep_until("2026-03-02T12:59:40Z").await;
        world.faults(|f| (f.throttle, f.retry_after_s) = (1.0, 60.0));
        seller.purchase("A", 1).await;
        world.sleep(seconds(10)).await;
        world.all_is_well();
        world.sleep_until("2026-03-02T14:00:00Z").await;
        seller.purchase("A", 1).await;
        world.sleep_until("2026-03-02T14:59:59Z").await;
        assert_eq!(world.received(&shop), []);
        world.a_moment().await;
        world.a_moment().await;
        assert_eq!(world.received(&shop), [add("A", 2)]);
    });
}

#[test]
fn of_windows_that_overlap_and_a_pause_the_last_to_end_counts() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let shop = seller.shop("corner", &["A"]).await;
        seller.freezes("First", "2026-03-02T13:00", "2026-03-02T15:00", &[]).await;
        seller.freezes("Second", "2026-03-02T14:00", "2026-03-02T16:00", &[]).await;
        world.sleep_until("2026-03-02T13:30:00Z").await;
        seller.purchase("A", 5).await;
        world.sleep_until("2026-03-02T15:59:59Z").await;
        assert_eq!(world.received(&shop), []);
        seller.pauses(&shop).await;
        world.sleep_until("2026-03-02T17:00:00Z").await;
        assert_eq!(world.received(&shop), []);
        seller.resumes(&shop).await;
        world.a_moment().await;
        assert_eq!(world.received(&shop), [add("A", 5)]);
        seller.freezes("Third", "2026-03-02T18:00", "2026-03-02T20:00", &[]).await;
        world.sleep_until("2026-03-02T18:30:00Z").await;
        seller.pauses(&shop).await;
        seller.purchase("A", 1).await;
        seller.resumes(&shop).await;
        world.sleep_until("2026-03-02T19:59:59Z").await;
        assert_eq!(world.received(&shop), [add("A", 5)], "resuming a store does not end its window");
        world.a_moment().await;
        assert_eq!(world.received(&shop), [add("A", 5), add("A", 1)]);
    });
}

#[test]
fn a_window_of_chosen_stores_leaves_the_others_alone() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let (corner, market) = (seller.shop("corner", &["A"]).await, seller.shop("market", &["A"]).await);
        let window = seller.freezes("Sale", "2026-03-02T11:00", "2026-03-02T15:00", &[&corner]).await;
        assert!(window.active);
        seller.purchase("A", 5).await;
        world.a_moment().await;
        assert_eq!((world.received(&corner), world.received(&market)), (vec![], vec![add("A", 5)]));
        seller.thaws(window.id).await;
        world.a_moment().await;
        assert_eq!(world.received(&corner), [add("A", 5)], "a window that is deleted ends");
    });
}

#[test]
fn a_window_lasts_while_the_service_restarts_and_ends_while_it_is_down() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let shop = seller.shop("corner", &["A"]).await;
        seller.freezes("Sale", "2026-03-02T13:00", "2026-03-02T15:00", &[]).await;
        seller.freezes("Later", "2026-03-02T16:00", "2026-03-02T17:00", &[]).await;
        world.sleep_until("2026-03-02T13:30:00Z").await;
        seller.purchase("A", 5).await;
        world.crashes().await;
        world.starts();
        world.sleep_until("2026-03-02T14:59:59Z").await;
        assert_eq!(world.received(&shop), []);
        world.a_moment().await;
        world.a_moment().await;
        assert_eq!(world.received(&shop), [add("A", 5)]);
        world.sleep_until("2026-03-02T16:30:00Z").await;
        seller.purchase("A", 1).await;
        world.stops().await;
        world.sleep_until("2026-03-02T18:00:00Z").await;
        world.starts();
        world.sleep(seconds(10)).await;
        assert_eq!(world.received(&shop), [add("A", 5), add("A", 1)]);
    });
}

#[test]
fn a_window_that_the_clock_is_set_back_into_is_on_again_and_ends_again() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let shop = seller.shop("corner", &["A"]).await;
        seller.freezes("Sale", "2026-03-02T13:00", "2026-03-02T15:00", &[]).await;
        world.sleep_until("2026-03-02T13:30:00Z").await;
        seller.purchase("A", 5).await;
        world.sleep_until("2026-03-02T15:30:00Z").await;
        assert_eq!(world.received(&shop), [add("A", 5)]);
        world.clock.step(-hours(1));
        seller.purchase("A", 1).await;
        world.sleep(minutes(29)).await;
        assert_eq!(world.received(&shop), [add("A", 5)]);
        world.sleep(minutes(2)).await;
        assert_eq!(world.received(&shop), [add("A", 5), add("A", 1)]);
    });
}

#[test]
fn what_a_window_holds_is_sent_after_it_at_the_latest_if_the_clock_is_set_back_to_before_it() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let shop = seller.shop("corner", &["A"]).await;
        seller.freezes("Sale", "2026-03-02T13:00", "2026-03-02T15:00", &[]).await;
        world.sleep_until("2026-03-02T13:30:00Z").await;
        seller.purchase("A", 5).await;
        world.a_moment().await;
        world.clock.step(-hours(1));
        world.sleep_until("2026-03-02T15:00:05Z").await;
        assert_eq!(world.received(&shop), [add("A", 5)]);
    });
}

#[test]
fn a_daily_run_that_falls_into_a_window_is_skipped_and_says_so() {
    story_of_days(START, async |world| {
        let seller = world.seller(daily_at("03:30", UTC)).await;
        let shop = seller.shop("corner", &["A"]).await;
        seller.purchase("A", 5).await;
        seller.freezes("Sale", "2026-03-03T03:00", "2026-03-03T05:00", &[]).await;
        world.sleep_until("2026-03-03T12:00:00Z").await;
        assert_eq!(seller.dates(&shop).await, [("2026-03-03".to_owned(), Missed)]);
        assert!(seller.runs().await[0].reason.as_deref().unwrap().contains("“Sale”"), "{:?}", seller.runs().await);
        assert_eq!(world.received(&shop), [], "not even after the window");
        world.sleep_until("2026-03-04T12:00:00Z").await;
        assert_eq!(seller.dates(&shop).await, [("2026-03-03".to_owned(), Missed), ("2026-03-04".to_owned(), Finished)]);
        assert_eq!(world.received(&shop), [set("A", 5)]);
    });
}

#[test]
fn a_manual_sync_of_a_store_in_a_window_is_refused_by_the_windows_name() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let (corner, market) = (seller.shop("corner", &["A"]).await, seller.shop("market", &["A"]).await);
        seller.freezes("Sale", "2026-03-02T11:00", "2026-03-02T15:00", &[&corner]).await;
        let of = |shops: &[&Shop]| RunFilter { store_ids: Some(shops.iter().map(|shop| shop.id).collect()), ..RunFilter::default() };
        for filter in [RunFilter::default(), of(&[&corner]), of(&[&market, &corner])] {
            let refused = service::syncs::start(&world.service(), &seller.caller(), filter).await.unwrap_err().to_string();
            assert!(refused.contains("corner is in the frozen window “Sale”") && refused.contains("15:00:00Z"), "{refused}");
        }
        seller.sync(of(&[&market])).await;
        world.sleep_until("2026-03-02T15:00:00Z").await;
        seller.sync(RunFilter::default()).await;
        assert_eq!(seller.runs().await.len(), 2);
        world.a_moment().await;
    });
}

#[test]
fn windows_begin_and_end_by_the_sellers_clock_also_where_it_changes() {
    story_from("2026-03-28T22:00:00Z", async |world| {
        let seller = world.seller(incremental).await;
        seller.settings(|settings| settings.timezone = Europe::Berlin).await;
        let shop = seller.shop("corner", &["A"]).await;
        // 02:30 is skipped, so the window ends as 02:00 becomes 03:00.
        seller.freezes("Night", "2026-03-29T01:30", "2026-03-29T02:30", &[]).await;
        world.sleep_until("2026-03-29T00:29:00Z").await;
        seller.purchase("A", 1).await;
        world.sleep_until("2026-03-29T00:30:01Z").await;
        seller.purchase("A", 2).await;
        world.sleep_until("2026-03-29T00:59:59Z").await;
        assert_eq!(world.received(&shop), [add("A", 1)]);
        world.a_moment().await;
        world.a_moment().await;
        assert_eq!(world.received(&shop), [add("A", 1), add("A", 2)]);
    });
    story_from("2026-10-24T22:00:00Z", async |world| {
        let seller = world.seller(incremental).await;
        seller.settings(|settings| settings.timezone = Europe::Berlin).await;
        let shop = seller.shop("corner", &["A"]).await;
        // The hour from 02:00 is repeated: the window lasts for 90 minutes.
        seller.freezes("Night", "2026-10-25T02:00", "2026-10-25T02:30", &[]).await;
        world.sleep_until("2026-10-25T00:45:00Z").await;
        seller.purchase("A", 5).await;
        world.sleep_until("2026-10-25T01:29:59Z").await;
        assert_eq!(world.received(&shop), []);
        world.a_moment().await;
        world.a_moment().await;
        assert_eq!(world.received(&shop), [add("A", 5)]);
    });
}

#[test]
fn windows_move_with_the_sellers_time_zone() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let shop = seller.shop("corner", &["A"]).await;
        seller.freezes("Sale", "2026-03-02T13:00", "2026-03-02T15:00", &[]).await;
        seller.settings(|settings| settings.timezone = Europe::Berlin).await;
        seller.purchase("A", 5).await;
        world.sleep_until("2026-03-02T13:59:59Z").await;
        assert_eq!(world.received(&shop), [], "it is 13:00 in Berlin since noon");
        world.a_moment().await;
        world.a_moment().await;
        assert_eq!(world.received(&shop), [add("A", 5)]);
    });
}

#[test]
fn a_store_added_during_a_window_is_frozen_too_and_its_initial_overwrite_comes_after_it() {
    story(async |world| {
        let seller = world.seller(off).await;
        seller.freezes("Sale", "2026-03-02T11:00", "2026-03-02T15:00", &[]).await;
        let shop = seller.shop("corner", &["A"]).await;
        seller.purchase("A", 5).await;
        seller.switches_on(incremental).await;
        world.sleep_until("2026-03-02T14:59:59Z").await;
        assert_eq!(world.received(&shop), []);
        world.a_moment().await;
        world.a_moment().await;
        assert_eq!(world.received(&shop), [set("A", 5)]);
    });
}
