//! Forms in: what a browser posts, taken only from a signed-in visitor's own page.
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

/// Fields of one form at most.
const MAX_FIELDS: usize = 20_000;

/// The fields of a form, in its order.
#[derive(Debug, Default)]
pub(super) struct Fields(Vec<(String, Vec<u8>)>);

impl Fields {
    /// The first field of this name, without white space around it; empty when there is none.
    pub fn text(&self, name: &str) -> &str {
        self.raw(name).map(str::trim).unwrap_or_default()
    }

    /// Like [`Self::text`], `None` when it is empty.
    pub fn some(&self, name: &str) -> Option<&str> {
        Some(self.text(name)).filter(|text| !text.is_empty())
    }

    /// Whether a box is ticked or a button was pressed.
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(other, _)| other == name)
    }

    /// All the fields of this name.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(other, _)| other == name).filter_map(|(_, value)| std::str::from_utf8(value).ok())
    }

    /// What a file field holds.
    pub fn file(&self, name: &str) -> &[u8] {
        self.0.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_slice()).unwrap_or_default()
    }

    fn raw(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(other, _)| other == name).and_then(|(_, value)| std::str::from_utf8(value).ok())
    }

    /// Reads a body that a browser's form made.
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

/// Refuses what another site's page sent. Browsers say where a request comes from; what says nothing is no browser of
/// today, and still needs the session's token.
pub(super) fn same_site(headers: &HeaderMap) -> Result<(), Refusal> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let foreign = match text("sec-fetch-site") {
        Some(site) => !matches!(site, "same-origin" | "none"),
        None => text(ORIGIN.as_str()).is_some_and(|origin| {
            let host = origin.split_once("://").map(|(_, host)| host);
            host.is_none() || host != text(HOST.as_str())
        }),
    };
    if foreign { Err(Refusal::Forbidden("This form was sent by another site. Nothing was changed.")) } else { Ok(()) }
}

/// A form that a signed-in visitor sent from a page of the console: the only way in for what changes something.
pub(super) struct Posted<V> {
    /// Whose.
    pub visit: V,
    /// What it says.
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
                return Err(Refusal::Forbidden("This form is out of date. Go back, reload the page and send it again."));
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
    fn what_another_site_sends_is_refused() {
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
    async fn both_kinds_of_form_are_read() {
        let plain = Body { bytes: Bytes::from_static(b"a=+x+&b=1&b=%F0%9F%9A%80"), media_type: "application/x-www-form-urlencoded".into() };
        let fields = Fields::read(&headers(&[]), plain).await.unwrap();
        assert_eq!((fields.text("a"), fields.all("b").collect::<Vec<_>>()), ("x", vec!["1", "🚀"]));
        let bytes = "--q\r\ncontent-disposition: form-data; name=\"f\"; filename=\"x.csv\"\r\n\r\nsku\n1\r\n--q--\r\n";
        let multipart = Body { bytes: Bytes::from(bytes), media_type: "multipart/form-data".into() };
        let fields = Fields::read(&headers(&[("content-type", "multipart/form-data; boundary=q")]), multipart).await.unwrap();
        assert_eq!(fields.file("f"), b"sku\n1");
    }
}
