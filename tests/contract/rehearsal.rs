//! A new store may start with a rehearsal: it is paired, read and previewed, and nothing is sent to it until it goes live.
use crate::support::*;
use serde_json::json;
use stocktide::db::runs::RunFilter;
use stocktide::db::stores::Store;
use stocktide::domain::stock::EventKind;
use stocktide::service::{self, preview, rehearsal};

/// A new store in rehearsal that shows nothing of these SKUs.
async fn new_shop(world: &World, seller: &Seller<'_>, skus: &[&str]) -> Shop {
    let external = world.next_name("new");
    let config = json!({ "external_store": external });
    let new = StoreChange {
        name: Some("new".to_owned()),
        platform: Some("simulated".to_owned()),
        base_url: Some(Some("http://platform".to_owned())),
        config: config.as_object().cloned().unwrap(),
        rehearsal: Some(true),
        ..StoreChange::default()
    };
    let store = service::stores::create(&world.service(), &seller.caller(), new).await.unwrap();
    let shop = Shop { id: store.id, external };
    seller.pair(&shop, skus).await;
    shop
}

async fn goes_live(world: &World, seller: &Seller<'_>, shop: &Shop, overwrite: bool) -> Result<Store, service::Error> {
    Ok(rehearsal::go_live(&world.service(), &seller.caller(), shop.id, overwrite).await?.0)
}

#[test]
fn nothing_is_sent_to_a_store_in_rehearsal_neither_increases_nor_syncs_nor_daily_runs() {
    story_of_days(START, async |world| {
        let seller = world.seller(daily_at("03:30", chrono_tz::UTC)).await;
        world.leaves_work();
        let shop = new_shop(world, &seller, &["A"]).await;
        seller.event("A", EventKind::Count, 9).await;
        seller.sync(RunFilter::default()).await;
        world.sleep(days(2)).await;
        seller.settings(incremental).await;
        seller.purchase("A", 5).await;
        world.sleep(days(1)).await;
        assert_eq!((world.received(&shop), world.shown(&shop, "A")), (vec![], 0));
        let planned = preview::preview(&world.service(), &seller.caller(), RunFilter::default()).await.unwrap();
        assert_eq!(json!(planned)["items"][0]["quantity"], 14, "what would be sent can be looked at: {}", json!(planned));
    });
}

#[test]
fn a_store_that_goes_live_gets_what_increased_meanwhile_or_is_overwritten() {
    for overwrite in [false, true] {
        story(async |world| {
            let seller = world.seller(incremental).await;
            seller.event("A", EventKind::Count, 9).await;
            let shop = new_shop(world, &seller, &["A"]).await;
            seller.purchase("A", 2).await;
            seller.purchase("A", 3).await;
            world.a_moment().await;
            let store = goes_live(world, &seller, &shop, overwrite).await.unwrap();
            assert!(!store.rehearsal && !store.paused);
            world.a_moment().await;
            let shown = if overwrite { 14 } else { 5 };
            assert_eq!(world.shown(&shop, "A"), shown, "{:?}", world.received(&shop));
            seller.purchase("A", 1).await;
            world.a_moment().await;
            assert_eq!(world.shown(&shop, "A"), shown + 1);
            let refused = goes_live(world, &seller, &shop, true).await.unwrap_err().to_string();
            assert!(refused.contains("not in rehearsal"), "{refused}");
        });
    }
}

#[test]
fn a_store_in_rehearsal_that_is_to_be_overwritten_stays_in_it_if_a_frozen_window_forbids_that() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let shop = new_shop(world, &seller, &["A"]).await;
        seller.freezes("Sale", "2026-03-02T12:00", "2026-03-02T14:00", &[]).await;
        let refused = goes_live(world, &seller, &shop, true).await.unwrap_err().to_string();
        assert!(refused.contains("frozen window") && refused.contains("Go live without overwriting"), "{refused}");
        let id = shop.id;
        assert!(seller.db().read(move |t| t.store(id)).await.unwrap().rehearsal);
        assert!(!goes_live(world, &seller, &shop, false).await.unwrap().rehearsal);
    });
}
