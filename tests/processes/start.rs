//! What an operator meets at the start: a database that refuses, a cluster that sets variables, missing root certificates,
//! secrets in files; and the health check of containers.
use crate::cluster::Cluster;
use crate::database::{Backend, TestDatabase};
use crate::program::{CREDENTIAL_KEY, OPERATOR_KEY, Program, output, pause};
use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection};
use std::process::Output;
use std::time::{Duration, SystemTime};

const PASSWORD: &str = "pa55word-of-the-role";
/// Far below the minute for which a start waits for a server.
const AT_ONCE: Duration = Duration::from_secs(40);

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.clone(), output.stderr.clone()].concat()).into_owned()
}

#[test]
fn a_server_that_refuses_ends_the_start_at_once_with_cause_and_cure() {
    let Some(cluster) = Cluster::make() else { return };
    let mut admin = PgConnection::establish(&cluster.url()).unwrap();
    admin.batch_execute(&format!("CREATE ROLE guest LOGIN PASSWORD '{PASSWORD}'")).unwrap();
    cluster.demand_password(PASSWORD);
    let url = |role: &str, password: &str, database: &str| {
        cluster.url().replace("stocktide@", &format!("{role}:{password}@")).replace("/postgres", &format!("/{database}"))
    };
    let keys = [("STOCKTIDE_CREDENTIAL_KEY", CREDENTIAL_KEY), ("STOCKTIDE_LISTEN", "127.0.0.1:0")];
    let quiet = ["--set", "log=error"];
    for (arguments, url, cause, cure) in [
        (vec!["serve"], url("stocktide", "wr0ng-pa55word", "postgres"), "password authentication failed", "correct the password"),
        (
            vec!["serve", "--no-migrate"],
            url("stocktide", "wr0ng-pa55word", "postgres"),
            "password authentication failed",
            "correct the password",
        ),
        (vec!["migrate"], url("stocktide", PASSWORD, "nowhere"), "\"nowhere\" does not exist", "CREATE DATABASE"),
        (vec!["serve"], url("guest", PASSWORD, "postgres"), "permission denied for schema public", "GRANT USAGE, CREATE"),
        (vec!["serve"], format!("{}?sslmode=require", url("stocktide", PASSWORD, "postgres")), "SSL", "TLS"),
    ] {
        let started = SystemTime::UNIX_EPOCH.elapsed().unwrap();
        let arguments: Vec<&str> = [&arguments[..], &["--database", &url], &quiet].concat();
        let ended = output(&arguments, &keys);
        let said = text(&ended);
        assert_eq!(ended.status.code(), Some(1), "{arguments:?}: {said}");
        assert!(said.contains(cause) && (said.contains(cure) || cure == "TLS"), "{arguments:?}: {said}");
        assert!(said.trim_end().lines().count() == 1 && !said.contains("pa55word"), "{said}");
        let took = SystemTime::UNIX_EPOCH.elapsed().unwrap() - started;
        assert!(took < AT_ONCE, "{arguments:?} took {took:?}");
    }
}

#[test]
fn a_server_that_is_not_there_yet_is_waited_for() {
    let Some(cluster) = Cluster::make() else { return };
    cluster.stop("fast");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            pause(Duration::from_secs(5));
            cluster.start();
        });
        let service = Program::serve_at(&cluster.url(), &[]);
        assert_eq!(service.ask("GET", "/readyz").status, 200);
    });
}

#[test]
fn the_variables_of_a_kubernetes_service_called_stocktide_do_not_matter_and_a_mistyped_one_does() {
    let database = TestDatabase::fresh(Backend::Sqlite);
    let service = Program::serve_with(
        &database.url,
        &[
            ("STOCKTIDE_SERVICE_HOST", "10.96.0.12"),
            ("STOCKTIDE_SERVICE_PORT", "80"),
            ("STOCKTIDE_SERVICE_PORT_HTTP", "80"),
            ("STOCKTIDE_PORT", "tcp://10.96.0.12:80"),
            ("STOCKTIDE_PORT_80_TCP", "tcp://10.96.0.12:80"),
            ("STOCKTIDE_PORT_80_TCP_PROTO", "tcp"),
            ("STOCKTIDE_PORT_80_TCP_PORT", "80"),
            ("STOCKTIDE_PORT_80_TCP_ADDR", "10.96.0.12"),
        ],
    );
    assert_eq!(service.ask("GET", "/readyz").status, 200);
    for (variable, value) in [("STOCKTIDE_PORT", "8080"), ("STOCKTIDE_LISTEM", "127.0.0.1:0"), ("STOCKTIDE_SERVICE_HOST", "example.com")] {
        let refused = output(&["check-config"], &[(variable, value)]);
        assert_eq!(refused.status.code(), Some(2), "{variable}: {}", text(&refused));
    }
}

#[test]
fn missing_root_certificates_are_named_and_the_demo_needs_none() {
    let database = TestDatabase::fresh(Backend::Sqlite);
    let none = [("SSL_CERT_FILE", "/nowhere/at/all.pem"), ("SSL_CERT_DIR", "/nowhere/at/all"), ("STOCKTIDE_LISTEN", "127.0.0.1:0")];
    let ended = output(&["serve", "--database", &database.url, "--set", "log=error"], &none);
    let said = text(&ended);
    assert!(ended.status.code() == Some(1) && said.contains("ca-certificates") && said.contains("SSL_CERT_FILE"), "{said}");
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().display().to_string();
    let demo = output(&["demo", "--listen", "127.0.0.1:0", "--seconds", "4", "--rate", "60", "--folder", &folder], &none[..2]);
    assert!(demo.status.success() && text(&demo).contains("none lost, none twice"), "{}", text(&demo));
}

#[test]
fn secrets_in_files_are_used_and_never_shown() {
    let (database, folder) = (TestDatabase::fresh(Backend::Sqlite), tempfile::tempdir().unwrap());
    let write = |name: &str, text: &str| {
        std::fs::write(folder.path().join(name), text).unwrap();
        folder.path().join(name).display().to_string()
    };
    let url = write("url", &format!("{}\n", database.url));
    write("stocktide_operator_key", &format!("{OPERATOR_KEY}\n"));
    write("stocktide_credential_key", CREDENTIAL_KEY);
    let folder = folder.path().display().to_string();
    let shown = output(&["check-config"], &[("STOCKTIDE_DATABASE_URL_FILE", &url), ("CREDENTIALS_DIRECTORY", &folder)]);
    let said = text(&shown);
    for line in ["operator_key = (set)", "credential_key = (set)", &format!("database_url = {}", database.url)] {
        assert!(said.lines().any(|shown| shown == line), "{line} is missing: {said}");
    }
    assert!(!said.contains(OPERATOR_KEY) && !said.contains(CREDENTIAL_KEY), "{said}");
}

#[test]
fn the_health_check_says_whether_the_service_is_ready_and_why_not() {
    let database = TestDatabase::fresh(Backend::Sqlite);
    let service = Program::serve(&database, &[]);
    let listen = service.address.to_string();
    let ready = || output(&["ready", "--database", &database.url, "--listen", &listen], &[]);
    assert_eq!(ready().status.code(), Some(0), "{}", text(&ready()));
    let (file, elsewhere) =
        (database.url.trim_start_matches("sqlite://"), format!("{}.elsewhere", database.url.trim_start_matches("sqlite://")));
    std::fs::rename(file, &elsewhere).unwrap();
    let said = ready();
    assert!(said.status.code() == Some(1) && text(&said).contains("removed or replaced"), "{}", text(&said));
    std::fs::rename(&elsewhere, file).unwrap();
    service.kill();
    let said = ready();
    assert!(said.status.code() == Some(1) && text(&said).contains("no connection"), "{}", text(&said));
}
