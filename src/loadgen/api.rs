//! The HTTP client for both the service and the platform: retries unanswered requests, obeys `Retry-After`, and counts
//! retries.
use reqwest::Method;
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// A request that takes longer counts as lost.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The pause before an unanswered request is retried: doubled each time, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// A longer `Retry-After` is cut to this.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(60);
/// Characters of a response body that an error quotes.
const EXCERPT_CHARS: usize = 500;

/// Why a run was abandoned.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An option is out of bounds.
    #[error("{0}")]
    Plan(String),
    /// A request was answered in a way that the run cannot continue from.
    #[error("{what} answered {status}: {detail}")]
    Refused {
        /// Method and path.
        what: String,
        /// HTTP status.
        status: u16,
        /// The start of the body.
        detail: String,
    },
    /// A request that must not be repeated may have been received, but was not answered.
    #[error("{what} was not answered: {detail}")]
    Lost {
        /// Method and path.
        what: String,
        /// What happened instead.
        detail: String,
    },
    /// No attempt was answered within the plan's patience.
    #[error("{what} went unanswered for {patience:?}: {detail}")]
    Silent {
        /// Method and path.
        what: String,
        /// How long it was retried.
        patience: Duration,
        /// What happened to the last attempt.
        detail: String,
    },
    /// Anything else, such as a defect of this program.
    #[error("{0}")]
    Internal(String),
}

/// What to do when the answer to a request is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OnLost {
    /// Send it again: it may be received twice.
    Repeat,
    /// Return [`Error::Lost`].
    Fail,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Body<'a> {
    None,
    Json(&'a str),
    Ndjson(&'a str),
}

/// A response that is neither a throttle nor a server error.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
    /// From the last attempt to this response.
    pub(super) took: Duration,
    /// Whether an earlier attempt at the same request may have been received.
    pub(super) maybe_repeated: bool,
}

/// Attempts that had to be retried, by reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Retries {
    /// Answered 429.
    pub throttled: u64,
    /// Answered 503.
    pub unavailable: u64,
    /// Not answered, or answered with another server error: the request may have been processed.
    pub lost: u64,
    /// The connection could not be established.
    pub not_connected: u64,
}

impl Retries {
    pub(super) fn since(self, before: Self) -> Self {
        Self {
            throttled: self.throttled - before.throttled,
            unavailable: self.unavailable - before.unavailable,
            lost: self.lost - before.lost,
            not_connected: self.not_connected - before.not_connected,
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct RetryCounters {
    throttled: AtomicU64,
    unavailable: AtomicU64,
    lost: AtomicU64,
    not_connected: AtomicU64,
}

impl RetryCounters {
    pub(super) fn read(&self) -> Retries {
        let now = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Retries {
            throttled: now(&self.throttled),
            unavailable: now(&self.unavailable),
            lost: now(&self.lost),
            not_connected: now(&self.not_connected),
        }
    }
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// Sends requests to one base URL.
#[derive(Debug)]
pub(super) struct Api {
    http: reqwest::Client,
    base: String,
    patience: Duration,
    pub(super) retries: RetryCounters,
}

enum Attempt {
    Answer(Answer),
    /// Known not to have been processed; the pause before the next attempt, if the server named one.
    NotProcessed(Option<Duration>, String),
    Lost(String),
}

impl Api {
    pub(super) fn new(base: &str, patience: Duration) -> Result<Self, Error> {
        // Fails if one is installed already, which is just as good.
        rustls::crypto::ring::default_provider().install_default().ok();
        let mut builder = reqwest::Client::builder();
        if base.starts_with("http://") {
            // So that no root certificates are needed.
            builder = builder.tls_certs_only([]);
        }
        let http = builder
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(REQUEST_TIMEOUT)
            .tcp_nodelay(true)
            .no_proxy()
            .user_agent(concat!("stocktide-load/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|e| Error::Internal(e.to_string()))?;
        let base = base.trim_end_matches('/').to_owned();
        if !base.starts_with("http://") && !base.starts_with("https://") {
            return Err(Error::Plan(format!("{base:?} is not an http or https URL")));
        }
        Ok(Self { http, base, patience, retries: RetryCounters::default() })
    }

    /// Sends, and retries until there is an answer or patience runs out.
    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        key: Option<&SecretString>,
        body: Body<'_>,
        on_lost: OnLost,
    ) -> Result<Answer, Error> {
        let what = || format!("{method} {}{path}", self.base);
        let started_at = Instant::now();
        let (mut pause, mut maybe_repeated) = (FIRST_PAUSE, false);
        loop {
            let (wait, detail) = match self.try_once(&method, path, key, body).await {
                Attempt::Answer(answer) => return Ok(Answer { maybe_repeated, ..answer }),
                Attempt::NotProcessed(after, detail) => (after, detail),
                Attempt::Lost(detail) if on_lost == OnLost::Fail => return Err(Error::Lost { what: what(), detail }),
                Attempt::Lost(detail) => {
                    maybe_repeated = true;
                    (None, detail)
                }
            };
            if started_at.elapsed() >= self.patience {
                return Err(Error::Silent { what: what(), patience: self.patience, detail });
            }
            sleep(wait.unwrap_or(pause)).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn try_once(&self, method: &Method, path: &str, key: Option<&SecretString>, body: Body<'_>) -> Attempt {
        let mut request = self.http.request(method.clone(), format!("{}{path}", self.base));
        if let Some(key) = key {
            request = request.bearer_auth(key.expose_secret());
        }
        let (media_type, text) = match body {
            Body::None => (None, ""),
            Body::Json(text) => (Some("application/json"), text),
            Body::Ndjson(text) => (Some("application/x-ndjson"), text),
        };
        if let Some(media_type) = media_type {
            request = request.header("content-type", media_type).body(text.to_owned());
        }
        let started_at = Instant::now();
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) if error.is_connect() || error.is_builder() => {
                count(&self.retries.not_connected);
                return Attempt::NotProcessed(None, with_causes(&error));
            }
            Err(error) => {
                count(&self.retries.lost);
                return Attempt::Lost(with_causes(&error));
            }
        };
        let status = response.status().as_u16();
        let after = response.headers().get("retry-after").and_then(|v| v.to_str().ok()).and_then(|v| v.trim().parse::<f64>().ok());
        let after = after.and_then(|s| Duration::try_from_secs_f64(s).ok()).map(|wait| wait.min(LONGEST_RETRY_AFTER));
        match (status, response.bytes().await) {
            (429, _) => {
                count(&self.retries.throttled);
                Attempt::NotProcessed(after, "429".to_owned())
            }
            (503, _) => {
                count(&self.retries.unavailable);
                Attempt::NotProcessed(after, "503".to_owned())
            }
            (500.., _) => {
                count(&self.retries.lost);
                Attempt::Lost(status.to_string())
            }
            (_, Err(error)) => {
                count(&self.retries.lost);
                Attempt::Lost(with_causes(&error))
            }
            (_, Ok(body)) => Attempt::Answer(Answer { status, body: body.into(), took: started_at.elapsed(), maybe_repeated: false }),
        }
    }

    /// Sends JSON and parses the JSON of a 2xx response; any other response is [`Error::Refused`].
    pub(super) async fn json<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        key: Option<&SecretString>,
        body: Option<&impl Serialize>,
        on_lost: OnLost,
    ) -> Result<T, Error> {
        let text = body.map(serde_json::to_string).transpose().map_err(|e| Error::Internal(e.to_string()))?;
        let what = || format!("{method} {}{path}", self.base);
        let answer = self.send(method.clone(), path, key, text.as_deref().map_or(Body::None, Body::Json), on_lost).await?;
        if !(200..300).contains(&answer.status) {
            return Err(Error::Refused { what: what(), status: answer.status, detail: excerpt(&answer.body) });
        }
        let body = if answer.body.is_empty() { b"null" } else { answer.body.as_slice() };
        serde_json::from_slice(body).map_err(|e| Error::Refused { what: what(), status: answer.status, detail: e.to_string() })
    }

    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str, key: Option<&SecretString>) -> Result<T, Error> {
        self.json(Method::GET, path, key, None::<&Value>, OnLost::Repeat).await
    }
}

pub(super) fn excerpt(body: &[u8]) -> String {
    String::from_utf8_lossy(body).chars().take(EXCERPT_CHARS).collect()
}

/// The error and its causes; the caller names the URL.
fn with_causes(error: &reqwest::Error) -> String {
    let mut text = String::new();
    let mut next: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = next {
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&error.to_string());
        next = error.source();
    }
    text
}
