//! The connection to NATS: made in the background, made again for good, and each change logged once.
use super::settings::{Login, Settings};
use crate::domain::retry::RetryPolicy;
use crate::metrics;
use async_nats::{Client, ConnectError, ConnectOptions, Event};
use secrecy::ExposeSecret;
use std::time::Duration;
use tokio::sync::watch;

/// How long to wait before another attempt.
const LONGEST_FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// How the connection is doing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Standing {
    /// Whether there is one.
    pub is_up: bool,
    /// How often it has been made.
    pub times: u64,
    /// Whether the log says already that there is none.
    is_said: bool,
}

/// Waits until there is a connection. Returns false if there never will be.
pub async fn made(standing: &mut watch::Receiver<Standing>) -> bool {
    standing.wait_for(|standing| standing.is_up).await.is_ok()
}

/// Waits until the connection is gone that was the last after so many, even if there is another by now.
pub async fn lost(mut standing: watch::Receiver<Standing>, times: u64) {
    standing.wait_for(|standing| !standing.is_up || standing.times != times).await.ok();
}

/// Begins to connect, and returns without waiting for it.
///
/// # Errors
/// If the credentials cannot be used.
pub async fn connect(settings: &Settings, node: &str) -> Result<(Client, watch::Receiver<Standing>), ConnectError> {
    let (standing, watched) = watch::channel(Standing::default());
    metrics::note(|metrics| metrics.nats_connected(false));
    let client = options(settings)?
        .name(format!("stocktide {node}"))
        .retry_on_initial_connect()
        .max_reconnects(0)
        .reconnect_delay_callback(|attempts| pause(attempts, rand::random()))
        .event_callback(move |event| {
            standing.send_modify(|standing| hear(&event, standing));
            std::future::ready(())
        })
        .connect(settings.servers.clone())
        .await?;
    Ok((client, watched))
}

/// Whom to trust and how to log in. Without the demand for TLS, a server, or whoever is in its place, could ask for the password in
/// plain text; and a server's word would be enough to connect to any other.
fn options(settings: &Settings) -> std::io::Result<ConnectOptions> {
    let options = match &settings.login {
        Login::Anonymous => ConnectOptions::new(),
        Login::Password(user, password) => ConnectOptions::with_user_and_password(user.clone(), password.expose_secret().to_owned()),
        Login::Token(token) => ConnectOptions::with_token(token.expose_secret().to_owned()),
        Login::Credentials(text) => ConnectOptions::with_credentials(text.expose_secret())?,
    };
    let options = match &settings.ca_file {
        Some(path) => options.add_root_certificates(path.clone()),
        None => options,
    };
    Ok(options.require_tls(settings.requires_tls()).ignore_discovered_servers())
}

fn pause(attempts: usize, jitter: f64) -> Duration {
    let policy = RetryPolicy { base: LONGEST_FIRST_PAUSE, cap: LONGEST_PAUSE, ..RetryPolicy::default() };
    policy.pause(u32::try_from(attempts).unwrap_or(u32::MAX), jitter, None)
}

fn hear(event: &Event, standing: &mut Standing) {
    match event {
        Event::Connected => {
            *standing = Standing { is_up: true, times: standing.times + 1, is_said: false };
            tracing::info!("connected to NATS");
        }
        Event::Disconnected => {
            *standing = Standing { is_up: false, is_said: true, ..*standing };
            tracing::warn!("the connection to NATS was lost; connecting again until it succeeds");
        }
        Event::ClientError(error) if !standing.is_up && !standing.is_said => {
            standing.is_said = true;
            tracing::warn!(%error, "NATS cannot be reached; trying again until it can");
        }
        Event::ServerError(error) => tracing::warn!(%error, "NATS has refused something; check this user's permissions"),
        other => tracing::debug!(event = %other, "from the connection to NATS"),
    }
    metrics::note(|metrics| metrics.nats_connected(standing.is_up));
}

#[cfg(test)]
mod tests {
    use super::super::settings::tests::settings;
    use super::*;
    use async_nats::ClientError;
    use futures_util::FutureExt;

    #[test]
    fn pauses_grow_and_stay_bounded() {
        let longest: Vec<u128> = [1, 2, 3, 7, 1_000_000].map(|attempts| pause(attempts, 1.0).as_millis()).to_vec();
        assert_eq!(longest, [250, 500, 1000, 10_000, 10_000]);
        assert!(pause(9, 0.0) > Duration::ZERO);
    }

    #[test]
    fn an_address_with_tls_is_never_used_without() {
        let required = |url| format!("{:?}", options(&settings(url)).unwrap()).contains(r#""tls_required": true"#);
        assert!(required("tls://a") && required("tls://a,tls://b"));
        assert!(!required("nats://a"));
    }

    #[tokio::test]
    async fn a_connection_is_lost_also_if_there_is_another_already() {
        let (sender, standing) = watch::channel(Standing { is_up: true, times: 1, is_said: false });
        let is_lost = || lost(standing.clone(), 1).now_or_never().is_some();
        assert!(!is_lost());
        sender.send_modify(|standing| standing.is_up = false);
        assert!(is_lost());
        sender.send_modify(|standing| hear(&Event::Connected, standing));
        assert!(is_lost());
    }

    #[test]
    fn an_outage_is_said_once() {
        let mut standing = Standing::default();
        let failed = Event::ClientError(ClientError::Other("io".to_owned()));
        hear(&failed, &mut standing);
        assert!(standing.is_said && !standing.is_up);
        hear(&Event::Connected, &mut standing);
        assert_eq!(standing, Standing { is_up: true, times: 1, is_said: false });
        hear(&Event::Disconnected, &mut standing);
        hear(&failed, &mut standing);
        assert_eq!(standing, Standing { is_up: false, times: 1, is_said: true });
    }
}
