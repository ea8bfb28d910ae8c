//! What a new seller has to be told: what is wrong with a store, what differs, what a run covered, what was changed.
use crate::support::{OPERATOR_KEY, World, event, text_of, until_page_says};
use serde_json::{Value, json};
use std::time::Duration;

#[actix_web::test]
async fn a_store_says_the_worst_that_is_true_with_its_number_and_a_notice_leads_there() {
    let world = World::start().await;
    let key = world.seller("Ada", "UTC").await;
    let id = world.store(&key, "corner", 100, &["A", "B"], 5).await;
    world.call("PUT", "/v1/sync-settings", &key, json!({"auto_sync": true, "initial_overwrite": false})).await;
    let mut faults = world.platform.faults();
    faults.reject_items = vec!["item-A".to_owned()];
    world.platform.set_faults(faults);
    event(&world, &key, "e1", "purchase", "A", 3).await;
    event(&world, &key, "e2", "purchase", "B", 3).await;
    let (cookie, _) = world.session(&key).await;
    for page in ["/console/sales-channel", "/console/stores", &format!("/console/stores/{id}")] {
        let html = until_page_says(&world, &cookie, page, "1 rejected").await;
        assert!(!text_of(&html).contains("Working"), "{page}");
        let link = format!("/console/records?state=rejected&#38;store={id}");
        assert!(html.contains(&link) || html.contains(&link.replace("&#38;", "&amp;")), "{page}: {html}");
    }
    let mut faults = world.platform.faults();
    faults.reject_items.clear();
    world.platform.set_faults(faults);
    world.call("POST", "/v1/syncs", &key, json!({})).await;
    until_page_says(&world, &cookie, "/console/stores", "Working").await;
    world.call("PATCH", &format!("/v1/stores/{id}"), &key, json!({"paused": true})).await;
    event(&world, &key, "e3", "purchase", "A", 1).await;
    until_page_says(&world, &cookie, "/console/stores", "Paused, 1 held").await;
    world.stop().unwrap();
}

#[actix_web::test]
async fn listings_that_were_paired_after_switching_on_are_counted_and_an_overwrite_is_offered() {
    let world = World::start().await;
    let key = world.seller("Ada", "UTC").await;
    world.call("PUT", "/v1/sync-settings", &key, json!({"auto_sync": true})).await;
    event(&world, &key, "e1", "count", "A", 40).await;
    let id = world.store(&key, "corner", 100, &[], 0).await;
    let (cookie, csrf) = world.session(&key).await;
    let form = [("csrf", csrf.as_str()), ("rows", "sku,external_id\nA,item-A"), ("do", "import")];
    let answer = world.form(&format!("/console/stores/{id}/import"), &form).header("cookie", &cookie).send().await.unwrap();
    assert_eq!(answer.status(), 303);
    until_page_says(&world, &cookie, "/console/stores", "1 never checked").await;
    event(&world, &key, "e2", "purchase", "A", 2).await;
    world.until("the increase", || world.platform.quantity("corner", "item-A") == 2).await;
    for page in ["/console/sales-channel", "/console/stores", &format!("/console/stores/{id}")] {
        until_page_says(&world, &cookie, page, "1 differs from target").await;
    }
    let html = until_page_says(&world, &cookie, &format!("/console/stores/{id}"), "Preview an overwrite").await;
    assert!(html.contains("/console/manual-sync/preview"));
    world.call("POST", "/v1/syncs", &key, json!({})).await;
    world.until("the overwrite", || world.platform.quantity("corner", "item-A") == 42).await;
    for _ in 0..200 {
        let (_, html) = world.page(&cookie, &format!("/console/stores/{id}")).await;
        if !html.contains("Preview an overwrite") {
            return world.stop().unwrap();
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the offer stays after the overwrite");
}

#[actix_web::test]
async fn a_frequency_chosen_while_off_is_kept_and_the_page_says_so() {
    let world = World::start().await;
    let key = world.seller("Ada", "UTC").await;
    let (cookie, csrf) = world.session(&key).await;
    let choose = [("csrf", csrf.as_str()), ("frequency", "timed_full"), ("daily_at", "04:30")];
    world.form("/console/sales-channel/frequency", &choose).header("cookie", &cookie).send().await.unwrap();
    let (_, html) = world.page(&cookie, "/console/sales-channel/frequency").await;
    assert!(!text_of(&html).contains("selects Incremental"), "{html}");
    let on = [("csrf", csrf.as_str()), ("auto_sync", "on"), ("initial_overwrite", "on")];
    world.form("/console/sales-channel/auto-sync", &on).header("cookie", &cookie).send().await.unwrap();
    until_page_says(&world, &cookie, "/console/sales-channel", "Timed full coverage , every day at 04:30").await;
    let choose = [("csrf", csrf.as_str()), ("frequency", "incremental_and_daily")];
    world.form("/console/sales-channel/frequency", &choose).header("cookie", &cookie).send().await.unwrap();
    until_page_says(&world, &cookie, "/console/sales-channel", "as stock increases Daily overwrite , every day at 04:30").await;
    world.stop().unwrap();
}

#[actix_web::test]
async fn a_run_names_its_stores_and_a_change_is_told_in_words() {
    let world = World::start().await;
    let key = world.seller("Ada", "UTC").await;
    let id = world.store(&key, "corner", 100, &["A"], 5).await;
    world.store(&key, "market", 100, &["A"], 5).await;
    world.call("POST", "/v1/syncs", &key, json!({"store_ids": [id]})).await;
    world.call("PATCH", &format!("/v1/stores/{id}"), &key, json!({"share_percent": 30})).await;
    let (cookie, _) = world.session(&key).await;
    let runs = until_page_says(&world, &cookie, "/console/records?show=runs", "Manual sync").await;
    assert!(text_of(&runs).contains("corner") && !text_of(&runs).contains("market"), "{}", text_of(&runs));
    let changes = until_page_says(&world, &cookie, "/console/records?show=changes", "Share percent: 100 → 30").await;
    let text = text_of(&changes);
    assert!(text.contains("API key of ") && text.contains(", ending in ") && !text.contains("share_percent"), "{text}");
    let seller = world.call("GET", "/admin/sellers", OPERATOR_KEY, Value::Null).await["items"][0]["id"].as_str().unwrap().to_owned();
    let named = world.call("POST", &format!("/admin/sellers/{seller}/keys"), OPERATOR_KEY, json!({"name": "warehouse"})).await;
    world.call("PATCH", &format!("/v1/stores/{id}"), named["api_key"].as_str().unwrap(), json!({"share_percent": 20})).await;
    until_page_says(&world, &cookie, "/console/records?show=changes", "API key “warehouse”").await;
    world.stop().unwrap();
}

#[actix_web::test]
async fn a_new_store_of_an_exclusive_seller_without_anything_left_starts_without_a_share() {
    let world = World::start().await;
    let key = world.seller("Ada", "UTC").await;
    world.store(&key, "corner", 100, &["A"], 44).await;
    world.call("PUT", "/v1/sync-settings", &key, json!({"allocation_mode": "exclusive"})).await;
    let (cookie, _) = world.session(&key).await;
    let (_, html) = world.page(&cookie, "/console/stores/new?platform=simulated").await;
    let field = html.split("name=\"share_percent\"").nth(1).unwrap().split('>').next().unwrap();
    assert!(field.contains("value=\"\""), "with 0% the store would be set to 0: {field}");
    world.stop().unwrap();
}

#[actix_web::test]
async fn a_sum_over_100_percent_is_an_error_only_where_the_stores_share_exclusively_and_goes_when_it_is_right() {
    let world = World::start().await;
    let key = world.seller("Ada", "UTC").await;
    let one = world.store(&key, "one", 100, &["A"], 44).await;
    let two = world.store(&key, "two", 100, &["A"], 44).await;
    let (cookie, csrf) = world.session(&key).await;
    let preview = async |mode: &str, first: &str, second: &str| {
        let (one, two) = (format!("share-{one}"), format!("share-{two}"));
        let form = [("csrf", csrf.as_str()), ("allocation_mode", mode), ("buffer", "0"), ("do", "show"), (&one, first), (&two, second)];
        let answer = world.form("/console/sales-channel/allocation", &form).header("cookie", &cookie).send().await.unwrap();
        let html = answer.text().await.unwrap();
        html.split("id=\"split\"").nth(1).unwrap().split("</fieldset>").next().unwrap().to_owned()
    };
    assert!(preview("exclusive", "60", "60").await.contains("over 100%"));
    assert!(!preview("exclusive", "60", "40").await.contains("over 100%"));
    assert!(!preview("shared", "100", "100").await.contains("over 100%"));
    let drawn = preview("exclusive", "", "40").await;
    assert!(drawn.contains("share-1") && !drawn.contains("share-0"), "the second store keeps its color: {drawn}");
    world.stop().unwrap();
}

#[actix_web::test]
async fn the_button_that_retries_an_update_goes_with_its_state() {
    let world = World::start().await;
    let key = world.seller("Ada", "UTC").await;
    world.store(&key, "corner", 100, &["A"], 5).await;
    let mut faults = world.platform.faults();
    faults.reject_items = vec!["item-A".to_owned()];
    world.platform.set_faults(faults);
    world.call("POST", "/v1/syncs", &key, json!({})).await;
    let (cookie, _) = world.session(&key).await;
    until_page_says(&world, &cookie, "/console/records?state=rejected", "Retry 1 update").await;
    let pushes = world.call("GET", "/v1/pushes?state=rejected", &key, Value::Null).await;
    let path = format!("/console/records/pushes/{}", pushes["items"][0]["id"].as_str().unwrap());
    for (page, region) in [(path.as_str(), "id=\"live-push\""), ("/console/records?state=rejected", "id=\"live-records\"")] {
        let (_, html) = world.page(&cookie, page).await;
        let (region, retry) = (html.find(region).unwrap(), html.find("/retry\"").unwrap());
        assert!(region < retry, "{page}: the button is outside of the region that is updated");
    }
    assert_eq!(world.call("GET", "/admin/overview", OPERATOR_KEY, Value::Null).await["sellers"], 1);
    world.stop().unwrap();
}

#[actix_web::test]
async fn variants_whose_skus_are_new_here_can_be_created_and_paired() {
    let world = World::start().await;
    let key = world.seller("Ada", "UTC").await;
    for n in 0..41 {
        world.platform.set_quantity("corner", &format!("SKU-{n}"), 5);
    }
    let id = world.store(&key, "corner", 100, &[], 0).await;
    let (cookie, csrf) = world.session(&key).await;
    let find = async |what: &str| {
        let form = [("csrf", csrf.as_str()), ("do", what)];
        world.form(&format!("/console/stores/{id}/discover"), &form).header("cookie", &cookie).send().await.unwrap()
    };
    let html = find("").await.text().await.unwrap();
    assert!(text_of(&html).contains("Create 41 SKUs and pair them"), "{}", text_of(&html));
    assert_eq!(find("create").await.status(), 303);
    let listed = world.call("GET", &format!("/v1/stores/{id}/listings"), &key, Value::Null).await;
    assert_eq!(listed["items"].as_array().unwrap().len(), 41);
    world.stop().unwrap();
}

#[actix_web::test]
async fn products_that_were_created_anew_are_replaced_by_the_button_that_says_so() {
    let world = World::start().await;
    let key = world.seller("Ada", "UTC").await;
    let id = world.store(&key, "corner", 100, &["A", "B"], 3).await;
    world.platform.set_quantity("corner", "item-B", 3);
    world.platform.set_quantity("corner", "A", 1);
    let (cookie, csrf) = world.session(&key).await;
    let find = async |what: &str| {
        let form = [("csrf", csrf.as_str()), ("do", what)];
        world.form(&format!("/console/stores/{id}/discover"), &form).header("cookie", &cookie).send().await.unwrap()
    };
    let html = find("").await.text().await.unwrap();
    assert!(text_of(&html).contains("Replace 1") && html.contains("value=\"replace\""), "{}", text_of(&html));
    let listed = async || {
        let listed = world.call("GET", &format!("/v1/stores/{id}/listings"), &key, Value::Null).await;
        let mut ids: Vec<String> =
            listed["items"].as_array().unwrap().iter().map(|listing| listing["external_id"].as_str().unwrap().to_owned()).collect();
        ids.sort();
        ids
    };
    assert_eq!(find("pair").await.status(), 303);
    assert_eq!(listed().await, ["item-A", "item-B"], "pairing replaces nothing");
    assert_eq!(find("replace").await.status(), 303);
    assert_eq!(listed().await, ["A", "item-B"]);
    world.stop().unwrap();
}

#[actix_web::test]
async fn skus_with_rules_of_their_own_are_counted_at_the_store_and_beside_its_share_with_a_link_to_them() {
    let world = World::start().await;
    let key = world.seller("Ada", "UTC").await;
    let id = world.store(&key, "corner", 100, &["A", "B", "C"], 3).await;
    world.call("PUT", "/v1/rules", &key, json!([{"sku": "A", "share_percent": 10}, {"sku": "B", "store_id": id, "max_shown": 2}])).await;
    let (cookie, _) = world.session(&key).await;
    let link = format!("/console/stores/{id}?own_rules=on");
    for page in [format!("/console/stores/{id}"), "/console/sales-channel/allocation".to_owned()] {
        let (_, html) = world.page(&cookie, &page).await;
        assert!(text_of(&html).contains("2 SKUs have rules of their own") && html.contains(&link), "{page}: {}", text_of(&html));
    }
    let (_, html) = world.page(&cookie, &link).await;
    let of = |sku: &str| html.contains(&format!("/console/stock/sku?sku={sku}\""));
    assert_eq!((of("A"), of("B"), of("C")), (true, true, false), "{}", text_of(&html));
    let (_, html) = world.page(&cookie, "/console/stock/sku?sku=B").await;
    assert!(text_of(&html).contains("A maximum (“at most”) limits “Target”"), "{}", text_of(&html));
    world.stop().unwrap();
}

#[actix_web::test]
async fn after_an_import_with_rows_that_were_refused_the_overwrite_is_offered_as_a_button() {
    let world = World::start().await;
    let key = world.seller("Ada", "UTC").await;
    let id = world.store(&key, "corner", 100, &[], 0).await;
    let (cookie, csrf) = world.session(&key).await;
    let field = |name: &str, value: &str| format!("--q\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
    let form = field("csrf", &csrf) + &field("do", "import") + &field("rows", "sku,external_id\nA,1\n,2\n") + "--q--\r\n";
    let request = world.request(reqwest::Method::POST, &format!("/console/stores/{id}/import")).header("cookie", &cookie);
    let answer = request.header("content-type", "multipart/form-data; boundary=q").body(form).send().await.unwrap();
    let html = answer.text().await.unwrap();
    assert!(
        text_of(&html).contains("Preview an overwrite") && html.contains("action=\"/console/manual-sync/preview\""),
        "{}",
        text_of(&html)
    );
    world.stop().unwrap();
}

#[actix_web::test]
async fn records_of_an_unknown_state_are_none_and_the_page_says_why() {
    let world = World::start().await;
    let key = world.seller("Ada", "UTC").await;
    world.store(&key, "corner", 100, &["A"], 3).await;
    world.call("POST", "/v1/syncs", &key, json!({})).await;
    world.until("the overwrite", || world.platform.quantity("corner", "item-A") == 3).await;
    let (cookie, _) = world.session(&key).await;
    for (query, shows) in [("", true), ("?state=zzz", false), ("?store=zzz", false)] {
        let (_, html) = world.page(&cookie, &format!("/console/records{query}")).await;
        let text = text_of(&html);
        assert_eq!((html.contains("/console/records/pushes/"), text.contains("Unknown")), (shows, !shows), "{query}: {text}");
    }
    world.stop().unwrap();
}
