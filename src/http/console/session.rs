//! Who is visiting: sessions in a cookie, and the extractors that every handler takes.
//!
//! Only the browser has a session's token. The database stores its digest, so every node recognizes the session, which
//! ends when its API key is revoked. Handlers that change something also take a `Posted` form, which requires the
//! session's CSRF token and refuses forms from other sites.
use super::page::{Frame, Refusal};
use crate::db::sellers::key_hash;
use crate::db::sessions::{Digest, Session, SessionOf, begin_session, end_session, find_session};
use crate::http::auth::{Caller, Operator, Right};
use crate::http::bodies::Owner;
use crate::http::error::ApiError;
use crate::http::state::{AppState, State};
use actix_web::cookie::{Cookie, SameSite, time};
use actix_web::dev::Payload;
use actix_web::http::header::HeaderMap;
use actix_web::{FromRequest, HttpMessage, HttpRequest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future::LocalBoxFuture;
use secrecy::{ExposeSecret, SecretString};
use sha2::Digest as _;
use std::time::Duration;
use subtle::ConstantTimeEq;

const SESSION_FOR: Duration = Duration::from_secs(12 * 3600);
/// Longer tokens are ignored without hashing them.
const MAX_TOKEN_BYTES: usize = 128;

/// A signed-in seller.
pub(super) struct SellerVisit {
    /// Access to the seller's rows, as with an API key.
    pub caller: Caller,
    pub frame: Frame,
    /// The digest of the session's token.
    pub session: Digest,
}

/// The signed-in operator.
pub(super) struct OperatorVisit {
    /// The right to what only the operator may do.
    pub operator: Operator,
    pub frame: Frame,
}

/// A signed-in seller or operator.
pub(super) struct AnyVisit {
    frame: Frame,
}

impl Visit for AnyVisit {
    fn frame(&self) -> &Frame {
        &self.frame
    }
}

impl FromRequest for AnyVisit {
    type Error = Refusal;
    type Future = LocalBoxFuture<'static, Result<Self, Refusal>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            match operator_visit(request.clone()).await {
                Ok(visit) => Ok(Self { frame: visit.frame }),
                Err(_) => seller_visit(request).await.map(|visit| Self { frame: visit.frame }),
            }
        })
    }
}

pub(super) trait Visit: FromRequest<Error = Refusal> + 'static {
    fn frame(&self) -> &Frame;
}

impl Visit for SellerVisit {
    fn frame(&self) -> &Frame {
        &self.frame
    }
}

impl Visit for OperatorVisit {
    fn frame(&self) -> &Frame {
        &self.frame
    }
}

/// Whether the browser connected over https. Behind a proxy, the proxy reports it.
pub(super) fn is_https(state: &AppState, headers: &HeaderMap) -> bool {
    state.console.https || headers.get("x-forwarded-proto").is_some_and(|proto| proto.as_bytes().eq_ignore_ascii_case(b"https"))
}

/// With the prefix `__Host-`, browsers accept the cookie only over https and from this very host.
fn cookie_name(https: bool) -> &'static str {
    if https { "__Host-stocktide" } else { "stocktide_session" }
}

/// The session's cookie; without a token, one that deletes it.
pub(super) fn session_cookie(https: bool, token: Option<&SecretString>) -> Cookie<'static> {
    let mut cookie = Cookie::build(cookie_name(https), token.map(|t| t.expose_secret().to_owned()).unwrap_or_default())
        .path("/")
        .http_only(true)
        .secure(https)
        .same_site(SameSite::Lax)
        .finish();
    if token.is_none() {
        cookie.set_max_age(time::Duration::ZERO);
    }
    cookie
}

fn session_token(state: &AppState, request: &HttpRequest) -> Option<SecretString> {
    let cookie = request.cookie(cookie_name(is_https(state, request.headers())))?;
    let token = cookie.value();
    (!token.is_empty() && token.len() <= MAX_TOKEN_BYTES).then(|| SecretString::from(token))
}

fn digest(purpose: &str, parts: &[&[u8]]) -> Digest {
    let mut hasher = sha2::Sha256::new();
    hasher.update(purpose.as_bytes());
    for part in parts {
        hasher.update([0]);
        hasher.update(part);
    }
    hasher.finalize().into()
}

fn token_digest(token: &SecretString) -> Digest {
    digest("session", &[token.expose_secret().as_bytes()])
}

/// Derived from the session's token, which cannot be computed back from it.
fn csrf_token(token: &SecretString) -> String {
    hex::encode(digest("csrf", &[token.expose_secret().as_bytes()]))
}

/// Binds an operator's session to the operator key without storing anything that would help to guess the key.
fn operator_proof(token: &SecretString, key: &SecretString) -> Digest {
    digest("operator", &[token.expose_secret().as_bytes(), &key_hash(key.expose_secret())])
}

/// Begins a session with this key. `None` if the key is unknown or revoked.
pub(super) async fn sign_in(state: &State, key: &SecretString) -> Result<Option<SecretString>, ApiError> {
    let mut bytes = [0u8; 32];
    getrandom::fill(&mut bytes).map_err(|_| ApiError::unavailable("The system provides no random numbers."))?;
    let token = SecretString::from(URL_SAFE_NO_PAD.encode(bytes));
    let hash = key_hash(key.expose_secret());
    let operator_key = state.settings.operator_key.as_ref();
    let owner = if let Some(expected) = operator_key.filter(|key| bool::from(key_hash(key.expose_secret()).ct_eq(&hash))) {
        SessionOf::Operator { proof: operator_proof(&token, expected) }
    } else {
        match state.db.read(move |conn| crate::db::sellers::find_key(conn, &hash)).await {
            Ok(owner) if owner.revoked => return Ok(None),
            Ok(owner) if owner.suspended => return Err(ApiError::suspended()),
            Ok(owner) => {
                state.quota.check(owner.seller, owner.events_per_second)?;
                SessionOf::Seller { seller: owner.seller, key: owner.key }
            }
            Err(crate::db::Error::NotFound) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
    };
    let (hash, now) = (token_digest(&token), state.now());
    let until = now + SESSION_FOR;
    state.db.write(move |conn| begin_session(conn, &hash, &owner, now, until)).await?;
    Ok(Some(token))
}

/// Ends the session of this request, if it has one.
pub(super) async fn sign_out(state: &State, request: &HttpRequest) -> Result<(), ApiError> {
    if let Some(token) = session_token(state, request) {
        let hash = token_digest(&token);
        state.db.write(move |conn| end_session(conn, &hash)).await?;
    }
    Ok(())
}

/// The session of this request, if it has not ended.
async fn find(state: &State, request: &HttpRequest) -> Result<Option<(SecretString, Session)>, ApiError> {
    let Some(token) = session_token(state, request) else { return Ok(None) };
    let (hash, now) = (token_digest(&token), state.now());
    match state.db.read(move |conn| find_session(conn, &hash, now)).await {
        Ok(session) => Ok(Some((token, session))),
        Err(crate::db::Error::NotFound) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn is_operator(state: &AppState, token: &SecretString, proof: &[u8]) -> bool {
    state.settings.operator_key.as_ref().is_some_and(|key| bool::from(operator_proof(token, key).ct_eq(proof)))
}

/// The seller who is signed in, for endpoints that answer data instead of pages (`/v1/stream`).
pub(in crate::http) async fn caller_by_cookie(state: &State, request: &HttpRequest) -> Result<(Caller, Right), ApiError> {
    match find(state, request).await? {
        Some((_, Session::Seller { seller, .. })) if seller.suspended => Err(ApiError::suspended()),
        Some((token, Session::Seller { seller, key, .. })) => {
            state.quota.check(seller.id, seller.limits.events_per_second)?;
            Ok((Caller::by_key(state.db.seller(seller.id), key), Right::Session(token_digest(&token))))
        }
        _ => Err(ApiError::unauthorized("Send the header Authorization: Bearer <key>, or sign in at /console.")),
    }
}

/// The digest of the seller's session with which this request comes, if it has not ended.
pub(super) async fn session_of(state: &State, request: &HttpRequest) -> Result<Option<Digest>, ApiError> {
    Ok(match find(state, request).await? {
        Some((token, Session::Seller { seller, .. })) if !seller.suspended => Some(token_digest(&token)),
        _ => None,
    })
}

/// The visitor's home page; `None` for visitors who are not signed in.
pub(super) async fn home(state: &State, request: &HttpRequest) -> Result<Option<&'static str>, ApiError> {
    Ok(match find(state, request).await? {
        Some((_, Session::Seller { .. })) => Some("/console/sales-channel"),
        Some((token, Session::Operator { proof })) if is_operator(state, &token, &proof) => Some("/console/operator"),
        _ => None,
    })
}

async fn seller_visit(request: HttpRequest) -> Result<SellerVisit, Refusal> {
    let state = request.app_data::<State>().cloned().ok_or_else(|| ApiError::not_found("page"))?;
    match find(&state, &request).await? {
        Some((_, Session::Seller { seller, .. })) if seller.suspended => Err(ApiError::suspended().into()),
        Some((token, Session::Seller { seller, key, zone })) => {
            request.extensions_mut().insert(Right::Session(token_digest(&token)));
            state.quota.check(seller.id, seller.limits.events_per_second)?;
            request.extensions_mut().insert(Owner::Seller(seller.id));
            let frame = Frame::new(&request, state.clock.now(), seller.name, csrf_token(&token), zone, false);
            Ok(SellerVisit { caller: Caller::by_key(state.db.seller(seller.id), key), frame, session: token_digest(&token) })
        }
        // The operator has no stores, so a seller's pages do not exist for it.
        Some((_, Session::Operator { .. })) => Err(ApiError::not_found("page").into()),
        None => Err(Refusal::sign_in(&request)),
    }
}

async fn operator_visit(request: HttpRequest) -> Result<OperatorVisit, Refusal> {
    let state = request.app_data::<State>().cloned().ok_or_else(|| ApiError::not_found("page"))?;
    match find(&state, &request).await? {
        Some((token, Session::Operator { proof })) if is_operator(&state, &token, &proof) => {
            let frame = Frame::new(&request, state.clock.now(), "Operator".to_owned(), csrf_token(&token), chrono_tz::UTC, true);
            Ok(OperatorVisit { operator: Operator, frame })
        }
        Some((_, Session::Seller { .. })) => Err(ApiError::not_found("page").into()),
        _ => Err(Refusal::sign_in(&request)),
    }
}

impl FromRequest for SellerVisit {
    type Error = Refusal;
    type Future = LocalBoxFuture<'static, Result<Self, Refusal>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        Box::pin(seller_visit(request.clone()))
    }
}

impl FromRequest for OperatorVisit {
    type Error = Refusal;
    type Future = LocalBoxFuture<'static, Result<Self, Refusal>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        Box::pin(operator_visit(request.clone()))
    }
}
