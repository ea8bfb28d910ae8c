//! Where the database is.
use std::path::Path;

/// Which database to use.
#[derive(Clone, PartialEq, Eq)]
pub enum DatabaseUrl {
    /// The path of a file.
    Sqlite(String),
    /// A server.
    Postgres(Server),
}

/// A PostgreSQL server. URLs may contain passwords, so they are never logged.
#[derive(Clone, PartialEq, Eq)]
pub struct Server {
    /// Where connections lead: to the server or, if there is one, to the pooler.
    pub url: String,
    /// What is between the service and the server.
    pub pooler: Option<Pooler>,
}

/// A pooler that gives each transaction whichever connection to the server is free, such as PgBouncer in transaction mode. What
/// a session has set or prepared is gone, or somebody else's, in the next transaction.
#[derive(Clone, PartialEq, Eq)]
pub struct Pooler {
    /// The server itself: for migrations, and for listening to other nodes, which needs a session.
    pub direct_url: String,
    /// Whether it has statements prepared again wherever a transaction needs them, so that they may be kept.
    pub keeps_statements: bool,
}

impl std::fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.backend())
    }
}

impl DatabaseUrl {
    /// Parses `sqlite:///absolute/path.db`, `sqlite://relative.db` or `postgres://…`.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("sqlite://") {
            // SQLite would take the last two for something else than the path of a file.
            if path.is_empty() || path.contains(['?', '\0']) || path.starts_with("file:") || path == ":memory:" {
                return Err("names no file: use sqlite:///absolute/path.db or sqlite://relative.db".to_owned());
            }
            Ok(Self::Sqlite(path.to_owned()))
        } else if is_of_server(text) {
            Ok(Self::Postgres(Server { url: text.to_owned(), pooler: None }))
        } else {
            Err("must start with sqlite:// or postgres://".to_owned())
        }
    }

    /// The same database, reached through a pooler in transaction mode, whose URL this is; `direct_url` is the server's own.
    ///
    /// # Errors
    /// What is wrong with `direct_url`, for people.
    pub fn pooled(self, direct_url: &str, keeps_statements: bool) -> Result<Self, String> {
        match self {
            Self::Sqlite(_) => Err("is only for PostgreSQL behind a pooler; database_url is a file".to_owned()),
            Self::Postgres(_) if !is_of_server(direct_url) => Err("must start with postgres://".to_owned()),
            Self::Postgres(Server { url, .. }) => {
                let pooler = Some(Pooler { direct_url: direct_url.to_owned(), keeps_statements });
                Ok(Self::Postgres(Server { url, pooler }))
            }
        }
    }

    /// The same database without a pooler.
    #[must_use]
    pub fn direct(&self) -> Self {
        match self {
            Self::Postgres(Server { pooler: Some(pooler), .. }) => Self::Postgres(Server { url: pooler.direct_url.clone(), pooler: None }),
            _ => self.clone(),
        }
    }

    /// What is between the service and the server, if anything.
    pub fn pooler(&self) -> Option<&Pooler> {
        match self {
            Self::Postgres(server) => server.pooler.as_ref(),
            Self::Sqlite(_) => None,
        }
    }

    /// The file of an SQLite database.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::Sqlite(path) => Some(Path::new(path)),
            Self::Postgres(_) => None,
        }
    }

    /// `sqlite` or `postgres`.
    pub fn backend(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "sqlite",
            Self::Postgres(_) => "postgres",
        }
    }
}

fn is_of_server(text: &str) -> bool {
    text.starts_with("postgres://") || text.starts_with("postgresql://")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn behind_a_pooler_the_server_itself_has_an_address_of_its_own() {
        let url = DatabaseUrl::parse("postgres://pooler/stocktide").unwrap();
        assert!(url.pooler().is_none() && url.direct() == url);
        let pooled = url.clone().pooled("postgres://server/stocktide", false).unwrap();
        assert!(pooled.pooler().is_some_and(|pooler| !pooler.keeps_statements));
        assert_eq!(pooled.direct(), DatabaseUrl::parse("postgres://server/stocktide").unwrap());
        assert!(url.pooled("server", false).is_err());
        assert!(DatabaseUrl::parse("sqlite://a.db").unwrap().pooled("postgres://server/stocktide", false).is_err());
    }
}
