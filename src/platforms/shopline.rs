//! SHOPLINE: the Admin REST API of the developer platform for shops at `*.myshopline.com`, version `VERSION` (released
//! quarterly, supported for twelve months; the store's `api_version` overrides it). The other product of that name, for shops
//! at `*.shoplineapp.com`, has a different host and different IDs, tokens and limits. It is a separate platform,
//! [`super::shopline_open`], because sellers know which product they use and every setting differs.
//!
//! Checked in November 2026: the pages on setting and adjusting inventory show this version, which has been stable since June,
//! so it is supported until June 2027; "REST Admin API pagination" confirms the path of the products and `page_info`.
//!
//! Abilities: sets, adjusts and reads one inventory item at one location per call. There are no idempotency keys and there
//! is no compare-and-set, so the shown quantity is read before an increase is added, and a lost reply is resolved by reading
//! again. The GraphQL API is not used, because its address and limits are not published.
//!
//! Listings: `external_id` is the inventory item (not the variant); `location_id` comes from the listing or else from the
//! store.
//!
//! Settings: `handle` (the name before `.myshopline.com`), `location_id`, `api_version`, `app_key`, `rate_limit` (shops on
//! the Enterprise plan have no limit). Credentials: `access_token`, with `app_secret` if tokens are to be renewed (they
//! are valid for 10 hours; a private app's are valid for 3 years and need no renewal), or `auth_code` and `app_secret` for
//! the first token.
//!
//! Limits: a leaky bucket of 40 calls that drains at 4 calls per second, per app and store (SHOPLINE's page on flow control).
//!
//! Quirks: IDs are strings of up to 64 characters. Only the calls for tokens are signed. Unconfirmed facts are in
//! `UNCONFIRMED`; it is also unconfirmed whether a negative result is refused.
pub mod authorize;
pub mod notice;
mod requests;
#[cfg(test)]
mod tests;
mod wire;

use super::call::{Action, Call, CallItem, Method, Reply, Request, StoreConnection};
use super::check::{Check, Need, required_with};
use super::codes::Class::{Listing, Location, SignIn, Soon, Store, Throttled, TokenExpired};
use super::codes::by_status;
use super::codes::{Row, find, outcome, renewal, said, text, unreadable};
use super::connector::{Facts, Platform, RateLimit, Renewal, ReportedQuota, Stamp, Variant, VariantPage};
use super::fields::{listing_or_store_setting, page_size, rate_limit};
use super::lenient::Units;
use super::sign::{expires_soon, hmac_sha256_hex, percent, with_access_token};
use crate::domain::FieldError;
use crate::domain::delivery::{Abilities, ItemResult, Outcome};
use chrono::{DateTime, Utc};
use requests::{api, host};
use secrecy::ExposeSecret;
use std::time::Duration;
use wire::{InErrors, InLevel, InLevels, InProduct, InProducts, InToken, OutLevel};

/// What could not be confirmed in any accessible source.
struct Unconfirmed {
    /// The pause after a 429: the time in which one call drains. No `Retry-After` is documented.
    throttled: Duration,
    /// The lifetime of an access token, in seconds, if its `expireTime` cannot be read.
    token_lifetime_s: i64,
}
const UNCONFIRMED: Unconfirmed = Unconfirmed { throttled: Duration::from_millis(250), token_lifetime_s: 10 * 3600 };

/// A shop's products, with the fields that are needed.
const PRODUCTS: &str = "products/products.json?fields=id,title,variants";
const RATE: RateLimit = RateLimit { per_second: 4.0, burst: 40 };
/// Products per page.
const PRODUCTS_PAGE: usize = 50;
const LOCATION_ID: &str = "location_id";

const PAIR_AGAIN: &str = "Check that the variant exists in SHOPLINE and is stocked at the location, pair it again, then retry.";
const TRACK: &str = "Turn on 'Track inventory' for this variant in SHOPLINE, then retry.";
const LOCATION: &str = "Set location_id, in the store or in the listing, to one of the shop's locations, then check the store.";
const SCOPE: &str = "The app may not write inventory. Authorize it again with the scope write_inventory.";
const SHOP: &str = "Fix this in the SHOPLINE admin or ask SHOPLINE, then check the store.";
const FLOOD: &str = "SHOPLINE's flood control was triggered. If this persists, ask SHOPLINE.";
const BUG: &str = "SHOPLINE rejected the request as invalid. Report this with SHOPLINE's response, and retry once it is fixed.";
const RECONNECT: &str = "Install the app in the shop again.";

/// What statuses and the codes of token calls mean. As everywhere, a 5xx may have been applied.
const CODES: &[Row] = &[
    ("429", "", Throttled),
    ("434", "", Soon(FLOOD)),
    ("435", "", Soon(FLOOD)),
    ("436", "", Soon(FLOOD)),
    ("401", "", TokenExpired),
    ("403", "", SignIn(SCOPE)),
    ("402", "", Store(SHOP)),
    ("412", "", Store(SHOP)),
    ("423", "", Store(SHOP)),
    ("433", "", Store(SHOP)),
    ("422", "track", Listing(TRACK)),
    ("422", "location", Location(LOCATION)),
    ("404", "", Listing(PAIR_AGAIN)),
    ("422", "", Listing(PAIR_AGAIN)),
    ("400", "", Listing(BUG)),
    ("406", "", Listing(BUG)),
    ("REQUEST_FREQUENTLY", "", Throttled),
    ("STORE_NOT_INSTALL_APP", "", SignIn(RECONNECT)),
    ("APP_AUDIT_NOT_PASS", "", SignIn(RECONNECT)),
    ("OAUTH_CODE_INVALID", "", SignIn(RECONNECT)),
    ("REQUEST_NOT_IN_APP_IP_WHITELIST", "", SignIn("Add this service's IP address to the app's allowlist.")),
];

/// The SHOPLINE connector.
#[derive(Debug)]
pub struct Shopline;

fn location_of<'a>(store: &'a StoreConnection, item: &'a CallItem) -> Result<&'a str, String> {
    listing_or_store_setting(item, store, LOCATION_ID).ok_or_else(|| "Neither the listing nor its store has a location_id.".to_owned())
}

fn write_request(store: &StoreConnection, call: &Call) -> Result<Request, String> {
    let [item] = call.items.as_slice() else { return Err("SHOPLINE accepts one item per call.".to_owned()) };
    let adjusts = call.action == Action::Adjust;
    let body = OutLevel {
        inventory_item_id: &item.external_id,
        location_id: location_of(store, item)?,
        available: (!adjusts).then_some(item.quantity),
        available_adjustment: adjusts.then_some(item.quantity),
    };
    let path = if adjusts { "inventory_levels/adjust.json" } else { "inventory_levels/set.json" };
    let mut request = api(store, Method::Post, path)?;
    request.body = Some(serde_json::to_string(&body).map_err(|e| e.to_string())?);
    Ok(request)
}

fn read_request(store: &StoreConnection, items: &[CallItem]) -> Result<Request, String> {
    let ids: Vec<String> = items.iter().map(|item| percent(&item.external_id)).collect();
    let mut locations = items.iter().map(|item| location_of(store, item).map(percent)).collect::<Result<Vec<_>, _>>()?;
    locations.sort_unstable();
    locations.dedup();
    let path = format!("inventory_levels.json?inventory_item_ids={}&location_ids={}", ids.join(","), locations.join(","));
    api(store, Method::Get, &path)
}

/// The outcome of a reply whose status is not a success.
fn failure(call: &Call, reply: &Reply) -> Option<Outcome> {
    let general = by_status(reply)?;
    let status = reply.status.to_string();
    let body: InErrors = serde_json::from_str(&reply.body).unwrap_or_default();
    let message = if body.errors.is_null() { text(&body.message) } else { text(&body.errors) };
    let said = said("SHOPLINE", &status, &message);
    Some(match find(CODES, &status, &message) {
        Some(Throttled) => Outcome::TryAgain { reason: said, after: reply.retry_after().or(Some(UNCONFIRMED.throttled)), throttled: true },
        Some(class) => outcome(class, said, call, reply, LOCATION_ID),
        None => general,
    })
}

/// The `page_info` of the URL with `rel="next"` in the `Link` header.
fn next_page(reply: &Reply) -> Option<String> {
    let link = reply.header("link")?.split(',').find(|link| link.contains("rel=\"next\"") || link.contains("rel=next"))?;
    let url = link.trim().strip_prefix('<')?.split('>').next()?;
    let (_, query) = url.split_once('?')?;
    query.split('&').find_map(|pair| pair.strip_prefix("page_info=")).map(str::to_owned)
}

impl Platform for Shopline {
    fn name(&self) -> &'static str {
        "shopline"
    }

    fn check_config(&self, store: &StoreConnection) -> Result<(), Vec<FieldError>> {
        let handle = if store.base_url.is_some() { Need::Optional } else { Need::Required };
        let app_secret = required_with(store, "auth_code");
        Check::new(store, Need::Optional)
            .label("handle", handle)
            .text(LOCATION_ID, Need::Optional)
            .label("api_version", Need::Optional)
            .text("app_key", if app_secret == Need::Required { app_secret } else { required_with(store, "app_secret") })
            .rate_limit()
            .secret("app_secret", app_secret)
            .tokens(&["access_token", "auth_code"])
            .done()
    }

    fn listing_fields(&self) -> &'static [&'static str] {
        &[LOCATION_ID]
    }

    fn facts(&self, store: &StoreConnection) -> Facts {
        Facts {
            reads_before_set: false,
            proves_writes: false,
            abilities: Abilities { adjust: true, idempotency: false, compare_and_set: false, read: true, max_items: 1 },
            group_by: None,
            location: Some(LOCATION_ID),
            per_store: rate_limit(store, RATE).unwrap_or(RATE),
            per_app: None,
        }
    }

    fn cost(&self, _: &Call) -> u32 {
        1
    }

    fn request(&self, store: &StoreConnection, call: &Call, stamp: &Stamp) -> Result<Request, String> {
        match call.action {
            Action::Set | Action::Adjust => write_request(store, call),
            Action::Read => read_request(store, &call.items),
            // Without a location, the list of products shows the same.
            Action::Check if store.setting(LOCATION_ID).is_none() => self.variants_request(store, None, stamp),
            // Any reply about an item that does not exist shows that the shop can be reached and accepts the token.
            Action::Check => {
                let nonexistent = CallItem { external_id: "0".to_owned(), extra: Default::default(), quantity: 0, expected: None };
                read_request(store, &[nonexistent])
            }
        }
    }

    fn outcome(&self, store: &StoreConnection, call: &Call, reply: &Reply) -> Outcome {
        if call.action == Action::Check && matches!(reply.status, 404 | 422) {
            return Outcome::Answered(Vec::new());
        }
        if let Some(outcome) = failure(call, reply) {
            return outcome;
        }
        if call.action == Action::Check && store.setting(LOCATION_ID).is_none() {
            return self.variants(store, None, reply).map_or_else(|outcome| outcome, |_| Outcome::Answered(Vec::new()));
        }
        let Ok(body) = serde_json::from_str::<InLevels>(&reply.body) else { return unreadable() };
        let levels: Vec<InLevel> = body.inventory_level.into_iter().chain(body.inventory_levels).collect();
        let result = |item: &CallItem| {
            let at = listing_or_store_setting(item, store, LOCATION_ID).unwrap_or_default();
            let mut of_item = levels.iter().filter(|level| text(&level.inventory_item_id) == item.external_id);
            match of_item.find(|level| text(&level.location_id) == at) {
                Some(InLevel { available: Units::Known(shown), .. }) => ItemResult::Applied { shown: Some(*shown) },
                None if call.action == Action::Read => ItemResult::Rejected {
                    reason: "SHOPLINE has no stock of this item at the location.".to_owned(),
                    next_step: PAIR_AGAIN.to_owned(),
                },
                _ => ItemResult::Unknown { reason: "SHOPLINE's response has no quantity for this listing.".to_owned() },
            }
        };
        Outcome::Answered(call.items.iter().map(result).collect())
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

    fn quota(&self, _: &Reply) -> Option<ReportedQuota> {
        None
    }

    fn variants_request(&self, store: &StoreConnection, cursor: Option<&str>, _: &Stamp) -> Result<Request, String> {
        let page = cursor.map(|cursor| format!("&page_info={}", percent(&decoded(cursor)))).unwrap_or_default();
        api(store, Method::Get, &format!("{}&limit={}{page}", PRODUCTS, page_size(store, PRODUCTS_PAGE)))
    }

    fn variants(&self, _: &StoreConnection, _: Option<&str>, reply: &Reply) -> Result<VariantPage, Outcome> {
        let call = Call { action: Action::Read, items: Vec::new(), idempotency_key: None };
        if let Some(outcome) = failure(&call, reply) {
            return Err(outcome);
        }
        let body: InProducts = serde_json::from_str(&reply.body).map_err(|_| unreadable())?;
        let of_product = |product: InProduct| {
            let name = product.title;
            product.variants.into_iter().map(move |variant| {
                let options = [variant.option1, variant.option2, variant.option3].into_iter().flatten().filter(|option| !option.is_empty());
                Variant {
                    sku: variant.sku.filter(|sku| !sku.is_empty()),
                    external_id: text(&variant.inventory_item_id),
                    extra: Default::default(),
                    title: std::iter::once(name.clone()).chain(options).collect::<Vec<_>>().join(", "),
                }
            })
        };
        let variants = body.products.into_iter().flat_map(of_product).filter(|variant| !variant.external_id.is_empty());
        Ok(VariantPage { variants: variants.collect(), next: next_page(reply) })
    }

    fn renewal_request(&self, store: &StoreConnection, stamp: &Stamp, refused: bool) -> Option<Request> {
        let (app_key, secret) = (store.setting("app_key")?, store.credentials.get("app_secret")?);
        let code = store.credentials.get("auth_code");
        if code.is_none() && !refused && !expires_soon(store, stamp) {
            return None;
        }
        let body = code.map(|code| serde_json::json!({ "code": code.expose_secret() }).to_string());
        let timestamp = stamp.now.timestamp_millis();
        let sign = hmac_sha256_hex(secret, &format!("{}{timestamp}", body.as_deref().unwrap_or_default()));
        let step = if body.is_some() { "create" } else { "refresh" };
        let mut request = Request::get(format!("{}/admin/oauth/token/{step}", host(store).ok()?))
            .header("content-type", "application/json")
            .header("appkey", app_key)
            .header("timestamp", timestamp.to_string())
            .header("sign", sign);
        (request.method, request.body) = (Method::Post, body);
        Some(request)
    }

    fn renewal(&self, store: &StoreConnection, reply: &Reply, stamp: &Stamp) -> Renewal {
        let Ok(body) = serde_json::from_str::<InToken>(&reply.body) else {
            return match by_status(reply) {
                Some(Outcome::Unauthorized { reason }) => Renewal::Refused { reason },
                _ => Renewal::TryAgain { reason: "SHOPLINE's response to the token renewal could not be read.".to_owned() },
            };
        };
        let Some(token) = body.data.map(|data| (data.access_token, data.expire_time)).filter(|_| body.i18n_code == "SUCCESS") else {
            if reply.status >= 500 || reply.status == 429 {
                return Renewal::TryAgain { reason: said("SHOPLINE", &body.i18n_code, &body.message) };
            }
            return renewal(find(CODES, &body.i18n_code, &body.message), said("SHOPLINE", &body.i18n_code, &body.message));
        };
        let (token, expiry) = token;
        let expires_at = expiry
            .as_str()
            .and_then(|text| text.parse::<DateTime<Utc>>().ok())
            .or_else(|| expiry.as_i64().and_then(DateTime::from_timestamp_millis));
        let lifetime_s = expires_at.map_or(UNCONFIRMED.token_lifetime_s, |at| (at - stamp.now).num_seconds());
        let mut credentials = with_access_token(store, &token, lifetime_s, stamp);
        credentials.remove("auth_code");
        Renewal::Renewed(credentials)
    }
}

/// Decodes a cursor, which is percent-encoded in the `Link` header.
fn decoded(cursor: &str) -> String {
    let url = reqwest::Url::parse(&format!("x:?c={cursor}"));
    url.ok().and_then(|url| url.query_pairs().next().map(|(_, value)| value.into_owned())).unwrap_or_default()
}
