//! A change of the audit log as a person reads it: "Share percent: 50 → 30" instead of two JSON documents.
use super::show::sentence_case;
use serde_json::{Map, Value};

/// Members that say nothing to a person or follow from others.
const LEFT_OUT: [&str; 6] = ["id", "store_id", "created_at", "updated_at", "next_run_at", "initial_sync_id"];
/// The most lines about one change, and the most characters of one value.
const MAX_LINES: usize = 20;
const MAX_VALUE: usize = 200;

/// What differs between two values, one line for each member.
pub(super) fn lines(before: Option<&Value>, after: Option<&Value>) -> Vec<String> {
    let nothing = Map::new();
    let members = |value: Option<&Value>| value.and_then(Value::as_object).cloned().unwrap_or_else(|| nothing.clone());
    let (old, new) = (members(before), members(after));
    let mut names: Vec<&String> = old.keys().chain(new.keys().filter(|name| !old.contains_key(*name))).collect();
    names.retain(|name| !LEFT_OUT.contains(&name.as_str()) && old.get(*name) != new.get(*name));
    let line = |name: &String| {
        let label = sentence_case(&name.replace('_', " ")).replace("Sku", "SKU").replace("url", "URL");
        match (old.get(name), new.get(name)) {
            (Some(before), Some(after)) => format!("{label}: {} → {}", text(before), text(after)),
            (Some(only), None) | (None, Some(only)) => format!("{label}: {}", text(only)),
            (None, None) => label,
        }
    };
    let mut lines: Vec<String> = names.iter().take(MAX_LINES).map(|name| line(name)).collect();
    if names.len() > MAX_LINES {
        lines.push(format!("and {} more", names.len() - MAX_LINES));
    }
    lines
}

fn text(value: &Value) -> String {
    let text = match value {
        Value::Null => "none".to_owned(),
        Value::Bool(on) => if *on { "on" } else { "off" }.to_owned(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(text).collect::<Vec<_>>().join(", "),
        Value::Object(members) => {
            members.iter().map(|(name, value)| format!("{}: {}", name.replace('_', " "), text(value))).collect::<Vec<_>>().join("; ")
        }
    };
    match text.char_indices().nth(MAX_VALUE) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_what_changed_is_named_in_words() {
        let before = json!({"share_percent": 50, "paused": false, "name": "Corner", "updated_at": 1, "warehouses": null});
        let after = json!({"share_percent": 30, "paused": true, "name": "Corner", "updated_at": 2, "warehouses": ["main", "north"]});
        assert_eq!(lines(Some(&before), Some(&after)), ["Paused: off → on", "Share percent: 50 → 30", "Warehouses: none → main, north"]);
        assert_eq!(lines(None, Some(&json!({"created": 3, "updated": 0}))), ["Created: 3", "Updated: 0"]);
        assert_eq!(lines(Some(&json!({"sku": "A"})), None), ["SKU: A"]);
        assert_eq!(lines(None, None), [""; 0]);
    }

    #[test]
    fn long_changes_are_cut() {
        let many: Map<String, Value> = (0..50).map(|n| (format!("m{n:02}"), json!("x".repeat(1000)))).collect();
        let lines = lines(None, Some(&Value::Object(many)));
        assert_eq!((lines.len(), lines.last().map(String::as_str)), (MAX_LINES + 1, Some("and 30 more")));
        assert!(lines.iter().all(|line| line.chars().count() <= MAX_VALUE + 10));
    }
}
