//! Vendure: the Admin API (GraphQL) of the shop's own server, as of 3.7.
//!
//! Sources (checked November 2026): docs.vendure.io (stock control, authentication); the source of `@vendure/core`
//! 3.7.3; its introspected Admin schema; calls to a running server with PostgreSQL, which `tests/interop` repeats.
//!
//! - Set only, by `updateProductVariants` with `stockLevels`; there is no key and no comparison. An increase is read,
//!   added and set, and what changes between the read and the write is overwritten by the sum.
//! - **Two sets of one variant at once can end in a number that nobody sent**: the server works out a difference and adds
//!   it, without a lock. So no two stores here may write the same variant at the same location, and a request without an
//!   answer is not followed by another before the settle time. An answer that shows another number than was written is
//!   taken for an unknown outcome.
//! - What is written and read is the stock on hand at a location. Saleable is less than that by what orders have
//!   allocated and by the out-of-stock threshold; a sale takes from the stock on hand only when it is fulfilled.
//! - A listing's `external_id` is a product variant's id (SKUs are not unique), its `location_id` a stock location. The
//!   store's `location_id` stands in for listings without their own, and for that Vendure's default: the oldest location
//!   of the channel. Where a variant has no level at the location, one is made.
//! - One call is one transaction: one bad row undoes all of it. 100 kB a call and 5 to 17 ms a row, so `USUAL_ROWS`.
//! - Errors come under status 200, refused credentials too (`FORBIDDEN`); an `errors` whose mutation has no data means
//!   that nothing was written.
//! - A seller gives a name and a password, which are exchanged for a session token (the server's `tokenMethod` must
//!   have `bearer`; a session ends a year after its last use, and a new one is fetched when it is refused), or an API
//!   key (`api-key`; it costs the server a quarter of a second of computing each call). Both need the rights to read
//!   the catalog and to update it.
//! - Limits: none of Vendure's own (`OUR_PACE` is ours).
//!
//! Unconfirmed: the race on other databases than PostgreSQL; what several channels do with a wrong channel token
//! (`WRONG_CHANNEL` is relied on; with one channel a wrong token was ignored).
use super::call::{Action, Call, CallItem, Method, Reply, Request, StoreConnection};
use super::check::{Check, Need};
use super::codes::{self, Class, Row, said};
use super::fields::{max_items, own_or_stores};
use super::{Facts, Platform, RateLimit, Renewal, ReportedQuota, Stamp, VariantPage};
use crate::domain::FieldError;
use crate::domain::delivery::{Abilities, ItemResult, Outcome};
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::HashMap;
use wire::{Answer, Document, Found, GlobalSettings, Input, LoggedIn, Page};

/// Rows of a call at most, and where the store does not say.
const MAX_ROWS: u64 = 100;
const USUAL_ROWS: u64 = 50;
/// A pace of our own: the shop's server works for its customers, too.
const OUR_PACE: RateLimit = RateLimit { per_second: 10.0, burst: 10 };
/// Variants on a page.
const VARIANTS_PAGE: usize = 100;
/// What a quantity may be: its numbers are 32 bits wide, and a difference of two of them must fit as well.
const MOST_UNITS: i64 = 1_000_000_000;
/// The channel's token is not one (unconfirmed).
const WRONG_CHANNEL: &str = "CHANNEL_NOT_FOUND";
/// The header in which a session's token comes; empty where the token that was sent is dead.
const SESSION_HEADER: &str = "vendure-auth-token";

const SET: &str = "mutation Set($input: [UpdateProductVariantInput!]!) { updateProductVariants(input: $input) { \
    id trackInventory stockLevels { stockLocationId stockOnHand } } }";
const READ: &str = "query Read($ids: [String!]!, $take: Int!) { \
    productVariants(options: { take: $take, filter: { id: { in: $ids } } }) { items { \
    id trackInventory stockLevels { stockLocationId stockOnHand } } } globalSettings { trackInventory } }";
/// The same, and which location is the channel's oldest.
const READ_DEFAULT: &str = "query Read($ids: [String!]!, $take: Int!) { \
    productVariants(options: { take: $take, filter: { id: { in: $ids } } }) { items { \
    id trackInventory stockLevels { stockLocationId stockOnHand } } } globalSettings { trackInventory } \
    stockLocations(options: { take: 1, sort: { createdAt: ASC, id: ASC } }) { items { id } } }";
/// Asks for what the right to read the catalog is needed for.
const CHECK: &str = "query Check { productVariants(options: { take: 1 }) { totalItems } }";
const VARIANTS: &str = "query Variants($skip: Int!, $take: Int!) { \
    productVariants(options: { skip: $skip, take: $take, sort: { id: ASC } }) { totalItems items { \
    id sku name trackInventory stockLevels { stockLocationId stockOnHand stockLocation { createdAt } } } } }";
const LOGIN: &str = "mutation Login($username: String!, $password: String!) { login(username: $username, password: $password) { \
    __typename ... on CurrentUser { id } ... on ErrorResult { errorCode message } } }";

const PAIR: &str = "Pair the listing again by discovery, or remove it if the variant was deleted in Vendure.";
const OUR_FAULT: &str = "Check the listing's external_id and location_id and its quantity; if they are right, tell the operator.";
/// The codes that refuse a call as a whole; a refused mutation has written nothing.
const CODES: &[Row] = &[
    (WRONG_CHANNEL, "", Class::Store("Enter the token of one of the channels in Vendure (Settings > Channels) as channel_token.")),
    ("ILLEGAL_OPERATION", "", Class::Store("Mend in Vendure what the message names, then check the store.")),
    // The database's own words: there is no such stock location.
    ("", "foreign key", Class::Location("Enter the id of a stock location of Vendure's as location_id, in the listing or in the store.")),
    ("USER_INPUT_ERROR", "", Class::Listing("Mend the variant in Vendure, or its quantity here, as the message says, then retry.")),
    ("BAD_USER_INPUT", "", Class::Listing(OUR_FAULT)),
    ("GRAPHQL_PARSE_FAILED", "", Class::Listing("This server takes other requests than Vendure 3 does: tell the operator.")),
    ("GRAPHQL_VALIDATION_FAILED", "", Class::Listing("This server takes other requests than Vendure 3 does: tell the operator.")),
    ("ENTITY_NOT_FOUND", "", Class::Listing(PAIR)),
];

/// The connector.
#[derive(Debug)]
pub struct Vendure;

fn graphql(store: &StoreConnection, query: &str, variables: &impl serde::Serialize) -> Result<Request, String> {
    let base = store.base_url.as_deref().ok_or("The store has no base_url.")?.trim_end_matches('/');
    let request = Request::json(Method::Post, format!("{base}/admin-api"), &Document { query, variables })?;
    let request = request.header("accept", "application/json");
    Ok(match store.setting("channel_token") {
        Some(token) => request.header("vendure-token", token),
        None => request,
    })
}

fn authorized(store: &StoreConnection, query: &str, variables: &impl serde::Serialize) -> Result<Request, String> {
    let request = graphql(store, query, variables)?;
    Ok(match store.secret("api_key") {
        Ok(key) => request.secret_header("vendure-api-key", key.expose_secret()),
        Err(_) => request.secret_header("authorization", format!("Bearer {}", store.secret("access_token")?.expose_secret())),
    })
}

/// Where the listing's stock is kept; `None` is Vendure's default.
fn location<'a>(store: &'a StoreConnection, item: &'a CallItem) -> Option<&'a str> {
    own_or_stores(item, store, "location_id").filter(|id| !id.is_empty())
}

fn row<'a>(store: &'a StoreConnection, item: &'a CallItem) -> Result<Input<'a>, String> {
    if item.external_id.is_empty() {
        return Err("The listing has no external_id: it must be the id of a product variant in Vendure.".to_owned());
    }
    if item.quantity.abs() > MOST_UNITS {
        return Err(format!("Vendure takes no quantity beyond {MOST_UNITS} units; this one is {}.", item.quantity));
    }
    Ok(Input::new(&item.external_id, location(store, item), item.quantity))
}

fn read(store: &StoreConnection, call: &Call) -> Result<Request, String> {
    let ids: Vec<&str> = call.items.iter().map(|item| item.external_id.as_str()).collect();
    let query = if call.items.iter().all(|item| location(store, item).is_some()) { READ } else { READ_DEFAULT };
    authorized(store, query, &json!({ "ids": ids, "take": ids.len() }))
}

impl Platform for Vendure {
    fn name(&self) -> &'static str {
        "vendure"
    }

    fn check_config(&self, store: &StoreConnection) -> Result<(), Vec<FieldError>> {
        let goes_into_a_header = |token: &str| match token.bytes().all(|byte| byte.is_ascii_graphic()) {
            true => Ok(()),
            false => Err("must be visible ASCII characters".to_owned()),
        };
        Check::new(store, Need::Needed)
            .text_that("channel_token", Need::Optional, goes_into_a_header)
            .text("location_id", Need::Optional)
            .max_items(MAX_ROWS)
            .key_or_login("api_key", ["username", "password"])
            .done()
    }

    fn listing_fields(&self) -> &'static [&'static str] {
        &["location_id"]
    }

    fn facts(&self, store: &StoreConnection) -> Facts {
        let max_items = max_items(store, USUAL_ROWS, MAX_ROWS);
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
            Action::Adjust => Err("Vendure cannot add to a quantity.".to_owned()),
            Action::Set => {
                let rows = call.items.iter().map(|item| row(store, item)).collect::<Result<Vec<_>, _>>()?;
                authorized(store, SET, &json!({ "input": rows }))
            }
            Action::Read => read(store, call),
            Action::Check => authorized(store, CHECK, &json!({})),
        }
    }

    fn outcome(&self, store: &StoreConnection, call: &Call, reply: &Reply) -> Outcome {
        let answer = match answer(reply) {
            Ok(answer) => answer,
            Err(outcome) => return outcome,
        };
        let found = match call.action {
            Action::Set | Action::Adjust => answer.field("updateProductVariants").and_then(|data| set_outcome(store, call, data)),
            Action::Read => read_outcome(store, call, &answer),
            Action::Check => answer.field("productVariants").map(|_| Outcome::Answered(Vec::new())),
        };
        found.unwrap_or_else(|| failure(store, call, reply, &answer))
    }

    fn quota(&self, _: &Reply) -> Option<ReportedQuota> {
        None
    }

    fn variants_request(&self, store: &StoreConnection, cursor: Option<&str>, _: &Stamp) -> Result<Request, String> {
        let skip = place(cursor).ok_or("This is not a place in the shop's list of variants.")?;
        authorized(store, VARIANTS, &json!({ "skip": skip, "take": VARIANTS_PAGE }))
    }

    fn variants(&self, store: &StoreConnection, cursor: Option<&str>, reply: &Reply) -> Result<VariantPage, Outcome> {
        let answer = answer(reply)?;
        let call = Call { action: Action::Read, items: Vec::new(), idempotency_key: None };
        let data = answer.field("productVariants").ok_or_else(|| failure(store, &call, reply, &answer))?;
        let page = Page::deserialize(data).map_err(|_| codes::unreadable())?;
        let behind = place(cursor).ok_or_else(codes::unreadable)?.saturating_add(page.items.len());
        let more = !page.items.is_empty() && behind < page.total_items;
        let preferred = store.setting("location_id");
        let variants = page.items.into_iter().map(|found| found.variant(preferred)).collect();
        Ok(VariantPage { variants, next: more.then(|| behind.to_string()) })
    }

    fn renewal_request(&self, store: &StoreConnection, _: &Stamp, refused: bool) -> Option<Request> {
        if store.credentials.contains_key("api_key") || (store.credentials.contains_key("access_token") && !refused) {
            return None;
        }
        let secret = |name| store.secret(name).ok().map(ExposeSecret::expose_secret);
        graphql(store, LOGIN, &json!({ "username": secret("username")?, "password": secret("password")? })).ok()
    }

    fn renewal(&self, store: &StoreConnection, reply: &Reply, _: &Stamp) -> Renewal {
        let refused = |reason: String| Renewal::Refused { reason };
        let answer = match answer(reply) {
            Ok(answer) => answer,
            Err(Outcome::TryAgain { reason, .. } | Outcome::Unknown { reason }) => return Renewal::TryAgain { reason },
            Err(Outcome::Closed { reason, next_step }) => return refused(format!("{reason} {next_step}")),
            Err(_) => return refused(format!("Vendure did not take the login ({}).", reply.status)),
        };
        match answer.field("login").map(LoggedIn::deserialize) {
            Some(Ok(LoggedIn { typename, .. })) if typename == "CurrentUser" => {
                let Some(token) = reply.header(SESSION_HEADER).filter(|token| !token.is_empty()) else {
                    let what = "Vendure gave no session token: its authOptions.tokenMethod must have 'bearer', or use an API key.";
                    return refused(what.to_owned());
                };
                let mut credentials = store.credentials.clone();
                credentials.insert("access_token".to_owned(), token.into());
                Renewal::Renewed(credentials)
            }
            Some(Ok(LoggedIn { error_code, message, .. })) => {
                let said = said("Vendure", error_code.as_deref().unwrap_or_default(), message.as_deref().unwrap_or_default());
                refused(format!("{said} Enter the name and the password of an administrator again."))
            }
            _ => Renewal::TryAgain { reason: "Vendure did not answer the login.".to_owned() },
        }
    }
}

fn place(cursor: Option<&str>) -> Option<usize> {
    cursor.map_or(Some(0), |text| text.parse().ok())
}

/// What a reply says when its status lets it say anything.
fn answer(reply: &Reply) -> Result<Answer, Outcome> {
    let answer = serde_json::from_str::<Answer>(&reply.body).ok().filter(|answer| answer.data.is_some() || !answer.errors.is_empty());
    let status = reply.status;
    Err(match status {
        200..=299 => return answer.ok_or_else(codes::unreadable),
        400 if answer.is_some() => return answer.ok_or_else(codes::unreadable),
        300..=399 | 404 => Outcome::Closed {
            reason: format!("There is no Admin API of Vendure's at this address ({status})."),
            next_step: "Enter the address of Vendure's server as base_url, without /admin-api.".to_owned(),
        },
        401 | 403 => Outcome::Unauthorized { reason: format!("What stands before Vendure's server keeps us out ({status}).") },
        429 => Outcome::TryAgain {
            reason: "The shop's host asked us to slow down (429).".to_owned(),
            after: reply.retry_after(),
            throttled: true,
        },
        // A body above the server's limit is answered so, too, with an empty message: ours are a seventh of that at most.
        408 | 500.. => Outcome::Unknown { reason: format!("Vendure's server had an error of its own ({status}).") },
        _ => Outcome::Refused {
            reason: format!("Vendure did not take the request as it was asked ({status})."),
            next_step: OUR_FAULT.to_owned(),
        },
    })
}

/// What the errors of a reply without data say. Nothing was written.
fn failure(store: &StoreConnection, call: &Call, reply: &Reply, answer: &Answer) -> Outcome {
    let Some((code, message)) = answer.first_error() else { return codes::unreadable() };
    let said = said("Vendure", code, message);
    match code {
        "FORBIDDEN" if store.credentials.contains_key("api_key") => {
            Outcome::Unauthorized { reason: format!("{said} The API key is wrong, or its role may not read and update the catalog.") }
        }
        // A dead session and a missing right look the same: a login tells them apart.
        "FORBIDDEN" => Outcome::TokenExpired { reason: format!("{said} The session has ended, or the user may not update the catalog.") },
        "ENTITY_NOT_FOUND" if call.action == Action::Set && message.contains("ProductVariant") => without_unknown(call, &said, message),
        "" | "INTERNAL_SERVER_ERROR" => match codes::find(CODES, code, message) {
            Some(class) => codes::outcome(class, said, call, reply, "location_id"),
            // It may be one row's fault: split until it stands alone.
            None if call.items.len() > 1 => {
                Outcome::Refused { reason: said, next_step: "Nothing to do: it is tried again by itself.".to_owned() }
            }
            None => codes::outcome(Class::Again, said, call, reply, "location_id"),
        },
        _ => codes::outcome(codes::find(CODES, code, message).unwrap_or(Class::Listing(OUR_FAULT)), said, call, reply, "location_id"),
    }
}

/// The variant that is named is not there; the others were undone with it.
fn without_unknown(call: &Call, said: &str, message: &str) -> Outcome {
    let is_named = |item: &CallItem| message.contains(&format!("\"{}\"", item.external_id));
    if !call.items.iter().any(is_named) {
        return Outcome::Refused { reason: said.to_owned(), next_step: PAIR.to_owned() };
    }
    let result = |item: &CallItem| match is_named(item) {
        true => unknown_variant(),
        false => ItemResult::NeverApplied { reason: "Vendure does not know another listing of the same call.".to_owned() },
    };
    Outcome::Answered(call.items.iter().map(result).collect())
}

fn unknown_variant() -> ItemResult {
    ItemResult::Rejected { reason: "Vendure does not know this product variant.".to_owned(), next_step: PAIR.to_owned() }
}

fn not_tracked() -> ItemResult {
    ItemResult::Rejected {
        reason: "This variant does not track inventory in Vendure.".to_owned(),
        next_step: "Switch on 'Track inventory' for it in Vendure (or in the global settings that it goes by), then retry.".to_owned(),
    }
}

/// What an answer says of the rows of a set; `None` when it says nothing of the mutation.
fn set_outcome(store: &StoreConnection, call: &Call, data: &Value) -> Option<Outcome> {
    let found: Vec<Option<Found>> = Deserialize::deserialize(data).ok()?;
    let by_id: HashMap<String, Found> = found.into_iter().flatten().map(|found| (found.id.clone(), found)).collect();
    let unknown = |reason: &str| ItemResult::Unknown { reason: reason.to_owned() };
    let result = |item: &CallItem| match by_id.get(&item.external_id) {
        None => unknown("Vendure's answer does not mention this listing."),
        Some(found) if found.is_untracked() => not_tracked(),
        Some(found) => {
            let shown = match location(store, item) {
                Some(location) => found.at(location),
                // Which of its locations is the default is not in the answer.
                None => found.stock_levels.iter().map(|level| level.stock_on_hand).find(|shown| *shown == item.quantity),
            };
            match shown {
                Some(shown) if shown == item.quantity => ItemResult::Applied { shown: Some(shown) },
                _ => unknown("Vendure shows another number than was written: somebody wrote at the same time."),
            }
        }
    };
    Some(Outcome::Answered(call.items.iter().map(result).collect()))
}

/// What each item shows; `None` when the answer has no data.
fn read_outcome(store: &StoreConnection, call: &Call, answer: &Answer) -> Option<Outcome> {
    let page = Page::deserialize(answer.field("productVariants")?).ok()?;
    let globally = answer.field("globalSettings").and_then(|data| GlobalSettings::deserialize(data).ok());
    let untracked_globally = globally.is_some_and(|settings| !settings.track_inventory);
    let default = answer.field("stockLocations").and_then(|data| data.pointer("/items/0/id")?.as_str());
    let by_id: HashMap<&str, &Found> = page.items.iter().map(|found| (found.id.as_str(), found)).collect();
    let result = |item: &CallItem| match by_id.get(item.external_id.as_str()) {
        None => unknown_variant(),
        Some(found) if found.is_untracked() || (untracked_globally && found.goes_by_global()) => not_tracked(),
        Some(found) => match location(store, item).or(default) {
            // Without a level nothing of it is on hand there.
            Some(location) => ItemResult::Applied { shown: Some(found.at(location).unwrap_or(0)) },
            None => ItemResult::Unknown { reason: "Vendure does not say which stock location is its default.".to_owned() },
        },
    };
    Some(Outcome::Answered(call.items.iter().map(result).collect()))
}

#[cfg(test)]
mod tests;
mod wire;
