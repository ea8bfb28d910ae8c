//! The composition root: the only file that builds all parts of the service and knows the order in which they start and
//! stop.
use crate::actors::{Deps, Handle};
use crate::clock::Clock;
use crate::config::Config;
use crate::db::sealing::Sealer;
use crate::db::{self, Db, OnlyProcess};
use crate::domain::mail::parse_address;
use crate::domain::{MailId, letter};
use crate::http::{self, AppState, bodies::Bodies, console::Console, quota::Quota};
use crate::mail::smtp;
use crate::nats;
use crate::platforms::client::Client;
use crate::platforms::limits::Limits;
use crate::platforms::transport::HttpTransport;
use crate::service::credentials::{self, Openable};
use crate::telemetry::export::Exporter;
use actix_web::middleware::{Compress, from_fn};
use actix_web::web::Data;
use actix_web::{App, HttpServer};
use anyhow::Context;
use futures_util::future::OptionFuture;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A client that has not sent its request headers by then is disconnected.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
const MAX_CONNECTIONS_PER_WORKER: usize = 10_000;
/// How long a start waits for a database server that does not answer.
const MAX_DATABASE_WAIT: Duration = Duration::from_secs(60);
const DATABASE_RETRY_INTERVAL: Duration = Duration::from_secs(2);
/// How long a migration is tried again while a table that it changes is in use.
const MAX_TABLE_WAIT: Duration = Duration::from_secs(600);
const TABLE_RETRY_INTERVAL: Duration = Duration::from_secs(3);
/// How long a start waits for the stored credentials.
const MAX_CREDENTIALS_WAIT: Duration = Duration::from_secs(5);

/// How long a start waits for another service on the same SQLite database to end, as after a restart.
const MAX_OTHER_WAIT: Duration = Duration::from_secs(5);
const OTHER_RETRY_INTERVAL: Duration = Duration::from_millis(100);

/// A running service.
pub struct Service {
    /// The address it listens on.
    pub address: SocketAddr,
    /// Controls the actors.
    pub handle: Handle,
    server: actix_web::dev::Server,
    /// Takes in messages from NATS, if there is one.
    intake: Option<JoinHandle<()>>,
    traces: Option<Exporter>,
    stop: CancellationToken,
    stop_within: Duration,
    _only: OnlyProcess,
}

/// Migrates the database and returns the names of the migrations that ran. Waits a while for a database server that is not
/// there yet.
///
/// # Errors
/// At once if waiting would not help: the cause, and what the operator can do.
pub async fn migrate(config: &Config) -> anyhow::Result<Vec<String>> {
    let began = tokio::time::Instant::now();
    loop {
        let url = config.db.url.clone();
        let server = matches!(url, db::DatabaseUrl::Postgres(_));
        match tokio::task::spawn_blocking(move || db::migrate(&url)).await? {
            Ok(ran) => return Ok(ran),
            Err(db::Error::Busy) if server && began.elapsed() < MAX_TABLE_WAIT => {
                tracing::warn!("a table that a migration changes is in use by a long transaction; trying again");
                tokio::time::sleep(TABLE_RETRY_INTERVAL).await;
            }
            Err(error) if server && error.may_pass() && began.elapsed() < MAX_DATABASE_WAIT => {
                tracing::warn!(%error, "the database is not answering yet; retrying");
                tokio::time::sleep(DATABASE_RETRY_INTERVAL).await;
            }
            Err(error) => return Err(with_cure(&error)).context("the database cannot be migrated"),
        }
    }
}

/// Connects to the database, and to the server behind its pooler.
///
/// # Errors
/// If it refuses, so that waiting would not help. One that does not answer yet, or only refuses writes, is no error: the service
/// starts without it.
pub async fn check_database(config: &Config) -> anyhow::Result<()> {
    let url = config.db.url.clone();
    match tokio::task::spawn_blocking(move || db::try_to_connect(&url)).await? {
        Err(error) if error.may_pass() || error.only_refuses_writes() => Ok(()),
        Err(error) => Err(with_cure(&error)).context("the database cannot be used"),
        Ok(()) => Ok(()),
    }
}

/// Sends a mail to this address, to see whether the mail server takes it.
///
/// # Errors
/// If there is no mail server, the address is none, or the mail was not taken.
pub async fn check_mail(config: &Config, address: &str) -> anyhow::Result<()> {
    let settings = config.mail.clone().context("no mail server is set: give smtp_host, smtp_sender and public_url")?;
    let (post, now) = (smtp::post(settings).map_err(anyhow::Error::msg)?, Clock::system().now());
    let to = parse_address(address).map_err(|why| anyhow::anyhow!("the address {why}"))?;
    let posted = post.mailer.send(letter::test((MailId::new(now), &to, now))).await;
    posted.why().map_or(Ok(()), |why| Err(anyhow::Error::msg(why.to_owned())))
}

/// The error in one line, followed by what the operator can do.
fn with_cure(error: &db::Error) -> anyhow::Error {
    let cause = error.to_string().split('\n').map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ");
    let cure = error.cure().map(|cure| format!(" ({cure})")).unwrap_or_default();
    anyhow::anyhow!("{cause}{cure}")
}

/// Starts all parts of the service. Must be called inside an actix system.
///
/// # Errors
/// If the address is in use, the credential key cannot be loaded or opens none of the stored credentials, or TLS cannot be set up.
pub async fn start(config: &Config) -> anyhow::Result<Service> {
    let listener = TcpListener::bind(config.listen).with_context(|| format!("cannot listen on {}", config.listen))?;
    let address = listener.local_addr()?;
    let only = only_process(config).await?;
    let sealer = Arc::new(config.sealer()?);
    warn_of_open_files(config);
    let traces = config.traces.clone().map(|traces| Exporter::start(traces, &config.http.node)).transpose().map_err(anyhow::Error::msg)?;
    let clock = Clock::system();
    let db = Db::open(&config.db);
    check_credential_key(&db, &sealer).await?;
    actix_web::rt::spawn(credentials::keep_marked(db.clone(), Arc::clone(&sealer), clock.clone()));
    let transport = HttpTransport::new(config.http.allow_private_targets).map_err(anyhow::Error::msg)?;
    let client = Client::new(Arc::new(transport), Arc::new(Limits::default()), config.request_timeout, clock.clone());
    let post = config.mail.clone().map(smtp::post).transpose().map_err(anyhow::Error::msg)?;
    let deps = Deps::new(db.clone(), client, clock.clone(), sealer, config.actors.clone()).with_post(post);
    let handle = Handle::start(Arc::new(deps), config.arbiters);
    let stop = CancellationToken::new();
    let service = handle.service(config.http.limits, config.http.allow_private_targets);
    let state = Data::new(AppState {
        db,
        handle: handle.clone(),
        service,
        started_at: clock.now(),
        clock,
        settings: config.http.clone(),
        bodies: Bodies::new(config.http.max_bodies_in_flight_bytes),
        quota: Quota::new(config.http.requests_per_second, config.http.rows_per_second),
        failed_keys: http::auth::FailedKeys::new(config.http.failed_keys_per_minute),
        platform_calls: http::PlatformCalls::default(),
        console: Console::new(config.console_https, stop.clone()),
    });
    tokio::spawn(http::console::keep_figures(state.clone()));
    let intake = match config.nats.clone() {
        Some(settings) => Some(nats::start(settings, state.clone().into_inner(), stop.clone()).await.context("NATS cannot be used")?),
        None => None,
    };
    let server = HttpServer::new(move || {
        App::new()
            .app_data(state.clone())
            .wrap(from_fn(http::refuse_late))
            .wrap_fn(http::harden)
            .wrap(Compress::default())
            .configure(http::configure)
    })
    .workers(config.http_workers)
    .max_connections(MAX_CONNECTIONS_PER_WORKER)
    .client_request_timeout(HEADER_TIMEOUT)
    // Otherwise the last piece of a compressed answer waits up to 40 ms for the client to acknowledge the previous ones.
    .tcp_nodelay(true)
    .shutdown_timeout(config.actors.stop_within.as_secs())
    .disable_signals()
    .listen(listener)?
    .run();
    if config.http.operator_key.is_none() {
        tracing::warn!("no operator_key is set, so /admin is disabled");
    }
    tracing::info!(%address, backend = config.db.url.backend(), node = config.http.node, tz_database = chrono_tz::IANA_TZDB_VERSION, "stocktide is listening");
    Ok(Service { address, handle, server, intake, traces: traces.flatten(), stop, stop_within: config.actors.stop_within, _only: only })
}

/// Refuses to be the second service on an SQLite database: both would send what is due.
async fn only_process(config: &Config) -> anyhow::Result<OnlyProcess> {
    let deadline = tokio::time::Instant::now() + MAX_OTHER_WAIT;
    loop {
        if let Some(only) = OnlyProcess::of(&config.db.url) {
            return Ok(only);
        }
        if tokio::time::Instant::now() >= deadline {
            let file = config.db.url.file().map(|file| file.display().to_string()).unwrap_or_default();
            anyhow::bail!("another service is running on {file}; only PostgreSQL can be used by several at once");
        }
        tokio::time::sleep(OTHER_RETRY_INTERVAL).await;
    }
}

/// Logs which files with secrets others than their owner may open.
fn warn_of_open_files(config: &Config) {
    for (file, mode) in config.files_open_to_others() {
        tracing::warn!(path = %file.display(), mode, "this file holds secrets, and others than its owner may open it; run chmod 600 on it");
    }
}

/// Refuses a key that opens none of the stored credentials: nothing could be sent to any store that has some. A database that
/// does not answer is not waited for, because the service starts without it, too.
async fn check_credential_key(db: &Db, sealer: &Arc<Sealer>) -> anyhow::Result<()> {
    match tokio::time::timeout(MAX_CREDENTIALS_WAIT, credentials::look(db, sealer)).await {
        Ok(Ok(Openable { opened: 0, unopened })) if unopened > 0 => anyhow::bail!(
            "the credential key opens none of the stored credentials ({unopened} of {unopened}); start with the key under which they were encrypted, \
             as credential_key or, beside a new one, as credential_key_previous"
        ),
        _ => Ok(()),
    }
}

impl Service {
    /// Cancelling this token stops the service gracefully.
    pub fn stop_token(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Serves until stopped, then answers the requests and messages in progress and waits for sends in flight.
    ///
    /// # Errors
    /// If the server fails, or a node or the intake panics.
    pub async fn run(mut self) -> anyhow::Result<()> {
        let server = self.server.handle();
        let serving = tokio::spawn(self.server);
        let panicked = tokio::select! {
            biased;
            () = self.stop.cancelled() => None,
            () = self.handle.node_ended() => Some("a node"),
            () = ended(&mut self.intake) => Some("the intake from NATS"),
        };
        if let Some(who) = panicked {
            tracing::error!("{who} panicked; stopping the service so that it can be restarted");
            self.stop.cancel();
        }
        tracing::info!("stopping; answering requests in progress");
        // Other nodes go on with the sellers of this one while it answers its last requests.
        let answered = tokio::time::timeout(self.stop_within, server.stop(true));
        let intake = self.intake.take();
        let taken_in = tokio::time::timeout(self.stop_within, OptionFuture::from(intake));
        let (answered, taken_in, ()) = tokio::join!(answered, taken_in, self.handle.hand_over());
        if answered.is_err() || taken_in.is_err() {
            tracing::warn!("some requests or messages were not answered in time");
        }
        self.handle.shut_down().await;
        if let Some(traces) = self.traces.take() {
            traces.finish().await;
        }
        serving.await??;
        if let Some(who) = panicked {
            anyhow::bail!("{who} panicked");
        }
        tracing::info!("stopped");
        Ok(())
    }
}

/// Returns once the intake has ended; never if there is none.
async fn ended(intake: &mut Option<JoinHandle<()>>) {
    match intake {
        Some(task) => task.await.unwrap_or_default(),
        None => std::future::pending().await,
    }
    *intake = None;
}

/// Has SIGHUP ignored from now on: some init scripts send it to have settings read again, and it must not end the service.
pub fn ignore_hangups() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let Ok(mut hangups) = signal(SignalKind::hangup()) else { return };
        tokio::spawn(async move {
            if hangups.recv().await.is_some() {
                tracing::info!("SIGHUP is ignored: settings are read at the start only, so restart the service to change them");
            }
            // Still received, so that later ones are ignored, too.
            while hangups.recv().await.is_some() {}
        });
    }
}

/// Completes on SIGTERM or SIGINT.
pub async fn shutdown_signal() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let Ok(mut terminate) = signal(SignalKind::terminate()) else { return };
        tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await.ok();
}
