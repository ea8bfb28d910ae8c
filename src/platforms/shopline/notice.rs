//! SHOPLINE's webhooks.
//!
//! Sources (checked November 2026): developer.shopline.com, "Webhooks: overview", "apps/installed_uninstalled",
//! "merchants/redact", "customers/redact".
//!
//! - `X-Shopline-Hmac-Sha256` is the HMAC-SHA256 of the raw body under the app's secret. The documentation's example is base64; no
//!   source says so in words, so hexadecimal digits, as in the platform's other signatures, are accepted as well.
//! - It does not cover the other headers, so the shop is taken from the body: `handle` where an app is installed or removed,
//!   `shop_domain` or `store_domain` in the privacy requests.
use super::super::authorize::{App, texts};
use super::super::notice::{About, Notice, Notices, PlatformCall, Unheard, check_signature, object};
use super::super::sign::hmac_sha256;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::ExposeSecret;

/// Hears SHOPLINE's webhooks.
#[derive(Debug)]
pub struct ShoplineNotices;

impl Notices for ShoplineNotices {
    fn notice(&self, app: &App, call: PlatformCall<'_>) -> Result<Notice, Unheard> {
        let right = hmac_sha256(app.secret.expose_secret().as_bytes(), call.body);
        let given = (call.header)("x-shopline-hmac-sha256");
        check_signature(given.clone(), &STANDARD.encode(right)).or_else(|_| check_signature(given, &hex::encode(right)))?;
        let topic = (call.header)("x-shopline-topic").ok_or(Unheard::Unreadable)?;
        let body = object(call.body)?;
        let text = |name: &str| body.get(name).and_then(|value| value.as_str());
        let about = match topic.as_str() {
            "apps/installed_uninstalled" if text("operate").is_some_and(|what| what.eq_ignore_ascii_case("uninstall")) => About::AppRemoved,
            "merchants/redact" | "customers/redact" => About::Privacy(topic),
            _ => About::Other,
        };
        let handle = text("handle").or_else(|| text("store_domain").or_else(|| text("shop_domain"))?.strip_suffix(".myshopline.com"));
        match handle {
            Some(handle) => Ok(Notice { shop: texts(&[("handle", handle)]), about }),
            None if about == About::Other => Ok(Notice { shop: texts(&[]), about }),
            None => Err(Unheard::Unreadable),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::notice::tests::heard;
    use super::*;

    /// By another implementation: `printf … | openssl dgst -sha256 -hmac hush -binary | base64`.
    const REMOVED: (&str, &str) = (r#"{"handle":"acme","operate":"UNINSTALL"}"#, "eiyOctlzHrYj9ZHUZ/oPnsn7v9xJl5C/h9bF2uZBJ4A=");
    const INSTALLED: (&str, &str) = (r#"{"handle":"acme","operate":"INSTALL"}"#, "YmldE2Cj7fCNvSdwA7UFlR6VtTs3T86dEHeDjBa0pUg=");
    const REDACT: (&str, &str) =
        (r#"{"store_domain":"acme.myshopline.com","store_id":"1"}"#, "2UUTEuNS1NUpP2gPeSxTnLj8C1qHlTdwpZMTYZquKnw=");

    const CUSTOMER: (&str, &str) =
        (r#"{"shop_domain":"acme.myshopline.com","shop_id":"1"}"#, "GS71LThK/3FnLxdY6g5QAMt11d0recbI7j/RcmwnJiQ=");

    #[test]
    fn a_removed_app_and_privacy_requests_are_heard_with_their_shop() {
        let said = |topic: &str, (body, signature): (&str, &str)| {
            heard(&ShoplineNotices, &[("x-shopline-topic", topic), ("x-shopline-hmac-sha256", signature)], body)
        };
        let of_acme = |about| Ok(Notice { shop: texts(&[("handle", "acme")]), about });
        assert_eq!(said("apps/installed_uninstalled", REMOVED), of_acme(About::AppRemoved));
        let hexadecimal = hex::encode(STANDARD.decode(REMOVED.1).unwrap());
        assert_eq!(said("apps/installed_uninstalled", (REMOVED.0, &hexadecimal)), of_acme(About::AppRemoved));
        assert_eq!(said("apps/installed_uninstalled", INSTALLED), of_acme(About::Other));
        assert_eq!(said("merchants/redact", REDACT), of_acme(About::Privacy("merchants/redact".to_owned())));
        assert_eq!(said("customers/redact", CUSTOMER), of_acme(About::Privacy("customers/redact".to_owned())));
        assert_eq!(said("merchants/redact", (REDACT.0, REMOVED.1)), Err(Unheard::Forged));
    }
}
