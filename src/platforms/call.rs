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

impl StoreConnection {
    /// A secret that the store was checked to have.
    ///
    /// # Errors
    /// Its name, in words, when it is not there.
    pub fn secret(&self, name: &str) -> Result<&SecretString, String> {
        self.credentials.get(name).ok_or_else(|| format!("The store's credential {name} is missing."))
    }

    /// A setting that is text.
    pub fn setting(&self, name: &str) -> Option<&str> {
        self.config.get(name).and_then(serde_json::Value::as_str)
    }
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

/// One HTTP request, ready to be sent. Its query and its body may hold secrets too, so neither is ever printed.
#[derive(Clone)]
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

impl Request {
    /// A GET without headers.
    pub fn get(url: impl Into<String>) -> Self {
        Self { method: Method::Get, url: url.into(), headers: Vec::new(), secret_headers: Vec::new(), body: None }
    }

    /// A request with a JSON body.
    ///
    /// # Errors
    /// The body is not JSON's to write, in words.
    pub fn json(method: Method, url: impl Into<String>, body: &impl serde::Serialize) -> Result<Self, String> {
        let body = serde_json::to_string(body).map_err(|e| e.to_string())?;
        Ok(Self { method, headers: vec![("content-type", "application/json".to_owned())], body: Some(body), ..Self::get(url) })
    }

    /// The same with one more header that nobody may see.
    #[must_use]
    pub fn secret_header(mut self, name: &'static str, value: impl Into<SecretString>) -> Self {
        self.secret_headers.push((name, value.into()));
        self
    }

    /// The same with one more header.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let address = self.url.split('?').next().unwrap_or_default();
        f.debug_struct("Request").field("method", &self.method).field("url", &address).finish_non_exhaustive()
    }
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
