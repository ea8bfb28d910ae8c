//! What the platform has applied.

/// A change that the platform applied: the item, and what was done.
pub type Change = (String, Applied);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    Add(i64),
    Set(i64),
}

pub fn add(sku: &str, units: i64) -> Change {
    (sku.to_owned(), Applied::Add(units))
}

pub fn set(sku: &str, units: i64) -> Change {
    (sku.to_owned(), Applied::Set(units))
}
