//! Documents sent to Vendure against the Admin schemas of 3.7.3, as reported by a running server, and of 3.5.4.
use crate::graphql::Described;
use crate::{Shop, body, description, item};
use serde_json::json;
use stocktide::platforms::call::Action;

#[test]
fn every_document_and_its_variables_fit_the_schemas_of_3_7_and_3_5() {
    for version in ["3.7.3", "3.5.4"] {
        let Some(introspection) = description(&format!("vendure/schema-admin_{version}.introspection.json.gz")) else { return };
        let schema = Described::from_introspection(&introspection);
        let two = || vec![item("7", &[], 5, None), item("8", &[("location_id", "2")], -2, None)];
        let mut requests = Vec::new();
        for config in [json!({}), json!({"location_id": "1", "channel_token": "eu"})] {
            let mut shop = Shop::new("vendure", config, &["username", "password", "access_token"]);
            shop.store.base_url = Some("https://shop.example".to_owned());
            requests.extend([
                shop.request(Action::Set, two()),
                shop.request(Action::Read, two()),
                shop.request(Action::Check, Vec::new()),
                shop.variants_request(None),
                shop.variants_request(Some("100")),
                shop.platform.renewal_request(&shop.store, &crate::stamp(), true).unwrap(),
            ]);
        }
        for request in &requests {
            assert_eq!(request.url, "https://shop.example/admin-api");
            let body = body(request);
            schema.check(&body).unwrap_or_else(|wrong| panic!("{version}: {wrong}\nin {body}"));
        }

        let mut unknown_field = body(&requests[0]);
        unknown_field["variables"]["input"][0]["stockOnHold"] = json!(1);
        assert!(schema.check(&unknown_field).is_err(), "an unknown input field is detected");
        let mut unknown_selection = body(&requests[1]);
        unknown_selection["query"] = json!(unknown_selection["query"].as_str().unwrap().replace("trackInventory", "tracksInventory"));
        assert!(schema.check(&unknown_selection).is_err(), "an unknown selection is detected");
    }
}
