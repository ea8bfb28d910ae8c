//! Outbound HTTP: what each platform is asked and how its answers are read, and the one place that sends.
//!
//! A connector is a table of facts and pairs of pure functions, one that makes a request and one that reads its reply
//! ([`Platform`]). It never sends, sleeps, retries or logs; [`client`] does that for all of them, through [`limits`]
//! and a [`transport`].
//!
//! # How to add a platform
//! 1. One file `platforms/<name>.rs`; its docs say API version, limits with their source, quirks, date checked.
//! 2. State its [`Facts`]: abilities, items per call, rate limits per store and per app.
//! 3. `request`: a [`call::Call`] becomes a [`call::Request`]. `outcome`: a [`call::Reply`] becomes an
//!    [`Outcome`]. An answer that does not say is `Unknown`, never `TryAgain`.
//!    Likewise for variants (pairing) and for the renewal of tokens, where there is one.
//! 4. `check_config`: which fields a store of this kind needs, each named in its error.
//! 5. Add it to [`registry`], and what a person fills in to connect a store to [`form::FORMS`].
//! 6. Tests: success, partial success, throttled, token expired, unknown listing, lost answer.
pub mod amazon;
pub mod call;
mod check;
pub mod client;
pub mod codes;
pub mod ebay;
pub mod fields;
pub mod form;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
pub mod lazada;
pub mod limits;
pub mod medusa;
mod oauth;
pub mod shopee;
pub mod shopify;
pub mod shopline;
pub mod shopline_open;
pub mod sign;
pub mod simulated;
pub mod tiktok_shop;
pub mod transport;
pub mod vendure;
pub mod woocommerce;

use crate::domain::FieldError;
use crate::domain::delivery::{Abilities, Outcome};
use call::{Call, Reply, Request, StoreConnection};
use chrono::{DateTime, Utc};
use secrecy::SecretString;
use std::collections::BTreeMap;

/// What a connector states about one store: abilities and limits, given the store's configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    /// What it can do.
    pub abilities: Abilities,
    /// The listing's own field ([`Platform::listing_fields`]) that all items of one call must share, where the
    /// platform takes only, say, the variants of one product together.
    pub group_by: Option<&'static str>,
    /// Calls to one store, in points; see [`Platform::cost`].
    pub per_store: RateLimit,
    /// Calls of one app to all its stores together, where the platform counts so.
    pub per_app: Option<AppLimit>,
}

/// A bucket: `burst` points at once, refilled at `per_second`. A call costs one point where a connector says no other.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateLimit {
    /// Points per second, above 0.
    pub per_second: f64,
    /// Points at once, at least 1.
    pub burst: u32,
}

/// The bucket that all stores of one app share.
#[derive(Debug, Clone, PartialEq)]
pub struct AppLimit {
    /// Which app: the platform's name and its key.
    pub name: String,
    /// Its bucket.
    pub limit: RateLimit,
}

/// What a platform told of the store's bucket.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ReportedQuota {
    /// Points per second.
    pub per_second: f64,
    /// Points when it is full.
    pub burst: u32,
    /// Points that were in it after the call, where it says so.
    pub available: Option<u32>,
    /// Points that a call like this one is asked for beforehand, where it says so: they may differ from what
    /// [`Platform::cost`] states.
    pub cost: Option<u32>,
}

/// What a request may depend on beside the store and the call, so that connectors stay pure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// Now.
    pub now: DateTime<Utc>,
    /// A fresh random text: 32 lower-case hexadecimal digits.
    pub nonce: String,
}

/// What came of asking for new tokens.
#[derive(Debug, Clone)]
pub enum Renewal {
    /// All the store's credentials from now on. They are kept before they are used.
    Renewed(BTreeMap<String, SecretString>),
    /// The seller must sign in again.
    Refused {
        /// Why, in plain words.
        reason: String,
    },
    /// Later it may work.
    TryAgain {
        /// Why, in plain words.
        reason: String,
    },
}

/// A sellable variant as the platform lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variant {
    /// Its SKU at the platform, where it has one.
    pub sku: Option<String>,
    /// What a listing of it has as `external_id`.
    pub external_id: String,
    /// The connector's own fields of such a listing.
    pub extra: BTreeMap<String, String>,
    /// For people.
    pub title: String,
}

/// A page of variants.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VariantPage {
    /// What is on it.
    pub variants: Vec<Variant>,
    /// Where the next page begins; `None` on the last.
    pub next: Option<String>,
}

/// A connector: pure, shared by all stores of its kind.
pub trait Platform: Send + Sync {
    /// The word in `platform`.
    fn name(&self) -> &'static str;
    /// Checks a store's base URL, settings and credentials, each bad field named by its pointer
    /// (`/base_url`, `/credentials/token`, `/abilities/max_items`, …).
    ///
    /// # Errors
    /// All the bad fields.
    fn check_config(&self, store: &StoreConnection) -> Result<(), Vec<FieldError>>;
    /// The connector's own fields of a listing, beside SKU and external id (a location, a parent item, …).
    fn listing_fields(&self) -> &'static [&'static str];
    /// What this store can do and bear.
    fn facts(&self, store: &StoreConnection) -> Facts;
    /// What a call costs, in the points of [`Facts::per_store`].
    fn cost(&self, call: &Call) -> u32;
    /// The request for a call.
    ///
    /// # Errors
    /// What about the store or the items cannot be put into a request; never repeated as it is.
    fn request(&self, store: &StoreConnection, call: &Call, stamp: &Stamp) -> Result<Request, String>;
    /// What a reply says of the call.
    fn outcome(&self, store: &StoreConnection, call: &Call, reply: &Reply) -> Outcome;
    /// What a reply tells of the store's bucket.
    fn quota(&self, reply: &Reply) -> Option<ReportedQuota>;
    /// The request for a page of the store's variants, from `cursor` on.
    ///
    /// # Errors
    /// What about the store cannot be put into a request.
    fn variants_request(&self, store: &StoreConnection, cursor: Option<&str>, stamp: &Stamp) -> Result<Request, String>;
    /// A page of the store's variants.
    ///
    /// # Errors
    /// What the reply says instead.
    fn variants(&self, store: &StoreConnection, cursor: Option<&str>, reply: &Reply) -> Result<VariantPage, Outcome>;
    /// The request for new tokens: when they have ended or soon will, or, with `refused`, because the platform says so.
    /// `None` when there is nothing to renew.
    fn renewal_request(&self, store: &StoreConnection, stamp: &Stamp, refused: bool) -> Option<Request>;
    /// What came of [`Self::renewal_request`].
    fn renewal(&self, store: &StoreConnection, reply: &Reply, stamp: &Stamp) -> Renewal;
}

/// The connectors there are.
pub fn registry() -> &'static [&'static dyn Platform] {
    &[
        &simulated::Simulated,
        &shopify::Shopify,
        &shopline::Shopline,
        &shopline_open::ShoplineOpen,
        &shopee::Shopee,
        &woocommerce::WooCommerce,
        &lazada::Lazada,
        &tiktok_shop::TikTokShop,
        &amazon::Amazon,
        &ebay::Ebay,
        &vendure::Vendure,
        &medusa::Medusa,
    ]
}

/// The connector of this name.
pub fn by_name(name: &str) -> Option<&'static dyn Platform> {
    registry().iter().copied().find(|platform| platform.name() == name)
}
