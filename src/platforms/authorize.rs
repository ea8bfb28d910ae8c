//! How a seller connects a shop by consent: the contract between the platforms' flows and the rest. Everything here is pure.
//!
//! A visitor is sent to the platform's consent page ([`Consent::page`]) with a *state*, and comes back with it and, mostly, with
//! a code ([`Consent::returned`]). What comes back becomes a store's settings and credentials, with the code as `auth_code`: its
//! connector exchanges that for tokens when it renews them, which is the only place that knows how.
//!
//! Each platform has a small file in its folder, and a line in [`consents`](super::consents()).
use super::call::{Reply, Request, StoreConnection};
use super::connector::Stamp;
use super::sign::percent;
use crate::domain::FieldError;
use secrecy::SecretString;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use subtle::ConstantTimeEq;

/// The operator's app on a platform. Its `Debug` output contains no secret.
#[derive(Debug, Clone)]
pub struct App {
    /// How the platform names the app: a client ID, an app key, a partner ID.
    pub client_id: String,
    /// The app's secret.
    pub secret: SecretString,
    /// The permissions to ask for; empty for those that this service needs.
    pub scopes: Vec<String>,
    /// Whether the app belongs to the platform's sandbox.
    pub sandbox: bool,
    /// The address of a test server in the place of the platform's own, for its pages and its API; `{shop}` stands for the shop.
    pub base_url: Option<String>,
    /// What else this platform asks of an app; see [`Consent::app_fields`].
    pub settings: BTreeMap<String, String>,
}

impl App {
    /// A setting of the app; empty if it is missing.
    pub fn setting(&self, name: &str) -> &str {
        self.settings.get(name).map(String::as_str).unwrap_or_default()
    }

    /// The scopes to ask for, separated as the platform wants them.
    pub(super) fn scopes(&self, default: &[&str], separator: &str) -> String {
        if self.scopes.is_empty() { default.join(separator) } else { self.scopes.join(separator) }
    }

    /// The address of the test server for this shop, if there is one.
    pub(super) fn test_server(&self, shop: &str) -> Option<String> {
        self.base_url.as_ref().map(|url| url.replace("{shop}", &percent(shop)).trim_end_matches('/').to_owned())
    }

    /// The address of the platform's server: the test server's, or else `own`.
    pub(super) fn host(&self, own: &str) -> String {
        self.test_server("").unwrap_or_else(|| own.to_owned())
    }
}

/// A field that somebody fills in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Its name in the API.
    pub name: &'static str,
    /// Its name in the console.
    pub label: &'static str,
    /// What to enter and where to find it.
    pub help: &'static str,
    /// The values to choose from, each with its name in the console; empty for any text.
    pub choices: &'static [(&'static str, &'static str)],
    /// Whether it must be there.
    pub required: bool,
}

impl Entry {
    /// A field for any text that must be there.
    pub(super) const fn text(name: &'static str, label: &'static str, help: &'static str) -> Self {
        Self { name, label, help, choices: &[], required: true }
    }

    /// The same with a choice of values.
    pub(super) const fn choice(
        name: &'static str,
        label: &'static str,
        help: &'static str,
        choices: &'static [(&'static str, &'static str)],
    ) -> Self {
        Self { name, label, help, choices, required: true }
    }

    /// The same, but it may be missing.
    pub(super) const fn optional(self) -> Self {
        Self { required: false, ..self }
    }
}

/// What the seller has entered before leaving, by the names of [`Consent::asked`].
pub type Asked = BTreeMap<String, String>;

/// An authorization that begins.
#[derive(Debug, Clone, Copy)]
pub struct Leaving<'a> {
    /// The operator's app.
    pub app: &'a App,
    /// What the seller has entered.
    pub asked: &'a Asked,
    /// Where the platform sends the visitor back to.
    pub callback: &'a str,
    /// The random text that the visitor brings back.
    pub state: &'a str,
}

/// The parameters with which a visitor comes back, in their order.
pub type Parameters = [(String, String)];

/// The first parameter with this name.
pub fn parameter<'a>(parameters: &'a Parameters, name: &str) -> Option<&'a str> {
    parameters.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

/// A store as the visit and the app make it.
#[derive(Debug, Clone, Default)]
pub struct Granted {
    /// The address of its server, where the platform has no common one.
    pub base_url: Option<String>,
    /// The connector's own settings.
    pub config: Map<String, Value>,
    /// The connector's own secrets.
    pub credentials: BTreeMap<String, SecretString>,
}

/// Why a visit grants nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotGranted {
    /// The shop's owner has refused.
    Declined,
    /// The parameters are not what this platform sends, or not signed by it, or about another shop: why, in plain words.
    Unfit(String),
}

impl NotGranted {
    /// For parameters whose signature is missing or wrong.
    pub(super) fn forged(platform: &str) -> Self {
        Self::Unfit(format!("What came back isn't signed by {platform}."))
    }

    /// For parameters without one that is needed.
    pub(super) fn without(platform: &str, what: &str) -> Self {
        Self::Unfit(format!("{platform} sent you back without {what}."))
    }
}

/// What a platform says about the shop once there are tokens.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Profile {
    /// The shop's own name, for people.
    pub name: Option<String>,
    /// Settings of the store that only the platform knows.
    pub config: Map<String, Value>,
}

/// One platform's flow: pure, and shared by all sellers.
pub trait Consent: Send + Sync {
    /// The connector's name.
    fn platform(&self) -> &'static str;
    /// What the platform asks of an app besides its ID and its secret; `None` if it needs no app.
    fn app_fields(&self) -> Option<&'static [Entry]> {
        Some(&[])
    }
    /// What the seller enters before leaving for the consent page.
    fn asked(&self) -> &'static [Entry] {
        &[]
    }
    /// The parameters that the shop's server sends apart from the visitor, who comes back later: its keys. Empty where it sends none.
    fn keys_sent_apart(&self) -> &'static [&'static str] {
        &[]
    }
    /// What the seller has entered in its usual form, or what is wrong with it. `given` has values for the required fields of [`Self::asked`].
    ///
    /// # Errors
    /// All the bad fields, each named by its pointer.
    fn check(&self, given: Asked) -> Result<Asked, Vec<FieldError>> {
        Ok(given)
    }
    /// The address of the consent page.
    ///
    /// # Errors
    /// What the app lacks.
    fn page(&self, leaving: &Leaving<'_>, stamp: &Stamp) -> Result<String, String>;
    /// The state that a visitor brings back.
    fn state<'a>(&self, parameters: &'a Parameters) -> Option<&'a str> {
        parameter(parameters, "state")
    }
    /// The store that a visit makes, whose `auth_code`, if it has one, is still to be exchanged. `keys` are what the platform
    /// has sent apart from the visitor.
    ///
    /// # Errors
    /// See [`NotGranted`].
    fn returned(
        &self,
        leaving: &Leaving<'_>,
        parameters: &Parameters,
        keys: Option<&BTreeMap<String, SecretString>>,
    ) -> Result<Granted, NotGranted>;
    /// The request that asks about the shop, with the store's new tokens; `None` where there is none.
    fn profile_request(&self, _store: &StoreConnection, _stamp: &Stamp) -> Option<Result<Request, String>> {
        None
    }
    /// Reads the reply to [`Self::profile_request`].
    ///
    /// # Errors
    /// Why the store cannot be used without what the reply should say.
    fn profile(&self, _store: &StoreConnection, _reply: &Reply) -> Result<Profile, String> {
        Ok(Profile::default())
    }
    /// The name of the store if the platform tells none.
    fn fallback_name(&self, store: &StoreConnection) -> String;
}

/// The code with which a visitor comes back from this platform.
///
/// # Errors
/// If the shop's owner has refused, or there is no code.
pub(super) fn code<'a>(parameters: &'a Parameters, platform: &str) -> Result<&'a str, NotGranted> {
    match parameter(parameters, "error") {
        Some(_) => Err(NotGranted::Declined),
        None => parameter(parameters, "code").ok_or_else(|| NotGranted::without(platform, "a code")),
    }
}

/// `address` with these parameters.
pub(super) fn with_query(address: &str, parameters: &[(&str, &str)]) -> String {
    let query: Vec<String> = parameters.iter().map(|(name, value)| format!("{name}={}", percent(value))).collect();
    format!("{address}{}{}", if address.contains('?') { '&' } else { '?' }, query.join("&"))
}

/// Compares two texts in a time that does not tell where they differ.
pub(super) fn equal_in_constant_time(a: &str, b: &str) -> bool {
    a.as_bytes().ct_eq(b.as_bytes()).into()
}

/// Settings as JSON texts.
pub(super) fn texts(settings: &[(&str, &str)]) -> Map<String, Value> {
    settings.iter().map(|(name, value)| ((*name).to_owned(), Value::from(*value))).collect()
}

/// Credentials from the app and from what came back.
pub(super) fn secrets<const N: usize>(secrets: [(&str, SecretString); N]) -> BTreeMap<String, SecretString> {
    secrets.into_iter().map(|(name, secret)| (name.to_owned(), secret)).collect()
}
