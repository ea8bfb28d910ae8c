//! Classifies platforms' error codes. Each connector has a table whose rows say what a code means for the call and what
//! the seller should do next; answers without a code are classified by their HTTP status.
//!
//! Some platforms use one code for several problems, so a row may also match part of the message; the first matching row
//! wins. A code missing from the table says nothing about whether the call was applied.
use super::call::{Call, Reply};
use super::connector::Renewal;
use crate::domain::delivery::{ItemResult, Outcome};
use serde_json::Value;
use std::time::Duration;

/// The pause before retrying something that clears up on its own, but slowly: a promotion, a holiday.
const LONG_PAUSE: Duration = Duration::from_secs(15 * 60);
/// The pause before retrying a valid request that the store asked us to send again later.
const SHORT_PAUSE: Duration = Duration::from_secs(60);

/// Appended to the reason when a code is missing from the table.
pub const UNKNOWN_CODE: &str = "This error code is unknown.";

/// What a failure means. In every class but [`Class::Uncertain`], the call is known not to have been applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Retry later: too many calls.
    Throttled,
    /// Retry later: the whole store is affected, and the problem clears up on its own. The text says what to check if it
    /// does not.
    Soon(&'static str),
    /// Retry much later: only this listing is affected, and the problem clears up on its own.
    ListingLater,
    /// Retry: the same call may simply be sent again.
    Again,
    /// The call may have been applied.
    Uncertain,
    /// Retry with a new access token.
    TokenExpired,
    /// The seller must sign in again. The text says what to check.
    SignIn(&'static str),
    /// The store accepts nothing until somebody takes this next step.
    Store(&'static str),
    /// The location or warehouse is wrong; the text is the next step. If the listing names its own location, only the
    /// listing is at fault, otherwise the store.
    Location(&'static str),
    /// The listing is refused until somebody takes this next step.
    Listing(&'static str),
}

/// A row of a table: the code (empty for any), part of the message in lower case (empty for any), and the meaning.
pub type Row = (&'static str, &'static str, Class);

/// The class of the first row of `table` that matches this answer.
pub fn find(table: &[Row], code: &str, message: &str) -> Option<Class> {
    let message = message.to_lowercase();
    table.iter().find(|(row, part, _)| (row.is_empty() || *row == code) && message.contains(part)).map(|(_, _, class)| *class)
}

/// A platform's message as a reason for the seller: shortened, and with its code.
pub fn said(platform: &str, code: &str, message: &str) -> String {
    let message: String = message.trim().trim_end_matches('.').chars().take(300).collect();
    match (message.is_empty(), code.is_empty()) {
        (true, _) => format!("{platform} refused this ({code})."),
        (false, true) => format!("{platform} says: {message}."),
        (false, false) => format!("{platform} says: {message} ({code})."),
    }
}

/// What `class` means for a whole call. `location` is the name of the listing field that holds a location.
pub fn outcome(class: Class, said: String, call: &Call, reply: &Reply, location: &str) -> Outcome {
    let has_own_location = || call.items.iter().any(|item| item.extra.contains_key(location));
    let refused = |said, next_step: &str| Outcome::Refused { reason: said, next_step: next_step.to_owned() };
    match class {
        Class::Throttled => Outcome::TryAgain { reason: said, after: reply.retry_after(), throttled: true },
        Class::Soon(check) => Outcome::TryAgain { reason: format!("{said} {check}"), after: Some(SHORT_PAUSE), throttled: true },
        // Perhaps only one of several listings is affected, so the call is split until it has a single item.
        Class::ListingLater if call.items.len() > 1 => refused(said, "No action needed: it will be retried automatically."),
        Class::ListingLater => Outcome::TryAgain { reason: said, after: Some(LONG_PAUSE), throttled: false },
        Class::Again => Outcome::TryAgain { reason: said, after: reply.retry_after(), throttled: false },
        Class::Uncertain => Outcome::Unknown { reason: said },
        Class::TokenExpired => Outcome::TokenExpired { reason: said },
        Class::SignIn(check) => Outcome::Unauthorized { reason: format!("{said} {check}") },
        Class::Location(next_step) if has_own_location() => refused(said, next_step),
        Class::Store(next_step) | Class::Location(next_step) => Outcome::Closed { reason: said, next_step: next_step.to_owned() },
        Class::Listing(next_step) => refused(said, next_step),
    }
}

/// What `class` means for one item that the platform reports separately as failed.
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

/// What `class` means for a token renewal. An unknown code (`None`) is left to the seller to look at.
pub fn renewal(class: Option<Class>, said: String) -> Renewal {
    match class {
        Some(Class::Throttled | Class::Soon(_) | Class::ListingLater | Class::Again | Class::Uncertain) => {
            Renewal::TryAgain { reason: said }
        }
        Some(_) => Renewal::Refused { reason: format!("{said} Sign in to the platform again and enter the new tokens.") },
        None => Renewal::Refused { reason: format!("{said} {UNKNOWN_CODE} Sign in to the platform again and enter the new tokens.") },
    }
}

/// A code or id as text; some platforms write it as a number. Empty for null.
pub fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| if value.is_null() { String::new() } else { value.to_string() }, str::to_owned)
}

/// What the HTTP status alone means, for answers without anything more specific; `None` for a success.
pub fn by_status(reply: &Reply) -> Option<Outcome> {
    let status = reply.status;
    Some(match status {
        200..=299 => return None,
        429 => Outcome::TryAgain { reason: "The store asked us to slow down.".to_owned(), after: reply.retry_after(), throttled: true },
        401 | 403 => Outcome::Unauthorized { reason: format!("The store refused the credentials ({status}).") },
        408 | 500.. => Outcome::Unknown { reason: format!("The store reported an internal error ({status}).") },
        _ => Outcome::Refused {
            reason: format!("The store refused the request ({status})."),
            next_step: "Check the store's answer, fix the listing or the store's settings, then retry.".to_owned(),
        },
    })
}

/// The outcome of a status that says nothing about whether the call was applied.
pub fn unreadable_status(reply: &Reply) -> Outcome {
    Outcome::Unknown { reason: format!("The store, or something in front of it, failed ({}).", reply.status) }
}

/// The outcome when an answer cannot be parsed.
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
    fn the_first_matching_row_wins() {
        assert_eq!(find(TABLE, "busy", "anything"), Some(Class::Throttled));
        assert_eq!(find(TABLE, "wrong", "Invalid Token."), Some(Class::TokenExpired));
        assert_eq!(find(TABLE, "other", "Less than RESERVED stock"), Some(Class::ListingLater));
        assert_eq!(find(TABLE, "wrong", "quantity"), Some(Class::Listing("Look.")));
        assert_eq!(find(TABLE, "other", "quantity"), None);
    }

    #[test]
    fn a_reason_quotes_the_platforms_message_and_code() {
        assert_eq!(said("Shop", "e1", "No such item. "), "Shop says: No such item (e1).");
        assert_eq!(said("Shop", "", "No such item"), "Shop says: No such item.");
        assert_eq!(said("Shop", "e1", ""), "Shop refused this (e1).");
    }
}
