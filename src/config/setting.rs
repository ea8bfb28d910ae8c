//! A row of the table of settings, and what is wrong with a setting.

/// A row of the table of settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    /// The name in the file and on the command line; in the environment, `STOCKTIDE_` followed by the name in capitals.
    pub name: &'static str,
    /// The value if none is given; empty for "none".
    pub default: &'static str,
    /// The unit or format.
    pub unit: &'static str,
    /// Minimum and maximum of a number.
    pub bounds: Option<(u64, u64)>,
    /// Whether to mask the value wherever it is shown.
    pub secret: bool,
    /// One sentence for `check-config`.
    pub help: &'static str,
}

pub(super) const fn text(name: &'static str, default: &'static str, unit: &'static str, help: &'static str) -> Setting {
    Setting { name, default, unit, bounds: None, secret: false, help }
}

pub(super) const fn secret(name: &'static str, unit: &'static str, help: &'static str) -> Setting {
    Setting { name, default: "", unit, bounds: None, secret: true, help }
}

pub(super) const fn number(
    name: &'static str,
    default: &'static str,
    unit: &'static str,
    min: u64,
    max: u64,
    help: &'static str,
) -> Setting {
    Setting { name, default, unit, bounds: Some((min, max)), secret: false, help }
}

/// An invalid setting.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name}: {detail}")]
pub struct ConfigError {
    /// The name of the setting.
    pub name: String,
    /// What is wrong, to be read after the name.
    pub detail: String,
}

pub(super) fn wrong(name: &str, detail: impl Into<String>) -> ConfigError {
    ConfigError { name: name.to_owned(), detail: detail.into() }
}
