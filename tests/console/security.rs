//! Attacks, none of which succeeds.
use crate::support::{Browser, OPERATOR_KEY, World};
use actix_web::{App, HttpResponse, HttpServer, web};
use serde_json::json;
use std::io::{Read, Write};

const HTML: &str = "<img src=x onerror=document.title='owned'>\"'&";

/// A seller's pages whose addresses contain an id.
fn pages_of(store: &str, listing: &str, push: &str, run: &str) -> Vec<String> {
    vec![
        format!("/console/stores/{store}"),
        format!("/console/stores/{store}/edit"),
        format!("/console/stores/{store}/delete"),
        format!("/console/stores/{store}/import"),
        format!("/console/stores/{store}/discover"),
        format!("/console/stores/{store}/listings.csv"),
        format!("/console/stores/{store}/listings/{listing}/edit"),
        format!("/console/stores/{store}/listings/{listing}/unpair"),
        format!("/console/records/pushes/{push}"),
        format!("/console/records/runs/{run}"),
        format!("/console/records?store={store}"),
    ]
}

#[actix_web::test]
async fn ids_of_another_seller_give_no_access() {
    let world = World::start().await;
    let (ada, bo) = (world.seller("Ada", "UTC").await, world.seller("Bo", "UTC").await);
    let store = world.store(&ada, "corner", 100, &["A"], 5).await;
    let run = world.call("POST", "/v1/syncs", &ada, json!({})).await["id"].as_str().unwrap().to_owned();
    world.until("the overwrite", || world.platform.quantity("corner", "item-A") == 5).await;
    let listing = world.call("GET", &format!("/v1/stores/{store}/listings"), &ada, json!(null)).await["items"][0]["id"].clone();
    let push = world.call("GET", "/v1/pushes", &ada, json!(null)).await["items"][0]["id"].clone();
    let pages = pages_of(&store, listing.as_str().unwrap(), push.as_str().unwrap(), &run);
    let (own, _) = world.session(&ada).await;
    let (foreign, csrf) = world.session(&bo).await;
    for page in &pages {
        assert_eq!(world.page(&own, page).await.0, 200, "{page}");
        assert_eq!(world.page(&foreign, page).await.0, 404, "{page}");
    }
    let listing = listing.as_str().unwrap();
    for (path, fields) in [
        (format!("/console/stores/{store}/edit"), vec![("name", "mine"), ("base_url", "http://127.0.0.1:1")]),
        (format!("/console/stores/{store}/pause"), vec![("paused", "on")]),
        (format!("/console/stores/{store}/go-live"), vec![("overwrite", "on")]),
        (format!("/console/stores/{store}/check"), vec![]),
        (format!("/console/stores/{store}/delete"), vec![]),
        (format!("/console/stores/{store}/import"), vec![("rows", "sku,external_id\nX,x"), ("do", "import")]),
        (format!("/console/stores/{store}/discover"), vec![("do", "pair")]),
        (format!("/console/stores/{store}/listings/{listing}/edit"), vec![("units", "6")]),
        (format!("/console/stores/{store}/listings/{listing}/unpair"), vec![]),
        (format!("/console/records/pushes/{}/retry", push.as_str().unwrap()), vec![]),
        ("/console/records/retry".to_owned(), vec![("state", "rejected"), ("store", store.as_str())]),
        ("/console/manual-sync/overwrite".to_owned(), vec![("store", store.as_str())]),
        (format!("/console/records/runs/{run}/cancel"), vec![]),
        (format!("/console/records/runs/{run}/undo"), vec![]),
    ] {
        let mut form = fields;
        form.push(("csrf", &csrf));
        let answer = world.form(&path, &form).header("cookie", &foreign).send().await.unwrap();
        assert_eq!(answer.status(), 404, "{path}");
    }
    let sellers = world.call("GET", "/admin/sellers", OPERATOR_KEY, json!(null)).await;
    let seller = sellers["items"][0]["id"].as_str().unwrap();
    assert_eq!(world.page(&foreign, &format!("/console/operator/sellers/{seller}")).await.0, 404);
    let after = world.call("GET", &format!("/v1/stores/{store}"), &ada, json!(null)).await;
    assert_eq!((after["name"].as_str(), after["paused"].as_bool()), (Some("corner"), Some(false)));
}

#[actix_web::test]
async fn a_form_from_another_site_or_without_its_token_is_refused() {
    let world = World::start().await;
    let key = world.seller("Ada", "UTC").await;
    let (cookie, csrf) = world.session(&key).await;
    let (_, other_csrf) = world.session(&key).await;
    let send = |headers: Vec<(&'static str, String)>, token: Option<String>| {
        let mut form = vec![("auto_sync", "on")];
        form.extend(token.as_deref().map(|token| ("csrf", token)));
        let mut request = world.form("/console/sales-channel/auto-sync", &form).header("cookie", &cookie);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        async move { request.send().await.unwrap().status().as_u16() }
    };
    let is_on = || async { world.call("GET", "/v1/sync-settings", &key, json!(null)).await["auto_sync"].as_bool().unwrap() };
    let foreign = |name, value: &str| vec![(name, value.to_owned())];
    assert_eq!(send(foreign("sec-fetch-site", "cross-site"), Some(csrf.clone())).await, 403);
    assert_eq!(send(foreign("sec-fetch-site", "same-site"), Some(csrf.clone())).await, 403);
    assert_eq!(send(foreign("origin", "https://evil.example"), Some(csrf.clone())).await, 403);
    assert_eq!(send(foreign("origin", "null"), Some(csrf.clone())).await, 403);
    assert_eq!(send(vec![], None).await, 403);
    assert_eq!(send(vec![], Some(other_csrf)).await, 403, "a token of another session");
    assert!(!is_on().await);
    assert_eq!(send(foreign("origin", &world.base), Some(csrf)).await, 303);
    assert!(is_on().await);
    let sign_in = world.form("/console/sign-in", &[("key", &key)]).header("sec-fetch-site", "cross-site");
    assert_eq!(sign_in.send().await.unwrap().status(), 403, "another site cannot sign anyone in");
}

#[actix_web::test]
async fn a_page_of_another_site_can_change_and_read_nothing() {
    let Some(browser) = Browser::open(true).await else { return };
    let world = World::start().await;
    let key = world.seller("Ada", "UTC").await;
    // Another port is the same site to a browser, another name is not.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let elsewhere = format!("http://localhost:{}/", listener.local_addr().unwrap().port());
    let form = format!(
        "<main><form method=post action='{}/console/sales-channel/auto-sync'><input type=hidden name=auto_sync value=on>\
         <button>Win a prize</button></form></main>",
        world.base
    );
    let server = HttpServer::new(move || {
        let form = form.clone();
        App::new().route("/", web::get().to(move || std::future::ready(HttpResponse::Ok().content_type("text/html").body(form.clone()))))
    });
    let server = server.workers(1).listen(listener).unwrap().disable_signals().run();
    let stop = server.handle();
    tokio::spawn(server);

    browser.sign_in(&world, &key).await;
    for address in ["/console/stores", "/v1/stream", "/v1/sync-settings"] {
        browser.go(&elsewhere).await;
        let read = format!(
            "const done = arguments[0]; fetch('{}{address}', {{credentials: 'include'}}).then(() => done('read'), () => done('refused'))",
            world.base
        );
        assert_eq!(browser.client.execute_async(&read, vec![]).await.unwrap(), "refused", "{address}");
    }
    browser.press("Win a prize").await;
    browser.says("Form not accepted").await;
    let settings = world.call("GET", "/v1/sync-settings", &key, json!(null)).await;
    assert_eq!(settings["auto_sync"], false);
    stop.stop(false).await;
    browser.close().await;
}

#[actix_web::test]
async fn signing_out_and_revoking_the_key_end_a_session() {
    let world = World::start().await;
    let seller = world.call("POST", "/admin/sellers", OPERATOR_KEY, json!({"name": "Ada"})).await;
    let (id, key) = (seller["id"].as_str().unwrap(), seller["api_key"].as_str().unwrap());
    let (first, csrf) = world.session(key).await;
    let (second, _) = world.session(key).await;
    let out = world.form("/console/sign-out", &[("csrf", &csrf)]).header("cookie", &first).send().await.unwrap();
    assert!(out.headers()["set-cookie"].to_str().unwrap().contains("Max-Age=0"));
    assert_eq!(world.page(&first, "/console/stores").await.0, 303, "the cookie alone gives no access");
    assert_eq!(world.page(&second, "/console/stores").await.0, 200);
    world.call("DELETE", &format!("/admin/sellers/{id}/keys/{}", seller["key_id"].as_str().unwrap()), OPERATOR_KEY, json!(null)).await;
    assert_eq!(world.page(&second, "/console/stores").await.0, 303);
}

#[actix_web::test]
async fn the_session_cookie_is_secure_behind_https_and_gives_sellers_no_operator_page() {
    let world = World::start().await;
    let key = world.seller("Ada", "UTC").await;
    let request = world.form("/console/sign-in", &[("key", &key)]).header("x-forwarded-proto", "https");
    let answer = request.send().await.unwrap();
    let cookie = answer.headers()["set-cookie"].to_str().unwrap();
    assert!(cookie.starts_with("__Host-") && cookie.contains("Secure") && cookie.contains("HttpOnly"), "{cookie}");
    let (seller, _) = world.session(&key).await;
    for page in ["/console/operator", "/console/operator/stores", "/console/operator/sellers"] {
        assert_eq!(world.page(&seller, page).await.0, 404, "{page}");
        assert_eq!(world.page("", page).await.0, 303, "{page}");
    }
}

#[actix_web::test]
async fn wrong_keys_are_throttled_but_do_not_lock_out_the_right_one() {
    let world = World::start().await;
    let key = world.seller("Ada", "UTC").await;
    let try_key = |key: &str| {
        let request = world.form("/console/sign-in", &[("key", key)]);
        async move { request.send().await.unwrap() }
    };
    for _ in 0..10 {
        assert_eq!(try_key("stk_wrong").await.status(), 401);
    }
    let refused = try_key("stk_wrong").await;
    assert_eq!(refused.status(), 429);
    assert!(refused.headers().contains_key("retry-after") && !refused.headers().contains_key("set-cookie"));
    // Many people may share an address.
    let (others, right) = tokio::join!(futures_util::future::join_all((0..20).map(|_| try_key("stk_wrong"))), try_key(&key));
    assert!(others.iter().all(|other| other.status() == 429));
    assert_eq!(right.status(), 303);
    assert!(right.headers().contains_key("set-cookie"));
}

#[actix_web::test]
async fn the_sign_in_form_of_anybody_is_short() {
    let world = World::start().await;
    let key = world.seller("Ada", "UTC").await;
    let fields = "a&".repeat(2500);
    let chunk = format!("transfer-encoding: chunked\r\n\r\n{:x}\r\nkey={key}&{fields}\r\n", key.len() + 5 + fields.len());
    for rest in ["content-length: 2000000\r\n\r\n", &chunk] {
        let mut stream = std::net::TcpStream::connect(world.base.trim_start_matches("http://")).unwrap();
        stream.set_read_timeout(Some(std::time::Duration::from_secs(20))).unwrap();
        let head = "POST /console/sign-in HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-www-form-urlencoded\r\n";
        stream.write_all(format!("{head}{rest}").as_bytes()).unwrap();
        let mut start = [0; 64];
        let read = stream.read(&mut start).expect("it does not wait for the rest");
        assert!(start[..read].starts_with(b"HTTP/1.1 413 "), "{}", String::from_utf8_lossy(&start[..read]));
    }
    let next = format!("/console/stores?search={}", "%22".repeat(200));
    let answer = world.form("/console/sign-in", &[("key", &key), ("next", &next)]).send().await.unwrap();
    assert_eq!(answer.headers()["location"], next, "a long address to return to fits");
    let page = world.request(reqwest::Method::GET, &format!("/console/stores?search={}", "x".repeat(1000)));
    assert_eq!(page.send().await.unwrap().headers()["location"], "/console/sign-in", "a longer one is dropped");
}

#[actix_web::test]
async fn html_in_data_is_shown_as_text_and_scripts_cannot_read_the_cookie() {
    let Some(browser) = Browser::open(true).await else { return };
    let world = World::start().await;
    // A bridge whose responses contain markup.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let bridge = format!("http://{}", listener.local_addr().unwrap());
    let answer = |body: web::Json<serde_json::Value>| async move {
        let item = |item: &serde_json::Value| json!({"external_id": item["external_id"], "error": HTML});
        HttpResponse::Ok().json(json!({ "items": body["items"].as_array().unwrap().iter().map(item).collect::<Vec<_>>() }))
    };
    let server = HttpServer::new(move || App::new().route("/stores/{store}/{action}", web::post().to(answer)));
    let server = server.workers(1).listen(listener).unwrap().disable_signals().run();
    let stop = server.handle();
    tokio::spawn(server);

    let key = world.seller(HTML, "UTC").await;
    let body = json!({"name": HTML, "platform": "simulated", "base_url": bridge});
    let store = world.call("POST", "/v1/stores", &key, body).await["id"].as_str().unwrap().to_owned();
    world.call("PUT", "/v1/skus", &key, json!([{"sku": HTML, "name": HTML}])).await;
    world.call("PUT", &format!("/v1/stores/{store}/listings"), &key, json!([{"sku": HTML, "external_id": HTML}])).await;
    world.call("POST", "/v1/warehouses", &key, json!({"code": "<b>w", "name": HTML})).await;
    let event = json!({"event_id": "e", "sku": HTML, "kind": "count", "quantity": 3});
    world.call("POST", "/v1/stock-events", &key, event).await;
    let run = world.call("POST", "/v1/syncs", &key, json!({})).await["id"].as_str().unwrap().to_owned();
    browser.sign_in(&world, &key).await;
    browser.follow("Records").await;
    browser.says("The store refused this listing").await;
    let push = world.call("GET", "/v1/pushes", &key, json!(null)).await["items"][0]["id"].as_str().unwrap().to_owned();
    let listing = world.call("GET", &format!("/v1/stores/{store}/listings"), &key, json!(null)).await["items"][0]["id"].clone();
    let mut pages = pages_of(&store, listing.as_str().unwrap(), &push, &run);
    pages.retain(|page| !page.ends_with(".csv"));
    let query = "%3Cimg%20src%3Dx%20onerror%3Ddocument.title%3D%27owned%27%3E%22%27%26";
    for path in
        ["sales-channel", "sales-channel/allocation", "stores", "stores/new", "stock", "records", "records?show=changes", "manual-sync"]
    {
        pages.push(format!("/console/{path}"));
    }
    pages.push(format!("/console/stock?search={query}"));
    pages.push(format!("/console/stock/sku?sku={query}"));
    pages.push(format!("/console/records?state={query}&store={query}&sku={query}"));
    pages.push(format!("/console/stores/{store}?search={query}"));
    for page in pages {
        browser.go(&format!("{}{page}", world.base)).await;
        assert_no_markup_from_data(&browser, &page).await;
    }
    // Pages that only a form leads to: a preview and a notice.
    browser.go(&format!("{}/console/manual-sync", world.base)).await;
    browser.press("Preview").await;
    browser.find("dl.facts").await;
    assert_no_markup_from_data(&browser, "the preview").await;
    browser.go(&format!("{}/console/stores/{store}", world.base)).await;
    browser.press("Pause").await;
    browser.says("is paused").await;
    assert_no_markup_from_data(&browser, "a notice").await;
    let seen = browser.client.execute("return document.cookie", vec![]).await.unwrap();
    assert_eq!(seen, "", "scripts cannot read the session cookie");
    let inline = "const s = document.createElement('script'); s.textContent = 'document.title = \"owned\"'; document.head.append(s); return document.title";
    assert_ne!(browser.client.execute(inline, vec![]).await.unwrap(), "owned", "the content policy blocks inline scripts");
    browser.press("Sign out").await;
    browser.sign_in(&world, OPERATOR_KEY).await;
    let sellers = world.call("GET", "/admin/sellers", OPERATOR_KEY, json!(null)).await;
    let seller = format!("/console/operator/sellers/{}", sellers["items"][0]["id"].as_str().unwrap());
    for page in ["/console/operator/sellers", &seller] {
        browser.go(&format!("{}{page}", world.base)).await;
        browser.says("onerror=").await;
        assert_no_markup_from_data(&browser, page).await;
    }
    stop.stop(false).await;
    browser.close().await;
}

async fn assert_no_markup_from_data(browser: &Browser, page: &str) {
    let found = "return document.querySelectorAll('main img, main script, main b, nav img').length";
    assert_eq!(browser.client.execute(found, vec![]).await.unwrap(), 0, "{page} renders data as markup");
    assert!(!browser.client.title().await.unwrap().starts_with("owned"), "{page}");
}

#[actix_web::test]
async fn html_in_any_form_field_comes_back_as_text() {
    let world = World::start().await;
    let key = world.seller("Ada", "UTC").await;
    let store = world.store(&key, "corner", 100, &["A"], 5).await;
    let (cookie, csrf) = world.session(&key).await;
    let share = format!("share-{store}");
    let forms = [
        ("/console/sales-channel/frequency".to_owned(), vec!["frequency", "daily_at", "timezone", "catch_up_hours", "do"]),
        ("/console/sales-channel/allocation".to_owned(), vec!["allocation_mode", "buffer", &share, "do"]),
        ("/console/sales-channel/guard".to_owned(), vec!["zero_percent", "units"]),
        ("/console/drift".to_owned(), vec!["drift"]),
        ("/console/pauses".to_owned(), vec!["paused", "reason"]),
        ("/console/pauses/windows".to_owned(), vec!["name", "from", "to"]),
        ("/console/stock/sku/pause".to_owned(), vec!["sku", "paused", "reason"]),
        ("/console/stock/sku/bundle".to_owned(), vec!["sku", "components"]),
        ("/console/stores/new".to_owned(), vec!["name", "base_url", "external_store", "token", "share_percent", "warehouses"]),
        (format!("/console/stores/{store}/edit"), vec!["name", "base_url", "external_store", "token", "share_percent", "warehouses"]),
        (format!("/console/stores/{store}/import"), vec!["rows", "do"]),
        (format!("/console/stores/{store}/discover"), vec!["cursor", "do"]),
        ("/console/manual-sync/preview".to_owned(), vec!["skus", "store"]),
        ("/console/manual-sync/overwrite".to_owned(), vec!["skus", "store"]),
        ("/console/records/retry".to_owned(), vec!["state", "store", "sku"]),
        ("/console/sign-in".to_owned(), vec!["key", "next"]),
    ];
    for (path, fields) in forms {
        let mut form = vec![("csrf", csrf.as_str()), ("platform", "simulated")];
        form.extend(fields.iter().map(|name| (*name, HTML)));
        // Some forms accept it and redirect; the next page must escape it.
        let answer = world.form(&path, &form).header("cookie", &cookie).send().await.unwrap();
        let next = answer.headers().get("location").map(|next| next.to_str().unwrap().to_owned());
        let text = match next {
            Some(next) => world.page(&cookie, &next).await.1,
            None => answer.text().await.unwrap(),
        };
        assert!(!text.contains("<img src=x"), "{path}: {text}");
    }
}

#[actix_web::test]
async fn the_browsable_description_is_drawn_under_a_policy_that_blocks_inline_scripts() {
    let Some(browser) = Browser::open(true).await else { return };
    let world = World::start().await;
    browser.go(&format!("{}/docs/", world.base)).await;
    browser.find(".opblock-summary").await;
    let watch =
        "window.blocked = []; document.addEventListener('securitypolicyviolation', event => window.blocked.push(event.violatedDirective))";
    browser.client.execute(watch, vec![]).await.unwrap();
    browser.find(".opblock-post .opblock-summary-control").await.click().await.unwrap();
    browser.find(".opblock.is-open .responses-table").await;
    assert_eq!(browser.client.execute("return window.blocked", vec![]).await.unwrap(), json!([]), "the page needs what the policy blocks");
    let inline = "const s = document.createElement('script'); s.textContent = 'document.title = \"owned\"'; document.head.append(s); return document.title";
    assert_ne!(browser.client.execute(inline, vec![]).await.unwrap(), "owned");
    browser.close().await;
}

#[actix_web::test]
async fn every_response_has_a_policy_that_blocks_inline_code() {
    let world = World::start().await;
    let key = world.seller("Ada", "UTC").await;
    let (cookie, csrf) = world.session(&key).await;
    let page = world.page(&cookie, "/console/stores").await.1;
    let script = page.split("<script src=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let get = |path: &str| world.request(reqwest::Method::GET, path).header("cookie", &cookie);
    let answers = [
        ("a page", get("/console/stores"), 200),
        ("a script", get(&script), 200),
        ("no such page", get("/console/nothing"), 404),
        ("no such store", get("/console/stores/01a21424-d155-7765-a020-d43747a50df5"), 404),
        ("the start", get("/console"), 303),
        ("a visitor", world.request(reqwest::Method::GET, "/console/stores"), 303),
        ("signing in", world.request(reqwest::Method::GET, "/console/sign-in"), 200),
        ("a wrong key", world.form("/console/sign-in", &[("key", "stk_wrong")]), 401),
        ("a form without its token", world.form("/console/manual-sync/preview", &[]).header("cookie", &cookie), 403),
        (
            "a form that is refused",
            world.form("/console/stores/new", &[("csrf", &csrf), ("platform", "simulated")]).header("cookie", &cookie),
            422,
        ),
    ];
    for (what, request, status) in answers {
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), status, "{what}");
        let policy = answer.headers()["content-security-policy"].to_str().unwrap();
        let directives: Vec<&str> = policy.split(';').map(str::trim).collect();
        for wanted in [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "form-action 'self'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
        ] {
            assert!(directives.contains(&wanted), "{what}: {policy}");
        }
        assert!(!policy.contains("unsafe") && !policy.contains("http") && !policy.contains('*'), "{what}: {policy}");
        assert_eq!(answer.headers()["x-content-type-options"], "nosniff", "{what}");
    }
}
