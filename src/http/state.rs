//! The state that all handlers share: the service behind the interface, its settings and its counters.
use super::auth::FailedKeys;
use super::bodies::Bodies;
use super::console::Console;
use super::error::ApiError;
use super::platform_calls::PlatformCalls;
use super::proxies::TrustedProxies;
use super::quota::Quota;
use crate::actors::Handle;
use crate::clock::Clock;
use crate::db::Db;
use crate::db::ledger::Limits;
use crate::domain::Timestamp;
use crate::service::Service;
use crate::service::connect::NO_PUBLIC_URL;
use actix_web::{HttpResponse, web};

use secrecy::SecretString;

/// Settings of the interface.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The key for `/admin`; without one, `/admin` refuses all requests.
    pub operator_key: Option<SecretString>,
    /// The most bytes in a body.
    pub max_body_bytes: usize,
    /// The most bytes in all bodies under way at once.
    pub max_bodies_in_flight_bytes: usize,
    /// Requests per second for each seller, with bursts of twice as many.
    pub requests_per_second: u32,
    /// Stock events and rows of bulk requests per second for each seller.
    pub rows_per_second: u32,
    /// Requests with invalid keys per minute and address.
    pub failed_keys_per_minute: u32,
    /// The proxies that may say which address a request comes from.
    pub trusted_proxies: TrustedProxies,
    /// Whether stores may point at loopback and private addresses.
    pub allow_private_targets: bool,
    /// Limits of the ledger.
    pub limits: Limits,
    /// The name of this node.
    pub node: String,
    /// Where browsers reach this service; without it, no shop can be connected by consent.
    pub public_url: Option<String>,
}

/// The state that all handlers share.
pub struct AppState {
    /// The database.
    pub db: Db,
    /// The resources of the use cases.
    pub service: Service,
    /// The actors.
    pub handle: Handle,
    /// The source of "now".
    pub clock: Clock,
    /// Settings of the interface.
    pub settings: Settings,
    /// What the bodies under way occupy.
    pub bodies: Bodies,
    /// The sellers' request quotas.
    pub quota: Quota,
    /// Addresses that sent invalid keys.
    pub failed_keys: FailedKeys,
    /// Calls from platforms.
    pub platform_calls: PlatformCalls,
    /// The console's own state.
    pub console: Console,
    /// When the process started.
    pub started_at: Timestamp,
}

impl AppState {
    /// Where browsers reach this service.
    ///
    /// # Errors
    /// A conflict that says whom to ask, if the operator has not said where.
    pub(super) fn public_url(&self) -> Result<String, ApiError> {
        self.settings.public_url.clone().ok_or_else(|| ApiError::conflict(NO_PUBLIC_URL))
    }

    /// The current instant.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

pub(super) type State = web::Data<AppState>;
pub(super) type Answer = Result<HttpResponse, ApiError>;
