//! One actor per store: a shell of timers around [`StoreSync`], which decides what happens next, and
//! [`delivery`](crate::service::delivery), which does it. Forwards increases at once, or waits for the daily overwrite.
//! Spawned by `SellerSupervisor`, ended by `Stop`.
//!
//! in:  `Hint` and `Asked` (supervisor) · `Configure` (supervisor) · `IsIdle` (supervisor) · `Stop` · own timer, own sends
//! out: rows in `pushes` and `sync_runs`; calls through `platforms::Client`; `RunStarted` to the supervisor
//! Survives a restart: nothing in memory. The rows in `pushes` do, and the first claim reads them.
use super::deps::{CHILD_MAILBOX, Deps};
use super::store_config::StoreConfig;
use crate::db::{Error, SellerDb};
use crate::domain::claim::{CallSize, ClaimedCall};
use crate::domain::schedule::{due_runs, next_run};
use crate::domain::sync::{Effect, Input, LONGEST_SLEEP, StoreSync};
use crate::domain::{CallId, Timestamp};
use crate::platforms::limits::Permit;
use crate::service::daily::{LastRun, start_due_runs};
use crate::service::delivery::{Claim, Claimed, Outbound};
use actix::prelude::*;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// The actor of one store.
pub struct StoreActor {
    deps: Arc<Deps>,
    db: SellerDb,
    config: Arc<StoreConfig>,
    supervisor: Recipient<RunStarted>,
    sync: StoreSync,
    size: CallSize,
    /// Calls in flight from here; any other push that is `sending` was cut off.
    under_way: Vec<CallId>,
    /// Before the next claim, look for pushes that were cut off: after a start, and after the database did not answer.
    recover: bool,
    timer: Option<SpawnHandle>,
    stop: CancellationToken,
    stopped: Vec<oneshot::Sender<()>>,
    last_run: LastRun,
    /// When daily runs were looked at last. If that is still to come, the clock was set back.
    looked_at: Timestamp,
    /// Until when the circuit is open according to the row, which people see.
    circuit_noted: Option<Timestamp>,
}

impl StoreActor {
    /// Starts an actor on the current arbiter. It looks for work first.
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
                size: CallSize::default(),
                under_way: Vec::new(),
                recover: true,
                timer: None,
                stop: CancellationToken::new(),
                stopped: Vec::new(),
                last_run: LastRun::Unread,
                looked_at: Timestamp::MIN,
                circuit_noted: None,
            }
        })
    }

    fn input(&mut self, input: Input, ctx: &mut Context<Self>) {
        for effect in self.sync.step(self.deps.clock.now(), input) {
            match effect {
                Effect::Claim { probe, overwrites_first, check_times } => self.claim(probe, overwrites_first, check_times, ctx),
                Effect::WakeAt(at) => self.wake_at(at, ctx),
                Effect::Stopped => {
                    for waiting in self.stopped.drain(..) {
                        waiting.send(()).ok();
                    }
                    ctx.stop();
                }
            }
        }
        self.note_circuit(ctx);
    }

    /// Saves, for people to see, that the circuit has opened or closed. Nothing depends on it.
    fn note_circuit(&mut self, ctx: &mut Context<Self>) {
        let now = self.deps.clock.now();
        let open_until = self.sync.circuit_open_until(now);
        if open_until == self.circuit_noted || (open_until.is_none() && self.sync.is_probing(now)) {
            return;
        }
        self.circuit_noted = open_until;
        let (db, store, until) = (self.db.clone(), self.config.store.id, open_until);
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

    fn claim(&mut self, probe: bool, overwrites_first: bool, check_times: bool, ctx: &mut Context<Self>) {
        if !self.supervisor.connected() && !self.stop.is_cancelled() {
            // The supervisor died, and its successor starts its own actor for this store.
            self.stop.cancel();
            self.input(Input::Stop, ctx);
            return self.input(Input::NothingDue(None), ctx);
        }
        let config = Arc::clone(&self.config);
        // A store that cannot be reached was reported when it was configured; it waits for another configuration.
        let Ok(reach) = &config.reach else {
            return self.input(Input::NothingDue(None), ctx);
        };
        let mut terms = reach.terms(probe, overwrites_first, self.deps.settings.retry, (self.deps.settings.draw)());
        terms.limit = self.size.of(terms.limit);
        let recover = std::mem::take(&mut self.recover).then(|| self.under_way.clone());
        let deps = &self.deps;
        let outbound = Outbound { client: deps.client.clone(), renewals: Arc::clone(&deps.renewals), clock: deps.clock.clone() };
        let claim = Claim::new(outbound, self.db.clone(), reach.connection.clone(), terms, self.stop.clone(), recover, check_times);
        let claimed = async move {
            let mut claim = claim;
            (claim.run().await, claim)
        };
        ctx.spawn(claimed.into_actor(self).map(move |(claimed, claim), act, ctx| {
            act.adopt(&config, &claim);
            match claimed {
                Ok(Claimed::Nothing(next_due)) => act.input(Input::NothingDue(next_due), ctx),
                Ok(Claimed::Read { answered }) => act.input(Input::ReadEnded { answered }, ctx),
                Ok(Claimed::Call(call, permit)) => act.send(&config, claim, call, permit, ctx),
                Err(Error::NotFound) => act.input(Input::NothingDue(None), ctx),
                Err(error) => {
                    tracing::warn!(%error, store.id = %act.config.store.id, "could not claim pushes; trying again");
                    act.recover = true;
                    act.input(Input::DatabaseFailed, ctx);
                }
            }
        }));
    }

    fn send(&mut self, config: &Arc<StoreConfig>, mut claim: Claim, call: ClaimedCall, permit: Option<Permit>, ctx: &mut Context<Self>) {
        let (id, items) = (call.id, call.items.len());
        self.under_way.push(id);
        let (deps, config) = (Arc::clone(&self.deps), Arc::clone(config));
        let sent = async move {
            let (answered, confirmed) = claim.deliver(&call, permit).await;
            deps.running.confirmed.fetch_add(confirmed, Ordering::Relaxed);
            (answered, claim)
        };
        ctx.spawn(sent.into_actor(self).map(move |(answered, claim), act, ctx| {
            act.adopt(&config, &claim);
            act.under_way.retain(|other| *other != id);
            act.size.note(items, answered);
            act.input(Input::CallEnded { answered }, ctx);
        }));
        self.input(Input::Sending, ctx);
    }

    /// Uses the tokens that a claim has renewed; the supervisor finds them in the row when it looks next.
    fn adopt(&mut self, from: &Arc<StoreConfig>, claim: &Claim) {
        self.config = StoreConfig::after_claim(&self.config, from, claim.renewed());
    }

    /// Starts the daily run that is due, and records those that were missed.
    fn start_due_runs(&mut self, ctx: &mut Context<Self>) {
        if !self.config.settings.is_timed() || !self.config.store.sync_enabled || self.stop.is_cancelled() {
            return;
        }
        let (store, settings, now) = (self.config.store.id, self.config.settings.clone(), self.deps.clock.now());
        let db = self.db.clone();
        if now < self.looked_at && self.last_run != LastRun::Reading {
            self.last_run = LastRun::Unread;
        }
        self.looked_at = now;
        let last = match self.last_run {
            LastRun::Reading => return,
            LastRun::Unread => {
                self.last_run = LastRun::Reading;
                let read = async move { db.read(move |t| t.last_run_date(store, now)).await };
                ctx.spawn(read.into_actor(self).map(|read, act, ctx| match read {
                    Ok(date) => {
                        act.last_run = LastRun::Known(date);
                        act.start_due_runs(ctx);
                    }
                    Err(error) => {
                        tracing::warn!(%error, "could not read the date of a store's last daily run; trying again");
                        act.last_run = LastRun::Unread;
                        ctx.run_later(Duration::from_secs(1), Self::start_due_runs);
                    }
                }));
                return;
            }
            LastRun::Known(last) => last,
        };
        let since = settings.timed_since.max(self.config.store.created_at);
        if since > now {
            let saved = async move { db.write(move |t| t.start_schedule_anew(now)).await };
            ctx.spawn(saved.into_actor(self).map(|saved, _, _| {
                if let Err(error) = saved {
                    tracing::warn!(%error, "could not start a schedule anew after the clock was set back; trying again");
                }
            }));
            return;
        }
        let due = due_runs(&settings, now, since, last);
        if due.is_empty() {
            return;
        }
        self.last_run = LastRun::Reading;
        let created_at = self.config.store.created_at;
        let started = async move { start_due_runs(&db, store, created_at, last, now).await };
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

/// The seller has asked for a retry: the store is called once at once, whatever pause it is in.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Asked;

impl Handler<Asked> for StoreActor {
    type Result = ();
    fn handle(&mut self, _: Asked, ctx: &mut Self::Context) {
        self.deps.client.end_pause(self.config.store.id);
        self.input(Input::Asked, ctx);
    }
}

/// The store or the settings have changed.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Configure(pub Arc<StoreConfig>);

impl Handler<Configure> for StoreActor {
    type Result = ();
    fn handle(&mut self, message: Configure, ctx: &mut Self::Context) {
        let way_in = |config: &StoreConfig| (config.store.base_url.clone(), config.store.config.clone(), config.store.credentials.clone());
        if way_in(&self.config) != way_in(&message.0) {
            // Whatever failed before may work now.
            self.sync.forget_failures();
        }
        self.config = message.0;
        self.start_due_runs(ctx);
        self.input(Input::Hint, ctx);
    }
}

/// Whether nothing is in flight and nothing will be due within this time.
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

/// Stop once the calls in flight have ended.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Stop;

impl Handler<Stop> for StoreActor {
    type Result = ResponseFuture<()>;
    fn handle(&mut self, _: Stop, ctx: &mut Self::Context) -> Self::Result {
        let (stopped, done) = oneshot::channel();
        self.stopped.push(stopped);
        self.stop.cancel();
        self.input(Input::Stop, ctx);
        Box::pin(async move { done.await.unwrap_or(()) })
    }
}
