//! Pauses by a platform's word are bounded, and a retry by hand tries at once, with one call.
use crate::support::*;
use stocktide::domain::PushId;
use stocktide::domain::push::PushState::{Confirmed, Retrying};

const SKUS: [&str; 10] = ["A", "B", "C", "D", "E", "F", "G", "H", "I", "J"];

/// A platform that asks for a pause of thousands of years.
fn asks_for_ages(world: &World) {
    world.faults(|f| (f.throttle, f.retry_after_s) = (1.0, 99_999_999_999.0));
}

async fn ids(seller: &Seller<'_>) -> Vec<PushId> {
    seller.pushes().await.into_iter().map(|push| push.id).collect()
}

#[test]
fn no_platform_can_ask_for_a_pause_of_more_than_an_hour() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let shop = seller.shop("corner", &["A"]).await;
        asks_for_ages(world);
        seller.purchase("A", 5).await;
        world.a_moment().await;
        world.all_is_well();
        world.sleep(minutes(59)).await;
        assert_eq!(seller.lines().await, [increase(5, Retrying)], "an hour is obeyed");
        world.sleep(minutes(2)).await;
        assert_eq!(world.received(&shop), [add("A", 5)]);
    });
}

#[test]
fn a_retry_by_hand_ends_a_pause_at_once() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let shop = seller.shop("corner", &["A", "B"]).await;
        asks_for_ages(world);
        seller.purchase("A", 5).await;
        world.a_moment().await;
        // This one is due, and only waits for the pause to end.
        seller.purchase("B", 2).await;
        world.all_is_well();
        world.sleep(minutes(5)).await;
        assert_eq!(world.received(&shop), []);
        assert_eq!(seller.retries(&ids(&seller).await[..1]).await, 1);
        world.a_moment().await;
        assert_eq!((world.shown(&shop, "A"), world.shown(&shop, "B")), (5, 2), "{:?}", world.received(&shop));
    });
}

#[test]
fn a_retry_by_hand_sends_one_call_even_if_the_store_still_asks_for_a_pause() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let shop = seller.shop_on(platform_that::takes(1), "corner", &SKUS).await;
        asks_for_ages(world);
        for sku in SKUS {
            seller.purchase(sku, 1).await;
        }
        world.sleep(minutes(5)).await;
        let calls = world.platform.stats().calls;
        seller.retries(&ids(&seller).await).await;
        world.sleep(minutes(1)).await;
        assert_eq!(world.platform.stats().calls, calls + 1);
        world.all_is_well();
        world.sleep(minutes(61)).await;
        assert!(SKUS.iter().all(|sku| world.shown(&shop, sku) == 1));
    });
}

#[test]
fn a_retry_by_hand_probes_a_store_whose_circuit_is_open() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let shop = seller.shop_on(platform_that::takes(1), "corner", &SKUS).await;
        world.faults(|f| f.down = true);
        for sku in SKUS {
            seller.purchase(sku, 1).await;
        }
        world.sleep(minutes(30)).await;
        world.all_is_well();
        let waiting = ids(&seller).await;
        assert_eq!(seller.retries(&waiting).await, SKUS.len());
        world.a_moment().await;
        assert!(SKUS.iter().all(|sku| world.shown(&shop, sku) == 1), "{:?}", world.received(&shop));
        assert!(seller.pushes().await.iter().all(|push| push.state == Confirmed));
    });
}
