//! Orders of customers, placed through the shop's own API, and their parcels.
use crate::client::{exchange, request};
use crate::shop::Shop;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A customer's session.
struct Customer<'s> {
    shop: &'s Shop,
    token: Option<String>,
}

impl Customer<'_> {
    fn query(&mut self, query: &str, variables: &Value) -> Value {
        let bearer = self.token.as_ref().map(|token| format!("Bearer {token}"));
        let mut headers = vec![("content-type", "application/json")];
        headers.extend(bearer.as_deref().map(|bearer| ("authorization", bearer)));
        let body = json!({ "query": query, "variables": variables }).to_string();
        let answer = exchange(self.shop.address, &request("POST", "/shop-api", &headers, Some(body.as_bytes()))).unwrap();
        self.token = answer.header("vendure-auth-token").map(str::to_owned).or_else(|| self.token.take());
        let answer = answer.json();
        assert!(answer["errors"].is_null(), "{answer}");
        answer["data"].clone()
    }

    /// The same of a mutation, whose refusal has a type of its own.
    fn change(&mut self, name: &str, declared: &str, given: &str, variables: &Value) -> Value {
        let query = format!(
            "mutation ({declared}) {{ {name}({given}) {{ __typename ... on Order {{ id state }} ... on ErrorResult {{ errorCode message }} }} }}"
        );
        let changed = self.query(&query, variables)[name].clone();
        assert_eq!(changed["__typename"], "Order", "{name}: {changed}");
        changed
    }
}

impl Shop {
    /// The shop delivers, as it does since an earlier run that has used the same installation.
    pub fn opens(&self) {
        let known = self.query("{ shippingMethods { totalItems } }", &json!({}));
        if known["shippingMethods"]["totalItems"] != 0 {
            return;
        }
        let operation = |code: &str, arguments: Value| json!({ "code": code, "arguments": arguments });
        let free = json!([
            { "name": "rate", "value": "0" }, { "name": "includesTax", "value": "auto" }, { "name": "taxRate", "value": "0" }
        ]);
        let method = json!({
            "code": "post", "fulfillmentHandler": "manual-fulfillment",
            "checker": operation("default-shipping-eligibility-checker", json!([{ "name": "orderMinimum", "value": "0" }])),
            "calculator": operation("default-shipping-calculator", free),
            "translations": [{ "languageCode": "en", "name": "Post", "description": "" }],
        });
        let country = json!({ "code": "DE", "enabled": true, "translations": [{ "languageCode": "en", "name": "Germany" }] });
        self.query("mutation ($i: CreateCountryInput!) { createCountry(input: $i) { id } }", &json!({ "i": country }));
        self.query("mutation ($i: CreateShippingMethodInput!) { createShippingMethod(input: $i) { id } }", &json!({ "i": method }));
    }

    /// A customer orders so many of each of these, and pays. The shop allocates them; nothing leaves it yet. Returns the order.
    pub fn order(&self, units: &BTreeMap<String, i64>) -> String {
        let variants = self.variants();
        let mut customer = Customer { shop: self, token: None };
        for (sku, quantity) in units {
            let line = json!({ "id": variants[sku].id, "n": quantity });
            customer.change("addItemToOrder", "$id: ID!, $n: Int!", "productVariantId: $id, quantity: $n", &line);
        }
        let person = json!({ "i": { "firstName": "Cleo", "lastName": "Customer", "emailAddress": "cleo@customer.example" } });
        customer.change("setCustomerForOrder", "$i: CreateCustomerInput!", "input: $i", &person);
        let address = json!({ "i": { "streetLine1": "Street 1", "city": "Town", "postalCode": "12345", "countryCode": "DE" } });
        customer.change("setOrderShippingAddress", "$i: CreateAddressInput!", "input: $i", &address);
        let methods = customer.query("{ eligibleShippingMethods { id } }", &json!({}));
        let method = json!({ "id": [methods["eligibleShippingMethods"][0]["id"]] });
        customer.change("setOrderShippingMethod", "$id: [ID!]!", "shippingMethodId: $id", &method);
        let order = customer.change("transitionOrderToState", "$to: String!", "state: $to", &json!({ "to": "ArrangingPayment" }));
        let payment = json!({ "i": { "orderId": order["id"], "method": "cash", "metadata": {} } });
        let paid = self.query(
            "mutation ($i: ManualPaymentInput!) { addManualPaymentToOrder(input: $i) \
             { __typename ... on Order { state } ... on ErrorResult { message } } }",
            &payment,
        );
        assert_eq!(paid["addManualPaymentToOrder"]["state"], "PaymentSettled", "{paid}");
        order["id"].as_str().unwrap().to_owned()
    }

    /// The shop sends the parcel: what was allocated leaves its stock on hand, and what it offers stays the same.
    pub fn sends(&self, order: &str) {
        let lines = self.query("query ($id: ID!) { order(id: $id) { lines { id quantity } } }", &json!({ "id": order }));
        let lines: Vec<Value> = lines["order"]["lines"]
            .as_array()
            .unwrap()
            .iter()
            .map(|line| json!({ "orderLineId": line["id"], "quantity": line["quantity"] }))
            .collect();
        let by = json!([{ "name": "method", "value": "Post" }, { "name": "trackingCode", "value": "1" }]);
        let sent = self.query(
            "mutation ($i: FulfillOrderInput!) { addFulfillmentToOrder(input: $i) \
             { __typename ... on Fulfillment { id } ... on ErrorResult { message } } }",
            &json!({ "i": { "lines": lines, "handler": { "code": "manual-fulfillment", "arguments": by } } }),
        );
        assert_eq!(sent["addFulfillmentToOrder"]["__typename"], "Fulfillment", "{sent}");
    }
}
