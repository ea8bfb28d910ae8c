//! What sellers do, step by step.
use crate::support::{Browser, World};
use diesel::prelude::*;
use diesel::sql_types::Text;
use serde_json::json;

#[derive(QueryableByName)]
struct Schedule {
    #[diesel(sql_type = Text)]
    frequency: String,
    #[diesel(sql_type = Text)]
    daily_at: String,
}

fn schedule(world: &World) -> (String, String) {
    let mut connection = SqliteConnection::establish(world.database.url.trim_start_matches("sqlite://")).unwrap();
    let row: Schedule = diesel::sql_query("SELECT frequency, daily_at FROM sync_settings").get_result(&mut connection).unwrap();
    (row.frequency, row.daily_at)
}

/// Types a time into the browser's field, which ignores "AM" if its clock has 24 hours.
async fn type_time(browser: &Browser, digits: &str) {
    browser.find("#daily_at").await.send_keys(&format!("{digits}AM")).await.unwrap();
}

#[actix_web::test]
async fn auto_sync_and_its_frequency_work_as_the_model_system_describes() {
    let Some(browser) = Browser::open(true).await else { return };
    let world = World::start().await;
    let key = world.seller("Ada", "Europe/Berlin").await;
    world.store(&key, "corner", 100, &["A", "B"], 7).await;
    browser.sign_in(&world, &key).await;

    // Set up > Sales channel: turn on automatic synchronization in the module Auto-sync inventory (default: incremental).
    browser.follow("Sales channel").await;
    let text = browser.text().await;
    assert!(text.contains("Set up › Sales channel") && text.contains("Auto-sync inventory"), "{text}");
    assert!(text.contains("Overwrite 2 listings in 1 store now"), "the page says in advance what will happen: {text}");
    browser.find("button[role=switch][aria-checked=false]").await.click().await.unwrap();
    browser.says("Automatic synchronization is on: Incremental inventory synchronization. Overwriting 2 listings in 1 store now.").await;
    assert_eq!(schedule(&world).0, "incremental");
    world.until("the initial overwrite", || world.platform.quantity("corner", "item-A") == 7).await;

    // Edit; choose timed full coverage and the update time; Complete.
    browser.press("Edit synchronization frequency").await;
    browser.find("#timed").await.click().await.unwrap();
    type_time(&browser, "0330").await;
    browser.press("Complete").await;
    browser.says("Timed full coverage is saved").await;
    assert_eq!(schedule(&world), ("timed_full".to_owned(), "03:30".to_owned()));
    let runs = browser.client.find_all(fantoccini::Locator::Css("ol.runs li")).await.unwrap();
    assert_eq!(runs.len(), 5);
    for run in runs {
        let text = run.text().await.unwrap();
        assert!(text.contains(", 03:30 Europe/Berlin (UTC+0"), "{text}");
    }

    browser.press("Sign out").await;
    browser.says("Enter an API key").await;
    browser.go(&format!("{}/console/stores", world.base)).await;
    browser.says("Sign in").await;
    browser.close().await;
}

#[actix_web::test]
async fn listings_are_paired_by_sku_and_by_a_csv_import_that_reports_bad_rows() {
    let Some(browser) = Browser::open(true).await else { return };
    let world = World::start().await;
    let key = world.seller("Ada", "UTC").await;
    world.platform.set_quantity("shop", "SKU-1", 5);
    world.platform.set_quantity("shop", "strange", 5);
    world.call("PUT", "/v1/skus", &key, json!([{"sku": "SKU-1"}, {"sku": "SKU-2"}])).await;
    browser.sign_in(&world, &key).await;

    browser.follow("Stores").await;
    browser.says("No stores yet").await;
    browser.press("Add store").await;
    browser.press("Simulated platform or HTTP bridge").await;
    browser.fill("#name", "Shop").await;
    browser.fill("#base_url", "ftp://nowhere").await;
    browser.press("Add store").await;
    browser.says("Must be an http or https address").await;
    browser.fill("#base_url", &world.platform_url).await;
    browser.fill("#external_store", "shop").await;
    browser.press("Add store").await;
    browser.says("Shop is added. The connection works.").await;

    browser.press("Pair by SKU").await;
    browser.press("Find matches").await;
    browser.says("This SKU doesn't exist here.").await;
    browser.press("Pair 1").await;
    browser.says("1 listing paired.").await;

    browser.press("Import CSV").await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("listings.csv");
    std::fs::write(&file, "sku,external_id\nSKU-2,two\n,three\nSKU-1,four\nSKU-5,five\n").unwrap();
    browser.find("#file").await.send_keys(file.to_str().unwrap()).await.unwrap();
    browser.press("Preview").await;
    browser.says("3 to pair, 1 not valid").await;
    browser.says("This store has 1 other listing of the SKU. Each shows the same units, so the same unit can be sold twice.").await;
    browser.says("Nothing has been imported yet.").await;
    browser.press("Import").await;
    browser.says("3 paired, 1 rejected").await;
    let text = browser.text().await;
    assert!(text.contains("must not be empty"), "{text}");
    let kept = browser.find("#rows").await.prop("value").await.unwrap().unwrap_or_default();
    assert!(kept.contains("SKU-1,four"), "the rows are still there to be corrected: {kept}");
    let stores = world.call("GET", "/v1/stores", &key, json!(null)).await;
    let id = stores["items"][0]["id"].as_str().unwrap().to_owned();
    let (cookie, _) = world.session(&key).await;
    let (_, csv) = world.page(&cookie, &format!("/console/stores/{id}/listings.csv")).await;
    let (_, page) = world.page(&cookie, &format!("/console/stores/{id}")).await;
    assert_eq!(page.matches("one of 2 listings of this SKU").count(), 2, "{page}");
    assert_eq!(csv, "\u{feff}sku,external_id,units\nSKU-1,SKU-1,1\nSKU-1,four,1\nSKU-2,two,1\nSKU-5,five,1\n");
    browser.close().await;
}

#[actix_web::test]
async fn a_manual_sync_is_previewed_and_then_overwrites_every_quantity() {
    let Some(browser) = Browser::open(true).await else { return };
    let world = World::start().await;
    let key = world.seller("Ada", "UTC").await;
    world.store(&key, "full", 100, &["A", "B"], 10).await;
    world.store(&key, "half", 50, &["A"], 10).await;
    world.call("POST", "/v1/stock-events", &key, json!({"event_id": "none", "sku": "B", "kind": "count", "quantity": 0})).await;
    world.call("PUT", "/v1/rules", &key, json!([{"sku": "B", "buffer": 1}])).await;
    world.platform.set_quantity("full", "item-A", 10);
    world.platform.set_quantity("full", "item-B", 4);
    browser.sign_in(&world, &key).await;

    browser.follow("Manual sync").await;
    browser.fill("#skus", "A\nZ").await;
    browser.press("Preview").await;
    browser.says("Z: there is no such SKU.").await;
    browser.fill("#skus", "").await;
    browser.press("Preview").await;
    browser.says("1 listing will go to 0.").await;
    let rows = browser.client.find_all(fantoccini::Locator::Css("tbody tr")).await.unwrap();
    let mut texts = Vec::new();
    for row in rows {
        texts.push(row.text().await.unwrap().split_whitespace().collect::<Vec<_>>().join(" "));
    }
    // The listing that will go to 0 is listed first. Columns: SKU, store, shown, target, change.
    assert_eq!(texts, ["B full 4 0 by a rule of this SKU −4", "A full 10 10 0", "A half 0 5 +5"]);
    assert_eq!(world.platform.quantity("full", "item-B"), 4, "a preview sends nothing");

    browser.press("Overwrite now").await;
    browser.says("3 of 3").await;
    browser.says("Finished").await;
    let shown = [("full", "item-A"), ("full", "item-B"), ("half", "item-A")].map(|(s, i)| world.platform.quantity(s, i));
    assert_eq!(shown, [10, 0, 5]);
    browser.close().await;
}

#[actix_web::test]
async fn a_rejected_push_says_what_to_do_and_succeeds_when_retried() {
    let Some(browser) = Browser::open(true).await else { return };
    let world = World::start().await;
    let key = world.seller("Ada", "UTC").await;
    world.store(&key, "corner", 100, &["A"], 5).await;
    let mut faults = world.platform.faults();
    faults.reject_items = vec!["item-A".to_owned()];
    world.platform.set_faults(faults.clone());
    world.call("POST", "/v1/syncs", &key, json!({})).await;
    browser.sign_in(&world, &key).await;

    browser.follow("Records").await;
    browser.says("Rejected").await;
    browser.press("A").await;
    browser.says("What to do:").await;
    browser.says("The store refused this listing").await;
    browser.find("summary").await.click().await.unwrap();
    assert!(browser.find("details pre").await.text().await.unwrap().starts_with("200 "), "one click shows the raw response");

    faults.reject_items.clear();
    world.platform.set_faults(faults);
    browser.press("Retry").await;
    browser.says("Queued for retry.").await;
    world.until("the retry", || world.platform.quantity("corner", "item-A") == 5).await;
    browser.client.refresh().await.unwrap();
    browser.says("The store applied it.").await;
    browser.close().await;
}

#[actix_web::test]
async fn everything_works_without_javascript() {
    let Some(browser) = Browser::open(false).await else { return };
    let world = World::start().await;
    let key = world.seller("Ada", "UTC").await;
    browser.sign_in(&world, &key).await;

    browser.follow("Stores").await;
    browser.press("Add store").await;
    browser.press("Simulated platform or HTTP bridge").await;
    browser.fill("#name", "Shop").await;
    browser.fill("#base_url", &world.platform_url).await;
    browser.fill("#external_store", "shop").await;
    browser.press("Add store").await;
    browser.says("The connection works").await;
    browser.press("Import CSV").await;
    browser.fill("#rows", "sku,external_id\nA,item-A").await;
    browser.press("Preview").await;
    browser.says("1 to pair").await;
    browser.press("Import").await;
    browser.says("1 row imported: 1 paired.").await;
    browser.press("Go live").await;
    browser.says("Shop is live.").await;
    world.call("POST", "/v1/stock-events", &key, json!({"event_id": "e", "sku": "A", "kind": "count", "quantity": 9})).await;

    browser.follow("Sales channel").await;
    browser.find("button.switch[aria-checked=false]").await.click().await.unwrap();
    browser.says("Overwriting 1 listing in 1 store now.").await;
    world.until("the initial overwrite", || world.platform.quantity("shop", "item-A") == 9).await;
    browser.press("Edit synchronization frequency").await;
    browser.find("#timed").await.click().await.unwrap();
    type_time(&browser, "0330").await;
    browser.press("Update preview").await;
    browser.says(", 03:30 UTC").await;
    browser.press("Complete").await;
    browser.says("Timed full coverage is saved").await;
    assert_eq!(schedule(&world).1, "03:30");

    browser.press("Edit allocation").await;
    browser.find("#exclusive").await.click().await.unwrap();
    browser.fill("[name^='share-']", "120").await;
    browser.press("Update preview").await;
    browser.fill("[name^='share-']", "50").await;
    browser.press("Save").await;
    browser.says("Allocation is saved. Overwriting 1 listing in 1 store now.").await;
    // Half of 9 is rounded up: the last unit is allocated, too.
    world.until("the new target", || world.platform.quantity("shop", "item-A") == 5).await;

    world.platform.set_quantity("shop", "item-A", 1);
    browser.follow("Manual sync").await;
    browser.press("Preview").await;
    browser.press("Overwrite now").await;
    world.until("the manual sync", || world.platform.quantity("shop", "item-A") == 5).await;
    browser.says_when_refreshed("1 of 1").await;

    browser.follow("Stores").await;
    browser.press("Shop").await;
    browser.press("Pause").await;
    browser.says("Shop is paused.").await;
    browser.press("Resume").await;
    browser.says("Shop is resumed.").await;
    browser.press("Unpair A").await;
    browser.press("Unpair").await;
    browser.says("The listing is unpaired.").await;
    browser.press("Remove").await;
    browser.press("Remove store").await;
    browser.says("The store is removed.").await;

    browser.follow("Sales channel").await;
    browser.find("button.switch[aria-checked=true]").await.click().await.unwrap();
    browser.press("Turn off").await;
    browser.says("Automatic synchronization is off.").await;
    browser.press("Sign out").await;
    browser.says("Enter an API key").await;
    browser.close().await;
}
