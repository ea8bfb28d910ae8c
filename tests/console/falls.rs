//! The choice of what is taken off a store at once, and of what it puts back by itself.
use crate::support::{World, text_of};
use serde_json::{Value, json};

#[actix_web::test]
async fn a_seller_chooses_for_which_reasons_units_are_taken_off_a_store() {
    let world = World::start().await;
    let key = world.seller("Ada", "UTC").await;
    let id = world.store(&key, "corner", 100, &["A"], 13).await;
    let (cookie, csrf) = world.session(&key).await;
    let edit = format!("/console/stores/{id}/edit");
    let (_, html) = world.page(&cookie, &edit).await;
    let ticked = |html: &str, field: &str| html.split("<input").filter(|input| input.contains(field) && input.contains(" checked")).count();
    assert_eq!((ticked(&html, "name=\"pushed_falls\""), ticked(&html, "name=\"restocks_")), (0, 0), "nothing is chosen from the start");
    let save = async |chosen: &[(&str, &str)]| {
        let mut form = vec![("csrf", csrf.as_str()), ("name", "corner"), ("share_percent", "100"), ("sync_enabled", "on")];
        form.extend([("base_url", world.platform_url.as_str()), ("external_store", "corner"), ("unseen_sales_hours", "72")]);
        form.extend(chosen);
        let answer = world.form(&edit, &form).header("cookie", &cookie).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let saved = async || {
        let store = world.call("GET", &format!("/v1/stores/{id}"), &key, Value::Null).await;
        (store["pushed_falls"].clone(), store["restocks_returns"].clone(), store["restocks_cancellations"].clone())
    };
    let chosen = [("pushed_falls", "count"), ("pushed_falls", "offline_sale"), ("restocks_returns", "on")];
    assert_eq!(save(&chosen).await.0, 303);
    assert_eq!(saved().await, (json!(["count", "offline_sale"]), json!(true), json!(false)));
    let (_, html) = world.page(&cookie, &edit).await;
    assert_eq!((ticked(&html, "value=\"count\""), ticked(&html, "value=\"adjustment\""), ticked(&html, "restocks_returns")), (1, 0, 1));
    let (status, html) = save(&[("pushed_falls", "theft")]).await;
    assert!(status == 422 && text_of(&html).contains("ust be one of adjustment, count"), "{}", text_of(&html));
    assert_eq!(save(&[]).await.0, 303);
    assert_eq!(saved().await, (json!([]), json!(false), json!(false)));
}
