//! Several processes on one PostgreSQL database: each works for the sellers of its shards, any of them accepts events, and whoever
//! was replaced changes nothing any more.
use crate::support::*;
use std::time::Duration;
use stocktide::db::{self, Db, Error};
use stocktide::domain::SellerId;
use stocktide::domain::leases::shard_of;
use stocktide::domain::push::PushState::{Confirmed, Queued, Sending, Uncertain};

/// The names of nodes differ, or the later one would take the place of the earlier one.
fn story(tell: impl AsyncFn(&World)) {
    story_of_nodes(|_| (), tell);
}

/// Two nodes that have shared out everything.
async fn two(world: &World) -> Process {
    world.sleep(seconds(1)).await;
    let other = world.starts_another_named("other");
    world.sleep(seconds(5)).await;
    assert_eq!((world.process_shards(), other.shards()), (128, 128));
    other
}

/// Sellers until there is one for whom the process works.
async fn seller_of<'w>(world: &'w World, process: &Process) -> Seller<'w> {
    loop {
        let seller = world.seller(incremental).await;
        if is_at(process, seller.id) {
            return seller;
        }
    }
}

fn is_at(process: &Process, seller: SellerId) -> bool {
    process.service.db.held().leases().iter().any(|lease| lease.shard == shard_of(seller))
}

/// Has nobody hold the seller's shard, by another epoch, behind the backs of all processes.
fn takes_over(world: &World, seller: SellerId) {
    world.execute(&format!("UPDATE shards SET epoch = epoch + 1, node = NULL WHERE shard = {}", shard_of(seller)));
}

#[test]
fn an_event_that_one_node_accepts_is_sent_by_the_other_within_moments() {
    story(async |world| {
        let other = two(world).await;
        let seller = seller_of(world, &other).await;
        let shop = seller.shop("corner", &["A"]).await;
        world.a_moment().await;
        // A lost notice would cost the ten seconds until the next look.
        let before = world.now();
        seller.purchase("A", 5).await;
        while world.received(&shop).is_empty() {
            world.sleep(ms(10)).await;
        }
        assert!(world.now() - before < ms(500), "{}", world.now() - before);
        world.a_moment().await;
        assert_eq!(world.handle().status().await.stores, 0, "only the other works for the seller");
        assert_eq!(seller.lines().await, [increase(5, Confirmed)]);
        other.handle.shut_down().await;
    });
}

#[test]
fn settings_saved_at_one_node_count_at_the_other_at_once() {
    story(async |world| {
        let other = two(world).await;
        let seller = seller_of(world, &other).await;
        let shop = seller.shop("corner", &["A"]).await;
        world.a_moment().await;
        seller.pauses(&shop).await;
        seller.purchase_at(&other, "A", 5).await;
        world.a_moment().await;
        assert_eq!(world.received(&shop), []);
        seller.resumes(&shop).await;
        world.a_moment().await;
        assert_eq!(world.received(&shop), [add("A", 5)]);
        other.handle.shut_down().await;
    });
}

#[test]
fn when_a_node_dies_another_goes_on_after_the_lease_time_and_nothing_is_lost_or_sent_twice() {
    story(async |world| {
        let other = two(world).await;
        let seller = seller_of(world, &other).await;
        let shop = seller.shop_on(platform_that::only_adds(), "corner", &["A", "B"]).await;
        world.a_moment().await;
        world.faults(|f| f.latency_ms = 500);
        seller.purchase("A", 5).await;
        // It is read first.
        world.sleep(ms(750)).await;
        assert_eq!(seller.lines().await, [increase(5, Sending)]);
        other.crashes().await;
        let died_at = world.now();
        seller.purchase("B", 7).await;
        while world.received(&shop).len() < 2 {
            world.sleep(ms(20)).await;
        }
        assert!(world.now() - died_at < seconds(7), "{}", world.now() - died_at);
        assert_eq!(world.process_shards(), 256);
        world.sleep(minutes(1)).await;
        let mut received = world.received(&shop);
        received.sort_by(|a, b| a.0.cmp(&b.0));
        assert_eq!(received, [add("A", 5), add("B", 7)]);
        assert_eq!(seller.lines().await, [increase(5, Confirmed), increase(7, Confirmed)]);
    });
}

#[test]
fn what_a_dead_node_was_sending_is_found_out_not_before_a_frozen_one_would_have_sent_it() {
    story(async |world| {
        let other = two(world).await;
        let seller = seller_of(world, &other).await;
        let shop = seller.shop_on(platform_that::only_adds(), "corner", &["A"]).await;
        world.a_moment().await;
        world.faults(|f| f.latency_ms = 200);
        seller.purchase("A", 5).await;
        // It is read first.
        world.sleep(ms(300)).await;
        assert_eq!(seller.lines().await, [increase(5, Sending)]);
        other.crashes().await;
        world.all_is_well();
        while seller.lines().await != [increase(5, Uncertain)] {
            world.sleep(ms(20)).await;
        }
        let calls = world.platform.stats().calls;
        // The claim's five seconds and the request's ten.
        world.sleep(ms(14_900)).await;
        assert_eq!((seller.lines().await, world.platform.stats().calls), (vec![increase(5, Uncertain)], calls));
        world.sleep(seconds(2)).await;
        assert_eq!((seller.lines().await, world.received(&shop)), (vec![increase(5, Confirmed)], vec![add("A", 5)]));
    });
}

#[test]
fn a_node_that_stops_hands_over_within_a_second() {
    story(async |world| {
        let other = two(world).await;
        let seller = seller_of(world, &other).await;
        let shop = seller.shop("corner", &["A"]).await;
        world.a_moment().await;
        for round in 1..=10 {
            seller.purchase("A", 1).await;
            world.sleep(ms(20)).await;
            if round == 5 {
                let before = world.now();
                other.handle.shut_down().await;
                assert!(world.now() - before < seconds(1), "{}", world.now() - before);
            }
        }
        world.sleep(seconds(1)).await;
        assert_eq!(world.process_shards(), 256);
        assert_eq!(world.shown(&shop, "A"), 10, "{:?}", seller.lines().await);
        assert_eq!(world.received(&shop).len(), seller.pushes().await.len());
    });
}

#[test]
fn a_transaction_of_a_node_that_was_replaced_changes_nothing() {
    story(async |world| {
        world.sleep(seconds(1)).await;
        let seller = world.seller(incremental).await;
        let shop = seller.shop("corner", &["A"]).await;
        world.a_moment().await;
        let here = |leases: Vec<stocktide::domain::leases::Lease>| leases.into_iter().find(|lease| lease.shard == shard_of(seller.id));
        let lease = here(world.db().held().leases());
        let by_lease = seller.db().under(lease);
        let store = shop.id;
        assert_eq!(by_lease.write(move |t| t.note_circuit(store, None)).await, Ok(()));
        takes_over(world, seller.id);
        assert_eq!(by_lease.write(move |t| t.note_circuit(store, Some(Default::default()))).await, Err(Error::Fenced));
        assert_eq!(seller.db().write(|t| t.sync_settings().map(drop)).await, Ok(()), "what needs no lease goes on");
    });
}

#[test]
fn an_increase_is_not_on_its_way_as_it_is_recorded_if_its_store_was_taken_over_just_before() {
    story(async |world| {
        world.sleep(seconds(1)).await;
        let seller = world.seller(incremental).await;
        let shop = seller.shop("corner", &["A"]).await;
        world.sleep(seconds(3)).await;
        // The story looks at it before its call ends.
        world.faults(|f| f.latency_ms = 200);
        seller.purchase("A", 1).await;
        assert_eq!(seller.lines().await, [increase(1, Sending)], "it is offered a call");
        world.a_moment().await;
        takes_over(world, seller.id);
        seller.purchase("A", 2).await;
        assert_eq!(seller.lines().await, [increase(1, Confirmed), increase(2, Queued)]);
        // The only node takes the shard again.
        world.sleep(seconds(15)).await;
        assert_eq!(world.received(&shop), [add("A", 1), add("A", 2)]);
    });
}

#[test]
fn the_end_of_a_call_of_a_node_that_was_replaced_is_not_saved_but_found_out_by_the_next() {
    story(async |world| {
        world.sleep(seconds(1)).await;
        let seller = world.seller(incremental).await;
        let shop = seller.shop_on(platform_that::only_adds(), "corner", &["A"]).await;
        world.a_moment().await;
        world.faults(|f| f.latency_ms = 400);
        seller.purchase("A", 1).await;
        world.sleep(ms(600)).await;
        takes_over(world, seller.id);
        world.sleep(ms(350)).await;
        world.all_is_well();
        assert_ne!(seller.lines().await, [increase(1, Confirmed)]);
        world.sleep(minutes(1)).await;
        assert_eq!((seller.lines().await, world.received(&shop)), (vec![increase(1, Confirmed)], vec![add("A", 1)]));
    });
}

#[test]
fn without_notices_work_is_found_when_a_node_looks_next() {
    story_of_nodes(
        |settings| settings.poll_every = Duration::from_secs(10),
        async |world| {
            let other = two(world).await;
            let seller = seller_of(world, &other).await;
            let shop = seller.shop("corner", &["A"]).await;
            world.a_moment().await;
            // Recorded by a process that tells nobody.
            seller.purchase_elsewhere("A", 5).await;
            world.sleep(seconds(11)).await;
            assert_eq!(world.received(&shop), [add("A", 5)]);
            other.handle.shut_down().await;
        },
    );
}

#[test]
fn settings_saved_elsewhere_count_when_a_node_looks_next_even_if_no_notice_comes() {
    story(async |world| {
        world.sleep(seconds(1)).await;
        let seller = world.seller(off).await;
        let shop = seller.shop("corner", &["A"]).await;
        seller.sync(Default::default()).await;
        world.a_moment().await;
        // Daily at a time that comes soon: the store's actor has to know of it.
        seller.settings_saved_elsewhere(daily_at("12:01", chrono_tz::UTC)).await;
        world.sleep_until("2026-03-02T12:01:30Z").await;
        assert_eq!(seller.dates(&shop).await.len(), 1);
    });
}

#[test]
fn a_process_that_starts_in_the_place_of_one_that_was_killed_need_not_wait() {
    story(async |world| {
        world.sleep(seconds(1)).await;
        let seller = world.seller(incremental).await;
        let shop = seller.shop("corner", &["A"]).await;
        world.a_moment().await;
        world.crashes().await;
        world.starts();
        world.sleep(seconds(1)).await;
        assert_eq!(world.process_shards(), 256);
        seller.purchase("A", 5).await;
        world.a_moment().await;
        assert_eq!(world.received(&shop), [add("A", 5)]);
    });
}

#[test]
fn a_daily_run_takes_place_once_whoever_works_for_the_seller() {
    story(async |world| {
        let other = two(world).await;
        let seller = seller_of(world, &other).await;
        seller.settings(daily_at("12:01", chrono_tz::UTC)).await;
        let shop = seller.shop("corner", &["A", "B"]).await;
        seller.purchase("A", 5).await;
        world.sleep_until("2026-03-02T12:00:59Z").await;
        other.crashes().await;
        world.sleep(minutes(5)).await;
        assert_eq!(seller.dates(&shop).await.len(), 1, "{:?}", seller.dates(&shop).await);
        assert_eq!(world.shown(&shop, "A"), 5);
    });
}

#[test]
fn what_a_node_left_uncertain_is_not_looked_into_too_early_by_one_whose_clock_is_ahead() {
    story(async |world| {
        world.sleep(seconds(1)).await;
        let behind = world.starts_another_behind("behind", minutes(5));
        world.sleep(seconds(5)).await;
        let seller = seller_of(world, &behind).await;
        let shop = seller.shop_on(platform_that::only_adds(), "corner", &["A"]).await;
        world.sleep(seconds(30)).await;
        // It arrives after eight seconds, and its answer is lost.
        world.faults(|f| (f.late, f.late_ms) = (1.0, 8_000));
        seller.purchase_at(&behind, "A", 5).await;
        world.sleep(ms(500)).await;
        world.all_is_well();
        assert_eq!(seller.lines().await, [increase(5, Uncertain)]);
        behind.handle.shut_down().await;
        world.sleep(minutes(1)).await;
        assert_eq!((seller.lines().await, world.received(&shop)), (vec![increase(5, Confirmed)], vec![add("A", 5)]));
        assert_eq!(world.shown(&shop, "A"), 5);
    });
}

/// A call is in flight for the database, but its actor has not come to it yet: as if the node were frozen.
async fn a_call_that_is_not_sent_yet<'w>(world: &'w World) -> (Seller<'w>, Shop) {
    world.sleep(seconds(1)).await;
    let seller = world.seller(incremental).await;
    let shop = seller.shop("corner", &["A"]).await;
    world.sleep(seconds(3)).await;
    seller.purchase("A", 1).await;
    assert_eq!(world.received(&shop), []);
    (seller, shop)
}

#[test]
fn a_call_of_a_node_that_was_frozen_after_its_claim_is_not_sent_once_another_has_taken_over() {
    story(async |world| {
        let (seller, shop) = a_call_that_is_not_sent_yet(world).await;
        takes_over(world, seller.id);
        world.clock.step(seconds(6));
        world.sleep(minutes(1)).await;
        assert_eq!(world.received(&shop), [add("A", 1)]);
        assert_eq!(world.platform.stats().repeats, 0, "only by the one that has taken over");
    });
}

#[test]
fn a_call_whose_claim_is_old_is_sent_if_nobody_has_taken_over() {
    story(async |world| {
        let (seller, shop) = a_call_that_is_not_sent_yet(world).await;
        world.clock.step(seconds(6));
        world.a_moment().await;
        assert_eq!((world.received(&shop), seller.lines().await), (vec![add("A", 1)], vec![increase(1, Confirmed)]));
    });
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the process is to stand still in the middle of its transaction")]
fn the_server_ends_a_transaction_of_a_frozen_process_so_that_it_keeps_nothing_locked() {
    story(async |world| {
        let settings = db::Settings { idle_in_transaction: Some(Duration::from_millis(200)), ..db::Settings::new(world.database_url()) };
        let seller = world.seller(incremental).await;
        let frozen = Db::open(&settings).seller(seller.id);
        let stuck = frozen.write(|t| {
            t.sync_settings()?;
            std::thread::sleep(Duration::from_millis(600));
            t.sync_settings().map(drop)
        });
        assert!(matches!(stuck.await, Err(Error::Unavailable(_))));
        assert_eq!(frozen.write(|t| t.sync_settings().map(drop)).await, Ok(()), "on another connection");
    });
}

#[test]
fn nodes_count_what_an_app_has_called_together() {
    story(async |world| {
        use stocktide::domain::quota::{Spent, slot_of};
        use stocktide::platforms::limits::Book;
        use stocktide::service::quotas::AppCalls;
        let slot = slot_of(world.now());
        let [a, b] = ["a", "b"].map(|node| AppCalls::new(world.db(), world.clock.clone(), Some(node)));
        assert_eq!(a.save("app", vec![(slot, 3)]).await, Ok(Spent::default()));
        assert_eq!(b.save("app", vec![(slot, 4)]).await, Ok(Spent::new([(slot, 3)])));
        assert_eq!(a.save("app", vec![(slot, 5)]).await, Ok(Spent::new([(slot, 4)])));
        assert_eq!(b.load("app").await, Ok([Spent::new([(slot, 4)]), Spent::new([(slot, 5)])]));
        assert_eq!(b.load("another").await, Ok([Spent::default(), Spent::default()]));
    });
}
