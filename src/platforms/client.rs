//! The executor: waits for the limits, sends, times, classifies. The only place that sends.
use super::call::{Action, Call, Reply, Request, StoreConnection};
use super::limits::{Limits, Permit};
use super::transport::{SendError, Transport};
use super::{Platform, Renewal, Stamp, VariantPage, by_name};
use crate::clock::Clock;
use crate::domain::delivery::Outcome;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The longest excerpt of an answer that is kept beside a push, in bytes.
const MAX_RAW_BYTES: usize = 1024;
/// The pause after a 429 that names none.
const DEFAULT_THROTTLE: Duration = Duration::from_secs(1);

/// Sends calls to platforms. Clones share limits and connections.
#[derive(Clone)]
pub struct Client {
    transport: Arc<dyn Transport>,
    limits: Arc<Limits>,
    timeout: Duration,
    clock: Clock,
    counts: Arc<Counts>,
}

/// Calls since the start.
#[derive(Debug, Default)]
struct Counts {
    calls: AtomicU64,
    throttled: AtomicU64,
}

/// Calls since the start, as they were counted at one instant.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counted {
    /// All of them.
    pub calls: u64,
    /// Those that the platform throttled.
    pub throttled: u64,
}

/// What came of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// What is known now.
    pub outcome: Outcome,
    /// Status and beginning of the answer, for the records.
    pub raw: Option<String>,
    /// Whether the platform gave an answer below 500.
    pub answered: bool,
}

impl Client {
    /// Over `transport`, each request within `timeout`.
    pub fn new(transport: Arc<dyn Transport>, limits: Arc<Limits>, timeout: Duration, clock: Clock) -> Self {
        Self { transport, limits, timeout, clock, counts: Arc::default() }
    }

    /// How long a request may take.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Calls since the start.
    pub fn counted(&self) -> Counted {
        Counted { calls: self.counts.calls.load(Ordering::Relaxed), throttled: self.counts.throttled.load(Ordering::Relaxed) }
    }

    /// Waits for the app's and the store's limits. `None` when there is no such connector, which [`Self::send`] tells.
    pub async fn permit(&self, store: &StoreConnection, call: &Call) -> Option<Permit> {
        let platform = by_name(&store.platform)?;
        Some(self.limits.acquire(store.store_id, &platform.facts(store), platform.cost(call)).await)
    }

    /// How long the next permit of this store will take at least, as far as is known.
    pub fn expected_wait(&self, store: &StoreConnection) -> Duration {
        // What the next call will be is not known yet: it costs a point at least.
        by_name(&store.platform).map_or(Duration::ZERO, |p| self.limits.expected_wait(store.store_id, &p.facts(store), 1))
    }

    /// Sends a call that has its permit.
    pub async fn send(&self, store: &StoreConnection, call: &Call, permit: Option<Permit>) -> Sent {
        let Some(platform) = by_name(&store.platform) else {
            let reason = format!("There is no connector for {}.", store.platform);
            return Sent { outcome: Outcome::Refused { reason, next_step: "Remove this store.".to_owned() }, raw: None, answered: true };
        };
        let request = match platform.request(store, call, &self.stamp()) {
            Ok(request) => request,
            Err(reason) => {
                let next_step = "Check the settings of the store and of the listing.".to_owned();
                return Sent { outcome: Outcome::Refused { reason, next_step }, raw: None, answered: true };
            }
        };
        let began = tokio::time::Instant::now();
        let sent = match self.exchange(request).await {
            Ok(reply) => {
                if let (Some(permit), Some(told)) = (&permit, platform.quota(&reply)) {
                    permit.learn(told);
                }
                Sent { outcome: platform.outcome(store, call, &reply), raw: Some(excerpt(&reply)), answered: reply.status < 500 }
            }
            Err(outcome) => Sent { outcome, raw: None, answered: false },
        };
        let took = began.elapsed();
        self.note(store, &sent.outcome);
        self.counts.calls.fetch_add(1, Ordering::Relaxed);
        self.counts.throttled.fetch_add(u64::from(matches!(sent.outcome, Outcome::TryAgain { throttled: true, .. })), Ordering::Relaxed);
        let word = word(&sent.outcome);
        metrics::counter!("stocktide_platform_calls_total", "platform" => platform.name(), "outcome" => word).increment(1);
        metrics::histogram!("stocktide_platform_call_seconds", "platform" => platform.name()).record(took.as_secs_f64());
        tracing::debug!(store.id = %store.store_id, platform = platform.name(), outcome = word, items = call.items.len(), duration_ms = took.as_millis(), "called a platform");
        sent
    }

    /// Reads a page of the store's variants, under the same limits.
    ///
    /// # Errors
    /// What the platform said instead, or that it said nothing.
    pub async fn variants(&self, store: &StoreConnection, cursor: Option<&str>) -> Result<VariantPage, Outcome> {
        let refused = |reason| Outcome::Refused { reason, next_step: "Check the settings of the store.".to_owned() };
        let platform = by_name(&store.platform).ok_or_else(|| refused(format!("There is no connector for {}.", store.platform)))?;
        let request = platform.variants_request(store, cursor, &self.stamp()).map_err(refused)?;
        let call = Call { action: Action::Read, items: Vec::new(), idempotency_key: None };
        let permit = self.permit(store, &call).await;
        let reply = self.exchange(request).await?;
        if let (Some(permit), Some(told)) = (&permit, platform.quota(&reply)) {
            permit.learn(told);
        }
        read_variants(platform, store, cursor, &reply).inspect_err(|outcome| self.note(store, outcome))
    }

    /// Whether [`Self::renew`] would ask for anything.
    pub fn can_renew(&self, store: &StoreConnection, refused: bool) -> bool {
        by_name(&store.platform).is_some_and(|platform| platform.renewal_request(store, &self.stamp(), refused).is_some())
    }

    /// Asks for new tokens where the old ones have ended, soon will, or were `refused`. `None` when there is nothing to
    /// renew.
    pub async fn renew(&self, store: &StoreConnection, refused: bool) -> Option<Renewal> {
        let platform = by_name(&store.platform)?;
        let stamp = self.stamp();
        let request = platform.renewal_request(store, &stamp, refused)?;
        Some(match self.exchange(request).await {
            Ok(reply) => read_renewal(platform, store, &reply, &stamp),
            Err(Outcome::TryAgain { reason, .. } | Outcome::Unknown { reason }) => Renewal::TryAgain { reason },
            Err(_) => Renewal::TryAgain { reason: "The tokens could not be renewed.".to_owned() },
        })
    }

    fn stamp(&self) -> Stamp {
        Stamp { now: self.clock.now().to_utc(), nonce: format!("{:032x}", rand::random::<u128>()) }
    }

    fn note(&self, store: &StoreConnection, outcome: &Outcome) {
        if let Outcome::TryAgain { throttled: true, after, .. } = outcome {
            self.limits.pause(store.store_id, after.unwrap_or(DEFAULT_THROTTLE));
        }
    }

    /// A whole reply, or what its absence means.
    async fn exchange(&self, request: Request) -> Result<Reply, Outcome> {
        let reply = tokio::time::timeout(self.timeout + Duration::from_millis(500), self.transport.send(request, self.timeout)).await;
        match reply {
            Ok(Ok(reply)) => Ok(reply),
            Ok(Err(SendError::NotConnected(why))) => {
                Err(Outcome::TryAgain { reason: format!("The store could not be reached ({why})."), after: None, throttled: false })
            }
            Ok(Err(SendError::Lost(why))) => Err(lost(&why)),
            Err(_) => Err(lost("timeout")),
        }
    }
}

/// A page as its connector reads it, but for what no page may hold, whatever the platform sends: variants without a name,
/// which no listing could be paired with, and a next page that is the page itself, which would never end. A reply that is
/// no success is no page.
pub(super) fn read_variants(
    platform: &dyn Platform,
    store: &StoreConnection,
    cursor: Option<&str>,
    reply: &Reply,
) -> Result<VariantPage, Outcome> {
    let mut page = platform.variants(store, cursor, reply)?;
    if let Some(outcome) = by_status(reply) {
        return Err(outcome);
    }
    page.variants.retain(|variant| !variant.external_id.is_empty());
    page.next = page.next.filter(|next| Some(next.as_str()) != cursor);
    Ok(page)
}

/// What came of asking for new tokens as its connector reads it. Tokens that the store could not have been set up with
/// would take the place of some that work, and a reply that is no success has none, whatever stands in it.
pub(super) fn read_renewal(platform: &dyn Platform, store: &StoreConnection, reply: &Reply, stamp: &Stamp) -> Renewal {
    let credentials = match platform.renewal(store, reply, stamp) {
        Renewal::Renewed(credentials) => credentials,
        other => return other,
    };
    let renewed = StoreConnection { credentials: credentials.clone(), ..store.clone() };
    let errors = platform.check_config(&renewed).err().unwrap_or_default();
    if !(200..300).contains(&reply.status) || errors.iter().any(|error| error.pointer.starts_with("/credentials/")) {
        return Renewal::TryAgain {
            reason: format!("The platform's answer about new tokens holds none that can be used ({}).", reply.status),
        };
    }
    Renewal::Renewed(credentials)
}

fn lost(why: &str) -> Outcome {
    Outcome::Unknown { reason: format!("The store did not answer ({why}).") }
}

fn excerpt(reply: &Reply) -> String {
    let mut text = format!("{} {}", reply.status, reply.body);
    if text.len() > MAX_RAW_BYTES {
        let cut = (0..=MAX_RAW_BYTES).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(cut);
    }
    text
}

fn word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Answered(_) => "answered",
        Outcome::Refused { .. } => "refused",
        Outcome::TryAgain { throttled: true, .. } => "throttled",
        Outcome::TryAgain { .. } => "not_connected",
        Outcome::Unauthorized { .. } => "unauthorized",
        Outcome::TokenExpired { .. } => "token_expired",
        Outcome::Closed { .. } => "closed",
        Outcome::Unknown { .. } => "unknown",
    }
}

/// What a status says where a platform says nothing more particular; `None` for a success.
pub fn by_status(reply: &Reply) -> Option<Outcome> {
    let status = reply.status;
    Some(match status {
        200..=299 => return None,
        429 => Outcome::TryAgain { reason: "The store asked us to slow down.".to_owned(), after: reply.retry_after(), throttled: true },
        401 | 403 => Outcome::Unauthorized { reason: format!("The store refused our credentials ({status}).") },
        408 | 500.. => Outcome::Unknown { reason: format!("The store had an error of its own ({status}).") },
        _ => Outcome::Refused {
            reason: format!("The store refused the request ({status})."),
            next_step: "Look at the store's answer, mend the listing or the store's settings, then retry.".to_owned(),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::super::check::{test_reply, test_stamp, test_store};
    use super::super::{shopee::Shopee, shopline::Shopline, simulated::Simulated};
    use super::*;
    use serde_json::json;

    #[test]
    fn tokens_that_could_not_be_sent_or_come_with_no_success_do_not_take_the_place_of_others() {
        let config = json!({ "handle": "acme", "location_id": "1", "app_key": "k" });
        let store = test_store("shopline", config, &[("access_token", "old"), ("app_secret", "s")]);
        let renewal = |status, token: &str| {
            let body =
                json!({ "code": 200, "i18nCode": "SUCCESS", "data": { "accessToken": token, "expireTime": "2027-01-01T00:00:00Z" } });
            read_renewal(&Shopline, &store, &test_reply(status, &[], &body.to_string()), &test_stamp("2026-11-24T12:00:00Z"))
        };
        assert!(matches!(renewal(200, "new"), Renewal::Renewed(kept) if kept.contains_key("app_secret")));
        for (status, token) in [(301, "new"), (200, ""), (200, "new\u{7f}"), (200, "né")] {
            assert!(matches!(renewal(status, token), Renewal::TryAgain { .. }), "{status} {token:?}");
        }
    }

    #[test]
    fn a_page_has_no_variant_without_a_name_and_is_not_followed_by_itself() {
        let store = test_store("simulated", json!({}), &[]);
        let reply = test_reply(200, &[], r#"{"items": [{"external_id": ""}, {"external_id": "a"}], "next": "2"}"#);
        let page = |cursor| read_variants(&Simulated, &store, cursor, &reply).unwrap();
        assert_eq!(page(Some("1")).variants.iter().map(|v| v.external_id.as_str()).collect::<Vec<_>>(), ["a"]);
        assert_eq!((page(Some("1")).next.as_deref(), page(Some("2")).next), (Some("2"), None));
    }

    #[test]
    fn a_page_that_comes_with_an_error_is_no_page() {
        let store = test_store("shopee", json!({}), &[]);
        let body = r#"{"error": "", "response": {"item": [], "has_next_page": false}}"#;
        let read = |status| read_variants(&Shopee, &store, None, &test_reply(status, &[], body));
        assert_eq!((read(200).is_ok(), read(408).is_ok()), (true, false));
    }
}
