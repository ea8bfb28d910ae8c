//! Isolation: no seller reads or changes another seller's row.
use crate::support::*;
use stocktide::db::Error;
use stocktide::db::ledger::EventResult;
use stocktide::db::pushes::{CancelScope, PushFilter};
use stocktide::db::runs::RunFilter;
use stocktide::domain::Sku;
use stocktide::domain::push::PushState::{Held, Rejected};
use stocktide::domain::stock::EventKind::Purchase;
use stocktide::service::sellers::EnteredSeller;
use stocktide::service::{self, Operator};

#[test]
fn another_sellers_rows_cannot_be_read() {
    story(async |world| {
        let (ada, ben) = (world.seller(incremental).await, world.seller(incremental).await);
        let shop = ada.shop("corner", &["A"]).await;
        ada.purchase("A", 5).await;
        let run = ada.sync(RunFilter::default()).await;
        world.a_moment().await;
        let (store, listing) = (shop.id, ada.listing(&shop, "A").await.id);
        ben.db()
            .read(move |t| {
                assert!(matches!(t.store(store), Err(Error::NotFound)));
                assert!(matches!(t.run(run.id), Err(Error::NotFound)));
                assert!(matches!(t.stock(&Sku::parse("A").unwrap()), Err(Error::NotFound)));
                assert_eq!(t.listings(store, None, 100)?, []);
                assert_eq!(t.stores(None, 100)?, []);
                assert_eq!(t.runs(None, 100)?, []);
                assert_eq!(t.list_pushes(&PushFilter { store_id: Some(store), ..PushFilter::default() }, None, 100)?, []);
                assert!(t.targets_of(&[listing])?.is_empty());
                let audited: Vec<String> = t.audit(None, 100)?.into_iter().map(|entry| entry.action).collect();
                assert_eq!(audited, ["sync_settings.changed", "seller.created"], "its own alone");
                Ok(())
            })
            .await
            .unwrap();
    });
}

#[test]
fn another_sellers_rows_cannot_be_changed() {
    story(async |world| {
        let (ada, ben) = (world.seller(incremental).await, world.seller(incremental).await);
        let shop = ada.shop("corner", &["A", "B"]).await;
        world.faults(|f| f.reject_items = vec!["B".into()]);
        ada.purchase("B", 5).await;
        world.a_moment().await;
        ada.pauses(&shop).await;
        ada.purchase("A", 5).await;
        let before = ada.pushes().await;
        let ids: Vec<_> = before.iter().map(|push| push.id).collect();
        let now = world.now();
        assert_eq!(ben.db().write(move |t| t.retry_step(Some(&ids), &PushFilter::default(), None, now)).await.unwrap().queued, 0);
        let (store, listing, now) = (shop.id, ada.listing(&shop, "A").await.id, world.now());
        for scope in [CancelScope::AutoSync, CancelScope::Store(store)] {
            assert_eq!(ben.db().write(move |t| t.cancel_pushes(scope, "mine?", now)).await.unwrap(), 0);
        }
        ben.db().write(move |t| t.release_store(store, now).map(drop)).await.unwrap_err();
        ben.db().write(move |t| t.hold_store(store, now).map(drop)).await.unwrap();
        ben.db().write(move |t| t.delete_listing(store, listing, now).map(drop)).await.unwrap_err();
        ben.db().write(move |t| t.delete_store(store, now).map(drop)).await.unwrap_err();
        let of_ada = RunFilter { store_ids: Some(vec![store]), skus: None };
        assert!(service::syncs::start(&world.service(), &ben.caller(), of_ada).await.is_err());
        world.a_moment().await;
        assert_eq!(ada.pushes().await, before);
        assert_eq!(ada.lines().await, [increase(5, Rejected), increase(5, Held)]);
    });
}

#[test]
fn two_sellers_can_use_the_same_event_ids_skus_and_item_names_independently() {
    story(async |world| {
        let (ada, ben) = (world.seller(incremental).await, world.seller(incremental).await);
        let (ada_shop, ben_shop) = (ada.shop("corner", &["A"]).await, ben.shop("corner", &["A"]).await);
        let event = ada.an_event("A", Purchase, 5);
        let mut other = event.clone();
        other.quantity = 7;
        assert!(matches!(ada.record(vec![event]).await[..], [EventResult::Accepted { .. }]));
        assert!(matches!(ben.record(vec![other]).await[..], [EventResult::Accepted { .. }]));
        world.a_moment().await;
        assert_eq!((world.received(&ada_shop), world.received(&ben_shop)), (vec![add("A", 5)], vec![add("A", 7)]));
        assert_eq!((ada.available("A").await, ben.available("A").await), (5, 7));
    });
}

#[test]
fn switching_auto_sync_off_affects_only_that_seller() {
    story(async |world| {
        let (ada, ben) = (world.seller(incremental).await, world.seller(incremental).await);
        let (ada_shop, ben_shop) = (ada.shop("corner", &["A"]).await, ben.shop("corner", &["A"]).await);
        world.faults(|f| f.down = true);
        ada.purchase("A", 5).await;
        ben.purchase("A", 5).await;
        world.a_moment().await;
        ada.switches_off().await;
        world.all_is_well();
        world.sleep(minutes(5)).await;
        assert_eq!((world.received(&ada_shop), world.received(&ben_shop)), (vec![], vec![add("A", 5)]));
    });
}

#[test]
fn nothing_is_sent_for_a_seller_while_it_is_suspended() {
    story(async |world| {
        let (ada, ben) = (world.seller(incremental).await, world.seller(incremental).await);
        let (ada_shop, ben_shop) = (ada.shop("corner", &["A"]).await, ben.shop("corner", &["A"]).await);
        let suspend = async |suspended: bool| {
            let id = ada.id;
            service::sellers::change(
                &world.service(),
                Operator,
                id,
                EnteredSeller { suspended: Some(suspended), ..EnteredSeller::default() },
            )
            .await
            .unwrap();
        };
        suspend(true).await;
        ada.purchase("A", 5).await;
        ben.purchase("A", 5).await;
        world.sleep(hours(1)).await;
        assert_eq!((world.received(&ada_shop), world.received(&ben_shop)), (vec![], vec![add("A", 5)]));
        suspend(false).await;
        world.a_moment().await;
        assert_eq!(world.received(&ada_shop), [add("A", 5)]);
    });
}

#[test]
fn deleting_a_seller_removes_all_of_its_data_and_nobody_elses() {
    story(async |world| {
        let (ada, ben) = (world.seller(incremental).await, world.seller(incremental).await);
        let (_, ben_shop) = (ada.shop("corner", &["A"]).await, ben.shop("corner", &["A"]).await);
        world.faults(|f| f.down = true);
        ada.purchase("A", 5).await;
        ben.purchase("A", 5).await;
        service::sellers::delete(&world.service(), Operator, ada.id).await.unwrap();
        world.all_is_well();
        world.sleep(minutes(5)).await;
        assert!(matches!(ada.db().read(|t| t.sync_settings()).await, Err(Error::NotFound)));
        assert_eq!(ada.pushes().await, []);
        assert_eq!(world.received(&ben_shop), [add("A", 5)]);
    });
}
