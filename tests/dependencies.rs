//! Crates present in several versions, printed by `cargo test --test dependencies -- --nocapture`. Only asks cargo, offline.
//! Licences, sources, banned crates and known vulnerabilities: `tests/dependencies.sh`.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on should say so at once")]

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

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
