//! Submitted forms, accepted only from a signed-in visitor's own page.
use super::page::Refusal;
use super::session::Visit;
use crate::http::error::ApiError;
use crate::http::request::Body;
use actix_multipart::Multipart;
use actix_web::dev::Payload;
use actix_web::error::PayloadError;
use actix_web::http::header::{HOST, HeaderMap, ORIGIN};
use actix_web::web::Bytes;
use actix_web::{FromRequest, HttpRequest};
use futures_util::future::LocalBoxFuture;
use futures_util::{StreamExt, TryStreamExt, stream};
use subtle::ConstantTimeEq;

/// The maximum number of fields in one form.
const MAX_FIELDS: usize = 20_000;

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

    /// The content of a file field; empty if there is none.
    pub fn file(&self, name: &str) -> &[u8] {
        self.0.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_slice()).unwrap_or_default()
    }

    fn raw(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(other, _)| other == name).and_then(|(_, value)| std::str::from_utf8(value).ok())
    }

    /// Parses a URL-encoded or a multipart form.
    pub async fn read(headers: &HeaderMap, body: Body) -> Result<Self, ApiError> {
        let too_many = || ApiError::malformed(format!("A form may have at most {MAX_FIELDS} fields."));
        if body.media_type != "multipart/form-data" {
            let text = std::str::from_utf8(&body.bytes).map_err(|_| ApiError::malformed("The form is not UTF-8."))?;
            let pairs = actix_web::web::Query::<Vec<(String, String)>>::from_query(text);
            let pairs = pairs.map_err(|_| ApiError::malformed("The form cannot be read."))?.into_inner();
            if pairs.len() > MAX_FIELDS {
                return Err(too_many());
            }
            return Ok(Self(pairs.into_iter().map(|(name, value)| (name, value.into_bytes())).collect()));
        }
        let unreadable = |_| ApiError::malformed("The form cannot be read.");
        let bytes = body.bytes;
        let mut parts = Multipart::new(headers, stream::once(async move { Ok::<Bytes, PayloadError>(bytes) }));
        let mut fields = Vec::new();
        while let Some(part) = parts.next().await {
            let part = part.map_err(unreadable)?;
            if fields.len() == MAX_FIELDS {
                return Err(too_many());
            }
            let name = part.name().unwrap_or_default().to_owned();
            let chunks: Vec<Bytes> = part.try_collect().await.map_err(unreadable)?;
            fields.push((name, chunks.concat()));
        }
        Ok(Self(fields))
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

/// A form that a signed-in visitor sent from a page of the console. Every handler that changes something takes one.
pub(super) struct Posted<V> {
    pub visit: V,
    pub fields: Fields,
}

impl<V: Visit> FromRequest for Posted<V> {
    type Error = Refusal;
    type Future = LocalBoxFuture<'static, Result<Self, Refusal>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let visit = V::from_request(request, &mut Payload::None);
        let body = Body::from_request(request, payload);
        let headers = request.headers().clone();
        Box::pin(async move {
            same_site(&headers)?;
            let visit = visit.await?;
            let fields = Fields::read(&headers, body.await?).await?;
            let given = fields.text("csrf").as_bytes();
            if !bool::from(given.ct_eq(visit.frame().csrf.as_bytes())) {
                return Err(Refusal::Forbidden("This form has expired. Go back, reload the page and submit it again."));
            }
            Ok(Self { visit, fields })
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

    #[actix_web::test]
    async fn url_encoded_and_multipart_forms_are_read() {
        let plain = Body { bytes: Bytes::from_static(b"a=+x+&b=1&b=%F0%9F%9A%80"), media_type: "application/x-www-form-urlencoded".into() };
        let fields = Fields::read(&headers(&[]), plain).await.unwrap();
        assert_eq!((fields.text("a"), fields.all("b").collect::<Vec<_>>()), ("x", vec!["1", "🚀"]));
        let bytes = "--q\r\ncontent-disposition: form-data; name=\"f\"; filename=\"x.csv\"\r\n\r\nsku\n1\r\n--q--\r\n";
        let multipart = Body { bytes: Bytes::from(bytes), media_type: "multipart/form-data".into() };
        let fields = Fields::read(&headers(&[("content-type", "multipart/form-data; boundary=q")]), multipart).await.unwrap();
        assert_eq!(fields.file("f"), b"sku\n1");
    }
}
