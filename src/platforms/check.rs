//! What the connectors' `check_config` is made of: every bad or missing field is named by its pointer.
use super::call::StoreConnection;
use super::sign::EXPIRES_AT;
use crate::domain::FieldError;
use crate::domain::ids::check_text;
use chrono::{DateTime, Utc};
use secrecy::ExposeSecret;

/// Characters of a setting at most.
const MAX_TEXT: usize = 256;
/// Credentials that people think of. They go in bodies, never in headers, so they may have any characters.
const THOUGHT_OF: [&str; 3] = ["username", "email", "password"];

/// What is found while a store's fields are looked at.
#[derive(Debug)]
pub(super) struct Checks<'a> {
    store: &'a StoreConnection,
    errors: Vec<FieldError>,
}

impl<'a> Checks<'a> {
    pub(super) fn of(store: &'a StoreConnection) -> Self {
        Self { store, errors: Vec::new() }
    }

    pub(super) fn note(&mut self, pointer: &str, detail: impl Into<String>) {
        self.errors.push(FieldError::new(pointer, detail));
    }

    /// `base_url`, where there is one, is an address that paths can be put behind.
    pub(super) fn base_url(&mut self) {
        let Some(text) = self.store.base_url.as_deref() else { return };
        let good = reqwest::Url::parse(text).is_ok_and(|url| {
            matches!(url.scheme(), "http" | "https") && url.has_host() && url.query().is_none() && url.fragment().is_none()
        });
        if !good {
            self.note("/base_url", "must be an http or https address without query, such as https://shop.example.com");
        }
    }

    /// The connector has these settings and no others.
    pub(super) fn only_settings(&mut self, known: &[&str]) {
        for name in self.store.config.keys().filter(|name| !known.contains(&name.as_str())) {
            self.errors.push(FieldError::new(format!("/{name}"), "is not a setting of a store of this platform"));
        }
    }

    /// A setting that is short text, where there is one.
    pub(super) fn text(&mut self, name: &str) -> Option<&'a str> {
        let text = match self.store.config.get(name)? {
            serde_json::Value::String(text) => check_text(text, "it", MAX_TEXT).map(|()| text.as_str()),
            _ => Err("must be text".to_owned()),
        };
        text.map_err(|detail| self.note(&format!("/{name}"), detail)).ok()
    }

    /// A setting that must be there, as short text.
    pub(super) fn needed_text(&mut self, name: &str) -> Option<&'a str> {
        if !self.store.config.contains_key(name) {
            self.note(&format!("/{name}"), "is needed for a store of this platform");
        }
        self.text(name)
    }

    /// A setting that is a whole number within bounds, where there is one.
    pub(super) fn number(&mut self, name: &str, from: u64, to: u64) {
        let value = self.store.config.get(name);
        if value.is_some_and(|value| !value.as_u64().is_some_and(|number| (from..=to).contains(&number))) {
            self.note(&format!("/{name}"), format!("must be a whole number from {from} to {to}"));
        }
    }

    /// The connector needs these secrets, may have those, and knows no others.
    pub(super) fn credentials(&mut self, needed: &[&str], optional: &[&str]) {
        for name in needed.iter().filter(|name| !self.store.credentials.contains_key(**name)) {
            self.note(&format!("/credentials/{name}"), "is needed for a store of this platform");
        }
        for (name, value) in &self.store.credentials {
            let (pointer, value) = (format!("/credentials/{name}"), value.expose_secret());
            if !needed.contains(&name.as_str()) && !optional.contains(&name.as_str()) {
                self.note(&pointer, "is not a credential of this platform");
            } else if THOUGHT_OF.contains(&name.as_str()) {
                check_text(value, "it", MAX_TEXT).unwrap_or_else(|detail| self.note(&pointer, detail));
            } else if value.is_empty() || !value.bytes().all(|byte| byte.is_ascii_graphic()) {
                self.note(&pointer, "must be visible ASCII characters");
            } else if name == EXPIRES_AT && value.parse::<DateTime<Utc>>().is_err() {
                self.note(&pointer, "must be an instant such as 2026-11-24T12:00:00Z");
            }
        }
    }

    /// Secrets that only make sense together: all of them, or none.
    pub(super) fn together(&mut self, names: &[&str]) {
        let there = |name: &&&str| self.store.credentials.contains_key(**name);
        if names.iter().any(|name| there(&name)) {
            let missing: Vec<&&str> = names.iter().filter(|name| !there(name)).collect();
            for name in missing {
                self.errors.push(FieldError::new(format!("/credentials/{name}"), format!("is needed beside {}", names.join(", "))));
            }
        }
    }

    /// The store has a key that does not end, or what it logs in with to be given a token that may.
    pub(super) fn key_or_login(&mut self, key: &'static str, login: &[&str; 2]) {
        let there = |name: &str| self.store.credentials.contains_key(name);
        if !there(key) && !login.iter().any(|name| there(name)) {
            self.note(
                &format!("/credentials/{key}"),
                format!("is needed for a store of this platform, or {} instead", login.join(" and ")),
            );
        }
        self.together(login);
        let [name, password] = *login;
        self.credentials(&[], &[key, name, password, "access_token", EXPIRES_AT]);
    }

    pub(super) fn done(self) -> Result<(), Vec<FieldError>> {
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
            let mut checks = Checks::of(&store);
            checks.key_or_login("api_key", &["email", "password"]);
            test_pointers(checks.done())
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
            ..test_store("x", json!({"colour": "red", "region": 3, "rows": 0}), &[("token", "a b"), ("id", "1"), (EXPIRES_AT, "soon")])
        };
        let mut checks = Checks::of(&store);
        checks.base_url();
        checks.only_settings(&["region", "rows", "shop"]);
        checks.text("region");
        checks.needed_text("shop");
        checks.number("rows", 1, 5);
        checks.credentials(&["token", "key"], &["id", EXPIRES_AT]);
        checks.together(&["id", "secret"]);
        assert_eq!(
            test_pointers(checks.done()),
            [
                "/base_url",
                "/colour",
                "/credentials/access_token_expires_at",
                "/credentials/key",
                "/credentials/secret",
                "/credentials/token",
                "/region",
                "/rows",
                "/shop"
            ]
        );
    }
}
