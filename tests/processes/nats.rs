//! The intake from NATS JetStream, against a real server: whatever is killed on the way, nothing is lost and nothing is
//! recorded twice.
use crate::database::{Backend, TestDatabase};
use crate::driver::{Driver, Verdict};
use crate::faults::limit_file_size;
use crate::nats_server::{NatsServer, Rejected, messages, metrics, way_in};
use crate::on_both_backends;
use crate::program::{OPERATOR_KEY, Program, call, pause};
use async_nats::jetstream::consumer::pull::Config;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::Instant;

/// How often each of the two is killed.
const KILLS: usize = 3;
const TOKEN: &str = "tok-a-token-of-nats";

pub struct Seller {
    pub id: String,
    key: String,
}

pub fn create_seller(service: &Program, name: &str) -> Seller {
    let created = service.call("POST", "/admin/sellers", OPERATOR_KEY, &json!({ "name": name, "timezone": "UTC" }));
    let text = |member: &str| created[member].as_str().unwrap().to_owned();
    Seller { id: text("id"), key: text("api_key") }
}

/// Lists the SKU `A` in a store that shows increases of it.
fn list_in_a_store(service: &Program, platform: &Program, seller: &Seller) {
    let store = json!({ "name": "corner", "platform": "simulated", "base_url": format!("http://{}", platform.address), "external_store": "corner" });
    let store = service.call("POST", "/v1/stores", &seller.key, &store)["id"].as_str().unwrap().to_owned();
    service.call("PUT", &format!("/v1/stores/{store}/listings"), &seller.key, &json!([{ "sku": "A", "external_id": "A" }]));
    service.call("PUT", "/v1/sync-settings", &seller.key, &json!({ "auto_sync": true, "initial_overwrite": false }));
}

pub fn purchase(id: &str, quantity: i64) -> Value {
    json!({ "event_id": id, "sku": "A", "kind": "purchase", "quantity": quantity })
}

pub fn available(service: &Program, seller: &Seller) -> i64 {
    let answer = call(service.address, "GET", "/v1/stock?sku=A", &seller.key, &Value::Null).unwrap();
    // Before the first event there is no such SKU.
    if answer.status == 404 { 0 } else { answer.json()["total_available"].as_i64().unwrap() }
}

pub fn wait_until_available(service: &Program, seller: &Seller, expected: i64) {
    (0..300).take_while(|_| available(service, seller) != expected).for_each(|_| pause(Duration::from_millis(100)));
    assert_eq!(available(service, seller), expected);
}

fn wait_until_shown(platform: &Program, expected: i64) {
    let shown = || platform.call("GET", "/control/stores/corner/items?external_id=A", "", &Value::Null)["items"][0]["quantity"].as_i64();
    (0..300).take_while(|_| shown() != Some(expected)).for_each(|_| pause(Duration::from_millis(100)));
    assert_eq!(shown(), Some(expected));
}

pub fn serve(database: &TestDatabase, nats: &NatsServer, settings: &[&str]) -> Program {
    let url = format!("nats_url={}", nats.url());
    let all: Vec<&str> = std::iter::once(url.as_str()).chain(settings.iter().copied()).collect();
    Program::serve(database, &all)
}

fn killing_nats_and_the_service_under_load_loses_and_duplicates_nothing(backend: Backend) {
    let Some(mut nats) = NatsServer::started() else { return };
    let (database, platform) = (TestDatabase::fresh(backend), Program::simulate_platform());
    platform.call("PUT", "/control/faults", "", &json!({ "lose_answer": 0.05, "cut": 0.02, "latency_ms": 5 }));
    // A message that was delivered to a process that is gone comes again after a second.
    let settings = ["node=the-only-one", "nats_ack_wait_s=1"];
    let mut service = serve(&database, &nats, &settings);
    let driver = Driver::start_sending(41, &service, platform.address, |_, seller| nats.sender(seller));
    for _ in 0..KILLS {
        pause(Duration::from_millis(900));
        nats.kill();
        pause(Duration::from_millis(300));
        nats.start();
        pause(Duration::from_millis(900));
        service.kill();
        service = serve(&database, &nats, &settings);
        driver.switch_to(&service);
    }
    pause(Duration::from_millis(900));
    let sent = driver.finish();
    nats.restart_until_none(|| sent.missing(&service));
    assert_eq!(sent.verdict(&service, &platform), Verdict::default());
    // NATS 2.9 may still count a message as unanswered that was answered and removed just before it was killed.
    assert_eq!(nats.client().unfinished().map(|unfinished| unfinished.not_delivered), Some(0));
    let counted = metrics(&service);
    assert_eq!(counted["stocktide_nats_connected"], 1);
    assert!(counted["stocktide_nats_messages_total{outcome=\"recorded\"}"] > 20, "{counted:?}");
    assert_eq!(messages(&service, "rejected") + messages(&service, "partly_rejected"), 0);
}

#[test]
fn a_message_that_is_delivered_again_while_it_is_recorded_counts_once() {
    let Some(nats) = NatsServer::started() else { return };
    let database = TestDatabase::fresh(Backend::Sqlite);
    // The process stands still for longer than NATS waits for an answer, while it holds messages.
    let service = serve(&database, &nats, &["nats_ack_wait_s=1", "nats_messages_at_once=2000"]);
    let (seller, client) = (create_seller(&service, "Ada"), nats.client());
    service.signal("STOP");
    for number in 0..300 {
        assert!(client.publish(&way_in(&seller.id), None, &purchase(&format!("e{number}"), 1).to_string()));
    }
    service.signal("CONT");
    pause(Duration::from_millis(50));
    for _ in 0..3 {
        // Delivered before the process stands still, and again after it.
        service.signal("STOP");
        pause(Duration::from_millis(1500));
        service.signal("CONT");
        pause(Duration::from_millis(60));
    }
    client.wait_until_finished();
    assert_eq!(available(&service, &seller), 300);
    let counted = metrics(&service);
    println!("{counted:?}");
    assert_eq!(counted["stocktide_stock_events_total{status=\"accepted\"}"], 300);
    assert!(counted["stocktide_stock_events_total{status=\"duplicate\"}"] > 0, "nothing was delivered twice: {counted:?}");
}

#[test]
fn messages_of_a_suspended_seller_wait_until_it_is_reinstated() {
    let Some(nats) = NatsServer::started() else { return };
    let database = TestDatabase::fresh(Backend::Sqlite);
    let service = serve(&database, &nats, &[]);
    let (seller, client) = (create_seller(&service, "Ada"), nats.client());
    let suspend = |suspended: bool| {
        service.call("PATCH", &format!("/admin/sellers/{}", seller.id), OPERATOR_KEY, &json!({ "suspended": suspended }));
    };
    suspend(true);
    for number in 0..5 {
        assert!(client.publish(&way_in(&seller.id), None, &purchase(&format!("e{number}"), 1).to_string()));
    }
    (0..100).take_while(|_| messages(&service, "put_off") < 5).for_each(|_| pause(Duration::from_millis(50)));
    assert_eq!(["put_off", "recorded", "rejected"].map(|outcome| messages(&service, outcome)), [5, 0, 0]);
    assert!(client.rejected().is_empty());
    suspend(false);
    // The longest pause is a minute.
    (0..80).take_while(|_| available(&service, &seller) != 5).for_each(|_| pause(Duration::from_secs(1)));
    wait_until_available(&service, &seller, 5);
    client.wait_until_finished();
}

fn what_never_can_be_recorded_is_terminated_and_its_reason_published(backend: Backend) {
    let Some(nats) = NatsServer::started() else { return };
    let (database, platform) = (TestDatabase::fresh(backend), Program::simulate_platform());
    let client = nats.client();
    let service = serve(&database, &nats, &["max_body_bytes=20000"]);
    let ada = create_seller(&service, "Ada");
    list_in_a_store(&service, &platform, &ada);
    let unknown = "019cae6b-6600-7172-aac1-fbe9bb5a9389";
    let publish = |seller: &str, id: &str, body: &str| assert!(client.publish(&way_in(seller), Some(id), body));
    publish(&ada.id, "no-json", "{");
    publish(&ada.id, "empty", "");
    publish(&ada.id, "bad-field", &json!({ "event_id": "e", "sku": "A", "kind": "gift", "quantity": 1 }).to_string());
    publish(&ada.id, "too-large", &" ".repeat(20_001));
    publish(unknown, "unknown", &purchase("e", 1).to_string());
    publish("nobody", "no-id", &purchase("e", 1).to_string());
    publish(&ada.id, "good", &purchase("e1", 3).to_string());
    publish(&ada.id, "conflict", &purchase("e1", 4).to_string());
    publish(&ada.id, "half", &json!([purchase("e2", 2), { "event_id": "e3", "sku": "A", "kind": "sale", "quantity": 0 }]).to_string());
    client.wait_until_finished();
    wait_until_available(&service, &ada, 5);
    wait_until_shown(&platform, 5);

    let rejected = client.rejected();
    let about = |id: &str| -> &Rejected {
        let found: Vec<&Rejected> = rejected.iter().filter(|rejected| rejected.about_id.as_deref() == Some(id)).collect();
        assert_eq!(found.len(), 1, "{id}: {rejected:?}");
        found[0]
    };
    for (id, status, seller) in [
        ("no-json", 400, ada.id.as_str()),
        ("empty", 400, &ada.id),
        ("bad-field", 422, &ada.id),
        ("too-large", 413, &ada.id),
        ("unknown", 404, unknown),
        ("no-id", 404, "nobody"),
        ("conflict", 409, &ada.id),
    ] {
        let rejected = about(id);
        assert_eq!(rejected.subject, format!("stocktide.{seller}.rejected"), "{id}");
        assert_eq!((&rejected.content["status"], rejected.content_type.as_str()), (&json!(status), "application/problem+json"), "{id}");
    }
    assert_eq!(about("bad-field").content["errors"][0]["pointer"], "/kind");
    assert_eq!(about("conflict").content["results"][0]["event_id"], "e1");
    let half = &about("half").content;
    assert_eq!((&half["accepted"], &half["rejected"], &half["results"][0]["event_id"]), (&json!(1), &json!(1), &json!("e3")));
    assert_eq!(half["results"][0]["errors"][0]["pointer"], "/1/quantity");
    assert_eq!(about("no-json").content["body"], "{");
    assert_eq!(about("too-large").content["body"].as_str().map(str::len), Some(20_001));
    assert_eq!(about("unknown").content["body"], purchase("e", 1).to_string());
    assert!(half["body"].as_str().unwrap().contains("\"e3\""));
    assert_eq!(rejected.len(), 8);
    assert_eq!(["recorded", "partly_rejected", "rejected", "put_off"].map(|outcome| messages(&service, outcome)), [1, 1, 7, 0]);
}

#[test]
fn a_consumer_that_somebody_else_has_made_is_put_right() {
    let Some(nats) = NatsServer::started() else { return };
    let (database, client) = (TestDatabase::fresh(Backend::Sqlite), nats.client());
    let config =
        Config { durable_name: Some("stocktide".to_owned()), max_deliver: 1, ack_wait: Duration::from_secs(600), ..Config::default() };
    client.create_consumer(Config { filter_subject: "stocktide.*.stock-events".to_owned(), ..config });
    let service = serve(&database, &nats, &["nats_ack_wait_s=2"]);
    let seller = create_seller(&service, "Ada");
    assert!(client.publish(&way_in(&seller.id), None, &purchase("e1", 3).to_string()));
    wait_until_available(&service, &seller, 3);
    let config = client.consumer_config();
    assert_eq!(
        (config.max_deliver, config.ack_wait, config.filter_subject.as_str()),
        (-1, Duration::from_secs(2), "stocktide.*.stock-events")
    );
}

#[test]
fn a_consumer_of_other_subjects_is_left_alone() {
    let Some(nats) = NatsServer::started() else { return };
    let (database, client) = (TestDatabase::fresh(Backend::Sqlite), nats.client());
    client.create_consumer(Config { durable_name: Some("stocktide".to_owned()), ..Config::default() });
    let service = serve(&database, &nats, &[]);
    pause(Duration::from_secs(2));
    service.signal("TERM");
    let (status, log) = service.wait_for_exit();
    assert!(status == Some(0) && log.contains("the consumer takes other subjects"), "{log}");
    assert_eq!(client.consumer_config().filter_subject, "");
}

#[test]
fn stopping_answers_what_was_taken_and_puts_back_the_rest() {
    let Some(nats) = NatsServer::started() else { return };
    let database = TestDatabase::fresh(Backend::Sqlite);
    // What was on its way to the process as that stopped comes again only after this.
    let settings = ["nats_ack_wait_s=15", "nats_messages_at_once=50"];
    let mut service = serve(&database, &nats, &settings);
    let (seller, client) = (create_seller(&service, "Ada"), nats.client());
    let mut published = 0;
    for _ in 0..3 {
        for _ in 0..150 {
            // By then the process listens to signals.
            if published % 150 == 50 {
                (0..200).take_while(|_| messages(&service, "recorded") == 0).for_each(|_| pause(Duration::from_millis(50)));
            }
            published += 1;
            assert!(client.publish(&way_in(&seller.id), None, &purchase(&format!("e{published}"), 1).to_string()));
            if published % 150 == 100 {
                service.signal("TERM");
            }
        }
        let (status, log) = service.wait_for_exit();
        assert!(status == Some(0) && !log.contains("panicked") && !log.contains("in time"), "{log}");
        service = serve(&database, &nats, &settings);
    }
    wait_until_available(&service, &seller, published);
    client.wait_until_finished();
}

#[test]
fn a_service_without_nats_is_ready_and_takes_messages_as_soon_as_there_is_one() {
    let Some(mut nats) = NatsServer::make(Some(TOKEN)) else { return };
    let database = TestDatabase::fresh(Backend::Sqlite);
    let service = serve(&database, &nats, &["log=trace", &format!("nats_token={TOKEN}")]);
    let seller = create_seller(&service, "Ada");
    assert_eq!(service.ask("GET", "/readyz").status, 200);
    assert_eq!(metrics(&service)["stocktide_nats_connected"], 0);
    pause(Duration::from_secs(2));
    nats.start();
    // Connected, but there is no stream yet.
    pause(Duration::from_secs(1));
    nats.create_streams();
    assert!(nats.client().publish(&way_in(&seller.id), None, &purchase("e1", 3).to_string()));
    wait_until_available(&service, &seller, 3);
    assert_eq!(metrics(&service)["stocktide_nats_connected"], 1);
    nats.kill();
    (0..100).take_while(|_| metrics(&service)["stocktide_nats_connected"] == 1).for_each(|_| pause(Duration::from_millis(50)));
    assert_eq!(metrics(&service)["stocktide_nats_connected"], 0);
    service.signal("TERM");
    let (status, log) = service.wait_for_exit();
    let said = |words: &str| log.lines().filter(|line| line.contains(words)).count();
    assert_eq!(status, Some(0), "{log}");
    assert_eq!([said("NATS cannot be reached"), said("connected to NATS"), said("connection to NATS was lost")], [1, 1, 1], "{log}");
    assert!(!log.contains(TOKEN), "the log shows the token");
}

#[test]
fn a_wrong_token_is_said_and_harms_nothing_else() {
    let Some(mut nats) = NatsServer::make(Some(TOKEN)) else { return };
    nats.start();
    let database = TestDatabase::fresh(Backend::Sqlite);
    let service = serve(&database, &nats, &["nats_token=tok-another-one"]);
    pause(Duration::from_secs(2));
    assert_eq!(service.ask("GET", "/readyz").status, 200);
    assert_eq!(metrics(&service)["stocktide_nats_connected"], 0);
    service.signal("TERM");
    let (status, log) = service.wait_for_exit();
    assert!(status == Some(0) && log.contains("NATS cannot be reached") && log.contains("authorization violation"), "{log}");
    assert!(!log.contains("tok-another-one"), "{log}");
}

#[test]
fn the_rights_in_the_documentation_are_enough_and_keep_sellers_apart() {
    let Some(mut nats) = NatsServer::started() else { return };
    nats.kill();
    let database = TestDatabase::fresh(Backend::Sqlite);
    let service = serve(&database, &nats, &["nats_user=stocktide", "nats_password=pass-of-the-service"]);
    let (ada, other) = (create_seller(&service, "Ada"), create_seller(&service, "Bea"));
    let page = include_str!("../../src/doc/nats.md");
    let documented = page.split("```text\n").nth(1).unwrap().split("```").next().unwrap();
    let documented = documented.replace("user: stocktide, password: …", "user: stocktide, password: pass-of-the-service");
    nats.authorization = Some(documented.replace('…', "pass-of-ada").replace("019cae6b-6600-7172-aac1-fbe9bb5a9389", &ada.id));
    nats.start();
    let client = nats.client_of("ada", "pass-of-ada", "_INBOX_ada");
    assert!(client.publish(&way_in(&ada.id), None, &purchase("e1", 3).to_string()));
    wait_until_available(&service, &ada, 3);
    let problem = client.publish_and_hear(&way_in(&ada.id), &purchase("e1", 4).to_string(), &format!("stocktide.{}.rejected", ada.id));
    assert_eq!(problem.unwrap()["status"], 409);
    assert!(!client.publish(&way_in(&other.id), None, &purchase("e1", 3).to_string()), "she may send for another seller");
    service.signal("TERM");
    let (status, log) = service.wait_for_exit();
    assert!(status == Some(0) && !log.contains("permissions"), "{log}");
}

#[test]
fn what_cannot_be_recorded_now_is_put_off_until_it_can() {
    let Some(nats) = NatsServer::started() else { return };
    let database = TestDatabase::fresh(Backend::Sqlite);
    let service = Program::serve_that_survives_file_limits(&database, &[&format!("nats_url={}", nats.url())]);
    let (seller, client) = (create_seller(&service, "Ada"), nats.client());
    limit_file_size(&service, "4096");
    for number in 0..20 {
        assert!(client.publish(&way_in(&seller.id), None, &purchase(&format!("e{number}"), 1).to_string()));
    }
    (0..300).take_while(|_| messages(&service, "put_off") < 20).for_each(|_| pause(Duration::from_millis(50)));
    assert_eq!((messages(&service, "recorded"), messages(&service, "rejected")), (0, 0));
    limit_file_size(&service, "unlimited");
    wait_until_available(&service, &seller, 20);
    client.wait_until_finished();
}

#[test]
fn a_seller_beyond_its_quota_waits_and_no_other_does() {
    let Some(nats) = NatsServer::started() else { return };
    let database = TestDatabase::fresh(Backend::Sqlite);
    let service = serve(&database, &nats, &[]);
    let (busy, other, client) = (create_seller(&service, "Ada"), create_seller(&service, "Bea"), nats.client());
    service.call("PATCH", &format!("/admin/sellers/{}/limits", busy.id), OPERATOR_KEY, &json!({ "events_per_second": 20 }));
    for number in 0..150 {
        assert!(client.publish(&way_in(&busy.id), None, &purchase(&format!("e{number}"), 1).to_string()));
    }
    let began = Instant::now();
    for number in 0..20 {
        assert!(client.publish(&way_in(&other.id), None, &purchase(&format!("e{number}"), 1).to_string()));
    }
    wait_until_available(&service, &other, 20);
    let waited = began.elapsed();
    assert!(available(&service, &busy) < 150, "the quota was not used up");
    assert!(waited < Duration::from_secs(3), "{waited:?}");
    wait_until_available(&service, &busy, 150);
    assert!(messages(&service, "put_off") > 0);
    client.wait_until_finished();
}

#[test]
fn a_sellers_messages_are_recorded_in_their_order() {
    let Some(nats) = NatsServer::started() else { return };
    let database = TestDatabase::fresh(Backend::Sqlite);
    let service = serve(&database, &nats, &[]);
    let (seller, client) = (create_seller(&service, "Ada"), nats.client());
    for number in 1..=200 {
        let count = json!({ "event_id": format!("c{number}"), "sku": "A", "kind": "count", "quantity": number });
        assert!(client.publish(&way_in(&seller.id), None, &count.to_string()));
    }
    client.wait_until_finished();
    let explained = service.call("GET", "/v1/stock?sku=A", &seller.key, &Value::Null);
    assert_eq!(explained["total_available"], 200, "{explained}");
}

#[test]
fn several_nodes_share_the_messages() {
    Backend::on_postgres(|backend| {
        let Some(nats) = NatsServer::started() else { return };
        let database = TestDatabase::fresh(backend);
        let nodes = ["node=first", "node=second"].map(|node| serve(&database, &nats, &[node, "nats_messages_at_once=5"]));
        let (seller, client) = (create_seller(&nodes[0], "Ada"), nats.client());
        for number in 0..300 {
            assert!(client.publish(&way_in(&seller.id), None, &purchase(&format!("e{number}"), 1).to_string()));
        }
        client.wait_until_finished();
        assert_eq!(available(&nodes[1], &seller), 300);
        let recorded: Vec<u64> = nodes.iter().map(|node| messages(node, "recorded")).collect();
        assert!(recorded.iter().all(|messages| *messages > 10), "{recorded:?}");
        assert_eq!(recorded.iter().sum::<u64>(), 300);
    });
}

on_both_backends![
    killing_nats_and_the_service_under_load_loses_and_duplicates_nothing,
    what_never_can_be_recorded_is_terminated_and_its_reason_published,
];
