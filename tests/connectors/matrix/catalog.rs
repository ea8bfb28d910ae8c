//! What a store is, and where its listings are.
use super::all::{lazada, shopify, simulated, tiktok_shop, woocommerce};
use super::faces::Face;
use super::shop::Ask;
use super::{FIRST, play};
use serde_json::json;
use std::time::Duration;
use stocktide::db;
use stocktide::db::listings::NewListing;
use stocktide::db::stores::Store;
use stocktide::domain::push::PushState::{Confirmed, Held, Rejected};
use stocktide::domain::{Sku, StoreId};
use stocktide::service::stores::StoreChange;
use stocktide::service::{self, Error};

/// Two stores that an earlier version let be the same shop: only the first may go on.
#[test]
fn the_second_of_two_stores_that_are_one_shop_is_refused_when_it_is_checked() {
    play(simulated(), 1, async |stage| {
        let first = stage.store().await;
        let second = Store { id: StoreId::new(stage.world.clock.now()), name: "second".to_owned(), credentials: None, ..first.clone() };
        let (id, row) = (second.id, second.clone());
        stage.world.db.write(move |t| t.save_store(&row)).await.unwrap();
        let check = async |id| service::stores::check(&stage.service(), &stage.caller(), id).await;
        let refused = check(id).await.unwrap_err();
        assert!(matches!(&refused, Error::Rows(db::Error::Conflict(why)) if why.contains(&first.name)), "{refused:?}");
        let paused = stage.world.db.read(move |t| t.store(id)).await.unwrap();
        assert!(paused.paused && paused.problem.is_some_and(|why| why.contains(&first.name)), "it gets no work, and says why");
        assert!(!stage.store().await.paused, "the first goes on");
        assert_eq!(check(first.id).await.unwrap().reason, None);
        assert!(stage.store().await.shop.is_some(), "the check has told which shop it is");
        assert!(check(id).await.is_err());
        // No two stores may be left for one shop at the end.
        let now = stage.world.clock.now();
        stage.world.db.write(move |t| t.delete_store(id, now).map(drop)).await.unwrap();
    });
}

/// The keys arrive only in the address: the check names the step, and once it is taken everything is sent.
#[test]
fn a_host_that_drops_the_authorization_header_is_named_with_the_step_to_take() {
    play(woocommerce(), 2, async |stage| {
        stage.shop.trouble(|trouble| trouble.drops_authorization = true);
        stage.arrive(5).await;
        stage.sleep(30).await;
        assert_eq!(stage.in_state(Held).await.len(), 2);
        let why = stage.check().await.unwrap();
        assert!(why.contains("Authorization header") && why.contains("set auth to query"), "{why}");
        stage.change(StoreChange { config: json!({"auth": "query"}).as_object().unwrap().clone(), ..StoreChange::default() }).await;
        stage.world.handle.reconfigure(stage.world.db.id());
        stage.sleep(20).await;
        stage.all_show(15).await;
    });
}

/// 0.1 s a row and 250 rows: the first call is not answered in time, and is repeated as it was; what follows is smaller.
#[test]
fn calls_under_a_key_shrink_after_a_timeout_and_the_one_that_was_sent_is_repeated_as_it_was() {
    play(shopify(), 250, async |stage| {
        stage.shop.trouble(|trouble| trouble.per_row = Duration::from_millis(100));
        stage.numbers().for_each(|n| stage.shop.sells(n, 4));
        stage.overwrite().await;
        // Not so long that the seller's actors end, since only they remember the size.
        stage.sleep(60).await;
        stage.all_show(10).await;
        stage.arrive(5).await;
        stage.sleep(900).await;
        stage.all_show(15).await;
        let state = stage.shop.state();
        let sizes = |adds: bool| -> Vec<usize> {
            let of_kind = |ask: &&Ask| matches!(ask, Ask::Add(_)) == adds && ask.writes();
            state.log.iter().map(|(_, ask)| ask).filter(of_kind).map(Ask::rows).collect()
        };
        let (sets, adds) = (sizes(false), sizes(true));
        assert!(sets.len() > 1 && sets.iter().all(|rows| *rows == 250), "{sets:?}");
        assert!(adds.iter().all(|rows| *rows <= 125), "{adds:?}");
    });
}

/// A SKU is in two warehouses and nothing names one: neither is filled, not even by an overwrite, with the total or with
/// anything else.
fn in_several_warehouses(face: Face) {
    play(face, 2, async |stage| {
        stage.shop.trouble(|trouble| trouble.in_two_warehouses = Some(FIRST));
        stage.arrive(5).await;
        stage.sleep(60).await;
        let rejected = stage.in_state(Rejected).await;
        assert!(
            matches!(&rejected[..], [push] if push.reason.as_deref().is_some_and(|why| why.contains("several warehouses"))),
            "{:#?}",
            stage.pushes().await
        );
        assert_eq!(stage.shown(), [10, 15]);
        stage.overwrite().await;
        stage.sleep(60).await;
        assert_eq!(stage.shown(), [10, 15], "{:#?}", stage.pushes().await);
        stage.shop.recovers();
        stage.sleep(2 * 3600).await;
        stage.all_show(15).await;
    });
}

#[test]
fn a_sku_in_several_warehouses_of_tiktok_shop_is_not_filled_with_the_total() {
    in_several_warehouses(tiktok_shop());
}

#[test]
fn a_sku_in_several_warehouses_of_lazada_is_not_filled_with_the_total() {
    in_several_warehouses(lazada());
}

/// The listing was paired at another location than the one that its store names now.
pub fn a_listing_paired_where_the_store_was(face: Face) {
    let listing = face.listing;
    play(face, 2, async |stage| {
        let pair = async |elsewhere: bool| {
            let (external_id, fields) = listing(FIRST);
            let own = fields.into_iter().map(|(name, value)| (name.to_owned(), value));
            let former = if stage.face.platform == "medusa" { "sloc_9" } else { "9" };
            let location = elsewhere.then(|| ("location_id".to_owned(), former.to_owned()));
            let row = NewListing {
                sku: Sku::parse(&FIRST.to_string()).unwrap(),
                external_id,
                extra: Some(own.chain(location).collect()),
                units: None,
                pass: None,
            };
            let (store, now) = (stage.store().await.id, stage.world.clock.now());
            stage
                .world
                .db
                .write(move |t| t.save_listings(store, std::slice::from_ref(&row), Default::default(), now).map(drop))
                .await
                .unwrap();
        };
        pair(true).await;
        stage.arrive(5).await;
        stage.sleep(60).await;
        let rejected = stage.in_state(Rejected).await;
        assert!(
            matches!(&rejected[..], [push] if push.next_step.as_deref().is_some_and(|step| step.contains("Discover"))),
            "{:#?}",
            stage.pushes().await
        );
        assert_eq!((stage.shown(), stage.in_state(Confirmed).await.len()), (vec![10, 15], 1));
        pair(false).await;
        stage.sleep(2 * 3600).await;
        stage.all_show(15).await;
    });
}
