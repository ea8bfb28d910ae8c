//! The executor: waits for the limits, sends, times, classifies. The only place that sends.
use super::call::{Call, Reply, StoreConnection};
use super::limits::Limits;
use super::transport::{SendError, Transport};
use super::{Platform, by_name};
use crate::domain::delivery::Outcome;
use std::sync::Arc;
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
    pub fn new(transport: Arc<dyn Transport>, limits: Arc<Limits>, timeout: Duration) -> Self {
        Self { transport, limits, timeout }
    }

    /// How long a request may take.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Waits for the store's and the app's limits. One permit, one [`Self::send`] right after it.
    pub async fn permit(&self, store: &StoreConnection) {
        if let Some(platform) = by_name(&store.platform) {
            self.limits.acquire(store.store_id, platform.name(), &platform.facts(store)).await;
        }
    }

    /// How long the next permit of this store will take at least, as far as is known.
    pub fn expected_wait(&self, store: &StoreConnection) -> Duration {
        by_name(&store.platform).map_or(Duration::ZERO, |p| self.limits.expected_wait(store.store_id, p.name(), &p.facts(store)))
    }

    /// Sends a call.
    pub async fn send(&self, store: &StoreConnection, call: &Call) -> Sent {
        let Some(platform) = by_name(&store.platform) else {
            let reason = format!("There is no connector for {}.", store.platform);
            return Sent { outcome: Outcome::Refused { reason, next_step: "Remove this store.".to_owned() }, raw: None, answered: true };
        };
        let began = tokio::time::Instant::now();
        let sent = self.exchange(platform, store, call).await;
        let took = began.elapsed();
        if let Outcome::TryAgain { throttled: true, after, .. } = &sent.outcome {
            self.limits.pause(store.store_id, after.unwrap_or(DEFAULT_THROTTLE));
        }
        let word = word(&sent.outcome);
        metrics::counter!("stocktide_platform_calls_total", "platform" => platform.name(), "outcome" => word).increment(1);
        metrics::histogram!("stocktide_platform_call_seconds", "platform" => platform.name()).record(took.as_secs_f64());
        tracing::debug!(store.id = %store.store_id, platform = platform.name(), outcome = word, items = call.items.len(), duration_ms = took.as_millis(), "called a platform");
        sent
    }

    async fn exchange(&self, platform: &dyn Platform, store: &StoreConnection, call: &Call) -> Sent {
        let request = match platform.request(store, call) {
            Ok(request) => request,
            Err(reason) => {
                let next_step = "Check the settings of the store and of the listing.".to_owned();
                return Sent { outcome: Outcome::Refused { reason, next_step }, raw: None, answered: true };
            }
        };
        let reply = tokio::time::timeout(self.timeout + Duration::from_millis(500), self.transport.send(request, self.timeout)).await;
        match reply {
            Ok(Ok(reply)) => Sent { outcome: platform.outcome(call, &reply), raw: Some(excerpt(&reply)), answered: reply.status < 500 },
            Ok(Err(SendError::NotConnected(why))) => Sent {
                outcome: Outcome::TryAgain { reason: format!("The store could not be reached ({why})."), after: None, throttled: false },
                raw: None,
                answered: false,
            },
            Ok(Err(SendError::Lost(why))) => lost(&why),
            Err(_) => lost("timeout"),
        }
    }
}

fn lost(why: &str) -> Sent {
    Sent { outcome: Outcome::Unknown { reason: format!("The store did not answer ({why}).") }, raw: None, answered: false }
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
