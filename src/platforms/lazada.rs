//! Lazada Open Platform, `/rest`. Checked in November 2026 against mirrored pages of Lazada's documentation and against
//! public clients.
//!
//! Abilities: sets (`/product/stock/sellable/update`) and adjusts (`…/adjust`) the sellable quantity of up to 20 SKUs per
//! call (50 at most, 20 recommended), each independently of the others. No idempotency keys, no compare-and-set. So an
//! increase is read, then added, and a lost answer is resolved by reading back. All SKUs of a call belong to one item,
//! because a read covers only one item. `/product/price_quantity/update` is not used: it sets the total quantity, and some
//! sellers may not call it.
//!
//! Listings: `item_id` is the Lazada item, `external_id` the SkuId within it and `seller_sku` (optional) the seller's own
//! name for it. `warehouse_code`, from the listing or else from the store, is for sellers with several warehouses.
//!
//! Settings: `region`, `app_key`, `warehouse_code`, `app_calls_per_day`, `rate_limit`. Credentials: `app_secret`, and
//! either `refresh_token` with or without `access_token`, or `auth_code` for the first tokens.
//!
//! Limits: 50 inventory calls a second per seller (Inventory Management document); 10,000,000 calls a day per app, 10,000
//! for a test app (set with `app_calls_per_day`). Since it is not stated when a day begins, no 24 hours hold more. Only the app's
//! own console shows its quota for a particular call; it can be entered as `rate_limit`.
//!
//! Quirks: quantities are XML inside a form. Lazada ignores unknown elements and still reports success, so a wrong element
//! name (`UNCONFIRMED`) would go unnoticed: check one listing after the first push to a store with warehouses. Code `0` may
//! come with failures in `detail`; whatever is not listed there was written. A quantity cannot fall below what campaigns
//! lock. What an adjustment below zero does is unconfirmed.
pub mod authorize;
mod codes;
mod requests;
#[cfg(test)]
mod tests;
mod wire;

use super::call::{Action, Call, CallItem, Method, Reply, Request, StoreConnection};
use super::check::{Check, Need};
use super::codes::{Class, UNKNOWN_CODE, by_status, find, item, outcome, renewal, said, text, unreadable};
use super::connector::{AppLimit, Facts, Platform, RateLimit, Renewal, ReportedQuota, Stamp, Variant, VariantPage};
use super::fields::{calls_per_day, listing_or_store_setting, page_size, rate_limit, whole};
use super::sign::{expires_soon, note_refresh_end, with_access_token};
use crate::domain::FieldError;
use crate::domain::delivery::{Abilities, ItemResult, Outcome};
use crate::domain::quota::{DailyQuota, Refill};
use codes::{CODES, EDIT, PAIR, WAREHOUSE};
use requests::{HOSTS, SELLER, api, signed};
use secrecy::ExposeSecret;
use std::collections::BTreeMap;
use wire::{Envelope, InFailed, InItem, InPage, InSku, InTokens};

/// Values that no readable source confirms.
struct Unconfirmed {
    /// The element that holds the quantity inside a warehouse's element. One public team reports that this name works for
    /// setting (June 2026); another uses `SellableQuantity`.
    warehouse_quantity: &'static str,
    /// The lifetime of an access token, in seconds, if the answer does not state it.
    token_lifetime_s: i64,
}
const UNCONFIRMED: Unconfirmed = Unconfirmed { warehouse_quantity: "Quantity", token_lifetime_s: 7 * 86_400 };

const TOKEN_HOST: &str = "https://auth.lazada.com/rest";
/// At most 50 calls in any second: the burst plus one second's refill.
const RATE: RateLimit = RateLimit { per_second: 45.0, burst: 5 };
/// The limit for a live app.
const CALLS_PER_DAY: u32 = 10_000_000;
const MAX_SKUS: usize = 20;
const ITEMS_PER_PAGE: usize = 20;

const UPDATE: &str = "/product/stock/sellable/update";
const ADJUST: &str = "/product/stock/sellable/adjust";
const ITEM: &str = "/product/item/get";
const ITEMS: &str = "/products/get";
const TOKEN_CREATE: &str = "/auth/token/create";
const TOKEN_REFRESH: &str = "/auth/token/refresh";

const ITEM_ID: &str = "item_id";
const SELLER_SKU: &str = "seller_sku";
const WAREHOUSE_CODE: &str = "warehouse_code";

/// The connector for Lazada.
#[derive(Debug)]
pub struct Lazada;

fn xml(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&apos;")
}

fn item_id(listing: &CallItem) -> Result<&str, String> {
    let id = listing.extra.get(ITEM_ID).ok_or("The listing has no item_id. Pair it again with the ID of its Lazada item.")?;
    if whole(id).is_some() { Ok(id) } else { Err(format!("The listing's item_id {id} is not the number of a Lazada item.")) }
}

/// The item that all listings of a call belong to.
fn item_of(call: &Call) -> Result<&str, String> {
    let first = item_id(call.items.first().ok_or("This call contains no listings.")?)?;
    for listing in &call.items {
        if item_id(listing)? != first {
            return Err("A call to Lazada can cover only one item.".to_owned());
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
        let stock = match listing_or_store_setting(listing, store, WAREHOUSE_CODE) {
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

/// The answer to a call that succeeded at least in part.
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

/// Whether a failure in `detail` belongs to this listing. Its `field` holds the SkuId or the seller's SKU, in an
/// unconfirmed format.
fn is_about(failed: &InFailed, listing: &CallItem) -> bool {
    let field = text(&failed.field);
    let seller_sku = listing.extra.get(SELLER_SKU);
    seller_sku.is_some_and(|sku| *sku == field) || field.split(|c: char| !c.is_ascii_digit()).any(|part| part == listing.external_id)
}

/// Every listing was written unless `detail` names it. A failure that cannot be matched to a listing may belong to any of
/// them.
fn write_results(call: &Call, body: &Envelope) -> Outcome {
    let detail = body.detail();
    let alone = call.items.len() == 1;
    let unmatched = detail.iter().any(|failed| !call.items.iter().any(|listing| is_about(failed, listing)));
    let result = |listing: &CallItem| match detail.iter().find(|failed| alone || is_about(failed, listing)) {
        Some(failed) => {
            let (code, message) = (text(&failed.code), text(&failed.message));
            item(find(CODES, &code, &message).unwrap_or(Class::Listing(EDIT)), said("Lazada", &code, &message))
        }
        None if unmatched => ItemResult::Unknown { reason: "Lazada reported a failure, but not for which listing.".to_owned() },
        None => ItemResult::Applied { shown: None },
    };
    Outcome::Answered(call.items.iter().map(result).collect())
}

fn read_result(store: &StoreConnection, listing: &CallItem, skus: &[InSku]) -> ItemResult {
    let rejected = |reason: &str, next_step: &str| ItemResult::Rejected { reason: reason.to_owned(), next_step: next_step.to_owned() };
    let Some(sku) = skus.iter().find(|sku| text(&sku.sku_id) == listing.external_id) else {
        return rejected("This SKU does not exist in the Lazada item.", PAIR);
    };
    let quantity = match (listing_or_store_setting(listing, store, WAREHOUSE_CODE), sku.warehouses.as_slice()) {
        (None, [only]) => only.sellable.known().or(sku.quantity.known()),
        (None, []) => sku.quantity.known(),
        (None, several) => {
            let codes: Vec<&str> = several.iter().map(|warehouse| warehouse.code.as_str()).collect();
            let reason = format!("This SKU is in several warehouses ({}), and no warehouse_code selects one.", codes.join(", "));
            return rejected(&reason, WAREHOUSE);
        }
        (Some(code), warehouses) => match warehouses.iter().find(|warehouse| warehouse.code == code) {
            Some(warehouse) => warehouse.sellable.known(),
            None => return rejected("Lazada lists no stock of this SKU in the given warehouse.", WAREHOUSE),
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
        Check::new(store, Need::Optional)
            .word("region", Need::unless(store.base_url.is_some()), &HOSTS.map(|(name, _)| name))
            .text("app_key", Need::Required)
            .text(WAREHOUSE_CODE, Need::Optional)
            .calls_per_day()
            .rate_limit()
            .secret("app_secret", Need::Required)
            .tokens(&["refresh_token", "access_token", "auth_code"])
            .done()
    }

    fn listing_fields(&self) -> &'static [&'static str] {
        &[ITEM_ID, SELLER_SKU, WAREHOUSE_CODE]
    }

    fn facts(&self, store: &StoreConnection) -> Facts {
        let per_day = Some(DailyQuota { calls: calls_per_day(store, CALLS_PER_DAY), refill: Refill::Unstated });
        Facts {
            // Without a warehouse, a quantity could mean that of one of several.
            reads_before_set: store.setting(WAREHOUSE_CODE).is_none(),
            proves_writes: false,
            abilities: Abilities { adjust: true, idempotency: false, compare_and_set: false, read: true, max_items: MAX_SKUS },
            group_by: Some(ITEM_ID),
            location: Some(WAREHOUSE_CODE),
            per_store: rate_limit(store, RATE).unwrap_or(RATE),
            per_app: store.setting("app_key").map(|key| AppLimit { name: format!("lazada {key}"), limit: None, per_day }),
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
                Ok(found) => Outcome::Answered(call.items.iter().map(|listing| read_result(store, listing, &found.skus)).collect()),
                Err(_) => unreadable(),
            },
        }
    }

    /// Nothing is to be added to a quantity, but only what can be read is set.
    fn reserved(&self, store: &StoreConnection, call: &Call, reply: &Reply) -> Vec<Option<i64>> {
        let Outcome::Answered(results) = self.outcome(store, call, reply) else { return Vec::new() };
        results.iter().map(|result| matches!(result, ItemResult::Applied { .. }).then_some(0)).collect()
    }

    fn shop(&self, reply: &Reply) -> Option<String> {
        let body: Envelope = serde_json::from_str(&reply.body).ok()?;
        Some(text(body.data.get("seller_id")?)).filter(|id| !id.is_empty())
    }

    fn shop_request(&self, store: &StoreConnection, stamp: &Stamp) -> Option<Result<Request, String>> {
        Some(api(store, SELLER, BTreeMap::new(), Method::Get, stamp))
    }

    fn quota(&self, _: &Reply) -> Option<ReportedQuota> {
        None
    }

    fn variants_request(&self, store: &StoreConnection, cursor: Option<&str>, stamp: &Stamp) -> Result<Request, String> {
        let offset = cursor.map_or(Some(0), whole).ok_or("This cursor does not belong to the store's list of variants.")?;
        list_request(store, offset, page_size(store, ITEMS_PER_PAGE) as u64, stamp)
    }

    fn variants(&self, store: &StoreConnection, cursor: Option<&str>, reply: &Reply) -> Result<VariantPage, Outcome> {
        let call = Call { action: Action::Read, items: Vec::new(), idempotency_key: None };
        let page: InPage = serde_json::from_value(envelope(&call, reply)?.data).map_err(|_| unreadable())?;
        let offset = cursor.and_then(whole).unwrap_or(0);
        let size = page_size(store, ITEMS_PER_PAGE);
        let full = page.products.len() >= size;
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
            next: full.then(|| offset.saturating_add(size as u64).to_string()),
        })
    }

    fn renewal_request(&self, store: &StoreConnection, stamp: &Stamp, refused: bool) -> Option<Request> {
        let secret = |name: &str| store.credentials.get(name).map(|secret| secret.expose_secret().to_owned());
        let (path, own) = match (secret("auth_code"), secret("refresh_token")) {
            (Some(code), _) => (TOKEN_CREATE, BTreeMap::from([("code", code)])),
            (None, _) if !refused && secret("access_token").is_some() && !expires_soon(store, stamp) => return None,
            (None, Some(token)) => (TOKEN_REFRESH, BTreeMap::from([("refresh_token", token)])),
            (None, None) => return None,
        };
        signed(store, TOKEN_HOST, path, None, own, Method::Post, stamp).ok()
    }

    fn renewal(&self, store: &StoreConnection, reply: &Reply, stamp: &Stamp) -> Renewal {
        let Ok(tokens) = serde_json::from_str::<InTokens>(&reply.body) else {
            return Renewal::TryAgain { reason: "Lazada's answer to the token renewal could not be read.".to_owned() };
        };
        let Some(access) = tokens.access_token else {
            let code = text(&tokens.code);
            return renewal(find(CODES, &code, &tokens.message), said("Lazada", &code, &tokens.message));
        };
        let lifetime_s = tokens.expires_in.unwrap_or(UNCONFIRMED.token_lifetime_s);
        let mut credentials = with_access_token(store, &access, lifetime_s, stamp);
        if let Some(refresh) = tokens.refresh_token {
            credentials.insert("refresh_token".to_owned(), refresh.into());
            note_refresh_end(&mut credentials, tokens.refresh_expires_in, stamp);
        }
        credentials.remove("auth_code");
        Renewal::Renewed(credentials)
    }
}
