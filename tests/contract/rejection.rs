//! Rejected pushes: what they report, which pushes they must not block, and what a manual retry may send.
use crate::support::*;
use stocktide::db::runs::RunFilter;
use stocktide::domain::push::PushState::{Confirmed, Rejected, Retrying, Superseded};

#[test]
fn a_rejected_push_gives_a_reason_a_next_step_and_the_raw_answer_and_blocks_no_other_listing() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let shop = seller.shop("corner", &["A", "B"]).await;
        world.faults(|f| f.reject_items = vec!["A".into()]);
        seller.purchase("A", 5).await;
        seller.purchase("B", 3).await;
        world.a_moment().await;
        assert_eq!(world.received(&shop), [add("B", 3)]);
        let push = seller.pushes().await.remove(0);
        assert_eq!(push.state, Rejected);
        assert!(push.reason.unwrap().contains("unknown item") && push.next_step.is_some());
        assert!(push.raw_answer.unwrap().starts_with("200 {"));
    });
}

#[test]
fn a_rejected_push_does_not_block_the_next_one_for_its_listing() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let shop = seller.shop("corner", &["A"]).await;
        world.faults(|f| f.reject_items = vec!["A".into()]);
        seller.purchase("A", 5).await;
        world.a_moment().await;
        world.all_is_well();
        seller.purchase("A", 2).await;
        world.a_moment().await;
        assert_eq!(world.received(&shop), [add("A", 2), set("A", 7)], "what was refused before is brought there, too");
    });
}

#[test]
fn what_a_refused_overwrite_contained_is_not_lost_when_a_later_increase_succeeds() {
    story(async |world| {
        let seller = world.seller(off).await;
        let shop = seller.shop("corner", &["A"]).await;
        world.faults(|f| f.untracked_items = vec!["A".into()]);
        seller.purchase("A", 5).await;
        seller.sync(RunFilter::default()).await;
        world.a_moment().await;
        assert_eq!(seller.lines().await, [overwrite(5, Rejected)]);
        seller.settings(incremental).await;
        world.a_moment().await;
        world.all_is_well();
        seller.purchase("A", 2).await;
        world.a_moment().await;
        assert_eq!(world.shown(&shop, "A"), 7, "{:?}", world.received(&shop));
    });
}

#[test]
fn a_listing_that_cannot_be_read_keeps_no_other_from_being_looked_at() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let skus = ["A", "B", "C", "D"];
        let shop = seller.shop("corner", &skus).await;
        world.faults(|f| f.untracked_items = skus.map(str::to_owned).to_vec());
        for sku in skus {
            seller.purchase(sku, 5).await;
        }
        world.a_moment().await;
        world.faults(|f| (f.untracked_items, f.poison_items) = (Vec::new(), vec!["C".into()]));
        world.sleep(minutes(12)).await;
        assert_eq!(skus.map(|sku| world.shown(&shop, sku)), [5, 5, 0, 5]);
        world.all_is_well();
        world.sleep(minutes(12)).await;
        assert_eq!(world.shown(&shop, "C"), 5);
    });
}

#[test]
fn a_rejected_increase_that_is_retried_is_sent_once() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let shop = seller.shop("corner", &["A"]).await;
        world.faults(|f| f.reject_items = vec!["A".into()]);
        seller.purchase("A", 5).await;
        world.a_moment().await;
        world.all_is_well();
        let id = seller.pushes().await[0].id;
        assert_eq!(seller.retries(&[id]).await, 1);
        world.a_moment().await;
        assert_eq!(seller.retries(&[id]).await, 0, "it is confirmed now");
        world.a_moment().await;
        assert_eq!(world.received(&shop), [add("A", 5)]);
    });
}

#[test]
fn a_rejected_increase_is_not_sent_again_while_an_overwrite_that_contains_it_is_in_flight() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let shop = seller.shop("corner", &["A"]).await;
        world.faults(|f| f.reject_items = vec!["A".into()]);
        seller.purchase("A", 5).await;
        world.a_moment().await;
        world.all_is_well();
        let id = seller.pushes().await[0].id;
        world.faults(|f| f.latency_ms = 900);
        seller.sync(RunFilter::default()).await;
        world.sleep(ms(300)).await;
        assert_eq!(seller.retries(&[id]).await, 0, "the overwrite contains it, and has not been answered yet");
        world.sleep(minutes(1)).await;
        assert_eq!(world.received(&shop), [set("A", 5)]);
        assert_eq!(seller.lines().await, [increase(5, Superseded), overwrite(5, Confirmed)]);
    });
}

#[test]
fn a_rejected_increase_is_not_sent_again_while_an_overwrite_that_may_contain_it_waits_to_be_repeated() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        // With one listing per call and one call per ten seconds, one of the two overwrites has to wait to be repeated.
        // Where nothing can be read, an overwrite whose answer is lost is repeated.
        let mut platform = platform_that::adds_but_cannot_be_read();
        platform["abilities"]["max_items"] = 1.into();
        platform["rate_limit"] = platform_that::allows(0.1, 2)["rate_limit"].take();
        let shop = seller.shop_on(platform, "corner", &["A", "B"]).await;
        world.faults(|f| f.reject_items = vec!["A".into(), "B".into()]);
        seller.purchase("A", 5).await;
        seller.purchase("B", 3).await;
        world.sleep(minutes(1)).await;
        let rejected: Vec<_> = seller.pushes().await.iter().map(|push| push.id).collect();
        assert_eq!(seller.lines().await, [increase(5, Rejected), increase(3, Rejected)]);
        world.all_is_well();
        world.loses_answers();
        seller.sync(RunFilter::default()).await;
        world.sleep(ms(500)).await;
        world.all_is_well();
        world.sleep(seconds(12)).await;
        assert!(seller.lines().await.contains(&overwrite(3, Retrying)), "{:?}", seller.lines().await);
        assert_eq!(seller.retries(&rejected).await, 0, "the overwrites may have been applied, and will be sent again anyway");
        world.sleep(minutes(1)).await;
        assert!(world.received(&shop).iter().all(|change| [set("A", 5), set("B", 3)].contains(change)), "{:?}", world.received(&shop));
    });
}

#[test]
fn clock_steps_do_not_affect_which_rejected_increases_an_overwrite_contains() {
    for step in [hours(-3), hours(3)] {
        story(async |world| {
            let seller = world.seller(incremental).await;
            let shop = seller.shop("corner", &["A"]).await;
            let rejected = async |quantity| {
                world.faults(|f| f.reject_items = vec!["A".into()]);
                seller.purchase("A", quantity).await;
                world.a_moment().await;
                world.all_is_well();
                seller.pushes().await.into_iter().find(|push| push.quantity == Some(quantity)).unwrap().id
            };
            let before = rejected(5).await;
            world.clock.step(step);
            seller.sync(RunFilter::default()).await;
            world.a_moment().await;
            world.clock.step(step);
            let after = rejected(7).await;
            assert_eq!(seller.retries(&[before, after]).await, 1);
            world.a_moment().await;
            let mut received = world.received(&shop);
            // When the clock is set forward, a look at the listing is due, too, and may overwrite it before the sync does.
            received.dedup();
            assert_eq!(received, [set("A", 5), add("A", 7)]);
        });
    }
}

#[test]
fn a_retried_overwrite_writes_the_current_target_including_everything_it_contained() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let shop = seller.shop("corner", &["A"]).await;
        world.faults(|f| f.down = true);
        seller.purchase("A", 5).await;
        seller.sync(RunFilter::default()).await;
        world.faults(|f| (f.down, f.reject_items) = (false, vec!["A".into()]));
        world.sleep(minutes(5)).await;
        world.all_is_well();
        seller.purchase("A", 2).await;
        world.a_moment().await;
        let rejected = seller.pushes().await.into_iter().filter(|push| push.state == Rejected).map(|push| push.id);
        seller.retries(&rejected.collect::<Vec<_>>()).await;
        world.a_moment().await;
        assert_eq!(world.shown(&shop, "A"), 7, "{:?}", world.received(&shop));
    });
}

#[test]
fn what_a_store_that_cannot_be_read_is_owed_is_sent_although_others_of_its_listings_were_to_be_looked_at_first() {
    story_of_days(START, async |world| {
        let seller = world.seller(incremental).await;
        let mut platform = platform_that::only_sets();
        (platform["abilities"]["read"], platform["abilities"]["max_items"]) = (false.into(), 1.into());
        let shop = seller.shop_on(platform, "corner", &["A", "B", "C"]).await;
        seller.switches_off().await;
        seller.purchase("C", 5).await;
        seller.switches_on_only().await;
        world.execute("UPDATE listings SET look_at = 1");
        world.execute("UPDATE listings SET look_at = 2, owed_since = 1 WHERE sku = 'C'");
        // The service looks for work every ten minutes here.
        world.sleep(minutes(12)).await;
        assert_eq!(world.shown(&shop, "C"), 5);
    });
}
