//! How each platform is asked and how it answers, reduced to quantities: what a shop of that platform looks like on the
//! wire. Listings are numbered from 1001. Those of marketplaces are in a file of their own.
use super::shop::{Ask, Row};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use stocktide::platforms::call::{Method, Request};

/// An external id, and the connector's own fields.
pub type Paired = (String, Vec<(&'static str, String)>);

/// One platform's wire format.
#[derive(Clone)]
pub struct Face {
    pub platform: &'static str,
    pub config: Value,
    pub credentials: Value,
    /// The external id and the connector's own fields of a listing.
    pub listing: fn(u64) -> Paired,
    pub ask: fn(&Request) -> Ask,
    /// The answer that tells these rows.
    pub reply: fn(&Ask, &[Row]) -> Value,
    /// The answer to a call that is refused because of one of its listings: a status and a body. `None` where a bad row
    /// has its own error and the others are applied.
    pub refusal: Option<fn(u64) -> (u16, Value)>,
    /// Whether the platform may be asked for the same thing again under a key.
    pub keyed: bool,
    /// Rows in one call.
    pub batch: usize,
}

pub(super) fn body(request: &Request) -> Value {
    request.body.as_deref().map_or(Value::Null, |text| serde_json::from_str(text).unwrap_or(Value::Null))
}

pub(super) fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| digits(value.as_str().unwrap_or_default()))
}

/// The digits at the end of an id.
pub(super) fn digits(text: &str) -> u64 {
    let start = text.rfind(|c: char| !c.is_ascii_digit()).map_or(0, |at| at + 1);
    text[start..].parse().unwrap_or_default()
}

pub(super) fn pairs(list: &Value, id: &str, quantity: &str) -> Vec<(u64, i64)> {
    let pair = |row: &Value| Some((number(&row[id]), row.pointer(quantity)?.as_i64()?));
    list.as_array().into_iter().flatten().filter_map(pair).collect()
}

pub(super) fn reads(request: &Request) -> bool {
    request.method == Method::Get
}

pub(super) fn rows(rows: &[Row], row: impl Fn(&Row) -> Value) -> Value {
    rows.iter().map(row).collect::<Vec<_>>().into()
}

pub(super) fn plain(n: u64) -> Paired {
    (n.to_string(), Vec::new())
}

pub(super) fn query(request: &Request, name: &str) -> Vec<String> {
    let query = request.url.split_once('?').map_or("", |(_, query)| query);
    let values = query.split('&').filter_map(|pair| pair.split_once('=')).filter(|(key, _)| *key == name);
    values.flat_map(|(_, value)| value.replace("%2C", ",").split(',').map(str::to_owned).collect::<Vec<_>>()).collect()
}

pub fn simulated() -> Face {
    Face {
        platform: "simulated",
        config: json!({"external_store": "acme", "abilities": {"adjust": false, "idempotency": false}}),
        credentials: json!({}),
        listing: plain,
        ask: |request| match reads(request) {
            true => Ask::Read(query(request, "external_id").iter().map(|id| digits(id)).collect()),
            false => Ask::Set(pairs(&body(request)["items"], "external_id", "/quantity")),
        },
        reply: |_, found| json!({"items": rows(found, |row| json!({"external_id": row.id(), "quantity": row.quantity}))}),
        refusal: Some(|_| (400, json!({"error": "bad item"}))),
        keyed: false,
        batch: 100,
    }
}

pub fn shopify() -> Face {
    Face {
        platform: "shopify",
        config: json!({"location_id": "1"}),
        credentials: json!({"access_token": "t"}),
        listing: plain,
        ask: |request| {
            let body = body(request);
            let (query, variables) = (body["query"].as_str().unwrap_or_default(), &body["variables"]);
            let ids = |list: &Value| list.as_array().into_iter().flatten().map(number).collect::<Vec<_>>();
            if query.starts_with("mutation Set") {
                Ask::Set(pairs(&variables["input"]["quantities"], "inventoryItemId", "/quantity"))
            } else if query.starts_with("mutation") {
                Ask::Add(pairs(&variables["input"]["changes"], "inventoryItemId", "/delta"))
            } else {
                Ask::Read(ids(&variables["ids0"]))
            }
        },
        reply: |ask, found| {
            let item = |row: &Row| format!("gid://shopify/InventoryItem/{}", row.n);
            let group = |name: &str| {
                let change = |row: &Row| {
                    json!({"name": "available", "delta": 1, "item": {"id": item(row), "tracked": row.tracked, "at0": {"isActive": row.active}},
                        "location": {"id": "gid://shopify/Location/1"}})
                };
                json!({"data": {name: {"inventoryAdjustmentGroup": {"id": "1", "changes": rows(found, change)}, "userErrors": []}}})
            };
            match ask {
                Ask::Set(_) => group("inventorySetQuantities"),
                Ask::Add(_) => group("inventoryAdjustQuantities"),
                _ => json!({"data": {"at0": rows(found, |row| json!({"id": item(row), "tracked": row.tracked,
                    "inventoryLevel": {"isActive": row.active, "quantities": [{"name": "available", "quantity": row.quantity}]}}))}}),
            }
        },
        refusal: None,
        keyed: true,
        batch: 250,
    }
}

pub fn woocommerce() -> Face {
    Face {
        platform: "woocommerce",
        config: json!({}),
        credentials: json!({"consumer_key": "ck_1", "consumer_secret": "cs_1"}),
        listing: plain,
        ask: |request| match reads(request) {
            true => Ask::Read(query(request, "include").iter().map(|id| digits(id)).collect()),
            false => Ask::Set(pairs(&body(request)["update"], "id", "/stock_quantity")),
        },
        reply: |ask, found| {
            let row = |row: &Row| json!({"id": row.id(), "manage_stock": row.tracked, "stock_quantity": row.quantity});
            match ask {
                Ask::Set(_) => json!({"update": rows(found, row)}),
                _ => rows(found, row),
            }
        },
        refusal: Some(|_| (400, json!({"code": "rest_invalid_param", "message": "bad"}))),
        keyed: false,
        batch: 100,
    }
}

pub fn vendure() -> Face {
    Face {
        platform: "vendure",
        config: json!({"location_id": "5"}),
        credentials: json!({"api_key": "k"}),
        listing: plain,
        ask: |request| {
            let body = body(request);
            match body["variables"]["ids"].as_array() {
                Some(ids) => Ask::Read(ids.iter().map(number).collect()),
                None => Ask::Set(pairs(&body["variables"]["input"], "id", "/stockLevels/0/stockOnHand")),
            }
        },
        reply: |ask, found| {
            let variant = |row: &Row| {
                json!({"id": row.id(), "trackInventory": if row.tracked { "TRUE" } else { "FALSE" },
                    "stockLevels": [{"stockLocationId": "5", "stockOnHand": row.on_hand, "stockAllocated": row.reserved}]})
            };
            match ask {
                Ask::Set(_) => json!({"data": {"updateProductVariants": rows(found, variant)}}),
                _ => json!({"data": {"productVariants": {"items": rows(found, variant)}, "globalSettings": {"trackInventory": true}}}),
            }
        },
        refusal: Some(|n| {
            (
                200,
                json!({"data": null, "errors": [{"message": format!("No ProductVariant with the id \"{n}\" could be found"),
                "extensions": {"code": "ENTITY_NOT_FOUND"}}]}),
            )
        }),
        keyed: false,
        batch: 50,
    }
}

pub fn medusa() -> Face {
    Face {
        platform: "medusa",
        config: json!({"location_id": "sloc_1"}),
        credentials: json!({"api_key": "k"}),
        listing: |n| (format!("iitem_{n}"), Vec::new()),
        ask: |request| match reads(request) {
            true => {
                let url = request.url.replace("%5B", "[").replace("%5D", "]");
                let query = url.split_once('?').map_or("", |(_, query)| query);
                Ask::Read(query.split('&').filter_map(|pair| pair.strip_prefix("id[]=")).map(digits).collect())
            }
            false => Ask::Set(pairs(&body(request)["update"], "inventory_item_id", "/stocked_quantity")),
        },
        reply: |ask, found| {
            let id = |row: &Row| format!("iitem_{}", row.n);
            match ask {
                Ask::Set(_) => json!({"created": [], "deleted": [],
                    "updated": rows(found, |row| json!({"inventory_item_id": id(row), "location_id": "sloc_1"}))}),
                _ => {
                    let level =
                        |row: &Row| json!({"location_id": "sloc_1", "stocked_quantity": row.on_hand, "reserved_quantity": row.reserved});
                    json!({"inventory_items": rows(found, |row| json!({"id": id(row), "location_levels": [level(row)]})), "count": 1})
                }
            }
        },
        refusal: Some(|n| (404, json!({"type": "not_found", "message": format!("Item iitem_{n} is not stocked at location sloc_1")}))),
        keyed: false,
        batch: 100,
    }
}

/// The fields of a listing as the service stores them.
pub fn extra(face: &Face, n: u64) -> Option<BTreeMap<String, String>> {
    let (_, fields) = (face.listing)(n);
    (!fields.is_empty()).then(|| fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}
