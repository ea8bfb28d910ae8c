//! Stock events: applied once, acknowledged when durable, never clamped.
use crate::support::*;
use stocktide::db::ledger::EventResult;
use stocktide::domain::WarehouseCode;
use stocktide::domain::stock::EventKind::{self, Adjustment, Cancellation, Count, Purchase, Return, Sale, Transfer};
use stocktide::domain::stock::StockEvent;

#[test]
fn an_event_is_applied_once_however_often_it_is_sent() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let shop = seller.shop("corner", &["A"]).await;
        let event = seller.an_event("A", Purchase, 5);
        let first = seller.record(vec![event.clone()]).await;
        world.sleep(hours(1)).await;
        let again = seller.record(vec![event.clone(), event]).await;
        let [EventResult::Accepted { at, .. }] = first[..] else { panic!("{first:?}") };
        let duplicate = || EventResult::Duplicate { at, remark: None };
        assert_eq!(again, [duplicate(), duplicate()], "duplicates get the first result");
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

/// An event that happened `ago` before now.
fn happened(world: &World, seller: &Seller<'_>, kind: EventKind, quantity: i64, ago: Span) -> StockEvent {
    StockEvent { occurred_at: Some(world.now() - ago), ..seller.an_event("A", kind, quantity) }
}

#[test]
fn a_late_count_adds_what_happened_since_and_pushes_only_what_it_changes() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let shop = seller.shop("corner", &["A"]).await;
        seller.purchase("A", 10).await;
        world.sleep(hours(2)).await;
        seller.sale("A", 3).await;
        world.sells(&shop, "A", 3);
        world.sleep(hours(1)).await;
        // Counted before the sale: the ten were twelve.
        let results = seller.record(vec![happened(world, &seller, Count, 12, minutes(90))]).await;
        assert!(matches!(&results[..], [EventResult::Accepted { remark: None, .. }]), "{results:?}");
        world.a_moment().await;
        assert_eq!((seller.available("A").await, world.shown(&shop, "A")), (9, 9));
        assert_eq!(world.received(&shop), [add("A", 10), add("A", 2)]);
    });
}

#[test]
fn a_count_older_than_a_later_one_and_a_movement_from_before_a_count_change_nothing_and_say_so() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let shop = seller.shop("corner", &["A"]).await;
        seller.event("A", Count, 10).await;
        world.sleep(hours(1)).await;
        let late = vec![happened(world, &seller, Count, 50, hours(2)), happened(world, &seller, Purchase, 5, hours(2))];
        let first = seller.record(late.clone()).await;
        for result in &first {
            let EventResult::Accepted { remark: Some(remark), .. } = result else { panic!("{result:?}") };
            assert!(remark.without_effect && !remark.reason.is_empty());
        }
        world.sleep(hours(1)).await;
        let again = seller.record(late).await;
        for (result, first) in again.iter().zip(&first) {
            let (EventResult::Duplicate { remark, .. }, EventResult::Accepted { remark: said, .. }) = (result, first) else {
                panic!("{result:?}")
            };
            assert_eq!(remark, said, "a repeat gets the first result");
        }
        assert_eq!((seller.available("A").await, world.received(&shop)), (10, vec![add("A", 10)]));
    });
}

#[test]
fn a_late_count_knows_transfers_future_times_and_counts_that_a_former_version_recorded() {
    story(async |world| {
        let seller = world.seller(off).await;
        seller.warehouse("south").await;
        seller.purchase("A", 20).await;
        world.sleep(hours(2)).await;
        let mut transfer = happened(world, &seller, Transfer, 4, hours(1));
        transfer.to_warehouse = Some(WarehouseCode::parse("south").unwrap());
        // A clock that is four minutes fast is believed, one that is a day fast is not.
        let fast = StockEvent { occurred_at: Some(world.now() + minutes(4)), ..seller.an_event("A", Sale, 1) };
        let faster = StockEvent { occurred_at: Some(world.now() + days(1)), ..seller.an_event("A", Sale, 2) };
        seller.record(vec![transfer, fast, faster]).await;
        world.sleep(minutes(1)).await;
        seller.record(vec![happened(world, &seller, Count, 30, minutes(90))]).await;
        let sku = stocktide::domain::Sku::parse("A").unwrap();
        let levels = seller.db().read(move |t| t.levels(&sku)).await.unwrap();
        assert_eq!(levels.into_values().collect::<Vec<_>>(), [30 - 4 - 1 - 2, 4], "main, south");
        seller.event("A", Count, 5).await;
        forget_when_it_was_counted(world);
        world.sleep(minutes(1)).await;
        let results = seller.record(vec![happened(world, &seller, Count, 50, minutes(30))]).await;
        assert!(matches!(&results[..], [EventResult::Accepted { remark: Some(_), .. }]), "{results:?}");
        assert_eq!(seller.available("A").await, 5 + 4);
    });
}

/// As a version that kept no time of counts left the rows.
fn forget_when_it_was_counted(world: &World) {
    world.execute("UPDATE stock_levels SET counted_at = NULL");
}

#[test]
fn a_repeat_of_an_event_that_a_former_version_recorded_is_recognized_whatever_its_digest() {
    story(async |world| {
        let seller = world.seller(off).await;
        let event = StockEvent { note: Some("a".to_owned()), ..seller.an_event("A", Purchase, 5) };
        seller.record(vec![event.clone()]).await;
        world.execute("UPDATE stock_events SET body_hash = seller_id");
        let again = StockEvent { note: None, occurred_at: Some(world.now()), ..event.clone() };
        let results = seller.record(vec![event, again]).await;
        assert!(matches!(results[..], [EventResult::Duplicate { .. }, EventResult::Duplicate { .. }]), "{results:?}");
        assert_eq!(seller.available("A").await, 5);
    });
}

#[test]
fn a_repeat_of_an_event_that_is_no_longer_kept_is_refused_if_its_id_tells_its_age() {
    story_of_days(START, async |world| {
        let seller = world.seller(off).await;
        let seconds = u64::try_from(world.now().as_millis()).unwrap() / 1000;
        let id = uuid::Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, seconds, 0)).to_string();
        let event = StockEvent { event_id: stocktide::domain::EventId::parse(&id).unwrap(), ..seller.an_event("A", Purchase, 5) };
        seller.record(vec![event.clone()]).await;
        world.sleep(days(92)).await;
        let results = seller.record(vec![event]).await;
        let [EventResult::Rejected { errors, conflict: false, .. }] = &results[..] else { panic!("{results:?}") };
        assert!(errors[0].pointer == "/event_id" && errors[0].detail.contains("90 days"), "{errors:?}");
        assert_eq!(seller.available("A").await, 5);
    });
}

#[test]
fn skus_that_a_former_version_created_are_compared_too_once_a_node_has_looked_at_them() {
    story(async |world| {
        let seller = world.seller(off).await;
        seller.purchase("Mug", 1).await;
        world.execute("UPDATE skus SET folded = NULL");
        // It does so as it prunes.
        world.sleep(minutes(11)).await;
        let results = seller.record(vec![seller.an_event("mug", Purchase, 1)]).await;
        let [EventResult::Accepted { remark: Some(remark), .. }] = &results[..] else { panic!("{results:?}") };
        assert_eq!(remark.similar_sku.as_deref(), Some("Mug"));
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
