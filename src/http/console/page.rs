//! What all pages share: the frame around their content, responses, notices, refusals and form errors.
use super::show::Stamp;
use crate::db;
use crate::domain::{FieldError, Timestamp};
use crate::http::error::ApiError;
use crate::service;
use actix_web::cookie::{Cookie, SameSite, time};
use actix_web::http::header::{LOCATION, RETRY_AFTER};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse, ResponseError};
use askama::Template;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono_tz::Tz;

pub(super) type PageAnswer = Result<HttpResponse, Refusal>;

/// The cookie that carries a notice to the next page.
const NOTICE_COOKIE: &str = "stocktide_notice";
/// Prefix of a notice that reports a failure.
const FAILED: char = '!';
/// Longer notices are cut off, since a cookie holds about 4 kB. In characters.
const MAX_NOTICE: usize = 500;
/// The longest address that signing in returns to, in bytes. Percent-encoded it has to fit into the form.
pub(super) const MAX_NEXT: usize = 800;

/// A sentence about what the previous form did.
pub(super) struct Notice {
    pub text: String,
    pub failed: bool,
}

impl Notice {
    fn parse(text: &str) -> Option<Self> {
        let (text, failed) = text.strip_prefix(FAILED).map_or((text, false), |rest| (rest, true));
        (!text.is_empty()).then(|| Self { text: text.to_owned(), failed })
    }
}

/// What surrounds a page's content.
pub(super) struct Frame {
    /// The seller's name, or "Operator".
    pub who: String,
    /// Whether the visitor is the operator.
    pub operator: bool,
    /// The session's CSRF token, for forms.
    pub csrf: String,
    /// Times are shown in this zone.
    pub zone: Tz,
    /// When the page was requested.
    pub now: Timestamp,
    pub notice: Option<Notice>,
}

impl Frame {
    pub fn new(request: &HttpRequest, now: Timestamp, who: String, csrf: String, zone: Tz, operator: bool) -> Self {
        let notice = request.cookie(NOTICE_COOKIE).and_then(|cookie| URL_SAFE_NO_PAD.decode(cookie.value()).ok());
        let notice = notice.and_then(|bytes| String::from_utf8(bytes).ok()).and_then(|text| Notice::parse(&text));
        Self { who, operator, csrf, zone, now, notice }
    }

    pub fn stamp(&self, at: Timestamp) -> Stamp {
        Stamp::new(at, self.zone, self.now)
    }

    pub fn stamp_of(&self, at: Option<Timestamp>) -> Option<Stamp> {
        at.map(|at| self.stamp(at))
    }

    /// Only the date of an instant.
    pub fn day(&self, at: Timestamp) -> Stamp {
        Stamp::day(at, self.zone)
    }

    /// The zone's name and its current offset.
    pub fn zone_name(&self) -> String {
        super::show::zone_name(self.zone, self.now)
    }

    /// Responds with a page. A notice is shown once.
    pub fn page(&self, page: &impl Template) -> PageAnswer {
        self.answer(StatusCode::OK, page)
    }

    /// Responds with a page whose form has errors.
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
    Cookie::build(NOTICE_COOKIE, URL_SAFE_NO_PAD.encode(text))
        .path("/console")
        .http_only(true)
        .same_site(SameSite::Lax)
        .max_age(age)
        .finish()
}

/// Logs a failure, which only a malformed cookie could cause.
pub(super) fn add_cookie(response: &mut HttpResponse, cookie: &Cookie<'_>) {
    if let Err(error) = response.add_cookie(cookie) {
        tracing::error!(%error, "a cookie could not be set");
    }
}

pub(super) fn html(status: StatusCode, page: &impl Template) -> HttpResponse {
    match page.render() {
        Ok(text) => HttpResponse::build(status).content_type("text/html; charset=utf-8").body(text),
        Err(error) => {
            tracing::error!(%error, "a page could not be rendered");
            HttpResponse::InternalServerError().content_type("text/plain; charset=utf-8").body("Internal error.")
        }
    }
}

/// Redirects after a form, so that a reload does not submit it again.
pub(super) fn go(to: &str) -> HttpResponse {
    HttpResponse::SeeOther().insert_header((LOCATION, to)).finish()
}

/// Redirects to a page that shows this notice.
pub(super) fn go_saying(to: &str, notice: &str) -> HttpResponse {
    let mut response = go(to);
    let short: String = notice.chars().take(MAX_NOTICE).collect();
    add_cookie(&mut response, &notice_cookie(&short));
    response
}

/// Redirects to a page that shows this notice as a failure.
pub(super) fn go_warning(to: &str, notice: &str) -> HttpResponse {
    go_saying(to, &format!("{FAILED}{notice}"))
}

/// Why a request gets no page.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The visitor must sign in, and then returns to this address.
    SignIn(String),
    /// The form did not come from a page of this session.
    Forbidden(&'static str),
    /// The API would refuse the same request.
    Api(ApiError),
}

impl Refusal {
    /// Sends the visitor to the sign-in page, and back here if this was a page.
    pub fn sign_in(request: &HttpRequest) -> Self {
        let back = Some(request.uri().to_string()).filter(|uri| request.method() == Method::GET && uri.len() <= MAX_NEXT);
        Self::SignIn(back.unwrap_or_default())
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
            Self::Forbidden(detail) => ("Form not accepted", *detail),
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

/// The errors of a form. The API's pointers say which field each belongs to.
#[derive(Debug, Default)]
pub(super) struct FormErrors(pub Vec<FieldError>);

impl FormErrors {
    /// The errors of the field at this pointer, or of anything within it.
    pub fn at(&self, pointer: &str) -> Option<String> {
        let within = |error: &&FieldError| error.pointer.strip_prefix(pointer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        let found: Vec<&str> = self.0.iter().filter(within).map(|error| error.detail.as_str()).collect();
        (!found.is_empty()).then(|| sentence(&found.join("; ")))
    }

    /// The error of exactly this pointer.
    pub fn exactly_at(&self, pointer: &str) -> Option<String> {
        self.0.iter().find(|error| error.pointer == pointer).map(|error| sentence(&error.detail))
    }

    /// The errors of none of these fields.
    pub fn elsewhere(&self, pointers: &[&str]) -> Vec<String> {
        let shown = |error: &FieldError| {
            pointers.iter().any(|p| error.pointer.strip_prefix(p).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
        };
        self.0.iter().filter(|error| !shown(error)).map(|error| sentence(&error.to_string())).collect()
    }
}

/// The API's errors are parts of sentences: "must be from 0 to 23".
fn sentence(text: &str) -> String {
    format!("{}{}", super::show::sentence_case(text), if text.ends_with('.') { "" } else { "." })
}

/// Separates errors that the form can show from all other failures.
pub(super) fn field_errors<T>(result: Result<T, service::Error>) -> Result<Result<T, FormErrors>, Refusal> {
    match result.map_err(ApiError::from) {
        Ok(value) => Ok(Ok(value)),
        Err(error) if !error.errors().is_empty() && error.status_code() != StatusCode::NOT_FOUND => {
            let mut errors = error.errors().to_vec();
            if error.errors_omitted() > 0 {
                errors.push(FieldError::new("", format!("there are {} more errors", error.errors_omitted())));
            }
            Ok(Err(FormErrors(errors)))
        }
        Err(error) if error.status_code() == StatusCode::CONFLICT => Ok(Err(FormErrors(vec![FieldError::new("", error.detail())]))),
        Err(error) => Err(error.into()),
    }
}
