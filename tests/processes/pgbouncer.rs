//! PgBouncer in transaction mode between the service and PostgreSQL, with the configuration in `deploy/pgbouncer`. What one transaction
//! leaves in a session is found by another node's, so a service that depended on sessions would fail soon.
use crate::database::{Backend, TestDatabase};
use crate::driver::{Driver, Verdict};
use crate::program::{CREDENTIAL_KEY, Program, output, pause};
use diesel::connection::SimpleConnection;
use diesel::sql_types::{BigInt, Text};
use diesel::{Connection, PgConnection, RunQueryDsl};
use serde_json::json;
use std::io::Write;
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const CONFIGURATION: &str = include_str!("../../deploy/pgbouncer/pgbouncer.ini");
/// Fewer than two nodes want at once.
const SESSIONS: usize = 3;

/// Ended when dropped.
struct PgBouncer {
    child: Child,
    port: u16,
    _dir: tempfile::TempDir,
}

impl PgBouncer {
    /// In front of the server of this database; `None`, with a note that the test was skipped, if it is not installed.
    fn before(database: &TestDatabase) -> Option<Self> {
        let program = ["/usr/sbin/pgbouncer", "/usr/local/bin/pgbouncer"].into_iter().find(|path| Path::new(path).is_file());
        let Some(program) = program else {
            let all = std::env::var("STOCKTIDE_TEST_REQUIRE").is_ok_and(|required| required == "all");
            assert!(!all, "STOCKTIDE_TEST_REQUIRE=all, but PgBouncer is not installed");
            // Not println, which is captured while a test passes.
            std::io::stderr().write_all(b"SKIPPED: PgBouncer is not installed\n").unwrap();
            return None;
        };
        let dir = tempfile::tempdir().unwrap();
        let (_, server) = database.url.split_once('@').unwrap();
        let (host, server_port) = server.split_once('/').unwrap().0.split_once(':').unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut configuration = CONFIGURATION.to_owned();
        // What differs on this machine.
        for (shipped, here) in [
            ("stocktide = host=127.0.0.1 port=5432 dbname=stocktide", format!("* = host={host} port={server_port}")),
            ("listen_port = 6432", format!("listen_port = {port}")),
            ("auth_type = scram-sha-256", "auth_type = trust".to_owned()),
            ("auth_file = /etc/pgbouncer/userlist.txt", format!("auth_file = {}", dir.path().join("userlist.txt").display())),
            ("logfile = /var/log/postgresql/pgbouncer.log\n", String::new()),
            ("pidfile = /var/run/postgresql/pgbouncer.pid\n", "unix_socket_dir =\n".to_owned()),
            ("default_pool_size = 20", format!("default_pool_size = {SESSIONS}")),
        ] {
            assert_eq!(configuration.matches(shipped).count(), 1, "{shipped}");
            configuration = configuration.replace(shipped, &here);
        }
        let file = dir.path().join("pgbouncer.ini");
        std::fs::write(&file, configuration).unwrap();
        std::fs::write(dir.path().join("userlist.txt"), "\"stocktide\" \"\"\n").unwrap();
        let is_root = std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0);
        let mut command = if is_root {
            // It refuses to run as root.
            assert!(Command::new("chown").args(["-R", "postgres"]).arg(dir.path()).status().unwrap().success());
            let mut command = Command::new("setpriv");
            command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", program]);
            command
        } else {
            Command::new(program)
        };
        let log = std::fs::File::create(dir.path().join("log")).unwrap();
        let child = command.arg("-q").arg(&file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let started = Self { child, port, _dir: dir };
        let is_there = || TcpStream::connect(("127.0.0.1", port)).is_ok();
        assert!(
            (0..500).any(|_| is_there() || {
                pause(Duration::from_millis(20));
                false
            }),
            "PgBouncer did not start"
        );
        Some(started)
    }

    fn url(&self, database: &TestDatabase) -> String {
        let (front, name) = database.url.rsplit_once('/').unwrap();
        let (role, _) = front.split_once('@').unwrap();
        format!("{role}@127.0.0.1:{}/{name}", self.port)
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// What one session after the other has, as a client of the pooler sees it.
fn left_in_sessions(pooled_url: &str) -> Vec<String> {
    #[derive(diesel::QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        bounds: String,
        #[diesel(sql_type = BigInt)]
        prepared: i64,
    }
    let mut open: Vec<PgConnection> = (0..SESSIONS).map(|_| PgConnection::establish(pooled_url).unwrap()).collect();
    let look = "SELECT current_setting('lock_timeout') || ' ' || current_setting('statement_timeout') || ' ' || \
         current_setting('idle_in_transaction_session_timeout') || ' ' || current_setting('synchronous_commit') AS bounds, \
         (SELECT count(*) FROM pg_prepared_statements) AS prepared";
    // All at once, so that each has a session of its own.
    open.iter_mut().for_each(|conn| conn.batch_execute("BEGIN").unwrap());
    let rows = open.iter_mut().map(|conn| diesel::sql_query(look).get_result::<Row>(conn).unwrap());
    let mut seen: Vec<String> = rows.map(|row| format!("{} {}", row.bounds, row.prepared)).collect();
    open.iter_mut().for_each(|conn| conn.batch_execute("COMMIT").unwrap());
    seen.dedup();
    seen
}

#[test]
fn two_nodes_behind_pgbouncer_in_transaction_mode_lose_and_duplicate_nothing_and_leave_nothing_in_its_sessions() {
    Backend::on_postgres(|backend| {
        let (database, platform) = (TestDatabase::fresh(backend), Program::simulate_platform());
        let Some(pooler) = PgBouncer::before(&database) else { return };
        let (url, direct) = (pooler.url(&database), format!("database_direct_url={}", database.url));
        let start = |name: &str| Program::serve_at(&url, &[&direct, &format!("node={name}")]);
        platform.call("PUT", "/control/faults", "", &json!({ "lose_answer": 0.1, "cut": 0.05, "latency_ms": 5 }));
        let (one, other) = (start("one"), start("other"));
        let driver = Driver::start(41, &one, &platform);
        for turn in 0..8 {
            pause(Duration::from_millis(500));
            driver.switch_to(if turn % 2 == 0 { &other } else { &one });
        }
        // The other one goes on for its sellers.
        one.kill();
        driver.switch_to(&other);
        pause(Duration::from_secs(3));
        let repeats = driver.repeats();
        assert_eq!(driver.verdict(&other, &platform), Verdict::default());
        assert!(repeats < 200, "{repeats} requests had to be repeated, most of them without need");
        assert_eq!(left_in_sessions(&url), ["0 1min 0 on 0"], "PostgreSQL's defaults, and the bound of the configuration");
        other.signal("TERM");
        let (status, log) = other.wait_for_exit();
        assert!(status == Some(0) && !log.contains("panicked") && !log.contains("cannot be read"), "{log}");
    });
}

#[test]
fn a_pooler_that_the_settings_do_not_know_of_ends_the_start_with_the_cure() {
    Backend::on_postgres(|backend| {
        let database = TestDatabase::fresh(backend);
        let Some(pooler) = PgBouncer::before(&database) else { return };
        let (url, direct) = (pooler.url(&database), format!("database_direct_url={}", database.url));
        let twice = format!("database_direct_url={url}");
        let keys = [("STOCKTIDE_CREDENTIAL_KEY", CREDENTIAL_KEY), ("STOCKTIDE_LISTEN", "127.0.0.1:0")];
        let quiet = ["--database", &url, "--set", "log=error"];
        for arguments in [vec!["serve"], vec!["serve", "--no-migrate"], vec!["migrate"], vec!["serve", "--set", &twice]] {
            let ended = output(&[&arguments[..], &quiet].concat(), &keys);
            let said = String::from_utf8_lossy(&[ended.stdout, ended.stderr].concat()).into_owned();
            assert!(ended.status.code() == Some(1) && said.contains("database_direct_url to the server itself"), "{arguments:?}: {said}");
        }
        let migrated = output(&[&["migrate", "--set", &direct][..], &quiet].concat(), &keys);
        assert_eq!(migrated.status.code(), Some(0), "{}", String::from_utf8_lossy(&migrated.stderr));
    });
}
