//! The pool of connections, all of them to the same database.
use super::bounds::Bounds;
use super::connection::{Conn, on};
use super::error::{Error, Result};
use super::files::SameDatabase;
use super::url::DatabaseUrl;
use super::writable::Writable;
use diesel::r2d2::R2D2Connection;
use std::sync::Arc;
use std::time::Duration;

/// How long to wait for a connection.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// Opens connections to one database. Clones open them to the same one.
#[derive(Debug, Clone)]
pub(super) struct Connector {
    url: DatabaseUrl,
    same: Arc<SameDatabase>,
    writable: Arc<Writable>,
    bounds: Bounds,
}

impl Connector {
    /// Of an SQLite database: the file that is at `url` now, otherwise the one that the first connection creates.
    pub(super) fn new(url: &DatabaseUrl) -> Self {
        Self { url: url.clone(), same: Arc::new(SameDatabase::of(url.file())), writable: Arc::default(), bounds: Bounds::default() }
    }

    /// Has the server end transactions that wait for this process for so long.
    pub(super) fn ending_idle_transactions(self, after: Option<Duration>) -> Self {
        Self { bounds: Bounds { idle_in_transaction: after, ..self.bounds }, ..self }
    }

    /// Has the server end statements that take so long.
    pub(super) fn ending_statements(self, after: Duration) -> Self {
        Self { bounds: Bounds { statement: Some(after), ..self.bounds }, ..self }
    }

    /// Leads to the server itself, past a pooler.
    pub(super) fn direct(self) -> Self {
        Self { url: self.url.direct(), ..self }
    }

    /// Opens a connection.
    ///
    /// # Errors
    /// [`Error::Unavailable`], also if the database's file was removed or replaced.
    pub(super) fn connect(&self) -> Result<Conn> {
        Ok(Conn::establish_same(&self.url, &self.same, self.bounds)?.reporting_to(&self.writable))
    }

    /// How writes through its connections fare.
    pub(super) fn writable(&self) -> &Writable {
        &self.writable
    }
}

/// Connections that are opened as they are needed, and kept. Clones share them.
#[derive(Clone)]
pub(super) struct Pool {
    connections: r2d2::Pool<Manager>,
    connector: Connector,
}

impl Pool {
    /// A pool of at most `size` connections. Does not wait for the database to be available.
    pub(super) fn new(connector: &Connector, size: u32) -> Self {
        let connections = r2d2::Pool::builder()
            .max_size(size)
            .min_idle(Some(1))
            .test_on_check_out(false)
            .connection_timeout(CONNECT_WITHIN)
            .build_unchecked(Manager(connector.clone()));
        Self { connections, connector: connector.clone() }
    }

    /// A connection.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if there is none in time; at once if the database's file was removed or replaced.
    pub(super) fn get(&self) -> Result<r2d2::PooledConnection<Manager>> {
        self.connector.same.check()?;
        Ok(self.connections.get()?)
    }
}

/// Opens and checks connections for the pool.
#[derive(Debug)]
pub(super) struct Manager(Connector);

impl r2d2::ManageConnection for Manager {
    type Connection = Conn;
    type Error = Error;

    fn connect(&self) -> Result<Conn> {
        self.0.connect()
    }

    fn is_valid(&self, conn: &mut Conn) -> Result<()> {
        on!(conn, c => c.ping())?;
        Ok(())
    }

    fn has_broken(&self, conn: &mut Conn) -> bool {
        conn.is_broken()
    }
}
