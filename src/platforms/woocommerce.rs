//! WooCommerce: the REST API, version 3, in the shop's own WordPress.
//!
//! Sources (checked November 2026): the project's REST documentation (authentication, products, variations) and the
//! names in its source (controllers of version 3).
//!
//! - `POST products/batch` and `POST products/{parent}/variations/batch`, 100 rows a call; so the variations of one
//!   product go together (`parent_id` of the listing), and simple products with one another. Set only; there is no key
//!   and no comparison, so an increase is read, added and set, and what is sold between the read and the write is
//!   overwritten by the sum: that is the risk of a platform of this kind. (An `inventory_delta` stands in the source and
//!   in no document, and is not atomic; it is not used.)
//! - Stock is only kept where `manage_stock` is true. A listing without it is refused, with what to do; with the store's
//!   own `manage_stock: true` it is switched on by every write. A variation may leave its stock to its parent (`"parent"`).
//! - Rows run one after another without a transaction, under one status 200; a bad row has its `error` in its place.
//! - Over https the keys go as HTTP basic authentication, or in the query for servers that drop the header
//!   (`auth: "query"`); over http requests are signed by OAuth 1.0a, one-legged.
//! - Limits: none of WooCommerce's own (`OUR_PACE` is ours); the shop's host may answer 429 or 503. Keys do not end.
//!
//! Unconfirmed: the codes `rest_no_route` and `rest_invalid_param` are WordPress's own (`NO_ROUTE` is relied on); what
//! becomes of a quantity under 0 (it is sent as it is).
use super::call::{Action, Call, CallItem, Method, Reply, Request, StoreConnection};
use super::check::{Check, Need};
use super::fields::max_items;
use super::sign::{hmac_sha256, percent};
use super::{Facts, Platform, RateLimit, Renewal, ReportedQuota, Stamp, Variant, VariantPage};
use crate::domain::FieldError;
use crate::domain::delivery::{Abilities, ItemResult, Outcome};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};

const API: &str = "wc/v3";
/// Rows of a batch at most, unless the shop has set another bound.
const MAX_ROWS: u64 = 100;
/// A pace of our own: many a shop runs on a small server.
const OUR_PACE: RateLimit = RateLimit { per_second: 5.0, burst: 5 };
/// Products and variations on a page.
const PRODUCTS_PAGE: usize = 50;
const VARIATIONS_PAGE: usize = 100;
/// What is asked of a product.
const FIELDS: &str = "id,sku,name,type,manage_stock,stock_quantity,variations";
/// WordPress has no such address (unconfirmed).
const NO_ROUTE: &str = "rest_no_route";
const TRACK: &str = "Switch on 'Track stock quantity for this product' for it in WooCommerce, then retry.";

/// The connector.
#[derive(Debug)]
pub struct WooCommerce;

type Query<'a> = Vec<(&'a str, String)>;

/// A request to a path of the API, with the shop's keys as the shop takes them.
fn authorized(
    store: &StoreConnection,
    method: Method,
    path: &str,
    mut query: Query<'_>,
    body: Option<String>,
    stamp: &Stamp,
) -> Result<Request, String> {
    let base = store.base_url.as_deref().ok_or("The store has no base_url.")?.trim_end_matches('/');
    let url = if store.setting("permalinks") == Some("plain") {
        query.push(("rest_route", format!("/{API}/{path}")));
        format!("{base}/")
    } else {
        format!("{base}/wp-json/{API}/{path}")
    };
    let (key, secret) = (store.secret("consumer_key")?.expose_secret(), store.secret("consumer_secret")?.expose_secret());
    let https = base.starts_with("https:");
    if !https {
        query = oauth_1(method, &url, query, key, secret, stamp);
    } else if store.setting("auth") == Some("query") {
        query.extend([("consumer_key", key.to_owned()), ("consumer_secret", secret.to_owned())]);
    }
    let text: Vec<String> = query.iter().map(|(name, value)| format!("{name}={}", percent(value))).collect();
    let url = if text.is_empty() { url } else { format!("{url}?{}", text.join("&")) };
    let mut request = Request { method, body, ..Request::get(url) }.header("accept", "application/json");
    if request.body.is_some() {
        request = request.header("content-type", "application/json");
    }
    if https && store.setting("auth") != Some("query") {
        request = request.secret_header("authorization", format!("Basic {}", STANDARD.encode(format!("{key}:{secret}"))));
    }
    Ok(request)
}

/// The query with OAuth's parameters and signature (RFC 5849, without a token; HMAC-SHA256 as WooCommerce takes it).
fn oauth_1<'a>(method: Method, url: &str, mut query: Query<'a>, key: &str, secret: &str, stamp: &Stamp) -> Query<'a> {
    query.extend([
        ("oauth_consumer_key", key.to_owned()),
        ("oauth_nonce", stamp.nonce.clone()),
        ("oauth_signature_method", "HMAC-SHA256".to_owned()),
        ("oauth_timestamp", stamp.now.timestamp().to_string()),
    ]);
    let text = base_string(method, url, &query);
    let signature = hmac_sha256(format!("{secret}&").as_bytes(), text.as_bytes());
    query.push(("oauth_signature", STANDARD.encode(signature)));
    query
}

fn base_string(method: Method, url: &str, query: &Query<'_>) -> String {
    let method = match method {
        Method::Get => "GET",
        Method::Post => "POST",
        Method::Put => "PUT",
        Method::Patch => "PATCH",
    };
    let mut pairs: Vec<String> = query.iter().map(|(name, value)| format!("{}={}", percent(name), percent(value))).collect();
    pairs.sort();
    format!("{method}&{}&{}", percent(url), percent(&pairs.join("&")))
}

fn number(text: &str, what: &str) -> Result<u64, String> {
    let text: String = text.chars().take(100).collect();
    text.parse().map_err(|_| format!("{text} is not the number of a {what} in WooCommerce."))
}

fn parent(item: &CallItem) -> Option<&str> {
    item.extra.get("parent_id").map(String::as_str).filter(|id| !id.is_empty())
}

/// Where the call's items are: among the products, or among the variations of the one parent that they share.
fn collection(call: &Call) -> Result<String, String> {
    let first = call.items.first().and_then(parent);
    if call.items.iter().any(|item| parent(item) != first) {
        return Err("The listings of one call must be variations of one product.".to_owned());
    }
    match first {
        None => Ok("products".to_owned()),
        Some(id) => Ok(format!("products/{}/variations", number(id, "product")?)),
    }
}

/// Whether the seller wants stock management switched on by what is written.
fn switches_on(store: &StoreConnection) -> bool {
    store.config.get("manage_stock") == Some(&Value::Bool(true))
}

impl Platform for WooCommerce {
    fn name(&self) -> &'static str {
        "woocommerce"
    }

    fn check_config(&self, store: &StoreConnection) -> Result<(), Vec<FieldError>> {
        Check::new(store, Need::Needed)
            .word("permalinks", Need::Optional, &["pretty", "plain"])
            .word("auth", Need::Optional, &["header", "query"])
            .flag("manage_stock")
            .max_items(MAX_ROWS)
            .secret("consumer_key", Need::Needed)
            .secret("consumer_secret", Need::Needed)
            .done()
    }

    fn listing_fields(&self) -> &'static [&'static str] {
        &["parent_id"]
    }

    fn facts(&self, store: &StoreConnection) -> Facts {
        let max_items = max_items(store, MAX_ROWS, MAX_ROWS);
        Facts {
            abilities: Abilities { adjust: false, idempotency: false, compare_and_set: false, read: true, max_items },
            group_by: Some("parent_id"),
            per_store: OUR_PACE,
            per_app: None,
        }
    }

    fn cost(&self, _: &Call) -> u32 {
        1
    }

    fn request(&self, store: &StoreConnection, call: &Call, stamp: &Stamp) -> Result<Request, String> {
        if call.action == Action::Check {
            return authorized(
                store,
                Method::Get,
                "products",
                vec![("per_page", "1".to_owned()), ("_fields", "id".to_owned())],
                None,
                stamp,
            );
        }
        let path = collection(call)?;
        let ids = call.items.iter().map(|item| number(&item.external_id, "product")).collect::<Result<Vec<_>, _>>()?;
        match call.action {
            Action::Adjust => Err("WooCommerce cannot add to a quantity.".to_owned()),
            Action::Set => {
                let manage_stock = switches_on(store).then_some(true);
                let row = |(id, item): (&u64, &CallItem)| Row { id: *id, stock_quantity: item.quantity, manage_stock };
                let batch = Batch { update: ids.iter().zip(&call.items).map(row).collect() };
                let body = serde_json::to_string(&batch).map_err(|e| e.to_string())?;
                authorized(store, Method::Post, &format!("{path}/batch"), vec![("_fields", "update".to_owned())], Some(body), stamp)
            }
            _ => {
                let ids: Vec<String> = ids.iter().map(u64::to_string).collect();
                let query = vec![("include", ids.join(",")), ("per_page", MAX_ROWS.to_string()), ("_fields", FIELDS.to_owned())];
                authorized(store, Method::Get, &path, query, None, stamp)
            }
        }
    }

    fn outcome(&self, store: &StoreConnection, call: &Call, reply: &Reply) -> Outcome {
        if reply.status == 404 && !call.items.is_empty() && code(reply).starts_with("woocommerce_rest_product") {
            // The parent of the variations is not there.
            return Outcome::Answered(vec![unknown_product(); call.items.len()]);
        }
        if let Some(outcome) = failure(reply) {
            return outcome;
        }
        let rows: Option<Vec<FoundRow>> = match call.action {
            Action::Check => serde_json::from_str::<Vec<Value>>(&reply.body).ok().map(|_| Vec::new()),
            Action::Read => serde_json::from_str(&reply.body).ok(),
            Action::Set | Action::Adjust => serde_json::from_str::<Updated>(&reply.body).ok().map(|updated| updated.update),
        };
        let Some(rows) = rows else { return unreadable() };
        if call.action == Action::Check {
            return Outcome::Answered(Vec::new());
        }
        let mut by_id: HashMap<u64, FoundRow> = rows.into_iter().map(|row| (row.id, row)).collect();
        let mut result = |item: &CallItem| match item.external_id.parse().ok().and_then(|id: u64| by_id.remove(&id)) {
            Some(row) => row.result(switches_on(store)),
            None if call.action == Action::Read => unknown_product(),
            None => ItemResult::Unknown { reason: "The shop's answer does not mention this listing.".to_owned() },
        };
        Outcome::Answered(call.items.iter().map(&mut result).collect())
    }

    fn quota(&self, _: &Reply) -> Option<ReportedQuota> {
        None
    }

    fn variants_request(&self, store: &StoreConnection, cursor: Option<&str>, stamp: &Stamp) -> Result<Request, String> {
        let place = Place::of(cursor).ok_or("This is not a place in the shop's list of products.")?;
        let (path, page, per_page) = match place.parents.first() {
            Some(parent) => (format!("products/{parent}/variations"), place.variations_page, VARIATIONS_PAGE),
            None => ("products".to_owned(), place.page, PRODUCTS_PAGE),
        };
        let query = vec![
            ("per_page", per_page.to_string()),
            ("page", page.to_string()),
            ("orderby", "id".to_owned()),
            ("order", "asc".to_owned()),
            ("_fields", FIELDS.to_owned()),
        ];
        authorized(store, Method::Get, &path, query, None, stamp)
    }

    fn variants(&self, _: &StoreConnection, cursor: Option<&str>, reply: &Reply) -> Result<VariantPage, Outcome> {
        if let Some(outcome) = failure(reply) {
            return Err(outcome);
        }
        let found: Vec<FoundProduct> = serde_json::from_str(&reply.body).map_err(|_| unreadable())?;
        let mut place = Place::of(cursor).ok_or_else(unreadable)?;
        let count = found.len();
        let parent = place.parents.first().copied();
        if parent.is_some() {
            place.behind_variations(count);
        } else {
            place.parents = found.iter().filter(|product| !product.variations.is_empty()).map(|product| product.id).collect();
            place.page = if count == PRODUCTS_PAGE { place.page.saturating_add(1) } else { 0 };
        }
        let variants = found.into_iter().filter(FoundProduct::is_sold_by_itself).map(|product| product.variant(parent)).collect();
        Ok(VariantPage { variants, next: place.cursor() })
    }

    fn renewal_request(&self, _: &StoreConnection, _: &Stamp, _: bool) -> Option<Request> {
        None
    }

    fn renewal(&self, _: &StoreConnection, _: &Reply, _: &Stamp) -> Renewal {
        Renewal::Refused { reason: "WooCommerce's keys do not end; make new ones in the shop if they no longer work.".to_owned() }
    }
}

fn unreadable() -> Outcome {
    Outcome::Unknown { reason: "The shop's answer could not be read: it may be a page of its host's instead of WooCommerce's.".to_owned() }
}

fn unknown_product() -> ItemResult {
    ItemResult::Rejected {
        reason: "The shop does not know this product or variation.".to_owned(),
        next_step: "Pair the listing again by discovery, or remove it if the product was deleted; a variation needs its parent_id."
            .to_owned(),
    }
}

/// WordPress's word for what is wrong; empty where the answer is not WordPress's.
fn code(reply: &Reply) -> String {
    serde_json::from_str::<Failure>(&reply.body).map(|failure| failure.code).unwrap_or_default()
}

/// What a status says that is no success.
fn failure(reply: &Reply) -> Option<Outcome> {
    let code = code(reply);
    let closed = |reason: String, next_step: &str| Outcome::Closed { reason, next_step: next_step.to_owned() };
    Some(match reply.status {
        200..=299 => return None,
        429 | 503 => {
            let reason = format!("The shop's host asked us to slow down ({}).", reply.status);
            Outcome::TryAgain { reason, after: reply.retry_after(), throttled: true }
        }
        401 => Outcome::Unauthorized {
            reason: format!("The shop refused the keys (401 {code}): they are wrong, or their user may not edit products."),
        },
        403 if !code.is_empty() => Outcome::Unauthorized { reason: format!("The keys' user may not do this in the shop (403 {code}).") },
        403 => {
            closed("The shop's firewall keeps us out (403).".to_owned(), "Let this service through the shop's firewall or security plugin.")
        }
        404 if code == NO_ROUTE || code.is_empty() => closed(
            format!("There is no WooCommerce at this address (404 {code})."),
            "Check the store's base_url, that WooCommerce is switched on, and whether permalinks are plain (permalinks: \"plain\").",
        ),
        300..=399 => closed(
            format!("The shop's address leads somewhere else ({}).", reply.status),
            "Enter the address that the shop names as its own in WordPress's settings, with https and with or without www.",
        ),
        501 => closed(
            "The shop's server does not let this request through (501).".to_owned(),
            "Ask the shop's host about its ModSecurity rules.",
        ),
        408 | 500.. => Outcome::Unknown { reason: format!("The shop had an error of its own ({}).", reply.status) },
        status => Outcome::Refused {
            reason: format!("The shop did not take the request as it was asked ({status} {code})."),
            next_step: "Check the listing's external_id and parent_id, then retry; if the shop takes fewer rows at once, lower max_items."
                .to_owned(),
        },
    })
}

/// A place in the list of products: a page of products, and before it the variations of those of the page before.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    /// The next page of products; 0 when there is none.
    page: u64,
    /// The next page of the first parent's variations.
    variations_page: u64,
    /// Products whose variations are still to be read.
    parents: Vec<u64>,
}

impl Place {
    /// `page`, or `page:variations page:parent,parent,…`.
    fn of(cursor: Option<&str>) -> Option<Self> {
        let mut parts = cursor.unwrap_or("1").split(':');
        let page = parts.next()?.parse().ok()?;
        let variations_page = parts.next().map_or(Some(1), |text| text.parse().ok())?;
        let parents = parts.next().map_or(Some(Vec::new()), |ids| ids.split(',').map(|id| id.parse().ok()).collect())?;
        parts.next().is_none().then_some(Self { page, variations_page, parents })
    }

    fn behind_variations(&mut self, count: usize) {
        if count == VARIATIONS_PAGE {
            self.variations_page = self.variations_page.saturating_add(1);
        } else {
            self.variations_page = 1;
            self.parents.drain(..1.min(self.parents.len()));
        }
    }

    fn cursor(&self) -> Option<String> {
        if self.parents.is_empty() {
            return (self.page > 0).then(|| self.page.to_string());
        }
        let parents: Vec<String> = self.parents.iter().map(u64::to_string).collect();
        Some(format!("{}:{}:{}", self.page, self.variations_page, parents.join(",")))
    }
}

#[derive(Serialize)]
struct Batch {
    update: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    id: u64,
    stock_quantity: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    manage_stock: Option<bool>,
}

#[derive(Deserialize)]
struct Updated {
    update: Vec<FoundRow>,
}

#[derive(Deserialize)]
struct Failure {
    code: String,
    #[serde(default)]
    message: String,
}

/// `true`, `false`, or `"parent"`.
#[derive(Deserialize)]
#[serde(untagged)]
enum ManageStock {
    Own(bool),
    Elsewhere(String),
}

#[derive(Deserialize)]
struct FoundRow {
    id: u64,
    manage_stock: Option<ManageStock>,
    /// Whole, but some plugins keep fractions.
    stock_quantity: Option<f64>,
    error: Option<Failure>,
}

impl FoundRow {
    fn result(self, switches_on: bool) -> ItemResult {
        if let Some(Failure { code, message }) = self.error {
            if code.ends_with("_invalid_id") {
                return unknown_product();
            }
            let message: String = message.chars().take(200).collect();
            return ItemResult::Rejected {
                reason: format!("The shop refused this listing: {message} ({code})"),
                next_step: "Mend the product in WooCommerce as the message says, then retry.".to_owned(),
            };
        }
        match self.manage_stock {
            Some(ManageStock::Own(false)) if !switches_on => ItemResult::Rejected {
                reason: "This product does not track its stock in WooCommerce.".to_owned(),
                next_step: TRACK.to_owned(),
            },
            Some(ManageStock::Elsewhere(whose)) if !switches_on => ItemResult::Rejected {
                reason: format!("This variation leaves its stock to its {whose} product in WooCommerce."),
                next_step: "Pair the parent product instead, or switch on 'Manage stock?' for the variation, then retry.".to_owned(),
            },
            #[expect(clippy::cast_possible_truncation, reason = "no shop has that many")]
            _ => ItemResult::Applied { shown: Some(self.stock_quantity.unwrap_or(0.0).floor() as i64) },
        }
    }
}

#[derive(Deserialize)]
struct FoundProduct {
    id: u64,
    sku: Option<String>,
    name: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    manage_stock: Option<ManageStock>,
    #[serde(default)]
    variations: Vec<u64>,
}

impl FoundProduct {
    /// Not a product whose stock is that of others: a group, a link to another shop, a parent that keeps none itself.
    fn is_sold_by_itself(&self) -> bool {
        let keeps_stock = matches!(self.manage_stock, Some(ManageStock::Own(true)));
        match self.kind.as_deref() {
            Some("grouped" | "external") => false,
            _ => self.variations.is_empty() || keeps_stock,
        }
    }

    fn variant(self, parent: Option<u64>) -> Variant {
        let note = match self.manage_stock {
            Some(ManageStock::Own(false)) => " (stock not tracked)",
            Some(ManageStock::Elsewhere(_)) => " (stock kept by the parent product)",
            _ => "",
        };
        Variant {
            sku: self.sku.filter(|sku| !sku.is_empty()),
            external_id: self.id.to_string(),
            extra: BTreeMap::from_iter(parent.map(|id| ("parent_id".to_owned(), id.to_string()))),
            title: format!("{}{note}", self.name.unwrap_or_else(|| format!("#{}", self.id))),
        }
    }
}

#[cfg(test)]
mod tests;
