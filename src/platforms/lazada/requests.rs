//! Lazada's signed requests.
use super::super::call::{Method, Request, StoreConnection};
use super::super::connector::Stamp;
use super::super::fields::{base, required};
use super::super::sign::{hmac_sha256, percent};
use secrecy::{ExposeSecret, SecretString};
use std::collections::BTreeMap;

/// Hosts by region.
pub(super) const HOSTS: [(&str, &str); 6] = [
    ("sg", "https://api.lazada.sg/rest"),
    ("th", "https://api.lazada.co.th/rest"),
    ("my", "https://api.lazada.com.my/rest"),
    ("vn", "https://api.lazada.vn/rest"),
    ("ph", "https://api.lazada.com.ph/rest"),
    ("id", "https://api.lazada.co.id/rest"),
];
/// "GetSeller": the seller whose token it is.
pub(super) const SELLER: &str = "/seller/get";

/// Signs the parameters, which are sorted by name and not yet encoded.
pub(super) fn sign(secret: &SecretString, path: &str, parameters: &BTreeMap<&str, String>) -> String {
    let pairs: String = parameters.iter().flat_map(|(name, value)| [*name, value.as_str()]).collect();
    hex::encode_upper(hmac_sha256(secret.expose_secret().as_bytes(), format!("{path}{pairs}").as_bytes()))
}

fn encoded(parameters: &BTreeMap<&str, String>) -> String {
    parameters.iter().map(|(name, value)| format!("{name}={}", percent(value))).collect::<Vec<_>>().join("&")
}

/// A request with all its parameters signed. The call's own parameters go in the query of a GET or the form of a POST.
pub(super) fn signed(
    store: &StoreConnection,
    host: &str,
    path: &str,
    token: Option<&SecretString>,
    own: BTreeMap<&'static str, String>,
    method: Method,
    stamp: &Stamp,
) -> Result<Request, String> {
    let mut common = BTreeMap::from([
        ("app_key", required(store, "app_key")?.to_owned()),
        ("timestamp", stamp.now.timestamp_millis().to_string()),
        ("sign_method", "sha256".to_owned()),
    ]);
    common.extend(token.map(|token| ("access_token", token.expose_secret().to_owned())));
    let mut all = common.clone();
    all.extend(own.clone());
    common.insert("sign", sign(store.secret("app_secret")?, path, &all));
    let host = base(store, host);
    if method == Method::Get {
        common.extend(own);
        return Ok(Request::get(format!("{host}{path}?{}", encoded(&common))));
    }
    let mut request = Request::get(format!("{host}{path}?{}", encoded(&common)));
    (request.method, request.body) = (method, Some(encoded(&own)));
    Ok(request.header("content-type", "application/x-www-form-urlencoded;charset=utf-8"))
}

pub(super) fn api(
    store: &StoreConnection,
    path: &str,
    own: BTreeMap<&'static str, String>,
    method: Method,
    stamp: &Stamp,
) -> Result<Request, String> {
    let region = store.setting("region");
    let [(_, default), ..] = HOSTS;
    let host = HOSTS.iter().find(|(name, _)| region == Some(name)).map_or(default, |(_, host)| host);
    signed(store, host, path, Some(store.secret("access_token")?), own, method, stamp)
}
