//! Notices a pooler in transaction mode that the settings do not know of.
//!
//! Most things would work through it for a while: then a prepared statement is missing, a migration's lock is never released, and no
//! node hears another.
use super::connection::Conn;
use super::error::{Error, Result};
use super::url::{DatabaseUrl, Server};
use diesel::prelude::*;
use diesel::sql_types::Integer;

/// The cause in the error.
pub(super) const SHARED: &str = "two connections have shared a session of the server";

#[derive(QueryableByName)]
struct Session {
    #[diesel(sql_type = Integer)]
    pid: i32,
}

/// Opens two connections and looks whether they are two sessions. A pooler that is busy with others may not be noticed; what is noticed is
/// certain.
///
/// # Errors
/// [`Error::Unavailable`] if they are one, or cannot be opened.
pub(super) fn must_be_unshared(url: &DatabaseUrl) -> Result<()> {
    let DatabaseUrl::Postgres(Server { url, .. }) = url else { return Ok(()) };
    let open = || PgConnection::establish(url).map_err(|e| Error::Unavailable(e.to_string()));
    let (mut one, mut other) = (open()?, open()?);
    let session = |of: &mut PgConnection| diesel::sql_query("SELECT pg_backend_pid() AS pid").get_result::<Session>(of);
    match session(&mut one)?.pid == session(&mut other)?.pid {
        true => Err(Error::Unavailable(SHARED.to_owned())),
        false => Ok(()),
    }
}

/// Opens a connection as the service does, and looks whether migrations and notices of other nodes would have sessions of their own.
///
/// # Errors
/// [`Error::Unavailable`] with the cause.
pub fn try_to_connect(url: &DatabaseUrl) -> Result<()> {
    Conn::establish(url)?;
    must_be_unshared(&url.direct())
}
