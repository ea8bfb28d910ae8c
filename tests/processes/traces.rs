//! Traces, as a strict receiver gets them: one tree from a request to the platform's answer, without secrets; and a receiver that is
//! gone or silent costs nothing.
use crate::client::{Answer, exchange, request};
use crate::database::{Backend, TestDatabase};
use crate::otlp::{Receiver, Span};
use crate::program::{CREDENTIAL_KEY, OPERATOR_KEY, Program, pause};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;
use tokio::time::Instant;

const TOKEN: &str = "tok-c0ffee-planted-secret";
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "b7ad6b7169203331";

/// The spans under this one, one a line.
fn tree(spans: &[Span], parent: &str, depth: usize) -> String {
    let mut children: Vec<&Span> = spans.iter().filter(|span| span.parent_span_id.as_deref() == Some(parent)).collect();
    children.sort_by_key(|span| (span.start_time_unix_nano.clone(), span.end_time_unix_nano.clone()));
    let mut text = String::new();
    for span in children {
        writeln!(text, "{:1$}{2}", "", 2 * depth, span.line()).unwrap();
        text += &tree(spans, &span.span_id, depth + 1);
    }
    text
}

struct Shop {
    service: Program,
    platform: Program,
    key: String,
    store: String,
}

impl Shop {
    /// A seller whose store sells A.
    fn open(database: &TestDatabase, settings: &[&str]) -> Self {
        let (platform, service) = (Program::simulate_platform(), Program::serve(database, settings));
        let created = service.call("POST", "/admin/sellers", OPERATOR_KEY, &json!({ "name": "Ada", "timezone": "UTC" }));
        let key = created["api_key"].as_str().unwrap().to_owned();
        let store = json!({ "name": "corner", "platform": "simulated", "base_url": format!("http://{}", platform.address), "external_store": "corner",
            "credentials": { "token": TOKEN } });
        let store = service.call("POST", "/v1/stores", &key, &store)["id"].as_str().unwrap().to_owned();
        service.call("PUT", &format!("/v1/stores/{store}/listings"), &key, &json!([{ "sku": "A", "external_id": "a" }]));
        service.call("PUT", "/v1/sync-settings", &key, &json!({ "auto_sync": true, "initial_overwrite": false }));
        Self { service, platform, key, store }
    }

    fn purchase(&self, id: &str, traceparent: Option<&str>) -> Answer {
        let (bearer, body) = (format!("Bearer {}", self.key), json!({ "event_id": id, "sku": "A", "kind": "purchase", "quantity": 1 }));
        let mut headers = vec![("authorization", bearer.as_str()), ("content-type", "application/json")];
        headers.extend(traceparent.map(|value| ("traceparent", value)));
        exchange(self.service.address, &request("POST", "/v1/stock-events", &headers, Some(body.to_string().as_bytes()))).unwrap()
    }

    fn pauses(&self, paused: bool) {
        self.service.call("PATCH", &format!("/v1/stores/{}", self.store), &self.key, &json!({ "paused": paused }));
    }

    /// Waits until the store shows so many.
    fn shows(&self, quantity: i64) {
        for _ in 0..200 {
            let shown = self.platform.call("GET", "/stores/corner/items?external_id=a", TOKEN, &Value::Null);
            if shown["items"][0]["quantity"] == quantity {
                return;
            }
            pause(Duration::from_millis(50));
        }
        panic!("the store does not show {quantity}");
    }

    /// Stops the service; returns its log.
    fn stops(self) -> String {
        self.service.signal("TERM");
        let (status, log) = self.service.wait_for_exit();
        assert_eq!(status, Some(0), "{log}");
        log
    }
}

fn traceparent(trace: &str) -> String {
    format!("00-{trace}-{CALLER}-01")
}

fn an_increase_is_one_tree_from_its_request_to_the_platforms_answer(backend: Backend) {
    let (receiver, database) = (Receiver::start(), TestDatabase::fresh(backend));
    let shop = Shop::open(&database, &["log=debug", "traces_one_in=1000000", &receiver.url()]);
    shop.purchase("untraced", None);
    shop.purchase("unsampled", Some(&format!("00-{}-{CALLER}-00", "1".repeat(32))));
    shop.shows(2);
    assert_eq!(shop.purchase("traced", Some(&traceparent(TRACE))).status, 200);
    shop.shows(3);
    let key = shop.key.clone();
    let log = shop.stops();

    let spans = receiver.spans();
    assert!(spans.iter().all(|span| span.trace_id == TRACE), "what is not sampled is not exported");
    let tree = tree(&spans, CALLER, 0);
    println!("{tree}");
    assert_eq!(tree.lines().count(), spans.len(), "every span has its place in the tree");
    let page = include_str!("../../src/doc/traces.md");
    assert!(page.contains(&format!("```text\n{tree}```")), "src/doc/traces.md has another tree than\n{tree}");
    let named = |name: &str| spans.iter().find(|span| span.name == name).unwrap();
    let (request, commit, deliver) = (named("POST /v1/stock-events"), named("commit"), named("deliver"));
    assert_eq!((request.get("http.response.status_code"), commit.get("event.ids")), (vec!["200".to_owned()], vec!["traced".to_owned()]));
    assert_eq!((commit.get("push.ids").len(), commit.get("push.ids")), (1, deliver.get("push.ids")));
    assert_eq!((deliver.get("push.confirmed"), named("call").get("outcome")), (vec!["1".to_owned()], vec!["answered".to_owned()]));
    assert!(spans.iter().all(|span| span.status.code == 0 && span.links.is_empty()));
    let in_order = ["wait for the ledger", "commit", "wait in queue", "wait for the limiter", "call", "save the outcome"].map(named);
    for pair in in_order.windows(2) {
        assert!(pair[0].end() <= pair[1].start() + 1, "{} before {}", pair[0].name, pair[1].name);
    }
    assert!(commit.end() <= request.end() + 1 && deliver.end() + 1 >= in_order[5].end());

    let sent = receiver.bodies().concat();
    for secret in [TOKEN, OPERATOR_KEY, CREDENTIAL_KEY, &key, "Bearer", "http:", "127.0.0.1"] {
        assert!(!sent.contains(secret), "{secret} is in the export");
    }
    let called: Vec<&str> = log.lines().filter(|line| line.contains("called a platform") && line.contains("items=1")).collect();
    let traced = called.iter().filter(|line| line.contains(&format!("trace_id={TRACE}"))).count();
    assert!(called.len() >= 2 && traced == 1, "{called:#?}");
}

fn a_push_that_several_requests_have_raised_is_linked_to_all_of_them(backend: Backend) {
    let (receiver, database) = (Receiver::start(), TestDatabase::fresh(backend));
    let shop = Shop::open(&database, &["traces_one_in=1000000", &receiver.url()]);
    shop.pauses(true);
    let traces = ["1", "2", "3"].map(|digit| digit.repeat(32));
    for trace in &traces {
        assert_eq!(shop.purchase(trace, Some(&traceparent(trace))).status, 200);
    }
    shop.pauses(false);
    shop.shows(3);
    shop.stops();
    let spans = receiver.spans();
    let commits: Vec<&Span> =
        traces.iter().map(|trace| spans.iter().find(|span| span.name == "commit" && span.trace_id == *trace).unwrap()).collect();
    let delivered: Vec<&Span> = spans.iter().filter(|span| span.name == "deliver").collect();
    let [deliver] = delivered[..] else { panic!("{} calls", delivered.len()) };
    assert_eq!((&deliver.trace_id, deliver.parent_span_id.as_ref()), (&traces[0], Some(&commits[0].span_id)));
    let links: Vec<(&str, &str)> = deliver.links.iter().map(|link| (link.trace_id.as_str(), link.span_id.as_str())).collect();
    assert_eq!(links, [commits[1], commits[2]].map(|commit| (commit.trace_id.as_str(), commit.span_id.as_str())));
    assert_eq!(commits.iter().map(|commit| commit.get("push.ids")).collect::<BTreeSet<_>>().len(), 1);
}

fn every_request_is_traced_if_one_in_one_is(backend: Backend) {
    let (receiver, database) = (Receiver::start(), TestDatabase::fresh(backend));
    let shop = Shop::open(&database, &["traces_one_in=1", &receiver.url()]);
    for id in ["a", "b", "c"] {
        shop.purchase(id, None);
    }
    assert_eq!(shop.purchase("c-again", Some("nonsense")).status, 200, "a header that cannot be read is ignored");
    shop.shows(4);
    shop.stops();
    let spans = receiver.spans();
    let requests: Vec<&Span> = spans.iter().filter(|span| span.kind == 2).collect();
    assert_eq!(requests.iter().map(|span| &span.trace_id).collect::<BTreeSet<_>>().len(), 4);
    assert!(requests.iter().all(|span| span.parent_span_id.is_none()));
}

/// So many events are taken in and delivered while the receiver takes nothing, and the service stops in time.
fn costs_nothing(backend: Backend, receiver: SocketAddr) {
    const EVENTS: i64 = 700;
    let database = TestDatabase::fresh(backend);
    let shop = Shop::open(&database, &["traces_one_in=1", &format!("traces_url=http://{receiver}/v1/traces")]);
    for n in 0..EVENTS {
        let began = Instant::now();
        assert_eq!(shop.purchase(&n.to_string(), None).status, 200);
        assert!(began.elapsed() < Duration::from_secs(3), "event {n} took {:?}", began.elapsed());
    }
    shop.shows(EVENTS);
    let dropped = || {
        let metrics = shop.service.ask("GET", "/metrics").text();
        let line = metrics.lines().find_map(|line| line.strip_prefix("stocktide_spans_total{outcome=\"dropped\"} "));
        line.map_or(0, |count| count.parse::<u64>().unwrap())
    };
    for _ in 0..200 {
        if dropped() > 0 {
            break;
        }
        pause(Duration::from_millis(50));
    }
    assert!(dropped() > 0, "what was dropped is counted");
    let began = Instant::now();
    let log = shop.stops();
    assert!(began.elapsed() < Duration::from_secs(15), "it took {:?} to stop", began.elapsed());
    assert_eq!(log.matches("the receiver of traces takes no spans").count(), 1, "it is said once: {log}");
}

#[test]
fn a_receiver_that_is_gone_costs_nothing() {
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    costs_nothing(Backend::Sqlite, gone);
}

#[test]
fn a_receiver_that_never_answers_costs_nothing() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    costs_nothing(Backend::Sqlite, silent.local_addr().unwrap());
}

crate::on_both_backends![
    an_increase_is_one_tree_from_its_request_to_the_platforms_answer,
    a_push_that_several_requests_have_raised_is_linked_to_all_of_them,
    every_request_is_traced_if_one_in_one_is,
];
