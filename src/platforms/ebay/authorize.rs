//! eBay's authorization code grant.
//!
//! Sources (checked November 2026): developer.ebay.com, "The authorization code grant flow", "Getting your RuName",
//! "Exchanging the authorization code for a User access token"; knowledge base 5075.
//!
//! - The consent page is at `auth.ebay.com` (sandbox `auth.sandbox.ebay.com`). In the place of a redirect address it takes the
//!   *RuName*, a name that eBay makes for the address, which the operator enters as the app's `redirect_name`.
//! - The state is optional there and comes back as it is. Nothing is signed. A seller who declines is sent to the RuName's
//!   second address, which should be the same one; `error=access_denied` says so.
//! - The refresh token lives for 18 months and is not replaced: then the seller has to agree again.
use super::super::authorize::{Consent, Entry, Granted, Leaving, NotGranted, Parameters, code, secrets, texts, with_query};
use super::super::call::StoreConnection;
use super::super::connector::Stamp;
use super::wire::{REDIRECT_NAME, SCOPES};
use secrecy::SecretString;
use std::collections::BTreeMap;

const FIELDS: [Entry; 1] = [Entry::text(REDIRECT_NAME, "RuName", "The name that eBay shows for your redirect address, under User Tokens.")];

/// Connects accounts by eBay's consent page.
#[derive(Debug)]
pub struct EbayConsent;

impl Consent for EbayConsent {
    fn platform(&self) -> &'static str {
        "ebay"
    }

    fn app_fields(&self) -> Option<&'static [Entry]> {
        Some(&FIELDS)
    }

    fn page(&self, leaving: &Leaving<'_>, _: &Stamp) -> Result<String, String> {
        let app = leaving.app;
        let host = app.host(if app.sandbox { "https://auth.sandbox.ebay.com" } else { "https://auth.ebay.com" });
        Ok(with_query(
            &format!("{host}/oauth2/authorize"),
            &[
                ("client_id", &app.client_id),
                ("redirect_uri", app.setting(REDIRECT_NAME)),
                ("response_type", "code"),
                ("scope", &app.scopes(&SCOPES, " ")),
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
        let code = code(parameters, "eBay")?;
        let app = leaving.app;
        let environment = if app.sandbox { "sandbox" } else { "production" };
        Ok(Granted {
            base_url: app.test_server(""),
            config: texts(&[("environment", environment), (REDIRECT_NAME, app.setting(REDIRECT_NAME))]),
            credentials: secrets([
                ("client_id", app.client_id.as_str().into()),
                ("client_secret", app.secret.clone()),
                ("auth_code", code.into()),
            ]),
        })
    }

    fn fallback_name(&self, _: &StoreConnection) -> String {
        "eBay".to_owned()
    }
}
