//! The contract between connectors and the rest: the trait [`Platform`] and the values that cross it. Everything here
//! is pure; sending is the job of [`client`](super::client).
use super::call::{Call, Reply, Request, StoreConnection};
use crate::domain::FieldError;
use crate::domain::delivery::{Abilities, Outcome};
use crate::domain::quota::DailyQuota;
use chrono::{DateTime, Utc};
use secrecy::SecretString;
use std::collections::BTreeMap;

/// The field of an item in a set that says how many units are reserved for orders.
pub const RESERVED: &str = "reserved";

/// A store's abilities and limits, as its connector states them given the store's configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    /// What can be done with this store.
    pub abilities: Abilities,
    /// Every set is preceded by a read, and a listing that cannot be read is not set: see [`Platform::reserved`]. So where
    /// what is set is the stock on hand, from which the platform subtracts what it has reserved for orders, what is reserved
    /// is added; and where a quantity could mean that of a warehouse or the total, it is known that there is only one.
    pub reads_before_set: bool,
    /// Whether a successful check shows that the store may be written to, and not only read.
    pub proves_writes: bool,
    /// The listing field (one of [`Platform::listing_fields`]) that all items of one call must share, for platforms
    /// that accept only, say, variants of one product together.
    pub group_by: Option<&'static str>,
    /// The field (one of [`Platform::listing_fields`], and a setting of the store) that says where stock is kept, where the
    /// platform has several places. A store that has it is written to there and nowhere else.
    pub location: Option<&'static str>,
    /// The limit on calls to this store, in points; see [`Platform::cost`].
    pub per_store: RateLimit,
    /// The limit on one app's calls to all its stores together, where the platform has one.
    pub per_app: Option<AppLimit>,
}

/// A token bucket: it holds up to `burst` points and refills at `per_second`. A call costs one point unless the
/// connector states another cost.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateLimit {
    /// Points per second, above 0.
    pub per_second: f64,
    /// Points in a full bucket, at least 1.
    pub burst: u32,
}

impl RateLimit {
    /// The part of one of so many nodes, so that all of them together stay within the limit.
    #[must_use]
    pub(super) fn among(self, nodes: u32) -> Self {
        Self { per_second: self.per_second / f64::from(nodes.max(1)), burst: (self.burst / nodes.max(1)).max(1) }
    }
}

/// The limits that all stores of one app share.
#[derive(Debug, Clone, PartialEq)]
pub struct AppLimit {
    /// Identifies the app: the platform's name and the app's key.
    pub name: String,
    /// The shared bucket, where the platform has one.
    pub limit: Option<RateLimit>,
    /// What the app may call in a day, where the platform has such a limit.
    pub per_day: Option<DailyQuota>,
}

/// The store's bucket as the platform reported it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ReportedQuota {
    /// Points per second.
    pub per_second: f64,
    /// Points in a full bucket.
    pub burst: u32,
    /// Points left after the call, where reported.
    pub available: Option<u32>,
    /// Points that the platform demands up front for a call like this one, where reported. May differ from the cost
    /// that [`Platform::cost`] states.
    pub cost: Option<u32>,
}

/// The time and randomness that a request may depend on. They are passed in so that connectors stay pure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// The current time.
    pub now: DateTime<Utc>,
    /// Fresh random text: 32 lower-case hexadecimal digits.
    pub nonce: String,
}

/// The result of a token renewal.
#[derive(Debug, Clone)]
pub enum Renewal {
    /// The store's complete new set of credentials. They are saved before they are used.
    Renewed(BTreeMap<String, SecretString>),
    /// The seller must sign in again.
    Refused {
        /// Why, in plain words.
        reason: String,
    },
    /// The renewal failed for now but may succeed later.
    TryAgain {
        /// Why, in plain words.
        reason: String,
    },
}

/// A sellable variant as the platform lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variant {
    /// Its SKU on the platform, if it has one.
    pub sku: Option<String>,
    /// The `external_id` of a listing paired with it.
    pub external_id: String,
    /// The connector's own fields for such a listing.
    pub extra: BTreeMap<String, String>,
    /// A name for display.
    pub title: String,
}

/// A page of variants.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VariantPage {
    /// The variants on this page, in the platform's order.
    pub variants: Vec<Variant>,
    /// The cursor of the next page; `None` on the last page.
    pub next: Option<String>,
}

/// A connector: pure, and shared by all stores on its platform.
pub trait Platform: Send + Sync {
    /// The value of a store's `platform` field.
    fn name(&self) -> &'static str;
    /// Checks a store's base URL, settings and credentials.
    ///
    /// # Errors
    /// All the bad fields, each named by its pointer (`/base_url`, `/credentials/token`, `/abilities/max_items`, …).
    fn check_config(&self, store: &StoreConnection) -> Result<(), Vec<FieldError>>;
    /// The fields that a listing has on this platform besides SKU and external id (a location, a parent item, …).
    fn listing_fields(&self) -> &'static [&'static str];
    /// The one of them without which a listing cannot be reached, if there is one.
    fn required_field(&self, store: &StoreConnection) -> Option<&'static str> {
        self.facts(store).group_by
    }
    /// What this store can do, and how many calls it tolerates.
    fn facts(&self, store: &StoreConnection) -> Facts;
    /// The cost of a call, in points of [`Facts::per_store`].
    fn cost(&self, call: &Call) -> u32;
    /// Builds the request for a call.
    ///
    /// # Errors
    /// What is wrong with the store or the items. The call is not retried unchanged.
    fn request(&self, store: &StoreConnection, call: &Call, stamp: &Stamp) -> Result<Request, String>;
    /// Reads the reply to [`Self::request`].
    fn outcome(&self, store: &StoreConnection, call: &Call, reply: &Reply) -> Outcome;
    /// How many units of each item are to be added to what is set, since they are reserved for orders, by the reply to a read;
    /// `None` for an item that must not be set. Used only where [`Facts::reads_before_set`]; a set finds the number in the item's
    /// field [`RESERVED`].
    fn reserved(&self, store: &StoreConnection, call: &Call, reply: &Reply) -> Vec<Option<i64>>;
    /// The shop's own name on the platform, if the reply to a check or to [`Self::shop_request`] tells it.
    fn shop(&self, reply: &Reply) -> Option<String>;
    /// A further call after a check, whose reply names the shop; `None` where there is none, or the check's reply or the store's
    /// settings tell already.
    fn shop_request(&self, store: &StoreConnection, stamp: &Stamp) -> Option<Result<Request, String>>;
    /// The state of the store's bucket, if the reply reports it.
    fn quota(&self, reply: &Reply) -> Option<ReportedQuota>;
    /// Builds the request for a page of the store's variants: the first page, or the one at `cursor`.
    ///
    /// # Errors
    /// What is wrong with the store or the cursor.
    fn variants_request(&self, store: &StoreConnection, cursor: Option<&str>, stamp: &Stamp) -> Result<Request, String>;
    /// Reads the reply to [`Self::variants_request`].
    ///
    /// # Errors
    /// What the reply means when it is not a page.
    fn variants(&self, store: &StoreConnection, cursor: Option<&str>, reply: &Reply) -> Result<VariantPage, Outcome>;
    /// Builds the request for new tokens if the old ones have expired or soon will, or if `refused`, meaning that the
    /// platform has just refused them. `None` when there is nothing to renew.
    fn renewal_request(&self, store: &StoreConnection, stamp: &Stamp, refused: bool) -> Option<Request>;
    /// Reads the reply to [`Self::renewal_request`].
    fn renewal(&self, store: &StoreConnection, reply: &Reply, stamp: &Stamp) -> Renewal;
}
