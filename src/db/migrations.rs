//! Migrations: embedded in the program, run in order.
use super::connection::{Backend, Conn, DatabaseUrl};
use super::error::{Error, Result};
use diesel::migration::MigrationSource;
use diesel::prelude::*;
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

const SQLITE_MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations/sqlite");
const POSTGRES_MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations/postgres");

/// Brings the tables up to date; returns the names of the migrations that ran.
///
/// # Errors
/// If the database is unavailable or a migration fails.
pub fn migrate(url: &DatabaseUrl) -> Result<Vec<String>> {
    let mut conn = Conn::establish(url)?;
    let failed = |e: Box<dyn std::error::Error + Send + Sync>| Error::Unavailable(e.to_string());
    let ran: Vec<String> = match &mut conn.backend {
        Backend::Sqlite(c) => c.run_pending_migrations(SQLITE_MIGRATIONS).map_err(failed)?.iter().map(ToString::to_string).collect(),
        Backend::Postgres(c) => {
            // Nodes that start together migrate one after another.
            diesel::sql_query("SELECT pg_advisory_lock(7305804402)").execute(c)?;
            c.run_pending_migrations(POSTGRES_MIGRATIONS).map_err(failed)?.iter().map(ToString::to_string).collect()
        }
    };
    Ok(ran)
}

/// How many migrations were applied to this database, and how many there are.
pub fn migrations(conn: &mut Conn) -> Result<(usize, usize)> {
    let unreadable = |e: Box<dyn std::error::Error + Send + Sync>| Error::Unavailable(e.to_string());
    let (applied, all) = match &mut conn.backend {
        Backend::Sqlite(c) => (c.applied_migrations().map_err(unreadable)?.len(), migration_count(&SQLITE_MIGRATIONS)),
        Backend::Postgres(c) => (c.applied_migrations().map_err(unreadable)?.len(), migration_count(&POSTGRES_MIGRATIONS)),
    };
    Ok((applied, all))
}

fn migration_count(embedded: &EmbeddedMigrations) -> usize {
    let all = MigrationSource::<diesel::sqlite::Sqlite>::migrations(embedded);
    all.map_or(0, |all| all.len())
}

/// Undoes all migrations: for tests and for `migrate --down`.
///
/// # Errors
/// If the database is unavailable or a migration fails.
pub fn migrate_down(url: &DatabaseUrl) -> Result<()> {
    let mut conn = Conn::establish(url)?;
    let failed = |e: Box<dyn std::error::Error + Send + Sync>| Error::Unavailable(e.to_string());
    match &mut conn.backend {
        Backend::Sqlite(c) => c.revert_all_migrations(SQLITE_MIGRATIONS).map(drop).map_err(failed),
        Backend::Postgres(c) => c.revert_all_migrations(POSTGRES_MIGRATIONS).map(drop).map_err(failed),
    }
}
