//! What a store's credentials say about the grant behind them: when they are renewed next, and when they end.
use crate::db::grants::Grant;
use crate::domain::{StoreId, Timestamp, grant};
use crate::platforms::sign::{EXPIRES_AT, REFRESH_ENDS_AT};
use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret, SecretString};
use std::collections::BTreeMap;
use std::time::Duration;

/// Between half of this time and all of it, tokens that somebody has typed in are renewed for the first time, which tells when they
/// end. Not sooner: until then the store's own calls show whether the tokens work at all.
const FIRST_RENEWAL_WITHIN: Duration = Duration::from_secs(24 * 3600);

/// A number from 0 to 1 that is the same for a store each time, and spread over all stores.
pub(super) fn draw_of(store: StoreId) -> f64 {
    // The first bytes of a UUIDv7 are time; the last are random.
    let [.., a, b] = *store.0.as_bytes();
    f64::from(u16::from_be_bytes([a, b])) / f64::from(u16::MAX)
}

/// The grant behind these credentials, which a store has from `now` on; `client_id` is that of the operator's app, if it is one.
pub(super) fn grant_of(store: StoreId, credentials: &BTreeMap<String, SecretString>, client_id: Option<String>, now: Timestamp) -> Grant {
    let text = |name: &str| credentials.get(name).map(ExposeSecret::expose_secret);
    let ends_at = text(REFRESH_ENDS_AT).and_then(|text| text.parse::<DateTime<Utc>>().ok()).map(Timestamp::from);
    let renew_at = match (text("refresh_token"), ends_at, text(EXPIRES_AT)) {
        (None, ..) => None,
        (_, None, None) => Some(now + FIRST_RENEWAL_WITHIN.mul_f64(0.5 + 0.5 * draw_of(store))),
        _ => Some(grant::renew_at(now, ends_at, draw_of(store))),
    };
    Grant { client_id, renew_at, ends_at }
}
