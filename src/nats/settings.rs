//! Settings of the intake, checked before anything starts.
use super::subject::Subjects;
use async_nats::{ConnectOptions, ServerAddr};
use secrecy::{ExposeSecret, SecretString};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The longest name of a stream or a consumer that NATS recommends to allow.
const MAX_NAME: usize = 32;

/// The settings as they are given.
#[derive(Debug)]
pub struct Given<'a> {
    /// Addresses, separated by commas; empty if there is no NATS.
    pub url: &'a str,
    /// A user, who has a password.
    pub user: &'a str,
    /// The user's password.
    pub password: Option<SecretString>,
    /// A token.
    pub token: Option<SecretString>,
    /// The content of a credentials file.
    pub credentials: Option<SecretString>,
    /// The path of root certificates.
    pub ca_file: &'a str,
    /// See [`Settings::stream`].
    pub stream: &'a str,
    /// See [`Settings::consumer`].
    pub consumer: &'a str,
    /// What all subjects begin with.
    pub subject_prefix: &'a str,
    /// See [`Settings::at_once`].
    pub at_once: usize,
    /// See [`Settings::max_ack_pending`].
    pub max_ack_pending: i64,
    /// See [`Settings::ack_wait`].
    pub ack_wait: Duration,
}

/// How to log in.
#[derive(Debug, Clone)]
pub enum Login {
    /// As nobody in particular.
    Anonymous,
    /// With a user's name and password.
    Password(String, SecretString),
    /// With a token.
    Token(SecretString),
    /// With the content of a credentials file: a JWT, and the seed of the key that signs for it.
    Credentials(SecretString),
}

/// Settings of the intake.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The servers, any of which will do.
    pub servers: Vec<ServerAddr>,
    /// How to log in.
    pub login: Login,
    /// A file with the certificates to trust in place of the system's.
    pub ca_file: Option<PathBuf>,
    /// The stream that holds the messages.
    pub stream: String,
    /// The durable consumer, which all nodes share.
    pub consumer: String,
    /// The subjects.
    pub subjects: Subjects,
    /// The most messages that this node holds at a time.
    pub at_once: usize,
    /// The most messages that all nodes together hold or have put off.
    pub max_ack_pending: i64,
    /// After this time without an answer, a message is delivered again.
    pub ack_wait: Duration,
}

impl Settings {
    /// Whether the connection must not be made without TLS.
    pub fn requires_tls(&self) -> bool {
        self.ca_file.is_some() || self.servers.iter().any(ServerAddr::tls_required)
    }
}

impl Given<'_> {
    /// The settings, or `None` if there is no NATS.
    ///
    /// # Errors
    /// The name of a setting, and what is wrong with it.
    pub fn check(self) -> Result<Option<Settings>, (&'static str, String)> {
        let wrong = |name: &'static str| move |detail: &str| (name, detail.to_owned());
        let servers = servers(self.url).map_err(wrong("nats_url"))?;
        let stream = name(self.stream).map_err(wrong("nats_stream"))?;
        let consumer = name(self.consumer).map_err(wrong("nats_consumer"))?;
        let subjects = Subjects::below(self.subject_prefix).map_err(wrong("nats_subject_prefix"))?;
        let login = match (self.user, self.password, self.token, self.credentials) {
            ("", None, None, None) => Login::Anonymous,
            ("", None, Some(token), None) => Login::Token(token),
            ("", None, None, Some(text)) => Login::Credentials(credentials(text).map_err(wrong("nats_credentials"))?),
            ("", None, Some(_), Some(_)) => return Err(wrong("nats_token")("nats_credentials are given as well; give only one of them")),
            ("", Some(_), ..) => return Err(wrong("nats_user")("is required with nats_password")),
            (user, Some(password), None, None) => Login::Password(user.to_owned(), password),
            (_, None, ..) => return Err(wrong("nats_password")("is required with nats_user")),
            _ => return Err(wrong("nats_user")("nats_token or nats_credentials are given as well; give only one of them")),
        };
        let ca_file = Some(self.ca_file).filter(|path| !path.is_empty()).map(PathBuf::from);
        if let Some(path) = &ca_file {
            certificates(path).map_err(|detail| ("nats_ca_file", detail))?;
            if !servers.iter().all(ServerAddr::tls_required) {
                return Err(wrong("nats_ca_file")("is of no use with nats://; say tls:// in nats_url"));
            }
        }
        let Self { at_once, max_ack_pending, ack_wait, .. } = self;
        let settings = Settings { servers, login, ca_file, stream, consumer, subjects, at_once, max_ack_pending, ack_wait };
        Ok(Some(settings).filter(|settings| !settings.servers.is_empty()))
    }
}

fn servers(text: &str) -> Result<Vec<ServerAddr>, &'static str> {
    let one = |text: &str| {
        let server: ServerAddr = text.parse().ok()?;
        let plain = matches!(server.scheme(), "nats" | "tls") && !server.host().is_empty();
        // A password in it would be shown wherever the address is.
        let has_login = text.contains('@');
        (plain && !has_login).then_some(server)
    };
    let texts = text.split(',').map(str::trim).filter(|text| !text.is_empty());
    let servers: Option<Vec<_>> = texts.map(one).collect();
    let servers = servers.ok_or("must be nats://host:port or tls://host:port, several separated by commas, without a user")?;
    let with_tls = servers.iter().filter(|server| server.tls_required()).count();
    if (1..servers.len()).contains(&with_tls) {
        return Err("has addresses with nats:// and with tls://; the password would go over both, so say tls:// in all of them");
    }
    Ok(servers)
}

fn name(text: &str) -> Result<String, &'static str> {
    let is_plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    match text.len() {
        1..=MAX_NAME if is_plain(text) => Ok(text.to_owned()),
        _ => Err("must be 1 to 32 letters, digits, - or _"),
    }
}

fn credentials(text: SecretString) -> Result<SecretString, &'static str> {
    // The client wants the last line to end; a secret is read without that.
    let text = SecretString::from(format!("{}\n", text.expose_secret().trim_end()));
    match ConnectOptions::with_credentials(text.expose_secret()) {
        Ok(_) => Ok(text),
        Err(_) => Err("must be the content of a NATS credentials file: a JWT, and the seed of its key"),
    }
}

fn certificates(path: &Path) -> Result<(), String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("the file {} cannot be read: {error}", path.display()))?;
    if text.contains("-----BEGIN CERTIFICATE-----") {
        return Ok(());
    }
    Err(format!("the file {} has no certificates in PEM format", path.display()))
}

#[cfg(test)]
pub mod tests {
    use super::*;

    pub fn settings(url: &str) -> Settings {
        given(url).check().unwrap().unwrap()
    }

    fn given(url: &str) -> Given<'_> {
        Given {
            url,
            user: "",
            password: None,
            token: None,
            credentials: None,
            ca_file: "",
            stream: "STOCKTIDE",
            consumer: "stocktide",
            subject_prefix: "stocktide",
            at_once: 64,
            max_ack_pending: 10_000,
            ack_wait: Duration::from_mins(1),
        }
    }

    #[test]
    fn without_an_address_there_is_no_intake() {
        assert!(given("").check().unwrap().is_none());
        assert!(given(" , ").check().unwrap().is_none());
        assert_eq!(settings("nats://a:4222, nats://b").servers.len(), 2);
    }

    #[test]
    fn tls_is_for_all_servers_or_for_none() {
        assert!(settings("tls://a, tls://b").requires_tls() && !settings("nats://a").requires_tls());
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&file, "-----BEGIN CERTIFICATE-----").unwrap();
        let with_file = |url| Given { ca_file: file.path().to_str().unwrap(), ..given(url) }.check();
        assert!(with_file("tls://a").unwrap().unwrap().requires_tls());
        assert_eq!(with_file("nats://a").unwrap_err().0, "nats_ca_file");
        assert_eq!(given("nats://a, tls://b").check().unwrap_err().0, "nats_url");
    }

    #[test]
    fn a_credentials_file_is_recognized() {
        // The example of the client's documentation.
        let text = "-----BEGIN NATS USER JWT-----\neyJ0eXAiOiJqd3QiLCJhbGciOiJlZDI1NTE5LW5rZXkifQ.e30.c2ln\n------END NATS USER JWT------\n\n\
            -----BEGIN USER NKEY SEED-----\nSUAIO3FHUX5PNV2LQIIP7TZ3N4L7TX3W53MQGEIVYFIGA635OZCKEYHFLM\n------END USER NKEY SEED------\n";
        for text in [text, text.trim_end()] {
            let settings = Given { credentials: Some(text.into()), ..given("nats://a") }.check().unwrap().unwrap();
            assert!(matches!(settings.login, Login::Credentials(_)) && !format!("{settings:?}").contains("SUAI"));
        }
    }

    #[test]
    fn an_error_names_the_wrong_setting() {
        for url in ["http://a", "ws://a", "nats://ada:secret@a", "nats://token@a", "nats://", "nats://a b"] {
            let (name, detail) = given(url).check().unwrap_err();
            assert!(name == "nats_url" && !detail.contains("secret"), "{url}: {name}: {detail}");
        }
        let of = |given: Given<'_>| given.check().unwrap_err().0;
        assert_eq!(of(Given { stream: "a.b", ..given("") }), "nats_stream");
        assert_eq!(of(Given { consumer: "", ..given("") }), "nats_consumer");
        assert_eq!(of(Given { subject_prefix: "a.>", ..given("") }), "nats_subject_prefix");
        assert_eq!(of(Given { credentials: Some("no credentials".into()), ..given("") }), "nats_credentials");
        assert_eq!(of(Given { ca_file: "/nowhere/at/all.pem", ..given("") }), "nats_ca_file");
        assert_eq!(of(Given { token: Some("t".into()), credentials: Some("c".into()), ..given("") }), "nats_token");
        assert_eq!(of(Given { user: "u", ..given("") }), "nats_password");
        assert_eq!(of(Given { password: Some("p".into()), ..given("") }), "nats_user");
        assert_eq!(of(Given { user: "u", password: Some("p".into()), token: Some("t".into()), ..given("") }), "nats_user");
    }
}
