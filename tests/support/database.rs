//! Used by the suites `api`, `processes`, `interop` and `console`: a fresh database for each test, either an SQLite file
//! in its own folder or a new database on the PostgreSQL server named by `STOCKTIDE_TEST_POSTGRES`. Both are removed when
//! the value is dropped. Services on PostgreSQL may be led there through PgBouncer: see `pooler.rs`.
use diesel::Connection;
use diesel::connection::SimpleConnection;
use std::io::Write;
use std::sync::Once;

#[path = "pooler.rs"]
mod pooler;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    Sqlite,
    Postgres,
}

impl Backend {
    /// Runs a test on PostgreSQL, or reports that it was skipped.
    pub fn on_postgres(test: impl FnOnce(Self)) {
        if std::env::var_os("STOCKTIDE_TEST_POSTGRES").is_some() {
            return test(Self::Postgres);
        }
        let all = std::env::var("STOCKTIDE_TEST_REQUIRE").is_ok_and(|required| required == "all");
        assert!(!all, "STOCKTIDE_TEST_REQUIRE=all, but STOCKTIDE_TEST_POSTGRES names no server");
        static SAID: Once = Once::new();
        // Not println, which is captured while a test passes.
        SAID.call_once(|| std::io::stderr().write_all(b"SKIPPED on PostgreSQL: STOCKTIDE_TEST_POSTGRES names no server\n").unwrap());
    }
}

/// Turns each function into two tests, one on each backend, in the modules `sqlite` and `postgres`.
#[macro_export]
macro_rules! on_both_backends {
    ($($test:ident),+ $(,)?) => {
        mod sqlite {
            $(#[test] fn $test() { super::$test($crate::database::Backend::Sqlite) })+
        }
        mod postgres {
            $(#[test] fn $test() { $crate::database::Backend::on_postgres(super::$test) })+
        }
    };
}

/// Removed when dropped.
pub struct TestDatabase {
    /// Where the database is itself.
    pub url: String,
    /// Where services are to reach it, if that is elsewhere.
    pub pooled_url: Option<String>,
    _dir: tempfile::TempDir,
    on_server: Option<(String, String)>,
}

impl TestDatabase {
    pub fn fresh(backend: Backend) -> Self {
        let dir = tempfile::tempdir().unwrap();
        if backend == Backend::Sqlite {
            let url = format!("sqlite://{}", dir.path().join("test.db").display());
            return Self { url, pooled_url: None, _dir: dir, on_server: None };
        }
        let server = std::env::var("STOCKTIDE_TEST_POSTGRES").unwrap();
        let name = format!("stocktide_{}", uuid::Uuid::now_v7().simple());
        let (front, _) = server.rsplit_once('/').expect("the server's URL ends with /database");
        let (url, pooled_url) = (format!("{front}/{name}"), pooler::pooled_url(&name));
        let database = Self { url, pooled_url, _dir: dir, on_server: Some((server, name)) };
        database.run_on_server("CREATE DATABASE {name}");
        database
    }

    /// The settings by which a service reaches it.
    pub fn settings(&self) -> Vec<(&'static str, String)> {
        match &self.pooled_url {
            Some(pooled) => vec![("database_url", pooled.clone()), ("database_direct_url", self.url.clone())],
            None => vec![("database_url", self.url.clone())],
        }
    }

    /// Runs a statement on the server through another database; `{name}` is replaced by the name of this one.
    pub fn run_on_server(&self, sql: &str) {
        let (server, name) = self.on_server.as_ref().expect("this database is on a PostgreSQL server");
        let mut admin = diesel::PgConnection::establish(server).expect("the PostgreSQL server is reachable");
        admin.batch_execute(&sql.replace("{name}", name)).unwrap();
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        if self.on_server.is_some() && !std::thread::panicking() {
            self.run_on_server("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
        }
    }
}
