//! The receiver of webhooks' messages, in virtual time.
use secrecy::ExposeSecret as _;
use serde_json::Value;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use stocktide::platforms::call::{Reply, Request};
use stocktide::platforms::transport::{SendError, Transport};
use stocktide::simulator::in_process::InProcess;

/// Where the receiver is.
pub const RECEIVER: &str = "https://receiver.example";

/// A message as it arrived.
#[derive(Debug, Clone, PartialEq)]
pub struct Heard {
    pub url: String,
    pub id: String,
    pub signed_at: String,
    pub signature: String,
    pub text: String,
    pub body: Value,
    /// What was answered; `None` if the answer was lost.
    pub answered: Option<u16>,
}

impl Heard {
    pub fn topic(&self) -> &str {
        self.body["type"].as_str().unwrap()
    }
}

#[derive(Debug, Default)]
struct State {
    heard: Vec<Heard>,
    /// Not set: 204.
    answers: Option<u16>,
    is_down: bool,
    loses_answers: bool,
}

#[derive(Debug, Clone, Default)]
pub struct Receiver(Arc<Mutex<State>>);

impl Receiver {
    pub fn is_down(&self, down: bool) {
        self.0.lock().unwrap().is_down = down;
    }

    pub fn answers(&self, status: u16) {
        self.0.lock().unwrap().answers = Some(status);
    }

    pub fn loses_answers(&self, loses: bool) {
        self.0.lock().unwrap().loses_answers = loses;
    }

    /// Everything that arrived, also what was answered with a failure.
    pub fn heard(&self) -> Vec<Heard> {
        self.0.lock().unwrap().heard.clone()
    }

    fn hears(&self, request: &Request) -> Result<Reply, SendError> {
        let mut state = self.0.lock().unwrap();
        if state.is_down {
            return Err(SendError::NotConnected("connection refused".to_owned()));
        }
        let public = request.headers.iter().map(|(name, value)| (*name, value.clone()));
        let secret = request.secret_headers.iter().map(|(name, value)| (*name, value.expose_secret().to_owned()));
        let headers: Vec<(&str, String)> = public.chain(secret).collect();
        let header = |name: &str| headers.iter().find(|(found, _)| *found == name).map(|(_, value)| value.clone()).unwrap();
        let (status, lost) = (state.answers.unwrap_or(204), state.loses_answers);
        let text = request.body.clone().unwrap();
        state.heard.push(Heard {
            url: request.url.clone(),
            id: header("webhook-id"),
            signed_at: header("webhook-timestamp"),
            signature: header("webhook-signature"),
            body: serde_json::from_str(&text).unwrap(),
            text,
            answered: (!lost).then_some(status),
        });
        if lost { Err(SendError::Lost("timeout".to_owned())) } else { Ok(Reply { status, headers: Vec::new(), body: String::new() }) }
    }
}

/// The network: the receiver at its address, the platform at every other one.
pub struct Network {
    pub receiver: Receiver,
    pub platform: InProcess,
}

impl Transport for Network {
    fn send(&self, request: Request, timeout: Duration) -> futures_util::future::BoxFuture<'static, Result<Reply, SendError>> {
        if request.url.starts_with(RECEIVER) {
            let answer = self.receiver.hears(&request);
            return Box::pin(async move { answer });
        }
        self.platform.send(request, timeout)
    }
}
