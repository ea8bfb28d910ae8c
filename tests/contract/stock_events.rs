//! Stock events: applied once, acknowledged when durable, never clamped.
use crate::support::*;
use stocktide::db::ledger::EventResult;
use stocktide::domain::WarehouseCode;
use stocktide::domain::stock::EventKind::{Adjustment, Cancellation, Count, Purchase, Return, Sale, Transfer};

#[test]
fn an_event_is_applied_once_however_often_it_is_sent() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let shop = seller.shop("corner", &["A"]).await;
        let event = seller.an_event("A", Purchase, 5);
        let first = seller.record(vec![event.clone()]).await;
        world.sleep(hours(1)).await;
        let again = seller.record(vec![event.clone(), event]).await;
        let [EventResult::Accepted { at }] = first[..] else { panic!("{first:?}") };
        assert_eq!(again, [EventResult::Duplicate { at }, EventResult::Duplicate { at }], "duplicates get the first result");
        assert_eq!(seller.available("A").await, 5);
        world.a_moment().await;
        assert_eq!(world.received(&shop), [add("A", 5)]);
    });
}

#[test]
fn an_event_sent_twice_in_one_batch_is_applied_once() {
    story(async |world| {
        let seller = world.seller(off).await;
        let event = seller.an_event("A", Purchase, 5);
        let results = seller.record(vec![event.clone(), event]).await;
        assert!(matches!(results[..], [EventResult::Accepted { .. }, EventResult::Duplicate { .. }]), "{results:?}");
        assert_eq!(seller.available("A").await, 5);
    });
}

#[test]
fn an_event_id_reused_with_another_body_is_rejected_and_changes_nothing() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let shop = seller.shop("corner", &["A"]).await;
        let event = seller.an_event("A", Purchase, 5);
        let mut other = event.clone();
        other.quantity = 50;
        seller.record(vec![event]).await;
        let results = seller.record(vec![other]).await;
        assert!(matches!(&results[..], [EventResult::Rejected { conflict: true, .. }]), "{results:?}");
        world.a_moment().await;
        assert_eq!((seller.available("A").await, world.shown(&shop, "A")), (5, 5));
    });
}

#[test]
fn each_event_in_a_batch_gets_its_own_result() {
    story(async |world| {
        let seller = world.seller(off).await;
        let mut lost = seller.an_event("A", Purchase, 7);
        lost.warehouse = WarehouseCode::parse("nowhere").unwrap();
        let results = seller.record(vec![seller.an_event("A", Purchase, 5), lost, seller.an_event("B", Purchase, 3)]).await;
        assert!(
            matches!(results[..], [EventResult::Accepted { .. }, EventResult::Rejected { .. }, EventResult::Accepted { .. }]),
            "{results:?}"
        );
        assert_eq!((seller.available("A").await, seller.available("B").await), (5, 3));
    });
}

#[test]
fn each_kind_of_event_changes_available_by_its_own_rule() {
    story(async |world| {
        let seller = world.seller(off).await;
        let steps = [
            (Purchase, 10, 10),
            (Return, 2, 12),
            (Sale, 5, 7),
            (Cancellation, 1, 8),
            (Adjustment, -3, 5),
            (Adjustment, 4, 9),
            (Count, 6, 6),
        ];
        for (kind, quantity, available) in steps {
            seller.event("A", kind, quantity).await;
            assert_eq!(seller.available("A").await, available, "after {kind:?} {quantity}");
        }
    });
}

#[test]
fn a_transfer_moves_available_units_from_one_warehouse_to_another() {
    story(async |world| {
        let seller = world.seller(off).await;
        seller.warehouse("south").await;
        seller.purchase("A", 10).await;
        let mut transfer = seller.an_event("A", Transfer, 4);
        transfer.to_warehouse = Some(WarehouseCode::parse("south").unwrap());
        seller.record(vec![transfer]).await;
        let sku = stocktide::domain::Sku::parse("A").unwrap();
        let levels = seller.db().read(move |t| t.levels(&sku)).await.unwrap();
        assert_eq!(levels.into_values().collect::<Vec<_>>(), [6, 4], "main, south");
    });
}

#[test]
fn available_may_go_below_zero_and_is_never_clamped() {
    story(async |world| {
        let seller = world.seller(off).await;
        seller.purchase("A", 2).await;
        seller.sale("A", 7).await;
        assert_eq!(seller.available("A").await, -5);
        seller.purchase("A", 6).await;
        assert_eq!(seller.available("A").await, 1);
    });
}

#[test]
fn an_acknowledged_event_and_its_increase_survive_an_immediate_crash() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let shop = seller.shop("corner", &["A"]).await;
        seller.purchase("A", 5).await;
        world.crashes().await;
        world.starts();
        world.sleep(minutes(1)).await;
        assert_eq!(seller.available("A").await, 5);
        assert_eq!(world.received(&shop), [add("A", 5)]);
    });
}
