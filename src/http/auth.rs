//! From the request's key to who is calling. Handlers take an [`Operator`] or a [`Caller`], never a raw id.
use super::AppState;
use super::error::ApiError;
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
use std::future::{Ready, ready};
use subtle::ConstantTimeEq;

/// The longest key that is looked at, in bytes.
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
    let missing = || ApiError::unauthorized("Send the header Authorization: Bearer <key>.");
    let value = request.headers().get(AUTHORIZATION).and_then(|v| v.to_str().ok()).ok_or_else(missing)?;
    let (scheme, key) = value.split_once(' ').ok_or_else(missing)?;
    let key = key.trim();
    if !scheme.eq_ignore_ascii_case("bearer") || key.is_empty() || key.len() > MAX_KEY_BYTES {
        return Err(missing());
    }
    Ok(SecretString::from(key))
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
            let same = key_hash(given.expose_secret()).ct_eq(&key_hash(expected.expose_secret()));
            if bool::from(same) { Ok(Self) } else { Err(wrong()) }
        };
        ready(check())
    }
}

impl FromRequest for Caller {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let state = request.app_data::<Data<AppState>>().cloned();
        let given = bearer(request);
        Box::pin(async move {
            let (state, given) = (state.ok_or_else(wrong)?, given?);
            let hash = key_hash(given.expose_secret());
            let owner = state.db.read(move |conn| find_key(conn, &hash)).await.map_err(|error| match error {
                crate::db::Error::NotFound => wrong(),
                other => other.into(),
            })?;
            if owner.revoked {
                return Err(wrong());
            }
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
