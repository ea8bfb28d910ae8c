//! One form field with its label, help and error. One template marks up all fields, so screen readers and keyboards
//! work with every form.
use super::page::FormErrors;
use askama::Template;
use askama::filters::HtmlSafe;

/// A single-line field.
#[derive(Debug, Clone, Default, Template)]
#[template(path = "part/field.html")]
pub(super) struct Field {
    name: String,
    label: String,
    kind: &'static str,
    value: String,
    help: String,
    error: Option<String>,
    optional: bool,
    /// Optional, but not labeled so.
    unmarked: bool,
    list: &'static str,
    min: Option<i64>,
    max: Option<i64>,
    step: &'static str,
    suffix: &'static str,
}
impl HtmlSafe for Field {}

impl Field {
    /// `kind` is the type of the input element.
    pub fn new(name: impl Into<String>, label: impl Into<String>, kind: &'static str) -> Self {
        Self { name: name.into(), label: label.into(), kind, ..Self::default() }
    }

    #[must_use]
    pub fn value(mut self, value: impl Into<String>) -> Self {
        self.value = value.into();
        self
    }

    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = help.into();
        self
    }

    #[must_use]
    pub fn optional(mut self) -> Self {
        self.optional = true;
        self
    }

    /// Optional without the label, for groups in which every field is optional.
    #[must_use]
    pub fn optional_unmarked(mut self) -> Self {
        (self.optional, self.unmarked) = (true, true);
        self
    }

    #[must_use]
    pub fn within(mut self, min: i64, max: i64, step: &'static str) -> Self {
        (self.min, self.max, self.step) = (Some(min), Some(max), step);
        self
    }

    /// A unit shown after the input.
    #[must_use]
    pub fn suffix(mut self, suffix: &'static str) -> Self {
        self.suffix = suffix;
        self
    }

    /// Suggests the values of the `datalist` with this id.
    #[must_use]
    pub fn suggesting(mut self, list: &'static str) -> Self {
        self.list = list;
        self
    }

    /// Shows the form's error for this pointer, if there is one.
    #[must_use]
    pub fn checked(mut self, errors: &FormErrors, pointer: &str) -> Self {
        self.error = errors.at(pointer);
        self
    }

    fn described_by(&self) -> String {
        let mut ids = Vec::new();
        if !self.help.is_empty() {
            ids.push(format!("{}-help", self.name));
        }
        if self.error.is_some() {
            ids.push(format!("{}-error", self.name));
        }
        ids.join(" ")
    }
}
