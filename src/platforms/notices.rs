//! The list of platforms whose calls this service hears.
use super::notice::Notices;
use super::{shopee, shopify, shopline};

/// How the platform with this name calls; `None` if this service does not listen to it.
pub fn notices_of(platform: &str) -> Option<&'static dyn Notices> {
    match platform {
        "shopify" => Some(&shopify::notice::ShopifyNotices),
        "shopline" => Some(&shopline::notice::ShoplineNotices),
        "shopee" => Some(&shopee::notice::ShopeeNotices),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::notice::Unheard;
    use super::super::notice::tests::heard;
    use super::*;

    #[test]
    fn a_call_without_a_signature_or_with_another_ones_is_not_heard() {
        for platform in ["shopify", "shopline", "shopee"] {
            let of = notices_of(platform).unwrap();
            for name in ["authorization", "x-shopify-hmac-sha256", "x-shopline-hmac-sha256"] {
                for signature in ["", "x", "0000000000000000000000000000000000000000000000000000000000000000"] {
                    assert_eq!(heard(of, &[(name, signature)], "{}"), Err(Unheard::Forged), "{platform} {name} {signature}");
                }
            }
            assert_eq!(heard(of, &[], "{}"), Err(Unheard::Forged), "{platform}");
        }
        assert!(notices_of("medusa").is_none());
    }
}
