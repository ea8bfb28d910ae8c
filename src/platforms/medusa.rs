//! Medusa: the Admin API, version 2, of the shop's own server.
//!
//! Sources (checked November 2026): docs.medusajs.com (Admin API reference) and the OpenAPI description published there;
//! the source of the packages `@medusajs/medusa`, `core-flows` and `inventory` 2.21; calls to a running 2.21.2 with
//! PostgreSQL.
//!
//! - Quantities can only be set, with `POST inventory-items/location-levels/batch`. There are no idempotency keys (the
//!   `Idempotency-Key` header is ignored) and there is no compare-and-set. An increase is therefore read, added and
//!   written back; whatever a fulfillment removes between the read and the write is overwritten. Concurrent writes to one
//!   level leave one of the written values, never a mixture.
//! - The shop sells `stocked_quantity` at a stock location less `reserved_quantity`, the units reserved for orders; a sale
//!   reduces the former only when it is fulfilled. So what is shown is the difference, and what is reserved is added to
//!   what is set. (15 stocked and 3 reserved: the shop sells 12; set to 12, it would sell 9.)
//! - A listing's `external_id` is an inventory item (`iitem_…`; not a variant, because a variant whose inventory Medusa
//!   does not manage has no inventory item), and its `location_id` is a stock location (`sloc_…`). The store's
//!   `location_id` applies to listings without their own, and a listing with another one is rejected. Where the store has
//!   none, discovery uses an item's only location, and asks if it has several.
//! - An item must already be stocked at the location: a write does not create a level.
//! - One bad row causes the whole call to be refused; the message names each bad pair of item and location.
//! - Medusa accepts fractions, and integers too large to be stored exactly, so quantities are checked here.
//! - Credentials are a secret API key, which does not expire, or the email and password of a user, which are exchanged
//!   for a token that is valid for `TOKEN_LIFETIME_S`.
//! - Limits: Medusa itself has none (`OUR_PACE` is our choice).
//!
//! Unconfirmed: what a proxy in front of the server allows; what happens to a quantity below the reserved quantity (the
//! source has no check, and `available_quantity` becomes negative). The batch route is absent from the description of
//! 2.0 (`NO_ROUTE` is the advice in that case).
use super::call::{Action, Call, CallItem, Method, Reply, Request, StoreConnection};
use super::check::{Check, Need};
use super::codes::{self, Class};
use super::connector::{Facts, Platform, RateLimit, Renewal, ReportedQuota, Stamp, VariantPage};
use super::fields::{listing_or_store_setting, max_items, on_hand, page_size};
use super::sign::{expires_soon, percent, with_access_token};
use crate::domain::FieldError;
use crate::domain::delivery::{Abilities, ItemResult, Outcome};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};
use wire::{Batch, Item, Items, LoggedIn, Refusal, Row, Updated};

/// Rows per call. A read lists all its items in the URL.
const MAX_ROWS: u64 = 100;
/// Our own choice: the same server also serves the shop's customers.
const OUR_PACE: RateLimit = RateLimit { per_second: 10.0, burst: 10 };
const READ_FIELDS: &str = "id,location_levels.location_id,location_levels.stocked_quantity,location_levels.reserved_quantity";
/// Inventory items per page.
const ITEMS_PAGE: usize = 100;
/// The largest quantity that is sent. Above 2^53 Medusa loses digits.
const MAX_UNITS: i64 = 1_000_000_000;
/// The lifetime of a user's token, as observed.
const TOKEN_LIFETIME_S: i64 = 86_400;
/// The advice when the batch route is missing (unconfirmed).
const NO_ROUTE: &str =
    "Check the store's base_url, and that its server runs a Medusa 2 release with batch updates of stock levels, such as 2.17.";
const BATCH: &str = "inventory-items/location-levels/batch";
const ADD_LOCATION: &str = "Add the stock location to the inventory item in Medusa, or enter another location_id, then retry.";
const PAIR_AGAIN: &str = "Pair the listing again, or remove it if the item was deleted in Medusa.";
const CHECK_LISTING: &str =
    "Check the listing's external_id, location_id and quantity. If they are correct, contact the operator of this service.";

/// The Medusa connector.
#[derive(Debug)]
pub struct Medusa;

fn base(store: &StoreConnection) -> Result<&str, String> {
    Ok(store.base_url.as_deref().ok_or("The store has no base_url.")?.trim_end_matches('/'))
}

fn authorized(store: &StoreConnection, request: Request) -> Result<Request, String> {
    let credential = match store.secret("api_key") {
        // The key is the user name of basic authentication; the password is empty.
        Ok(key) => format!("Basic {}", STANDARD.encode(format!("{}:", key.expose_secret()))),
        Err(_) => format!("Bearer {}", store.secret("access_token")?.expose_secret()),
    };
    Ok(request.header("accept", "application/json").secret_header("authorization", credential))
}

fn get(store: &StoreConnection, path: &str, query: &[(&str, &str)]) -> Result<Request, String> {
    let query: Vec<String> = query.iter().map(|(name, value)| format!("{name}={}", percent(value))).collect();
    authorized(store, Request::get(format!("{}/admin/{path}?{}", base(store)?, query.join("&"))))
}

/// Checks an ID, because it becomes part of URLs and is searched for in error messages.
fn checked_id<'a>(text: &'a str, kind: &str) -> Result<&'a str, String> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if (1..=64).contains(&text.len()) && text.bytes().all(fits) {
        return Ok(text);
    }
    let text: String = text.chars().take(100).collect();
    Err(format!("{text} is not the ID of {kind} in Medusa."))
}

fn item_and_location<'a>(store: &'a StoreConnection, item: &'a CallItem) -> Result<(&'a str, &'a str), String> {
    let location = listing_or_store_setting(item, store, "location_id")
        .filter(|id| !id.is_empty())
        .ok_or("Neither the listing nor its store has a location_id, so its Medusa stock location is unknown.")?;
    Ok((checked_id(&item.external_id, "an inventory item (iitem_…)")?, checked_id(location, "a stock location (sloc_…)")?))
}

fn row<'a>(store: &'a StoreConnection, item: &'a CallItem) -> Result<Row<'a>, String> {
    let (inventory_item_id, location_id) = item_and_location(store, item)?;
    let stocked_quantity = on_hand(item);
    if !(0..=MAX_UNITS).contains(&stocked_quantity) {
        return Err(format!("Medusa accepts quantities from 0 to {MAX_UNITS}; this one is {stocked_quantity}."));
    }
    Ok(Row { inventory_item_id, location_id, stocked_quantity })
}

fn read(store: &StoreConnection, call: &Call) -> Result<Request, String> {
    let count = call.items.len().to_string();
    let mut query = vec![("limit", count.as_str()), ("fields", READ_FIELDS)];
    for item in &call.items {
        query.push(("id[]", item_and_location(store, item)?.0));
    }
    get(store, "inventory-items", &query)
}

impl Platform for Medusa {
    fn name(&self) -> &'static str {
        "medusa"
    }

    fn check_config(&self, store: &StoreConnection) -> Result<(), Vec<FieldError>> {
        Check::new(store, Need::Required)
            .without_path(&["/admin", "/app"])
            .text_that("location_id", Need::Optional, |text| checked_id(text, "a stock location (sloc_…)").map(drop))
            .max_items(MAX_ROWS)
            .key_or_login("api_key", ["email", "password"])
            .done()
    }

    fn listing_fields(&self) -> &'static [&'static str] {
        &["location_id"]
    }

    fn facts(&self, store: &StoreConnection) -> Facts {
        let max_items = max_items(store, MAX_ROWS, MAX_ROWS);
        Facts {
            reads_before_set: true,
            proves_writes: true,
            abilities: Abilities { adjust: false, idempotency: false, compare_and_set: false, read: true, max_items },
            group_by: None,
            location: Some("location_id"),
            per_store: OUR_PACE,
            per_app: None,
        }
    }

    fn cost(&self, _: &Call) -> u32 {
        1
    }

    fn request(&self, store: &StoreConnection, call: &Call, _: &Stamp) -> Result<Request, String> {
        match call.action {
            Action::Adjust => Err("Medusa cannot add to a quantity; it can only set one.".to_owned()),
            Action::Set => {
                let update = call.items.iter().map(|item| row(store, item)).collect::<Result<Vec<_>, _>>()?;
                let url = format!("{}/admin/{BATCH}", base(store)?);
                authorized(store, Request::json(Method::Post, url, &Batch { update })?)
            }
            Action::Read => read(store, call),
            Action::Check => get(store, "inventory-items", &[("limit", "1"), ("fields", "id")]),
        }
    }

    fn outcome(&self, store: &StoreConnection, call: &Call, reply: &Reply) -> Outcome {
        if let Some(outcome) = failure(store, call, reply) {
            return outcome;
        }
        let results = match call.action {
            Action::Check => serde_json::from_str::<Items>(&reply.body).ok().map(|_| Vec::new()),
            Action::Read => serde_json::from_str::<Items>(&reply.body).ok().map(|items| read_results(store, call, items)),
            Action::Set | Action::Adjust => {
                serde_json::from_str::<Updated>(&reply.body).ok().map(|updated| set_results(store, call, &updated))
            }
        };
        results.map_or_else(codes::unreadable, Outcome::Answered)
    }

    fn reserved(&self, store: &StoreConnection, call: &Call, reply: &Reply) -> Vec<Option<i64>> {
        let Ok(found) = serde_json::from_str::<Items>(&reply.body) else { return Vec::new() };
        let reserved = |item: &CallItem| {
            let (id, location) = item_and_location(store, item).ok()?;
            let found = found.inventory_items.iter().find(|found| found.id == id)?;
            found.location_levels.iter().flatten().find(|level| level.location_id == location)?.reserved()
        };
        call.items.iter().map(reserved).collect()
    }

    fn shop(&self, reply: &Reply) -> Option<String> {
        let body: Value = serde_json::from_str(&reply.body).ok()?;
        // A server has one store.
        body.get("stores")?.get(0)?.get("id")?.as_str().map(str::to_owned)
    }

    fn shop_request(&self, store: &StoreConnection, _: &Stamp) -> Option<Result<Request, String>> {
        Some(get(store, "stores", &[("limit", "1"), ("fields", "id")]))
    }

    fn quota(&self, _: &Reply) -> Option<ReportedQuota> {
        None
    }

    fn variants_request(&self, store: &StoreConnection, cursor: Option<&str>, _: &Stamp) -> Result<Request, String> {
        let offset = offset(cursor).ok_or("This cursor does not belong to the shop's list of inventory items.")?.to_string();
        let limit = page_size(store, ITEMS_PAGE).to_string();
        let fields = "id,sku,title,location_levels.location_id";
        get(store, "inventory-items", &[("limit", &limit), ("offset", &offset), ("order", "id"), ("fields", fields)])
    }

    fn variants(&self, store: &StoreConnection, cursor: Option<&str>, reply: &Reply) -> Result<VariantPage, Outcome> {
        let call = Call { action: Action::Read, items: Vec::new(), idempotency_key: None };
        if let Some(outcome) = failure(store, &call, reply) {
            return Err(outcome);
        }
        let page: Items = serde_json::from_str(&reply.body).map_err(|_| codes::unreadable())?;
        let end = offset(cursor).ok_or_else(codes::unreadable)?.saturating_add(page.inventory_items.len());
        let more = !page.inventory_items.is_empty() && end < page.count;
        let here = store.setting("location_id");
        let variants = page.inventory_items.into_iter().map(|item| item.variant(here)).collect::<Result<Vec<_>, _>>();
        let variants = variants.map_err(|locations| Outcome::Refused {
            reason: format!("The shop's items are stocked at several locations: {}.", locations.join(", ")),
            next_step: "Set the store's location_id to one of them, then discover the listings again.".to_owned(),
        })?;
        Ok(VariantPage { variants, next: more.then(|| end.to_string()) })
    }

    fn renewal_request(&self, store: &StoreConnection, stamp: &Stamp, refused: bool) -> Option<Request> {
        let has = |name| store.credentials.contains_key(name);
        if has("api_key") || (has("access_token") && !refused && !expires_soon(store, stamp)) {
            return None;
        }
        let secret = |name| store.secret(name).ok().map(ExposeSecret::expose_secret);
        let login = json!({ "email": secret("email")?, "password": secret("password")? });
        let request = Request::json(Method::Post, format!("{}/auth/user/emailpass", base(store).ok()?), &login).ok()?;
        Some(request.header("accept", "application/json"))
    }

    fn renewal(&self, store: &StoreConnection, reply: &Reply, stamp: &Stamp) -> Renewal {
        let said = refusal(reply).map_or_else(|| format!("Medusa refused the login ({}).", reply.status), |refusal| refusal.said());
        match reply.status {
            200..=299 => match serde_json::from_str::<LoggedIn>(&reply.body) {
                Ok(LoggedIn { token }) => Renewal::Renewed(with_access_token(store, &token, TOKEN_LIFETIME_S, stamp)),
                Err(_) => Renewal::TryAgain { reason: "Medusa's response to the login could not be read.".to_owned() },
            },
            408 | 429 | 500.. => Renewal::TryAgain { reason: said },
            300..=399 | 404 => {
                Renewal::Refused { reason: format!("There is no Medusa server at this address ({}). {NO_ROUTE}", reply.status) }
            }
            _ => Renewal::Refused { reason: format!("{said} Enter the email and password of a Medusa admin user again.") },
        }
    }
}

fn offset(cursor: Option<&str>) -> Option<usize> {
    cursor.map_or(Some(0), |text| text.parse().ok())
}

fn refusal(reply: &Reply) -> Option<Refusal> {
    serde_json::from_str(&reply.body).ok()
}

/// The outcome of a reply whose status is not a success.
fn failure(store: &StoreConnection, call: &Call, reply: &Reply) -> Option<Outcome> {
    let refusal = refusal(reply);
    let said = || refusal.as_ref().map_or_else(|| format!("Medusa refused the request ({}).", reply.status), Refusal::said);
    let by_class = |class| codes::outcome(class, said(), call, reply, "location_id");
    Some(match reply.status {
        200..=299 => return None,
        401 if store.credentials.contains_key("api_key") => {
            by_class(Class::SignIn("The API key is wrong or was revoked. Enter a secret key from Medusa (Settings > Secret API Keys)."))
        }
        401 => by_class(Class::TokenExpired),
        403 => by_class(Class::SignIn("The key or the user has no permission for inventory in Medusa.")),
        404 => match refusal.as_ref().filter(|refusal| refusal.kind == "not_found") {
            Some(refusal) if call.action == Action::Set => reject_unstocked(store, call, refusal),
            Some(_) => by_class(Class::Listing(PAIR_AGAIN)),
            None => by_class(Class::Store(NO_ROUTE)),
        },
        300..=399 => by_class(Class::Store("Enter the final address of the Medusa server, with https, as the store's base_url.")),
        409 => by_class(Class::Again),
        413 => by_class(Class::Listing("The shop's server accepts fewer rows per call. Lower the store's max_items.")),
        429 => by_class(Class::Throttled),
        408 | 500.. => Outcome::Unknown { reason: said() },
        _ => by_class(Class::Listing(CHECK_LISTING)),
    })
}

/// Rejects the rows that the message names; the other rows of the call were not applied either.
fn reject_unstocked(store: &StoreConnection, call: &Call, refusal: &Refusal) -> Outcome {
    let is_in_message = |item: &CallItem| {
        item_and_location(store, item)
            .is_ok_and(|(id, location)| refusal.message.contains(&format!("{id} is not stocked at location {location}")))
    };
    if !call.items.iter().any(is_in_message) {
        return Outcome::Refused { reason: refusal.said(), next_step: PAIR_AGAIN.to_owned() };
    }
    let result = |item: &CallItem| match is_in_message(item) {
        true => not_stocked(),
        false => ItemResult::RefusedWithOthers { reason: "Another listing in the same call is not stocked in Medusa.".to_owned() },
    };
    Outcome::Answered(call.items.iter().map(result).collect())
}

/// On a write, Medusa gives the same message for an item it does not know.
fn not_stocked() -> ItemResult {
    ItemResult::Rejected {
        reason: "This item is not stocked at its location in Medusa, or Medusa does not know the item.".to_owned(),
        next_step: ADD_LOCATION.to_owned(),
    }
}

/// The reply's `available_quantity` is the value from before the write, so it is not used.
fn set_results(store: &StoreConnection, call: &Call, updated: &Updated) -> Vec<ItemResult> {
    let levels: HashSet<(&str, &str)> =
        updated.updated.iter().map(|level| (level.inventory_item_id.as_str(), level.location_id.as_str())).collect();
    let result = |item: &CallItem| match item_and_location(store, item).is_ok_and(|key| levels.contains(&key)) {
        true => ItemResult::Applied { shown: Some(item.quantity) },
        false => ItemResult::Unknown { reason: "Medusa's response does not mention this listing.".to_owned() },
    };
    call.items.iter().map(result).collect()
}

fn read_results(store: &StoreConnection, call: &Call, items: Items) -> Vec<ItemResult> {
    let by_id: HashMap<String, Item> = items.inventory_items.into_iter().map(|item| (item.id.clone(), item)).collect();
    let result = |item: &CallItem| {
        let Some((found, (_, location))) = by_id.get(&item.external_id).zip(item_and_location(store, item).ok()) else {
            return ItemResult::Rejected {
                reason: "Medusa does not know this inventory item.".to_owned(),
                next_step: PAIR_AGAIN.to_owned(),
            };
        };
        match found.location_levels.iter().flatten().find(|level| level.location_id == location) {
            Some(level) => match level.sellable() {
                Some(shown) => ItemResult::Applied { shown: Some(shown) },
                None => ItemResult::Unknown { reason: "Medusa's response has no quantity for this listing.".to_owned() },
            },
            None => not_stocked(),
        }
    };
    call.items.iter().map(result).collect()
}

#[cfg(test)]
mod tests;
mod wire;
