//! Reference documentation: a section for each kind of problem, a sentence for each setting, guides whose paths exist.
use super::assert_none;
use super::source::{File, repository, text_of};
use std::path::Path;

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
                "src/http/error.rs:{}: add `{}` to src/doc/errors.md: what it means and what the client does next",
                kind.0,
                heading(kind)
            )
        })
        .collect();
    for (index, line) in errors_md.lines().enumerate().filter(|(_, line)| line.starts_with("## ")) {
        if !kinds.iter().any(|kind| heading(kind) == line) {
            found.push(format!("src/doc/errors.md:{}: `{line}` is not a kind in src/http/error.rs: remove or correct it", index + 1));
        }
    }
    if kinds.is_empty() {
        found.push("src/http/error.rs:1: KINDS not found; update tests/architecture/reference.rs if it has moved".to_owned());
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
            found.push(format!("src/config.rs:{line}: `{name}` is never read: use it or remove it"));
        }
    }
    if rows.is_empty() {
        found.push("src/config.rs:1: SETTINGS not found; update tests/architecture/reference.rs if it has moved".to_owned());
    }
    found
}

/// Paths that a guide names and that do not exist; those of its examples contain `acme` or a date in the future.
fn dead_paths(files: &[File], exists: impl Fn(&str) -> bool) -> Vec<String> {
    const EXAMPLES: [&str; 2] = ["acme", "2027-"];
    let mut found = Vec::new();
    for file in files.iter().filter(|file| file.path.ends_with(".md") && !file.path.contains('/')) {
        for (index, line) in file.text.lines().enumerate() {
            let words = line.split(|c: char| c.is_whitespace() || "`()[],;:*#".contains(c)).map(|word| word.trim_end_matches(['.', '/']));
            let paths =
                words.filter(|word| ["src/", "tests/", "migrations/", "benches/", ".ci/"].iter().any(|start| word.starts_with(start)));
            let wanted = paths.filter(|path| !EXAMPLES.iter().any(|example| path.contains(example)));
            found.extend(wanted.filter(|path| !exists(path)).map(|path| format!("{}:{}: `{path}` does not exist", file.path, index + 1)));
        }
    }
    found
}

/// Tests that `src/doc/faults.md` names as `suite path::name` and that are not there; a name may end with an ellipsis.
fn missing_tests(faults_md: &str, files: &[File]) -> Vec<String> {
    let mut found = Vec::new();
    for (index, line) in faults_md.lines().enumerate() {
        let mut suite = "";
        for code in line.split('`').skip(1).step_by(2) {
            let Some((named_suite, path)) = code.split_once(' ').or_else(|| code.strip_prefix("::").map(|name| (suite, name))) else {
                continue;
            };
            let start = [format!("tests/{named_suite}/"), format!("tests/{named_suite}.rs")];
            let mut sources =
                files.iter().filter(|file| file.is_rust() && start.iter().any(|start| file.path.starts_with(start))).peekable();
            if path.contains(' ') || sources.peek().is_none() {
                continue;
            }
            suite = named_suite;
            let name = path.rsplit("::").next().unwrap_or_default();
            let function = name.strip_suffix('…').map_or_else(|| format!("fn {name}("), |start| format!("fn {start}"));
            if !sources.any(|file| file.text.contains(&function) || file.path.ends_with(&format!("/{name}.rs"))) {
                found.push(format!("src/doc/faults.md:{}: there is no test `{code}` in tests/{suite}", index + 1));
            }
        }
    }
    found
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
fn every_setting_is_described_and_used() {
    assert_none(&setting_docs(&text_of(&repository(), "src/config.rs")));
    let table = "pub const SETTINGS: &[Setting] = &[\n    text(\"log\", \"info\", \"filter\", \"What is logged.\"),\n];\n";
    assert_none(&setting_docs(&format!("{table}get(\"log\")")));
    assert_eq!(setting_docs(table).len(), 1, "never read");
    assert_eq!(setting_docs(&format!("{}get(\"log\")", table.replace("What is logged.", ""))).len(), 1, "not described");
    assert_eq!(setting_docs("").len(), 1);
}

#[test]
fn every_path_in_a_guide_exists() {
    assert_none(&dead_paths(&repository(), |path| Path::new(env!("CARGO_MANIFEST_DIR")).join(path).exists()));
    let found = |text: &str| dead_paths(&[File::new("CONTRIBUTING.md", text)], |path| path == "src/db" || path == "tests/a.sh").len();
    assert_eq!(found("In `src/db/`, run `tests/a.sh 60`, or see [this](src/db). Create `src/platforms/acme.rs`."), 0);
    assert_eq!(found("See `src/nowhere.rs` and [that](tests/gone)."), 2);
}

#[test]
fn every_test_named_for_a_fault_exists() {
    let files = repository();
    assert_none(&missing_tests(&text_of(&files, "src/doc/faults.md"), &files));
    let suite = [File::new("tests/api/keys.rs", "fn a_wrong_key_is_refused() {}\nfn a_key() {}")];
    assert_none(&missing_tests(
        "| `api keys::a_wrong_key_is_refused`, `::a_key`, `::a_wr…`, `api keys`, `kill -9`, `stocktide load --x` |",
        &suite,
    ));
    assert_eq!(missing_tests("| `api keys::a_right_key`, `::another` |", &suite).len(), 2);
}
