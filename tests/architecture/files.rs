//! Checks of single files: module docs, length, name, and words that may not appear.
use super::assert_none;
use super::source::{File, repository};

/// The most lines a source file may have, its tests included: what a reader can follow in one sitting.
const MAX_LINES: usize = 400;
/// The same for contract tests, which are sentences and are read one by one.
const MAX_CONTRACT_LINES: usize = 650;
/// Exceptions, none of them under `src`: file, limit, and why the file is not split.
const LONGER: [(&str, usize, &str); 3] = [
    ("tests/simulation/checker.rs", 690, "the invariants, one after another"),
    ("tests/simulation/story.rs", 720, "everything that may happen in a story, drawn in one place"),
    ("tests/simulation/world.rs", 820, "the world in which a story happens"),
];

/// Module names that say nothing about the contents.
const EMPTY_NAMES: [&str; 6] = ["utils", "util", "common", "helpers", "manager", "misc"];

/// Words that betray a literal translation, and how often each may appear in `src`.
const RARE_WORDS: [(&str, usize); 1] = [("told", 1)];

fn module_docs(files: &[File]) -> Vec<String> {
    let is_silent = |file: &&File| !file.text.starts_with("//! ");
    let say = |file: &File| format!("{}:1: start with `//!`: what this is, who uses it, what it does not do", file.path);
    files.iter().filter(|file| file.is_rust()).filter(is_silent).map(say).collect()
}

fn lengths(files: &[File]) -> Vec<String> {
    let mut found = Vec::new();
    for file in files.iter().filter(|file| file.is_rust()) {
        let lines = file.text.lines().count();
        let longer = LONGER.iter().find(|(path, ..)| *path == file.path);
        let usual = if file.path.starts_with("tests/contract/") { MAX_CONTRACT_LINES } else { MAX_LINES };
        let most = longer.map_or(usual, |(_, most, _)| *most);
        if lines > most {
            found.push(format!("{}:{lines}: more than {most} lines: split it by subject", file.path));
        } else if longer.is_some() && lines <= usual {
            found.push(format!("{}:{lines}: now short enough: remove it from LONGER in tests/architecture/files.rs", file.path));
        }
    }
    found
}

fn names(files: &[File]) -> Vec<String> {
    let is_empty = |file: &&File| file.module().is_some_and(|module| module.iter().any(|part| EMPTY_NAMES.contains(part)));
    let say = |file: &File| format!("{}:1: name it after its contents; if that is hard, they do not belong together", file.path);
    files.iter().filter(is_empty).map(say).collect()
}

fn banned_words(files: &[File]) -> Vec<String> {
    // Each in two halves, so that this file does not find itself.
    let banned = [
        (concat!("to", "do!"), "write it, or leave it out"),
        (concat!("unimple", "mented!"), "write it, or leave it out"),
        (concat!("db", "g!("), "remove it, or use tracing"),
        (concat!("FIX", "ME"), "fix it, or say in plain words what is not done and why"),
        (concat!("TO", "DO"), "do it, or say in plain words what is not done and why"),
        (concat!("XX", "X"), "fix it, or say in plain words what is not done and why"),
        (concat!("#[al", "low("), "use #[expect(.., reason = \"..\")], which warns when it is no longer needed"),
        (concat!("/ro", "ot/"), "no path of one machine: take it from the environment, or use a temporary folder"),
        (concat!("/wo", "rk/"), "no path of one machine: take it from the environment, or use a temporary folder"),
        (concat!("/ho", "me/"), "no path of one machine: take it from the environment, or use a temporary folder"),
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

fn rare_words(files: &[File]) -> Vec<String> {
    let mut found = Vec::new();
    for (rare, most) in RARE_WORDS {
        let mut places = Vec::new();
        for file in files.iter().filter(|file| file.path.starts_with("src/")) {
            for (index, line) in file.text.lines().enumerate() {
                let words = line.split(|c: char| !c.is_alphabetic()).filter(|word| word.eq_ignore_ascii_case(rare));
                places.extend(words.map(|_| format!("{}:{}", file.path, index + 1)));
            }
        }
        if places.len() > most {
            found.push(format!("`{rare}` appears {} times in src, at most {most} are allowed: {}", places.len(), places.join(" ")));
        }
    }
    found
}

#[test]
fn every_file_says_first_what_it_is() {
    assert_none(&module_docs(&repository()));
    assert_eq!(module_docs(&[File::new("src/a.rs", "use b;\n"), File::new("src/b.rs", "//! B.\n"), File::new("x.md", "")]).len(), 1);
}

#[test]
fn no_file_is_too_long_to_read_in_one_sitting() {
    assert_none(&lengths(&repository()));
    let of = |path: &str, lines: usize| lengths(&[File::new(path, &"\n".repeat(lines))]).len();
    assert_eq!(of("src/db/delivery.rs", MAX_LINES), 0);
    assert_eq!(of("src/db/delivery.rs", MAX_LINES + 1), 1);
    assert_eq!(of("tests/contract/delivery.rs", MAX_LINES + 1), 0);
    assert_eq!(of("tests/contract/delivery.rs", MAX_CONTRACT_LINES + 1), 1);
    for (path, most, _) in LONGER {
        assert_eq!((of(path, MAX_LINES), of(path, most), of(path, most + 1)), (1, 0, 1), "{path}");
        assert!(!path.starts_with("src/"), "{path}");
    }
}

#[test]
fn no_module_has_a_name_that_says_nothing() {
    assert_none(&names(&repository()));
    assert_eq!(names(&[File::new("src/db/utils.rs", ""), File::new("src/db/stock.rs", "")]).len(), 1);
}

#[test]
fn nothing_unfinished_or_private_is_left_in_the_repository() {
    assert_none(&banned_words(&repository()));
    let bad = File::new("src/a.rs", concat!("fn f() { to", "do!() }\n// /ro", "ot/x\n"));
    assert_eq!(banned_words(&[bad]).len(), 2);
}

#[test]
fn words_of_a_literal_translation_are_rare() {
    assert_none(&rare_words(&repository()));
    let of = |times: usize| rare_words(&[File::new("src/a.rs", &"is Told, retold\n".repeat(times))]).len();
    assert_eq!((of(1), of(2)), (0, 1));
    assert_none(&rare_words(&[File::new("tests/a.rs", &"told ".repeat(30))]));
}
