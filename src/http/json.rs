//! JSON from clients: bounded before anything of it is kept, split into items, and read with a pointer to each error.
use super::error::ApiError;
use crate::domain::FieldError;
use crate::domain::limits::MAX_BULK;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use std::marker::PhantomData;

/// How deeply one object may be nested; no documented one needs more than 4.
const MAX_DEPTH: usize = 32;
/// The most members of one object: a few are documented, and a connector adds at most a dozen.
const MAX_MEMBERS: usize = 256;
/// The most values in one object, nested ones included: the longest documented ones are two lists of [`MAX_BULK`].
const MAX_VALUES: usize = 25_000;

/// Why a text is not the expected JSON.
pub enum JsonError {
    /// It is not valid JSON; the message is for the client.
    Syntax(String),
    /// A field is invalid.
    Field(FieldError),
}

/// Checks that a body is JSON without interpreting it; the error is a message for the client.
pub fn raw(bytes: &[u8]) -> Result<&RawValue, String> {
    serde_json::from_slice(bytes).map_err(|error| match bytes.trim_ascii() {
        [] => "The body is empty, but must be JSON.".to_owned(),
        _ => format!("The body is not valid JSON: {error}."),
    })
}

/// Splits a JSON list into items without parsing them, so that an invalid item does not affect the others.
///
/// # Errors
/// 400 for invalid JSON, 422 if it is not a list or has more than [`MAX_BULK`] items.
pub fn items<'a>(bytes: &'a [u8], what: &str) -> Result<Vec<&'a RawValue>, ApiError> {
    let whole = raw(bytes).map_err(ApiError::malformed)?.get();
    if !whole.starts_with('[') {
        return Err(ApiError::field("", format!("must be a list of {what}")));
    }
    // It is a valid list, so the only possible error is that it is too long.
    let items: Bounded<&'a RawValue> =
        serde_json::from_str(whole).map_err(|_| ApiError::field("", format!("may have at most {MAX_BULK} {what}; send them in parts")))?;
    Ok(items.0)
}

/// At most [`MAX_BULK`] items of a list; reading stops at the first one too many.
struct Bounded<T>(Vec<T>);

impl<'a, T: Deserialize<'a>> Deserialize<'a> for Bounded<T> {
    fn deserialize<D: Deserializer<'a>>(from: D) -> Result<Self, D::Error> {
        struct Items<T>(PhantomData<T>);
        impl<'a, T: Deserialize<'a>> Visitor<'a> for Items<T> {
            type Value = Bounded<T>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "a list of at most {MAX_BULK} items")
            }
            fn visit_seq<S: SeqAccess<'a>>(self, mut list: S) -> Result<Bounded<T>, S::Error> {
                let mut items = Vec::new();
                while let Some(item) = list.next_element()? {
                    if items.len() == MAX_BULK {
                        return Err(serde::de::Error::invalid_length(MAX_BULK + 1, &self));
                    }
                    items.push(item);
                }
                Ok(Bounded(items))
            }
        }
        from.deserialize_seq(Items(PhantomData))
    }
}

/// Parses a JSON object; an error about a field includes its pointer.
pub fn object_at<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, JsonError> {
    // serde would also accept a list of the values in the order of the fields.
    if bytes.trim_ascii_start().first() != Some(&b'{') {
        raw(bytes).map_err(JsonError::Syntax)?;
        return Err(JsonError::Field(FieldError::new("", "must be a JSON object")));
    }
    if let Some(detail) = excess(bytes) {
        raw(bytes).map_err(JsonError::Syntax)?;
        return Err(JsonError::Field(FieldError::new("", detail)));
    }
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let read = serde_path_to_error::deserialize(&mut reader);
    if read.is_err() || reader.end().is_err() {
        // If it is valid JSON, the error concerns a field, even if a number in it is out of any range.
        raw(bytes).map_err(JsonError::Syntax)?;
    }
    read.map_err(|error| JsonError::Field(FieldError::from_serde(error.path(), error.inner())))
}

/// Reads a JSON object, or a list of at most [`MAX_BULK`], in one pass. `None` if there is anything unusual about it: then
/// [`object_at`] or [`items`] find out what, and may still accept it. `T` must be a struct that denies unknown fields and has
/// no nested ones, so that nothing is kept that is not wanted.
pub fn quick<T: DeserializeOwned>(bytes: &[u8]) -> Option<Vec<T>> {
    match bytes.trim_ascii_start().first() {
        Some(b'{') => serde_json::from_slice::<Object<T>>(bytes).ok().map(|object| vec![object.0]),
        _ => serde_json::from_slice::<Bounded<Object<T>>>(bytes).ok().map(|list| list.0.into_iter().map(|object| object.0).collect()),
    }
}

/// An object and nothing else; serde would also accept a list of the values in the order of the fields.
#[derive(Debug, Default)]
pub(super) struct Object<T>(pub(super) T);

impl<'a, T: Deserialize<'a>> Deserialize<'a> for Object<T> {
    fn deserialize<D: Deserializer<'a>>(from: D) -> Result<Self, D::Error> {
        struct Members<T>(PhantomData<T>);
        impl<'a, T: Deserialize<'a>> Visitor<'a> for Members<T> {
            type Value = Object<T>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<M: MapAccess<'a>>(self, members: M) -> Result<Object<T>, M::Error> {
                T::deserialize(MapAccessDeserializer::new(members)).map(Object)
            }
        }
        from.deserialize_map(Members(PhantomData))
    }
}

/// What there is too much of in a JSON text, if anything. Counts without keeping anything, because serde would keep a million
/// unknown members before it could refuse them. What it says of a text that is not valid JSON means nothing.
fn excess(bytes: &[u8]) -> Option<String> {
    // For each value that is open: whether it is an object, and how many values it has had so far.
    let mut open: Vec<(bool, usize)> = Vec::with_capacity(MAX_DEPTH);
    let (mut values, mut in_text, mut escaped) = (0, false, false);
    for byte in bytes {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = in_text,
            b'"' => in_text = !in_text,
            _ if in_text => {}
            b'{' | b'[' if open.len() == MAX_DEPTH => return Some("is nested too deeply".to_owned()),
            b'{' | b'[' => open.push((*byte == b'{', 1)),
            b'}' | b']' => drop(open.pop()),
            b',' => {
                values += 1;
                if let Some((is_object, count)) = open.last_mut() {
                    *count += 1;
                    if *is_object && *count > MAX_MEMBERS {
                        return Some(format!("has an object with more than {MAX_MEMBERS} members"));
                    }
                }
                if values > MAX_VALUES {
                    return Some(format!("has more than {MAX_VALUES} values"));
                }
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn detail_of(text: &str) -> String {
        match object_at::<Value>(text.as_bytes()) {
            Ok(_) => "ok".to_owned(),
            Err(JsonError::Syntax(_)) => "syntax".to_owned(),
            Err(JsonError::Field(error)) => error.detail,
        }
    }

    #[test]
    fn an_object_is_bounded_in_depth_members_and_values() {
        let members = |count: usize| format!("{{{}}}", (0..count).map(|i| format!(r#""m{i}":1"#)).collect::<Vec<_>>().join(","));
        let list = |count: usize| format!(r#"{{"list":[{}]}}"#, vec!["1"; count].join(","));
        let deep = |depth: usize| format!("{}1{}", r#"{"a":"#.repeat(depth), "}".repeat(depth));
        assert_eq!(detail_of(&members(MAX_MEMBERS)), "ok");
        assert_eq!(detail_of(&members(MAX_MEMBERS + 1)), "has an object with more than 256 members");
        assert_eq!(detail_of(&format!(r#"{{"x":{}}}"#, members(MAX_MEMBERS + 1))), "has an object with more than 256 members");
        assert_eq!(detail_of(&list(MAX_VALUES)), "ok");
        assert_eq!(detail_of(&list(MAX_VALUES + 2)), "has more than 25000 values");
        assert_eq!(detail_of(&deep(MAX_DEPTH)), "ok");
        assert_eq!(detail_of(&deep(MAX_DEPTH + 1)), "is nested too deeply");
        assert_eq!(detail_of(&deep(100_000)), "is nested too deeply");
        assert_eq!(detail_of(&"{\"a\":".repeat(100_000)), "syntax");
    }

    #[test]
    fn what_is_within_a_text_is_not_counted() {
        let text = r#"\"{[,"#.repeat(MAX_VALUES);
        assert_eq!(detail_of(&format!(r#"{{"a":"{text}","b\\":"{text}"}}"#)), "ok");
    }

    #[test]
    fn a_list_that_is_too_long_is_refused_and_an_item_keeps_its_text() {
        let list = |count: usize| format!(" [{}] ", vec![" {\"a\": 1} "; count].join(","));
        let (fits, too_long) = (list(MAX_BULK), list(MAX_BULK + 1));
        let items_of = |text: &str| items(text.as_bytes(), "rows").map(|items| (items.len(), items[0].get().to_owned()));
        assert_eq!(items_of(&fits), Ok((MAX_BULK, "{\"a\": 1}".to_owned())));
        assert_eq!(items_of(&too_long), Err(ApiError::field("", "may have at most 10000 rows; send them in parts")));
        assert_eq!(items_of("{}"), Err(ApiError::field("", "must be a list of rows")));
    }
}
