//! Authentication: turns a request's key into an [`Operator`] or a [`Caller`]. Handlers take one of these, never a raw id.
use super::bodies::Owner;
use super::client_address::address;
use super::error::ApiError;
use super::state::AppState;
use crate::db::sellers::{find_key, key_hash};
use crate::db::sessions::{Digest, Session, find_session};
use crate::db::{self, Conn};
use crate::domain::Timestamp;
use actix_web::dev::Payload;
use actix_web::http::header::AUTHORIZATION;
use actix_web::web::Data;
use actix_web::{FromRequest, HttpMessage, HttpRequest};
use futures_util::future::LocalBoxFuture;
use secrecy::{ExposeSecret, SecretString};
use std::future::{Ready, ready};
use subtle::ConstantTimeEq;

pub use super::failed_keys::FailedKeys;
pub use crate::service::{Caller, Operator};

/// Keys longer than this many bytes are refused without being looked up.
pub(super) const MAX_KEY_BYTES: usize = 512;

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

fn invalid_key() -> ApiError {
    ApiError::unauthorized("This key is unknown, revoked, or not valid for this path.")
}

/// What a caller has shown to be let in; answers that take a while look at it again. Kept in the request's extensions.
#[derive(Clone)]
pub(super) enum Right {
    /// The digest of an API key.
    Key([u8; 32]),
    /// The digest of the token of a seller's session.
    Session(Digest),
}

impl Right {
    /// Whether it still lets its bearer in: not revoked, not ended, the seller neither suspended nor deleted.
    pub(super) fn holds(&self, conn: &mut Conn, now: Timestamp) -> db::Result<bool> {
        let found = match self {
            Self::Key(hash) => find_key(conn, hash).map(|owner| !owner.revoked && !owner.suspended),
            Self::Session(token) => {
                find_session(conn, token, now).map(|session| matches!(session, Session::Seller { seller, .. } if !seller.suspended))
            }
        };
        match found {
            Err(db::Error::NotFound) => Ok(false),
            other => other,
        }
    }
}

/// The right of a request with an API key.
pub(super) fn right_by_key(request: &HttpRequest) -> Result<Right, ApiError> {
    Ok(Right::Key(key_hash(bearer(request)?.expose_secret())))
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
            Err(state.failed_keys.refuse(address(request), &hash, invalid_key()))
        };
        ready(check())
    }
}

impl FromRequest for Caller {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let state = request.app_data::<Data<AppState>>().cloned();
        let (given, address, request) = (bearer(request), address(request), request.clone());
        if let Ok(given) = &given {
            request.extensions_mut().insert(Right::Key(key_hash(given.expose_secret())));
        }
        Box::pin(async move {
            let (state, given) = (state.ok_or_else(invalid_key)?, given?);
            let hash = key_hash(given.expose_secret());
            let attempt = state.failed_keys.attempt(address, &hash).await?;
            let owner = match state.db.key_owner(hash).await {
                Ok(owner) if !owner.revoked => owner,
                Ok(_) | Err(db::Error::NotFound) => {
                    return Err(state.failed_keys.refuse(address, &hash, invalid_key()));
                }
                Err(error) => return Err(error.into()),
            };
            state.failed_keys.succeeded(hash);
            drop(attempt);
            if owner.suspended {
                return Err(ApiError::suspended());
            }
            state.quota.check(owner.seller, owner.events_per_second)?;
            request.extensions_mut().insert(Owner::Seller(owner.seller));
            Ok(Self::by_key(state.db.seller(owner.seller), owner.key))
        })
    }
}
