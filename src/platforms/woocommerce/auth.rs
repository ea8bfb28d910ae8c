//! How WooCommerce requests are addressed and authenticated: basic authentication, keys in the query, or OAuth 1.0a.
use super::super::call::{Method, Request, StoreConnection};
use super::super::connector::Stamp;
use super::super::sign::{hmac_sha256, percent};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::ExposeSecret;

const API: &str = "wc/v3";
/// WooCommerce looks at the keys only where the request's address contains this. With plain permalinks nothing else in it
/// does. (Seen with 11.0.1; without it, every key is "wrong".)
const MARK: &str = "wp-json/wc/";

pub(super) type Query<'a> = Vec<(&'a str, String)>;

/// A request to a path of the API, with the keys where the shop expects them.
pub(super) fn authorized(
    store: &StoreConnection,
    method: Method,
    path: &str,
    mut query: Query<'_>,
    body: Option<String>,
    stamp: &Stamp,
) -> Result<Request, String> {
    let base = store.base_url.as_deref().ok_or("The store has no base_url.")?.trim_end_matches('/');
    let is_plain = store.setting("permalinks") == Some("plain");
    let url = if is_plain {
        query.push(("rest_route", format!("/{API}/{path}")));
        query.push(("via", MARK.to_owned()));
        format!("{base}/")
    } else {
        format!("{base}/wp-json/{API}/{path}")
    };
    let (key, secret) = (store.secret("consumer_key")?.expose_secret(), store.secret("consumer_secret")?.expose_secret());
    let https = base.starts_with("https:");
    if !https {
        query = oauth_1(method, &url, query, key, secret, stamp);
    } else if store.setting("auth") == Some("query") {
        query.extend([("consumer_key", key.to_owned()), ("consumer_secret", secret.to_owned())]);
    }
    let text: Vec<String> = query.iter().map(|(name, value)| format!("{name}={}", value_of(name, value))).collect();
    let url = if text.is_empty() { url } else { format!("{url}?{}", text.join("&")) };
    let mut request = Request { method, body, ..Request::get(url) }.header("accept", "application/json");
    if request.body.is_some() {
        request = request.header("content-type", "application/json");
    }
    if https && store.setting("auth") != Some("query") {
        request = request.secret_header("authorization", format!("Basic {}", STANDARD.encode(format!("{key}:{secret}"))));
    }
    Ok(request)
}

/// The value in the query. WooCommerce looks for [`MARK`] in the undecoded address, so slashes are not encoded.
fn value_of(name: &str, value: &str) -> String {
    if matches!(name, "rest_route" | "via") { value.to_owned() } else { percent(value) }
}

/// The query with OAuth's parameters and signature (RFC 5849, without a token; WooCommerce accepts HMAC-SHA256).
pub(super) fn oauth_1<'a>(method: Method, url: &str, mut query: Query<'a>, key: &str, secret: &str, stamp: &Stamp) -> Query<'a> {
    query.extend([
        ("oauth_consumer_key", key.to_owned()),
        ("oauth_nonce", stamp.nonce.clone()),
        ("oauth_signature_method", "HMAC-SHA256".to_owned()),
        ("oauth_timestamp", stamp.now.timestamp().to_string()),
    ]);
    let text = base_string(method, url, &query);
    let signature = hmac_sha256(format!("{secret}&").as_bytes(), text.as_bytes());
    query.push(("oauth_signature", STANDARD.encode(signature)));
    query
}

pub(super) fn base_string(method: Method, url: &str, query: &Query<'_>) -> String {
    let method = match method {
        Method::Get => "GET",
        Method::Post => "POST",
        Method::Put => "PUT",
        Method::Patch => "PATCH",
    };
    let mut pairs: Vec<String> = query.iter().map(|(name, value)| format!("{}={}", percent(name), percent(value))).collect();
    pairs.sort();
    format!("{method}&{}&{}", percent(url), percent(&pairs.join("&")))
}
