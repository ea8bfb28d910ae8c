//! Outbound HTTP: what each platform is asked and how its answers are read, and the one place that sends.
//!
//! A connector is two pure functions and a table of facts ([`Platform`]). It never sends, sleeps, retries or logs;
//! [`client`] does that for all of them, through [`limits`] and a [`transport`].
//!
//! # How to add a platform
//! 1. One file `platforms/<name>.rs`; its docs say API version, limits with their source, quirks, date checked.
//! 2. State its [`Facts`]: abilities, items per call, rate limits per store and per app.
//! 3. `request`: a [`call::Call`] becomes a [`call::Request`]. `outcome`: a [`call::Reply`] becomes an
//!    [`Outcome`]. An answer that does not say is `Unknown`, never `TryAgain`.
//! 4. `check_config`: which fields a store of this kind needs, each named in its error.
//! 5. Add it to [`registry`].
//! 6. Tests: success, partial success, throttled, token expired, unknown listing, lost answer.
pub mod call;
pub mod client;
pub mod limits;
pub mod simulated;
pub mod transport;

use crate::domain::FieldError;
use crate::domain::delivery::{Abilities, Outcome};
use call::{Call, Reply, Request, StoreConnection};

/// What a connector states about one store: abilities and limits, given the store's configuration.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Facts {
    /// What it can do.
    pub abilities: Abilities,
    /// Calls to one store.
    pub per_store: RateLimit,
    /// Calls of our app to all stores of the platform together, where the platform counts so.
    pub per_app: Option<RateLimit>,
}

/// A bucket: `burst` calls at once, refilled at `per_second`.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateLimit {
    /// Calls per second, above 0.
    pub per_second: f64,
    /// Calls at once, at least 1.
    pub burst: u32,
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
    /// The request for a call.
    ///
    /// # Errors
    /// What about the store or the items cannot be put into a request; never repeated as it is.
    fn request(&self, store: &StoreConnection, call: &Call) -> Result<Request, String>;
    /// What a reply says of the call.
    fn outcome(&self, call: &Call, reply: &Reply) -> Outcome;
}

/// The connectors there are.
pub fn registry() -> &'static [&'static dyn Platform] {
    &[&simulated::Simulated]
}

/// The connector of this name.
pub fn by_name(name: &str) -> Option<&'static dyn Platform> {
    registry().iter().copied().find(|platform| platform.name() == name)
}
