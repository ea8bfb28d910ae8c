//! Requests become values: bodies with a bound and a deadline, JSON with the pointer to what is wrong in it, pages.
use super::AppState;
use super::error::ApiError;
use crate::domain::FieldError;
use actix_web::dev::Payload;
use actix_web::http::header;
use actix_web::web::{Bytes, BytesMut, Data};
use actix_web::{FromRequest, HttpRequest};
use futures_util::StreamExt;
use futures_util::future::LocalBoxFuture;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use std::time::Duration;

/// How long a body may take to arrive.
const BODY_WITHIN: Duration = Duration::from_secs(30);
/// Items of a page where none are asked for.
const DEFAULT_LIMIT: i64 = 100;
/// Items of a page at most.
const MAX_LIMIT: i64 = 1000;

/// A whole body, within the bound, and what its media type says.
pub struct Body {
    /// The bytes.
    pub bytes: Bytes,
    /// `type/subtype`, in lower case, empty when not given.
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
        let announced = text(header::CONTENT_LENGTH).parse::<usize>().unwrap_or(0);
        let mut payload = payload.take();
        Box::pin(async move {
            if !matches!(encoding.as_str(), "" | "identity") {
                return Err(ApiError::media_type("Send the body without a content-encoding."));
            }
            if announced > limit {
                return Err(ApiError::too_large(limit));
            }
            let read = async {
                let mut bytes = BytesMut::with_capacity(announced.min(64 * 1024));
                while let Some(chunk) = payload.next().await {
                    let chunk = chunk.map_err(|_| ApiError::malformed("The body could not be read to its end."))?;
                    if bytes.len() + chunk.len() > limit {
                        return Err(ApiError::too_large(limit));
                    }
                    bytes.extend_from_slice(&chunk);
                }
                Ok(bytes.freeze())
            };
            let bytes = tokio::time::timeout(BODY_WITHIN, read).await.map_err(|_| ApiError::too_slow())??;
            Ok(Self { bytes, media_type })
        })
    }
}

impl Body {
    /// The body as JSON.
    ///
    /// # Errors
    /// 415 for another media type, 400 for what is not JSON, 422 with the field that does not fit.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        self.expect_json()?;
        json(&self.bytes)
    }

    /// Refuses what says that it is something else than JSON. No media type at all is taken for JSON.
    ///
    /// # Errors
    /// 415.
    pub fn expect_json(&self) -> Result<(), ApiError> {
        // `curl -d` says form-urlencoded for whatever it sends; the body itself will tell.
        match self.media_type.as_str() {
            "" | "application/json" | "application/x-www-form-urlencoded" | "text/json" => Ok(()),
            other if other.ends_with("+json") => Ok(()),
            _ => Err(ApiError::media_type("Send application/json.")),
        }
    }
}

/// Reads JSON.
///
/// # Errors
/// 400 for what is not JSON, 422 with the field that does not fit.
pub fn json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    json_at(bytes).map_err(|error| match error {
        JsonError::Syntax(detail) => ApiError::malformed(detail),
        JsonError::Field(error) => ApiError::invalid(vec![error]),
    })
}

/// Why something is not the JSON that was expected.
pub enum JsonError {
    /// It is not JSON at all.
    Syntax(String),
    /// A field does not fit.
    Field(FieldError),
}

/// Reads JSON; the error knows its pointer.
///
/// # Errors
/// See [`JsonError`].
pub fn json_at<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, JsonError> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let pointer: String = error.path().iter().map(segment).collect();
        let inner = error.into_inner();
        if inner.is_syntax() || inner.is_eof() {
            JsonError::Syntax(format!("The body is not JSON: {inner}."))
        } else {
            field(pointer, &inner)
        }
    })?;
    reader.end().map_err(|error| JsonError::Syntax(format!("The body is not one JSON value: {error}.")))?;
    Ok(value)
}

fn segment(segment: &serde_path_to_error::Segment) -> String {
    use serde_path_to_error::Segment;
    match segment {
        Segment::Seq { index } => format!("/{index}"),
        Segment::Map { key } => format!("/{}", key.replace('~', "~0").replace('/', "~1")),
        Segment::Enum { variant } => format!("/{variant}"),
        Segment::Unknown => String::new(),
    }
}

/// serde tells of unknown and missing fields at the object around them, with the name between backticks.
fn field(mut pointer: String, error: &serde_json::Error) -> JsonError {
    let message = error.to_string();
    let message = message.split(" at line ").next().unwrap_or_default();
    let name = message.split('`').nth(1).unwrap_or_default();
    let detail = if message.starts_with("unknown field") {
        "is not a field of this request".to_owned()
    } else if message.starts_with("missing field") {
        "is needed".to_owned()
    } else if message.starts_with("duplicate field") {
        "stands here more than once".to_owned()
    } else {
        return JsonError::Field(FieldError::new(pointer, message));
    };
    if !pointer.ends_with(&format!("/{name}")) {
        pointer = format!("{pointer}/{name}");
    }
    JsonError::Field(FieldError::new(pointer, detail))
}

/// A field that may be left out, be null, or have a value: three different things in a PATCH.
///
/// # Errors
/// Those of the value.
pub fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<Option<Option<T>>, D::Error> {
    Option::<T>::deserialize(from).map(Some)
}

/// The query, as a type of its own per list.
///
/// # Errors
/// 422 with the parameter that does not fit.
pub fn query<T: DeserializeOwned>(request: &HttpRequest) -> Result<T, ApiError> {
    serde_path_to_error::deserialize(serde_urlencoded_pairs(request.query_string())).map_err(|error| {
        let pointer: String = error.path().iter().map(segment).collect();
        match field(pointer, &error.into_inner()) {
            JsonError::Field(error) => ApiError::invalid(vec![error]),
            JsonError::Syntax(detail) => ApiError::malformed(detail),
        }
    })
}

/// Query parameters as a JSON object of strings, so that their errors read like those of bodies.
fn serde_urlencoded_pairs(text: &str) -> serde_json::Value {
    let mut pairs = serde_json::Map::new();
    for (name, value) in url_pairs(text) {
        pairs.insert(name, serde_json::Value::String(value));
    }
    serde_json::Value::Object(pairs)
}

fn url_pairs(text: &str) -> Vec<(String, String)> {
    actix_web::web::Query::<Vec<(String, String)>>::from_query(text).map(actix_web::web::Query::into_inner).unwrap_or_default()
}

/// A page's size.
///
/// # Errors
/// 422 unless from 1 to 1000.
pub fn limit(text: Option<&str>) -> Result<i64, ApiError> {
    let Some(text) = text else { return Ok(DEFAULT_LIMIT) };
    let within = |n: &i64| (1..=MAX_LIMIT).contains(n);
    text.parse().ok().filter(within).ok_or_else(|| ApiError::field("/limit", format!("must be a whole number from 1 to {MAX_LIMIT}")))
}

/// Reads a parameter.
///
/// # Errors
/// 422 that names it.
pub fn parameter<T: std::str::FromStr>(name: &str, text: Option<&str>, what: &str) -> Result<Option<T>, ApiError> {
    text.map(|text| text.parse().map_err(|_| ApiError::field(format!("/{name}"), format!("must be {what}")))).transpose()
}

/// A page of a list.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Page<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// Ask for the next page with `?cursor=` this; null on the last page.
    pub next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// Of a query for one item more than fits: the extra one says that there is another page.
    pub fn of<R>(mut found: Vec<R>, limit: i64, cursor: impl Fn(&R) -> String, item: impl Fn(R) -> T) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = found.len() > limit;
        found.truncate(limit);
        let next_cursor = if more { found.last().map(cursor) } else { None };
        Self { items: found.into_iter().map(item).collect(), next_cursor }
    }
}

/// A list's query where it has no filters.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PageQuery {
    /// Items.
    pub limit: Option<String>,
    /// From behind here.
    pub cursor: Option<String>,
}

/// A text cursor: what it stands behind, in hexadecimal so that nobody builds one by hand.
pub fn text_cursor(after: &str) -> String {
    hex::encode(after)
}

/// Reads a [`text_cursor`].
///
/// # Errors
/// 422.
pub fn read_text_cursor(cursor: Option<&str>) -> Result<Option<String>, ApiError> {
    let read = |text: &str| hex::decode(text).ok().and_then(|bytes| String::from_utf8(bytes).ok()).filter(|text| !text.contains('\0'));
    cursor.map(|text| read(text).ok_or_else(|| ApiError::field("/cursor", "is not a cursor of this list"))).transpose()
}

/// Reads a cursor that is an id.
///
/// # Errors
/// 422.
pub fn id_cursor<T: std::str::FromStr>(cursor: Option<&str>) -> Result<Option<T>, ApiError> {
    parameter("cursor", cursor, "a cursor of this list")
}

/// Collects the errors of several fields.
#[derive(Debug, Default)]
pub struct Checks(Vec<FieldError>);

impl Checks {
    /// Takes the value, or notes what is wrong at `pointer`.
    pub fn take<T>(&mut self, pointer: &str, result: Result<T, impl Into<String>>) -> Option<T> {
        result.map_err(|detail| self.0.push(FieldError::new(pointer, detail))).ok()
    }

    /// Notes an error.
    pub fn note(&mut self, pointer: impl Into<String>, detail: impl Into<String>) {
        self.0.push(FieldError::new(pointer, detail));
    }

    /// Notes errors.
    pub fn extend(&mut self, errors: impl IntoIterator<Item = FieldError>) {
        self.0.extend(errors);
    }

    /// A whole number within bounds.
    pub fn within(&mut self, pointer: &str, value: Option<i64>, min: i64, max: i64) {
        if value.is_some_and(|value| !(min..=max).contains(&value)) {
            self.note(pointer, format!("must be from {min} to {max}"));
        }
    }

    /// Whether nothing was wrong.
    ///
    /// # Errors
    /// All that was.
    pub fn done(self) -> Result<(), Vec<FieldError>> {
        if self.0.is_empty() { Ok(()) } else { Err(self.0) }
    }

    /// Like [`Self::done`], as an answer.
    ///
    /// # Errors
    /// 422 with all of them.
    pub fn finish(self) -> Result<(), ApiError> {
        self.done().map_err(ApiError::invalid)
    }
}
