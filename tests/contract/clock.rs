//! The clock is set back, or was wrong before: what waits is delivered within a minute, and nothing is lost or doubled.
use crate::support::*;
use stocktide::db::runs::{RunFilter, RunState};
use stocktide::domain::push::PushState::{Confirmed, Retrying, Superseded, Uncertain};

#[test]
fn what_waits_is_delivered_within_a_minute_after_the_clock_was_set_back() {
    for back in [seconds(1), minutes(1), hours(1), days(1)] {
        story(async |world| {
            let seller = world.seller(incremental).await;
            let shop = seller.shop("corner", &["A"]).await;
            world.faults(|f| (f.throttle, f.retry_after_s) = (1.0, 30.0));
            seller.purchase("A", 5).await;
            world.a_moment().await;
            assert_eq!(seller.lines().await, [increase(5, Retrying)]);
            world.all_is_well();
            world.clock.step(-back);
            world.sleep(minutes(1)).await;
            assert_eq!(world.received(&shop), [add("A", 5)], "{back}");
        });
    }
}

#[test]
fn what_was_written_while_the_clock_was_ahead_is_delivered_within_a_minute_after_it_was_set_right() {
    for ahead in [minutes(1), hours(1), days(1)] {
        story(async |world| {
            let seller = world.seller(incremental).await;
            let shop = seller.shop("corner", &["A", "B"]).await;
            world.clock.step(ahead);
            world.faults(|f| (f.throttle, f.retry_after_s) = (1.0, 30.0));
            seller.purchase("A", 5).await;
            world.a_moment().await;
            world.clock.step(-ahead);
            seller.purchase("A", 2).await;
            seller.sync(RunFilter { skus: Some(vec![stocktide::domain::Sku::parse("B").unwrap()]), ..RunFilter::default() }).await;
            world.all_is_well();
            world.sleep(minutes(1)).await;
            assert_eq!((world.shown(&shop, "A"), world.shown(&shop, "B")), (7, 0), "{ahead}: {:?}", seller.lines().await);
            assert!(seller.pushes().await.iter().all(|push| matches!(push.state, Confirmed | Superseded)), "{ahead}");
        });
    }
}

#[test]
fn an_unknown_outcome_settles_anew_after_the_clock_was_set_back() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let shop = seller.shop_on(platform_that::only_adds(), "corner", &["A", "B"]).await;
        world.faults(|f| (f.late, f.late_ms) = (1.0, 8_000));
        seller.purchase("A", 5).await;
        world.sleep(ms(100)).await;
        world.loses_requests();
        seller.purchase("B", 3).await;
        world.sleep(ms(100)).await;
        world.all_is_well();
        world.clock.step(-hours(1));
        world.sleep(seconds(9)).await;
        assert_eq!(seller.lines().await, [increase(5, Uncertain), increase(3, Uncertain)]);
        world.sleep(seconds(51)).await;
        assert_eq!(seller.lines().await, [increase(5, Confirmed), increase(3, Confirmed)]);
        assert_eq!((world.shown(&shop, "A"), world.shown(&shop, "B")), (5, 3), "{:?}", world.received(&shop));
    });
}

#[test]
fn a_restart_with_the_clock_set_back_delivers_what_waited_before() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let shop = seller.shop("corner", &["A"]).await;
        world.faults(|f| f.down = true);
        seller.purchase("A", 5).await;
        world.sleep(minutes(10)).await;
        world.crashes().await;
        world.all_is_well();
        world.clock.step(-days(1));
        world.starts();
        world.sleep(minutes(1)).await;
        assert_eq!(world.received(&shop), [add("A", 5)]);
    });
}

#[test]
fn a_listing_that_settles_is_sent_its_next_increase_within_a_minute_after_the_clock_was_set_back() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let shop = seller.shop_on(platform_that::compares_and_sets(), "corner", &["A"]).await;
        world.loses_answers();
        seller.purchase("A", 5).await;
        world.sleep(ms(300)).await;
        world.all_is_well();
        world.sleep(seconds(2)).await;
        assert_eq!(seller.lines().await, [increase(5, Confirmed)]);
        assert!(seller.listing(&shop, "A").await.shown == Some(5));
        world.clock.step(-hours(1));
        seller.purchase("A", 2).await;
        world.sleep(minutes(1)).await;
        assert_eq!(world.shown(&shop, "A"), 7, "{:?}", seller.lines().await);
    });
}

#[test]
fn an_open_circuit_is_probed_within_a_minute_after_the_clock_was_set_back() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let skus = ["A", "B", "C", "D", "E", "F", "G", "H", "I", "J"];
        let shop = seller.shop_on(platform_that::takes(1), "corner", &skus).await;
        world.faults(|f| f.down = true);
        for sku in skus {
            seller.purchase(sku, 1).await;
        }
        world.sleep(minutes(30)).await;
        world.all_is_well();
        world.clock.step(-hours(3));
        world.sleep(minutes(1)).await;
        assert!(skus.iter().all(|sku| world.shown(&shop, sku) == 1), "{:?}", world.received(&shop));
    });
}

#[test]
fn a_key_whose_age_is_unknown_because_the_clock_was_set_back_is_not_relied_upon() {
    story_of_days(START, async |world| {
        let seller = world.seller(incremental).await;
        let shop = seller.shop("corner", &["A"]).await;
        world.loses_answers();
        seller.purchase("A", 5).await;
        world.sleep(ms(100)).await;
        world.all_is_well();
        // The platform forgets the key during the outage.
        world.faults(|f| (f.down, f.idempotency) = (true, false));
        world.sleep(hours(2)).await;
        world.clock.step(-days(1));
        world.sleep(hours(23)).await;
        world.faults(|f| f.down = false);
        world.sleep(hours(1)).await;
        assert_eq!(world.shown(&shop, "A"), 5, "{:?}", world.received(&shop));
    });
}

#[test]
fn a_key_is_as_old_as_its_call_even_where_ids_are_ahead_because_the_clock_was_set_back_before() {
    story_of_days(START, async |world| {
        let seller = world.seller(incremental).await;
        let shop = seller.shop("corner", &["A", "B"]).await;
        // Ids never go back in time: those of the next day are a day ahead.
        world.clock.step(days(1));
        seller.purchase("B", 1).await;
        world.a_moment().await;
        world.clock.step(-days(1));
        world.loses_answers();
        seller.purchase("A", 5).await;
        world.sleep(ms(100)).await;
        world.crashes().await;
        world.all_is_well();
        world.faults(|f| f.idempotency = false);
        world.sleep(hours(30)).await;
        world.starts();
        world.sleep(hours(1)).await;
        assert_eq!(world.shown(&shop, "A"), 5, "{:?}", world.received(&shop));
    });
}

#[test]
fn a_daily_run_that_counted_as_missed_while_the_clock_was_ahead_takes_place() {
    story_of_days(START, async |world| {
        let seller = world.seller(daily_at("03:00", chrono_tz::UTC)).await;
        let shop = seller.shop("corner", &["A"]).await;
        seller.purchase("A", 5).await;
        world.clock.step(days(1));
        world.sleep(minutes(20)).await;
        assert_eq!(seller.dates(&shop).await, [("2026-03-03".to_owned(), RunState::Missed)]);
        world.clock.step(-days(1));
        world.sleep_until("2026-03-03T03:10:00Z").await;
        assert_eq!(seller.dates(&shop).await, [("2026-03-03".to_owned(), RunState::Finished)]);
        assert_eq!(world.shown(&shop, "A"), 5);
    });
}

#[test]
fn a_date_that_comes_again_after_the_clock_was_set_back_has_its_run_although_a_later_one_has_had_it() {
    story_of_days("2026-03-28T20:00:00Z", async |world| {
        let seller = world.seller(daily_at("02:30", chrono_tz::Australia::Lord_Howe)).await;
        let shop = seller.shop("corner", &["A"]).await;
        world.sleep_until("2026-03-29T15:40:00Z").await;
        assert_eq!(seller.dates(&shop).await, [("2026-03-30".to_owned(), RunState::Finished)]);
        seller.settings(|settings| settings.timezone = chrono_tz::Europe::Berlin).await;
        world.clock.step(-hours(20));
        world.sleep(days(2)).await;
        let dates: Vec<String> = seller.dates(&shop).await.into_iter().map(|(date, _)| date).collect();
        assert_eq!(dates, ["2026-03-29", "2026-03-30"]);
        world.sleep(days(1)).await;
        assert_eq!(seller.dates(&shop).await.last().unwrap(), &("2026-03-31".to_owned(), RunState::Finished));
    });
}

#[test]
fn a_schedule_saved_while_the_clock_was_ahead_counts_from_when_it_was_set_right() {
    story_of_days(START, async |world| {
        world.clock.step(days(1));
        let seller = world.seller(daily_at("03:00", chrono_tz::UTC)).await;
        let shop = seller.shop("corner", &["A"]).await;
        seller.purchase("A", 5).await;
        world.sleep(minutes(20)).await;
        world.clock.step(-days(1));
        world.sleep_until("2026-03-03T03:10:00Z").await;
        assert_eq!(seller.dates(&shop).await, [("2026-03-03".to_owned(), RunState::Finished)]);
        assert_eq!(world.shown(&shop, "A"), 5);
    });
}
