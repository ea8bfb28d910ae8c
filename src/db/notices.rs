//! What nodes tell one another: `pg_notify` on one channel, which all of them listen to. A simulation carries it itself.
use super::connection::{Backend, Conn};
use super::database::Db;
use super::error::{Error, Result};
use super::kept::kept;
use super::session::Session;
use diesel::sql_types::Text;
use std::time::Duration;

const CHANNEL: &str = "stocktide_nodes";
/// How often notices of others are looked for.
const LISTEN_EVERY: Duration = Duration::from_millis(20);

/// A connection that hears what other nodes say.
#[derive(Debug)]
pub struct Notices(Session);

impl Db {
    /// A connection that hears what other nodes say: to the server itself, past a pooler. What it says costs no wait for the disk.
    pub fn notices(&self) -> Notices {
        Notices(self.listener(&format!("LISTEN {CHANNEL}; SET synchronous_commit = off")))
    }
}

impl Notices {
    /// Tells all nodes that listen, this one included; at most 8,000 bytes each. Returns what they have said since this was called last.
    ///
    /// # Errors
    /// [`Error::Unavailable`] without a connection; what was said meanwhile is lost.
    pub async fn exchange(&mut self, said: Vec<String>) -> Result<Vec<String>> {
        if let Some(simulation) = self.0.simulation() {
            self.0.run(|_| Ok(())).await?;
            return Ok(simulation.exchange(said));
        }
        let exchanged = move |conn: &mut Conn| {
            said.iter().try_for_each(|notice| tell(conn, notice))?;
            heard(conn)
        };
        self.0.run(exchanged).await
    }

    /// Returns when it is time to look for notices.
    pub async fn rung(&self) {
        match self.0.simulation() {
            Some(simulation) => simulation.rung().await,
            None => tokio::time::sleep(LISTEN_EVERY).await,
        }
    }
}

fn tell(conn: &mut Conn, payload: &str) -> Result<()> {
    let Backend::Postgres(c) = &mut conn.backend else { return Ok(()) };
    kept(diesel::sql_query("SELECT pg_notify($1, $2)").bind::<Text, _>(CHANNEL).bind::<Text, _>(payload)).run(c)?;
    Ok(())
}

fn heard(conn: &mut Conn) -> Result<Vec<String>> {
    let Backend::Postgres(c) = &mut conn.backend else { return Ok(Vec::new()) };
    c.notifications_iter().map(|notice| notice.map(|notice| notice.payload).map_err(Error::from)).collect()
}
