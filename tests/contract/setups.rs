//! What sellers have set up is remembered from one stock event to the next. Whoever changes it, in whatever way, the next event
//! follows the change. Here it is changed behind the service's back, as another node would.
use crate::support::*;
use stocktide::domain::WarehouseCode;
use stocktide::domain::stock::EventKind::{self, Purchase};

/// An incremental seller whose shop shows 10 of the SKU A, and whose setup the service remembers.
async fn seller_who_is_remembered(world: &World) -> (Seller<'_>, Shop) {
    let seller = world.seller(incremental).await;
    let shop = seller.shop("corner", &["A"]).await;
    seller.purchase("A", 10).await;
    world.a_moment().await;
    assert_eq!(world.shown(&shop, "A"), 10);
    (seller, shop)
}

/// What the shop shows after 10 further units have arrived, and this was changed before.
fn shown_after(change: &'static str) -> i64 {
    let shown = std::cell::Cell::new(None);
    story(async |world| {
        let (seller, shop) = seller_who_is_remembered(world).await;
        world.execute(change);
        seller.purchase("A", 10).await;
        world.a_moment().await;
        world.leaves_work();
        let now = world.shown(&shop, "A");
        assert!(shown.replace(Some(now)).is_none_or(|before| before == now), "the same on both backends");
    });
    shown.get().unwrap()
}

#[test]
fn an_increase_follows_what_another_node_has_saved_before_the_event() {
    assert_eq!(shown_after("SELECT 1"), 20);
    assert_eq!(shown_after("UPDATE stores SET share = 5000"), 15, "from 5 to 10 by the new share");
    assert_eq!(shown_after("UPDATE sync_settings SET buffer = 6"), 20, "from 4 to 14");
    assert_eq!(shown_after("UPDATE sync_settings SET buffer = 15"), 15, "from 0 to 5");
    assert_eq!(shown_after("UPDATE sync_settings SET auto_sync = false"), 10);
    assert_eq!(shown_after("UPDATE sync_settings SET frequency = 'timed_full'"), 10);
    assert_eq!(shown_after("UPDATE stores SET paused = true"), 10, "held");
    assert_eq!(shown_after("UPDATE stores SET needs_reauthorisation = true"), 10, "held");
    assert_eq!(shown_after("UPDATE stores SET sync_enabled = false"), 10);
    assert_eq!(shown_after("UPDATE stores SET warehouses = '[\"elsewhere\"]'"), 10);
    assert_eq!(shown_after("DELETE FROM listings"), 10);
    assert_eq!(shown_after("UPDATE listings SET sku = 'B'"), 10);
    assert_eq!(shown_after("UPDATE listings SET units = 4"), 13, "from 2 packs to 5");
}

#[test]
fn a_decrease_follows_what_another_node_has_chosen_before_the_event() {
    story(async |world| {
        let (seller, shop) = seller_who_is_remembered(world).await;
        for (change, shown) in [("SELECT 1", 10), ("UPDATE stores SET falls = 1", 9), ("UPDATE stores SET falls = 0", 9)] {
            world.execute(change);
            seller.event("A", EventKind::Adjustment, -1).await;
            world.a_moment().await;
            assert_eq!(world.shown(&shop, "A"), shown, "{change}");
        }
        world.execute("UPDATE stores SET restocks_returns = true");
        seller.event("A", EventKind::Return, 1).await;
        world.a_moment().await;
        assert_eq!(world.shown(&shop, "A"), 9);
    });
}

#[test]
fn an_increase_follows_a_rule_that_another_node_has_made_changed_or_removed() {
    const MADE: &str = "INSERT INTO rules (seller_id, scope, sku, max_shown) SELECT id, '/A', 'A', 12 FROM sellers";
    story(async |world| {
        let (seller, shop) = seller_who_is_remembered(world).await;
        let mut shown = Vec::new();
        for change in [MADE, "UPDATE rules SET max_shown = 25", "DELETE FROM rules"] {
            world.execute(change);
            seller.purchase("A", 10).await;
            world.a_moment().await;
            shown.push(world.shown(&shop, "A"));
        }
        assert_eq!(shown, [12, 17, 27], "from 10 to 12 at most; from 20 to 25; from 30 to 40");
    });
}

#[test]
fn stock_can_arrive_in_a_warehouse_that_another_node_has_just_added() {
    story(async |world| {
        let (seller, shop) = seller_who_is_remembered(world).await;
        world.execute("INSERT INTO warehouses (seller_id, code, name, created_at) SELECT id, 'south', 'South', 0 FROM sellers");
        let mut south = seller.an_event("A", Purchase, 4);
        south.warehouse = WarehouseCode::parse("south").unwrap();
        seller.record(vec![south]).await;
        world.a_moment().await;
        assert_eq!(world.shown(&shop, "A"), 14);
    });
}

#[test]
fn a_listing_that_another_node_has_just_paired_gets_the_next_increase() {
    story(async |world| {
        let (seller, shop) = seller_who_is_remembered(world).await;
        let market = seller.shop("market", &["B"]).await;
        world.execute("UPDATE listings SET sku = 'A', external_id = 'A' WHERE sku = 'B'");
        seller.purchase("A", 3).await;
        world.a_moment().await;
        assert_eq!((world.shown(&shop, "A"), world.received(&market)), (13, vec![add("A", 3)]));
    });
}

#[test]
fn a_repeat_that_nobody_expected_is_recognized_and_so_are_those_that_follow() {
    story(async |world| {
        let (seller, shop) = seller_who_is_remembered(world).await;
        let event = seller.an_event("A", Purchase, 5);
        for _ in 0..3 {
            seller.record(vec![event.clone(), seller.an_event("A", Purchase, 1)]).await;
        }
        world.a_moment().await;
        assert_eq!((seller.available("A").await, world.shown(&shop, "A")), (18, 18));
    });
}
