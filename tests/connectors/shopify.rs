//! The service and a Shopify shop: query cost points, idempotency keys, lost answers, bad rows, tokens.
use crate::{World, body, story};
use serde_json::{Value, json};
use std::collections::HashSet;
use stocktide::domain::push::PushState;
use stocktide::simulator::Rate;

const SHOP: &str = "http://platform/shopify/acme";

fn shop(config: Value, scenario: impl AsyncFn(&World)) {
    let mut config = config;
    config["location_id"] = json!("1");
    story("shopify", SHOP, config, json!({"access_token": "t1"}), scenario);
}

fn skus(count: usize) -> Vec<String> {
    (0..count).map(|n| (1000 + n).to_string()).collect()
}

/// Every mutation so far, as (idempotency key, variables).
fn mutations(world: &World) -> Vec<(String, Value)> {
    let mutation = |body: Value| {
        let is_one = body["query"].as_str().is_some_and(|query| query.starts_with("mutation"));
        is_one.then(|| (body["variables"]["key"].as_str().unwrap_or_default().to_owned(), body["variables"].clone()))
    };
    world.sent().iter().filter_map(|(_, request)| mutation(body(request))).collect()
}

#[test]
fn three_hundred_increases_stay_within_the_points_and_waste_no_time() {
    shop(json!({"max_items": 1}), async |world| {
        let all = skus(300);
        world.pair("acme", &all, 10).await;
        world.faults(|faults| faults.shopify_points = Rate { per_second: 50.0, burst: 1000.0 });
        let started = tokio::time::Instant::now();
        world.purchase(&all, 4).await;
        world.sleep(120).await;

        assert_eq!(world.platform.stats().over_limit, 0, "no call above the quota");
        let calls = mutations(world);
        assert!(calls.len() == 300 && calls.iter().all(|(key, _)| !key.is_empty()), "every mutation carries its key");
        let keys: HashSet<&String> = calls.iter().map(|(key, _)| key).collect();
        assert_eq!(keys.len(), 300);
        assert!(all.iter().all(|sku| world.platform.quantity("acme", sku) == 14), "each increase once");
        // 300 calls of 13 points: whatever exceeds the full bucket has to be refilled at 50/s.
        let least = f64::from(300 * 13 - 1000) / 50.0;
        let took = world.sent().last().map_or(0.0, |(at, _)| (*at - started).as_secs_f64());
        assert!((least..=1.1 * least).contains(&took), "{took} s, while the quota allows {least} s at best");
    });
}

#[test]
fn three_hundred_increases_take_two_calls() {
    shop(json!({}), async |world| {
        let all = skus(300);
        world.pair("acme", &all, 0).await;
        world.purchase(&all, 4).await;
        world.sleep(5).await;
        let rows: Vec<usize> = mutations(world).iter().map(|(_, v)| v["input"]["changes"].as_array().map_or(0, Vec::len)).collect();
        // A large batch of events is recorded in parts; what has come in when a call is made shares it.
        assert_eq!((rows.len(), rows.iter().sum::<usize>()), (2, 300), "{rows:?}");
        assert!(all.iter().all(|sku| world.platform.quantity("acme", sku) == 4));
    });
}

#[test]
fn the_real_cost_of_calls_is_learned_and_the_points_are_not_exceeded() {
    shop(json!({"max_items": 10}), async |world| {
        let all = skus(300);
        world.pair("acme", &all, 0).await;
        world.faults(|faults| {
            faults.shopify_points = Rate { per_second: 50.0, burst: 1000.0 };
            faults.shopify_points_per_row = 10.0;
        });
        world.purchase(&all, 1).await;
        world.sleep(300).await;
        assert_eq!(world.platform.stats().over_limit, 0);
        assert!(all.iter().all(|sku| world.platform.quantity("acme", sku) == 1));
    });
}

#[test]
fn a_lost_answer_never_duplicates_an_increase() {
    shop(json!({"max_items": 20}), async |world| {
        let all = skus(60);
        world.pair("acme", &all, 10).await;
        world.faults(|faults| (faults.lose_answer, faults.error_after, faults.late, faults.late_ms) = (0.3, 0.2, 0.2, 3000));
        for _ in 0..5 {
            world.purchase(&all, 3).await;
            world.sleep(30).await;
        }
        world.faults(|faults| (faults.lose_answer, faults.error_after, faults.late) = (0.0, 0.0, 0.0));
        world.sleep(600).await;
        assert!(world.platform.stats().repeats > 0, "lost answers made the service repeat calls");
        assert!(all.iter().all(|sku| world.platform.quantity("acme", sku) == 25), "{:?}", world.applied());
        for (key, variables) in mutations(world) {
            assert!(mutations(world).iter().all(|(other, same)| *other != key || *same == variables), "one key, one call");
        }
    });
}

#[test]
fn a_key_that_the_platform_may_have_forgotten_is_not_sent_again() {
    shop(json!({}), async |world| {
        let one = skus(1);
        world.pair("acme", &one, 10).await;
        world.faults(|faults| faults.lose_answer = 1.0);
        world.purchase(&one, 5).await;
        world.sleep(1).await;
        world.faults(|faults| (faults.lose_answer, faults.down) = (0.0, true));
        world.sleep(24 * 3600 + 1).await;
        world.faults(|faults| faults.down = false);
        world.sleep(3600).await;
        // The target is 5: the 10 that the shop showed before were never in the warehouse.
        assert_eq!(world.platform.quantity("acme", "1000"), 5, "overwritten with the target, not added to again: {:?}", world.applied());
    });
}

#[test]
fn one_bad_row_is_rejected_with_a_next_step_and_the_rest_succeeds() {
    shop(json!({}), async |world| {
        let all = skus(20);
        world.pair("acme", &all, 0).await;
        world.faults(|faults| faults.reject_items = vec!["1007".into()]);
        world.purchase(&all, 2).await;
        world.sleep(60).await;
        let pushes = world.pushes().await;
        let rejected: Vec<_> = pushes.iter().filter(|push| push.state == PushState::Rejected).collect();
        assert!(
            matches!(rejected[..], [push] if push.sku == "1007" && push.next_step.as_deref().is_some_and(|step| step.contains("Pair")))
        );
        assert_eq!(pushes.iter().filter(|push| push.state == PushState::Confirmed).count(), 19);
        assert!(all.iter().filter(|sku| *sku != "1007").all(|sku| world.platform.quantity("acme", sku) == 2));
    });
}

#[test]
fn an_expired_token_is_renewed_and_nothing_is_lost() {
    let credentials = json!({"access_token": "old", "refresh_token": "r1", "client_id": "id", "client_secret": "s"});
    story("shopify", SHOP, json!({"location_id": "1"}), credentials, async |world| {
        let one = skus(1);
        world.pair("acme", &one, 1).await;
        world.faults(|faults| faults.token = Some("new".into()));
        world.purchase(&one, 5).await;
        world.sleep(30).await;
        assert_eq!(world.platform.quantity("acme", "1000"), 6);
        let renewals = world.sent().iter().filter(|(_, request)| request.url.ends_with("/oauth/access_token")).count();
        assert_eq!(renewals, 1);
    });
}
