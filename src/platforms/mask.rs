//! Masks a store's credentials wherever its platform repeats them. What a platform says is kept with pushes, shown to the
//! seller's staff and written into the log; some platforms quote the token that they refuse, or the whole request.
//!
//! [`client`](super::client) applies it to every reply, for all connectors. A secret is recognized as it is and in the forms
//! in which a server may quote a request: percent-encoded, escaped for JSON or HTML, in base64.
use super::call::{Reply, Request, StoreConnection};
use super::connector::{Renewal, Variant, VariantPage};
use super::sign::{EXPIRES_AT, REFRESH_ENDS_AT, percent};
use crate::domain::delivery::{ItemResult, Outcome};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use secrecy::{ExposeSecret, SecretString};
use std::borrow::Cow;
use std::mem::discriminant;

/// What stands where a secret was.
const MASK: &str = "***";
/// Secrets of at least this many bytes are masked inside words, too.
const ANYWHERE_FROM: usize = 8;
/// Shorter secrets are not masked: they occur by chance.
const MIN_BYTES: usize = 3;

/// The secrets of one exchange with a store.
pub(super) struct Mask(Vec<SecretString>);

impl Mask {
    /// The store's credentials, and what the request carries that is derived from them.
    pub(super) fn of(store: &StoreConnection, request: Option<&Request>) -> Self {
        let own = store
            .credentials
            .iter()
            .filter(|(name, _)| ![EXPIRES_AT, REFRESH_ENDS_AT].contains(&name.as_str()))
            .map(|(_, secret)| secret.expose_secret());
        // Such as `Basic` and a base64 of two credentials.
        let headers = request.into_iter().flat_map(|request| &request.secret_headers).map(|(_, value)| value.expose_secret());
        let headers = headers.map(|value| value.split_once(' ').map_or(value, |(_, credentials)| credentials));
        let mut forms: Vec<String> = own.chain(headers).filter(|secret| secret.len() >= MIN_BYTES).flat_map(forms).collect();
        // The longest first, for one may contain another.
        forms.sort_unstable_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        forms.dedup();
        Self(forms.into_iter().map(SecretString::from).collect())
    }

    /// `text` without the secrets.
    pub(super) fn text<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let mut masked = Cow::Borrowed(text);
        for secret in &self.0 {
            if let Some(without) = replaced(&masked, secret.expose_secret()) {
                masked = Cow::Owned(without);
            }
        }
        masked
    }

    fn finds_in(&self, text: &str) -> bool {
        matches!(self.text(text), Cow::Owned(_))
    }

    fn apply(&self, text: &mut String) {
        if let Cow::Owned(masked) = self.text(text) {
            *text = masked;
        }
    }

    /// The reply without the secrets; `None` if it contains none.
    fn reply(&self, reply: &Reply) -> Option<Reply> {
        if !self.finds_in(&reply.body) && !reply.headers.iter().any(|(_, value)| self.finds_in(value)) {
            return None;
        }
        let headers = reply.headers.iter().map(|(name, value)| (name.clone(), self.text(value).into_owned())).collect();
        Some(Reply { status: reply.status, headers, body: self.text(&reply.body).into_owned() })
    }

    /// What `read` says of the reply, in texts without the secrets.
    pub(super) fn outcome(&self, reply: &Reply, read: impl Fn(&Reply) -> Outcome) -> Outcome {
        let mut outcome = read(reply);
        if let Some(masked) = self.reply(reply) {
            // Read from the masked reply, because a connector shortens texts, and a shortened secret would not be found.
            let again = read(&masked);
            if meaning(again.clone()) == meaning(outcome.clone()) {
                outcome = again;
            } else {
                texts(&mut outcome).into_iter().for_each(|text| *text = "The store's answer repeats its credentials.".to_owned());
            }
        }
        self.in_texts(outcome)
    }

    /// The outcome of a call without a reply.
    pub(super) fn in_texts(&self, mut outcome: Outcome) -> Outcome {
        texts(&mut outcome).into_iter().for_each(|text| self.apply(text));
        outcome
    }

    /// New tokens as they are; refusals without the secrets.
    pub(super) fn renewal(&self, reply: &Reply, read: impl Fn(&Reply) -> Renewal) -> Renewal {
        let mut renewal = read(reply);
        if matches!(renewal, Renewal::Renewed(_)) {
            return renewal;
        }
        if let Some(again) = self.reply(reply).map(|masked| read(&masked)).filter(|again| discriminant(again) == discriminant(&renewal)) {
            renewal = again;
        }
        match &mut renewal {
            Renewal::Refused { reason } | Renewal::TryAgain { reason } => self.apply(reason),
            Renewal::Renewed(_) => {}
        }
        renewal
    }

    /// The page without variants whose ids contain a secret, and with the secrets masked in everything else.
    pub(super) fn page(&self, mut page: VariantPage) -> VariantPage {
        let addressed_by_a_secret =
            |variant: &Variant| self.finds_in(&variant.external_id) || variant.extra.values().any(|value| self.finds_in(value));
        page.variants.retain(|variant| !addressed_by_a_secret(variant));
        for variant in &mut page.variants {
            self.apply(&mut variant.title);
            variant.sku.iter_mut().for_each(|sku| self.apply(sku));
        }
        page.next = page.next.filter(|next| !self.finds_in(next));
        page
    }

    /// The status and the start of the reply, at most `most` bytes.
    pub(super) fn excerpt(&self, reply: &Reply, most: usize) -> String {
        let mut text = format!("{} {}", reply.status, self.text(&reply.body));
        if text.len() > most {
            let cut = (0..=most).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
            text.truncate(cut);
        }
        text
    }
}

/// The forms in which a server may quote a secret.
fn forms(secret: &str) -> Vec<String> {
    let percent = percent(secret);
    let json = serde_json::Value::from(secret).to_string();
    let json = json.trim_start_matches('"').strip_suffix('"').unwrap_or_default().to_owned();
    let html = secret.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
    vec![
        secret.to_owned(),
        percent.replace("%20", "+"),
        lower_hex(&percent),
        percent,
        json.replace('/', "\\/"),
        json,
        html,
        STANDARD_NO_PAD.encode(secret),
        URL_SAFE_NO_PAD.encode(secret),
    ]
}

/// Percent-encoding with small hexadecimal digits, as some servers write it.
fn lower_hex(percent: &str) -> String {
    let mut digits_left = 0;
    let small = |c: char| match (c, digits_left) {
        ('%', _) => {
            digits_left = 2;
            c
        }
        (_, 0) => c,
        _ => {
            digits_left -= 1;
            c.to_ascii_lowercase()
        }
    };
    percent.chars().map(small).collect()
}

/// `text` with `secret` masked; `None` if it does not occur.
fn replaced(text: &str, secret: &str) -> Option<String> {
    if secret.len() >= ANYWHERE_FROM {
        return text.contains(secret).then(|| text.replace(secret, MASK));
    }
    let (mut out, mut from) = (String::new(), 0);
    for (at, _) in text.match_indices(secret) {
        let end = at + secret.len();
        let is_part_of_word = |beside: Option<char>| beside.is_some_and(char::is_alphanumeric);
        let before = text.get(..at).and_then(|before| before.chars().next_back());
        let after = text.get(end..).and_then(|after| after.chars().next());
        if !is_part_of_word(before) && !is_part_of_word(after) {
            out.push_str(text.get(from..at).unwrap_or_default());
            out.push_str(MASK);
            from = end;
        }
    }
    (from > 0).then(|| out + text.get(from..).unwrap_or_default())
}

/// Everything in an outcome that may quote the platform.
fn texts(outcome: &mut Outcome) -> Vec<&mut String> {
    match outcome {
        Outcome::Answered(results) => results.iter_mut().flat_map(texts_of_item).collect(),
        Outcome::Refused { reason, next_step } | Outcome::Closed { reason, next_step } | Outcome::Obscured { reason, next_step } => {
            vec![reason, next_step]
        }
        Outcome::TryAgain { reason, .. }
        | Outcome::Unauthorized { reason }
        | Outcome::TokenExpired { reason }
        | Outcome::Unknown { reason } => vec![reason],
    }
}

fn texts_of_item(item: &mut ItemResult) -> Vec<&mut String> {
    match item {
        ItemResult::Applied { .. } | ItemResult::Stale { .. } | ItemResult::Accepted => Vec::new(),
        ItemResult::Rejected { reason, next_step } => vec![reason, next_step],
        ItemResult::TryAgain { reason }
        | ItemResult::RefusedWithOthers { reason }
        | ItemResult::NeverApplied { reason }
        | ItemResult::Unknown { reason } => vec![reason],
    }
}

/// The outcome without its texts.
fn meaning(mut outcome: Outcome) -> Outcome {
    texts(&mut outcome).into_iter().for_each(String::clear);
    outcome
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{test_reply, test_store};
    use super::*;
    use serde_json::json;

    const TOKEN: &str = "tok/ä \"c0ffee\"&+1";

    fn mask() -> Mask {
        let store =
            test_store("simulated", json!({}), &[("token", TOKEN), ("password", "hunter"), ("pin", "7"), (EXPIRES_AT, "2027-01-01")]);
        Mask::of(&store, Some(&Request::get("https://x").secret_header("authorization", "Basic a2V5OnNlY3JldC1vZi1pdA==")))
    }

    #[test]
    fn a_secret_is_masked_in_every_form_in_which_a_server_may_quote_it() {
        for form in [
            TOKEN.to_owned(),
            "tok%2F%C3%A4%20%22c0ffee%22%26%2B1".to_owned(),
            "tok%2f%c3%a4%20%22c0ffee%22%26%2b1".to_owned(),
            "tok%2F%C3%A4+%22c0ffee%22%26%2B1".to_owned(),
            json!(TOKEN).to_string(),
            "tok\\/ä \\\"c0ffee\\\"&+1".to_owned(),
            "tok/ä &quot;c0ffee&quot;&amp;+1".to_owned(),
            base64::engine::general_purpose::STANDARD.encode(TOKEN),
            "Basic a2V5OnNlY3JldC1vZi1pdA==".to_owned(),
        ] {
            let masked = mask().text(&format!("You sent {form}, which is wrong.")).into_owned();
            assert!(masked.contains(MASK) && masked.len() < 50, "{form}: {masked}");
        }
        assert_eq!(mask().text("hunter? hunters, xhunter; 7 units until 2027-01-01"), "***? hunters, xhunter; 7 units until 2027-01-01");
    }

    #[test]
    fn a_secret_at_the_end_of_a_shortened_text_leaves_no_part_behind() {
        let reply = test_reply(400, &[], &format!("{}{TOKEN}", "x".repeat(1015)));
        assert!(!mask().excerpt(&reply, 1024).contains("tok"));
        let read = |reply: &Reply| Outcome::Unauthorized { reason: reply.body.chars().take(1020).collect() };
        assert!(matches!(mask().outcome(&reply, read), Outcome::Unauthorized { reason } if reason.ends_with("x***")));
    }

    #[test]
    fn masking_changes_no_meaning() {
        let reply = test_reply(200, &[], TOKEN);
        let read = |reply: &Reply| match reply.body.as_str() {
            TOKEN => Outcome::Answered(vec![ItemResult::Rejected { reason: "tok/".to_owned(), next_step: String::new() }]),
            _ => Outcome::Unknown { reason: String::new() },
        };
        let Outcome::Answered(results) = mask().outcome(&reply, read) else { panic!() };
        assert!(matches!(&results[..], [ItemResult::Rejected { reason, .. }] if !reason.contains("tok")));
    }
}
