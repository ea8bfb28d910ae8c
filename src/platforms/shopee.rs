//! Shopee, Open Platform v2 (`/api/v2`). Checked in November 2026 against Shopee's own API descriptors of August 2026.
//!
//! What it can do: set the seller's stock, 1 to 50 models of one item a call, each by itself (a call may fail for some
//! and work for others); no adjusting, no idempotency keys, no compare-and-set. So an increase is read, added to and
//! set: what the shop sells between the read and the set, some tens of milliseconds, is overwritten.
//!
//! Listings: `item_id` is Shopee's item, `external_id` the model in it; for an item without models `external_id` is the
//! item's own id again. `location_id`, of the listing or else of the store, is needed by shops with several warehouses
//! and must be left out for the others.
//!
//! Settings: `partner_id`, `shop_id`; `region` (where the app is registered), `location_id`, `rate_limit`. Credentials:
//! `partner_key`, and `refresh_token` with or without `access_token`, or the `auth_code` that Shopee gives back when the
//! seller allows the app (once, within 10 minutes: add the store, then check it).
//!
//! Limits: Shopee publishes none (its descriptors say 0), so `UNCONFIRMED` begins with a few calls a second and the
//! store's `rate_limit` says otherwise. `error_limit` is the app's daily limit, which ends at midnight, UTC+8.
//!
//! Quirks: failures mostly come with status 200, told by `error` alone. The body is not signed. A refresh token is good
//! for one use, so that a lost answer to a renewal means that the seller must sign in again (whether Shopee still takes
//! the old one for a while is unconfirmed).
mod codes;
#[cfg(test)]
mod tests;
mod wire;

use super::call::{Action, Call, CallItem, Method, Reply, Request, StoreConnection};
use super::check::{Check, Need};
use super::client::by_status;
use super::codes::{Class, UNKNOWN_CODE, find, item, outcome, renewal, said, unreadable};
use super::fields::{base, number, own_or_stores, rate_limit, whole};
use super::sign::{ends_soon, hmac_sha256_hex, percent, with_access_token};
use super::{Facts, Platform, RateLimit, Renewal, ReportedQuota, Stamp, Variant, VariantPage};
use crate::domain::FieldError;
use crate::domain::delivery::{Abilities, ItemResult, Outcome};
use chrono::{DateTime, TimeDelta, Utc};
use codes::CODES;
use secrecy::ExposeSecret;
use serde_json::Value;
use std::time::Duration;
use wire::{
    Envelope, InItems, InList, InLists, InStockInfo, InTier, InTokens, InWarehouse, OutCode, OutModel, OutRefresh, OutStock, OutUpdate,
};

/// What no source that could be read says.
struct Unconfirmed {
    /// Calls to one shop.
    rate: RateLimit,
    /// The host for apps registered in mainland China.
    china: &'static str,
}
const UNCONFIRMED: Unconfirmed = Unconfirmed { rate: RateLimit { per_second: 3.0, burst: 3 }, china: "https://openplatform.shopee.cn" };

/// Hosts by the setting `region`; the first is the default.
const HOSTS: [(&str, &str); 4] = [
    ("global", "https://partner.shopeemobile.com"),
    ("brazil", "https://openplatform.shopee.com.br"),
    ("sandbox", "https://partner.test-stable.shopeemobile.com"),
    ("china", UNCONFIRMED.china),
];
/// Models in one call.
const MOST_MODELS: usize = 50;
/// Items on a page of the list. Shopee gives up to 100, but their details only for 50 at once, and a cursor is bounded.
const ITEMS_PAGE: usize = 40;
/// An access token lives this long, in seconds, where the answer does not say.
const ACCESS_LIVES_S: i64 = 4 * 3600;
/// The pause after the app's daily limit when the answer does not say what time it is.
const DAILY_LIMIT_PAUSE: Duration = Duration::from_secs(3600);

const UPDATE_STOCK: &str = "/api/v2/product/update_stock";
const MODEL_LIST: &str = "/api/v2/product/get_model_list";
const ITEM_INFO: &str = "/api/v2/product/get_item_base_info";
const ITEM_LIST: &str = "/api/v2/product/get_item_list";
const WAREHOUSES: &str = "/api/v2/shop/get_warehouse_detail";
const TOKEN_GET: &str = "/api/v2/auth/token/get";
const TOKEN_REFRESH: &str = "/api/v2/auth/access_token/get";

const ITEM_ID: &str = "item_id";
const LOCATION_ID: &str = "location_id";
const PAIR: &str = "Check that the item and its variation exist in Shopee and pair the listing again, then retry.";

/// The connector.
#[derive(Debug)]
pub struct Shopee;

/// Item and model of a listing; model 0 is an item without models.
fn ids(listing: &CallItem) -> Result<(u64, u64), String> {
    let item = listing.extra.get(ITEM_ID).ok_or("The listing has no item_id: pair it again with the id of its Shopee item.")?;
    let item_id = whole(item).ok_or_else(|| format!("The listing's item_id {item} is not a Shopee item's number."))?;
    let model = &listing.external_id;
    let model_id = whole(model).ok_or_else(|| format!("The listing's external_id {model} is not a Shopee model's number."))?;
    Ok((item_id, if model_id == item_id { 0 } else { model_id }))
}

/// The one item of a call, and whether only the item itself is meant.
fn item_of(call: &Call) -> Result<(u64, bool), String> {
    let mut all = call.items.iter().map(ids);
    let (item_id, first) = all.next().ok_or("There is nothing in this call.")??;
    let mut without_models = first == 0;
    for next in all {
        let (other, model) = next?;
        if other != item_id {
            return Err("Shopee takes only models of one item in a call.".to_owned());
        }
        without_models &= model == 0;
    }
    Ok((item_id, without_models))
}

/// The address of a call, signed; `more` is its own part of the query. A call for a shop carries token and shop.
fn address(store: &StoreConnection, path: &str, for_shop: bool, more: &str, stamp: &Stamp) -> Result<String, String> {
    let [(_, usual), ..] = HOSTS;
    let host = HOSTS.iter().find(|(name, _)| store.setting("region") == Some(name)).map_or(usual, |(_, host)| host);
    let partner_id = number(store, "partner_id").ok_or("The store's partner_id is missing.")?;
    let timestamp = stamp.now.timestamp();
    let mut text = format!("{partner_id}{path}{timestamp}");
    let mut query = format!("partner_id={partner_id}&timestamp={timestamp}");
    if for_shop {
        let shop_id = number(store, "shop_id").ok_or("The store's shop_id is missing.")?;
        let token = store.secret("access_token")?.expose_secret();
        text = format!("{text}{token}{shop_id}");
        query = format!("{query}&access_token={}&shop_id={shop_id}", percent(token));
    }
    let sign = hmac_sha256_hex(store.secret("partner_key")?, &text);
    Ok(format!("{}{path}?{query}&sign={sign}{more}", base(store, host)))
}

fn set_request(store: &StoreConnection, call: &Call, stamp: &Stamp) -> Result<Request, String> {
    let (item_id, _) = item_of(call)?;
    let models = call.items.iter().map(|item| {
        if item.quantity < 0 {
            return Err("Shopee shows no stock below 0.".to_owned());
        }
        let stock = OutStock { location_id: own_or_stores(item, store, LOCATION_ID), stock: item.quantity };
        Ok(OutModel { model_id: ids(item)?.1, seller_stock: [stock] })
    });
    let body = OutUpdate { item_id, stock_list: models.collect::<Result<_, String>>()? };
    Request::json(Method::Post, address(store, UPDATE_STOCK, true, "", stamp)?, &body)
}

fn read_request(store: &StoreConnection, call: &Call, stamp: &Stamp) -> Result<Request, String> {
    let (item_id, without_models) = item_of(call)?;
    let url = if without_models {
        address(store, ITEM_INFO, true, &format!("&item_id_list={item_id}"), stamp)
    } else {
        address(store, MODEL_LIST, true, &format!("&item_id={item_id}"), stamp)
    };
    url.map(Request::get)
}

/// A shop that names a location is asked for its locations, any other for one item.
fn check_request(store: &StoreConnection, stamp: &Stamp) -> Result<Request, String> {
    if store.setting(LOCATION_ID).is_some() {
        return address(store, WAREHOUSES, true, "", stamp).map(Request::get);
    }
    address(store, ITEM_LIST, true, "&offset=0&page_size=1&item_status=NORMAL", stamp).map(Request::get)
}

/// Until the daily limit ends at midnight in UTC+8, by the answer's own `Date`.
fn until_midnight(reply: &Reply) -> Option<Duration> {
    let now = DateTime::parse_from_rfc2822(reply.header("date")?).ok()?.with_timezone(&Utc);
    let local = now + TimeDelta::hours(8);
    let midnight = local.date_naive().succ_opt()?.and_time(chrono::NaiveTime::MIN);
    (midnight - local.naive_utc()).to_std().ok()
}

/// The code without its module.
fn bare(code: &str) -> &str {
    code.trim().rsplit('.').next().unwrap_or_default()
}

/// What a failure that Shopee names means for the call.
fn failure(code: &str, message: &str, call: &Call, reply: &Reply) -> Outcome {
    let said = said("Shopee", code, message);
    match find(CODES, bare(code), message) {
        Some(Class::Throttled) if bare(code) == "error_limit" => Outcome::TryAgain {
            reason: format!("{said} It is the app's daily limit, which ends at midnight, UTC+8."),
            after: until_midnight(reply).or(Some(DAILY_LIMIT_PAUSE)),
            throttled: true,
        },
        Some(class) => outcome(class, said, call, reply, LOCATION_ID),
        None => by_status(reply).unwrap_or(Outcome::Unknown { reason: format!("{said} {UNKNOWN_CODE}") }),
    }
}

/// The answer to a call that worked at least in part.
fn envelope(call: &Call, reply: &Reply) -> Result<Envelope, Outcome> {
    let Ok(mut body) = serde_json::from_str::<Envelope>(&reply.body) else {
        return Err(by_status(reply).unwrap_or_else(unreadable));
    };
    let partly = body.response.get("failure_list").and_then(Value::as_array).is_some_and(|list| !list.is_empty());
    if bare(&body.error) == "error_busi_update_stock_failed" && partly {
        // Under a status that is no success, what is said to have worked contradicts it, and is unknown.
        if let Some(response) = body.response.as_object_mut().filter(|_| !(200..300).contains(&reply.status)) {
            response.remove("success_list");
        }
        return Ok(body);
    }
    if !body.error.is_empty() {
        return Err(failure(&body.error, &body.message, call, reply));
    }
    by_status(reply).map_or(Ok(body), Err)
}

/// What became of each model: told of in one of two lists, or nowhere.
fn set_results(store: &StoreConnection, call: &Call, response: Value) -> Outcome {
    let Ok(lists) = serde_json::from_value::<InLists>(response) else { return unreadable() };
    let result = |listing: &CallItem| {
        let Ok((_, model_id)) = ids(listing) else { return ItemResult::Unknown { reason: "This is not a Shopee listing.".to_owned() } };
        if let Some(failed) = lists.failure_list.iter().find(|failed| failed.model_id == model_id) {
            return failed_model(&failed.failed_reason);
        }
        let location = own_or_stores(listing, store, LOCATION_ID);
        let mut done = lists.success_list.iter().filter(|done| done.model_id == model_id);
        match done.find(|done| location.is_none() || done.location_id.is_none() || done.location_id.as_deref() == location) {
            Some(done) => ItemResult::Applied { shown: done.stock },
            None => ItemResult::Unknown { reason: "Shopee's answer does not mention this model.".to_owned() },
        }
    };
    Outcome::Answered(call.items.iter().map(result).collect())
}

/// What Shopee says of one model that it did not update.
fn failed_model(reason: &str) -> ItemResult {
    let said = said("Shopee", "", reason);
    let words = reason.to_lowercase();
    if ["later", "busy", "timeout", "system error"].iter().any(|word| words.contains(word)) {
        return ItemResult::TryAgain { reason: said };
    }
    item(
        find(CODES, "", reason)
            .unwrap_or(Class::Listing("Look at the variation in Shopee Seller Centre, put right what Shopee says, then retry.")),
        said,
    )
}

fn read_results(store: &StoreConnection, call: &Call, response: Value) -> Outcome {
    let Ok(items) = serde_json::from_value::<InItems>(response) else { return unreadable() };
    let result = |listing: &CallItem| {
        let Ok((item_id, model_id)) = ids(listing) else { return gone("This is not a Shopee listing.") };
        let location = own_or_stores(listing, store, LOCATION_ID);
        if model_id != 0 {
            let model = items.model.iter().find(|model| model.model_id == model_id);
            return model
                .map_or_else(|| gone("Shopee does not know this variation of the item."), |model| shown(&model.stock_info_v2, location));
        }
        match items.item_list.iter().find(|item| item.item_id == item_id) {
            None => gone("Shopee does not know this item."),
            Some(item) if item.has_model => ItemResult::Rejected {
                reason: "This item has variations in Shopee now, so it has no stock of its own.".to_owned(),
                next_step: "Pair its variations instead, then retry.".to_owned(),
            },
            Some(item) => shown(&item.stock_info_v2, location),
        }
    };
    Outcome::Answered(call.items.iter().map(result).collect())
}

fn gone(reason: &str) -> ItemResult {
    ItemResult::Rejected { reason: reason.to_owned(), next_step: PAIR.to_owned() }
}

/// The seller's stock at the listing's location.
fn shown(info: &Option<InStockInfo>, location: Option<&str>) -> ItemResult {
    let stock = info.as_ref().map(|info| info.seller_stock.as_slice()).unwrap_or_default();
    let rejected = |reason: &str, next_step: &str| ItemResult::Rejected { reason: reason.to_owned(), next_step: next_step.to_owned() };
    match (location, stock) {
        (_, []) => rejected(
            "Shopee shows no stock of the seller's for this: Shopee keeps it itself, or stock is not tracked.",
            "Move the item to the seller's own stock in Shopee, or unpair the listing.",
        ),
        (None, [only]) => ItemResult::Applied { shown: Some(only.stock) },
        (None, _) => rejected(
            "This shop has several warehouses, and no location_id says which one is meant.",
            "Set location_id, of the store or of the listing, then retry.",
        ),
        (Some(location), stock) => match stock.iter().find(|at| at.location_id.as_deref() == Some(location)) {
            Some(at) => ItemResult::Applied { shown: Some(at.stock) },
            None => rejected(
                "Shopee has no stock of this at the given location_id.",
                "Check location_id; if the location is new, overwrite the listing once with a sync, then retry.",
            ),
        },
    }
}

/// Where a list of variants goes on: the list itself, the details of its items, the models of those that have some.
enum Cursor {
    List { offset: u64 },
    Items { next: Option<u64>, ids: Vec<u64> },
    Models { next: Option<u64>, ids: Vec<u64> },
}

impl Cursor {
    fn read(text: Option<&str>) -> Option<Self> {
        let Some(text) = text else { return Some(Self::List { offset: 0 }) };
        let mut parts = text.split(':');
        let (kind, next) = (parts.next()?, parts.next()?);
        if kind == "list" {
            return Some(Self::List { offset: whole(next)? });
        }
        let (next, ids) = (whole(next), parts.next()?.split(',').map(whole).collect::<Option<Vec<u64>>>()?);
        match kind {
            "items" => Some(Self::Items { next, ids }),
            "models" => Some(Self::Models { next, ids }),
            _ => None,
        }
    }

    /// `kind` for these ids; without any, the next page of the list, if there is one.
    fn text(kind: &str, next: Option<u64>, ids: &[u64]) -> Option<String> {
        if ids.is_empty() {
            return next.map(|offset| format!("list:{offset}"));
        }
        let next = next.map_or_else(|| "end".to_owned(), |offset| offset.to_string());
        let ids: Vec<String> = ids.iter().map(u64::to_string).collect();
        Some(format!("{kind}:{next}:{}", ids.join(",")))
    }
}

impl Platform for Shopee {
    fn name(&self) -> &'static str {
        "shopee"
    }

    fn check_config(&self, store: &StoreConnection) -> Result<(), Vec<FieldError>> {
        Check::new(store, Need::Optional)
            .number("partner_id", Need::Needed)
            .number("shop_id", Need::Needed)
            .word("region", Need::Optional, &HOSTS.map(|(name, _)| name))
            .text(LOCATION_ID, Need::Optional)
            .rate_limit()
            .secret("partner_key", Need::Needed)
            .tokens(&["refresh_token", "access_token", "auth_code"])
            .done()
    }

    fn listing_fields(&self) -> &'static [&'static str] {
        &[ITEM_ID, LOCATION_ID]
    }

    fn facts(&self, store: &StoreConnection) -> Facts {
        Facts {
            abilities: Abilities { adjust: false, idempotency: false, compare_and_set: false, read: true, max_items: MOST_MODELS },
            group_by: Some(ITEM_ID),
            per_store: rate_limit(store, UNCONFIRMED.rate).unwrap_or(UNCONFIRMED.rate),
            // The app's daily limit is not published; `error_limit` tells when it is reached.
            per_app: None,
        }
    }

    fn cost(&self, _: &Call) -> u32 {
        1
    }

    fn request(&self, store: &StoreConnection, call: &Call, stamp: &Stamp) -> Result<Request, String> {
        match call.action {
            Action::Set => set_request(store, call, stamp),
            Action::Read => read_request(store, call, stamp),
            Action::Check => check_request(store, stamp),
            Action::Adjust => Err("Shopee cannot add to a stock; it is read and set instead.".to_owned()),
        }
    }

    fn outcome(&self, store: &StoreConnection, call: &Call, reply: &Reply) -> Outcome {
        let body = match envelope(call, reply) {
            Ok(body) => body,
            Err(outcome) => return outcome,
        };
        match (call.action, store.setting(LOCATION_ID)) {
            (Action::Set | Action::Adjust, _) => set_results(store, call, body.response),
            (Action::Read, _) => read_results(store, call, body.response),
            (Action::Check, None) => Outcome::Answered(Vec::new()),
            (Action::Check, Some(location)) => {
                let found: Vec<InWarehouse> = serde_json::from_value(body.response).unwrap_or_default();
                if found.iter().any(|warehouse| warehouse.location_id == location) {
                    return Outcome::Answered(Vec::new());
                }
                let known: Vec<String> = found.into_iter().map(|warehouse| warehouse.location_id).collect();
                Outcome::Closed {
                    reason: format!("The shop has no location {location}; it has: {}.", known.join(", ")),
                    next_step: "Set the store's location_id to one of these; then check the store.".to_owned(),
                }
            }
        }
    }

    fn quota(&self, _: &Reply) -> Option<ReportedQuota> {
        None
    }

    fn variants_request(&self, store: &StoreConnection, cursor: Option<&str>, stamp: &Stamp) -> Result<Request, String> {
        let url = match Cursor::read(cursor).ok_or("This is not where a list of this store's variants goes on.")? {
            Cursor::List { offset } => {
                let page = format!("&offset={offset}&page_size={ITEMS_PAGE}&item_status=NORMAL&item_status=UNLIST");
                address(store, ITEM_LIST, true, &page, stamp)
            }
            Cursor::Items { ids, .. } => {
                let ids: Vec<String> = ids.iter().map(u64::to_string).collect();
                address(store, ITEM_INFO, true, &format!("&item_id_list={}", ids.join(",")), stamp)
            }
            Cursor::Models { ids, .. } => {
                let first = ids.first().copied().unwrap_or_default();
                address(store, MODEL_LIST, true, &format!("&item_id={first}"), stamp)
            }
        };
        url.map(Request::get)
    }

    fn variants(&self, _: &StoreConnection, cursor: Option<&str>, reply: &Reply) -> Result<VariantPage, Outcome> {
        let call = Call { action: Action::Read, items: Vec::new(), idempotency_key: None };
        let response = envelope(&call, reply)?.response;
        let variant = |item_id: u64, model_id: u64, sku: Option<String>, title: String| Variant {
            sku: sku.filter(|sku| !sku.is_empty()),
            external_id: if model_id == 0 { item_id.to_string() } else { model_id.to_string() },
            extra: [(ITEM_ID.to_owned(), item_id.to_string())].into(),
            title,
        };
        match Cursor::read(cursor).ok_or_else(unreadable)? {
            Cursor::List { .. } => {
                let list: InList = serde_json::from_value(response).map_err(|_| unreadable())?;
                let ids: Vec<u64> = list.item.iter().map(|item| item.item_id).collect();
                let next = list.next_offset.filter(|_| list.has_next_page);
                Ok(VariantPage { variants: Vec::new(), next: Cursor::text("items", next, &ids) })
            }
            Cursor::Items { next, .. } => {
                let InItems { item_list, .. } = serde_json::from_value(response).map_err(|_| unreadable())?;
                let with_models: Vec<u64> = item_list.iter().filter(|item| item.has_model).map(|item| item.item_id).collect();
                let simple = item_list.into_iter().filter(|item| !item.has_model);
                let variants = simple.map(|item| variant(item.item_id, 0, item.item_sku, item.item_name)).collect();
                Ok(VariantPage { variants, next: Cursor::text("models", next, &with_models) })
            }
            Cursor::Models { next, ids } => {
                let Some((item_id, rest)) = ids.split_first() else { return Err(unreadable()) };
                let InItems { model, tier_variation, .. } = serde_json::from_value(response).map_err(|_| unreadable())?;
                let variants = model.into_iter().map(|model| {
                    let options = title(&tier_variation, &model.tier_index);
                    let title = if options.is_empty() { format!("Item {item_id}") } else { options };
                    variant(*item_id, model.model_id, model.model_sku, title)
                });
                Ok(VariantPage { variants: variants.collect(), next: Cursor::text("models", next, rest) })
            }
        }
    }

    fn renewal_request(&self, store: &StoreConnection, stamp: &Stamp, refused: bool) -> Option<Request> {
        let secret = |name: &str| store.credentials.get(name).map(ExposeSecret::expose_secret);
        let (partner_id, shop_id) = (number(store, "partner_id")?, number(store, "shop_id")?);
        if let Some(code) = secret("auth_code") {
            let url = address(store, TOKEN_GET, false, "", stamp).ok()?;
            return Request::json(Method::Post, url, &OutCode { code, partner_id, shop_id }).ok();
        }
        if !refused && secret("access_token").is_some() && !ends_soon(store, stamp) {
            return None;
        }
        let refresh_token = secret("refresh_token")?;
        let url = address(store, TOKEN_REFRESH, false, "", stamp).ok()?;
        Request::json(Method::Post, url, &OutRefresh { refresh_token, partner_id, shop_id }).ok()
    }

    fn renewal(&self, store: &StoreConnection, reply: &Reply, stamp: &Stamp) -> Renewal {
        let Ok(tokens) = serde_json::from_str::<InTokens>(&reply.body) else {
            return Renewal::TryAgain { reason: "Shopee's answer about new tokens could not be read.".to_owned() };
        };
        if !tokens.error.is_empty() {
            return renewal(find(CODES, bare(&tokens.error), &tokens.message), said("Shopee", &tokens.error, &tokens.message));
        }
        let (Some(access), Some(refresh)) = (tokens.access_token, tokens.refresh_token) else {
            return Renewal::TryAgain { reason: "Shopee's answer has no tokens in it.".to_owned() };
        };
        let mut credentials = with_access_token(store, &access, tokens.expire_in.unwrap_or(ACCESS_LIVES_S), stamp);
        credentials.insert("refresh_token".to_owned(), refresh.into());
        credentials.remove("auth_code");
        Renewal::Renewed(credentials)
    }
}

/// The words of a model's options.
fn title(tiers: &[InTier], index: &[usize]) -> String {
    let option = |(tier, at): (&InTier, &usize)| tier.option_list.get(*at).map(|option| option.option.clone());
    tiers.iter().zip(index).filter_map(option).collect::<Vec<_>>().join(", ")
}
