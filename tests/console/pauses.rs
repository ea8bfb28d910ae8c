//! Pauses in the console: of everything, of a SKU, of a platform; and the calendar of frozen windows.
use crate::support::{OPERATOR_KEY, World, until_page_says};
use chrono::TimeDelta;
use stocktide::clock::Clock;

#[actix_web::test]
async fn everything_a_sku_and_a_platform_are_paused_and_resumed_and_a_window_is_planned() {
    let world = World::start().await;
    let key = world.seller("Ada", "UTC").await;
    world.store(&key, "corner", 100, &["A"], 5).await;
    let (cookie, csrf) = world.session(&key).await;
    let post = async |path: &str, fields: &[(&str, &str)]| {
        let fields: Vec<(&str, &str)> = fields.iter().copied().chain([("csrf", csrf.as_str())]).collect();
        world.form(path, &fields).header("cookie", &cookie).send().await.unwrap()
    };
    until_page_says(&world, &cookie, "/console/pauses", "Nothing is paused.").await;
    assert_eq!(post("/console/pauses", &[("paused", "on"), ("reason", "Stocktaking")]).await.status(), 303);
    for page in ["/console/pauses", "/console/sales-channel"] {
        let text = until_page_says(&world, &cookie, page, "Stocktaking").await;
        assert!(text.contains("All stores") && text.contains("Resume all stores"), "{text}");
    }
    until_page_says(&world, &cookie, "/console/stores", "All stores are paused.").await;
    assert_eq!(post("/console/pauses", &[("paused", "off")]).await.status(), 303);
    until_page_says(&world, &cookie, "/console/pauses", "Nothing is paused.").await;

    assert_eq!(post("/console/stock/sku/pause", &[("sku", "A"), ("paused", "on"), ("reason", "Recall")]).await.status(), 303);
    until_page_says(&world, &cookie, "/console/stock/sku?sku=A", "Recall").await;
    until_page_says(&world, &cookie, "/console/pauses", "SKU A").await;
    assert_eq!(post("/console/stock/sku/pause", &[("sku", "A"), ("paused", "off")]).await.status(), 303);
    until_page_says(&world, &cookie, "/console/stock/sku?sku=A", "Pause this SKU").await;

    let refused = post("/console/pauses/windows", &[("name", "Sale"), ("from", "2020-01-02T00:00"), ("to", "2020-01-01T00:00")]).await;
    assert_eq!(refused.status(), 422);
    let text = refused.text().await.unwrap();
    assert!(text.contains("Must be later than `from`.") && text.contains("2020-01-02T00:00"), "{text}");
    let (from, to) = ("2020-01-01T00:00", "2020-01-01T01:00");
    assert_eq!(post("/console/pauses/windows", &[("name", "Sale"), ("from", from), ("to", to)]).await.status(), 422, "it is over");
    let hours = |n: i64| (Clock::system().now() + TimeDelta::hours(n)).to_utc().format("%Y-%m-%dT%H:%M").to_string();
    let (from, to) = (hours(-1), hours(1));
    assert_eq!(post("/console/pauses/windows", &[("name", "Sale"), ("from", &from), ("to", &to)]).await.status(), 303);
    let page = until_page_says(&world, &cookie, "/console/pauses", "Frozen window “Sale”").await;
    until_page_says(&world, &cookie, "/console/stores", "A frozen window is on.").await;
    let (_, rest) = page.split_once("/console/pauses/windows/").unwrap();
    let id = rest.split('/').next().unwrap().to_owned();
    let refused = post("/console/manual-sync/overwrite", &[]).await;
    assert_eq!(refused.headers()["location"], "/console/manual-sync");
    assert_eq!(post(&format!("/console/pauses/windows/{id}/delete"), &[]).await.status(), 303);
    until_page_says(&world, &cookie, "/console/pauses", "No frozen windows yet.").await;

    let answer = world.form("/console/sign-in", &[("key", OPERATOR_KEY)]).send().await.unwrap();
    let operator = answer.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    let page = world.page(&operator, "/console/operator/platforms").await.1;
    let csrf = page.split("name=\"csrf\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let form = world.form("/console/operator/platforms/simulated", &[("csrf", &csrf), ("paused", "on"), ("reason-simulated", "Outage")]);
    assert_eq!(form.header("cookie", &operator).send().await.unwrap().status(), 303);
    until_page_says(&world, &operator, "/console/operator/platforms", "Outage").await;
    until_page_says(&world, &cookie, "/console/stores", "has paused the platform").await;
    let form = world.form("/console/operator/platforms/simulated", &[("csrf", &csrf), ("paused", "off")]);
    assert_eq!(form.header("cookie", &operator).send().await.unwrap().status(), 303);
    until_page_says(&world, &cookie, "/console/pauses", "Nothing is paused.").await;
    world.stop().unwrap();
}
