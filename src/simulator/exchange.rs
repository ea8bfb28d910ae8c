//! A request to the simulated platform and its outcome, independent of the transport.
use serde_json::{Value, json};

/// A request, whichever way it arrived.
#[derive(Debug, Clone)]
pub struct Incoming {
    /// Path and query.
    pub target: String,
    /// Whether the method is POST; anything else counts as a read.
    pub post: bool,
    /// `Authorization`, or Shopify's `X-Shopify-Access-Token`.
    pub authorization: Option<String>,
    /// `Idempotency-Key`.
    pub key: Option<String>,
    /// Empty if there is none.
    pub body: String,
}

impl Incoming {
    /// The path without its leading slash, and the query.
    pub(super) fn parts(&self) -> (&str, &str) {
        let (path, query) = self.target.split_once('?').unwrap_or((&self.target, ""));
        (path.trim_start_matches('/'), query)
    }

    /// The first value of this query parameter.
    pub(super) fn param(&self, name: &str) -> Option<String> {
        let (_, query) = self.parts();
        query.split('&').filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name).map(|(_, value)| decode(value))
    }
}

/// What the transport must do with a request.
#[derive(Debug, Clone)]
pub enum Decision {
    /// Send this answer.
    Answer(Answer),
    /// Cut the connection without an answer.
    Cut,
    /// Cut the connection, and call `Simulator::apply_late` this many milliseconds later.
    CutAndApplyLater(u64),
    /// Keep the connection open and never answer.
    Silence,
    /// Refuse the connection.
    Refuse,
}

/// An HTTP response, with a JSON body unless something misbehaves.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// `Retry-After`, in seconds.
    pub retry_after: Option<f64>,
    /// Further headers, with names in lower case.
    pub headers: Vec<(&'static str, String)>,
    /// Sent as JSON.
    pub body: Value,
    /// Sent instead, if there is one.
    pub text: Option<String>,
    /// Blanks behind the body, in bytes.
    pub padding: usize,
    /// How much the transport delays it, in milliseconds.
    pub after_ms: u64,
    /// A cache has kept it since an earlier read.
    pub is_kept: bool,
}

impl Answer {
    pub(super) fn ok(body: Value) -> Self {
        Self { status: 200, retry_after: None, headers: Vec::new(), body, text: None, padding: 0, after_ms: 0, is_kept: false }
    }

    /// What is sent, without the padding.
    pub fn text(&self) -> String {
        self.text.clone().unwrap_or_else(|| self.body.to_string())
    }
}

pub(super) fn problem(status: u16, error: &str) -> Answer {
    Answer { status, ..Answer::ok(json!({ "error": error })) }
}

/// Undoes percent-encoding, and reads `+` as a space.
pub(super) fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let hex = (*first == b'%')
            .then(|| after.get(..2))
            .flatten()
            .and_then(|h| std::str::from_utf8(h).ok())
            .and_then(|h| u8::from_str_radix(h, 16).ok());
        match hex {
            Some(byte) => {
                bytes.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(if *first == b'+' { b' ' } else { *first });
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
