//! Spans in OTLP's JSON: the JSON form of protobuf's `ExportTraceServiceRequest`, with ids in hexadecimal digits, 64-bit numbers as text,
//! and enums as numbers.
use super::span::{Ended, Kind, Value};
use serde_json::{Value as Json, json};

/// Who exports.
#[derive(Debug, Clone)]
pub struct Resource {
    /// The name of the node.
    pub instance: String,
}

/// The body of a request.
pub fn body(resource: &Resource, spans: &[Ended]) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let attributes = [
        attribute("service.name", &"stocktide".into()),
        attribute("service.version", &version.into()),
        attribute("service.instance.id", &resource.instance.as_str().into()),
    ];
    let spans: Vec<Json> = spans.iter().map(span).collect();
    let scope = json!({ "scope": { "name": "stocktide", "version": version }, "spans": spans });
    json!({ "resourceSpans": [{ "resource": { "attributes": attributes }, "scopeSpans": [scope] }] }).to_string()
}

fn span(span: &Ended) -> Json {
    let kind = match span.kind {
        Kind::Internal => 1,
        Kind::Server => 2,
        Kind::Client => 3,
    };
    let links: Vec<Json> =
        span.links.iter().map(|to| json!({ "traceId": hex::encode(to.trace), "spanId": hex::encode(to.span) })).collect();
    let mut json = json!({
        "traceId": hex::encode(span.context.trace),
        "spanId": hex::encode(span.context.span),
        "name": span.name,
        "kind": kind,
        "startTimeUnixNano": nanos(span.start_us),
        "endTimeUnixNano": nanos(span.end_us),
        "attributes": span.attributes.iter().map(|(name, value)| attribute(name, value)).collect::<Vec<_>>(),
        "links": links,
        "status": { "code": if span.has_failed { 2 } else { 0 } },
    });
    if let (Some(parent), Some(members)) = (span.parent, json.as_object_mut()) {
        members.insert("parentSpanId".to_owned(), hex::encode(parent).into());
    }
    json
}

fn nanos(us: i64) -> String {
    us.max(0).saturating_mul(1000).to_string()
}

fn attribute(name: &str, value: &Value) -> Json {
    json!({ "key": name, "value": any(value) })
}

fn any(value: &Value) -> Json {
    match value {
        Value::Text(text) => json!({ "stringValue": text }),
        Value::Number(number) => json!({ "intValue": number.to_string() }),
        Value::Ids(ids) => {
            let values: Vec<Json> = ids.iter().map(|id| json!({ "stringValue": id })).collect();
            json!({ "arrayValue": { "values": values } })
        }
    }
}
