//! Shopify's webhooks.
//!
//! Sources (checked November 2026): shopify.dev, "Deliver webhooks through HTTPS", "Privacy law compliance".
//!
//! - `X-Shopify-Hmac-SHA256` is the HMAC-SHA256 of the raw body under the app's secret, in base64. It does not cover the other
//!   headers, so the shop is taken from the body: `myshopify_domain` of `app/uninstalled`, `shop_domain` of the privacy requests.
//! - Apps in Shopify's app store must answer `customers/data_request`, `customers/redact` and `shop/redact`, and refuse a wrong
//!   signature with 401.
use super::super::authorize::{App, texts};
use super::super::notice::{About, Notice, Notices, PlatformCall, Unheard, check_signature, object};
use super::super::sign::hmac_sha256;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::ExposeSecret;

/// Hears Shopify's webhooks.
#[derive(Debug)]
pub struct ShopifyNotices;

impl Notices for ShopifyNotices {
    fn notice(&self, app: &App, call: PlatformCall<'_>) -> Result<Notice, Unheard> {
        let right = STANDARD.encode(hmac_sha256(app.secret.expose_secret().as_bytes(), call.body));
        check_signature((call.header)("x-shopify-hmac-sha256"), &right)?;
        let about = match (call.header)("x-shopify-topic").ok_or(Unheard::Unreadable)?.as_str() {
            "app/uninstalled" => About::AppRemoved,
            topic @ ("customers/data_request" | "customers/redact" | "shop/redact") => About::Privacy(topic.to_owned()),
            _ => About::Other,
        };
        let body = object(call.body)?;
        let domain = ["myshopify_domain", "shop_domain"].iter().find_map(|name| body.get(*name)?.as_str());
        match domain.and_then(|domain| domain.strip_suffix(".myshopify.com")) {
            Some(shop) => Ok(Notice { shop: texts(&[("shop", shop)]), about }),
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
    const REMOVED: (&str, &str) = (r#"{"myshopify_domain":"acme.myshopify.com"}"#, "NNrXEZ49mecZvrgwyVkOkrKexG8MxweQyS0ZzbjcOyA=");
    const REDACT: (&str, &str) = (r#"{"shop_domain":"acme.myshopify.com"}"#, "68wFGOujLcH2quhrSq8PMf1juD9NTrVy6CTcDKWnXU8=");

    fn said(topic: &str, (body, signature): (&str, &str)) -> Result<Notice, Unheard> {
        heard(&ShopifyNotices, &[("x-shopify-topic", topic), ("x-shopify-hmac-sha256", signature)], body)
    }

    #[test]
    fn a_removed_app_and_privacy_requests_are_heard_with_their_shop() {
        let of_acme = |about| Ok(Notice { shop: texts(&[("shop", "acme")]), about });
        assert_eq!(said("app/uninstalled", REMOVED), of_acme(About::AppRemoved));
        assert_eq!(said("shop/redact", REDACT), of_acme(About::Privacy("shop/redact".to_owned())));
        assert_eq!(said("orders/create", REMOVED), of_acme(About::Other));
        assert_eq!(said("app/uninstalled", (REMOVED.0, REDACT.1)), Err(Unheard::Forged));
    }

    #[test]
    fn a_signed_call_that_names_no_shop_is_unreadable() {
        for (body, signature) in
            [("{}", "UFwgrGBPZilFtmKh8TqcovA78LGYb1BdWu9I4Q2oyRg="), ("rubbish", "e/HCE9cmbkW47Uzax5gSYrpk/fSNZDN5DBU6KdZoFEc=")]
        {
            assert_eq!(said("app/uninstalled", (body, signature)), Err(Unheard::Unreadable), "{body}");
        }
        assert_eq!(heard(&ShopifyNotices, &[("x-shopify-hmac-sha256", REMOVED.1)], REMOVED.0), Err(Unheard::Unreadable), "no topic");
    }
}
