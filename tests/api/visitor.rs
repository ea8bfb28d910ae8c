//! What sellers do in a browser to connect a shop, and what they see then.
use crate::client::{Answer, exchange, request};
use crate::consent::{Authority, StandIn};
use crate::database::Backend;
use crate::support::{Api, Caller, Expect, until};
use serde_json::{Value, json};

/// Where browsers reach the service, according to its operator.
pub const PUBLIC: &str = "https://stock.example.com";

pub fn start(backend: Backend) -> Api {
    Api::start_with(backend, &[("public_url", PUBLIC), ("request_timeout_ms", "1000")])
}

/// A browser: it keeps the session's cookie, and takes the public address for the service's own.
pub struct Browser<'a> {
    api: &'a Api,
    cookie: String,
    csrf: String,
}

impl<'a> Browser<'a> {
    pub fn signed_in(api: &'a Api, key: &str) -> Self {
        let mut browser = Self { api, cookie: String::new(), csrf: String::new() };
        let signed_in = browser.post("/console/sign-in", &[("key", key)]);
        browser.cookie = signed_in.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
        let page = browser.get("/console/stores/new").text();
        let page = if page.contains("name=\"csrf\"") { page } else { browser.get("/console/stores").text() };
        browser.csrf = page.split("name=\"csrf\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
        browser
    }

    pub fn stranger(api: &'a Api) -> Self {
        Self { api, cookie: String::new(), csrf: String::new() }
    }

    pub fn get(&self, address: &str) -> Answer {
        let path = address.strip_prefix(PUBLIC).unwrap_or(address);
        exchange(self.api.address, &request("GET", path, &[("cookie", &self.cookie)], None)).unwrap()
    }

    pub fn post(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let mut url = reqwest::Url::parse("http://x").unwrap();
        url.query_pairs_mut().extend_pairs(fields);
        if !self.csrf.is_empty() {
            url.query_pairs_mut().append_pair("csrf", &self.csrf);
        }
        let headers = [("cookie", self.cookie.as_str()), ("content-type", "application/x-www-form-urlencoded")];
        exchange(self.api.address, &request("POST", path, &headers, url.query().map(str::as_bytes))).unwrap()
    }

    /// Presses *Connect* and returns the consent page's address.
    #[track_caller]
    pub fn leaves_for(&self, platform: &str, fields: &[(&str, &str)]) -> String {
        let page = self.post(&format!("/console/connect/{platform}"), fields);
        assert_eq!(page.status, 200, "{}", page.text());
        let text = page.text();
        text.split("content=\"0;url=").nth(1).unwrap_or_else(|| panic!("{text}")).split('"').next().unwrap().replace("&#38;", "&")
    }
}

/// The only store, which is new, after it has gone live.
#[track_caller]
pub fn live_store(seller: &Caller<'_>) -> Value {
    let store = store_in_state(seller, "paused");
    assert_eq!(store["rehearsal"], true, "{store}");
    let live = seller.post(&format!("/v1/stores/{}/go-live", store["id"].as_str().unwrap()), &json!({})).is(200);
    assert_eq!(live["store"]["state"], "working", "{live}");
    live["store"].clone()
}

/// The only store, once it has this state.
#[track_caller]
pub fn store_in_state(seller: &Caller<'_>, state: &str) -> Value {
    until(state, || {
        let stores = seller.get("/v1/stores").is(200);
        let items = stores["items"].as_array().unwrap();
        assert!(items.len() <= 1, "{stores}");
        items.first().filter(|store| store["state"] == state).cloned()
    })
}

pub fn no_store(seller: &Caller<'_>) {
    assert_eq!(seller.get("/v1/stores").is(200)["items"], json!([]));
}

/// The listing is paired, five units arrive, and the shop shows five more.
#[track_caller]
pub fn sells<A: Authority + 'static>(seller: &Caller<'_>, store: &Value, platform: &StandIn<A>, listing: Value) {
    let mut row = json!({ "sku": "MUG" });
    row.as_object_mut().unwrap().extend(listing.as_object().unwrap().clone());
    let store = store["id"].as_str().unwrap();
    let paired = seller.put(&format!("/v1/stores/{store}/listings"), &json!([row])).is(200);
    assert_eq!(paired["created"], 1, "{paired}");
    seller.event("count", "MUG", "count", 10);
    seller.put("/v1/sync-settings", &json!({ "auto_sync": true, "initial_overwrite": false })).is(200);
    seller.event("delivery", "MUG", "purchase", 5);
    until("the increase has arrived", || (platform.shown() == 15).then_some(()));
    until("it is confirmed", || {
        let pushes = seller.get("/v1/pushes").is(200);
        let items = pushes["items"].as_array().unwrap();
        (items.len() == 1 && items[0]["state"] == "confirmed" && items[0]["quantity"] == 5).then_some(())
    });
    assert_eq!(platform.shown(), 15);
}

#[track_caller]
pub fn refused(answer: &Answer, status: u16, words: &str) {
    let text = answer.text();
    assert!(answer.status == status && text.contains(words) && text.contains("was not connected"), "{} {text}", answer.status);
}
