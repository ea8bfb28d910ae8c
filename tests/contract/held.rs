//! Held pushes: those of stores that are paused or whose credentials are refused.
use crate::support::*;
use stocktide::domain::push::PushState::{Held, Retrying};

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
fn a_call_that_waited_for_the_limits_while_new_credentials_were_entered_holds_nothing() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let enters = async |shop: &Shop, token: &str| {
            let credentials = Some(Some([("token".to_owned(), token.into())].into()));
            seller.change_shop(shop, StoreChange { credentials, ..StoreChange::default() }).await;
            world.faults(|f| f.token = Some(token.to_owned()));
        };
        let shop = seller.shop_on(platform_that::allows(0.1, 1), "corner", &["A"]).await;
        enters(&shop, "old").await;
        world.sleep(seconds(30)).await;
        seller.purchase("A", 5).await;
        world.a_moment().await;
        assert_eq!(world.received(&shop), [add("A", 5)]);
        seller.purchase("A", 2).await;
        world.a_moment().await;
        enters(&shop, "new").await;
        world.sleep(seconds(30)).await;
        assert_eq!(world.received(&shop), [add("A", 5), add("A", 2)]);
        assert!(!seller.store(&shop).await.needs_reauthorisation);
    });
}

#[test]
fn pushes_that_are_waiting_when_their_store_is_paused_are_held_until_it_is_resumed() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let shop = seller.shop("corner", &["A"]).await;
        world.faults(|f| f.down = true);
        seller.purchase("A", 5).await;
        world.a_moment().await;
        assert_eq!(seller.lines().await, [increase(5, Retrying)]);
        seller.pauses(&shop).await;
        assert_eq!(seller.lines().await, [increase(5, Held)], "the record says that it waits for its store");
        world.all_is_well();
        world.sleep(hours(1)).await;
        assert_eq!(world.received(&shop), []);
        seller.resumes(&shop).await;
        world.a_moment().await;
        assert_eq!(world.received(&shop), [add("A", 5)]);
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

/// Waits until the store has refused a write.
async fn refuses_a_write(world: &World, seller: &Seller<'_>, shop: &Shop) {
    for _ in 0..100 {
        if seller.store(shop).await.write_refused {
            return;
        }
        world.sleep(ms(200)).await;
    }
    panic!("no write was refused: {:?}", seller.lines().await);
}

#[test]
fn a_check_while_an_earlier_request_may_still_arrive_does_not_use_up_the_attempt_to_find_out() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let shop = seller.shop("corner", &["A"]).await;
        world.faults(|f| f.error_before = 1.0);
        seller.purchase("A", 2).await;
        world.a_moment().await;
        world.faults(|f| (f.error_before, f.read_only) = (0.0, true));
        seller.purchase("A", 4).await;
        refuses_a_write(world, &seller, &shop).await;
        world.all_is_well();
        assert_eq!(seller.checks(&shop).await.reason, None);
        world.a_moment().await;
        assert_eq!(seller.checks(&shop).await.reason, None, "another check changes nothing");
        world.sleep(seconds(30)).await;
        assert_eq!((world.shown(&shop, "A"), seller.store(&shop).await.write_refused), (6, false), "{:?}", seller.lines().await);
    });
}

#[test]
fn looking_into_an_unknown_outcome_does_not_use_up_the_attempt_to_find_out() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let shop = seller.shop_on(platform_that::only_adds(), "corner", &["A", "B"]).await;
        world.loses_answers();
        seller.purchase("A", 2).await;
        world.a_moment().await;
        world.faults(|f| (f.lose_answer, f.read_only) = (0.0, true));
        seller.purchase("B", 3).await;
        refuses_a_write(world, &seller, &shop).await;
        world.all_is_well();
        world.sleep(seconds(30)).await;
        assert_eq!(world.shown(&shop, "B"), 0, "it is held");
        assert_eq!(seller.checks(&shop).await.reason, None);
        world.sleep(seconds(30)).await;
        assert_eq!((world.shown(&shop, "A"), world.shown(&shop, "B")), (2, 3), "{:?}", seller.lines().await);
    });
}

#[test]
fn a_store_that_was_paused_after_it_refused_a_write_is_tried_by_a_single_one_once_it_is_resumed() {
    story_of_days(START, async |world| {
        let seller = world.seller(incremental).await;
        let shop = seller.shop("corner", &["A", "B"]).await;
        world.faults(|f| f.read_only = true);
        seller.purchase("A", 5).await;
        refuses_a_write(world, &seller, &shop).await;
        seller.pauses(&shop).await;
        seller.purchase("B", 2).await;
        world.sleep(hours(1)).await;
        assert!(seller.store(&shop).await.write_refused, "nothing was sent, so nothing is known");
        let refused = world.platform.stats().calls;
        seller.resumes(&shop).await;
        world.sleep(minutes(16)).await;
        assert!(world.platform.stats().calls <= refused + 2, "one write to find out");
        world.all_is_well();
        world.sleep(minutes(16)).await;
        assert_eq!((world.shown(&shop, "A"), world.shown(&shop, "B")), (5, 2), "{:?}", seller.lines().await);
    });
}
