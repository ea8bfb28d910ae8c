//! Invalid settings: one line that names the setting, exit status 2, and nothing is started.
use crate::database::{Backend, TestDatabase};
use crate::program::{Program, output, program};
use std::process::Output;

/// Asserts that the program printed a single line to stderr and returns it.
#[track_caller]
fn one_line(output: &Output, status: i32) -> String {
    let line = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(status), "{line}");
    assert!(output.stdout.is_empty());
    assert_eq!(line.trim_end().lines().count(), 1, "{line}");
    line
}

#[test]
fn a_wrong_setting_is_named_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("never-made.db").display());
    let file = folder.path().join("stocktide.toml");
    std::fs::write(&file, "retry_base_ms = 'soon'\n").unwrap();
    let file = file.display().to_string();
    for command in ["serve", "check-config", "migrate"] {
        for (arguments, environment, named) in [
            (vec!["--set", "colour=red"], vec![], "colour"),
            (vec!["--set", "requests_per_second=0"], vec![], "requests_per_second"),
            (vec!["--set", "nonsense"], vec![], "--set"),
            (vec!["--set", "log=stocktide=loud"], vec![], "log"),
            (vec!["--listen", "somewhere"], vec![], "listen"),
            (vec![], vec![("STOCKTIDE_OPERATOR_KEY", "too-short-a-secret")], "operator_key"),
            (vec![], vec![("STOCKTIDE_CREDENTIAL_KEY", "not-32-bytes-secret")], "credential_key"),
            (vec![], vec![("STOCKTIDE_REQUEST_TIMEOUT_MS", "fast")], "request_timeout_ms"),
            (vec![], vec![("STOCKTIDE_UNKNOWN", "x")], "unknown"),
            (vec!["--config", &file], vec![], "retry_base_ms"),
            (vec!["--config", "/nowhere/at/all.toml"], vec![], "config"),
        ] {
            let arguments: Vec<&str> = [command, "--database", &url].into_iter().chain(arguments).collect();
            let line = one_line(&output(&arguments, &environment), 2);
            assert!(line.contains(named), "{named} is not named: {line}");
            assert!(!line.contains("secret"), "{line}");
        }
        let line = one_line(&output(&[command, "--database", "mysql://user:secret@host/db"], &[]), 2);
        assert!(line.contains("database_url") && !line.contains("secret"), "{line}");
    }
    assert!(!folder.path().join("never-made.db").exists());
}

#[test]
fn an_unknown_argument_is_refused_with_status_2() {
    for arguments in [vec![], vec!["fly"], vec!["serve", "--colour", "red"], vec!["simulate-platform", "--seed", "x"]] {
        assert_eq!(output(&arguments, &[]).status.code(), Some(2), "{arguments:?}");
    }
    assert_eq!(output(&["--version"], &[]).status.code(), Some(0));
}

#[test]
fn valid_settings_that_cannot_be_used_end_with_status_1() {
    let database = TestDatabase::fresh(Backend::Sqlite);
    let taken = Program::serve(&database, &[]);
    let listen = taken.address.to_string();
    let other = TestDatabase::fresh(Backend::Sqlite);
    let refused = output(&["serve", "--listen", &listen, "--database", &other.url, "--set", "log=error"], &[]);
    assert!(one_line(&refused, 1).contains(&listen));
    let nowhere = output(&["serve", "--database", "sqlite:///nowhere/at/all.db", "--set", "log=error"], &[]);
    assert_eq!(nowhere.status.code(), Some(1), "{}", String::from_utf8_lossy(&nowhere.stderr));
}

#[test]
fn check_config_shows_every_setting_and_no_secret() {
    let mut command = program(&["check-config"]);
    command.env("STOCKTIDE_OPERATOR_KEY", "an-operator-key-that-is-a-secret-1234");
    let shown = command.output().unwrap();
    assert_eq!(shown.status.code(), Some(0));
    let text = String::from_utf8(shown.stdout).unwrap();
    assert!(
        text.contains("operator_key = (set)") && text.contains("request_timeout_ms = 10000") && !text.contains("secret-1234"),
        "{text}"
    );
}
