//! Listings that are several units of their SKU: their form, and their column in files.
use crate::support::{World, text_of, until_page_says};
use serde_json::json;

#[actix_web::test]
async fn the_units_of_a_listing_are_changed_in_its_form_which_refuses_what_no_pack_can_be() {
    let world = World::start().await;
    let key = world.seller("Ada", "UTC").await;
    let store = world.store(&key, "corner", 100, &["A"], 20).await;
    world.call("POST", "/v1/syncs", &key, json!({})).await;
    world.until("the overwrite", || world.platform.quantity("corner", "item-A") == 20).await;
    let (cookie, csrf) = world.session(&key).await;
    let listed = world.call("GET", &format!("/v1/stores/{store}/listings"), &key, json!(null)).await;
    let here = format!("/console/stores/{store}/listings/{}/edit", listed["items"][0]["id"].as_str().unwrap());
    let (status, page) = world.page(&cookie, &here).await;
    assert!(status == 200 && page.contains("value=\"1\"") && text_of(&page).contains("Units of the SKU in each"), "{page}");
    for typed in ["0", "-6", "six", "", "10001", "6.5"] {
        let form = [("csrf", csrf.as_str()), ("units", typed)];
        let answer = world.form(&here, &form).header("cookie", &cookie).send().await.unwrap();
        let status = answer.status();
        let page = answer.text().await.unwrap();
        assert!(status == 422 && text_of(&page).contains("Must be a whole number from 1 to 10000"), "{typed}: {status} {page}");
    }
    let form = [("csrf", csrf.as_str()), ("units", "6")];
    let forged = world.form(&here, &[("units", "6")]).header("cookie", &cookie).send().await.unwrap();
    assert_eq!(forged.status(), 403);
    assert_eq!(world.form(&here, &form).header("cookie", &cookie).send().await.unwrap().status(), 303);
    let page = until_page_says(&world, &cookie, &format!("/console/stores/{store}"), "6 units each").await;
    assert!(text_of(&page).contains("1 differs from target"), "it is offered while auto-sync is off: {}", text_of(&page));
    world.call("PUT", "/v1/sync-settings", &key, json!({"auto_sync": true, "initial_overwrite": false})).await;
    let form = [("csrf", csrf.as_str()), ("units", "5")];
    assert_eq!(world.form(&here, &form).header("cookie", &cookie).send().await.unwrap().status(), 303);
    world.until("the overwrite", || world.platform.quantity("corner", "item-A") == 4).await;
    until_page_says(&world, &cookie, "/console/stock/sku?sku=A", "available 20, × 100% = 20, 5 units in each = 4").await;
    until_page_says(&world, &cookie, "/console/stock/explain?sku=A", "Units of each 5").await;
    world.stop().unwrap();
}

#[actix_web::test]
async fn units_are_exported_and_imported_again_as_they_were() {
    let world = World::start().await;
    let key = world.seller("Ada", "UTC").await;
    let store = world.store(&key, "corner", 100, &["A", "B"], 20).await;
    let (cookie, csrf) = world.session(&key).await;
    let import = format!("/console/stores/{store}/import");
    let rows = "sku,external_id,units\nA,item-A,6\nB,item-B,\n";
    let preview = [("csrf", csrf.as_str()), ("rows", rows), ("do", "preview")];
    let answer = world.form(&import, &preview).header("cookie", &cookie).send().await.unwrap().text().await.unwrap();
    let text = text_of(&answer);
    assert!(text.contains("1 to replace, 1 unchanged") && text.contains("Is now 1 unit of its SKU, which changes."), "{text}");
    let done = [("csrf", csrf.as_str()), ("rows", rows), ("do", "import")];
    assert_eq!(world.form(&import, &done).header("cookie", &cookie).send().await.unwrap().status(), 303);
    let (_, exported) = world.page(&cookie, &format!("/console/stores/{store}/listings.csv")).await;
    assert_eq!(exported, "\u{feff}sku,external_id,units\nA,item-A,6\nB,item-B,1\n");
    let again = [("csrf", csrf.as_str()), ("rows", exported.as_str()), ("do", "preview")];
    let answer = world.form(&import, &again).header("cookie", &cookie).send().await.unwrap().text().await.unwrap();
    assert!(text_of(&answer).contains("2 unchanged"), "{}", text_of(&answer));
    world.stop().unwrap();
}
