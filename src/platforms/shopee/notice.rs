//! Shopee's push mechanism.
//!
//! Sources (November 2026): an SDK's documentation, which repeats the list of push types, by which 2 is a shop that has withdrawn
//! its authorization, and a developer's description of the signature. The platform's own pages could not be read, and no source
//! shows where such a push names its shop: it is looked for at the top and in `data`.
//!
//! - `Authorization` is the HMAC-SHA256, in hexadecimal digits, of the address that was called, `|` and the raw body, under the
//!   partner key.
//! - The address is tried with an empty body when it is entered. That says nothing, so it need not be signed.
use super::super::authorize::App;
use super::super::notice::{About, Notice, Notices, PlatformCall, Unheard, check_signature, object};
use super::super::sign::hmac_sha256;
use secrecy::ExposeSecret;
use serde_json::{Map, Value};

/// The push type of a shop that has withdrawn its authorization.
const WITHDRAWN: i64 = 2;

/// Hears Shopee's pushes.
#[derive(Debug)]
pub struct ShopeeNotices;

impl Notices for ShopeeNotices {
    fn notice(&self, app: &App, call: PlatformCall<'_>) -> Result<Notice, Unheard> {
        if call.body.trim_ascii().is_empty() {
            return Ok(Notice { shop: Map::new(), about: About::Other });
        }
        let signed = [call.url.as_bytes(), b"|", call.body].concat();
        let right = hex::encode(hmac_sha256(app.secret.expose_secret().as_bytes(), &signed));
        check_signature((call.header)("authorization"), &right)?;
        let body = object(call.body)?;
        if body.get("code").and_then(Value::as_i64) != Some(WITHDRAWN) {
            return Ok(Notice { shop: Map::new(), about: About::Other });
        }
        let id = body.get("shop_id").or_else(|| body.get("data")?.get("shop_id")).and_then(Value::as_i64).ok_or(Unheard::Unreadable)?;
        Ok(Notice { shop: Map::from_iter([("shop_id".to_owned(), Value::from(id))]), about: About::AppRemoved })
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::notice::tests::heard;
    use super::*;

    /// By another implementation: `printf 'https://stock.example.com/hooks/x|…' | openssl dgst -sha256 -hmac hush`.
    const WITHDRAWN_IN_DATA: (&str, &str) =
        (r#"{"code":2,"data":{"shop_id":77}}"#, "405f679272063cbca29a6c802034a2e7aad9224fbda1a17f3ed94304a15fae5c");
    const WITHDRAWN_ABOVE: (&str, &str) =
        (r#"{"code":2,"shop_id":77}"#, "9f140e78d9a9d5f79f692c8204a9e1b2b3fef5befebad13af3bf32aac4f199bb");
    const ORDER: (&str, &str) = (r#"{"code":3,"shop_id":77}"#, "eba9a08dbf6103c4a775fafe536a058acb5caea9ef3d1885e67492222ba282eb");

    #[test]
    fn a_withdrawn_authorization_is_heard_with_its_shop() {
        let said = |(body, signature): (&str, &str)| heard(&ShopeeNotices, &[("authorization", signature)], body);
        let removed = Ok(Notice { shop: Map::from_iter([("shop_id".to_owned(), Value::from(77))]), about: About::AppRemoved });
        assert_eq!(said(WITHDRAWN_IN_DATA), removed);
        assert_eq!(said(WITHDRAWN_ABOVE), removed);
        assert_eq!(said(ORDER).map(|notice| notice.about), Ok(About::Other));
        assert_eq!(said((ORDER.0, WITHDRAWN_ABOVE.1)), Err(Unheard::Forged));
        assert_eq!(said(("", "")).map(|notice| notice.about), Ok(About::Other), "the address is tried");
    }
}
