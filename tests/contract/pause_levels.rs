//! Pauses of a platform, of everything, of a store and of a SKU: nothing is sent meanwhile, nothing is lost, and what has become due is
//! sent once, merged, after the last of them has ended.
use crate::support::*;
use stocktide::db::runs::{RunFilter, RunState};
use stocktide::domain::push::PushState::{Confirmed, Held, Sending};

/// What can be paused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    Platform,
    Everything,
    Store,
    Sku,
}

const LEVELS: [Level; 4] = [Level::Platform, Level::Everything, Level::Store, Level::Sku];

async fn pause(seller: &Seller<'_>, shop: &Shop, level: Level) {
    match level {
        Level::Platform => seller.world.pauses_platform(true).await,
        Level::Everything => seller.pauses_everything().await,
        Level::Store => seller.pauses(shop).await,
        Level::Sku => seller.pauses_sku("A").await,
    }
}

async fn resume(seller: &Seller<'_>, shop: &Shop, level: Level) {
    match level {
        Level::Platform => seller.world.pauses_platform(false).await,
        Level::Everything => seller.resumes_everything().await,
        Level::Store => seller.resumes(shop).await,
        Level::Sku => seller.resumes_sku("A").await,
    }
}

#[test]
fn increases_recorded_during_a_pause_of_any_level_are_sent_once_merged_after_it() {
    for level in LEVELS {
        story_of_days(START, async |world| {
            let seller = world.seller(incremental).await;
            let shop = seller.shop("corner", &["A"]).await;
            world.a_moment().await;
            seller.purchase("A", 1).await;
            world.a_moment().await;
            pause(&seller, &shop, level).await;
            seller.purchase("A", 2).await;
            seller.purchase("A", 3).await;
            world.sleep(hours(30)).await;
            assert_eq!(world.received(&shop), [add("A", 1)], "{level:?}");
            assert_eq!(seller.lines().await, [increase(1, Confirmed), increase(5, Held)], "{level:?}");
            resume(&seller, &shop, level).await;
            world.a_moment().await;
            assert_eq!(world.received(&shop), [add("A", 1), add("A", 5)], "{level:?}");
            seller.purchase("A", 4).await;
            world.a_moment().await;
            assert_eq!(world.received(&shop), [add("A", 1), add("A", 5), add("A", 4)], "{level:?}");
        });
    }
}

#[test]
fn of_several_pauses_the_last_to_end_counts() {
    for last in LEVELS {
        story(async |world| {
            let seller = world.seller(incremental).await;
            let shop = seller.shop("corner", &["A"]).await;
            for level in LEVELS {
                pause(&seller, &shop, level).await;
            }
            seller.purchase("A", 5).await;
            for level in LEVELS.into_iter().filter(|level| *level != last) {
                world.a_moment().await;
                resume(&seller, &shop, level).await;
            }
            world.sleep(hours(1)).await;
            assert_eq!(world.received(&shop), [], "{last:?} is still paused");
            resume(&seller, &shop, last).await;
            world.a_moment().await;
            assert_eq!(world.received(&shop), [add("A", 5)], "{last:?}");
        });
    }
}

#[test]
fn what_waits_for_a_retry_as_a_pause_begins_is_held_and_sent_after_it() {
    for level in LEVELS {
        story(async |world| {
            let seller = world.seller(incremental).await;
            let shop = seller.shop("corner", &["A"]).await;
            world.faults(|f| (f.throttle, f.retry_after_s) = (1.0, 30.0));
            seller.purchase("A", 5).await;
            world.a_moment().await;
            pause(&seller, &shop, level).await;
            world.all_is_well();
            world.sleep(hours(1)).await;
            seller.purchase("A", 1).await;
            world.sleep(hours(1)).await;
            assert_eq!(world.received(&shop), [], "{level:?}");
            assert_eq!(seller.lines().await, [increase(6, Held)], "{level:?}");
            resume(&seller, &shop, level).await;
            world.a_moment().await;
            assert_eq!(world.received(&shop), [add("A", 6)], "{level:?}");
        });
    }
}

#[test]
fn what_is_on_its_way_as_a_pause_begins_ends_by_the_rules() {
    for level in LEVELS {
        story(async |world| {
            let seller = world.seller(incremental).await;
            let shop = seller.shop("corner", &["A"]).await;
            world.a_moment().await;
            world.faults(|f| f.latency_ms = 500);
            seller.purchase("A", 5).await;
            world.sleep(ms(50)).await;
            assert_eq!(seller.lines().await, [increase(5, Sending)]);
            pause(&seller, &shop, level).await;
            seller.purchase("A", 2).await;
            world.a_moment().await;
            assert_eq!(seller.lines().await, [increase(5, Confirmed), increase(2, Held)], "{level:?}");
            world.sleep(hours(1)).await;
            assert_eq!(world.received(&shop), [add("A", 5)], "{level:?}");
            resume(&seller, &shop, level).await;
            world.a_moment().await;
            assert_eq!(world.received(&shop), [add("A", 5), add("A", 2)], "{level:?}");
        });
    }
}

#[test]
fn an_increase_of_unknown_outcome_is_applied_once_whatever_is_paused_meanwhile() {
    for level in LEVELS {
        story(async |world| {
            let seller = world.seller(incremental).await;
            let shop = seller.shop("corner", &["A"]).await;
            world.a_moment().await;
            world.loses_answers();
            seller.purchase("A", 5).await;
            world.sleep(ms(50)).await;
            pause(&seller, &shop, level).await;
            seller.purchase("A", 2).await;
            world.sleep(minutes(1)).await;
            world.all_is_well();
            world.sleep(hours(1)).await;
            assert_eq!(world.shown(&shop, "A"), 5, "{level:?}");
            resume(&seller, &shop, level).await;
            world.sleep(minutes(2)).await;
            assert_eq!(world.shown(&shop, "A"), 7, "{level:?}: {:?}", seller.lines().await);
        });
    }
}

#[test]
fn a_pause_lasts_while_the_service_restarts() {
    for level in LEVELS {
        story(async |world| {
            let seller = world.seller(incremental).await;
            let shop = seller.shop("corner", &["A"]).await;
            pause(&seller, &shop, level).await;
            seller.purchase("A", 5).await;
            world.crashes().await;
            world.starts();
            world.sleep(hours(1)).await;
            assert_eq!(world.received(&shop), [], "{level:?}");
            resume(&seller, &shop, level).await;
            world.crashes().await;
            world.starts();
            world.sleep(minutes(1)).await;
            assert_eq!(world.received(&shop), [add("A", 5)], "{level:?}");
        });
    }
}

#[test]
fn a_paused_sku_waits_in_all_stores_and_in_every_run_and_no_other_sku_does() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let (corner, market) = (seller.shop("corner", &["A", "B"]).await, seller.shop("market", &["A", "B"]).await);
        seller.pauses_sku("A").await;
        seller.purchase("A", 5).await;
        seller.purchase("B", 3).await;
        let run = seller.sync(RunFilter::default()).await;
        world.sleep(hours(1)).await;
        for shop in [&corner, &market] {
            assert_eq!((world.shown(shop, "A"), world.shown(shop, "B")), (0, 3), "{:?}", world.received(shop));
        }
        assert_eq!((seller.run(&run).await.state, seller.run(&run).await.done), (RunState::Running, 2));
        seller.resumes_sku("A").await;
        world.a_moment().await;
        for shop in [&corner, &market] {
            assert_eq!((world.shown(shop, "A"), world.shown(shop, "B")), (5, 3), "{:?}", world.received(shop));
        }
        assert_eq!((seller.run(&run).await.state, seller.run(&run).await.done), (RunState::Finished, 4));
    });
}

#[test]
fn a_platform_is_paused_for_all_sellers_and_for_stores_added_meanwhile() {
    story(async |world| {
        let (ada, ben) = (world.seller(incremental).await, world.seller(incremental).await);
        let of_ada = ada.shop("corner", &["A"]).await;
        world.pauses_platform(true).await;
        let of_ben = ben.shop("market", &["A"]).await;
        for seller in [&ada, &ben] {
            seller.purchase("A", 5).await;
        }
        world.sleep(hours(1)).await;
        assert_eq!((world.received(&of_ada), world.received(&of_ben)), (vec![], vec![]));
        world.pauses_platform(false).await;
        world.a_moment().await;
        assert_eq!((world.received(&of_ada), world.received(&of_ben)), (vec![add("A", 5)], vec![add("A", 5)]));
    });
}

#[test]
fn nothing_goes_by_an_offer_once_a_pause_of_any_level_was_answered() {
    for level in LEVELS {
        story(async |world| {
            let seller = world.seller(incremental).await;
            let shop = seller.shop("corner", &["A"]).await;
            world.a_moment().await;
            for _ in 0..3 {
                pause(&seller, &shop, level).await;
                seller.purchase("A", 1).await;
                let push = seller.pushes().await.pop().unwrap();
                assert_eq!((push.state, push.attempts), (Held, 0), "{level:?}");
                resume(&seller, &shop, level).await;
                world.a_moment().await;
            }
            assert_eq!(world.shown(&shop, "A"), 3, "{level:?}");
        });
    }
}

#[test]
fn pausing_everything_keeps_what_switching_auto_sync_off_would_cancel() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let shop = seller.shop("corner", &["A"]).await;
        seller.pauses_everything().await;
        seller.purchase("A", 5).await;
        seller.resumes_everything().await;
        world.a_moment().await;
        assert_eq!(world.received(&shop), [add("A", 5)]);
    });
}
