//! An overwrite that waits for its seller's answer, and the limits above which one does.
use crate::support::{World, event, until_page_says};
use serde_json::{Value, json};

const MANY: usize = 12;

/// A shop that shows 5 of each of its listings; then all of them are counted as 0 and overwritten. Returns the run.
async fn a_waiting_run(world: &World, key: &str) -> String {
    let names: Vec<String> = (0..MANY).map(|n| format!("S{n:02}")).collect();
    let skus: Vec<&str> = names.iter().map(String::as_str).collect();
    world.store(key, "corner", 100, &skus, 5).await;
    world.call("POST", "/v1/syncs", key, json!({})).await;
    world.until("the first overwrite", || skus.iter().all(|sku| world.platform.quantity("corner", &format!("item-{sku}")) == 5)).await;
    for sku in &skus {
        event(world, key, &format!("zero-{sku}"), "count", sku, 0).await;
    }
    world.call("POST", "/v1/syncs", key, json!({})).await["id"].as_str().unwrap().to_owned()
}

fn on_sale(world: &World) -> usize {
    (0..MANY).filter(|n| world.platform.quantity("corner", &format!("item-S{n:02}")) > 0).count()
}

async fn run(world: &World, key: &str, id: &str) -> Value {
    world.call("GET", &format!("/v1/syncs/{id}"), key, json!(null)).await
}

#[actix_web::test]
async fn an_overwrite_that_would_empty_a_shop_is_confirmed_on_its_page() {
    let world = World::start().await;
    let key = world.seller("Ada", "UTC").await;
    let id = a_waiting_run(&world, &key).await;
    let (cookie, csrf) = world.session(&key).await;
    let here = format!("/console/records/runs/{id}");
    let page = until_page_says(&world, &cookie, &here, "Waiting for your answer").await;
    assert!(page.contains("12 of 12 listings that show stock now would be set to 0"), "{page}");
    assert_eq!(on_sale(&world), MANY);
    for list in ["/console/sales-channel", "/console/records?show=runs"] {
        until_page_says(&world, &cookie, list, "Waiting for your answer").await;
    }
    until_page_says(&world, &cookie, "/console/sales-channel", "An overwrite waits for your answer.").await;
    let forged = world.form(&format!("{here}/answer"), &[("go", "yes")]).header("cookie", &cookie).send().await.unwrap();
    assert_eq!((forged.status().as_u16(), on_sale(&world)), (403, MANY));
    let answer = [("csrf", csrf.as_str()), ("go", "yes")];
    let answered = world.form(&format!("{here}/answer"), &answer).header("cookie", &cookie).send().await.unwrap();
    assert_eq!(answered.status(), 303);
    world.until("the overwrite", || on_sale(&world) == 0).await;
    until_page_says(&world, &cookie, &here, "Finished").await;
    world.stop().unwrap();
}

#[actix_web::test]
async fn an_overwrite_that_is_canceled_on_its_page_sends_nothing_and_stays_canceled() {
    let world = World::start().await;
    let key = world.seller("Ada", "UTC").await;
    let id = a_waiting_run(&world, &key).await;
    let (cookie, csrf) = world.session(&key).await;
    let here = format!("/console/records/runs/{id}");
    until_page_says(&world, &cookie, &here, "Cancel this overwrite").await;
    for (go, says) in [("no", "The overwrite is canceled. Nothing was sent."), ("yes", "It was answered before, or is over.")] {
        let answer = [("csrf", csrf.as_str()), ("go", go)];
        let answered = world.form(&format!("{here}/answer"), &answer).header("cookie", &cookie).send().await.unwrap();
        let notice = answered.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
        until_page_says(&world, &format!("{cookie}; {notice}"), &here, says).await;
    }
    assert_eq!((run(&world, &key, &id).await["state"].clone(), on_sale(&world)), (json!("cancelled"), MANY));
    world.stop().unwrap();
}

#[actix_web::test]
async fn the_limits_are_edited_on_a_page_of_their_own() {
    let world = World::start().await;
    let key = world.seller("Ada", "UTC").await;
    let (cookie, csrf) = world.session(&key).await;
    until_page_says(&world, &cookie, "/console/sales-channel", "asks first if more than 30% of a store's listings would go to 0.").await;
    for (percent, units, says) in [
        ("", "", "Overwrites never ask first."),
        (
            "5",
            "1000",
            "more than 5% of a store's listings would go to 0, or if quantities in a store would change by more than 1,000 units.",
        ),
    ] {
        let form = [("csrf", csrf.as_str()), ("zero_percent", percent), ("units", units)];
        let saved = world.form("/console/sales-channel/guard", &form).header("cookie", &cookie).send().await.unwrap();
        assert_eq!(saved.status(), 303);
        until_page_says(&world, &cookie, "/console/sales-channel", says).await;
    }
    let form = [("csrf", csrf.as_str()), ("zero_percent", "101"), ("units", "many")];
    let refused = world.form("/console/sales-channel/guard", &form).header("cookie", &cookie).send().await.unwrap();
    assert_eq!(refused.status(), 422);
    let html = refused.text().await.unwrap();
    assert!(html.contains("Must be from 0 to 100.") && html.contains("Must be from 0 to"), "{html}");
    let settings = world.call("GET", "/v1/sync-settings", &key, json!(null)).await;
    assert_eq!(settings["guard"], json!({"zero_percent": 5, "units": 1000}));
    world.stop().unwrap();
}
