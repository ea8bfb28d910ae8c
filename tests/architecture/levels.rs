//! Imports point down: the levels that `src/lib.rs` draws, and the frameworks that each folder may name.
use super::assert_none;
use super::source::{File, Token, repository, text_of, tokens};

/// The levels, lowest first, as `src/lib.rs` draws them: one row per level, its groups separated by `|` there. A file
/// may import from lower levels and from its own group.
const LEVELS: [&[&[&str]]; 7] = [
    &[&["domain"]],
    &[&["clock", "metrics", "traces"]],
    &[&["db"], &["platforms"], &["mail"]],
    &[&["service"]],
    &[&["actors"], &["simulator"]],
    &[&["http", "nats"], &["loadgen"]],
    &[&["lib", "main", "cli", "app", "demo", "ready", "config", "telemetry", "doc"]],
];

/// Frameworks, and the only folders that may name them, so that replacing one means changing one folder. The top level
/// wires everything together and may name all of them.
const FRAMEWORKS: [(&[&str], &[&str]); 7] = [
    (&["diesel", "diesel_migrations", "r2d2"], &["db"]),
    (&["actix"], &["actors"]),
    (&["actix_web"], &["http", "simulator"]),
    (&["async_nats"], &["nats"]),
    (&["reqwest", "rustls"], &["platforms", "loadgen"]),
    (&["lettre"], &["mail"]),
    (&["prometheus"], &["metrics"]),
];

/// Crates and keywords that the domain may not use: for waiting, randomness and logging.
const IMPURE: [&str; 10] = ["async", "await", "tokio", "futures_util", "rand", "getrandom", "tracing", "metrics", "prometheus", "actix_rt"];
/// The same for modules of the standard library.
const IMPURE_STD: [&str; 5] = ["env", "fs", "net", "process", "thread"];

/// The level and the group of a top-level module.
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
                None => "has no level: import from a named module, not from `*`, and give a new one a level in src/lib.rs and in LEVELS",
                Some((level, _)) if level > here.0 => "is on a higher level: pass in a value or a function instead, or move this file up",
                Some((level, group)) if level == here.0 && group != here.1 => {
                    "is beside this one: connect the two on a higher level, or move what both need to a lower one"
                }
                Some(_) => continue,
            };
            found.push(format!("{}:{line}: `{named}` {why}", file.path));
        }
    }
    found
}

/// The top-level modules that a source names, with lines: through `crate::`, through `super::` up to the root and, in the
/// program, through the library's name; in `use` as well as in code.
fn named_modules<'a>(module: &[&str], tokens: &'a [Token<'a>]) -> Vec<(usize, &'a str)> {
    let text = |at: usize| tokens.get(at).map_or("", |token| token.text);
    let mut found = Vec::new();
    let (mut depth, mut inline): (usize, Vec<usize>) = (0, Vec::new());
    for at in 0..tokens.len() {
        match text(at) {
            "{" => depth += 1,
            "}" => {
                depth = depth.saturating_sub(1);
                inline.retain(|opened_at| *opened_at < depth);
            }
            "mod" if text(at + 2) == "{" => inline.push(depth),
            "crate" if text(at + 1) == "::" => found.extend(first_names(tokens, at + 2)),
            "stocktide" if module == ["main"] && text(at + 1) == "::" => found.extend(first_names(tokens, at + 2)),
            "super" if at == 0 || text(at - 1) != "::" => {
                let ups = (0..).take_while(|n| text(at + 2 * n) == "super" && text(at + 2 * n + 1) == "::").count();
                let is_root = matches!(module, ["lib" | "main"]);
                if ups > 0 && ups == (if is_root { 0 } else { module.len() }) + inline.len() {
                    found.extend(first_names(tokens, at + 2 * ups));
                }
            }
            _ => {}
        }
    }
    found
}

/// The first name of a path, or of each path in a group.
fn first_names<'a>(tokens: &'a [Token<'a>], from: usize) -> Vec<(usize, &'a str)> {
    let mut rest = tokens.iter().skip(from).peekable();
    if rest.peek().is_none_or(|token| token.text != "{") {
        return rest.next().map(|token| (token.line, token.text)).into_iter().collect();
    }
    let (mut found, mut depth, mut is_first) = (Vec::new(), 0, false);
    for token in rest {
        match token.text {
            "{" => (depth, is_first) = (depth + 1, depth == 0),
            "}" if depth == 1 => break,
            "}" => depth -= 1,
            "," => is_first = depth == 1,
            name if is_first => {
                found.push((token.line, name));
                is_first = false;
            }
            _ => {}
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
            let starts_path = next(1) == "::" && (at == 0 || tokens.get(at - 1).is_none_or(|before| before.text != "::"));
            let is_wiring = place(top).is_some_and(|(level, _)| level + 1 == LEVELS.len());
            for (names, allowed) in FRAMEWORKS {
                if starts_path && names.contains(&token.text) && !allowed.contains(&top) && !is_wiring {
                    let places = allowed.join(" and ");
                    found.push(format!(
                        "{}:{}: `{}` may be named in {places} only: add a function there for this",
                        file.path, token.line, token.text
                    ));
                }
            }
            let impure = (IMPURE.contains(&token.text) && (starts_path || matches!(token.text, "async" | "await")))
                || (token.text == "std" && next(1) == "::" && IMPURE_STD.contains(&next(2)));
            if top == "domain" && impure {
                found
                    .push(format!("{}:{}: the domain may not use `{}`: pass its result as an argument", file.path, token.line, token.text));
            }
        }
    }
    found
}

/// Compares the picture in `src/lib.rs` with [`LEVELS`].
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
        let wrong =
            format!("src/lib.rs:{}: level {level} of the picture must read `{level}   {text}`, like LEVELS", line.map_or(1, |at| at + 1));
        (drawn != wanted).then_some(wrong)
    };
    LEVELS.iter().enumerate().filter_map(differs).collect()
}

#[test]
fn imports_between_levels_only_point_down() {
    assert_none(&arrows(&repository()));
}

#[test]
fn an_import_up_or_across_is_found_however_it_is_written() {
    let at = |path: &str, text: &str| arrows(&[File::new(path, text)]);
    for bad in [
        "use crate::actors::Handle;",
        "use crate::service::settings;",
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
    assert_none(&at("src/service/settings.rs", "use crate::{db::Db, platforms::client::Client};"));
    assert_eq!(at("src/service/settings.rs", "use crate::actors::Handle;").len(), 1);
    assert_eq!(at("src/main.rs", "fn main() { stocktide::nowhere::f() }").len(), 1);
    assert_eq!(at("src/elsewhere.rs", "").len(), 1, "a module without a level");
}

#[test]
fn the_picture_in_the_library_docs_shows_the_checked_levels() {
    assert_none(&picture(&text_of(&repository(), "src/lib.rs")));
    assert_eq!(picture("//! 0   domain\n//! 1   clock metrics traces\n//! 2   db platforms\n").len(), 5);
}

#[test]
fn frameworks_stay_in_their_folders_and_the_domain_is_pure() {
    assert_none(&frameworks(&repository()));
    let at = |path: &str, text: &str| frameworks(&[File::new(path, text)]).len();
    assert_eq!(at("src/http/stock.rs", "use diesel::prelude::*;"), 1);
    assert_eq!(at("src/service/stores.rs", "use actix_web::HttpResponse;"), 1);
    assert_eq!(at("src/actors/node.rs", "use actix::prelude::*;"), 0);
    assert_eq!(at("src/app.rs", "use diesel::prelude::*;"), 0);
    for impure in ["pub async fn f() {}", "use std::fs::File;", "use tokio::time;", "fn f() -> f64 { rand::random() }"] {
        assert_eq!(at("src/domain/retry.rs", impure), 1, "{impure}");
    }
}
