//! Request bodies: read only when a handler asks, which it does once it knows the caller, with a limit, a deadline and a
//! place in the budget of [`super::bodies`].
use super::bodies::{Owner, Reservation};
use super::client_address::address;
use super::error::ApiError;
use super::every_error::{MOST_OF_MANY, MOST_OF_ONE, unreadable};
use super::json::{JsonError, items, object_at};
use super::request::refuse_unread_query;
use super::state::State;
use crate::domain::problem::Checks;
use actix_web::dev::Payload;
use actix_web::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderName};
use actix_web::web::{Bytes, BytesMut};
use actix_web::{FromRequest, HttpMessage, HttpRequest};
use futures_util::StreamExt;
use serde::de::DeserializeOwned;
use std::cell::Cell;
use std::future::{Ready, ready};
use std::time::Duration;

/// How long a body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// Spreadsheets and some editors put it at the start of a file; it is not part of the text.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// The body of a request, not read yet. Extractors run at the same time, so one that read the body would not wait for the
/// one that checks the key.
///
/// Its bytes count as under way until it is dropped, so a handler keeps it until it has answered.
pub struct Body {
    request: HttpRequest,
    payload: Cell<Payload>,
    reservation: Cell<Option<Reservation>>,
}

impl FromRequest for Body {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        ready(Ok(Self { request: request.clone(), payload: Cell::new(payload.take()), reservation: Cell::default() }))
    }
}

impl Body {
    /// Whose body it is: the seller if an extractor has found one.
    fn owner(&self) -> Owner {
        let known = self.request.extensions().get::<Owner>().copied();
        known.unwrap_or_else(|| Owner::Address(address(&self.request)))
    }

    /// Reads a body of at most `most` bytes, or fewer if the operator allows fewer.
    ///
    /// # Errors
    /// 400 for an incomplete body, 408 for a slow one, 413 for a larger one, 415 for an encoded one, 429 or 503 if too many
    /// bytes are under way.
    pub async fn read_up_to(&self, most: usize) -> Result<Content, ApiError> {
        let state = self.state()?;
        let limit = state.settings.max_body_bytes.min(most);
        let text = |name: HeaderName| {
            let value = self.request.headers().get(name).and_then(|value| value.to_str().ok());
            value.unwrap_or_default().to_ascii_lowercase()
        };
        if !matches!(text(CONTENT_ENCODING).as_str(), "" | "identity") {
            return Err(ApiError::media_type("Send the body without Content-Encoding."));
        }
        let declared = text(CONTENT_LENGTH).parse::<usize>().unwrap_or(0);
        if declared > limit {
            return Err(ApiError::too_large(limit));
        }
        let mut reservation = state.bodies.reserve(self.owner(), declared)?;
        let mut payload = self.payload.replace(Payload::None);
        let read = async {
            let mut bytes = BytesMut::with_capacity(declared);
            while let Some(chunk) = payload.next().await {
                let chunk = chunk.map_err(|_| ApiError::malformed("The request body is incomplete."))?;
                if bytes.len() + chunk.len() > limit {
                    return Err(ApiError::too_large(limit));
                }
                state.bodies.grow(&mut reservation, bytes.len() + chunk.len())?;
                bytes.extend_from_slice(&chunk);
            }
            Ok(bytes.freeze())
        };
        let bytes = tokio::time::timeout(BODY_TIMEOUT, read).await.map_err(|_| ApiError::too_slow())??;
        self.reservation.set(Some(reservation));
        Ok(Content::new(bytes, &text(CONTENT_TYPE)))
    }

    fn state(&self) -> Result<&State, ApiError> {
        self.request.app_data::<State>().ok_or_else(|| ApiError::not_found("resource"))
    }

    /// Reads the body and parses it, a large one on another thread.
    ///
    /// # Errors
    /// Those of [`Self::read_up_to`] and of `parse`.
    pub async fn parse<T: Send + 'static>(
        &self,
        parse: impl FnOnce(&Content) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        refuse_unread_query(&self.request)?;
        let content = self.read_up_to(usize::MAX).await?;
        self.state()?.bodies.parse(content.bytes.len(), move || parse(&content)).await
    }

    /// Reads the body as one JSON object.
    ///
    /// # Errors
    /// Those of [`Self::read_up_to`] and [`Content::object`].
    pub async fn object<T: DeserializeOwned + Send + 'static>(&self) -> Result<T, ApiError> {
        self.parse(Content::object).await
    }

    /// As [`Self::object`], where the body may be left out because every field of the object may be.
    ///
    /// # Errors
    /// Those of [`Self::object`], except for an empty body.
    pub async fn optional_object<T: DeserializeOwned + Default + Send + 'static>(&self) -> Result<T, ApiError> {
        self.parse(|content| if content.bytes.trim_ascii().is_empty() { Ok(T::default()) } else { content.object() }).await
    }

    /// Reads the body as a list of JSON objects; `what` is their name in error messages.
    ///
    /// # Errors
    /// Those of [`Self::read_up_to`] and [`Content::objects`].
    pub async fn objects<T: DeserializeOwned + Send + 'static>(&self, what: &'static str) -> Result<Vec<T>, ApiError> {
        self.parse(move |content| content.objects(what)).await
    }
}

/// A complete request body.
pub struct Content {
    /// The body without a byte order mark.
    pub bytes: Bytes,
    /// The media type, `type/subtype` in lower case, without parameters; empty if the request has none.
    pub media_type: String,
}

impl Content {
    /// A body of this content type, which may have parameters and may be empty.
    pub fn new(mut bytes: Bytes, content_type: &str) -> Self {
        if bytes.starts_with(BYTE_ORDER_MARK) {
            drop(bytes.split_to(BYTE_ORDER_MARK.len()));
        }
        let media_type = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        Self { bytes, media_type }
    }

    /// Parses the body as one JSON object.
    ///
    /// # Errors
    /// 415 for another media type, 400 for invalid JSON, 422 with every field that cannot be read, up to a number.
    pub fn object<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        self.expect_json()?;
        object_at(&self.bytes).map_err(|error| match error {
            JsonError::Syntax(detail) => ApiError::malformed(detail),
            JsonError::Field(error) => ApiError::invalid(unreadable::<T>(&self.bytes, error, MOST_OF_ONE)),
        })
    }

    /// Parses the body as a list of at most [`MAX_BULK`](crate::domain::limits::MAX_BULK) JSON objects; `what` is their name
    /// in error messages.
    ///
    /// # Errors
    /// As [`Self::object`], of every item.
    pub fn objects<T: DeserializeOwned>(&self, what: &str) -> Result<Vec<T>, ApiError> {
        self.expect_json()?;
        let mut checks = Checks::default();
        let mut objects = Vec::new();
        for (index, item) in items(&self.bytes, what)?.into_iter().enumerate() {
            let item = item.get().as_bytes();
            match object_at(item) {
                Ok(object) => objects.push(object),
                Err(JsonError::Field(error)) => {
                    let at = format!("/{index}");
                    checks.extend(unreadable::<T>(item, error, MOST_OF_MANY).into_iter().map(|error| error.under(&at)));
                }
                Err(JsonError::Syntax(detail)) => return Err(ApiError::malformed(detail)),
            }
        }
        checks.done()?;
        Ok(objects)
    }

    /// Returns 415 if the body is declared as something other than JSON. A body without a media type counts as JSON.
    pub fn expect_json(&self) -> Result<(), ApiError> {
        self.json_or(&[])
    }

    /// The same where the path also takes this media type.
    pub fn expect_json_or(&self, other: &str) -> Result<(), ApiError> {
        self.json_or(&[other])
    }

    fn json_or(&self, others: &[&str]) -> Result<(), ApiError> {
        // `curl -d` labels everything as form-urlencoded, so only parsing the body shows whether it is JSON.
        match self.media_type.as_str() {
            "" | "application/json" | "application/x-www-form-urlencoded" | "text/json" => Ok(()),
            other if other.ends_with("+json") => Ok(()),
            _ => {
                let accepted: Vec<&str> = std::iter::once("application/json").chain(others.iter().copied()).collect();
                Err(ApiError::media_type(format!("Send {}.", accepted.join(" or "))))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::error::PayloadError;
    use actix_web::test::TestRequest;
    use futures_util::stream::{LocalBoxStream, poll_fn};

    #[actix_web::test]
    async fn a_body_is_not_read_before_a_handler_asks() {
        let read: LocalBoxStream<'static, Result<Bytes, PayloadError>> = Box::pin(poll_fn(|_| panic!("it is read")));
        let request = TestRequest::default().to_http_request();
        assert!(Body::from_request(&request, &mut Payload::from(read)).await.is_ok());
    }
}
