//! The style sheet, the script and the icon, in the binary. Their addresses change with their content, so browsers may
//! keep them for good.
use crate::http::console::page::PageAnswer;
use crate::http::error::ApiError;
use actix_web::HttpResponse;
use actix_web::http::header::CACHE_CONTROL;
use actix_web::web::Path;
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

static STYLE_AT: LazyLock<String> = LazyLock::new(|| versioned("console.css", STYLE));
static SCRIPT_AT: LazyLock<String> = LazyLock::new(|| versioned("console.js", SCRIPT));
static ICON_AT: LazyLock<String> = LazyLock::new(|| versioned("icon.svg", ICON));

/// The address of the style sheet.
pub(super) fn style() -> &'static str {
    &STYLE_AT
}

/// The address of the script.
pub(super) fn script() -> &'static str {
    &SCRIPT_AT
}

/// The address of the icon.
pub(super) fn icon() -> &'static str {
    &ICON_AT
}

/// Answers with one of them.
pub(super) async fn asset(path: Path<(String, String)>) -> PageAnswer {
    let (media_type, content) = match path.1.as_str() {
        "console.css" => ("text/css; charset=utf-8", STYLE),
        "console.js" => ("text/javascript; charset=utf-8", SCRIPT),
        "icon.svg" => ("image/svg+xml", ICON),
        _ => return Err(ApiError::not_found("file").into()),
    };
    Ok(HttpResponse::Ok().content_type(media_type).insert_header((CACHE_CONTROL, "public, max-age=31536000, immutable")).body(content))
}
