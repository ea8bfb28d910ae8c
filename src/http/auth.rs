//! From the request's key to who is calling. Handlers take an [`Operator`] or a [`Caller`], never a raw id.
use super::error::ApiError;
use super::state::AppState;
use super::throttle::{Throttle, address};
use crate::db::sellers::{find_key, key_hash};
use actix_web::dev::Payload;
use actix_web::http::header::AUTHORIZATION;
use actix_web::web::Data;
use actix_web::{FromRequest, HttpRequest};
use futures_util::future::LocalBoxFuture;
use secrecy::{ExposeSecret, SecretString};
use std::collections::HashSet;
use std::future::{Ready, ready};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use subtle::ConstantTimeEq;

pub use crate::service::{Caller, Operator};

/// The longest key that is looked at, in bytes.
const MAX_KEY_BYTES: usize = 512;

fn bearer(request: &HttpRequest) -> Result<SecretString, ApiError> {
    let missing = || ApiError::unauthorized("Send the header Authorization: Bearer <key>.");
    let value = request.headers().get(AUTHORIZATION).and_then(|v| v.to_str().ok()).ok_or_else(missing)?;
    key_of(value).map(SecretString::from).ok_or_else(missing)
}

/// The key in the value of an Authorization header.
pub(super) fn key_of(value: &str) -> Option<&str> {
    let (scheme, key) = value.split_once(' ')?;
    let key = key.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !key.is_empty() && key.len() <= MAX_KEY_BYTES).then_some(key)
}

/// Requests with keys that open nothing, by address: beyond a bound they are refused without a look at the database. Keys
/// that were right lately are looked at in any case: behind one proxy are many sellers.
pub struct FailedKeys {
    throttle: Throttle,
    right: Mutex<HashSet<KeyHash>>,
}

type KeyHash = [u8; 32];

/// Right keys remembered at most.
const MOST_REMEMBERED: usize = 50_000;

impl FailedKeys {
    /// So many failures a minute.
    pub fn new(per_minute: u32) -> Self {
        Self { throttle: Throttle::new(per_minute, Duration::from_secs(60)), right: Mutex::default() }
    }

    fn right(&self) -> MutexGuard<'_, HashSet<KeyHash>> {
        self.right.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn may_try(&self, address: IpAddr, key: &KeyHash) -> Result<(), ApiError> {
        match self.throttle.check(address) {
            Err(wait) if !self.right().contains(key) => Err(ApiError::wrong_keys(wait)),
            _ => Ok(()),
        }
    }

    fn failed(&self, address: IpAddr, key: &KeyHash) {
        self.right().remove(key);
        self.throttle.failed(address);
    }

    fn was_right(&self, key: KeyHash) {
        let mut right = self.right();
        if right.len() >= MOST_REMEMBERED {
            right.clear();
        }
        right.insert(key);
    }
}

fn wrong() -> ApiError {
    ApiError::unauthorized("This key is not valid here.")
}

impl FromRequest for Operator {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let check = || {
            let given = bearer(request)?;
            let state = request.app_data::<Data<AppState>>().ok_or_else(wrong)?;
            let expected = state.settings.operator_key.as_ref().ok_or_else(wrong)?;
            // Digests have one length, so the comparison tells nothing, not even that.
            let hash = key_hash(given.expose_secret());
            if bool::from(hash.ct_eq(&key_hash(expected.expose_secret()))) {
                return Ok(Self);
            }
            let address = address(request);
            state.failed_keys.may_try(address, &hash)?;
            state.failed_keys.failed(address, &hash);
            Err(wrong())
        };
        ready(check())
    }
}

impl FromRequest for Caller {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let state = request.app_data::<Data<AppState>>().cloned();
        let (given, address) = (bearer(request), address(request));
        Box::pin(async move {
            let (state, given) = (state.ok_or_else(wrong)?, given?);
            let hash = key_hash(given.expose_secret());
            state.failed_keys.may_try(address, &hash)?;
            let owner = match state.db.read(move |conn| find_key(conn, &hash)).await {
                Ok(owner) if !owner.revoked => owner,
                Ok(_) | Err(crate::db::Error::NotFound) => {
                    state.failed_keys.failed(address, &hash);
                    return Err(wrong());
                }
                Err(error) => return Err(error.into()),
            };
            state.failed_keys.was_right(hash);
            if owner.suspended {
                return Err(ApiError::suspended());
            }
            state.quota.check(owner.seller)?;
            Ok(Self::by_key(state.db.seller(owner.seller), owner.key))
        })
    }
}
