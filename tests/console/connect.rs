//! A seller connects a shop by clicking, in a real browser and without JavaScript: to a stand-in of Shopify's consent page and
//! back, up to the first increase in the shop.
use crate::support::{Browser, OPERATOR_KEY, World};
use actix_web::web::{self, Bytes, Data};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::json;
use sha2::Sha256;
use std::collections::BTreeMap;
use std::net::TcpListener;
use std::sync::Mutex;
use std::time::Duration;
use stocktide::clock::Clock;
use stocktide::platforms::call::{Method, Request};
use stocktide::platforms::transport::Transport;
use stocktide::simulator::Simulator;
use stocktide::simulator::in_process::InProcess;

const CLIENT_ID: &str = "0a1b2c3d4e5f";
const SECRET: &str = "shpss_0123456789abcdef";
const TOKEN: &str = "shpat_0123456789abcdef";

/// Shopify's pages in front of the simulated shop `acme`.
struct Shopify {
    shop: InProcess,
    /// Where visitors may be sent back to.
    redirect: String,
    /// The code that has not been exchanged yet.
    code: Mutex<Option<String>>,
}

fn query(text: &str) -> BTreeMap<String, String> {
    reqwest::Url::parse(&format!("http://x/?{text}")).unwrap().query_pairs().into_owned().collect()
}

async fn consent(http: HttpRequest, shopify: Data<Shopify>) -> HttpResponse {
    let asked = query(http.query_string());
    if asked["client_id"] != CLIENT_ID || asked["redirect_uri"] != shopify.redirect {
        return HttpResponse::BadRequest().body("The redirect_uri is not whitelisted");
    }
    let code = "0907a61c0c8d55e99db179b68161bc00";
    *shopify.code.lock().unwrap() = Some(code.to_owned());
    let mut back = [("code", code), ("shop", "acme.myshopify.com"), ("state", &asked["state"]), ("timestamp", "1780000000")];
    back.sort_unstable();
    let text: Vec<String> = back.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap().chain_update(text.join("&")).finalize();
    let mut url = reqwest::Url::parse(&shopify.redirect).unwrap();
    url.query_pairs_mut().extend_pairs(back).append_pair("hmac", &hex::encode(mac.into_bytes()));
    let link = url.as_str().replace('&', "&amp;");
    HttpResponse::Ok().content_type("text/html").body(format!(
        "<!doctype html><title>Install app</title><main><h1>Stocktide wants to update your stock</h1><a href=\"{link}\">Install app</a></main>"
    ))
}

async fn token(body: Bytes, shopify: Data<Shopify>) -> HttpResponse {
    let form = query(std::str::from_utf8(&body).unwrap());
    let code = shopify.code.lock().unwrap().take();
    if form["client_secret"] != SECRET || form.get("expiring").map(String::as_str) != Some("1") || code.as_ref() != form.get("code") {
        return HttpResponse::BadRequest().json(json!({ "error": "invalid_grant" }));
    }
    HttpResponse::Ok().json(json!({ "access_token": TOKEN, "scope": "read_products,read_inventory,write_inventory", "expires_in": 3600,
        "refresh_token": "shprt_1", "refresh_token_expires_in": 7_776_000 }))
}

async fn graphql(http: HttpRequest, body: Bytes, shopify: Data<Shopify>) -> HttpResponse {
    if http.headers().get("x-shopify-access-token").is_none_or(|token| token != TOKEN) {
        return HttpResponse::Unauthorized().finish();
    }
    let body = String::from_utf8_lossy(&body).into_owned();
    if body.contains("query Profile") {
        return HttpResponse::Ok().json(json!({ "data": { "shop": { "name": "Acme Outdoor" } } }));
    }
    let url = format!("http://simulated/shopify{}", http.path());
    let request = Request { method: Method::Post, body: Some(body), ..Request::get(url) };
    let reply = shopify.shop.send(request, Duration::from_secs(5)).await.unwrap();
    HttpResponse::Ok().content_type("application/json").body(reply.body)
}

/// Serves the pages; returns their address.
fn serve(platform: &Simulator, public_url: &str) -> (String, actix_web::dev::ServerHandle) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let shop = InProcess::new(platform.clone(), Clock::system());
    let shopify = Data::new(Shopify { shop, redirect: format!("{public_url}/connect/shopify/callback"), code: Mutex::default() });
    let app = move || {
        App::new()
            .app_data(shopify.clone())
            .route("/acme/admin/oauth/authorize", web::get().to(consent))
            .route("/acme/admin/oauth/access_token", web::post().to(token))
            .default_service(web::to(graphql))
    };
    let server = HttpServer::new(app).workers(1).disable_signals().listen(listener).unwrap().run();
    let handle = server.handle();
    actix_web::rt::spawn(server);
    (address, handle)
}

#[actix_web::test]
async fn a_seller_connects_a_shop_by_clicking_and_its_first_increase_arrives_once_it_is_live() {
    let Some(browser) = Browser::open(false).await else { return };
    let world = World::start_reachable().await;
    let key = world.seller("Ada", "UTC").await;
    let (shopify, server) = serve(&world.platform, &world.base);
    world.platform.set_quantity("acme", "1001", 10);
    let app = json!({ "client_id": CLIENT_ID, "client_secret": SECRET, "base_url": format!("{shopify}/{{shop}}") });
    world.call("PUT", "/admin/apps/shopify", OPERATOR_KEY, app).await;
    browser.sign_in(&world, &key).await;

    browser.follow("Stores").await;
    browser.press("Add store").await;
    browser.press("Connect Shopify").await;
    browser.fill("#shop", "acme.example.com").await;
    browser.press("Continue to Shopify").await;
    browser.says("Must be the shop's address in Shopify").await;
    browser.fill("#shop", "https://admin.shopify.com/store/acme").await;
    browser.press("Continue to Shopify").await;
    browser.says("Stocktide wants to update your stock").await;
    browser.press("Install app").await;
    browser.says("Acme Outdoor is connected. The connection works.").await;
    browser.says("Next, pair its listings with your SKUs.").await;

    world.call("PUT", "/v1/skus", &key, json!([{ "sku": "1001" }])).await;
    browser.press("Pair by SKU").await;
    browser.press("Find matches").await;
    browser.press("Pair 1").await;
    browser.says("1 listing paired.").await;
    world.call("POST", "/v1/stock-events", &key, json!({ "event_id": "c", "sku": "1001", "kind": "count", "quantity": 10 })).await;
    world.call("PUT", "/v1/sync-settings", &key, json!({ "auto_sync": true, "initial_overwrite": false })).await;
    world.call("POST", "/v1/stock-events", &key, json!({ "event_id": "p", "sku": "1001", "kind": "purchase", "quantity": 5 })).await;
    browser.says("Nothing is sent to this store yet.").await;
    browser.press("Go live").await;
    browser.says("Acme Outdoor is live.").await;
    world.until("the increase", || world.platform.quantity("acme", "1001") == 15).await;
    browser.close().await;
    server.stop(false).await;
}
