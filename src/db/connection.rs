//! A connection to either backend.
//!
//! The URL's scheme selects the backend. Trying one after the other would not do: with PostgreSQL down, that would open an
//! SQLite *file* named like its host. Behind a pooler, nothing depends on the state of a session: see `bounds.rs` and
//! [`Pooler`](super::url::Pooler).
use super::bounds::Bounds;
use super::changed::{Changed, Changes, merge};
use super::error::{Error, Result};
use super::files::{OpenFiles, SameDatabase};
use super::url::{DatabaseUrl, Server};
use super::writable::Writable;
use crate::domain::SellerId;
use diesel::connection::{AnsiTransactionManager, CacheSize, SimpleConnection, TransactionManager};
use diesel::r2d2::R2D2Connection;
use diesel::{Connection, PgConnection, SqliteConnection};
use std::path::Path;
use std::sync::Arc;

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
    /// The files of an SQLite database; before the connection, because fields are dropped in this order.
    files: Option<OpenFiles>,
    pub(crate) backend: Backend,
    broken: bool,
    /// What transactions begin with behind a pooler.
    begin: Option<String>,
    /// Where connections of a pool report how their writes fare.
    writable: Option<Arc<Writable>>,
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
        Self::establish_within(url, Bounds::default())
    }

    /// Opens a connection whose statements and transactions have these bounds.
    pub(super) fn establish_within(url: &DatabaseUrl, bounds: Bounds) -> Result<Self> {
        Self::establish_same(url, &Arc::new(SameDatabase::of(url.file())), bounds)
    }

    /// Opens a connection, but to no other SQLite database than `same`, which is at `url`.
    pub(super) fn establish_same(url: &DatabaseUrl, same: &Arc<SameDatabase>, bounds: Bounds) -> Result<Self> {
        let gone = |e: diesel::ConnectionError| Error::Unavailable(e.to_string());
        let (mut files, mut begin) = (None, None);
        let backend = match url {
            DatabaseUrl::Sqlite(path) => {
                let open = || {
                    let mut c = SqliteConnection::establish(path).map_err(gone)?;
                    // Possible only before anything is written, and a write transaction of its own: see `pages.rs`.
                    if std::fs::metadata(path).is_ok_and(|file| file.len() == 0) {
                        c.batch_execute("PRAGMA busy_timeout = 5000; PRAGMA auto_vacuum = INCREMENTAL")?;
                    }
                    // The timeout comes first, so that switching to WAL waits for other connections that do the same. What is
                    // in the log cannot be moved to the database on a disk that the log has filled, so the log is kept short.
                    c.batch_execute(
                        "PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; \
                         PRAGMA temp_store = MEMORY; PRAGMA cache_size = -65536; PRAGMA wal_autocheckpoint = 1000;",
                    )?;
                    Ok(c)
                };
                let (c, opened) = OpenFiles::of(same, open)?;
                files = Some(opened);
                Backend::Sqlite(c)
            }
            DatabaseUrl::Postgres(Server { url, pooler }) => {
                let mut c = PgConnection::establish(url).map_err(gone)?;
                match pooler {
                    None => c.batch_execute(&format!("SET client_min_messages = warning; {}", bounds.of_session()))?,
                    Some(pooler) => {
                        begin = Some(bounds.of_transaction());
                        if !pooler.keeps_statements {
                            c.set_prepared_statement_cache_size(CacheSize::Disabled);
                        }
                    }
                }
                Backend::Postgres(c)
            }
        };
        Ok(Self { backend, broken: false, begin, files, writable: None, noted: Vec::new() })
    }

    /// Opens an SQLite file that nobody writes to, and leaves it as it is.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if it cannot be opened.
    pub(super) fn of_finished_file(path: &Path) -> Result<Self> {
        let name = path.to_str().ok_or_else(|| Error::Unavailable(format!("{}: the name is not UTF-8", path.display())))?;
        let name = name.replace('%', "%25").replace('?', "%3f").replace('#', "%23");
        let opened = SqliteConnection::establish(&format!("file:{name}?mode=ro&immutable=1"));
        let backend = Backend::Sqlite(opened.map_err(|e| Error::Unavailable(format!("{}: {e}", path.display())))?);
        Ok(Self { backend, broken: false, begin: None, files: None, writable: None, noted: Vec::new() })
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

    /// Reports how its writes fare.
    pub(super) fn reporting_to(self, writable: &Arc<Writable>) -> Self {
        Self { writable: Some(Arc::clone(writable)), ..self }
    }

    /// Whether the pool has to discard this connection.
    pub(super) fn is_broken(&mut self) -> bool {
        self.broken || on!(self, c => c.is_broken())
    }

    /// Makes the pool discard this connection.
    pub(super) fn mark_broken(&mut self) {
        self.broken = true;
    }

    pub(super) fn is_sqlite(&self) -> bool {
        matches!(self.backend, Backend::Sqlite(_))
    }

    /// Checks that the database's files are still those that this connection has opened.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if not.
    pub(super) fn check_files(&self) -> Result<()> {
        self.files.as_ref().map_or(Ok(()), OpenFiles::check)
    }

    /// Runs `work` in a write transaction, or in a savepoint if one is under way; rolled back if it fails.
    ///
    /// # Errors
    /// Those of `work` and of the commit.
    pub fn transaction<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.depth()? > 0 {
            return self.nested(work);
        }
        let result = self.make_room().and_then(|()| self.nested(work));
        match (&self.writable, &result) {
            (Some(writable), Err(Error::Unavailable(cause))) => writable.failed(cause),
            // PostgreSQL takes a transaction that changes nothing even where it can write nothing.
            (Some(writable), Ok(_)) if writable.is_failing() && self.is_sqlite() => writable.works(),
            _ => {}
        }
        result
    }

    /// After a failed write, moves what is in SQLite's log to the database before anything else uses the room that there may
    /// be again: the log is then written from its start.
    fn make_room(&mut self) -> Result<()> {
        if self.is_sqlite() && self.writable.as_ref().is_some_and(|writable| writable.is_failing()) {
            self.check_files()?;
            on!(self, c => c.batch_execute("PRAGMA wal_checkpoint(PASSIVE)"))?;
        }
        Ok(())
    }

    fn nested<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.begin()?;
        let noted = self.noted.len();
        let result = work(self);
        if result.is_err() {
            self.noted.truncate(noted);
        }
        self.end(result.is_ok())?;
        result
    }

    /// Transaction and savepoints under way.
    fn depth(&mut self) -> Result<u32> {
        let depth = on!(self, c => AnsiTransactionManager::transaction_manager_status_mut(c).transaction_depth())?;
        Ok(depth.map_or(0, std::num::NonZero::get))
    }

    fn end(&mut self, commit: bool) -> Result<()> {
        // Nothing is committed to files that nobody will open again.
        let refused = if commit && self.depth()? == 1 { self.check_files().err() } else { None };
        if commit && refused.is_none() {
            on!(self, c => AnsiTransactionManager::commit_transaction(c))?;
        } else if on!(self, c => AnsiTransactionManager::rollback_transaction(c)).is_err() {
            self.mark_broken();
        }
        refused.map_or(Ok(()), Err)
    }

    /// On SQLite it takes the write lock at once: a transaction that reads first and writes later is refused if another
    /// one wrote in between, regardless of the timeout.
    fn begin(&mut self) -> Result<()> {
        let is_outermost = self.depth()? == 0;
        match (&mut self.backend, &self.begin) {
            (Backend::Sqlite(c), _) if is_outermost => AnsiTransactionManager::begin_transaction_sql(c, "BEGIN IMMEDIATE")?,
            (Backend::Sqlite(c), _) => AnsiTransactionManager::begin_transaction(c)?,
            (Backend::Postgres(c), Some(begin)) if is_outermost => AnsiTransactionManager::begin_transaction_sql(c, begin)?,
            (Backend::Postgres(c), _) => AnsiTransactionManager::begin_transaction(c)?,
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
