//! What every handler is given: the service behind the interface, its settings and its counters.
use super::console::Console;
use super::error::ApiError;
use super::failed_keys::FailedKeys;
use super::quota::Quota;
use crate::actors::Handle;
use crate::clock::Clock;
use crate::db::Db;
use crate::db::ledger::Limits;
use crate::domain::Timestamp;
use crate::service::Service;
use actix_web::{HttpResponse, web};
use secrecy::SecretString;
use std::sync::Arc;

/// How requests are taken.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Opens `/admin`; without one it stays shut.
    pub operator_key: Option<SecretString>,
    /// Bytes of a body at most.
    pub max_body_bytes: usize,
    /// Requests per second of one seller; twice as many at once.
    pub requests_per_second: u32,
    /// Requests of one address with keys that open nothing, per minute.
    pub failed_keys_per_minute: u32,
    /// Whether stores may point at loopback and private addresses.
    pub allow_private_targets: bool,
    /// Bounds of the ledger.
    pub limits: Limits,
    /// The name of this node.
    pub node: String,
}

/// What handlers need.
pub struct AppState {
    /// Rows.
    pub db: Db,
    /// What use cases need.
    pub service: Service,
    /// The actors.
    pub handle: Handle,
    /// Now.
    pub clock: Clock,
    /// How requests are taken.
    pub settings: Settings,
    /// The sellers' buckets.
    pub quota: Quota,
    /// Who tries keys that open nothing.
    pub failed_keys: FailedKeys,
    /// Renders `/metrics`.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
    /// What the console keeps.
    pub console: Console,
    /// When the process started.
    pub started_at: Timestamp,
}

impl AppState {
    /// The current instant.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

pub(super) type State = web::Data<AppState>;
pub(super) type Answer = Result<HttpResponse, ApiError>;
