//! Shopify's authorization code grant with expiring offline tokens. The shop is reached at `/{shop}`.
use super::{Asked, Authority, ConsentPage, Tokens};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

/// The shop `acme`, and an app that is registered with one redirect address.
pub struct Shopify {
    pub client_id: String,
    pub secret: String,
    pub redirect: String,
    /// The shop whose owner agrees.
    pub shop: String,
    pub tokens: Tokens,
    /// What the app asked for.
    pub scope: String,
}

impl Shopify {
    pub fn new(redirect: &str) -> Self {
        Self {
            client_id: "0a1b2c3d4e5f".to_owned(),
            secret: "shpss_0123456789abcdef".to_owned(),
            redirect: redirect.to_owned(),
            shop: "acme".to_owned(),
            tokens: Tokens::default(),
            scope: String::new(),
        }
    }

    /// An address signed as Shopify signs what it sends people back with.
    pub fn signed(&self, parameters: &[(&str, &str)]) -> String {
        let mut sorted: Vec<String> = parameters.iter().map(|(name, value)| format!("{name}={value}")).collect();
        sorted.sort();
        let mac = Hmac::<Sha256>::new_from_slice(self.secret.as_bytes()).unwrap().chain_update(sorted.join("&")).finalize();
        let mut url = reqwest::Url::parse(&self.redirect).unwrap();
        url.query_pairs_mut().extend_pairs(parameters).append_pair("hmac", &hex::encode(mac.into_bytes()));
        url.into()
    }

    fn issued(&mut self) -> (u16, Value) {
        self.tokens.issue();
        let Tokens { access, refresh, .. } = &self.tokens;
        (
            200,
            json!({ "access_token": access, "scope": self.scope, "expires_in": 3600, "refresh_token": refresh,
                "refresh_token_expires_in": 7_776_000 }),
        )
    }
}

impl Authority for Shopify {
    fn page(&mut self, asked: &Asked) -> Option<Result<ConsentPage, String>> {
        if asked.path != "/acme/admin/oauth/authorize" {
            return None;
        }
        if asked.parameter("client_id") != self.client_id {
            return Some(Err("invalid_request: Could not find Shopify API application with api_key".to_owned()));
        }
        if asked.parameter("redirect_uri") != self.redirect {
            return Some(Err("invalid_request: The redirect_uri is not whitelisted".to_owned()));
        }
        self.scope = asked.parameter("scope").to_owned();
        let (code, state) = (self.tokens.code(), asked.parameter("state"));
        let domain = format!("{}.myshopify.com", self.shop);
        let back = [("code", code.as_str()), ("host", "YWRtaW4"), ("shop", &domain), ("state", state), ("timestamp", "1780000000")];
        let declined = [("error", "access_denied"), ("shop", &domain), ("state", state), ("timestamp", "1780000000")];
        Some(Ok(ConsentPage { agree: self.signed(&back), decline: self.signed(&declined) }))
    }

    fn tokens(&mut self, asked: &Asked) -> Option<(u16, Value)> {
        if asked.body.contains("query Profile") {
            return Some((200, json!({ "data": { "shop": { "name": "Acme Outdoor" } } })));
        }
        if asked.body.contains("query Check") && self.admits(asked) {
            let scopes: Vec<Value> = self.scope.split(',').map(|scope| json!({ "handle": scope })).collect();
            let location = json!({ "id": "gid://shopify/Location/1", "name": "Main", "isActive": true, "fulfillsOnlineOrders": true,
                "isFulfillmentService": false });
            return Some((
                200,
                json!({ "data": { "shop": { "myshopifyDomain": format!("{}.myshopify.com", self.shop) }, "inventoryItems": { "nodes": [] },
                    "currentAppInstallation": { "accessScopes": scopes }, "locations": { "nodes": [location] } } }),
            ));
        }
        if asked.path != "/acme/admin/oauth/access_token" {
            return None;
        }
        let form = asked.form();
        let field = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
        if (field("client_id"), field("client_secret")) != (&self.client_id, &self.secret) {
            return Some((400, json!({ "error": "application_cannot_be_found" })));
        }
        Some(match field("grant_type") {
            "" if field("expiring") == "1" && self.tokens.redeem(field("code")) => self.issued(),
            "refresh_token" if !self.tokens.refresh.is_empty() && field("refresh_token") == self.tokens.refresh => {
                self.tokens.refreshed += 1;
                self.issued()
            }
            _ => (400, json!({ "error": "invalid_grant" })),
        })
    }

    fn admits(&self, asked: &Asked) -> bool {
        !self.tokens.access.is_empty() && asked.header("x-shopify-access-token") == self.tokens.access
    }
}
