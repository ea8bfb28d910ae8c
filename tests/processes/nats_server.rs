//! A NATS server that belongs to one test, which can kill and start it, and a client of it.
use crate::driver::Sender;
use crate::program::{Program, pause};
use async_nats::ConnectOptions;
use async_nats::header::HeaderMap;
use async_nats::jetstream::{self, Context, consumer, stream};
use futures_util::StreamExt;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::time::Instant;

/// How long a call to NATS may take; the server may be down.
const WITHIN: Duration = Duration::from_secs(2);
/// If nothing was recorded for this long, NATS delivers nothing.
const DELIVERS_WITHIN: Duration = Duration::from_secs(20);
/// How long a client waits before each message.
const PACE: Duration = Duration::from_millis(100);

/// Killed and removed when dropped.
pub struct NatsServer {
    dir: tempfile::TempDir,
    program: PathBuf,
    port: u16,
    token: Option<&'static str>,
    /// Users and their rights.
    pub authorization: Option<String>,
    /// How the test's own clients log in, where that is not by the token: the root certificate, and a credentials file's content.
    pub secure: Option<(PathBuf, String)>,
    child: Option<Child>,
}

/// What the service's consumer has not finished.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Unfinished {
    pub not_delivered: u64,
    pub not_answered: usize,
}

/// What the service has published about a message.
#[derive(Debug)]
pub struct Rejected {
    pub subject: String,
    pub about_id: Option<String>,
    pub content_type: String,
    pub content: Value,
}

impl NatsServer {
    /// A server that is not running yet; `None`, with a note that the test was skipped, if NATS is not installed.
    pub fn make(token: Option<&'static str>) -> Option<Self> {
        let Some(program) = program() else {
            let all = std::env::var("STOCKTIDE_TEST_REQUIRE").is_ok_and(|required| required == "all");
            assert!(!all, "STOCKTIDE_TEST_REQUIRE=all, but nats-server is not installed");
            // Not println, which is captured while a test passes.
            std::io::stderr().write_all(b"SKIPPED: nats-server is not installed\n").unwrap();
            return None;
        };
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        Some(Self { dir: tempfile::tempdir().unwrap(), program, port, token, authorization: None, secure: None, child: None })
    }

    /// A running server with the streams that the service's documentation creates.
    pub fn started() -> Option<Self> {
        let mut server = Self::make(None)?;
        server.start();
        server.create_streams();
        Some(server)
    }

    pub fn url(&self) -> String {
        format!("{}://127.0.0.1:{}", if self.secure.is_some() { "tls" } else { "nats" }, self.port)
    }

    /// A path in the server's own folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn start(&mut self) {
        let mut command = Command::new(&self.program);
        command.args(["-a", "127.0.0.1", "-p", &self.port.to_string(), "-js", "-sd"]).arg(self.dir.path());
        if let Some(token) = self.token {
            command.args(["--auth", token]);
        }
        if let Some(authorization) = &self.authorization {
            let file = self.dir.path().join("nats.conf");
            std::fs::write(&file, authorization).unwrap();
            command.arg("-c").arg(file);
        }
        self.child = Some(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        (0..500).take_while(|_| TcpStream::connect(("127.0.0.1", self.port)).is_err()).for_each(|_| pause(Duration::from_millis(20)));
        // It listens before JetStream is there.
        if self.authorization.is_some() {
            return pause(Duration::from_millis(500));
        }
        let client = self.client();
        let is_there = || client.run(client.jetstream.query_account()).is_some_and(|account| account.is_ok());
        (0..100).take_while(|_| !is_there()).for_each(|_| pause(Duration::from_millis(50)));
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Waits until nothing is missing. NATS 2.9 may deliver nothing any more after it was killed, although messages are there and a
    /// pull waits for them, even one of another process; so it is started again.
    pub fn restart_until_none<T: PartialEq>(&mut self, missing: impl Fn() -> Vec<T>) {
        for _ in 0..5 {
            let (mut before, mut since) = (missing(), Instant::now());
            while !before.is_empty() && since.elapsed() < DELIVERS_WITHIN {
                pause(Duration::from_millis(200));
                let now = missing();
                if now != before {
                    (before, since) = (now, Instant::now());
                }
            }
            if before.is_empty() {
                return;
            }
            println!("NATS has stopped delivering: {:?}", self.client().unfinished());
            self.kill();
            self.start();
        }
    }

    pub fn create_streams(&self) {
        let client = self.client();
        for (name, subject) in [("STOCKTIDE", "stocktide.*.stock-events"), ("REJECTED", "stocktide.*.rejected")] {
            let retention = if name == "STOCKTIDE" { stream::RetentionPolicy::WorkQueue } else { stream::RetentionPolicy::Limits };
            let (name, subjects, discard) = (name.to_owned(), vec![subject.to_owned()], stream::DiscardPolicy::New);
            let config = stream::Config { name, subjects, retention, discard, ..Default::default() };
            let per_subject = stream::Config { max_messages_per_subject: 5000, discard_new_per_subject: true, ..config.clone() };
            let config = if subject.ends_with("stock-events") { per_subject } else { config };
            let created = client.run(client.jetstream.create_stream(config.clone())).unwrap().unwrap();
            assert_eq!(created.cached_info().config.discard_new_per_subject, config.discard_new_per_subject, "not known to this NATS");
        }
    }

    pub fn client(&self) -> Client {
        if let Some((root, credentials)) = &self.secure {
            let options = ConnectOptions::with_credentials(credentials).unwrap();
            return self.connect(options.add_root_certificates(root.clone()).require_tls(true));
        }
        self.connect(self.token.map_or_else(ConnectOptions::new, |token| ConnectOptions::with_token(token.to_owned())))
    }

    /// A client that is this user and has this inbox.
    pub fn client_of(&self, user: &str, password: &str, inbox: &str) -> Client {
        self.connect(ConnectOptions::with_user_and_password(user.to_owned(), password.to_owned()).custom_inbox_prefix(inbox))
    }

    fn connect(&self, options: ConnectOptions) -> Client {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let connection = runtime.block_on(options.retry_on_initial_connect().connect(self.url())).unwrap();
        let jetstream = runtime.block_on(async { jetstream::new(connection.clone()) });
        Client { jetstream, connection, runtime }
    }

    /// For a [`Driver`](crate::driver::Driver): publishes to this seller's subject, without an id by which NATS would recognize
    /// repeats. Publishing is much faster than recording, so it takes its time.
    pub fn sender(&self, seller: &str) -> Sender {
        let (client, subject) = (self.client(), way_in(seller));
        Box::new(move |batch| {
            pause(PACE);
            client.publish(&subject, None, &batch.to_string())
        })
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        if self.child.is_some() {
            self.kill();
        }
    }
}

pub fn way_in(seller: &str) -> String {
    format!("stocktide.{seller}.stock-events")
}

/// The series of `/metrics` that begin with `stocktide_nats_` or count stock events.
pub fn metrics(service: &Program) -> BTreeMap<String, u64> {
    let text = service.ask("GET", "/metrics").text();
    let sample = |line: &str| {
        let (name, value) = line.rsplit_once(' ')?;
        (name.starts_with("stocktide_nats_") || name.starts_with("stocktide_stock_events_"))
            .then(|| (name.to_owned(), value.parse().unwrap()))
    };
    text.lines().filter_map(sample).collect()
}

/// How many messages had this outcome.
pub fn messages(service: &Program, outcome: &str) -> u64 {
    metrics(service).get(&format!("stocktide_nats_messages_total{{outcome=\"{outcome}\"}}")).copied().unwrap_or(0)
}

pub struct Client {
    runtime: Runtime,
    connection: async_nats::Client,
    jetstream: Context,
}

impl Client {
    fn run<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        self.runtime.block_on(async { tokio::time::timeout(WITHIN, work).await.ok() })
    }

    /// Publishes once; returns whether the stream has it.
    pub fn publish(&self, subject: &str, id: Option<&str>, body: &str) -> bool {
        let mut headers = HeaderMap::new();
        if let Some(id) = id {
            headers.insert("Nats-Msg-Id", id);
        }
        let published = async {
            let acknowledged = self.jetstream.publish_with_headers(subject.to_owned(), headers, body.to_owned().into()).await.ok()?;
            acknowledged.await.ok()
        };
        self.run(published).flatten().is_some()
    }

    /// Publishes, and returns the content of what then comes on another subject.
    pub fn publish_and_hear(&self, subject: &str, body: &str, heard_on: &str) -> Option<Value> {
        let heard = async {
            let mut heard = self.connection.subscribe(heard_on.to_owned()).await.ok()?;
            self.jetstream.publish(subject.to_owned(), body.to_owned().into()).await.ok()?.await.ok()?;
            serde_json::from_slice(&heard.next().await?.payload).ok()
        };
        self.run(heard).flatten()
    }

    fn consumer(&self) -> Option<consumer::PullConsumer> {
        self.run(self.jetstream.get_consumer_from_stream("stocktide", "STOCKTIDE"))?.ok()
    }

    pub fn consumer_config(&self) -> consumer::Config {
        self.consumer().unwrap().cached_info().config.clone()
    }

    /// What the service has not finished; `None` if its consumer is not there.
    pub fn unfinished(&self) -> Option<Unfinished> {
        let consumer = self.consumer()?;
        let info = consumer.cached_info();
        Some(Unfinished { not_delivered: info.num_pending, not_answered: info.num_ack_pending })
    }

    /// Waits until the service has answered every message for good.
    pub fn wait_until_finished(&self) {
        let finished = || self.unfinished() == Some(Unfinished::default());
        (0..300).take_while(|_| !finished()).for_each(|_| pause(Duration::from_millis(100)));
        assert_eq!(self.unfinished(), Some(Unfinished::default()));
    }

    /// What the service has published about rejected messages, in order.
    pub fn rejected(&self) -> Vec<Rejected> {
        let read = async {
            let reader = consumer::pull::Config { ack_policy: consumer::AckPolicy::None, ..Default::default() };
            let reader = self.jetstream.create_consumer_on_stream(reader, "REJECTED").await.unwrap();
            reader.fetch().max_messages(1000).messages().await.unwrap().map(Result::unwrap).collect::<Vec<_>>().await
        };
        let read = self.run(read).unwrap();
        read.into_iter()
            .map(|message| {
                let header = |name: &str| message.headers.as_ref().and_then(|headers| headers.get(name)).map(ToString::to_string);
                Rejected {
                    subject: message.subject.to_string(),
                    about_id: header("Stocktide-Msg-Id"),
                    content_type: header("Content-Type").unwrap(),
                    content: serde_json::from_slice(&message.payload).unwrap(),
                }
            })
            .collect()
    }

    /// Creates a consumer before the service does.
    pub fn create_consumer(&self, config: consumer::pull::Config) {
        self.run(self.jetstream.create_consumer_on_stream(config, "STOCKTIDE")).unwrap().unwrap();
    }
}

/// Debian keeps it off the `PATH` of users.
fn program() -> Option<PathBuf> {
    let of_path = std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect::<Vec<_>>()).unwrap_or_default();
    of_path.into_iter().chain([PathBuf::from("/usr/sbin")]).map(|folder| folder.join("nats-server")).find(|program| program.is_file())
}
