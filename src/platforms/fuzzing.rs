//! What is fuzzed of the connectors: any reply, read by any of them. `tests/fuzz` drives it, and so does the replay of
//! its corpus in `http::fuzzing`. Built for tests and with the feature `fuzzing` alone.
//!
//! An input is three bytes and a text: which connector (`a` is the first of [`registry`], so one that joins at its end
//! joins here), what was asked of how many items, which status; then headers, an empty line, the body.
use super::call::{Action, Call, CallItem, Reply, StoreConnection};
use super::client::{read_renewal, read_variants};
use super::form::{FieldKind, form_of};
use super::{Platform, Renewal, Stamp, registry};
use crate::domain::StoreId;
use crate::domain::delivery::{ItemResult, Outcome};
use chrono::DateTime;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

/// The statuses that platforms answer with, and some that they should not.
const STATUSES: [u16; 20] = [200, 201, 202, 204, 207, 301, 304, 400, 401, 403, 404, 408, 409, 413, 422, 429, 500, 502, 503, 999];
/// Long enough not to stand in an answer by chance.
const IDS: [&str; 4] = ["40011", "40022", "40033", "40044"];
/// What every own field of a listing has; just as long.
const OWN: &str = "70070";
/// Connectors whose platforms say of a write as a whole that it was done, or name only what failed. All others name what
/// they did.
const ANSWER_AS_A_WHOLE: [&str; 3] = ["shopify", "lazada", "tiktok_shop"];
/// What a setting is tried with until the connector is content.
const SETTINGS: [&str; 7] = ["70", "acme", "sg", "na", "global", "pretty", "production"];

/// A connector, and a store that it is content with.
struct Subject {
    platform: &'static dyn Platform,
    store: StoreConnection,
}

static SUBJECTS: LazyLock<Vec<Subject>> =
    LazyLock::new(|| registry().iter().map(|platform| Subject { platform: *platform, store: store_of(*platform) }).collect());

/// A store with every field of the platform's form, each with the first value that the connector does not object to.
fn store_of(platform: &dyn Platform) -> StoreConnection {
    let mut store = StoreConnection {
        store_id: StoreId(uuid::Uuid::nil()),
        platform: platform.name().to_owned(),
        base_url: Some("https://shop.example.com".to_owned()),
        config: serde_json::Map::new(),
        credentials: BTreeMap::new(),
    };
    for field in form_of(platform.name()).into_iter().flat_map(|form| form.fields) {
        match field.kind {
            FieldKind::Address => {}
            FieldKind::Secret => drop(store.credentials.insert(field.name.to_owned(), format!("planted-{}", field.name).into())),
            FieldKind::Setting => {
                let pointer = format!("/{}", field.name);
                for value in SETTINGS {
                    store.config.insert(field.name.to_owned(), Value::from(value));
                    let errors = platform.check_config(&store).err().unwrap_or_default();
                    if errors.iter().all(|error| error.pointer != pointer) {
                        break;
                    }
                }
            }
        }
    }
    // Where nobody fills it in it was fetched before the first call.
    let fetched = "access_token";
    let kept = store.credentials.insert(fetched.to_owned(), "planted-token".to_owned().into());
    if kept.is_none() && platform.check_config(&store).is_err() {
        store.credentials.remove(fetched);
    }
    store
}

impl Subject {
    /// A call that asks for what `byte` says, about as many items as it says and the platform takes.
    fn call(&self, byte: u8) -> Call {
        let action = match byte & 3 {
            0 => Action::Adjust,
            1 => Action::Set,
            2 => Action::Read,
            _ => Action::Check,
        };
        let most = self.platform.facts(&self.store).abilities.max_items;
        let count = if action == Action::Check { 0 } else { most.min(1 + usize::from(byte >> 2 & 3)) };
        let extra: BTreeMap<String, String> =
            self.platform.listing_fields().iter().map(|field| ((*field).to_owned(), OWN.to_owned())).collect();
        let item = |id: &&str| CallItem {
            external_id: (*id).to_owned(),
            extra: extra.clone(),
            quantity: if action == Action::Read { 0 } else { 7 },
            expected: (byte & 16 != 0).then_some(5),
        };
        Call { action, items: IDS.iter().take(count).map(item).collect(), idempotency_key: Some(uuid::Uuid::nil().to_string()) }
    }
}

fn reply_of(status: u8, text: &[u8]) -> Reply {
    let text = String::from_utf8_lossy(text);
    let (head, body) = text.split_once("\n\n").unwrap_or(("", &text));
    let headers = head.lines().filter_map(|line| line.split_once(':'));
    Reply {
        status: STATUSES.get(usize::from(status) % STATUSES.len()).copied().unwrap_or(200),
        headers: headers.map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim().to_owned())).collect(),
        body: body.to_owned(),
    }
}

/// A reply, read as the answer to a call, as a page of variants and as new tokens.
///
/// # Panics
/// When one of the properties does not hold.
pub fn replies(bytes: &[u8]) {
    let [platform, asked, status, text @ ..] = bytes else { return };
    let Some(subject) = SUBJECTS.get(usize::from(platform.wrapping_sub(b'a')) % SUBJECTS.len()) else { return };
    let (call, reply) = (subject.call(*asked), reply_of(*status, text));
    hold_outcome(subject, &call, &reply);
    hold_quota(subject, &reply);
    hold_variants(subject, (asked & 32 != 0).then_some("2"), &reply);
    hold_renewal(subject, &reply);
}

fn hold_outcome(Subject { platform, store }: &Subject, call: &Call, reply: &Reply) {
    let outcome = platform.outcome(store, call, reply);
    assert_eq!(outcome, platform.outcome(store, call, reply), "the same reply says the same");
    if let Outcome::TryAgain { after: Some(after), .. } = &outcome {
        assert!(*after <= Duration::from_secs(86_400), "no reply silences a store for longer than a day: {after:?}");
    }
    let said = format!("{outcome:?}");
    assert!(reply.body.contains("planted-") || !said.contains("planted-"), "a reason repeats a credential: {said}");
    let Outcome::Answered(results) = outcome else { return };
    assert_eq!(results.len(), call.items.len(), "as many results as items");
    // Texts in their plain form: an id may be written with escapes.
    let body = serde_json::from_str::<Value>(&reply.body);
    let text = body.as_ref().map(Value::to_string).unwrap_or_default();
    // Some platforms name what they did by a field of the listing's own; not by one that all items of a call share.
    let group = platform.facts(store).group_by;
    let by_own_field = |item: &CallItem| item.extra.iter().any(|(name, value)| Some(name.as_str()) != group && text.contains(value));
    let named = |item: &CallItem| text.contains(&item.external_id) || by_own_field(item);
    for (item, result) in call.items.iter().zip(&results) {
        if !matches!(result, ItemResult::Applied { .. } | ItemResult::Accepted) {
            continue;
        }
        assert!((200..300).contains(&reply.status), "{} is no success, and {result:?} says so", reply.status);
        assert!(body.as_ref().is_ok_and(|body| body.is_object() || body.is_array()), "what cannot be read says nothing: {result:?}");
        let alone = call.items.len() == 1 || (call.action != Action::Read && ANSWER_AS_A_WHOLE.contains(&platform.name()));
        assert!(alone || named(item), "{} is not named in the reply: {result:?}", item.external_id);
    }
}

fn hold_quota(Subject { platform, .. }: &Subject, reply: &Reply) {
    if let Some(told) = platform.quota(reply) {
        assert!(told.per_second.is_finite() && told.per_second > 0.0, "{told:?} would stop the store for good");
    }
}

fn hold_variants(Subject { platform, store }: &Subject, cursor: Option<&str>, reply: &Reply) {
    let Ok(page) = read_variants(*platform, store, cursor, reply) else { return };
    assert!((200..300).contains(&reply.status), "{} is no page", reply.status);
    assert!(page.variants.iter().all(|variant| !variant.external_id.is_empty()), "a variant without a name");
    let known = platform.listing_fields();
    assert!(page.variants.iter().all(|variant| variant.extra.keys().all(|name| known.contains(&name.as_str()))), "unknown fields");
    if let Some(next) = &page.next {
        assert_ne!(Some(next.as_str()), cursor, "a page that is followed by itself never ends");
        // Whatever the platform calls its next page, asking for it must not go wrong in our hands.
        drop(platform.variants_request(store, Some(next), &stamp()));
    }
}

fn hold_renewal(Subject { platform, store }: &Subject, reply: &Reply) {
    // What a store has nothing to renew with is never asked for, so there is no reply to it.
    if platform.renewal_request(store, &stamp(), true).is_none() {
        return;
    }
    let Renewal::Renewed(credentials) = read_renewal(*platform, store, reply, &stamp()) else { return };
    assert!((200..300).contains(&reply.status), "{} renews nothing", reply.status);
    let renewed = StoreConnection { credentials, ..store.clone() };
    assert_eq!(platform.check_config(&renewed), Ok(()), "the new credentials are kept, so they must do");
}

fn stamp() -> Stamp {
    Stamp { now: DateTime::from_timestamp(1_800_000_000, 0).unwrap_or_default(), nonce: "0".repeat(32) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_that_says_nothing_is_no_success_on_any_platform() {
        for (subject, body) in SUBJECTS.iter().flat_map(|subject| ["", "{}", "[]", "null", r#"{"data":{}}"#].map(|body| (subject, body))) {
            for asked in 0..=2 {
                let (call, reply) = (subject.call(asked), Reply { status: 200, headers: Vec::new(), body: body.to_owned() });
                if let Outcome::Answered(results) = subject.platform.outcome(&subject.store, &call, &reply) {
                    let done = results.iter().any(|result| matches!(result, ItemResult::Applied { .. } | ItemResult::Accepted));
                    assert!(!done, "{} takes {body:?} for {results:?} of {:?}", subject.platform.name(), call.action);
                }
            }
        }
    }

    #[test]
    fn every_connector_is_content_with_the_store_and_the_calls_that_are_fuzzed() {
        for subject in SUBJECTS.iter() {
            let name = subject.platform.name();
            assert_eq!(subject.platform.check_config(&subject.store), Ok(()), "{name}");
            for asked in 0..=15 {
                let call = subject.call(asked);
                let adjusts = subject.platform.facts(&subject.store).abilities.adjust;
                if call.action != Action::Adjust || adjusts {
                    assert_eq!(subject.platform.request(&subject.store, &call, &stamp()).err(), None, "{name} {call:?}");
                }
            }
        }
    }
}
