//! Unknown outcomes: an increase is never applied twice and never lost, whatever the platform supports.
use crate::support::*;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use stocktide::db::runs::RunFilter;
use stocktide::domain::push::PushState::{Cancelled, Confirmed, Rejected, Superseded, Uncertain};

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
pub fn on_every_platform(tell: impl AsyncFn(&World, &Seller<'_>, &Shop, &str)) {
    story(async |world| {
        for (name, platform) in platforms() {
            println!("platform: {name}");
            let seller = world.seller(incremental).await;
            let shop = seller.shop_on(platform, "corner", &["A"]).await;
            seller.purchase("A", 10).await;
            world.sleep(seconds(1)).await;
            assert_eq!(world.shown(&shop, "A"), 10);
            tell(world, &seller, &shop, name).await;
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
            .change_shop(&shop, |store| {
                let mut config: Value = serde_json::from_str(&store.config).unwrap();
                config["abilities"] = json!({"idempotency": false});
                store.config = config.to_string();
            })
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
fn increases_contained_in_an_overwrite_that_is_given_up_are_not_lost() {
    story_of_days(START, async |world| {
        let seller = world.seller(incremental).await;
        let shop = seller.shop("corner", &["A"]).await;
        world.faults(|f| f.down = true);
        seller.purchase("A", 5).await;
        seller.sync(RunFilter::default()).await;
        world.sleep(hours(30)).await;
        let lines = seller.lines().await;
        assert!(matches!(lines[..], [(_, _, Superseded), (_, _, Rejected), ..]), "{lines:?}");
        world.all_is_well();
        world.sleep(hours(1)).await;
        assert_eq!(world.shown(&shop, "A"), 5);
    });
}

#[test]
fn increases_contained_in_a_throttled_overwrite_are_in_its_next_target() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let shop = seller.shop("corner", &["A"]).await;
        world.faults(|f| f.down = true);
        seller.purchase("A", 5).await;
        seller.sync(RunFilter::default()).await;
        world.faults(|f| (f.down, f.throttle) = (false, 1.0));
        world.sleep(minutes(2)).await;
        seller.purchase("A", 2).await;
        seller.sale("A", 1).await;
        world.all_is_well();
        world.sleep(minutes(10)).await;
        assert_eq!(world.received(&shop).last(), Some(&set("A", 6)), "{:?}", world.received(&shop));
    });
}

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

#[test]
fn an_unknown_outcome_for_an_unpaired_listing_is_closed_without_sending_again() {
    on_every_platform(async |world, seller, shop, _| {
        world.loses_answers();
        seller.purchase("A", 5).await;
        world.sleep(ms(100)).await;
        world.all_is_well();
        seller.unpairs(shop, "A").await;
        world.sleep(minutes(2)).await;
        assert!(
            seller.pushes().await.iter().all(|push| matches!(push.state, Confirmed | Cancelled | Superseded)),
            "{:?}",
            seller.lines().await
        );
        assert!(world.received(shop).len() <= 2, "{:?}", world.received(shop));
    });
}
