//! Whether the database is ready for requests, and why not: what `/readyz` answers.
use super::connection::{Conn, on};
use super::error::{Error, Result};
use super::files::REPLACED;
use super::{Db, migrations};
use diesel::connection::SimpleConnection;

/// Written to find out whether that works again, without a change of any row. SQLite writes its header even if the value
/// is the old one (nothing here uses it); PostgreSQL writes the row anew.
const TRIAL_SQLITE: &str = "PRAGMA user_version = 0";
const TRIAL_POSTGRES: &str = "UPDATE __diesel_schema_migrations SET run_on = run_on";

/// Why requests cannot be served although the database answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotReady {
    /// Its tables are not up to date.
    OldTables,
    /// The database's file is not the one that was opened.
    Replaced,
    /// There is no room left.
    Full,
    /// It may only be read.
    ReadOnly,
    /// Writes fail for another reason, which the log says.
    Unwritable,
}

impl NotReady {
    fn because_of(cause: &str) -> Self {
        let says = |words: &[&str]| words.iter().any(|word| cause.contains(word));
        if says(&[REPLACED]) {
            Self::Replaced
        } else if says(&["disk is full", "No space left", "could not extend file"]) {
            Self::Full
        } else if says(&["readonly", "read-only"]) {
            Self::ReadOnly
        } else {
            Self::Unwritable
        }
    }
}

impl Error {
    /// Whether the service may start with it: requests get 503 until somebody has made room or made the database writable,
    /// and then it goes on by itself. On SQLite, opening a connection is a write at times: the first one creates files.
    pub fn only_refuses_writes(&self) -> bool {
        matches!(self, Self::Unavailable(cause) if matches!(NotReady::because_of(cause), NotReady::Full | NotReady::ReadOnly))
    }
}

impl Db {
    /// Why requests cannot be served; `None` if they can. If the latest write failed, writes a trial.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub async fn not_ready(&self) -> Result<Option<NotReady>> {
        let (applied, all) = match self.read(|conn| conn.check_files().and_then(|()| migrations(conn))).await {
            Err(Error::Unavailable(cause)) if cause.contains(REPLACED) => return Ok(Some(NotReady::Replaced)),
            read => read?,
        };
        if applied < all {
            return Ok(Some(NotReady::OldTables));
        }
        let writable = self.connector.writable();
        if writable.may_try() && self.write(try_to_write).await.is_ok() {
            writable.works();
        }
        Ok(writable.cause().map(|cause| NotReady::because_of(&cause)))
    }
}

fn try_to_write(conn: &mut Conn) -> Result<()> {
    let trial = if conn.is_sqlite() { TRIAL_SQLITE } else { TRIAL_POSTGRES };
    on!(conn, c => c.batch_execute(trial)).map_err(Error::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_service_starts_with_a_database_that_refuses_writes_only() {
        for (cause, starts) in [
            ("attempt to write a readonly database", true),
            ("database or disk is full", true),
            ("file is not a database", false),
            ("unable to open database file", false),
        ] {
            assert_eq!(Error::Unavailable(cause.to_owned()).only_refuses_writes(), starts, "{cause}");
        }
    }

    #[test]
    fn the_cause_of_a_failure_becomes_a_reason_that_the_operator_can_act_on() {
        for (cause, expected) in [
            (REPLACED, NotReady::Replaced),
            ("database or disk is full", NotReady::Full),
            ("could not extend file \"base/5/16385\": No space left on device", NotReady::Full),
            ("attempt to write a readonly database", NotReady::ReadOnly),
            ("cannot execute UPDATE in a read-only transaction", NotReady::ReadOnly),
            ("disk I/O error", NotReady::Unwritable),
        ] {
            assert_eq!(NotReady::because_of(cause), expected, "{cause}");
        }
    }
}
