//! What the lock file brings in: every crate's licence is one that we may pass on, every crate comes from the one registry,
//! and which crates are there in several versions is printed (`cargo test --test dependencies -- --nocapture`). Asks
//! cargo alone, offline. Known weaknesses of crates are not looked for: that needs a database from elsewhere.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on should say so at once")]

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// Licences that ask for no more than that their text and the authors' names are passed on.
const PERMISSIVE: [&str; 11] = [
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "MIT",
    "PostgreSQL",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];
/// Crates with a licence that asks for more, and why they may stay.
const EXCEPTIONS: [(&str, &str); 2] = [
    ("webdriver", "MPL-2.0, which binds its own files alone; only the console's tests use it"),
    ("jsonpath-rust", "ships the text of MIT without naming it; only the tests that read published descriptions use it"),
];

/// The crates that a build, a test or a bench of this package uses.
fn crates() -> Vec<Value> {
    let cargo = Command::new(env!("CARGO"))
        .args(["metadata", "--locked", "--offline", "--format-version", "1", "--filter-platform", "x86_64-unknown-linux-gnu"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(cargo.status.success(), "{}", String::from_utf8_lossy(&cargo.stderr));
    let told: Value = serde_json::from_slice(&cargo.stdout).unwrap();
    told["packages"].as_array().unwrap().iter().filter(|package| package["source"].is_string()).cloned().collect()
}

/// Whether an SPDX expression leaves a choice that is permissive; AND binds closer than OR, and `/` is an old OR.
fn is_permissive(expression: &str) -> bool {
    let expression = expression.replace('/', " OR ");
    match expression.split_once('(') {
        None => expression.split(" OR ").any(|choice| choice.split(" AND ").all(|licence| PERMISSIVE.contains(&licence.trim()))),
        // What stands in brackets becomes a licence that is surely permissive, or surely none.
        Some((before, rest)) => {
            let (inner, after) = rest.split_once(')').unwrap_or((rest, ""));
            is_permissive(&format!("{before}{}{after}", if is_permissive(inner) { "MIT" } else { "none" }))
        }
    }
}

#[test]
fn every_crate_may_be_passed_on_and_comes_from_the_registry() {
    for package in crates() {
        let (name, licence) = (package["name"].as_str().unwrap(), package["license"].as_str().unwrap_or("none"));
        let excepted = EXCEPTIONS.iter().any(|(exception, _)| *exception == name);
        assert!(is_permissive(licence) || excepted, "{name} is under {licence}: use another crate, or say in EXCEPTIONS why it may stay");
        let source = package["source"].as_str().unwrap();
        assert!(source.starts_with("registry+"), "{name} comes from {source}: use a published version");
    }
}

#[test]
fn an_expression_is_read_as_it_is_written() {
    for good in ["MIT", "GPL-3.0 OR MIT", "Unlicense/MIT", "(MIT OR GPL-3.0) AND BSD-3-Clause", "Apache-2.0 WITH LLVM-exception"] {
        assert!(is_permissive(good), "{good}");
    }
    for bad in ["", "none", "GPL-3.0", "MIT AND GPL-3.0", "(MIT AND GPL-3.0) OR AGPL-3.0", "MPL-2.0", "(MIT OR Apache-2.0) AND GPL-2.0"] {
        assert!(!is_permissive(bad), "{bad}");
    }
}

#[test]
fn crates_in_several_versions_are_listed_and_do_not_get_many_more() {
    let mut versions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for package in crates() {
        let [name, version] = ["name", "version"].map(|member| package[member].as_str().unwrap().to_owned());
        versions.entry(name).or_default().insert(version);
    }
    versions.retain(|_, versions| versions.len() > 1);
    for (name, versions) in &versions {
        println!("{name}: {}", versions.iter().cloned().collect::<Vec<_>>().join(", "));
    }
    // Most are between one generation of a framework and the next; each one more is compiled once more.
    assert!(versions.len() <= 40, "{} crates are there in several versions: {:?}", versions.len(), versions.keys());
}
