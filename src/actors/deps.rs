//! What all actors of a process share.
use super::standing::Poke;
use crate::clock::Clock;
use crate::db::sealing::Sealer;
use crate::db::{Db, fleet::Retention};
use crate::domain::Timestamp;
use crate::domain::retry::RetryPolicy;
use crate::mail::Post;
use crate::metrics;
use crate::platforms::client::Client;
use crate::service::connection::Renewals;
use crate::service::quotas::AppCalls;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

/// The most messages in a node's mailbox. Hints beyond that are dropped; the node's next look at the rows makes up for them.
pub const NODE_MAILBOX: usize = 8192;
/// The most messages in a supervisor's or a store's mailbox.
pub const CHILD_MAILBOX: usize = 256;

/// How several nodes share the sellers of one PostgreSQL database.
#[derive(Debug, Clone)]
pub struct Sharing {
    /// A node that has not renewed its leases for so long is gone, as far as the others are concerned.
    pub lease: Duration,
    /// The name of this node, for people.
    pub name: String,
}

/// How actors behave.
#[derive(Debug, Clone)]
pub struct Settings {
    /// When failed sends are retried, and when to give up.
    pub retry: RetryPolicy,
    /// The most calls to one store at a time.
    pub calls_under_way: usize,
    /// How long a seller has to be idle before its actors end.
    pub idle_stop: Duration,
    /// How often nodes look for work that no hint announced, and supervisors check their stores.
    pub poll_every: Duration,
    /// How often the first node of a process deletes rows that are past their retention.
    pub prune_every: Duration,
    /// How long rows are kept.
    pub retention: Retention,
    /// How long a graceful shutdown waits for calls in flight.
    pub stop_within: Duration,
    /// How this process shares the sellers with others; `None` if it is the only one on its database.
    pub sharing: Option<Sharing>,
    /// Draws from 0 to 1 for the jitter of backoff: random, except in simulations, which must be repeatable.
    pub draw: fn() -> f64,
}

impl Default for Settings {
    fn default() -> Self {
        const DAY: Duration = Duration::from_secs(24 * 3600);
        Self {
            retry: RetryPolicy::default(),
            calls_under_way: 4,
            idle_stop: Duration::from_secs(300),
            poll_every: Duration::from_secs(10),
            prune_every: Duration::from_secs(60),
            retention: Retention { events: 90 * DAY, pushes: 30 * DAY },
            stop_within: Duration::from_secs(30),
            sharing: None,
            draw: rand::random,
        }
    }
}

/// What all actors of a process share.
pub struct Deps {
    /// The database.
    pub db: Db,
    /// Calls the platforms.
    pub client: Client,
    /// Sends mails; `None` if the operator has not set that up.
    pub post: Option<Post>,
    /// The source of "now".
    pub clock: Clock,
    /// Opens stores' credentials.
    pub sealer: Arc<Sealer>,
    /// Renews stores' tokens.
    pub renewals: Arc<Renewals>,
    /// How actors behave.
    pub settings: Settings,
    /// Counts what is running.
    pub running: Running,
    /// Held while tokens are renewed ahead of their end.
    pub upkeep: tokio::sync::Mutex<()>,
}

impl Deps {
    /// Starts with nothing running.
    pub fn new(db: Db, client: Client, clock: Clock, sealer: Arc<Sealer>, settings: Settings) -> Self {
        client.keep_quotas_in(Arc::new(AppCalls::new(
            db.clone(),
            clock.clone(),
            settings.sharing.as_ref().map(|sharing| sharing.name.as_str()),
        )));
        let renewals = Arc::new(Renewals::new(client.clone(), Arc::clone(&sealer), clock.clone()));
        let (running, upkeep) = (Running::default(), tokio::sync::Mutex::default());
        Self { db, client, post: None, clock, sealer, renewals, settings, running, upkeep }
    }

    /// The same with mails.
    #[must_use]
    pub fn with_post(self, post: Option<Post>) -> Self {
        Self { post, ..self }
    }

    /// A transaction was refused, because another node works for the seller now. The keeper finds out and ends the actors.
    pub(super) fn fenced(&self) {
        metrics::note(|metrics| metrics.fenced.inc());
        self.running.poke.poke();
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

/// Counts of running actors and of confirmed pushes.
#[derive(Debug, Default)]
pub struct Running {
    pub(super) sellers: AtomicUsize,
    pub(super) stores: AtomicUsize,
    pub(super) confirmed: AtomicUsize,
    /// Has this process look who works for which sellers.
    pub(super) poke: Arc<Poke>,
}
