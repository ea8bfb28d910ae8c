//! The links in mails: `/email/confirm/{token}` and `/email/unsubscribe/{token}`, for people who are not signed in. Opening one
//! changes nothing, because mail programs open links, too; the button on its page does. A mail program may send the same form to
//! unsubscribe by itself (RFC 8058), so it needs no cookie.
use super::page::{PageAnswer, html};
use crate::db::email::Purpose;
use crate::http::client_address::address;
use crate::http::error::ApiError;
use crate::http::state::State;
use crate::service::email::{self, Linked};
use crate::{db, service};
use actix_web::http::StatusCode;
use actix_web::web::Path;
use actix_web::{HttpRequest, ResponseError};
use askama::Template;
use secrecy::SecretString;
use sha2::{Digest as _, Sha256};

/// Longer tokens are refused without being looked up.
const MAX_TOKEN: usize = 128;

#[derive(Template)]
#[template(path = "email_link.html")]
struct LinkPage {
    title: &'static str,
    detail: String,
    /// What the button says, if there is one.
    button: Option<&'static str>,
}

fn asks(purpose: Purpose, Linked { address, seller }: &Linked) -> LinkPage {
    let address = &address.address;
    match purpose {
        Purpose::Confirm => LinkPage {
            title: "Confirm this address?",
            detail: format!("Mails about the stores of {seller} will be sent to {address}. Each has a link that ends them."),
            button: Some("Confirm"),
        },
        Purpose::Unsubscribe => LinkPage {
            title: "Unsubscribe?",
            detail: format!("No more mails about the stores of {seller} will be sent to {address}."),
            button: Some("Unsubscribe"),
        },
    }
}

fn done(purpose: Purpose, Linked { address, seller }: &Linked) -> LinkPage {
    let address = &address.address;
    match purpose {
        Purpose::Confirm => LinkPage {
            title: "The address is confirmed",
            detail: format!("Mails about the stores of {seller} are sent to {address}."),
            button: None,
        },
        Purpose::Unsubscribe => LinkPage {
            title: "You are unsubscribed",
            detail: format!("No more mails about the stores of {seller} are sent to {address}."),
            button: None,
        },
    }
}

async fn open(request: HttpRequest, state: State, token: String, purpose: Purpose, follow: bool) -> PageAnswer {
    let (from, hash): (_, [u8; 32]) = (address(&request), Sha256::digest(token.as_bytes()).into());
    // Whoever guesses has to wait, as with keys.
    let attempt = state.failed_keys.attempt(from, &hash).await?;
    let token = SecretString::from(if token.len() > MAX_TOKEN { String::new() } else { token });
    let found = match follow {
        true => email::follow(&state.service, &token, purpose).await,
        false => email::look(&state.service, &token, purpose).await,
    };
    drop(attempt);
    let page = match &found {
        Ok(linked) if follow => done(purpose, linked),
        Ok(linked) => asks(purpose, linked),
        Err(service::Error::Rows(db::Error::NotFound)) => {
            let gone = ApiError::not_found("link");
            let refusal = state.failed_keys.refuse(from, &hash, gone);
            if refusal.status_code() != StatusCode::NOT_FOUND {
                return Err(refusal.into());
            }
            let detail = "It was used already, or it is too old. Ask whoever added your address for another one.".to_owned();
            return Ok(html(StatusCode::NOT_FOUND, &LinkPage { title: "This link no longer works", detail, button: None }));
        }
        Err(error) => return Err(error.clone().into()),
    };
    Ok(html(StatusCode::OK, &page))
}

pub(super) async fn confirm_page(request: HttpRequest, state: State, token: Path<String>) -> PageAnswer {
    open(request, state, token.into_inner(), Purpose::Confirm, false).await
}

pub(super) async fn confirm(request: HttpRequest, state: State, token: Path<String>) -> PageAnswer {
    open(request, state, token.into_inner(), Purpose::Confirm, true).await
}

pub(super) async fn unsubscribe_page(request: HttpRequest, state: State, token: Path<String>) -> PageAnswer {
    open(request, state, token.into_inner(), Purpose::Unsubscribe, false).await
}

pub(super) async fn unsubscribe(request: HttpRequest, state: State, token: Path<String>) -> PageAnswer {
    open(request, state, token.into_inner(), Purpose::Unsubscribe, true).await
}
