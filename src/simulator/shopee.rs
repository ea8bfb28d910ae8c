//! The Shopee face of the simulated platform: the calls of Open Platform v2 that the service makes, as strict as Shopee.
//!
//! A shop is opened with [`Simulator::open_shopee_shop`] and is then a store whose name is the shop's id; its items are
//! named `item/model`, `item/0` for one without models, and are there once they were given a quantity. Every call must
//! carry a signature of not more than five minutes of age and the shop's access token, which ends; refresh tokens are
//! good for one use. A call for an item fails model by model. The faults are those of the whole platform; items that are
//! to be rejected or poisonous are named as above. Answers come with status 200 whatever they say, but for 5xx.
use super::faces::Failure;
use super::{Answer, Incoming, Simulator, State, decode};
use hmac::{Hmac, KeyInit, Mac};
use rand::RngExt;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::Sha256;
use std::collections::{BTreeMap, HashMap};

/// How old a signature may be, in seconds.
const SIGNED_WITHIN_S: i64 = 300;
/// Models in one call, items in one question, items on a page.
const MOST_MODELS: usize = 50;
const MOST_ITEMS: usize = 50;
const MOST_ON_A_PAGE: usize = 100;

/// A shop, as it is opened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewShop {
    /// The app that may call for it.
    pub partner_id: u64,
    /// The app's key.
    pub partner_key: String,
    /// How long an access token lives, in seconds.
    #[serde(default = "four_hours")]
    pub access_lives_s: i64,
    /// Its locations; empty for a shop with one warehouse.
    #[serde(default)]
    pub locations: Vec<String>,
}

fn four_hours() -> i64 {
    4 * 3600
}

/// What a seller gets when he allows the app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tokens {
    /// For calls.
    pub access_token: String,
    /// For one renewal.
    pub refresh_token: String,
}

struct Shop {
    opened: NewShop,
    tokens: Tokens,
    ends_at_s: i64,
    /// For one exchange, in the place of a refresh token.
    code: Option<String>,
}

/// All shops by id.
#[derive(Default)]
pub(super) struct Shops(HashMap<String, Shop>);

/// A call of this face.
pub(super) struct Call {
    path: String,
    /// The shop's id, from the query or, in a call about tokens, from the body.
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
        let shop = incoming.given("shop_id").or_else(in_body).unwrap_or_default();
        Some(Self { path, shop })
    }

    pub(super) fn is_about_tokens(&self) -> bool {
        self.path.starts_with("/api/v2/auth/")
    }
}

/// A failure that has nothing to do with the call.
pub(super) fn failure(failure: Failure) -> Answer {
    match failure {
        Failure::OverLimit | Failure::SlowDown => {
            refusal("error_rate_limit", "Too many requests. You have reached the rate limit. Please try again later.")
        }
        Failure::Unauthorized => refusal("partner_shop_no_link", "Invalid partner_id or shop_id, please have a check."),
        Failure::Broken => Answer { status: 500, ..refusal("error_server", "Something wrong. Please try later.") },
    }
}

fn refusal(error: &str, message: &str) -> Answer {
    body(json!({"error": error, "message": message, "request_id": "simulated"}))
}

fn success(response: Value) -> Answer {
    body(json!({"error": "", "message": "", "warning": "", "request_id": "simulated", "response": response}))
}

fn body(body: Value) -> Answer {
    Answer { status: 200, retry_after: None, body }
}

fn sign(key: &str, text: &str) -> String {
    let mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).map(|mac| mac.chain_update(text).finalize().into_bytes());
    mac.map(hex::encode).unwrap_or_default()
}

impl Simulator {
    /// Opens a shop, or opens it anew with fresh tokens: the seller has allowed the app.
    pub fn open_shopee_shop(&self, now_us: i64, shop_id: u64, shop: NewShop) -> Tokens {
        let mut state = self.state();
        let tokens = state.fresh_tokens();
        let ends_at_s = now_us / 1_000_000 + shop.access_lives_s;
        state.shopee.0.insert(shop_id.to_string(), Shop { opened: shop, tokens: tokens.clone(), ends_at_s, code: None });
        tokens
    }

    /// The seller has allowed the app and was given a code for it; tokens that were there before no longer work.
    pub fn shopee_code(&self, shop_id: u64) -> Option<String> {
        let mut state = self.state();
        let (code, tokens) = (state.fresh_token(), state.fresh_tokens());
        let shop = state.shopee.0.get_mut(&shop_id.to_string())?;
        (shop.code, shop.tokens) = (Some(code.clone()), tokens);
        Some(code)
    }

    /// The seller takes the app's permission back: no token works any more.
    pub fn close_shopee_shop(&self, shop_id: u64) {
        let mut state = self.state();
        let tokens = state.fresh_tokens();
        if let Some(shop) = state.shopee.0.get_mut(&shop_id.to_string()) {
            (shop.tokens, shop.code) = (tokens, None);
        }
    }
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
struct AskTokens {
    partner_id: u64,
    refresh_token: Option<String>,
    code: Option<String>,
}

impl State {
    fn fresh_token(&mut self) -> String {
        format!("{:032x}", self.rng.random::<u128>())
    }

    fn fresh_tokens(&mut self) -> Tokens {
        Tokens { access_token: self.fresh_token(), refresh_token: self.fresh_token() }
    }

    /// Answers a call of this face.
    pub(super) fn shopee(&mut self, now_us: i64, call: &Call, incoming: &Incoming) -> Answer {
        let Some(shop) = self.shopee.0.get(&call.shop) else {
            return refusal("partner_shop_no_link", "Invalid partner_id or shop_id, please have a check.");
        };
        if let Some(refused) = check(shop, now_us / 1_000_000, call, incoming) {
            return refused;
        }
        match (call.path.as_str(), incoming.post) {
            ("/api/v2/auth/access_token/get" | "/api/v2/auth/token/get", true) => self.shopee_tokens(now_us, call, incoming),
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

    fn shopee_tokens(&mut self, now_us: i64, call: &Call, incoming: &Incoming) -> Answer {
        let fresh = self.fresh_tokens();
        let Some(shop) = self.shopee.0.get_mut(&call.shop) else { return failure(Failure::Unauthorized) };
        let Ok(asked) = serde_json::from_str::<AskTokens>(&incoming.body) else { return refusal("error_param", "parameter invalid") };
        if asked.partner_id != shop.opened.partner_id {
            return refusal("shop_no_linked", "Partner and shop has no linked.");
        }
        let by_code = call.path.ends_with("/token/get") && !call.path.ends_with("/access_token/get");
        if by_code && (shop.code.is_none() || shop.code != asked.code) {
            return refusal("invalid_code", "The code is expired or used or invalid, please check the code.");
        }
        if !by_code && asked.refresh_token.as_ref() != Some(&shop.tokens.refresh_token) {
            return refusal("error_shop_refresh_token", "Your refresh token is error ,please check refresh token or shopid.");
        }
        (shop.tokens, shop.code) = (fresh, None);
        shop.ends_at_s = now_us / 1_000_000 + shop.opened.access_lives_s;
        let Tokens { access_token, refresh_token } = &shop.tokens;
        body(json!({"error": "", "message": "", "request_id": "simulated", "partner_id": asked.partner_id,
            "access_token": access_token, "refresh_token": refresh_token, "expire_in": shop.opened.access_lives_s}))
    }

    fn update_stock(&mut self, now_us: i64, shop: &str, incoming: &Incoming) -> Answer {
        let Ok(update) = serde_json::from_str::<Update>(&incoming.body) else {
            return refusal("product.error_param", "parameter invalid");
        };
        if update.stock_list.is_empty() || update.stock_list.len() > MOST_MODELS {
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
                Some(_) if self.faults.reject_items.contains(name) => {
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

    /// The models of an item and what they show; model 0 alone for an item without models.
    fn models_of(&self, shop: &str, item_id: u64) -> BTreeMap<u64, i64> {
        let prefix = format!("{item_id}/");
        let items = self.stores.get(shop).into_iter().flat_map(|store| store.items.range(prefix.clone()..));
        let mine = items.map_while(|(name, quantity)| Some((name.strip_prefix(&prefix)?, *quantity)));
        mine.filter_map(|(model, quantity)| Some((model.parse().ok()?, quantity))).collect()
    }

    fn stock_info(&self, shop: &str, quantity: i64) -> Value {
        let locations = self.shopee.0.get(shop).map(|shop| shop.opened.locations.as_slice()).unwrap_or_default();
        let seller_stock = match locations {
            [] => vec![json!({"stock": quantity, "if_saleable": true})],
            // One quantity is kept for each model, whatever the location: enough for shops that use one of them.
            many => many.iter().map(|id| json!({"location_id": id, "stock": quantity, "if_saleable": true})).collect(),
        };
        json!({"summary_info": {"total_reserved_stock": 0, "total_available_stock": quantity}, "seller_stock": seller_stock})
    }

    fn model_list(&self, shop: &str, incoming: &Incoming) -> Answer {
        let Some(item_id) = incoming.given("item_id").and_then(|id| id.parse().ok()) else {
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
        let asked = incoming.given("item_id_list").unwrap_or_default();
        let ids: Option<Vec<u64>> = asked.split(',').map(|id| id.parse().ok()).collect();
        let Some(ids) = ids.filter(|ids| (1..=MOST_ITEMS).contains(&ids.len())) else {
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
        let number = |name: &str| incoming.given(name).and_then(|text| text.parse::<usize>().ok());
        let (Some(offset), Some(size), Some(_)) = (number("offset"), number("page_size"), incoming.given("item_status")) else {
            return refusal("product.error_param", "Wrong parameters, detail: offset, page_size, item_status.");
        };
        if !(1..=MOST_ON_A_PAGE).contains(&size) {
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

/// What is wrong with who calls.
fn check(shop: &Shop, now_s: i64, call: &Call, incoming: &Incoming) -> Option<Answer> {
    let given = |name: &str| incoming.given(name).unwrap_or_default();
    let (partner_id, timestamp, token) = (given("partner_id"), given("timestamp"), given("access_token"));
    if partner_id != shop.opened.partner_id.to_string() {
        return Some(refusal("invalid_partner_id", "Invalid partner_id, please have a check."));
    }
    let Ok(signed_at) = timestamp.parse::<i64>() else { return Some(refusal("error_param", "Invalid timestamp")) };
    if (now_s - signed_at).abs() > SIGNED_WITHIN_S {
        return Some(refusal("error_param", "Timestamp is expired."));
    }
    let path = decode(&call.path);
    let text = if call.is_about_tokens() {
        format!("{partner_id}{path}{timestamp}")
    } else {
        format!("{partner_id}{path}{timestamp}{token}{}", call.shop)
    };
    if given("sign") != sign(&shop.opened.partner_key, &text) {
        return Some(refusal("error_sign", "Wrong sign."));
    }
    if !call.is_about_tokens() && (token != shop.tokens.access_token || now_s >= shop.ends_at_s) {
        return Some(refusal("invalid_acceess_token", "Invalid access_token, please have a check."));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::Decision;
    use super::*;

    const NOW_S: i64 = 1_800_000_000;
    const KEY: &str = "key";

    fn opened() -> (Simulator, Tokens) {
        let platform = Simulator::new(1);
        let shop = NewShop { partner_id: 1, partner_key: KEY.into(), access_lives_s: 600, locations: vec![] };
        let tokens = platform.open_shopee_shop(NOW_S * 1_000_000, 7, shop);
        platform.set_quantity("7", "1000/71", 4);
        (platform, tokens)
    }

    /// The error that a call is answered with, and the whole answer.
    fn ask(platform: &Simulator, at_s: i64, target: String, body: Option<Value>) -> (String, Value) {
        let incoming =
            Incoming { target, post: body.is_some(), authorization: None, key: None, body: body.unwrap_or_default().to_string() };
        match platform.decide(at_s * 1_000_000, &incoming) {
            Decision::Answer(answer) => (answer.body["error"].as_str().unwrap().to_owned(), answer.body),
            other => panic!("{other:?}"),
        }
    }

    fn read(platform: &Simulator, at_s: i64, signed_s: i64, key: &str, token: &str) -> String {
        let path = "/api/v2/product/get_model_list";
        let sign = sign(key, &format!("1{path}{signed_s}{token}7"));
        let target = format!("{path}?partner_id=1&timestamp={signed_s}&access_token={token}&shop_id=7&sign={sign}&item_id=1000");
        ask(platform, at_s, target, None).0
    }

    fn renew(platform: &Simulator, refresh: &str) -> (String, Value) {
        let path = "/api/v2/auth/access_token/get";
        let target = format!("{path}?partner_id=1&timestamp={NOW_S}&sign={}", sign(KEY, &format!("1{path}{NOW_S}")));
        ask(platform, NOW_S, target, Some(json!({"refresh_token": refresh, "partner_id": 1, "shop_id": 7})))
    }

    #[test]
    fn only_a_fresh_signature_with_a_living_token_opens_the_shop() {
        let (platform, tokens) = opened();
        let token = tokens.access_token.as_str();
        assert_eq!(read(&platform, NOW_S, NOW_S, KEY, token), "");
        assert_eq!(read(&platform, NOW_S, NOW_S, "other", token), "error_sign");
        assert_eq!(read(&platform, NOW_S, NOW_S - 301, KEY, token), "error_param");
        assert_eq!(read(&platform, NOW_S, NOW_S, KEY, "other"), "invalid_acceess_token");
        assert_eq!(read(&platform, NOW_S + 600, NOW_S + 600, KEY, token), "invalid_acceess_token");
    }

    #[test]
    fn a_refresh_token_is_good_for_one_use_and_ends_the_tokens_before_it() {
        let (platform, first) = opened();
        let (error, answer) = renew(&platform, &first.refresh_token);
        assert_eq!(error, "");
        assert_eq!(renew(&platform, &first.refresh_token).0, "error_shop_refresh_token");
        assert_eq!(read(&platform, NOW_S, NOW_S, KEY, &first.access_token), "invalid_acceess_token");
        assert_eq!(read(&platform, NOW_S, NOW_S, KEY, answer["access_token"].as_str().unwrap()), "");
        platform.close_shopee_shop(7);
        assert_eq!(renew(&platform, answer["refresh_token"].as_str().unwrap()).0, "error_shop_refresh_token");
    }
}
