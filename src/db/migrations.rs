//! Migrations: the folders of `migrations/`, embedded by `build.rs` and run in order, each in a transaction.
//!
//! The versions applied are kept in diesel's own table, so diesel's command line works on the same databases. One that this program
//! does not know was applied by a later version. It does not matter: migrations only add, which `tests/architecture.rs` checks,
//! so this version serves on beside the later one.
use super::bounds::Bounds;
use super::connection::{Backend, Conn, on};
use super::error::{Error, Result};
use super::sharing::must_be_unshared;
use super::url::DatabaseUrl;
use diesel::connection::SimpleConnection;
use diesel::migration::MigrationConnection;
use diesel::prelude::*;
use diesel::sql_types::Bool;
use std::time::Duration;

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

/// On PostgreSQL. A statement takes as long as it takes: the index of a large table takes minutes. One that waits for a table in use
/// has all others wait behind it, so it soon lets them go first. A process that is frozen in between keeps nothing locked.
const BOUNDS: Bounds = Bounds { lock: Duration::from_secs(2), statement: None, idle_in_transaction: Some(Duration::from_secs(60)) };

/// A connection to the server itself, for migrations.
fn connect(url: &DatabaseUrl) -> Result<Conn> {
    must_be_unshared(&url.direct())?;
    Conn::establish_within(&url.direct(), BOUNDS)
}

#[derive(QueryableByName)]
struct Locked {
    #[diesel(sql_type = Bool)]
    locked: bool,
}

/// Has nodes that start together migrate one after another, each waiting as long as the one before takes. Held until the connection
/// ends.
fn wait_for_turn(conn: &mut Conn) -> Result<()> {
    let Backend::Postgres(c) = &mut conn.backend else { return Ok(()) };
    let Locked { locked } = diesel::sql_query("SELECT pg_try_advisory_lock(7305804402) AS locked").get_result(c)?;
    if !locked {
        tracing::info!("another process migrates this database; waiting until it is done");
        c.batch_execute(&format!(
            "SET lock_timeout = 0; SELECT pg_advisory_lock(7305804402); SET lock_timeout = {}",
            BOUNDS.lock.as_millis()
        ))?;
    }
    Ok(())
}

/// Brings the tables up to date; returns the versions of the migrations that ran.
///
/// # Errors
/// [`Error::Busy`] if a table that has to be changed was in use for too long: trying again goes on where this ended. Otherwise, if the
/// database is unavailable or a migration fails.
pub fn migrate(url: &DatabaseUrl) -> Result<Vec<String>> {
    let mut conn = connect(url)?;
    wait_for_turn(&mut conn)?;
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
        let is_server = !conn.is_sqlite();
        let failed = |e: diesel::result::Error| match e.to_string() {
            cause if is_server && cause.contains("lock timeout") => Error::Busy,
            cause => Error::Unavailable(cause),
        };
        on!(conn, c => c.batch_execute(sql)).map_err(failed)?;
        record(conn).map(drop).map_err(failed)
    })
}

/// How many of this program's migrations were applied to this database, and how many there are.
pub fn migrations(conn: &mut Conn) -> Result<(usize, usize)> {
    match known_migrations(conn) {
        // There is no table of them.
        Err(Error::Corrupt(_)) => Ok((0, embedded(conn).len())),
        counted => counted,
    }
}

/// The same of a database that must have some.
pub(super) fn known_migrations(conn: &mut Conn) -> Result<(usize, usize)> {
    let applied: Vec<String> = on!(conn, c => m::__diesel_schema_migrations.select(m::version).load(c))?;
    Ok((applied.iter().filter(|version| embedded(conn).iter().any(|known| known.version == **version)).count(), embedded(conn).len()))
}
