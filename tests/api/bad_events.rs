//! Invalid stock events: each bad field is named, nothing is changed, and valid events in the same batch are unaffected.
use crate::database::Backend;
use crate::on_both_backends;
use crate::support::{Api, Expect};
use serde_json::{Value, json};

/// A valid event, except that `field` has the JSON `value`.
fn event(field: &str, value: &str) -> String {
    let mut fields = vec![("event_id", r#""e""#), ("sku", r#""S""#), ("kind", r#""purchase""#), ("quantity", "1")];
    fields.retain(|(name, _)| *name != field);
    fields.push((field, value));
    format!("{{{}}}", fields.iter().map(|(name, value)| format!("{name:?}:{value}")).collect::<Vec<_>>().join(","))
}

fn each_bad_field_is_named_and_nothing_is_changed(backend: Backend) {
    let api = Api::start(backend);
    let ada = api.seller("Ada");
    let long = format!("{:?}", "x".repeat(129));
    let longer = format!("{:?}", "x".repeat(100_000));
    let cases = [
        (
            "quantity",
            vec![
                "0",
                "-1",
                "1.5",
                "-5.5e0",
                "1e400",
                "-1e400",
                "1000000000001",
                "9223372036854775808",
                "-9223372036854775809",
                "null",
                "true",
                r#""3""#,
                "[]",
                "{}",
            ],
        ),
        (
            "sku",
            vec![
                r#""""#,
                r#"" a""#,
                r#""a ""#,
                r#""a\u0000b""#,
                r#""\u0000""#,
                r#""a\nb""#,
                r#""\ud800""#,
                r#""\ufffe""#,
                r#""\u0085""#,
                "7",
                "null",
                "[\"S\"]",
                &long,
                &longer,
            ],
        ),
        ("event_id", vec![r#""""#, r#""\u0000""#, "1", "null", &long]),
        ("kind", vec![r#""gift""#, r#""PURCHASE""#, r#""""#, "1", "null", r#"{"purchase":1}"#, "[]"]),
        ("warehouse", vec![r#""""#, r#""nowhere""#, r#""a\u0000""#, "1", "[]"]),
        ("to_warehouse", vec![r#""main""#, r#""nowhere""#, "1"]),
        (
            "occurred_at",
            vec![
                r#""yesterday""#,
                r#""2026-02-30T00:00:00Z""#,
                r#""2026-03-02 12:00""#,
                r#""2026-03-02T12:00:00""#,
                r#""""#,
                "1767225600",
                "[]",
            ],
        ),
        ("note", vec![r#""a\u0000b""#, "1", "{}", &longer]),
        ("colour", vec![r#""red""#, "null", "{\"a\":{\"b\":[]}}"]),
        ("a/b~c", vec!["1"]),
    ];
    ada.changes_nothing(|| {
        for (field, values) in cases {
            let pointer = format!("/{}", field.replace('~', "~0").replace('/', "~1"));
            for value in values {
                let body = event(field, value);
                let refused = ada.send_as("POST", "/v1/stock-events", "application/json", body.as_bytes());
                let detail = refused.names(422, &pointer);
                assert!(!detail.contains(" at line ") && detail.len() < 200, "{field} {value:.40}: {detail}");
                let members = refused.json();
                assert_eq!(
                    (&members["accepted"], &members["rejected"], &members["results"][0]["status"]),
                    (&json!(0), &json!(1), &json!("rejected"))
                );
            }
        }
        for missing in ["event_id", "sku", "kind", "quantity"] {
            let mut body: Value = serde_json::from_str(&event("note", "null")).unwrap();
            body.as_object_mut().unwrap().remove(missing);
            assert_eq!(ada.post("/v1/stock-events", &body).names(422, &format!("/{missing}")), "is required");
        }
        let twice = r#"{"event_id":"e","sku":"S","sku":"T","kind":"purchase","quantity":1}"#;
        ada.send_as("POST", "/v1/stock-events", "", twice.as_bytes()).names(422, "/sku");
        for (kind, quantity, pointer) in [
            ("adjustment", 0, "/quantity"),
            ("count", -1_000_000_000_001_i64, "/quantity"),
            ("sale", 0, "/quantity"),
            ("transfer", 1, "/to_warehouse"),
        ] {
            ada.post("/v1/stock-events", &json!({ "event_id": "e", "sku": "S", "kind": kind, "quantity": quantity })).names(422, pointer);
        }
    });
}

fn whole_numbers_are_taken_in_every_form_and_fractions_are_refused_by_name(backend: Backend) {
    let api = Api::start(backend);
    let ada = api.seller("Ada");
    let send = |id: &str, kind: &str, quantity: &str| {
        let body = format!(r#"{{"event_id":"{id}","sku":"S","kind":"{kind}","quantity":{quantity}}}"#);
        ada.send_as("POST", "/v1/stock-events", "application/json", body.as_bytes())
    };
    send("e1", "purchase", "5.0").is(200);
    assert_eq!(send("e1", "purchase", "5e0").is(200)["duplicates"], 1, "the same quantity is the same event");
    assert_eq!(ada.available("S"), 5);
    assert!(send("e2", "purchase", "1.5").names(422, "/quantity").contains("fraction"));
    send("e3", "count", "-7").is(200);
    assert_eq!(ada.available("S"), -7, "more was sold than there was, and somebody counted it");
    assert!(ada.put("/v1/rules", &json!([{ "sku": "S", "buffer": 2.0 }])).is(200)["saved"] == 1);
    assert!(ada.put("/v1/rules", &json!([{ "sku": "S", "buffer": 0.5 }])).names(422, "/0/buffer").contains("fraction"));
    assert!(ada.put("/v1/sync-settings", &json!({ "buffer": 0.5 })).names(422, "/buffer").contains("fraction"));
}

fn an_id_that_is_a_number_is_refused_and_named_by_its_text(backend: Backend) {
    let api = Api::start(backend);
    let ada = api.seller("Ada");
    let batch = br#"[{"event_id":12345678901234567890,"sku":"S","kind":"sale","quantity":1},{"event_id":"e","sku":123,"kind":"sale","quantity":1}]"#;
    let answer = ada.send_as("POST", "/v1/stock-events", "application/json", batch).is(200);
    assert_eq!((&answer["results"][0]["event_id"], &answer["results"][1]["event_id"]), (&json!("12345678901234567890"), &json!("e")));
    assert_eq!(answer["rejected"], 2);
    assert!(answer["results"][1]["reason"].as_str().unwrap().contains("\"123\""), "{answer}");
    let store = ada.post("/v1/stores", &json!({ "name": "x", "platform": "simulated", "base_url": "http://127.0.0.1:9" })).is(201);
    let path = format!("/v1/stores/{}/listings", store["id"].as_str().unwrap());
    let paired = ada.send_as("PUT", &path, "application/json", br#"[{"sku":"S","external_id":44781234567890}]"#).is(200);
    assert_eq!(paired["results"][0]["external_id"], "44781234567890", "{paired}");
}

fn a_repeat_with_another_note_or_time_is_a_duplicate(backend: Backend) {
    let api = Api::start(backend);
    let ada = api.seller("Ada");
    ada.event("e1", "S", "purchase", 5);
    for (member, value) in [("note", "sent again"), ("occurred_at", "2026-03-02T12:00:00Z")] {
        let mut again = json!({ "event_id": "e1", "sku": "S", "kind": "purchase", "quantity": 5 });
        again[member] = json!(value);
        assert_eq!(ada.post("/v1/stock-events", &again).is(200)["duplicates"], 1, "{member}");
    }
    assert_eq!(ada.available("S"), 5);
}

fn a_mistyped_sku_is_not_created_where_that_is_unwanted_and_pointed_out_elsewhere(backend: Backend) {
    let api = Api::start(backend);
    let ada = api.seller("Ada");
    ada.put("/v1/skus", &json!([{ "sku": "Mug-1" }])).is(200);
    let event = |id: &str, sku: &str| json!({ "event_id": id, "sku": sku, "kind": "purchase", "quantity": 1 });
    let mut careful = event("e1", "Mug1");
    careful["create"] = json!(false);
    ada.changes_nothing(|| ada.post("/v1/stock-events", &careful).names(422, "/sku"));
    careful["sku"] = json!("Mug-1");
    ada.post("/v1/stock-events", &careful).is(200);
    for (id, like) in [("e2", "mug-1"), ("e3", "MUG -1"), ("e4", "\u{ff2d}ug-1"), ("e5", "Mu\u{200b}g-1"), ("e6", "\u{41c}ug-1")] {
        let result = ada.post("/v1/stock-events", &event(id, like)).is(200)["results"][0].clone();
        assert_eq!((&result["status"], &result["similar_sku"]), (&json!("accepted"), &json!("Mug-1")), "{like:?}");
        assert!(result["reason"].as_str().unwrap().contains("Mug-1"));
    }
    assert!(ada.post("/v1/stock-events", &event("e7", "Plate-1")).is(200)["results"][0].get("similar_sku").is_none());
    ada.put("/v1/sync-settings", &json!({ "create_skus": false })).is(200);
    let detail = ada.changes_nothing(|| ada.post("/v1/stock-events", &event("e8", "Bowl-1")).names(422, "/sku"));
    assert!(detail.contains("create_skus"), "{detail}");
    ada.post("/v1/stock-events", &event("e8", "Plate-1")).is(200);
}

fn every_field_that_cannot_be_read_is_named_of_one_event_and_of_one_among_many(backend: Backend) {
    let api = Api::start(backend);
    let ada = api.seller("Ada");
    let broken = json!({ "event_id": "e", "sku": 5, "kind": "gift", "quantity": "x", "colour": "red" });
    let alone = ada.post("/v1/stock-events", &broken);
    for pointer in ["/sku", "/kind", "/quantity", "/colour"] {
        alone.names(422, pointer);
    }
    let many = ada.post("/v1/stock-events", &json!([broken])).is(200);
    let named: Vec<&str> = many["results"][0]["errors"].as_array().unwrap().iter().map(|e| e["pointer"].as_str().unwrap()).collect();
    assert_eq!(named.len(), 4, "{many}");
    assert!(named.contains(&"/0/sku") && named.contains(&"/0/quantity"), "{many}");
}

fn a_new_number_beside_the_same_with_zeros_in_front_is_pointed_out(backend: Backend) {
    let api = Api::start(backend);
    let ada = api.seller("Ada");
    ada.event("e1", "00123", "purchase", 1);
    let hint = |event: &str, sku: &str| ada.event(event, sku, "purchase", 1)["results"][0]["similar_sku"].clone();
    assert_eq!((hint("e2", "123"), hint("e3", "1230")), (json!("00123"), Value::Null));
    assert_eq!(hint("e4", "0123"), "00123", "the oldest");
}

fn valid_events_are_recorded_even_beside_invalid_ones(backend: Backend) {
    let api = Api::start(backend);
    let ada = api.seller("Ada");
    let batch = json!([
        { "event_id": "g1", "sku": "S", "kind": "purchase", "quantity": 1 },
        { "event_id": "b1", "sku": "S", "kind": "purchase", "quantity": 0 },
        { "event_id": "b2", "sku": "", "kind": "gift", "quantity": 1 },
        7, null, [], "text", ["x", "S", "purchase", 9],
        { "event_id": "b3", "sku": "S", "kind": "purchase", "quantity": 1, "warehouse": "nowhere" },
        { "event_id": "g1", "sku": "S", "kind": "purchase", "quantity": 1 },
        { "event_id": "g1", "sku": "S", "kind": "purchase", "quantity": 2 },
        { "event_id": "g2", "sku": "S", "kind": "purchase", "quantity": 10 },
    ]);
    let answer = ada.post("/v1/stock-events", &batch).is(200);
    assert_eq!((&answer["accepted"], &answer["duplicates"], &answer["rejected"]), (&json!(2), &json!(1), &json!(9)), "{answer}");
    let results = answer["results"].as_array().unwrap();
    let states: Vec<(&str, Option<&str>)> = results.iter().map(|r| (r["status"].as_str().unwrap(), r["event_id"].as_str())).collect();
    let bad = ("rejected", None);
    assert_eq!(
        states,
        [
            ("accepted", Some("g1")),
            ("rejected", Some("b1")),
            ("rejected", Some("b2")),
            bad,
            bad,
            bad,
            bad,
            bad,
            ("rejected", Some("b3")),
            ("duplicate", Some("g1")),
            ("rejected", Some("g1")),
            ("accepted", Some("g2"))
        ]
    );
    let pointers: Vec<&str> = results.iter().filter_map(|r| r["errors"][0]["pointer"].as_str()).collect();
    assert_eq!(pointers, ["/1/quantity", "/2/kind", "/3", "/4", "/5", "/6", "/7", "/8/warehouse", "/10/event_id"]);
    assert!(results.iter().filter(|r| r["status"] == "rejected").all(|r| r["reason"].as_str().is_some_and(|text| !text.is_empty())));
    assert_eq!(ada.available("S"), 11);
}

fn ndjson_is_read_line_by_line(backend: Backend) {
    let api = Api::start(backend);
    let ada = api.seller("Ada");
    let good = |id: &str| format!(r#"{{"event_id":"{id}","sku":"S","kind":"purchase","quantity":1}}"#);
    let mut lines = vec![0xef, 0xbb, 0xbf];
    lines.extend(format!("{}\n\r\n   \nnot json\n{{\"event_id\":\"half\",\n{} {}\n", good("n1"), good("n2"), good("n3")).bytes());
    lines.extend(b"{\"event_id\":\"\xff\",\"sku\":\"S\",\"kind\":\"purchase\",\"quantity\":1}\n");
    lines.extend(good("n4").bytes());
    let answer = ada.send_as("POST", "/v1/stock-events", "application/x-ndjson", &lines).is(200);
    assert_eq!((&answer["accepted"], &answer["rejected"]), (&json!(2), &json!(4)), "{answer}");
    let pointers: Vec<&str> = answer["results"].as_array().unwrap().iter().filter_map(|r| r["errors"][0]["pointer"].as_str()).collect();
    assert_eq!(pointers, ["/1", "/2", "/3", "/4"]);
    assert_eq!(ada.available("S"), 2);
    let none = ada.send_as("POST", "/v1/stock-events", "application/x-ndjson", b"\n\n").is(200);
    assert_eq!(none["results"], json!([]));
}

fn the_same_id_with_another_body_is_refused_and_changes_nothing(backend: Backend) {
    let api = Api::start(backend);
    let ada = api.seller("Ada");
    ada.event("e1", "S", "purchase", 5);
    ada.changes_nothing(|| {
        let repeat = ada.event("e1", "S", "purchase", 5);
        assert_eq!((&repeat["duplicates"], &repeat["results"][0]["status"]), (&json!(1), &json!("duplicate")));
        for other in [
            json!({ "event_id": "e1", "sku": "S", "kind": "purchase", "quantity": 6 }),
            json!({ "event_id": "e1", "sku": "T", "kind": "purchase", "quantity": 5 }),
            json!({ "event_id": "e1", "sku": "S", "kind": "return", "quantity": 5 }),
        ] {
            ada.post("/v1/stock-events", &other).names(409, "/event_id");
        }
    });
    assert_eq!((ada.available("S"), ada.available("T")), (5, 0));
    let spelled_out = json!({ "warehouse": "main", "quantity": 5, "kind": "purchase", "sku": "S", "event_id": "e1", "note": null });
    assert_eq!(
        ada.post("/v1/stock-events", &spelled_out).is(200)["duplicates"],
        1,
        "spelling out a default does not make it another event"
    );
}

fn unusual_but_valid_text_comes_back_as_it_was_sent(backend: Backend) {
    let api = Api::start(backend);
    let ada = api.seller("Ada");
    let longest = "靴".repeat(128);
    for sku in [
        "赤い靴-42 ½ 👟",
        "a\u{301}",
        "\u{e1}",
        "\u{202e}evil",
        "a\u{200b}b",
        "'; DROP TABLE skus; --",
        "%00",
        "<script>",
        "a/b?c#d&e=f+g",
        "\\",
        "\"",
        "NULL",
        &longest,
    ] {
        let answer = ada.post("/v1/stock-events", &json!({ "event_id": sku, "sku": sku, "kind": "purchase", "quantity": 1 })).is(200);
        assert_eq!(answer["results"][0]["event_id"], sku);
        let encoded: String = sku.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let stock = ada.get(&format!("/v1/stock?sku={encoded}")).is(200);
        assert_eq!((stock["sku"].as_str(), &stock["total_available"]), (Some(sku), &json!(1)));
    }
    let most = 1_000_000_000_000_i64;
    ada.event("most", "M", "purchase", most);
    assert_eq!(ada.available("M"), most);
}

fn available_never_leaves_its_bounds(backend: Backend) {
    let api = Api::start(backend);
    let ada = api.seller("Ada");
    let most = 1_000_000_000_000_i64;
    let thousand: Vec<Value> =
        (0..1000).map(|i| json!({ "event_id": format!("e{i}"), "sku": "S", "kind": "purchase", "quantity": most })).collect();
    assert_eq!(ada.post("/v1/stock-events", &json!(thousand)).is(200)["accepted"], 1000);
    ada.post("/v1/stock-events", &json!({ "event_id": "over", "sku": "S", "kind": "purchase", "quantity": 1 })).names(422, "/quantity");
    assert_eq!(ada.available("S"), 1000 * most);
}

fn a_batch_may_have_ten_thousand_events_and_no_more(backend: Backend) {
    let api = Api::start(backend);
    let ada = api.seller("Ada");
    let lines = |count: usize| -> String {
        (0..count).map(|i| format!("{{\"event_id\":\"e{i}\",\"sku\":\"S{}\",\"kind\":\"purchase\",\"quantity\":1}}\n", i % 10)).collect()
    };
    let list = |count: usize| format!("[{}]", lines(count).trim_end().replace('\n', ","));
    ada.send_as("POST", "/v1/stock-events", "application/json", list(10_001).as_bytes()).names(422, "");
    ada.send_as("POST", "/v1/stock-events", "application/x-ndjson", lines(10_001).as_bytes()).names(422, "");
    assert_eq!(ada.available("S0"), 0);
    assert_eq!(ada.send_as("POST", "/v1/stock-events", "application/json", list(10_000).as_bytes()).is(200)["accepted"], 10_000);
    assert_eq!(ada.send_as("POST", "/v1/stock-events", "application/x-ndjson", lines(10_000).as_bytes()).is(200)["duplicates"], 10_000);
    assert_eq!(ada.available("S0"), 1000);
}

on_both_backends![
    whole_numbers_are_taken_in_every_form_and_fractions_are_refused_by_name,
    an_id_that_is_a_number_is_refused_and_named_by_its_text,
    a_repeat_with_another_note_or_time_is_a_duplicate,
    a_mistyped_sku_is_not_created_where_that_is_unwanted_and_pointed_out_elsewhere,
    each_bad_field_is_named_and_nothing_is_changed,
    every_field_that_cannot_be_read_is_named_of_one_event_and_of_one_among_many,
    a_new_number_beside_the_same_with_zeros_in_front_is_pointed_out,
    valid_events_are_recorded_even_beside_invalid_ones,
    ndjson_is_read_line_by_line,
    the_same_id_with_another_body_is_refused_and_changes_nothing,
    unusual_but_valid_text_comes_back_as_it_was_sent,
    available_never_leaves_its_bounds,
    a_batch_may_have_ten_thousand_events_and_no_more,
];
