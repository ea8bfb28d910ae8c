//! What one seller may ask for at once: rows in a time, sessions, calls to platforms. Beyond that it gets a 429, and others
//! notice nothing.
use crate::client::{Answer, exchange, request};
use crate::database::Backend;
use crate::on_both_backends;
use crate::support::{Api, Expect, Platform, until};
use diesel::sql_types::BigInt;
use diesel::{Connection, QueryableByName, RunQueryDsl, SqliteConnection};
use serde_json::{Value, json};
use std::net::{Ipv4Addr, TcpListener};

const BULK: usize = 10_000;

#[test]
fn the_rows_of_every_bulk_request_count_against_a_quota() {
    let api = Api::start_with(Backend::Sqlite, &[("rows_per_second", "100")]);
    let rows = |row: fn(usize) -> Value| Value::Array((0..BULK).map(row).collect());
    let names = rows(|n| json!({ "sku": format!("S{n}") }));
    // Not valid, but they have to be read all the same.
    let empty = rows(|_| json!({}));
    for (method, path, body) in [
        ("POST", "/v1/stock-events", &empty),
        ("PUT", "/v1/stores/{id}/listings", &empty),
        ("PUT", "/v1/skus", &names),
        ("PUT", "/v1/rules", &names),
    ] {
        let ada = api.seller("Ada");
        let store = ada.store("shop", (Ipv4Addr::LOCALHOST, 9).into(), json!({}));
        let path = path.replace("{id}", &store);
        for _ in 0..2 {
            assert_ne!(ada.send(method, &path, body).status, 429, "{path}");
        }
        let refused = ada.send(method, &path, body);
        assert_eq!(refused.status, 429, "{path}");
        refused.is_problem(429);
        assert!((90..=100).contains(&refused.header("retry-after").unwrap().parse::<u64>().unwrap()), "{path}");
        assert_eq!(api.seller("Ben").send(method, &path, &json!([])).status / 100, if path.contains("stores") { 4 } else { 2 });
    }
}

fn sign_in(api: &Api, key: &str) -> Answer {
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    exchange(api.address, &request("POST", "/console/sign-in", &headers, Some(format!("key={key}").as_bytes()))).unwrap()
}

fn a_key_has_a_limited_number_of_sessions_of_which_the_oldest_ends(backend: Backend) {
    let api = Api::start(backend);
    let (ada, ben) = (api.seller("Ada"), api.seller("Ben"));
    let cookie = |answer: &Answer| answer.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    let is_signed_in =
        |cookie: &str| exchange(api.address, &request("GET", "/console/stock", &[("cookie", cookie)], None)).unwrap().status == 200;
    let bens = cookie(&sign_in(&api, &ben.key));
    for key in [&ada.key, &api.operator().key] {
        let sessions: Vec<String> = (0..25).map(|_| cookie(&sign_in(&api, key))).collect();
        if *key == ada.key {
            let valid: Vec<bool> = sessions.iter().map(|cookie| is_signed_in(cookie)).collect();
            assert_eq!(valid.iter().filter(|valid| **valid).count(), 20);
            assert!(valid[24], "the newest session is kept");
            assert!(!valid[0], "the oldest session has ended");
        }
    }
    assert!(is_signed_in(&bens), "another seller's session is kept");
}

#[test]
fn signing_in_counts_against_the_quota_of_requests() {
    let api = Api::start_with(Backend::Sqlite, &[("requests_per_second", "1")]);
    let ada = api.seller("Ada");
    let refused = until("the quota is exhausted", || Some(sign_in(&api, &ada.key)).filter(|answer| answer.status != 303));
    assert_eq!(refused.status, 429);
    assert!(refused.header("retry-after").is_some());
}

#[test]
fn a_seller_makes_a_limited_number_of_calls_to_platforms_at_once() {
    let api = Api::start(Backend::Sqlite);
    // Accepts connections and never answers.
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let (ada, ben) = (api.seller("Ada"), api.seller("Ben"));
    let store = ada.store("slow", silent.local_addr().unwrap(), json!({}));
    ada.pair(&store, &["A"]);
    let platform = Platform::start();
    let bens = ben.store("fast", platform.address, json!({}));
    let bodies = [("check", json!({})), ("discover", json!({})), ("syncs", json!({ "dry_run": true }))];
    let answers: Vec<u16> = std::thread::scope(|scope| {
        let ask = |number: usize| {
            let (what, body) = bodies[number % bodies.len()].clone();
            let path = if what == "syncs" { "/v1/syncs".to_owned() } else { format!("/v1/stores/{store}/{what}") };
            let ada = &ada;
            scope.spawn(move || ada.post(&path, &body).status)
        };
        let asked: Vec<_> = (0..12).map(ask).collect();
        assert_eq!(ben.post(&format!("/v1/stores/{bens}/check"), &Value::Null).is(200)["ok"], true);
        asked.into_iter().map(|answer| answer.join().unwrap()).collect()
    });
    assert_eq!(answers.iter().filter(|status| **status == 429).count(), 8, "{answers:?}");
    let again = ada.post(&format!("/v1/stores/{store}/check"), &Value::Null);
    assert_eq!(again.is(200)["ok"], false, "the places are free again");
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    rows: i64,
}

fn count(api: &Api, table: &str) -> i64 {
    let mut conn = SqliteConnection::establish(api.database_file().to_str().unwrap()).unwrap();
    let found: Count = diesel::sql_query(format!("SELECT COUNT(*) AS rows FROM {table}")).get_result(&mut conn).unwrap();
    found.rows
}

#[test]
fn a_large_store_and_a_large_seller_are_gone_at_once_and_their_rows_soon_after() {
    let api = Api::start_with(Backend::Sqlite, &[("prune_every_s", "3")]);
    let ada = api.seller("Ada");
    let [store, other] = ["large", "other"].map(|name| ada.store(name, (Ipv4Addr::LOCALHOST, 9).into(), json!({ "paused": true })));
    let rows: Vec<Value> = (0..6_000).map(|n| json!({ "sku": format!("S{n}"), "external_id": format!("S{n}") })).collect();
    ada.put(&format!("/v1/stores/{store}/listings"), &json!(rows)).is(200);
    ada.pair(&other, &["S1", "S2"]);
    let rules: Vec<Value> = (0..200).map(|n| json!({ "sku": format!("S{n}"), "store_id": store, "buffer": 1 })).collect();
    ada.put("/v1/rules", &json!(rules)).is(200);

    assert_eq!(ada.delete(&format!("/v1/stores/{store}")).status, 204);
    assert_eq!(ada.get(&format!("/v1/stores/{store}")).status, 404);
    assert_eq!(ada.get(&format!("/v1/stores/{store}/listings")).status, 404);
    assert_eq!(ada.delete(&format!("/v1/stores/{store}")).status, 404);
    let stock = ada.get("/v1/stock?sku=S1").is(200);
    assert_eq!(stock["listings"].as_array().unwrap().len(), 1, "{stock}");
    until("the store's rows are deleted", || (count(&api, "listings") == 2 && count(&api, "removed_stores") == 0).then_some(()));
    assert_eq!(ada.get("/v1/rules").is(200)["items"], json!([]));

    let path = format!("/admin/sellers/{}", ada.id);
    let operator = api.operator();
    assert_eq!(operator.delete(&path).status, 204);
    assert_eq!([operator.get(&path).status, operator.delete(&path).status, ada.get("/v1/stores").status], [404, 404, 401]);
    assert_eq!(operator.get("/admin/sellers").is(200)["items"], json!([]));
    until("the seller's rows are deleted", || (count(&api, "skus") == 0 && count(&api, "sellers") == 0).then_some(()));
}

on_both_backends![a_key_has_a_limited_number_of_sessions_of_which_the_oldest_ends];
