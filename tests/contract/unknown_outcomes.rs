//! Unknown outcomes: an increase is never applied twice and never lost, whatever the platform supports.
use crate::support::*;
use serde_json::{Value, json};
use stocktide::db::runs::RunFilter;
use stocktide::domain::push::PushState::Confirmed;

/// The kinds of platforms, by the means they offer of resolving an unknown outcome.
fn platforms() -> [(&'static str, Value); 6] {
    [
        ("keys", platform_that::knows_keys()),
        ("compare-and-set", platform_that::compares_and_sets()),
        ("only adds", platform_that::only_adds()),
        ("only sets", platform_that::only_sets()),
        ("only sets, keys", platform_that::only_sets_but_knows_keys()),
        ("adds, no reads", platform_that::adds_but_cannot_be_read()),
    ]
}

/// Runs a story on each kind of platform in turn, with a new seller whose only listing shows all of its 10 available units.
pub fn on_every_platform(test: impl AsyncFn(&World, &Seller<'_>, &Shop, &str)) {
    story(async |world| {
        for (name, platform) in platforms() {
            println!("platform: {name}");
            let seller = world.seller(incremental).await;
            let shop = seller.shop_on(platform, "corner", &["A"]).await;
            seller.purchase("A", 10).await;
            world.sleep(seconds(1)).await;
            assert_eq!(world.shown(&shop, "A"), 10);
            test(world, &seller, &shop, name).await;
            world.all_is_well();
        }
    });
}

#[test]
fn an_increase_whose_answer_is_lost_is_not_applied_twice() {
    on_every_platform(async |world, seller, shop, _| {
        world.loses_answers();
        seller.purchase("A", 5).await;
        world.sleep(ms(500)).await;
        world.all_is_well();
        world.sleep(minutes(1)).await;
        assert_eq!(world.shown(shop, "A"), 15, "{:?}", world.received(shop));
    });
}

#[test]
fn an_increase_whose_request_is_lost_is_still_applied() {
    on_every_platform(async |world, seller, shop, _| {
        world.loses_requests();
        seller.purchase("A", 5).await;
        world.sleep(ms(500)).await;
        world.all_is_well();
        world.sleep(minutes(1)).await;
        assert_eq!(world.shown(shop, "A"), 15, "{:?}", world.received(shop));
    });
}

#[test]
fn after_a_5xx_an_increase_is_counted_once_whether_it_was_applied_or_not() {
    on_every_platform(async |world, seller, shop, _| {
        for (before, after) in [(1.0, 0.0), (0.0, 1.0)] {
            let shown = world.shown(shop, "A");
            world.faults(|f| (f.error_before, f.error_after) = (before, after));
            seller.purchase("A", 5).await;
            world.sleep(ms(800)).await;
            world.all_is_well();
            world.sleep(minutes(1)).await;
            assert_eq!(world.shown(shop, "A"), shown + 5, "{:?}", world.received(shop));
        }
    });
}

#[test]
fn after_a_timeout_an_increase_is_counted_once() {
    on_every_platform(async |world, seller, shop, _| {
        world.faults(|f| f.latency_ms = 30_000);
        seller.purchase("A", 5).await;
        world.sleep(seconds(11)).await;
        world.all_is_well();
        world.sleep(minutes(1)).await;
        assert_eq!(world.shown(shop, "A"), 15, "{:?}", world.received(shop));
    });
}

#[test]
fn units_sold_while_an_outcome_is_unknown_stay_sold_or_the_target_is_written() {
    on_every_platform(async |world, seller, shop, platform| {
        world.loses_requests();
        seller.purchase("A", 5).await;
        world.sleep(ms(500)).await;
        world.sells(shop, "A", 4);
        seller.sale("A", 4).await;
        world.all_is_well();
        world.sleep(minutes(1)).await;
        assert_eq!(world.shown(shop, "A"), 11, "on {platform}: {:?}", world.received(shop));
    });
}

#[test]
fn a_repetition_under_the_same_idempotency_key_decides_even_after_sales() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let shop = seller.shop("corner", &["A"]).await;
        world.loses_answers();
        seller.purchase("A", 10).await;
        world.sleep(ms(50)).await;
        world.sells(&shop, "A", 3);
        world.all_is_well();
        world.sleep(minutes(1)).await;
        assert_eq!(world.received(&shop), [add("A", 10)]);
        assert_eq!(seller.lines().await, [increase(10, Confirmed)], "no overwrite was needed");
        assert!(world.platform.stats().repeats >= 1);
    });
}

#[test]
fn compare_and_set_distinguishes_its_own_lost_answer_from_a_change_by_somebody_else() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let shop = seller.shop_on(platform_that::compares_and_sets(), "corner", &["A"]).await;
        world.loses_answers();
        seller.purchase("A", 10).await;
        world.sleep(ms(100)).await;
        world.all_is_well();
        world.sleep(minutes(1)).await;
        assert_eq!(world.received(&shop), [set("A", 10)]);
        assert_eq!(seller.lines().await, [increase(10, Confirmed)]);
    });
}

#[test]
fn an_increase_refused_after_it_may_have_been_applied_is_never_sent_again_not_even_by_hand() {
    on_every_platform(async |world, seller, shop, _| {
        world.loses_answers();
        seller.purchase("A", 5).await;
        world.sleep(ms(300)).await;
        world.all_is_well();
        world.faults(|f| f.reject_items = vec!["A".into()]);
        world.sleep(seconds(15)).await;
        world.all_is_well();
        let all: Vec<_> = seller.pushes().await.iter().map(|push| push.id).collect();
        seller.retries(&all).await;
        world.sleep(minutes(1)).await;
        let mut shown = 0;
        for (_, change) in world.received(shop) {
            shown = match change {
                Applied::Add(units) => shown + units,
                Applied::Set(units) => units,
            };
            assert!(shown <= 15, "it never shows more, even briefly: {:?}", world.received(shop));
        }
        assert_eq!(world.shown(shop, "A"), 15, "{:?}", world.received(shop));
    });
}

#[test]
fn increases_recorded_while_an_outcome_is_unknown_wait_and_merge_with_each_other() {
    on_every_platform(async |world, seller, shop, _| {
        world.loses_answers();
        seller.purchase("A", 5).await;
        world.sleep(ms(50)).await;
        world.faults(|f| (f.lose_answer, f.down) = (0.0, true));
        for quantity in [1, 2, 3] {
            world.sleep(seconds(1)).await;
            seller.purchase("A", quantity).await;
        }
        let in_flight = seller.pushes().await.iter().filter(|push| push.state.is_in_flight()).map(|push| push.quantity).collect::<Vec<_>>();
        assert_eq!(in_flight, [Some(5)], "nothing merges into an increase that may have been applied");
        world.all_is_well();
        world.sleep(minutes(10)).await;
        assert_eq!(world.shown(shop, "A"), 21, "{:?}", world.received(shop));
    });
}

#[test]
fn a_whole_call_is_repeated_under_its_key_even_if_its_items_differ_in_their_attempts() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let shop = seller.shop("corner", &["A", "B"]).await;
        world.faults(|f| (f.throttle, f.retry_after_s) = (1.0, 1.0));
        seller.purchase("A", 5).await;
        world.sleep(minutes(30)).await;
        seller.pauses(&shop).await;
        seller.purchase("B", 3).await;
        world.sleep(minutes(1)).await;
        world.faults(|f| f.throttle = 0.0);
        world.loses_requests();
        seller.resumes(&shop).await;
        world.sleep(ms(40)).await;
        let pushes = seller.pushes().await;
        assert!(pushes[0].call_id.is_some() && pushes[0].call_id == pushes[1].call_id, "both in one call: {pushes:?}");
        assert!(pushes[0].attempts > pushes[1].attempts);
        world.all_is_well();
        world.sleep(minutes(20)).await;
        assert_eq!((world.shown(&shop, "A"), world.shown(&shop, "B")), (5, 3), "{:?}", world.received(&shop));
        assert_eq!(seller.lines().await, [increase(5, Confirmed), increase(3, Confirmed)]);
    });
}

#[test]
fn keys_do_not_resolve_unknown_outcomes_once_a_platform_stops_honouring_them() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let shop = seller.shop("corner", &["A"]).await;
        world.faults(|f| f.idempotency = false);
        world.loses_answers();
        seller.purchase("A", 5).await;
        world.sleep(ms(50)).await;
        seller
            .change_shop(
                &shop,
                StoreChange {
                    config: [("abilities".to_owned(), json!({"idempotency": false}))].into_iter().collect(),
                    ..StoreChange::default()
                },
            )
            .await;
        world.all_is_well();
        world.sleep(minutes(1)).await;
        assert_eq!(world.shown(&shop, "A"), 5, "{:?}", world.received(&shop));
    });
}

#[test]
fn an_outcome_unknown_when_credentials_are_refused_is_resolved_later() {
    on_every_platform(async |world, seller, shop, _| {
        world.loses_answers();
        seller.purchase("A", 5).await;
        world.sleep(ms(40)).await;
        world.faults(|f| (f.lose_answer, f.unauthorized) = (0.0, true));
        world.sleep(minutes(1)).await;
        seller.purchase("A", 2).await;
        world.a_moment().await;
        world.all_is_well();
        seller.releases(shop).await;
        world.sleep(minutes(20)).await;
        assert_eq!(world.shown(shop, "A"), 17, "{:?}", world.received(shop));
    });
}

#[test]
fn increases_after_an_overwrite_whose_answer_is_lost_are_exact() {
    on_every_platform(async |world, seller, shop, _| {
        world.loses_answers();
        seller.sync(RunFilter::default()).await;
        world.sleep(ms(50)).await;
        seller.purchase("A", 3).await;
        world.all_is_well();
        world.sleep(minutes(1)).await;
        assert_eq!(world.shown(shop, "A"), 13, "{:?}", world.received(shop));
    });
}

#[test]
fn an_overwrite_whose_request_is_lost_does_not_restore_an_old_target() {
    on_every_platform(async |world, seller, shop, platform| {
        world.loses_requests();
        let run = seller.sync(RunFilter::default()).await;
        world.sleep(ms(50)).await;
        world.faults(|f| (f.late, f.down) = (0.0, true));
        world.sleep(minutes(10)).await;
        world.sells(shop, "A", 4);
        seller.sale("A", 4).await;
        seller.purchase("A", 1).await;
        world.all_is_well();
        world.sleep(minutes(30)).await;
        assert_eq!(world.shown(shop, "A"), 7, "on {platform}: {:?}", world.received(shop));
        assert_eq!(seller.run(&run).await.done, 1);
    });
}

#[test]
fn an_overwrite_whose_outcome_is_unknown_when_its_listing_is_unpaired_comes_to_an_end() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let shop = seller.shop_on(platform_that::only_sets(), "corner", &["A", "B"]).await;
        seller.purchase("A", 5).await;
        seller.purchase("B", 5).await;
        world.a_moment().await;
        world.loses_requests();
        world.sells(&shop, "A", 2);
        seller.sync(RunFilter::default()).await;
        world.sleep(ms(300)).await;
        world.all_is_well();
        seller.unpairs(&shop, "A").await;
        world.sleep(minutes(30)).await;
        let open: Vec<_> = seller.pushes().await.into_iter().filter(|push| push.state.is_active()).collect();
        assert!(open.is_empty(), "{open:?}");
        assert_eq!(world.shown(&shop, "B"), 5);
    });
}
