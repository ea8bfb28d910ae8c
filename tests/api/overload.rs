//! Too much of one seller's, and a database that is busy or gone: told with `Retry-After`, nothing half done, and
//! over when it is over.
use crate::client::Answer;
use crate::database::Backend;
use crate::on_both_backends;
use crate::support::{Api, Judge, until};
use diesel::Connection;
use diesel::connection::SimpleConnection;
use serde_json::json;

#[track_caller]
fn come_back(answer: &Answer, status: u16) {
    answer.is_problem(status);
    let after: u32 = answer.header("retry-after").expect("says when to come back").parse().expect("in whole seconds");
    assert!((1..=60).contains(&after));
}

#[test]
fn a_seller_above_its_quota_is_told_to_come_back_and_others_are_not() {
    let api = Api::start_with(Backend::Sqlite, &[("requests_per_second", "1")]);
    let (ada, bob) = (api.seller("Ada"), api.seller("Bob"));
    let mut taken = 0;
    let refused = until("the quota is used up", || {
        let event = json!({ "event_id": format!("e{taken}"), "sku": "S", "kind": "purchase", "quantity": 1 });
        let answer = ada.post("/v1/stock-events", &event);
        if answer.status == 200 {
            taken += 1;
        }
        (answer.status != 200).then_some(answer)
    });
    come_back(&refused, 429);
    assert!(taken >= 2, "twice as many are taken at once");
    assert_eq!(bob.get("/v1/stores").status, 200);
    assert_eq!(api.operator().get("/admin/sellers").status, 200);
    // A fresh bucket after a while; what was refused has changed nothing.
    let available = until("the seller may come back", || Some(ada.get("/v1/stock?sku=S")).filter(|answer| answer.status == 200)).is(200);
    assert_eq!(available["total_available"], taken);
}

#[test]
fn an_address_that_keeps_sending_wrong_keys_is_told_to_come_back_and_right_keys_from_there_go_on() {
    let api = Api::start_with(Backend::Sqlite, &[("failed_keys_per_minute", "10")]);
    let ada = api.seller("Ada");
    assert_eq!(ada.get("/v1/stores").status, 200);
    for _ in 0..10 {
        assert_eq!(api.caller("stk_wrong").get("/v1/stores").status, 401);
    }
    come_back(&api.caller("stk_wrong").get("/v1/stores"), 429);
    come_back(&api.caller("stk_wrong").get("/admin/sellers"), 429);
    assert_eq!(ada.get("/v1/stores").status, 200);
    assert_eq!(api.operator().get("/admin/sellers").status, 200);
}

fn a_busy_database_is_told_and_recovers_without_a_trace(on: Backend) {
    let api = Api::start(on);
    let ada = api.seller("Ada");
    ada.event("before", "S", "purchase", 1);
    let mut holder = Holder::of(&api, on);
    holder.tell(if on == Backend::Sqlite { "BEGIN IMMEDIATE" } else { "BEGIN; LOCK TABLE sellers, stock_levels IN ACCESS EXCLUSIVE MODE" });
    let event = json!({ "event_id": "during", "sku": "S", "kind": "purchase", "quantity": 10 });
    if on == Backend::Sqlite {
        assert_eq!(ada.get("/v1/stores").status, 200, "reading goes on");
        come_back(&ada.put("/v1/sync-settings", &json!({ "buffer": 9 })), 503);
    }
    come_back(&ada.post("/v1/stock-events", &event), 503);
    holder.tell("ROLLBACK");
    assert_eq!(ada.get("/v1/sync-settings").is(200)["buffer"], 0, "what was told to come back was not done");
    assert_eq!(ada.available("S"), 1);
    assert_eq!(ada.post("/v1/stock-events", &event).is(200)["accepted"], 1);
    assert_eq!(ada.available("S"), 11);
}

/// Another program at the same database.
enum Holder {
    Sqlite(diesel::SqliteConnection),
    Postgres(diesel::PgConnection),
}

impl Holder {
    fn of(api: &Api, on: Backend) -> Self {
        match on {
            Backend::Sqlite => Self::Sqlite(diesel::SqliteConnection::establish(&api.database_file().display().to_string()).unwrap()),
            Backend::Postgres => Self::Postgres(diesel::PgConnection::establish(&api.database.url).unwrap()),
        }
    }

    fn tell(&mut self, sql: &str) {
        match self {
            Self::Sqlite(conn) => conn.batch_execute(sql).unwrap(),
            Self::Postgres(conn) => conn.batch_execute(sql).unwrap(),
        }
    }
}

#[test]
fn a_database_server_that_is_gone_is_told_and_comes_back() {
    Backend::on_postgres(|on| {
        let api = Api::start(on);
        let ada = api.seller("Ada");
        ada.event("before", "S", "purchase", 1);
        api.database.tell_server("ALTER DATABASE {name} WITH ALLOW_CONNECTIONS false");
        api.database.tell_server("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'");
        come_back(&ada.get("/v1/stores"), 503);
        come_back(&api.call("GET", "/readyz", "", None), 503);
        api.call("GET", "/healthz", "", None).is(200);
        api.database.tell_server("ALTER DATABASE {name} WITH ALLOW_CONNECTIONS true");
        until("the service finds its database again", || (api.call("GET", "/readyz", "", None).status == 200).then_some(()));
        ada.event("after", "S", "purchase", 2);
        assert_eq!(ada.available("S"), 3);
    });
}

#[test]
fn a_stopped_service_lets_go_of_its_database() {
    Backend::on_postgres(|on| {
        let mut api = Api::start(on);
        api.seller("Ada").event("e1", "S", "purchase", 1);
        api.stop();
        // Refused while anyone is connected.
        api.database.tell_server("DROP DATABASE {name}");
    });
}

on_both_backends![a_busy_database_is_told_and_recovers_without_a_trace];
