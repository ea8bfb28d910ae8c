//! What a span says.

/// The most ids in an attribute, and the most links of a span.
pub const MAX_IDS: usize = 20;

/// A span of a trace, by which others refer to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Context {
    pub(super) trace: [u8; 16],
    pub(super) span: [u8; 8],
}

/// Whom a span is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Work in this process.
    Internal,
    /// A request to this service.
    Server,
    /// A request to somebody else.
    Client,
}

/// The value of an attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A word or an id.
    Text(String),
    /// A number.
    Number(i64),
    /// Several ids.
    Ids(Vec<String>),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<usize> for Value {
    fn from(number: usize) -> Self {
        Self::Number(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl Value {
    /// The first few of these ids.
    pub fn ids<I: std::fmt::Display>(all: impl IntoIterator<Item = I>) -> Self {
        Self::Ids(all.into_iter().take(MAX_IDS).map(|id| id.to_string()).collect())
    }
}

/// A span that has ended.
#[derive(Debug, Clone)]
pub struct Ended {
    pub(super) context: Context,
    pub(super) parent: Option<[u8; 8]>,
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// In microseconds since 1970.
    pub(super) start_us: i64,
    pub(super) end_us: i64,
    pub(super) attributes: Vec<(&'static str, Value)>,
    pub(super) links: Vec<Context>,
    pub(super) has_failed: bool,
}
