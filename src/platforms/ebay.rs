//! eBay: the Sell Inventory API, version 1 (1.18), one seller account.
//!
//! Sources (checked November 2026): the published description of Sell Inventory 1.18.4; developer.ebay.com, "API call
//! limits", "OAuth: refresh token request"; knowledge base 5218 (revoked refresh tokens).
//!
//! - `POST bulk_update_price_quantity` sets the quantities of inventory items, 25 per call. Quantities can only be set,
//!   without idempotency keys or compare-and-set, so an increase means read, add, set. If something sells between the read
//!   and the write, the write undoes its decrease. That risk comes with any platform of this kind.
//! - eBay shows the smaller of the item's quantity and its offer's, so both are set for a listing with an `offer_id`. The
//!   list of items does not include offers, so discovery leaves `offer_id` out.
//! - The API knows only listings created with it; others must be migrated once in Seller Hub.
//! - 207 (or 200) carries one entry per item and per offer, each with its own status. A listing may be changed 250 times a
//!   day; further changes are retried later.
//! - Limits: calls per application and day, which begins at midnight Pacific time ("API call limits"). An application that
//!   has more than `CALLS_PER_DAY` says so with the store's `app_calls_per_day`. Access tokens last two hours, refresh tokens
//!   18 months.
//!
//! Unconfirmed: the calls per day (`CALLS_PER_DAY`; eBay reports the number only through another API); whether 25 counts
//! items or the offers of one item (a refused call is split down to one item); `Retry-After`; the error ids of 401 and
//! 429, which are recognized by their status.
use super::call::{Action, Call, CallItem, Method, Reply, Request, StoreConnection};
use super::check::{Check, Need};
use super::connector::{AppLimit, Facts, Platform, RateLimit, Renewal, ReportedQuota, Stamp, VariantPage};
use super::fields::{base, calls_per_day, page_size};
use super::lenient::Units;
use super::oauth;
use super::sign::expires_soon;
use crate::domain::FieldError;
use crate::domain::delivery::{Abilities, ItemResult, Outcome};
use crate::domain::quota::{DailyQuota, Refill};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono_tz::Tz;
use secrecy::ExposeSecret;
use serde::Deserialize;
use wire::{
    Distribution, FoundAvailability, FoundItem, InventoryItems, OfferQuantity, PriceQuantity, REDIRECT_NAME, Requests, ShipToLocation, Sku,
    User,
};

const INVENTORY: &str = "sell/inventory/v1";
const PRODUCTION: &str = "https://api.ebay.com";
const SANDBOX: &str = "https://api.sandbox.ebay.com";
/// Where the Identity API is, and there alone.
const IDENTITY_PRODUCTION: &str = "https://apiz.ebay.com";
const IDENTITY_SANDBOX: &str = "https://apiz.sandbox.ebay.com";
const MAX_ITEMS: usize = 25;
/// Calls per application to this API in a day (unconfirmed; reportedly the default until eBay has reviewed the
/// application).
const CALLS_PER_DAY: u32 = 5000;
/// Our own choice; eBay states no limit per seller.
const PER_STORE: RateLimit = RateLimit { per_second: 5.0, burst: 10 };
/// A power of two, because eBay counts pages and not items, also when pages are smaller than this.
const ITEMS_PER_PAGE: usize = 64;
/// The id of a system error, after which an entry may or may not have been applied.
const SYSTEM_ERROR: i64 = 25001;

/// The connector for eBay.
#[derive(Debug)]
pub struct Ebay;

fn host(store: &StoreConnection) -> &str {
    host_of(store, PRODUCTION, SANDBOX)
}

fn host_of<'a>(store: &'a StoreConnection, production: &'a str, sandbox: &'a str) -> &'a str {
    let is_sandbox = store.setting("environment") == Some("sandbox");
    base(store, if is_sandbox { sandbox } else { production })
}

fn url(store: &StoreConnection, path: &str) -> String {
    format!("{}/{INVENTORY}/{path}", host(store))
}

fn signed(store: &StoreConnection, request: Request) -> Result<Request, String> {
    let token = store.secret("access_token")?.expose_secret();
    Ok(request.header("accept", "application/json").secret_header("authorization", format!("Bearer {token}")))
}

/// A connector-specific field of the listing, unless it is empty.
fn field<'a>(item: &'a CallItem, name: &str) -> Option<&'a str> {
    item.extra.get(name).map(String::as_str).filter(|value| !value.is_empty())
}

fn quantities(store: &StoreConnection, call: &Call) -> Result<Request, String> {
    let request = |item: &CallItem| {
        let quantity = i32::try_from(item.quantity).ok().filter(|quantity| *quantity >= 0);
        let quantity = quantity.ok_or_else(|| format!("eBay does not accept a quantity of {}.", item.quantity))?;
        let location = field(item, "merchant_location_key").or_else(|| store.setting("merchant_location_key"));
        let distributions = location.map(|key| [Distribution { merchant_location_key: key.to_owned(), quantity }]);
        Ok(PriceQuantity {
            sku: item.external_id.clone(),
            ship_to_location_availability: ShipToLocation { quantity, availability_distributions: distributions },
            offers: field(item, "offer_id").map(|id| [OfferQuantity { offer_id: id.to_owned(), available_quantity: quantity }]),
        })
    };
    let requests = call.items.iter().map(request).collect::<Result<Vec<_>, String>>()?;
    Request::json(Method::Post, url(store, "bulk_update_price_quantity"), &Requests { requests })
}

impl Platform for Ebay {
    fn name(&self) -> &'static str {
        "ebay"
    }

    fn check_config(&self, store: &StoreConnection) -> Result<(), Vec<FieldError>> {
        Check::new(store, Need::Optional)
            .word("environment", Need::Optional, &["production", "sandbox"])
            .text("merchant_location_key", Need::Optional)
            .text(REDIRECT_NAME, Need::Optional)
            .calls_per_day()
            .secret("refresh_token", Need::Required)
            .secret("client_id", Need::Required)
            .secret("client_secret", Need::Required)
            .access_token(Need::Optional)
            .done()
    }

    fn listing_fields(&self) -> &'static [&'static str] {
        &["offer_id", "merchant_location_key"]
    }

    fn facts(&self, store: &StoreConnection) -> Facts {
        let client = store.credentials.get("client_id").map_or("", ExposeSecret::expose_secret);
        let per_day = DailyQuota { calls: calls_per_day(store, CALLS_PER_DAY), refill: Refill::Midnight(Tz::America__Los_Angeles) };
        Facts {
            reads_before_set: false,
            proves_writes: true,
            abilities: Abilities { adjust: false, idempotency: false, compare_and_set: false, read: true, max_items: MAX_ITEMS },
            group_by: None,
            location: Some("merchant_location_key"),
            per_store: PER_STORE,
            per_app: Some(AppLimit { name: format!("ebay {client}"), limit: None, per_day: Some(per_day) }),
        }
    }

    fn cost(&self, _: &Call) -> u32 {
        1
    }

    fn request(&self, store: &StoreConnection, call: &Call, _: &Stamp) -> Result<Request, String> {
        let request = match call.action {
            Action::Adjust => return Err("eBay can only set quantities, not add to them.".to_owned()),
            Action::Set => quantities(store, call)?,
            Action::Read => {
                let requests = call.items.iter().map(|item| Sku { sku: &item.external_id }).collect();
                Request::json(Method::Post, url(store, "bulk_get_inventory_item"), &Requests { requests })?
            }
            Action::Check => Request::get(url(store, "inventory_item?limit=1&offset=0")),
        };
        signed(store, request)
    }

    fn outcome(&self, _: &StoreConnection, call: &Call, reply: &Reply) -> Outcome {
        if let Some(outcome) = failure(reply) {
            return outcome;
        }
        if call.action == Action::Check {
            return Outcome::Answered(Vec::new());
        }
        let Ok(Responses { responses }) = serde_json::from_str::<Responses>(&reply.body) else { return unreadable() };
        let result = |item: &CallItem| {
            let offer = field(item, "offer_id");
            let mine =
                |entry: &&Entry| entry.sku.as_deref() == Some(&item.external_id) || (offer.is_some() && entry.offer_id.as_deref() == offer);
            let entries: Vec<&Entry> = responses.iter().filter(mine).collect();
            if entries.is_empty() {
                return ItemResult::Unknown { reason: "eBay's answer does not mention this listing.".to_owned() };
            }
            // The change must have been applied to both the item and its offer.
            if let Some(failed) = entries.iter().find_map(|entry| entry.failure()) {
                return failed;
            }
            // An item without a quantity has never been offered.
            let read = || entries.iter().find_map(|entry| entry.quantity()).unwrap_or_default().or_absent(0);
            let shown = if call.action == Action::Set { Some(item.quantity) } else { read() };
            match shown {
                Some(shown) => ItemResult::Applied { shown: Some(shown) },
                None => ItemResult::Unknown { reason: "eBay's answer has no quantity for this listing.".to_owned() },
            }
        };
        Outcome::Answered(call.items.iter().map(result).collect())
    }

    fn reserved(&self, _: &StoreConnection, _: &Call, _: &Reply) -> Vec<Option<i64>> {
        Vec::new()
    }

    fn shop(&self, reply: &Reply) -> Option<String> {
        let user: User = serde_json::from_str(&reply.body).ok()?;
        Some(user.user_id).filter(|id| !id.is_empty())
    }

    fn shop_request(&self, store: &StoreConnection, _: &Stamp) -> Option<Result<Request, String>> {
        let host = host_of(store, IDENTITY_PRODUCTION, IDENTITY_SANDBOX);
        Some(signed(store, Request::get(format!("{host}/commerce/identity/v1/user/"))))
    }

    fn quota(&self, _: &Reply) -> Option<ReportedQuota> {
        None
    }

    fn variants_request(&self, store: &StoreConnection, cursor: Option<&str>, _: &Stamp) -> Result<Request, String> {
        let offset: u64 = cursor.unwrap_or("0").parse().map_err(|_| "This cursor does not belong to eBay's list of items.".to_owned())?;
        let size = page_size(store, ITEMS_PER_PAGE) as u64;
        signed(store, Request::get(url(store, &format!("inventory_item?limit={size}&offset={}", offset / size))))
    }

    fn variants(&self, _: &StoreConnection, cursor: Option<&str>, reply: &Reply) -> Result<VariantPage, Outcome> {
        if let Some(outcome) = failure(reply) {
            return Err(outcome);
        }
        let page: InventoryItems = serde_json::from_str(&reply.body).map_err(|_| unreadable())?;
        let offset: usize = cursor.and_then(|offset| offset.parse().ok()).unwrap_or(0);
        let end = offset.saturating_add(page.inventory_items.len());
        let more = !page.inventory_items.is_empty() && (page.next.is_some() || page.total.is_some_and(|total| end < total));
        Ok(VariantPage {
            variants: page.inventory_items.into_iter().map(FoundItem::variant).collect(),
            next: more.then(|| end.to_string()),
        })
    }

    fn renewal_request(&self, store: &StoreConnection, stamp: &Stamp, refused: bool) -> Option<Request> {
        let secret = |name| store.secret(name).ok().map(ExposeSecret::expose_secret);
        if !refused && secret("access_token").is_some() && !expires_soon(store, stamp) {
            return None;
        }
        let fields = match secret("auth_code") {
            Some(code) => vec![("grant_type", "authorization_code"), ("code", code), ("redirect_uri", store.setting(REDIRECT_NAME)?)],
            // Without scopes, the new token may do what the seller has agreed to.
            None => vec![("grant_type", "refresh_token"), ("refresh_token", secret("refresh_token")?)],
        };
        let client = basic(secret("client_id")?, secret("client_secret")?);
        Some(oauth::form(format!("{}/identity/v1/oauth2/token", host(store)), &fields).secret_header("authorization", client))
    }

    fn renewal(&self, store: &StoreConnection, reply: &Reply, stamp: &Stamp) -> Renewal {
        oauth::renewal(store, reply, stamp)
    }
}

/// The `Authorization` header of HTTP basic authentication (RFC 7617).
fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

fn unreadable() -> Outcome {
    Outcome::Unknown { reason: "eBay's answer could not be read.".to_owned() }
}

/// What an unsuccessful status means; `None` for a success.
fn failure(reply: &Reply) -> Option<Outcome> {
    let first = || serde_json::from_str::<Errors>(&reply.body).ok().and_then(|body| body.errors.into_iter().next());
    Some(match reply.status {
        200..=299 => return None,
        429 => Outcome::TryAgain { reason: "eBay accepts no more calls for now.".to_owned(), after: reply.retry_after(), throttled: true },
        401 => Outcome::TokenExpired { reason: "eBay refused the access token (401).".to_owned() },
        403 => Outcome::Unauthorized { reason: "eBay says that the app is not allowed to change inventory (403).".to_owned() },
        408 | 500.. => Outcome::Unknown { reason: format!("eBay reported an internal error ({}).", reply.status) },
        status => {
            let (reason, next_step) = first().map_or_else(
                || (format!("eBay refused the request ({status})."), CHECK_LISTING.to_owned()),
                |error| error.reason_and_next_step(),
            );
            Outcome::Refused { reason, next_step }
        }
    })
}

const CHECK_LISTING: &str =
    "Check that the SKU and the offer are published on eBay, then pair the listing again. If they are, contact the operator.";

#[derive(Deserialize)]
struct Responses {
    responses: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    status_code: u16,
    sku: Option<String>,
    offer_id: Option<String>,
    #[serde(default)]
    errors: Vec<Error>,
    inventory_item: Option<FoundAvailability>,
}

#[derive(Deserialize)]
struct Errors {
    errors: Vec<Error>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Error {
    error_id: i64,
    #[serde(default)]
    message: String,
    long_message: Option<String>,
}

impl Error {
    /// The reason and the seller's next step.
    fn reason_and_next_step(&self) -> (String, String) {
        let message: String = self.long_message.as_ref().unwrap_or(&self.message).chars().take(300).collect();
        let next_step = match self.error_id {
            25759 => "The quantity of an auction cannot be changed. Remove this listing, or sell the item at a fixed price.",
            25702 | 25713 => "eBay does not recognize this SKU or offer. Check that it is published, then pair the listing again.",
            25709 => "Check the listing's external_id and offer_id, and the store's merchant_location_key, then retry.",
            _ => CHECK_LISTING,
        };
        (format!("eBay refused this listing: {message} ({})", self.error_id), next_step.to_owned())
    }
}

impl Entry {
    /// Why this entry was not applied; `None` if it was.
    fn failure(&self) -> Option<ItemResult> {
        if self.status_code < 300 {
            return None;
        }
        let error = self.errors.first();
        let (reason, next_step) = error.map_or_else(
            || (format!("eBay refused this listing ({}).", self.status_code), CHECK_LISTING.to_owned()),
            Error::reason_and_next_step,
        );
        let lower = reason.to_lowercase();
        Some(match self.status_code {
            _ if error.is_some_and(|error| error.error_id == SYSTEM_ERROR) => ItemResult::Unknown { reason },
            500.. => ItemResult::Unknown { reason },
            429 => ItemResult::TryAgain { reason },
            // A listing's 250 changes a day are used up; it can be changed again the next day.
            _ if lower.contains("revision") && lower.contains("limit") => ItemResult::TryAgain { reason },
            _ => ItemResult::Rejected { reason, next_step },
        })
    }

    fn quantity(&self) -> Option<Units> {
        Some(self.inventory_item.as_ref()?.availability.as_ref()?.ship_to_location_availability.as_ref()?.quantity)
    }
}

pub mod authorize;
#[cfg(test)]
mod tests;
mod wire;
