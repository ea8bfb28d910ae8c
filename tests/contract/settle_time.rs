//! The settle time: a read decides only after it, and requests that are applied late count once or are healed.
use crate::support::*;
use crate::unknown_outcomes::on_every_platform;
use stocktide::db::runs::RunFilter;
use stocktide::domain::push::PushState::{Confirmed, Superseded, Uncertain};

#[test]
fn a_read_does_not_decide_before_the_settle_time_is_over() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let shop = seller.shop_on(platform_that::only_adds(), "corner", &["A"]).await;
        world.loses_requests();
        seller.purchase("A", 5).await;
        world.sleep(ms(100)).await;
        world.all_is_well();
        let calls = world.platform.stats().calls;
        world.sleep(seconds(9)).await;
        assert_eq!((seller.lines().await, world.platform.stats().calls), (vec![increase(5, Uncertain)], calls));
        world.sleep(seconds(2)).await;
        assert_eq!((seller.lines().await, world.received(&shop)), (vec![increase(5, Confirmed)], vec![add("A", 5)]));
    });
}

#[test]
fn pausing_and_resuming_a_store_does_not_shorten_the_settle_time() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let shop = seller.shop_on(platform_that::only_adds(), "corner", &["A"]).await;
        world.faults(|f| (f.late, f.late_ms) = (1.0, 6_000));
        seller.purchase("A", 5).await;
        world.sleep(ms(100)).await;
        world.all_is_well();
        seller.pauses(&shop).await;
        world.sleep(seconds(1)).await;
        seller.resumes(&shop).await;
        world.sleep(minutes(1)).await;
        assert_eq!(world.received(&shop), [add("A", 5)]);
    });
}

#[test]
fn when_a_read_cannot_decide_the_target_is_written_and_the_reason_recorded() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let shop = seller.shop_on(platform_that::only_adds(), "corner", &["A"]).await;
        seller.purchase("A", 10).await;
        world.a_moment().await;
        world.loses_answers();
        seller.purchase("A", 5).await;
        world.sleep(ms(100)).await;
        world.all_is_well();
        world.sells(&shop, "A", 2);
        seller.sale("A", 2).await;
        world.sleep(minutes(1)).await;
        assert_eq!(seller.lines().await, [increase(10, Confirmed), increase(5, Superseded), overwrite(13, Confirmed)]);
        let reasons: Vec<String> = seller.pushes().await.into_iter().filter_map(|push| push.reason).collect();
        assert!(reasons.iter().any(|reason| reason.contains("could not be decided")), "{reasons:?}");
        assert_eq!(world.shown(&shop, "A"), 13);
    });
}

#[test]
fn a_request_applied_late_but_within_the_settle_time_is_counted_once() {
    on_every_platform(async |world, seller, shop, _| {
        world.faults(|f| (f.late, f.late_ms) = (1.0, 8_000));
        seller.purchase("A", 5).await;
        world.sleep(ms(100)).await;
        world.all_is_well();
        world.sleep(minutes(1)).await;
        assert_eq!(world.shown(shop, "A"), 15, "{:?}", world.received(shop));
    });
}

#[test]
fn a_request_applied_after_the_settle_time_is_healed_by_an_overwrite_at_the_next_answer() {
    on_every_platform(async |world, seller, shop, platform| {
        world.faults(|f| (f.late, f.late_ms) = (1.0, 60_000));
        seller.purchase("A", 5).await;
        world.sleep(ms(100)).await;
        world.all_is_well();
        world.sleep(minutes(2)).await;
        let doubled = matches!(platform, "only adds" | "adds, no reads");
        assert_eq!(world.shown(shop, "A"), if doubled { 20 } else { 15 }, "it cannot be detected before the next answer");
        seller.purchase("A", 1).await;
        world.sleep(minutes(1)).await;
        assert_eq!(world.shown(shop, "A"), 16, "on {platform}: {:?}", world.received(shop));
    });
}

#[test]
fn a_request_that_arrives_after_its_own_repetition_and_an_overwrite_changes_nothing() {
    on_every_platform(async |world, seller, shop, _| {
        world.faults(|f| (f.late, f.late_ms) = (1.0, 7_000));
        seller.purchase("A", 5).await;
        world.sleep(ms(300)).await;
        world.all_is_well();
        world.sleep(seconds(1)).await;
        // The target equals what the listing showed before, so a late compare-and-set with that quantity would succeed.
        seller.sale("A", 5).await;
        seller.sync(RunFilter::default()).await;
        world.sleep(minutes(1)).await;
        assert_eq!(world.shown(shop, "A"), 10, "{:?}", world.received(shop));
    });
}

#[test]
fn a_request_that_arrives_after_an_inconclusive_read_is_healed_at_the_next_answer() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let shop = seller.shop_on(platform_that::only_adds(), "corner", &["A"]).await;
        seller.purchase("A", 10).await;
        world.a_moment().await;
        world.faults(|f| (f.late, f.late_ms) = (1.0, 60_000));
        seller.purchase("A", 5).await;
        world.sleep(ms(300)).await;
        world.all_is_well();
        // Because of these sales the read after the settle time finds neither 10 nor 15.
        world.sells(&shop, "A", 2);
        world.sleep(seconds(30)).await;
        assert_eq!(world.shown(&shop, "A"), 15, "overwritten with the target");
        world.sleep(minutes(2)).await;
        assert_eq!(world.shown(&shop, "A"), 20, "the late request was applied");
        seller.purchase("A", 1).await;
        world.sleep(minutes(1)).await;
        assert_eq!(world.shown(&shop, "A"), 16, "{:?}", world.received(&shop));
    });
}

#[test]
fn a_request_applied_late_is_healed_within_a_quarter_of_an_hour_although_nothing_else_is_sent() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let shop = seller.shop_on(platform_that::only_adds(), "corner", &["A"]).await;
        seller.purchase("A", 10).await;
        world.a_moment().await;
        world.faults(|f| (f.late, f.late_ms) = (1.0, 60_000));
        seller.purchase("A", 5).await;
        world.sleep(ms(100)).await;
        world.all_is_well();
        world.sleep(minutes(2)).await;
        assert_eq!(world.shown(&shop, "A"), 20, "it was sent again after the settle time, and then it arrived");
        world.sleep(minutes(13)).await;
        assert_eq!(world.shown(&shop, "A"), 15, "{:?}", world.received(&shop));
        let healing = seller.pushes().await.pop().unwrap();
        assert_eq!((healing.state, healing.quantity), (Confirmed, Some(15)));
        assert!(healing.cause.is_some_and(|why| why.contains("applied late")), "its reason is kept");
    });
}

#[test]
fn units_sold_after_a_request_was_given_up_stay_sold() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let shop = seller.shop_on(platform_that::only_sets(), "corner", &["A"]).await;
        seller.purchase("A", 10).await;
        world.a_moment().await;
        world.loses_requests();
        seller.purchase("A", 5).await;
        world.sleep(ms(100)).await;
        world.all_is_well();
        world.sleep(minutes(1)).await;
        assert_eq!(world.shown(&shop, "A"), 15);
        world.sells(&shop, "A", 2);
        seller.purchase("A", 4).await;
        world.sleep(hours(2)).await;
        assert_eq!(world.shown(&shop, "A"), 17, "a fall is a sale, not a contradiction: {:?}", world.received(&shop));
    });
}
