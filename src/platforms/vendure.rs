//! Vendure: the Admin API (GraphQL) of the shop's own server, as of 3.7.
//!
//! Sources (checked November 2026): docs.vendure.io (stock control, authentication); the source of `@vendure/core`
//! 3.7.3; its introspected Admin schema; calls to a running server with PostgreSQL, which `tests/interop` repeats.
//!
//! - Quantities can only be set, with `updateProductVariants` and its `stockLevels`. There are no idempotency keys and
//!   there is no compare-and-set. An increase is therefore read, added and written back, and a change between the read
//!   and the write is overwritten.
//! - **Two concurrent sets of one variant can leave a number that nobody sent**: the server computes a difference and adds
//!   it, without a lock. So no two of our stores may write the same variant at the same location, and after a request
//!   without a reply no other is sent before the settle time. If the reply shows a different number from the one written,
//!   the outcome is unknown.
//! - Reads and writes use the stock on hand at a location. The saleable quantity is lower by the units allocated to orders
//!   and by the out-of-stock threshold; a sale reduces the stock on hand only when it is fulfilled.
//! - A listing's `external_id` is the ID of a product variant (SKUs are not unique), and its `location_id` a stock
//!   location. The store's `location_id` applies to listings without their own; without either, Vendure's default
//!   applies: the oldest location of the channel. If a variant has no level at the location, a write creates it.
//! - A call is one transaction: one bad row rolls back all of it. The server accepts 100 kB per call, and a row takes
//!   5 to 17 ms; hence `DEFAULT_ROWS`.
//! - Errors arrive under status 200, and so do refused credentials (`FORBIDDEN`). If `errors` is present and the mutation
//!   has no data, nothing was written.
//! - Credentials are a username and a password, which are exchanged for a session token (the server's `tokenMethod` must
//!   include `bearer`; a session expires a year after its last use, and a new one is fetched when it is refused), or an
//!   API key (`api-key`; it costs the server a quarter of a second of CPU time per call). Both need permission to read and
//!   to update the catalog.
//! - Limits: Vendure itself has none (`OUR_PACE` is our choice).
//!
//! Unconfirmed: the race on databases other than PostgreSQL; how a server with several channels treats a wrong channel
//! token (`WRONG_CHANNEL` is expected; a server with one channel ignored a wrong token).
use super::call::{Action, Call, CallItem, Method, Reply, Request, StoreConnection};
use super::check::{Check, Need};
use super::codes::{self, Class, Row, said};
use super::connector::{Facts, Platform, RateLimit, Renewal, ReportedQuota, Stamp, VariantPage};
use super::fields::{listing_or_store_setting, max_items};
use crate::domain::FieldError;
use crate::domain::delivery::{Abilities, ItemResult, Outcome};
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::HashMap;
use wire::{Document, Found, GlobalSettings, Input, LoggedIn, Page, ReplyBody};

/// Rows per call: the largest `max_items` of a store, and the default.
const MAX_ROWS: u64 = 100;
const DEFAULT_ROWS: u64 = 50;
/// Our own choice: the same server also serves the shop's customers.
const OUR_PACE: RateLimit = RateLimit { per_second: 10.0, burst: 10 };
/// Variants per page.
const VARIANTS_PAGE: usize = 100;
/// The largest quantity that is sent. Vendure's integers have 32 bits, and the difference of two quantities must fit too.
const MAX_UNITS: i64 = 1_000_000_000;
/// The code for a wrong channel token (unconfirmed).
const WRONG_CHANNEL: &str = "CHANNEL_NOT_FOUND";
/// The response header with the session token. It is empty if the token sent has expired.
const SESSION_HEADER: &str = "vendure-auth-token";

const SET: &str = "mutation Set($input: [UpdateProductVariantInput!]!) { updateProductVariants(input: $input) { \
    id trackInventory stockLevels { stockLocationId stockOnHand } } }";
const READ: &str = "query Read($ids: [String!]!, $take: Int!) { \
    productVariants(options: { take: $take, filter: { id: { in: $ids } } }) { items { \
    id trackInventory stockLevels { stockLocationId stockOnHand } } } globalSettings { trackInventory } }";
/// Like `READ`, and asks for the channel's oldest location too.
const READ_DEFAULT: &str = "query Read($ids: [String!]!, $take: Int!) { \
    productVariants(options: { take: $take, filter: { id: { in: $ids } } }) { items { \
    id trackInventory stockLevels { stockLocationId stockOnHand } } } globalSettings { trackInventory } \
    stockLocations(options: { take: 1, sort: { createdAt: ASC, id: ASC } }) { items { id } } }";
/// Succeeds only with permission to read the catalog.
const CHECK: &str = "query Check { productVariants(options: { take: 1 }) { totalItems } }";
const VARIANTS: &str = "query Variants($skip: Int!, $take: Int!) { \
    productVariants(options: { skip: $skip, take: $take, sort: { id: ASC } }) { totalItems items { \
    id sku name trackInventory stockLevels { stockLocationId stockOnHand stockLocation { createdAt } } } } }";
const LOGIN: &str = "mutation Login($username: String!, $password: String!) { login(username: $username, password: $password) { \
    __typename ... on CurrentUser { id } ... on ErrorResult { errorCode message } } }";

const PAIR_AGAIN: &str = "Pair the listing again, or remove it if the variant was deleted in Vendure.";
const CHECK_LISTING: &str =
    "Check the listing's external_id, location_id and quantity. If they are correct, contact the operator of this service.";
/// Codes that apply to a whole call. A refused mutation has written nothing.
const CODES: &[Row] = &[
    (WRONG_CHANNEL, "", Class::Store("Set channel_token to the token of a channel in Vendure (Settings > Channels).")),
    ("ILLEGAL_OPERATION", "", Class::Store("Fix in Vendure what the message describes, then check the store.")),
    // The database's error message for a stock location that does not exist.
    ("", "foreign key", Class::Location("Set location_id, in the listing or in the store, to the ID of a stock location in Vendure.")),
    ("USER_INPUT_ERROR", "", Class::Listing("Fix the variant in Vendure, or its quantity here, as the message says, then retry.")),
    ("BAD_USER_INPUT", "", Class::Listing(CHECK_LISTING)),
    (
        "GRAPHQL_PARSE_FAILED",
        "",
        Class::Listing("This server does not accept the requests of Vendure 3. Contact the operator of this service."),
    ),
    (
        "GRAPHQL_VALIDATION_FAILED",
        "",
        Class::Listing("This server does not accept the requests of Vendure 3. Contact the operator of this service."),
    ),
    ("ENTITY_NOT_FOUND", "", Class::Listing(PAIR_AGAIN)),
];

/// The Vendure connector.
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

/// The listing's stock location; `None` is Vendure's default location.
fn location<'a>(store: &'a StoreConnection, item: &'a CallItem) -> Option<&'a str> {
    listing_or_store_setting(item, store, "location_id").filter(|id| !id.is_empty())
}

fn row<'a>(store: &'a StoreConnection, item: &'a CallItem) -> Result<Input<'a>, String> {
    if item.external_id.is_empty() {
        return Err("The listing has no external_id. Enter the ID of a product variant in Vendure.".to_owned());
    }
    if item.quantity.abs() > MAX_UNITS {
        return Err(format!("Vendure accepts quantities from -{MAX_UNITS} to {MAX_UNITS}; this one is {}.", item.quantity));
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
        let fits_a_header = |token: &str| match token.bytes().all(|byte| byte.is_ascii_graphic()) {
            true => Ok(()),
            false => Err("must be visible ASCII characters".to_owned()),
        };
        Check::new(store, Need::Required)
            .text_that("channel_token", Need::Optional, fits_a_header)
            .text("location_id", Need::Optional)
            .max_items(MAX_ROWS)
            .key_or_login("api_key", ["username", "password"])
            .done()
    }

    fn listing_fields(&self) -> &'static [&'static str] {
        &["location_id"]
    }

    fn facts(&self, store: &StoreConnection) -> Facts {
        let max_items = max_items(store, DEFAULT_ROWS, MAX_ROWS);
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
            Action::Adjust => Err("Vendure cannot add to a quantity; it can only set one.".to_owned()),
            Action::Set => {
                let rows = call.items.iter().map(|item| row(store, item)).collect::<Result<Vec<_>, _>>()?;
                authorized(store, SET, &json!({ "input": rows }))
            }
            Action::Read => read(store, call),
            Action::Check => authorized(store, CHECK, &json!({})),
        }
    }

    fn outcome(&self, store: &StoreConnection, call: &Call, reply: &Reply) -> Outcome {
        let body = match parse(reply) {
            Ok(body) => body,
            Err(outcome) => return outcome,
        };
        let found = match call.action {
            Action::Set | Action::Adjust => body.field("updateProductVariants").and_then(|data| set_results(store, call, data)),
            Action::Read => read_results(store, call, &body),
            Action::Check => body.field("productVariants").map(|_| Outcome::Answered(Vec::new())),
        };
        found.unwrap_or_else(|| failure(store, call, reply, &body))
    }

    fn quota(&self, _: &Reply) -> Option<ReportedQuota> {
        None
    }

    fn variants_request(&self, store: &StoreConnection, cursor: Option<&str>, _: &Stamp) -> Result<Request, String> {
        let skip = offset(cursor).ok_or("This cursor does not belong to the shop's list of variants.")?;
        authorized(store, VARIANTS, &json!({ "skip": skip, "take": VARIANTS_PAGE }))
    }

    fn variants(&self, store: &StoreConnection, cursor: Option<&str>, reply: &Reply) -> Result<VariantPage, Outcome> {
        let body = parse(reply)?;
        let call = Call { action: Action::Read, items: Vec::new(), idempotency_key: None };
        let data = body.field("productVariants").ok_or_else(|| failure(store, &call, reply, &body))?;
        let page = Page::deserialize(data).map_err(|_| codes::unreadable())?;
        let end = offset(cursor).ok_or_else(codes::unreadable)?.saturating_add(page.items.len());
        let more = !page.items.is_empty() && end < page.total_items;
        let preferred = store.setting("location_id");
        let variants = page.items.into_iter().map(|found| found.variant(preferred)).collect();
        Ok(VariantPage { variants, next: more.then(|| end.to_string()) })
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
        let body = match parse(reply) {
            Ok(body) => body,
            Err(Outcome::TryAgain { reason, .. } | Outcome::Unknown { reason }) => return Renewal::TryAgain { reason },
            Err(Outcome::Closed { reason, next_step }) => return refused(format!("{reason} {next_step}")),
            Err(_) => return refused(format!("Vendure refused the login ({}).", reply.status)),
        };
        match body.field("login").map(LoggedIn::deserialize) {
            Some(Ok(LoggedIn { typename, .. })) if typename == "CurrentUser" => {
                let Some(token) = reply.header(SESSION_HEADER).filter(|token| !token.is_empty()) else {
                    let what = "Vendure returned no session token. Add 'bearer' to its authOptions.tokenMethod, or use an API key.";
                    return refused(what.to_owned());
                };
                let mut credentials = store.credentials.clone();
                credentials.insert("access_token".to_owned(), token.into());
                Renewal::Renewed(credentials)
            }
            Some(Ok(LoggedIn { error_code, message, .. })) => {
                let said = said("Vendure", error_code.as_deref().unwrap_or_default(), message.as_deref().unwrap_or_default());
                refused(format!("{said} Enter the username and password of an administrator again."))
            }
            _ => Renewal::TryAgain { reason: "Vendure returned no result for the login.".to_owned() },
        }
    }
}

fn offset(cursor: Option<&str>) -> Option<usize> {
    cursor.map_or(Some(0), |text| text.parse().ok())
}

/// The body of a reply, or the outcome if its status rules the body out.
fn parse(reply: &Reply) -> Result<ReplyBody, Outcome> {
    let body = serde_json::from_str::<ReplyBody>(&reply.body).ok().filter(|body| body.data.is_some() || !body.errors.is_empty());
    let status = reply.status;
    Err(match status {
        200..=299 => return body.ok_or_else(codes::unreadable),
        400 if body.is_some() => return body.ok_or_else(codes::unreadable),
        300..=399 | 404 => Outcome::Closed {
            reason: format!("There is no Vendure Admin API at this address ({status})."),
            next_step: "Set base_url to the address of the Vendure server, without /admin-api.".to_owned(),
        },
        401 | 403 => Outcome::Unauthorized {
            reason: format!("Something in front of the Vendure server, such as a proxy, denies access ({status})."),
        },
        429 => Outcome::TryAgain {
            reason: "The shop's host limited our requests (429).".to_owned(),
            after: reply.retry_after(),
            throttled: true,
        },
        // A body above the server's limit also gets 500, with an empty message; ours are at most a seventh of that limit.
        408 | 500.. => Outcome::Unknown { reason: format!("The Vendure server failed ({status}).") },
        _ => Outcome::Refused { reason: format!("Vendure refused the request ({status})."), next_step: CHECK_LISTING.to_owned() },
    })
}

/// The outcome of a reply that has errors and no data. Nothing was written.
fn failure(store: &StoreConnection, call: &Call, reply: &Reply, body: &ReplyBody) -> Outcome {
    let Some((code, message)) = body.first_error() else { return codes::unreadable() };
    let said = said("Vendure", code, message);
    match code {
        "FORBIDDEN" if store.credentials.contains_key("api_key") => {
            Outcome::Unauthorized { reason: format!("{said} The API key is wrong, or its role may not read and update the catalog.") }
        }
        // An expired session and a missing permission look the same; a new login distinguishes them.
        "FORBIDDEN" => Outcome::TokenExpired { reason: format!("{said} The session has expired, or the user may not update the catalog.") },
        "ENTITY_NOT_FOUND" if call.action == Action::Set && message.contains("ProductVariant") => reject_unknown(call, &said, message),
        "" | "INTERNAL_SERVER_ERROR" => match codes::find(CODES, code, message) {
            Some(class) => codes::outcome(class, said, call, reply, "location_id"),
            // A single row may be the cause, so the call is split until that row is alone.
            None if call.items.len() > 1 => {
                Outcome::Refused { reason: said, next_step: "Nothing to do: it will be retried automatically.".to_owned() }
            }
            None => codes::outcome(Class::Again, said, call, reply, "location_id"),
        },
        _ => codes::outcome(codes::find(CODES, code, message).unwrap_or(Class::Listing(CHECK_LISTING)), said, call, reply, "location_id"),
    }
}

/// Rejects the variant that the message names; the other rows were rolled back.
fn reject_unknown(call: &Call, said: &str, message: &str) -> Outcome {
    let is_in_message = |item: &CallItem| message.contains(&format!("\"{}\"", item.external_id));
    if !call.items.iter().any(is_in_message) {
        return Outcome::Refused { reason: said.to_owned(), next_step: PAIR_AGAIN.to_owned() };
    }
    let result = |item: &CallItem| match is_in_message(item) {
        true => unknown_variant(),
        false => ItemResult::NeverApplied { reason: "Another listing in the same call is unknown to Vendure.".to_owned() },
    };
    Outcome::Answered(call.items.iter().map(result).collect())
}

fn unknown_variant() -> ItemResult {
    ItemResult::Rejected { reason: "Vendure does not know this product variant.".to_owned(), next_step: PAIR_AGAIN.to_owned() }
}

fn not_tracked() -> ItemResult {
    ItemResult::Rejected {
        reason: "This variant does not track inventory in Vendure.".to_owned(),
        next_step: "Turn on 'Track inventory' for the variant in Vendure (or in the global settings, if it inherits them), then retry."
            .to_owned(),
    }
}

/// The results of a set; `None` if the data cannot be read.
fn set_results(store: &StoreConnection, call: &Call, data: &Value) -> Option<Outcome> {
    let found: Vec<Option<Found>> = Deserialize::deserialize(data).ok()?;
    let by_id: HashMap<String, Found> = found.into_iter().flatten().map(|found| (found.id.clone(), found)).collect();
    let unknown = |reason: &str| ItemResult::Unknown { reason: reason.to_owned() };
    let result = |item: &CallItem| match by_id.get(&item.external_id) {
        None => unknown("Vendure's response does not mention this listing."),
        Some(found) if found.is_untracked() => not_tracked(),
        Some(found) => {
            let shown = match location(store, item) {
                Some(location) => found.at(location),
                // The reply does not say which location is the default.
                None => found.stock_levels.iter().map(|level| level.stock_on_hand).find(|shown| *shown == item.quantity),
            };
            match shown {
                Some(shown) if shown == item.quantity => ItemResult::Applied { shown: Some(shown) },
                _ => unknown("Vendure shows a different number from the one written: it was changed at the same time."),
            }
        }
    };
    Some(Outcome::Answered(call.items.iter().map(result).collect()))
}

/// The results of a read; `None` if the reply has no data.
fn read_results(store: &StoreConnection, call: &Call, body: &ReplyBody) -> Option<Outcome> {
    let page = Page::deserialize(body.field("productVariants")?).ok()?;
    let global_settings = body.field("globalSettings").and_then(|data| GlobalSettings::deserialize(data).ok());
    let untracked_by_default = global_settings.is_some_and(|settings| !settings.track_inventory);
    let default = body.field("stockLocations").and_then(|data| data.pointer("/items/0/id")?.as_str());
    let by_id: HashMap<&str, &Found> = page.items.iter().map(|found| (found.id.as_str(), found)).collect();
    let result = |item: &CallItem| match by_id.get(item.external_id.as_str()) {
        None => unknown_variant(),
        Some(found) if found.is_untracked() || (untracked_by_default && found.inherits_tracking()) => not_tracked(),
        Some(found) => match location(store, item).or(default) {
            // Without a level, no stock is on hand at that location.
            Some(location) => ItemResult::Applied { shown: Some(found.at(location).unwrap_or(0)) },
            None => ItemResult::Unknown { reason: "Vendure does not say which stock location is its default.".to_owned() },
        },
    };
    Some(Outcome::Answered(call.items.iter().map(result).collect()))
}

#[cfg(test)]
mod tests;
mod wire;
