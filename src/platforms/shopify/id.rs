//! Shopify's IDs, which sellers may enter in full or as bare numbers.

/// The full ID of a Shopify object, from a full ID or a bare number.
pub(super) fn gid(kind: &str, text: &str) -> Result<String, String> {
    let number = text.strip_prefix("gid://shopify/").and_then(|rest| rest.strip_prefix(kind)?.strip_prefix('/')).unwrap_or(text);
    if number.is_empty() || number.len() > 20 || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        let text: String = text.chars().take(100).collect();
        return Err(format!("{text} is not a Shopify ID: it must be gid://shopify/{kind}/ followed by a number, or the number alone."));
    }
    Ok(format!("gid://shopify/{kind}/{number}"))
}
