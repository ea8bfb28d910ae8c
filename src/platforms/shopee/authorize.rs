//! Shopee's shop authorization.
//!
//! Sources (checked November 2026): open.shopee.com, developer guide "Authorization and authentication", through public
//! copies; public clients.
//!
//! - The address of the consent page is itself signed, with the partner key over partner ID, path and time, and counts for five
//!   minutes. There is no parameter for a state, so it is part of the redirect address, whose host must be registered.
//! - What comes back: `code` and `shop_id` (or `main_account_id` for an account of several shops, which is refused: each shop is
//!   authorized on its own). Nothing is signed. The code counts once, for ten minutes.
//! - The refresh token lives for 30 days and is replaced at each use.
use super::super::authorize::{Consent, Entry, Granted, Leaving, NotGranted, Parameters, Profile, parameter, secrets, texts, with_query};
use super::super::call::{Reply, Request, StoreConnection};
use super::super::connector::Stamp;
use super::super::fields::whole;
use super::super::sign::hmac_sha256_hex;
use super::fields::HOSTS;
use super::requests::signed_url;
use secrecy::SecretString;
use serde_json::Value;
use std::collections::BTreeMap;

const PATH: &str = "/api/v2/shop/auth_partner";
const SHOP_INFO: &str = "/api/v2/shop/get_shop_info";
const REGION: &str = "region";
const ASKED: [Entry; 1] = [Entry::choice(
    REGION,
    "Region",
    "Where your shop is.",
    &[("global", "Southeast Asia, Taiwan and elsewhere"), ("brazil", "Brazil"), ("china", "Sellers in mainland China")],
)
.optional()];

/// Connects shops by Shopee's consent page.
#[derive(Debug)]
pub struct ShopeeConsent;

/// The store's region: the sandbox's if the app belongs to it.
fn region<'a>(leaving: &Leaving<'a>) -> &'a str {
    match leaving.asked.get(REGION).map(String::as_str) {
        Some("china") if leaving.app.sandbox => "sandbox_china",
        _ if leaving.app.sandbox => "sandbox",
        region => region.unwrap_or("global"),
    }
}

impl Consent for ShopeeConsent {
    fn platform(&self) -> &'static str {
        "shopee"
    }

    fn asked(&self) -> &'static [Entry] {
        &ASKED
    }

    fn page(&self, leaving: &Leaving<'_>, stamp: &Stamp) -> Result<String, String> {
        let (app, region) = (leaving.app, region(leaving));
        whole(&app.client_id).ok_or("the operator's app for Shopee needs its partner ID, a number, as client_id; ask the operator")?;
        let own = HOSTS.iter().find(|(name, _)| *name == region).map_or("", |(_, host)| host);
        let timestamp = stamp.now.timestamp().to_string();
        let sign = hmac_sha256_hex(&app.secret, &format!("{}{PATH}{timestamp}", app.client_id));
        let back = with_query(leaving.callback, &[("state", leaving.state)]);
        let query = [("partner_id", app.client_id.as_str()), ("timestamp", &timestamp), ("sign", &sign), ("redirect", &back)];
        Ok(with_query(&format!("{}{PATH}", app.host(own)), &query))
    }

    fn returned(
        &self,
        leaving: &Leaving<'_>,
        parameters: &Parameters,
        _: Option<&BTreeMap<String, SecretString>>,
    ) -> Result<Granted, NotGranted> {
        if parameter(parameters, "main_account_id").is_some() {
            return Err(NotGranted::Unfit("You authorized an account of several shops. Authorize a single shop.".to_owned()));
        }
        let Some(code) = parameter(parameters, "code") else { return Err(NotGranted::Declined) };
        let shop = parameter(parameters, "shop_id").filter(|id| whole(id).is_some());
        let shop = shop.ok_or_else(|| NotGranted::without("Shopee", "a shop ID"))?;
        let app = leaving.app;
        Ok(Granted {
            base_url: app.test_server(""),
            config: texts(&[("partner_id", &app.client_id), ("shop_id", shop), (REGION, region(leaving))]),
            credentials: secrets([("partner_key", app.secret.clone()), ("auth_code", code.into())]),
        })
    }

    fn profile_request(&self, store: &StoreConnection, stamp: &Stamp) -> Option<Result<Request, String>> {
        Some(signed_url(store, SHOP_INFO, true, "", stamp).map(Request::get))
    }

    fn profile(&self, _: &StoreConnection, reply: &Reply) -> Result<Profile, String> {
        let body = serde_json::from_str::<Value>(&reply.body).unwrap_or_default();
        let name = body.get("shop_name").and_then(Value::as_str).filter(|name| !name.is_empty());
        Ok(Profile { name: name.map(str::to_owned), ..Profile::default() })
    }

    fn fallback_name(&self, store: &StoreConnection) -> String {
        format!("Shopee {}", store.setting("shop_id").unwrap_or_default()).trim_end().to_owned()
    }
}
