//! WooCommerce's endpoint for keys (`wc-auth`). It needs no app: each shop is its own server.
//!
//! Sources (checked November 2026): developer.woocommerce.com, "REST API: Authentication", "Auto generating API keys using our
//! Application Authentication Endpoint"; the class `WC_Auth` of WooCommerce 11.
//!
//! - The address of the shop is asked first. `user_id` is any text of ours that comes back: the state.
//! - When the owner agrees, the shop's server posts the keys to `callback_url`, which must be https, and only then sends the owner
//!   to `return_url` with `success=1`. The keys are kept, sealed, until the owner arrives. If our server cannot be reached from
//!   the shop's, the shop itself says so and revokes the keys.
//! - The keys do not end. They are written for reading and writing (`read_write`); other permissions are refused.
use super::super::authorize::{Asked, Consent, Entry, Granted, Leaving, NotGranted, Parameters, Profile, parameter, secrets, with_query};
use super::super::call::{Reply, Request, StoreConnection};
use super::super::check::check_base_url;
use super::super::connector::Stamp;
use super::super::identity::tidy_address;
use crate::domain::FieldError;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

const STATE: &str = "user_id";
const ADDRESS: &str = "base_url";
const ASKED: [Entry; 1] = [Entry::text(ADDRESS, "Address", "Your shop's address, such as https://shop.example.com.")];
const KEYS: [&str; 3] = ["consumer_key", "consumer_secret", "key_permissions"];
/// What the owner reads on the shop's consent page.
const APP_NAME: &str = "Stocktide";

/// Connects shops by their own consent page.
#[derive(Debug)]
pub struct WooCommerceConsent;

impl Consent for WooCommerceConsent {
    fn platform(&self) -> &'static str {
        "woocommerce"
    }

    fn app_fields(&self) -> Option<&'static [Entry]> {
        None
    }

    fn asked(&self) -> &'static [Entry] {
        &ASKED
    }

    fn keys_sent_apart(&self) -> &'static [&'static str] {
        &KEYS
    }

    fn check(&self, mut given: Asked) -> Result<Asked, Vec<FieldError>> {
        let entered = given.get(ADDRESS).map(String::as_str).unwrap_or_default();
        let address = tidy_address(&if entered.contains("://") { entered.to_owned() } else { format!("https://{entered}") });
        let address = address.trim_end_matches("/wp-admin").to_owned();
        check_base_url(&address).map_err(|detail| vec![FieldError::new("/base_url", detail)])?;
        given.insert(ADDRESS.to_owned(), address);
        Ok(given)
    }

    fn page(&self, leaving: &Leaving<'_>, _: &Stamp) -> Result<String, String> {
        if !leaving.callback.starts_with("https:") {
            return Err("a WooCommerce shop sends its keys by https only, and the public_url of this service is another address; \
                ask the operator, or enter keys of your own"
                .to_owned());
        }
        let shop = leaving.asked.get(ADDRESS).map(String::as_str).unwrap_or_default();
        Ok(with_query(
            &format!("{shop}/wc-auth/v1/authorize"),
            &[
                ("app_name", APP_NAME),
                ("scope", "read_write"),
                (STATE, leaving.state),
                ("return_url", leaving.callback),
                ("callback_url", leaving.callback),
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
        keys: Option<&BTreeMap<String, SecretString>>,
    ) -> Result<Granted, NotGranted> {
        if parameter(parameters, "success") != Some("1") {
            return Err(NotGranted::Declined);
        }
        let key = |name: &str| keys?.get(name).cloned();
        let unsent = || NotGranted::Unfit("The shop has not sent its keys: its server may not reach this service.".to_owned());
        let (consumer, secret) = key("consumer_key").zip(key("consumer_secret")).ok_or_else(unsent)?;
        if key("key_permissions").is_some_and(|permissions| permissions.expose_secret() != "read_write") {
            return Err(NotGranted::Unfit("The keys may not write. Permit reading and writing.".to_owned()));
        }
        Ok(Granted {
            base_url: leaving.asked.get(ADDRESS).cloned(),
            config: Map::new(),
            credentials: secrets([("consumer_key", consumer), ("consumer_secret", secret)]),
        })
    }

    fn profile_request(&self, store: &StoreConnection, _: &Stamp) -> Option<Result<Request, String>> {
        let base = store.base_url.as_deref()?.trim_end_matches('/');
        Some(Ok(Request::get(format!("{base}/wp-json/?_fields=name")).header("accept", "application/json")))
    }

    fn profile(&self, _: &StoreConnection, reply: &Reply) -> Result<Profile, String> {
        let body = serde_json::from_str::<Value>(&reply.body).unwrap_or_default();
        let name = body.get("name").and_then(Value::as_str).filter(|name| !name.is_empty());
        Ok(Profile { name: name.map(str::to_owned), ..Profile::default() })
    }

    fn fallback_name(&self, store: &StoreConnection) -> String {
        let address = store.base_url.as_deref().unwrap_or("WooCommerce");
        address.split_once("://").map_or(address, |(_, host)| host).to_owned()
    }
}
