//! Reads whole numbers as other systems write them: `5`, `5.0` and `5e0` are the same quantity. A fraction is refused, and
//! named as one, because half a unit cannot be in stock.
use crate::domain::FieldError;
use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use std::fmt;

/// Above this, not every whole number has a floating-point form of its own (2^53).
const MAX_EXACT: f64 = 9_007_199_254_740_992.0;

/// The most characters of a number that an answer repeats.
const MAX_SHOWN: usize = 128;

struct Whole;

impl Visitor<'_> for Whole {
    type Value = i64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("i64")
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<i64, E> {
        Ok(value)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<i64, E> {
        i64::try_from(value).map_err(|_| E::invalid_value(Unexpected::Unsigned(value), &self))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<i64, E> {
        if value.fract() != 0.0 {
            return Err(E::custom(crate::domain::problem::FRACTION));
        }
        if value.abs() > MAX_EXACT {
            return Err(E::invalid_value(Unexpected::Float(value), &self));
        }
        #[expect(clippy::cast_possible_truncation, reason = "whole, and within 2^53")]
        let whole = value as i64;
        Ok(whole)
    }
}

/// For serde's `deserialize_with`.
pub(super) fn whole<'de, D: Deserializer<'de>>(from: D) -> Result<i64, D::Error> {
    from.deserialize_any(Whole)
}

/// The same for a field that may be omitted or null.
pub(super) fn optional_whole<'de, D: Deserializer<'de>>(from: D) -> Result<Option<i64>, D::Error> {
    #[derive(Deserialize)]
    struct Wrapped(#[serde(deserialize_with = "whole")] i64);
    Ok(Option::<Wrapped>::deserialize(from)?.map(|Wrapped(value)| value))
}

/// The same for a field that null changes: `None` only if it is omitted.
pub(super) fn nullable_whole<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Option<i64>>, D::Error> {
    optional_whole(from).map(Some)
}

/// Finds one member of an object, and keeps nothing of the others.
struct Member<'m>(&'m str);

impl<'de> DeserializeSeed<'de> for Member<'_> {
    type Value = Option<&'de RawValue>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Member<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut members: M) -> Result<Self::Value, M::Error> {
        let mut found = None;
        while let Some(name) = members.next_key::<String>()? {
            if name == self.0 {
                found = Some(members.next_value()?);
            } else {
                members.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

/// The text of a member of an object that is otherwise invalid: a text, or a number as it was written.
pub(super) fn text_of(object: &[u8], member: &str) -> Option<String> {
    let raw = Member(member).deserialize(&mut serde_json::Deserializer::from_slice(object)).ok()??.get();
    let is_number = raw.starts_with(|c: char| c == '-' || c.is_ascii_digit()) && raw.len() <= MAX_SHOWN;
    serde_json::from_str(raw).ok().or_else(|| is_number.then(|| raw.to_owned()))
}

/// Says how to write a SKU or an id that was sent as a number: as a number it would lose its leading zeros and last digits.
pub(super) fn named_number(error: FieldError, object: &[u8]) -> FieldError {
    let member = error.pointer.trim_start_matches('/');
    match text_of(object, member).filter(|_| error.detail == "must be text" && ["sku", "event_id", "external_id"].contains(&member)) {
        Some(text) => FieldError::new(error.pointer, format!("must be text, in quotes: \"{text}\"")),
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    struct Probe {
        #[serde(deserialize_with = "whole")]
        quantity: i64,
        #[serde(default, deserialize_with = "optional_whole")]
        buffer: Option<i64>,
    }

    fn read(json: &str) -> Result<(i64, Option<i64>), String> {
        let mut reader = serde_json::Deserializer::from_str(json);
        let read: Result<Probe, _> = serde_path_to_error::deserialize(&mut reader);
        read.map(|probe| (probe.quantity, probe.buffer)).map_err(|error| FieldError::from_serde(error.path(), error.inner()).to_string())
    }

    #[test]
    fn a_whole_number_may_be_written_in_any_form() {
        for (text, value) in [("5", 5), ("5.0", 5), ("5e0", 5), ("-5.00", -5), ("0.5e1", 5), ("1e3", 1000), ("-0.0", 0)] {
            assert_eq!(read(&format!(r#"{{"quantity":{text}}}"#)), Ok((value, None)), "{text}");
            assert_eq!(read(&format!(r#"{{"quantity":1,"buffer":{text}}}"#)), Ok((1, Some(value))), "{text}");
        }
        assert_eq!(read(r#"{"quantity":1,"buffer":null}"#), Ok((1, None)));
    }

    #[test]
    fn a_fraction_is_named_as_one_and_anything_else_is_not_a_number() {
        for text in ["1.5", "-0.001", "2.5e0"] {
            let refused = read(&format!(r#"{{"quantity":{text}}}"#)).unwrap_err();
            assert!(refused.starts_with("quantity: ") && refused.contains("fraction"), "{text}: {refused}");
            let refused = read(&format!(r#"{{"quantity":1,"buffer":{text}}}"#)).unwrap_err();
            assert!(refused.starts_with("buffer: ") && refused.contains("fraction"), "{text}: {refused}");
        }
        for text in ["1e30", "9223372036854775808", "\"5\"", "true", "null", "[]", "{}"] {
            assert_eq!(read(&format!(r#"{{"quantity":{text}}}"#)), Err("quantity: must be a 64-bit whole number".to_owned()), "{text}");
        }
        assert_eq!(read(r#"{"quantity":1e400}"#), Err("quantity: is too large".to_owned()));
    }
}
