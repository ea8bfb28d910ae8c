//! One actor per store: a shell around [`StoreSync`], which decides what happens next. Forwards increases at once, or
//! waits on a timer for the daily overwrite.
//! Spawned by `SellerSupervisor`, ended by `Stop`.
//!
//! in:  `Hint` (supervisor) · `Configure` (supervisor) · `IsIdle` (supervisor) · `Stop` · own timer, own sends
//! out: rows in `pushes` and `sync_runs`; calls through `platforms::Client`; `RunStarted` to the supervisor
//! Survives a restart: nothing in memory. The rows in `pushes` do, and the first claim reads them.
use super::connection::{Stale, connection};
use super::deps::{CHILD_MAILBOX, Deps};
use crate::db::delivery::{ClaimPlan, ClaimedCall, Work};
use crate::db::sealing::Sealer;
use crate::db::stores::Store;
use crate::db::{Error, SellerDb};
use crate::domain::delivery::{Method, Outcome};
use crate::domain::push::{Push, PushKind};
use crate::domain::schedule::{due_runs, next_run};
use crate::domain::settings::SyncSettings;
use crate::domain::sync::{Effect, Input, LONGEST_SLEEP, StoreSync};
use crate::domain::{CallId, PushId, SellerId, Timestamp};
use crate::platforms::Facts;
use crate::platforms::call::{Action, Call, CallItem, StoreConnection};
use crate::platforms::client::Sent;
use crate::platforms::limits::Permit;
use actix::prelude::*;
use chrono::NaiveDate;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// A claimed call may wait this long for its permit; before that nothing is claimed, so that increases still merge.
const CLAIM_AHEAD: Duration = Duration::from_millis(30);
/// The longest pause between two tries to write down an outcome.
const LONGEST_WRITE_PAUSE: Duration = Duration::from_secs(5);

/// What a store's actor goes by.
pub struct StoreConfig {
    pub(super) store: Store,
    settings: SyncSettings,
    /// How to get in; without it nothing can be sent.
    connection: Option<StoreConnection>,
}

impl PartialEq for StoreConfig {
    fn eq(&self, other: &Self) -> bool {
        self.store == other.store && self.settings == other.settings
    }
}

impl StoreConfig {
    /// From rows. Credentials that do not open are logged, and nothing is sent then.
    pub fn new(seller: SellerId, store: Store, settings: SyncSettings, sealer: &Sealer) -> Self {
        let connection = connection(seller, &store, sealer)
            .inspect_err(
                |error| tracing::error!(%error, seller.id = %seller, store.id = %store.id, "a store's credentials cannot be opened"),
            )
            .ok();
        Self { store, settings, connection }
    }
}

/// See the module.
pub struct StoreActor {
    deps: Arc<Deps>,
    db: SellerDb,
    config: Arc<StoreConfig>,
    supervisor: Recipient<RunStarted>,
    sync: StoreSync,
    /// Calls on their way from here; whatever else is `sending` was cut off.
    under_way: Vec<CallId>,
    /// Look for what was cut off before the next claim: after a start, and after the database did not answer.
    recover: bool,
    timer: Option<SpawnHandle>,
    stop: CancellationToken,
    stopped: Vec<oneshot::Sender<()>>,
    last_run: LastRun,
    /// Until when the circuit is open, as the row for people says.
    circuit_noted: Option<Timestamp>,
}

/// The latest date with a daily run, as far as known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LastRun {
    Unread,
    Reading,
    Known(Option<NaiveDate>),
}

impl StoreActor {
    /// Starts one on the current arbiter. It looks for work first.
    pub fn launch(deps: Arc<Deps>, db: SellerDb, config: Arc<StoreConfig>, supervisor: Recipient<RunStarted>) -> Addr<Self> {
        Self::create(move |ctx| {
            ctx.set_mailbox_capacity(CHILD_MAILBOX);
            let sync = StoreSync::new(deps.settings.calls_under_way);
            Self {
                deps,
                db,
                config,
                supervisor,
                sync,
                under_way: Vec::new(),
                recover: true,
                timer: None,
                stop: CancellationToken::new(),
                stopped: Vec::new(),
                last_run: LastRun::Unread,
                circuit_noted: None,
            }
        })
    }

    fn input(&mut self, input: Input, ctx: &mut Context<Self>) {
        for effect in self.sync.step(self.deps.clock.now(), input) {
            match effect {
                Effect::Claim { probe, overwrites_first } => self.claim(probe, overwrites_first, ctx),
                Effect::WakeAt(at) => self.wake_at(at, ctx),
                Effect::Stopped => {
                    for told in self.stopped.drain(..) {
                        told.send(()).ok();
                    }
                    ctx.stop();
                }
            }
        }
        self.note_circuit(ctx);
    }

    /// Writes down for people that the circuit has opened, or closed again. Nothing goes by it.
    fn note_circuit(&mut self, ctx: &mut Context<Self>) {
        let now = self.deps.clock.now();
        let open_until = self.sync.circuit_open_until(now);
        if open_until == self.circuit_noted || (open_until.is_none() && self.sync.is_probing(now)) {
            return;
        }
        self.circuit_noted = open_until;
        let (db, store, until) = (self.db.clone(), self.config.store.id, open_until.map(|at| at));
        ctx.spawn(async move { db.write(move |t| t.note_circuit(store, until)).await }.into_actor(self).map(|noted, act, _| {
            if let Err(error) = noted {
                tracing::debug!(%error, store.id = %act.config.store.id, "could not note the state of a circuit");
            }
        }));
    }

    fn wake_at(&mut self, at: Timestamp, ctx: &mut Context<Self>) {
        let now = self.deps.clock.now();
        let daily = self.config.settings.is_timed().then(|| next_run(&self.config.settings, now));
        let wait = daily.map_or(at, |daily| at.min(daily)) - now;
        let wait = wait.min(LONGEST_SLEEP).to_std().unwrap_or(Duration::ZERO).max(Duration::from_millis(1));
        if let Some(timer) = self.timer.take() {
            ctx.cancel_future(timer);
        }
        self.timer = Some(ctx.run_later(wait, |act, ctx| {
            act.timer = None;
            act.start_due_runs(ctx);
            act.input(Input::Wake, ctx);
        }));
    }

    fn plan(&self, connection: &StoreConnection, probe: bool, overwrites_first: bool) -> Option<ClaimPlan> {
        let platform = crate::platforms::by_name(&connection.platform)?;
        let Facts { abilities, group_by, .. } = platform.facts(connection);
        let limit = if probe { 1 } else { abilities.max_items.max(1) };
        let (policy, jitter) = (self.deps.settings.retry, (self.deps.settings.draw)());
        Some(ClaimPlan { abilities, limit, group_by, overwrites_first, policy, jitter })
    }

    fn claim(&mut self, probe: bool, overwrites_first: bool, ctx: &mut Context<Self>) {
        if !self.supervisor.connected() && !self.stop.is_cancelled() {
            // It died, and the next one has an actor of its own for this store.
            self.stop.cancel();
            self.input(Input::Stop, ctx);
            return self.input(Input::NothingDue(None), ctx);
        }
        let config = Arc::clone(&self.config);
        let planned = config.connection.clone().and_then(|c| self.plan(&c, probe, overwrites_first).map(|plan| (c, plan)));
        let Some((connection, plan)) = planned else {
            return self.input(Input::NothingDue(None), ctx);
        };
        let claim = Claim {
            deps: Arc::clone(&self.deps),
            db: self.db.clone(),
            connection,
            plan,
            stop: self.stop.clone(),
            recover: std::mem::take(&mut self.recover).then(|| self.under_way.clone()),
            renewed: false,
        };
        let claimed = async move {
            let mut claim = claim;
            (claim.run().await, claim)
        };
        ctx.spawn(claimed.into_actor(self).map(|(claimed, claim), act, ctx| {
            act.adopt(&claim);
            match claimed {
                Ok(Claimed::Nothing(next_due)) => act.input(Input::NothingDue(next_due), ctx),
                Ok(Claimed::Read { answered }) => act.input(Input::ReadEnded { answered }, ctx),
                Ok(Claimed::Call(call, permit)) => act.send(claim, call, permit, ctx),
                Err(Error::NotFound) => act.input(Input::NothingDue(None), ctx),
                Err(error) => {
                    tracing::warn!(%error, store.id = %act.config.store.id, "could not claim pushes; trying again");
                    act.recover = true;
                    act.input(Input::DatabaseFailed, ctx);
                }
            }
        }));
    }

    fn send(&mut self, mut claim: Claim, call: ClaimedCall, permit: Option<Permit>, ctx: &mut Context<Self>) {
        let id = call.id;
        self.under_way.push(id);
        let sent = async move {
            let (answered, confirmed) = claim.deliver(&call, permit).await;
            claim.deps.running.confirmed.fetch_add(confirmed, Ordering::Relaxed);
            (answered, claim)
        };
        ctx.spawn(sent.into_actor(self).map(move |(answered, claim), act, ctx| {
            act.adopt(&claim);
            act.under_way.retain(|other| *other != id);
            act.input(Input::CallEnded { answered }, ctx);
        }));
        self.input(Input::Sending, ctx);
    }

    /// Goes by the tokens that a claim has renewed; the supervisor finds them in the row when it looks next.
    fn adopt(&mut self, claim: &Claim) {
        if claim.renewed {
            let StoreConfig { store, settings, .. } = &*self.config;
            let connection = Some(claim.connection.clone());
            self.config = Arc::new(StoreConfig { store: store.clone(), settings: settings.clone(), connection });
        }
    }

    /// Starts the daily run whose time has come, and records those that were missed.
    fn start_due_runs(&mut self, ctx: &mut Context<Self>) {
        if !self.config.settings.is_timed() || !self.config.store.sync_enabled || self.stop.is_cancelled() {
            return;
        }
        let (store, settings, now) = (self.config.store.id, self.config.settings.clone(), self.deps.clock.now());
        let db = self.db.clone();
        let last = match self.last_run {
            LastRun::Reading => return,
            LastRun::Unread => {
                self.last_run = LastRun::Reading;
                let read = async move { db.read(move |t| t.last_run_date(store)).await };
                ctx.spawn(read.into_actor(self).map(|read, act, ctx| match read {
                    Ok(date) => {
                        act.last_run = LastRun::Known(date);
                        act.start_due_runs(ctx);
                    }
                    Err(error) => {
                        tracing::warn!(%error, "could not read when a store was overwritten last; trying again");
                        act.last_run = LastRun::Unread;
                        ctx.run_later(Duration::from_secs(1), Self::start_due_runs);
                    }
                }));
                return;
            }
            LastRun::Known(last) => last,
        };
        let since = settings.timed_since.max(self.config.store.created_at);
        let due = due_runs(&settings, now, since, last);
        if due.is_empty() {
            return;
        }
        self.last_run = LastRun::Reading;
        let created_at = self.config.store.created_at;
        let started = async move {
            db.write(move |t| {
                // The row may have changed since: a setting takes effect once it is saved.
                let settings = t.sync_settings()?;
                let due = due_runs(&settings, now, settings.timed_since.max(created_at), last);
                for run in &due {
                    t.start_daily_run(store, run, now)?;
                }
                t.schedule_next_run(&settings, now)?;
                Ok(due.last().map(|run| run.date).or(last))
            })
            .await
        };
        ctx.spawn(started.into_actor(self).map(move |started, act, ctx| match started {
            Ok(last) => {
                act.last_run = LastRun::Known(last);
                act.supervisor.try_send(RunStarted).ok();
            }
            Err(error) => {
                tracing::warn!(%error, "could not start a daily run; trying again");
                act.last_run = LastRun::Unread;
                ctx.run_later(Duration::from_secs(1), Self::start_due_runs);
            }
        }));
    }
}

impl Actor for StoreActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.deps.running.stores.fetch_add(1, Ordering::Relaxed);
        self.start_due_runs(ctx);
        self.input(Input::Hint, ctx);
    }
}

impl Drop for StoreActor {
    fn drop(&mut self) {
        self.deps.running.stores.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A store has started a run; sent to its supervisor.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct RunStarted;

/// There may be work.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Hint;

impl Handler<Hint> for StoreActor {
    type Result = ();
    fn handle(&mut self, _: Hint, ctx: &mut Self::Context) {
        self.start_due_runs(ctx);
        self.input(Input::Hint, ctx);
    }
}

/// The store or the settings have changed.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Configure(pub Arc<StoreConfig>);

impl Handler<Configure> for StoreActor {
    type Result = ();
    fn handle(&mut self, message: Configure, ctx: &mut Self::Context) {
        self.config = message.0;
        self.start_due_runs(ctx);
        self.input(Input::Hint, ctx);
    }
}

/// Whether nothing is under way and nothing will be due within this time.
#[derive(Debug, Message)]
#[rtype(result = "bool")]
pub struct IsIdle(pub Duration);

impl Handler<IsIdle> for StoreActor {
    type Result = bool;
    fn handle(&mut self, message: IsIdle, _: &mut Self::Context) -> bool {
        let now = self.deps.clock.now();
        let until = now + chrono::TimeDelta::from_std(message.0).unwrap_or_default();
        let daily = self.config.settings.is_timed().then(|| next_run(&self.config.settings, now));
        self.sync.is_idle(until) && daily.is_none_or(|at| at > until) && self.last_run != LastRun::Reading
    }
}

/// End, after what is on its way.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Stop;

impl Handler<Stop> for StoreActor {
    type Result = ResponseFuture<()>;
    fn handle(&mut self, _: Stop, ctx: &mut Self::Context) -> Self::Result {
        let (told, done) = oneshot::channel();
        self.stopped.push(told);
        self.stop.cancel();
        self.input(Input::Stop, ctx);
        Box::pin(async move { done.await.unwrap_or(()) })
    }
}

/// One claim, from the look at the rows to the permit.
struct Claim {
    deps: Arc<Deps>,
    db: SellerDb,
    connection: StoreConnection,
    plan: ClaimPlan,
    stop: CancellationToken,
    recover: Option<Vec<CallId>>,
    /// `connection` has other tokens than the actor's.
    renewed: bool,
}

enum Claimed {
    Nothing(Option<Timestamp>),
    Read { answered: bool },
    Call(ClaimedCall, Option<Permit>),
}

impl Claim {
    async fn run(&mut self) -> Result<Claimed, Error> {
        let store = self.connection.store_id;
        if self.recover.is_none() {
            let now = self.deps.now();
            let (due, next_due) = self.db.read(move |t| t.peek_work(store, now)).await?;
            if !due {
                return Ok(Claimed::Nothing(next_due));
            }
        }
        if !self.until_permit_is_near().await {
            return Ok(Claimed::Nothing(None));
        }
        match self.renew(false).await {
            Ok(_) => {}
            Err(Stale::Database(error)) => return Err(error),
            Err(Stale::TryAgain(reason)) => {
                tracing::warn!(store.id = %store, reason, "a store's tokens could not be renewed; trying again");
                return Ok(Claimed::Read { answered: false });
            }
            Err(Stale::Refused(reason)) => {
                let (outcome, now) = (Outcome::Unauthorized { reason }, self.deps.now());
                self.db.write(move |t| t.note_outcome(store, &outcome, now)).await?;
                return Ok(Claimed::Nothing(None));
            }
        }
        let (plan, now, recover) = (self.plan, self.deps.now(), self.recover.clone());
        let work = self
            .db
            .write(move |t| {
                if let Some(under_way) = &recover {
                    t.recover_store(store, under_way, &plan.policy, now)?;
                }
                t.next_work(store, &plan, now)
            })
            .await?;
        match work {
            Work::Nothing { next_due } => Ok(Claimed::Nothing(next_due)),
            Work::ReadBack(page) => {
                let Some((sent, ids)) = self.read(&page).await else { return Ok(Claimed::Nothing(None)) };
                let (plan, now, answered) = (self.plan, self.deps.now(), sent.answered);
                self.db.write(move |t| t.decide_by_read(store, &ids, &sent.outcome, sent.raw.as_deref(), &plan, now)).await?;
                Ok(Claimed::Read { answered })
            }
            Work::ReadFirst(page) => {
                let Some((sent, ids)) = self.read(&page).await else { return Ok(Claimed::Nothing(None)) };
                if !self.until_permit_is_near().await {
                    return Ok(Claimed::Nothing(None));
                }
                let (plan, now, answered) = (self.plan, self.deps.now(), sent.answered);
                let call = self.db.write(move |t| t.claim_after_read(store, &ids, &sent.outcome, sent.raw.as_deref(), &plan, now)).await?;
                match call {
                    Some(call) => self.permitted(call).await,
                    None => Ok(Claimed::Read { answered }),
                }
            }
            Work::Send(call) => self.permitted(call).await,
        }
    }

    /// Waits for the limits; a claim that is stopped meanwhile is given back, as not one byte of it was sent.
    async fn permitted(&self, call: ClaimedCall) -> Result<Claimed, Error> {
        let outbound = platform_call(&call, self.plan.abilities.idempotency);
        if let Some(permit) = self.unless_stopped(self.deps.client.permit(&self.connection, &outbound)).await {
            return Ok(Claimed::Call(call, permit));
        }
        let (store, now) = (self.connection.store_id, self.deps.now());
        self.db.write(move |t| t.release_call(store, call.id, now)).await?;
        Ok(Claimed::Nothing(None))
    }

    /// Waits, with nothing claimed, for the most of what the limits ask for. False when it was stopped.
    async fn until_permit_is_near(&self) -> bool {
        let wait = self.deps.client.expected_wait(&self.connection).saturating_sub(CLAIM_AHEAD);
        self.unless_stopped(tokio::time::sleep(wait)).await.is_some()
    }

    async fn unless_stopped<T>(&self, wait: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => None,
            value = wait => Some(value),
        }
    }

    /// Renews the tokens where that is needed; says whether there are others now.
    async fn renew(&mut self, refused: bool) -> Result<bool, Stale> {
        match self.deps.renewals.renew(&self.db, &self.connection, refused).await? {
            None => Ok(false),
            Some(connection) => {
                (self.connection, self.renewed) = (connection, true);
                Ok(true)
            }
        }
    }

    /// Sends; a token that has ended is renewed, and then the call, which surely was not applied, is due again at once.
    async fn exchange(&mut self, call: &Call, permit: Option<Permit>) -> Sent {
        let mut sent = self.deps.client.send(&self.connection, call, permit).await;
        if let Outcome::TokenExpired { reason } = sent.outcome {
            let again = |reason, after| Outcome::TryAgain { reason, after, throttled: false };
            sent.outcome = match self.renew(true).await {
                Ok(true) => again(reason, Some(Duration::ZERO)),
                Ok(false) => Outcome::Unauthorized { reason },
                Err(Stale::Refused(reason)) => Outcome::Unauthorized { reason },
                Err(Stale::TryAgain(reason)) => again(reason, None),
                Err(Stale::Database(_)) => again("The renewed tokens could not be kept.".to_owned(), None),
            };
        }
        sent
    }

    async fn read(&mut self, page: &[Push]) -> Option<(Sent, Vec<PushId>)> {
        let items = page.iter().map(|push| item(push, 0, None)).collect();
        let call = Call { action: Action::Read, items, idempotency_key: None };
        let permit = self.unless_stopped(self.deps.client.permit(&self.connection, &call)).await?;
        let sent = self.exchange(&call, permit).await;
        Some((sent, page.iter().map(|push| push.id).collect()))
    }

    /// Sends the call and writes down its outcome, however long the database takes. Returns whether the platform
    /// answered, and how many pushes were confirmed.
    async fn deliver(&mut self, claimed: &ClaimedCall, permit: Option<Permit>) -> (bool, usize) {
        let store = self.connection.store_id;
        let sent = self.exchange(&platform_call(claimed, self.plan.abilities.idempotency), permit).await;
        let (outcome, raw) = (Arc::new(sent.outcome), sent.raw);
        let mut pause = Duration::from_millis(100);
        loop {
            let (plan, id, now, outcome, raw) = (self.plan, claimed.id, self.deps.now(), Arc::clone(&outcome), raw.clone());
            match self.db.write(move |t| t.finish_call(store, id, &outcome, raw.as_deref(), &plan, now)).await {
                Ok(finished) => return (sent.answered, finished.confirmed),
                Err(Error::NotFound) => return (sent.answered, 0),
                Err(error) => {
                    tracing::warn!(%error, store.id = %store, "could not write down what became of a call; trying again");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_WRITE_PAUSE);
                }
            }
        }
    }
}

fn item(push: &Push, quantity: i64, expected: Option<i64>) -> CallItem {
    let extra = push.extra.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    CallItem { external_id: push.external_id.clone(), extra, quantity, expected }
}

/// The call as the platform gets it. Made from the rows alone, so that a repetition is the very same.
fn platform_call(claimed: &ClaimedCall, keyed: bool) -> Call {
    let sets = claimed.kind == PushKind::Overwrite || matches!(claimed.method, Method::CompareAndSet | Method::ReadAndSet);
    let items = claimed.pushes.iter().map(|push| {
        let quantity = push.quantity.unwrap_or(0);
        match (claimed.kind, claimed.method) {
            (PushKind::Increase, Method::CompareAndSet) => item(push, push.base.unwrap_or(0).saturating_add(quantity), push.base),
            (PushKind::Increase, _) if sets => item(push, push.base.unwrap_or(0).saturating_add(quantity), None),
            _ => item(push, quantity, None),
        }
    });
    Call {
        action: if sets { Action::Set } else { Action::Adjust },
        items: items.collect(),
        idempotency_key: keyed.then(|| claimed.id.to_string()),
    }
}
