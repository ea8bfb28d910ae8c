//! Documents sent to Shopify against the Admin schema of the API version they are written for.
use crate::graphql::Described;
use crate::{Shop, body, description, item};
use serde_json::json;
use stocktide::platforms::call::Action;

#[test]
fn every_document_and_its_variables_fit_the_schema_of_2026_10() {
    let Some(introspection) = description("shopify/admin_2026-10.introspection.json.gz") else { return };
    let schema = Described::from_introspection(&introspection);
    let shop = Shop::new("shopify", json!({"shop": "acme", "location_id": "7"}), &["access_token"]);
    let two = || vec![item("101", &[], 5, None), item("102", &[("location_id", "8")], -2, Some(3))];
    let requests = [
        shop.request(Action::Adjust, two()),
        shop.request(Action::Set, two()),
        shop.request(Action::Read, two()),
        shop.request(Action::Check, Vec::new()),
        shop.variants_request(None),
        shop.variants_request(Some("c1")),
        Shop::new("shopify", json!({"shop": "acme"}), &["access_token"]).variants_request(Some("c1")),
    ];
    for request in &requests {
        assert!(request.url.ends_with("/admin/api/2026-10/graphql.json"));
        let body = body(request);
        schema.check(&body).unwrap_or_else(|wrong| panic!("{wrong}\nin {body}"));
    }

    let mut unknown_field = body(&requests[0]);
    unknown_field["variables"]["input"]["changes"][0]["ledger"] = json!("x");
    assert!(schema.check(&unknown_field).is_err(), "an unknown input field is detected");
    let mut unknown_selection = body(&requests[0]);
    unknown_selection["query"] = json!(unknown_selection["query"].as_str().unwrap().replace("userErrors", "failures"));
    assert!(schema.check(&unknown_selection).is_err(), "an unknown selection is detected");
}
