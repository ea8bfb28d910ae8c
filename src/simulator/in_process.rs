//! The simulated platform without sockets: a [`Transport`] for tests in virtual time.
use super::exchange::{Answer, Decision, Incoming};
use super::platform::Simulator;
use crate::clock::Clock;
use crate::platforms::call::{Method, Reply, Request};
use crate::platforms::transport::{SendError, Transport};
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
            let latency = Duration::from_millis(simulator.latency_ms());
            if latency > timeout {
                tokio::time::sleep(timeout).await;
                return Err(SendError::Lost("timeout".to_owned()));
            }
            tokio::time::sleep(latency).await;
            match decision {
                Decision::Answer(Answer { status, retry_after, body }) => {
                    let headers = retry_after.map(|seconds| ("retry-after".to_owned(), seconds.to_string())).into_iter().collect();
                    Ok(Reply { status, headers, body: body.to_string() })
                }
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
