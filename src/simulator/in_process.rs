//! The simulated platform without sockets: a [`Transport`] for tests in virtual time.
use super::exchange::{Answer, Decision, Incoming};
use super::platform::Simulator;
use crate::clock::Clock;
use crate::platforms::call::{Method, Reply, Request};
use crate::platforms::transport::{MAX_REPLY_BYTES, SendError, Transport};
use futures_util::future::BoxFuture;
use secrecy::ExposeSecret;
use std::time::Duration;

/// Delivers requests to a [`Simulator`] in this process.
#[derive(Debug, Clone)]
pub struct InProcess {
    simulator: Simulator,
    clock: Clock,
}

impl InProcess {
    /// Calls arrive at the time that `clock` shows.
    pub fn new(simulator: Simulator, clock: Clock) -> Self {
        Self { simulator, clock }
    }
}

/// The answer as it arrives. Its padding counts, but is not made.
pub fn reply(answer: &Answer) -> Result<Reply, SendError> {
    let body = answer.text();
    if body.len().saturating_add(answer.padding) > MAX_REPLY_BYTES {
        return Err(SendError::TooLarge);
    }
    let asked = answer.retry_after.map(|seconds| ("retry-after".to_owned(), seconds.to_string()));
    let headers = answer.headers.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
    Ok(Reply { status: answer.status, headers: asked.into_iter().chain(headers).collect(), body })
}

impl Transport for InProcess {
    fn send(&self, request: Request, timeout: Duration) -> BoxFuture<'static, Result<Reply, SendError>> {
        let (simulator, clock) = (self.simulator.clone(), self.clock.clone());
        Box::pin(async move {
            // Everything after the host.
            let target = request.url.splitn(4, '/').nth(3).unwrap_or_default().to_owned();
            let header = |name: &str| request.headers.iter().find(|(key, _)| *key == name).map(|(_, value)| value.clone());
            let incoming = Incoming {
                target,
                post: request.method != Method::Get,
                authorization: request
                    .secret_headers
                    .iter()
                    .find(|(key, _)| matches!(*key, "authorization" | "x-shopify-access-token"))
                    .map(|(_, v)| v.expose_secret().to_owned()),
                key: header("idempotency-key"),
                body: request.body.clone().unwrap_or_default(),
            };
            let decision = simulator.decide(clock.now_us(), &incoming);
            let after_ms = if let Decision::Answer(answer) = &decision { answer.after_ms } else { 0 };
            let latency = Duration::from_millis(simulator.latency_ms().saturating_add(after_ms));
            if latency > timeout {
                tokio::time::sleep(timeout).await;
                return Err(SendError::Lost("timeout".to_owned()));
            }
            tokio::time::sleep(latency).await;
            match decision {
                Decision::Answer(answer) => reply(&answer),
                Decision::Cut => Err(SendError::Lost("connection cut".to_owned())),
                Decision::CutAndApplyLater(ms) => {
                    tokio::spawn(async move {
                        tokio::time::sleep(Duration::from_millis(ms)).await;
                        simulator.apply_late(clock.now_us(), &incoming);
                    });
                    Err(SendError::Lost("connection cut".to_owned()))
                }
                Decision::Silence => {
                    tokio::time::sleep(timeout).await;
                    Err(SendError::Lost("timeout".to_owned()))
                }
                Decision::Refuse => Err(SendError::NotConnected("connection refused".to_owned())),
            }
        })
    }
}
