//! A PostgreSQL server of a test's own, to be stopped and started.
use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection, RunQueryDsl};
use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Error codes: PostgreSQL's documentation, appendix A, class 53.
const NO_ROOM: &str = "CREATE OR REPLACE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
    RAISE EXCEPTION 'could not extend file \"base/5/16385\": No space left on device' USING ERRCODE = 'disk_full'; END $$";

#[derive(diesel::QueryableByName)]
struct Table {
    #[diesel(sql_type = diesel::sql_types::Text)]
    name: String,
}

/// Gone with the value.
pub struct Cluster {
    dir: tempfile::TempDir,
    programs: PathBuf,
    port: u16,
}

impl Cluster {
    /// A started server; without PostgreSQL's programs on this machine it is said that the test was skipped.
    pub fn make() -> Option<Self> {
        let Some(programs) = programs() else {
            let all = std::env::var("STOCKTIDE_TEST_REQUIRE").is_ok_and(|required| required == "all");
            assert!(!all, "STOCKTIDE_TEST_REQUIRE=all, but PostgreSQL's own programs are not on this machine");
            // Not println, which is kept back while a test passes.
            std::io::stderr().write_all(b"SKIPPED: PostgreSQL's own programs (initdb, pg_ctl) are not on this machine\n").unwrap();
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

    /// `fast` ends what is under way; `immediate` is a crash.
    pub fn stop(&self, how: &str) {
        self.run("pg_ctl", &["-w", "-m", how, "stop"]);
    }

    /// Like a server that has become a standby: sessions go on, and whatever would write fails.
    pub fn may_be_written(&self, may: bool) {
        let mut conn = PgConnection::establish(&self.url()).unwrap();
        conn.batch_execute(&format!("ALTER SYSTEM SET default_transaction_read_only = {}", if may { "off" } else { "on" })).unwrap();
        conn.batch_execute("SELECT pg_reload_conf()").unwrap();
    }

    /// Like a server whose tables find no room to grow: whatever would write a row fails with what PostgreSQL says then.
    /// (Where its log finds none it crashes, as in [`Cluster::stop`].)
    pub fn has_room(&self, has: bool) {
        let mut conn = PgConnection::establish(&self.url()).unwrap();
        conn.batch_execute(NO_ROOM).unwrap();
        let tables: Vec<Table> =
            diesel::sql_query("SELECT tablename::text AS name FROM pg_tables WHERE schemaname = 'public'").load(&mut conn).unwrap();
        assert!(!tables.is_empty());
        // One at a time: together they would lock tables in another order than the service does.
        for Table { name } in tables {
            let made = format!("CREATE TRIGGER no_room BEFORE INSERT OR UPDATE ON {name} FOR EACH ROW EXECUTE FUNCTION no_room()");
            let gone = format!("DROP TRIGGER no_room ON {name}");
            conn.batch_execute(if has { &gone } else { &made }).unwrap();
        }
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
    std::fs::metadata("/proc/self").is_ok_and(|of_self| std::os::unix::fs::MetadataExt::uid(&of_self) == 0)
}

/// Debian keeps them out of the path.
fn programs() -> Option<PathBuf> {
    let of_debian = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten().map(|entry| entry.path().join("bin"));
    let of_path = std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect::<Vec<_>>()).unwrap_or_default();
    let has_both = |folder: &PathBuf| ["initdb", "pg_ctl"].iter().all(|name| Path::new(folder).join(name).is_file());
    of_debian.chain(of_path).find(has_both)
}
