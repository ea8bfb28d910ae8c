//! Targets: what each listing should show according to the rules, as seen on the platform.
use crate::support::*;
use stocktide::db::runs::RunFilter;
use stocktide::domain::WarehouseCode;
use stocktide::domain::settings::Rule;

async fn sync_all(world: &World, seller: &Seller<'_>) {
    seller.sync(RunFilter::default()).await;
    world.a_moment().await;
}

#[test]
fn in_shared_mode_each_store_shows_its_share_of_the_pool_rounded_down() {
    story(async |world| {
        let seller = world.seller(|s| s.buffer = 2).await;
        let (corner, market) = (seller.shop("corner", &["A"]).await, seller.shop("market", &["A"]).await);
        seller.share(&corner, 30.0).await;
        seller.purchase("A", 42).await;
        sync_all(world, &seller).await;
        assert_eq!((world.shown(&corner, "A"), world.shown(&market, "A")), (12, 40));
    });
}

#[test]
fn the_pool_is_the_stock_of_the_warehouses_that_supply_the_store() {
    story(async |world| {
        let seller = world.seller(off).await;
        seller.warehouse("south").await;
        let (corner, market) = (seller.shop("corner", &["A"]).await, seller.shop("market", &["A"]).await);
        seller.fed_by(&corner, "south").await;
        seller.purchase("A", 10).await;
        let mut south = seller.an_event("A", stocktide::domain::stock::EventKind::Purchase, 4);
        south.warehouse = WarehouseCode::parse("south").unwrap();
        seller.record(vec![south]).await;
        sync_all(world, &seller).await;
        assert_eq!((world.shown(&corner, "A"), world.shown(&market, "A")), (4, 14));
    });
}

#[test]
fn a_pool_below_the_buffer_or_below_zero_shows_as_zero() {
    story(async |world| {
        let seller = world.seller(|s| s.buffer = 3).await;
        let shop = seller.shop("corner", &["A", "B"]).await;
        world.platform.set_quantity(&shop.external, "A", 9);
        world.platform.set_quantity(&shop.external, "B", 9);
        seller.purchase("A", 2).await;
        seller.sale("B", 4).await;
        sync_all(world, &seller).await;
        assert_eq!((world.shown(&shop, "A"), world.shown(&shop, "B")), (0, 0));
    });
}

#[test]
fn in_exclusive_mode_the_targets_and_the_unallocated_part_add_up_to_the_pool() {
    story(async |world| {
        let seller = world.seller(exclusive).await;
        let mut shops = Vec::new();
        for (name, share) in [("corner", 33.33), ("market", 33.33), ("harbour", 33.34)] {
            shops.push(seller.shop(name, &["A"]).await);
            seller.share(&shops[shops.len() - 1], share).await;
        }
        for pool in 1..=12 {
            seller.purchase("A", 1).await;
            world.a_moment().await;
            let shown: i64 = shops.iter().map(|shop| world.shown(shop, "A")).sum();
            assert_eq!(shown, pool, "no unit is left over if shares sum to 100%");
        }
        seller.share(&shops[2], 20.0).await;
        sync_all(world, &seller).await;
        let shown: Vec<i64> = shops.iter().map(|shop| world.shown(shop, "A")).collect();
        assert_eq!(shown, [4, 4, 2], "2 of 12 are unallocated");
    });
}

#[test]
fn in_exclusive_mode_no_target_falls_when_the_pool_grows() {
    story(async |world| {
        let seller = world.seller(exclusive).await;
        let mut shops = Vec::new();
        for (name, share) in [("corner", 47.0), ("market", 29.5), ("harbour", 11.25)] {
            shops.push(seller.shop(name, &["A"]).await);
            seller.share(&shops[shops.len() - 1], share).await;
        }
        let mut before = vec![0; 3];
        for _ in 0..40 {
            seller.purchase("A", 1).await;
            world.a_moment().await;
            let after: Vec<i64> = shops.iter().map(|shop| world.shown(shop, "A")).collect();
            assert!(before.iter().zip(&after).all(|(b, a)| b <= a), "{before:?} then {after:?}");
            before = after;
        }
        assert_eq!(before, [19, 12, 4], "the increases add up to the split of 40");
    });
}

#[test]
fn a_threshold_hides_the_last_units_and_a_maximum_caps_what_is_shown() {
    story(async |world| {
        let seller = world.seller(off).await;
        let shop = seller.shop("corner", &["A", "B", "C"]).await;
        seller.rule(Rule { threshold: Some(5), max_shown: Some(9), ..Rule::default() }).await;
        for (sku, available) in [("A", 4), ("B", 5), ("C", 30)] {
            seller.purchase(sku, available).await;
        }
        sync_all(world, &seller).await;
        let shown: Vec<i64> = ["A", "B", "C"].map(|sku| world.shown(&shop, sku)).to_vec();
        assert_eq!(shown, [0, 5, 9]);
    });
}

#[test]
fn rules_take_precedence_by_listing_then_sku_then_store_then_seller() {
    story(async |world| {
        let seller = world.seller(off).await;
        let (corner, market) = (seller.shop("corner", &["A", "B"]).await, seller.shop("market", &["A", "B"]).await);
        let sku = stocktide::domain::Sku::parse("A").ok();
        for sku in ["A", "B"] {
            seller.purchase(sku, 100).await;
        }
        seller.rule(Rule { max_shown: Some(40), ..Rule::default() }).await;
        seller.rule(Rule { store_id: Some(corner.id), max_shown: Some(30), ..Rule::default() }).await;
        seller.rule(Rule { sku: sku.clone(), max_shown: Some(20), ..Rule::default() }).await;
        seller.rule(Rule { sku, store_id: Some(corner.id), max_shown: Some(10), ..Rule::default() }).await;
        sync_all(world, &seller).await;
        assert_eq!([world.shown(&corner, "A"), world.shown(&market, "A")], [10, 20], "the rules for the listing and the SKU");
        assert_eq!([world.shown(&corner, "B"), world.shown(&market, "B")], [30, 40], "the rules for the store and the seller");
    });
}

#[test]
fn a_stores_own_share_ranks_as_a_rule_for_that_store() {
    story(async |world| {
        let seller = world.seller(off).await;
        let shop = seller.shop("corner", &["A"]).await;
        seller.share(&shop, 50.0).await;
        seller.rule(Rule { share: percent(10.0), ..Rule::default() }).await;
        seller.purchase("A", 100).await;
        sync_all(world, &seller).await;
        assert_eq!(world.shown(&shop, "A"), 50, "it overrides the seller's rule");
        seller.rule(Rule { sku: stocktide::domain::Sku::parse("A").ok(), share: percent(20.0), ..Rule::default() }).await;
        sync_all(world, &seller).await;
        assert_eq!(world.shown(&shop, "A"), 20, "the SKU's rule overrides it");
    });
}

#[test]
fn a_listing_without_a_share_or_with_sync_switched_off_is_never_pushed() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let (shareless, off) = (seller.shop("shareless", &["A"]).await, seller.shop("off", &["A"]).await);
        let listing_off = seller.shop("listing off", &["A"]).await;
        seller.change_shop(&shareless, StoreChange { share_percent: Some(None), ..StoreChange::default() }).await;
        seller.change_shop(&off, StoreChange { sync_enabled: Some(false), ..StoreChange::default() }).await;
        let sku = stocktide::domain::Sku::parse("A").ok();
        seller.rule(Rule { sku, store_id: Some(listing_off.id), sync_enabled: Some(false), ..Rule::default() }).await;
        seller.purchase("A", 5).await;
        let run = seller.sync(RunFilter::default()).await;
        world.sleep(minutes(1)).await;
        assert_eq!(seller.pushes().await, []);
        assert_eq!(seller.run(&run).await.total, 0);
        assert_eq!(world.platform.stats().calls, 0);
    });
}
