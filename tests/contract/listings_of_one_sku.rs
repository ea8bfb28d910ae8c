//! Several listings of one SKU in one store, such as a product that is listed twice: each shows the same units.
use crate::support::*;
use serde_json::{Value, json};
use stocktide::db::runs::{RunFilter, RunState};
use stocktide::domain::push::PushKind;
use stocktide::domain::settings::Rule;
use stocktide::domain::stock::EventKind::{Count, Return};
use stocktide::service::{listings, undo};

fn every_platform() -> [Value; 5] {
    let one_by_one = json!({"abilities": {"adjust": false, "idempotency": false, "max_items": 1}});
    [platform_that::knows_keys(), platform_that::compares_and_sets(), platform_that::only_adds(), platform_that::only_sets(), one_by_one]
}

/// A shop that lists A as "cup" and as "tasse".
async fn shop_with_two(seller: &Seller<'_>, platform: Value) -> Shop {
    let shop = seller.shop_on(platform, "corner", &[]).await;
    seller.pair_as(&shop, &[("cup", "A"), ("tasse", "A")]).await;
    shop
}

/// The same, by overwrites showing 12 of A, with its sales reported in its name.
async fn reporting_shop(seller: &Seller<'_>, world: &World, platform: Value) -> Shop {
    let shop = shop_with_two(seller, platform).await;
    seller.event("A", Count, 13).await;
    seller.sale_of(&shop, "A", 1).await;
    overwritten(seller, world).await;
    assert_eq!(both(world, &shop), (12, 12));
    shop
}

fn both(world: &World, shop: &Shop) -> (i64, i64) {
    (world.shown(shop, "cup"), world.shown(shop, "tasse"))
}

async fn overwritten(seller: &Seller<'_>, world: &World) {
    seller.sync(RunFilter::default()).await;
    world.sleep(seconds(20)).await;
}

/// How many units the newest overwrite of each listing has left out.
async fn left_out(seller: &Seller<'_>) -> (Option<i64>, Option<i64>) {
    let pushes = seller.pushes().await;
    let of = |name: &str| pushes.iter().rfind(|push| push.kind == PushKind::Overwrite && push.external_id == name).unwrap().unseen;
    (of("cup"), of("tasse"))
}

async fn unpairs(seller: &Seller<'_>, shop: &Shop, name: &str) {
    let id = shop.id;
    let all = seller.db().read(move |t| t.listings(id, None, 10)).await.unwrap();
    let listing = all.iter().find(|listing| listing.external_id == name).unwrap().id;
    listings::unpair(&seller.world.service(), &seller.caller(), shop.id, listing).await.unwrap();
}

#[test]
fn an_increase_reaches_each_of_the_listings_once_whatever_happens_on_the_way() {
    story(async |world| {
        for platform in every_platform() {
            let seller = world.seller(incremental).await;
            let shop = shop_with_two(&seller, platform).await;
            seller.purchase("A", 10).await;
            world.a_moment().await;
            for lose in [World::loses_answers, World::loses_requests] {
                lose(world);
                seller.purchase("A", 5).await;
                world.sleep(ms(500)).await;
                world.all_is_well();
                world.sleep(minutes(2)).await;
            }
            assert_eq!(both(world, &shop), (20, 20), "{:?}", world.received(&shop));
        }
    });
}

#[test]
fn what_one_of_them_sells_leaves_the_other_as_it_is_until_an_overwrite() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let shop = shop_with_two(&seller, platform_that::knows_keys()).await;
        seller.purchase("A", 10).await;
        world.a_moment().await;
        world.sells(&shop, "cup", 3);
        seller.sale("A", 3).await;
        seller.event("A", Return, 1).await;
        world.a_moment().await;
        assert_eq!(both(world, &shop), (8, 11), "the increase is added to what each shows");
        overwritten(&seller, world).await;
        assert_eq!(both(world, &shop), (8, 8));
    });
}

#[test]
fn in_exclusive_mode_the_store_is_counted_once_and_each_listing_shows_its_part() {
    story(async |world| {
        let seller = world.seller(exclusive).await;
        let shop = shop_with_two(&seller, platform_that::knows_keys()).await;
        seller.share(&shop, 60.0).await;
        let other = seller.shop("market", &["A"]).await;
        for pool in 1..=12 {
            seller.purchase("A", 1).await;
            world.a_moment().await;
            let (cup, tasse) = both(world, &shop);
            assert_eq!((cup, cup + world.shown(&other, "A")), (tasse, pool), "no unit is left over, and none is there twice");
        }
        assert_eq!((world.shown(&shop, "cup"), world.shown(&other, "A")), (7, 5));
        overwritten(&seller, world).await;
        assert_eq!((both(world, &shop), world.shown(&other, "A")), ((7, 7), 5));
        unpairs(&seller, &shop, "tasse").await;
        overwritten(&seller, world).await;
        assert_eq!((world.shown(&shop, "cup"), world.shown(&other, "A")), (7, 5), "the store has the same part with one listing");
    });
}

#[test]
fn listings_of_different_units_show_the_same_stock_by_the_piece_and_by_six() {
    story(async |world| {
        for mode in [incremental, exclusive] {
            let seller = world.seller(mode).await;
            let shop = seller.shop("corner", &[]).await;
            seller.pair_units(&shop, &[("cup", "A", 1), ("tasse", "A", 6)]).await;
            seller.rule(Rule { store_id: Some(shop.id), max_shown: Some(20), ..Rule::default() }).await;
            seller.purchase("A", 4).await;
            seller.purchase("A", 9).await;
            world.a_moment().await;
            assert_eq!(both(world, &shop), (13, 2));
            seller.purchase("A", 90).await;
            world.a_moment().await;
            assert_eq!(both(world, &shop), (20, 3), "the maximum counts units of the SKU");
            seller.event("A", Count, 7).await;
            overwritten(&seller, world).await;
            assert_eq!(both(world, &shop), (7, 1));
        }
    });
}

#[test]
fn the_daily_run_overwrites_each_of_them_once() {
    story_from("2026-03-02T12:00:00Z", async |world| {
        let seller = world.seller(daily_at("03:30", chrono_tz::UTC)).await;
        let shop = shop_with_two(&seller, platform_that::takes(1)).await;
        seller.purchase("A", 9).await;
        world.sleep_until("2026-03-03T03:31:00Z").await;
        assert_eq!(seller.dates(&shop).await.last().unwrap().1, RunState::Finished);
        let mut received = world.received(&shop);
        received.sort_by_key(|(name, _)| name.clone());
        assert_eq!(received, [set("cup", 9), set("tasse", 9)]);
    });
}

#[test]
fn moving_or_unpairing_one_of_them_leaves_what_waits_for_the_other() {
    story(async |world| {
        for moves in [true, false] {
            let seller = world.seller(incremental).await;
            let shop = shop_with_two(&seller, platform_that::only_sets()).await;
            world.faults(|f| f.down = true);
            seller.purchase("A", 5).await;
            seller.event("B", Count, 0).await;
            world.a_moment().await;
            if moves {
                seller.pair_as(&shop, &[("tasse", "B")]).await;
            } else {
                unpairs(&seller, &shop, "tasse").await;
            }
            seller.purchase("A", 1).await;
            world.all_is_well();
            world.sleep(minutes(5)).await;
            assert_eq!(both(world, &shop), (6, 0));
            if moves {
                seller.pair_as(&shop, &[("tasse", "A")]).await;
                seller.purchase("A", 1).await;
                world.a_moment().await;
                assert_eq!(both(world, &shop), (7, 1), "it is increased from here on");
            }
        }
    });
}

#[test]
fn what_any_of_them_has_sold_without_a_report_is_left_out_of_both() {
    story(async |world| {
        for platform in every_platform() {
            let seller = world.seller(off).await;
            let shop = reporting_shop(&seller, world, platform).await;
            world.sells(&shop, "cup", 2);
            overwritten(&seller, world).await;
            assert_eq!((both(world, &shop), left_out(&seller).await), ((10, 10), (Some(2), Some(2))));
            world.sells(&shop, "tasse", 1);
            overwritten(&seller, world).await;
            assert_eq!(both(world, &shop), (9, 9));
            seller.sale_of(&shop, "A", 3).await;
            for _ in 0..2 {
                overwritten(&seller, world).await;
                assert_eq!((both(world, &shop), left_out(&seller).await), ((9, 9), (Some(0), Some(0))), "all of it is reported");
            }
        }
    });
}

#[test]
fn a_report_is_taken_off_once_whichever_of_them_has_sold_it_and_hides_no_sale_of_the_other() {
    story(async |world| {
        for platform in every_platform() {
            let seller = world.seller(off).await;
            let shop = reporting_shop(&seller, world, platform).await;
            world.sells(&shop, "tasse", 3);
            seller.sale_of(&shop, "A", 3).await;
            overwritten(&seller, world).await;
            assert_eq!((both(world, &shop), left_out(&seller).await), ((9, 9), (Some(0), Some(0))));
            world.sells(&shop, "cup", 2);
            world.sells(&shop, "tasse", 2);
            seller.sale_of(&shop, "A", 2).await;
            overwritten(&seller, world).await;
            assert_eq!((both(world, &shop), left_out(&seller).await), ((5, 5), (Some(2), Some(2))), "two of four are reported");
            seller.sale_of(&shop, "A", 2).await;
            overwritten(&seller, world).await;
            assert_eq!((both(world, &shop), left_out(&seller).await), ((5, 5), (Some(0), Some(0))));
        }
    });
}

#[test]
fn increases_by_day_and_a_lost_answer_bring_nothing_back_on_sale() {
    story(async |world| {
        for platform in every_platform() {
            let seller = world.seller(incremental).await;
            let shop = reporting_shop(&seller, world, platform).await;
            world.sells(&shop, "cup", 2);
            seller.purchase("A", 5).await;
            world.a_moment().await;
            assert_eq!(both(world, &shop), (15, 17));
            world.loses_answers();
            seller.sync(RunFilter::default()).await;
            world.sleep(seconds(30)).await;
            world.all_is_well();
            world.sleep(minutes(30)).await;
            assert_eq!(both(world, &shop), (15, 15));
            seller.sale_of(&shop, "A", 2).await;
            overwritten(&seller, world).await;
            assert_eq!((both(world, &shop), seller.target(&shop, "A").await), ((15, 15), Some(15)));
        }
    });
}

#[test]
fn a_pack_and_a_piece_of_one_sku_are_left_out_of_each_other() {
    story(async |world| {
        let seller = world.seller(off).await;
        let shop = seller.shop_on(platform_that::only_sets(), "corner", &[]).await;
        seller.pair_units(&shop, &[("cup", "A", 1), ("tasse", "A", 6)]).await;
        seller.event("A", Count, 61).await;
        seller.sale_of(&shop, "A", 1).await;
        overwritten(&seller, world).await;
        assert_eq!(both(world, &shop), (60, 10));
        world.sells(&shop, "tasse", 1);
        overwritten(&seller, world).await;
        assert_eq!(both(world, &shop), (54, 9));
        seller.sale_of(&shop, "A", 6).await;
        overwritten(&seller, world).await;
        assert_eq!((both(world, &shop), left_out(&seller).await), ((54, 9), (Some(0), Some(0))));
    });
}

#[test]
fn when_one_is_unpaired_before_it_is_known_which_has_sold_nothing_comes_back_on_sale() {
    story_of_days(START, async |world| {
        let seller = world.seller(off).await;
        let shop = reporting_shop(&seller, world, platform_that::only_sets()).await;
        world.sells(&shop, "tasse", 3);
        world.sells(&shop, "cup", 2);
        seller.sale_of(&shop, "A", 3).await;
        unpairs(&seller, &shop, "tasse").await;
        overwritten(&seller, world).await;
        assert_eq!(world.shown(&shop, "cup"), 7, "9 by the rules, less the 2 that nobody has reported");
        seller.sale_of(&shop, "A", 2).await;
        overwritten(&seller, world).await;
        assert_eq!(world.shown(&shop, "cup"), 7, "the listing is alone, so these are its own");
        // Reported, and sold by the one that stays: it cannot be told from the case above.
        let shop = reporting_shop(&seller, world, platform_that::only_sets()).await;
        world.sells(&shop, "cup", 3);
        seller.sale_of(&shop, "A", 3).await;
        unpairs(&seller, &shop, "tasse").await;
        overwritten(&seller, world).await;
        assert_eq!(world.shown(&shop, "cup"), 6, "9 by the rules");
        world.sleep(hours(73)).await;
        overwritten(&seller, world).await;
        assert_eq!(world.shown(&shop, "cup"), 9);
    });
}

#[test]
fn an_undo_brings_back_both_less_what_the_store_has_sold_since() {
    story(async |world| {
        for platform in every_platform() {
            let seller = world.seller(off).await;
            let shop = reporting_shop(&seller, world, platform).await;
            seller.event("A", Count, 1).await;
            let run = seller.sync(RunFilter::default()).await;
            world.sleep(seconds(20)).await;
            assert_eq!(both(world, &shop), (1, 1));
            // No cache may have kept an earlier number by now.
            world.sleep(minutes(6)).await;
            world.sells(&shop, "cup", 1);
            undo::start(&world.service(), &seller.caller(), run.id).await.unwrap();
            world.sleep(seconds(20)).await;
            assert_eq!(both(world, &shop), (11, 11));
        }
    });
}

#[test]
fn a_store_has_at_most_fifty_listings_of_a_sku() {
    story(async |world| {
        let seller = world.seller(off).await;
        let shop = seller.shop("corner", &[]).await;
        let names: Vec<String> = (0..60).map(|n| format!("cup-{n:02}")).collect();
        seller.pair_as(&shop, &names.iter().map(|name| (name.as_str(), "A")).collect::<Vec<_>>()).await;
        let id = shop.id;
        assert_eq!(seller.db().read(move |t| t.listings(id, None, 100)).await.unwrap().len(), 50);
        seller.purchase("A", 3).await;
        overwritten(&seller, world).await;
        assert_eq!((world.shown(&shop, "cup-49"), world.shown(&shop, "cup-50")), (3, 0));
    });
}
