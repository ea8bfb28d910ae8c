//! What is wrong with a field of a request, worded for the person who sent it.
use super::names::is_repeatable;
use serde::{Deserialize, Serialize};

/// One invalid field: where it is (a JSON pointer, RFC 6901) and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct FieldError {
    /// JSON pointer to the field, such as `/quantity`; empty for the whole document.
    pub pointer: String,
    /// What is wrong, and what would be valid.
    pub detail: String,
}

/// The JSON pointer to the field `name` of an object.
pub fn pointer_to(name: &str) -> String {
    format!("/{}", name.replace('~', "~0").replace('/', "~1"))
}

impl FieldError {
    /// Rewords an error that serde reported at `path`. Never repeats the value, which may be a secret, nor a name that may be
    /// one.
    pub fn from_serde(path: &serde_path_to_error::Path, error: &impl std::fmt::Display) -> Self {
        let message = error.to_string();
        let message = message.split(" at line ").next().unwrap_or_default();
        let Some(pointer) = path.iter().map(segment).collect::<Option<String>>() else {
            let pointer = path.iter().map_while(segment).collect::<String>();
            let unknown = message.starts_with("unknown field");
            return Self::unnamed(pointer, "member", if unknown { UNKNOWN_FIELD.to_owned() } else { expectation(message) });
        };
        let about_name = |detail: &str| {
            // serde reports unknown and missing fields at the enclosing object, with the name in backticks.
            let name = message.split('`').nth(1).unwrap_or_default();
            if pointer.ends_with(&pointer_to(name)) {
                Self::new(pointer.clone(), detail)
            } else {
                Self::named(&pointer, "member", name, detail)
            }
        };
        if message.starts_with("unknown field") {
            about_name(UNKNOWN_FIELD)
        } else if message.starts_with("missing field") {
            about_name("is required")
        } else if message.starts_with("duplicate field") {
            about_name("appears more than once")
        } else {
            Self::new(pointer, expectation(message))
        }
    }

    /// An error about the member, parameter or column (`what`) of this name, which the client may have made up, within the
    /// value at `pointer`. The name is left out if it may be a secret.
    pub fn named(pointer: &str, what: &str, name: &str, detail: impl Into<String>) -> Self {
        if is_repeatable(name) { Self::new(format!("{pointer}{}", pointer_to(name)), detail) } else { Self::unnamed(pointer, what, detail) }
    }

    fn unnamed(pointer: impl Into<String>, what: &str, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self::new(pointer, format!("has a {what} that {detail}; its name is not repeated, because it is long or may be a secret"))
    }

    /// An error about the field at `pointer`.
    pub fn new(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), detail: detail.into() }
    }

    /// The same error seen from an enclosing value: prepends a prefix such as `/3` to `/quantity`.
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

/// The segment as part of a pointer; `None` if it is a name that may be a secret.
fn segment(segment: &serde_path_to_error::Segment) -> Option<String> {
    use serde_path_to_error::Segment;
    match segment {
        Segment::Seq { index } => Some(format!("/{index}")),
        Segment::Map { key } => is_repeatable(key).then(|| pointer_to(key)),
        Segment::Enum { .. } | Segment::Unknown => Some(String::new()),
    }
}

fn expectation(message: &str) -> String {
    let (found, expected) = message.rsplit_once(", expected ").unwrap_or((message, ""));
    if found.starts_with("unknown variant") {
        let words: Vec<&str> = expected.split('`').skip(1).step_by(2).collect();
        return format!("must be one of {}", words.join(", "));
    }
    if message == FRACTION {
        return FRACTION.to_owned();
    }
    match expected {
        "i64" | "i32" | "u64" | "u32" => "must be a 64-bit whole number",
        "f64" => "must be a number",
        "a string" => "must be text",
        "a boolean" => "must be true or false",
        "a sequence" => "must be a list",
        "a map" => "must be a JSON object",
        "an RFC 3339 formatted date and time string" => INSTANT,
        text if text.contains("UUID") => ID,
        text if text.starts_with("struct") => "must be a JSON object",
        // Where one of several words is expected.
        "string or map" => "must be text",
        _ if found.starts_with("UUID") => ID,
        _ if found.starts_with("number out of range") => "is too large",
        _ if found.starts_with("recursion limit") => "is nested too deeply",
        _ if ["surrogate", "hex escape", "unicode"].iter().any(|word| found.contains(word)) => "is not valid Unicode text",
        // serde_json's wording of the same.
        _ if found == "expected value" => "must be text",
        // Chrono's wording for an invalid timestamp.
        _ if found.contains("input") => INSTANT,
        _ => "has the wrong type",
    }
    .to_owned()
}

const UNKNOWN_FIELD: &str = "is not a known field";
/// For a number of units that is not whole.
pub const FRACTION: &str = "must be a whole number: fractions of a unit are not kept";
const ID: &str = "must be an id (a UUID)";
const INSTANT: &str = "must be a date and time, such as 2026-03-02T12:00:00Z";

/// Collects the errors of several fields.
#[derive(Debug, Default)]
pub struct Checks(Vec<FieldError>);

impl Checks {
    /// Takes the value, or notes what is wrong at `pointer`.
    pub fn take<T>(&mut self, pointer: &str, result: Result<T, impl Into<String>>) -> Option<T> {
        result.map_err(|detail| self.0.push(FieldError::new(pointer, detail))).ok()
    }

    /// Notes an error.
    pub fn note(&mut self, pointer: impl Into<String>, detail: impl Into<String>) {
        self.0.push(FieldError::new(pointer, detail));
    }

    /// Notes errors.
    pub fn extend(&mut self, errors: impl IntoIterator<Item = FieldError>) {
        self.0.extend(errors);
    }

    /// A whole number within bounds.
    pub fn within(&mut self, pointer: &str, value: Option<i64>, min: i64, max: i64) {
        if value.is_some_and(|value| !(min..=max).contains(&value)) {
            self.note(pointer, format!("must be from {min} to {max}"));
        }
    }

    /// Whether nothing was wrong.
    ///
    /// # Errors
    /// All that was.
    pub fn done(self) -> Result<(), Vec<FieldError>> {
        if self.0.is_empty() { Ok(()) } else { Err(self.0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only the errors matter, not the values read")]
    struct Probe {
        id: Option<uuid::Uuid>,
        whole: Option<i64>,
        real: Option<f64>,
        text: Option<String>,
        choice: Option<bool>,
        list: Option<Vec<Self>>,
        map: Option<BTreeMap<String, i32>>,
        at: Option<chrono::DateTime<chrono::Utc>>,
        word: Option<Word>,
    }
    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Word {
        Shared,
        Exclusive,
    }

    /// The error reported for this body.
    fn error_of(json: &str) -> String {
        let mut reader = serde_json::Deserializer::from_str(json);
        let error = serde_path_to_error::deserialize::<_, Probe>(&mut reader).unwrap_err();
        let FieldError { pointer, detail } = FieldError::from_serde(error.path(), error.inner());
        format!("{pointer} {detail}")
    }

    #[test]
    fn an_invalid_field_is_reported_with_its_pointer_and_what_would_be_valid() {
        for (json, expected) in [
            (r#"{"whole":"1"}"#, "/whole must be a 64-bit whole number"),
            (r#"{"map":{"a/b~c":1.5}}"#, "/map/a~1b~0c must be a 64-bit whole number"),
            (r#"{"whole":1e999}"#, "/whole is too large"),
            (r#"{"real":"1"}"#, "/real must be a number"),
            (r#"{"text":1}"#, "/text must be text"),
            (r#"{"text":"\ud800"}"#, "/text is not valid Unicode text"),
            (r#"{"choice":1}"#, "/choice must be true or false"),
            (r#"{"list":1}"#, "/list must be a list"),
            (r#"{"list":[{},1]}"#, "/list/1 must be a JSON object"),
            (r#"{"list":[{},{"whole":true}]}"#, "/list/1/whole must be a 64-bit whole number"),
            (r#"{"map":1}"#, "/map must be a JSON object"),
            (r#"{"at":1}"#, "/at must be a date and time, such as 2026-03-02T12:00:00Z"),
            (r#"{"at":"yesterday"}"#, "/at must be a date and time, such as 2026-03-02T12:00:00Z"),
            (r#"{"id":"1"}"#, "/id must be an id (a UUID)"),
            (r#"{"id":1}"#, "/id must be an id (a UUID)"),
            (r#"{"word":"none"}"#, "/word must be one of shared, exclusive"),
            (r#"{"word":1}"#, "/word must be text"),
            (r#"{"word":{"shared":1}}"#, "/word has the wrong type"),
            (r#"{"other":1}"#, "/other is not a known field"),
            (r#"{"list":[{"other":1}]}"#, "/list/0/other is not a known field"),
            (r#"{"whole":1,"whole":2}"#, "/whole appears more than once"),
            (r#"1"#, " must be a JSON object"),
        ] {
            assert_eq!(error_of(json), expected, "{json}");
        }
        let deep = format!(r#"{{"list":[{}"#, r#"{"list":["#.repeat(130));
        assert!(error_of(&deep).ends_with(" is nested too deeply"), "{}", error_of(&deep));
    }

    #[test]
    fn a_name_that_may_be_a_secret_is_not_repeated() {
        let key = "shpat_0f1e2d3c4b5a";
        for (json, expected) in [
            (format!(r#"{{"{key}":1}}"#), " has a member that is not a known field"),
            (format!(r#"{{"list":[{{"{key}":1}}]}}"#), "/list/0 has a member that is not a known field"),
            (format!(r#"{{"map":{{"{key}":"x"}}}}"#), "/map has a member that must be a 64-bit whole number"),
        ] {
            let error = error_of(&json);
            assert!(error.starts_with(expected) && !error.contains("shpat"), "{json}: {error}");
        }
    }

    #[test]
    fn an_enum_value_of_the_wrong_type_must_be_text_even_in_an_already_parsed_value() {
        let error = serde_path_to_error::deserialize::<_, Probe>(serde_json::json!({ "word": 1 })).unwrap_err();
        assert_eq!(FieldError::from_serde(error.path(), error.inner()).detail, "must be text");
    }

    #[test]
    fn every_field_that_is_wrong_is_reported_once_in_the_order_in_which_they_were_checked() {
        assert_eq!(Checks::default().done(), Ok(()));
        let mut checks = Checks::default();
        assert_eq!(checks.take("/good", Ok::<_, String>(7)), Some(7));
        checks.within("/none", None, 1, 5);
        checks.within("/lowest", Some(1), 1, 5);
        checks.within("/highest", Some(5), 1, 5);
        assert_eq!(checks.take("/bad", Err::<i32, _>("is bad")), None);
        checks.within("/low", Some(0), 1, 5);
        checks.within("/high", Some(6), 1, 5);
        checks.note("/other", "is odd");
        checks.extend([FieldError::new("/more", "is more")]);
        let errors: Vec<String> = checks.done().unwrap_err().iter().map(ToString::to_string).collect();
        assert_eq!(errors, ["bad: is bad", "low: must be from 1 to 5", "high: must be from 1 to 5", "other: is odd", "more: is more"]);
    }

    #[test]
    fn an_error_is_displayed_with_the_name_of_its_field() {
        assert_eq!(FieldError::new("/quantity", "is required").under("/3").to_string(), "3/quantity: is required");
        assert_eq!(FieldError::new("", "must be a JSON object").to_string(), "must be a JSON object");
    }
}
