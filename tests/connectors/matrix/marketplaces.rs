//! The faces of marketplaces and of SHOPLINE: see [`faces`](super::faces).
use super::faces::{Face, body, digits, number, pairs, plain, query, reads, rows};
use super::shop::{Ask, Row};
use serde_json::{Value, json};

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
            Ask::ReadAll => {
                let sku = |row: &Row| {
                    let at = |code: &str| json!({"warehouseCode": code, "sellableQuantity": 5});
                    let several = if row.in_two_warehouses { vec![at("w1"), at("w2")] } else { vec![] };
                    json!({"SkuId": row.id(), "quantity": row.quantity, "multiWarehouseInventories": several})
                };
                json!({"code": "0", "data": {"item_id": 77, "skus": rows(found, sku)}})
            }
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
                let at = |id: &str, quantity: &Value| json!({"warehouse_id": id, "available_quantity": quantity});
                let sku = |row: &Row| {
                    let other = row.in_two_warehouses.then(|| at("2", &json!(3)));
                    let warehouses: Vec<Value> = [at("1", &row.quantity)].into_iter().chain(other).collect();
                    json!({"id": row.id(), "total_available_quantity": 13, "warehouse_inventory": warehouses})
                };
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
