//! What deliveries use besides the database.
use crate::clock::Clock;
use crate::platforms::client::Client;
use crate::service::connection::Renewals;
use std::sync::Arc;
use std::time::Duration;

/// What all deliveries of a process share.
#[derive(Clone)]
pub struct Outbound {
    /// Outbound calls.
    pub client: Client,
    /// Renews stores' tokens.
    pub renewals: Arc<Renewals>,
    /// The source of "now".
    pub clock: Clock,
    /// Where another node may take over: the longest time from the claim of a call to its first byte.
    pub send_within: Duration,
}
