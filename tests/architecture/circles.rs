//! No circular imports between files: understanding a file must not require understanding that same file first.
//!
//! A file depends on the file that defines a name that it uses. A `mod.rs` that only declares and re-exports its children
//! depends on none of them; but if a child uses something that the `mod.rs` itself defines, the two form a circle.
use super::assert_none;
use super::modules::{Import, Module, Modules, Target};
use super::source::{File, repository};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// From file to file: where, and by which name.
type Edges<'a> = BTreeMap<&'a str, BTreeMap<&'a str, (usize, String)>>;

/// For each file that declares others: what it defines that they use, and which of them do.
type Doors<'a> = BTreeMap<&'a str, (BTreeSet<String>, BTreeSet<String>)>;

fn edges<'a>(modules: &'a Modules<'a>) -> (Edges<'a>, Doors<'a>) {
    let (mut edges, mut doors) = (Edges::new(), Doors::new());
    for module in modules.0.values() {
        for (target, line, name) in uses(modules, module) {
            let Some(other) = modules.0.get(&target).filter(|other| other.path != module.path) else { continue };
            if module.name.starts_with(&other.name) {
                let (names, users) = doors.entry(other.path).or_default();
                names.insert(format!("`{name}`"));
                users.insert(format!("{}:{line}", module.path));
            } else {
                edges.entry(module.path).or_default().entry(other.path).or_insert((line, name));
            }
        }
    }
    (edges, doors)
}

/// The modules whose items a module uses, with lines and names.
fn uses(modules: &Modules<'_>, module: &Module<'_>) -> Vec<(Vec<String>, usize, String)> {
    let mut found = Vec::new();
    let mut add = |target: Target, line: usize, name: &str| {
        if let Target::Item(path) = target {
            found.push((path, line, name.to_owned()));
        }
    };
    let is_door = !module.children.is_empty();
    for import in &module.imports {
        match modules.resolve(&import.target) {
            Target::Module(path) if import.is_glob => {
                let Some(other) = modules.0.get(&path) else { continue };
                let mentioned = |name: &str| module.tokens.iter().any(|token| token.text == name);
                let exported = other.defined.iter().chain(other.imports.iter().map(|import| &import.name));
                for name in exported.filter(|name| mentioned(name)).filter(|_| !(is_door && import.is_public)) {
                    add(modules.resolve(&[&path[..], std::slice::from_ref(name)].concat()), import.line, name);
                }
            }
            // A `mod.rs` that only re-exports does not count itself; paths through it are followed below.
            Target::Module(path) if !is_door && modules.0.get(&path).is_some_and(|other| other.children.is_empty()) => {
                add(Target::Item(path), import.line, &import.name);
            }
            Target::Item(path) if !is_door || !import.is_public || is_mentioned(module, import) => {
                add(Target::Item(path), import.line, &import.name);
            }
            _ => {}
        }
    }
    for (at, path) in paths(module) {
        let Some(token) = module.tokens.get(at) else { continue };
        let through = path.first().and_then(|first| module.imports.iter().find(|import| !import.is_glob && import.name == *first));
        let target = match (module.absolute(at, &path), through) {
            (Some(absolute), _) => absolute,
            (None, Some(import)) => {
                let rest = path.iter().skip(1).map(|part| (*part).to_owned());
                import.target.iter().cloned().chain(rest).collect()
            }
            (None, None) => continue,
        };
        let named: Vec<&str> = path.into_iter().filter(|part| !matches!(*part, "crate" | "self" | "super")).collect();
        add(modules.resolve(&target), token.line, &named.join("::"));
    }
    found
}

fn is_mentioned(module: &Module<'_>, import: &Import) -> bool {
    module.tokens.iter().zip(&module.in_use).any(|(token, in_use)| !in_use && token.text == import.name)
}

/// The paths with two or more segments outside `use`, with the index of their first token.
fn paths<'a>(module: &Module<'a>) -> Vec<(usize, Vec<&'a str>)> {
    let text = |at: usize| module.tokens.get(at).map_or("", |token| token.text);
    let is_start = |at: &usize| text(at + 1) == "::" && (*at == 0 || text(at - 1) != "::") && module.in_use.get(*at) == Some(&false);
    let is_part = |part: &str| part.starts_with(|c: char| c.is_alphabetic() || c == '_');
    let path = |at: usize| {
        let more = (1..).take_while(|n| text(at + 2 * n - 1) == "::" && is_part(text(at + 2 * n))).map(|n| text(at + 2 * n));
        (at, std::iter::once(text(at)).chain(more).collect())
    };
    (0..module.tokens.len()).filter(is_start).map(path).filter(|(_, path): &(_, Vec<&str>)| path.len() > 1).collect()
}

/// The shortest path from a file back to itself.
fn shortest_circle<'a>(edges: &Edges<'a>, start: &'a str) -> Option<Vec<&'a str>> {
    let (mut queue, mut from) = (VecDeque::from([start]), BTreeMap::<&str, &str>::new());
    while let Some(file) = queue.pop_front() {
        for &next in edges.get(file).into_iter().flat_map(BTreeMap::keys) {
            if from.contains_key(next) {
                continue;
            }
            from.insert(next, file);
            if next == start {
                let mut circle = vec![start];
                while let Some(&before) = circle.last().and_then(|file| from.get(file)) {
                    circle.push(before);
                    if before == start {
                        break;
                    }
                }
                circle.reverse();
                return Some(circle);
            }
            queue.push_back(next);
        }
    }
    None
}

fn circles(files: &[File]) -> Vec<String> {
    let modules = Modules::of(files);
    let (mut edges, doors) = edges(&modules);
    let listed = |names: &BTreeSet<String>| names.iter().map(String::as_str).collect::<Vec<_>>().join(" ");
    let door = |(door, (names, users)): (&&str, &(BTreeSet<String>, BTreeSet<String>))| {
        format!("{door}:1: defines {}, which files inside it use: move it to a file of its own; {}", listed(names), listed(users))
    };
    let mut found: Vec<String> = doors.iter().map(door).collect();
    // Circles that share no step, shortest first.
    while let Some(circle) = edges.keys().filter_map(|start| shortest_circle(&edges, start)).min_by_key(Vec::len) {
        let mut steps = String::new();
        for (from, to) in circle.iter().zip(circle.iter().skip(1)) {
            let step = edges.get_mut(from).and_then(|to_of| to_of.remove(to));
            steps.extend(step.map(|(line, name)| format!("{from}:{line} `{name}` -> ")));
        }
        let first = circle.first().copied().unwrap_or_default();
        found.push(format!("{} files in a circle: {steps}{first}: move what they share to a file of its own", circle.len() - 1));
    }
    found
}

#[test]
fn no_files_form_a_circle() {
    assert_none(&circles(&repository()));
}

#[test]
fn a_circle_is_found_however_its_files_name_each_other() {
    let found = |files: &[(&str, &str)]| circles(&files.iter().map(|(path, text)| File::new(path, text)).collect::<Vec<_>>());
    let node = ("src/actors/node.rs", "use super::seller::Seller; pub struct Node;");
    let door = ("src/actors/mod.rs", "mod node; mod seller; pub use node::Node;");
    for bad in [
        "use super::node::Node; pub struct Seller;",
        "use crate::actors::Node; pub struct Seller;",
        "use super::{Node as Parent}; pub struct Seller;",
        "use super::*; pub struct Seller(Node);",
        "use super::node; pub struct Seller(node::Node);",
        "use crate::actors; pub struct Seller(actors::Node);",
        "pub struct Seller(super::node::Node);",
        "pub mod inner { fn f(_: super::super::Node) {} } pub struct Seller;",
    ] {
        let findings = found(&[door, node, ("src/actors/seller.rs", bad)]);
        assert!(
            matches!(&findings[..], [one] if one.starts_with("2 files in a circle: src/actors/node.rs:1 `Seller` -> ")),
            "{bad}: {findings:?}"
        );
    }
    for good in [
        "pub struct Seller;",
        "pub struct Seller; #[cfg(test)] mod tests { use super::super::node::Node; }",
        "/// As [`Node`](super::Node).\npub struct Seller;",
        "use super::*; pub struct Seller;",
    ] {
        assert_none(&found(&[door, node, ("src/actors/seller.rs", good), ("src/actors/seller/tests.rs", "use super::super::Node;")]));
    }
    let own = ("src/actors/mod.rs", "mod node; pub struct Shared; pub use node::Node;");
    let findings = found(&[own, ("src/actors/node.rs", "use super::Shared; pub struct Node;")]);
    assert!(matches!(&findings[..], [one] if one.starts_with("src/actors/mod.rs:1: defines `Shared`")), "{findings:?}");
    assert_none(&found(&[own, ("src/actors/node.rs", "pub struct Node;")]));
    let deeper = ("src/actors/node/claim.rs", "use super::super::Shared;");
    assert_eq!(found(&[own, ("src/actors/node.rs", "mod claim; pub struct Node;"), deeper]).len(), 1);
    let table = ("src/actors/mod.rs", "mod node; mod seller; fn table() { node::start() }");
    assert_none(&found(&[
        table,
        ("src/actors/node.rs", "use super::seller::Seller; pub fn start() {}"),
        ("src/actors/seller.rs", "pub struct Seller;"),
    ]));
    let three = |last: &str| {
        found(&[("src/db/a.rs", "use super::b::B;"), ("src/db/b.rs", "use super::c::C; pub struct B;"), ("src/db/c.rs", last)])
    };
    assert!(matches!(&three("use super::a; pub struct C;")[..], [one] if one.starts_with("3 files")));
    assert_none(&three("pub struct C;"));
}
