//! HTTP itself: methods, paths, headers, encodings, and requests that only a broken or hostile client sends.
use crate::client::{exchange, request};
use crate::database::Backend;
use crate::on_both_backends;
use crate::support::{Api, DOCUMENT, Expect};
use serde_json::json;

#[test]
fn an_unsupported_method_is_answered_with_the_supported_ones() {
    let api = Api::start(Backend::Sqlite);
    for path in DOCUMENT["paths"].as_object().unwrap().keys() {
        let path = path.replace("{code}", "main").replace("{id}", "0190a3b4-0000-7000-8000-000000000000");
        let path = path.replace("{key_id}", "x").replace("{listing_id}", "x");
        let there: Vec<String> = methods_of(&path);
        for method in ["GET", "PUT", "POST", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"] {
            // This could be the path of a push, so the key is checked first.
            if there.iter().any(|known| known == method) || (method, path.as_str()) == ("GET", "/v1/pushes/retry") {
                continue;
            }
            let answer = api.call(method, &path, "", None);
            answer.is_problem(405);
            let mut allowed: Vec<&str> = answer.header("allow").unwrap().split(", ").collect();
            let mut there: Vec<&str> = there.iter().map(String::as_str).collect();
            allowed.sort_unstable();
            there.sort_unstable();
            assert_eq!(allowed, there, "{method} {path}");
        }
    }
}

#[test]
fn a_literal_path_is_not_taken_for_a_push_id() {
    let api = Api::start(Backend::Sqlite);
    let answer = api.seller("Ada").get("/v1/pushes/retry");
    answer.is_problem(405);
    assert_eq!(answer.header("allow"), Some("POST"));
}

/// Literal paths take precedence: `/v1/pushes/retry` is not a push called `retry`.
fn methods_of(path: &str) -> Vec<String> {
    let paths = DOCUMENT["paths"].as_object().unwrap();
    let fits = |template: &str| {
        let (parts, given): (Vec<&str>, Vec<&str>) = (template.split('/').collect(), path.split('/').collect());
        parts.len() == given.len() && parts.iter().zip(given).all(|(part, given)| part.starts_with('{') || *part == given)
    };
    let item = paths.get(path).or_else(|| paths.iter().find(|(template, _)| fits(template)).map(|(_, item)| item)).unwrap();
    item.as_object().unwrap().keys().map(|method| method.to_uppercase()).collect()
}

fn an_unknown_path_is_not_found_however_odd_it_looks(backend: Backend) {
    let api = Api::start(backend);
    let ada = api.seller("Ada");
    for path in [
        "/",
        "/v1",
        "/v1/",
        "/v2/stores",
        "/v1/stores/",
        "//v1/stores",
        "/V1/stores",
        "/v1/unknown",
        "/admin",
        "/.env",
        "/v1/../admin/overview",
        "/v1/stores/not-an-id",
        "/v1/stores/%00",
        "/v1/stores/%FF%FE",
        "/v1/stores/%2e%2e",
        "/v1/stores/..%2f..%2fetc",
        "/v1/syncs/%zz",
        "/v1/pushes/%F0%9F%91%9F",
        "/v1/stores/0/listings",
        "/v1/stores/'%20OR%201=1--",
    ] {
        ada.get(path).is_problem(404);
    }
    for code in ["nowhere", "%00", "%FF", "a%2Fb", "%E0%A4%A", "%20", "%", "main%0d%0aset-cookie:x"] {
        ada.delete(&format!("/v1/warehouses/{code}")).is_problem(404);
        ada.patch(&format!("/v1/warehouses/{code}"), &json!({ "name": "x" })).is_problem(404);
    }
}

fn bad_query_parameters_are_named_and_never_guessed_at(backend: Backend) {
    let api = Api::start(backend);
    let ada = api.seller("Ada");
    for (query, pointer) in [
        ("limit=0", "/limit"),
        ("limit=1001", "/limit"),
        ("limit=-1", "/limit"),
        ("limit=ten", "/limit"),
        ("limit=", "/limit"),
        ("limit=1e2", "/limit"),
        ("limit=99999999999999999999", "/limit"),
        ("cursor=nonsense", "/cursor"),
        ("cursor=", "/cursor"),
        ("cursor=%00", "/cursor"),
        ("cursor=%FF", "/cursor"),
        ("limit=1&limit=2", "/limit"),
        ("colour=red", "/colour"),
        ("a%2Fb=1", "/a~1b"),
        // These may be secrets, so they are not repeated.
        ("%FF=1", ""),
        ("shpat_0f1e2d3c4b5a69788796=1", ""),
        ("stk_x=1&stk_x=1", ""),
    ] {
        for list in ["stores", "syncs", "pushes", "audit", "warehouses", "skus", "rules"] {
            ada.get(&format!("/v1/{list}?{query}")).names(422, pointer);
        }
        api.operator().get(&format!("/admin/sellers?{query}")).names(422, pointer);
        api.operator().get(&format!("/admin/sellers/{}/keys?{query}", ada.id)).names(422, pointer);
    }
    for (query, pointer) in
        [("state=lost", "/state"), ("store_id=1", "/store_id"), ("sku=", "/sku"), ("sku=%00", "/sku"), ("state=held&state=held", "/state")]
    {
        ada.get(&format!("/v1/pushes?{query}")).names(422, pointer);
    }
    ada.get("/v1/skus?unpaired=perhaps").names(422, "/unpaired");
    for query in ["", "?", "?sku", "?sku=", "?sku=%00", "?sku=A&sku=B"] {
        ada.get(&format!("/v1/stock{query}")).names(422, "/sku");
    }
    for sku in ["%FF%FE", "%zz", "%F0%9F%91%9F", "'--", "%25"] {
        ada.get(&format!("/v1/stock?sku={sku}")).is_problem(404);
    }
    let long = "x".repeat(20_000);
    ada.get(&format!("/v1/stock?sku={long}")).names(422, "/sku");
    ada.get(&format!("/v1/skus?cursor={}", hex::encode("'; DROP TABLE skus; --"))).is(200);
}

#[test]
fn every_answer_has_safe_browser_headers_and_is_never_cached() {
    let api = Api::start(Backend::Sqlite);
    let ada = api.seller("Ada");
    let data = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    let docs = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-hashes' \
                'sha256-RL3ie0nH+Lzz2YNqQN83mnU0J1ot4QL7b99vMdIX99w='; img-src 'self' data:; connect-src 'self'; \
                base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    for (answer, policy) in [
        (ada.get("/v1/stores"), data),
        (ada.get("/nowhere"), data),
        (ada.get("/v1/stores/not-an-id"), data),
        (api.call("GET", "/v1/stores", "", None), data),
        (api.call("GET", "/healthz", "", None), data),
        (api.call("GET", "/metrics", "", None), data),
        (api.call("GET", "/openapi.json", "", None), data),
        (ada.post("/v1/stores", &json!({})), data),
        (api.call("BREW", "/v1/stores", "", None), data),
        (api.call("GET", "/docs", "", None), data),
        (api.call("GET", "/docs/nothing", "", None), data),
        (api.call("GET", "/docs/", "", None), docs),
        (api.call("GET", "/docs/swagger-ui-bundle.js", "", None), docs),
    ] {
        assert_eq!(answer.header("content-security-policy"), Some(policy), "{answer:?}");
        assert_eq!(answer.header("cross-origin-resource-policy"), Some("same-origin"));
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("x-frame-options"), Some("DENY"));
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
        assert!(answer.header("cache-control").is_some());
        assert_eq!(answer.header("server"), None);
    }
    assert_eq!(ada.get("/v1/stores").header("cache-control"), Some("no-store"));
}

fn health_readiness_and_metrics_are_reported(backend: Backend) {
    let api = Api::start(backend);
    let ada = api.seller("Ada");
    ada.event("e1", "S", "purchase", 3);
    api.call("GET", "/healthz", "", None).is(200);
    let ready = api.call("GET", "/readyz", "", None).is(200);
    assert_eq!(ready["backend"], if backend == Backend::Sqlite { "sqlite" } else { "postgres" });
    let metrics = api.call("GET", "/metrics", "", None);
    assert_eq!(metrics.status, 200);
    assert!(metrics.header("content-type").unwrap().starts_with("text/plain; version=0.0.4"));
    let text = metrics.text();
    assert!(text.contains(r#"stocktide_stock_events_total{status="accepted"}"#), "{text}");
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').unwrap();
        assert!(value.parse::<f64>().is_ok() && name.starts_with(|c: char| c.is_ascii_alphabetic()), "{line}");
        assert!(!name.contains(&ada.id) && !name.contains("SKU"), "an unbounded label: {line}");
    }
}

#[test]
fn a_large_answer_is_compressed_on_request() {
    let api = Api::start(Backend::Sqlite);
    let bytes = request("GET", "/openapi.json", &[("accept-encoding", "gzip")], None);
    let answer = exchange(api.address, &bytes).unwrap();
    assert_eq!(answer.header("content-encoding"), Some("gzip"));
    assert!(answer.body.starts_with(&[0x1f, 0x8b]));
}

#[test]
fn an_oversized_body_is_refused_before_it_is_read() {
    let api = Api::start_with(Backend::Sqlite, &[("max_body_bytes", "2048")]);
    let ada = api.seller("Ada");
    let bearer = format!("Bearer {}", ada.key);
    let head = format!("POST /v1/stock-events HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: {bearer}\r\n");
    let announced = format!("{head}content-length: 5000000000\r\n\r\n[");
    let problem = exchange(api.address, announced.as_bytes()).unwrap().is_problem(413);
    assert!(problem["detail"].as_str().unwrap().contains("2048"), "{problem}");
    let chunk = format!("400\r\n{}\r\n", " ".repeat(1024));
    let unannounced = format!("{head}transfer-encoding: chunked\r\n\r\n{}0\r\n\r\n", chunk.repeat(3));
    exchange(api.address, unannounced.as_bytes()).unwrap().is_problem(413);
    let fits = format!("{head}transfer-encoding: chunked\r\n\r\n2\r\n[]\r\n0\r\n\r\n");
    assert_eq!(exchange(api.address, fits.as_bytes()).unwrap().is(200)["accepted"], 0);
}

#[test]
fn a_body_of_an_unsupported_media_type_is_refused() {
    let api = Api::start(Backend::Sqlite);
    let ada = api.seller("Ada");
    let event = br#"{"event_id":"e","sku":"S","kind":"purchase","quantity":1}"#;
    for media_type in ["text/plain", "application/xml", "multipart/form-data; boundary=x", "text/csv", "nonsense"] {
        ada.send_as("POST", "/v1/stock-events", media_type, event).is_problem(415);
        ada.send_as("POST", "/v1/warehouses", media_type, br#"{"code":"x"}"#).is_problem(415);
    }
    let bearer = format!("Bearer {}", ada.key);
    let zipped = request("POST", "/v1/stock-events", &[("authorization", &bearer), ("content-encoding", "gzip")], Some(event));
    exchange(api.address, &zipped).unwrap().is_problem(415);
    assert_eq!(ada.available("S"), 0);
    for media_type in ["", "application/json; charset=utf-8", "APPLICATION/JSON", "application/problem+json"] {
        ada.send_as("POST", "/v1/stock-events", media_type, event).is(200);
    }
}

#[test]
fn malformed_http_does_no_harm() {
    let api = Api::start(Backend::Sqlite);
    let ada = api.seller("Ada");
    for bytes in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /\0 HTTP/1.1\r\nhost: x\r\n\r\n",
        b"POST /v1/stock-events HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n",
        b"POST /v1/stock-events HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n[]",
        b"POST /v1/stock-events HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    ] {
        if let Ok(answer) = exchange(api.address, bytes) {
            assert!((400..500).contains(&answer.status), "{answer:?}");
        }
    }
    let many: String = (0..2000).map(|i| format!("x-{i}: {}\r\n", "y".repeat(100))).collect();
    if let Ok(answer) = exchange(api.address, format!("GET /healthz HTTP/1.1\r\n{many}\r\n").as_bytes()) {
        assert!((400..500).contains(&answer.status), "{answer:?}");
    }
    ada.get("/v1/stores").is(200);
}

on_both_backends![
    an_unknown_path_is_not_found_however_odd_it_looks,
    bad_query_parameters_are_named_and_never_guessed_at,
    health_readiness_and_metrics_are_reported,
];
