//! The composition root: the only file that builds everything and knows in which order it starts and stops.
use crate::actors::{Deps, Handle};
use crate::clock::Clock;
use crate::config::Config;
use crate::db::{self, Db};
use crate::http::{self, AppState, console::Console, quota::Quota};
use crate::platforms::client::Client;
use crate::platforms::limits::Limits;
use crate::platforms::transport::HttpTransport;
use crate::telemetry;
use actix_web::middleware::Compress;
use actix_web::web::Data;
use actix_web::{App, HttpServer};
use anyhow::Context;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// A slow sender of headers is cut off after this long.
const HEADERS_WITHIN: Duration = Duration::from_secs(10);
/// Connections per HTTP worker at most.
const CONNECTIONS: usize = 10_000;
/// How long a start waits for the database, and how often it tries.
const DATABASE_WITHIN: Duration = Duration::from_secs(60);
const DATABASE_EVERY: Duration = Duration::from_secs(2);

/// A running service.
pub struct Service {
    /// Where it listens.
    pub address: SocketAddr,
    /// The actors.
    pub handle: Handle,
    server: actix_web::dev::Server,
    stop: CancellationToken,
    stop_within: Duration,
}

/// Brings the tables up to date; waits a while for a database server that is not there yet.
///
/// # Errors
/// The database cannot be reached or migrated.
pub async fn migrate(config: &Config) -> anyhow::Result<Vec<String>> {
    let deadline = tokio::time::Instant::now() + DATABASE_WITHIN;
    loop {
        let url = config.db.url.clone();
        let server = matches!(url, db::DatabaseUrl::Postgres(_));
        match tokio::task::spawn_blocking(move || db::migrate(&url)).await? {
            Ok(ran) => return Ok(ran),
            Err(error) if server && tokio::time::Instant::now() < deadline => {
                tracing::warn!(%error, "the database does not answer yet; trying again");
                tokio::time::sleep(DATABASE_EVERY).await;
            }
            Err(error) => return Err(error).context("the database cannot be brought up to date"),
        }
    }
}

/// Starts everything. Call it inside an actix system.
///
/// # Errors
/// The address is taken, the credential key cannot be had, TLS cannot be set up.
pub async fn start(config: &Config) -> anyhow::Result<Service> {
    let listener = TcpListener::bind(config.listen).with_context(|| format!("cannot listen at {}", config.listen))?;
    let address = listener.local_addr()?;
    let sealer = Arc::new(config.sealer()?);
    let clock = Clock::system();
    let db = Db::open(&config.db);
    let metrics = telemetry::start_metrics().map_err(anyhow::Error::msg)?;
    let transport = HttpTransport::new(config.http.allow_private_targets).map_err(anyhow::Error::msg)?;
    let client = Client::new(Arc::new(transport), Arc::new(Limits::default()), config.request_timeout, clock.clone());
    let deps = Deps::new(db.clone(), client, clock.clone(), sealer, config.actors.clone());
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
        quota: Quota::new(config.http.requests_per_second),
        failed_keys: http::auth::FailedKeys::new(config.http.failed_keys_per_minute),
        metrics,
        console: Console::new(config.console_https, stop.clone()),
    });
    tokio::spawn(http::console::keep_figures(state.clone()));
    let server = HttpServer::new(move || {
        App::new().app_data(state.clone()).wrap_fn(http::harden).wrap(Compress::default()).configure(http::configure)
    })
    .workers(config.http_workers)
    .max_connections(CONNECTIONS)
    .client_request_timeout(HEADERS_WITHIN)
    // The last piece of a compressed answer would wait for the client to acknowledge the others, for 40 ms.
    .tcp_nodelay(true)
    .shutdown_timeout(config.actors.stop_within.as_secs())
    .disable_signals()
    .listen(listener)?
    .run();
    if config.http.operator_key.is_none() {
        tracing::warn!("no operator_key is set: /admin stays shut");
    }
    tracing::info!(%address, backend = config.db.url.backend(), node = config.http.node, tz_database = chrono_tz::IANA_TZDB_VERSION, "stocktide listens");
    Ok(Service { address, handle, server, stop, stop_within: config.actors.stop_within })
}

impl Service {
    /// Cancelling this stops the service gracefully.
    pub fn stop_token(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Serves until it is told to stop: requests under way are answered first, then sends on their way come back.
    ///
    /// # Errors
    /// The server failed.
    pub async fn run(self) -> anyhow::Result<()> {
        let server = self.server.handle();
        let serving = tokio::spawn(self.server);
        let crippled = tokio::select! {
            () = self.stop.cancelled() => false,
            () = self.handle.node_ended() => true,
        };
        if crippled {
            tracing::error!("a node has ended by a panic; the service stops, so that it is started anew");
            self.stop.cancel();
        }
        tracing::info!("stopping: answering what is under way");
        if tokio::time::timeout(self.stop_within, server.stop(true)).await.is_err() {
            tracing::warn!("not every request was answered in time");
        }
        self.handle.shut_down().await;
        serving.await??;
        anyhow::ensure!(!crippled, "a node has ended by a panic");
        tracing::info!("stopped");
        Ok(())
    }
}

/// Completes at SIGTERM or SIGINT.
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
