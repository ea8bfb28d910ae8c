//! The Shopee face of the simulated platform: the calls of Open Platform v2 that the service makes, checked as strictly
//! as Shopee checks them.
//!
//! A shop is opened with `Simulator::open_shopee_shop`; from then on it is a store named by the shop's id. Its items are
//! named `item/model` (`item/0` for an item without models) and exist once they have been given a quantity. Every call
//! needs a signature at most five minutes old and the shop's access token, which expires; a refresh token works once. A
//! call for an item can fail for some of its models alone. The faults are those of the whole platform; items to reject
//! or to poison are named as above. Every answer has status 200, even a refusal, except for 5xx.
use super::exchange::{Answer, Incoming, decode};
use super::faults::Failure;
use super::shops::Shop;
use super::state::State;
use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::Sha256;
use std::collections::BTreeMap;

pub use super::shops::{NewShop, Tokens};

/// How old a signature may be, in seconds.
const MAX_SIGNATURE_AGE_S: i64 = 300;
/// Models in one `update_stock` call, items in one `get_item_base_info` call, items on a page of `get_item_list`.
const MAX_MODELS: usize = 50;
const MAX_ITEMS: usize = 50;
const MAX_PAGE: usize = 100;

pub(super) struct Call {
    path: String,
    /// The shop's id: from the query, or from the body of a call about tokens.
    pub(super) shop: String,
}

impl Call {
    pub(super) fn of(incoming: &Incoming) -> Option<Self> {
        let (path, _) = incoming.parts();
        let path = format!("/{path}");
        if !path.starts_with("/api/v2/") {
            return None;
        }
        let in_body = || {
            let body: Value = serde_json::from_str(&incoming.body).ok()?;
            Some(body.get("shop_id")?.as_u64()?.to_string())
        };
        let shop = incoming.param("shop_id").or_else(in_body).unwrap_or_default();
        Some(Self { path, shop })
    }

    pub(super) fn is_about_tokens(&self) -> bool {
        self.path.starts_with("/api/v2/auth/")
    }
}

pub(super) fn failure(failure: Failure) -> Answer {
    match failure {
        Failure::OverLimit | Failure::Throttled => {
            refusal("error_rate_limit", "Too many requests. You have reached the rate limit. Please try again later.")
        }
        Failure::Unauthorized => refusal("partner_shop_no_link", "Invalid partner_id or shop_id, please have a check."),
        Failure::ReadOnly => refusal("error_permission", "You don't have the permission to use this API."),
        Failure::Internal => Answer { status: 500, ..refusal("error_server", "Something wrong. Please try later.") },
    }
}

fn refusal(error: &str, message: &str) -> Answer {
    Answer::ok(json!({"error": error, "message": message, "request_id": "simulated"}))
}

fn success(response: Value) -> Answer {
    Answer::ok(json!({"error": "", "message": "", "warning": "", "request_id": "simulated", "response": response}))
}

/// HMAC-SHA256 in hexadecimal, as Shopee signs calls.
pub(super) fn sign(key: &str, text: &str) -> String {
    let mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).map(|mac| mac.chain_update(text).finalize().into_bytes());
    mac.map(hex::encode).unwrap_or_default()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Update {
    item_id: u64,
    stock_list: Vec<UpdateModel>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UpdateModel {
    #[serde(default)]
    model_id: u64,
    seller_stock: Vec<UpdateStock>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UpdateStock {
    location_id: Option<String>,
    stock: i64,
}

#[derive(Deserialize)]
struct TokenRequest {
    partner_id: u64,
    refresh_token: Option<String>,
    code: Option<String>,
}

impl State {
    pub(super) fn answer_shopee(&mut self, now_us: i64, call: &Call, incoming: &Incoming) -> Answer {
        let Some(shop) = self.shopee.0.get(&call.shop) else {
            return refusal("partner_shop_no_link", "Invalid partner_id or shop_id, please have a check.");
        };
        if let Some(refused) = check_caller(shop, now_us / 1_000_000, call, incoming) {
            return refused;
        }
        match (call.path.as_str(), incoming.post) {
            ("/api/v2/auth/access_token/get" | "/api/v2/auth/token/get", true) => self.exchange_tokens(now_us, call, incoming),
            ("/api/v2/product/update_stock", true) => self.update_stock(now_us, &call.shop, incoming),
            ("/api/v2/product/get_model_list", false) => self.model_list(&call.shop, incoming),
            ("/api/v2/product/get_item_base_info", false) => self.item_base_info(&call.shop, incoming),
            ("/api/v2/product/get_item_list", false) => self.item_list(&call.shop, incoming),
            ("/api/v2/shop/get_warehouse_detail", false) if shop.opened.locations.is_empty() => {
                refusal("warehouse.error_not_in_whitelist", "Your shop is not in multi-warehouse whitelist.")
            }
            ("/api/v2/shop/get_warehouse_detail", false) => {
                success(shop.opened.locations.iter().map(|id| json!({"location_id": id, "warehouse_name": id})).collect())
            }
            _ => refusal("error_param", "Permission denied. This API is currently offline or the request path is incorrect."),
        }
    }

    fn exchange_tokens(&mut self, now_us: i64, call: &Call, incoming: &Incoming) -> Answer {
        let new = self.random_tokens();
        let Some(shop) = self.shopee.0.get_mut(&call.shop) else { return failure(Failure::Unauthorized) };
        let Ok(request) = serde_json::from_str::<TokenRequest>(&incoming.body) else { return refusal("error_param", "parameter invalid") };
        if request.partner_id != shop.opened.partner_id {
            return refusal("shop_no_linked", "Partner and shop has no linked.");
        }
        let by_code = call.path.ends_with("/token/get") && !call.path.ends_with("/access_token/get");
        if by_code && (shop.code.is_none() || shop.code != request.code) {
            return refusal("invalid_code", "The code is expired or used or invalid, please check the code.");
        }
        let now_s = now_us / 1_000_000;
        if !by_code && (request.refresh_token.as_ref() != Some(&shop.tokens.refresh_token) || now_s >= shop.refresh_ends_at_s) {
            return refusal("error_shop_refresh_token", "Your refresh token is error ,please check refresh token or shopid.");
        }
        (shop.tokens, shop.code) = (new, None);
        (shop.expires_at_s, shop.refresh_ends_at_s) = (now_s + shop.opened.access_lives_s, now_s + shop.opened.refresh_lives_s);
        let Tokens { access_token, refresh_token } = &shop.tokens;
        Answer::ok(json!({"error": "", "message": "", "request_id": "simulated", "partner_id": request.partner_id,
            "access_token": access_token, "refresh_token": refresh_token, "expire_in": shop.opened.access_lives_s}))
    }

    fn update_stock(&mut self, now_us: i64, shop: &str, incoming: &Incoming) -> Answer {
        let Ok(update) = serde_json::from_str::<Update>(&incoming.body) else {
            return refusal("product.error_param", "parameter invalid");
        };
        if update.stock_list.is_empty() || update.stock_list.len() > MAX_MODELS {
            return refusal("product.error_param", "Length should be between 1 to 50.");
        }
        let names: Vec<String> = update.stock_list.iter().map(|model| format!("{}/{}", update.item_id, model.model_id)).collect();
        if names.iter().any(|name| self.faults.poison_items.contains(name)) {
            return refusal("product.error_param", "Invalid parameter for product.");
        }
        let models = self.models_of(shop, update.item_id);
        if models.is_empty() {
            return refusal("product.error_item_not_found", "Item_id is not found.");
        }
        if !models.contains_key(&0) && update.stock_list.iter().any(|model| model.model_id == 0) {
            return refusal("product.error_edit_item_stock_for_item_has_model", "Can't to edit item stock directly while item has models.");
        }
        let locations = self.shopee.0.get(shop).map(|shop| shop.opened.locations.clone()).unwrap_or_default();
        let (mut done, mut failed) = (Vec::new(), Vec::new());
        for (model, name) in update.stock_list.iter().zip(&names) {
            let id = model.model_id;
            let [UpdateStock { location_id, stock }] = model.seller_stock.as_slice() else {
                return refusal("product.error_param", "Wrong parameters, detail: seller_stock.");
            };
            match (locations.is_empty(), location_id) {
                (true, None) => {}
                (true, Some(_)) => {
                    return refusal(
                        "product.error_auth",
                        "You do not have right to use seller location_id, please only fill seller_stock filed.",
                    );
                }
                (false, Some(location)) if locations.contains(location) => {}
                (false, Some(_)) => {
                    return refusal(
                        "product.error_auth",
                        "The location_id input is not matched the shop's location_id(more/wrong). Please double check.",
                    );
                }
                (false, None) => return refusal("product.error_auth", "Lack of location_id, please double check."),
            }
            match models.get(&id) {
                Some(_) if self.faults.refuses(name) => {
                    failed.push(json!({"model_id": id, "failed_reason": "Can't edit this model."}));
                }
                Some(_) if *stock < 0 => failed.push(json!({"model_id": id, "failed_reason": "Stock must not be below 0."})),
                Some(_) => {
                    self.change(now_us, shop, name, "set", *stock);
                    let mut entry = json!({"model_id": id, "stock": stock});
                    if let (Some(location), Some(entry)) = (location_id, entry.as_object_mut()) {
                        entry.insert("location_id".to_owned(), json!(location));
                    }
                    done.push(entry);
                }
                None => failed.push(json!({"model_id": id, "failed_reason": "Wrong model_id."})),
            }
        }
        let mut answer = success(json!({"success_list": done, "failure_list": failed}));
        if done.is_empty() {
            let error = json!({"error": "product.error_busi_update_stock_failed",
                "message": "Update stock failed, please check failure_list for detailed reason"});
            answer.body.as_object_mut().into_iter().for_each(|body| body.extend(error.as_object().cloned().unwrap_or_default()));
        }
        answer
    }

    /// The models of an item and the quantities they show; just model 0 if the item has no models.
    fn models_of(&self, shop: &str, item_id: u64) -> BTreeMap<u64, i64> {
        let prefix = format!("{item_id}/");
        let items = self.stores.get(shop).into_iter().flat_map(|store| store.items.range(prefix.clone()..));
        let of_item = items.map_while(|(name, quantity)| Some((name.strip_prefix(&prefix)?, *quantity)));
        of_item.filter_map(|(model, quantity)| Some((model.parse().ok()?, quantity))).collect()
    }

    fn stock_info(&self, shop: &str, quantity: i64) -> Value {
        let locations = self.shopee.0.get(shop).map(|shop| shop.opened.locations.as_slice()).unwrap_or_default();
        let seller_stock = match locations {
            [] => vec![json!({"stock": quantity, "if_saleable": true})],
            // Each model has a single quantity for all locations, which is enough for shops that use just one of them.
            ids => ids.iter().map(|id| json!({"location_id": id, "stock": quantity, "if_saleable": true})).collect(),
        };
        json!({"summary_info": {"total_reserved_stock": 0, "total_available_stock": quantity}, "seller_stock": seller_stock})
    }

    fn model_list(&self, shop: &str, incoming: &Incoming) -> Answer {
        let Some(item_id) = incoming.param("item_id").and_then(|id| id.parse().ok()) else {
            return refusal("product.error_param", "invalid field ItemId: value must  Not Null");
        };
        let models = self.models_of(shop, item_id);
        if models.is_empty() {
            return refusal("product.error_item_not_found", "Product not found");
        }
        let model = models.iter().filter(|(id, _)| **id != 0).map(|(id, quantity)| {
            json!({"model_id": id, "model_sku": format!("{item_id}/{id}"), "tier_index": [0], "stock_info_v2": self.stock_info(shop, *quantity)})
        });
        success(json!({"tier_variation": [], "model": model.collect::<Vec<_>>()}))
    }

    fn item_base_info(&self, shop: &str, incoming: &Incoming) -> Answer {
        let list = incoming.param("item_id_list").unwrap_or_default();
        let ids: Option<Vec<u64>> = list.split(',').map(|id| id.parse().ok()).collect();
        let Some(ids) = ids.filter(|ids| (1..=MAX_ITEMS).contains(&ids.len())) else {
            return refusal("product.error_param", "Wrong parameters, detail: item_id_list.");
        };
        let item = |id: &u64| {
            let models = self.models_of(shop, *id);
            let (first, quantity) = models.first_key_value()?;
            let mut item =
                json!({"item_id": id, "item_name": format!("Item {id}"), "item_sku": format!("{id}/0"), "has_model": *first != 0});
            if *first == 0 {
                item.as_object_mut()?.insert("stock_info_v2".to_owned(), self.stock_info(shop, *quantity));
            }
            Some(item)
        };
        success(json!({"item_list": ids.iter().filter_map(item).collect::<Vec<_>>()}))
    }

    fn item_list(&self, shop: &str, incoming: &Incoming) -> Answer {
        let number = |name: &str| incoming.param(name).and_then(|text| text.parse::<usize>().ok());
        let (Some(offset), Some(size), Some(_)) = (number("offset"), number("page_size"), incoming.param("item_status")) else {
            return refusal("product.error_param", "Wrong parameters, detail: offset, page_size, item_status.");
        };
        if !(1..=MAX_PAGE).contains(&size) {
            return refusal("product.error_param", "Wrong parameters, detail: page_size.");
        }
        let names = self.stores.get(shop).into_iter().flat_map(|store| store.items.keys());
        let mut ids: Vec<u64> = names.filter_map(|name| name.split('/').next()?.parse().ok()).collect();
        ids.sort_unstable();
        ids.dedup();
        let page: Vec<Value> = ids.iter().skip(offset).take(size).map(|id| json!({"item_id": id, "item_status": "NORMAL"})).collect();
        let next = offset + page.len();
        success(json!({"item": page, "total_count": ids.len(), "has_next_page": next < ids.len(), "next_offset": next}))
    }
}

/// Checks the app, the signature and the access token, and returns an answer if one of them is wrong.
fn check_caller(shop: &Shop, now_s: i64, call: &Call, incoming: &Incoming) -> Option<Answer> {
    let param = |name: &str| incoming.param(name).unwrap_or_default();
    let (partner_id, timestamp, token) = (param("partner_id"), param("timestamp"), param("access_token"));
    if partner_id != shop.opened.partner_id.to_string() {
        return Some(refusal("invalid_partner_id", "Invalid partner_id, please have a check."));
    }
    let Ok(signed_at) = timestamp.parse::<i64>() else { return Some(refusal("error_param", "Invalid timestamp")) };
    if (now_s - signed_at).abs() > MAX_SIGNATURE_AGE_S {
        return Some(refusal("error_param", "Timestamp is expired."));
    }
    let path = decode(&call.path);
    let text = if call.is_about_tokens() {
        format!("{partner_id}{path}{timestamp}")
    } else {
        format!("{partner_id}{path}{timestamp}{token}{}", call.shop)
    };
    if param("sign") != sign(&shop.opened.partner_key, &text) {
        return Some(refusal("error_sign", "Wrong sign."));
    }
    if !call.is_about_tokens() && (token != shop.tokens.access_token || now_s >= shop.expires_at_s) {
        return Some(refusal("invalid_acceess_token", "Invalid access_token, please have a check."));
    }
    None
}
