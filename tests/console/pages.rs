//! Visits every page, in light and dark, at phone and desktop size.
//!
//! `tests/console/accessibility.sh` also checks the pages with axe-core, and `tests/console/screenshots.sh FOLDER` saves
//! screenshots. A plain test run only checks that every page loads and fits its screen.
use crate::database::Backend;
use crate::scene::{Unhelpful, Visit, busy_seller, empty_visits, page, traffic};
use crate::support::{Browser, OPERATOR_KEY, World, report_skipped};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::Duration;

const SIZES: [(u32, u32); 2] = [(1440, 900), (390, 844)];
const SCHEMES: [&str; 2] = ["light", "dark"];
/// The rules of WCAG 2.2, levels A and AA.
const RULES: [&str; 5] = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"];

crate::on_both_backends![every_page_loads];

/// The queries differ by backend, so both load every page.
fn every_page_loads(backend: Backend) {
    actix_web::rt::System::new().block_on(async {
        let (world, unhelpful) = (World::start_on(backend).await, Unhelpful::start());
        let (key, mut visits) = busy_seller(&world, &unhelpful.url).await;
        let (cookie, csrf) = world.session(&key).await;
        visits.extend(empty_visits());
        visits.extend(
            ["stock?search=mug&after=A", "records?show=runs&after=0", "records?state=held&sku=MUG-BLUE"]
                .map(|path| page("more", format!("/console/{path}"))),
        );
        for visit in &visits {
            let (status, text) = world.page(&cookie, &visit.path).await;
            assert_eq!(status, 200, "{}: {text}", visit.path);
            assert_nothing_inline(&visit.path, &text);
        }
        let retried = world.form("/console/records/retry", &[("csrf", &csrf), ("state", "rejected"), ("sku", "LAMP-ASH")]);
        assert_eq!(retried.header("cookie", &cookie).send().await.unwrap().status(), 303);
        let preview = world.form("/console/manual-sync/preview", &[("csrf", &csrf)]).header("cookie", &cookie).send().await.unwrap();
        assert!(preview.text().await.unwrap().contains("MUG-BLUE"));
        let signed_in = world.form("/console/sign-in", &[("key", OPERATOR_KEY)]).send().await.unwrap();
        let cookie = signed_in.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
        let sellers = world.call("GET", "/admin/sellers", OPERATOR_KEY, json!(null)).await;
        let seller = format!("/console/operator/sellers/{}", sellers["items"][0]["id"].as_str().unwrap());
        for visit in operator_visits(&seller) {
            let (status, text) = world.page(&cookie, &visit.path).await;
            assert_eq!(status, 200, "{}: {text}", visit.path);
            assert_nothing_inline(&visit.path, &text);
            assert!(visit.name == "seller-new" || text.contains("Harbour Goods"), "{}", visit.path);
        }
        unhelpful.stop().await;
    });
}

/// The content policy blocks inline scripts, inline styles and other origins, so no page may contain them.
fn assert_nothing_inline(path: &str, text: &str) {
    for tag in text.split('<').skip(1) {
        let tag = tag.split('>').next().unwrap();
        let is_inline = tag.contains(" style=")
            || tag.starts_with("style")
            || tag.contains(" on") && tag.contains("=\"") && {
                tag.split_whitespace().any(|attribute| attribute.starts_with("on") && attribute.contains('='))
            };
        assert!(!is_inline, "{path}: <{tag}>");
        assert!(!tag.starts_with("script") || tag.contains(" src=\"/console/assets/"), "{path}: <{tag}>");
        assert!(!tag.contains(" src=\"http") && !tag.contains(" href=\"http"), "{path}: <{tag}>");
    }
}

/// The operator's pages but for the first; `seller` is the page of one.
fn operator_visits(seller: &str) -> Vec<Visit> {
    let of_seller = [("seller", ""), ("seller-edit", "/edit"), ("seller-limits", "/limits"), ("seller-suspend", "/suspend")];
    let mut visits = vec![
        page("behind", "/console/operator/stores?by=0s"),
        page("sellers", "/console/operator/sellers"),
        page("seller-new", "/console/operator/sellers/new"),
        page("operator-changes", "/console/operator/changes"),
    ];
    visits.extend(of_seller.map(|(name, end)| page(name, format!("{seller}{end}"))));
    visits
}

struct Tour {
    browser: Browser,
    screenshots: Option<PathBuf>,
    axe: Option<String>,
    violations: Vec<String>,
}

impl Tour {
    /// Checks the current page in all schemes and sizes.
    async fn inspect(&mut self, name: &str) {
        // Without screenshots and axe-core only the layout is checked, which is the same in both schemes.
        let uses_colors = self.screenshots.is_some() || self.axe.is_some();
        for scheme in SCHEMES.into_iter().take(if uses_colors { 2 } else { 1 }) {
            let media = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
            self.browser.devtools("Emulation.setEmulatedMedia", media).await;
            for (width, height) in SIZES {
                let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500});
                self.browser.devtools("Emulation.setDeviceMetricsOverride", size).await;
                let wide = "return document.documentElement.scrollWidth - document.documentElement.clientWidth";
                let beyond = self.browser.client.execute(wide, vec![]).await.unwrap();
                assert_eq!(beyond, 0, "{name} at {width} px is wider than the screen");
                if let Some(folder) = &self.screenshots {
                    let taken = self.browser.devtools("Page.captureScreenshot", json!({"captureBeyondViewport": true})).await;
                    let png = STANDARD.decode(taken["data"].as_str().unwrap()).unwrap();
                    std::fs::write(folder.join(format!("{name}-{scheme}-{width}.png")), png).unwrap();
                }
                if let Some(axe) = &self.axe {
                    self.browser.client.execute(axe, vec![]).await.unwrap();
                    let check =
                        "const done = arguments[1]; axe.run(document, {runOnly: arguments[0]}).then((result) => done(result.violations))";
                    let found = self.browser.client.execute_async(check, vec![json!(RULES)]).await.unwrap();
                    for violation in found.as_array().unwrap() {
                        let nodes: Vec<&str> =
                            violation["nodes"].as_array().unwrap().iter().filter_map(|node| node["html"].as_str()).collect();
                        self.violations.push(format!("{name}, {scheme}, {width} px: {}: {}", violation["help"], nodes.join(" ")));
                    }
                }
            }
        }
    }

    async fn visit(&mut self, world: &World, visits: &[Visit]) {
        for visit in visits {
            self.browser.go(&format!("{}{}", world.base, visit.path)).await;
            let title = self.browser.client.title().await.unwrap();
            assert!(title.ends_with("Stocktide"), "{}: {title}", visit.path);
            self.inspect(visit.name).await;
        }
    }
}

/// Inspects the pages that only a submitted form leads to.
async fn inspect_form_results(tour: &mut Tour, world: &World, key: &str, visits: &[Visit]) {
    let path_of = |name: &str| visits.iter().find(|visit| visit.name == name).unwrap().path.clone();
    let address = |path: &str| format!("{}{path}", world.base);
    tour.browser.go(&address(&path_of("import"))).await;
    tour.browser.fill("#rows", "sku,external_id\nKETTLE-1,KETTLE-1\n,KETTLE-3\nMUG-BLUE,SOAP-SEA").await;
    tour.browser.press("Preview").await;
    tour.browser.says("to pair").await;
    tour.inspect("import-preview").await;
    tour.browser.press("Import").await;
    tour.browser.says("rejected").await;
    tour.inspect("imported").await;
    world.platform.set_quantity("stall", "KETTLE-2", 4);
    world.platform.set_quantity("stall", "POT-7", 2);
    world.call("PUT", "/v1/skus", key, json!([{"sku": "KETTLE-2"}])).await;
    tour.browser.go(&address(&path_of("discover"))).await;
    tour.browser.press("Find matches").await;
    tour.browser.says("already paired").await;
    tour.inspect("discovered").await;
    tour.browser.go(&address("/console/stores/new?platform=woocommerce")).await;
    tour.browser.fill("#name", "Harbour Goods Trade").await;
    tour.browser.fill("#base_url", "shop.example.com").await;
    tour.browser.submit_unchecked().await;
    tour.browser.says("Must be").await;
    tour.inspect("store-new-refused").await;
    tour.browser.go(&address(&path_of("store-failing"))).await;
    tour.browser.press("Test connection").await;
    tour.browser.says("The connection does not work.").await;
    tour.inspect("store-checked").await;
    tour.browser.go(&address("/console/sales-channel/allocation")).await;
    tour.browser.fill("[name^='share-']", "90").await;
    tour.browser.press("Save").await;
    tour.browser.says("over 100%").await;
    tour.inspect("allocation-refused").await;
    tour.browser.go(&address("/console/manual-sync")).await;
    tour.browser.press("Preview").await;
    tour.browser.find("dl.facts").await;
    tour.inspect("preview").await;
    world.call("PUT", "/v1/sync-settings", key, json!({"frequency": "timed_full", "daily_at": "02:30"})).await;
    tour.visit(world, &[page("timed", "/console/sales-channel"), page("timed-frequency", "/console/sales-channel/frequency")]).await;
    tour.browser.fill("#catch_up_hours", "99").await;
    // The server refuses it even if the browser does not.
    tour.browser.submit_unchecked().await;
    tour.browser.says("Must be from 0 to 23.").await;
    tour.inspect("frequency-refused").await;
}

#[actix_web::test]
async fn every_page_fits_its_screen_and_is_accessible() {
    let Some(browser) = Browser::open(true).await else { return };
    let (world, unhelpful) = (World::start().await, Unhelpful::start());
    let screenshots = std::env::var_os("STOCKTIDE_TEST_SCREENSHOTS").map(PathBuf::from);
    let axe = std::env::var_os("STOCKTIDE_TEST_AXE").map(|path| std::fs::read_to_string(path).expect("axe-core can be read"));
    if axe.is_none() {
        report_skipped("axe-core is missing; tests/console/accessibility.sh runs this with it");
    }
    let mut tour = Tour { browser, screenshots, axe, violations: Vec::new() };
    tour.browser.go(&format!("{}/console/sign-in", world.base)).await;
    tour.inspect("sign-in").await;
    tour.browser.fill("#key", "stk_wrong").await;
    tour.browser.press("Sign in").await;
    tour.browser.says("This key is not valid").await;
    tour.inspect("sign-in-refused").await;

    let empty = world.seller("Olive & Thyme", "Asia/Taipei").await;
    tour.browser.sign_in(&world, &empty).await;
    tour.visit(&world, &empty_visits()).await;
    tour.browser.press("Sign out").await;

    let moving = traffic(&world).await;
    let (key, visits) = busy_seller(&world, &unhelpful.url).await;
    tour.browser.sign_in(&world, &key).await;
    tour.visit(&world, &visits).await;
    inspect_form_results(&mut tour, &world, &key, &visits).await;
    tour.browser.press("Sign out").await;

    let mut faults = world.platform.faults();
    faults.throttle = 0.06;
    world.platform.set_faults(faults);
    tour.browser.sign_in(&world, OPERATOR_KEY).await;
    let sellers: Value = world.call("GET", "/admin/sellers", OPERATOR_KEY, json!(null)).await;
    let busy = sellers["items"].as_array().unwrap().iter().find(|seller| seller["name"] == "Harbour Goods").unwrap();
    let seller = format!("/console/operator/sellers/{}", busy["id"].as_str().unwrap());
    tour.visit(&world, &operator_visits(&seller)).await;
    tour.browser.go(&format!("{}/console/operator/sellers/new", world.base)).await;
    tour.browser.fill("#name", "Lighthouse Supplies").await;
    tour.browser.press("Add seller").await;
    tour.browser.says("Lighthouse Supplies is added").await;
    tour.inspect("seller-key").await;
    if tour.screenshots.is_some() {
        // Wait until the plots have a few points.
        tokio::time::sleep(Duration::from_secs(45)).await;
    }
    tour.visit(&world, &[page("figures", "/console/operator"), page("not-found", "/console/nothing")]).await;
    moving.abort();
    unhelpful.stop().await;
    let Tour { browser, violations, .. } = tour;
    browser.close().await;
    assert!(violations.is_empty(), "{} violations:\n{}", violations.len(), violations.join("\n"));
}
