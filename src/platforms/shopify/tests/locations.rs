//! Where the stock of a shop with several locations is written, and where it is not.
use super::*;

/// A location, and whether a level there is active, the location itself is, it fulfills online orders, and is a service's.
fn level(id: u32, active: bool, [open, online, service]: [bool; 3]) -> Value {
    json!({"isActive": active, "location": {"id": format!("gid://shopify/Location/{id}"), "name": format!("Place {id}"),
        "isActive": open, "fulfillsOnlineOrders": online, "isFulfillmentService": service}})
}

const SELLS: [bool; 3] = [true, true, false];

fn variants(store: &StoreConnection, items: &[Value]) -> Result<VariantPage, Outcome> {
    let nodes: Vec<Value> = items.iter().map(|item| json!({"sku": "A", "displayName": "Shirt", "inventoryItem": item})).collect();
    let body = json!({"data": {"productVariants": {"nodes": nodes, "pageInfo": {"hasNextPage": true, "endCursor": "c1"}}}});
    Shopify.variants(store, None, &test_reply(200, &[], &body.to_string()))
}

#[test]
fn variants_of_a_store_that_names_its_location_have_none_of_their_own() {
    let item = |id: u32, tracked: bool, level: Value| json!({"id": format!("gid://shopify/InventoryItem/{id}"), "tracked": tracked, "inventoryLevel": level});
    let items = [item(1, true, json!({"isActive": true})), item(2, true, json!({"isActive": false})), item(3, false, Value::Null)];
    let page = variants(&store(), &items).unwrap();
    let found: Vec<_> = page.variants.iter().map(|v| (v.extra.len(), v.title.as_str())).collect();
    let elsewhere = "(not stocked at the store's location)";
    assert_eq!(
        found,
        [(0, "Shirt"), (0, format!("Shirt {elsewhere}").as_str()), (0, format!("Shirt (inventory not tracked) {elsewhere}").as_str())]
    );
    assert_eq!(page.next.as_deref(), Some("c1"));
    let request = Shopify.variants_request(&store(), Some("c1"), &test_stamp("2026-11-24T12:00:00Z")).unwrap();
    assert_eq!(self::body(&request)["variables"], json!({"first": 20, "location": "gid://shopify/Location/7", "after": "c1"}));
}

#[test]
fn no_location_is_chosen_for_a_store_that_names_none() {
    let item = |levels: Vec<Value>| json!({"id": "gid://shopify/InventoryItem/1", "tracked": true, "inventoryLevels": {"nodes": levels}});
    let none = StoreConnection { config: json!({"shop": "acme"}).as_object().unwrap().clone(), ..store() };
    let only = [
        level(1, true, [true, true, true]),
        level(2, true, [true, false, false]),
        level(3, true, [false, true, false]),
        level(4, false, SELLS),
        level(5, true, SELLS),
    ];
    let page = variants(&none, &[item(only.to_vec()), item(vec![])]).unwrap();
    let found: Vec<_> = page.variants.iter().map(|v| v.extra.get("location_id").map(String::as_str)).collect();
    assert_eq!(found, [Some("gid://shopify/Location/5"), None]);
    let several = variants(&none, &[item(vec![level(5, true, SELLS), level(6, true, SELLS)])]).unwrap_err();
    let Outcome::Refused { reason, .. } = several else { panic!("{several:?}") };
    assert!(reason.contains("Place 5 (5), Place 6 (6)") && reason.contains("location_id"), "{reason}");
}

#[test]
fn a_check_lists_the_locations_among_which_the_seller_has_to_choose() {
    let check = Call { action: Action::Check, items: vec![], idempotency_key: None };
    let place = |id: u32, what: [bool; 3]| level(id, true, what)["location"].clone();
    let scopes: Vec<Value> =
        ["read_inventory", "write_inventory", "read_products"].iter().map(|handle| json!({"handle": handle})).collect();
    let body = |places: Vec<Value>| {
        json!({"data": {"inventoryItems": {"nodes": []}, "currentAppInstallation": {"accessScopes": scopes},
            "locations": {"nodes": places}}})
    };
    let none = StoreConnection { config: json!({"shop": "acme"}).as_object().unwrap().clone(), ..store() };
    let noted = |store: &StoreConnection, places: Vec<Value>| {
        let reply = test_reply(200, &[], &body(places).to_string());
        match Shopify.outcome(store, &check, &reply) {
            Outcome::Answered(notes) => notes.into_iter().map(|note| format!("{note:?}")).collect::<String>(),
            other => panic!("{other:?}"),
        }
    };
    let two = || vec![place(1, SELLS), place(2, SELLS), place(3, [true, true, true])];
    assert!(noted(&none, two()).contains("Place 1 (1), Place 2 (2). Set"));
    assert_eq!(noted(&none, vec![place(1, SELLS), place(3, [true, false, false])]), "");
    assert_eq!(noted(&store(), two()), "", "the store has chosen");
}

#[test]
fn a_write_to_a_level_that_is_not_active_is_rejected_with_the_step_to_take() {
    let change = |id: u32, active: bool| {
        json!({"name": "available", "delta": 5, "location": {"id": "gid://shopify/Location/7"},
            "item": {"id": format!("gid://shopify/InventoryItem/{id}"), "tracked": true, "at0": {"isActive": active}}})
    };
    let group = json!({"id": "gid://shopify/InventoryAdjustmentGroup/1", "changes": [change(101, true), change(102, false)]});
    let results =
        results_of(&adjust(), &json!({"data": {"inventoryAdjustQuantities": {"inventoryAdjustmentGroup": group, "userErrors": []}}}));
    assert_eq!(results[0], ItemResult::Applied { shown: None });
    assert!(matches!(&results[1], ItemResult::Rejected { next_step, .. } if next_step.contains("Stock the variant")), "{results:?}");
}
