//! The files of a service on SQLite: who may read them, and what happens when they are lost, replaced, or have no room.
use crate::client::Answer;
use crate::database::{Backend, TestDatabase};
use crate::program::{CREDENTIAL_KEY, OPERATOR_KEY, Program, call, pause, program};
use serde_json::{Value, json};
use std::fs::Permissions;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, SystemTime};

fn file_of(database: &TestDatabase) -> PathBuf {
    PathBuf::from(database.url.trim_start_matches("sqlite://"))
}

fn beside(file: &Path, ending: &str) -> PathBuf {
    PathBuf::from(format!("{}{ending}", file.display()))
}

fn seller(service: &Program) -> String {
    let created = service.call("POST", "/admin/sellers", OPERATOR_KEY, &json!({ "name": "Ada", "timezone": "UTC" }));
    created["api_key"].as_str().unwrap().to_owned()
}

fn store_with_a_credential(service: &Program, key: &str) {
    let store = json!({ "name": "corner", "platform": "simulated", "base_url": "http://127.0.0.1:9", "credentials": { "token": "t0ken" } });
    service.call("POST", "/v1/stores", key, &store);
}

fn purchase(service: &Program, key: &str, event: &str) -> Answer {
    let event = json!({ "event_id": event, "sku": "A", "kind": "purchase", "quantity": 1 });
    call(service.address, "POST", "/v1/stock-events", key, &event).unwrap()
}

/// Ten purchases of one unit, with notes so long that a few hundred of these fill a small disk.
fn long_purchases(service: &Program, key: &str, name: &str) -> u16 {
    let event = |n| json!({ "event_id": format!("{name}-{n}"), "sku": "A", "kind": "purchase", "quantity": 1, "note": "x".repeat(1000) });
    call(service.address, "POST", "/v1/stock-events", key, &(0..10).map(event).collect()).unwrap().status
}

fn available(service: &Program, key: &str) -> i64 {
    service.call("GET", "/v1/stock?sku=A", key, &Value::Null)["total_available"].as_i64().unwrap()
}

fn wait_until_ready(service: &Program) {
    (0..100).take_while(|_| service.ask("GET", "/readyz").status != 200).for_each(|_| pause(Duration::from_millis(100)));
    assert_eq!(service.ask("GET", "/readyz").status, 200);
}

/// Runs the program, which should end soon; ends it otherwise.
fn output_soon(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = program(arguments);
    let mut running = command.envs(environment.iter().copied()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    (0..300).take_while(|_| running.try_wait().unwrap().is_none()).for_each(|_| pause(Duration::from_millis(100)));
    running.kill().ok();
    running.wait_with_output().unwrap()
}

#[test]
fn every_file_is_readable_by_its_owner_only_whatever_the_umask() {
    let database = TestDatabase::fresh(Backend::Sqlite);
    let service = Program::serve_with_an_open_umask(&database);
    store_with_a_credential(&service, &seller(&service));
    let file = file_of(&database);
    let folder: Vec<PathBuf> = std::fs::read_dir(file.parent().unwrap()).unwrap().map(|entry| entry.unwrap().path()).collect();
    for ending in ["", "-wal", "-shm", ".key"] {
        assert!(folder.contains(&beside(&file, ending)), "{ending:?} is missing: {folder:?}");
    }
    for file in folder {
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600, "{}", file.display());
    }
}

#[test]
fn files_with_secrets_that_others_may_open_are_named_at_the_start() {
    let database = TestDatabase::fresh(Backend::Sqlite);
    let restart = |service: Program| {
        service.signal("TERM");
        service.wait_for_exit().1
    };
    let log = restart(Program::serve_with_an_open_umask(&database));
    assert!(!log.contains("others than its owner"), "{log}");
    for ending in ["", ".key"] {
        std::fs::set_permissions(beside(&file_of(&database), ending), Permissions::from_mode(0o640)).unwrap();
    }
    let log = restart(Program::serve_with_an_open_umask(&database));
    for name in ["test.db ", "test.db.key "] {
        assert!(log.lines().any(|line| line.contains("others than its owner") && line.contains(name) && line.contains("640")), "{log}");
    }
}

#[test]
fn the_start_is_refused_where_the_key_file_of_stored_credentials_is_gone() {
    let database = TestDatabase::fresh(Backend::Sqlite);
    let service = Program::serve_with_an_open_umask(&database);
    store_with_a_credential(&service, &seller(&service));
    service.signal("TERM");
    service.wait_for_exit();
    let (key, elsewhere) = (beside(&file_of(&database), ".key"), beside(&file_of(&database), ".elsewhere"));
    std::fs::rename(&key, &elsewhere).unwrap();
    for command in ["serve", "reseal"] {
        let refused = output_soon(&[command, "--database", &database.url, "--set", "log=error"], &[("STOCKTIDE_LISTEN", "127.0.0.1:0")]);
        let said = String::from_utf8(refused.stderr).unwrap();
        assert_eq!(refused.status.code(), Some(2), "{command}: {said}");
        assert!(said.contains("credential_key_file") && said.contains("put the file back"), "{command}: {said}");
        assert!(!key.exists(), "{command} made a new key");
    }
    std::fs::rename(&elsewhere, &key).unwrap();
    Program::serve_with_an_open_umask(&database);
}

#[test]
fn a_credential_key_that_opens_nothing_is_refused_and_one_that_opens_some_says_which_stores_are_left() {
    let database = TestDatabase::fresh(Backend::Sqlite);
    let service = Program::serve(&database, &[]);
    let key = seller(&service);
    store_with_a_credential(&service, &key);
    let ended = |service: Program| {
        service.signal("TERM");
        service.wait_for_exit().1
    };
    ended(service);
    let other = "OTg3NjU0MzIxMDk4NzY1NDMyMTA5ODc2NTQzMjEwOTg=";
    let refused =
        output_soon(&["serve", "--database", &database.url], &[("STOCKTIDE_LISTEN", "127.0.0.1:0"), ("STOCKTIDE_CREDENTIAL_KEY", other)]);
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(refused.status.code() == Some(1) && said.contains("opens none") && said.contains("credential_key_previous"), "{said}");

    // A second store, whose credentials are sealed under the new key while the old one is known, too.
    let both = [("STOCKTIDE_CREDENTIAL_KEY", other), ("STOCKTIDE_CREDENTIAL_KEY_PREVIOUS", CREDENTIAL_KEY)];
    let service = Program::serve_with(&database.url, &both);
    wait_until_ready(&service);
    let second =
        json!({ "name": "market", "platform": "simulated", "base_url": "http://127.0.0.1:10", "credentials": { "token": "t0ken" } });
    service.call("POST", "/v1/stores", &key, &second);
    assert!(!ended(service).contains("sealed under another key"));

    let service = Program::serve_with(&database.url, &[("STOCKTIDE_CREDENTIAL_KEY", other)]);
    wait_until_ready(&service);
    let states = |service: &Program| -> Vec<String> {
        let stores = service.call("GET", "/v1/stores", &key, &Value::Null);
        stores["items"].as_array().unwrap().iter().map(|store| store["state"].as_str().unwrap().to_owned()).collect()
    };
    let until = |service: &Program, expected: [&str; 2]| {
        (0..100).take_while(|_| states(service) != expected).for_each(|_| pause(Duration::from_millis(100)));
        assert_eq!(states(service), expected);
    };
    until(&service, ["needs_reauthorisation", "working"]);
    let stores = service.call("GET", "/v1/stores", &key, &Value::Null);
    let problem = stores["items"][0]["problem"].as_str().unwrap();
    assert!(problem.contains("cannot be opened") && problem.contains("credential_key_previous"), "{problem}");
    let overview = service.call("GET", "/admin/overview", OPERATOR_KEY, &Value::Null);
    assert_eq!(overview["unreadable_credentials"], 1, "{overview}");
    let metrics = service.ask("GET", "/metrics").text();
    assert!(metrics.lines().any(|line| line == "stocktide_stores_unreadable_credentials 1"), "{metrics}");
    let log = ended(service);
    assert!(log.contains("sealed under another key") && log.contains("stores=1"), "{log}");

    // With the earlier key, the store goes on by itself.
    let service = Program::serve_with(&database.url, &both);
    wait_until_ready(&service);
    until(&service, ["working", "working"]);
    assert_eq!(service.call("GET", "/admin/overview", OPERATOR_KEY, &Value::Null)["unreadable_credentials"], 0);
    assert!(!ended(service).contains("sealed under another key"));
}

#[test]
fn nothing_is_accepted_once_the_database_file_was_removed_or_replaced() {
    for way in ["removed", "replaced", "the log removed"] {
        let database = TestDatabase::fresh(Backend::Sqlite);
        let service = Program::serve(&database, &[]);
        let key = seller(&service);
        assert_eq!(purchase(&service, &key, "before").status, 200);
        let (file, elsewhere) = (file_of(&database), beside(&file_of(&database), ".elsewhere"));
        match way {
            "the log removed" => std::fs::remove_file(beside(&file, "-wal")).unwrap(),
            _ => std::fs::rename(&file, &elsewhere).unwrap(),
        }
        if way == "replaced" {
            std::fs::copy(&elsewhere, &file).unwrap();
        }
        let started = SystemTime::UNIX_EPOCH.elapsed().unwrap();
        for n in 0..20 {
            let answer = purchase(&service, &key, &format!("during {n}"));
            assert_eq!(answer.status, 503, "{way}: {}", answer.text());
            assert!(answer.header("retry-after").is_some());
        }
        let ready = service.ask("GET", "/readyz");
        assert!(ready.status == 503 && ready.text().contains("removed or replaced"), "{way}: {}", ready.text());
        let took = SystemTime::UNIX_EPOCH.elapsed().unwrap() - started;
        assert!(took < Duration::from_secs(5), "{way}: refused only after {took:?}");
        assert_eq!(file.exists(), way != "removed", "no other database was made");
        if way == "the log removed" {
            continue;
        }
        std::fs::rename(&elsewhere, &file).unwrap();
        wait_until_ready(&service);
        assert_eq!(purchase(&service, &key, "after").status, 200);
        assert_eq!(available(&service, &key), 2, "{way}");
    }
}

/// A file system of this size; `None`, with a note that the test was skipped, where none may be mounted.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount(size: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]).arg(folder.path()).output();
        if mounted.is_ok_and(|mounted| mounted.status.success()) {
            return Some(Self(folder));
        }
        std::io::stderr().write_all(b"SKIPPED: no file system may be mounted here\n").unwrap();
        None
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        Command::new("umount").arg("--lazy").arg(self.0.path()).status().ok();
    }
}

#[test]
fn a_small_disk_that_was_full_is_used_again_once_there_is_room_and_readyz_says_why_not() {
    let Some(disk) = SmallDisk::mount("12m") else { return };
    let ballast = disk.0.path().join("ballast");
    std::fs::write(&ballast, vec![0; 4_000_000]).unwrap();
    let url = format!("sqlite://{}", disk.0.path().join("test.db").display());
    let service = Program::serve_at(&url, &[]);
    let key = seller(&service);
    let mut accepted = 0;
    let full = (0..2000).find(|n| {
        let status = long_purchases(&service, &key, &format!("e{n}"));
        accepted += if status == 200 { 10 } else { 0 };
        status != 200
    });
    assert!(full.is_some(), "the disk is never full");
    let ready = service.ask("GET", "/readyz");
    assert!(ready.status == 503 && ready.text().contains("disk of the database is full"), "{}", ready.text());
    std::fs::remove_file(&ballast).unwrap();
    wait_until_ready(&service);
    for n in 0..50 {
        assert_eq!(long_purchases(&service, &key, &format!("after {n}")), 200);
    }
    assert_eq!(available(&service, &key), accepted + 500);
}
