//! A shop is connected once: a second store for the same shop would get every increase twice.
use crate::database::Backend;
use crate::on_both_backends;
use crate::support::{Api, Expect};
use serde_json::{Value, json};

fn woocommerce(address: &str) -> Value {
    json!({ "name": address.trim(), "platform": "woocommerce", "base_url": address,
        "credentials": { "consumer_key": "ck_1", "consumer_secret": "cs_1" } })
}

fn simulated(name: &str, address: &str, external: &str) -> Value {
    json!({ "name": name, "platform": "simulated", "base_url": address, "external_store": external })
}

fn a_second_store_for_the_same_shop_is_refused_however_its_address_is_spelled(backend: Backend) {
    let api = Api::start(backend);
    let ada = api.seller("Ada");
    let first = ada.post("/v1/stores", &woocommerce("https://shop.example.com")).is(201);
    ada.changes_nothing(|| {
        for same in
            ["Https://Shop.Example.com/", "http://www.shop.example.com", " https://shop.example.com:443 ", "https://shop.example.com."]
        {
            let answer = ada.post("/v1/stores", &woocommerce(same));
            answer.names(409, "/base_url");
            let problem = answer.is_problem(409);
            assert!(problem["detail"].as_str().unwrap().contains("https://shop.example.com"), "names the store: {problem}");
        }
    });
    let other = ada.post("/v1/stores", &woocommerce("https://other.example.com")).is(201);
    let path = format!("/v1/stores/{}", other["id"].as_str().unwrap());
    ada.changes_nothing(|| ada.patch(&path, &json!({ "base_url": "https://shop.example.com/" })).is_problem(409));
    ada.patch(&path, &json!({ "name": "Other" })).is(200);
    let ben = api.seller("Ben");
    ben.post("/v1/stores", &woocommerce("https://shop.example.com")).is(201);
    ada.delete(&format!("/v1/stores/{}", first["id"].as_str().unwrap())).is(204);
    ada.patch(&path, &json!({ "base_url": "https://shop.example.com/" })).is(200);
}

fn a_simulated_shop_is_its_address_and_its_name_there(backend: Backend) {
    let api = Api::start(backend);
    let ada = api.seller("Ada");
    ada.post("/v1/stores", &simulated("a", "http://127.0.0.1:9", "corner")).is(201);
    ada.post("/v1/stores", &simulated("b", "HTTP://127.0.0.1:9/", "corner")).names(409, "/external_store");
    ada.post("/v1/stores", &simulated("c", "http://127.0.0.1:9", "market")).is(201);
    ada.post("/v1/stores", &simulated("d", "http://127.0.0.1:10", "corner")).is(201);
    for name in ["e", "f"] {
        ada.post("/v1/stores", &json!({ "name": name, "platform": "simulated", "base_url": "http://127.0.0.1:9" })).is(201);
    }
}

fn of_many_that_connect_a_shop_at_once_one_succeeds(backend: Backend) {
    let api = Api::start_with(backend, &[("http_workers", "4")]);
    let ada = api.seller("Ada");
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..8)
            .map(|n| {
                let (api, key) = (&api, ada.key.clone());
                scope
                    .spawn(move || api.caller(&key).post("/v1/stores", &simulated(&format!("s{n}"), "http://127.0.0.1:9", "corner")).status)
            })
            .collect();
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    });
    let mut sorted = statuses;
    sorted.sort_unstable();
    assert_eq!(sorted, [201, 409, 409, 409, 409, 409, 409, 409]);
    assert_eq!(ada.get("/v1/stores").is(200)["items"].as_array().unwrap().len(), 1);
}

fn an_address_is_kept_in_its_usual_form(backend: Backend) {
    let api = Api::start(backend);
    let ada = api.seller("Ada");
    for (n, (entered, kept)) in [
        ("Https://Shop.Example.com/", "https://shop.example.com"),
        ("  https://b.example.com/shop/  ", "https://b.example.com/shop"),
        ("https://www.c.example.com", "https://www.c.example.com"),
    ]
    .into_iter()
    .enumerate()
    {
        let store = ada.post("/v1/stores", &woocommerce(entered)).is(201);
        assert_eq!(store["base_url"], kept, "{n}");
    }
    for none in ["shop.example.com", "ftp://shop.example.com", "https://", " ", "https://a b.example.com"] {
        let mut store = woocommerce(none);
        store["name"] = json!("None");
        ada.post("/v1/stores", &store).names(422, "/base_url");
    }
}

on_both_backends![
    a_second_store_for_the_same_shop_is_refused_however_its_address_is_spelled,
    a_simulated_shop_is_its_address_and_its_name_there,
    of_many_that_connect_a_shop_at_once_one_succeeds,
    an_address_is_kept_in_its_usual_form,
];
