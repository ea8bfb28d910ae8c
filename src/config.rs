//! All settings with their defaults, units and bounds. They are read from a TOML file, the environment and flags; flags
//! override the environment, which overrides the file. An invalid or unknown setting is an error that names it.
//!
//! `stocktide check-config` prints this table with the values in force; secrets are masked.
mod credential_key;
mod environment;
mod setting;
mod smtp;

use crate::actors;
use crate::db::ledger::Limits;
use crate::db::sealing::Sealer;
use crate::db::{self, DatabaseUrl, fleet::Retention};
use crate::domain::retry::RetryPolicy;
use crate::http::{self, TrustedProxies};
use crate::platforms::check_base_url;
use crate::{mail, nats, telemetry};
use credential_key::CredentialKey;
use environment::{default_node, threads};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use setting::{ConfigError, Setting};
use setting::{number, secret, text, wrong};

const MIN_OPERATOR_KEY_CHARS: usize = 32;

/// All settings, in the order in which `check-config` shows them.
pub const SETTINGS: &[Setting] = &[
    text("listen", "127.0.0.1:8080", "address:port", "Address and port of the HTTP interface."),
    text("database_url", "sqlite://stocktide.db", "sqlite://… or postgres://…", "The database; an SQLite file is created if missing."),
    secret("database_direct_url", "postgres://…", "The server itself, if database_url leads to a pooler in transaction mode."),
    text("database_pooler_prepares", "false", "true or false", "Whether that pooler keeps prepared statements, as PgBouncer 1.21 can."),
    secret("operator_key", "at least 32 characters", "Grants access to /admin; without a key, /admin is disabled."),
    secret("credential_key", "32 bytes in base64", "Encrypts the stores' credentials. If not given, the key file is used."),
    secret("credential_key_previous", "32 bytes in base64", "During a key change: decrypts what the previous key encrypted."),
    text("database_url_file", "", "path", "File that holds the database URL, which is often a secret, too."),
    text("database_direct_url_file", "", "path", "File that holds the server's own URL."),
    text("operator_key_file", "", "path", "File that holds the operator key."),
    text("credential_key_previous_file", "", "path", "File that holds the previous credential key."),
    text("credential_key_file", "", "path", "With SQLite, defaults to the database's path plus .key; created if it does not exist."),
    text("trusted_proxies", "127.0.0.0/8, ::1", "networks", "Proxies that may say which address a request comes from."),
    text("forwarded_header", "x-forwarded-for", "x-forwarded-for or forwarded", "The header in which these proxies say it."),
    text("console_https", "false", "true or false", "Whether browsers reach the console by HTTPS, even if no proxy header says so."),
    text("public_url", "", "address", "Address of this service for browsers; without it, no shop can be connected by consent."),
    text("smtp_host", "", "name or address", "Mail server; without one, no mails are sent. Needs public_url, for links in mails."),
    number("smtp_port", "0", "port", 0, 65_535, "Its port; 0: 465 with tls, 587 with starttls, 25 with none."),
    number("smtp_per_minute", "300", "mails", 1, 100_000, "The most mails that one process gives to it in any minute."),
    text("smtp_encryption", "starttls", "tls, starttls or none", "How the connection to the mail server is encrypted."),
    text("smtp_user", "", "name", "Whom to sign in as at the mail server, if it wants that."),
    secret("smtp_password", "password", "The password of smtp_user."),
    text("smtp_password_file", "", "path", "File that holds the password of smtp_user."),
    text("smtp_sender", "", "address", "Whom mails are from, such as Stocktide <stock@example.com>."),
    text("allow_private_targets", "false", "true or false", "Whether store URLs may use http, loopback or private addresses."),
    number("request_timeout_ms", "10000", "milliseconds", 100, 120_000, "Timeout of a call to a platform."),
    number("settle_ms", "0", "milliseconds", 0, 600_000, "How long an unanswered request may still arrive; 0: its timeout plus 1 s."),
    number("retry_base_ms", "1000", "milliseconds", 10, 60_000, "Upper bound of the first delay before a failed push is retried."),
    number("retry_cap_ms", "300000", "milliseconds", 1000, 3_600_000, "Upper bound of every delay between retries."),
    number("retry_max_age_hours", "24", "hours", 1, 720, "A push that has been failing for this long is rejected."),
    number("calls_per_store", "4", "calls", 1, 64, "Most concurrent calls to one store."),
    number("database_connections", "10", "connections", 2, 200, "Most connections for reading; each write lane has one more of its own."),
    number("reads_per_seller", "4", "reads", 1, 200, "Most concurrent reads of one seller; further ones wait, then get a 429."),
    number("database_lanes", "4", "transactions", 1, 64, "Most concurrent write transactions on PostgreSQL; SQLite has a single writer."),
    number("max_body_bytes", "16777216", "bytes", 1024, 268_435_456, "Largest request body."),
    number("max_bodies_in_flight_bytes", "67108864", "bytes", 1_048_576, 17_179_869_184, "All bodies under way together; then 503."),
    number("requests_per_second", "200", "requests per second", 1, 100_000, "Rate limit per seller; bursts may be twice as large."),
    number("rows_per_second", "10000", "rows per second", 100, 10_000_000, "Rate limit of bulk rows per seller, stock events included."),
    number("failed_keys_per_minute", "1000", "requests per minute", 10, 1_000_000, "Requests with invalid keys per address; then 429."),
    number("skus_per_seller", "100000", "SKUs", 1, 10_000_000, "Most SKUs per seller."),
    number("events_retention_s", "7776000", "seconds", 60, 315_360_000, "How long stock events are kept; later repeats count as new."),
    number("pushes_retention_s", "2592000", "seconds", 60, 315_360_000, "How long finished pushes, runs and the audit log are kept."),
    number("idle_stop_s", "300", "seconds", 1, 86_400, "A seller's actors stop after this long without work."),
    number("poll_every_s", "10", "seconds", 1, 600, "How often the database is checked for work that no message announced."),
    number("prune_every_s", "60", "seconds", 1, 86_400, "How often records past their retention are deleted, in small batches."),
    number("lease_ms", "5000", "milliseconds", 1000, 60_000, "On PostgreSQL: others take over from a node that is silent for so long."),
    number("stop_within_s", "30", "seconds", 1, 600, "How long a graceful shutdown waits for work in progress."),
    number("arbiters", "0", "threads", 0, 256, "Threads for actors; 0: one per core."),
    number("http_workers", "0", "threads", 0, 256, "Threads for HTTP; 0: one per core."),
    text("nats_url", "", "nats://… or tls://…", "NATS servers from whose JetStream stock events are taken; none: only over HTTP."),
    text("nats_user", "", "name", "Logs in to NATS as this user, with nats_password."),
    secret("nats_password", "text", "The user's password."),
    text("nats_password_file", "", "path", "File that holds the password."),
    secret("nats_token", "text", "Logs in to NATS with a token."),
    secret("nats_credentials", "content of a file", "Logs in to NATS with a JWT and the seed of its key."),
    text("nats_token_file", "", "path", "File that holds the token."),
    text("nats_credentials_file", "", "path", "Credentials file of NATS, often named .creds."),
    text("nats_ca_file", "", "path", "Certificates in PEM format to trust in place of the system's."),
    text("nats_stream", "STOCKTIDE", "name", "Stream that holds the messages; it must exist."),
    text("nats_consumer", "stocktide", "name", "Durable consumer, which all nodes share; it is created if missing."),
    text("nats_subject_prefix", "stocktide", "words", "Stock events of a seller are taken from PREFIX.SELLER.stock-events."),
    number("nats_messages_at_once", "64", "messages", 1, 10_000, "Most messages that this node holds at a time."),
    number("nats_max_ack_pending", "10000", "messages", 1, 1_000_000, "Most messages that all nodes together hold or have put off."),
    number("nats_ack_wait_s", "60", "seconds", 1, 3600, "A message that was not answered for this long is delivered again."),
    text("traces_url", "", "address", "Where traces go by OTLP over HTTP, such as http://127.0.0.1:4318/v1/traces; none if not given."),
    number("traces_one_in", "100", "requests", 1, 1_000_000, "Of requests without a traceparent, one in so many is traced."),
    text("log", "info", "filter", "Log filter, such as info or stocktide=debug,warn."),
    text("log_format", "text", "text or json", "Log format."),
    text("node", "", "name", "Name of this node; by default the host name and the process id."),
];

/// The settings whose value may be in a file of its own, each with the setting that names the file.
const IN_FILES: [(&str, &str); 9] = [
    ("database_url", "database_url_file"),
    ("database_direct_url", "database_direct_url_file"),
    ("operator_key", "operator_key_file"),
    ("smtp_password", "smtp_password_file"),
    ("credential_key", "credential_key_file"),
    ("credential_key_previous", "credential_key_previous_file"),
    ("nats_password", "nats_password_file"),
    ("nats_token", "nats_token_file"),
    ("nats_credentials", "nats_credentials_file"),
];

/// The settings in force.
#[derive(Debug, Clone)]
pub struct Config {
    /// Address and port of the HTTP interface.
    pub listen: SocketAddr,
    /// Settings of the database.
    pub db: db::Settings,
    /// Settings of the actors.
    pub actors: actors::Settings,
    /// Settings of the HTTP interface.
    pub http: http::Settings,
    /// The mail server, if there is one.
    pub mail: Option<mail::Settings>,
    /// Where traces go, if anywhere.
    pub traces: Option<telemetry::export::Settings>,
    /// Settings of the intake from NATS, if there is one.
    pub nats: Option<nats::Settings>,
    /// Whether browsers reach the console by HTTPS.
    pub console_https: bool,
    /// Timeout of a call to a platform.
    pub request_timeout: Duration,
    /// Threads for actors.
    pub arbiters: usize,
    /// Threads for HTTP.
    pub http_workers: usize,
    /// Log filter.
    pub log: String,
    /// Whether the log is written as JSON.
    pub log_json: bool,
    credential_key: CredentialKey,
    credential_key_previous: Option<SecretString>,
    /// The settings file, if there is a secret in it.
    file_with_secrets: Option<PathBuf>,
    values: BTreeMap<&'static str, SecretString>,
}

impl Config {
    /// Reads the file, if one is given, then `environment`, then `flags` (names and values), then the files that they name.
    ///
    /// # Errors
    /// If a setting is invalid or unknown; the error names the first one.
    pub fn load(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
        flags: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let mut given = BTreeMap::new();
        let is_secret = |name: &String| SETTINGS.iter().any(|setting| setting.secret && setting.name == name.as_str());
        let mut file_with_secrets = None;
        if let Some(path) = file {
            let unreadable = |error: &dyn std::fmt::Display| {
                wrong("config", format!("the file cannot be read: {}: {error}", path.display()).replace('\n', " "))
            };
            let text = std::fs::read_to_string(path).map_err(|e| unreadable(&e))?;
            let read: BTreeMap<String, Value> = basic_toml::from_str(&text).map_err(|e| unreadable(&e))?;
            for (name, value) in read {
                let value = match value {
                    Value::String(text) => text,
                    Value::Number(_) | Value::Bool(_) => value.to_string(),
                    _ => return Err(wrong(&name, "must be a text, a number, true or false")),
                };
                given.insert(name, value);
            }
            file_with_secrets = given.keys().any(is_secret).then(|| path.to_owned());
        }
        let mut credentials = None;
        for (variable, value) in environment {
            if let Some(name) = environment::setting_of(&variable, &value) {
                given.insert(name, value);
            } else if variable == environment::CREDENTIALS_DIRECTORY {
                credentials = Some(PathBuf::from(value));
            }
        }
        given.extend(flags);
        if let Some(unknown) = given.keys().find(|name| SETTINGS.iter().all(|setting| setting.name != name.as_str())) {
            return Err(wrong(unknown, "unknown setting; `stocktide check-config` lists all settings"));
        }
        environment::read_secrets(&mut given, &IN_FILES, credentials.as_deref()).map_err(|(name, detail)| wrong(name, detail))?;
        let values = SETTINGS.iter().map(|setting| {
            let value = given.get(setting.name).map_or(setting.default, String::as_str);
            (setting.name, SecretString::from(value))
        });
        Ok(Self { file_with_secrets, ..Self::from_values(values.collect())? })
    }

    fn from_values(values: BTreeMap<&'static str, SecretString>) -> Result<Self, ConfigError> {
        let get = |name: &'static str| values.get(name).map(|value| value.expose_secret().trim()).unwrap_or_default();
        let some = |name: &'static str| Some(get(name)).filter(|value| !value.is_empty());
        let number = |name: &'static str| -> Result<u64, ConfigError> {
            let (min, max) = SETTINGS.iter().find(|s| s.name == name).and_then(|s| s.bounds).unwrap_or((0, u64::MAX));
            let within = |n: &u64| (min..=max).contains(n);
            get(name).parse().ok().filter(within).ok_or_else(|| wrong(name, format!("must be a whole number from {min} to {max}")))
        };
        let size = |name| number(name).map(|n| usize::try_from(n).unwrap_or(usize::MAX));
        let small = |name| number(name).map(|n| u32::try_from(n).unwrap_or(u32::MAX));
        let signed = |name| number(name).map(|n| i64::try_from(n).unwrap_or(i64::MAX));
        let millis = |name| number(name).map(Duration::from_millis);
        let seconds = |name| number(name).map(Duration::from_secs);
        let choice = |name: &'static str, yes: &str, no: &str| match get(name) {
            value if value == yes => Ok(true),
            value if value == no => Ok(false),
            _ => Err(wrong(name, format!("must be {yes} or {no}"))),
        };

        let listen = get("listen").parse().map_err(|_| wrong("listen", "must be an address and a port, such as 127.0.0.1:8080"))?;
        let url = DatabaseUrl::parse(get("database_url")).map_err(|e| wrong("database_url", e))?;
        let keeps_statements = choice("database_pooler_prepares", "true", "false")?;
        let url = match some("database_direct_url") {
            Some(direct) => url.pooled(direct, keeps_statements).map_err(|e| wrong("database_direct_url", e))?,
            None => url,
        };
        let operator_key = some("operator_key").map(SecretString::from);
        if operator_key.as_ref().is_some_and(|key| key.expose_secret().chars().count() < MIN_OPERATOR_KEY_CHARS) {
            return Err(wrong("operator_key", format!("must have at least {MIN_OPERATOR_KEY_CHARS} characters")));
        }
        let credential_key = match (some("credential_key"), some("credential_key_file"), &url) {
            (Some(key), ..) => {
                Sealer::from_base64(key).map_err(|e| wrong("credential_key", e))?;
                CredentialKey::Given(key.into())
            }
            (None, Some(path), _) => CredentialKey::File(path.into()),
            (None, None, DatabaseUrl::Sqlite(path)) => CredentialKey::File(format!("{path}.key").into()),
            (None, None, DatabaseUrl::Postgres(_)) => {
                return Err(wrong("credential_key", "is required with PostgreSQL: 32 bytes in base64, the same on every node"));
            }
        };
        let credential_key_previous = some("credential_key_previous").map(SecretString::from);
        let previous = credential_key_previous.as_ref().map(|key| Sealer::from_base64(key.expose_secret()));
        previous.transpose().map_err(|e| wrong("credential_key_previous", e))?;
        let request_timeout = millis("request_timeout_ms")?;
        let settle_for = match millis("settle_ms")? {
            Duration::ZERO => request_timeout + Duration::from_secs(1),
            given if given > request_timeout => given,
            _ => return Err(wrong("settle_ms", "must exceed request_timeout_ms, because until then a request may still arrive")),
        };
        let forwarded = choice("forwarded_header", "forwarded", "x-forwarded-for")?;
        let trusted_proxies = TrustedProxies::parse(get("trusted_proxies"), forwarded).map_err(|e| wrong("trusted_proxies", e))?;
        let retry = RetryPolicy {
            base: millis("retry_base_ms")?,
            cap: millis("retry_cap_ms")?,
            max_age: Duration::from_secs(3600 * number("retry_max_age_hours")?),
            settle_for,
        };
        let limits = Limits { skus_per_seller: signed("skus_per_seller")?, events_kept_for: seconds("events_retention_s")? };
        let public_url = some("public_url").map(|url| url.trim_end_matches('/').to_owned());
        if let Some(Err(why)) = public_url.as_deref().map(check_base_url) {
            return Err(wrong("public_url", why));
        }
        let mail = smtp::Given {
            host: some("smtp_host"),
            port: number("smtp_port")?,
            per_minute: size("smtp_per_minute")?,
            encryption: get("smtp_encryption"),
            user: some("smtp_user"),
            password: some("smtp_password"),
            sender: some("smtp_sender"),
            public_url: public_url.as_deref(),
        };
        let mail = mail.settings().map_err(|(name, detail)| wrong(name, detail))?;
        let nats = nats::Given {
            url: get("nats_url"),
            user: get("nats_user"),
            password: some("nats_password").map(SecretString::from),
            token: some("nats_token").map(SecretString::from),
            credentials: some("nats_credentials").map(SecretString::from),
            ca_file: get("nats_ca_file"),
            stream: get("nats_stream"),
            consumer: get("nats_consumer"),
            subject_prefix: get("nats_subject_prefix"),
            at_once: size("nats_messages_at_once")?,
            max_ack_pending: signed("nats_max_ack_pending")?,
            ack_wait: seconds("nats_ack_wait_s")?,
        };
        let nats = nats.check().map_err(|(name, detail)| wrong(name, detail))?;
        let one_in = number("traces_one_in")?;
        let traces = |url| telemetry::export::Settings::new(url, one_in).map_err(|e| wrong("traces_url", e));
        let filter = get("log");
        telemetry::parse_filter(filter).map_err(|e| wrong("log", format!("is not a valid log filter: {e}")))?;
        let node = some("node").map_or_else(default_node, str::to_owned);
        let lease = millis("lease_ms")?;
        let sharing = matches!(url, DatabaseUrl::Postgres(_)).then(|| actors::Sharing { lease, name: node.clone() });
        Ok(Self {
            listen,
            db: db::Settings {
                url,
                connections: small("database_connections")?,
                reads_per_seller: size("reads_per_seller")?,
                lanes: size("database_lanes")?,
                limits,
                idle_in_transaction: sharing.as_ref().map(|sharing| sharing.lease / 2),
                fault_injection: None,
            },
            actors: actors::Settings {
                retry,
                calls_under_way: size("calls_per_store")?,
                idle_stop: seconds("idle_stop_s")?,
                poll_every: seconds("poll_every_s")?,
                prune_every: seconds("prune_every_s")?,
                retention: Retention { events: seconds("events_retention_s")?, pushes: seconds("pushes_retention_s")? },
                stop_within: seconds("stop_within_s")?,
                sharing,
                ..actors::Settings::default()
            },
            http: http::Settings {
                operator_key,
                max_body_bytes: size("max_body_bytes")?,
                max_bodies_in_flight_bytes: size("max_bodies_in_flight_bytes")?,
                requests_per_second: small("requests_per_second")?,
                rows_per_second: small("rows_per_second")?,
                failed_keys_per_minute: small("failed_keys_per_minute")?,
                trusted_proxies,
                allow_private_targets: choice("allow_private_targets", "true", "false")?,
                limits,
                node,
                public_url,
            },
            mail,
            traces: some("traces_url").map(traces).transpose()?,
            nats,
            console_https: choice("console_https", "true", "false")?,
            request_timeout,
            arbiters: threads(size("arbiters")?),
            http_workers: threads(size("http_workers")?),
            log: filter.to_owned(),
            log_json: choice("log_format", "json", "text")?,
            credential_key,
            credential_key_previous,
            file_with_secrets: None,
            values,
        })
    }

    /// The sealer for stores' credentials. A missing key file is created, unless the database already holds credentials.
    ///
    /// # Errors
    /// If the key file cannot be read or created, does not contain a key, or has been lost.
    pub fn sealer(&self) -> Result<Sealer, ConfigError> {
        let key = &self.credential_key;
        let sealer = key.sealer(&self.db.url).map_err(|e| wrong(key.setting(), e))?;
        match &self.credential_key_previous {
            Some(key) => sealer.and_previous(key.expose_secret()).map_err(|e| wrong("credential_key_previous", e)),
            None => Ok(sealer),
        }
    }

    /// The sealer, if its key is there already; no key file is created.
    ///
    /// # Errors
    /// Those of [`Self::sealer`].
    pub fn existing_sealer(&self) -> Result<Option<Sealer>, ConfigError> {
        let is_there = self.credential_key.file().is_none_or(Path::exists);
        is_there.then(|| self.sealer()).transpose()
    }

    /// The files with secrets that others than their owner may open, each with its permissions: the database, the key file,
    /// and a settings file with a secret in it.
    pub fn files_open_to_others(&self) -> Vec<(&Path, String)> {
        let files = [self.db.url.file(), self.credential_key.file(), self.file_with_secrets.as_deref()];
        files.into_iter().flatten().filter_map(|file| db::open_to_others(file).map(|mode| (file, mode))).collect()
    }

    /// All settings with the values in force; secrets are masked.
    pub fn table(&self) -> String {
        let mut out = String::new();
        for setting in SETTINGS {
            let value = self.values.get(setting.name).map(ExposeSecret::expose_secret).unwrap_or_default();
            let shown = match (setting.secret || setting.name == "database_url", value) {
                (_, "") => "(none)".to_owned(),
                (true, url) if url.starts_with("sqlite:") => url.to_owned(),
                (true, _) => "(set)".to_owned(),
                (false, value) => value.to_owned(),
            };
            let bounds = setting.bounds.map(|(min, max)| format!(", {min} to {max}")).unwrap_or_default();
            let default = if setting.default.is_empty() { "none" } else { setting.default };
            writeln!(out, "{} = {shown}\n    {} [{}{bounds}; default {default}]", setting.name, setting.help, setting.unit).ok();
        }
        out
    }
}

#[cfg(test)]
mod tests;
