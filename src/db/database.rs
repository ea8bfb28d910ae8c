//! The pool of connections that read, and the lanes that write.
//!
//! Every read waits its turn for a connection before it occupies a thread. What reads a seller's rows has a limited number
//! of connections for each seller and leaves some for everything else, so that whether a key is valid and whether the
//! service is ready can always be read.
use super::changed::Hook;
use super::connection::Conn;
use super::delivery::Offers;
use super::error::{Error, Result};
use super::fault_injection::{Blocking, FaultInjection};
use super::held::Held;
use super::known_keys::KnownKeys;
use super::ledger::{Limits, RecordRequest, Recorded};
use super::places::{Place, Places};
use super::pool::{Connector, Pool};
use super::url::DatabaseUrl;
use super::writer::Writer;
use crate::domain::SellerId;
use std::any::Any;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The longest that anything waits for a connection.
const WAIT: Duration = Duration::from_secs(5);
/// The longest that a seller's read waits for the seller's other reads.
const WAIT_FOR_OWN: Duration = Duration::from_secs(2);
/// Connections that sellers' reads leave free.
const RESERVED: usize = 2;
/// Whose turn it is in a lane when rows of no seller or of several are written.
const NOBODY: SellerId = SellerId(uuid::Uuid::nil());

/// How the database is used.
#[derive(Clone)]
pub struct Settings {
    /// Which database.
    pub url: DatabaseUrl,
    /// The most connections that read; each lane has one more of its own.
    pub connections: u32,
    /// The most reads of one seller at once.
    pub reads_per_seller: usize,
    /// Write transactions under way at once on PostgreSQL; SQLite has one writer.
    pub lanes: usize,
    /// Bounds of the ledger.
    pub limits: Limits,
    /// On PostgreSQL: a transaction that waits for its own process for so long is ended by the server, so that a frozen process keeps
    /// nothing locked.
    pub idle_in_transaction: Option<Duration>,
    /// For simulations: work runs on the caller's thread, and may be delayed or made to fail.
    pub fault_injection: Option<Arc<dyn FaultInjection>>,
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings").field("url", &self.url).field("connections", &self.connections).finish_non_exhaustive()
    }
}

impl Settings {
    /// The defaults for `url`.
    pub fn new(url: DatabaseUrl) -> Self {
        Self {
            url,
            connections: 10,
            reads_per_seller: 4,
            lanes: 4,
            limits: Limits::default(),
            idle_in_transaction: None,
            fault_injection: None,
        }
    }
}

/// Work whose value has a type that only its caller knows.
type AnyWork = Box<dyn FnMut(&mut Conn) -> Result<Box<dyn Any + Send>> + Send>;

/// Who may read now.
struct Readers {
    all: Arc<Semaphore>,
    sellers: Arc<Semaphore>,
    by_seller: Places,
}

impl Readers {
    /// Waits until this may read. What is returned is held until the work is done, even if its caller has gone.
    async fn turn(&self, seller: Option<SellerId>) -> Result<(Option<(Place, OwnedSemaphorePermit)>, OwnedSemaphorePermit)> {
        let of_seller = match seller {
            None => None,
            Some(seller) => {
                let place = self.by_seller.take(seller, WAIT_FOR_OWN).await.ok_or(Error::TooMuchAtOnce)?;
                Some((place, permit(&self.sellers).await?))
            }
        };
        Ok((of_seller, permit(&self.all).await?))
    }
}

async fn permit(of: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit> {
    let permit = tokio::time::timeout(WAIT, Arc::clone(of).acquire_owned()).await.map_err(|_| Error::Busy)?;
    permit.map_err(|_| Error::Busy)
}

/// The database. Clones share one pool.
#[derive(Clone)]
pub struct Db {
    pool: Pool,
    readers: Arc<Readers>,
    pub(super) writer: Writer,
    hook: Arc<OnceLock<Hook>>,
    offers: Arc<Offers>,
    held: Arc<Held>,
    pub(super) blocking: Blocking,
    url: DatabaseUrl,
    pub(super) connector: Connector,
    pub(super) known_keys: Arc<KnownKeys>,
}

impl std::fmt::Debug for Db {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Db").field("backend", &self.url.backend()).finish_non_exhaustive()
    }
}

impl Db {
    /// Opens the pool and starts the write lanes on the current runtime. Does not wait for the database to be available.
    pub fn open(settings: &Settings) -> Self {
        let connector = Connector::new(&settings.url).ending_idle_transactions(settings.idle_in_transaction);
        let pool = Pool::new(&connector, settings.connections);
        let hook = Arc::new(OnceLock::new());
        let lanes = if matches!(settings.url, DatabaseUrl::Sqlite(_)) { 1 } else { settings.lanes };
        let blocking = Blocking::new(settings.fault_injection.clone());
        let (offers, held) = (Arc::default(), Arc::default());
        let writer = Writer::start(&connector, lanes, settings.limits, &hook, (&offers, &held, &blocking));
        let connections = usize::try_from(settings.connections).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        let readers = Readers {
            all: Arc::new(Semaphore::new(connections)),
            sellers: Arc::new(Semaphore::new(connections.saturating_sub(RESERVED).max(1))),
            by_seller: Places::new(settings.reads_per_seller),
        };
        let (readers, url) = (Arc::new(readers), settings.url.clone());
        Self { pool, readers, writer, hook, offers, held, blocking, url, connector, known_keys: Arc::default() }
    }

    /// Sets what is called after each commit that changed something for a seller. Only the first call counts.
    pub fn on_change(&self, hook: Hook) {
        self.hook.set(hook).ok();
    }

    /// The calls that stores offer to the stock events that are recorded.
    pub fn offers(&self) -> &Offers {
        &self.offers
    }

    /// The leases that this process holds.
    pub fn held(&self) -> &Arc<Held> {
        &self.held
    }

    /// `sqlite` or `postgres`.
    pub fn backend(&self) -> &'static str {
        self.url.backend()
    }

    /// Reads on the blocking pool. A dead connection is replaced and the work repeated, once.
    ///
    /// # Errors
    /// Those of `work`; [`Error::Unavailable`] without a connection, [`Error::Busy`] if all of them are in use for too long.
    pub async fn read<T: Send + 'static>(&self, work: impl FnMut(&mut Conn) -> Result<T> + Send + 'static) -> Result<T> {
        self.read_as(None, work).await
    }

    /// Reads rows of one seller.
    ///
    /// # Errors
    /// Those of [`Self::read`]; [`Error::TooMuchAtOnce`] if the seller's other reads take too long.
    pub async fn read_of<T: Send + 'static>(
        &self,
        seller: SellerId,
        work: impl FnMut(&mut Conn) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.read_as(Some(seller), work).await
    }

    async fn read_as<T: Send + 'static>(
        &self,
        seller: Option<SellerId>,
        mut work: impl FnMut(&mut Conn) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let value = self.read_any(seller, Box::new(move |conn| Ok(Box::new(work(conn)?)))).await?;
        value.downcast().map(|value| *value).map_err(|_| Error::Unavailable("a read returned a value of another type".to_owned()))
    }

    /// [`Self::read`] for values of any type: the way to the pool is compiled once instead of for each query.
    async fn read_any(&self, seller: Option<SellerId>, mut work: AnyWork) -> Result<Box<dyn Any + Send>> {
        let turn = if self.blocking.is_simulated() { None } else { Some(self.readers.turn(seller).await?) };
        let pool = self.pool.clone();
        let work = move || {
            let mut once = || {
                let mut conn = pool.get()?;
                let result = work(&mut conn);
                if matches!(result, Err(Error::Unavailable(_))) {
                    conn.mark_broken();
                }
                result
            };
            let done = match once() {
                Err(Error::Unavailable(_)) => once(),
                other => other,
            };
            drop(turn);
            done
        };
        self.blocking.run(work).await.unwrap_or_else(Err)
    }

    /// Writes rows of no seller, of a new one, or of several. On SQLite, which has one writer, this takes turns with the
    /// sellers in its lane; on PostgreSQL it has a transaction of its own, since a lane's holds the locks of its sellers.
    ///
    /// # Errors
    /// Those of `work` and of the commit.
    pub async fn write<T: Send + 'static>(&self, work: impl FnMut(&mut Conn) -> Result<T> + Send + 'static) -> Result<T> {
        let written = self.write_of_nobody(work).await;
        // Keys and sellers are written nowhere else.
        self.known_keys.forget();
        written
    }

    async fn write_of_nobody<T: Send + 'static>(&self, mut work: impl FnMut(&mut Conn) -> Result<T> + Send + 'static) -> Result<T> {
        if matches!(self.url, DatabaseUrl::Sqlite(_)) {
            return self.writer.write(NOBODY, work).await;
        }
        let written = self.read(move |conn| {
            conn.take_changes();
            let value = conn.transaction(&mut work)?;
            Ok((value, conn.take_changes()))
        });
        let (value, changes) = written.await?;
        if let Some(hook) = self.hook.get() {
            changes.into_iter().for_each(|(seller, changed)| hook(seller, changed));
        }
        Ok(value)
    }

    /// Records stock events. Returns after the commit, which several requests may share.
    ///
    /// # Errors
    /// [`Error::Busy`] when the queue is full, [`Error::Unavailable`] when nothing could be committed.
    pub async fn record(&self, request: RecordRequest) -> Result<Recorded> {
        self.writer.record(request).await
    }
}
