//! How connectors whose platforms answer with error codes sort them: a table of rows, each with what it means for the
//! call and the seller's next step.
//!
//! Some platforms use one code for many things, so a row may name a part of the message too; the first row that fits
//! is taken. A code that no table knows says nothing about what was applied.
use super::Renewal;
use super::call::{Call, Reply};
use crate::domain::delivery::{ItemResult, Outcome};
use serde_json::Value;
use std::time::Duration;

/// The pause before something that passes by itself, but slowly, is tried again: a promotion, holidays.
const SLOWLY: Duration = Duration::from_secs(15 * 60);
/// The pause where our request was in order and the store's answer says to come back.
const SOON: Duration = Duration::from_secs(60);

/// What is said of a code that no table knows.
pub const UNKNOWN_CODE: &str = "This error is not known here.";

/// What a failure means. Only [`Class::Uncertain`] may have been applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Later: too many calls.
    Throttled,
    /// Later: it passes by itself, for the whole store; the words say what to look at if it does not.
    Soon(&'static str),
    /// Later: it passes by itself, for this listing, slowly.
    ListingLater,
    /// Later: surely not applied, the same again is in order.
    Again,
    /// Perhaps applied.
    Uncertain,
    /// Later, with a new access token.
    TokenExpired,
    /// Sign in again; the words say what to look at.
    SignIn(&'static str),
    /// This store never, until somebody acts; the next step.
    Store(&'static str),
    /// The location or warehouse does not fit; the next step. Where the listing names its own it is the listing's
    /// fault, otherwise the store's.
    Location(&'static str),
    /// This listing never, until somebody acts; the next step.
    Listing(&'static str),
}

/// A row of a table: the code (empty: any), a part of the message in lower case (empty: any), what it means.
pub type Row = (&'static str, &'static str, Class);

/// The first row of `table` for this answer.
pub fn find(table: &[Row], code: &str, message: &str) -> Option<Class> {
    let message = message.to_lowercase();
    table.iter().find(|(of, part, _)| (of.is_empty() || *of == code) && message.contains(part)).map(|(_, _, class)| *class)
}

/// What a platform said, for a reason: shortened, and with its code.
pub fn said(platform: &str, code: &str, message: &str) -> String {
    let message: String = message.trim().trim_end_matches('.').chars().take(300).collect();
    match (message.is_empty(), code.is_empty()) {
        (true, _) => format!("{platform} refused this ({code})."),
        (false, true) => format!("{platform} says: {message}."),
        (false, false) => format!("{platform} says: {message} ({code})."),
    }
}

/// What `class` means for a call as a whole. `location` is the listing's own field for a location.
pub fn outcome(class: Class, said: String, call: &Call, reply: &Reply, location: &str) -> Outcome {
    let owns = || call.items.iter().any(|item| item.extra.contains_key(location));
    let refused = |said, next_step: &str| Outcome::Refused { reason: said, next_step: next_step.to_owned() };
    match class {
        Class::Throttled => Outcome::TryAgain { reason: said, after: reply.retry_after(), throttled: true },
        Class::Soon(what) => Outcome::TryAgain { reason: format!("{said} {what}"), after: Some(SOON), throttled: true },
        // One of several may be the only one: split until it stands alone.
        Class::ListingLater if call.items.len() > 1 => refused(said, "Nothing to do: it is tried again by itself."),
        Class::ListingLater => Outcome::TryAgain { reason: said, after: Some(SLOWLY), throttled: false },
        Class::Again => Outcome::TryAgain { reason: said, after: reply.retry_after(), throttled: false },
        Class::Uncertain => Outcome::Unknown { reason: said },
        Class::TokenExpired => Outcome::TokenExpired { reason: said },
        Class::SignIn(what) => Outcome::Unauthorized { reason: format!("{said} {what}") },
        Class::Location(next_step) if owns() => refused(said, next_step),
        Class::Store(next_step) | Class::Location(next_step) => Outcome::Closed { reason: said, next_step: next_step.to_owned() },
        Class::Listing(next_step) => refused(said, next_step),
    }
}

/// What `class` means for one item that the platform speaks of by itself as failed.
pub fn item(class: Class, said: String) -> ItemResult {
    match class {
        Class::Throttled | Class::Soon(_) | Class::ListingLater | Class::Again | Class::TokenExpired => {
            ItemResult::TryAgain { reason: said }
        }
        Class::Uncertain => ItemResult::Unknown { reason: said },
        Class::SignIn(next_step) | Class::Store(next_step) | Class::Location(next_step) | Class::Listing(next_step) => {
            ItemResult::Rejected { reason: said, next_step: next_step.to_owned() }
        }
    }
}

/// What `class` means for a renewal of tokens. A code that is not known means that the seller should look at it.
pub fn renewal(class: Option<Class>, said: String) -> Renewal {
    match class {
        Some(Class::Throttled | Class::Soon(_) | Class::ListingLater | Class::Again | Class::Uncertain) => {
            Renewal::TryAgain { reason: said }
        }
        Some(_) => Renewal::Refused { reason: format!("{said} Sign in to the platform again and enter the new tokens.") },
        None => Renewal::Refused { reason: format!("{said} {UNKNOWN_CODE} Sign in to the platform again and enter the new tokens.") },
    }
}

/// A code or an id that some platforms write as a number and others as text.
pub fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| if value.is_null() { String::new() } else { value.to_string() }, str::to_owned)
}

/// What an answer that cannot be read means.
pub fn unreadable() -> Outcome {
    Outcome::Unknown { reason: "The store's answer could not be read.".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[Row] = &[
        ("busy", "", Class::Throttled),
        ("wrong", "token", Class::TokenExpired),
        ("", "reserved", Class::ListingLater),
        ("wrong", "", Class::Listing("Look.")),
    ];

    #[test]
    fn the_first_row_that_fits_is_taken() {
        assert_eq!(find(TABLE, "busy", "whatever"), Some(Class::Throttled));
        assert_eq!(find(TABLE, "wrong", "Invalid Token."), Some(Class::TokenExpired));
        assert_eq!(find(TABLE, "other", "Less than RESERVED stock"), Some(Class::ListingLater));
        assert_eq!(find(TABLE, "wrong", "quantity"), Some(Class::Listing("Look.")));
        assert_eq!(find(TABLE, "other", "quantity"), None);
    }

    #[test]
    fn a_reason_has_the_platforms_words_and_its_code() {
        assert_eq!(said("Shop", "e1", "No such item. "), "Shop says: No such item (e1).");
        assert_eq!(said("Shop", "", "No such item"), "Shop says: No such item.");
        assert_eq!(said("Shop", "e1", ""), "Shop refused this (e1).");
    }
}
