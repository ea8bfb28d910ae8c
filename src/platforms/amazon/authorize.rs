//! Amazon's website authorization workflow for selling partners, with tokens by Login with Amazon.
//!
//! Sources (checked November 2026): developer-docs.amazon.com/sp-api, "Website authorization workflow", "Seller Central URLs",
//! "Marketplace IDs"; public clients for the exchange of the code.
//!
//! - The consent page is at the Seller Central of the seller's marketplace, so that is asked first. It belongs to one of three
//!   regions, each with its own server. `version=beta` is for an app that is still a draft: the operator enters it as `sandbox`.
//! - What comes back: `state`, `selling_partner_id` (the seller's merchant token), `spapi_oauth_code`. Nothing is signed, and
//!   there is no address for a seller who declines.
//! - The code is exchanged at `api.amazon.com` within minutes. The refresh token has no stated end.
use super::super::authorize::{Consent, Entry, Granted, Leaving, NotGranted, Parameters, parameter, secrets, texts, with_query};
use super::super::call::StoreConnection;
use super::super::connector::Stamp;
use secrecy::SecretString;
use std::collections::BTreeMap;

/// The setting of an app with its ID in Seller Central, which is another one than its client ID.
const APPLICATION_ID: &str = "application_id";
const FIELDS: [Entry; 1] =
    [Entry::text(APPLICATION_ID, "Application ID", "The app's ID in Seller Central; it starts with amzn1.sp.solution.")];
const MARKETPLACE: &str = "marketplace_id";
const ASKED: [Entry; 1] =
    [Entry::choice(MARKETPLACE, "Marketplace", "Where you sell. Connect each marketplace as a store of its own.", &MARKETPLACES)];

/// The marketplaces, each with its name.
const MARKETPLACES: [(&str, &str); 21] = [
    ("ATVPDKIKX0DER", "United States"),
    ("A2EUQ1WTGCTBG2", "Canada"),
    ("A1AM78C64UM0Y8", "Mexico"),
    ("A2Q3Y263D00KWC", "Brazil"),
    ("A1F83G8C2ARO7P", "United Kingdom"),
    ("A1PA6795UKMFR9", "Germany"),
    ("A13V1IB3VIYZZH", "France"),
    ("APJ6JRA9NG5V4", "Italy"),
    ("A1RKKUPIHCS9HS", "Spain"),
    ("A1805IZSGTT6HS", "Netherlands"),
    ("AMEN7PMS3EDWL", "Belgium"),
    ("A2NODRKZP88ZB9", "Sweden"),
    ("A1C3SOZRARQ6R3", "Poland"),
    ("A33AVAJ2PDY3EV", "Türkiye"),
    ("A2VIGQ35RCS4UG", "United Arab Emirates"),
    ("A17E79C6D8DWNP", "Saudi Arabia"),
    ("ARBP9OOSHTCHU", "Egypt"),
    ("A21TJRUUN4KGV", "India"),
    ("A1VC38T7YXB528", "Japan"),
    ("A39IBJ37TRP1C6", "Australia"),
    ("A19VAU5U5O7RUS", "Singapore"),
];

/// The region of a marketplace, and the address of its Seller Central.
fn region_of(marketplace: &str) -> (&'static str, &'static str) {
    match marketplace {
        "ATVPDKIKX0DER" => ("na", "https://sellercentral.amazon.com"),
        "A2EUQ1WTGCTBG2" => ("na", "https://sellercentral.amazon.ca"),
        "A1AM78C64UM0Y8" => ("na", "https://sellercentral.amazon.com.mx"),
        "A2Q3Y263D00KWC" => ("na", "https://sellercentral.amazon.com.br"),
        "A1805IZSGTT6HS" => ("eu", "https://sellercentral.amazon.nl"),
        "AMEN7PMS3EDWL" => ("eu", "https://sellercentral.amazon.com.be"),
        "A2NODRKZP88ZB9" => ("eu", "https://sellercentral.amazon.se"),
        "A1C3SOZRARQ6R3" => ("eu", "https://sellercentral.amazon.pl"),
        "A33AVAJ2PDY3EV" => ("eu", "https://sellercentral.amazon.com.tr"),
        "A2VIGQ35RCS4UG" => ("eu", "https://sellercentral.amazon.ae"),
        "A17E79C6D8DWNP" => ("eu", "https://sellercentral.amazon.sa"),
        "ARBP9OOSHTCHU" => ("eu", "https://sellercentral.amazon.eg"),
        "A21TJRUUN4KGV" => ("eu", "https://sellercentral.amazon.in"),
        "A1VC38T7YXB528" => ("fe", "https://sellercentral.amazon.co.jp"),
        "A39IBJ37TRP1C6" => ("fe", "https://sellercentral.amazon.com.au"),
        "A19VAU5U5O7RUS" => ("fe", "https://sellercentral.amazon.sg"),
        _ => ("eu", "https://sellercentral-europe.amazon.com"),
    }
}

fn marketplace<'a>(leaving: &Leaving<'a>) -> &'a str {
    leaving.asked.get(MARKETPLACE).map(String::as_str).unwrap_or_default()
}

/// Connects selling accounts by Seller Central's consent page.
#[derive(Debug)]
pub struct AmazonConsent;

impl Consent for AmazonConsent {
    fn platform(&self) -> &'static str {
        "amazon"
    }

    fn app_fields(&self) -> Option<&'static [Entry]> {
        Some(&FIELDS)
    }

    fn asked(&self) -> &'static [Entry] {
        &ASKED
    }

    fn page(&self, leaving: &Leaving<'_>, _: &Stamp) -> Result<String, String> {
        let app = leaving.app;
        let host = app.host(region_of(marketplace(leaving)).1);
        let mut query = vec![("application_id", app.setting(APPLICATION_ID)), ("state", leaving.state)];
        if app.sandbox {
            query.push(("version", "beta"));
        }
        Ok(with_query(&format!("{host}/apps/authorize/consent"), &query))
    }

    fn returned(
        &self,
        leaving: &Leaving<'_>,
        parameters: &Parameters,
        _: Option<&BTreeMap<String, SecretString>>,
    ) -> Result<Granted, NotGranted> {
        if parameter(parameters, "error").is_some() {
            return Err(NotGranted::Declined);
        }
        let code = parameter(parameters, "spapi_oauth_code").ok_or_else(|| NotGranted::without("Amazon", "a code"))?;
        let seller = parameter(parameters, "selling_partner_id").ok_or_else(|| NotGranted::without("Amazon", "a selling partner ID"))?;
        let marketplace = marketplace(leaving);
        Ok(Granted {
            base_url: leaving.app.test_server(""),
            config: texts(&[("region", region_of(marketplace).0), ("seller_id", seller), (MARKETPLACE, marketplace)]),
            credentials: secrets([
                ("client_id", leaving.app.client_id.as_str().into()),
                ("client_secret", leaving.app.secret.clone()),
                ("auth_code", code.into()),
            ]),
        })
    }

    fn fallback_name(&self, store: &StoreConnection) -> String {
        let id = store.setting(MARKETPLACE);
        let name = MARKETPLACES.iter().find(|(marketplace, _)| Some(*marketplace) == id).map_or("", |(_, name)| name);
        format!("Amazon {name}").trim_end().to_owned()
    }
}
