//! SHOPLINE's app authorization (myshopline.com).
//!
//! Sources (checked November 2026): developer.shopline.com, "App authorization", "Generate and verify signatures".
//!
//! - The consent page is a page of the shop's own admin, so its handle is asked first; what it is asked is after the `#`.
//! - What comes back is signed with the app's secret over its other parameters, sorted, as `name=value` joined with `&`. Nothing in it
//!   is used before that is checked, and the handle must be the one that was entered.
//! - The code counts for ten minutes. The token lives for ten hours and is renewed with the app's secret alone.
//!
//! Unconfirmed: that `customField` comes back as it is; it carries the state.
use super::super::authorize::{
    Asked, Consent, Entry, Granted, Leaving, NotGranted, Parameters, Profile, equal_in_constant_time, parameter, secrets, texts, with_query,
};
use super::super::call::{Method, Reply, Request, StoreConnection};
use super::super::connector::Stamp;
use super::super::sign::hmac_sha256_hex;
use super::requests::api;
use crate::domain::FieldError;
use secrecy::SecretString;
use serde_json::Value;
use std::collections::BTreeMap;

const STATE: &str = "customField";
const HANDLE: &str = "handle";
const ASKED: [Entry; 1] = [Entry::text(HANDLE, "Shop", "Your shop's address in SHOPLINE, such as acme.myshopline.com.")];
const SCOPES: [&str; 3] = ["read_products", "read_inventory", "write_inventory"];
const SHOP: &str = "merchants/shop.json";

/// Connects shops by SHOPLINE's consent page.
#[derive(Debug)]
pub struct ShoplineConsent;

/// The part before `.myshopline.com` in any form in which an owner may know the shop's address.
fn handle_of(entered: &str) -> Option<String> {
    let entered = entered.trim().to_lowercase();
    let rest = entered.strip_prefix("https://").or_else(|| entered.strip_prefix("http://")).unwrap_or(&entered);
    let host = rest.split(['/', '?', '#']).next()?;
    let handle = host.strip_suffix(".myshopline.com").unwrap_or(host);
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    ((1..=60).contains(&handle.len()) && handle.bytes().all(fits)).then(|| handle.to_owned())
}

fn signed_text(parameters: &Parameters) -> String {
    let mut signed: Vec<String> =
        parameters.iter().filter(|(name, _)| name != "sign").map(|(name, value)| format!("{name}={value}")).collect();
    signed.sort_unstable();
    signed.join("&")
}

impl Consent for ShoplineConsent {
    fn platform(&self) -> &'static str {
        "shopline"
    }

    fn asked(&self) -> &'static [Entry] {
        &ASKED
    }

    fn check(&self, mut given: Asked) -> Result<Asked, Vec<FieldError>> {
        let handle = given.get(HANDLE).and_then(|entered| handle_of(entered));
        let handle = handle
            .ok_or_else(|| vec![FieldError::new("/handle", "must be the shop's address in SHOPLINE, such as acme.myshopline.com")])?;
        given.insert(HANDLE.to_owned(), handle);
        Ok(given)
    }

    fn page(&self, leaving: &Leaving<'_>, _: &Stamp) -> Result<String, String> {
        let handle = leaving.asked.get(HANDLE).map(String::as_str).unwrap_or_default();
        let host = leaving.app.test_server(handle).unwrap_or_else(|| format!("https://{handle}.myshopline.com"));
        Ok(with_query(
            &format!("{host}/admin/oauth-web/#/oauth/authorize"),
            &[
                ("appKey", &leaving.app.client_id),
                ("responseType", "code"),
                ("scope", &leaving.app.scopes(&SCOPES, ",")),
                ("redirectUri", leaving.callback),
                (STATE, leaving.state),
            ],
        ))
    }

    fn state<'a>(&self, parameters: &'a Parameters) -> Option<&'a str> {
        parameter(parameters, STATE)
    }

    fn returned(
        &self,
        leaving: &Leaving<'_>,
        parameters: &Parameters,
        _: Option<&BTreeMap<String, SecretString>>,
    ) -> Result<Granted, NotGranted> {
        let given = parameter(parameters, "sign").unwrap_or_default();
        if !equal_in_constant_time(given, &hmac_sha256_hex(&leaving.app.secret, &signed_text(parameters))) {
            return Err(NotGranted::forged("SHOPLINE"));
        }
        let asked = leaving.asked.get(HANDLE).map(String::as_str).unwrap_or_default();
        let handle = parameter(parameters, HANDLE).unwrap_or_default();
        if handle.to_lowercase() != asked {
            let handle: String = handle.chars().take(80).collect();
            return Err(NotGranted::Unfit(format!("You entered the shop {asked}, but authorized {handle}.")));
        }
        let Some(code) = parameter(parameters, "code") else { return Err(NotGranted::Declined) };
        Ok(Granted {
            base_url: leaving.app.test_server(asked),
            config: texts(&[(HANDLE, asked), ("app_key", &leaving.app.client_id)]),
            credentials: secrets([("app_secret", leaving.app.secret.clone()), ("auth_code", code.into())]),
        })
    }

    fn profile_request(&self, store: &StoreConnection, _: &Stamp) -> Option<Result<Request, String>> {
        Some(api(store, Method::Get, SHOP))
    }

    fn profile(&self, _: &StoreConnection, reply: &Reply) -> Result<Profile, String> {
        let body = serde_json::from_str::<Value>(&reply.body).unwrap_or_default();
        let name = body.pointer("/data/name").and_then(Value::as_str).filter(|name| !name.is_empty());
        Ok(Profile { name: name.map(str::to_owned), ..Profile::default() })
    }

    fn fallback_name(&self, store: &StoreConnection) -> String {
        store.setting(HANDLE).unwrap_or("SHOPLINE").to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::authorize::App;
    use super::*;

    #[test]
    fn only_what_shopline_has_signed_about_the_shop_that_was_entered_is_used() {
        let (scopes, settings) = (Vec::new(), BTreeMap::new());
        let app = App {
            client_id: "appkey123".into(),
            secret: "shpl_secret_0a1b2c3d4e5f".into(),
            scopes,
            sandbox: false,
            base_url: None,
            settings,
        };
        let asked = Asked::from([(HANDLE.to_owned(), "demo-store".to_owned())]);
        let leaving = Leaving { app: &app, asked: &asked, callback: "https://s.example/connect/shopline/callback", state: "st" };
        let visit = |pairs: &[(&str, &str)]| {
            let pairs: Vec<(String, String)> = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            ShoplineConsent.returned(&leaving, &pairs, None)
        };
        // Signed apart from this program; it has no code.
        let sign = "fab363a94b4dcfeda5c6cb3b888aa3f4fd3809600bd8c3b90fcea0aa7caf09fd";
        let signed = [("appkey", "appkey123"), ("handle", "demo-store"), ("timestamp", "1764547200000"), ("sign", sign)];
        assert_eq!(visit(&signed).unwrap_err(), NotGranted::Declined);
        for at in 0..signed.len() {
            let mut changed = signed;
            changed[at].1 = "x";
            assert_eq!(visit(&changed).unwrap_err(), NotGranted::forged("SHOPLINE"), "{}", changed[at].0);
        }
        assert!(visit(&[]).is_err());
        assert_eq!(handle_of("https://Acme.myshopline.com/admin"), Some("acme".to_owned()));
        assert_eq!(handle_of("acme.example.com"), None);
    }
}
