//! Migrations: the folders of `migrations/`, embedded by `build.rs` and run in order, each in a transaction.
//!
//! The versions applied are kept in diesel's own table, so diesel's command line works on the same databases.
use super::connection::{Backend, Conn, on};
use super::error::{Error, Result};
use super::sharing::must_be_unshared;
use super::url::DatabaseUrl;
use diesel::connection::SimpleConnection;
use diesel::migration::MigrationConnection;
use diesel::prelude::*;

/// One migration.
struct Embedded {
    /// Its folder's date and time, digits only.
    version: &'static str,
    up: &'static str,
    down: &'static str,
}

include!(concat!(env!("OUT_DIR"), "/migrations.rs"));

diesel::table! {
    __diesel_schema_migrations (version) {
        version -> Text,
        run_on -> Timestamp,
    }
}
use __diesel_schema_migrations::dsl as m;

fn embedded(conn: &Conn) -> &'static [Embedded] {
    match &conn.backend {
        Backend::Sqlite(_) => SQLITE,
        Backend::Postgres(_) => POSTGRES,
    }
}

/// The versions applied, the newest first.
fn applied(conn: &mut Conn) -> Result<Vec<String>> {
    on!(conn, c => {
        c.setup()?;
        Ok(m::__diesel_schema_migrations.select(m::version).order(m::version.desc()).load(c)?)
    })
}

/// A connection to the server itself, since the lock below is of a session.
fn connect(url: &DatabaseUrl) -> Result<Conn> {
    must_be_unshared(&url.direct())?;
    Conn::establish(&url.direct())
}

/// Brings the tables up to date; returns the versions of the migrations that ran.
///
/// # Errors
/// If the database is unavailable or a migration fails.
pub fn migrate(url: &DatabaseUrl) -> Result<Vec<String>> {
    let mut conn = connect(url)?;
    if let Backend::Postgres(c) = &mut conn.backend {
        // Nodes that start together migrate one after another.
        diesel::sql_query("SELECT pg_advisory_lock(7305804402)").execute(c)?;
    }
    let applied = applied(&mut conn)?;
    let mut ran = Vec::new();
    for migration in embedded(&conn).iter().filter(|migration| applied.iter().all(|version| version != migration.version)) {
        step(&mut conn, migration.up, |conn| {
            let row = m::version.eq(migration.version);
            on!(conn, c => diesel::insert_into(m::__diesel_schema_migrations).values(row).execute(c))
        })?;
        ran.push(migration.version.to_owned());
    }
    Ok(ran)
}

/// Undoes all migrations, the newest first: for tests and for `migrate --down`.
///
/// # Errors
/// If the database is unavailable, a migration fails, or one was applied that this program does not have.
pub fn migrate_down(url: &DatabaseUrl) -> Result<()> {
    let mut conn = connect(url)?;
    for version in applied(&mut conn)? {
        let migration = embedded(&conn).iter().find(|migration| migration.version == version);
        let migration = migration.ok_or_else(|| Error::Unavailable(format!("this program does not have the migration {version}")))?;
        step(
            &mut conn,
            migration.down,
            |conn| on!(conn, c => diesel::delete(m::__diesel_schema_migrations.find(migration.version)).execute(c)),
        )?;
    }
    Ok(())
}

/// Runs a migration's statements and writes that down, or neither.
fn step(conn: &mut Conn, sql: &str, record: impl FnOnce(&mut Conn) -> QueryResult<usize>) -> Result<()> {
    conn.transaction(|conn| {
        let failed = |e: diesel::result::Error| Error::Unavailable(e.to_string());
        on!(conn, c => c.batch_execute(sql)).map_err(failed)?;
        record(conn).map(drop).map_err(failed)
    })
}

/// How many migrations were applied to this database, and how many there are.
pub fn migrations(conn: &mut Conn) -> Result<(usize, usize)> {
    Ok((applied(conn)?.len(), embedded(conn).len()))
}

/// The same of a database that must not be written to.
pub(super) fn known_migrations(conn: &mut Conn) -> Result<(usize, usize)> {
    let applied: Vec<String> = on!(conn, c => m::__diesel_schema_migrations.select(m::version).load(c))?;
    Ok((applied.iter().filter(|version| embedded(conn).iter().any(|known| known.version == **version)).count(), embedded(conn).len()))
}
