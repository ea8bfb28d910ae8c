//! The repository as text, and Rust source as tokens. There is no parser here: these functions find names and paths
//! without understanding them.
use std::path::Path;

pub struct File {
    /// Relative to the repository's root, with `/`.
    pub path: String,
    pub text: String,
}

impl File {
    /// The file need not exist on disk.
    pub fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }

    pub fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// The module path of a file under `src`, starting with its top folder.
    pub fn module(&self) -> Option<Vec<&str>> {
        let inner = self.path.strip_prefix("src/")?.strip_suffix(".rs")?;
        let mut parts: Vec<&str> = inner.split('/').collect();
        if parts.len() > 1 && parts.last() == Some(&"mod") {
            parts.pop();
        }
        Some(parts)
    }

    /// Whether the whole file is a test.
    pub fn is_test(&self) -> bool {
        self.path.ends_with("/tests.rs") || self.path.contains("/tests/")
    }
}

/// Every file that people wrote: no build output, no lock file, nothing binary.
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
                if name != "target" && (!name.starts_with('.') || matches!(name.as_str(), ".cargo" | ".ci" | ".github")) {
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

pub fn text_of(files: &[File], path: &str) -> String {
    files.iter().find(|file| file.path == path).map(|file| file.text.clone()).unwrap_or_default()
}

/// A word, a sign or a string literal.
#[derive(Clone, Copy)]
pub struct Token<'a> {
    pub text: &'a str,
    /// Counted from 1.
    pub line: usize,
}

#[derive(PartialEq, Eq)]
enum Lexeme {
    /// White space, comments, characters, lifetimes' quotation marks.
    Skipped,
    Word,
    Text,
}

/// Words and signs, without comments, strings and characters; `::` is one sign.
pub fn tokens(source: &str) -> Vec<Token<'_>> {
    lex(source).into_iter().filter(|(lexeme, _)| *lexeme == Lexeme::Word).map(|(_, token)| token).collect()
}

/// Words, signs and string literals, these with their quotation marks.
pub fn tokens_and_strings(source: &str) -> Vec<Token<'_>> {
    lex(source).into_iter().map(|(_, token)| token).collect()
}

/// Whether a token is a string literal.
pub fn is_string(token: &Token<'_>) -> bool {
    token.text.ends_with('"') || (token.text.ends_with('#') && token.text.contains('"'))
}

fn lex(source: &str) -> Vec<(Lexeme, Token<'_>)> {
    let (mut found, mut rest, mut line) = (Vec::new(), source, 1);
    while let Some(first) = rest.chars().next() {
        let (length, lexeme) = next_lexeme(rest, first);
        let (text, after) = rest.split_at(length);
        if lexeme != Lexeme::Skipped {
            found.push((lexeme, Token { text, line }));
        }
        line += text.matches('\n').count();
        rest = after;
    }
    found
}

/// The length in bytes of what comes first, and what it is.
fn next_lexeme(rest: &str, first: char) -> (usize, Lexeme) {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let until = |end: &str, from: usize| rest.get(from..).and_then(|t| t.find(end)).map_or(rest.len(), |at| from + at + end.len());
    if rest.starts_with("//") {
        return (rest.find('\n').unwrap_or(rest.len()), Lexeme::Skipped);
    }
    if rest.starts_with("/*") {
        return (until("*/", 2), Lexeme::Skipped);
    }
    let prefix = rest.find(|c| !matches!(c, 'r' | 'b' | 'c')).unwrap_or(rest.len());
    let quoted = rest.get(prefix..).unwrap_or_default();
    let hashes = quoted.chars().take_while(|c| *c == '#').count();
    let is_raw = rest.get(..prefix).unwrap().contains('r');
    if prefix <= 2 && quoted.get(hashes..).is_some_and(|t| t.starts_with('"')) && (hashes == 0 || is_raw) {
        if is_raw {
            return (until(&format!("\"{}", "#".repeat(hashes)), prefix + hashes + 1), Lexeme::Text);
        }
        let mut escaped = false;
        let end = quoted.char_indices().skip(1).find(|(_, c)| {
            let closes = *c == '"' && !escaped;
            escaped = *c == '\\' && !escaped;
            closes
        });
        return (prefix + end.map_or(quoted.len(), |(at, _)| at + 1), Lexeme::Text);
    }
    if first == '\'' {
        // A character ends with a quotation mark; a lifetime does not.
        let escaped = rest.starts_with("'\\");
        let end = if escaped { rest.get(3..).and_then(|t| t.find('\'')).map(|at| at + 4) } else { None };
        let plain = rest.char_indices().nth(2).filter(|(_, c)| *c == '\'').map(|(at, _)| at + 1);
        return (end.or(plain).unwrap_or(1), Lexeme::Skipped);
    }
    if is_word(first) {
        return (rest.find(|c| !is_word(c)).unwrap_or(rest.len()), Lexeme::Word);
    }
    match rest.starts_with("::") {
        true => (2, Lexeme::Word),
        false if first.is_whitespace() => (first.len_utf8(), Lexeme::Skipped),
        false => (first.len_utf8(), Lexeme::Word),
    }
}

/// The tokens without the items under `#[cfg(test)]`.
pub fn without_tests<'a>(tokens: &[Token<'a>]) -> Vec<Token<'a>> {
    const TEST: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let mut kept = Vec::new();
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        if TEST.iter().enumerate().all(|(n, text)| tokens.get(at + n).is_some_and(|token| token.text == *text)) {
            at = end_of_item(tokens, at + TEST.len());
        } else {
            kept.push(*token);
            at += 1;
        }
    }
    kept
}

/// The index after the item that starts at `from`: after its `;`, or after its block.
fn end_of_item(tokens: &[Token<'_>], from: usize) -> usize {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate().skip(from) {
        match token.text {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" => depth = depth.saturating_sub(1),
            "}" if depth == 1 => {
                let is_use = tokens.get(at + 1).is_some_and(|next| next.text == ";");
                return at + 1 + usize::from(is_use);
            }
            "}" => depth = depth.saturating_sub(1),
            ";" if depth == 0 => return at + 1,
            _ => {}
        }
    }
    tokens.len()
}

#[test]
fn only_code_is_read_as_tokens() {
    let source = "fn f<'a>(c: &'a str) { g('\"', \"x::y\", r#\"\"z\"#) } // h\n/* i */ j::k";
    let text = |tokens: Vec<Token<'_>>| tokens.iter().map(|token| token.text.to_owned()).collect::<Vec<_>>().join(" ");
    assert_eq!(text(tokens(source)), "fn f < a > ( c : & a str ) { g ( , , ) } j :: k");
    let strings = tokens_and_strings(source).into_iter().filter(is_string).collect();
    assert_eq!(text(strings), "\"x::y\" r#\"\"z\"#");
}

#[test]
fn what_is_compiled_for_tests_only_is_left_out() {
    let source = "a; #[cfg(test)] use x::{y, z}; b; #[cfg(test)] mod tests; c; #[cfg(test)] mod tests { fn d(a: [u8; 2]) { {} } } e";
    let tokens = tokens(source);
    let kept: Vec<&str> = without_tests(&tokens).iter().map(|token| token.text).collect();
    assert_eq!(kept.join(" "), "a ; b ; c ; e");
}
