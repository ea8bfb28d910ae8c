//! What several connectors read from a store's settings. How they check them is in [`super::check`].
use super::RateLimit;
use super::call::{CallItem, StoreConnection};
use crate::domain::FieldError;
use crate::domain::problem::pointer_to;
use serde::de::DeserializeOwned;
use serde_json::Value;

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

/// A setting that the store was checked to have.
///
/// # Errors
/// Its name, in words, when it is not there.
pub fn needed<'a>(store: &'a StoreConnection, name: &str) -> Result<&'a str, String> {
    store.setting(name).ok_or_else(|| format!("The store's setting {name} is missing."))
}

/// The store's `max_items`, or else `usual`: items in one call, `most` at most.
pub fn max_items(store: &StoreConnection, usual: u64, most: u64) -> usize {
    let given = number(store, "max_items").unwrap_or(usual).clamp(1, most.max(1));
    usize::try_from(given).unwrap_or(1)
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
