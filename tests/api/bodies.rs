//! Bodies: not read for callers without a key, bounded together, and what an answer says about many errors.
use crate::client::{exchange, request};
use crate::database::Backend;
use crate::support::{Api, DOCUMENT, Expect, Platform, pause, until};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// A request whose headers are sent, but not its body.
fn begin(api: &Api, key: &str, method: &str, path: &str, length: &str) -> TcpStream {
    let mut stream = TcpStream::connect(api.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let head = format!("{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {key}\r\n{length}\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    stream
}

fn status_of(mut stream: TcpStream) -> u16 {
    // The service may wait for the rest of the request before it hangs up.
    let mut start = [0; 64];
    let read = stream.read(&mut start).unwrap();
    let text = String::from_utf8_lossy(&start[..read]).into_owned();
    text.split(' ').nth(1).unwrap_or_else(|| panic!("no answer: {text}")).parse().unwrap()
}

#[test]
fn no_body_is_awaited_from_a_caller_without_a_right_key() {
    let api = Api::start(Backend::Sqlite);
    let ada = api.seller("Ada");
    for (path, item) in DOCUMENT["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            if operation["requestBody"].is_null() {
                continue;
            }
            let path = path.replace("{code}", "main").replace("{id}", "0190a3b4-0000-7000-8000-000000000000");
            // The key of the other kind is wrong, too.
            for key in ["stk_wrong", if path.starts_with("/admin") { &ada.key } else { crate::support::OPERATOR_KEY }] {
                for length in ["content-length: 1000000", "transfer-encoding: chunked"] {
                    assert_eq!(status_of(begin(&api, key, &method.to_uppercase(), &path, length)), 401, "{method} {path}");
                }
            }
        }
    }
}

#[test]
fn bodies_under_way_are_bounded_together_and_nobody_takes_more_than_half() {
    // 3 MiB for large bodies, 1 MiB for small ones.
    let api = Api::start_with(Backend::Sqlite, &[("max_bodies_in_flight_bytes", "4194304")]);
    let (ada, bob, eve) = (api.seller("Ada"), api.seller("Bob"), api.seller("Eve"));
    let slow = |key: &str, length: usize| begin(&api, key, "POST", "/v1/stock-events", &format!("content-length: {length}"));
    let large = format!("[{}]", " ".repeat(600_000));
    let send = |key: &str| api.call("POST", "/v1/stock-events", key, Some(("application/json", large.as_bytes())));
    // Begun anew each time: a body that begins beside one that is being sent is itself refused.
    let is_under_way = |key: &str, sender: &str, refusal: u16| {
        let body = slow(key, 1_400_000);
        pause(Duration::from_millis(100));
        (send(sender).status == refusal).then_some(body)
    };
    let first = until("the first body is under way", || is_under_way(&ada.key, &ada.key, 429));
    send(&ada.key).is_problem(429);
    assert_eq!(send(&ada.key).header("retry-after"), Some("1"));
    assert_eq!(send(&bob.key).status, 200);
    let second = until("the budget is used up", || is_under_way(&bob.key, &eve.key, 503));
    send(&eve.key).is_problem(503);
    assert_eq!(send(&eve.key).header("retry-after"), Some("1"));
    for seller in [&ada, &bob, &eve] {
        seller.event("e", "S", "purchase", 1);
    }
    drop(first);
    until("the bytes of a request that is given up are free again", || (send(&eve.key).status == 200).then_some(()));
    drop(second);
}

#[test]
fn a_problem_names_a_hundred_fields_and_counts_the_rest() {
    let api = Api::start(Backend::Sqlite);
    let ada = api.seller("Ada");
    let skus = |count: usize| json!(vec![json!({}); count]);
    let few = ada.put("/v1/skus", &skus(100)).is_problem(422);
    assert_eq!((few["errors"].as_array().unwrap().len(), &few["errors_omitted"]), (100, &Value::Null));
    let many = ada.put("/v1/skus", &skus(250)).is_problem(422);
    assert_eq!((many["errors"].as_array().unwrap().len(), &many["errors_omitted"]), (100, &json!(150)));
    let events = ada.post("/v1/stock-events", &json!(vec![json!({}); 250])).is(200);
    assert_eq!(events["results"].as_array().unwrap().len(), 250, "each event still has its result");
}

#[test]
fn a_file_with_too_many_columns_is_refused_and_names_some_of_them() {
    let (api, platform) = (Api::start(Backend::Sqlite), Platform::start());
    let ada = api.seller("Ada");
    let path = format!("/v1/stores/{}/listings", ada.store("corner", platform.address, json!({})));
    let columns: Vec<String> = (0..1_000_000).map(|i| format!("c{i}")).collect();
    let answer = ada.send_as("PUT", &path, "text/csv", format!("sku,external_id,{}\nA,a\n", columns.join(",")).as_bytes());
    let detail = answer.names(422, "");
    assert!(detail.starts_with("has 1000002 columns; those after the first 256 are ignored, such as c254, c255"), "{detail}");
    assert!(answer.body.len() < 10_000);
}

#[test]
fn a_right_key_is_accepted_from_an_address_that_sends_wrong_ones() {
    let api = Api::start_with(Backend::Sqlite, &[("failed_keys_per_minute", "10")]);
    // The service has not seen this key before.
    let ada = api.seller("Ada");
    let wrong = || exchange(api.address, &request("GET", "/v1/stores", &[("authorization", "Bearer stk_wrong")], None)).unwrap().status;
    for _ in 0..10 {
        assert_eq!(wrong(), 401);
    }
    std::thread::scope(|scope| {
        let others: Vec<_> = (0..10).map(|_| scope.spawn(wrong)).collect();
        assert_eq!(ada.get("/v1/stores").status, 200);
        assert!(others.into_iter().all(|other| other.join().unwrap() == 429));
    });
}
