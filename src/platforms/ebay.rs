//! eBay: the Sell Inventory API, version 1 (1.18), one seller account.
//!
//! Sources (checked November 2026): the published description of Sell Inventory 1.18.4; developer.ebay.com, "API call
//! limits", "OAuth: refresh token request"; knowledge base 5218 (revoked refresh tokens).
//!
//! - `POST bulk_update_price_quantity` sets quantities of inventory items, 25 a call. Set only; there is no key and no
//!   comparison, so an increase is read, added and set, and what is sold between the read and the write is overwritten
//!   by the sum: that is the risk of a platform of this kind.
//! - What eBay shows is the smaller of the item's quantity and its offer's: a listing with an `offer_id` has both set. A
//!   list of items tells no offers, so discovery leaves `offer_id` out.
//! - Only listings made with this API are known to it; others must be migrated once in Seller Hub.
//! - 207 (or 200) carries an entry for each item and each offer with a status of its own. 250 changes of a listing a
//!   day; what goes beyond is tried again later.
//! - Limits: calls of an application a day. Access tokens live two hours; the refresh token stays for 18 months.
//!
//! Unconfirmed: the calls a day (`CALLS_PER_DAY`; eBay tells them only by another API); whether 25 means items or the
//! offers of one item (a refused call is split down to one item); `Retry-After`; the error ids of 401 and 429, which are
//! told by their status here.
use super::call::{Action, Call, CallItem, Method, Reply, Request, StoreConnection};
use super::check::{Check, Need};
use super::sign::ends_soon;
use super::{AppLimit, Facts, Platform, RateLimit, Renewal, ReportedQuota, Stamp, Variant, VariantPage, oauth};
use crate::domain::FieldError;
use crate::domain::delivery::{Abilities, ItemResult, Outcome};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

const INVENTORY: &str = "sell/inventory/v1";
const PRODUCTION: &str = "https://api.ebay.com";
const SANDBOX: &str = "https://api.sandbox.ebay.com";
const SCOPE: &str = "https://api.ebay.com/oauth/api_scope/sell.inventory";
/// Items of a call at most.
const MAX_ITEMS: usize = 25;
/// Calls of an application to this API in a day (unconfirmed: said to be the default of an application that eBay has not
/// looked at yet).
const CALLS_PER_DAY: u32 = 5000;
/// A pace of our own for one seller: eBay states none.
const PER_STORE: RateLimit = RateLimit { per_second: 5.0, burst: 10 };
/// Items on a page of the list.
const PAGE: usize = 100;
/// A system error: what came of the entry is not known.
const SYSTEM_ERROR: i64 = 25001;

/// The connector.
#[derive(Debug)]
pub struct Ebay;

fn host(store: &StoreConnection) -> &str {
    let fixed = if store.setting("environment") == Some("sandbox") { SANDBOX } else { PRODUCTION };
    store.base_url.as_deref().unwrap_or(fixed).trim_end_matches('/')
}

fn url(store: &StoreConnection, path: &str) -> String {
    format!("{}/{INVENTORY}/{path}", host(store))
}

fn signed(store: &StoreConnection, request: Request) -> Result<Request, String> {
    let token = store.secret("access_token")?.expose_secret();
    Ok(request.header("accept", "application/json").secret_header("authorization", format!("Bearer {token}")))
}

fn own<'a>(item: &'a CallItem, name: &str) -> Option<&'a str> {
    item.extra.get(name).map(String::as_str).filter(|value| !value.is_empty())
}

fn quantities(store: &StoreConnection, call: &Call) -> Result<Request, String> {
    let request = |item: &CallItem| {
        let quantity = i32::try_from(item.quantity).ok().filter(|quantity| *quantity >= 0);
        let quantity = quantity.ok_or_else(|| format!("eBay takes no quantity of {}.", item.quantity))?;
        let place = own(item, "merchant_location_key").or_else(|| store.setting("merchant_location_key"));
        let at = place.map(|key| [Distribution { merchant_location_key: key.to_owned(), quantity }]);
        Ok(PriceQuantity {
            sku: item.external_id.clone(),
            ship_to_location_availability: ShipToLocation { quantity, availability_distributions: at },
            offers: own(item, "offer_id").map(|id| [OfferQuantity { offer_id: id.to_owned(), available_quantity: quantity }]),
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
            .secret("refresh_token", Need::Needed)
            .secret("client_id", Need::Needed)
            .secret("client_secret", Need::Needed)
            .access_token(Need::Optional)
            .done()
    }

    fn listing_fields(&self) -> &'static [&'static str] {
        &["offer_id", "merchant_location_key"]
    }

    fn facts(&self, store: &StoreConnection) -> Facts {
        let client = store.credentials.get("client_id").map_or("", ExposeSecret::expose_secret);
        let a_day = RateLimit { per_second: f64::from(CALLS_PER_DAY) / 86_400.0, burst: CALLS_PER_DAY };
        Facts {
            abilities: Abilities { adjust: false, idempotency: false, compare_and_set: false, read: true, max_items: MAX_ITEMS },
            group_by: None,
            per_store: PER_STORE,
            per_app: Some(AppLimit { name: format!("ebay {client}"), limit: a_day }),
        }
    }

    fn cost(&self, _: &Call) -> u32 {
        1
    }

    fn request(&self, store: &StoreConnection, call: &Call, _: &Stamp) -> Result<Request, String> {
        let request = match call.action {
            Action::Adjust => return Err("eBay cannot add to a quantity.".to_owned()),
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
            let offer = own(item, "offer_id");
            let mine =
                |entry: &&Entry| entry.sku.as_deref() == Some(&item.external_id) || (offer.is_some() && entry.offer_id.as_deref() == offer);
            let entries: Vec<&Entry> = responses.iter().filter(mine).collect();
            if entries.is_empty() {
                return ItemResult::Unknown { reason: "eBay's answer does not mention this listing.".to_owned() };
            }
            // The item and its offer must both have taken it.
            if let Some(failed) = entries.iter().find_map(|entry| entry.failure()) {
                return failed;
            }
            // An item without a quantity is one of which nothing was ever offered.
            let shown =
                if call.action == Action::Set { item.quantity } else { entries.iter().find_map(|entry| entry.quantity()).unwrap_or(0) };
            ItemResult::Applied { shown: Some(shown) }
        };
        Outcome::Answered(call.items.iter().map(result).collect())
    }

    fn quota(&self, _: &Reply) -> Option<ReportedQuota> {
        None
    }

    fn variants_request(&self, store: &StoreConnection, cursor: Option<&str>, _: &Stamp) -> Result<Request, String> {
        let offset: u64 = cursor.unwrap_or("0").parse().map_err(|_| "This is not a place in eBay's list of items.".to_owned())?;
        signed(store, Request::get(url(store, &format!("inventory_item?limit={PAGE}&offset={offset}"))))
    }

    fn variants(&self, _: &StoreConnection, cursor: Option<&str>, reply: &Reply) -> Result<VariantPage, Outcome> {
        if let Some(outcome) = failure(reply) {
            return Err(outcome);
        }
        let page: InventoryItems = serde_json::from_str(&reply.body).map_err(|_| unreadable())?;
        let offset: usize = cursor.and_then(|offset| offset.parse().ok()).unwrap_or(0);
        let behind = offset.saturating_add(page.inventory_items.len());
        let more = !page.inventory_items.is_empty() && (page.next.is_some() || page.total.is_some_and(|total| behind < total));
        Ok(VariantPage {
            variants: page.inventory_items.into_iter().map(FoundItem::variant).collect(),
            next: more.then(|| behind.to_string()),
        })
    }

    fn renewal_request(&self, store: &StoreConnection, stamp: &Stamp, refused: bool) -> Option<Request> {
        let secret = |name| store.secret(name).ok().map(ExposeSecret::expose_secret);
        if !refused && secret("access_token").is_some() && !ends_soon(store, stamp) {
            return None;
        }
        let fields = [("grant_type", "refresh_token"), ("refresh_token", secret("refresh_token")?), ("scope", SCOPE)];
        let client = basic(secret("client_id")?, secret("client_secret")?);
        Some(oauth::form(format!("{}/identity/v1/oauth2/token", host(store)), &fields).secret_header("authorization", client))
    }

    fn renewal(&self, store: &StoreConnection, reply: &Reply, stamp: &Stamp) -> Renewal {
        oauth::renewal(store, reply, stamp)
    }
}

/// HTTP basic authentication (RFC 7617).
fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

fn unreadable() -> Outcome {
    Outcome::Unknown { reason: "eBay's answer could not be read.".to_owned() }
}

/// What a status says that is no success.
fn failure(reply: &Reply) -> Option<Outcome> {
    let first = || serde_json::from_str::<Errors>(&reply.body).ok().and_then(|body| body.errors.into_iter().next());
    Some(match reply.status {
        200..=299 => return None,
        429 => Outcome::TryAgain { reason: "eBay takes no more calls for now.".to_owned(), after: reply.retry_after(), throttled: true },
        401 => Outcome::TokenExpired { reason: "eBay refused the access token (401).".to_owned() },
        403 => Outcome::Unauthorized { reason: "eBay says that the app lacks the right to change inventory (403).".to_owned() },
        408 | 500.. => Outcome::Unknown { reason: format!("eBay had an error of its own ({}).", reply.status) },
        status => {
            let (reason, next_step) =
                first().map_or_else(|| (format!("eBay did not take the request ({status})."), ASK.to_owned()), |error| error.words());
            Outcome::Refused { reason, next_step }
        }
    })
}

const ASK: &str =
    "Check that the SKU and the offer are published on eBay and pair the listing again; if they are right, tell the operator.";

#[derive(Serialize)]
struct Requests<T> {
    requests: Vec<T>,
}

#[derive(Serialize)]
struct Sku<'a> {
    sku: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PriceQuantity {
    sku: String,
    ship_to_location_availability: ShipToLocation,
    #[serde(skip_serializing_if = "Option::is_none")]
    offers: Option<[OfferQuantity; 1]>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ShipToLocation {
    quantity: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    availability_distributions: Option<[Distribution; 1]>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Distribution {
    merchant_location_key: String,
    quantity: i32,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OfferQuantity {
    offer_id: String,
    available_quantity: i32,
}

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
    /// What happened, and what to do about it.
    fn words(&self) -> (String, String) {
        let said: String = self.long_message.as_ref().unwrap_or(&self.message).chars().take(300).collect();
        let next_step = match self.error_id {
            25759 => "An auction's quantity cannot be changed: remove this listing, or sell the item at a fixed price.",
            25702 | 25713 => "eBay does not know this SKU or offer: check that it is published, and pair the listing again.",
            25709 => "Check the listing's external_id and offer_id, and the store's merchant_location_key, then retry.",
            _ => ASK,
        };
        (format!("eBay refused this listing: {said} ({})", self.error_id), next_step.to_owned())
    }
}

impl Entry {
    /// Why this entry was not applied, if it was not.
    fn failure(&self) -> Option<ItemResult> {
        if self.status_code < 300 {
            return None;
        }
        let error = self.errors.first();
        let (reason, next_step) =
            error.map_or_else(|| (format!("eBay refused this listing ({}).", self.status_code), ASK.to_owned()), Error::words);
        let lower = reason.to_lowercase();
        Some(match self.status_code {
            _ if error.is_some_and(|error| error.error_id == SYSTEM_ERROR) => ItemResult::Unknown { reason },
            500.. => ItemResult::Unknown { reason },
            429 => ItemResult::TryAgain { reason },
            // 250 changes a day: it passes by itself.
            _ if lower.contains("revision") && lower.contains("limit") => ItemResult::TryAgain { reason },
            _ => ItemResult::Rejected { reason, next_step },
        })
    }

    fn quantity(&self) -> Option<i64> {
        self.inventory_item.as_ref()?.availability.as_ref()?.ship_to_location_availability.as_ref()?.quantity
    }
}

#[derive(Deserialize)]
struct FoundAvailability {
    availability: Option<FoundPlaces>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FoundPlaces {
    ship_to_location_availability: Option<FoundQuantity>,
}

#[derive(Deserialize)]
struct FoundQuantity {
    quantity: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct InventoryItems {
    #[serde(default)]
    inventory_items: Vec<FoundItem>,
    next: Option<String>,
    total: Option<usize>,
}

#[derive(Deserialize)]
struct FoundItem {
    sku: String,
    product: Option<FoundProduct>,
}

#[derive(Deserialize)]
struct FoundProduct {
    title: Option<String>,
}

impl FoundItem {
    fn variant(self) -> Variant {
        let title = self.product.and_then(|product| product.title).unwrap_or_else(|| self.sku.clone());
        Variant { sku: Some(self.sku.clone()), external_id: self.sku, extra: BTreeMap::new(), title }
    }
}

#[cfg(test)]
mod tests;
