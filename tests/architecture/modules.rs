//! Which file a path in the source leads to: through `crate`, `self` and `super`, imports, re-exports and globs, to the
//! file that defines the name.
use super::source::{File, Token, tokens, without_tests};
use std::collections::{BTreeMap, BTreeSet};

/// A path from the root of the crate.
type Path = Vec<String>;

/// One name brought into scope by a `use`.
pub struct Import {
    pub name: String,
    pub target: Path,
    pub line: usize,
    pub is_public: bool,
    pub is_glob: bool,
}

pub struct Module<'a> {
    pub path: &'a str,
    pub name: Path,
    pub tokens: Vec<Token<'a>>,
    /// Whether a token belongs to a `use` declaration.
    pub in_use: Vec<bool>,
    /// The inline modules around each token.
    pub inline: Vec<Path>,
    pub imports: Vec<Import>,
    /// The items defined at the top of the file.
    pub defined: BTreeSet<String>,
    /// The files declared by `mod x;`, with lines.
    pub children: BTreeMap<String, usize>,
}

pub struct Modules<'a>(pub BTreeMap<Path, Module<'a>>);

/// What a path leads to.
#[derive(Debug, PartialEq, Eq)]
pub enum Target {
    Module(Path),
    /// An item of the file of this module.
    Item(Path),
    /// Nothing in this crate.
    Elsewhere,
}

impl<'a> Modules<'a> {
    /// Reads the files under `src` without their tests.
    pub fn of(files: &'a [File]) -> Self {
        let sources = files.iter().filter(|file| !file.is_test() && file.path != "src/lib.rs");
        let mut all = Self(sources.filter_map(|file| Some((owned(&file.module()?), file))).map(read).collect());
        let names: BTreeSet<Path> = all.0.keys().cloned().collect();
        for module in all.0.values_mut() {
            module.children.retain(|child, _| names.contains(&joined(&module.name, child)));
        }
        let imports: Vec<(Path, Vec<Import>)> = all.0.iter().map(|(name, module)| (name.clone(), all.imports(module))).collect();
        for (name, imports) in imports {
            if let Some(module) = all.0.get_mut(&name) {
                module.imports = imports;
            }
        }
        all
    }

    fn imports(&self, module: &Module<'_>) -> Vec<Import> {
        let mut found = Vec::new();
        let text = |at: usize| module.tokens.get(at).map_or("", |token| token.text);
        let starts = (0..module.tokens.len()).filter(|at| text(*at) == "use" && module.in_use.get(*at) == Some(&true));
        for at in starts {
            let is_public = at > 0 && matches!(text(at - 1), "pub" | ")");
            let mut leaves = Vec::new();
            use_tree(&module.tokens, at + 1, &[], &mut leaves);
            for (path, name, line) in leaves {
                let path: Vec<&str> = path.iter().map(String::as_str).collect();
                let Some(target) = module.absolute(at, &path) else { continue };
                found.push(Import { is_glob: name == "*", name, target, line, is_public });
            }
        }
        found
    }

    /// Follows modules, then imports, to the file that defines the path's first item.
    pub fn resolve(&self, path: &[String]) -> Target {
        self.resolve_within(path, 16)
    }

    fn resolve_within(&self, path: &[String], steps: usize) -> Target {
        let known = (0..=path.len()).rev().find(|length| path.get(..*length).is_some_and(|start| self.0.contains_key(start)));
        let Some((start, rest)) = known.and_then(|length| path.split_at_checked(length)) else { return Target::Elsewhere };
        let (Some(module), Some(next_step)) = (self.0.get(start), steps.checked_sub(1)) else { return Target::Elsewhere };
        let Some((item, _)) = rest.split_first() else { return Target::Module(start.to_vec()) };
        if module.defined.contains(item) {
            return Target::Item(start.to_vec());
        }
        let follow = |target: &[String], rest: &[String]| self.resolve_within(&[target, rest].concat(), next_step);
        if let Some(import) = module.imports.iter().find(|import| !import.is_glob && import.name == *item) {
            return follow(&import.target, rest.get(1..).unwrap_or_default());
        }
        for glob in module.imports.iter().filter(|import| import.is_glob && import.target != start) {
            if self.0.get(&glob.target).is_some_and(|other| other.exports(item)) {
                return follow(&glob.target, rest);
            }
        }
        // Made by a macro, say.
        Target::Item(start.to_vec())
    }
}

impl Module<'_> {
    /// A path as written at a token, from the root; none if it starts with another crate or a local item.
    pub fn absolute(&self, at: usize, path: &[&str]) -> Option<Path> {
        let mut base = self.name.clone();
        base.extend(self.inline.get(at).cloned().unwrap_or_default());
        let (first, rest) = path.split_first()?;
        let rest = match *first {
            "crate" => {
                base.clear();
                rest
            }
            "self" => rest,
            "super" => {
                let ups = path.iter().take_while(|part| **part == "super").count();
                base.truncate(base.len().checked_sub(ups)?);
                path.get(ups..)?
            }
            child if self.children.contains_key(child) => path,
            _ => return None,
        };
        base.extend(owned(rest));
        Some(base)
    }

    fn exports(&self, item: &str) -> bool {
        self.defined.contains(item) || self.imports.iter().any(|import| import.name == item)
    }
}

fn owned(parts: &[&str]) -> Path {
    parts.iter().map(|part| (*part).to_owned()).collect()
}

fn joined(path: &[String], name: &str) -> Path {
    [path, &[name.to_owned()]].concat()
}

fn read<'a>((name, file): (Path, &'a File)) -> (Path, Module<'a>) {
    const ITEMS: [&str; 9] = ["struct", "enum", "union", "fn", "trait", "type", "const", "static", "mod"];
    let tokens = without_tests(&tokens(&file.text));
    let text = |at: usize| tokens.get(at).map_or("", |token| token.text);
    let (mut defined, mut children) = (BTreeSet::new(), BTreeMap::new());
    let (mut in_use, mut inline) = (Vec::new(), Vec::new());
    let (mut depth, mut around, mut using): (usize, Vec<(usize, String)>, bool) = (0, Vec::new(), false);
    for at in 0..tokens.len() {
        // Not the `use<'a>` of a return type.
        using = using || (text(at) == "use" && text(at + 1) != "<");
        in_use.push(using);
        inline.push(around.iter().map(|(_, name)| name.clone()).collect());
        match text(at) {
            ";" => using = false,
            "{" => depth += 1,
            "}" => {
                depth = depth.saturating_sub(1);
                around.retain(|(opened_at, _)| *opened_at < depth);
            }
            "mod" if text(at + 2) == ";" && depth == 0 => {
                children.insert(text(at + 1).to_owned(), tokens.get(at).map_or(1, |token| token.line));
            }
            "mod" if text(at + 2) == "{" => {
                around.push((depth, text(at + 1).to_owned()));
                if depth == 0 {
                    defined.insert(text(at + 1).to_owned());
                }
            }
            "macro_rules" => {
                defined.insert(text(at + 2).to_owned());
            }
            item if depth == 0 && ITEMS.contains(&item) && text(at + 1) != "fn" => {
                defined.insert(text(at + 1 + usize::from(text(at + 1) == "mut")).to_owned());
            }
            _ => {}
        }
    }
    let module = Module { path: &file.path, name: name.clone(), tokens, in_use, inline, imports: Vec::new(), defined, children };
    (name, module)
}

/// The leaves of a `use` tree that starts at a token: path, name in scope, line. Returns the index after the tree.
fn use_tree(tokens: &[Token<'_>], from: usize, before: &[String], found: &mut Vec<(Path, String, usize)>) -> usize {
    let (mut path, mut at) = (before.to_vec(), from);
    while let Some(token) = tokens.get(at) {
        match token.text {
            "::" => at += 1,
            "{" => {
                at += 1;
                while tokens.get(at).is_some_and(|token| token.text != "}") {
                    at = use_tree(tokens, at, &path, found);
                    at += usize::from(tokens.get(at).is_some_and(|token| token.text == ","));
                }
                return at + 1;
            }
            "*" => {
                found.push((path, "*".to_owned(), token.line));
                return at + 1;
            }
            "as" => {
                let name = tokens.get(at + 1).map_or("", |token| token.text);
                found.push((path, name.to_owned(), token.line));
                return at + 2;
            }
            "self" if !path.is_empty() => at += 1,
            ";" | "," | "}" => {
                let line = tokens.get(at - 1).map_or(1, |token| token.line);
                let name = path.last().cloned().unwrap_or_default();
                found.push((path, name, line));
                return at;
            }
            part => {
                path.push(part.to_owned());
                at += 1;
            }
        }
    }
    at
}

#[test]
fn a_path_leads_to_the_file_that_defines_the_name() {
    let files = [
        File::new(
            "src/db/mod.rs",
            "mod error; mod rows; pub use error::{Error, Result as Answer}; pub use rows::*; made!(Id); use std::fmt;",
        ),
        File::new("src/db/error.rs", "pub struct Error; pub type Result = (); macro_rules! fail {} pub(crate) use fail;"),
        File::new("src/db/rows.rs", "pub mod inner { pub fn f() {} } pub const fn row() {}"),
        File::new("src/db/rows/tests.rs", "pub struct Nowhere;"),
    ];
    let modules = Modules::of(&files);
    let resolve = |path: &str| modules.resolve(&path.split("::").map(str::to_owned).collect::<Vec<_>>());
    let item = |path: &str| Target::Item(path.split("::").map(str::to_owned).collect());
    for (path, target) in [
        ("db::Error", item("db::error")),
        ("db::Answer", item("db::error")),
        ("db::error::fail", item("db::error")),
        ("db::row", item("db::rows")),
        ("db::rows::inner::f", item("db::rows")),
        ("db::Id", item("db")),
        ("http::Error", Target::Elsewhere),
    ] {
        assert_eq!(resolve(path), target, "{path}");
    }
    assert_eq!(resolve("db::rows"), Target::Module(vec!["db".to_owned(), "rows".to_owned()]));
}
