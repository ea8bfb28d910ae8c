//! What is wrong with one field of a request, in words for the person who sent it.
use serde::{Deserialize, Serialize};

/// One bad field: where it stands (a JSON pointer, RFC 6901) and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct FieldError {
    /// JSON pointer to the field, such as `/quantity`; empty for the whole document.
    pub pointer: String,
    /// What is wrong, and what would be right.
    pub detail: String,
}

/// The JSON pointer to the field `name` of an object.
pub fn pointer_to(name: &str) -> String {
    format!("/{}", name.replace('~', "~0").replace('/', "~1"))
}

impl FieldError {
    /// What serde found wrong at `path`, in our words. They never repeat the value: it may be a secret.
    pub fn of_serde(path: &serde_path_to_error::Path, error: &impl std::fmt::Display) -> Self {
        let (pointer, message) = (path.iter().map(segment).collect::<String>(), error.to_string());
        let message = message.split(" at line ").next().unwrap_or_default();
        let about_name = |detail: &str| {
            // serde tells of unknown and missing fields at the object around them, with the name between backticks.
            let name = pointer_to(message.split('`').nth(1).unwrap_or_default());
            Self::new(if pointer.ends_with(&name) { pointer.clone() } else { format!("{pointer}{name}") }, detail)
        };
        if message.starts_with("unknown field") {
            about_name("is not a field here")
        } else if message.starts_with("missing field") {
            about_name("is needed")
        } else if message.starts_with("duplicate field") {
            about_name("stands here more than once")
        } else {
            Self::new(pointer, what_would_fit(message))
        }
    }

    /// Names the field at `pointer`.
    pub fn new(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), detail: detail.into() }
    }

    /// The same error, seen from one level further out: `/3` before `/quantity`.
    #[must_use]
    pub fn under(mut self, prefix: &str) -> Self {
        self.pointer.insert_str(0, prefix);
        self
    }
}

impl std::fmt::Display for FieldError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = self.pointer.trim_start_matches('/');
        if name.is_empty() { f.write_str(&self.detail) } else { write!(f, "{name}: {}", self.detail) }
    }
}

fn segment(segment: &serde_path_to_error::Segment) -> String {
    use serde_path_to_error::Segment;
    match segment {
        Segment::Seq { index } => format!("/{index}"),
        Segment::Map { key } => pointer_to(key),
        Segment::Enum { .. } | Segment::Unknown => String::new(),
    }
}

fn what_would_fit(message: &str) -> String {
    let (found, expected) = message.rsplit_once("expected ").unwrap_or((message, ""));
    if found.starts_with("unknown variant") {
        let words: Vec<&str> = expected.split('`').skip(1).step_by(2).collect();
        return format!("must be one of {}", words.join(", "));
    }
    match expected {
        "i64" | "i32" | "u64" | "u32" => "must be a whole number of at most 64 bits",
        "f64" => "must be a number",
        "a string" => "must be text",
        "a boolean" => "must be true or false",
        "a sequence" => "must be a list",
        "a map" => "must be a JSON object",
        "an RFC 3339 formatted date and time string" => INSTANT,
        text if text.contains("UUID") => ID,
        text if text.starts_with("struct") => "must be a JSON object",
        text if text.starts_with("enum") => "must be text",
        _ if found.starts_with("UUID") => ID,
        _ if found.starts_with("number out of range") => "is too large a number",
        _ if found.starts_with("recursion limit") => "is nested too deeply",
        _ if ["surrogate", "hex escape", "unicode"].iter().any(|word| found.contains(word)) => "is not valid Unicode text",
        // What is left are the words of chrono about an instant.
        _ => INSTANT,
    }
    .to_owned()
}

const ID: &str = "must be an id (a UUID)";
const INSTANT: &str = "must be an instant, such as 2026-03-02T12:00:00Z";
