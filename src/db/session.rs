//! A connection of its own, for what must wait for nobody else's: the renewal of a node's leases, and notices from other nodes.
use super::connection::{Conn, on};
use super::database::Db;
use super::error::Result;
use super::fault_injection::{Blocking, FaultInjection};
use super::pool::Connector;
use diesel::connection::SimpleConnection;
use std::sync::Arc;
use std::time::Duration;

/// A connection that is opened when it is needed, and again after a failure.
pub struct Session {
    connector: Connector,
    blocking: Blocking,
    /// What each connection begins with.
    prepare: String,
    conn: Option<Conn>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").finish_non_exhaustive()
    }
}

impl Db {
    /// A connection beside the pool's and the lanes', whose statements may take so long at most.
    pub fn session(&self, statements_within: Duration) -> Session {
        let connector = self.connector.clone().ending_statements(statements_within);
        Session { blocking: self.blocking.of_leases(), ..self.session_of(connector, "") }
    }

    /// A connection to the server itself, past a pooler. Each time that it is opened, it begins with these statements.
    pub(super) fn listener(&self, prepare: &str) -> Session {
        // Only a server has listeners.
        let prepare = if self.blocking.is_simulated() { "" } else { prepare };
        self.session_of(self.connector.clone().direct(), prepare)
    }

    fn session_of(&self, connector: Connector, prepare: &str) -> Session {
        Session { connector, blocking: self.blocking.clone(), prepare: prepare.to_owned(), conn: None }
    }
}

impl Session {
    /// The simulation that this is part of.
    pub(super) fn simulation(&self) -> Option<Arc<dyn FaultInjection>> {
        self.blocking.simulation()
    }

    /// Runs `work` on the connection, outside of any transaction.
    ///
    /// # Errors
    /// Those of `work`; [`Error::Unavailable`](super::Error::Unavailable) without a connection.
    pub async fn run<T: Send + 'static>(&mut self, work: impl FnOnce(&mut Conn) -> Result<T> + Send + 'static) -> Result<T> {
        let (connector, prepare, conn) = (self.connector.clone(), self.prepare.clone(), self.conn.take());
        let done = move || {
            let opened = conn.map_or_else(
                || {
                    let mut conn = connector.connect()?;
                    if !prepare.is_empty() {
                        on!(conn, c => c.batch_execute(&prepare))?;
                    }
                    Ok(conn)
                },
                Ok,
            );
            let mut conn = match opened {
                Ok(conn) => conn,
                Err(error) => return (None, Err(error)),
            };
            let result = work(&mut conn);
            let is_usable = !result.as_ref().is_err_and(super::Error::is_fatal) && !conn.is_broken();
            (is_usable.then_some(conn), result)
        };
        let (conn, result) = self.blocking.run(done).await?;
        self.conn = conn;
        result
    }
}
