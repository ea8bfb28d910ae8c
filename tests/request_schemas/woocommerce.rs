//! Requests to WooCommerce against a description of wc/v3. It has no batch routes, so each row of a batch is checked as an
//! update of one product or variation, which is what a batch consists of.
use crate::rest::Described;
use crate::{Shop, body, description, item};
use serde_json::{Value, json};
use stocktide::platforms::call::{Action, CallItem, Method, Request};

const BASE: &str = "https://shop.example/wp-json/wc/v3";

/// Drops WordPress's own `_fields` parameter, which every route accepts and no description mentions.
fn without_fields(mut request: Request) -> Request {
    let (path, query) = request.url.split_once('?').unwrap();
    let query: Vec<&str> = query.split('&').filter(|pair| !pair.starts_with("_fields=")).collect();
    request.url = format!("{path}?{}", query.join("&"));
    request
}

/// Turns each row of a batch into a separate update.
fn rows(batch: &Request) -> Vec<Request> {
    let path = batch.url.split_once("/batch?").unwrap().0;
    let update = |row: &Value| {
        let mut fields = row.as_object().unwrap().clone();
        let id = fields.remove("id").unwrap();
        // A global parameter of WordPress, as above.
        fields.remove("_fields");
        Request { method: Method::Put, body: Some(json!(fields).to_string()), ..Request::get(format!("{path}/{id}")) }
    };
    body(batch)["update"].as_array().unwrap().iter().map(update).collect()
}

/// WordPress ignores a parameter that it does not know, and caches do not.
fn without_fresh(request: Request) -> Request {
    let (path, query) = request.url.split_once('?').unwrap();
    let kept: Vec<&str> = query.split('&').filter(|pair| !pair.starts_with("fresh=")).collect();
    Request { url: format!("{path}?{}", kept.join("&")), ..request }
}

#[test]
fn every_request_fits_the_description_of_wc_v3() {
    let Some(document) = description("woocommerce/woocommerce-openapi-3.0.x.yml") else { return };
    let api = Described { document: &document, base: BASE };
    let mut shop = Shop::new("woocommerce", json!({"manage_stock": true}), &["consumer_key", "consumer_secret"]);
    shop.store.base_url = Some("https://shop.example".to_owned());
    let simple = || vec![item("799", &[], 5, None), item("800", &[], 0, None)];
    let variations = || -> Vec<CallItem> { vec![item("21", &[("parent_id", "2")], 5, None)] };
    let read = [
        shop.request(Action::Read, simple()),
        shop.request(Action::Read, variations()),
        shop.variants_request(None),
        shop.variants_request(Some("0:1:2")),
    ];
    let mut requests: Vec<Request> = read.into_iter().map(without_fields).map(without_fresh).collect();
    requests.extend([simple(), variations()].into_iter().flat_map(|items| rows(&shop.request(Action::Set, items))));
    assert_eq!(requests.len(), 7);
    for request in &requests {
        assert_eq!(api.check(request), Vec::<String>::new(), "{}", request.url);
    }

    let mut wrong = requests[4].clone();
    wrong.body = wrong.body.map(|body| body.replace("stock_quantity", "stock"));
    assert_eq!(api.check(&wrong), ["/stock is not described"]);
}
