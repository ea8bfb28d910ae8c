//! Crashes, panics, graceful stops and restarts: nothing in flight is lost or applied twice.
use crate::support::*;
use crate::unknown_outcomes::on_every_platform;
use serde_json::json;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

#[test]
fn after_a_crash_an_increase_that_was_being_sent_is_uncertain_and_then_resolved() {
    on_every_platform(async |world, seller, shop, _| {
        for arrives in [true, false] {
            let shown = world.shown(shop, "A");
            world.faults(|f| f.latency_ms = 400);
            if !arrives {
                world.faults(|f| f.never_answer = 1.0);
            }
            seller.purchase("A", 5).await;
            // Where the quantity is read first, that read takes another 400 ms.
            world.sleep(ms(if world.received(shop).last() == Some(&add("A", 10)) { 200 } else { 600 })).await;
            world.crashes().await;
            world.all_is_well();
            world.starts();
            world.sleep(minutes(1)).await;
            assert_eq!(world.shown(shop, "A"), shown + 5, "arrives: {arrives}, received: {:?}", world.received(shop));
        }
    });
}

#[test]
fn a_crash_at_any_instant_of_a_delivery_loses_nothing_and_duplicates_nothing() {
    on_every_platform(async |world, seller, shop, platform| {
        let mut expected = 10;
        for at in (0..1_300).step_by(100) {
            world.faults(|f| f.latency_ms = 250);
            seller.purchase("A", 5).await;
            world.sleep(ms(at)).await;
            seller.purchase("A", 1).await;
            expected += 6;
            world.crashes().await;
            world.all_is_well();
            world.starts();
            world.sleep(minutes(1)).await;
            assert_eq!(world.shown(shop, "A"), expected, "on {platform}, crashed after {at} ms: {:?}", world.received(shop));
        }
    });
}

#[test]
fn a_crash_between_the_claim_and_the_first_byte_loses_nothing() {
    story(async |world| {
        for platform in [platform_that::compares_and_sets, platform_that::only_sets, platform_that::only_adds] {
            let seller = world.seller(incremental).await;
            let mut platform = platform();
            platform["rate_limit"] = json!({"per_second": 0.5, "burst": 1});
            let shop = seller.shop_on(platform, "corner", &["A"]).await;
            world.sleep(minutes(1)).await;
            seller.purchase("A", 5).await;
            let mut crashed = false;
            for _ in 0..500 {
                world.sleep(ms(5)).await;
                if seller.pushes().await[0].state.as_str() == "sending" && world.received(&shop).is_empty() {
                    world.crashes().await;
                    world.starts();
                    crashed = true;
                    break;
                }
            }
            assert!(crashed, "the push was never seen claimed but unsent");
            world.sleep(minutes(1)).await;
            assert_eq!((world.shown(&shop, "A"), world.received(&shop).len()), (5, 1));
        }
    });
}

/// Whether every fourth random draw by an actor panics.
static PANICS: AtomicBool = AtomicBool::new(false);
static PANICKED: AtomicUsize = AtomicUsize::new(0);

fn sometimes_panics() -> f64 {
    static DRAWS: AtomicUsize = AtomicUsize::new(0);
    if PANICS.load(Ordering::Relaxed) && DRAWS.fetch_add(1, Ordering::Relaxed) % 4 == 3 {
        PANICKED.fetch_add(1, Ordering::Relaxed);
        panic!("planted by the test");
    }
    0.5
}

#[test]
fn an_actor_that_panics_is_replaced_and_its_pushes_are_resolved() {
    story_with(
        START,
        |settings| settings.draw = sometimes_panics,
        async |world| {
            let seller = world.seller(incremental).await;
            let [keys, reads] = [
                seller.shop_on(platform_that::knows_keys(), "keys", &["A"]).await,
                seller.shop_on(platform_that::only_adds(), "reads", &["A"]).await,
            ];
            world.faults(|f| (f.latency_ms, f.lose_answer) = (700, 0.2));
            PANICS.store(true, Ordering::Relaxed);
            for _ in 0..20 {
                seller.purchase("A", 5).await;
                world.sleep(seconds(2)).await;
            }
            PANICS.store(false, Ordering::Relaxed);
            assert!(PANICKED.swap(0, Ordering::Relaxed) > 0, "no actor has panicked");
            world.all_is_well();
            world.sleep(minutes(30)).await;
            assert_eq!([world.shown(&keys, "A"), world.shown(&reads, "A")], [100, 100], "{:?}", seller.lines().await);
        },
    );
}

/// Stops gracefully, starts again with a working platform, and checks what the listing then shows.
async fn stops_and_starts_again(world: &World, seller: &Seller<'_>, shop: &Shop, shown: i64) {
    world.stops().await;
    assert!(seller.pushes().await.iter().all(|push| !push.state.is_in_flight()), "{:?}", seller.lines().await);
    world.all_is_well();
    world.starts();
    world.sleep(minutes(1)).await;
    assert_eq!(world.shown(shop, "A"), shown, "{:?}", world.received(shop));
}

#[test]
fn a_graceful_stop_waits_for_calls_in_flight_and_loses_nothing() {
    on_every_platform(async |world, seller, shop, _| {
        world.faults(|f| f.latency_ms = 3_000);
        seller.purchase("A", 5).await;
        world.sleep(ms(500)).await;
        seller.purchase("A", 2).await;
        stops_and_starts_again(world, seller, shop, 17).await;
    });
}

#[test]
fn a_graceful_stop_while_settings_are_being_read_starts_nothing_new() {
    on_every_platform(async |world, seller, shop, _| {
        world.faults(|f| f.latency_ms = 3_000);
        seller.purchase("A", 5).await;
        world.sleep(ms(500)).await;
        world.handle().reconfigure(seller.id);
        stops_and_starts_again(world, seller, shop, 15).await;
    });
}

#[test]
fn a_graceful_stop_also_waits_for_a_store_that_was_just_removed() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let shop = seller.shop("corner", &["A"]).await;
        world.faults(|f| f.latency_ms = 3_000);
        seller.purchase("A", 5).await;
        world.sleep(ms(500)).await;
        seller.removes(&shop).await;
        world.sleep(ms(500)).await;
        world.stops().await;
        assert_eq!(world.received(&shop), [add("A", 5)], "it was in flight");
        world.starts();
    });
}

#[test]
fn the_end_of_a_node_is_noticed_within_seconds() {
    story(async |world| {
        let handle = world.handle();
        let ends_within = async |seconds| tokio::time::timeout(std::time::Duration::from_secs(seconds), handle.node_ended()).await.is_ok();
        assert!(!ends_within(3600).await, "it is still running");
        world.stops().await;
        assert!(ends_within(2).await);
        world.starts();
    });
}

#[test]
fn retries_and_held_pushes_survive_a_restart() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let (corner, market) = (seller.shop("corner", &["A"]).await, seller.shop("market", &["A"]).await);
        world.faults(|f| f.down = true);
        seller.pauses(&market).await;
        seller.purchase("A", 5).await;
        world.sleep(minutes(10)).await;
        world.stops().await;
        world.all_is_well();
        world.starts();
        world.sleep(minutes(6)).await;
        assert_eq!((world.received(&corner), world.received(&market)), (vec![add("A", 5)], vec![]));
        seller.resumes(&market).await;
        world.a_moment().await;
        assert_eq!(world.received(&market), [add("A", 5)]);
    });
}
