//! What goes wrong around a running service: its database's disk, its database's server, the wire to it, and platforms
//! that answer as no platform should. Nothing is lost, nothing comes twice, and the service recovers by itself.
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

/// Commits cut before, and as many cut after, they are done.
const CUTS: usize = 15;

fn lose_answers(platform: &Program) {
    platform.call("PUT", "/control/faults", "", &json!({ "lose_answer": 0.1, "cut": 0.05, "latency_ms": 5 }));
}

/// Where the server of this URL listens, and the URL by another way.
fn by_way_of(url: &str, wire: impl FnOnce(SocketAddr) -> SocketAddr) -> String {
    let (scheme, rest) = url.split_once("://").unwrap();
    let (authority, database) = rest.split_once('/').unwrap();
    let (user, host) = authority.rsplit_once('@').map_or((None, authority), |(user, host)| (Some(user), host));
    let host = if host.contains(':') { host.to_owned() } else { format!("{host}:5432") };
    let address = wire(host.to_socket_addrs().unwrap().find(SocketAddr::is_ipv4).unwrap());
    format!("{scheme}://{}{address}/{database}", user.map(|user| format!("{user}@")).unwrap_or_default())
}

#[test]
fn connections_cut_in_the_middle_of_a_commit_lose_nothing_and_double_nothing() {
    Backend::on_postgres(|on| {
        let (database, platform) = (TestDatabase::fresh(on), Program::simulate_platform());
        let mut wire = None;
        let url = by_way_of(&database.url, |server| wire.insert(Wire::to(server)).address);
        let wire = wire.unwrap();
        lose_answers(&platform);
        let service = Program::serve_at(&url, &[]);
        let driver = Driver::start(11, &service, &platform);
        for cut in 0..2 * CUTS {
            wire.becomes(if cut % 2 == 0 { Mode::CutBeforeCommit } else { Mode::CutAfterCommit });
            (0..3000).take_while(|_| wire.cuts() <= cut).for_each(|_| pause(Duration::from_millis(10)));
            pause(Duration::from_millis(60));
        }
        assert_eq!(wire.cuts(), 2 * CUTS, "nothing was being written");
        assert_eq!(driver.verdict(&service, &platform), Verdict::default());
    });
}

#[test]
fn a_database_server_that_is_stopped_and_started_under_load_loses_nothing_and_doubles_nothing() {
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
        assert_eq!(service.ask("GET", "/healthz").status, 200, "the process lives");
        pause(Duration::from_millis(500));
        cluster.start();
    }
    pause(Duration::from_millis(500));
    assert_eq!(driver.verdict(&service, &platform), Verdict::default());
    let (status, log) = {
        service.signal("TERM");
        service.ends()
    };
    assert!(status == Some(0) && !log.contains("panicked"), "{log}");
}

/// Waits until the driver had to repeat so many requests more.
fn until_refused(driver: &Driver, requests: usize) {
    let enough = driver.repeats() + requests;
    (0..3000).take_while(|_| driver.repeats() < enough).for_each(|_| pause(Duration::from_millis(10)));
    assert!(driver.repeats() >= enough, "something was written");
}

#[test]
fn a_full_disk_is_answered_with_503_and_everything_goes_on_when_there_is_room_again() {
    let (database, platform) = (TestDatabase::fresh(Backend::Sqlite), Program::simulate_platform());
    lose_answers(&platform);
    let service = Program::serve_that_survives_file_limits(&database);
    let driver = Driver::start(13, &service, &platform);
    for _ in 0..2 {
        pause(Duration::from_millis(500));
        // Nothing can be written beyond the first page of a file, as on a disk that is full. A limit at the length of the
        // log of writes would let it begin again at its front, which takes seconds of load to fill.
        limit_files(&service, "4096");
        // Where the last connection was closed too, each request waits for another first.
        until_refused(&driver, 8);
        assert_eq!(service.ask("GET", "/healthz").status, 200, "the process lives");
        limit_files(&service, "unlimited");
    }
    pause(Duration::from_millis(500));
    assert_eq!(driver.verdict(&service, &platform), Verdict::default());
}

/// While a server of PostgreSQL lets nothing be written, twice.
fn a_server_that_refuses_to_write(seed: u64, may_write: fn(&Cluster, bool)) {
    let Some(cluster) = Cluster::make() else { return };
    let platform = Program::simulate_platform();
    lose_answers(&platform);
    let service = Program::serve_at(&cluster.url(), &[]);
    let driver = Driver::start(seed, &service, &platform);
    for _ in 0..2 {
        pause(Duration::from_millis(500));
        may_write(&cluster, false);
        until_refused(&driver, 20);
        assert_eq!(service.ask("GET", "/healthz").status, 200, "the process lives");
        may_write(&cluster, true);
    }
    pause(Duration::from_millis(500));
    assert_eq!(driver.verdict(&service, &platform), Verdict::default());
}

#[test]
fn a_server_whose_disk_is_full_is_answered_with_503_and_everything_goes_on_when_there_is_room_again() {
    a_server_that_refuses_to_write(16, Cluster::has_room);
}

fn limit_files(service: &Program, bytes: &str) {
    let told = Command::new("prlimit").args([&format!("--pid={}", service.id()), &format!("--fsize={bytes}:unlimited")]).status();
    assert!(told.unwrap().success());
}

#[test]
fn a_database_that_may_only_be_read_is_answered_with_503_until_it_may_be_written() {
    let (database, platform) = (TestDatabase::fresh(Backend::Sqlite), Program::simulate_platform());
    let service = Program::serve(&database, &[]);
    let driver = Driver::start(14, &service, &platform);
    pause(Duration::from_millis(500));
    service.signal("TERM");
    service.ends();
    let file = PathBuf::from(database.url.trim_start_matches("sqlite://"));
    let folder = file.parent().unwrap().to_owned();
    let may = |of_file: u32, of_folder: u32| {
        std::fs::set_permissions(&file, Permissions::from_mode(of_file)).unwrap();
        std::fs::set_permissions(&folder, Permissions::from_mode(of_folder)).unwrap();
    };
    may(0o444, 0o555);
    let service = Program::serve_that_obeys_permissions(&database);
    driver.goes_on_with(&service);
    // Each request waits for a connection first.
    until_refused(&driver, 8);
    may(0o644, 0o755);
    pause(Duration::from_millis(500));
    assert_eq!(driver.verdict(&service, &platform), Verdict::default());
}

#[test]
fn a_server_that_only_lets_read_for_a_while_is_answered_with_503_and_loses_nothing() {
    a_server_that_refuses_to_write(15, Cluster::may_be_written);
}

/// Whether the service lets go of a client that sends `at_once`, and then a byte a second, within this time. Nothing is
/// answered before: it is the waiting that ends.
fn lets_go_of(service: SocketAddr, at_once: &str, slowly: &str, within: Duration) -> bool {
    let mut client = TcpStream::connect(service).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    client.write_all(at_once.as_bytes()).unwrap();
    let mut slowly = slowly.bytes().chain(std::iter::repeat(b' '));
    (0..within.as_secs()).any(|second| {
        let sent = client.write_all(&[slowly.next().unwrap()]);
        let mut answer = [0; 1024];
        let is_over = sent.is_err() || !matches!(client.read(&mut answer), Err(error) if error.kind() == ErrorKind::WouldBlock);
        assert!(!is_over || second >= 3, "it was answered before it had time to be slow: {}", String::from_utf8_lossy(&answer));
        is_over
    })
}

#[test]
fn a_client_that_sends_a_byte_a_second_is_cut_off() {
    let database = TestDatabase::fresh(Backend::Sqlite);
    let service = Program::serve(&database, &[]);
    let made = service.call("POST", "/admin/sellers", OPERATOR_KEY, &json!({ "name": "Ada", "timezone": "UTC" }));
    let key = made["api_key"].as_str().unwrap();
    let head = format!(
        "POST /v1/stock-events HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n"
    );
    let (address, within) = (service.address, Duration::from_secs(45));
    std::thread::scope(|scope| {
        let headers = scope.spawn(|| lets_go_of(address, &head[..10], &head[10..], within));
        let body = scope.spawn(|| lets_go_of(address, &head, "", within));
        assert!(headers.join().unwrap(), "headers may take for ever");
        assert!(body.join().unwrap(), "a body may take for ever");
    });
}

/// While a platform answers like this, and after it.
fn a_platform_that_answers_like(mode: Mode) {
    let (database, platform) = (TestDatabase::fresh(Backend::Sqlite), Program::simulate_platform());
    let service = Program::serve(&database, &[]);
    let wire = Wire::to(platform.address);
    let driver = Driver::start_by_way_of(21, &service, wire.address);
    pause(Duration::from_millis(700));
    let before = service.resources();
    wire.becomes(mode);
    pause(Duration::from_secs(4));
    let spoiled = service.resources();
    wire.becomes(Mode::Whole);
    assert_eq!(driver.verdict(&service, &platform), Verdict::default());
    println!("{before:?}, then {spoiled:?}");
    assert!(spoiled.descriptors < before.descriptors + 200, "{before:?}, then {spoiled:?}");
    assert!(spoiled.resident_kb < before.resident_kb + 64 * 1024, "{before:?}, then {spoiled:?}");
}

#[test]
fn a_platform_that_never_answers_costs_neither_units_nor_memory_nor_descriptors() {
    a_platform_that_answers_like(Mode::Silent);
}

#[test]
fn a_platform_that_answers_a_byte_a_second_costs_neither_units_nor_memory_nor_descriptors() {
    a_platform_that_answers_like(Mode::Dripping);
}

#[test]
fn a_platform_that_answers_rubbish_costs_neither_units_nor_memory_nor_descriptors() {
    a_platform_that_answers_like(Mode::Rubbish);
}

#[test]
fn a_platform_that_answers_with_50_megabytes_costs_neither_units_nor_memory_nor_descriptors() {
    a_platform_that_answers_like(Mode::Huge);
}
