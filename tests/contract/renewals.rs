//! Tokens are renewed before they end, also those of stores that nothing is sent to.
use crate::support::*;
use serde_json::{Value, json};
use std::time::Duration;
use stocktide::actors;
use stocktide::db::stores::Store;
use stocktide::domain::{StoreId, grant};
use stocktide::service::connection::{Credentials, connection, seal};
use stocktide::service::{self, stores};
use stocktide::simulator::shopee::{NewShop, Tokens};

const KEY: &str = "4a6b7c8d9e0f1122";
const FIRST_SHOP: u64 = 220_000_000;

/// The owner of a shop authorizes the app: access for four hours, renewable for thirty days.
fn authorize(world: &World, shop: u64) -> Tokens {
    let (access_lives_s, refresh_lives_s) = (4 * 3600, 30 * 86_400);
    let opened = NewShop { partner_id: 1_000_001, partner_key: KEY.into(), access_lives_s, refresh_lives_s, locations: vec![] };
    world.platform.open_shopee_shop(world.clock.now_us(), shop, opened)
}

fn credentials(tokens: &Tokens) -> Credentials {
    let secret = |name: &str, text: &str| (name.to_owned(), text.into());
    [secret("partner_key", KEY), secret("access_token", &tokens.access_token), secret("refresh_token", &tokens.refresh_token)].into()
}

fn settings(shop: u64) -> serde_json::Map<String, Value> {
    json!({ "partner_id": 1_000_001, "shop_id": shop }).as_object().unwrap().clone()
}

/// A store with the tokens of this shop, and without listings.
async fn store(world: &World, seller: &Seller<'_>, shop: u64) -> StoreId {
    let new = StoreChange {
        name: Some(format!("shop {shop}")),
        platform: Some("shopee".to_owned()),
        credentials: Some(Some(credentials(&authorize(world, shop)))),
        config: settings(shop),
        ..StoreChange::default()
    };
    stores::create(&world.service(), &seller.caller(), new).await.unwrap().id
}

async fn row(seller: &Seller<'_>, id: StoreId) -> Store {
    seller.db().read(move |t| t.store(id)).await.unwrap()
}

/// Why a check of the store fails, if it does.
async fn check(world: &World, seller: &Seller<'_>, id: StoreId) -> Option<String> {
    service::stores::check(&world.service(), &seller.caller(), id).await.unwrap().reason
}

#[test]
fn the_tokens_of_a_hundred_stores_without_work_stay_alive_for_sixty_days() {
    // Nothing else happens in these days.
    let quiet = |settings: &mut actors::Settings| {
        (settings.poll_every, settings.prune_every) = (Duration::from_secs(6 * 3600), Duration::from_secs(24 * 3600));
    };
    story_with(START, quiet, async |world| {
        let seller = world.seller(off).await;
        let mut ids = Vec::new();
        for n in 0..100 {
            ids.push(store(world, &seller, FIRST_SHOP + n).await);
        }
        world.sleep(days(60)).await;
        for id in ids {
            let (row, ends_at) = (row(&seller, id).await, seller.db().read(move |t| t.grant(id)).await.unwrap().ends_at);
            assert!(!row.needs_reauthorisation, "{:?}", row.problem);
            assert!(!grant::ends_soon(ends_at, world.now()), "{ends_at:?}");
            assert_eq!(check(world, &seller, id).await, None);
        }
    });
}

#[test]
fn a_platform_that_does_not_answer_for_two_weeks_costs_no_token() {
    story_of_days(START, async |world| {
        let seller = world.seller(off).await;
        let id = store(world, &seller, FIRST_SHOP).await;
        world.sleep(days(10)).await;
        world.faults(|faults| faults.down = true);
        world.sleep(days(14)).await;
        assert!(!row(&seller, id).await.needs_reauthorisation, "nobody has refused anything");
        world.all_is_well();
        world.sleep(days(20)).await;
        assert_eq!(check(world, &seller, id).await, None);
    });
}

#[test]
fn a_store_without_work_whose_permission_was_withdrawn_says_so_and_goes_on_with_new_credentials() {
    story_of_days(START, async |world| {
        let seller = world.seller(off).await;
        let id = store(world, &seller, FIRST_SHOP).await;
        world.sleep(days(1)).await;
        world.platform.close_shopee_shop(FIRST_SHOP);
        world.sleep(days(20)).await;
        let refused = row(&seller, id).await;
        assert!(refused.needs_reauthorisation && refused.problem.is_some(), "{:?}", refused.problem);
        let change = StoreChange { credentials: Some(Some(credentials(&authorize(world, FIRST_SHOP)))), ..StoreChange::default() };
        stores::change(&world.service(), &seller.caller(), id, change).await.unwrap();
        assert_eq!(check(world, &seller, id).await, None);
        assert!(!row(&seller, id).await.needs_reauthorisation);
        world.sleep(days(40)).await;
        assert_eq!(check(world, &seller, id).await, None);
    });
}

#[test]
fn while_another_process_renews_a_stores_tokens_this_one_waits_and_uses_what_that_has_saved() {
    story(async |world| {
        let seller = world.seller(off).await;
        let id = store(world, &seller, FIRST_SHOP).await;
        world.sleep(hours(5)).await;
        let (now, until) = (world.now(), world.now() + seconds(10));
        assert!(seller.db().write(move |t| t.take_renewal_turn(id, now, until)).await.unwrap());
        let other = async {
            world.sleep(seconds(3)).await;
            // What the other process received ends what this one has.
            let (service, mut saved) = (world.service(), row(&seller, id).await);
            let received = credentials(&authorize(world, FIRST_SHOP));
            saved.credentials = seal(seller.db().id(), id, &received, &service.sealer).unwrap();
            seller.db().write(move |t| t.save_store(&saved).and_then(|()| t.end_renewal_turn(id))).await.unwrap();
            received
        };
        let (answer, received) = futures_util::future::join(check(world, &seller, id), other).await;
        assert_eq!(answer, None);
        let kept = connection(seller.db().id(), &row(&seller, id).await, &world.service().sealer).unwrap().credentials;
        assert_eq!(format!("{:?}", kept.keys()), format!("{:?}", received.keys()), "nothing was renewed once more");
    });
}

#[test]
fn a_turn_that_a_crashed_process_has_left_behind_is_over_after_seconds() {
    story(async |world| {
        let seller = world.seller(off).await;
        let id = store(world, &seller, FIRST_SHOP).await;
        world.sleep(hours(5)).await;
        let (now, until) = (world.now(), world.now() + seconds(10));
        assert!(seller.db().write(move |t| t.take_renewal_turn(id, now, until)).await.unwrap());
        assert!(!seller.db().write(move |t| t.take_renewal_turn(id, now, until)).await.unwrap(), "one at a time");
        assert_eq!(check(world, &seller, id).await, None);
        assert!(world.now() >= until, "it was waited for");
    });
}
