//! What the process occupies while hostile bodies of the largest size arrive, and whether a neighbour notices. `tests/hostile.py`
//! does the same for an hour.
use crate::client::{Answer, exchange, request};
use crate::database::{Backend, TestDatabase};
use crate::program::{OPERATOR_KEY, Program, call, pause};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The default of `max_body_bytes`, less what the ends of a body need.
const LARGEST: usize = 16 * 1024 * 1024 - 4096;
const MOST_RESIDENT_KB: u64 = 512 * 1024;
const CONNECTIONS: usize = 6;

fn filled(head: &str, repeated: &str, tail: &str) -> Vec<u8> {
    let mut text = head.to_owned();
    text.push_str(&repeated.repeat((LARGEST - head.len() - tail.len()) / repeated.len()));
    text.push_str(tail);
    text.into_bytes()
}

fn numbered(item: impl Fn(usize) -> String) -> String {
    let mut items = Vec::new();
    let mut length = 0;
    while length < LARGEST - 100 {
        let item = item(items.len());
        length += item.len() + 1;
        items.push(item);
    }
    items.join(",")
}

/// Method, path, media type and body; `$store` is an id.
fn bodies() -> Vec<(&'static str, &'static str, &'static str, Vec<u8>)> {
    let (json, csv, form) = ("application/json", "text/csv", "application/x-www-form-urlencoded");
    let multipart = "multipart/form-data; boundary=q";
    let part = "--q\r\ncontent-disposition: form-data; name=\"file\"\r\n\r\n";
    let listings = "/v1/stores/$store/listings";
    let note = "x".repeat(1000);
    let event = |i: usize| format!(r#"{{"event_id":"{i}","sku":"S","kind":"purchase","quantity":1,"note":"{note}"}}"#);
    let valid = format!("[{}]", (0..10_000).map(event).collect::<Vec<_>>().join(",")).into_bytes();
    vec![
        ("POST", "/console/sign-in", form, filled("", "a&", "")),
        ("PUT", listings, csv, numbered(|i| format!("c{i}")).into_bytes()),
        ("PUT", listings, csv, filled("sku,external_id\n", ",", "\n")),
        ("PUT", "/v1/sync-settings", json, format!("{{{}}}", numbered(|i| format!("\"m{i}\":1"))).into_bytes()),
        ("POST", "/v1/stores", json, filled(r#"{"name":"x","abilities":["#, "1,", "1]}")),
        ("PUT", "/v1/skus", json, filled("[", "{},", "{}]")),
        ("PUT", "/v1/skus", json, filled(r#"[{"sku":"A","components":["#, "1,", "1]}]")),
        ("PUT", "/v1/rules", json, filled("", "[", "")),
        ("POST", "/v1/stock-events", json, valid),
        ("POST", "/v1/stock-events", "application/x-ndjson", filled("", "1\n", "")),
        ("POST", "/console/stores/$store/import", form, filled("csrf=$csrf&", "a&", "")),
        ("POST", "/console/stores/$store/import", multipart, filled(part, "\r\n--", "\r\n--q--\r\n")),
    ]
}

struct Attacker {
    key: String,
    store: String,
    cookie: String,
}

impl Attacker {
    fn new(service: &Program, name: &str) -> Self {
        let seller = service.call("POST", "/admin/sellers", OPERATOR_KEY, &json!({ "name": name, "timezone": "UTC" }));
        let key = seller["api_key"].as_str().unwrap().to_owned();
        let store = json!({ "name": "x", "platform": "simulated", "base_url": "http://127.0.0.1:9" });
        let store = service.call("POST", "/v1/stores", &key, &store)["id"].as_str().unwrap().to_owned();
        let form = [("content-type", "application/x-www-form-urlencoded")];
        let signed_in = request("POST", "/console/sign-in", &form, Some(format!("key={key}").as_bytes()));
        let cookie = exchange(service.address, &signed_in).unwrap().header("set-cookie").unwrap().to_owned();
        Self { key, store, cookie: cookie.split(';').next().unwrap().to_owned() }
    }

    /// The service may hang up before it has read everything, so there may be no answer.
    fn send(&self, service: &Program, (method, path, media_type, body): &(&str, &str, &str, Vec<u8>)) -> Option<Answer> {
        let bearer = format!("Bearer {}", self.key);
        let headers = [("authorization", bearer.as_str()), ("cookie", &self.cookie), ("content-type", media_type)];
        exchange(service.address, &request(method, &path.replace("$store", &self.store), &headers, Some(body))).ok()
    }
}

#[test]
fn hostile_bodies_do_not_exhaust_the_memory_and_a_neighbour_is_served_meanwhile() {
    let database = TestDatabase::fresh(Backend::Sqlite);
    let service = Program::serve(&database, &["http_workers=2"]);
    let neighbour = Attacker::new(&service, "Neighbour");
    let attackers: Vec<Attacker> = (0..4).map(|i| Attacker::new(&service, &format!("Attacker {i}"))).collect();
    let (bodies, done) = (bodies(), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let attacks: Vec<_> = (0..CONNECTIONS)
            .map(|number| {
                let (service, attacker, bodies) = (&service, &attackers[number % attackers.len()], &bodies);
                scope.spawn(move || {
                    for i in 0..bodies.len() / 2 {
                        let body = &bodies[(i + number * 2) % bodies.len()];
                        if let Some(answer) = attacker.send(service, body) {
                            let (status, length) = (answer.status, answer.body.len());
                            assert!(status < 500 || status == 503, "{} {}: {status} {}", body.0, body.1, answer.text());
                            assert!(length < LARGEST / 4, "{} {} is answered with {length} bytes", body.0, body.1);
                        }
                    }
                })
            })
            .collect();
        let (service, done) = (&service, &done);
        let events = scope.spawn(move || {
            let mut sent = 0;
            while !done.load(Ordering::Relaxed) {
                sent += 1;
                let event = json!({ "event_id": format!("e{sent}"), "sku": "N", "kind": "purchase", "quantity": 1 });
                let answer = call(service.address, "POST", "/v1/stock-events", &neighbour.key, &event).unwrap();
                assert_eq!(answer.status, 200, "the neighbour's event {sent}: {}", answer.text());
                pause(Duration::from_millis(20));
            }
            (sent, service.call("GET", "/v1/stock?sku=N", &neighbour.key, &Value::Null)["total_available"].as_i64().unwrap())
        });
        let attacks: Vec<_> = attacks.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
        done.store(true, Ordering::Relaxed);
        let (sent, available) = events.join().unwrap();
        assert_eq!(available, sent);
        assert!(attacks.into_iter().all(|attack| attack.is_ok()));
    });
    let peak = service.resources().peak_resident_kb;
    println!("at most {peak} kB were resident");
    assert!(peak < MOST_RESIDENT_KB, "{peak} kB were resident");
}
