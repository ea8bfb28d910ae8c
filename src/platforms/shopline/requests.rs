//! SHOPLINE's addresses and requests.
use super::super::call::{Method, Request, StoreConnection};
use super::super::fields::{base, required};
use secrecy::ExposeSecret;

const VERSION: &str = "v20260601";

pub(super) fn host(store: &StoreConnection) -> Result<String, String> {
    match store.base_url {
        Some(_) => Ok(base(store, "").to_owned()),
        None => Ok(format!("https://{}.myshopline.com", required(store, "handle")?)),
    }
}

pub(super) fn api(store: &StoreConnection, method: Method, path: &str) -> Result<Request, String> {
    let version = store.setting("api_version").unwrap_or(VERSION);
    let mut request = Request::get(format!("{}/admin/openapi/{version}/{path}", host(store)?))
        .header("content-type", "application/json; charset=utf-8")
        .secret_header("authorization", format!("Bearer {}", store.secret("access_token")?.expose_secret()));
    request.method = method;
    Ok(request)
}
