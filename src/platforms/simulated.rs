//! To come.
/// The connector.
pub struct Simulated;
