//! Everything that is wrong in one object, not only what is wrong first: after each error, the member that it is about is
//! replaced by one that is right, and the rest is read again.
use super::json::{JsonError, object_at};
use super::numbers::named_number;
use crate::domain::FieldError;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

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
        let member = last.pointer.split('/').nth(1).map(|name| name.replace("~1", "/").replace("~0", "~"));
        match member {
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
