//! WooCommerce: the REST API, version 3, in the shop's own WordPress.
//!
//! Sources (checked November 2026): the project's REST documentation (authentication, products, variations) and its source
//! (the controllers of version 3).
//!
//! - Writes are `POST products/batch` and `POST products/{parent}/variations/batch`, 100 rows per call. So the variations
//!   of one product share a call (`parent_id` of the listing), and simple products share another. Quantities can only be
//!   set; there are no idempotency keys and there is no compare-and-set. An increase is therefore read, added and written
//!   back, and sales between the read and the write are overwritten; that risk cannot be avoided on such a platform. (The
//!   source has an `inventory_delta`, but no documentation mentions it and it is not atomic, so it is not used.)
//! - Stock is kept only where `manage_stock` is true. A listing without it is rejected with a next step; if the store's own
//!   setting `manage_stock` is true, every write turns it on. A variation may leave its stock to its parent (`"parent"`).
//! - Rows are processed one after another, without a transaction, under a single status 200; a bad row has its own `error`.
//! - Over https the keys are sent as HTTP basic authentication, or in the query for servers that drop the header
//!   (`auth: "query"`); over http requests are signed with one-legged OAuth 1.0a.
//! - Limits: WooCommerce itself has none (`OUR_PACE` is our choice); the shop's host may answer 429 or 503. Keys do not
//!   expire.
//!
//! Unconfirmed: the codes `rest_no_route` and `rest_invalid_param`, which come from WordPress (`NO_ROUTE` is relied on);
//! what happens to a quantity below 0 (it is sent unchanged).
mod auth;
pub mod authorize;
mod cursor;
#[cfg(test)]
mod tests;
mod wire;

use super::call::{Action, Call, CallItem, Method, Reply, Request, StoreConnection};
use super::check::{Check, Need};
use super::connector::{Facts, Platform, RateLimit, Renewal, ReportedQuota, Stamp, VariantPage};
use super::fields::{max_items, page_size};
use super::lenient::Units;
use crate::domain::FieldError;
use crate::domain::delivery::{Abilities, ItemResult, Outcome};
use auth::authorized;
use cursor::{Cursor, VARIATIONS_PAGE};
use serde_json::Value;
use std::collections::HashMap;
use wire::{Batch, Failure, FoundProduct, FoundRow, ManageStock, Row, Rows, Updated};

/// Rows per batch, unless the shop has changed its limit.
const MAX_ROWS: u64 = 100;
/// Our own choice: many shops run on small servers.
const OUR_PACE: RateLimit = RateLimit { per_second: 5.0, burst: 5 };
const PRODUCTS_PAGE: usize = 50;
/// The fields of a product that are requested.
/// The fields of a row in the answer to a batch.
const ROW_FIELDS: &str = "id,manage_stock,stock_quantity";
const FIELDS: &str = "id,sku,name,type,manage_stock,stock_quantity,variations";
/// WordPress's code for an unknown address (unconfirmed).
const NO_ROUTE: &str = "rest_no_route";
const TRACK: &str = "Turn on 'Track stock quantity for this product' in WooCommerce, then retry.";

/// The WooCommerce connector.
#[derive(Debug)]
pub struct WooCommerce;

fn number(text: &str, kind: &str) -> Result<u64, String> {
    let text: String = text.chars().take(100).collect();
    text.parse().map_err(|_| format!("{text} is not the ID of a {kind} in WooCommerce."))
}

fn parent(item: &CallItem) -> Option<&str> {
    item.extra.get("parent_id").map(String::as_str).filter(|id| !id.is_empty())
}

/// The path of the call's items: the products, or the variations of their common parent.
fn collection(call: &Call) -> Result<String, String> {
    let first = call.items.first().and_then(parent);
    if call.items.iter().any(|item| parent(item) != first) {
        return Err("All listings in one call must be variations of the same product.".to_owned());
    }
    match first {
        None => Ok("products".to_owned()),
        Some(id) => Ok(format!("products/{}/variations", number(id, "product")?)),
    }
}

/// Whether writes also turn on stock tracking, as the store's settings ask.
fn turns_on_tracking(store: &StoreConnection) -> bool {
    store.config.get("manage_stock") == Some(&Value::Bool(true))
}

impl Platform for WooCommerce {
    fn name(&self) -> &'static str {
        "woocommerce"
    }

    fn check_config(&self, store: &StoreConnection) -> Result<(), Vec<FieldError>> {
        Check::new(store, Need::Required)
            .without_path(&["/wp-admin", "/wp-json", "/wp-json/wc/v3", "/wp-login.php"])
            .word("permalinks", Need::Optional, &["pretty", "plain"])
            .word("auth", Need::Optional, &["header", "query"])
            .flag("manage_stock")
            .max_items(MAX_ROWS)
            .secret("consumer_key", Need::Required)
            .secret("consumer_secret", Need::Required)
            .done()
    }

    fn listing_fields(&self) -> &'static [&'static str] {
        &["parent_id"]
    }

    /// A product without variations has no parent.
    fn required_field(&self, _: &StoreConnection) -> Option<&'static str> {
        None
    }

    fn facts(&self, store: &StoreConnection) -> Facts {
        let max_items = max_items(store, MAX_ROWS, MAX_ROWS);
        Facts {
            reads_before_set: false,
            proves_writes: true,
            abilities: Abilities { adjust: false, idempotency: false, compare_and_set: false, read: true, max_items },
            group_by: Some("parent_id"),
            location: None,
            per_store: OUR_PACE,
            per_app: None,
        }
    }

    fn cost(&self, _: &Call) -> u32 {
        1
    }

    fn request(&self, store: &StoreConnection, call: &Call, stamp: &Stamp) -> Result<Request, String> {
        if call.action == Action::Check {
            // A batch without rows changes nothing, but keys that may only read are refused.
            let body = r#"{"update":[]}"#.to_owned();
            return authorized(store, Method::Post, "products/batch", vec![("_fields", "update".to_owned())], Some(body), stamp);
        }
        let path = collection(call)?;
        let ids = call.items.iter().map(|item| number(&item.external_id, "product")).collect::<Result<Vec<_>, _>>()?;
        match call.action {
            Action::Adjust => Err("WooCommerce cannot add to a quantity; it can only set one.".to_owned()),
            Action::Set => {
                let manage_stock = turns_on_tracking(store).then_some(true);
                let row = |(id, item): (&u64, &CallItem)| Row { id: *id, stock_quantity: item.quantity, manage_stock, fields: ROW_FIELDS };
                let batch = Batch { update: ids.iter().zip(&call.items).map(row).collect() };
                let body = serde_json::to_string(&batch).map_err(|e| e.to_string())?;
                authorized(store, Method::Post, &format!("{path}/batch"), vec![("_fields", "update".to_owned())], Some(body), stamp)
            }
            _ => {
                let ids: Vec<String> = ids.iter().map(u64::to_string).collect();
                let query = vec![
                    ("include", ids.join(",")),
                    ("per_page", MAX_ROWS.to_string()),
                    ("_fields", FIELDS.to_owned()),
                    // For caches that look at the address only.
                    ("fresh", stamp.nonce.clone()),
                ];
                authorized(store, Method::Get, &path, query, None, stamp)
            }
        }
    }

    fn outcome(&self, store: &StoreConnection, call: &Call, reply: &Reply) -> Outcome {
        if reply.status == 404 && !call.items.is_empty() && code(reply).starts_with("woocommerce_rest_product") {
            // The parent of the variations does not exist.
            return Outcome::Answered(vec![unknown_product(); call.items.len()]);
        }
        if let Some(outcome) = failure(store, reply) {
            return outcome;
        }
        let rows: Option<Vec<FoundRow>> = match call.action {
            Action::Check => {
                serde_json::from_str::<Value>(&reply.body).ok().filter(|body| body.is_object() || body.is_array()).map(|_| Vec::new())
            }
            Action::Read => serde_json::from_str::<Rows<FoundRow>>(&reply.body).ok().map(|rows| rows.0),
            Action::Set | Action::Adjust => serde_json::from_str::<Updated>(&reply.body).ok().map(|updated| updated.update),
        };
        let Some(rows) = rows else { return unreadable() };
        if call.action == Action::Check {
            return Outcome::Answered(Vec::new());
        }
        let mut by_id: HashMap<u64, FoundRow> = rows.into_iter().map(|row| (row.id, row)).collect();
        let mut result = |item: &CallItem| match item.external_id.parse().ok().and_then(|id: u64| by_id.remove(&id)) {
            Some(row) => row_result(row, turns_on_tracking(store)),
            None if call.action == Action::Read => unknown_product(),
            None => ItemResult::Unknown { reason: "The shop's response does not mention this listing.".to_owned() },
        };
        Outcome::Answered(call.items.iter().map(&mut result).collect())
    }

    fn reserved(&self, _: &StoreConnection, _: &Call, _: &Reply) -> Vec<Option<i64>> {
        Vec::new()
    }

    fn shop(&self, reply: &Reply) -> Option<String> {
        serde_json::from_str::<Value>(&reply.body).ok()?.get("home")?.as_str().map(str::to_owned)
    }

    fn shop_request(&self, store: &StoreConnection, _: &Stamp) -> Option<Result<Request, String>> {
        let base = store.base_url.as_deref()?.trim_end_matches('/');
        let is_plain = store.setting("permalinks") == Some("plain");
        // The index of WordPress, which asks for no keys: the shop's address as the shop itself has it.
        let path = if is_plain { "?rest_route=/&_fields=home" } else { "wp-json/?_fields=home" };
        Some(Ok(Request::get(format!("{base}/{path}")).header("accept", "application/json")))
    }

    fn quota(&self, _: &Reply) -> Option<ReportedQuota> {
        None
    }

    fn variants_request(&self, store: &StoreConnection, cursor: Option<&str>, stamp: &Stamp) -> Result<Request, String> {
        let position = Cursor::read(cursor).ok_or("This cursor does not belong to the shop's list of products.")?;
        let (path, offset, full) = match position.parents.first() {
            Some(parent) => (format!("products/{parent}/variations"), position.variations, VARIATIONS_PAGE),
            None => ("products".to_owned(), position.products.unwrap_or(0), PRODUCTS_PAGE),
        };
        let query = vec![
            ("per_page", page_size(store, full).to_string()),
            ("offset", offset.to_string()),
            ("orderby", "id".to_owned()),
            ("order", "asc".to_owned()),
            ("_fields", FIELDS.to_owned()),
        ];
        authorized(store, Method::Get, &path, query, None, stamp)
    }

    fn variants(&self, store: &StoreConnection, cursor: Option<&str>, reply: &Reply) -> Result<VariantPage, Outcome> {
        if let Some(outcome) = failure(store, reply) {
            return Err(outcome);
        }
        let Rows::<FoundProduct>(found) = serde_json::from_str(&reply.body).map_err(|_| unreadable())?;
        let mut position = Cursor::read(cursor).ok_or_else(unreadable)?;
        let count = found.len();
        let parent = position.parents.first().copied();
        if parent.is_some() {
            position.advance_variations(count, page_size(store, VARIATIONS_PAGE));
        } else {
            position.parents = found.iter().filter(|product| !product.variations.is_empty()).map(|product| product.id).collect();
            let is_full = count >= page_size(store, PRODUCTS_PAGE);
            position.products = position.products.filter(|_| is_full).map(|offset| offset.saturating_add(count as u64));
        }
        let variants = found.into_iter().filter(FoundProduct::has_own_stock).map(|product| product.variant(parent)).collect();
        Ok(VariantPage { variants, next: position.text() })
    }

    fn renewal_request(&self, _: &StoreConnection, _: &Stamp, _: bool) -> Option<Request> {
        None
    }

    fn renewal(&self, _: &StoreConnection, _: &Reply, _: &Stamp) -> Renewal {
        Renewal::Refused { reason: "WooCommerce keys do not expire. If they no longer work, create new ones in the shop.".to_owned() }
    }
}

/// What to do about a server that drops the header with the keys, as WooCommerce's documentation says.
const DROPPED: &str =
    "Some servers drop the Authorization header; set auth to query, so that the keys are sent in the address, over https.";
/// WordPress's codes for requests of visitors who are not signed in.
const NO_USER: [&str; 3] = ["woocommerce_rest_cannot_view", "woocommerce_rest_cannot_edit", "woocommerce_rest_cannot_batch"];

/// Whether the keys are sent in the header.
fn sends_header(store: &StoreConnection) -> bool {
    store.base_url.as_deref().is_some_and(|url| url.starts_with("https:")) && store.setting("auth") != Some("query")
}

fn unreadable() -> Outcome {
    Outcome::Unknown {
        reason: "The shop's response could not be read; it may come from the shop's host rather than from WooCommerce.".to_owned(),
    }
}

fn unknown_product() -> ItemResult {
    ItemResult::Rejected {
        reason: "The shop does not know this product or variation.".to_owned(),
        next_step: "Pair the listing again, or remove it if the product was deleted. A variation needs its parent_id.".to_owned(),
    }
}

/// WordPress's error code; empty if the reply does not come from WordPress.
fn code(reply: &Reply) -> String {
    serde_json::from_str::<Failure>(&reply.body).map(|failure| failure.code).unwrap_or_default()
}

/// WordPress's message; empty if the reply does not come from WordPress.
fn message(reply: &Reply) -> String {
    serde_json::from_str::<Failure>(&reply.body).map(|failure| failure.message).unwrap_or_default()
}

/// The outcome of a reply whose status is not a success.
fn failure(store: &StoreConnection, reply: &Reply) -> Option<Outcome> {
    let code = code(reply);
    let closed = |reason: String, next_step: &str| Outcome::Closed { reason, next_step: next_step.to_owned() };
    Some(match reply.status {
        200..=299 => return None,
        429 => {
            let reason = "The shop's host limited our requests (429).".to_owned();
            Outcome::TryAgain { reason, after: reply.retry_after(), throttled: true }
        }
        401 if message(reply).contains("write permission") => {
            Outcome::Unauthorized { reason: "These keys may only read. Create keys with the permission Read/Write in the shop.".to_owned() }
        }
        401 if sends_header(store) && message(reply).contains("Consumer key is missing") => {
            Outcome::Unauthorized { reason: format!("The shop did not receive the keys (401). {DROPPED}") }
        }
        // Without the keys, WordPress takes the request for that of a visitor.
        401 if sends_header(store) && NO_USER.contains(&code.as_str()) => Outcome::Unauthorized {
            reason: format!(
                "The shop took this service for a visitor (401 {code}): the keys are wrong, their user may not edit products, or the \
                 shop did not receive them. {DROPPED}"
            ),
        },
        401 => Outcome::Unauthorized {
            reason: format!("The shop refused the keys (401 {code}). They are wrong, or their user may not edit products."),
        },
        403 if !code.is_empty() => {
            Outcome::Unauthorized { reason: format!("The user of these keys may not do this in the shop (403 {code}).") }
        }
        403 => closed(
            "The shop's firewall blocks this service (403).".to_owned(),
            "Allow this service in the shop's firewall or security plugin.",
        ),
        404 if code == NO_ROUTE || code.is_empty() => closed(
            format!("There is no WooCommerce at this address (404 {code})."),
            "Check the store's base_url, that WooCommerce is active, and whether the shop uses plain permalinks (permalinks: \"plain\").",
        ),
        300..=399 => closed(
            format!("The shop's address redirects elsewhere ({}).", reply.status),
            "Enter the site address from the shop's WordPress settings, including https, and www if it has it.",
        ),
        501 => Outcome::Unknown {
            reason: "The shop's server blocked this request (501). Ask the shop's host about its ModSecurity rules.".to_owned(),
        },
        408 | 500.. => Outcome::Unknown { reason: format!("The shop's server failed ({}).", reply.status) },
        status => Outcome::Refused {
            reason: format!("The shop refused the request ({status} {code})."),
            next_step:
                "Check the listing's external_id and parent_id, then retry. If the shop accepts fewer rows per call, lower max_items."
                    .to_owned(),
        },
    })
}

fn row_result(row: FoundRow, turns_on_tracking: bool) -> ItemResult {
    if let Some(Failure { code, message }) = row.error {
        if code.ends_with("_invalid_id") {
            return unknown_product();
        }
        let message: String = message.chars().take(200).collect();
        return ItemResult::Rejected {
            reason: format!("The shop refused this listing: {message} ({code})"),
            next_step: "Fix the product in WooCommerce as the message says, then retry.".to_owned(),
        };
    }
    match row.manage_stock {
        Some(ManageStock::Own(false)) if !turns_on_tracking => {
            ItemResult::Rejected { reason: "This product does not track its stock in WooCommerce.".to_owned(), next_step: TRACK.to_owned() }
        }
        // What is shown is the parent's, so nothing can be added to it, even where a write would turn on tracking.
        Some(ManageStock::Elsewhere(owner)) => ItemResult::Rejected {
            reason: format!("In WooCommerce, this variation uses the stock of its {owner} product."),
            next_step: "Pair the parent product instead, or turn on 'Manage stock?' for the variation, then retry.".to_owned(),
        },
        Some(ManageStock::Own(false)) => ItemResult::Applied { shown: Some(row.stock_quantity.known().unwrap_or(0)) },
        Some(ManageStock::Own(true)) | None => match row.stock_quantity {
            Units::Known(shown) => ItemResult::Applied { shown: Some(shown) },
            Units::Absent | Units::Unreadable => {
                ItemResult::Unknown { reason: "The shop's response has no quantity for this listing.".to_owned() }
            }
        },
    }
}
