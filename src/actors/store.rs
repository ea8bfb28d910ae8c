//! One actor per store: a shell of timers around [`StoreSync`], which decides what happens next, and
//! [`delivery`](crate::service::delivery), which does it. Forwards increases at once, or waits for the daily overwrite.
//! Spawned by `SellerSupervisor`, ended by `Stop`.
//!
//! in:  `Hint` and `Asked` (supervisor) · `Configure` (supervisor) · `IsIdle` (supervisor) · `Stop` · own timer, own sends
//! out: rows in `pushes` and `sync_runs`; calls through `platforms::Client`; `RunStarted` to the supervisor
//! Survives a restart: nothing in memory. The rows in `pushes` do, and the first claim reads them.
use super::deps::{CHILD_MAILBOX, Deps};
use super::open_offer::OpenOffer;
use super::store_config::StoreConfig;
use crate::db::delivery::{Begun, Finished, Offered};
use crate::db::{Error, SellerDb};
use crate::domain::claim::{CallSize, ClaimTerms, ClaimedCall, Next};
use crate::domain::offer::Offer;
use crate::domain::schedule::next_run;
use crate::domain::sync::{Effect, Input, LONGEST_SLEEP, StoreSync};
use crate::domain::{CallId, Timestamp};
use crate::platforms::limits::Permit;
use crate::service::daily::LastRun;
use crate::service::delivery::{Claim, Claimed, Outbound, Reach, Recover};
use actix::prelude::*;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// A call that counts as under way.
enum OnItsWay {
    /// It may be sent now.
    Permitted(ClaimedCall, Option<Permit>),
    /// It was begun as its pushes were recorded.
    Begun(Begun),
}

/// The actor of one store.
pub struct StoreActor {
    pub(super) deps: Arc<Deps>,
    pub(super) db: SellerDb,
    pub(super) config: Arc<StoreConfig>,
    pub(super) supervisor: Recipient<RunStarted>,
    sync: StoreSync,
    size: CallSize,
    /// Calls in flight from here; any other push that is `sending` was cut off.
    under_way: Vec<CallId>,
    /// The call that it offers to the ledger.
    offer: Option<OpenOffer>,
    /// A call was made without a claim since the supervisor last asked whether this store is idle.
    called: bool,
    /// Before the next claim, look for pushes that were cut off: after a start, and after the database did not answer.
    recover: Recover,
    timer: Option<SpawnHandle>,
    pub(super) stop: CancellationToken,
    stopped: Vec<oneshot::Sender<()>>,
    pub(super) last_run: LastRun,
    /// When daily runs were looked at last. If that is still to come, the clock was set back.
    pub(super) looked_at: Timestamp,
    /// Until when the circuit is open according to the row, which people see.
    circuit_noted: Option<Timestamp>,
}

impl StoreActor {
    /// Starts an actor on the current arbiter. It looks for work first.
    pub fn launch(deps: Arc<Deps>, db: SellerDb, config: Arc<StoreConfig>, supervisor: Recipient<RunStarted>) -> Addr<Self> {
        Self::create(move |ctx| {
            ctx.set_mailbox_capacity(CHILD_MAILBOX);
            let sync = StoreSync::new(deps.settings.calls_under_way);
            let mut recover = Recover::CutOff;
            if let Some(lease) = db.lease() {
                deps.client.begin_under(config.store.id, lease.epoch, deps.db.held().since(lease));
                recover = Recover::TakenOver;
            }
            Self {
                deps,
                db,
                config,
                supervisor,
                sync,
                size: CallSize::default(),
                under_way: Vec::new(),
                offer: None,
                called: false,
                recover,
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
        self.withdraw_offer();
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
        self.offer(ctx);
    }

    /// While the actor decides, the ledger takes nothing.
    fn withdraw_offer(&mut self) {
        if self.offer.as_mut().is_some_and(|offer| offer.withdraw(self.deps.db.offers())) {
            self.sync.offer_taken();
        }
    }

    /// Offers a call if nothing keeps this store from sending one; no longer, otherwise.
    fn offer(&mut self, ctx: &mut Context<Self>) {
        self.withdraw_offer();
        let now = self.deps.clock.now();
        let may_offer = self.sync.may_offer(now) && self.recover == Recover::Nothing && self.supervisor.connected();
        if let Some(offer) = &mut self.offer {
            if offer.is_taken() || (may_offer && offer.renew(self.deps.db.offers(), &self.config, now)) {
                return;
            }
            if let Some(offer) = self.offer.take() {
                ctx.cancel_future(offer.end());
            }
        }
        let config = Arc::clone(&self.config);
        let Ok(reach) = &config.reach else { return };
        if !may_offer || !reach.is_at_hand(&self.deps.client) {
            return;
        }
        let Some(offer) = Offer::new(self.terms(reach, false, false), now) else { return };
        let (to, taken) = oneshot::channel();
        let (client, of) = (self.deps.client.clone(), Arc::clone(&config));
        let has_room = Arc::new(move || of.reach.as_ref().is_ok_and(|reach| client.has_room(&reach.connection)));
        let waits = ctx.spawn(taken.into_actor(self).map(|call, act, ctx| act.handed_over(call.ok(), ctx)));
        let offered = Offered { offer, lease: self.db.lease(), has_room, to };
        self.offer = Some(OpenOffer::new(self.deps.db.offers(), config, offered, waits));
    }

    /// The ledger has made the call that was offered; or it is not known whether it has.
    fn handed_over(&mut self, begun: Option<Begun>, ctx: &mut Context<Self>) {
        self.withdraw_offer();
        let Some(offer) = self.offer.take() else { return };
        self.called = true;
        match (begun, &offer.config().reach) {
            (Some(begun), Ok(reach)) => {
                let claim = self.claim_of(reach, offer.offer().terms, Recover::Nothing, false);
                self.deliver(offer.config(), claim, OnItsWay::Begun(begun), ctx);
                self.offer(ctx);
            }
            _ => {
                self.recover = self.recover.max(Recover::CutOff);
                self.input(Input::NotSent, ctx);
            }
        }
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
        let recover = std::mem::take(&mut self.recover);
        let claim = self.claim_of(reach, self.terms(reach, probe, overwrites_first), recover, check_times);
        let claimed = async move {
            let mut claim = claim;
            (claim.run().await, claim)
        };
        ctx.spawn(claimed.into_actor(self).map(move |(claimed, claim), act, ctx| {
            act.adopt(&config, &claim);
            act.recover = act.recover.max(claim.left_to_recover());
            match claimed {
                Ok(Claimed::Nothing(next_due)) => act.input(Input::NothingDue(next_due), ctx),
                Ok(Claimed::Read { answered }) => act.input(Input::ReadEnded { answered }, ctx),
                Ok(Claimed::Call(call, permit, next)) => {
                    act.deliver(&config, claim, OnItsWay::Permitted(call, permit), ctx);
                    act.input(Input::Sending { next }, ctx);
                }
                Err(Error::NotFound) => act.input(Input::NothingDue(None), ctx),
                Err(Error::Fenced) => {
                    act.deps.fenced();
                    act.input(Input::NothingDue(None), ctx);
                }
                Err(error) => {
                    tracing::warn!(%error, store.id = %act.config.store.id, "could not claim pushes; trying again");
                    act.recover = act.recover.max(Recover::CutOff);
                    act.input(Input::DatabaseFailed, ctx);
                }
            }
        }));
    }

    fn terms(&self, reach: &Reach, probe: bool, overwrites_first: bool) -> ClaimTerms {
        let mut terms = reach.terms(probe, overwrites_first, self.deps.settings.retry, (self.deps.settings.draw)());
        terms.limit = self.size.of(terms.limit);
        terms
    }

    fn claim_of(&self, reach: &Reach, terms: ClaimTerms, recover: Recover, check_times: bool) -> Claim {
        let deps = &self.deps;
        let under_way = self.under_way.iter().copied().chain(self.offer.as_ref().map(OpenOffer::call)).collect();
        let send_within = deps.settings.sharing.as_ref().map_or(Duration::MAX, |sharing| sharing.lease);
        let (client, renewals, clock) = (deps.client.clone(), Arc::clone(&deps.renewals), deps.clock.clone());
        let outbound = Outbound { client, renewals, clock, send_within };
        Claim::new(outbound, self.db.clone(), reach.connection.clone(), terms, self.stop.clone(), (under_way, recover), check_times)
    }

    /// Delivers a call that is under way, once it is permitted.
    fn deliver(&mut self, config: &Arc<StoreConfig>, mut claim: Claim, call: OnItsWay, ctx: &mut Context<Self>) {
        let (OnItsWay::Permitted(claimed, _) | OnItsWay::Begun(Begun { call: claimed, .. })) = &call;
        let (id, items) = (claimed.id, claimed.items.len());
        self.under_way.push(id);
        let (deps, config) = (Arc::clone(&self.deps), Arc::clone(config));
        let sent = async move {
            let prepared = match call {
                OnItsWay::Permitted(call, permit) => Ok(Claimed::Call(call, permit, Next::Unknown)),
                OnItsWay::Begun(begun) => claim.begun(begun).await,
            };
            let sent = match prepared {
                Ok(Claimed::Call(call, permit, _)) => {
                    let (answered, Finished { confirmed, next }) = claim.deliver(&call, permit).await;
                    deps.running.confirmed.fetch_add(confirmed, Ordering::Relaxed);
                    Ok(Some((answered, next)))
                }
                prepared => prepared.map(|_| None),
            };
            (sent, claim)
        };
        ctx.spawn(sent.into_actor(self).map(move |(sent, claim), act, ctx| {
            act.adopt(&config, &claim);
            act.under_way.retain(|other| *other != id);
            match sent {
                Ok(Some((answered, next))) => {
                    act.size.note(items, answered);
                    act.input(Input::CallEnded { answered, next }, ctx);
                }
                Ok(None) => act.input(Input::NotSent, ctx),
                Err(Error::Fenced) => {
                    act.deps.fenced();
                    act.input(Input::NotSent, ctx);
                }
                Err(error) => {
                    tracing::warn!(%error, store.id = %act.config.store.id, "could not give back a call; its outcome is determined");
                    act.recover = act.recover.max(Recover::CutOff);
                    act.input(Input::NotSent, ctx);
                }
            }
        }));
    }

    /// Uses the tokens that a claim has renewed; the supervisor finds them in the row when it looks next.
    fn adopt(&mut self, from: &Arc<StoreConfig>, claim: &Claim) {
        self.config = StoreConfig::after_claim(&self.config, from, claim.renewed());
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
        self.withdraw_offer();
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
        let called = std::mem::take(&mut self.called);
        !called && self.sync.is_idle(until) && daily.is_none_or(|at| at > until) && self.last_run != LastRun::Reading
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
