//! Too many requests from one seller, and a database that is busy or unreachable: answered with `Retry-After`, nothing
//! left half done, and back to normal as soon as the cause is gone.
use crate::client::{Answer, exchange, request};
use crate::database::Backend;
use crate::on_both_backends;
use crate::support::{Api, Expect, until};
use diesel::Connection;
use diesel::connection::SimpleConnection;
use serde_json::json;

#[track_caller]
fn assert_retry_later(answer: &Answer, status: u16) {
    answer.is_problem(status);
    let after: u32 = answer.header("retry-after").expect("says when to retry").parse().expect("in whole seconds");
    assert!((1..=60).contains(&after));
}

#[test]
fn a_seller_over_its_quota_is_asked_to_retry_later_and_others_are_unaffected() {
    let api = Api::start_with(Backend::Sqlite, &[("requests_per_second", "1")]);
    let (ada, bob) = (api.seller("Ada"), api.seller("Bob"));
    let mut accepted = 0;
    let refused = until("the quota is exhausted", || {
        let event = json!({ "event_id": format!("e{accepted}"), "sku": "S", "kind": "purchase", "quantity": 1 });
        let answer = ada.post("/v1/stock-events", &event);
        if answer.status == 200 {
            accepted += 1;
        }
        (answer.status != 200).then_some(answer)
    });
    assert_retry_later(&refused, 429);
    assert!(accepted >= 2, "a burst of twice the rate is accepted");
    assert_eq!(bob.get("/v1/stores").status, 200);
    assert_eq!(api.operator().get("/admin/sellers").status, 200);
    // The bucket refills after a while; the refused request has changed nothing.
    let available = until("the seller is served again", || Some(ada.get("/v1/stock?sku=S")).filter(|answer| answer.status == 200)).is(200);
    assert_eq!(available["total_available"], accepted);
}

#[test]
fn an_address_that_keeps_sending_wrong_keys_is_throttled_while_valid_keys_from_it_still_work() {
    let api = Api::start_with(Backend::Sqlite, &[("failed_keys_per_minute", "10")]);
    let ada = api.seller("Ada");
    assert_eq!(ada.get("/v1/stores").status, 200);
    for _ in 0..10 {
        assert_eq!(api.caller("stk_wrong").get("/v1/stores").status, 401);
    }
    assert_retry_later(&api.caller("stk_wrong").get("/v1/stores"), 429);
    assert_retry_later(&api.caller("stk_wrong").get("/admin/sellers"), 429);
    assert_eq!(ada.get("/v1/stores").status, 200);
    assert_eq!(api.operator().get("/admin/sellers").status, 200);
}

#[test]
fn wrong_keys_of_one_client_behind_the_proxy_do_not_throttle_another_and_only_the_proxy_is_believed() {
    let failing = |settings: &[(&str, &str)], first: &str, second: &str| {
        let api = Api::start_with(Backend::Sqlite, &[&[("failed_keys_per_minute", "10")], settings].concat());
        let header = if settings.iter().any(|(_, value)| *value == "forwarded") { "forwarded" } else { "x-forwarded-for" };
        let status = |from: &str| {
            let headers = [("authorization", "Bearer stk_wrong"), (header, from)];
            exchange(api.address, &request("GET", "/v1/stores", &headers, None)).unwrap().status
        };
        (0..10).for_each(|_| assert_eq!(status(first), 401));
        (status(first), status(second))
    };
    let apart = (429, 401);
    assert_eq!(failing(&[], "203.0.113.7:41234", "203.0.113.8:41234"), apart);
    assert_eq!(failing(&[], "198.51.100.1, 203.0.113.7", "198.51.100.1, 203.0.113.8"), apart);
    assert_eq!(failing(&[("forwarded_header", "forwarded")], "for=\"203.0.113.7:1\";proto=https", "for=203.0.113.8"), apart);
    // A client that makes up addresses gains nothing.
    assert_eq!(failing(&[], "198.51.100.1, 203.0.113.7", "198.51.100.2, 203.0.113.7"), (429, 429));
    assert_eq!(failing(&[("trusted_proxies", "")], "203.0.113.7", "203.0.113.8"), (429, 429));
    assert_eq!(failing(&[("trusted_proxies", "10.0.0.0/8")], "203.0.113.7", "203.0.113.8"), (429, 429));
}

fn a_busy_database_is_reported_and_recovers_without_a_trace(backend: Backend) {
    let api = Api::start(backend);
    let ada = api.seller("Ada");
    ada.event("before", "S", "purchase", 1);
    let mut holder = Holder::of(&api, backend);
    holder.execute(if backend == Backend::Sqlite {
        "BEGIN IMMEDIATE"
    } else {
        "BEGIN; LOCK TABLE sellers, stock_levels IN ACCESS EXCLUSIVE MODE"
    });
    let event = json!({ "event_id": "during", "sku": "S", "kind": "purchase", "quantity": 10 });
    if backend == Backend::Sqlite {
        assert_eq!(ada.get("/v1/stores").status, 200, "reads still work");
        assert_retry_later(&ada.put("/v1/sync-settings", &json!({ "buffer": 9 })), 503);
    }
    assert_retry_later(&ada.post("/v1/stock-events", &event), 503);
    holder.execute("ROLLBACK");
    assert_eq!(ada.get("/v1/sync-settings").is(200)["buffer"], 0, "a refused change was not applied");
    assert_eq!(ada.available("S"), 1);
    assert_eq!(ada.post("/v1/stock-events", &event).is(200)["accepted"], 1);
    assert_eq!(ada.available("S"), 11);
}

/// Another program connected to the same database, holding a lock.
enum Holder {
    Sqlite(diesel::SqliteConnection),
    Postgres(diesel::PgConnection),
}

impl Holder {
    fn of(api: &Api, backend: Backend) -> Self {
        match backend {
            Backend::Sqlite => Self::Sqlite(diesel::SqliteConnection::establish(&api.database_file().display().to_string()).unwrap()),
            Backend::Postgres => Self::Postgres(diesel::PgConnection::establish(&api.database.url).unwrap()),
        }
    }

    fn execute(&mut self, sql: &str) {
        match self {
            Self::Sqlite(conn) => conn.batch_execute(sql).unwrap(),
            Self::Postgres(conn) => conn.batch_execute(sql).unwrap(),
        }
    }
}

#[test]
fn an_unreachable_database_server_is_reported_and_the_service_recovers() {
    Backend::on_postgres(|backend| {
        let api = Api::start(backend);
        let ada = api.seller("Ada");
        ada.event("before", "S", "purchase", 1);
        api.database.run_on_server("ALTER DATABASE {name} WITH ALLOW_CONNECTIONS false");
        api.database.run_on_server("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'");
        assert_retry_later(&ada.get("/v1/stores"), 503);
        assert_retry_later(&api.call("GET", "/readyz", "", None), 503);
        api.call("GET", "/healthz", "", None).is(200);
        api.database.run_on_server("ALTER DATABASE {name} WITH ALLOW_CONNECTIONS true");
        until("the service reconnects to its database", || (api.call("GET", "/readyz", "", None).status == 200).then_some(()));
        ada.event("after", "S", "purchase", 2);
        assert_eq!(ada.available("S"), 3);
    });
}

#[test]
fn a_stopped_service_releases_its_database() {
    Backend::on_postgres(|backend| {
        let mut api = Api::start(backend);
        api.seller("Ada").event("e1", "S", "purchase", 1);
        api.stop();
        // PostgreSQL refuses this while anyone is connected.
        api.database.run_on_server("DROP DATABASE {name}");
    });
}

on_both_backends![a_busy_database_is_reported_and_recovers_without_a_trace];
