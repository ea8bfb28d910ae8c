//! Checks answers against the OpenAPI description: is this status described for this route, and does the body match its
//! schema? Implements the small part of JSON Schema that the description uses.
use serde_json::{Map, Value};

/// Everything that does not match, in words; empty if all does.
pub fn mismatches(document: &Value, method: &str, path: &str, status: u16, media_type: &str, body: &Value) -> Vec<String> {
    let path = path.split('?').next().unwrap_or_default();
    let Some(template) = template_of(document, method, path) else {
        return if status == 404 { Vec::new() } else { vec![format!("{path} is not described")] };
    };
    let responses = &document["paths"][&template][method.to_lowercase()]["responses"];
    // Refused before any handler runs, so it is not part of a route's own description.
    if responses.is_null() && status == 405 {
        return Vec::new();
    }
    let response = &responses[status.to_string()];
    if response.is_null() {
        return vec![format!("{method} {template} answered {status}, which is not described")];
    }
    let media_type = media_type.split(';').next().unwrap_or_default();
    match response["content"].as_object() {
        None => Vec::new(),
        Some(content) => match content.get(media_type) {
            None => vec![format!("{method} {template} answered {status} as {media_type:?}, but {:?} are described", content.keys())],
            Some(described) if described["schema"].is_null() => Vec::new(),
            Some(described) => fit(document, &described["schema"], body, ""),
        },
    }
}

/// The described path that this path equals or is an instance of; if there are several, one with this method.
fn template_of(document: &Value, method: &str, path: &str) -> Option<String> {
    let given: Vec<&str> = path.split('/').collect();
    let fits = |template: &&String| {
        let parts: Vec<&str> = template.split('/').collect();
        parts.len() == given.len() && parts.iter().zip(&given).all(|(part, given)| part.starts_with('{') || part == given)
    };
    let mut fitting: Vec<&String> = document["paths"].as_object()?.keys().filter(fits).collect();
    fitting.sort_by_key(|template| (*template != path, document["paths"][*template].get(method.to_lowercase()).is_none()));
    fitting.first().map(|template| (*template).clone())
}

fn fit(document: &Value, schema: &Value, value: &Value, at: &str) -> Vec<String> {
    if let Some(reference) = schema["$ref"].as_str() {
        let target = document.pointer(reference.trim_start_matches('#'));
        return target.map_or(vec![format!("{reference} cannot be resolved")], |target| fit(document, target, value, at));
    }
    for any in ["oneOf", "anyOf"] {
        if let Some(choices) = schema[any].as_array() {
            let fits = choices.iter().any(|choice| fit(document, choice, value, at).is_empty());
            return if fits { Vec::new() } else { vec![format!("{at}: {value} matches none of {any}")] };
        }
    }
    let mut mismatches: Vec<String> = Vec::new();
    for part in schema["allOf"].as_array().into_iter().flatten() {
        mismatches.extend(fit(document, part, value, at));
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let is = |wanted: &str| match wanted {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        _ => false,
    };
    if !types.is_empty() && !types.iter().any(|wanted| is(wanted)) {
        mismatches.push(format!("{at}: {value} is not {types:?}"));
    }
    if let Some(words) = schema["enum"].as_array()
        && !words.contains(value)
    {
        mismatches.push(format!("{at}: {value} is not one of {words:?}"));
    }
    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
        mismatches.extend(fit(document, &schema["items"], item, &format!("{at}/{index}")));
    }
    if let Some(members) = value.as_object() {
        mismatches.extend(fit_members(document, schema, members, at));
    }
    mismatches
}

fn fit_members(document: &Value, schema: &Value, members: &Map<String, Value>, at: &str) -> Vec<String> {
    let needed = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let mut mismatches: Vec<String> =
        needed.filter(|name| !members.contains_key(*name)).map(|name| format!("{at}/{name} is missing")).collect();
    for (name, member) in members {
        let described = &schema["properties"][name];
        if !described.is_null() {
            mismatches.extend(fit(document, described, member, &format!("{at}/{name}")));
        }
    }
    mismatches
}
