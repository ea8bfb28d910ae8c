//! Requests to Amazon against its published model of the Listings Items API.
use crate::rest::Described;
use crate::{Shop, description, item};
use serde_json::json;
use stocktide::platforms::call::Action;

#[test]
fn every_request_fits_the_model_of_listings_items() {
    let Some(document) = description("amazon/listingsItems_2021-08-01.json") else { return };
    let model = Described { document: &document, base: "https://sellingpartnerapi-na.amazon.com" };
    let config = json!({"region": "na", "seller_id": "A1SELLER", "marketplace_id": "ATVPDKIKX0DER"});
    let shop = Shop::new("amazon", config, &["access_token", "refresh_token", "client_id", "client_secret"]);
    let one = || vec![item("MY SKU/1", &[("product_type", "SHIRT")], 7, None)];
    let requests = [
        shop.request(Action::Set, one()),
        shop.request(Action::Read, one()),
        shop.request(Action::Check, Vec::new()),
        shop.variants_request(None),
        shop.variants_request(Some("n1")),
    ];
    for request in &requests {
        assert_eq!(model.check(request), Vec::<String>::new(), "{}", request.url);
    }

    let mut wrong = requests[0].clone();
    wrong.body = wrong.body.map(|body| body.replace("merge", "increase").replace("productType", "kind"));
    assert_eq!(model.check(&wrong).len(), 3, "an unknown value, an unknown field and a missing one are found: {:?}", model.check(&wrong));
    wrong.url = wrong.url.replace("marketplaceIds", "marketplace");
    assert_eq!(model.check(&wrong).len(), 5, "wrong parameters are found too");
}
