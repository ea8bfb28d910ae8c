//! Problem answers (RFC 9457), and the only map from inner errors to status codes. Outside messages never show SQL,
//! paths or secrets; what happened inside is logged here, once.
use crate::db;
use crate::domain::FieldError;
use crate::service;
use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;
use serde_json::{Map, Value};

/// What a request is answered when it does not succeed.
#[derive(Debug, Clone, PartialEq)]
pub struct ApiError {
    status: StatusCode,
    detail: String,
    errors: Vec<FieldError>,
    retry_after_s: Option<u64>,
    extension: Option<Map<String, Value>>,
}

/// The body of a problem answer (RFC 9457).
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Problem {
    /// What kind of problem: an anchor in the list of errors.
    #[schema(example = "urn:stocktide:problem:invalid")]
    pub r#type: String,
    /// The kind, in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// This case, in words.
    pub detail: String,
    /// Each bad field.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    /// Members of this kind of problem.
    #[serde(flatten)]
    #[schema(ignore)]
    pub extension: Option<Map<String, Value>>,
}

/// Status, last part of `type`, title. Each has an entry in `src/doc/errors.md`.
pub const KINDS: [(u16, &str, &str); 13] = [
    (400, "malformed", "The request cannot be read"),
    (401, "unauthorized", "No valid key"),
    (403, "suspended", "The seller is suspended"),
    (404, "not-found", "There is no such thing here"),
    (405, "method-not-allowed", "This address has no such method"),
    (408, "too-slow", "The request took too long to arrive"),
    (409, "conflict", "This contradicts what is there"),
    (413, "too-large", "The request is too large"),
    (415, "unsupported-media-type", "The request's media type is not understood"),
    (422, "invalid", "Some fields are not right"),
    (429, "quota", "Too much was sent"),
    (500, "internal", "Something went wrong inside"),
    (503, "unavailable", "The service cannot do this now"),
];

impl ApiError {
    fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into(), errors: Vec::new(), retry_after_s: None, extension: None }
    }

    /// 400: not what HTTP or JSON allow.
    pub fn malformed(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// 401, and how to do it right.
    pub fn unauthorized(detail: &str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, detail)
    }

    /// 403.
    pub fn suspended() -> Self {
        Self::new(StatusCode::FORBIDDEN, "This seller is suspended; its operator can lift that.")
    }

    /// 404: there is none, or it is another seller's.
    pub fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, format!("There is no such {what}."))
    }

    /// 404 that names the field whose id is not there.
    pub fn not_found_at(pointer: impl Into<String>, what: &str) -> Self {
        Self { errors: vec![FieldError::new(pointer, format!("there is no such {what}"))], ..Self::not_found(what) }
    }

    /// 405.
    pub fn method_not_allowed(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, detail)
    }

    /// 408.
    pub fn too_slow() -> Self {
        Self::new(StatusCode::REQUEST_TIMEOUT, "The body did not arrive in time.")
    }

    /// 409.
    pub fn conflict(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, detail)
    }

    /// 409 with the fields that contradict what is there.
    pub fn conflicting(errors: Vec<FieldError>) -> Self {
        let detail = errors.first().map(ToString::to_string).unwrap_or_default();
        Self { errors, ..Self::conflict(detail) }
    }

    /// 413.
    pub fn too_large(limit: usize) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, format!("A request may have at most {limit} bytes; send it in parts."))
    }

    /// 415.
    pub fn media_type(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail)
    }

    /// 422 with all the bad fields.
    pub fn invalid(errors: Vec<FieldError>) -> Self {
        let detail = errors.first().map(ToString::to_string).unwrap_or_default();
        Self { errors, ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail) }
    }

    /// 422 with one bad field.
    pub fn field(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::invalid(vec![FieldError::new(pointer, detail)])
    }

    /// 429.
    pub fn quota(wait: std::time::Duration) -> Self {
        let seconds = wait.as_secs().max(1);
        Self { retry_after_s: Some(seconds), ..Self::new(StatusCode::TOO_MANY_REQUESTS, format!("Come back in {seconds} s.")) }
    }

    /// 429 for an address that keeps trying keys.
    pub fn wrong_keys(wait: std::time::Duration) -> Self {
        let seconds = wait.as_secs().max(1);
        let detail = format!("Too many requests with wrong keys came from this address. Come back in {seconds} s.");
        Self { retry_after_s: Some(seconds), ..Self::new(StatusCode::TOO_MANY_REQUESTS, detail) }
    }

    /// 503.
    pub fn unavailable(detail: &str) -> Self {
        Self { retry_after_s: Some(1), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, detail) }
    }

    /// Adds members to the problem's body.
    #[must_use]
    pub fn with(mut self, extension: Map<String, Value>) -> Self {
        self.extension = Some(extension);
        self
    }

    /// What happened, in words.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// Each bad field.
    pub fn errors(&self) -> &[FieldError] {
        &self.errors
    }

    /// When to come back, in seconds.
    pub fn retry_after_s(&self) -> Option<u64> {
        self.retry_after_s
    }

    /// The kind of problem, in words.
    pub fn title(&self) -> &'static str {
        self.kind().1
    }

    fn kind(&self) -> (&'static str, &'static str) {
        let code = self.status.as_u16();
        KINDS
            .iter()
            .find(|(status, ..)| *status == code)
            .map_or(("internal", "Something went wrong inside"), |(_, name, title)| (name, title))
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
        let (name, title) = self.kind();
        let problem = Problem {
            r#type: format!("urn:stocktide:problem:{name}"),
            title: title.to_owned(),
            status: self.status.as_u16(),
            detail: self.detail.clone(),
            errors: self.errors.clone(),
            extension: self.extension.clone(),
        };
        let body = serde_json::to_string(&problem).unwrap_or_default();
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
            db::Error::NotFound => Self::new(StatusCode::NOT_FOUND, "There is no such thing here."),
            db::Error::Conflict(detail) => Self::conflict(detail),
            db::Error::Invalid(errors) => Self::invalid(errors),
            db::Error::Busy => Self::unavailable("The service is busy; nothing was changed."),
            db::Error::Unavailable(cause) => {
                tracing::warn!(%cause, "the database is unavailable");
                Self::unavailable("The database cannot be reached or written just now; nothing is known to have changed.")
            }
            db::Error::Corrupt(cause) => {
                tracing::error!(%cause, "a row cannot be read");
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "Something stored here cannot be read; the operator's log says more.")
            }
        }
    }
}

impl From<service::Error> for ApiError {
    fn from(error: service::Error) -> Self {
        match error {
            service::Error::Rows(error) => error.into(),
            service::Error::NoSuch { pointer, what } => Self::not_found_at(pointer, what),
            service::Error::NoRandomNumbers => Self::unavailable("No random numbers can be had."),
        }
    }
}

impl From<Vec<FieldError>> for ApiError {
    fn from(errors: Vec<FieldError>) -> Self {
        Self::invalid(errors)
    }
}
