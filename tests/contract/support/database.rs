//! One empty database per story, deleted afterwards.
//!
//! SQLite always; PostgreSQL as well where `STOCKTIDE_TEST_POSTGRES` holds the URL of a server on which databases may be
//! created. Without it the suite says what it left out, or fails if `STOCKTIDE_TEST_REQUIRE=all`.
//! `STOCKTIDE_TEST_BACKEND=sqlite` or `=postgres` picks one of the two. Services may be led to PostgreSQL through PgBouncer: see
//! `tests/support/pooler.rs`.
use diesel::connection::SimpleConnection;
use diesel::sql_types::{Bool, Text};
use diesel::{Connection, PgConnection, QueryableByName, RunQueryDsl};
use sha2::{Digest, Sha256};
use std::io::Write;
use std::sync::{Mutex, Once, OnceLock, PoisonError};
use stocktide::db::{DatabaseUrl, Server, migrate};

#[path = "../../support/pooler.rs"]
mod pooler;

/// The database on which a story runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    Sqlite,
    Postgres,
}

impl Backend {
    /// The backends selected by the environment.
    pub fn wanted() -> Vec<Self> {
        let picked = std::env::var("STOCKTIDE_TEST_BACKEND").ok();
        match picked.as_deref() {
            Some("sqlite") => vec![Self::Sqlite],
            Some("postgres") => vec![Self::Postgres],
            Some(other) => panic!("STOCKTIDE_TEST_BACKEND is sqlite or postgres, not {other}"),
            None if server().is_some() => vec![Self::Sqlite, Self::Postgres],
            None => {
                assert_ne!(std::env::var("STOCKTIDE_TEST_REQUIRE").as_deref(), Ok("all"), "STOCKTIDE_TEST_POSTGRES names no server");
                static SAID: Once = Once::new();
                // Not eprintln, whose output is hidden while a test passes.
                SAID.call_once(|| {
                    std::io::stderr().write_all(b"SKIPPED on PostgreSQL: STOCKTIDE_TEST_POSTGRES names no server\n").unwrap()
                });
                vec![Self::Sqlite]
            }
        }
    }
}

fn server() -> Option<String> {
    std::env::var("STOCKTIDE_TEST_POSTGRES").ok()
}

/// A migrated database, deleted when this is dropped.
pub struct TestDatabase {
    pub url: DatabaseUrl,
    _dir: Option<tempfile::TempDir>,
    postgres: Option<String>,
}

impl TestDatabase {
    pub fn fresh(backend: Backend) -> Self {
        match backend {
            Backend::Sqlite => {
                let dir = tempfile::tempdir().unwrap();
                let url = DatabaseUrl::parse(&format!("sqlite://{}", dir.path().join("test.db").display())).unwrap();
                migrate(&url).unwrap();
                Self { url, _dir: Some(dir), postgres: None }
            }
            Backend::Postgres => {
                let used_before = {
                    let mut pool = POOL.lock().unwrap_or_else(PoisonError::into_inner);
                    pool.in_use += 1;
                    pool.empty.pop()
                };
                let name = used_before.unwrap_or_else(|| {
                    let name = format!("stocktide_spec_{}", uuid::Uuid::now_v7().simple());
                    admin().batch_execute(&format!("CREATE DATABASE {name} TEMPLATE {}", template())).unwrap();
                    name
                });
                let url = url_of(&name);
                let url = match (pooler::pooled_url(&name), &url) {
                    (Some(pooled), DatabaseUrl::Postgres(Server { url: direct, .. })) => {
                        DatabaseUrl::parse(&pooled).unwrap().pooled(direct, false).unwrap()
                    }
                    _ => url,
                };
                Self { url, _dir: None, postgres: Some(name) }
            }
        }
    }
}

impl TestDatabase {
    /// Executes statements on a connection of its own.
    pub fn execute(&self, sql: &str) {
        match self.url.direct() {
            DatabaseUrl::Sqlite(path) => {
                let mut conn = diesel::SqliteConnection::establish(&path).unwrap();
                conn.batch_execute(&format!("PRAGMA busy_timeout = 5000; {sql}")).unwrap();
            }
            DatabaseUrl::Postgres(server) => PgConnection::establish(&server.url).unwrap().batch_execute(sql).unwrap(),
        }
    }
}

/// Databases for reuse. Creating and dropping one takes the server a second of disk activity, emptying one far less: a
/// story reuses the emptied database of an earlier one, and all are dropped once no story is running.
struct Pool {
    in_use: usize,
    empty: Vec<String>,
}

/// Sellers first, with everything that refers to them. The rows of `shards` come with the migrations.
const EMPTY_ALL_TABLES: &str = "\
DELETE FROM sellers;
DO $$
DECLARE name text;
BEGIN
  FOR name IN SELECT tablename FROM pg_tables
    WHERE schemaname = 'public' AND tablename NOT IN ('sellers', 'shards', '__diesel_schema_migrations')
  LOOP
    EXECUTE format('DELETE FROM %I', name);
  END LOOP;
END $$;
UPDATE shards SET node = NULL";

static POOL: Mutex<Pool> = Mutex::new(Pool { in_use: 0, empty: Vec::new() });

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let (Some(name), DatabaseUrl::Postgres(server)) = (self.postgres.take(), self.url.direct()) else { return };
        let others_go =
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
        let emptied = PgConnection::establish(&server.url)
            .is_ok_and(|mut conn| conn.batch_execute(others_go).and_then(|()| conn.batch_execute(EMPTY_ALL_TABLES)).is_ok());
        let mut pool = POOL.lock().unwrap_or_else(PoisonError::into_inner);
        pool.in_use -= 1;
        let mut unwanted = Vec::new();
        if emptied {
            pool.empty.push(name)
        } else {
            unwanted.push(name)
        }
        if pool.in_use == 0 {
            unwanted.append(&mut pool.empty);
        }
        for name in unwanted {
            admin().batch_execute(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).ok();
        }
    }
}

fn admin() -> PgConnection {
    let server = server().expect("STOCKTIDE_TEST_BACKEND=postgres needs STOCKTIDE_TEST_POSTGRES, the URL of a server");
    PgConnection::establish(&server).expect("the PostgreSQL server answers")
}

fn url_of(database: &str) -> DatabaseUrl {
    let server = server().unwrap();
    let (front, _) = server.rsplit_once('/').expect("the server's URL ends in the name of a database");
    DatabaseUrl::parse(&format!("{front}/{database}")).unwrap()
}

/// A migrated database to copy, which takes a fraction of the time of the migrations. It is named after a digest of the
/// migrations, so it is created once and used until they change.
fn template() -> &'static str {
    #[derive(QueryableByName)]
    struct Found {
        #[diesel(sql_type = Bool)]
        found: bool,
    }
    static NAME: OnceLock<String> = OnceLock::new();
    NAME.get_or_init(|| {
        let name = format!("stocktide_template_{}", &hex::encode(digest_of_migrations())[..16]);
        let mut admin = admin();
        // Locked until this connection closes, so that only one of several processes creates it.
        admin.batch_execute("SELECT pg_advisory_lock(7305804403)").unwrap();
        let known = diesel::sql_query("SELECT EXISTS (SELECT 1 FROM pg_database WHERE datname = $1) AS found");
        if !known.bind::<Text, _>(&name).get_result::<Found>(&mut admin).unwrap().found {
            let unfinished = format!("{name}_unfinished");
            admin.batch_execute(&format!("DROP DATABASE IF EXISTS {unfinished} WITH (FORCE)")).unwrap();
            admin.batch_execute(&format!("CREATE DATABASE {unfinished}")).unwrap();
            migrate(&url_of(&unfinished)).unwrap();
            admin.batch_execute(&format!("ALTER DATABASE {unfinished} RENAME TO {name}")).unwrap();
        }
        name
    })
}

fn digest_of_migrations() -> Vec<u8> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations/postgres");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path().join("up.sql")).collect();
    files.sort();
    let mut digest = Sha256::new();
    files.iter().filter(|file| file.is_file()).for_each(|file| digest.update(std::fs::read(file).unwrap()));
    digest.finalize().to_vec()
}
