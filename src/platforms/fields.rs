//! What several connectors read from a store's settings, and how they check them: each bad field named by its pointer.
use super::RateLimit;
use super::call::{CallItem, StoreConnection};
use super::sign::EXPIRES_AT;
use crate::domain::FieldError;
use crate::domain::ids::check_text;
use crate::domain::problem::pointer_to;
use chrono::{DateTime, Utc};
use secrecy::ExposeSecret;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Characters of a setting at most.
const MAX_TEXT: usize = 256;

/// A setting that is a whole number, given as one or as text: platforms' ids are too long for some clients' numbers.
pub fn number(store: &StoreConnection, name: &str) -> Option<u64> {
    match store.config.get(name)? {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => whole(text),
        _ => None,
    }
}

/// A whole number in digits alone.
pub fn whole(text: &str) -> Option<u64> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// What a store with this credential, or without it, needs of another field.
pub fn needed_with(store: &StoreConnection, credential: &str) -> Need {
    if store.credentials.contains_key(credential) { Need::Needed } else { Need::Optional }
}

/// A setting that the store was checked to have.
///
/// # Errors
/// Its name, in words, when it is not there.
pub fn needed<'a>(store: &'a StoreConnection, name: &str) -> Result<&'a str, String> {
    store.setting(name).ok_or_else(|| format!("The store's setting {name} is missing."))
}

/// Where a store's platform is: its own `base_url`, or else `usual`; without a slash at the end.
pub fn base<'a>(store: &'a StoreConnection, usual: &'a str) -> &'a str {
    store.base_url.as_deref().unwrap_or(usual).trim_end_matches('/')
}

/// What the listing says itself, or else the store for all its listings (a location, a warehouse).
pub fn own_or_stores<'a>(item: &'a CallItem, store: &'a StoreConnection, name: &str) -> Option<&'a str> {
    item.extra.get(name).map(String::as_str).or_else(|| store.setting(name))
}

/// A setting that is an object.
///
/// # Errors
/// It is none, or not one of these fields.
pub fn object<T: DeserializeOwned>(store: &StoreConnection, name: &str) -> Result<Option<T>, FieldError> {
    let Some(value) = store.config.get(name) else { return Ok(None) };
    // serde would take a list of values in the order of the fields, too.
    if !value.is_object() {
        return Err(FieldError::new(pointer_to(name), "must be a JSON object"));
    }
    let read = serde_path_to_error::deserialize(value);
    read.map(Some).map_err(|error| FieldError::of_serde(error.path(), error.inner()).under(&pointer_to(name)))
}

/// The store's `rate_limit`, or else `usual`.
///
/// # Errors
/// It is not one, or out of bounds.
pub fn rate_limit(store: &StoreConnection, usual: RateLimit) -> Result<RateLimit, FieldError> {
    let Some(limit) = object::<RateLimit>(store, "rate_limit")? else { return Ok(usual) };
    if !(0.001..=10_000.0).contains(&limit.per_second) {
        return Err(FieldError::new("/rate_limit/per_second", "must be from 0.001 to 10000 calls per second"));
    }
    if !(1..=100_000).contains(&limit.burst) {
        return Err(FieldError::new("/rate_limit/burst", "must be from 1 to 100000 calls"));
    }
    Ok(limit)
}

/// Whether a store needs a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// It must be there.
    Needed,
    /// It may be left out.
    Optional,
}

/// A check of all that a store was given. What was not asked for by the end is not a field of this platform.
#[derive(Debug)]
pub struct Check<'a> {
    store: &'a StoreConnection,
    settings: Vec<&'static str>,
    secrets: Vec<&'static str>,
    errors: Vec<FieldError>,
}

impl<'a> Check<'a> {
    /// Of `store`, whose `base_url` may be left out unless it is `needed`.
    pub fn new(store: &'a StoreConnection, base_url: Need) -> Self {
        let mut check = Self { store, settings: Vec::new(), secrets: Vec::new(), errors: Vec::new() };
        match store.base_url.as_deref().map(reqwest::Url::parse) {
            None if base_url == Need::Optional => {}
            None => check.bad("/base_url", "is needed for a store of this platform"),
            Some(Ok(url))
                if matches!(url.scheme(), "http" | "https") && url.has_host() && url.query().is_none() && url.fragment().is_none() => {}
            Some(_) => check.bad("/base_url", "must be an http or https address without query, such as https://shop.example.com"),
        }
        check
    }

    fn bad(&mut self, pointer: impl Into<String>, detail: impl Into<String>) {
        self.errors.push(FieldError::new(pointer, detail));
    }

    /// A setting that is a whole number, as a number or as text.
    #[must_use]
    pub fn number(mut self, name: &'static str, need: Need) -> Self {
        self.settings.push(name);
        if self.store.config.contains_key(name) {
            if number(self.store, name).is_none() {
                self.bad(format!("/{name}"), "must be a whole number");
            }
        } else if need == Need::Needed {
            self.bad(format!("/{name}"), "is needed for a store of this platform");
        }
        self
    }

    /// A setting that is text.
    #[must_use]
    pub fn text(mut self, name: &'static str, need: Need) -> Self {
        self.settings.push(name);
        match self.store.config.get(name) {
            None if need == Need::Optional => {}
            None => self.bad(format!("/{name}"), "is needed for a store of this platform"),
            Some(Value::String(text)) => {
                let bad = check_text(text, "it", MAX_TEXT).err();
                self.errors.extend(bad.map(|e| FieldError::new(format!("/{name}"), e)));
            }
            Some(_) => self.bad(format!("/{name}"), "must be text"),
        }
        self
    }

    /// A setting that stands in an address, between dots or slashes: letters, digits, `-` and `_`.
    #[must_use]
    pub fn label(mut self, name: &'static str, need: Need) -> Self {
        let fits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
        if self.store.setting(name).is_none_or(fits) {
            return self.text(name, need);
        }
        self.settings.push(name);
        self.bad(format!("/{name}"), "must be letters, digits, - and _ alone");
        self
    }

    /// A setting that is one of these words.
    #[must_use]
    pub fn word(mut self, name: &'static str, need: Need, words: &[&str]) -> Self {
        self.settings.push(name);
        let given = self.store.config.get(name);
        if given.is_none() && need == Need::Optional || given.and_then(Value::as_str).is_some_and(|word| words.contains(&word)) {
            return self;
        }
        self.bad(format!("/{name}"), format!("must be one of: {}", words.join(", ")));
        self
    }

    /// The setting `rate_limit`.
    #[must_use]
    pub fn rate_limit(mut self) -> Self {
        self.settings.push("rate_limit");
        let usual = RateLimit { per_second: 1.0, burst: 1 };
        self.errors.extend(rate_limit(self.store, usual).err());
        self
    }

    /// A secret.
    #[must_use]
    pub fn secret(mut self, name: &'static str, need: Need) -> Self {
        self.secrets.push(name);
        match self.store.credentials.get(name).map(ExposeSecret::expose_secret) {
            None if need == Need::Optional => {}
            None => self.bad(format!("/credentials/{name}"), "is needed for a store of this platform"),
            Some(text) if text.is_empty() || !text.bytes().all(|b| b.is_ascii_graphic()) => {
                self.bad(format!("/credentials/{name}"), "must be visible ASCII characters");
            }
            Some(_) => {}
        }
        self
    }

    /// The tokens of a store whose access token ends: at least one of `names`, among them `auth_code` (the code that the
    /// platform gave when the seller allowed the app, to be exchanged for the first tokens).
    #[must_use]
    pub fn tokens(mut self, names: &[&'static str]) -> Self {
        for name in names {
            self = self.secret(name, Need::Optional);
        }
        self.secrets.push(EXPIRES_AT);
        let given = |name: &&str| self.store.credentials.contains_key(*name);
        if !names.iter().any(given) {
            let first = names.first().copied().unwrap_or_default();
            self.bad(format!("/credentials/{first}"), format!("is needed; one of {} will do", names.join(", ")));
        }
        let ends_at = self.store.credentials.get(EXPIRES_AT).map(ExposeSecret::expose_secret);
        if ends_at.is_some_and(|text| text.parse::<DateTime<Utc>>().is_err()) {
            self.bad(format!("/credentials/{EXPIRES_AT}"), "must be an instant, such as 2026-11-30T12:00:00Z");
        }
        self
    }

    /// All that is wrong.
    ///
    /// # Errors
    /// The bad fields.
    pub fn done(mut self) -> Result<(), Vec<FieldError>> {
        let settings = self.store.config.keys().filter(|name| !self.settings.contains(&name.as_str()));
        let strange = settings.map(|name| FieldError::new(pointer_to(name), "is not a setting of a store of this platform"));
        let secrets = self.store.credentials.keys().filter(|name| !self.secrets.contains(&name.as_str()));
        let known = self.secrets.join(", ");
        let unknown = secrets.map(|name| {
            FieldError::new(
                pointer_to(name).replacen('/', "/credentials/", 1),
                format!("is not a credential of this platform; it has {known}"),
            )
        });
        self.errors.extend(strange.chain(unknown).collect::<Vec<_>>());
        if self.errors.is_empty() { Ok(()) } else { Err(self.errors) }
    }
}
