//! The repository as text, and Rust's words in it: what `tests/architecture.rs` reads. No parser: it finds paths, it
//! does not understand them.
use std::path::Path;

/// One file.
pub struct File {
    /// From the repository's root, with `/`.
    pub path: String,
    /// All of it.
    pub text: String,
}

impl File {
    /// One that need not exist.
    pub fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }

    /// Whether the compiler reads it.
    pub fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// The top module that a file under `src` belongs to, and its path within that.
    pub fn module(&self) -> Option<Vec<&str>> {
        let inner = self.path.strip_prefix("src/")?.strip_suffix(".rs")?;
        let mut parts: Vec<&str> = inner.split('/').collect();
        if parts.len() > 1 && parts.last() == Some(&"mod") {
            parts.pop();
        }
        Some(parts)
    }
}

/// All that people wrote: no build output, no lock file, nothing binary.
pub fn repository() -> Vec<File> {
    const KINDS: [&str; 11] = ["rs", "md", "sql", "toml", "sh", "yml", "yaml", "html", "css", "js", "svg"];
    fn walk(root: &Path, under: &str, found: &mut Vec<File>) {
        let mut names: Vec<String> =
            std::fs::read_dir(root.join(under)).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        for name in names {
            let path = if under.is_empty() { name.clone() } else { format!("{under}/{name}") };
            let full = root.join(&path);
            if full.is_dir() {
                if name != "target" && (!name.starts_with('.') || matches!(name.as_str(), ".ci" | ".github")) {
                    walk(root, &path, found);
                }
            } else if KINDS.iter().any(|kind| name.ends_with(&format!(".{kind}"))) || under == ".ci" {
                found.push(File { text: std::fs::read_to_string(&full).unwrap(), path });
            }
        }
    }
    let mut found = Vec::new();
    walk(Path::new(env!("CARGO_MANIFEST_DIR")), "", &mut found);
    found
}

/// A word or a sign.
pub struct Token<'a> {
    /// As it stands there.
    pub text: &'a str,
    /// Where, from 1.
    pub line: usize,
}

/// Rust's words and signs, without comments, text and characters; `::` is one sign.
pub fn tokens(source: &str) -> Vec<Token<'_>> {
    let (mut found, mut rest, mut line) = (Vec::new(), source, 1);
    while let Some(first) = rest.chars().next() {
        let (length, is_token) = next_token(rest, first);
        let (text, after) = rest.split_at(length);
        if is_token {
            found.push(Token { text, line });
        }
        line += text.matches('\n').count();
        rest = after;
    }
    found
}

/// How long what stands first is, in bytes, and whether it is a word or sign.
fn next_token(rest: &str, first: char) -> (usize, bool) {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let until = |end: &str, from: usize| rest.get(from..).and_then(|t| t.find(end)).map_or(rest.len(), |at| from + at + end.len());
    if rest.starts_with("//") {
        return (rest.find('\n').unwrap_or(rest.len()), false);
    }
    if rest.starts_with("/*") {
        return (until("*/", 2), false);
    }
    let prefix = rest.find(|c| !matches!(c, 'r' | 'b' | 'c')).unwrap_or(rest.len());
    let quoted = rest.get(prefix..).unwrap_or_default();
    let hashes = quoted.chars().take_while(|c| *c == '#').count();
    if prefix <= 2 && quoted.get(hashes..).is_some_and(|t| t.starts_with('"')) && (hashes == 0 || rest.get(..prefix).unwrap().contains('r'))
    {
        if rest.get(..prefix).unwrap().contains('r') {
            return (until(&format!("\"{}", "#".repeat(hashes)), prefix + hashes + 1), false);
        }
        let mut escaped = false;
        let end = quoted.char_indices().skip(1).find(|(_, c)| {
            let closes = *c == '"' && !escaped;
            escaped = *c == '\\' && !escaped;
            closes
        });
        return (prefix + end.map_or(quoted.len(), |(at, _)| at + 1), false);
    }
    if first == '\'' {
        // A character ends with a quotation mark; a lifetime does not.
        let escaped = rest.starts_with("'\\");
        let end = if escaped { rest.get(3..).and_then(|t| t.find('\'')).map(|at| at + 4) } else { None };
        let plain = rest.char_indices().nth(2).filter(|(_, c)| *c == '\'').map(|(at, _)| at + 1);
        return (end.or(plain).unwrap_or(1), false);
    }
    if is_word(first) {
        return (rest.find(|c| !is_word(c)).unwrap_or(rest.len()), true);
    }
    if rest.starts_with("::") { (2, true) } else { (first.len_utf8(), !first.is_whitespace()) }
}

/// The top modules that a source names, and where: by `crate::`, by `super::` up to the root, and in the program by
/// the library's own name; in `use` and in the midst of code alike.
pub fn named_modules<'a>(module: &[&str], tokens: &'a [Token<'a>]) -> Vec<(usize, &'a str)> {
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
    let (mut found, mut depth, mut begins) = (Vec::new(), 0, false);
    for token in rest {
        match token.text {
            "{" => (depth, begins) = (depth + 1, depth == 0),
            "}" if depth == 1 => break,
            "}" => depth -= 1,
            "," => begins = depth == 1,
            name if begins => {
                found.push((token.line, name));
                begins = false;
            }
            _ => {}
        }
    }
    found
}
