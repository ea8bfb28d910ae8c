//! Each platform's flow, from *Connect* to the first increase at the right number.
use crate::client::{exchange, request};
use crate::consent::{Authority, Face, LISTING, Registered, StandIn, WooCommerce, faces, market_faces, marketplaces};
use crate::database::Backend;
use crate::on_both_backends;
use crate::support::Expect;
use crate::visitor::{Browser, PUBLIC, live_store, no_store, refused, sells, start};
use serde_json::{Value, json};

/// From *Connect* to the first increase, after a refusal that connects nothing.
#[track_caller]
fn connects<A: Authority + 'static>(backend: Backend, face: &Face, authority: A, app: Value, asked: &[(&str, &str)], expected: Value) {
    let (api, platform) = (start(backend), StandIn::start(face, authority));
    let ada = api.seller("Ada");
    let mut entered = json!({ "base_url": format!("http://{}", platform.address) });
    entered.as_object_mut().unwrap().extend(app.as_object().unwrap().clone());
    api.operator().put(&format!("/admin/apps/{}", face.platform), &entered).is(200);
    let browser = Browser::signed_in(&api, &ada.key);
    let declined = platform.consent(&browser.leaves_for(face.platform, asked)).decline;
    refused(&browser.get(&declined), 200, "give permission");
    no_store(&ada);
    let landed = browser.get(&platform.consent(&browser.leaves_for(face.platform, asked)).agree);
    assert_eq!(landed.status, 303, "{}", landed.text());
    let store = live_store(&ada);
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(store[name], *value, "{name}: {store}");
    }
    let notice = landed.headers.iter().find(|(name, value)| name == "set-cookie" && value.starts_with("stocktide_notice")).unwrap();
    let notice = base64_text(notice.1.split(['=', ';']).nth(1).unwrap());
    assert!(notice.contains("The connection works."), "{notice}");
    let (external_id, extra) = (face.listing)(LISTING);
    let mut listing = json!({ "external_id": external_id });
    listing.as_object_mut().unwrap().extend(extra.into_iter().map(|(name, value)| (name.to_owned(), json!(value))));
    sells(&ada, &store, &platform, listing);
}

fn base64_text(text: &str) -> String {
    use base64::Engine;
    String::from_utf8(base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap()
}

fn app(registered: &Registered, settings: Value) -> Value {
    json!({ "client_id": registered.client_id, "client_secret": registered.secret, "settings": settings })
}

fn an_ebay_account_is_connected(backend: Backend) {
    let registered = Registered::new("Acme-Stocktid-PRD-1", "ebay");
    let app = app(&registered, json!({ "redirect_name": "Acme-AcmeStoc-Stockt-abcde" }));
    connects(
        backend,
        &market_faces::ebay(),
        marketplaces::Ebay(registered),
        app,
        &[],
        json!({ "name": "eBay", "environment": "production" }),
    );
}

fn an_amazon_account_is_connected(backend: Backend) {
    let registered = Registered::new("amzn1.application-oa2-client.1", "amazon");
    let app = app(&registered, json!({ "application_id": "amzn1.sp.solution.1" }));
    let expected = json!({ "name": "Amazon Germany", "region": "eu", "seller_id": "A1SELLER", "marketplace_id": "A1PA6795UKMFR9" });
    let asked = [("marketplace_id", "A1PA6795UKMFR9")];
    connects(backend, &market_faces::amazon(), marketplaces::Amazon(registered), app, &asked, expected);
}

fn a_lazada_shop_is_connected(backend: Backend) {
    let registered = Registered::new("100132", "lazada");
    let app = app(&registered, json!({}));
    let expected = json!({ "name": "Acme Home", "region": "sg", "app_key": "100132" });
    connects(backend, &market_faces::lazada(), marketplaces::Lazada(registered), app, &[("region", "sg")], expected);
}

fn a_tiktok_shop_is_connected(backend: Backend) {
    let registered = Registered::new("68xu9ks5p4i8", "tiktok_shop");
    let app = app(&registered, json!({ "service_id": "7000" }));
    let expected = json!({ "name": "Acme Beauty", "shop_cipher": "ROW_one" });
    connects(backend, &market_faces::tiktok_shop(), marketplaces::TikTokShop(registered), app, &[], expected);
}

fn a_shopee_shop_is_connected(backend: Backend) {
    let registered = Registered::new("1000001", "shopee");
    let app = app(&registered, json!({}));
    let expected = json!({ "name": "Acme Toys", "shop_id": "220000045", "region": "global" });
    connects(backend, &market_faces::shopee(), marketplaces::Shopee(registered), app, &[("region", "global")], expected);
}

fn a_shopline_shop_is_connected(backend: Backend) {
    let registered = Registered::new("appkey123", "shopline");
    let mut app = app(&registered, json!({}));
    app["base_url"] = Value::Null;
    connects_at_its_own_address(backend, registered, app);
}

/// SHOPLINE's servers are the shops' own.
#[track_caller]
fn connects_at_its_own_address(backend: Backend, registered: Registered, mut app: Value) {
    let (api, platform) = (start(backend), StandIn::start(&market_faces::shopline(), marketplaces::Shopline(registered)));
    let ada = api.seller("Ada");
    app["base_url"] = json!(format!("http://{}/{{shop}}", platform.address));
    api.operator().put("/admin/apps/shopline", &app).is(200);
    let browser = Browser::signed_in(&api, &ada.key);
    let leave = || platform.consent(&browser.leaves_for("shopline", &[("handle", "Acme.myshopline.com")]));
    refused(&browser.get(&leave().decline), 200, "give permission");
    refused(&browser.get(&leave().agree.replace("handle=acme", "handle=other")), 422, "signed by SHOPLINE");
    no_store(&ada);
    let landed = browser.get(&leave().agree);
    assert_eq!(landed.status, 303, "{}", landed.text());
    let store = live_store(&ada);
    assert_eq!((&store["name"], &store["handle"]), (&json!("Acme Kitchen"), &json!("acme")));
    sells(&ada, &store, &platform, json!({ "external_id": LISTING.to_string(), "location_id": "7" }));
}

fn a_shopline_open_shop_is_connected(backend: Backend) {
    let registered = Registered::new("slo-app", "shopline_open");
    let app = app(&registered, json!({}));
    let expected = json!({ "name": "acme", "handle": "acme" });
    let asked = [("handle", "acme")];
    connects(backend, &market_faces::shopline_open(), marketplaces::ShoplineOpen(registered), app, &asked, expected);
}

fn a_woocommerce_shop_sends_its_keys_and_is_connected_when_its_owner_comes_back(backend: Backend) {
    let (api, shop) = (start(backend), StandIn::start(&faces::woocommerce(), WooCommerce::default()));
    let (ada, bob) = (api.seller("Ada"), api.seller("Bob"));
    let browser = Browser::signed_in(&api, &ada.key);
    let address = format!("http://{}", shop.address);
    let leave = || shop.consent(&browser.leaves_for("woocommerce", &[("base_url", &address)]));
    refused(&browser.get(&leave().decline), 200, "give permission");
    refused(&browser.get(&leave().agree), 422, "has not sent its keys");
    let back = leave().agree;
    let (callback, keys) = shop.with(|shop| shop.posts.clone().unwrap());
    let post = |keys: &Value| {
        let path = callback.strip_prefix(PUBLIC).unwrap();
        exchange(api.address, &request("POST", path, &[("content-type", "application/json")], Some(keys.to_string().as_bytes()))).unwrap()
    };
    for (name, value) in [("user_id", json!("unknown")), ("consumer_secret", json!("")), ("consumer_key", json!("x".repeat(300)))] {
        let mut wrong = keys.clone();
        wrong[name] = value;
        assert!([404, 422].contains(&post(&wrong).status), "{name}");
    }
    assert_eq!(post(&json!([])).status, 422);
    assert_eq!(post(&keys).status, 200);
    assert_eq!(post(&keys).status, 409, "only once");
    refused(&Browser::signed_in(&api, &bob.key).get(&back), 404, "belongs to no authorization");
    let landed = browser.get(&back);
    assert_eq!(landed.status, 303, "{}", landed.text());
    let store = live_store(&ada);
    assert_eq!((&store["name"], &store["base_url"]), (&json!("Acme Garden"), &json!(address)));
    sells(&ada, &store, &shop, json!({ "external_id": LISTING.to_string() }));
}

on_both_backends![
    an_ebay_account_is_connected,
    an_amazon_account_is_connected,
    a_lazada_shop_is_connected,
    a_tiktok_shop_is_connected,
    a_shopee_shop_is_connected,
    a_shopline_shop_is_connected,
    a_shopline_open_shop_is_connected,
    a_woocommerce_shop_sends_its_keys_and_is_connected_when_its_owner_comes_back,
];
