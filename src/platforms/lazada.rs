//! Lazada Open Platform, `/rest`. Checked in November 2026 against mirrored pages of Lazada's documents and public clients.
//!
//! What it can do: set (`/product/stock/sellable/update`) and adjust (`…/adjust`) the sellable quantity of up to 20 SKUs a
//! call (50 at most, 20 advised), each by itself; no idempotency keys, no compare-and-set. So an increase is read, then
//! added; a lost answer is decided by reading back. A call holds SKUs of one item, as only one item can be asked for what
//! it shows. `/product/price_quantity/update` sets the total quantity, is refused to some sellers and is not used.
//!
//! Listings: `item_id` is Lazada's item, `external_id` the SkuId in it, `seller_sku` (optional) the seller's own name of
//! it; `warehouse_code`, of the listing or else of the store, where the seller has several warehouses.
//!
//! Settings: `region`, `app_key`, `warehouse_code`, `app_calls_per_day`, `rate_limit`. Credentials: `app_secret`, and
//! `refresh_token` with or without `access_token`, or `auth_code` for the first tokens.
//!
//! Limits: 50 calls a second about inventory for one seller (Inventory Management document); 10,000,000 calls a day for
//! one app, 10,000 for a test app (`app_calls_per_day` says so). The quota of a given app for one call stands in its
//! console alone: `rate_limit` says it.
//!
//! Quirks: quantities are XML inside a form. Unknown elements are ignored and answered with a success, so that a wrong one
//! (`UNCONFIRMED`) would not be noticed by the answer: look at one listing after the first push to a store with
//! warehouses. Code `0` may carry failures in `detail`: what is not in there was written. A quantity cannot go below what
//! campaigns lock; what an adjustment below zero does is unconfirmed.
#[cfg(test)]
mod tests;
mod wire;

use super::call::{Action, Call, CallItem, Method, Reply, Request, StoreConnection};
use super::check::{Check, Need};
use super::client::by_status;
use super::codes::Class::{Listing, Location, SignIn, Store, Throttled, TokenExpired, Uncertain};
use super::codes::{Row, UNKNOWN_CODE, find, item, outcome, renewal, said, text, unreadable};
use super::fields::{base, needed, number, own_or_stores, rate_limit, whole};
use super::sign::{ends_soon, hmac_sha256, percent, with_access_token};
use super::{AppLimit, Facts, Platform, RateLimit, Renewal, ReportedQuota, Stamp, Variant, VariantPage};
use crate::domain::FieldError;
use crate::domain::delivery::{Abilities, ItemResult, Outcome};
use secrecy::{ExposeSecret, SecretString};
use std::collections::BTreeMap;
use wire::{Envelope, InFailed, InItem, InPage, InSku, InTokens};

/// What no source that could be read says for sure.
struct Unconfirmed {
    /// The element with the quantity inside a warehouse's: one public team saw this one work for setting (June 2026),
    /// another uses `SellableQuantity`.
    warehouse_quantity: &'static str,
    /// What an access token lives, in seconds, when the answer does not say.
    token_lives_s: i64,
}
const UNCONFIRMED: Unconfirmed = Unconfirmed { warehouse_quantity: "Quantity", token_lives_s: 7 * 86_400 };

/// Hosts by the setting `region`.
const HOSTS: [(&str, &str); 6] = [
    ("sg", "https://api.lazada.sg/rest"),
    ("th", "https://api.lazada.co.th/rest"),
    ("my", "https://api.lazada.com.my/rest"),
    ("vn", "https://api.lazada.vn/rest"),
    ("ph", "https://api.lazada.com.ph/rest"),
    ("id", "https://api.lazada.co.id/rest"),
];
const TOKEN_HOST: &str = "https://auth.lazada.com/rest";
/// Any second holds at most 50: what is there at once and what comes in within it.
const RATE: RateLimit = RateLimit { per_second: 45.0, burst: 5 };
/// Of a live app.
const CALLS_PER_DAY: u64 = 10_000_000;
const MOST_SKUS: usize = 20;
/// Items on a page of the list.
const ITEMS_PAGE: u64 = 20;

const UPDATE: &str = "/product/stock/sellable/update";
const ADJUST: &str = "/product/stock/sellable/adjust";
const ITEM: &str = "/product/item/get";
const ITEMS: &str = "/products/get";
const TOKEN_CREATE: &str = "/auth/token/create";
const TOKEN_REFRESH: &str = "/auth/token/refresh";

const ITEM_ID: &str = "item_id";
const SELLER_SKU: &str = "seller_sku";
const WAREHOUSE_CODE: &str = "warehouse_code";

const PAIR: &str = "Check that the item and its SKU exist in Lazada and pair the listing again, then retry.";
const EDIT: &str = "Look at the item in Lazada Seller Center, put right what Lazada says, then retry.";
const SELLER: &str = "Put this right in Lazada Seller Center, or ask Lazada; then check the store.";
const RECONNECT: &str = "Let the seller allow the app in Lazada again, then enter the new tokens.";
const KEYS: &str = "Check the store's app_key and app_secret.";
const WAREHOUSE: &str = "Set warehouse_code, of the store or of the listing, to one of the seller's warehouses; then check the store.";
const BUG: &str = "Lazada found the request itself wrong: report this with the answer, and retry once it is mended.";

/// What Lazada's codes mean, of calls and in `detail`.
const CODES: &[Row] = &[
    ("ApiCallLimit", "", Throttled),
    ("AppCallLimit", "", Throttled),
    ("AppApiCallLimit", "", Throttled),
    ("SellerCallLimit", "", Throttled),
    ("901", "", Throttled),
    ("4154", "", Throttled),
    ("E1002", "", Throttled),
    ("E901", "", Throttled),
    ("HOT_KEY_BLOCK_EXCEPTION", "", Throttled),
    ("IllegalAccessToken", "", TokenExpired),
    ("InvalidAccessToken", "", TokenExpired),
    ("IllegalRefreshToken", "", SignIn(RECONNECT)),
    ("InvalidCode", "", SignIn(RECONNECT)),
    ("IncompleteSignature", "", SignIn(KEYS)),
    ("UnsupportedHTTPMethod", "", Listing(BUG)),
    ("E006", "", Listing(BUG)),
    ("SellerNotActive", "", Store(SELLER)),
    ("SellerNotVerified", "", Store(SELLER)),
    ("InsufficientPermission", "", Store(SELLER)),
    ("ONLY_CB_SELLER_SUPPORTED", "", Store(SELLER)),
    ("SELLER_NOT_PERMITTED", "", Store(SELLER)),
    ("ITEM_NOT_FOUND", "", Listing(PAIR)),
    ("EDIT_ITEM_NOT_BELONG_SELLER", "", Listing(PAIR)),
    ("", "warehouse", Location(WAREHOUSE)),
    ("E0501", "", Listing(EDIT)),
    ("ServiceTimeout", "", Uncertain),
    ("SYS_ERROR", "", Uncertain),
    ("THIRD_SERVICE_ERROR", "", Uncertain),
    ("6", "", Uncertain),
    ("300", "", Uncertain),
    ("500", "", Uncertain),
    ("501", "", Uncertain),
    ("502", "", Uncertain),
    ("503", "", Uncertain),
    ("506", "", Uncertain),
    ("513", "", Uncertain),
    ("1000", "", Uncertain),
    ("E500", "", Uncertain),
    ("E501", "", Uncertain),
    ("E503", "", Uncertain),
];

/// The connector.
#[derive(Debug)]
pub struct Lazada;

/// The signature of these parameters: before they are encoded, in the order of their names.
fn sign(secret: &SecretString, path: &str, parameters: &BTreeMap<&str, String>) -> String {
    let pairs: String = parameters.iter().flat_map(|(name, value)| [*name, value.as_str()]).collect();
    hex::encode_upper(hmac_sha256(secret.expose_secret().as_bytes(), format!("{path}{pairs}").as_bytes()))
}

fn encoded(parameters: &BTreeMap<&str, String>) -> String {
    parameters.iter().map(|(name, value)| format!("{name}={}", percent(value))).collect::<Vec<_>>().join("&")
}

/// A call with all its parameters signed; its own stand in the query of a GET and in the form of a POST.
fn signed(
    store: &StoreConnection,
    host: &str,
    path: &str,
    token: Option<&SecretString>,
    own: BTreeMap<&'static str, String>,
    method: Method,
    stamp: &Stamp,
) -> Result<Request, String> {
    let mut common = BTreeMap::from([
        ("app_key", needed(store, "app_key")?.to_owned()),
        ("timestamp", stamp.now.timestamp_millis().to_string()),
        ("sign_method", "sha256".to_owned()),
    ]);
    common.extend(token.map(|token| ("access_token", token.expose_secret().to_owned())));
    let mut all = common.clone();
    all.extend(own.clone());
    common.insert("sign", sign(store.secret("app_secret")?, path, &all));
    let host = base(store, host);
    if method == Method::Get {
        common.extend(own);
        return Ok(Request::get(format!("{host}{path}?{}", encoded(&common))));
    }
    let mut request = Request::get(format!("{host}{path}?{}", encoded(&common)));
    (request.method, request.body) = (method, Some(encoded(&own)));
    Ok(request.header("content-type", "application/x-www-form-urlencoded;charset=utf-8"))
}

fn api(store: &StoreConnection, path: &str, own: BTreeMap<&'static str, String>, method: Method, stamp: &Stamp) -> Result<Request, String> {
    let region = store.setting("region");
    let [(_, usual), ..] = HOSTS;
    let host = HOSTS.iter().find(|(name, _)| region == Some(name)).map_or(usual, |(_, host)| host);
    signed(store, host, path, Some(store.secret("access_token")?), own, method, stamp)
}

fn xml(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&apos;")
}

fn item_id(listing: &CallItem) -> Result<&str, String> {
    let id = listing.extra.get(ITEM_ID).ok_or("The listing has no item_id: pair it again with the id of its Lazada item.")?;
    if whole(id).is_some() { Ok(id) } else { Err(format!("The listing's item_id {id} is not a Lazada item's number.")) }
}

/// The one item of a call.
fn item_of(call: &Call) -> Result<&str, String> {
    let first = item_id(call.items.first().ok_or("There is nothing in this call.")?)?;
    for listing in &call.items {
        if item_id(listing)? != first {
            return Err("Lazada is asked about one item in a call.".to_owned());
        }
    }
    Ok(first)
}

fn payload(store: &StoreConnection, call: &Call) -> Result<String, String> {
    let mut skus = String::new();
    for listing in &call.items {
        let (item, sku, quantity) = (item_id(listing)?, &listing.external_id, listing.quantity);
        if whole(sku).is_none() {
            return Err(format!("The listing's external_id {sku} is not a Lazada SkuId."));
        }
        let name = listing.extra.get(SELLER_SKU).map(|name| format!("<SellerSku>{}</SellerSku>", xml(name))).unwrap_or_default();
        let stock = match own_or_stores(listing, store, WAREHOUSE_CODE) {
            None => format!("<SellableQuantity>{quantity}</SellableQuantity>"),
            Some(code) => {
                let (code, element) = (xml(code), UNCONFIRMED.warehouse_quantity);
                format!(
                    "<MultiWarehouseInventories><MultiWarehouseInventory><WarehouseCode>{code}</WarehouseCode>\
                     <{element}>{quantity}</{element}></MultiWarehouseInventory></MultiWarehouseInventories>"
                )
            }
        };
        skus.push_str(&format!("<Sku><ItemId>{item}</ItemId><SkuId>{sku}</SkuId>{name}{stock}</Sku>"));
    }
    Ok(format!("<Request><Product><Skus>{skus}</Skus></Product></Request>"))
}

fn list_request(store: &StoreConnection, offset: u64, limit: u64, stamp: &Stamp) -> Result<Request, String> {
    let own = [("filter", "all".to_owned()), ("offset", offset.to_string()), ("limit", limit.to_string())].into();
    api(store, ITEMS, own, Method::Get, stamp)
}

/// The answer to a call that worked at least in part.
fn envelope(call: &Call, reply: &Reply) -> Result<Envelope, Outcome> {
    let Ok(body) = serde_json::from_str::<Envelope>(&reply.body) else {
        return Err(by_status(reply).unwrap_or_else(unreadable));
    };
    let code = text(&body.code);
    if code == "0" || !body.detail().is_empty() {
        return by_status(reply).map_or(Ok(body), Err);
    }
    let said = said("Lazada", &code, &body.message);
    Err(match find(CODES, &code, &body.message) {
        Some(class) => outcome(class, said, call, reply, WAREHOUSE_CODE),
        None => by_status(reply).unwrap_or(Outcome::Unknown { reason: format!("{said} {UNKNOWN_CODE}") }),
    })
}

/// Whether a failure in `detail` is this listing's: its `field` holds the SkuId or the seller's SKU, in a form that is
/// unconfirmed.
fn speaks_of(failed: &InFailed, listing: &CallItem) -> bool {
    let field = text(&failed.field);
    let seller_sku = listing.extra.get(SELLER_SKU);
    seller_sku.is_some_and(|sku| *sku == field) || field.split(|c: char| !c.is_ascii_digit()).any(|part| part == listing.external_id)
}

/// What was sent less what failed. A failure that speaks of no listing of the call may be any's.
fn write_results(call: &Call, body: &Envelope) -> Outcome {
    let detail = body.detail();
    let alone = call.items.len() == 1;
    let nobodys = detail.iter().any(|failed| !call.items.iter().any(|listing| speaks_of(failed, listing)));
    let result = |listing: &CallItem| match detail.iter().find(|failed| alone || speaks_of(failed, listing)) {
        Some(failed) => {
            let (code, message) = (text(&failed.code), text(&failed.message));
            item(find(CODES, &code, &message).unwrap_or(Listing(EDIT)), said("Lazada", &code, &message))
        }
        None if nobodys => ItemResult::Unknown { reason: "Lazada's answer names a failure, but not whose.".to_owned() },
        None => ItemResult::Applied { shown: None },
    };
    Outcome::Answered(call.items.iter().map(result).collect())
}

fn shown(store: &StoreConnection, listing: &CallItem, skus: &[InSku]) -> ItemResult {
    let rejected = |reason: &str, next_step: &str| ItemResult::Rejected { reason: reason.to_owned(), next_step: next_step.to_owned() };
    let Some(sku) = skus.iter().find(|sku| text(&sku.sku_id) == listing.external_id) else {
        return rejected("Lazada does not know this SKU of the item.", PAIR);
    };
    let quantity = match (own_or_stores(listing, store, WAREHOUSE_CODE), sku.warehouses.as_slice()) {
        (None, [only]) => only.sellable.or(sku.quantity),
        (None, _) => sku.quantity,
        (Some(code), warehouses) => match warehouses.iter().find(|at| at.code == code) {
            Some(at) => at.sellable,
            None => return rejected("Lazada has no stock of this SKU in the given warehouse.", WAREHOUSE),
        },
    };
    match quantity {
        Some(shown) => ItemResult::Applied { shown: Some(shown) },
        None => ItemResult::Unknown { reason: "Lazada's answer gives no quantity for this SKU.".to_owned() },
    }
}

impl Platform for Lazada {
    fn name(&self) -> &'static str {
        "lazada"
    }

    fn check_config(&self, store: &StoreConnection) -> Result<(), Vec<FieldError>> {
        let region = if store.base_url.is_some() { Need::Optional } else { Need::Needed };
        Check::new(store, Need::Optional)
            .word("region", region, &HOSTS.map(|(name, _)| name))
            .text("app_key", Need::Needed)
            .text(WAREHOUSE_CODE, Need::Optional)
            .number("app_calls_per_day", Need::Optional)
            .rate_limit()
            .secret("app_secret", Need::Needed)
            .tokens(&["refresh_token", "access_token", "auth_code"])
            .done()
    }

    fn listing_fields(&self) -> &'static [&'static str] {
        &[ITEM_ID, SELLER_SKU, WAREHOUSE_CODE]
    }

    fn facts(&self, store: &StoreConnection) -> Facts {
        // A tenth of the day's calls at once, the rest spread over the day: together never more than the day's.
        let a_day = number(store, "app_calls_per_day").unwrap_or(CALLS_PER_DAY).clamp(1000, 1_000_000_000);
        let burst = u32::try_from(a_day / 10).unwrap_or(u32::MAX);
        #[expect(clippy::cast_precision_loss, reason = "a bounded number of calls")]
        let per_second = (a_day - u64::from(burst)) as f64 / 86_400.0;
        Facts {
            abilities: Abilities { adjust: true, idempotency: false, compare_and_set: false, read: true, max_items: MOST_SKUS },
            group_by: Some(ITEM_ID),
            per_store: rate_limit(store, RATE).unwrap_or(RATE),
            per_app: store.setting("app_key").map(|key| AppLimit { name: format!("lazada {key}"), limit: RateLimit { per_second, burst } }),
        }
    }

    fn cost(&self, _: &Call) -> u32 {
        1
    }

    fn request(&self, store: &StoreConnection, call: &Call, stamp: &Stamp) -> Result<Request, String> {
        match call.action {
            Action::Set => api(store, UPDATE, [("payload", payload(store, call)?)].into(), Method::Post, stamp),
            Action::Adjust => api(store, ADJUST, [("payload", payload(store, call)?)].into(), Method::Post, stamp),
            Action::Read => api(store, ITEM, [(ITEM_ID, item_of(call)?.to_owned())].into(), Method::Get, stamp),
            Action::Check => list_request(store, 0, 1, stamp),
        }
    }

    fn outcome(&self, store: &StoreConnection, call: &Call, reply: &Reply) -> Outcome {
        let body = match envelope(call, reply) {
            Ok(body) => body,
            Err(outcome) => return outcome,
        };
        match call.action {
            Action::Set | Action::Adjust => write_results(call, &body),
            Action::Check => Outcome::Answered(Vec::new()),
            Action::Read => match serde_json::from_value::<InItem>(body.data) {
                Ok(found) => Outcome::Answered(call.items.iter().map(|listing| shown(store, listing, &found.skus)).collect()),
                Err(_) => unreadable(),
            },
        }
    }

    fn quota(&self, _: &Reply) -> Option<ReportedQuota> {
        None
    }

    fn variants_request(&self, store: &StoreConnection, cursor: Option<&str>, stamp: &Stamp) -> Result<Request, String> {
        let offset = cursor.map_or(Some(0), whole).ok_or("This is not where a list of this store's variants goes on.")?;
        list_request(store, offset, ITEMS_PAGE, stamp)
    }

    fn variants(&self, _: &StoreConnection, cursor: Option<&str>, reply: &Reply) -> Result<VariantPage, Outcome> {
        let call = Call { action: Action::Read, items: Vec::new(), idempotency_key: None };
        let page: InPage = serde_json::from_value(envelope(&call, reply)?.data).map_err(|_| unreadable())?;
        let offset = cursor.and_then(whole).unwrap_or(0);
        let full = page.products.len() as u64 >= ITEMS_PAGE;
        let of_item = |item: InItem| {
            let (id, title) = (text(&item.item_id), item.attributes.name);
            item.skus.into_iter().map(move |sku| {
                let name = sku.seller_sku.filter(|name| !name.is_empty());
                let own = name.clone().map(|name| (SELLER_SKU.to_owned(), name));
                Variant {
                    external_id: text(&sku.sku_id),
                    extra: std::iter::once((ITEM_ID.to_owned(), id.clone())).chain(own).collect(),
                    sku: name,
                    title: title.clone(),
                }
            })
        };
        Ok(VariantPage {
            variants: page.products.into_iter().flat_map(of_item).collect(),
            next: full.then(|| (offset + ITEMS_PAGE).to_string()),
        })
    }

    fn renewal_request(&self, store: &StoreConnection, stamp: &Stamp, refused: bool) -> Option<Request> {
        let secret = |name: &str| store.credentials.get(name).map(|secret| secret.expose_secret().to_owned());
        let (path, own) = match (secret("auth_code"), secret("refresh_token")) {
            (Some(code), _) => (TOKEN_CREATE, BTreeMap::from([("code", code)])),
            (None, _) if !refused && secret("access_token").is_some() && !ends_soon(store, stamp) => return None,
            (None, Some(token)) => (TOKEN_REFRESH, BTreeMap::from([("refresh_token", token)])),
            (None, None) => return None,
        };
        signed(store, TOKEN_HOST, path, None, own, Method::Post, stamp).ok()
    }

    fn renewal(&self, store: &StoreConnection, reply: &Reply, stamp: &Stamp) -> Renewal {
        let Ok(tokens) = serde_json::from_str::<InTokens>(&reply.body) else {
            return Renewal::TryAgain { reason: "Lazada's answer about new tokens could not be read.".to_owned() };
        };
        let Some(access) = tokens.access_token else {
            let code = text(&tokens.code);
            return renewal(find(CODES, &code, &tokens.message), said("Lazada", &code, &tokens.message));
        };
        let lives_s = tokens.expires_in.unwrap_or(UNCONFIRMED.token_lives_s);
        let mut credentials = with_access_token(store, &access, lives_s, stamp);
        if let Some(refresh) = tokens.refresh_token {
            credentials.insert("refresh_token".to_owned(), refresh.into());
        }
        credentials.remove("auth_code");
        Renewal::Renewed(credentials)
    }
}
