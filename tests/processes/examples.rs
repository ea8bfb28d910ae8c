//! The sample clients in `examples/`, run against the service through a proxy that loses its first answer and is out of order
//! for the second request: the event is applied once, and the client ends only when it knows that.
use crate::client::{Answer, exchange, request};
use crate::database::{Backend, TestDatabase};
use crate::program::{OPERATOR_KEY, Program};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A proxy that does to the first requests what `plan` says, and passes on the others.
struct Proxy {
    address: SocketAddr,
    requests: Arc<AtomicUsize>,
}

#[derive(Clone, Copy)]
enum Trouble {
    /// The service answers, but nobody hears it.
    LoseAnswer,
    Unavailable,
}

impl Proxy {
    fn before(service: SocketAddr, plan: &'static [Trouble]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, requests) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
        let counter = Arc::clone(&requests);
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                // Some clients open a connection that they do not use.
                let Some(received) = receive(&client) else { continue };
                let number = counter.fetch_add(1, Ordering::SeqCst);
                match plan.get(number) {
                    Some(Trouble::Unavailable) => {
                        let busy =
                            Answer { status: 503, headers: vec![("retry-after".to_owned(), "0".to_owned())], body: b"busy".to_vec() };
                        send(&client, &busy);
                    }
                    Some(Trouble::LoseAnswer) => drop(exchange(service, &received)),
                    None => send(&client, &exchange(service, &received).unwrap()),
                }
            }
        });
        Self { address, requests }
    }
}

/// A request, as it is passed on.
fn receive(client: &TcpStream) -> Option<Vec<u8>> {
    let mut reader = BufReader::new(client);
    let mut first = String::new();
    reader.read_line(&mut first).ok()?;
    let (method, rest) = first.split_once(' ')?;
    let (path, _) = rest.split_once(' ')?;
    let mut headers: Vec<(String, String)> = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.push((name.to_ascii_lowercase(), value.to_owned()));
    }
    let value = |wanted: &str| headers.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
    let mut body = vec![0; value("content-length")?.parse().ok()?];
    if value("expect").is_some() {
        let mut back = client;
        back.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").ok()?;
    }
    reader.read_exact(&mut body).ok()?;
    let passed_on: Vec<(&str, &str)> =
        ["authorization", "content-type"].into_iter().filter_map(|name| Some((name, value(name)?))).collect();
    Some(request(method, path, &passed_on, Some(&body)))
}

fn send(mut client: &TcpStream, answer: &Answer) {
    let mut head = format!("HTTP/1.1 {} x\r\nconnection: close\r\ncontent-length: {}\r\n", answer.status, answer.body.len());
    for name in ["content-type", "retry-after"] {
        if let Some(value) = answer.header(name) {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
    }
    client.write_all(format!("{head}\r\n").as_bytes()).and_then(|()| client.write_all(&answer.body)).ok();
}

/// The interpreter, if it is there and can do what the example needs.
fn has(interpreter: &str, needs: &[&str]) -> bool {
    let there = Command::new(interpreter).args(needs).output().is_ok_and(|output| output.status.success());
    if !there {
        let all = std::env::var("STOCKTIDE_TEST_REQUIRE").is_ok_and(|required| required == "all");
        assert!(!all, "STOCKTIDE_TEST_REQUIRE=all, but {interpreter} {needs:?} does not work here");
        std::io::stderr().write_all(format!("SKIPPED: {interpreter} {needs:?} does not work here\n").as_bytes()).unwrap();
    }
    there
}

fn run(interpreter: &str, script: &str, proxy: &Proxy, key: &str, event: [&str; 4]) -> Output {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/stock-events").join(script);
    let mut command = Command::new(interpreter);
    command.arg(script).args(event).env("STOCK_URL", format!("http://{}", proxy.address)).env("STOCK_KEY", key);
    ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"].into_iter().for_each(|name| {
        command.env_remove(name);
    });
    command.output().unwrap()
}

fn a_lost_answer_and_a_refusal_are_handled_by(interpreter: &str, needs: &[&str], script: &str) {
    if !has(interpreter, needs) {
        return;
    }
    let database = TestDatabase::fresh(Backend::Sqlite);
    let service = Program::serve(&database, &[]);
    let created = service.call("POST", "/admin/sellers", OPERATOR_KEY, &json!({ "name": "Ada", "timezone": "UTC" }));
    let key = created["api_key"].as_str().unwrap();
    let said = |output: &Output| {
        (output.status.code(), String::from_utf8_lossy(&[output.stdout.clone(), output.stderr.clone()].concat()).into_owned())
    };

    let proxy = Proxy::before(service.address, &[Trouble::LoseAnswer, Trouble::Unavailable]);
    let sent = said(&run(interpreter, script, &proxy, key, ["receipt-1", "A\"1", "purchase", "7"]));
    assert_eq!(sent, (Some(0), "duplicate\n".to_owned()), "{script}");
    assert_eq!(proxy.requests.load(Ordering::SeqCst), 3, "{script}");
    let available = || service.call("GET", "/v1/stock?sku=A%221", key, &Value::Null)["total_available"].clone();
    assert_eq!(available(), 7, "{script}");

    let proxy = Proxy::before(service.address, &[]);
    let sent = said(&run(interpreter, script, &proxy, key, ["receipt-2", "A\"1", "purchase", "1"]));
    assert_eq!(sent, (Some(0), "accepted\n".to_owned()), "{script}");
    for (event, key, status) in [
        (["receipt-1", "A\"1", "purchase", "8"], key, "409"),
        (["receipt-3", "A\"1", "gift", "1"], key, "422"),
        (["receipt-4", "A\"1", "purchase", "1"], "stk_wrong", "401"),
    ] {
        let proxy = Proxy::before(service.address, &[]);
        let (code, text) = said(&run(interpreter, script, &proxy, key, event));
        assert!(code == Some(1) && text.contains(status) && !text.contains("stk_"), "{script}: {code:?} {text}");
        assert_eq!(proxy.requests.load(Ordering::SeqCst), 1, "{script}: what is refused is not sent again");
    }
    assert_eq!(available(), 8, "{script}");
}

#[test]
fn the_example_in_python_sends_an_event_exactly_once() {
    a_lost_answer_and_a_refusal_are_handled_by("python3", &["--version"], "send.py");
}

#[test]
fn the_example_in_javascript_sends_an_event_exactly_once() {
    a_lost_answer_and_a_refusal_are_handled_by("node", &["-e", "process.exit(typeof fetch === 'function' ? 0 : 1)"], "send.mjs");
}

#[test]
fn the_example_in_php_sends_an_event_exactly_once() {
    a_lost_answer_and_a_refusal_are_handled_by("php", &["-r", "exit(function_exists('curl_init') ? 0 : 1);"], "send.php");
}

#[test]
fn the_example_in_shell_sends_an_event_exactly_once() {
    if has("curl", &["--version"]) {
        a_lost_answer_and_a_refusal_are_handled_by("sh", &["-c", "true"], "send.sh");
    }
}
