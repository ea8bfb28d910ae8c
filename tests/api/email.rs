//! Mails over HTTP and SMTP: addresses, what is refused, whose they are; and what a real mail server gets, with its links.
use crate::client::{Answer, exchange, request};
use crate::database::Backend;
use crate::on_both_backends;
use crate::shapes::{has, is_instant};
use crate::support::{Api, Caller, Expect, PUBLIC_URL, Platform, until};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

const TOPICS: [&str; 5] = ["run.finished", "run.waiting_for_answer", "store.needs_reauthorization", "pushes.rejected", "drift.found"];

/// What a mail server got: the commands before the mail, and the mail.
struct Got {
    commands: Vec<String>,
    mail: String,
}

impl Got {
    /// A header, unfolded.
    fn header(&self, name: &str) -> String {
        let head = self.mail.split("\r\n\r\n").next().unwrap().replace("\r\n ", " ");
        let found: Vec<&str> = head.lines().filter_map(|line| line.strip_prefix(&format!("{name}: "))).collect();
        assert_eq!(found.len(), 1, "{name} in {head}");
        found[0].to_owned()
    }

    /// The token of the first link to this page.
    fn token(&self, page: &str) -> String {
        let text = self.mail.replace("=\r\n", "");
        let (_, rest) = text.split_once(&format!("{PUBLIC_URL}/email/{page}/")).unwrap_or_else(|| panic!("no {page} in {text}"));
        rest.chars().take_while(|c| c.is_ascii_alphanumeric() || "-_".contains(*c)).collect()
    }
}

/// A mail server, which takes every mail but those to `nobody@…`.
fn mail_server() -> (String, Receiver<Got>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let (sender, got) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            converse(stream.unwrap(), &sender);
        }
    });
    (port, got)
}

fn converse(mut stream: TcpStream, sender: &Sender<Got>) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).split(b'\n');
    let mut commands = Vec::new();
    stream.write_all(b"220 here\r\n").unwrap();
    while let Some(Ok(line)) = lines.next() {
        let line = String::from_utf8(line).unwrap().trim_end().to_owned();
        let word = line.split([' ', ':']).next().unwrap().to_uppercase();
        let answer = match word.as_str() {
            "EHLO" => "250-here\r\n250 8BITMIME",
            "RCPT" if line.contains("nobody@") => "550 no such user",
            "MAIL" | "RCPT" => "250 ok",
            "DATA" => "354 go on",
            "QUIT" => "221 bye",
            _ => "502 what?",
        };
        commands.push(line);
        if stream.write_all(format!("{answer}\r\n").as_bytes()).is_err() {
            return;
        }
        if word == "DATA" {
            let mut mail = String::new();
            for line in lines.by_ref() {
                let line = String::from_utf8(line.unwrap()).unwrap();
                if line == ".\r" {
                    break;
                }
                mail.push_str(line.strip_prefix("..").unwrap_or(&line));
                mail.push('\n');
            }
            stream.write_all(b"250 taken\r\n").unwrap();
            sender.send(Got { commands: commands.clone(), mail }).ok();
        }
    }
}

fn open(api: &Api, method: &str, path: &str, body: Option<&[u8]>) -> Answer {
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    exchange(api.address, &request(method, path, &headers, body)).unwrap()
}

fn added(ada: &Caller<'_>, body: &Value) -> String {
    ada.post("/v1/email-addresses", body).is(201)["id"].as_str().unwrap().to_owned()
}

fn a_mail_arrives_with_its_headers_and_its_links_work_without_signing_in(backend: Backend) {
    let (port, got) = mail_server();
    let (api, platform) = (Api::start_with(backend, &[("smtp_port", &port), ("poll_every_s", "1")]), Platform::start());
    let ada = api.seller("Ada <b>&\u{e4}");
    let one = format!("/v1/email-addresses/{}", added(&ada, &json!({ "address": "ada@Example.com", "at_once": true })));
    let wait = Duration::from_secs(60);
    let asks = got.recv_timeout(wait).unwrap();
    assert_eq!(asks.commands[1..], ["MAIL FROM:<stock@example.com>", "RCPT TO:<ada@example.com>", "DATA"]);
    assert_eq!((asks.header("To").as_str(), asks.header("Subject").as_str()), ("ada@example.com", "Stocktide: confirm this address"));
    let token = asks.token("confirm");
    let page = open(&api, "GET", &format!("/email/confirm/{token}"), None);
    assert_eq!(page.status, 200);
    assert!(page.text().contains("Ada &#60;b&#62;") && page.text().contains("ada@example.com"), "{}", page.text());
    assert_eq!(ada.get(&one).is(200)["state"], "unconfirmed", "opening a link changes nothing");
    assert_eq!(open(&api, "POST", &format!("/email/confirm/{token}"), Some(b"")).status, 200);
    assert_eq!(open(&api, "POST", &format!("/email/confirm/{token}"), Some(b"")).status, 404, "once");
    has(&ada.get(&one).is(200), json!({ "state": "confirmed", "problem": null }));
    let store = ada.store("corner", platform.address, json!({}));
    ada.pair(&store, &["A"]);
    ada.post("/v1/syncs", &json!({})).is(202);
    let news = got.recv_timeout(wait).unwrap();
    let leave = news.token("unsubscribe");
    for (name, value) in [
        ("From", "Stocktide <stock@example.com>".to_owned()),
        ("To", "ada@example.com".to_owned()),
        ("Subject", "Stocktide: 1 message about your stores".to_owned()),
        ("Auto-Submitted", "auto-generated".to_owned()),
        ("List-Unsubscribe", format!("<{PUBLIC_URL}/email/unsubscribe/{leave}>")),
        ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click".to_owned()),
    ] {
        assert_eq!(news.header(name), value);
    }
    assert!(news.header("Message-ID").ends_with("@example.com>") && news.header("Content-Type").starts_with("multipart/alternative"));
    let body = news.mail.replace("=\r\n", "");
    for part in ["Content-Type: text/plain; charset=utf-8", "Content-Type: text/html; charset=utf-8", "A manual sync has finished."] {
        assert!(body.contains(part), "{part} in {body}");
    }
    assert!(body.contains("Ada &lt;b&gt;&amp;=C3=A4") && body.contains("Ada <b>&=C3=A4"), "{body}");
    let unsubscribe = format!("/email/unsubscribe/{leave}");
    assert!(open(&api, "GET", &unsubscribe, None).text().contains("Unsubscribe?"));
    assert_eq!(ada.get(&one).is(200)["state"], "confirmed");
    for _ in 0..2 {
        assert_eq!(open(&api, "POST", &unsubscribe, Some(b"List-Unsubscribe=One-Click")).status, 200, "as mail programs do it");
    }
    assert_eq!(ada.get(&one).is(200)["state"], "unsubscribed");
    let log = ada.get("/v1/audit").is(200);
    let actions: Vec<&str> = log["items"].as_array().unwrap().iter().map(|entry| entry["action"].as_str().unwrap()).collect();
    assert!(actions.contains(&"email.confirmed"), "{actions:?}");
    assert_eq!(actions.iter().filter(|action| **action == "email.unsubscribed").count(), 1, "{actions:?}");
    assert!(!log.to_string().contains(&token) && !log.to_string().contains(&leave));
}

fn an_address_that_the_mail_server_refuses_says_so(backend: Backend) {
    let (port, _got) = mail_server();
    let api = Api::start_with(backend, &[("smtp_port", &port), ("poll_every_s", "1")]);
    let ada = api.seller("Ada");
    let one = format!("/v1/email-addresses/{}", added(&ada, &json!({ "address": "nobody@example.com" })));
    let problem = until("it is refused", || ada.get(&one).is(200)["problem"].as_str().map(str::to_owned));
    assert!(problem.contains("refused the address") && problem.contains("550"), "{problem}");
}

fn an_address_is_added_changed_and_deleted(backend: Backend) {
    let api = Api::start(backend);
    let (ada, ben) = (api.seller("Ada"), api.seller("Ben"));
    let new = ada.post("/v1/email-addresses", &json!({ "address": "ada@example.com" })).is(201);
    has(&new, json!({ "address": "ada@example.com", "topics": TOPICS, "at_once": false, "digest_hour": 8, "state": "unconfirmed" }));
    has(&new, json!({ "confirmed_at": null, "problem": null }));
    assert!(is_instant(&new["created_at"]));
    let one = format!("/v1/email-addresses/{}", new["id"].as_str().unwrap());
    let change = json!({ "topics": ["pushes.rejected", "pushes.rejected"], "digest_hour": 0 });
    has(&ada.patch(&one, &change).is(200), json!({ "topics": ["pushes.rejected"], "digest_hour": 0, "at_once": false }));
    has(&ada.patch(&one, &json!({ "at_once": true })).is(200), json!({ "topics": ["pushes.rejected"], "digest_hour": 0, "at_once": true }));
    assert_eq!(ada.get("/v1/email-addresses").is(200)["items"], json!([ada.get(&one).is(200)]));
    ada.post("/v1/email-addresses", &json!({ "address": "ADA@example.com" })).is_problem(409);
    assert_eq!(ada.post(&format!("{one}/confirmation"), &Value::Null).status, 204);
    assert_eq!(ada.post(&format!("{one}/confirmation"), &Value::Null).status, 204);
    ada.post(&format!("{one}/confirmation"), &Value::Null).is_problem(409);
    for (method, path) in [("GET", one.clone()), ("PATCH", one.clone()), ("DELETE", one.clone()), ("POST", format!("{one}/confirmation"))] {
        ben.send(method, &path, &json!({})).is_problem(404);
    }
    assert_eq!(ben.get("/v1/email-addresses").is(200)["items"], json!([]));
    for n in 0..4 {
        added(&ada, &json!({ "address": format!("ada-{n}@example.com") }));
    }
    ada.post("/v1/email-addresses", &json!({ "address": "one-more@example.com" })).is_problem(409);
    let page = ada.get("/v1/email-addresses?limit=2").is(200);
    let rest = ada.get(&format!("/v1/email-addresses?limit=10&cursor={}", page["next_cursor"].as_str().unwrap())).is(200);
    assert_eq!((page["items"].as_array().unwrap().len(), rest["items"].as_array().unwrap().len()), (2, 3));
    assert_eq!(ada.delete(&one).status, 204);
    ada.delete(&one).is_problem(404);
}

fn what_cannot_be_an_address_is_refused_by_the_name_of_its_field(backend: Backend) {
    let api = Api::start(backend);
    let ada = api.seller("Ada");
    let good = "ada@example.com";
    ada.changes_nothing(|| {
        for bad in ["", "ada", "ada@localhost", "a@b@example.com", "ada@example.com\r\nBcc: eve@example.com", "Ada <ada@example.com>"] {
            ada.post("/v1/email-addresses", &json!({ "address": bad })).names(422, "/address");
        }
        ada.post("/v1/email-addresses", &json!({})).names(422, "/address");
        ada.post("/v1/email-addresses", &json!({ "address": 7 })).names(422, "/address");
        for hour in [json!(-1), json!(24), json!(7.5), json!("7")] {
            ada.post("/v1/email-addresses", &json!({ "address": good, "digest_hour": hour })).names(422, "/digest_hour");
        }
        ada.post("/v1/email-addresses", &json!({ "address": good, "topics": [] })).names(422, "/topics");
        ada.post("/v1/email-addresses", &json!({ "address": good, "topics": ["webhook.test"] })).names(422, "/topics/0");
        ada.post("/v1/email-addresses", &json!({ "address": good, "at_once": "yes" })).names(422, "/at_once");
        ada.post("/v1/email-addresses", &json!({ "address": good, "state": "confirmed" })).names(422, "/state");
        assert_eq!(ada.get("/v1/email-addresses").is(200)["items"], json!([]));
    });
    let one = format!("/v1/email-addresses/{}", added(&ada, &json!({ "address": good })));
    ada.patch(&one, &json!({ "digest_hour": 24 })).names(422, "/digest_hour");
    ada.patch(&one, &json!({ "topics": ["all"] })).names(422, "/topics/0");
    ada.patch(&one, &json!({ "address": "eve@example.com" })).names(422, "/address");
    ada.get("/v1/email-addresses/7").is_problem(404);
}

fn without_a_mail_server_no_address_can_be_added_and_links_that_are_none_lead_nowhere(backend: Backend) {
    let api = Api::start_with(backend, &[("smtp_host", ""), ("smtp_sender", "")]);
    let ada = api.seller("Ada");
    let refused = ada.post("/v1/email-addresses", &json!({ "address": "ada@example.com" })).is_problem(409);
    assert!(refused["detail"].as_str().unwrap().contains("smtp_host"), "{refused}");
    let long = "x".repeat(5000);
    for token in ["x", "%00", "%F0%9F", &long] {
        for page in ["confirm", "unsubscribe"] {
            for method in ["GET", "POST"] {
                let answer = open(&api, method, &format!("/email/{page}/{token}"), None);
                assert!([404, 400].contains(&answer.status), "{method} {page}: {}", answer.status);
            }
        }
    }
}

on_both_backends![
    a_mail_arrives_with_its_headers_and_its_links_work_without_signing_in,
    an_address_that_the_mail_server_refuses_says_so,
    an_address_is_added_changed_and_deleted,
    what_cannot_be_an_address_is_refused_by_the_name_of_its_field,
    without_a_mail_server_no_address_can_be_added_and_links_that_are_none_lead_nowhere,
];
