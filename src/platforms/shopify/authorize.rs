//! Shopify's authorization code grant, for apps outside the Shopify admin.
//!
//! Sources (checked November 2026): shopify.dev, "Authenticate a standalone or API-only app", "Offline access tokens", "Token
//! lifetimes".
//!
//! - The consent page is at `/admin/oauth/authorize` of the shop, so its name is asked first. There is no PKCE.
//! - What comes back is signed: `hmac` is the HMAC-SHA256, in hexadecimal digits, of the other parameters in the order of their
//!   names. Nothing in it is used before that is checked, and the shop must be the one that was entered.
//! - The code is exchanged for an offline token that expires after an hour (`expiring=1`, which public apps must ask for), with
//!   a refresh token that lives for 90 days and is replaced at each use.
//! - An owner who declines stays in the Shopify admin; only some versions come back, with `error=access_denied`.
use super::super::authorize::{
    Asked, Consent, Entry, Granted, Leaving, NotGranted, Parameters, Profile, equal_in_constant_time, parameter, secrets, texts, with_query,
};
use super::super::call::{Reply, Request, StoreConnection};
use super::super::connector::Stamp;
use super::super::sign::hmac_sha256_hex;
use super::requests::graphql;
use super::wire::ReplyBody;
use crate::domain::FieldError;
use secrecy::SecretString;
use serde_json::json;
use std::collections::BTreeMap;

/// What this service needs: products to pair them, inventory to read and to write it.
const SCOPES: [&str; 3] = ["read_products", "read_inventory", "write_inventory"];
const SHOP: Entry = Entry::text("shop", "Shop", "Your shop's address in Shopify, such as acme.myshopify.com.");
const PROFILE: &str = "query Profile { shop { name } }";

/// Connects shops by Shopify's consent page.
#[derive(Debug)]
pub struct ShopifyConsent;

/// The part before `.myshopify.com` in any form in which an owner may know the shop's address.
fn shop_name(entered: &str) -> Option<String> {
    let entered = entered.trim().to_lowercase();
    let rest = entered.strip_prefix("https://").or_else(|| entered.strip_prefix("http://")).unwrap_or(&entered);
    let name = match rest.strip_prefix("admin.shopify.com/store/") {
        Some(path) => path.split(['/', '?']).next()?,
        None => {
            let host = rest.split(['/', '?']).next()?;
            host.strip_suffix(".myshopify.com").unwrap_or(host)
        }
    };
    let inside = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let fits = (1..=60).contains(&name.len()) && !name.starts_with('-') && name.bytes().all(inside);
    fits.then(|| name.to_owned())
}

/// What Shopify signs: the parameters without the signature, in the order of their names.
fn signed_text(parameters: &Parameters) -> String {
    let mut signed: Vec<String> =
        parameters.iter().filter(|(name, _)| name != "hmac").map(|(name, value)| format!("{name}={value}")).collect();
    signed.sort_unstable();
    signed.join("&")
}

impl Consent for ShopifyConsent {
    fn platform(&self) -> &'static str {
        "shopify"
    }

    fn asked(&self) -> &'static [Entry] {
        &[SHOP]
    }

    fn check(&self, mut given: Asked) -> Result<Asked, Vec<FieldError>> {
        let name = given.get("shop").and_then(|entered| shop_name(entered));
        let name =
            name.ok_or_else(|| vec![FieldError::new("/shop", "must be the shop's address in Shopify, such as acme.myshopify.com")])?;
        given.insert("shop".to_owned(), name);
        Ok(given)
    }

    fn page(&self, leaving: &Leaving<'_>, _: &Stamp) -> Result<String, String> {
        let shop = leaving.asked.get("shop").map(String::as_str).unwrap_or_default();
        let host = leaving.app.test_server(shop).unwrap_or_else(|| format!("https://{shop}.myshopify.com"));
        let scopes = leaving.app.scopes(&SCOPES, ",");
        Ok(with_query(
            &format!("{host}/admin/oauth/authorize"),
            &[("client_id", &leaving.app.client_id), ("scope", &scopes), ("redirect_uri", leaving.callback), ("state", leaving.state)],
        ))
    }

    fn returned(
        &self,
        leaving: &Leaving<'_>,
        parameters: &Parameters,
        _: Option<&BTreeMap<String, SecretString>>,
    ) -> Result<Granted, NotGranted> {
        if parameter(parameters, "error").is_some() {
            return Err(NotGranted::Declined);
        }
        let given = parameter(parameters, "hmac").unwrap_or_default();
        if !equal_in_constant_time(given, &hmac_sha256_hex(&leaving.app.secret, &signed_text(parameters))) {
            return Err(NotGranted::forged("Shopify"));
        }
        let asked = leaving.asked.get("shop").map(String::as_str).unwrap_or_default();
        let domain = parameter(parameters, "shop").unwrap_or_default();
        if shop_name(domain).as_deref() != Some(asked) || !domain.ends_with(".myshopify.com") {
            let shop: String = domain.chars().take(80).collect();
            return Err(NotGranted::Unfit(format!("You entered the shop {asked}, but authorized {shop}.")));
        }
        let code = parameter(parameters, "code").ok_or_else(|| NotGranted::without("Shopify", "a code"))?;
        Ok(Granted {
            base_url: leaving.app.test_server(asked),
            config: texts(&[("shop", asked)]),
            credentials: secrets([
                ("client_id", leaving.app.client_id.as_str().into()),
                ("client_secret", leaving.app.secret.clone()),
                ("auth_code", code.into()),
            ]),
        })
    }

    fn profile_request(&self, store: &StoreConnection, _: &Stamp) -> Option<Result<Request, String>> {
        Some(graphql(store, PROFILE, json!({})))
    }

    fn profile(&self, _: &StoreConnection, reply: &Reply) -> Result<Profile, String> {
        let body = serde_json::from_str::<ReplyBody>(&reply.body).ok();
        let name = body.as_ref().and_then(|body| body.field("shop")?.get("name")?.as_str());
        Ok(Profile { name: name.map(str::to_owned), ..Profile::default() })
    }

    fn fallback_name(&self, store: &StoreConnection) -> String {
        store.setting("shop").unwrap_or("Shopify").to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::authorize::App;
    use super::super::super::fixtures::test_stamp;
    use super::*;
    use secrecy::ExposeSecret;

    fn app() -> App {
        let (scopes, settings) = (Vec::new(), BTreeMap::new());
        App { client_id: "key".into(), secret: "hush".into(), scopes, sandbox: false, base_url: None, settings }
    }

    fn visit(pairs: &[(&str, &str)]) -> Result<Granted, NotGranted> {
        let asked = Asked::from([("shop".to_owned(), "some-shop".to_owned())]);
        let app = app();
        let leaving = Leaving { app: &app, asked: &asked, callback: "https://s.example/connect/shopify/callback", state: "st" };
        let pairs: Vec<(String, String)> = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        ShopifyConsent.returned(&leaving, &pairs, None)
    }

    /// Signed with the key `hush`, computed apart from this program.
    const SIGNED: [(&str, &str); 5] = [
        ("code", "0907a61c0c8d55e99db179b68161bc00"),
        ("hmac", "700e2dadb827fcc8609e9d5ce208b2e9cdaab9df07390d2cbca10d7c328fc4bf"),
        ("shop", "some-shop.myshopify.com"),
        ("state", "0.6784241404160823"),
        ("timestamp", "1337178173"),
    ];

    #[test]
    fn a_shop_is_recognized_in_every_form_of_its_address() {
        for entered in [
            "acme",
            " ACME.myshopify.com ",
            "https://acme.myshopify.com/admin/products?x=1",
            "https://admin.shopify.com/store/acme/products",
            "http://acme.myshopify.com/",
        ] {
            assert_eq!(shop_name(entered).as_deref(), Some("acme"), "{entered}");
        }
        for entered in ["", "acme.example.com", "a b", "acme.myshopify.com.evil.example", "-acme", "https://", "acme@evil", "äcme"] {
            assert_eq!(shop_name(entered), None, "{entered}");
        }
    }

    #[test]
    fn the_consent_page_is_the_shops_own() {
        let asked = Asked::from([("shop".to_owned(), "acme".to_owned())]);
        let app = app();
        let leaving = Leaving { app: &app, asked: &asked, callback: "https://s.example/connect/shopify/callback", state: "st" };
        assert_eq!(
            ShopifyConsent.page(&leaving, &test_stamp("2026-11-24T12:00:00Z")).unwrap(),
            "https://acme.myshopify.com/admin/oauth/authorize?client_id=key&scope=read_products%2Cread_inventory%2Cwrite_inventory\
             &redirect_uri=https%3A%2F%2Fs.example%2Fconnect%2Fshopify%2Fcallback&state=st"
        );
    }

    #[test]
    fn only_what_shopify_has_signed_about_the_shop_that_was_entered_is_used() {
        let granted = visit(&SIGNED).unwrap();
        assert_eq!(granted.credentials["auth_code"].expose_secret(), SIGNED[0].1);
        assert_eq!((granted.config["shop"].as_str(), granted.base_url), (Some("some-shop"), None));
        for at in 0..SIGNED.len() {
            let mut changed = SIGNED;
            changed[at].1 = "x";
            assert_eq!(visit(&changed).unwrap_err(), NotGranted::forged("Shopify"), "{}", changed[at].0);
        }
        assert_eq!(visit(&SIGNED[..1]).unwrap_err(), NotGranted::forged("Shopify"), "without a signature");
        assert_eq!(visit(&[("error", "access_denied"), ("state", "st")]).unwrap_err(), NotGranted::Declined);
        let key: SecretString = "hush".into();
        for shop in ["other.myshopify.com", "some-shop.example.com", "some-shop", "https://some-shop.myshopify.com.evil.example"] {
            let text = format!("code=c&shop={shop}&state=s");
            let pairs = [("code", "c"), ("shop", shop), ("state", "s"), ("hmac", &*hmac_sha256_hex(&key, &text))];
            assert!(matches!(visit(&pairs).unwrap_err(), NotGranted::Unfit(why) if why.contains("You entered")), "{shop}");
        }
    }
}
