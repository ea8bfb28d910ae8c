//! Requests to Medusa against the published description of the Admin API, version 2.0.0; the batch route, which that
//! version lacks, against parts of a newer one.
use crate::rest::Described;
use crate::{Shop, description, item};
use serde_json::json;
use stocktide::platforms::call::{Action, CallItem};

const BASE: &str = "https://shop.example";

fn shop(credentials: &[&str]) -> Shop {
    let mut shop = Shop::new("medusa", json!({"location_id": "sloc_1"}), credentials);
    shop.store.base_url = Some(BASE.to_owned());
    shop
}

fn two() -> Vec<CallItem> {
    vec![item("iitem_1", &[], 7, None), item("iitem_2", &[("location_id", "sloc_2")], 0, None)]
}

#[test]
fn every_request_but_the_batch_fits_the_description_of_2_0() {
    let Some(document) = description("medusa/admin.openapi.full_2.0.0.json.gz") else { return };
    let api = Described { document: &document, base: BASE };
    let (keyed, user) = (shop(&["api_key"]), shop(&["email", "password"]));
    let requests = [
        keyed.request(Action::Read, two()),
        keyed.request(Action::Check, Vec::new()),
        keyed.variants_request(None),
        keyed.variants_request(Some("100")),
        user.platform.renewal_request(&user.store, &crate::stamp(), false).unwrap(),
    ];
    for request in &requests {
        assert_eq!(api.check(request), Vec::<String>::new(), "{}", request.url);
    }

    let mut wrong = requests[0].clone();
    wrong.url = wrong.url.replace("id[]=iitem_1", "item[]=iitem_1");
    assert_eq!(api.check(&wrong), ["item[] is not a parameter of get /admin/inventory-items"]);
}

#[test]
fn a_set_fits_the_description_of_the_batch_route() {
    let Some(document) = description("medusa/inventory-levels.assembled.openapi.yaml") else { return };
    let api = Described { document: &document, base: BASE };
    let set = shop(&["api_key"]).request(Action::Set, two());
    assert_eq!(api.check(&set), Vec::<String>::new(), "{}", set.url);

    let mut wrong = set.clone();
    wrong.body = wrong.body.map(|body| body.replace("location_id", "location"));
    assert!(api.check(&wrong).contains(&"/update/0/location is not described".to_owned()), "{:?}", api.check(&wrong));
}
