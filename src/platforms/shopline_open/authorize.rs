//! SHOPLINE Open API's authorization code grant (shoplineapp.com; Taiwan, Hong Kong).
//!
//! Sources (checked November 2026): open-api.docs.shoplineapp.com, "OAuth"; shopline-developers.readme.io.
//!
//! - One consent page for all shops. The shop's handle is asked first, because every call names it.
//! - The state comes back as it is; nothing is signed. The token endpoint wants the redirect address again.
//! - Access tokens live for about half a year, refresh tokens for a day longer.
//!
//! Unconfirmed: the scopes' names, so none are asked for unless the operator enters some; how a refusal comes back.
use super::super::authorize::{Asked, Consent, Entry, Granted, Leaving, NotGranted, Parameters, code, secrets, texts, with_query};
use super::super::call::StoreConnection;
use super::super::connector::Stamp;
use crate::domain::FieldError;
use secrecy::SecretString;
use std::collections::BTreeMap;

/// The consent page's server.
const CONSENT_HOST: &str = "https://developers.shoplineapp.com";
const HANDLE: &str = "handle";
const ASKED: [Entry; 1] = [Entry::text(HANDLE, "Handle", "Your shop's handle, the part before .shoplineapp.com.")];

/// Connects shops by SHOPLINE's consent page.
#[derive(Debug)]
pub struct ShoplineOpenConsent;

impl Consent for ShoplineOpenConsent {
    fn platform(&self) -> &'static str {
        "shopline_open"
    }

    fn asked(&self) -> &'static [Entry] {
        &ASKED
    }

    fn check(&self, mut given: Asked) -> Result<Asked, Vec<FieldError>> {
        let handle = given.get(HANDLE).map(|entered| entered.trim().to_lowercase()).unwrap_or_default();
        let handle = handle.trim_start_matches("https://").split('/').next().unwrap_or_default();
        let handle = handle.strip_suffix(".shoplineapp.com").unwrap_or(handle).to_owned();
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if handle.is_empty() || !handle.bytes().all(fits) {
            return Err(vec![FieldError::new("/handle", "must be the part before .shoplineapp.com")]);
        }
        given.insert(HANDLE.to_owned(), handle);
        Ok(given)
    }

    fn page(&self, leaving: &Leaving<'_>, _: &Stamp) -> Result<String, String> {
        let app = leaving.app;
        let scopes = app.scopes(&[], " ");
        let mut query = vec![
            ("response_type", "code"),
            ("client_id", app.client_id.as_str()),
            ("redirect_uri", leaving.callback),
            ("state", leaving.state),
        ];
        if !scopes.is_empty() {
            query.push(("scope", &scopes));
        }
        Ok(with_query(&format!("{}/oauth/authorize", app.host(CONSENT_HOST)), &query))
    }

    fn returned(
        &self,
        leaving: &Leaving<'_>,
        parameters: &Parameters,
        _: Option<&BTreeMap<String, SecretString>>,
    ) -> Result<Granted, NotGranted> {
        let code = code(parameters, "SHOPLINE")?;
        let handle = leaving.asked.get(HANDLE).map(String::as_str).unwrap_or_default();
        Ok(Granted {
            base_url: leaving.app.test_server(""),
            config: texts(&[(HANDLE, handle), ("client_id", &leaving.app.client_id), ("redirect_uri", leaving.callback)]),
            credentials: secrets([("client_secret", leaving.app.secret.clone()), ("auth_code", code.into())]),
        })
    }

    fn fallback_name(&self, store: &StoreConnection) -> String {
        store.setting(HANDLE).unwrap_or("SHOPLINE").to_owned()
    }
}
