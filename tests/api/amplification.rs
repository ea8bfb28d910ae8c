//! Hostile requests to every route, every form and every page, all of them found in the description and in the console's own
//! table: whatever is sent, the answer is not much longer than the request. What the process occupies meanwhile is measured in
//! `tests/processes/hostile.rs`.
use crate::client::{Answer, exchange, request};
use crate::database::Backend;
use crate::keys::fixture_for;
use crate::support::{Api, DOCUMENT, OPERATOR_KEY, Platform};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// An answer may be this many times as long as the request; a quotation mark in HTML takes five characters.
const FACTOR: usize = 5;
/// And have this many bytes for each item of the request that has a result of its own, up to as many items as are accepted.
const PER_ITEM: usize = 600;
const MAX_ITEMS: usize = 10_000;
/// A problem document with all the fields that it may name, or a page with its navigation and the names of all time zones.
const SHORT: usize = 80_000;

const NOBODY: &str = "0190a3b4-0000-7000-8000-000000000000";

/// A hostile body, and how many items it has.
struct Hostile(String, &'static str, Vec<u8>, usize);

fn times(text: &str, count: usize) -> String {
    vec![text; count].join(",")
}

/// Values that are wrong wherever they are used, and large.
fn values() -> Vec<(&'static str, String)> {
    let members = |count: usize| (0..count).map(|i| format!("\"m{i}\":1")).collect::<Vec<_>>().join(",");
    vec![
        ("a long text", format!("\"{}\"", "x".repeat(60_000))),
        ("a text of quotation marks", format!("\"{}\"", "\\\"".repeat(30_000))),
        ("a long number", "1".repeat(60_000)),
        ("a long list", format!("[{}]", times("1", 30_000))),
        ("many members", format!("{{{}}}", members(6_000))),
        ("a long name", format!("{{\"{}\":1}}", "x".repeat(60_000))),
        ("deep nesting", format!("{}{}", "[".repeat(30_000), "]".repeat(30_000))),
        ("deeply nested objects", format!("{}1{}", "{\"a\":".repeat(10_000), "}".repeat(10_000))),
    ]
}

fn json_bodies(fields: &BTreeSet<String>) -> Vec<Hostile> {
    let json = |what: String, text: String, items: usize| Hostile(what, "application/json", text.into_bytes(), items);
    let mut bodies = Vec::new();
    for (what, value) in values() {
        bodies.push(json(what.to_owned(), value.clone(), 0));
        for field in fields {
            bodies.push(json(format!("{field} is {what}"), format!("{{\"{field}\":{value}}}"), 0));
            bodies.push(json(format!("an item's {field} is {what}"), format!("[{{\"{field}\":{value}}}]"), 1));
        }
    }
    let unknown = format!("{{{}}}", (0..12).map(|i| format!("\"m{i}\":1")).collect::<Vec<_>>().join(","));
    for (what, item) in [("empty objects", "{}"), ("numbers", "1"), ("objects with unknown members", &unknown)] {
        bodies.push(json(format!("as many {what} as fit"), format!("[{}]", times(item, MAX_ITEMS)), MAX_ITEMS));
        bodies.push(json(format!("too many {what}"), format!("[{}]", times(item, MAX_ITEMS + 1)), 0));
    }
    bodies
}

fn csv_bodies() -> Vec<Hostile> {
    let csv = |what: &str, text: String, items: usize| Hostile(what.to_owned(), "text/csv", text.into_bytes(), items);
    let names = (0..30_000).map(|i| format!("c{i}")).collect::<Vec<_>>().join(",");
    let head = "sku,external_id\n";
    vec![
        csv("many columns", names.clone(), 0),
        csv("many columns beside the known ones", format!("sku,external_id,{names}\nA,a\n"), 0),
        csv("many columns without names", ",".repeat(100_000), 0),
        csv("a column with a long name", format!("sku,external_id,{}\n", "x".repeat(100_000)), 0),
        csv("a row of many fields", format!("{head}{}\n", ",".repeat(100_000)), 1),
        csv("a row with a long field", format!("{head}A,{}\n", "\"\"".repeat(50_000)), 1),
        csv("as many empty rows as fit", format!("{head}{}", ",\n".repeat(MAX_ITEMS)), MAX_ITEMS),
        csv("as many wrong rows as fit", format!("{head}{}", "a\n".repeat(MAX_ITEMS)), MAX_ITEMS),
        csv("too many rows", format!("{head}{}", "a\n".repeat(100_000)), 0),
        csv("an open quotation", format!("{head}\"{}", "A,a\n".repeat(30_000)), 1),
    ]
}

fn ndjson_bodies() -> Vec<Hostile> {
    let lines = |what: &str, text: String, items: usize| Hostile(what.to_owned(), "application/x-ndjson", text.into_bytes(), items);
    vec![
        lines("as many empty objects as fit", "{}\n".repeat(MAX_ITEMS), MAX_ITEMS),
        lines("as many broken lines as fit", "{\n".repeat(MAX_ITEMS), MAX_ITEMS),
        lines("too many lines", "1\n".repeat(100_000), 0),
        lines("many empty lines", "\n".repeat(100_000), 0),
        lines("a long line", format!("{{\"event_id\":\"{}\"}}", "x".repeat(100_000)), 1),
    ]
}

fn queries(parameters: &[String]) -> Vec<(String, String)> {
    let mut queries = vec![
        ("many parameters".to_owned(), "a&".repeat(20_000)),
        ("many different parameters".to_owned(), (0..5_000).map(|i| format!("p{i}=1&")).collect()),
        ("a long name".to_owned(), "x".repeat(50_000)),
    ];
    queries.extend(parameters.iter().map(|name| (format!("a long {name}"), format!("{name}={}", "%22".repeat(10_000)))));
    queries
}

#[track_caller]
fn assert_short(what: &str, answer: &Answer, sent: usize, items: usize) {
    assert!(answer.status < 500, "{what}: {} {:.500}", answer.status, answer.text());
    let most = FACTOR * sent + PER_ITEM * items.min(MAX_ITEMS) + SHORT;
    let length = answer.body.len();
    assert!(length <= most, "{what}: {sent} bytes are answered with {length}: {} {:.500}", answer.status, answer.text());
}

/// The names of all members of a described body, at any depth.
fn members(schema: &Value, into: &mut BTreeSet<String>) {
    if let Some(reference) = schema["$ref"].as_str() {
        return members(DOCUMENT.pointer(reference.trim_start_matches('#')).unwrap(), into);
    }
    for part in ["oneOf", "anyOf", "allOf"].iter().flat_map(|word| schema[*word].as_array().into_iter().flatten()) {
        members(part, into);
    }
    if !schema["items"].is_null() {
        members(&schema["items"], into);
    }
    into.extend(schema["properties"].as_object().into_iter().flat_map(|properties| properties.keys().cloned()));
}

/// A service with quotas that these tests cannot exhaust.
fn start() -> (Api, Platform) {
    (Api::start_with(Backend::Sqlite, &[("requests_per_second", "100000")]), Platform::start())
}

#[test]
fn no_route_answers_a_hostile_request_with_much_more_than_was_sent() {
    let (api, platform) = start();
    let (operator, ada) = (api.operator(), api.seller("Ada"));
    let fixture = fixture_for(&ada, platform.address);
    for (template, item) in DOCUMENT["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            if operation["responses"]["200"]["content"]["text/event-stream"].is_object() {
                continue;
            }
            let method = method.to_uppercase();
            let caller = if template.starts_with("/admin") { &operator } else { &ada };
            let path = if method == "DELETE" {
                template.replace("{code}", "nowhere").replace("{id}", NOBODY).replace("{key_id}", NOBODY).replace("{listing_id}", NOBODY)
            } else {
                fixture.path_of(template, &ada)
            };
            let parameters: Vec<String> = operation["parameters"]
                .as_array()
                .into_iter()
                .flatten()
                .filter(|p| p["in"] == "query")
                .map(|p| p["name"].as_str().unwrap().to_owned())
                .collect();
            for (what, query) in queries(&parameters) {
                let answer = api.call(&method, &format!("{path}?{query}"), &caller.key, None);
                assert_short(&format!("{method} {template} with {what}"), &answer, query.len(), 0);
            }
            for (media_type, content) in operation["requestBody"]["content"].as_object().into_iter().flatten() {
                let mut fields = BTreeSet::new();
                members(&content["schema"], &mut fields);
                let bodies = match media_type.as_str() {
                    "text/csv" => csv_bodies(),
                    "application/x-ndjson" => ndjson_bodies(),
                    _ => json_bodies(&fields),
                };
                for Hostile(what, media_type, bytes, items) in bodies {
                    let answer = caller.send_as(&method, &path, media_type, &bytes);
                    assert_short(&format!("{method} {template}: {what}"), &answer, bytes.len(), items);
                }
            }
        }
    }
}

/// The console's source: its table of routes is in the first file, and the names of its fields anywhere.
fn console_source() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http/console");
    let mut files = vec![folder.join("mod.rs")];
    for folder in [folder.clone(), folder.join("templates")] {
        files.extend(fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_some()));
    }
    files.iter().map(|path| fs::read_to_string(path).unwrap()).collect()
}

/// What stands between `before` and the next quotation mark, wherever it occurs.
fn quoted_after<'a>(text: &'a str, before: &str) -> Vec<&'a str> {
    text.split(before).skip(1).filter_map(|rest| rest.split('"').next()).collect()
}

#[test]
fn no_form_and_no_page_is_answered_with_much_more_than_was_sent() {
    let (api, platform) = start();
    let ada = api.seller("Ada");
    let fixture = fixture_for(&ada, platform.address);
    let source = console_source();
    let form = "application/x-www-form-urlencoded";
    let send = |method: &str, path: &str, cookie: &str, body: Option<(&str, &[u8])>| {
        let headers = [("cookie", cookie), ("content-type", body.map_or("", |(media_type, _)| media_type))];
        exchange(api.address, &request(method, path, &headers, body.map(|(_, bytes)| bytes))).unwrap()
    };
    let sign_in = |key: &str| {
        let answer = send("POST", "/console/sign-in", "", Some((form, format!("key={key}").as_bytes())));
        let cookie = answer.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
        let home = if key == OPERATOR_KEY { "/console/operator" } else { "/console/sales-channel" };
        let page = send("GET", home, &cookie, None).text();
        let csrf = quoted_after(&page, "name=\"csrf\" value=\"")[0].to_owned();
        (cookie, csrf)
    };
    let names: BTreeSet<&str> = ["name=\"", "text(\"", "some(\"", "all(\"", "has(\"", "take_file(\"", "Field::new(\""]
        .iter()
        .flat_map(|before| source.iter().flat_map(move |text| quoted_after(text, before)))
        .filter(|name| !name.is_empty() && !name.contains(['{', ' ']) && *name != "csrf")
        .collect();
    assert!(names.len() > 20 && names.contains("skus") && names.contains("search"), "{names:?}");
    let routes = |verb: &str| {
        let routes: Vec<&str> = source[0]
            .split(".route(\"")
            .skip(1)
            .filter(|rest| rest.split_once("\", ").is_some_and(|(_, after)| after.starts_with(verb)))
            .map(|rest| rest.split('"').next().unwrap())
            .collect();
        assert!(routes.len() > 15, "{routes:?}");
        routes
    };
    let path_of = |template: &str| {
        let id = match template {
            _ if template.contains("/pushes/") => &fixture.push,
            _ if template.contains("/sellers/") => &ada.id,
            _ => &fixture.store,
        };
        format!("/console{}", template.replace("{id}", id).replace("{listing}", &fixture.listing).replace("{key}", &ada.key_id))
    };
    let (sellers, operators) = (sign_in(&ada.key), sign_in(OPERATOR_KEY));
    let session_for = |template: &str| if template.starts_with("/operator") { &operators } else { &sellers };
    let parameters: String = names.iter().chain(&["after", "next", "show"]).map(|name| format!("{name}={}&", "%22".repeat(500))).collect();
    let mut queries = queries(&[]);
    queries.push(("long values".to_owned(), parameters));
    for template in routes("get()") {
        for (what, query) in &queries {
            let answer = send("GET", &format!("{}?{query}", path_of(template)), &session_for(template).0, None);
            assert_short(&format!("the page {template} with {what}"), &answer, query.len(), 0);
        }
    }
    let mut bodies = vec![
        Hostile("many fields".to_owned(), form, "a&".repeat(100_000).into_bytes(), 0),
        Hostile("fields that fit".to_owned(), form, "a&".repeat(1_900).into_bytes(), 0),
        Hostile("a long name".to_owned(), form, "x".repeat(100_000).into_bytes(), 0),
    ];
    bodies.extend(
        names.iter().map(|name| Hostile(format!("{name} is long"), form, format!("{name}={}", "\"%0A".repeat(2_000)).into_bytes(), 0)),
    );
    for (what, value) in [("long", "\"".repeat(10_000)), ("of many lines", "\"%0A".repeat(3_000))] {
        let text: String = names.iter().map(|name| format!("{name}={value}&")).collect();
        bodies.push(Hostile(format!("every field is {what}"), form, text.into_bytes(), 0));
    }
    let text: String = names.iter().map(|name| format!("{name}=\"&").repeat(1_900 / names.len())).collect();
    bodies.push(Hostile("every field is repeated".to_owned(), form, text.into_bytes(), 0));
    bodies.extend(csv_bodies().into_iter().map(|Hostile(what, _, bytes, items)| {
        let part = |name: &str| format!("--q\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n");
        let csrf = &sellers.1;
        let text = format!("{}{csrf}\r\n{}{}\r\n--q--\r\n", part("csrf"), part("file"), String::from_utf8(bytes).unwrap());
        Hostile(what, "multipart/form-data; boundary=q", text.into_bytes(), items)
    }));
    let mut templates = routes("post()");
    // What ends the session or removes what the other forms need comes last.
    templates.sort_by_key(|template| ["/delete", "/unpair", "/revoke", "/sign-out"].iter().any(|end| template.ends_with(end)));
    for template in templates {
        for Hostile(what, media_type, bytes, items) in &bodies {
            let (cookie, csrf) = session_for(template);
            let mut whole = format!("csrf={csrf}&").into_bytes();
            if media_type.starts_with("multipart") {
                whole.clear();
            }
            whole.extend(bytes);
            let answer = send("POST", &path_of(template), cookie, Some((media_type, &whole)));
            assert_short(&format!("the form {template}: {what}"), &answer, whole.len(), *items);
        }
    }
}
