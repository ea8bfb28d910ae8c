//! The settings of the operator's mail server.
use crate::mail::smtp::parse_sender;
use crate::mail::{Encryption, Settings};
use secrecy::SecretString;
use std::net::SocketAddr;

/// The settings as they are given.
#[derive(Debug, Clone, Default)]
pub(super) struct Given<'a> {
    pub host: Option<&'a str>,
    /// 0: the usual one.
    pub port: u64,
    pub per_minute: usize,
    pub encryption: &'a str,
    pub user: Option<&'a str>,
    pub password: Option<&'a str>,
    pub sender: Option<&'a str>,
    pub public_url: Option<&'a str>,
}

impl Given<'_> {
    /// The mail server; `None` if there is none.
    ///
    /// # Errors
    /// The setting and what is wrong with it.
    pub fn settings(self) -> Result<Option<Settings>, (&'static str, String)> {
        let wrong = |name, detail: &str| Err((name, detail.to_owned()));
        let Some(encryption) = Encryption::ALL.into_iter().find(|encryption| encryption.as_str() == self.encryption) else {
            return wrong("smtp_encryption", &format!("must be one of {}", Encryption::ALL.map(Encryption::as_str).join(", ")));
        };
        let Some(host) = self.host else {
            let beside = [("smtp_user", self.user), ("smtp_password", self.password), ("smtp_sender", self.sender)];
            return match beside.into_iter().find(|(_, value)| value.is_some()) {
                Some((name, _)) => wrong(name, "is given without smtp_host"),
                None => Ok(None),
            };
        };
        if !host.chars().all(|c| c.is_ascii_alphanumeric() || ".-:".contains(c)) || host.parse::<SocketAddr>().is_ok() {
            return wrong("smtp_host", "must be the name or the address of a mail server, without its port");
        }
        let user = match (self.user, self.password) {
            (None, None) => None,
            (Some(user), Some(password)) => Some((user.to_owned(), SecretString::from(password))),
            (Some(_), None) => return wrong("smtp_password", "is required with smtp_user"),
            (None, Some(_)) => return wrong("smtp_user", "is required with smtp_password"),
        };
        if user.is_some() && encryption == Encryption::None {
            return wrong("smtp_encryption", "must be tls or starttls with smtp_user, or the password would be sent in plain text");
        }
        let Some(sender) = self.sender else { return wrong("smtp_sender", "is required with smtp_host") };
        if let Err(why) = parse_sender(sender) {
            return wrong("smtp_sender", why);
        }
        let Some(public_url) = self.public_url else { return wrong("public_url", "is required with smtp_host, because mails have links") };
        let port = u16::try_from(self.port).ok().filter(|port| *port > 0).unwrap_or_else(|| encryption.port());
        let (host, sender, public_url) = (host.to_owned(), sender.to_owned(), public_url.to_owned());
        Ok(Some(Settings { host, port, encryption, user, sender, public_url, per_minute: self.per_minute }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;

    const GOOD: Given<'static> = Given {
        host: Some("mail.example.com"),
        port: 0,
        per_minute: 300,
        encryption: "starttls",
        user: None,
        password: None,
        sender: Some("stock@example.com"),
        public_url: Some("https://stock.example.com"),
    };

    #[test]
    fn mail_is_off_without_a_server_and_what_is_wrong_with_one_is_named() {
        assert!(Given { host: None, sender: None, public_url: None, ..GOOD }.settings().unwrap().is_none());
        let settings = Given { user: Some("ada"), password: Some("word"), ..GOOD }.settings().unwrap().unwrap();
        assert_eq!((settings.port, settings.encryption), (587, Encryption::StartTls));
        assert_eq!(settings.user.as_ref().map(|(_, password)| password.expose_secret()), Some("word"));
        assert!(!format!("{settings:?}").contains("word\""), "{settings:?}");
        for (given, name) in [
            (Given { host: None, ..GOOD }, "smtp_sender"),
            (Given { host: Some("mail.example.com/x"), ..GOOD }, "smtp_host"),
            (Given { host: Some("192.0.2.1:25"), ..GOOD }, "smtp_host"),
            (Given { encryption: "ssl", ..GOOD }, "smtp_encryption"),
            (Given { sender: None, ..GOOD }, "smtp_sender"),
            (Given { sender: Some("nobody"), ..GOOD }, "smtp_sender"),
            (Given { user: Some("ada"), ..GOOD }, "smtp_password"),
            (Given { password: Some("x"), ..GOOD }, "smtp_user"),
            (Given { user: Some("ada"), password: Some("x"), encryption: "none", ..GOOD }, "smtp_encryption"),
            (Given { public_url: None, ..GOOD }, "public_url"),
        ] {
            assert_eq!(given.clone().settings().err().map(|(name, _)| name), Some(name), "{given:?}");
        }
    }
}
