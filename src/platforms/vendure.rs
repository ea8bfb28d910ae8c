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
//! - The saleable quantity at a location is the stock on hand less the units allocated to orders; a sale reduces the stock
//!   on hand only when it is fulfilled. So what is shown is the difference, and what is allocated is added to what is set.
//!   (The shop subtracts its out-of-stock threshold, too; that is the seller's own reserve and is left to the seller.)
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
use super::codes::{self, said};
use super::connector::{Facts, Platform, RateLimit, Renewal, ReportedQuota, Stamp, VariantPage};
use super::fields::{max_items, on_hand, page_size};
use crate::domain::FieldError;
use crate::domain::delivery::{Abilities, Outcome};
use outcomes::{WRONG_CHANNEL, check_result, default_location, failure, location, parse, read_results, set_results};
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::json;
use wire::{Document, Input, Level, LoggedIn, Page};

/// Rows per call: the largest `max_items` of a store, and the default.
const MAX_ROWS: u64 = 100;
const DEFAULT_ROWS: u64 = 50;
/// Our own choice: the same server also serves the shop's customers.
const OUR_PACE: RateLimit = RateLimit { per_second: 10.0, burst: 10 };
/// Variants per page.
const VARIANTS_PAGE: usize = 100;
/// The largest quantity that is sent. Vendure's integers have 32 bits, and the difference of two quantities must fit too.
const MAX_UNITS: i64 = 1_000_000_000;
/// The response header with the session token. It is empty if the token sent has expired.
const SESSION_HEADER: &str = "vendure-auth-token";

const SET: &str = "mutation Set($input: [UpdateProductVariantInput!]!) { updateProductVariants(input: $input) { \
    id trackInventory stockLevels { stockLocationId stockOnHand } } }";
const READ: &str = "query Read($ids: [String!]!, $take: Int!) { \
    productVariants(options: { take: $take, filter: { id: { in: $ids } } }) { items { \
    id trackInventory stockLevels { stockLocationId stockOnHand stockAllocated } } } globalSettings { trackInventory } }";
/// Like `READ`, and asks for the channel's oldest location too.
const READ_DEFAULT: &str = "query Read($ids: [String!]!, $take: Int!) { \
    productVariants(options: { take: $take, filter: { id: { in: $ids } } }) { items { \
    id trackInventory stockLevels { stockLocationId stockOnHand stockAllocated } } } globalSettings { trackInventory } \
    stockLocations(options: { take: 1, sort: { createdAt: ASC, id: ASC } }) { items { id } } }";
/// Succeeds only with permission to read the catalog, and says what else the user may do.
const CHECK: &str = "query Check { productVariants(options: { take: 1 }) { totalItems } activeChannel { token } \
    me { channels { token permissions } } }";
const VARIANTS: &str = "query Variants($skip: Int!, $take: Int!) { \
    productVariants(options: { skip: $skip, take: $take, sort: { id: ASC } }) { totalItems items { \
    id sku name trackInventory stockLevels { stockLocationId stockOnHand stockLocation { createdAt } } } } }";
const LOGIN: &str = "mutation Login($username: String!, $password: String!) { login(username: $username, password: $password) { \
    __typename ... on CurrentUser { id } ... on ErrorResult { errorCode message } } }";

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

fn row<'a>(store: &'a StoreConnection, item: &'a CallItem) -> Result<Input<'a>, String> {
    if item.external_id.is_empty() {
        return Err("The listing has no external_id. Enter the ID of a product variant in Vendure.".to_owned());
    }
    let units = on_hand(item);
    if units.abs() > MAX_UNITS {
        return Err(format!("Vendure accepts quantities from -{MAX_UNITS} to {MAX_UNITS}; this one is {units}."));
    }
    Ok(Input::new(&item.external_id, location(store, item), units))
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
            .without_path(&["/admin-api", "/shop-api", "/admin", "/dashboard"])
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
            Action::Check => body.field("productVariants").map(|_| check_result(store, &body)),
        };
        found.unwrap_or_else(|| failure(store, call, reply, &body))
    }

    fn reserved(&self, store: &StoreConnection, call: &Call, reply: &Reply) -> Vec<Option<i64>> {
        let Ok(body) = parse(reply) else { return Vec::new() };
        let Some(page) = body.field("productVariants").and_then(|data| Page::deserialize(data).ok()) else { return Vec::new() };
        let default = default_location(&body);
        let reserved = |item: &CallItem| {
            let found = page.items.iter().find(|found| found.id == item.external_id)?;
            // Without a level, nothing is reserved at that location.
            found.at(location(store, item).or(default)?).map_or(Some(0), Level::reserved)
        };
        call.items.iter().map(reserved).collect()
    }

    fn shop(&self, reply: &Reply) -> Option<String> {
        parse(reply).ok()?.field("activeChannel")?.get("token")?.as_str().map(str::to_owned)
    }

    fn shop_request(&self, _: &StoreConnection, _: &Stamp) -> Option<Result<Request, String>> {
        None
    }

    fn quota(&self, _: &Reply) -> Option<ReportedQuota> {
        None
    }

    fn variants_request(&self, store: &StoreConnection, cursor: Option<&str>, _: &Stamp) -> Result<Request, String> {
        let skip = offset(cursor).ok_or("This cursor does not belong to the shop's list of variants.")?;
        authorized(store, VARIANTS, &json!({ "skip": skip, "take": page_size(store, VARIANTS_PAGE) }))
    }

    fn variants(&self, store: &StoreConnection, cursor: Option<&str>, reply: &Reply) -> Result<VariantPage, Outcome> {
        let body = parse(reply)?;
        let call = Call { action: Action::Read, items: Vec::new(), idempotency_key: None };
        let data = body.field("productVariants").ok_or_else(|| failure(store, &call, reply, &body))?;
        let page = Page::deserialize(data).map_err(|_| codes::unreadable())?;
        let end = offset(cursor).ok_or_else(codes::unreadable)?.saturating_add(page.items.len());
        let more = !page.items.is_empty() && end < page.total_items;
        let here = store.setting("location_id");
        let variants = page.items.into_iter().map(|found| found.variant(here)).collect();
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
            _ => match body.first_error() {
                Some((WRONG_CHANNEL, message)) => {
                    let said = said("Vendure", WRONG_CHANNEL, message);
                    refused(format!("{said} Set channel_token to the token of a channel in Vendure (Settings > Channels)."))
                }
                Some((code, message)) => Renewal::TryAgain { reason: said("Vendure", code, message) },
                None => Renewal::TryAgain { reason: "Vendure returned no result for the login.".to_owned() },
            },
        }
    }
}

fn offset(cursor: Option<&str>) -> Option<usize> {
    cursor.map_or(Some(0), |text| text.parse().ok())
}

mod outcomes;
#[cfg(test)]
mod tests;
mod wire;
