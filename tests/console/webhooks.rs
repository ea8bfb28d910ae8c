//! Webhooks in the console: added with their secret shown once, tried out, switched off, deleted.
use crate::support::{World, until_page_says};

#[actix_web::test]
async fn a_webhook_is_added_tried_out_switched_off_and_deleted() {
    let world = World::start().await;
    let key = world.seller("Ada", "UTC").await;
    let (cookie, csrf) = world.session(&key).await;
    let post = async |path: &str, fields: &[(&str, &str)]| {
        let fields: Vec<(&str, &str)> = fields.iter().copied().chain([("csrf", csrf.as_str())]).collect();
        world.form(path, &fields).header("cookie", &cookie).send().await.unwrap()
    };
    let refused = post("/console/webhooks", &[("url", "nowhere"), ("topic", "run.finished")]).await;
    assert_eq!(refused.status(), 422);
    let page = refused.text().await.unwrap();
    assert!(page.contains("Must be an https address") && page.contains("value=\"nowhere\""), "{page}");
    let refused = post("/console/webhooks", &[("url", "http://127.0.0.1:9/a")]).await;
    assert_eq!(refused.status(), 422);
    assert!(refused.text().await.unwrap().contains("Must name at least one"), "no topic is ticked");
    let added =
        post("/console/webhooks", &[("url", "http://127.0.0.1:9/a"), ("topic", "run.finished"), ("topic", "pushes.rejected")]).await;
    let page = added.text().await.unwrap();
    let secret = page.split_once("whsec_").unwrap().1.split('<').next().unwrap().to_owned();
    let here = page.split_once("href=\"/console/webhooks/").unwrap().1.split('"').next().unwrap();
    let here = format!("/console/webhooks/{here}");
    assert_eq!(post(&format!("{here}/test"), &[]).await.status(), 303);
    let log = until_page_says(&world, &cookie, &here, "Trying again").await;
    assert!(log.contains("The receiver could not be reached") && log.contains("webhook.test") && !log.contains(&secret), "{log}");
    until_page_says(&world, &cookie, "/console/webhooks", "Failing").await;
    post(&format!("{here}/switch"), &[("enabled", "off")]).await;
    until_page_says(&world, &cookie, &here, "Given up").await;
    post(&here, &[("url", "http://127.0.0.1:9/b"), ("topic", "run.finished")]).await;
    let page = until_page_says(&world, &cookie, "/console/webhooks", "http://127.0.0.1:9/b").await;
    assert!(page.contains("A sync has ended") && !page.contains("Updates are rejected; "), "{page}");
    until_page_says(&world, &cookie, &format!("{here}/delete"), "Delete this webhook?").await;
    post(&format!("{here}/delete"), &[]).await;
    until_page_says(&world, &cookie, "/console/webhooks", "No webhooks yet.").await;
    world.stop().unwrap();
}
