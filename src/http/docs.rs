//! `/openapi.json` and its browsable form at `/docs`: Swagger UI from a crate that contains its release as a zip archive, so
//! that browsers load nothing from other hosts.
use super::error::ApiError;
use actix_web::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use actix_web::web::{self, Bytes, ServiceConfig};
use actix_web::{HttpResponse, Responder};
use flate2::read::DeflateDecoder;
use std::collections::BTreeMap;
use std::io::Read;
use std::sync::LazyLock;
use utoipa_swagger_ui_vendored::SWAGGER_UI_VENDORED;

/// The files that the page loads, and their media types.
const FILES: [(&str, &str); 7] = [
    ("index.html", "text/html; charset=utf-8"),
    ("index.css", "text/css; charset=utf-8"),
    ("swagger-ui.css", "text/css; charset=utf-8"),
    ("swagger-ui-bundle.js", "text/javascript; charset=utf-8"),
    ("swagger-ui-standalone-preset.js", "text/javascript; charset=utf-8"),
    ("favicon-16x16.png", "image/png"),
    ("favicon-32x32.png", "image/png"),
];

/// Swagger UI's code and data come only from this origin, and nothing is inline but one style attribute, known by its digest: it
/// hides the icons that the page draws with. Its style sheet contains images.
const CONTENT_POLICY: &str = "default-src 'none'; script-src 'self'; \
                              style-src 'self' 'unsafe-hashes' 'sha256-RL3ie0nH+Lzz2YNqQN83mnU0J1ot4QL7b99vMdIX99w='; \
                              img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Starts Swagger UI with our description, and without the validator, which would be called over the network.
const INITIALIZER: &str = r##"window.onload = function () {
  window.ui = SwaggerUIBundle({
    url: "/openapi.json",
    dom_id: "#swagger-ui",
    deepLinking: true,
    validatorUrl: "none",
    presets: [SwaggerUIBundle.presets.apis, SwaggerUIStandalonePreset],
    plugins: [SwaggerUIBundle.plugins.DownloadUrl],
    layout: "StandaloneLayout",
  });
};
"##;

/// [`FILES`] by name, unpacked on the first request for any of them.
static UNPACKED: LazyLock<BTreeMap<&str, (Bytes, &str)>> = LazyLock::new(|| {
    let file = |(name, media_type)| Some((name, (Bytes::from(unpack(SWAGGER_UI_VENDORED, &format!("/dist/{name}"))?), media_type)));
    let initializer = ("swagger-initializer.js", (Bytes::from_static(INITIALIZER.as_bytes()), "text/javascript; charset=utf-8"));
    FILES.into_iter().filter_map(file).chain([initializer]).collect()
});

/// Adds the routes that serve `description`, as JSON and as a page.
pub(super) fn configure(config: &mut ServiceConfig, description: &utoipa::openapi::OpenApi) {
    let document = web::Bytes::from(description.to_json().unwrap_or_default());
    let json = move || {
        let document = document.clone();
        async move { HttpResponse::Ok().insert_header((CONTENT_TYPE, "application/json")).body(document) }
    };
    config.route("/openapi.json", web::get().to(json));
    config.route("/docs", web::get().to(|| async { HttpResponse::PermanentRedirect().insert_header(("location", "/docs/")).finish() }));
    config.route("/docs/{file:.*}", web::get().to(file));
}

async fn file(path: web::Path<String>) -> Result<impl Responder, ApiError> {
    let name = if path.is_empty() { "index.html" } else { path.as_str() };
    let (bytes, media_type) = UNPACKED.get(name).ok_or_else(|| ApiError::not_found("page"))?;

    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, *media_type))
        .insert_header((CONTENT_SECURITY_POLICY, CONTENT_POLICY))
        .body(bytes.clone()))
}

/// Reads the file whose name ends with `suffix` from a zip archive.
///
/// An archive ends with a record that says where its directory starts; the directory says where each file starts
/// (<https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT>, 4.3.7, 4.3.12 and 4.3.16). `None` if there is no such
/// file or the archive is damaged.
fn unpack(archive: &[u8], suffix: &str) -> Option<Vec<u8>> {
    let end = archive.windows(4).rposition(|window| window == b"PK\x05\x06")?;
    let mut entry = archive.get(number(archive, end + 16, 4)?..)?;
    while entry.starts_with(b"PK\x01\x02") {
        let [name_length, extra_length, comment_length] = [28, 30, 32].map(|at| number(entry, at, 2));
        let name = entry.get(46..46 + name_length?)?;
        if name.ends_with(suffix.as_bytes()) {
            let (method, packed_length, offset) = (number(entry, 10, 2)?, number(entry, 20, 4)?, number(entry, 42, 4)?);
            let file = archive.get(offset..)?;
            let start = 30 + number(file, 26, 2)? + number(file, 28, 2)?;
            let packed = file.get(start..start + packed_length)?;
            if method == 0 {
                return Some(packed.to_vec());
            }
            let mut bytes = Vec::new();
            DeflateDecoder::new(packed).read_to_end(&mut bytes).ok()?;
            return Some(bytes);
        }
        entry = entry.get(46 + name_length? + extra_length? + comment_length?..)?;
    }
    None
}

/// Reads a little-endian number of so many bytes.
fn number(bytes: &[u8], at: usize, length: usize) -> Option<usize> {
    bytes.get(at..at + length)?.iter().rev().try_fold(0_usize, |number, byte| Some(number.checked_mul(256)? + usize::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_page_is_in_the_archive() {
        for (name, _) in FILES {
            assert!(UNPACKED.get(name).is_some_and(|(bytes, _)| !bytes.is_empty()), "{name}");
        }
        assert!(UNPACKED["index.html"].0.starts_with(b"<!-- HTML"));
        assert_eq!(unpack(SWAGGER_UI_VENDORED, "/dist/none.js"), None);
        assert_eq!(unpack(b"PK\x05\x06", "index.html"), None);
    }
}
