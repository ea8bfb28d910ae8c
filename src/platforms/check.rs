//! What the connectors' `check_config` is made of: every bad or missing field is named by its pointer.
use super::RateLimit;
use super::call::StoreConnection;
use super::fields::{number, rate_limit};
use super::sign::EXPIRES_AT;
use crate::domain::FieldError;
use crate::domain::ids::check_text;
use crate::domain::problem::pointer_to;
use chrono::{DateTime, Utc};
use secrecy::ExposeSecret;
use serde_json::Value;

/// Characters of a setting at most.
const MAX_TEXT: usize = 256;

/// Whether a store needs a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// It must be there.
    Needed,
    /// It may be left out.
    Optional,
}

impl Need {
    /// Needed unless `there` is something that does instead.
    pub fn unless(there: bool) -> Self {
        if there { Self::Optional } else { Self::Needed }
    }
}

/// What a store with this credential, or without it, needs of another field.
pub fn needed_with(store: &StoreConnection, credential: &str) -> Need {
    if store.credentials.contains_key(credential) { Need::Needed } else { Need::Optional }
}

/// An address that paths can be put behind, and that may be shown to anybody who may see the store.
///
/// # Errors
/// What is wrong with it.
pub fn check_base_url(text: &str) -> Result<(), &'static str> {
    let url = reqwest::Url::parse(text)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host() && url.query().is_none() && url.fragment().is_none());
    match url {
        None => Err("must be an http or https address without query, such as https://shop.example.com"),
        Some(url) if !url.username().is_empty() || url.password().is_some() => {
            Err("must not hold a user or a password, as it is shown; secrets belong into credentials")
        }
        Some(_) => Ok(()),
    }
}

/// A check of all that a store was given. What was not asked for by the end is not a field of this platform.
#[derive(Debug)]
pub struct Check<'a> {
    store: &'a StoreConnection,
    settings: Vec<&'static str>,
    secrets: Vec<&'static str>,
    errors: Vec<FieldError>,
}

impl<'a> Check<'a> {
    /// Of `store`, whose `base_url` may be left out unless it is `needed`.
    pub fn new(store: &'a StoreConnection, base_url: Need) -> Self {
        let mut check = Self { store, settings: Vec::new(), secrets: Vec::new(), errors: Vec::new() };
        match store.base_url.as_deref().map(check_base_url) {
            None if base_url == Need::Needed => check.bad("/base_url", "is needed for a store of this platform: where its server is"),
            Some(Err(detail)) => check.bad("/base_url", detail),
            None | Some(Ok(())) => {}
        }
        check
    }

    fn bad(&mut self, pointer: impl Into<String>, detail: impl Into<String>) {
        self.errors.push(FieldError::new(pointer, detail));
    }

    /// The setting, where it is there; that it is missing is noted where it is needed.
    fn setting(&mut self, name: &'static str, need: Need) -> Option<&'a Value> {
        self.settings.push(name);
        let value = self.store.config.get(name);
        if value.is_none() && need == Need::Needed {
            self.bad(format!("/{name}"), "is needed for a store of this platform");
        }
        value
    }

    /// A setting that is a whole number, as a number or as text.
    #[must_use]
    pub fn number(mut self, name: &'static str, need: Need) -> Self {
        if self.setting(name, need).is_some() && number(self.store, name).is_none() {
            self.bad(format!("/{name}"), "must be a whole number");
        }
        self
    }

    /// The setting `max_items`: items in one call, `most` at most.
    #[must_use]
    pub fn max_items(mut self, most: u64) -> Self {
        let name = "max_items";
        if self.setting(name, Need::Optional).is_some() && number(self.store, name).is_none_or(|given| !(1..=most).contains(&given)) {
            self.bad(format!("/{name}"), format!("must be a whole number from 1 to {most}"));
        }
        self
    }

    /// A setting that is true or false.
    #[must_use]
    pub fn flag(mut self, name: &'static str) -> Self {
        if self.setting(name, Need::Optional).is_some_and(|value| !value.is_boolean()) {
            self.bad(format!("/{name}"), "must be true or false");
        }
        self
    }

    /// A setting that is text.
    #[must_use]
    pub fn text(self, name: &'static str, need: Need) -> Self {
        self.text_that(name, need, |_| Ok(()))
    }

    /// A setting that is text, and about which the connector has something to say itself.
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

    /// A setting that stands in an address, between dots or slashes: letters, digits, `-` and `_`.
    #[must_use]
    pub fn label(self, name: &'static str, need: Need) -> Self {
        let fits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
        self.text_that(name, need, |text| fits(text).then_some(()).ok_or_else(|| "must be letters, digits, - and _ alone".to_owned()))
    }

    /// A setting that is one of these words.
    #[must_use]
    pub fn word(self, name: &'static str, need: Need, words: &[&str]) -> Self {
        self.text_that(name, need, |text| {
            words.contains(&text).then_some(()).ok_or_else(|| format!("must be one of: {}", words.join(", ")))
        })
    }

    /// A setting that the connector has read itself.
    #[must_use]
    pub fn read<T>(mut self, name: &'static str, read: Result<T, FieldError>) -> Self {
        self.settings.push(name);
        self.errors.extend(read.err());
        self
    }

    /// The setting `rate_limit`.
    #[must_use]
    pub fn rate_limit(self) -> Self {
        let usual = RateLimit { per_second: 1.0, burst: 1 };
        let read = rate_limit(self.store, usual);
        self.read("rate_limit", read)
    }

    /// A secret, which may go into a header.
    #[must_use]
    pub fn secret(self, name: &'static str, need: Need) -> Self {
        self.secret_that(name, need, |text| {
            let fits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
            fits.then_some(()).ok_or_else(|| "must be visible ASCII characters".to_owned())
        })
    }

    /// A secret that people think of: it goes into bodies alone, and may have any characters.
    #[must_use]
    pub fn password(self, name: &'static str, need: Need) -> Self {
        self.secret_that(name, need, |text| check_text(text, "it", MAX_TEXT))
    }

    fn secret_that(mut self, name: &'static str, need: Need, fits: impl Fn(&str) -> Result<(), String>) -> Self {
        self.secrets.push(name);
        let checked = match self.store.credentials.get(name).map(ExposeSecret::expose_secret) {
            None if need == Need::Optional => Ok(()),
            None => Err("is needed for a store of this platform".to_owned()),
            Some(text) => fits(text),
        };
        if let Err(detail) = checked {
            self.bad(format!("/credentials/{name}"), detail);
        }
        self
    }

    /// The access token of a store that is given one and may be given another, and when it ends.
    #[must_use]
    pub fn access_token(mut self, need: Need) -> Self {
        self = self.secret("access_token", need);
        self.ends_at()
    }

    fn ends_at(self) -> Self {
        self.secret_that(EXPIRES_AT, Need::Optional, |text| {
            text.parse::<DateTime<Utc>>().map(drop).map_err(|_| "must be an instant, such as 2026-11-30T12:00:00Z".to_owned())
        })
    }

    /// The tokens of a store whose access token ends: at least one of `names`, among them `auth_code` (the code that the
    /// platform gave when the seller allowed the app, to be exchanged for the first tokens).
    #[must_use]
    pub fn tokens(mut self, names: &[&'static str]) -> Self {
        for name in names {
            self = self.secret(name, Need::Optional);
        }
        if !names.iter().any(|name| self.has(name)) {
            let first = names.first().copied().unwrap_or_default();
            self.bad(format!("/credentials/{first}"), format!("is needed; one of {} will do", names.join(", ")));
        }
        self.ends_at()
    }

    fn has(&self, secret: &str) -> bool {
        self.store.credentials.contains_key(secret)
    }

    /// Secrets that only make sense together: all of them, or none. Each is checked as well.
    #[must_use]
    pub fn together(mut self, names: &[&'static str]) -> Self {
        for name in names {
            self = self.secret(name, Need::Optional);
        }
        self.none_alone(names)
    }

    fn none_alone(mut self, names: &[&'static str]) -> Self {
        let missing: Vec<&&str> = names.iter().filter(|name| !self.has(name)).collect();
        if missing.len() < names.len() {
            for name in missing {
                self.bad(format!("/credentials/{name}"), format!("is needed beside {}", names.join(", ")));
            }
        }
        self
    }

    /// A key that does not end, or a name and a password to log in with, which give a token that may.
    #[must_use]
    pub fn key_or_login(mut self, key: &'static str, login: [&'static str; 2]) -> Self {
        if !self.has(key) && !login.iter().any(|name| self.has(name)) {
            self.bad(format!("/credentials/{key}"), format!("is needed for a store of this platform, or {} instead", login.join(" and ")));
        }
        for name in login {
            self = self.password(name, Need::Optional);
        }
        self.secret(key, Need::Optional).none_alone(&login).access_token(Need::Optional)
    }

    /// All that is wrong.
    ///
    /// # Errors
    /// The bad fields.
    pub fn done(mut self) -> Result<(), Vec<FieldError>> {
        let settings = self.store.config.keys().filter(|name| !self.settings.contains(&name.as_str()));
        let strange = settings.map(|name| FieldError::new(pointer_to(name), "is not a setting of a store of this platform"));
        let secrets = self.store.credentials.keys().filter(|name| !self.secrets.contains(&name.as_str()));
        let known = self.secrets.join(", ");
        let unknown = secrets.map(|name| {
            FieldError::new(
                pointer_to(name).replacen('/', "/credentials/", 1),
                format!("is not a credential of this platform; it has {known}"),
            )
        });
        self.errors.extend(strange.chain(unknown).collect::<Vec<_>>());
        if self.errors.is_empty() { Ok(()) } else { Err(self.errors) }
    }
}

/// A store with these settings and secrets, for connectors' tests.
#[cfg(test)]
pub(super) fn test_store(platform: &str, config: serde_json::Value, credentials: &[(&str, &str)]) -> StoreConnection {
    StoreConnection {
        store_id: crate::domain::StoreId(uuid::Uuid::nil()),
        platform: platform.to_owned(),
        base_url: None,
        config: config.as_object().cloned().unwrap_or_default(),
        credentials: credentials.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect(),
    }
}

/// The pointers of what is wrong with a store, in order, for connectors' tests.
#[cfg(test)]
pub(super) fn test_pointers(checked: Result<(), Vec<FieldError>>) -> Vec<String> {
    let mut pointers: Vec<String> = checked.err().into_iter().flatten().map(|error| error.pointer).collect();
    pointers.sort();
    pointers
}

/// A reply with these headers, for connectors' tests.
#[cfg(test)]
pub(super) fn test_reply(status: u16, headers: &[(&str, &str)], body: &str) -> super::call::Reply {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    super::call::Reply { status, headers, body: body.to_owned() }
}

/// An instant and a nonce, for connectors' tests.
#[cfg(test)]
pub(super) fn test_stamp(now: &str) -> super::Stamp {
    super::Stamp { now: now.parse().unwrap_or_default(), nonce: "b7f2a1c4d5e60718293a4b5c6d7e8f90".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_key_or_a_whole_login_is_needed_and_passwords_may_be_any_text() {
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
        let check = Check::new(&store, Need::Needed).text("region", Need::Optional).text("shop", Need::Needed).max_items(5);
        let check =
            check.secret("token", Need::Needed).secret("key", Need::Needed).together(&["id", "secret"]).access_token(Need::Optional);
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
    fn an_address_holds_no_secret_since_it_is_shown() {
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
