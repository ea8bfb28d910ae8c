//! Everything that is wrong in one object, not only what is wrong first: after each error, the member that it is about is
//! replaced by one that is right, or can at least be read, and the rest is read again.
use super::json::{JsonError, object_at};
use super::numbers::named_number;
use crate::domain::FieldError;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

/// The most errors that are named of an object that is sent alone.
pub(super) const MOST_OF_ONE: usize = 16;
/// The same of one among up to ten thousand, so that the answer does not become much larger than the request.
pub(super) const MOST_OF_MANY: usize = 4;
/// Of a longer object only the first error is named, because it is read several times for each error.
const MAX_BYTES: usize = 64 * 1024;

/// An object that cannot be read as it is.
pub(super) struct Broken<T> {
    /// What is wrong with it, in the order in which it was found.
    pub errors: Vec<FieldError>,
    /// The object with valid values in place of the wrong ones; `None` if too much of it is wrong.
    pub rest: Option<T>,
    /// The names of the members whose values were replaced.
    pub replaced: Vec<String>,
}

/// Reads an object of which `first` is known to be wrong, naming at most `most` errors. `stand_ins` are right values of all
/// members that an object may have.
pub(super) fn broken<T: DeserializeOwned>(bytes: &[u8], first: FieldError, stand_ins: &[(&str, Value)], most: usize) -> Broken<T> {
    let mut broken = Broken { errors: vec![first], rest: None, replaced: Vec::new() };
    // Fails where the members of one name would be lost: where a number is out of any range.
    let Ok(mut object) = serde_json::from_slice::<Map<String, Value>>(bytes) else { return broken };
    while let Some(last) = broken.errors.last() {
        match member(last) {
            // It is not known which: its name may be a secret.
            None => object.retain(|name, _| stand_ins.iter().any(|(known, _)| known == name)),
            Some(name) => {
                match stand_ins.iter().find(|(known, _)| *known == name) {
                    Some((_, value)) => drop(object.insert(name.clone(), value.clone())),
                    None => drop(object.remove(&name)),
                }
                if broken.replaced.contains(&name) {
                    return broken;
                }
                broken.replaced.push(name);
            }
        }
        let Ok(text) = serde_json::to_vec(&object) else { return broken };
        match object_at(&text) {
            Ok(rest) => {
                broken.rest = Some(rest);
                return broken;
            }
            Err(JsonError::Field(error)) if broken.errors.len() < most => broken.errors.push(named_number(error, bytes)),
            Err(_) => return broken,
        }
    }
    broken
}

/// What keeps an object from being read, `first` being known: at most `most` errors.
pub(super) fn unreadable<T: DeserializeOwned>(bytes: &[u8], first: FieldError, most: usize) -> Vec<FieldError> {
    let mut errors = vec![first];
    if bytes.len() > MAX_BYTES {
        return errors;
    }
    let Ok(mut object) = serde_json::from_slice::<Map<String, Value>>(bytes) else { return errors };
    while errors.len() < most
        && let Some(name) = errors.last().and_then(member)
        && let Some(next) = next_error::<T>(&mut object, &name)
        && errors.iter().all(|error| error.pointer != next.pointer)
    {
        errors.push(next);
    }
    errors
}

/// The first error of an object that is not about the member of this name: whatever value it can be read with takes its place.
fn next_error<T: DeserializeOwned>(object: &mut Map<String, Value>, name: &str) -> Option<FieldError> {
    object.remove(name);
    let values = [json!("x"), json!(1), json!(true), json!([]), json!({})].map(Some);
    for value in std::iter::once(None).chain(values) {
        if let Some(value) = value {
            object.insert(name.to_owned(), value);
        }
        match object_at::<T>(&serde_json::to_vec(object).ok()?) {
            Ok(_) => return None,
            Err(JsonError::Field(error)) if member(&error).as_deref() != Some(name) => return Some(error),
            Err(_) => {}
        }
    }
    None
}

/// The name of the member that an error is about.
fn member(error: &FieldError) -> Option<String> {
    error.pointer.split('/').nth(1).map(|name| name.replace("~1", "/").replace("~0", "~"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only read")]
    struct Row {
        sku: String,
        size: Option<u8>,
        on: Option<bool>,
    }

    #[test]
    fn each_member_that_cannot_be_read_is_named_and_no_other() {
        let pointers = |text: &str, most| {
            let Err(JsonError::Field(first)) = object_at::<Row>(text.as_bytes()) else { panic!("{text} can be read") };
            unreadable::<Row>(text.as_bytes(), first, most).into_iter().map(|error| error.pointer).collect::<Vec<_>>()
        };
        let all = r#"{"size": "small", "on": 1, "colour": "red", "sku": 7}"#;
        assert_eq!(pointers(all, 9), ["/size", "/colour", "/on", "/sku"]);
        assert_eq!(pointers(all, 2), ["/size", "/colour"]);
        assert_eq!(pointers(r#"{"size": 300}"#, 9), ["/size", "/sku"]);
        assert_eq!(pointers(r#"{"sku": "S", "size": -1}"#, 9), ["/size"]);
        assert_eq!(pointers("[]", 9), [""]);
    }
}
