//! Requests to eBay against its published description of the Sell Inventory API.
use crate::rest::Described;
use crate::{Shop, description, item};
use serde_json::json;
use stocktide::platforms::call::Action;

#[test]
fn every_request_fits_the_description_of_sell_inventory() {
    let Some(document) = description("ebay/sell_inventory_v1_oas3.json") else { return };
    let api = Described { document: &document, base: "https://api.ebay.com/sell/inventory/v1" };
    let shop =
        Shop::new("ebay", json!({"merchant_location_key": "EAST"}), &["access_token", "refresh_token", "client_id", "client_secret"]);
    let two = || vec![item("ABC", &[], 7, None), item("DEF", &[("offer_id", "36445435465")], 0, None)];
    let requests = [
        shop.request(Action::Set, two()),
        shop.request(Action::Read, two()),
        shop.request(Action::Check, Vec::new()),
        shop.variants_request(None),
        shop.variants_request(Some("100")),
    ];
    for request in &requests {
        assert_eq!(api.check(request), Vec::<String>::new(), "{}", request.url);
    }

    let mut wrong = requests[0].clone();
    wrong.body = wrong.body.map(|body| body.replace("availableQuantity", "quantityAvailable"));
    assert_eq!(api.check(&wrong), ["/requests/1/offers/0/quantityAvailable is not described"]);
}
