//! Calls, requests and replies as plain values. Secrets are in a type that prints `[REDACTED]`.
use crate::domain::StoreId;
use secrecy::SecretString;
use std::collections::BTreeMap;
use std::time::Duration;

/// Where a store is and how to get in: what a connector knows of it.
#[derive(Debug, Clone)]
pub struct StoreConnection {
    /// Our id of the store.
    pub store_id: StoreId,
    /// The word in `platform`.
    pub platform: String,
    /// Where it is, for platforms that are not in one place.
    pub base_url: Option<String>,
    /// The connector's own settings of the store, as JSON (`external_store`, `abilities`, `rate_limit`, …).
    pub config: serde_json::Map<String, serde_json::Value>,
    /// The connector's own secrets by name.
    pub credentials: BTreeMap<String, SecretString>,
}

/// What a call asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// Add each item's `quantity` (signed) to what is shown.
    Adjust,
    /// Make each item show its `quantity`, if it shows `expected` where that is given.
    Set,
    /// Ask what each item shows.
    Read,
    /// Ask anything that shows whether the store can be reached and the credentials work; no items.
    Check,
}

/// One item of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallItem {
    /// The platform's own name of the listing.
    pub external_id: String,
    /// The connector's own particulars of the listing (location, parent, …).
    pub extra: BTreeMap<String, String>,
    /// Units: the change, or the quantity to show; 0 in a read.
    pub quantity: i64,
    /// For compare-and-set: what must be shown before.
    pub expected: Option<i64>,
}

/// One call about up to a page of listings of one store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// What is asked for.
    pub action: Action,
    /// For these listings.
    pub items: Vec<CallItem>,
    /// The same key with the same call is applied once, where the platform has that.
    pub idempotency_key: Option<String>,
}

/// HTTP methods that connectors use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "they are what they are")]
pub enum Method {
    Get,
    Post,
    Put,
    Patch,
}

/// One HTTP request, ready to be sent.
#[derive(Debug, Clone)]
pub struct Request {
    /// Its method.
    pub method: Method,
    /// The whole address, with its query.
    pub url: String,
    /// Plain headers.
    pub headers: Vec<(&'static str, String)>,
    /// Headers that nobody may see.
    pub secret_headers: Vec<(&'static str, SecretString)>,
    /// The body, JSON unless a header says otherwise.
    pub body: Option<String>,
}

/// One HTTP reply, whole and bounded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// Headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body as text; bytes that are not UTF-8 are replaced.
    pub body: String,
}

impl Reply {
    /// The first header of that (lower case) name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// `Retry-After` in seconds (RFC 9110, section 10.2.3; the date form is not used by any platform here). Bounded
    /// to a day, so that a wrong header cannot silence a store for good.
    pub fn retry_after(&self) -> Option<Duration> {
        let seconds: f64 = self.header("retry-after")?.trim().parse().ok()?;
        (seconds.is_finite() && seconds >= 0.0).then(|| Duration::from_secs_f64(seconds.min(86_400.0)))
    }
}
