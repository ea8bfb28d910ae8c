//! SHOPLINE Open API (`/v1`), for shops at `*.shoplineapp.com` (Taiwan, Hong Kong). Checked in November 2026. Shops at
//! `*.myshopline.com` use a different product: [`super::shopline`].
//!
//! Abilities: sets and adjusts one product or one variation per call; the reply has the new quantity. There are no
//! idempotency keys and there is no compare-and-set, so the shown quantity is read before an increase is added, and a lost
//! reply is resolved by reading again. A bulk call appears only in a third party's tool and is not used.
//!
//! Listings: `product_id` is the product and `external_id` the variation in it; for a product without variations,
//! `external_id` is the product's own ID again. There are no locations.
//!
//! Settings: `handle` (sent as `User-Agent`, which the API requires), `client_id`, `redirect_uri`, `rate_limit`.
//! Credentials: `access_token` (a token created by staff may never expire), with `refresh_token` and `client_secret` if
//! tokens are to be renewed, or `auth_code` and `client_secret` for the first tokens.
//!
//! Limits: 20 calls per second, counted in one-second windows; the scope is not documented and assumed to be the token. An
//! older page says 1000 calls in 5 minutes per address; the store's `rate_limit` can be set to that.
//!
//! Quirks: an access token is valid for about 6 months, and the refresh token expires within a day of it. A product with
//! `unlimited_quantity` has no stock. The body of a 429 is the only documented failure; all others are interpreted by
//! status.
pub mod authorize;
#[cfg(test)]
mod tests;

use super::call::{Action, Call, CallItem, Method, Reply, Request, StoreConnection};
use super::check::{Check, Need, required_with};
use super::codes::Class::{Listing, SignIn, Throttled, TokenExpired};
use super::codes::by_status;
use super::codes::{Row, find, outcome, renewal, said, text, unreadable};
use super::connector::{Facts, Platform, RateLimit, Renewal, ReportedQuota, Stamp, Variant, VariantPage};
use super::fields::{base, page_size, rate_limit, required, whole};
use super::lenient::{self, Units};
use super::sign::{expires_soon, note_refresh_end, percent, with_access_token};
use crate::domain::FieldError;
use crate::domain::delivery::{Abilities, ItemResult, Outcome};
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// What could not be confirmed in any accessible source.
struct Unconfirmed {
    /// The path of a shop's products; a product's ID is appended to read that one. The path is documented, the field names
    /// of the reply are not.
    products: &'static str,
    /// The lifetime of an access token, in seconds, if the reply does not state it.
    token_lifetime_s: i64,
}
const UNCONFIRMED: Unconfirmed = Unconfirmed { products: "/v1/products", token_lifetime_s: 15_778_476 };

const HOST: &str = "https://open.shopline.io";
const TOKEN_HOST: &str = "https://developers.shoplineapp.com";
/// How much longer than the access token the refresh token lives, in seconds.
const REFRESH_OUTLIVES_S: i64 = 86_400;
/// At most 20 calls in any second: the burst plus the refill of one second.
const RATE: RateLimit = RateLimit { per_second: 18.0, burst: 2 };
/// Products per page. Replies include all texts of the products, and their size is limited.
const PRODUCTS_PAGE: usize = 16;
const PRODUCT_ID: &str = "product_id";

const PAIR_AGAIN: &str = "Check that the product and its variation exist in SHOPLINE, pair the listing again, then retry.";
const UNLIMITED: &str = "Turn off 'unlimited quantity' for this product in SHOPLINE, then retry.";
const RECONNECT: &str = "Authorize the app in SHOPLINE again, or enter a token with permission to write products.";
const BUG: &str = "SHOPLINE rejected the request as invalid. Report this with SHOPLINE's response, and retry once it is fixed.";

/// What statuses and the codes of token calls mean. As everywhere, a 5xx may have been applied.
const CODES: &[Row] = &[
    ("429", "", Throttled),
    ("401", "", TokenExpired),
    ("403", "", SignIn(RECONNECT)),
    ("422", "unlimited", Listing(UNLIMITED)),
    ("404", "", Listing(PAIR_AGAIN)),
    ("422", "", Listing(PAIR_AGAIN)),
    ("400", "", Listing(BUG)),
    ("406", "", Listing(BUG)),
    ("invalid_grant", "", SignIn(RECONNECT)),
    ("invalid_client", "", SignIn(RECONNECT)),
];

/// The SHOPLINE Open API connector.
#[derive(Debug)]
pub struct ShoplineOpen;

fn product_of(item: &CallItem) -> Result<&str, String> {
    item.extra.get(PRODUCT_ID).map(String::as_str).ok_or_else(|| "The listing has no product_id. Pair it again.".to_owned())
}

fn api(store: &StoreConnection, path: &str) -> Result<Request, String> {
    Ok(Request::get(format!("{}{path}", base(store, HOST)))
        .header("content-type", "application/json")
        .header("user-agent", required(store, "handle")?)
        .secret_header("authorization", format!("Bearer {}", store.secret("access_token")?.expose_secret())))
}

fn write_request(store: &StoreConnection, item: &CallItem, replace: bool) -> Result<Request, String> {
    let (product, variation) = (product_of(item)?, &item.external_id);
    let path = if product == variation {
        format!("/v1/products/{}/update_quantity", percent(product))
    } else {
        format!("/v1/products/{}/variations/{}/update_quantity", percent(product), percent(variation))
    };
    let mut request = api(store, &path)?;
    request.method = Method::Put;
    request.body = Some(serde_json::to_string(&OutQuantity { quantity: item.quantity, replace }).map_err(|e| e.to_string())?);
    Ok(request)
}

/// The outcome of a reply whose status is not a success.
fn failure(call: &Call, reply: &Reply) -> Option<Outcome> {
    let general = by_status(reply)?;
    let status = reply.status.to_string();
    let body: InError = serde_json::from_str(&reply.body).unwrap_or_default();
    let message = [body.error, body.message, body.errors].iter().find(|value| !value.is_null()).map(text).unwrap_or_default();
    Some(find(CODES, &status, &message).map_or(general, |class| outcome(class, said("SHOPLINE", &status, &message), call, reply, "")))
}

fn read_result(item: &CallItem, product: &InProduct) -> ItemResult {
    let rejected = |reason: &str, next_step: &str| ItemResult::Rejected { reason: reason.to_owned(), next_step: next_step.to_owned() };
    if product.unlimited_quantity == Some(true) {
        return rejected("This product has unlimited quantity in SHOPLINE, so it has no stock.", UNLIMITED);
    }
    let quantity = if product.id == item.external_id {
        product.quantity
    } else {
        match product.variations.iter().find(|variation| variation.id == item.external_id) {
            Some(variation) => variation.quantity,
            None => return rejected("SHOPLINE does not know this variation of the product.", PAIR_AGAIN),
        }
    };
    match quantity.known() {
        Some(shown) => ItemResult::Applied { shown: Some(shown) },
        None => ItemResult::Unknown { reason: "SHOPLINE's response has no quantity for this listing.".to_owned() },
    }
}

impl Platform for ShoplineOpen {
    fn name(&self) -> &'static str {
        "shopline_open"
    }

    fn check_config(&self, store: &StoreConnection) -> Result<(), Vec<FieldError>> {
        let is_renewed = ["refresh_token", "auth_code"].map(|name| required_with(store, name)).contains(&Need::Required);
        let need = if is_renewed { Need::Required } else { Need::Optional };
        Check::new(store, Need::Optional)
            .label("handle", Need::Required)
            .text("client_id", need)
            .text("redirect_uri", need)
            .rate_limit()
            .secret("client_secret", need)
            .tokens(&["access_token", "refresh_token", "auth_code"])
            .done()
    }

    fn listing_fields(&self) -> &'static [&'static str] {
        &[PRODUCT_ID]
    }

    fn facts(&self, store: &StoreConnection) -> Facts {
        Facts {
            reads_before_set: false,
            proves_writes: false,
            abilities: Abilities { adjust: true, idempotency: false, compare_and_set: false, read: true, max_items: 1 },
            group_by: None,
            location: None,
            per_store: rate_limit(store, RATE).unwrap_or(RATE),
            per_app: None,
        }
    }

    fn cost(&self, _: &Call) -> u32 {
        1
    }

    fn request(&self, store: &StoreConnection, call: &Call, _: &Stamp) -> Result<Request, String> {
        if call.action == Action::Check {
            return api(store, &format!("{}?per_page=1&page=1", UNCONFIRMED.products));
        }
        let [item] = call.items.as_slice() else { return Err("SHOPLINE accepts one item per call.".to_owned()) };
        match call.action {
            Action::Set => write_request(store, item, true),
            Action::Adjust => write_request(store, item, false),
            Action::Read | Action::Check => api(store, &format!("{}/{}", UNCONFIRMED.products, percent(product_of(item)?))),
        }
    }

    fn outcome(&self, _: &StoreConnection, call: &Call, reply: &Reply) -> Outcome {
        if let Some(outcome) = failure(call, reply) {
            return outcome;
        }
        if call.action == Action::Check {
            return Outcome::Answered(Vec::new());
        }
        let Ok(product) = serde_json::from_str::<InProduct>(&reply.body) else { return unreadable() };
        let result = |item: &CallItem| match (call.action, product.quantity) {
            (Action::Read | Action::Check, _) => read_result(item, &product),
            // The reply is the object that was changed, a product or a variation.
            (_, Units::Known(quantity)) if product.id == item.external_id => ItemResult::Applied { shown: Some(quantity) },
            _ => ItemResult::Unknown { reason: "SHOPLINE's response has no quantity for this listing.".to_owned() },
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
        let position = cursor.map_or(Some(0), whole).ok_or("This cursor does not belong to this store's list of variants.")?;
        let size = page_size(store, PRODUCTS_PAGE) as u64;
        api(store, &format!("{}?per_page={size}&page={}", UNCONFIRMED.products, position / size + 1))
    }

    /// The cursor is the number of products before the page.
    fn variants(&self, store: &StoreConnection, cursor: Option<&str>, reply: &Reply) -> Result<VariantPage, Outcome> {
        let call = Call { action: Action::Read, items: Vec::new(), idempotency_key: None };
        if let Some(outcome) = failure(&call, reply) {
            return Err(outcome);
        }
        let body: InPage = serde_json::from_str(&reply.body).map_err(|_| unreadable())?;
        let of_product = |product: InProduct| {
            let title = product.title_translations.into_values().find_map(|title| title).unwrap_or_default();
            let extra = BTreeMap::from([(PRODUCT_ID.to_owned(), product.id.clone())]);
            let variant = move |id: String, sku: Option<String>| Variant {
                sku: sku.filter(|sku| !sku.is_empty()),
                external_id: id,
                extra: extra.clone(),
                title: title.clone(),
            };
            if product.variations.is_empty() {
                return vec![variant(product.id, product.sku)];
            }
            product.variations.into_iter().map(|variation| variant(variation.id, variation.sku)).collect()
        };
        let (position, size) = (cursor.and_then(whole).unwrap_or(0), page_size(store, PRODUCTS_PAGE) as u64);
        let more = body.pagination.is_some_and(|pagination| position / size + 1 < pagination.total_pages);
        let next = more.then(|| position.saturating_add(size).to_string());
        Ok(VariantPage { variants: body.items.into_iter().flat_map(of_product).collect(), next })
    }

    fn renewal_request(&self, store: &StoreConnection, stamp: &Stamp, refused: bool) -> Option<Request> {
        let secret = |name: &str| store.credentials.get(name).map(ExposeSecret::expose_secret);
        let (client_id, redirect_uri) = (store.setting("client_id")?, store.setting("redirect_uri")?);
        let grant = match (secret("auth_code"), secret("refresh_token")) {
            (Some(code), _) => format!("grant_type=authorization_code&code={}", percent(code)),
            (None, _) if !refused && secret("access_token").is_some() && !expires_soon(store, stamp) => return None,
            (None, Some(token)) => format!("grant_type=refresh_token&refresh_token={}", percent(token)),
            (None, None) => return None,
        };
        let app = [client_id, secret("client_secret")?, redirect_uri].map(percent);
        let [client_id, client_secret, redirect_uri] = app;
        let mut request = Request::get(format!("{}/oauth/token", base(store, TOKEN_HOST)));
        request.method = Method::Post;
        request.body = Some(format!("{grant}&client_id={client_id}&client_secret={client_secret}&redirect_uri={redirect_uri}"));
        Some(request.header("content-type", "application/x-www-form-urlencoded"))
    }

    fn renewal(&self, store: &StoreConnection, reply: &Reply, stamp: &Stamp) -> Renewal {
        let Ok(body) = serde_json::from_str::<InTokens>(&reply.body) else {
            return Renewal::TryAgain { reason: "SHOPLINE's response to the token renewal could not be read.".to_owned() };
        };
        let Some(token) = body.access_token else {
            let said = said("SHOPLINE", &body.error, &body.error_description);
            if reply.status >= 500 || reply.status == 429 {
                return Renewal::TryAgain { reason: said };
            }
            return renewal(find(CODES, &body.error, &body.error_description), said);
        };
        let lifetime_s = body.expires_in.unwrap_or(UNCONFIRMED.token_lifetime_s);
        let mut credentials = with_access_token(store, &token, lifetime_s, stamp);
        if let Some(refresh) = body.refresh_token {
            credentials.insert("refresh_token".to_owned(), refresh.into());
            note_refresh_end(&mut credentials, Some(lifetime_s.saturating_add(REFRESH_OUTLIVES_S)), stamp);
        }
        credentials.remove("auth_code");
        Renewal::Renewed(credentials)
    }
}

#[derive(Serialize)]
struct OutQuantity {
    quantity: i64,
    replace: bool,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct InError {
    error: Value,
    message: Value,
    errors: Value,
}

/// A product, or the variation in the reply to a write.
#[derive(Deserialize)]
struct InProduct {
    #[serde(deserialize_with = "lenient::id")]
    id: String,
    sku: Option<String>,
    #[serde(default)]
    quantity: Units,
    unlimited_quantity: Option<bool>,
    #[serde(default)]
    title_translations: BTreeMap<String, Option<String>>,
    #[serde(default, deserialize_with = "lenient::rows")]
    variations: Vec<InVariation>,
}

#[derive(Deserialize)]
struct InVariation {
    #[serde(deserialize_with = "lenient::id")]
    id: String,
    sku: Option<String>,
    #[serde(default)]
    quantity: Units,
}

#[derive(Deserialize)]
struct InPage {
    items: Vec<InProduct>,
    pagination: Option<InPagination>,
}

#[derive(Deserialize)]
struct InPagination {
    #[serde(default)]
    total_pages: u64,
}

#[derive(Deserialize)]
struct InTokens {
    #[serde(default)]
    error: String,
    #[serde(default)]
    error_description: String,
    access_token: Option<String>,
    refresh_token: Option<String>,
    expires_in: Option<i64>,
}
