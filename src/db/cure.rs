//! What an operator can do about a PostgreSQL server that does not let the service in, and whether waiting would help.
//!
//! By the text, because libpq passes no error codes on for connections. A server that answers in another language is not
//! understood: its error is then shown as it is.
use super::error::Error;
use super::sharing::SHARED;

/// A server that says this will answer soon, or is only not there yet.
const PASSING: [&str; 9] = [
    "Connection refused",
    // The socket of a server on the same machine.
    "No such file or directory",
    "the database system is starting up",
    "the database system is shutting down",
    "the database system is in recovery mode",
    "the database system is not yet accepting connections",
    "server closed the connection unexpectedly",
    // A pooler's words for a server that is not there, and for one of which it has had no connection free for long.
    "server_login_retry",
    "query_wait_timeout",
];

/// For all words of the first column that occur in the cause: what to do.
const CURES: [(&[&str], &str); 15] = [
    (&["password authentication failed"], "correct the password in database_url, or set that of the role: ALTER ROLE … PASSWORD '…'"),
    (&["no password supplied"], "write the role's password into database_url: postgres://role:password@host/database"),
    (&["database \"", "does not exist"], "create it (CREATE DATABASE … OWNER …), or correct the name at the end of database_url"),
    (&["role \"", "does not exist"], "create it (CREATE ROLE … LOGIN PASSWORD '…'), or correct the name in database_url"),
    (&["is not permitted to log in"], "ALTER ROLE … LOGIN"),
    (
        &["no pg_hba.conf entry"],
        "add a line to the server's pg_hba.conf that lets this role in from this machine; if that line demands SSL, see sslmode",
    ),
    (&["permission denied for database"], "GRANT CONNECT ON DATABASE … TO the role"),
    (
        &["permission denied for schema"],
        "make the role the owner of the database (ALTER DATABASE … OWNER TO …), or GRANT USAGE, CREATE ON SCHEMA public TO the role",
    ),
    (
        &["permission denied for table"],
        "use the role that owns the tables, or GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO the role",
    ),
    (&["must be owner of"], "run the migrations as the role that owns the tables: stocktide migrate"),
    (&["could not translate host name"], "correct the host in database_url, or see why its name cannot be resolved here"),
    (
        &[SHARED],
        "a pooler in transaction mode is in between: let database_url lead to the pooler and database_direct_url to the server itself",
    ),
    (&["no such database"], "add it to [databases] in the pooler's configuration, or correct the name at the end of database_url"),
    (
        &["unsupported startup parameter"],
        "take it out of database_url, or add it to ignore_startup_parameters in the pooler's configuration",
    ),
    (
        &["SSL support is not compiled in"],
        "this build has a libpq without TLS: use a package, or build with --no-default-features and the system's libpq",
    ),
];

impl Error {
    /// Whether the same request may succeed soon although nobody does anything about it.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Busy | Self::TooMuchAtOnce => true,
            Self::Unavailable(cause) => PASSING.iter().any(|words| cause.contains(words)),
            _ => false,
        }
    }

    /// What an operator can do, to be read after the error.
    pub fn cure(&self) -> Option<&'static str> {
        let (Self::Unavailable(cause) | Self::Corrupt(cause)) = self else { return None };
        CURES.iter().find(|(words, _)| words.iter().all(|word| cause.contains(word))).map(|(_, cure)| *cure)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_server_that_is_starting_or_not_there_is_waited_for() {
        for (cause, passes, cure) in [
            ("connection to server at \"127.0.0.1\", port 5432 failed: Connection refused", true, None),
            ("connection to server on socket \"/run/postgresql/.s.PGSQL.5432\" failed: No such file or directory", true, None),
            ("FATAL:  the database system is starting up", true, None),
            ("FATAL:  password authentication failed for user \"stocktide\"", false, Some("correct the password")),
            ("fe_sendauth: no password supplied", false, Some("write the role's password")),
            ("FATAL:  database \"stocktide\" does not exist", false, Some("CREATE DATABASE")),
            ("FATAL:  role \"stocktide\" does not exist", false, Some("CREATE ROLE")),
            ("permission denied for schema public", false, Some("GRANT USAGE, CREATE")),
            ("FATAL:  no pg_hba.conf entry for host \"10.0.0.1\", user \"u\", database \"d\", no encryption", false, Some("pg_hba.conf")),
            ("sslmode value \"require\" invalid when SSL support is not compiled in", false, Some("without TLS")),
            ("could not translate host name \"nowhere\" to address: Name or service not known", false, Some("correct the host")),
            ("FATAL:  server login has been failing, try again later (server_login_retry)", true, None),
            ("FATAL:  no such database: stocktide", false, Some("[databases]")),
            (SHARED, false, Some("database_direct_url")),
            ("FATAL:  irgendetwas anderes", false, None),
        ] {
            let error = Error::Unavailable(cause.to_owned());
            assert_eq!(error.may_pass(), passes, "{cause}");
            assert_eq!(
                error.cure().map(|found| found.contains(cure.unwrap_or_default())),
                cure.map(|_| true),
                "{cause}: {:?}",
                error.cure()
            );
        }
        assert!(Error::Busy.may_pass());
    }
}
