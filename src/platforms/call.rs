//! Calls, requests and replies as plain values. Secrets have a type that prints `[REDACTED]`.
use crate::domain::StoreId;
use crate::domain::retry::LONGEST_ASKED;
use chrono::{DateTime, NaiveDateTime, Utc};
use secrecy::SecretString;
use std::collections::BTreeMap;
use std::time::Duration;

/// A store as its connector sees it: its address, settings and credentials.
#[derive(Debug, Clone)]
pub struct StoreConnection {
    /// Our own id for the store, not the platform's.
    pub store_id: StoreId,
    /// The name of its connector.
    pub platform: String,
    /// The address of its server, for platforms that sellers host themselves.
    pub base_url: Option<String>,
    /// Connector-specific settings as JSON (`external_store`, `abilities`, `rate_limit`, …).
    pub config: serde_json::Map<String, serde_json::Value>,
    /// Connector-specific secrets by name.
    pub credentials: BTreeMap<String, SecretString>,
}

impl StoreConnection {
    /// A secret that `check_config` has required.
    ///
    /// # Errors
    /// A sentence that names the missing secret.
    pub fn secret(&self, name: &str) -> Result<&SecretString, String> {
        self.credentials.get(name).ok_or_else(|| format!("The store's credential {name} is missing."))
    }

    /// A text setting; `None` if it is missing or not text.
    pub fn setting(&self, name: &str) -> Option<&str> {
        self.config.get(name).and_then(serde_json::Value::as_str)
    }
}

/// What a call does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// Add each item's `quantity` (signed) to what is shown.
    Adjust,
    /// Make each item show its `quantity`, but only if it shows `expected` where that is given.
    Set,
    /// Read the quantity that each item shows.
    Read,
    /// Make any request that reveals whether the store is reachable and its credentials work. It has no items.
    Check,
}

/// One listing in a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallItem {
    /// The platform's identifier for the listing.
    pub external_id: String,
    /// Connector-specific fields of the listing (location, parent, …).
    pub extra: BTreeMap<String, String>,
    /// Units: the change for `Adjust`, the new quantity for `Set`, 0 for `Read`.
    pub quantity: i64,
    /// For compare-and-set: the quantity that must be shown beforehand.
    pub expected: Option<i64>,
}

/// One call about some listings of one store, at most [`Abilities::max_items`](crate::domain::delivery::Abilities::max_items).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// What to do with the items.
    pub action: Action,
    /// Empty for [`Action::Check`].
    pub items: Vec<CallItem>,
    /// Where the platform supports it, repeating a call with the same key has no further effect.
    pub idempotency_key: Option<String>,
}

/// HTTP methods that connectors use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of HTTP")]
pub enum Method {
    Get,
    Post,
    Put,
    Patch,
}

/// One HTTP request, ready to be sent. Its query and body may hold secrets, so neither is ever printed.
#[derive(Clone)]
pub struct Request {
    /// GET unless set otherwise.
    pub method: Method,
    /// The full URL, including the query.
    pub url: String,
    /// Headers without secrets.
    pub headers: Vec<(&'static str, String)>,
    /// Headers that hold secrets, which are never printed.
    pub secret_headers: Vec<(&'static str, SecretString)>,
    /// The body: JSON unless a header says otherwise.
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
    /// If the body cannot be written as JSON.
    pub fn json(method: Method, url: impl Into<String>, body: &impl serde::Serialize) -> Result<Self, String> {
        let body = serde_json::to_string(body).map_err(|e| e.to_string())?;
        Ok(Self { method, headers: vec![("content-type", "application/json".to_owned())], body: Some(body), ..Self::get(url) })
    }

    /// Adds a header that holds a secret.
    #[must_use]
    pub fn secret_header(mut self, name: &'static str, value: impl Into<SecretString>) -> Self {
        self.secret_headers.push((name, value.into()));
        self
    }

    /// Adds a header without secrets.
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

/// One complete HTTP reply, of bounded size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status code.
    pub status: u16,
    /// Headers, with names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body as text; bytes that are not UTF-8 are replaced.
    pub body: String,
}

impl Reply {
    /// The first header with this name, given in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// `Retry-After` (RFC 9110, section 10.2.3), in seconds or as a date, which counts from the reply's own `Date`. At most
    /// [`LONGEST_ASKED`].
    pub fn retry_after(&self) -> Option<Duration> {
        let text = self.header("retry-after")?.trim();
        let seconds = text.parse::<f64>().ok().filter(|seconds| *seconds >= 0.0);
        let by_date = || {
            let wait = http_date(text)?.signed_duration_since(http_date(self.header("date")?)?);
            Some(wait.to_std().unwrap_or(Duration::ZERO))
        };
        let longest = LONGEST_ASKED.as_secs_f64();
        seconds.map(|seconds| Duration::from_secs_f64(seconds.min(longest))).or_else(by_date).map(|wait| wait.min(LONGEST_ASKED))
    }
}

/// The instant of an HTTP date (RFC 9110, section 5.6.7), in any of its three forms.
fn http_date(text: &str) -> Option<DateTime<Utc>> {
    let text = text.trim();
    if let Ok(date) = DateTime::parse_from_rfc2822(text) {
        return Some(date.to_utc());
    }
    let formats = ["%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"];
    formats.iter().find_map(|format| NaiveDateTime::parse_from_str(text, format).ok()).map(|date| date.and_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_asked_for_in_seconds_or_by_date_and_never_lasts_longer_than_an_hour() {
        let date = ("date".to_owned(), "Mon, 02 Mar 2026 12:00:00 GMT".to_owned());
        let asked = |text: &str| {
            let headers = vec![("retry-after".to_owned(), text.to_owned()), date.clone()];
            Reply { status: 429, headers, body: String::new() }.retry_after()
        };
        for (text, seconds) in [
            ("7", Some(7.0)),
            (" 0.5 ", Some(0.5)),
            ("0", Some(0.0)),
            ("3601", Some(3600.0)),
            ("99999999999", Some(3600.0)),
            ("1e400", Some(3600.0)),
            ("Mon, 02 Mar 2026 12:00:30 GMT", Some(30.0)),
            ("Mon, 02 Mar 2026 11:00:00 GMT", Some(0.0)),
            ("Tue, 02 Mar 2027 12:00:00 GMT", Some(3600.0)),
            ("Monday, 02-Mar-26 12:00:30 GMT", Some(30.0)),
            ("Mon Mar  2 12:00:30 2026", Some(30.0)),
            ("-1", None),
            ("NaN", None),
            ("soon", None),
            ("", None),
        ] {
            assert_eq!(asked(text), seconds.map(Duration::from_secs_f64), "{text:?}");
        }
        let undated = Reply { status: 429, headers: vec![("retry-after".into(), date.1)], body: String::new() };
        assert_eq!(undated.retry_after(), None);
    }
}
