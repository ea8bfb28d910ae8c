//! Backups of SQLite databases.
use super::connection::{Conn, DatabaseUrl, on};
use super::error::{Error, Result};
use diesel::prelude::*;
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
        // `VACUUM INTO` accepts an existing file if it is empty.
        Ok(on!(conn, c => diesel::sql_query("VACUUM INTO $1").bind::<diesel::sql_types::Text, _>(name).execute(c))?)
    });
    let written = written.and_then(|_| file.sync_all().map_err(|e| failed(to, &e)));
    if written.is_err() {
        // Half a backup is worse than none.
        std::fs::remove_file(to).ok();
    }
    written
}
