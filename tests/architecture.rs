//! Reads the sources as text and holds them to the shape that `src/lib.rs` draws: arrows between levels, module docs,
//! file length, migrations in pairs, a page for every problem kind, words that must not stand anywhere.
//!
//! Every check is a pure function from files to findings. One test runs it over the repository, another over a bad
//! example, so that no check is one that cannot fail. A finding names file and line and says what to do. What the
//! compiler or clippy can see is left to them.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say so at once")]

#[path = "architecture/source.rs"]
mod source;

use source::{File, named_modules, repository, tokens};
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// The levels, lowest first, as `src/lib.rs` draws them: a group a line, groups divided by `|`. A file may name what
/// is below its level and what is in its own group.
const LEVELS: [&[&[&str]]; 7] = [
    &[&["domain"]],
    &[&["clock"]],
    &[&["db"], &["platforms"]],
    &[&["service"]],
    &[&["actors"], &["simulator"]],
    &[&["http"], &["loadgen"]],
    &[&["lib", "main", "cli", "app", "demo", "config", "telemetry", "doc"]],
];

/// Frameworks, and where alone they may be named: whoever wants to replace one has one folder to look at. The top
/// level wires everything, so it may name all of them.
const FRAMEWORKS: [(&[&str], &[&str]); 4] = [
    (&["diesel", "diesel_migrations", "r2d2"], &["db"]),
    (&["actix"], &["actors"]),
    (&["actix_web"], &["http", "simulator"]),
    (&["reqwest", "rustls"], &["platforms", "loadgen"]),
];

/// What the rules may not know: waiting, chance, the machine.
const IMPURE: [&str; 9] = ["async", "await", "tokio", "futures_util", "rand", "getrandom", "tracing", "metrics", "actix_rt"];
/// The same, of the standard library.
const IMPURE_STD: [&str; 5] = ["env", "fs", "net", "process", "thread"];

/// Lines that a file may have, its tests among them: what a reader takes in at one sitting.
const MOST_LINES: usize = 500;
/// The same for contract tests, which are sentences and are read one by one.
const MOST_CONTRACT_LINES: usize = 700;
/// Longer ones: file, lines, why it is not cut.
const LONGER: [(&str, usize, &str); 7] = [
    ("src/actors/store.rs", 600, "the actor and its one claim: who waits for whom is one story"),
    ("src/db/delivery.rs", 800, "claiming and finishing are one invariant: what is `sending` has exactly one way in and one way out"),
    ("src/domain/push.rs", 620, "the whole life of a push: a state machine reads worse in pieces"),
    ("tests/simulation/checker.rs", 700, "the invariants, one after another"),
    ("tests/simulation/story.rs", 700, "all that may happen in a story, drawn in one place"),
    ("tests/simulation/world.rs", 800, "the world that a story is told in"),
    ("src/simulator/mod.rs", 660, "one protocol with all its faults; shares no code with its connector on purpose"),
];

/// Module names that say nothing about what is inside.
const EMPTY_NAMES: [&str; 6] = ["utils", "util", "common", "helpers", "manager", "misc"];

fn assert_none(findings: &[String]) {
    let mut text = String::new();
    for finding in findings {
        writeln!(text, "  {finding}").unwrap();
    }
    assert!(findings.is_empty(), "{} to mend:\n{text}", findings.len());
}

/// Level and group of a top module.
fn place(module: &str) -> Option<(usize, usize)> {
    LEVELS
        .iter()
        .enumerate()
        .find_map(|(level, groups)| groups.iter().position(|group| group.contains(&module)).map(|group| (level, group)))
}

fn arrows(files: &[File]) -> Vec<String> {
    let mut found = Vec::new();
    for file in files {
        let Some(module) = file.module() else { continue };
        let Some(top) = module.first() else { continue };
        let Some(here) = place(top) else {
            found.push(format!("{}:1: `{top}` has no level; give it one in src/lib.rs and in LEVELS", file.path));
            continue;
        };
        for (line, named) in named_modules(&module, &tokens(&file.text)) {
            let why = match place(named) {
                None => "is no module of a level: name the module itself, not `*`, and give a new one a level in src/lib.rs and in LEVELS",
                Some((level, _)) if level > here.0 => "is above: pass in what is needed as a value or a function, or move this file up",
                Some((level, group)) if level == here.0 && group != here.1 => {
                    "is beside: let the two meet a level further up, or move what both need down"
                }
                Some(_) => continue,
            };
            found.push(format!("{}:{line}: `{named}` {why}", file.path));
        }
    }
    found
}

fn frameworks(files: &[File]) -> Vec<String> {
    let mut found = Vec::new();
    for file in files {
        let Some(module) = file.module() else { continue };
        let top = module.first().copied().unwrap_or_default();
        let tokens = tokens(&file.text);
        for (at, token) in tokens.iter().enumerate() {
            let next = |n: usize| tokens.get(at + n).map_or("", |token| token.text);
            let begins_path = next(1) == "::" && (at == 0 || tokens.get(at - 1).is_none_or(|before| before.text != "::"));
            let is_wiring = place(top).is_some_and(|(level, _)| level + 1 == LEVELS.len());
            for (names, allowed) in FRAMEWORKS {
                if begins_path && names.contains(&token.text) && !allowed.contains(&top) && !is_wiring {
                    let places = allowed.join(" and ");
                    found.push(format!(
                        "{}:{}: `{}` is named in {places} alone: give that a function for this",
                        file.path, token.line, token.text
                    ));
                }
            }
            let impure = (IMPURE.contains(&token.text) && (begins_path || matches!(token.text, "async" | "await")))
                || (token.text == "std" && next(1) == "::" && IMPURE_STD.contains(&next(2)));
            if top == "domain" && impure {
                found.push(format!(
                    "{}:{}: `{}` has no place in the rules: pass its result in as an argument",
                    file.path, token.line, token.text
                ));
            }
        }
    }
    found
}

fn module_docs(files: &[File]) -> Vec<String> {
    let says_what_it_is = |file: &&File| !file.text.starts_with("//! ");
    let say = |file: &File| format!("{}:1: begin with `//!`: what this is, who uses it, what it does not do", file.path);
    files.iter().filter(|file| file.is_rust()).filter(says_what_it_is).map(say).collect()
}

fn lengths(files: &[File]) -> Vec<String> {
    let mut found = Vec::new();
    for file in files.iter().filter(|file| file.is_rust()) {
        let lines = file.text.lines().count();
        let longer = LONGER.iter().find(|(path, ..)| *path == file.path);
        let usual = if file.path.starts_with("tests/contract/") { MOST_CONTRACT_LINES } else { MOST_LINES };
        let most = longer.map_or(usual, |(_, most, _)| *most);
        if lines > most {
            found.push(format!("{}:{lines}: more than {most} lines: cut it where its nouns part", file.path));
        } else if longer.is_some() && lines <= usual {
            found.push(format!("{}:{lines}: short enough by now: take it out of LONGER in tests/architecture.rs", file.path));
        }
    }
    found
}

fn names(files: &[File]) -> Vec<String> {
    let empty = |file: &&File| file.module().is_some_and(|module| module.iter().any(|part| EMPTY_NAMES.contains(part)));
    files
        .iter()
        .filter(empty)
        .map(|file| format!("{}:1: name it for what is inside; if that is hard, the cut is wrong", file.path))
        .collect()
}

fn migration_pairs(files: &[File]) -> Vec<String> {
    let of = |backend: &str| -> BTreeSet<String> {
        let prefix = format!("migrations/{backend}/");
        files.iter().filter_map(|file| file.path.strip_prefix(&prefix)).map(str::to_owned).collect()
    };
    let (sqlite, postgres) = (of("sqlite"), of("postgres"));
    let mut found = Vec::new();
    if sqlite.is_empty() && postgres.is_empty() {
        found.push("migrations:1: there is no migration at all".to_owned());
    }
    for (backend, mine, others) in [("sqlite", &sqlite, &postgres), ("postgres", &postgres, &sqlite)] {
        for path in others.difference(mine) {
            found.push(format!("migrations/{backend}/{path}:1: is missing; the other backend has it, see migrations/README.md"));
        }
        for path in mine {
            let twin = match path.rsplit_once('/') {
                Some((name, "up.sql")) => format!("{name}/down.sql"),
                Some((name, "down.sql")) => format!("{name}/up.sql"),
                _ => continue,
            };
            if !mine.contains(&twin) {
                found.push(format!("migrations/{backend}/{twin}:1: is missing; every migration goes both ways"));
            }
        }
    }
    found
}

/// What the version before this one reads or writes stays as it is: it may be started again, or run beside, on these tables.
fn migrations_that_take_away(files: &[File]) -> Vec<String> {
    let ups = files.iter().filter(|file| file.path.starts_with("migrations/") && file.path.ends_with("/up.sql"));
    let mut found = Vec::new();
    for file in ups.filter(|file| !file.path.ends_with("_base/up.sql")) {
        let sql: Vec<&str> = file.text.lines().map(|line| line.split("--").next().unwrap_or_default()).collect();
        for statement in sql.join(" ").to_uppercase().split(';') {
            let takes = ["DROP TABLE", "DROP COLUMN", "RENAME ", "ALTER COLUMN"].iter().any(|words| statement.contains(words));
            let demands = statement.contains("ADD COLUMN") && statement.contains("NOT NULL") && !statement.contains("DEFAULT");
            if takes || demands {
                found.push(format!("{}: the version before this one could not go on after {}", file.path, statement.trim()));
            }
        }
    }
    found
}

/// The problem kinds that `src/http/error.rs` lists: line, status, name, title.
fn problem_kinds(source: &str) -> Vec<(usize, String, String, String)> {
    let row = |(index, line): (usize, &str)| {
        let (status, rest) = line.trim().strip_prefix('(')?.strip_suffix("),")?.split_once(", \"")?;
        let (name, title) = rest.strip_suffix('"')?.split_once("\", \"")?;
        Some((index + 1, status.to_owned(), name.to_owned(), title.to_owned()))
    };
    let table = source.lines().enumerate().skip_while(|(_, line)| !line.starts_with("pub const KINDS")).skip(1);
    table.take_while(|(_, line)| *line != "];").filter_map(row).collect()
}

fn problem_pages(errors_rs: &str, errors_md: &str) -> Vec<String> {
    let kinds = problem_kinds(errors_rs);
    let heading = |(_, status, name, title): &(usize, String, String, String)| format!("## {name}: {status}, {title}");
    let mut found: Vec<String> = kinds
        .iter()
        .filter(|kind| !errors_md.lines().any(|line| line == heading(kind)))
        .map(|kind| {
            format!(
                "src/http/error.rs:{}: write `{}` in src/doc/errors.md: what it means, what the client does next",
                kind.0,
                heading(kind)
            )
        })
        .collect();
    for (index, line) in errors_md.lines().enumerate().filter(|(_, line)| line.starts_with("## ")) {
        if !kinds.iter().any(|kind| heading(kind) == line) {
            found.push(format!("src/doc/errors.md:{}: `{line}` is no kind of src/http/error.rs: take it out or set it right", index + 1));
        }
    }
    if kinds.is_empty() {
        found.push("src/http/error.rs:1: its KINDS cannot be found; teach tests/architecture.rs where they are".to_owned());
    }
    found
}

/// The rows of the table in `src/config.rs`: line, name, the whole row.
fn settings(source: &str) -> Vec<(usize, &str, &str)> {
    let table = source.lines().enumerate().skip_while(|(_, line)| !line.starts_with("pub const SETTINGS")).skip(1);
    let row = |(index, line)| Some((index + 1, str::split(line, '"').nth(1)?, line));
    table.take_while(|(_, line)| *line != "];").filter_map(row).collect()
}

fn setting_docs(config_rs: &str) -> Vec<String> {
    let rows = settings(config_rs);
    let mut found = Vec::new();
    for (line, name, row) in &rows {
        if !row.trim_end().ends_with(".\"),") {
            found.push(format!("src/config.rs:{line}: end the row of `{name}` with a sentence that says what it does"));
        }
        if config_rs.matches(&format!("\"{name}\"")).count() < 2 {
            found.push(format!("src/config.rs:{line}: `{name}` is never read: use it or take it out"));
        }
    }
    if rows.is_empty() {
        found.push("src/config.rs:1: its SETTINGS cannot be found; teach tests/architecture.rs where they are".to_owned());
    }
    found
}

fn banned_words(files: &[File]) -> Vec<String> {
    // In two halves, so that this file does not find itself.
    let banned = [
        (concat!("to", "do!"), "write it, or leave it out"),
        (concat!("unimple", "mented!"), "write it, or leave it out"),
        (concat!("db", "g!("), "take it out, or use tracing"),
        (concat!("FIX", "ME"), "mend it, or say in plain words what is not done and why"),
        (concat!("TO", "DO"), "do it, or say in plain words what is not done and why"),
        (concat!("XX", "X"), "mend it, or say in plain words what is not done and why"),
        (concat!("#[al", "low("), "use #[expect(.., reason = \"..\")], which tells when it is no longer needed"),
        (concat!("/ro", "ot/"), "no path of somebody's machine: take it from the environment or a temporary folder"),
        (concat!("/wo", "rk/"), "no path of somebody's machine: take it from the environment or a temporary folder"),
        (concat!("/ho", "me/"), "no path of somebody's machine: take it from the environment or a temporary folder"),
        (concat!("<<<<", "<<<"), "finish the merge"),
    ];
    let mut found = Vec::new();
    for file in files {
        for (index, line) in file.text.lines().enumerate() {
            for (word, instead) in banned.iter().filter(|(word, _)| line.contains(word)) {
                found.push(format!("{}:{}: `{word}`: {instead}", file.path, index + 1));
            }
        }
    }
    found
}

/// The picture of `src/lib.rs` against [`LEVELS`].
fn picture(lib: &str) -> Vec<String> {
    let drawn = |level: usize| {
        let prefix = format!("//! {level}   ");
        let line = lib.lines().position(|line| line.starts_with(&prefix));
        let names = line.and_then(|at| lib.lines().nth(at)).and_then(|line| line.strip_prefix(&prefix)).unwrap_or_default();
        let names = names.split("   ").next().unwrap_or_default();
        let groups: Vec<Vec<&str>> = names.split(" | ").map(|group| group.split_whitespace().collect()).collect();
        (line, groups)
    };
    let differs = |(level, groups): (usize, &&[&[&str]])| {
        let (line, drawn) = drawn(level);
        let wanted: Vec<Vec<&str>> = groups.iter().map(|group| group.iter().copied().filter(|name| *name != "lib").collect()).collect();
        let text = wanted.iter().map(|group| group.join(" ")).collect::<Vec<_>>().join(" | ");
        let wrong = format!(
            "src/lib.rs:{}: level {level} of the picture is to read `{level}   {text}`, as LEVELS says",
            line.map_or(1, |at| at + 1)
        );
        (drawn != wanted).then_some(wrong)
    };
    LEVELS.iter().enumerate().filter_map(differs).collect()
}

fn text_of(files: &[File], path: &str) -> String {
    files.iter().find(|file| file.path == path).map(|file| file.text.clone()).unwrap_or_default()
}

#[test]
fn arrows_between_levels_only_point_down() {
    assert_none(&arrows(&repository()));
}

#[test]
fn an_arrow_up_or_across_is_found_however_it_is_written() {
    let at = |path: &str, text: &str| arrows(&[File::new(path, text)]);
    for bad in [
        "use crate::actors::Handle;",
        "use crate::{clock::Clock, domain::{Sku, stock}, http};",
        "fn f() { crate::platforms::registry(); }",
        "use super::super::simulator::Simulator;",
        "mod tests { use super::super::super::simulator::Simulator; }",
        "use crate::*;",
        "const C: char = '\"'; use crate::http;",
    ] {
        let findings = at("src/db/ledger.rs", bad);
        assert!(matches!(&findings[..], [one] if one.starts_with("src/db/ledger.rs:1: `")), "{bad}: {findings:?}");
    }
    for good in [
        "//! [`x`](crate::http::x)\nuse crate::{clock::Clock, domain::{Sku, stock}};",
        "use crate::db::Error; use super::connection::on; use super::super::clock;",
        "mod tests { use super::*; use super::super::Db; }",
        "const T: &str = \"crate::http\"; const R: &str = r#\"\"crate::http\"#; fn f<'a>(_: &'a str) {} /* crate::http */",
        "pub(crate) fn f() {}",
    ] {
        assert_none(&at("src/db/ledger.rs", good));
    }
    assert_eq!(at("src/main.rs", "fn main() { stocktide::nowhere::f() }").len(), 1);
    assert_eq!(at("src/elsewhere.rs", "").len(), 1, "a module without a level");
}

#[test]
fn the_picture_of_the_library_is_the_one_that_is_checked() {
    assert_none(&picture(&text_of(&repository(), "src/lib.rs")));
    assert_eq!(picture("//! 0   domain\n//! 1   clock\n//! 2   db platforms\n").len(), 5);
}

#[test]
fn frameworks_stay_in_their_folders_and_the_rules_are_pure() {
    assert_none(&frameworks(&repository()));
    let at = |path: &str, text: &str| frameworks(&[File::new(path, text)]).len();
    assert_eq!(at("src/http/stock.rs", "use diesel::prelude::*;"), 1);
    assert_eq!(at("src/actors/node.rs", "use actix::prelude::*;"), 0);
    assert_eq!(at("src/app.rs", "use diesel::prelude::*;"), 0);
    for impure in ["pub async fn f() {}", "use std::fs::File;", "use tokio::time;", "fn f() -> f64 { rand::random() }"] {
        assert_eq!(at("src/domain/retry.rs", impure), 1, "{impure}");
    }
}

#[test]
fn every_file_says_first_what_it_is() {
    assert_none(&module_docs(&repository()));
    assert_eq!(module_docs(&[File::new("src/a.rs", "use b;\n"), File::new("src/b.rs", "//! B.\n"), File::new("x.md", "")]).len(), 1);
}

#[test]
fn no_file_is_longer_than_a_reader_can_hold() {
    assert_none(&lengths(&repository()));
    let long = "\n".repeat(MOST_LINES + 1);
    assert_eq!(
        lengths(&[File::new("src/a.rs", &long), File::new("src/domain/push.rs", &long), File::new("src/db/delivery.rs", "")]).len(),
        2
    );
}

#[test]
fn no_module_is_named_for_nothing() {
    assert_none(&names(&repository()));
    assert_eq!(names(&[File::new("src/db/utils.rs", ""), File::new("src/db/stock.rs", "")]).len(), 1);
}

#[test]
fn both_backends_have_the_same_migrations_up_and_down() {
    assert_none(&migration_pairs(&repository()));
    let files = |paths: &[&str]| paths.iter().map(|path| File::new(&format!("migrations/{path}"), "")).collect::<Vec<_>>();
    assert_eq!(migration_pairs(&files(&["sqlite/1_a/up.sql", "sqlite/1_a/down.sql"])).len(), 2);
    assert_eq!(migration_pairs(&files(&["sqlite/1_a/up.sql", "postgres/1_a/up.sql"])).len(), 2);
    assert_eq!(migration_pairs(&[]).len(), 1);
}

#[test]
fn migrations_add_and_take_nothing_away_from_the_version_before() {
    assert_none(&migrations_that_take_away(&repository()));
    let found = |sql: &str| migrations_that_take_away(&[File::new("migrations/sqlite/2_b/up.sql", sql)]).len();
    assert_eq!(found("ALTER TABLE a DROP COLUMN b;\nALTER TABLE a RENAME TO b;\nALTER TABLE a ADD COLUMN c\n  BIGINT NOT NULL;"), 3);
    assert_eq!(found("ALTER TABLE a ADD COLUMN c BIGINT NOT NULL DEFAULT 0; -- DROP TABLE\nDROP INDEX d;"), 0);
}

#[test]
fn every_problem_kind_is_explained_to_clients() {
    let files = repository();
    assert_none(&problem_pages(&text_of(&files, "src/http/error.rs"), &text_of(&files, "src/doc/errors.md")));
    let source = "pub const KINDS: [(u16, &str, &str); 1] = [\n    (409, \"conflict\", \"It contradicts\"),\n];\n";
    assert_none(&problem_pages(source, "## conflict: 409, It contradicts\n"));
    assert_eq!(problem_pages(source, "## conflict: 410, It contradicts\n").len(), 2);
    assert_eq!(problem_pages("", "").len(), 1);
}

#[test]
fn every_setting_says_what_it_does_and_does_it() {
    assert_none(&setting_docs(&text_of(&repository(), "src/config.rs")));
    let table = "pub const SETTINGS: &[Setting] = &[\n    text(\"log\", \"info\", \"filter\", \"What is logged.\"),\n];\n";
    assert_none(&setting_docs(&format!("{table}get(\"log\")")));
    assert_eq!(setting_docs(table).len(), 1, "never read");
    assert_eq!(setting_docs(&format!("{}get(\"log\")", table.replace("What is logged.", ""))).len(), 1, "says nothing");
    assert_eq!(setting_docs("").len(), 1);
}

#[test]
fn nothing_unfinished_or_private_is_left_in_the_repository() {
    assert_none(&banned_words(&repository()));
    let bad = File::new("src/a.rs", concat!("fn f() { to", "do!() }\n// /ro", "ot/x\n"));
    assert_eq!(banned_words(&[bad]).len(), 2);
}
