//! How long PostgreSQL lets statements and transactions take, so that nothing waits forever and a frozen process keeps no locks.
//!
//! A direct connection sets these bounds once. Behind a pooler, where the next transaction may use another connection, each
//! transaction sets them itself, in the same message as `BEGIN`. What is read outside of transactions then has only the bounds that
//! the pooler or the role sets.
use std::time::Duration;

/// The bounds of a connection's statements and transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bounds {
    /// How long a statement waits for a lock.
    pub lock: Duration,
    /// How long a statement takes; none for migrations, which take as long as they take.
    pub statement: Option<Duration>,
    /// How long a transaction waits for this process.
    pub idle_in_transaction: Option<Duration>,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { lock: Duration::from_secs(10), statement: Some(Duration::from_secs(60)), idle_in_transaction: None }
    }
}

impl Bounds {
    /// What a connection of its own begins with.
    pub(super) fn of_session(&self) -> String {
        self.statements("SET").join("; ")
    }

    /// What a transaction behind a pooler begins with.
    pub(super) fn of_transaction(&self) -> String {
        format!("BEGIN; {}", self.statements("SET LOCAL").join("; "))
    }

    fn statements(&self, set: &str) -> Vec<String> {
        let mut bounds = vec![
            ("lock_timeout", self.lock),
            // Zero is PostgreSQL's word for "none", which the role may have changed.
            ("statement_timeout", self.statement.unwrap_or_default()),
        ];
        bounds.extend(self.idle_in_transaction.map(|bound| ("idle_in_transaction_session_timeout", bound)));
        bounds.iter().map(|(name, bound)| format!("{set} {name} = {}", bound.as_millis())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_begins_with_its_bounds_in_one_message() {
        let bounds = Bounds { idle_in_transaction: Some(Duration::from_millis(2_500)), ..Bounds::default() };
        assert_eq!(
            bounds.of_transaction(),
            "BEGIN; SET LOCAL lock_timeout = 10000; SET LOCAL statement_timeout = 60000; \
             SET LOCAL idle_in_transaction_session_timeout = 2500"
        );
        let of_migrations = Bounds { statement: None, ..Bounds::default() };
        assert_eq!(of_migrations.of_session(), "SET lock_timeout = 10000; SET statement_timeout = 0");
    }
}
