//! TikTok Shop: Partner API, version 202309. Checked in November 2026 against public copies of the documentation and the
//! vendor's generated SDK.
//!
//! Abilities: sets the quantities of SKUs of one product per call; each SKU succeeds or fails separately. There is no
//! adjusting, there are no idempotency keys, and there is no compare-and-set. An increase is therefore read, added and
//! written back: what the shop sells between the read and the write, some tens of milliseconds, is overwritten.
//!
//! Listings: `product_id` is the product and `external_id` the ID of the SKU in it. A quantity is that of one warehouse.
//! `warehouse_id`, from the store or else from the listing, may be omitted only while a SKU has a single warehouse, the
//! default one ("Update Inventory"). So a store that names none is read before each set, and a SKU that is in several
//! warehouses is refused, never filled with the total.
//!
//! Settings: `region` (`global`, `sandbox`), `app_key`, `shop_cipher` (from `/authorization/202309/shops`), `warehouse_id`,
//! `rate_limit`. Credentials: `app_secret`, and either `refresh_token` with or without `access_token`, or `auth_code` for
//! the first tokens.
//!
//! Limits: per app and shop, varying with TikTok's load, with no guaranteed number; `Retry-After` is sent and obeyed.
//! `UNCONFIRMED` starts with about 3 reads or 1 write per second, counted in points: a read costs 1, a write 3.
//!
//! Versions: updating and searching inventory are documented as 202309 only. Products are also searched as 202312 and later,
//! with the same fields; 202309 is what current public clients call.
//!
//! Quirks: the signature covers the query and the exact bytes of the body. Code 0 may come with failures in `data.errors`.
//! The expiry of an access token is given as an instant. Quantities go up to 99,999. The quantity written is the one read as
//! `available_quantity` ("Inventory Search").
//!
//! Unconfirmed: that warehouses which a call does not name keep their quantities; the sandbox host, of which a public client
//! says that it has not worked since version 202309; and what is in `UNCONFIRMED`.
pub mod authorize;
mod codes;
mod requests;
#[cfg(test)]
mod tests;
mod wire;

use super::call::{Action, Call, CallItem, Reply, Request, StoreConnection};
use super::check::{Check, Need};
use super::codes::Class::Listing;
use super::codes::by_status;
use super::codes::{UNKNOWN_CODE, find, item, outcome, renewal, said, text, unreadable};
use super::connector::{Facts, Platform, RateLimit, Renewal, ReportedQuota, Stamp, Variant, VariantPage};
use super::fields::{base, listing_or_store_setting, page_size, rate_limit, whole};
use super::sign::{expires_soon, note_refresh_end, percent, with_access_token};
use crate::domain::FieldError;
use crate::domain::delivery::{Abilities, ItemResult, Outcome};
use codes::{CIPHER, CODES, PAIR_AGAIN, WAREHOUSE};
use requests::{HOSTS, SHOPS, signed};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use wire::{
    Envelope, InErrors, InInventory, InProduct, InProducts, InShops, InSku, InTokens, InWarehouse, OutInventory, OutSku, OutUpdate,
};

/// What could not be confirmed in any accessible source.
struct Unconfirmed {
    /// Points per second; see the module documentation.
    rate: RateLimit,
    /// SKUs per call. A product has at most 100.
    max_skus: usize,
    /// The path of a shop's products.
    products: &'static str,
    /// Products per page.
    products_page: usize,
}
const UNCONFIRMED: Unconfirmed = Unconfirmed {
    rate: RateLimit { per_second: 3.0, burst: 3 },
    max_skus: 50,
    products: "/product/202309/products/search",
    products_page: 50,
};

const TOKEN_HOST: &str = "https://auth.tiktok-shops.com";
/// The cost of a write, in points.
const WRITE_COST: u32 = 3;
const MAX_UNITS: i64 = 99_999;

const INVENTORY: &str = "/product/202309/inventory/search";
const TOKEN_GET: &str = "/api/v2/token/get";
const TOKEN_REFRESH: &str = "/api/v2/token/refresh";

const PRODUCT_ID: &str = "product_id";
const WAREHOUSE_ID: &str = "warehouse_id";

/// The TikTok Shop connector.
#[derive(Debug)]
pub struct TikTokShop;

fn set_request(store: &StoreConnection, call: &Call, stamp: &Stamp) -> Result<Request, String> {
    let product = call.items.first().and_then(|item| item.extra.get(PRODUCT_ID));
    let product = product.ok_or("The listing has no product_id. Pair it again.")?;
    if whole(product).is_none() {
        return Err(format!("The listing's product_id {product} is not the ID of a TikTok product."));
    }
    let skus = call.items.iter().map(|item| {
        if item.extra.get(PRODUCT_ID) != Some(product) {
            return Err("TikTok Shop accepts only SKUs of one product per call.".to_owned());
        }
        if !(0..=MAX_UNITS).contains(&item.quantity) {
            return Err(format!("TikTok Shop accepts quantities from 0 to {MAX_UNITS}; this one is {}.", item.quantity));
        }
        let inventory = [OutInventory { warehouse_id: listing_or_store_setting(item, store, WAREHOUSE_ID), quantity: item.quantity }];
        Ok(OutSku { id: &item.external_id, inventory })
    });
    let body = OutUpdate { skus: skus.collect::<Result<_, _>>()? };
    let body = serde_json::to_string(&body).map_err(|e| e.to_string())?;
    signed(store, &format!("/product/202309/products/{product}/inventory/update"), true, &[], Some(body), stamp)
}

/// The data of a reply to a call that succeeded at least in part.
fn data(call: &Call, reply: &Reply) -> Result<Value, Outcome> {
    let body = serde_json::from_str::<Envelope>(&reply.body).ok().filter(|body| !body.code.is_null());
    let Some(body) = body else {
        let status = reply.status.to_string();
        let class = find(CODES, &status, "").map(|class| outcome(class, said("TikTok Shop", &status, ""), call, reply, WAREHOUSE_ID));
        return Err(class.or_else(|| by_status(reply)).unwrap_or_else(unreadable));
    };
    let code = text(&body.code);
    if code == "0" {
        return by_status(reply).map_or(Ok(body.data), Err);
    }
    let said = said("TikTok Shop", &code, &body.message);
    Err(match find(CODES, &code, &body.message) {
        Some(class) => outcome(class, said, call, reply, WAREHOUSE_ID),
        None => by_status(reply).unwrap_or(Outcome::Unknown { reason: format!("{said} {UNKNOWN_CODE}") }),
    })
}

/// Everything that did not fail was applied. A failure without a SKU of the call could be that of any listing.
fn set_results(call: &Call, data: Value) -> Outcome {
    let Ok(InErrors { errors }) = serde_json::from_value::<Option<InErrors>>(data).map(Option::unwrap_or_default) else {
        return unreadable();
    };
    let single = call.items.len() == 1;
    let unattributed = errors.iter().any(|failed| !call.items.iter().any(|item| item.external_id == text(&failed.detail.sku_id)));
    let result = |listing: &CallItem| match errors.iter().find(|failed| single || text(&failed.detail.sku_id) == listing.external_id) {
        Some(failed) => {
            // The warehouse's own error is more specific, if there is one.
            let inner = failed.detail.extra_errors.first().map(|inner| (text(&inner.code), inner.message.clone()));
            let (code, message) =
                inner.filter(|(code, _)| find(CODES, code, "").is_some()).unwrap_or((text(&failed.code), failed.message.clone()));
            item(find(CODES, &code, &message).unwrap_or(Listing(PAIR_AGAIN)), said("TikTok Shop", &code, &message))
        }
        None if unattributed => {
            ItemResult::Unknown { reason: "TikTok Shop's response reports a failure without naming its SKU.".to_owned() }
        }
        None => ItemResult::Applied { shown: Some(listing.quantity) },
    };
    Outcome::Answered(call.items.iter().map(result).collect())
}

/// The ids of these warehouses.
fn warehouses(of: &[InWarehouse]) -> String {
    of.iter().map(|at| text(&at.warehouse_id)).collect::<Vec<_>>().join(", ")
}

fn read_result(store: &StoreConnection, listing: &CallItem, skus: &[InSku]) -> ItemResult {
    let rejected = |reason: &str, next_step: &str| ItemResult::Rejected { reason: reason.to_owned(), next_step: next_step.to_owned() };
    let Some(sku) = skus.iter().find(|sku| text(&sku.id) == listing.external_id) else {
        return rejected("TikTok Shop does not know this SKU.", PAIR_AGAIN);
    };
    let quantity = match (listing_or_store_setting(listing, store, WAREHOUSE_ID), sku.warehouse_inventory.as_slice()) {
        // Nothing is anywhere.
        (None, []) if sku.total_available_quantity.known() == Some(0) => sku.total_available_quantity,
        (None, []) => return rejected("TikTok Shop does not say which warehouse holds this SKU.", WAREHOUSE),
        (None, [only]) => only.available_quantity,
        (None, several) => {
            let reason = format!("This SKU is in several warehouses ({}), and no warehouse_id selects one.", warehouses(several));
            return rejected(&reason, WAREHOUSE);
        }
        (Some(id), at) => match at.iter().find(|at| text(&at.warehouse_id) == id) {
            Some(at) => at.available_quantity,
            None => return rejected("TikTok Shop has no stock of this SKU in the given warehouse.", WAREHOUSE),
        },
    };
    match quantity.known() {
        Some(shown) => ItemResult::Applied { shown: Some(shown) },
        None => ItemResult::Unknown { reason: "TikTok Shop's response has no quantity for this SKU.".to_owned() },
    }
}

/// The outcome of a check: whether the store's shop is among the authorized ones.
fn check_result(store: &StoreConnection, data: Value) -> Outcome {
    let Ok(InShops { shops }) = serde_json::from_value(data) else { return unreadable() };
    let cipher = store.setting("shop_cipher").unwrap_or_default();
    if shops.iter().any(|shop| shop.cipher == cipher) {
        return Outcome::Answered(Vec::new());
    }
    let known: Vec<String> = shops.into_iter().map(|shop| format!("{} ({})", shop.cipher, shop.name)).collect();
    Outcome::Closed {
        reason: format!("The app is not authorized for this shop. These shop_ciphers are authorized: {}.", known.join(", ")),
        next_step: CIPHER.to_owned(),
    }
}

impl Platform for TikTokShop {
    fn name(&self) -> &'static str {
        "tiktok_shop"
    }

    fn check_config(&self, store: &StoreConnection) -> Result<(), Vec<FieldError>> {
        Check::new(store, Need::Optional)
            .word("region", Need::Optional, &HOSTS.map(|(name, _)| name))
            .text("app_key", Need::Required)
            .text("shop_cipher", Need::Required)
            .text(WAREHOUSE_ID, Need::Optional)
            .rate_limit()
            .secret("app_secret", Need::Required)
            .tokens(&["refresh_token", "access_token", "auth_code"])
            .done()
    }

    fn listing_fields(&self) -> &'static [&'static str] {
        &[PRODUCT_ID, WAREHOUSE_ID]
    }

    fn facts(&self, store: &StoreConnection) -> Facts {
        let max_items = UNCONFIRMED.max_skus;
        Facts {
            reads_before_set: store.setting(WAREHOUSE_ID).is_none(),
            proves_writes: false,
            abilities: Abilities { adjust: false, idempotency: false, compare_and_set: false, read: true, max_items },
            group_by: Some(PRODUCT_ID),
            location: Some(WAREHOUSE_ID),
            per_store: rate_limit(store, UNCONFIRMED.rate).unwrap_or(UNCONFIRMED.rate),
            // Each shop of an app has its own bucket.
            per_app: None,
        }
    }

    fn cost(&self, call: &Call) -> u32 {
        if matches!(call.action, Action::Set | Action::Adjust) { WRITE_COST } else { 1 }
    }

    fn request(&self, store: &StoreConnection, call: &Call, stamp: &Stamp) -> Result<Request, String> {
        match call.action {
            Action::Set => set_request(store, call, stamp),
            Action::Read => {
                let ids: Vec<&str> = call.items.iter().map(|item| item.external_id.as_str()).collect();
                signed(store, INVENTORY, true, &[], Some(json!({ "sku_ids": ids }).to_string()), stamp)
            }
            Action::Check => signed(store, SHOPS, false, &[], None, stamp),
            Action::Adjust => Err("TikTok Shop cannot add to a quantity; it can only set one.".to_owned()),
        }
    }

    fn outcome(&self, store: &StoreConnection, call: &Call, reply: &Reply) -> Outcome {
        let data = match data(call, reply) {
            Ok(data) => data,
            Err(outcome) => return outcome,
        };
        match call.action {
            Action::Set | Action::Adjust => set_results(call, data),
            Action::Check => check_result(store, data),
            Action::Read => match serde_json::from_value::<InInventory>(data) {
                Ok(found) => {
                    let skus: Vec<InSku> = found.inventory.into_iter().flat_map(|product| product.skus).collect();
                    Outcome::Answered(call.items.iter().map(|listing| read_result(store, listing, &skus)).collect())
                }
                Err(_) => unreadable(),
            },
        }
    }

    /// Nothing is to be added to a quantity, but only what can be read is set.
    fn reserved(&self, store: &StoreConnection, call: &Call, reply: &Reply) -> Vec<Option<i64>> {
        let Outcome::Answered(results) = self.outcome(store, call, reply) else { return Vec::new() };
        results.iter().map(|result| matches!(result, ItemResult::Applied { .. }).then_some(0)).collect()
    }

    fn shop(&self, _: &Reply) -> Option<String> {
        None
    }

    fn shop_request(&self, _: &StoreConnection, _: &Stamp) -> Option<Result<Request, String>> {
        None
    }

    fn quota(&self, _: &Reply) -> Option<ReportedQuota> {
        None
    }

    fn variants_request(&self, store: &StoreConnection, cursor: Option<&str>, stamp: &Stamp) -> Result<Request, String> {
        let mut own = vec![("page_size", page_size(store, UNCONFIRMED.products_page).to_string())];
        own.extend(cursor.map(|token| ("page_token", token.to_owned())));
        signed(store, UNCONFIRMED.products, true, &own, Some(json!({"status": "ACTIVATE"}).to_string()), stamp)
    }

    fn variants(&self, store: &StoreConnection, _: Option<&str>, reply: &Reply) -> Result<VariantPage, Outcome> {
        let call = Call { action: Action::Read, items: Vec::new(), idempotency_key: None };
        let page: InProducts = serde_json::from_value(data(&call, reply)?).map_err(|_| unreadable())?;
        let several = page.products.iter().flat_map(|product| &product.skus).find(|sku| sku.inventory.len() > 1);
        if let (Some(sku), None) = (several, store.setting(WAREHOUSE_ID)) {
            let reason = format!("The shop's SKUs are in several warehouses: {}.", warehouses(&sku.inventory));
            return Err(Outcome::Refused { reason, next_step: WAREHOUSE.to_owned() });
        }
        let of_product = |product: InProduct| {
            let (id, title) = (text(&product.id), product.title);
            product.skus.into_iter().map(move |sku| Variant {
                sku: sku.seller_sku.filter(|sku| !sku.is_empty()),
                external_id: text(&sku.id),
                extra: [(PRODUCT_ID.to_owned(), id.clone())].into(),
                title: title.clone(),
            })
        };
        Ok(VariantPage {
            variants: page.products.into_iter().flat_map(of_product).collect(),
            next: page.next_page_token.filter(|token| !token.is_empty()),
        })
    }

    fn renewal_request(&self, store: &StoreConnection, stamp: &Stamp, refused: bool) -> Option<Request> {
        let secret = |name: &str| store.credentials.get(name).map(ExposeSecret::expose_secret);
        let (path, grant) = match (secret("auth_code"), secret("refresh_token")) {
            (Some(code), _) => (TOKEN_GET, format!("auth_code={}&grant_type=authorized_code", percent(code))),
            (None, _) if !refused && secret("access_token").is_some() && !expires_soon(store, stamp) => return None,
            (None, Some(token)) => (TOKEN_REFRESH, format!("refresh_token={}&grant_type=refresh_token", percent(token))),
            (None, None) => return None,
        };
        let [key, app_secret] = [store.setting("app_key")?, secret("app_secret")?].map(percent);
        Some(Request::get(format!("{}{path}?app_key={key}&app_secret={app_secret}&{grant}", base(store, TOKEN_HOST))))
    }

    fn renewal(&self, store: &StoreConnection, reply: &Reply, stamp: &Stamp) -> Renewal {
        let Ok(body) = serde_json::from_str::<Envelope>(&reply.body) else {
            return Renewal::TryAgain { reason: "TikTok Shop's response to the token renewal could not be read.".to_owned() };
        };
        let code = text(&body.code);
        let tokens = serde_json::from_value::<InTokens>(body.data).ok().filter(|_| code == "0");
        let Some(tokens) = tokens else {
            let said = said("TikTok Shop", &code, &body.message);
            if reply.status >= 500 || reply.status == 429 || code == "0" {
                return Renewal::TryAgain { reason: said };
            }
            return renewal(find(CODES, &code, &body.message), said);
        };
        // Despite its name, this is the Unix time of the expiry.
        let lifetime_s = tokens.access_token_expire_in.saturating_sub(stamp.now.timestamp());
        let mut credentials = with_access_token(store, &tokens.access_token, lifetime_s, stamp);
        credentials.insert("refresh_token".to_owned(), tokens.refresh_token.into());
        note_refresh_end(&mut credentials, tokens.refresh_token_expire_in.map(|at| at.saturating_sub(stamp.now.timestamp())), stamp);
        credentials.remove("auth_code");
        Renewal::Renewed(credentials)
    }
}
