//! Addresses for mails in the console: added, changed, asked again to confirm themselves, deleted.
use crate::support::{World, until_page_says};

#[actix_web::test]
async fn an_address_is_added_changed_and_deleted() {
    let world = World::start_reachable().await;
    let key = world.seller("Ada", "UTC").await;
    let (cookie, csrf) = world.session(&key).await;
    let post = async |path: &str, fields: &[(&str, &str)]| {
        let fields: Vec<(&str, &str)> = fields.iter().copied().chain([("csrf", csrf.as_str())]).collect();
        world.form(path, &fields).header("cookie", &cookie).send().await.unwrap()
    };
    until_page_says(&world, &cookie, "/console/emails", "No addresses yet.").await;
    let refused = post("/console/emails", &[("address", "<b>nobody"), ("digest_hour", "25"), ("at_once", "on")]).await;
    assert_eq!(refused.status(), 422);
    let page = refused.text().await.unwrap();
    assert!(page.contains("Must be an e-mail address") && page.contains("value=\"&#60;b&#62;nobody\""), "{page}");
    assert!(page.contains("Must be from 0 to 23") && page.contains("Must name at least one") && page.contains("name=\"at_once\" checked"));
    let added = post("/console/emails", &[("address", "ada@example.com"), ("topic", "run.finished"), ("digest_hour", "7")]).await;
    assert_eq!(added.status(), 303);
    let page = until_page_says(&world, &cookie, "/console/emails", "ada@example.com").await;
    assert!(page.contains("Not confirmed yet") && page.contains("Daily at 07:00") && page.contains("A sync has ended"), "{page}");
    let here = page.split_once("href=\"/console/emails/").unwrap().1.split('"').next().unwrap();
    let here = format!("/console/emails/{here}");
    let page = until_page_says(&world, &cookie, &here, "Ask to confirm again").await;
    assert!(page.contains("value=\"7\""), "{page}");
    assert_eq!(post(&here, &[("topic", "pushes.rejected"), ("digest_hour", "x")]).await.status(), 422);
    assert_eq!(post(&here, &[("topic", "pushes.rejected"), ("digest_hour", "7"), ("at_once", "on")]).await.status(), 303);
    until_page_says(&world, &cookie, "/console/emails", "At once").await;
    for _ in 0..3 {
        assert_eq!(post(&format!("{here}/confirmation"), &[]).await.status(), 303);
    }
    until_page_says(&world, &cookie, &here, "The operator of this service must act").await;
    until_page_says(&world, &cookie, &format!("{here}/delete"), "Delete this address?").await;
    post(&format!("{here}/delete"), &[]).await;
    until_page_says(&world, &cookie, "/console/emails", "No addresses yet.").await;
    world.stop().unwrap();
}

#[actix_web::test]
async fn where_the_operator_has_not_set_up_mail_the_page_says_so() {
    let world = World::start().await;
    let key = world.seller("Ada", "UTC").await;
    let (cookie, _) = world.session(&key).await;
    let page = until_page_says(&world, &cookie, "/console/emails", "has not set up e-mail").await;
    assert!(!page.contains("Add address"), "{page}");
    world.stop().unwrap();
}
