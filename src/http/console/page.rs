//! What every page has: its frame, how it is answered, and what stands there instead when it cannot be.
use super::show::Stamp;
use crate::db;
use crate::domain::{FieldError, Timestamp};
use crate::http::error::ApiError;
use crate::service;
use actix_web::cookie::{Cookie, SameSite, time};
use actix_web::http::StatusCode;
use actix_web::http::header::{LOCATION, RETRY_AFTER};
use actix_web::{HttpRequest, HttpResponse, ResponseError};
use askama::Template;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono_tz::Tz;

/// What a page or a form answers.
pub(super) type PageAnswer = Result<HttpResponse, Refusal>;

/// Tells the next page what was done.
const NOTICE: &str = "stocktide_notice";
/// Stands in front of a notice of what did not work out.
const FAILED: char = '!';
/// The longest notice, in characters.
const MAX_NOTICE: usize = 500;

/// What was done just before, in a sentence.
pub(super) struct Notice {
    /// The sentence.
    pub text: String,
    /// Whether it did not work out.
    pub failed: bool,
}

impl Notice {
    /// What the cookie carries: what did not work out has a mark in front.
    fn read(text: &str) -> Option<Self> {
        let (text, failed) = text.strip_prefix(FAILED).map_or((text, false), |rest| (rest, true));
        (!text.is_empty()).then(|| Self { text: text.to_owned(), failed })
    }
}

/// What stands around a page's content.
pub(super) struct Frame {
    /// The seller's name, or "Operator".
    pub who: String,
    /// Whether this is the operator.
    pub operator: bool,
    /// The session's CSRF token, for forms.
    pub csrf: String,
    /// The zone in which times are shown.
    pub zone: Tz,
    /// When the page was asked for.
    pub now: Timestamp,
    /// What was done just before.
    pub notice: Option<Notice>,
}

impl Frame {
    /// For this request.
    pub fn new(request: &HttpRequest, now: Timestamp, who: String, csrf: String, zone: Tz, operator: bool) -> Self {
        let notice = request.cookie(NOTICE).and_then(|cookie| URL_SAFE_NO_PAD.decode(cookie.value()).ok());
        let notice = notice.and_then(|bytes| String::from_utf8(bytes).ok()).and_then(|text| Notice::read(&text));
        Self { who, operator, csrf, zone, now, notice }
    }

    /// An instant, as it is shown.
    pub fn stamp(&self, at: Timestamp) -> Stamp {
        Stamp::new(at, self.zone, self.now)
    }

    /// The same, for what may not have happened yet.
    pub fn stamp_of(&self, at: Option<Timestamp>) -> Option<Stamp> {
        at.map(|at| self.stamp(at))
    }

    /// The day of an instant.
    pub fn day(&self, at: Timestamp) -> Stamp {
        Stamp::day(at, self.zone)
    }

    /// The zone's name and its offset now.
    pub fn zone_name(&self) -> String {
        super::show::zone_name(self.zone, self.now)
    }

    /// Answers with a page. A notice is shown once.
    pub fn page(&self, page: &impl Template) -> PageAnswer {
        self.answer(StatusCode::OK, page)
    }

    /// Answers with a page whose form has errors.
    pub fn rejected(&self, page: &impl Template) -> PageAnswer {
        self.answer(StatusCode::UNPROCESSABLE_ENTITY, page)
    }

    fn answer(&self, status: StatusCode, page: &impl Template) -> PageAnswer {
        let mut response = html(status, page);
        if self.notice.is_some() {
            add_cookie(&mut response, &notice_cookie(""));
        }
        Ok(response)
    }
}

fn notice_cookie(text: &str) -> Cookie<'static> {
    let age = if text.is_empty() { time::Duration::ZERO } else { time::Duration::minutes(1) };
    Cookie::build(NOTICE, URL_SAFE_NO_PAD.encode(text)).path("/console").http_only(true).same_site(SameSite::Lax).max_age(age).finish()
}

/// Adds a cookie to an answer; ours are always well-formed.
pub(super) fn add_cookie(response: &mut HttpResponse, cookie: &Cookie<'_>) {
    if let Err(error) = response.add_cookie(cookie) {
        tracing::error!(%error, "a cookie could not be set");
    }
}

/// A page as an answer.
pub(super) fn html(status: StatusCode, page: &impl Template) -> HttpResponse {
    match page.render() {
        Ok(text) => HttpResponse::build(status).content_type("text/html; charset=utf-8").body(text),
        Err(error) => {
            tracing::error!(%error, "a page could not be written");
            HttpResponse::InternalServerError().content_type("text/plain; charset=utf-8").body("Something went wrong inside.")
        }
    }
}

/// Goes on to another page, so that a reload repeats nothing.
pub(super) fn go(to: &str) -> HttpResponse {
    HttpResponse::SeeOther().insert_header((LOCATION, to)).finish()
}

/// Goes on to another page, which says what was done.
pub(super) fn go_saying(to: &str, notice: &str) -> HttpResponse {
    let mut response = go(to);
    let short: String = notice.chars().take(MAX_NOTICE).collect();
    add_cookie(&mut response, &notice_cookie(&short));
    response
}

/// The same, where what was asked for did not work out.
pub(super) fn go_warning(to: &str, notice: &str) -> HttpResponse {
    go_saying(to, &format!("{FAILED}{notice}"))
}

/// Why there is no page.
#[derive(Debug)]
pub(super) enum Refusal {
    /// Sign in first; then on to this address.
    SignIn(String),
    /// Not from here.
    Forbidden(&'static str),
    /// Like the same request to the interface.
    Api(ApiError),
}

impl Refusal {
    /// Sign in first, then back here.
    pub fn sign_in(request: &HttpRequest) -> Self {
        let back = if request.method() == actix_web::http::Method::GET { request.uri().to_string() } else { String::new() };
        Self::SignIn(back)
    }
}

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Self {
        Self::Api(error)
    }
}

impl From<service::Error> for Refusal {
    fn from(error: service::Error) -> Self {
        Self::Api(error.into())
    }
}

impl From<db::Error> for Refusal {
    fn from(error: db::Error) -> Self {
        Self::Api(error.into())
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::SignIn(_) => f.write_str("sign in first"),
            Self::Forbidden(detail) => f.write_str(detail),
            Self::Api(error) => error.fmt(f),
        }
    }
}

#[derive(Template)]
#[template(path = "refused.html")]
struct RefusedPage<'a> {
    status: u16,
    title: &'a str,
    detail: &'a str,
}

impl ResponseError for Refusal {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::SignIn(_) => StatusCode::SEE_OTHER,
            Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::Api(error) => error.status_code(),
        }
    }

    fn error_response(&self) -> HttpResponse {
        let status = self.status_code();
        let (title, detail) = match self {
            Self::SignIn(back) if back.is_empty() => return go("/console/sign-in"),
            Self::SignIn(back) => {
                return go(&format!("/console/sign-in?next={}", super::show::query_value(back)));
            }
            Self::Forbidden(detail) => ("This was not sent from here", *detail),
            Self::Api(error) => (error.title(), error.detail()),
        };
        let mut response = html(status, &RefusedPage { status: status.as_u16(), title, detail });
        if let Self::Api(error) = self
            && let Some(seconds) = error.retry_after_s()
        {
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        response
    }
}

/// The errors of a form, found again beside their fields by the pointers of the interface.
#[derive(Debug, Default)]
pub(super) struct FormErrors(pub Vec<FieldError>);

impl FormErrors {
    /// What is wrong with the field at this pointer, or within it.
    pub fn at(&self, pointer: &str) -> Option<String> {
        let of = |error: &&FieldError| error.pointer.strip_prefix(pointer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        let found: Vec<&str> = self.0.iter().filter(of).map(|error| error.detail.as_str()).collect();
        (!found.is_empty()).then(|| sentence(&found.join("; ")))
    }

    /// What is wrong with just this, not with what is within it.
    pub fn of(&self, pointer: &str) -> Option<String> {
        self.0.iter().find(|error| error.pointer == pointer).map(|error| sentence(&error.detail))
    }

    /// What is wrong with no field of the form.
    pub fn elsewhere(&self, pointers: &[&str]) -> Vec<String> {
        let shown = |error: &FieldError| {
            pointers.iter().any(|p| error.pointer.strip_prefix(p).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
        };
        self.0.iter().filter(|error| !shown(error)).map(|error| sentence(&error.to_string())).collect()
    }
}

/// Errors of the interface are parts of sentences: "must be from 0 to 23".
fn sentence(text: &str) -> String {
    format!("{}{}", super::show::sentence_case(text), if text.ends_with('.') { "" } else { "." })
}

/// Splits the errors that belong beside fields from all other failures.
pub(super) fn field_errors<T>(result: Result<T, service::Error>) -> Result<Result<T, FormErrors>, Refusal> {
    match result.map_err(ApiError::from) {
        Ok(value) => Ok(Ok(value)),
        Err(error) if !error.errors().is_empty() && error.status_code() != StatusCode::NOT_FOUND => {
            Ok(Err(FormErrors(error.errors().to_vec())))
        }
        Err(error) if error.status_code() == StatusCode::CONFLICT => Ok(Err(FormErrors(vec![FieldError::new("", error.detail())]))),
        Err(error) => Err(error.into()),
    }
}
