//! The description at `/openapi.json`: it lists every agreed endpoint and is valid OpenAPI 3.1.
use crate::client::{exchange, request};
use crate::database::Backend;
use crate::support::{Api, DOCUMENT, Expect};
use serde_json::{Value, json};
use std::collections::HashSet;

/// The endpoints of the specification, verbatim, without `/v1/stream`.
const AGREED: &str = "
    POST /admin/sellers
    GET /admin/sellers
    GET /admin/sellers/{id}
    PATCH /admin/sellers/{id}
    DELETE /admin/sellers/{id}
    POST /admin/sellers/{id}/keys
    DELETE /admin/sellers/{id}/keys/{key_id}
    GET /admin/overview
    GET /v1/sync-settings
    PUT /v1/sync-settings
    GET /v1/warehouses
    POST /v1/warehouses
    PATCH /v1/warehouses/{code}
    DELETE /v1/warehouses/{code}
    GET /v1/stores
    POST /v1/stores
    GET /v1/stores/{id}
    PATCH /v1/stores/{id}
    DELETE /v1/stores/{id}
    POST /v1/stores/{id}/check
    PUT /v1/stores/{id}/listings
    GET /v1/stores/{id}/listings
    DELETE /v1/stores/{id}/listings/{listing_id}
    PUT /v1/skus
    GET /v1/skus
    PUT /v1/rules
    GET /v1/rules
    POST /v1/stock-events
    GET /v1/stock
    POST /v1/syncs
    GET /v1/syncs
    GET /v1/syncs/{id}
    GET /v1/pushes
    POST /v1/pushes/retry
    GET /v1/audit
    GET /healthz
    GET /readyz
    GET /metrics";

#[test]
fn it_lists_every_agreed_endpoint() {
    let api = Api::start(Backend::Sqlite);
    let served = api.call("GET", "/openapi.json", "", None).is(200);
    assert_eq!(served, *DOCUMENT);
    for line in AGREED.split('\n').map(str::trim).filter(|line| !line.is_empty()) {
        let (method, path) = line.split_once(' ').unwrap();
        assert!(served["paths"][path][method.to_lowercase()].is_object(), "{line} is missing");
    }
}

#[test]
fn it_is_valid_openapi_3_1() {
    assert!(DOCUMENT["openapi"].as_str().unwrap().starts_with("3.1."));
    assert!(DOCUMENT["info"]["title"].is_string() && DOCUMENT["info"]["version"].is_string());
    for reference in references(&DOCUMENT) {
        assert!(DOCUMENT.pointer(reference.trim_start_matches('#')).is_some(), "{reference} cannot be resolved");
    }
    let mut ids = HashSet::new();
    for (path, item) in DOCUMENT["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let id = operation["operationId"].as_str().unwrap();
            assert!(ids.insert(id), "the operationId {id} is used twice");
            let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
            let in_path: Vec<&str> = parameters.iter().filter(|p| p["in"] == "path").filter_map(|p| p["name"].as_str()).collect();
            let in_template: Vec<&str> = path.split(['{', '}']).skip(1).step_by(2).collect();
            assert_eq!(in_path, in_template, "{method} {path}");
            assert!(parameters.iter().filter(|p| p["in"] == "path").all(|p| p["required"] == true), "{method} {path}");
            let responses = operation["responses"].as_object().unwrap();
            assert!(responses.keys().any(|status| status.starts_with('2')), "{method} {path} describes no success");
            assert!(responses.values().all(|response| response["description"].is_string()), "{method} {path}");
            assert!(operation["summary"].as_str().is_some_and(|text| !text.is_empty()), "{method} {path} has no summary");
            for scheme in operation["security"].as_array().into_iter().flatten().flat_map(|s| s.as_object().unwrap().keys()) {
                assert!(DOCUMENT["components"]["securitySchemes"][scheme].is_object(), "{scheme}");
            }
        }
    }
}

#[test]
fn it_describes_stock_events_as_a_single_event_a_list_or_ndjson() {
    let content = &DOCUMENT["paths"]["/v1/stock-events"]["post"]["requestBody"]["content"];
    let reference = content["application/json"]["schema"]["$ref"].as_str().unwrap();
    let choices = &DOCUMENT.pointer(reference.trim_start_matches('#')).unwrap()["oneOf"];
    assert!(choices[0]["$ref"].as_str().unwrap().ends_with("/EventFields"), "{choices}");
    assert_eq!((&choices[1]["type"], &choices[1]["items"]), (&Value::from("array"), &choices[0]));
    assert!(content["application/x-ndjson"].is_object());
}

#[test]
fn it_states_the_page_size_limits_of_every_list() {
    let parameters = DOCUMENT["paths"].as_object().unwrap().values().flat_map(|item| item.as_object().unwrap().values());
    let limits = parameters.flat_map(|operation| operation["parameters"].as_array().into_iter().flatten()).filter(|p| p["name"] == "limit");
    let schemas: Vec<&Value> = limits.map(|limit| &limit["schema"]).collect();
    assert!(schemas.len() >= 8, "{schemas:?}");
    for schema in schemas {
        assert_eq!((schema["minimum"].as_i64(), schema["maximum"].as_i64()), (Some(1), Some(1000)));
    }
}

/// The body that the page at `/docs` starts with.
fn sample(schema: &Value) -> Value {
    if let Some(reference) = schema["$ref"].as_str() {
        return sample(DOCUMENT.pointer(reference.trim_start_matches('#')).unwrap());
    }
    match (&schema["examples"][0], schema["type"].as_str()) {
        (Value::Null, Some("array")) => json!([sample(&schema["items"])]),
        (Value::Null, _) if schema["oneOf"].is_array() => sample(&schema["oneOf"][0]),
        (Value::Null, _) => panic!("this schema of a request has no example: {schema}"),
        (example, _) => example.clone(),
    }
}

#[test]
fn the_sample_body_of_every_request_passes_validation() {
    let api = Api::start(Backend::Sqlite);
    let (mut tried, operator) = (0, api.operator());
    for (path, item) in DOCUMENT["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            for (media_type, content) in operation["requestBody"]["content"].as_object().into_iter().flatten() {
                let body = match content["example"].as_str() {
                    Some(text) => text.to_owned(),
                    None => sample(&content["schema"]).to_string(),
                };
                let ada = api.seller("Ada");
                ada.event("first", "MUG-BLUE", "purchase", 1);
                let new = json!({ "name": "x", "platform": "simulated", "base_url": "http://127.0.0.1:9", "rehearsal": path.ends_with("/go-live") });
                let store = ada.post("/v1/stores", &new).is(201);
                ada.put("/v1/skus", &json!([{ "sku": "GIFT" }])).is(200);
                let webhook = ada.post("/v1/webhooks", &json!({ "url": "http://127.0.0.1:9" })).is(201);
                let email = ada.post("/v1/email-addresses", &json!({ "address": format!("ada-{tried}@example.org") })).is(201);
                let id = match path.as_str() {
                    path if path.starts_with("/admin") => ada.id.as_str(),
                    path if path.starts_with("/v1/email-addresses/") => email["id"].as_str().unwrap(),
                    path if path.starts_with("/v1/webhooks/") => webhook["id"].as_str().unwrap(),
                    _ => store["id"].as_str().unwrap(),
                };
                let address = path
                    .replace("{id}", id)
                    .replace("{code}", "main")
                    .replace("{platform}", "shopify")
                    .replace("bundles/{sku}", "bundles/GIFT");
                let address = address.replace("{sku}", "MUG-BLUE");
                let caller = if path.starts_with("/admin") { &operator } else { &ada };
                let answer = caller.send_as(&method.to_uppercase(), &address, media_type, body.as_bytes());
                // The sample store answers nothing, so it cannot be searched.
                let fits = answer.status < 300 || (path.ends_with("/discover") && answer.status == 409);
                // There is no run that has asked.
                let fits = fits || (path.ends_with("/answer") && answer.status == 404);
                assert!(fits, "{method} {path} answered {} to its own sample {body}: {}", answer.status, answer.text());
                assert!(!body.contains("additionalProp"), "{body}");
                tried += 1;
            }
        }
    }
    assert!(tried >= 15, "{tried}");
    let story = DOCUMENT["info"]["description"].as_str().unwrap();
    assert!(["event_id", "Retry-After", "duplicate", "UUIDv7"].iter().all(|word| story.contains(word)), "{story}");
}

fn references(value: &Value) -> Vec<String> {
    match value {
        Value::Object(members) => {
            let own = members.get("$ref").and_then(Value::as_str).map(str::to_owned);
            own.into_iter().chain(members.values().flat_map(references)).collect()
        }
        Value::Array(items) => items.iter().flat_map(references).collect(),
        _ => Vec::new(),
    }
}

#[test]
fn the_browsable_docs_need_no_other_host() {
    let api = Api::start(Backend::Sqlite);
    let get = |path: &str| exchange(api.address, &request("GET", path, &[], None)).unwrap();
    let moved = get("/docs");
    assert_eq!((moved.status, moved.header("location")), (308, Some("/docs/")));
    let page = get("/docs/");
    assert_eq!(page.status, 200);
    let html = page.text();
    let links: Vec<&str> = html
        .split(['"', '\''])
        .zip(html.split(['"', '\'']).skip(1))
        .filter_map(|(before, link)| (before.ends_with("src=") || before.ends_with("href=")).then_some(link))
        .collect();
    assert!(links.len() >= 3, "{html}");
    for link in links {
        assert!(!link.contains("//"), "{link} is on another host");
        let found = get(&format!("/docs/{}", link.trim_start_matches("./")));
        assert_eq!(found.status, 200, "{link}");
    }
    let script = get("/docs/swagger-initializer.js").text();
    assert!(script.contains("/openapi.json") && !script.contains("https://"), "{script}");
}
