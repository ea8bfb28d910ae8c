//! Renewal of OAuth 2 access tokens with a refresh token (RFC 6749, section 6): what Shopify, Amazon and eBay share. How
//! the client is named differs, so each connector makes its own request.
use super::call::{Method, Reply, Request, StoreConnection};
use super::sign::{percent, with_access_token};
use super::{Renewal, Stamp};
use serde::Deserialize;

/// The life of an access token whose answer does not tell it.
const DEFAULT_LIFE_S: i64 = 3600;

#[derive(Deserialize)]
struct Tokens {
    access_token: String,
    expires_in: Option<i64>,
    refresh_token: Option<String>,
}

#[derive(Deserialize)]
struct Refusal {
    error: String,
}

/// A POST of a form.
pub(super) fn form(url: impl Into<String>, fields: &[(&str, &str)]) -> Request {
    let body: Vec<String> = fields.iter().map(|(name, value)| format!("{}={}", percent(name), percent(value))).collect();
    Request { method: Method::Post, body: Some(body.join("&")), ..Request::get(url) }
        .header("content-type", "application/x-www-form-urlencoded")
        .header("accept", "application/json")
}

/// What came of asking for a new access token; a new refresh token, where there is one, takes the place of the old.
pub(super) fn renewal(store: &StoreConnection, reply: &Reply, stamp: &Stamp) -> Renewal {
    match reply.status {
        200..=299 => {}
        408 | 429 | 500.. => {
            return Renewal::TryAgain { reason: format!("The platform could not renew the access token just now ({}).", reply.status) };
        }
        _ => return Renewal::Refused { reason: refusal(reply) },
    }
    let Ok(tokens) = serde_json::from_str::<Tokens>(&reply.body) else {
        return Renewal::TryAgain { reason: "The platform's answer to the renewal of the access token could not be read.".to_owned() };
    };
    let mut credentials = with_access_token(store, &tokens.access_token, tokens.expires_in.unwrap_or(DEFAULT_LIFE_S), stamp);
    if let Some(refresh) = tokens.refresh_token {
        credentials.insert("refresh_token".to_owned(), refresh.into());
    }
    Renewal::Renewed(credentials)
}

fn refusal(reply: &Reply) -> String {
    let word = serde_json::from_str::<Refusal>(&reply.body).map(|refusal| refusal.error).unwrap_or_default();
    match word.as_str() {
        "invalid_grant" => {
            "The platform no longer takes the refresh token (invalid_grant): the seller must connect the store again.".to_owned()
        }
        "invalid_client" | "unauthorized_client" => {
            format!("The platform refuses the app's own client_id or client_secret ({word}): the operator must mend them.")
        }
        _ => {
            let word: String = word.chars().take(100).collect();
            format!("The platform refused to renew the access token ({} {word}).", reply.status)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::{test_reply, test_stamp, test_store};
    use super::super::sign::EXPIRES_AT;
    use super::*;
    use secrecy::ExposeSecret;
    use serde_json::json;

    fn came_of(status: u16, body: &str) -> Renewal {
        let store = test_store("x", json!({}), &[("access_token", "old"), ("refresh_token", "r1")]);
        renewal(&store, &test_reply(status, &[], body), &test_stamp("2026-11-24T12:00:00Z"))
    }

    #[test]
    fn a_new_token_is_kept_with_its_end_and_a_new_refresh_token_with_it() {
        let Renewal::Renewed(kept) = came_of(200, r#"{"access_token":"new","expires_in":3600,"token_type":"bearer"}"#) else { panic!() };
        let kept: Vec<(&str, &str)> = kept.iter().map(|(name, value)| (name.as_str(), value.expose_secret())).collect();
        assert_eq!(kept, [("access_token", "new"), (EXPIRES_AT, "2026-11-24T13:00:00+00:00"), ("refresh_token", "r1")]);
        let Renewal::Renewed(kept) = came_of(200, r#"{"access_token":"new","expires_in":3600,"refresh_token":"r2"}"#) else { panic!() };
        assert_eq!(kept["refresh_token"].expose_secret(), "r2");
    }

    #[test]
    fn a_refusal_is_for_the_seller_an_error_of_theirs_for_later() {
        assert!(
            matches!(came_of(400, r#"{"error":"invalid_grant"}"#), Renewal::Refused { reason } if reason.contains("connect the store"))
        );
        assert!(matches!(came_of(401, r#"{"error":"invalid_client"}"#), Renewal::Refused { reason } if reason.contains("operator")));
        assert!(matches!(came_of(400, "rubbish"), Renewal::Refused { .. }));
        for (status, body) in [(503, ""), (429, ""), (200, "rubbish")] {
            assert!(matches!(came_of(status, body), Renewal::TryAgain { .. }), "{status}");
        }
    }

    #[test]
    fn a_form_is_encoded_and_its_secrets_are_not_printed() {
        let request = form("https://x.example/token", &[("grant_type", "refresh_token"), ("refresh_token", "Atzr|a b")]);
        assert_eq!(request.body.as_deref(), Some("grant_type=refresh_token&refresh_token=Atzr%7Ca%20b"));
        assert!(!format!("{request:?}").contains("Atzr"));
    }
}
