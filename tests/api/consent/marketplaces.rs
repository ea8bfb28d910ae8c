//! The authorization servers of marketplaces and of SHOPLINE, each as its documentation says.
use super::{Asked, Authority, ConsentPage, Tokens, with};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use std::collections::BTreeMap;

/// An app that is registered with one redirect address.
pub struct Registered {
    pub client_id: String,
    pub secret: String,
    pub redirect: String,
    pub tokens: Tokens,
}

impl Registered {
    pub fn new(client_id: &str, platform: &str) -> Self {
        let redirect = format!("{}/connect/{platform}/callback", crate::visitor::PUBLIC);
        Self { client_id: client_id.to_owned(), secret: "hush-0123456789abcdef".to_owned(), redirect, tokens: Tokens::default() }
    }

    fn hmac(&self, text: &str) -> String {
        let mac = Hmac::<Sha256>::new_from_slice(self.secret.as_bytes()).unwrap().chain_update(text).finalize();
        hex::encode(mac.into_bytes())
    }

    fn bearer(&self, asked: &Asked) -> bool {
        !self.tokens.access.is_empty() && asked.header("authorization") == format!("Bearer {}", self.tokens.access)
    }

    /// The page that sends people back with these parameters, if the query has those that must be there.
    fn page(&mut self, asked: &Asked, must: &[(&str, &str)], back: &[(&str, &str)], code: &str) -> Result<ConsentPage, String> {
        if let Some((name, _)) = must.iter().find(|(name, value)| asked.parameter(name) != *value) {
            return Err(format!("invalid_request: {name} is {:?}", asked.parameter(name)));
        }
        let issued = self.tokens.code();
        let agree = with(&self.redirect, &[back, &[(code, &issued)]].concat());
        let state: Vec<(&str, &str)> = back.iter().copied().filter(|(name, _)| *name == "state").collect();
        Ok(ConsentPage { agree, decline: with(&self.redirect, &[&state[..], &[("error", "access_denied")]].concat()) })
    }
}

fn text<'a>(fields: &'a BTreeMap<String, String>, name: &str) -> &'a str {
    fields.get(name).map(String::as_str).unwrap_or_default()
}

pub struct Ebay(pub Registered);

impl Authority for Ebay {
    fn page(&mut self, asked: &Asked) -> Option<Result<ConsentPage, String>> {
        let id = self.0.client_id.clone();
        let state = asked.parameter("state").to_owned();
        let must = [
            ("client_id", id.as_str()),
            ("redirect_uri", "Acme-AcmeStoc-Stockt-abcde"),
            ("response_type", "code"),
            (
                "scope",
                "https://api.ebay.com/oauth/api_scope/sell.inventory https://api.ebay.com/oauth/api_scope/commerce.identity.readonly",
            ),
        ];
        (asked.path == "/oauth2/authorize").then(|| self.0.page(asked, &must, &[("state", &state), ("expires_in", "299")], "code"))
    }

    fn tokens(&mut self, asked: &Asked) -> Option<(u16, Value)> {
        if asked.path == "/commerce/identity/v1/user/" {
            return Some(if self.0.bearer(asked) { (200, json!({ "userId": "U1" })) } else { (401, json!({})) });
        }
        if asked.path != "/identity/v1/oauth2/token" {
            return None;
        }
        let app = STANDARD.encode(format!("{}:{}", self.0.client_id, self.0.secret));
        if asked.header("authorization") != format!("Basic {app}") {
            return Some((401, json!({ "error": "invalid_client" })));
        }
        let (form, tokens) = (asked.form(), &mut self.0.tokens);
        Some(match text(&form, "grant_type") {
            "authorization_code" if text(&form, "redirect_uri") == "Acme-AcmeStoc-Stockt-abcde" && tokens.redeem(text(&form, "code")) => {
                tokens.issue();
                (
                    200,
                    json!({ "access_token": tokens.access, "expires_in": 7200, "refresh_token": tokens.refresh,
                        "refresh_token_expires_in": 47_304_000, "token_type": "User Access Token" }),
                )
            }
            "refresh_token" if !tokens.refresh.is_empty() && text(&form, "refresh_token") == tokens.refresh => {
                let kept = tokens.refresh.clone();
                tokens.issue();
                tokens.refresh = kept;
                (200, json!({ "access_token": tokens.access, "expires_in": 7200, "token_type": "User Access Token" }))
            }
            _ => (400, json!({ "error": "invalid_grant" })),
        })
    }

    fn admits(&self, asked: &Asked) -> bool {
        self.0.bearer(asked)
    }
}

pub struct Amazon(pub Registered);

impl Authority for Amazon {
    fn page(&mut self, asked: &Asked) -> Option<Result<ConsentPage, String>> {
        let state = asked.parameter("state").to_owned();
        let back = [("state", state.as_str()), ("selling_partner_id", "A1SELLER"), ("mws_auth_token", "")];
        let must = [("application_id", "amzn1.sp.solution.1"), ("version", "")];
        (asked.path == "/apps/authorize/consent").then(|| self.0.page(asked, &must, &back, "spapi_oauth_code"))
    }

    fn tokens(&mut self, asked: &Asked) -> Option<(u16, Value)> {
        if asked.path != "/auth/o2/token" {
            return None;
        }
        let form = asked.form();
        if (text(&form, "client_id"), text(&form, "client_secret")) != (&self.0.client_id, &self.0.secret) {
            return Some((401, json!({ "error": "invalid_client" })));
        }
        let tokens = &mut self.0.tokens;
        let known = match text(&form, "grant_type") {
            "authorization_code" => tokens.redeem(text(&form, "code")),
            "refresh_token" => !tokens.refresh.is_empty() && text(&form, "refresh_token") == tokens.refresh,
            _ => false,
        };
        if !known {
            return Some((400, json!({ "error": "invalid_grant" })));
        }
        tokens.issue();
        let Tokens { access, refresh, .. } = tokens;
        Some((200, json!({ "access_token": access, "refresh_token": refresh, "token_type": "bearer", "expires_in": 3600 })))
    }

    fn admits(&self, asked: &Asked) -> bool {
        !self.0.tokens.access.is_empty() && asked.header("x-amz-access-token") == self.0.tokens.access
    }
}

pub struct Lazada(pub Registered);

impl Lazada {
    /// Whether the parameters of query and form are signed.
    fn is_signed(&self, asked: &Asked) -> bool {
        let mut all = asked.query.clone();
        if asked.header("content-type").contains("form") {
            all.extend(asked.form());
        }
        let sign = all.remove("sign").unwrap_or_default();
        let pairs: String = all.iter().map(|(name, value)| format!("{name}{value}")).collect();
        all.get("app_key") == Some(&self.0.client_id) && sign == self.0.hmac(&format!("{}{pairs}", asked.path)).to_uppercase()
    }
}

impl Authority for Lazada {
    fn page(&mut self, asked: &Asked) -> Option<Result<ConsentPage, String>> {
        let (id, redirect, state) = (self.0.client_id.clone(), self.0.redirect.clone(), asked.parameter("state").to_owned());
        let must = [("response_type", "code"), ("force_auth", "true"), ("client_id", id.as_str()), ("redirect_uri", redirect.as_str())];
        (asked.path == "/oauth/authorize").then(|| self.0.page(asked, &must, &[("state", &state)], "code"))
    }

    fn tokens(&mut self, asked: &Asked) -> Option<(u16, Value)> {
        if !asked.path.starts_with("/auth/token/") && asked.path != "/seller/get" {
            return None;
        }
        if !self.is_signed(asked) {
            return Some((
                200,
                json!({ "code": "IncompleteSignature", "type": "ISV", "message": "The request signature does not conform" }),
            ));
        }
        if asked.path == "/seller/get" {
            return Some((200, json!({ "code": "0", "data": { "name": "Acme Home", "seller_id": 100_001 } })));
        }
        let (form, tokens) = (asked.form(), &mut self.0.tokens);
        let known = match asked.path.as_str() {
            "/auth/token/create" => tokens.redeem(text(&form, "code")),
            _ => !tokens.refresh.is_empty() && text(&form, "refresh_token") == tokens.refresh,
        };
        if !known {
            return Some((200, json!({ "code": "InvalidCode", "type": "ISV", "message": "The code is invalid" })));
        }
        tokens.issue();
        let Tokens { access, refresh, .. } = tokens;
        Some((
            200,
            json!({ "code": "0", "access_token": access, "refresh_token": refresh, "expires_in": 2_592_000,
                "refresh_expires_in": 15_552_000, "country": "sg" }),
        ))
    }

    fn admits(&self, asked: &Asked) -> bool {
        self.is_signed(asked) && !self.0.tokens.access.is_empty() && asked.parameter("access_token") == self.0.tokens.access
    }
}

pub struct TikTokShop(pub Registered);

impl Authority for TikTokShop {
    fn page(&mut self, asked: &Asked) -> Option<Result<ConsentPage, String>> {
        let (id, state) = (self.0.client_id.clone(), asked.parameter("state").to_owned());
        let back = [("app_key", id.as_str()), ("state", &state), ("locale", "en-US"), ("shop_region", "GB")];
        (asked.path == "/open/authorize").then(|| self.0.page(asked, &[("service_id", "7000")], &back, "code"))
    }

    fn tokens(&mut self, asked: &Asked) -> Option<(u16, Value)> {
        if asked.path == "/authorization/202309/shops" && self.admits(asked) {
            let shops = json!([{ "cipher": "ROW_one", "id": "1", "name": "Acme Beauty", "region": "GB", "code": "GBACME" }]);
            return Some((200, json!({ "code": 0, "message": "Success", "data": { "shops": shops } })));
        }
        if !asked.path.starts_with("/api/v2/token/") {
            return None;
        }
        if (asked.parameter("app_key"), asked.parameter("app_secret")) != (&self.0.client_id, &self.0.secret) {
            return Some((200, json!({ "code": 36_004_004, "message": "app_key or app_secret is invalid" })));
        }
        let tokens = &mut self.0.tokens;
        let known = match (asked.path.as_str(), asked.parameter("grant_type")) {
            ("/api/v2/token/get", "authorized_code") => tokens.redeem(asked.parameter("auth_code")),
            ("/api/v2/token/refresh", "refresh_token") => !tokens.refresh.is_empty() && asked.parameter("refresh_token") == tokens.refresh,
            _ => false,
        };
        if !known {
            return Some((200, json!({ "code": 36_004_005, "message": "auth_code is invalid" })));
        }
        tokens.issue();
        let Tokens { access, refresh, .. } = tokens;
        let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
        Some((
            200,
            json!({ "code": 0, "message": "success", "data": { "access_token": access, "access_token_expire_in": now + 604_800,
                "refresh_token": refresh, "refresh_token_expire_in": now + 31_536_000, "seller_name": "Acme" } }),
        ))
    }

    fn admits(&self, asked: &Asked) -> bool {
        let mut query = asked.query.clone();
        let sign = query.remove("sign").unwrap_or_default();
        let pairs: String = query.iter().map(|(name, value)| format!("{name}{value}")).collect();
        let signed = self.0.hmac(&format!("{0}{1}{pairs}{2}{0}", self.0.secret, asked.path, asked.body));
        let is_for_shop = asked.path == "/authorization/202309/shops" || asked.parameter("shop_cipher") == "ROW_one";
        sign == signed && is_for_shop && !self.0.tokens.access.is_empty() && asked.header("x-tts-access-token") == self.0.tokens.access
    }
}

pub struct Shopee(pub Registered);

impl Shopee {
    fn is_signed(&self, asked: &Asked, more: &str) -> bool {
        let text = format!("{}{}{}{more}", self.0.client_id, asked.path, asked.parameter("timestamp"));
        asked.parameter("partner_id") == self.0.client_id && asked.parameter("sign") == self.0.hmac(&text)
    }
}

impl Authority for Shopee {
    fn page(&mut self, asked: &Asked) -> Option<Result<ConsentPage, String>> {
        if asked.path != "/api/v2/shop/auth_partner" {
            return None;
        }
        let redirect = asked.parameter("redirect").to_owned();
        if !self.is_signed(asked, "") {
            return Some(Err("error_sign: Wrong sign.".to_owned()));
        }
        if !redirect.starts_with(&self.0.redirect) {
            return Some(Err("error_redirect: the domain is not registered".to_owned()));
        }
        let code = self.0.tokens.code();
        let agree = with(&redirect, &[("code", &code), ("shop_id", "220000045")]);
        Some(Ok(ConsentPage { agree, decline: redirect }))
    }

    fn tokens(&mut self, asked: &Asked) -> Option<(u16, Value)> {
        if asked.path == "/api/v2/shop/get_shop_info" && self.admits(asked) {
            return Some((200, json!({ "error": "", "message": "", "shop_name": "Acme Toys", "region": "SG" })));
        }
        let by_code = asked.path == "/api/v2/auth/token/get";
        if !by_code && asked.path != "/api/v2/auth/access_token/get" {
            return None;
        }
        let refused = |error: &str| Some((200, json!({ "error": error, "message": "refused", "request_id": "1" })));
        if !self.is_signed(asked, "") {
            return refused("error_sign");
        }
        let body: Value = serde_json::from_str(&asked.body).unwrap();
        let tokens = &mut self.0.tokens;
        let known = if by_code {
            tokens.redeem(body["code"].as_str().unwrap_or_default())
        } else {
            !tokens.refresh.is_empty() && body["refresh_token"] == tokens.refresh
        };
        if !known || body["shop_id"] != 220_000_045 || body["partner_id"] != 1_000_001 {
            return refused("error_auth");
        }
        tokens.issue();
        let Tokens { access, refresh, .. } = tokens;
        Some((200, json!({ "error": "", "message": "", "access_token": access, "refresh_token": refresh, "expire_in": 14_400 })))
    }

    fn admits(&self, asked: &Asked) -> bool {
        let access = &self.0.tokens.access;
        !access.is_empty() && asked.parameter("access_token") == access && self.is_signed(asked, &format!("{access}220000045"))
    }
}

pub struct Shopline(pub Registered);

impl Authority for Shopline {
    fn page(&mut self, asked: &Asked) -> Option<Result<ConsentPage, String>> {
        if asked.path != "/acme/admin/oauth-web/oauth/authorize" {
            return None;
        }
        let (id, redirect) = (self.0.client_id.clone(), self.0.redirect.clone());
        let must = [("appKey", id.as_str()), ("responseType", "code"), ("redirectUri", redirect.as_str())];
        if let Some((name, _)) = must.iter().find(|(name, value)| asked.parameter(name) != *value) {
            return Some(Err(format!("{name} is {:?}", asked.parameter(name))));
        }
        let (code, state) = (self.0.tokens.code(), asked.parameter("customField").to_owned());
        let signed = |code: Option<&str>| {
            let mut back =
                vec![("appkey", id.as_str()), ("customField", &state), ("handle", "acme"), ("lang", "en"), ("timestamp", "1764547200000")];
            back.extend(code.map(|code| ("code", code)));
            back.sort_unstable();
            let text: Vec<String> = back.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let sign = self.0.hmac(&text.join("&"));
            with(&redirect, &[&back[..], &[("sign", &sign)]].concat())
        };
        Some(Ok(ConsentPage { agree: signed(Some(&code)), decline: signed(None) }))
    }

    fn tokens(&mut self, asked: &Asked) -> Option<(u16, Value)> {
        if asked.path.ends_with("/merchants/shop.json") && self.admits(asked) {
            return Some((200, json!({ "data": { "name": "Acme Kitchen" } })));
        }
        let step = asked.path.strip_prefix("/acme/admin/oauth/token/")?;
        if asked.header("appkey") != self.0.client_id
            || asked.header("sign") != self.0.hmac(&format!("{}{}", asked.body, asked.header("timestamp")))
        {
            return Some((200, json!({ "code": 400, "i18nCode": "SIGN_ERROR", "message": "signature" })));
        }
        let body: Value = serde_json::from_str(&asked.body).unwrap_or_default();
        let known = match step {
            "create" => self.0.tokens.redeem(body["code"].as_str().unwrap_or_default()),
            _ => !self.0.tokens.access.is_empty(),
        };
        if !known {
            return Some((200, json!({ "code": 400, "i18nCode": "OAUTH_CODE_INVALID", "message": "code" })));
        }
        self.0.tokens.issue();
        let expires = "2035-01-01T00:00:00Z";
        Some((
            200,
            json!({ "code": 200, "i18nCode": "SUCCESS", "data": { "accessToken": self.0.tokens.access, "expireTime": expires, "scope": "" } }),
        ))
    }

    fn admits(&self, asked: &Asked) -> bool {
        self.0.bearer(asked)
    }
}

pub struct ShoplineOpen(pub Registered);

impl Authority for ShoplineOpen {
    fn page(&mut self, asked: &Asked) -> Option<Result<ConsentPage, String>> {
        let (id, redirect, state) = (self.0.client_id.clone(), self.0.redirect.clone(), asked.parameter("state").to_owned());
        let must = [("response_type", "code"), ("client_id", id.as_str()), ("redirect_uri", redirect.as_str())];
        (asked.path == "/oauth/authorize").then(|| self.0.page(asked, &must, &[("state", &state)], "code"))
    }

    fn tokens(&mut self, asked: &Asked) -> Option<(u16, Value)> {
        if asked.path != "/oauth/token" {
            return None;
        }
        let form = asked.form();
        let app = [text(&form, "client_id"), text(&form, "client_secret"), text(&form, "redirect_uri")];
        if app != [&self.0.client_id, &self.0.secret, &self.0.redirect] {
            return Some((401, json!({ "error": "invalid_client" })));
        }
        let tokens = &mut self.0.tokens;
        let known = match text(&form, "grant_type") {
            "authorization_code" => tokens.redeem(text(&form, "code")),
            _ => !tokens.refresh.is_empty() && text(&form, "refresh_token") == tokens.refresh,
        };
        if !known {
            return Some((401, json!({ "error": "invalid_grant" })));
        }
        tokens.issue();
        let Tokens { access, refresh, .. } = tokens;
        Some((200, json!({ "access_token": access, "refresh_token": refresh, "expires_in": 15_778_476, "token_type": "Bearer" })))
    }

    fn admits(&self, asked: &Asked) -> bool {
        self.0.bearer(asked) && asked.header("user-agent") == "acme"
    }
}
