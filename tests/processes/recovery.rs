//! What an operator may have to do: restore a backup, rotate the credential key, revert a migration.
use crate::database::{Backend, TestDatabase};
use crate::driver::{Driver, Verdict};
use crate::on_both_backends;
use crate::program::{CREDENTIAL_KEY, OPERATOR_KEY, Program, output, pause, program};
use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection, SqliteConnection};
use diesel_migrations::{FileBasedMigrations, MigrationHarness};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const OTHER_CREDENTIAL_KEY: &str = "OTg3NjU0MzIxMDk4NzY1NDMyMTA5ODc2NTQzMjEwOTg=";

/// Creates a seller with one store, `corner`, that has this token and lists the SKU `A`; returns the seller's API key.
fn create_seller_with_a_store(service: &Program, platform: &Program, token: &str) -> String {
    let created = service.call("POST", "/admin/sellers", OPERATOR_KEY, &json!({ "name": "Ada", "timezone": "UTC" }));
    let key = created["api_key"].as_str().unwrap().to_owned();
    let store = json!({ "name": "corner", "platform": "simulated", "base_url": format!("http://{}", platform.address),
        "external_store": "corner", "credentials": { "token": token } });
    let store = service.call("POST", "/v1/stores", &key, &store)["id"].as_str().unwrap().to_owned();
    service.call("PUT", &format!("/v1/stores/{store}/listings"), &key, &json!([{ "sku": "A", "external_id": "A" }]));
    service.call("PUT", "/v1/sync-settings", &key, &json!({ "auto_sync": true, "initial_overwrite": false }));
    key
}

fn purchase(service: &Program, key: &str, event: &str, quantity: i64) {
    let event = json!({ "event_id": event, "sku": "A", "kind": "purchase", "quantity": quantity });
    service.call("POST", "/v1/stock-events", key, &event);
}

fn available(service: &Program, key: &str) -> i64 {
    service.call("GET", "/v1/stock?sku=A", key, &Value::Null)["total_available"].as_i64().unwrap()
}

/// Waits until the store shows this quantity.
fn wait_until_shown(platform: &Program, expected: i64) {
    let shown = || platform.call("GET", "/control/stores/corner/items?external_id=A", "", &Value::Null)["items"][0]["quantity"].as_i64();
    (0..500).take_while(|_| shown() != Some(expected)).for_each(|_| pause(Duration::from_millis(20)));
    assert_eq!(shown(), Some(expected));
}

/// Backs up `database` while a service writes to it; returns a database restored from the backup.
fn back_up_and_restore(database: &TestDatabase, backend: Backend) -> TestDatabase {
    let restored = TestDatabase::fresh(backend);
    match backend {
        Backend::Sqlite => {
            let file = restored.url.trim_start_matches("sqlite://");
            let taken = output(&["backup", "--verify", "--database", &database.url, file], &[("STOCKTIDE_CREDENTIAL_KEY", CREDENTIAL_KEY)]);
            let said = String::from_utf8_lossy(&[taken.stdout, taken.stderr].concat()).into_owned();
            assert_eq!(taken.status.code(), Some(0), "{said}");
            assert!(said.contains("is sound: ") && said.contains(" sellers") && said.contains("opens all stores' credentials"), "{said}");
            verification_finds_what_is_wrong(database, file);
            assert_eq!(std::fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600, "the backup is readable by its owner only");
            let again = output(&["backup", "--database", &database.url, file], &[]);
            assert_eq!(again.status.code(), Some(1), "an earlier backup is never overwritten");
            let said = String::from_utf8(again.stderr).unwrap();
            assert!(said.contains("exists already") && said.contains("give another name"), "{said}");
        }
        Backend::Postgres => {
            let piped = format!("pg_dump --no-owner '{}' | psql --quiet --set ON_ERROR_STOP=1 '{}'", database.url, restored.url);
            let done = Command::new("bash").args(["-c", &format!("set -o pipefail; {piped} >/dev/null")]).status().unwrap();
            assert!(done.success());
        }
    }
    restored
}

/// The wrong key, a file of something else, a file with a damaged page; and the backup itself stays as it is.
fn verification_finds_what_is_wrong(database: &TestDatabase, file: &str) {
    let before = std::fs::read(file).unwrap();
    let verify = |file: &str, key: &str| {
        let verified = output(&["backup", "--verify-only", "--database", &database.url, file], &[("STOCKTIDE_CREDENTIAL_KEY", key)]);
        (verified.status.code(), String::from_utf8_lossy(&[verified.stdout, verified.stderr].concat()).into_owned())
    };
    assert_eq!(verify(file, CREDENTIAL_KEY).0, Some(0));
    let (status, said) = verify(file, OTHER_CREDENTIAL_KEY);
    assert!(status == Some(1) && said.contains("sealed under another key"), "{said}");
    let folder = tempfile::tempdir().unwrap();
    let spoiled = folder.path().join("spoiled.db").display().to_string();
    let halves = [&before[..before.len() / 2], &vec![0x5a; before.len() - before.len() / 2]].concat();
    for content in [halves, before[..before.len() / 2].to_vec(), b"no database at all".to_vec(), Vec::new()] {
        std::fs::write(&spoiled, &content).unwrap();
        let (status, said) = verify(&spoiled, CREDENTIAL_KEY);
        assert!(status == Some(1) && said.contains("no sound backup"), "{} bytes: {said}", content.len());
    }
    assert_eq!(verify("/nowhere/at/all.db", CREDENTIAL_KEY).0, Some(1));
    assert_eq!(std::fs::read(file).unwrap(), before, "verifying changes nothing");
    let beside = std::fs::read_dir(Path::new(file).parent().unwrap()).unwrap().count();
    assert_eq!(beside, 1, "verifying leaves nothing behind");
}

fn a_backup_taken_under_load_holds_everything_acknowledged_before_it(backend: Backend) {
    let (database, platform) = (TestDatabase::fresh(backend), Program::simulate_platform());
    let service = Program::serve(&database, &[]);
    let key = create_seller_with_a_store(&service, &platform, "t");
    let driver = Driver::start(31, &service, &platform);
    purchase(&service, &key, "before", 5);
    wait_until_shown(&platform, 5);
    let restored = back_up_and_restore(&database, backend);
    purchase(&service, &key, "after", 7);
    wait_until_shown(&platform, 12);
    assert_eq!(driver.verdict(&service, &platform), Verdict::default(), "the backup disturbed the service");
    service.kill();
    let service = Program::serve(&restored, &[]);
    assert_eq!(available(&service, &key), 5);
    // The seller sends the events since the backup again and starts an overwrite: the store is correct again.
    purchase(&service, &key, "after", 7);
    service.call("POST", "/v1/syncs", &key, &json!({}));
    (0..200)
        .take_while(|_| service.call("GET", "/v1/syncs?limit=1", &key, &Value::Null)["items"][0]["state"] != "finished")
        .for_each(|_| pause(Duration::from_millis(50)));
    wait_until_shown(&platform, 12);
}

fn the_credential_key_is_rotated_while_the_service_keeps_working(backend: Backend) {
    let (database, platform) = (TestDatabase::fresh(backend), Program::simulate_platform());
    platform.call("PUT", "/control/faults", "", &json!({ "token": "tok" }));
    let service = Program::serve(&database, &[]);
    let key = create_seller_with_a_store(&service, &platform, "tok");
    purchase(&service, &key, "e1", 1);
    wait_until_shown(&platform, 1);
    service.signal("TERM");
    service.wait_for_exit();
    let keys = [("STOCKTIDE_CREDENTIAL_KEY", OTHER_CREDENTIAL_KEY), ("STOCKTIDE_CREDENTIAL_KEY_PREVIOUS", CREDENTIAL_KEY)];
    let service = Program::serve_with(&database.url, &keys);
    purchase(&service, &key, "e2", 1);
    wait_until_shown(&platform, 2);
    let reseal = |keys: &[(&str, &str)]| {
        let done = program(&["reseal", "--database", &database.url, "--set", "log=error"]).envs(keys.iter().copied()).output().unwrap();
        (done.status.code(), String::from_utf8(done.stdout).unwrap())
    };
    let without = reseal(&keys[..1]);
    assert_eq!(without.0, Some(1), "the previous key is required: {}", without.1);
    let (status, printed) = reseal(&keys);
    assert!(status == Some(0) && printed.starts_with("resealed the credentials of 1 stores"), "{printed}");
    let (status, printed) = reseal(&keys[..1]);
    assert!(status == Some(0) && printed.starts_with("resealed the credentials of 0 stores"), "{printed}");
    service.signal("TERM");
    service.wait_for_exit();
    let service = Program::serve_with(&database.url, &keys[..1]);
    purchase(&service, &key, "e3", 1);
    wait_until_shown(&platform, 3);
}

fn every_migration_can_be_reverted_and_rerun_with_data_in_place(backend: Backend) {
    let (database, platform) = (TestDatabase::fresh(backend), Program::simulate_platform());
    let service = Program::serve(&database, &[]);
    let key = create_seller_with_a_store(&service, &platform, "t");
    purchase(&service, &key, "e1", 5);
    wait_until_shown(&platform, 5);
    service.signal("TERM");
    service.wait_for_exit();
    let migrations = |backend: &str| {
        FileBasedMigrations::from_path(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations").join(backend)).unwrap()
    };
    // All but the first, which creates the tables.
    match backend {
        Backend::Sqlite => {
            let mut conn = SqliteConnection::establish(database.url.trim_start_matches("sqlite://")).unwrap();
            conn.batch_execute("PRAGMA foreign_keys = ON").unwrap();
            revert_and_rerun(&mut conn, migrations("sqlite"));
        }
        Backend::Postgres => revert_and_rerun(&mut PgConnection::establish(&database.url).unwrap(), migrations("postgres")),
    }
    let service = Program::serve(&database, &[]);
    assert_eq!(available(&service, &key), 5);
    purchase(&service, &key, "e2", 2);
    wait_until_shown(&platform, 7);
    service.signal("TERM");
    service.wait_for_exit();
    let setting = ["--database", &database.url];
    for arguments in [&["migrate", "--down"][..], &["migrate"]] {
        let arguments = [arguments, &setting].concat();
        let keys = [("STOCKTIDE_CREDENTIAL_KEY", CREDENTIAL_KEY)];
        assert_eq!(output(&arguments, &keys).status.code(), Some(0), "{arguments:?}");
    }
    let service = Program::serve(&database, &[]);
    create_seller_with_a_store(&service, &platform, "t");
}

/// Reverts the last migration, then the last two, and so on down to the second, and runs them again each time.
fn revert_and_rerun<C: MigrationHarness<DB>, DB: diesel::backend::Backend>(conn: &mut C, migrations: FileBasedMigrations)
where
    FileBasedMigrations: diesel::migration::MigrationSource<DB>,
{
    let count = conn.applied_migrations().unwrap().len();
    assert!(count > 1);
    for down in 1..count {
        for _ in 0..down {
            conn.revert_last_migration(migrations.clone()).unwrap();
        }
        assert_eq!(conn.run_pending_migrations(migrations.clone()).unwrap().len(), down);
    }
}

/// What a later version may do to this version's tables: only additions.
pub const LATER: &str = "ALTER TABLE stock_events ADD COLUMN later BIGINT; ALTER TABLE stock_levels ADD COLUMN later BIGINT NOT NULL DEFAULT 7; \
    ALTER TABLE pushes ADD COLUMN later BIGINT NOT NULL DEFAULT 7; ALTER TABLE listings ADD COLUMN later BIGINT; \
    ALTER TABLE stores ADD COLUMN later BIGINT NOT NULL DEFAULT 7; ALTER TABLE sync_runs ADD COLUMN later BIGINT; \
    CREATE TABLE later (id BIGINT PRIMARY KEY); CREATE INDEX later_pushes ON pushes (later, id); \
    INSERT INTO __diesel_schema_migrations (version) VALUES ('20991231000000')";

fn yesterdays_program_keeps_working_on_tables_that_a_later_version_has_extended(backend: Backend) {
    let (database, platform) = (TestDatabase::fresh(backend), Program::simulate_platform());
    let service = Program::serve(&database, &[]);
    let key = create_seller_with_a_store(&service, &platform, "t");
    purchase(&service, &key, "before", 5);
    wait_until_shown(&platform, 5);
    match backend {
        Backend::Sqlite => {
            let mut conn = SqliteConnection::establish(database.url.trim_start_matches("sqlite://")).unwrap();
            conn.batch_execute("PRAGMA busy_timeout = 10000").unwrap();
            conn.batch_execute(LATER).unwrap();
        }
        Backend::Postgres => PgConnection::establish(&database.url).unwrap().batch_execute(LATER).unwrap(),
    }
    purchase(&service, &key, "meanwhile", 2);
    wait_until_shown(&platform, 7);
    service.kill();
    let service = Program::serve(&database, &[]);
    purchase(&service, &key, "started again", 3);
    wait_until_shown(&platform, 10);
    platform.call("PUT", "/control/stores/corner/items", "", &json!({ "items": [{ "external_id": "A", "quantity": 1 }] }));
    service.call("POST", "/v1/syncs", &key, &json!({}));
    wait_until_shown(&platform, 10);
    create_seller_with_a_store(&service, &platform, "t");
}

on_both_backends![
    yesterdays_program_keeps_working_on_tables_that_a_later_version_has_extended,
    a_backup_taken_under_load_holds_everything_acknowledged_before_it,
    the_credential_key_is_rotated_while_the_service_keeps_working,
    every_migration_can_be_reverted_and_rerun_with_data_in_place,
];
