//! Rows: diesel on SQLite or PostgreSQL, blocking, reached only through [`Db`].
//!
//! Everything that belongs to a seller is a method of [`Tenant`], which holds the seller's id: a query without its
//! tenant does not compile. What crosses sellers is in [`fleet`] and [`sellers`] alone. Instants are milliseconds
//! since 1970, ids sixteen bytes. Writes go through a few lanes and share commits. One row is read
//! with `get_result` wherever there can be no other: `first` binds a `LIMIT`, for which SQLite plans the statement anew each
//! time.
pub mod audit;
mod changed;
pub mod connection;
pub mod delivery;
pub mod error;
pub mod fault_injection;
pub mod fleet;
pub mod ledger;
pub mod listings;
mod literal;
mod migrations;
pub mod overview;
pub mod pushes;
pub mod records;
pub mod runs;
pub mod schema;
mod scope;
pub mod sealing;
mod seller_rules;
pub mod sellers;
pub mod sessions;
pub mod settings;
pub mod skus;
pub mod stock;
pub mod stores;
mod timestamp;
pub mod warehouses;
mod writer;

pub use changed::{Changed, Hook};
pub use connection::{Conn, DatabaseUrl};
pub use error::{Error, Result};
pub use migrations::{migrate, migrate_down, migrations};

use crate::domain::SellerId;
use connection::{Backend, Manager, on};
use diesel::prelude::*;
use std::any::Any;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// Rows in one multi-row statement at most: SQLite allows 32,766 binds, our widest row has 26.
pub const ROWS_PER_STATEMENT: usize = 1000;

/// How the database is used.
#[derive(Clone)]
pub struct Settings {
    /// Where it is.
    pub url: DatabaseUrl,
    /// Connections at most.
    pub connections: u32,
    /// Transactions under way at once on PostgreSQL; SQLite has one writer.
    pub lanes: usize,
    /// Bounds of the ledger.
    pub limits: ledger::Limits,
    /// For simulations: work is done in place, and these may delay it or make it fail.
    pub fault_injection: Option<Arc<dyn fault_injection::FaultInjection>>,
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings").field("url", &self.url).field("connections", &self.connections).finish_non_exhaustive()
    }
}

impl Settings {
    /// The defaults for `url`.
    pub fn new(url: DatabaseUrl) -> Self {
        Self { url, connections: 10, lanes: 4, limits: ledger::Limits::default(), fault_injection: None }
    }
}

/// Work whose value has a type that only its caller knows.
type AnyWork = Box<dyn FnMut(&mut Conn) -> Result<Box<dyn Any + Send>> + Send>;

/// The database. Clones share one pool.
#[derive(Clone)]
pub struct Db {
    pool: r2d2::Pool<Manager>,
    writer: writer::Writer,
    hook: Arc<OnceLock<Hook>>,
    blocking: fault_injection::Blocking,
    url: DatabaseUrl,
}

impl std::fmt::Debug for Db {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Db").field("backend", &self.url.backend()).finish_non_exhaustive()
    }
}

/// Writes a copy of an SQLite database, as it is at one instant, to a new file, for its owner's eyes only, while the
/// service goes on.
///
/// # Errors
/// [`Error::Conflict`] when the database is not SQLite, [`Error::Unavailable`] when it is not there, or the file is, or
/// cannot be written.
pub fn back_up(url: &DatabaseUrl, to: &Path) -> Result<()> {
    let DatabaseUrl::Sqlite(from) = url else {
        return Err(Error::Conflict("PostgreSQL is backed up by pg_dump".to_owned()));
    };
    let failed = |path: &Path, error: &dyn std::fmt::Display| Error::Unavailable(format!("{}: {error}", path.display()));
    // Opening would make it.
    std::fs::metadata(from).map_err(|e| failed(Path::new(from), &e))?;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(to).map_err(|e| failed(to, &e))?;
    let written = Conn::establish(url).and_then(|mut conn| {
        let name = to.to_str().ok_or_else(|| failed(to, &"the name is not UTF-8"))?;
        // It takes a file that is empty.
        Ok(on!(conn, c => diesel::sql_query("VACUUM INTO $1").bind::<diesel::sql_types::Text, _>(name).execute(c))?)
    });
    let written = written.and_then(|_| file.sync_all().map_err(|e| failed(to, &e)));
    if written.is_err() {
        // Half a backup is none.
        std::fs::remove_file(to).ok();
    }
    written
}

impl Db {
    /// Opens the pool and starts the write lanes on the current runtime. Does not wait for the database to be there.
    pub fn open(settings: &Settings) -> Self {
        let pool = r2d2::Pool::builder()
            .max_size(settings.connections)
            .min_idle(Some(1))
            .test_on_check_out(false)
            .connection_timeout(Duration::from_secs(5))
            .build_unchecked(Manager(settings.url.clone()));
        let hook = Arc::new(OnceLock::new());
        let lanes = if matches!(settings.url, DatabaseUrl::Sqlite(_)) { 1 } else { settings.lanes };
        let blocking = fault_injection::Blocking::new(settings.fault_injection.clone());
        let writer = writer::Writer::start(&pool, lanes, settings.limits, &hook, &blocking);
        Self { pool, writer, hook, blocking, url: settings.url.clone() }
    }

    /// Sets who is called after a commit that changed something for a seller. Once.
    pub fn on_change(&self, hook: Hook) {
        self.hook.set(hook).ok();
    }

    /// Which backend: `sqlite` or `postgres`.
    pub fn backend(&self) -> &'static str {
        self.url.backend()
    }

    /// Reads on the blocking pool. A connection that turns out to be dead is replaced once.
    ///
    /// # Errors
    /// Those of `work`; [`Error::Unavailable`] without a connection.
    pub async fn read<T: Send + 'static>(&self, mut work: impl FnMut(&mut Conn) -> Result<T> + Send + 'static) -> Result<T> {
        let value = self.read_any(Box::new(move |conn| Ok(Box::new(work(conn)?)))).await?;
        value.downcast().map(|value| *value).map_err(|_| Error::Unavailable("a read answered with another type".to_owned()))
    }

    /// [`Self::read`] for values of any type: how work reaches the pool is compiled once instead of for each query.
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

    /// Writes rows that belong to no seller yet (a new seller), or to several: a transaction of its own.
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

    /// All that belongs to one seller.
    pub fn seller(&self, id: SellerId) -> SellerDb {
        SellerDb { db: self.clone(), seller: id }
    }

    /// Records stock events; answered after their commit, which they share with others'.
    ///
    /// # Errors
    /// [`Error::Busy`] when too many wait, [`Error::Unavailable`] when nothing could be committed.
    pub async fn record(&self, request: ledger::RecordRequest) -> Result<ledger::Recorded> {
        self.writer.record(request).await
    }
}

/// The way to one seller's rows.
#[derive(Debug, Clone)]
pub struct SellerDb {
    db: Db,
    seller: SellerId,
}

/// One seller's rows, on a connection.
#[expect(missing_debug_implementations, reason = "diesel's connections have none")]
pub struct Tenant<'a> {
    pub(crate) conn: &'a mut Conn,
    seller: SellerId,
}

impl SellerDb {
    /// Which seller.
    pub fn id(&self) -> SellerId {
        self.seller
    }

    /// Reads.
    ///
    /// # Errors
    /// Those of `work`; [`Error::Unavailable`] without a connection.
    pub async fn read<T: Send + 'static>(&self, mut work: impl FnMut(&mut Tenant<'_>) -> Result<T> + Send + 'static) -> Result<T> {
        let seller = self.seller;
        self.db.read(move |conn| work(&mut Tenant { conn, seller })).await
    }

    /// Writes, in a transaction that holds the seller's lock, so that one seller's writes come one after another.
    /// May be run twice; only one run is committed.
    ///
    /// # Errors
    /// Those of `work` and of the commit; [`Error::NotFound`] when the seller is gone.
    pub async fn write<T: Send + 'static>(&self, mut work: impl FnMut(&mut Tenant<'_>) -> Result<T> + Send + 'static) -> Result<T> {
        let seller = self.seller;
        self.db
            .writer
            .write(seller, move |conn| {
                let mut tenant = Tenant { conn, seller };
                tenant.lock()?;
                work(&mut tenant)
            })
            .await
    }
}

impl<'a> Tenant<'a> {
    /// For the operator's part, which changes a seller and writes it into that seller's audit log in one transaction.
    pub fn of(conn: &'a mut Conn, seller: SellerId) -> Self {
        Self { conn, seller }
    }
}

impl Tenant<'_> {
    /// The seller's id as it stands in every key.
    pub(crate) fn key(&self) -> Vec<u8> {
        self.seller.bytes()
    }

    /// Which seller.
    pub fn seller(&self) -> SellerId {
        self.seller
    }

    /// Notes a change of this seller's; reported once it is committed.
    fn note(&mut self, changed: Changed) {
        self.conn.note(self.seller, changed);
    }

    fn lock(&mut self) -> Result<()> {
        use schema::sellers::dsl as s;
        let key = self.key();
        let own = s::sellers.select(s::id).filter(s::id.eq(&key));
        let _found: Vec<u8> = match &mut self.conn.backend {
            Backend::Sqlite(c) => own.get_result(c)?,
            Backend::Postgres(c) => own.for_update().get_result(c)?,
        };
        Ok(())
    }
}

/// Reads an id that stands in a row.
pub(crate) fn id_of<T>(bytes: &[u8], parse: impl Fn(&[u8]) -> Option<T>, column: &str) -> Result<T> {
    parse(bytes).ok_or_else(|| Error::Corrupt(format!("{column} is not an id")))
}
