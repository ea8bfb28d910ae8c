//! The fuzz target for connectors: every connector must cope with any reply. `tests/fuzz` drives it, and `http::fuzzing`
//! replays its corpus. Built only for tests and with the feature `fuzzing`.
//!
//! An input is three bytes and a text. The bytes select the connector (`a` is the first in [`registry`], so a connector
//! added at the end is covered too), the action with its number of items, and the status. The text holds the headers, an
//! empty line and the body.
use super::call::{Action, Call, CallItem, Reply, StoreConnection};
use super::client::{read_renewal, read_variants};
use super::connector::{Platform, Renewal, Stamp};
use super::form::{FieldKind, form_of};
use super::registry::registry;
use crate::domain::StoreId;
use crate::domain::delivery::{ItemResult, Outcome};
use crate::domain::retry::LONGEST_ASKED;
use chrono::DateTime;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// Statuses that platforms use, and some that they should not.
const STATUSES: [u16; 20] = [200, 201, 202, 204, 207, 301, 304, 400, 401, 403, 404, 408, 409, 413, 422, 429, 500, 502, 503, 999];
/// Listing ids, long enough not to occur in a reply by chance.
const IDS: [&str; 4] = ["40011", "40022", "40033", "40044"];
/// The value of every connector-specific field of a listing; just as long.
const FIELD_VALUE: &str = "70070";
/// Connectors whose platforms confirm a write as a whole, or name only the failed items. All others name every item that
/// they applied.
const CONFIRM_AS_A_WHOLE: [&str; 3] = ["shopify", "lazada", "tiktok_shop"];
/// Candidate values for a setting, tried in turn until the connector accepts one.
const CANDIDATES: [&str; 8] = ["70", "acme", "sg", "na", "global", "pretty", "production", "header"];

/// A connector and a store that it accepts.
struct Subject {
    platform: &'static dyn Platform,
    store: StoreConnection,
}

static SUBJECTS: LazyLock<Vec<Subject>> =
    LazyLock::new(|| registry().iter().map(|platform| Subject { platform: *platform, store: store_of(*platform) }).collect());

/// A store with every field of the platform's form, each set to the first value that the connector accepts.
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
                for value in CANDIDATES {
                    store.config.insert(field.name.to_owned(), Value::from(value));
                    let errors = platform.check_config(&store).err().unwrap_or_default();
                    if errors.iter().all(|error| error.pointer != pointer) {
                        break;
                    }
                }
            }
        }
    }
    // A token that is not in the form is one that the service requests before the first call.
    let name = "access_token";
    let from_form = store.credentials.insert(name.to_owned(), "planted-token".to_owned().into());
    if from_form.is_none() && platform.check_config(&store).is_err() {
        store.credentials.remove(name);
    }
    store
}

impl Subject {
    /// The call that `byte` encodes, with no more items than the platform accepts.
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
            self.platform.listing_fields().iter().map(|field| ((*field).to_owned(), FIELD_VALUE.to_owned())).collect();
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

/// Reads one reply as the answer to a call, as a page of variants and as new tokens.
///
/// # Panics
/// If one of the properties does not hold.
pub fn replies(bytes: &[u8]) {
    let [platform, action, status, text @ ..] = bytes else { return };
    let Some(subject) = SUBJECTS.get(usize::from(platform.wrapping_sub(b'a')) % SUBJECTS.len()) else { return };
    let (call, reply) = (subject.call(*action), reply_of(*status, text));
    check_outcome(subject, &call, &reply);
    check_quota(subject, &reply);
    check_variants(subject, (action & 32 != 0).then_some("2"), &reply);
    check_renewal(subject, &reply);
}

fn check_outcome(Subject { platform, store }: &Subject, call: &Call, reply: &Reply) {
    let outcome = platform.outcome(store, call, reply);
    assert_eq!(outcome, platform.outcome(store, call, reply), "the same reply must have the same outcome");
    if let Outcome::TryAgain { after: Some(after), .. } = &outcome {
        assert!(*after <= LONGEST_ASKED, "no reply may silence a store for longer than an hour: {after:?}");
    }
    let printed = format!("{outcome:?}");
    assert!(reply.body.contains("planted-") || !printed.contains("planted-"), "a reason reveals a credential: {printed}");
    let Outcome::Answered(results) = outcome else { return };
    assert_eq!(results.len(), call.items.len(), "there must be as many results as items");
    // Parse and print the body once, because an id may be written with escapes.
    let body = serde_json::from_str::<Value>(&reply.body);
    let text = body.as_ref().map(Value::to_string).unwrap_or_default();
    // Some platforms identify an item by a connector-specific field, but never by one that all items of a call share.
    let group = platform.facts(store).group_by;
    let named_by_field = |item: &CallItem| item.extra.iter().any(|(name, value)| Some(name.as_str()) != group && text.contains(value));
    let named = |item: &CallItem| text.contains(&item.external_id) || named_by_field(item);
    for (item, result) in call.items.iter().zip(&results) {
        if !matches!(result, ItemResult::Applied { .. } | ItemResult::Accepted) {
            continue;
        }
        assert!((200..300).contains(&reply.status), "status {} is not a success, but the result is {result:?}", reply.status);
        assert!(body.as_ref().is_ok_and(|body| body.is_object() || body.is_array()), "an unreadable body cannot mean {result:?}");
        let implied = call.items.len() == 1 || (call.action != Action::Read && CONFIRM_AS_A_WHOLE.contains(&platform.name()));
        assert!(implied || named(item), "{} is not named in the reply: {result:?}", item.external_id);
    }
}

fn check_quota(Subject { platform, .. }: &Subject, reply: &Reply) {
    if let Some(quota) = platform.quota(reply) {
        assert!(quota.per_second.is_finite() && quota.per_second > 0.0, "{quota:?} would stop the store forever");
    }
}

fn check_variants(Subject { platform, store }: &Subject, cursor: Option<&str>, reply: &Reply) {
    let Ok(page) = read_variants(*platform, store, cursor, reply) else { return };
    assert!((200..300).contains(&reply.status), "a reply with status {} is not a page", reply.status);
    assert!(page.variants.iter().all(|variant| !variant.external_id.is_empty()), "every variant must have an id");
    let known = platform.listing_fields();
    assert!(page.variants.iter().all(|variant| variant.extra.keys().all(|name| known.contains(&name.as_str()))), "unknown fields");
    if let Some(next) = &page.next {
        assert_ne!(Some(next.as_str()), cursor, "a page that points to itself would loop forever");
        // Whatever the cursor contains, building the next request must not panic.
        drop(platform.variants_request(store, Some(next), &stamp()));
    }
}

fn check_renewal(Subject { platform, store }: &Subject, reply: &Reply) {
    // Without anything to renew there is no request, and so no reply.
    if platform.renewal_request(store, &stamp(), true).is_none() {
        return;
    }
    let Renewal::Renewed(credentials) = read_renewal(*platform, store, reply, &stamp()) else { return };
    assert!((200..300).contains(&reply.status), "a reply with status {} renews nothing", reply.status);
    let renewed = StoreConnection { credentials, ..store.clone() };
    assert_eq!(platform.check_config(&renewed), Ok(()), "the new credentials are saved, so they must be valid");
}

fn stamp() -> Stamp {
    Stamp { now: DateTime::from_timestamp(1_800_000_000, 0).unwrap_or_default(), nonce: "0".repeat(32) }
}

#[cfg(test)]
mod tests {
    use super::super::call::Request;
    use super::super::client::Client;
    use super::super::limits::Limits;
    use super::super::transport::{SendError, Transport};
    use super::*;
    use crate::clock::Clock;
    use futures_util::future::BoxFuture;
    use secrecy::ExposeSecret;
    use serde_json::json;
    use std::sync::Arc;
    use std::time::Duration;

    /// A platform that answers with this status and, in all the places where platforms put messages, everything it was sent.
    struct Repeats(u16, Arc<std::sync::Mutex<Vec<String>>>);

    impl Transport for Repeats {
        fn send(&self, request: Request, _: Duration) -> BoxFuture<'static, Result<Reply, SendError>> {
            let Request { url, headers, secret_headers, body, .. } = request;
            let secret = secret_headers.iter().map(|(name, value)| format!("{name}: {}", value.expose_secret()));
            let plain = headers.iter().map(|(name, value)| format!("{name}: {value}"));
            let all: Vec<String> = [url].into_iter().chain(plain).chain(secret).chain(body).collect();
            let all = all.join(" | ");
            self.1.lock().unwrap().push(all.clone());
            let item =
                json!({ "external_id": IDS[0], "error": all, "message": all, "code": all, "title": all, "sku": all, "field": [all] });
            let body = json!({
                "error": all, "error_description": all, "message": all, "msg": all, "code": "1", "errors": [item], "data": all,
                "items": [item], "failed": [item], "detail": all, "response": { "failure_list": [{ "failed_reason": all }] },
            });
            let reply = Reply { status: self.0, headers: vec![("location".to_owned(), all)], body: body.to_string() };
            Box::pin(std::future::ready(Ok(reply)))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn no_connector_passes_on_a_credential_that_its_platform_repeats() {
        for (subject, status) in SUBJECTS.iter().flat_map(|subject| [200, 400, 401, 403, 422, 429, 500].map(|status| (subject, status))) {
            let seen = Arc::default();
            let transport = Arc::new(Repeats(status, Arc::clone(&seen)));
            let client = Client::new(transport, Arc::new(Limits::default()), Duration::from_secs(1), Clock::system());
            let mut passed_on = String::new();
            for action in 0..=3 {
                passed_on += &format!("{:?}", client.send(&subject.store, &subject.call(action), None).await);
            }
            passed_on += &format!("{:?}", client.variants(&subject.store, None).await);
            let renewal = client.renew(&subject.store, true).await;
            passed_on += &renewal.map(|renewal| format!("{renewal:?}")).unwrap_or_default();
            let name = subject.platform.name();
            assert!(!seen.lock().unwrap().is_empty(), "{name} was not asked");
            for secret in subject.store.credentials.values().map(ExposeSecret::expose_secret) {
                assert!(!passed_on.contains(secret), "{name} passes on {secret} with status {status}: {passed_on}");
            }
            for header in seen.lock().unwrap().iter().flat_map(|all| all.split(" | ")).filter_map(|line| line.split_once("Basic ")) {
                assert!(!passed_on.contains(header.1), "{name} passes on {header:?}");
            }
        }
    }

    #[test]
    fn no_connector_takes_an_empty_reply_for_a_success() {
        for (subject, body) in SUBJECTS.iter().flat_map(|subject| ["", "{}", "[]", "null", r#"{"data":{}}"#].map(|body| (subject, body))) {
            for action in 0..=2 {
                let (call, reply) = (subject.call(action), Reply { status: 200, headers: Vec::new(), body: body.to_owned() });
                if let Outcome::Answered(results) = subject.platform.outcome(&subject.store, &call, &reply) {
                    let done = results.iter().any(|result| matches!(result, ItemResult::Applied { .. } | ItemResult::Accepted));
                    assert!(!done, "{} takes {body:?} for {results:?} of {:?}", subject.platform.name(), call.action);
                }
            }
        }
    }

    #[test]
    fn every_connector_can_ask_for_smaller_pages_of_variants() {
        for Subject { platform, store } in SUBJECTS.iter() {
            let request = |halvings| {
                let store = crate::platforms::fields::with_smaller_pages(store, halvings);
                platform.variants_request(&store, None, &stamp()).map(|request| (request.url, request.body)).unwrap()
            };
            assert_ne!(request(0), request(2), "{}", platform.name());
        }
    }

    #[test]
    fn every_connector_accepts_its_fuzzed_store_and_calls() {
        for subject in SUBJECTS.iter() {
            let name = subject.platform.name();
            assert_eq!(subject.platform.check_config(&subject.store), Ok(()), "{name}");
            for action in 0..=15 {
                let call = subject.call(action);
                let adjusts = subject.platform.facts(&subject.store).abilities.adjust;
                if call.action != Action::Adjust || adjusts {
                    assert_eq!(subject.platform.request(&subject.store, &call, &stamp()).err(), None, "{name} {call:?}");
                }
            }
        }
    }
}
