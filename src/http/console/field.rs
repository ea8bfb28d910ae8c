//! One field of a form, with its label, its help and its error, always marked up alike so that it can be used by ear
//! and by keyboard.
use super::page::FormErrors;
use askama::Template;
use askama::filters::HtmlSafe;

/// A field on one line.
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
    /// Optional, and it goes without saying.
    unmarked: bool,
    list: &'static str,
    min: Option<i64>,
    max: Option<i64>,
    step: &'static str,
    suffix: &'static str,
}
impl HtmlSafe for Field {}

impl Field {
    /// A text; `kind` is the input's type.
    pub fn new(name: impl Into<String>, label: impl Into<String>, kind: &'static str) -> Self {
        Self { name: name.into(), label: label.into(), kind, ..Self::default() }
    }

    /// What stands in it.
    #[must_use]
    pub fn value(mut self, value: impl Into<String>) -> Self {
        self.value = value.into();
        self
    }

    /// What it is for.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = help.into();
        self
    }

    /// May be left empty.
    #[must_use]
    pub fn optional(mut self) -> Self {
        self.optional = true;
        self
    }

    /// The same, where all fields around it may be left empty and a word above them says so.
    #[must_use]
    pub fn optional_like_its_neighbours(mut self) -> Self {
        (self.optional, self.unmarked) = (true, true);
        self
    }

    /// A number within these bounds.
    #[must_use]
    pub fn within(mut self, min: i64, max: i64, step: &'static str) -> Self {
        (self.min, self.max, self.step) = (Some(min), Some(max), step);
        self
    }

    /// What stands behind it.
    #[must_use]
    pub fn suffix(mut self, suffix: &'static str) -> Self {
        self.suffix = suffix;
        self
    }

    /// Offers the values of the list of this id.
    #[must_use]
    pub fn offering(mut self, list: &'static str) -> Self {
        self.list = list;
        self
    }

    /// Takes its error from those of the form.
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
