//! Pairing by discovery, where a shop's list of products is not what it should be.
use crate::client::exchange;
use crate::database::Backend;
use crate::on_both_backends;
use crate::support::{Api, Expect};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

type Page = Box<dyn Fn(Option<&str>) -> Value + Send>;

/// A simulated platform that answers each request for a page with what `page` says, given the cursor.
fn shop(page: impl Fn(Option<&str>) -> Value + Send + 'static) -> (SocketAddr, Arc<AtomicUsize>) {
    shop_answering(move |request| {
        let cursor = request.split_once("after=").map(|(_, rest)| rest.split(['&', ' ']).next().unwrap().to_owned());
        page(cursor.as_deref())
    })
}

/// A simulated platform that answers each request as `answer` says.
fn shop_answering(answer: impl Fn(&str) -> Value + Send + 'static) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, calls) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&calls);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut bytes = Vec::new();
            while !bytes.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                if stream.read(&mut byte).unwrap_or(0) == 0 {
                    break;
                }
                bytes.push(byte[0]);
            }
            let request = String::from_utf8_lossy(&bytes).into_owned();
            counted.fetch_add(1, Ordering::SeqCst);
            let body = answer(&request).to_string();
            let head =
                format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
            stream.write_all(format!("{head}{body}").as_bytes()).ok();
        }
    });
    (address, calls)
}

fn item(id: &str, sku: &str) -> Value {
    json!({ "external_id": id, "quantity": 1, "sku": sku })
}

fn a_list_that_repeats_a_page_for_ever_is_ended(backend: Backend) {
    let api = Api::start(backend);
    let ada = api.seller("Ada");
    ada.event("e1", "A", "purchase", 1);
    // One ignores which page it is asked for, the other leads back to its first page.
    let ignoring: Page = Box::new(|cursor: Option<&str>| {
        let number: usize = cursor.unwrap_or("0").parse().unwrap();
        json!({ "items": [item("1", "A")], "next": (number + 1).to_string() })
    });
    let circling: Page = Box::new(|cursor: Option<&str>| match cursor {
        None | Some("a") => json!({ "items": [item("1", "A")], "next": "b" }),
        _ => json!({ "items": [item("2", "B")], "next": "a" }),
    });
    for (page, most) in [(ignoring, 3), (circling, 4)] {
        let (address, calls) = shop(page);
        let store = ada.store(&address.to_string(), address, json!({}));
        let found = ada.post(&format!("/v1/stores/{store}/discover"), &json!({})).is(200);
        assert_eq!((&found["next_cursor"], found["matched"].as_array().unwrap().len()), (&Value::Null, 1), "{found}");
        assert!(calls.load(Ordering::SeqCst) <= most, "{} calls", calls.load(Ordering::SeqCst));
    }
}

fn a_variant_on_two_pages_is_listed_once_and_two_variants_with_one_sku_are_pointed_out(backend: Backend) {
    let api = Api::start(backend);
    let ada = api.seller("Ada");
    for sku in ["A", "B", "C"] {
        ada.event(&format!("e-{sku}"), sku, "purchase", 1);
    }
    let (address, _) = shop(|cursor| match cursor {
        None => json!({ "items": [item("1", "A"), item("2", "B")], "next": "x" }),
        _ => json!({ "items": [item("2", "B"), item("3", "C"), item("4", "C")], "next": null }),
    });
    let store = ada.store("corner", address, json!({}));
    let found = ada.post(&format!("/v1/stores/{store}/discover"), &json!({ "apply": true })).is(200);
    let ids =
        |group: &str| found[group].as_array().unwrap().iter().map(|v| v["external_id"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!(
        (ids("matched"), ids("ambiguous"), &found["paired"]),
        (vec!["1".into(), "2".into()], vec!["3".into(), "4".into()], &json!(2))
    );
}

fn skus_that_are_new_here_are_created_on_request_unless_several_variants_have_them(backend: Backend) {
    let api = Api::start(backend);
    let ada = api.seller("Ada");
    let (address, _) = shop(|_| json!({ "items": [item("1", "A"), item("2", "B"), item("3", "B"), item("4", " bad ")], "next": null }));
    let store = ada.store("corner", address, json!({}));
    let path = format!("/v1/stores/{store}/discover");
    let found = ada.post(&path, &json!({ "apply": true })).is(200);
    assert_eq!((&found["paired"], &found["creatable"], found["unmatched"].as_array().unwrap().len()), (&json!(0), &json!(1), 4), "{found}");
    let created = ada.post(&path, &json!({ "apply": true, "create_skus": true })).is(200);
    assert_eq!(created["paired"], 1, "{created}");
    assert_eq!(ada.get("/v1/skus").is(200)["items"][0]["sku"], "A");
}

fn variants_with_the_same_sku_are_all_paired_on_request(backend: Backend) {
    let api = Api::start(backend);
    let ada = api.seller("Ada");
    for sku in ["A", "B"] {
        ada.event(&format!("e-{sku}"), sku, "purchase", 1);
    }
    let items = || vec![item("1", "A"), item("2", "A"), item("3", "B"), item("4", "new"), item("5", "new")];
    let (address, _) = shop(move |_| json!({ "items": items(), "next": null }));
    let store = ada.store("corner", address, json!({}));
    let (path, listings) = (format!("/v1/stores/{store}/discover"), format!("/v1/stores/{store}/listings"));
    let count = |found: &Value, group: &str| found[group].as_array().unwrap().len();
    let found = ada.post(&path, &json!({ "apply": true })).is(200);
    assert_eq!((&found["paired"], count(&found, "ambiguous"), count(&found, "unmatched")), (&json!(1), 2, 2), "{found}");
    let all = ada.post(&path, &json!({ "all_with_same_sku": true })).is(200);
    assert_eq!((count(&all, "matched"), count(&all, "ambiguous"), &all["creatable"]), (2, 0, &json!(2)), "nothing is paired yet: {all}");
    let all = ada.post(&path, &json!({ "apply": true, "all_with_same_sku": true })).is(200);
    assert_eq!((&all["paired"], &all["already_paired"]), (&json!(2), &json!(1)), "{all}");
    let again = ada.post(&path, &json!({ "apply": true })).is(200);
    assert_eq!((&again["paired"], &again["already_paired"], count(&again, "ambiguous")), (&json!(0), &json!(3), 0), "{again}");
    let created = ada.post(&path, &json!({ "apply": true, "all_with_same_sku": true, "create_skus": true })).is(200);
    assert_eq!(created["paired"], 2, "{created}");
    let listed = ada.get(&listings).is(200);
    let mut pairs: Vec<(&str, &str)> =
        listed["items"].as_array().unwrap().iter().map(|l| (l["sku"].as_str().unwrap(), l["external_id"].as_str().unwrap())).collect();
    pairs.sort_unstable();
    assert_eq!(pairs, [("A", "1"), ("A", "2"), ("B", "3"), ("new", "4"), ("new", "5")]);
    let row = json!([{ "sku": "A", "external_id": "9" }, { "sku": "B", "external_id": "3" }]);
    let preview = ada.put(&format!("{listings}?dry_run=true"), &row).is(200);
    let others = |row: usize| &preview["results"][row]["other_listings"];
    assert_eq!((others(0), others(1)), (&json!(2), &Value::Null), "{preview}");
}

/// The first request reads 40 pages and pairs what it finds; the duplicate is on the 41st.
fn duplicates_that_are_far_apart_in_a_large_catalog_are_pointed_out_and_neither_is_paired(backend: Backend) {
    let api = Api::start(backend);
    let ada = api.seller("Ada");
    for sku in ["A", "B"] {
        ada.event(&format!("e-{sku}"), sku, "purchase", 1);
    }
    let (address, _) = shop(|cursor| {
        let number: usize = cursor.unwrap_or("0").parse().unwrap();
        let items = match number {
            0 => vec![item("first", "A"), item("b", "B")],
            41 => vec![item("second", "A")],
            _ => vec![item(&format!("filler {number}"), &format!("filler {number}"))],
        };
        json!({ "items": items, "next": (number < 45).then(|| (number + 1).to_string()) })
    });
    let store = ada.store("corner", address, json!({}));
    let path = format!("/v1/stores/{store}/discover");
    let first = ada.post(&path, &json!({ "apply": true })).is(200);
    assert_eq!(first["paired"], 2, "{first}");
    let rest = ada.post(&path, &json!({ "apply": true, "cursor": first["next_cursor"] })).is(200);
    let ambiguous = rest["ambiguous"].as_array().unwrap();
    assert_eq!((ambiguous.len(), &ambiguous[0]["external_id"], &rest["paired"]), (1, &json!("second"), &json!(0)), "{rest}");
    let listings = ada.get(&format!("/v1/stores/{store}/listings")).is(200);
    let paired: Vec<&str> = listings["items"].as_array().unwrap().iter().map(|listing| listing["sku"].as_str().unwrap()).collect();
    assert_eq!(paired, ["B"], "{listings}");
}

/// As above, but while the rest is still to be read, the seller pairs one of the two variants by hand.
fn what_is_paired_by_hand_during_a_pass_is_not_undone_by_it(backend: Backend) {
    let api = Api::start(backend);
    let ada = api.seller("Ada");
    for sku in ["A", "B", "C"] {
        ada.event(&format!("e-{sku}"), sku, "purchase", 1);
    }
    let (address, _) = shop(|cursor| {
        let number: usize = cursor.unwrap_or("0").parse().unwrap();
        let items = match number {
            0 => vec![item("b", "B"), item("c1", "C")],
            41 => vec![item("second", "A"), item("b2", "B"), item("c2", "C")],
            _ => vec![item(&format!("filler {number}"), &format!("filler {number}"))],
        };
        json!({ "items": items, "next": (number < 45).then(|| (number + 1).to_string()) })
    });
    let store = ada.store("corner", address, json!({}));
    let (path, listings) = (format!("/v1/stores/{store}/discover"), format!("/v1/stores/{store}/listings"));
    let first = ada.post(&path, &json!({ "apply": true })).is(200);
    assert_eq!(first["paired"], 2, "{first}");
    let by_hand = json!([{ "sku": "A", "external_id": "hand" }, { "sku": "B", "external_id": "b" }]);
    let paired = ada.put(&listings, &by_hand).is(200);
    assert_eq!((&paired["created"], &paired["unchanged"]), (&json!(1), &json!(1)), "one is new, one confirms what was found");
    let rest = ada.post(&path, &json!({ "apply": true, "cursor": first["next_cursor"] })).is(200);
    assert_eq!(rest["ambiguous"].as_array().unwrap().len(), 3, "{rest}");
    let listed = ada.get(&listings).is(200);
    let mut ids: Vec<&str> = listed["items"].as_array().unwrap().iter().map(|listing| listing["external_id"].as_str().unwrap()).collect();
    ids.sort_unstable();
    assert_eq!(ids, ["b", "hand"], "the pairing that only the pass has made is undone: {listed}");
}

/// What somebody does meanwhile: at this address, with this key, deletes these paths and pairs under that one.
type Meanwhile = (SocketAddr, String, Vec<String>, String);

/// While the store is asked whether it still has the former listings, somebody pairs one of the SKUs with another variant.
fn a_replacement_that_fails_leaves_every_listing_as_it_was(backend: Backend) {
    let api = Api::start(backend);
    let ada = api.seller("Ada");
    for sku in ["A", "B"] {
        ada.event(&format!("e-{sku}"), sku, "purchase", 1);
    }
    let rest: Arc<OnceLock<Meanwhile>> = Arc::default();
    let meanwhile = Arc::clone(&rest);
    let (address, _) = shop_answering(move |request| {
        if request.contains("external_id=") {
            if let Some((address, key, unpaired, listings)) = meanwhile.get() {
                let authorization = format!("Bearer {key}");
                let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
                for path in unpaired {
                    exchange(*address, &crate::client::request("DELETE", path, &headers, None)).unwrap();
                }
                let row = json!([{ "sku": "A", "external_id": "other" }]).to_string();
                exchange(*address, &crate::client::request("PUT", listings, &headers, Some(row.as_bytes()))).unwrap();
            }
            let gone = ["a1", "b1"].map(|id| json!({ "external_id": id, "error": "unknown item" }));
            return json!({ "items": gone });
        }
        let cursor = request.split_once("after=").map(|(_, rest)| rest.split(['&', ' ']).next().unwrap());
        let number: usize = cursor.unwrap_or("0").parse().unwrap();
        let items =
            if number == 0 { vec![item("a2", "A"), item("b2", "B")] } else { vec![item(&format!("f{number}"), &format!("f{number}"))] };
        json!({ "items": items, "next": (number + 1).to_string() })
    });
    let store = ada.store("corner", address, json!({}));
    let (path, listings) = (format!("/v1/stores/{store}/discover"), format!("/v1/stores/{store}/listings"));
    let paired = ada.put(&listings, &json!([{ "sku": "A", "external_id": "a1" }, { "sku": "B", "external_id": "b1" }])).is(200);
    let a1 = format!("{listings}/{}", paired["results"][0]["id"].as_str().unwrap());
    rest.set((api.address, ada.key.clone(), vec![a1], listings.clone())).unwrap();
    let refused = ada.post(&path, &json!({ "apply": true, "replace": true })).is_problem(409);
    assert!(refused["detail"].as_str().unwrap().contains("nothing was replaced"), "{refused}");
    let listed = ada.get(&listings).is(200);
    let mut ids: Vec<&str> = listed["items"].as_array().unwrap().iter().map(|listing| listing["external_id"].as_str().unwrap()).collect();
    ids.sort_unstable();
    assert_eq!(ids, ["b1", "other"], "{listed}");
}

/// A seller has deleted the products and created them anew: the same SKUs, other ids.
fn products_that_were_created_anew_are_shown_and_take_the_place_of_the_former_on_demand(backend: Backend) {
    let api = Api::start(backend);
    let ada = api.seller("Ada");
    for sku in ["A", "B"] {
        ada.event(&format!("e-{sku}"), sku, "purchase", 1);
    }
    let generation = Arc::new(AtomicUsize::new(1));
    let now = Arc::clone(&generation);
    let (address, _) = shop(move |_| {
        let n = now.load(Ordering::SeqCst);
        json!({ "items": [item(&format!("a{n}"), "A"), item("b", "B")], "next": null })
    });
    let store = ada.store("corner", address, json!({}));
    let path = format!("/v1/stores/{store}/discover");
    assert_eq!(ada.post(&path, &json!({ "apply": true })).is(200)["paired"], 2);
    generation.store(2, Ordering::SeqCst);
    let listed = || -> Vec<String> {
        let listings = ada.get(&format!("/v1/stores/{store}/listings")).is(200);
        let mut ids: Vec<String> =
            listings["items"].as_array().unwrap().iter().map(|listing| listing["external_id"].as_str().unwrap().to_owned()).collect();
        ids.sort();
        ids
    };
    let found = ada.post(&path, &json!({ "apply": true })).is(200);
    assert_eq!((&found["replacing"][0]["external_id"], &found["paired"]), (&json!("a2"), &json!(0)), "{found}");
    assert!(found["replacing"][0]["reason"].as_str().unwrap().contains("a1"), "{found}");
    assert_eq!(listed(), ["a1", "b"], "only on demand");
    let replaced = ada.post(&path, &json!({ "apply": true, "replace": true })).is(200);
    assert_eq!((&replaced["paired"], listed()), (&json!(1), vec!["a2".to_owned(), "b".to_owned()]), "{replaced}");
}

on_both_backends![
    variants_with_the_same_sku_are_all_paired_on_request,
    duplicates_that_are_far_apart_in_a_large_catalog_are_pointed_out_and_neither_is_paired,
    products_that_were_created_anew_are_shown_and_take_the_place_of_the_former_on_demand,
    what_is_paired_by_hand_during_a_pass_is_not_undone_by_it,
    a_replacement_that_fails_leaves_every_listing_as_it_was,
    a_list_that_repeats_a_page_for_ever_is_ended,
    a_variant_on_two_pages_is_listed_once_and_two_variants_with_one_sku_are_pointed_out,
    skus_that_are_new_here_are_created_on_request_unless_several_variants_have_them,
];
