//! Settings that come from outside the file and the flags: environment variables, files that hold one secret each, and
//! systemd's credentials. And what the machine says, where a setting leaves it open.
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;

/// The prefix of environment variables that are settings.
const PREFIX: &str = "stocktide_";

/// The variable with the folder of the credentials that systemd passes to a service.
pub(super) const CREDENTIALS_DIRECTORY: &str = "CREDENTIALS_DIRECTORY";

/// The name of the setting that this variable gives, known or not; `None` for variables of others: the tests', which share
/// the prefix, and those that Kubernetes sets.
pub(super) fn setting_of(variable: &str, value: &str) -> Option<String> {
    let variable = variable.to_ascii_lowercase();
    let name = variable.strip_prefix(PREFIX)?;
    (!name.starts_with("test_") && !is_set_by_kubernetes(name, value)).then(|| name.to_owned())
}

/// Whether Kubernetes has set this variable, for a Service in the same namespace whose name is `stocktide` or begins with
/// `stocktide-`. Both name and value have the form that it gives them, so a mistyped setting is still found.
fn is_set_by_kubernetes(name: &str, value: &str) -> bool {
    let is_number = |text: &str| text.parse::<u16>().is_ok();
    let is_url = ["tcp://", "udp://", "sctp://"].iter().any(|scheme| value.starts_with(scheme));
    let words: Vec<&str> = name.split('_').collect();
    let is_ending = |words: &[&str]| match words {
        ["service", "host"] => value.parse::<IpAddr>().is_ok(),
        // Followed by the port's own name, if it has one.
        ["service", "port", ..] => is_number(value),
        ["port"] => is_url,
        ["port", number, "tcp" | "udp" | "sctp"] => is_number(number) && is_url,
        ["port", number, "tcp" | "udp" | "sctp", "proto" | "port" | "addr"] => is_number(number),
        _ => false,
    };
    (0..words.len()).any(|from| words.get(from..).is_some_and(is_ending))
}

/// Reads secrets from files: `in_files` has their settings, each with the setting that names the file. Systemd's credentials
/// are added for those that are given in no other way; `LoadCredential=stocktide:FOLDER` names them `stocktide_NAME`.
///
/// # Errors
/// The setting and what is wrong: a secret is given twice, or its file cannot be read or is empty.
pub(super) fn read_secrets(
    given: &mut BTreeMap<String, String>,
    in_files: &[(&'static str, &'static str)],
    credentials: Option<&Path>,
) -> Result<(), (&'static str, String)> {
    let is_given = |given: &BTreeMap<String, String>, name: &str| given.get(name).is_some_and(|value| !value.trim().is_empty());
    for &(name, in_file) in in_files {
        if is_given(given, in_file) {
            // It may be created, so it is read later.
            if in_file == "credential_key_file" {
                continue;
            }
            if is_given(given, name) {
                return Err((in_file, format!("{name} is given as well; give only one of them")));
            }
            let path = given.get(in_file).map(|path| Path::new(path.trim()).to_owned()).unwrap_or_default();
            given.insert(name.to_owned(), content(&path).map_err(|detail| (in_file, detail))?);
        } else if !is_given(given, name)
            && let Some(path) = credentials.map(|folder| folder.join(format!("stocktide_{name}"))).filter(|path| path.exists())
        {
            given.insert(name.to_owned(), content(&path).map_err(|detail| (name, detail))?);
        }
    }
    Ok(())
}

fn content(path: &Path) -> Result<String, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("the file {} cannot be read: {error}", path.display()))?;
    match text.trim() {
        "" => Err(format!("the file {} is empty", path.display())),
        secret => Ok(secret.to_owned()),
    }
}

/// As many as the setting says; 0: one per core.
pub(super) fn threads(setting: usize) -> usize {
    if setting > 0 { setting } else { std::thread::available_parallelism().map_or(1, std::num::NonZero::get) }
}

/// The name of a node that has been given none.
pub(super) fn default_node() -> String {
    let host = std::fs::read_to_string("/etc/hostname").unwrap_or_default();
    let host = host.trim();
    format!("{}-{}", if host.is_empty() { "node" } else { host }, std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_kubernetes_sets_for_a_service_of_this_name_is_no_setting() {
        for (variable, value) in [
            ("STOCKTIDE_SERVICE_HOST", "10.96.0.12"),
            ("STOCKTIDE_SERVICE_HOST", "fd00::12"),
            ("STOCKTIDE_SERVICE_PORT", "80"),
            ("STOCKTIDE_SERVICE_PORT_HTTP", "80"),
            ("STOCKTIDE_PORT", "tcp://10.96.0.12:80"),
            ("STOCKTIDE_PORT_80_TCP", "tcp://10.96.0.12:80"),
            ("STOCKTIDE_PORT_80_TCP_PROTO", "tcp"),
            ("STOCKTIDE_PORT_80_TCP_PORT", "80"),
            ("STOCKTIDE_PORT_80_TCP_ADDR", "10.96.0.12"),
            ("STOCKTIDE_POSTGRES_PORT_5432_TCP", "tcp://10.96.0.13:5432"),
            ("STOCKTIDE_POSTGRES_SERVICE_HOST", "10.96.0.13"),
        ] {
            assert_eq!(setting_of(variable, value), None, "{variable}={value}");
        }
    }

    #[test]
    fn a_mistyped_setting_is_still_one() {
        for (variable, value, name) in [
            ("STOCKTIDE_PORT", "8080", "port"),
            ("STOCKTIDE_LISTEN_PORT", "8080", "listen_port"),
            ("STOCKTIDE_SERVICE_HOST", "stocktide.example", "service_host"),
            ("STOCKTIDE_SERVICE_PORT", "http", "service_port"),
            ("STOCKTIDE_PORT_HTTP_TCP", "tcp://10.96.0.12:80", "port_http_tcp"),
            ("STOCKTIDE_LISTEM", "127.0.0.1:1", "listem"),
            ("Stocktide_Log", "info", "log"),
        ] {
            assert_eq!(setting_of(variable, value).as_deref(), Some(name), "{variable}={value}");
        }
        assert_eq!(
            (setting_of("STOCKTIDE_TEST_REQUIRE", "all"), setting_of("STOCKTIDES_LOG", "x"), setting_of("HOME", "/")),
            (None, None, None)
        );
    }

    #[test]
    fn a_secret_is_read_from_its_file_or_from_the_credentials_of_systemd() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        let given =
            |pairs: &[(&str, String)]| pairs.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect::<BTreeMap<_, _>>();
        let (key, empty) = (write("key", "from the file\n"), write("empty", "\n"));
        write("stocktide_operator_key", "from systemd\n");
        write("stocktide_credential_key", "from systemd, too");
        let read = |pairs: &[(&str, String)], credentials| {
            let mut given = given(pairs);
            let in_files = [
                ("database_url", "database_url_file"),
                ("operator_key", "operator_key_file"),
                ("credential_key", "credential_key_file"),
                ("credential_key_previous", "credential_key_previous_file"),
            ];
            read_secrets(&mut given, &in_files, credentials).map(|()| given)
        };
        let in_file = [("operator_key_file", key.clone()), ("operator_key", String::new())];
        assert_eq!(read(&in_file, None).unwrap()["operator_key"], "from the file");
        let all = read(&in_file, Some(folder.path())).unwrap();
        assert_eq!((all["operator_key"].as_str(), all["credential_key"].as_str()), ("from the file", "from systemd, too"));
        assert_eq!(read(&[], Some(folder.path())).unwrap()["operator_key"], "from systemd");
        assert_eq!(read(&[("operator_key", "given".to_owned())], Some(folder.path())).unwrap()["operator_key"], "given");
        assert!(!read(&[("credential_key_file", "/a".to_owned())], Some(folder.path())).unwrap().contains_key("credential_key"));
        for (pairs, words) in [
            (vec![("operator_key_file", key.clone()), ("operator_key", "x".to_owned())], "give only one"),
            (vec![("database_url_file", empty)], "is empty"),
            (vec![("credential_key_previous_file", "/nowhere/at/all".to_owned())], "cannot be read"),
        ] {
            let (name, detail) = read(&pairs, None).unwrap_err();
            assert!(name == pairs[0].0 && detail.contains(words), "{name}: {detail}");
        }
    }
}
