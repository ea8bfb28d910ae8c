//! Reads the store settings that several connectors share. Validation is in [`super::check`].
use super::call::{CallItem, StoreConnection};
use super::connector::{RESERVED, RateLimit};
use crate::domain::FieldError;
use crate::domain::problem::pointer_to;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// A setting that is a whole number. It may be written as text, because platforms' ids are too long for some clients'
/// number types.
pub fn number(store: &StoreConnection, name: &str) -> Option<u64> {
    match store.config.get(name)? {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => whole(text),
        _ => None,
    }
}

/// Parses a whole number that consists of digits only.
pub fn whole(text: &str) -> Option<u64> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// A text setting that `check_config` has required.
///
/// # Errors
/// A sentence that names the missing setting.
pub fn required<'a>(store: &'a StoreConnection, name: &str) -> Result<&'a str, String> {
    store.setting(name).ok_or_else(|| format!("The store's setting {name} is missing."))
}

/// The number of items in one call: the store's `max_items` or else `default`, from 1 to `most`.
pub fn max_items(store: &StoreConnection, default: u64, most: u64) -> usize {
    let given = number(store, "max_items").unwrap_or(default).clamp(1, most.max(1));
    usize::try_from(given).unwrap_or(1)
}

/// What one app may call in a day: the store's `app_calls_per_day` or else `default`.
pub fn calls_per_day(store: &StoreConnection, default: u32) -> u32 {
    number(store, CALLS_PER_DAY).and_then(|calls| u32::try_from(calls).ok()).unwrap_or(default).max(FEWEST_CALLS)
}

/// The setting that says how many calls the app has in a day.
pub const CALLS_PER_DAY: &str = "app_calls_per_day";
/// The smallest quota of a day that makes sense.
pub const FEWEST_CALLS: u32 = 10;

/// The internal setting that says how often the size of discovery's pages was halved. No connector's `check_config`
/// accepts it from a seller.
const HALVED_PAGES: &str = "halved_pages";

/// The store, with pages of a size that was halved so often.
pub fn with_smaller_pages(store: &StoreConnection, halvings: u32) -> StoreConnection {
    let mut store = store.clone();
    if halvings > 0 {
        store.config.insert(HALVED_PAGES.to_owned(), halvings.into());
    }
    store
}

/// The size of discovery's pages, which is `full` unless the store's answers were too large or too slow.
pub fn page_size(store: &StoreConnection, full: usize) -> usize {
    let halvings = number(store, HALVED_PAGES).and_then(|n| u32::try_from(n).ok()).unwrap_or(0);
    full.checked_shr(halvings).unwrap_or(0).max(1)
}

/// The address of the platform's server: the store's `base_url` or else `default`, without a trailing slash.
pub fn base<'a>(store: &'a StoreConnection, default: &'a str) -> &'a str {
    store.base_url.as_deref().unwrap_or(default).trim_end_matches('/')
}

/// A field (a location, a warehouse) from the listing, or else from the settings of its store.
pub fn listing_or_store_setting<'a>(item: &'a CallItem, store: &'a StoreConnection, name: &str) -> Option<&'a str> {
    item.extra.get(name).map(String::as_str).or_else(|| store.setting(name))
}

/// What a set makes the stock on hand: the item's quantity and what is reserved for orders.
pub fn on_hand(item: &CallItem) -> i64 {
    let reserved = item.extra.get(RESERVED).and_then(|units| units.parse().ok()).unwrap_or(0);
    item.quantity.saturating_add(reserved)
}

/// A setting that is a JSON object.
///
/// # Errors
/// If it is not an object, or does not have exactly the fields of `T`.
pub fn object<T: DeserializeOwned>(store: &StoreConnection, name: &str) -> Result<Option<T>, FieldError> {
    let Some(value) = store.config.get(name) else { return Ok(None) };
    // serde would also accept an array with the values in the order of the fields.
    if !value.is_object() {
        return Err(FieldError::new(pointer_to(name), "must be a JSON object"));
    }
    let read = serde_path_to_error::deserialize(value);
    read.map(Some).map_err(|error| FieldError::from_serde(error.path(), error.inner()).under(&pointer_to(name)))
}

/// The store's `rate_limit` or else `default`.
///
/// # Errors
/// If it is not a rate limit, or is out of bounds.
pub fn rate_limit(store: &StoreConnection, default: RateLimit) -> Result<RateLimit, FieldError> {
    let Some(limit) = object::<RateLimit>(store, "rate_limit")? else { return Ok(default) };
    if !(0.001..=10_000.0).contains(&limit.per_second) {
        return Err(FieldError::new("/rate_limit/per_second", "must be from 0.001 to 10000 calls per second"));
    }
    if !(1..=100_000).contains(&limit.burst) {
        return Err(FieldError::new("/rate_limit/burst", "must be from 1 to 100000 calls"));
    }
    Ok(limit)
}
