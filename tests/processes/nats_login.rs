//! NATS behind TLS with a certificate of its own, and a login by a credentials file, as `nsc` makes them.
use crate::database::{Backend, TestDatabase};
use crate::nats::{available, create_seller, purchase, serve, wait_until_available};
use crate::nats_server::{NatsServer, metrics, way_in};
use crate::program::pause;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use nkeys::KeyPair;
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// A token about a key, signed by another one.
fn token(of: &KeyPair, name: &str, what: &Value, by: &KeyPair) -> String {
    let claims = json!({ "jti": name, "iat": 1_767_225_600, "iss": by.public_key(), "name": name, "sub": of.public_key(), "nats": what });
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(&json!({ "typ": "JWT", "alg": "ed25519-nkey" })), part(&claims));
    let signature = URL_SAFE_NO_PAD.encode(by.sign(signed.as_bytes()).unwrap());
    format!("{signed}.{signature}")
}

/// A root certificate, and one for 127.0.0.1 that it has signed; false without the program for that.
fn certificates(server: &NatsServer, root: &str) -> bool {
    let path = |name: &str| server.path(&format!("{root}{name}")).display().to_string();
    let run = |arguments: &[&str]| Command::new("openssl").args(arguments).output().is_ok_and(|output| output.status.success());
    std::fs::write(path(".ext"), "subjectAltName=IP:127.0.0.1\nbasicConstraints=critical,CA:FALSE\n").unwrap();
    let new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
    let (ca, ca_key, key, request, certificate) = (path("-ca.pem"), path("-ca.key"), path(".key"), path(".csr"), path(".pem"));
    run(&[&["req", "-x509", "-days", "9", "-subj", "/CN=root", "-keyout", &ca_key, "-out", &ca], &new_key[..]].concat())
        && run(&[&["req", "-subj", "/CN=nats", "-keyout", &key, "-out", &request], &new_key[..]].concat())
        && run(&[
            "x509",
            "-req",
            "-days",
            "9",
            "-in",
            &request,
            "-CA",
            &ca,
            "-CAkey",
            &ca_key,
            "-CAcreateserial",
            "-extfile",
            &path(".ext"),
            "-out",
            &certificate,
        ])
}

/// A server that lets in whoever has the credentials, over TLS only. `None` if the programs for it are not there.
fn secured() -> Option<(NatsServer, String)> {
    let mut server = NatsServer::make(None)?;
    let [operator, system, account, user] = [KeyPair::new_operator(), KeyPair::new_account(), KeyPair::new_account(), KeyPair::new_user()];
    if !certificates(&server, "good") {
        let all = std::env::var("STOCKTIDE_TEST_REQUIRE").is_ok_and(|required| required == "all");
        assert!(!all, "STOCKTIDE_TEST_REQUIRE=all, but openssl is not installed");
        eprintln!("SKIPPED: openssl is not installed");
        return None;
    }
    let unlimited = json!({ "subs": -1, "conn": -1, "leaf": -1, "imports": -1, "exports": -1, "data": -1, "payload": -1, "wildcards": true,
        "mem_storage": -1, "disk_storage": -1, "streams": -1, "consumer": -1 });
    let of_account = |limits: &Value| json!({ "type": "account", "version": 2, "limits": limits });
    let no_storage =
        json!({ "subs": -1, "conn": -1, "leaf": -1, "imports": -1, "exports": -1, "data": -1, "payload": -1, "wildcards": true });
    let user_token = token(&user, "stocktide", &json!({ "type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1 }), &account);
    server.authorization = Some(format!(
        "operator: {}\nsystem_account: {}\nresolver: MEMORY\nresolver_preload: {{ {}: {}, {}: {} }}\ntls {{ cert_file: \"{}\", key_file: \"{}\" }}\n",
        token(&operator, "operator", &json!({ "type": "operator", "version": 2 }), &operator),
        system.public_key(),
        system.public_key(),
        token(&system, "system", &of_account(&no_storage), &operator),
        account.public_key(),
        token(&account, "sellers", &of_account(&unlimited), &operator),
        server.path("good.pem").display(),
        server.path("good.key").display(),
    ));
    let credentials = format!(
        "-----BEGIN NATS USER JWT-----\n{user_token}\n------END NATS USER JWT------\n\n-----BEGIN USER NKEY SEED-----\n{}\n------END USER NKEY SEED------\n",
        user.seed().unwrap()
    );
    server.secure = Some((server.path("good-ca.pem"), credentials.clone()));
    server.start();
    server.create_streams();
    Some((server, credentials))
}

fn setting(name: &str, path: &Path) -> String {
    format!("{name}={}", path.display())
}

#[test]
fn messages_come_over_tls_to_whoever_has_the_credentials() {
    let Some((nats, credentials)) = secured() else { return };
    let database = TestDatabase::fresh(Backend::Sqlite);
    let file = nats.path("service.creds");
    std::fs::write(&file, &credentials).unwrap();
    let settings = [setting("nats_credentials_file", &file), setting("nats_ca_file", &nats.path("good-ca.pem"))];
    let service = serve(&database, &nats, &settings.each_ref().map(String::as_str));
    let ada = create_seller(&service, "Ada");
    assert!(nats.client().publish(&way_in(&ada.id), None, &purchase("e1", 3).to_string()));
    wait_until_available(&service, &ada, 3);
    service.signal("TERM");
    let (status, log) = service.wait_for_exit();
    let seed = credentials.lines().find(|line| line.starts_with("SU")).unwrap();
    assert!(status == Some(0) && log.contains("connected to NATS") && !log.contains(seed), "{log}");
}

#[test]
fn a_server_with_another_certificate_gets_neither_credentials_nor_trust() {
    let Some((nats, credentials)) = secured() else { return };
    assert!(certificates(&nats, "other"));
    let database = TestDatabase::fresh(Backend::Sqlite);
    let file = nats.path("service.creds");
    std::fs::write(&file, &credentials).unwrap();
    let settings = [setting("nats_credentials_file", &file), setting("nats_ca_file", &nats.path("other-ca.pem"))];
    let service = serve(&database, &nats, &settings.each_ref().map(String::as_str));
    let ada = create_seller(&service, "Ada");
    assert!(nats.client().publish(&way_in(&ada.id), None, &purchase("e1", 3).to_string()));
    pause(Duration::from_secs(2));
    assert_eq!((metrics(&service)["stocktide_nats_connected"], available(&service, &ada)), (0, 0));
    assert_eq!(service.ask("GET", "/readyz").status, 200);
    service.signal("TERM");
    let (status, log) = service.wait_for_exit();
    assert!(status == Some(0) && log.contains("NATS cannot be reached"), "{log}");
}
