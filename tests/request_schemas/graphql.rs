//! Builds a GraphQL schema from its introspection and checks requests against it.
use apollo_compiler::response::JsonMap;
use apollo_compiler::validation::Valid;
use apollo_compiler::{ExecutableDocument, Schema, request::coerce_variable_values};
use serde_json::Value;
use std::fmt::Write as _;

/// A platform's schema.
pub struct Described(Valid<Schema>);

impl Described {
    /// From the answer to the introspection query.
    pub fn from_introspection(answer: &Value) -> Self {
        let schema = answer.pointer("/data/__schema").or_else(|| answer.get("__schema")).unwrap();
        let sdl = sdl(schema);
        // The platform's schema is taken as it is, even where a validator would complain.
        let schema = Schema::parse(sdl, "schema.graphql").unwrap_or_else(|errors| errors.partial);
        Self(Valid::assume_valid(schema))
    }

    /// Checks a request's document and variables.
    pub fn check(&self, body: &Value) -> Result<(), String> {
        let document = body["query"].as_str().unwrap();
        let document = ExecutableDocument::parse_and_validate(&self.0, document, "request.graphql").map_err(|e| e.to_string())?;
        let operation = document.operations.get(None).map_err(|e| format!("{e:?}"))?;
        let variables: JsonMap = serde_json::from_value(body["variables"].clone()).unwrap();
        coerce_variable_values(&self.0, operation, &variables).map(drop).map_err(|e| format!("{e:?}"))
    }
}

fn list<'a>(of: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    of[name].as_array().into_iter().flatten()
}

fn name(of: &Value) -> &str {
    of["name"].as_str().unwrap()
}

fn type_of(reference: &Value) -> String {
    match reference["kind"].as_str().unwrap() {
        "NON_NULL" => format!("{}!", type_of(&reference["ofType"])),
        "LIST" => format!("[{}]", type_of(&reference["ofType"])),
        _ => name(reference).to_owned(),
    }
}

/// `name: Type = default`.
fn value(of: &Value) -> String {
    let default = of["defaultValue"].as_str().map(|text| format!(" = {text}")).unwrap_or_default();
    format!("{}: {}{default}", name(of), type_of(&of["type"]))
}

fn arguments(of: &Value) -> String {
    let all: Vec<String> = list(of, "args").map(value).collect();
    if all.is_empty() { String::new() } else { format!("({})", all.join(", ")) }
}

fn sdl(schema: &Value) -> String {
    const BUILT_IN: [&str; 10] = ["Int", "Float", "String", "Boolean", "ID", "skip", "include", "deprecated", "specifiedBy", "oneOf"];
    let mut out = String::from("schema {");
    for (kind, of) in [("query", "queryType"), ("mutation", "mutationType")] {
        if let Some(root) = schema[of]["name"].as_str() {
            write!(out, " {kind}: {root}").unwrap();
        }
    }
    out.push_str(" }\n");
    let own = |of: &&Value| !BUILT_IN.contains(&name(of)) && !name(of).starts_with("__");
    for directive in list(schema, "directives").filter(own) {
        let places: Vec<&str> = list(directive, "locations").filter_map(Value::as_str).collect();
        writeln!(out, "directive @{}{} on {}", name(directive), arguments(directive), places.join(" | ")).unwrap();
    }
    for of in list(schema, "types").filter(own) {
        let kind = of["kind"].as_str().unwrap();
        let names = |field: &str| list(of, field).map(name).collect::<Vec<_>>();
        let fields = || list(of, "fields").map(|f| format!("{}{}: {}", name(f), arguments(f), type_of(&f["type"]))).collect::<Vec<_>>();
        let implements =
            if names("interfaces").is_empty() { String::new() } else { format!(" implements {}", names("interfaces").join(" & ")) };
        let text = match kind {
            "SCALAR" => format!("scalar {}", name(of)),
            "UNION" => format!("union {} = {}", name(of), names("possibleTypes").join(" | ")),
            "ENUM" => format!("enum {} {{ {} }}", name(of), names("enumValues").join(" ")),
            "INPUT_OBJECT" => format!("input {} {{ {} }}", name(of), list(of, "inputFields").map(value).collect::<Vec<_>>().join(" ")),
            "INTERFACE" => format!("interface {}{implements} {{ {} }}", name(of), fields().join(" ")),
            _ => format!("type {}{implements} {{ {} }}", name(of), fields().join(" ")),
        };
        writeln!(out, "{text}").unwrap();
    }
    out
}
