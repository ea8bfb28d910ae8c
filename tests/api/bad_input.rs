//! Invalid bodies, for everything but stock events: each bad field is named and nothing is changed.
use crate::database::Backend;
use crate::on_both_backends;
use crate::support::{Api, Caller, Expect, Platform};
use serde_json::{Value, json};

/// Every route that takes a body; `true` if the body is a list.
fn routes_with_bodies(seller: &str, store: &str) -> Vec<(&'static str, String, bool)> {
    vec![
        ("POST", "/admin/sellers".to_owned(), false),
        ("PATCH", format!("/admin/sellers/{seller}"), false),
        ("PATCH", format!("/admin/sellers/{seller}/limits"), false),
        ("PUT", "/admin/apps/shopify".to_owned(), false),
        ("POST", "/v1/connections".to_owned(), false),
        ("PUT", "/v1/sync-settings".to_owned(), false),
        ("POST", "/v1/warehouses".to_owned(), false),
        ("PATCH", "/v1/warehouses/main".to_owned(), false),
        ("POST", "/v1/stores".to_owned(), false),
        ("PATCH", format!("/v1/stores/{store}"), false),
        ("PUT", format!("/v1/stores/{store}/listings"), true),
        ("PUT", "/v1/skus".to_owned(), true),
        ("PUT", "/v1/bundles/KIT".to_owned(), false),
        ("PUT", "/v1/rules".to_owned(), true),
        ("POST", "/v1/stock-events".to_owned(), false),
        ("POST", "/v1/syncs".to_owned(), false),
        ("POST", "/v1/syncs/0198a0b2-0000-7000-8000-000000000000/answer".to_owned(), false),
        ("POST", "/v1/pushes/retry".to_owned(), false),
        ("POST", "/v1/pause".to_owned(), false),
        ("PUT", "/admin/platforms/shopify/pause".to_owned(), false),
        ("POST", "/v1/frozen-windows".to_owned(), false),
        ("POST", "/v1/email-addresses".to_owned(), false),
    ]
}

fn every_route_refuses_a_body_that_is_not_json(backend: Backend) {
    let (api, platform) = (Api::start(backend), Platform::start());
    let (ada, operator) = (api.seller("Ada"), api.operator());
    let store = ada.store("corner", platform.address, json!({}));
    let deep = "[".repeat(100_000);
    let deep_object = "{\"a\":".repeat(100_000);
    let garbage: [&[u8]; 14] = [
        b"",
        b" ",
        b"{",
        b"}",
        b"nonsense",
        b"{'a':1}",
        b"{} {}",
        b"{}x",
        b"[1,]",
        b"\xff\xfe",
        b"{\"a\":\"\xc3\x28\"}",
        b"\xef\xbb\xbf",
        deep.as_bytes(),
        deep_object.as_bytes(),
    ];
    ada.changes_nothing(|| {
        for (method, path, is_list) in routes_with_bodies(&ada.id, &store) {
            let caller = if path.starts_with("/admin") { &operator } else { &ada };
            // Without a body, a sync covers everything, and a pause has no reason.
            let may_be_empty = path == "/v1/syncs" || path.ends_with("/pause");
            let is_empty = |body: &[u8]| body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body).trim_ascii().is_empty();
            for body in garbage.into_iter().filter(|body| !may_be_empty || !is_empty(body)) {
                caller.send_as(method, &path, "application/json", body).is_problem(400);
            }
            for body in ["null", "7", "\"text\"", "true", "1e400"] {
                caller.send_as(method, &path, "application/json", body.as_bytes()).names(422, "");
            }
            if is_list {
                caller.send_as(method, &path, "application/json", b"{}").names(422, "");
            } else if path != "/v1/stock-events" {
                caller.send_as(method, &path, "application/json", b"[]").names(422, "");
                caller.send_as(method, &path, "application/json", b"[\"a\",\"b\"]").names(422, "");
            }
            let nested = format!("{}1{}", "{\"x\":".repeat(2000), "}".repeat(2000));
            let nested = if is_list { format!("[{nested}]") } else { nested };
            if !path.ends_with("/listings") {
                caller.send_as(method, &path, "application/json", nested.as_bytes()).is_problem(422);
            }
        }
    });
}

fn sellers_settings_warehouses_and_skus_name_each_bad_field(backend: Backend) {
    let api = Api::start(backend);
    let (ada, operator) = (api.seller("Ada"), api.operator());
    let long = "x".repeat(201);
    for (body, pointer) in [
        (json!({}), "/name"),
        (json!({ "name": "" }), "/name"),
        (json!({ "name": "a\u{0}" }), "/name"),
        (json!({ "name": long }), "/name"),
        (json!({ "name": 7 }), "/name"),
        (json!({ "name": "x", "timezone": "Mars/Olympus" }), "/timezone"),
        (json!({ "name": "x", "timezone": "" }), "/timezone"),
        (json!({ "name": "x", "plan": "gold" }), "/plan"),
    ] {
        operator.post("/admin/sellers", &body).names(422, pointer);
    }
    assert_eq!(operator.get("/admin/sellers").is(200)["items"].as_array().unwrap().len(), 1);
    ada.changes_nothing(|| {
        for (body, pointer) in [
            (json!({ "name": " " }), "/name"),
            (json!({ "suspended": "yes" }), "/suspended"),
            (json!({ "timezone": "Mars/Olympus" }), "/timezone"),
            (json!({ "timezone": 8 }), "/timezone"),
            (json!({ "id": 1 }), "/id"),
        ] {
            operator.patch(&format!("/admin/sellers/{}", ada.id), &body).names(422, pointer);
        }
        for (field, values) in [
            ("auto_sync", vec![json!("on"), json!(1)]),
            ("frequency", vec![json!("hourly"), json!("")]),
            ("daily_at", vec![json!("25:00"), json!("24:00"), json!("3:30"), json!("03:60"), json!("03:30:00"), json!(""), json!(330)]),
            ("timezone", vec![json!("Asia/Atlantis"), json!("+08:00"), json!(""), json!("asia/taipei\u{0}")]),
            ("catch_up_hours", vec![json!(-1), json!(24), json!(1.5), json!("4")]),
            ("allocation_mode", vec![json!("fair")]),
            ("buffer", vec![json!(-1), json!(1_000_000_000_001_i64), json!(0.5), json!("3")]),
            ("trigger_on_cancellation", vec![json!("no")]),
            ("create_skus", vec![json!(1)]),
            ("initial_overwrite", vec![json!(1)]),
            ("guard", vec![json!(30), json!([])]),
            ("guard/zero_percent", vec![json!(-1), json!(101), json!("30"), json!(0.5)]),
            ("guard/units", vec![json!(-1), json!(1_000_000_000_001_i64), json!("3")]),
            ("guard/percent", vec![json!(3)]),
            ("drift", vec![json!("heal"), json!(""), json!(true)]),
            ("colour", vec![json!("red")]),
        ] {
            for value in values {
                let change = match field.split_once('/') {
                    Some((outer, inner)) => json!({ "auto_sync": true, outer: { inner: value } }),
                    None => json!({ "auto_sync": true, field: value }),
                };
                ada.put("/v1/sync-settings", &change).names(422, &format!("/{field}"));
            }
        }
        ada.put("/v1/sync-settings", &json!({ "daily_at": "25:00", "timezone": "Nowhere", "buffer": -1 })).names(422, "/buffer");
        for (body, pointer) in [
            (json!({}), "/code"),
            (json!({ "code": "" }), "/code"),
            (json!({ "code": "x".repeat(65) }), "/code"),
            (json!({ "code": "a\u{0}" }), "/code"),
            (json!({ "code": "x", "name": "" }), "/name"),
            (json!({ "code": "x", "city": "y" }), "/city"),
        ] {
            ada.post("/v1/warehouses", &body).names(422, pointer);
        }
        let taken = ada.post("/v1/warehouses", &json!({ "code": "main" })).names(409, "/code");
        assert!(taken.contains("main"), "{taken}");
        ada.patch("/v1/warehouses/main", &json!({ "name": "" })).names(422, "/name");
        ada.patch("/v1/warehouses/main", &json!({ "code": "new" })).names(422, "/code");
        for (body, pointer) in [
            (json!([{ "sku": "A" }, { "sku": "" }]), "/1/sku"),
            (json!([{ "sku": "A" }, {}]), "/1/sku"),
            (json!([{ "sku": "A" }, { "sku": "A" }]), "/1/sku"),
            (json!([7]), "/0"),
            (json!([["A"]]), "/0"),
            (json!([{ "sku": "A", "name": "" }]), "/0/name"),
            (json!([{ "sku": "A", "name": 7 }]), "/0/name"),
            (json!([{ "sku": "A", "price": 7 }]), "/0/price"),
            (json!([{ "sku": "a\u{0}" }]), "/0/sku"),
        ] {
            ada.put("/v1/skus", &body).names(422, pointer);
        }
        let both = ada.put("/v1/skus", &json!([{ "sku": 1 }, { "sku": "A" }, { "name": "x" }]));
        both.names(422, "/0/sku");
        both.names(422, "/2/sku");
        let many: Vec<Value> = (0..10_001).map(|i| json!({ "sku": format!("S{i}") })).collect();
        ada.put("/v1/skus", &json!(many)).names(422, "");
    });
}

fn stores_name_each_bad_field(backend: Backend) {
    let (api, platform) = (Api::start(backend), Platform::start());
    let ada = api.seller("Ada");
    let url = format!("http://{}", platform.address);
    let store = ada.store("corner", platform.address, json!({ "credentials": { "token": "t" } }));
    let cases = [
        ("name", vec![json!(""), json!(7), json!("a\u{0}"), json!("x".repeat(201))]),
        ("platform", vec![json!("bazaar"), json!(""), json!(7)]),
        (
            "base_url",
            vec![
                json!("nowhere"),
                json!("ftp://x"),
                json!("http://"),
                json!(""),
                json!("http://x/?q=1"),
                json!("http://x/#f"),
                json!("http://user:pass@x/"),
                json!("http://x/\u{0}"),
                json!("x".repeat(2001)),
                json!(7),
                Value::Null,
            ],
        ),
        ("share_percent", vec![json!(-1), json!(100.01), json!(33.333), json!("50"), json!(true)]),
        ("sync_enabled", vec![json!("yes"), json!(1)]),
        ("paused", vec![json!("no")]),
        ("rehearsal", vec![json!("no"), json!(1)]),
        ("pause_reason", vec![json!(""), json!(7), json!("x".repeat(201)), json!("without being paused")]),
        ("protect_unseen_sales", vec![json!("no"), json!(1)]),
        ("pushed_falls", vec![json!("count"), json!({}), json!(true)]),
        ("restocks_returns", vec![json!("no"), json!(0)]),
        ("restocks_cancellations", vec![json!("no"), json!([])]),
        ("unseen_sales_hours", vec![json!(0), json!(721), json!(1.5), json!("72")]),
        ("warehouses", vec![json!([]), json!(["nowhere"]), json!("main")]),
        ("external_store", vec![json!(""), json!(7), json!("a\u{0}")]),
        ("abilities", vec![json!(7), json!([true])]),
        ("rate_limit", vec![json!(7), json!([5, 5])]),
        ("colour", vec![json!("red"), json!({ "deep": [1] })]),
        ("credentials", vec![json!("token"), json!([])]),
    ];
    let nested = [
        (json!({ "warehouses": ["main", ""] }), "/warehouses/1"),
        (json!({ "abilities": { "max_items": 0 } }), "/abilities/max_items"),
        (json!({ "abilities": { "fly": true } }), "/abilities/fly"),
        (json!({ "abilities": { "adjust": "yes" } }), "/abilities/adjust"),
        (json!({ "rate_limit": { "per_second": 5 } }), "/rate_limit/burst"),
        (json!({ "rate_limit": { "per_second": 0, "burst": 1 } }), "/rate_limit/per_second"),
        (json!({ "rate_limit": { "per_second": 1, "burst": 0 } }), "/rate_limit/burst"),
        (json!({ "credentials": { "token": "" } }), "/credentials/token"),
        (json!({ "credentials": { "token": "a\nb" } }), "/credentials/token"),
        (json!({ "credentials": { "password": "x" } }), "/credentials/password"),
        (json!({ "credentials": { "a/b": "x" } }), "/credentials/a~1b"),
        (json!({ "credentials": { "token": "x".repeat(9000) } }), "/credentials/token"),
    ];
    ada.changes_nothing(|| {
        let both = |body: &Value, pointer: &str| {
            let mut whole = json!({ "name": "x", "platform": "simulated", "base_url": url });
            whole.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
            ada.post("/v1/stores", &whole).names(422, pointer);
            ada.patch(&format!("/v1/stores/{store}"), body).names(422, pointer);
        };
        for (field, values) in cases {
            for value in values {
                both(&json!({ field: value }), &format!("/{field}"));
            }
        }
        for (body, pointer) in nested {
            both(&body, pointer);
        }
        for missing in ["name", "platform"] {
            let mut body = json!({ "name": "x", "platform": "simulated", "base_url": url });
            body.as_object_mut().unwrap().remove(missing);
            ada.post("/v1/stores", &body).names(422, &format!("/{missing}"));
        }
        let huge = format!(r#"{{"name":"x","platform":"simulated","base_url":"{url}","share_percent":1e400}}"#);
        ada.send_as("POST", "/v1/stores", "", huge.as_bytes()).names(422, "/share_percent");
        // What was sent may be a secret in the wrong place, so it is never echoed.
        for body in [
            json!({ "credentials": { "token": 123_456_789 } }),
            json!({ "credentials": "123456789" }),
            json!({ "base_url": { "x": 123_456_789 } }),
        ] {
            let text = ada.patch(&format!("/v1/stores/{store}"), &body).text();
            assert!(!text.contains("123456789"), "{text}");
        }
    });
}

#[test]
fn a_store_may_not_point_into_the_operators_network_unless_allowed() {
    let api = Api::start_with(Backend::Sqlite, &[("allow_private_targets", "false")]);
    let ada = api.seller("Ada");
    for host in ["127.0.0.1:9", "10.0.0.1", "[::1]", "169.254.169.254", "0.0.0.0", "[::ffff:127.0.0.1]", "2130706433"] {
        ada.post("/v1/stores", &json!({ "name": "x", "platform": "simulated", "base_url": format!("https://{host}") }))
            .names(422, "/base_url");
    }
}

fn listings_refuse_bad_rows_one_by_one(backend: Backend) {
    let (api, platform) = (Api::start(backend), Platform::start());
    let ada = api.seller("Ada");
    let path = format!("/v1/stores/{}/listings", ada.store("corner", platform.address, json!({})));
    let rows = json!([
        { "sku": "A", "external_id": "a" }, { "sku": "B", "external_id": "a" }, { "sku": "A", "external_id": "b" }, { "sku": "", "external_id": "c" }, { "external_id": "d" },
        { "sku": "E", "external_id": 7 }, { "sku": "F", "external_id": "f", "colour": "red" }, { "sku": "G", "external_id": "g", "colour": { "x": 1 } }, 7, ["H", "h"],
        { "sku": "I", "external_id": "i\u{0}" }, { "sku": "Z", "external_id": "z" },
    ]);
    let answer = ada.put(&path, &rows).is(200);
    assert_eq!((&answer["created"], &answer["rejected"]), (&json!(3), &json!(9)), "{answer}");
    let pointers: Vec<&str> = answer["results"].as_array().unwrap().iter().filter_map(|r| r["errors"][0]["pointer"].as_str()).collect();
    assert_eq!(pointers, ["/1/external_id", "/3/sku", "/4/sku", "/5/external_id", "/6/colour", "/7/colour", "/8", "/9", "/10/external_id"]);
    assert_eq!(listed(&ada, &path), ["a", "b", "z"]);

    let mut csv = b"sku,external_id\nA,a\nB\nC,c,extra\n,d\n\"E\nF,f\n".to_vec();
    let broken = ada.send_as("PUT", &path, "text/csv", &csv).is(200);
    assert_eq!((&broken["unchanged"], &broken["created"], &broken["rejected"]), (&json!(1), &json!(0), &json!(4)), "{broken}");
    csv = b"sku,external_id\n\xff\xfe,x\nY,y\n".to_vec();
    let answer = ada.send_as("PUT", &path, "text/csv", &csv).is(200);
    assert_eq!((&answer["created"], &answer["rejected"]), (&json!(1), &json!(1)), "{answer}");
    assert_eq!(listed(&ada, &path), ["a", "b", "z", "y"]);
    for (csv, pointer) in [
        (&b""[..], "/sku"),
        (b"sku\nA\n", "/external_id"),
        (b"A,a\n", "/sku"),
        (b"sku,external_id,colour\nA,a,red\n", "/colour"),
        (b"sku,external_id,sku\nA,a,B\n", "/sku"),
    ] {
        ada.send_as("PUT", &path, "text/csv", csv).names(422, pointer);
    }
    let many: String = (0..10_001).map(|i| format!("S{i},x{i}\n")).collect();
    ada.send_as("PUT", &path, "text/csv", format!("sku,external_id\n{many}").as_bytes()).names(422, "");
    assert_eq!(listed(&ada, &path), ["a", "b", "z", "y"]);
}

fn listed(seller: &Caller<'_>, path: &str) -> Vec<String> {
    let items = seller.get(path).is(200)["items"].as_array().unwrap().clone();
    items.iter().map(|listing| listing["external_id"].as_str().unwrap().to_owned()).collect()
}

fn rules_syncs_and_retries_name_each_bad_field(backend: Backend) {
    let (api, platform) = (Api::start(backend), Platform::start());
    let ada = api.seller("Ada");
    let store = ada.store("corner", platform.address, json!({}));
    ada.pair(&store, &["A"]);
    let nobody = "0190a3b4-0000-7000-8000-000000000000";
    ada.changes_nothing(|| {
        for (body, pointer) in [
            (json!([{ "sku": "" }]), "/0/sku"),
            (json!([{ "buffer": 1 }, { "sku": "unknown" }]), "/1/sku"),
            (json!([{ "store_id": "x" }]), "/0/store_id"),
            (json!([{ "store_id": 7 }]), "/0/store_id"),
            (json!([{ "share_percent": 100.5 }]), "/0/share_percent"),
            (json!([{ "share_percent": -0.01 }]), "/0/share_percent"),
            (json!([{ "share_percent": 0.001 }]), "/0/share_percent"),
            (json!([{ "buffer": -1 }]), "/0/buffer"),
            (json!([{ "threshold": 1.5 }]), "/0/threshold"),
            (json!([{ "max_shown": -1 }]), "/0/max_shown"),
            (json!([{ "sync_enabled": "no" }]), "/0/sync_enabled"),
            (json!([{ "colour": 1 }]), "/0/colour"),
            (json!([{ "buffer": 1 }, { "buffer": 2 }]), "/1"),
            (json!([[]]), "/0"),
            (json!([{ "max_shown": 1_000_000_000_001_i64 }]), "/0/max_shown"),
        ] {
            ada.put("/v1/rules", &body).names(422, pointer);
        }
        ada.put("/v1/rules", &json!([{ "store_id": nobody, "buffer": 1 }])).names(404, "/0/store_id");
        for (body, pointer) in [
            (json!({ "skus": [] }), "/skus"),
            (json!({ "skus": ["A", ""] }), "/skus/1"),
            (json!({ "skus": ["unknown"] }), "/skus/0"),
            (json!({ "skus": "A" }), "/skus"),
            (json!({ "skus": [7] }), "/skus/0"),
            (json!({ "store_ids": [] }), "/store_ids"),
            (json!({ "store_ids": ["x"] }), "/store_ids/0"),
            (json!({ "store_ids": store }), "/store_ids"),
            (json!({ "dry_run": "yes" }), "/dry_run"),
            (json!({ "kind": "daily" }), "/kind"),
        ] {
            ada.post("/v1/syncs", &body).names(422, pointer);
        }
        ada.post("/v1/syncs", &json!({ "store_ids": [store, nobody] })).names(404, "/store_ids/1");
        for (body, pointer) in [
            (json!({}), "/ids"),
            (json!({ "ids": [], "state": "held" }), "/ids"),
            (json!({ "ids": ["x"] }), "/ids/0"),
            (json!({ "ids": "x" }), "/ids"),
            (json!({ "state": "confirmed" }), "/state"),
            (json!({ "state": "lost" }), "/state"),
            (json!({ "state": 7 }), "/state"),
            (json!({ "all": true }), "/all"),
            (json!({ "ids": vec![nobody; 1001] }), "/ids"),
        ] {
            ada.post("/v1/pushes/retry", &body).names(422, pointer);
        }
        ada.post("/v1/pushes/retry", &json!({ "ids": [nobody] })).names(404, "/ids/0");
    });
}

on_both_backends![
    every_route_refuses_a_body_that_is_not_json,
    sellers_settings_warehouses_and_skus_name_each_bad_field,
    stores_name_each_bad_field,
    listings_refuse_bad_rows_one_by_one,
    rules_syncs_and_retries_name_each_bad_field,
];

#[test]
fn what_a_request_for_an_overwrite_says_is_never_ignored() {
    let api = Api::start(Backend::Sqlite);
    let ada = api.seller("Ada");
    for (path, body) in [("/v1/syncs?dry_run=true", json!({})), ("/v1/stock-events?dry_run=true", json!([]))] {
        let problem = ada.send("POST", path, &body).is_problem(422);
        assert_eq!(problem["errors"][0]["pointer"], "/dry_run", "{problem}");
    }
    for (path, body) in [("/admin/syncs", json!({ "dry_run": true })), ("/admin/syncs?dry_run=true", json!({}))] {
        api.operator().send("POST", path, &body).is_problem(422);
    }
    assert_eq!(ada.get("/v1/syncs").is(200)["items"], json!([]));
}
