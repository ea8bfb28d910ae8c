//! A connection to either backend, and the pool's manager.
//!
//! The URL's scheme selects the backend. Trying one after the other would not do: with PostgreSQL down, that would open an
//! SQLite *file* named like its host.
use super::changed::{Changed, Changes, merge};
use super::error::{Error, Result};
use crate::domain::SellerId;
use diesel::connection::{AnsiTransactionManager, SimpleConnection, TransactionManager};
use diesel::r2d2::R2D2Connection;
use diesel::{Connection, PgConnection, SqliteConnection};

/// Which database to use.
#[derive(Clone, PartialEq, Eq)]
pub enum DatabaseUrl {
    /// The path of a file.
    Sqlite(String),
    /// The URL of a server; may contain a password, so it is never logged.
    Postgres(String),
}

impl std::fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.backend())
    }
}

impl DatabaseUrl {
    /// Parses `sqlite:///absolute/path.db`, `sqlite://relative.db` or `postgres://…`.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    pub fn parse(text: &str) -> std::result::Result<Self, String> {
        if let Some(path) = text.strip_prefix("sqlite://") {
            if path.is_empty() || path.contains(['?', '\0']) {
                return Err("names no file: use sqlite:///absolute/path.db or sqlite://relative.db".to_owned());
            }
            Ok(Self::Sqlite(path.to_owned()))
        } else if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            Ok(Self::Postgres(text.to_owned()))
        } else {
            Err("must start with sqlite:// or postgres://".to_owned())
        }
    }

    /// `sqlite` or `postgres`.
    pub fn backend(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "sqlite",
            Self::Postgres(_) => "postgres",
        }
    }
}

/// A connection to one of the two backends.
#[expect(missing_debug_implementations, reason = "diesel's connections have none")]
pub enum Backend {
    /// SQLite.
    Sqlite(SqliteConnection),
    /// PostgreSQL.
    Postgres(PgConnection),
}

/// A pooled connection.
#[expect(missing_debug_implementations, reason = "diesel's connections have none")]
pub struct Conn {
    pub(crate) backend: Backend,
    broken: bool,
    /// What the transaction under way has changed, in order.
    noted: Vec<(SellerId, Changed)>,
}

/// Compiles a diesel expression for both backends.
macro_rules! on {
    ($conn:expr, $c:ident => $body:expr) => {
        match &mut $conn.backend {
            $crate::db::connection::Backend::Sqlite($c) => $body,
            $crate::db::connection::Backend::Postgres($c) => $body,
        }
    };
}
pub(crate) use on;

impl Conn {
    /// Opens a connection.
    ///
    /// # Errors
    /// [`Error::Unavailable`] with the cause, but without the URL.
    pub fn establish(url: &DatabaseUrl) -> Result<Self> {
        let gone = |e: diesel::ConnectionError| Error::Unavailable(e.to_string());
        let backend = match url {
            DatabaseUrl::Sqlite(path) => {
                let mut c = SqliteConnection::establish(path).map_err(gone)?;
                // The timeout comes first, so that switching to WAL waits for other connections that do the same.
                c.batch_execute(
                    "PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; \
                     PRAGMA temp_store = MEMORY; PRAGMA cache_size = -65536; PRAGMA wal_autocheckpoint = 4000;",
                )?;
                Backend::Sqlite(c)
            }
            DatabaseUrl::Postgres(url) => {
                let mut c = PgConnection::establish(url).map_err(gone)?;
                c.batch_execute(
                    "SET TIME ZONE 'UTC'; SET lock_timeout = '10s'; SET statement_timeout = '60s'; SET client_min_messages = warning;",
                )?;
                Backend::Postgres(c)
            }
        };
        Ok(Self { backend, broken: false, noted: Vec::new() })
    }

    /// Notes a change; reported once it is committed.
    pub(super) fn note(&mut self, seller: SellerId, changed: Changed) {
        self.noted.push((seller, changed));
    }

    /// What was noted since this was called last.
    pub(super) fn take_changes(&mut self) -> Changes {
        let mut changes = Changes::new();
        self.noted.drain(..).for_each(|(seller, changed)| merge(&mut changes, seller, changed));
        changes
    }

    /// Makes the pool discard this connection.
    pub(super) fn mark_broken(&mut self) {
        self.broken = true;
    }

    /// Runs `work` in a write transaction, or in a savepoint if one is under way; rolled back if it fails.
    ///
    /// # Errors
    /// Those of `work` and of the commit.
    pub fn transaction<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.begin()?;
        let noted = self.noted.len();
        let result = work(self);
        if result.is_err() {
            self.noted.truncate(noted);
        }
        self.end(result.is_ok())?;
        result
    }

    fn end(&mut self, commit: bool) -> Result<()> {
        if commit {
            on!(self, c => AnsiTransactionManager::commit_transaction(c))?;
        } else if on!(self, c => AnsiTransactionManager::rollback_transaction(c)).is_err() {
            self.mark_broken();
        }
        Ok(())
    }

    /// On SQLite it takes the write lock at once: a transaction that reads first and writes later is refused if another
    /// one wrote in between, regardless of the timeout.
    fn begin(&mut self) -> Result<()> {
        match &mut self.backend {
            Backend::Postgres(c) => AnsiTransactionManager::begin_transaction(c)?,
            Backend::Sqlite(c) => {
                let depth = AnsiTransactionManager::transaction_manager_status_mut(c).transaction_depth()?;
                if depth.is_none() {
                    AnsiTransactionManager::begin_transaction_sql(c, "BEGIN IMMEDIATE")?;
                } else {
                    AnsiTransactionManager::begin_transaction(c)?;
                }
            }
        }
        Ok(())
    }
}

/// A `LIKE` pattern for text that contains `text`, to be used with `escape('\\\\')`.
pub(super) fn containing(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len() + 2);
    pattern.push('%');
    for c in text.chars() {
        if matches!(c, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern.push('%');
    pattern
}

diesel::define_sql_function! {
    /// Lower case as the backend defines it; to be applied to both sides of a comparison.
    fn lower(text: diesel::sql_types::Text) -> diesel::sql_types::Text;
}

/// Opens and checks connections for the pool.
#[derive(Debug)]
pub struct Manager(pub(super) DatabaseUrl);

impl r2d2::ManageConnection for Manager {
    type Connection = Conn;
    type Error = Error;

    fn connect(&self) -> Result<Conn> {
        Conn::establish(&self.0)
    }

    fn is_valid(&self, conn: &mut Conn) -> Result<()> {
        on!(conn, c => c.ping())?;
        Ok(())
    }

    fn has_broken(&self, conn: &mut Conn) -> bool {
        conn.broken || on!(conn, c => c.is_broken())
    }
}
