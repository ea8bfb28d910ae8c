//! Outbound HTTP: what each platform is asked, how its answers are read, and the one place that sends.
//!
//! A connector is a table of facts plus pairs of pure functions: one builds a request, the other reads its reply
//! ([`Platform`]). It never sends, sleeps, retries or logs; [`client`] does that for all of them, through [`limits`]
//! and a [`transport`].
//!
//! Some platforms let a seller connect a shop by consent ([`authorize`], [`consents()`]), and call when that is withdrawn
//! ([`notice`], [`notices_of`]).
//!
//! `CONTRIBUTING.md` says step by step how to add a platform: its file, its place in [`registry()`], its form in
//! [`form::FORMS`], its tests.
pub mod amazon;
pub mod authorize;
pub mod call;
mod check;
pub mod client;
pub mod codes;
mod connector;
mod consents;
pub mod ebay;
pub mod fields;
#[cfg(test)]
mod fixtures;
pub mod form;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
pub mod identity;
mod interference;
pub mod lazada;
pub mod lenient;
pub mod limits;
pub mod location;
mod mask;
pub mod medusa;
pub mod notice;
mod notices;
mod oauth;
mod receiver;
mod registry;
pub mod shopee;
pub mod shopify;
pub mod shopline;
pub mod shopline_open;
pub mod sign;
pub mod simulated;
pub mod tiktok_shop;
pub mod timings;
pub mod transport;
pub mod vendure;
pub mod woocommerce;

pub use check::check_base_url;
pub use connector::{AppLimit, Facts, Platform, RESERVED, RateLimit, Renewal, ReportedQuota, Stamp, Variant, VariantPage};
pub use consents::{consent_of, consents};
pub use notices::notices_of;
pub use receiver::check_receiver;
pub use registry::{by_name, registry};
