//! What sellers have used: for the operator, of one or of all of them, and for a seller.
use crate::database::Backend;
use crate::on_both_backends;
use crate::support::{Api, Caller, Expect};
use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection, SqliteConnection};
use serde_json::{Value, json};
use stocktide::domain::usage::start_of;

/// As if it had been counted: that takes minutes.
fn has_used(api: &Api, backend: Backend, seller: &Caller<'_>, days: &[(&str, i64)]) {
    let id = seller.id.replace('-', "");
    let id = if backend == Backend::Sqlite { format!("x'{id}'") } else { format!("'\\x{id}'") };
    let row = |(day, n): &(&str, i64)| {
        let day = start_of(day.parse().unwrap()).as_millis();
        format!("INSERT INTO usage_days (seller_id, day, events, pushes, calls) VALUES ({id}, {day}, {n}, {}, {});", 10 * n, 2 * n)
    };
    let sql: String = days.iter().map(row).collect();
    match backend {
        Backend::Sqlite => SqliteConnection::establish(api.database_file().to_str().unwrap()).unwrap().batch_execute(&sql).unwrap(),
        Backend::Postgres => PgConnection::establish(&api.database.url).unwrap().batch_execute(&sql).unwrap(),
    }
}

fn usage(n: i64) -> Value {
    json!({ "events": n, "pushes": 10 * n, "calls": 2 * n })
}

fn the_operator_and_the_seller_see_what_it_has_used_on_each_day(backend: Backend) {
    let api = Api::start(backend);
    let (ada, bob) = (api.seller("Ada"), api.seller("Bob"));
    has_used(&api, backend, &ada, &[("2026-01-31", 1), ("2026-02-01", 2), ("2026-02-28", 4), ("2026-03-01", 8)]);
    let range = "from=2026-02-01&to=2026-02-28";
    let own = ada.get(&format!("/v1/usage?{range}")).is(200);
    assert_eq!((&own["from"], &own["to"], &own["total"]), (&json!("2026-02-01"), &json!("2026-02-28"), &usage(6)));
    let days: Vec<(&Value, &Value)> = own["items"].as_array().unwrap().iter().map(|item| (&item["day"], &item["pushes"])).collect();
    assert_eq!(days, [(&json!("2026-02-01"), &json!(20)), (&json!("2026-02-28"), &json!(40))]);
    assert_eq!(own["counted_to"], Value::Null);
    let of = |seller: &Caller<'_>, query: &str| format!("/admin/sellers/{}/usage{query}", seller.id);
    assert_eq!(api.operator().get(&of(&ada, &format!("?{range}"))).is(200), own);
    assert_eq!(api.operator().get(&of(&ada, "?to=2026-01-31")).is(200)["from"], "2026-01-01", "the whole month");
    assert_eq!(api.operator().get(&of(&bob, "?from=2026-01-01&to=2026-03-31")).is(200)["total"], usage(0));
    assert_eq!(api.operator().get(&of(&ada, "")).is(200)["items"], json!([]), "nothing this month");
    api.operator().get("/admin/sellers/0198a0b2-0000-7000-8000-000000000000/usage").is_problem(404);
}

fn a_file_has_what_all_sellers_have_used_by_day(backend: Backend) {
    let api = Api::start(backend);
    let (ada, bob, cyd) = (api.seller("Ada, \"A\""), api.seller("=Bob"), api.seller("Cyd"));
    for (seller, days) in [(&ada, [("2026-02-01", 2), ("2026-02-03", 4)]), (&bob, [("2026-02-01", 1), ("2026-03-04", 8)])] {
        has_used(&api, backend, seller, &days);
    }
    has_used(&api, backend, &cyd, &[("2026-02-01", 5)]);
    api.operator().delete(&format!("/admin/sellers/{}", cyd.id)).is(204);
    let answer = api.operator().get("/admin/usage.csv?from=2026-02-01&to=2026-02-28");
    assert!(answer.header("content-type").unwrap().starts_with("text/csv"));
    let lines = [
        "day,seller_id,name,events,pushes,calls".to_owned(),
        format!("2026-02-01,{},\"Ada, \"\"A\"\"\",2,20,4", ada.id),
        format!("2026-02-01,{},\"=\"\"=Bob\"\"\",1,10,2", bob.id),
        format!("2026-02-03,{},\"Ada, \"\"A\"\"\",4,40,8", ada.id),
    ];
    assert_eq!(answer.text().lines().collect::<Vec<_>>(), lines);
    let none = api.operator().get("/admin/usage.csv?from=2026-04-01&to=2026-04-30");
    assert_eq!((none.status, none.text().lines().count()), (200, 1));
}

fn a_range_that_is_none_or_too_long_is_refused_by_its_field(backend: Backend) {
    let api = Api::start(backend);
    let (ada, operator) = (api.seller("Ada"), api.operator());
    let of_ada = format!("/admin/sellers/{}/usage", ada.id);
    for (query, pointer) in [
        ("from=yesterday", "/from"),
        ("from=2026-02-30", "/from"),
        ("to=2026-2-1", "/to"),
        ("to=", "/to"),
        ("from=2026-02-02&to=2026-02-01", "/from"),
        ("from=2025-01-01&to=2026-02-05", "/from"),
        ("day=2026-02-01", "/day"),
        ("limit=5", "/limit"),
    ] {
        ada.get(&format!("/v1/usage?{query}")).names(422, pointer);
        operator.get(&format!("{of_ada}?{query}")).names(422, pointer);
        operator.get(&format!("/admin/usage.csv?{query}")).names(422, pointer);
    }
    ada.get("/v1/usage?from=2025-01-01&to=2026-02-04").is(200);
    operator.get("/admin/usage.csv?from=2026-01-01&to=2026-02-01").names(422, "/from");
    assert_eq!(operator.get("/admin/usage.csv?from=2026-01-02&to=2026-02-01").status, 200);
}

on_both_backends![
    the_operator_and_the_seller_see_what_it_has_used_on_each_day,
    a_file_has_what_all_sellers_have_used_by_day,
    a_range_that_is_none_or_too_long_is_refused_by_its_field,
];
