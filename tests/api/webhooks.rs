//! Webhooks over HTTP: what they look like, what is refused, whose they are, and that a message arrives.
use crate::database::Backend;
use crate::on_both_backends;
use crate::shapes::{has, is_instant};
use crate::support::{Api, Expect, Platform, until};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};
use stocktide::platforms::sign::hmac_sha256;

const TOPICS: [&str; 5] = ["run.finished", "run.waiting_for_answer", "store.needs_reauthorization", "pushes.rejected", "drift.found"];

/// A receiver, which answers with 204: its address, and the headers and the body of each request.
fn receiver() -> (String, Receiver<(Vec<String>, String)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/stock?shop=1", listener.local_addr().unwrap());
    let (sender, heard) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let head: Vec<String> = (&mut reader).lines().map(Result::unwrap).take_while(|line| !line.is_empty()).collect();
            let length = head.iter().find_map(|line| line.to_lowercase().strip_prefix("content-length: ").map(str::to_owned)).unwrap();
            let mut body = vec![0; length.parse().unwrap()];
            reader.read_exact(&mut body).unwrap();
            stream.write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").unwrap();
            sender.send((head, String::from_utf8(body).unwrap())).ok();
        }
    });
    (address, heard)
}

fn a_message_arrives_signed_and_its_log_says_so(backend: Backend) {
    let (api, platform) = (Api::start(backend), Platform::start());
    let ada = api.seller("Ada");
    let (address, heard) = receiver();
    let added = ada.post("/v1/webhooks", &json!({ "url": address, "topics": ["run.finished"] })).is(201);
    let secret = added["secret"].as_str().unwrap().strip_prefix("whsec_").unwrap().to_owned();
    let one = format!("/v1/webhooks/{}", added["id"].as_str().unwrap());
    let test = ada.post(&format!("{one}/test"), &Value::Null).is(202)["message_id"].clone();
    let store = ada.store("corner", platform.address, json!({}));
    ada.pair(&store, &["A"]);
    let run = ada.post("/v1/syncs", &json!({})).is(202)["id"].clone();
    let wait = std::time::Duration::from_secs(60);
    let [first, second] = [heard.recv_timeout(wait).unwrap(), heard.recv_timeout(wait).unwrap()];
    for (head, body) in [&first, &second] {
        assert_eq!(head[0], "POST /stock?shop=1 HTTP/1.1");
        let header = |name: &str| {
            let found = head.iter().find_map(|line| line.split_once(": ").filter(|(key, _)| key.eq_ignore_ascii_case(name)));
            found.unwrap_or_else(|| panic!("no {name} in {head:?}")).1
        };
        let signed = format!("{}.{}.{body}", header("webhook-id"), header("webhook-timestamp"));
        let signature = STANDARD.encode(hmac_sha256(&STANDARD.decode(&secret).unwrap(), signed.as_bytes()));
        assert_eq!(header("webhook-signature"), format!("v1,{signature}"));
        assert_eq!(header("content-type"), "application/json");
    }
    let bodies = [first, second].map(|(_, body)| serde_json::from_str::<Value>(&body).unwrap());
    let of = |topic: &str| bodies.iter().find(|body| body["type"] == topic).unwrap_or_else(|| panic!("no {topic} in {bodies:?}"));
    assert!(is_instant(&of("webhook.test")["timestamp"]));
    has(&of("run.finished")["data"], json!({ "run_id": run, "kind": "manual", "state": "finished", "done": 1, "failed": 0 }));
    let log = until("both are delivered", || {
        let log = ada.get(&format!("{one}/messages")).is(200)["items"].as_array().unwrap().clone();
        (log.len() == 2 && log.iter().all(|message| message["state"] == "delivered")).then_some(log)
    });
    has(&log[1], json!({ "id": test, "topic": "webhook.test", "attempts": 1, "answer": "204", "due_at": null }));
    assert!(is_instant(&log[1]["created_at"]) && is_instant(&log[1]["ended_at"]));
    let page = ada.get(&format!("{one}/messages?limit=1")).is(200);
    let rest = ada.get(&format!("{one}/messages?limit=1&cursor={}", page["next_cursor"].as_str().unwrap())).is(200);
    assert_eq!((&page["items"][0]["id"], &rest["items"][0]["id"], &rest["next_cursor"]), (&log[0]["id"], &log[1]["id"], &Value::Null));
}

fn a_webhook_is_added_changed_and_deleted_and_its_secret_is_shown_once(backend: Backend) {
    let api = Api::start(backend);
    let (ada, ben) = (api.seller("Ada"), api.seller("Ben"));
    let added = ada.post("/v1/webhooks", &json!({ "url": "http://127.0.0.1:9/a" })).is(201);
    let shape = json!({ "url": "http://127.0.0.1:9/a", "topics": TOPICS, "enabled": true, "failing_since": null, "problem": null });
    has(&added, shape.clone());
    assert!(is_instant(&added["created_at"]) && added["secret"].as_str().unwrap().len() == 6 + 44);
    let (id, secret) = (added["id"].as_str().unwrap(), added["secret"].as_str().unwrap());
    let one = format!("/v1/webhooks/{id}");
    let listed = ada.get("/v1/webhooks").is(200);
    has(&listed["items"][0], shape.clone());
    has(&ada.get(&one).is(200), shape);
    has(&ada.patch(&one, &json!({ "enabled": false })).is(200), json!({ "enabled": false, "url": "http://127.0.0.1:9/a" }));
    ada.post(&format!("{one}/test"), &Value::Null).is_problem(409);
    has(&ada.patch(&one, &json!({ "topics": ["pushes.rejected", "pushes.rejected"] })).is(200), json!({ "topics": ["pushes.rejected"] }));
    let log = ada.get("/v1/audit").is(200);
    let actions: Vec<&str> = log["items"].as_array().unwrap().iter().map(|entry| entry["action"].as_str().unwrap()).collect();
    assert_eq!(actions[..3], ["webhook.changed", "webhook.changed", "webhook.added"]);
    for answer in [ada.get("/v1/webhooks"), ada.get(&one), ada.get("/v1/audit")] {
        assert!(!answer.text().contains(secret) && !answer.text().contains("secret"), "{}", answer.text());
    }
    for (method, path) in [("GET", one.clone()), ("PATCH", one.clone()), ("DELETE", one.clone()), ("POST", format!("{one}/test"))] {
        ben.send(method, &path, &json!({})).is_problem(404);
    }
    ben.get(&format!("{one}/messages")).is_problem(404);
    assert_eq!(ben.get("/v1/webhooks").is(200)["items"], json!([]));
    assert_eq!(ada.delete(&one).status, 204);
    ada.delete(&one).is_problem(404);
    for n in 0..10 {
        ada.post("/v1/webhooks", &json!({ "url": format!("http://127.0.0.1:9/{n}") })).is(201);
    }
    ada.post("/v1/webhooks", &json!({ "url": "http://127.0.0.1:9/11" })).is_problem(409);
    let page = ada.get("/v1/webhooks?limit=4").is(200);
    let rest = ada.get(&format!("/v1/webhooks?limit=10&cursor={}", page["next_cursor"].as_str().unwrap())).is(200);
    assert_eq!((page["items"].as_array().unwrap().len(), rest["items"].as_array().unwrap().len()), (4, 6));
}

fn what_cannot_be_a_webhook_is_refused_by_the_name_of_its_field(backend: Backend) {
    let api = Api::start_with(backend, &[("allow_private_targets", "false")]);
    let ada = api.seller("Ada");
    let url = "https://example.com/a";
    ada.changes_nothing(|| {
        for bad in [
            "",
            "example.com",
            "http://example.com",
            "https://127.0.0.1/",
            "https://[::1]/",
            "https://10.1.2.3/",
            "https://a:b@example.com",
        ] {
            ada.post("/v1/webhooks", &json!({ "url": bad })).names(422, "/url");
        }
        ada.post("/v1/webhooks", &json!({})).names(422, "/url");
        ada.post("/v1/webhooks", &json!({ "url": url, "topics": [] })).names(422, "/topics");
        ada.post("/v1/webhooks", &json!({ "url": url, "topics": ["run.finished", "webhook.test"] })).names(422, "/topics/1");
        ada.post("/v1/webhooks", &json!({ "url": url, "topics": "all" })).names(422, "/topics");
        ada.post("/v1/webhooks", &json!({ "url": url, "secret": "mine" })).names(422, "/secret");
        assert_eq!(ada.get("/v1/webhooks").is(200)["items"], json!([]));
    });
    let id = ada.post("/v1/webhooks", &json!({ "url": url })).is(201)["id"].as_str().unwrap().to_owned();
    ada.patch(&format!("/v1/webhooks/{id}"), &json!({ "url": "https://192.168.0.1/" })).names(422, "/url");
    ada.get("/v1/webhooks/7").is_problem(404);
}

on_both_backends![
    a_message_arrives_signed_and_its_log_says_so,
    a_webhook_is_added_changed_and_deleted_and_its_secret_is_shown_once,
    what_cannot_be_a_webhook_is_refused_by_the_name_of_its_field,
];
