//! Manual sync: an overwrite of everything or of the chosen stores or SKUs, whether or not auto-sync is on.
use crate::support::*;
use stocktide::db::runs::{RunFilter, RunKind, RunState};
use stocktide::domain::Sku;
use stocktide::domain::push::PushState::Confirmed;

#[test]
fn manual_sync_overwrites_everything_and_works_with_auto_sync_off() {
    story(async |world| {
        let seller = world.seller(off).await;
        let shops = [seller.shop("corner", &["A", "B"]).await, seller.shop("market", &["A"]).await];
        world.platform.set_quantity(&shops[0].external, "B", 99);
        seller.purchase("A", 5).await;
        seller.purchase("B", 7).await;
        let run = seller.sync(RunFilter::default()).await;
        world.a_moment().await;
        assert_eq!(world.received(&shops[0]), [set("A", 5), set("B", 7)]);
        assert_eq!(world.received(&shops[1]), [set("A", 5)]);
        assert!(seller.lines().await.iter().all(|(_, _, state)| *state == Confirmed));
        let run = seller.run(&run).await;
        assert_eq!((run.kind, run.state, run.total, run.done, run.failed), (RunKind::Manual, RunState::Finished, 3, 3, 0));
    });
}

#[test]
fn manual_sync_can_be_limited_to_some_stores() {
    story(async |world| {
        let seller = world.seller(off).await;
        let (corner, market) = (seller.shop("corner", &["A"]).await, seller.shop("market", &["A"]).await);
        seller.purchase("A", 5).await;
        seller.sync(RunFilter { store_ids: Some(vec![corner.id]), skus: None }).await;
        world.a_moment().await;
        assert_eq!((world.received(&corner), world.received(&market)), (vec![set("A", 5)], vec![]));
    });
}

#[test]
fn manual_sync_can_be_limited_to_some_skus() {
    story(async |world| {
        let seller = world.seller(off).await;
        let shop = seller.shop("corner", &["A", "B"]).await;
        seller.purchase("A", 5).await;
        seller.purchase("B", 5).await;
        seller.sync(RunFilter { store_ids: None, skus: Some(vec![Sku::parse("B").unwrap()]) }).await;
        world.a_moment().await;
        assert_eq!(world.received(&shop), [set("B", 5)]);
    });
}

#[test]
fn manual_sync_supersedes_waiting_increases() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let shop = seller.shop("corner", &["A"]).await;
        world.faults(|f| f.down = true);
        seller.purchase("A", 5).await;
        seller.purchase("A", 2).await;
        seller.sale("A", 1).await;
        let run = seller.sync(RunFilter::default()).await;
        world.sleep(minutes(5)).await;
        world.all_is_well();
        world.sleep(minutes(15)).await;
        assert_eq!(world.shown(&shop, "A"), 6);
        assert_eq!(world.received(&shop).last(), Some(&set("A", 6)));
        assert_eq!(seller.run(&run).await.done, 1);
    });
}

#[test]
fn manual_sync_continues_after_auto_sync_is_switched_off() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let shop = seller.shop("corner", &["A"]).await;
        world.faults(|f| f.down = true);
        seller.purchase("A", 5).await;
        seller.sync(RunFilter::default()).await;
        world.a_moment().await;
        seller.switches_off().await;
        world.all_is_well();
        world.sleep(minutes(5)).await;
        assert_eq!(world.received(&shop), [set("A", 5)]);
    });
}

#[test]
fn a_run_without_listings_finishes_at_once() {
    story(async |world| {
        let seller = world.seller(off).await;
        let run = seller.sync(RunFilter::default()).await;
        world.a_moment().await;
        let run = seller.run(&run).await;
        assert_eq!((run.state, run.total), (RunState::Finished, 0));
    });
}
