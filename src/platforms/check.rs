//! The building blocks of the connectors' `check_config`. Every bad or missing field is named by its pointer.
use super::call::StoreConnection;
use super::connector::RateLimit;
use super::fields::{CALLS_PER_DAY, FEWEST_CALLS, number, rate_limit};
use super::sign::{EXPIRES_AT, REFRESH_ENDS_AT};
use crate::domain::FieldError;
use crate::domain::ids::check_text;
use chrono::{DateTime, Utc};
use secrecy::ExposeSecret;
use serde_json::Value;

/// The longest text setting or password, in characters.
const MAX_TEXT: usize = 256;

const REQUIRED: &str = "is required for stores on this platform";

/// Whether a field is mandatory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// The field must be present.
    Required,
    /// The field may be absent.
    Optional,
}

impl Need {
    /// Optional if the store has an alternative to the field.
    pub fn unless(has_alternative: bool) -> Self {
        if has_alternative { Self::Optional } else { Self::Required }
    }
}

/// The need for a field that is mandatory only for stores with this credential.
pub fn required_with(store: &StoreConnection, credential: &str) -> Need {
    if store.credentials.contains_key(credential) { Need::Required } else { Need::Optional }
}

/// Checks that paths can be appended to an address, and that it is safe to show to anyone who may see the store.
///
/// # Errors
/// What is wrong with the address.
pub fn check_base_url(text: &str) -> Result<(), &'static str> {
    let url = reqwest::Url::parse(text)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host() && url.query().is_none() && url.fragment().is_none());
    match url {
        None => Err("must be an http or https address without a query, such as https://shop.example.com"),
        Some(url) if !url.username().is_empty() || url.password().is_some() => {
            Err("must not contain a username or password, because it is shown; put secrets in credentials")
        }
        Some(_) => Ok(()),
    }
}

/// Checks a store's settings and credentials one by one. Whatever a connector has not asked for by the time of
/// [`Self::done`] is reported as unknown.
#[derive(Debug)]
pub struct Check<'a> {
    store: &'a StoreConnection,
    settings: Vec<&'static str>,
    secrets: Vec<&'static str>,
    errors: Vec<FieldError>,
}

impl<'a> Check<'a> {
    /// Starts with the store's `base_url`.
    pub fn new(store: &'a StoreConnection, base_url: Need) -> Self {
        let mut check = Self { store, settings: Vec::new(), secrets: Vec::new(), errors: Vec::new() };
        match store.base_url.as_deref().map(check_base_url) {
            None if base_url == Need::Required => check.bad("/base_url", "is required: the address of the store's server"),
            Some(Err(detail)) => check.bad("/base_url", detail),
            None | Some(Ok(())) => {}
        }
        check
    }

    /// Refuses an address that ends in one of these paths, which lead to the platform's own pages: the connector appends
    /// its own paths to the address.
    #[must_use]
    pub fn without_path(mut self, paths: &[&str]) -> Self {
        let url = self.store.base_url.as_deref().and_then(|text| reqwest::Url::parse(text).ok());
        let found = url.and_then(|url| paths.iter().find(|path| url.path().trim_end_matches('/').ends_with(**path)).copied());
        if let Some(path) = found {
            self.bad("/base_url", format!("must be the address of the shop's server, without {path} at the end"));
        }
        self
    }

    fn bad(&mut self, pointer: impl Into<String>, detail: impl Into<String>) {
        self.errors.push(FieldError::new(pointer, detail));
    }

    /// The setting, if present. Reports it as missing if it is required.
    fn setting(&mut self, name: &'static str, need: Need) -> Option<&'a Value> {
        self.settings.push(name);
        let value = self.store.config.get(name);
        if value.is_none() && need == Need::Required {
            self.bad(format!("/{name}"), REQUIRED);
        }
        value
    }

    /// A whole number, written as a number or as text.
    #[must_use]
    pub fn number(mut self, name: &'static str, need: Need) -> Self {
        if self.setting(name, need).is_some() && number(self.store, name).is_none() {
            self.bad(format!("/{name}"), "must be a whole number");
        }
        self
    }

    /// The setting `max_items`: the number of items in one call, from 1 to `most`.
    #[must_use]
    pub fn max_items(mut self, most: u64) -> Self {
        let name = "max_items";
        if self.setting(name, Need::Optional).is_some() && number(self.store, name).is_none_or(|given| !(1..=most).contains(&given)) {
            self.bad(format!("/{name}"), format!("must be a whole number from 1 to {most}"));
        }
        self
    }

    /// The optional setting that says how many calls the app has in a day.
    #[must_use]
    pub fn calls_per_day(mut self) -> Self {
        let bounds = u64::from(FEWEST_CALLS)..=u64::from(u32::MAX);
        let name = CALLS_PER_DAY;
        if self.setting(name, Need::Optional).is_some() && number(self.store, name).is_none_or(|given| !bounds.contains(&given)) {
            self.bad(format!("/{name}"), format!("must be a whole number from {} to {}", bounds.start(), bounds.end()));
        }
        self
    }

    /// An optional setting that is true or false.
    #[must_use]
    pub fn flag(mut self, name: &'static str) -> Self {
        if self.setting(name, Need::Optional).is_some_and(|value| !value.is_boolean()) {
            self.bad(format!("/{name}"), "must be true or false");
        }
        self
    }

    /// A setting that is any text.
    #[must_use]
    pub fn text(self, name: &'static str, need: Need) -> Self {
        self.text_that(name, need, |_| Ok(()))
    }

    /// A text setting with a check of the connector's own; its error completes the sentence "The field …".
    #[must_use]
    pub fn text_that(mut self, name: &'static str, need: Need, fits: impl Fn(&str) -> Result<(), String>) -> Self {
        let checked = match self.setting(name, need) {
            None => Ok(()),
            Some(Value::String(text)) => check_text(text, "it", MAX_TEXT).and_then(|()| fits(text)),
            Some(_) => Err("must be text".to_owned()),
        };
        if let Err(detail) = checked {
            self.bad(format!("/{name}"), detail);
        }
        self
    }

    /// A setting that becomes part of a host name or path: letters, digits, `-` and `_`.
    #[must_use]
    pub fn label(self, name: &'static str, need: Need) -> Self {
        let fits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
        self.text_that(name, need, |text| fits(text).then_some(()).ok_or_else(|| "may contain only letters, digits, - and _".to_owned()))
    }

    /// A setting with a fixed set of values.
    #[must_use]
    pub fn word(self, name: &'static str, need: Need, words: &[&str]) -> Self {
        self.text_that(name, need, |text| {
            words.contains(&text).then_some(()).ok_or_else(|| format!("must be one of: {}", words.join(", ")))
        })
    }

    /// A setting that the connector reads and checks itself.
    #[must_use]
    pub fn read<T>(mut self, name: &'static str, read: Result<T, FieldError>) -> Self {
        self.settings.push(name);
        self.errors.extend(read.err());
        self
    }

    /// The setting `rate_limit`.
    #[must_use]
    pub fn rate_limit(self) -> Self {
        let default = RateLimit { per_second: 1.0, burst: 1 };
        let read = rate_limit(self.store, default);
        self.read("rate_limit", read)
    }

    /// A secret that may be sent in a header.
    #[must_use]
    pub fn secret(self, name: &'static str, need: Need) -> Self {
        self.secret_that(name, need, |text| {
            let fits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
            fits.then_some(()).ok_or_else(|| "must consist of visible ASCII characters".to_owned())
        })
    }

    /// A secret that a person chose. It is sent only in bodies, so any characters will do.
    #[must_use]
    pub fn password(self, name: &'static str, need: Need) -> Self {
        self.secret_that(name, need, |text| check_text(text, "it", MAX_TEXT))
    }

    fn secret_that(mut self, name: &'static str, need: Need, fits: impl Fn(&str) -> Result<(), String>) -> Self {
        self.secrets.push(name);
        let checked = match self.store.credentials.get(name).map(ExposeSecret::expose_secret) {
            None if need == Need::Optional => Ok(()),
            None => Err(REQUIRED.to_owned()),
            Some(text) => fits(text),
        };
        if let Err(detail) = checked {
            self.bad(format!("/credentials/{name}"), detail);
        }
        self
    }

    /// The access token of a store, and the time when it expires.
    #[must_use]
    pub fn access_token(mut self, need: Need) -> Self {
        self = self.secret("access_token", need);
        self.token_expiry()
    }

    fn token_expiry(self) -> Self {
        let is_time =
            |text: &str| text.parse::<DateTime<Utc>>().map(drop).map_err(|_| "must be a time, such as 2026-11-30T12:00:00Z".to_owned());
        self.secret_that(EXPIRES_AT, Need::Optional, is_time).secret_that(REFRESH_ENDS_AT, Need::Optional, is_time)
    }

    /// The tokens of a store whose access token expires: at least one of `names`. One of them is `auth_code`, the code
    /// that the platform issued when the seller authorized the app and that is exchanged for the first tokens.
    #[must_use]
    pub fn tokens(mut self, names: &[&'static str]) -> Self {
        for name in names {
            self = self.secret(name, Need::Optional);
        }
        if !names.iter().any(|name| self.has_secret(name)) {
            let first = names.first().copied().unwrap_or_default();
            self.bad(format!("/credentials/{first}"), format!("is required: enter at least one of {}", names.join(", ")));
        }
        self.token_expiry()
    }

    fn has_secret(&self, secret: &str) -> bool {
        self.store.credentials.contains_key(secret)
    }

    /// Secrets that only make sense together: all of them or none.
    #[must_use]
    pub fn together(mut self, names: &[&'static str]) -> Self {
        for name in names {
            self = self.secret(name, Need::Optional);
        }
        self.all_or_none(names)
    }

    fn all_or_none(mut self, names: &[&'static str]) -> Self {
        let missing: Vec<&&str> = names.iter().filter(|name| !self.has_secret(name)).collect();
        if missing.len() < names.len() {
            for name in missing {
                self.bad(format!("/credentials/{name}"), format!("is required: enter all of {}, or none", names.join(", ")));
            }
        }
        self
    }

    /// Either a key that does not expire, or a login (a name and a password) that yields a token that may.
    #[must_use]
    pub fn key_or_login(mut self, key: &'static str, login: [&'static str; 2]) -> Self {
        if !self.has_secret(key) && !login.iter().any(|name| self.has_secret(name)) {
            self.bad(format!("/credentials/{key}"), format!("{REQUIRED}; or enter {} instead", login.join(" and ")));
        }
        for name in login {
            self = self.password(name, Need::Optional);
        }
        self.secret(key, Need::Optional).all_or_none(&login).access_token(Need::Optional)
    }

    /// Ends the check.
    ///
    /// # Errors
    /// All the bad fields.
    pub fn done(mut self) -> Result<(), Vec<FieldError>> {
        let settings = self.store.config.keys().filter(|name| !self.settings.contains(&name.as_str()));
        let unknown_settings = settings.map(|name| FieldError::named("", "member", name, "is not a setting of this platform"));
        let secrets = self.store.credentials.keys().filter(|name| !self.secrets.contains(&name.as_str()));
        let detail = format!("is not a credential of this platform; those are {}", self.secrets.join(", "));
        let unknown_secrets = secrets.map(|name| FieldError::named("/credentials", "member", name, detail.clone()));
        self.errors.extend(unknown_settings.chain(unknown_secrets).collect::<Vec<_>>());
        if self.errors.is_empty() { Ok(()) } else { Err(self.errors) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{test_pointers, test_store};
    use super::*;
    use serde_json::json;

    #[test]
    fn either_a_key_or_a_complete_login_is_needed_and_a_password_may_be_any_text() {
        let wrong = |credentials: &[(&str, &str)]| {
            let store = test_store("x", json!({}), credentials);
            test_pointers(Check::new(&store, Need::Optional).key_or_login("api_key", ["email", "password"]).done())
        };
        assert_eq!(wrong(&[]), ["/credentials/api_key"]);
        assert_eq!(wrong(&[("email", "a@b.example")]), ["/credentials/password"]);
        assert_eq!(wrong(&[("email", "a@b.example"), ("password", "grüne Wiese!")]), [""; 0]);
        assert_eq!(wrong(&[("api_key", "k"), ("access_token", "t")]), [""; 0]);
        assert_eq!(wrong(&[("api_key", "a b"), ("email", ""), ("password", "a\nb")]).len(), 3);
    }

    #[test]
    fn every_bad_field_is_named_by_its_pointer() {
        let store = StoreConnection {
            base_url: Some("ftp://x".into()),
            ..test_store("x", json!({"colour": "red", "region": 3, "max_items": 0}), &[("token", "a b"), ("id", "1"), (EXPIRES_AT, "soon")])
        };
        let check = Check::new(&store, Need::Required).text("region", Need::Optional).text("shop", Need::Required).max_items(5);
        let check =
            check.secret("token", Need::Required).secret("key", Need::Required).together(&["id", "secret"]).access_token(Need::Optional);
        assert_eq!(
            test_pointers(check.done()),
            [
                "/base_url",
                "/colour",
                "/credentials/access_token_expires_at",
                "/credentials/key",
                "/credentials/secret",
                "/credentials/token",
                "/max_items",
                "/region",
                "/shop"
            ]
        );
    }

    #[test]
    fn an_address_may_not_contain_a_secret_because_it_is_shown() {
        for url in ["https://user:word@shop.example.com", "https://token@shop.example.com", "https://:word@shop.example.com"] {
            assert!(check_base_url(url).is_err_and(|detail| detail.contains("password")), "{url}");
        }
        for url in ["shop.example.com", "ftp://shop.example.com", "https://shop.example.com?a=b", "https://shop.example.com#a", "https://"]
        {
            assert!(check_base_url(url).is_err(), "{url}");
        }
        assert_eq!(check_base_url("https://shop.example.com/sub/"), Ok(()));
    }
}
