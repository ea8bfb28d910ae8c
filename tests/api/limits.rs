//! Limits that the operator sets for one seller in the place of those of all.
use crate::database::Backend;
use crate::on_both_backends;
use crate::support::{Api, Caller, Expect, Platform, pause, until};
use diesel::{Connection, RunQueryDsl, SqliteConnection};
use serde_json::{Value, json};
use std::time::Duration;

fn limits_of(seller: &Caller<'_>) -> String {
    format!("/admin/sellers/{}/limits", seller.id)
}

/// A request of so many stock events of one SKU, which are new.
fn events(seller: &Caller<'_>, name: &str, count: usize) -> crate::client::Answer {
    let all: Vec<Value> =
        (0..count).map(|n| json!({ "event_id": format!("{name}-{n}"), "sku": "A", "kind": "purchase", "quantity": 1 })).collect();
    seller.post("/v1/stock-events", &json!(all))
}

fn a_seller_is_held_to_its_own_limits_and_nobody_else_is(backend: Backend) {
    let (api, platform) = (Api::start(backend), Platform::start());
    let (ada, bob, operator) = (api.seller("Ada"), api.seller("Bob"), api.operator());
    let of_all = json!({ "events_per_second": 10_000, "skus": 100_000, "stores": 1000, "records_kept_days": 30.0 });
    assert_eq!(ada.get("/v1/limits").is(200), of_all);
    let set = json!({ "events_per_second": 5, "skus": 2, "stores": 1, "records_kept_days": 7 });
    let answer = operator.patch(&limits_of(&ada), &set).is(200);
    assert_eq!((&answer["own"], &answer["allowed"]["records_kept_days"]), (&set, &json!(7.0)));
    assert_eq!(operator.get(&limits_of(&ada)).is(200), answer);
    assert_eq!((&ada.get("/v1/limits").is(200)["skus"], bob.get("/v1/limits").is(200)), (&json!(2), of_all));

    let store = ada.store("one", platform.address, json!({ "external_store": "one" }));
    let second =
        json!({ "name": "two", "platform": "simulated", "base_url": format!("http://{}", platform.address), "external_store": "two" });
    assert!(ada.post("/v1/stores", &second).is_problem(409)["detail"].as_str().unwrap().contains("at most 1 stores"));
    bob.store("one", platform.address, json!({ "external_store": "one" }));
    bob.store("two", platform.address, json!({ "external_store": "two" }));

    ada.put("/v1/skus", &json!([{ "sku": "A" }, { "sku": "B" }])).is(200);
    assert!(ada.put("/v1/skus", &json!([{ "sku": "C" }])).is_problem(409)["detail"].as_str().unwrap().contains("at most 2 SKUs"));
    let event = json!({ "event_id": "x", "sku": "C", "kind": "purchase", "quantity": 1 });
    assert_eq!(ada.post("/v1/stock-events", &event).names(422, "/sku"), "would exceed the limit of 2 SKUs per seller");
    let paired = ada.put(&format!("/v1/stores/{store}/listings"), &json!([{ "sku": "C", "external_id": "c" }])).is(200);
    assert_eq!(paired["rejected"], 1, "{paired}");
    assert!(ada.get("/v1/skus").is(200)["items"].as_array().unwrap().iter().all(|sku| sku["sku"] != "C"));

    let refused = until("the events of two seconds are used up", || {
        let answer = events(&ada, "burst", 10);
        (answer.status != 200).then_some(answer)
    });
    refused.is_problem(429);
    assert!((1..=2).contains(&refused.header("retry-after").unwrap().parse::<u64>().unwrap()));
    assert_eq!(events(&bob, "burst", 1000).is(200)["accepted"], 1000);

    operator.patch(&limits_of(&ada), &json!({ "events_per_second": null, "skus": null })).is(200);
    assert_eq!(events(&ada, "many", 1000).is(200)["accepted"], 1000, "null is the limit of all");
    ada.put("/v1/skus", &json!([{ "sku": "C" }])).is(200);
    let own = operator.get(&limits_of(&ada)).is(200)["own"].clone();
    assert_eq!(own, json!({ "events_per_second": null, "skus": null, "stores": 1, "records_kept_days": 7 }));
    for log in [operator.get("/admin/audit").is(200), ada.get("/v1/audit").is(200)] {
        let changes: Vec<&Value> =
            log["items"].as_array().unwrap().iter().filter(|entry| entry["action"] == "seller.limits_changed").collect();
        assert_eq!((changes.len(), &changes[0]["before"]["skus"], &changes[0]["after"]["skus"]), (2, &json!(2), &Value::Null));
    }
}

fn wrong_limits_are_refused_by_name_and_change_nothing(backend: Backend) {
    let api = Api::start(backend);
    let (ada, operator) = (api.seller("Ada"), api.operator());
    let before = operator.get(&limits_of(&ada)).is(200);
    for field in ["events_per_second", "skus", "stores", "records_kept_days"] {
        for value in [
            json!(0),
            json!(-1),
            json!(1.5),
            json!("5"),
            json!(true),
            json!([1]),
            json!(10_000_001),
            json!(9_223_372_036_854_775_807_i64),
            json!(1e300),
        ] {
            operator.patch(&limits_of(&ada), &json!({ "skus": 5, field: value })).names(422, &format!("/{field}"));
        }
    }
    let detail = operator.patch(&limits_of(&ada), &json!({ "records_kept_days": 31 })).names(422, "/records_kept_days");
    assert!(detail.contains("at most 30"), "{detail}");
    operator.patch(&limits_of(&ada), &json!({ "events": 5 })).names(422, "/events");
    operator.patch(&limits_of(&ada), &json!([])).names(422, "");
    operator.send_as("PATCH", &limits_of(&ada), "application/json", b"{").is_problem(400);
    let nobody = "/admin/sellers/0198a0b2-0000-7000-8000-000000000000/limits";
    operator.patch(nobody, &json!({ "skus": 5 })).is_problem(404);
    operator.get(nobody).is_problem(404);
    operator.get("/admin/sellers/nonsense/limits").is_problem(404);
    assert_eq!(operator.get(&limits_of(&ada)).is(200), before);
    operator.patch(&limits_of(&ada), &json!({})).is(200);
}

#[test]
fn limits_that_another_node_sets_hold_within_a_second() {
    let api = Api::start(Backend::Sqlite);
    let ada = api.seller("Ada");
    assert_eq!(events(&ada, "before", 1000).is(200)["accepted"], 1000);
    let mut other_node = SqliteConnection::establish(api.database_file().to_str().unwrap()).unwrap();
    diesel::sql_query("UPDATE sellers SET events_per_second = 1, max_skus = 1").execute(&mut other_node).unwrap();
    pause(Duration::from_secs(1));
    assert_eq!(ada.get("/v1/limits").is(200)["events_per_second"], 1);
    ada.put("/v1/skus", &json!([{ "sku": "B" }])).is_problem(409);
    until("a large request is taken once nothing is owed", || (events(&ada, "large", 1000).status == 200).then_some(()));
    events(&ada, "next", 1).is_problem(429);
}

on_both_backends![a_seller_is_held_to_its_own_limits_and_nobody_else_is, wrong_limits_are_refused_by_name_and_change_nothing];
