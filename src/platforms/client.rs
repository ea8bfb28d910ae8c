//! Waits for the rate limits, sends, measures and classifies. The only place that sends, and where the store's credentials
//! are masked in whatever comes back.
use super::call::{Action, Call, Reply, Request, StoreConnection};
use super::codes::{by_status, unreadable};
use super::connector::{Platform, Renewal, Stamp, VariantPage};
use super::limits::{Limits, Permit, Slept};
use super::mask::Mask;
use super::registry::by_name;
use super::transport::{SendError, Transport};
use crate::clock::Clock;
use crate::domain::StoreId;
use crate::domain::Timestamp;
use crate::domain::delivery::Outcome;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The longest excerpt of an answer that is stored with a push, in bytes.
const MAX_EXCERPT_BYTES: usize = 1024;
/// The pause after a 429 without a usable `Retry-After`.
const DEFAULT_THROTTLE: Duration = Duration::from_secs(1);

/// Sends calls to platforms. Clones share rate limits and connections.
#[derive(Clone)]
pub struct Client {
    transport: Arc<dyn Transport>,
    limits: Arc<Limits>,
    timeout: Duration,
    clock: Clock,
    counters: Arc<Counters>,
}

#[derive(Debug, Default)]
struct Counters {
    calls: AtomicU64,
    throttled: AtomicU64,
}

/// Calls since the process started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CallCounts {
    /// Calls of any outcome.
    pub calls: u64,
    /// Calls that the platform throttled.
    pub throttled: u64,
}

/// The result of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// What is now known about the items.
    pub outcome: Outcome,
    /// The status and the start of the answer, for the records; the store's credentials are masked in it, as in the outcome.
    pub raw: Option<String>,
    /// Whether the store's circuit may count this as an answer: a status below 500, or a call that was never sent.
    pub answered: bool,
}

impl Client {
    /// Sends over `transport`, allowing each request `timeout`.
    pub fn new(transport: Arc<dyn Transport>, limits: Arc<Limits>, timeout: Duration, clock: Clock) -> Self {
        Self { transport, limits, timeout, clock, counters: Arc::default() }
    }

    /// The longest that a request may take.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Calls since the process started, shared by all clones.
    pub fn call_counts(&self) -> CallCounts {
        CallCounts { calls: self.counters.calls.load(Ordering::Relaxed), throttled: self.counters.throttled.load(Ordering::Relaxed) }
    }

    /// Waits for the app's and the store's rate limits. `None` when there is no such connector, which [`Self::send`]
    /// reports.
    pub async fn permit(&self, store: &StoreConnection, call: &Call) -> Option<Permit> {
        let platform = by_name(&store.platform)?;
        Some(self.limits.acquire(store.store_id, &platform.facts(store), platform.cost(call)).await)
    }

    /// Waits for most of the time until this store's next permit: what remains is at most `ahead`, or unknown.
    pub async fn until_permit_is_near(&self, store: &StoreConnection, ahead: Duration) {
        let Some(platform) = by_name(&store.platform) else { return };
        loop {
            // The next call is not known yet, but it costs at least one point.
            let wait = self.limits.expected_wait(store.store_id, &platform.facts(store), 1).saturating_sub(ahead);
            if self.limits.sleep(wait).await == Slept::Whole {
                return;
            }
        }
    }

    /// Ends the pause that this store's platform has asked for, because the seller wants to try again now.
    pub fn end_pause(&self, store: StoreId) {
        self.limits.end_pause(store);
    }

    /// Sends a call, once [`Self::permit`] has allowed it.
    pub async fn send(&self, store: &StoreConnection, call: &Call, permit: Option<Permit>) -> Sent {
        let Some(platform) = by_name(&store.platform) else {
            let reason = format!("There is no connector for the platform {}.", store.platform);
            return Sent { outcome: Outcome::Refused { reason, next_step: "Remove this store.".to_owned() }, raw: None, answered: true };
        };
        let request = match platform.request(store, call, &self.stamp()) {
            Ok(request) => request,
            Err(reason) => {
                let reason = Mask::of(store, None).text(&reason).into_owned();
                let next_step = "Check the settings of the store and of the listing.".to_owned();
                return Sent { outcome: Outcome::Refused { reason, next_step }, raw: None, answered: true };
            }
        };
        let mask = Mask::of(store, Some(&request));
        let started = tokio::time::Instant::now();
        let sent = match self.exchange(request).await {
            Ok(reply) => {
                if let (Some(permit), Some(quota)) = (&permit, platform.quota(&reply)) {
                    permit.learn(quota);
                }
                let outcome = mask.outcome(&reply, |reply| platform.outcome(store, call, reply));
                Sent { outcome, raw: Some(mask.excerpt(&reply, MAX_EXCERPT_BYTES)), answered: reply.status < 500 }
            }
            Err(outcome) => Sent { outcome: mask.in_texts(outcome), raw: None, answered: false },
        };
        let took = started.elapsed();
        self.pause_if_throttled(store, &sent.outcome);
        self.counters.calls.fetch_add(1, Ordering::Relaxed);
        self.counters.throttled.fetch_add(u64::from(matches!(sent.outcome, Outcome::TryAgain { throttled: true, .. })), Ordering::Relaxed);
        let label = outcome_label(&sent.outcome);
        metrics::counter!("stocktide_platform_calls_total", "platform" => platform.name(), "outcome" => label).increment(1);
        metrics::histogram!("stocktide_platform_call_seconds", "platform" => platform.name()).record(took.as_secs_f64());
        tracing::debug!(store.id = %store.store_id, platform = platform.name(), outcome = label, items = call.items.len(), duration_ms = took.as_millis(), "called a platform");
        sent
    }

    /// Reads a page of the store's variants, within the same rate limits.
    ///
    /// # Errors
    /// What the platform's answer means when it is not a page, or that there was no answer.
    pub async fn variants(&self, store: &StoreConnection, cursor: Option<&str>) -> Result<VariantPage, Outcome> {
        let refused = |reason: String| {
            let reason = Mask::of(store, None).text(&reason).into_owned();
            Outcome::Refused { reason, next_step: "Check the settings of the store.".to_owned() }
        };
        let platform =
            by_name(&store.platform).ok_or_else(|| refused(format!("There is no connector for the platform {}.", store.platform)))?;
        let request = platform.variants_request(store, cursor, &self.stamp()).map_err(refused)?;
        let call = Call { action: Action::Read, items: Vec::new(), idempotency_key: None };
        let permit = self.permit(store, &call).await;
        let mask = Mask::of(store, Some(&request));
        let reply = self.exchange(request).await.map_err(|outcome| mask.in_texts(outcome))?;
        if let (Some(permit), Some(quota)) = (&permit, platform.quota(&reply)) {
            permit.learn(quota);
        }
        let read = |reply: &Reply| read_variants(platform, store, cursor, reply);
        match read(&reply) {
            Ok(page) => Ok(mask.page(page)),
            Err(_) => {
                let outcome = mask.outcome(&reply, |reply| read(reply).err().unwrap_or_else(unreadable));
                self.pause_if_throttled(store, &outcome);
                Err(outcome)
            }
        }
    }

    /// Whether [`Self::renew`] would send a request.
    pub fn can_renew(&self, store: &StoreConnection, refused: bool) -> bool {
        by_name(&store.platform).is_some_and(|platform| platform.renewal_request(store, &self.stamp(), refused).is_some())
    }

    /// Requests new tokens if the old ones have expired, soon will, or were `refused`. `None` when there is nothing to
    /// renew.
    pub async fn renew(&self, store: &StoreConnection, refused: bool) -> Option<Renewal> {
        let platform = by_name(&store.platform)?;
        let stamp = self.stamp();
        let request = platform.renewal_request(store, &stamp, refused)?;
        let mask = Mask::of(store, Some(&request));
        Some(match self.exchange(request).await.map_err(|outcome| mask.in_texts(outcome)) {
            Ok(reply) => mask.renewal(&reply, |reply| read_renewal(platform, store, reply, &stamp)),
            Err(Outcome::TryAgain { reason, .. } | Outcome::Unknown { reason }) => Renewal::TryAgain { reason },
            Err(_) => Renewal::TryAgain { reason: "The tokens could not be renewed.".to_owned() },
        })
    }

    fn stamp(&self) -> Stamp {
        Stamp { now: self.clock.now().to_utc(), nonce: format!("{:032x}", rand::random::<u128>()) }
    }

    fn pause_if_throttled(&self, store: &StoreConnection, outcome: &Outcome) {
        if let Outcome::TryAgain { throttled: true, after, .. } = outcome {
            self.limits.pause(store.store_id, after.unwrap_or(DEFAULT_THROTTLE));
        }
    }

    /// The complete reply, or what its absence means.
    async fn exchange(&self, request: Request) -> Result<Reply, Outcome> {
        let reply = tokio::time::timeout(self.timeout + Duration::from_millis(500), self.transport.send(request, self.timeout)).await;
        match reply {
            Ok(Ok(reply)) => Ok(dated(reply, self.clock.now())),
            Ok(Err(SendError::NotConnected(why))) => {
                Err(Outcome::TryAgain { reason: format!("The store could not be reached ({why})."), after: None, throttled: false })
            }
            Ok(Err(SendError::Lost(why))) => Err(lost(&why)),
            Err(_) => Err(lost("timeout")),
        }
    }
}

/// Reads a page with its connector, then drops what no page may contain: variants without an id, which no listing could
/// be paired with, and a cursor that leads back to the same page, which would loop forever. An unsuccessful reply is never
/// a page.
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

/// Reads a renewal with its connector, but accepts no tokens that fail the store's own checks, because they would replace
/// tokens that work, and none from an unsuccessful reply.
pub(super) fn read_renewal(platform: &dyn Platform, store: &StoreConnection, reply: &Reply, stamp: &Stamp) -> Renewal {
    let credentials = match platform.renewal(store, reply, stamp) {
        Renewal::Renewed(credentials) => credentials,
        other => return other,
    };
    let renewed = StoreConnection { credentials: credentials.clone(), ..store.clone() };
    let errors = platform.check_config(&renewed).err().unwrap_or_default();
    if !(200..300).contains(&reply.status) || errors.iter().any(|error| error.pointer.starts_with("/credentials/")) {
        return Renewal::TryAgain { reason: format!("The platform's answer contains no usable tokens ({}).", reply.status) };
    }
    Renewal::Renewed(credentials)
}

/// The reply with a `Date` if it asks for a pause and has none, since a pause may be given as a date.
fn dated(mut reply: Reply, now: Timestamp) -> Reply {
    if reply.header("retry-after").is_some() && reply.header("date").is_none() {
        reply.headers.push(("date".to_owned(), now.to_utc().to_rfc2822()));
    }
    reply
}

fn lost(why: &str) -> Outcome {
    Outcome::Unknown { reason: format!("The store did not answer ({why}).") }
}

fn outcome_label(outcome: &Outcome) -> &'static str {
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

#[cfg(test)]
mod tests {
    use super::super::fixtures::{test_reply, test_stamp, test_store};
    use super::super::{shopee::Shopee, shopline::Shopline, simulated::Simulated};
    use super::*;
    use serde_json::json;

    #[test]
    fn tokens_from_a_failed_renewal_or_unfit_for_a_header_do_not_replace_working_ones() {
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
    fn a_page_has_no_variant_without_an_id_and_is_never_its_own_next_page() {
        let store = test_store("simulated", json!({}), &[]);
        let reply = test_reply(200, &[], r#"{"items": [{"external_id": ""}, {"external_id": "a"}], "next": "2"}"#);
        let page = |cursor| read_variants(&Simulated, &store, cursor, &reply).unwrap();
        assert_eq!(page(Some("1")).variants.iter().map(|v| v.external_id.as_str()).collect::<Vec<_>>(), ["a"]);
        assert_eq!((page(Some("1")).next.as_deref(), page(Some("2")).next), (Some("2"), None));
    }

    #[test]
    fn an_unsuccessful_reply_is_not_a_page() {
        let store = test_store("shopee", json!({}), &[]);
        let body = r#"{"error": "", "response": {"item": [], "has_next_page": false}}"#;
        let read = |status| read_variants(&Shopee, &store, None, &test_reply(status, &[], body));
        assert_eq!((read(200).is_ok(), read(408).is_ok()), (true, false));
    }
}
