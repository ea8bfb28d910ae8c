//! Parses queries: the parameters of lists, their pages and their cursors.
use super::error::ApiError;
use crate::domain::FieldError;
use actix_web::{HttpMessage, HttpRequest};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

/// Items on a page if the request does not say how many.
const DEFAULT_PAGE_SIZE: i64 = 100;
pub(super) const MAX_PAGE_SIZE: i64 = 1000;
/// More query parameters are refused unread; no list knows as many.
const MAX_PARAMETERS: usize = 32;

/// For serde's `deserialize_with`: distinguishes the three cases of a field in a PATCH, which may be omitted, null, or a value.
pub fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<Option<Option<T>>, D::Error> {
    Option::<T>::deserialize(from).map(Some)
}

/// Parses the query parameters, of which each list has its own type.
///
/// # Errors
/// 422 with the parameter that is unknown or repeated.
pub fn query<T: DeserializeOwned>(request: &HttpRequest) -> Result<T, ApiError> {
    request.extensions_mut().insert(QueryIsKnown);
    query_of(request.query_string())
}

/// Marks a request whose handler reads the query.
struct QueryIsKnown;

/// Refuses the query of a request whose handler reads none: `?dry_run=true` must not be ignored.
///
/// # Errors
/// 422 with the first parameter.
pub fn refuse_unread_query(request: &HttpRequest) -> Result<(), ApiError> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct NoParameters {}
    let is_known = request.extensions().contains::<QueryIsKnown>();
    if is_known { Ok(()) } else { query_of(request.query_string()).map(|NoParameters {}| ()) }
}

/// As [`query`], given the part of the URL after the question mark.
pub fn query_of<T: DeserializeOwned>(text: &str) -> Result<T, ApiError> {
    let wrong = |name: &str, detail: &str| ApiError::invalid(vec![FieldError::named("", "parameter", name, detail)]);
    let mut object = serde_json::Map::new();
    for (index, (name, value)) in form_urlencoded::parse(text.as_bytes()).enumerate() {
        if index == MAX_PARAMETERS {
            return Err(ApiError::field("", format!("may have at most {MAX_PARAMETERS} parameters")));
        }
        if object.contains_key(&*name) {
            return Err(wrong(&name, "appears more than once"));
        }
        object.insert(name.into_owned(), Value::String(value.into_owned()));
    }
    // All known parameters are optional texts, so the only possible error is an unknown one, which serde names in backticks.
    T::deserialize(Value::Object(object))
        .map_err(|error| wrong(error.to_string().split('`').nth(1).unwrap_or_default(), "is not a known parameter"))
}

/// Parses the page size; returns 422 unless it is from 1 to [`MAX_PAGE_SIZE`].
pub fn limit(text: Option<&str>) -> Result<i64, ApiError> {
    let Some(text) = text else { return Ok(DEFAULT_PAGE_SIZE) };
    let within = |n: &i64| (1..=MAX_PAGE_SIZE).contains(n);
    text.parse().ok().filter(within).ok_or_else(|| ApiError::field("/limit", format!("must be a whole number from 1 to {MAX_PAGE_SIZE}")))
}

/// Parses a parameter if it is present; on failure returns 422, saying that it must be `what`.
pub fn parameter<T: std::str::FromStr>(name: &str, text: Option<&str>, what: &str) -> Result<Option<T>, ApiError> {
    text.map(|text| text.parse().map_err(|_| ApiError::field(format!("/{name}"), format!("must be {what}")))).transpose()
}

/// A page of a list.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Page<T> {
    /// The items on this page.
    pub items: Vec<T>,
    /// Pass it as `?cursor=` to get the next page; null on the last page.
    pub next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// Builds a page from up to `limit + 1` rows: the extra row shows that there is another page.
    pub fn of<R>(mut found: Vec<R>, limit: i64, cursor: impl Fn(&R) -> String, item: impl Fn(R) -> T) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = found.len() > limit;
        found.truncate(limit);
        let next_cursor = if more { found.last().map(cursor) } else { None };
        Self { items: found.into_iter().map(item).collect(), next_cursor }
    }
}

/// The query parameters of a list without filters.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PageQuery {
    /// The page size.
    pub limit: Option<String>,
    /// The previous page's `next_cursor`.
    pub cursor: Option<String>,
}

/// A cursor for the items after `after`, in hexadecimal to discourage clients from building their own.
pub fn text_cursor(after: &str) -> String {
    hex::encode(after)
}

/// Parses a cursor made by [`text_cursor`].
pub fn read_text_cursor(cursor: Option<&str>) -> Result<Option<String>, ApiError> {
    let read = |text: &str| {
        hex::decode(text).ok().and_then(|bytes| String::from_utf8(bytes).ok()).filter(|text| !text.is_empty() && !text.contains('\0'))
    };
    cursor.map(|text| read(text).ok_or_else(|| ApiError::field("/cursor", "is not a cursor of this list"))).transpose()
}

/// Parses a cursor that is an id.
pub fn id_cursor<T: std::str::FromStr>(cursor: Option<&str>) -> Result<Option<T>, ApiError> {
    parameter("cursor", cursor, "a cursor of this list")
}
