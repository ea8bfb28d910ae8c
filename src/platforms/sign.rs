//! What several connectors' authentication is made of: HMAC-SHA256, percent encoding, and tokens that end.
use super::Stamp;
use super::call::StoreConnection;
use chrono::{DateTime, TimeDelta, Utc};
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The credential that says when the access token ends, as RFC 3339.
pub const EXPIRES_AT: &str = "access_token_expires_at";
/// A token is renewed this long before it ends, so that none ends on the way.
const RENEW_BEFORE: TimeDelta = TimeDelta::minutes(5);

/// HMAC-SHA256 (RFC 2104, FIPS 180-4). A key of any length is allowed.
pub fn hmac_sha256(key: &[u8], text: &[u8]) -> [u8; 32] {
    // Only a key of a wrong length is refused, and there is none for HMAC.
    Hmac::<Sha256>::new_from_slice(key).map(|mac| mac.chain_update(text).finalize().into_bytes().into()).unwrap_or_default()
}

/// [`hmac_sha256`] as 64 lower-case hexadecimal digits.
pub fn hmac_sha256_hex(key: &SecretString, text: &str) -> String {
    hex::encode(hmac_sha256(key.expose_secret().as_bytes(), text.as_bytes()))
}

/// Percent encoding that leaves only RFC 3986's unreserved characters.
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

/// Whether the access token has ended or soon will, as far as is known.
pub fn ends_soon(store: &StoreConnection, stamp: &Stamp) -> bool {
    let ends_at = store.credentials.get(EXPIRES_AT).and_then(|text| text.expose_secret().parse::<DateTime<Utc>>().ok());
    // The other way round, an instant at the far end of the calendar would have none before it.
    ends_at.is_some_and(|at| at <= stamp.now + RENEW_BEFORE)
}

/// The store's credentials with a new access token that lives for `lives_s` seconds from now.
pub fn with_access_token(store: &StoreConnection, token: &str, lives_s: i64, stamp: &Stamp) -> BTreeMap<String, SecretString> {
    let ends_at = stamp.now.checked_add_signed(TimeDelta::seconds(lives_s.clamp(0, 10 * 365 * 86_400))).unwrap_or(stamp.now);
    let mut credentials = store.credentials.clone();
    credentials.insert("access_token".to_owned(), token.into());
    credentials.insert(EXPIRES_AT.to_owned(), ends_at.to_rfc3339().into());
    credentials
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hmac_is_rfc_4231s() {
        assert_eq!(
            hmac_sha256_hex(&"Jefe".into(), "what do ya want for nothing?"),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }

    #[test]
    fn an_end_that_is_centuries_away_is_an_end_like_any_other() {
        use super::super::check::{test_stamp, test_store};
        let ends_soon_at = |at: &str| {
            let store = test_store("x", serde_json::json!({}), &[(EXPIRES_AT, at)]);
            ends_soon(&store, &test_stamp("2026-11-24T12:00:00Z"))
        };
        assert!(ends_soon_at(&DateTime::<Utc>::MIN_UTC.to_rfc3339()) && ends_soon_at("2026-11-24T12:04:00Z"));
        assert!(!ends_soon_at(&DateTime::<Utc>::MAX_UTC.to_rfc3339()) && !ends_soon_at("2026-11-24T12:06:00Z"));
    }

    #[test]
    fn only_unreserved_characters_stay() {
        assert_eq!(percent("a-._~Z 9/ü?&="), "a-._~Z%209%2F%C3%BC%3F%26%3D");
    }
}
