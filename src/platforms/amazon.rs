//! Amazon: the Selling Partner API, Listings Items 2021-08-01, one seller account in one marketplace.
//!
//! Sources (checked November 2026): the published model of Listings Items (August 2026), developer-docs.amazon.com/sp-api
//! on listings, usage plans, rate limits and the merge operation (June 2025), Login with Amazon.
//!
//! - One SKU a call: `PATCH …/items/{seller}/{sku}` merges the quantity of one fulfilment channel. Set only; there is no
//!   key and no comparison, so an increase is read, added and set. What an order takes between the read and the write
//!   is overwritten by the sum: that is the risk of a platform of this kind.
//! - `ACCEPTED` means taken and applied later: an increase is confirmed when a read shows it, and nothing is sent behind
//!   it before. `INVALID` is a refusal, though its status is 200.
//! - Only stock that the seller ships himself can be set: channels of Amazon's own warehouses are refused.
//! - Feeds (25,000 SKUs, five in five minutes) are not used: they are an exchange of five steps, and what is sent here is
//!   a single SKU's change at once.
//! - Limits: 5 calls/s with a burst of 5 for account and app, 500/s for the app over all accounts. The first stands in
//!   `x-amzn-RateLimit-Limit` where it differs. Reading and writing have a bucket each; here they share one.
//! - Access tokens live an hour and are made from the refresh token, which stays.
//! - A list of SKUs ends at 1000: larger catalogues are paired by upload.
//!
//! Unconfirmed: `ANY_PRODUCT_TYPE` as a type for every listing (a listing's own `product_type` is better); whether
//! `Retry-After` is ever sent (it is obeyed); how late reads are.
use super::call::{Action, Call, CallItem, Method, Reply, Request, StoreConnection};
use super::check::{Check, Need};
use super::sign::{ends_soon, percent};
use super::{AppLimit, Facts, Platform, RateLimit, Renewal, ReportedQuota, Stamp, Variant, VariantPage, oauth};
use crate::domain::FieldError;
use crate::domain::delivery::{Abilities, ItemResult, Outcome};
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// The version of the API, as it stands in paths.
const LISTINGS: &str = "listings/2021-08-01/items";
/// Where access tokens are made, for all regions.
const TOKEN_HOST: &str = "https://api.amazon.com";
/// Regions and their hosts.
const HOSTS: [(&str, &str); 3] = [
    ("na", "https://sellingpartnerapi-na.amazon.com"),
    ("eu", "https://sellingpartnerapi-eu.amazon.com"),
    ("fe", "https://sellingpartnerapi-fe.amazon.com"),
];
/// What a listing is taken for whose type is not known (unconfirmed).
const ANY_PRODUCT_TYPE: &str = "PRODUCT";
/// The channel of stock that the seller ships himself.
const OWN_CHANNEL: &str = "DEFAULT";
const PER_ACCOUNT: RateLimit = RateLimit { per_second: 5.0, burst: 5 };
const PER_APP: RateLimit = RateLimit { per_second: 500.0, burst: 500 };
/// SKUs on a page of the list.
const PAGE: usize = 20;
const USER_AGENT: &str = concat!("Stocktide/", env!("CARGO_PKG_VERSION"), " (Language=Rust)");

/// The connector.
#[derive(Debug)]
pub struct Amazon;

fn needed<'a>(store: &'a StoreConnection, name: &str) -> Result<&'a str, String> {
    store.setting(name).ok_or_else(|| format!("The store has no {name}."))
}

fn host(store: &StoreConnection) -> Result<String, String> {
    if let Some(url) = &store.base_url {
        return Ok(url.trim_end_matches('/').to_owned());
    }
    let region = needed(store, "region")?;
    let host = HOSTS.iter().find(|(name, _)| *name == region).map(|(_, host)| (*host).to_owned());
    host.ok_or_else(|| format!("{region} is not one of Amazon's regions."))
}

/// The address of all the account's listings, or of one, in the store's marketplace.
fn listings_url(store: &StoreConnection, sku: Option<&str>, query: &str) -> Result<String, String> {
    let (seller, marketplace) = (percent(needed(store, "seller_id")?), percent(needed(store, "marketplace_id")?));
    let sku = sku.map(|sku| format!("/{}", percent(sku))).unwrap_or_default();
    Ok(format!("{}/{LISTINGS}/{seller}{sku}?marketplaceIds={marketplace}{query}", host(store)?))
}

fn signed(store: &StoreConnection, request: Request, stamp: &Stamp) -> Result<Request, String> {
    let token = store.secret("access_token")?.expose_secret();
    let date = stamp.now.format("%Y%m%dT%H%M%SZ").to_string();
    Ok(request
        .header("accept", "application/json")
        .header("user-agent", USER_AGENT)
        .header("x-amz-date", date)
        .secret_header("x-amz-access-token", token))
}

/// The listing's channel, by its own field, the store's setting, or as it mostly is.
fn channel<'a>(store: &'a StoreConnection, item: &'a CallItem) -> &'a str {
    let own = item.extra.get("fulfillment_channel").map(String::as_str).filter(|channel| !channel.is_empty());
    own.or_else(|| store.setting("fulfillment_channel")).unwrap_or(OWN_CHANNEL)
}

/// Whether Amazon itself keeps and ships the stock of a channel.
fn is_amazons(channel: &str) -> bool {
    channel.starts_with("AMAZON")
}

fn the_one(call: &Call) -> Result<&CallItem, String> {
    match call.items.as_slice() {
        [item] => Ok(item),
        items => Err(format!("Amazon takes one listing a call, not {}.", items.len())),
    }
}

fn patch(store: &StoreConnection, item: &CallItem) -> Result<Request, String> {
    let channel = channel(store, item);
    if is_amazons(channel) {
        return Err(format!("Stock in Amazon's own warehouses ({channel}) cannot be set."));
    }
    if item.quantity < 0 {
        return Err("Amazon takes no quantity under 0.".to_owned());
    }
    let product_type = item.extra.get("product_type").map(String::as_str).filter(|own| !own.is_empty()).unwrap_or(ANY_PRODUCT_TYPE);
    let value = [Availability { fulfillment_channel_code: channel, quantity: item.quantity }];
    let patches = [PatchOperation { op: "merge", path: "/attributes/fulfillment_availability", value }];
    Request::json(Method::Patch, listings_url(store, Some(&item.external_id), "")?, &PatchBody { product_type, patches })
}

impl Platform for Amazon {
    fn name(&self) -> &'static str {
        "amazon"
    }

    fn check_config(&self, store: &StoreConnection) -> Result<(), Vec<FieldError>> {
        let sellers_own = |channel: &str| match is_amazons(channel) {
            true => Err("must be a channel of the seller's own, such as DEFAULT: Amazon's own stock cannot be set".to_owned()),
            false => Ok(()),
        };
        Check::new(store, Need::Optional)
            .word("region", Need::unless(store.base_url.is_some()), &HOSTS.map(|(name, _)| name))
            .text("seller_id", Need::Needed)
            .text("marketplace_id", Need::Needed)
            .text_that("fulfillment_channel", Need::Optional, sellers_own)
            .secret("refresh_token", Need::Needed)
            .secret("client_id", Need::Needed)
            .secret("client_secret", Need::Needed)
            .access_token(Need::Optional)
            .done()
    }

    fn listing_fields(&self) -> &'static [&'static str] {
        &["product_type", "fulfillment_channel"]
    }

    fn facts(&self, store: &StoreConnection) -> Facts {
        let client = store.credentials.get("client_id").map_or("", ExposeSecret::expose_secret);
        Facts {
            abilities: Abilities { adjust: false, idempotency: false, compare_and_set: false, read: true, max_items: 1 },
            group_by: None,
            per_store: PER_ACCOUNT,
            per_app: Some(AppLimit { name: format!("amazon {client}"), limit: PER_APP }),
        }
    }

    fn cost(&self, _: &Call) -> u32 {
        1
    }

    fn request(&self, store: &StoreConnection, call: &Call, stamp: &Stamp) -> Result<Request, String> {
        let request = match call.action {
            Action::Adjust => return Err("Amazon cannot add to a quantity.".to_owned()),
            Action::Set => patch(store, the_one(call)?)?,
            Action::Read => {
                let sku = Some(the_one(call)?.external_id.as_str());
                Request::get(listings_url(store, sku, "&includedData=fulfillmentAvailability,issues")?)
            }
            Action::Check => Request::get(listings_url(store, None, "&pageSize=1")?),
        };
        signed(store, request, stamp)
    }

    fn outcome(&self, store: &StoreConnection, call: &Call, reply: &Reply) -> Outcome {
        if reply.status == 404 && !call.items.is_empty() {
            return Outcome::Answered(vec![unknown_sku(); call.items.len()]);
        }
        if let Some(outcome) = failure(reply) {
            return outcome;
        }
        let result = match (call.action, the_one(call)) {
            (Action::Check, _) => return Outcome::Answered(Vec::new()),
            (Action::Read, Ok(item)) => shown(store, item, reply),
            (_, Ok(_)) => submitted(reply),
            (_, Err(_)) => None,
        };
        result.map_or_else(unreadable, |result| Outcome::Answered(vec![result]))
    }

    fn quota(&self, reply: &Reply) -> Option<ReportedQuota> {
        let per_second: f64 = reply.header("x-amzn-ratelimit-limit")?.trim().parse().ok()?;
        let told = ReportedQuota { per_second, burst: PER_ACCOUNT.burst, available: None, cost: None };
        (per_second.is_finite() && per_second > 0.0).then_some(told)
    }

    fn variants_request(&self, store: &StoreConnection, cursor: Option<&str>, stamp: &Stamp) -> Result<Request, String> {
        let after = cursor.map(|token| format!("&pageToken={}", percent(token))).unwrap_or_default();
        let query = format!("&includedData=summaries,fulfillmentAvailability&sortBy=sku&sortOrder=ASC&pageSize={PAGE}{after}");
        signed(store, Request::get(listings_url(store, None, &query)?), stamp)
    }

    fn variants(&self, _: &StoreConnection, _: Option<&str>, reply: &Reply) -> Result<VariantPage, Outcome> {
        if let Some(outcome) = failure(reply) {
            return Err(outcome);
        }
        let page: SearchResults = serde_json::from_str(&reply.body).map_err(|_| unreadable())?;
        Ok(VariantPage {
            variants: page.items.into_iter().map(Item::variant).collect(),
            next: page.pagination.and_then(|pagination| pagination.next_token),
        })
    }

    fn renewal_request(&self, store: &StoreConnection, stamp: &Stamp, refused: bool) -> Option<Request> {
        let secret = |name| store.secret(name).ok().map(ExposeSecret::expose_secret);
        if !refused && secret("access_token").is_some() && !ends_soon(store, stamp) {
            return None;
        }
        let host = store.base_url.as_deref().unwrap_or(TOKEN_HOST).trim_end_matches('/');
        let fields = [
            ("grant_type", "refresh_token"),
            ("refresh_token", secret("refresh_token")?),
            ("client_id", secret("client_id")?),
            ("client_secret", secret("client_secret")?),
        ];
        Some(oauth::form(format!("{host}/auth/o2/token"), &fields))
    }

    fn renewal(&self, store: &StoreConnection, reply: &Reply, stamp: &Stamp) -> Renewal {
        oauth::renewal(store, reply, stamp)
    }
}

fn unreadable() -> Outcome {
    Outcome::Unknown { reason: "Amazon's answer could not be read.".to_owned() }
}

fn unknown_sku() -> ItemResult {
    ItemResult::Rejected {
        reason: "Amazon does not know this SKU in this marketplace.".to_owned(),
        next_step: "Check the listing's external_id (the seller SKU at Amazon) and the store's seller_id and marketplace_id, then retry."
            .to_owned(),
    }
}

/// What a status says that is no success; 404 is the caller's to judge where an item was asked about.
fn failure(reply: &Reply) -> Option<Outcome> {
    let said = || {
        let errors = serde_json::from_str::<Errors>(&reply.body).map(|body| body.errors).unwrap_or_default();
        let said = errors.first().map(|error| format!("{}: {}", error.code, error.message)).unwrap_or_default();
        said.chars().take(200).collect::<String>()
    };
    Some(match reply.status {
        200..=299 => return None,
        429 => Outcome::TryAgain { reason: "Amazon asked us to slow down.".to_owned(), after: reply.retry_after(), throttled: true },
        // The token has ended, a role is missing, or the seller has withdrawn: a new token shows which.
        401 | 403 => Outcome::TokenExpired { reason: format!("Amazon refused the access token ({}). {}", reply.status, said()) },
        408 | 500.. => Outcome::Unknown { reason: format!("Amazon had an error of its own ({}).", reply.status) },
        status => Outcome::Refused {
            reason: format!("Amazon did not take the request as it was asked ({status}). {}", said()),
            next_step:
                "Check the listing's product_type and the store's seller_id and marketplace_id; if they are right, tell the operator."
                    .to_owned(),
        },
    })
}

/// What came of a patch; `None` when the answer does not say.
fn submitted(reply: &Reply) -> Option<ItemResult> {
    let submission: Submission = serde_json::from_str(&reply.body).ok()?;
    match submission.status.as_str() {
        "ACCEPTED" => Some(ItemResult::Accepted),
        "INVALID" => {
            let worst = submission.issues.iter().find(|issue| issue.severity == "ERROR").or(submission.issues.first());
            let said = worst.map_or_else(String::new, |issue| format!("{} ({})", issue.message, issue.code));
            Some(ItemResult::Rejected {
                reason: format!("Amazon refused this listing's quantity: {}", said.chars().take(300).collect::<String>()),
                next_step: "Mend the listing in Seller Central as the message says, then retry.".to_owned(),
            })
        }
        _ => None,
    }
}

/// What a listing shows; `None` when the answer does not say.
fn shown(store: &StoreConnection, item: &CallItem, reply: &Reply) -> Option<ItemResult> {
    let found: Item = serde_json::from_str(&reply.body).ok()?;
    let channel = channel(store, item);
    match found.fulfillment_availability.iter().find(|availability| availability.fulfillment_channel_code == channel) {
        Some(availability) => Some(ItemResult::Applied { shown: Some(availability.quantity.unwrap_or(0)) }),
        None if found.is_amazons() => Some(ItemResult::Rejected {
            reason: "Amazon keeps and ships the stock of this listing itself (FBA), so it cannot be set.".to_owned(),
            next_step: "Change the listing to be fulfilled by you in Seller Central, or remove it here.".to_owned(),
        }),
        // Nothing was ever offered through this channel.
        None => Some(ItemResult::Applied { shown: Some(0) }),
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PatchBody<'a> {
    product_type: &'a str,
    patches: [PatchOperation<'a>; 1],
}

#[derive(Serialize)]
struct PatchOperation<'a> {
    /// `merge` leaves the channel's other attributes as they are.
    op: &'static str,
    path: &'static str,
    value: [Availability<'a>; 1],
}

#[derive(Serialize)]
struct Availability<'a> {
    fulfillment_channel_code: &'a str,
    quantity: i64,
}

#[derive(Deserialize)]
struct Submission {
    status: String,
    #[serde(default)]
    issues: Vec<Issue>,
}

#[derive(Deserialize)]
struct Issue {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    severity: String,
}

#[derive(Deserialize)]
struct Errors {
    errors: Vec<Issue>,
}

#[derive(Deserialize)]
struct SearchResults {
    items: Vec<Item>,
    pagination: Option<Pagination>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Pagination {
    next_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Item {
    sku: String,
    #[serde(default)]
    summaries: Vec<Summary>,
    #[serde(default)]
    fulfillment_availability: Vec<FoundAvailability>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Summary {
    product_type: Option<String>,
    item_name: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FoundAvailability {
    fulfillment_channel_code: String,
    quantity: Option<i64>,
}

impl Item {
    /// Whether its stock is in Amazon's warehouses and nowhere else.
    fn is_amazons(&self) -> bool {
        let mut channels =
            self.fulfillment_availability.iter().map(|availability| availability.fulfillment_channel_code.as_str()).peekable();
        channels.peek().is_some() && channels.all(is_amazons)
    }

    fn variant(self) -> Variant {
        let note = if self.is_amazons() { " (stock kept by Amazon)" } else { "" };
        let summary = self.summaries.into_iter().next();
        let name = summary.as_ref().and_then(|summary| summary.item_name.as_ref()?.as_str()).unwrap_or(&self.sku);
        let title = format!("{name}{note}");
        let product_type = summary.and_then(|summary| summary.product_type).map(|own| ("product_type".to_owned(), own));
        Variant { sku: Some(self.sku.clone()), external_id: self.sku, extra: BTreeMap::from_iter(product_type), title }
    }
}

#[cfg(test)]
mod tests;
