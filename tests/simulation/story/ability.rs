//! What the platforms of a story can do.

/// What a platform can do. A name with `Blindly` means that it cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ability {
    /// Adds, with idempotency keys.
    Keys,
    /// Sets if the quantity is unchanged.
    CompareAndSet,
    Adds,
    Sets,
    /// Sets, with idempotency keys.
    KeyedSets,
    AddsBlindly,
    SetsBlindly,
    /// Adds, and sets if the quantity is unchanged.
    AddsOrCompares,
}

impl Ability {
    pub(super) const ALL: [Self; 8] = [
        Self::Keys,
        Self::CompareAndSet,
        Self::Adds,
        Self::Sets,
        Self::KeyedSets,
        Self::AddsBlindly,
        Self::SetsBlindly,
        Self::AddsOrCompares,
    ];
    pub fn adjust(self) -> bool {
        matches!(self, Self::Keys | Self::Adds | Self::AddsBlindly | Self::AddsOrCompares)
    }
    pub fn keys(self) -> bool {
        matches!(self, Self::Keys | Self::KeyedSets)
    }
    pub fn compare(self) -> bool {
        matches!(self, Self::CompareAndSet | Self::AddsOrCompares)
    }
    pub fn read(self) -> bool {
        !matches!(self, Self::AddsBlindly | Self::SetsBlindly)
    }
}
