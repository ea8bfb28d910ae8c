//! Sends spans by OTLP over HTTP, a batch at a time. Nobody waits for it: while the receiver is slow or gone, spans are dropped and
//! counted.
use crate::metrics;
use crate::traces::otlp::{Resource, body};
use crate::traces::{Ended, next_batch, switch_on};
use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, Url};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// How long spans wait for others before they are sent.
const GATHER: Duration = Duration::from_secs(1);
/// How long the receiver may take for a batch.
const TIMEOUT: Duration = Duration::from_secs(5);
/// How long the last spans may take when the service stops.
const LAST: Duration = Duration::from_secs(3);

/// Where traces are sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The address for spans in OTLP's JSON.
    pub url: Url,
    /// Of requests without a `traceparent`, one in so many is traced.
    pub one_in: u64,
}

impl Settings {
    /// Checks the address.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(url: &str, one_in: u64) -> Result<Self, &'static str> {
        const EXPECTED: &str = "must be an http or https address such as http://127.0.0.1:4318/v1/traces, without a user or a password";
        let url = Url::parse(url).map_err(|_| EXPECTED)?;
        let is_bare = url.username().is_empty() && url.password().is_none() && url.query().is_none() && url.fragment().is_none();
        if is_bare && matches!(url.scheme(), "http" | "https") && url.has_host() { Ok(Self { url, one_in }) } else { Err(EXPECTED) }
    }
}

/// Sends what is traced until it is stopped.
#[derive(Debug)]
pub struct Exporter {
    task: JoinHandle<()>,
    stop: CancellationToken,
}

impl Exporter {
    /// Traces from now on. `None` if another service of this process does.
    ///
    /// # Errors
    /// If TLS cannot be set up.
    pub fn start(settings: Settings, node: &str) -> Result<Option<Self>, String> {
        rustls::crypto::ring::default_provider().install_default().ok();
        let client = Client::builder().redirect(reqwest::redirect::Policy::none()).timeout(TIMEOUT).no_proxy();
        let client = client.build().map_err(|error| error.to_string())?;
        if !switch_on(settings.one_in) {
            return Ok(None);
        }
        tracing::info!(one_in = settings.one_in, "requests are traced");
        let (stop, resource) = (CancellationToken::new(), Resource { instance: node.to_owned() });
        let task = tokio::spawn(run(Sender { client, url: settings.url, resource, has_failed: false }, stop.clone()));
        Ok(Some(Self { task, stop }))
    }

    /// Sends the last spans.
    pub async fn finish(self) {
        self.stop.cancel();
        if tokio::time::timeout(LAST, self.task).await.is_err() {
            tracing::warn!("the last spans were not sent in time");
        }
    }
}

async fn run(mut sender: Sender, stop: CancellationToken) {
    loop {
        let is_last = stop.is_cancelled();
        let batch = tokio::select! {
            batch = next_batch(if is_last { Duration::ZERO } else { GATHER }) => batch,
            () = stop.cancelled(), if !is_last => continue,
        };
        if !batch.is_empty() {
            sender.send(&batch).await;
        } else if is_last {
            return;
        }
    }
}

struct Sender {
    client: Client,
    url: Url,
    resource: Resource,
    /// Whether the latest batch was not taken.
    has_failed: bool,
}

impl Sender {
    async fn send(&mut self, batch: &[Ended]) {
        let request = self.client.post(self.url.clone()).header(CONTENT_TYPE, "application/json").body(body(&self.resource, batch));
        let why = match request.send().await {
            Ok(answer) if answer.status().is_success() => None,
            Ok(answer) => Some(format!("it answered {}", answer.status().as_u16())),
            Err(error) => Some(error.without_url().to_string()),
        };
        let outcome = if why.is_none() { "sent" } else { "dropped" };
        metrics::note(|metrics| metrics.spans(outcome, batch.len()));
        let has_failed = std::mem::replace(&mut self.has_failed, why.is_some());
        match why {
            Some(why) if !has_failed => tracing::warn!(why, "the receiver of traces takes no spans; they are dropped until it does"),
            None if has_failed => tracing::info!("the receiver of traces takes spans again"),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_without_secrets_is_taken() {
        for url in ["http://127.0.0.1:4318/v1/traces", "https://collector.example.com/v1/traces", "http://[::1]:4318/v1/traces"] {
            assert_eq!(Settings::new(url, 1).map(|settings| settings.url.to_string()), Ok(url.to_owned()));
        }
        for url in ["collector", "grpc://x:4317", "http://ada:secret@x/v1/traces", "http://x/v1/traces?key=secret", "http://x/#y", ""] {
            assert!(Settings::new(url, 1).is_err(), "{url}");
        }
    }
}
