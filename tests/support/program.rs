//! Used by the suites `processes` and `interop`: the built program as a process that is started, sent signals or killed,
//! and never left running.
use crate::client::{Answer, exchange, request};
use crate::database::TestDatabase;
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::Duration;

pub const OPERATOR_KEY: &str = "an-operator-key-for-tests-0123456789";
pub const CREDENTIAL_KEY: &str = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";
/// Generous, because a debug build on a busy machine starts slowly.
const STARTS_WITHIN: Duration = Duration::from_secs(60);

/// The program with these arguments and an empty environment.
pub fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stocktide"));
    command.env_clear().args(arguments).stdin(Stdio::null());
    command
}

/// Runs the program until it exits.
pub fn output(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    program(arguments).envs(environment.iter().copied()).output().unwrap()
}

/// What a process occupies on the machine.
#[derive(Debug, Clone, Copy)]
pub struct Resources {
    pub resident_kb: u64,
    /// The most that was resident at any time.
    pub peak_resident_kb: u64,
    pub descriptors: usize,
}

/// A running process that listens for requests; killed when dropped.
pub struct Program {
    pub address: SocketAddr,
    child: Child,
    log: Option<JoinHandle<String>>,
}

impl Program {
    /// The service on this database, with short delays before retries so that tests are fast.
    pub fn serve(database: &TestDatabase, settings: &[&str]) -> Self {
        Self::serve_of(env!("CARGO_BIN_EXE_stocktide"), database, settings)
    }

    /// The service of another build on this database.
    pub fn serve_of(build: &str, database: &TestDatabase, settings: &[&str]) -> Self {
        let given: Vec<String> = database.settings().into_iter().skip(1).map(|(name, value)| format!("{name}={value}")).collect();
        let settings: Vec<&str> = given.iter().map(String::as_str).chain(settings.iter().copied()).collect();
        let mut command = Command::new(build);
        command.env_clear().stdin(Stdio::null());
        Self::start(Self::service(command, database.pooled_url.as_ref().unwrap_or(&database.url), &settings))
    }

    /// The service on the database at this URL.
    pub fn serve_at(url: &str, settings: &[&str]) -> Self {
        Self::start(Self::service(program(&[]), url, settings))
    }

    /// The service on the database at this URL, with extra environment variables, such as other keys.
    pub fn serve_with(url: &str, environment: &[(&str, &str)]) -> Self {
        let mut command = Self::service(program(&[]), url, &[]);
        command.envs(environment.iter().copied());
        Self::start(command)
    }

    /// The service on this database, as a process that gets an error for a write beyond its file size limit instead of
    /// being killed.
    pub fn serve_that_survives_file_limits(database: &TestDatabase, settings: &[&str]) -> Self {
        Self::start(Self::service(Self::in_shell("trap '' XFSZ"), &database.url, settings))
    }

    /// The service on this database, as a process whose new files are readable by everybody unless it says otherwise; its
    /// credential key is in a file.
    pub fn serve_with_an_open_umask(database: &TestDatabase) -> Self {
        let mut command = Self::service(Self::in_shell("umask 022"), &database.url, &[]);
        command.env("STOCKTIDE_CREDENTIAL_KEY", "");
        Self::start(command)
    }

    fn in_shell(first: &str) -> Command {
        let mut command = Command::new("sh");
        command.env_clear().stdin(Stdio::null());
        command.args(["-c", &format!("{first}; exec \"$0\" \"$@\""), env!("CARGO_BIN_EXE_stocktide")]);
        command
    }

    /// The service on this database, as a process that is bound by file permissions even when run by root; it does not
    /// run migrations.
    pub fn serve_that_obeys_permissions(database: &TestDatabase) -> Self {
        let mut command = Command::new("setpriv");
        command.env_clear().stdin(Stdio::null());
        let is_root = std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0);
        if is_root {
            command.arg("--bounding-set=-dac_override,-dac_read_search");
        }
        command.arg(env!("CARGO_BIN_EXE_stocktide"));
        let mut command = Self::service(command, &database.url, &[]);
        command.arg("--no-migrate");
        Self::start(command)
    }

    fn service(mut command: Command, url: &str, settings: &[&str]) -> Command {
        command.args(["serve", "--listen", "127.0.0.1:0", "--database", url]);
        let own = [
            "retry_base_ms=20",
            "retry_cap_ms=1000",
            "request_timeout_ms=300",
            "settle_ms=400",
            "poll_every_s=1",
            "requests_per_second=10000",
            "lease_ms=2000",
            "arbiters=1",
            "http_workers=1",
        ];
        for setting in own.iter().chain(settings) {
            command.args(["--set", setting]);
        }
        command.env("STOCKTIDE_OPERATOR_KEY", OPERATOR_KEY).env("STOCKTIDE_CREDENTIAL_KEY", CREDENTIAL_KEY);
        command.env("STOCKTIDE_ALLOW_PRIVATE_TARGETS", "true");
        command
    }

    pub fn simulate_platform() -> Self {
        Self::start(program(&["simulate-platform", "--listen", "127.0.0.1:0", "--seed", "7"]))
    }

    /// The service with a log that nobody reads once it listens: every write to it then fails.
    pub fn serve_with_a_log_that_breaks(database: &TestDatabase) -> Self {
        Self::start_and_read(Self::service(program(&[]), &database.url, &["log=trace"]), |line| !line.contains(" is listening"))
    }

    fn start(command: Command) -> Self {
        Self::start_and_read(command, |_| true)
    }

    /// Reads the log until `keep_reading` returns false for a line, then closes it.
    fn start_and_read(mut command: Command, keep_reading: fn(&str) -> bool) -> Self {
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let stderr = child.stderr.take().unwrap();
        let (sender, receiver) = channel();
        let log = std::thread::spawn(move || {
            let mut log = String::new();
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if line.contains(" is listening") {
                    sender.send(address_in(&line)).ok();
                }
                log.push_str(&line);
                log.push('\n');
                if !keep_reading(&line) {
                    break;
                }
            }
            log
        });
        let Some(address) = Self::first(&receiver) else {
            child.kill().ok();
            panic!("the program did not start listening: {:?}\n{}", child.wait(), log.join().unwrap());
        };
        Self { address, child, log: Some(log) }
    }

    fn first(receiver: &Receiver<Option<SocketAddr>>) -> Option<SocketAddr> {
        receiver.recv_timeout(STARTS_WITHIN).ok().flatten()
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// A request without a key; any answer will do.
    pub fn ask(&self, method: &str, path: &str) -> Answer {
        call(self.address, method, path, "", &Value::Null).unwrap()
    }

    pub fn resources(&self) -> Resources {
        let proc = format!("/proc/{}", self.child.id());
        let status = std::fs::read_to_string(format!("{proc}/status")).unwrap();
        let kb = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.trim().split(' ').next().unwrap().parse().unwrap()
        };
        Resources {
            resident_kb: kb("VmRSS:"),
            peak_resident_kb: kb("VmHWM:"),
            descriptors: std::fs::read_dir(format!("{proc}/fd")).unwrap().count(),
        }
    }

    /// Sends the signal of this name, such as `TERM`.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("sh").args(["-c", &format!("kill -{name} {}", self.child.id())]).status().unwrap();
        assert!(sent.success(), "{name} could not be sent");
    }

    /// Waits for the process to exit; returns the exit status (`None` after a signal) and the log.
    pub fn wait_for_exit(mut self) -> (Option<i32>, String) {
        let status = self.child.wait().unwrap();
        let log = self.log.take().map(JoinHandle::join).unwrap().unwrap();
        (status.code(), log)
    }

    /// `kill -9`.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        let (status, log) = self.wait_for_exit();
        assert_eq!(status, None, "it exited before it was killed:\n{log}");
    }

    /// A request that must succeed.
    pub fn call(&self, method: &str, path: &str, key: &str, body: &Value) -> Value {
        let answer = call(self.address, method, path, key, body).unwrap();
        assert!(answer.status < 300, "{method} {path}: {} {}", answer.status, answer.text());
        if answer.body.is_empty() { Value::Null } else { answer.json() }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        let log = self.log.take().and_then(|log| log.join().ok());
        if let Some(log) = log.filter(|_| std::thread::panicking()) {
            println!("the program's log:\n{log}");
        }
    }
}

/// A request that may fail to get an answer.
pub fn call(address: SocketAddr, method: &str, path: &str, key: &str, body: &Value) -> std::io::Result<Answer> {
    let bearer = format!("Bearer {key}");
    let text = body.to_string();
    let bytes = (!body.is_null()).then_some(text.as_bytes());
    exchange(address, &request(method, path, &[("authorization", &bearer), ("content-type", "application/json")], bytes))
}

fn address_in(line: &str) -> Option<SocketAddr> {
    line.split("address=").nth(1)?.split(' ').next()?.parse().ok()
}

#[expect(clippy::disallowed_methods, reason = "tests run on their own threads, not on arbiters")]
pub fn pause(span: Duration) {
    std::thread::sleep(span);
}
