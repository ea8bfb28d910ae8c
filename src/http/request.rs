//! Requests become values: bodies with a bound and a deadline, JSON with the pointer to what is wrong in it, pages.
use super::AppState;
use super::error::ApiError;
use crate::domain::FieldError;
use crate::domain::limits::MAX_BULK;
use crate::domain::problem::pointer_to;
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
const BODY_WITHIN: Duration = Duration::from_secs(30);
/// Spreadsheets and some editors begin a text with it; it is no part of the text.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();
/// Items of a page where none are asked for.
const DEFAULT_LIMIT: i64 = 100;
/// Items of a page at most.
pub(super) const MAX_LIMIT: i64 = 1000;

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
            let mut bytes = tokio::time::timeout(BODY_WITHIN, read).await.map_err(|_| ApiError::too_slow())??;
            if bytes.starts_with(BYTE_ORDER_MARK) {
                drop(bytes.split_to(BYTE_ORDER_MARK.len()));
            }
            Ok(Self { bytes, media_type })
        })
    }
}

impl Body {
    /// The body as one JSON object.
    ///
    /// # Errors
    /// 415 for another media type, 400 for what is not JSON, 422 with the field that does not fit.
    pub fn object<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        self.expect_json()?;
        object_at(&self.bytes).map_err(|error| match error {
            JsonError::Syntax(detail) => ApiError::malformed(detail),
            JsonError::Field(error) => ApiError::invalid(vec![error]),
        })
    }

    /// The body as a list of at most [`MAX_BULK`] JSON objects, called `what` in words.
    ///
    /// # Errors
    /// Like [`Self::object`], with the bad field of every item.
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
        checks.finish().map(|()| objects)
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

/// Why something is not the JSON that was expected.
pub enum JsonError {
    /// It is not JSON at all.
    Syntax(String),
    /// A field does not fit.
    Field(FieldError),
}

/// Whatever JSON value this is, unread.
///
/// # Errors
/// Why it is not JSON, in words.
pub fn raw(bytes: &[u8]) -> Result<&RawValue, String> {
    serde_json::from_slice(bytes).map_err(|error| match bytes.trim_ascii() {
        [] => "The body is empty; JSON is expected.".to_owned(),
        _ => format!("The body is not JSON: {error}."),
    })
}

/// The items of a JSON list, each still unread, so that one that is wrong leaves the others alone.
///
/// # Errors
/// 400 for what is not JSON, 422 for what is not a list or too long.
pub fn items(bytes: &[u8], what: &str) -> Result<Vec<Box<RawValue>>, ApiError> {
    let whole = raw(bytes).map_err(ApiError::malformed)?;
    let items: Vec<Box<RawValue>> =
        serde_json::from_str(whole.get()).map_err(|_| ApiError::field("", format!("must be a list of {what}")))?;
    if items.len() > MAX_BULK {
        return Err(ApiError::field("", format!("may have at most {MAX_BULK} {what}; send them in parts")));
    }
    Ok(items)
}

/// Reads a JSON object; the error knows its pointer.
///
/// # Errors
/// See [`JsonError`].
pub fn object_at<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, JsonError> {
    // serde would take a list of values in the order of the fields for the object, too.
    if bytes.trim_ascii_start().first() != Some(&b'{') {
        raw(bytes).map_err(JsonError::Syntax)?;
        return Err(JsonError::Field(FieldError::new("", "must be a JSON object")));
    }
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let read = serde_path_to_error::deserialize(&mut reader);
    if read.is_err() || reader.end().is_err() {
        // What is JSON, but not what was expected, is a matter of a field: also a number that no machine can hold.
        raw(bytes).map_err(JsonError::Syntax)?;
    }
    read.map_err(|error| JsonError::Field(FieldError::from_serde(error.path(), error.inner())))
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
/// 422 with the parameter that is unknown or stands there twice.
pub fn query<T: DeserializeOwned>(request: &HttpRequest) -> Result<T, ApiError> {
    query_of(request.query_string())
}

/// Like [`query`], of the text behind the question mark.
///
/// # Errors
/// Those of [`query`].
pub fn query_of<T: DeserializeOwned>(text: &str) -> Result<T, ApiError> {
    let pairs = actix_web::web::Query::<Vec<(String, String)>>::from_query(text);
    let mut object = serde_json::Map::new();
    for (name, value) in pairs.map(actix_web::web::Query::into_inner).unwrap_or_default() {
        let pointer = pointer_to(&name);
        if object.insert(name, Value::String(value)).is_some() {
            return Err(ApiError::field(pointer, "stands here more than once"));
        }
    }
    // As a JSON object of texts, so that its errors read like those of bodies.
    serde_path_to_error::deserialize(Value::Object(object)).map_err(|error| {
        let FieldError { pointer, .. } = FieldError::from_serde(error.path(), error.inner());
        ApiError::field(pointer, "is not a parameter of this address")
    })
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
    let read = |text: &str| {
        hex::decode(text).ok().and_then(|bytes| String::from_utf8(bytes).ok()).filter(|text| !text.is_empty() && !text.contains('\0'))
    };
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
