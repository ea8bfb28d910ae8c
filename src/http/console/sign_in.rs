//! Signing in with an API key, and signing out.
use super::field::Field;
use super::form::{Fields, Posted, same_site};
use super::page::{FormErrors, MAX_NEXT, PageAnswer, add_cookie, go, html};
use super::session::{self, AnyVisit, is_https, session_cookie};
use crate::domain::FieldError;
use crate::http::auth::MAX_KEY_BYTES;
use crate::http::body::Body;
use crate::http::client_address::address;
use crate::http::state::State;
use actix_web::http::StatusCode;
use actix_web::http::header::RETRY_AFTER;
use actix_web::web::Query;
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use secrecy::SecretString;
use serde::Deserialize;
use std::time::Duration;

/// The most bytes in the form: it has a key and an address, and anybody may send one.
const MAX_FORM: usize = 4096;

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignInPage {
    next: String,
    key: Field,
}

impl SignInPage {
    fn new(next: &str, error: Option<&str>) -> Self {
        let errors = FormErrors(error.map(|detail| FieldError::new("/key", detail)).into_iter().collect());
        Self { next: next.to_owned(), key: Field::new("key", "API key", "password").checked(&errors, "/key") }
    }
}

#[derive(Deserialize)]
pub(super) struct Next {
    next: Option<String>,
}

/// The address if it is a page of the console, otherwise empty: signing in must not redirect to other sites.
fn within_console(next: &str) -> &str {
    let rest = next.strip_prefix("/console");
    let valid =
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?'])) && next.bytes().all(|byte| byte.is_ascii_graphic());
    if valid && next.len() <= MAX_NEXT && !next.contains(['\\', '#']) { next } else { "" }
}

/// Redirects to the visitor's home page.
pub(super) async fn start(request: HttpRequest, state: State) -> PageAnswer {
    Ok(go(session::home(&state, &request).await?.unwrap_or("/console/sign-in")))
}

pub(super) async fn page(request: HttpRequest, state: State, query: Query<Next>) -> PageAnswer {
    if let Some(home) = session::home(&state, &request).await? {
        return Ok(go(home));
    }
    Ok(html(StatusCode::OK, &SignInPage::new(within_console(query.next.as_deref().unwrap_or_default()), None)))
}

/// The answer to another wrong key from an address that has sent too many of them.
fn throttled(next: &str, wait: Duration) -> HttpResponse {
    let minutes = wait.as_secs().div_ceil(60);
    let message = format!("Too many failed sign-ins from your address. Check your key, or try again in {minutes} min.");
    let mut response = html(StatusCode::TOO_MANY_REQUESTS, &SignInPage::new(next, Some(&message)));
    response.headers_mut().insert(RETRY_AFTER, wait.as_secs().max(1).into());
    response
}

pub(super) async fn sign_in(request: HttpRequest, state: State, body: Body) -> PageAnswer {
    same_site(request.headers())?;
    let fields = Fields::read(request.headers(), body.read_up_to(MAX_FORM).await?, &state.bodies).await?;
    let next = within_console(fields.text("next"));
    let address = address(&request);
    let attempt = match state.console.sign_ins.attempt(address).await {
        Ok(attempt) => attempt,
        Err(wait) => return Ok(throttled(next, wait)),
    };
    let key = Some(fields.text("key")).filter(|key| key.len() <= MAX_KEY_BYTES).map(SecretString::from);
    let token = match &key {
        Some(key) => session::sign_in(&state, key).await?,
        None => None,
    };
    let Some(token) = token else {
        state.console.sign_ins.failed(address);
        return Ok(match attempt.throttled {
            Some(wait) => throttled(next, wait),
            None => {
                let page = SignInPage::new(next, Some("This key is not valid. Check that you copied the whole key."));
                html(StatusCode::UNAUTHORIZED, &page)
            }
        });
    };
    state.console.sign_ins.succeeded(address);
    // A browser has one session: signing in again ends the previous one.
    session::sign_out(&state, &request).await?;
    let mut response = go(if next.is_empty() { "/console" } else { next });
    add_cookie(&mut response, &session_cookie(is_https(&state, request.headers()), Some(&token)));
    Ok(response)
}

pub(super) async fn sign_out(request: HttpRequest, state: State, _posted: Posted<AnyVisit>) -> PageAnswer {
    session::sign_out(&state, &request).await?;
    let mut response = go("/console/sign-in");
    add_cookie(&mut response, &session_cookie(is_https(&state, request.headers()), None));
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signing_in_redirects_only_within_the_console() {
        for own in ["/console", "/console/stores?cursor=1", "/console?x=1"] {
            assert_eq!(within_console(own), own);
        }
        let long = format!("/console/{}", "x".repeat(MAX_NEXT));
        for foreign in [&long, "//evil.example", "https://evil.example", "/consoles", "/console\\..", "/console/\r\nx", "/v1/stores"] {
            assert_eq!(within_console(foreign), "");
        }
    }
}
