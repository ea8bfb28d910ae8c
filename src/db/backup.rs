//! Backups of SQLite databases, and whether one is sound.
use super::connection::{Conn, on};
use super::error::{Error, Result};
use super::fleet::sealed_under_another_key;
use super::migrations::known_migrations;
use super::overview::{Held, held};
use super::sealing::Sealer;
use super::url::DatabaseUrl;
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::Text;
use std::path::Path;

/// Writes a snapshot of an SQLite database to a new file that only its owner can read. The service may keep running.
///
/// # Errors
/// [`Error::Conflict`] when the database is not SQLite; [`Error::Unavailable`] when it does not exist, the file already
/// does, or the file cannot be written.
pub fn back_up(url: &DatabaseUrl, to: &Path) -> Result<()> {
    let DatabaseUrl::Sqlite(from) = url else {
        return Err(Error::Conflict("PostgreSQL is backed up by pg_dump".to_owned()));
    };
    let failed = |path: &Path, error: &dyn std::fmt::Display| Error::Unavailable(format!("{}: {error}", path.display()));
    // Opening a database that does not exist would create it.
    std::fs::metadata(from).map_err(|e| failed(Path::new(from), &e))?;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let exists =
        "the file exists already, and an earlier backup is never overwritten; give another name, or move or delete this file first";
    let is_there = |e: &std::io::Error| e.kind() == std::io::ErrorKind::AlreadyExists;
    let file = options.open(to).map_err(|e| if is_there(&e) { failed(to, &exists) } else { failed(to, &e) })?;
    let written = Conn::establish(url).and_then(|mut conn| {
        let name = to.to_str().ok_or_else(|| failed(to, &"the name is not UTF-8"))?;
        // The copy will be able to shrink, whatever the original is (`pages.rs`). Where nothing may be written, it stays as it is.
        on!(conn, c => c.batch_execute("PRAGMA auto_vacuum = INCREMENTAL")).ok();
        // `VACUUM INTO` accepts an existing file if it is empty.
        Ok(on!(conn, c => diesel::sql_query("VACUUM INTO $1").bind::<Text, _>(name).execute(c))?)
    });
    let written = written.and_then(|_| file.sync_all().map_err(|e| failed(to, &e)));
    if written.is_err() {
        // Half a backup is worse than none.
        std::fs::remove_file(to).ok();
    }
    written
}

/// What a sound backup holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backup {
    /// Its sellers, stores and events.
    pub held: Held,
    /// Migrations that will run when a service starts on it.
    pub migrations_due: usize,
    /// Stores whose credentials the given key does not open; `None` without a key.
    pub sealed_under_another_key: Option<usize>,
}

#[derive(QueryableByName)]
struct Finding {
    #[diesel(sql_type = Text)]
    finding: String,
}

/// Reads a whole backup, without changing it: its pages, its indexes, the references between its rows, its migrations.
///
/// # Errors
/// [`Error::Corrupt`] with the first findings, [`Error::Unavailable`] if it cannot be read.
pub fn verify_backup(file: &Path, sealer: Option<&Sealer>) -> Result<Backup> {
    let mut conn = Conn::of_finished_file(file)?;
    for sql in [
        "SELECT integrity_check AS finding FROM pragma_integrity_check WHERE integrity_check <> 'ok' LIMIT 10",
        "SELECT \"table\" || ' refers to rows of ' || parent || ' that are not there' AS finding FROM pragma_foreign_key_check LIMIT 10",
    ] {
        let found: Vec<Finding> = on!(conn, c => diesel::sql_query(sql).load(c)).map_err(|e| Error::Corrupt(e.to_string()))?;
        if !found.is_empty() {
            return Err(Error::Corrupt(found.into_iter().map(|row| row.finding).collect::<Vec<_>>().join("; ")));
        }
    }
    let (applied, all) = known_migrations(&mut conn).map_err(|_| Error::Corrupt("it holds no database of Stocktide".to_owned()))?;
    Ok(Backup {
        held: held(&mut conn)?,
        migrations_due: all.saturating_sub(applied),
        sealed_under_another_key: sealer.map(|sealer| sealed_under_another_key(&mut conn, sealer)).transpose()?,
    })
}
