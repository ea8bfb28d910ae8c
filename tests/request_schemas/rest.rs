//! Checks a request against a Swagger 2 or OpenAPI 3 description: its path and method, its query, its body. Stricter than
//! JSON Schema in one respect: a field that is not described is wrong.
use crate::body;
use serde_json::Value;
use stocktide::platforms::call::{Method, Request};

/// A platform's description, and the base URL of its paths.
pub struct Described<'a> {
    pub document: &'a Value,
    pub base: &'a str,
}

impl Described<'_> {
    /// Everything that is wrong with a request.
    pub fn check(&self, request: &Request) -> Vec<String> {
        let relative = request.url.strip_prefix(self.base).unwrap_or_else(|| panic!("{} is not at {}", request.url, self.base));
        let (path, query) = relative.split_once('?').unwrap_or((relative, ""));
        let method = match request.method {
            Method::Get => "get",
            Method::Post => "post",
            Method::Put => "put",
            Method::Patch => "patch",
        };
        let paths = self.document["paths"].as_object().unwrap();
        let Some(operation) = paths.iter().find(|(template, _)| fits(template, path)).and_then(|(_, methods)| methods.get(method)) else {
            return vec![format!("there is no {method} {path}")];
        };
        let mut wrong = Vec::new();
        let parameters: Vec<&Value> = operation["parameters"].as_array().into_iter().flatten().map(|p| self.resolved(p)).collect();
        let of = |place: &str| parameters.iter().copied().filter(|p| p["in"] == place).collect::<Vec<_>>();
        let given: Vec<(&str, &str)> = query.split('&').filter_map(|pair| pair.split_once('=')).collect();
        for (name, value) in &given {
            // The elements of a list may each be named like the list with brackets appended.
            let own = name.strip_suffix("[]").unwrap_or(name);
            match of("query").into_iter().find(|parameter| parameter["name"] == *own) {
                None => wrong.push(format!("{name} is not a parameter of {method} {path}")),
                Some(parameter) => wrong.extend(parameter_is_wrong(parameter, name, value)),
            }
        }
        let missing = |parameter: &&Value| parameter["required"] == true && given.iter().all(|(name, _)| parameter["name"] != *name);
        wrong.extend(of("query").into_iter().filter(missing).map(|parameter| format!("the parameter {} is missing", parameter["name"])));
        let in_body = of("body").first().map(|parameter| &parameter["schema"]);
        let schema = in_body.or_else(|| operation.pointer("/requestBody/content/application~1json/schema"));
        match (schema, &request.body) {
            (Some(schema), Some(_)) => self.value(schema, &body(request), "", &mut wrong),
            (None, None) => {}
            (Some(_), None) => wrong.push("the body is missing".to_owned()),
            (None, Some(_)) => wrong.push("a body is not expected".to_owned()),
        }
        wrong
    }

    fn resolved<'a>(&'a self, schema: &'a Value) -> &'a Value {
        match schema["$ref"].as_str() {
            Some(reference) => self.resolved(self.document.pointer(reference.trim_start_matches('#')).unwrap()),
            None => schema,
        }
    }

    fn value(&self, schema: &Value, value: &Value, at: &str, wrong: &mut Vec<String>) {
        let schema = self.resolved(schema);
        let fits = match schema["type"].as_str() {
            Some("object") => value.is_object(),
            Some("array") => value.is_array(),
            Some("string") => value.is_string(),
            Some("integer") => value.is_i64(),
            Some("number") => value.is_number(),
            Some("boolean") => value.is_boolean(),
            _ => true,
        };
        if !fits {
            return wrong.push(format!("{at} is not of type {}", schema["type"]));
        }
        if schema["enum"].as_array().is_some_and(|words| !words.contains(value)) {
            wrong.push(format!("{at} is not one of {}", schema["enum"]));
        }
        if schema["minimum"].as_f64().is_some_and(|least| value.as_f64().is_some_and(|number| number < least)) {
            wrong.push(format!("{at} is less than {}", schema["minimum"]));
        }
        for (n, element) in value.as_array().into_iter().flatten().enumerate() {
            self.value(&schema["items"], element, &format!("{at}/{n}"), wrong);
        }
        if let (Some(fields), Some(properties)) = (value.as_object(), schema["properties"].as_object()) {
            for (name, field) in fields {
                match properties.get(name) {
                    Some(property) => self.value(property, field, &format!("{at}/{name}"), wrong),
                    None if schema["additionalProperties"] == true => {}
                    None => wrong.push(format!("{at}/{name} is not described")),
                }
            }
            let needed = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
            wrong.extend(needed.filter(|name| !fields.contains_key(*name)).map(|name| format!("{at}/{name} is missing")));
        }
    }
}

/// Whether a path matches this template, in which `{…}` stands for one segment.
fn fits(template: &str, path: &str) -> bool {
    let (template, path): (Vec<&str>, Vec<&str>) = (template.split('/').collect(), path.split('/').collect());
    template.len() == path.len() && template.iter().zip(&path).all(|(a, b)| a == b || (a.starts_with('{') && !b.is_empty()))
}

fn parameter_is_wrong(parameter: &Value, name: &str, value: &str) -> Option<String> {
    // OpenAPI 3 puts the type in a schema, Swagger 2 beside the name.
    let schema = if parameter["schema"].is_object() { &parameter["schema"] } else { parameter };
    let (words, elements) = match schema["type"].as_str() {
        Some("array") => (&schema["items"]["enum"], value.split(',').collect::<Vec<_>>()),
        _ => (&schema["enum"], vec![value]),
    };
    let known = |element: &&str| words.as_array().is_none_or(|words| words.iter().any(|word| word == element));
    let number: Option<i64> = (schema["type"] == "integer").then(|| value.parse().unwrap_or(i64::MAX));
    if number.is_some_and(|n| schema["maximum"].as_i64().is_some_and(|most| n > most)) {
        return Some(format!("{name}={value} is beyond {}", schema["maximum"]));
    }
    (!elements.iter().all(known)).then(|| format!("{name}={value} is not one of {words}"))
}
