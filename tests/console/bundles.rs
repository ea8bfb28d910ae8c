//! Bundles in the console: on the pages of their SKUs, in the list of stock, and in their form, which needs no script.
use crate::support::{World, text_of, until_page_says};
use serde_json::json;

#[actix_web::test]
async fn a_bundle_is_made_edited_and_given_up_in_its_form_which_names_the_line_that_is_wrong() {
    let world = World::start().await;
    let key = world.seller("Ada", "UTC").await;
    world.store(&key, "corner", 100, &["lamp", "bulb"], 20).await;
    world.call("PUT", "/v1/skus", &key, json!([{"sku": "KIT"}, {"sku": "BOX"}])).await;
    let (cookie, csrf) = world.session(&key).await;
    let (here, form) = ("/console/stock/sku?sku=KIT", "/console/stock/sku/bundle?sku=KIT");
    until_page_says(&world, &cookie, here, "Make it a bundle").await;
    until_page_says(&world, &cookie, form, "What KIT is made of").await;
    let post = async |sku: &str, components: &str| {
        let fields = [("csrf", csrf.as_str()), ("sku", sku), ("components", components)];
        let answer = world.form("/console/stock/sku/bundle", &fields).header("cookie", &cookie).send().await.unwrap();
        (answer.status().as_u16(), text_of(&answer.text().await.unwrap()))
    };
    for (typed, says) in [
        ("1 lamp\n2 shade", "Line 2: there is no such SKU."),
        ("lamp", "Line 1: the quantity must be a whole number from 1 to 10000."),
        ("1 lamp\n1 lamp", "Line 2: appears more than once."),
    ] {
        let (status, page) = post("KIT", typed).await;
        assert!(status == 422 && page.contains(says), "{typed}: {status} {page}");
    }
    let (status, page) = post("lamp", "1 bulb").await;
    assert!(status == 422 && page.contains("This SKU has stock of its own"), "{status} {page}");
    let forged =
        world.form("/console/stock/sku/bundle", &[("sku", "KIT"), ("components", "1 lamp")]).header("cookie", &cookie).send().await;
    assert_eq!(forged.unwrap().status(), 403);
    assert_eq!(post("BOX", "7 bulb").await.0, 303);
    assert_eq!(post("KIT", "1 lamp\r\n3 × bulb\r\n").await.0, 303);
    let page = text_of(&until_page_says(&world, &cookie, here, "Edit bundle").await);
    assert!(
        page.contains("All warehouses 6") && page.contains("bulb 3 20 6 BOX") && page.contains("lamp 1 20 20 no other bundle"),
        "{page}"
    );
    until_page_says(&world, &cookie, "/console/stock/sku?sku=bulb", "Part of BOX , KIT .").await;
    until_page_says(&world, &cookie, "/console/stock", "KIT Bundle").await;
    let (_, page) = world.page(&cookie, form).await;
    assert!(page.contains("3 bulb\n1 lamp</textarea>"), "{page}");
    assert_eq!(post("KIT", "").await.0, 303);
    until_page_says(&world, &cookie, here, "Make it a bundle").await;
    world.stop().unwrap();
}
