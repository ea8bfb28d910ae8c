//! Falls of stock, which are pushed as decreases only for the reasons that a seller has chosen for a store; and stores that put
//! returned goods back on sale by themselves.
use crate::support::platform_that::{compares_and_sets, knows_keys, only_adds, only_sets};
use crate::support::*;
use serde_json::Value;
use stocktide::db::runs::RunFilter;
use stocktide::domain::push::PushState::{Confirmed, Superseded};
use stocktide::domain::stock::EventKind::{self, Adjustment, Count, Return, Sale};
use stocktide::service::stock_events::{self, EnteredEvent};

fn choosing(reasons: &[&str]) -> StoreChange {
    StoreChange { pushed_falls: Some(reasons.iter().map(|word| (*word).to_owned()).collect()), ..StoreChange::default() }
}

async fn shop_choosing(seller: &Seller<'_>, platform: Value, reasons: &[&str]) -> Shop {
    let shop = seller.shop_on(platform, "corner", &["A"]).await;
    seller.change_shop(&shop, choosing(reasons)).await;
    shop
}

/// An event about an order of this store.
async fn of_store(world: &World, seller: &Seller<'_>, shop: &Shop, kind: EventKind, quantity: i64) {
    let event = EnteredEvent { event: seller.an_event("A", kind, quantity), create: true, store: Some(shop.id) };
    stock_events::record(&world.service(), &seller.caller(), vec![event]).await.unwrap();
}

#[test]
fn damage_and_counts_are_pushed_as_decreases_where_the_seller_has_chosen_that() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let (chosen, plain) = (shop_choosing(&seller, knows_keys(), &["adjustment", "count"]).await, seller.shop("plain", &["A"]).await);
        seller.purchase("A", 20).await;
        world.a_moment().await;
        for (kind, quantity) in [(Adjustment, -3), (Count, 12), (Sale, 1)] {
            seller.event("A", kind, quantity).await;
            world.a_moment().await;
        }
        assert_eq!(world.received(&chosen), [add("A", 20), add("A", -3), add("A", -5)]);
        assert_eq!((world.shown(&chosen, "A"), world.shown(&plain, "A")), (12, 20), "a sale was not chosen");
    });
}

#[test]
fn a_decrease_leaves_what_the_store_has_sold_by_itself_sold() {
    for platform in [knows_keys(), compares_and_sets(), only_adds(), only_sets()] {
        story(async |world| {
            let seller = world.seller(incremental).await;
            let shop = shop_choosing(&seller, platform.clone(), &["adjustment"]).await;
            seller.purchase("A", 10).await;
            world.a_moment().await;
            world.sells(&shop, "A", 2);
            seller.event("A", Adjustment, -3).await;
            world.a_moment().await;
            assert_eq!(world.shown(&shop, "A"), 5, "10 less 2 sold and 3 damaged: {:?}", world.received(&shop));
        });
    }
}

#[test]
fn nothing_below_zero_is_sent_to_a_store_that_is_read_first() {
    for platform in [compares_and_sets(), only_adds(), only_sets()] {
        story(async |world| {
            let seller = world.seller(incremental).await;
            let shop = shop_choosing(&seller, platform.clone(), &["adjustment"]).await;
            seller.purchase("A", 5).await;
            world.a_moment().await;
            world.sells(&shop, "A", 3);
            seller.event("A", Adjustment, -3).await;
            world.a_moment().await;
            assert_eq!(world.shown(&shop, "A"), 0, "there were 2: {:?}", world.received(&shop));
            let received = world.received(&shop).len();
            seller.event("A", Adjustment, -1).await;
            world.a_moment().await;
            let sent = &world.received(&shop)[received..];
            assert!(
                sent.is_empty() || (platform == compares_and_sets() && sent == [set("A", 0)]),
                "there is nothing to take off: {sent:?}"
            );
            assert_eq!(world.shown(&shop, "A"), 0);
            assert_eq!(seller.lines().await, [increase(5, Confirmed), increase(-3, Confirmed), increase(-1, Confirmed)]);
        });
    }
}

#[test]
fn a_sale_is_taken_off_elsewhere_and_not_in_the_store_that_has_sold() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let reasons = ["sale_elsewhere", "offline_sale"];
        let (here, there) = (shop_choosing(&seller, knows_keys(), &reasons).await, shop_choosing(&seller, knows_keys(), &reasons).await);
        seller.purchase("A", 10).await;
        world.a_moment().await;
        world.sells(&here, "A", 2);
        of_store(world, &seller, &here, Sale, 2).await;
        world.a_moment().await;
        assert_eq!((world.shown(&here, "A"), world.shown(&there, "A")), (8, 8));
        seller.sale("A", 1).await;
        world.a_moment().await;
        assert_eq!((world.shown(&here, "A"), world.shown(&there, "A")), (7, 7), "over the counter");
    });
}

#[test]
fn a_sale_of_a_sku_that_is_listed_twice_is_taken_off_both_listings_elsewhere_and_off_neither_where_it_was_made() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let mut shops = Vec::new();
        for _ in 0..2 {
            let shop = seller.shop_on(knows_keys(), "corner", &[]).await;
            seller.pair_as(&shop, &[("cup", "A"), ("tasse", "A")]).await;
            seller.change_shop(&shop, choosing(&["sale_elsewhere"])).await;
            shops.push(shop);
        }
        let [here, there] = &shops[..] else { unreachable!() };
        seller.purchase("A", 10).await;
        world.a_moment().await;
        world.sells(here, "cup", 2);
        of_store(world, &seller, here, Sale, 2).await;
        world.a_moment().await;
        let both = |shop| (world.shown(shop, "cup"), world.shown(shop, "tasse"));
        assert_eq!((both(here), both(there)), ((8, 10), (8, 8)), "which of them has sold is known at the next overwrite");
    });
}

#[test]
fn increases_and_decreases_that_wait_for_a_paused_store_are_evened_out() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let shop = shop_choosing(&seller, knows_keys(), &["adjustment"]).await;
        seller.purchase("A", 10).await;
        world.a_moment().await;
        seller.pauses(&shop).await;
        seller.purchase("A", 5).await;
        seller.event("A", Adjustment, -7).await;
        seller.resumes(&shop).await;
        world.a_moment().await;
        assert_eq!(world.received(&shop), [add("A", 10), add("A", -2)]);
        seller.pauses(&shop).await;
        seller.purchase("A", 4).await;
        seller.event("A", Adjustment, -4).await;
        seller.resumes(&shop).await;
        world.a_moment().await;
        assert_eq!(world.received(&shop).len(), 2, "nothing is left to send");
        assert_eq!(seller.lines().await, [increase(10, Confirmed), increase(-2, Confirmed), increase(0, Superseded)]);
    });
}

#[test]
fn a_decrease_whose_answer_is_lost_is_applied_once() {
    for platform in [knows_keys(), compares_and_sets(), only_adds(), only_sets()] {
        for before in [true, false] {
            story(async |world| {
                let seller = world.seller(incremental).await;
                let shop = shop_choosing(&seller, platform.clone(), &["adjustment"]).await;
                seller.purchase("A", 10).await;
                world.a_moment().await;
                if before {
                    world.loses_requests()
                } else {
                    world.loses_answers()
                }
                seller.event("A", Adjustment, -3).await;
                world.a_moment().await;
                world.all_is_well();
                world.sells(&shop, "A", 1);
                world.sleep(minutes(30)).await;
                assert_eq!(
                    world.shown(&shop, "A"),
                    6,
                    "10 less 3 damaged and 1 sold: {:?} {:?}",
                    world.received(&shop),
                    seller.lines().await
                );
            });
        }
    }
}

#[test]
fn what_is_taken_off_is_no_unseen_sale_of_a_protected_store() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let shop = shop_choosing(&seller, compares_and_sets(), &["adjustment"]).await;
        seller.purchase("A", 20).await;
        world.a_moment().await;
        world.sells(&shop, "A", 2);
        of_store(world, &seller, &shop, Sale, 2).await;
        seller.sync(RunFilter::default()).await;
        world.a_moment().await;
        seller.event("A", Adjustment, -5).await;
        world.sells(&shop, "A", 1);
        world.a_moment().await;
        assert_eq!(world.shown(&shop, "A"), 12);
        seller.sync(RunFilter::default()).await;
        world.a_moment().await;
        assert_eq!(world.shown(&shop, "A"), 12, "13 less the sale that nobody has reported: {:?}", world.received(&shop));
    });
}

#[test]
fn switching_a_reason_on_takes_effect_for_events_recorded_after_it() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let shop = seller.shop("corner", &["A"]).await;
        seller.purchase("A", 10).await;
        seller.event("A", Adjustment, -1).await;
        seller.change_shop(&shop, choosing(&["adjustment"])).await;
        seller.event("A", Adjustment, -2).await;
        world.a_moment().await;
        seller.change_shop(&shop, choosing(&[])).await;
        seller.event("A", Adjustment, -4).await;
        world.a_moment().await;
        assert_eq!(world.shown(&shop, "A"), 8, "{:?}", world.received(&shop));
    });
}

#[test]
fn a_returned_unit_is_not_there_twice_in_a_store_that_restocks_by_itself() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let (own, other) = (seller.shop("own", &["A"]).await, seller.shop("other", &["A"]).await);
        seller.change_shop(&own, StoreChange { restocks_returns: Some(true), ..StoreChange::default() }).await;
        seller.purchase("A", 10).await;
        world.a_moment().await;
        world.sells(&own, "A", -1);
        of_store(world, &seller, &own, Return, 1).await;
        world.a_moment().await;
        assert_eq!((world.shown(&own, "A"), world.shown(&other, "A")), (11, 11));
        of_store(world, &seller, &other, Return, 1).await;
        world.a_moment().await;
        assert_eq!((world.shown(&own, "A"), world.shown(&other, "A")), (12, 12), "the other shop's order");
    });
}

#[test]
fn what_a_store_has_put_back_by_itself_hides_no_sale_that_nobody_has_reported() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let shop = seller.shop("corner", &["A"]).await;
        seller.change_shop(&shop, StoreChange { restocks_returns: Some(true), ..StoreChange::default() }).await;
        seller.purchase("A", 10).await;
        world.a_moment().await;
        world.sells(&shop, "A", 1);
        of_store(world, &seller, &shop, Sale, 1).await;
        seller.sync(RunFilter::default()).await;
        world.a_moment().await;
        world.sells(&shop, "A", 2);
        world.sells(&shop, "A", -1);
        of_store(world, &seller, &shop, Return, 1).await;
        seller.sync(RunFilter::default()).await;
        world.a_moment().await;
        assert_eq!(world.shown(&shop, "A"), 8, "10 are there, 2 of them sold: {:?}", world.received(&shop));
    });
}
