//! Amazon: the Selling Partner API, Listings Items 2021-08-01, one seller account in one marketplace.
//!
//! Sources (checked November 2026): the published model of Listings Items (August 2026); developer-docs.amazon.com/sp-api
//! on listings, usage plans, rate limits and the merge operation (June 2025); Login with Amazon.
//!
//! - One SKU per call: `PATCH …/items/{seller}/{sku}` merges the quantity of one fulfillment channel. Quantities can only
//!   be set, without idempotency keys or compare-and-set, so an increase means read, add, set. If an order arrives between
//!   the read and the write, the write undoes its decrease. That risk comes with any platform of this kind.
//! - `ACCEPTED` means that the change will be applied later. An increase is confirmed once a read shows it, and nothing
//!   more is sent for that listing until then. `INVALID` is a refusal, despite its status 200.
//! - Only stock that the seller ships can be set. Channels of Amazon's own warehouses are refused.
//! - Feeds (25,000 SKUs, five in five minutes) are not used: a feed takes five steps, and changes here are sent one SKU at
//!   a time, as soon as they occur.
//! - Limits: 5 calls/s with a burst of 5 per account and app; 500/s per app over all accounts. `x-amzn-RateLimit-Limit`
//!   gives the former where it differs. Amazon counts reads and writes separately; here they share one bucket.
//! - Access tokens last one hour and are issued for the refresh token, which stays the same.
//! - A list of SKUs stops at 1000; larger catalogs are paired by upload.
//!
//! Unconfirmed: `ANY_PRODUCT_TYPE` as a type for every listing (a listing's own `product_type` is better); whether
//! `Retry-After` is ever sent (it is obeyed); how far reads lag behind.
use super::call::{Action, Call, CallItem, Method, Reply, Request, StoreConnection};
use super::check::{Check, Need};
use super::connector::{AppLimit, Facts, Platform, RateLimit, Renewal, ReportedQuota, Stamp, VariantPage};
use super::fields::{base, page_size, required};
use super::oauth;
use super::sign::{expires_soon, percent};
use crate::domain::FieldError;
use crate::domain::delivery::{Abilities, ItemResult, Outcome};
use secrecy::ExposeSecret;
use wire::{Availability, Errors, Item, PatchBody, PatchOperation, SearchResults, Submission, is_amazon_fulfilled};

/// The path of the API, with its version.
const LISTINGS: &str = "listings/2021-08-01/items";
/// Issues access tokens for all regions.
const TOKEN_HOST: &str = "https://api.amazon.com";
/// Hosts by region.
const HOSTS: [(&str, &str); 3] = [
    ("na", "https://sellingpartnerapi-na.amazon.com"),
    ("eu", "https://sellingpartnerapi-eu.amazon.com"),
    ("fe", "https://sellingpartnerapi-fe.amazon.com"),
];
/// The product type for a listing whose own type is unknown (unconfirmed).
const ANY_PRODUCT_TYPE: &str = "PRODUCT";
/// The channel for stock that the seller ships.
const OWN_CHANNEL: &str = "DEFAULT";
const PER_ACCOUNT: RateLimit = RateLimit { per_second: 5.0, burst: 5 };
const PER_APP: RateLimit = RateLimit { per_second: 500.0, burst: 500 };
const SKUS_PER_PAGE: usize = 20;
const USER_AGENT: &str = concat!("Stocktide/", env!("CARGO_PKG_VERSION"), " (Language=Rust)");

/// The connector for Amazon.
#[derive(Debug)]
pub struct Amazon;

fn host(store: &StoreConnection) -> Result<String, String> {
    if let Some(url) = &store.base_url {
        return Ok(url.trim_end_matches('/').to_owned());
    }
    let region = required(store, "region")?;
    let host = HOSTS.iter().find(|(name, _)| *name == region).map(|(_, host)| (*host).to_owned());
    host.ok_or_else(|| format!("{region} is not an Amazon region."))
}

/// The URL of one listing in the store's marketplace, or of all the account's listings there.
fn listings_url(store: &StoreConnection, sku: Option<&str>, query: &str) -> Result<String, String> {
    let (seller, marketplace) = (percent(required(store, "seller_id")?), percent(required(store, "marketplace_id")?));
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

/// The listing's channel: its own field, or else the store's setting, or else the usual one.
fn channel<'a>(store: &'a StoreConnection, item: &'a CallItem) -> &'a str {
    let own = item.extra.get("fulfillment_channel").map(String::as_str).filter(|channel| !channel.is_empty());
    own.or_else(|| store.setting("fulfillment_channel")).unwrap_or(OWN_CHANNEL)
}

fn only_item(call: &Call) -> Result<&CallItem, String> {
    match call.items.as_slice() {
        [item] => Ok(item),
        items => Err(format!("Amazon accepts one listing per call, not {}.", items.len())),
    }
}

fn patch(store: &StoreConnection, item: &CallItem) -> Result<Request, String> {
    let channel = channel(store, item);
    if is_amazon_fulfilled(channel) {
        return Err(format!("Stock in Amazon's own warehouses ({channel}) cannot be set."));
    }
    if item.quantity < 0 {
        return Err("Amazon does not accept a quantity below 0.".to_owned());
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
        let fulfilled_by_seller =
            |channel: &str| match is_amazon_fulfilled(channel) {
                true => Err("must be a channel whose stock you ship yourself, such as DEFAULT; stock in Amazon's warehouses cannot be set"
                    .to_owned()),
                false => Ok(()),
            };
        Check::new(store, Need::Optional)
            .word("region", Need::unless(store.base_url.is_some()), &HOSTS.map(|(name, _)| name))
            .text("seller_id", Need::Required)
            .text("marketplace_id", Need::Required)
            .text_that("fulfillment_channel", Need::Optional, fulfilled_by_seller)
            .secret("refresh_token", Need::Required)
            .secret("client_id", Need::Required)
            .secret("client_secret", Need::Required)
            .access_token(Need::Optional)
            .done()
    }

    fn listing_fields(&self) -> &'static [&'static str] {
        &["product_type", "fulfillment_channel"]
    }

    fn facts(&self, store: &StoreConnection) -> Facts {
        let client = store.credentials.get("client_id").map_or("", ExposeSecret::expose_secret);
        Facts {
            reads_before_set: false,
            proves_writes: false,
            abilities: Abilities { adjust: false, idempotency: false, compare_and_set: false, read: true, max_items: 1 },
            group_by: None,
            location: None,
            per_store: PER_ACCOUNT,
            per_app: Some(AppLimit { name: format!("amazon {client}"), limit: Some(PER_APP), per_day: None }),
        }
    }

    fn cost(&self, _: &Call) -> u32 {
        1
    }

    fn request(&self, store: &StoreConnection, call: &Call, stamp: &Stamp) -> Result<Request, String> {
        let request = match call.action {
            Action::Adjust => return Err("Amazon can only set quantities, not add to them.".to_owned()),
            Action::Set => patch(store, only_item(call)?)?,
            Action::Read => {
                let sku = Some(only_item(call)?.external_id.as_str());
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
        let result = match (call.action, only_item(call)) {
            (Action::Check, _) => return Outcome::Answered(Vec::new()),
            (Action::Read, Ok(item)) => read_result(store, item, reply),
            (_, Ok(_)) => patch_result(reply),
            (_, Err(_)) => None,
        };
        result.map_or_else(unreadable, |result| Outcome::Answered(vec![result]))
    }

    fn reserved(&self, _: &StoreConnection, _: &Call, _: &Reply) -> Vec<Option<i64>> {
        Vec::new()
    }

    fn shop(&self, _: &Reply) -> Option<String> {
        None
    }

    fn shop_request(&self, _: &StoreConnection, _: &Stamp) -> Option<Result<Request, String>> {
        None
    }

    fn quota(&self, reply: &Reply) -> Option<ReportedQuota> {
        let per_second: f64 = reply.header("x-amzn-ratelimit-limit")?.trim().parse().ok()?;
        let quota = ReportedQuota { per_second, burst: PER_ACCOUNT.burst, available: None, cost: None };
        (per_second.is_finite() && per_second > 0.0).then_some(quota)
    }

    fn variants_request(&self, store: &StoreConnection, cursor: Option<&str>, stamp: &Stamp) -> Result<Request, String> {
        let after = cursor.map(|token| format!("&pageToken={}", percent(token))).unwrap_or_default();
        let size = page_size(store, SKUS_PER_PAGE);
        let query = format!("&includedData=summaries,fulfillmentAvailability&sortBy=sku&sortOrder=ASC&pageSize={size}{after}");
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
        if !refused && secret("access_token").is_some() && !expires_soon(store, stamp) {
            return None;
        }
        let host = base(store, TOKEN_HOST);
        let (grant, token) = match secret("auth_code") {
            Some(code) => ("authorization_code", ("code", code)),
            None => ("refresh_token", ("refresh_token", secret("refresh_token")?)),
        };
        let fields = [("grant_type", grant), token, ("client_id", secret("client_id")?), ("client_secret", secret("client_secret")?)];
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
        reason: "This SKU does not exist in this Amazon marketplace.".to_owned(),
        next_step: "Check the listing's external_id (the seller SKU on Amazon) and the store's seller_id and marketplace_id, then retry."
            .to_owned(),
    }
}

/// What an unsuccessful status means; `None` for a success. Where the call was about an item, the caller handles 404.
fn failure(reply: &Reply) -> Option<Outcome> {
    let details = || {
        let errors = serde_json::from_str::<Errors>(&reply.body).map(|body| body.errors).unwrap_or_default();
        let first = errors.first().map(|error| format!("{}: {}", error.code, error.message)).unwrap_or_default();
        first.chars().take(200).collect::<String>()
    };
    Some(match reply.status {
        200..=299 => return None,
        429 => Outcome::TryAgain { reason: "Amazon asked us to slow down.".to_owned(), after: reply.retry_after(), throttled: true },
        // The token has expired, a role is missing, or the seller has revoked access. A new token reveals which.
        401 | 403 => Outcome::TokenExpired { reason: format!("Amazon refused the access token ({}). {}", reply.status, details()) },
        408 | 500.. => Outcome::Unknown { reason: format!("Amazon reported an internal error ({}).", reply.status) },
        status => Outcome::Refused {
            reason: format!("Amazon refused the request ({status}). {}", details()),
            next_step:
                "Check the listing's product_type and the store's seller_id and marketplace_id; if they are correct, contact the operator."
                    .to_owned(),
        },
    })
}

/// The result of a patch; `None` if the answer is inconclusive.
fn patch_result(reply: &Reply) -> Option<ItemResult> {
    let submission: Submission = serde_json::from_str(&reply.body).ok()?;
    match submission.status.as_str() {
        "ACCEPTED" => Some(ItemResult::Accepted),
        "INVALID" => {
            let worst = submission.issues.iter().find(|issue| issue.severity == "ERROR").or(submission.issues.first());
            let message = worst.map_or_else(String::new, |issue| format!("{} ({})", issue.message, issue.code));
            Some(ItemResult::Rejected {
                reason: format!("Amazon refused this listing's quantity: {}", message.chars().take(300).collect::<String>()),
                next_step: "Fix the listing in Seller Central as the message says, then retry.".to_owned(),
            })
        }
        _ => None,
    }
}

/// The result of a read; `None` if the answer is inconclusive.
fn read_result(store: &StoreConnection, item: &CallItem, reply: &Reply) -> Option<ItemResult> {
    let found: Item = serde_json::from_str(&reply.body).ok()?;
    let channel = channel(store, item);
    match found.fulfillment_availability.iter().find(|availability| availability.fulfillment_channel_code == channel) {
        Some(availability) => Some(match availability.quantity.or_absent(0) {
            Some(shown) => ItemResult::Applied { shown: Some(shown) },
            None => ItemResult::Unknown { reason: "Amazon's answer has no quantity for this listing.".to_owned() },
        }),
        None if found.is_amazon_fulfilled() => Some(ItemResult::Rejected {
            reason: "Amazon stores and ships this listing's stock (FBA), so its quantity cannot be set.".to_owned(),
            next_step: "In Seller Central, change the listing to be fulfilled by you, or remove the listing here.".to_owned(),
        }),
        // Nothing has ever been offered through this channel.
        None => Some(ItemResult::Applied { shown: Some(0) }),
    }
}

pub mod authorize;
#[cfg(test)]
mod tests;
mod wire;
