//! A run is undone on its page.
use crate::support::{World, event, until_page_says};
use serde_json::json;

#[actix_web::test]
async fn a_run_is_undone_on_its_page_after_a_confirmation_that_says_what_changes() {
    let world = World::start().await;
    let key = world.seller("Ada", "UTC").await;
    world.store(&key, "corner", 100, &["A", "B", "C"], 5).await;
    let shown = |sku: &str| world.platform.quantity("corner", &format!("item-{sku}"));
    let sync = async || world.call("POST", "/v1/syncs", &key, json!({})).await["id"].as_str().unwrap().to_owned();
    sync().await;
    world.until("the first overwrite", || ["A", "B", "C"].iter().all(|sku| shown(sku) == 5)).await;
    for sku in ["A", "B"] {
        event(&world, &key, &format!("wrong-{sku}"), "count", sku, 1).await;
    }
    let wrong = sync().await;
    let (cookie, csrf) = world.session(&key).await;
    let here = format!("/console/records/runs/{wrong}");
    let page = until_page_says(&world, &cookie, &here, "Undo…").await;
    assert!(page.contains(&format!("{here}/undo")), "{page}");
    let page = until_page_says(&world, &cookie, &format!("{here}/undo"), "Undo this run?").await;
    assert!(
        page.contains("2 listings are set back to what they showed before") && page.contains("1 listing shows that already."),
        "{page}"
    );
    assert!(page.contains("No stock event has named corner as the store of a sale"), "{page}");
    let forged = world.form(&format!("{here}/undo"), &[]).header("cookie", &cookie).send().await.unwrap();
    assert_eq!((forged.status().as_u16(), shown("A")), (403, 1));
    let post = async || world.form(&format!("{here}/undo"), &[("csrf", csrf.as_str())]).header("cookie", &cookie).send().await.unwrap();
    let started = post().await;
    assert_eq!(started.status(), 303);
    let undo = started.headers()["location"].to_str().unwrap().to_owned();
    world.until("the undo", || ["A", "B", "C"].iter().all(|sku| shown(sku) == 5)).await;
    let page = until_page_says(&world, &cookie, &undo, "Finished").await;
    assert!(page.contains("Undoes") && !page.contains("Undo…"), "{page}");
    let page = until_page_says(&world, &cookie, &here, "Undone by").await;
    assert!(!page.contains("Undo…"), "{page}");
    let refused = post().await;
    let notice = refused.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    until_page_says(&world, &format!("{cookie}; {notice}"), &here, "This run was undone before.").await;
    world.stop().unwrap();
}

#[actix_web::test]
async fn a_run_that_waits_for_a_paused_store_is_canceled_on_its_page() {
    let world = World::start().await;
    let key = world.seller("Ada", "UTC").await;
    let store = world.store(&key, "corner", 100, &["A"], 5).await;
    world.call("PATCH", &format!("/v1/stores/{store}"), &key, json!({ "paused": true })).await;
    let sync = world.call("POST", "/v1/syncs", &key, json!({})).await["id"].as_str().unwrap().to_owned();
    let (cookie, csrf) = world.session(&key).await;
    let here = format!("/console/records/runs/{sync}");
    let page = until_page_says(&world, &cookie, &here, "Cancel this run").await;
    assert!(page.contains(&format!("{here}/cancel")), "{page}");
    let forged = world.form(&format!("{here}/cancel"), &[]).header("cookie", &cookie).send().await.unwrap();
    assert_eq!(forged.status(), 403);
    let done = world.form(&format!("{here}/cancel"), &[("csrf", csrf.as_str())]).header("cookie", &cookie).send().await.unwrap();
    assert_eq!((done.status().as_u16(), done.headers()["location"].to_str().unwrap()), (303, here.as_str()));
    let page = until_page_says(&world, &cookie, &here, "Canceled on request.").await;
    assert!(!page.contains("Cancel this run"), "{page}");
    world.stop().unwrap();
}
