//! What goes wrong around a running service: the database's disk, its server, the connection to it, and platforms that
//! answer as no platform should. Nothing is lost, nothing is duplicated, and the service recovers on its own.
use crate::cluster::Cluster;
use crate::database::{Backend, TestDatabase};
use crate::driver::{Driver, Verdict};
use crate::program::{OPERATOR_KEY, Program, pause};
use crate::wire::{Mode, Wire};
use serde_json::json;
use std::fs::Permissions;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// This many commits are cut off before they reach the server, and as many after.
const CUTS: usize = 15;

fn lose_answers(platform: &Program) {
    platform.call("PUT", "/control/faults", "", &json!({ "lose_answer": 0.1, "cut": 0.05, "latency_ms": 5 }));
}

/// Passes the address in this URL to `wire` and returns the URL with the address that `wire` gives instead.
fn through_wire(url: &str, wire: impl FnOnce(SocketAddr) -> SocketAddr) -> String {
    let (scheme, rest) = url.split_once("://").unwrap();
    let (authority, database) = rest.split_once('/').unwrap();
    let (user, host) = authority.rsplit_once('@').map_or((None, authority), |(user, host)| (Some(user), host));
    let host = if host.contains(':') { host.to_owned() } else { format!("{host}:5432") };
    let address = wire(host.to_socket_addrs().unwrap().find(SocketAddr::is_ipv4).unwrap());
    format!("{scheme}://{}{address}/{database}", user.map(|user| format!("{user}@")).unwrap_or_default())
}

#[test]
fn connections_cut_during_a_commit_lose_and_duplicate_nothing() {
    Backend::on_postgres(|backend| {
        let (database, platform) = (TestDatabase::fresh(backend), Program::simulate_platform());
        let mut wire = None;
        let url = through_wire(&database.url, |server| wire.insert(Wire::to(server)).address);
        let wire = wire.unwrap();
        lose_answers(&platform);
        let service = Program::serve_at(&url, &[]);
        let driver = Driver::start(11, &service, &platform);
        for cut in 0..2 * CUTS {
            wire.set_mode(if cut % 2 == 0 { Mode::CutBeforeCommit } else { Mode::CutAfterCommit });
            (0..3000).take_while(|_| wire.cuts() <= cut).for_each(|_| pause(Duration::from_millis(10)));
            pause(Duration::from_millis(60));
        }
        assert_eq!(wire.cuts(), 2 * CUTS, "too few commits came by");
        assert_eq!(driver.verdict(&service, &platform), Verdict::default());
    });
}

#[test]
fn restarting_the_database_server_under_load_loses_and_duplicates_nothing() {
    let Some(cluster) = Cluster::make() else { return };
    let platform = Program::simulate_platform();
    lose_answers(&platform);
    let service = Program::serve_at(&cluster.url(), &[]);
    let driver = Driver::start(12, &service, &platform);
    for how in ["fast", "immediate", "fast"] {
        pause(Duration::from_millis(500));
        cluster.stop(how);
        let answer = service.ask("GET", "/readyz");
        assert_eq!(answer.status, 503, "{}", answer.text());
        assert_eq!(service.ask("GET", "/healthz").status, 200, "the process is still alive");
        pause(Duration::from_millis(500));
        cluster.start();
    }
    pause(Duration::from_millis(500));
    assert_eq!(driver.verdict(&service, &platform), Verdict::default());
    let (status, log) = {
        service.signal("TERM");
        service.wait_for_exit()
    };
    assert!(status == Some(0) && !log.contains("panicked"), "{log}");
}

/// Waits until the driver has had to repeat this many more requests.
fn wait_until_refused(driver: &Driver, requests: usize) {
    let enough = driver.repeats() + requests;
    (0..3000).take_while(|_| driver.repeats() < enough).for_each(|_| pause(Duration::from_millis(10)));
    assert!(driver.repeats() >= enough, "writes still succeed");
}

#[test]
fn a_full_disk_means_503_until_there_is_room_again() {
    let (database, platform) = (TestDatabase::fresh(Backend::Sqlite), Program::simulate_platform());
    lose_answers(&platform);
    let service = Program::serve_that_survives_file_limits(&database, &[]);
    let driver = Driver::start(13, &service, &platform);
    for _ in 0..2 {
        pause(Duration::from_millis(500));
        // Nothing can be written beyond the first page of a file, as on a full disk. A limit at the current length of the
        // write-ahead log would not do: SQLite would reuse the log from its start, which takes seconds of load to fill.
        limit_file_size(&service, "4096");
        // If the last connection was closed too, each request first waits for a new one.
        wait_until_refused(&driver, 8);
        assert_eq!(service.ask("GET", "/healthz").status, 200, "the process is still alive");
        assert_eq!(service.ask("GET", "/readyz").status, 503);
        limit_file_size(&service, "unlimited");
    }
    pause(Duration::from_millis(500));
    assert_eq!(driver.verdict(&service, &platform), Verdict::default());
}

/// Twice, a PostgreSQL server refuses all writes for a while under load.
fn a_server_that_refuses_to_write(seed: u64, may_write: fn(&Cluster, bool)) {
    let Some(cluster) = Cluster::make() else { return };
    let platform = Program::simulate_platform();
    lose_answers(&platform);
    let service = Program::serve_at(&cluster.url(), &[]);
    let driver = Driver::start(seed, &service, &platform);
    for _ in 0..2 {
        pause(Duration::from_millis(500));
        may_write(&cluster, false);
        wait_until_refused(&driver, 20);
        assert_eq!(service.ask("GET", "/healthz").status, 200, "the process is still alive");
        let ready = service.ask("GET", "/readyz");
        assert_eq!(ready.status, 503, "{}", ready.text());
        may_write(&cluster, true);
        // Asks for a trial write at most once a second.
        (0..100).take_while(|_| service.ask("GET", "/readyz").status != 200).for_each(|_| pause(Duration::from_millis(100)));
        assert_eq!(service.ask("GET", "/readyz").status, 200);
    }
    pause(Duration::from_millis(500));
    assert_eq!(driver.verdict(&service, &platform), Verdict::default());
}

#[test]
fn a_database_server_with_a_full_disk_means_503_until_there_is_room_again() {
    a_server_that_refuses_to_write(16, Cluster::set_has_room);
}

pub fn limit_file_size(service: &Program, bytes: &str) {
    let limited = Command::new("prlimit").args([&format!("--pid={}", service.id()), &format!("--fsize={bytes}:unlimited")]).status();
    assert!(limited.unwrap().success());
}

#[test]
fn a_read_only_database_means_503_until_it_is_writable_again() {
    let (database, platform) = (TestDatabase::fresh(Backend::Sqlite), Program::simulate_platform());
    let service = Program::serve(&database, &[]);
    let driver = Driver::start(14, &service, &platform);
    pause(Duration::from_millis(500));
    service.signal("TERM");
    service.wait_for_exit();
    let file = PathBuf::from(database.url.trim_start_matches("sqlite://"));
    let folder = file.parent().unwrap().to_owned();
    let set_modes = |of_file: u32, of_folder: u32| {
        std::fs::set_permissions(&file, Permissions::from_mode(of_file)).unwrap();
        std::fs::set_permissions(&folder, Permissions::from_mode(of_folder)).unwrap();
    };
    set_modes(0o444, 0o555);
    let service = Program::serve_that_obeys_permissions(&database);
    driver.switch_to(&service);
    // Each request first waits for a connection, for seconds.
    wait_until_refused(&driver, 3);
    set_modes(0o644, 0o755);
    pause(Duration::from_millis(500));
    assert_eq!(driver.verdict(&service, &platform), Verdict::default());
}

#[test]
fn a_temporarily_read_only_database_server_means_503_and_loses_nothing() {
    a_server_that_refuses_to_write(15, Cluster::set_writable);
}

/// Whether the service disconnects, within this time, a client that sends `at_once` and then one byte per second. It must
/// not answer in the first seconds: the timeout is under test.
fn disconnects(service: SocketAddr, at_once: &str, slowly: &str, within: Duration) -> bool {
    let mut client = TcpStream::connect(service).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    client.write_all(at_once.as_bytes()).unwrap();
    let mut slowly = slowly.bytes().chain(std::iter::repeat(b' '));
    (0..within.as_secs()).any(|second| {
        let sent = client.write_all(&[slowly.next().unwrap()]);
        let mut answer = [0; 1024];
        let is_over = sent.is_err() || !matches!(client.read(&mut answer), Err(error) if error.kind() == ErrorKind::WouldBlock);
        assert!(!is_over || second >= 3, "it was answered before it could be slow: {}", String::from_utf8_lossy(&answer));
        is_over
    })
}

#[test]
fn a_client_that_sends_one_byte_per_second_is_cut_off() {
    let database = TestDatabase::fresh(Backend::Sqlite);
    let service = Program::serve(&database, &[]);
    let created = service.call("POST", "/admin/sellers", OPERATOR_KEY, &json!({ "name": "Ada", "timezone": "UTC" }));
    let key = created["api_key"].as_str().unwrap();
    let head = format!(
        "POST /v1/stock-events HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n"
    );
    let (address, within) = (service.address, Duration::from_secs(45));
    std::thread::scope(|scope| {
        let headers = scope.spawn(|| disconnects(address, &head[..10], &head[10..], within));
        let body = scope.spawn(|| disconnects(address, &head, "", within));
        assert!(headers.join().unwrap(), "headers may take forever");
        assert!(body.join().unwrap(), "a body may take forever");
    });
}

/// Runs while a platform's answers are tampered with like this, and after they are normal again.
fn a_platform_that_answers_like(mode: Mode) {
    let (database, platform) = (TestDatabase::fresh(Backend::Sqlite), Program::simulate_platform());
    let service = Program::serve(&database, &[]);
    let wire = Wire::to(platform.address);
    let driver = Driver::start_with_platform_at(21, &service, wire.address);
    pause(Duration::from_millis(700));
    let before = service.resources();
    wire.set_mode(mode);
    pause(Duration::from_secs(4));
    let spoiled = service.resources();
    wire.set_mode(Mode::Forward);
    assert_eq!(driver.verdict(&service, &platform), Verdict::default());
    println!("{before:?}, then {spoiled:?}");
    assert!(spoiled.descriptors < before.descriptors + 200, "{before:?}, then {spoiled:?}");
    assert!(spoiled.resident_kb < before.resident_kb + 64 * 1024, "{before:?}, then {spoiled:?}");
}

#[test]
fn a_platform_that_never_answers_loses_no_units_and_leaks_no_memory_or_descriptors() {
    a_platform_that_answers_like(Mode::Silent);
}

#[test]
fn a_platform_that_answers_one_byte_per_second_loses_no_units_and_leaks_no_memory_or_descriptors() {
    a_platform_that_answers_like(Mode::Dripping);
}

#[test]
fn a_platform_that_answers_garbage_loses_no_units_and_leaks_no_memory_or_descriptors() {
    a_platform_that_answers_like(Mode::Garbage);
}

#[test]
fn a_platform_that_answers_with_50_megabytes_loses_no_units_and_leaks_no_memory_or_descriptors() {
    a_platform_that_answers_like(Mode::Huge);
}
