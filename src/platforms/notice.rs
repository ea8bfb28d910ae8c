//! Calls from platforms: that a shop's owner has removed the app, and the privacy requests that app stores demand. Everything here
//! is pure.
//!
//! A call counts only if the platform has signed it with the secret of the operator's app. Even then it is a hint: it may be late, or
//! be sent again by somebody who has seen it, so whoever hears that an app was removed asks the shop whether that is so.
//!
//! Each platform that calls has a small file in its folder, and a line in [`notices_of`](super::notices_of).
use super::authorize::App;
use serde_json::{Map, Value};
use subtle::ConstantTimeEq;

/// A call from a platform.
#[derive(Clone, Copy)]
#[expect(missing_debug_implementations, reason = "holds a function")]
pub struct PlatformCall<'a> {
    /// The address that was called, as the platform knows it.
    pub url: &'a str,
    /// A header by its name, which is in lower case.
    pub header: &'a dyn Fn(&str) -> Option<String>,
    /// The body.
    pub body: &'a [u8],
}

/// What a platform says.
#[derive(Debug, Clone, PartialEq)]
pub struct Notice {
    /// The shop, as the settings of a store say which one it is.
    pub shop: Map<String, Value>,
    /// What it is about.
    pub about: About,
}

/// What a call is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum About {
    /// The shop's owner has removed the app.
    AppRemoved,
    /// Data about a shop or its customers is asked for, or to be deleted: the platform's own name of the request.
    Privacy(String),
    /// Nothing that concerns this service.
    Other,
}

/// Why a call says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unheard {
    /// The platform has not signed it.
    Forged,
    /// It is signed, but not what the platform documents.
    Unreadable,
}

/// How one platform calls.
pub trait Notices: Sync {
    /// What a call says.
    ///
    /// # Errors
    /// See [`Unheard`].
    fn notice(&self, app: &App, call: PlatformCall<'_>) -> Result<Notice, Unheard>;
}

/// Checks a signature in a time that does not tell where it differs.
pub(super) fn check_signature(given: Option<String>, right: &str) -> Result<(), Unheard> {
    let is_right = given.is_some_and(|given| given.as_bytes().ct_eq(right.as_bytes()).into());
    if is_right { Ok(()) } else { Err(Unheard::Forged) }
}

/// The body as a JSON object.
pub(super) fn object(body: &[u8]) -> Result<Map<String, Value>, Unheard> {
    serde_json::from_slice(body).map_err(|_| Unheard::Unreadable)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::collections::BTreeMap;

    pub(in crate::platforms) fn app() -> App {
        let (scopes, settings) = (Vec::new(), BTreeMap::new());
        App { client_id: "2001".into(), secret: "hush".into(), scopes, sandbox: false, base_url: None, settings }
    }

    /// What a call with these headers and this body says.
    pub(in crate::platforms) fn heard(of: &dyn Notices, headers: &[(&str, &str)], body: &str) -> Result<Notice, Unheard> {
        let header = |name: &str| headers.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        of.notice(&app(), PlatformCall { url: "https://stock.example.com/hooks/x", header: &header, body: body.as_bytes() })
    }
}
