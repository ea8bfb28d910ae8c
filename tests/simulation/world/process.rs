//! A process of the service, as the world starts and stops it.
use super::{OPERATOR_KEY, Verdict, World, fail};
use crate::life::{DatabaseAccess, Life};
use crate::nodes::{OfNode, Ties};
use crate::story::Rng;
use actix_web::App;
use actix_web::test::{TestRequest, init_service, read_body};
use actix_web::web::Data;
use futures_util::future::LocalBoxFuture;
use rand::{RngExt, SeedableRng};
use serde_json::Value;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use stocktide::actors::{self, Deps, Handle};
use stocktide::clock::Clock;
use stocktide::db::{self, Db, ledger, sealing::Sealer};
use stocktide::http::{self, AppState, auth::FailedKeys, bodies::Bodies, console::Console, quota::Quota};
use stocktide::platforms::client::Client;
use stocktide::platforms::limits::Limits;
use tokio_util::sync::CancellationToken;

thread_local! {
    pub(super) static DRAWS: RefCell<Rng> = RefCell::new(Rng::seed_from_u64(0));
}

/// The random numbers that the service uses for backoff.
fn draw() -> f64 {
    DRAWS.with_borrow_mut(|rng| rng.random())
}

/// Status and body.
pub(super) type Answer = (u16, Value);
pub(super) type Call = Rc<dyn Fn(TestRequest) -> LocalBoxFuture<'static, Answer>>;

pub(super) struct Process {
    pub(super) life: Arc<Life>,
    pub(super) handle: Handle,
    pub(super) call: Call,
    pub(super) actors: tokio::task::JoinHandle<()>,
    pub(super) clock: Clock,
}

impl Process {
    /// Of a node among several.
    pub(super) fn ties(&self) -> &Arc<Ties> {
        self.life.ties.as_ref().unwrap()
    }
}

/// What a process of a story is started with.
pub(super) struct Launch {
    pub life: Arc<Life>,
    pub clock: Clock,
    pub limits: Limits,
    pub sharing: Option<actors::Sharing>,
}

impl World {
    pub(super) async fn launch(&self, Launch { life, clock, limits, sharing }: Launch) -> Process {
        if let Some(ties) = &life.ties {
            ties.goes_on();
        }
        let mut settings = db::Settings::new(self.database.url());
        settings.fault_injection = Some(Arc::new(DatabaseAccess(Arc::clone(&life))));
        settings.connections = 1;
        let db = Db::open(&settings);
        let client = Client::new(self.network.transport(Arc::clone(&life)), Arc::new(limits), Duration::from_secs(10), clock.clone());
        let sealer = Arc::new(Sealer::from_base64("MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=").unwrap());
        let setup = &self.story.setup;
        let of_actors = actors::Settings {
            poll_every: Duration::from_secs(setup.poll_s),
            prune_every: Duration::from_secs(3600),
            calls_under_way: setup.calls_under_way,
            draw,
            sharing,
            ..actors::Settings::default()
        };
        let deps = Deps::new(db.clone(), client, clock.clone(), sealer, of_actors);
        // Tasks in this set end with the process.
        let set = tokio::task::LocalSet::new();
        let handle = {
            let _inside = set.enter();
            Handle::start(Arc::new(deps), 0)
        };
        let state = Data::new(AppState {
            db,
            service: handle.service(ledger::Limits::default(), true),
            handle: handle.clone(),
            started_at: clock.now(),
            clock: clock.clone(),
            settings: http::Settings {
                operator_key: Some(OPERATOR_KEY.into()),
                max_body_bytes: 1 << 20,
                max_bodies_in_flight_bytes: 1 << 24,
                requests_per_second: 10_000,
                rows_per_second: 1_000_000,
                failed_keys_per_minute: 1_000_000,
                trusted_proxies: http::TrustedProxies::parse("", false).unwrap(),
                allow_private_targets: true,
                limits: ledger::Limits::default(),
                node: "simulated".to_owned(),
                public_url: None,
            },
            bodies: Bodies::new(1 << 24),
            quota: Quota::new(10_000, 1_000_000),
            failed_keys: FailedKeys::new(1_000_000),
            platform_calls: http::PlatformCalls::default(),
            console: Console::new(false, CancellationToken::new()),
        });
        let app = Rc::new(init_service(App::new().app_data(state).wrap_fn(http::harden).configure(http::configure)).await);
        let ties = life.ties.clone();
        let call: Call = Rc::new(move |request: TestRequest| {
            let app = Rc::clone(&app);
            let answer = async move {
                let response = actix_web::test::call_service(&*app, request.to_request()).await;
                let status = response.status().as_u16();
                let body = read_body(response).await;
                (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
            };
            match &ties {
                None => Box::pin(answer),
                Some(ties) => Box::pin(OfNode::new(answer, ties)),
            }
        });
        let actors = match &life.ties {
            None => actix::spawn(set),
            Some(ties) => actix::spawn(OfNode::new(set, ties)),
        };
        Process { life, handle, call, actors, clock }
    }
}

/// A graceful stop: everything in flight has ended, unless the time allowed for that has passed.
pub(super) async fn stop(handle: &Handle) -> Verdict {
    let asked_at = tokio::time::Instant::now();
    handle.shut_down().await;
    let running = handle.status().await.stores;
    if running == 0 || asked_at.elapsed() >= actors::Settings::default().stop_within {
        return Ok(());
    }
    fail("actors outlive a graceful stop", format!("{running} store actors are still running"))
}
