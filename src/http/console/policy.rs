//! The security headers of every console response.
use actix_web::http::header::{CONTENT_SECURITY_POLICY, HeaderMap, HeaderValue, REFERRER_POLICY};

/// Scripts, styles and images come only from this origin and are never inline. Forms post only to this origin, and no
/// site may frame a page.
const CONTENT_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                              form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

pub(super) fn apply(headers: &mut HeaderMap) {
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(CONTENT_POLICY));
    // Not "no-referrer": form posts must carry their origin. Other sites still receive nothing.
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
}
