//! The endpoint for keys of WooCommerce (`wc-auth`), and a shop that asks for OAuth 1.0a because it is reached by http.
use super::{Asked, Authority, ConsentPage, Tokens, with};
use serde_json::{Value, json};

#[derive(Default)]
pub struct WooCommerce {
    /// The key is `access`, its secret `refresh`.
    pub tokens: Tokens,
    /// Where the shop's server posts its keys, and what it posts.
    pub posts: Option<(String, Value)>,
}

impl Authority for WooCommerce {
    fn page(&mut self, asked: &Asked) -> Option<Result<ConsentPage, String>> {
        if asked.path != "/wc-auth/v1/authorize" {
            return None;
        }
        if let Some(missing) =
            ["app_name", "user_id", "return_url", "callback_url", "scope"].iter().find(|name| asked.parameter(name).is_empty())
        {
            return Some(Err(format!("Error: Missing parameter {missing}")));
        }
        if !asked.parameter("callback_url").starts_with("https://") {
            return Some(Err("Error: The callback_url needs to be over SSL".to_owned()));
        }
        self.tokens.issue();
        let (back, user) = (asked.parameter("return_url").to_owned(), asked.parameter("user_id").to_owned());
        let keys = json!({ "key_id": 1, "user_id": user, "consumer_key": self.tokens.access, "consumer_secret": self.tokens.refresh,
            "key_permissions": asked.parameter("scope") });
        self.posts = Some((asked.parameter("callback_url").to_owned(), keys));
        let to = |success: &str| with(&back, &[("success", success), ("user_id", &user)]);
        Some(Ok(ConsentPage { agree: to("1"), decline: to("0") }))
    }

    fn tokens(&mut self, asked: &Asked) -> Option<(u16, Value)> {
        (asked.path == "/wp-json/").then(|| (200, json!({ "name": "Acme Garden", "home": "http://acme.example" })))
    }

    fn admits(&self, asked: &Asked) -> bool {
        !self.tokens.access.is_empty()
            && asked.parameter("oauth_consumer_key") == self.tokens.access
            && asked.parameter("oauth_signature_method") == "HMAC-SHA256"
            && !asked.parameter("oauth_signature").is_empty()
    }
}
