//! A PostgreSQL server that belongs to one test, which can stop and start it.
use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection, RunQueryDsl};
use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The error is of class 53, appendix A of PostgreSQL's documentation.
const NO_ROOM: &str = "CREATE OR REPLACE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
    RAISE EXCEPTION 'could not extend file \"base/5/16385\": No space left on device' USING ERRCODE = 'disk_full'; END $$";

#[derive(diesel::QueryableByName)]
struct Table {
    #[diesel(sql_type = diesel::sql_types::Text)]
    name: String,
}

/// Stopped and removed when dropped.
pub struct Cluster {
    dir: tempfile::TempDir,
    programs: PathBuf,
    port: u16,
}

impl Cluster {
    /// A running server; `None`, with a note that the test was skipped, if PostgreSQL's programs are not installed.
    pub fn make() -> Option<Self> {
        let Some(programs) = programs() else {
            let all = std::env::var("STOCKTIDE_TEST_REQUIRE").is_ok_and(|required| required == "all");
            assert!(!all, "STOCKTIDE_TEST_REQUIRE=all, but PostgreSQL's own programs are not installed");
            // Not println, which is captured while a test passes.
            std::io::stderr().write_all(b"SKIPPED: PostgreSQL's own programs (initdb, pg_ctl) are not installed\n").unwrap();
            return None;
        };
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let cluster = Self { dir: tempfile::tempdir().unwrap(), programs, port };
        if is_root() {
            assert!(Command::new("chown").arg("postgres").arg(cluster.dir.path()).status().unwrap().success());
        }
        cluster.run("initdb", &["-U", "stocktide", "--auth=trust", "-E", "UTF8", "--locale=C.UTF-8"]);
        cluster.start();
        Some(cluster)
    }

    pub fn url(&self) -> String {
        format!("postgres://stocktide@127.0.0.1:{}/postgres", self.port)
    }

    pub fn start(&self) {
        let options = format!("-c listen_addresses=127.0.0.1 -c port={} -c unix_socket_directories='' -c max_connections=60", self.port);
        let log = self.dir.path().join("server.log");
        self.run("pg_ctl", &["-w", "-l", &log.display().to_string(), "-o", &options, "start"]);
    }

    /// `fast` aborts open transactions and shuts down cleanly; `immediate` is a crash.
    pub fn stop(&self, how: &str) {
        self.run("pg_ctl", &["-w", "-m", how, "stop"]);
    }

    /// `false`: like a server that has become a standby, sessions continue but every write fails.
    pub fn set_writable(&self, may: bool) {
        let mut conn = PgConnection::establish(&self.url()).unwrap();
        conn.batch_execute(&format!("ALTER SYSTEM SET default_transaction_read_only = {}", if may { "off" } else { "on" })).unwrap();
        conn.batch_execute("SELECT pg_reload_conf()").unwrap();
    }

    /// `false`: like a server whose tables have no room to grow, every write of a row fails with PostgreSQL's error for
    /// that. (If its write-ahead log has no room it crashes, as in [`Cluster::stop`].)
    pub fn set_has_room(&self, has: bool) {
        let mut conn = PgConnection::establish(&self.url()).unwrap();
        conn.batch_execute(NO_ROOM).unwrap();
        let tables: Vec<Table> =
            diesel::sql_query("SELECT tablename::text AS name FROM pg_tables WHERE schemaname = 'public'").load(&mut conn).unwrap();
        assert!(!tables.is_empty());
        // One at a time: a single transaction would lock tables in another order than the service does.
        for Table { name } in tables {
            let create = format!("CREATE TRIGGER no_room BEFORE INSERT OR UPDATE ON {name} FOR EACH ROW EXECUTE FUNCTION no_room()");
            let drop = format!("DROP TRIGGER no_room ON {name}");
            conn.batch_execute(if has { &drop } else { &create }).unwrap();
        }
    }

    /// From now on, every connection needs a password; that of the role `stocktide` is this one.
    pub fn demand_password(&self, password: &str) {
        let mut conn = PgConnection::establish(&self.url()).unwrap();
        conn.batch_execute(&format!("ALTER ROLE stocktide PASSWORD '{password}'")).unwrap();
        std::fs::write(self.dir.path().join("data/pg_hba.conf"), "host all all 127.0.0.1/32 scram-sha-256\n").unwrap();
        conn.batch_execute("SELECT pg_reload_conf()").unwrap();
    }

    fn run(&self, name: &str, arguments: &[&str]) {
        assert!(self.command(name, arguments).status().unwrap().success(), "{name} {arguments:?}");
    }

    fn command(&self, name: &str, arguments: &[&str]) -> Command {
        let program = self.programs.join(name);
        // PostgreSQL refuses to run as root.
        let mut command = if is_root() {
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        command.args(["-D", &self.dir.path().join("data").display().to_string()]).args(arguments);
        command.current_dir(self.dir.path()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.command("pg_ctl", &["-m", "immediate", "stop"]).status().ok();
    }
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0)
}

/// The folder of PostgreSQL's programs, which Debian keeps off the `PATH`.
fn programs() -> Option<PathBuf> {
    let of_debian = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten().map(|entry| entry.path().join("bin"));
    let of_path = std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect::<Vec<_>>()).unwrap_or_default();
    let has_both = |folder: &PathBuf| ["initdb", "pg_ctl"].iter().all(|name| Path::new(folder).join(name).is_file());
    of_debian.chain(of_path).find(has_both)
}
