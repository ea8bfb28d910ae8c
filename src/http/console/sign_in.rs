//! Signing in with an API key, and out again.
use super::field::Field;
use super::form::{Fields, Posted, same_site};
use super::page::{FormErrors, PageAnswer, add_cookie, go, html};
use super::session::{self, AnyVisit, is_https, session_cookie};
use crate::domain::FieldError;
use crate::http::request::Body;
use crate::http::state::State;
use crate::http::throttle::address;
use actix_web::HttpRequest;
use actix_web::http::StatusCode;
use actix_web::web::Query;
use askama::Template;
use secrecy::SecretString;
use serde::Deserialize;

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

/// Only pages of the console: whatever else is asked for would lead somewhere else after signing in.
fn within_console(next: &str) -> &str {
    let rest = next.strip_prefix("/console");
    let fine = rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?'])) && next.bytes().all(|byte| byte.is_ascii_graphic());
    if fine && !next.contains(['\\', '#']) { next } else { "" }
}

/// The start: on to where this visitor belongs.
pub(super) async fn start(request: HttpRequest, state: State) -> PageAnswer {
    Ok(go(session::home(&state, &request).await?.unwrap_or("/console/sign-in")))
}

/// The form.
pub(super) async fn page(request: HttpRequest, state: State, query: Query<Next>) -> PageAnswer {
    if let Some(home) = session::home(&state, &request).await? {
        return Ok(go(home));
    }
    Ok(html(StatusCode::OK, &SignInPage::new(within_console(query.next.as_deref().unwrap_or_default()), None)))
}

/// Signs in.
pub(super) async fn sign_in(request: HttpRequest, state: State, body: Body) -> PageAnswer {
    same_site(request.headers())?;
    let fields = Fields::read(request.headers(), body).await?;
    let next = within_console(fields.text("next"));
    let address = address(&request);
    if let Err(wait) = state.console.throttle.check(address) {
        let minutes = wait.as_secs().div_ceil(60);
        let told = format!("Too many keys from your address did not work. Try again in {minutes} min.");
        let mut response = html(StatusCode::TOO_MANY_REQUESTS, &SignInPage::new(next, Some(&told)));
        response.headers_mut().insert(actix_web::http::header::RETRY_AFTER, wait.as_secs().max(1).into());
        return Ok(response);
    }
    let key = SecretString::from(fields.text("key"));
    let Some(token) = session::sign_in(&state, &key).await? else {
        state.console.throttle.failed(address);
        return Ok(html(StatusCode::UNAUTHORIZED, &SignInPage::new(next, Some("This key is not valid. Check that you copied all of it."))));
    };
    state.console.throttle.succeeded(address);
    // Whatever session this browser had ends here: one browser, one session.
    session::sign_out(&state, &request).await?;
    let mut response = go(if next.is_empty() { "/console" } else { next });
    add_cookie(&mut response, &session_cookie(is_https(&state, request.headers()), Some(&token)));
    Ok(response)
}

/// Signs out.
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
    fn after_signing_in_only_the_console_is_gone_to() {
        for fine in ["/console", "/console/stores?cursor=1", "/console?x=1"] {
            assert_eq!(within_console(fine), fine);
        }
        for foreign in ["//evil.example", "https://evil.example", "/consoles", "/console\\..", "/console/\r\nx", "/v1/stores"] {
            assert_eq!(within_console(foreign), "");
        }
    }
}
