//! What the rows of all tables have in common.
use super::error::{Error, Result};
use crate::domain::units::UnitsEach;

/// The most rows in one multi-row statement: SQLite allows 32,766 binds, our widest row has 26.
pub const ROWS_PER_STATEMENT: usize = 1000;

/// Reads an id from a row; `column` is named in the error.
pub(crate) fn id_of<T>(bytes: &[u8], parse: impl Fn(&[u8]) -> Option<T>, column: &str) -> Result<T> {
    parse(bytes).ok_or_else(|| Error::Corrupt(format!("{column} is not an id")))
}

/// Reads how many units of its SKU a listing is.
pub(crate) fn units_of(stored: i64) -> Result<UnitsEach> {
    UnitsEach::new(stored).ok_or_else(|| Error::Corrupt("listings.units".to_owned()))
}
