//! Authentication that several connectors share: HMAC-SHA256, percent encoding, and access tokens that expire.
use super::call::StoreConnection;
use super::connector::Stamp;
use chrono::{DateTime, TimeDelta, Utc};
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The credential that holds the access token's expiry time, in RFC 3339 format.
pub const EXPIRES_AT: &str = "access_token_expires_at";
/// The credential that holds the time when the refresh token ends, in RFC 3339 format, where the platform states it.
pub const REFRESH_ENDS_AT: &str = "refresh_token_expires_at";
/// How long before its expiry a token is renewed, so that none expires in transit.
const RENEW_BEFORE: TimeDelta = TimeDelta::minutes(5);

/// HMAC-SHA256 (RFC 2104, FIPS 180-4), with a key of any length.
pub fn hmac_sha256(key: &[u8], text: &[u8]) -> [u8; 32] {
    // Only a wrong key length could be refused, and HMAC has none.
    Hmac::<Sha256>::new_from_slice(key).map(|mac| mac.chain_update(text).finalize().into_bytes().into()).unwrap_or_default()
}

/// [`hmac_sha256`] as 64 lower-case hexadecimal digits.
pub fn hmac_sha256_hex(key: &SecretString, text: &str) -> String {
    hex::encode(hmac_sha256(key.expose_secret().as_bytes(), text.as_bytes()))
}

/// Percent-encodes everything but RFC 3986's unreserved characters.
pub fn percent(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            write!(out, "%{byte:02X}").ok();
        }
    }
    out
}

/// Whether the access token has expired or soon will. False if its expiry time is unknown.
pub fn expires_soon(store: &StoreConnection, stamp: &Stamp) -> bool {
    let expires_at = store.credentials.get(EXPIRES_AT).and_then(|text| text.expose_secret().parse::<DateTime<Utc>>().ok());
    // Subtracting from the expiry time instead could overflow at the start of the calendar.
    expires_at.is_some_and(|at| at <= stamp.now + RENEW_BEFORE)
}

/// The store's credentials with a new access token, valid for `lifetime_s` seconds from now.
pub fn with_access_token(store: &StoreConnection, token: &str, lifetime_s: i64, stamp: &Stamp) -> BTreeMap<String, SecretString> {
    let expires_at = stamp.now.checked_add_signed(TimeDelta::seconds(lifetime_s.clamp(0, 10 * 365 * 86_400))).unwrap_or(stamp.now);
    let mut credentials = store.credentials.clone();
    credentials.insert("access_token".to_owned(), token.into());
    credentials.insert(EXPIRES_AT.to_owned(), expires_at.to_rfc3339().into());
    credentials
}

/// Notes when the refresh token ends: so many seconds from now, or an unknown time.
pub fn note_refresh_end(credentials: &mut BTreeMap<String, SecretString>, lifetime_s: Option<i64>, stamp: &Stamp) {
    let ends_at = lifetime_s.filter(|s| *s > 0).and_then(|s| stamp.now.checked_add_signed(TimeDelta::seconds(s.min(10 * 365 * 86_400))));
    match ends_at {
        Some(at) => credentials.insert(REFRESH_ENDS_AT.to_owned(), at.to_rfc3339().into()),
        None => credentials.remove(REFRESH_ENDS_AT),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hmac_agrees_with_rfc_4231() {
        assert_eq!(
            hmac_sha256_hex(&"Jefe".into(), "what do ya want for nothing?"),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }

    #[test]
    fn an_expiry_time_at_either_end_of_the_calendar_is_handled() {
        use super::super::fixtures::{test_stamp, test_store};
        let expires_soon_at = |at: &str| {
            let store = test_store("x", serde_json::json!({}), &[(EXPIRES_AT, at)]);
            expires_soon(&store, &test_stamp("2026-11-24T12:00:00Z"))
        };
        assert!(expires_soon_at(&DateTime::<Utc>::MIN_UTC.to_rfc3339()) && expires_soon_at("2026-11-24T12:04:00Z"));
        assert!(!expires_soon_at(&DateTime::<Utc>::MAX_UTC.to_rfc3339()) && !expires_soon_at("2026-11-24T12:06:00Z"));
    }

    #[test]
    fn only_unreserved_characters_stay_unencoded() {
        assert_eq!(percent("a-._~Z 9/ü?&="), "a-._~Z%209%2F%C3%BC%3F%26%3D");
    }
}
