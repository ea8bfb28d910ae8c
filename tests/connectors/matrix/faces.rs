//! How each platform is asked and how it answers, reduced to quantities: what a shop of that platform looks like on the
//! wire. Listings are numbered from 1001.
use super::shop::{Ask, Row};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use stocktide::platforms::call::{Method, Request};

/// One platform's wire format.
#[derive(Clone)]
pub struct Face {
    pub platform: &'static str,
    pub config: Value,
    pub credentials: Value,
    /// The external id and the connector's own fields of a listing.
    pub listing: fn(u64) -> (String, Vec<(&'static str, String)>),
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

fn body(request: &Request) -> Value {
    request.body.as_deref().map_or(Value::Null, |text| serde_json::from_str(text).unwrap_or(Value::Null))
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| digits(value.as_str().unwrap_or_default()))
}

/// The digits at the end of an id.
fn digits(text: &str) -> u64 {
    let start = text.rfind(|c: char| !c.is_ascii_digit()).map_or(0, |at| at + 1);
    text[start..].parse().unwrap_or_default()
}

fn pairs(list: &Value, id: &str, quantity: &str) -> Vec<(u64, i64)> {
    let pair = |row: &Value| Some((number(&row[id]), row.pointer(quantity)?.as_i64()?));
    list.as_array().into_iter().flatten().filter_map(pair).collect()
}

fn reads(request: &Request) -> bool {
    request.method == Method::Get
}

fn rows(rows: &[Row], row: impl Fn(&Row) -> Value) -> Value {
    rows.iter().map(row).collect::<Vec<_>>().into()
}

fn plain(n: u64) -> (String, Vec<(&'static str, String)>) {
    (n.to_string(), Vec::new())
}

fn query(request: &Request, name: &str) -> Vec<String> {
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
    let gid = |kind: &str, n: u64| format!("gid://shopify/{kind}/{n}");
    let _ = gid;
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
                    json!({"name": "available", "delta": 1, "item": {"id": item(row), "tracked": row.tracked},
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

pub fn shopline() -> Face {
    Face {
        platform: "shopline",
        config: json!({"handle": "acme", "location_id": "7"}),
        credentials: json!({"access_token": "t"}),
        listing: plain,
        ask: |request| {
            if reads(request) {
                return Ask::Read(query(request, "inventory_item_ids").iter().map(|id| digits(id)).collect());
            }
            let body = body(request);
            let n = number(&body["inventory_item_id"]);
            match (body["available"].as_i64(), body["available_adjustment"].as_i64()) {
                (Some(quantity), _) => Ask::Set(vec![(n, quantity)]),
                (_, delta) => Ask::Add(vec![(n, delta.unwrap_or_default())]),
            }
        },
        reply: |ask, found| {
            let level = |row: &Row| json!({"inventory_item_id": row.id(), "location_id": "7", "available": row.quantity});
            match ask {
                Ask::Read(_) => json!({"inventory_levels": rows(found, level)}),
                _ => json!({"inventory_level": found.first().map(level)}),
            }
        },
        refusal: None,
        keyed: false,
        batch: 1,
    }
}

pub fn shopline_open() -> Face {
    Face {
        platform: "shopline_open",
        config: json!({"handle": "acme"}),
        credentials: json!({"access_token": "t"}),
        listing: |n| (n.to_string(), vec![("product_id", format!("p{n}"))]),
        ask: |request| {
            let path = request.url.split('?').next().unwrap_or_default();
            let n = digits(path.split('/').find(|part| part.starts_with('p') && part[1..].parse::<u64>().is_ok()).unwrap_or_default());
            let body = body(request);
            let quantity = body["quantity"].as_i64().unwrap_or_default();
            match (reads(request), body["replace"] == true) {
                (true, _) => Ask::Read(vec![n]),
                (_, true) => Ask::Set(vec![(n, quantity)]),
                _ => Ask::Add(vec![(n, quantity)]),
            }
        },
        reply: |ask, found| {
            let variation = |row: &Row| json!({"id": row.id(), "quantity": row.quantity});
            match (ask, found.first()) {
                (Ask::Read(_), Some(row)) => json!({"id": format!("p{}", row.n), "variations": [variation(row)]}),
                (_, Some(row)) => variation(row),
                _ => json!({}),
            }
        },
        refusal: None,
        keyed: false,
        batch: 1,
    }
}

pub fn shopee() -> Face {
    Face {
        platform: "shopee",
        config: json!({"partner_id": 1, "shop_id": 2, "rate_limit": {"per_second": 50.0, "burst": 50}}),
        credentials: json!({"partner_key": "k", "access_token": "t", "refresh_token": "r"}),
        listing: |n| (n.to_string(), vec![("item_id", "77".to_owned())]),
        ask: |request| match reads(request) {
            true => Ask::ReadAll,
            false => {
                let body = body(request);
                Ask::Set(pairs(&body["stock_list"], "model_id", "/seller_stock/0/stock"))
            }
        },
        reply: |ask, found| match ask {
            Ask::Set(_) => {
                let done = |row: &Row| json!({"model_id": row.n, "stock": row.quantity});
                json!({"error": "", "response": {"success_list": rows(found, done), "failure_list": []}})
            }
            _ => {
                let model = |row: &Row| json!({"model_id": row.id(), "stock_info_v2": {"seller_stock": [{"stock": row.quantity}]}});
                json!({"error": "", "response": {"model": rows(found, model)}})
            }
        },
        refusal: Some(|_| (200, json!({"error": "error_param", "message": "bad"}))),
        keyed: false,
        batch: 50,
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

pub fn lazada() -> Face {
    Face {
        platform: "lazada",
        config: json!({"region": "sg", "app_key": "k"}),
        credentials: json!({"app_secret": "s", "access_token": "t", "refresh_token": "r"}),
        listing: |n| (n.to_string(), vec![("item_id", "77".to_owned())]),
        ask: |request| {
            if reads(request) {
                return Ask::ReadAll;
            }
            let form = request.body.as_deref().unwrap_or_default().replace("%3C", "<").replace("%3E", ">").replace("%2F", "/");
            let between = |text: &str, tag: &str| {
                let start = text.find(&format!("<{tag}>"))? + tag.len() + 2;
                Some(text[start..].split('<').next()?.to_owned())
            };
            let sku = |part: &str| Some((digits(&between(part, "SkuId")?), between(part, "SellableQuantity")?.parse().ok()?));
            let changes = form.split("<Sku>").filter_map(sku).collect();
            if request.url.contains("/adjust") { Ask::Add(changes) } else { Ask::Set(changes) }
        },
        reply: |ask, found| match ask {
            Ask::ReadAll => json!({"code": "0", "data": {"item_id": 77,
                "skus": rows(found, |row| json!({"SkuId": row.id(), "quantity": row.quantity}))}}),
            _ => json!({"code": "0", "data": {}}),
        },
        refusal: Some(|_| (200, json!({"code": "E0501", "message": "bad"}))),
        keyed: false,
        batch: 20,
    }
}

pub fn tiktok_shop() -> Face {
    Face {
        platform: "tiktok_shop",
        config: json!({"app_key": "k", "shop_cipher": "c", "rate_limit": {"per_second": 50.0, "burst": 50}}),
        credentials: json!({"app_secret": "s", "access_token": "t", "refresh_token": "r"}),
        listing: |n| (n.to_string(), vec![("product_id", "77".to_owned())]),
        ask: |request| {
            let body = body(request);
            match body["sku_ids"].as_array() {
                Some(ids) => Ask::Read(ids.iter().map(number).collect()),
                None => Ask::Set(pairs(&body["skus"], "id", "/inventory/0/quantity")),
            }
        },
        reply: |ask, found| match ask {
            Ask::Set(_) => json!({"code": 0, "data": {}}),
            _ => {
                let sku =
                    |row: &Row| json!({"id": row.id(), "warehouse_inventory": [{"warehouse_id": "1", "available_quantity": row.quantity}]});
                json!({"code": 0, "data": {"inventory": [{"skus": rows(found, sku)}]}})
            }
        },
        refusal: Some(|_| (200, json!({"code": 12052553, "message": "bad"}))),
        keyed: false,
        batch: 50,
    }
}

pub fn amazon() -> Face {
    Face {
        platform: "amazon",
        config: json!({"region": "eu", "seller_id": "S", "marketplace_id": "M"}),
        credentials: json!({"refresh_token": "r", "client_id": "i", "client_secret": "s", "access_token": "t",
            "access_token_expires_at": "2030-01-01T00:00:00Z"}),
        listing: plain,
        ask: |request| {
            let n = digits(request.url.split('?').next().unwrap_or_default());
            match body(request).pointer("/patches/0/value/0/quantity").and_then(Value::as_i64) {
                Some(quantity) => Ask::Set(vec![(n, quantity)]),
                None => Ask::Read(vec![n]),
            }
        },
        reply: |ask, found| match ask {
            Ask::Set(_) => json!({"status": "ACCEPTED"}),
            _ => {
                let row = found.first().cloned().unwrap_or_default();
                let sku = row.n.to_string();
                json!({"sku": sku, "fulfillmentAvailability": [{"fulfillmentChannelCode": "DEFAULT", "quantity": row.quantity}]})
            }
        },
        refusal: None,
        keyed: false,
        batch: 1,
    }
}

pub fn ebay() -> Face {
    Face {
        platform: "ebay",
        config: json!({}),
        credentials: json!({"refresh_token": "r", "client_id": "i", "client_secret": "s", "access_token": "t",
            "access_token_expires_at": "2030-01-01T00:00:00Z"}),
        listing: plain,
        ask: |request| {
            let body = body(request);
            let sets = pairs(&body["requests"], "sku", "/shipToLocationAvailability/quantity");
            match sets.is_empty() {
                true => Ask::Read(body["requests"].as_array().into_iter().flatten().map(|row| number(&row["sku"])).collect()),
                false => Ask::Set(sets),
            }
        },
        reply: |ask, found| {
            let entry = |row: &Row| match ask {
                Ask::Set(_) => json!({"statusCode": 200, "sku": row.n.to_string()}),
                _ => json!({"statusCode": 200, "sku": row.n.to_string(),
                    "inventoryItem": {"availability": {"shipToLocationAvailability": {"quantity": row.quantity}}}}),
            };
            json!({"responses": rows(found, entry)})
        },
        refusal: Some(|_| (400, json!({"errors": [{"errorId": 25709, "message": "bad"}]}))),
        keyed: false,
        batch: 25,
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

/// Whether a request carries this text in a secret header; used to tell credentials apart.
pub fn is_signed_with(request: &Request, text: &str) -> bool {
    request.secret_headers.iter().any(|(_, value)| value.expose_secret().contains(text))
}
