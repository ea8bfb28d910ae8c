//! Every described route, called with every kind of wrong key and with another seller's ids. A route that is missing from
//! the table below fails the test, so a new one cannot be forgotten.
use crate::database::Backend;
use crate::on_both_backends;
use crate::support::{Api, Caller, DOCUMENT, Expect, OPERATOR_KEY, Platform, pause, until};
use diesel::{Connection, RunQueryDsl, SqliteConnection};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::Duration;
use stocktide::simulator::Faults;

/// The kind of key that a route requires.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Access {
    Operator,
    Seller,
    Open,
}
use Access::{Open, Operator, Seller};

/// Every route, the access it requires, and a body that would be accepted with the right key; `$store` and `$push` are
/// placeholders for ids.
#[rustfmt::skip]
fn table() -> Vec<(&'static str, &'static str, Access, Value)> {
    vec![
        ("POST", "/admin/sellers", Operator, json!({ "name": "Eve" })),
        ("GET", "/admin/sellers", Operator, Value::Null),
        ("GET", "/admin/sellers/{id}", Operator, Value::Null),
        ("PATCH", "/admin/sellers/{id}", Operator, json!({ "suspended": true })),
        ("DELETE", "/admin/sellers/{id}", Operator, Value::Null),
        ("POST", "/admin/sellers/{id}/keys", Operator, Value::Null),
        ("GET", "/admin/sellers/{id}/keys", Operator, Value::Null),
        ("DELETE", "/admin/sellers/{id}/keys/{key_id}", Operator, Value::Null),
        ("GET", "/admin/sellers/{id}/limits", Operator, Value::Null),
        ("PATCH", "/admin/sellers/{id}/limits", Operator, json!({ "skus": 5 })),
        ("GET", "/v1/limits", Seller, Value::Null),
        ("GET", "/admin/sellers/{id}/usage", Operator, Value::Null),
        ("GET", "/admin/usage.csv", Operator, Value::Null),
        ("GET", "/v1/usage", Seller, Value::Null),
        ("GET", "/admin/overview", Operator, Value::Null),
        ("GET", "/admin/stores", Operator, Value::Null),
        ("POST", "/admin/syncs", Operator, Value::Null),
        ("GET", "/admin/apps", Operator, Value::Null),
        ("PUT", "/admin/apps/{platform}", Operator, json!({ "client_id": "x", "client_secret": "y" })),
        ("DELETE", "/admin/apps/{platform}", Operator, Value::Null),
        ("GET", "/admin/audit", Operator, Value::Null),
        ("GET", "/admin/platforms", Operator, Value::Null),
        ("PUT", "/admin/platforms/{platform}/pause", Operator, json!({ "reason": "x" })),
        ("DELETE", "/admin/platforms/{platform}/pause", Operator, Value::Null),
        ("GET", "/v1/sync-settings", Seller, Value::Null),
        ("PUT", "/v1/sync-settings", Seller, json!({ "auto_sync": true })),
        ("GET", "/v1/warehouses", Seller, Value::Null),
        ("POST", "/v1/warehouses", Seller, json!({ "code": "north" })),
        ("PATCH", "/v1/warehouses/{code}", Seller, json!({ "name": "Mine" })),
        ("DELETE", "/v1/warehouses/{code}", Seller, Value::Null),
        ("GET", "/v1/stores", Seller, Value::Null),
        ("POST", "/v1/stores", Seller, json!({ "name": "x", "platform": "simulated", "base_url": "http://127.0.0.1:9" })),
        ("GET", "/v1/stores/{id}", Seller, Value::Null),
        ("PATCH", "/v1/stores/{id}", Seller, json!({ "name": "mine" })),
        ("DELETE", "/v1/stores/{id}", Seller, Value::Null),
        ("POST", "/v1/stores/{id}/check", Seller, Value::Null),
        ("POST", "/v1/stores/{id}/go-live", Seller, json!({ "overwrite": true })),
        ("GET", "/v1/connections", Seller, Value::Null),
        ("POST", "/v1/connections", Seller, json!({ "platform": "shopify", "shop": "acme", "store_id": "$store" })),
        ("GET", "/v1/stream", Seller, Value::Null),
        ("POST", "/v1/stores/{id}/discover", Seller, json!({ "apply": true })),
        ("PUT", "/v1/stores/{id}/listings", Seller, json!([{ "sku": "X", "external_id": "x" }])),
        ("GET", "/v1/stores/{id}/listings", Seller, Value::Null),
        ("DELETE", "/v1/stores/{id}/listings/{listing_id}", Seller, Value::Null),
        ("PUT", "/v1/skus", Seller, json!([{ "sku": "X" }])),
        ("GET", "/v1/skus", Seller, Value::Null),
        ("PUT", "/v1/bundles/{sku}", Seller, json!({ "components": [{ "sku": "SKU-1", "quantity": 1 }] })),
        ("GET", "/v1/bundles", Seller, Value::Null),
        ("GET", "/v1/bundles/{sku}", Seller, Value::Null),
        ("DELETE", "/v1/bundles/{sku}", Seller, Value::Null),
        ("PUT", "/v1/rules", Seller, json!([{ "store_id": "$store", "buffer": 1 }])),
        ("GET", "/v1/rules", Seller, Value::Null),
        ("POST", "/v1/stock-events", Seller, json!({ "event_id": "x", "sku": "X", "kind": "purchase", "quantity": 1 })),
        ("GET", "/v1/stock", Seller, Value::Null),
        ("GET", "/v1/stock/{sku}/explain", Seller, Value::Null),
        ("POST", "/v1/syncs", Seller, json!({ "store_ids": ["$store"] })),
        ("GET", "/v1/syncs", Seller, Value::Null),
        ("GET", "/v1/syncs/{id}", Seller, Value::Null),
        ("POST", "/v1/syncs/{id}/answer", Seller, json!({ "go": false })),
        ("POST", "/v1/syncs/{id}/cancel", Seller, Value::Null),
        ("POST", "/v1/syncs/{id}/undo", Seller, Value::Null),
        ("GET", "/v1/pushes", Seller, Value::Null),
        ("GET", "/v1/pushes/{id}", Seller, Value::Null),
        ("POST", "/v1/pushes/retry", Seller, json!({ "ids": ["$push"] })),
        ("GET", "/v1/pauses", Seller, Value::Null),
        ("POST", "/v1/pause", Seller, json!({ "reason": "mine" })),
        ("POST", "/v1/resume", Seller, Value::Null),
        ("PUT", "/v1/skus/{sku}/pause", Seller, json!({ "reason": "mine" })),
        ("DELETE", "/v1/skus/{sku}/pause", Seller, Value::Null),
        ("GET", "/v1/frozen-windows", Seller, Value::Null),
        ("POST", "/v1/frozen-windows", Seller, json!({ "name": "x", "from": next_years("02-01"), "to": next_years("02-02"), "store_ids": ["$store"] })),
        ("DELETE", "/v1/frozen-windows/{id}", Seller, Value::Null),
        ("POST", "/v1/stores/{id}/drift-checks", Seller, Value::Null),
        ("GET", "/v1/drift-checks", Seller, Value::Null),
        ("GET", "/v1/drifts", Seller, Value::Null),
        ("GET", "/v1/webhooks", Seller, Value::Null),
        ("POST", "/v1/webhooks", Seller, json!({ "url": "http://127.0.0.1:9/mine" })),
        ("GET", "/v1/webhooks/{id}", Seller, Value::Null),
        ("PATCH", "/v1/webhooks/{id}", Seller, json!({ "enabled": false })),
        ("DELETE", "/v1/webhooks/{id}", Seller, Value::Null),
        ("POST", "/v1/webhooks/{id}/test", Seller, Value::Null),
        ("GET", "/v1/webhooks/{id}/messages", Seller, Value::Null),
        ("GET", "/v1/email-addresses", Seller, Value::Null),
        ("POST", "/v1/email-addresses", Seller, json!({ "address": "mine@example.com" })),
        ("GET", "/v1/email-addresses/{id}", Seller, Value::Null),
        ("PATCH", "/v1/email-addresses/{id}", Seller, json!({ "at_once": true })),
        ("DELETE", "/v1/email-addresses/{id}", Seller, Value::Null),
        ("POST", "/v1/email-addresses/{id}/confirmation", Seller, Value::Null),
        ("GET", "/v1/audit", Seller, Value::Null),
        ("GET", "/healthz", Open, Value::Null),
        ("GET", "/readyz", Open, Value::Null),
        ("GET", "/metrics", Open, Value::Null),
    ]
}

/// Lists that can be filtered by an id that belongs to a seller.
const FILTERED: [&str; 3] = ["/v1/pushes?store_id=$store", "/v1/drift-checks?store_id=$store", "/v1/drifts?store_id=$store"];

/// One seller's data: one item of each kind that has an id.
pub struct Fixture {
    pub store: String,
    pub listing: String,
    pub push: String,
    sync: String,
    webhook: String,
    email: String,
    window: String,
    /// No other seller has it.
    sku: String,
}

pub fn fixture_for(seller: &Caller<'_>, platform: SocketAddr) -> Fixture {
    let store = seller.store("corner", platform, json!({}));
    seller.pair(&store, &["SKU-1"]);
    seller.post("/v1/warehouses", &json!({ "code": "theirs" })).is(201);
    seller.put("/v1/sync-settings", &json!({ "auto_sync": true, "initial_overwrite": false })).is(200);
    seller.event("e1", "SKU-1", "purchase", 5);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let sync = text(&seller.post("/v1/syncs", &json!({ "store_ids": [store] })).is(202)["id"]);
    until("the sync has finished", || (seller.get(&format!("/v1/syncs/{sync}")).is(200)["state"] == "finished").then_some(()));
    let listing = text(&seller.get(&format!("/v1/stores/{store}/listings")).is(200)["items"][0]["id"]);
    let push = text(&seller.get("/v1/pushes").is(200)["items"][0]["id"]);
    let sku = format!("SKU-OF-{}", seller.id);
    seller.put("/v1/skus", &json!([{ "sku": sku }])).is(200);
    let webhook = text(&seller.post("/v1/webhooks", &json!({ "url": "http://127.0.0.1:9/theirs" })).is(201)["id"]);
    let email = text(&seller.post("/v1/email-addresses", &json!({ "address": format!("{}@example.com", seller.id) })).is(201)["id"]);
    let window = json!({ "name": "theirs", "from": next_years("01-01"), "to": next_years("01-02") });
    let window = text(&seller.post("/v1/frozen-windows", &window).is(201)["id"]);
    Fixture { store, listing, push, sync, webhook, email, window, sku }
}

/// A local time on this day of next year.
fn next_years(day: &str) -> String {
    let year = chrono::Datelike::year(&stocktide::clock::Clock::system().now().to_utc()) + 1;
    format!("{year}-{day}T00:00")
}

impl Fixture {
    pub fn path_of(&self, template: &str, seller: &Caller<'_>) -> String {
        let id = match template.split('/').nth(2) {
            Some("sellers") => &seller.id,
            Some("stores") => &self.store,
            Some("syncs") => &self.sync,
            Some("webhooks") => &self.webhook,
            Some("email-addresses") => &self.email,
            Some("frozen-windows") => &self.window,
            _ => &self.push,
        };
        self.with_ids(
            &template
                .replace("{id}", id)
                .replace("{key_id}", &seller.key_id)
                .replace("{code}", "theirs")
                .replace("{platform}", "shopify")
                .replace("{sku}", &self.sku)
                .replace("{listing_id}", &self.listing),
        )
    }

    fn with_ids(&self, text: &str) -> String {
        text.replace("$store", &self.store).replace("$push", &self.push)
    }
}

fn call(api: &Api, method: &str, path: &str, key: &str, body: &Value) -> crate::client::Answer {
    let text = body.to_string();
    api.call(method, path, key, (!body.is_null()).then_some(("application/json", text.as_bytes())))
}

#[test]
fn the_table_covers_every_described_route_and_the_access_it_requires() {
    let described = DOCUMENT["paths"].as_object().unwrap().iter();
    let mut described: Vec<(String, String)> = described
        .flat_map(|(path, item)| item.as_object().unwrap().keys().map(|method| (path.clone(), method.to_uppercase())).collect::<Vec<_>>())
        .collect();
    let mut known: Vec<(String, String)> = table().iter().map(|(method, path, ..)| ((*path).to_owned(), (*method).to_owned())).collect();
    described.sort();
    known.sort();
    assert_eq!(described, known, "add a new route to the table in this test");
    for (method, path, access, _) in table() {
        let security = &DOCUMENT["paths"][path][method.to_lowercase()]["security"];
        let expected = match access {
            Operator => json!([{ "operator_key": [] }]),
            Seller => json!([{ "seller_key": [] }]),
            Open => Value::Null,
        };
        assert_eq!(*security, expected, "{method} {path}");
    }
}

fn every_route_refuses_every_wrong_key(backend: Backend) {
    let (api, platform) = (Api::start(backend), Platform::start());
    let ada = api.seller("Ada");
    let fixture = fixture_for(&ada, platform.address);
    let revoked = api.operator().post(&format!("/admin/sellers/{}/keys", ada.id), &Value::Null).is(201);
    let (revoked_id, revoked) = (revoked["id"].as_str().unwrap(), revoked["api_key"].as_str().unwrap());
    assert_eq!(api.call("GET", "/v1/stores", revoked, None).status, 200);
    api.operator().delete(&format!("/admin/sellers/{}/keys/{revoked_id}", ada.id)).is(204);
    let almost = format!("{}x", ada.key);
    let refused = |method: &str, path: &str, body: &Value, keys: &[&str]| {
        for key in keys {
            let answer = call(&api, method, path, key, body);
            answer.is_problem(401);
            assert_eq!(answer.header("www-authenticate"), Some("Bearer"), "{method} {path}");
        }
    };
    ada.changes_nothing(|| {
        for (method, template, access, body) in table() {
            let path = fixture.path_of(template, &ada);
            let body = serde_json::from_str(&fixture.with_ids(&body.to_string())).unwrap();
            match access {
                Operator => refused(method, &path, &body, &["", "wrong", &ada.key, revoked, &OPERATOR_KEY.to_uppercase()]),
                Seller => refused(method, &path, &body, &["", "wrong", OPERATOR_KEY, revoked, &almost]),
                Open => assert_eq!(call(&api, method, &path, "", &body).status, 200, "{path}"),
            }
        }
    });
}

fn another_sellers_ids_are_answered_as_not_found(backend: Backend) {
    let (api, platform) = (Api::start(backend), Platform::start());
    let (ada, bob) = (api.seller("Ada"), api.seller("Bob"));
    let (mine, theirs) = (fixture_for(&ada, platform.address), fixture_for(&bob, platform.address));
    bob.changes_nothing(|| {
        let mut tried = 0;
        for (method, template, _, body) in table().into_iter().filter(|(.., access, _)| *access == Seller) {
            let body_text = body.to_string();
            if template.contains('{') || body_text.contains('$') {
                let (path, body) = (theirs.path_of(template, &bob), serde_json::from_str(&theirs.with_ids(&body_text)).unwrap());
                // Warehouse codes are only unique per seller, so Ada must not have one by this name.
                ada.delete("/v1/warehouses/theirs");
                call(&api, method, &path, &ada.key, &body).is_problem(404);
                tried += 1;
            }
        }
        for path in FILTERED {
            ada.get(&theirs.with_ids(path)).is_problem(404);
        }
        ada.delete(&format!("/v1/stores/{}/listings/{}", mine.store, theirs.listing)).is_problem(404);
        ada.post("/v1/pushes/retry", &json!({ "ids": [mine.push, theirs.push] })).is_problem(404);
        assert_eq!(
            ada.put("/v1/rules", &json!([{ "buffer": 1 }, { "store_id": theirs.store }])).names(404, "/1/store_id"),
            "there is no such store"
        );
        assert_eq!(
            ada.post("/v1/syncs", &json!({ "store_ids": [mine.store, theirs.store] })).names(404, "/store_ids/1"),
            "there is no such store"
        );
        assert!(tried >= 12, "only {tried} routes take ids");
    });
    for list in ["/v1/stores", "/v1/pushes", "/v1/syncs", "/v1/skus", "/v1/audit"] {
        let text = ada.get(list).text();
        for id in [&theirs.store, &theirs.push, &theirs.sync, &theirs.listing, &bob.id] {
            assert!(!text.contains(id.as_str()), "{list} shows another seller's {id}");
        }
    }
    assert_eq!(bob.available("SKU-1"), 5);
}

fn sellers_share_neither_event_ids_nor_skus(backend: Backend) {
    let api = Api::start(backend);
    let (ada, bob) = (api.seller("Ada"), api.seller("Bob"));
    ada.event("same-id", "SAME", "purchase", 3);
    assert_eq!(bob.event("same-id", "SAME", "purchase", 7)["accepted"], 1);
    assert_eq!((ada.available("SAME"), bob.available("SAME")), (3, 7));
}

fn a_suspended_seller_is_refused_and_is_intact_once_reinstated(backend: Backend) {
    let api = Api::start(backend);
    let ada = api.seller("Ada");
    ada.event("e1", "S", "purchase", 3);
    let path = format!("/admin/sellers/{}", ada.id);
    assert_eq!(api.operator().patch(&path, &json!({ "suspended": true })).is(200)["suspended"], true);
    for (method, template, _, body) in table().into_iter().filter(|(.., access, _)| *access == Seller) {
        let path = template.replace("{id}", &ada.id).replace("{listing_id}", &ada.id).replace("{code}", "main");
        call(&api, method, &path, &ada.key, &body).is_problem(403);
    }
    api.operator().patch(&path, &json!({ "suspended": false })).is(200);
    assert_eq!(ada.available("S"), 3);
}

fn deleting_a_seller_removes_its_data_and_keys_and_nobody_elses(backend: Backend) {
    let (api, platform) = (Api::start(backend), Platform::start());
    let (ada, bob) = (api.seller("Ada"), api.seller("Bob"));
    fixture_for(&ada, platform.address);
    fixture_for(&bob, platform.address);
    api.operator().delete(&format!("/admin/sellers/{}", ada.id)).is(204);
    ada.get("/v1/stores").is_problem(401);
    for path in [format!("/admin/sellers/{}", ada.id), format!("/admin/sellers/{}/keys", ada.id)] {
        api.operator().get(&path).is_problem(404);
    }
    api.operator().delete(&format!("/admin/sellers/{}", ada.id)).is_problem(404);
    assert_eq!(bob.available("SKU-1"), 5);
    assert_eq!(api.operator().get("/admin/sellers").is(200)["items"].as_array().unwrap().len(), 1);
}

#[test]
fn an_answer_that_takes_long_is_not_given_to_a_key_revoked_meanwhile() {
    let (api, platform) = (Api::start(Backend::Sqlite), Platform::start());
    let ada = api.seller("Ada");
    let store = ada.store("corner", platform.address, json!({}));
    platform.simulator.set_faults(Faults { latency_ms: 1500, ..Faults::default() });
    ada.post(&format!("/v1/stores/{store}/discover"), &json!({})).is(200);
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| ada.post(&format!("/v1/stores/{store}/discover"), &json!({})));
        pause(Duration::from_millis(500));
        api.operator().delete(&format!("/admin/sellers/{}/keys/{}", ada.id, ada.key_id)).is(204);
        asked.join().unwrap().is_problem(401);
    });
}

#[test]
fn a_key_that_another_node_revokes_is_refused_within_a_second() {
    let api = Api::start(Backend::Sqlite);
    let ada = api.seller("Ada");
    ada.get("/v1/stores").is(200);
    let mut other_node = SqliteConnection::establish(api.database_file().to_str().unwrap()).unwrap();
    diesel::sql_query("UPDATE api_keys SET revoked_at = 1").execute(&mut other_node).unwrap();
    pause(Duration::from_secs(1));
    ada.get("/v1/stores").is_problem(401);
}

#[test]
fn malformed_authorization_headers_are_refused() {
    let api = Api::start(Backend::Sqlite);
    let ada = api.seller("Ada");
    let too_long = format!("Bearer {}", "k".repeat(5000));
    let basic = format!("Basic {}", ada.key);
    for value in ["Bearer", "Bearer ", "Bearer  ", &basic, &ada.key, &too_long, "Bearer \u{e9}\u{e9}", "Bearer a b c"] {
        let bytes = crate::client::request("GET", "/v1/stores", &[("authorization", value)], None);
        crate::client::exchange(api.address, &bytes).unwrap().is_problem(401);
    }
    let lower = format!("bearer {}", ada.key);
    let bytes = crate::client::request("GET", "/v1/stores", &[("authorization", &lower)], None);
    assert_eq!(crate::client::exchange(api.address, &bytes).unwrap().status, 200, "the scheme's name is case-insensitive");
}

on_both_backends![
    every_route_refuses_every_wrong_key,
    another_sellers_ids_are_answered_as_not_found,
    sellers_share_neither_event_ids_nor_skus,
    a_suspended_seller_is_refused_and_is_intact_once_reinstated,
    deleting_a_seller_removes_its_data_and_keys_and_nobody_elses,
];
