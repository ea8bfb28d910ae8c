//! A strict receiver of spans by OTLP over HTTP, in JSON.
use serde::Deserialize;
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// The messages of OTLP 1.x as its JSON has them; whatever else there is fails the test.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Export {
    resource_spans: Vec<ResourceSpans>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct ResourceSpans {
    resource: Resource,
    scope_spans: Vec<ScopeSpans>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Resource {
    attributes: Vec<Attribute>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ScopeSpans {
    scope: Scope,
    spans: Vec<Span>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Scope {
    name: String,
    version: String,
}

#[derive(Deserialize, Clone)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Span {
    pub trace_id: String,
    pub span_id: String,
    pub parent_span_id: Option<String>,
    pub name: String,
    pub kind: u8,
    pub start_time_unix_nano: String,
    pub end_time_unix_nano: String,
    attributes: Vec<Attribute>,
    pub links: Vec<Link>,
    pub status: Status,
}

#[derive(Deserialize, Clone)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Link {
    pub trace_id: String,
    pub span_id: String,
}

#[derive(Deserialize, Clone)]
#[serde(deny_unknown_fields)]
pub struct Status {
    pub code: u8,
}

#[derive(Deserialize, Clone)]
#[serde(deny_unknown_fields)]
struct Attribute {
    key: String,
    value: AnyValue,
}

#[derive(Deserialize, Clone)]
#[serde(deny_unknown_fields)]
enum AnyValue {
    #[serde(rename = "stringValue")]
    Text(String),
    #[serde(rename = "intValue")]
    Number(String),
    #[serde(rename = "arrayValue")]
    Several { values: Vec<AnyValue> },
}

impl AnyValue {
    fn texts(&self) -> Vec<String> {
        match self {
            Self::Text(text) => vec![text.clone()],
            Self::Number(number) => vec![number.parse::<i64>().unwrap().to_string()],
            Self::Several { values } => values.iter().flat_map(Self::texts).collect(),
        }
    }
}

impl Span {
    /// In milliseconds.
    pub fn start(&self) -> u64 {
        self.start_time_unix_nano.parse::<u64>().unwrap() / 1_000_000
    }

    pub fn end(&self) -> u64 {
        self.end_time_unix_nano.parse::<u64>().unwrap() / 1_000_000
    }

    pub fn get(&self, key: &str) -> Vec<String> {
        self.attributes.iter().filter(|attribute| attribute.key == key).flat_map(|attribute| attribute.value.texts()).collect()
    }

    /// Its name, kind and attributes.
    pub fn line(&self) -> String {
        let kind = match self.kind {
            1 => "",
            2 => " (server)",
            3 => " (client)",
            other => panic!("the kind {other}"),
        };
        let keys: BTreeSet<&str> = self.attributes.iter().map(|attribute| attribute.key.as_str()).collect();
        assert_eq!(keys.len(), self.attributes.len(), "each attribute once");
        let keys = keys.into_iter().collect::<Vec<_>>().join(", ");
        format!("{}{kind}{}{keys}", self.name, if keys.is_empty() { "" } else { ": " })
    }
}

/// Takes spans, as strictly as the standard allows.
pub struct Receiver {
    address: SocketAddr,
    bodies: Arc<Mutex<Vec<String>>>,
}

impl Receiver {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, bodies) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(Vec::new())));
        let taken = Arc::clone(&bodies);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let taken = Arc::clone(&taken);
                std::thread::spawn(move || while Self::take(&stream, &taken).is_some() {});
            }
        });
        Self { address, bodies }
    }

    /// Takes the next request of a connection; `None` at its end.
    fn take(mut stream: &TcpStream, taken: &Mutex<Vec<String>>) -> Option<()> {
        let mut reader = BufReader::new(stream);
        let mut head = Vec::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).ok()? == 0 {
                return None;
            }
            match line.trim_end() {
                "" => break,
                line => head.push(line.to_ascii_lowercase()),
            }
        }
        let header = |name: &str| head.iter().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let mut body = vec![0; header("content-length:")?.parse().unwrap()];
        reader.read_exact(&mut body).ok()?;
        let is_right = head[0].starts_with("post /v1/traces http/1.1") && header("content-type:") == Some("application/json");
        taken.lock().unwrap().push(if is_right { String::from_utf8(body).unwrap() } else { format!("{head:?}") });
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}").ok()
    }

    pub fn url(&self) -> String {
        format!("traces_url=http://{}/v1/traces", self.address)
    }

    pub fn bodies(&self) -> Vec<String> {
        self.bodies.lock().unwrap().clone()
    }

    /// All spans, which are well-formed.
    pub fn spans(&self) -> Vec<Span> {
        let mut spans = Vec::new();
        for body in self.bodies() {
            let export: Export = serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {body}"));
            for ResourceSpans { resource, scope_spans } in export.resource_spans {
                let names: Vec<&str> = resource.attributes.iter().map(|attribute| attribute.key.as_str()).collect();
                assert_eq!(names, ["service.name", "service.version", "service.instance.id"]);
                for ScopeSpans { scope, spans: more } in scope_spans {
                    assert_eq!((scope.name.as_str(), scope.version.as_str()), ("stocktide", env!("CARGO_PKG_VERSION")));
                    spans.extend(more);
                }
            }
        }
        let is_id = |text: &str, digits: usize| {
            text.len() == digits
                && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
                && text.bytes().any(|b| b != b'0')
        };
        for span in &spans {
            let ids = span.links.iter().map(|link| (&link.trace_id, &link.span_id)).chain([(&span.trace_id, &span.span_id)]);
            assert!(ids.into_iter().all(|(trace, span)| is_id(trace, 32) && is_id(span, 16)));
            assert!(span.parent_span_id.as_ref().is_none_or(|parent| is_id(parent, 16)));
            assert!(span.end() >= span.start() && span.status.code != 1, "{}", span.name);
        }
        spans
    }
}
