//! Problem documents (RFC 9457), and the only mapping from internal errors to status codes. Messages to clients never
//! contain SQL, paths or secrets; the internal cause is logged here, once.
use crate::db;
use crate::domain::FieldError;
use crate::service;
use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;
use serde_json::{Map, Value};

/// The answer to a request that did not succeed.
#[derive(Debug, Clone, PartialEq)]
pub struct ApiError {
    status: StatusCode,
    detail: String,
    errors: Vec<FieldError>,
    errors_omitted: usize,
    retry_after_s: Option<u64>,
    extension: Option<Map<String, Value>>,
}

/// A problem document (RFC 9457).
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Problem {
    /// The kind of problem, to be checked by clients.
    #[schema(example = "urn:stocktide:problem:invalid")]
    pub r#type: String,
    /// The kind of problem for people; the same text for every problem of this kind.
    pub title: String,
    /// The HTTP status code.
    pub status: u16,
    /// What went wrong in this request, for people.
    pub detail: String,
    /// The invalid fields, at most 100 of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 100)]
    pub errors: Vec<FieldError>,
    /// How many more invalid fields there are, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub errors_omitted: Option<usize>,
    /// Further members that this kind of problem has.
    #[serde(flatten)]
    #[schema(ignore)]
    pub extension: Option<Map<String, Value>>,
}

/// The most invalid fields that a problem document names, so that an answer cannot be made much larger than its request.
const MAX_ERRORS: usize = 100;

/// The status, the last part of `type`, and the title of each kind. `src/doc/errors.md` explains each of them.
pub const KINDS: [(u16, &str, &str); 13] = [
    (400, "malformed", "Malformed request"),
    (401, "unauthorized", "Missing or invalid key"),
    (403, "suspended", "Seller suspended"),
    (404, "not-found", "Not found"),
    (405, "method-not-allowed", "Method not allowed"),
    (408, "too-slow", "Request timed out"),
    (409, "conflict", "Conflict with existing data"),
    (413, "too-large", "Request too large"),
    (415, "unsupported-media-type", "Unsupported media type"),
    (422, "invalid", "Invalid fields"),
    (429, "quota", "Too many requests"),
    (500, "internal", "Internal error"),
    (503, "unavailable", "Temporarily unavailable"),
];

impl ApiError {
    fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into(), errors: Vec::new(), errors_omitted: 0, retry_after_s: None, extension: None }
    }

    /// 400: the request violates HTTP or the format of its body.
    pub fn malformed(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// 401; `detail` says how to authenticate.
    pub fn unauthorized(detail: &str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, detail)
    }

    /// 403.
    pub fn suspended() -> Self {
        Self::new(StatusCode::FORBIDDEN, "This seller is suspended. The operator can lift the suspension.")
    }

    /// 404: it does not exist, or it belongs to another seller.
    pub fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, format!("There is no such {what}."))
    }

    /// 404, naming the field whose id does not exist.
    pub fn not_found_at(pointer: impl Into<String>, what: &str) -> Self {
        Self::not_found(what).naming(vec![FieldError::new(pointer, format!("there is no such {what}"))])
    }

    /// 405.
    pub fn method_not_allowed(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, detail)
    }

    /// 408.
    pub fn too_slow() -> Self {
        Self::new(StatusCode::REQUEST_TIMEOUT, "The request body did not arrive in time.")
    }

    /// 409.
    pub fn conflict(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, detail)
    }

    /// 409, naming the fields that conflict with existing data.
    pub fn conflicting(errors: Vec<FieldError>) -> Self {
        let detail = errors.first().map(ToString::to_string).unwrap_or_default();
        Self::conflict(detail).naming(errors)
    }

    /// 413.
    pub fn too_large(limit: usize) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, format!("A request body may have at most {limit} bytes. Send it in parts."))
    }

    /// 415.
    pub fn media_type(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail)
    }

    fn naming(mut self, mut errors: Vec<FieldError>) -> Self {
        self.errors_omitted = errors.len().saturating_sub(MAX_ERRORS);
        errors.truncate(MAX_ERRORS);
        self.errors = errors;
        self
    }

    /// 422, naming the invalid fields.
    pub fn invalid(errors: Vec<FieldError>) -> Self {
        let detail = errors.first().map(ToString::to_string).unwrap_or_default();
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail).naming(errors)
    }

    /// 422, naming one invalid field.
    pub fn field(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::invalid(vec![FieldError::new(pointer, detail)])
    }

    /// 429: the seller may send its next request after `wait`.
    pub fn quota(wait: std::time::Duration) -> Self {
        // Rounded up: after a part of a second less it would be refused again.
        let seconds = (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1);
        Self { retry_after_s: Some(seconds), ..Self::new(StatusCode::TOO_MANY_REQUESTS, format!("Try again in {seconds} s.")) }
    }

    /// 429: all that this seller, or this address, is sending at the moment is too large.
    pub fn bodies_too_large() -> Self {
        let detail = "The requests that you are sending at the moment are too large together. Wait until one of them is answered.";
        Self { retry_after_s: Some(1), ..Self::new(StatusCode::TOO_MANY_REQUESTS, detail) }
    }

    /// 429: too many of this seller's requests are under way at once.
    pub fn too_much_at_once() -> Self {
        let detail = "Too many of your requests are under way at once. Wait for their answers, or try again in 1 s.";
        Self { retry_after_s: Some(1), ..Self::new(StatusCode::TOO_MANY_REQUESTS, detail) }
    }

    /// 429: too many requests from this IP address had invalid keys.
    pub fn too_many_invalid_keys(wait: std::time::Duration) -> Self {
        let seconds = wait.as_secs().max(1);
        let detail = format!("Too many requests with invalid keys came from your IP address. Try again in {seconds} s.");
        Self { retry_after_s: Some(seconds), ..Self::new(StatusCode::TOO_MANY_REQUESTS, detail) }
    }

    /// 503.
    pub fn unavailable(detail: &str) -> Self {
        Self { retry_after_s: Some(1), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, detail) }
    }

    /// Adds members to the problem document.
    #[must_use]
    pub fn with(mut self, extension: Map<String, Value>) -> Self {
        self.extension = Some(extension);
        self
    }

    /// What went wrong, for people.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// The invalid fields, at most [`MAX_ERRORS`] of them.
    pub fn errors(&self) -> &[FieldError] {
        &self.errors
    }

    /// How many more there are.
    pub fn errors_omitted(&self) -> usize {
        self.errors_omitted
    }

    /// After how many seconds to try again.
    pub fn retry_after_s(&self) -> Option<u64> {
        self.retry_after_s
    }

    /// The kind of problem, for people.
    pub fn title(&self) -> &'static str {
        self.kind().1
    }

    /// Whether the same request may succeed later.
    pub fn may_pass(&self) -> bool {
        self.status == StatusCode::REQUEST_TIMEOUT || self.is_quota() || self.status.is_server_error()
    }

    /// Whether the seller is suspended.
    pub fn is_suspension(&self) -> bool {
        self.status == StatusCode::FORBIDDEN
    }

    /// Whether the seller has asked for more than it may at a time.
    pub fn is_quota(&self) -> bool {
        self.status == StatusCode::TOO_MANY_REQUESTS
    }

    /// The problem document.
    pub fn problem(&self) -> Problem {
        let (name, title) = self.kind();
        Problem {
            r#type: format!("urn:stocktide:problem:{name}"),
            title: title.to_owned(),
            status: self.status.as_u16(),
            detail: self.detail.clone(),
            errors: self.errors.clone(),
            errors_omitted: Some(self.errors_omitted).filter(|omitted| *omitted > 0),
            extension: self.extension.clone(),
        }
    }

    fn kind(&self) -> (&'static str, &'static str) {
        let code = self.status.as_u16();
        KINDS.iter().find(|(status, ..)| *status == code).map_or(("internal", "Internal error"), |(_, name, title)| (name, title))
    }
}

impl std::fmt::Display for ApiError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.status.as_u16(), self.detail)
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        let body = serde_json::to_string(&self.problem()).unwrap_or_default();
        let mut response = HttpResponse::build(self.status).content_type("application/problem+json").body(body);
        let mut set = |name: HeaderName, value: String| {
            if let Ok(value) = HeaderValue::try_from(value) {
                response.headers_mut().insert(name, value);
            }
        };
        if let Some(seconds) = self.retry_after_s {
            set(RETRY_AFTER, seconds.to_string());
        }
        if self.status == StatusCode::UNAUTHORIZED {
            set(WWW_AUTHENTICATE, "Bearer".to_owned());
        }
        response
    }
}

impl From<db::Error> for ApiError {
    fn from(error: db::Error) -> Self {
        match error {
            db::Error::NotFound => Self::new(StatusCode::NOT_FOUND, "This does not exist, or it belongs to another seller."),
            db::Error::Conflict(detail) => Self::conflict(detail),
            db::Error::ConflictAt(error) => Self::conflict(error.detail.clone()).naming(vec![error]),
            db::Error::Invalid(errors) => Self::invalid(errors),
            db::Error::Busy | db::Error::Fenced => Self::unavailable("The service is busy; nothing was changed."),
            db::Error::TooMuchAtOnce => Self::too_much_at_once(),
            db::Error::Unavailable(cause) => {
                tracing::warn!(%cause, "the database is unavailable");
                Self::unavailable(
                    "The database cannot be reached or written to at the moment. Check the current state before you repeat a change.",
                )
            }
            db::Error::Corrupt(cause) => {
                tracing::error!(%cause, "a stored row is corrupt");
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "Stored data cannot be read. The log has the details for the operator.")
            }
        }
    }
}

impl From<service::Error> for ApiError {
    fn from(error: service::Error) -> Self {
        match error {
            service::Error::Rows(error) => error.into(),
            service::Error::NoSuch { pointer, what } => Self::not_found_at(pointer, what),
            service::Error::NoRandomNumbers => Self::unavailable("No random numbers are available. Try again later."),
        }
    }
}

impl From<Vec<FieldError>> for ApiError {
    fn from(errors: Vec<FieldError>) -> Self {
        Self::invalid(errors)
    }
}
