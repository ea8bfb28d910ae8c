//! One HTTP client for the service and the platform: repeats what was not answered, obeys `Retry-After`, counts.
use super::report::Retries;
use reqwest::Method;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long one request may take before it counts as lost.
const REQUEST_WITHIN: Duration = Duration::from_secs(60);
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// The pause after a request that was not answered: doubled each time, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// The longest `Retry-After` that is obeyed to the letter.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(60);
/// Characters of an answer that are told in an error.
const EXCERPT: usize = 500;

/// Why a run could not go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An option is out of its bounds.
    #[error("{0}")]
    Plan(String),
    /// An answer that makes no sense here.
    #[error("{what} answered {status}: {detail}")]
    Refused {
        /// Method and path.
        what: String,
        /// The status.
        status: u16,
        /// The beginning of the answer.
        detail: String,
    },
    /// A request was perhaps received, and must not simply be sent again.
    #[error("{what} was not answered: {detail}")]
    Lost {
        /// Method and path.
        what: String,
        /// Why not.
        detail: String,
    },
    /// Nobody answered for as long as the plan has patience.
    #[error("{what} went unanswered for {patience:?}: {detail}")]
    Silent {
        /// Method and path.
        what: String,
        /// How long.
        patience: Duration,
        /// The last reason.
        detail: String,
    },
    /// This program itself.
    #[error("{0}")]
    Internal(String),
}

/// What may be done with a request whose answer is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lost {
    /// Sent again: twice does no harm.
    Repeat,
    /// Told to the caller.
    Tell,
}

/// A body to send.
#[derive(Debug, Clone, Copy)]
pub(super) enum Body<'a> {
    None,
    Json(&'a str),
    Ndjson(&'a str),
}

/// An answer that is neither a throttle nor a failure of the service.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
    /// From the last sending to this answer.
    pub(super) took: Duration,
    /// Whether an earlier sending of the same request may have been received.
    pub(super) perhaps_repeated: bool,
}

/// Sendings that did not bring an answer.
#[derive(Debug, Default)]
pub(super) struct Counts {
    throttled: AtomicU64,
    unavailable: AtomicU64,
    lost: AtomicU64,
    not_connected: AtomicU64,
}

impl Counts {
    pub(super) fn retries(&self) -> Retries {
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

/// Speaks to one base address.
#[derive(Debug)]
pub(super) struct Api {
    http: reqwest::Client,
    base: String,
    patience: Duration,
    pub(super) counts: Counts,
}

enum Tried {
    Answer(Answer),
    /// Surely not taken; not before this pause, where there is one.
    NotTaken(Option<Duration>, String),
    Lost(String),
}

impl Api {
    pub(super) fn new(base: &str, patience: Duration) -> Result<Self, Error> {
        // Fails when it is installed already, which is as good.
        rustls::crypto::ring::default_provider().install_default().ok();
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_WITHIN)
            .timeout(REQUEST_WITHIN)
            .tcp_nodelay(true)
            .no_proxy()
            .user_agent(concat!("stocktide-load/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|e| Error::Internal(e.to_string()))?;
        let base = base.trim_end_matches('/').to_owned();
        if !base.starts_with("http://") && !base.starts_with("https://") {
            return Err(Error::Plan(format!("{base:?} is not an http address")));
        }
        Ok(Self { http, base, patience, counts: Counts::default() })
    }

    /// Sends until there is an answer, or patience ends.
    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        key: Option<&SecretString>,
        body: Body<'_>,
        lost: Lost,
    ) -> Result<Answer, Error> {
        let what = || format!("{method} {}{path}", self.base);
        let began = Instant::now();
        let (mut pause, mut perhaps_repeated) = (FIRST_PAUSE, false);
        loop {
            let (wait, detail) = match self.try_once(&method, path, key, body).await {
                Tried::Answer(answer) => return Ok(Answer { perhaps_repeated, ..answer }),
                Tried::NotTaken(after, detail) => (after, detail),
                Tried::Lost(detail) if lost == Lost::Tell => return Err(Error::Lost { what: what(), detail }),
                Tried::Lost(detail) => {
                    perhaps_repeated = true;
                    (None, detail)
                }
            };
            if began.elapsed() >= self.patience {
                return Err(Error::Silent { what: what(), patience: self.patience, detail });
            }
            sleep(wait.unwrap_or(pause)).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn try_once(&self, method: &Method, path: &str, key: Option<&SecretString>, body: Body<'_>) -> Tried {
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
        let began = Instant::now();
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) if error.is_connect() || error.is_builder() => {
                count(&self.counts.not_connected);
                return Tried::NotTaken(None, words(&error));
            }
            Err(error) => {
                count(&self.counts.lost);
                return Tried::Lost(words(&error));
            }
        };
        let status = response.status().as_u16();
        let after = response.headers().get("retry-after").and_then(|v| v.to_str().ok()).and_then(|v| v.trim().parse::<f64>().ok());
        let after = after.and_then(|s| Duration::try_from_secs_f64(s).ok()).map(|wait| wait.min(LONGEST_RETRY_AFTER));
        match (status, response.bytes().await) {
            (429, _) => {
                count(&self.counts.throttled);
                Tried::NotTaken(after, "429".to_owned())
            }
            (503, _) => {
                count(&self.counts.unavailable);
                Tried::NotTaken(after, "503".to_owned())
            }
            (500.., _) => {
                count(&self.counts.lost);
                Tried::Lost(status.to_string())
            }
            (_, Err(error)) => {
                count(&self.counts.lost);
                Tried::Lost(words(&error))
            }
            (_, Ok(body)) => Tried::Answer(Answer { status, body: body.into(), took: began.elapsed(), perhaps_repeated: false }),
        }
    }

    /// Sends JSON and reads the JSON of an answer that says that all is well.
    pub(super) async fn json<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        key: Option<&SecretString>,
        body: Option<&impl Serialize>,
        lost: Lost,
    ) -> Result<T, Error> {
        let text = body.map(serde_json::to_string).transpose().map_err(|e| Error::Internal(e.to_string()))?;
        let what = || format!("{method} {}{path}", self.base);
        let answer = self.send(method.clone(), path, key, text.as_deref().map_or(Body::None, Body::Json), lost).await?;
        if !(200..300).contains(&answer.status) {
            return Err(Error::Refused { what: what(), status: answer.status, detail: excerpt(&answer.body) });
        }
        let body = if answer.body.is_empty() { b"null" } else { answer.body.as_slice() };
        serde_json::from_slice(body).map_err(|e| Error::Refused { what: what(), status: answer.status, detail: e.to_string() })
    }

    /// Reads.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str, key: Option<&SecretString>) -> Result<T, Error> {
        self.json(Method::GET, path, key, None::<&Value>, Lost::Repeat).await
    }
}

pub(super) fn excerpt(body: &[u8]) -> String {
    String::from_utf8_lossy(body).chars().take(EXCERPT).collect()
}

/// The error with its causes, without the address that stands beside it anyway.
fn words(error: &reqwest::Error) -> String {
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
