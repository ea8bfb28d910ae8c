//! Drift in the console: a check on request, what it has found, and what the daily check does.
use crate::support::{World, until_page_says};

#[actix_web::test]
async fn a_check_on_request_names_what_differs_and_the_daily_check_is_set() {
    let world = World::start().await;
    let key = world.seller("Ada", "UTC").await;
    let store = world.store(&key, "corner", 100, &["A", "B"], 5).await;
    let (cookie, csrf) = world.session(&key).await;
    let post = async |path: &str, fields: &[(&str, &str)]| {
        let fields: Vec<(&str, &str)> = fields.iter().copied().chain([("csrf", csrf.as_str())]).collect();
        world.form(path, &fields).header("cookie", &cookie).send().await.unwrap()
    };
    world.call("POST", "/v1/syncs", &key, serde_json::json!({})).await;
    until_page_says(&world, &cookie, "/console/records?show=runs", "2 of 2").await;
    world.platform.set_quantity("corner", "item-A", 9);
    until_page_says(&world, &cookie, "/console/drift", "No listing differs.").await;
    assert_eq!(post(&format!("/console/drift/stores/{store}/check"), &[]).await.status(), 303);
    let page = until_page_says(&world, &cookie, "/console/drift", "1 of 2 listings differs").await;
    assert!(page.contains("Changed in the store") && page.contains("+4") && page.contains("corner"), "{page}");
    let filtered = until_page_says(&world, &cookie, "/console/drift?cause=locked", "No listing matches.").await;
    assert!(!filtered.contains("+4"), "{filtered}");
    until_page_says(&world, &cookie, &format!("/console/drift?store={store}"), "Earlier checks of this store").await;
    let refused = post("/console/drift", &[("drift", "sometimes")]).await;
    assert_eq!(refused.status(), 422);
    assert!(refused.text().await.unwrap().contains("Choose what the daily check does."));
    assert_eq!(post("/console/drift", &[("drift", "correct_down")]).await.status(), 303);
    let settings = world.call("GET", "/v1/sync-settings", &key, serde_json::json!(null)).await;
    assert_eq!(settings["drift"], "correct_down");
    world.stop().unwrap();
}
