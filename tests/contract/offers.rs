//! Increases for a store that is ready to be called are on their way as soon as they are recorded, without being claimed: then
//! they are sent at once, and everything else holds for them as for any other push.
use crate::support::*;
use stocktide::db::ledger::EventResult;
use stocktide::domain::push::PushState::{Confirmed, Held, Queued, Sending};
use stocktide::domain::push::Record;
use stocktide::domain::stock::EventKind;

async fn last(seller: &Seller<'_>) -> Record {
    seller.pushes().await.pop().unwrap()
}

/// What is recorded next finds the store ready.
async fn ready_shop(world: &World, seller: &Seller<'_>, skus: &[&str]) -> Shop {
    let shop = seller.shop("corner", skus).await;
    world.a_moment().await;
    world.faults(|f| f.latency_ms = 200);
    shop
}

#[test]
fn an_increase_for_a_store_that_is_ready_is_on_its_way_once_it_is_recorded() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let shop = ready_shop(world, &seller, &["A"]).await;
        for round in 1..=3 {
            seller.purchase("A", 5).await;
            let push = last(&seller).await;
            assert_eq!((push.state, push.attempts, push.due_at), (Sending, 1, None), "round {round}");
            assert!(push.call_id.is_some());
            world.a_moment().await;
            assert_eq!(last(&seller).await.state, Confirmed);
            assert_eq!(world.received(&shop), vec![add("A", 5); round]);
        }
    });
}

#[test]
fn increases_of_several_listings_recorded_together_share_a_call_within_the_platforms_limit() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let shop = seller.shop_on(platform_that::takes(2), "corner", &["A", "B", "C"]).await;
        world.a_moment().await;
        world.faults(|f| f.latency_ms = 200);
        let calls = world.platform.stats().calls;
        let events = ["A", "B", "C", "A"].map(|sku| seller.an_event(sku, EventKind::Purchase, 1));
        let results = seller.record(events.to_vec()).await;
        assert!(results.iter().all(|result| matches!(result, EventResult::Accepted { .. })));
        let mut pushes = seller.pushes().await;
        pushes.sort_by_key(|push| push.id);
        // The third may have been claimed by now.
        let going: Vec<_> = pushes.iter().map(|push| push.state).take(2).collect();
        assert_eq!(going, [Sending, Sending]);
        assert!(pushes[0].call_id == pushes[1].call_id && pushes[0].call_id != pushes[2].call_id, "{pushes:?}");
        world.a_moment().await;
        assert_eq!(world.platform.stats().calls, calls + 2);
        assert_eq!(world.received(&shop), [add("A", 2), add("B", 1), add("C", 1)]);
    });
}

#[test]
fn an_increase_waits_while_another_of_its_listing_is_on_its_way() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let shop = ready_shop(world, &seller, &["A", "B"]).await;
        seller.purchase("A", 5).await;
        world.sleep(ms(50)).await;
        seller.purchase("A", 2).await;
        world.sleep(ms(50)).await;
        seller.purchase("B", 3).await;
        assert_eq!(seller.lines().await, [increase(5, Sending), increase(2, Queued), increase(3, Sending)]);
        world.a_moment().await;
        assert_eq!(world.received(&shop), [add("A", 5), add("B", 3), add("A", 2)]);
    });
}

#[test]
fn nothing_is_on_its_way_to_a_store_that_is_paused_or_has_used_up_its_limit() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let shop = seller.shop_on(platform_that::allows(0.1, 1), "slow", &["A", "B"]).await;
        world.sleep(minutes(1)).await;
        world.faults(|f| f.latency_ms = 200);
        seller.purchase("A", 1).await;
        seller.purchase("B", 1).await;
        world.sleep(ms(100)).await;
        assert_eq!(seller.lines().await, [increase(1, Sending), increase(1, Queued)]);
        world.sleep(minutes(1)).await;
        assert_eq!(world.received(&shop), [add("A", 1), add("B", 1)]);
        seller.pauses(&shop).await;
        seller.purchase("A", 7).await;
        assert_eq!(last(&seller).await.state, Held);
        world.sleep(minutes(1)).await;
        seller.resumes(&shop).await;
        world.sleep(minutes(1)).await;
        assert_eq!(world.received(&shop)[2..], [add("A", 7)]);
    });
}

#[test]
fn an_increase_recorded_as_its_store_is_paused_is_held_or_sent_and_never_both() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let shop = ready_shop(world, &seller, &["A"]).await;
        for _ in 0..10 {
            let (_, ()) = tokio::join!(seller.purchase("A", 1), seller.pauses(&shop));
            world.a_moment().await;
            seller.resumes(&shop).await;
            world.a_moment().await;
        }
        assert_eq!(world.received(&shop), vec![add("A", 1); 10], "{:?}", seller.lines().await);
    });
}

#[test]
fn a_crash_as_soon_as_an_increase_is_recorded_loses_nothing_and_duplicates_nothing() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let shop = ready_shop(world, &seller, &["A"]).await;
        for round in 1..=5 {
            seller.purchase("A", 1).await;
            assert_eq!(last(&seller).await.state, Sending);
            world.crashes().await;
            world.starts();
            world.sleep(minutes(1)).await;
            assert_eq!(world.shown(&shop, "A"), round, "{:?}", world.received(&shop));
        }
    });
}

#[test]
fn a_store_that_stops_as_an_increase_is_recorded_sends_it_or_gives_it_back() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let shop = ready_shop(world, &seller, &["A"]).await;
        for round in 1..=5 {
            let (handle, record) = (world.handle(), seller.purchase("A", 1));
            tokio::join!(handle.shut_down(), record);
            assert_ne!(last(&seller).await.state, Sending, "a call that was begun has ended or was given back");
            world.crashes().await;
            world.starts();
            world.sleep(minutes(1)).await;
            assert_eq!(world.shown(&shop, "A"), round, "{:?}", world.received(&shop));
        }
    });
}

#[test]
fn a_store_that_was_configured_anew_is_not_called_by_what_held_before() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let shop = ready_shop(world, &seller, &["A"]).await;
        let change = |abilities: serde_json::Value| stocktide::service::stores::StoreChange {
            config: serde_json::json!({"external_store": shop.external, "abilities": abilities}).as_object().cloned().unwrap(),
            ..Default::default()
        };
        seller.change_shop(&shop, change(serde_json::json!({"idempotency": false}))).await;
        world.a_moment().await;
        seller.purchase("A", 5).await;
        assert_eq!(last(&seller).await.state, Queued, "its listing has to be read first");
        world.a_moment().await;
        let push = last(&seller).await;
        assert_eq!((push.state, push.base), (Confirmed, Some(0)));
    });
}

#[test]
fn a_push_that_nothing_sends_is_found_while_the_service_runs() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let shop = seller.shop("corner", &["A"]).await;
        world.faults(|f| f.down = true);
        seller.purchase("A", 5).await;
        world.a_moment().await;
        // As if its call had been recorded, and nobody had been told.
        world.execute("UPDATE pushes SET state = 1, call_id = id, resolution = 0, due_at = NULL WHERE state = 3");
        assert_eq!(seller.lines().await, [increase(5, Sending)]);
        world.all_is_well();
        world.sleep(minutes(2)).await;
        assert_eq!((seller.lines().await, world.received(&shop)), (vec![increase(5, Confirmed)], vec![add("A", 5)]));
    });
}
