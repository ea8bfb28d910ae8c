//! Values that shops write in more than one way. Plugins, proxies and other versions turn numbers into text and ids into
//! numbers; a row that cannot be read is that row's trouble, never that of the whole answer.
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// A quantity in an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Units {
    /// The answer has no such field.
    #[default]
    Absent,
    /// There is something, but no quantity: nothing, an empty text, or words.
    Unreadable,
    /// So many whole units; fractions are rounded down.
    Known(i64),
}

impl Units {
    /// The quantity, if there is one that can be read.
    pub fn known(self) -> Option<i64> {
        match self {
            Self::Known(units) => Some(units),
            Self::Absent | Self::Unreadable => None,
        }
    }

    /// The quantity, or `units` if the answer has no such field; `None` if it cannot be read.
    pub fn or_absent(self, units: i64) -> Option<i64> {
        if self == Self::Absent { Some(units) } else { self.known() }
    }

    /// Reads a quantity: 7, 7.0, "7" and " 7 " are all 7.
    pub fn of(value: &Value) -> Self {
        let number = match value {
            Value::Number(number) => number.as_i64().or_else(|| number.as_f64().and_then(whole)),
            Value::String(text) => {
                let text = text.trim();
                text.parse().ok().or_else(|| text.parse().ok().and_then(whole))
            }
            _ => None,
        };
        number.map_or(Self::Unreadable, Self::Known)
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
fn whole(number: f64) -> Option<i64> {
    (number.is_finite() && number.abs() < 9e15).then(|| number.floor() as i64)
}

impl<'de> Deserialize<'de> for Units {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Value::deserialize(deserializer).map(|value| Self::of(&value))
    }
}

/// An id as text, whether it is written as text or as a number. Empty if it is neither.
pub fn id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Value::deserialize(deserializer).map(|value| match value {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) => number.to_string(),
        _ => String::new(),
    })
}

/// An id that is optional, as [`id`] reads it.
pub fn optional_id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    id(deserializer).map(|text| Some(text).filter(|text| !text.is_empty()))
}

/// An id that is a whole number, whether it is written as a number or as text. 0 if it is neither.
pub fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    id(deserializer).map(|text| text.parse().unwrap_or_default())
}

/// The rows of a list that have the expected form; the others are left out.
pub fn rows<'de, T: serde::de::DeserializeOwned, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    let rows = Vec::<Value>::deserialize(deserializer)?;
    Ok(rows.into_iter().filter_map(|row| serde_json::from_value(row).ok()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_quantity_is_read_however_it_is_written() {
        for seven in [json!(7), json!(7.0), json!("7"), json!(" 7 "), json!("7.0"), json!(7.9)] {
            assert_eq!(Units::of(&seven), Units::Known(7), "{seven}");
        }
        for nothing in [json!(null), json!(""), json!("many"), json!([7]), json!(true), json!(1e300)] {
            assert_eq!(Units::of(&nothing), Units::Unreadable, "{nothing}");
        }
        assert_eq!((Units::of(&json!(-3)), Units::of(&json!(-0.5))), (Units::Known(-3), Units::Known(-1)));
    }

    #[test]
    fn a_field_that_is_missing_differs_from_one_that_cannot_be_read() {
        #[derive(Deserialize)]
        struct Row {
            #[serde(default)]
            units: Units,
            #[serde(default, deserialize_with = "id")]
            id: String,
            #[serde(default, deserialize_with = "number")]
            number: u64,
        }
        let read = |value: Value| serde_json::from_value::<Row>(value).map(|row| (row.units, row.id, row.number)).unwrap();
        assert_eq!(read(json!({})), (Units::Absent, String::new(), 0));
        assert_eq!(read(json!({"units": null, "id": 12, "number": "34"})), (Units::Unreadable, "12".to_owned(), 34));
        assert_eq!((Units::Absent.or_absent(0), Units::Unreadable.or_absent(0)), (Some(0), None));
    }
}
