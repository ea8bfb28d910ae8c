//! Addresses as they are used, and the identity of a shop: the same shop, however it was entered, has the same one.
use super::call::StoreConnection;
use super::fields::number;
use reqwest::Url;
use sha2::{Digest, Sha256};

/// An address in its usual form: without blanks around it or a slash at its end, with scheme and host in small letters.
/// What is no address is only trimmed; [`check_config`](super::Platform::check_config) refuses it.
pub fn tidy_address(text: &str) -> String {
    let text = text.trim();
    let url = Url::parse(text).ok().filter(|url| url.has_host());
    url.map_or_else(|| text.to_owned(), |url| url.as_str().trim_end_matches('/').to_owned())
}

/// What is the same in every spelling of a shop's address: host and path, without `www.`, case and the slash at the end.
/// `None` if it is no address.
fn place(address: &str) -> Option<String> {
    let url = Url::parse(address.trim()).ok()?;
    let host = url.host_str()?.trim_end_matches('.').to_lowercase();
    let host = host.strip_prefix("www.").unwrap_or(&host);
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    Some(format!("{host}{port}{}", url.path().to_lowercase().trim_end_matches('/')))
}

/// A digest of the shop that a store is connected to: its platform and its own identity there. `None` where what was
/// entered does not tell: Lazada's and eBay's tokens stand for an account that they do not name. Both name it when the store is
/// checked; eBay only to a token with the scope `commerce.identity.readonly`, which older ones lack.
///
/// A new connector needs a line here, and a test fails without it.
pub fn shop(store: &StoreConnection) -> Option<String> {
    identity(store, None)
}

/// The same, with the name that the platform itself gives in answer to a check.
pub fn shop_by_name(store: &StoreConnection, name: &str) -> Option<String> {
    identity(store, Some(name))
}

/// The field that tells which shop a store is, as a JSON pointer.
pub fn field(store: &StoreConnection) -> &'static str {
    let by_setting = |name: &str, pointer| if store.setting(name).is_some() { pointer } else { "/base_url" };
    match store.platform.as_str() {
        "shopify" => by_setting("shop", "/shop"),
        "shopline" | "shopline_open" => by_setting("handle", "/handle"),
        "shopee" => "/shop_id",
        "tiktok_shop" => "/shop_cipher",
        "amazon" => "/seller_id",
        "simulated" => by_setting("external_store", "/external_store"),
        _ => "/base_url",
    }
}

fn identity(store: &StoreConnection, name: Option<&str>) -> Option<String> {
    let setting = |name: &str| Some(store.setting(name)?.trim().to_lowercase());
    let address = || place(store.base_url.as_deref()?);
    let own = match store.platform.as_str() {
        "shopify" => name
            .map(str::to_lowercase)
            .or_else(|| setting("shop"))
            .or_else(address)
            .map(|shop| shop.trim_end_matches(".myshopify.com").to_owned()),
        "shopline" => setting("handle").or_else(address).map(|shop| shop.trim_end_matches(".myshopline.com").to_owned()),
        "shopline_open" => setting("handle"),
        "shopee" => number(store, "shop_id").map(|id| id.to_string()),
        // However the server is reached: the address that the shop itself has.
        "woocommerce" => name.and_then(place).or_else(address),
        "medusa" => name.map(str::to_owned).or_else(address),
        "lazada" | "ebay" => name.map(str::to_owned),
        // Each channel is a shop of its own. Without a token it is the default channel, which has one, too.
        "vendure" => address().map(|place| format!("{place} {}", name.or_else(|| store.setting("channel_token")).unwrap_or_default())),
        "tiktok_shop" => store.setting("shop_cipher").map(str::to_owned),
        "amazon" => setting("seller_id").zip(setting("marketplace_id")).map(|(seller, marketplace)| format!("{seller} {marketplace}")),
        // Without a name on the platform it has its own id there.
        "simulated" => address().zip(store.setting("external_store")).map(|(place, name)| format!("{place} {name}")),
        _ => None,
    };
    own.map(|own| hex::encode(Sha256::digest(format!("{}\n{own}", store.platform))))
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{test_reply, test_stamp, test_store};
    use super::super::{by_name, registry};
    use super::*;
    use serde_json::{Value, json};

    fn at(platform: &str, address: &str, config: Value) -> Option<String> {
        let address = (!address.is_empty()).then(|| address.to_owned());
        shop(&StoreConnection { base_url: address, ..test_store(platform, config, &[]) })
    }

    #[test]
    fn an_address_is_tidied_and_what_is_none_is_left_alone() {
        for (entered, tidy) in [
            ("Https://Shop.Example.com/", "https://shop.example.com"),
            (" https://shop.example.com \n", "https://shop.example.com"),
            ("HTTPS://shop.example.com/De//", "https://shop.example.com/De"),
            ("https://www.shop.example.com", "https://www.shop.example.com"),
            ("https://shop.example.com:443/a", "https://shop.example.com/a"),
            ("http://127.0.0.1:8080/", "http://127.0.0.1:8080"),
            ("shop.example.com", "shop.example.com"),
            (" ", ""),
        ] {
            assert_eq!(tidy_address(entered), tidy, "{entered:?}");
        }
    }

    #[test]
    fn a_shop_has_one_identity_however_its_address_is_spelled() {
        let shop = at("woocommerce", "https://shop.example.com", json!({}));
        assert!(shop.is_some());
        for same in
            ["http://shop.example.com", "https://www.Shop.example.com/", "https://shop.example.com.", "https://shop.example.com:443/"]
        {
            assert_eq!(at("woocommerce", same, json!({})), shop, "{same}");
        }
        for other in ["https://shop.example.com/de", "https://shop.example.com:8443", "https://shops.example.com"] {
            assert_ne!(at("woocommerce", other, json!({})), shop, "{other}");
        }
        assert_ne!(at("medusa", "https://shop.example.com", json!({})), shop, "another platform");
        assert_eq!(
            at("woocommerce", "https://shop.example.com/DE/", json!({})),
            at("woocommerce", "http://www.shop.example.com/de", json!({}))
        );
    }

    #[test]
    fn a_shop_is_the_one_that_the_platform_says_it_is() {
        let by_address = test_store("shopify", json!({"shop": "other"}), &[]);
        assert_eq!(shop_by_name(&by_address, "Acme.myshopify.com"), at("shopify", "", json!({"shop": "acme"})));
        let named = |platform: &str, address: &str, config: Value, name: &str| {
            shop_by_name(&StoreConnection { base_url: Some(address.to_owned()), ..test_store(platform, config, &[]) }, name)
        };
        let home = "https://www.shop.example/";
        assert_eq!(named("woocommerce", "https://1.2.3.4", json!({}), home), at("woocommerce", "https://shop.example", json!({})));
        let medusa = |address: &str| named("medusa", address, json!({}), "store_01");
        assert_eq!(medusa("https://a.example"), medusa("https://b.example"));
        assert!(named("lazada", "https://api.lazada.sg", json!({}), "100001").is_some());
        assert_ne!(named("lazada", "https://api.lazada.sg", json!({}), "100001"), named("lazada", "https://api.lazada.sg", json!({}), "2"));
        let channel = |config: Value, name: &str| named("vendure", "https://v.example", config, name);
        assert_eq!(channel(json!({}), "t1"), at("vendure", "https://v.example", json!({"channel_token": "t1"})), "the default channel");
        assert_eq!(at("shopify", "https://acme.myshopify.com", json!({})), at("shopify", "", json!({"shop": "acme"})));
        assert_eq!(at("shopline", "https://acme.myshopline.com", json!({})), at("shopline", "", json!({"handle": "acme"})));
    }

    #[test]
    fn platforms_that_can_be_asked_for_the_shops_name_are_asked_and_understood() {
        let stamp = test_stamp("2026-11-24T12:00:00Z");
        let secrets = [("app_secret", "s"), ("access_token", "t"), ("api_key", "k"), ("consumer_key", "c"), ("consumer_secret", "s")];
        for (platform, asked, reply, name) in [
            ("lazada", "/seller/get", r#"{"code": "0", "data": {"name": "Ada", "seller_id": 100001}}"#, "100001"),
            ("lazada", "/seller/get", r#"{"code": "0", "data": {"seller_id": "100001"}}"#, "100001"),
            ("medusa", "/admin/stores", r#"{"stores": [{"id": "store_01"}], "count": 1}"#, "store_01"),
            ("woocommerce", "/wp-json/?_fields=home", r#"{"home": "https://shop.example"}"#, "https://shop.example"),
            ("vendure", "", r#"{"data": {"activeChannel": {"token": "t1"}, "productVariants": {"totalItems": 1}}}"#, "t1"),
            ("ebay", "/commerce/identity/v1/user/", r#"{"userId": "U1", "username": "ada"}"#, "U1"),
            ("shopify", "", r#"{"data": {"shop": {"myshopifyDomain": "acme.myshopify.com"}}}"#, "acme.myshopify.com"),
        ] {
            let store = test_store(platform, json!({"app_key": "a", "region": "sg"}), &secrets);
            let store = StoreConnection { base_url: Some("https://a.example".to_owned()), ..store };
            let connector = by_name(platform).unwrap();
            assert_eq!(connector.shop(&test_reply(200, &[], reply)).as_deref(), Some(name), "{platform}");
            assert_eq!(connector.shop(&test_reply(200, &[], "<html></html>")), None, "{platform}");
            match connector.shop_request(&store, &stamp) {
                None => assert_eq!(asked, "", "{platform} is asked in the check itself"),
                Some(request) => assert!(request.unwrap().url.contains(asked), "{platform}"),
            }
        }
    }

    #[test]
    fn each_platform_has_its_own_identity() {
        assert_eq!(at("shopify", "", json!({"shop": "Acme"})), at("shopify", "", json!({"shop": "acme.myshopify.com"})));
        assert_eq!(at("shopee", "", json!({"shop_id": 7})), at("shopee", "", json!({"shop_id": "7"})));
        let vendure = |channel: &str| at("vendure", "https://v.example", json!({"channel_token": channel}));
        assert_ne!(vendure("a"), vendure("b"));
        let amazon = |marketplace: &str| at("amazon", "", json!({"seller_id": "A1", "marketplace_id": marketplace}));
        assert_ne!(amazon("DE"), amazon("FR"));
        assert_eq!(at("simulated", "http://p", json!({})), None);
        assert_eq!(
            at("simulated", "http://p/", json!({"external_store": "x"})),
            at("simulated", "http://p", json!({"external_store": "x"}))
        );
    }

    #[test]
    fn every_connector_has_an_identity_or_a_reason_for_having_none() {
        let everything = json!({"shop": "s", "handle": "h", "shop_id": 1, "shop_cipher": "c", "seller_id": "s", "marketplace_id": "m",
            "external_store": "e"});
        for platform in registry() {
            let known = at(platform.name(), "https://a.example", everything.clone()).is_some();
            assert_eq!(known, !["lazada", "ebay"].contains(&platform.name()), "{}", platform.name());
        }
    }
}
