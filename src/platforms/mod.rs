//! Outbound HTTP: what each platform is asked, how its answers are read, and the one place that sends.
//!
//! A connector is a table of facts plus pairs of pure functions: one builds a request, the other reads its reply
//! ([`Platform`]). It never sends, sleeps, retries or logs; [`client`] does that for all of them, through [`limits`]
//! and a [`transport`].
//!
//! # How to add a platform
//! 1. Add one file, `platforms/<name>.rs`. Its docs state the API version, the limits with their source, the quirks
//!    and the date they were checked.
//! 2. State its [`Facts`]: abilities, items per call, rate limits per store and per app.
//! 3. `request` turns a [`call::Call`] into a [`call::Request`]; `outcome` turns a [`call::Reply`] into an `Outcome`.
//!    An inconclusive answer is `Unknown`, never `TryAgain`. Variants (for pairing) and token renewal, where the
//!    platform has it, are pairs of the same kind.
//! 4. `check_config` says which fields a store on this platform needs and names each bad one in its error.
//! 5. Add the connector to [`registry`], and the fields that a person fills in to connect a store to [`form::FORMS`].
//! 6. Test success, partial success, throttling, an expired token, an unknown listing and a lost answer.
pub mod amazon;
pub mod call;
mod check;
pub mod client;
pub mod codes;
mod connector;
pub mod ebay;
pub mod fields;
#[cfg(test)]
mod fixtures;
pub mod form;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
pub mod lazada;
pub mod limits;
pub mod medusa;
mod oauth;
mod registry;
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

pub use connector::{AppLimit, Facts, Platform, RateLimit, Renewal, ReportedQuota, Stamp, Variant, VariantPage};
pub use registry::{by_name, registry};
