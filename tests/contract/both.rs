//! Incremental with a daily overwrite: increases are sent as they come, and once a day every listing is overwritten.
use crate::support::*;
use chrono_tz::UTC;
use stocktide::db::runs::RunState::Finished;
use stocktide::domain::frequency::Frequency;
use stocktide::domain::settings::SyncSettings;

fn both(settings: &mut SyncSettings) {
    daily_at("03:30", UTC)(settings);
    settings.frequency = Frequency::IncrementalAndDaily;
}

#[test]
fn an_increase_is_sent_at_once_and_the_daily_overwrite_corrects_what_has_drifted() {
    story_of_days(START, async |world| {
        let seller = world.seller(both).await;
        let shop = seller.shop("corner", &["A"]).await;
        seller.purchase("A", 5).await;
        world.a_moment().await;
        assert_eq!(world.received(&shop), [add("A", 5)]);
        seller.sale("A", 2).await;
        world.a_moment().await;
        assert_eq!(world.received(&shop), [add("A", 5)], "a decrease triggers nothing");
        world.sleep_until("2026-03-03T03:31:00Z").await;
        assert_eq!(world.received(&shop), [add("A", 5), set("A", 3)]);
        assert_eq!(seller.dates(&shop).await, [("2026-03-03".to_owned(), Finished)]);
        seller.purchase("A", 4).await;
        world.a_moment().await;
        assert_eq!(world.received(&shop), [add("A", 5), set("A", 3), add("A", 4)]);
    });
}

#[test]
fn each_half_begins_and_ends_with_the_frequency() {
    story_of_days(START, async |world| {
        let seller = world.seller(daily_at("03:30", UTC)).await;
        let shop = seller.shop("corner", &["A"]).await;
        seller.settings(both).await;
        seller.purchase("A", 5).await;
        world.a_moment().await;
        assert_eq!(world.received(&shop), [add("A", 5)], "increases begin");
        world.sleep_until("2026-03-03T03:31:00Z").await;
        assert_eq!(world.received(&shop), [add("A", 5), set("A", 5)], "the daily runs go on");
        seller.settings(incremental).await;
        world.sleep(days(1)).await;
        assert_eq!(world.received(&shop).len(), 2, "the daily runs end");
        seller.purchase("A", 1).await;
        world.a_moment().await;
        assert_eq!(world.received(&shop).len(), 3, "increases go on");
        seller.settings(both).await;
        seller.settings(daily_at("03:30", UTC)).await;
        seller.purchase("A", 1).await;
        world.sleep(hours(1)).await;
        assert_eq!(world.received(&shop).len(), 3, "increases end");
    });
}
