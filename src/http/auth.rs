//! Authentication: turns a request's key into an [`Operator`] or a [`Caller`]. Handlers take one of these, never a raw id.
use super::AppState;
use super::error::ApiError;
use super::throttle::{Throttle, address};
use crate::db::SellerDb;
use crate::db::sellers::{find_key, key_hash};
use crate::domain::KeyId;
use actix_web::dev::Payload;
use actix_web::http::header::AUTHORIZATION;
use actix_web::web::Data;
use actix_web::{FromRequest, HttpRequest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future::LocalBoxFuture;
use secrecy::{ExposeSecret, SecretString};
use std::collections::HashSet;
use std::future::{Ready, ready};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use subtle::ConstantTimeEq;

/// Keys longer than this many bytes are refused without being looked up.
const MAX_KEY_BYTES: usize = 512;

/// Whoever has the operator key.
pub struct Operator;

/// A seller, by one of its keys.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The way to its rows.
    pub db: SellerDb,
    /// By which key.
    pub key: KeyId,
}

impl Caller {
    /// As it stands in the audit log.
    pub fn actor(&self) -> String {
        format!("key:{}", self.key)
    }
}

fn bearer(request: &HttpRequest) -> Result<SecretString, ApiError> {
    let missing = || ApiError::unauthorized("Send your key in the header Authorization: Bearer <key>.");
    let value = request.headers().get(AUTHORIZATION).and_then(|v| v.to_str().ok()).ok_or_else(missing)?;
    key_of(value).map(SecretString::from).ok_or_else(missing)
}

/// The key in the value of an Authorization header.
pub(super) fn key_of(value: &str) -> Option<&str> {
    let (scheme, key) = value.split_once(' ')?;
    let key = key.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !key.is_empty() && key.len() <= MAX_KEY_BYTES).then_some(key)
}

/// Counts requests with invalid keys by IP address and, above a limit, refuses them without querying the database. Keys that
/// were recently valid are exempt, because many sellers may share the address of a proxy.
pub struct FailedKeys {
    throttle: Throttle,
    known_valid: Mutex<HashSet<KeyHash>>,
}

type KeyHash = [u8; 32];

/// The most valid keys remembered.
const MAX_KNOWN_VALID: usize = 50_000;

impl FailedKeys {
    /// Allows this many failures per minute and address.
    pub fn new(per_minute: u32) -> Self {
        Self { throttle: Throttle::new(per_minute, Duration::from_secs(60)), known_valid: Mutex::default() }
    }

    fn known_valid(&self) -> MutexGuard<'_, HashSet<KeyHash>> {
        self.known_valid.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn may_try(&self, address: IpAddr, key: &KeyHash) -> Result<(), ApiError> {
        match self.throttle.check(address) {
            Err(wait) if !self.known_valid().contains(key) => Err(ApiError::too_many_invalid_keys(wait)),
            _ => Ok(()),
        }
    }

    fn failed(&self, address: IpAddr, key: &KeyHash) {
        self.known_valid().remove(key);
        self.throttle.failed(address);
    }

    fn succeeded(&self, key: KeyHash) {
        let mut known = self.known_valid();
        if known.len() >= MAX_KNOWN_VALID {
            known.clear();
        }
        known.insert(key);
    }
}

fn invalid_key() -> ApiError {
    ApiError::unauthorized("This key is unknown, revoked, or not valid for this path.")
}

impl FromRequest for Operator {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let check = || {
            let given = bearer(request)?;
            let state = request.app_data::<Data<AppState>>().ok_or_else(invalid_key)?;
            let expected = state.settings.operator_key.as_ref().ok_or_else(invalid_key)?;
            // Comparing digests in constant time reveals nothing about the key, not even its length.
            let hash = key_hash(given.expose_secret());
            if bool::from(hash.ct_eq(&key_hash(expected.expose_secret()))) {
                return Ok(Self);
            }
            let address = address(request);
            state.failed_keys.may_try(address, &hash)?;
            state.failed_keys.failed(address, &hash);
            Err(invalid_key())
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
            let (state, given) = (state.ok_or_else(invalid_key)?, given?);
            let hash = key_hash(given.expose_secret());
            state.failed_keys.may_try(address, &hash)?;
            let owner = match state.db.read(move |conn| find_key(conn, &hash)).await {
                Ok(owner) if !owner.revoked => owner,
                Ok(_) | Err(crate::db::Error::NotFound) => {
                    state.failed_keys.failed(address, &hash);
                    return Err(invalid_key());
                }
                Err(error) => return Err(error.into()),
            };
            state.failed_keys.succeeded(hash);
            if owner.suspended {
                return Err(ApiError::suspended());
            }
            state.quota.check(owner.seller)?;
            Ok(Self { db: state.db.seller(owner.seller), key: owner.key })
        })
    }
}

/// A new API key: shown once, kept as a digest.
///
/// # Errors
/// 503 when no random numbers can be had.
pub fn new_api_key() -> Result<SecretString, ApiError> {
    let mut bytes = [0u8; 32];
    getrandom::fill(&mut bytes).map_err(|_| ApiError::unavailable("No random numbers can be had."))?;
    Ok(SecretString::from(format!("stk_{}", URL_SAFE_NO_PAD.encode(bytes))))
}
