//! TikTok Shop's seller authorization.
//!
//! Sources (checked November 2026): partner.tiktokshop.com, "Seller authorization guide", "Get authorized shops", through
//! public copies; public clients.
//!
//! - The consent page takes the app's *service ID*, another one than its app key. Apps for the United States have one of their
//!   own, which the operator enters as the market. Visitors are sent back to the address registered with the app.
//! - What comes back: `code`, `state`, `app_key`; nothing is signed. The code counts for half an hour.
//! - One agreement may cover several shops of an account. Each has a cipher, which only the list of authorized shops tells. A
//!   new store is the first of them, a store that is authorized again its own.
use super::super::authorize::{
    Consent, Entry, Granted, Leaving, NotGranted, Parameters, Profile, code, parameter, secrets, texts, with_query,
};
use super::super::call::{Reply, Request, StoreConnection};
use super::super::codes::text;
use super::super::connector::Stamp;
use super::requests::{SHOPS, signed};
use super::wire::Envelope;
use secrecy::SecretString;
use std::collections::BTreeMap;

const SERVICE_ID: &str = "service_id";
const MARKET: &str = "market";
const FIELDS: [Entry; 2] = [
    Entry::text(SERVICE_ID, "Service ID", "The app's service ID, from the Partner Center."),
    Entry::choice(
        MARKET,
        "Market",
        "us for an app of the United States' Partner Center.",
        &[("global", "Global"), ("us", "United States")],
    )
    .optional(),
];

/// Connects shops by TikTok Shop's consent page.
#[derive(Debug)]
pub struct TikTokShopConsent;

impl Consent for TikTokShopConsent {
    fn platform(&self) -> &'static str {
        "tiktok_shop"
    }

    fn app_fields(&self) -> Option<&'static [Entry]> {
        Some(&FIELDS)
    }

    fn page(&self, leaving: &Leaving<'_>, _: &Stamp) -> Result<String, String> {
        let app = leaving.app;
        let own = if app.setting(MARKET) == "us" { "https://services.us.tiktokshop.com" } else { "https://services.tiktokshop.com" };
        let query = [("service_id", app.setting(SERVICE_ID)), ("state", leaving.state)];
        Ok(with_query(&format!("{}/open/authorize", app.host(own)), &query))
    }

    fn returned(
        &self,
        leaving: &Leaving<'_>,
        parameters: &Parameters,
        _: Option<&BTreeMap<String, SecretString>>,
    ) -> Result<Granted, NotGranted> {
        let code = code(parameters, "TikTok Shop")?;
        if parameter(parameters, "app_key").is_some_and(|key| key != leaving.app.client_id) {
            return Err(NotGranted::Unfit("TikTok Shop sent you back for another app.".to_owned()));
        }
        let mut config = texts(&[("app_key", &leaving.app.client_id)]);
        if leaving.app.sandbox {
            config.extend(texts(&[("region", "sandbox")]));
        }
        let credentials = secrets([("app_secret", leaving.app.secret.clone()), ("auth_code", code.into())]);
        Ok(Granted { base_url: leaving.app.test_server(""), config, credentials })
    }

    fn profile_request(&self, store: &StoreConnection, stamp: &Stamp) -> Option<Result<Request, String>> {
        Some(signed(store, SHOPS, false, &[], None, stamp))
    }

    fn profile(&self, store: &StoreConnection, reply: &Reply) -> Result<Profile, String> {
        let body = serde_json::from_str::<Envelope>(&reply.body).ok().filter(|body| text(&body.code) == "0");
        let body = body.ok_or_else(|| "TikTok Shop did not say which shop it is.".to_owned())?;
        let shops: Vec<(String, String)> = body
            .data
            .get("shops")
            .and_then(serde_json::Value::as_array)
            .into_iter()
            .flatten()
            .map(|shop| (shop.get("cipher").map(text).unwrap_or_default(), shop.get("name").map(text).unwrap_or_default()))
            .filter(|(cipher, _)| !cipher.is_empty())
            .collect();
        let own = shops.iter().find(|(cipher, _)| store.setting("shop_cipher") == Some(cipher));
        let (cipher, name) = own.or(shops.first()).ok_or_else(|| "This account has no shop that the app may use.".to_owned())?;
        let name = Some(name.clone()).filter(|name| !name.is_empty());
        Ok(Profile { name, config: texts(&[("shop_cipher", cipher)]) })
    }

    fn fallback_name(&self, _: &StoreConnection) -> String {
        "TikTok Shop".to_owned()
    }
}
