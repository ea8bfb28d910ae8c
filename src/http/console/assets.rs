//! The style sheet, the script and the icon, embedded in the binary. Their addresses contain a digest of their content,
//! so browsers may cache them forever.
use sha2::{Digest, Sha256};
use std::sync::LazyLock;

const STYLE: &str = include_str!("assets/console.css");
const SCRIPT: &str = include_str!("assets/console.js");
const ICON: &str = include_str!("assets/icon.svg");

fn versioned(name: &str, content: &str) -> String {
    let digest = Sha256::digest(content.as_bytes());
    let version: String = digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    format!("/console/assets/{version}/{name}")
}

static STYLE_PATH: LazyLock<String> = LazyLock::new(|| versioned("console.css", STYLE));
static SCRIPT_PATH: LazyLock<String> = LazyLock::new(|| versioned("console.js", SCRIPT));
static ICON_PATH: LazyLock<String> = LazyLock::new(|| versioned("icon.svg", ICON));

pub(super) fn style() -> &'static str {
    &STYLE_PATH
}

pub(super) fn script() -> &'static str {
    &SCRIPT_PATH
}

pub(super) fn icon() -> &'static str {
    &ICON_PATH
}

/// The media type and the content of the asset with this file name.
pub(super) fn content(name: &str) -> Option<(&'static str, &'static str)> {
    match name {
        "console.css" => Some(("text/css; charset=utf-8", STYLE)),
        "console.js" => Some(("text/javascript; charset=utf-8", SCRIPT)),
        "icon.svg" => Some(("image/svg+xml", ICON)),
        _ => None,
    }
}
