//! What a store's pages and the preview say about sales that nobody has reported yet.
use crate::support::{World, text_of, until_page_says};
use serde_json::{Value, json};

#[actix_web::test]
async fn a_store_leaves_out_unreported_sales_for_as_many_hours_as_its_form_says_or_not_at_all() {
    let world = World::start().await;
    let key = world.seller("Ada", "UTC").await;
    let id = world.store(&key, "corner", 100, &["A"], 13).await;
    let (cookie, csrf) = world.session(&key).await;
    let (own, edit) = (format!("/console/stores/{id}"), format!("/console/stores/{id}/edit"));
    let hours_of = |html: &str| html.split("name=\"unseen_sales_hours\"").nth(1).unwrap().split('>').next().unwrap().to_owned();
    let (_, html) = world.page(&cookie, &edit).await;
    assert!(html.contains("name=\"protect_unseen_sales\" checked"), "it is on from the start");
    assert!(hours_of(&html).contains("value=\"72\""), "{}", hours_of(&html));
    let save = async |protects: bool, hours: &str| {
        let mut form = vec![("csrf", csrf.as_str()), ("name", "corner"), ("share_percent", "100"), ("sync_enabled", "on")];
        form.extend([("base_url", world.platform_url.as_str()), ("external_store", "corner"), ("unseen_sales_hours", hours)]);
        form.extend(protects.then_some(("protect_unseen_sales", "on")));
        let answer = world.form(&edit, &form).header("cookie", &cookie).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let saved = async || {
        let store = world.call("GET", &format!("/v1/stores/{id}"), &key, Value::Null).await;
        (store["protect_unseen_sales"].as_bool().unwrap(), store["unseen_sales_hours"].as_i64().unwrap())
    };
    for hours in ["0", "721", "1.5", "soon"] {
        let (status, html) = save(false, hours).await;
        assert_eq!((status, saved().await), (422, (true, 72)), "{hours}");
        assert!(text_of(&html).contains("Must be from 1 to 720"), "{hours}: {}", text_of(&html));
        assert!(hours_of(&html).contains(&format!("value=\"{hours}\"")), "what was typed is kept: {}", hours_of(&html));
        assert!(!html.contains("name=\"protect_unseen_sales\" checked"), "and so is what was chosen");
    }
    assert_eq!((save(false, "5").await.0, saved().await), (303, (false, 5)));
    assert!(text_of(&world.page(&cookie, &own).await.1).contains("put back on sale by overwrites"));
    assert_eq!((save(true, "720").await.0, saved().await), (303, (true, 720)));
    assert!(text_of(&world.page(&cookie, &own).await.1).contains("left out by overwrites, once a stock event names this store"));

    let sale = json!({ "event_id": "e1", "sku": "A", "kind": "sale", "quantity": 1, "store_id": id });
    world.call("POST", "/v1/stock-events", &key, sale).await;
    assert!(!text_of(&world.page(&cookie, &own).await.1).contains("once a stock event names this store"));
    let run = world.call("POST", "/v1/syncs", &key, json!({})).await["id"].as_str().unwrap().to_owned();
    until_page_says(&world, &cookie, &format!("/console/records/runs/{run}"), "Finished").await;
    world.platform.sell("corner", "item-A", 2);
    let preview = world.form("/console/manual-sync/preview", &[("csrf", &csrf)]).header("cookie", &cookie).send().await.unwrap();
    let text = text_of(&preview.text().await.unwrap());
    assert!(text.contains("12 by the rules, less 2 units sold in the store and not reported yet"), "{text}");
    world.stop().unwrap();
}
