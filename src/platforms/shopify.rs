//! Shopify: the GraphQL Admin API, version `API_VERSION`, one endpoint a shop.
//!
//! Sources (checked November 2026): shopify.dev, "Rate limits", "Implementing idempotency", "Making changeFromQuantity
//! required", "Offline access tokens"; the introspected schema of 2026-10; recorded live replies of 2026-04.
//!
//! - An increase is `inventoryAdjustQuantities`, an overwrite `inventorySetQuantities`; both carry `@idempotent(key:)`,
//!   which is mandatory, and write `changeFromQuantity` in every row (null: no check), which is mandatory although the
//!   schema says that it may be left out. Keys are kept for 24 h; the same key wants the same variables, so a request
//!   is made of the call and the store's settings alone.
//! - A listing's `external_id` is an inventory item (not a variant), its `location_id` a location; both as
//!   `gid://shopify/…` or as the bare number. The store's `location_id` stands in for listings without their own.
//! - 250 rows a call. A failure names its rows by index in `field`, and the group of changes is null: then no row was
//!   applied. Rows that change nothing are missing from `changes`, which is success. Top-level `errors` beside data may
//!   be about a field that was asked for while the change was applied: `data.<mutation>` decides.
//! - Limits: points per app and shop, refilled at 100/s (Standard) to 2000/s (Enterprise). The size of the bucket, the
//!   rate and the cost of the call stand in every reply, and the limiter goes by them.
//! - Stock of a variant that is not tracked can be written, and has no effect; a read says so.
//!
//! Unconfirmed: that a call with a good and a bad row is applied to neither (every recording with a failure has a null
//! group; what a group with changes beside failures would mean is read from its changes); the cost of 250 rows; the
//! parameters of the token renewal (`RENEWAL_GRANT`); buckets other than the recorded one (`STATED_LIMIT`); the
//! status of a throttled reply (200 and 429 are both understood).
use super::call::{Action, Call, CallItem, Method, Reply, Request, StoreConnection};
use super::check::{Check, Need};
use super::fields::max_items;
use super::sign::ends_soon;
use super::{Facts, Platform, RateLimit, Renewal, ReportedQuota, Stamp, VariantPage, oauth};
use crate::domain::FieldError;
use crate::domain::delivery::{Abilities, ItemResult, Outcome};
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, HashMap, HashSet};
use wire::{Answer, Change, Document, FoundVariants, Input, Payload, ReadNode, Row, UserError, Variables};

/// The version of the API that requests are made for.
const API_VERSION: &str = "2026-10";
/// Rows of one call at most.
const MAX_ROWS: u64 = 250;
/// The bucket of a Standard shop as recorded; replies tell of the shop's own.
const STATED_LIMIT: RateLimit = RateLimit { per_second: 100.0, burst: 2000 };
/// What a mutation with the selection below asks for, as recorded for one row and for two.
const MUTATION_POINTS: u32 = 13;
/// A row of a read is three objects: item, level, quantity.
const READ_POINTS_PER_ROW: u32 = 3;
/// Variants on a page, and inventory levels looked at for each: with item, level and location as objects, 600 points of
/// the 1000 that one request may cost.
const VARIANTS_PAGE: u32 = 50;
const VARIANT_LEVELS: u32 = 5;
/// What a quantity may be: GraphQL's numbers are 32 bits wide, Shopify's bounds lie within.
const MOST_UNITS: i64 = 1_000_000_000;
/// Why stock changes, as Shopify's records show it.
const REASON: &str = "correction";
/// The grant of a token renewal (unconfirmed, like the names of its parameters).
const RENEWAL_GRANT: &str = "refresh_token";

const SET: &str = "mutation Set($input: InventorySetQuantitiesInput!, $key: String!) { \
    inventorySetQuantities(input: $input) @idempotent(key: $key) { \
    inventoryAdjustmentGroup { id changes { name delta item { id } location { id } } } userErrors { code field message } } }";
const ADJUST: &str = "mutation Adjust($input: InventoryAdjustQuantitiesInput!, $key: String!) { \
    inventoryAdjustQuantities(input: $input) @idempotent(key: $key) { \
    inventoryAdjustmentGroup { id changes { name delta item { id } location { id } } } userErrors { code field message } } }";
/// Asks for what the right to read inventory is needed for.
const CHECK: &str = "query Check { inventoryItems(first: 1) { nodes { id } } }";
const VARIANTS: &str = "query Variants($first: Int!, $levels: Int!, $after: String) { productVariants(first: $first, after: $after) { \
    nodes { sku displayName inventoryItem { id tracked inventoryLevels(first: $levels) { nodes { isActive location { id } } } } } \
    pageInfo { hasNextPage endCursor } } }";

/// The connector.
#[derive(Debug)]
pub struct Shopify;

fn base(store: &StoreConnection) -> Result<String, String> {
    if let Some(url) = &store.base_url {
        return Ok(url.trim_end_matches('/').to_owned());
    }
    let shop = store.setting("shop").ok_or("The store has neither shop nor base_url.")?;
    Ok(format!("https://{}.myshopify.com", shop.trim_end_matches(".myshopify.com")))
}

/// A request with this document; what it says depends on nothing but its arguments.
fn graphql(store: &StoreConnection, query: &str, variables: impl Serialize) -> Result<Request, String> {
    let url = format!("{}/admin/api/{API_VERSION}/graphql.json", base(store)?);
    let token = store.secret("access_token")?;
    let request = Request::json(Method::Post, url, &Document { query, variables })?;
    Ok(request.header("accept", "application/json").secret_header("x-shopify-access-token", token.expose_secret()))
}

/// The whole name of an object of Shopify's, also where only its number was given.
fn gid(kind: &str, text: &str) -> Result<String, String> {
    let number = text.strip_prefix("gid://shopify/").and_then(|rest| rest.strip_prefix(kind)?.strip_prefix('/')).unwrap_or(text);
    if number.is_empty() || number.len() > 20 || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        let text: String = text.chars().take(100).collect();
        return Err(format!("{text} is not a name of Shopify's: it must be gid://shopify/{kind}/ and a number, or the number."));
    }
    Ok(format!("gid://shopify/{kind}/{number}"))
}

/// The listing's inventory item and location.
fn place(store: &StoreConnection, item: &CallItem) -> Result<(String, String), String> {
    let location = own_location(item)
        .or_else(|| store.setting("location_id"))
        .ok_or("Neither the listing nor its store says at which location of Shopify's its stock is kept (location_id).")?;
    Ok((gid("InventoryItem", &item.external_id)?, gid("Location", location)?))
}

fn own_location(item: &CallItem) -> Option<&str> {
    item.extra.get("location_id").map(String::as_str).filter(|id| !id.is_empty())
}

fn units(item: &CallItem) -> Result<i64, String> {
    if item.quantity.abs() <= MOST_UNITS {
        return Ok(item.quantity);
    }
    Err(format!("Shopify takes no quantity beyond {MOST_UNITS} units; this one is {}.", item.quantity))
}

fn row(store: &StoreConnection, item: &CallItem, action: Action) -> Result<Row, String> {
    let ((inventory_item_id, location_id), units) = (place(store, item)?, units(item)?);
    let (delta, quantity) = if action == Action::Adjust { (Some(units), None) } else { (None, Some(units)) };
    Ok(Row { inventory_item_id, location_id, delta, quantity, change_from_quantity: item.expected })
}

fn mutation(store: &StoreConnection, call: &Call) -> Result<Request, String> {
    let key = call.idempotency_key.as_deref().ok_or("Shopify takes no change without an idempotency key.")?;
    let rows = call.items.iter().map(|item| row(store, item, call.action)).collect::<Result<Vec<_>, _>>()?;
    let input = |changes, quantities| Input { name: "available", reason: REASON, changes, quantities };
    let (query, input) = match call.action {
        Action::Adjust => (ADJUST, input(Some(rows), None)),
        _ => (SET, input(None, Some(rows))),
    };
    graphql(store, query, Variables { input, key })
}

/// The rows of a read by location, since a level is asked for by its location: (location, items).
fn by_location(store: &StoreConnection, call: &Call) -> Result<Vec<(String, Vec<String>)>, String> {
    let mut groups: Vec<(String, Vec<String>)> = Vec::new();
    for item in &call.items {
        let (item, location) = place(store, item)?;
        match groups.iter_mut().find(|(known, _)| *known == location) {
            Some((_, items)) => items.push(item),
            None => groups.push((location, vec![item])),
        }
    }
    Ok(groups)
}

fn read(store: &StoreConnection, call: &Call) -> Result<Request, String> {
    let (mut parameters, mut fields, mut variables) = (Vec::new(), Vec::new(), Map::new());
    for (n, (location, items)) in by_location(store, call)?.into_iter().enumerate() {
        parameters.push(format!("$ids{n}: [ID!]!, $location{n}: ID!"));
        fields.push(format!(
            "at{n}: nodes(ids: $ids{n}) {{ ... on InventoryItem {{ id tracked \
             inventoryLevel(locationId: $location{n}, includeInactive: true) {{ quantities(names: [\"available\"]) {{ name quantity }} }} }} }}"
        ));
        variables.insert(format!("ids{n}"), json!(items));
        variables.insert(format!("location{n}"), json!(location));
    }
    graphql(store, &format!("query Read({}) {{ {} }}", parameters.join(", "), fields.join(" ")), variables)
}

impl Platform for Shopify {
    fn name(&self) -> &'static str {
        "shopify"
    }

    fn check_config(&self, store: &StoreConnection) -> Result<(), Vec<FieldError>> {
        let is_shop = |shop: &str| {
            let name = shop.trim_end_matches(".myshopify.com");
            let fits = (1..=63).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
            fits.then_some(()).ok_or_else(|| "must be the shop's name at Shopify, such as acme or acme.myshopify.com".to_owned())
        };
        Check::new(store, Need::Optional)
            .text_that("shop", Need::unless(store.base_url.is_some()), is_shop)
            .text_that("location_id", Need::Optional, |id| gid("Location", id).map(drop))
            .max_items(MAX_ROWS)
            .access_token(Need::Needed)
            .together(&["refresh_token", "client_id", "client_secret"])
            .done()
    }

    fn listing_fields(&self) -> &'static [&'static str] {
        &["location_id"]
    }

    fn facts(&self, store: &StoreConnection) -> Facts {
        let max_items = max_items(store, MAX_ROWS, MAX_ROWS);
        Facts {
            abilities: Abilities { adjust: true, idempotency: true, compare_and_set: true, read: true, max_items },
            group_by: None,
            per_store: STATED_LIMIT,
            per_app: None,
        }
    }

    fn cost(&self, call: &Call) -> u32 {
        match call.action {
            Action::Adjust | Action::Set => MUTATION_POINTS,
            Action::Check => 2,
            Action::Read if call.items.is_empty() => VARIANTS_PAGE * (2 + 2 * VARIANT_LEVELS),
            Action::Read => u32::try_from(call.items.len()).unwrap_or(u32::MAX).saturating_mul(READ_POINTS_PER_ROW),
        }
    }

    fn request(&self, store: &StoreConnection, call: &Call, _: &Stamp) -> Result<Request, String> {
        match call.action {
            Action::Adjust | Action::Set => mutation(store, call),
            Action::Read => read(store, call),
            Action::Check => graphql(store, CHECK, json!({})),
        }
    }

    fn outcome(&self, store: &StoreConnection, call: &Call, reply: &Reply) -> Outcome {
        let answer = match answer(store, reply) {
            Ok(answer) => answer,
            Err(outcome) => return outcome,
        };
        let found = match call.action {
            Action::Adjust => answer.field("inventoryAdjustQuantities").map(|data| mutation_outcome(store, call, data)),
            Action::Set => answer.field("inventorySetQuantities").map(|data| mutation_outcome(store, call, data)),
            Action::Read => read_outcome(store, call, &answer),
            Action::Check => answer.field("inventoryItems").map(|_| Outcome::Answered(Vec::new())),
        };
        found.unwrap_or_else(|| answer.failure())
    }

    fn quota(&self, reply: &Reply) -> Option<ReportedQuota> {
        let cost = serde_json::from_str::<Answer>(&reply.body).ok()?.extensions?.cost?;
        let status = cost.throttle_status?;
        let whole = |points: f64| if points.is_finite() { points.clamp(0.0, 1e9) as u32 } else { 0 };
        (status.restore_rate > 0.0 && status.restore_rate.is_finite()).then(|| ReportedQuota {
            per_second: status.restore_rate,
            burst: whole(status.maximum_available),
            available: Some(whole(status.currently_available)),
            cost: cost.requested_query_cost.map(whole),
        })
    }

    fn variants_request(&self, store: &StoreConnection, cursor: Option<&str>, _: &Stamp) -> Result<Request, String> {
        graphql(store, VARIANTS, json!({"first": VARIANTS_PAGE, "levels": VARIANT_LEVELS, "after": cursor}))
    }

    fn variants(&self, store: &StoreConnection, _: Option<&str>, reply: &Reply) -> Result<VariantPage, Outcome> {
        let answer = answer(store, reply)?;
        let page = answer.field("productVariants").ok_or_else(|| answer.failure())?;
        let page = FoundVariants::deserialize(page).map_err(|_| unreadable())?;
        let variants = page.nodes.into_iter().map(|found| found.variant(store)).collect();
        Ok(VariantPage { variants, next: page.page_info.end_cursor.filter(|_| page.page_info.has_next_page) })
    }

    fn renewal_request(&self, store: &StoreConnection, stamp: &Stamp, refused: bool) -> Option<Request> {
        if !refused && !ends_soon(store, stamp) {
            return None;
        }
        let secret = |name| store.secret(name).ok().map(ExposeSecret::expose_secret);
        let fields = [
            ("client_id", secret("client_id")?),
            ("client_secret", secret("client_secret")?),
            ("grant_type", RENEWAL_GRANT),
            ("refresh_token", secret("refresh_token")?),
        ];
        Some(oauth::form(format!("{}/admin/oauth/access_token", base(store).ok()?), &fields))
    }

    fn renewal(&self, store: &StoreConnection, reply: &Reply, stamp: &Stamp) -> Renewal {
        oauth::renewal(store, reply, stamp)
    }
}

/// What a reply says when its status and its throttling let it say anything.
fn answer(store: &StoreConnection, reply: &Reply) -> Result<Answer, Outcome> {
    let answer = serde_json::from_str::<Answer>(&reply.body).ok();
    let throttled = answer.as_ref().is_some_and(|answer| answer.has_code("THROTTLED") && answer.is_empty());
    if throttled || reply.status == 429 {
        let wait = answer.and_then(|answer| answer.extensions?.cost?.wait());
        return Err(Outcome::TryAgain {
            reason: "Shopify asked us to slow down.".to_owned(),
            after: wait.or(reply.retry_after()),
            throttled: true,
        });
    }
    let closed = |reason: &str, next_step: &str| Outcome::Closed { reason: reason.to_owned(), next_step: next_step.to_owned() };
    Err(match reply.status {
        200..=299 => return answer.ok_or_else(unreadable),
        300..=399 | 404 => closed(
            &format!("There is no shop at this address ({}).", reply.status),
            "Enter the shop's own name at Shopify, as in acme.myshopify.com.",
        ),
        401 if store.credentials.contains_key("refresh_token") => {
            Outcome::TokenExpired { reason: "Shopify says that the access token has ended (401).".to_owned() }
        }
        401 => Outcome::Unauthorized { reason: "Shopify refused the access token (401).".to_owned() },
        402 => closed("The shop is frozen: its bill at Shopify is open (402).", "Settle the shop's bill at Shopify."),
        403 => {
            closed("Shopify forbids us this shop (403).", "Check in Shopify's admin that the app is still installed and the shop is open.")
        }
        423 => closed("The shop is locked (423).", "Ask Shopify's support why the shop is locked."),
        430 => closed(
            "Shopify took our requests for an attack and blocks them (430).",
            "Wait, then check the store; ask Shopify's support if it lasts.",
        ),
        408 | 500.. => Outcome::Unknown { reason: format!("Shopify had an error of its own ({}).", reply.status) },
        status => asked_wrongly(&format!("HTTP {status}")),
    })
}

fn unreadable() -> Outcome {
    Outcome::Unknown { reason: "Shopify's answer could not be read.".to_owned() }
}

fn asked_wrongly(what: &str) -> Outcome {
    Outcome::Refused {
        reason: format!("Shopify did not take the request as it was asked: {what}."),
        next_step: "Check the listing's external_id and location_id; if they are right, tell the operator of this service.".to_owned(),
    }
}

impl Answer {
    /// A field of the data that is there.
    fn field(&self, name: &str) -> Option<&Value> {
        self.data.as_ref()?.get(name).filter(|value| !value.is_null())
    }

    fn is_empty(&self) -> bool {
        self.data.as_ref().and_then(Value::as_object).is_none_or(|data| data.values().all(Value::is_null))
    }

    fn errors(&self) -> impl Iterator<Item = (&str, &str)> {
        let errors = self.errors.as_ref().and_then(Value::as_array).into_iter().flatten();
        errors.map(|error| {
            let text = |at: &str| error.pointer(at).and_then(Value::as_str).unwrap_or_default();
            (text("/extensions/code"), text("/message"))
        })
    }

    fn has_code(&self, code: &str) -> bool {
        self.errors().any(|(found, _)| found == code)
    }

    /// What the top-level errors say when there are no data.
    fn failure(&self) -> Outcome {
        let Some((code, message)) = self.errors().next() else { return unreadable() };
        let message = shortened(message);
        match code {
            "ACCESS_DENIED" => Outcome::Unauthorized { reason: format!("The app lacks a right in this shop: {message}") },
            "SHOP_INACTIVE" => Outcome::Closed {
                reason: "The shop is not active.".to_owned(),
                next_step: "Reopen the shop in Shopify, or pause this store.".to_owned(),
            },
            "INTERNAL_SERVER_ERROR" | "TIMEOUT" | "" => Outcome::Unknown { reason: format!("Shopify had an error of its own: {message}") },
            _ => asked_wrongly(&format!("{message} ({code})")),
        }
    }
}

fn shortened(message: &str) -> String {
    message.chars().take(200).collect()
}

/// What an answer says of a mutation's rows.
fn mutation_outcome(store: &StoreConnection, call: &Call, data: &Value) -> Outcome {
    let Ok(Payload { group, user_errors }) = Payload::deserialize(data) else { return unreadable() };
    let applied = |item: &CallItem| ItemResult::Applied { shown: (call.action == Action::Set).then_some(item.quantity) };
    if user_errors.is_empty() {
        return Outcome::Answered(call.items.iter().map(applied).collect());
    }
    let mut of_row: BTreeMap<usize, Refusal> = BTreeMap::new();
    for error in &user_errors {
        let refusal = refusal(error);
        match (error.row().filter(|row| *row < call.items.len()), refusal) {
            (_, Refusal::Call(outcome)) => return outcome,
            (None, Refusal::Later(reason)) => {
                return Outcome::Answered(call.items.iter().map(|_| ItemResult::NeverApplied { reason: reason.clone() }).collect());
            }
            (None, Refusal::Row { reason, next_step } | Refusal::Location { reason, next_step }) => {
                return Outcome::Refused { reason, next_step };
            }
            // The first thing that is wrong with a row is told: an unknown item before its location.
            (Some(row), refusal) => drop(of_row.entry(row).or_insert(refusal)),
        }
    }
    // The store's own location is wrong for all its listings: they are held rather than refused one by one.
    let of_store = |row: &usize| call.items.get(*row).is_some_and(|item| own_location(item).is_none());
    let wrong_location = of_row.iter().find(|(row, refusal)| matches!(refusal, Refusal::Location { .. }) && of_store(row));
    if let (None, Some((_, Refusal::Location { reason, next_step }))) = (&group, wrong_location) {
        return Outcome::Closed { reason: reason.clone(), next_step: next_step.clone() };
    }
    let changed: Option<HashSet<(String, String)>> = group.map(|group| group.changes.into_iter().filter_map(Change::place).collect());
    let result = |(row, item): (usize, &CallItem)| match of_row.remove(&row) {
        Some(Refusal::Row { reason, next_step } | Refusal::Location { reason, next_step }) => ItemResult::Rejected { reason, next_step },
        Some(Refusal::Later(reason)) => ItemResult::NeverApplied { reason },
        Some(Refusal::Call(_)) | None => match &changed {
            None => ItemResult::NeverApplied { reason: "Shopify refused another listing of the same call.".to_owned() },
            Some(changed) if place(store, item).is_ok_and(|place| changed.contains(&place)) => applied(item),
            // A set may be repeated, whatever came of it.
            Some(_) if call.action == Action::Set => {
                ItemResult::NeverApplied { reason: "Shopify's answer does not mention this listing.".to_owned() }
            }
            Some(_) => ItemResult::Unknown { reason: "Shopify's answer does not mention this listing.".to_owned() },
        },
    };
    Outcome::Answered(call.items.iter().enumerate().map(result).collect())
}

/// What a failure means.
enum Refusal {
    /// For this row, permanently.
    Row { reason: String, next_step: String },
    /// The row's location is not there, which may be the listing's fault or the store's.
    Location { reason: String, next_step: String },
    /// Not applied, and may go better later, under another key.
    Later(String),
    /// For the call as a whole.
    Call(Outcome),
}

fn refusal(error: &UserError) -> Refusal {
    let message = shortened(&error.message);
    let row = |reason: &str, next_step: &str| Refusal::Row { reason: reason.to_owned(), next_step: next_step.to_owned() };
    match error.code.as_deref().unwrap_or_default() {
        _ if message.to_ascii_lowercase().contains("not track") => {
            row("This variant does not track inventory in Shopify.", "Switch on 'Track quantity' for it in Shopify, then retry.")
        }
        "INVALID_INVENTORY_ITEM" => row(
            "Shopify does not know this inventory item.",
            "Pair the listing again by discovery, or remove it if the variant was deleted in Shopify.",
        ),
        "NON_MUTABLE_INVENTORY_ITEM" => row(
            "Shopify keeps no stock of its own for this variant, as for a bundle.",
            "Pair the variants that the bundle is made of instead, and remove this listing.",
        ),
        "ITEM_NOT_STOCKED_AT_LOCATION" => row(
            "This variant is not stocked at its location in Shopify.",
            "Stock the variant at that location in Shopify, or enter another location_id, then retry.",
        ),
        "INVALID_QUANTITY_NEGATIVE" | "INVALID_QUANTITY_TOO_HIGH" | "INVALID_QUANTITY_TOO_LOW" => Refusal::Row {
            reason: format!("Shopify does not take this quantity: {message}"),
            next_step: "Correct the SKU's stock, or its rules, so that the quantity is within Shopify's bounds.".to_owned(),
        },
        "NO_DUPLICATE_INVENTORY_ITEM_ID_GROUP_ID_PAIR" => {
            row("Two listings of this store name the same inventory item and location.", "Remove one of the two listings, then retry.")
        }
        "INVALID_LOCATION" => Refusal::Location {
            reason: "Shopify does not know the location at which this stock is kept.".to_owned(),
            next_step: "Enter the right location_id, in the listing where it has its own, otherwise in the store.".to_owned(),
        },
        "CHANGE_FROM_QUANTITY_STALE" | "COMPARE_QUANTITY_STALE" => Refusal::Later("The quantity in Shopify changed in between.".to_owned()),
        "ADJUST_QUANTITIES_FAILED" | "SERVICE_UNAVAILABLE" | "IDEMPOTENCY_PREVIOUS_ATTEMPT_FAILED" => {
            Refusal::Later(format!("Shopify could not do it just now: {message}"))
        }
        // The first sending is still at work: only the same call again can tell what comes of it.
        "IDEMPOTENCY_CONCURRENT_REQUEST" => {
            Refusal::Call(Outcome::Unknown { reason: "Shopify is still at work on the same call.".to_owned() })
        }
        // Whether a call of this key was applied is not known, and no new key may be tried: what is in doubt is overwritten.
        "IDEMPOTENCY_KEY_PARAMETER_MISMATCH" => Refusal::Call(asked_wrongly("the same key was used for another call")),
        code => Refusal::Row {
            reason: format!("Shopify refused this listing: {message} ({code})."),
            next_step: "Mend the variant in Shopify as the message says, then retry; if it says nothing of the variant, tell the operator."
                .to_owned(),
        },
    }
}

/// What each item shows; `None` when the answer has no data about one of the locations.
fn read_outcome(store: &StoreConnection, call: &Call, answer: &Answer) -> Option<Outcome> {
    let mut shown: HashMap<(String, String), ReadNode> = HashMap::new();
    for (n, (location, _)) in by_location(store, call).ok()?.into_iter().enumerate() {
        let nodes: Vec<Option<ReadNode>> = Deserialize::deserialize(answer.field(&format!("at{n}"))?).ok()?;
        shown.extend(nodes.into_iter().flatten().filter_map(|node| Some(((node.id.clone()?, location.clone()), node))));
    }
    let result = |item: &CallItem| match place(store, item).ok().and_then(|place| shown.get(&place)) {
        None => ItemResult::Rejected {
            reason: "Shopify does not know this inventory item.".to_owned(),
            next_step: "Pair the listing again by discovery, or remove it if the variant was deleted in Shopify.".to_owned(),
        },
        Some(ReadNode { tracked: false, .. }) => ItemResult::Rejected {
            reason: "This variant does not track inventory in Shopify.".to_owned(),
            next_step: "Switch on 'Track quantity' for it in Shopify, then retry.".to_owned(),
        },
        // Without a level nothing of it is shown from that location.
        Some(ReadNode { inventory_level: None, .. }) => ItemResult::Applied { shown: Some(0) },
        Some(ReadNode { inventory_level: Some(level), .. }) => {
            let available = level.quantities.iter().find(|quantity| quantity.name == "available");
            ItemResult::Applied { shown: available.map(|quantity| quantity.quantity) }
        }
    };
    Some(Outcome::Answered(call.items.iter().map(result).collect()))
}

#[cfg(test)]
mod tests;
mod wire;
