//! Medusa: the Admin API of the shop's own server, version 2.
//!
//! Sources (checked November 2026): docs.medusajs.com (Admin API reference) and its published OpenAPI; the source of the
//! packages `@medusajs/medusa`, `core-flows` and `inventory` 2.21; calls to a running 2.21.2 with PostgreSQL.
//!
//! - Set only, by `POST inventory-items/location-levels/batch`; there is no key (the `Idempotency-Key` header is ignored)
//!   and no comparison. An increase is read, added and set: what a fulfilment takes between the read and the write is
//!   overwritten by the sum. Overlapping sets of one level end in one of them, never in a mixture.
//! - What is written and read is `stocked_quantity` at a stock location. Sellable is less than that by what is reserved
//!   for orders; a sale takes from it only when it is fulfilled.
//! - A listing's `external_id` is an inventory item (`iitem_…`, not a variant: a variant whose inventory Medusa does not
//!   manage has none), its `location_id` a stock location (`sloc_…`). The store's `location_id` stands in for listings
//!   without their own; discovery takes the item's oldest location where the store names none.
//! - An item must be stocked at the location: a level is not made by a write.
//! - One bad row refuses the whole call, and the message names each bad pair of item and location.
//! - Medusa takes fractions and numbers that lose digits, so quantities are checked here.
//! - A seller gives a secret API key, which does not end, or e-mail and password of a user, which are exchanged for a
//!   token that lives `TOKEN_LIVES_S`.
//! - Limits: none of Medusa's own (`OUR_PACE` is ours).
//!
//! Unconfirmed: what a proxy before the server allows; what becomes of a quantity below what is reserved (no check is in
//! the source; `available_quantity` then is negative). The batch route is absent from the description of 2.0
//! (`NO_ROUTE` is what is said then).
use super::call::{Action, Call, CallItem, Method, Reply, Request, StoreConnection};
use super::check::{Check, Need};
use super::codes::{self, Class, said};
use super::fields::{max_items, own_or_stores};
use super::sign::{ends_soon, percent, with_access_token};
use super::{Facts, Platform, RateLimit, Renewal, ReportedQuota, Stamp, Variant, VariantPage};
use crate::domain::FieldError;
use crate::domain::delivery::{Abilities, ItemResult, Outcome};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::{BTreeMap, HashMap, HashSet};

/// Rows of a call at most: a read names all its items in the address.
const MAX_ROWS: u64 = 100;
/// A pace of our own: the shop's server works for its customers, too.
const OUR_PACE: RateLimit = RateLimit { per_second: 10.0, burst: 10 };
/// Inventory items on a page.
const ITEMS_PAGE: usize = 100;
/// What a quantity may be; beyond 2^53 Medusa loses digits.
const MOST_UNITS: i64 = 1_000_000_000;
/// How long a user's token lives, as was seen.
const TOKEN_LIVES_S: i64 = 86_400;
/// What a batch route that is not there means (unconfirmed).
const NO_ROUTE: &str = "Check the store's base_url, and that its server is a Medusa 2 that sets many levels at once (2.17 does).";
const BATCH: &str = "inventory-items/location-levels/batch";
const STOCK_IT: &str = "Add the stock location to the inventory item in Medusa, or enter another location_id, then retry.";
const PAIR: &str = "Pair the listing again by discovery, or remove it if the item was deleted in Medusa.";
const OUR_FAULT: &str = "Check the listing's external_id and location_id and its quantity; if they are right, tell the operator.";

/// The connector.
#[derive(Debug)]
pub struct Medusa;

fn base(store: &StoreConnection) -> Result<&str, String> {
    Ok(store.base_url.as_deref().ok_or("The store has no base_url.")?.trim_end_matches('/'))
}

fn authorized(store: &StoreConnection, request: Request) -> Result<Request, String> {
    let credential = match store.secret("api_key") {
        // A key goes as the name of basic authentication, without a password.
        Ok(key) => format!("Basic {}", STANDARD.encode(format!("{}:", key.expose_secret()))),
        Err(_) => format!("Bearer {}", store.secret("access_token")?.expose_secret()),
    };
    Ok(request.header("accept", "application/json").secret_header("authorization", credential))
}

fn get(store: &StoreConnection, path: &str, query: &[(&str, &str)]) -> Result<Request, String> {
    let query: Vec<String> = query.iter().map(|(name, value)| format!("{name}={}", percent(value))).collect();
    authorized(store, Request::get(format!("{}/admin/{path}?{}", base(store)?, query.join("&"))))
}

/// An id as Medusa makes them: it stands in addresses and is looked for in messages.
fn id<'a>(text: &'a str, kind: &str) -> Result<&'a str, String> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if (1..=64).contains(&text.len()) && text.bytes().all(fits) {
        return Ok(text);
    }
    let text: String = text.chars().take(100).collect();
    Err(format!("{text} is not the id of {kind} in Medusa."))
}

/// The listing's inventory item and its location.
fn level<'a>(store: &'a StoreConnection, item: &'a CallItem) -> Result<(&'a str, &'a str), String> {
    let location = own_or_stores(item, store, "location_id")
        .filter(|id| !id.is_empty())
        .ok_or("Neither the listing nor its store says at which stock location of Medusa's its stock is kept (location_id).")?;
    Ok((id(&item.external_id, "an inventory item (iitem_…)")?, id(location, "a stock location (sloc_…)")?))
}

fn row<'a>(store: &'a StoreConnection, item: &'a CallItem) -> Result<Row<'a>, String> {
    let (inventory_item_id, location_id) = level(store, item)?;
    if !(0..=MOST_UNITS).contains(&item.quantity) {
        return Err(format!("Medusa takes quantities from 0 to {MOST_UNITS} units; this one is {}.", item.quantity));
    }
    Ok(Row { inventory_item_id, location_id, stocked_quantity: item.quantity })
}

fn read(store: &StoreConnection, call: &Call) -> Result<Request, String> {
    let count = call.items.len().to_string();
    let mut query = vec![("limit", count.as_str()), ("fields", "id,location_levels.location_id,location_levels.stocked_quantity")];
    for item in &call.items {
        query.push(("id[]", level(store, item)?.0));
    }
    get(store, "inventory-items", &query)
}

impl Platform for Medusa {
    fn name(&self) -> &'static str {
        "medusa"
    }

    fn check_config(&self, store: &StoreConnection) -> Result<(), Vec<FieldError>> {
        Check::new(store, Need::Needed)
            .text_that("location_id", Need::Optional, |text| id(text, "a stock location (sloc_…)").map(drop))
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
            abilities: Abilities { adjust: false, idempotency: false, compare_and_set: false, read: true, max_items },
            group_by: None,
            per_store: OUR_PACE,
            per_app: None,
        }
    }

    fn cost(&self, _: &Call) -> u32 {
        1
    }

    fn request(&self, store: &StoreConnection, call: &Call, _: &Stamp) -> Result<Request, String> {
        match call.action {
            Action::Adjust => Err("Medusa cannot add to a quantity.".to_owned()),
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
        let answered = match call.action {
            Action::Check => serde_json::from_str::<Items>(&reply.body).ok().map(|_| Vec::new()),
            Action::Read => serde_json::from_str::<Items>(&reply.body).ok().map(|items| shown(store, call, items)),
            Action::Set | Action::Adjust => serde_json::from_str::<Updated>(&reply.body).ok().map(|updated| written(store, call, &updated)),
        };
        answered.map_or_else(codes::unreadable, Outcome::Answered)
    }

    fn quota(&self, _: &Reply) -> Option<ReportedQuota> {
        None
    }

    fn variants_request(&self, store: &StoreConnection, cursor: Option<&str>, _: &Stamp) -> Result<Request, String> {
        let offset = place(cursor).ok_or("This is not a place in the shop's list of inventory items.")?.to_string();
        let limit = ITEMS_PAGE.to_string();
        let fields = "id,sku,title,location_levels.location_id";
        get(store, "inventory-items", &[("limit", &limit), ("offset", &offset), ("order", "id"), ("fields", fields)])
    }

    fn variants(&self, store: &StoreConnection, cursor: Option<&str>, reply: &Reply) -> Result<VariantPage, Outcome> {
        let call = Call { action: Action::Read, items: Vec::new(), idempotency_key: None };
        if let Some(outcome) = failure(store, &call, reply) {
            return Err(outcome);
        }
        let page: Items = serde_json::from_str(&reply.body).map_err(|_| codes::unreadable())?;
        let behind = place(cursor).ok_or_else(codes::unreadable)?.saturating_add(page.inventory_items.len());
        let more = !page.inventory_items.is_empty() && behind < page.count;
        let preferred = store.setting("location_id");
        let variants = page.inventory_items.into_iter().map(|item| item.variant(preferred)).collect();
        Ok(VariantPage { variants, next: more.then(|| behind.to_string()) })
    }

    fn renewal_request(&self, store: &StoreConnection, stamp: &Stamp, refused: bool) -> Option<Request> {
        let has = |name| store.credentials.contains_key(name);
        if has("api_key") || (has("access_token") && !refused && !ends_soon(store, stamp)) {
            return None;
        }
        let secret = |name| store.secret(name).ok().map(ExposeSecret::expose_secret);
        let login = json!({ "email": secret("email")?, "password": secret("password")? });
        let request = Request::json(Method::Post, format!("{}/auth/user/emailpass", base(store).ok()?), &login).ok()?;
        Some(request.header("accept", "application/json"))
    }

    fn renewal(&self, store: &StoreConnection, reply: &Reply, stamp: &Stamp) -> Renewal {
        let said = refusal(reply).map_or_else(|| format!("Medusa did not take the login ({}).", reply.status), |refusal| refusal.said());
        match reply.status {
            200..=299 => match serde_json::from_str::<LoggedIn>(&reply.body) {
                Ok(LoggedIn { token }) => Renewal::Renewed(with_access_token(store, &token, TOKEN_LIVES_S, stamp)),
                Err(_) => Renewal::TryAgain { reason: "Medusa's answer to the login could not be read.".to_owned() },
            },
            408 | 429 | 500.. => Renewal::TryAgain { reason: said },
            300..=399 | 404 => Renewal::Refused { reason: format!("There is no Medusa at this address ({}). {NO_ROUTE}", reply.status) },
            _ => Renewal::Refused { reason: format!("{said} Enter e-mail and password of a user of the Medusa admin again.") },
        }
    }
}

fn place(cursor: Option<&str>) -> Option<usize> {
    cursor.map_or(Some(0), |text| text.parse().ok())
}

fn refusal(reply: &Reply) -> Option<Refusal> {
    serde_json::from_str(&reply.body).ok()
}

/// What a status says that is no success.
fn failure(store: &StoreConnection, call: &Call, reply: &Reply) -> Option<Outcome> {
    let refusal = refusal(reply);
    let said = || refusal.as_ref().map_or_else(|| format!("Medusa refused this ({}).", reply.status), Refusal::said);
    let sorted = |class| codes::outcome(class, said(), call, reply, "location_id");
    Some(match reply.status {
        200..=299 => return None,
        401 if store.credentials.contains_key("api_key") => {
            sorted(Class::SignIn("The API key is wrong or was revoked: enter a secret key of Medusa's (Settings > Secret API keys)."))
        }
        401 => sorted(Class::TokenExpired),
        403 => sorted(Class::SignIn("The key or the user lacks the right to inventory in Medusa.")),
        404 => match refusal.as_ref().filter(|refusal| refusal.kind == "not_found") {
            Some(refusal) if call.action == Action::Set => without_missing(store, call, refusal),
            Some(_) => sorted(Class::Listing(PAIR)),
            None => sorted(Class::Store(NO_ROUTE)),
        },
        300..=399 => sorted(Class::Store("Enter the address of Medusa's server itself as base_url, with https.")),
        409 => sorted(Class::Again),
        413 => sorted(Class::Listing("The shop's server takes fewer rows at once: lower the store's max_items.")),
        429 => sorted(Class::Throttled),
        408 | 500.. => Outcome::Unknown { reason: said() },
        _ => sorted(Class::Listing(OUR_FAULT)),
    })
}

/// The pairs of item and location that are named do not exist; the other rows were refused with them.
fn without_missing(store: &StoreConnection, call: &Call, refusal: &Refusal) -> Outcome {
    let is_named = |item: &CallItem| {
        level(store, item).is_ok_and(|(id, location)| refusal.message.contains(&format!("{id} is not stocked at location {location}")))
    };
    if !call.items.iter().any(is_named) {
        return Outcome::Refused { reason: refusal.said(), next_step: PAIR.to_owned() };
    }
    let result = |item: &CallItem| match is_named(item) {
        true => not_stocked(),
        false => ItemResult::NeverApplied { reason: "Medusa does not stock another listing of the same call.".to_owned() },
    };
    Outcome::Answered(call.items.iter().map(result).collect())
}

/// Medusa says the same of an item that it does not know, when it is written.
fn not_stocked() -> ItemResult {
    ItemResult::Rejected {
        reason: "Medusa does not track this item's stock at its location, or does not know the item.".to_owned(),
        next_step: STOCK_IT.to_owned(),
    }
}

/// What an answer says of the rows of a set. Its `available_quantity` is that of before.
fn written(store: &StoreConnection, call: &Call, updated: &Updated) -> Vec<ItemResult> {
    let levels: HashSet<(&str, &str)> =
        updated.updated.iter().map(|level| (level.inventory_item_id.as_str(), level.location_id.as_str())).collect();
    let result = |item: &CallItem| match level(store, item).is_ok_and(|level| levels.contains(&level)) {
        true => ItemResult::Applied { shown: Some(item.quantity) },
        false => ItemResult::Unknown { reason: "Medusa's answer does not mention this listing.".to_owned() },
    };
    call.items.iter().map(result).collect()
}

/// What each item has at its location.
fn shown(store: &StoreConnection, call: &Call, items: Items) -> Vec<ItemResult> {
    let by_id: HashMap<String, Item> = items.inventory_items.into_iter().map(|item| (item.id.clone(), item)).collect();
    let result = |item: &CallItem| {
        let Some((found, (_, location))) = by_id.get(&item.external_id).zip(level(store, item).ok()) else {
            return ItemResult::Rejected { reason: "Medusa does not know this inventory item.".to_owned(), next_step: PAIR.to_owned() };
        };
        match found.location_levels.iter().flatten().find(|level| level.location_id == location) {
            #[expect(clippy::cast_possible_truncation, reason = "no shop has that many")]
            Some(level) => ItemResult::Applied { shown: level.stocked_quantity.map(|stocked| stocked.floor() as i64) },
            None => not_stocked(),
        }
    };
    call.items.iter().map(result).collect()
}

#[derive(Serialize)]
struct Batch<'a> {
    update: Vec<Row<'a>>,
}

#[derive(Serialize)]
struct Row<'a> {
    inventory_item_id: &'a str,
    location_id: &'a str,
    stocked_quantity: i64,
}

#[derive(Deserialize)]
struct Updated {
    updated: Vec<UpdatedLevel>,
}

#[derive(Deserialize)]
struct UpdatedLevel {
    inventory_item_id: String,
    location_id: String,
}

#[derive(Deserialize)]
struct Refusal {
    #[serde(rename = "type", default)]
    kind: String,
    message: String,
}

impl Refusal {
    fn said(&self) -> String {
        said("Medusa", &self.kind, &self.message)
    }
}

#[derive(Deserialize)]
struct LoggedIn {
    token: String,
}

#[derive(Deserialize)]
struct Items {
    inventory_items: Vec<Item>,
    #[serde(default)]
    count: usize,
}

#[derive(Deserialize)]
struct Item {
    id: String,
    sku: Option<String>,
    title: Option<String>,
    location_levels: Option<Vec<Level>>,
}

#[derive(Deserialize)]
struct Level {
    location_id: String,
    /// Whole, but Medusa takes fractions.
    stocked_quantity: Option<f64>,
}

impl Item {
    /// The item with the location of its stock: the store's own where it is stocked there, otherwise its oldest, which is
    /// the first by id.
    fn variant(self, preferred: Option<&str>) -> Variant {
        let mut locations: Vec<String> = self.location_levels.into_iter().flatten().map(|level| level.location_id).collect();
        locations.sort_by(|a, b| (Some(a.as_str()) != preferred, a).cmp(&(Some(b.as_str()) != preferred, b)));
        let note = if locations.is_empty() { " (stocked nowhere)" } else { "" };
        let name = self.title.or_else(|| self.sku.clone()).unwrap_or_else(|| self.id.clone());
        Variant {
            sku: self.sku.filter(|sku| !sku.is_empty()),
            external_id: self.id,
            extra: BTreeMap::from_iter(locations.into_iter().next().map(|id| ("location_id".to_owned(), id))),
            title: format!("{name}{note}"),
        }
    }
}

#[cfg(test)]
mod tests;
