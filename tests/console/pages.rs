//! Every page once: checked by axe-core, and its picture taken, in light and dark, on a phone and on a desk.
//!
//! `tests/console/accessibility.sh` fetches axe-core and runs the check; `tests/console/screenshots.sh FOLDER` takes the
//! pictures. Without these variables there is nothing to do here but to see that every page answers.
use crate::database::Backend;
use crate::support::{Browser, OPERATOR_KEY, World};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::path::PathBuf;

const SIZES: [(u32, u32); 2] = [(1440, 900), (390, 844)];
const SCHEMES: [&str; 2] = ["light", "dark"];
/// The rules of WCAG 2.2, levels A and AA.
const RULES: [&str; 5] = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"];

struct Visit {
    name: &'static str,
    path: String,
}

fn page(name: &'static str, path: impl Into<String>) -> Visit {
    Visit { name, path: path.into() }
}

/// A seller with something on every page.
async fn busy_seller(world: &World) -> (String, Vec<Visit>) {
    let key = world.seller("Harbour Goods", "Europe/Berlin").await;
    let skus = ["MUG-BLUE", "MUG-SAND", "LAMP-OAK", "LAMP-ASH", "BAG-CANVAS", "CHAIR-01"];
    let online = world.store(&key, "harbour.example", 50, &skus, 42).await;
    let outlet = world.store(&key, "Outlet", 30, &skus, 42).await;
    world.store(&key, "Pop-up", 15, &skus, 42).await;
    let names = json!([{"sku": "MUG-BLUE", "name": "Mug, blue"}, {"sku": "MUG-SAND", "name": "Mug, sand"}, {"sku": "LAMP-OAK", "name": "Desk lamp, oak"}]);
    world.call("PUT", "/v1/skus", &key, names).await;
    world.call("PUT", "/v1/rules", &key, json!([{"sku": "CHAIR-01", "threshold": 3, "max_shown": 9}])).await;
    world.call("POST", "/v1/stock-events", &key, json!({"event_id": "gone", "sku": "BAG-CANVAS", "kind": "count", "quantity": 0})).await;
    let settings = json!({"auto_sync": true, "allocation_mode": "exclusive", "buffer": 2, "initial_overwrite": false});
    world.call("PUT", "/v1/sync-settings", &key, settings).await;
    let mut faults = world.platform.faults();
    faults.reject_items = vec!["item-LAMP-ASH".to_owned()];
    faults.unauthorized_stores = vec!["Outlet".to_owned()];
    world.platform.set_faults(faults);
    let run = world.call("POST", "/v1/syncs", &key, json!({})).await["id"].as_str().unwrap().to_owned();
    world.until("the overwrite", || world.platform.quantity("Pop-up", "item-CHAIR-01") > 0).await;
    let settled = async {
        loop {
            let stores = world.call("GET", "/v1/stores", &key, json!(null)).await;
            let rejected = world.call("GET", "/v1/pushes?state=rejected", &key, json!(null)).await;
            if stores["items"][1]["state"] == "needs_reauthorisation" && rejected["items"].as_array().is_some_and(|items| items.len() >= 2)
            {
                return rejected["items"][0]["id"].as_str().unwrap().to_owned();
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    };
    let rejected = tokio::time::timeout(std::time::Duration::from_secs(60), settled).await.expect("the run gets to its end");
    for (number, sku) in skus.iter().enumerate() {
        let event = json!({"event_id": format!("more-{number}"), "sku": sku, "kind": "purchase", "quantity": 5 + number});
        world.call("POST", "/v1/stock-events", &key, event).await;
    }
    let listings = world.call("GET", &format!("/v1/stores/{online}/listings"), &key, json!(null)).await;
    let listing = listings["items"][0]["id"].as_str().unwrap();
    let visits = vec![
        page("sales-channel", "/console/sales-channel"),
        page("frequency", "/console/sales-channel/frequency"),
        page("allocation", "/console/sales-channel/allocation"),
        page("switch-off", "/console/sales-channel/off"),
        page("stores", "/console/stores"),
        page("store", format!("/console/stores/{online}")),
        page("store-refused", format!("/console/stores/{outlet}")),
        page("store-new", "/console/stores/new"),
        page("store-edit", format!("/console/stores/{online}/edit")),
        page("store-remove", format!("/console/stores/{online}/delete")),
        page("import", format!("/console/stores/{online}/import")),
        page("discover", format!("/console/stores/{online}/discover")),
        page("unpair", format!("/console/stores/{online}/listings/{listing}/unpair")),
        page("stock", "/console/stock"),
        page("sku", "/console/stock/sku?sku=CHAIR-01"),
        page("records", "/console/records"),
        page("records-rejected", "/console/records?state=rejected"),
        page("push", format!("/console/records/pushes/{rejected}")),
        page("runs", "/console/records?show=runs"),
        page("run", format!("/console/records/runs/{run}")),
        page("changes", "/console/records?show=changes"),
        page("manual-sync", "/console/manual-sync"),
        page("not-found", "/console/nothing"),
    ];
    (key, visits)
}

/// A seller who has just begun: empty states.
fn empty_visits() -> Vec<Visit> {
    let mut visits = vec![page("empty-sales-channel", "/console/sales-channel"), page("empty-stores", "/console/stores")];
    visits.extend(
        [("empty-stock", "/console/stock"), ("empty-records", "/console/records"), ("empty-manual-sync", "/console/manual-sync")]
            .map(|(n, p)| page(n, p)),
    );
    visits
}

crate::on_both_backends![every_page_answers];

/// Queries are written for two backends, so every page is asked for on both.
fn every_page_answers(backend: Backend) {
    actix_web::rt::System::new().block_on(async {
        let world = World::start_on(backend).await;
        let (key, mut visits) = busy_seller(&world).await;
        let (cookie, csrf) = world.session(&key).await;
        visits.retain(|visit| visit.name != "not-found");
        visits.extend(empty_visits());
        visits.extend(
            ["stock?search=mug&after=A", "records?show=runs&after=0", "records?state=held&sku=MUG-BLUE"]
                .map(|path| page("more", format!("/console/{path}"))),
        );
        for visit in &visits {
            let (status, text) = world.page(&cookie, &visit.path).await;
            assert_eq!(status, 200, "{}: {text}", visit.path);
        }
        let retried = world.form("/console/records/retry", &[("csrf", &csrf), ("state", "rejected"), ("sku", "LAMP-ASH")]);
        assert_eq!(retried.header("cookie", &cookie).send().await.unwrap().status(), 303);
        let preview = world.form("/console/manual-sync/preview", &[("csrf", &csrf)]).header("cookie", &cookie).send().await.unwrap();
        assert!(preview.text().await.unwrap().contains("MUG-BLUE"));
        let signed_in = world.form("/console/sign-in", &[("key", OPERATOR_KEY)]).send().await.unwrap();
        let cookie = signed_in.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
        for path in ["/console/operator", "/console/operator/sellers"] {
            let (status, text) = world.page(&cookie, path).await;
            assert_eq!(status, 200, "{path}: {text}");
            assert!(path.ends_with("operator") || text.contains("Harbour Goods"));
        }
    });
}

struct Tour {
    browser: Browser,
    pictures: Option<PathBuf>,
    axe: Option<String>,
    violations: Vec<String>,
}

impl Tour {
    /// What stands in the browser now, in both schemes and sizes.
    async fn look(&mut self, name: &str) {
        for scheme in SCHEMES {
            let media = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
            self.browser.devtools("Emulation.setEmulatedMedia", media).await;
            for (width, height) in SIZES {
                let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500});
                self.browser.devtools("Emulation.setDeviceMetricsOverride", size).await;
                let wide = "return document.documentElement.scrollWidth - document.documentElement.clientWidth";
                let beyond = self.browser.client.execute(wide, vec![]).await.unwrap();
                assert_eq!(beyond, 0, "{name} at {width} px is wider than the screen");
                if let Some(folder) = &self.pictures {
                    let taken = self.browser.devtools("Page.captureScreenshot", json!({"captureBeyondViewport": true})).await;
                    let png = STANDARD.decode(taken["data"].as_str().unwrap()).unwrap();
                    std::fs::write(folder.join(format!("{name}-{scheme}-{width}.png")), png).unwrap();
                }
                // Colours depend on the scheme, order and size on the width: two of the four show all there is.
                let telling = (scheme == "light") == (width == 1440);
                if let Some(axe) = self.axe.as_ref().filter(|_| telling) {
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
            self.look(visit.name).await;
        }
    }
}

#[actix_web::test]
async fn every_page_fits_its_screen_and_is_accessible() {
    let Some(browser) = Browser::open(true).await else { return };
    let world = World::start().await;
    let pictures = std::env::var_os("STOCKTIDE_TEST_SCREENSHOTS").map(PathBuf::from);
    if let Some(folder) = &pictures {
        std::fs::create_dir_all(folder).unwrap();
    }
    let axe = std::env::var_os("STOCKTIDE_TEST_AXE").map(|path| std::fs::read_to_string(path).expect("axe-core can be read"));
    if axe.is_none() {
        eprintln!("skipped: axe-core; tests/console/accessibility.sh runs this with it");
    }
    let mut tour = Tour { browser, pictures, axe, violations: Vec::new() };
    tour.browser.go(&format!("{}/console/sign-in", world.base)).await;
    tour.look("sign-in").await;
    tour.browser.fill("#key", "stk_wrong").await;
    tour.browser.press("Sign in").await;
    tour.browser.says("This key is not valid").await;
    tour.look("sign-in-refused").await;

    let empty = world.seller("Just Begun", "Asia/Taipei").await;
    tour.browser.sign_in(&world, &empty).await;
    tour.visit(&world, &empty_visits()).await;
    tour.browser.press("Sign out").await;

    let (key, visits) = busy_seller(&world).await;
    tour.browser.sign_in(&world, &key).await;
    tour.visit(&world, &visits).await;
    let store = visits.iter().find(|visit| visit.name == "import").unwrap().path.clone();
    tour.browser.go(&format!("{}{store}", world.base)).await;
    tour.browser.fill("#rows", "sku,external_id\nNEW-1,new-1\n,blank\nMUG-BLUE,other").await;
    tour.browser.press("Import").await;
    tour.browser.says("rejected").await;
    tour.look("imported").await;
    tour.browser.go(&format!("{}{}", world.base, store.replace("import", "discover"))).await;
    tour.browser.press("Read the store").await;
    tour.look("discovered").await;
    tour.browser.go(&format!("{}/console/manual-sync", world.base)).await;
    tour.browser.press("Preview").await;
    tour.browser.find("dl.facts").await;
    tour.look("preview").await;
    world.call("PUT", "/v1/sync-settings", &key, json!({"frequency": "timed_full", "daily_at": "02:30"})).await;
    tour.visit(&world, &[page("timed", "/console/sales-channel"), page("timed-frequency", "/console/sales-channel/frequency")]).await;
    tour.browser.fill("#catch_up_hours", "99").await;
    // What the browser itself would refuse is refused by the server, too.
    tour.browser.client.execute("document.querySelector('form[data-shows]').noValidate = true", vec![]).await.unwrap();
    tour.browser.press("Complete").await;
    tour.browser.says("Must be from 0 to 23.").await;
    tour.look("frequency-refused").await;
    tour.browser.press("Sign out").await;

    tour.browser.sign_in(&world, OPERATOR_KEY).await;
    let sellers: Value = world.call("GET", "/admin/sellers", OPERATOR_KEY, json!(null)).await;
    let seller = sellers["items"][1]["id"].as_str().unwrap();
    let seller = format!("/console/operator/sellers/{seller}");
    tour.visit(&world, &[page("figures", "/console/operator"), page("sellers", "/console/operator/sellers"), page("seller", seller)]).await;
    let Tour { browser, violations, .. } = tour;
    browser.close().await;
    assert!(violations.is_empty(), "{} violations:\n{}", violations.len(), violations.join("\n"));
}
