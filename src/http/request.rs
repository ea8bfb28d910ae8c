//! Parses requests: bodies with a size limit and a deadline, JSON with a pointer to each error, and the pages of lists.
use super::error::ApiError;
use super::state::AppState;
use crate::domain::FieldError;
use crate::domain::limits::MAX_BULK;
use crate::domain::problem::{Checks, pointer_to};
use actix_web::dev::Payload;
use actix_web::http::header;
use actix_web::web::{Bytes, BytesMut, Data};
use actix_web::{FromRequest, HttpRequest};
use futures_util::StreamExt;
use futures_util::future::LocalBoxFuture;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use std::time::Duration;

/// How long a body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// Spreadsheets and some editors put it at the start of a file; it is not part of the text.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();
/// Items on a page if the request does not say how many.
const DEFAULT_PAGE_SIZE: i64 = 100;
pub(super) const MAX_PAGE_SIZE: i64 = 1000;

/// A complete request body, no larger than the operator allows.
pub struct Body {
    /// The body without a byte order mark.
    pub bytes: Bytes,
    /// The media type, `type/subtype` in lower case, without parameters; empty if the request has none.
    pub media_type: String,
}

impl FromRequest for Body {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let limit = request.app_data::<Data<AppState>>().map_or(0, |state| state.settings.max_body_bytes);
        let headers = request.headers();
        let text = |name| headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_ascii_lowercase();
        let media_type = text(header::CONTENT_TYPE).split(';').next().unwrap_or_default().trim().to_owned();
        let encoding = text(header::CONTENT_ENCODING);
        let declared = text(header::CONTENT_LENGTH).parse::<usize>().unwrap_or(0);
        let mut payload = payload.take();
        Box::pin(async move {
            if !matches!(encoding.as_str(), "" | "identity") {
                return Err(ApiError::media_type("Send the body without Content-Encoding."));
            }
            if declared > limit {
                return Err(ApiError::too_large(limit));
            }
            let read = async {
                let mut bytes = BytesMut::with_capacity(declared.min(64 * 1024));
                while let Some(chunk) = payload.next().await {
                    let chunk = chunk.map_err(|_| ApiError::malformed("The request body is incomplete."))?;
                    if bytes.len() + chunk.len() > limit {
                        return Err(ApiError::too_large(limit));
                    }
                    bytes.extend_from_slice(&chunk);
                }
                Ok(bytes.freeze())
            };
            let mut bytes = tokio::time::timeout(BODY_TIMEOUT, read).await.map_err(|_| ApiError::too_slow())??;
            if bytes.starts_with(BYTE_ORDER_MARK) {
                drop(bytes.split_to(BYTE_ORDER_MARK.len()));
            }
            Ok(Self { bytes, media_type })
        })
    }
}

impl Body {
    /// Parses the body as one JSON object.
    ///
    /// # Errors
    /// 415 for another media type, 400 for invalid JSON, 422 with the invalid field.
    pub fn object<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        self.expect_json()?;
        object_at(&self.bytes).map_err(|error| match error {
            JsonError::Syntax(detail) => ApiError::malformed(detail),
            JsonError::Field(error) => ApiError::invalid(vec![error]),
        })
    }

    /// Parses the body as a list of at most [`MAX_BULK`] JSON objects; `what` is their name in error messages.
    ///
    /// # Errors
    /// As [`Self::object`], but with the invalid field of every item.
    pub fn objects<T: DeserializeOwned>(&self, what: &str) -> Result<Vec<T>, ApiError> {
        self.expect_json()?;
        let mut checks = Checks::default();
        let mut objects = Vec::new();
        for (index, item) in items(&self.bytes, what)?.iter().enumerate() {
            match object_at(item.get().as_bytes()) {
                Ok(object) => objects.push(object),
                Err(JsonError::Field(error)) => checks.extend([error.under(&format!("/{index}"))]),
                Err(JsonError::Syntax(detail)) => return Err(ApiError::malformed(detail)),
            }
        }
        checks.done()?;
        Ok(objects)
    }

    /// Returns 415 if the body is declared as something other than JSON. A body without a media type counts as JSON.
    pub fn expect_json(&self) -> Result<(), ApiError> {
        // `curl -d` labels everything as form-urlencoded, so only parsing the body shows whether it is JSON.
        match self.media_type.as_str() {
            "" | "application/json" | "application/x-www-form-urlencoded" | "text/json" => Ok(()),
            other if other.ends_with("+json") => Ok(()),
            _ => Err(ApiError::media_type("Send application/json.")),
        }
    }
}

/// Why a text is not the expected JSON.
pub enum JsonError {
    /// It is not valid JSON; the message is for the client.
    Syntax(String),
    /// A field is invalid.
    Field(FieldError),
}

/// Checks that a body is JSON without interpreting it; the error is a message for the client.
pub fn raw(bytes: &[u8]) -> Result<&RawValue, String> {
    serde_json::from_slice(bytes).map_err(|error| match bytes.trim_ascii() {
        [] => "The body is empty, but must be JSON.".to_owned(),
        _ => format!("The body is not valid JSON: {error}."),
    })
}

/// Splits a JSON list into items without parsing them, so that an invalid item does not affect the others.
///
/// # Errors
/// 400 for invalid JSON, 422 if it is not a list or has more than [`MAX_BULK`] items.
pub fn items(bytes: &[u8], what: &str) -> Result<Vec<Box<RawValue>>, ApiError> {
    let whole = raw(bytes).map_err(ApiError::malformed)?;
    let items: Vec<Box<RawValue>> =
        serde_json::from_str(whole.get()).map_err(|_| ApiError::field("", format!("must be a list of {what}")))?;
    if items.len() > MAX_BULK {
        return Err(ApiError::field("", format!("may have at most {MAX_BULK} {what}; send them in parts")));
    }
    Ok(items)
}

/// Parses a JSON object; an error about a field includes its pointer.
pub fn object_at<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, JsonError> {
    // serde would also accept a list of the values in the order of the fields.
    if bytes.trim_ascii_start().first() != Some(&b'{') {
        raw(bytes).map_err(JsonError::Syntax)?;
        return Err(JsonError::Field(FieldError::new("", "must be a JSON object")));
    }
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let read = serde_path_to_error::deserialize(&mut reader);
    if read.is_err() || reader.end().is_err() {
        // If it is valid JSON, the error concerns a field, even if a number in it is out of any range.
        raw(bytes).map_err(JsonError::Syntax)?;
    }
    read.map_err(|error| JsonError::Field(FieldError::from_serde(error.path(), error.inner())))
}

/// For serde's `deserialize_with`: distinguishes the three cases of a field in a PATCH, which may be omitted, null, or a value.
pub fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<Option<Option<T>>, D::Error> {
    Option::<T>::deserialize(from).map(Some)
}

/// Parses the query parameters, of which each list has its own type.
///
/// # Errors
/// 422 with the parameter that is unknown or repeated.
pub fn query<T: DeserializeOwned>(request: &HttpRequest) -> Result<T, ApiError> {
    query_of(request.query_string())
}

/// As [`query`], given the part of the URL after the question mark.
pub fn query_of<T: DeserializeOwned>(text: &str) -> Result<T, ApiError> {
    let pairs = actix_web::web::Query::<Vec<(String, String)>>::from_query(text);
    let mut object = serde_json::Map::new();
    for (name, value) in pairs.map(actix_web::web::Query::into_inner).unwrap_or_default() {
        let pointer = pointer_to(&name);
        if object.insert(name, Value::String(value)).is_some() {
            return Err(ApiError::field(pointer, "appears more than once"));
        }
    }
    // Parsed as a JSON object of strings, so that errors are reported like those of bodies.
    serde_path_to_error::deserialize(Value::Object(object)).map_err(|error| {
        let FieldError { pointer, .. } = FieldError::from_serde(error.path(), error.inner());
        ApiError::field(pointer, "is not a known parameter")
    })
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
