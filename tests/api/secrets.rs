//! A key in the wrong place, as the name of a field, a parameter or a column, is not repeated.
use crate::database::Backend;
use crate::support::{Api, Caller, DOCUMENT, Platform};
use serde_json::{Value, json};
use stocktide::domain::names::is_repeatable;
use stocktide::platforms::form::FORMS;
use stocktide::platforms::registry;

const SECRETS: [&str; 4] = [
    "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",
    "stk_kS8nd2Pq",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl",
    "tok-c0ffee-planted-secret",
];

#[test]
fn a_secret_that_is_sent_as_a_name_is_not_repeated() {
    let (api, platform) = (Api::start(Backend::Sqlite), Platform::start());
    let (ada, operator) = (api.seller("Ada"), api.operator());
    let store = ada.store("corner", platform.address, json!({ "credentials": { "token": "t" } }));
    for secret in SECRETS.into_iter().chain([ada.key.as_str()]) {
        let says_nothing = |what: &str, answer: &crate::client::Answer| {
            let rejected = answer.status >= 400 || answer.json()["rejected"].as_u64().is_some_and(|count| count > 0);
            assert!(rejected, "{what}: {} {}", answer.status, answer.text());
            assert!(!answer.text().contains(secret), "{what}: {}", answer.text());
        };
        for (template, item) in DOCUMENT["paths"].as_object().unwrap() {
            let caller = if template.starts_with("/admin") { &operator } else { &ada };
            let id = if template.starts_with("/admin") { &ada.id } else { &store };
            let path = template.replace("{code}", "main").replace("{id}", id).replace("{sku}", "A");
            for (method, operation) in item.as_object().unwrap() {
                let (method, what) = (method.to_uppercase(), format!("{method} {template}"));
                let lists = operation["parameters"].as_array().into_iter().flatten().any(|p| p["in"] == "query");
                if lists {
                    says_nothing(&what, &caller.get(&format!("{path}?{secret}=1")));
                    says_nothing(&what, &caller.get(&format!("{path}?{secret}=1&{secret}=1")));
                }
                if operation["requestBody"].is_null() {
                    continue;
                }
                for (what, body) in bodies(secret) {
                    says_nothing(&format!("{method} {path}: {what}"), &send(caller, &method, &path, &body));
                }
            }
        }
        let listings = format!("/v1/stores/{store}/listings");
        for header in [format!("sku,external_id,{secret}"), format!("{secret},{secret}"), ",".repeat(300) + secret] {
            says_nothing("a column", &ada.send_as("PUT", &listings, "text/csv", format!("{header}\nA,a\n").as_bytes()));
        }
        for line in [format!("{{\"{secret}\":1}}\n"), format!("{{\"{secret}\n")] {
            says_nothing("a line", &ada.send_as("POST", "/v1/stock-events", "application/x-ndjson", line.as_bytes()));
        }
    }
}

fn send(caller: &Caller<'_>, method: &str, path: &str, body: &Value) -> crate::client::Answer {
    caller.send(method, path, body)
}

/// The secret in every place where a name may stand.
fn bodies(secret: &str) -> Vec<(&'static str, Value)> {
    let row = |extra: Value| {
        let mut row = json!({ "sku": "A", "external_id": "a", "event_id": "e", "kind": "purchase", "quantity": 1 });
        row.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        row
    };
    vec![
        ("a member", json!({ secret: 1 })),
        ("a nested member", json!({ secret: { secret: [secret] } })),
        ("a member of an item", json!([{ secret: 1 }])),
        ("a member beside known ones", row(json!({ secret: "x" }))),
        ("a member of an item beside known ones", json!([row(json!({ secret: "x" }))])),
        ("the name of a credential", json!({ "credentials": { secret: "x" } })),
        ("the name of a credential that is not a text", json!({ "credentials": { secret: 1 } })),
        ("the name of a long credential", json!({ "credentials": { secret: "x".repeat(9000) } })),
        ("a setting", json!({ "name": "x", "platform": "simulated", "base_url": "http://127.0.0.1:9", secret: "x" })),
        ("a member of a setting", json!({ "abilities": { secret: true } })),
    ]
}

#[test]
fn every_known_name_is_repeated() {
    let schemas = DOCUMENT["components"]["schemas"].as_object().unwrap().values();
    let members = schemas.filter_map(|schema| schema["properties"].as_object()).flat_map(|properties| properties.keys());
    let operations = DOCUMENT["paths"].as_object().unwrap().values().flat_map(|item| item.as_object().unwrap().values());
    let parameters = operations.flat_map(|operation| operation["parameters"].as_array().into_iter().flatten());
    let parameters = parameters.map(|parameter| parameter["name"].as_str().unwrap());
    let of_platforms = FORMS.iter().flat_map(|form| form.fields).map(|field| field.name);
    let of_listings = registry().iter().flat_map(|platform| platform.listing_fields()).copied();
    let others = ["abilities", "rate_limit", "per_second", "burst", "max_items", "compare_and_set", "access_token_expires_at"];
    let names = members.map(String::as_str).chain(parameters).chain(of_platforms).chain(of_listings).chain(others);
    for name in names {
        assert!(is_repeatable(name), "{name}");
    }
}
