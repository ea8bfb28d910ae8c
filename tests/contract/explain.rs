//! Why a listing shows what it shows: what was sent to it, the formula of its target, and the history behind both.
use crate::support::*;
use stocktide::db::explain::Place;
use stocktide::db::ledger::EventResult;
use stocktide::db::runs::RunFilter;
use stocktide::domain::push::PushState;
use stocktide::domain::stock::{EventKind, StockEvent};
use stocktide::domain::{Sku, StoreId, WarehouseCode};
use stocktide::service::explain::{Explanation, Happened, explain};

async fn explained(seller: &Seller<'_>, store: Option<StoreId>, before: Place, limit: i64) -> Explanation {
    explain(&seller.caller(), Sku::parse("A").unwrap(), store, before, limit).await.unwrap()
}

/// Every item of the history in words, newest first.
fn words(history: &[Happened]) -> Vec<String> {
    let word = |happened: &Happened| match happened {
        Happened::Push(push) => format!("{:?} {}", push.kind(), push.quantity().unwrap_or_default()),
        Happened::Event { past, after, targets } => {
            let after: Vec<String> =
                after.iter().map(|(code, level)| format!("{code}={}", level.map_or("?".to_owned(), |n| n.to_string()))).collect();
            let targets: Vec<i64> = targets.iter().map(|(_, target)| *target).collect();
            format!("{} {}: {} {targets:?}", past.event.kind.as_str(), past.event.quantity, after.join(" "))
        }
    };
    history.iter().map(word).collect()
}

#[test]
fn a_listing_is_explained_by_its_last_overwrite_the_increases_since_and_what_the_store_sold_itself() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let shop = seller.shop("corner", &["A"]).await;
        let before = explained(&seller, None, Place::default(), 10).await;
        assert_eq!(before.listings[0].sent.text(), "What the store shows is not known: it was neither overwritten nor read yet.");
        seller.event("A", EventKind::Count, 10).await;
        world.a_moment().await;
        seller.sync(RunFilter::default()).await;
        world.a_moment().await;
        for units in [5, 2] {
            seller.purchase("A", units).await;
            world.a_moment().await;
        }
        world.sells(&shop, "A", 3);
        seller.purchase("A", 1).await;
        world.a_moment().await;
        let found = explained(&seller, None, Place::default(), 10).await;
        let listing = &found.listings[0];
        assert_eq!((listing.sent.set_to, listing.sent.increased_by, listing.sent.increases), (Some(10), 8, 3));
        assert_eq!((listing.sent.sum(), listing.sent.shown, listing.sent.changed_in_store()), (Some(18), Some(15), Some(-3)));
        assert_eq!((listing.formula.pool, listing.formula.target.part, listing.formula.target.shown), (18, 18, 18));
        assert_eq!(
            listing.sent.text(),
            "It was set to 10, then increased by 8 in 3 steps. The store itself has lowered that by 3 units since, as sales do. \
             It showed 15 when last known. That is 3 units below its target; an overwrite would set it."
        );
    });
}

#[test]
fn the_history_has_every_event_with_what_it_left_and_every_push_and_is_the_same_in_pages_of_any_size() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        seller.warehouse("east").await;
        let shop = seller.shop("corner", &["A"]).await;
        seller.share(&shop, 50.0).await;
        seller.event("A", EventKind::Count, 10).await;
        world.a_moment().await;
        seller.purchase("A", 5).await;
        world.a_moment().await;
        seller.sale("A", 2).await;
        world.a_moment().await;
        let east = Some(WarehouseCode::parse("east").unwrap());
        seller.record(vec![StockEvent { to_warehouse: east, ..seller.an_event("A", EventKind::Transfer, 4) }]).await;
        world.a_moment().await;
        seller.event("A", EventKind::Count, 3).await;
        world.a_moment().await;
        // These two are recorded in the same instant.
        seller.record(vec![seller.an_event("A", EventKind::Return, 1), seller.an_event("A", EventKind::Sale, 2)]).await;
        world.a_moment().await;
        let whole = explained(&seller, None, Place::default(), 100).await;
        let expected = [
            "Increase 1",
            "sale 2: east=4 main=2 [3]",
            "return 1: east=4 main=2 [3]",
            "count 3: east=4 main=3 [3]",
            "transfer 4: east=4 main=? []",
            "sale 2: east=0 main=? []",
            "Increase 2",
            "purchase 5: east=0 main=? []",
            "Increase 5",
            "count 10: east=0 main=? []",
        ];
        assert_eq!(words(&whole.history), expected);
        for limit in [1, 2, 3, 7] {
            let (mut all, mut before) = (Vec::new(), Some(Place::default()));
            while let Some(place) = before {
                let page = explained(&seller, Some(shop.id), place, limit).await;
                assert!(page.history.len() <= usize::try_from(limit).unwrap());
                all.extend(page.history);
                before = page.next;
            }
            assert_eq!(words(&all), expected, "pages of {limit}");
        }
    });
}

#[test]
fn an_event_that_a_newer_count_included_changes_nothing_in_the_history_either() {
    story(async |world| {
        let seller = world.seller(off).await;
        seller.shop("corner", &["A"]).await;
        seller.event("A", EventKind::Count, 9).await;
        world.sleep(hours(1)).await;
        let counted = StockEvent { occurred_at: Some(world.now()), ..seller.an_event("A", EventKind::Count, 6) };
        seller.record(vec![counted]).await;
        world.sleep(hours(1)).await;
        let late = StockEvent { occurred_at: Some(world.now() - hours(2)), ..seller.an_event("A", EventKind::Sale, 3) };
        seller.record(vec![late]).await;
        let found = explained(&seller, None, Place::default(), 10).await;
        assert_eq!(words(&found.history), ["sale 3: main=6 [6]", "count 6: main=6 [6]", "count 9: main=? []"]);
        let Happened::Event { past, .. } = &found.history[0] else { panic!("it is an event") };
        assert_eq!(past.effect(), []);
        assert!(past.in_count.reason(&past.event).unwrap().contains("newest count"));
    });
}

#[test]
fn sales_that_name_their_store_are_counted_apart_and_a_store_of_another_seller_is_refused() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let (corner, market) = (seller.shop("corner", &["A"]).await, seller.shop("market", &["A"]).await);
        seller.event("A", EventKind::Count, 10).await;
        world.a_moment().await;
        seller.sale_of(&corner, "A", 4).await;
        seller.sync(RunFilter::default()).await;
        world.a_moment().await;
        world.sells(&corner, "A", 3);
        seller.sale_of(&corner, "A", 2).await;
        seller.sale_of(&market, "A", 1).await;
        seller.purchase("A", 1).await;
        world.a_moment().await;
        let found = explained(&seller, Some(corner.id), Place::default(), 10).await;
        let sent = &found.listings[0].sent;
        assert_eq!((sent.set_to, sent.sum(), sent.changed_in_store(), sent.reported_sales), (Some(6), Some(7), Some(-3), 2));
        let by: Vec<_> =
            found.history.iter().filter_map(|item| if let Happened::Event { past, .. } = item { past.store } else { None }).collect();
        assert_eq!(by, [market.id, corner.id, corner.id]);
        assert_eq!(seller.available("A").await, 4);

        let stranger = world.seller(off).await;
        let refused = stranger.sale_of(&corner, "A", 1).await;
        let EventResult::Rejected { errors, .. } = &refused[0] else { panic!("{refused:?}") };
        assert_eq!((errors[0].pointer.as_str(), errors[0].detail.as_str()), ("/store_id", "there is no such store"));
        seller.removes(&market).await;
        assert!(matches!(seller.sale_of(&market, "A", 1).await[..], [EventResult::Rejected { .. }]), "nor one that is gone");
    });
}

#[test]
fn a_divided_stock_is_explained_by_the_part_of_each_store_also_where_only_one_is_asked_about() {
    story(async |world| {
        let seller = world.seller(exclusive).await;
        let (corner, market) = (seller.shop("corner", &["A"]).await, seller.shop("market", &["A"]).await);
        seller.share(&corner, 70.0).await;
        seller.share(&market, 30.0).await;
        seller.purchase("A", 10).await;
        world.a_moment().await;
        let all = explained(&seller, None, Place::default(), 10).await;
        assert_eq!(
            all.listings.iter().map(|listing| (listing.formula.pool, listing.formula.target.part)).collect::<Vec<_>>(),
            [(10, 7), (10, 3)]
        );
        let one = explained(&seller, Some(market.id), Place::default(), 10).await;
        assert_eq!(one.listings.len(), 1);
        assert_eq!((one.listings[0].formula.target.part, one.listings[0].sent.increased_by), (3, 3));
        assert_eq!(words(&one.history), ["Increase 3", "purchase 10: main=10 [3]"], "the other store's push is not part of it");
        assert!(seller.pushes().await.iter().all(|push| push.state == PushState::Confirmed));
        let stranger = world.seller(off).await;
        assert!(explain(&stranger.caller(), Sku::parse("A").unwrap(), None, Place::default(), 10).await.is_err());
        assert!(explain(&seller.caller(), Sku::parse("A").unwrap(), Some(StoreId::new(world.now())), Place::default(), 10).await.is_err());
    });
}
