//! Reads the repository as text and checks the structure that `src/lib.rs` draws, and the rules that keep it readable.
//!
//! Every check is a pure function from files to findings. One test runs it over the repository, another over examples
//! that must fail and examples that must pass, so that each check is known to find something. A finding names file and
//! line and says what to do. What the compiler or clippy can check is left to them.
#![expect(clippy::unwrap_used, reason = "a test that cannot continue should fail at once")]

#[path = "architecture/circles.rs"]
mod circles;
#[path = "architecture/database.rs"]
mod database;
#[path = "architecture/files.rs"]
mod files;
#[path = "architecture/levels.rs"]
mod levels;
#[path = "architecture/migrations.rs"]
mod migrations;
#[path = "architecture/modules.rs"]
mod modules;
#[path = "architecture/reference.rs"]
mod reference;
#[path = "architecture/source.rs"]
mod source;

use std::fmt::Write as _;

fn assert_none(findings: &[String]) {
    let mut text = String::new();
    for finding in findings {
        writeln!(text, "  {finding}").unwrap();
    }
    assert!(findings.is_empty(), "{} to fix:\n{text}", findings.len());
}
