//! What the operator does in the console, as plain forms: a browser without JavaScript sends the same.
use crate::database::Backend;
use crate::support::{OPERATOR_KEY, World};
use reqwest::Method;
use serde_json::{Value, json};

crate::on_both_backends![
    the_operator_adds_renames_moves_suspends_and_reinstates_sellers_by_forms,
    keys_are_made_and_revoked_by_forms_and_shown_once,
    limits_are_set_and_taken_away_by_a_form,
    forms_of_the_operator_refuse_what_is_wrong_and_whoever_is_not_the_operator,
    the_first_page_names_the_worst_store_its_cause_and_who_must_act,
];

/// The operator, signed in.
struct Desk {
    world: World,
    cookie: String,
    csrf: String,
}

impl Desk {
    async fn open(backend: Backend) -> Self {
        let world = World::start_on(backend).await;
        let signed_in = world.form("/console/sign-in", &[("key", OPERATOR_KEY)]).send().await.unwrap();
        let cookie = signed_in.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
        let page = world.page(&cookie, "/console/operator").await.1;
        let csrf = page.split("name=\"csrf\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
        Self { world, cookie, csrf }
    }

    async fn page(&self, path: &str) -> String {
        let (status, text) = self.world.page(&self.cookie, path).await;
        assert_eq!(status, 200, "{path}: {text}");
        text
    }

    /// Sends a form; returns the status and the page, or where it leads to.
    async fn send(&self, path: &str, fields: &[(&str, &str)]) -> (u16, String) {
        let fields: Vec<(&str, &str)> = fields.iter().copied().chain([("csrf", self.csrf.as_str())]).collect();
        let answer = self.world.form(path, &fields).header("cookie", &self.cookie).send().await.unwrap();
        let to = answer.headers().get("location").map(|to| to.to_str().unwrap().to_owned());
        let status = answer.status().as_u16();
        (status, to.unwrap_or(answer.text().await.unwrap()))
    }

    /// Adds a seller by the form; returns its id and its key.
    async fn add(&self, name: &str, zone: &str) -> (String, String) {
        let (status, page) = self.send("/console/operator/sellers/new", &[("name", name), ("timezone", zone)]).await;
        assert_eq!(status, 200, "{page}");
        let id = page.split("/console/operator/sellers/").find_map(|rest| rest.get(..36).filter(|id| id.contains('-'))).unwrap().to_owned();
        (id, key_on(&page).unwrap())
    }

    async fn status(&self, key: &str) -> u16 {
        self.world.request(Method::GET, "/v1/sync-settings").bearer_auth(key).send().await.unwrap().status().as_u16()
    }

    async fn audit(&self) -> Vec<Value> {
        let log = self.world.call("GET", "/admin/audit", OPERATOR_KEY, json!(null)).await;
        log["items"].as_array().unwrap().clone()
    }
}

/// The API key that a page shows.
fn key_on(page: &str) -> Option<String> {
    page.split("stk_").nth(1).map(|rest| format!("stk_{}", rest.split('<').next().unwrap()))
}

fn actions(log: &[Value]) -> Vec<&str> {
    log.iter().map(|entry| entry["action"].as_str().unwrap()).collect()
}

fn in_runtime<F: Future<Output = ()>>(test: F) {
    actix_web::rt::System::new().block_on(test);
}

fn the_operator_adds_renames_moves_suspends_and_reinstates_sellers_by_forms(backend: Backend) {
    in_runtime(async {
        let desk = Desk::open(backend).await;
        let (id, key) = desk.add("Ada's shop", "Asia/Taipei").await;
        let settings = desk.world.call("GET", "/v1/sync-settings", &key, json!(null)).await;
        assert_eq!(settings["timezone"], "Asia/Taipei", "the key that was shown works");
        let here = format!("/console/operator/sellers/{id}");
        assert!(desk.page("/console/operator/sellers").await.contains("Ada&#39;s shop"));

        let edited = desk.send(&format!("{here}/edit"), &[("name", "Ada & Sons"), ("timezone", "Europe/Berlin")]).await;
        assert_eq!(edited, (303, here.clone()));
        let page = desk.page(&here).await;
        assert!(page.contains("Ada &#38; Sons") && page.contains("Europe/Berlin"), "{page}");
        assert!(page.contains("Nothing was counted yet.") && page.contains("Calls to platforms"), "{page}");
        let settings = desk.world.call("GET", "/v1/sync-settings", &key, json!(null)).await;
        assert_eq!(settings["timezone"], "Europe/Berlin", "the daily runs move, too");
        desk.world.call("PUT", "/v1/sync-settings", &key, json!({ "timezone": "Asia/Tokyo" })).await;
        desk.send(&format!("{here}/edit"), &[("name", "Ada"), ("timezone", "Europe/Berlin")]).await;
        let settings = desk.world.call("GET", "/v1/sync-settings", &key, json!(null)).await;
        assert_eq!(settings["timezone"], "Asia/Tokyo", "a new name does not undo the seller's own choice");

        assert!(desk.page(&format!("{here}/suspend")).await.contains("Suspend Ada?"));
        assert_eq!(desk.send(&format!("{here}/suspend"), &[("suspended", "on")]).await.0, 303);
        assert_eq!(desk.status(&key).await, 403);
        assert!(desk.page(&here).await.contains("Reinstate"));
        assert_eq!(desk.send(&format!("{here}/suspend"), &[("suspended", "off")]).await.0, 303);
        assert_eq!(desk.status(&key).await, 200);

        desk.world.call("DELETE", &format!("/admin/sellers/{id}"), OPERATOR_KEY, json!(null)).await;
        let log = desk.audit().await;
        let changed = "seller.changed";
        assert_eq!(actions(&log), ["seller.deleted", changed, changed, changed, changed, "seller.created"]);
        assert!(log.iter().all(|entry| entry["subject"] == id.as_str()), "{log:?}");
        assert_eq!((&log[4]["before"]["timezone"], &log[4]["after"]["timezone"]), (&json!("Asia/Taipei"), &json!("Europe/Berlin")));
        let changes = desk.page("/console/operator/changes").await;
        assert!(changes.contains("Seller deleted") && changes.contains("Suspended: off → on"), "{changes}");
    });
}

fn keys_are_made_and_revoked_by_forms_and_shown_once(backend: Backend) {
    in_runtime(async {
        let desk = Desk::open(backend).await;
        let (id, first) = desk.add("Ada", "UTC").await;
        let here = format!("/console/operator/sellers/{id}");
        let (status, shown) = desk.send(&format!("{here}/keys"), &[("name", "warehouse")]).await;
        let second = key_on(&shown).unwrap();
        assert_eq!((status, desk.status(&second).await), (200, 200));
        let keys = desk.world.call("GET", &format!("/admin/sellers/{id}/keys"), OPERATOR_KEY, json!(null)).await;
        let key = keys["items"][1]["id"].as_str().unwrap();
        assert!(desk.page(&format!("{here}/keys/{key}/revoke")).await.contains("Revoke warehouse?"));
        assert_eq!(desk.send(&format!("{here}/keys/{key}/revoke"), &[]).await.0, 303);
        assert_eq!((desk.status(&first).await, desk.status(&second).await), (200, 401));
        let (seller, changes) = (desk.page(&here).await, desk.page("/console/operator/changes").await);
        assert!(seller.contains("warehouse") && seller.contains("Revoked"), "{seller}");
        let log = desk.audit().await;
        assert_eq!(actions(&log), ["key.revoked", "key.created", "seller.created"]);
        assert_eq!((&log[1]["after"]["name"], &log[0]["after"]["key_id"]), (&json!("warehouse"), &json!(key)));
        for text in [seller, changes, Value::from(log).to_string()] {
            assert!(key_on(&text).is_none(), "a key is shown once: {text}");
        }
    });
}

fn limits_are_set_and_taken_away_by_a_form(backend: Backend) {
    in_runtime(async {
        let desk = Desk::open(backend).await;
        let (id, key) = desk.add("Ada", "UTC").await;
        let here = format!("/console/operator/sellers/{id}");
        assert!(desk.page(&format!("{here}/limits")).await.contains("Empty: 100,000, as for all sellers."));
        let all = [("events_per_second", "50"), ("skus", "2"), ("stores", ""), ("records_kept_days", "7")];
        assert_eq!(desk.send(&format!("{here}/limits"), &all).await, (303, here.clone()));
        let limits = desk.world.call("GET", "/v1/limits", &key, json!(null)).await;
        assert_eq!(limits, json!({ "events_per_second": 50, "skus": 2, "stores": 1000, "records_kept_days": 7.0 }));
        let page = desk.page(&here).await;
        assert!(page.contains("7 days") && page.matches("(own)").count() == 3, "{page}");
        for (name, value) in
            [("skus", "many"), ("stores", "1001"), ("records_kept_days", "31"), ("events_per_second", "1.5"), ("skus", "<b>")]
        {
            let (status, page) = desk.send(&format!("{here}/limits"), &[(name, value)]).await;
            assert_eq!(status, 422, "{name}={value}");
            assert!(page.contains("Must be") && !page.contains("<b>"), "{page}");
        }
        assert_eq!(desk.world.call("GET", "/v1/limits", &key, json!(null)).await, limits, "nothing was changed");
        assert_eq!(desk.send(&format!("{here}/limits"), &[]).await.0, 303);
        assert_eq!(desk.world.call("GET", "/v1/limits", &key, json!(null)).await["skus"], 100_000);
        assert_eq!(actions(&desk.audit().await), ["seller.limits_changed", "seller.limits_changed", "seller.created"]);
    });
}

fn forms_of_the_operator_refuse_what_is_wrong_and_whoever_is_not_the_operator(backend: Backend) {
    in_runtime(async {
        let desk = Desk::open(backend).await;
        let (id, key) = desk.add("Ada", "UTC").await;
        let (_, bobs) = desk.add("Bob", "UTC").await;
        let here = format!("/console/operator/sellers/{id}");
        let nobody = "/console/operator/sellers/0198a0b2-0000-7000-8000-000000000000";
        let long = "x".repeat(201);
        let before = desk.audit().await.len();
        for (path, fields, says) in [
            ("/console/operator/sellers/new".to_owned(), vec![], "must not be empty"),
            ("/console/operator/sellers/new".to_owned(), vec![("name", "Eve"), ("timezone", "Mars/Olympus")], "time zone"),
            (format!("{here}/edit"), vec![("name", long.as_str()), ("timezone", "UTC")], "at most 200 characters"),
            (format!("{here}/edit"), vec![("name", "<img src=x>\u{1}"), ("timezone", "")], "control characters"),
            (format!("{here}/keys"), vec![("name", long.as_str())], "at most 200 characters"),
        ] {
            let (status, page) = desk.send(&path, &fields).await;
            assert_eq!(status, 422, "{path}: {page}");
            assert!(page.contains(says) && !page.contains("<img src=x>"), "{path} says {says:?}: {page}");
        }
        let keys = desk.world.call("GET", &format!("/admin/sellers/{id}/keys"), OPERATOR_KEY, json!(null)).await;
        let of_ada = keys["items"][0]["id"].as_str().unwrap().to_owned();
        let bob = desk.world.call("GET", "/admin/sellers", OPERATOR_KEY, json!(null)).await["items"][1]["id"].as_str().unwrap().to_owned();
        for path in [
            format!("{nobody}/edit"),
            format!("{nobody}/suspend"),
            format!("{nobody}/keys"),
            format!("{nobody}/limits"),
            format!("{nobody}/keys/{of_ada}/revoke"),
            format!("/console/operator/sellers/{bob}/keys/{of_ada}/revoke"),
            format!("{here}/keys/nonsense/revoke"),
            "/console/operator/sellers/nonsense/edit".to_owned(),
        ] {
            assert_eq!(desk.send(&path, &[("name", "x"), ("timezone", "UTC")]).await.0, 404, "{path}");
        }
        let forms = [
            "/console/operator/sellers/new".to_owned(),
            format!("{here}/edit"),
            format!("{here}/suspend"),
            format!("{here}/limits"),
            format!("{here}/keys"),
            format!("{here}/keys/{of_ada}/revoke"),
        ];
        let (sellers_cookie, sellers_csrf) = desk.world.session(&bobs).await;
        for path in &forms {
            let by = |cookie: &str, csrf: &str| {
                let request = desk.world.form(path, &[("name", "Mallory"), ("timezone", "UTC"), ("suspended", "on"), ("csrf", csrf)]);
                request.header("cookie", cookie.to_owned()).send()
            };
            assert_eq!(by(&desk.cookie, "").await.unwrap().status(), 403, "{path} without its token");
            assert_eq!(by(&desk.cookie, &sellers_csrf).await.unwrap().status(), 403, "{path} with another session's token");
            assert_eq!(by(&sellers_cookie, &sellers_csrf).await.unwrap().status(), 404, "{path} by a seller");
            assert_eq!(by("", "").await.unwrap().status(), 303, "{path} by nobody");
            let foreign = desk.world.form(path, &[("csrf", &desk.csrf)]).header("cookie", &desk.cookie);
            let foreign = foreign.header("sec-fetch-site", "cross-site").send().await.unwrap();
            assert_eq!(foreign.status(), 403, "{path} from another site");
        }
        for page in
            ["/console/operator/changes", "/console/operator/sellers/new", &here, &format!("{here}/edit"), &format!("{here}/suspend")]
        {
            assert_eq!(desk.world.page(&sellers_cookie, page).await.0, 404, "{page}");
            assert_eq!(desk.world.page("", page).await.0, 303, "{page}");
        }
        for page in [
            "/console/operator/stores?by=never",
            "/console/operator/stores?platform=nowhere",
            "/console/operator/stores?after=zz",
            "/console/operator/changes?after=zz",
            "/console/operator/sellers?after=zz",
        ] {
            let status = desk.world.page(&desk.cookie, page).await.0;
            assert!((400..500).contains(&status), "{page}: {status}");
        }
        assert_eq!(desk.audit().await.len(), before, "nothing was changed");
        assert_eq!(desk.status(&key).await, 200);
    });
}

fn the_first_page_names_the_worst_store_its_cause_and_who_must_act(backend: Backend) {
    in_runtime(async {
        let desk = Desk::open(backend).await;
        assert!(desk.page("/console/operator").await.contains("Every store is up to date"));
        let (_, key) = desk.add("Harbour <b>Goods", "UTC").await;
        let mut faults = desk.world.platform.faults();
        faults.token = Some("right".to_owned());
        desk.world.platform.set_faults(faults);
        let store = desk.world.store(&key, "Market stall", 100, &["A"], 5).await;
        desk.world.call("POST", "/v1/syncs", &key, json!({})).await;
        let mut page = String::new();
        for _ in 0..200 {
            page = desk.page("/console/operator").await;
            if page.contains("Market stall") {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        let part = page.split("Stores behind</h2>").nth(1).unwrap().split("</section>").next().unwrap();
        for words in ["Market stall", "Harbour &#60;b&#62;Goods", "Needs reauthorization", "The seller", "credentials"] {
            assert!(part.contains(words), "{words:?} is missing: {part}");
        }
        assert!(!store.is_empty() && desk.page("/console/operator/stores?by=1h").await.contains("Market stall"));
    });
}
