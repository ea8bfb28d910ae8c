//! What the lock file brings in: every crate has a licence that permits redistribution and comes from the registry, and
//! crates present in several versions are printed (`cargo test --test dependencies -- --nocapture`). Only asks cargo,
//! offline. Known vulnerabilities are not checked: that would need an external database.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on should say so at once")]

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// Licences that require no more than passing on their text and the copyright notices.
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
/// Crates whose licence requires more, and why they may stay.
const EXCEPTIONS: [(&str, &str); 2] = [
    ("webdriver", "MPL-2.0, which covers only its own files; used by the console's tests alone"),
    ("jsonpath-rust", "ships the MIT licence text without naming it; used only by the tests that read published descriptions"),
];

/// The crates that a build, a test or a bench of this package uses.
fn crates() -> Vec<Value> {
    let cargo = Command::new(env!("CARGO"))
        .args(["metadata", "--locked", "--offline", "--format-version", "1", "--filter-platform", "x86_64-unknown-linux-gnu"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(cargo.status.success(), "{}", String::from_utf8_lossy(&cargo.stderr));
    let metadata: Value = serde_json::from_slice(&cargo.stdout).unwrap();
    metadata["packages"].as_array().unwrap().iter().filter(|package| package["source"].is_string()).cloned().collect()
}

/// Whether an SPDX expression offers a permissive choice; AND binds tighter than OR, and `/` is an old form of OR.
fn is_permissive(expression: &str) -> bool {
    let expression = expression.replace('/', " OR ");
    match expression.split_once('(') {
        None => expression.split(" OR ").any(|choice| choice.split(" AND ").all(|licence| PERMISSIVE.contains(&licence.trim()))),
        // A parenthesis is replaced by a licence that is known to be permissive, or by none.
        Some((before, rest)) => {
            let (inner, after) = rest.split_once(')').unwrap_or((rest, ""));
            is_permissive(&format!("{before}{}{after}", if is_permissive(inner) { "MIT" } else { "none" }))
        }
    }
}

#[test]
fn every_crate_may_be_redistributed_and_comes_from_the_registry() {
    for package in crates() {
        let (name, licence) = (package["name"].as_str().unwrap(), package["license"].as_str().unwrap_or("none"));
        let excepted = EXCEPTIONS.iter().any(|(exception, _)| *exception == name);
        assert!(is_permissive(licence) || excepted, "{name} is under {licence}: use another crate, or say in EXCEPTIONS why it may stay");
        let source = package["source"].as_str().unwrap();
        assert!(source.starts_with("registry+"), "{name} comes from {source}: use a published version");
    }
}

#[test]
fn licence_expressions_are_understood() {
    for good in ["MIT", "GPL-3.0 OR MIT", "Unlicense/MIT", "(MIT OR GPL-3.0) AND BSD-3-Clause", "Apache-2.0 WITH LLVM-exception"] {
        assert!(is_permissive(good), "{good}");
    }
    for bad in ["", "none", "GPL-3.0", "MIT AND GPL-3.0", "(MIT AND GPL-3.0) OR AGPL-3.0", "MPL-2.0", "(MIT OR Apache-2.0) AND GPL-2.0"] {
        assert!(!is_permissive(bad), "{bad}");
    }
}

#[test]
fn crates_in_several_versions_are_listed_and_stay_few() {
    let mut versions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for package in crates() {
        let [name, version] = ["name", "version"].map(|member| package[member].as_str().unwrap().to_owned());
        versions.entry(name).or_default().insert(version);
    }
    versions.retain(|_, versions| versions.len() > 1);
    for (name, versions) in &versions {
        println!("{name}: {}", versions.iter().cloned().collect::<Vec<_>>().join(", "));
    }
    // Most belong to two generations of a framework; every additional version has to be compiled too.
    assert!(versions.len() <= 40, "{} crates are present in several versions: {:?}", versions.len(), versions.keys());
}
