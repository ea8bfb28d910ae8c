//! Submitted forms, accepted only from a signed-in visitor's own page.
use super::page::Refusal;
use super::session::Visit;
use crate::http::bodies::{Bodies, SMALL};
use crate::http::body::{Body, Content};
use crate::http::error::ApiError;
use crate::http::state::State;
use actix_multipart::Multipart;
use actix_web::dev::Payload;
use actix_web::error::PayloadError;
use actix_web::http::header::{HOST, HeaderMap, ORIGIN};
use actix_web::web::Bytes;
use actix_web::{FromRequest, HttpRequest};
use futures_util::future::LocalBoxFuture;
use futures_util::{StreamExt, stream};
use subtle::ConstantTimeEq;
use tokio::runtime::Handle;

/// The most fields in one form: one for each of a seller's stores or warehouses, and a few more.
const MAX_FIELDS: usize = 2_000;
/// The most bytes in the name of a field.
const MAX_NAME: usize = 100;
/// The most bytes in a form whose fields are short: a share for each store, the codes of all warehouses.
pub(super) const SHORT: usize = 512 * 1024;
/// The most bytes in a form with a list of SKUs, which its page repeats, and of a file that its page repeats.
pub(super) const WITH_SKUS: usize = 2 * 1024 * 1024;
/// The most bytes in a form with a file: as many as the operator allows in a body.
pub(super) const WITH_FILE: usize = usize::MAX;

/// The fields of a form, in order.
#[derive(Debug, Default)]
pub(super) struct Fields(Vec<(String, Vec<u8>)>);

impl Fields {
    /// The first field with this name, trimmed; empty if there is none.
    pub fn text(&self, name: &str) -> &str {
        self.raw(name).map(str::trim).unwrap_or_default()
    }

    /// Like [`Self::text`], but `None` if it is empty.
    pub fn some(&self, name: &str) -> Option<&str> {
        Some(self.text(name)).filter(|text| !text.is_empty())
    }

    /// Whether there is a field with this name: a checked box, a pressed button.
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(other, _)| other == name)
    }

    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(other, _)| other == name).filter_map(|(_, value)| std::str::from_utf8(value).ok())
    }

    /// All fields that are text, in order.
    pub fn into_pairs(self) -> Vec<(String, String)> {
        self.0.into_iter().filter_map(|(name, value)| Some((name, String::from_utf8(value).ok()?))).collect()
    }

    /// Takes the content of a file field out of the form; empty if there is none.
    pub fn take_file(&mut self, name: &str) -> Vec<u8> {
        self.0.iter_mut().find(|(other, _)| other == name).map(|(_, value)| std::mem::take(value)).unwrap_or_default()
    }

    fn raw(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(other, _)| other == name).and_then(|(_, value)| std::str::from_utf8(value).ok())
    }

    /// Parses a URL-encoded or a multipart form, a large one on another thread.
    pub async fn read(headers: &HeaderMap, content: Content, bodies: &Bodies) -> Result<Self, ApiError> {
        let length = content.bytes.len();
        if length <= SMALL {
            return Self::parse(headers, content).await;
        }
        let (headers, runtime) = (headers.clone(), Handle::current());
        bodies.parse(length, move || runtime.block_on(Self::parse(&headers, content))).await
    }

    async fn parse(headers: &HeaderMap, content: Content) -> Result<Self, ApiError> {
        let mut fields = Self::default();
        if content.media_type != "multipart/form-data" {
            std::str::from_utf8(&content.bytes).map_err(|_| ApiError::malformed("The form is not UTF-8."))?;
            for (name, value) in form_urlencoded::parse(&content.bytes) {
                fields.begin(&name)?.extend_from_slice(value.as_bytes());
            }
            return Ok(fields);
        }
        let unreadable = |_| ApiError::malformed("The form cannot be read.");
        let bytes = content.bytes;
        let mut parts = Multipart::new(headers, stream::once(async move { Ok::<Bytes, PayloadError>(bytes) }));
        while let Some(part) = parts.next().await {
            let mut part = part.map_err(unreadable)?;
            let name = part.name().unwrap_or_default().to_owned();
            let value = fields.begin(&name)?;
            // The value is copied at once, because there may be as many chunks as bytes.
            while let Some(chunk) = part.next().await {
                value.extend_from_slice(&chunk.map_err(unreadable)?);
            }
        }
        Ok(fields)
    }

    /// Begins a field, unless there are too many; returns where its value goes.
    fn begin(&mut self, name: &str) -> Result<&mut Vec<u8>, ApiError> {
        if self.0.len() == MAX_FIELDS || name.len() > MAX_NAME {
            let detail = format!("A form may have at most {MAX_FIELDS} fields, and names of at most {MAX_NAME} bytes.");
            return Err(ApiError::malformed(detail));
        }
        self.0.push((name.to_owned(), Vec::new()));
        self.0.last_mut().map(|(_, value)| value).ok_or_else(|| ApiError::malformed("The form cannot be read."))
    }
}

/// Refuses forms sent from another site's page. Browsers report where a request comes from; a client that does not
/// still needs the session's CSRF token.
pub(super) fn same_site(headers: &HeaderMap) -> Result<(), Refusal> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let foreign = match text("sec-fetch-site") {
        Some(site) => !matches!(site, "same-origin" | "none"),
        None => text(ORIGIN.as_str()).is_some_and(|origin| {
            let host = origin.split_once("://").map(|(_, host)| host);
            host.is_none() || host != text(HOST.as_str())
        }),
    };
    if foreign { Err(Refusal::Forbidden("This form was sent from another site. Nothing was changed.")) } else { Ok(()) }
}

/// A form of at most `MOST` bytes that a signed-in visitor sent from a page of the console. Every handler that changes
/// something takes one.
pub(super) struct Posted<V, const MOST: usize = SHORT> {
    pub visit: V,
    pub fields: Fields,
    /// Kept until the answer, because until then its bytes are under way.
    _body: Body,
}

impl<V: Visit, const MOST: usize> FromRequest for Posted<V, MOST> {
    type Error = Refusal;
    type Future = LocalBoxFuture<'static, Result<Self, Refusal>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let visit = V::from_request(request, &mut Payload::None);
        let body = Body::from_request(request, payload);
        let (headers, state) = (request.headers().clone(), request.app_data::<State>().cloned());
        Box::pin(async move {
            same_site(&headers)?;
            let visit = visit.await?;
            let (body, state) = (body.await?, state.ok_or_else(|| ApiError::not_found("page"))?);
            let fields = Fields::read(&headers, body.read_up_to(MOST).await?, &state.bodies).await?;
            let given = fields.text("csrf").as_bytes();
            if !bool::from(given.ct_eq(visit.frame().csrf.as_bytes())) {
                return Err(Refusal::Forbidden("This form has expired. Go back, reload the page and submit it again."));
            }
            Ok(Self { visit, fields, _body: body })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::{HeaderName, HeaderValue};

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn a_form_from_another_site_is_refused() {
        for foreign in [
            &[("sec-fetch-site", "cross-site"), ("host", "a.example")][..],
            &[("sec-fetch-site", "same-site"), ("host", "a.example")],
            &[("origin", "https://b.example"), ("host", "a.example")],
            &[("origin", "null"), ("host", "a.example")],
        ] {
            assert!(same_site(&headers(foreign)).is_err(), "{foreign:?}");
        }
        for own in [
            &[("sec-fetch-site", "same-origin"), ("origin", "null")][..],
            &[("origin", "https://a.example:8443"), ("host", "a.example:8443")],
            &[("host", "a.example")],
        ] {
            assert!(same_site(&headers(own)).is_ok(), "{own:?}");
        }
    }

    async fn read(media_type: &str, boundary: &str, bytes: impl Into<Bytes>) -> Result<Fields, ApiError> {
        let content_type = HeaderValue::from_str(&format!("{media_type}; boundary={boundary}")).unwrap();
        let headers = [(HeaderName::from_static("content-type"), content_type)].into_iter().collect();
        let content = Content { bytes: bytes.into(), media_type: media_type.to_owned() };
        Fields::read(&headers, content, &Bodies::new(1 << 20)).await
    }

    #[actix_web::test]
    async fn url_encoded_and_multipart_forms_are_read() {
        let fields = read("application/x-www-form-urlencoded", "", "a=+x+&b=1&b=%F0%9F%9A%80").await.unwrap();
        assert_eq!((fields.text("a"), fields.all("b").collect::<Vec<_>>()), ("x", vec!["1", "🚀"]));
        for file in ["sku\n1".to_owned(), "\r--\r\n--".repeat(SMALL)] {
            let bytes = format!("--q\r\ncontent-disposition: form-data; name=\"f\"; filename=\"x.csv\"\r\n\r\n{file}\r\n--q--\r\n");
            let mut fields = read("multipart/form-data", "q", bytes).await.unwrap();
            assert!(fields.take_file("f") == file.as_bytes());
        }
    }

    #[actix_web::test]
    async fn fields_are_counted_while_they_are_read() {
        let part = "--q\r\ncontent-disposition: form-data; name=\"f\"\r\n\r\n\r\n";
        for (fields, fits) in [(MAX_FIELDS, true), (MAX_FIELDS + 1, false), (SMALL, false)] {
            assert_eq!(read("application/x-www-form-urlencoded", "", "a&".repeat(fields)).await.is_ok(), fits, "{fields}");
            let multipart = format!("{}--q--\r\n", part.repeat(fields));
            assert_eq!(read("multipart/form-data", "q", multipart).await.is_ok(), fits, "{fields}");
        }
        assert!(read("application/x-www-form-urlencoded", "", "a".repeat(MAX_NAME + 1)).await.is_err());
    }
}
