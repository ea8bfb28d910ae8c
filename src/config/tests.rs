//! Settings from flags, the environment and a file, and what is said of wrong ones.
use super::*;

fn load(flags: &[(&str, &str)]) -> Result<Config, ConfigError> {
    Config::load(None, [], flags.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())))
}

#[test]
fn the_defaults_are_valid() {
    let config = load(&[]).unwrap();
    assert_eq!(config.actors.retry.settle_for, Duration::from_secs(11));
    assert_eq!(config.db.url, DatabaseUrl::Sqlite("stocktide.db".into()));
}

#[test]
fn an_error_names_the_invalid_setting() {
    for (name, value) in [
        ("listen", "nowhere"),
        ("database_url", "mysql://x"),
        ("database_direct_url", "postgres://x/y"),
        ("database_pooler_prepares", "yes"),
        ("operator_key", "short"),
        ("credential_key", "AAAA"),
        ("allow_private_targets", "yes"),
        ("request_timeout_ms", "99"),
        ("request_timeout_ms", "-1"),
        ("settle_ms", "10000"),
        ("max_body_bytes", "1e9"),
        ("log", "stocktide=loud"),
        ("log_format", "xml"),
        ("public_url", "stock.example.com"),
        ("smtp_host", "192.0.2.1:25"),
        ("smtp_port", "65536"),
        ("smtp_encryption", "ssl"),
        ("smtp_sender", "stock@example.com"),
        ("smtp_user", "stock"),
        ("smtp_password", "secret"),
        ("trusted_proxies", "10.0.0.0/8, all"),
        ("forwarded_header", "x-real-ip"),
        ("nats_url", "http://nats.example.com"),
        ("nats_url", "nats://ada:secret@nats.example.com"),
        ("nats_url", "nats://a.example.com,tls://b.example.com"),
        ("nats_credentials", "no credentials"),
        ("nats_credentials_file", "/nowhere/at/all"),
        ("nats_token_file", "/nowhere/at/all"),
        ("nats_password_file", "/nowhere/at/all"),
        ("nats_ca_file", "/nowhere/at/all"),
        ("nats_stream", "a.b"),
        ("nats_consumer", "*"),
        ("nats_subject_prefix", "stock events"),
        ("nats_messages_at_once", "0"),
        ("nats_max_ack_pending", "-1"),
        ("nats_ack_wait_s", "0"),
        ("operator_key_file", "/nowhere/at/all"),
        ("traces_url", "127.0.0.1:4318"),
        ("traces_url", "http://ada:secret@127.0.0.1:4318/v1/traces"),
        ("traces_one_in", "0"),
        ("colour", "red"),
    ] {
        assert_eq!(load(&[(name, value)]).unwrap_err().name, name, "{value}");
    }
    assert_eq!(load(&[("database_url", "postgres://x/y")]).unwrap_err().name, "credential_key");
}

#[test]
fn flags_override_the_environment_and_that_overrides_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("stocktide.toml");
    std::fs::write(&path, "retry_base_ms = 2000\nretry_cap_ms = 5000\ncalls_per_store = 3\n").unwrap();
    let environment =
        [("STOCKTIDE_RETRY_CAP_MS", "6000"), ("STOCKTIDE_CALLS_PER_STORE", "5"), ("STOCKTIDE_TEST_REQUIRE", "all"), ("HOME", "/x")];
    let environment = environment.map(|(n, v)| (n.to_owned(), v.to_owned()));
    let config = Config::load(Some(&path), environment, [("calls_per_store".to_owned(), "7".to_owned())]).unwrap();
    assert_eq!(config.actors.retry.base, Duration::from_secs(2));
    assert_eq!(config.actors.retry.cap, Duration::from_secs(6));
    assert_eq!(config.actors.calls_under_way, 7);
    std::fs::write(&path, "colour = 'red'\n").unwrap();
    assert_eq!(Config::load(Some(&path), [], []).unwrap_err().name, "colour");
}

#[test]
fn the_table_shows_no_secrets() {
    let key = "0123456789012345678901234567890123456789";
    let config = load(&[
        ("operator_key", key),
        ("database_url", "postgres://u:pass@h/d"),
        ("database_direct_url", "postgres://u:pass@server/d"),
        ("public_url", "https://stock.example.com"),
        ("smtp_host", "mail.example.com"),
        ("smtp_sender", "stock@example.com"),
        ("smtp_user", "stock"),
        ("smtp_password", "the-mail-servers-passphrase"),
        ("credential_key", "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="),
        ("nats_url", "nats://127.0.0.1"),
        ("nats_token", key),
    ]);
    let config = config.unwrap();
    let table = config.table();
    assert!(!table.contains(key) && !table.contains(":pass@") && !table.contains("passphrase") && !table.contains("MDEy"), "{table}");
    let debug = format!("{config:?}");
    assert!(!debug.contains(key) && !debug.contains("pass@") && !debug.contains("passphrase"), "{debug}");
    for setting in SETTINGS {
        assert!(table.contains(setting.help));
    }
}
