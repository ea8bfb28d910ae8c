//! TikTok Shop's signed requests.
use super::super::call::{Method, Request, StoreConnection};
use super::super::connector::Stamp;
use super::super::fields::{base, required};
use super::super::sign::{hmac_sha256_hex, percent};
use secrecy::ExposeSecret;
use std::collections::BTreeMap;

/// Hosts by the setting `region`; the first is the default.
pub(super) const HOSTS: [(&str, &str); 2] =
    [("global", "https://open-api.tiktokglobalshop.com"), ("sandbox", "https://open-api-sandbox.tiktokglobalshop.com")];
/// The shops that have authorized the app.
pub(super) const SHOPS: &str = "/authorization/202309/shops";

/// A request signed over its query and the bytes of its body. Only calls for a shop carry its cipher.
pub(super) fn signed(
    store: &StoreConnection,
    path: &str,
    for_shop: bool,
    own: &[(&'static str, String)],
    body: Option<String>,
    stamp: &Stamp,
) -> Result<Request, String> {
    let mut query = BTreeMap::from([("app_key", required(store, "app_key")?.to_owned()), ("timestamp", stamp.now.timestamp().to_string())]);
    if for_shop {
        query.insert("shop_cipher", required(store, "shop_cipher")?.to_owned());
    }
    query.extend(own.iter().cloned());
    let secret = store.secret("app_secret")?;
    let pairs: String = query.iter().flat_map(|(name, value)| [*name, value.as_str()]).collect();
    let wrapper = secret.expose_secret();
    let sign = hmac_sha256_hex(secret, &format!("{wrapper}{path}{pairs}{}{wrapper}", body.as_deref().unwrap_or_default()));
    query.insert("sign", sign);
    let query: Vec<String> = query.iter().map(|(name, value)| format!("{name}={}", percent(value))).collect();
    let [(_, default), ..] = HOSTS;
    let host = HOSTS.iter().find(|(name, _)| store.setting("region") == Some(name)).map_or(default, |(_, host)| host);
    let mut request = Request::get(format!("{}{path}?{}", base(store, host), query.join("&")))
        .header("content-type", "application/json")
        .secret_header("x-tts-access-token", store.secret("access_token")?.clone());
    if body.is_some() {
        (request.method, request.body) = (Method::Post, body);
    }
    Ok(request)
}
