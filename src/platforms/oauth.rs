//! Renewal of OAuth 2 access tokens with a refresh token (RFC 6749, section 6), as Shopify, Amazon and eBay do it. They
//! identify the client in different ways, so each connector builds its own request.
use super::call::{Method, Reply, Request, StoreConnection};
use super::connector::{Renewal, Stamp};
use super::sign::{EXPIRES_AT, note_refresh_end, percent, with_access_token};
use serde::Deserialize;

/// The lifetime of an access token if the answer does not state it, in seconds.
const DEFAULT_LIFETIME_S: i64 = 3600;

#[derive(Deserialize)]
struct Tokens {
    access_token: String,
    expires_in: Option<i64>,
    refresh_token: Option<String>,
    refresh_token_expires_in: Option<i64>,
}

#[derive(Deserialize)]
struct Refusal {
    error: String,
}

/// A POST with URL-encoded form fields.
pub(super) fn form(url: impl Into<String>, fields: &[(&str, &str)]) -> Request {
    let body: Vec<String> = fields.iter().map(|(name, value)| format!("{}={}", percent(name), percent(value))).collect();
    Request { method: Method::Post, body: Some(body.join("&")), ..Request::get(url) }
        .header("content-type", "application/x-www-form-urlencoded")
        .header("accept", "application/json")
}

/// Reads the reply to a renewal, or to the exchange of a code. A new refresh token, if there is one, replaces the old.
pub(super) fn renewal(store: &StoreConnection, reply: &Reply, stamp: &Stamp) -> Renewal {
    match reply.status {
        200..=299 => {}
        408 | 429 | 500.. => {
            return Renewal::TryAgain { reason: format!("The platform could not renew the access token for now ({}).", reply.status) };
        }
        _ => return Renewal::Refused { reason: refusal(reply) },
    }
    let Ok(tokens) = serde_json::from_str::<Tokens>(&reply.body) else {
        return Renewal::TryAgain { reason: "The platform's answer to the token renewal could not be read.".to_owned() };
    };
    let mut credentials = with_access_token(store, &tokens.access_token, tokens.expires_in.unwrap_or(DEFAULT_LIFETIME_S), stamp);
    if tokens.expires_in.is_none() && tokens.refresh_token.is_none() && !credentials.contains_key("refresh_token") {
        // A token that nothing could renew does not expire.
        credentials.remove(EXPIRES_AT);
    }
    if tokens.refresh_token.is_some() || tokens.refresh_token_expires_in.is_some() {
        note_refresh_end(&mut credentials, tokens.refresh_token_expires_in, stamp);
    }
    if let Some(refresh) = tokens.refresh_token {
        credentials.insert("refresh_token".to_owned(), refresh.into());
    }
    credentials.remove("auth_code");
    Renewal::Renewed(credentials)
}

fn refusal(reply: &Reply) -> String {
    let error = serde_json::from_str::<Refusal>(&reply.body).map(|refusal| refusal.error).unwrap_or_default();
    match error.as_str() {
        "invalid_grant" => {
            "The platform no longer accepts the refresh token (invalid_grant). The seller must connect the store again.".to_owned()
        }
        "invalid_client" | "unauthorized_client" => {
            format!("The platform refused the app's client_id or client_secret ({error}). The operator must correct them.")
        }
        _ => {
            let error: String = error.chars().take(100).collect();
            format!("The platform refused to renew the access token ({} {error}).", reply.status)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{test_reply, test_stamp, test_store};
    use super::super::sign::{EXPIRES_AT, REFRESH_ENDS_AT};
    use super::*;
    use secrecy::ExposeSecret;
    use serde_json::json;

    fn read(status: u16, body: &str) -> Renewal {
        let store = test_store("x", json!({}), &[("access_token", "old"), ("refresh_token", "r1")]);
        renewal(&store, &test_reply(status, &[], body), &test_stamp("2026-11-24T12:00:00Z"))
    }

    #[test]
    fn a_new_access_token_is_stored_with_its_expiry_and_any_new_refresh_token() {
        let Renewal::Renewed(kept) = read(200, r#"{"access_token":"new","expires_in":3600,"token_type":"bearer"}"#) else { panic!() };
        let kept: Vec<(&str, &str)> = kept.iter().map(|(name, value)| (name.as_str(), value.expose_secret())).collect();
        assert_eq!(kept, [("access_token", "new"), (EXPIRES_AT, "2026-11-24T13:00:00+00:00"), ("refresh_token", "r1")]);
        let Renewal::Renewed(kept) = read(200, r#"{"access_token":"new","expires_in":3600,"refresh_token":"r2"}"#) else { panic!() };
        assert_eq!(kept["refresh_token"].expose_secret(), "r2");
        let body = r#"{"access_token":"new","expires_in":3600,"refresh_token":"r2","refresh_token_expires_in":7776000}"#;
        let Renewal::Renewed(kept) = read(200, body) else { panic!() };
        assert_eq!(kept[REFRESH_ENDS_AT].expose_secret(), "2027-02-22T12:00:00+00:00");
    }

    #[test]
    fn a_refusal_is_final_but_a_server_error_may_be_retried() {
        assert!(matches!(read(400, r#"{"error":"invalid_grant"}"#), Renewal::Refused { reason } if reason.contains("connect the store")));
        assert!(matches!(read(401, r#"{"error":"invalid_client"}"#), Renewal::Refused { reason } if reason.contains("operator")));
        assert!(matches!(read(400, "rubbish"), Renewal::Refused { .. }));
        for (status, body) in [(503, ""), (429, ""), (200, "rubbish")] {
            assert!(matches!(read(status, body), Renewal::TryAgain { .. }), "{status}");
        }
    }

    #[test]
    fn form_fields_are_encoded_and_their_secrets_never_printed() {
        let request = form("https://x.example/token", &[("grant_type", "refresh_token"), ("refresh_token", "Atzr|a b")]);
        assert_eq!(request.body.as_deref(), Some("grant_type=refresh_token&refresh_token=Atzr%7Ca%20b"));
        assert!(!format!("{request:?}").contains("Atzr"));
    }
}
