//! Lazada's seller authorization.
//!
//! Sources (checked November 2026): open.lazada.com, "Seller authorization introduction", through public copies and clients.
//!
//! - One consent page for all countries, at `auth.lazada.com`. The country is asked first, because each has its own server.
//! - The state comes back as it is; nothing is signed. The code counts for half an hour.
//! - The refresh token lives for 180 days (14 in a test app); renewing does not make it live longer by all accounts, so the
//!   seller has to agree again then.
use super::super::authorize::{Consent, Entry, Granted, Leaving, NotGranted, Parameters, Profile, code, secrets, texts, with_query};
use super::super::call::{Method, Reply, Request, StoreConnection};
use super::super::codes::text;
use super::super::connector::Stamp;
use super::requests::{SELLER, api};
use super::wire::Envelope;
use secrecy::SecretString;
use std::collections::BTreeMap;

const REGION: &str = "region";
const ASKED: [Entry; 1] = [Entry::choice(REGION, "Country", "Where your shop is.", &COUNTRIES)];
const COUNTRIES: [(&str, &str); 6] =
    [("sg", "Singapore"), ("th", "Thailand"), ("my", "Malaysia"), ("vn", "Vietnam"), ("ph", "Philippines"), ("id", "Indonesia")];

/// Connects shops by Lazada's consent page.
#[derive(Debug)]
pub struct LazadaConsent;

impl Consent for LazadaConsent {
    fn platform(&self) -> &'static str {
        "lazada"
    }

    fn asked(&self) -> &'static [Entry] {
        &ASKED
    }

    fn page(&self, leaving: &Leaving<'_>, _: &Stamp) -> Result<String, String> {
        let app = leaving.app;
        Ok(with_query(
            &format!("{}/oauth/authorize", app.host("https://auth.lazada.com")),
            &[
                ("response_type", "code"),
                ("force_auth", "true"),
                ("redirect_uri", leaving.callback),
                ("client_id", &app.client_id),
                ("state", leaving.state),
            ],
        ))
    }

    fn returned(
        &self,
        leaving: &Leaving<'_>,
        parameters: &Parameters,
        _: Option<&BTreeMap<String, SecretString>>,
    ) -> Result<Granted, NotGranted> {
        let code = code(parameters, "Lazada")?;
        let region = leaving.asked.get(REGION).map(String::as_str).unwrap_or_default();
        Ok(Granted {
            base_url: leaving.app.test_server(""),
            config: texts(&[(REGION, region), ("app_key", &leaving.app.client_id)]),
            credentials: secrets([("app_secret", leaving.app.secret.clone()), ("auth_code", code.into())]),
        })
    }

    fn profile_request(&self, store: &StoreConnection, stamp: &Stamp) -> Option<Result<Request, String>> {
        Some(api(store, SELLER, BTreeMap::new(), Method::Get, stamp))
    }

    fn profile(&self, _: &StoreConnection, reply: &Reply) -> Result<Profile, String> {
        let body = serde_json::from_str::<Envelope>(&reply.body).ok();
        let name = body.and_then(|body| body.data.get("name").map(text)).filter(|name| !name.is_empty());
        Ok(Profile { name, ..Profile::default() })
    }

    fn fallback_name(&self, store: &StoreConnection) -> String {
        let country = COUNTRIES.iter().find(|(code, _)| Some(*code) == store.setting(REGION)).map_or("", |(_, name)| name);
        format!("Lazada {country}").trim_end().to_owned()
    }
}
