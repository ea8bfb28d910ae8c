//! Use cases: what can be done, apart from who asks for it and when.
pub mod daily;
pub mod delivery;
