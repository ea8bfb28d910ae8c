//! The pool of connections and the write lanes behind it.
use super::changed::Hook;
use super::connection::{Conn, DatabaseUrl};
use super::error::{Error, Result};
use super::fault_injection::{Blocking, FaultInjection};
use super::ledger::{Limits, RecordRequest, Recorded};
use super::pool::{Connector, Pool};
use super::writer::Writer;
use std::any::Any;
use std::sync::{Arc, OnceLock};

/// How the database is used.
#[derive(Clone)]
pub struct Settings {
    /// Which database.
    pub url: DatabaseUrl,
    /// The most connections in the pool.
    pub connections: u32,
    /// Write transactions under way at once on PostgreSQL; SQLite has one writer.
    pub lanes: usize,
    /// Bounds of the ledger.
    pub limits: Limits,
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
        Self { url, connections: 10, lanes: 4, limits: Limits::default(), fault_injection: None }
    }
}

/// Work whose value has a type that only its caller knows.
type AnyWork = Box<dyn FnMut(&mut Conn) -> Result<Box<dyn Any + Send>> + Send>;

/// The database. Clones share one pool.
#[derive(Clone)]
pub struct Db {
    pool: Pool,
    pub(super) writer: Writer,
    hook: Arc<OnceLock<Hook>>,
    blocking: Blocking,
    url: DatabaseUrl,
    pub(super) connector: Connector,
}

impl std::fmt::Debug for Db {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Db").field("backend", &self.url.backend()).finish_non_exhaustive()
    }
}

impl Db {
    /// Opens the pool and starts the write lanes on the current runtime. Does not wait for the database to be available.
    pub fn open(settings: &Settings) -> Self {
        let connector = Connector::new(&settings.url);
        let pool = Pool::new(&connector, settings.connections);
        let hook = Arc::new(OnceLock::new());
        let lanes = if matches!(settings.url, DatabaseUrl::Sqlite(_)) { 1 } else { settings.lanes };
        let blocking = Blocking::new(settings.fault_injection.clone());
        let writer = Writer::start(&pool, lanes, settings.limits, &hook, &blocking);
        Self { pool, writer, hook, blocking, url: settings.url.clone(), connector }
    }

    /// Sets what is called after each commit that changed something for a seller. Only the first call counts.
    pub fn on_change(&self, hook: Hook) {
        self.hook.set(hook).ok();
    }

    /// `sqlite` or `postgres`.
    pub fn backend(&self) -> &'static str {
        self.url.backend()
    }

    /// Reads on the blocking pool. A dead connection is replaced and the work repeated, once.
    ///
    /// # Errors
    /// Those of `work`; [`Error::Unavailable`] without a connection.
    pub async fn read<T: Send + 'static>(&self, mut work: impl FnMut(&mut Conn) -> Result<T> + Send + 'static) -> Result<T> {
        let value = self.read_any(Box::new(move |conn| Ok(Box::new(work(conn)?)))).await?;
        value.downcast().map(|value| *value).map_err(|_| Error::Unavailable("a read returned a value of another type".to_owned()))
    }

    /// [`Self::read`] for values of any type: the way to the pool is compiled once instead of for each query.
    async fn read_any(&self, mut work: AnyWork) -> Result<Box<dyn Any + Send>> {
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
            match once() {
                Err(Error::Unavailable(_)) => once(),
                other => other,
            }
        };
        self.blocking.run(work).await.unwrap_or_else(Err)
    }

    /// Writes rows of no seller, of a new one, or of several, in a transaction of its own.
    ///
    /// # Errors
    /// Those of `work` and of the commit.
    pub async fn write<T: Send + 'static>(&self, mut work: impl FnMut(&mut Conn) -> Result<T> + Send + 'static) -> Result<T> {
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
