//! Shopify's requests: the GraphQL documents, and the variables built from a call.
use super::super::call::{Action, Call, CallItem, Method, Request, StoreConnection};
use super::id::gid;
use super::wire::{Document, Input, Row, Variables};
use secrecy::ExposeSecret;
use serde::Serialize;
use serde_json::{Map, json};
use std::collections::BTreeMap;

const API_VERSION: &str = "2026-10";
/// The largest quantity that is sent. GraphQL's integers have 32 bits, and Shopify's own bounds are narrower.
const MAX_UNITS: i64 = 1_000_000_000;
/// The reason for a change, as Shopify's inventory history shows it.
const REASON: &str = "correction";

/// Succeeds only with permission to read inventory, and says what else the app may do and where the shop sells from.
pub(super) const CHECK: &str = "query Check { shop { myshopifyDomain } inventoryItems(first: 1) { nodes { id } } currentAppInstallation { accessScopes { handle } } \
    locations(first: 50) { nodes { id name isActive fulfillsOnlineOrders isFulfillmentService } } }";
/// Variants with the levels of their stock, for stores that name no location.
pub(super) const VARIANTS: &str = "query Variants($first: Int!, $levels: Int!, $after: String) { productVariants(first: $first, after: $after) { \
    nodes { sku displayName inventoryItem { id tracked inventoryLevels(first: $levels) { nodes { isActive \
    location { id name isActive fulfillsOnlineOrders isFulfillmentService } } } } } \
    pageInfo { hasNextPage endCursor } } }";
/// Variants with the level of their stock at the store's location.
pub(super) const VARIANTS_AT: &str = "query Variants($first: Int!, $location: ID!, $after: String) { productVariants(first: $first, after: $after) { \
    nodes { sku displayName inventoryItem { id tracked inventoryLevel(locationId: $location, includeInactive: true) { isActive } } } \
    pageInfo { hasNextPage endCursor } } }";

/// The document of a mutation at so many locations. A write to a level that is not active succeeds without anything being
/// sold from there, so each change says whether its item's level at each of the locations is.
fn document(action: Action, locations: usize) -> String {
    let (operation, field, input) = match action {
        Action::Adjust => ("Adjust", "inventoryAdjustQuantities", "InventoryAdjustQuantitiesInput"),
        _ => ("Set", "inventorySetQuantities", "InventorySetQuantitiesInput"),
    };
    let parameters: String = (0..locations).map(|n| format!(", $location{n}: ID!")).collect();
    let levels: String =
        (0..locations).map(|n| format!(" at{n}: inventoryLevel(locationId: $location{n}, includeInactive: true) {{ isActive }}")).collect();
    format!(
        "mutation {operation}($input: {input}!, $key: String!{parameters}) {{ {field}(input: $input) @idempotent(key: $key) {{ \
         inventoryAdjustmentGroup {{ id changes {{ name delta item {{ id tracked{levels} }} location {{ id }} }} }} \
         userErrors {{ code field message }} }} }}"
    )
}

pub(super) fn base(store: &StoreConnection) -> Result<String, String> {
    if let Some(url) = &store.base_url {
        return Ok(url.trim_end_matches('/').to_owned());
    }
    let shop = store.setting("shop").ok_or("The store has neither shop nor base_url.")?;
    Ok(format!("https://{}.myshopify.com", shop.trim_end_matches(".myshopify.com")))
}

/// A request with this document. It depends only on the arguments, so a repetition is identical.
pub(super) fn graphql(store: &StoreConnection, query: &str, variables: impl Serialize) -> Result<Request, String> {
    let url = format!("{}/admin/api/{API_VERSION}/graphql.json", base(store)?);
    let token = store.secret("access_token")?;
    let request = Request::json(Method::Post, url, &Document { query, variables })?;
    Ok(request.header("accept", "application/json").secret_header("x-shopify-access-token", token.expose_secret()))
}

/// The full IDs of the listing's inventory item and location.
pub(super) fn item_and_location(store: &StoreConnection, item: &CallItem) -> Result<(String, String), String> {
    let location = own_location(item)
        .or_else(|| store.setting("location_id"))
        .ok_or("Neither the listing nor its store has a location_id, so its Shopify location is unknown.")?;
    Ok((gid("InventoryItem", &item.external_id)?, gid("Location", location)?))
}

pub(super) fn own_location(item: &CallItem) -> Option<&str> {
    item.extra.get("location_id").map(String::as_str).filter(|id| !id.is_empty())
}

fn units(item: &CallItem) -> Result<i64, String> {
    if item.quantity.abs() <= MAX_UNITS {
        return Ok(item.quantity);
    }
    Err(format!("Shopify accepts quantities from -{MAX_UNITS} to {MAX_UNITS}; this one is {}.", item.quantity))
}

fn row(store: &StoreConnection, item: &CallItem, action: Action) -> Result<Row, String> {
    let ((inventory_item_id, location_id), units) = (item_and_location(store, item)?, units(item)?);
    let (delta, quantity) = if action == Action::Adjust { (Some(units), None) } else { (None, Some(units)) };
    Ok(Row { inventory_item_id, location_id, delta, quantity, change_from_quantity: item.expected })
}

pub(super) fn mutation(store: &StoreConnection, call: &Call) -> Result<Request, String> {
    let key = call.idempotency_key.as_deref().ok_or("Shopify accepts no change without an idempotency key.")?;
    let rows = call.items.iter().map(|item| row(store, item, call.action)).collect::<Result<Vec<_>, _>>()?;
    let input = |changes, quantities| Input { name: "available", reason: REASON, changes, quantities };
    let input = match call.action {
        Action::Adjust => input(Some(rows), None),
        _ => input(None, Some(rows)),
    };
    let locations = by_location(store, call)?.into_iter().enumerate().map(|(n, (location, _))| (format!("location{n}"), location));
    let locations: BTreeMap<String, String> = locations.collect();
    graphql(store, &document(call.action, locations.len()), Variables { input, key, locations })
}

/// The items of a read grouped by location, because levels are queried by location: (location, items).
pub(super) fn by_location(store: &StoreConnection, call: &Call) -> Result<Vec<(String, Vec<String>)>, String> {
    let mut groups: Vec<(String, Vec<String>)> = Vec::new();
    for item in &call.items {
        let (item, location) = item_and_location(store, item)?;
        match groups.iter_mut().find(|(known, _)| *known == location) {
            Some((_, items)) => items.push(item),
            None => groups.push((location, vec![item])),
        }
    }
    Ok(groups)
}

pub(super) fn read(store: &StoreConnection, call: &Call) -> Result<Request, String> {
    let (mut parameters, mut fields, mut variables) = (Vec::new(), Vec::new(), Map::new());
    for (n, (location, items)) in by_location(store, call)?.into_iter().enumerate() {
        parameters.push(format!("$ids{n}: [ID!]!, $location{n}: ID!"));
        fields.push(format!(
            "at{n}: nodes(ids: $ids{n}) {{ ... on InventoryItem {{ id tracked \
             inventoryLevel(locationId: $location{n}, includeInactive: true) {{ isActive quantities(names: [\"available\"]) {{ name quantity }} }} }} }}"
        ));
        variables.insert(format!("ids{n}"), json!(items));
        variables.insert(format!("location{n}"), json!(location));
    }
    graphql(store, &format!("query Read({}) {{ {} }}", parameters.join(", "), fields.join(" ")), variables)
}
